/**
 * From a resolved tree to a plan: every part decoded by its Schema, every name looked up.
 *
 * All problems are found at once. A file that is broken or does not decode keeps its name, so that what refers
 * to it is not reported as well; what is left of one without what does not fit is looked at like any other.
 *
 * @since 0.1.0
 */
import * as AlertSettings from "@echelon/core/AlertSettings"
import type * as Catalogue from "@echelon/core/Catalogue"
import * as Nearest from "@echelon/core/Nearest"
import type * as Plan from "@echelon/core/Plan"
import type * as Schema from "effect/Schema"
import * as Alerts from "./Alerts.ts"
import * as Credentials from "./Credentials.ts"
import * as Decode from "./Decode.ts"
import * as Field from "./Field.ts"
import * as Fronts from "./Fronts.ts"
import * as GlobalFile from "./GlobalFile.ts"
import * as GroupFile from "./GroupFile.ts"
import * as Groups from "./Groups.ts"
import * as Instances from "./Instances.ts"
import * as LoggingSection from "./LoggingSection.ts"
import * as MetricsSection from "./MetricsSection.ts"
import * as Names from "./Names.ts"
import * as Origin from "./Origin.ts"
import * as PoolFile from "./PoolFile.ts"
import * as Problem from "./Problem.ts"
import * as ProviderFile from "./ProviderFile.ts"
import type * as Resolve from "./Resolve.ts"
import * as TracingSection from "./TracingSection.ts"
import * as Tree from "./Tree.ts"
import * as UsageCheck from "./UsageCheck.ts"
import * as UsageSection from "./UsageSection.ts"
import * as WrapperFile from "./WrapperFile.ts"

/**
 * A plan, unless there are errors, and every problem, those of the resolved tree included.
 *
 * @since 0.1.0
 * @category models
 */
export interface Compiled {
  readonly plan: Plan.Root | undefined
  /** With errors, what is left of the plan without what does not fit: to look at, not to use. */
  readonly draft?: Plan.Root | undefined
  readonly problems: ReadonlyArray<Problem.Problem>
}

interface Named {
  readonly name?: string
}

interface Entities<A> {
  readonly decoded: ReadonlyArray<Instances.Entity<A>>
  /** Names of those that are broken or do not decode, or not wholly. */
  readonly failed: ReadonlyArray<string>
  readonly names: ReadonlyArray<string>
}

const kinds = ["provider", "groups", "polling_pools", "wrappers"] as const

/** The names that are keys: of a part without a `name`, of models; and credentials that have one name. */
const checkNames = (
  kind: (typeof kinds)[number],
  key: string,
  tree: Tree.Table,
  path: Origin.Path,
  report: (problem: Problem.Problem) => void
): void => {
  const check = (name: string, at: Origin.Path, what: string): void => {
    if (new RegExp(Field.namePattern).test(name)) return
    const message = `${what} holds white space or one of @ , " ' \\ $ { }; rename it`
    report(Problem.error("type", Tree.originOf(tree, at), at, message))
  }
  if (Tree.get(tree, [...path, "name"]) === undefined) check(key, path, "this name")
  if (kind !== "provider") return
  const models = Tree.get(tree, [...path, "models"])
  for (const alias of models?._tag === "Table" ? models.entries.keys() : [])
    check(alias, [...path, "models", alias], "this alias")
  Credentials.checkNames(tree, path, report)
}

