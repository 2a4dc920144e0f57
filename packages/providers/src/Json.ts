/**
 * Reads JSON of which nothing is certain. A provider's reply is data from outside: each field is looked at, none
 * is believed, and a field of an unexpected type is the same as one that is absent.
 *
 * @since 0.1.0
 */
import type * as Schema from "effect/Schema"

/**
 * Any JSON value.
 *
 * @since 0.1.0
 * @category models
 */
export type Json = Schema.Json

/**
 * A JSON object.
 *
 * @since 0.1.0
 * @category models
 */
export type JsonObject = { readonly [key: string]: Json }

/**
 * Parses a text; `undefined` when it is not JSON.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = (text: string): Json | undefined => {
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

/**
 * Tells an object from an array, a scalar or nothing.
 *
 * @since 0.1.0
 * @category guards
 */
export const isObject = (u: unknown): u is JsonObject => typeof u === "object" && u !== null && !Array.isArray(u)

/**
 * The string at a key; `undefined` when there is none.
 *
 * @since 0.1.0
 * @category getters
 */
export const string = (object: JsonObject, key: string): string | undefined => {
  const value = object[key]
  return typeof value === "string" ? value : undefined
}

/**
 * The finite number at a key; `undefined` when there is none.
 *
 * @since 0.1.0
 * @category getters
 */
export const number = (object: JsonObject, key: string): number | undefined => {
  const value = object[key]
  return typeof value === "number" && Number.isFinite(value) ? value : undefined
}

/**
 * The count at a key: a whole number that is not negative.
 *
 * @since 0.1.0
 * @category getters
 */
export const count = (object: JsonObject | undefined, key: string): number | undefined => {
  const value = object?.[key]
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0 ? value : undefined
}

/**
 * The object at a key; `undefined` when there is none.
 *
 * @since 0.1.0
 * @category getters
 */
export const object = (parent: JsonObject, key: string): JsonObject | undefined => {
  const value = parent[key]
  return isObject(value) ? value : undefined
}

/**
 * The items at a key; empty when there is no array.
 *
 * @since 0.1.0
 * @category getters
 */
export const array = (parent: JsonObject, key: string): ReadonlyArray<Json> => {
  const value = parent[key]
  return Array.isArray(value) ? value : []
}

/**
 * The fields that are not among the known ones and hold something.
 *
 * @since 0.1.0
 * @category getters
 */
export const rest = (from: JsonObject, known: ReadonlySet<string>): JsonObject | undefined => {
  let found: Record<string, Json> | undefined
  for (const key in from) {
    const value = from[key]
    if (known.has(key) || isReserved(key) || value === undefined || value === null) continue
    found ??= {}
    found[key] = value
  }
  return found
}

/**
 * Whether assigning a key could reach an object's prototype.
 *
 * @since 0.1.0
 * @category guards
 */
export const isReserved = (key: string): boolean => key === "__proto__" || key === "constructor" || key === "prototype"

/**
 * Lays one record over another: objects merge, everything else replaces. Keys that could reach a prototype are
 * left out.
 *
 * @since 0.1.0
 * @category combinators
 */
export const merge = (
  base: Readonly<Record<string, unknown>>,
  over: Readonly<Record<string, unknown>>
): Record<string, unknown> => {
  const merged: Record<string, unknown> = { ...base }
  for (const [key, value] of Object.entries(over)) {
    if (isReserved(key)) continue
    const before = merged[key]
    merged[key] = isObject(value) ? merge(isObject(before) ? before : {}, value) : value
  }
  return merged
}
