/**
 * What recent requests tell of an instance: time to first output, output speed, how often it answers.
 *
 * Peak EWMA (Finagle, "PeakEwma"): a slower observation counts at once, a faster one decays in with the time
 * constant `tau`, so that a balancer leaves an instance that turns slow after one request and comes back to it
 * with care.
 *
 * @since 0.1.0
 */

/**
 * The figures of an instance; `undefined` without a recent sample.
 *
 * @since 0.1.0
 * @category models
 */
export interface InstanceStats {
  /** Milliseconds to first output. */
  readonly firstOutput: number | undefined
  /** Output tokens per second after first output. */
  readonly tokensPerSecond: number | undefined
  /** Share of attempts that succeeded, 0 to 1; starts at 1. */
  readonly successRate: number
  /** Milliseconds since the epoch of the last observation. */
  readonly observedAt: number
}

/**
 * No sample yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const empty: InstanceStats = {
  firstOutput: undefined,
  tokensPerSecond: undefined,
  successRate: 1,
  observedAt: 0
}

/** The time constant of the decay, in milliseconds: Finagle's decayTime. */
const tau = 10_000

/** What an observation a moment later leaves of the average. */
const kept = (state: InstanceStats, now: number): number =>
  state.observedAt === 0 ? 0 : Math.exp(-Math.max(0, now - state.observedAt) / tau)

/** The least weight of one outcome: a burst in one millisecond counts, too. */
const leastWeight = 0.1

const mix = (before: number | undefined, now: number, keep: number): number =>
  before === undefined ? now : before * keep + now * (1 - keep)

/**
 * Records an attempt that gave output.
 *
 * @since 0.1.0
 * @category combinators
 */
export const succeeded = (
  state: InstanceStats,
  sample: { readonly firstOutput: number | undefined; readonly tokensPerSecond: number | undefined },
  now: number
): InstanceStats => {
  const keep = Math.min(kept(state, now), 1 - leastWeight)
  const { firstOutput, tokensPerSecond } = sample
  return {
    firstOutput:
      firstOutput === undefined
        ? state.firstOutput
        : state.firstOutput !== undefined && firstOutput > state.firstOutput
          ? firstOutput
          : mix(state.firstOutput, firstOutput, keep),
    tokensPerSecond:
      tokensPerSecond === undefined ? state.tokensPerSecond : mix(state.tokensPerSecond, tokensPerSecond, keep),
    successRate: mix(state.successRate, 1, keep),
    observedAt: now
  }
}

/**
 * Records an attempt that was left after `waited` milliseconds without output: it takes at least that long. Nothing
 * is said of its success.
 *
 * @since 0.1.0
 * @category combinators
 */
export const outlasted = (state: InstanceStats, waited: number, now: number): InstanceStats =>
  state.firstOutput !== undefined && waited <= state.firstOutput
    ? state
    : { ...state, firstOutput: waited, observedAt: now }

/**
 * Records an attempt that failed by the instance's fault.
 *
 * @since 0.1.0
 * @category combinators
 */
export const failed = (state: InstanceStats, now: number): InstanceStats => ({
  ...state,
  successRate: mix(state.successRate, 0, Math.min(kept(state, now), 1 - leastWeight)),
  observedAt: now
})
