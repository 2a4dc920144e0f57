/**
 * Any `Llm` — an instance, a task group, a pool, a wrapper, the orchestrator — as effect/ai's `EmbeddingModel`, and any
 * `EmbeddingModel` as an `Llm`.
 *
 * What effect/ai has no word for — the length of vectors, where a request goes — is `CurrentConfig`.
 *
 * @since 0.1.0
 */
import * as EmbeddingModel from "effect/ai/EmbeddingModel"
import * as Model from "effect/ai/Model"
import * as Telemetry from "effect/ai/Telemetry"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Llm from "./Llm.ts"
import * as LlmAdapterError from "./LlmAdapterError.ts"
import * as LlmAiError from "./LlmAiError.ts"
import type * as LlmEmbedding from "./LlmEmbedding.ts"
import * as LlmError from "./LlmError.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import * as Orchestrator from "./Orchestrator.ts"
import type * as Part from "./Part.ts"

/**
 * What a request says besides what effect/ai knows of.
 *
 * @since 0.1.0
 * @category models
 */
export interface Config extends Pick<LlmEmbedding.Input, "dimensions" | "providerOptions" | "metadata"> {}

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What every request says, unless `CurrentConfig` says otherwise. */
  readonly config?: Config | undefined
}

/**
 * What the requests of an effect say. It is laid over the embedding model's own.
 *
 * @since 0.1.0
 * @category references
 */
export const CurrentConfig: Context.Reference<Config> = Context.Reference<Config>(
  "@echelon/core/LlmEmbeddingModel/CurrentConfig",
  { defaultValue: () => ({}) }
)

/**
 * Lays a config over a weaker one: metadata field by field, the rest whole.
 *
 * @since 0.1.0
 * @category combinators
 */
export const merge = (weaker: Config, stronger: Config): Config => ({
  dimensions: stronger.dimensions ?? weaker.dimensions,
  metadata:
    weaker.metadata === undefined || stronger.metadata === undefined
      ? (stronger.metadata ?? weaker.metadata)
      : { ...weaker.metadata, ...stronger.metadata },
  providerOptions: stronger.providerOptions ?? weaker.providerOptions
})

/**
 * Runs an effect whose requests say this, over what they said before.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withConfig: {
  (config: Config): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  <A, E, R>(self: Effect.Effect<A, E, R>, config: Config): Effect.Effect<A, E, R>
} = dual(
  2,
  <A, E, R>(self: Effect.Effect<A, E, R>, config: Config): Effect.Effect<A, E, R> =>
    Effect.updateService(self, CurrentConfig, (before) => merge(before, config))
)

/**
 * Makes an embedding model of an `Llm`.
 *
 * **Details** Texts that are embedded one by one at the same time go out as one request, unless their config differs.
 *
 * **Errors** `AiError`, by the table of `LlmAiError`; `LlmAiError.original` gives the `LlmError` behind it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (llm: Llm.Llm, options: Options = {}): Effect.Effect<EmbeddingModel.EmbeddingModel> => {
  const method = "embedMany"
  return EmbeddingModel.make({
    batchKey: (context) => Context.get(context, CurrentConfig),
    embedMany: Effect.fnUntraced(function* ({ inputs }) {
      const config = merge(options.config ?? {}, yield* CurrentConfig)
      const { currentTimeMillis } = yield* Clock.Clock
      const answer = yield* Effect.catch(Llm.embed(llm, { ...config, input: inputs }), (error) =>
        Effect.flatMap(currentTimeMillis, (now) => Effect.fail(LlmAiError.toAiError(error, { method, now })))
      )
      yield* annotate(llm.id, answer)
      return {
        // Readers that share a call share its vectors: these are this caller's own.
        results: answer.vectors.map((vector) => [...vector]),
        usage: { inputTokens: answer.usage.inputTokens }
      }
    })
  })
}

const annotate = (model: string, answer: LlmEmbedding.Answer): Effect.Effect<void> =>
  Effect.matchEffect(Effect.currentSpan, {
    onFailure: () => Effect.void,
    onSuccess: (span) =>
      Effect.sync(() => {
        Telemetry.addGenAIAnnotations(span, {
          provider: { name: "echelon" },
          operation: { name: "embeddings" },
          request: { model },
          response: { model: answer.model },
          usage: { inputTokens: answer.usage.inputTokens }
        })
        span.attribute("echelon.instance", answer.instance)
      })
  })

/**
 * Provides an `Llm`, or what makes one, as the embedding model.
 *
 * @example
 * ```ts
 * import { LlmEmbeddingModel, Pool } from "@echelon/core"
 * import { ScriptedLlm } from "@echelon/testing"
 * import { Effect } from "effect"
 * import { EmbeddingModel } from "effect/ai"
 *
 * const pool = Effect.gen(function* () {
 *   const down = yield* ScriptedLlm.make({ id: "down", script: ScriptedLlm.fails({ _tag: "Overloaded" }) })
 *   const up = yield* ScriptedLlm.make({ id: "up", script: ScriptedLlm.embeddings([[0.6, 0.8]]) })
 *   return yield* Pool.make([down.llm, up.llm], { id: "pool" })
 * })
 * const program = Effect.flatMap(EmbeddingModel.EmbeddingModel, (model) => model.embed("hi"))
 * const { vector } = await Effect.runPromise(program.pipe(Effect.provide(LlmEmbeddingModel.layer(pool))))
 * console.assert(vector[1] === 0.8)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E = never, R = never>(
  llm: Llm.Llm | Effect.Effect<Llm.Llm, E, R>,
  options?: Options
): Layer.Layer<EmbeddingModel.EmbeddingModel, E, R> =>
  Layer.effect(
    EmbeddingModel.EmbeddingModel,
    Effect.flatMap(Effect.isEffect(llm) ? llm : Effect.succeed(llm), (made) => make(made, options))
  )

/**
 * Provides everything that is configured as the embedding model. `metadata` of the config picks who answers.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerOrchestrator = (
  options?: Options
): Layer.Layer<EmbeddingModel.EmbeddingModel, never, Orchestrator.Orchestrator> =>
  layer(
    Orchestrator.Orchestrator.useSync((service) => service.llm),
    options
  )

/**
 * Makes an effect/ai `Model` of an `Llm`, which also tells the length of the vectors, a provider's name, `echelon`, and
 * a model's, the `Llm`'s id.
 *
 * @since 0.1.0
 * @category constructors
 */
