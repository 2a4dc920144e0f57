/**
 * The lines of a file around a syntax error, without the secrets that may stand on them.
 *
 * A broken file cannot be parsed, and a text that is out of its place may be a secret, so nothing is shown but what
 * is known to be none: the structure, names of tables and keys, numbers, and values of keys that hold names.
 * Everything else is `***`.
 *
 * @since 0.1.0
 */
import * as FileSchemas from "./FileSchemas.ts"
import * as Tree from "./Tree.ts"

/** A run of the source and what is shown for it. */
interface Piece {
  readonly source: string
  readonly shown: string
}

type Known = ReadonlySet<string>

const keysOf = (value: FileSchemas.Value): ReadonlyArray<string> => {
  switch (value._tag) {
    case "Table":
      return [
        ...value.keys.flatMap((key) => [key.name, ...keysOf(key.value)]),
        ...(value.rest === undefined ? [] : keysOf(value.rest.value))
      ]
    case "List":
      return keysOf(value.items)
    case "Either":
      return value.options.flatMap(keysOf)
    case "Scalar":
      return []
  }
}

/** Every key that any file may state. */
const knownKeys = (): Known =>
  new Set([
    "llms",
    ...FileSchemas.all.flatMap((file) => [
      ...(file.section === undefined ? [] : [file.section]),
      ...keysOf(FileSchemas.outline(file, { isFile: true }))
    ])
  ])

/** Keys that hold names of things or choices. */
const named =
  /^(kind|type|models?|task_groups|fallback_groups|pool_name|group_name|strategy|rotation_strategy|algorithm|upstream)$/
const name = /^(?:"[\w.@/-]*"|\[\s*(?:"[\w.@/:-]*"\s*,?\s*)*\]?)$/
const number = /^(?:true|false|[+-]?\d[\d_.]{0,11}[a-z]{0,2})$/
const shortNumber = /^(?:true|false|[+-]?\d[\d.]{0,3}[a-z]{0,2})$/

