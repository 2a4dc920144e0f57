import { Attempt, Llm, LlmError, LlmRequest } from "@echelon/core"
import type * as RateLimit from "@echelon/core/RateLimit"
import * as RateLimiter from "@echelon/core/RateLimiter"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Clock, Effect, Fiber, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { dice } from "./support/dice.ts"

const rpm = (limit: number): RateLimit.Spec => ({
  _tag: "SlidingWindow",
  name: "rpm",
  of: "requests",
  limit,
  window: 60_000
})
const tpm = (limit: number): RateLimit.Spec => ({ ...rpm(limit), name: "tpm", of: "tokens" }) as RateLimit.Spec
const slots = (limit: number): RateLimit.Spec => ({ _tag: "Concurrency", name: "concurrency", limit })
const bucket = (bucketSize: number, refillRate: number): RateLimit.Spec => ({
  _tag: "TokenBucket",
  name: "rate_limit",
  of: "requests",
  bucketSize,
  refillRate
})

const reserve = (limiters: ReadonlyArray<RateLimiter.RateLimiter>, tokens: number, now: number) => {
  const reserved = RateLimiter.reserve(limiters, { tokens }, now)
  if (reserved._tag !== "Reserved") throw new Error(`not reserved: ${JSON.stringify(reserved)}`)
  return reserved
}
const left = (limiter: RateLimiter.RateLimiter, now: number) =>
  Object.fromEntries(RateLimiter.snapshot(limiter, now).map((level) => [level.name, level.left]))

it("takes from all limits of all limiters, or from none", () => {
  const pool = RateLimiter.make([bucket(5, 1)], { name: "pool" })
  const echelon = RateLimiter.make([slots(2), rpm(10)], { name: "g.echelon1" })
  const instance = RateLimiter.make([tpm(1_000)], { name: "a" })
  const all = [pool, echelon, instance]
  reserve(all, 600, 0)
  const level = () => ({ ...left(pool, 0), ...left(echelon, 0), ...left(instance, 0) })
  const one = { "pool.rate_limit": 4, "g.echelon1.concurrency": 1, "g.echelon1.rpm": 9, "a.tpm": 400 }
  expect(level()).toEqual(one)
  expect(RateLimiter.reserve(all, { tokens: 600 }, 0)).toEqual({ _tag: "Full", retryAt: 60_600, limit: "a.tpm" })
  expect([level(), pool.inUse, echelon.inUse, instance.inUse]).toEqual([one, 1, 1, 1])
})

it("says the time at which the whole set can be had, and what takes longest", () => {
  const limiter = RateLimiter.make([bucket(1, 1), tpm(100), rpm(100), { ...bucket(1, 2), name: "faster" }])
  reserve([limiter], 100, 0)
  expect(RateLimiter.peek([limiter], { tokens: 1 }, 0)).toEqual({ _tag: "Full", retryAt: 60_600, limit: "tpm" })
  expect(RateLimiter.peek([limiter], { tokens: 0 }, 0)).toEqual({ _tag: "Full", retryAt: 1_000, limit: "rate_limit" })
  expect(RateLimiter.peek([limiter], { tokens: 1 }, 60_600)).toBeUndefined()
})

it("concurrency has no time of its own", () => {
  const limiter = RateLimiter.make([slots(1), bucket(1, 1)])
  const first = reserve([limiter], 0, 0)
  expect(RateLimiter.peek([limiter], { tokens: 0 }, 0)).toEqual({ _tag: "Full", retryAt: 1_000, limit: "rate_limit" })
  expect(RateLimiter.peek([limiter], { tokens: 0 }, 1_000)).toEqual({
    _tag: "Full",
    retryAt: undefined,
    limit: "concurrency"
  })
  first.settle(undefined, 1_000)
  expect(RateLimiter.peek([limiter], { tokens: 0 }, 1_000)).toBeUndefined()
})

it("of two limits of concurrency the lower counts", () => {
  for (const limits of [
    [1, 3],
    [3, 1]
  ] as const) {
    const limiter = RateLimiter.make(limits.map((limit) => ({ ...slots(limit), name: `c${limit}` })))
    reserve([limiter], 0, 0)
    expect(RateLimiter.peek([limiter], { tokens: 0 }, 0)).toMatchObject({ limit: "c1" })
  }
})

