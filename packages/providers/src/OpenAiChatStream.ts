/**
 * OpenAI Chat Completions: parsing a stream, by a pure step.
 *
 * A buffered reply goes through the same step as one chunk, so that both fold to the same answer.
 *
 * @since 0.1.0
 */
import * as LlmError from "@echelon/core/LlmError"
import type * as Part from "@echelon/core/Part"
import * as ErrorReply from "./ErrorReply.ts"
import * as Json from "./Json.ts"
import * as OpenAiChatError from "./OpenAiChatError.ts"
import * as OpenAiChatTools from "./OpenAiChatTools.ts"
import * as Protocol from "./Protocol.ts"
import type * as Sse from "./Sse.ts"

// ---------------------------------------------------------------------------------------------------------------
// Wire types
// ---------------------------------------------------------------------------------------------------------------

// What has a place of its own in a part. Whatever else a chunk holds is carried in metadata.
const chunkKeys = new Set(["id", "object", "created", "model", "choices", "usage", "obfuscation", "citations"])
const choiceKeys = new Set(["index", "delta", "message", "finish_reason", "logprobs"])
const deltaKeys = new Set([
  "role",
  "content",
  "refusal",
  "reasoning_content",
  "reasoning",
  "reasoning_details",
  "tool_calls",
  "function_call",
  "annotations"
])

const finishReasons: Readonly<Record<string, Part.FinishReason>> = {
  stop: "stop",
  eos: "stop",
  end_turn: "stop",
  length: "length",
  max_tokens: "length",
  model_length: "length",
  tool_calls: "tool-calls",
  function_call: "tool-calls",
  content_filter: "content-filter",
  error: "error",
  unknown: "unknown"
}

interface Block {
  readonly type: "text" | "reasoning"
  readonly id: string
  readonly refusal: boolean
  readonly details: ReadonlyArray<Json.Json>
}

/**
 * What is held between two events of a stream.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly options: Protocol.Options
  /** The reply's id, once it was told. */
  readonly id: string | undefined
  readonly block: Block | undefined
  readonly blocks: number
  readonly tools: OpenAiChatTools.State
  readonly sources: ReadonlyArray<string>
  readonly finish: string | undefined
  readonly refused: boolean
  /** A function was called. */
  readonly called: boolean
  readonly usage: Json.JsonObject | undefined
  readonly logprobs: Readonly<Record<string, ReadonlyArray<Json.Json>>> | undefined
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
  id: undefined,
  block: undefined,
  blocks: 0,
  tools: OpenAiChatTools.initial,
  sources: [],
  finish: undefined,
  refused: false,
  called: false,
  usage: undefined,
  logprobs: undefined,
  extra: {},
  done: false
})

/**
 * Takes one event.
 *
 * **Details** The finish part is held until `[DONE]` or the end of input, since usage comes after the reason.
 * Without a reason there is none.
 *
 * @since 0.1.0
 * @category parsing
 */
export const step = (state: State, event: Sse.Event): readonly [State, ReadonlyArray<Part.Part>] => {
  if (state.done) return [state, []]
  if (event.data === "[DONE]") return [{ ...state, done: true }, flush(state)]
  const chunk = Json.parse(event.data)
  if (!Json.isObject(chunk)) return fail(state, ErrorReply.malformed("an event of the stream is not a JSON object"))
  const error = OpenAiChatError.inStream(chunk, event.event, state.options)
  if (error !== undefined) return fail(state, ErrorReply.fromDecoded(error))
  return settle(take({ ...state, parts: [] }, chunk))
}

/**
 * Ends the input: gives the finish part when the answer was whole.
 *
 * @since 0.1.0
 * @category parsing
 */
