/**
 * OpenAI Responses: decoding errors.
 *
 * A refused request has the body of Chat Completions, with codes of its own. A reply that fails holds its error
 * in the response, and a stream may say it in an `error` event, as an object or as fields of the event.
 *
 * @since 0.1.0
 */
import type * as ErrorReply from "./ErrorReply.ts"
import * as Json from "./Json.ts"
import * as OpenAiChatError from "./OpenAiChatError.ts"
import type * as Protocol from "./Protocol.ts"
import * as RetryAfter from "./RetryAfter.ts"

// ---------------------------------------------------------------------------------------------------------------
// Decoding errors
// ---------------------------------------------------------------------------------------------------------------

// What Chat Completions has no code for.
const codes: Readonly<Record<string, ErrorReply.Tag>> = {
  invalid_prompt: "InvalidRequest",
  invalid_encrypted_content: "InvalidRequest",
  previous_response_not_found: "InvalidRequest",
  invalid_image: "InvalidRequest",
  invalid_image_format: "InvalidRequest",
  invalid_base64_image: "InvalidRequest",
  invalid_image_url: "InvalidRequest",
  invalid_image_mode: "InvalidRequest",
  image_too_large: "InvalidRequest",
  image_too_small: "InvalidRequest",
  image_parse_error: "InvalidRequest",
  image_file_too_large: "InvalidRequest",
  image_file_not_found: "InvalidRequest",
  unsupported_image_media_type: "InvalidRequest",
  empty_image_file: "InvalidRequest",
  failed_to_download_image: "InvalidRequest",
  image_content_policy_violation: "ContentPolicy",
  cyber_policy: "ContentPolicy",
  usage_not_included: "QuotaExhausted",
  vector_store_timeout: "ProviderError"
}

// An item that the server did not keep is a 404 without a code: by its status the model would be missing.
const lost = "items are not persisted when `store` is set to false"

/**
 * Decodes an error body; `undefined` when it is none.
 *
 * @since 0.1.0
 * @category parsing
 */
export const decode = (body: Json.Json, options: Protocol.Options): ErrorReply.Decoded | undefined => {
  const decoded = OpenAiChatError.decode(body, options)
  return decoded === undefined || !Json.isObject(body) ? decoded : detailed(decoded, Json.object(body, "error") ?? body)
}

/**
 * Decodes an error that arrived with a success: an `error` event, a response that failed, or the body of a 200.
 *
 * **Details** `data` is the event or the body; `undefined` when it tells of no failure of the whole reply.
 *
 * @since 0.1.0
 * @category parsing
 */
export const inStream = (
  data: Json.JsonObject,
  type: string | undefined,
  options: Protocol.Options
): ErrorReply.Decoded | undefined => {
  // A body has no type. An event of one has a response, or is about an item, whose failure is the item's own.
  const isBody = type === undefined || type === ""
  const response = isBody ? data : (Json.object(data, "response") ?? {})
  const status = Json.string(response, "status")
  const failed = type === "response.failed" || status === "failed"
  const cancelled = type === "response.cancelled" || status === "cancelled"
  const error = Json.object(data, "error") ?? Json.object(response, "error")
  if (type !== "error" && !failed && !cancelled && !(isBody && error !== undefined)) return undefined
  const decoded = OpenAiChatError.inStream(error === undefined ? data : { error }, "error", options) ?? {}
  const found = detailed(decoded, error ?? data)
  if (found.tag !== undefined || found.status !== undefined || !cancelled) return found
  return { tag: "ProviderError", message: found.message ?? "the provider cancelled the response" }
}

const detailed = (decoded: ErrorReply.Decoded, error: Json.JsonObject): ErrorReply.Decoded => {
  const code = Json.string(error, "code") ?? ""
  const tag = (Object.hasOwn(codes, code) ? codes[code] : undefined) ?? decoded.tag ?? uncoded(error)
  const wait = tag === "RateLimited" ? (decoded.retryAfter ?? waitOf(decoded.message)) : decoded.retryAfter
  return { ...decoded, tag, ...(wait === undefined ? {} : { retryAfter: wait }) }
}

/** Most refusals have no code: the parameter that they name tells them from those of the account or the model. */
const uncoded = (error: Json.JsonObject): ErrorReply.Tag | undefined => {
  if (Json.string(error, "type") !== "invalid_request_error") return undefined
  const param = Json.string(error, "param")
  const message = Json.string(error, "message")?.toLowerCase() ?? ""
  return (param !== undefined && param !== "" && param !== "model") || message.includes(lost)
    ? "InvalidRequest"
    : undefined
}

/** A limit that is met inside a stream has no header to name the wait. */
const waitOf = (message: string | undefined): number | undefined => {
  const found = /try again in (\d[\dhms.]{0,30}[hms])/.exec(message ?? "")?.[1]
  const wait = found === undefined ? undefined : RetryAfter.duration(found)
  return wait !== undefined && wait > 0 ? wait : undefined
}
