/**
 * JSON Schemas for editors: one for every kind of file, generated from the Schemas that decode them.
 *
 * They are draft-07, which the TOML language servers know best. `$ref` stands alone there, and no `allOf` stands at
 * a table, since Taplo completes keys through `properties`, `patternProperties`, `additionalProperties` and `anyOf`
 * only.
 *
 * @since 0.1.0
 */
import * as FileSchemas from "./FileSchemas.ts"

type Json = FileSchemas.Json

/**
 * The names of the schemas. `global` is for environments too; `fragment` for files that only others inherit.
 *
 * @since 0.1.0
 * @category models
 */
export type Name = FileSchemas.Kind | "fragment"

/**
 * Every name.
 *
 * @since 0.1.0
 * @category models
 */
export const names: ReadonlyArray<Name> = [...FileSchemas.all.map(({ kind }) => kind), "fragment"]

/**
 * The name of a schema's file.
 *
 * @since 0.1.0
 * @category getters
 */
export const fileName = (name: Name): string => `${name}.schema.json`

/**
 * The schema for a file of a tree, by its path in the folder; `undefined` for what is no TOML.
 *
 * @since 0.1.0
 * @category getters
 */
export const nameFor = (path: string): Name | undefined => {
  if (!path.endsWith(".toml")) return undefined
  if (path === "global.toml" || /^environments\/[^/]+$/.test(path)) return "global"
  const section = /^llms\/([^/]+)\/[^/]+$/.exec(path)?.[1]
  return FileSchemas.all.find((file) => file.section !== undefined && file.section === section)?.kind ?? "fragment"
}

/** Where a file of the tree finds its schema, relative to itself. */
const relative = (path: string): string => "../".repeat(path.split("/").length - 1)

/**
 * The first line by which an editor finds the schema of a file of a tree.
 *
 * @example
 * ```ts
 * import { JsonSchema } from "@echelon/config"
 *
 * const line = JsonSchema.directive("llms/groups/fast_group.toml")
 * console.assert(line === "#:schema ../../schemas/group.schema.json")
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const directive = (path: string): string | undefined => {
  const name = nameFor(path)
  return name === undefined ? undefined : `#:schema ${relative(path) || "./"}schemas/${fileName(name)}`
}

/** `${NAME}` with its forms, not `$${`, which stands for itself. */
const variable = "(^|[^$])\\$\\{[A-Za-z_][A-Za-z0-9_]*(:[-?][^}]*)?\\}"

const definitions = { variable: { type: "string", pattern: variable } }
const orVariable = { $ref: "#/definitions/variable" }

/** Lets a variable stand for a value that is not any text. */
const admitVariable = (json: Json): Json => {
  const { type, pattern } = json
  if (json["enum"] !== undefined) return { anyOf: [json, orVariable] }
  const isText = type === "string"
  if (isText && pattern === undefined) return json
  const types = Array.isArray(type) ? type : [type]
  return {
    ...json,
    type: types.includes("string") ? type : [...types, "string"],
    pattern: pattern === undefined ? variable : `${pattern}|${variable}`
  }
}

const sentence = (text: string): string => (text === "" ? "" : `${text[0]?.toUpperCase()}${text.slice(1)}.`)

/** A default worth showing: an empty list or table says no more than that the key may be absent. */
const shownDefault = (value: unknown): value is string | number | boolean =>
  typeof value !== "object" && value !== undefined

const described = (key: FileSchemas.Key): Json => {
  const isTable = key.value._tag === "Table"
  const facts = [
    key.unit === undefined ? undefined : `Unit: ${key.unit}.`,
    isTable ? undefined : `Allowed: ${key.value.kind}.`,
    shownDefault(key.whenAbsent) ? `Default: ${JSON.stringify(key.whenAbsent)}.` : undefined,
    `Since ${key.since}.`
  ].filter((fact) => fact !== undefined)
  return {
    description: `${sentence(key.description)}\n\n${facts.join(" ")}`,
    ...(shownDefault(key.whenAbsent) ? { default: key.whenAbsent } : {})
  }
}

/** Choices for keys whose Schema admits any name, such as the rows of the provider table. */
type Choices = Readonly<Record<string, ReadonlyArray<string>>>

