/**
 * Checks of limits that contradict one another: rates, requests at a time, tokens.
 *
 * @since 0.1.0
 */
import type * as Plan from "@echelon/core/Plan"
import * as CheckContext from "./CheckContext.ts"
import type * as PlanTiers from "./PlanTiers.ts"
import * as Wording from "./Wording.ts"

type Check = (context: CheckContext.Context) => void

/** Requests a minute that a pool lets in for as long as it lasts, and the key that says so. */
const rateOf = (
  rateLimit: NonNullable<Plan.Pool["rateLimit"]>
): { readonly perMinute: number; readonly key: ReadonlyArray<string>; readonly stated: string } =>
  rateLimit.algorithm === "token_bucket"
    ? {
        perMinute: rateLimit.refillRate * 60,
        key: ["token_bucket", "refill_rate"],
        stated: `refill_rate = ${Wording.number(rateLimit.refillRate)}`
      }
    : {
        perMinute: (rateLimit.limit / rateLimit.window) * 60_000,
        key: ["sliding_window", "limit"],
        stated: `limit = ${rateLimit.limit} in ${Wording.seconds(rateLimit.window)}`
      }

/** What a tier grants a minute; `undefined` when one of its echelons has no limit. */
const grants = (rank: ReadonlyArray<PlanTiers.Placed>): number | undefined =>
  rank.reduce<number | undefined>(
    (sum, { echelon }) =>
      sum === undefined || echelon.limits.rpm === undefined ? undefined : sum + echelon.limits.rpm,
    0
  )

/** A pool that lets in more than an echelon takes: the rest falls to the next, or is refused. */
const checkRates: Check = (context) => {
  for (const pool of Object.values(context.plan.pools)) {
    if (pool.rateLimit === undefined) continue
    const { key, perMinute, stated } = rateOf(pool.rateLimit)
    const tiers = context.poolWalks.get(pool.name)?.tiers ?? []
    const low = tiers.find((rank) => (grants(rank) ?? Number.POSITIVE_INFINITY) < perMinute)
    const lowest = low?.[0]
    if (low === undefined || lowest === undefined) continue
    const all = tiers.map(grants)
    const sum = all.some((one) => one === undefined) ? undefined : all.reduce<number>((a, b) => a + (b ?? 0), 0)
    const letsIn = `the pool "${pool.name}" lets in ${Wording.number(perMinute)} requests a minute (${stated})`
    const takes = `${low.map(({ name }) => name).join(" and ")} ${low.length === 1 ? "takes" : "take"} ${grants(low)}`
    const rest =
      sum === undefined || sum >= perMinute
        ? "the rest goes to other echelons at once"
        : `all its echelons together take ${sum}, and the rest is refused or waits`
    context.warn(
      "limits",
      [
        [...context.echelonPath(lowest), "rpm_limit"],
        [...context.path("polling_pools", pool.name), "rate_limiting", ...key]
      ],
      `${letsIn}, and ${takes}: ${rest}`
    )
  }
}

/** A bucket that cannot grant at once what an echelon could take at once. */
const checkBuckets: Check = (context) => {
  for (const pool of Object.values(context.plan.pools)) {
    if (pool.rateLimit?.algorithm !== "token_bucket") continue
    const { bucketSize } = pool.rateLimit
    const placed = (context.poolWalks.get(pool.name)?.tiers ?? [])
      .flat()
      .find(({ echelon }) => (echelon.limits.concurrency ?? 0) > bucketSize)
    if (placed === undefined) continue
    const message = `grants ${Wording.count(bucketSize, "request")} at once, fewer than ${placed.name} may have under way (concurrency_limit = ${placed.echelon.limits.concurrency})`
    const at = [...context.path("polling_pools", pool.name), "rate_limiting", "token_bucket", "bucket_size"]
    context.warn("limits", [at], message)
  }
}

