/**
 * The pure core of a health check: what was seen of one instance, and how it does.
 *
 * A state belongs to one instance. Its owner changes it through these functions; time comes in as `now`, milliseconds
 * since the epoch. What was heard is kept apart from what follows: `judge` says how the instance does.
 *
 * **Details** An instance is
 *
 * - `unhealthy` after `failureThreshold` failures in a row, of requests and probes together, and at once when its
 *   credential, its quota or its model is refused. It stays so until a request or a probe proves otherwise; after
 *   `recoveryTime` without either it is on trial: it may be asked, and one more failure puts it out again. What was
 *   refused is never tried on a customer's request.
 * - `degraded` while it is on trial, a breaker of it is open, it was told to wait, all of its last requests or a fifth
 *   of at least ten in the last minute failed, or its first output takes three times what is usual. It stays so until
 *   nothing of that was seen for ten seconds, so that a burst is one change and not many.
 * - `healthy` when it was heard of lately, and all is well; `unknown` otherwise.
 *
 * Failures are what a breaker hears: those of the caller, and limits, count for nothing.
 *
 * Sources: Envoy's outlier detection (in a row, and as a share with a least number of requests); Helicone (a share of
 * 10 % over 60 s in ten parts, from 20 requests on) for the shape of the window.
 *
 * @since 0.1.0
 */
import * as FailureClass from "./FailureClass.ts"
import * as LlmError from "./LlmError.ts"
import type * as Reason from "./Reason.ts"
import type * as StateChange from "./StateChange.ts"

/**
 * When an instance is put out, and when it is doubted. Times are milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly failureThreshold: number
  readonly recoveryTime: number
  /** Without a word for so long nothing is known of it any more. */
  readonly staleAfter: number
}

/** What requests came to in a tenth of the window. */
interface Bucket {
  epoch: number
  calls: number
  failures: number
}

/**
 * What is known of an instance.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  status: StateChange.HealthStatus
  since: number
  message: string
  /** When a request or a probe last told of it. */
  heardAt: number | undefined
  /** When a request last did. */
  trafficAt: number | undefined
  /** When it last proved to answer. */
  provedAt: number | undefined
  /** Milliseconds of the last probe, or to the last first output. */
  latency: number | undefined
  /** Failures in a row. */
  failures: number
  /** When the row began, and when it last grew. */
  failingSince: number | undefined
  failedAt: number | undefined
  /** The last of the row. */
  cause: Reason.Reason | undefined
  /** When it was put out; kept on trial. */
  outSince: number | undefined
  isOnTrial: boolean
  /** When something last spoke against it. */
  troubledAt: number
  readonly buckets: ReadonlyArray<Bucket>
  /** Times to first output: what is usual, what it was lately, and of how many. */
  usual: number
  lately: number
  samples: number
}

/**
 * What others know: until when it was told to wait, and in which groups its breaker is open.
 *
 * @since 0.1.0
 * @category models
 */
export interface Facts {
  readonly coolingUntil: number
  readonly openIn: ReadonlyArray<string>
}

/**
 * How the status changed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Change {
  readonly from: StateChange.HealthStatus
  readonly to: StateChange.HealthStatus
  readonly message: string
}

const tenths = 10

/** The window of the shares, in milliseconds. */
const window = 60_000

/** From so many requests on a share of failures counts. */
const minimumRequests = 10

/** The share of failures that is too much. */
const failureRate = 0.2

/**
 * How long nothing may speak against an instance until it is no more degraded, in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export const calm = 10_000

/** First outputs that tell what is usual. */
const minimumSamples = 30

/** First output is slow when it takes this many times what is usual, and so many milliseconds more. */
const slow = { times: 3, more: 1_000 }

/** The weight of a first output in what is usual, and in what it is lately. */
const weights = { usual: 0.01, lately: 0.15 }

const nothing = "nothing was seen of it yet"

/**
 * An instance of which nothing is known.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (now: number): State => ({
  status: "unknown",
  since: now,
  message: nothing,
  heardAt: undefined,
  trafficAt: undefined,
  provedAt: undefined,
  latency: undefined,
  failures: 0,
  failingSince: undefined,
  failedAt: undefined,
  cause: undefined,
  outSince: undefined,
  isOnTrial: false,
  troubledAt: Number.NEGATIVE_INFINITY,
  buckets: Array.from({ length: tenths }, () => ({ epoch: Number.NEGATIVE_INFINITY, calls: 0, failures: 0 })),
  usual: 0,
  lately: 0,
  samples: 0
})

/**
 * Forgets all that was heard; the status is judged anew.
 *
 * @since 0.1.0
 * @category mutations
 */
