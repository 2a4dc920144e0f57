/**
 * The route of a request as events of its span: who was passed over and why, who was asked instead of whom, and what
 * a failure left behind.
 *
 * @since 0.1.0
 */
import type * as Observation from "./Observation.ts"
import type * as Plan from "./Plan.ts"
import type * as Route from "./Route.ts"
import type * as StateChange from "./StateChange.ts"
import type * as StateRegistry from "./StateRegistry.ts"
import * as TaskGroup from "./TaskGroup.ts"

/**
 * An event of a span.
 *
 * @since 0.1.0
 * @category models
 */
export interface Event {
  readonly name: string
  readonly attributes: Readonly<Record<string, unknown>>
}

/** Never more for one request: a long route has attempts enough to be read. */
const most = { passedOver: 16, looked: 256, recent: 16 } as const

/** An echelon that a request may come to; a lower rank comes first. */
interface Reached {
  readonly group: Plan.TaskGroup
  readonly echelon: Plan.Echelon
  readonly rank: number
}

const nameOf = ({ echelon, group }: Reached): string => `${group.name}.${echelon.name}`

/** The echelons that a request may come to, in the order in which it does. */
const reach = (root: Plan.Root, { group, pool }: Observation.Observation): ReadonlyArray<Reached> => {
  const of = (from: Plan.TaskGroup | undefined): ReadonlyArray<Reached> =>
    from === undefined ? [] : from.echelons.map((echelon) => ({ group: from, echelon, rank: echelon.priority }))
  if (pool !== undefined) return (root.pools[pool]?.taskGroups ?? []).flatMap((name) => of(root.groups[name]))
  if (group === undefined) return []
  const all = Object.values(root.groups).flatMap(of)
  const owner = root.groups[group] ?? all.find((one) => nameOf(one) === group)?.group
  const first = root.groups[group] === undefined ? group.slice((owner?.name.length ?? 0) + 1) : owner?.echelons[0]?.name
  if (owner === undefined || first === undefined) return []
  return TaskGroup.chain(owner, first).flatMap((name, rank) => {
    const found = all.find((one) => nameOf(one) === name)
    return found === undefined ? [] : [{ ...found, rank }]
  })
}

/** Where an attempt was made, after which one. */
const places = (before: Route.Open, entry: Route.Open) => ({
  "echelon.from": before.instance,
  "echelon.to": entry.instance,
  ...(entry.echelon === undefined ? {} : { "echelon.echelon": entry.echelon })
})

/**
 * Why an attempt is made, when it is not the first: `echelon.failover`, `echelon.hedge` or `echelon.resume`.
 *
 * **Details** `echelon.failover.kind` is `repeat` (the same instance), `instance_rotation` (another one of its echelon)
 * or `echelon_down`. An attempt that begins after the caller got the first output goes on for one that broke.
 *
 * @since 0.1.0
 * @category getters
 */
export const next = (
  { attempts, committedAt }: Observation.Observation,
  entry: Route.Open,
  isResumed: boolean
): Event | undefined => {
  const before = attempts[attempts.length - 2]
  if (before === undefined || entry.kind === "cache" || entry.kind === "coalesced") return undefined
  if (entry.kind === "hedge") return { name: "echelon.hedge", attributes: places(before, entry) }
  const reason = before.reason === undefined ? undefined : { "error.type": before.reason }
  if (committedAt !== undefined)
    return {
      name: "echelon.resume",
      attributes: { ...places(before, entry), ...reason, "echelon.resume.mode": isResumed ? "resume" : "restart" }
    }
  const kind =
    before.instance === entry.instance
      ? "repeat"
      : before.echelon === entry.echelon
        ? "instance_rotation"
        : "echelon_down"
  return {
    name: "echelon.failover",
    attributes: { ...places(before, entry), ...reason, "echelon.failover.kind": kind }
  }
}

/**
 * Follows who is out. While nobody is, it has nothing to look for.
 *
 * @since 0.1.0
 * @category models
 */
export class Watch {
  private readonly registry: StateRegistry.StateRegistry
  /** Who is out, by what put it out, and until when. */
  private readonly out = new Map<string, { readonly instance: string; readonly until: number }>()
  /** What an attempt that ends now has changed: that is told just before its end is. */
  private recent: Array<StateChange.StateChange & { readonly _tag: "Breaker" | "Cooldown" }> = []
  private reached: { readonly root: Plan.Root; readonly by: Map<string, ReadonlyArray<Reached>> } | undefined

  constructor(registry: StateRegistry.StateRegistry) {
    this.registry = registry
  }

