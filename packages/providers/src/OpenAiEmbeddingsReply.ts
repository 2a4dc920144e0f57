/**
 * OpenAI Embeddings: parsing a reply. Vectors come as arrays of numbers or as base64 of little-endian 32-bit floats.
 *
 * @since 0.1.0
 */
import type * as Part from "@echelon/core/Part"
import * as ErrorReply from "./ErrorReply.ts"
import * as Json from "./Json.ts"
import * as OpenAiChatError from "./OpenAiChatError.ts"
import * as Protocol from "./Protocol.ts"
import type * as Sse from "./Sse.ts"

type Vector = ReadonlyArray<number>

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

const known: ReadonlySet<string> = new Set(["object", "data", "model", "id", "usage"])

/**
 * Parses a whole reply: the vectors as one part, in the order of the texts.
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (body: Json.JsonObject, options: Protocol.Options): ReadonlyArray<Part.Part> => {
  const error = OpenAiChatError.inStream(body, undefined, options)
  if (error !== undefined) return [Protocol.failed(ErrorReply.fromDecoded(error))]
  const vectors = vectorsOf(Json.array(body, "data"))
  if (typeof vectors === "string") return [Protocol.failed(ErrorReply.malformed(vectors))]
  const id = Json.string(body, "id")
  const modelId = Json.string(body, "model")
  const usage = Json.object(body, "usage")
  const extra = { ...Json.rest(body, known), ...(usage === undefined ? {} : { usage }) }
  return [
    ...(id === undefined && modelId === undefined ? [] : [{ type: "response-metadata" as const, id, modelId }]),
    { type: "embeddings", vectors },
    { type: "finish", reason: "stop", usage: usageOf(usage), metadata: { [options.kind]: extra } }
  ]
}

/** The vectors by their indexes, or what is wrong with them. */
const vectorsOf = (data: ReadonlyArray<Json.Json>): ReadonlyArray<Vector> | string => {
  if (data.length === 0) return "the reply holds no vectors"
  const vectors: Array<Vector> = []
  let placed = 0
  for (const [at, item] of data.entries()) {
    if (!Json.isObject(item)) return `data[${at}] is no object`
    const vector = vectorOf(item["embedding"])
    if (vector === undefined) return `data[${at}] holds no vector of numbers`
    // Some servers leave the index out and keep the order.
    const index = item["index"] === undefined ? at : Json.count(item, "index")
    if (index === undefined || index >= data.length || vectors[index] !== undefined)
      return `data[${at}] has an index that is out of range or taken`
    vectors[index] = vector
    placed += 1
  }
  return placed === data.length ? vectors : "the reply leaves out a vector"
}

const isVector = (value: Json.Json | undefined): value is Array<number> =>
  Array.isArray(value) && value.every((item) => typeof item === "number")

const vectorOf = (value: Json.Json | undefined): Vector | undefined =>
  typeof value === "string" ? decode(value) : isVector(value) ? value : undefined

/** Four bytes a number, little end first, whatever the machine's own order is. */
const decode = (base64: string): Vector | undefined => {
  if (base64.length % 4 !== 0 || !/^[A-Za-z0-9+/]*={0,2}$/.test(base64)) return undefined
  const bytes = Buffer.from(base64, "base64")
  if (bytes.length % 4 !== 0) return undefined
  const vector: Array<number> = []
  for (let at = 0; at < bytes.length; at += 4) vector.push(bytes.readFloatLE(at))
  return vector
}

/** There is no output to count. Texts take tokens: a server that reports none has not counted. */
const usageOf = (usage: Json.JsonObject | undefined): Part.Finish["usage"] => {
  const input = Json.count(usage, "prompt_tokens") || Json.count(usage, "total_tokens")
  return input === undefined || input === 0
    ? { inputTokens: {}, outputTokens: {} }
    : { inputTokens: { total: input, uncached: input }, outputTokens: { total: 0 } }
}
