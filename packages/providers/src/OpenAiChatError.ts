/**
 * OpenAI Chat Completions: decoding errors.
 *
 * The shapes that servers of this protocol use differ; codes decide, then types, then the status. A message is
 * read only for a phrase that the provider's row lists, because that provider gives no code.
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

const codes: Readonly<Record<string, ErrorReply.Tag>> = {
  insufficient_quota: "QuotaExhausted",
  billing_hard_limit_reached: "QuotaExhausted",
  billing_not_active: "QuotaExhausted",
  insufficient_balance: "QuotaExhausted",
  rate_limit_exceeded: "RateLimited",
  rate_limited: "RateLimited",
  rate_limit_error: "RateLimited",
  requests: "RateLimited",
  tokens: "RateLimited",
  context_length_exceeded: "ContextLength",
  model_max_prompt_tokens_exceeded: "ContextLength",
  exceed_context_size_error: "ContextLength",
  content_filter: "ContentPolicy",
  content_policy_violation: "ContentPolicy",
  responsibleaipolicyviolation: "ContentPolicy",
  moderation_blocked: "ContentPolicy",
  model_not_found: "ModelNotFound",
  deploymentnotfound: "ModelNotFound",
  not_found_error: "ModelNotFound",
  invalid_api_key: "Authentication",
  invalid_authentication: "Authentication",
  authentication_error: "Authentication",
  account_deactivated: "Authentication",
  permission_denied: "Authentication",
  permission_error: "Authentication",
  overloaded_error: "Overloaded",
  server_is_overloaded: "Overloaded",
  service_unavailable_error: "Overloaded",
  slow_down: "Overloaded",
  engine_overloaded: "Overloaded",
  engine_overloaded_error: "Overloaded",
  service_unavailable: "Overloaded",
  capacity_exceeded: "Overloaded",
  server_overloaded: "Overloaded",
  internal_server_error: "ProviderError",
  internal_error: "ProviderError",
  server_error: "ProviderError",
  // The model wrote what the server could not read: the same request may well succeed again.
  tool_use_failed: "MalformedOutput",
  json_validate_failed: "MalformedOutput",
  unsupported_parameter: "InvalidRequest",
  unsupported_value: "InvalidRequest",
  invalid_value: "InvalidRequest"
}

// Types that stand beside any failure: they count where there is no status to go by.
const vague: Readonly<Record<string, ErrorReply.Tag>> = {
  invalid_request_error: "InvalidRequest",
  badrequesterror: "InvalidRequest",
  api_error: "ProviderError",
  upstream_error: "ProviderError"
}

const lookup = (
  table: Readonly<Record<string, ErrorReply.Tag>>,
  key: string | undefined
): ErrorReply.Tag | undefined => {
  const name = key?.toLowerCase()
  return name !== undefined && Object.hasOwn(table, name) ? table[name] : undefined
}

/**
 * Decodes an error body in any of the shapes in use; `undefined` when it has none of them.
 *
 * @since 0.1.0
 * @category parsing
 */
export const decode = (body: Json.Json, options: Protocol.Options): ErrorReply.Decoded | undefined => {
  const outer = Array.isArray(body) ? body[0] : body
  if (!Json.isObject(outer)) return undefined
  const inner = Json.object(outer, "error") ?? outer
  const message = messageOf(inner, outer)
  const code = inner["code"] ?? outer["code"] ?? null
  const status = typeof code === "number" ? code : /^\d{3}$/.test(String(code)) ? Number(code) : undefined
  const name = typeof code === "string" ? code : undefined
  const type = Json.string(inner, "type")
  const detail = Json.object(inner, "innererror")
  const { isDaily, retryAfter } = GoogleErrorDetails.read(inner)
  if (message === undefined && name === undefined && type === undefined && status === undefined) return undefined
  const tag =
    lookup(codes, detail === undefined ? undefined : Json.string(detail, "code")) ??
    lookup(codes, name) ??
    lookup(codes, type) ??
    (isFlagged(inner) ? "ContentPolicy" : undefined) ??
    (isDaily ? "QuotaExhausted" : undefined) ??
    phrase(message, options) ??
    (status === undefined ? undefined : options.dialect.statuses[status])
  return {
    tag,
    status: status !== undefined && status >= 400 && status < 600 ? status : undefined,
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
export const inStream = (
  chunk: Json.JsonObject,
  event: string | undefined,
  options: Protocol.Options
): ErrorReply.Decoded | undefined => {
  const error = chunk["error"]
  const stated = error !== undefined && error !== null && error !== false
  if (!stated && chunk["object"] !== "error" && event !== "error") return undefined
  const decoded = decode(chunk, options) ?? { message: undefined }
  if (decoded.tag !== undefined || decoded.status !== undefined) return decoded
  const type = Json.isObject(error) ? Json.string(error, "type") : Json.string(chunk, "type")
  return { ...decoded, tag: lookup(vague, type) }
}

const messageOf = (inner: Json.JsonObject, outer: Json.JsonObject): string | undefined => {
  for (const from of [inner, outer]) {
    for (const key of ["message", "error", "detail"]) {
      const value = from[key]
      if (typeof value === "string" && value !== "") return value
    }
  }
  const [first] = Json.array(outer, "detail")
  return Json.isObject(first) ? Json.string(first, "msg") : undefined
}

/** A moderation report instead of a code. */
const isFlagged = (error: Json.JsonObject): boolean => {
  const metadata = Json.object(error, "metadata")
  return metadata !== undefined && Json.array(metadata, "reasons").length > 0
}

const phrase = (message: string | undefined, options: Protocol.Options): ErrorReply.Tag | undefined => {
  const text = message?.toLowerCase()
  return text === undefined ? undefined : options.dialect.phrases.find((known) => text.includes(known.phrase))?.tag
}

const windowOf = (message: string | undefined): number | undefined => {
  const found = /maximum context length is (\d{1,9})/.exec(message ?? "")?.[1]
  return found === undefined ? undefined : Number(found)
}
