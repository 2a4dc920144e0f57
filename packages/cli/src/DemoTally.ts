/**
 * The demo's books: what was asked, who answered, what failed on the way.
 *
 * @since 0.1.0
 */
import type * as LlmError from "@echelon/core/LlmError"
import type * as Route from "@echelon/core/Route"
import * as Columns from "./Columns.ts"
import type * as TopRates from "./TopRates.ts"

/**
 * One instance's share.
 *
 * @since 0.1.0
 * @category models
 */
export interface Row {
  readonly answered: number
  readonly failed: number
  readonly lastReason: LlmError.ReasonTag | undefined
}

/**
 * The books.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tally {
  readonly asked: number
  readonly answered: number
  /** Requests that ended in an error, with its message. */
  readonly errors: ReadonlyArray<string>
  readonly attempts: number
  /** Failed attempts by reason: each was made good elsewhere, or is behind an error. */
  readonly failovers: Readonly<Record<string, number>>
  readonly rows: Readonly<Record<string, Row>>
  /** Milliseconds from asking to the whole answer, of the answered. */
  readonly times: ReadonlyArray<number>
  /** Alerts that fired, and that resolved. */
  readonly fired: number
  readonly resolved: number
}

/**
 * Empty books.
 *
 * @since 0.1.0
 * @category constructors
 */
export const empty: Tally = {
  asked: 0,
  answered: 0,
  errors: [],
  attempts: 0,
  failovers: {},
  rows: {},
  times: [],
  fired: 0,
  resolved: 0
}

/**
 * Books an alert.
 *
 * @since 0.1.0
 * @category combinators
 */
export const alerted = (tally: Tally, what: "Fired" | "Resolved"): Tally =>
  what === "Fired" ? { ...tally, fired: tally.fired + 1 } : { ...tally, resolved: tally.resolved + 1 }

/**
 * Books one request that has ended.
 *
 * @since 0.1.0
 * @category combinators
 */
export const record = (
  tally: Tally,
  ended: { readonly route: Route.Route; readonly elapsed: number; readonly error: string | undefined }
): Tally => {
  const rows: Record<string, Row> = { ...tally.rows }
  const failovers: Record<string, number> = { ...tally.failovers }
  for (const entry of ended.route) {
    const row = rows[entry.instance] ?? { answered: 0, failed: 0, lastReason: undefined }
    if (entry.outcome === "completed") rows[entry.instance] = { ...row, answered: row.answered + 1 }
    else {
      const reason = entry.reason ?? "Cancelled"
      failovers[reason] = (failovers[reason] ?? 0) + 1
      rows[entry.instance] = { ...row, failed: row.failed + 1, lastReason: reason }
    }
  }
  return {
    ...tally,
    asked: tally.asked + 1,
    answered: tally.answered + (ended.error === undefined ? 1 : 0),
    errors: ended.error === undefined ? tally.errors : [...tally.errors, ended.error],
    attempts: tally.attempts + ended.route.length,
    failovers,
    rows,
    times: ended.error === undefined ? [...tally.times, ended.elapsed] : tally.times
  }
}

/**
 * The time below which a share `p` (0 to 1) of the answers came, by nearest rank; `undefined` without any.
 *
 * @since 0.1.0
 * @category getters
 */
export const percentile = (times: ReadonlyArray<number>, p: number): number | undefined => {
  const sorted = [...times].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(p * sorted.length) - 1)]
}

/**
 * The summary as an object.
 *
 * @since 0.1.0
 * @category getters
 */
export const summary = (tally: Tally, rates: Pick<TopRates.Rates, "providers" | "cost">) => ({
  asked: tally.asked,
  answered: tally.answered,
  attempts: tally.attempts,
  failovers: tally.failovers,
  p50Ms: percentile(tally.times, 0.5) ?? null,
  p99Ms: percentile(tally.times, 0.99) ?? null,
  alerts: { fired: tally.fired, resolved: tally.resolved },
  costUsd: rates.cost,
  providers: rates.providers.map(({ cost, ...rest }) => ({ ...rest, costUsd: cost ?? null })),
  errors: tally.errors
})

/**
 * The summary in lines for a person.
 *
 * @since 0.1.0
 * @category getters
 */
export const summaryLines = (
  tally: Tally,
  rates: Pick<TopRates.Rates, "providers" | "cost">
): ReadonlyArray<string> => {
  const { answered, asked, attempts, failovers, p50Ms, p99Ms } = summary(tally, rates)
  const reasons = Object.entries(failovers)
    .sort(([, a], [, b]) => b - a)
    .map(([reason, count]) => `${reason} ${count}`)
  return [
    `asked      ${asked}`,
    `answered   ${answered}`,
    `attempts   ${attempts}`,
    `failovers  ${reasons.length === 0 ? "none" : reasons.join(", ")}`,
    `alerts     ${tally.fired} fired, ${tally.resolved} resolved`,
    `cost       ${Columns.usd(rates.cost)}`,
    `p50        ${p50Ms ?? "-"} ms`,
    `p99        ${p99Ms ?? "-"} ms`,
    ...tally.errors.slice(0, 5).map((message) => `not answered: ${message}`)
  ]
}
