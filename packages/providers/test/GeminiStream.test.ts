import { LlmError, LlmReply, type Part } from "@echelon/core"
import { type Json, Sse } from "@echelon/providers"
import * as Gemini from "@echelon/providers/Gemini"
import { expect, it } from "@effect/vitest"
import type { Prompt } from "effect/ai"
import { cut, optionsOf, requestOf, seeded, sse } from "./Support.ts"

const options = optionsOf("gemini", { model: "gemini-2.5-flash" })

const readBytes = (chunks: ReadonlyArray<Uint8Array>) => {
  const reader = Gemini.protocol.reader(options)
  let state = Sse.initial
  const parts: Array<Part.Part> = []
  for (const chunk of chunks) {
    const [next, events] = Sse.step(state, chunk, 1 << 20)
    state = next
    for (const event of events) parts.push(...reader.push(event))
  }
  for (const event of Sse.flush(state)) parts.push(...reader.push(event))
  return [...parts, ...reader.end()]
}

const bytesOf = (...chunks: ReadonlyArray<unknown>) => new TextEncoder().encode(sse(...chunks))

/** Reads a stream whole and cut at random places, which must not tell. */
const read = (...chunks: ReadonlyArray<unknown>) => {
  const bytes = bytesOf(...chunks)
  const parts = readBytes([bytes])
  for (let seed = 1; seed <= 3; seed++) expect(readBytes(cut(bytes, seeded(seed)))).toEqual(parts)
  return parts
}

const parse = (body: unknown) => Gemini.protocol.parse(body as Json.JsonObject, options)

const reply = (parts: ReadonlyArray<unknown>, candidate: object = {}, more: object = {}) => ({
  candidates: [{ content: { role: "model", parts }, index: 0, ...candidate }],
  ...more
})

const stop = { finishReason: "STOP" }

const errorIn = (parts: ReadonlyArray<Part.Part>) => {
  const last = parts.at(-1)
  if (last?.type !== "error" || !LlmError.isLlmError(last.error)) throw new Error(`no error but ${last?.type}`)
  return last.error
}

const finishIn = (parts: ReadonlyArray<Part.Part>) => {
  const last = parts.at(-1)
  if (last?.type !== "finish") throw new Error(`no finish but ${JSON.stringify(last)}`)
  return { ...last, own: last.metadata?.["gemini"] as Record<string, unknown> }
}

const typesOf = (parts: ReadonlyArray<Part.Part>) => parts.map((part) => part.type)

it("reads text, thought and their signatures", () => {
  const parts = read(
    reply([{ text: "Let me ", thought: true }], {}, { responseId: "r1", modelVersion: "gemini-2.5-flash-001" }),
    reply([{ text: "see.", thought: true, thoughtSignature: "s1" }]),
    reply([{ text: "On" }, { text: "e" }]),
    reply([{ text: "", thoughtSignature: "s2" }]),
    reply([{ text: "Two" }], stop, { createTime: "2026-04-02T17:03:50.399550Z", responseId: "later" })
  )
  expect(parts).toEqual([
    { type: "response-metadata", id: "r1", modelId: "gemini-2.5-flash-001" },
    { type: "reasoning-start", id: "0" },
    { type: "reasoning-delta", id: "0", delta: "Let me " },
    { type: "reasoning-delta", id: "0", delta: "see." },
    { type: "reasoning-end", id: "0", metadata: { gemini: { thought: true, thoughtSignature: "s1" } } },
    { type: "text-start", id: "1" },
    { type: "text-delta", id: "1", delta: "On" },
    { type: "text-delta", id: "1", delta: "e" },
    { type: "text-end", id: "1", metadata: { gemini: { thoughtSignature: "s2" } } },
    { type: "text-start", id: "2" },
    { type: "text-delta", id: "2", delta: "Two" },
    { type: "text-end", id: "2" },
    {
      type: "finish",
      reason: "stop",
      usage: { inputTokens: {}, outputTokens: {} },
      metadata: { gemini: { finishReason: "STOP" } }
    }
  ])
})