it("what no limit can ever grant fails at once, however full the rest is", () => {
  const limiter = RateLimiter.make([slots(1), rpm(1), tpm(100)], { name: "a" })
  reserve([limiter], 100, 0)
  const tooLarge = { _tag: "TooLarge", limit: "a.tpm", needed: 101, most: 100 }
  expect(RateLimiter.reserve([limiter], { tokens: 101 }, 0)).toEqual(tooLarge)
  expect(RateLimiter.reserve([limiter], { tokens: Number.POSITIVE_INFINITY }, 0)).toMatchObject({ _tag: "TooLarge" })
  expect(RateLimiter.peek([RateLimiter.make([bucket(1, 1)])], { tokens: 1e9 }, 0)).toBeUndefined()
})

it("settles with what was used: less is returned, more is a debt that later reservations wait for", () => {
  const limiter = RateLimiter.make([rpm(10), tpm(100)])
  expect(reserve([limiter], 80, 0).settle(30, 1_000)).toBe(true)
  expect(left(limiter, 1_000)).toEqual({ rpm: 9, tpm: 70 })
  reserve([limiter], 70, 1_000).settle(200, 2_000)
  expect(left(limiter, 2_000)).toEqual({ rpm: 8, tpm: -130 })
  expect(RateLimiter.peek([limiter], { tokens: 1 }, 2_000)).toEqual({ _tag: "Full", retryAt: 62_400, limit: "tpm" })
  expect(RateLimiter.peek([limiter], { tokens: 0 }, 2_000)).toBeUndefined()
})

it("keeps the estimate when the usage is unknown or nonsense", () => {
  for (const used of [undefined, Number.NaN, -5, Number.POSITIVE_INFINITY]) {
    const limiter = RateLimiter.make([slots(1), tpm(100)])
    reserve([limiter], 40, 0).settle(used, 0)
    expect(left(limiter, 0)).toEqual({ concurrency: 1, tpm: 60 })
  }
})

it("ends once: a refund returns everything, and nothing after it does anything", () => {
  const limiter = RateLimiter.make([slots(1), rpm(2), tpm(100), bucket(5, 1)])
  const before = left(limiter, 0)
  const reserved = reserve([limiter], 60, 0)
  expect([reserved.isLive(), limiter.inUse]).toEqual([true, 1])
  expect(reserved.refund(0)).toBe(true)
  expect([left(limiter, 0), reserved.isLive(), limiter.inUse]).toEqual([before, false, 0])
  expect([reserved.refund(0), reserved.settle(5_000, 0), reserved.settle(0, 0)]).toEqual([false, false, false])
  expect([left(limiter, 0), limiter.inUse]).toEqual([before, 0])
  const settled = reserve([limiter], 60, 0)
  settled.settle(60, 0)
  expect([settled.refund(0), left(limiter, 0)["tpm"], limiter.inUse]).toEqual([false, 40, 0])
})

it("an estimate that is no number of tokens counts as none, a fraction as a whole token", () => {
  const limiter = RateLimiter.make([tpm(100)])
  for (const tokens of [Number.NaN, -7]) reserve([limiter], tokens, 0)
  expect(left(limiter, 0)).toEqual({ tpm: 100 })
  const fraction = reserve([limiter], 0.1, 0)
  expect(left(limiter, 0)).toEqual({ tpm: 99 })
  fraction.settle(1.5, 0)
  expect(left(limiter, 0)).toEqual({ tpm: 98 })
})

it("a limiter named twice counts once", () => {
  const limiter = RateLimiter.make([slots(2), rpm(2)])
  const reserved = reserve([limiter, limiter], 0, 0)
  expect(left(limiter, 0)).toEqual({ concurrency: 1, rpm: 1 })
  reserved.refund(0)
  expect([left(limiter, 0), limiter.inUse]).toEqual([{ concurrency: 2, rpm: 2 }, 0])
})

