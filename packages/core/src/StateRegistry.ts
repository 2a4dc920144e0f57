/**
 * The state of a running plan, by name: what outlives a change of the plan.
 *
 * An instance that stays the same keeps its cooldown, its latencies and its count of calls; a circuit keeps where
 * it stands, a limit its level, a queue those who wait. What a new plan says of them is taken on in place. What it
 * does not name any more is forgotten here and lives on with the requests that hold it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Scheduler from "effect/Scheduler"
import * as AdmissionQueue from "./AdmissionQueue.ts"
import type * as Attempt from "./Attempt.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import * as Cooldown from "./Cooldown.ts"
import * as HedgeState from "./HedgeState.ts"
import * as InstanceState from "./InstanceState.ts"
import * as Lifecycle from "./Lifecycle.ts"
import * as Observe from "./Observe.ts"
import type * as Plan from "./Plan.ts"
import * as RateLimit from "./RateLimit.ts"
import * as RateLimiter from "./RateLimiter.ts"
import * as RetryBudget from "./RetryBudget.ts"
import * as Sessions from "./Sessions.ts"
import type * as StateChange from "./StateChange.ts"

/**
 * What a rate limit is configured on.
 *
 * @since 0.1.0
 * @category models
 */
export type Owner = "pool" | "echelon" | "instance"

/** What a pool remembers between requests. */
interface PoolState {
  readonly plan: Plan.Pool
  readonly budget: RetryBudget.RetryBudget
  readonly sessions: Sessions.Sessions
}

/** A kept thing, and the part of the plan that it was made of. */
interface Kept<Options, A> {
  readonly options: Options
  readonly value: A
}

/**
 * Whom a rate limit of the instance holds for: `limit_scope` of its provider.
 *
 * @since 0.1.0
 * @category getters
 */
export const limitKey = ({ alias, credential, provider }: Plan.Instance): string => {
  switch (provider.limitScope) {
    case "model":
      return `${provider.name}/${credential.name}/${alias}`
    case "credential":
      return `${provider.name}/${credential.name}`
    case "provider":
      return provider.name
  }
}

/** What makes it the same instance: another key, address or model is another one, about which nothing is known. */
const identity = ({ credential, model, provider }: Plan.Instance) => ({
  kind: provider.kind,
  baseUrl: provider.baseUrl,
  auth: provider.auth,
  authName: provider.authName,
  key: credential.key,
  secrets: credential.secrets,
  headers: provider.headers,
  query: provider.query,
  organization: provider.organization,
  project: provider.project,
  apiVersion: provider.apiVersion,
  deployment: provider.deployment,
  region: provider.region,
  model: model.model
})

const breakerKey = (group: string, instance: string): string => JSON.stringify([group, instance])

/**
 * The registry. The interpreter fills it, and gives it each new plan; `Control` reads and changes it.
 *
 * @since 0.1.0
 * @category models
 */
export class StateRegistry {
  readonly lifecycle = new Lifecycle.Lifecycle()
  /** Who hears of requests, and who may refuse them. */
  readonly observers = new Observe.Observers()
  /** Who is taken out, and who is put first, by instance name. */
  private readonly drained = new Set<string>()
  private readonly pinned = new Set<string>()
  private readonly clock: Clock.Clock
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private readonly context: Context.Context<never>
  private root: Plan.Root | undefined
  private readonly cooldowns = new Map<string, InstanceState.Cell>()
  private readonly states = new Map<string, Kept<Plan.Instance, InstanceState.InstanceState>>()
  private readonly reports = new Map<string, RateLimiter.RateLimiter>()
  private readonly circuits = new Map<string, CircuitBreaker.CircuitBreaker>()
  /** What the latest plan limits. */
  private specs: ReadonlyMap<string, ReadonlyArray<RateLimit.Spec>> = new Map()
  private readonly limiters = new Map<string, RateLimiter.RateLimiter>()
  private readonly hedges = new Map<string, Kept<Plan.Hedge, HedgeState.State>>()
  private readonly pools = new Map<string, PoolState>()
  private readonly repeaters = new Set<() => void>()
  private readonly queues = new Map<string, AdmissionQueue.AdmissionQueue>()
  private readonly listeners = new Set<(change: StateChange.StateChange) => void>()

