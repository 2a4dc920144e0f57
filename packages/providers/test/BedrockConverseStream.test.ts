import { LlmError, LlmReply, type Part } from "@echelon/core"
import * as BedrockConverse from "@echelon/providers/BedrockConverse"
import * as BedrockConverseStream from "@echelon/providers/BedrockConverseStream"
import * as Framing from "@echelon/providers/Framing"
import type * as Json from "@echelon/providers/Json"
import { expect, it } from "@effect/vitest"
import { exception, joined, message } from "./BedrockConverseSupport.ts"
import { cut, optionsOf, seeded } from "./Support.ts"

const options = optionsOf("bedrock")

type Event = readonly [type: string, data: unknown]

const run = (events: ReadonlyArray<Event>): ReadonlyArray<Part.Part> => {
  let state = BedrockConverseStream.initial(options)
  const parts: Array<Part.Part> = []
  for (const [event, data] of events) {
    const text = typeof data === "string" ? data : JSON.stringify(data)
    const [next, more] = BedrockConverseStream.step(state, { event, data: text })
    state = next
    parts.push(...more)
  }
  return [...parts, ...BedrockConverseStream.flush(state)]
}

/** The parts of a stream that comes in these chunks. */
const readBytes = (chunks: Iterable<Uint8Array>): ReadonlyArray<Part.Part> => {
  const frames = Framing.reader("eventstream", 100_000)
  const reader = BedrockConverse.protocol.reader(options)
  const parts: Array<Part.Part> = []
  for (const chunk of chunks) parts.push(...frames.push(chunk).events.flatMap(reader.push))
  return [...parts, ...reader.end()]
}

const start: Event = ["messageStart", { role: "assistant", p: "abc" }]
const begin = (index: number, of: object): Event => [
  "contentBlockStart",
  { contentBlockIndex: index, start: of, p: "a" }
]
const delta = (index: number, of: object): Event => [
  "contentBlockDelta",
  { contentBlockIndex: index, delta: of, p: "ab" }
]
const stop = (index: number): Event => ["contentBlockStop", { contentBlockIndex: index, p: "a" }]
const end = (stopReason: unknown = "end_turn", more: object = {}): Event => [
  "messageStop",
  { stopReason, p: "a", ...more }
]
const usage = { inputTokens: 10, outputTokens: 5, totalTokens: 15, serverToolUsage: {} }
const told: Event = ["metadata", { usage, metrics: { latencyMs: 234 }, p: "abcd" }]

const errorOf = (parts: ReadonlyArray<Part.Part>) => {
  const last = parts.at(-1)
  return last?.type === "error" && LlmError.isLlmError(last.error) ? last.error : undefined
}

const finishOf = (parts: ReadonlyArray<Part.Part>) => {
  const last = parts.at(-1)
  return last?.type === "finish" ? last : undefined
}

const typesOf = (parts: ReadonlyArray<Part.Part>) => parts.map((part) => part.type)

const parse = (body: object) => BedrockConverse.protocol.parse(body as Json.JsonObject, options)

const reply = (content: ReadonlyArray<object>, stopReason = "end_turn", more: object = {}) => ({
  output: { message: { role: "assistant", content } },
  stopReason,
  usage,
  metrics: { latencyMs: 234 },
  ...more
})

it("gives the parts of a plain answer in order", () => {
  expect(run([start, delta(0, { text: "a" }), delta(0, { text: "" }), stop(0), end(), told])).toEqual([
    { type: "text-start", id: "0" },
    { type: "text-delta", id: "0", delta: "a" },
    { type: "text-end", id: "0" },
    {
      type: "finish",
      reason: "stop",
      usage: {
        inputTokens: { total: 10, uncached: 10, cacheRead: undefined, cacheWrite: undefined },
        outputTokens: { total: 5, text: undefined, reasoning: undefined }
      },
      metadata: { bedrock: { stopReason: "end_turn", usage, metrics: { latencyMs: 234 } } }
    }
  ])
})

it("ends when reason and usage were told, or at the end of input when the reason was, and not otherwise", () => {
  const open = [start, delta(0, { text: "a" }), stop(0)]
  for (const events of [
    [end(), told],
    [told, end()],
    [end(), told, told, delta(1, { text: "late" })]
  ])
    expect(finishOf(run([...open, ...events]))).toMatchObject({ reason: "stop", usage: { outputTokens: { total: 5 } } })
  expect(finishOf(run([...open, end()]))).toMatchObject({
    reason: "stop",
    usage: { inputTokens: {}, outputTokens: {} }
  })
  for (const events of [open, [...open, told], [...open, end(null), told], []])
    expect(finishOf(run(events))).toBe(undefined)
  const beforeInputEnds = (events: ReadonlyArray<Event>) => {
    let state = BedrockConverseStream.initial(options)
    for (const [event, data] of events)
      state = BedrockConverseStream.step(state, { event, data: JSON.stringify(data) })[0]
    return state.done
  }
  expect(beforeInputEnds([...open, end()])).toBe(false)
  expect(beforeInputEnds([...open, end(), told])).toBe(true)
})

