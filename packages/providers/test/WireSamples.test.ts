import { LlmReply, type Part } from "@echelon/core"
import { AnthropicMessages, OpenAiChat, type Protocol, Sse } from "@echelon/providers"
import * as Gemini from "@echelon/providers/Gemini"
import { expect, it } from "@effect/vitest"
import { cut, optionsOf, seeded } from "./Support.ts"
import * as WireSamples from "./support/WireSamples.ts"

// Each recorded reply is read twice: by the protocol, and by a small reader here that knows nothing of it.

// biome-ignore lint/suspicious/noExplicitAny: a recording is read as it stands, which no type describes
type Any = Record<string, any>

interface Expected {
  text: string
  reasoning: string
  calls: Array<{ id: string; name: string; params: unknown }>
  finish: string | undefined
  input: number | undefined
  output: number | undefined
  cached: number | undefined
  thought: number | undefined
  carried: Array<unknown>
}

const empty = (): Expected => ({
  text: "",
  reasoning: "",
  calls: [],
  finish: undefined,
  input: undefined,
  output: undefined,
  cached: undefined,
  thought: undefined,
  carried: []
})

const textsOf = (content: unknown, type: string): string =>
  Array.isArray(content)
    ? content
        .filter((item: Any) => item["type"] === type)
        .map((item: Any) => (type === "thinking" ? item["thinking"].map((t: Any) => t["text"]).join("") : item["text"]))
        .join("")
    : type === "text" && typeof content === "string"
      ? content
      : ""

const openAiFinish: Any = { stop: "stop", length: "length", tool_calls: "tool-calls" }

/** Reads replies and chunks alike: what a message or a delta holds is added up. */
const readOpenAi = (chunks: ReadonlyArray<Any>): Expected => {
  const found = empty()
  const calls = new Map<unknown, { id: string; name: string; args: string }>()
  for (const chunk of chunks) {
    const choice: Any = chunk["choices"][0] ?? {}
    const delta: Any = choice["message"] ?? choice["delta"] ?? {}
    found.text += textsOf(delta["content"], "text")
    found.reasoning += delta["reasoning_content"] ?? delta["reasoning"] ?? textsOf(delta["content"], "thinking")
    for (const [at, call] of (delta["tool_calls"] ?? []).entries()) {
      const key = call["index"] ?? at
      const before = calls.get(key) ?? { id: call["id"], name: call["function"]["name"], args: "" }
      calls.set(key, { ...before, args: before.args + call["function"]["arguments"] })
    }
    if (choice["finish_reason"]) found.finish = openAiFinish[choice["finish_reason"]]
    const usage: Any | null | undefined = chunk["usage"]
    if (usage) {
      const reasoning = usage["completion_tokens_details"]?.["reasoning_tokens"]
      const isBeside = usage["total_tokens"] > usage["prompt_tokens"] + usage["completion_tokens"]
      found.input = usage["prompt_tokens"]
      found.output = usage["completion_tokens"] + (isBeside ? reasoning : 0)
      found.cached = usage["prompt_tokens_details"]?.["cached_tokens"]
      found.thought = reasoning
    }
    for (const key of ["x_groq", "system_fingerprint", "service_tier"]) {
      const value = chunk[key]
      if (value !== undefined && value !== null)
        found.carried.push(...(typeof value === "object" ? Object.values(value) : [value]))
    }
  }
  found.calls = [...calls.values()].map(({ args, id, name }) => ({ id, name, params: JSON.parse(args) }))
  return found
}

const anthropicFinish: Any = {
  end_turn: "stop",
  max_tokens: "length",
  tool_use: "tool-calls",
  refusal: "content-filter"
}

const readBlocks = (blocks: ReadonlyArray<Any>, found: Expected) => {
  for (const block of blocks) {
    if (block["type"] === "text") found.text += block["text"]
    else if (block["type"] === "thinking") {
      found.reasoning += block["thinking"]
      found.carried.push(block["signature"])
    } else if (block["type"] === "tool_use") {
      found.calls.push({ id: block["id"], name: block["name"], params: block["input"] })
      if (block["caller"] !== undefined) found.carried.push(block["caller"])
    } else found.carried.push(block)
  }
}

const readAnthropicUsage = (usage: Any, found: Expected) => {
  found.input =
    usage["input_tokens"] + (usage["cache_read_input_tokens"] ?? 0) + (usage["cache_creation_input_tokens"] ?? 0)
  found.output = usage["output_tokens"]
  found.cached = usage["cache_read_input_tokens"]
  found.carried.push(...Object.values(usage).filter((value) => typeof value === "object"))
}

