/**
 * Bedrock Converse: parsing a stream, by a pure step.
 *
 * A buffered reply goes through the same step as the events that would have built it, so that both fold to the same
 * answer.
 *
 * @since 0.1.0
 */
import type * as LlmError from "@echelon/core/LlmError"
import type * as Part from "@echelon/core/Part"
import * as BedrockConverseError from "./BedrockConverseError.ts"
import * as ErrorReply from "./ErrorReply.ts"
import * as EventStream from "./EventStream.ts"
import * as Json from "./Json.ts"
import * as Protocol from "./Protocol.ts"
import type * as Sse from "./Sse.ts"

// ---------------------------------------------------------------------------------------------------------------
// Wire types
// ---------------------------------------------------------------------------------------------------------------

// What has a place of its own in a part. Whatever else an event holds is carried in metadata. `p` is padding of a
// random length, against guessing at what is said by the size of its packets.
const replyKeys = new Set(["output", "stopReason", "usage"])
const messageKeys = new Set(["role", "content"])
const startKeys = new Set(["role", "p"])
const stopKeys = new Set(["stopReason", "p"])
const metadataKeys = new Set(["usage", "p"])
const toolKeys = new Set(["toolUseId", "name", "input"])
const imageKeys = new Set(["format", "source"])
const indexKeys = new Set(["contentBlockIndex", "p"])

const finishReasons: Readonly<Record<string, Part.FinishReason>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  max_tokens: "length",
  model_context_window_exceeded: "length",
  tool_use: "tool-calls",
  guardrail_intervened: "content-filter",
  content_filtered: "content-filter",
  unknown: "unknown"
}

// Ends that are failures.
const failures: Readonly<Record<string, string>> = {
  malformed_model_output: "the model wrote an output that is not valid",
  malformed_tool_use: "the model wrote a tool call that is not valid"
}

/** A content block under way. */
type Block =
  | { readonly type: "text" }
  | { readonly type: "reasoning"; readonly signature: string; readonly redacted: string }
  | { readonly type: "tool"; readonly start: Json.JsonObject; readonly json: string }
  | { readonly type: "image"; readonly start: Json.JsonObject; readonly data: string }
  /** No part of its own: how it began, and what came since. */
  | { readonly type: "other"; readonly start: Json.JsonObject; readonly deltas: ReadonlyArray<Json.Json> }

/**
 * What is held between two events of a stream.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly options: Protocol.Options
  readonly blocks: ReadonlyMap<number, Block>
  readonly sources: number
  readonly stop: string | undefined
  readonly usage: Json.JsonObject | undefined
  /** Tool calls whose arguments are no JSON. Whether that is a failure is known when the reply's end is. */
  readonly broken: ReadonlyArray<Json.JsonObject>
  /** Fields without a part of their own, for the finish part. */
  readonly extra: Readonly<Record<string, unknown>>
  readonly done: boolean
}

/** A state while one event is taken: changed in place, seen by nobody else. */
interface Draft extends Mutable<State> {
  readonly parts: Array<Part.Part>
}

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

// ---------------------------------------------------------------------------------------------------------------
// Parsing a stream
// ---------------------------------------------------------------------------------------------------------------

/**
 * The state before the first event.
 *
 * @since 0.1.0
 * @category parsing
 */
export const initial = (options: Protocol.Options): State => ({
  options,
  blocks: new Map(),
  sources: 0,
  stop: undefined,
  usage: undefined,
  broken: [],
  extra: {},
  done: false
})

/**
 * Takes one event.
 *
 * **Details** The finish part comes when both `messageStop` and `metadata` have, in whichever order, or at the end of
 * input when the reason was told before. Without a reason there is none.
 *
 * @since 0.1.0
 * @category parsing
 */
export const step = (state: State, event: Sse.Event): readonly [State, ReadonlyArray<Part.Part>] => {
  if (state.done) return [state, []]
  const data = Json.parse(event.data)
  if (!Json.isObject(data)) return fail(state, ErrorReply.malformed("an event of the stream is not a JSON object"))
  if (event.event === EventStream.exception)
    return fail(state, ErrorReply.fromDecoded(BedrockConverseError.decode(data, state.options) ?? {}))
  return settle(take({ ...state, parts: [] }, event.event, data))
}