  readonly hear = (change: StateChange.StateChange): void => {
    switch (change._tag) {
      case "Breaker": {
        const key = `breaker ${change.group} ${change.instance}`
        if (change.to === "closed" || change.to === "forced_closed") this.out.delete(key)
        else this.out.set(key, { instance: change.instance, until: Number.POSITIVE_INFINITY })
        this.note(change)
        return
      }
      case "Cooldown":
        this.out.set(`cooldown ${change.instance}`, change)
        this.note(change)
        return
      case "Drained":
        if (change.isDrained)
          this.out.set(`drained ${change.instance}`, { instance: change.instance, until: Number.POSITIVE_INFINITY })
        else this.out.delete(`drained ${change.instance}`)
        return
      case "Swapped": {
        const instances = this.registry.plan()?.instances ?? {}
        for (const [key, { instance }] of this.out) if (!Object.hasOwn(instances, instance)) this.out.delete(key)
        this.reached = undefined
        return
      }
      default:
        return
    }
  }

  private note(change: (typeof this.recent)[number]): void {
    if (this.recent.length === most.recent) this.recent.shift()
    this.recent.push(change)
  }

  /** What came before now was no attempt's that ends from now on. */
  forget(): void {
    if (this.recent.length > 0) this.recent = []
  }

  /** What the end of an attempt has changed for others: `echelon.cooldown`, `echelon.breaker`. */
  left(entry: Route.Open): ReadonlyArray<Event> {
    if (this.recent.length === 0) return []
    const { recent } = this
    this.recent = []
    // What changed at another time was changed by somebody else.
    const own = recent.filter(
      ({ at, instance }) => instance === entry.instance && Math.abs((entry.endedAt ?? at) - at) <= 1
    )
    return own.map((change) =>
      change._tag === "Cooldown"
        ? {
            name: "echelon.cooldown",
            attributes: { "echelon.instance": change.instance, "echelon.cooldown": (change.until - change.at) / 1_000 }
          }
        : {
            name: "echelon.breaker",
            attributes: {
              "echelon.instance": change.instance,
              "echelon.group": change.group,
              "echelon.breaker.state": change.to
            }
          }
    )
  }

  /**
   * Who was passed over on the way to an echelon, or to none: `echelon.passed_over`. What was told up to a rank before
   * is not told again.
   */
  passedOver(
    observation: Observation.Observation,
    echelon: string | undefined,
    after: number,
    now: number
  ): { readonly events: ReadonlyArray<Event>; readonly rank: number } {
    for (const [key, { until }] of this.out) if (until <= now) this.out.delete(key)
    if (this.out.size === 0) return { events: [], rank: after }
    const all = this.reach(observation)
    const rank = echelon === undefined ? Number.POSITIVE_INFINITY : all.find((one) => nameOf(one) === echelon)?.rank
    if (rank === undefined || rank <= after) return { events: [], rank: after }
    const events: Array<Event> = []
    let looked = 0
    for (const one of all) {
      if (one.rank <= after || one.rank > rank) continue
      for (const instance of one.echelon.instances) {
        looked += 1
        if (looked > most.looked || events.length === most.passedOver) return { events, rank }
        const why = this.why(one.group, instance, now)
        if (why === undefined || observation.attempts.some((attempt) => attempt.instance === instance)) continue
        const attributes = { "echelon.instance": instance, "echelon.echelon": nameOf(one), ...why }
        events.push({ name: "echelon.passed_over", attributes })
      }
    }
    return { events, rank }
  }

  private reach(observation: Observation.Observation): ReadonlyArray<Reached> {
    const root = this.registry.plan()
    if (root === undefined) return []
    if (this.reached?.root !== root) this.reached = { root, by: new Map() }
    const { by } = this.reached
    // Only what is planned is named by a pool or a group, so that the map is bounded.
    const key = `${observation.pool ?? ""}\n${observation.group ?? ""}`
    const found = by.get(key) ?? reach(root, observation)
    by.set(key, found)
    return found
  }

  private why(
    group: Plan.TaskGroup,
    instance: string,
    now: number
  ): Readonly<Record<string, string | number>> | undefined {
    const state = this.registry.state(instance)
    if (state === undefined) return undefined
    if (this.registry.isDrained(instance)) return { "echelon.reason": "drained" }
    const able = state.availability(now)
    if (able !== "ready" && able !== "out")
      return { "echelon.reason": "cooldown", "echelon.cooldown": (able.until - now) / 1_000 }
    if (!this.out.has(`breaker ${group.name} ${instance}`)) return undefined
    return this.registry.breaker(group, instance).availability(now) === "ready"
      ? undefined
      : { "echelon.reason": "breaker" }
  }
}