export const reset = (state: State, now: number): void => {
  const { message, since, status } = state
  Object.assign(state, make(now), { message, since, status })
}

const bucketAt = ({ buckets }: State, now: number): Bucket => {
  const epoch = Math.floor((now * tenths) / window)
  const bucket = buckets[((epoch % tenths) + tenths) % tenths] as Bucket
  if (bucket.epoch !== epoch) {
    bucket.epoch = epoch
    bucket.calls = 0
    bucket.failures = 0
  }
  return bucket
}

const forgive = (state: State): void => {
  // Who was on trial has passed it: it need not be calm first.
  if (state.isOnTrial) state.troubledAt = Number.NEGATIVE_INFINITY
  state.failures = 0
  state.failingSince = undefined
  state.failedAt = undefined
  state.cause = undefined
  state.outSince = undefined
  state.isOnTrial = false
}

/**
 * Records a request that was answered. `firstOutput` is in milliseconds, where it is known.
 *
 * @since 0.1.0
 * @category mutations
 */
export const succeeded = (state: State, firstOutput: number | undefined, now: number): void => {
  if (state.failures > 0) forgive(state)
  state.heardAt = now
  state.trafficAt = now
  state.provedAt = now
  bucketAt(state, now).calls += 1
  if (firstOutput === undefined) return
  state.latency = firstOutput
  state.samples += 1
  // A single late one is no trend.
  const counted = Math.min(firstOutput, (slow.times + 1) * state.usual + 2 * slow.more)
  // An average of all until there are enough to weigh.
  state.usual += (counted - state.usual) * Math.max(weights.usual, 1 / state.samples)
  state.lately += (counted - state.lately) * Math.max(weights.lately, 1 / state.samples)
}

/**
 * Records a request that tells nothing of the instance but that it is asked.
 *
 * @since 0.1.0
 * @category mutations
 */
export const ignored = (state: State, now: number): void => {
  state.trafficAt = now
}

/**
 * Records that a request failed by the instance's fault.
 *
 * @since 0.1.0
 * @category mutations
 */
export const failed = (state: State, reason: Reason.Reason, now: number): void => {
  const bucket = bucketAt(state, now)
  bucket.calls += 1
  bucket.failures += 1
  state.trafficAt = now
  grow(state, reason, now)
}

const grow = (state: State, reason: Reason.Reason, now: number): void => {
  state.heardAt = now
  state.failures += 1
  state.failingSince ??= now
  state.failedAt = now
  state.cause = reason
  if (!state.isOnTrial) return
  state.isOnTrial = false
  state.outSince = now
}

/**
 * What a probe found. It `proves` something when what it asked could not have been answered if the last failure
 * still held: a list of models proves that the network and the credential are good, not that a model answers. Without
 * `reason` it was answered; a reason that a breaker ignores tells nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Probe {
  readonly reason: Reason.Reason | undefined
  readonly proves: boolean
  readonly latency: number | undefined
}

/**
 * Records a probe.
 *
 * @since 0.1.0
 * @category mutations
 */
export const probed = (state: State, probe: Probe, { recoveryTime }: Options, now: number): void => {
  const { latency, proves, reason } = probe
  if (reason !== undefined) {
    if (FailureClass.of(reason).breaker === "ignored") return
    grow(state, reason, now)
    return
  }
  state.heardAt = now
  if (latency !== undefined) state.latency = latency
  if (proves) {
    state.provedAt = now
    forgive(state)
  } else if (state.outSince !== undefined) {
    // What was found for another one does not shorten the time that this one is left alone.
    if (!isRefused(state) && now - state.outSince >= 0.8 * recoveryTime) state.isOnTrial = true
  } else if (state.failedAt !== undefined && now - state.failedAt >= recoveryTime) forgive(state)
}

/**
 * Lets the next request try an instance that was out for its `recoveryTime` while nobody could probe it. Tells
 * whether it may be tried.
 *
 * @since 0.1.0
 * @category mutations
 */
export const tried = (state: State): boolean => {
  if (state.outSince === undefined || isRefused(state)) return false
  state.isOnTrial = true
  return true
}

