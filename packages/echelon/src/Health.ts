/**
 * How instances do, for programs that want to ask once: `HealthChecker` of the core in two lines.
 *
 * @since 0.1.0
 */

import * as HealthChecker from "@echelon/core/HealthChecker"
import * as Interpreter from "@echelon/core/Interpreter"
import type * as LlmError from "@echelon/core/LlmError"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

/**
 * How an instance does, and why. Times are milliseconds, since the epoch but for `latency`.
 *
 * @since 0.1.0
 * @category models
 */
export type Status = HealthChecker.HealthStatus

/**
 * Asks every enabled instance now, as cheaply as its provider allows (for a list of models, or a short question), eight
 * at a time.
 *
 * **Details** It counts against the budget of each pool's `[health_check]`. Who is not asked, because that is spent or
 * `health_check = "none"`, is shown as last known, and the message says so.
 *
 * **Errors** `NoCapacity` once shutting down has begun.
 *
 * @since 0.1.0
 * @category running
 */
export const check: Effect.Effect<
  Readonly<Record<string, Status>>,
  LlmError.LlmError,
  Interpreter.Interpreter
> = Effect.scoped(
  Effect.gen(function* () {
    const { current } = yield* Interpreter.Interpreter
    yield* current
    const known = yield* Effect.serviceOption(HealthChecker.HealthChecker)
    const checkAll = Effect.flatMap(HealthChecker.HealthChecker, (one) => one.checkAll())
    return yield* Option.match(known, {
      // For as long as it takes.
      onNone: () => Effect.provide(checkAll, HealthChecker.HealthChecker.layer),
      onSome: (one) => one.checkAll()
    })
  })
)
