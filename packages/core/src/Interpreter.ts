/**
 * The one interpreter: turns a plan into `Llm`s.
 *
 * Everything is built when it is first asked for and then kept, so that a program that uses one pool of a large
 * tree starts fast. Instances, and their state, are shared by all pools and groups that name them.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as RcMap from "effect/RcMap"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Admission from "./Admission.ts"
import * as AdmissionQueue from "./AdmissionQueue.ts"
import * as CircuitBreaker from "./CircuitBreaker.ts"
import * as Clients from "./Clients.ts"
import * as Cooldown from "./Cooldown.ts"
import * as InstanceFactory from "./InstanceFactory.ts"
import * as InstanceState from "./InstanceState.ts"
import type * as Llm from "./Llm.ts"
import * as LlmError from "./LlmError.ts"
import * as Member from "./Member.ts"
import * as Nearest from "./Nearest.ts"
import type * as Plan from "./Plan.ts"
import * as Pool from "./Pool.ts"
import * as RateLimit from "./RateLimit.ts"
import * as RateLimiter from "./RateLimiter.ts"
import * as RetryBudget from "./RetryBudget.ts"
import * as TaskGroup from "./TaskGroup.ts"
import * as Tiers from "./Tiers.ts"
import * as Wrapper from "./Wrapper.ts"

/**
 * A plan come to life. Each lookup fails with `UnknownTarget` and the nearest known names.
 *
 * @since 0.1.0
 * @category models
 */
export interface Interpretation {
  readonly root: Plan.Root
  readonly wrapper: (name: string) => Effect.Effect<Llm.Llm, LlmError.LlmError>
  readonly pool: (name: string) => Effect.Effect<Llm.Llm, LlmError.LlmError>
  /** A group by name, or one of its echelons to start at: `"fast_group.echelon2"`. */
  readonly group: (name: string) => Effect.Effect<Llm.Llm, LlmError.LlmError>
  readonly instance: (name: string) => Effect.Effect<InstanceFactory.Built, LlmError.LlmError>
  readonly client: (provider: string, model: string | undefined) => Effect.Effect<Llm.Llm, LlmError.LlmError>
  /** What is known of an instance between requests. */
  readonly state: (name: string) => InstanceState.InstanceState | undefined
}

const unknown = (kind: "wrapper" | "pool" | "group" | "instance", name: string, known: ReadonlyArray<string>) =>
  LlmError.make({
    reason: { _tag: "UnknownTarget", kind, name, known },
    detail: `there is no ${kind} "${name}"; ${Nearest.hint(name, known)}`
  })

const priceOf = (prices: Plan.Model["prices"]): number | undefined =>
  prices === undefined ? undefined : prices.input + prices.output

/** Whom a rate limit of the instance holds for. */
const limitKey = ({ alias, credential, provider }: Plan.Instance): string => {
  switch (provider.limitScope) {
    case "model":
      return `${provider.name}/${credential.name}/${alias}`
    case "credential":
      return `${provider.name}/${credential.name}`
    case "provider":
      return provider.name
  }
}

/**
 * Cooldowns by whom the limit holds for.
 *
 * @since 0.1.0
 * @category models
 */
export type Cells = Map<string, InstanceState.Cell>

