/** The protocols of embeddings, held to their contract. The wire is written after the API references. */
import { GeminiEmbeddings, OpenAiEmbeddings, OpenAiEmbeddingsLift } from "@echelon/providers"
import type { Contract } from "./EmbeddingsContract.ts"
import { no } from "./ProtocolContract.ts"

/** As `encoding_format: "base64"` has it: 32-bit floats, little end first. */
const base64 = (...numbers: ReadonlyArray<number>): string => {
  const bytes = Buffer.alloc(numbers.length * 4)
  for (const [at, number] of numbers.entries()) bytes.writeFloatLE(number, at * 4)
  return bytes.toString("base64")
}

const greeting = "Grüße, 世界 👋"

// ---------------------------------------------------------------------------------------------------------------
// OpenAI
// ---------------------------------------------------------------------------------------------------------------

const item = (embedding: unknown, index: unknown) => ({ object: "embedding", embedding, index })

const list = (...data: ReadonlyArray<unknown>) => ({ object: "list", data })

const first = item([0.5, -1], 0)
const second = item([2, 0.25], 1)
const model = "text-embedding-3-small"

const openai: Contract = {
  title: "OpenAI Embeddings",
  kind: "openai",
  protocol: OpenAiEmbeddings.protocol,
  model,
  requests: {
    one: { wire: { model, input: [greeting] } },
    several: { wire: { model, input: ["one", "two"] } },
    tokens: { wire: { model, input: [[1, 2], "two"] } },
    dimensions: { wire: { model, input: ["one", "two"], dimensions: 2 } },
    own: { own: { user: "u" }, wire: { model, input: ["one", "two"], user: "u" } },
    askBase64: { own: { encoding_format: "base64" }, wire: { model, input: ["one"], encoding_format: "base64" } }
  },
  replies: {
    floats: { body: list(first, second) },
    base64: { body: list(item(base64(0.5, -1), 0), item(base64(2, 0.25), 1)) },
    indexes: { body: list(second, first) },
    usage: { body: { ...list(first, second), usage: { prompt_tokens: 7, total_tokens: 7 } } },
    noUsage: { body: list(first, second) },
    model: { body: { ...list(first, second), model: "theirs" } },
    unknownField: {
      body: { ...list({ ...first, never_heard: 1 }, second), never_heard: { of: [1] } },
      carried: { never_heard: { of: [1] } }
    }
  },
  malformed: {
    none: [list(), {}, { data: {} }],
    counts: [list(first), list(first, second, item([1, 1], 2))],
    indexes: [
      list(first, first),
      list(first, item([1, 1], 2)),
      list(first, item([1, 1], -1)),
      list(first, item([1], "1"))
    ],
    lengths: [list(first, item([1], 1)), list(item([1], 0), item([1], 1)), list(first, item([], 1))],
    values: [
      list(first, item([1, "2"], 1)),
      list(first, item([1, null], 1)),
      list(first, item("no base64", 1)),
      list(first, item("AAAAAAA=", 1)),
      list(first, null)
    ]
  },
  raw: {
    body: { model: "theirs", input: ["one", "two"], never_heard: { of: [null] } },
    sent: { model, input: ["one", "two"], never_heard: { of: [null] } }
  },
  lift: OpenAiEmbeddingsLift.lift
}

// ---------------------------------------------------------------------------------------------------------------
// Gemini
// ---------------------------------------------------------------------------------------------------------------

const embed = (text: string, more: object = {}) => ({
  model: "models/gemini-embedding-001",
  content: { parts: [{ text }] },
  ...more
})

const batch = (...vectors: ReadonlyArray<unknown>) => ({ embeddings: vectors.map((values) => ({ values })) })

const both = batch([0.5, -1], [2, 0.25])

const gemini: Contract = {
  title: "Gemini embeddings",
  kind: "gemini",
  protocol: GeminiEmbeddings.protocol,
  model: "gemini-embedding-001",
  requests: {
    one: { wire: { requests: [embed(greeting)] } },
    several: { wire: { requests: [embed("one"), embed("two")] } },
    tokens: no("the protocol takes texts alone: an instance refuses tokens before it asks"),
    dimensions: {
      wire: { requests: [embed("one", { outputDimensionality: 2 }), embed("two", { outputDimensionality: 2 })] }
    },
    own: {
      own: { taskType: "CLUSTERING" },
      wire: { requests: [embed("one", { taskType: "CLUSTERING" }), embed("two", { taskType: "CLUSTERING" })] }
    },
    askBase64: no("the protocol has vectors as numbers alone")
  },
  replies: {
    floats: { body: both },
    base64: no("the protocol has vectors as numbers alone"),
    indexes: no("the protocol has no indexes: vectors are in the order of the texts"),
    usage: { body: { ...both, usageMetadata: { promptTokenCount: 7 } } },
    noUsage: { body: both },
    model: no("the reply does not name it"),
    unknownField: { body: { ...both, neverHeard: { of: [1] } }, carried: { neverHeard: { of: [1] } } }
  },
  malformed: {
    none: [batch(), {}, { embeddings: {} }],
    counts: [batch([0.5, -1]), batch([0.5, -1], [1, 1], [1, 1])],
    indexes: no("the protocol has no indexes: vectors are in the order of the texts"),
    lengths: [batch([0.5, -1], [1]), batch([1], [1]), batch([0.5, -1], [])],
    values: [batch([0.5, -1], [1, "2"]), batch([0.5, -1], "AAAA"), { embeddings: [{ values: [1, 1] }, null] }]
  },
  raw: {
    body: {
      requests: [embed("one", { model: "models/theirs", neverHeard: 1 }), embed("two")],
      neverHeard: { of: null }
    },
    sent: { requests: [embed("one", { neverHeard: 1 }), embed("two")], neverHeard: { of: null } }
  },
  lift: no("nobody asks a gateway in this protocol")
}

export const contracts: ReadonlyArray<Contract> = [openai, gemini]
