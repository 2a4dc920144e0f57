/**
 * What turns an instance of a plan into an `Llm`. The core knows no provider; a Layer of `@echelon/providers`
 * supplies this.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Llm from "./Llm.ts"
import type * as LlmError from "./LlmError.ts"
import type * as Plan from "./Plan.ts"

/**
 * An instance that can be asked and probed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Built {
  readonly llm: Llm.Llm
  /** Asks whether the instance works, as cheaply as its provider allows; gives the latency. */
  readonly probe: Effect.Effect<Duration.Duration, LlmError.LlmError>
  /**
   * How `probe` asks: for the list of models, which is free; by a short question; or not at all.
   *
   * @default not known, so that it is priced as a question
   */
  readonly probeKind?: "models" | "ping" | "none" | undefined
}

/**
 * Builds instances. What an instance keeps open lives in the given scope.
 *
 * @since 0.1.0
 * @category services
 */
export class InstanceFactory extends Context.Service<
  InstanceFactory,
  {
    readonly make: (instance: Plan.Instance) => Effect.Effect<Built, LlmError.LlmError, Scope.Scope>
  }
>()("@echelon/core/InstanceFactory") {}
