/**
 * YAML by effect's parser, with the place of what is wrong and, in block style, of every key. The parser gives
 * lines for some errors, and none for keys.
 *
 * @since 0.1.0
 */
import * as Yaml from "effect/encoding/Yaml"
import * as Result from "effect/Result"
import type * as KeyLocator from "./KeyLocator.ts"
import * as Origin from "./Origin.ts"

/**
 * What is wrong, and where.
 *
 * @since 0.1.0
 * @category errors
 */
export interface Failure extends KeyLocator.Position {
  readonly message: string
}

const attempt = (text: string): Result.Result<unknown, string> => {
  try {
    return Result.succeed(Yaml.parse(text))
  } catch (cause) {
    // The parser reports by throwing; deep nesting ends its stack.
    if (cause instanceof RangeError) return Result.fail("nested too deeply")
    if (cause instanceof SyntaxError) return Result.fail(cause.message)
    throw cause
  }
}

/** The first line with which the text up to it fails in the same way: the parser reads on from there no more. */
const failingLine = (lines: ReadonlyArray<string>, message: string): number => {
  let low = 1
  let high = lines.length
  while (low < high) {
    const middle = (low + high) >> 1
    const result = attempt(lines.slice(0, middle).join("\n"))
    if (Result.isFailure(result) && result.failure === message) high = middle
    else low = middle + 1
  }
  // A text that ends too early fails at its end, which may be blank.
  while (low > 1 && (lines[low - 1] ?? "").trim() === "") low--
  return low
}

/**
 * Parses a text.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = (text: string): Result.Result<unknown, Failure> => {
  const result = attempt(text)
  if (Result.isSuccess(result)) return Result.succeed(result.success)
  const lines = text.replace(/\r\n?/g, "\n").split("\n")
  const stated = / at line (\d+)$/.exec(result.failure)?.[1]
  const line = stated === undefined ? failingLine(lines, result.failure) : Number(stated)
  const column = (lines[line - 1] ?? "").search(/\S/) + 1 || 1
  const message = result.failure.replace(/ at (?:line|flow offset) \d+$/, "")
  return Result.fail({ message: message.charAt(0).toLowerCase() + message.slice(1), line, column })
}

interface Frame {
  readonly indent: number
  readonly path: Origin.Path
  /** The number of the item that is open, in a list. */
  index: number | undefined
  /** What the next deeper lines belong to. */
  open: Origin.Path
}

const entry = /^("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s"'#&*!|>%@`[\]{},-][^#]*?|-[^\s#][^#]*?)\s*:(?:\s+(.*))?$/

const unquote = (text: string): string => {
  if (text.startsWith('"')) return text.slice(1, -1).replace(/\\(.)/g, "$1")
  return text.startsWith("'") ? text.slice(1, -1).replaceAll("''", "'") : text
}

/**
 * Finds the keys and items of block collections, by `Origin.pathKey` of their path. What stands in a flow
 * collection is not looked for: it has the place of the key before it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const locate = (text: string): ReadonlyMap<string, KeyLocator.Position> => {
  const found = new Map<string, KeyLocator.Position>()
  const frames: Array<Frame> = [{ indent: -1, path: [], index: undefined, open: [] }]
  const mark = (path: Origin.Path, line: number, column: number): void => {
    const key = Origin.pathKey(path)
    if (!found.has(key)) found.set(key, { line, column })
  }
  /** The collection that a line at a column continues, or a new one in what is open. */
  const frameAt = (indent: number, isList: boolean): Frame => {
    for (let top = frames.at(-1); top !== undefined && top.indent >= indent; top = frames.at(-1)) {
      if (top.indent === indent && (top.index !== undefined) === isList) return top
      // A list may stand at the column of the key that holds it.
      if (top.indent === indent && isList) break
      frames.pop()
    }
    const path = frames.at(-1)?.open ?? []
    const frame: Frame = { indent, path, index: isList ? -1 : undefined, open: path }
    frames.push(frame)
    return frame
  }
  let block = -1
  text.split(/\r\n?|\n/).forEach((raw, i) => {
    let indent = raw.search(/\S/)
    if (indent < 0) return
    if (block >= 0 && indent > block) return
    block = -1
    let rest = raw.slice(indent)
    if (rest.startsWith("#") || rest.startsWith("---")) return
    for (let item = /^-(?:\s+|$)/.exec(rest); item !== null; item = /^-(?:\s+|$)/.exec(rest)) {
      const frame = frameAt(indent, true)
      frame.index = (frame.index ?? -1) + 1
      frame.open = [...frame.path, frame.index]
      mark(frame.open, i + 1, indent + 1)
      indent += item[0].length
      rest = rest.slice(item[0].length)
    }
    const match = entry.exec(rest)
    if (match === null) return
    const frame = frameAt(indent, false)
    frame.open = [...frame.path, unquote(match[1] ?? "")]
    mark(frame.open, i + 1, indent + 1)
    if (/^[|>]/.test(match[2] ?? "")) block = indent
  })
  return found
}
