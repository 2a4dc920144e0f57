/**
 * Requests for embeddings: texts in, one vector each out.
 *
 * Such a request is an `LlmRequest` like any other, so that every policy — fallback, retry, hedge, breaker, limits, queue,
 * cache — serves it unchanged. It commits when whole, and its answer is one part (`Part.Embeddings`) before the finish
 * part.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as LlmError from "./LlmError.ts"
import * as LlmReply from "./LlmReply.ts"
import * as LlmRequest from "./LlmRequest.ts"
import type * as Part from "./Part.ts"
import type * as Route from "./Route.ts"

/**
 * What a program asks.
 *
 * @since 0.1.0
 * @category models
 */
export interface Input extends Pick<LlmRequest.Input, "providerOptions" | "metadata" | "raw"> {
  /** One text or several. A text may be given as its tokens, where the provider takes them. */
  readonly input: string | ReadonlyArray<LlmRequest.Text>
  /** The length of the vectors. @default the model's own */
  readonly dimensions?: number | undefined
}

/**
 * The vectors, and who gave them.
 *
 * **Gotchas** Vectors of two models cannot be compared: `model` says whose they are.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer extends Pick<LlmReply.Answer, "usage" | "cost" | "instance" | "model" | "route"> {
  /** One a text, in the order of the texts, all of the same length. */
  readonly vectors: ReadonlyArray<ReadonlyArray<number>>
  /** Every part in order: the vectors again, with what else the provider said. */
  readonly content: ReadonlyArray<Part.Part>
}

const isCount = (u: unknown): boolean => Number.isSafeInteger(u) && Number(u) >= 0

/** What is wrong with an input, which may come from anywhere. No text is quoted. */
const mistake = (input: ReadonlyArray<unknown>, dimensions: number | undefined): string | undefined => {
  if (!Array.isArray(input) || input.length === 0) return "input must hold at least one text"
  const at = input.findIndex(
    (text) => typeof text !== "string" && !(Array.isArray(text) && text.length > 0 && text.every(isCount))
  )
  if (at !== -1) return `input[${at}] must be a text, or its tokens as whole numbers`
  if (dimensions !== undefined && !(Number.isSafeInteger(dimensions) && dimensions >= 1))
    return `dimensions must be a whole number from 1 on, got ${String(dimensions).slice(0, 60)}`
  return undefined
}

/**
 * Starts one run of an input, as `LlmRequest.make` does.
 *
 * **Errors** `InvalidRequest` when there is no text, or a value is none that is allowed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({
  dimensions,
  input,
  ...rest
}: Input): Effect.Effect<LlmRequest.LlmRequest, LlmError.LlmError> => {
  const texts = typeof input === "string" ? [input] : input
  const wrong = mistake(texts, dimensions)
  return wrong === undefined
    ? LlmRequest.make(
        { ...rest, prompt: [] },
        { stream: false, commit: "finish", embedding: { input: texts, dimensions } }
      )
    : Effect.fail(LlmError.make({ reason: { _tag: "InvalidRequest" }, detail: wrong }))
}

/**
 * What is wrong with a part of an answer; `undefined` when nothing is. `isAnswered` tells whether vectors came before it.
 *
 * **Details** There must be as many vectors as texts, all of finite numbers and of one length: that asked for, if any was.
 *
 * @since 0.1.0
 * @category getters
 */
export const problem = (
  asked: LlmRequest.Embedding | undefined,
  part: Part.Part,
  isAnswered: boolean
): string | undefined => {
  if (part.type !== "embeddings")
    return asked !== undefined && part.type === "finish" && !isAnswered ? "the answer holds no vectors" : undefined
  if (asked === undefined) return "the answer holds vectors, which were not asked for"
  if (isAnswered) return "the answer holds vectors twice"
  const { vectors } = part
  const texts = asked.input.length
  if (vectors.length !== texts) return `the answer holds ${vectors.length} vectors for ${texts} texts`
  const length = asked.dimensions ?? vectors[0]?.length ?? 0
  for (const vector of vectors) {
    if (vector.length === 0) return "the answer holds an empty vector"
    if (vector.length !== length) return `the answer holds a vector of ${vector.length} dimensions instead of ${length}`
    if (!vector.every(Number.isFinite)) return "the answer holds a vector of something else than numbers"
  }
  return undefined
}

/**
 * Makes the answer of the parts of a completed reply.
 *
 * @since 0.1.0
 * @category constructors
 */
export const toAnswer = (parts: ReadonlyArray<Part.Part>, route: Route.Route): Answer => {
  const { cost, instance, model, usage } = LlmReply.toAnswer(parts, route)
  const answer = parts.find((part) => part.type === "embeddings")
  return { vectors: answer?.vectors ?? [], usage, cost, instance, model, route, content: parts }
}
