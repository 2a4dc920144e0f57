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
import * as CircuitBreakerState from "./CircuitBreakerState.ts"
import * as Cooldown from "./Cooldown.ts"
import type * as Failover from "./Failover.ts"
import * as FailureClass from "./FailureClass.ts"
import * as InstanceStats from "./InstanceStats.ts"
import * as Plans from "./Plans.ts"
import type * as Reason from "./Reason.ts"

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
  /** Takes another ceiling, and the cooldown that others now share with it. */
  readonly resize: (options: { readonly maxCooldown: number; readonly cooldown: Cell }) => void
  /** Forgets the cooldown and what was learned; what it is serving stays counted. */
  readonly reset: () => void
  /** Counts an attempt while it lasts, and learns from how it ends. */
  readonly enter: (attempt: Attempt.Attempt, clock: Clock.Clock) => void
  /** What a health checker says of it and hears from it. Nobody else writes it. */
  readonly health: Health
}

/**
 * Where an instance and its health checker meet.
 *
 * @since 0.1.0
 * @category models
 */
export interface Health {
  /** Whether it is passed over while a healthy one can be asked. */
  isOut: boolean
  /**
   * Told how each attempt ended, as a breaker hears it. `firstOutput` is in milliseconds, and known only where it can
   * be told from the end. It must not throw.
   */
  heard:
    | ((
        verdict: CircuitBreakerState.Verdict,
        reason: Reason.Reason | undefined,
        firstOutput: number | undefined,
        now: number
      ) => void)
    | undefined
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
  /** Whether somebody has taken it out. @default never */
  readonly isDrained?: (() => boolean) | undefined
  /** Told when the cooldown ends later than before. It must not throw. */
  readonly onCooldown?: ((until: number, now: number) => void) | undefined
}

/**
 * Makes the state of an instance that nobody has asked yet.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): InstanceState => {
  let { cooldown = { current: Cooldown.none }, maxCooldown = Plans.defaults.provider.maxCooldown } = options
  const { isDrained = () => false, onCooldown } = options
  const health: Health = { isOut: false, heard: undefined }
  let inFlight = 0
  let stats = InstanceStats.empty
  return {
    health,
    inFlight: () => inFlight,
    stats: () => stats,
    cooldown: () => cooldown.current,
    availability: (now) =>
      isDrained() ? "out" : cooldown.current.until > now ? { until: cooldown.current.until } : "ready",
    resize: (next) => {
      cooldown = next.cooldown
      maxCooldown = next.maxCooldown
    },
    reset: () => {
      cooldown.current = Cooldown.none
      stats = InstanceStats.empty
    },
    enter: (attempt, clock) => {
      inFlight += 1
      const startedAt = clock.currentTimeMillisUnsafe()
      let outputAt: number | undefined
      attempt.onFirstOutput(() => {
        outputAt = clock.currentTimeMillisUnsafe()
      })
      attempt.onSettle((outcome) => {
        inFlight -= 1
        const now = clock.currentTimeMillisUnsafe()
        if (outcome._tag === "Completed") {
          cooldown.current = Cooldown.succeeded(cooldown.current)
          const streamed = outputAt === undefined ? 0 : now - outputAt
          const tokens = outcome.usage.outputTokens
          stats = InstanceStats.succeeded(
            stats,
            {
              firstOutput: outputAt === undefined ? undefined : outputAt - startedAt,
              tokensPerSecond: tokens === undefined || streamed <= 0 ? undefined : (tokens * 1_000) / streamed
            },
            now
          )
        } else if (outcome._tag === "Failed") {
          const { reason } = outcome.error
          const before = cooldown.current.until
          cooldown.current = Cooldown.failed(cooldown.current, reason, startedAt, now, maxCooldown)
          if (cooldown.current.until > before) onCooldown?.(cooldown.current.until, now)
          if (FailureClass.of(reason).breaker !== "ignored") stats = InstanceStats.failed(stats, now)
        } else if (outputAt === undefined) {
          // Who was left waiting knows at least that it takes longer: else a silent instance, always hedged away
          // from, would go on looking fast.
          stats = InstanceStats.outlasted(stats, now - startedAt, now)
        }
        health.heard?.(
          CircuitBreakerState.verdictOf(outcome, attempt.isCommitted()),
          outcome._tag === "Failed" ? outcome.error.reason : undefined,
          outputAt === undefined || outputAt === now ? undefined : outputAt - startedAt,
          now
        )
      })
    }
  }
}
