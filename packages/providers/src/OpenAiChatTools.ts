/**
 * OpenAI Chat Completions: putting streamed tool calls together.
 *
 * Deltas are told apart by `index`; where a server leaves it out, by `id`, else they belong to the latest call.
 * Names may come in pieces or be repeated, calls may interleave, and a new id under an old index is a new call.
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
}

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
    const fn = Json.object(delta, "function") ?? {}
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
        started: false
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
      started: before.started || args !== ""
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
 * @since 0.1.0
 * @category parsing
 */
export const seal = (
  state: State
): { readonly parts: ReadonlyArray<Part.Part>; readonly broken: ReadonlyArray<Broken> } => {
  const parts: Array<Part.Part> = []
  const broken: Array<Broken> = []
  for (const call of state.calls) {
    if (!call.started) parts.push(...start(call))
    parts.push({ type: "tool-params-end", id: call.id })
    const params = call.args.trim() === "" ? {} : Json.parse(call.args)
    if (params === undefined || call.name === "") broken.push({ id: call.id, name: call.name, arguments: call.args })
    else parts.push({ type: "tool-call", id: call.id, name: call.name, params })
  }
  return { parts, broken }
}

const start = (call: Call): ReadonlyArray<Part.Part> => [
  { type: "tool-params-start", id: call.id, name: call.name },
  ...(call.args === "" ? [] : [{ type: "tool-params-delta", id: call.id, delta: call.args } as const])
]

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
