/**
 * The one error of every `Llm`: a tagged reason that holds data, and where it happened.
 *
 * Reasons are decided where the failure is seen (a provider's decoder, a clock, the router), from status and
 * code fields. What follows from a reason — another instance, a repeat, the next echelon — is decided in one
 * place, `FailureClass`.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import type { Reason, ReasonTag } from "./Reason.ts"
import type * as Route from "./Route.ts"

export type { ClockName, Reason, ReasonTag } from "./Reason.ts"

/**
 * Who can do something about it.
 *
 * @since 0.1.0
 * @category models
 */
export type Blame = "caller" | "provider" | "operator"

const titles: Record<ReasonTag, string> = {
  RateLimited: "rate limited",
  Overloaded: "overloaded",
  ProviderError: "provider error",
  Network: "network failure",
  Timeout: "timed out",
  Authentication: "authentication refused",
  QuotaExhausted: "quota exhausted",
  ModelNotFound: "model not found",
  ContextLength: "context length exceeded",
  ContentPolicy: "refused by content policy",
  InvalidRequest: "invalid request",
  MalformedOutput: "malformed output",
  Unknown: "unknown failure",
  Cancelled: "cancelled",
  QueueFull: "queue full",
  NoCapacity: "no capacity",
  DeadlineExceeded: "deadline exceeded",
  BudgetExhausted: "budget exhausted",
  UnknownTarget: "unknown name"
}

const blames: Record<ReasonTag, Blame> = {
  RateLimited: "provider",
  Overloaded: "provider",
  ProviderError: "provider",
  Network: "provider",
  Timeout: "provider",
  Authentication: "operator",
  QuotaExhausted: "operator",
  ModelNotFound: "operator",
  ContextLength: "caller",
  ContentPolicy: "caller",
  InvalidRequest: "caller",
  MalformedOutput: "provider",
  Unknown: "provider",
  Cancelled: "caller",
  QueueFull: "operator",
  NoCapacity: "operator",
  DeadlineExceeded: "caller",
  BudgetExhausted: "caller",
  UnknownTarget: "caller"
}

/**
 * What an `LlmError` is made of.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly reason: Reason
  /** What a person should read: redacted, without prompt or answer. */
  readonly detail?: string | undefined
  /** The instance that was asked, when one was. */
  readonly instance?: string | undefined
  /** The provider's own id of the request, for its support. */
  readonly requestId?: string | undefined
  readonly route?: Route.Route | undefined
  /** The earliest time at which a cooling instance comes back, in milliseconds since the epoch. */
  readonly retryAt?: number | undefined
  /** Text that had already reached the caller when a stream broke. */
  readonly delivered?: string | undefined
}

/**
 * A failed call.
 *
 * **Details** It carries no stack: it is a value of the domain, made in numbers while a provider is down.
 * `delivered` is not enumerable, so that no log or dump of the error shows an answer.
 *
 * @example
 * ```ts
 * import { LlmError } from "@echelon/core"
 *
 * const error = LlmError.make({ reason: { _tag: "Overloaded" }, instance: "openai-gpt4" })
 * console.assert(error.message === "openai-gpt4: overloaded")
 * console.assert(error.isRetryable && error.blame === "provider")
 * ```
 *
 * @since 0.1.0
 * @category errors
 */
export class LlmError extends Data.TaggedError("LlmError")<Omit<Options, "delivered">> {
  declare readonly delivered: string | undefined

  /** Whether the same request may succeed later without being changed. */
  get isRetryable(): boolean {
    switch (this.reason._tag) {
      case "RateLimited":
      case "Overloaded":
      case "ProviderError":
      case "Network":
      case "Timeout":
      case "MalformedOutput":
      case "Unknown":
      case "QueueFull":
      case "NoCapacity":
        return true
      default:
        return false
    }
  }

  /** How long the provider asked to wait, when it did. */
  get retryAfter(): Duration.Duration | undefined {
    return "retryAfter" in this.reason ? this.reason.retryAfter : undefined
  }

  get blame(): Blame {
    return blames[this.reason._tag]
  }

  override get message(): string {
    const { detail, instance, reason } = this
    const head = `${instance === undefined ? "" : `${instance}: `}${titles[reason._tag]}${qualify(reason)}`
    return detail === undefined || detail === "" ? head : `${head}: ${detail}`
  }
}

const qualify = (reason: Reason): string => {
  switch (reason._tag) {
    case "Timeout":
      return ` (${reason.clock} clock, ${Duration.format(reason.limit)})`
    case "Network":
      return reason.kind === "other" ? "" : ` (${reason.kind.replace("_", " ")})`
    case "BudgetExhausted":
      return ` (${reason.of})`
    case "Unknown":
      return reason.status === undefined ? "" : ` (status ${reason.status})`
    default:
      return ""
  }
}

/**
 * Makes an error without capturing a stack.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): LlmError => {
  const { delivered, ...fields } = options
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  const error = new LlmError(fields)
  Error.stackTraceLimit = limit
  Object.defineProperty(error, "delivered", { value: delivered, enumerable: false })
  return error
}

/**
 * Copies an error with some fields changed.
 *
 * @since 0.1.0
 * @category combinators
 */
export const update = (error: LlmError, options: Partial<Options>): LlmError =>
  make({
    reason: error.reason,
    detail: error.detail,
    instance: error.instance,
    requestId: error.requestId,
    route: error.route,
    retryAt: error.retryAt,
    delivered: error.delivered,
    ...options
  })

/**
 * Tells an `LlmError` from anything else.
 *
 * @since 0.1.0
 * @category guards
 */
export const isLlmError = (u: unknown): u is LlmError => u instanceof LlmError
