/**
 * Tiers of members, asked one after another until one answers: the engine behind pools and task groups.
 *
 * `TiersEngine` holds what all requests share. One request is a `TiersWalk`: at each step it asks its `TiersGate` who
 * can be asked, lets `Failover` decide what is tried next and `TiersPick` whom the rotation takes.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Capability from "./Capability.ts"
import type * as Llm from "./Llm.ts"
import * as TiersEngine from "./TiersEngine.ts"
import { Walk } from "./TiersWalk.ts"

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = TiersEngine.Options

/**
 * Makes an `Llm` of tiers.
 *
 * **Errors** The first cause of the last tier attempted, with the whole route and the earliest `retryAt`.
 * `NoCapacity` when every member is cooling, `InvalidRequest` when no member can do what the request needs,
 * `DeadlineExceeded` and `BudgetExhausted` when those ran out before anything was asked.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<Llm.Llm> =>
  Effect.sync(() => {
    const engine = TiersEngine.make(options)
    return {
      id: options.id,
      capabilities: Capability.unknown,
      call: (request) =>
        Effect.withFiber((fiber) => {
          if (options.maxTotalAttempts !== undefined) request.budget.limit(options.maxTotalAttempts)
          const random = fiber.getRef(Random.Random)
          const walk = new Walk(engine, { ...request, attempt: undefined }, fiber.getRef(Clock.Clock), () =>
            random.nextDoubleUnsafe()
          )
          return options.registry === undefined ? walk.step() : options.registry.lifecycle.counted(walk.step())
        })
    }
  })
