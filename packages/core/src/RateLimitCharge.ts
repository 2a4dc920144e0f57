/**
 * What an attempt is charged when it has ended: the one table of what a provider has counted.
 *
 * Where nobody can know, it counts: a limit that refunds too much earns a 429, one that keeps too much loses a
 * little of a minute.
 *
 * @since 0.1.0
 */
import type * as Attempt from "./Attempt.ts"
import type * as Reason from "./Reason.ts"
import type * as Usage from "./Usage.ts"

/**
 * What a provider has counted of an attempt: nothing, the request without tokens, or the request with the
 * estimate.
 *
 * @since 0.1.0
 * @category models
 */
export type Counted = "nothing" | "request" | "estimate"

/**
 * What a failure before any output has cost.
 *
 * **Details** Nothing, when the request never arrived, or nobody was known to count it for. The request, when it
 * was refused for what it is: providers count failed requests (OpenAI says so), but no model ran. All of it, when
 * it arrived and no one can tell how far it came: OpenAI takes the tokens when it admits a request.
 *
 * @since 0.1.0
 * @category getters
 */
export const counted = (reason: Reason.Reason): Counted => {
  switch (reason._tag) {
    case "Network":
      // A connection that was never made carried nothing; one that broke may have carried all of it.
      return reason.kind === "reset" || reason.kind === "other" ? "estimate" : "nothing"
    case "Authentication":
    case "QueueFull":
    case "NoCapacity":
    case "BudgetExhausted":
    case "UnknownTarget":
      return "nothing"
    case "QuotaExhausted":
    case "ModelNotFound":
    case "ContextLength":
    case "InvalidRequest":
      return "request"
    case "RateLimited":
    case "Overloaded":
    case "ProviderError":
    case "Timeout":
    case "ContentPolicy":
    case "MalformedOutput":
    case "Unknown":
    case "Cancelled":
    case "DeadlineExceeded":
      return "estimate"
  }
}

/**
 * What to charge: nothing (`refund`), so many tokens, or the estimate (`undefined`).
 *
 * @since 0.1.0
 * @category models
 */
export type Charge = "refund" | number | undefined

/**
 * The tokens of a usage, when both figures are known.
 *
 * @since 0.1.0
 * @category getters
 */
export const tokensOf = (usage: Usage.Usage): number | undefined =>
  usage.inputTokens === undefined || usage.outputTokens === undefined
    ? undefined
    : usage.inputTokens + usage.outputTokens

/**
 * What the end of an attempt costs.
 *
 * **Details** A completed one its usage; one that broke or was left after commit the estimate, for the model ran.
 * One that was left before commit has probably arrived: the estimate.
 *
 * @since 0.1.0
 * @category getters
 */
export const of = (
  outcome: Attempt.Outcome,
  isCommitted: boolean,
  table: (reason: Reason.Reason) => Counted = counted
): Charge => {
  if (outcome._tag === "Completed") return tokensOf(outcome.usage)
  if (outcome._tag === "Cancelled" || isCommitted) return undefined
  switch (table(outcome.error.reason)) {
    case "nothing":
      return "refund"
    case "request":
      return 0
    case "estimate":
      return undefined
  }
}
