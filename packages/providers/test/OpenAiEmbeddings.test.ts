import { LlmEmbedding, type Part } from "@echelon/core"
import { type Json, OpenAiEmbeddings, type Protocol, type Sse } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { optionsOf } from "./Support.ts"
import * as WireSamples from "./support/WireSamples.ts"

const { protocol } = OpenAiEmbeddings
const openai = optionsOf("openai", { model: "text-embedding-3-small" })

const requestOf = (input: LlmEmbedding.Input) => Effect.runSync(LlmEmbedding.make(input))

const lowered = (input: LlmEmbedding.Input, spoken: Protocol.Protocol = protocol) => {
  const dropped: Array<string> = []
  const body = spoken.lower(requestOf(input), openai, (field) => dropped.push(field))
  return { body, dropped }
}

const base64 = (...numbers: ReadonlyArray<number>) => {
  const bytes = Buffer.alloc(numbers.length * 4)
  for (const [at, number] of numbers.entries()) bytes.writeFloatLE(number, at * 4)
  return bytes.toString("base64")
}

const item = (embedding: unknown, index?: unknown) => ({
  object: "embedding",
  embedding,
  ...(index === undefined ? {} : { index })
})

/** As it comes over the wire. */
const wire = (body: object): Json.JsonObject => JSON.parse(JSON.stringify(body))

const reply = (data: unknown, more: object = {}): Json.JsonObject =>
  wire({
    object: "list",
    data,
    model: "text-embedding-3-small",
    usage: { prompt_tokens: 5, total_tokens: 5 },
    ...more
  })

const event = (data: unknown): Sse.Event => ({
  event: undefined,
  data: typeof data === "string" ? data : JSON.stringify(data)
})

/** What comes of a body: the vectors, or what is wrong. */
const read = (body: object) => {
  const parts = protocol.parse(wire(body), openai)
  const last = parts.at(-1)
  const answer = parts.find((part) => part.type === "embeddings")
  if (last?.type === "error") return last.error
  return answer?.vectors
}

const finishOf = (parts: ReadonlyArray<Part.Part>) => parts.find((part) => part.type === "finish")

// --- lowering a request -------------------------------------------------------------------------------------------

it("says texts, the length of the vectors and the provider's own options", () => {
  expect(lowered({ input: "one" }).body).toEqual({ model: "text-embedding-3-small", input: ["one"] })
  expect(
    lowered({
      input: ["one", [1, 2]],
      dimensions: 256,
      providerOptions: { openai: { user: "u", model: "other", encoding_format: "float" }, gemini: { title: "t" } }
    })
  ).toEqual({
    body: {
      model: "text-embedding-3-small",
      input: ["one", [1, 2]],
      dimensions: 256,
      user: "u",
      encoding_format: "float"
    },
    dropped: ["providerOptions.openai.model"]
  })
})

it("asks for base64 and names the length as the server does", () => {
  const other = OpenAiEmbeddings.make({ encoding: "base64", dimensionsField: "output_dimension" })
  expect(lowered({ input: ["one"], dimensions: 8 }, other).body).toEqual({
    model: "text-embedding-3-small",
    input: ["one"],
    output_dimension: 8,
    encoding_format: "base64"
  })
})

it("a body that came in by this protocol goes out as it came", () => {
  const body = { model: "front", input: "one", user: "u", stream: false, unheard_of: { x: 1 } }
  const raw = { protocol: "openai-embeddings", body }
  const base = OpenAiEmbeddings.make({ encoding: "base64" })
  expect(lowered({ input: ["one"], raw }, base).body).toEqual({
    model: "text-embedding-3-small",
    input: "one",
    user: "u",
    unheard_of: { x: 1 }
  })
  const other = OpenAiEmbeddings.make({ dimensionsField: "output_dimension" })
  expect(lowered({ input: ["one"], raw: { ...raw, body: { ...body, dimensions: 4 } } }, other).body).toMatchObject({
    output_dimension: 4
  })
  expect(lowered({ input: ["one"], dimensions: 7, raw }).body).toMatchObject({ dimensions: 7, input: "one" })
  // A body of another protocol stays behind.
  expect(lowered({ input: ["one"], raw: { protocol: "gemini-embeddings", body: { requests: [] } } }).body).toEqual({
    model: "text-embedding-3-small",
    input: ["one"]
  })
})

// --- parsing a buffered reply -------------------------------------------------------------------------------------

it("reads numbers and base64 alike, by their indexes", () => {
  expect(read(reply([item([0.5, -1], 0), item([2, 3], 1)]))).toEqual([
    [0.5, -1],
    [2, 3]
  ])
  expect(read(reply([item(base64(2, 3), 1), item(base64(0.5, -1), 0)]))).toEqual([
    [0.5, -1],
    [2, 3]
  ])
  expect(read(reply([item([1]), item([2])]))).toEqual([[1], [2]])
  // One third of a byte group is padding.
  expect(read(reply([item(base64(1), 0)]))).toEqual([[1]])
  expect(read(reply([item(base64(0.1), 0)]))).toEqual([[Math.fround(0.1)]])
})

