/**
 * The pure core of the reply cache: which answers are kept, and in what form.
 *
 * Kept are whole answers of nothing but text and reasoning, or of vectors, that ended because the model was done. Left
 * out are:
 *
 * - what failed, was cancelled, or was not read to its end;
 * - what was cut short: `length`, `content-filter`, `other`, `unknown`. Whoever asks again hopes for the rest;
 * - tool calls, sources and files: a call would be made again, a search would answer of yesterday;
 * - an answer put together from two instances (`metadata.echelon.seam`), which neither has given;
 * - an empty answer, and one above a stated size.
 *
 * @since 0.1.0
 */
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Part from "./Part.ts"
import * as PartSize from "./PartSize.ts"

/**
 * A kept answer, and who gave it.
 *
 * @since 0.1.0
 * @category models
 */
export interface CachedReply {
  readonly instance: string
  readonly model: string
  readonly echelon: string | undefined
  /** Milliseconds since the epoch. */
  readonly storedAt: number
  /** The parts as JSON text: small, and nothing that a reader does to its parts reaches the next. */
  readonly parts: string
}

/**
 * How a kept answer is stored.
 *
 * @since 0.1.0
 * @category schemas
 */
export const CachedReply = Schema.Struct({
  instance: Schema.String,
  model: Schema.String,
  echelon: Schema.UndefinedOr(Schema.String),
  storedAt: Schema.Finite,
  parts: Schema.String
})

/**
 * What was gathered of an answer so far. It belongs to one reply and is changed in place.
 *
 * @since 0.1.0
 * @category models
 */
export interface Gathering {
  readonly maxSize: number
  /** `undefined` once the answer is not to be kept. */
  parts: Array<Part.Part> | undefined
  size: number
  hasOutput: boolean
}

/**
 * Starts with nothing gathered.
 *
 * @since 0.1.0
 * @category constructors
 */
export const gather = (maxSize: number): Gathering => ({ maxSize, parts: [], size: 0, hasOutput: false })

const hasSeam = ({ metadata }: Part.Part): boolean => {
  const own = metadata?.["echelon"]
  return typeof own === "object" && own !== null && "seam" in own
}

/**
 * Gathers a batch. Gives the parts when the answer is whole and is to be kept; what is not is let go of at once.
 *
 * @since 0.1.0
 * @category mutations
 */
export const add = (state: Gathering, batch: ReadonlyArray<Part.Part>): ReadonlyArray<Part.Part> | undefined => {
  const { parts } = state
  if (parts === undefined) return undefined
  for (const part of batch) {
    state.size += PartSize.of(part)
    const isKind = part.type === "embeddings" || !Part.isIrrevocable(part)
    if (state.size > state.maxSize || part.type === "error" || !isKind || hasSeam(part)) {
      state.parts = undefined
      return undefined
    }
    parts.push(part)
    state.hasOutput ||= Part.isOutput(part)
    if (part.type !== "finish") continue
    state.parts = undefined
    return part.reason === "stop" && state.hasOutput ? parts : undefined
  }
  return undefined
}

/** Whether a part is a piece of a block and nothing else. */
const isPlainDelta = (
  part: Part.Part
): part is Extract<Part.Part, { readonly type: "text-delta" | "reasoning-delta" }> =>
  (part.type === "text-delta" || part.type === "reasoning-delta") &&
  part.metadata === undefined &&
  part.raw === undefined

/**
 * Brings parts into the form in which they are kept: pieces of a block that follow each other joined, as in a
 * buffered answer. Raw events stay when they were asked for, and their pieces with them; otherwise they are left out.
 *
 * @since 0.1.0
 * @category combinators
 */
export const compact = (
  parts: ReadonlyArray<Part.Part>,
  options: { readonly keepsRaw: boolean }
): ReadonlyArray<Part.Part> => {
  const out: Array<Part.Part> = []
  let chunks: Array<string> = []
  const close = () => {
    const last = out[out.length - 1]
    if (chunks.length > 1 && last !== undefined && isPlainDelta(last))
      out[out.length - 1] = { ...last, delta: chunks.join("") }
    chunks = []
  }
  for (const full of parts) {
    const { raw, ...bare } = full
    const part = options.keepsRaw || raw === undefined ? full : (bare as Part.Part)
    const last = out[out.length - 1]
    if (isPlainDelta(part)) {
      if (last !== undefined && isPlainDelta(last) && last.type === part.type && last.id === part.id) {
        chunks.push(part.delta)
        continue
      }
      close()
      chunks = [part.delta]
      out.push(part)
      continue
    }
    close()
    // Nothing is left of a part that only carried an event.
    if (part.type !== "response-metadata" || Object.keys(part).length > 1) out.push(part)
  }
  close()
  return out
}

const isRecord = (u: unknown): u is Record<string, unknown> => typeof u === "object" && u !== null && !Array.isArray(u)

/** A part of a kind that is kept. What a store gives back may be anything. */
const isKept = (u: unknown): u is Part.Part => {
  if (!isRecord(u)) return false
  switch (u["type"]) {
    case "text-delta":
    case "reasoning-delta":
      return typeof u["id"] === "string" && typeof u["delta"] === "string"
    case "text-start":
    case "text-end":
    case "reasoning-start":
    case "reasoning-end":
      return typeof u["id"] === "string"
    case "response-metadata":
      return true
    case "embeddings":
      return (
        Array.isArray(u["vectors"]) &&
        u["vectors"].every((vector) => Array.isArray(vector) && vector.every(Number.isFinite))
      )
    case "finish":
      return (
        u["reason"] === "stop" &&
        isRecord(u["usage"]) &&
        ["inputTokens", "outputTokens"].every((key) => isRecord((u["usage"] as Record<string, unknown>)[key]))
      )
    default:
      return false
  }
}

const Parts = Schema.fromJsonString(
  Schema.Array(Schema.declare(isKept)).check(
    Schema.makeFilter(
      (parts) => parts.length > 0 && parts.findIndex(({ type }) => type === "finish") === parts.length - 1
    )
  )
)

/**
 * Writes parts as JSON text; none when they hold what JSON cannot say.
 *
 * @since 0.1.0
 * @category combinators
 */
export const encode: (parts: ReadonlyArray<Part.Part>) => Option.Option<string> = Schema.encodeOption(Parts)

/**
 * Reads the parts of a kept answer; none when they are not those of a whole answer.
 *
 * @since 0.1.0
 * @category combinators
 */
export const decode: (text: string) => Option.Option<ReadonlyArray<Part.Part>> = Schema.decodeUnknownOption(Parts)
