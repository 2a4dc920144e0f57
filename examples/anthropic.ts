/** The `@anthropic-ai/sdk` package as an `Llm`, in one call: whole answers and streams. */
import Anthropic from "@anthropic-ai/sdk"
import { Llm, LlmAdapter, type LlmRequest } from "@echelon/core"
import { SdkError } from "@echelon/providers"
import { Effect, Stream } from "effect"
import * as Upstreams from "./upstreams.ts"

const upstreams = await Upstreams.start()

// This client adds /v1 itself.
const baseURL = upstreams.anthropicUrl.replace(/\/v1$/, "")
const client = new Anthropic({ baseURL, apiKey: "a key", maxRetries: 0 })

const body = ({ messages, settings }: LlmRequest.LlmRequest) => ({
  model: "claude-sonnet-4-6",
  max_tokens: settings.maxOutputTokens ?? 1_024,
  system: messages
    .filter(({ role }) => role === "system")
    .map(LlmAdapter.textOf)
    .join("\n"),
  messages: messages.flatMap((message) =>
    message.role === "user" || message.role === "assistant"
      ? [{ role: message.role, content: LlmAdapter.textOf(message) }]
      : []
  )
})

const llm = LlmAdapter.fromPromise({
  id: "anthropic-sonnet",
  model: "claude-sonnet-4-6",
  classify: SdkError.classify,
  generate: async (request, { signal }) => {
    const { content, stop_reason, usage } = await client.messages.create(body(request), { signal })
    return {
      text: content.map((block) => (block.type === "text" ? block.text : "")).join(""),
      finishReason: stop_reason,
      usage: { inputTokens: usage.input_tokens, outputTokens: usage.output_tokens }
    }
  },
  stream: async function* (request, { signal }) {
    for await (const event of await client.messages.create({ ...body(request), stream: true }, { signal })) {
      if (event.type === "message_start") yield { usage: { inputTokens: event.message.usage.input_tokens } }
      if (event.type === "content_block_delta" && event.delta.type === "text_delta") yield { text: event.delta.text }
      if (event.type === "message_delta")
        yield { finishReason: event.delta.stop_reason, usage: { outputTokens: event.usage.output_tokens } }
    }
  }
})

const answer = await Effect.runPromise(Llm.generate(llm, { prompt: "Why is the sky blue?" }))
console.log(answer.text)
console.log(`${answer.instance}: ${answer.finishReason}, ${answer.usage.outputTokens} tokens ${answer.usage.source}`)

const pieces = Stream.filter(Llm.stream(llm, { prompt: "Why?" }), (part) => part.type === "text-delta")
console.log(`streamed in ${await Effect.runPromise(Stream.runCount(pieces))} pieces`)

await upstreams.close()
