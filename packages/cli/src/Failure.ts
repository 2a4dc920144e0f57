/**
 * How a command fails: what it has said is said, and the exit code tells failed (1) from wrong use (2).
 *
 * @since 0.1.0
 */
import type * as LlmError from "@echelon/core/LlmError"
import type * as Route from "@echelon/core/Route"
import * as Data from "effect/Data"
import * as Runtime from "effect/Runtime"

/**
 * A command that failed after it has told why.
 *
 * @since 0.1.0
 * @category errors
 */
export class Failure extends Data.TaggedError("Failure")<{ readonly exitCode: 1 | 2 }> {
  override readonly [Runtime.errorReported] = false
  override readonly [Runtime.errorExitCode] = this.exitCode
}

/**
 * The JSON form of a route entry.
 *
 * @since 0.1.0
 * @category models
 */
export const routeJson = (route: Route.Route) =>
  route.map(({ elapsedMs, instance, outcome, reason }) => ({ instance, outcome, reason: reason ?? null, elapsedMs }))

/**
 * The JSON form of a failed call.
 *
 * @since 0.1.0
 * @category getters
 */
export const errorJson = (error: LlmError.LlmError) => ({
  error: {
    reason: error.reason._tag,
    message: error.message,
    retryAt: error.retryAt === undefined ? null : new Date(error.retryAt).toISOString(),
    route: routeJson(error.route ?? [])
  }
})

/**
 * A route in lines for a person.
 *
 * @since 0.1.0
 * @category getters
 */
export const routeLines = (route: Route.Route): ReadonlyArray<string> =>
  route.map((entry, i) => {
    const end = entry.outcome === "failed" ? `failed (${entry.reason})` : entry.outcome
    return `  ${i + 1}. ${entry.instance} (${entry.model}) ${end} after ${Math.round(entry.elapsedMs)} ms`
  })
