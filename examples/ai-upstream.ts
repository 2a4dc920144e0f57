/** A model of the `ai` package as an `Llm`, in one call: whole answers and streams. */

import { createOpenAI } from "@ai-sdk/openai"
import { Llm, LlmAdapter, type LlmRequest } from "@echelon/core"
import { SdkError } from "@echelon/providers"
import { generateText, streamText } from "ai"
import { Effect, Stream } from "effect"
import * as Upstreams from "./upstreams.ts"

const upstreams = await Upstreams.start()

const model = createOpenAI({ baseURL: upstreams.openaiUrl, apiKey: "a key" }).chat("gpt-4.1")

const call = ({ messages, settings }: LlmRequest.LlmRequest, abortSignal: AbortSignal) => ({
  model,
  abortSignal,
  // The pool repeats, within its budget.
  maxRetries: 0,
  messages: messages.flatMap((message) =>
    message.role === "user" || message.role === "assistant"
      ? [{ role: message.role, content: LlmAdapter.textOf(message) }]
      : []
  ),
  ...(settings.temperature === undefined ? {} : { temperature: settings.temperature })
})

const llm = LlmAdapter.fromPromise({
  id: "ai-gpt4",
  model: "gpt-4.1",
  classify: SdkError.classify,
  generate: async (request, { signal }) => {
    const { finishReason, text, usage } = await generateText(call(request, signal))
    return { text, finishReason, usage }
  },
  stream: async function* (request, { signal }) {
    // It prints errors unless told what else to do with them.
    const { fullStream } = streamText({ ...call(request, signal), onError: () => {} })
    for await (const part of fullStream) {
      // Errors come as parts: thrown, they are classified.
      if (part.type === "error") throw part.error
      if (part.type === "text-delta") yield { text: part.text }
      // A stream that was cut off finishes too, but its provider has named no reason.
      if (part.type === "finish" && part.rawFinishReason !== undefined)
        yield { finishReason: part.finishReason, usage: part.totalUsage }
    }
  }
})

const answer = await Effect.runPromise(Llm.generate(llm, { prompt: "Why is the sky blue?" }))
console.log(answer.text)
console.log(`${answer.instance}: ${answer.finishReason}, ${answer.usage.outputTokens} tokens ${answer.usage.source}`)

const pieces = Stream.filter(Llm.stream(llm, { prompt: "Why?" }), (part) => part.type === "text-delta")
console.log(`streamed in ${await Effect.runPromise(Stream.runCount(pieces))} pieces`)

await upstreams.close()
