/**
 * Anthropic Messages: parsing a stream, by a pure step.
 *
 * A buffered reply goes through the same step as the events that would have built it, so that both fold to the
 * same answer.
 *
 * @since 0.1.0
 */
import type * as LlmError from "@echelon/core/LlmError"
import type * as Part from "@echelon/core/Part"
import * as AnthropicMessagesError from "./AnthropicMessagesError.ts"
import * as ErrorReply from "./ErrorReply.ts"
import * as Json from "./Json.ts"
import * as Protocol from "./Protocol.ts"
import type * as Sse from "./Sse.ts"

// ---------------------------------------------------------------------------------------------------------------
// Wire types
// ---------------------------------------------------------------------------------------------------------------

// What has a place of its own in a part. Whatever else an event holds is carried in metadata.
const messageKeys = new Set(["id", "type", "role", "model", "content", "stop_reason", "usage"])
const deltaKeys = new Set(["stop_reason"])
const eventKeys = new Set(["type", "delta", "usage"])
const toolKeys = new Set(["type", "id", "name", "input"])
const textKeys = new Set(["type", "text", "citations"])
const thinkingKeys = new Set(["type", "thinking", "signature"])
const redactedKeys = new Set(["type", "data"])

const finishReasons: Readonly<Record<string, Part.FinishReason>> = {
  end_turn: "stop",
  stop_sequence: "stop",
  max_tokens: "length",
  model_context_window_exceeded: "length",
  tool_use: "tool-calls",
  pause_turn: "pause",
  refusal: "content-filter",
  unknown: "unknown"
}

/** A content block under way. `start` is the block as it began. */
interface Block {
  readonly start: Json.JsonObject
  readonly signature: string
  readonly json: string
}

/**
 * What is held between two events of a stream.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly options: Protocol.Options
  readonly announced: boolean
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
  announced: false,
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
 * **Details** The finish part comes with `message_stop`, or at the end of input when the reason was told before.
 * Without a reason there is none.
 *
 * @since 0.1.0
 * @category parsing
 */
export const step = (state: State, event: Sse.Event): readonly [State, ReadonlyArray<Part.Part>] => {
  if (state.done) return [state, []]
  const data = Json.parse(event.data)
  if (!Json.isObject(data)) return fail(state, ErrorReply.malformed("an event of the stream is not a JSON object"))
  const type = Json.string(data, "type") ?? event.event
  if (type === "error")
    return fail(state, ErrorReply.fromDecoded(AnthropicMessagesError.decode(data, state.options) ?? {}))
  return settle(take({ ...state, parts: [] }, type, data))
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
  switch (type) {
    case "ping":
      break
    case "message_start":
      startMessage(draft, Json.object(data, "message") ?? {})
      break
    case "content_block_start":
      startBlock(draft, Json.count(data, "index") ?? 0, Json.object(data, "content_block") ?? {})
      break
    case "content_block_delta":
      takeDelta(draft, Json.count(data, "index") ?? 0, Json.object(data, "delta") ?? {})
      break
    case "content_block_stop":
      stopBlock(draft, Json.count(data, "index") ?? 0)
      break
    case "message_delta":
      endMessage(draft, Json.object(data, "delta") ?? {}, data)
      break
    case "message_stop":
      if (draft.stop !== undefined) finish(draft, draft.stop)
      break
    default:
      carry(draft, { event: data })
  }
  return draft
}

const startMessage = (draft: Draft, message: Json.JsonObject): void => {
  takeUsage(draft, message)
  keep(draft, Json.rest(message, messageKeys))
  // Some relays send it twice.
  if (draft.announced) return
  draft.announced = true
  const id = Json.string(message, "id")
  const model = Json.string(message, "model")
  draft.parts.push({
    type: "response-metadata",
    ...(id === undefined ? {} : { id }),
    ...(model === undefined ? {} : { modelId: model })
  })
}

