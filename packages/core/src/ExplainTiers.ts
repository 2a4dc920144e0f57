/**
 * The tiers of a request to a target, read from a plan as the interpreter reads it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Control from "./Control.ts"
import type * as Explain from "./Explain.ts"
import * as LlmError from "./LlmError.ts"
import * as Member from "./Member.ts"
import * as Nearest from "./Nearest.ts"
import type * as Plan from "./Plan.ts"
import * as Pool from "./Pool.ts"
import type * as Router from "./Router.ts"
import * as TaskGroup from "./TaskGroup.ts"

/**
 * An instance on its place in an echelon; `engine` is absent when it has no credential or is not there.
 *
 * @since 0.1.0
 * @category models
 */
export interface Placed {
  readonly instance: string
  readonly plan: Plan.Instance | undefined
  readonly echelon: Plan.Echelon | undefined
  readonly engine: Member.Member | undefined
}

/**
 * A tier, with those of its echelons that are no members of it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rank {
  readonly echelons: ReadonlyArray<string>
  readonly placed: ReadonlyArray<Placed>
  readonly members: ReadonlyArray<Member.Member>
  readonly maxRetries: number
  readonly maxInstances: number
  readonly isPinned: boolean
}

/**
 * Tiers in the order in which they are tried, and what bounds a request on its way through them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Way {
  readonly through: Explain.Explanation["through"]
  readonly ranks: ReadonlyArray<Rank>
  readonly rotation: Plan.Rotation
  readonly maxTiers: number
  readonly maxTotalAttempts: number | undefined
  readonly pool: Plan.Pool | undefined
  readonly outside: ReadonlyArray<Explain.Outside>
}

/**
 * Looks a name up, whatever prototype the record has.
 *
 * @since 0.1.0
 * @category getters
 */
export const find = <A>(record: Readonly<Record<string, A>>, name: string): A | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined

const unknown = (
  kind: "wrapper" | "pool" | "group" | "model",
  name: string,
  known: ReadonlyArray<string>
): Result.Result<never, LlmError.LlmError> =>
  Result.fail(
    LlmError.make({
      reason: { _tag: "UnknownTarget", kind, name, known },
      detail: `there is no ${kind} "${name}"; ${Nearest.hint(name, known)}`
    })
  )

/**
 * The name of an echelon: `group.echelonN`.
 *
 * @since 0.1.0
 * @category getters
 */
export const nameOf = ({ group, name }: Plan.Echelon): string => `${group}.${name}`

/**
 * An echelon with the group it stands in.
 *
 * @since 0.1.0
 * @category models
 */
export interface Located {
  /** `group.echelonN`. */
  readonly name: string
  readonly group: Plan.TaskGroup
  readonly echelon: Plan.Echelon
}

/**
 * Every echelon by its name.
 *
 * @since 0.1.0
 * @category getters
 */
export const echelons = (root: Plan.Root): ReadonlyMap<string, Located> =>
  new Map(
    Object.values(root.groups).flatMap((group) =>
      group.echelons.map((echelon) => {
        const name = nameOf(echelon)
        return [name, { name, group, echelon }] as const
      })
    )
  )

/** A member as the interpreter makes it, over something that is never called. */
const memberOf = (plan: Plan.Instance, options: Member.Options): Member.Member => {
  const { capabilities, prices } = plan.model
  const call = () => Effect.die(new RangeError(`ExplainTiers: ${plan.name} must not be called`))
  return Member.make(
    { id: plan.name, capabilities, call },
    {
      model: plan.model.model,
      price: prices === undefined ? undefined : prices.input + prices.output,
      weight: plan.model.weight * plan.credential.weight,
      ...options
    }
  )
}

const placedOf = (root: Plan.Root, echelon: Plan.Echelon): ReadonlyArray<Placed> =>
  echelon.instances.map((instance, priority) => {
    const plan = find(root.instances, instance)
    const { clocks } = echelon
    const engine = plan && memberOf(plan, { priority, clocks, echelon: nameOf(echelon) })
    return { instance, plan, echelon, engine }
  })

const present = (placed: ReadonlyArray<Placed>): ReadonlyArray<Member.Member> =>
  placed.flatMap(({ engine }) => engine ?? [])

const poolWay = (root: Plan.Root, name: string): Result.Result<Way, LlmError.LlmError> => {
  const pool = find(root.pools, name)
  if (pool === undefined) return unknown("pool", name, Object.keys(root.pools))
  const groups = pool.taskGroups.flatMap((reference) => find(root.groups, reference) ?? [])
  const echelons = groups
    .flatMap((group) => group.echelons)
    .map((plan) => {
      const placed = placedOf(root, plan)
      return { plan, placed, members: present(placed) }
    })
  const priorities = [...new Set(echelons.map(({ plan }) => plan.priority))].sort((a, b) => a - b)
  const ranks = Pool.merge(echelons, pool).map((tier, i): Rank => {
    const own = echelons.filter(({ plan }) => plan.priority === priorities[i])
    return {
      ...tier,
      echelons: own.map(({ plan }) => nameOf(plan)),
      placed: own.flatMap(({ placed }) => placed),
      isPinned: false
    }
  })
  const totals = groups.flatMap(({ fallback }) => fallback.maxTotalAttempts ?? [])
  return Result.succeed({
    through: { kind: "pool", name },
    ranks,
    rotation: pool.rotation,
    maxTiers: pool.fallback.strategy === "none" ? 1 : ranks.length,
    maxTotalAttempts: totals.length === 0 ? undefined : Math.min(...totals),
    pool,
    outside: []
  })
}

