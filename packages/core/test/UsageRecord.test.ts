import type * as Route from "@echelon/core/Route"
import * as Usage from "@echelon/core/Usage"
import * as UsageRecord from "@echelon/core/UsageRecord"
import { expect, it } from "@effect/vitest"

type Ended = Pick<Route.Open, "kind" | "outcome" | "reason" | "usage" | "cost">

const attempt = (options: Partial<Ended>): Ended => ({
  kind: "call",
  outcome: "completed",
  reason: undefined,
  usage: undefined,
  cost: undefined,
  ...options
})
const counted = (options: Partial<Ended>) => {
  const counters = UsageRecord.zero()
  UsageRecord.countAttempt(counters, attempt(options))
  return Object.fromEntries(Object.entries(counters).filter(([, n]) => n !== 0))
}
const reported: Usage.Usage = {
  inputTokens: 10,
  outputTokens: 20,
  cacheReadTokens: 3,
  cacheWriteTokens: 4,
  reasoningTokens: 5,
  source: "reported"
}
const tokens = { inputTokens: 10, outputTokens: 20, cacheReadTokens: 3, cacheWriteTokens: 4, reasoningTokens: 5 }

it("usage and cost keep where they come from", () => {
  expect(counted({ usage: reported, cost: 0.000_000_001 })).toEqual({
    attempts: 1,
    reported: 1,
    ...tokens,
    costReported: 1
  })
  expect(counted({ outcome: "cancelled", usage: Usage.estimated(7, 2), cost: 2 })).toEqual({
    attempts: 1,
    estimated: 1,
    inputTokens: 7,
    outputTokens: 2,
    costEstimated: 2e9
  })
  expect(counted({ outcome: "failed", reason: "Timeout", usage: Usage.estimated(7, 0), cost: 0.5 })).toEqual({
    attempts: 1,
    failedAttempts: 1,
    estimated: 1,
    inputTokens: 7,
    costEstimated: 5e8
  })
})

it("what is not known is counted as such, and is not 0", () => {
  expect(counted({ usage: reported })).toEqual({ attempts: 1, reported: 1, ...tokens, unpriced: 1 })
  expect(counted({ usage: Usage.unknown })).toEqual({ attempts: 1, unknown: 1, unpriced: 1 })
  expect(counted({})).toEqual({ attempts: 1, unknown: 1, unpriced: 1 })
  expect(counted({ usage: reported, cost: Number.NaN })).toEqual({ attempts: 1, reported: 1, ...tokens, unpriced: 1 })
})

it.each([
  ["RateLimited", false],
  ["Overloaded", false],
  ["Authentication", false],
  ["InvalidRequest", false],
  ["Timeout", true],
  ["Network", true],
  ["MalformedOutput", true],
  ["Unknown", true]
] as const)("an attempt that failed as %s used something nobody knows: %s", (reason, isUnknown) => {
  const expected = isUnknown ? { unknown: 1, unpriced: 1 } : {}
  expect(counted({ outcome: "failed", reason })).toEqual({ attempts: 1, failedAttempts: 1, ...expected })
})

it("what was answered without a call used nothing", () => {
  expect(counted({ kind: "cache", usage: reported, cost: 1 })).toEqual({ hits: 1 })
  expect(counted({ kind: "coalesced", usage: reported, cost: 1 })).toEqual({ hits: 1 })
  expect(counted({ kind: "hedge", usage: reported, cost: 1 })).toMatchObject({ attempts: 1, costReported: 1e9 })
})

it("absurd figures of a provider do not spoil the sums", () => {
  const found = counted({
    usage: {
      inputTokens: 1e300,
      outputTokens: -5,
      cacheReadTokens: Number.NaN,
      cacheWriteTokens: 1.4,
      reasoningTokens: Number.POSITIVE_INFINITY,
      source: "reported"
    },
    cost: 1e300
  })
  const most = { inputTokens: 1e9, cacheWriteTokens: 1, reasoningTokens: 1e9 }
  expect(found).toEqual({ attempts: 1, reported: 1, ...most, costReported: 1e15 })
})

it("amounts are exact in nano-USD", () => {
  expect(UsageRecord.toNanos(0.1) + UsageRecord.toNanos(0.2)).toBe(UsageRecord.toNanos(0.3))
  expect(UsageRecord.toUsd(UsageRecord.toNanos(0.000_000_037))).toBe(0.000_000_037)
  expect([Number.NaN, -1, 0].map(UsageRecord.toNanos)).toEqual([0, 0, 0])
})
