/**
 * The keys that each kind of file may hold, read from the Schemas that decode them: for editors, and for the
 * reference.
 *
 * Nothing here is stated a second time: defaults, units, descriptions and what is allowed are annotations of the
 * Schemas.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as Field from "./Field.ts"
import * as GlobalFile from "./GlobalFile.ts"
import * as GroupFile from "./GroupFile.ts"
import * as PoolFile from "./PoolFile.ts"
import * as ProviderFile from "./ProviderFile.ts"
import * as WrapperFile from "./WrapperFile.ts"

/**
 * Keywords of JSON Schema.
 *
 * @since 0.1.0
 * @category models
 */
export type Json = Readonly<Record<string, unknown>>

/**
 * What may stand at a key. `kind` is what is allowed in a few words.
 *
 * @since 0.1.0
 * @category models
 */
export type Value =
  | { readonly _tag: "Scalar"; readonly kind: string; readonly json: Json }
  | { readonly _tag: "List"; readonly kind: string; readonly json: Json; readonly items: Value }
  | { readonly _tag: "Either"; readonly kind: string; readonly options: ReadonlyArray<Value> }
  | Table

/**
 * A table with the keys it may have; `rest` stands for every key that is a name, `[models.ALIAS]` for example.
 *
 * @since 0.1.0
 * @category models
 */
export interface Table {
  readonly _tag: "Table"
  readonly kind: string
  readonly keys: ReadonlyArray<Key>
  readonly rest: Rest | undefined
}

/**
 * What a reader is told of a key beside what may stand at it. `whenAbsent` is its default as a file would state it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Facts {
  readonly whenAbsent: unknown
  readonly unit: string | undefined
  readonly description: string
  readonly since: string
}

/**
 * Keys of a table that are names. Without a pattern any name is allowed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rest extends Facts {
  readonly label: string
  readonly pattern: string | undefined
  readonly value: Value
}

/**
 * A key of a table.
 *
 * @since 0.1.0
 * @category models
 */
export interface Key extends Facts {
  readonly name: string
  readonly value: Value
  readonly isRequired: boolean
}

/**
 * The names of the kinds of files.
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = "provider" | "group" | "pool" | "wrapper" | "global"

/**
 * A kind of file.
 *
 * @since 0.1.0
 * @category models
 */
export interface FileSchema {
  readonly kind: Kind
  /** Where its files are. */
  readonly place: string
  readonly title: string
  readonly description: string
  /** The table of the tree in which its files stand by name, below `llms`. */
  readonly section: string | undefined
  readonly schema: Schema.Top
}

/**
 * Every kind of file, from what is asked to who asks.
 *
 * @since 0.1.0
 * @category models
 */
export const all: ReadonlyArray<FileSchema> = [
  {
    kind: "provider",
    place: "llms/provider/*.toml",
    title: "Provider",
    description: "An account at a provider and its models. Provider and alias name an instance: `openai-gpt4`.",
    section: "provider",
    schema: ProviderFile.ProviderFile
  },
  {
    kind: "group",
    place: "llms/groups/*.toml",
    title: "Task group",
    description: "Echelons of instances in order, and what happens when an attempt fails.",
    section: "groups",
    schema: GroupFile.GroupFile
  },
  {
    kind: "pool",
    place: "llms/polling_pools/*.toml",
    title: "Pool",
    description: "Rotates requests over the instances of its task groups.",
    section: "polling_pools",
    schema: PoolFile.PoolFile
  },
  {
    kind: "wrapper",
    place: "llms/wrappers/*.toml",
    title: "Wrapper",
    description: "A named front to a pool or a task group, with a queue and a time budget of its own.",
    section: "wrappers",
    schema: WrapperFile.WrapperFile
  },
  {
    kind: "global",
    place: "global.toml, environments/*.toml",
    title: "Whole tree",
    description: "What belongs to no other file. Every other file is reached from here by its path, below `llms`.",
    section: undefined,
    schema: GlobalFile.GlobalFile
  }
]

const annotation = <A>(ast: SchemaAST.AST, key: string): A | undefined => SchemaAST.resolveAt<A>(key)(ast)

const unreadable = (path: string, ast: SchemaAST.AST): never => {
  throw new RangeError(`FileSchemas.outline: ${path} must be a table, list or annotated value, got ${ast._tag}`)
}

/** Text of the only literals of a union, or of a literal. */
const literals = (ast: SchemaAST.AST): ReadonlyArray<string> | undefined => {
  const parts = SchemaAST.isUnion(ast) ? ast.types : [ast]
  const values = parts.flatMap((part) => (SchemaAST.isLiteral(part) ? [String(part.literal)] : []))
  return values.length === parts.length ? values : undefined
}

