/**
 * The rate limiter of one owner — a pool, an echelon, an instance, a wrapper — and reserving from several in one
 * step.
 *
 * A reservation takes its request, its estimated tokens and a concurrency slot from every limit of every limiter
 * named, or from none. It ends once: settled with what the request really used, or refunded. Being full is a
 * value with the time at which it may pass; whether to wait for that is the caller's choice.
 *
 * @since 0.1.0
 */
import type * as Clock from "effect/Clock"
import type * as Attempt from "./Attempt.ts"
import * as RateLimit from "./RateLimit.ts"
import * as RateLimitCharge from "./RateLimitCharge.ts"
import * as ReportedLimit from "./ReportedLimit.ts"

/**
 * A limiter. Its owner alone changes it, by the functions of this module.
 *
 * @since 0.1.0
 * @category models
 */
export interface RateLimiter {
  readonly name: string | undefined
  /** Live reservations. Counted without a limit too, so that one set later knows of them. */
  inUse: number
  slots: { readonly name: string; readonly limit: number } | undefined
  limits: ReadonlyArray<RateLimit.Limit>
  /** Called when a slot is freed while all were taken. It must not throw. */
  onFreed: (() => void) | undefined
}

/**
 * What a request needs. Tokens are an estimate; less than 0 or no number counts as 0. They are read only where a
 * limit counts them, so that a getter may estimate late.
 *
 * @since 0.1.0
 * @category models
 */
export interface Cost {
  readonly tokens: number
}

/**
 * Something is in the way now. `retryAt`, in milliseconds since the epoch, is the earliest time at which every
 * limit that knows time could grant its part; `undefined` when only concurrency is in the way, which passes when
 * a reservation ends. `limit` names what takes longest.
 *
 * @since 0.1.0
 * @category models
 */
export interface Full {
  readonly _tag: "Full"
  readonly retryAt: number | undefined
  readonly limit: string
}

/**
 * The request is larger than a limit can ever grant.
 *
 * @since 0.1.0
 * @category models
 */
export interface TooLarge {
  readonly _tag: "TooLarge"
  readonly limit: string
  readonly needed: number
  /** The most that limit grants. */
  readonly most: number
}

/**
 * What was reserved. It ends once, by `settle` or `refund`; each tells whether it was the end.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reservation {
  readonly _tag: "Reserved"
  /** The estimate; 0 when no limit counts tokens. */
  readonly tokens: number
  readonly isLive: () => boolean
  /**
   * Charges the tokens really used and frees the slot. More than the estimate may put a limit into debt, and later
   * reservations wait. `undefined`, or what is no number of tokens, keeps the estimate.
   */
  readonly settle: (tokens: number | undefined, now: number) => boolean
  /** Returns everything: the provider has counted nothing. */
  readonly refund: (now: number) => boolean
}

/**
 * A limit as metrics and status show it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Level {
  readonly name: string
  readonly of: "requests" | "tokens" | "concurrency"
  /** Less than 0 in debt. */
  readonly left: number
  /** The most it grants; `undefined` when a provider did not say. */
  readonly limit: number | undefined
  /** Whether it is what a provider reported. */
  readonly isReported: boolean
}

const shown = (owner: string | undefined, name: string): string => (owner === undefined ? name : `${owner}.${name}`)

const slotsOf = (owner: string | undefined, specs: ReadonlyArray<RateLimit.Spec>): RateLimiter["slots"] => {
  let slots: RateLimiter["slots"]
  for (const spec of specs) {
    if (spec._tag !== "Concurrency" || (slots !== undefined && slots.limit <= spec.limit)) continue
    slots = { name: shown(owner, spec.name), limit: spec.limit }
  }
  return slots
}

const isTimed = (spec: RateLimit.Spec): spec is RateLimit.Timed => spec._tag !== "Concurrency"

