/**
 * The task groups of a configuration, by name.
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
 * Gives task groups: `"fast_group"`, or `"fast_group.echelon2"` to start there.
 *
 * **Details** What it gives follows a change of the configuration: each call is answered by the plan of its time.
 *
 * **Errors** `UnknownTarget` with the nearest known names.
 *
 * @since 0.1.0
 * @category services
 */
export class TaskGroupManager extends Context.Service<
  TaskGroupManager,
  {
    readonly get: (name: string) => Effect.Effect<Llm.Llm, LlmError.LlmError>
    readonly plans: Effect.Effect<ReadonlyArray<Plan.TaskGroup>>
  }
>()("@echelon/core/TaskGroupManager") {
  static readonly layer: Layer.Layer<TaskGroupManager, never, Interpreter.Interpreter> = Layer.effect(
    TaskGroupManager,
    Effect.map(Interpreter.Interpreter, ({ current, plan }) =>
      TaskGroupManager.of({
        get: (name) => Interpreter.following(current, name, ({ group }) => group(name)),
        plans: Effect.map(plan, (root) => Object.values(root.groups))
      })
    )
  )
}