const readAnthropicReply = (reply: Any): Expected => {
  const found = empty()
  readBlocks(reply["content"], found)
  found.finish = anthropicFinish[reply["stop_reason"]]
  readAnthropicUsage(reply["usage"], found)
  for (const key of ["container", "context_management", "stop_details"]) if (reply[key]) found.carried.push(reply[key])
  return found
}

const readAnthropicStream = (events: ReadonlyArray<Any>): Expected => {
  const found = empty()
  const blocks: Array<Any> = []
  let usage: Any = {}
  for (const event of events) {
    switch (event["type"]) {
      case "message_start":
        usage = { ...usage, ...event["message"]["usage"] }
        break
      case "content_block_start":
        blocks[event["index"]] = { ...event["content_block"] }
        break
      case "content_block_delta": {
        const block = blocks[event["index"]] as Any
        const delta: Any = event["delta"]
        if (delta["type"] === "text_delta") block["text"] += delta["text"]
        else if (delta["type"] === "thinking_delta") block["thinking"] += delta["thinking"]
        else if (delta["type"] === "signature_delta") block["signature"] += delta["signature"]
        else if (delta["type"] === "input_json_delta") block["json"] = (block["json"] ?? "") + delta["partial_json"]
        else throw new Error(`unread delta ${delta["type"]}`)
        break
      }
      case "message_delta":
        usage = { ...usage, ...event["usage"] }
        found.finish = anthropicFinish[event["delta"]["stop_reason"]]
        for (const value of [event["delta"]["container"], event["delta"]["stop_details"], event["context_management"]])
          if (value) found.carried.push(value)
        break
      case "content_block_stop":
      case "message_stop":
      case "ping":
        break
      default:
        throw new Error(`unread event ${event["type"]}`)
    }
  }
  for (const block of blocks) {
    if (block["json"]) block["input"] = JSON.parse(block["json"])
    delete block["json"]
  }
  readBlocks(blocks, found)
  readAnthropicUsage(usage, found)
  return found
}

/** Every value inside another, to find what is carried wherever it is. */
const valuesIn = (value: unknown): ReadonlyArray<unknown> =>
  typeof value === "object" && value !== null ? [value, ...Object.values(value).flatMap(valuesIn)] : [value]

const check = (parts: ReadonlyArray<Part.Part>, expected: Expected) => {
  const answer = LlmReply.toAnswer(parts, [])
  expect(answer.text).toBe(expected.text)
  expect(answer.reasoning).toBe(expected.reasoning)
  expect(answer.toolCalls.map(({ id, name, params }) => ({ id, name, params }))).toEqual(expected.calls)
  expect(parts.at(-1)?.type).toBe("finish")
  expect(answer.finishReason).toBe(expected.finish)
  expect(answer.usage.inputTokens).toBe(expected.input)
  expect(answer.usage.outputTokens).toBe(expected.output)
  expect(answer.usage.cacheReadTokens).toBe(expected.cached)
  if (expected.thought !== undefined) expect(answer.usage.reasoningTokens).toBe(expected.thought)
  const carried = valuesIn(parts.map((part) => part.metadata))
  for (const value of expected.carried) expect(carried).toContainEqual(value)
}

