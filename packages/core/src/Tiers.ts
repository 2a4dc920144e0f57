/**
 * Tiers of members, asked one after another until one answers: the engine behind pools and task groups.
 *
 * An orElse chain whose next link is decided by `Failover` and whose repeats are timed by a Schedule. Every
 * attempt is taken from the request's one budget, so tiers inside tiers never multiply.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Attempt from "./Attempt.ts"
import * as Backoff from "./Backoff.ts"
import * as Capability from "./Capability.ts"
import * as Clocks from "./Clocks.ts"
import * as Failover from "./Failover.ts"
import type * as Llm from "./Llm.ts"
import * as LlmError from "./LlmError.ts"
import type * as LlmReply from "./LlmReply.ts"
import * as LlmRequest from "./LlmRequest.ts"
import * as Member from "./Member.ts"
import type * as Plan from "./Plan.ts"
import * as Plans from "./Plans.ts"
import * as RateLimitCharge from "./RateLimitCharge.ts"
import * as RateLimiter from "./RateLimiter.ts"
import * as Rescue from "./Rescue.ts"
import type * as RescueState from "./RescueState.ts"
import type * as RetryBudget from "./RetryBudget.ts"
import * as Selection from "./Selection.ts"
import * as Sessions from "./Sessions.ts"
import * as TokenEstimate from "./TokenEstimate.ts"

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly id: string
  readonly tiers: ReadonlyArray<Failover.Tier<Member.Member>>
  readonly rotation: Plan.Rotation
  /** Tiers in which a request may make an attempt. @default all */
  readonly maxTiers?: number | undefined
  /** Attempts of one request through all tiers. @default unlimited */
  readonly maxTotalAttempts?: number | undefined
  /** Said when no tier has a member: what the operator can do. */
  readonly whenEmpty?: string | undefined
  /** Limits of requests to all of it; a request counts once, however many attempts it makes. @default none */
  readonly limiters?: ReadonlyArray<RateLimiter.RateLimiter> | undefined
  /** How much of the traffic may be retries. @default unlimited */
  readonly retryBudget?: RetryBudget.RetryBudget | undefined
  /** Share of a tier's members that breakers may put out. @default 1 */
  readonly maxEjected?: number | undefined
  /**
   * Whether one request at a time may try the least bad member when breakers alone have put all out.
   *
   * @default false
   */
  readonly panic?: boolean | undefined
  /** How a member that came back grows to its whole share; milliseconds. @default at once */
  readonly slowStart?: Plan.Pool["slowStart"] | undefined
  /** For the rotation `sticky`. @default the defaults of a pool */
  readonly sticky?: Plan.Pool["sticky"] | undefined
}

/** What all requests of one engine share. */
interface Engine extends Options {
  readonly memories: Array<Selection.Memory>
  readonly sessions: Sessions.Sessions
  readonly isLimited: boolean
  /** Whether any limit counts tokens: otherwise none are estimated. */
  readonly countsTokens: boolean
  /** Whether a request is trying a member in panic. */
  panicking: boolean
}

/**
 * Makes an `Llm` of tiers.
 *
 * **Errors** The first cause of the last tier attempted, with the whole route and the earliest `retryAt`.
 * `NoCapacity` when every member is cooling, `InvalidRequest` when no member can do what the request needs,
 * `DeadlineExceeded` and `BudgetExhausted` when those ran out before anything was asked.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Llm.Llm> =>
  Effect.sync(() => {
    const { limiters = [] } = options
    const all = [...limiters, ...options.tiers.flatMap((tier) => tier.members.flatMap((one) => one.limiters))]
    const engine: Engine = {
      ...options,
      memories: options.tiers.map((tier) => Selection.memory(tier.members.length)),
      sessions: Sessions.make({ ttl: (options.sticky ?? Plans.defaults.pool.sticky).ttl }),
      isLimited: all.length > 0,
      countsTokens: all.some(({ limits }) => limits.some((limit) => limit.of === "tokens")),
      panicking: false
    }
    return {
      id: options.id,
      capabilities: Capability.unknown,
      call: (request) =>
        Effect.withFiber((fiber) => {
          if (options.maxTotalAttempts !== undefined) request.budget.limit(options.maxTotalAttempts)
          const random = fiber.getRef(Random.Random)
          return new Walk(engine, { ...request, attempt: undefined }, fiber.getRef(Clock.Clock), () =>
            random.nextDoubleUnsafe()
          ).step()
        })
    }
  })

/** When a member whose slots are all taken is looked at again: nobody knows when one is freed. */
const recheck = 250

