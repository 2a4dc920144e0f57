/**
 * The values of a configuration with where each comes from, and what it is laid over: which file set this value?
 *
 * Secrets are not shown. Text that variables were put into is shown as it was written, for a variable may hold a
 * secret; a number, a time, `true` and `false` are shown beside it.
 *
 * @since 0.1.0
 */
import * as Nearest from "@echelon/core/Nearest"
import * as Result from "effect/Result"
import * as Decode from "./Decode.ts"
import * as Field from "./Field.ts"
import * as FileSchemas from "./FileSchemas.ts"
import * as Origin from "./Origin.ts"
import * as Resolve from "./Resolve.ts"
import * as TomlFile from "./TomlFile.ts"
import * as Tree from "./Tree.ts"

/**
 * One value. `value` is for readers; `origin` is `undefined` for a default.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry {
  readonly path: Origin.Path
  readonly value: string
  readonly origin: Origin.Origin | undefined
}

const key = (name: string, value: FileSchemas.Value): FileSchemas.Key => ({
  name,
  value,
  isRequired: false,
  whenAbsent: undefined,
  unit: undefined,
  description: "",
  since: ""
})

const table = (keys: ReadonlyArray<FileSchemas.Key>, rest?: FileSchemas.Rest): FileSchemas.Table => ({
  _tag: "Table",
  kind: "table",
  keys,
  rest
})

/** What may stand anywhere in the tree. */
const outline = (): FileSchemas.Table => {
  const outer: Array<FileSchemas.Key> = []
  const sections: Array<FileSchemas.Key> = []
  for (const file of FileSchemas.all) {
    const value = FileSchemas.outline(file, { isFile: false })
    if (file.section === undefined) outer.push(...value.keys)
    else sections.push(key(file.section, table([], { ...key("NAME", value), label: "NAME", pattern: undefined })))
  }
  return table([...outer, key("llms", table(sections))])
}

/** The key and what may stand at a segment of a path. */
const step = (value: FileSchemas.Value | undefined, segment: string | number): FileSchemas.Key | undefined => {
  switch (value?._tag) {
    case "Table": {
      const named = value.keys.find(({ name }) => name === segment)
      if (named !== undefined || value.rest === undefined) return named
      const { pattern } = value.rest
      const isName = pattern === undefined || new RegExp(pattern).test(String(segment))
      return isName ? { ...value.rest, name: String(segment), isRequired: false } : undefined
    }
    case "List":
      return typeof segment === "number" ? key("", value.items) : undefined
    case "Either":
      return value.options.map((option) => step(option, segment)).find((found) => found !== undefined)
    default:
      return undefined
  }
}

/**
 * What is known of the key at a path: its type, unit, default and description.
 *
 * @since 0.1.0
 * @category getters
 */
export const keyOf = (path: Origin.Path): FileSchemas.Key | undefined =>
  path.reduce<FileSchemas.Key | undefined>((found, segment) => step(found?.value, segment), key("", outline()))

/**
 * A list that a variable states in place of a value, as a list; `undefined` when it is none, or may hold what another
 * variable does.
 *
 * @since 0.1.0
 * @category getters
 */
export const statedList = (leaf: Tree.Leaf, path: Origin.Path): string | undefined => {
  const value = Tree.valueOf(leaf)
  const isWhole = leaf.fromVariable && typeof value === "string" && leaf.written === value
  if (!isWhole || step(keyOf(path)?.value, 0) === undefined) return undefined
  const items = TomlFile.parseValue(value)
  if (!Array.isArray(items)) return undefined
  const isPlain = (item: unknown): item is Tree.Scalar => typeof item !== "object" || item instanceof Date
  if (!items.every(isPlain)) return undefined
  return `[${items.map((item, i) => Decode.describe(Tree.leaf([...path, i], item, leaf.origin), [...path, i])).join(", ")}]`
}

const shownLeaf = (leaf: Tree.Leaf, path: Origin.Path, known: FileSchemas.Key | undefined): string => {
  // A key that is not known may be that of a credential, misspelt.
  if (Tree.isSecret(path) || known === undefined) return "(not shown)"
  const { fromVariable, written } = leaf
  const value = Tree.valueOf(leaf)
  const text = Decode.describe(leaf, path)
  if (!fromVariable || typeof value !== "string") return value instanceof Date ? value.toISOString() : text
  const parsed = TomlFile.parseValue(value)
  const isPlain = typeof parsed === "number" || typeof parsed === "boolean" || Field.timeOf(value) !== undefined
  if (!isPlain) return statedList(leaf, path) ?? text
  return written === undefined || written === value ? value : `${value}, written ${text}`
}

