/**
 * Limits on requests and tokens, as data, and the state of each.
 *
 * A limit is a token bucket, a sliding window, or what a provider's headers reported. All answer the same four
 * questions: when can so much be had, take it, give it back, how much is taken. `RateLimiter` asks several at
 * once; concurrency, which knows no time, it counts itself.
 *
 * @since 0.1.0
 */
import type * as Plan from "./Plan.ts"
import * as ReportedLimit from "./ReportedLimit.ts"
import * as SlidingWindow from "./SlidingWindow.ts"
import * as TokenBucket from "./TokenBucket.ts"

/**
 * A limit as configured. `name` is unique in its limiter; a resized limit keeps its level by it.
 *
 * **Details** `refillRate` is units a second, `window` milliseconds. A request costs every limit of requests 1,
 * and every limit of tokens what it is thought to need.
 *
 * @since 0.1.0
 * @category models
 */
export type Spec =
  | {
      readonly _tag: "TokenBucket"
      readonly name: string
      readonly of: "requests" | "tokens"
      readonly bucketSize: number
      readonly refillRate: number
    }
  | {
      readonly _tag: "SlidingWindow"
      readonly name: string
      readonly of: "requests" | "tokens"
      readonly limit: number
      readonly window: number
    }
  | { readonly _tag: "Concurrency"; readonly name: string; readonly limit: number }

/**
 * A limit that knows time.
 *
 * @since 0.1.0
 * @category models
 */
export type Timed = Exclude<Spec, { readonly _tag: "Concurrency" }>

/**
 * A limit and its state, owned by one limiter. `name` is the limiter's and the limit's.
 *
 * @since 0.1.0
 * @category models
 */
export type Limit = { readonly name: string; readonly of: "requests" | "tokens" } & (
  | { readonly _tag: "TokenBucket"; readonly state: TokenBucket.State }
  | { readonly _tag: "SlidingWindow"; readonly state: SlidingWindow.State }
  | { readonly _tag: "Reported"; readonly state: ReportedLimit.State }
)

const minute = 60_000
const day = 24 * 60 * minute

/**
 * The limits of an instance or an echelon: sliding windows of a minute and a day, and concurrency.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofLimits = (limits: Plan.Limits): ReadonlyArray<Spec> => {
  const specs: Array<Spec> = []
  const { concurrency, rpd, rpm, tpm } = limits
  if (concurrency !== undefined) specs.push({ _tag: "Concurrency", name: "concurrency", limit: concurrency })
  if (rpm !== undefined) specs.push({ _tag: "SlidingWindow", name: "rpm", of: "requests", limit: rpm, window: minute })
  if (tpm !== undefined) specs.push({ _tag: "SlidingWindow", name: "tpm", of: "tokens", limit: tpm, window: minute })
  if (rpd !== undefined) specs.push({ _tag: "SlidingWindow", name: "rpd", of: "requests", limit: rpd, window: day })
  return specs
}

/**
 * The limit of a pool. It counts requests.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ofPool = (rateLimit: Plan.Pool["rateLimit"]): ReadonlyArray<Spec> => {
  if (rateLimit === undefined) return []
  const common = { name: "rate_limit", of: "requests" } as const
  return rateLimit.algorithm === "token_bucket"
    ? [{ _tag: "TokenBucket", ...common, bucketSize: rateLimit.bucketSize, refillRate: rateLimit.refillRate }]
    : [{ _tag: "SlidingWindow", ...common, limit: rateLimit.limit, window: rateLimit.window }]
}

/**
 * Checks limits that are to stand together.
 *
 * **Errors** A number that is not finite and above zero, a limit under 1 and a name used twice throw
 * `RangeError`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const check = (specs: ReadonlyArray<Spec>): void => {
  const names = new Set<string>()
  for (const spec of specs) {
    if (names.has(spec.name)) throw new RangeError(`RateLimit.check: name must be unique, got ${spec.name} twice`)
    names.add(spec.name)
    if (spec._tag === "TokenBucket") {
      atLeast(spec, "bucketSize", spec.bucketSize, 1)
      atLeast(spec, "refillRate", spec.refillRate, Number.MIN_VALUE)
    } else {
      atLeast(spec, "limit", spec.limit, 1)
      if (spec._tag === "SlidingWindow") atLeast(spec, "window", spec.window, 1)
    }
  }
}

const atLeast = (spec: Spec, field: string, value: number, least: number): void => {
  if (value >= least && value < Number.POSITIVE_INFINITY) return
  const wanted = least === Number.MIN_VALUE ? "above 0" : `at least ${least}`
  throw new RangeError(`RateLimit.check: ${field} of ${spec.name} must be ${wanted} and finite, got ${value}`)
}

/**
 * Makes the state of a limit that nothing was taken from. `name` is the one to show.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (spec: Timed, name: string): Limit =>
  spec._tag === "TokenBucket"
    ? { _tag: "TokenBucket", name, of: spec.of, state: TokenBucket.make(spec.bucketSize, spec.refillRate) }
    : { _tag: "SlidingWindow", name, of: spec.of, state: SlidingWindow.make(spec.limit, spec.window) }

/**
 * The state of a limit after its spec became `spec`.
 *
 * **Details** In place when only numbers changed. Another algorithm or window starts with all that the old one
 * counted; what was charged before is then no longer refunded.
 *
 * @since 0.1.0
 * @category mutations
 */
