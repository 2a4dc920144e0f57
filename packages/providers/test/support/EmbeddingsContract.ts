/**
 * What every protocol of embeddings is held to, as `ProtocolContract` holds the others: the contract says what is asked
 * and what must be read, a protocol adds the wire, or why there is none.
 *
 * How many vectors there are and how long they are is held to what was asked by core, for every protocol alike: a reply
 * is read here as an instance reads it.
 */
import assert from "node:assert/strict"
import { LlmEmbedding, LlmError, type Part } from "@echelon/core"
import { type Json, type Protocol, ProviderTable } from "@echelon/providers"
import type * as OpenAiEmbeddingsLift from "@echelon/providers/OpenAiEmbeddingsLift"
import { Effect } from "effect"
import { optionsOf } from "../Support.ts"
import { matches, type No } from "./ProtocolContract.ts"

export interface Contract {
  /** As the table names it. */
  readonly title: string
  readonly kind: string
  readonly protocol: Protocol.Protocol
  readonly model: string
  readonly requests: Readonly<Record<RequestFeature, Wire | No>>
  readonly replies: Readonly<Record<ReplyFeature, Reply | No>>
  readonly malformed: Readonly<Record<MalformedFeature, ReadonlyArray<object> | No>>
  /** A body of two texts with fields that nobody knows, at every depth. */
  readonly raw: { readonly body: Readonly<Record<string, unknown>>; readonly sent: object }
  readonly lift: ((body: unknown) => OpenAiEmbeddingsLift.Lifted) | No
}

/** What the body of a lowered request must be. */
export interface Wire {
  readonly wire: object
  /** The caller's own options for the kind. */
  readonly own?: Readonly<Record<string, unknown>>
}

export interface Reply {
  readonly body: object
  /** What must be found in the metadata of its end. */
  readonly carried?: object
}

/** One feature of one protocol: what proves it, or why there is nothing to prove. */
export interface Cell {
  readonly feature: string
  readonly because: string | undefined
  /** Throws when the protocol does not keep it. */
  readonly prove: () => void
}

// ---------------------------------------------------------------------------------------------------------------
// Features
// ---------------------------------------------------------------------------------------------------------------

const requestFeatures = {
  one: ["One text", { input: "Grüße, 世界 👋" }],
  several: ["Several texts at a time", { input: ["one", "two"] }],
  tokens: ["Texts given as their tokens", { input: [[1, 2], "two"] }],
  dimensions: ["The length of the vectors", { input: ["one", "two"], dimensions: 2 }],
  own: ["The provider's own options", { input: ["one", "two"] }],
  askBase64: ["Vectors asked for as base64", { input: "one" }]
} as const satisfies Record<string, readonly [title: string, input: LlmEmbedding.Input]>

export type RequestFeature = keyof typeof requestFeatures

const asked: LlmEmbedding.Input = { input: ["one", "two"], dimensions: 2 }

type Check = (answer: LlmEmbedding.Answer) => void

const vectors: Check = (answer) => {
  assert.deepEqual(answer.vectors, [
    [0.5, -1],
    [2, 0.25]
  ])
}

const replyFeatures = {
  floats: ["Vectors as numbers", vectors],
  base64: ["Vectors as base64", vectors],
  indexes: ["Vectors in another order, by their index", vectors],
  usage: [
    "Usage",
    (answer) => {
      vectors(answer)
      assert.deepEqual([answer.usage.inputTokens, answer.usage.outputTokens, answer.usage.source], [7, 0, "reported"])
    }
  ],
  noUsage: [
    "A reply that reports no usage",
    (answer) => {
      vectors(answer)
      assert.notEqual(answer.usage.source, "reported")
    }
  ],
  model: [
    "The model that answered",
    (answer) => {
      assert.ok(answer.content.some((part) => part.type === "response-metadata" && part.modelId === "theirs"))
    }
  ],
  unknownField: ["Fields that nobody knows", vectors]
} satisfies Record<string, readonly [title: string, check: Check]>

export type ReplyFeature = keyof typeof replyFeatures

const malformedFeatures = {
  none: "A reply without vectors is malformed",
  counts: "Fewer or more vectors than texts are malformed",
  indexes: "An index twice or out of range is malformed",
  lengths: "A vector of another length is malformed",
  values: "What is no vector of numbers is malformed"
} as const

export type MalformedFeature = keyof typeof malformedFeatures

// ---------------------------------------------------------------------------------------------------------------
// Cells
// ---------------------------------------------------------------------------------------------------------------

const isNo = (value: object): value is No => "no" in value

const optionsFor = ({ kind, model }: Contract): Protocol.Options => optionsOf(kind, { model })

const lower = (contract: Contract, input: LlmEmbedding.Input) => {
  const dropped: Array<string> = []
  const request = Effect.runSync(LlmEmbedding.make(input))
  const body = contract.protocol.lower(request, optionsFor(contract), (field) => dropped.push(field))
  return { body: JSON.parse(JSON.stringify(body)) as Json.JsonObject, dropped }
}