/**
 * Interprets a root. What instances keep open lives in the scope; `cells` lets cooldowns outlive it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  root: Plan.Root,
  cells: Cells = new Map()
): Effect.Effect<Interpretation, never, InstanceFactory.InstanceFactory | Clients.Clients | Scope.Scope> =>
  Effect.gen(function* () {
    const factory = yield* InstanceFactory.InstanceFactory
    const clients = yield* Clients.Clients
    const scope = yield* Scope.Scope

    const states = new Map<string, InstanceState.InstanceState>()
    for (const [name, instance] of Object.entries(root.instances)) {
      const key = limitKey(instance)
      const cooldown = cells.get(key) ?? { current: Cooldown.none }
      cells.set(key, cooldown)
      states.set(name, InstanceState.make({ cooldown, maxCooldown: instance.provider.maxCooldown }))
    }

    const lookup = <A>(
      kind: "wrapper" | "pool" | "group" | "instance",
      names: ReadonlyArray<string>,
      build: (name: string) => Effect.Effect<A, LlmError.LlmError>
    ): Effect.Effect<(name: string) => Effect.Effect<A, LlmError.LlmError>> =>
      Effect.map(
        Effect.forEach(names, (name) => Effect.map(Effect.cached(build(name)), (built) => [name, built] as const)),
        (all) => {
          const built = new Map(all)
          return (name) => built.get(name) ?? Effect.fail(unknown(kind, name, names))
        }
      )

    const instance = yield* lookup("instance", Object.keys(root.instances), (name) =>
      Scope.provide(factory.make(root.instances[name] as Plan.Instance), scope)
    )

    // One breaker per instance in a group, whichever pool or group reaches it.
    const breakers = new Map<string, CircuitBreaker.CircuitBreaker>()
    const breakerOf = (group: Plan.TaskGroup, name: string): CircuitBreaker.CircuitBreaker => {
      const key = `${group.name}/${name}`
      const found = breakers.get(key) ?? CircuitBreaker.make(group.fallback.breaker)
      breakers.set(key, found)
      return found
    }

    // An echelon's limits are shared by its instances, an instance's by all that reach it.
    const limiters = new Map<string, RateLimiter.RateLimiter>()
    const limiterOf = (owner: string, limits: Plan.Limits): RateLimiter.RateLimiter | undefined => {
      const specs = RateLimit.ofLimits(limits)
      if (specs.length === 0) return undefined
      const found = limiters.get(owner) ?? RateLimiter.make(specs, { name: owner })
      limiters.set(owner, found)
      return found
    }

    /** The members of an echelon; instances without a credential are left out. */
    const members = Effect.fnUntraced(function* (echelon: Plan.Echelon, group: Plan.TaskGroup) {
      const { fallback } = group
      const found: Array<Member.Member> = []
      for (const [place, name] of echelon.instances.entries()) {
        const plan = root.instances[name]
        const state = states.get(name)
        if (plan === undefined || state === undefined) continue
        const { llm } = yield* instance(name)
        found.push(
          Member.make(llm, {
            state,
            breaker: breakerOf(group, name),
            limiters: [
              limiterOf(`${group.name}.${echelon.name}`, echelon.limits),
              limiterOf(name, plan.model.limits)
            ].filter((limiter) => limiter !== undefined),
            price: priceOf(plan.model.prices),
            model: plan.model.model,
            contextWindow: plan.model.capabilities.contextWindow,
            weight: plan.model.weight * plan.credential.weight,
            priority: place,
            echelon: `${group.name}.${echelon.name}`,
            clocks: echelon.clocks,
            settings: echelon.settings,
            upstream: echelon.upstream,
            commit: fallback.commit,
            onInterrupt: fallback.onInterrupt,
            maxRetryAfterWait: fallback.maxRetryAfterWait,
            contentPolicyFallback: fallback.contentPolicyFallback,
            backoff: { base: Duration.millis(fallback.retryDelay), cap: Duration.millis(fallback.retryMaxDelay) }
          })
        )
      }
      return found
    })

    const whenEmpty = (id: string, groups: ReadonlyArray<Plan.TaskGroup>): string => {
      const named = groups.flatMap((group) => group.echelons.flatMap((echelon) => echelon.instances))
      const variables = [...new Set(named.flatMap((name) => root.disabled[name] ?? []))]
      return variables.length === 0
        ? `${id} has no instance`
        : `every instance of ${id} is disabled for want of a credential; set ${variables.join(" or ")}`
    }

    const echelonNames = Object.values(root.groups).flatMap((group) =>
      group.echelons.map((echelon) => `${group.name}.${echelon.name}`)
    )
    const echelonOf = (reference: string): readonly [Plan.TaskGroup, Plan.Echelon] | undefined => {
      for (const group of Object.values(root.groups)) {
        const echelon = group.echelons.find((candidate) => `${group.name}.${candidate.name}` === reference)
        if (echelon !== undefined) return [group, echelon]
      }
      return undefined
    }

    const group = yield* lookup(
      "group",
      [...Object.keys(root.groups), ...echelonNames],
      Effect.fnUntraced(function* (reference: string) {
        const whole = root.groups[reference]
        const first = whole?.echelons[0]
        const start = whole !== undefined && first !== undefined ? ([whole, first] as const) : echelonOf(reference)
        if (start === undefined) return yield* Effect.fail(unknown("group", reference, Object.keys(root.groups)))
        const [owner, echelon] = start
        const walked = TaskGroup.chain(owner, echelon.name).flatMap((name) => {
          const found = echelonOf(name)
          return found === undefined ? [] : [found]
        })
        const tiers = yield* Effect.forEach(walked, ([from, plan]) =>
          Effect.map(members(plan, from), (found) => ({
            members: found,
            maxRetries: plan.maxRetries,
            maxInstances: Number.POSITIVE_INFINITY
          }))
        )
        return yield* Tiers.make({
          id: reference,
          rotation: echelon.rotation,
          tiers,
          maxTiers: owner.fallback.maxAttempts,
          maxTotalAttempts: owner.fallback.maxTotalAttempts,
          whenEmpty: whenEmpty(
            reference,
            walked.map(([from]) => from)
          )
        })
      })
    )

    const pool = yield* lookup(
      "pool",
      Object.keys(root.pools),
      Effect.fnUntraced(function* (name: string) {
        const plan = root.pools[name] as Plan.Pool
        const groups = plan.taskGroups.flatMap((reference) => root.groups[reference] ?? [])
        const echelons = yield* Effect.forEach(
          groups.flatMap((from) => from.echelons.map((echelon) => [from, echelon] as const)),
          ([from, echelon]) => Effect.map(members(echelon, from), (found) => ({ plan: echelon, members: found }))
        )
        const totals = groups.flatMap((from) => from.fallback.maxTotalAttempts ?? [])
        return yield* Tiers.make({
          id: name,
          rotation: plan.rotation,
          tiers: Pool.merge(echelons, plan),
          maxTiers: plan.fallback.strategy === "none" ? 1 : undefined,
          maxTotalAttempts: totals.length === 0 ? undefined : Math.min(...totals),
          whenEmpty: whenEmpty(name, groups),
          limiters: plan.rateLimit === undefined ? [] : [RateLimiter.make(RateLimit.ofPool(plan.rateLimit), { name })],
          retryBudget: RetryBudget.make(plan.retryBudget),
          maxEjected: plan.fallback.maxEjected,
          panic: true,
          slowStart: plan.slowStart,
          sticky: plan.sticky
        })
      })
    )

    const wrapper = yield* lookup("wrapper", Object.keys(root.wrappers), (name) => {
      const plan = root.wrappers[name] as Plan.Wrapper
      const target = plan.target.kind === "pool" ? pool(plan.target.name) : group(plan.target.name)
      const queue = AdmissionQueue.make({
        maxConcurrentRequests: plan.maxConcurrentRequests,
        queueSize: plan.queueSize,
        tenants: plan.tenants
      })
      return Effect.map(Effect.all([target, queue]), ([llm, admission]) =>
        // The deadline is set above the queue, so that waiting counts against it.
        Wrapper.make(Admission.withQueue(llm, admission), {
          id: name,
          requestTimeout: plan.requestTimeout === undefined ? undefined : Duration.millis(plan.requestTimeout)
        })
      )
    })

    // A direct call to a planned instance heeds, and tells, what all know of it.
    const directs = new WeakMap<Llm.Llm, Llm.Llm>()
    const direct = (llm: Llm.Llm): Effect.Effect<Llm.Llm> => {
      const plan = root.instances[llm.id]
      const known = directs.get(llm)
      if (plan === undefined || known !== undefined) return Effect.succeed(known ?? llm)
      const own = limiterOf(llm.id, plan.model.limits)
      const member = Member.make(llm, { state: states.get(llm.id), limiters: own === undefined ? [] : [own] })
      const made = Tiers.make({
        id: llm.id,
        rotation: "priority",
        tiers: [{ members: [member], maxRetries: 0, maxInstances: 1 }]
      })
      return Effect.tap(made, (guarded) => Effect.sync(() => directs.set(llm, guarded)))
    }

    return {
      root,
      wrapper,
      pool,
      group,
      instance,
      client: (provider, model) => Effect.flatMap(clients.get(root, provider, model), direct),
      state: (name) => states.get(name)
    }
  })

