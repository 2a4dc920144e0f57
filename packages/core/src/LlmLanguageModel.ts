/**
 * Any `Llm` — an instance, a task group, a pool, a wrapper, the orchestrator — as effect/ai's `LanguageModel`: programs
 * written for effect/ai get failover without a changed line.
 *
 * Text, objects, tools with toolkits, streams and `Chat` work as with any other language model. Until commit a failure
 * goes to another instance unseen; `generateText` and `generateObject` commit when the answer is whole. What effect/ai
 * has no word for — temperature and the like, where a request goes — is `CurrentConfig`, as with effect's own providers.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/ai/AiError"
import * as LanguageModel from "effect/ai/LanguageModel"
import * as Model from "effect/ai/Model"
import type * as Response from "effect/ai/Response"
import * as Telemetry from "effect/ai/Telemetry"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import * as Layer from "effect/Layer"
import type * as Pull from "effect/Pull"
import * as Stream from "effect/Stream"
import type { Span } from "effect/Tracer"
import * as LanguageModelParts from "./LanguageModelParts.ts"
import * as LanguageModelRequest from "./LanguageModelRequest.ts"
import * as Llm from "./Llm.ts"
import * as LlmAiError from "./LlmAiError.ts"
import type * as LlmError from "./LlmError.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import * as Orchestrator from "./Orchestrator.ts"
import type * as Part from "./Part.ts"
import type * as Route from "./Route.ts"

/**
 * What a request says besides what effect/ai knows of.
 *
 * @since 0.1.0
 * @category models
 */
export interface Config extends Pick<LlmRequest.Input, "settings" | "providerOptions" | "metadata"> {
  /** Ask the provider to hold objects to their schema exactly, where it can. @default left to the provider */
  readonly strictJsonSchema?: boolean | undefined
}

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends LanguageModelRequest.Options {
  /** What every request says, unless `CurrentConfig` says otherwise. */
  readonly config?: Config | undefined
}

/**
 * What the requests of an effect or a stream say. It is laid over the language model's own, setting by setting.
 *
 * @since 0.1.0
 * @category references
 */
export const CurrentConfig: Context.Reference<Config> = Context.Reference<Config>(
  "@echelon/core/LlmLanguageModel/CurrentConfig",
  { defaultValue: () => ({}) }
)

const layered = <A extends object>(weaker: A | undefined, stronger: A | undefined): A | undefined =>
  weaker === undefined || stronger === undefined ? (stronger ?? weaker) : { ...weaker, ...stronger }

/**
 * Lays a config over a weaker one: settings and metadata field by field, the rest whole.
 *
 * @since 0.1.0
 * @category combinators
 */
export const merge = (weaker: Config, stronger: Config): Config => ({
  settings: layered(weaker.settings, stronger.settings),
  metadata: layered(weaker.metadata, stronger.metadata),
  providerOptions: layered(weaker.providerOptions, stronger.providerOptions),
  strictJsonSchema: stronger.strictJsonSchema ?? weaker.strictJsonSchema
})

