/**
 * A member of a tier: something that can be asked, what its echelon says of it, and what stands before it.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import type * as Attempt from "./Attempt.ts"
import type * as Backoff from "./Backoff.ts"
import type * as CircuitBreaker from "./CircuitBreaker.ts"
import * as Clocks from "./Clocks.ts"
import type * as Failover from "./Failover.ts"
import type * as HedgeState from "./HedgeState.ts"
import * as InstanceState from "./InstanceState.ts"
import type * as Llm from "./Llm.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import * as Plans from "./Plans.ts"
import * as RateLimiter from "./RateLimiter.ts"
import type * as TokenCounter from "./TokenCounter.ts"

/**
 * A member.
 *
 * @since 0.1.0
 * @category models
 */
export interface Member extends Failover.Member {
  readonly llm: Llm.Llm
  readonly state: InstanceState.InstanceState
  /** One per instance in a group. @default none */
  readonly breaker: CircuitBreaker.CircuitBreaker | undefined
  /** The limits it is under: its echelon's, its own. @default none */
  readonly limiters: ReadonlyArray<RateLimiter.RateLimiter>
  /** The one of `limiters` that learns what the provider says is left. @default none */
  readonly reported: RateLimiter.RateLimiter | undefined
  /** What is known for hedging, by all of its echelon. @default not hedged */
  readonly hedge: HedgeState.State | undefined
  /** Who counts tokens as its model does. @default the estimate stands */
  readonly counter: TokenCounter.Counter | undefined
  readonly weight: number
  readonly priority: number
  /** USD per million tokens, input and output together. */
  readonly price: number | undefined
  /** `group.echelonN`. */
  readonly echelon: string | undefined
  readonly clocks: Clocks.Clocks
  /** Fills what the request left open. */
  readonly settings: LlmRequest.Settings
  readonly upstream: "as_asked" | "stream"
  readonly commit: LlmRequest.Commit
  /** What is done when its stream breaks after commit, in order. */
  readonly onInterrupt: ReadonlyArray<LlmRequest.OnInterrupt>
  readonly backoff: Backoff.Options
}

/**
 * What a member needs beyond the `Llm`; the rest has the defaults of a configuration that says nothing.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = {
  readonly [K in Exclude<keyof Member, "llm" | "id">]?: Member[K] | undefined
}

const { fallback } = Plans.defaults

/**
 * Makes a member of an `Llm`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (llm: Llm.Llm, options: Options = {}): Member => ({
  id: llm.id,
  llm,
  model: options.model ?? llm.id,
  contextWindow: options.contextWindow ?? llm.capabilities.contextWindow,
  maxRetryAfterWait: options.maxRetryAfterWait ?? fallback.maxRetryAfterWait,
  contentPolicyFallback: options.contentPolicyFallback ?? fallback.contentPolicyFallback,
  state: options.state ?? InstanceState.make(),
  breaker: options.breaker,
  limiters: options.limiters ?? [],
  reported: options.reported,
  hedge: options.hedge,
  counter: options.counter,
  weight: options.weight ?? 1,
  priority: options.priority ?? 1,
  price: options.price,
  echelon: options.echelon,
  clocks: options.clocks ?? Clocks.defaults,
  settings: options.settings ?? {},
  upstream: options.upstream ?? Plans.defaults.echelon.upstream,
  commit: options.commit ?? fallback.commit,
  onInterrupt: options.onInterrupt ?? [fallback.onInterrupt],
  backoff: options.backoff ?? {
    base: Duration.millis(fallback.retryDelay),
    cap: Duration.millis(fallback.retryMaxDelay)
  }
})

/** Both must allow it; of two waits the longer counts. */
const both = (a: Failover.Availability, b: Failover.Availability): Failover.Availability => {
  if (a === "ready") return b
  if (b === "ready") return a
  if (a === "out" || b === "out") return "out"
  return a.until >= b.until ? a : b
}

/**
 * Whether the member can be asked, as far as its cooldown and its breaker say.
 *
 * @since 0.1.0
 * @category getters
 */
export const availability = (member: Member, now: number): Failover.Availability => {
  const state = member.state.availability(now)
  return member.breaker === undefined ? state : both(state, member.breaker.availability(now))
}

/**
 * What its limits leave, 0 to 1.
 *
 * @since 0.1.0
 * @category getters
 */
export const headroom = (member: Member, now: number): number => {
  let least = 1
  for (const limiter of member.limiters) least = Math.min(least, RateLimiter.headroom(limiter, now))
  return least
}

/**
 * Whether only its own failures keep the member out: the breaker has opened on them, and nothing else stands in
 * the way.
 *
 * @since 0.1.0
 * @category getters
 */
export const isEjected = (member: Member, now: number): boolean =>
  member.breaker?.outBecause() === "failures" && member.state.availability(now) === "ready"

/**
 * Whether the member takes no request, and only a breaker, or what the request needs, is to blame: `can` tells whether
 * the member could ever answer it. Who is merely busy, cooling or being tested comes back by itself.
 *
 * @since 0.1.0
 * @category guards
 */
export const isHopeless = (member: Member, can: boolean, now: number): boolean => {
  if (!can || member.breaker?.outBecause() === "credential") return true
  if (isEjected(member, now)) return member.breaker?.snapshot(now).state !== "half_open"
  return availability(member, now) === "out"
}

/**
 * The least bad of ejected members: the one that failed least, then the one that has been out longest.
 *
 * @since 0.1.0
 * @category getters
 */
export const leastBad = (members: ReadonlyArray<Member>, now: number): Member | undefined => {
  let best: { readonly member: Member; readonly ratio: number; readonly since: number } | undefined
  for (const member of members) {
    const snapshot = member.breaker?.snapshot(now)
    const found = { member, ratio: snapshot?.failureRatio ?? 0, since: snapshot?.openedAt ?? now }
    if (best === undefined || found.ratio < best.ratio || (found.ratio === best.ratio && found.since < best.since))
      best = found
  }
  return best?.member
}

/**
 * Lets all that stands before the member hear of an attempt.
 *
 * @since 0.1.0
 * @category combinators
 */
export const enter = (
  member: Member,
  attempt: Attempt.Attempt,
  clock: Clock.Clock,
  random: () => number,
  request: LlmRequest.LlmRequest
): void => {
  member.state.enter(attempt, clock)
  member.breaker?.enter(attempt, clock, random, request.stream)
  const { reported } = member
  if (reported !== undefined)
    attempt.onReport((report) => void RateLimiter.learn(reported, report, clock.currentTimeMillisUnsafe()))
}
