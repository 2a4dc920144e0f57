/**
 * A wrapper: a named front to a pool or a task group with its own time budget.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Llm from "./Llm.ts"
import * as LlmRequest from "./LlmRequest.ts"

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly id: string
  /** The time until commit; it becomes the request's deadline. @default none */
  readonly requestTimeout?: Duration.Input | undefined
}

/**
 * Puts a wrapper in front of an `Llm`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const make: {
  (options: Options): (self: Llm.Llm) => Llm.Llm
  (self: Llm.Llm, options: Options): Llm.Llm
} = dual(
  2,
  (self: Llm.Llm, options: Options): Llm.Llm => ({
    id: options.id,
    capabilities: self.capabilities,
    call: (request) => {
      const { requestTimeout } = options
      return requestTimeout === undefined
        ? self.call(request)
        : Effect.flatMap(Clock.currentTimeMillis, (now) =>
            self.call(LlmRequest.withTimeout(request, requestTimeout, now))
          )
    }
  })
)
