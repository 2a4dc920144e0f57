/**
 * Gathers what the table shows: from the plan that runs in this process, and from whoever knows of health and alerts.
 *
 * @since 0.1.0
 */

import * as Alerting from "@echelon/core/Alerting"
import * as Control from "@echelon/core/Control"
import * as HealthChecker from "@echelon/core/HealthChecker"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { TopRates } from "./TopRates.ts"
import type * as TopTable from "./TopTable.ts"

/**
 * Listens from now on, for as long as the scope is open, and gives the view of the moment whenever it is run.
 *
 * **Details** Health and alerts are shown where `HealthChecker` and `AlertingService` are provided.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.gen(function* () {
  const control = yield* Control.Control
  const health = yield* Effect.serviceOption(HealthChecker.HealthChecker)
  const alerting = yield* Effect.serviceOption(Alerting.AlertingService)
  const rates = new TopRates(yield* Clock.currentTimeMillis)
  yield* control.observe(rates)
  return Effect.gen(function* (): Effect.fn.Return<TopTable.View> {
    const snapshot = yield* control.snapshot
    return {
      snapshot,
      rates: rates.snapshot(snapshot.at),
      health: Option.isNone(health) ? {} : yield* health.value.statuses,
      alerts: Option.isNone(alerting)
        ? []
        : (yield* alerting.value.firing).map(({ firedAt, rule, severity, since, subject, text }) => ({
            rule,
            severity,
            text,
            subject: subject.name,
            since: firedAt ?? since
          }))
    }
  })
})
