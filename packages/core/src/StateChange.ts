/**
 * What changes in the state of a running plan, as events for programs, metrics, alerts and logs.
 *
 * @since 0.1.0
 */
import type * as CircuitBreaker from "./CircuitBreaker.ts"

/**
 * How an instance does: `unknown` until something was seen of it.
 *
 * @since 0.1.0
 * @category models
 */
export type HealthStatus = "healthy" | "degraded" | "unhealthy" | "unknown"

/**
 * One change. `at` is milliseconds since the epoch, by Effect's `Clock`.
 *
 * **Details**
 *
 * - `Breaker`: the circuit of an instance in a group moved.
 * - `Cooldown`: an instance is passed over until a time, that a provider named or that was chosen for it.
 * - `Drained`, `Pinned`: somebody took an instance out, or put it first, or undid that.
 * - `Reset`: the state of an instance, or of all, was forgotten.
 * - `Swapped`: new requests use another plan.
 * - `Reload`: the configuration was read again, and taken on or rejected with so many errors.
 * - `Health`: what is known of an instance's health changed.
 * - `ProviderHealth`: all that is known of a provider changed: its instances fail together, or work again.
 * - `Spend`: a budget reached one of its marks, or is whole again (`share` 0).
 * - `Phase`: shutting down has begun, or has ended.
 *
 * @since 0.1.0
 * @category models
 */
export type StateChange =
  | ({ readonly _tag: "Breaker"; readonly group: string; readonly instance: string } & CircuitBreaker.Transition)
  | { readonly _tag: "Cooldown"; readonly instance: string; readonly until: number; readonly at: number }
  | { readonly _tag: "Drained"; readonly instance: string; readonly isDrained: boolean; readonly at: number }
  | { readonly _tag: "Pinned"; readonly instance: string; readonly isPinned: boolean; readonly at: number }
  | { readonly _tag: "Reset"; readonly instance: string | undefined; readonly at: number }
  | { readonly _tag: "Swapped"; readonly at: number }
  | {
      readonly _tag: "Reload"
      readonly outcome: "applied" | "rejected"
      readonly errors: number
      readonly at: number
    }
  | {
      readonly _tag: "Health"
      readonly instance: string
      readonly provider: string
      readonly from: HealthStatus
      readonly to: HealthStatus
      /** Why, in a few words; never a key or a word of a prompt. */
      readonly message: string
      readonly at: number
    }
  | {
      readonly _tag: "ProviderHealth"
      readonly provider: string
      readonly isDown: boolean
      /** Its instances that fail now. */
      readonly instances: ReadonlyArray<string>
      readonly message: string
      readonly at: number
    }
  | {
      readonly _tag: "Spend"
      readonly scope: "tenant" | "wrapper" | "pool"
      readonly name: string
      readonly period: "day" | "month"
      /** The mark that was reached, such as 0.5, 0.8 and 1. */
      readonly share: number
      /** USD. */
      readonly spent: number
      readonly limit: number
      readonly resetsAt: number
      readonly at: number
    }
  | { readonly _tag: "Phase"; readonly phase: "draining" | "closed"; readonly at: number }
