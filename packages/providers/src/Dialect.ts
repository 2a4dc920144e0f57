/**
 * Where servers that speak OpenAI Chat Completions differ from one another. A dialect is data of a provider's
 * row; the protocol reads it and knows no provider by name.
 *
 * @since 0.1.0
 */
import type * as ErrorReply from "./ErrorReply.ts"

/**
 * A turn of phrase by which a provider tells a failure that it gives no code for.
 *
 * @since 0.1.0
 * @category models
 */
export interface Phrase {
  /** In lower case. */
  readonly phrase: string
  readonly tag: ErrorReply.Tag
}

/**
 * What a server understands.
 *
 * @since 0.1.0
 * @category models
 */
export interface Dialect {
  readonly maxTokensField: "max_tokens" | "max_completion_tokens"
  /** Where the scale of temperature ends. */
  readonly maxTemperature: number
  /** How many stop sequences are taken; `undefined` where no bound is known. */
  readonly maxStopSequences: number | undefined
  /** Whether `stream_options.include_usage` is understood. */
  readonly streamUsage: boolean
  /** `object` where only `json_object` is: the schema is then left out and listed. */
  readonly responseFormat: "schema" | "object"
  readonly topK: boolean
  readonly seedField: "seed" | "random_seed"
  readonly parallelToolCalls: boolean
  readonly reasoningEffort: "reasoning_effort" | "reasoning.effort" | "none"
  /** Which word asks for any tool call. */
  readonly toolChoiceRequired: "required" | "any"
  /** How earlier reasoning goes back; `none` leaves it out. */
  readonly reasoningInput: "none" | "reasoning_content" | "reasoning_details" | "thinking"
  /** `nine` where a tool call's id must be nine letters or digits. */
  readonly toolCallId: "any" | "nine"
  /** Whether an earlier answer may say that it refused; elsewhere a refusal goes back as text, which is listed. */
  readonly refusals: boolean
  readonly phrases: ReadonlyArray<Phrase>
  /** What a status means here that it does not mean elsewhere. */
  readonly statuses: Readonly<Record<number, ErrorReply.Tag>>
}

/**
 * What a server is taken to understand unless its row says otherwise.
 *
 * @since 0.1.0
 * @category constructors
 */
export const defaults: Dialect = {
  maxTokensField: "max_tokens",
  maxTemperature: 2,
  maxStopSequences: undefined,
  streamUsage: true,
  responseFormat: "schema",
  topK: false,
  seedField: "seed",
  parallelToolCalls: true,
  reasoningEffort: "none",
  toolChoiceRequired: "required",
  reasoningInput: "none",
  toolCallId: "any",
  refusals: false,
  phrases: [],
  statuses: {}
}
