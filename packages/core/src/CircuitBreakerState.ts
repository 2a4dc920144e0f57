/**
 * The pure core of a circuit breaker: what it has heard, and what follows.
 *
 * A state belongs to one breaker, which owns it and changes it through these functions; time comes in as `now`
 * (milliseconds since the epoch), chance as `random`. Half-open is no phase of its own: it is an open circuit
 * whose time has passed, so that reading it changes nothing and no timer runs.
 *
 * @since 0.1.0
 */
import type * as Attempt from "./Attempt.ts"
import type * as Failover from "./Failover.ts"
import * as FailureClass from "./FailureClass.ts"
import type * as Plan from "./Plan.ts"
import type * as Reason from "./Reason.ts"

/**
 * Where the circuit stands.
 *
 * @since 0.1.0
 * @category models
 */
export type Status = "closed" | "open" | "half_open" | "forced_open" | "forced_closed"

/**
 * What opened the circuit; failed probes do not change it. `credential` stands for all that an operator must
 * mend: authentication, quota, a model that is not there.
 *
 * @since 0.1.0
 * @category models
 */
export type Cause = "failures" | "failure_rate" | "slow_calls" | "credential"

/**
 * How a call is taken: a `probe` tests a half-open circuit; of an `unheard` one nothing is learned, as the
 * circuit did not let it in or is forced.
 *
 * @since 0.1.0
 * @category models
 */
export type Admission = "ordinary" | "probe" | "unheard"

/**
 * What a circuit hears of a call's end.
 *
 * @since 0.1.0
 * @category models
 */
export type Verdict = "success" | FailureClass.FailureClass["breaker"]

/** What ended or committed in one tenth of the window. `epoch` tells whether it is still that tenth. */
interface Bucket {
  epoch: number
  calls: number
  failures: number
  /** Calls whose time to first output is known, and the slow ones among them. */
  timed: number
  slow: number
}

/**
 * What the circuit knows.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  options: Plan.Breaker
  readonly buckets: ReadonlyArray<Bucket>
  forced: "open" | "closed" | undefined
  /** Counts trips, resets and forces: a call that began before the last of them is heard no more. */
  generation: number
  isOpen: boolean
  /** When the circuit becomes half-open; never after a `credential` cause. */
  until: number
  /** What a reader is told while it is open. */
  told: Failover.Availability
  openedAt: number | undefined
  closedAt: number
  /** How long it last was to stay open, and how often that has doubled. */
  openFor: number
  growth: number
  cause: Cause | undefined
  /** The failure that opened it last. */
  reason: Reason.ReasonTag | undefined
  consecutive: number
  /** Undecided probes that run, of whatever generation. */
  probes: number
  /** Probes that succeeded since the circuit last opened. */
  successes: number
  /** Shares when it opened. */
  failureRatio: number
  slowRatio: number
}

/**
 * A call under way, as far as the circuit needs it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  readonly generation: number
  readonly startedAt: number
  /** Until its time to first output is known. */
  isTimed: boolean
  /** Until it is decided. */
  isProbe: boolean
}

/**
 * The circuit at a moment.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  readonly state: Status
  /** Why it takes no regular requests; `undefined` when it does. Half-open counts as out. */
  readonly outBecause: "failures" | "credential" | "forced" | undefined
  /** When an open circuit becomes half-open; absent when only a reset or an active probe ends it. */
  readonly until: number | undefined
  readonly cause: Cause | undefined
  /** The failure that opened it last, when one did. */
  readonly reason: Reason.ReasonTag | undefined
  /** When it last left closed; reopenings do not move it. */
  readonly openedAt: number | undefined
  /** How often the open time has doubled. */
  readonly growth: number
  readonly consecutiveFailures: number
  /** Calls that ended in the window, and failures among them; 0 to 1 the shares, kept from when it opened. */
  readonly calls: number
  readonly failures: number
  readonly failureRatio: number
  readonly slowRatio: number
  /** Probes that run undecided. */
  readonly probes: number
  /** Probes that succeeded since it last opened. */
  readonly successes: number
  readonly generation: number
}

const tenths = 10

/** When a reader should look again while all probe slots are taken: nobody knows how long a probe runs. */
const recheck = 1_000

const jitter = 0.2

