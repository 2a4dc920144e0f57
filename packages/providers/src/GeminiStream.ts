/**
 * Google Gemini: parsing a stream, by a pure step.
 *
 * Each event is a whole response that holds what came since the last one. A buffered reply goes through the same
 * step as one event, so that both fold to the same answer.
 *
 * @since 0.1.0
 */
import * as LlmError from "@echelon/core/LlmError"
import * as Part from "@echelon/core/Part"
import * as ErrorReply from "./ErrorReply.ts"
import * as GeminiError from "./GeminiError.ts"
import * as GeminiTools from "./GeminiTools.ts"
import * as Json from "./Json.ts"
import * as Protocol from "./Protocol.ts"
import type * as Sse from "./Sse.ts"

// ---------------------------------------------------------------------------------------------------------------
// Wire types
// ---------------------------------------------------------------------------------------------------------------

// What has a place of its own in a part. Whatever else an event holds is carried in metadata.
const chunkKeys = new Set(["candidates", "usageMetadata", "modelVersion", "responseId", "createTime"])
const candidateKeys = new Set(["index", "content", "finishReason", "logprobsResult"])
const contentKeys = new Set(["role", "parts"])
const partKeys = new Set(["text", "thought", "thoughtSignature", "functionCall", "inlineData"])
const dataKeys = new Set(["mimeType", "data"])
const none: ReadonlySet<string> = new Set()

const finishReasons: Readonly<Record<string, Part.FinishReason>> = {
  STOP: "stop",
  FUNCTION_CALL: "tool-calls",
  MAX_TOKENS: "length",
  SAFETY: "content-filter",
  RECITATION: "content-filter",
  LANGUAGE: "content-filter",
  BLOCKLIST: "content-filter",
  PROHIBITED_CONTENT: "content-filter",
  SPII: "content-filter",
  MODEL_ARMOR: "content-filter",
  IMAGE_SAFETY: "content-filter",
  IMAGE_PROHIBITED_CONTENT: "content-filter",
  IMAGE_RECITATION: "content-filter",
  FINISH_REASON_UNSPECIFIED: "unknown",
  unknown: "unknown"
}

// Ends that are failures. `finishMessage` quotes what the model wrote, so that no error holds it.
const failures: Readonly<Record<string, readonly [tag: "MalformedOutput" | "InvalidRequest", detail: string]>> = {
  MALFORMED_FUNCTION_CALL: ["MalformedOutput", "the model wrote a function call that is not valid"],
  MALFORMED_RESPONSE: ["MalformedOutput", "the model wrote a response that is not valid"],
  UNEXPECTED_TOOL_CALL: ["MalformedOutput", "the model called a tool that it was not given"],
  TOO_MANY_TOOL_CALLS: ["MalformedOutput", "the model called too many tools in a row"],
  MISSING_THOUGHT_SIGNATURE: ["InvalidRequest", "a thought signature is missing from the conversation"]
}

interface Block {
  readonly type: "text" | "reasoning"
  readonly id: string
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
  /** The reply's id, once it was told. */
  readonly id: string | undefined
  readonly block: Block | undefined
  readonly blocks: number
  readonly tools: GeminiTools.State
  /** What was cited. Lists of sources are repeated and grow from event to event. */
  readonly sources: ReadonlySet<string>
  readonly finish: string | undefined
  /** The prompt was blocked. */
  readonly blocked: boolean
  readonly hasOutput: boolean
  readonly usage: Json.JsonObject | undefined
  readonly logprobs: Json.JsonObject | undefined
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
  id: undefined,
  block: undefined,
  blocks: 0,
  tools: GeminiTools.initial,
  sources: new Set(),
  finish: undefined,
  blocked: false,
  hasOutput: false,
  usage: undefined,
  logprobs: undefined,
  extra: {},
  done: false
})

/**
 * Takes one event.
 *
 * **Details** The finish part is held until the end of input: no event says that it is the last, and some follow
 * the reason. Without a reason there is none. A prompt that is blocked before any output fails at once.
 *
 * @since 0.1.0
 * @category parsing
 */
export const step = (state: State, event: Sse.Event): readonly [State, ReadonlyArray<Part.Part>] => {
  if (state.done || event.data === "[DONE]") return [state, []]
  const chunk = Json.parse(event.data)
  if (!Json.isObject(chunk)) return fail(state, ErrorReply.malformed("an event of the stream is not a JSON object"))
  const error = GeminiError.inStream(chunk, state.options)
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
  finish(draft, state.finish)
  return draft.parts
}

