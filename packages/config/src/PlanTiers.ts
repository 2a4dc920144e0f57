/**
 * The tiers that requests go through, read from a plan: what `check` and the worst case reason about.
 *
 * @since 0.1.0
 */
import type * as Plan from "@echelon/core/Plan"
import * as TaskGroup from "@echelon/core/TaskGroup"

/**
 * Who is asked: a wrapper, a pool, a group, or one of a group's echelons (`fast_group.echelon2`) as a group.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target {
  readonly kind: "wrapper" | "pool" | "group"
  readonly name: string
}

/**
 * An echelon with the group it stands in.
 *
 * @since 0.1.0
 * @category models
 */
export interface Placed {
  /** `group.echelonN`. */
  readonly name: string
  readonly group: Plan.TaskGroup
  readonly echelon: Plan.Echelon
}

/**
 * The way of a request: tiers in the order in which they are tried, and what bounds it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Walk {
  /** Echelons of equal rank, tier by tier. */
  readonly tiers: ReadonlyArray<ReadonlyArray<Placed>>
  /** Tiers in which an attempt may be made; one that is passed over does not count. */
  readonly maxTiers: number
  /** Different instances of a tier. */
  readonly maxInstances: number
  readonly maxTotalAttempts: number | undefined
}

/**
 * Looks a name up, whatever prototype the record has.
 *
 * @since 0.1.0
 * @category getters
 */
export const find = <A>(record: Readonly<Record<string, A>>, name: string): A | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined

/**
 * Every echelon by `group.echelonN`.
 *
 * @since 0.1.0
 * @category getters
 */
export const echelons = (plan: Plan.Root): ReadonlyMap<string, Placed> =>
  new Map(
    Object.values(plan.groups).flatMap((group) =>
      group.echelons.map((echelon) => {
        const name = `${group.name}.${echelon.name}`
        return [name, { name, group, echelon }] as const
      })
    )
  )

/**
 * The way through a group, from its first echelon or from the one named.
 *
 * @since 0.1.0
 * @category getters
 */
export const ofGroup = (
  plan: Plan.Root,
  reference: string,
  all: ReadonlyMap<string, Placed> = echelons(plan)
): Walk | undefined => {
  const whole = find(plan.groups, reference)
  const first = whole?.echelons[0]
  const start = whole !== undefined && first !== undefined ? all.get(`${whole.name}.${first.name}`) : all.get(reference)
  if (start === undefined) return undefined
  const { maxAttempts, maxTotalAttempts } = start.group.fallback
  return {
    tiers: TaskGroup.chain(start.group, start.echelon.name).flatMap((name) => {
      const placed = all.get(name)
      return placed === undefined ? [] : [[placed]]
    }),
    maxTiers: maxAttempts,
    maxInstances: Number.POSITIVE_INFINITY,
    maxTotalAttempts
  }
}

/**
 * The way through a pool: the echelons of its groups, merged by priority.
 *
 * @since 0.1.0
 * @category getters
 */
export const ofPool = (plan: Plan.Root, pool: Plan.Pool): Walk => {
  const groups = pool.taskGroups.flatMap((name) => find(plan.groups, name) ?? [])
  const tiers = new Map<number, Array<Placed>>()
  for (const group of groups) {
    for (const echelon of group.echelons) {
      const rank = tiers.get(echelon.priority) ?? []
      rank.push({ name: `${group.name}.${echelon.name}`, group, echelon })
      tiers.set(echelon.priority, rank)
    }
  }
  const isNone = pool.fallback.strategy === "none"
  const totals = groups.flatMap(({ fallback }) => fallback.maxTotalAttempts ?? [])
  return {
    tiers: [...tiers].sort(([a], [b]) => a - b).map(([, rank]) => rank),
    maxTiers: isNone ? 1 : Number.POSITIVE_INFINITY,
    maxInstances: isNone ? 1 : pool.fallback.maxInstanceAttempts,
    maxTotalAttempts: totals.length === 0 ? undefined : totals.reduce((a, b) => Math.min(a, b))
  }
}

/**
 * The way of a request to a target; `undefined` when there is no such target.
 *
 * @since 0.1.0
 * @category getters
 */
export const of = (plan: Plan.Root, target: Target): Walk | undefined => {
  switch (target.kind) {
    case "wrapper": {
      const wrapper = find(plan.wrappers, target.name)
      return wrapper === undefined ? undefined : of(plan, wrapper.target)
    }
    case "pool": {
      const pool = find(plan.pools, target.name)
      return pool === undefined ? undefined : ofPool(plan, pool)
    }
    case "group":
      return ofGroup(plan, target.name)
  }
}