  constructor(context: Context.Context<never>) {
    this.context = context
    this.clock = Context.get(context, Clock.Clock)
    this.dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
  }

  now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  /** The plan of now; `undefined` before the first. */
  plan(): Plan.Root | undefined {
    return this.root
  }

  // Listening.

  readonly emit = (change: StateChange.StateChange): void => {
    for (const listener of [...this.listeners]) listener(change)
  }

  /** Listens until the returned function is called. Listeners must not throw. */
  listen(listener: (change: StateChange.StateChange) => void): () => void {
    this.listeners.add(listener)
    return () => void this.listeners.delete(listener)
  }

  // What a plan names. Each is made at the first asking, as the latest plan says.

  instance(plan: Plan.Instance): InstanceState.InstanceState {
    const { name } = plan
    const known = this.states.get(name)
    if (known !== undefined && Equal.equals(identity(known.options), identity(plan))) return known.value
    const value = InstanceState.make({
      cooldown: this.cooldown(plan),
      maxCooldown: plan.provider.maxCooldown,
      isDrained: () => this.drained.has(name),
      onCooldown: (until, at) => this.emit({ _tag: "Cooldown", instance: name, until, at })
    })
    this.states.set(name, { options: plan, value })
    return value
  }

  private cooldown(plan: Plan.Instance): InstanceState.Cell {
    const key = limitKey(plan)
    const found = this.cooldowns.get(key) ?? { current: Cooldown.none }
    this.cooldowns.set(key, found)
    return found
  }

  /** What a provider's headers said of its limits. */
  reported(plan: Plan.Instance): RateLimiter.RateLimiter {
    const key = limitKey(plan)
    const found = this.reports.get(key) ?? RateLimiter.make([], { name: key })
    this.reports.set(key, found)
    return found
  }

  /** One breaker per instance in a group, whichever pool or group reaches it. */
  breaker(group: Plan.TaskGroup, instance: string): CircuitBreaker.CircuitBreaker {
    const key = breakerKey(group.name, instance)
    const known = this.circuits.get(key)
    if (known !== undefined) return known
    const made = CircuitBreaker.make((this.root?.groups[group.name] ?? group).fallback.breaker)
    made.onTransition((change) => this.emit({ _tag: "Breaker", group: group.name, instance, ...change }))
    this.circuits.set(key, made)
    return made
  }

  limiter(owner: Owner, name: string, specs: ReadonlyArray<RateLimit.Spec>): RateLimiter.RateLimiter {
    const key = `${owner} ${name}`
    const known = this.limiters.get(key)
    if (known !== undefined) return known
    // Without limits it counts all the same, so that one set later knows of what runs.
    const made = RateLimiter.make(this.specs.get(key) ?? specs, { name })
    // A slot that is free again may be what somebody waits for.
    made.onFreed = () => {
      for (const wake of this.repeaters) {
        this.repeaters.delete(wake)
        // Never within the end of an attempt, of which others have not heard yet.
        return this.dispatcher.scheduleTask(wake, 0)
      }
      for (const queue of this.queues.values()) queue.unpark()
    }
    this.limiters.set(key, made)
    return made
  }

  hedge(named: Plan.Echelon): HedgeState.State | undefined {
    const latest = this.root?.groups[named.group]?.echelons.find((echelon) => echelon.name === named.name)
    const { hedge } = latest ?? named
    if (hedge === undefined) return undefined
    const key = `${named.group}.${named.name}`
    const known = this.hedges.get(key)
    if (known !== undefined && Equal.equals(known.options, hedge)) return known.value
    const value = HedgeState.make(hedge)
    this.hedges.set(key, { options: hedge, value })
    return value
  }

