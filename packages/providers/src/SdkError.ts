/**
 * What the errors of vendors' SDKs mean: the `classify` of an `LlmAdapter` around such a client.
 *
 * No SDK is imported: errors are told by the fields they carry.
 *
 * | field | of |
 * | --- | --- |
 * | `status`, `headers`, `error` (the body, or what it has under `error`), `code`, `type` | `openai`, `@anthropic-ai/sdk`, Google's and most others |
 * | `statusCode`, `responseHeaders`, `responseBody` | `ai` |
 * | `lastError` | `ai`, of an error that holds the last of several |
 * | `response.status`, `response.headers`, `response.data` | axios, and clients built on it |
 * | `$metadata.httpStatusCode` | the AWS SDK |
 * | `reason.http.response` | effect/ai's `UnknownError` |
 * | `code` of the error or of its `cause` | Node's sockets: `ECONNRESET`, `ENOTFOUND` |
 * | the error's name | failures without a reply: connections, keys that are not set, answers that are no JSON |
 *
 * Codes of the body beat the status, and waits come from the headers, as with this package's own instances. An error
 * that has none of this is left to the adapter.
 *
 * @since 0.1.0
 */
import type * as LlmAdapter from "@echelon/core/LlmAdapter"
import * as LlmError from "@echelon/core/LlmError"
import * as Plans from "@echelon/core/Plans"
import * as Duration from "effect/Duration"
import * as Redacted from "effect/Redacted"
import * as AnthropicMessagesError from "./AnthropicMessagesError.ts"
import * as Dialect from "./Dialect.ts"
import * as ErrorReply from "./ErrorReply.ts"
import * as Json from "./Json.ts"
import * as NetworkFailure from "./NetworkFailure.ts"
import * as OpenAiChatError from "./OpenAiChatError.ts"
import type * as Protocol from "./Protocol.ts"
import * as Redaction from "./Redaction.ts"
import type * as RetryAfter from "./RetryAfter.ts"

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /**
   * The keys that the client uses: taken out of the provider's message, which is then kept. An empty list says that
   * there are none.
   *
   * @default the message is left out
   */
  readonly secrets?: Iterable<Redacted.Redacted | string> | undefined
  /** The longest wait that a provider may name. @default 1 hour */
  readonly maxCooldown?: Duration.Input | undefined
}

/** What an error says of the reply behind it. */
interface Reply {
  readonly status: number | undefined
  readonly headers: RetryAfter.Headers
  readonly body: Json.Json | undefined
  /** The body as it came, where it is no JSON. */
  readonly text: string
}

type Fields = Readonly<Record<string, unknown>>

const isFields = (u: unknown): u is Fields => typeof u === "object" && u !== null

/**
 * Makes a classifier that keeps the provider's message, with the secrets taken out.
 *
 * @example
 * ```ts
 * import { Llm, LlmAdapter } from "@echelon/core"
 * import { SdkError } from "@echelon/providers"
 * import { Duration, Effect } from "effect"
 *
 * const apiKey = "sk-1234567890"
 * const llm = LlmAdapter.fromPromise({
 *   id: "mine",
 *   classify: SdkError.make({ secrets: [apiKey] }),
 *   generate: async () => {
 *     throw Object.assign(new Error("429"), {
 *       status: 429,
 *       headers: new Headers({ "retry-after": "7" }),
 *       error: { code: "rate_limit_exceeded", message: `slow down, ${apiKey}` }
 *     })
 *   }
 * })
 * const error = await Effect.runPromise(Effect.flip(Llm.generate(llm, { prompt: "hi" })))
 * console.assert(error.reason._tag === "RateLimited" && error.detail === "slow down, [redacted]")
 * console.assert(error.retryAfter !== undefined && Duration.toSeconds(error.retryAfter) === 7)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): LlmAdapter.Classify => {
  const { maxCooldown, secrets } = options
  const redaction =
    secrets === undefined
      ? undefined
      : Redaction.make([...secrets].map((secret) => (typeof secret === "string" ? secret : Redacted.value(secret))))
  const max = maxCooldown === undefined ? Plans.defaults.provider.maxCooldown : Duration.toMillis(maxCooldown)
  return (thrown, now) => {
    const error = innermost(thrown)
    if (!isFields(error)) return undefined
    const reply = replyOf(error)
    return (reply === undefined ? undefined : fromReply(reply, redaction, now, max)) ?? byName(error)
  }
}

/**
 * Classifies what a vendor's SDK threw. Messages are left out: nobody has said which secrets they may hold.
 *
 * @since 0.1.0
 * @category parsing
 */