const fail = (state: State, error: LlmError.LlmError): readonly [State, ReadonlyArray<Part.Part>] => [
  { ...state, done: true },
  [Protocol.failed(error)]
]

const settle = (draft: Draft): readonly [State, ReadonlyArray<Part.Part>] => {
  const { parts, ...state } = draft
  return [{ ...state, hasOutput: state.hasOutput || parts.some(Part.isOutput) }, parts]
}

const take = (draft: Draft, chunk: Json.JsonObject): Draft => {
  announce(draft, chunk)
  keep(draft, Json.rest(chunk, chunkKeys))
  const usage = Json.rest(Json.object(chunk, "usageMetadata") ?? {}, none)
  // Figures are running totals: a later one replaces an earlier one, an absent one leaves it.
  if (usage !== undefined) draft.usage = { ...draft.usage, ...usage }
  for (const candidate of Json.array(chunk, "candidates")) if (Json.isObject(candidate)) takeCandidate(draft, candidate)
  const feedback = Json.object(chunk, "promptFeedback")
  const block = feedback === undefined ? undefined : Json.string(feedback, "blockReason")
  if (block === undefined || block === "BLOCK_REASON_UNSPECIFIED") return draft
  draft.blocked = true
  draft.finish ??= block
  if (!draft.hasOutput && !draft.parts.some(Part.isOutput)) withhold(draft, "the prompt was blocked", block)
  return draft
}

const withhold = (draft: Draft, what: string, reason: string): void => {
  draft.done = true
  draft.parts.push(Protocol.failed(LlmError.make({ reason: { _tag: "ContentPolicy" }, detail: `${what} (${reason})` })))
}

const announce = (draft: Draft, chunk: Json.JsonObject): void => {
  draft.id ??= Json.string(chunk, "responseId") || undefined
  if (draft.announced) return
  const model = Json.string(chunk, "modelVersion") || undefined
  if (draft.id === undefined && model === undefined) return
  draft.announced = true
  const created = new Date(Json.string(chunk, "createTime") ?? Number.NaN)
  draft.parts.push({
    type: "response-metadata",
    ...(draft.id === undefined ? {} : { id: draft.id }),
    ...(model === undefined ? {} : { modelId: model }),
    ...(Number.isNaN(created.getTime()) ? {} : { timestamp: created.toISOString() })
  })
}

const takeCandidate = (draft: Draft, candidate: Json.JsonObject): void => {
  if ((Json.number(candidate, "index") ?? 0) !== 0) {
    carry(draft, { candidate })
    return
  }
  const content = Json.object(candidate, "content") ?? {}
  for (const part of Json.array(content, "parts")) if (Json.isObject(part)) takePart(draft, part)
  const beside = Json.rest(content, contentKeys)
  if (beside !== undefined) carry(draft, { content: beside })
  for (const chunk of Json.array(Json.object(candidate, "groundingMetadata") ?? {}, "groundingChunks"))
    ground(draft, chunk)
  const citations = Json.object(candidate, "citationMetadata") ?? {}
  for (const key of ["citationSources", "citations"])
    for (const citation of Json.array(citations, key)) cite(draft, citation)
  const logprobs = Json.object(candidate, "logprobsResult")
  if (logprobs !== undefined) takeLogprobs(draft, logprobs)
  keep(draft, Json.rest(candidate, candidateKeys))
  const reason = Json.string(candidate, "finishReason")
  if (reason !== undefined && reason !== "") draft.finish = reason
}

const takePart = (draft: Draft, part: Json.JsonObject): void => {
  const signature = Json.string(part, "thoughtSignature") || undefined
  const isThought = part["thought"] === true
  const extra = Json.rest(part, partKeys)
  const call = Json.object(part, "functionCall")
  if (call !== undefined) {
    close(draft, undefined)
    const { id: replyId, options } = draft
    const [tools, parts] = GeminiTools.step(draft.tools, call, { kind: options.kind, replyId, signature, extra })
    draft.tools = tools
    draft.parts.push(...parts)
    return
  }
  const data = Json.object(part, "inlineData")
  if (data !== undefined) {
    takeFile(draft, part, data, isThought)
    return
  }
  // A part of a kind of its own is carried as it is.
  if (extra !== undefined && part["text"] === undefined) {
    close(draft, undefined)
    carry(draft, { part })
    return
  }
  if (extra !== undefined) carry(draft, { part: extra })
  const text = Json.string(part, "text") ?? ""
  if (text === "" && signature === undefined) return
  const block = open(draft, isThought ? "reasoning" : "text")
  if (text !== "") draft.parts.push({ type: isThought ? "reasoning-delta" : "text-delta", id: block.id, delta: text })
  // A signature belongs to its part: what follows is not joined to it.
  if (signature !== undefined) close(draft, signature)
}

