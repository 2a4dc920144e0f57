/**
 * One request on its way through the tiers.
 *
 * An orElse chain whose next link is decided by `Failover` and whose repeats are timed by a Schedule. Every
 * attempt is taken from the request's one budget, so tiers inside tiers never multiply.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Attempt from "./Attempt.ts"
import * as Backoff from "./Backoff.ts"
import * as Clocks from "./Clocks.ts"
import * as Failover from "./Failover.ts"
import * as Hedge from "./Hedge.ts"
import * as HedgeState from "./HedgeState.ts"
import * as LlmError from "./LlmError.ts"
import type * as LlmReply from "./LlmReply.ts"
import * as LlmRequest from "./LlmRequest.ts"
import * as Member from "./Member.ts"
import * as Rescue from "./Rescue.ts"
import type * as RescueState from "./RescueState.ts"
import type * as Route from "./Route.ts"
import * as TiersEngine from "./TiersEngine.ts"
import { Gate } from "./TiersGate.ts"
import * as TiersPick from "./TiersPick.ts"

type Answer = Effect.Effect<LlmReply.LlmReply, LlmError.LlmError, Scope.Scope>

/** A reply, and who gave it. */
interface Won {
  readonly attempt: Attempt.Attempt
  readonly reply: LlmReply.LlmReply
  readonly member: Member.Member
  readonly request: LlmRequest.LlmRequest
}

/** An attempt that is asked for. */
interface Ask {
  readonly tier: number
  readonly member: Member.Member
  readonly kind: Route.Kind
  readonly isPanic?: boolean
  /** Called when what it needs was gone before it was sent. */
  readonly onBounced?: () => void
  /** Who was asked beside it. */
  beside?: Member.Member
  /** Whether it has given output: then nobody needs to be asked beside it. */
  hasOutput?: boolean
}

/**
 * The walk of one request.
 *
 * @since 0.1.0
 * @category models
 */
export class Walk {
  private readonly engine: TiersEngine.Engine
  private readonly tiers: ReadonlyArray<TiersEngine.Tier>
  private readonly gate: Gate
  private request: LlmRequest.LlmRequest
  private readonly clock: Clock.Clock
  private readonly random: () => number
  private readonly limits: Failover.Limits
  private state: Failover.State = Failover.initial
  private waits = new Map<Member.Member, (now: number) => Effect.Effect<number>>()
  private attempts = 0
  private panicked = false
  /** Budgets of hedges that this request has filled: once, however many attempts it makes. */
  private readonly hedged = new Set<HedgeState.State>()
  /** How many attempts there were when a member's backoff was waited for. */
  private readonly backedOff = new Map<Member.Member, number>()
  /** Who answers, once somebody does. */
  private answering: Member.Member | undefined
  /** The last break, and where it left the request. */
  private broken: { readonly error: LlmError.LlmError; readonly state: Failover.State } | undefined
  /** The member that broke a reply, while others are asked to go on. */
  private aside: { readonly id: string; readonly tier: number } | undefined
  /** How a broken reply is being rescued. */
  private rescuing: RescueState.Mode | undefined
  private share: { readonly tier: number; readonly end: number | undefined } | undefined

  constructor(engine: TiersEngine.Engine, request: LlmRequest.LlmRequest, clock: Clock.Clock, random: () => number) {
    this.engine = engine
    this.tiers = TiersEngine.tiersOf(engine)
    this.gate = new Gate(engine, request, clock)
    this.request = request
    this.clock = clock
    this.random = random
    engine.retryBudget?.request(clock.currentTimeMillisUnsafe())
    // Tiers of the pinned stand before the others and count beside them.
    this.limits = { maxTiers: (engine.maxTiers ?? engine.tiers.length) + this.tiers.length - engine.tiers.length }
  }

  /** Asks whoever is to be asked next. */
  step(): Answer {
    const now = this.clock.currentTimeMillisUnsafe()
    if (this.engine.registry?.lifecycle.phase === "closed")
      return Effect.fail(this.final(this.state.cause ?? closed(), undefined, now))
    // What a tier may take of the deadline is spent: the rest is for the next.
    if (this.share?.tier === this.state.tier && this.share.end !== undefined && now >= this.share.end)
      this.state = Failover.nextTier(this.state)
    const before = this.state
    const [decision, state] = Failover.decide(this.tiers, this.limits, before, this.gate.availability(now), now)
    // Health is a preference: it costs nobody an answer.
    if (decision._tag === "Stop" && this.gate.readmitUnhealthy()) return this.step()
    this.state = state
    switch (decision._tag) {
      case "Stop":
        return this.takeBack() ?? this.panic(now) ?? this.stop(decision.cause, decision.retryAt, now)
      case "Pick": {
        const { members, tier } = decision
        return this.attempt({ tier, member: this.choose(tier, members, now), kind: "call" })
      }
      case "Repeat":
        return this.repeat(decision.tier, this.member(decision.tier, decision.member), decision.notBefore, now)
    }
  }