/**
 * The interpretation that requests use, and its change.
 *
 * **Details** A request holds the one it started with in its scope; an old one closes when the last request that
 * holds it has ended. Cooldowns outlive a change.
 *
 * @since 0.1.0
 * @category services
 */
export class Interpreter extends Context.Service<
  Interpreter,
  {
    readonly current: Effect.Effect<Interpretation, never, Scope.Scope>
    /** Lets new requests use another plan. */
    readonly swap: (root: Plan.Root) => Effect.Effect<void>
  }
>()("@echelon/core/Interpreter") {
  /** Interprets a plan. */
  static readonly layer = (
    root: Plan.Root
  ): Layer.Layer<Interpreter, never, InstanceFactory.InstanceFactory | Clients.Clients> =>
    Layer.effect(Interpreter, makeInterpreter(root))
}

const makeInterpreter = Effect.fnUntraced(function* (first: Plan.Root) {
  const cells: Cells = new Map()
  const roots = new Map<number, Plan.Root>()
  const generations = yield* RcMap.make({
    lookup: (generation: number) => {
      const root = roots.get(generation)
      return root === undefined
        ? Effect.die(new RangeError(`Interpreter: no generation ${generation}`))
        : Effect.ensuring(
            make(root, cells),
            Effect.sync(() => roots.delete(generation))
          )
    }
  })
  const scope = yield* Scope.Scope
  let latest = -1
  let hold: Scope.Closeable | undefined
  const swap = Effect.fnUntraced(function* (root: Plan.Root) {
    const next = yield* Scope.fork(scope)
    const generation = latest + 1
    roots.set(generation, root)
    yield* Scope.provide(RcMap.get(generations, generation), next)
    const previous = hold
    latest = generation
    hold = next
    if (previous !== undefined) yield* Scope.close(previous, Exit.void)
  }, Semaphore.makeUnsafe(1).withPermit)
  yield* swap(first)
  return Interpreter.of({ current: Effect.suspend(() => RcMap.get(generations, latest)), swap })
})

/**
 * An `Llm` that looks itself up anew for each call, so that whoever keeps it follows a change. The name must be
 * known now.
 *
 * @since 0.1.0
 * @category combinators
 */
export const following = (
  current: Effect.Effect<Interpretation, never, Scope.Scope>,
  id: string,
  lookup: (interpretation: Interpretation) => Effect.Effect<Llm.Llm, LlmError.LlmError>
): Effect.Effect<Llm.Llm, LlmError.LlmError> =>
  Effect.map(Effect.scoped(Effect.flatMap(current, lookup)), ({ capabilities }) => ({
    id,
    capabilities,
    call: (request) => Effect.flatMap(Effect.flatMap(current, lookup), (llm) => llm.call(request))
  }))