it("keeps the signature of reasoning, and reasoning that is hidden", () => {
  const [one, two] = [Buffer.from("hidden "), Buffer.from("thought")].map((bytes) => bytes.toString("base64"))
  const whole = Buffer.from("hidden thought").toString("base64")
  const parts = run([
    start,
    delta(0, { reasoningContent: { text: "h" } }),
    delta(0, { reasoningContent: { text: "m" } }),
    delta(0, { reasoningContent: { text: "" } }),
    delta(0, { reasoningContent: { signature: "ab" } }),
    delta(0, { reasoningContent: { signature: "cd" } }),
    stop(0),
    delta(1, { reasoningContent: { redactedContent: one } }),
    delta(1, { reasoningContent: { redactedContent: two } }),
    stop(1),
    delta(2, { reasoningContent: { text: "unsigned" } }),
    stop(2),
    end(),
    told
  ])
  const folded = LlmReply.fold(parts)
  expect(folded.slice(0, 3)).toEqual([
    { type: "reasoning", text: "hm", metadata: { bedrock: { signature: "abcd" } } },
    { type: "reasoning", text: "", metadata: { bedrock: { redactedContent: whole } } },
    { type: "reasoning", text: "unsigned" }
  ])
  const buffered = parse(
    reply([
      { reasoningContent: { reasoningText: { text: "hm", signature: "abcd" } } },
      { reasoningContent: { redactedContent: whole } },
      { reasoningContent: { reasoningText: { text: "unsigned" } } }
    ])
  )
  expect(LlmReply.fold(buffered)).toEqual(folded)
})

it("gives tool calls, interleaved and without arguments", () => {
  const parts = run([
    start,
    begin(0, {}),
    delta(0, { text: "a" }),
    stop(0),
    begin(1, { toolUse: { toolUseId: "a", name: "f" } }),
    begin(2, { toolUse: { toolUseId: "b", name: "g" } }),
    delta(1, { toolUse: { input: "" } }),
    delta(1, { toolUse: { input: '{"x"' } }),
    delta(1, { toolUse: { input: ":1}" } }),
    stop(1),
    stop(2),
    end("tool_use"),
    told
  ])
  expect(LlmReply.toAnswer(parts, []).toolCalls.map(({ id, name, params }) => [id, name, params])).toEqual([
    ["a", "f", { x: 1 }],
    ["b", "g", {}]
  ])
  expect(finishOf(parts)?.reason).toBe("tool-calls")
  const buffered = parse(
    reply(
      [
        { text: "a" },
        { toolUse: { toolUseId: "a", name: "f", input: { x: 1 } } },
        { toolUse: { toolUseId: "b", name: "g", input: {} } }
      ],
      "tool_use"
    )
  )
  expect(LlmReply.fold(buffered)).toEqual(LlmReply.fold(parts))
})

it("fails when arguments are no JSON, unless the limit or a guardrail cut them", () => {
  const open = [
    start,
    begin(0, { toolUse: { toolUseId: "a", name: "f" } }),
    delta(0, { toolUse: { input: '{"x"' } }),
    stop(0)
  ]
  expect(errorOf(run([...open, end("tool_use"), told]))?.reason._tag).toBe("MalformedOutput")
  for (const [stated, reason] of [
    ["max_tokens", "length"],
    ["guardrail_intervened", "content-filter"]
  ] as const) {
    const parts = run([...open, end(stated), told])
    expect(typesOf(parts)).not.toContain("tool-call")
    expect(finishOf(parts)).toMatchObject({
      reason,
      metadata: { bedrock: { incompleteToolCalls: [{ id: "a", name: "f", arguments: '{"x"' }] } }
    })
  }
})

it("gives citations as sources before their text", () => {
  const page = {
    location: { documentPage: { documentIndex: 0, start: 1, end: 2 } },
    sourceContent: [{ text: "quoted" }],
    title: "doc"
  }
  const web = { location: { web: { url: "https://a.test/", domain: "a.test" } } }
  const parts = run([
    start,
    delta(0, { citation: page }),
    delta(0, { citation: web }),
    delta(0, { text: "a" }),
    stop(0),
    end(),
    told
  ])
  expect(LlmReply.fold(parts).slice(0, 3)).toEqual([
    {
      type: "source",
      sourceType: "document",
      id: "source-0",
      mediaType: "application/pdf",
      title: "doc",
      metadata: { bedrock: { citation: page } }
    },
    {
      type: "source",
      sourceType: "url",
      id: "source-1",
      url: "https://a.test/",
      title: "https://a.test/",
      metadata: { bedrock: { citation: web } }
    },
    { type: "text", text: "a" }
  ])
  const buffered = parse(reply([{ citationsContent: { content: [{ text: "a" }], citations: [page, web] } }]))
  expect(LlmReply.fold(buffered)).toEqual(LlmReply.fold(parts))
})

