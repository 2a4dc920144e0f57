/**
 * The wrappers of a configuration, by name.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Interpreter from "./Interpreter.ts"
import type * as Llm from "./Llm.ts"
import type * as LlmError from "./LlmError.ts"
import type * as Plan from "./Plan.ts"

/**
 * Gives wrappers.
 *
 * **Details** What it gives follows a change of the configuration: each call is answered by the plan of its time.
 *
 * **Errors** `UnknownTarget` with the nearest known names.
 *
 * @since 0.1.0
 * @category services
 */
export class WrapperManager extends Context.Service<
  WrapperManager,
  {
    readonly get: (name: string) => Effect.Effect<Llm.Llm, LlmError.LlmError>
    readonly plans: Effect.Effect<ReadonlyArray<Plan.Wrapper>>
  }
>()("@echelon/core/WrapperManager") {
  static readonly layer: Layer.Layer<WrapperManager, never, Interpreter.Interpreter> = Layer.effect(
    WrapperManager,
    Effect.map(Interpreter.Interpreter, ({ current, plan }) =>
      WrapperManager.of({
        get: (name) => Interpreter.following(current, name, ({ wrapper }) => wrapper(name)),
        plans: Effect.map(plan, (root) => Object.values(root.wrappers))
      })
    )
  )
}
