/**
 * When an instance that was told to wait may be asked again.
 *
 * A pure join: of two waits the later end counts, so that a short Retry-After never lets requests back in
 * before a longer one has passed. Without a named time the wait is 1 s, doubling up to 60 s, until a success.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Reason from "./Reason.ts"

/**
 * A cooldown. `until` is milliseconds since the epoch; 0 when nothing cools.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cooldown {
  readonly until: number
  /** Failures without a named time since the last success. */
  readonly strikes: number
}

/**
 * Nothing cools.
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: Cooldown = { until: 0, strikes: 0 }

/** The wait when the provider names none, and its ceiling. */
const unnamed = { base: 1_000, max: 60_000 }

/**
 * Records a failure. Only rate limits and quotas with a reset cool; `maxCooldown` (milliseconds) clamps what
 * the provider names, and a wait that is negative or no number counts as none.
 *
 * @since 0.1.0
 * @category combinators
 */
export const failed = (state: Cooldown, reason: Reason.Reason, now: number, maxCooldown: number): Cooldown => {
  if (reason._tag !== "RateLimited" && reason._tag !== "QuotaExhausted") return state
  const named = reason.retryAfter === undefined ? Number.NaN : Duration.toMillis(reason.retryAfter)
  if (named > 0) return { until: Math.max(state.until, now + Math.min(named, maxCooldown)), strikes: state.strikes }
  if (reason._tag === "QuotaExhausted") return state
  const wait = Math.min(unnamed.base * 2 ** state.strikes, unnamed.max, maxCooldown)
  return { until: Math.max(state.until, now + wait), strikes: Math.min(state.strikes + 1, 16) }
}

/**
 * Records a success: the next unnamed wait starts small again. A named time stays.
 *
 * @since 0.1.0
 * @category combinators
 */
export const succeeded = (state: Cooldown): Cooldown =>
  state.strikes === 0 ? state : { until: state.until, strikes: 0 }