it("tells when and what answered, once", () => {
  const head = { modelVersion: "m", createTime: "2026-04-02T17:03:50.399550Z" }
  expect(
    read(reply([{ text: "a" }], stop, head), reply([], {}, head)).filter((p) => p.type === "response-metadata")
  ).toEqual([{ type: "response-metadata", modelId: "m", timestamp: "2026-04-02T17:03:50.399Z" }])
  expect(parse(reply([{ text: "a" }], stop, { responseId: "r", createTime: "soon" }))[0]).toEqual({
    type: "response-metadata",
    id: "r"
  })
  expect(parse(reply([{ text: "a" }], stop))[0]?.type).toBe("text-start")
})

it("gives the same answer buffered as streamed", () => {
  const whole = reply(
    [
      { text: "think", thought: true },
      { text: "say", thoughtSignature: "s" },
      { functionCall: { name: "f", args: { a: [1, { b: null }] } }, thoughtSignature: "t" },
      { functionCall: { name: "g", args: {} } }
    ],
    { ...stop, avgLogprobs: -0.5 },
    { responseId: "r", usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 2, totalTokenCount: 3 } }
  )
  const [candidate] = whole.candidates
  const pieces = candidate?.content.parts.map((part) => reply([part], {}, { responseId: "r" })) ?? []
  const { content: _, ...rest } = candidate as { content: unknown }
  const streamed = read(...pieces, { ...whole, candidates: [rest] })
  expect(LlmReply.fold(streamed)).toEqual(LlmReply.fold(parse(whole)))
  expect(LlmReply.toAnswer(streamed, []).text).toBe("say")
})

it("gives calls without ids an id of their own, and keeps the server's", () => {
  const parts = read(
    reply(
      [{ functionCall: { name: "f", args: { a: 1 } }, thoughtSignature: "s" }, { functionCall: { name: "f" } }],
      {},
      {
        responseId: "r"
      }
    ),
    reply([{ functionCall: { id: "own", name: "g", args: {} } }], stop)
  )
  expect(parts.filter((part) => part.type === "tool-call")).toEqual([
    { type: "tool-call", id: "r_call_0", name: "f", params: { a: 1 }, metadata: { gemini: { thoughtSignature: "s" } } },
    { type: "tool-call", id: "r_call_1", name: "f", params: {} },
    { type: "tool-call", id: "own", name: "g", params: {}, metadata: { gemini: { id: "own" } } }
  ])
  expect(typesOf(parts).slice(1, 5)).toEqual(["tool-params-start", "tool-params-delta", "tool-params-end", "tool-call"])
  expect(parts[2]).toEqual({ type: "tool-params-delta", id: "r_call_0", delta: '{"a":1}' })
  expect(finishIn(parts).reason).toBe("tool-calls")
  expect(finishIn(parse(reply([{ functionCall: { name: "f" } }], { finishReason: "FUNCTION_CALL" }))).reason).toBe(
    "tool-calls"
  )
  expect(finishIn(parse(reply([{ functionCall: { name: "f" } }], { finishReason: "MAX_TOKENS" }))).reason).toBe(
    "length"
  )
})

const piece = (jsonPath: string, value: object, willContinue?: boolean) => ({
  jsonPath,
  ...value,
  ...(willContinue === undefined ? {} : { willContinue })
})

const streamedCall = (...lists: ReadonlyArray<ReadonlyArray<unknown>>) => [
  reply([{ functionCall: { name: "f", willContinue: true } }]),
  ...lists.map((partialArgs) => reply([{ functionCall: { partialArgs, willContinue: true } }])),
  reply([{ functionCall: {} }], stop)
]

