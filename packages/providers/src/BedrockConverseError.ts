/**
 * Bedrock Converse: decoding errors.
 *
 * The type of an exception decides. It stands in `__type`, or in a header that is laid there before it comes here; an
 * exception of a stream is decoded alike. Under the type of any bad request a message tells two failures: a prompt
 * that does not fit, and a model that is not there.
 *
 * @since 0.1.0
 */
import type * as ErrorReply from "./ErrorReply.ts"
import * as Json from "./Json.ts"
import type * as Protocol from "./Protocol.ts"

// ---------------------------------------------------------------------------------------------------------------
// Decoding errors
// ---------------------------------------------------------------------------------------------------------------

// In lower case and without `Exception`: a stream begins them in lower case, and the older services leave it out.
const types: Readonly<Record<string, ErrorReply.Tag>> = {
  validation: "InvalidRequest",
  validationerror: "InvalidRequest",
  serialization: "InvalidRequest",
  conflict: "Overloaded",
  accessdenied: "Authentication",
  unrecognizedclient: "Authentication",
  invalidsignature: "Authentication",
  incompletesignature: "Authentication",
  signaturedoesnotmatch: "Authentication",
  expiredtoken: "Authentication",
  requestexpired: "Authentication",
  invalidclienttokenid: "Authentication",
  missingauthenticationtoken: "Authentication",
  notauthorized: "Authentication",
  optinrequired: "Authentication",
  resourcenotfound: "ModelNotFound",
  unknownoperation: "ModelNotFound",
  throttling: "RateLimited",
  toomanyrequests: "RateLimited",
  servicequotaexceeded: "RateLimited",
  modelnotready: "Overloaded",
  serviceunavailable: "Overloaded",
  internalserver: "ProviderError",
  internalfailure: "ProviderError",
  modelerror: "ProviderError",
  modelstreamerror: "ProviderError",
  modeltimeout: "ProviderError"
}

const phrases: ReadonlyArray<readonly [string, ErrorReply.Tag]> = [
  ["input is too long for requested model", "ContextLength"],
  ["prompt is too long", "ContextLength"],
  ["exceed context limit", "ContextLength"],
  ["too many total text bytes", "ContextLength"],
  ["maximum context length is", "ContextLength"],
  ["provided model identifier is invalid", "ModelNotFound"],
  // The model is asked by the id or ARN of an inference profile.
  ["with on-demand throughput isn", "ModelNotFound"]
]

/**
 * Decodes an error body or the exception of a stream; `undefined` when it is neither.
 *
 * @since 0.1.0
 * @category parsing
 */
export const decode = (body: Json.Json, options: Protocol.Options): ErrorReply.Decoded | undefined => {
  if (!Json.isObject(body)) return undefined
  const type = typeOf(body)
  const message = messageOf(body)
  if (type === undefined && message === undefined) return undefined
  const stated = type !== undefined && Object.hasOwn(types, type) ? types[type] : undefined
  const tag = stated === "InvalidRequest" || type === undefined ? (phrase(message, options) ?? stated) : stated
  return { tag, message, contextWindow: tag === "ContextLength" ? windowOf(message) : undefined }
}

/**
 * Decodes an exception that a body of success holds: an operation that the service does not know is answered so.
 *
 * @since 0.1.0
 * @category parsing
 */
export const inReply = (body: Json.JsonObject, options: Protocol.Options): ErrorReply.Decoded | undefined =>
  typeOf(body) === undefined ? undefined : decode(body, options)

/** A stream that broke says what the model said, too. */
const messageOf = (body: Json.JsonObject): string | undefined => {
  const message = Json.string(body, "message") ?? Json.string(body, "Message")
  const original = Json.string(body, "originalMessage")
  return original === undefined ? message : message === undefined ? original : `${message}: ${original}`
}

/** `com.amazon.coral.service#UnknownOperationException`, `ThrottlingException:http://…`. */
const typeOf = (body: Json.JsonObject): string | undefined => {
  const outer = Json.object(body, "Output") ?? body
  const stated = Json.string(outer, "__type")
  return stated
    ?.replace(/^.*#/, "")
    .replace(/:.*$/, "")
    .toLowerCase()
    .replace(/exception$/, "")
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
  const found = /(?:> |length is )(\d{1,9})(?: maximum|,| tokens)/.exec(message ?? "")?.[1]
  return found === undefined ? undefined : Number(found)
}