export const resize = (old: Limit, spec: Timed, now: number): Limit => {
  if (old.of !== spec.of) return make(spec, old.name)
  if (spec._tag === "TokenBucket" && old._tag === "TokenBucket") {
    TokenBucket.resize(old.state, spec.bucketSize, spec.refillRate, now)
    return old
  }
  if (spec._tag === "SlidingWindow" && old._tag === "SlidingWindow" && spec.window === old.state.window) {
    old.state.limit = spec.limit
    return old
  }
  const next = make(spec, old.name)
  charge(next, (capacity(old, now) ?? 0) - left(old, now), now)
  return next
}

/**
 * What a request that needs so many tokens costs a limit.
 *
 * @since 0.1.0
 * @category getters
 */
export const costOf = (limit: Limit, tokens: number): number => (limit.of === "requests" ? 1 : tokens)

/**
 * The earliest time at which `units` can be had: `now` when they can be had at once, `Infinity` when never.
 *
 * @since 0.1.0
 * @category getters
 */
export const earliest = (limit: Limit, units: number, now: number): number => {
  switch (limit._tag) {
    case "TokenBucket":
      return TokenBucket.earliest(limit.state, units, now)
    case "SlidingWindow":
      return SlidingWindow.earliest(limit.state, units, now)
    case "Reported":
      return ReportedLimit.earliest(limit.state, units, now)
  }
}

/**
 * Takes `units`, whether or not they are there, and gives a mark for `giveBack`.
 *
 * @since 0.1.0
 * @category mutations
 */
export const charge = (limit: Limit, units: number, now: number): number => {
  switch (limit._tag) {
    case "TokenBucket":
      return TokenBucket.charge(limit.state, units, now)
    case "SlidingWindow":
      return SlidingWindow.charge(limit.state, units, now)
    case "Reported":
      return ReportedLimit.charge(limit.state, units)
  }
}

/**
 * Returns `units` of the charge that gave `mark`. At most once a charge, and never more than it took.
 *
 * @since 0.1.0
 * @category mutations
 */
export const giveBack = (limit: Limit, units: number, mark: number, now: number): void => {
  switch (limit._tag) {
    case "TokenBucket":
      TokenBucket.giveBack(limit.state, units, mark, now)
      break
    case "SlidingWindow":
      SlidingWindow.giveBack(limit.state, units, mark, now)
      break
    case "Reported":
      ReportedLimit.giveBack(limit.state, units, mark)
      break
  }
}

/**
 * The most a limit can grant at once; `undefined` when a report does not say.
 *
 * @since 0.1.0
 * @category getters
 */
export const capacity = (limit: Limit, now: number): number | undefined => {
  switch (limit._tag) {
    case "TokenBucket":
      return limit.state.size
    case "SlidingWindow":
      return limit.state.limit
    case "Reported":
      return ReportedLimit.isHeld(limit.state, now) ? limit.state.limit : undefined
  }
}

/**
 * What is left now; less than 0 in debt.
 *
 * @since 0.1.0
 * @category getters
 */
export const left = (limit: Limit, now: number): number => {
  switch (limit._tag) {
    case "TokenBucket":
      return limit.state.size - TokenBucket.used(limit.state, now)
    case "SlidingWindow":
      return limit.state.limit - SlidingWindow.used(limit.state, now)
    case "Reported":
      return limit.state.remaining
  }
}