/** The parts of a reply, or what an instance fails with. */
const read = (contract: Contract, body: object): ReadonlyArray<Part.Part> | LlmError.LlmError => {
  const request = Effect.runSync(LlmEmbedding.make(asked))
  const parts = contract.protocol.parse(JSON.parse(JSON.stringify(body)), optionsFor(contract))
  let isAnswered = false
  for (const part of parts) {
    if (part.type === "error" && LlmError.isLlmError(part.error)) return part.error
    const detail = LlmEmbedding.problem(request.embedding, part, isAnswered)
    if (detail !== undefined) return LlmError.make({ reason: { _tag: "MalformedOutput" }, detail })
    isAnswered ||= part.type === "embeddings"
  }
  assert.equal(parts.at(-1)?.type, "finish")
  return parts
}

const cell = (feature: string, wire: object, prove: () => void): Cell =>
  isNo(wire) ? { feature, because: wire.no, prove: () => {} } : { feature, because: undefined, prove }

const requestCell = (contract: Contract, feature: RequestFeature): Cell => {
  const [title, input] = requestFeatures[feature]
  const wire = contract.requests[feature]
  if (isNo(wire))
    return {
      feature: title,
      because: wire.no,
      // Tokens never reach a protocol that has no words for them.
      prove: () => {
        if (feature === "tokens") assert.equal(ProviderTable.find(contract.kind)?.embeddings?.takesTokens, false)
      }
    }
  return cell(title, wire, () => {
    const own = wire.own === undefined ? {} : { providerOptions: { [contract.kind]: wire.own } }
    const { body, dropped } = lower(contract, { ...input, ...own })
    assert.deepEqual(body, wire.wire)
    assert.deepEqual(dropped, [])
  })
}

const replyCell = (contract: Contract, feature: ReplyFeature): Cell => {
  const [title, check] = replyFeatures[feature]
  const reply = contract.replies[feature]
  return cell(title, reply, () => {
    if (isNo(reply)) return
    const parts = read(contract, reply.body)
    if (LlmError.isLlmError(parts)) throw parts
    check(LlmEmbedding.toAnswer(parts, []))
    if (reply.carried !== undefined) matches(parts.at(-1)?.metadata?.[contract.kind], reply.carried)
  })
}

const malformedCell = (contract: Contract, feature: MalformedFeature): Cell => {
  const bodies = contract.malformed[feature]
  return cell(malformedFeatures[feature], bodies, () => {
    if (isNo(bodies)) return
    for (const body of bodies) {
      const failure = read(contract, body)
      assert.ok(LlmError.isLlmError(failure), JSON.stringify(body))
      assert.equal(failure.reason._tag, "MalformedOutput")
    }
  })
}

const failureCell = (contract: Contract): Cell =>
  cell("A failure inside a reply of status 200", {}, () => {
    const body = { error: { code: 429, status: "RESOURCE_EXHAUSTED", type: "requests", message: "Too many requests" } }
    const failure = read(contract, body)
    assert.equal(LlmError.isLlmError(failure) ? failure.reason._tag : "none", "RateLimited")
  })

const rawCell = (contract: Contract): Cell =>
  cell("A body of its own protocol goes out as it came", contract.raw, () => {
    const raw = { protocol: contract.protocol.name, body: contract.raw.body }
    const { body, dropped } = lower(contract, { input: ["ignored"], raw })
    assert.deepEqual(body, contract.raw.sent)
    assert.deepEqual(dropped, [])
  })

const liftCell = (contract: Contract): Cell => {
  const { lift } = contract
  return cell("A request read back from the wire", lift, () => {
    if (typeof lift !== "function") return
    for (const [, input] of Object.values(requestFeatures)) {
      const { body } = lower(contract, input)
      const { raw: _, ...lifted } = lift(body).input
      assert.deepEqual(lift(body).problems, [])
      assert.deepEqual(lifted, { ...input, input: typeof input.input === "string" ? [input.input] : input.input })
    }
    assert.deepEqual(
      lift({ input: ["one", 2] }).problems.map((problem) => problem.path),
      ["input[1]"]
    )
  })
}

/** Every cell of a protocol, in the order of the table. */
export const cells = (contract: Contract): ReadonlyArray<Cell> => [
  ...(Object.keys(requestFeatures) as ReadonlyArray<RequestFeature>).map((feature) => requestCell(contract, feature)),
  ...(Object.keys(replyFeatures) as ReadonlyArray<ReplyFeature>).map((feature) => replyCell(contract, feature)),
  ...(Object.keys(malformedFeatures) as ReadonlyArray<MalformedFeature>).map((feature) =>
    malformedCell(contract, feature)
  ),
  failureCell(contract),
  rawCell(contract),
  liftCell(contract)
]

/** What a contract's cells show. A cell that fails shows its error, which no committed table holds. */
export const show = (contract: Contract): Readonly<Record<string, string>> =>
  Object.fromEntries(
    cells(contract).map(({ because, feature, prove }) => {
      try {
        prove()
        return [feature, because === undefined ? "yes" : `no, because ${because}`]
      } catch (error) {
        return [feature, `FAILED: ${error instanceof Error ? error.message : String(error)}`]
      }
    })
  )
