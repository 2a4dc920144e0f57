import { LlmError, LlmReply, type Part } from "@echelon/core"
import { Sse } from "@echelon/providers"
import * as OpenAiResponses from "@echelon/providers/OpenAiResponses"
import { expect, it } from "@effect/vitest"
import { cut, optionsOf, seeded } from "./Support.ts"
import * as WireSamples from "./support/WireSamples.ts"

// Each recorded reply is read twice: by the protocol, and by a small reader here that knows nothing of it.

// biome-ignore lint/suspicious/noExplicitAny: a recording is read as it stands, which no type describes
type Any = Record<string, any>

const { protocol } = OpenAiResponses
const options = optionsOf("openai-responses")

interface Expected {
  readonly text: string
  readonly reasoning: string
  readonly calls: ReadonlyArray<{ id: string; name: string; params: unknown }>
  readonly sources: ReadonlyArray<string>
  readonly files: ReadonlyArray<string>
  readonly finish: string
  readonly usage: Any
  readonly carried: ReadonlyArray<unknown>
}

/** Reads a whole response; that of a stream stands in its last event. */
const read = (response: Any): Expected => {
  const output = response["output"] as ReadonlyArray<Any>
  const of = (type: string) => output.filter((item) => item["type"] === type)
  const content: ReadonlyArray<Any> = of("message").flatMap((item) => item["content"])
  const calls = of("function_call").map((item) => ({
    id: item["call_id"],
    name: item["name"],
    params: JSON.parse(item["arguments"])
  }))
  const withPart = new Set(["message", "reasoning", "function_call", "image_generation_call"])
  return {
    text: content.map((part) => part["text"]).join(""),
    reasoning: of("reasoning")
      .flatMap((item) => item["summary"].map((piece: Any) => piece["text"]))
      .join(""),
    calls,
    sources: content.flatMap((part) => part["annotations"].map((one: Any) => one["url"])),
    files: of("image_generation_call").map((item) => item["result"]),
    finish: calls.length > 0 ? "tool-calls" : "stop",
    usage: response["usage"],
    carried: [
      ...output.filter((item) => !withPart.has(item["type"])),
      ...of("reasoning").flatMap((item) => (item["encrypted_content"] ? [item["encrypted_content"]] : [])),
      ...of("reasoning").map((item) => item["id"]),
      ...of("message").flatMap((item) => (item["phase"] ? [item["phase"]] : [])),
      ...of("function_call").flatMap((item) => (item["caller"] ? [item["caller"]] : [])),
      ...content.flatMap((part) => part["annotations"]),
      ...content.flatMap((part) => part["logprobs"]),
      ...["service_tier", "billing", "content_filters", "tool_usage"].flatMap((key) =>
        response[key] ? [response[key]] : []
      )
    ]
  }
}

/** Every value inside another, to find what is carried wherever it is. */
const valuesIn = (value: unknown): ReadonlyArray<unknown> =>
  typeof value === "object" && value !== null ? [value, ...Object.values(value).flatMap(valuesIn)] : [value]

const check = (parts: ReadonlyArray<Part.Part>, expected: Expected) => {
  const answer = LlmReply.toAnswer(parts, [])
  expect(answer.text).toBe(expected.text)
  expect(answer.reasoning).toBe(expected.reasoning)
  expect(answer.toolCalls.map(({ id, name, params }) => ({ id, name, params }))).toEqual(expected.calls)
  expect(parts.flatMap((part) => (part.type === "source" && "url" in part ? [part.url] : []))).toEqual(expected.sources)
  expect(parts.flatMap((part) => (part.type === "file" ? [part.data] : []))).toEqual(expected.files)
  expect(parts.at(-1)?.type).toBe("finish")
  expect(answer.finishReason).toBe(expected.finish)
  expect(answer.usage).toEqual({
    inputTokens: expected.usage["input_tokens"],
    outputTokens: expected.usage["output_tokens"],
    cacheReadTokens: expected.usage["input_tokens_details"]["cached_tokens"],
    cacheWriteTokens: expected.usage["input_tokens_details"]["cache_write_tokens"],
    reasoningTokens: expected.usage["output_tokens_details"]["reasoning_tokens"],
    source: "reported"
  })
  const carried = valuesIn(parts.map((part) => part.metadata))
  for (const value of expected.carried) expect(carried).toContainEqual(value)
}