it("learns from a provider's headers, and never gives more than configured", () => {
  const limiter = RateLimiter.make([rpm(10)], { name: "a" })
  const report = { kind: "requests", remaining: 1, limit: 20, resetAt: 5_000 } as const
  expect(RateLimiter.learn(limiter, report, 0)).toBe(true)
  expect(RateLimiter.headroom(limiter, 0)).toBe(0.05)
  reserve([limiter], 0, 0)
  expect(RateLimiter.peek([limiter], { tokens: 0 }, 0)).toEqual({
    _tag: "Full",
    retryAt: 5_000,
    limit: "a.reported_requests"
  })
  RateLimiter.learn(limiter, { ...report, remaining: 1_000_000, limit: undefined }, 0)
  expect(left(limiter, 0)).toEqual({ "a.rpm": 9, "a.reported_requests": 1_000_000 })
  for (let i = 0; i < 9; i++) reserve([limiter], 0, 0)
  expect(RateLimiter.peek([limiter], { tokens: 0 }, 0)).toMatchObject({ limit: "a.rpm" })
  expect(left(limiter, 5_000)).toEqual({ "a.rpm": 0 })
})

it("one report a kind is kept, however many come; one that is not believed leaves nothing", () => {
  const limiter = RateLimiter.make([])
  expect(RateLimiter.learn(limiter, { kind: "tokens", remaining: -1 }, 0)).toBe(false)
  expect(limiter.limits).toEqual([])
  for (let i = 0; i < 100; i++) RateLimiter.learn(limiter, { kind: i % 2 ? "tokens" : "requests", remaining: i }, i)
  expect(left(limiter, 100)).toEqual({ reported_requests: 98, reported_tokens: 99 })
})

it("what a provider reported is lowered by more use than was thought, and raised by a refund alone", () => {
  const limiter = RateLimiter.make([])
  RateLimiter.learn(limiter, { kind: "tokens", remaining: 100 }, 0)
  const tokens = () => left(limiter, 0)["reported_tokens"]
  reserve([limiter], 50, 0).settle(10, 0)
  expect(tokens()).toBe(50)
  reserve([limiter], 20, 0).settle(25, 0)
  expect(tokens()).toBe(25)
  reserve([limiter], 25, 0).refund(0)
  expect(tokens()).toBe(25)
})

it("is resized in place: level, live reservations and reports stay", () => {
  const limiter = RateLimiter.make([rpm(10), tpm(100)], { name: "a" })
  RateLimiter.learn(limiter, { kind: "requests", remaining: 7, resetAt: 50_000 }, 0)
  const reserved = reserve([limiter], 60, 0)
  RateLimiter.resize(limiter, [slots(1), tpm(50)], 1_000)
  expect(left(limiter, 1_000)).toEqual({ "a.concurrency": 0, "a.tpm": -10, "a.reported_requests": 6 })
  reserved.settle(20, 1_000)
  expect(left(limiter, 1_000)).toEqual({ "a.concurrency": 1, "a.tpm": 30, "a.reported_requests": 6 })
  expect(() => RateLimiter.resize(limiter, [slots(0)], 1_000)).toThrow(RangeError)
  expect(left(limiter, 1_000)).toEqual({ "a.concurrency": 1, "a.tpm": 30, "a.reported_requests": 6 })
  RateLimiter.resize(limiter, [rpm(10)], 1_000)
  expect(left(limiter, 1_000)).toEqual({ "a.rpm": 10, "a.reported_requests": 6 })
})

it("checks its limits when it is made", () => {
  expect(() => RateLimiter.make([rpm(0)])).toThrow(RangeError)
})

it("headroom is that of the limit with the least left, never below 0", () => {
  expect(RateLimiter.headroom(RateLimiter.make([]), 0)).toBe(1)
  const limiter = RateLimiter.make([slots(4), rpm(10), tpm(100)])
  expect(RateLimiter.headroom(limiter, 0)).toBe(1)
  const reserved = reserve([limiter], 10, 0)
  expect(RateLimiter.headroom(limiter, 0)).toBe(0.75)
  reserved.settle(95, 0)
  expect(RateLimiter.headroom(limiter, 0)).toBeCloseTo(0.05)
  reserve([limiter], 5, 0).settle(500, 0)
  expect(RateLimiter.headroom(limiter, 0)).toBe(0)
})