const shown = (node: Tree.Node, path: Origin.Path, known: FileSchemas.Key | undefined): string => {
  switch (node._tag) {
    case "Leaf":
      return shownLeaf(node, path, known)
    case "Unset":
      return `(the variable ${node.variable} is not set)`
    case "List":
      return `[${node.items.map((item, i) => shown(item, [...path, i], step(known?.value, i))).join(", ")}]`
    case "Table":
      return "(a table)"
  }
}

const isTables = (node: Tree.List): boolean => node.items.some((item) => item._tag === "Table")

const collect = (
  node: Tree.Node | undefined,
  known: FileSchemas.Key | undefined,
  path: Origin.Path
): ReadonlyArray<Entry> => {
  if (node === undefined) {
    const whenAbsent = known?.whenAbsent
    if (whenAbsent === undefined) return []
    if (typeof whenAbsent !== "object") return [{ path, value: JSON.stringify(whenAbsent), origin: undefined }]
    return known?.value._tag === "Table"
      ? known.value.keys.flatMap((inner) => collect(undefined, inner, [...path, inner.name]))
      : []
  }
  const below = (segment: string | number, inner: Tree.Node): ReadonlyArray<Entry> =>
    collect(inner, step(known?.value, segment), [...path, segment])
  if (node._tag === "Table") {
    const absent = known?.value._tag === "Table" ? known.value.keys.filter(({ name }) => !node.entries.has(name)) : []
    const all = [
      ...[...node.entries].flatMap(([name, inner]) => below(name, inner)),
      ...absent.flatMap((inner) => collect(undefined, inner, [...path, inner.name]))
    ]
    // As in a file: what belongs to the table itself stands before the tables in it.
    const isOwn = (entry: Entry): boolean => entry.path.length === path.length + 1
    return [...all.filter(isOwn), ...all.filter((entry) => !isOwn(entry))]
  }
  if (node._tag === "List" && isTables(node)) return node.items.flatMap((item, i) => below(i, item))
  return [{ path, value: shown(node, path, known), origin: node.origin }]
}

/**
 * Every value at a path and below, table by table: in each those that are stated, then defaults.
 *
 * @since 0.1.0
 * @category getters
 */
export const at = (tree: Tree.Table, path: Origin.Path): ReadonlyArray<Entry> =>
  collect(Tree.get(tree, path), keyOf(path), path)

/** What a file says without what it is laid over: its parents and nothing else. */
const emptied = (name: string, text: string): string => {
  const parsed = TomlFile.parse(name, name, text)
  const parents = Result.isSuccess(parsed) ? parsed.success.entries.get("inherits_from") : undefined
  if (parents === undefined) return ""
  const paths = (parents._tag === "List" ? parents.items : [parents]).flatMap((item) =>
    item._tag === "Leaf" ? [String(Tree.valueOf(item))] : []
  )
  return `inherits_from = ${JSON.stringify(paths)}`
}

/** The input without the layer that a value comes from. */
const without = (input: Resolve.Input, origin: Origin.Origin): Resolve.Input | undefined => {
  if (origin._tag === "Variable") {
    const { [origin.name]: removed, ...variables } = input.variables
    return removed === undefined ? undefined : { ...input, variables }
  }
  const prefix = `${input.root}/`
  const file = origin.file.startsWith(prefix) ? origin.file.slice(prefix.length) : origin.file
  const text = Object.hasOwn(input.files, file) ? input.files[file] : undefined
  if (text === undefined) return undefined
  const left = emptied(file, text)
  return left === text ? undefined : { ...input, files: { ...input.files, [file]: left } }
}

