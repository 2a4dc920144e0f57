import {
  CachedReply,
  Capability,
  Coalesce,
  Llm,
  LlmAdapter,
  LlmEmbedding,
  LlmRequest,
  Member,
  type Part,
  PartSize,
  Pool,
  ReplyCache,
  RequestKey,
  TaskGroup,
  Tiers,
  TokenEstimate
} from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Option } from "effect"
import { TestClock } from "effect/testing"
import { settle } from "./support/background.ts"

const two = [
  [0, 1],
  [1, 0]
] as const
const texts = { input: ["one", "two"] }
const finish: Part.Part = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 2 }, outputTokens: { total: 0 } }
}
const answering = (id: string, more: Partial<ScriptedLlm.Options> = {}) =>
  ScriptedLlm.make({ id, script: ScriptedLlm.embeddings(two), ...more })

it.effect("gives a vector a text, who gave them, and what they used", () =>
  Effect.gen(function* () {
    const scripted = yield* answering("a", { model: "m", prices: { input: 1_000_000, output: 5 } })
    const answer = yield* Llm.embed(scripted.llm, { ...texts, dimensions: 2, metadata: { tenant: "t" } })
    expect(answer).toMatchObject({
      vectors: two,
      instance: "a",
      model: "m",
      cost: 2,
      usage: { inputTokens: 2, outputTokens: 0, source: "reported" },
      route: [{ instance: "a", outcome: "completed" }]
    })
    expect(answer.content.map(({ type }) => type)).toEqual(["embeddings", "finish"])
    expect(scripted.calls()[0]?.request).toMatchObject({
      embedding: { input: ["one", "two"], dimensions: 2 },
      messages: [],
      stream: false,
      commit: "finish",
      metadata: { tenant: "t" }
    })
    const single = yield* ScriptedLlm.make({ id: "b", script: ScriptedLlm.embeddings([[0.5]]) })
    expect((yield* Llm.embed({ input: "one" })(single.llm)).vectors).toEqual([[0.5]])
    expect(scripted.open() + single.open()).toBe(0)
  })
)

it.effect("what is no request for embeddings asks nobody", () =>
  Effect.gen(function* () {
    const scripted = yield* answering("a")
    const wrong: ReadonlyArray<readonly [unknown, string]> = [
      [{ input: [] }, "input must hold at least one text"],
      [{ input: {} }, "input must hold at least one text"],
      [{ input: ["one", 2] }, "input[1] must be a text, or its tokens as whole numbers"],
      [{ input: [[]] }, "input[0] must be a text, or its tokens as whole numbers"],
      [{ input: [[1.5]] }, "input[0] must be a text, or its tokens as whole numbers"],
      [{ ...texts, dimensions: 0 }, "dimensions must be a whole number from 1 on, got 0"],
      [{ ...texts, metadata: { maxCost: -1 } }, "metadata.maxCost must be an amount in USD above 0, got -1"]
    ]
    for (const [input, detail] of wrong) {
      const error = yield* Effect.flip(Llm.embed(scripted.llm, input as LlmEmbedding.Input))
      expect(error).toMatchObject({ reason: { _tag: "InvalidRequest" }, detail })
    }
    expect(scripted.calls()).toHaveLength(0)
  })
)

it.effect("an answer that is none of vectors, or of others, is malformed before it commits", () =>
  Effect.gen(function* () {
    const wrong: ReadonlyArray<readonly [string, ScriptedLlm.Script, number?]> = [
      ["the answer holds 1 vectors for 2 texts", ScriptedLlm.embeddings([[1]])],
      ["the answer holds 3 vectors for 2 texts", ScriptedLlm.embeddings([[1], [1], [1]])],
      ["the answer holds an empty vector", ScriptedLlm.embeddings([[], []])],
      ["the answer holds a vector of 1 dimensions instead of 2", ScriptedLlm.embeddings([[1, 2], [1]])],
      ["the answer holds a vector of 2 dimensions instead of 3", ScriptedLlm.embeddings(two), 3],
      ["the answer holds a vector of something else than numbers", ScriptedLlm.embeddings([[1], [Number.NaN]])],
      ["the answer holds no vectors", ScriptedLlm.text("hello")],
      ["the answer holds no vectors", [ScriptedLlm.finish()]],
      [
        "the answer holds vectors twice",
        [ScriptedLlm.parts({ type: "embeddings", vectors: two }), ...ScriptedLlm.embeddings(two)]
      ],
      ["the answer ended without a finish", [ScriptedLlm.parts({ type: "embeddings", vectors: two })]]
    ]
    for (const [detail, script, dimensions] of wrong) {
      const scripted = yield* ScriptedLlm.make({ id: "a", script })
      const error = yield* Effect.flip(Llm.embed(scripted.llm, { ...texts, dimensions }))
      expect(error).toMatchObject({ reason: { _tag: "MalformedOutput" }, detail, instance: "a" })
      expect(scripted.calls()[0]?.outcome()?._tag).toBe("Failed")
    }
    const unasked = yield* answering("a")
    expect(yield* Effect.flip(Llm.generate(unasked.llm, { prompt: "hi" }))).toMatchObject({
      reason: { _tag: "MalformedOutput" },
      detail: "the answer holds vectors, which were not asked for"
    })
  })
)