it.effect.prop(
  "conserves: in any window no more than the limit less refunds, slots are the live reservations, nothing twice",
  { seed: Schema.Int },
  ({ seed }) =>
    Effect.sync(() => {
      const { below, of } = dice(seed)
      const limits = { slots: 1 + below(6), rpm: 1 + below(20), tpm: 10 + below(200), bucket: 1 + below(10) }
      const pool = RateLimiter.make([bucket(limits.bucket, 0.5)], { name: "pool" })
      const a = RateLimiter.make([slots(limits.slots), rpm(limits.rpm), tpm(limits.tpm)], { name: "a" })
      const b = RateLimiter.make([slots(limits.slots), rpm(limits.rpm), tpm(limits.tpm)], { name: "b" })
      const made: Array<{
        reserved: RateLimiter.Reservation
        of: RateLimiter.RateLimiter
        at: number
        requests: number
        tokens: number
        more: number
        moreAt: number
      }> = []
      let now = 1_700_000_000_000
      for (let step = 0; step < 120; step++) {
        now += of([0, 0, 5, below(1_000), below(20_000), 70_000])
        const owner = of([a, b])
        const chosen = made[below(made.length)]
        const count = made.length
        if (below(2) === 0 || chosen === undefined) {
          const tokens = below(limits.tpm + 3)
          const before = [left(pool, now), left(a, now), left(b, now)]
          const reserved = RateLimiter.reserve([pool, owner], { tokens }, now)
          if (reserved._tag === "Reserved") {
            made.push({ reserved, of: owner, at: now, requests: 1, tokens, more: 0, moreAt: 0 })
          } else {
            // All or nothing, and the time it names is the time it comes true.
            expect([left(pool, now), left(a, now), left(b, now)]).toEqual(before)
            expect(reserved._tag === "TooLarge").toBe(tokens > limits.tpm)
            if (reserved._tag === "Full") {
              if (reserved.retryAt === undefined) expect(owner.inUse).toBe(limits.slots)
              else {
                const then = RateLimiter.peek([pool, owner], { tokens }, reserved.retryAt)
                expect(then === undefined || (then._tag === "Full" && then.retryAt === undefined)).toBe(true)
                now = reserved.retryAt
              }
            }
            continue
          }
        } else {
          const wasLive = chosen.reserved.isLive()
          if (below(3) === 0) {
            expect(chosen.reserved.refund(now)).toBe(wasLive)
            if (wasLive) Object.assign(chosen, { requests: 0, tokens: 0 })
          } else {
            const used = of([undefined, 0, below(limits.tpm * 2)])
            expect(chosen.reserved.settle(used, now)).toBe(wasLive)
            if (wasLive && used !== undefined) {
              chosen.more = Math.max(0, used - chosen.tokens)
              chosen.moreAt = now
              chosen.tokens = Math.min(used, chosen.tokens)
            }
          }
        }
        const last = made.at(-1)
        if (last === undefined) continue
        for (const limiter of [a, b]) {
          const live = made.filter((one) => one.of === limiter && one.reserved.isLive()).length
          expect(limiter.inUse).toBe(live)
          expect(live).toBeLessThanOrEqual(limits.slots)
        }
        expect(pool.inUse).toBe(a.inUse + b.inUse)
        if (made.length === count) continue
        // A grant was just made: what counts in the minute that ends now, debts included, is within its limits.
        const recent = made.filter((one) => one.of === last.of && one.at > now - 60_000)
        expect(recent.reduce((sum, one) => sum + one.requests, 0)).toBeLessThanOrEqual(limits.rpm)
        const debts = made.filter((one) => one.of === last.of && one.moreAt > now - 60_000)
        const tokens = recent.reduce((sum, one) => sum + one.tokens, 0) + debts.reduce((sum, one) => sum + one.more, 0)
        if (last.tokens > 0) expect(tokens).toBeLessThanOrEqual(limits.tpm)
        let sum = 0
        let excess = 0
        for (const one of made.toReversed()) {
          sum += one.requests
          excess = Math.max(excess, sum - limits.bucket - (0.5 * (now - one.at)) / 1_000)
        }
        expect(excess).toBeLessThanOrEqual(1e-3)
      }
      for (const one of made) one.reserved.settle(undefined, now)
      expect([pool.inUse, a.inUse, b.inUse]).toEqual([0, 0, 0])
    })
)