/**
 * Every layer that states the value at a path, the strongest first: the first one holds, the others are overridden.
 * The default, if there is one, is the last.
 *
 * **Details** The tree is resolved again without the layer that the value comes from, until none is left.
 *
 * @example
 * ```ts
 * import { Listing, Origin } from "@echelon/config"
 *
 * const input = {
 *   root: "configs",
 *   files: {
 *     "global.toml": "[llms.groups.fast.echelon1]\ntimeout = 40",
 *     "llms/groups/fast.toml": "[echelon1]\ntimeout = 30"
 *   },
 *   env: undefined,
 *   variables: {}
 * }
 * const found = Listing.layers(input, ["llms", "groups", "fast", "echelon1", "timeout"])
 * console.assert(found.map(({ value }) => value).join() === "30,40,60")
 * console.assert(found[0]?.origin !== undefined && Origin.format(found[0].origin) === "configs/llms/groups/fast.toml:2:1")
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const layers = (input: Resolve.Input, path: Origin.Path): ReadonlyArray<Entry> => {
  const found: Array<Entry> = []
  let next: Resolve.Input | undefined = input
  while (next !== undefined) {
    const node = Tree.get(Resolve.resolve(next).tree, path)
    if (node === undefined) break
    found.push({ path, value: shown(node, path, keyOf(path)), origin: node.origin })
    next = without(next, node.origin)
  }
  return [...found, ...collect(undefined, keyOf(path), path)]
}

/** The segments of a path as it is written; those between dots are marked, for an alias may hold dots. */
const segmentsOf = (text: string): ReadonlyArray<{ readonly text: string | number; readonly isBare: boolean }> =>
  [...text.matchAll(/"((?:[^"\\]|\\.)*)"|'([^']*)'|\[(\d+)\]|([^.[\]"']+)/g)].map(
    ([, double, single, index, bare]) => ({
      text: index === undefined ? (double ?? single ?? bare ?? "").replace(/\\(.)/g, "$1") : Number(index),
      isBare: bare !== undefined
    })
  )

/**
 * Reads a path as a person writes it: `llms.groups.fast_group.echelon1.timeout`, with or without quotes around a key
 * that holds dots.
 *
 * **Errors** A message with the nearest known key.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parsePath = (tree: Tree.Table, text: string): Result.Result<Origin.Path, string> => {
  const found = parseWhole(tree, text)
  if (Result.isSuccess(found) || text.trim() === "") return found
  // Whoever names a part by its name alone means one below llms.
  const sections = FileSchemas.all.flatMap(({ section }) => (section === undefined ? [] : [`llms.${section}`]))
  const meant = ["llms", ...sections]
    .map((start) => parseWhole(tree, `${start}.${text}`))
    .flatMap((path) => (Result.isSuccess(path) ? [Origin.formatPath(path.success)] : []))
  if (meant.length === 0) return found
  return Result.fail(`there is no "${text}" in the configuration; ${Nearest.hint(meant[0] ?? "", meant)}`)
}

const parseWhole = (tree: Tree.Table, text: string): Result.Result<Origin.Path, string> => {
  let left = segmentsOf(text)
  let path: Origin.Path = []
  if (left.length === 0)
    return Result.fail("a path of keys is needed, for example llms.groups.fast_group.echelon1.timeout")
  while (left.length > 0) {
    const node = Tree.get(tree, path)
    const value = keyOf(path)?.value
    const stated = node?._tag === "Table" ? [...node.entries.keys()] : []
    const known: ReadonlyArray<string | number> =
      node?._tag === "List"
        ? [...node.items.keys()]
        : [...new Set([...stated, ...(value?._tag === "Table" ? value.keys.map(({ name }) => name) : [])])]
    const bare = left.findIndex(({ isBare }) => !isBare)
    const most = Math.max(1, bare < 0 ? left.length : bare)
    let taken = 0
    for (let count = most; count > 0 && taken === 0; count--) {
      const joined =
        count === 1
          ? (left[0]?.text ?? "")
          : left
              .slice(0, count)
              .map((one) => one.text)
              .join(".")
      // An item may be named as variables name it: `models.0`.
      const index = node?._tag === "List" && /^\d+$/.test(String(joined)) ? Number(joined) : joined
      if (!known.includes(index)) continue
      path = [...path, index]
      taken = count
    }
    if (taken === 0) {
      const wanted = String(left[0]?.text)
      const where = path.length === 0 ? "the configuration" : Origin.formatPath(path)
      if (node?._tag === "Leaf" && typeof left[0]?.text === "number") {
        return Result.fail(`${where} is one value, with no items of its own; leave [${wanted}] away`)
      }
      return Result.fail(`there is no "${wanted}" in ${where}; ${Nearest.hint(wanted, known.map(String))}`)
    }
    left = left.slice(taken)
  }
  return Result.succeed(path)
}

/**
 * Writes where a value comes from: `file:line:column`, a variable, or `default`.
 *
 * @since 0.1.0
 * @category getters
 */
export const formatOrigin = (origin: Origin.Origin | undefined): string =>
  origin === undefined ? "default" : origin._tag === "Variable" ? `$${origin.name}` : Origin.format(origin)