it("gives images as files", () => {
  const data = Buffer.from("png").toString("base64")
  const parts = run([
    start,
    begin(0, { image: { format: "webp" } }),
    delta(0, { image: { source: { bytes: data } } }),
    stop(0),
    end(),
    told
  ])
  expect(parts[0]).toEqual({ type: "file", mediaType: "image/webp", data })
  expect(parse(reply([{ image: { format: "webp", source: { bytes: data } } }]))[0]).toEqual(parts[0])
})

it("carries blocks, deltas and events without a part of their own", () => {
  const server = { toolUse: { toolUseId: "s", name: "nova_grounding", type: "server_tool_use" } }
  const parts = run([
    start,
    begin(0, server),
    delta(0, { toolUse: { input: '{"q":1}' } }),
    stop(0),
    begin(1, { brandNew: { a: [1] } }),
    stop(1),
    delta(2, { brandNewDelta: 2 }),
    delta(3, { toolUse: { input: "orphan" } }),
    ["brandNewEvent", { contentBlockIndex: 0, c: 3, p: "padding" }],
    end("end_turn", { additionalModelResponseFields: { delta: { stop_sequence: "x" } } }),
    ["metadata", { usage, trace: { guardrail: { b: 1 } }, serviceTier: { type: "priority" } }]
  ])
  const carried = parts.flatMap((part) =>
    part.type === "response-metadata" && part.metadata ? [part.metadata["bedrock"]] : []
  )
  expect(carried).toEqual([
    { block: { ...server, deltas: [{ toolUse: { input: '{"q":1}' } }] } },
    { block: { brandNew: { a: [1] } } },
    { delta: { brandNewDelta: 2 } },
    { delta: { toolUse: { input: "orphan" } } },
    { event: { type: "brandNewEvent", c: 3 } }
  ])
  expect(finishOf(parts)?.metadata).toEqual({
    bedrock: {
      stopReason: "end_turn",
      usage,
      trace: { guardrail: { b: 1 } },
      serviceTier: { type: "priority" },
      additionalModelResponseFields: { delta: { stop_sequence: "x" } }
    }
  })
  expect(parse(reply([{ brandNew: { a: [1] } }]))[0]).toEqual({
    type: "response-metadata",
    metadata: { bedrock: { block: { brandNew: { a: [1] } } } }
  })
})

it("loses no text, however its block was announced", () => {
  for (const announced of [{}, { text: "" }, { reasoningContent: {} }, { brandNew: {} }]) {
    const parts = run([
      start,
      begin(0, announced),
      delta(0, { reasoningContent: { text: "r" } }),
      stop(0),
      begin(1, announced),
      delta(1, { text: "t" }),
      stop(1),
      end(),
      told
    ])
    expect(LlmReply.toAnswer(parts, [])).toMatchObject({ reasoning: "r", text: "t" })
  }
})

it("ends a block that turns into another, and one that nobody stopped", () => {
  const parts = run([start, delta(0, { reasoningContent: { text: "a" } }), delta(0, { text: "b" }), end(), told])
  expect(typesOf(parts)).toEqual([
    "reasoning-start",
    "reasoning-delta",
    "reasoning-end",
    "text-start",
    "text-delta",
    "text-end",
    "finish"
  ])
})

it("adds the cache to the input", () => {
  const cached = { ...usage, cacheReadInputTokens: 7, cacheWriteInputTokens: 2, cacheDetails: [{ ttl: "5m" }] }
  const parts = run([start, delta(0, { text: "a" }), end(), ["metadata", { usage: cached }]])
  expect(finishOf(parts)?.usage).toEqual({
    inputTokens: { total: 19, uncached: 10, cacheRead: 7, cacheWrite: 2 },
    outputTokens: { total: 5, text: undefined, reasoning: undefined }
  })
  expect(finishOf(parts)?.metadata).toMatchObject({ bedrock: { usage: { cacheDetails: [{ ttl: "5m" }] } } })
})

