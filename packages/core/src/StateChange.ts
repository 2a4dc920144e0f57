/**
 * What changes in the state of a running plan, as events for programs, metrics, alerts and logs.
 *
 * @since 0.1.0
 */
import type * as CircuitBreaker from "./CircuitBreaker.ts"

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
  | { readonly _tag: "Phase"; readonly phase: "draining" | "closed"; readonly at: number }
