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
  /** When the last unnamed wait began. */
  readonly since: number
  /** Failures without a named time since the last success. */
  readonly strikes: number
}

/**
 * Nothing cools.
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: Cooldown = { until: 0, since: Number.NEGATIVE_INFINITY, strikes: 0 }

/** The wait when the provider names none, and its ceiling. */
const unnamed = { base: 1_000, max: 60_000 }

/**
 * Records a failure of an attempt that began at `startedAt`. Only rate limits and quotas with a reset cool;
 * `maxCooldown` (milliseconds) clamps what the provider names, and a wait that is negative or no number counts as
 * none. Attempts that were under way when an unnamed wait began met the same limit: they do not lengthen it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const failed = (
  state: Cooldown,
  reason: Reason.Reason,
  startedAt: number,
  now: number,
  maxCooldown: number
): Cooldown => {
  if (reason._tag !== "RateLimited" && reason._tag !== "QuotaExhausted") return state
  const named = reason.retryAfter === undefined ? Number.NaN : Duration.toMillis(reason.retryAfter)
  if (named > 0) return { ...state, until: Math.max(state.until, now + Math.min(named, maxCooldown)) }
  if (reason._tag === "QuotaExhausted" || startedAt < state.since) return state
  const wait = Math.min(unnamed.base * 2 ** state.strikes, unnamed.max, maxCooldown)
  return { until: Math.max(state.until, now + wait), since: now, strikes: Math.min(state.strikes + 1, 16) }
}

/**
 * Records a success: the next unnamed wait starts small again. A named time stays.
 *
 * @since 0.1.0
 * @category combinators
 */
export const succeeded = (state: Cooldown): Cooldown => (state.strikes === 0 ? state : { ...state, strikes: 0 })
