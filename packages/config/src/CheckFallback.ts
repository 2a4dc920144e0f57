/**
 * Checks of what follows a failure: the order of the fallbacks, and whether those who step in can do what was asked.
 *
 * @since 0.1.0
 */
import type * as Capability from "@echelon/core/Capability"
import type * as Plan from "@echelon/core/Plan"
import * as CheckContext from "./CheckContext.ts"
import type * as Origin from "./Origin.ts"
import type * as PlanTiers from "./PlanTiers.ts"
import * as Wording from "./Wording.ts"

type Check = (context: CheckContext.Context) => void

const fallbackPath = (context: CheckContext.Context, group: Plan.TaskGroup): Origin.Path => [
  ...context.path("groups", group.name),
  "fallback_config"
]

/** Echelons that an entry of `fallback_groups` means. */
const meaning = ({ plan, echelons }: CheckContext.Context, text: string): ReadonlyArray<string> => {
  const group = Object.values(plan.groups).find(({ name }) => name === text)
  if (group !== undefined) return group.echelons.map(({ name }) => `${group.name}.${name}`)
  return echelons.has(text) ? [text] : []
}

/** `fallback_groups` as it stands: what it repeats, leaves out, or has in an order that goes back. */
const checkOrder: Check = (context) => {
  const { echelons, groupWalks, plan, poolWalks, warn } = context
  const elsewhere = new Set([...poolWalks.values()].flatMap(({ tiers }) => tiers.flat().map(({ name }) => name)))
  for (const group of Object.values(plan.groups)) {
    const list = [...fallbackPath(context, group), "fallback_groups"]
    const texts = CheckContext.textsAt(context, list)
    if (texts.length === 0) continue
    const first = `${group.name}.${group.echelons[0]?.name}`
    if (group.fallback.strategy === "none") {
      warn("fallback", [list], `never used: with strategy = "none" a request that ${first} cannot answer fails`)
      continue
    }
    const seen: Array<string> = []
    for (const [i, text] of texts.entries()) {
      const at = [CheckContext.itemPath(context, list, i)]
      const means = meaning(context, text)
      const fresh = means.filter((name) => !seen.includes(name))
      if (means.length > 0 && fresh.length === 0) {
        warn("fallback", at, `"${text}" repeats what stands before it; a request tries an echelon once`)
        continue
      }
      if (fresh.length === 1 && fresh[0] === first && seen.length === 0) {
        warn("fallback", at, `"${text}" is where a request starts, so it changes nothing here`)
      } else if (text === group.name && texts.length === 1) {
        const message = `"${text}" is this group itself, whose echelons follow one another anyway; leave fallback_groups out, or name other groups`
        warn("fallback", at, message)
      }
      if (fresh.includes(first) && seen.length > 0) {
        const message = `"${text}" points back to where a request starts, so ${Wording.list(seen)} before it ${seen.length === 1 ? "is" : "are"} never tried`
        warn("fallback", at, message)
      }
      for (const name of fresh) {
        const placed = echelons.get(name)
        if (name === first || placed?.group !== group) continue
        const later = seen.filter((other) => {
          const before = echelons.get(other)
          return before?.group === group && before.echelon.priority > placed.echelon.priority
        })
        if (later.length > 0) {
          const message = `"${text}" points back: ${name} (priority ${placed.echelon.priority}) comes after ${Wording.list(later)}, which ranks below it`
          warn("fallback", at, message)
          break
        }
      }
      seen.push(...fresh)
    }
    const chain = new Set(
      groupWalks
        .get(group.name)
        ?.tiers.flat()
        .map(({ name }) => name)
    )
    // Those in no pool either are reported as unreachable.
    const skipped = group.echelons
      .map(({ name }) => `${group.name}.${name}`)
      .filter((name) => !chain.has(name) && !seen.includes(name) && elsewhere.has(name))
    if (skipped.length > 0) {
      warn("fallback", [list], `skips ${Wording.list(skipped)}: a request to the group itself never falls there`)
    }
  }
}

/** What a request may need of the model that answers it. */
const needed: ReadonlyArray<Capability.Capability> = ["tools", "json_schema", "images", "files"]

const largestWindow = (models: ReadonlyArray<CheckContext.Declared>): number | undefined => {
  const known = models.flatMap(({ model }) => model.capabilities.contextWindow ?? [])
  return known.length === 0 ? undefined : Math.max(...known)
}

