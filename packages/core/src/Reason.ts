/**
 * Why a call failed, as data. `LlmError` carries a reason; the route shows its tag.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"

/**
 * The clock that ran out.
 *
 * @since 0.1.0
 * @category models
 */
export type ClockName = "ttft" | "attempt" | "idle" | "stream" | "consumer_idle"

/**
 * Why a call failed.
 *
 * **Details** Waits are `Duration`s and count from when the failure was seen; `retryAt` is milliseconds since
 * the epoch by Effect's `Clock`. `status` is kept only where the class needs it to be understood.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason =
  | { readonly _tag: "RateLimited"; readonly retryAfter?: Duration.Duration | undefined }
  | { readonly _tag: "Overloaded"; readonly retryAfter?: Duration.Duration | undefined }
  | { readonly _tag: "ProviderError"; readonly retryAfter?: Duration.Duration | undefined }
  | { readonly _tag: "Network"; readonly kind: "refused" | "reset" | "dns" | "tls" | "connect_timeout" | "other" }
  | {
      readonly _tag: "Timeout"
      readonly clock: ClockName
      readonly limit: Duration.Duration
      /** The caller or a deadline made the clock shorter than configured: no fault of the instance. */
      readonly shortened: boolean
    }
  | { readonly _tag: "Authentication" }
  | { readonly _tag: "QuotaExhausted"; readonly retryAfter?: Duration.Duration | undefined }
  | { readonly _tag: "ModelNotFound" }
  | { readonly _tag: "ContextLength"; readonly contextWindow?: number | undefined }
  | { readonly _tag: "ContentPolicy" }
  | { readonly _tag: "InvalidRequest" }
  | { readonly _tag: "MalformedOutput" }
  | { readonly _tag: "Unknown"; readonly status?: number | undefined }
  | { readonly _tag: "Cancelled" }
  | { readonly _tag: "QueueFull" }
  | { readonly _tag: "NoCapacity"; readonly retryAt?: number | undefined }
  | { readonly _tag: "DeadlineExceeded" }
  | { readonly _tag: "BudgetExhausted"; readonly of: "attempts" | "cost" }
  | {
      readonly _tag: "BudgetExhausted"
      /** `spend`: what a tenant, wrapper or pool may spend is spent. `unpriced`: what it would spend is not known. */
      readonly of: "spend" | "unpriced"
      readonly scope: "tenant" | "wrapper" | "pool"
      readonly name: string
      readonly period: "day" | "month"
      /** When the period ends, in milliseconds since the epoch. */
      readonly resetsAt: number
    }
  | {
      readonly _tag: "UnknownTarget"
      readonly kind: "wrapper" | "pool" | "group" | "provider" | "model" | "instance"
      readonly name: string
      readonly known: ReadonlyArray<string>
    }

/**
 * The tag of a reason.
 *
 * @since 0.1.0
 * @category models
 */
export type ReasonTag = Reason["_tag"]
