/**
 * A circuit breaker: an instance that keeps failing is left alone for a while, then tested with few requests.
 *
 * One breaker belongs to one instance in one group. It stands beside the calls, not around them: readers ask
 * `availability`, an attempt that is made `enter`s, and its commit and its end are heard through its hooks.
 *
 * **Details** What it hears is `FailureClass`'s column `breaker`:
 *
 * - Closed: `failureThreshold` failures in a row open it. So does, when `failureRate` is set, that share of
 *   failures among at least `minimumRequests` calls that ended in the last `window`; and, when `slowCall` is
 *   set, the share `slowRate` of calls whose first output took longer. The window slides by tenths: it covers
 *   nine tenths to the whole of its length. A rate is looked at when a failure or a slow call is heard, so no
 *   fast success and no passing of time opens a circuit.
 * - Open for `recoveryTime`, twice as long at each reopening up to `maxRecoveryTime`, then 20 % more or less
 *   by chance, so that breakers do not test in step. The growth ends once the circuit has stayed closed for as
 *   long as it was last to stay open.
 * - Half-open: at most `halfOpenRequests` probes run at a time, and that many successes in a row close it. A
 *   failed or slow probe reopens it; one that is cancelled or ignored frees its slot and tells nothing.
 * - Authentication, quota and model-not-found open it at once and for good: only `reset` or `probed(true)`
 *   closes it, never a customer's request.
 *
 * A failure before commit is heard at once, an answer at its stream's end, slowness at first output. Cancelled after
 * commit is a success, before it nothing. A probe is decided at commit; how its stream ends later counts as any
 * other call's end. Calls that began before the last trip, reset or force are heard no more. A call made while
 * the circuit is open (in panic) is neither a probe nor heard.
 *
 * Sources: M. Nygard, "Release It!" (2007), for the machine; resilience4j for slow calls and for failures by
 * count and by rate (its window of 100 calls and 50 % suit busy services; here 5 in a row is the default and
 * rates are off); Envoy's outlier detection for the growing ejection (30 s times n, at most 300 s) and for a
 * successful health check that ends it; Finagle's failure accrual for jitter and testing with single requests.
 *
 * **Gotchas** "In a row" is by end, not by start: long answers end late, so failures of a busy instance may
 * come in a row between them. Where that matters, raise the threshold and set a rate.
 *
 * It is the wrong choice for rate limits (a cooldown knows the time), for failures that depend on the request
 * or on its sender (they open the circuit for everyone), and where there is nobody else to ask: then it only
 * fails faster. A rate is of no use below `minimumRequests` a window.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import type * as Attempt from "./Attempt.ts"
import * as State from "./CircuitBreakerState.ts"
import type * as Failover from "./Failover.ts"
import type * as Plan from "./Plan.ts"

/**
 * A change of where the circuit stands.
 *
 * @since 0.1.0
 * @category models
 */
export interface Transition {
  readonly from: State.Status
  readonly to: State.Status
  /** When it was seen. That an open time has passed is seen at the next call, probe, force or reset. */
  readonly at: number
  readonly snapshot: State.Snapshot
}

/**
 * A circuit breaker. Everything is synchronous; times are milliseconds since the epoch, `random` gives 0
 * (inclusive) to 1 (exclusive).
 *
 * @since 0.1.0
 * @category models
 */
export interface CircuitBreaker {
  /**
   * Whether a request may be sent: `out` when forced open or opened by a credential, `until` the half-open
   * time when open. Half-open it is `ready` while a probe slot is free, else worth another look in a second.
   */
  readonly availability: (now: number) => Failover.Availability
  /** Why it takes no regular requests; half-open counts as out. For `max_ejected` and panic, without a snapshot. */
  readonly outBecause: () => State.Snapshot["outBecause"]
  /**
   * Takes a probe slot when half-open, and listens to the attempt. `isTimed` (default true) tells whether its first
   * output can be told from its end: not so for a buffered reply, which is never slow.
   */
  readonly enter: (
    attempt: Attempt.Attempt,
    clock: Clock.Clock,
    random: () => number,
    isTimed?: boolean
  ) => State.Admission
  /** Holds the circuit open or closed; `undefined` lets it go on where it was. */
  readonly force: (to: "open" | "closed" | undefined, now: number) => void
  /** Closes the circuit and forgets everything; a force stays. */
  readonly reset: (now: number) => void
  /** Tells of an active health probe. A success closes the circuit, whatever opened it. */
  readonly probed: (ok: boolean, now: number, random: () => number) => void
  /** Takes other options; where the circuit stands stays. Throws as `make` does, and changes nothing then. */
  readonly resize: (options: Plan.Breaker) => void
  /** When the circuit last closed after it was open; for slow start. */
  readonly recoveredAt: () => number | undefined
  readonly snapshot: (now: number) => State.Snapshot
  /** Listens to transitions until the returned function is called. Listeners must not throw. */
  readonly onTransition: (f: (transition: Transition) => void) => () => void
}

