/**
 * Lifting: reading the body of a request that came in by a protocol, the reverse of lowering.
 *
 * A lift never throws. What it cannot read because it is wrong is a problem that names its place in the body; what it
 * can read and has no field for is listed, so that another protocol says it was left out. The body itself goes along,
 * for instances that speak its protocol.
 *
 * @since 0.1.0
 */
import * as LlmError from "@echelon/core/LlmError"
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Prompt from "effect/ai/Prompt"
import * as Json from "./Json.ts"
import * as Lane from "./Lane.ts"
import * as Media from "./Media.ts"

/**
 * Something in a body that is not what the protocol has there. It quotes nothing of a prompt.
 *
 * @since 0.1.0
 * @category errors
 */
export interface Problem {
  /** The place, as in `messages[2].content[0].text`; empty for the body itself. */
  readonly path: string
  readonly expected: string
  /** The type of what was found. */
  readonly found: string
}

/**
 * What a body asks.
 *
 * @since 0.1.0
 * @category models
 */
export interface Lifted {
  /** The request as far as it could be read, with the body beside it. */
  readonly input: LlmRequest.Input
  /** The model as the body names it; `undefined` where the protocol names it elsewhere. */
  readonly model: string | undefined
  /** Whether the body asks for a stream. */
  readonly stream: boolean
  /** Empty when the body is sound. */
  readonly problems: ReadonlyArray<Problem>
  /** Places of the body that a request has no field for. They are listed in the route when it is translated. */
  readonly unsaid: ReadonlyArray<string>
}

/**
 * Options of a lift.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The kind of the provider that answered earlier in this conversation, where it is known: its signatures, encrypted
   * reasoning and ids are then sent to no other.
   *
   * @default whichever provider speaks the body's protocol
   */
  readonly kind?: string | undefined
}

/**
 * The error that a body's problems are.
 *
 * @since 0.1.0
 * @category errors
 */
export const toError = (problems: ReadonlyArray<Problem>): LlmError.LlmError =>
  LlmError.make({ reason: { _tag: "InvalidRequest" }, detail: problems.slice(0, 5).map(describe).join("; ") })

/**
 * Says a problem in one line.
 *
 * @since 0.1.0
 * @category getters
 */
export const describe = ({ expected, found, path }: Problem): string =>
  `${path === "" ? "the body" : path}: expected ${expected}, found ${found}`

// ---------------------------------------------------------------------------------------------------------------
// Reading
// ---------------------------------------------------------------------------------------------------------------

/**
 * A lift under way: changed in place, seen by nobody else.
 *
 * @since 0.1.0
 * @category models
 */
export interface Draft {
  readonly protocol: string
  /** Under which name stands what only the provider that gave it can read. */
  readonly owner: string
  readonly messages: Array<LlmRequest.Message>
  readonly tools: Array<LlmRequest.Tool>
  readonly settings: Record<string, unknown>
  /** Fields of the body that only its own protocol has. */
  readonly rest: Record<string, unknown>
  readonly problems: Array<Problem>
  readonly unsaid: Array<string>
  /** Names of the calls so far, for results that name only an id. */
  readonly calls: Map<string, string>
}

/**
 * Begins a lift.
 *
 * @since 0.1.0
 * @category constructors
 */
export const begin = (protocol: string, options: Options | undefined): Draft => ({
  protocol,
  owner: options?.kind ?? Lane.ownerOf(protocol),
  messages: [],
  tools: [],
  settings: {},
  rest: {},
  problems: [],
  unsaid: [],
  calls: new Map()
})

/**
 * Ends a lift.
 *
 * @since 0.1.0
 * @category constructors
 */
export const end = (
  draft: Draft,
  body: Json.JsonObject,
  found: Pick<Lifted, "model" | "stream"> & Pick<LlmRequest.Input, "toolChoice" | "responseFormat">
): Lifted => {
  const { model, stream, ...asked } = found
  const { problems, protocol, rest, settings, tools, unsaid } = draft
  const places = unsaid.length === 0 ? {} : { [Lane.unsaid]: Object.fromEntries(unsaid.map((place) => [place, true])) }
  const own = Object.keys(rest).length === 0 ? {} : { [Lane.ownerOf(protocol)]: rest }
  return {
    input: {
      prompt: joined(draft.messages),
      ...(tools.length === 0 ? {} : { tools }),
      ...(asked.toolChoice === undefined ? {} : { toolChoice: asked.toolChoice }),
      ...(asked.responseFormat === undefined ? {} : { responseFormat: asked.responseFormat }),
      ...(Object.keys(settings).length === 0 ? {} : { settings: settings as LlmRequest.Settings }),
      ...(unsaid.length + Object.keys(rest).length === 0 ? {} : { providerOptions: { ...own, ...places } }),
      raw: { protocol, body }
    },
    model,
    stream,
    problems,
    unsaid
  }
}