it("reads every reason, and does not break at one it does not know", () => {
  const cases: Record<string, string | undefined> = {
    end_turn: "stop",
    stop_sequence: "stop",
    max_tokens: "length",
    model_context_window_exceeded: "length",
    tool_use: "tool-calls",
    guardrail_intervened: "content-filter",
    content_filtered: "content-filter",
    malformed_model_output: undefined,
    malformed_tool_use: undefined,
    brand_new: "other",
    toString: "other"
  }
  for (const [stated, reason] of Object.entries(cases)) {
    const parts = run([start, delta(0, { text: "a" }), end(stated), told])
    expect([stated, finishOf(parts)?.reason]).toEqual([stated, reason])
    expect([stated, errorOf(parts)?.reason._tag]).toEqual([
      stated,
      reason === undefined ? "MalformedOutput" : undefined
    ])
  }
})

it("fails at an exception and at an event that is no JSON", () => {
  const failing = (data: unknown) => errorOf(run([start, ["exception", data], end(), told]))
  const tags: Record<string, string> = {
    throttlingException: "RateLimited",
    modelStreamErrorException: "ProviderError",
    internalServerException: "ProviderError",
    validationException: "InvalidRequest",
    serviceUnavailableException: "Overloaded",
    modelTimeoutException: "ProviderError",
    brandNewException: "Unknown"
  }
  for (const [type, tag] of Object.entries(tags)) {
    const error = failing({ __type: type, message: "said" })
    expect([type, error?.reason._tag, error?.detail]).toEqual([type, tag, "said"])
  }
  expect(failing({})?.reason._tag).toBe("Unknown")
  expect(
    failing({ __type: "validationException", message: "Input is too long for requested model." })?.reason._tag
  ).toBe("ContextLength")
  expect(errorOf(run([start, ["contentBlockDelta", "{"]]))?.reason._tag).toBe("MalformedOutput")
})

it("survives fields of any type", () => {
  for (const value of [null, 1, "x", [], {}, [null], true]) {
    for (const key of ["contentBlockIndex", "start", "delta", "usage", "role"])
      for (const type of ["messageStart", "contentBlockStart", "contentBlockDelta", "contentBlockStop", "new"])
        expect(finishOf(run([start, [type, { [key]: value }], end("max_tokens"), told]))?.reason).toBe("length")
    for (const key of ["text", "reasoningContent", "toolUse", "citation", "image", "toolResult"]) {
      expect(
        finishOf(run([start, begin(0, { [key]: value }), delta(0, { [key]: value }), end("max_tokens")]))
      ).toBeDefined()
      expect(parse(reply([{ [key]: value }], "max_tokens")).at(-1)?.type).toBe("finish")
    }
  }
})

it("parses buffered replies, and fails at what is none", () => {
  expect(finishOf(parse({ output: { message: { content: [] } } }))?.reason).toBe("unknown")
  const guarded = parse(reply([{ text: "Sorry." }], "guardrail_intervened", { trace: { guardrail: { a: 1 } } }))
  expect(finishOf(guarded)).toMatchObject({
    reason: "content-filter",
    usage: { inputTokens: { total: 10 } },
    metadata: { bedrock: { trace: { guardrail: { a: 1 } }, metrics: { latencyMs: 234 } } }
  })
  for (const body of [{}, { output: {} }, { output: { message: { content: "x" } } }])
    expect(errorOf(parse(body))?.reason._tag).toBe("MalformedOutput")
  expect(
    errorOf(parse({ Output: { __type: "com.amazon.coral.service#UnknownOperationException" }, Version: "1.0" }))?.reason
  ).toEqual({ _tag: "ModelNotFound" })
})

it("gives the same parts wherever the stream is cut", () => {
  const events: ReadonlyArray<Event> = [
    start,
    delta(0, { reasoningContent: { text: "denk 語" } }),
    delta(0, { reasoningContent: { signature: "sig" } }),
    stop(0),
    delta(1, { citation: { location: { documentChar: { start: 0 } }, title: "d" } }),
    delta(1, { text: "héllo 🙂" }),
    stop(1),
    begin(2, { toolUse: { toolUseId: "a", name: "f" } }),
    delta(2, { toolUse: { input: '{"x":' } }),
    delta(2, { toolUse: { input: "[1]}" } }),
    stop(2),
    end("tool_use"),
    told
  ]
  const whole = run(events)
  const bytes = joined(...events.map(([type, data]) => message(type, data)))
  const random = seeded(11)
  for (let at = 0; at <= bytes.length; at += 3) expect(readBytes([bytes.slice(0, at), bytes.slice(at)])).toEqual(whole)
  for (let round = 0; round < 20; round++) expect(readBytes(cut(bytes, random))).toEqual(whole)
  const broken = joined(
    ...events.slice(0, 6).map(([type, data]) => message(type, data)),
    exception("throttlingException", {})
  )
  const parts = readBytes([broken])
  expect(errorOf(parts)?.reason._tag).toBe("RateLimited")
  for (let round = 0; round < 20; round++) expect(typesOf(readBytes(cut(broken, random)))).toEqual(typesOf(parts))
})
