/**
 * What a `FaultServer` says, apart from the protocol it says it in.
 *
 * @since 0.1.0
 */

/**
 * The protocol of a request.
 *
 * @since 0.1.0
 * @category models
 */
export type Protocol = "openai" | "anthropic"

/**
 * A tool call of an answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolCall {
  /** @default call_N, counted from 0 */
  readonly id?: string | undefined
  readonly name: string
  /** JSON as text, so that it can be broken. */
  readonly arguments: string
}

/**
 * The tokens that an answer claims to have used. Any number is sent as it is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Usage {
  readonly input: number
  readonly output: number
}

/**
 * Why an answer ends.
 *
 * @since 0.1.0
 * @category models
 */
export type Finish = "stop" | "length" | "tool_calls" | "content_filter"

/**
 * An answer, ready to be encoded.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  readonly model: string
  readonly tokens: ReadonlyArray<string>
  readonly toolCalls: ReadonlyArray<ToolCall>
  /** `undefined`: the answer does not say. */
  readonly finish: Finish | undefined
  /** `undefined`: the answer does not say. */
  readonly usage: Usage | undefined
  /** Whether a stream says that it has ended. */
  readonly sentinel: boolean
}

/**
 * One event of a stream.
 *
 * **Details** `token` events carry output: a piece of text or of a tool's arguments. `frame` events stand around
 * them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Event {
  readonly kind: "frame" | "token" | "finish" | "end"
  readonly event?: string | undefined
  readonly data: string
}

/**
 * What is wrong, apart from the status and the body that a protocol gives it.
 *
 * @since 0.1.0
 * @category models
 */
export type ErrorKind =
  | "invalid_request"
  | "authentication"
  | "permission"
  | "not_found"
  | "too_large"
  | "rate_limit"
  | "quota"
  | "context_length"
  | "content_policy"
  | "overloaded"
  | "server_error"

/**
 * An error as a protocol sends it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Failure {
  /** The status that usually stands with it. */
  readonly status: number
  readonly type: string
  /** `null` where the protocol has codes and this error none. */
  readonly code: string | null
  readonly message: string
}

/**
 * The error that usually stands behind a status.
 *
 * @since 0.1.0
 * @category constructors
 */
export const kindOf = (status: number): ErrorKind => {
  switch (status) {
    case 401:
      return "authentication"
    case 402:
      return "quota"
    case 403:
      return "permission"
    case 404:
      return "not_found"
    case 413:
      return "too_large"
    case 429:
      return "rate_limit"
    case 503:
    case 529:
      return "overloaded"
    default:
      return status >= 500 ? "server_error" : "invalid_request"
  }
}

/**
 * Cuts a text into tokens: words with the space before them. Joined they give the text.
 *
 * @since 0.1.0
 * @category parsing
 */
export const tokens = (text: string): ReadonlyArray<string> => text.match(/\s*\S+|\s+$/g) ?? []

/**
 * Cuts the arguments of a tool call into the pieces that a stream sends.
 *
 * @since 0.1.0
 * @category parsing
 */
export const pieces = (text: string): ReadonlyArray<string> => text.match(/[\s\S]{1,8}/g) ?? []

/**
 * The id of a tool call at its place in the answer.
 *
 * @since 0.1.0
 * @category getters
 */
export const idOf = (call: ToolCall, at: number): string => call.id ?? `call_${at}`

/**
 * The bytes of an event.
 *
 * @since 0.1.0
 * @category encoding
 */
export const sse = (event: Event): string =>
  `${event.event === undefined ? "" : `event: ${event.event}\n`}data: ${event.data}\n\n`
