/**
 * OpenAI Responses: parsing a stream, by a pure step.
 *
 * A buffered reply goes through the same items as the events that would have built it, so that both fold to the
 * same answer.
 *
 * @since 0.1.0
 */
import type * as LlmError from "@echelon/core/LlmError"
import type * as Part from "@echelon/core/Part"
import * as ErrorReply from "./ErrorReply.ts"
import * as Json from "./Json.ts"
import * as OpenAiResponsesError from "./OpenAiResponsesError.ts"
import * as OpenAiResponsesItems from "./OpenAiResponsesItems.ts"
import * as Protocol from "./Protocol.ts"
import type * as Sse from "./Sse.ts"

// ---------------------------------------------------------------------------------------------------------------
// Wire types
// ---------------------------------------------------------------------------------------------------------------

// What has a place of its own in a part, and what only repeats the request. The rest is carried in metadata.
const responseKeys = new Set([
  ...["id", "object", "created_at", "model", "output", "output_text", "usage", "status", "error"],
  ...["background", "conversation", "frequency_penalty", "include", "instructions", "max_output_tokens"],
  ...["max_tool_calls", "metadata", "parallel_tool_calls", "presence_penalty", "previous_response_id", "prompt"],
  ...["prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "reasoning", "safety_identifier"],
  ...["store", "temperature", "text", "tool_choice", "tools", "top_logprobs", "top_p", "truncation", "user"]
])
const eventKeys = new Set(["type", "sequence_number", "response"])

const incompleteReasons: Readonly<Record<string, Part.FinishReason>> = {
  max_output_tokens: "length",
  content_filter: "content-filter"
}

/**
 * What is held between two events of a stream.
 *
 * @since 0.1.0
 * @category models
 */
export interface State extends OpenAiResponsesItems.State {
  readonly announced: boolean
  readonly done: boolean
}

/** A state while one event is taken: changed in place, seen by nobody else. */
interface Draft extends OpenAiResponsesItems.Draft {
  announced: boolean
  done: boolean
}

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
  ...OpenAiResponsesItems.initial(options),
  announced: false,
  done: false
})

/**
 * Takes one event.
 *
 * **Details** The finish part comes with `response.completed` or `response.incomplete`. Without one of them there
 * is none.
 *
 * @since 0.1.0
 * @category parsing
 */
export const step = (state: State, event: Sse.Event): readonly [State, ReadonlyArray<Part.Part>] => {
  // Some servers end by the word that ends Chat Completions. It tells nothing of the response.
  if (state.done || event.data === "[DONE]") return [state, []]
  const data = Json.parse(event.data)
  if (!Json.isObject(data)) return fail(state, ErrorReply.malformed("an event of the stream is not a JSON object"))
  const type = Json.string(data, "type") ?? event.event ?? ""
  const error = OpenAiResponsesError.inStream(data, type, state.options)
  if (error !== undefined) return fail(state, ErrorReply.fromDecoded(error))
  return settle(take({ ...state, parts: [] }, type, data))
}

/**
 * Ends the input. An answer is whole only when an event said so, which gave the finish part already.
 *
 * @since 0.1.0
 * @category parsing
 */
export const flush = (_: State): ReadonlyArray<Part.Part> => []

const fail = (state: State, error: LlmError.LlmError): readonly [State, ReadonlyArray<Part.Part>] => [
  { ...state, done: true },
  [Protocol.failed(error)]
]

const settle = (draft: Draft): readonly [State, ReadonlyArray<Part.Part>] => {
  const { parts, ...state } = draft
  return [state, parts]
}

const take = (draft: Draft, type: string, data: Json.JsonObject): Draft => {
  switch (type) {
    case "response.created":
    case "response.queued":
    case "response.in_progress":
      announce(draft, Json.object(data, "response") ?? {})
      break
    case "response.output_item.added":
      OpenAiResponsesItems.start(draft, Json.count(data, "output_index"), Json.object(data, "item") ?? {})
      break
    case "response.output_item.done":
      OpenAiResponsesItems.stop(draft, Json.count(data, "output_index"), Json.object(data, "item") ?? {})
      break
    case "response.output_text.delta":
      OpenAiResponsesItems.say(draft, data, false)
      break
    case "response.refusal.delta":
      OpenAiResponsesItems.say(draft, data, true)
      break
    case "response.output_text.annotation.added":
      OpenAiResponsesItems.annotate(draft, data)
      break
    case "response.content_part.done":
      takePart(draft, data, Json.object(data, "part") ?? {})
      break
    case "response.reasoning_summary_text.delta":
      OpenAiResponsesItems.think(draft, data, "summary")
      break
    case "response.reasoning_text.delta":
      OpenAiResponsesItems.think(draft, data, "content")
      break
    case "response.reasoning_summary_text.done":
      OpenAiResponsesItems.thinkWhole(draft, data, "summary", data)
      break
    case "response.reasoning_text.done":
      OpenAiResponsesItems.thinkWhole(draft, data, "content", data)
      break
    case "response.function_call_arguments.delta":
      OpenAiResponsesItems.argue(draft, data, Json.string(data, "delta") ?? "")
      break
    case "response.function_call_arguments.done":
      OpenAiResponsesItems.argueWhole(draft, data)
      break
    case "response.completed":
    case "response.incomplete":
      finish(draft, Json.object(data, "response") ?? {}, type, Json.rest(data, eventKeys))
      break
    // What these say is said again, by the part or the item that they belong to.
    case "response.content_part.added":
    case "response.output_text.done":
    case "response.refusal.done":
    case "response.reasoning_summary_part.added":
    case "response.reasoning_summary_part.done":
    case "keepalive":
    case "ping":
      break
    default:
      if (!isOfItem(draft, type, data)) OpenAiResponsesItems.carry(draft, { event: data })
  }
  return draft
}

