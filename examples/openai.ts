/** The `openai` package as an `Llm`, in one call: whole answers and streams. */
import { Llm, LlmAdapter, type LlmRequest } from "@echelon/core"
import { SdkError } from "@echelon/providers"
import { Effect, Stream } from "effect"
import OpenAI from "openai"
import * as Upstreams from "./upstreams.ts"

const upstreams = await Upstreams.start()

// The client that a program has. Its own retries are off: the pool has a budget, the client does not know it.
const client = new OpenAI({ baseURL: upstreams.openaiUrl, apiKey: "a key", maxRetries: 0 })

const body = ({ messages, settings }: LlmRequest.LlmRequest) => ({
  model: "gpt-4.1",
  messages: messages.flatMap((message) =>
    message.role === "tool" ? [] : [{ role: message.role, content: LlmAdapter.textOf(message) }]
  ),
  temperature: settings.temperature ?? null
})

const llm = LlmAdapter.fromPromise({
  id: "openai-gpt4",
  model: "gpt-4.1",
  classify: SdkError.classify,
  generate: async (request, { signal }) => {
    const { choices, usage } = await client.chat.completions.create(body(request), { signal })
    return {
      text: choices[0]?.message.content,
      finishReason: choices[0]?.finish_reason,
      usage: { inputTokens: usage?.prompt_tokens, outputTokens: usage?.completion_tokens }
    }
  },
  stream: async function* (request, { signal }) {
    const streamed = { ...body(request), stream: true as const, stream_options: { include_usage: true } }
    for await (const { choices, usage } of await client.chat.completions.create(streamed, { signal }))
      yield {
        text: choices[0]?.delta.content,
        finishReason: choices[0]?.finish_reason,
        usage: usage && { inputTokens: usage.prompt_tokens, outputTokens: usage.completion_tokens }
      }
  }
})

const answer = await Effect.runPromise(Llm.generate(llm, { prompt: "Why is the sky blue?" }))
console.log(answer.text)
console.log(`${answer.instance}: ${answer.finishReason}, ${answer.usage.outputTokens} tokens ${answer.usage.source}`)

const pieces = Stream.filter(Llm.stream(llm, { prompt: "Why?" }), (part) => part.type === "text-delta")
console.log(`streamed in ${await Effect.runPromise(Stream.runCount(pieces))} pieces`)

await upstreams.fail("openai", true)
const error = await Effect.runPromise(Effect.flip(Llm.generate(llm, { prompt: "Why?" })))
console.log(`when it is down: ${error.reason._tag}, retryable ${error.isRetryable}`)

await upstreams.close()
