/**
 * The targets of a Portkey config as tiers: what is tried first, what follows when it fails, and by which weights.
 *
 * @since 0.1.0
 */
import type * as MigrateLedger from "./MigrateLedger.ts"
import * as Source from "./MigrateSource.ts"

/**
 * A target with the settings that it inherits, and its share of its tier.
 *
 * @since 0.1.0
 * @category models
 */
export interface Leaf {
  readonly at: Source.Stated
  readonly share: number
  readonly weights: ReadonlyArray<Source.Stated>
  /** Settings of the target and of what is around it, nearest first. */
  readonly around: ReadonlyArray<Source.Stated>
}

/**
 * Targets of equal rank.
 *
 * @since 0.1.0
 * @category models
 */
export type Tier = ReadonlyArray<Leaf>

/**
 * A route that a caller can ask for: the config itself, or one branch of a conditional one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Route {
  readonly name: string | undefined
  readonly at: Source.Stated
  readonly tiers: ReadonlyArray<Tier>
  readonly isDefault: boolean
}

const camel = (key: string): string => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())

/**
 * Finds a key, written in either case.
 *
 * @since 0.1.0
 * @category getters
 */
export const field = (at: Source.Stated | undefined, key: string): Source.Stated | undefined => {
  if (at === undefined) return undefined
  const found = Source.get(at.source, [...at.path, key]) ?? Source.get(at.source, [...at.path, camel(key)])
  return found?.value === null ? undefined : found
}

/**
 * Finds a setting of a target, or of what is around it.
 *
 * @since 0.1.0
 * @category getters
 */
export const inherited = ({ around }: Leaf, key: string): Source.Stated | undefined =>
  around.flatMap((one) => field(one, key) ?? [])[0]

/**
 * A text that says something.
 *
 * @since 0.1.0
 * @category getters
 */
export const textOf = (at: Source.Stated | undefined): string | undefined =>
  typeof at?.value === "string" && at.value.trim() !== "" ? at.value : undefined

const modes = ["single", "loadbalance", "fallback", "conditional"] as const
type Mode = (typeof modes)[number]

const modeOf = (at: Source.Stated, targets: ReadonlyArray<Source.Stated>, ledger: MigrateLedger.Ledger): Mode => {
  const strategy = field(at, "strategy")
  const stated = field(strategy, "mode") ?? field(at, "mode")
  const found = modes.find((mode) => mode === stated?.value)
  if (stated !== undefined && found === undefined) {
    const note = "an unknown mode; the targets follow one another as in fallback"
    ledger.mark(stated, { outcome: "approximated", note })
  } else if (stated !== undefined) ledger.mark(stated, { outcome: "carried", note: "it is how the echelons are made" })
  return found ?? (targets.length > 1 ? "fallback" : "single")
}

/** The targets of a config; older ones call them options. */
const targetsOf = (at: Source.Stated): ReadonlyArray<Source.Stated> =>
  [...Source.below(field(at, "targets")), ...Source.below(field(at, "options"))].filter(({ value }) =>
    Source.isTable(value)
  )

const nameOf = (at: Source.Stated): string | undefined => {
  const name = field(at, "name")?.value
  return typeof name === "string" && name !== "" ? name : undefined
}

const shareOf = (at: Source.Stated): number => {
  const value = field(at, "weight")?.value
  return typeof value === "number" && value >= 0 && Number.isFinite(value) ? value : 1
}

/** Shares of a whole, rounded so that a file can be read. */
const scaled = (tier: Tier, factor: number, weight: Source.Stated | undefined): Tier => {
  const sum = tier.reduce((total, leaf) => total + leaf.share, 0)
  const one = tier.length === 1
  return tier.map((leaf) => ({
    ...leaf,
    share: one ? factor : Number((sum === 0 ? 0 : (leaf.share / sum) * factor).toPrecision(6)),
    weights: weight === undefined ? leaf.weights : [...leaf.weights, weight]
  }))
}

