/**
 * One piece of an answer.
 *
 * The vocabulary is `effect/ai/Response`'s, in its encoded form: Echelon invents no message types, and
 * decoding each part of a stream would cost microseconds for nothing. A part may carry the provider's own
 * event beside it, so that a caller who speaks the same protocol gets it back as it came.
 *
 * @since 0.1.0
 */
import type * as Response from "effect/ai/Response"

/**
 * A provider's event as it came over the wire: the SSE event name, when there was one, and its data.
 *
 * @since 0.1.0
 * @category models
 */
export interface RawEvent {
  readonly event?: string | undefined
  readonly data: string
}

/**
 * The answer to a request for embeddings: all of it in one part, followed by `finish`.
 *
 * **Details** effect/ai has no part for it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Embeddings {
  readonly type: "embeddings"
  /** One vector a text, in the order of the texts. */
  readonly vectors: ReadonlyArray<ReadonlyArray<number>>
  readonly metadata?: Response.ProviderMetadata | undefined
}

/**
 * A part of an answer. Buffered and streamed answers use the same parts: a buffered text is one
 * `text-start`, one `text-delta` and one `text-end`.
 *
 * **Gotchas** A `tool-call` part appears only when its arguments are whole and valid JSON; before it come
 * `tool-params-start`, `tool-params-delta` and `tool-params-end`. The last part of a whole answer is its one
 * `finish` part.
 *
 * @since 0.1.0
 * @category models
 */
export type Part = (Response.StreamPartEncoded | Embeddings) & { readonly raw?: RawEvent | undefined }

/**
 * The finish part: why the answer ended and what it used.
 *
 * @since 0.1.0
 * @category models
 */
export type Finish = Extract<Part, { readonly type: "finish" }>

/**
 * Why an answer ended.
 *
 * @since 0.1.0
 * @category models
 */
export type FinishReason = Finish["reason"]

/**
 * Tells whether a part carries output. The first one commits a call: start-up metadata, block starts and
 * empty deltas do not.
 *
 * @since 0.1.0
 * @category guards
 */
export const isOutput = (part: Part): boolean => {
  switch (part.type) {
    case "text-delta":
    case "reasoning-delta":
      return part.delta.length > 0
    case "tool-params-start":
    case "tool-params-delta":
    case "tool-call":
    case "tool-result":
    case "tool-approval-request":
    case "file":
    case "source":
    case "embeddings":
      return true
    default:
      return false
  }
}

/**
 * Tells whether a part forbids going on elsewhere once it was delivered: anything that is neither text nor
 * reasoning nor bookkeeping, because it may already have had an effect.
 *
 * @since 0.1.0
 * @category guards
 */
export const isIrrevocable = (part: Part): boolean =>
  isOutput(part) && part.type !== "text-delta" && part.type !== "reasoning-delta"
