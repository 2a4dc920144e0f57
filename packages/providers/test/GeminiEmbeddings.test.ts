import { LlmEmbedding } from "@echelon/core"
import { GeminiEmbeddings } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { optionsOf } from "./Support.ts"

const { protocol } = GeminiEmbeddings
const gemini = optionsOf("gemini", { model: "gemini-embedding-001" })
const lowered = (input: LlmEmbedding.Input, options = gemini) =>
  protocol.lower(Effect.runSync(LlmEmbedding.make(input)), options, () => {})
const part = (text: string) => ({ content: { parts: [{ text }] } })

it("says one item a text, each with the model's name and the provider's own options", () => {
  expect(lowered({ input: ["one", "two"] })).toEqual({
    requests: [
      { model: "models/gemini-embedding-001", ...part("one") },
      { model: "models/gemini-embedding-001", ...part("two") }
    ]
  })
  expect(
    lowered(
      { input: "one", dimensions: 8, providerOptions: { gemini: { taskType: "RETRIEVAL_QUERY" } } },
      { ...gemini, model: "tunedModels/mine" }
    )
  ).toEqual({
    requests: [{ model: "tunedModels/mine", ...part("one"), outputDimensionality: 8, taskType: "RETRIEVAL_QUERY" }]
  })
})

it("a body that came in by this protocol goes out as it came, for another model", () => {
  const requests = [{ model: "models/front", ...part("one"), title: "t", outputDimensionality: 4 }, part("two")]
  const raw = { protocol: "gemini-embeddings", body: { requests, unheard_of: 1 } }
  expect(lowered({ input: ["one", "two"], dimensions: 8, raw })).toEqual({
    requests: [
      { model: "models/gemini-embedding-001", ...part("one"), title: "t", outputDimensionality: 4 },
      { model: "models/gemini-embedding-001", ...part("two"), outputDimensionality: 8 }
    ],
    unheard_of: 1
  })
})

it("reads the vectors in their order, and usage where there is some", () => {
  expect(protocol.parse({ embeddings: [{ values: [0.5] }, { values: [1] }] }, gemini)).toEqual([
    { type: "embeddings", vectors: [[0.5], [1]] },
    { type: "finish", reason: "stop", usage: { inputTokens: {}, outputTokens: {} }, metadata: { gemini: {} } }
  ])
  const usageMetadata = { promptTokenCount: 7 }
  expect(protocol.parse({ embeddings: [{ values: [1] }], usageMetadata, other: 1 }, gemini).at(-1)).toMatchObject({
    usage: { inputTokens: { total: 7 }, outputTokens: { total: 0 } },
    metadata: { gemini: { usageMetadata, other: 1 } }
  })
})

it("what holds no vectors is malformed, and an error is what it says", () => {
  const failed = (body: Parameters<typeof protocol.parse>[0]) => protocol.parse(body, gemini)
  for (const embeddings of [[], [{}], [{ values: "AAAA" }], [null], [{ values: [1, "2"] }]])
    expect(failed({ embeddings })).toMatchObject([{ type: "error", error: { reason: { _tag: "MalformedOutput" } } }])
  expect(failed({ error: { code: 429, status: "RESOURCE_EXHAUSTED", message: "slow down" } })).toMatchObject([
    { type: "error", error: { reason: { _tag: "RateLimited" } } }
  ])
  const reader = protocol.reader(gemini)
  expect(reader.push({ event: undefined, data: JSON.stringify({ embeddings: [{ values: [1] }] }) })).toHaveLength(2)
  expect(reader.end()).toEqual([])
  expect(protocol.reader(gemini).end()).toMatchObject([{ type: "error" }])
})
