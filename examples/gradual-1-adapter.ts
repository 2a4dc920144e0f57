/** Step 1 of three: the client that a program has, behind a contract. Its call site stays as it is. */
import { Llm, LlmAdapter, type LlmRequest } from "@echelon/core"
import { SdkError } from "@echelon/providers"
import { Effect } from "effect"
import OpenAI from "openai"
import * as Upstreams from "./upstreams.ts"

const upstreams = await Upstreams.start()

// What the program has.
const client = new OpenAI({ baseURL: upstreams.openaiUrl, apiKey: "a key", maxRetries: 0 })

// What is new.
const messages = (request: LlmRequest.LlmRequest) =>
  request.messages.flatMap((message) =>
    message.role === "tool" ? [] : [{ role: message.role, content: LlmAdapter.textOf(message) }]
  )
const llm = LlmAdapter.fromPromise({
  id: "openai",
  classify: SdkError.classify,
  generate: async (request, { signal }) => {
    const body = { model: "gpt-4.1", messages: messages(request) }
    const { choices, usage } = await client.chat.completions.create(body, { signal })
    return { text: choices[0]?.message.content, usage: { outputTokens: usage?.completion_tokens } }
  }
})

// What the rest of the program calls, and always has.
const ask = async (prompt: string): Promise<string> => {
  const answer = await Effect.runPromise(Llm.generate(llm, { prompt, metadata: { timeout: "10 seconds" } }))
  console.log(`${answer.instance}, ${answer.usage.outputTokens} tokens`)
  return answer.text
}

console.log(await ask("Why is the sky blue?"))

await upstreams.close()