/**
 * Runs an effect whose requests say this, over what they said before.
 *
 * **Gotchas** For a stream: `Stream.updateService(CurrentConfig, (config) => LlmLanguageModel.merge(config, more))`.
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
 * Makes a language model of an `Llm`.
 *
 * **Details** The finish part of an answer carries who answered and the route, read by `LanguageModelParts.routeOf`.
 * The seam between two instances is a `response-metadata` part with `metadata.echelon.seam`. The whole conversation is
 * sent every time: an id of a response at one instance says nothing to the next.
 *
 * **Errors** `AiError`, by the table of `LlmAiError`; `LlmAiError.original` gives the `LlmError` behind it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (llm: Llm.Llm, options: Options = {}): Effect.Effect<LanguageModel.LanguageModel> => {
  const lower = LanguageModelRequest.lowering(options)
  const inputOf = Effect.fnUntraced(function* (asked: LanguageModel.ProviderOptions, method: string) {
    const config = merge(options.config ?? {}, yield* CurrentConfig)
    const { strictJsonSchema, ...rest } = config
    const input: LlmRequest.Input = { ...(yield* lower(asked, method, strictJsonSchema)), ...rest }
    annotateRequest(asked.span, llm.id, input)
    return input
  })
  return LanguageModel.make({
    codecTransformer: options.codecTransformer,
    generateText: Effect.fnUntraced(function* (asked) {
      const method = asked.responseFormat.type === "json" ? "generateObject" : "generateText"
      const input = yield* inputOf(asked, method)
      const { currentTimeMillis } = yield* Clock.Clock
      const answer = yield* Effect.catch(Llm.generate(llm, input), (error) =>
        Effect.flatMap(currentTimeMillis, (now) => Effect.fail(LlmAiError.toAiError(error, { method, now })))
      )
      const parts = LanguageModelParts.toParts(answer, declaredBy(asked))
      if (AiError.isAiErrorReason(parts)) return yield* refused(parts, method)
      for (const part of parts) annotatePart(asked.span, part)
      return parts
    }),
    streamText: (asked) =>
      Stream.unwrap(
        Effect.gen(function* () {
          const method = "streamText"
          const clock = yield* Clock.Clock
          const failed = (error: LlmError.LlmError) =>
            LlmAiError.toAiError(error, { method, now: clock.currentTimeMillisUnsafe() })
          const input = yield* inputOf(asked, method)
          const reply = yield* Effect.mapError(Llm.open(llm, input), failed)
          const declared = declaredBy(asked)
          return Stream.transformPull(Stream.mapError(reply.parts, failed), (pull) => {
            const next: Pull.Pull<Batch, AiError.AiError> = Effect.flatMap(pull, (batch) =>
              Effect.flatMap(
                // The route is whole when the finish part has come.
                batch.at(-1)?.type === "finish" ? reply.route : Effect.succeed([]),
                (route): typeof next => {
                  const converted = convert(batch, declared, route)
                  if (AiError.isAiErrorReason(converted)) return refused(converted, method)
                  for (const part of converted) annotatePart(asked.span, part)
                  return isBatch(converted) ? Effect.succeed(converted) : next
                }
              )
            )
            return Effect.succeed(next)
          })
        })
      )
  })
}

type Batch = readonly [Response.StreamPartEncoded, ...Array<Response.StreamPartEncoded>]

const isBatch = (parts: ReadonlyArray<Response.StreamPartEncoded>): parts is Batch => parts.length > 0

const convert = (
  batch: ReadonlyArray<Part.Part>,
  declared: LanguageModelParts.Declared,
  route: Route.Route
): ReadonlyArray<Response.StreamPartEncoded> | AiError.AiErrorReason => {
  const converted: Array<Response.StreamPartEncoded> = []
  for (const full of batch) {
    const part = LanguageModelParts.toStreamPart(full, declared, () => route)
    if (AiError.isAiErrorReason(part)) return part
    if (part !== undefined) converted.push(part)
  }
  return converted
}

const refused = (reason: AiError.AiErrorReason, method: string): Effect.Effect<never, AiError.AiError> =>
  Effect.fail(AiError.make({ module: "Echelon", method, reason }))

const declaredBy = (asked: LanguageModel.ProviderOptions): LanguageModelParts.Declared => ({
  names: new Set(asked.tools.map((tool) => tool.name)),
  isDeferred: asked.toolCallValidation === "deferred"
})

const annotateRequest = (span: Span, model: string, { settings }: LlmRequest.Input): void =>
  Telemetry.addGenAIAnnotations(span, {
    provider: { name: "echelon" },
    operation: { name: "chat" },
    request: {
      model,
      temperature: settings?.temperature,
      topK: settings?.topK,
      topP: settings?.topP,
      maxTokens: settings?.maxOutputTokens,
      stopSequences: settings?.stop,
      seed: settings?.seed,
      frequencyPenalty: settings?.frequencyPenalty,
      presencePenalty: settings?.presencePenalty
    }
  })

const annotatePart = (span: Span, part: Response.StreamPartEncoded | Response.PartEncoded): void => {
  if (part.type === "response-metadata")
    Telemetry.addGenAIAnnotations(span, { response: { id: part.id, model: part.modelId } })
  else if (part.type === "finish") {
    const { inputTokens, outputTokens } = part.usage
    Telemetry.addGenAIAnnotations(span, {
      response: { finishReasons: [part.reason] },
      usage: { inputTokens: inputTokens.total, outputTokens: outputTokens.total }
    })
    const own = part.metadata?.["echelon"]
    if (typeof own === "object" && own !== null && "instance" in own) span.attribute("echelon.instance", own.instance)
  }
}

/**
 * Provides an `Llm`, or what makes one, as the language model.
 *
 * @example
 * ```ts
 * import { LanguageModelParts, LlmLanguageModel, Pool } from "@echelon/core"
 * import { ScriptedLlm } from "@echelon/testing"
 * import { Effect } from "effect"
 * import { LanguageModel } from "effect/ai"
 *
 * const pool = Effect.gen(function* () {
 *   const down = yield* ScriptedLlm.make({ id: "down", script: ScriptedLlm.fails({ _tag: "Overloaded" }) })
 *   const up = yield* ScriptedLlm.make({ id: "up", script: ScriptedLlm.text("hello") })
 *   return yield* Pool.make([down.llm, up.llm], { id: "pool" })
 * })
 *
 * const program = LanguageModel.generateText({ prompt: "hi" }).pipe(
 *   LlmLanguageModel.withConfig({ settings: { temperature: 0 } }),
 *   Effect.provide(LlmLanguageModel.layer(pool))
 * )
 * const response = await Effect.runPromise(program)
 * console.assert(response.text === "hello")
 * console.assert(LanguageModelParts.routeOf(response.content)?.instance === "up")
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E = never, R = never>(
  llm: Llm.Llm | Effect.Effect<Llm.Llm, E, R>,
  options?: Options
): Layer.Layer<LanguageModel.LanguageModel, E, R> =>
  Layer.effect(
    LanguageModel.LanguageModel,
    Effect.flatMap(Effect.isEffect(llm) ? llm : Effect.succeed(llm), (made) => make(made, options))
  )

/**
 * Provides everything that is configured as the language model. `metadata` of the config picks who answers.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerOrchestrator = (
  options?: Options
): Layer.Layer<LanguageModel.LanguageModel, never, Orchestrator.Orchestrator> =>
  layer(
    Orchestrator.Orchestrator.useSync((service) => service.llm),
    options
  )

/**
 * Makes an effect/ai `Model` of an `Llm`, which also tells a provider's name, `echelon`, and a model's, the `Llm`'s id:
 * for programs that read them, and for steps of an `ExecutionPlan`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const model = (llm: Llm.Llm, options?: Options): Model.Model<"echelon", LanguageModel.LanguageModel, never> =>
  Model.make("echelon", llm.id, layer(llm, options))