/**
 * Ends the input: gives the finish part when the answer was whole.
 *
 * @since 0.1.0
 * @category parsing
 */
export const flush = (state: State): ReadonlyArray<Part.Part> => {
  if (state.done || state.stop === undefined) return []
  const draft: Draft = { ...state, parts: [] }
  finish(draft, state.stop)
  return draft.parts
}

const fail = (state: State, error: LlmError.LlmError): readonly [State, ReadonlyArray<Part.Part>] => [
  { ...state, done: true },
  [Protocol.failed(error)]
]

const settle = (draft: Draft): readonly [State, ReadonlyArray<Part.Part>] => {
  const { parts, ...state } = draft
  return [state, parts]
}

const take = (draft: Draft, type: string | undefined, data: Json.JsonObject): Draft => {
  const index = Json.count(data, "contentBlockIndex") ?? 0
  switch (type) {
    case "messageStart":
      keep(draft, Json.rest(data, startKeys))
      break
    case "contentBlockStart":
      startBlock(draft, index, Json.object(data, "start") ?? {})
      break
    case "contentBlockDelta":
      takeDelta(draft, index, Json.object(data, "delta") ?? {})
      break
    case "contentBlockStop":
      stopBlock(draft, index)
      break
    case "messageStop":
      draft.stop = Json.string(data, "stopReason") ?? draft.stop
      keep(draft, Json.rest(data, stopKeys))
      if (draft.stop !== undefined && draft.usage !== undefined) finish(draft, draft.stop)
      break
    case "metadata":
      draft.usage = Json.object(data, "usage") ?? draft.usage ?? {}
      keep(draft, Json.rest(data, metadataKeys))
      if (draft.stop !== undefined) finish(draft, draft.stop)
      break
    default: {
      const event = Json.rest(data, indexKeys)
      carry(draft, { event: { type: type ?? "", ...event } })
    }
  }
  return draft
}

/** Tools and the like are announced; text and reasoning begin with their first delta, but for some servers. */
const startBlock = (draft: Draft, index: number, start: Json.JsonObject): void => {
  if (Json.string(start, "text") !== undefined || Json.object(start, "reasoningContent") !== undefined) {
    takeDelta(draft, index, start)
    return
  }
  const tool = Json.object(start, "toolUse")
  if (tool !== undefined && Json.string(tool, "type") !== "server_tool_use") {
    put(draft, index, { type: "tool", start: tool, json: "" })
    draft.parts.push({ type: "tool-params-start", id: idOf(tool, index), name: Json.string(tool, "name") ?? "" })
    return
  }
  const image = Json.object(start, "image")
  if (image !== undefined) put(draft, index, { type: "image", start: image, data: "" })
  else if (Object.keys(start).length > 0) put(draft, index, { type: "other", start, deltas: [] })
}

const takeDelta = (draft: Draft, index: number, delta: Json.JsonObject): void => {
  const block = draft.blocks.get(index)
  const text = Json.string(delta, "text")
  const reasoning = Json.object(delta, "reasoningContent")
  const tool = Json.object(delta, "toolUse")
  const image = Json.object(delta, "image")
  if (text !== undefined) say(draft, index, text)
  else if (reasoning !== undefined) think(draft, index, reasoning)
  else if (block?.type === "other") put(draft, index, { ...block, deltas: [...block.deltas, delta] })
  else if (tool !== undefined && block?.type === "tool") {
    const json = Json.string(tool, "input") ?? ""
    if (json === "") return
    put(draft, index, { ...block, json: block.json + json })
    draft.parts.push({ type: "tool-params-delta", id: idOf(block.start, index), delta: json })
  } else if (Json.object(delta, "citation") !== undefined) cite(draft, delta["citation"] ?? null)
  else if (image !== undefined && block?.type === "image")
    put(draft, index, { ...block, data: joined(block.data, Json.string(Json.object(image, "source") ?? {}, "bytes")) })
  else if (Object.keys(delta).length > 0) carry(draft, { delta })
}

const say = (draft: Draft, index: number, delta: string): void => {
  const id = String(index)
  if (draft.blocks.get(index)?.type !== "text") {
    stopBlock(draft, index)
    put(draft, index, { type: "text" })
    draft.parts.push({ type: "text-start", id })
  }
  if (delta !== "") draft.parts.push({ type: "text-delta", id, delta })
}

