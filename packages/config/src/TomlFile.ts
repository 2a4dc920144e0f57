/**
 * One TOML text as a tree, or what is wrong with its syntax.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Toml from "smol-toml"
import * as CodeFrame from "./CodeFrame.ts"
import * as KeyLocator from "./KeyLocator.ts"
import * as Origin from "./Origin.ts"
import * as Problem from "./Problem.ts"
import * as Tree from "./Tree.ts"

/** What smol-toml gives for a TOML value. */
const toNode = (
  value: unknown,
  path: Origin.Path,
  originAt: (path: Origin.Path, around: Origin.Origin) => Origin.Origin,
  around: Origin.Origin
): Tree.Node => {
  const origin = originAt(path, around)
  if (Array.isArray(value)) {
    return { _tag: "List", items: value.map((item, i) => toNode(item, [...path, i], originAt, origin)), origin }
  }
  if (typeof value === "object" && value !== null && !(value instanceof Date)) {
    const entries = Object.entries(value).map(
      ([key, inner]) => [key, toNode(inner, [...path, key], originAt, origin)] as const
    )
    return Tree.table(entries, origin)
  }
  // The parser gives nothing else: no null, no undefined, no bigint.
  return Tree.leaf(path, value as Tree.Scalar, origin)
}

/**
 * Parses a file. `name` is the file's name in origins, `key` the path by which a problem of the whole file goes.
 *
 * **Errors** One problem with line, column and code frame for broken TOML, a key stated twice, or a key named
 * `__proto__` or `constructor`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = (name: string, key: string, source: string): Result.Result<Tree.Table, Problem.Problem> => {
  const text = source.charCodeAt(0) === 0xfeff ? source.slice(1) : source
  try {
    const value = Toml.parse(text, { unsafeKeyBehaviour: "throw" })
    const positions = KeyLocator.locate(text)
    const originAt = (path: Origin.Path, around: Origin.Origin): Origin.Origin => {
      const position = positions.get(Origin.pathKey(path))
      return position === undefined ? around : Origin.file(name, position.line, position.column)
    }
    const start = Origin.file(name)
    const node = toNode(value, [], originAt, start)
    return Result.succeed(node._tag === "Table" ? node : Tree.table([], start))
  } catch (cause) {
    if (!(cause instanceof Toml.TomlError)) throw cause
    const title = (cause.message.split("\n")[0] ?? "").replace("Invalid TOML document: ", "")
    return Result.fail(
      Problem.error(
        "syntax",
        Origin.file(name, cause.line, cause.column),
        key,
        `broken TOML: ${title}`,
        CodeFrame.make(text, cause.line, cause.column)
      )
    )
  }
}

/**
 * Reads a text as a TOML value, for variables that stand for numbers, booleans and lists.
 *
 * @since 0.1.0
 * @category getters
 */
export const parseValue = (text: string): unknown => {
  if (/[\r\n]/.test(text)) return undefined
  try {
    return Toml.parse(`v = ${text}`, { unsafeKeyBehaviour: "throw" })["v"]
  } catch (cause) {
    if (cause instanceof Toml.TomlError) return undefined
    throw cause
  }
}
