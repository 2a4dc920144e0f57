/**
 * What stands between one request and the members: what they can do, what fits them, their cooldowns, breakers and
 * limits. It is asked for every member at every step, so it allocates nothing where all is well.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import type * as Attempt from "./Attempt.ts"
import * as Capability from "./Capability.ts"
import type * as Failover from "./Failover.ts"
import type * as LlmError from "./LlmError.ts"
import * as LlmRequest from "./LlmRequest.ts"
import * as Member from "./Member.ts"
import * as RateLimitCharge from "./RateLimitCharge.ts"
import * as RateLimiter from "./RateLimiter.ts"
import type * as TiersEngine from "./TiersEngine.ts"
import * as TiersTokens from "./TiersTokens.ts"

/** When a member whose slots are all taken is looked at again, should nobody tell that one was freed. */
const recheck = 250

/**
 * Whether the unhealthy are passed over. Health alone never leaves nobody to ask: it counts while there is a healthy one
 * that cooldowns and breakers let in and that `isLeft`, for it can answer the request and was not asked yet.
 *
 * @since 0.1.0
 * @category getters
 */
export const passesUnhealthy = (
  tiers: ReadonlyArray<Pick<TiersEngine.Tier, "members">>,
  isLeft: (member: Member.Member) => boolean,
  now: number
): boolean =>
  tiers.some(({ members }) => members.some(({ state }) => state.health.isOut)) &&
  tiers.some(({ members }) =>
    members.some(
      (member) => !member.state.health.isOut && isLeft(member) && Member.availability(member, now) === "ready"
    )
  )

/**
 * The gate of one request.
 *
 * @since 0.1.0
 * @category models
 */
export class Gate {
  private readonly engine: TiersEngine.Engine
  private readonly clock: Clock.Clock
  private readonly needs: ReadonlyArray<Capability.Capability>
  private readonly tokens: TiersTokens.Tokens
  /** The limits of the whole are charged once, however many attempts are made. */
  private whole: RateLimiter.Reservation | undefined
  private isCounted = false
  private live = 0
  /** Who was asked for this request: nobody is passed over for one of them. */
  private readonly asked: Array<Member.Member> = []
  private readonly isLeft = (member: Member.Member): boolean => !this.asked.includes(member) && this.can(member)
  /** Whether an unhealthy one was held back in favour of a healthy one, and whether that is over. */
  private heldBack = false
  private asksUnhealthy = false
  /** Whether who is asked must go on from what was delivered. */
  mustResume = false

  constructor(engine: TiersEngine.Engine, request: LlmRequest.LlmRequest, clock: Clock.Clock) {
    this.engine = engine
    this.clock = clock
    this.needs = LlmRequest.needs(request)
    this.tokens = new TiersTokens.Tokens(request)
  }

  /** Whether the member, as the request stands, could ever answer it. */
  can(member: Member.Member): boolean {
    if (this.mustResume && member.llm.capabilities.features?.includes("prefill") !== true) return false
    if (this.needs.length > 0 && Capability.missing(member.llm.capabilities, this.needs).length > 0) return false
    return this.tokens.fits(member)
  }

  /** Whether each member can be asked now. */
  availability(now: number): (member: Failover.Member) => Failover.Availability {
    const readmitted = this.readmitted(now)
    const isHealthPreferred = !this.asksUnhealthy && passesUnhealthy(this.engine.tiers, this.isLeft, now)
    if (isHealthPreferred) this.heldBack = true
    return (asked) => {
      const member = asked as Member.Member
      if (!this.can(member)) return "out"
      const isReadmitted = readmitted?.has(member) === true
      if (isHealthPreferred && member.state.health.isOut && !isReadmitted) return "out"
      const able = isReadmitted ? "ready" : Member.availability(member, now)
      if (able !== "ready" || !this.engine.isLimited) return able
      const full = RateLimiter.peek(this.limitersOf(member), this.tokens.of(member), now)
      if (full === undefined) return "ready"
      if (full._tag === "TooLarge") return "out"
      return { until: full.retryAt ?? now + recheck }
    }
  }

  /**
   * Lets the unhealthy be asked from now on, since no healthy one can be: its tier is left, or it is full. Tells whether
   * that changes anything.
   */
  readmitUnhealthy(): boolean {
    if (!this.heldBack || this.asksUnhealthy) return false
    this.asksUnhealthy = true
    return true
  }

  /** Whether no limit stands in the member's way now. */
  allows(member: Member.Member, now: number): boolean {
    return (
      !this.engine.isLimited || RateLimiter.peek(this.limitersOf(member), this.tokens.of(member), now) === undefined
    )
  }

