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
  return {
    inFlight: () => inFlight,
    cooldown: () => cooldown.current,
    availability: (now) => (cooldown.current.until > now ? { until: cooldown.current.until } : "ready"),
    enter: (attempt, clock) => {
      inFlight += 1
      attempt.onSettle((outcome) => {
        inFlight -= 1
        if (outcome._tag === "Completed") cooldown.current = Cooldown.succeeded(cooldown.current)
        else if (outcome._tag === "Failed") {
          cooldown.current = Cooldown.failed(
            cooldown.current,
            outcome.error.reason,
            clock.currentTimeMillisUnsafe(),
            maxCooldown
          )
        }
      })
    }
  }
}