/** Whether those who step in can do what the first could. An unknown window or capability excludes nothing. */
const compare = (
  context: CheckContext.Context,
  start: ReadonlyArray<PlanTiers.Placed>,
  later: ReadonlyArray<PlanTiers.Placed>,
  keys: ReadonlyArray<Origin.Path>
): void => {
  const before = CheckContext.modelsOf(context, start)
  const after = CheckContext.modelsOf(context, later)
  if (before.length === 0 || after.length === 0) return
  const names = (placed: ReadonlyArray<PlanTiers.Placed>): string => Wording.list(placed.map(({ name }) => name))
  const most = largestWindow(before)
  const left = after.every(({ model }) => model.capabilities.contextWindow !== undefined)
    ? largestWindow(after)
    : undefined
  if (most !== undefined && left !== undefined && left < most) {
    const message = `no model of ${names(later)} holds more than ${left} tokens, and ${names(start)} takes up to ${most}: longer requests cannot fall there`
    context.warn("context_window", keys, message)
  }
  if (!after.every(({ model }) => model.capabilities.features !== undefined)) return
  const resumes = start.some(({ group }) => group.fallback.onInterrupt.includes("resume"))
  const lost = [...needed, ...(resumes ? (["prefill"] as const) : [])].filter((capability) => {
    const has = ({ model }: CheckContext.Declared) => model.capabilities.features?.includes(capability) === true
    return before.some(has) && !after.some(has)
  })
  if (lost.length > 0) {
    const message = `no model of ${names(later)} has ${Wording.list(lost)}, which ${names(start)} has: requests that need it cannot fall there`
    context.warn("capability", keys, message)
  }
}

/** Fallbacks of groups that are called, then of pools; the same echelon is told of once. */
const checkAble: Check = (context) => {
  const told = new Set<string>()
  for (const [name, { tiers }] of context.groupWalks) {
    const [start, ...rest] = tiers
    const group = context.plan.groups[name]
    if (start === undefined || group === undefined) continue
    const list = [...fallbackPath(context, group), "fallback_groups"]
    const texts = CheckContext.textsAt(context, list)
    for (const later of rest) {
      const [placed] = later
      if (placed === undefined) continue
      told.add(placed.name)
      const at = texts.findIndex((text) => meaning(context, text).includes(placed.name))
      const models = [...context.echelonPath(placed), "models"]
      compare(context, start, later, at < 0 ? [models] : [CheckContext.itemPath(context, list, at), models])
    }
  }
  for (const [name, { tiers }] of context.poolWalks) {
    const [start, ...rest] = tiers
    for (const later of rest) {
      if (start === undefined || later.every((placed) => told.has(placed.name))) continue
      compare(context, start, later, [[...context.path("polling_pools", name), "task_groups"]])
    }
  }
}

/** Whether what shall happen to a broken stream ever can. */
const checkInterrupt: Check = (context) => {
  for (const group of Object.values(context.plan.groups)) {
    const { commit, onInterrupt } = group.fallback
    const at = [...fallbackPath(context, group), "on_interrupt"]
    if (commit === "finish" && onInterrupt.some((policy) => policy !== "fail")) {
      const message = `never used: with commit = "finish" a reply is whole before anybody sees it, and every failure starts anew`
      context.warn("fallback", [at], message)
      continue
    }
    if (!onInterrupt.includes("resume")) continue
    const walks = [...context.groupWalks.values(), ...context.poolWalks.values()].filter(({ tiers }) =>
      tiers.some((rank) => rank.some((placed) => placed.group === group))
    )
    const models = CheckContext.modelsOf(
      context,
      walks.flatMap(({ tiers }) => tiers.flat())
    )
    // Only a model that is known to take a prefill is asked to go on.
    if (models.length === 0 || models.some(({ model }) => model.capabilities.features?.includes("prefill"))) continue
    context.warn(
      "capability",
      [at],
      'no model that could go on has "prefill" among its capabilities, so "resume" never applies'
    )
  }
}

/**
 * Runs the checks.
 *
 * @since 0.1.0
 * @category checks
 */
export const check: Check = (context) => {
  for (const one of [checkOrder, checkAble, checkInterrupt]) one(context)
}
