/**
 * Checks of who names whom: what is unknown, never reached, going in a circle, used by nobody, said twice or hidden by another name.
 *
 * @since 0.1.0
 */
import * as ExplainTiers from "@echelon/core/ExplainTiers"
import * as Nearest from "@echelon/core/Nearest"
import type * as Plan from "@echelon/core/Plan"
import * as CheckContext from "./CheckContext.ts"
import * as Names from "./Names.ts"
import type * as Origin from "./Origin.ts"
import type * as PlanTiers from "./PlanTiers.ts"
import * as Wording from "./Wording.ts"

type Check = (context: CheckContext.Context) => void

/** Names that nothing has. Compiling reports those of files, so only a plan made in code has any. */
const checkReferences: Check = (context) => {
  const { declared, echelons, fail, path, plan } = context
  const look = (key: Origin.Path, what: string, name: string | undefined, known: Iterable<string>): void => {
    const names = [...known]
    if (name === undefined || names.includes(name)) return
    fail("reference", key, `unknown ${what} "${name}"; ${Nearest.hint(name, Names.shown(context.tree, names))}`)
  }
  const instances = [...declared.keys(), ...Object.keys(plan.disabled)]
  for (const placed of echelons.values()) {
    const key = [...context.echelonPath(placed), "models"]
    for (const name of placed.echelon.instances) look(key, "instance", name, instances)
  }
  for (const { fallback, name } of Object.values(plan.groups)) {
    const key = [...path("groups", name), "fallback_config", "fallback_groups"]
    for (const target of fallback.echelons) look(key, "echelon", target, echelons.keys())
  }
  for (const { name, taskGroups } of Object.values(plan.pools)) {
    const key = [...path("polling_pools", name), "task_groups"]
    for (const group of taskGroups) look(key, "task group", group, Object.keys(plan.groups))
  }
  for (const { name, target } of Object.values(plan.wrappers)) {
    const isPool = target.kind === "pool"
    const key = [...path("wrappers", name), "default_config", isPool ? "pool_name" : "group_name"]
    if (isPool) look(key, "pool", target.name, Object.keys(plan.pools))
    else look(key, "task group", target.name, [...Object.keys(plan.groups), ...echelons.keys()])
  }
  const { defaultPool, defaultProvider, defaultWrapper } = plan.routing
  look(["routing", "default_wrapper"], "wrapper", defaultWrapper, Object.keys(plan.wrappers))
  look(["routing", "default_pool"], "pool", defaultPool, Object.keys(plan.pools))
  look(["routing", "default_provider"], "provider", defaultProvider, Object.keys(plan.providers))
}

/** Echelons that no request reaches unless it names them, and those reached only when others are passed over. */
const checkReached: Check = ({ groupWalks, path, plan, poolWalks, warn }) => {
  const reached = new Set<string>()
  for (const { tiers } of [...groupWalks.values(), ...poolWalks.values()]) {
    for (const { name } of tiers.flat()) reached.add(name)
  }
  for (const group of Object.values(plan.groups)) {
    const at = [...path("groups", group.name), "fallback_config"]
    const { maxAttempts, strategy } = group.fallback
    const lost = group.echelons.map(({ name }) => `${group.name}.${name}`).filter((name) => !reached.has(name))
    const first = group.echelons[0]?.name
    if (lost.length > 0) {
      const message =
        strategy === "none"
          ? `with "none" only ${first} answers a request to ${group.name}, and no pool or fallback_groups reaches ${Wording.list(lost)}`
          : `${Wording.list(lost)} of this group: not among them, in no pool and no other group's fallback_groups, so never reached`
      warn("unreachable", [[...at, strategy === "none" ? "strategy" : "fallback_groups"]], message)
    }
    const chain = groupWalks.get(group.name)?.tiers.flat() ?? []
    if (maxAttempts < chain.length) {
      const cut = chain.slice(maxAttempts).map(({ name }) => name)
      const message = `${maxAttempts} of ${chain.length} echelons may be tried: ${Wording.list(cut)} only when one before is passed over (full, cooling or put out by its breaker)`
      warn("unreachable", [[...at, "max_attempts"]], message)
    }
  }
  for (const pool of Object.values(plan.pools)) {
    const tiers = poolWalks.get(pool.name)?.tiers ?? []
    if (pool.fallback.strategy !== "none" || tiers.length < 2) continue
    const cut = tiers.slice(1).flatMap((rank) => rank.map(({ name }) => name))
    const message = `with "none" a request is tried in one tier: ${Wording.list(cut)} only when the tiers before are passed over (full, cooling or put out by breakers)`
    warn("unreachable", [[...path("polling_pools", pool.name), "fallback_config", "strategy"]], message)
  }
}

/** The shortest way from one group to another along `fallback_groups`, both included. */
const wayTo = (
  edges: ReadonlyMap<string, ReadonlySet<string>>,
  from: string,
  to: string
): ReadonlyArray<string> | undefined => {
  const seen = new Set([from])
  let ends: ReadonlyArray<ReadonlyArray<string>> = [[from]]
  while (ends.length > 0) {
    const found = ends.find((way) => way.at(-1) === to)
    if (found !== undefined) return found
    ends = ends.flatMap((way) => {
      const fresh = [...(edges.get(way.at(-1) ?? "") ?? [])].filter((name) => !seen.has(name))
      for (const name of fresh) seen.add(name)
      return fresh.map((name) => [...way, name])
    })
  }
  return undefined
}

