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

/** A configuration is nested a few levels deep, and the parser's memory grows with the square of the depth. */
const maxDepth = 64
const maxParts = 100_000

interface Excess {
  readonly offset: number
  readonly message: string
}

/** Where a string ends, or its line when it has no end: nothing after that is parsed. */
const endOfString = (text: string, start: number): number => {
  const quote = text.charAt(start)
  const isLong = text.startsWith(quote.repeat(3), start)
  let at = start + (isLong ? 3 : 1)
  for (; at < text.length; at++) {
    const c = text.charAt(at)
    if (c === "\\" && quote === '"') at++
    else if (isLong ? text.startsWith(quote.repeat(3), at) : c === quote) return at + (isLong ? 3 : 1)
    else if (c === "\n" && !isLong) return at
  }
  return at
}

/** What is too much for the parser, found in one pass before it: keys with many dots, deep nesting, many values. */
const excess = (text: string): Excess | undefined => {
  let dots = 0
  let open = 0
  let parts = 0
  let key = 0
  let at = 0
  while (at < text.length) {
    const c = text.charAt(at)
    if (c === '"' || c === "'") {
      at = endOfString(text, at)
      continue
    }
    if (c === "#") {
      const end = text.indexOf("\n", at)
      at = end < 0 ? text.length : end
      continue
    }
    if (c === ".") {
      dots++
      parts++
      if (dots >= maxDepth) return { offset: key, message: `a key of more than ${maxDepth} parts` }
    } else if ("=,[]{}\n".includes(c)) {
      dots = 0
      key = at + 1
      if (c === "=" || c === "," || c === "[") parts++
      if (c === "[" || c === "{") open++
      if (c === "]" || c === "}") open--
      if (open > maxDepth) return { offset: at, message: `lists and tables nested more than ${maxDepth} levels deep` }
    }
    if (parts > maxParts) return { offset: at, message: `more than ${maxParts} keys and values in one file` }
    at++
  }
  return undefined
}

const positionOf = (text: string, offset: number): { readonly line: number; readonly column: number } => {
  const before = text.slice(0, offset).split("\n")
  return { line: before.length, column: (before.at(-1) ?? "").length + 1 }
}

const offsetOf = (text: string, line: number, column: number): number => {
  let start = 0
  for (let i = 1; i < line; i++) start = text.indexOf("\n", start) + 1
  return start + column - 1
}

const keyText = /^(?:\s*(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')\s*\.?)+/

/** Takes the place of the key that is looked for. */
const probe = "-probe-"

/** The key that is stated again at a place, and the line where it, or what it collides with, stood first. */
const restated = (
  text: string,
  line: number,
  column: number
): { readonly key: string; readonly line: number } | undefined => {
  const offset = offsetOf(text, line, column)
  const before = text.slice(0, offset)
  const written = keyText.exec(text.slice(offset))?.[0]
  if (written === undefined) return undefined
  const keys = [...KeyLocator.locate(`${written} = 0`).keys()].map((key) => JSON.parse(key) as Origin.Path)
  const own = keys.at(-1)
  // Within the tables around the place, which the locator knows by what stands before.
  const around = [...KeyLocator.locate(`${before}${probe} = 0`).keys()]
    .map((key) => JSON.parse(key) as Origin.Path)
    .find((path) => path.at(-1) === probe)
  if (own === undefined || around === undefined) return undefined
  const path = [...around.slice(0, -1), ...own]
  const first = KeyLocator.locate(before.replace(/\[{1,2}$/, ""))
  for (let length = path.length; length >= around.length; length--) {
    const position = first.get(Origin.pathKey(path.slice(0, length)))
    if (position !== undefined) return { key: Origin.formatPath(path.slice(0, length)), line: position.line }
  }
  return undefined
}

/**
 * Parses a file. `name` is the file's name in origins, `key` the path by which a problem of the whole file goes.
 *
 * **Errors** One problem with line, column and code frame for broken TOML, a key stated twice, or a key named
 * `__proto__` or `constructor`; without a frame for more than 64 levels or 100,000 keys and values.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = (name: string, key: string, source: string): Result.Result<Tree.Table, Problem.Problem> => {
  const text = source.charCodeAt(0) === 0xfeff ? source.slice(1) : source
  const tooMuch = excess(text)
  if (tooMuch !== undefined) {
    const { column, line } = positionOf(text, tooMuch.offset)
    return Result.fail(Problem.error("size", Origin.file(name, line, column), key, tooMuch.message))
  }
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
    const again = title.startsWith("trying to redefine") ? restated(text, cause.line, cause.column) : undefined
    return Result.fail(
      Problem.error(
        "syntax",
        Origin.file(name, cause.line, cause.column),
        key,
        again === undefined
          ? `broken TOML: ${title}`
          : `broken TOML: ${again.key} is stated again; it stands on line ${again.line} already`,
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
  if (/[\r\n]/.test(text) || excess(text) !== undefined) return undefined
  try {
    return Toml.parse(`v = ${text}`, { unsafeKeyBehaviour: "throw" })["v"]
  } catch (cause) {
    if (cause instanceof Toml.TomlError) return undefined
    throw cause
  }
}
