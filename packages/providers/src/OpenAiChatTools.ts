/**
 * OpenAI Chat Completions: putting streamed tool calls together.
 *
 * Deltas are told apart by `index`; where a server leaves it out, by `id`, else they belong to the latest call.
 * Names may come in pieces or be repeated, calls may interleave, and a new id under an old index is a new call. What a
 * call holds beside its function goes with it, since some servers want it back; a call of no function is carried whole.
 *
 * @since 0.1.0
 */
import type * as Part from "@echelon/core/Part"
import * as Json from "./Json.ts"

interface Call {
  readonly index: number | undefined
  readonly id: string
  /** The id was made here, as the server gave none. */
  readonly made: boolean
  readonly name: string
  readonly args: string
  readonly started: boolean
  /** Whether it calls a function. */
  readonly isFunction: boolean
  /** What has no place of its own in a part. */
  readonly extra: Json.JsonObject
}

const callKeys = new Set(["index", "id", "type", "function"])
const functionKeys = new Set(["name", "arguments"])

/**
 * The calls under way, in the order in which they began.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly calls: ReadonlyArray<Call>
}

/**
 * No calls.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial: State = { calls: [] }

/**
 * A call whose arguments never became JSON.
 *
 * @since 0.1.0
 * @category models
 */
export interface Broken {
  readonly id: string
  readonly name: string
  readonly arguments: string
}

/**
 * Takes the tool calls of one delta.
 *
 * **Details** A call starts when its first argument arrives: until then its name may still grow.
 *
 * @since 0.1.0
 * @category parsing
 */
export const step = (
  state: State,
  deltas: ReadonlyArray<Json.Json>,
  replyId: string | undefined
): readonly [State, ReadonlyArray<Part.Part>] => {
  const calls = [...state.calls]
  const parts: Array<Part.Part> = []
  for (const delta of deltas) {
    if (!Json.isObject(delta)) continue
    const called = Json.object(delta, "function")
    const fn = called ?? {}
    const index = Json.count(delta, "index")
    const id = Json.string(delta, "id") || undefined
    const name = Json.string(fn, "name") ?? ""
    const args = argumentsOf(fn)
    let at = find(calls, index, id, name)
    if (at === -1) {
      at = calls.length
      calls.push({
        index,
        id: id ?? `${replyId ?? "reply"}_call_${at}`,
        made: id === undefined,
        name: "",
        args: "",
        started: false,
        isFunction: false,
        extra: {}
      })
    }
    const before = calls[at]
    if (before === undefined) continue
    const call: Call = {
      ...before,
      id: before.made && !before.started && id !== undefined ? id : before.id,
      made: before.made && id === undefined,
      // The same name again is a repetition, anything else before the arguments a further piece.
      name: before.started || name === before.name ? before.name : before.name + name,
      args: before.args + args,
      started: before.started || args !== "",
      isFunction: before.isFunction || called !== undefined,
      extra: joined(before.extra, delta)
    }
    calls[at] = call
    if (call.started && !before.started) parts.push(...start(call))
    else if (args !== "") parts.push({ type: "tool-params-delta", id: call.id, delta: args })
  }
  return [{ calls }, parts]
}

/**
 * Ends the calls: gives each whole one, and those whose arguments are not JSON. No arguments at all are an
 * empty object.
 *
 * **Details** What a call holds beside its function stands in the part's metadata under the provider's kind, what its
 * function holds beside its name and arguments under `function` there.
 *
 * @since 0.1.0
 * @category parsing
 */
export const seal = (
  state: State,
  kind: string
): { readonly parts: ReadonlyArray<Part.Part>; readonly broken: ReadonlyArray<Broken> } => {
  const parts: Array<Part.Part> = []
  const broken: Array<Broken> = []
  for (const call of state.calls) {
    if (!call.isFunction) {
      const whole = { ...(call.made ? {} : { id: call.id }), ...call.extra }
      parts.push({ type: "response-metadata", metadata: { [kind]: { tool_call: whole } } })
      continue
    }
    if (!call.started) parts.push(...start(call))
    parts.push({ type: "tool-params-end", id: call.id })
    const params = call.args.trim() === "" ? {} : Json.parse(call.args)
    if (params === undefined || call.name === "") broken.push({ id: call.id, name: call.name, arguments: call.args })
    else parts.push({ type: "tool-call", id: call.id, name: call.name, params, ...about(call, kind) })
  }
  return { parts, broken }
}

const start = (call: Call): ReadonlyArray<Part.Part> => [
  { type: "tool-params-start", id: call.id, name: call.name },
  ...(call.args === "" ? [] : [{ type: "tool-params-delta", id: call.id, delta: call.args } as const])
]

const about = ({ extra }: Call, kind: string): { readonly metadata?: NonNullable<Part.Part["metadata"]> } => {
  // What it is called by is its type: a function.
  const { type: _, ...own } = extra
  return Object.keys(own).length === 0 ? {} : { metadata: { [kind]: own } }
}

/** A call's fields with those of its next delta. The input of a call of another kind comes in pieces. */
const joined = (before: Json.JsonObject, delta: Json.JsonObject): Json.JsonObject => {
  const fn = Json.rest(Json.object(delta, "function") ?? {}, functionKeys)
  const type = Json.string(delta, "type")
  const more = {
    ...(type === undefined ? {} : { type }),
    ...Json.rest(delta, callKeys),
    ...(fn === undefined ? {} : { function: fn })
  }
  if (Object.keys(more).length === 0) return before
  // Every value came out of JSON.parse.
  const merged = Json.merge(before, more) as Json.JsonObject
  const input = Json.string(Json.object(delta, "custom") ?? {}, "input")
  const begun = Json.string(Json.object(before, "custom") ?? {}, "input") ?? ""
  return input === undefined
    ? merged
    : { ...merged, custom: { ...Json.object(merged, "custom"), input: begun + input } }
}

/** Arguments are a text; a few servers send the object itself. */
const argumentsOf = (fn: Json.JsonObject): string => {
  const value = fn["arguments"]
  return typeof value === "string" ? value : Json.isObject(value) ? JSON.stringify(value) : ""
}

const find = (calls: ReadonlyArray<Call>, index: number | undefined, id: string | undefined, name: string): number => {
  if (index !== undefined) {
    const at = calls.findLastIndex((call) => call.index === index)
    const found = calls[at]
    return found !== undefined && id !== undefined && !found.made && found.id !== id && name !== "" ? -1 : at
  }
  return id === undefined
    ? name === "" || calls.at(-1)?.started === false
      ? calls.length - 1
      : -1
    : calls.findIndex((call) => call.id === id)
}
