/**
 * What a file inherits: `inherits_from` names one file or several, relative to the file that says it.
 *
 * Later parents win over earlier ones, the child over all; `name` and `description` are not inherited.
 *
 * @since 0.1.0
 */
import * as Nearest from "@echelon/core/Nearest"
import * as Decode from "./Decode.ts"
import type * as Origin from "./Origin.ts"
import * as Problem from "./Problem.ts"
import * as Template from "./Template.ts"
import * as Tree from "./Tree.ts"

/** Resolves `..` and `.` against the folder of a file; all paths are relative to the tree, with `/`. */
const resolvePath = (from: string, to: string): string => {
  const segments = from.split("/").slice(0, -1)
  for (const segment of to.split("/")) {
    if (segment === "" || segment === ".") continue
    if (segment === ".." && segments.length > 0 && segments.at(-1) !== "..") segments.pop()
    else segments.push(segment)
  }
  return segments.join("/")
}

const partsOf = (path: string): { readonly folder: string; readonly name: string } => {
  const slash = path.lastIndexOf("/")
  return { folder: path.slice(0, slash + 1), name: path.slice(slash + 1).replace(/\.toml$/, "") }
}

/** The file that was meant: of a like name in the same folder, or of the same name in another. Never the child. */
const nearest = (missing: string, child: string, files: Iterable<string>): string | undefined => {
  const wanted = partsOf(missing)
  const others = [...files].filter((file) => file !== child).map((file) => ({ file, ...partsOf(file) }))
  const beside = others.filter(({ folder }) => folder === wanted.folder)
  const [like] = wanted.name.length < 3 ? [] : Nearest.find(wanted.name, new Set(beside.map(({ name }) => name)))
  const found =
    like === undefined ? others.find(({ name }) => name === wanted.name) : beside.find(({ name }) => name === like)
  return found?.file
}

/** A chain of files, without what looks like a user and a password. */
const shown = (chain: ReadonlyArray<string>): string =>
  chain.map((file) => file.replace(/[^/]*:[^/]*@/g, "***@")).join(" -> ")

/** Why what stands there is no parent; `undefined` when it may be one. */
const whyNot = (item: Tree.Node, path: Tree.Scalar | undefined, at: string | undefined): string | undefined => {
  if (typeof path !== "string" || at === undefined) {
    return `expected a path, or a list of paths; found ${Decode.describe(item, ["inherits_from"])}`
  }
  const wanted = "expected a path relative to this file"
  if (/^[A-Za-z][\w+.-]*:\/\//.test(path)) return `${wanted}; found an address, and nothing is fetched`
  if (Template.isTemplate(path)) {
    return `${wanted}; found a variable, which cannot stand here: files are laid over one another before variables are read`
  }
  if (/^([/\\]|[A-Za-z]:)/.test(path)) return `${wanted}; found an absolute one, which is not read`
  if (at === ".." || at.startsWith("../")) {
    return `${wanted}; found one that leads out of the folder of the configuration, where nothing is read`
  }
  return undefined
}

interface Parent {
  readonly path: string
  readonly origin: Origin.Origin
}

/**
 * Every file with what it inherits laid beneath it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Inherited {
  readonly files: ReadonlyMap<string, Tree.Table>
  /** Files that another one inherits. */
  readonly parents: ReadonlySet<string>
  readonly problems: ReadonlyArray<Problem.Problem>
}

/**
 * Resolves the inheritance of all files. `unreadable` are files that exist but have no tree; inheriting one is
 * not reported a second time.
 *
 * **Errors** A missing parent and a cycle name the chain that leads to them, a cycle once.
 *
 * @since 0.1.0
 * @category combinators
 */
export const resolve = (
  files: ReadonlyMap<string, Tree.Table>,
  unreadable: ReadonlySet<string>,
  keyOf: (file: string) => string
): Inherited => {
  const problems: Array<Problem.Problem> = []
  const reported = new Set<string>()
  const done = new Map<string, Tree.Table>()
  const parents = new Set<string>()

  const parentsOf = (file: string, node: Tree.Node | undefined): ReadonlyArray<Parent> => {
    if (node === undefined) return []
    const items = node._tag === "List" ? node.items : [node]
    return items.flatMap((item) => {
      const path = item._tag === "Leaf" ? Tree.valueOf(item) : undefined
      const at = typeof path === "string" && path !== "" ? resolvePath(file, path) : undefined
      const why = whyNot(item, path, at)
      if (at !== undefined && why === undefined) return [{ path: at, origin: item.origin }]
      problems.push(Problem.error("type", item.origin, `${keyOf(file)}.inherits_from`, why ?? "expected a path"))
      return []
    })
  }

  const report = (id: string, parent: Parent, key: string, message: string): void => {
    if (reported.has(id)) return
    reported.add(id)
    problems.push(Problem.error("inheritance", parent.origin, `${key}.inherits_from`, message))
  }

  const visit = (file: string, own: Tree.Table, chain: ReadonlyArray<string>): Tree.Table => {
    const known = done.get(file)
    if (known !== undefined) return known
    let beneath: Tree.Table | undefined
    for (const parent of parentsOf(file, own.entries.get("inherits_from"))) {
      parents.add(parent.path)
      const through = [...chain, file, parent.path]
      const cycle = through.indexOf(parent.path)
      if (cycle < through.length - 1) {
        const members = through.slice(cycle)
        const id = [...new Set(members)].sort().join("\n")
        report(id, parent, keyOf(file), `cyclic inheritance: ${shown(members)}`)
        continue
      }
      const node = files.get(parent.path)
      if (node === undefined) {
        if (unreadable.has(parent.path)) continue
        const hint = nearest(parent.path, file, files.keys())
        const message = `no such file: ${shown(through)}${hint === undefined ? "" : `; did you mean "${hint}"?`}`
        report(`${file}\n${parent.path}`, parent, keyOf(file), message)
        continue
      }
      const whole = Tree.without(visit(parent.path, node, [...chain, file]), ["name", "description"])
      beneath = beneath === undefined ? whole : Tree.mergeTables(beneath, whole)
    }
    const child = Tree.without(own, ["inherits_from"])
    const merged = beneath === undefined ? child : { ...Tree.mergeTables(beneath, child), origin: child.origin }
    done.set(file, merged)
    return merged
  }

  const resolved = new Map<string, Tree.Table>()
  for (const [file, node] of files) resolved.set(file, visit(file, node, []))
  return { files: resolved, parents, problems }
}
