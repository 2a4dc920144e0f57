/**
 * What already answers, as an `Llm`: a function that gives a promise or an async iterable, such as a call of a vendor's
 * SDK, or a language model of effect/ai. Existing clients join a pool unchanged.
 *
 * @since 0.1.0
 */
import * as LanguageModel from "effect/ai/LanguageModel"
import type * as Response from "effect/ai/Response"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Attempt from "./Attempt.ts"
import type * as InstanceFactory from "./InstanceFactory.ts"
import * as LanguageModelParts from "./LanguageModelParts.ts"
import * as LanguageModelRequest from "./LanguageModelRequest.ts"
import * as Llm from "./Llm.ts"
import * as LlmAdapterError from "./LlmAdapterError.ts"
import * as LlmAdapterReply from "./LlmAdapterReply.ts"
import * as LlmError from "./LlmError.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import type * as Part from "./Part.ts"

/**
 * Tells what a thrown value means; see `LlmAdapterError.Classify`.
 *
 * @since 0.1.0
 * @category models
 */
export type Classify = LlmAdapterError.Classify

/**
 * What every adapter takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Pick<Llm.Options, "id" | "model" | "capabilities" | "prices"> {
  /**
   * Tells what a thrown value means.
   *
   * @default an `LlmError` or `AiError` is what it is; anything else is `Unknown`, which another instance may answer
   */
  readonly classify?: Classify | undefined
}

/**
 * What a function is given beside the request.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallContext {
  /** Aborted when the answer is not wanted any more: the caller left, a clock ran out, another instance won. */
  readonly signal: AbortSignal
  /** Says that a field of the request could not be said and was left out; the route shows it. */
  readonly dropped: (field: string) => void
}

/**
 * A function that gives whole answers.
 *
 * @since 0.1.0
 * @category models
 */
export type Generate = (
  request: LlmRequest.LlmRequest,
  context: CallContext
) => PromiseLike<LlmAdapterReply.Reply> | LlmAdapterReply.Reply

/**
 * A function that gives answers piece by piece.
 *
 * @since 0.1.0
 * @category models
 */
export type StreamPieces = (
  request: LlmRequest.LlmRequest,
  context: CallContext
) => AsyncIterable<LlmAdapterReply.Chunk> | PromiseLike<AsyncIterable<LlmAdapterReply.Chunk>>

/**
 * Makes an `Llm` of a function that gives a promise.
 *
 * **Details** An answer is text, a `Plain` (`{ text, toolCalls, finishReason, usage, … }`) or parts. With `stream` too,
 * a streamed request is asked of it; without, it comes in one piece. Retries belong to the pool: switch off the SDK's.
 *
 * **Errors** What the function throws, by `classify`. An answer that is none is `MalformedOutput`.
 *
 * @example
 * ```ts
 * import { Llm, LlmAdapter } from "@echelon/core"
 * import { Effect } from "effect"
 *
 * const client = { ask: async (prompt: string, options: { signal: AbortSignal }) => `${prompt}: hello` }
 *
 * const llm = LlmAdapter.fromPromise({
 *   id: "mine",
 *   generate: async (request, { signal }) => {
 *     const text = await client.ask(String(request.messages[0]?.content), { signal })
 *     return { text, usage: { inputTokens: 1, outputTokens: 2 } }
 *   }
 * })
 * const answer = await Effect.runPromise(Llm.generate(llm, { prompt: "hi" }))
 * console.assert(answer.text === "hi: hello" && answer.usage.outputTokens === 2)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromPromise = (
  options: Options & { readonly generate: Generate; readonly stream?: StreamPieces | undefined }
): Llm.Llm =>
  Llm.make({
    ...instanceOf(options),
    open: LlmAdapterError.alive({ classify: options.classify, what: threw }, (request, attempt, dropped) =>
      options.stream !== undefined && request.stream
        ? pieces(options.stream, options.classify, request, attempt, dropped)
        : Effect.flatMap(controlled(attempt), (signal) =>
            Effect.map(
              attempted(options.classify, () => options.generate(request, { signal, dropped })),
              (reply) => once(LlmAdapterReply.whole(reply))
            )
          )
    )
  })

/**
 * Makes an `Llm` of a function that gives an async iterable.
 *
 * **Details** A piece is text, a `Plain` or a part. An iterable of nothing but text is whole when it ends; one of
 * anything else must say its `finishReason` (or give a finish part), or the answer counts as cut off. When the answer is
 * not wanted any more, the signal is aborted and the iterator told to return.
 *
 * @example
 * ```ts
 * import { Llm, LlmAdapter } from "@echelon/core"
 * import { Effect, Stream } from "effect"
 *
 * const llm = LlmAdapter.fromAsyncIterable({
 *   id: "mine",
 *   stream: async function* (_request, { signal }) {
 *     for (const word of ["one ", "two ", "three"]) if (!signal.aborted) yield word
 *   }
 * })
 * const text = await Effect.runPromise(
 *   Stream.runFold(Llm.stream(llm, { prompt: "hi" }), () => "", (text, part) =>
 *     part.type === "text-delta" ? text + part.delta : text
 *   )
 * )
 * console.assert(text === "one two three")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromAsyncIterable = (options: Options & { readonly stream: StreamPieces }): Llm.Llm =>
  Llm.make({
    ...instanceOf(options),
    open: LlmAdapterError.alive({ classify: options.classify, what: threw }, (request, attempt, dropped) =>
      pieces(options.stream, options.classify, request, attempt, dropped)
    )
  })

/**
 * The text of a message, its other parts left out: for clients that take nothing else.
 *
 * @since 0.1.0
 * @category getters
 */
