/**
 * A streamed reply for programs that are not Effect programs.
 *
 * @since 0.1.0
 */
import type * as LlmError from "@echelon/core/LlmError"
import type * as LlmReply from "@echelon/core/LlmReply"
import type * as Part from "@echelon/core/Part"
import type * as Route from "@echelon/core/Route"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/**
 * A streamed reply that has committed: its parts, and the route when they have ended. Leaving the loop early closes
 * the connection.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpenedReply {
  readonly parts: AsyncIterable<Part.Part>
  /** Every attempt so far, with reasons and times. */
  readonly route: () => Promise<Route.Route>
}

/**
 * Fails with the signal's reason once it is aborted.
 *
 * @since 0.1.0
 * @category running
 */
export const aborted = (signal: AbortSignal): Effect.Effect<never, unknown> =>
  Effect.callback((resume) => {
    const abort = () => resume(Effect.fail(signal.reason))
    if (signal.aborted) return abort()
    signal.addEventListener("abort", abort, { once: true })
    return Effect.sync(() => signal.removeEventListener("abort", abort))
  })

/**
 * Ends an effect with the signal's reason when that is aborted first.
 *
 * @since 0.1.0
 * @category running
 */
export const until = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  signal: AbortSignal | undefined
): Effect.Effect<A, unknown, R> => (signal === undefined ? effect : Effect.raceFirst(effect, aborted(signal)))

/**
 * Opens a reply in a scope of its own, which closes with the parts or when nobody reads on.
 *
 * @since 0.1.0
 * @category running
 */
export const make = async (
  open: Effect.Effect<LlmReply.LlmReply, LlmError.LlmError, Scope.Scope>,
  context: Context.Context<never>,
  signal: AbortSignal | undefined
): Promise<OpenedReply> => {
  const scope = Scope.makeUnsafe()
  const close = Scope.close(scope, Exit.void)
  const opening = Effect.onError(Effect.provideService(open, Scope.Scope, scope), () => close)
  const reply = await Effect.runPromiseWith(context)(until(opening, signal))
  const parts = signal === undefined ? reply.parts : Stream.interruptWhen(reply.parts, aborted(signal))
  const iterator = Stream.toAsyncIterableWith(Stream.ensuring(parts, close), context)[Symbol.asyncIterator]()
  // A stream that was never read has nothing to end but the scope.
  const end = async () => {
    await iterator.return?.()
    await Effect.runPromise(close)
    return { done: true as const, value: undefined }
  }
  return {
    parts: { [Symbol.asyncIterator]: () => ({ next: () => iterator.next(), return: end }) },
    route: () => Effect.runPromise(reply.route)
  }
}
