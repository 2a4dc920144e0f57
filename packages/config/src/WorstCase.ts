/**
 * What one request may cost at most: attempts, time until commit, and money.
 *
 * A bound, not a forecast: every attempt fails at the end of its clock, every repeat waits its longest once, every
 * attempt is charged in full. The parts of each sum are kept, so that a reader can follow it.
 *
 * @since 0.1.0
 */
import * as ExplainTiers from "@echelon/core/ExplainTiers"
import type * as Plan from "@echelon/core/Plan"
import * as PlanTiers from "./PlanTiers.ts"
import * as Wording from "./Wording.ts"

/**
 * The request that money is counted for.
 *
 * @since 0.1.0
 * @category models
 */
export interface Assumed {
  /** @default 1000 */
  readonly inputTokens: number
  /**
   * What the request asks for. @default `max_tokens` of the echelon, else the model's `max_output_tokens`, else
   * `unstatedOutput`
   */
  readonly outputTokens: number | undefined
  /** Of a model of which nothing is known. @default 1024 */
  readonly unstatedOutput: number
}

/**
 * What is assumed when nothing is said.
 *
 * @since 0.1.0
 * @category models
 */
export const assumed: Assumed = { inputTokens: 1_000, outputTokens: undefined, unstatedOutput: 1_024 }

/**
 * One tier's part. Times are milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tier {
  /** `group.echelonN`, several of a pool's tier joined by ` + `. */
  readonly name: string
  /** Those that have a credential. */
  readonly instances: ReadonlyArray<string>
  /** 1 + `max_retries`; 0 without an instance. */
  readonly attempts: number
  /** One attempt until commit: the longest `timeout` of the tier. */
  readonly timeout: number
  /** All waits before repeats: each the larger of its backoff and `max_retry_after_wait`. */
  readonly waits: number
  /** `attempts` x `timeout` + `waits`. */
  readonly time: number
  /** USD, at the dearest instance; `undefined` when a price is not known. */
  readonly attemptCost: number | undefined
}

/**
 * The worst case of one request. Times are milliseconds; `Infinity` never occurs.
 *
 * @since 0.1.0
 * @category models
 */
export interface WorstCase {
  readonly target: PlanTiers.Target
  readonly tiers: ReadonlyArray<Tier>
  /** Tiers in which an attempt may be made, when that is fewer than there are. */
  readonly maxTiers: number | undefined
  /** `max_total_attempts`, when it cuts. */
  readonly maxTotalAttempts: number | undefined
  /** `request_timeout` of the wrapper, whether it cuts or not. */
  readonly requestTimeout: number | undefined
  readonly attempts: number
  /** Attempts x `timeout` alone, without waits and before `request_timeout` cuts. */
  readonly attemptTime: number
  /** With waits, before `request_timeout` cuts. */
  readonly uncutTime: number
  /** Until commit. Without `request_timeout` the wait in a wrapper's queue is not in it. */
  readonly time: number
  /** USD; `undefined` when a price is not known. */
  readonly cost: number | undefined
  /** Instances without prices. */
  readonly unpriced: ReadonlyArray<string>
  readonly assumed: Assumed
}

/** So many attempts of equal weight. */
interface Run {
  readonly value: number
  readonly count: number
}

const total = (runs: ReadonlyArray<Run>): number => runs.reduce((sum, { count, value }) => sum + count * value, 0)

/**
 * The most that runs can add up to when only `maxTiers` tiers and `maxAttempts` attempts count. Whichever tiers a
 * request is kept from, the rest is no more than this.
 */
const most = (tiers: ReadonlyArray<ReadonlyArray<Run>>, maxTiers: number, maxAttempts: number): number => {
  const byTier = tiers
    .map(total)
    .sort((a, b) => b - a)
    .slice(0, maxTiers)
    .reduce((sum, one) => sum + one, 0)
  let left = maxAttempts
  let byAttempt = 0
  for (const { count, value } of tiers.flat().sort((a, b) => b.value - a.value)) {
    const taken = Math.min(left, count)
    byAttempt += taken * value
    left -= taken
  }
  return Math.min(byTier, byAttempt)
}

