/** Streams to parse: replies that providers gave, recorded, else written ones of the same form. */
import { readFileSync } from "node:fs"

/** A streamed reply, event by event. */
export interface Recording {
  readonly protocol: ProtocolName
  readonly title: string
  /** Where it comes from, for people. */
  readonly source: string
  /** The JSON of each event. */
  readonly events: ReadonlyArray<string>
  /** As bytes, in pieces of the size that a socket gives. */
  readonly chunks: ReadonlyArray<Uint8Array>
}

export type ProtocolName = "chat" | "responses" | "messages" | "gemini"

const chunkBytes = 1_400

const split = (text: string): ReadonlyArray<Uint8Array> => {
  const bytes = new TextEncoder().encode(text)
  const chunks: Array<Uint8Array> = []
  for (let at = 0; at < bytes.length; at += chunkBytes) chunks.push(bytes.subarray(at, at + chunkBytes))
  return chunks
}

const samples = new URL("../../shared/wire-samples/", import.meta.url)

const recorded = (file: string): ReadonlyArray<string> | undefined => {
  try {
    return readFileSync(new URL(file, samples), "utf8").split("\n").filter(Boolean)
  } catch {
    // The samples are not part of the repository.
    return undefined
  }
}

const words = "The sky is blue because air scatters short wavelengths more than long ones. ".split(" ")
const count = 300
const texts = Array.from({ length: count }, (_, i) => `${words[i % words.length]} `)
const whole = texts.join("")

const chunkOf = (delta: object, finish_reason: string | null) => ({
  id: "chatcmpl-1",
  object: "chat.completion.chunk",
  created: 1_770_933_892,
  model: "gpt-4.1-nano",
  service_tier: "default",
  system_fingerprint: "fp_1",
  choices: [{ index: 0, delta, logprobs: null, finish_reason }],
  usage: null,
  obfuscation: "Qup1BsQ3"
})

const responseOf = (status: string, output: ReadonlyArray<object>) => ({
  id: "resp_1",
  object: "response",
  created_at: 1_770_933_892,
  status,
  model: "gpt-4.1-nano",
  output,
  usage: { input_tokens: 10, output_tokens: count, total_tokens: 10 + count }
})
const messageItem = (content: ReadonlyArray<object>, status: string) => ({
  id: "msg_1",
  type: "message",
  role: "assistant",
  status,
  content
})
const textPart = (text: string) => ({ type: "output_text", text, annotations: [], logprobs: [] })
const at = { item_id: "msg_1", output_index: 0, content_index: 0 }

const written: Readonly<Record<ProtocolName, () => ReadonlyArray<object>>> = {
  chat: () => [
    chunkOf({ role: "assistant", content: "", refusal: null }, null),
    ...texts.map((content) => chunkOf({ content }, null)),
    chunkOf({}, "stop")
  ],
  responses: () =>
    [
      { type: "response.created", response: responseOf("in_progress", []) },
      { type: "response.output_item.added", output_index: 0, item: messageItem([], "in_progress") },
      { type: "response.content_part.added", ...at, part: textPart("") },
      ...texts.map((delta) => ({ type: "response.output_text.delta", ...at, delta, logprobs: [] })),
      { type: "response.output_text.done", ...at, text: whole, logprobs: [] },
      { type: "response.content_part.done", ...at, part: textPart(whole) },
      { type: "response.output_item.done", output_index: 0, item: messageItem([textPart(whole)], "completed") },
      { type: "response.completed", response: responseOf("completed", [messageItem([textPart(whole)], "completed")]) }
    ].map((event, sequence_number) => ({ ...event, sequence_number })),
  messages: () => [
    {
      type: "message_start",
      message: {
        id: "msg_1",
        type: "message",
        role: "assistant",
        model: "claude",
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: { input_tokens: 10, output_tokens: 1 }
      }
    },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
    ...texts.map((text) => ({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })),
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage: { output_tokens: count } },
    { type: "message_stop" }
  ],
  gemini: () =>
    texts.map((text, i) => ({
      candidates: [
        {
          content: { parts: [{ text }], role: "model" },
          index: 0,
          ...(i === count - 1 ? { finishReason: "STOP" } : {})
        }
      ],
      usageMetadata: { promptTokenCount: 10, candidatesTokenCount: i + 1, totalTokenCount: 11 + i },
      modelVersion: "gemini-2.5-flash",
      responseId: "r1"
    }))
}

const files: Readonly<Record<ProtocolName, string | undefined>> = {
  chat: "openai/openai-text.chunks.txt",
  responses: "openai-responses/openai-web-search-tool.1.chunks.txt",
  messages: "anthropic/anthropic-code-execution-20250825.2.chunks.txt",
  // Recorded ones have a handful of events: of those the request itself would be measured.
  gemini: undefined
}

const titles: Readonly<Record<ProtocolName, string>> = {
  chat: "OpenAI Chat Completions",
  responses: "OpenAI Responses",
  messages: "Anthropic Messages",
  gemini: "Google Gemini"
}

export const protocols: ReadonlyArray<ProtocolName> = ["chat", "responses", "messages", "gemini"]

/** The stream of a protocol. */
export const recording = (protocol: ProtocolName): Recording => {
  const file = files[protocol]
  const found = file === undefined ? undefined : recorded(file)
  const events = found ?? written[protocol]().map((event) => JSON.stringify(event))
  const named = (json: string) => (protocol === "messages" ? `event: ${JSON.parse(json).type}\n` : "")
  const text = events.map((json) => `${named(json)}data: ${json}\n\n`).join("")
  return {
    protocol,
    title: titles[protocol],
    source: found === undefined ? "written" : `recorded: ${file}`,
    events,
    chunks: split(protocol === "chat" ? `${text}data: [DONE]\n\n` : text)
  }
}
