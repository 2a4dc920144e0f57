/**
 * Checks of clocks, waits, counts of attempts, breakers and hedges that contradict one another.
 *
 * @since 0.1.0
 */
import * as Plans from "@echelon/core/Plans"
import type * as CheckContext from "./CheckContext.ts"
import type * as Origin from "./Origin.ts"
import type * as PlanTiers from "./PlanTiers.ts"
import * as Wording from "./Wording.ts"
import * as WorstCase from "./WorstCase.ts"

type Check = (context: CheckContext.Context) => void

const { seconds } = Wording

/** The clocks of an echelon: one that another always forestalls never runs out. */
const checkEchelons: Check = (context) => {
  for (const placed of context.echelons.values()) {
    const { clocks } = placed.echelon
    const at = context.echelonPath(placed)
    const key = (name: string): Origin.Path => [...at, name]
    if (clocks.ttft !== undefined && clocks.ttft > clocks.attempt) {
      const message = `${seconds(clocks.ttft)} never run out: timeout = ${seconds(clocks.attempt)} ends an attempt before`
      context.warn("clocks", [key("ttft_timeout")], message)
    }
    if (clocks.stream !== undefined && clocks.idle > clocks.stream) {
      const message = `${seconds(clocks.idle)} never run out: stream_timeout = ${seconds(clocks.stream)} ends a stream before`
      context.warn("clocks", [key("idle_timeout")], message)
    }
    if (clocks.stream !== undefined && clocks.stream < (clocks.ttft ?? clocks.attempt)) {
      const [name, limit] =
        clocks.ttft === undefined ? ["timeout", clocks.attempt] : (["ttft_timeout", clocks.ttft] as const)
      const message = `ends a stream after ${seconds(clocks.stream)}, when its first output may still come: ${name} = ${seconds(limit)}`
      context.warn("clocks", [key("stream_timeout")], message)
    }
  }
}

/** The waits and breakers of a group. */
const checkGroups: Check = (context) => {
  for (const group of Object.values(context.plan.groups)) {
    const { breaker, retryDelay, retryMaxDelay } = group.fallback
    const at = [...context.path("groups", group.name), "fallback_config"]
    const key = (name: string): Origin.Path => [...at, "circuit_breaker", name]
    if (retryMaxDelay < retryDelay) {
      const message = `retry_max_delay = ${seconds(retryMaxDelay)} is below retry_delay = ${seconds(retryDelay)}: no wait reaches retry_delay`
      context.warn(
        "clocks",
        [
          [...at, "retry_max_delay"],
          [...at, "retry_delay"]
        ],
        message
      )
    }
    if (breaker.recoveryTime > breaker.maxRecoveryTime) {
      const message = `recovery_time = ${seconds(breaker.recoveryTime)} is above max_recovery_time = ${seconds(breaker.maxRecoveryTime)}`
      context.warn("clocks", [key("recovery_time"), key("max_recovery_time")], message)
    }
    if (breaker.halfOpenRequests > breaker.failureThreshold) {
      const message = `half_open_requests = ${breaker.halfOpenRequests} is above failure_threshold = ${breaker.failureThreshold}: more requests test an instance than failures put it out`
      context.warn("attempts", [key("half_open_requests"), key("failure_threshold")], message)
    }
    const slowest = group.echelons.reduce((most, { clocks }) => Math.max(most, clocks.ttft ?? clocks.attempt), 0)
    if (breaker.slowCall !== undefined && group.echelons.length > 0 && breaker.slowCall >= slowest) {
      const message = `no answer is that slow: every attempt of the group has given first output within ${seconds(slowest)}, or has failed`
      context.warn("clocks", [key("slow_call")], message)
    }
    if (breaker.slowCall === undefined && breaker.slowRate !== Plans.defaults.breaker.slowRate) {
      context.warn("unused", [key("slow_rate")], "counts nothing: slow_call does not say what slow is")
    }
  }
}