/** The longest waits before repeats of one tier, in order. */
const waitsOf = (repeats: number, base: number, cap: number, retryAfter: number): ReadonlyArray<Run> => {
  const runs: Array<Run> = []
  const last = Math.max(cap, retryAfter)
  let left = repeats
  let backoff = base
  while (left > 0) {
    // The backoff doubles up to its cap, and never grows from 0.
    const value = Math.max(Math.min(backoff, cap), retryAfter)
    const isLast = value >= last || backoff === 0
    runs.push({ value, count: isLast ? left : 1 })
    left -= isLast ? left : 1
    backoff *= 2
  }
  return runs
}

const attemptCost = (
  instances: ReadonlyArray<readonly [Plan.Instance, Plan.Echelon]>,
  { inputTokens, outputTokens, unstatedOutput }: Assumed
): number | undefined => {
  let dearest = 0
  for (const [{ model }, echelon] of instances) {
    const { prices } = model
    if (prices === undefined) return undefined
    const output =
      outputTokens ?? echelon.settings.maxOutputTokens ?? model.capabilities.maxOutputTokens ?? unstatedOutput
    dearest = Math.max(dearest, (inputTokens * prices.input + output * prices.output) / 1_000_000)
  }
  return dearest
}

interface Measured {
  readonly tier: Tier
  readonly waits: ReadonlyArray<Run>
}

const measure = (
  plan: Plan.Root,
  rank: ReadonlyArray<PlanTiers.Placed>,
  before: ReadonlySet<string>,
  what: Assumed
) => {
  const live = rank.flatMap(({ echelon }) =>
    echelon.instances.flatMap((name) => {
      const instance = ExplainTiers.find(plan.instances, name)
      return instance === undefined ? [] : [[instance, echelon] as const]
    })
  )
  const instances = [...new Set(live.map(([{ name }]) => name))]
  const max = (of: (placed: PlanTiers.Placed) => number): number =>
    rank.reduce((largest, placed) => Math.max(largest, of(placed)), 0)
  const attempts = live.length === 0 ? 0 : 1 + max(({ echelon }) => echelon.maxRetries)
  const timeout = max(({ echelon }) => echelon.clocks.attempt)
  // The first attempt of a tier waits too when an earlier tier has asked the same instance.
  const repeats = instances.some((name) => before.has(name)) ? attempts : Math.max(0, attempts - 1)
  const waits = waitsOf(
    repeats,
    max(({ group }) => group.fallback.retryDelay),
    max(({ group }) => group.fallback.retryMaxDelay),
    max(({ group }) => group.fallback.maxRetryAfterWait)
  )
  const tier: Tier = {
    name: rank.map(({ name }) => name).join(" + "),
    instances,
    attempts,
    timeout,
    waits: total(waits),
    time: attempts * timeout + total(waits),
    attemptCost: attemptCost(live, what)
  }
  return { tier, waits } satisfies Measured
}