export const textOf = ({ content }: LlmRequest.Message): string =>
  typeof content === "string" ? content : content.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("")

/** What answers conversations is not asked for vectors, unless it says that it has them. */
const instanceOf = ({ capabilities = {}, id, model, prices }: Options) => ({
  id,
  model,
  capabilities:
    capabilities.features?.includes("embeddings") === true
      ? capabilities
      : { ...capabilities, lacks: [...(capabilities.lacks ?? []), "embeddings" as const] },
  prices
})

/** A signal that is aborted, at once, when the attempt ends. */
const controlled = (attempt: Attempt.Attempt): Effect.Effect<AbortSignal> =>
  Effect.suspend(() => {
    const controller = new AbortController()
    return Effect.as(
      Scope.addFinalizer(
        attempt.scope,
        Effect.sync(() => controller.abort())
      ),
      controller.signal
    )
  })

const attempted = <A>(
  classify: Classify | undefined,
  run: () => PromiseLike<A> | A
): Effect.Effect<A, LlmError.LlmError> =>
  Effect.catch(Effect.tryPromise({ try: async () => run(), catch: (thrown) => ({ thrown }) }), ({ thrown }) =>
    Effect.flatMap(Clock.currentTimeMillis, (now) =>
      Effect.fail(LlmAdapterError.of(thrown, { classify, now, what: threw }))
    )
  )

const threw = "the function threw"

type Batch = readonly [Part.Part, ...Array<Part.Part>]

const isBatch = (parts: ReadonlyArray<Part.Part>): parts is Batch => parts.length > 0

const once = (parts: ReadonlyArray<Part.Part>): Llm.Source => {
  let batch = parts
  return Effect.suspend(() => {
    const now = batch
    batch = []
    return isBatch(now) ? Effect.succeed(now) : Cause.done()
  })
}

const pieces = (
  stream: StreamPieces,
  classify: Classify | undefined,
  request: LlmRequest.LlmRequest,
  attempt: Attempt.Attempt,
  dropped: (field: string) => void
): Effect.Effect<Llm.Source, LlmError.LlmError> =>
  Effect.gen(function* () {
    const signal = yield* controlled(attempt)
    const iterable = yield* attempted(classify, () => stream(request, { signal, dropped }))
    const iterator = iterable[Symbol.asyncIterator]()
    let ended = false
    yield* Scope.addFinalizer(
      attempt.scope,
      Effect.sync(() => {
        if (!ended) abandon(iterator)
      })
    )
    const state = LlmAdapterReply.make()
    const next: Llm.Source = Effect.suspend(() =>
      ended
        ? Cause.done()
        : Effect.flatMap(
            attempted(classify, () => iterator.next()),
            (result): Llm.Source => {
              ended = result.done === true
              attempt.touch()
              const parts =
                result.done === true ? LlmAdapterReply.end(state) : LlmAdapterReply.take(state, result.value)
              return isBatch(parts) ? Effect.succeed(parts) : next
            }
          )
    )
    return next
  })

/** Lets an iterator clean up. Nobody waits for it, and nobody is left to hear how that went. */
const abandon = (iterator: AsyncIterator<unknown>): void => {
  const ignored = () => {}
  try {
    iterator.return?.().then(ignored, ignored)
  } catch {
    ignored()
  }
}

/**
 * Options of `fromLanguageModel`.
 *
 * @since 0.1.0
 * @category models
 */
export interface LanguageModelOptions extends Options {
  /**
   * Services that a call runs with, which is how the providers of effect/ai take settings:
   * `({ settings }) => Context.make(OpenAiLanguageModel.Config, { temperature: settings.temperature })`. Without it
   * settings and provider options cannot be said, and are listed in the route as dropped.
   */
  readonly context?: ((request: LlmRequest.LlmRequest) => Context.Context<never>) | undefined
}

