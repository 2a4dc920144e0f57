/**
 * What is known of an instance between requests: what it is serving, and until when it cools down.
 *
 * One state belongs to one instance and is seen by every pool and group that has it; a cooldown is shared more
 * widely where the provider's limit is.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import type * as Attempt from "./Attempt.ts"
import * as Cooldown from "./Cooldown.ts"
import type * as Failover from "./Failover.ts"
import * as FailureClass from "./FailureClass.ts"
import * as InstanceStats from "./InstanceStats.ts"
import * as Plans from "./Plans.ts"

/**
 * The state of one instance.
 *
 * @since 0.1.0
 * @category models
 */
export interface InstanceState {
  readonly inFlight: () => number
  readonly availability: (now: number) => Failover.Availability
  readonly cooldown: () => Cooldown.Cooldown
  readonly stats: () => InstanceStats.InstanceStats
  /** Counts an attempt while it lasts, and learns from how it ends. */
  readonly enter: (attempt: Attempt.Attempt, clock: Clock.Clock) => void
}

/**
 * A cooldown that several instances may share.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cell {
  current: Cooldown.Cooldown
}

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The ceiling of a named wait, in milliseconds. @default 3_600_000 */
  readonly maxCooldown?: number | undefined
  /** The cooldown it shares with others under one limit. @default its own */
  readonly cooldown?: Cell | undefined
}

/**
 * Makes the state of an instance that nobody has asked yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): InstanceState => {
  const { cooldown = { current: Cooldown.none }, maxCooldown = Plans.defaults.provider.maxCooldown } = options
  let inFlight = 0
  let stats = InstanceStats.empty
  return {
    inFlight: () => inFlight,
    stats: () => stats,
    cooldown: () => cooldown.current,
    availability: (now) => (cooldown.current.until > now ? { until: cooldown.current.until } : "ready"),
    enter: (attempt, clock) => {
      inFlight += 1
      const startedAt = clock.currentTimeMillisUnsafe()
      let committedAt: number | undefined
      attempt.onCommit(() => {
        committedAt = clock.currentTimeMillisUnsafe()
      })
      attempt.onSettle((outcome) => {
        inFlight -= 1
        const now = clock.currentTimeMillisUnsafe()
        if (outcome._tag === "Completed") {
          cooldown.current = Cooldown.succeeded(cooldown.current)
          const streamed = committedAt === undefined ? 0 : now - committedAt
          const tokens = outcome.usage.outputTokens
          stats = InstanceStats.succeeded(
            stats,
            {
              firstOutput: committedAt === undefined ? undefined : committedAt - startedAt,
              tokensPerSecond: tokens === undefined || streamed <= 0 ? undefined : (tokens * 1_000) / streamed
            },
            now
          )
        } else if (outcome._tag === "Failed") {
          const { reason } = outcome.error
          cooldown.current = Cooldown.failed(cooldown.current, reason, startedAt, now, maxCooldown)
          if (FailureClass.of(reason).breaker !== "ignored") stats = InstanceStats.failed(stats, now)
        }
      })
    }
  }
}
