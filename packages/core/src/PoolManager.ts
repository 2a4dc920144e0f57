/**
 * The pools of a configuration, by name.
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
 * Gives pools.
 *
 * **Details** What it gives follows a change of the configuration: each call is answered by the plan of its time.
 *
 * **Errors** `UnknownTarget` with the nearest known names.
 *
 * @since 0.1.0
 * @category services
 */
export class PoolManager extends Context.Service<
  PoolManager,
  {
    readonly get: (name: string) => Effect.Effect<Llm.Llm, LlmError.LlmError>
    readonly plans: Effect.Effect<ReadonlyArray<Plan.Pool>>
  }
>()("@echelon/core/PoolManager") {
  static readonly layer: Layer.Layer<PoolManager, never, Interpreter.Interpreter> = Layer.effect(
    PoolManager,
    Effect.map(Interpreter.Interpreter, ({ current, plan }) =>
      PoolManager.of({
        get: (name) => Interpreter.following(current, name, ({ pool }) => pool(name)),
        plans: Effect.map(plan, (root) => Object.values(root.pools))
      })
    )
  )
}