it("keeps the usage, the names and what it has never heard of", () => {
  const parts = protocol.parse(reply([item([1], 0)], { id: "e1", system_fingerprint: "f" }), openai)
  expect(parts).toEqual([
    { type: "response-metadata", id: "e1", modelId: "text-embedding-3-small" },
    { type: "embeddings", vectors: [[1]] },
    {
      type: "finish",
      reason: "stop",
      usage: { inputTokens: { total: 5, uncached: 5 }, outputTokens: { total: 0 } },
      metadata: { openai: { system_fingerprint: "f", usage: { prompt_tokens: 5, total_tokens: 5 } } }
    }
  ])
  const bare = { data: [item([1], 0)] }
  for (const usage of [undefined, null, {}, { prompt_tokens: 0, total_tokens: 0 }, { prompt_tokens: "5" }])
    expect(finishOf(protocol.parse(wire({ ...bare, usage }), openai))?.usage).toEqual({
      inputTokens: {},
      outputTokens: {}
    })
  expect(finishOf(protocol.parse(wire({ ...bare, usage: { total_tokens: 3 } }), openai))?.usage).toMatchObject({
    inputTokens: { total: 3 }
  })
})

const wrong: ReadonlyArray<readonly [string, unknown, string]> = [
  ["no data", undefined, "the reply holds no vectors"],
  ["empty data", [], "the reply holds no vectors"],
  ["data of another type", { 0: item([1], 0) }, "the reply holds no vectors"],
  ["an item that is no object", [item([1], 0), null], "data[1] is no object"],
  ["an item without a vector", [{ object: "embedding", index: 0 }], "data[0] holds no vector of numbers"],
  ["a vector with something else in it", [item([1, null], 0)], "data[0] holds no vector of numbers"],
  ["a vector of texts", [item(["1"], 0)], "data[0] holds no vector of numbers"],
  ["base64 of half a number", [item(Buffer.alloc(6).toString("base64"), 0)], "data[0] holds no vector of numbers"],
  ["what is no base64", [item("AAAA AAA=", 0)], "data[0] holds no vector of numbers"],
  ["what has not the length of base64", [item("AAAAA", 0)], "data[0] holds no vector of numbers"],
  ["an index twice", [item([1], 0), item([2], 0)], "data[1] has an index that is out of range or taken"],
  ["an index beyond", [item([1], 1)], "data[0] has an index that is out of range or taken"],
  ["an index below", [item([1], -1)], "data[0] has an index that is out of range or taken"],
  ["an index that is no number", [item([1], "0")], "data[0] has an index that is out of range or taken"],
  ["an index left out between others", [item([1], 1), item([2])], "data[1] has an index that is out of range or taken"]
]

it.each(wrong)("is malformed: %s", (_, data, detail) => {
  expect(read(reply(data))).toMatchObject({ reason: { _tag: "MalformedOutput" }, detail })
})

it("an error in a success is what its code says", () => {
  const error = { message: "Too many requests", type: "requests", code: "rate_limit_exceeded" }
  expect(read({ error })).toMatchObject({ reason: { _tag: "RateLimited" }, detail: "Too many requests" })
})

// --- parsing a stream ---------------------------------------------------------------------------------------------

it("of a server that answers by events the first one is the reply", () => {
  const reader = protocol.reader(openai)
  expect(reader.push(event("hello"))).toEqual([])
  expect(reader.push(event(reply([item([1], 0)]))).map(({ type }) => type)).toEqual([
    "response-metadata",
    "embeddings",
    "finish"
  ])
  expect([...reader.push(event(reply([item([1], 0)]))), ...reader.end()]).toEqual([])
  expect(protocol.reader(openai).end()).toMatchObject([
    { type: "error", error: { detail: "the stream holds no vectors" } }
  ])
})

// --- decoding errors ----------------------------------------------------------------------------------------------

it("refuses as Chat Completions does", () => {
  const error = { message: "maximum context length is 8192 tokens", type: "invalid_request_error", code: null }
  const vllm = optionsOf("vllm")
  expect(protocol.decodeError({ error }, vllm)).toMatchObject({ tag: "ContextLength", contextWindow: 8192 })
})

// --- a sample -----------------------------------------------------------------------------------------------------

if (WireSamples.isPresent)
  it.each(WireSamples.of("embeddings"))("%s", (file) => {
    const body = JSON.parse(WireSamples.read(file))
    expect(read(body)).toEqual(body.data.map(({ embedding }: { embedding: unknown }) => embedding))
    expect(finishOf(protocol.parse(body, openai))?.usage.inputTokens.total).toBe(12)
  })
else WireSamples.sayAbsent("recorded vectors")
