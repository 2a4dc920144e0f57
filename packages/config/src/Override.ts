/**
 * Single values set by variables: `ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__TIMEOUT=20`.
 *
 * Two underscores part the keys. The name, its beginning too, is matched without regard to case, and `_` also stands for `-` and `.`
 * when only one key fits; the key that fits exactly comes first. The value is taken as it is: nothing in it is
 * expanded. A variable that is set to nothing counts as not set, with a warning; two that mean the same key are an
 * error.
 *
 * @since 0.1.0
 */
import * as Nearest from "@echelon/core/Nearest"
import * as Origin from "./Origin.ts"
import * as Problem from "./Problem.ts"
import * as Template from "./Template.ts"
import * as Tree from "./Tree.ts"

const prefix = "ECHELON__"

const loosely = (key: string): string => key.toLowerCase().replace(/[-.]/g, "_")

type Matched =
  | { readonly _tag: "Path"; readonly path: Origin.Path }
  | { readonly _tag: "Refused"; readonly path: Origin.Path; readonly message: string }

/** Keys below these depths name files or tables that must exist; a value may be new. */
const isEntity = (path: Origin.Path): boolean => path[0] === "llms" && path.length === 2

/** Decides which value a variable means. */
const match = (tree: Tree.Table, segments: ReadonlyArray<string>): Matched => {
  const path: Array<string | number> = []
  let node: Tree.Node | undefined = tree
  for (const segment of segments) {
    const refuse = (message: string): Matched => ({ _tag: "Refused", path: [...path, segment.toLowerCase()], message })
    if (segment === "") return refuse("a key between two underscores is empty")
    if (node?._tag === "List") {
      const index = Number(segment)
      if (!Number.isInteger(index) || index < 0 || index >= node.items.length) {
        return refuse(`expected an index from 0 to ${node.items.length - 1}`)
      }
      path.push(index)
      node = node.items[index]
      continue
    }
    const keys: ReadonlyArray<string> = node?._tag === "Table" ? [...node.entries.keys()] : []
    const wanted = segment.toLowerCase()
    const fitting = keys.filter((key) => loosely(key) === loosely(segment))
    const exact = fitting.find((key) => key.toLowerCase() === wanted)
    if (exact === undefined && fitting.length > 1) {
      return refuse(`ambiguous: it may mean ${fitting.map((key) => JSON.stringify(key)).join(" or ")}`)
    }
    const key: string | undefined = exact ?? fitting[0]
    if (key === undefined && isEntity(path)) {
      return refuse(`nothing of that name is configured; ${Nearest.hint(wanted, keys)}`)
    }
    path.push(key ?? wanted)
    node = key === undefined || node?._tag !== "Table" ? undefined : node.entries.get(key)
  }
  return { _tag: "Path", path }
}

/**
 * Lays every `ECHELON__…` variable, in upper or lower case, over a tree, in the order of their names.
 *
 * @since 0.1.0
 * @category combinators
 */
export const apply = (
  tree: Tree.Table,
  variables: Template.Variables
): { readonly tree: Tree.Table; readonly problems: ReadonlyArray<Problem.Problem> } => {
  const problems: Array<Problem.Problem> = []
  const setBy = new Map<string, string>()
  let overridden = tree
  for (const name of Object.keys(variables).sort()) {
    if (!name.toUpperCase().startsWith(prefix)) continue
    const origin = Origin.variable(name)
    const segments = name.slice(prefix.length).split("__")
    const value = Template.lookup(variables, name)
    const matched = match(overridden, segments)
    if (value === undefined) {
      if (variables[name] !== "") continue
      const message = "this variable is set to nothing, so it overrides nothing; unset it, or give it a value"
      problems.push(Problem.warning("override", origin, matched.path, message))
      continue
    }
    if (matched._tag === "Refused") {
      problems.push(Problem.error("override", origin, matched.path, matched.message))
      continue
    }
    const id = Origin.pathKey(matched.path)
    const other = setBy.get(id)
    if (other !== undefined) {
      problems.push(Problem.error("override", origin, matched.path, `${other} sets the same key; unset one of them`))
      continue
    }
    setBy.set(id, name)
    const next = Tree.set(
      overridden,
      matched.path,
      Tree.leaf(matched.path, value, origin, { written: value, fromVariable: true })
    )
    if (next?._tag === "Table") overridden = next
    else problems.push(Problem.error("override", origin, matched.path, "there is a value where a table is needed"))
  }
  return { tree: overridden, problems }
}