const readStream = (chunks: ReadonlyArray<Uint8Array>) => {
  const reader = protocol.reader(options)
  let state = Sse.initial
  const parts: Array<Part.Part> = []
  for (const chunk of chunks) {
    const [next, events] = Sse.step(state, chunk, 1 << 22)
    state = next
    for (const event of events) parts.push(...reader.push(event))
  }
  for (const event of Sse.flush(state)) parts.push(...reader.push(event))
  return [...parts, ...reader.end()]
}

/** A file may hold several replies of one conversation, one after the other. */
const splitReplies = (lines: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => {
  const replies: Array<Array<string>> = []
  for (const line of lines) {
    if (line.includes('"type":"response.created"')) replies.push([])
    replies.at(-1)?.push(line)
  }
  return replies
}

/**
 * The whole response of a stream. Its items are those that were told done: in the last event some of them are
 * encrypted anew. One recording was shortened to deltas that its whole text contradicts; there they stand.
 */
const responseOf = (events: ReadonlyArray<Any>): Any => {
  const response = events.at(-1)?.["response"] as Any
  const output = events.flatMap((event) => (event["type"] === "response.output_item.done" ? [event["item"]] : []))
  const deltas = events.flatMap((event) => (event["type"] === "response.output_text.delta" ? [event["delta"]] : []))
  const said = deltas.join("")
  return {
    ...response,
    output: output.map((item) =>
      item["type"] === "message" && said === "The command ran successfully."
        ? { ...item, content: [{ ...item["content"][0], text: said }] }
        : item
    )
  }
}

/** Pictures on the way are of the stream alone. */
const withoutPartial = (content: ReadonlyArray<LlmReply.ContentPart>) =>
  content.filter((part) => !JSON.stringify(part.metadata ?? {}).includes("partial_image_b64"))

const failureOf = (parts: ReadonlyArray<Part.Part>) => {
  const last = parts.at(-1)
  return last?.type === "error" && LlmError.isLlmError(last.error) ? last.error : undefined
}

if (!WireSamples.isPresent) {
  it("prints that the recorded replies were not run", () => {
    WireSamples.sayAbsent("recorded replies")
    expect(WireSamples.files).toEqual([])
  })
} else {
  for (const file of WireSamples.of("responses")) {
    const content = WireSamples.read(file)
    if (file.endsWith(".json"))
      it(file, () => {
        const body = JSON.parse(content) as Any
        check(protocol.parse(body, options), read(body))
      })
    else
      it(file, () => {
        for (const lines of splitReplies(content.split("\n").filter((line) => line !== ""))) {
          const events = lines.map((line) => JSON.parse(line) as Any)
          const response = responseOf(events)
          const bytes = new TextEncoder().encode(lines.map((line) => `data: ${line}\n\n`).join(""))
          const parts = readStream([bytes])
          check(parts, read(response))
          for (let seed = 0; seed < 5; seed++) expect(readStream(cut(bytes, seeded(seed * 31)))).toEqual(parts)
          const buffered = LlmReply.fold(protocol.parse(response, options))
          expect(withoutPartial(LlmReply.fold(parts))).toEqual(buffered)
          // Nothing but the end makes an answer whole.
          const head = lines.slice(0, -1).map((line) => `data: ${line}\n\n`)
          const broken = readStream([new TextEncoder().encode(head.join(""))])
          expect(broken.some((part) => part.type === "finish" || part.type === "error")).toBe(false)
        }
      })
  }

  it("openai-responses/openai-error.1", () => {
    const [streamed = "", buffered = ""] = WireSamples.of("responses-error")
    const lines = WireSamples.read(streamed).split("\n")
    for (const skipped of ["none", "error"]) {
      const sent = lines.filter((line) => line !== "" && !line.startsWith(`{"type":"${skipped}"`))
      const parts = readStream([new TextEncoder().encode(sent.map((line) => `data: ${line}\n\n`).join(""))])
      expect(parts.map((part) => part.type)).toEqual(["response-metadata", "error"])
      expect(failureOf(parts)?.reason._tag).toBe("QuotaExhausted")
    }
    const body = JSON.parse(WireSamples.read(buffered)) as Any
    expect(protocol.decodeError(body, options)?.tag).toBe("QuotaExhausted")
    expect(failureOf(protocol.parse(body, options))?.reason._tag).toBe("QuotaExhausted")
  })
}
