/**
 * A task group: ordered echelons. It falls to the next when one cannot answer.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Llm from "./Llm.ts"
import * as Member from "./Member.ts"
import type * as Plan from "./Plan.ts"
import * as Plans from "./Plans.ts"
import * as Tiers from "./Tiers.ts"

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly id: string
  /** @default "round_robin" */
  readonly rotation?: Plan.Rotation | undefined
  /** Attempts beyond the first, in each echelon. @default 2 */
  readonly maxRetries?: number | undefined
  /** Echelons a request may try. @default all */
  readonly maxAttempts?: number | undefined
}

/**
 * Makes a task group over any `Llm`s: one array an echelon, the best first.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Llm, TaskGroup } from "@echelon/core"
 * import { ScriptedLlm } from "@echelon/testing"
 *
 * const program = Effect.gen(function* () {
 *   const best = yield* ScriptedLlm.make({ id: "best", script: () => [ScriptedLlm.fail({ _tag: "Authentication" })] })
 *   const next = yield* ScriptedLlm.make({ id: "next", script: () => ScriptedLlm.text("hello") })
 *   const group = yield* TaskGroup.make([[best.llm], [next.llm]], { id: "group" })
 *   return yield* Llm.generate(group, { prompt: "hi" })
 * })
 * console.assert((await Effect.runPromise(program)).instance === "next")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (echelons: ReadonlyArray<ReadonlyArray<Llm.Llm>>, options: Options): Effect.Effect<Llm.Llm> =>
  Tiers.make({
    id: options.id,
    rotation: options.rotation ?? Plans.defaults.echelon.rotation,
    maxTiers: options.maxAttempts,
    tiers: echelons.map((members) => ({
      members: members.map((llm) => Member.make(llm)),
      maxRetries: options.maxRetries ?? Plans.defaults.echelon.maxRetries,
      maxInstances: Number.POSITIVE_INFINITY
    }))
  })

/**
 * The echelons a request goes through: the one it starts at, then the group's fallbacks. Where the start stands
 * among the fallbacks, those after it follow.
 *
 * @since 0.1.0
 * @category combinators
 */
export const chain = (group: Plan.TaskGroup, start: string): ReadonlyArray<string> => {
  const first = `${group.name}.${start}`
  const { echelons, strategy } = group.fallback
  if (strategy === "none") return [first]
  const rest = echelons.slice(echelons.indexOf(first) + 1)
  return [first, ...new Set(rest.filter((name) => name !== first))]
}
