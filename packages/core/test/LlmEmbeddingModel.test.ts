import {
  Llm,
  LlmAiError,
  LlmEmbeddingModel,
  type LlmError,
  type LlmRequest,
  Orchestrator,
  TaskGroup
} from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Context, Duration, Effect, Layer, References } from "effect"
import { AiError, EmbeddingModel, Model } from "effect/ai"

/** Embeds each text as its length. */
const lengths = (id: string, more: Partial<ScriptedLlm.Options> = {}) =>
  ScriptedLlm.make({
    id,
    script: (_, { embedding }) => ScriptedLlm.embeddings(embedding?.input.map(({ length }) => [length, 1]) ?? []),
    ...more
  })

const using = <A, E>(use: (model: EmbeddingModel.EmbeddingModel) => Effect.Effect<A, E>) =>
  Effect.flatMap(EmbeddingModel.EmbeddingModel, use)

const textsOf = (scripted: ScriptedLlm.ScriptedLlm) => scripted.calls().map(({ request }) => request.embedding?.input)

it.effect("an effect/ai program gets failover without a changed line", () =>
  Effect.gen(function* () {
    const down = yield* ScriptedLlm.make({ id: "down", script: ScriptedLlm.fails({ _tag: "Overloaded" }) })
    const up = yield* lengths("up")
    const group = TaskGroup.make([[down.llm], [up.llm]], { id: "group", maxRetries: 0 })
    const many = yield* using((model) => model.embedMany(["a", "abc"])).pipe(
      Effect.provide(LlmEmbeddingModel.layer(group))
    )
    expect(many.embeddings.map(({ vector }) => vector)).toEqual([
      [1, 1],
      [3, 1]
    ])
    expect(many.usage.inputTokens).toBe(2)
    const one = using((model) => model.embed("ab"))
    expect((yield* one.pipe(Effect.provide(LlmEmbeddingModel.layer(up.llm)))).vector).toEqual([2, 1])
    expect(down.calls()).toHaveLength(1)
  })
)

it.effect("texts embedded at the same time are one request, unless their config differs", () =>
  Effect.gen(function* () {
    const scripted = yield* lengths("a")
    yield* using((model) => {
      const paid = LlmEmbeddingModel.withConfig(model.embed("d"), { metadata: { tenant: "t" } })
      return Effect.all([model.embed("a"), model.embed("bc"), paid], { concurrency: "unbounded" })
    }).pipe(Effect.provide(LlmEmbeddingModel.layer(scripted.llm, { config: { metadata: { poolName: "p" } } })))
    expect(textsOf(scripted)).toEqual([["a", "bc"], ["d"]])
    expect(scripted.calls().map(({ request }) => request.metadata)).toEqual([
      { poolName: "p" },
      { poolName: "p", tenant: "t" }
    ])
  })
)

it.effect("a config is laid over a weaker one", () =>
  Effect.gen(function* () {
    const scripted = yield* lengths("a")
    const config = { dimensions: 3, providerOptions: { openai: { user: "u" } } }
    const program = using((model) =>
      Effect.flip(model.embed("a").pipe(LlmEmbeddingModel.withConfig({ dimensions: 4 })))
    )
    yield* program.pipe(Effect.provide(LlmEmbeddingModel.layer(scripted.llm, { config })))
    expect(scripted.calls()[0]?.request).toMatchObject({
      embedding: { input: ["a"], dimensions: 4 },
      providerOptions: { openai: { user: "u" } }
    })
    expect(LlmEmbeddingModel.merge({ dimensions: 1 }, { metadata: { tenant: "t" } })).toEqual({
      dimensions: 1,
      metadata: { tenant: "t" },
      providerOptions: undefined
    })
  })
)

it.effect("failures are AiErrors that keep what a program decides by", () =>
  Effect.gen(function* () {
    const reason: LlmError.Reason = { _tag: "RateLimited", retryAfter: Duration.seconds(9) }
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.fails(reason) })
    const error = yield* using((model) => Effect.flip(model.embedMany(["a"]))).pipe(
      Effect.provide(LlmEmbeddingModel.layer(scripted.llm))
    )
    expect(AiError.isAiError(error) && error.isRetryable).toBe(true)
    expect(error.retryAfter).toEqual(Duration.seconds(9))
    expect(LlmAiError.original(error)?.instance).toBe("a")
  })
)

it.effect("what a caller does to a vector reaches nobody else", () =>
  Effect.gen(function* () {
    const vectors = [[1, 2]]
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.embeddings(vectors) })
    const { vector } = yield* using((model) => model.embed("a")).pipe(
      Effect.provide(LlmEmbeddingModel.layer(scripted.llm))
    )
    ;(vector as Array<number>)[0] = 9
    expect(vectors).toEqual([[1, 2]])
  })
)

it.effect("a model tells its name and its dimensions; the orchestrator is one too", () =>
  Effect.gen(function* () {
    const scripted = yield* lengths("a")
    const told = yield* Effect.all([EmbeddingModel.Dimensions, Model.ProviderName, Model.ModelName]).pipe(
      Effect.provide(LlmEmbeddingModel.model(scripted.llm, { dimensions: 2 }))
    )
    expect(told).toEqual([2, "echelon", "a"])
    yield* using((model) => model.embed("a")).pipe(
      Effect.provide(LlmEmbeddingModel.model(scripted.llm, { dimensions: 2 }))
    )
    expect(scripted.calls()[0]?.request.embedding?.dimensions).toBe(2)
    const orchestrator = Layer.succeed(Orchestrator.Orchestrator, {
      generate: (input) => Llm.generate(scripted.llm, input),
      stream: (input) => Llm.stream(scripted.llm, input),
      open: (input) => Llm.open(scripted.llm, input),
      embed: (input) => Llm.embed(scripted.llm, input),
      llm: scripted.llm
    })
    const layer = LlmEmbeddingModel.layerOrchestrator({ config: { metadata: { poolName: "fast" } } })
    yield* using((model) => model.embed("abc")).pipe(Effect.provide(Layer.provide(layer, orchestrator)))
    expect(scripted.calls()[1]?.request.metadata.poolName).toBe("fast")
    const { vectors } = yield* Effect.provide(Orchestrator.embed({ input: ["abc"] }), orchestrator)
    expect(vectors).toEqual([[3, 1]])
  })
)

