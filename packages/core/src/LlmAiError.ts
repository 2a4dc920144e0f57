/**
 * `LlmError` and effect/ai's `AiError`, each said as the other.
 *
 * `AiError` has no overloaded, timeout, model-not-found or context-length, so it says less. What must survive is what
 * a program decides by: `isRetryable` and `retryAfter` are those of the `LlmError`. The whole `LlmError` stays within
 * reach, see `original`.
 *
 * | LlmError | AiError | retryable |
 * | --- | --- | --- |
 * | `RateLimited`, `QueueFull`, `NoCapacity` | `RateLimitError` | yes |
 * | `Overloaded`, `ProviderError`, `Timeout`, `Unknown` | `InternalProviderError` | yes |
 * | `Network` | `NetworkError` (`TransportError`) | yes |
 * | `MalformedOutput` | `InvalidOutputError` | yes |
 * | `Authentication` | `AuthenticationError` | no |
 * | `QuotaExhausted` | `QuotaExhaustedError`, with `resetAt` where known | no |
 * | `ContentPolicy` | `ContentPolicyError` | no |
 * | `InvalidRequest`, `ContextLength`, `ModelNotFound`, `UnknownTarget` | `InvalidRequestError`, with the `parameter` | no |
 * | `Cancelled`, `DeadlineExceeded`, `BudgetExhausted` | `UnknownError` | no |
 *
 * The other way:
 *
 * | AiError | LlmError |
 * | --- | --- |
 * | made of an `LlmError` | that error |
 * | `RateLimitError` | `RateLimited` |
 * | `QuotaExhaustedError` | `QuotaExhausted` until `resetAt` |
 * | `AuthenticationError` | `Authentication` |
 * | `ContentPolicyError` | `ContentPolicy` |
 * | `InternalProviderError` | `ProviderError` |
 * | `NetworkError` | `Network`; `InvalidRequest` when no request could be made |
 * | `InvalidOutputError`, `InvalidResponseError`, `StructuredOutputError`, `ToolNotFoundError`, `ToolParameterValidationError` | `MalformedOutput` |
 * | `InvalidRequestError`, `UnsupportedSchemaError`, `InvalidUserInputError`, any other of tools | `InvalidRequest` |
 * | `UnknownError` | `Unknown` |
 *
 * @since 0.1.0
 */
import * as AiError from "effect/ai/AiError"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Predicate from "effect/Predicate"
import * as LlmError from "./LlmError.ts"

const Original = "~@echelon/core/LlmAiError/original" as const

/**
 * Where an error is seen, and when.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The method of `LanguageModel` that failed. */
  readonly method: string
  /** Milliseconds since the epoch, by Effect's `Clock`: a `retryAt` becomes a wait from now. */
  readonly now: number
}

/** A provider that cannot answer now, and says when it can: effect's own class has no place for that. */
class Unavailable extends AiError.InternalProviderError {
  readonly retryAfter: Duration.Duration

  constructor(
    props: { readonly description: string; readonly metadata: AiError.ProviderMetadata },
    retryAfter: Duration.Duration
  ) {
    super(props)
    this.retryAfter = retryAfter
  }
}

/**
 * The wait after which a member comes back, or that the provider named.
 *
 * @since 0.1.0
 * @category getters
 */
export const retryAfter = (error: LlmError.LlmError, now: number): Duration.Duration | undefined => {
  const at = error.retryAt ?? (error.reason._tag === "NoCapacity" ? error.reason.retryAt : undefined)
  return at !== undefined && at > now ? Duration.millis(at - now) : error.retryAfter
}

/**
 * Says an `LlmError` as an `AiError`.
 *
 * **Details** Where the reason has `metadata`, it is `{ echelon: { reason, instance, requestId } }`.
 *
 * @example
 * ```ts
 * import { LlmAiError, LlmError } from "@echelon/core"
 * import { Duration } from "effect"
 *
 * const error = LlmError.make({ reason: { _tag: "Overloaded", retryAfter: Duration.seconds(2) }, instance: "a" })
 * const aiError = LlmAiError.toAiError(error, { method: "generateText", now: 0 })
 * console.assert(aiError.reason._tag === "InternalProviderError" && aiError.isRetryable)
 * console.assert(aiError.retryAfter !== undefined && Duration.toMillis(aiError.retryAfter) === 2000)
 * console.assert(LlmAiError.original(aiError) === error)
 * ```
 *
 * @since 0.1.0
 * @category converting
 */
export const toAiError = (error: LlmError.LlmError, options: Options): AiError.AiError => {
  const converted = AiError.make({
    module: "Echelon",
    method: options.method,
    reason: toReason(error, options.now)
  })
  // Not enumerable, as the text delivered is within reach of it: no log or dump shows it.
  Object.defineProperty(converted, Original, { value: error, enumerable: false })
  return converted
}

/**
 * The `LlmError` that an error was made of: its reason, its route and the text delivered. `undefined` when it came
 * from elsewhere, or was serialized on its way.
 *
 * @since 0.1.0
 * @category getters
 */
export const original = (error: unknown): LlmError.LlmError | undefined => {
  if (LlmError.isLlmError(error)) return error
  if (!Predicate.hasProperty(error, Original)) return undefined
  const found = error[Original]
  return LlmError.isLlmError(found) ? found : undefined
}