/**
 * Makes an `Llm` of a language model of effect/ai.
 *
 * **Details** Tool calls are not resolved here: whoever asked does that, once, whichever instance answered. An object is
 * asked for whole, as effect/ai streams none.
 *
 * **Errors** `AiError`, by the table of `LlmAiError`; a defect is `Unknown`, told by its class alone.
 *
 * **Gotchas** A stream without a finish part was cut off. effect/ai itself takes it for whole.
 *
 * @example
 * ```ts
 * import { Llm, LlmAdapter } from "@echelon/core"
 * import { Effect, Stream } from "effect"
 * import { LanguageModel } from "effect/ai"
 *
 * const program = Effect.gen(function* () {
 *   const model = yield* LanguageModel.make({
 *     generateText: () => Effect.succeed([{ type: "text", text: "hello" }]),
 *     streamText: () => Stream.empty
 *   })
 *   return yield* Llm.generate(LlmAdapter.fromLanguageModel(model, { id: "mine" }), { prompt: "hi" })
 * })
 * console.assert((await Effect.runPromise(program)).text === "hello")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromLanguageModel = (model: LanguageModel.LanguageModel, options: LanguageModelOptions): Llm.Llm =>
  Llm.make({
    ...instanceOf(options),
    open: LlmAdapterError.alive(
      { classify: options.classify, what: "the model died" },
      Effect.fnUntraced(function* (request, attempt, dropped) {
        const { object, prompt, toolChoice, toolkit } = yield* LanguageModelRequest.raise(request, dropped)
        const context = options.context?.(request)
        if (context === undefined) LanguageModelRequest.dropSettings(request, dropped)
        const services = context ?? Context.empty()
        const clock = yield* Clock.Clock
        const failed = (error: unknown) =>
          LlmAdapterError.of(error, { classify: options.classify, now: clock.currentTimeMillisUnsafe(), what: threw })
        const asked = { prompt, toolkit, toolChoice, disableToolCallResolution: true } as const
        if (request.stream && object === undefined) {
          const parts = Stream.provideContext(model.streamText(asked), services)
          const pull = yield* Effect.provideService(Stream.toPull(parts), Scope.Scope, attempt.scope)
          const next: Llm.Source = Pull.matchEffect(pull, {
            onSuccess: (batch) => {
              const converted = batch.flatMap((part) => fromStream(part, failed))
              return isBatch(converted) ? Effect.succeed(converted) : next
            },
            onFailure: (cause) => Effect.failCause(Cause.map(cause, failed)),
            onDone: () => Cause.done()
          })
          return next
        }
        const response = yield* Effect.mapError(
          Effect.provideContext(
            object === undefined
              ? model.generateText(asked)
              : model.generateObject({ ...asked, schema: object.schema, objectName: object.name }),
            services
          ),
          failed
        )
        const parts = response.content.flatMap((part, at) => LanguageModelParts.fromResponse(part, String(at)))
        // A whole answer need not say so.
        if (parts.at(-1)?.type !== "finish") parts.push(unfinished)
        return once(parts)
      })
    )
  })

const unfinished: Part.Part = { type: "finish", reason: "unknown", usage: { inputTokens: {}, outputTokens: {} } }

const fromStream = (part: Response.AnyPart, failed: (error: unknown) => LlmError.LlmError): ReadonlyArray<Part.Part> =>
  part.type === "error" ? [{ type: "error", error: failed(part.error) }] : LanguageModelParts.fromResponse(part, "0")

/**
 * Makes an `Llm` of a Layer that provides a language model, such as the `model` of a provider of effect/ai. What the
 * Layer holds open lives in the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromLayer = <E, R>(
  layer: Layer.Layer<LanguageModel.LanguageModel, E, R>,
  options: LanguageModelOptions
): Effect.Effect<Llm.Llm, E, R | Scope.Scope> =>
  Effect.map(Layer.build(layer), (services) =>
    fromLanguageModel(Context.get(services, LanguageModel.LanguageModel), options)
  )

/**
 * Adds a health check to an adapted client: what an `InstanceFactory` gives.
 *
 * **Details** Without a check of its own the client is asked for a short answer, which costs a few tokens.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withProbe = (
  llm: Llm.Llm,
  options: {
    readonly healthCheck?: ((context: { readonly signal: AbortSignal }) => PromiseLike<unknown>) | undefined
    readonly classify?: Classify | undefined
  } = {}
): InstanceFactory.Built => {
  const { classify, healthCheck } = options
  const ask: Effect.Effect<unknown, LlmError.LlmError> =
    healthCheck === undefined
      ? Llm.generate(llm, { prompt: "ping", settings: { maxOutputTokens: 16 } })
      : Effect.suspend(() => {
          const controller = new AbortController()
          return Effect.onInterrupt(
            attempted(classify, () => healthCheck({ signal: controller.signal })),
            () => Effect.sync(() => controller.abort())
          )
        })
  return {
    llm,
    probe: Effect.mapError(
      Effect.map(Effect.timed(ask), ([elapsed]) => elapsed),
      (error) => (error.instance === undefined ? LlmError.update(error, { instance: llm.id }) : error)
    )
  }
}