const factsOf = (ast: SchemaAST.AST): Facts => ({
  whenAbsent: annotation<unknown>(ast, "whenAbsent"),
  unit: annotation<string>(ast, "unit"),
  description: annotation<string>(ast, "description") ?? "",
  since: annotation<string>(ast, "since") ?? ""
})

const restOf = (ast: SchemaAST.Objects, path: string): Rest | undefined => {
  const [signature] = ast.indexSignatures
  if (signature === undefined || SchemaAST.isNever(signature.type)) return undefined
  const label = annotation<string>(signature.parameter, "label") ?? "NAME"
  const pattern = annotation<{ readonly pattern?: string }>(signature.parameter, "stated")?.pattern
  return { label, pattern, value: valueOf(signature.type, `${path}.${label}`), ...factsOf(signature.type) }
}

const keysOf = (ast: SchemaAST.Objects, path: string): ReadonlyArray<Key> => {
  const encoded = SchemaAST.toEncoded(ast)
  const isOptional = (name: PropertyKey): boolean =>
    SchemaAST.isObjects(encoded) &&
    encoded.propertySignatures.some((signature) => signature.name === name && SchemaAST.isOptional(signature.type))
  return ast.propertySignatures.map(({ name, type }) => ({
    name: String(name),
    value: valueOf(type, `${path}.${String(name)}`),
    isRequired: !isOptional(name),
    ...factsOf(type)
  }))
}

/** Reads what may stand at a key; structure first, then what the annotations add. */
const valueOf = (ast: SchemaAST.AST, path: string): Value => {
  const stated = annotation<Json>(ast, "stated")
  const expected = annotation<string>(ast, "expected")
  const named = annotation<string>(ast, "kind") ?? expected?.replace(/^an? /, "")
  if (SchemaAST.isObjects(ast)) {
    return { _tag: "Table", kind: named ?? "table", keys: keysOf(ast, path), rest: restOf(ast, path) }
  }
  const values = literals(ast)
  if (values !== undefined) {
    return { _tag: "Scalar", kind: named ?? values.join(", "), json: { type: "string", enum: values } }
  }
  if (SchemaAST.isUnion(ast)) {
    const options = ast.types.map((type) => valueOf(type, path))
    return { _tag: "Either", kind: named ?? options.map((option) => option.kind).join(", or "), options }
  }
  const item = SchemaAST.isArrays(ast) ? ast.rest[0] : undefined
  if (item !== undefined) {
    const items = valueOf(item, path)
    const isChoice = items._tag === "Scalar" && items.json["enum"] !== undefined
    return {
      _tag: "List",
      kind: `${named ?? "list"}${isChoice ? `: ${items.kind}` : ""}`,
      json: { type: "array", ...stated },
      items
    }
  }
  if (SchemaAST.isString(ast)) return { _tag: "Scalar", kind: named ?? "text", json: { type: "string", ...stated } }
  if (SchemaAST.isBoolean(ast)) return { _tag: "Scalar", kind: named ?? "true or false", json: { type: "boolean" } }
  return stated === undefined ? unreadable(path, ast) : { _tag: "Scalar", kind: named ?? "value", json: stated }
}

/** Without `${`: files are laid over one another before variables are read. */
const relativePath = "^([^$]|\\$+[^${])+$"

const parent = Schema.String.check(
  Schema.makeFilter((s: string) => new RegExp(relativePath).test(s), {
    expected: "a path",
    kind: "path",
    stated: { pattern: relativePath }
  })
)

/** The key that is gone once files have been merged. */
const inheritance = Schema.Struct({
  inherits_from: Field.optional(
    Schema.Union([parent, Schema.Array(parent)]).annotate({ expected: "a path, or a list of paths" }),
    "relative to this file, within the folder, without a variable; tables merge, what stands here wins, lists replace one another whole"
  )
})

/**
 * The key in whose place no variable may stand.
 *
 * @since 0.1.0
 * @category models
 */
export const inheritanceKey = "inherits_from"

/**
 * Reads the keys of a Schema. With `isFile` the keys that only a file itself may have come first.
 *
 * **Errors** `RangeError` when a value is none that a file can state.
 *
 * @since 0.1.0
 * @category getters
 */
export const outline = ({ kind, schema }: FileSchema, options: { readonly isFile: boolean }): Table => {
  const table = valueOf(schema.ast, kind)
  if (table._tag !== "Table") throw new RangeError(`FileSchemas.outline: ${kind} must be a table`)
  return options.isFile ? { ...table, keys: [...keysOf(inheritance.ast, kind), ...table.keys] } : table
}