/**
 * Makes a limiter. With no limits it grants everything.
 *
 * **Errors** What `RateLimit.check` says throws `RangeError`.
 *
 * @example
 * ```ts
 * import { RateLimiter } from "@echelon/core"
 *
 * const limiter = RateLimiter.make([
 *   { _tag: "Concurrency", name: "concurrency", limit: 10 },
 *   { _tag: "SlidingWindow", name: "tpm", of: "tokens", limit: 1_000, window: 60_000 }
 * ])
 * const first = RateLimiter.reserve([limiter], { tokens: 800 }, 0)
 * console.assert(RateLimiter.reserve([limiter], { tokens: 800 }, 0)._tag === "Full")
 * if (first._tag === "Reserved") first.settle(150, 2_000)
 * console.assert(RateLimiter.reserve([limiter], { tokens: 800 }, 2_000)._tag === "Reserved")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  limits: ReadonlyArray<RateLimit.Spec>,
  options: { readonly name?: string | undefined } = {}
): RateLimiter => {
  RateLimit.check(limits)
  const { name } = options
  return {
    name,
    inUse: 0,
    onFreed: undefined,
    slots: slotsOf(name, limits),
    limits: limits.filter(isTimed).map((spec) => RateLimit.make(spec, shown(name, spec.name)))
  }
}

/**
 * Gives a limiter other limits. One that keeps its name keeps its level; what the provider reported stays.
 *
 * **Errors** What `RateLimit.check` says throws `RangeError`, and nothing changes.
 *
 * @since 0.1.0
 * @category mutations
 */
export const resize = (limiter: RateLimiter, limits: ReadonlyArray<RateLimit.Spec>, now: number): void => {
  RateLimit.check(limits)
  const { limits: old, name } = limiter
  const configured = limits.filter(isTimed).map((spec) => {
    const label = shown(name, spec.name)
    const known = old.find((state) => state._tag !== "Reported" && state.name === label)
    return known === undefined ? RateLimit.make(spec, label) : RateLimit.resize(known, spec, now)
  })
  limiter.limits = [...configured, ...old.filter((state) => state._tag === "Reported")]
  limiter.slots = slotsOf(name, limits)
}

/**
 * Learns what is left from a provider's headers; until they end, the lesser of that and the configured counts.
 * Tells whether the report was believed; see `ReportedLimit.learn`.
 *
 * @since 0.1.0
 * @category mutations
 */
export const learn = (limiter: RateLimiter, report: ReportedLimit.Report, now: number): boolean => {
  for (const limit of limiter.limits) {
    if (limit._tag === "Reported" && limit.of === report.kind) return ReportedLimit.learn(limit.state, report, now)
  }
  const state = ReportedLimit.make()
  if (!ReportedLimit.learn(state, report, now)) return false
  const name = shown(limiter.name, `reported_${report.kind}`)
  limiter.limits = [...limiter.limits, { _tag: "Reported", name, of: report.kind, state }]
  return true
}

/** Whole tokens, so that sums are exact; 0 where no limit counts them, for an estimate is not free. */
const tokensOf = (limiters: ReadonlyArray<RateLimiter>, cost: Cost): number => {
  for (const { limits } of limiters) {
    for (const limit of limits) if (limit.of === "tokens") return cost.tokens > 0 ? Math.ceil(cost.tokens) : 0
  }
  return 0
}

/**
 * Asks whether a cost could be reserved, without reserving it: `undefined` when it could.
 *
 * @since 0.1.0
 * @category getters
 */
export const peek = (limiters: ReadonlyArray<RateLimiter>, cost: Cost, now: number): Full | TooLarge | undefined => {
  const tokens = tokensOf(limiters, cost)
  let retryAt = now
  let latest: string | undefined
  let crowded: string | undefined
  for (const { inUse, limits, slots } of limiters) {
    if (slots !== undefined && inUse >= slots.limit) crowded ??= slots.name
    for (const limit of limits) {
      const units = RateLimit.costOf(limit, tokens)
      if (units === 0) continue
      const at = RateLimit.earliest(limit, units, now)
      if (at <= retryAt) continue
      if (at === Number.POSITIVE_INFINITY) {
        return { _tag: "TooLarge", limit: limit.name, needed: units, most: RateLimit.capacity(limit, now) ?? 0 }
      }
      retryAt = at
      latest = limit.name
    }
  }
  if (latest !== undefined) return { _tag: "Full", retryAt, limit: latest }
  return crowded === undefined ? undefined : { _tag: "Full", retryAt: undefined, limit: crowded }
}

class Live implements Reservation {
  readonly _tag = "Reserved"
  readonly tokens: number
  private readonly owners: ReadonlyArray<RateLimiter>
  private readonly limits: ReadonlyArray<RateLimit.Limit>
  private readonly marks: ReadonlyArray<number>
  private live = true