  /** Reserves what the attempt needs; not when it is gone since the pick. */
  reserve(member: Member.Member, attempt: Attempt.Attempt): boolean {
    const { isLimited, limiters = [] } = this.engine
    this.asked.push(member)
    this.tokens.watch(member, attempt)
    if (!isLimited) return true
    const now = this.clock.currentTimeMillisUnsafe()
    if (RateLimiter.peek(this.limitersOf(member), this.tokens.of(member), now) !== undefined) return false
    const own = RateLimiter.reserve(member.limiters, this.tokens.of(member), now)
    if (own._tag !== "Reserved") return false
    RateLimiter.hold(own, attempt, this.clock)
    if (limiters.length === 0) return true
    if (this.whole === undefined) {
      const whole = RateLimiter.reserve(limiters, this.tokens.of(member), now)
      if (whole._tag === "Reserved") this.whole = whole
    }
    this.live += 1
    attempt.onSettle((outcome) => this.settled(RateLimitCharge.of(outcome, attempt.isCommitted())))
    return true
  }

  /** Attempts that cost the provider nothing cost the whole nothing either, once none of them is left. */
  private settled(charge: RateLimitCharge.Charge): void {
    this.live -= 1
    if (charge !== "refund") this.isCounted = true
    if (this.live > 0 || this.whole === undefined) return
    const now = this.clock.currentTimeMillisUnsafe()
    if (this.isCounted) this.whole.settle(charge === "refund" ? undefined : charge, now)
    else {
      this.whole.refund(now)
      this.whole = undefined
    }
  }

  /** Why nobody was asked. */
  refusal(retryAt: number | undefined, now: number): LlmError.Options {
    const { id, tiers, whenEmpty } = this.engine
    const members = tiers.flatMap((tier) => tier.members)
    if (members.length === 0) return { reason: { _tag: "NoCapacity" }, detail: whenEmpty ?? `${id} has no instance` }
    const able =
      this.needs.length === 0
        ? members
        : members.filter((member) => Capability.missing(member.llm.capabilities, this.needs).length === 0)
    if (able.length === 0) {
      const lacking = members.flatMap((member) => Capability.missing(member.llm.capabilities, this.needs))
      return {
        reason: { _tag: "InvalidRequest" },
        detail: `no instance of ${id} has what the request needs: ${[...new Set(lacking)].join(", ")}`
      }
    }
    return (
      this.tooLong(able) ??
      (retryAt === undefined ? this.tooLarge(members, now) : undefined) ?? {
        reason: { _tag: "NoCapacity", retryAt },
        detail: `every instance of ${id} is cooling down, at a limit, drained or put out by its breaker`
      }
    )
  }

  /** What an attempt at the member is reserved from, in one step. */
  private limitersOf(member: Member.Member): ReadonlyArray<RateLimiter.RateLimiter> {
    return this.whole !== undefined ? member.limiters : (this.engine.limitersOf.get(member) ?? member.limiters)
  }

  /** Members that breakers put out beyond the share they may: the least bad of them count as in. */
  private readmitted(now: number): ReadonlySet<Member.Member> | undefined {
    const { maxEjected = 1, tiers } = this.engine
    if (maxEjected >= 1) return undefined
    const found = new Set<Member.Member>()
    for (const { members } of tiers) {
      let out = members.filter((member) => Member.isEjected(member, now))
      for (let over = out.length - Math.floor(maxEjected * members.length); over > 0; over--) {
        const best = Member.leastBad(out, now)
        if (best === undefined) break
        found.add(best)
        out = out.filter((member) => member !== best)
      }
    }
    return found
  }

  /** A request that fits nobody's context window fails before it is sent. */
  private tooLong(members: ReadonlyArray<Member.Member>): LlmError.Options | undefined {
    let largest: number | undefined
    for (const member of members) {
      if (this.tokens.fits(member)) return undefined
      largest = Math.max(largest ?? 0, member.contextWindow ?? 0)
    }
    const { input, longest = input, statedOutput } = this.tokens.estimate()
    const output = statedOutput === undefined ? "" : ` and ${statedOutput} of output`
    return {
      reason: { _tag: "ContextLength", contextWindow: largest },
      detail: `about ${longest} tokens${output} do not fit the largest context window of ${this.engine.id}, ${largest} tokens`
    }
  }

  /** A request that no limit will ever grant fails, instead of waiting for ever. */
  private tooLarge(members: ReadonlyArray<Member.Member>, now: number): LlmError.Options | undefined {
    if (!this.engine.isLimited) return undefined
    for (const member of members) {
      const full = this.can(member) ? RateLimiter.peek(this.limitersOf(member), this.tokens.of(member), now) : undefined
      if (full?._tag !== "TooLarge") continue
      return {
        reason: { _tag: "InvalidRequest" },
        detail: `about ${full.needed} tokens are more than ${full.limit} ever grants (${full.most})`
      }
    }
    return undefined
  }
}
