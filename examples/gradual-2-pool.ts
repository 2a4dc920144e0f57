/** Step 2 of three: two such clients in a pool. When one fails the other answers. */
import Anthropic from "@anthropic-ai/sdk"
import { Llm, LlmAdapter, type LlmRequest, Pool } from "@echelon/core"
import { SdkError } from "@echelon/providers"
import { Effect } from "effect"
import OpenAI from "openai"
import * as Upstreams from "./upstreams.ts"

const upstreams = await Upstreams.start()

const openai = new OpenAI({ baseURL: upstreams.openaiUrl, apiKey: "a key", maxRetries: 0 })
const anthropicUrl = upstreams.anthropicUrl.replace(/\/v1$/, "")
const anthropic = new Anthropic({ baseURL: anthropicUrl, apiKey: "a key", maxRetries: 0 })

const messages = (request: LlmRequest.LlmRequest) =>
  request.messages.flatMap((message) =>
    message.role === "user" || message.role === "assistant"
      ? [{ role: message.role, content: LlmAdapter.textOf(message) }]
      : []
  )
const first = LlmAdapter.fromPromise({
  id: "openai",
  classify: SdkError.classify,
  generate: async (request, { signal }) => {
    const body = { model: "gpt-4.1", messages: messages(request) }
    const { choices } = await openai.chat.completions.create(body, { signal })
    return { text: choices[0]?.message.content }
  }
})
const second = LlmAdapter.fromPromise({
  id: "anthropic",
  classify: SdkError.classify,
  generate: async (request, { signal }) => {
    const body = { model: "claude-sonnet-4-6", max_tokens: 1_024, messages: messages(request) }
    const { content } = await anthropic.messages.create(body, { signal })
    return { text: content.map((block) => (block.type === "text" ? block.text : "")).join("") }
  }
})

// What is new.
const pool = await Effect.runPromise(Pool.make([first, second], { id: "pool" }))

// What the rest of the program calls, and always has.
const ask = async (prompt: string): Promise<string> => {
  const answer = await Effect.runPromise(Llm.generate(pool, { prompt, metadata: { timeout: "10 seconds" } }))
  const tried = answer.route.map((entry) => `${entry.instance} ${entry.reason ?? "answered"}`)
  console.log(`${answer.instance}, of ${tried.length > 1 ? tried.join(", then ") : "one attempt"}`)
  return answer.text
}

await upstreams.fail("openai", true)
console.log(await ask("Why is the sky blue?"))
console.log(await ask("Why is the sky blue?"))

await upstreams.close()
