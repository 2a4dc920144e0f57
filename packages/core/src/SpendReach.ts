/**
 * The dearest that a request to a target may cost, told from the plan: what is reserved for it while it runs.
 *
 * @since 0.1.0
 */
import type * as Observation from "./Observation.ts"
import type * as Plan from "./Plan.ts"

/**
 * The highest prices among the instances that a target may ask, USD per million tokens.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reach {
  readonly input: number
  readonly output: number
  /** Whether one of them has no price. */
  readonly hasUnpriced: boolean
}

/** The instances of a group, or from one of its echelons on, with those that it falls to. */
const ofGroup = (root: Plan.Root, reference: string): ReadonlyArray<string> => {
  const named = (group: Plan.TaskGroup, name?: string): ReadonlyArray<string> =>
    group.echelons.flatMap((echelon) => (name === undefined || echelon.name === name ? echelon.instances : []))
  const whole = root.groups[reference]
  const dot = reference.lastIndexOf(".")
  const owner = whole ?? root.groups[reference.slice(0, dot)]
  if (owner === undefined) return []
  const first = whole === undefined ? named(owner, reference.slice(dot + 1)) : named(owner)
  const others = owner.fallback.echelons.flatMap((other) => {
    const at = other.lastIndexOf(".")
    const group = root.groups[other.slice(0, at)]
    return group === undefined ? [] : named(group, other.slice(at + 1))
  })
  return [...first, ...others]
}

const instancesOf = (root: Plan.Root, { kind, name }: Observation.Target): ReadonlyArray<string> => {
  switch (kind) {
    case "wrapper": {
      const target = root.wrappers[name]?.target
      return target === undefined ? [] : instancesOf(root, target)
    }
    case "pool":
      return (root.pools[name]?.taskGroups ?? []).flatMap((group) => ofGroup(root, group))
    case "group":
      return ofGroup(root, name)
    case "client":
      return [name]
    case "router":
      return []
  }
}

/**
 * Tells the reach of a target.
 *
 * @since 0.1.0
 * @category getters
 */
export const of = (root: Plan.Root, target: Observation.Target): Reach => {
  let input = 0
  let output = 0
  let hasUnpriced = false
  for (const name of instancesOf(root, target)) {
    // One that is named and not there has no credential, and is not asked; a client's may be in no file.
    if (root.instances[name] === undefined && target.kind !== "client") continue
    const prices = root.instances[name]?.model.prices
    if (prices === undefined) hasUnpriced = true
    else {
      input = Math.max(input, prices.input, prices.cacheWrite ?? 0)
      output = Math.max(output, prices.output)
    }
  }
  return { input, output, hasUnpriced }
}