  constructor(limiters: ReadonlyArray<RateLimiter>, tokens: number, now: number) {
    const owners: Array<RateLimiter> = []
    const limits: Array<RateLimit.Limit> = []
    const marks: Array<number> = []
    for (const limiter of limiters) {
      if (owners.includes(limiter)) continue
      owners.push(limiter)
      limiter.inUse += 1
      for (const limit of limiter.limits) {
        limits.push(limit)
        marks.push(RateLimit.charge(limit, RateLimit.costOf(limit, tokens), now))
      }
    }
    this.tokens = tokens
    this.owners = owners
    this.limits = limits
    this.marks = marks
  }

  isLive(): boolean {
    return this.live
  }

  settle(used: number | undefined, now: number): boolean {
    if (!this.end()) return false
    if (used === undefined || !(used >= 0 && used < Number.POSITIVE_INFINITY)) return true
    const more = Math.ceil(used) - this.tokens
    if (more === 0) return true
    for (let i = 0; i < this.limits.length; i++) {
      const limit = this.limits[i]
      if (limit === undefined || limit.of === "requests") continue
      if (more > 0) RateLimit.charge(limit, more, now)
      // A provider need not count as we do, so what it reported is never raised by our own figures.
      else if (limit._tag !== "Reported") RateLimit.giveBack(limit, -more, this.marks[i] ?? 0, now)
    }
    return true
  }

  refund(now: number): boolean {
    if (!this.end()) return false
    for (let i = 0; i < this.limits.length; i++) {
      const limit = this.limits[i]
      if (limit === undefined) continue
      RateLimit.giveBack(limit, RateLimit.costOf(limit, this.tokens), this.marks[i] ?? 0, now)
    }
    return true
  }

  private end(): boolean {
    if (!this.live) return false
    this.live = false
    for (const limiter of this.owners) {
      limiter.inUse -= 1
      if (limiter.inUse + 1 === limiter.slots?.limit) limiter.onFreed?.()
    }
    return true
  }
}

/**
 * Reserves a cost from every limit of every limiter, or from none. A limiter named twice counts once.
 *
 * @since 0.1.0
 * @category mutations
 */
export const reserve = (limiters: ReadonlyArray<RateLimiter>, cost: Cost, now: number): Reservation | Full | TooLarge =>
  peek(limiters, cost, now) ?? new Live(limiters, tokensOf(limiters, cost), now)

/**
 * Ends a reservation as its attempt ends: see `RateLimitCharge.of`. The slot is freed in every case.
 *
 * **Details** `counted` says what a failure before output has cost. @default RateLimitCharge.counted
 *
 * @since 0.1.0
 * @category combinators
 */
export const hold = (
  reservation: Reservation,
  attempt: Attempt.Attempt,
  clock: Clock.Clock,
  counted?: Parameters<typeof RateLimitCharge.of>[2]
): void =>
  attempt.onSettle((outcome) => {
    const charge = RateLimitCharge.of(outcome, attempt.isCommitted(), counted)
    const now = clock.currentTimeMillisUnsafe()
    if (charge === "refund") reservation.refund(now)
    else reservation.settle(charge, now)
  })

/**
 * The share that is left of the limit that has the least left, in [0, 1]. Without limits it is 1.
 *
 * @since 0.1.0
 * @category getters
 */
export const headroom = (limiter: RateLimiter, now: number): number => {
  const { inUse, limits, slots } = limiter
  let least = slots === undefined ? 1 : 1 - inUse / slots.limit
  for (const limit of limits) {
    const capacity = RateLimit.capacity(limit, now)
    if (capacity !== undefined) least = Math.min(least, RateLimit.left(limit, now) / capacity)
  }
  return Math.max(0, least)
}

/**
 * Every limit as it stands; a report that has ended is left out.
 *
 * @since 0.1.0
 * @category getters
 */
export const snapshot = (limiter: RateLimiter, now: number): ReadonlyArray<Level> => {
  const { inUse, limits, slots } = limiter
  const levels: Array<Level> =
    slots === undefined
      ? []
      : [{ name: slots.name, of: "concurrency", left: slots.limit - inUse, limit: slots.limit, isReported: false }]
  for (const limit of limits) {
    const isReported = limit._tag === "Reported"
    if (isReported && !ReportedLimit.isHeld(limit.state, now)) continue
    levels.push({
      name: limit.name,
      of: limit.of,
      left: RateLimit.left(limit, now),
      limit: RateLimit.capacity(limit, now),
      isReported
    })
  }
  return levels
}
