/**
 * An explanation as JSON: times in milliseconds, absent values as `null`.
 *
 * @since 0.1.0
 */
import type * as Listing from "@echelon/config/Listing"
import * as Origin from "@echelon/config/Origin"
import type * as Clocks from "@echelon/core/Clocks"
import * as Explain from "@echelon/core/Explain"

const clocks = ({ attempt, consumerIdle, idle, stream, ttft }: Clocks.Clocks) => ({
  timeoutMs: attempt,
  ttftTimeoutMs: ttft ?? null,
  idleTimeoutMs: idle,
  streamTimeoutMs: stream ?? null,
  consumerIdleTimeoutMs: consumerIdle
})

const reason = (told: Explain.Reason) => {
  const { _tag, ...data } = told
  const dated = "until" in data ? { until: data.until === undefined ? null : new Date(data.until).toISOString() } : {}
  return { reason: _tag, message: Explain.describe(told), ...data, ...dated }
}

const member = ({ verdict, ...told }: Explain.Member) => ({
  instance: told.instance,
  provider: told.provider ?? null,
  model: told.model ?? null,
  echelon: told.echelon ?? null,
  verdict: verdict._tag === "Asked" ? "asked" : "passed_over",
  reasons: verdict._tag === "Asked" ? [] : verdict.reasons.map(reason),
  rank: told.rank ?? null,
  weight: told.weight,
  clocks: clocks(told.clocks)
})

/**
 * The JSON form of an explanation.
 *
 * @since 0.1.0
 * @category getters
 */
export const of = (found: Explain.Explanation) => {
  const { target, wrapper } = found
  return {
    target: target.kind === "client" ? { ...target, model: target.model ?? null } : target,
    by: found.by,
    through: found.through,
    wrapper:
      wrapper === undefined
        ? null
        : {
            name: wrapper.name,
            requestTimeoutMs: wrapper.requestTimeout ?? null,
            maxConcurrentRequests: wrapper.maxConcurrentRequests ?? null,
            queueSize: wrapper.queueSize
          },
    deadlineMs: found.deadline ?? null,
    maxTiers: found.maxTiers ?? null,
    maxTotalAttempts: found.maxTotalAttempts ?? null,
    tiers: found.tiers.map((tier) => ({
      echelons: tier.echelons,
      rotation: tier.rotation,
      order: tier.order,
      maxRetries: tier.maxRetries,
      maxInstances: tier.maxInstances ?? null,
      shareMs: tier.share ?? null,
      isPinned: tier.isPinned,
      members: tier.members.map(member)
    })),
    outside: found.outside
  }
}

/**
 * The JSON form of a value with where it comes from.
 *
 * @since 0.1.0
 * @category getters
 */
export const value = ({ origin, path, value: shown }: Listing.Entry) => ({
  key: Origin.formatPath(path),
  value: shown,
  source: origin === undefined ? "default" : origin._tag === "File" ? "file" : "variable",
  file: origin?._tag === "File" ? origin.file : null,
  line: origin?._tag === "File" ? origin.line : null,
  column: origin?._tag === "File" ? origin.column : null,
  variable: origin?._tag === "Variable" ? origin.name : null
})
