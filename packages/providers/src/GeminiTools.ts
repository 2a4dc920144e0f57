/**
 * Google Gemini: putting tool calls together.
 *
 * A call comes whole in one part, or, where the server streams arguments, as a part that names it and parts that
 * set values at JSON paths (`$.a.b[0]`, RFC 9535), a text piece by piece; the first part that says nothing of a
 * continuation ends it. Ids are rare: a call without one gets one made of the reply's id and its place.
 *
 * @since 0.1.0
 */
import type * as Part from "@echelon/core/Part"
import * as Json from "./Json.ts"

interface Call {
  readonly id: string
  readonly name: string
  readonly args: Json.Json
  /** The path of a text that goes on. */
  readonly going: string | undefined
  /** A piece did not fit. */
  readonly misfit: boolean
  readonly metadata: Json.JsonObject
}

/**
 * A call that never became whole.
 *
 * @since 0.1.0
 * @category models
 */
export interface Broken {
  readonly id: string
  readonly name: string
  readonly arguments: Json.Json
}

/**
 * How many calls there were, the one under way, and those that broke.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly count: number
  readonly open: Call | undefined
  readonly broken: ReadonlyArray<Broken>
}

/**
 * No calls.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial: State = { count: 0, open: undefined, broken: [] }

/**
 * What a call is read with.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The provider's kind. */
  readonly kind: string
  readonly replyId: string | undefined
  readonly signature: string | undefined
  /** Fields without a place of their own. */
  readonly extra: Json.JsonObject | undefined
}

const callKeys = new Set(["id", "name", "args", "partialArgs", "willContinue"])

/**
 * Takes one `functionCall`.
 *
 * @since 0.1.0
 * @category parsing
 */
export const step = (
  state: State,
  wire: Json.JsonObject,
  options: Options
): readonly [State, ReadonlyArray<Part.Part>] => {
  const parts: Array<Part.Part> = []
  let { broken, count } = state
  let call = state.open
  const name = Json.string(wire, "name") ?? ""
  const pieces = Json.array(wire, "partialArgs")
  const end = (ended: Call, isWhole: boolean) => {
    const [last, found] = close(ended, isWhole, options.kind)
    parts.push(...last)
    if (found !== undefined) broken = [...broken, found]
  }
  if (call !== undefined && name !== "" && !(name === call.name && pieces.length > 0)) {
    end(call, true)
    call = undefined
  }
  const id = Json.string(wire, "id") || undefined
  if (call === undefined) {
    // The end of a call that has ended already.
    if (name === "" && id === undefined && wire["args"] === undefined && pieces.length === 0) return [state, []]
    call = {
      id: id ?? `${options.replyId ?? "reply"}_call_${count}`,
      name,
      args: wire["args"] ?? {},
      going: undefined,
      misfit: false,
      metadata: id === undefined ? {} : { id }
    }
    count++
    parts.push({ type: "tool-params-start", id: call.id, name })
  } else if (wire["args"] !== undefined && wire["args"] !== null) call = { ...call, args: wire["args"] }
  const { extra, signature } = options
  call = {
    ...call,
    metadata: {
      ...call.metadata,
      ...Json.rest(wire, callKeys),
      ...extra,
      ...(signature === undefined ? {} : { thoughtSignature: signature })
    }
  }
  for (const piece of pieces) call = take(call, piece)
  const goesOn = wire["willContinue"] === true
  if (!goesOn) end(call, true)
  return [{ count, open: goesOn ? call : undefined, broken }, parts]
}

/**
 * Ends the input: a call that still goes on was cut short.
 *
 * @since 0.1.0
 * @category parsing
 */
export const seal = (
  state: State,
  kind: string
): { readonly parts: ReadonlyArray<Part.Part>; readonly broken: ReadonlyArray<Broken> } => {
  if (state.open === undefined) return { parts: [], broken: state.broken }
  const [parts, found] = close(state.open, false, kind)
  return { parts, broken: found === undefined ? state.broken : [...state.broken, found] }
}

/** Arguments are told in one piece: values at paths are no text of JSON. */
const close = (call: Call, isWhole: boolean, kind: string): readonly [ReadonlyArray<Part.Part>, Broken | undefined] => {
  const { args, id, metadata, misfit, name } = call
  const parts: Array<Part.Part> = [
    { type: "tool-params-delta", id, delta: JSON.stringify(args) },
    { type: "tool-params-end", id }
  ]
  if (!isWhole || misfit || name === "") return [parts, { id, name, arguments: args }]
  const own = Object.keys(metadata).length === 0 ? {} : { metadata: { [kind]: metadata } }
  parts.push({ type: "tool-call", id, name, params: args, ...own })
  return [parts, undefined]
}

const take = (call: Call, piece: Json.Json): Call => {
  if (!Json.isObject(piece)) return { ...call, misfit: true }
  const path = Json.string(piece, "jsonPath") ?? ""
  const value = valueOf(piece)
  const going = piece["willContinue"] === true ? path : undefined
  if (value === undefined) return { ...call, going }
  const steps = parsePath(path)
  const goesOn = call.going === path
  const args =
    steps === undefined
      ? undefined
      : put(call.args, steps, 0, (before) =>
          goesOn && typeof before === "string" && typeof value === "string" ? before + value : value
        )
  return args === undefined ? { ...call, going, misfit: true } : { ...call, going, args }
}

const valueOf = (piece: Json.JsonObject): Json.Json | undefined => {
  for (const key of ["stringValue", "numberValue", "boolValue"]) {
    const value = piece[key]
    if (value !== undefined && value !== null) return value
  }
  return "nullValue" in piece ? null : undefined
}

// Deeper than any schema; a longer path could exhaust the stack.
const maxDepth = 64

const segment = /^(?:\.([^.[\]'"]+)|\[(\d{1,6})\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\])/

const parsePath = (path: string): ReadonlyArray<string | number> | undefined => {
  if (!path.startsWith("$")) return undefined
  const steps: Array<string | number> = []
  let rest = path.slice(1)
  while (rest !== "") {
    const found = segment.exec(rest)
    if (found === null || steps.length === maxDepth) return undefined
    const [whole, plain, index, single, double] = found
    steps.push(index === undefined ? (plain ?? (single ?? double ?? "").replace(/\\(.)/g, "$1")) : Number(index))
    rest = rest.slice(whole.length)
  }
  return steps
}

/** Copies a value with what stands at a path changed; `undefined` when the path does not fit. */
const put = (
  into: Json.Json | undefined,
  steps: ReadonlyArray<string | number>,
  at: number,
  change: (before: Json.Json | undefined) => Json.Json
): Json.Json | undefined => {
  const key = steps[at]
  if (key === undefined) return change(into)
  if (typeof key === "number") {
    const items = into === undefined ? [] : into
    // Items come one after the other: none is left out.
    if (!Array.isArray(items) || key > items.length) return undefined
    const next = put(items[key], steps, at + 1, change)
    if (next === undefined) return undefined
    const copy: Array<Json.Json> = [...items]
    copy[key] = next
    return copy
  }
  const record = into === undefined ? {} : into
  if (!Json.isObject(record) || Json.isReserved(key)) return undefined
  const next = put(Object.hasOwn(record, key) ? record[key] : undefined, steps, at + 1, change)
  return next === undefined ? undefined : { ...record, [key]: next }
}
