/**
 * A pool: rotates requests over instances and, when those of one tier cannot answer, falls to the next.
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
  /** Different members a request may try. @default 2 */
  readonly maxInstanceAttempts?: number | undefined
  /** Attempts beyond the first. @default 2 */
  readonly maxRetries?: number | undefined
}

/**
 * Makes a pool of one tier over any `Llm`s.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Llm, Pool } from "@echelon/core"
 * import { ScriptedLlm } from "@echelon/testing"
 *
 * const program = Effect.gen(function* () {
 *   const down = yield* ScriptedLlm.make({ id: "down", script: () => [ScriptedLlm.fail({ _tag: "Overloaded" })] })
 *   const up = yield* ScriptedLlm.make({ id: "up", script: () => ScriptedLlm.text("hello") })
 *   const pool = yield* Pool.make([down.llm, up.llm], { id: "pool" })
 *   return yield* Llm.generate(pool, { prompt: "hi" })
 * })
 * const answer = await Effect.runPromise(program)
 * console.assert(answer.text === "hello" && answer.route.length === 2)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (members: ReadonlyArray<Llm.Llm>, options: Options): Effect.Effect<Llm.Llm> =>
  Tiers.make({
    id: options.id,
    rotation: options.rotation ?? Plans.defaults.pool.rotation,
    tiers: [
      {
        members: members.map((llm) => Member.make(llm)),
        maxRetries: options.maxRetries ?? Plans.defaults.echelon.maxRetries,
        maxInstances: options.maxInstanceAttempts ?? Plans.defaults.pool.fallback.maxInstanceAttempts
      }
    ]
  })

/**
 * The tiers of a pool: the echelons of its task groups, merged by priority, lowest number first. An instance
 * that two echelons of a tier name stands once, as the first of them says.
 *
 * @since 0.1.0
 * @category combinators
 */
export const merge = (
  echelons: ReadonlyArray<{ readonly plan: Plan.Echelon; readonly members: ReadonlyArray<Member.Member> }>,
  plan: Plan.Pool
): Tiers.Options["tiers"] => {
  const byPriority = new Map<number, Array<(typeof echelons)[number]>>()
  for (const echelon of echelons) {
    const rank = byPriority.get(echelon.plan.priority)
    if (rank === undefined) byPriority.set(echelon.plan.priority, [echelon])
    else rank.push(echelon)
  }
  return [...byPriority.entries()]
    .sort(([a], [b]) => a - b)
    .map(([, rank]) => {
      const members = new Map<string, Member.Member>()
      for (const member of rank.flatMap((echelon) => echelon.members)) {
        if (!members.has(member.id)) members.set(member.id, member)
      }
      return {
        members: [...members.values()],
        maxRetries: Math.max(...rank.map((echelon) => echelon.plan.maxRetries)),
        maxInstances: plan.fallback.strategy === "none" ? 1 : plan.fallback.maxInstanceAttempts
      }
    })
}
