/**
 * Configuration as a tree in which every value keeps its origin, and how trees are laid over one another.
 *
 * Values that may be secret are `Redacted` from the moment they are in a tree.
 *
 * @since 0.1.0
 */
import * as Redacted from "effect/Redacted"
import type * as Origin from "./Origin.ts"

/**
 * What TOML can say in one value.
 *
 * @since 0.1.0
 * @category models
 */
export type Scalar = string | number | boolean | Date

/**
 * One value.
 *
 * @since 0.1.0
 * @category models
 */
export interface Leaf {
  readonly _tag: "Leaf"
  readonly value: Scalar | Redacted.Redacted<Scalar>
  readonly origin: Origin.Origin
  /** The text as it was written, when variables were put into it. */
  readonly written: string | undefined
  /** Text of a variable, which may stand for a number, a boolean or a list. */
  readonly fromVariable: boolean
}

/**
 * A credential whose variable is not set.
 *
 * @since 0.1.0
 * @category models
 */
export interface Unset {
  readonly _tag: "Unset"
  readonly variable: string
  readonly origin: Origin.Origin
}

/**
 * Values in order. Lists replace one another whole.
 *
 * @since 0.1.0
 * @category models
 */
export interface List {
  readonly _tag: "List"
  readonly items: ReadonlyArray<Node>
  readonly origin: Origin.Origin
}

/**
 * Values by key.
 *
 * @since 0.1.0
 * @category models
 */
export interface Table {
  readonly _tag: "Table"
  readonly entries: ReadonlyMap<string, Node>
  readonly origin: Origin.Origin
  /** Something beneath that was no table is gone, so the table merges with nothing weaker. */
  readonly replaces: boolean
}

/**
 * Anything in a tree.
 *
 * @since 0.1.0
 * @category models
 */
export type Node = Leaf | Unset | List | Table

/**
 * Makes a value; it is redacted when `path` may hold a secret.
 *
 * @since 0.1.0
 * @category constructors
 */
export const leaf = (
  path: Origin.Path,
  value: Scalar,
  origin: Origin.Origin,
  options: { readonly written?: string; readonly fromVariable?: boolean } = {}
): Leaf => {
  const secret = isSecret(path)
  return {
    _tag: "Leaf",
    value: secret ? Redacted.make(value) : value,
    origin,
    written: secret ? undefined : options.written,
    fromVariable: options.fromVariable ?? false
  }
}

/**
 * Makes a table.
 *
 * @since 0.1.0
 * @category constructors
 */
export const table = (entries: Iterable<readonly [string, Node]>, origin: Origin.Origin): Table => ({
  _tag: "Table",
  entries: new Map(entries),
  origin,
  replaces: false
})

const secretKey = /(api[_-]?key|secret|password|passwd|authorization)$|(^|[_-])(key|token|auth|credential)$/i

/**
 * The segments that say what is stated: not the names that files and models have been given, unless a list or a
 * value stands there where the table of that name should be.
 */
const keysOf = (path: Origin.Path): Origin.Path =>
  path.filter((_, i) => {
    const isName = (path[0] === "llms" && i === 2) || path[i - 1] === "models"
    return !(isName && typeof path[i + 1] === "string")
  })

/** Within `[[credentials]]`, and where a value stands instead of them. */
const isCredential = (path: Origin.Path): boolean => {
  const at = path.indexOf("credentials")
  if (at < 0) return false
  const below = path.slice(at + 1)
  const key = typeof below[0] === "number" ? below.slice(1) : below
  return !(key.length === 1 && (key[0] === "name" || key[0] === "weight"))
}

/**
 * Whether the value at a path may be secret: a credential, `headers`, `query` and `proxy`, and anything below them, of
 * whatever type it is; and the addresses of alert channels and of the usage store. The `name` and `weight` of a credential are not.
 *
 * @since 0.1.0
 * @category guards
 */
export const isSecret = (path: Origin.Path): boolean => {
  // How a provider is shown who asks is a word, not what it is shown.
  if (path.length === 4 && path[0] === "llms" && path[1] === "provider" && path[3] === "auth") return false
  // Whoever knows the address of a channel can post there; that of a database holds its password.
  if ((path[0] === "alerts" || path[0] === "usage") && path[path.length - 1] === "url") return true
  const keys = keysOf(path)
  const isNamed = (key: string | number): boolean =>
    typeof key === "string" &&
    (/^(headers|query|proxy|access_key_id|service_account)$/i.test(key) || secretKey.test(key))
  return keys.some(isNamed) || isCredential(keys)
}

/**
 * Reads a leaf's value, a secret one too.
 *
 * **Gotchas** What it gives must not reach an error, a log or a dump.
 *
 * @since 0.1.0
 * @category getters
 */
export const valueOf = (self: Leaf): Scalar =>
  Redacted.isRedacted(self.value) ? Redacted.value(self.value) : self.value