/** A picture on the way to the answer is none of the answer. */
const takeFile = (draft: Draft, part: Json.JsonObject, file: Json.JsonObject, isThought: boolean): void => {
  const mediaType = Json.string(file, "mimeType")
  const data = Json.string(file, "data")
  if (isThought || mediaType === undefined || data === undefined) {
    carry(draft, { part })
    return
  }
  close(draft, undefined)
  const { inlineData: _, ...beside } = part
  const own = { ...beside, ...Json.rest(file, dataKeys) }
  draft.parts.push({
    type: "file",
    mediaType,
    data,
    ...(Object.keys(own).length === 0 ? {} : { metadata: metadata(draft, own) })
  })
}

const open = (draft: Draft, type: Block["type"]): Block => {
  if (draft.block?.type === type) return draft.block
  close(draft, undefined)
  const block: Block = { type, id: String(draft.blocks) }
  draft.blocks++
  draft.block = block
  draft.parts.push({ type: type === "text" ? "text-start" : "reasoning-start", id: block.id })
  return block
}

const close = (draft: Draft, signature: string | undefined): void => {
  const { block } = draft
  if (block === undefined) return
  draft.block = undefined
  const signed = signature === undefined ? {} : { thoughtSignature: signature }
  // A thought says whose it is, signed or not: no other provider is sent it.
  if (block.type === "reasoning")
    draft.parts.push({ type: "reasoning-end", id: block.id, metadata: metadata(draft, { thought: true, ...signed }) })
  else
    draft.parts.push({
      type: "text-end",
      id: block.id,
      ...(signature === undefined ? {} : { metadata: metadata(draft, signed) })
    })
}

/** One chunk of what an answer was grounded in: a page, a place or a piece of a document. */
const ground = (draft: Draft, chunk: Json.Json): void => {
  if (!Json.isObject(chunk)) return
  for (const value of Object.values(chunk)) {
    if (!Json.isObject(value)) continue
    const url = Json.string(value, "uri") ?? Json.string(value, "sourceUri")
    const title = Json.string(value, "title")
    if (url !== undefined) source(draft, url, { url, title }, chunk, "groundingChunk")
    else if (title !== undefined) source(draft, JSON.stringify(chunk), { url, title }, chunk, "groundingChunk")
  }
}

const cite = (draft: Draft, citation: Json.Json): void => {
  if (!Json.isObject(citation)) return
  const url = Json.string(citation, "uri")
  // Without an address it stays in the finish part's metadata.
  if (url === undefined) return
  source(draft, JSON.stringify(citation), { url, title: Json.string(citation, "title") }, citation, "citation")
}

const source = (
  draft: Draft,
  key: string,
  cited: { readonly url: string | undefined; readonly title: string | undefined },
  from: Json.JsonObject,
  as: string
): void => {
  if (draft.sources.has(key)) return
  const id = `source-${draft.sources.size}`
  draft.sources = new Set(draft.sources).add(key)
  const { title, url } = cited
  const data = metadata(draft, { [as]: from })
  draft.parts.push(
    url === undefined
      ? { type: "source", sourceType: "document", id, mediaType: "text/plain", title: title ?? "", metadata: data }
      : { type: "source", sourceType: "url", id, url, title: title ?? url, metadata: data }
  )
}

/** Lists of tokens go on from event to event; anything else is replaced. */
const takeLogprobs = (draft: Draft, logprobs: Json.JsonObject): void => {
  const kept: Record<string, Json.Json> = { ...draft.logprobs }
  for (const [key, value] of Object.entries(logprobs)) {
    if (Json.isReserved(key)) continue
    const before = kept[key]
    kept[key] = Array.isArray(before) && Array.isArray(value) ? [...before, ...value] : value
  }
  draft.logprobs = kept
}