const readStream = (protocol: Protocol.Protocol, options: Protocol.Options, chunks: ReadonlyArray<Uint8Array>) => {
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

/** The buffered reply that a stream of chunks adds up to. */
const rebuildOpenAi = (chunks: ReadonlyArray<Any>): Any => {
  const message: Any = { role: "assistant" }
  const reply: Any = {}
  const calls = new Map<unknown, Any>()
  let finish: unknown = null
  for (const chunk of chunks) {
    for (const [key, value] of Object.entries(chunk))
      if (value !== null && key !== "choices" && !(key === "created" && key in reply))
        reply[key] = typeof value === "object" ? { ...reply[key], ...value } : value
    const choice: Any = chunk["choices"][0] ?? {}
    finish = choice["finish_reason"] ?? finish
    const delta: Any = choice["delta"] ?? {}
    for (const key of ["content", "reasoning_content", "reasoning"]) {
      const value = delta[key]
      if (typeof value === "string" && value !== "")
        message[key] = Array.isArray(message[key])
          ? [...message[key], { type: "text", text: value }]
          : (message[key] ?? "") + value
      else if (Array.isArray(value)) message[key] = [...(message[key] ?? []), ...value]
    }
    for (const [at, call] of (delta["tool_calls"] ?? []).entries()) {
      const key = call["index"] ?? at
      const before = calls.get(key)
      if (before === undefined) calls.set(key, { id: call["id"], type: "function", function: { ...call["function"] } })
      else before["function"]["arguments"] += call["function"]["arguments"]
    }
  }
  if (calls.size > 0) message["tool_calls"] = [...calls.values()]
  return { ...reply, choices: [{ index: 0, message, finish_reason: finish }] }
}

const rebuildAnthropic = (events: ReadonlyArray<Any>): Any => {
  let reply: Any = {}
  const content: Array<Any> = []
  for (const event of events) {
    if (event["type"] === "message_start") reply = { ...reply, ...event["message"] }
    else if (event["type"] === "content_block_start") content[event["index"]] = { ...event["content_block"] }
    else if (event["type"] === "content_block_delta") {
      const block = content[event["index"]] as Any
      const { type: _, partial_json, ...delta } = event["delta"] as Any
      for (const [key, value] of Object.entries(delta)) block[key] = (block[key] ?? "") + value
      if (partial_json) block["json"] = (block["json"] ?? "") + partial_json
    } else if (event["type"] === "message_delta") {
      const { type: _, delta, usage, ...rest } = event
      reply = { ...reply, ...delta, ...rest, usage: { ...reply["usage"], ...usage } }
    }
  }
  for (const block of content) {
    if (block["json"]) block["input"] = JSON.parse(block["json"])
    delete block["json"]
  }
  return { ...reply, content }
}

/** A file may hold several replies of one conversation, one after the other. */
const splitReplies = (lines: ReadonlyArray<string>): ReadonlyArray<ReadonlyArray<string>> => {
  const replies: Array<Array<string>> = []
  let ended = true
  for (const line of lines) {
    const type = (JSON.parse(line) as Any)["type"]
    if (ended) replies.push([])
    ended = type === "message_stop"
    replies.at(-1)?.push(line)
  }
  return replies
}

if (!WireSamples.isPresent) {
  it("prints that the recorded replies were not run", () => {
    WireSamples.sayAbsent("recorded replies")
    expect(WireSamples.files).toEqual([])
  })
} else {
  it("every recording is read by a test, and every test has some to read", () => {
    expect(WireSamples.files.filter((file) => WireSamples.readerOf(file) === undefined)).toEqual([])
    expect(WireSamples.known.filter((reader) => WireSamples.of(reader).length === 0)).toEqual([])
  })

  it.each(WireSamples.of("chat-error"))("%s", (file) => {
    const decoded = OpenAiChat.protocol.decodeError(JSON.parse(WireSamples.read(file)), optionsOf("openai"))
    expect(decoded).toMatchObject({ tag: "InvalidRequest" })
  })

  for (const reader of ["chat", "messages"] as const) {
    const isAnthropic = reader === "messages"
    const protocol = isAnthropic ? AnthropicMessages.protocol : OpenAiChat.protocol
    for (const file of WireSamples.of(reader)) {
      const options = optionsOf(file.split("/")[0] ?? "")
      const content = WireSamples.read(file)
      if (file.endsWith(".json"))
        it(file, () => {
          const body = JSON.parse(content) as Any
          check(protocol.parse(body, options), isAnthropic ? readAnthropicReply(body) : readOpenAi([body]))
        })
      else
        it(file, () => {
          const lines = file.endsWith(".sse")
            ? content.split("\n").flatMap((line) => (line.startsWith("data: {") ? [line.slice(6)] : []))
            : content.split("\n").filter((line) => line !== "")
          const replies = isAnthropic ? splitReplies(lines) : [lines]
          for (const [at, reply] of replies.entries()) {
            const events = reply.map((line) => JSON.parse(line) as Any)
            const expected = isAnthropic ? readAnthropicStream(events) : readOpenAi(events)
            const bytes = new TextEncoder().encode(reply.map((line) => `data: ${line}\n\n`).join(""))
            for (let seed = 0; seed < 5; seed++) {
              const parts = readStream(protocol, options, cut(bytes, seeded(seed * 31 + at)))
              check(parts, expected)
            }
            const whole = isAnthropic ? rebuildAnthropic(events) : rebuildOpenAi(events)
            const buffered = protocol.parse(whole, options)
            check(buffered, expected)
            expect(LlmReply.fold(readStream(protocol, options, [bytes]))).toEqual(LlmReply.fold(buffered))
            expect(readStream(protocol, options, [bytes])).toEqual(readStream(protocol, options, cut(bytes, seeded(7))))
          }
        })
    }
  }
}

// Google Gemini: every event is a whole reply, so that a buffered one is a list of one.

const googleFinish: Any = { STOP: "stop", MAX_TOKENS: "length" }

const setAt = (args: Any, path: string, value: unknown, goesOn: boolean) => {
  const key = path.slice(2)
  args[key] = goesOn ? args[key] + value : value
}

const readGoogle = (replies: ReadonlyArray<Any>): Expected => {
  const found = empty()
  let usage: Any = {}
  let open: { name: string; params: Any; going: unknown } | undefined
  for (const reply of replies) {
    usage = { ...usage, ...reply["usageMetadata"] }
    const candidate: Any = reply["candidates"][0]
    for (const part of candidate["content"]["parts"]) {
      if (part["thoughtSignature"]) found.carried.push(part["thoughtSignature"])
      if (part["thought"]) found.reasoning += part["text"]
      else found.text += part["text"] ?? ""
      const call: Any | undefined = part["functionCall"]
      if (call === undefined) continue
      if (call["name"]) open = { name: call["name"], params: { ...call["args"] }, going: undefined }
      if (open === undefined) throw new Error("a call without a name")
      for (const piece of call["partialArgs"] ?? []) {
        setAt(open.params, piece["jsonPath"], piece["stringValue"], open.going === piece["jsonPath"])
        open.going = piece["willContinue"] ? piece["jsonPath"] : undefined
      }
      if (call["willContinue"]) continue
      const id = `${reply["responseId"]}_call_${found.calls.length}`
      found.calls.push({ id, name: open.name, params: open.params })
    }
    if (candidate["finishReason"]) found.finish = googleFinish[candidate["finishReason"]]
    if (candidate["finishMessage"]) found.carried.push(candidate["finishMessage"])
  }
  if (found.calls.length > 0) found.finish = "tool-calls"
  found.input = usage["promptTokenCount"]
  found.output = usage["candidatesTokenCount"] + usage["thoughtsTokenCount"]
  found.thought = usage["thoughtsTokenCount"]
  found.carried.push(usage, usage["promptTokensDetails"])
  return found
}

/** The buffered reply that a stream adds up to: calls whole, neighbouring texts joined. */
const rebuildGoogle = (replies: ReadonlyArray<Any>, expected: Expected): Any => {
  const parts: Array<Any> = []
  let calls = 0
  for (const reply of replies)
    for (const part of reply["candidates"][0]["content"]["parts"]) {
      const last = parts.at(-1)
      const call: Any | undefined = part["functionCall"]
      if (call?.["name"]) {
        const { name, params } = expected.calls[calls++] as Expected["calls"][number]
        parts.push({ ...part, functionCall: { name, args: params } })
      } else if (call === undefined && typeof last?.["text"] === "string" && !last["thoughtSignature"]) {
        parts[parts.length - 1] = { ...last, ...part, text: last["text"] + part["text"] }
      } else if (call === undefined && (part["text"] || part["thoughtSignature"])) parts.push(part)
    }
  const last = replies.at(-1) as Any
  return { ...last, candidates: [{ ...last["candidates"][0], content: { role: "model", parts } }] }
}

if (WireSamples.isPresent) {
  const options = optionsOf("gemini")
  for (const file of WireSamples.of("gemini")) {
    const content = WireSamples.read(file)
    it(file, () => {
      if (file.includes("-429-")) {
        const decoded = Gemini.protocol.decodeError(JSON.parse(content), options)
        expect(decoded).toMatchObject({ tag: "RateLimited", status: 429, retryAfter: 34_400, isDaily: false })
      } else if (file.endsWith(".json")) {
        const body = JSON.parse(content) as Any
        check(Gemini.protocol.parse(body, options), readGoogle([body]))
      } else {
        const lines = content.split("\n").filter((line) => line !== "")
        const replies = lines.map((line) => JSON.parse(line) as Any)
        const expected = readGoogle(replies)
        const bytes = new TextEncoder().encode(lines.map((line) => `data: ${line}\n\n`).join(""))
        for (let seed = 0; seed < 5; seed++)
          check(readStream(Gemini.protocol, options, cut(bytes, seeded(seed * 31))), expected)
        const buffered = Gemini.protocol.parse(rebuildGoogle(replies, expected), options)
        check(buffered, expected)
        expect(LlmReply.fold(readStream(Gemini.protocol, options, [bytes]))).toEqual(LlmReply.fold(buffered))
      }
    })
  }
}