/**
 * Whether something is refused that only an operator can mend: no request tests it.
 *
 * @since 0.1.0
 * @category getters
 */
export const isRefused = ({ cause }: State): boolean =>
  cause !== undefined && FailureClass.of(cause).breaker === "opens"

/**
 * Whether it is out, or was and has proved nothing since.
 *
 * @since 0.1.0
 * @category getters
 */
export const isFailing = ({ outSince }: State): boolean => outSince !== undefined

/**
 * Says a reason in a few words, of which none is a provider's.
 *
 * @since 0.1.0
 * @category getters
 */
export const describe = (reason: Reason.Reason): string => LlmError.make({ reason }).message

const plural = (n: number, what: string): string => `${n} ${what}${n === 1 ? "" : "s"}`

const row = ({ cause, failures }: State): string =>
  `${plural(failures, "failure")} in a row${cause === undefined ? "" : `: ${describe(cause)}`}`

/** What speaks against an instance that is not out. */
const trouble = (state: State, facts: Facts, now: number): string | undefined => {
  if (state.isOnTrial) return `it may be tried after ${row(state)}`
  if (facts.openIn.length > 0) return `its breaker is open in ${facts.openIn.join(", ")}`
  if (facts.coolingUntil > now) return "it was told to wait"
  const isUnproved = state.provedAt === undefined || now - state.provedAt >= window
  if (state.failures > 0 && isUnproved) return row(state)
  const epoch = Math.floor((now * tenths) / window)
  let calls = 0
  let failures = 0
  for (const bucket of state.buckets) {
    if (bucket.epoch <= epoch - tenths || bucket.epoch > epoch) continue
    calls += bucket.calls
    failures += bucket.failures
  }
  if (calls >= minimumRequests && failures >= failureRate * calls)
    return `${failures} of ${plural(calls, "request")} failed in the last minute`
  if (state.samples >= minimumSamples && isSlow(state)) return `first output takes ${times(state)} times what is usual`
  return undefined
}

const isSlow = ({ lately, usual }: State): boolean => lately > usual * slow.times && lately > usual + slow.more

const times = ({ lately, usual }: State): string => (usual === 0 ? "many" : (lately / usual).toFixed(1))

const found = (
  state: State,
  facts: Facts,
  options: Options,
  now: number
): readonly [StateChange.HealthStatus, string] => {
  if (state.failures > 0 && !state.isOnTrial && (state.failures >= options.failureThreshold || isRefused(state)))
    state.outSince ??= now
  if (state.outSince !== undefined && !state.isOnTrial) {
    return ["unhealthy", isRefused(state) && state.cause !== undefined ? describe(state.cause) : row(state)]
  }
  const against = trouble(state, facts, now)
  if (against !== undefined) {
    state.troubledAt = now
    return ["degraded", against]
  }
  if (state.heardAt === undefined) return ["unknown", nothing]
  if (now - state.heardAt >= options.staleAfter)
    return ["unknown", `nothing was seen of it for ${Math.round((now - state.heardAt) / 1_000)} s`]
  if (state.status === "degraded" && now - state.troubledAt < calm) return ["degraded", state.message]
  const isProved = state.provedAt !== undefined && now - state.provedAt < options.staleAfter
  return ["healthy", isProved ? "it answers" : "it can be reached"]
}

/**
 * Says how the instance does now; gives what changed.
 *
 * @since 0.1.0
 * @category mutations
 */
export const judge = (state: State, facts: Facts, options: Options, now: number): Change | undefined => {
  const from = state.status
  const [to, message] = found(state, facts, options, now)
  state.message = message
  if (to === from) return undefined
  state.status = to
  state.since = now
  return { from, to, message }
}

/**
 * Whether an answer can change the status, so that it must be judged at once. It is asked for every answer.
 *
 * @since 0.1.0
 * @category getters
 */
export const mattersNow = (state: State): boolean =>
  state.status !== "healthy" || (state.samples >= minimumSamples && isSlow(state))

/**
 * When the passing of time alone may change the status.
 *
 * @since 0.1.0
 * @category getters
 */
export const judgeAt = (state: State, facts: Facts, options: Options, now: number): number => {
  switch (state.status) {
    case "degraded":
      return Math.max(now, facts.coolingUntil) + calm
    case "healthy":
      return (state.heardAt ?? now) + options.staleAfter
    default:
      return Number.POSITIVE_INFINITY
  }
}