const segment = String.raw`(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')`
const dotted = String.raw`${segment}(?:\s*\.\s*${segment})*`
const tableLine = new RegExp(String.raw`^(\s*\[{1,2}\s*)(${dotted})(\s*\]{0,2}\s*)(#.*)?$`)
const assignment = new RegExp(String.raw`^(\s*)(${dotted})(\s*=\s*)(.*)$`)
/** How every value begins. What follows the `=` of anything else, text that ends in one for example, does not. */
const valueStart = /^(?:["'[{\d+-]|true|false|inf|nan)/

const kept = (source: string): Piece => ({ source, shown: source.replace(/\s/g, " ") })
const hidden = (source: string, shown = "***"): Piece => ({ source, shown: source === "" ? "" : shown })
const comment = (source: string | undefined): Piece => hidden(source ?? "", "# ***")

const bare = (one: string): string => one.replace(/^["']|["']$/g, "")
const segmentsOf = (key: string): ReadonlyArray<string> => key.match(new RegExp(segment, "g")) ?? []

/** The parts of a key; those that `isShown` does not allow are hidden. */
const keyPieces = (key: string, isShown: (one: string, i: number) => boolean): ReadonlyArray<Piece> => {
  let i = 0
  return [...key.matchAll(new RegExp(`${segment}|[^A-Za-z0-9_"'-]+`, "g"))].map(([part]) => {
    if (!/^[A-Za-z0-9_"'-]/.test(part)) return kept(part)
    return isShown(part, i++) ? kept(part) : hidden(part)
  })
}

const isName = (part: string): boolean => /^(?:[A-Za-z0-9_-]{1,40}|"[\w.:/@-]{1,40}"|'[\w.:/@-]{1,40}')$/.test(part)

const isKnown = (part: string, known: Known): boolean => known.has(bare(part)) || /^echelon\d{1,3}$/.test(part)

const tablePieces = (line: string, known: Known): ReadonlyArray<Piece> | undefined => {
  const [, open = "", key = "", close = "", rest] = tableLine.exec(line) ?? []
  const [first = ""] = segmentsOf(key)
  // A list over several lines may have a list in it that looks the same.
  if (!isKnown(first, known) && !/^[a-z_]{1,24}$/.test(first)) return undefined
  const isShown = (part: string, i: number): boolean => i === 0 || (isKnown(first, known) && isName(part))
  return [kept(open), ...keyPieces(key, isShown), kept(close), comment(rest)]
}

const inner = /\s+|[[\]{},=]|#.*|"(?:[^"\\]|\\.)*"?|'[^']*'?|[^\s"'[\]{},=#]+/g

/** A list or an inline table: its structure and the keys that are known. */
const structure = (value: string, known: Known): ReadonlyArray<Piece> =>
  [...value.matchAll(inner)].map(([part]) => {
    if (/^[\s[\]{},=]/.test(part)) return kept(part)
    if (part.startsWith("#")) return comment(part)
    if (/^["']/.test(part)) return hidden(part, `${part.charAt(0)}***${part.charAt(0)}`)
    return known.has(part) ? kept(part) : hidden(part)
  })

/** The nearest table above a line. */
const tableAbove = (lines: ReadonlyArray<string>, index: number): ReadonlyArray<string> => {
  for (let i = index - 1; i >= 0; i--) {
    const key = tableLine.exec(lines[i] ?? "")?.[2]
    if (key !== undefined) return segmentsOf(key).map(bare)
  }
  return []
}

const valuePieces = (value: string, path: ReadonlyArray<string>, known: Known): ReadonlyArray<Piece> => {
  const last = path.at(-1) ?? ""
  const [, text = "", space = "", rest] = /^([^#]*?)(\s*)(#.*)?$/.exec(value) ?? []
  const isOpen = !Tree.isSecret(path) && !path.some((one) => /credential|header|query|secret|cookie/i.test(one))
  const isPlain = (known.has(last) ? number : shortNumber).test(text) || (named.test(last) && name.test(text))
  if (isOpen && isPlain) return [kept(text), kept(space), comment(rest)]
  return /^[[{]/.test(value) ? structure(value, known) : [hidden(value)]
}

const assignmentPieces = (
  line: string,
  above: ReadonlyArray<string>,
  known: Known
): ReadonlyArray<Piece> | undefined => {
  const [, indent = "", key, equals = "", value = ""] = assignment.exec(line) ?? []
  if (key === undefined) return undefined
  const segments = segmentsOf(key)
  const isKey = isKnown(segments[0] ?? "", known) || valueStart.test(value)
  if (!isKey) return undefined
  const path = [...above, ...segments.map(bare)]
  const isShown = (part: string): boolean => isKnown(part, known) || (valueStart.test(value) && isName(part))
  return [kept(indent), ...keyPieces(key, isShown), kept(equals), ...valuePieces(value, path, known)]
}

/** A line that is neither: a key or an `=` that has lost the rest, brackets, a comment, or anything at all. */
const otherPieces = (line: string, known: Known): ReadonlyArray<Piece> => {
  if (/^[\s[\]{},]*$/.test(line)) return [kept(line)]
  const [, indent = "", start = "", gap = "", rest = ""] = /^(\s*)([A-Za-z_]\w*|=|)(\s*:?\s*)(.*)$/.exec(line) ?? []
  if (start === "=" || known.has(start)) return [kept(indent), kept(start), kept(gap), hidden(rest)]
  const text = `${start}${gap}${rest}`
  return [kept(indent), text.startsWith("#") ? comment(text) : hidden(line.slice(indent.length))]
}

const piecesOf = (lines: ReadonlyArray<string>, index: number, known: Known): ReadonlyArray<Piece> => {
  const line = lines[index] ?? ""
  return tablePieces(line, known) ?? assignmentPieces(line, tableAbove(lines, index), known) ?? otherPieces(line, known)
}

/** Where a place of the source is in what is shown. */
const offsetOf = (pieces: ReadonlyArray<Piece>, offset: number): number => {
  let left = Math.max(offset, 0)
  let shown = 0
  for (const piece of pieces) {
    if (left < piece.source.length) return shown + Math.min(left, piece.shown.length)
    left -= piece.source.length
    shown += piece.shown.length
  }
  return shown
}

const widest = 120

/** A line, or the part of it around a place, with where the place is in that. */
const around = (text: string, offset: number): readonly [text: string, offset: number] => {
  const start = text.length <= widest ? 0 : Math.max(0, Math.min(offset - widest / 2, text.length - widest))
  const before = start === 0 ? "" : "..."
  const after = start + widest < text.length ? "..." : ""
  return [`${before}${text.slice(start, start + widest)}${after}`, offset - start + before.length]
}

/**
 * Renders the line of an error with one line before and after, and a caret below its column.
 *
 * **Details** Of a long line the part around the column is shown.
 *
 * @since 0.1.0
 * @category getters
 */
export const make = (text: string, line: number, column: number): string => {
  const lines = text.split(/\r?\n/)
  const known = knownKeys()
  const width = String(line + 1).length
  const shown: Array<string> = []
  for (let n = Math.max(1, line - 1); n <= Math.min(lines.length, line + 1); n++) {
    const pieces = piecesOf(lines, n - 1, known)
    const whole = pieces.map((piece) => piece.shown).join("")
    const [visible, offset] = around(whole, n === line ? offsetOf(pieces, column - 1) : 0)
    shown.push(`${String(n).padStart(width)} | ${visible}`)
    if (n === line) shown.push(`${" ".repeat(width)} | ${" ".repeat(offset)}^`)
  }
  return shown.join("\n")
}