const think = (draft: Draft, index: number, reasoning: Json.JsonObject): void => {
  const id = String(index)
  let block = draft.blocks.get(index)
  if (block?.type !== "reasoning") {
    stopBlock(draft, index)
    block = { type: "reasoning", signature: "", redacted: "" }
    draft.parts.push({ type: "reasoning-start", id })
  }
  put(draft, index, {
    type: "reasoning",
    signature: block.signature + (Json.string(reasoning, "signature") ?? ""),
    redacted: joined(block.redacted, Json.string(reasoning, "redactedContent"))
  })
  const delta = Json.string(reasoning, "text") ?? ""
  if (delta !== "") draft.parts.push({ type: "reasoning-delta", id, delta })
}

const stopBlock = (draft: Draft, index: number): void => {
  const block = draft.blocks.get(index)
  if (block === undefined) return
  const blocks = new Map(draft.blocks)
  blocks.delete(index)
  draft.blocks = blocks
  const id = String(index)
  switch (block.type) {
    case "text":
      draft.parts.push({ type: "text-end", id })
      return
    case "reasoning": {
      const { redacted, signature } = block
      const own = {
        ...(signature === "" ? {} : { signature }),
        ...(redacted === "" ? {} : { redactedContent: redacted })
      }
      draft.parts.push({
        type: "reasoning-end",
        id,
        ...(Object.keys(own).length === 0 ? {} : { metadata: metadata(draft, own) })
      })
      return
    }
    case "tool":
      stopTool(draft, block.start, block.json, index)
      return
    case "image":
      draft.parts.push({
        type: "file",
        mediaType: `image/${Json.string(block.start, "format") ?? "png"}`,
        data: block.data,
        ...extraOf(draft, block.start, imageKeys)
      })
      return
    case "other":
      carry(draft, { block: block.deltas.length === 0 ? block.start : { ...block.start, deltas: block.deltas } })
      return
  }
}

const stopTool = (draft: Draft, start: Json.JsonObject, json: string, index: number): void => {
  const id = idOf(start, index)
  const name = Json.string(start, "name") ?? ""
  draft.parts.push({ type: "tool-params-end", id })
  const params = json.trim() === "" ? (start["input"] ?? {}) : Json.parse(json)
  if (params === undefined || name === "") draft.broken = [...draft.broken, { id, name, arguments: json }]
  else draft.parts.push({ type: "tool-call", id, name, params, ...extraOf(draft, start, toolKeys) })
}

const finish = (draft: Draft, stated: string): void => {
  draft.done = true
  const reason = Object.hasOwn(finishReasons, stated) ? (finishReasons[stated] ?? "other") : "other"
  // A block that nobody stopped ends with the message.
  for (const index of [...draft.blocks.keys()]) stopBlock(draft, index)
  const cut = reason === "length" || reason === "content-filter"
  const failure = Object.hasOwn(failures, stated)
    ? failures[stated]
    : draft.broken.length > 0 && !cut
      ? "the arguments of a tool call are not valid JSON"
      : undefined
  if (failure !== undefined) {
    draft.parts.push(Protocol.failed(ErrorReply.malformed(failure)))
    return
  }
  draft.parts.push({
    type: "finish",
    reason,
    usage: usageOf(draft.usage),
    metadata: metadata(draft, {
      ...draft.extra,
      stopReason: stated,
      ...(draft.usage === undefined ? {} : { usage: draft.usage }),
      ...(draft.broken.length === 0 ? {} : { incompleteToolCalls: draft.broken })
    })
  })
}

const idOf = (start: Json.JsonObject, index: number): string => Json.string(start, "toolUseId") ?? `call_${index}`

const put = (draft: Draft, index: number, block: Block): void => {
  draft.blocks = new Map(draft.blocks).set(index, block)
}

/** Each piece of Base64 stands for bytes of its own. */
const joined = (before: string, more: string | undefined): string =>
  more === undefined || before === ""
    ? before + (more ?? "")
    : Buffer.concat([Buffer.from(before, "base64"), Buffer.from(more, "base64")]).toString("base64")