interface Context {
  /** Whether what is required must be there: not where a file states only part of a table. */
  readonly isWhole: boolean
  readonly choices: Choices
}

const valueSchema = (value: FileSchemas.Value, context: Context): Json => {
  switch (value._tag) {
    case "Scalar":
      return admitVariable(value.json)
    case "List": {
      // Lists replace one another whole, so each table in one is complete.
      const isTables = value.items._tag === "Table"
      const json = { ...value.json, items: valueSchema(value.items, { ...context, isWhole: true }) }
      return isTables ? json : admitVariable(json)
    }
    case "Either":
      return { anyOf: [...value.options.map((option) => plainSchema(option, context)), orVariable] }
    case "Table":
      return tableSchema(value, context)
  }
}

/** The same without variables, for a branch beside one that admits them. */
const plainSchema = (value: FileSchemas.Value, context: Context): Json =>
  value._tag === "Scalar"
    ? value.json
    : value._tag === "List"
      ? { ...value.json, items: valueSchema(value.items, context) }
      : valueSchema(value, context)

/** What may stand where no variable may. */
const literalSchema = (value: FileSchemas.Value): Json => {
  switch (value._tag) {
    case "Scalar":
      return value.json
    case "List":
      return { ...value.json, items: literalSchema(value.items) }
    case "Either":
      return { anyOf: value.options.map(literalSchema) }
    case "Table":
      return tableSchema(value, { isWhole: false, choices: {} })
  }
}

const keySchema = (key: FileSchemas.Key, context: Context): Json => {
  const values = context.choices[key.name]
  const schema =
    values !== undefined
      ? admitVariable({ type: "string", enum: values })
      : key.name === FileSchemas.inheritanceKey
        ? literalSchema(key.value)
        : valueSchema(key.value, context)
  const facts = described(key)
  const branches = schema["anyOf"]
  if (!Array.isArray(branches)) return { ...schema, ...facts }
  // Taplo completes a key with what the branch says, not with what stands around it.
  const { description } = facts
  return {
    ...facts,
    anyOf: branches.map((branch) =>
      "$ref" in branch ? branch : "enum" in branch ? { ...branch, ...facts } : { ...branch, description }
    )
  }
}

const requiredOf = (table: FileSchemas.Table): ReadonlyArray<string> =>
  table.keys.filter((key) => key.isRequired).map((key) => key.name)

const tableSchema = (table: FileSchemas.Table, context: Context): Json => {
  const inner = { ...context, choices: {} }
  const required = context.isWhole ? requiredOf(table) : []
  const rest = table.rest
  const anything = rest === undefined ? undefined : valueSchema(rest.value, inner)
  return {
    type: "object",
    ...(table.keys.length === 0
      ? {}
      : { properties: Object.fromEntries(table.keys.map((key) => [key.name, keySchema(key, context)])) }),
    ...(required.length === 0 ? {} : { required }),
    ...(rest?.pattern === undefined ? {} : { patternProperties: { [rest.pattern]: anything } }),
    additionalProperties: anything === undefined || rest?.pattern !== undefined ? false : anything
  }
}

/** Only what is required, at any depth, or nothing. */
const requirements = (table: FileSchemas.Table): Json | undefined => {
  const required = requiredOf(table)
  const below = (value: FileSchemas.Value): Json | undefined =>
    value._tag === "Table" ? requirements(value) : undefined
  const properties = table.keys.flatMap((key) => {
    const inner = below(key.value)
    return inner === undefined ? [] : [[key.name, inner] as const]
  })
  const rest = table.rest === undefined ? undefined : below(table.rest.value)
  const pattern = table.rest?.pattern ?? ".*"
  const made = {
    ...(required.length === 0 ? {} : { required }),
    ...(properties.length === 0 ? {} : { properties: Object.fromEntries(properties) }),
    ...(rest === undefined ? {} : { patternProperties: { [pattern]: rest } })
  }
  return Object.keys(made).length === 0 ? undefined : made
}

/**
 * What the schemas depend on beside the Schemas.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The rows of the provider table; any name is allowed when they are absent. */
  readonly kinds?: ReadonlyArray<string> | undefined
}

