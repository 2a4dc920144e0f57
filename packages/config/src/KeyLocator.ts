/**
 * Where the keys of a TOML text stand. smol-toml gives positions for syntax errors only.
 *
 * The scanner reads text that already parsed: it finds where things begin and end and leaves every judgement
 * about them to the parser.
 *
 * @since 0.1.0
 */
import { parse } from "smol-toml"
import * as Origin from "./Origin.ts"

/**
 * A place in a text. Lines and columns count from 1, columns in UTF-16 units.
 *
 * @since 0.1.0
 * @category models
 */
export interface Position {
  readonly line: number
  readonly column: number
}

const lineStarts = (text: string): ReadonlyArray<number> => {
  const starts = [0]
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1)
  return starts
}

const positionAt = (starts: ReadonlyArray<number>, offset: number): Position => {
  let low = 0
  let high = starts.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if ((starts[middle] ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 }
}

/** The index after a string that begins at `start`. */
const endOfString = (text: string, start: number): number => {
  const quote = text.charAt(start)
  const escapes = quote === '"'
  const triple = quote.repeat(3)
  if (!text.startsWith(triple, start)) {
    let at = start + 1
    while (at < text.length && text.charAt(at) !== quote) at += escapes && text.charAt(at) === "\\" ? 2 : 1
    return at + 1
  }
  let at = start + 3
  while (at < text.length && !text.startsWith(triple, at)) at += escapes && text.charAt(at) === "\\" ? 2 : 1
  at += 3
  // Up to two quotes before the closing three belong to the string.
  for (let extra = 0; extra < 2 && text.charAt(at) === quote; extra++) at++
  return at
}

const bareKey = /[A-Za-z0-9_-]/

/**
 * Finds every key, table and list item of a valid TOML text, by `Origin.pathKey` of its path.
 *
 * @example
 * ```ts
 * import { KeyLocator, Origin } from "@echelon/config"
 *
 * const found = KeyLocator.locate("[echelon1]\ntimeout = 30\n")
 * console.assert(found.get(Origin.pathKey(["echelon1", "timeout"]))?.line === 2)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const locate = (text: string): ReadonlyMap<string, Position> => {
  const starts = lineStarts(text)
  const found = new Map<string, Position>()
  const items = new Map<string, number>()
  let at = text.charCodeAt(0) === 0xfeff ? 1 : 0

  const mark = (path: Origin.Path, offset: number, again: boolean): void => {
    const key = Origin.pathKey(path)
    if (again || !found.has(key)) found.set(key, positionAt(starts, offset))
  }
  const skipSpace = (): void => {
    while (text.charAt(at) === " " || text.charAt(at) === "\t") at++
  }
  const skipBlank = (): void => {
    for (;;) {
      const c = text.charAt(at)
      if (c === " " || c === "\t" || c === "\n" || c === "\r") at++
      else if (c === "#") {
        const end = text.indexOf("\n", at)
        at = end < 0 ? text.length : end
      } else return
    }
  }
  const readKey = (): ReadonlyArray<{ readonly name: string; readonly at: number }> => {
    const segments: Array<{ readonly name: string; readonly at: number }> = []
    for (;;) {
      skipSpace()
      const start = at
      const c = text.charAt(at)
      if (c === '"' || c === "'") {
        at = endOfString(text, at)
        segments.push({ name: String(parse(`k = ${text.slice(start, at)}`)["k"]), at: start })
      } else {
        while (bareKey.test(text.charAt(at))) at++
        segments.push({ name: text.slice(start, at), at: start })
      }
      skipSpace()
      if (text.charAt(at) !== ".") return segments
      at++
    }
  }
  const readPair = (base: Origin.Path): void => {
    const path = [...base]
    for (const segment of readKey()) {
      path.push(segment.name)
      mark(path, segment.at, false)
    }
    at++ // the equals sign
    readValue(path)
  }
  const readItems = (close: string, readItem: (index: number) => void): void => {
    at++
    for (let index = 0; ; index++) {
      skipBlank()
      if (at >= text.length) return
      if (text.charAt(at) === close) {
        at++
        return
      }
      readItem(index)
      skipBlank()
      if (text.charAt(at) === ",") at++
    }
  }
  const readValue = (path: Origin.Path): void => {
    skipSpace()
    const c = text.charAt(at)
    if (c === '"' || c === "'") at = endOfString(text, at)
    else if (c === "{") readItems("}", () => readPair(path))
    else if (c === "[") {
      readItems("]", (index) => {
        mark([...path, index], at, false)
        readValue([...path, index])
      })
    } else {
      const start = at
      while (at < text.length && !",]}#\n".includes(text.charAt(at))) at++
      if (at === start) at++
    }
  }
  const readHeader = (): Origin.Path => {
    const start = at
    const isList = text.startsWith("[[", at)
    at += isList ? 2 : 1
    const segments = readKey()
    at += isList ? 2 : 1
    const path: Array<string | number> = []
    segments.forEach((segment, i) => {
      path.push(segment.name)
      const last = i === segments.length - 1
      mark(path, start, last && !isList)
      const key = Origin.pathKey(path)
      const count = items.get(key)
      if (last && isList) {
        items.set(key, (count ?? 0) + 1)
        path.push(count ?? 0)
        mark(path, start, true)
      } else if (count !== undefined) path.push(count - 1)
    })
    return path
  }

  let table: Origin.Path = []
  for (skipBlank(); at < text.length; skipBlank()) {
    if (text.charAt(at) === "[") table = readHeader()
    else readPair(table)
  }
  return found
}
