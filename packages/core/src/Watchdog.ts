/**
 * The pure core of an attempt's clocks: one state, one next expiry.
 *
 * The attempt's timer sleeps `wait` and asks `expired` again. As the wait never exceeds the shortest clock
 * that could start meanwhile, every clock is met to the millisecond with one timer a stream, not one a part.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Clocks from "./Clocks.ts"
import type * as LlmError from "./LlmError.ts"

/**
 * What the clocks know of an attempt. Times are milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly clocks: Clocks.Clocks
  readonly startedAt: number
  readonly deadline: number | undefined
  readonly firstOutputBy: number | undefined
  readonly streaming: boolean
  hasOutput: boolean
  isCommitted: boolean
  isPulling: boolean
  /** When pulling last began or ended. */
  pulledAt: number
  eventAt: number
}

/**
 * Starts the clocks.
 *
 * @since 0.1.0
 * @category constructors
 */
export const start = (
  clocks: Clocks.Clocks,
  now: number,
  options: {
    readonly deadline: number | undefined
    readonly firstOutputBy: number | undefined
    readonly streaming: boolean
  }
): State => ({
  clocks,
  startedAt: now,
  ...options,
  hasOutput: false,
  isCommitted: false,
  isPulling: true,
  pulledAt: now,
  eventAt: now
})

/**
 * Marks commit: from now on the clocks of a stream run.
 *
 * @since 0.1.0
 * @category mutations
 */
export const committed = (state: State, now: number): void => {
  state.isCommitted = true
  state.hasOutput = true
  state.eventAt = now
}

/**
 * Marks a provider event.
 *
 * @since 0.1.0
 * @category mutations
 */
export const touched = (state: State, now: number): void => {
  state.eventAt = now
}

/**
 * Marks the first output.
 *
 * @since 0.1.0
 * @category mutations
 */
export const output = (state: State): void => {
  state.hasOutput = true
}

/**
 * Marks that the consumer pulls, or has stopped.
 *
 * @since 0.1.0
 * @category mutations
 */
export const pulling = (state: State, is: boolean, now: number): void => {
  if (state.isPulling === is) return
  state.isPulling = is
  state.pulledAt = now
}

interface Expiry {
  readonly at: number
  readonly clock: LlmError.ClockName | "deadline"
  readonly limit: number
  readonly shortened: boolean
}

const next = (state: State): Expiry | undefined => {
  const { clocks, deadline, firstOutputBy, startedAt } = state
  let first: Expiry | undefined
  const consider = (at: number, clock: Expiry["clock"], limit: number, byDeadline = false) => {
    if (first !== undefined && at >= first.at) return
    const shortened = byDeadline || (clock !== "deadline" && clocks.shortened?.includes(clock) === true)
    first = { at, clock, limit, shortened }
  }
  if (clocks.stream !== undefined && state.streaming) consider(startedAt + clocks.stream, "stream", clocks.stream)
  if (!state.isCommitted) {
    consider(startedAt + clocks.attempt, "attempt", clocks.attempt)
    if (deadline !== undefined) consider(deadline, "deadline", deadline - startedAt, true)
    if (!state.hasOutput) {
      if (clocks.ttft !== undefined && state.streaming) consider(startedAt + clocks.ttft, "ttft", clocks.ttft)
      else if (firstOutputBy !== undefined) consider(firstOutputBy, "ttft", firstOutputBy - startedAt, true)
    } else if (state.streaming) consider(state.eventAt + clocks.idle, "idle", clocks.idle)
  } else if (state.isPulling) {
    consider(Math.max(state.eventAt, state.pulledAt) + clocks.idle, "idle", clocks.idle)
  } else consider(state.pulledAt + clocks.consumerIdle, "consumer_idle", clocks.consumerIdle)
  return first
}

/**
 * The failure to raise now, when a clock has run out.
 *
 * @since 0.1.0
 * @category getters
 */
export const expired = (state: State, now: number): LlmError.Options | undefined => {
  const expiry = next(state)
  if (expiry === undefined || expiry.at > now) return undefined
  return expiry.clock === "deadline"
    ? { reason: { _tag: "DeadlineExceeded" } }
    : {
        reason: {
          _tag: "Timeout",
          clock: expiry.clock,
          limit: Duration.millis(expiry.limit),
          shortened: expiry.shortened
        }
      }
}

/**
 * How long the timer may sleep, in milliseconds.
 *
 * @since 0.1.0
 * @category getters
 */
export const wait = (state: State, now: number): number | undefined => {
  const expiry = next(state)
  if (expiry === undefined) return undefined
  const until = expiry.at - now
  return Math.max(1, Math.min(until, state.clocks.idle, state.clocks.consumerIdle))
}
