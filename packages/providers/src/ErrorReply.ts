/**
 * Turns a provider's refusal into an `LlmError`.
 *
 * Codes in a body beat the status; the protocol that owns the body decodes them. What is left is decided by the
 * status. The provider's message is kept for people, redacted and cut; nothing here reads it for meaning.
 *
 * @since 0.1.0
 */
import * as LlmError from "@echelon/core/LlmError"
import * as Duration from "effect/Duration"
import * as Json from "./Json.ts"
import * as Redaction from "./Redaction.ts"
import * as RetryAfter from "./RetryAfter.ts"

/**
 * The reasons that a reply can have.
 *
 * @since 0.1.0
 * @category models
 */
export type Tag = Extract<
  LlmError.ReasonTag,
  | "RateLimited"
  | "Overloaded"
  | "ProviderError"
  | "Network"
  | "Authentication"
  | "QuotaExhausted"
  | "ModelNotFound"
  | "ContextLength"
  | "ContentPolicy"
  | "InvalidRequest"
  | "MalformedOutput"
  | "Unknown"
>

/**
 * What a protocol made of an error body.
 *
 * @since 0.1.0
 * @category models
 */
export interface Decoded {
  /** Absent when the body names no code that is known. */
  readonly tag?: Tag | undefined
  /** The status that the body states, where it states one. */
  readonly status?: number | undefined
  readonly message?: string | undefined
  readonly contextWindow?: number | undefined
  /** How long the body asks to wait, in milliseconds. A header that names a time stands before it. */
  readonly retryAfter?: number | undefined
  /** A quota of Google's that begins anew at midnight, Pacific time: the wait where nothing else names one. */
  readonly isDaily?: boolean | undefined
}

/**
 * A refusal as it came over the wire.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reply {
  readonly status: number
  readonly headers: RetryAfter.Headers
  readonly body: string
}

const statuses: Readonly<Record<number, Tag>> = {
  400: "InvalidRequest",
  401: "Authentication",
  402: "QuotaExhausted",
  403: "Authentication",
  404: "ModelNotFound",
  408: "Network",
  409: "Overloaded",
  413: "InvalidRequest",
  422: "InvalidRequest",
  425: "Overloaded",
  429: "RateLimited",
  503: "Overloaded",
  529: "Overloaded"
}

/**
 * What a status means by itself.
 *
 * @since 0.1.0
 * @category parsing
 */
export const byStatus = (status: number): Tag =>
  statuses[status] ?? (status >= 500 && status < 600 ? "ProviderError" : "Unknown")

const toReason = (
  tag: Tag,
  data: {
    readonly status?: number | undefined
    readonly contextWindow?: number | undefined
    readonly retryAfter?: Duration.Duration | undefined
  }
): LlmError.Reason => {
  switch (tag) {
    case "RateLimited":
    case "Overloaded":
    case "ProviderError":
    case "QuotaExhausted":
      return data.retryAfter === undefined ? { _tag: tag } : { _tag: tag, retryAfter: data.retryAfter }
    case "ContextLength":
      return data.contextWindow === undefined ? { _tag: tag } : { _tag: tag, contextWindow: data.contextWindow }
    case "Unknown":
      return data.status === undefined ? { _tag: tag } : { _tag: tag, status: data.status }
    case "Network":
      return { _tag: tag, kind: "other" }
    default:
      return { _tag: tag }
  }
}

/**
 * Makes the error of a decoded failure that came without a status of its own, such as an event of a stream.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromDecoded = (decoded: Decoded): LlmError.LlmError => {
  const { contextWindow, isDaily = false, message, status } = decoded
  const tag = decoded.tag ?? (status === undefined ? "Unknown" : byStatus(status))
  // There is no clock here: a day is the most that midnight can be away, and the instance clamps it.
  const wait = decoded.retryAfter ?? (isDaily ? day : undefined)
  return LlmError.make({
    reason: toReason(tag, {
      status,
      contextWindow,
      retryAfter: wait === undefined ? undefined : Duration.millis(wait)
    }),
    detail: message
  })
}

const day = 24 * 60 * 60_000

/**
 * Clamps the wait that an error names to `max` milliseconds.
 *
 * @since 0.1.0
 * @category combinators
 */
