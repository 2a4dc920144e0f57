/**
 * Health of clients within a budget: a check costs a request, and where the provider lists no models also money.
 *
 * @since 0.1.0
 */
import * as HealthProbes from "@echelon/core/HealthProbes"
import type * as Usage from "@echelon/core/Usage"

/**
 * What a check found. Times are milliseconds, `lastChecked` since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface HealthStatus {
  /** `skipped` when nobody was asked; `message` says why, and what the last check found. */
  readonly status: "healthy" | "unhealthy" | "skipped"
  readonly message: string
  /** When somebody was last asked; `undefined` when nobody ever was. */
  readonly lastChecked: number | undefined
  readonly latency: number | undefined
}

/**
 * What all checks of a factory together may cost in any hour.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  /** @default 0.1 */
  readonly usdPerHour: number
  /** @default 600 */
  readonly requestsPerHour: number
}

/**
 * The limits that hold when none are stated.
 *
 * @since 0.1.0
 * @category models
 */
export const limits: Limits = { usdPerHour: 0.1, requestsPerHour: 600 }

/**
 * Checks of the last hour, oldest first.
 *
 * @since 0.1.0
 * @category models
 */
export type State = ReadonlyArray<{ readonly at: number; readonly usd: number }>

/**
 * No check was made.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial: State = []

/**
 * Whether a check may be made; if not, what is used up and when it may be made.
 *
 * @since 0.1.0
 * @category models
 */
export type Decision =
  | { readonly _tag: "Check" }
  | { readonly _tag: "Skip"; readonly of: "requests" | "usd"; readonly retryAt: number | undefined }

const hour = 3_600_000

/**
 * Admits a check that may cost so much, or does not. What is admitted is counted, whatever comes of it.
 *
 * **Details** Any 60 minutes hold at most the limits. `retryAt` is `undefined` when it will never be admitted.
 *
 * @since 0.1.0
 * @category combinators
 */
export const admit = (
  state: State,
  check: { readonly now: number; readonly usd: number },
  { requestsPerHour, usdPerHour }: Limits
): readonly [Decision, State] => {
  const recent = state.filter(({ at }) => at > check.now - hour)
  // Sums of cents are not exact.
  const most = usdPerHour + 1e-9
  let spent = recent.reduce((sum, { usd }) => sum + usd, check.usd)
  if (recent.length < requestsPerHour && spent <= most)
    return [{ _tag: "Check" }, [...recent, { at: check.now, usd: check.usd }]]
  const of = recent.length >= requestsPerHour ? "requests" : "usd"
  // It fits when so many of the oldest are an hour old.
  const last = recent.find(({ usd }, i) => {
    spent -= usd
    return recent.length - i - 1 < requestsPerHour && spent <= most
  })
  return [{ _tag: "Skip", of, retryAt: last === undefined ? undefined : last.at + hour }, recent]
}

/**
 * The most that a check may cost in USD: see `HealthProbes.costOf`.
 *
 * @since 0.1.0
 * @category getters
 */
export const costOf: (how: "models" | "ping", prices: Usage.Prices | undefined) => number = HealthProbes.costOf

/**
 * The status of a check that was not made.
 *
 * @since 0.1.0
 * @category constructors
 */
export const skipped = (why: string, last: HealthStatus | undefined): HealthStatus => ({
  status: "skipped",
  message: last === undefined ? `not checked: ${why}` : `not checked: ${why}; the last check found it ${last.status}`,
  lastChecked: last?.lastChecked,
  latency: undefined
})

/**
 * Says why a check is skipped.
 *
 * @since 0.1.0
 * @category getters
 */
export const explain = (
  decision: Extract<Decision, { readonly _tag: "Skip" }>,
  limits: Limits,
  now: number
): string => {
  const { requestsPerHour, usdPerHour } = limits
  const what = decision.of === "requests" ? `${requestsPerHour} requests an hour` : `${usdPerHour} USD an hour`
  return decision.retryAt === undefined
    ? `health checks may cost ${what}, and this one costs more`
    : `the ${what} for health checks are used up for ${Math.ceil((decision.retryAt - now) / 1_000)} s`
}