it("puts streamed arguments together", () => {
  const parts = read(
    ...streamedCall(
      [piece("$.city", { stringValue: "San " }, true)],
      [piece("$.city", { stringValue: "Francisco" }, true)],
      [piece("$.city", { stringValue: "" }), piece("$.days", { numberValue: 0 })],
      [piece("$.list[0].on", { boolValue: false }), piece("$.list[1]", { nullValue: "NULL_VALUE" })],
      [piece("$['a.b']['it\\'s']", { stringValue: "x" }), piece('$["c"]', { stringValue: "y" }, true)],
      // Another value in between ends a text: what comes then replaces it.
      [piece("$.days", { numberValue: 2 }), piece('$["c"]', { stringValue: "z" })],
      [piece("$.unset", {})]
    )
  )
  expect(parts.find((part) => part.type === "tool-call")).toMatchObject({
    id: "reply_call_0",
    name: "f",
    params: { city: "San Francisco", days: 2, list: [{ on: false }, null], "a.b": { "it's": "x" }, c: "z" }
  })
  expect(typesOf(parts)).toEqual(["tool-params-start", "tool-params-delta", "tool-params-end", "tool-call", "finish"])
  expect(finishIn(parts).reason).toBe("tool-calls")
})

it("tells streamed calls apart", () => {
  const parts = read(
    reply([{ functionCall: { name: "f", willContinue: true }, thoughtSignature: "s" }]),
    reply([{ functionCall: { name: "f", partialArgs: [piece("$.a", { numberValue: 1 })], willContinue: true } }]),
    // A new name ends the call before it.
    reply([{ functionCall: { name: "g", willContinue: true } }]),
    reply([{ functionCall: { partialArgs: [piece("$.b", { numberValue: 2 })] } }]),
    // An end that comes twice.
    reply([{ functionCall: {} }]),
    reply([{ functionCall: { name: "g", args: { c: 3 } } }], stop)
  )
  expect(parts.flatMap((part) => (part.type === "tool-call" ? [[part.name, part.params, part.metadata]] : []))).toEqual(
    [
      ["f", { a: 1 }, { gemini: { thoughtSignature: "s" } }],
      ["g", { b: 2 }, undefined],
      ["g", { c: 3 }, undefined]
    ]
  )
  expect(finishIn(parts).reason).toBe("tool-calls")
})

it("makes no call of arguments that do not fit", () => {
  const deep = `$${".a".repeat(100)}`
  for (const pieces of [
    [piece("city", { stringValue: "x" })],
    [piece("$.a[1]", { stringValue: "x" })],
    [piece("$.a[99999999]", { stringValue: "x" })],
    [piece("$.a", { stringValue: "x" }), piece("$.a.b", { stringValue: "x" })],
    [piece("$.a", { stringValue: "x" }), piece("$.a[0]", { stringValue: "x" })],
    [piece("$.__proto__.x", { stringValue: "x" })],
    [piece("$..a", { stringValue: "x" })],
    [piece("$['a", { stringValue: "x" })],
    [piece(deep, { stringValue: "x" })],
    [5]
  ]) {
    const parts = read(...streamedCall(pieces))
    expect(errorIn(parts).reason._tag).toBe("MalformedOutput")
    expect(typesOf(parts)).not.toContain("tool-call")
  }
  expect(errorIn(parse(reply([{ functionCall: { args: { a: 1 } } }], stop))).reason._tag).toBe("MalformedOutput")
  // Cut short by the limit it is no failure.
  const parts = read(
    reply([{ functionCall: { name: "f", willContinue: true } }]),
    reply([{ functionCall: { partialArgs: [piece("$.a", { numberValue: 1 })], willContinue: true } }], {
      finishReason: "MAX_TOKENS"
    })
  )
  expect(finishIn(parts).reason).toBe("length")
  expect(finishIn(parts).own["incomplete_tool_calls"]).toEqual([{ id: "reply_call_0", name: "f", arguments: { a: 1 } }])
  const open = read(reply([{ functionCall: { name: "f", willContinue: true } }], stop))
  expect(errorIn(open).reason._tag).toBe("MalformedOutput")
})