  private stop(cause: LlmError.LlmError | undefined, retryAt: number | undefined, now: number): Answer {
    if (cause !== undefined) return Effect.fail(this.final(cause, retryAt, now))
    const route = this.request.recorder.snapshot(now)
    return Effect.fail(LlmError.make({ ...this.gate.refusal(retryAt, now), route, retryAt }))
  }

  private member(tier: number, index: number): Member.Member {
    return TiersPick.memberOf(this.tier(tier), index)
  }

  private tier(index: number): TiersEngine.Tier {
    const tier = this.tiers[index]
    if (tier === undefined) throw new RangeError(`TiersWalk: no tier ${index} in ${this.engine.id}`)
    return tier
  }

  private choose(tier: number, members: ReadonlyArray<number>, now: number): Member.Member {
    return TiersPick.pick(this.engine, this.tier(tier), members, this.request, now, this.random)
  }

  /** Asks a member again after the backoff. */
  private repeat(tier: number, member: Member.Member, notBefore: number, now: number): Answer {
    const isBackedOff = this.backedOff.get(member) === this.attempts
    return Effect.flatMap(isBackedOff ? Effect.succeed(0) : this.wait(member, now), (wait) => {
      this.backedOff.set(member, this.attempts)
      const { cause } = this.state
      // Nobody waits for an attempt that may not be made.
      if (cause !== undefined && this.request.budget.exhausted() !== undefined)
        return Effect.fail(this.final(cause, undefined, now))
      const delay = Math.max(wait, notBefore - now)
      const { deadline } = this.request
      const end = Math.min(
        deadline ?? Number.POSITIVE_INFINITY,
        (this.share?.tier === tier ? this.share.end : undefined) ?? Number.POSITIVE_INFINITY
      )
      if (now + delay >= end) return this.leave(tier, member)
      if (cause !== undefined && this.engine.retryBudget?.allows(now) === false)
        return Effect.fail(this.final(cause, undefined, now))
      const sleep = Effect.sleep(Duration.millis(delay))
      const { registry } = this.engine
      const woken =
        registry === undefined
          ? sleep
          : Effect.raceFirst(
              // A slot that is freed is worth a look at once, but no backoff is cut short.
              delay > wait
                ? Effect.andThen(
                    Effect.sleep(Duration.millis(wait)),
                    Effect.raceFirst(Effect.sleep(Duration.millis(delay - wait)), registry.freed)
                  )
                : sleep,
              registry.lifecycle.closed
            )
      return Effect.andThen(
        woken,
        Effect.suspend(() => {
          // Meanwhile its breaker may have opened, or its probe slots may have been taken.
          const after = this.clock.currentTimeMillisUnsafe()
          return registry?.lifecycle.phase !== "closed" && this.gate.availability(after)(member) === "ready"
            ? this.attempt({ tier, member, kind: "call" })
            : this.step()
        })
      )
    })
  }

  /** Gives a repeat up for which there is no time. */
  private leave(tier: number, member: Member.Member): Answer {
    const moved = Failover.moveTo(this.state, Math.max(this.state.tier, tier) + 1)
    this.state = { ...moved, spent: [...moved.spent, member.id] }
    return this.step()
  }

  /** Asks the member that broke a reply, now that nobody else can go on. */
  private takeBack(): Answer | undefined {
    const { aside, state } = this
    if (aside === undefined || state.ended) return undefined
    this.aside = undefined
    this.state = { ...Failover.moveTo(state, aside.tier), spent: state.spent.filter((id) => id !== aside.id) }
    return this.step()
  }