/** What an assistant says in pieces is one message. */
const joined = (messages: ReadonlyArray<LlmRequest.Message>): ReadonlyArray<LlmRequest.Message> => {
  const lifted: Array<LlmRequest.Message> = []
  for (const message of messages) {
    const before = lifted.at(-1)
    if (
      message.role === "assistant" &&
      before?.role === "assistant" &&
      typeof message.content !== "string" &&
      typeof before.content !== "string"
    )
      lifted[lifted.length - 1] = { ...before, content: [...before.content, ...message.content] }
    else if (message.role === "tool" && before?.role === "tool")
      lifted[lifted.length - 1] = { ...before, content: [...before.content, ...message.content] }
    else lifted.push(message)
  }
  return lifted
}

/**
 * The lift of what is no body at all.
 *
 * @since 0.1.0
 * @category constructors
 */
export const notABody = (draft: Draft, value: unknown): Lifted => {
  wrong(draft, "", "an object", value)
  return end(draft, {}, { model: undefined, stream: false })
}

const typeOf = (value: unknown): string =>
  value === undefined
    ? "nothing"
    : value === null
      ? "null"
      : Array.isArray(value)
        ? "an array"
        : typeof value === "object"
          ? "an object"
          : `a ${typeof value}`

/**
 * Notes a problem.
 *
 * @since 0.1.0
 * @category parsing
 */
export const wrong = (draft: Draft, path: string, expected: string, found: unknown): void => {
  draft.problems.push({ path, expected, found: typeOf(found) })
}

/**
 * The path of a field, or of an item.
 *
 * @since 0.1.0
 * @category getters
 */
export const at = (path: string, key: string | number): string =>
  typeof key === "number" ? `${path}[${key}]` : path === "" ? key : `${path}.${key}`

/** A reader of an optional field: nothing and `null` are the same, anything of another type is a problem. */
const field =
  <A>(expected: string, is: (value: unknown) => value is A) =>
  (draft: Draft, from: Json.JsonObject, key: string, path: string): A | undefined => {
    const value = from[key]
    if (value === undefined || value === null) return undefined
    if (is(value)) return value
    wrong(draft, at(path, key), expected, value)
    return undefined
  }

/**
 * Reads an optional text.
 *
 * @since 0.1.0
 * @category parsing
 */
export const string = field("a string", (value): value is string => typeof value === "string")

/**
 * Reads an optional number.
 *
 * @since 0.1.0
 * @category parsing
 */
export const number = field("a number", (value): value is number => typeof value === "number")

/**
 * Reads an optional truth value.
 *
 * @since 0.1.0
 * @category parsing
 */
export const boolean = field("a boolean", (value): value is boolean => typeof value === "boolean")

/**
 * Reads an optional object.
 *
 * @since 0.1.0
 * @category parsing
 */
export const object = field("an object", Json.isObject)

/**
 * Reads an optional array.
 *
 * @since 0.1.0
 * @category parsing
 */
export const array = field("an array", (value): value is ReadonlyArray<Json.Json> => Array.isArray(value))

/**
 * Reads a text that must be there; an empty one when it is not.
 *
 * @since 0.1.0
 * @category parsing
 */
export const required = (draft: Draft, from: Json.JsonObject, key: string, path: string): string => {
  const value = from[key]
  if (typeof value === "string") return value
  wrong(draft, at(path, key), "a string", value)
  return ""
}

/**
 * Reads the objects of an optional array, each with its path.
 *
 * @since 0.1.0
 * @category parsing
 */
export const objects = (
  draft: Draft,
  from: Json.JsonObject,
  key: string,
  path: string
): ReadonlyArray<readonly [Json.JsonObject, string]> =>
  (array(draft, from, key, path) ?? []).flatMap((item, index) => {
    const place = at(at(path, key), index)
    if (Json.isObject(item)) return [[item, place] as const]
    wrong(draft, place, "an object", item)
    return []
  })

/**
 * Lists the fields of an object that a request has no place for.
 *
 * @since 0.1.0
 * @category parsing
 */
export const leave = (draft: Draft, from: Json.JsonObject, known: ReadonlySet<string>, path: string): void => {
  for (const key of Object.keys(Json.rest(from, known) ?? {})) draft.unsaid.push(at(path, key))
}

/**
 * Lists a thing of a type that a request has no place for.
 *
 * @since 0.1.0
 * @category parsing
 */
export const leaveWhole = (draft: Draft, type: string | undefined, path: string): void => {
  draft.unsaid.push(type === undefined ? path : `${path} (${type.slice(0, 40)})`)
}

// ---------------------------------------------------------------------------------------------------------------
// What the protocols share
// ---------------------------------------------------------------------------------------------------------------

type Fields = Readonly<Record<string, Json.Json | undefined>>

