/**
 * TOML text with comments, in the order in which things were put in. smol-toml writes no comments.
 *
 * @since 0.1.0
 */

/**
 * What can stand behind an equals sign.
 *
 * @since 0.1.0
 * @category models
 */
export type Value = string | number | boolean | Date | ReadonlyArray<Value> | { readonly [key: string]: Value }

/**
 * A value with the comment at its line's end, or a table.
 *
 * @since 0.1.0
 * @category models
 */
export type Node =
  | { readonly _tag: "Value"; readonly value: Value; readonly comment: string | undefined }
  | { readonly _tag: "Table"; readonly entries: ReadonlyMap<string, Node> }

/**
 * A file: comment lines at its top, and its outermost table.
 *
 * @since 0.1.0
 * @category models
 */
export interface Document {
  readonly header: ReadonlyArray<string>
  readonly entries: ReadonlyMap<string, Node>
}

const bare = /^[A-Za-z0-9_-]+$/

/** What JSON escapes is what TOML's basic strings escape, but for the delete character and half a surrogate pair. */
const quote = (text: string): string => JSON.stringify(text.toWellFormed()).replaceAll("\u007f", "\\u007F")

const key = (text: string): string => (bare.test(text) ? text : quote(text))

/** A whole number that a double cannot hold exactly is a float: TOML's integers are exact. */
const number = (one: number): string => {
  if (!Number.isFinite(one)) return Number.isNaN(one) ? "nan" : one < 0 ? "-inf" : "inf"
  const text = String(one)
  return Number.isSafeInteger(one) || /[.e]/.test(text) ? text : `${text}.0`
}

const isList = (value: Value): value is ReadonlyArray<Value> => Array.isArray(value)

/**
 * Writes a value on one line.
 *
 * @since 0.1.0
 * @category getters
 */
export const value = (one: Value): string => {
  if (typeof one === "string") return quote(one)
  if (typeof one === "number") return number(one)
  if (typeof one === "boolean") return String(one)
  if (one instanceof Date) return one.toISOString()
  if (isList(one)) return `[${one.map(value).join(", ")}]`
  const pairs = Object.entries(one).map(([name, inner]) => `${key(name)} = ${value(inner)}`)
  return pairs.length === 0 ? "{}" : `{ ${pairs.join(", ")} }`
}

/** A comment is one line of printable text, whatever it was made from. */
const comment = (text: string): string => `# ${text.toWellFormed().replace(/\p{Cc}+/gu, " ")}`

const write = (path: ReadonlyArray<string>, entries: ReadonlyMap<string, Node>): ReadonlyArray<string> => {
  const values: Array<string> = []
  const tables: Array<string> = []
  for (const [name, node] of entries) {
    if (node._tag === "Table") tables.push(...write([...path, name], node.entries))
    else {
      const end = node.comment === undefined ? "" : ` ${comment(node.comment)}`
      values.push(`${key(name)} = ${value(node.value)}${end}`)
    }
  }
  // A table that holds nothing but tables needs no header of its own.
  const header = path.length > 0 && (values.length > 0 || tables.length === 0)
  return [...(header ? ["", `[${path.map(key).join(".")}]`] : []), ...values, ...tables]
}

/**
 * Writes a file. Values stand before tables, each in their order.
 *
 * @example
 * ```ts
 * import { TomlWriter } from "@echelon/config"
 *
 * const text = TomlWriter.document({
 *   header: ["A group"],
 *   entries: new Map([["name", { _tag: "Value", value: "fast", comment: "as before" }]])
 * })
 * console.assert(text === '# A group\n\nname = "fast" # as before\n')
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const document = ({ entries, header }: Document): string => {
  const lines = write([], entries)
  const gap = header.length > 0 && lines.length > 0 && lines[0] !== "" ? [""] : []
  return `${[...header.map(comment), ...gap, ...lines].join("\n")}\n`
}
