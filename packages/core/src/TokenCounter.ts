/**
 * Who knows better than the letters how many tokens a model counts for a request: asked where limits are reserved and
 * context windows are compared, and told what providers report.
 *
 * A Reference, so that nothing needs it: without one `TokenEstimate` stands as it is. `@echelon/providers` supplies
 * one that is corrected by reported usage, and that knows tokenizers.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Plan from "./Plan.ts"
import type * as TokenEstimate from "./TokenEstimate.ts"

/**
 * Input tokens of a request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Count {
  readonly tokens: number
  /** Whether the provider will count the same. */
  readonly exact: boolean
}

/**
 * Counts for one model. What it does must be cheap: it is asked in the path of each request that a limit of tokens
 * or a context window concerns.
 *
 * @since 0.1.0
 * @category models
 */
export interface Counter {
  /** `estimated` is what `TokenEstimate` gives for the input. */
  readonly count: (request: TokenEstimate.Sized, estimated: number) => Count
  /** What the provider reported that it counted. */
  readonly observe: (request: TokenEstimate.Sized, estimated: number, reported: number) => void
}

/**
 * Counters by instance.
 *
 * @since 0.1.0
 * @category models
 */
export interface TokenCounter {
  /** The counter of an instance, ready to use; `undefined` where the estimate stands. The same for one model. */
  readonly of: (instance: Pick<Plan.Instance, "provider" | "model">) => Effect.Effect<Counter | undefined>
}

/**
 * The counters in use.
 *
 * @default knows none
 * @since 0.1.0
 * @category services
 */
export const TokenCounter = Context.Reference<TokenCounter>("@echelon/core/TokenCounter", {
  defaultValue: () => ({ of: () => Effect.undefined })
})

/**
 * By how much a count may at most exceed the estimate: what fits a window by as much surely fits it.
 *
 * @default 2.5
 * @since 0.1.0
 * @category models
 */
export const maxRatio = 2.5
