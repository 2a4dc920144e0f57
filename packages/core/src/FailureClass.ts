/**
 * What follows from a failure: the one table, read by every policy.
 *
 * @since 0.1.0
 */
import type * as Reason from "./Reason.ts"

/**
 * The consequences of a reason.
 *
 * @since 0.1.0
 * @category models
 */
export interface FailureClass {
  /** Whether another instance of the same echelon may be asked. */
  readonly otherInstance: "yes" | "larger_window" | "no"
  /** Whether the same instance may be asked again in this request, and after what wait. */
  readonly sameInstance: "backoff" | "retry_after" | "no"
  /** Whether the next echelon may be asked. */
  readonly nextEchelon: "yes" | "larger_window" | "content_policy_fallback" | "no"
  /** What a circuit breaker hears. `opens`: at once, and no customer's request tests it. */
  readonly breaker: "failure" | "ignored" | "opens"
}

const transient: FailureClass = {
  otherInstance: "yes",
  sameInstance: "backoff",
  nextEchelon: "yes",
  breaker: "failure"
}
const rateLimited: FailureClass = { ...transient, sameInstance: "retry_after", breaker: "ignored" }
const silent: FailureClass = { ...transient, sameInstance: "no" }
const unusable: FailureClass = { ...silent, breaker: "opens" }
const tooLong: FailureClass = {
  otherInstance: "larger_window",
  sameInstance: "no",
  nextEchelon: "larger_window",
  breaker: "ignored"
}
const final: FailureClass = { otherInstance: "no", sameInstance: "no", nextEchelon: "no", breaker: "ignored" }
const refused: FailureClass = { ...final, nextEchelon: "content_policy_fallback" }

/**
 * Classifies a reason.
 *
 * @since 0.1.0
 * @category getters
 */
export const of = (reason: Reason.Reason): FailureClass => {
  switch (reason._tag) {
    case "RateLimited":
      return rateLimited
    case "Overloaded":
    case "ProviderError":
    case "Network":
    case "MalformedOutput":
    case "Unknown":
      return transient
    case "Timeout":
      // The caller who stops reading, or who brings too short a time, is no fault of the instance.
      if (reason.clock === "consumer_idle") return final
      return reason.shortened ? { ...silent, breaker: "ignored" } : silent
    case "QuotaExhausted":
      // With a named reset a cooldown is enough: it ends by itself.
      return reason.retryAfter === undefined ? unusable : { ...unusable, breaker: "ignored" }
    case "Authentication":
    case "ModelNotFound":
      return unusable
    case "ContextLength":
      return tooLong
    case "ContentPolicy":
      return refused
    case "InvalidRequest":
    case "Cancelled":
    case "QueueFull":
    case "NoCapacity":
    case "DeadlineExceeded":
    case "BudgetExhausted":
    case "UnknownTarget":
      return final
  }
}