/** Decodes every file of one kind. */
const entitiesOf = <S extends Schema.ConstraintDecoder<unknown> & { readonly Type: Named }>(
  schema: S,
  kind: (typeof kinds)[number],
  resolved: Resolve.Resolved,
  report: (problem: Problem.Problem) => void
): Entities<S["Type"]> => {
  const { tree } = resolved
  const base = ["llms", kind]
  const node = Tree.get(tree, base)
  const decoded: Array<Instances.Entity<S["Type"]>> = []
  const failed = resolved.broken.flatMap((path) => (path[1] === kind ? [String(path[2])] : []))
  const seen = new Map<string, Origin.Origin>()
  if (node !== undefined && node._tag !== "Table") {
    report(Problem.error("type", node.origin, base, `expected a table; found ${Decode.refused(node, base)}`))
    return { decoded, failed, names: failed }
  }
  for (const key of node?.entries.keys() ?? []) {
    const path = [...base, key]
    checkNames(kind, key, tree, path, report)
    const { problems, value } = Decode.salvage(schema, tree, path)
    problems.forEach(report)
    if (problems.length > 0) {
      failed.push(key)
      const stated = Tree.get(tree, [...path, "name"])
      if (stated?._tag === "Leaf") failed.push(String(Tree.valueOf(stated)))
    }
    if (value === undefined) continue
    const name = value.name ?? key
    const before = seen.get(name)
    if (before !== undefined) {
      const at = [...path, "name"]
      const message = `the name ${Decode.quoted(tree, at, name)} is already taken at ${Origin.format(before)}`
      report(Problem.error("duplicate", Tree.originOf(tree, at), at, message))
      continue
    }
    seen.set(name, Tree.originOf(tree, [...path, "name"]))
    decoded.push({ name, path, file: value })
  }
  return { decoded, failed, names: [...decoded.map((entity) => entity.name), ...failed] }
}

/** Keys directly below `llms`. */
const checkOutline = (tree: Tree.Table, report: (problem: Problem.Problem) => void): void => {
  const llms = tree.entries.get("llms")
  if (llms === undefined) return
  if (llms._tag !== "Table") {
    report(Problem.error("type", llms.origin, ["llms"], `expected a table; found ${Decode.refused(llms, ["llms"])}`))
    return
  }
  for (const [key, node] of llms.entries) {
    if (kinds.some((kind) => kind === key)) continue
    report(Problem.error("unknown_key", node.origin, ["llms", key], `unknown key; ${Nearest.hint(key, kinds)}`))
  }
}

const anyOf = (variables: ReadonlyArray<string>): string => [...new Set(variables)].join(" or ")

/** Whether anything is left to ask, in all and in each pool. */
const checkInstances = (
  resolved: Resolve.Resolved,
  instances: Instances.Instances,
  groups: Groups.Groups,
  pools: ReadonlyArray<Instances.Entity<PoolFile.PoolFile>>,
  report: (problem: Problem.Problem) => void
): void => {
  const embedded = resolved.environments.includes("embedded")
  const way = embedded ? ", or use --env embedded, which needs no credential and no network" : ""
  if (instances.live.size === 0 && instances.disabled.size > 0) {
    const message = `no credential is set, so no model can be asked; set ${anyOf([...instances.disabled.values()])}${way}`
    report(Problem.error("no_instance", Origin.file(`${resolved.root}/llms/provider`), "llms.provider", message))
    return
  }
  for (const { file, path } of pools) {
    const echelons = file.task_groups.flatMap((name) => groups.groups.get(name)?.echelons ?? [])
    const members = echelons.flatMap((echelon) => echelon.instances)
    const missing = members.flatMap((name) => instances.disabled.get(name) ?? [])
    if (missing.length === 0 || members.some((name) => instances.live.has(name))) continue
    const message = `no instance is left; set ${anyOf(missing)}${way}`
    report(Problem.error("no_instance", Tree.originOf(resolved.tree, path), path, message))
  }
}

const checkRouting = (
  file: GlobalFile.GlobalFile,
  tree: Tree.Table,
  known: Readonly<Record<"default_wrapper" | "default_pool" | "default_provider", ReadonlyArray<string>>>,
  report: (problem: Problem.Problem) => void
): void => {
  for (const key of ["default_wrapper", "default_pool", "default_provider"] as const) {
    const name = file.routing[key]
    if (name === undefined || known[key].includes(name)) continue
    const at = ["routing", key]
    const shown = Decode.quoted(tree, at, name)
    const message = `unknown ${key.slice("default_".length)} ${shown}; ${Nearest.hint(name, Names.shown(tree, known[key]))}`
    report(Problem.error("reference", Tree.originOf(tree, at), at, message))
  }
}

/** The table in which a key stands. */
const around = (key: string): string => key.replace(/(?:\.[\w-]+|\.?"(?:[^"\\]|\\.)*"|\[\d+\])$/, "")

