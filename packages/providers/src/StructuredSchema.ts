/**
 * JSON Schemas as providers take them that hold an answer to one: every object names all its properties, and of the
 * keywords only some are known. What is not known is told to the model in the description and named to `dropped`.
 *
 * **Details** A schema only becomes narrower: what fits what is sent fits what was asked. What was asked in words that
 * are not taken, a bound for example, is to be checked by who reads the answer. Anthropic's keywords are as its guide
 * and its SDKs have them, Amazon's are the same; OpenAI's are those of its strict mode.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import * as Json from "./Json.ts"

type Schema = Readonly<Record<string, unknown>>
type Dropped = (field: string) => void

/**
 * What a provider knows of JSON Schema.
 *
 * @since 0.1.0
 * @category models
 */
export interface Subset {
  readonly keywords: ReadonlySet<string>
  readonly formats: ReadonlySet<string>
  /** Whether every property must be required. */
  readonly isWhole: boolean
  /** How many items may be demanded at least; `undefined` for any number. */
  readonly maxMinItems: number | undefined
}

const shared = ["$ref", "type", "title", "description", "enum", "const", "pattern", "format", "minItems"]
const formats = ["date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"]

/**
 * Anthropic's, for formats of answers and strict tools.
 *
 * @since 0.1.0
 * @category models
 */
export const anthropic: Subset = {
  keywords: new Set([...shared, "default", "allOf"]),
  formats: new Set([...formats, "uri"]),
  isWhole: false,
  maxMinItems: 1
}

/**
 * OpenAI's strict mode.
 *
 * @since 0.1.0
 * @category models
 */