/** Groups that fall back on one another. It is no error: a request follows one list, and tries an echelon once. */
const checkCycles: Check = (context) => {
  const { echelons, path, plan, warn } = context
  const edges = new Map(
    Object.values(plan.groups).map(({ fallback, name }) => {
      const named = fallback.strategy === "none" ? [] : fallback.echelons
      const groups = named.flatMap((echelon) => echelons.get(echelon)?.group.name ?? [])
      return [name, new Set(groups.filter((group) => group !== name))] as const
    })
  )
  const told = new Set<string>()
  for (const [name, nexts] of edges) {
    const list = [...path("groups", name), "fallback_config", "fallback_groups"]
    for (const next of nexts) {
      const way = wayTo(edges, next, name)
      if (way === undefined) continue
      const id = JSON.stringify([...way].sort())
      if (told.has(id)) continue
      told.add(id)
      const index = CheckContext.textsAt(context, list).findIndex(
        (text) => text === next || echelons.get(text)?.group.name === next
      )
      const at = index < 0 ? list : CheckContext.itemPath(context, list, index)
      const message = `cyclic fallback: ${[name, ...way].join(" -> ")}; no request goes round, since only the list of the group that was called is followed`
      warn("cycle", [at], message)
    }
  }
}

/** Models that no echelon names. A provider's default model is there for direct calls. */
const checkUsed: Check = ({ echelons, path, plan, warn }) => {
  // Without a group all calls are direct.
  if (echelons.size === 0) return
  const named = new Set([...echelons.values()].flatMap(({ echelon }) => echelon.instances))
  for (const provider of Object.values(plan.providers)) {
    const own = Object.values(plan.instances).filter((instance) => instance.provider.name === provider.name)
    const unused = own.filter(({ name }) => !named.has(name))
    if (unused.length === 0) continue
    const at = path("provider", provider.name)
    if (unused.length === own.length) {
      if (plan.routing.defaultProvider === provider.name) continue
      warn("unused", [at], "no echelon names an instance of this provider; only direct calls reach it")
      continue
    }
    const spare = unused.filter(({ alias }) => alias !== provider.defaultModel)
    if (spare.length === 0) continue
    const names = spare.map(({ name }) => name)
    const message = `no echelon names ${Wording.list(names)}; only direct calls reach ${names.length === 1 ? "it" : "them"}`
    warn("unused", [[...at, "models", spare[0]?.alias ?? ""]], message)
  }
}

/** Names that another name hides. */
const checkShadowed: Check = ({ echelons, path, plan, warn }) => {
  const { defaultPool, defaultWrapper } = plan.routing
  if (defaultWrapper !== undefined && defaultPool !== undefined) {
    const message = `never used: requests that name no target go to the default_wrapper "${defaultWrapper}"`
    warn("shadowed", [["routing", "default_pool"]], message)
  }
  const hidden = (kind: "polling_pools" | "groups", name: string, by: string, prefix: string): void => {
    const at = path(kind, name)
    const message = `${by} "${name}" has the same name, and wins where only a name is given; write "${prefix}:${name}" there`
    warn("shadowed", [[...at, "name"], at], message)
  }
  for (const name of Object.keys(plan.pools)) {
    if (ExplainTiers.find(plan.wrappers, name) !== undefined) hidden("polling_pools", name, "the wrapper", "pool")
  }
  for (const name of Object.keys(plan.groups)) {
    if (ExplainTiers.find(plan.wrappers, name) !== undefined) hidden("groups", name, "the wrapper", "group")
    else if (ExplainTiers.find(plan.pools, name) !== undefined) hidden("groups", name, "the pool", "group")
    if (echelons.has(name)) {
      const at = path("groups", name)
      const message = `"${name}" is also an echelon of another group, which this name hides`
      warn("shadowed", [[...at, "name"], at], message)
    }
  }
}

/** What a list says twice. Of the same thing only the first counts. */
const checkRepeated: Check = (context) => {
  const { echelons, path, plan, warn } = context
  const look = (list: Origin.Path): void => {
    const seen = new Set<string>()
    for (const [i, text] of CheckContext.textsAt(context, list).entries()) {
      if (seen.has(text)) warn("duplicate", [CheckContext.itemPath(context, list, i)], `"${text}" stands here twice`)
      seen.add(text)
    }
  }
  for (const placed of echelons.values()) look([...context.echelonPath(placed), "models"])
  for (const name of Object.keys(plan.pools)) look([...path("polling_pools", name), "task_groups"])
}

const sameSettings = (a: Plan.Echelon, b: Plan.Echelon): boolean =>
  JSON.stringify([a.clocks, a.settings, a.limits, a.upstream, a.hedge]) ===
  JSON.stringify([b.clocks, b.settings, b.limits, b.upstream, b.hedge])

/** An instance in two echelons of one tier of a pool: it is asked as the first says. */
const checkTwice: Check = (context) => {
  const told = new Set<string>()
  for (const [pool, { tiers }] of context.poolWalks) {
    for (const rank of tiers) {
      const first = new Map<string, PlanTiers.Placed>()
      for (const placed of rank) {
        for (const instance of placed.echelon.instances) {
          const before = first.get(instance)
          if (before === undefined) {
            first.set(instance, placed)
            continue
          }
          const pair = JSON.stringify([before.name, placed.name, instance])
          if (told.has(pair) || sameSettings(before.echelon, placed.echelon)) continue
          told.add(pair)
          const list = [...context.echelonPath(placed), "models"]
          const at = CheckContext.textsAt(context, list).indexOf(instance)
          const message = `${instance} is in ${before.name} too, with the same priority and other settings: in the pool "${pool}" those of ${before.name} stand`
          context.warn("duplicate", [CheckContext.itemPath(context, list, at)], message)
        }
      }
    }
  }
}

/**
 * Runs the checks.
 *
 * @since 0.1.0
 * @category checks
 */
export const check: Check = (context) => {
  for (const one of [checkReferences, checkReached, checkCycles, checkUsed, checkShadowed, checkRepeated, checkTwice])
    one(context)
}
