/**
 * How much of a pool's traffic may be retries, so that an outage is not amplified.
 *
 * Source: Finagle's `RetryBudget`: within a window, retries may be a share of the requests, and a few a second
 * always. When the window is spent a request ends with what it has met instead of adding to the load.
 *
 * @since 0.1.0
 */

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Retries against requests in the window, 0 to 1. */
  readonly ratio: number
  /** Retries a second that are always allowed. */
  readonly minPerSecond: number
}

/**
 * The budget of one pool. Times are milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface RetryBudget {
  /** Counts a request. */
  readonly request: (now: number) => void
  /** Whether a retry could be taken now. */
  readonly allows: (now: number) => boolean
  /** Takes a retry, or refuses it. */
  readonly retry: (now: number) => boolean
}

/** Finagle's time to live of a deposit, as whole seconds. */
const seconds = 10

/**
 * Makes a budget. It holds ten counters, whatever the traffic.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): RetryBudget => {
  const { minPerSecond, ratio } = options
  const requests = new Array<number>(seconds).fill(0)
  const retries = new Array<number>(seconds).fill(0)
  let latest = Number.NEGATIVE_INFINITY
  const slot = (now: number): number => {
    const second = Math.floor(now / 1_000)
    // A clock that went back far begins anew, instead of standing still until it has caught up.
    if (second < latest - seconds) latest = second - seconds
    if (second > latest) {
      const gone = Math.min(seconds, second - latest)
      for (let i = 0; i < gone; i++) {
        const at = (((second - i) % seconds) + seconds) % seconds
        requests[at] = 0
        retries[at] = 0
      }
      latest = second
    }
    return ((latest % seconds) + seconds) % seconds
  }
  const isFull = () => sum(retries) >= ratio * sum(requests) + minPerSecond * seconds
  const sum = (counts: ReadonlyArray<number>) => counts.reduce((total, count) => total + count, 0)
  return {
    request: (now) => {
      const at = slot(now)
      requests[at] = (requests[at] ?? 0) + 1
    },
    allows: (now) => {
      slot(now)
      return !isFull()
    },
    retry: (now) => {
      const at = slot(now)
      if (isFull()) return false
      retries[at] = (retries[at] ?? 0) + 1
      return true
    }
  }
}
