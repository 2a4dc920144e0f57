/**
 * The one interpreter: turns a plan into `Llm`s.
 *
 * Everything is built when it is first asked for and then kept, so that a program that uses one pool of a large
 * tree starts fast. Instances, and their state, are shared by all pools and groups that name them.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Persistence from "effect/persistence/Persistence"
import * as Scope from "effect/Scope"
import * as Admission from "./Admission.ts"
import * as Clients from "./Clients.ts"
import * as Coalesce from "./Coalesce.ts"
import * as InstanceFactory from "./InstanceFactory.ts"
import type * as InstanceState from "./InstanceState.ts"
import type * as Llm from "./Llm.ts"
import * as LlmError from "./LlmError.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import * as Member from "./Member.ts"
import * as Nearest from "./Nearest.ts"
import type * as Observation from "./Observation.ts"
import * as Observe from "./Observe.ts"
import type * as Plan from "./Plan.ts"
import * as Pool from "./Pool.ts"
import * as RateLimit from "./RateLimit.ts"
import type * as RateLimiter from "./RateLimiter.ts"
import * as ReplyCache from "./ReplyCache.ts"
import type * as RequestKey from "./RequestKey.ts"
import type * as StateRegistry from "./StateRegistry.ts"
import * as TaskGroup from "./TaskGroup.ts"
import * as Tiers from "./Tiers.ts"
import * as TokenCounter from "./TokenCounter.ts"
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

const cacheMode = (request: LlmRequest.LlmRequest): RequestKey.Mode => request.metadata.cache ?? "default"

const priceOf = (prices: Plan.Model["prices"]): number | undefined =>
  prices === undefined ? undefined : prices.input + prices.output

/**
 * Interprets a root. What instances keep open lives in the scope; what is known between requests lives in the
 * registry, and may outlive it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  root: Plan.Root,
  registry: StateRegistry.StateRegistry
): Effect.Effect<Interpretation, never, InstanceFactory.InstanceFactory | Clients.Clients | Scope.Scope> =>
  Effect.gen(function* () {
    const factory = yield* InstanceFactory.InstanceFactory
    const clients = yield* Clients.Clients
    const scope = yield* Scope.Scope
    const counters = yield* TokenCounter.TokenCounter

    registry.apply(root)
    const store = Option.match(yield* Effect.serviceOption(Persistence.Persistence), {
      onNone: () => ReplyCache.layerMemory,
      onSome: (kept) => Layer.succeed(Persistence.Persistence, kept)
    })
    const states = new Map(
      Object.entries(root.instances).map(([name, instance]) => [name, registry.instance(instance)] as const)
    )

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

    const limitersOf = (plan: Plan.Instance, echelon?: Plan.Echelon): ReadonlyArray<RateLimiter.RateLimiter> => {
      const own = registry.limiter("instance", plan.name, RateLimit.ofLimits(plan.model.limits))
      const shared =
        echelon === undefined
          ? undefined
          : registry.limiter("echelon", `${echelon.group}.${echelon.name}`, RateLimit.ofLimits(echelon.limits))
      return [shared, own, registry.reported(plan)].filter((limiter) => limiter !== undefined)
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
            breaker: registry.breaker(group, name),
            limiters: limitersOf(plan, echelon),
            reported: registry.reported(plan),
            hedge: registry.hedge(echelon),
            counter: yield* counters.of(plan),
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

    const observed = (llm: Llm.Llm, kind: Observation.Target["kind"], name: string, plan?: Plan.Wrapper): Llm.Llm =>
      Observe.make(llm, registry.observers, {
        target: { kind, name },
        isMeasured: plan?.metrics,
        isAlerting: plan?.alerting
      })

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
        const all = yield* Tiers.make({
          id: reference,
          rotation: echelon.rotation,
          tiers,
          maxTiers: owner.fallback.maxAttempts,
          maxTotalAttempts: owner.fallback.maxTotalAttempts,
          whenEmpty: whenEmpty(
            reference,
            walked.map(([from]) => from)
          ),
          registry
        })
        return observed(all, "group", reference)
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
        const limiter = registry.limiter(
          "pool",
          name,
          plan.rateLimit === undefined ? [] : RateLimit.ofPool(plan.rateLimit)
        )
        const { budget, sessions } = registry.pool(plan)
        const totals = groups.flatMap((from) => from.fallback.maxTotalAttempts ?? [])
        const tiers = yield* Tiers.make({
          id: name,
          rotation: plan.rotation,
          tiers: Pool.merge(echelons, plan),
          maxTiers: plan.fallback.strategy === "none" ? 1 : undefined,
          maxTotalAttempts: totals.length === 0 ? undefined : Math.min(...totals),
          whenEmpty: whenEmpty(name, groups),
          limiters: [limiter],
          retryBudget: budget,
          sessions,
          registry,
          maxEjected: plan.fallback.maxEjected,
          panic: true,
          slowStart: plan.slowStart,
          sticky: plan.sticky
        })
        // Above retries and limits, so that what is shared or known spends none; a hit needs no shared call.
        const shared = plan.coalesce ? yield* Coalesce.make(tiers, { mode: cacheMode }) : tiers
        if (plan.cache === undefined) return observed(shared, "pool", name)
        const cached = ReplyCache.make(shared, { ...plan.cache, mode: cacheMode, storeId: `echelon_replies_${name}` })
        return observed(yield* Effect.provide(Scope.provide(cached, scope), store), "pool", name)
      })
    )

    const wrapper = yield* lookup("wrapper", Object.keys(root.wrappers), (name) => {
      const plan = root.wrappers[name] as Plan.Wrapper
      const target = plan.target.kind === "pool" ? pool(plan.target.name) : group(plan.target.name)
      return Effect.map(Effect.all([target, registry.queue(plan)]), ([llm, admission]) =>
        // The deadline is set above the queue, so that waiting counts against it.
        observed(
          Wrapper.make(Admission.withQueue(llm, admission), {
            id: name,
            requestTimeout: plan.requestTimeout === undefined ? undefined : Duration.millis(plan.requestTimeout)
          }),
          "wrapper",
          name,
          plan
        )
      )
    })

    // A direct call to a planned instance heeds, and tells, what all know of it.
    const directs = new WeakMap<Llm.Llm, Llm.Llm>()
    const direct = (llm: Llm.Llm): Effect.Effect<Llm.Llm> => {
      const plan = root.instances[llm.id]
      const known = directs.get(llm)
      if (plan === undefined || known !== undefined) return Effect.succeed(known ?? llm)
      const made = Effect.flatMap(counters.of(plan), (counter) => {
        const member = Member.make(llm, {
          state: states.get(llm.id),
          limiters: limitersOf(plan),
          reported: registry.reported(plan),
          counter
        })
        return Tiers.make({
          id: llm.id,
          rotation: "priority",
          tiers: [{ members: [member], maxRetries: 0, maxInstances: 1 }],
          registry
        })
      })
      return Effect.tap(made, (guarded) => Effect.sync(() => directs.set(llm, guarded)))
    }

    return {
      root,
      wrapper,
      pool,
      group,
      instance,
      client: (provider, model) =>
        Effect.map(Effect.flatMap(clients.get(root, provider, model), direct), (llm) =>
          observed(llm, "client", llm.id)
        ),
      state: (name) => states.get(name)
    }
  })