const startBlock = (draft: Draft, index: number, start: Json.JsonObject): void => {
  put(draft, index, { start, signature: "", json: "" })
  const id = String(index)
  switch (Json.string(start, "type")) {
    case "text": {
      draft.parts.push({ type: "text-start", id, ...extraOf(draft, start, textKeys) })
      say(draft, index, Json.string(start, "text") ?? "")
      for (const citation of Json.array(start, "citations")) cite(draft, citation)
      return
    }
    case "thinking": {
      draft.parts.push({ type: "reasoning-start", id, ...extraOf(draft, start, thinkingKeys) })
      think(draft, index, Json.string(start, "thinking") ?? "")
      return
    }
    case "redacted_thinking":
      draft.parts.push({ type: "reasoning-start", id, ...extraOf(draft, start, redactedKeys) })
      return
    case "tool_use":
      draft.parts.push({ type: "tool-params-start", id: idOf(start, index), name: Json.string(start, "name") ?? "" })
      return
  }
}

/** A delta whose block was never started starts it. */
const implied: Readonly<Record<string, Json.JsonObject>> = {
  text_delta: { type: "text" },
  citations_delta: { type: "text" },
  thinking_delta: { type: "thinking" },
  signature_delta: { type: "thinking" }
}

const takeDelta = (draft: Draft, index: number, delta: Json.JsonObject): void => {
  const type = Json.string(delta, "type") ?? ""
  const start = Object.hasOwn(implied, type) ? implied[type] : undefined
  if (!draft.blocks.has(index) && start !== undefined) startBlock(draft, index, start)
  const block = draft.blocks.get(index)
  if (block === undefined) {
    carry(draft, { delta })
    return
  }
  const of = Json.string(block.start, "type")
  if (type === "text_delta" && of === "text") {
    say(draft, index, Json.string(delta, "text") ?? "")
    return
  }
  if (type === "thinking_delta" && of === "thinking") {
    think(draft, index, Json.string(delta, "thinking") ?? "")
    return
  }
  if (type === "citations_delta" && of === "text") {
    cite(draft, delta["citation"] ?? null)
    return
  }
  if (type === "signature_delta" && of === "thinking") {
    put(draft, index, { ...block, signature: block.signature + (Json.string(delta, "signature") ?? "") })
    return
  }
  if (type === "input_json_delta") {
    const json = Json.string(delta, "partial_json") ?? ""
    if (json === "") return
    put(draft, index, { ...block, json: block.json + json })
    if (of === "tool_use") draft.parts.push({ type: "tool-params-delta", id: idOf(block.start, index), delta: json })
    return
  }
  carry(draft, { delta })
}

const stopBlock = (draft: Draft, index: number): void => {
  const block = draft.blocks.get(index)
  if (block === undefined) return
  const blocks = new Map(draft.blocks)
  blocks.delete(index)
  draft.blocks = blocks
  const { start } = block
  const id = String(index)
  switch (Json.string(start, "type")) {
    case "text":
      draft.parts.push({ type: "text-end", id })
      return
    case "thinking": {
      const signature = block.signature === "" ? (Json.string(start, "signature") ?? "") : block.signature
      draft.parts.push({ type: "reasoning-end", id, metadata: metadata(draft, { type: "thinking", signature }) })
      return
    }
    case "redacted_thinking": {
      const redactedData = Json.string(start, "data") ?? ""
      const data = { type: "redacted_thinking", redactedData }
      draft.parts.push({ type: "reasoning-end", id, metadata: metadata(draft, data) })
      return
    }
    case "tool_use":
      stopTool(draft, block, index)
      return
    default: {
      // No part of its own: the whole block is carried, its input put together.
      const input = block.json === "" ? undefined : (Json.parse(block.json) ?? block.json)
      carry(draft, { block: input === undefined ? start : { ...start, input } })
    }
  }
}

const stopTool = (draft: Draft, block: Block, index: number): void => {
  const { json, start } = block
  const id = idOf(start, index)
  const name = Json.string(start, "name") ?? ""
  draft.parts.push({ type: "tool-params-end", id })
  const params = json.trim() === "" ? (start["input"] ?? {}) : Json.parse(json)
  if (params === undefined || name === "") draft.broken = [...draft.broken, { id, name, arguments: json }]
  else draft.parts.push({ type: "tool-call", id, name, params, ...extraOf(draft, start, toolKeys) })
}

const endMessage = (draft: Draft, delta: Json.JsonObject, event: Json.JsonObject): void => {
  takeUsage(draft, event)
  keep(draft, Json.rest(delta, deltaKeys))
  keep(draft, Json.rest(event, eventKeys))
  draft.stop = Json.string(delta, "stop_reason") ?? draft.stop
}