const empty = (): Bucket => ({ epoch: Number.NEGATIVE_INFINITY, calls: 0, failures: 0, timed: 0, slow: 0 })

const check = (ok: boolean, field: keyof Plan.Breaker, must: string, got: number | undefined): void => {
  if (!ok) throw new RangeError(`CircuitBreaker.make: ${field} must be ${must}, got ${got}`)
}

const validate = (options: Plan.Breaker): void => {
  for (const field of ["failureThreshold", "halfOpenRequests", "minimumRequests"] as const)
    check(Number.isInteger(options[field]) && options[field] >= 1, field, "an integer from 1 on", options[field])
  for (const field of ["recoveryTime", "maxRecoveryTime", "window", "slowCall"] as const) {
    const value = options[field]
    check(value === undefined || (value > 0 && Number.isFinite(value)), field, "above 0 ms", value)
  }
  for (const field of ["failureRate", "slowRate"] as const) {
    const value = options[field]
    check(value === undefined || (value >= 0 && value <= 1), field, "from 0 to 1", value)
  }
}

/**
 * Makes a closed circuit that has heard nothing.
 *
 * **Errors** A count below 1, a time that is not above 0 or a rate outside 0 to 1 throws `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Plan.Breaker): State => {
  validate(options)
  return {
    options,
    buckets: Array.from({ length: tenths }, empty),
    forced: undefined,
    generation: 0,
    isOpen: false,
    until: 0,
    told: "ready",
    openedAt: undefined,
    closedAt: Number.NEGATIVE_INFINITY,
    openFor: 0,
    growth: 0,
    cause: undefined,
    reason: undefined,
    consecutive: 0,
    probes: 0,
    successes: 0,
    failureRatio: 0,
    slowRatio: 0
  }
}

/**
 * Gives a circuit other options. Where it stands stays; a window of another length starts empty.
 *
 * **Errors** As `make`, and nothing changes.
 *
 * @since 0.1.0
 * @category mutations
 */
export const resize = (state: State, options: Plan.Breaker): void => {
  validate(options)
  if (options.window !== state.options.window) for (const bucket of state.buckets) Object.assign(bucket, empty())
  state.options = options
}

/**
 * Tells where the circuit stands.
 *
 * @since 0.1.0
 * @category getters
 */
export const status = (state: State, now: number): Status => {
  if (state.forced !== undefined) return state.forced === "open" ? "forced_open" : "forced_closed"
  if (!state.isOpen) return "closed"
  return now < state.until ? "open" : "half_open"
}

/**
 * Tells whether a request may be sent. Half-open it is `ready` while a probe slot is free; while none is, it is
 * worth another look in a second.
 *
 * @since 0.1.0
 * @category getters
 */
export const availability = (state: State, now: number): Failover.Availability => {
  if (state.forced !== undefined) return state.forced === "open" ? "out" : "ready"
  if (!state.isOpen) return "ready"
  if (now < state.until) return state.told
  return state.probes < state.options.halfOpenRequests ? "ready" : { until: now + recheck }
}

/**
 * Tells why the circuit takes no regular requests, if so. A half-open one takes none.
 *
 * @since 0.1.0
 * @category getters
 */
export const outBecause = (state: State): Snapshot["outBecause"] => {
  if (state.forced !== undefined) return state.forced === "open" ? "forced" : undefined
  if (!state.isOpen) return undefined
  return state.cause === "credential" ? "credential" : "failures"
}

/**
 * Reads an outcome. A caller who leaves after commit had an answer; one who leaves before it tells nothing.
 *
 * @since 0.1.0
 * @category getters
 */
export const verdictOf = (outcome: Attempt.Outcome, isCommitted: boolean): Verdict => {
  switch (outcome._tag) {
    case "Completed":
      return "success"
    case "Cancelled":
      return isCommitted ? "success" : "ignored"
    case "Failed":
      return FailureClass.of(outcome.error.reason).breaker
  }
}

const epochAt = (state: State, now: number): number => Math.floor((now * tenths) / state.options.window)

const bucketAt = (state: State, now: number): Bucket => {
  const epoch = epochAt(state, now)
  const bucket = state.buckets[epoch % tenths] as Bucket
  if (bucket.epoch !== epoch) Object.assign(bucket, empty(), { epoch })
  return bucket
}

