/**
 * Google Gemini embeddings: parsing a reply.
 *
 * @since 0.1.0
 */
import type * as Part from "@echelon/core/Part"
import * as ErrorReply from "./ErrorReply.ts"
import * as GeminiError from "./GeminiError.ts"
import * as Json from "./Json.ts"
import * as Protocol from "./Protocol.ts"
import type * as Sse from "./Sse.ts"

// ---------------------------------------------------------------------------------------------------------------
// Parsing a stream
// ---------------------------------------------------------------------------------------------------------------

/**
 * What is known while a stream is read.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly options: Protocol.Options
  readonly done: boolean
}

/**
 * Starts with nothing read.
 *
 * @since 0.1.0
 * @category parsing
 */
export const initial = (options: Protocol.Options): State => ({ options, done: false })

/**
 * Takes an event. The protocol has no streams: of a server that sends its reply as an event, the first is the reply.
 *
 * @since 0.1.0
 * @category parsing
 */
export const step = (state: State, event: Sse.Event): readonly [State, ReadonlyArray<Part.Part>] => {
  const body = state.done ? undefined : Json.parse(event.data)
  return Json.isObject(body) ? [{ ...state, done: true }, parse(body, state.options)] : [state, []]
}

/**
 * Ends a stream.
 *
 * @since 0.1.0
 * @category parsing
 */
export const flush = (state: State): ReadonlyArray<Part.Part> =>
  state.done ? [] : [Protocol.failed(ErrorReply.malformed("the stream holds no vectors"))]

// ---------------------------------------------------------------------------------------------------------------
// Parsing a buffered reply
// ---------------------------------------------------------------------------------------------------------------

const known: ReadonlySet<string> = new Set(["embeddings", "usageMetadata"])

/**
 * Parses a whole reply: the vectors as one part. Their order is that of the texts.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (body: Json.JsonObject, options: Protocol.Options): ReadonlyArray<Part.Part> => {
  if (Json.object(body, "error") !== undefined)
    return [Protocol.failed(ErrorReply.fromDecoded(GeminiError.decode(body, options) ?? {}))]
  const vectors = Json.array(body, "embeddings").map((item) => (Json.isObject(item) ? item["values"] : undefined))
  if (vectors.length === 0) return [Protocol.failed(ErrorReply.malformed("the reply holds no vectors"))]
  if (!vectors.every(isVector))
    return [Protocol.failed(ErrorReply.malformed("the reply holds something else than vectors of numbers"))]
  const usage = Json.object(body, "usageMetadata")
  const extra = { ...Json.rest(body, known), ...(usage === undefined ? {} : { usageMetadata: usage }) }
  return [
    { type: "embeddings", vectors },
    { type: "finish", reason: "stop", usage: usageOf(usage), metadata: { [options.kind]: extra } }
  ]
}

const isVector = (value: Json.Json | undefined): value is Array<number> =>
  Array.isArray(value) && value.every((item) => typeof item === "number")

/** There is no output to count. Not every model reports usage. */
const usageOf = (usage: Json.JsonObject | undefined): Part.Finish["usage"] => {
  const input = Json.count(usage, "promptTokenCount") || Json.count(usage, "totalTokenCount")
  return input === undefined || input === 0
    ? { inputTokens: {}, outputTokens: {} }
    : { inputTokens: { total: input, uncached: input }, outputTokens: { total: 0 } }
}