const finish = (draft: Draft, stated: string): void => {
  draft.done = true
  const reason = Object.hasOwn(finishReasons, stated) ? (finishReasons[stated] ?? "other") : "other"
  // A block that nobody stopped ends with the message.
  for (const index of [...draft.blocks.keys()]) stopBlock(draft, index)
  const cut = reason === "length" || reason === "content-filter"
  if (draft.broken.length > 0 && !cut) {
    draft.parts.push(Protocol.failed(ErrorReply.malformed("the arguments of a tool call are not valid JSON")))
    return
  }
  draft.parts.push({
    type: "finish",
    reason,
    usage: usageOf(draft.usage),
    metadata: metadata(draft, {
      ...draft.extra,
      stop_reason: stated,
      ...(draft.usage === undefined ? {} : { usage: draft.usage }),
      ...(draft.broken.length === 0 ? {} : { incomplete_tool_calls: draft.broken })
    })
  })
}

const idOf = (start: Json.JsonObject, index: number): string => Json.string(start, "id") ?? `call_${index}`

const put = (draft: Draft, index: number, block: Block): void => {
  draft.blocks = new Map(draft.blocks).set(index, block)
}

const say = (draft: Draft, index: number, delta: string): void => {
  if (delta !== "") draft.parts.push({ type: "text-delta", id: String(index), delta })
}

const think = (draft: Draft, index: number, delta: string): void => {
  if (delta !== "") draft.parts.push({ type: "reasoning-delta", id: String(index), delta })
}

const cite = (draft: Draft, citation: Json.Json): void => {
  const cited = Json.isObject(citation) ? citation : {}
  const id = `source-${draft.sources}`
  draft.sources++
  const url = Json.string(cited, "url")
  const title = Json.string(cited, "title") ?? Json.string(cited, "document_title")
  const data = metadata(draft, { citation })
  draft.parts.push(
    url === undefined
      ? {
          type: "source",
          sourceType: "document",
          id,
          mediaType: cited["type"] === "page_location" ? "application/pdf" : "text/plain",
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

/** Figures are running totals: a later one replaces an earlier one, an absent one leaves it. */
const takeUsage = (draft: Draft, from: Json.JsonObject): void => {
  const usage = Json.object(from, "usage")
  if (usage === undefined) return
  const stated = Object.entries(usage).filter(([key, value]) => value !== null && !Json.isReserved(key))
  draft.usage = { ...draft.usage, ...Object.fromEntries(stated) }
}

const usageOf = (usage: Json.JsonObject | undefined): Part.Finish["usage"] => {
  if (usage === undefined) return { inputTokens: {}, outputTokens: {} }
  const uncached = Json.count(usage, "input_tokens")
  const cacheRead = Json.count(usage, "cache_read_input_tokens")
  const cacheWrite = Json.count(usage, "cache_creation_input_tokens")
  const total = Json.count(usage, "output_tokens")
  const reasoning = Json.count(Json.object(usage, "output_tokens_details"), "thinking_tokens")
  return {
    inputTokens: {
      // `input_tokens` counts only what the cache did not serve.
      total: uncached === undefined ? undefined : uncached + (cacheRead ?? 0) + (cacheWrite ?? 0),
      uncached,
      cacheRead,
      cacheWrite
    },
    outputTokens: {
      total,
      text: total === undefined || reasoning === undefined ? undefined : Math.max(0, total - reasoning),
      reasoning
    }
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
  if (body["type"] === "error" || (body["error"] !== undefined && body["error"] !== null))
    return [Protocol.failed(ErrorReply.fromDecoded(AnthropicMessagesError.decode(body, options) ?? {}))]
  if (!Array.isArray(body["content"])) return [Protocol.failed(ErrorReply.malformed("the reply holds no content"))]
  const draft: Draft = { ...initial(options), parts: [] }
  startMessage(draft, body)
  let index = 0
  for (const block of Json.array(body, "content")) {
    if (!Json.isObject(block)) continue
    startBlock(draft, index, block)
    stopBlock(draft, index)
    index++
  }
  // A reply in one piece is whole, whether or not it says why it ended.
  finish(draft, Json.string(body, "stop_reason") ?? "unknown")
  return draft.parts
}
