/**
 * What differs between two resolved trees, value by value. A secret that changed says so and is not shown.
 *
 * @since 0.1.0
 */
import * as Equal from "effect/Equal"
import * as Decode from "./Decode.ts"
import * as Listing from "./Listing.ts"
import * as Origin from "./Origin.ts"
import type * as Tree from "./Tree.ts"

/**
 * One value that was added, removed or changed. `before` and `after` are as an error message would show them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Change {
  readonly path: Origin.Path
  readonly kind: "added" | "removed" | "changed"
  readonly before: string | undefined
  readonly after: string | undefined
  /** Where the value stands now, or stood when it was removed. */
  readonly origin: Origin.Origin
}

/** The values of a tree, by path. Lists are values. */
const valuesOf = (tree: Tree.Node, path: Origin.Path, into: Map<string, readonly [Origin.Path, Tree.Node]>): void => {
  if (tree._tag !== "Table") {
    into.set(Origin.pathKey(path), [path, tree])
    return
  }
  for (const [key, node] of tree.entries) valuesOf(node, [...path, key], into)
}

const isSame = (a: Tree.Node, b: Tree.Node): boolean => {
  switch (a._tag) {
    case "Leaf":
      return b._tag === "Leaf" && Equal.equals(a.value, b.value)
    case "Unset":
      return b._tag === "Unset" && a.variable === b.variable
    case "List":
      return (
        b._tag === "List" &&
        a.items.length === b.items.length &&
        a.items.every((item, i) => isSame(item, b.items[i] as Tree.Node))
      )
    case "Table": {
      if (b._tag !== "Table" || a.entries.size !== b.entries.size) return false
      for (const [key, node] of a.entries) {
        const other = b.entries.get(key)
        if (other === undefined || !isSame(node, other)) return false
      }
      return true
    }
  }
}

const show = (node: Tree.Node, path: Origin.Path): string => {
  if (node._tag === "List") return `[${node.items.map((item, i) => show(item, [...path, i])).join(", ")}]`
  // A key that is not known may be that of a credential, misspelt.
  const isOpen = node._tag !== "Leaf" || Listing.keyOf(path) !== undefined
  if (!isOpen) return "a value that is not shown"
  return (node._tag === "Leaf" ? Listing.statedList(node, path) : undefined) ?? Decode.describe(node, path)
}

/**
 * The changes from one tree to another, in the order of their paths.
 *
 * @since 0.1.0
 * @category getters
 */
export const between = (before: Tree.Table, after: Tree.Table): ReadonlyArray<Change> => {
  const [old, current] = [new Map<string, readonly [Origin.Path, Tree.Node]>(), new Map(), new Map()]
  valuesOf(before, [], old)
  valuesOf(after, [], current)
  const found: Array<Change> = []
  for (const [key, [path, node]] of old) {
    const next: readonly [Origin.Path, Tree.Node] | undefined = current.get(key)
    if (next === undefined)
      found.push({ path, kind: "removed", before: show(node, path), after: undefined, origin: node.origin })
    else if (!isSame(node, next[1])) {
      const now = next[1]
      found.push({ path, kind: "changed", before: show(node, path), after: show(now, path), origin: now.origin })
    }
  }
  for (const [key, [path, node]] of current) {
    if (!old.has(key))
      found.push({ path, kind: "added", before: undefined, after: show(node, path), origin: node.origin })
  }
  return found.sort((a, b) => (Origin.formatPath(a.path) < Origin.formatPath(b.path) ? -1 : 1))
}

/**
 * A change as one line.
 *
 * @since 0.1.0
 * @category getters
 */
export const format = ({ after, before, kind, origin, path }: Change): string => {
  const what = kind === "added" ? `${after}` : kind === "removed" ? `no longer ${before}` : `${after}, was ${before}`
  return `${Origin.format(origin)} ${Origin.formatPath(path)}: ${what}`
}
