import { Quantiles } from "@echelon/cli/Quantiles"
import { TopRates } from "@echelon/cli/TopRates"
import type { Observation, Route } from "@echelon/core"
import { expect, it } from "@effect/vitest"

const attempt = (options: Partial<Route.Open>): Route.Open => ({
  kind: "call",
  instance: "a",
  model: "wire-a",
  echelon: undefined,
  startedAt: 0,
  provider: { name: "openai", kind: "openai" },
  watch: undefined,
  traceparent: undefined,
  outcome: "completed",
  reason: undefined,
  firstOutputAt: undefined,
  endedAt: 0,
  usage: undefined,
  cost: undefined,
  dropped: [],
  ...options
})
const observation = (options: Partial<Observation.Observation>): Observation.Observation => ({
  id: "x",
  target: { kind: "pool", name: "p" },
  wrapper: undefined,
  pool: undefined,
  group: undefined,
  tenant: undefined,
  priority: "normal",
  tags: [],
  operation: "chat",
  isStream: false,
  isMeasured: true,
  isAlerting: true,
  startedAt: 0,
  queuedMs: 0,
  committedAt: undefined,
  endedAt: 0,
  outcome: "completed",
  reason: undefined,
  error: undefined,
  attempts: [],
  ...options
})
const usage = (outputTokens: number) => ({
  inputTokens: 10,
  outputTokens,
  cacheReadTokens: undefined,
  cacheWriteTokens: undefined,
  reasoningTokens: undefined,
  source: "reported" as const
})

it("sums what ended in the last minute by instance, pool and wrapper, and what it cost from the beginning", () => {
  const rates = new TopRates(0)
  const asked = observation({ wrapper: "w", pool: "p", queuedMs: 50, committedAt: 120, endedAt: 1_000 })
  rates.onAttemptEnd(asked, attempt({ outcome: "failed", reason: "Timeout", endedAt: 100 }))
  rates.onAttemptEnd(
    asked,
    attempt({ instance: "b", startedAt: 100, firstOutputAt: 200, endedAt: 1_200, usage: usage(50), cost: 0.5 })
  )
  rates.onAttemptEnd(asked, attempt({ kind: "cache", instance: "cached", endedAt: 100, cost: 9 }))
  rates.onEnd(asked)
  const now = rates.snapshot(10_000)
  expect(now.instances.get("a")).toMatchObject({ attempts: 1, failedShare: 1, failed: 1, lastReason: "Timeout" })
  expect(now.instances.get("b")).toMatchObject({
    attempts: 1,
    perSecond: 0.1,
    failedShare: 0,
    ttft: { p50: 100, p95: 100 },
    tokensPerSecond: 50,
    cost: 0.5,
    answered: 1
  })
  expect(now.instances.has("cached")).toBe(false)
  expect(now.pools.get("p")).toMatchObject({ requests: 1, ttft: { p50: 120 }, total: { p50: 1_000 } })
  expect(now.wrappers.get("w")?.queue.p95).toBe(50)
  expect([now.cost, now.providers]).toEqual([
    0.5,
    [{ provider: "openai", attempts: 2, inputTokens: 10, outputTokens: 50, cost: 0.5 }]
  ])
  const later = rates.snapshot(70_000)
  expect(later.instances.get("b")).toMatchObject({ attempts: 0, failedShare: undefined, cost: 0.5, answered: 1 })
  expect([later.all.requests, later.cost]).toEqual([0, 0.5])
})

it("slides: what is older than a minute is gone, what is younger stays", () => {
  const rates = new TopRates(0)
  for (let second = 0; second < 300; second++) rates.onEnd(observation({ endedAt: second * 1_000 }))
  const { all } = rates.snapshot(299_000)
  expect(all.requests).toBeGreaterThanOrEqual(55)
  expect(all.requests).toBeLessThanOrEqual(60)
  expect(rates.snapshot(400_000).all.requests).toBe(0)
})

it("however many names come in, a thousand are told apart", () => {
  const rates = new TopRates(0)
  for (let i = 0; i < 5_000; i++) {
    rates.onAttemptEnd(
      observation({}),
      attempt({ instance: `i${i}`, provider: { name: `p${i}`, kind: "openai" }, endedAt: 1 })
    )
    rates.onEnd(observation({ pool: `p${i}`, wrapper: `w${i}`, endedAt: 1 }))
  }
  const { instances, pools, providers, wrappers } = rates.snapshot(1)
  expect([instances.size, pools.size, providers.length, wrappers.size]).toEqual([1_001, 1_001, 1_001, 1_001])
  expect(instances.get("(other)")?.attempts).toBe(4_000)
})

it("quantiles are right to 2.5 %, at most the largest, from zero to days", () => {
  const times = new Quantiles()
  for (let i = 1; i <= 10_000; i++) times.add(i)
  for (const p of [0.01, 0.5, 0.95, 0.99]) expect(Math.abs((times.at(p) ?? 0) / (p * 10_000) - 1)).toBeLessThan(0.026)
  expect([times.at(1), times.count()]).toEqual([10_000, 10_000])
  const odd = new Quantiles()
  expect(odd.at(0.5)).toBeUndefined()
  for (const millis of [0, 0, 1e12]) odd.add(millis)
  expect([odd.at(0.5), odd.at(1)]).toEqual([0, expect.any(Number)])
  odd.clear()
  expect(odd.at(0.5)).toBeUndefined()
})