export const flush = (state: State): ReadonlyArray<Part.Part> => {
  if (state.done || state.finish === undefined) return []
  const draft: Draft = { ...state, parts: [] }
  seal(draft)
  if (!draft.done) finish(draft, state.finish)
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

const take = (draft: Draft, chunk: Json.JsonObject): Draft => {
  announce(draft, chunk)
  const extra = Json.rest(chunk, chunkKeys)
  if (extra !== undefined) draft.extra = Json.merge(draft.extra, extra)
  const usage = Json.object(chunk, "usage")
  if (usage !== undefined) draft.usage = usage
  for (const choice of Json.array(chunk, "choices")) if (Json.isObject(choice)) takeChoice(draft, choice)
  for (const url of Json.array(chunk, "citations")) if (typeof url === "string") source(draft, url, url, undefined)
  return draft
}

const announce = (draft: Draft, chunk: Json.JsonObject): void => {
  if (draft.id !== undefined) return
  const id = Json.string(chunk, "id")
  if (id === undefined || id === "") return
  draft.id = id
  const model = Json.string(chunk, "model")
  const created = Json.count(chunk, "created")
  draft.parts.push({
    type: "response-metadata",
    id,
    ...(model === undefined || model === "" ? {} : { modelId: model }),
    // Later than that there is no date to print.
    ...(created === undefined || created === 0 || created > 253_402_300_799
      ? {}
      : { timestamp: new Date(created * 1000).toISOString() })
  })
}

const takeChoice = (draft: Draft, choice: Json.JsonObject): void => {
  if ((Json.number(choice, "index") ?? 0) !== 0) {
    carry(draft, { choice })
    return
  }
  const delta = Json.object(choice, "delta") ?? Json.object(choice, "message")
  if (delta !== undefined) takeDelta(draft, delta)
  const logprobs = Json.object(choice, "logprobs")
  if (logprobs !== undefined) takeLogprobs(draft, logprobs)
  const extra = Json.rest(choice, choiceKeys)
  if (extra !== undefined) draft.extra = Json.merge(draft.extra, extra)
  const reason = Json.string(choice, "finish_reason")
  if (reason === undefined || reason === "") return
  draft.finish = reason
  seal(draft)
}

const takeDelta = (draft: Draft, delta: Json.JsonObject): void => {
  const reasoning = Json.string(delta, "reasoning_content") || Json.string(delta, "reasoning")
  if (reasoning !== undefined && reasoning !== "") reason(draft, reasoning)
  const details = Json.array(delta, "reasoning_details")
  if (details.length > 0) {
    const block = open(draft, "reasoning", false)
    draft.block = { ...block, details: [...block.details, ...details] }
  }
  const content = delta["content"]
  if (typeof content === "string") say(draft, content, false)
  else if (Array.isArray(content)) for (const item of content) takeItem(draft, item)
  const refusal = Json.string(delta, "refusal")
  if (refusal !== undefined && refusal !== "") {
    draft.refused = true
    say(draft, refusal, true)
  }
  for (const annotation of Json.array(delta, "annotations")) takeAnnotation(draft, annotation)
  // The older way to call has one call, without an id.
  const call = Json.object(delta, "function_call")
  const calls = call === undefined ? Json.array(delta, "tool_calls") : [{ function: call }]
  if (calls.length > 0) {
    close(draft)
    const [tools, parts] = OpenAiChatTools.step(draft.tools, calls, draft.id)
    draft.tools = tools
    draft.parts.push(...parts)
  }
  const extra = Json.rest(delta, deltaKeys)
  if (extra !== undefined) carry(draft, { delta: extra })
}

/** One item of a content that is an array: text, or reasoning as a list of texts. */
const takeItem = (draft: Draft, item: Json.Json): void => {
  if (typeof item === "string") {
    say(draft, item, false)
    return
  }
  if (!Json.isObject(item)) {
    carry(draft, { content: item })
    return
  }
  const type = Json.string(item, "type")
  if (type === "text") {
    say(draft, Json.string(item, "text") ?? "", false)
    return
  }
  if (type !== "thinking") {
    carry(draft, { content: item })
    return
  }
  const thinking = item["thinking"]
  if (typeof thinking === "string") {
    reason(draft, thinking)
    return
  }
  for (const piece of Json.array(item, "thinking")) {
    const text = Json.isObject(piece) ? Json.string(piece, "text") : undefined
    if (text === undefined) carry(draft, { thinking: piece })
    else reason(draft, text)
  }
}

const takeAnnotation = (draft: Draft, annotation: Json.Json): void => {
  const cited = Json.isObject(annotation) ? Json.object(annotation, "url_citation") : undefined
  const url = cited === undefined ? undefined : Json.string(cited, "url")
  if (cited === undefined || url === undefined) {
    carry(draft, { annotation })
    return
  }
  source(draft, url, Json.string(cited, "title") ?? url, { annotation })
}

const takeLogprobs = (draft: Draft, logprobs: Json.JsonObject): void => {
  const kept: Record<string, ReadonlyArray<Json.Json>> = { ...draft.logprobs }
  for (const key of Object.keys(logprobs)) {
    const items = Json.array(logprobs, key)
    if (items.length > 0 && !Json.isReserved(key)) kept[key] = [...(kept[key] ?? []), ...items]
  }
  draft.logprobs = kept
}

const metadata = (draft: Draft, data: Readonly<Record<string, unknown>>): Part.Part["metadata"] => ({
  // Every value came out of JSON.parse.
  [draft.options.kind]: data as Json.JsonObject
})

const carry = (draft: Draft, data: Readonly<Record<string, unknown>>): void => {
  draft.parts.push({ type: "response-metadata", metadata: metadata(draft, data) })
}

const source = (
  draft: Draft,
  url: string,
  title: string,
  data: Readonly<Record<string, unknown>> | undefined
): void => {
  // A bare list of addresses is repeated with every chunk by some servers; an annotation is a place in the text.
  if (data === undefined && draft.sources.includes(url)) return
  draft.parts.push({
    type: "source",
    sourceType: "url",
    id: `source-${draft.sources.length}`,
    url,
    title,
    ...(data === undefined ? {} : { metadata: metadata(draft, data) })
  })
  draft.sources = [...draft.sources, url]
}

const say = (draft: Draft, delta: string, refusal: boolean): void => {
  if (delta === "") return
  draft.parts.push({ type: "text-delta", id: open(draft, "text", refusal).id, delta })
}

const reason = (draft: Draft, delta: string): void => {
  if (delta === "") return
  draft.parts.push({ type: "reasoning-delta", id: open(draft, "reasoning", false).id, delta })
}

const open = (draft: Draft, type: Block["type"], refusal: boolean): Block => {
  const current = draft.block
  if (current !== undefined && current.type === type && current.refusal === refusal) return current
  close(draft)
  const block: Block = { type, id: String(draft.blocks), refusal, details: [] }
  draft.blocks++
  draft.block = block
  draft.parts.push({
    type: type === "text" ? "text-start" : "reasoning-start",
    id: block.id,
    ...(refusal ? { metadata: metadata(draft, { refusal: true }) } : {})
  })
  return block
}

const close = (draft: Draft): void => {
  const block = draft.block
  if (block === undefined) return
  draft.block = undefined
  draft.parts.push({
    type: block.type === "text" ? "text-end" : "reasoning-end",
    id: block.id,
    ...(block.details.length === 0 ? {} : { metadata: metadata(draft, { reasoning_details: block.details }) })
  })
}

/** Ends what is open. A tool call that the limit or a filter cut short is no failure: the finish part tells. */
const seal = (draft: Draft): void => {
  close(draft)
  const cut = reasonOf(draft) === "length" || reasonOf(draft) === "content-filter"
  const sealed = OpenAiChatTools.seal(draft.tools, draft.options.kind)
  draft.called ||= sealed.parts.some((part) => part.type === "tool-call")
  draft.tools = OpenAiChatTools.initial
  draft.parts.push(...sealed.parts)
  if (sealed.broken.length === 0) return
  if (cut) draft.extra = { ...draft.extra, incomplete_tool_calls: sealed.broken }
  else {
    draft.done = true
    draft.parts.push(Protocol.failed(ErrorReply.malformed("the arguments of a tool call are not valid JSON")))
  }
}

const reasonOf = ({ called, finish: stated = "unknown", refused }: Draft): Part.FinishReason => {
  if (refused) return "content-filter"
  const reason = Object.hasOwn(finishReasons, stated) ? finishReasons[stated] : undefined
  // Some servers say that they stopped, whatever they stopped for.
  return reason === "stop" && called ? "tool-calls" : (reason ?? "other")
}

const finish = (draft: Draft, stated: string): void => {
  draft.done = true
  if (stated === "insufficient_system_resource") {
    draft.parts.push(
      Protocol.failed(LlmError.make({ reason: { _tag: "Overloaded" }, detail: "the provider ran out of resources" }))
    )
    return
  }
  const groq = draft.extra["x_groq"]
  const usage = draft.usage ?? (Json.isObject(groq) ? Json.object(groq, "usage") : undefined)
  draft.parts.push({
    type: "finish",
    reason: reasonOf(draft),
    usage: usageOf(usage),
    metadata: metadata(draft, {
      ...draft.extra,
      finish_reason: stated,
      ...(usage === undefined ? {} : { usage }),
      ...(draft.logprobs === undefined ? {} : { logprobs: draft.logprobs })
    })
  })
}

const usageOf = (usage: Json.JsonObject | undefined): Part.Finish["usage"] => {
  if (usage === undefined) return { inputTokens: {}, outputTokens: {} }
  const input = Json.object(usage, "prompt_tokens_details")
  const output = Json.object(usage, "completion_tokens_details")
  const prompt = Json.count(usage, "prompt_tokens")
  const completion = Json.count(usage, "completion_tokens")
  const sum = Json.count(usage, "total_tokens")
  const cacheRead = Json.count(input, "cached_tokens") ?? Json.count(usage, "prompt_cache_hit_tokens")
  const cacheWrite = Json.count(input, "cache_write_tokens")
  const reasoning = Json.count(output, "reasoning_tokens")
  // Some servers count reasoning beside the completion, which only their total shows.
  const beside =
    prompt !== undefined &&
    completion !== undefined &&
    reasoning !== undefined &&
    sum === prompt + completion + reasoning
  const total = beside ? completion + reasoning : completion
  return {
    inputTokens: {
      total: prompt,
      uncached: prompt === undefined ? undefined : Math.max(0, prompt - (cacheRead ?? 0) - (cacheWrite ?? 0)),
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
 * Parses a whole reply: the one chunk of a stream that ends at once.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (body: Json.JsonObject, options: Protocol.Options): ReadonlyArray<Part.Part> => {
  const error = OpenAiChatError.inStream(body, undefined, options)
  if (error !== undefined) return [Protocol.failed(ErrorReply.fromDecoded(error))]
  if (!Json.array(body, "choices").some(Json.isObject))
    return [Protocol.failed(ErrorReply.malformed("the reply holds no choice"))]
  const [state, parts] = settle(take({ ...initial(options), parts: [] }, body))
  // A reply in one piece is whole, whether or not it says why it ended.
  return [...parts, ...flush({ ...state, finish: state.finish ?? "unknown" })]
}
