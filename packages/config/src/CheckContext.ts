/**
 * What the checks of a plan share: where each part stands in the tree, and how findings are made.
 *
 * @since 0.1.0
 */
import * as ExplainTiers from "@echelon/core/ExplainTiers"
import type * as Plan from "@echelon/core/Plan"
import type * as Origin from "./Origin.ts"
import * as PlanTiers from "./PlanTiers.ts"
import * as Problem from "./Problem.ts"
import type * as Resolve from "./Resolve.ts"
import * as TomlFile from "./TomlFile.ts"
import * as Tree from "./Tree.ts"

/**
 * A folder below `llms`.
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = "provider" | "groups" | "polling_pools" | "wrappers"

/**
 * A model that an instance name stands for, whether it has a credential or not.
 *
 * @since 0.1.0
 * @category models
 */
export interface Declared {
  readonly instance: string
  readonly provider: string
  readonly alias: string
  readonly model: Plan.Model
}

/**
 * A plan, its tree, and what is derived from both once for all checks.
 *
 * **Details** The graph is that of the files: instances without a credential are in `declared` too, so that findings
 * do not depend on whose machine they are made on.
 *
 * @since 0.1.0
 * @category models
 */
export interface Context {
  readonly plan: Plan.Root
  readonly tree: Tree.Table
  readonly echelons: ReadonlyMap<string, PlanTiers.Placed>
  readonly declared: ReadonlyMap<string, Declared>
  /** The way through each group called by its name, and each pool. */
  readonly groupWalks: ReadonlyMap<string, PlanTiers.Walk>
  readonly poolWalks: ReadonlyMap<string, PlanTiers.Walk>
  /** Where the file of a part stands. */
  readonly path: (kind: Kind, name: string) => Origin.Path
  readonly echelonPath: (placed: PlanTiers.Placed) => Origin.Path
  readonly problems: ReadonlyArray<Problem.Problem>
  /** Adds a warning at the first of the keys that somebody has stated. Defaults alone are nobody's mistake. */
  readonly warn: (code: Problem.Code, keys: ReadonlyArray<Origin.Path>, message: string) => void
  /** Adds an error. */
  readonly fail: (code: Problem.Code, key: Origin.Path, message: string) => void
}

const declaredOf = (plan: Plan.Root): ReadonlyMap<string, Declared> => {
  const found = new Map<string, Declared>()
  for (const { alias, model, name, provider } of Object.values(plan.instances)) {
    found.set(name, { instance: name, provider: provider.name, alias, model })
  }
  const disabled = Object.keys(plan.disabled)
  if (disabled.length === 0) return found
  for (const provider of Object.values(plan.providers)) {
    for (const [alias, model] of Object.entries(provider.models)) {
      const bare = `${provider.name}-${alias}`
      for (const name of disabled) {
        if (name !== bare && !name.startsWith(`${bare}@`)) continue
        found.set(name, { instance: name, provider: provider.name, alias, model })
      }
    }
  }
  return found
}

/** The key under which each named part stands, by kind. */
const keysOf = (tree: Tree.Table, kind: Kind): ReadonlyMap<string, string> => {
  const node = Tree.get(tree, ["llms", kind])
  const keys = new Map<string, string>()
  if (node?._tag !== "Table") return keys
  for (const [key, entity] of node.entries) {
    const name = Tree.get(entity, ["name"])
    keys.set(name?._tag === "Leaf" ? String(Tree.valueOf(name)) : key, key)
  }
  return keys
}

/**
 * Makes the context of a plan. Without a part in the tree, as of a plan made in code, its findings stand at the
 * nearest table there is.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (plan: Plan.Root, resolved: Pick<Resolve.Resolved, "tree">): Context => {
  const { tree } = resolved
  const keys = {
    provider: keysOf(tree, "provider"),
    groups: keysOf(tree, "groups"),
    polling_pools: keysOf(tree, "polling_pools"),
    wrappers: keysOf(tree, "wrappers")
  }
  const echelons = ExplainTiers.echelons(plan)
  const problems: Array<Problem.Problem> = []
  const path = (kind: Kind, name: string): Origin.Path => ["llms", kind, keys[kind].get(name) ?? name]
  /** Whether a part of the plan came from the tree at all. */
  const isFromTree = (key: Origin.Path): boolean => key[0] !== "llms" || Tree.get(tree, key.slice(0, 3)) !== undefined
  const walks = (kind: "pool" | "group", named: Readonly<Record<string, unknown>>) =>
    new Map(
      Object.keys(named).flatMap((name) => {
        const walk = PlanTiers.of(plan, { kind, name }, echelons)
        return walk === undefined ? [] : [[name, walk] as const]
      })
    )
  return {
    plan,
    tree,
    echelons,
    declared: declaredOf(plan),
    groupWalks: walks("group", plan.groups),
    poolWalks: walks("pool", plan.pools),
    path,
    echelonPath: ({ echelon, group }) => [...path("groups", group.name), echelon.name],
    problems,
    warn: (code, all, message) => {
      const stated = all.find((key) => Tree.get(tree, key) !== undefined) ?? all.find((key) => !isFromTree(key))
      if (stated !== undefined) problems.push(Problem.warning(code, Tree.originOf(tree, stated), stated, message))
    },
    fail: (code, key, message) => void problems.push(Problem.error(code, Tree.originOf(tree, key), key, message))
  }
}

/**
 * The models that an echelon names.
 *
 * @since 0.1.0
 * @category getters
 */
export const modelsOf = (context: Context, placed: ReadonlyArray<PlanTiers.Placed>): ReadonlyArray<Declared> =>
  placed.flatMap(({ echelon }) => echelon.instances.flatMap((name) => context.declared.get(name) ?? []))

/**
 * The texts of a list as they stand in the tree, or in the variable that replaced it.
 *
 * @since 0.1.0
 * @category getters
 */
export const textsAt = (context: Context, path: Origin.Path): ReadonlyArray<string> => {
  const node = Tree.get(context.tree, path)
  if (node?._tag === "List") return node.items.map((item) => (item._tag === "Leaf" ? String(Tree.valueOf(item)) : ""))
  if (node?._tag !== "Leaf" || !node.fromVariable) return []
  const value = TomlFile.parseValue(String(Tree.valueOf(node)))
  return Array.isArray(value) ? value.map(String) : []
}

/**
 * The path of the item of a list that says a text, or else of the list.
 *
 * @since 0.1.0
 * @category getters
 */
export const itemPath = (context: Context, path: Origin.Path, index: number): Origin.Path => {
  const item = [...path, index]
  return Tree.get(context.tree, item) === undefined ? path : item
}