const reasonOf = (draft: Draft, stated: string): Part.FinishReason => {
  if (draft.blocked) return "content-filter"
  const reason = Object.hasOwn(finishReasons, stated) ? finishReasons[stated] : undefined
  // The protocol has no reason of its own for calls.
  return reason === "stop" && draft.tools.count > 0 ? "tool-calls" : (reason ?? "other")
}

const finish = (draft: Draft, stated: string): void => {
  draft.done = true
  close(draft, undefined)
  const reason = reasonOf(draft, stated)
  const sealed = GeminiTools.seal(draft.tools, draft.options.kind)
  draft.parts.push(...sealed.parts)
  const failure = Object.hasOwn(failures, stated) ? failures[stated] : undefined
  if (failure !== undefined) {
    const [_tag, detail] = failure
    draft.parts.push(Protocol.failed(LlmError.make({ reason: { _tag }, detail })))
    return
  }
  if (reason === "content-filter" && !draft.hasOutput && !draft.parts.some(Part.isOutput)) {
    withhold(draft, "the answer was withheld", stated)
    return
  }
  // A tool call that the limit or a filter cut short is no failure: the finish part tells.
  const cut = reason === "length" || reason === "content-filter"
  if (sealed.broken.length > 0 && !cut) {
    draft.parts.push(Protocol.failed(ErrorReply.malformed("a tool call is not whole")))
    return
  }
  draft.parts.push({
    type: "finish",
    reason,
    usage: usageOf(draft.usage),
    metadata: metadata(draft, {
      ...draft.extra,
      finishReason: stated,
      ...(draft.usage === undefined ? {} : { usageMetadata: draft.usage }),
      ...(draft.logprobs === undefined ? {} : { logprobsResult: draft.logprobs }),
      ...(sealed.broken.length === 0 ? {} : { incomplete_tool_calls: sealed.broken })
    })
  })
}

const metadata = (draft: Draft, data: Readonly<Record<string, unknown>>): NonNullable<Part.Part["metadata"]> => ({
  // Every value came out of JSON.parse.
  [draft.options.kind]: data as Json.JsonObject
})

const carry = (draft: Draft, data: Readonly<Record<string, unknown>>): void => {
  draft.parts.push({ type: "response-metadata", metadata: metadata(draft, data) })
}

const keep = (draft: Draft, extra: Json.JsonObject | undefined): void => {
  if (extra !== undefined) draft.extra = Json.merge(draft.extra, extra)
}

const usageOf = (usage: Json.JsonObject | undefined): Part.Finish["usage"] => {
  if (usage === undefined) return { inputTokens: {}, outputTokens: {} }
  const prompt = Json.count(usage, "promptTokenCount")
  const sum = Json.count(usage, "totalTokenCount")
  const cacheRead = Json.count(usage, "cachedContentTokenCount")
  const reasoning = Json.count(usage, "thoughtsTokenCount")
  const stated = Json.count(usage, "candidatesTokenCount")
  // What tools put into the prompt is counted beside it.
  const input = prompt === undefined ? undefined : prompt + (Json.count(usage, "toolUsePromptTokenCount") ?? 0)
  const rest = sum === undefined || input === undefined ? undefined : Math.max(0, sum - input)
  // Thoughts are counted beside the answer, and a count of none is left out. A total that has no room for both
  // shows a server that counts them within.
  const within = stated !== undefined && reasoning !== undefined && rest === stated
  const total = stated === undefined && reasoning === undefined ? rest : (stated ?? 0) + (within ? 0 : (reasoning ?? 0))
  return {
    inputTokens: {
      total: input,
      uncached: input === undefined ? undefined : Math.max(0, input - (cacheRead ?? 0)),
      cacheRead,
      cacheWrite: undefined
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
 * Parses a whole reply: the one event of a stream that ends at once.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (body: Json.JsonObject, options: Protocol.Options): ReadonlyArray<Part.Part> => {
  const error = GeminiError.inStream(body, options)
  if (error !== undefined) return [Protocol.failed(ErrorReply.fromDecoded(error))]
  const [state, parts] = settle(take({ ...initial(options), parts: [] }, body))
  if (!state.blocked && !Json.array(body, "candidates").some(Json.isObject))
    return [Protocol.failed(ErrorReply.malformed("the reply holds no candidate"))]
  // A reply in one piece is whole, whether or not it says why it ended.
  return [...parts, ...flush({ ...state, finish: state.finish ?? "unknown" })]
}
