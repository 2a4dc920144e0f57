/**
 * How a `FaultServer` treats a request, as data: what it answers, and what is done to that answer.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import { dual } from "effect/Function"
import type * as Answer from "./FaultServerAnswer.ts"

/**
 * A request as the server saw it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Request {
  /** Counted from 0, over everything that came in. */
  readonly index: number
  readonly method: string
  /** With the query. */
  readonly path: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** The body, parsed; the text itself when it is no JSON, `undefined` when there is none. */
  readonly body: unknown
  readonly protocol: Answer.Protocol
  readonly endpoint: "generate" | "models" | "other"
  /** The model that the body names; empty when it names none. */
  readonly model: string
  /** Whether the body asks for a stream. */
  readonly stream: boolean
  /** When it had come in, in milliseconds since the epoch by Effect's `Clock`. */
  readonly at: number
  /** Whether the client went away before the server was done. */
  readonly aborted: boolean
  /** When the server was done or the connection gone, in milliseconds since the epoch by Effect's `Clock`. */
  readonly closedAt: number | undefined
}

/**
 * A well-formed answer that may say too little or too much.
 *
 * @since 0.1.0
 * @category models
 */
export interface Whole {
  readonly _tag: "Answer"
  /** @default the server's text, or none beside tool calls */
  readonly text?: string | undefined
  readonly toolCalls?: ReadonlyArray<Answer.ToolCall> | undefined
  /** @default `tool_calls` beside tool calls, else `stop` */
  readonly finish?: Answer.Finish | "absent" | undefined
  /** @default about what was sent */
  readonly usage?: Answer.Usage | "absent" | undefined
  /** Whether a stream ends with `[DONE]` or `message_stop`. @default true */
  readonly sentinel?: boolean | undefined
}

/**
 * Options of `status` and `failure`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refusal {
  /** The error whose code and message stand in the body. @default the one usual for the status */
  readonly error?: Answer.ErrorKind | undefined
  /** Replaces the error's code, or Anthropic's type. */
  readonly code?: string | undefined
  readonly message?: string | undefined
  /** The body instead of the protocol's error object. `truncated` is the first half of that object. */
  readonly body?: "html" | "empty" | "truncated" | { readonly text: string; readonly type: string } | undefined
  /** The header `retry-after`, as it is. */
  readonly retryAfter?: string | undefined
  /** The header `retry-after-ms`, as it is. */
  readonly retryAfterMs?: string | undefined
  /** The header `retry-after` as an HTTP date so far from now, by Effect's `Clock`. */
  readonly retryDateIn?: Duration.Input | undefined
}

/**
 * The rate limits that a provider reports with its answers.
 *
 * @since 0.1.0
 * @category models
 */
export interface RateLimit {
  readonly dialect: "openai" | "azure" | "anthropic"
  readonly requests?: Window | undefined
  readonly tokens?: Window | undefined
}

/**
 * What is left of one limit. The numbers are sent as they are.
 *
 * @since 0.1.0
 * @category models
 */
export interface Window {
  readonly limit: number
  readonly remaining: number
  readonly resetIn: Duration.Input
}

/**
 * How a request is treated. Made by the constructors of this module.
 *
 * **Details** Where a request asked for no stream, `after` has no tokens to count: a fault in the middle strikes in
 * the middle of the body.
 *
 * @since 0.1.0
 * @category models
 */
export type Behaviour =
  | Whole
  | ({ readonly _tag: "Status"; readonly status: number | undefined; readonly location?: string } & Refusal)
  | { readonly _tag: "Reset"; readonly within: "nothing" | "head" }
  | { readonly _tag: "Silence" }
  | ({ readonly _tag: "Cut"; readonly closingChunk: boolean } & Strike)
  | ({ readonly _tag: "Stall" } & Strike)
  | ({ readonly _tag: "Malformed" } & Strike)
  | ({
      readonly _tag: "ErrorEvent"
      readonly error: Answer.ErrorKind
      readonly message?: string | undefined
    } & Strike)
  | Layer
  | { readonly _tag: "PrefillRefused"; readonly of: Behaviour }
  | { readonly _tag: "Forever"; readonly of: Behaviour }

/**
 * Something done to another behaviour's answer.
 *
 * @since 0.1.0
 * @category models
 */
