/**
 * A token bucket by GCRA: grants at most `bucketSize + refillRate × t` in any t seconds.
 *
 * **Details** This is the continuous-state form of the algorithm (ITU-T I.371, annex A), which decides as the
 * virtual-scheduling form does. Its one number is the backlog: what was granted and has not been refilled. Kept
 * in units of the limit, it stays exact where an arrival time in epoch milliseconds would round.
 *
 * A late refund gives back only what time has not refilled already, or the bound would break: a bucket that
 * filled up meanwhile had no room for what is returned.
 *
 * @since 0.1.0
 */

/**
 * A bucket. `at` is the time as of which the rest holds.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  size: number
  /** Units refilled a millisecond. */
  rate: number
  /** Granted and not yet refilled; above `size` in debt. */
  used: number
  /** All that ever left the backlog, by refill or refund. */
  left: number
  at: number
}

/** Times within a millionth of a millisecond are the same: what rounding leaves never costs a whole one. */
const tolerance = 1e-6
const jump = 60_000

/**
 * Makes a full bucket.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (bucketSize: number, refillRate: number): State => ({
  size: bucketSize,
  rate: refillRate / 1_000,
  used: 0,
  left: 0,
  at: 0
})

const advance = (state: State, now: number): void => {
  const passed = now - state.at
  // A clock that went back a little is waited for; after a jump the bucket goes on from where the clock is.
  if (passed <= 0 && passed > -jump) return
  if (passed > 0 && state.used > 0) {
    const refilled = Math.min(state.used, passed * state.rate)
    state.used -= refilled
    state.left += refilled
  }
  state.at = now
}

/**
 * The earliest time at which `units` can be had: `now` when they can be had at once, `Infinity` when never.
 *
 * @since 0.1.0
 * @category getters
 */
export const earliest = (state: State, units: number, now: number): number => {
  if (units > state.size) return Number.POSITIVE_INFINITY
  advance(state, now)
  const wait = (state.used + units - state.size) / state.rate
  return wait <= tolerance ? now : state.at + Math.ceil(wait - tolerance / 2)
}

/**
 * Takes `units`, whether or not they are there, and gives a mark for `giveBack`.
 *
 * @since 0.1.0
 * @category mutations
 */
export const charge = (state: State, units: number, now: number): number => {
  advance(state, now)
  state.used += units
  return state.used + state.left
}

/**
 * Returns `units` of a charge, once, as far as they are still missing.
 *
 * **Details** The mark less `left` is the least the backlog can have been since the charge. So much is missing
 * because of it; more would be room that was never there.
 *
 * @since 0.1.0
 * @category mutations
 */
export const giveBack = (state: State, units: number, mark: number, now: number): void => {
  advance(state, now)
  const missing = Math.min(units, Math.max(0, mark - state.left), state.used)
  state.used -= missing
  state.left += missing
}

/**
 * What is granted and not yet refilled.
 *
 * @since 0.1.0
 * @category getters
 */
export const used = (state: State, now: number): number => {
  advance(state, now)
  return state.used
}

/**
 * Changes size and rate; the backlog stays.
 *
 * @since 0.1.0
 * @category mutations
 */
export const resize = (state: State, bucketSize: number, refillRate: number, now: number): void => {
  advance(state, now)
  state.size = bucketSize
  state.rate = refillRate / 1_000
}