type Answer = Effect.Effect<LlmReply.LlmReply, LlmError.LlmError, Scope.Scope>

/** One request on its way through the tiers. */
class Walk {
  private readonly engine: Engine
  private request: LlmRequest.LlmRequest
  private readonly clock: Clock.Clock
  private readonly random: () => number
  private readonly needs: ReadonlyArray<Capability.Capability>
  private readonly limits: Failover.Limits
  private state: Failover.State = Failover.initial
  private waits = new Map<Member.Member, (now: number) => Effect.Effect<number>>()
  private attempts = 0
  /** Who answers, once somebody does. */
  private answering: Member.Member | undefined
  /** The last break, and where it left the request. */
  private broken: { readonly error: LlmError.LlmError; readonly state: Failover.State } | undefined
  /** How a broken reply is being rescued. */
  private rescuing: RescueState.Mode | undefined
  private share: { readonly tier: number; readonly end: number | undefined } | undefined
  private readonly cost: RateLimiter.Cost | undefined
  /** The limits of the whole are charged with the first attempt alone. */
  private isCounted = false

  constructor(engine: Engine, request: LlmRequest.LlmRequest, clock: Clock.Clock, random: () => number) {
    this.engine = engine
    this.request = request
    this.clock = clock
    this.random = random
    engine.retryBudget?.request(clock.currentTimeMillisUnsafe())
    this.needs = LlmRequest.needs(request)
    this.cost = engine.isLimited ? { tokens: engine.countsTokens ? TokenEstimate.ofRequest(request) : 0 } : undefined
    this.limits = { maxTiers: engine.maxTiers ?? engine.tiers.length }
  }

  step(): Answer {
    const now = this.clock.currentTimeMillisUnsafe()
    // What a tier may take of the deadline is spent: the rest is for the next.
    if (this.share?.tier === this.state.tier && this.share.end !== undefined && now >= this.share.end)
      this.state = Failover.nextTier(this.state)
    const [decision, state] = Failover.decide(this.engine.tiers, this.limits, this.state, this.availability(now), now)
    this.state = state
    switch (decision._tag) {
      case "Stop":
        return this.panic(now) ?? Effect.fail(this.stopped(decision.cause, decision.retryAt, now))
      case "Pick":
        return this.pick(decision.tier, decision.members, now)
      case "Repeat": {
        const member = this.member(decision.tier, decision.member)
        return Effect.flatMap(this.wait(member, now), (wait) => {
          const delay = Math.max(wait, decision.notBefore - now)
          const deadline = this.request.deadline
          if (deadline !== undefined && now + delay >= deadline) {
            this.state = Failover.nextTier(this.state)
            return this.step()
          }
          return Effect.andThen(
            Effect.sleep(Duration.millis(delay)),
            Effect.suspend(() => {
              // Meanwhile its breaker may have opened, or its probe slots may have been taken.
              const after = this.clock.currentTimeMillisUnsafe()
              return this.availability(after)(member) === "ready" ? this.attempt(decision.tier, member) : this.step()
            })
          )
        })
      }
    }
  }

  private member(tier: number, index: number): Member.Member {
    const member = this.engine.tiers[tier]?.members[index]
    if (member === undefined) throw new RangeError(`Tiers: no member ${index} in tier ${tier} of ${this.engine.id}`)
    return member
  }