it("reads why an answer ended", () => {
  const cases: Readonly<Record<string, Part.FinishReason>> = {
    STOP: "stop",
    MAX_TOKENS: "length",
    SAFETY: "content-filter",
    RECITATION: "content-filter",
    LANGUAGE: "content-filter",
    BLOCKLIST: "content-filter",
    PROHIBITED_CONTENT: "content-filter",
    SPII: "content-filter",
    IMAGE_SAFETY: "content-filter",
    OTHER: "other",
    NO_IMAGE: "other",
    SOMETHING_NEW: "other",
    FINISH_REASON_UNSPECIFIED: "unknown"
  }
  for (const [finishReason, reason] of [...Object.entries(cases), ["constructor", "other"]]) {
    const parts = read(reply([{ text: "x" }], { finishReason, finishMessage: "m" }))
    expect([finishReason, finishIn(parts).reason]).toEqual([finishReason, reason])
    expect(finishIn(parts).own).toEqual({ finishReason, finishMessage: "m" })
  }
  expect(finishIn(parse(reply([{ text: "x" }]))).reason).toBe("unknown")
  expect(finishIn(parse(reply([], stop))).reason).toBe("stop")
})

it("fails where the end is a failure, without the words of the model", () => {
  for (const finishReason of [
    "MALFORMED_FUNCTION_CALL",
    "MALFORMED_RESPONSE",
    "UNEXPECTED_TOOL_CALL",
    "TOO_MANY_TOOL_CALLS"
  ]) {
    const chunk = reply([{ text: "x" }], { finishReason, finishMessage: "Malformed function call: print(secret)" })
    for (const parts of [read(chunk), parse(chunk)]) {
      expect(errorIn(parts).reason._tag).toBe("MalformedOutput")
      expect(errorIn(parts).message).not.toContain("secret")
    }
  }
  const parts = parse(reply([], { finishReason: "MISSING_THOUGHT_SIGNATURE" }))
  expect(errorIn(parts).reason._tag).toBe("InvalidRequest")
})

it("tells a refusal from an answer that was cut short", () => {
  for (const finishReason of ["SAFETY", "RECITATION", "PROHIBITED_CONTENT"]) {
    const empty = reply([], { finishReason })
    for (const parts of [read(empty), parse(empty), read(reply([{ text: "" }]), empty)]) {
      expect(errorIn(parts).reason._tag).toBe("ContentPolicy")
      expect(errorIn(parts).detail).toBe(`the answer was withheld (${finishReason})`)
    }
    expect(finishIn(read(reply([{ text: "x" }]), empty)).reason).toBe("content-filter")
  }
  const blocked = { promptFeedback: { blockReason: "SAFETY", safetyRatings: [{ blocked: true }] } }
  for (const parts of [read(blocked, reply([{ text: "late" }], stop)), parse(blocked)]) {
    expect(parts).toHaveLength(1)
    expect(errorIn(parts).reason._tag).toBe("ContentPolicy")
    expect(errorIn(parts).detail).toBe("the prompt was blocked (SAFETY)")
  }
  const late = finishIn(read(reply([{ text: "x" }]), blocked))
  expect(late.reason).toBe("content-filter")
  expect(late.own["promptFeedback"]).toEqual(blocked.promptFeedback)
  const same = { ...reply([{ text: "x" }], stop), ...blocked }
  expect(finishIn(parse(same)).reason).toBe("content-filter")
  const harmless = { promptFeedback: { blockReason: "BLOCK_REASON_UNSPECIFIED" } }
  expect(finishIn(read(harmless, reply([{ text: "x" }], stop))).reason).toBe("stop")
})

it("takes an answer without a reason for cut off", () => {
  expect(typesOf(read(reply([{ text: "x" }])))).toEqual(["text-start", "text-delta"])
  expect(read()).toEqual([])
  expect(typesOf(read(reply([{ text: "x" }], stop), "[DONE]"))).toContain("finish")
})