// --- the other way ------------------------------------------------------------------------------------------------

class Dimensions extends Context.Service<Dimensions, number>()("test/Dimensions") {}

const embedder = (failure?: AiError.AiError) =>
  EmbeddingModel.make({
    embedMany: ({ inputs }) =>
      failure === undefined
        ? Effect.map(Effect.serviceOption(Dimensions), (found) => ({
            results: inputs.map((text) => Array<number>(found._tag === "Some" ? found.value : 1).fill(text.length)),
            usage: { inputTokens: inputs.length }
          }))
        : Effect.fail(failure)
  })

it.effect("an embedding model joins a group", () =>
  Effect.gen(function* () {
    const reason = new AiError.RateLimitError({ retryAfter: Duration.seconds(1) })
    const failing = yield* embedder(AiError.make({ module: "M", method: "embedMany", reason }))
    const first = LlmEmbeddingModel.toLlm(failing, { id: "first" })
    const second = LlmEmbeddingModel.toLlm(yield* embedder(), { id: "second", prices: { input: 1, output: 0 } })
    const group = yield* TaskGroup.make([[first], [second]], { id: "group", maxRetries: 0 })
    const answer = yield* Llm.embed(group, { input: ["a", "abc"] })
    expect(answer).toMatchObject({
      vectors: [[1], [3]],
      instance: "second",
      usage: { inputTokens: 2, outputTokens: 0 }
    })
    expect(answer.cost).toBeCloseTo(2e-6)
    expect(answer.route.map(({ reason }) => reason)).toEqual(["RateLimited", undefined])
  })
)

it.effect("an embedding model that dies fails over, and its defect is not shown", () =>
  Effect.gen(function* () {
    const dying = yield* EmbeddingModel.make({ embedMany: () => Effect.die(new TypeError("the key sk-secret")) })
    const first = LlmEmbeddingModel.toLlm(dying, { id: "first" })
    const error = yield* Effect.flip(Llm.embed(first, { input: ["a"] }))
    expect(error).toMatchObject({ reason: { _tag: "Unknown" }, detail: "the model died: TypeError" })
    expect(`${error.message} ${JSON.stringify(error)}`).not.toContain("secret")
    const second = LlmEmbeddingModel.toLlm(yield* embedder(), { id: "second" })
    const group = yield* TaskGroup.make([[first], [second]], { id: "group", maxRetries: 0 })
    expect(yield* Llm.embed(group, { input: ["a"] })).toMatchObject({ instance: "second" })
  })
)

it.effect("what an embedding model cannot be told is listed, or refused", () =>
  Effect.gen(function* () {
    const model = yield* embedder()
    const llm = LlmEmbeddingModel.toLlm(model, { id: "a" })
    const short = yield* Effect.flip(
      Llm.embed(llm, { input: "a", dimensions: 2, providerOptions: { openai: { user: "u" } } })
    )
    expect(short).toMatchObject({
      reason: { _tag: "MalformedOutput" },
      detail: "the answer holds a vector of 1 dimensions instead of 2",
      route: [{ dropped: ["embedding.dimensions", "providerOptions.openai"] }]
    })
    const context = ({ embedding }: LlmRequest.LlmRequest) => Dimensions.context(embedding?.dimensions ?? 1)
    const told = LlmEmbeddingModel.toLlm(model, { id: "a", context })
    const { route, vectors } = yield* Llm.embed(told, { input: "a", dimensions: 2 })
    expect([vectors, route[0]?.dropped]).toEqual([[[1, 1]], []])
    expect(yield* Effect.flip(Llm.embed(llm, { input: [[1, 2]] }))).toMatchObject({
      reason: { _tag: "InvalidRequest" },
      detail: "it takes texts, not the tokens of texts"
    })
    expect(yield* Effect.flip(Llm.generate(llm, { prompt: "hi" }))).toMatchObject({
      reason: { _tag: "InvalidRequest" },
      detail: "it answers requests for embeddings alone"
    })
  })
)

it.effect("an embedding model of a Layer, there and back again", () =>
  Effect.gen(function* () {
    const made = Layer.effect(EmbeddingModel.EmbeddingModel, embedder())
    const llm = yield* LlmEmbeddingModel.toLlmFromLayer(made, { id: "a" })
    const back = yield* using((model) => model.embedMany(["a", "ab"])).pipe(
      Effect.provide(LlmEmbeddingModel.layer(llm))
    )
    expect(back.embeddings.map(({ vector }) => vector)).toEqual([[1], [2]])
    const failing = embedder(
      AiError.make({
        module: "M",
        method: "embedMany",
        reason: new AiError.AuthenticationError({ kind: "InvalidKey" })
      })
    )
    const refused = LlmEmbeddingModel.toLlm(yield* failing, { id: "b" })
    expect((yield* Effect.flip(Llm.embed(refused, { input: "a" }))).reason._tag).toBe("Authentication")
  }).pipe(Effect.provideService(References.MinimumLogLevel, "None"))
)
