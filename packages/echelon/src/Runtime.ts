/**
 * Echelon for programs that are not Effect programs: promises and async iterables.
 *
 * @since 0.1.0
 */
import type * as LlmEmbedding from "@echelon/core/LlmEmbedding"
import * as LlmError from "@echelon/core/LlmError"
import type * as LlmReply from "@echelon/core/LlmReply"
import type * as LlmRequest from "@echelon/core/LlmRequest"
import * as LogFormat from "@echelon/core/LogFormat"
import * as Orchestrator from "@echelon/core/Orchestrator"
import type * as Part from "@echelon/core/Part"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Stream from "effect/Stream"
import * as Health from "./Health.ts"
import * as OpenedReply from "./OpenedReply.ts"
import * as Wiring from "./Wiring.ts"

/**
 * How a call is cut short.
 *
 * @since 0.1.0
 * @category models
 */
export interface CallOptions {
  /** Aborting closes the connection; the call rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined
}

/**
 * A running Echelon.
 *
 * **Details** Methods reject with `LlmError`, `reload` with `ConfigError`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Runtime {
  readonly generate: (input: LlmRequest.Input, options?: CallOptions) => Promise<LlmReply.Answer>
  /** Leaving the loop early closes the connection. */
  readonly stream: (input: LlmRequest.Input, options?: CallOptions) => AsyncIterable<Part.Part>
  /** Opens a streamed reply: its parts, and the route when they have ended. It rejects with what fails before any output. */
  readonly open: (input: LlmRequest.Input, options?: CallOptions) => Promise<OpenedReply.OpenedReply>
  /** One vector a text, in their order. */
  readonly embed: (input: LlmEmbedding.Input, options?: CallOptions) => Promise<LlmEmbedding.Answer>
  /** Every enabled instance by name. */
  readonly healthCheck: () => Promise<Readonly<Record<string, Health.Status>>>
  /** Reads the configuration again; requests in flight end on the old one. */
  readonly reload: () => Promise<void>
  /** Admits nobody any more, lets what runs end within `shutdown_grace` (30 s), cancels the rest and closes every connection. */
  readonly dispose: () => Promise<void>
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

/**
 * Starts Echelon over a folder of configuration.
 *
 * **Errors** Rejects with `ConfigError` when the configuration has problems.
 *
 * @example
 * ```ts no-run
 * import { Echelon } from "@echelon/echelon"
 *
 * await using echelon = await Echelon.runtime({ config: "configs" })
 * for await (const part of echelon.stream({ prompt: "Why is the sky blue?", metadata: { poolName: "fast_pool" } })) {
 *   if (part.type === "text-delta") process.stdout.write(part.delta)
 * }
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const runtime = async (options: Wiring.Options): Promise<Runtime> => {
  const managed = ManagedRuntime.make(
    Layer.provideMerge(
      Wiring.layer(options),
      LogFormat.LogFormat.layer((line) => void process.stderr.write(`${line}\n`))
    )
  )
  const context = await managed.context()
  let isDisposed = false
  const alive = Effect.suspend(() =>
    isDisposed
      ? Effect.fail(LlmError.make({ reason: { _tag: "Cancelled" }, detail: "the runtime is disposed" }))
      : Effect.void
  )
  const run = <A, E>(effect: Effect.Effect<A, E, Wiring.Services>): Promise<A> =>
    Effect.runPromiseWith(context)(Effect.andThen(alive, effect))
  const whole = <A>(
    answer: Effect.Effect<A, LlmError.LlmError, Orchestrator.Orchestrator>,
    { signal }: CallOptions = {}
  ): Promise<A> => run(OpenedReply.until(answer, signal))
  const dispose = () => {
    isDisposed = true
    return managed.dispose()
  }
  return {
    generate: (input, options) => whole(Orchestrator.generate(input), options),
    embed: (input, options) => whole(Orchestrator.embed(input), options),
    open: (input, { signal } = {}) =>
      OpenedReply.make(
        Effect.provideContext(Effect.andThen(alive, Orchestrator.open(input)), context),
        Context.empty(),
        signal
      ),
    stream: (input, { signal } = {}) => {
      const parts = Stream.unwrap(Effect.as(alive, Orchestrator.stream(input)))
      return Stream.toAsyncIterableWith(
        signal === undefined ? parts : Stream.interruptWhen(parts, OpenedReply.aborted(signal)),
        context
      )
    },
    healthCheck: () => run(Health.check),
    reload: () => run(Wiring.reload),
    dispose,
    [Symbol.asyncDispose]: dispose
  }
}
