/**
 * Google Gemini: decoding errors.
 *
 * Errors are `google.rpc.Status`: the reason in their details decides, then the status' name, then the number. A
 * message is read for a few phrases, under the statuses that stand for several failures each.
 *
 * @since 0.1.0
 */
import type * as ErrorReply from "./ErrorReply.ts"
import * as GoogleErrorDetails from "./GoogleErrorDetails.ts"
import * as Json from "./Json.ts"
import type * as Protocol from "./Protocol.ts"

// ---------------------------------------------------------------------------------------------------------------
// Decoding errors
// ---------------------------------------------------------------------------------------------------------------

const reasons: Readonly<Record<string, ErrorReply.Tag>> = {
  API_KEY_INVALID: "Authentication",
  API_KEY_SERVICE_BLOCKED: "Authentication",
  API_KEY_IP_ADDRESS_BLOCKED: "Authentication",
  API_KEY_HTTP_REFERRER_BLOCKED: "Authentication",
  ACCESS_TOKEN_EXPIRED: "Authentication",
  CREDENTIALS_MISSING: "Authentication",
  CONSUMER_INVALID: "Authentication",
  CONSUMER_SUSPENDED: "Authentication",
  SERVICE_DISABLED: "Authentication",
  BILLING_DISABLED: "QuotaExhausted"
}

const statuses: Readonly<Record<string, ErrorReply.Tag>> = {
  INVALID_ARGUMENT: "InvalidRequest",
  FAILED_PRECONDITION: "InvalidRequest",
  OUT_OF_RANGE: "InvalidRequest",
  UNAUTHENTICATED: "Authentication",
  PERMISSION_DENIED: "Authentication",
  NOT_FOUND: "ModelNotFound",
  RESOURCE_EXHAUSTED: "RateLimited",
  ABORTED: "Overloaded",
  UNAVAILABLE: "Overloaded",
  INTERNAL: "ProviderError",
  UNKNOWN: "ProviderError",
  DATA_LOSS: "ProviderError",
  DEADLINE_EXCEEDED: "ProviderError",
  CANCELLED: "ProviderError"
}

// Each under the status that it comes with: elsewhere the words mean nothing.
const phrases: ReadonlyArray<readonly [status: string, phrase: string, tag: ErrorReply.Tag]> = [
  ["INVALID_ARGUMENT", "exceeds the maximum number of tokens allowed", "ContextLength"],
  ["INVALID_ARGUMENT", "api key not valid", "Authentication"],
  ["INVALID_ARGUMENT", "api key expired", "Authentication"],
  ["FAILED_PRECONDITION", "user location is not supported", "Authentication"],
  ["FAILED_PRECONDITION", "enable billing", "QuotaExhausted"],
  // A file or a cache that the request names, not the account.
  ["PERMISSION_DENIED", "permission to access the file", "InvalidRequest"],
  ["PERMISSION_DENIED", "cachedcontent not found", "InvalidRequest"],
  ["RESOURCE_EXHAUSTED", "prepayment credits are depleted", "QuotaExhausted"],
  ["RESOURCE_EXHAUSTED", "spending cap", "QuotaExhausted"]
]

const lookup = (
  table: Readonly<Record<string, ErrorReply.Tag>>,
  key: string | undefined
): ErrorReply.Tag | undefined => (key !== undefined && Object.hasOwn(table, key) ? table[key] : undefined)

/**
 * Decodes an error body; `undefined` when it is none.
 *
 * @since 0.1.0
 * @category parsing
 */
export const decode = (body: Json.Json, options: Protocol.Options): ErrorReply.Decoded | undefined => {
  // A stream that was refused answers with a list of one.
  const outer = Array.isArray(body) ? body[0] : body
  if (!Json.isObject(outer)) return undefined
  const error = Json.object(outer, "error")
  if (error === undefined) {
    const message = Json.string(outer, "error") ?? Json.string(outer, "message")
    return message === undefined ? undefined : { message }
  }
  const message = Json.string(error, "message")
  const name = Json.string(error, "status")
  const code = Json.count(error, "code")
  const { isDaily, reason, retryAfter } = GoogleErrorDetails.read(error)
  const tag =
    lookup(reasons, reason) ??
    (isDaily ? "QuotaExhausted" : undefined) ??
    phrase(name, message, options) ??
    lookup(statuses, name)
  return {
    tag,
    status: code !== undefined && code >= 400 && code < 600 ? code : undefined,
    message,
    contextWindow: tag === "ContextLength" ? windowOf(message) : undefined,
    retryAfter,
    isDaily
  }
}

/**
 * Decodes an error that arrived with a success: an event of a stream, or the body of a 200.
 *
 * @since 0.1.0
 * @category parsing
 */
export const inStream = (chunk: Json.JsonObject, options: Protocol.Options): ErrorReply.Decoded | undefined => {
  const error = chunk["error"]
  return error === undefined || error === null ? undefined : (decode(chunk, options) ?? {})
}

const phrase = (
  status: string | undefined,
  message: string | undefined,
  options: Protocol.Options
): ErrorReply.Tag | undefined => {
  const text = message?.toLowerCase()
  if (text === undefined) return undefined
  return (
    phrases.find(([under, known]) => under === status && text.includes(known))?.[2] ??
    options.dialect.phrases.find((known) => text.includes(known.phrase))?.tag
  )
}

const windowOf = (message: string | undefined): number | undefined => {
  const found = /tokens allowed \(?(\d{1,9})/.exec(message ?? "")?.[1]
  return found === undefined ? undefined : Number(found)
}
