/** Events of a stream: framing and protocol, against JSON.parse of the same events alone. */
import { AnthropicMessages, Dialect, OpenAiChat, type Protocol, Sse } from "@echelon/providers"
import { compare, type Measured, timed } from "./harness.ts"

const events = 1_000
const words = "The sky is blue because air scatters short wavelengths more than long ones. ".split(" ")
const word = (i: number) => `${words[i % words.length]} `

const chat = (i: number) => ({
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1_700_000_000,
  model: "gpt-4",
  system_fingerprint: "fp_1",
  choices: [
    { index: 0, delta: i === 0 ? { role: "assistant", content: "" } : { content: word(i) }, finish_reason: null }
  ]
})
const message = (i: number) =>
  i === 0
    ? {
        type: "message_start",
        message: {
          id: "msg_1",
          type: "message",
          role: "assistant",
          model: "claude",
          content: [],
          stop_reason: null,
          usage: { input_tokens: 10, output_tokens: 1 }
        }
      }
    : i === 1
      ? { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } }
      : { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: word(i) } }

const chunkBytes = 1_400

const split = (text: string): ReadonlyArray<Uint8Array> => {
  const bytes = new TextEncoder().encode(text)
  const chunks: Array<Uint8Array> = []
  for (let at = 0; at < bytes.length; at += chunkBytes) chunks.push(bytes.subarray(at, at + chunkBytes))
  return chunks
}

const measure = async (protocol: Protocol.Protocol, kind: string, json: ReadonlyArray<object>) => {
  const texts = json.map((event) => JSON.stringify(event))
  const chunks = split(
    json.map((event, i) => `${"type" in event ? `event: ${event.type}\n` : ""}data: ${texts[i]}\n\n`).join("")
  )
  const options: Protocol.Options = { kind, model: "m", maxOutputTokens: undefined, dialect: Dialect.defaults }
  const frame = (onEvent: (event: Sse.Event) => void) => {
    let state = Sse.initial
    for (const chunk of chunks) {
      const [next, found] = Sse.step(state, chunk, 1 << 22)
      state = next
      for (const event of found) onEvent(event)
    }
  }
  let sink = 0
  const repeated = (name: string, once: () => void) => ({
    name,
    run: (iterations: number) =>
      timed(() => {
        for (let i = 0; i < iterations; i++) once()
      })
  })
  const measured = await compare(
    [
      repeated("JSON.parse alone", () => {
        for (const text of texts) sink += JSON.parse(text) === null ? 0 : 1
      }),
      repeated("bytes to events", () =>
        frame((event) => {
          sink += event.data.length
        })
      ),
      repeated("bytes to parts", () => {
        const reader = protocol.reader(options)
        frame((event) => {
          sink += reader.push(event).length
        })
      })
    ],
    { iterations: 40 }
  )
  if (sink === 0) throw new Error("nothing was parsed")
  return measured.map((row): Measured => ({ ...row, micros: row.micros / events }))
}

export const sse = async () => ({
  chat: await measure(
    OpenAiChat.protocol,
    "openai",
    Array.from({ length: events }, (_, i) => chat(i))
  ),
  messages: await measure(
    AnthropicMessages.protocol,
    "anthropic",
    Array.from({ length: events }, (_, i) => message(i))
  )
})