export const clamped = (error: LlmError.LlmError, max: number): LlmError.LlmError => {
  const { reason } = error
  if (!("retryAfter" in reason) || reason.retryAfter === undefined) return error
  const wait = Duration.toMillis(reason.retryAfter)
  return wait > max ? LlmError.update(error, { reason: { ...reason, retryAfter: Duration.millis(max) } }) : error
}

/**
 * Makes the error of an answer that is no answer.
 *
 * @since 0.1.0
 * @category constructors
 */
export const malformed = (detail: string): LlmError.LlmError =>
  LlmError.make({ reason: { _tag: "MalformedOutput" }, detail })

/**
 * How many characters of a message are kept in an error's detail.
 *
 * @default 500
 * @since 0.1.0
 * @category models
 */
export const maxDetail = 500

const maxExcerpt = 200

/**
 * Makes the error of a reply whose status is not a success.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromReply = (
  reply: Reply,
  options: {
    readonly decode: (body: Json.Json) => Decoded | undefined
    /** What a status means to this provider alone. */
    readonly statuses: Readonly<Record<number, Tag>>
    readonly redaction: Redaction.Redaction
    readonly now: number
    readonly maxCooldown: number
  }
): LlmError.LlmError => {
  const requestId = requestIdOf(reply.headers)
  if (reply.status >= 300 && reply.status < 400)
    return LlmError.make({
      reason: { _tag: "Unknown", status: reply.status },
      detail:
        "the provider answered with a redirect, which is not followed: a key belongs to the origin it is configured for",
      requestId
    })
  const body = Json.parse(reply.body)
  const decoded = body === undefined ? undefined : options.decode(body)
  const tag = decoded?.tag ?? options.statuses[reply.status] ?? byStatus(reply.status)
  const detail =
    tag === "Unknown" || decoded?.message === undefined
      ? excerpt(reply.body, options.redaction)
      : Redaction.truncate(options.redaction, decoded.message, maxDetail)
  return LlmError.make({
    reason: toReason(tag, {
      status: reply.status,
      contextWindow: decoded?.contextWindow,
      retryAfter:
        RetryAfter.parse(reply.headers, { now: options.now, max: options.maxCooldown }) ?? waitOf(decoded, options)
    }),
    detail,
    requestId
  })
}

const waitOf = (
  decoded: Decoded | undefined,
  options: { readonly now: number; readonly maxCooldown: number }
): Duration.Duration | undefined => {
  const wait =
    decoded?.retryAfter ?? (decoded?.isDaily === true ? RetryAfter.untilPacificMidnight(options.now) : undefined)
  return wait === undefined ? undefined : RetryAfter.clamp(wait, options.maxCooldown)
}

/**
 * The provider's own id of a request.
 *
 * @since 0.1.0
 * @category getters
 */
export const requestIdOf = (headers: RetryAfter.Headers): string | undefined =>
  (
    headers["x-request-id"] ??
    headers["request-id"] ??
    headers["apim-request-id"] ??
    headers["x-amzn-requestid"]
  )?.slice(0, maxExcerpt)

/**
 * What a body looks like that is not what was expected.
 *
 * @since 0.1.0
 * @category getters
 */
export const excerpt = (body: string, redaction: Redaction.Redaction): string => {
  const text = body.trim()
  if (text === "") return "the body is empty"
  if (/^<(!doctype|html)/i.test(text)) {
    const title = /<title[^>]*>([^<]*)/i.exec(text)?.[1]?.trim()
    return title === undefined || title === ""
      ? "an HTML page instead of JSON"
      : `an HTML page instead of JSON: ${Redaction.truncate(redaction, title, maxExcerpt)}`
  }
  return Redaction.truncate(redaction, text, maxExcerpt)
}