/**
 * Finds what stands at a path.
 *
 * @since 0.1.0
 * @category getters
 */
export const get = (self: Node, path: Origin.Path): Node | undefined => {
  let node: Node | undefined = self
  for (const segment of path) {
    if (node?._tag === "Table" && typeof segment === "string") node = node.entries.get(segment)
    else if (node?._tag === "List" && typeof segment === "number") node = node.items[segment]
    else return undefined
  }
  return node
}

/**
 * The origin of what stands at a path, or else of the nearest table around it.
 *
 * @since 0.1.0
 * @category getters
 */
export const originOf = (self: Node, path: Origin.Path): Origin.Origin => {
  for (let length = path.length; length > 0; length--) {
    const node = get(self, path.slice(0, length))
    if (node !== undefined) return node.origin
  }
  return self.origin
}

/**
 * Lays a tree over a weaker one: tables merge, anything else replaces. A table keeps the origin where it was
 * first stated. Merging is associative.
 *
 * @since 0.1.0
 * @category combinators
 */
export const merge = (weaker: Node | undefined, stronger: Node): Node => {
  if (weaker === undefined || stronger._tag !== "Table" || stronger.replaces) return stronger
  if (weaker._tag !== "Table") return { ...stronger, replaces: true }
  const entries = new Map(weaker.entries)
  for (const [key, node] of stronger.entries) entries.set(key, merge(entries.get(key), node))
  return { ...weaker, entries }
}

/**
 * Lays one table over a weaker one.
 *
 * @since 0.1.0
 * @category combinators
 */
export const mergeTables = (weaker: Table, stronger: Table): Table => {
  const merged = merge(weaker, stronger)
  return merged._tag === "Table" ? merged : stronger
}

/**
 * Replaces what stands at a path, making the tables on the way. An index beyond a list, or a key below a value,
 * gives `undefined`. A list whose item is replaced has the item's origin.
 *
 * @since 0.1.0
 * @category combinators
 */
export const set = (self: Node | undefined, path: Origin.Path, node: Node): Node | undefined => {
  const [segment, ...rest] = path
  if (segment === undefined) return node
  if (typeof segment === "number") {
    if (self?._tag !== "List" || segment >= self.items.length) return undefined
    const item = set(self.items[segment], rest, node)
    if (item === undefined) return undefined
    // A list of values is one value to a reader, and this is now where it comes from.
    return { ...self, items: self.items.with(segment, item), origin: rest.length === 0 ? node.origin : self.origin }
  }
  const parent = self ?? table([], node.origin)
  if (parent._tag !== "Table") return undefined
  const child = set(parent.entries.get(segment), rest, node)
  return child === undefined ? undefined : { ...parent, entries: new Map(parent.entries).set(segment, child) }
}

/**
 * Puts a node below the keys of a path.
 *
 * @since 0.1.0
 * @category combinators
 */
export const nest = (path: ReadonlyArray<string>, node: Node): Node =>
  path.reduceRight<Node>((inner, segment) => table([[segment, inner]], inner.origin), node)

/**
 * Removes keys of the outermost table.
 *
 * @since 0.1.0
 * @category combinators
 */
export const without = (self: Table, keys: ReadonlyArray<string>): Table => ({
  ...self,
  entries: new Map([...self.entries].filter(([key]) => !keys.includes(key)))
})

/**
 * Changes every leaf, given its path.
 *
 * @since 0.1.0
 * @category combinators
 */
export const mapLeaves = (self: Node, f: (leaf: Leaf, path: Origin.Path) => Node, path: Origin.Path = []): Node => {
  switch (self._tag) {
    case "Leaf":
      return f(self, path)
    case "Unset":
      return self
    case "List":
      return { ...self, items: self.items.map((item, i) => mapLeaves(item, f, [...path, i])) }
    case "Table": {
      const entries = [...self.entries].map(([key, node]) => [key, mapLeaves(node, f, [...path, key])] as const)
      return { ...self, entries: new Map(entries) }
    }
  }
}

/**
 * Gives plain objects, arrays and values. `read` tells what a leaf becomes; unset credentials are left out.
 *
 * @since 0.1.0
 * @category getters
 */
export const toPlain = (
  self: Node,
  read: (leaf: Leaf, path: Origin.Path) => unknown,
  path: Origin.Path = []
): unknown => {
  switch (self._tag) {
    case "Leaf":
      return read(self, path)
    case "Unset":
      return undefined
    case "List":
      return self.items.map((item, i) => toPlain(item, read, [...path, i]))
    case "Table": {
      const plain: Record<string, unknown> = Object.create(null)
      for (const [key, node] of self.entries) {
        if (node._tag !== "Unset") plain[key] = toPlain(node, read, [...path, key])
      }
      return plain
    }
  }
}
