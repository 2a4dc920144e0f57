/**
 * What is read when it is asked for: how full, how long, in which state. Nothing is spent on it before.
 *
 * @since 0.1.0
 */
import type * as CircuitBreaker from "./CircuitBreaker.ts"
import type * as CircuitBreakerState from "./CircuitBreakerState.ts"
import type * as MetricNames from "./MetricNames.ts"
import type * as MetricSeries from "./MetricSeries.ts"
import type * as Plan from "./Plan.ts"
import * as RateLimit from "./RateLimit.ts"
import * as RateLimiter from "./RateLimiter.ts"
import type * as StateChange from "./StateChange.ts"
import type * as StateRegistry from "./StateRegistry.ts"

/**
 * One value, and how it is read now.
 *
 * @since 0.1.0
 * @category models
 */
export interface Gauge {
  readonly name: MetricNames.NameOf<"gauge">
  readonly labels: MetricSeries.Labels
  readonly read: () => number
}

/**
 * What is known of health, from the changes that were told.
 *
 * @since 0.1.0
 * @category models
 */
export interface Health {
  readonly instances: ReadonlyMap<string, StateChange.HealthStatus>
  readonly providers: ReadonlyMap<string, boolean>
}

const breakerValue: Record<CircuitBreakerState.Status, number> = {
  closed: 0,
  forced_closed: 0,
  half_open: 0.5,
  open: 1,
  forced_open: 1
}

const healthValue: Record<StateChange.HealthStatus, number | undefined> = {
  healthy: 1,
  degraded: 0.5,
  unhealthy: 0,
  unknown: undefined
}

const instances = (root: Plan.Root, registry: StateRegistry.StateRegistry, health: Health): ReadonlyArray<Gauge> =>
  Object.values(root.instances).flatMap((plan): ReadonlyArray<Gauge> => {
    const { model, name, provider } = plan
    const labels: MetricSeries.Labels = {
      "echelon.instance": name,
      "echelon.provider": provider.name,
      "gen_ai.request.model": model.model
    }
    const cooldown = (): number => {
      const until = registry.state(name)?.cooldown().until ?? 0
      return Math.max(0, until - registry.now()) / 1_000
    }
    const status = () => healthValue[health.instances.get(name) ?? "unknown"]
    const known = status()
    return [
      { name: "echelon.instance.in_flight", labels, read: () => registry.state(name)?.inFlight() ?? 0 },
      { name: "echelon.instance.cooldown", labels, read: cooldown },
      { name: "echelon.instance.drained", labels, read: () => (registry.isDrained(name) ? 1 : 0) },
      ...(known === undefined
        ? []
        : [{ name: "echelon.instance.health" as const, labels, read: () => status() ?? known }])
    ]
  })

const breakers = (root: Plan.Root, registry: StateRegistry.StateRegistry): ReadonlyArray<Gauge> =>
  Object.values(root.groups).flatMap((group) =>
    [...new Set(group.echelons.flatMap((echelon) => echelon.instances))]
      .filter((name) => root.instances[name] !== undefined)
      .map((name): Gauge => {
        let found: CircuitBreaker.CircuitBreaker | undefined
        return {
          name: "echelon.breaker.state",
          labels: { "echelon.group": group.name, "echelon.instance": name },
          // A breaker is there from its first use on.
          read: () => {
            found ??= registry.breakersOf(name).find((one) => one.group === group.name)?.breaker
            return found === undefined ? 0 : breakerValue[found.snapshot(registry.now()).state]
          }
        }
      })
  )

const limits = (
  registry: StateRegistry.StateRegistry,
  owner: StateRegistry.Owner,
  name: string,
  specs: ReadonlyArray<RateLimit.Spec>
): ReadonlyArray<Gauge> =>
  specs.flatMap((spec): ReadonlyArray<Gauge> => {
    const labels: MetricSeries.Labels = {
      "echelon.limit.owner": owner,
      "echelon.limit": spec.name,
      "echelon.limit.source": "configured",
      [`echelon.${owner}`]: name
    }
    const most = spec._tag === "TokenBucket" ? spec.bucketSize : spec.limit
    const level = () => {
      const limiter = registry.findLimiter(owner, name)
      if (limiter === undefined) return undefined
      return RateLimiter.snapshot(limiter, registry.now()).find((one) => one.name === `${name}.${spec.name}`)
    }
    return [
      { name: "echelon.limit.remaining", labels, read: () => level()?.left ?? most },
      { name: "echelon.limit.size", labels, read: () => level()?.limit ?? most }
    ]
  })

/** What a provider's headers said: there only once they have said it, and for as long as it holds. */
const reported = (plan: Plan.Instance, registry: StateRegistry.StateRegistry): ReadonlyArray<Gauge> => {
  const levels = () => RateLimiter.snapshot(registry.reported(plan), registry.now()).filter((one) => one.isReported)
  return levels().flatMap((first): ReadonlyArray<Gauge> => {
    const labels: MetricSeries.Labels = {
      "echelon.limit.owner": "instance",
      "echelon.limit": first.of,
      "echelon.limit.source": "reported",
      "echelon.instance": plan.name
    }
    const level = () => levels().find((one) => one.name === first.name) ?? first
    const size = first.limit
    return [
      { name: "echelon.limit.remaining", labels, read: () => level().left },
      ...(size === undefined
        ? []
        : [{ name: "echelon.limit.size" as const, labels, read: () => level().limit ?? size }])
    ]
  })
}

/**
 * Everything that can be read of a plan as it stands.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (root: Plan.Root, registry: StateRegistry.StateRegistry, health: Health): ReadonlyArray<Gauge> => [
  { name: "echelon.requests.active", labels: {}, read: () => registry.lifecycle.inFlight() },
  ...Object.values(root.wrappers).flatMap(({ metrics, name }): ReadonlyArray<Gauge> => {
    if (!metrics) return []
    const labels: MetricSeries.Labels = { "echelon.wrapper": name }
    return [
      { name: "echelon.queue.depth", labels, read: () => registry.findQueue(name)?.snapshot().waiting ?? 0 },
      { name: "echelon.queue.running", labels, read: () => registry.findQueue(name)?.snapshot().running ?? 0 }
    ]
  }),
  ...instances(root, registry, health),
  ...[...health.providers.keys()].map(
    (name): Gauge => ({
      name: "echelon.provider.down",
      labels: { "echelon.provider": name },
      read: () => (health.providers.get(name) === true ? 1 : 0)
    })
  ),
  ...breakers(root, registry),
  ...Object.values(root.pools).flatMap(({ name, rateLimit }) =>
    limits(registry, "pool", name, RateLimit.ofPool(rateLimit))
  ),
  ...Object.values(root.groups).flatMap(({ echelons }) =>
    echelons.flatMap((one) => limits(registry, "echelon", `${one.group}.${one.name}`, RateLimit.ofLimits(one.limits)))
  ),
  ...Object.values(root.instances).flatMap((one) => [
    ...limits(registry, "instance", one.name, RateLimit.ofLimits(one.model.limits)),
    ...reported(one, registry)
  ])
]