it("goes on after the reason: sources and figures may follow", () => {
  const parts = read(
    reply([{ text: "a" }], stop),
    reply(
      [{ text: "b" }],
      { ...stop, groundingMetadata: { groundingChunks: [{ web: { uri: "https://a.test" } }] } },
      {
        usageMetadata: { promptTokenCount: 1, candidatesTokenCount: 2, totalTokenCount: 3 }
      }
    )
  )
  expect(LlmReply.toAnswer(parts, []).text).toBe("ab")
  expect(typesOf(parts)).toEqual(["text-start", "text-delta", "text-delta", "source", "text-end", "finish"])
  expect(finishIn(parts).usage.inputTokens.total).toBe(1)
})

it("counts what was used", () => {
  const usage = (...list: ReadonlyArray<object>) => {
    const parts = read(
      ...list.map((usageMetadata, at) => reply([{ text: "x" }], at === 0 ? stop : {}, { usageMetadata }))
    )
    const { inputTokens, outputTokens } = finishIn(parts).usage
    return [inputTokens.total, inputTokens.uncached, inputTokens.cacheRead, outputTokens.total, outputTokens.reasoning]
  }
  const full = {
    promptTokenCount: 100,
    cachedContentTokenCount: 40,
    toolUsePromptTokenCount: 5,
    candidatesTokenCount: 20,
    thoughtsTokenCount: 7,
    totalTokenCount: 132
  }
  expect(usage(full)).toEqual([105, 65, 40, 27, 7])
  // Totals run on; what a later event leaves out stays.
  expect(
    usage({ promptTokenCount: 100, thoughtsTokenCount: 7 }, { candidatesTokenCount: 20, thoughtsTokenCount: null })
  ).toEqual([100, 100, undefined, 27, 7])
  expect(usage({ promptTokenCount: 9, thoughtsTokenCount: 5, totalTokenCount: 14 })).toEqual([9, 9, undefined, 5, 5])
  expect(usage({ promptTokenCount: 9, totalTokenCount: 14 })).toEqual([9, 9, undefined, 5, undefined])
  // A server whose answer includes the thoughts.
  expect(usage({ promptTokenCount: 9, candidatesTokenCount: 5, thoughtsTokenCount: 3, totalTokenCount: 14 })).toEqual([
    9,
    9,
    undefined,
    5,
    3
  ])
  expect(usage({ trafficType: "ON_DEMAND" })).toEqual([undefined, undefined, undefined, undefined, undefined])
  expect(usage({ promptTokenCount: -1, candidatesTokenCount: "2" })).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
    undefined
  ])
  const parts = parse(reply([{ text: "x" }], stop, { usageMetadata: full }))
  expect(finishIn(parts).own["usageMetadata"]).toEqual(full)
})

it("names what an answer stands on, each once", () => {
  const web = { web: { uri: "https://a.test/1", title: "A" } }
  const maps = { maps: { uri: "https://maps.test/2" } }
  const document = { retrievedContext: { title: "notes.txt", text: "…" } }
  const image = { image: { sourceUri: "https://i.test", title: "I" } }
  const citation = { startIndex: 0, endIndex: 4, uri: "https://c.test", license: "mit" }
  const grounded = { groundingChunks: [web, maps, document, image, "x", { web: {} }], webSearchQueries: ["q"] }
  const parts = read(
    reply([{ text: "x" }], { groundingMetadata: { groundingChunks: [web] } }),
    reply([], {
      ...stop,
      groundingMetadata: grounded,
      citationMetadata: {
        citationSources: [citation, { license: "x" }],
        citations: [{ uri: "https://d.test", title: "D" }]
      }
    })
  )
  expect(parts.filter((part) => part.type === "source")).toEqual([
    {
      type: "source",
      sourceType: "url",
      id: "source-0",
      url: "https://a.test/1",
      title: "A",
      metadata: { gemini: { groundingChunk: web } }
    },
    {
      type: "source",
      sourceType: "url",
      id: "source-1",
      url: "https://maps.test/2",
      title: "https://maps.test/2",
      metadata: { gemini: { groundingChunk: maps } }
    },
    {
      type: "source",
      sourceType: "document",
      id: "source-2",
      mediaType: "text/plain",
      title: "notes.txt",
      metadata: { gemini: { groundingChunk: document } }
    },
    {
      type: "source",
      sourceType: "url",
      id: "source-3",
      url: "https://i.test",
      title: "I",
      metadata: { gemini: { groundingChunk: image } }
    },
    {
      type: "source",
      sourceType: "url",
      id: "source-4",
      url: "https://c.test",
      title: "https://c.test",
      metadata: { gemini: { citation } }
    },
    {
      type: "source",
      sourceType: "url",
      id: "source-5",
      url: "https://d.test",
      title: "D",
      metadata: { gemini: { citation: { uri: "https://d.test", title: "D" } } }
    }
  ])
  expect(finishIn(parts).own["groundingMetadata"]).toEqual(grounded)
})