  private can(member: Member.Member): boolean {
    if (this.rescuing === "resume" && member.llm.capabilities.features?.includes("prefill") !== true) return false
    return this.needs.length === 0 || Capability.missing(member.llm.capabilities, this.needs).length === 0
  }

  private availability(now: number): (member: Failover.Member) => Failover.Availability {
    const readmitted = this.readmitted(now)
    return (asked) => {
      const member = asked as Member.Member
      if (!this.can(member)) return "out"
      const able = readmitted?.has(member) === true ? "ready" : Member.availability(member, now)
      if (able !== "ready" || this.cost === undefined) return able
      const full = RateLimiter.peek(this.limitersOf(member), this.cost, now)
      if (full === undefined) return "ready"
      if (full._tag === "TooLarge") return "out"
      return { until: full.retryAt ?? now + recheck }
    }
  }

  /** What an attempt at the member is reserved from, in one step. */
  private limitersOf(member: Member.Member): ReadonlyArray<RateLimiter.RateLimiter> {
    const { limiters = [] } = this.engine
    if (this.isCounted || limiters.length === 0) return member.limiters
    return member.limiters.length === 0 ? limiters : [...limiters, ...member.limiters]
  }

  /** Reserves what the attempt needs; not when it is gone since the pick. */
  private reserve(member: Member.Member, attempt: Attempt.Attempt): boolean {
    if (this.cost === undefined) return true
    const now = this.clock.currentTimeMillisUnsafe()
    const reserved = RateLimiter.reserve(this.limitersOf(member), this.cost, now)
    if (reserved._tag !== "Reserved") return false
    this.isCounted = true
    RateLimiter.hold(reserved, attempt, this.clock)
    // An attempt that cost the provider nothing costs the whole nothing either: the next one counts.
    attempt.onSettle((outcome) => {
      if (RateLimitCharge.of(outcome, attempt.isCommitted()) === "refund") this.isCounted = false
    })
    return true
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

  /** One request at a time tries the least bad member, when breakers alone have put all out. */
  private panic(now: number): Answer | undefined {
    const { engine, state } = this
    if (engine.panic !== true || engine.panicking || state.failures.size > 0 || state.ended) return undefined
    for (const [tier, { members }] of engine.tiers.entries()) {
      const member = Member.leastBad(
        members.filter((one) => this.can(one) && Member.isEjected(one, now)),
        now
      )
      if (member === undefined) continue
      this.state = { ...state, tier }
      return this.attempt(tier, member, true)
    }
    return undefined
  }

  /** Holds the panic for as long as the attempt lasts, however that ends; not when another request has it. */
  private beginPanic(attempt: Attempt.Attempt): boolean {
    const { engine } = this
    if (engine.panicking) return false
    engine.panicking = true
    attempt.onSettle(() => {
      engine.panicking = false
    })
    return true
  }

  /** A member that came back is passed over now and then, until it has its whole share again. */
  private thinned(tier: number, indices: ReadonlyArray<number>, now: number): ReadonlyArray<number> {
    const { slowStart } = this.engine
    if (slowStart === undefined || slowStart.duration <= 0) return indices
    const kept = indices.filter((index) => {
      const recoveredAt = this.member(tier, index).recoveredAt()
      if (recoveredAt === undefined || now - recoveredAt >= slowStart.duration) return true
      return this.random() < Math.max(slowStart.minShare, (now - recoveredAt) / slowStart.duration)
    })
    return kept.length > 0 ? kept : indices
  }

  private pick(tier: number, indices: ReadonlyArray<number>, now: number): Answer {
    const { memories, rotation, sessions, sticky = Plans.defaults.pool.sticky } = this.engine
    const { sessionId: session } = this.request.metadata
    const candidates = this.thinned(tier, indices, now).map((index): Selection.Candidate => {
      const member = this.member(tier, index)
      const { id, price, priority, state, weight } = member
      const headroom = rotation === "usage" ? Member.headroom(member, now) : 1
      return { index, id, weight, priority, price, headroom, inFlight: state.inFlight(), stats: state.stats() }
    })
    const keeps = rotation === "sticky" && session !== undefined
    const [picked, remembered] = Selection.pick(rotation, candidates, memories[tier] as Selection.Memory, {
      random: this.random,
      session,
      servedBy: keeps ? sessions.get(session, now) : undefined,
      loadBound: sticky.loadBound
    })
    memories[tier] = remembered
    const member = this.member(tier, picked?.index ?? 0)
    if (keeps) sessions.set(session, member.id, now)
    return this.attempt(tier, member)
  }

  private attempt(tier: number, member: Member.Member, isPanic = false): Answer {
    const now = this.clock.currentTimeMillisUnsafe()
    const { deadline } = this.request
    if (deadline !== undefined && now >= deadline) {
      return Effect.fail(
        this.final(
          LlmError.make({ reason: { _tag: "DeadlineExceeded" }, detail: this.state.cause?.message }),
          undefined,
          now
        )
      )
    }
    if (this.attempts > 0 && this.state.cause !== undefined && this.engine.retryBudget?.retry(now) === false)
      return Effect.fail(this.final(this.state.cause, undefined, now))
    const out = this.request.budget.exhausted()
    if (out !== undefined) {
      const exhausted = LlmError.make({ reason: { _tag: "BudgetExhausted", of: out } })
      return Effect.fail(this.final(this.state.cause ?? exhausted, undefined, now))
    }
    this.attempts += 1
    const request = this.requestFor(tier, member, now)
    let isBounced = false
    const asked = this.request.recorder.size()
    return Effect.catch(
      Attempt.open({}, (attempt) => {
        if ((isPanic && !this.beginPanic(attempt)) || !this.reserve(member, attempt)) {
          isBounced = true
          return Effect.fail(LlmError.make({ reason: { _tag: "NoCapacity" } }))
        }
        Member.enter(member, attempt, this.clock, this.random, request)
        return member.llm.call({ ...request, attempt })
      }).pipe(Effect.flatMap((reply) => this.answered(member, request, reply))),
      (error) => {
        // An error with a route has been through policies of its own.
        const kind =
          error.route === undefined ? "instance" : this.request.recorder.size() === asked ? "passed_over" : "composite"
        if (!isBounced) this.state = Failover.failed(this.state, member, error, kind)
        return this.step()
      }
    )
  }

  /** A reply that is streamed on goes on elsewhere when it breaks, if its group says so. */
  private answered(member: Member.Member, request: LlmRequest.LlmRequest, reply: LlmReply.LlmReply): Answer {
    this.answering = member
    const { onInterrupt } = request.metadata
    const policies =
      onInterrupt === undefined ? member.onInterrupt : typeof onInterrupt === "string" ? [onInterrupt] : onInterrupt
    const isWanted = policies.some((policy) => policy !== "fail")
    if (!isWanted || this.rescuing !== undefined || request.commit === "finish") return Effect.succeed(reply)
    return Rescue.wrap(reply, request, {
      policies,
      instance: member.id,
      again: (next, error, mode) =>
        Effect.suspend(() => {
          // The next policy for the same break starts where that left the request.
          if (this.broken?.error !== error)
            this.broken = { error, state: Failover.failed(this.state, this.answering ?? member, error) }
          this.state = this.broken.state
          this.request = next
          this.rescuing = mode
          this.share = undefined
          return Effect.map(this.step(), (taken) => ({ ...taken, instance: (this.answering ?? member).id }))
        })
    })
  }

  /** The request as its echelon wants it: defaults filled, clocks set, a share of the deadline. */
  private requestFor(tier: number, member: Member.Member, now: number): LlmRequest.LlmRequest {
    const { commit, metadata, stream } = this.request
    const { timeout: _, ...own } = metadata
    const clocks = Clocks.withCaller(member.clocks, own)
    return {
      ...LlmRequest.withDefaults(this.request, member.settings),
      clocks,
      stream: stream || member.upstream === "stream",
      commit: commit === "finish" ? commit : (metadata.commit ?? member.commit),
      echelon: member.echelon,
      firstOutputBy: clocks.ttft === undefined ? this.tierEnd(tier, now) : this.request.firstOutputBy
    }
  }

  /** When this tier must have given first output, so that a silent one leaves time for the next: set on entering it. */
  private tierEnd(tier: number, now: number): number | undefined {
    const { deadline, firstOutputBy } = this.request
    const end = Math.min(deadline ?? Number.POSITIVE_INFINITY, firstOutputBy ?? Number.POSITIVE_INFINITY)
    if (end === Number.POSITIVE_INFINITY) return undefined
    if (this.share?.tier === tier) return this.share.end
    const { attemptsInTier, tiersTried } = this.state
    const left = Math.min(
      this.engine.tiers.length - tier,
      this.limits.maxTiers - tiersTried + (attemptsInTier > 0 ? 1 : 0)
    )
    this.share = { tier, end: left <= 1 ? firstOutputBy : now + (end - now) / left }
    return this.share.end
  }

  private wait(member: Member.Member, now: number): Effect.Effect<number> {
    const known = this.waits.get(member)
    if (known !== undefined) return known(now)
    return Effect.flatMap(Backoff.waits(member.backoff), (next) => {
      this.waits.set(member, next)
      return next(now)
    })
  }

  private stopped(cause: LlmError.LlmError | undefined, retryAt: number | undefined, now: number): LlmError.LlmError {
    if (cause !== undefined) return this.final(cause, retryAt, now)
    const { id, tiers, whenEmpty } = this.engine
    const members = tiers.flatMap((tier) => tier.members)
    if (members.length === 0) {
      return this.final(
        LlmError.make({ reason: { _tag: "NoCapacity" }, detail: whenEmpty ?? `${id} has no instance` }),
        undefined,
        now
      )
    }
    const lacking = members.map((member) => Capability.missing(member.llm.capabilities, this.needs))
    if (lacking.every((missing) => missing.length > 0)) {
      const missing = [...new Set(lacking.flat())].join(", ")
      return this.final(
        LlmError.make({
          reason: { _tag: "InvalidRequest" },
          detail: `no instance of ${id} has what the request needs: ${missing}`
        }),
        undefined,
        now
      )
    }
    const tooLarge = retryAt === undefined ? this.tooLarge(members, now) : undefined
    if (tooLarge !== undefined) return this.final(tooLarge, undefined, now)
    return this.final(
      LlmError.make({
        reason: { _tag: "NoCapacity", retryAt },
        detail: `every instance of ${id} is cooling down, at a limit or put out by its breaker`
      }),
      retryAt,
      now
    )
  }

  /** A request that no limit will ever grant fails, instead of waiting for ever. */
  private tooLarge(members: ReadonlyArray<Member.Member>, now: number): LlmError.LlmError | undefined {
    if (this.cost === undefined) return undefined
    for (const member of members) {
      const full = this.can(member) ? RateLimiter.peek(this.limitersOf(member), this.cost, now) : undefined
      if (full?._tag !== "TooLarge") continue
      return LlmError.make({
        reason: { _tag: "InvalidRequest" },
        detail: `about ${full.needed} tokens are more than ${full.limit} ever grants (${full.most})`
      })
    }
    return undefined
  }

  private final(error: LlmError.LlmError, retryAt: number | undefined, now: number): LlmError.LlmError {
    return LlmError.update(error, { route: this.request.recorder.snapshot(now), retryAt: retryAt ?? error.retryAt })
  }
}
