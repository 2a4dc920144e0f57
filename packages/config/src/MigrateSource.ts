/**
 * A configuration to migrate, as it was read: its values, and where each stands.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Toml from "smol-toml"
import type * as KeyLocator from "./KeyLocator.ts"
import * as MigrateJson from "./MigrateJson.ts"
import * as MigrateYaml from "./MigrateYaml.ts"
import * as Origin from "./Origin.ts"
import * as Problem from "./Problem.ts"
import * as TomlFile from "./TomlFile.ts"
import * as Tree from "./Tree.ts"

/**
 * Keys and values, without a prototype.
 *
 * @since 0.1.0
 * @category models
 */
export type Table = Readonly<Record<string, unknown>>

/**
 * What is read. `place` is the path in a folder of configuration, when the file stands in one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Input {
  readonly file: string
  readonly text: string
  readonly place?: string | undefined
}

/**
 * A parsed file.
 *
 * @since 0.1.0
 * @category models
 */
export interface Source extends Input {
  readonly format: "toml" | "yaml" | "json"
  readonly value: Table
  readonly originAt: (path: Origin.Path) => Origin.Origin
}

/**
 * A value with the place it was stated at.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stated {
  readonly source: Source
  readonly path: Origin.Path
  readonly value: unknown
}

const maxBytes = 1_048_576
const maxValues = 50_000
const maxDepth = 64

/**
 * Whether it is keys and values.
 *
 * @since 0.1.0
 * @category guards
 */
export const isTable = (value: unknown): value is Table =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)

/** Aliases of YAML make small files stand for huge values: what is counted is what would be read. */
const copy = (value: unknown, depth: number, count: { left: number }): unknown => {
  count.left--
  if (count.left < 0 || depth > maxDepth) return undefined
  if (Array.isArray(value)) return value.map((item) => copy(item, depth + 1, count))
  if (!isTable(value)) return value
  const table: Record<string, unknown> = Object.create(null)
  for (const [key, inner] of Object.entries(value)) table[key] = copy(inner, depth + 1, count)
  return table
}

const depthOf = (value: unknown, depth = 0): number => {
  if (depth > maxDepth) return depth
  const inner: ReadonlyArray<unknown> = Array.isArray(value) ? value : isTable(value) ? Object.values(value) : []
  return inner.reduce<number>((deepest, item) => Math.max(deepest, depthOf(item, depth + 1)), depth)
}

type Read = {
  readonly value: unknown
  readonly originAt: (path: Origin.Path) => Origin.Origin
}

const nearest =
  (file: string, find: (key: string) => KeyLocator.Position | undefined) =>
  (path: Origin.Path): Origin.Origin => {
    for (let length = path.length; length > 0; length--) {
      const position = find(Origin.pathKey(path.slice(0, length)))
      if (position !== undefined) return Origin.file(file, position.line, position.column)
    }
    return Origin.file(file)
  }

const positionOf = (text: string, offset: number): KeyLocator.Position => {
  const before = text.slice(0, offset)
  const start = before.lastIndexOf("\n") + 1
  return { line: before.split("\n").length, column: offset - start + 1 }
}

const syntax = (file: string, position: KeyLocator.Position, message: string): Problem.Problem =>
  Problem.error("syntax", Origin.file(file, position.line, position.column), "file", message)

const readToml = ({ file, text }: Input): Result.Result<Read, Problem.Problem> =>
  Result.map(TomlFile.parse(file, "file", text), (tree) => ({
    // Parsed again: a tree hides its secrets, and this text is known to be whole.
    value: Toml.parse(text.replace(/^\ufeff/, ""), { unsafeKeyBehaviour: "throw" }),
    originAt: (path) => Tree.originOf(tree, path)
  }))

const readJson = ({ file, text }: Input): Result.Result<Read, Problem.Problem> => {
  const parsed = MigrateJson.parse(text)
  if (Result.isFailure(parsed)) {
    const { message, offset } = parsed.failure
    return Result.fail(syntax(file, positionOf(text, offset), `broken JSON: ${message}`))
  }
  const { offsets, value } = parsed.success
  const find = (key: string): KeyLocator.Position | undefined => {
    const offset = offsets.get(key)
    return offset === undefined ? undefined : positionOf(text, offset)
  }
  return Result.succeed({ value, originAt: nearest(file, find) })
}