/**
 * Options of a part; none when there is nothing to say. What only the provider that gave it can read stands under its
 * name; a mark of the protocol is anybody's who speaks it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const owned = (draft: Draft, own: Fields, marks: Fields = {}): { readonly options?: Prompt.ProviderOptions } => {
  const options: Record<string, Json.JsonObject> = {}
  for (const [owner, fields] of [
    [draft.owner, own],
    [Lane.ownerOf(draft.protocol), marks]
  ] as const)
    for (const [key, value] of Object.entries(fields))
      if (value !== undefined && value !== null) options[owner] = { ...options[owner], [key]: value }
  return Object.keys(options).length === 0 ? {} : { options }
}

/**
 * A file of an address or of a `data:` address. The type of what an address leads to is known by its family alone.
 *
 * @since 0.1.0
 * @category constructors
 */
export const linked = (url: string, family: string): Pick<Prompt.FilePartEncoded, "type" | "mediaType" | "data"> => {
  if (!url.startsWith("data:")) return { type: "file", mediaType: family, data: { _tag: "URL", href: url } }
  const media = Media.read({ type: "file", mediaType: family, data: url })
  return media._tag === "Url"
    ? { type: "file", mediaType: family, data: { _tag: "URL", href: media.url } }
    : { type: "file", mediaType: media.mediaType, data: media.base64 }
}

/**
 * The name of a file. One that is made where there is none, because the protocol demands it, is none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const named = (fileName: string | undefined): { readonly fileName?: string } =>
  fileName === undefined || /^file(?:\.[a-z0-9]+)?$/.test(fileName) ? {} : { fileName }

/**
 * Reads numbers into settings of the same meaning.
 *
 * @since 0.1.0
 * @category parsing
 */
export const numbers = (
  draft: Draft,
  from: Json.JsonObject,
  path: string,
  fields: Readonly<Record<string, keyof LlmRequest.Settings>>
): void => {
  for (const [key, setting] of Object.entries(fields)) {
    const value = number(draft, from, key, path)
    if (value !== undefined) draft.settings[setting] ??= value
  }
}

/**
 * Reads stop sequences: one, or a list.
 *
 * @since 0.1.0
 * @category parsing
 */
export const stop = (draft: Draft, from: Json.JsonObject, key: string, path: string): void => {
  const value = from[key]
  if (value === undefined || value === null) return
  const list = Array.isArray(value) ? value : [value]
  const texts = list.filter((one) => typeof one === "string")
  if (texts.length < list.length) wrong(draft, at(path, key), "a string or an array of strings", value)
  else if (texts.length > 0) draft.settings["stop"] = texts
}

const efforts: ReadonlySet<string> = new Set(["none", "minimal", "low", "medium", "high", "xhigh"])

/**
 * Reads an effort; tells whether it is one that settings know.
 *
 * @since 0.1.0
 * @category parsing
 */
export const effort = (draft: Draft, value: unknown): boolean => {
  if (typeof value !== "string" || !efforts.has(value.toLowerCase())) return false
  draft.settings["reasoningEffort"] ??= value.toLowerCase()
  return true
}

/**
 * Reads a number of tokens to think with as the effort that it comes nearest to.
 *
 * @since 0.1.0
 * @category parsing
 */
export const budget = (draft: Draft, tokens: number): void => {
  draft.settings["reasoningEffort"] ??=
    tokens <= 512 ? "minimal" : tokens <= 4_096 ? "low" : tokens <= 16_384 ? "medium" : "high"
}

/**
 * Reads the arguments of a call, which are a text of JSON. Nothing is an empty object; what is no JSON is listed.
 *
 * @since 0.1.0
 * @category parsing
 */
export const params = (draft: Draft, text: string, path: string): unknown => {
  if (text.trim() === "") return {}
  const value = Json.parse(text)
  if (value === undefined) leaveWhole(draft, "not JSON", path)
  return value ?? {}
}

/**
 * Reads a tool result that is a text or a list of parts.
 *
 * @since 0.1.0
 * @category constructors
 */
export const result = (
  draft: Draft,
  id: string,
  content: string | ReadonlyArray<Prompt.TextPartEncoded | Prompt.FilePartEncoded>,
  more: { readonly isFailure?: boolean; readonly name?: string; readonly options?: Prompt.ProviderOptions } = {}
): LlmRequest.Message => ({
  role: "tool",
  content: [
    {
      type: "tool-result",
      id,
      name: more.name ?? draft.calls.get(id) ?? "",
      isFailure: more.isFailure ?? false,
      result: typeof content === "string" ? content : "",
      ...(typeof content === "string" ? {} : { modelOutput: content }),
      ...(more.options === undefined ? {} : { options: more.options })
    }
  ]
})

/**
 * A JSON Schema of a tool that states none: it takes nothing.
 *
 * @since 0.1.0
 * @category models
 */
export const noParameters: Readonly<Record<string, unknown>> = { type: "object", properties: {} }

/**
 * The format of an answer that is any JSON object.
 *
 * @since 0.1.0
 * @category models
 */
export const anyObject: LlmRequest.ResponseFormat = { type: "json", name: "response", schema: { type: "object" } }