/** How an item comes about that is carried whole when it is done. Pictures on the way are in no item. */
const isOfItem = (draft: Draft, type: string, data: Json.JsonObject): boolean => {
  const of = OpenAiResponsesItems.typeAt(draft, data)
  return of !== undefined && type.startsWith(`response.${of}`) && data["partial_image_b64"] === undefined
}

const takePart = (draft: Draft, event: Json.JsonObject, part: Json.JsonObject): void => {
  if (part["type"] === "reasoning_text") OpenAiResponsesItems.thinkWhole(draft, event, "content", part)
  else OpenAiResponsesItems.sayWhole(draft, event, part)
}

const announce = (draft: Draft, response: Json.JsonObject): void => {
  if (draft.announced) return
  draft.announced = true
  const id = Json.string(response, "id")
  const model = Json.string(response, "model")
  const created = Json.count(response, "created_at")
  draft.parts.push({
    type: "response-metadata",
    ...(id === undefined ? {} : { id }),
    ...(model === undefined || model === "" ? {} : { modelId: model }),
    // Later than that there is no date to print.
    ...(created === undefined || created === 0 || created > 253_402_300_799
      ? {}
      : { timestamp: new Date(created * 1000).toISOString() })
  })
}

const finish = (draft: Draft, response: Json.JsonObject, type: string, beside: Json.JsonObject | undefined): void => {
  announce(draft, response)
  // A server that sent nothing on the way says it all at the end.
  if (draft.begun === 0) takeOutput(draft, response)
  OpenAiResponsesItems.stopAll(draft)
  draft.done = true
  const incomplete = type === "response.incomplete" || response["status"] === "incomplete"
  const why = Json.string(Json.object(response, "incomplete_details") ?? {}, "reason") ?? ""
  const reason = incomplete
    ? Object.hasOwn(incompleteReasons, why)
      ? (incompleteReasons[why] ?? "other")
      : "other"
    : draft.refused
      ? "content-filter"
      : draft.called
        ? "tool-calls"
        : "stop"
  if (draft.broken.length > 0 && !incomplete) {
    draft.parts.push(Protocol.failed(ErrorReply.malformed("the arguments of a tool call are not valid JSON")))
    return
  }
  const usage = Json.object(response, "usage")
  draft.parts.push({
    type: "finish",
    reason,
    usage: usageOf(usage),
    metadata: {
      [draft.options.kind]: {
        ...beside,
        ...Json.rest(response, responseKeys),
        status: Json.string(response, "status") ?? (incomplete ? "incomplete" : "completed"),
        ...(usage === undefined ? {} : { usage }),
        ...(draft.broken.length === 0 ? {} : { incomplete_tool_calls: draft.broken })
      }
    }
  })
}

const takeOutput = (draft: Draft, response: Json.JsonObject): void => {
  for (const [index, item] of Json.array(response, "output").entries())
    if (Json.isObject(item)) OpenAiResponsesItems.stop(draft, index, item)
}

const usageOf = (usage: Json.JsonObject | undefined): Part.Finish["usage"] => {
  if (usage === undefined) return { inputTokens: {}, outputTokens: {} }
  const input = Json.object(usage, "input_tokens_details")
  const output = Json.object(usage, "output_tokens_details")
  const prompt = Json.count(usage, "input_tokens")
  const total = Json.count(usage, "output_tokens")
  const cacheRead = Json.count(input, "cached_tokens")
  const cacheWrite = Json.count(input, "cache_write_tokens")
  const reasoning = Json.count(output, "reasoning_tokens")
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
 * Parses a whole reply: the items of a stream that ends at once.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (body: Json.JsonObject, options: Protocol.Options): ReadonlyArray<Part.Part> => {
  const error = OpenAiResponsesError.inStream(body, Json.string(body, "type"), options)
  if (error !== undefined) return [Protocol.failed(ErrorReply.fromDecoded(error))]
  if (!Array.isArray(body["output"])) return [Protocol.failed(ErrorReply.malformed("the reply holds no output"))]
  const status = Json.string(body, "status")
  // A response in the background is fetched later, which nobody does here.
  if (status === "queued" || status === "in_progress")
    return [Protocol.failed(ErrorReply.malformed(`the reply is not finished: its status is ${status}`))]
  const draft: Draft = { ...initial(options), parts: [] }
  finish(draft, body, "response", undefined)
  return draft.parts
}