/** How many attempts are stated, against how many there can be. */
const checkAttempts: Check = (context) => {
  for (const [name, { tiers }] of context.groupWalks) {
    const group = context.plan.groups[name]
    if (group === undefined) continue
    const { maxAttempts, maxTotalAttempts, strategy } = group.fallback
    const at = [...context.path("groups", name), "fallback_config"]
    if (maxAttempts > tiers.length) {
      const why = strategy === "none" ? ': with strategy = "none" one is tried' : ""
      const message = `${maxAttempts} echelons may be tried, and there ${tiers.length === 1 ? "is" : "are"} ${tiers.length}${why}`
      context.warn("attempts", [[...at, "max_attempts"]], message)
    }
    const tried = Math.min(maxAttempts, tiers.length)
    if (maxTotalAttempts !== undefined && maxTotalAttempts < tried) {
      const message = `ends a request after ${Wording.count(maxTotalAttempts, "attempt")}, before it has been in each of ${Wording.count(tried, "echelon")}`
      context.warn("attempts", [[...at, "max_total_attempts"]], message)
    }
  }
  for (const pool of Object.values(context.plan.pools)) {
    const tiers = context.poolWalks.get(pool.name)?.tiers ?? []
    const largest = tiers.reduce((most, rank) => Math.max(most, instancesOf(rank).size), 0)
    const key = [...context.path("polling_pools", pool.name), "fallback_config", "max_instance_attempts"]
    const { maxInstanceAttempts, strategy } = pool.fallback
    if (strategy === "none") {
      if (maxInstanceAttempts > 1)
        context.warn("attempts", [key], 'never used: with strategy = "none" one instance is tried')
    } else if (maxInstanceAttempts > largest && largest > 0) {
      const message = `${maxInstanceAttempts} different instances of a tier may be tried, and no tier has more than ${largest}`
      context.warn("attempts", [key], message)
    }
  }
}

const instancesOf = (rank: ReadonlyArray<PlanTiers.Placed>): ReadonlySet<string> =>
  new Set(rank.flatMap(({ echelon }) => echelon.instances))

/** A hedge needs somebody else to ask, an attempt left to spend, and time. */
const checkHedges: Check = (context) => {
  for (const placed of context.echelons.values()) {
    const { clocks, hedge, instances, maxRetries } = placed.echelon
    if (hedge === undefined || hedge.budget === 0) continue
    const at = [...context.echelonPath(placed), "hedge"]
    const beside = [...context.poolWalks.values()]
      .flatMap(({ tiers }) => tiers)
      .some((rank) => rank.some(({ name }) => name === placed.name) && instancesOf(rank).size > 1)
    if (instances.length < 2 && !beside) {
      context.warn("attempts", [at], "never used: there is no second instance to ask")
      continue
    }
    if (maxRetries === 0) {
      context.warn("attempts", [at], "never used: a hedge is a second attempt, and max_retries = 0 allows one")
    }
    const ends = Math.min(clocks.attempt, clocks.ttft ?? Number.POSITIVE_INFINITY)
    if (hedge.minDelay >= ends) {
      const message = `no hedge starts before ${seconds(hedge.minDelay)}, and an attempt without output ends after ${seconds(ends)}`
      context.warn("clocks", [[...at, "min_delay"], at], message)
    }
  }
}

/** A deadline that cuts what the target's attempts may take. */
const checkDeadlines: Check = (context) => {
  for (const { name, requestTimeout, target } of Object.values(context.plan.wrappers)) {
    if (requestTimeout === undefined) continue
    const worst = WorstCase.of(context.plan, { kind: "wrapper", name })
    if (worst === undefined || worst.attemptTime <= requestTimeout) continue
    const sum = worst.tiers
      .filter(({ attempts }) => attempts > 0)
      .map(({ attempts, timeout }) => `${attempts} x ${seconds(timeout)}`)
      .join(" + ")
    const most = worst.maxTotalAttempts === undefined ? "" : `, at most ${worst.maxTotalAttempts} attempts`
    const message = `${seconds(requestTimeout)} may end a request before its attempts do: timeout x attempts of the ${target.kind} "${target.name}" is ${seconds(worst.attemptTime)} (${sum}${most})`
    context.warn("clocks", [[...context.path("wrappers", name), "performance", "request_timeout"]], message)
  }
}

/**
 * Runs the checks.
 *
 * @since 0.1.0
 * @category checks
 */
export const check: Check = (context) => {
  for (const one of [checkEchelons, checkGroups, checkAttempts, checkHedges, checkDeadlines]) one(context)
}