it("gives files, and carries those that were only thought of", () => {
  const inlineData = { mimeType: "image/png", data: "aGk=" }
  const parts = read(
    reply(
      [{ text: "see" }, { inlineData, thought: true }, { inlineData, thoughtSignature: "s" }, { inlineData: {} }],
      stop
    )
  )
  expect(parts.filter((part) => part.type !== "finish").slice(2)).toEqual([
    { type: "response-metadata", metadata: { gemini: { part: { inlineData, thought: true } } } },
    { type: "text-end", id: "0" },
    { type: "file", mediaType: "image/png", data: "aGk=", metadata: { gemini: { thoughtSignature: "s" } } },
    { type: "response-metadata", metadata: { gemini: { part: { inlineData: {} } } } }
  ])
})

it("adds up log probabilities", () => {
  const logprobs = (token: string, sum: number) => ({
    logprobsResult: { chosenCandidates: [{ token }], topCandidates: [{ candidates: [] }], logProbabilitySum: sum }
  })
  const parts = read(
    reply([{ text: "a" }], logprobs("a", -1)),
    reply([{ text: "b" }], { ...stop, ...logprobs("b", -2) })
  )
  expect(finishIn(parts).own["logprobsResult"]).toEqual({
    chosenCandidates: [{ token: "a" }, { token: "b" }],
    topCandidates: [{ candidates: [] }, { candidates: [] }],
    logProbabilitySum: -2
  })
})

it("carries what it does not know, and reads the first candidate only", () => {
  const code = { executableCode: { language: "PYTHON", code: "1" }, thoughtSignature: "s" }
  const other = { index: 1, content: { parts: [{ text: "no" }] }, finishReason: "SAFETY" }
  const whole = reply([{ text: "a" }, code, { text: "b", mediaResolution: "low" }, null, 5, {}], {
    ...stop,
    safetyRatings: [{ category: "c" }],
    newField: 1
  })
  const chunk = { ...whole, candidates: [...whole.candidates, other, "x"], modelStatus: { stage: "new" } }
  for (const parts of [read(chunk), parse(chunk)]) {
    const answer = LlmReply.toAnswer(parts, [])
    expect(answer.text).toBe("ab")
    expect(answer.content.flatMap((part) => (part.type === "text" ? [part.text] : []))).toEqual(["a", "b"])
    expect(finishIn(parts).reason).toBe("stop")
    expect(finishIn(parts).own).toEqual({
      finishReason: "STOP",
      safetyRatings: [{ category: "c" }],
      newField: 1,
      modelStatus: { stage: "new" }
    })
    expect(parts.flatMap((part) => (part.type === "response-metadata" ? [part.metadata?.["gemini"]] : []))).toEqual([
      { part: code },
      { part: { mediaResolution: "low" } },
      { candidate: other }
    ])
  }
  expect(LlmReply.toAnswer(read({ kind: "unheard" }, {}, reply([{ text: "a" }], stop)), []).text).toBe("a")
})