  /** One request at a time tries the least bad member, when breakers alone have put all out. */
  private panic(now: number): Answer | undefined {
    const { engine, state } = this
    // Once: whoever was bounced in panic must not come back to it in the same moment.
    if (engine.panic !== true || engine.panicking || this.panicked || state.failures.size > 0 || state.ended)
      return undefined
    // Whoever is merely busy, cooling or being tested comes back by itself.
    if (!this.tiers.every(({ members }) => members.every((one) => Member.isHopeless(one, this.gate.can(one), now))))
      return undefined
    for (const [tier, { members }] of this.tiers.entries()) {
      const member = Member.leastBad(
        members.filter((one) => this.gate.can(one) && Member.isEjected(one, now) && this.gate.allows(one, now)),
        now
      )
      if (member === undefined) continue
      this.panicked = true
      this.state = { ...state, tier }
      return this.attempt({ tier, member, kind: "call", isPanic: true })
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

  /** Asks a member, and perhaps another one beside it; goes on with the next when nobody answers. */
  private attempt(first: Ask): Answer {
    const now = this.clock.currentTimeMillisUnsafe()
    const refused = this.refused(now)
    if (refused !== undefined) return Effect.fail(this.final(refused, undefined, now))
    const { hedge } = first.member
    if (hedge !== undefined && !this.hedged.has(hedge)) {
      this.hedged.add(hedge)
      HedgeState.request(hedge)
    }
    const isHedged = hedge !== undefined && first.isPanic !== true && this.rescuing === undefined
    const delay = isHedged ? HedgeState.delay(hedge, this.requestFor(first, now).stream, now) : undefined
    const primary = this.ask(first)
    const asked =
      delay === undefined ? primary : Hedge.race({ delay, primary, backup: () => this.backup(first, hedge) })
    return Effect.matchEffect(asked, {
      onSuccess: (won) => {
        const loser = won.member === first.member ? first.beside : first.member
        // Who lost counts as tried, although it did not fail.
        if (first.beside !== undefined && loser !== undefined && !this.state.failures.has(loser.id))
          this.state = Failover.lost(this.state, loser)
        return this.answered(won)
      },
      onFailure: () => this.step()
    })
  }

  /** What forbids another attempt, if anything does. */
  private refused(now: number): LlmError.LlmError | undefined {
    const { deadline } = this.request
    const { cause } = this.state
    if (deadline !== undefined && now >= deadline)
      return LlmError.make({
        reason: { _tag: "DeadlineExceeded" },
        detail: cause === undefined ? undefined : `before that ${cause.message}`
      })
    const out = this.request.budget.exhausted()
    if (out !== undefined) return cause ?? LlmError.make({ reason: { _tag: "BudgetExhausted", of: out } })
    return this.attempts > 0 && cause !== undefined && this.engine.retryBudget?.retry(now) === false ? cause : undefined
  }

  /** Another member of the tier, when one may be asked beside a slow first one. */
  private backup(
    first: Ask,
    hedge: HedgeState.State | undefined
  ): Effect.Effect<Won, LlmError.LlmError, Scope.Scope> | undefined {
    if (hedge === undefined || first.hasOutput === true) return undefined
    const now = this.clock.currentTimeMillisUnsafe()
    const { deadline } = this.request
    if (this.request.budget.exhausted() !== undefined || (deadline !== undefined && now >= deadline)) return undefined
    // The first one counts as tried, although it has not ended.
    const { attemptsInTier, triedInTier } = this.state
    const tier = this.tier(first.tier)
    const tried = triedInTier.includes(first.member.id) ? triedInTier.length : triedInTier.length + 1
    if (attemptsInTier + 1 > tier.maxRetries || tried >= tier.maxInstances) return undefined
    const fresh = Failover.fresh(tier, this.state, this.gate.availability(now)).filter(
      (index) => tier.members[index] !== first.member
    )
    if (fresh.length === 0 || !HedgeState.take(hedge)) return undefined
    const member = this.choose(first.tier, fresh, now)
    first.beside = member
    return this.ask({
      tier: first.tier,
      member,
      kind: "hedge",
      onBounced: () => HedgeState.giveBack(hedge)
    })
  }

  /** Asks a member. That it failed is known before the error is heard. */
  private ask(ask: Ask): Effect.Effect<Won, LlmError.LlmError, Scope.Scope> {
    const { member } = ask
    const request = this.requestFor(ask, this.clock.currentTimeMillisUnsafe())
    let isBounced = false
    let asked = 0
    return Effect.mapError(
      Attempt.open({}, (attempt) => {
        this.attempts += 1
        asked = this.request.recorder.size()
        const isGone =
          ask.isPanic === true
            ? !this.beginPanic(attempt)
            : this.gate.availability(this.clock.currentTimeMillisUnsafe())(member) !== "ready"
        if (isGone || !this.gate.reserve(member, attempt)) {
          isBounced = true
          ask.onBounced?.()
          return Effect.fail(LlmError.make({ reason: { _tag: "NoCapacity" } }))
        }
        this.engine.registry?.lifecycle.track(attempt)
        attempt.onFirstOutput(() => {
          ask.hasOutput = true
        })
        if (member.hedge !== undefined && ask.kind === "call")
          Hedge.observe(member.hedge, attempt, this.clock, request.stream)
        Member.enter(member, attempt, this.clock, this.random, request)
        return Effect.map(
          member.llm.call({ ...request, attempt }),
          (reply): Won => ({ attempt: reply.attempt, reply, member, request })
        )
      }),
      (error) => {
        // An error with a route has been through policies of its own.
        const kind =
          error.route === undefined ? "instance" : this.request.recorder.size() === asked ? "passed_over" : "composite"
        if (!isBounced)
          this.state = Failover.failed(this.state, member, error, this.clock.currentTimeMillisUnsafe(), kind)
        return error
      }
    )
  }

  /** A reply that is streamed on goes on elsewhere when it breaks, if its group says so. */
  private answered({ member, reply, request }: Won): Answer {
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
          if (this.broken?.error !== error) {
            const now = this.clock.currentTimeMillisUnsafe()
            this.broken = { error, state: Failover.failed(this.state, this.answering ?? member, error, now) }
            this.state = this.broken.state
          }
          // The next instance goes on; the one that broke only when nobody else can.
          const { id } = this.answering ?? member
          const { state } = this.broken
          this.aside = { id, tier: state.tier }
          // What other policies have tried for it counts; what they have met does not hold for this one.
          const failed = Failover.moveTo({ ...state, byTier: this.state.byTier }, state.tier)
          this.state = { ...failed, spent: [...failed.spent, id] }
          this.request = next
          this.rescuing = mode
          this.gate.mustResume = mode === "resume"
          this.share = undefined
          return Effect.map(this.step(), (taken) => ({ ...taken, instance: (this.answering ?? member).id }))
        })
    })
  }

  /** The request as its echelon wants it: defaults filled, clocks set, a share of the deadline. */
  private requestFor({ kind, member, tier }: Ask, now: number): LlmRequest.LlmRequest {
    const { commit, embedding, metadata, stream } = this.request
    const { timeout: _, ...own } = metadata
    const clocks = Clocks.withCaller(member.clocks, own)
    const streamed = stream || (member.upstream === "stream" && embedding === undefined)
    return {
      ...LlmRequest.withDefaults(this.request, member.settings),
      clocks,
      stream: streamed,
      commit: commit === "finish" ? commit : (metadata.commit ?? member.commit),
      echelon: member.echelon,
      kind,
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
      this.tiersLeft(tier, end, now),
      this.limits.maxTiers - tiersTried + (attemptsInTier > 0 ? 1 : 0)
    )
    this.share = { tier, end: left <= 1 ? firstOutputBy : now + (end - now) / left }
    return this.share.end
  }

  /** This tier, and those after it with somebody else who can be asked in time. */
  private tiersLeft(tier: number, end: number, now: number): number {
    const availability = this.gate.availability(now)
    const seen = new Set(this.tier(tier).members)
    let left = 1
    for (const { members } of this.tiers.slice(tier + 1)) {
      const isAny = members.some((member) => {
        if (seen.has(member)) return false
        const can = availability(member)
        return can === "ready" || (can !== "out" && can.until < end)
      })
      if (isAny) left += 1
    }
    return left
  }

  private wait(member: Member.Member, now: number): Effect.Effect<number> {
    const known = this.waits.get(member)
    if (known !== undefined) return known(now)
    return Effect.flatMap(Backoff.waits(member.backoff), (next) => {
      this.waits.set(member, next)
      return next(now)
    })
  }

  private final(error: LlmError.LlmError, retryAt: number | undefined, now: number): LlmError.LlmError {
    return LlmError.update(error, { route: this.request.recorder.snapshot(now), retryAt: retryAt ?? error.retryAt })
  }
}

const closed = (): LlmError.LlmError => LlmError.make({ reason: { _tag: "NoCapacity" }, detail: "shutting down" })