const readYaml = ({ file, text }: Input): Result.Result<Read, Problem.Problem> => {
  const parsed = MigrateYaml.parse(text)
  if (Result.isFailure(parsed))
    return Result.fail(syntax(file, parsed.failure, `broken YAML: ${parsed.failure.message}`))
  const positions = MigrateYaml.locate(text)
  return Result.succeed({ value: parsed.success, originAt: nearest(file, (key) => positions.get(key)) })
}

const formatOf = ({ file, text }: Input): Source["format"] => {
  const extension = /\.(toml|ya?ml|json)$/i.exec(file)?.[1]?.toLowerCase()
  if (extension === "toml" || extension === "json") return extension
  if (extension !== undefined) return "yaml"
  return /^\s*\{/.test(text) ? "json" : "yaml"
}

const readers = { toml: readToml, json: readJson, yaml: readYaml }

/**
 * Parses a file by its ending, or by how it begins when its name has none of `.toml`, `.yaml`, `.yml`, `.json`.
 *
 * **Errors** A problem with line and column for a text that is larger than 1 MiB, broken, nested more than 64
 * deep, stands for more than 50,000 values, or holds no keys.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = (input: Input): Result.Result<Source, Problem.Problem> => {
  const { file } = input
  const refuse = (code: Problem.Code, message: string) =>
    Result.fail(Problem.error(code, Origin.file(file), "file", message))
  const bytes = new TextEncoder().encode(input.text).length
  if (bytes > maxBytes) return refuse("size", `the file has ${bytes} bytes; at most ${maxBytes} (1 MiB) are read`)
  const format = formatOf(input)
  const read = readers[format](input)
  if (Result.isFailure(read)) return Result.fail(read.failure)
  const count = { left: maxValues }
  const value = copy(read.success.value, 0, count)
  if (count.left < 0) return refuse("size", `the file stands for more than ${maxValues} values`)
  if (depthOf(read.success.value) > maxDepth) return refuse("size", `the file is nested more than ${maxDepth} deep`)
  if (!isTable(value)) return refuse("type", "the file holds no keys")
  return Result.succeed({ ...input, format, value, originAt: read.success.originAt })
}

/**
 * Finds what stands at a path.
 *
 * @since 0.1.0
 * @category getters
 */
export const get = (source: Source, path: Origin.Path): Stated | undefined => {
  let value: unknown = source.value
  for (const segment of path) {
    if (Array.isArray(value) && typeof segment === "number") value = value[segment]
    else if (isTable(value) && typeof segment === "string") value = value[segment]
    else return undefined
  }
  return value === undefined ? undefined : { source, path, value }
}

/**
 * What stands directly below a value, with its own path.
 *
 * @since 0.1.0
 * @category getters
 */
export const below = (stated: Stated | undefined): ReadonlyArray<Stated & { readonly key: string | number }> => {
  if (stated === undefined) return []
  const { path, source, value } = stated
  if (Array.isArray(value)) return value.map((item, key) => ({ source, path: [...path, key], value: item, key }))
  if (!isTable(value)) return []
  return Object.entries(value).map(([key, item]) => ({ source, path: [...path, key], value: item, key }))
}

/**
 * The paths of all keys that hold a value. A list of plain values is one value; so is an empty table.
 *
 * @since 0.1.0
 * @category getters
 */
export const keys = (value: unknown, path: Origin.Path = []): ReadonlyArray<Origin.Path> => {
  if (Array.isArray(value)) {
    const plain = value.every((item) => !Array.isArray(item) && !isTable(item))
    return plain ? [path] : value.flatMap((item, i) => keys(item, [...path, i]))
  }
  if (!isTable(value)) return [path]
  const entries = Object.entries(value)
  if (entries.length === 0) return path.length === 0 ? [] : [path]
  return entries.flatMap(([key, item]) => keys(item, [...path, key]))
}