/** Where all ways in are wrappers, an echelon's own limit may lie beyond what they let through. */
const checkConcurrency: Check = (context) => {
  const { plan, poolWalks, groupWalks, warn } = context
  const wrappers = Object.values(plan.wrappers)
  const fronts = (kind: "pool" | "group", name: string): ReadonlyArray<Plan.Wrapper> =>
    wrappers.filter(({ target }) => target.kind === kind && target.name === name)
  for (const placed of context.echelons.values()) {
    const { echelon, group } = placed
    const limit = echelon.limits.concurrency
    // A hedged request has two attempts under way.
    if (limit === undefined || echelon.hedge !== undefined) continue
    const holds = ([, walk]: readonly [string, PlanTiers.Walk]) =>
      walk.tiers.flat().some(({ name }) => name === placed.name)
    const pools = [...poolWalks].filter(holds).map(([name]) => fronts("pool", name))
    const groups = [...groupWalks]
      .filter(holds)
      .map(([name]) => ({ name, fronts: fronts("group", name) }))
      // Of a group in a pool nobody expects that it is called by itself.
      .filter(({ fronts: found, name }) => found.length > 0 || (name === group.name && pools.length === 0))
      .map(({ fronts: found }) => found)
    const ways = [...pools, ...groups]
    if (ways.length === 0 || ways.some((found) => found.length === 0)) continue
    const through = [...new Set(ways.flat())]
    const most = through.reduce((sum, wrapper) => sum + (wrapper.maxConcurrentRequests ?? Number.POSITIVE_INFINITY), 0)
    if (limit <= most) continue
    const names = through.map(({ name }) => `"${name}"`)
    const message = `never reached: the ${names.length === 1 ? "wrapper" : "wrappers"} ${Wording.list(names)} ${names.length === 1 ? "lets" : "let"} through ${Wording.count(most, "request")} at a time (max_concurrent_requests)`
    warn("limits", [[...context.echelonPath(placed), "concurrency_limit"]], message)
  }
}

/** Limits of tokens that one request's output alone exceeds, and outputs that a model cannot give. */
const checkTokens: Check = (context) => {
  const told = new Set<string>()
  for (const placed of context.echelons.values()) {
    const output = placed.echelon.settings.maxOutputTokens
    if (output === undefined) continue
    const at = context.echelonPath(placed)
    const { tpm } = placed.echelon.limits
    if (tpm !== undefined && tpm < output) {
      const message = `a request that asks for the echelon's max_tokens = ${output} is larger than this limit ever grants`
      context.warn(
        "limits",
        [
          [...at, "tpm_limit"],
          [...at, "max_tokens"]
        ],
        message
      )
    }
    const models = CheckContext.modelsOf(context, [placed])
    for (const { alias, model, provider } of models) {
      const key = [...context.path("provider", provider), "models", alias, "tpm_limit"]
      if (model.limits.tpm === undefined || model.limits.tpm >= output || told.has(key.join("\n"))) continue
      told.add(key.join("\n"))
      const message = `a request that asks for max_tokens = ${output} of ${placed.name} is larger than this limit ever grants`
      context.warn("limits", [key, [...at, "max_tokens"]], message)
    }
    const short = models.filter(({ model: { capabilities } }) => {
      const most = Math.min(
        capabilities.maxOutputTokens ?? Number.POSITIVE_INFINITY,
        capabilities.contextWindow ?? Number.POSITIVE_INFINITY
      )
      return output > most
    })
    if (short.length === 0) continue
    const names = [
      ...new Set(
        short.map(({ instance, model: { capabilities } }) =>
          capabilities.maxOutputTokens !== undefined && output > capabilities.maxOutputTokens
            ? `${instance} (${capabilities.maxOutputTokens})`
            : `${instance} (a window of ${capabilities.contextWindow})`
        )
      )
    ]
    const message = `${output} is more than the model can write: ${Wording.list(names)}; most providers refuse such a request for good`
    context.warn("limits", [[...at, "max_tokens"]], message)
  }
}

/** Answers longer than what a model takes in and puts out together. */
const checkWindows: Check = ({ path, plan, warn }) => {
  for (const provider of Object.values(plan.providers)) {
    for (const [alias, { capabilities }] of Object.entries(provider.models)) {
      const { contextWindow, maxOutputTokens } = capabilities
      if (contextWindow === undefined || maxOutputTokens === undefined || maxOutputTokens <= contextWindow) continue
      const at = [...path("provider", provider.name), "models", alias]
      const message = `max_output_tokens = ${maxOutputTokens} is more than context_window = ${contextWindow}, which counts input and output together`
      warn(
        "limits",
        [
          [...at, "max_output_tokens"],
          [...at, "context_window"]
        ],
        message
      )
    }
  }
}

/** A queue in front of nothing that fills up. */
const checkQueues: Check = (context) => {
  for (const { maxConcurrentRequests, name, queueSize } of Object.values(context.plan.wrappers)) {
    if (queueSize === 0 || maxConcurrentRequests !== undefined) continue
    const message =
      "without max_concurrent_requests nobody waits for a slot; only requests that find every instance full or cooling wait here"
    context.warn("limits", [[...context.path("wrappers", name), "performance", "queue_size"]], message)
  }
}

/**
 * Runs the checks.
 *
 * @since 0.1.0
 * @category checks
 */
export const check: Check = (context) => {
  for (const one of [checkRates, checkBuckets, checkConcurrency, checkTokens, checkWindows, checkQueues]) one(context)
}