/**
 * The worst case of a request to a target; `undefined` when there is no such target.
 *
 * **Details** Attempts: the sum of 1 + `max_retries` over the tiers tried, cut by `max_attempts` and
 * `max_total_attempts`. Time: attempts x `timeout` and the waits before repeats, cut by the wrapper's
 * `request_timeout`. Money: attempts x the dearest instance of the tier. Where a cut leaves a choice of tiers, each of
 * the three counts those that are worst for it. Instances without a credential count nowhere.
 *
 * @example
 * ```ts
 * import { WorstCase } from "@echelon/config"
 * import { Plans } from "@echelon/core"
 *
 * const local = Plans.provider({ name: "local", kind: "ollama" })
 * const small = Plans.instance({ provider: local, alias: "small", model: Plans.model({ model: "llama3.2" }) })
 * const plan = Plans.root({
 *   instances: [small],
 *   groups: [Plans.group("chat", [Plans.echelon("chat", 1, ["local-small"], { maxRetries: 3 })])]
 * })
 * console.assert(WorstCase.of(plan, { kind: "group", name: "chat" })?.attempts === 4)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (
  plan: Plan.Root,
  target: PlanTiers.Target,
  options: Partial<Assumed> = {}
): WorstCase | undefined => {
  const walk = PlanTiers.of(plan, target)
  if (walk === undefined) return undefined
  const what: Assumed = { ...assumed, ...options }
  const before = new Set<string>()
  const measured: Array<Measured> = []
  for (const rank of walk.tiers) {
    const one = measure(plan, rank, before, what)
    measured.push(one)
    for (const name of one.tier.instances) before.add(name)
  }
  const tiers = measured.map(({ tier }) => tier)
  const asked = tiers.filter(({ attempts }) => attempts > 0)
  const sum = asked.reduce((all, { attempts }) => all + attempts, 0)
  const maxTiers = walk.maxTiers < asked.length ? walk.maxTiers : undefined
  const maxTotalAttempts =
    walk.maxTotalAttempts !== undefined && walk.maxTotalAttempts < sum ? walk.maxTotalAttempts : undefined
  const bound = (runsOf: (measured: Measured) => ReadonlyArray<Run>): number =>
    most(measured.map(runsOf), walk.maxTiers, walk.maxTotalAttempts ?? Number.POSITIVE_INFINITY)

  const uncutTime = bound(({ tier: { attempts, timeout }, waits }) => {
    const waiting = waits.reduce((all, { count }) => all + count, 0)
    return [
      ...waits.map(({ count, value }) => ({ count, value: value + timeout })),
      { value: timeout, count: attempts - waiting }
    ]
  })
  const wrapper = target.kind === "wrapper" ? ExplainTiers.find(plan.wrappers, target.name) : undefined
  const requestTimeout = wrapper?.requestTimeout
  const isPriced = asked.every((tier) => tier.attemptCost !== undefined)
  const unpriced = [...before].filter((name) => ExplainTiers.find(plan.instances, name)?.model.prices === undefined)
  return {
    target,
    tiers,
    maxTiers,
    maxTotalAttempts,
    requestTimeout,
    attempts: bound(({ tier }) => [{ value: 1, count: tier.attempts }]),
    attemptTime: bound(({ tier }) => [{ value: tier.timeout, count: tier.attempts }]),
    uncutTime,
    time: Math.min(uncutTime, requestTimeout ?? Number.POSITIVE_INFINITY),
    cost: isPriced ? bound(({ tier }) => [{ value: tier.attemptCost ?? 0, count: tier.attempts }]) : undefined,
    unpriced,
    assumed: what
  }
}

/**
 * The worst cases of everything that a request may name: wrappers, pools, then groups.
 *
 * @since 0.1.0
 * @category constructors
 */
export const all = (plan: Plan.Root, options: Partial<Assumed> = {}): ReadonlyArray<WorstCase> =>
  (
    [
      ["wrapper", plan.wrappers],
      ["pool", plan.pools],
      ["group", plan.groups]
    ] as const
  ).flatMap(([kind, named]) => Object.keys(named).flatMap((name) => of(plan, { kind, name }, options) ?? []))

/**
 * The sums behind a worst case, each in one line.
 *
 * @since 0.1.0
 * @category models
 */
export interface Formula {
  readonly attempts: string
  readonly time: string
  readonly cost: string
}

/**
 * Writes the sums behind a worst case: `4 + 4 + 3 = 11`.
 *
 * @since 0.1.0
 * @category getters
 */
export const formula = (worst: WorstCase): Formula => {
  const asked = worst.tiers.filter(({ attempts }) => attempts > 0)
  const sum = (part: (tier: Tier) => number): number => asked.reduce((all, tier) => all + part(tier), 0)
  const parts = (part: (tier: Tier) => string): string => (asked.length === 0 ? "0" : asked.map(part).join(" + "))
  const keys = [
    ...(worst.maxTiers === undefined ? [] : [`at most ${Wording.count(worst.maxTiers, "echelon")}`]),
    ...(worst.maxTotalAttempts === undefined ? [] : [`max_total_attempts = ${worst.maxTotalAttempts}`])
  ]
  const cut = (value: string): string => (keys.length === 0 ? "" : `, cut to ${value} by ${keys.join(" and ")}`)
  const { seconds, usd } = Wording
  const isLate = worst.time < worst.uncutTime
  return {
    attempts: `${parts(({ attempts }) => String(attempts))} = ${sum(({ attempts }) => attempts)}${cut(String(worst.attempts))}`,
    time: `${parts(({ attempts, timeout }) => `${attempts} x ${seconds(timeout)}`)} + ${seconds(sum(({ waits }) => waits))} of waits = ${seconds(sum(({ time }) => time))}${cut(seconds(worst.uncutTime))}${isLate ? `, cut to ${seconds(worst.time)} by request_timeout` : ""}`,
    cost:
      worst.cost === undefined
        ? `unknown: no price of ${Wording.list(worst.unpriced)}`
        : `${parts(({ attemptCost, attempts }) => `${attempts} x ${usd(attemptCost ?? 0)}`)} = ${usd(sum(({ attemptCost, attempts }) => attempts * (attemptCost ?? 0)))}${cut(usd(worst.cost))}`
  }
}