export const model = (
  llm: Llm.Llm,
  options: Options & { readonly dimensions: number }
): Model.Model<"echelon", EmbeddingModel.EmbeddingModel | EmbeddingModel.Dimensions, never> => {
  const { dimensions } = options
  const config = merge(options.config ?? {}, { dimensions })
  return Model.make(
    "echelon",
    llm.id,
    Layer.merge(layer(llm, { config }), Layer.succeed(EmbeddingModel.Dimensions, dimensions))
  )
}

/**
 * Options of `toLlm`.
 *
 * @since 0.1.0
 * @category models
 */
export interface LlmOptions extends Pick<Llm.Options, "id" | "model" | "capabilities" | "prices"> {
  /**
   * Services that a call runs with, which is how the providers of effect/ai take the length of vectors. Without it that
   * and provider options cannot be said, and are listed in the route as dropped.
   */
  readonly context?: ((request: LlmRequest.LlmRequest) => Context.Context<never>) | undefined
}

/**
 * Makes an `Llm` of an embedding model of effect/ai. It answers requests for embeddings alone.
 *
 * **Errors** `AiError`, by the table of `LlmAiError`; a defect is `Unknown`; `InvalidRequest` for a conversation, and for
 * texts given as tokens.
 *
 * @example
 * ```ts
 * import { Llm, LlmEmbeddingModel } from "@echelon/core"
 * import { Effect } from "effect"
 * import { EmbeddingModel } from "effect/ai"
 *
 * const program = Effect.gen(function* () {
 *   const model = yield* EmbeddingModel.make({
 *     embedMany: ({ inputs }) =>
 *       Effect.succeed({ results: inputs.map((text) => [text.length]), usage: { inputTokens: inputs.length } })
 *   })
 *   return yield* Llm.embed(LlmEmbeddingModel.toLlm(model, { id: "mine" }), { input: ["a", "abc"] })
 * })
 * console.assert((await Effect.runPromise(program)).vectors[1]?.[0] === 3)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const toLlm = (model: EmbeddingModel.EmbeddingModel, options: LlmOptions): Llm.Llm => {
  const { capabilities, context, ...rest } = options
  return Llm.make({
    ...rest,
    capabilities: { features: ["embeddings"], ...capabilities },
    open: LlmAdapterError.alive(
      { what: "the model died" },
      Effect.fnUntraced(function* (request, _attempt, dropped) {
        const { embedding, providerOptions } = request
        if (embedding === undefined) return yield* Effect.fail(refused("it answers requests for embeddings alone"))
        const texts = embedding.input.filter((text) => typeof text === "string")
        if (texts.length < embedding.input.length)
          return yield* Effect.fail(refused("it takes texts, not the tokens of texts"))
        if (context === undefined) {
          if (embedding.dimensions !== undefined) dropped("embedding.dimensions")
          for (const kind of Object.keys(providerOptions)) dropped(`providerOptions.${kind}`)
        }
        const { currentTimeMillis } = yield* Clock.Clock
        const { embeddings, usage } = yield* Effect.catch(
          Effect.provideContext(model.embedMany(texts), context?.(request) ?? Context.empty()),
          (error) => Effect.flatMap(currentTimeMillis, (now) => Effect.fail(LlmAiError.fromAiError(error, now)))
        )
        return once([
          { type: "embeddings", vectors: embeddings.map(({ vector }) => vector) },
          {
            type: "finish",
            reason: "stop",
            usage:
              usage.inputTokens === undefined
                ? { inputTokens: {}, outputTokens: {} }
                : { inputTokens: { total: usage.inputTokens }, outputTokens: { total: 0 } }
          }
        ])
      })
    )
  })
}

const refused = (detail: string): LlmError.LlmError => LlmError.make({ reason: { _tag: "InvalidRequest" }, detail })

const once = (parts: readonly [Part.Part, ...Array<Part.Part>]): Llm.Source => {
  let sent = false
  return Effect.suspend(() => {
    if (sent) return Cause.done()
    sent = true
    return Effect.succeed(parts)
  })
}

/**
 * Makes an `Llm` of a Layer that provides an embedding model. What the Layer holds open lives in the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const toLlmFromLayer = <E, R>(
  layer: Layer.Layer<EmbeddingModel.EmbeddingModel, E, R>,
  options: LlmOptions
): Effect.Effect<Llm.Llm, E, R | Scope.Scope> =>
  Effect.map(Layer.build(layer), (services) => toLlm(Context.get(services, EmbeddingModel.EmbeddingModel), options))