export type Layer =
  | { readonly _tag: "Headers"; readonly of: Behaviour; readonly headers: Readonly<Record<string, string>> }
  | { readonly _tag: "RateLimit"; readonly of: Behaviour; readonly limit: RateLimit }
  | {
      readonly _tag: "Delay"
      readonly of: Behaviour
      readonly at: "head" | "within_head" | "first_token"
      readonly duration: Duration.Input
    }
  | { readonly _tag: "Trickle"; readonly of: Behaviour; readonly every: Duration.Input | undefined }
  | { readonly _tag: "Gzip"; readonly of: Behaviour }
  | {
      readonly _tag: "KeepAlive"
      readonly of: Behaviour | undefined
      readonly every: Duration.Input
      readonly times: number | undefined
    }

/**
 * Where a fault strikes, and in which answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Strike {
  /** Tokens that pass before: pieces of text, or of a tool's arguments. @default 0 */
  readonly after?: number | undefined
  /** Time that passes before the fault, by Effect's `Clock`, so that what came before is read. @default none */
  readonly wait?: Duration.Input | undefined
  /** @default ok() */
  readonly answer?: Whole | undefined
}

// ---------------------------------------------------------------------------------------------------------------
// Answers
// ---------------------------------------------------------------------------------------------------------------

/**
 * Answers as it should, with this text or the server's own.
 *
 * **Details** The other fields make an answer that is well-formed and wrong: without its reason, without the end
 * of its stream, with any usage.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ok = (text?: string | undefined, fields: Omit<Whole, "_tag" | "text"> = {}): Whole => ({
  _tag: "Answer",
  text,
  ...fields
})

/**
 * Calls tools, in parallel when there are several.
 *
 * @since 0.1.0
 * @category constructors
 */
export const toolCalls = (
  calls: ReadonlyArray<Answer.ToolCall>,
  fields: Omit<Whole, "_tag" | "toolCalls"> = {}
): Whole => ({ _tag: "Answer", toolCalls: calls, ...fields })

/**
 * Ends by a content filter, after this text or without any.
 *
 * @since 0.1.0
 * @category constructors
 */
export const refusal = (text = ""): Whole => ok(text, { finish: "content_filter" })

/**
 * Sends so many bytes of text in a single event.
 *
 * @since 0.1.0
 * @category constructors
 */
export const huge = (bytes: number): Whole => ok("x".repeat(bytes))

// ---------------------------------------------------------------------------------------------------------------
// Refusals
// ---------------------------------------------------------------------------------------------------------------

/**
 * Refuses with a status, and with the error that usually stands behind it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const status = (status: number, options: Refusal = {}): Behaviour => ({ _tag: "Status", status, ...options })

/**
 * Refuses with an error, under the status that each protocol gives it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const failure = (error: Answer.ErrorKind, options: Omit<Refusal, "error"> = {}): Behaviour => ({
  _tag: "Status",
  status: undefined,
  ...options,
  error
})

/**
 * Sends the client elsewhere.
 *
 * @since 0.1.0
 * @category constructors
 */
export const redirect = (location: string, status: 301 | 302 | 303 | 307 | 308 = 307): Behaviour => ({
  _tag: "Status",
  status,
  location,
  body: "empty"
})

/**
 * Values of `retry-after` that no client should obey: far too long, negative, no number, in the past.
 *
 * @since 0.1.0
 * @category models
 */
export const hostileRetryAfter = [
  "1e9",
  "1000000000",
  "-5",
  "NaN",
  "Wed, 21 Oct 2015 07:28:00 GMT"
] as const satisfies ReadonlyArray<string>

// ---------------------------------------------------------------------------------------------------------------
// Broken connections and streams
// ---------------------------------------------------------------------------------------------------------------

/**
 * Resets the connection before any header, or after half a header block.
 *
 * @since 0.1.0
 * @category constructors
 */
export const reset = (within: "nothing" | "head" = "nothing"): Behaviour => ({ _tag: "Reset", within })

/**
 * Takes the request and never answers.
 *
 * @since 0.1.0
 * @category constructors
 */
export const silence: Behaviour = { _tag: "Silence" }

/**
 * Ends after so many tokens.
 *
 * **Details** With the closing chunk the body ends as a whole one does; without it the connection is closed in its
 * middle.
 *
 * @since 0.1.0
 * @category constructors
 */
export const cut = (options: Strike & { readonly closingChunk?: boolean | undefined } = {}): Behaviour => ({
  _tag: "Cut",
  ...options,
  closingChunk: options.closingChunk ?? false
})

/**
 * Goes silent after so many tokens; the connection stays open.
 *
 * @since 0.1.0
 * @category constructors
 */