const find = (kind: FileSchemas.Kind): FileSchemas.FileSchema => {
  const found = FileSchemas.all.find((file) => file.kind === kind)
  if (found === undefined) throw new RangeError(`JsonSchema.make: kind must be a kind of file, got ${kind}`)
  return found
}

const head = (title: string, description: string): Json => ({
  $schema: "http://json-schema.org/draft-07/schema#",
  $comment: "Generated from the Schemas that decode the files: echelon schema --out DIR",
  title,
  description
})

/**
 * Makes the schema of a kind of file.
 *
 * **Details** Unknown keys are not allowed, except where names are keys. A `${NAME}` may stand for any value and
 * any list of values, but for `inherits_from`. A file that inherits may leave out what is required: its parents may state it. Keys of
 * `global` are never required: they are laid over other files.
 *
 * **Gotchas** A schema sees one file. What global.toml or an environment adds to a file is not known to it, and
 * references are not looked up; `echelon check` does both.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (name: Name, options: Options = {}): Json => {
  const contextOf = (kind: FileSchemas.Kind): Context => ({
    isWhole: false,
    choices: kind === "provider" && options.kinds !== undefined ? { kind: options.kinds } : {}
  })
  const part = (file: FileSchemas.FileSchema, isFile: boolean): Json =>
    tableSchema(FileSchemas.outline(file, { isFile }), contextOf(file.kind))
  const entities = FileSchemas.all.filter(({ section }) => section !== undefined)
  if (name === "fragment") {
    const description = "Keys of any one kind of file below llms, for others to inherit; none is required here."
    return {
      ...head("Fragment", description),
      anyOf: entities.map((file) => ({ title: file.title, ...part(file, true) })),
      definitions
    }
  }
  const file = find(name)
  const own = part(file, true)
  if (file.section === undefined) {
    const llms = Object.fromEntries(
      entities.map((entity) => [
        entity.section,
        {
          type: "object",
          description: `${entity.title}, by name: ${entity.place}`,
          additionalProperties: { $ref: `#/definitions/${entity.kind}` }
        }
      ])
    )
    const properties = {
      ...(own["properties"] as Json),
      llms: {
        type: "object",
        description: "Every other file, by its path.",
        properties: llms,
        additionalProperties: false
      }
    }
    const parts = Object.fromEntries(entities.map((entity) => [entity.kind, part(entity, false)]))
    return { ...head(file.title, file.description), ...own, properties, definitions: { ...definitions, ...parts } }
  }
  const required = requirements(FileSchemas.outline(file, { isFile: false }))
  return {
    ...head(file.title, file.description),
    ...own,
    ...(required === undefined ? {} : { if: { required: ["inherits_from"] }, else: required }),
    definitions
  }
}

/** Writes a value as Biome and Prettier lay out JSON: lists of plain values on one line while they fit. */
const layOut = (value: unknown, indent: string, used: number): string => {
  if (Array.isArray(value)) {
    const line = `[${value.map((item) => JSON.stringify(item)).join(", ")}]`
    const isPlain = value.every((item) => typeof item !== "object")
    if (value.length === 0 || (isPlain && indent.length + used + line.length < 120)) return line
    const items = value.map((item) => `${indent}  ${layOut(item, `${indent}  `, 0)}`)
    return `[\n${items.join(",\n")}\n${indent}]`
  }
  if (typeof value !== "object" || value === null) return JSON.stringify(value)
  const entries = Object.entries(value).map(([key, item]) => {
    const label = `${JSON.stringify(key)}: `
    return `${indent}  ${label}${layOut(item, `${indent}  `, label.length)}`
  })
  return entries.length === 0 ? "{}" : `{\n${entries.join(",\n")}\n${indent}}`
}

/**
 * Writes a schema as the text of its file.
 *
 * @since 0.1.0
 * @category getters
 */
export const toText = (schema: Json): string => `${layOut(schema, "", 0)}\n`

/**
 * Every schema's file by name.
 *
 * @since 0.1.0
 * @category getters
 */
export const files = (options: Options = {}): Readonly<Record<string, string>> =>
  Object.fromEntries(names.map((name) => [fileName(name), toText(make(name, options))]))