  pool(named: Plan.Pool): Omit<PoolState, "plan"> {
    const plan = this.root?.pools[named.name] ?? named
    const known = this.pools.get(plan.name)
    const isSame = <K extends "retryBudget" | "sticky">(key: K) =>
      known !== undefined && Equal.equals(known.plan[key], plan[key])
    const state: PoolState = {
      plan,
      budget: known !== undefined && isSame("retryBudget") ? known.budget : RetryBudget.make(plan.retryBudget),
      sessions: known !== undefined && isSame("sticky") ? known.sessions : Sessions.make({ ttl: plan.sticky.ttl })
    }
    this.pools.set(plan.name, state)
    return state
  }

  queue(plan: Plan.Wrapper): Effect.Effect<AdmissionQueue.AdmissionQueue> {
    return Effect.suspend(() => {
      const known = this.queues.get(plan.name)
      if (known !== undefined) return Effect.succeed(known)
      const { maxConcurrentRequests, queueSize, tenants } = this.root?.wrappers[plan.name] ?? plan
      return Effect.map(
        Effect.provideContext(AdmissionQueue.make({ maxConcurrentRequests, queueSize, tenants }), this.context),
        (made) => {
          this.queues.set(plan.name, made)
          return made
        }
      )
    })
  }

  /** Waits until a slot of some limit is freed: who repeats an attempt comes before those who begin. */
  readonly freed: Effect.Effect<void> = Effect.callback((resume) => {
    const wake = () => resume(Effect.void)
    this.repeaters.add(wake)
    return Effect.sync(() => void this.repeaters.delete(wake))
  })

  // Reading.

  /** The state of an instance that a plan names. */
  state(instance: string): InstanceState.InstanceState | undefined {
    return this.states.get(instance)?.value
  }

  breakersOf(instance: string): ReadonlyArray<{
    readonly group: string
    readonly breaker: CircuitBreaker.CircuitBreaker
  }> {
    return [...this.circuits].flatMap(([key, breaker]) => {
      const [group, name] = JSON.parse(key) as [string, string]
      return name === instance ? [{ group, breaker }] : []
    })
  }

  isDrained(instance: string): boolean {
    return this.drained.has(instance)
  }

  isPinned(instance: string): boolean {
    return this.pinned.has(instance)
  }

  hasPins(): boolean {
    return this.pinned.size > 0
  }

  findLimiter(owner: Owner, name: string): RateLimiter.RateLimiter | undefined {
    return this.limiters.get(`${owner} ${name}`)
  }

  findQueue(wrapper: string): AdmissionQueue.AdmissionQueue | undefined {
    return this.queues.get(wrapper)
  }

  // Changing.

  drain(instance: string, is: boolean): void {
    if (this.drained.has(instance) === is) return
    if (is) this.drained.add(instance)
    else this.drained.delete(instance)
    this.emit({ _tag: "Drained", instance, isDrained: is, at: this.now() })
    if (!is) this.wake()
  }

  pin(instance: string, is: boolean): void {
    if (this.pinned.has(instance) === is) return
    if (is) this.pinned.add(instance)
    else this.pinned.delete(instance)
    this.emit({ _tag: "Pinned", instance, isPinned: is, at: this.now() })
  }

  /** Forgets what is known of an instance, or of all; what somebody forced, drained or pinned stays. */
  reset(instance: string | undefined): void {
    const now = this.now()
    for (const [name, { value }] of this.states) if (instance === undefined || name === instance) value.reset()
    for (const [key, breaker] of this.circuits) {
      if (instance === undefined || (JSON.parse(key) as [string, string])[1] === instance) breaker.reset(now)
    }
    this.emit({ _tag: "Reset", instance, at: now })
    this.wake()
  }

  /** Lets all who wait for capacity look again. */
  private wake(): void {
    for (const queue of this.queues.values()) {
      for (let parked = queue.snapshot().parked; parked > 0; parked--) queue.unpark()
    }
  }