it.effect("a task group goes on to the next after a failure, a wrong answer and a silence", () =>
  Effect.gen(function* () {
    const down = yield* ScriptedLlm.make({ id: "down", script: ScriptedLlm.fails({ _tag: "ProviderError" }) })
    const wrong = yield* ScriptedLlm.make({ id: "wrong", script: ScriptedLlm.embeddings([[1]]) })
    const up = yield* answering("up")
    const group = yield* TaskGroup.make([[down.llm], [wrong.llm], [up.llm]], { id: "group", maxRetries: 0 })
    const answer = yield* Llm.embed(group, texts)
    expect(answer.instance).toBe("up")
    expect(answer.route.map(({ instance, reason }) => [instance, reason])).toEqual([
      ["down", "ProviderError"],
      ["wrong", "MalformedOutput"],
      ["up", undefined]
    ])
    const silent = yield* ScriptedLlm.make({ id: "silent", script: [ScriptedLlm.never] })
    const patient = yield* TaskGroup.make([[silent.llm], [up.llm]], { id: "patient" })
    const waiting = yield* Effect.forkChild(Llm.embed(patient, texts))
    // The clock of an attempt.
    yield* TestClock.adjust("1 minute")
    const late = yield* Fiber.join(waiting)
    expect(late.route.map(({ instance, reason }) => [instance, reason])).toEqual([
      ["silent", "Timeout"],
      ["up", undefined]
    ])
    expect([silent.open(), up.open()]).toEqual([0, 0])
  })
)

it.effect("who is known to have no embeddings is passed over, who is not known is asked", () =>
  Effect.gen(function* () {
    const chat = yield* answering("chat", { capabilities: { features: ["tools"] } })
    const none = yield* answering("none", { capabilities: { lacks: ["embeddings"] } })
    const adapted = LlmAdapter.fromPromise({ id: "adapted", generate: async () => "hello" })
    const unknown = yield* answering("unknown")
    const pool = yield* Pool.make([chat.llm, none.llm, adapted, unknown.llm], { id: "pool", rotation: "priority" })
    const answer = yield* Llm.embed(pool, texts)
    expect(answer.route.map(({ instance }) => instance)).toEqual(["unknown"])
    const bare = yield* Pool.make([chat.llm, none.llm, adapted], { id: "pool" })
    expect(yield* Effect.flip(Llm.embed(bare, texts))).toMatchObject({
      reason: { _tag: "InvalidRequest" },
      detail: "no instance of pool has what the request needs: embeddings"
    })
    // Asked by themselves, too; and for a conversation the lack is none.
    expect(yield* Effect.flip(Llm.embed(adapted, texts))).toMatchObject({
      reason: { _tag: "InvalidRequest" },
      detail: "it has no embeddings",
      instance: "adapted",
      route: []
    })
    expect((yield* Llm.generate(adapted, { prompt: "hi" })).text).toBe("hello")
    const able = LlmAdapter.fromPromise({
      id: "able",
      capabilities: { features: ["embeddings"] },
      generate: async ({ embedding }) => [
        { type: "embeddings", vectors: embedding?.input.map(({ length }) => [length]) ?? [] },
        finish
      ]
    })
    expect((yield* Llm.embed(able, texts)).vectors).toEqual([[3], [3]])
  })
)

it("lacks count whatever the features say", () => {
  expect(Capability.missing({ lacks: ["embeddings"] }, ["embeddings", "tools"])).toEqual(["embeddings"])
  expect(Capability.missing({ lacks: ["tools"], features: ["tools", "images"] }, ["tools", "images"])).toEqual([
    "tools"
  ])
  expect(Capability.missing({ features: ["tools"] }, ["tools"])).toEqual([])
})

it.effect(
  "an echelon that streams upstream asks for no stream of vectors, and fills no settings into the estimate",
  () =>
    Effect.gen(function* () {
      const scripted = yield* answering("a")
      const pool = yield* Tiers.make({
        id: "pool",
        rotation: "priority",
        tiers: [
          {
            members: [Member.make(scripted.llm, { upstream: "stream", settings: { maxOutputTokens: 4_000 } })],
            maxRetries: 0,
            maxInstances: 1
          }
        ]
      })
      yield* Llm.embed(pool, texts)
      const request = scripted.calls()[0]?.request
      expect(request?.stream).toBe(false)
      expect(request === undefined ? undefined : TokenEstimate.of(request).total).toBe(2)
    })
)

