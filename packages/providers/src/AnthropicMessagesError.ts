/**
 * Anthropic Messages: decoding errors.
 *
 * Types decide. Two failures are told by a message alone, under the type of any bad request: a prompt that does
 * not fit and a balance that is used up.
 *
 * @since 0.1.0
 */
import type * as ErrorReply from "./ErrorReply.ts"
import * as Json from "./Json.ts"
import type * as Protocol from "./Protocol.ts"

// ---------------------------------------------------------------------------------------------------------------
// Decoding errors
// ---------------------------------------------------------------------------------------------------------------

const types: Readonly<Record<string, ErrorReply.Tag>> = {
  invalid_request_error: "InvalidRequest",
  authentication_error: "Authentication",
  permission_error: "Authentication",
  billing_error: "QuotaExhausted",
  not_found_error: "ModelNotFound",
  request_too_large: "InvalidRequest",
  rate_limit_error: "RateLimited",
  overloaded_error: "Overloaded",
  timeout_error: "ProviderError",
  api_error: "ProviderError"
}

const phrases: ReadonlyArray<readonly [string, ErrorReply.Tag]> = [
  ["prompt is too long", "ContextLength"],
  ["exceed context limit", "ContextLength"],
  ["credit balance is too low", "QuotaExhausted"]
]

/**
 * Decodes an error body or an `error` event; `undefined` when it is neither.
 *
 * @since 0.1.0
 * @category parsing
 */
export const decode = (body: Json.Json, options: Protocol.Options): ErrorReply.Decoded | undefined => {
  if (!Json.isObject(body)) return undefined
  const error = Json.object(body, "error")
  if (error === undefined) {
    const message = Json.string(body, "error") ?? Json.string(body, "message")
    return message === undefined ? undefined : { message }
  }
  const message = Json.string(error, "message")
  const type = Json.string(error, "type") ?? ""
  const stated = Object.hasOwn(types, type) ? types[type] : undefined
  const tag = stated === "InvalidRequest" ? (phrase(message, options) ?? stated) : stated
  return { tag, message, contextWindow: tag === "ContextLength" ? windowOf(message) : undefined }
}

const phrase = (message: string | undefined, options: Protocol.Options): ErrorReply.Tag | undefined => {
  const text = message?.toLowerCase()
  if (text === undefined) return undefined
  return (
    phrases.find(([known]) => text.includes(known))?.[1] ??
    options.dialect.phrases.find((known) => text.includes(known.phrase))?.tag
  )
}

const windowOf = (message: string | undefined): number | undefined => {
  const found = /> (\d{1,9})(?: maximum|,)/.exec(message ?? "")?.[1]
  return found === undefined ? undefined : Number(found)
}