const toReason = (error: LlmError.LlmError, now: number): AiError.AiErrorReason => {
  const { instance, message: description, reason, requestId } = error
  const metadata: AiError.ProviderMetadata = {
    echelon: {
      reason: reason._tag,
      ...(instance === undefined ? {} : { instance }),
      ...(requestId === undefined ? {} : { requestId })
    }
  }
  const wait = retryAfter(error, now)
  switch (reason._tag) {
    case "RateLimited":
    case "QueueFull":
    case "NoCapacity":
      return new AiError.RateLimitError({ metadata, ...(wait === undefined ? {} : { retryAfter: wait }) })
    case "Overloaded":
    case "ProviderError":
    case "Timeout":
    case "Unknown":
      return wait === undefined
        ? new AiError.InternalProviderError({ description, metadata })
        : new Unavailable({ description, metadata }, wait)
    case "Network":
      // The core knows no address: the instance stands for it.
      return new AiError.NetworkError({
        reason: "TransportError",
        method: "CALL",
        url: `echelon:${instance ?? "unknown"}`,
        description
      })
    case "MalformedOutput":
      return new AiError.InvalidOutputError({ description, metadata })
    case "Authentication":
      return new AiError.AuthenticationError({ kind: "Unknown", description, metadata })
    case "QuotaExhausted":
      return new AiError.QuotaExhaustedError({
        metadata,
        ...(reason.retryAfter === undefined
          ? {}
          : { resetAt: DateTime.makeUnsafe(now + Duration.toMillis(reason.retryAfter)) })
      })
    case "ContentPolicy":
      return new AiError.ContentPolicyError({ description, metadata })
    case "InvalidRequest":
      return new AiError.InvalidRequestError({ description, metadata })
    case "ContextLength":
      return new AiError.InvalidRequestError({
        parameter: "prompt",
        constraint: "must fit the context window",
        description,
        metadata
      })
    case "ModelNotFound":
      return new AiError.InvalidRequestError({ parameter: "model", description, metadata })
    case "UnknownTarget":
      return new AiError.InvalidRequestError({ parameter: reason.kind, description, metadata })
    case "Cancelled":
    case "DeadlineExceeded":
    case "BudgetExhausted":
      return new AiError.UnknownError({ description, metadata })
  }
}

/**
 * Says an `AiError` as an `LlmError`.
 *
 * **Details** No status is read, as the core knows none: a provider that gives `UnknownError` for a 404 is told
 * apart by whoever knows HTTP. Descriptions that quote an answer or a credential are left out.
 *
 * @since 0.1.0
 * @category converting
 */
export const fromAiError = (error: AiError.AiError, now: number): LlmError.LlmError =>
  original(error) ?? LlmError.make(fromReason(error.reason, error.retryAfter, now))

const fromReason = (
  reason: AiError.AiErrorReason,
  wait: Duration.Duration | undefined,
  now: number
): LlmError.Options => {
  switch (reason._tag) {
    case "RateLimitError":
      return { reason: wait === undefined ? { _tag: "RateLimited" } : { _tag: "RateLimited", retryAfter: wait } }
    case "QuotaExhaustedError": {
      const left = reason.resetAt === undefined ? 0 : DateTime.toEpochMillis(reason.resetAt) - now
      return {
        reason: left > 0 ? { _tag: "QuotaExhausted", retryAfter: Duration.millis(left) } : { _tag: "QuotaExhausted" }
      }
    }
    case "AuthenticationError":
      // Providers repeat a part of the key in what they say of it.
      return { reason: { _tag: "Authentication" }, detail: reason.kind }
    case "ContentPolicyError":
      return { reason: { _tag: "ContentPolicy" }, detail: said(reason.description) }
    case "InternalProviderError":
      return {
        reason: wait === undefined ? { _tag: "ProviderError" } : { _tag: "ProviderError", retryAfter: wait },
        detail: said(reason.description)
      }
    case "NetworkError":
      return reason.reason === "TransportError"
        ? { reason: { _tag: "Network", kind: "other" } }
        : { reason: { _tag: "InvalidRequest" }, detail: reason.reason }
    case "InvalidOutputError":
    case "InvalidResponseError":
    case "StructuredOutputError":
    case "ToolNotFoundError":
    case "ToolParameterValidationError":
      // A schema's message quotes what it refused.
      return { reason: { _tag: "MalformedOutput" }, detail: reason._tag }
    case "InvalidRequestError":
      return {
        reason: { _tag: "InvalidRequest" },
        detail: said([reason.parameter, reason.constraint, reason.description].filter(Boolean).join(" "))
      }
    case "UnsupportedSchemaError":
    case "InvalidUserInputError":
    case "InvalidToolResultError":
    case "ToolResultEncodingError":
    case "ToolConfigurationError":
    case "ToolkitRequiredError":
      return { reason: { _tag: "InvalidRequest" }, detail: reason._tag }
    case "UnknownError":
      return { reason: { _tag: "Unknown" }, detail: said(reason.description) }
  }
}

const maxDetail = 500

/** What a provider said, without the query of an address, which may hold a key. */
const said = (description: string | undefined): string | undefined =>
  description
    ?.replaceAll(/(https?:\/\/[^\s?#)]*)[?#][^\s)]*/g, "$1")
    .slice(0, maxDetail)
    .toWellFormed()