it.effect("its tokens are those of the texts, and each text has the window for itself", () =>
  Effect.gen(function* () {
    const request = yield* LlmEmbedding.make({ input: ["x".repeat(400), "x".repeat(40), [1, 2, 3]] })
    expect(TokenEstimate.of(request)).toEqual({
      input: 113,
      output: 0,
      statedOutput: undefined,
      total: 113,
      longest: 100
    })
    expect(TokenEstimate.mayFit(TokenEstimate.of(request), 50)).toBe(true)
    expect(TokenEstimate.mayFit(TokenEstimate.of(request), 49)).toBe(false)
    expect(TokenEstimate.bound(request)).toBe(200)
    const small = yield* answering("small", { capabilities: { contextWindow: 49 } })
    const pool = yield* Pool.make([small.llm], { id: "pool" })
    expect(yield* Effect.flip(Llm.embed(pool, { input: ["x".repeat(400), "y"] }))).toMatchObject({
      reason: { _tag: "ContextLength", contextWindow: 49 },
      detail: "about 100 tokens do not fit the largest context window of pool, 49 tokens"
    })
  })
)

it.effect("its key is none of a conversation's, and tells texts, order, length and tenant apart", () =>
  Effect.gen(function* () {
    const inputs: ReadonlyArray<LlmEmbedding.Input> = [
      { input: ["a", "b"] },
      { input: ["b", "a"] },
      { input: ["a", "b"], dimensions: 8 },
      { input: ["a", "b"], metadata: { tenant: "t" } },
      { input: ["ab"] },
      { input: [[1, 2]] },
      { input: [[1], [2]] },
      { input: ["a", "b"], raw: { protocol: "openai-embeddings", body: { input: ["a", "b"] } } }
    ]
    const keyOf = (request: LlmRequest.LlmRequest) => RequestKey.text(request, { scope: "s", of: "answer" })
    const keys = yield* Effect.forEach(inputs, (input) => Effect.map(LlmEmbedding.make(input), keyOf))
    const chat = { stream: false, commit: "finish" } as const
    keys.push(keyOf(yield* LlmRequest.make({ prompt: [] }, chat)))
    keys.push(keyOf(yield* LlmRequest.make({ prompt: [{ role: "user", content: "a" }] }, chat)))
    expect(keys.includes(undefined)).toBe(false)
    expect(new Set(keys).size).toBe(keys.length)
    expect(keyOf(yield* LlmEmbedding.make({ input: ["a", "b"] }))).toBe(keys[0])
  })
)

it.effect("a cache gives vectors again", () =>
  Effect.gen(function* () {
    const scripted = yield* answering("a", { script: ScriptedLlm.embeddings([[0.1, -0.25]]) })
    const cached = yield* ReplyCache.make(scripted.llm, { ttl: "1 minute" })
    const ask = Effect.tap(Llm.embed(cached, { input: "one" }), () => settle)
    expect((yield* ask).vectors).toEqual([[0.1, -0.25]])
    const again = yield* ask
    expect(again.vectors).toEqual([[0.1, -0.25]])
    expect(again.route.map(({ kind }) => kind)).toEqual(["cache"])
    expect(again).toMatchObject({ cost: 0, instance: "a", usage: { inputTokens: 1 } })
    expect(scripted.calls()).toHaveLength(1)
  }).pipe(Effect.provide(ReplyCache.layerMemory))
)

it.effect("calls at the same time are one", () =>
  Effect.gen(function* () {
    const scripted = yield* answering("a", { script: [ScriptedLlm.wait("1 second"), ...ScriptedLlm.embeddings(two)] })
    const shared = yield* Coalesce.make(scripted.llm)
    const both = yield* Effect.forkChild(
      Effect.all([Llm.embed(shared, texts), Llm.embed(shared, texts)], { concurrency: 2 })
    )
    yield* TestClock.adjust("1 second")
    expect((yield* Fiber.join(both)).map(({ vectors }) => vectors)).toEqual([two, two])
    expect(scripted.calls()).toHaveLength(1)
  })
)

it("only whole vectors are kept, and what a store made of them is looked at", () => {
  const vectors: Part.Part = { type: "embeddings", vectors: [[0.5, 1e-9]] }
  const state = CachedReply.gather(10_000)
  const whole = CachedReply.add(state, [vectors, finish])
  expect(whole).toEqual([vectors, finish])
  expect(CachedReply.add(CachedReply.gather(100), [vectors, finish])).toBeUndefined()
  expect(Option.getOrThrow(CachedReply.decode(Option.getOrThrow(CachedReply.encode([vectors, finish]))))).toEqual([
    vectors,
    finish
  ])
  for (const wrong of [[[null]], [1], "x", [["0.5"]]])
    expect(Option.isNone(CachedReply.decode(JSON.stringify([{ ...vectors, vectors: wrong }, finish])))).toBe(true)
  expect(PartSize.of(vectors)).toBeGreaterThanOrEqual(40)
  expect(PartSize.of({ ...vectors, raw: { data: "x".repeat(500) } })).toBeGreaterThanOrEqual(540)
})