const merged = (
  at: Source.Stated,
  children: ReadonlyArray<readonly [child: Source.Stated, tiers: ReadonlyArray<Tier>]>,
  ledger: MigrateLedger.Ledger
): ReadonlyArray<Tier> => {
  const depth = Math.max(0, ...children.map(([, tiers]) => tiers.length))
  const mode = field(field(at, "strategy"), "mode")
  if (depth > 1 && mode !== undefined) {
    const note = "targets that fall back share the same echelons, so a request may go on in another target's"
    ledger.mark(mode, { outcome: "approximated", note })
  }
  return Array.from({ length: depth }, (_, i) =>
    children.flatMap(([child, tiers]) => scaled(tiers[i] ?? [], shareOf(child), field(child, "weight")))
  )
}

/** The tiers below a config or target. */
const tiersOf = (
  at: Source.Stated,
  above: ReadonlyArray<Source.Stated>,
  ledger: MigrateLedger.Ledger
): ReadonlyArray<Tier> => {
  const around = [at, ...above]
  const targets = targetsOf(at)
  if (targets.length === 0) return [[{ at, share: 1, weights: [], around }]]
  const below = (child: Source.Stated) => tiersOf(child, around, ledger)
  const unused = (others: ReadonlyArray<Source.Stated>, note: string): void => {
    for (const other of others) ledger.mark(other, { outcome: "lost", note, todo: "remove it, or write a pool for it" })
  }
  switch (modeOf(at, targets, ledger)) {
    case "fallback":
      return targets.flatMap(below)
    case "loadbalance":
      return merged(
        at,
        targets.map((target) => [target, below(target)] as const),
        ledger
      )
    case "single": {
      unused(targets.slice(1), "only the first target of mode single is used")
      return targets[0] === undefined ? [] : below(targets[0])
    }
    case "conditional": {
      const wanted = field(field(at, "strategy"), "default")?.value
      const chosen = targets.find((target) => nameOf(target) === wanted) ?? targets[0]
      unused(
        targets.filter((target) => target !== chosen),
        "conditions inside another strategy cannot be told: the default target stands for all"
      )
      const strategy = field(at, "strategy")
      if (strategy !== undefined) {
        const note = "conditions inside another strategy cannot be told"
        ledger.rest(strategy, { outcome: "lost", note, todo: "write a pool for each, and name it in requests" })
      }
      return chosen === undefined ? [] : below(chosen)
    }
  }
}

/**
 * The routes of a config: one, or one for each target of a conditional config, which callers then name.
 *
 * @since 0.1.0
 * @category constructors
 */
export const routes = (at: Source.Stated, ledger: MigrateLedger.Ledger): ReadonlyArray<Route> => {
  const strategy = field(at, "strategy")
  const targets = targetsOf(at)
  if (field(strategy, "mode")?.value !== "conditional" || targets.length === 0) {
    return [{ name: nameOf(at), at, tiers: tiersOf(at, [], ledger), isDefault: true }]
  }
  const wanted = field(strategy, "default")
  const mode = field(strategy, "mode")
  if (mode !== undefined) {
    ledger.mark(mode, {
      outcome: "approximated",
      note: "each target is a pool; the caller names it instead of a condition"
    })
  }
  const found = targets.some((target) => nameOf(target) === wanted?.value)
  if (wanted !== undefined) {
    const mark = found
      ? ({ outcome: "carried", to: "global.toml routing.default_pool" } as const)
      : ({ outcome: "lost", note: "no target has this name", todo: "set routing.default_pool" } as const)
    ledger.mark(wanted, mark)
  }
  const conditions = field(strategy, "conditions")
  if (conditions !== undefined) {
    const note = "requests are not looked into here"
    ledger.mark(conditions, { outcome: "lost", note, todo: "name the pool in a request's metadata (poolName)" })
  }
  return targets.map((target, i) => ({
    name: nameOf(target) ?? `target-${i + 1}`,
    at: target,
    tiers: tiersOf(target, [at], ledger),
    isDefault: found ? nameOf(target) === wanted?.value : i === 0
  }))
}
