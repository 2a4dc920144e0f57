/**
 * A tree of files, an environment and variables as one resolved tree, in one pure function.
 *
 * Layers, weakest first: `global.toml`, inherited parents, the file, `environments/<env>.toml`, variables. A file
 * stands at its own path (`llms/groups/fast_group.toml` at `llms.groups.fast_group`); `global.toml` and the
 * environments address the whole tree. Any other file is a fragment: it counts only where it is inherited.
 * Defaults are weaker than all of these and belong to the Schemas.
 *
 * @since 0.1.0
 */
import * as Nearest from "@echelon/core/Nearest"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Expand from "./Expand.ts"
import * as Inherit from "./Inherit.ts"
import * as Origin from "./Origin.ts"
import * as Override from "./Override.ts"
import * as Problem from "./Problem.ts"
import type * as Template from "./Template.ts"
import * as TomlFile from "./TomlFile.ts"
import * as Tree from "./Tree.ts"

/**
 * What is resolved. Paths of files are relative to the folder, with `/`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Input {
  /** The folder's name as problems show it. */
  readonly root: string
  readonly files: Readonly<Record<string, string>>
  /** Files that are there and could not be read. */
  readonly unreadable?: ReadonlyArray<string> | undefined
  readonly env: string | undefined
  readonly variables: Template.Variables
}

/**
 * Every value with its origin, and what is wrong so far.
 *
 * @since 0.1.0
 * @category models
 */
export interface Resolved {
  readonly root: string
  readonly tree: Tree.Table
  readonly problems: ReadonlyArray<Problem.Problem>
  /** Entities whose file is broken, by their path. What they would have named is not known. */
  readonly broken: ReadonlyArray<Origin.Path>
  /** Names of the environments there are. */
  readonly environments: ReadonlyArray<string>
  /** What a variable holds. The variables themselves are not here: most of them are no part of a configuration. */
  readonly variable: (name: string) => Redacted.Redacted | undefined
}

type Place =
  | { readonly _tag: "Global" }
  | { readonly _tag: "Environment"; readonly name: string }
  | { readonly _tag: "Entity"; readonly path: ReadonlyArray<string> }
  | { readonly _tag: "Fragment" }

const placeOf = (file: string): Place => {
  if (file === "global.toml") return { _tag: "Global" }
  const environment = /^environments\/([^/]+)\.toml$/.exec(file)?.[1]
  if (environment !== undefined) return { _tag: "Environment", name: environment }
  const entity = /^llms\/(provider|groups|polling_pools|wrappers)\/([^/]+)\.toml$/.exec(file)
  return entity === null ? { _tag: "Fragment" } : { _tag: "Entity", path: ["llms", entity[1] ?? "", entity[2] ?? ""] }
}

/** The key by which a problem of a whole file goes. */
const keyOf = (file: string): string => Origin.formatPath(file.replace(/\.toml$/, "").split("/"))

/** The origin of an entity is its own file, whatever is laid beneath it. */
const withOwnOrigin = (tree: Tree.Table, path: ReadonlyArray<string>, origin: Origin.Origin): Tree.Table => {
  const node = Tree.get(tree, path)
  const next = node?._tag === "Table" ? Tree.set(tree, path, { ...node, origin }) : undefined
  return next?._tag === "Table" ? next : tree
}

/**
 * Resolves a configuration. Problems do not stop it: what can be resolved is, so that all are found at once.
 *
 * @example
 * ```ts
 * import { Origin, Resolve, Tree } from "@echelon/config"
 *
 * const { tree } = Resolve.resolve({
 *   root: "configs",
 *   files: { "llms/groups/fast.toml": "[echelon1]\ntimeout = 30" },
 *   env: undefined,
 *   variables: { ECHELON__LLMS__GROUPS__FAST__ECHELON1__TIMEOUT: "20" }
 * })
 * const origin = Tree.originOf(tree, ["llms", "groups", "fast", "echelon1", "timeout"])
 * console.assert(Origin.format(origin) === "$ECHELON__LLMS__GROUPS__FAST__ECHELON1__TIMEOUT:1:1")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const resolve = (input: Input): Resolved => {
  const problems: Array<Problem.Problem> = []
  const parsed = new Map<string, Tree.Table>()
  const broken = new Set<string>(input.unreadable)
  const shown = (file: string): string => `${input.root}/${file}`

  for (const [file, text] of Object.entries(input.files).sort(([a], [b]) => (a < b ? -1 : 1))) {
    const result = TomlFile.parse(shown(file), keyOf(file), text)
    if (Result.isSuccess(result)) parsed.set(file, result.success)
    else {
      problems.push(result.failure)
      broken.add(file)
    }
  }

  const inherited = Inherit.resolve(parsed, broken, keyOf)
  problems.push(...inherited.problems)

  const all = [...parsed.keys(), ...broken]
  const environments = all.flatMap((file) => {
    const place = placeOf(file)
    return place._tag === "Environment" ? [place.name] : []
  })
  const start = Origin.file(shown("global.toml"))
  let tree = inherited.files.get("global.toml") ?? Tree.table([], start)
  const owners: Array<readonly [ReadonlyArray<string>, Origin.Origin]> = []
  for (const [file, node] of inherited.files) {
    const place = placeOf(file)
    if (place._tag === "Entity") {
      tree = Tree.mergeTables(tree, Tree.table([[place.path[0] ?? "", Tree.nest(place.path.slice(1), node)]], start))
      owners.push([place.path, Origin.file(shown(file))])
    } else if (place._tag === "Fragment" && file !== "llms/global.toml" && !inherited.parents.has(file)) {
      const message = "no file inherits this one, so nothing in it is used"
      problems.push(Problem.warning("unused", Origin.file(shown(file)), keyOf(file), message))
    }
  }
  if (input.env !== undefined) {
    const file = `environments/${input.env}.toml`
    const node = inherited.files.get(file)
    if (node !== undefined) tree = Tree.mergeTables(tree, node)
    else if (!broken.has(file)) {
      const message = `there is no ${shown(file)}; ${Nearest.hint(input.env, environments)}`
      problems.push(Problem.error("environment", Origin.file(shown(file)), "environment", message))
    }
  }
  const overridden = Override.apply(tree, input.variables)
  const expanded = Expand.expand(overridden.tree, input.variables)
  problems.push(...overridden.problems, ...expanded.problems)

  return {
    root: input.root,
    tree: owners.reduce((merged, [path, origin]) => withOwnOrigin(merged, path, origin), expanded.tree),
    problems,
    broken: [...broken].flatMap((file) => {
      const place = placeOf(file)
      return place._tag === "Entity" ? [place.path] : []
    }),
    environments,
    variable: (name) => {
      const value = Object.hasOwn(input.variables, name) ? input.variables[name] : undefined
      return value === undefined ? undefined : Redacted.make(value)
    }
  }
}