/** All that happened in the window: the tenth that runs and the nine before it. */
const sumAt = (state: State, now: number): Bucket => {
  const epoch = epochAt(state, now)
  const sum = empty()
  for (const bucket of state.buckets) {
    if (bucket.epoch <= epoch - tenths || bucket.epoch > epoch) continue
    sum.calls += bucket.calls
    sum.failures += bucket.failures
    sum.timed += bucket.timed
    sum.slow += bucket.slow
  }
  return sum
}

const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole)

/** Opens the circuit, or opens it again. */
const trip = (
  state: State,
  cause: Cause,
  reason: Reason.ReasonTag | undefined,
  now: number,
  random: () => number
): void => {
  const { maxRecoveryTime, recoveryTime } = state.options
  if (cause === "credential") {
    state.until = Number.POSITIVE_INFINITY
    state.told = "out"
  } else {
    const isFresh = !state.isOpen && now - state.closedAt >= state.openFor
    state.growth = isFresh ? 0 : state.growth + 1
    // A ceiling below the first open time would shorten what was stated.
    const nominal = Math.min(recoveryTime * 2 ** state.growth, Math.max(recoveryTime, maxRecoveryTime))
    state.openFor = Math.round(nominal * (1 - jitter + 2 * jitter * random()))
    state.until = now + state.openFor
    state.told = { until: state.until }
  }
  if (!state.isOpen) {
    const { calls, failures, slow, timed } = sumAt(state, now)
    state.failureRatio = share(failures, calls)
    state.slowRatio = share(slow, timed)
    state.openedAt = now
    state.cause = cause
  } else {
    if (cause === "slow_calls") state.slowRatio = 1
    else state.failureRatio = 1
    if (cause === "credential") state.cause = cause
  }
  state.isOpen = true
  state.reason = reason
  state.successes = 0
  state.generation += 1
}

const forget = (state: State): void => {
  for (const bucket of state.buckets) bucket.epoch = Number.NEGATIVE_INFINITY
  state.isOpen = false
  state.told = "ready"
  state.openedAt = undefined
  state.cause = undefined
  state.reason = undefined
  state.consecutive = 0
  state.successes = 0
}

const close = (state: State, now: number): void => {
  forget(state)
  state.closedAt = now
}

const exceeds = (state: State, part: number, whole: number, limit: number | undefined): boolean =>
  limit !== undefined && whole >= state.options.minimumRequests && part / whole >= limit

/** Why a closed circuit should open after what it has just heard, if it should. */
const causeOf = (state: State, isFailure: boolean, isSlow: boolean, now: number): Cause | undefined => {
  const { failureRate, failureThreshold, slowRate } = state.options
  if (state.consecutive >= failureThreshold) return "failures"
  if (!isSlow && failureRate === undefined) return undefined
  const sum = sumAt(state, now)
  if (isFailure && exceeds(state, sum.failures, sum.calls, failureRate)) return "failure_rate"
  return isSlow && exceeds(state, sum.slow, sum.timed, slowRate) ? "slow_calls" : undefined
}

/** Counts how long a call took to its first output, once. Tells whether that was slow. */
const time = (state: State, call: Call, now: number): boolean => {
  const { slowCall } = state.options
  if (!call.isTimed || slowCall === undefined) return false
  call.isTimed = false
  const isSlow = now - call.startedAt > slowCall
  if (!state.isOpen) {
    const bucket = bucketAt(state, now)
    bucket.timed += 1
    if (isSlow) bucket.slow += 1
  }
  return isSlow
}

/** Frees the slot of a probe. Slots are counted through generations: what runs, runs. */
const decide = (state: State, call: Call): boolean => {
  if (!call.isProbe) return false
  call.isProbe = false
  state.probes -= 1
  return true
}

const succeeded = (state: State, now: number): void => {
  state.consecutive = 0
  bucketAt(state, now).calls += 1
}

const failed = (state: State, call: Call, now: number): Cause | undefined => {
  state.consecutive += 1
  const bucket = bucketAt(state, now)
  bucket.calls += 1
  bucket.failures += 1
  return causeOf(state, true, time(state, call, now), now)
}

const probeSucceeded = (state: State, now: number): void => {
  state.successes += 1
  if (state.successes >= state.options.halfOpenRequests) close(state, now)
}