const cite = (draft: Draft, citation: Json.Json): void => {
  const cited = Json.isObject(citation) ? citation : {}
  const id = `source-${draft.sources}`
  draft.sources++
  const location = Json.object(cited, "location") ?? {}
  const url = Json.string(Json.object(location, "web") ?? {}, "url")
  const title = Json.string(cited, "title")
  const data = metadata(draft, { citation })
  draft.parts.push(
    url === undefined
      ? {
          type: "source",
          sourceType: "document",
          id,
          mediaType: location["documentPage"] === undefined ? "text/plain" : "application/pdf",
          title: title ?? "",
          metadata: data
        }
      : { type: "source", sourceType: "url", id, url, title: title ?? url, metadata: data }
  )
}

const metadata = (draft: Draft, data: Readonly<Record<string, unknown>>): NonNullable<Part.Part["metadata"]> => ({
  // Every value came out of JSON.parse.
  [draft.options.kind]: data as Json.JsonObject
})

const extraOf = (
  draft: Draft,
  from: Json.JsonObject,
  known: ReadonlySet<string>
): { readonly metadata?: NonNullable<Part.Part["metadata"]> } => {
  const extra = Json.rest(from, known)
  return extra === undefined ? {} : { metadata: metadata(draft, extra) }
}

const carry = (draft: Draft, data: Readonly<Record<string, unknown>>): void => {
  draft.parts.push({ type: "response-metadata", metadata: metadata(draft, data) })
}

const keep = (draft: Draft, extra: Json.JsonObject | undefined): void => {
  if (extra !== undefined) draft.extra = Json.merge(draft.extra, extra)
}

const usageOf = (usage: Json.JsonObject | undefined): Part.Finish["usage"] => {
  if (usage === undefined) return { inputTokens: {}, outputTokens: {} }
  const uncached = Json.count(usage, "inputTokens")
  const cacheRead = Json.count(usage, "cacheReadInputTokens")
  const cacheWrite = Json.count(usage, "cacheWriteInputTokens")
  return {
    inputTokens: {
      // `inputTokens` counts only what the cache neither served nor took.
      total: uncached === undefined ? undefined : uncached + (cacheRead ?? 0) + (cacheWrite ?? 0),
      uncached,
      cacheRead,
      cacheWrite
    },
    outputTokens: { total: Json.count(usage, "outputTokens"), text: undefined, reasoning: undefined }
  }
}

// ---------------------------------------------------------------------------------------------------------------
// Parsing a buffered reply
// ---------------------------------------------------------------------------------------------------------------

/**
 * Parses a whole reply: the events of a stream that ends at once.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (body: Json.JsonObject, options: Protocol.Options): ReadonlyArray<Part.Part> => {
  const error = BedrockConverseError.inReply(body, options)
  if (error !== undefined) return [Protocol.failed(ErrorReply.fromDecoded(error))]
  const message = Json.object(Json.object(body, "output") ?? {}, "message")
  if (message === undefined || !Array.isArray(message["content"]))
    return [Protocol.failed(ErrorReply.malformed("the reply holds no content"))]
  const draft: Draft = { ...initial(options), parts: [] }
  keep(draft, Json.rest(body, replyKeys))
  keep(draft, Json.rest(message, messageKeys))
  let index = 0
  for (const block of message["content"]) {
    if (!Json.isObject(block)) continue
    takeBlock(draft, index, block)
    stopBlock(draft, index)
    index++
  }
  draft.usage = Json.object(body, "usage")
  // A reply in one piece is whole, whether or not it says why it ended.
  finish(draft, Json.string(body, "stopReason") ?? "unknown")
  return draft.parts
}

const takeBlock = (draft: Draft, index: number, block: Json.JsonObject): void => {
  const reasoning = Json.object(block, "reasoningContent")
  const cited = Json.object(block, "citationsContent")
  const source = Json.object(Json.object(block, "image") ?? {}, "source")
  if (Json.string(block, "text") !== undefined) takeDelta(draft, index, block)
  else if (reasoning !== undefined) think(draft, index, Json.object(reasoning, "reasoningText") ?? reasoning)
  else if (cited !== undefined) {
    for (const citation of Json.array(cited, "citations")) cite(draft, citation)
    for (const piece of Json.array(cited, "content"))
      if (Json.isObject(piece)) say(draft, index, Json.string(piece, "text") ?? "")
  } else {
    startBlock(draft, index, block)
    if (source !== undefined) takeDelta(draft, index, { image: { source } })
  }
}