export const classify: LlmAdapter.Classify = make()

// ---------------------------------------------------------------------------------------------------------------
// Reading an error
// ---------------------------------------------------------------------------------------------------------------

// Errors may hold each other; no honest chain is longer.
const deepest = 8

const innermost = (thrown: unknown): unknown => {
  let error = thrown
  for (let depth = 0; depth < deepest && isFields(error) && isFields(error["lastError"]); depth++)
    error = error["lastError"]
  return error
}

const fieldsOf = (from: Fields, key: string): Fields => {
  const value = from[key]
  return isFields(value) ? value : {}
}

/** A success that an error names is that of an answer which could not be read: it tells nothing. */
const statusOf = (value: unknown): number | undefined =>
  typeof value === "number" && Number.isInteger(value) && value >= 300 && value < 600 ? value : undefined

const replyOf = (error: Fields): Reply | undefined => {
  const response = fieldsOf(error, "response")
  const http = fieldsOf(fieldsOf(error, "reason"), "http")
  const replied = fieldsOf(http, "response")
  const status =
    statusOf(error["status"]) ??
    statusOf(error["statusCode"]) ??
    statusOf(response["status"]) ??
    statusOf(fieldsOf(error, "$metadata")["httpStatusCode"]) ??
    // effect/ai has told the others already.
    (fieldsOf(error, "reason")["_tag"] === "UnknownError" ? statusOf(replied["status"]) : undefined)
  const headers = headersOf(error["headers"] ?? error["responseHeaders"] ?? response["headers"] ?? replied["headers"])
  const said = error["error"] ?? error["responseBody"] ?? response["data"] ?? http["body"] ?? codes(error)
  const text = typeof said === "string" ? said : ""
  const body = typeof said === "string" ? Json.parse(said) : isFields(said) ? (said as Json.Json) : undefined
  return status === undefined && body === undefined ? undefined : { status, headers, body, text }
}

/** The codes that an error carries itself, when it carries no body. */
const codes = ({ code, type }: Fields): Json.JsonObject | undefined =>
  typeof code === "string" || typeof type === "string"
    ? { ...(typeof code === "string" ? { code } : {}), ...(typeof type === "string" ? { type } : {}) }
    : undefined

/** Headers as `fetch` gives them, or as a record. */
const headersOf = (value: unknown): RetryAfter.Headers => {
  const headers: Record<string, string> = {}
  if (!isFields(value)) return headers
  const entries = value instanceof Headers ? value.entries() : Object.entries(value)
  for (const [name, text] of entries) if (typeof text === "string") headers[name.toLowerCase()] = text
  return headers
}

// ---------------------------------------------------------------------------------------------------------------
// Classifying
// ---------------------------------------------------------------------------------------------------------------

const options: Protocol.Options = { kind: "sdk", model: "", maxOutputTokens: undefined, dialect: Dialect.defaults }

const decode = (body: Json.Json): ErrorReply.Decoded | undefined => {
  const anthropic =
    Json.isObject(body) && body["type"] === "error" ? AnthropicMessagesError.decode(body, options) : undefined
  return anthropic?.tag === undefined ? OpenAiChatError.decode(body, options) : anthropic
}

const fromReply = (
  reply: Reply,
  redaction: Redaction.Redaction | undefined,
  now: number,
  maxCooldown: number
): LlmError.LlmError | undefined => {
  const { body, headers, status, text } = reply
  const error =
    status === undefined
      ? fromStream(body, headers)
      : ErrorReply.fromReply(
          { status, headers, body: body === undefined ? text : JSON.stringify(body) },
          { decode, statuses: {}, redaction: redaction ?? ((said) => said), now, maxCooldown }
        )
  if (error === undefined) return undefined
  const isSilent = body === undefined && text === ""
  const detail =
    redaction === undefined || error.detail === undefined || isSilent
      ? stated(status, body)
      : Redaction.truncate(redaction, error.detail, ErrorReply.maxDetail)
  return LlmError.update(ErrorReply.clamped(error, maxCooldown), { detail })
}