/**
 * Takes a call in; `undefined` when nothing is to be learned of it. `isTimed` tells whether its first output will
 * be known.
 *
 * @since 0.1.0
 * @category mutations
 */
export const enter = (state: State, now: number, isTimed: boolean): Call | undefined => {
  if (state.forced !== undefined) return undefined
  if (state.isOpen) {
    if (now < state.until || state.probes >= state.options.halfOpenRequests) return undefined
    state.probes += 1
  }
  return { generation: state.generation, startedAt: now, isTimed, isProbe: state.isOpen }
}

/**
 * Records that a call gave its first output. A slow probe fails.
 *
 * @since 0.1.0
 * @category mutations
 */
export const firstOutput = (state: State, call: Call, now: number, random: () => number): void => {
  if (call.generation !== state.generation || !time(state, call, now)) return
  // Of this generation, only a probe runs while the circuit is open.
  const cause = state.isOpen ? "slow_calls" : causeOf(state, false, true, now)
  if (cause === undefined) return
  decide(state, call)
  trip(state, cause, undefined, now, random)
}

/**
 * Records that a call committed: a probe is decided.
 *
 * @since 0.1.0
 * @category mutations
 */
export const committed = (state: State, call: Call, now: number): void => {
  decide(state, call)
  if (call.generation === state.generation && state.isOpen) probeSucceeded(state, now)
}

/**
 * Records how a call ended.
 *
 * **Details** Half-open, any failure of this generation reopens the circuit, also that of a probe whose stream
 * broke after it had succeeded; but only a probe's decision counts towards closing it.
 *
 * @since 0.1.0
 * @category mutations
 */
export const ended = (
  state: State,
  call: Call,
  verdict: Verdict,
  reason: Reason.ReasonTag | undefined,
  now: number,
  random: () => number
): void => {
  const wasProbe = decide(state, call)
  if (call.generation !== state.generation) return
  switch (verdict) {
    case "ignored":
      return
    case "opens":
      trip(state, "credential", reason, now, random)
      return
    case "success":
      if (wasProbe && state.isOpen) probeSucceeded(state, now)
      if (!state.isOpen) succeeded(state, now)
      return
    case "failure": {
      const cause = state.isOpen ? "failures" : failed(state, call, now)
      if (cause !== undefined) trip(state, cause, reason, now, random)
    }
  }
}

/**
 * Holds the circuit open or closed, or lets it decide again. Below a force it stays as it was.
 *
 * @since 0.1.0
 * @category mutations
 */
export const force = (state: State, to: "open" | "closed" | undefined): void => {
  if (state.forced === to) return
  state.forced = to
  state.generation += 1
}

/**
 * Closes the circuit and forgets all it has heard, its open times included. A force stays.
 *
 * @since 0.1.0
 * @category mutations
 */
export const reset = (state: State): void => {
  forget(state)
  state.growth = 0
  state.closedAt = Number.NEGATIVE_INFINITY
  state.generation += 1
}

/**
 * Records an active probe. A success closes the circuit, whatever opened it and however long it was to stay
 * open; a failure reopens a half-open one. A closed circuit learns nothing: the health check has a threshold
 * of its own.
 *
 * @since 0.1.0
 * @category mutations
 */
export const probed = (state: State, ok: boolean, now: number, random: () => number): void => {
  if (!state.isOpen) return
  if (ok) close(state, now)
  else if (now >= state.until) trip(state, "failures", state.reason, now, random)
}

/**
 * Takes a snapshot.
 *
 * @since 0.1.0
 * @category getters
 */
export const snapshot = (state: State, now: number): Snapshot => {
  const sum = sumAt(state, now)
  return {
    state: status(state, now),
    outBecause: outBecause(state),
    until: state.isOpen && now < state.until && state.until !== Number.POSITIVE_INFINITY ? state.until : undefined,
    cause: state.cause,
    reason: state.reason,
    openedAt: state.openedAt,
    growth: state.growth,
    consecutiveFailures: state.consecutive,
    calls: sum.calls,
    failures: sum.failures,
    failureRatio: state.isOpen ? state.failureRatio : share(sum.failures, sum.calls),
    slowRatio: state.isOpen ? state.slowRatio : share(sum.slow, sum.timed),
    probes: state.probes,
    successes: state.successes,
    generation: state.generation
  }
}
