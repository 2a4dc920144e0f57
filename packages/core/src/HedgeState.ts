/**
 * The pure core of hedging: how long a first output usually takes, and how many second requests may be sent.
 *
 * Sources: Dean and Barroso, "The Tail at Scale" (2013), for the delay; Finagle's `BackupRequestFilter` and gRPC's
 * retry throttling (proposal A6) for a budget that requests fill and hedges spend. The wrong choice where all
 * instances stand behind one bottleneck: then a second request only makes the line longer.
 *
 * @since 0.1.0
 */
import type * as Plan from "./Plan.ts"

/** Times remembered of each kind of reply. */
const capacity = 256

/** For how long they are recent, in milliseconds. */
const age = 600_000

/** Fewer times say nothing of a tail. */
const fewest = 20

/** Hedges that quiet requests may save up. */
const burst = 10

/** A budget of 0.05 is filled by exactly 20 requests, whatever floating point makes of the sum. */
const rounding = 1e-9

/**
 * What hedging knows of an echelon. Times are milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly options: Plan.Hedge
  /** Fewer recent times than this give no delay. */
  readonly minimum: number
  readonly streamed: Recent
  /** Apart, since the first output of a buffered reply is its end. */
  readonly buffered: Recent
  /** Hedges that may be sent now. */
  credit: number
}

/**
 * The latest times.
 *
 * @since 0.1.0
 * @category models
 */
export interface Recent {
  /** In the order in which they came, the oldest overwritten first. */
  readonly millis: Float64Array
  /** When each was observed. */
  readonly at: Float64Array
  /** The same times by size. */
  readonly sorted: Float64Array
  /** How many there were in all, and how many of them are held. */
  observed: number
  count: number
}

const recent = (): Recent => ({
  millis: new Float64Array(capacity),
  at: new Float64Array(capacity),
  sorted: new Float64Array(capacity),
  observed: 0,
  count: 0
})

/** Where a time stands, or would stand, among the sorted. */
const rankOf = ({ count, sorted }: Recent, millis: number): number => {
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((sorted[middle] ?? 0) < millis) low = middle + 1
    else high = middle
  }
  return low
}

/** Drops what is no longer recent, and makes room for so many. */
const prune = (times: Recent, now: number, room: number): void => {
  while (times.count > 0) {
    const oldest = (times.observed - times.count) % capacity
    // After the clock went far back, what it said before means nothing.
    if (times.count + room <= capacity && Math.abs(now - (times.at[oldest] ?? 0)) < age) return
    const rank = rankOf(times, times.millis[oldest] ?? 0)
    times.sorted.copyWithin(rank, rank + 1, times.count)
    times.count -= 1
  }
}

/**
 * Makes the state of an echelon.
 *
 * **Errors** A percentile or budget that is not 0 to 1, or a delay that is not a finite number from 0, throws
 * `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Plan.Hedge): State => {
  const { budget, minDelay, percentile } = options
  if (!(percentile >= 0 && percentile <= 1))
    throw new RangeError(`HedgeState.make: percentile must be 0 to 1, got ${percentile}`)
  if (!(minDelay >= 0 && minDelay < Number.POSITIVE_INFINITY))
    throw new RangeError(`HedgeState.make: minDelay must be a finite number from 0, got ${minDelay}`)
  if (!(budget >= 0 && budget <= 1)) throw new RangeError(`HedgeState.make: budget must be 0 to 1, got ${budget}`)
  // One time in 1 / (1 - p) lies beyond the percentile: with fewer there is none to tell it by.
  const beyond = Math.ceil(1 / (1 - percentile) - rounding)
  return {
    options,
    minimum: Math.min(capacity, Math.max(fewest, beyond)),
    streamed: recent(),
    buffered: recent(),
    credit: 0
  }
}

/**
 * Records how long a first output took.
 *
 * **Details** The first request of a race is observed, not the hedge, which is sent only when things are slow. A
 * time that is negative, since the clock went back, says nothing.
 *
 * @since 0.1.0
 * @category mutations
 */
export const observe = (state: State, isStreamed: boolean, millis: number, now: number): void => {
  if (!(millis >= 0 && millis < Number.POSITIVE_INFINITY)) return
  const times = isStreamed ? state.streamed : state.buffered
  prune(times, now, 1)
  const place = times.observed % capacity
  times.millis[place] = millis
  times.at[place] = now
  const rank = rankOf(times, millis)
  times.sorted.copyWithin(rank + 1, rank, times.count)
  times.sorted[rank] = millis
  times.observed += 1
  times.count += 1
}

/**
 * Records that there was no first output in so long, and will be none: the hedge won, or a clock ran out.
 *
 * **Details** Such a request counts with the time it waited, once that is beyond the delay: there it has its right
 * place among the slow ones. Without them the tail would be cut off, the delay would sink, and more and more
 * requests would be hedged. A shorter wait tells nothing.
 *
 * @since 0.1.0
 * @category mutations
 */
export const observeAtLeast = (state: State, isStreamed: boolean, millis: number, now: number): void => {
  const usual = delay(state, isStreamed, now)
  if (usual !== undefined && millis >= usual) observe(state, isStreamed, millis, now)
}

/**
 * How long a request waits for its first output before a second one may be sent; `undefined` while too few times
 * are recent, or when the budget is 0.
 *
 * **Details** The percentile of the last 256 times within ten minutes, never less than `minDelay`. It needs 20 times,
 * or 1 / (1 - `percentile`) when that is more, 256 at most. A new echelon does not hedge: without a tail to compare
 * with, `minDelay` alone would spend the budget on requests that are not slow.
 *
 * @since 0.1.0
 * @category getters
 */
export const delay = (state: State, isStreamed: boolean, now: number): number | undefined => {
  const { budget, minDelay, percentile } = state.options
  if (budget === 0) return undefined
  const times = isStreamed ? state.streamed : state.buffered
  prune(times, now, 0)
  if (times.count < state.minimum) return undefined
  // The nearest rank.
  const rank = Math.max(1, Math.ceil(percentile * times.count - rounding))
  return Math.max(minDelay, times.sorted[rank - 1] ?? 0)
}

/**
 * Counts a request, which earns its share of a hedge.
 *
 * @since 0.1.0
 * @category mutations
 */
export const request = (state: State): void => {
  state.credit = Math.min(burst, state.credit + state.options.budget)
}

/**
 * Takes a hedge, or refuses it.
 *
 * **Details** Of any run of requests at most `budget` of them, and ten saved up before, are hedged, whatever the
 * delay is and however slow everything has become. Nothing is given in advance: hedges never exceed `budget` times
 * the requests so far.
 *
 * @since 0.1.0
 * @category mutations
 */
export const take = (state: State): boolean => {
  if (state.credit < 1 - rounding) return false
  state.credit -= 1
  return true
}

/**
 * Returns a hedge that was taken and not sent.
 *
 * @since 0.1.0
 * @category mutations
 */
export const giveBack = (state: State): void => {
  state.credit = Math.min(burst, state.credit + 1)
}