  /** Takes on another plan. */
  apply(root: Plan.Root): void {
    const now = this.now()
    const same = new Map<string, Plan.Instance>()
    const scopes = new Set<string>()
    for (const [name, { options }] of this.states) {
      const next = root.instances[name]
      if (next === undefined || !Equal.equals(identity(options), identity(next))) continue
      same.set(name, next)
      scopes.add(limitKey(next))
    }
    // What a limit's scope is known for holds while one of those under it is the same.
    for (const known of [this.cooldowns, this.reports]) {
      for (const key of known.keys()) if (!scopes.has(key)) known.delete(key)
    }
    for (const [name, { value }] of this.states) {
      const next = same.get(name)
      if (next === undefined) continue
      value.resize({ maxCooldown: next.provider.maxCooldown, cooldown: this.cooldown(next) })
      this.states.set(name, { options: next, value })
    }
    for (const name of this.states.keys()) {
      if (same.has(name)) continue
      // Nothing that was known holds for another one of that name.
      this.states.delete(name)
      for (const { breaker } of this.breakersOf(name)) breaker.reset(now)
      if (root.instances[name] !== undefined) continue
      this.drained.delete(name)
      this.pinned.delete(name)
    }
    for (const [key, breaker] of this.circuits) {
      const [name, instance] = JSON.parse(key) as [string, string]
      const group = root.groups[name]
      const isNamed = group?.echelons.some((echelon) => echelon.instances.includes(instance)) === true
      if (group === undefined || !isNamed) this.circuits.delete(key)
      else {
        breaker.resize(group.fallback.breaker)
        // Whoever changed the plan may have mended the credential.
        if (breaker.outBecause() === "credential") breaker.reset(now)
      }
    }
    this.specs = specsOf(root)
    for (const [key, limiter] of this.limiters) {
      const next = this.specs.get(key)
      if (next !== undefined) RateLimiter.resize(limiter, next, now)
      // What runs on an older plan is counted by it, and the next plan may name it again.
      else if (this.lifecycle.inFlight() === 0) this.limiters.delete(key)
    }
    for (const [name, queue] of this.queues) {
      const next = root.wrappers[name]
      if (next !== undefined) queue.resize(next)
      else {
        queue.close()
        this.queues.delete(name)
      }
    }
    for (const name of this.pools.keys()) if (root.pools[name] === undefined) this.pools.delete(name)
    const echelons = Object.values(root.groups).flatMap((group) => group.echelons)
    const hedged = new Set(echelons.map((echelon) => `${echelon.group}.${echelon.name}`))
    for (const name of this.hedges.keys()) if (!hedged.has(name)) this.hedges.delete(name)
    const isChange = this.root !== undefined
    this.root = root
    if (!isChange) return
    this.emit({ _tag: "Swapped", at: now })
    this.wake()
  }

  /** Admits nobody any more, and turns away who waits. */
  startDraining(): void {
    if (this.lifecycle.phase !== "open") return
    this.lifecycle.phase = "draining"
    for (const queue of this.queues.values()) queue.close()
    this.emit({ _tag: "Phase", phase: "draining", at: this.now() })
  }

  /** Ends what still runs. */
  endAll(outcome: () => Attempt.Outcome): void {
    this.lifecycle.endAll(outcome)
    this.emit({ _tag: "Phase", phase: "closed", at: this.now() })
  }
}

/** The limits that a plan configures, by owner. */
const specsOf = (root: Plan.Root): ReadonlyMap<string, ReadonlyArray<RateLimit.Spec>> => {
  const found = new Map<string, ReadonlyArray<RateLimit.Spec>>()
  for (const { model, name } of Object.values(root.instances)) {
    found.set(`instance ${name}`, RateLimit.ofLimits(model.limits))
  }
  for (const { echelons } of Object.values(root.groups)) {
    for (const { group, limits, name } of echelons) found.set(`echelon ${group}.${name}`, RateLimit.ofLimits(limits))
  }
  for (const { name, rateLimit } of Object.values(root.pools)) {
    found.set(`pool ${name}`, rateLimit === undefined ? [] : RateLimit.ofPool(rateLimit))
  }
  return found
}

/**
 * Makes an empty registry. It takes the clock and the scheduler of where it is made.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<StateRegistry> = Effect.map(
  Effect.context<never>(),
  (context) => new StateRegistry(context)
)