/** Whether a problem is no more than what comes of a value that has been refused. */
const follows = ({ code, key }: Problem.Problem, refused: ReadonlySet<string>): boolean => {
  const isIn = (a: string, b: string): boolean => a === b || (a.startsWith(b) && /^[.[]/.test(a.slice(b.length)))
  // What is missing, or excludes another, may be what was refused beside it.
  const isOfTable =
    code === "missing_key" || code === "contradiction" || code === "credential" || code === "no_instance"
  const table = around(key)
  return [...refused].some((bad) => isIn(key, bad) || isIn(bad, key) || (isOfTable && isIn(bad, table)))
}

/**
 * Compiles a resolved tree.
 *
 * @since 0.1.0
 * @category constructors
 */
export const compile = (resolved: Resolve.Resolved, catalogue: Catalogue.Catalogue): Compiled => {
  const { tree } = resolved
  const problems: Array<Problem.Problem> = [...resolved.problems]
  // A value that could not be expanded has been reported already.
  const reported = new Set(problems.filter(Problem.isError).map((problem) => problem.key))
  const refused = new Set<string>()
  const report = (problem: Problem.Problem): void => {
    if (!(problem.code === "type" && reported.has(problem.key)) && !follows(problem, refused)) problems.push(problem)
  }

  checkOutline(tree, report)
  const outer = Decode.salvage(GlobalFile.GlobalFile, Tree.without(tree, ["llms"]), [])
  outer.problems.forEach(report)
  const providers = entitiesOf(ProviderFile.ProviderFile, "provider", resolved, report)
  const groups = entitiesOf(GroupFile.GroupFile, "groups", resolved, report)
  const pools = entitiesOf(PoolFile.PoolFile, "polling_pools", resolved, report)
  const wrappers = entitiesOf(WrapperFile.WrapperFile, "wrappers", resolved, report)

  for (const problem of problems) if (Problem.isError(problem) && problem.code !== "duplicate") refused.add(problem.key)
  const instances = Instances.make(providers.decoded, catalogue, resolved)
  instances.problems.forEach(report)
  const failed = { providers: providers.failed, groups: groups.failed }
  const built = Groups.make(groups.decoded, instances, failed, resolved)
  built.problems.forEach(report)
  const planPools = pools.decoded.map((entity) => Fronts.pool(entity, groups.names, resolved, report))
  const known = { pools: pools.names, groups: groups.names }
  const planWrappers = wrappers.decoded.flatMap((entity) => Fronts.wrapper(entity, known, resolved, report) ?? [])
  const global = outer.value
  if (global !== undefined) {
    const targets = {
      default_wrapper: wrappers.names,
      default_pool: pools.names,
      default_provider: providers.names
    }
    checkRouting(global, tree, targets, report)
    UsageCheck.check(global.usage, tree, { wrapper: wrappers.names, pool: pools.names }, report)
  }
  const alerts = global === undefined ? AlertSettings.defaults : Alerts.make(global.alerts, resolved, report)
  if (providers.failed.length === 0 && groups.failed.length === 0) {
    checkInstances(resolved, instances, built, pools.decoded, report)
  }

  const sorted = Problem.sort(problems)
  if (global === undefined) return { plan: undefined, problems: sorted }
  const { logging, metrics, reload, routing, shutdown, tracing, usage } = global
  const made: Plan.Root = {
    providers: Names.record(instances.providers),
    instances: Names.record(instances.live),
    disabled: Names.record(instances.disabled),
    groups: Names.record(built.groups),
    pools: Names.record(planPools.map((pool) => [pool.name, pool] as const)),
    wrappers: Names.record(planWrappers.map((wrapper) => [wrapper.name, wrapper] as const)),
    routing: {
      defaultWrapper: routing.default_wrapper,
      defaultPool: routing.default_pool,
      defaultProvider: routing.default_provider
    },
    shutdownGrace: shutdown.shutdown_grace,
    reload,
    logging: LoggingSection.toPlan(logging),
    metrics: MetricsSection.toPlan(metrics),
    tracing: TracingSection.toPlan(tracing),
    usage: UsageSection.toPlan(usage),
    alerts
  }
  return sorted.some(Problem.isError)
    ? { plan: undefined, draft: made, problems: sorted }
    : { plan: made, problems: sorted }
}
