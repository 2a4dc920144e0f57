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
import * as InstanceState from "./InstanceState.ts"
import type * as Llm from "./Llm.ts"
import * as LlmError from "./LlmError.ts"
import type * as LlmReply from "./LlmReply.ts"
import * as LlmRequest from "./LlmRequest.ts"
import type * as Plan from "./Plan.ts"
import * as Plans from "./Plans.ts"
import * as Selection from "./Selection.ts"

/**
 * A member that can be asked, with what its echelon says of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Member extends Failover.Member {
  readonly llm: Llm.Llm
  readonly state: InstanceState.InstanceState
  readonly weight: number
  readonly priority: number
  /** `group.echelonN`. */
  readonly echelon: string | undefined
  readonly clocks: Clocks.Clocks
  /** Fills what the request left open. */
  readonly settings: LlmRequest.Settings
  readonly upstream: "as_asked" | "stream"
  readonly commit: LlmRequest.Commit
  readonly backoff: Backoff.Options
}

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly id: string
  readonly tiers: ReadonlyArray<Failover.Tier<Member>>
  readonly rotation: Plan.Rotation
  /** Tiers in which a request may make an attempt. @default all */
  readonly maxTiers?: number | undefined
  /** Attempts of one request through all tiers. @default unlimited */
  readonly maxTotalAttempts?: number | undefined
  /** Said when no tier has a member: what the operator can do. */
  readonly whenEmpty?: string | undefined
}

/**
 * What `member` needs beyond the `Llm`; the rest has the defaults of a configuration that says nothing.
 *
 * @since 0.1.0
 * @category models
 */
export type MemberOptions = Partial<Omit<Member, "llm" | "id">>

const { fallback } = Plans.defaults

/**
 * Makes a member of an `Llm`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const member = (llm: Llm.Llm, options: MemberOptions = {}): Member => ({
  id: llm.id,
  llm,
  model: options.model ?? llm.id,
  contextWindow: options.contextWindow ?? llm.capabilities.contextWindow,
  maxRetryAfterWait: options.maxRetryAfterWait ?? fallback.maxRetryAfterWait,
  contentPolicyFallback: options.contentPolicyFallback ?? fallback.contentPolicyFallback,
  state: options.state ?? InstanceState.make(),
  weight: options.weight ?? 1,
  priority: options.priority ?? 1,
  echelon: options.echelon,
  clocks: options.clocks ?? Clocks.defaults,
  settings: options.settings ?? {},
  upstream: options.upstream ?? Plans.defaults.echelon.upstream,
  commit: options.commit ?? fallback.commit,
  backoff: options.backoff ?? {
    base: Duration.millis(fallback.retryDelay),
    cap: Duration.millis(fallback.retryMaxDelay)
  }
})

/** What all requests of one engine share: the rotation's memory of each tier. */
interface Engine extends Options {
  readonly memories: Array<Selection.Memory>
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
    const engine: Engine = { ...options, memories: options.tiers.map((tier) => Selection.memory(tier.members.length)) }
    return {
      id: options.id,
      capabilities: Capability.unknown,
      call: (request) =>
        Effect.flatMap(Clock.Clock, (clock) =>
          Effect.suspend(() => {
            if (options.maxTotalAttempts !== undefined) request.budget.limit(options.maxTotalAttempts)
            return new Walk(engine, { ...request, attempt: undefined }, clock).step()
          })
        )
    }
  })

type Answer = Effect.Effect<LlmReply.LlmReply, LlmError.LlmError, Scope.Scope>

/** One request on its way through the tiers. */
class Walk {
  private readonly engine: Engine
  private readonly request: LlmRequest.LlmRequest
  private readonly clock: Clock.Clock
  private readonly needs: ReadonlyArray<Capability.Capability>
  private readonly limits: Failover.Limits
  private state: Failover.State = Failover.initial
  private waits = new Map<Member, (now: number) => Effect.Effect<number>>()

