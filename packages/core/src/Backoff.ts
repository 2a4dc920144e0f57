/**
 * The wait before an instance is asked again: exponential with full jitter.
 *
 * Source: "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015): a wait is uniform between 0 and
 * `min(cap, base * 2^n)`, which spreads the repeats of many callers best.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"

/**
 * Base and cap of the backoff.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly base: Duration.Input
  readonly cap: Duration.Input
}

/**
 * A Schedule that recurs for ever with full jitter. Combine it with `Schedule.upTo` or a `times` to end it.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Backoff } from "@echelon/core"
 *
 * let tries = 0
 * const flaky = Effect.suspend(() => (++tries < 3 ? Effect.fail("not yet") : Effect.succeed(tries)))
 * const schedule = Backoff.schedule({ base: "1 millis", cap: "10 millis" })
 * console.assert((await Effect.runPromise(Effect.retry(flaky, { schedule, times: 5 }))) === 3)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const schedule = (options: Options): Schedule.Schedule<Duration.Duration> => {
  const cap = Duration.fromInputUnsafe(options.cap)
  return Schedule.modifyDelay(Schedule.exponential(options.base), ({ duration }) =>
    Effect.map(Random.next, (random) => Duration.times(Duration.min(Duration.fromInputUnsafe(duration), cap), random))
  )
}

/**
 * Draws one wait after another, in milliseconds.
 *
 * @since 0.1.0
 * @category constructors
 */
export const waits = (options: Options): Effect.Effect<(now: number) => Effect.Effect<number>> =>
  Effect.map(
    Schedule.toStep(schedule(options)),
    (step) => (now) =>
      Effect.match(step(now, undefined), {
        onSuccess: ([, wait]) => Duration.toMillis(wait),
        onFailure: () => Duration.toMillis(options.cap)
      })
  )