const groupWay = (
  root: Plan.Root,
  reference: string,
  all: ReadonlyMap<string, Located>
): Result.Result<Way, LlmError.LlmError> => {
  const first = find(root.groups, reference)?.echelons[0]
  const start = all.get(first === undefined ? reference : nameOf(first))
  if (start === undefined) return unknown("group", reference, [...Object.keys(root.groups), ...all.keys()])
  const { echelon, group } = start
  const { fallback } = group
  const chain = TaskGroup.chain(group, echelon.name)
  const top = group.echelons[0]
  return Result.succeed({
    through: { kind: "group", name: reference },
    ranks: chain.flatMap((name): ReadonlyArray<Rank> => {
      const plan = all.get(name)?.echelon
      if (plan === undefined) return []
      const placed = placedOf(root, plan)
      const members = present(placed)
      const { maxRetries } = plan
      return [
        { echelons: [name], placed, members, maxRetries, maxInstances: Number.POSITIVE_INFINITY, isPinned: false }
      ]
    }),
    rotation: echelon.rotation,
    maxTiers: fallback.maxAttempts,
    maxTotalAttempts: fallback.maxTotalAttempts,
    pool: undefined,
    outside: group.echelons
      .filter((one) => !chain.includes(nameOf(one)))
      .map((one) => ({
        echelon: nameOf(one),
        instances: one.instances,
        because:
          fallback.strategy === "none"
            ? "no_fallback"
            : one === top || fallback.echelons.includes(nameOf(one))
              ? "before_start"
              : "not_a_fallback"
      }))
  })
}

const clientWay = (
  root: Plan.Root,
  target: Extract<Router.Target, { readonly kind: "client" }>
): Result.Result<Way, LlmError.LlmError> => {
  const provider = find(root.providers, target.provider)
  const aliases = Object.keys(provider?.models ?? {})
  const wanted = target.model ?? provider?.defaultModel ?? aliases[0]
  const alias = aliases.find((one) => one === wanted) ?? aliases.find((one) => provider?.models[one]?.model === wanted)
  if (alias === undefined && (aliases.length > 0 || (provider !== undefined && wanted === undefined)))
    return unknown("model", wanted ?? "", aliases)
  const plan = Object.values(root.instances).find(
    (one) => one.provider.name === target.provider && one.alias === (alias ?? wanted)
  )
  const instance = plan?.name ?? (wanted === undefined ? target.provider : `${target.provider}-${alias ?? wanted}`)
  const engine = plan && memberOf(plan, {})
  return Result.succeed({
    through: { kind: "client", name: instance },
    ranks: [
      {
        echelons: [],
        placed: [{ instance, plan, echelon: undefined, engine }],
        members: engine === undefined ? [] : [engine],
        maxRetries: 0,
        maxInstances: 1,
        isPinned: false
      }
    ],
    rotation: "priority",
    maxTiers: 1,
    maxTotalAttempts: undefined,
    pool: undefined,
    outside: []
  })
}

/**
 * Tiers of the pinned stand before the others: see `TiersEngine.tiersOf`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withPins = (ranks: ReadonlyArray<Rank>, snapshot: Control.Snapshot | undefined): ReadonlyArray<Rank> => {
  const pinned = new Set(snapshot?.instances.flatMap(({ isPinned, name }) => (isPinned ? [name] : [])))
  if (pinned.size === 0) return ranks
  const first = ranks.flatMap((rank): ReadonlyArray<Rank> => {
    const members = rank.members.filter(({ id }) => pinned.has(id))
    const placed = rank.placed.filter(({ engine }) => engine !== undefined && members.includes(engine))
    return members.length === 0 ? [] : [{ ...rank, members, placed, isPinned: true }]
  })
  return [...first, ...ranks]
}

/**
 * The way of a request to a target. `all` is what `echelons` gives, for a caller who asks about many targets.
 *
 * @since 0.1.0
 * @category getters
 */
export const of = (
  root: Plan.Root,
  target: Router.Target,
  all: ReadonlyMap<string, Located> = echelons(root)
): Result.Result<Way, LlmError.LlmError> => {
  switch (target.kind) {
    case "wrapper": {
      const wrapper = find(root.wrappers, target.name)
      return wrapper === undefined
        ? unknown("wrapper", target.name, Object.keys(root.wrappers))
        : of(root, wrapper.target, all)
    }
    case "pool":
      return poolWay(root, target.name)
    case "group":
      return groupWay(root, target.name, all)
    case "client":
      return clientWay(root, target)
  }
}