export const stall = (strike: Omit<Strike, "wait"> = {}): Behaviour => ({ _tag: "Stall", ...strike })

/**
 * Puts an event that is no JSON behind so many tokens and goes on. A buffered body is cut and ends cleanly.
 *
 * @since 0.1.0
 * @category constructors
 */
export const malformed = (strike: Strike = {}): Behaviour => ({ _tag: "Malformed", ...strike })

/**
 * Reports an error inside a stream that began with a 200, behind so many tokens. A buffered body is the error.
 *
 * @since 0.1.0
 * @category constructors
 */
export const errorEvent = (
  error: Answer.ErrorKind,
  options: Strike & { readonly message?: string | undefined } = {}
): Behaviour => ({ _tag: "ErrorEvent", ...options, error })

/**
 * Sends comments, and Anthropic's pings, where output should come: so many, or for ever.
 *
 * **Details** The first is sent at once. After the last comes `answer`, or without one the end of an empty stream.
 * A buffered body gets empty lines.
 *
 * @since 0.1.0
 * @category constructors
 */
export const keepAlive = (options: {
  readonly every: Duration.Input
  readonly times?: number | undefined
  readonly answer?: Behaviour | undefined
}): Behaviour => ({ _tag: "KeepAlive", of: options.answer, every: options.every, times: options.times })

// ---------------------------------------------------------------------------------------------------------------
// Layers
// ---------------------------------------------------------------------------------------------------------------

/**
 * Sets headers of the answer, over its own; names are compared in lower case.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withHeaders: {
  (headers: Readonly<Record<string, string>>): (self: Behaviour) => Behaviour
  (self: Behaviour, headers: Readonly<Record<string, string>>): Behaviour
} = dual(
  2,
  (self: Behaviour, headers: Readonly<Record<string, string>>): Behaviour => ({ _tag: "Headers", of: self, headers })
)

/**
 * States a content type, right or wrong.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withContentType: {
  (type: string): (self: Behaviour) => Behaviour
  (self: Behaviour, type: string): Behaviour
} = dual(2, (self: Behaviour, type: string): Behaviour => withHeaders(self, { "content-type": type }))

/**
 * Reports rate limits, in a provider's dialect.
 *
 * **Details** OpenAI writes resets as `6m0s`, Azure as whole seconds, Anthropic as an RFC 3339 time.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withRateLimit: {
  (limit: RateLimit): (self: Behaviour) => Behaviour
  (self: Behaviour, limit: RateLimit): Behaviour
} = dual(2, (self: Behaviour, limit: RateLimit): Behaviour => ({ _tag: "RateLimit", of: self, limit }))

const delay = (at: Extract<Layer, { readonly _tag: "Delay" }>["at"]) =>
  dual(2, (self: Behaviour, duration: Duration.Input): Behaviour => ({ _tag: "Delay", of: self, at, duration }))

/**
 * Waits before the first byte of the answer, by Effect's `Clock`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withSlowHead: {
  (duration: Duration.Input): (self: Behaviour) => Behaviour
  (self: Behaviour, duration: Duration.Input): Behaviour
} = delay("head")

/**
 * Waits in the middle of the header block, by Effect's `Clock`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withSlowHeaders: {
  (duration: Duration.Input): (self: Behaviour) => Behaviour
  (self: Behaviour, duration: Duration.Input): Behaviour
} = delay("within_head")

/**
 * Waits between the head with its first events and the first token, by Effect's `Clock`. A buffered answer is held
 * back whole.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withSlowFirstToken: {
  (duration: Duration.Input): (self: Behaviour) => Behaviour
  (self: Behaviour, duration: Duration.Input): Behaviour
} = delay("first_token")

/**
 * Sends the answer one byte at a time, with so much time between two bytes, or none.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withTrickle = (self: Behaviour, every?: Duration.Input | undefined): Behaviour => ({
  _tag: "Trickle",
  of: self,
  every
})

/**
 * Compresses the body, whatever the client accepts.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withGzip = (self: Behaviour): Behaviour => ({ _tag: "Gzip", of: self })

/**
 * Refuses with a 400 requests whose last message is the assistant's, as models without prefill do.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withPrefillRefused = (self: Behaviour): Behaviour => ({ _tag: "PrefillRefused", of: self })

/**
 * Stays at this place of a list of behaviours: whatever stands behind it is never reached.
 *
 * @since 0.1.0
 * @category combinators
 */
export const forever = (self: Behaviour): Behaviour => ({ _tag: "Forever", of: self })