const whole = [slots(5), rpm(10), tpm(10_000)]
const held = (limiter: RateLimiter.RateLimiter, llm: Llm.Llm) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const request = yield* LlmRequest.make({ prompt: "hi" }, { stream: true, commit: "first_output" })
    return yield* Attempt.open({}, (attempt) => {
      RateLimiter.hold(reserve([limiter], 1_000, clock.currentTimeMillisUnsafe()), attempt, clock)
      return llm.call({ ...request, attempt })
    })
  })

it.effect("a held reservation ends with its attempt, charged with the usage", () =>
  Effect.gen(function* () {
    const limiter = RateLimiter.make(whole)
    const { llm } = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("one") })
    const reply = yield* held(limiter, llm)
    expect(left(limiter, 0)).toEqual({ concurrency: 4, rpm: 9, tpm: 9_000 })
    yield* Stream.runDrain(reply.parts)
    const outcome = reply.attempt.outcome()
    if (outcome?._tag !== "Completed") throw new Error("not completed")
    const { inputTokens = Number.NaN, outputTokens = Number.NaN } = outcome.usage
    expect(left(limiter, 0)).toEqual({ concurrency: 5, rpm: 9, tpm: 10_000 - inputTokens - outputTokens })
  })
)

it.effect("a failure before output is charged by its reason", () =>
  Effect.gen(function* () {
    const after = (reason: LlmError.Reason) =>
      Effect.gen(function* () {
        const limiter = RateLimiter.make(whole)
        const llm = Llm.make({ id: "a", open: () => Effect.fail(LlmError.make({ reason })) })
        yield* Effect.flip(Effect.scoped(held(limiter, llm)))
        return left(limiter, 0)
      })
    expect(yield* after({ _tag: "Network", kind: "refused" })).toEqual({ concurrency: 5, rpm: 10, tpm: 10_000 })
    expect(yield* after({ _tag: "InvalidRequest" })).toEqual({ concurrency: 5, rpm: 9, tpm: 10_000 })
    expect(yield* after({ _tag: "Overloaded" })).toEqual({ concurrency: 5, rpm: 9, tpm: 9_000 })
  })
)

it.effect("after output the estimate stays charged, for a break as for a caller who leaves", () =>
  Effect.gen(function* () {
    const after = (script: ScriptedLlm.Script, take: number) =>
      Effect.gen(function* () {
        const limiter = RateLimiter.make(whole)
        const { llm } = yield* ScriptedLlm.make({ id: "a", script })
        const reply = yield* held(limiter, llm)
        yield* Effect.ignore(Stream.runDrain(Stream.take(reply.parts, take)))
        return [reply.attempt.outcome()?._tag, left(limiter, 0)]
      })
    const output = ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "x" })
    const broken = [output, ScriptedLlm.fail({ _tag: "Network", kind: "refused" })]
    const stays = { concurrency: 5, rpm: 9, tpm: 9_000 }
    expect(yield* after(broken, 10)).toEqual(["Failed", stays])
    expect(yield* after([output, ScriptedLlm.never], 1)).toEqual(["Cancelled", stays])
  })
)

it.effect("whoever is interrupted, whenever, leaves no slot behind", () =>
  Effect.gen(function* () {
    const { below } = dice(7)
    const limiter = RateLimiter.make([slots(100), bucket(1_000, 1)])
    const { llm } = yield* ScriptedLlm.make({
      id: "a",
      script: (index) => [
        ScriptedLlm.wait(index % 4),
        ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "x" }),
        ScriptedLlm.wait(3),
        ScriptedLlm.fail({ _tag: "Overloaded" })
      ]
    })
    const ask = Effect.scoped(Effect.flatMap(held(limiter, llm), (reply) => Stream.runDrain(reply.parts)))
    const running: Array<Fiber.Fiber<void, LlmError.LlmError>> = []
    for (let i = 0; i < 50; i++) {
      running.push(yield* Effect.forkChild(ask, { startImmediately: true }))
      expect(limiter.inUse).toBeGreaterThan(0)
      yield* TestClock.adjust(below(4))
      const leaving = running[below(running.length)]
      if (leaving !== undefined) yield* Fiber.interrupt(leaving)
    }
    yield* Effect.forEach(running, Fiber.interrupt, { discard: true })
    expect(limiter.inUse).toBe(0)
    expect(left(limiter, yield* Clock.currentTimeMillis)["rate_limit"]).toBeLessThanOrEqual(951)
  })
)
