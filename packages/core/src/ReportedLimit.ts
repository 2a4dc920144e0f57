/**
 * What a provider said is left, until it said so ends.
 *
 * A header knows of traffic that never came through here: other processes, other programs under the same key. It
 * is a ceiling beside the configured limits, so it can only take away. What is nonsense in it is ignored, for a
 * provider that is really out of capacity also answers 429.
 *
 * @since 0.1.0
 */

/**
 * What a response's headers said of one kind of limit.
 *
 * @since 0.1.0
 * @category models
 */
export interface Report {
  readonly kind: "requests" | "tokens"
  readonly remaining: number
  /** The provider's limit. */
  readonly limit?: number | undefined
  /** When the limit is whole again, in milliseconds since the epoch. */
  readonly resetAt?: number | undefined
}

/**
 * A ceiling. `until` is 0 when nothing was said.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  remaining: number
  limit: number | undefined
  until: number
  /** Counts reports, so that a refund never raises a ceiling that came after its charge. */
  report: number
}

/** How long a report holds that names no time, and the longest time that is believed. */
const unnamed = 60_000
const longest = 24 * 60 * 60_000

/**
 * Makes a ceiling of which nothing is known.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (): State => ({ remaining: 0, limit: undefined, until: 0, report: 0 })

/**
 * Takes a report; the newest one holds. Tells whether it was believed.
 *
 * **Details** A `remaining` that is negative or no number makes the report void, as does a `resetAt` that has
 * passed. A `resetAt` that is absent, no number or over 24 h away counts as 60 s from now: a ceiling of 0 lets
 * nothing through that could correct it, so it must not last on hearsay. `remaining` never exceeds `limit`.
 *
 * @since 0.1.0
 * @category mutations
 */
export const learn = (state: State, report: Report, now: number): boolean => {
  const { remaining, resetAt } = report
  if (!(remaining >= 0) || (resetAt !== undefined && resetAt <= now)) return false
  const limit = report.limit !== undefined && report.limit > 0 ? report.limit : undefined
  state.limit = limit
  state.remaining = limit === undefined ? remaining : Math.min(remaining, limit)
  state.until = resetAt !== undefined && resetAt - now <= longest ? resetAt : now + unnamed
  state.report += 1
  return true
}

/**
 * Whether the report still holds. One that ends further away than any can is left by a clock that went back.
 *
 * @since 0.1.0
 * @category getters
 */
export const isHeld = (state: State, now: number): boolean => now < state.until && state.until - now <= longest

/**
 * The earliest time at which `units` can be had: `now`, or when the report ends.
 *
 * @since 0.1.0
 * @category getters
 */
export const earliest = (state: State, units: number, now: number): number =>
  units <= state.remaining || !isHeld(state, now) ? now : state.until

/**
 * Takes `units` and gives a mark for `giveBack`.
 *
 * @since 0.1.0
 * @category mutations
 */
export const charge = (state: State, units: number): number => {
  state.remaining -= units
  return state.report
}

/**
 * Returns `units` of a charge, unless a newer report has come.
 *
 * @since 0.1.0
 * @category mutations
 */
export const giveBack = (state: State, units: number, mark: number): void => {
  if (state.report === mark) state.remaining += units
}