  constructor(engine: Engine, request: LlmRequest.LlmRequest, clock: Clock.Clock) {
    this.engine = engine
    this.request = request
    this.clock = clock
    this.needs = LlmRequest.needs(request)
    this.limits = { maxTiers: engine.maxTiers ?? engine.tiers.length }
  }

  step(): Answer {
    const now = this.clock.currentTimeMillisUnsafe()
    const [decision, state] = Failover.decide(this.engine.tiers, this.limits, this.state, this.availability(now), now)
    this.state = state
    switch (decision._tag) {
      case "Stop":
        return Effect.fail(this.stopped(decision.cause, decision.retryAt, now))
      case "Pick":
        return this.pick(decision.tier, decision.members)
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
            Effect.suspend(() => this.attempt(decision.tier, member))
          )
        })
      }
    }
  }

  private member(tier: number, index: number): Member {
    const member = this.engine.tiers[tier]?.members[index]
    if (member === undefined) throw new RangeError(`Tiers: no member ${index} in tier ${tier} of ${this.engine.id}`)
    return member
  }

  private availability(now: number): (member: Failover.Member) => Failover.Availability {
    const needs = this.needs
    return (member) => {
      const { llm, state } = member as Member
      if (needs.length > 0 && Capability.missing(llm.capabilities, needs).length > 0) return "out"
      return state.availability(now)
    }
  }

  private pick(tier: number, indices: ReadonlyArray<number>): Answer {
    return Effect.flatMap(Random.Random, (random) => {
      const candidates = indices.map((index): Selection.Candidate => {
        const { priority, state, weight } = this.member(tier, index)
        return { index, weight, priority, inFlight: state.inFlight() }
      })
      const memory = this.engine.memories[tier] as Selection.Memory
      const [picked, remembered] = Selection.pick(this.engine.rotation, candidates, memory, () =>
        random.nextDoubleUnsafe()
      )
      this.engine.memories[tier] = remembered
      return this.attempt(tier, this.member(tier, picked?.index ?? 0))
    })
  }

  private attempt(tier: number, member: Member): Answer {
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
    const taken = this.request.budget.take()
    if (taken !== "taken") {
      const exhausted = LlmError.make({ reason: { _tag: "BudgetExhausted", of: taken } })
      return Effect.fail(this.final(this.state.cause ?? exhausted, undefined, now))
    }
    const request = this.requestFor(tier, member, now)
    return Effect.catch(
      Attempt.open(Attempt.optionsOf(request, member.id), (attempt) => {
        member.state.enter(attempt, this.clock)
        return member.llm.call({ ...request, attempt })
      }),
      (error) => {
        this.state = Failover.failed(this.state, member, error)
        return this.step()
      }
    )
  }

  /** The request as its echelon wants it: defaults filled, clocks set, a share of the deadline. */
  private requestFor(tier: number, member: Member, now: number): LlmRequest.LlmRequest {
    const { commit, deadline, metadata, stream } = this.request
    const { timeout: _, ...own } = metadata
    const clocks = Clocks.withCaller(member.clocks, own)
    const left = Math.min(
      this.engine.tiers.length - tier,
      this.limits.maxTiers - this.state.tiersTried + (this.state.attemptsInTier > 0 ? 1 : 0)
    )
    return {
      ...LlmRequest.withDefaults(this.request, member.settings),
      clocks,
      stream: stream || member.upstream === "stream",
      commit: metadata.commit ?? (member.commit === "finish" ? "finish" : commit),
      echelon: member.echelon,
      firstOutputBy: deadline === undefined || left <= 1 ? undefined : now + (deadline - now) / left
    }
  }

  private wait(member: Member, now: number): Effect.Effect<number> {
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
    return this.final(
      LlmError.make({ reason: { _tag: "NoCapacity", retryAt }, detail: `every instance of ${id} is cooling down` }),
      retryAt,
      now
    )
  }

  private final(error: LlmError.LlmError, retryAt: number | undefined, now: number): LlmError.LlmError {
    return LlmError.update(error, { route: this.request.recorder.snapshot(now), retryAt: retryAt ?? error.retryAt })
  }
}