/**
 * Makes a closed breaker.
 *
 * **Errors** A count below 1, a time that is not above 0 or a rate outside 0 to 1 throws `RangeError`.
 *
 * @example
 * ```ts
 * import { Attempt, CircuitBreaker, LlmError, Plans } from "@echelon/core"
 * import { Clock, Effect } from "effect"
 *
 * const { breaker } = Plans.group("chat", []).fallback
 * const program = Effect.gen(function* () {
 *   const clock = yield* Clock.Clock
 *   const circuit = CircuitBreaker.make({ ...breaker, failureThreshold: 2 })
 *   const down = Attempt.open({}, (attempt) => {
 *     circuit.enter(attempt, clock, () => 0.5)
 *     return Effect.fail(LlmError.make({ reason: { _tag: "Overloaded" } }))
 *   })
 *   yield* Effect.flip(down)
 *   console.assert(circuit.availability(yield* Clock.currentTimeMillis) === "ready")
 *   yield* Effect.flip(down)
 *   console.assert(circuit.snapshot(yield* Clock.currentTimeMillis).state === "open")
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Plan.Breaker): CircuitBreaker => {
  const state = State.make(options)
  const listeners = new Set<(transition: Transition) => void>()
  let last: State.Status = "closed"
  let recoveredAt: number | undefined

  const report = (now: number): void => {
    const to = State.status(state, now)
    if (to === last) return
    const from = last
    last = to
    if (to === "closed") recoveredAt = now
    if (listeners.size === 0) return
    const transition: Transition = { from, to, at: now, snapshot: State.snapshot(state, now) }
    for (const listener of [...listeners]) listener(transition)
  }
  // The first report tells what the passing of time has done.
  const change = (now: number, f: () => void): void => {
    report(now)
    f()
    report(now)
  }

  return {
    availability: (now) => State.availability(state, now),
    outBecause: () => State.outBecause(state),
    enter: (attempt, clock, random, isTimed = true) => {
      const now = clock.currentTimeMillisUnsafe()
      report(now)
      const call = State.enter(state, now, isTimed && state.options.slowCall !== undefined)
      if (call === undefined) return "unheard"
      const admission = call.isProbe ? "probe" : "ordinary"
      if (call.isTimed) {
        attempt.onFirstOutput(() => {
          const at = clock.currentTimeMillisUnsafe()
          change(at, () => State.firstOutput(state, call, at, random))
        })
      }
      if (call.isProbe) {
        attempt.onCommit(() => {
          const at = clock.currentTimeMillisUnsafe()
          change(at, () => State.committed(state, call, at))
        })
      }
      attempt.onSettle((outcome) => {
        const verdict = State.verdictOf(outcome, attempt.isCommitted())
        const reason = outcome._tag === "Failed" ? outcome.error.reason._tag : undefined
        const at = clock.currentTimeMillisUnsafe()
        change(at, () => State.ended(state, call, verdict, reason, at, random))
      })
      return admission
    },
    force: (to, now) => change(now, () => State.force(state, to)),
    reset: (now) => change(now, () => State.reset(state)),
    probed: (ok, now, random) => change(now, () => State.probed(state, ok, now, random)),
    resize: (next) => State.resize(state, next),
    recoveredAt: () => recoveredAt,
    snapshot: (now) => State.snapshot(state, now),
    onTransition: (f) => {
      listeners.add(f)
      return () => void listeners.delete(f)
    }
  }
}