/** An error inside a stream has no status of its own: its codes decide, or nothing does. */
const fromStream = (body: Json.Json | undefined, headers: RetryAfter.Headers): LlmError.LlmError | undefined => {
  if (!Json.isObject(body)) return undefined
  const anthropic = body["type"] === "error" ? AnthropicMessagesError.decode(body, options) : undefined
  const decoded =
    anthropic?.tag === undefined
      ? OpenAiChatError.inStream(Json.isObject(body["error"]) ? body : { error: body }, undefined, options)
      : anthropic
  return decoded === undefined || (decoded.tag === undefined && decoded.status === undefined)
    ? undefined
    : LlmError.update(ErrorReply.fromDecoded(decoded), { requestId: ErrorReply.requestIdOf(headers) })
}

/** What may be shown of a reply of which nobody knows the secrets: its status, and codes that are one word. */
const stated = (status: number | undefined, body: Json.Json | undefined): string | undefined => {
  const outer = Json.isObject(body) ? body : {}
  const inner = Json.object(outer, "error") ?? outer
  const words = ["code", "type"].flatMap((key) => {
    const word = Json.string(inner, key)
    return word !== undefined && /^[a-z][a-z_]{0,63}$/i.test(word) && word !== "error" ? [word] : []
  })
  const shown = [...(status === undefined ? [] : [`status ${status}`]), ...new Set(words)]
  return shown.length === 0 ? undefined : shown.join(", ")
}

const network: LlmError.Reason = { _tag: "Network", kind: "other" }

const names: Readonly<Record<string, LlmError.Reason>> = {
  APIConnectionError: network,
  APIConnectionTimeoutError: network,
  // Of a signal of the caller's own: when the adapter's is aborted, nobody listens any more.
  APIUserAbortError: network,
  AbortError: network,
  TimeoutError: network,
  // An answer, or an event, that is no JSON.
  SyntaxError: { _tag: "MalformedOutput" },
  LengthFinishReasonError: { _tag: "MalformedOutput" },
  ContentFilterFinishReasonError: { _tag: "ContentPolicy" },
  AI_EmptyResponseBodyError: { _tag: "MalformedOutput" },
  AI_InvalidResponseDataError: { _tag: "MalformedOutput" },
  AI_JSONParseError: { _tag: "MalformedOutput" },
  AI_NoContentGeneratedError: { _tag: "MalformedOutput" },
  AI_NoObjectGeneratedError: { _tag: "MalformedOutput" },
  AI_NoOutputGeneratedError: { _tag: "MalformedOutput" },
  AI_TypeValidationError: { _tag: "MalformedOutput" },
  AI_InvalidArgumentError: { _tag: "InvalidRequest" },
  AI_InvalidPromptError: { _tag: "InvalidRequest" },
  AI_UnsupportedFunctionalityError: { _tag: "InvalidRequest" },
  AI_LoadAPIKeyError: { _tag: "Authentication" },
  AI_NoSuchModelError: { _tag: "ModelNotFound" }
}

/** Failures that brought no reply. A socket's own code says more than the name of what wraps it. */
const byName = (error: Fields): LlmError.LlmError | undefined => {
  const socket = byNetwork(error)
  if (socket !== undefined) return socket
  let at: unknown = error
  for (let depth = 0; depth < deepest && isFields(at); depth++) {
    for (const name of [at["name"], nameOfClass(at)]) {
      const reason = typeof name === "string" && Object.hasOwn(names, name) ? names[name] : undefined
      if (reason !== undefined) return LlmError.make({ reason, detail: String(name) })
    }
    at = at["cause"]
  }
  return undefined
}

/** Some SDKs leave `name` at `Error`: their class has it. */
const nameOfClass = (error: Fields): unknown =>
  typeof error.constructor === "function" ? error.constructor.name : undefined

const byNetwork = (error: Fields): LlmError.LlmError | undefined => {
  const { code, kind } = NetworkFailure.classify(error)
  return kind === "other" ? undefined : LlmError.make({ reason: { _tag: "Network", kind }, detail: code })
}