it("fails by the code of an error that comes in a stream", () => {
  const error = { code: 503, message: "busy", status: "UNAVAILABLE" }
  const parts = read(reply([{ text: "x" }]), { error }, reply([{ text: "late" }], stop))
  expect(typesOf(parts)).toEqual(["text-start", "text-delta", "error"])
  expect(errorIn(parts).reason._tag).toBe("Overloaded")
  expect(errorIn(parse({ error: { code: 429, status: "RESOURCE_EXHAUSTED" } })).reason._tag).toBe("RateLimited")
  expect(errorIn(parse({ error: { code: 502 } })).reason._tag).toBe("ProviderError")
  expect(errorIn(parse({ error: "no" })).reason._tag).toBe("Unknown")
  for (const data of ["no json", "[]", "5"]) expect(errorIn(read(data)).reason._tag).toBe("MalformedOutput")
  for (const body of [{}, { candidates: [] }, { candidates: [5] }])
    expect(errorIn(parse(body)).reason._tag).toBe("MalformedOutput")
})

it("never throws, whatever comes", () => {
  const values = [null, 1, "x", true, [], {}, [null], { parts: 5 }, { text: 5 }, { functionCall: 5, inlineData: 5 }]
  const keys = ["candidates", "usageMetadata", "promptFeedback", "responseId", "createTime", "error"]
  const inner = ["content", "finishReason", "groundingMetadata", "citationMetadata", "logprobsResult", "index"]
  for (const value of values) {
    for (const key of keys) expect(() => read({ [key]: value })).not.toThrow()
    for (const key of inner) expect(() => read(reply([value], { ...stop, [key]: value }))).not.toThrow()
    const call = { functionCall: { name: value, args: value, partialArgs: value, id: value, willContinue: value } }
    expect(() => read(reply([call], stop))).not.toThrow()
  }
})

it("answers with what the next turn must carry", () => {
  const parts = read(
    reply(
      [
        { text: "why", thought: true },
        { text: "so", thoughtSignature: "s1" },
        { functionCall: { name: "f", args: { a: 1 } }, thoughtSignature: "s2" },
        { functionCall: { id: "own", name: "f", args: { a: 2 } } }
      ],
      stop,
      { responseId: "r" }
    )
  )
  const content = LlmReply.toAnswer(parts, []).content.flatMap(
    (part): ReadonlyArray<Prompt.AssistantMessagePartEncoded> =>
      part.type === "text" || part.type === "reasoning"
        ? [{ type: part.type, text: part.text, options: part.metadata ?? {} }]
        : part.type === "tool-call"
          ? [{ type: part.type, id: part.id, name: part.name, params: part.params, options: part.metadata ?? {} }]
          : []
  )
  const body = Gemini.protocol.lower(
    requestOf({
      prompt: [
        { role: "user", content: "hi" },
        { role: "assistant", content },
        {
          role: "tool",
          content: [
            { type: "tool-result", id: "own", name: "f", isFailure: false, result: 2 },
            { type: "tool-result", id: "r_call_0", name: "f", isFailure: false, result: 1 }
          ]
        }
      ]
    }),
    options,
    (field) => expect(field).toBe("nothing")
  )
  expect(body["contents"]).toEqual([
    { role: "user", parts: [{ text: "hi" }] },
    {
      role: "model",
      parts: [
        { text: "why", thought: true },
        { text: "so", thoughtSignature: "s1" },
        { functionCall: { name: "f", args: { a: 1 } }, thoughtSignature: "s2" },
        { functionCall: { id: "own", name: "f", args: { a: 2 } } }
      ]
    },
    {
      role: "user",
      parts: [
        { functionResponse: { name: "f", response: { output: 1 } } },
        { functionResponse: { id: "own", name: "f", response: { output: 2 } } }
      ]
    }
  ])
})