export const openAi: Subset = {
  keywords: new Set([
    ...[...shared, "multipleOf", "minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "maxItems"]
  ]),
  formats: new Set(formats),
  isWhole: true,
  maxMinItems: undefined
}

// They say nothing of a value.
const silent = new Set(["$schema", "$id", "$anchor", "$comment"])

/**
 * The parameters of a tool as a schema of an object, which they are even where nothing is said.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parameters = (stated: Schema): Schema => {
  const schema = resolved(stated)
  if (schema["type"] !== undefined) return schema
  const isSaid = ["properties", "$ref", "allOf", "anyOf", "oneOf"].some((key) => schema[key] !== undefined)
  return { type: "object", ...schema, ...(isSaid ? {} : { properties: {} }) }
}

/** A schema that is a reference to one of its own definitions, with that definition in its place. */
const resolved = (schema: Schema): Schema => {
  const { $ref, ...own } = schema
  const [, list, name] = typeof $ref === "string" ? (/^#\/(\$defs|definitions)\/([^/]+)$/.exec($ref) ?? []) : []
  const known = list === undefined ? undefined : own[list]
  if (!Json.isObject(known) || name === undefined || !Object.hasOwn(known, name)) return schema
  const target = known[name]
  // A definition that is a reference in turn may lead back here.
  return Json.isObject(target) && target["$ref"] === undefined ? { ...own, ...target } : schema
}

const isObject = ({ properties, type }: Schema): boolean =>
  type === "object" || (Array.isArray(type) && type.includes("object")) || properties !== undefined

const combinators = ["$ref", "allOf", "anyOf", "oneOf"]

/** An empty list of properties is one: it names none. */
const isOpenNode = (schema: Schema): boolean => {
  const { additionalProperties, properties } = schema
  if (!isObject(schema) || additionalProperties === false) return false
  if (combinators.some((key) => schema[key] !== undefined)) return false
  return Json.isObject(properties)
    ? Object.keys(properties).length === 0 && additionalProperties !== undefined
    : properties === undefined
}

/** An object of which no more is said: as parameters it takes nothing. */
const isBare = (schema: Schema): boolean =>
  isObject(schema) && ["properties", "additionalProperties", ...combinators].every((key) => schema[key] === undefined)

/** Whether something is so of a schema and of every schema within it. */
const every = (schema: Schema, is: (node: Schema) => boolean): boolean => {
  if (!is(schema)) return false
  const within: Array<unknown> = [schema["items"]]
  for (const key of ["properties", "$defs", "definitions"])
    if (Json.isObject(schema[key])) within.push(...Object.values(schema[key]))
  for (const key of ["allOf", "anyOf", "oneOf"]) if (Array.isArray(schema[key])) within.push(...schema[key])
  return within.every((node) => !Json.isObject(node) || every(node, is))
}

/**
 * Whether the whole value may be an object of any properties. Held to a closed schema it could only be empty.
 *
 * @since 0.1.0
 * @category guards
 */
export const isOpen = (schema: Schema): boolean => isOpenNode(resolved(schema)) || Object.keys(schema).length === 0

/**
 * Whether a schema can be closed and still say what it says: no object within it takes properties of any name.
 *
 * @since 0.1.0
 * @category guards
 */
export const isClosable = (schema: Schema): boolean => {
  const root = resolved(schema)
  const isPlain = isObject(root) && ["$ref", "anyOf", "oneOf"].every((key) => root[key] === undefined)
  return isPlain && every(root, (node) => !isOpenNode(node))
}

/**
 * Whether a schema is closed already and requires all its properties.
 *
 * @since 0.1.0
 * @category guards
 */
export const isStrict = (schema: Schema): boolean =>
  isObject(resolved(schema)) &&
  every(schema, (node) => {
    const { additionalProperties, properties, required } = node
    if (!isObject(node)) return true
    const names = Object.keys(Json.isObject(properties) ? properties : {})
    const stated: ReadonlyArray<unknown> = Array.isArray(required) ? required : []
    return additionalProperties === false && names.every((name) => stated.includes(name))
  })

/**
 * The schema of a tool, closed where it is to be held to exactly. One that cannot be closed is not strict, which is
 * listed as `tools.strict`.
 *
 * @since 0.1.0
 * @category lowering
 */
export const tool = (
  asked: Pick<LlmRequest.Tool, "parameters" | "strict">,
  subset: Subset,
  dropped: Dropped
): { readonly parameters: Schema; readonly strict: boolean } => {
  const stated = parameters(asked.parameters)
  if (asked.strict !== true) return { parameters: stated, strict: false }
  const schema = isBare(stated) ? { ...stated, properties: {} } : stated
  if (isClosable(schema)) return { parameters: close(schema, subset, "tools.parameters", dropped), strict: true }
  dropped("tools.strict")
  return { parameters: schema, strict: false }
}

/**
 * The schema of an answer in OpenAI's words, closed where it is to be held to exactly. One that cannot be closed is not
 * strict, which is listed as `responseFormat.strict`.
 *
 * @since 0.1.0
 * @category lowering
 */
export const format = (
  asked: Extract<LlmRequest.ResponseFormat, { readonly type: "json" }>,
  dropped: Dropped
): { readonly schema: Schema; readonly strict?: boolean } => {
  const { schema, strict } = asked
  if (strict !== true) return strict === undefined ? { schema } : { schema, strict }
  if (isClosable(schema)) return { schema: close(schema, openAi, "responseFormat.schema", dropped), strict }
  dropped("responseFormat.strict")
  return { schema, strict: false }
}

/**
 * Closes a schema: no object takes properties that it does not name, and keywords that are not known stand in the
 * description.
 *
 * @example
 * ```ts
 * import { StructuredSchema } from "@echelon/providers"
 *
 * const dropped: Array<string> = []
 * const schema = { type: "object", properties: { age: { type: "integer", minimum: 0 } }, required: ["age"] }
 * const closed = StructuredSchema.close(schema, StructuredSchema.anthropic, "schema", (field) => dropped.push(field))
 * console.assert(closed["additionalProperties"] === false)
 * console.assert(dropped.join() === "schema.minimum (in the description)")
 * ```
 *
 * @since 0.1.0
 * @category lowering
 */
export const close = (schema: Schema, subset: Subset, place: string, dropped: Dropped): Schema =>
  closeNode(resolved(schema), { subset, place, dropped })

interface Context {
  readonly subset: Subset
  readonly place: string
  readonly dropped: Dropped
}

const closeNode = (schema: Schema, context: Context): Schema => {
  const { dropped, place, subset } = context
  const flat = flattened(schema)
  const closed: Record<string, unknown> = {}
  const told: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(flat)) {
    if (silent.has(key)) continue
    if (key === "required" || key === "additionalProperties") closed[key] = value
    else if ((key === "properties" || key === "$defs" || key === "definitions") && Json.isObject(value))
      closed[key] = Object.fromEntries(Object.entries(value).map(([name, one]) => [name, closeValue(one, context)]))
    else if (key === "items" && (value === true || Json.isObject(value))) closed[key] = closeValue(value, context)
    else if (key === "anyOf" && Array.isArray(value)) closed[key] = value.map((one) => closeValue(one, context))
    else if (key === "oneOf" && Array.isArray(value) && flat["anyOf"] === undefined) {
      closed["anyOf"] = value.map((one) => closeValue(one, context))
      dropped(`${place}.oneOf (anyOf)`)
    } else if (isTaken(key, value, subset)) closed[key] = value
    else told[key] = value
  }
  // Beside a reference it would be the reference that is closed to everything.
  if (isObject(flat) && flat["$ref"] === undefined) closeObject(closed, flat, context)
  else delete closed["additionalProperties"]
  const keys = Object.keys(told)
  for (const key of keys) dropped(`${place}.${key} (in the description)`)
  if (keys.length > 0) {
    const { description } = flat
    closed["description"] = `${typeof description === "string" ? `${description}\n\n` : ""}${JSON.stringify(told)}`
  }
  return closed
}

const closeObject = (closed: Record<string, unknown>, schema: Schema, { dropped, place, subset }: Context): void => {
  const { additionalProperties, properties, required } = schema
  closed["type"] ??= "object"
  closed["additionalProperties"] = false
  if (isOpenNode(schema) || Json.isObject(additionalProperties)) dropped(`${place}.additionalProperties`)
  const stated: ReadonlyArray<unknown> = Array.isArray(required) ? required : []
  if (!subset.isWhole) return
  const names = Object.keys(Json.isObject(properties) ? properties : {})
  closed["properties"] ??= {}
  closed["required"] = names
  if (names.some((name) => !stated.includes(name))) dropped(`${place}.required (all)`)
}

/** A schema that takes anything may be written as `true`. */
const closeValue = (value: unknown, context: Context): unknown =>
  Json.isObject(value) ? closeNode(value, context) : value === true ? {} : value

// Backreferences, assertions that look around and word boundaries.
const isHardPattern = /\\[1-9bB]|\(\?(?:<?[=!]|<[A-Za-z])/

const isTaken = (key: string, value: unknown, { formats: known, keywords, maxMinItems }: Subset): boolean => {
  if (!keywords.has(key)) return false
  switch (key) {
    case "format":
      return typeof value === "string" && known.has(value)
    case "pattern":
      return typeof value === "string" && !isHardPattern.test(value)
    case "minItems":
      return maxMinItems === undefined || (typeof value === "number" && value <= maxMinItems)
    default:
      return true
  }
}

/** Puts the members of `allOf` into the schema itself, which could not be closed beside them. */
const flattened = (schema: Schema): Schema => {
  const { allOf, ...own } = schema
  if (!Array.isArray(allOf)) return schema
  let flat: Schema = own
  const left: Array<unknown> = []
  for (const stated of allOf) {
    if (!Json.isObject(stated)) continue
    const { additionalProperties, description, properties, required, ...others } = flattened(stated)
    if (clashes(flat, others) || clashes(flat["properties"], properties)) {
      left.push(stated)
      continue
    }
    const descriptions = [flat["description"], description].filter((one) => typeof one === "string")
    const names = [flat["required"], required].flatMap((one) => (Array.isArray(one) ? one : []))
    flat = {
      ...flat,
      ...others,
      ...(Json.isObject(properties)
        ? { properties: { ...(Json.isObject(flat["properties"]) ? flat["properties"] : {}), ...properties } }
        : {}),
      ...(descriptions.length === 0 ? {} : { description: descriptions.join("\n\n") }),
      ...(names.length === 0 ? {} : { required: [...new Set(names)] }),
      ...(additionalProperties === undefined ? {} : { additionalProperties })
    }
  }
  return left.length === 0 ? flat : { ...flat, allOf: left }
}

const clashes = (one: unknown, other: unknown): boolean =>
  Json.isObject(one) &&
  Json.isObject(other) &&
  (other["$ref"] !== undefined ||
    Object.keys(other).some((key) => one[key] !== undefined && JSON.stringify(one[key]) !== JSON.stringify(other[key])))
