/**
 * JSON with the place of every key. `JSON.parse` gives places for some errors only, and quotes the text in others,
 * where a secret may stand.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Origin from "./Origin.ts"

/**
 * A value, and where its keys and items begin, by `Origin.pathKey`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Parsed {
  readonly value: unknown
  readonly offsets: ReadonlyMap<string, number>
}

/**
 * What is wrong, and where.
 *
 * @since 0.1.0
 * @category errors
 */
export interface Failure {
  readonly message: string
  readonly offset: number
}

/** Deeper than any configuration, and far from the end of the stack. */
const maxDepth = 200

const number = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
const words: ReadonlyArray<readonly [string, unknown]> = [
  ["true", true],
  ["false", false],
  ["null", null]
]

/**
 * Parses a text.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = (text: string): Result.Result<Parsed, Failure> => {
  const offsets = new Map<string, number>()
  let at = 0
  let failure: Failure | undefined

  const fail = (message: string, offset = at): undefined => {
    failure ??= { message, offset }
    return undefined
  }
  const skip = (): void => {
    while (" \t\r\n".includes(text.charAt(at)) && at < text.length) at++
  }
  const expected = (what: string): undefined =>
    fail(at >= text.length ? `the text ends where ${what} is expected` : `expected ${what}`)
  const string = (): string | undefined => {
    const start = at
    for (at++; at < text.length; at++) {
      const code = text.charCodeAt(at)
      if (code === 0x22) {
        at++
        try {
          return String(JSON.parse(text.slice(start, at)))
        } catch {
          // The text is delimited and has no control characters, so an escape is wrong.
          return fail("a text holds an unknown escape", start)
        }
      }
      if (code < 0x20) return fail("a text holds a line break or a control character")
      if (code === 0x5c) at++
    }
    return fail("a text is not closed", start)
  }
  const items = (close: string, item: (index: number) => boolean): boolean => {
    at++
    skip()
    if (text.charAt(at) === close) {
      at++
      return true
    }
    for (let index = 0; ; index++) {
      skip()
      if (!item(index)) return false
      skip()
      const next = text.charAt(at)
      if (next !== "," && next !== close) {
        expected(`"," or "${close}"`)
        return false
      }
      at++
      if (next === close) return true
    }
  }
  const value = (path: Origin.Path): unknown => {
    skip()
    if (path.length > maxDepth) return fail(`nested more than ${maxDepth} deep`)
    const c = text.charAt(at)
    if (c === '"') return string()
    if (c === "{") {
      const table: Record<string, unknown> = Object.create(null)
      items("}", () => {
        const start = at
        if (text.charAt(at) !== '"') return expected("a key in double quotes") !== undefined
        const key = string()
        if (key === undefined) return false
        if (key in table) return fail(`the key ${JSON.stringify(key)} is stated twice`, start) !== undefined
        offsets.set(Origin.pathKey([...path, key]), start)
        skip()
        if (text.charAt(at) !== ":") return expected('":"') !== undefined
        at++
        table[key] = value([...path, key])
        return failure === undefined
      })
      return table
    }
    if (c === "[") {
      const list: Array<unknown> = []
      items("]", (index) => {
        offsets.set(Origin.pathKey([...path, index]), at)
        list.push(value([...path, index]))
        return failure === undefined
      })
      return list
    }
    const word = words.find(([name]) => text.startsWith(name, at))
    if (word !== undefined) {
      at += word[0].length
      return word[1]
    }
    number.lastIndex = at
    const match = number.exec(text)
    if (match === null) return expected("a value")
    at += match[0].length
    return Number(match[0])
  }

  if (text.charCodeAt(0) === 0xfeff) at = 1
  const parsed = value([])
  skip()
  if (failure === undefined && at < text.length) fail("something follows the end of the value")
  return failure === undefined ? Result.succeed({ value: parsed, offsets }) : Result.fail(failure)
}
