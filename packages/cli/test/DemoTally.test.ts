import { DemoTally } from "@echelon/cli"
import type { Route } from "@echelon/core"
import { expect, it } from "@effect/vitest"

const entry = (instance: string, more: Partial<Route.Entry> = {}): Route.Entry => ({
  kind: "call",
  instance,
  model: instance,
  echelon: undefined,
  outcome: "completed",
  reason: undefined,
  startedAt: 0,
  firstOutputMs: undefined,
  elapsedMs: 1,
  usage: undefined,
  cost: undefined,
  dropped: [],
  ...more
})

const rates = {
  cost: 0.5,
  providers: [{ provider: "openai", attempts: 4, inputTokens: 10, outputTokens: 20, cost: undefined }]
}

it("books answers, failovers by reason and errors", () => {
  let tally = DemoTally.empty
  tally = DemoTally.record(tally, { route: [entry("a")], elapsed: 10, error: undefined })
  tally = DemoTally.record(tally, {
    route: [entry("a", { outcome: "failed", reason: "Network" }), entry("b")],
    elapsed: 30,
    error: undefined
  })
  tally = DemoTally.record(tally, {
    route: [entry("a", { outcome: "failed", reason: "Network" })],
    elapsed: 0,
    error: "no"
  })
  tally = DemoTally.alerted(DemoTally.alerted(DemoTally.alerted(tally, "Fired"), "Fired"), "Resolved")
  expect(DemoTally.summary(tally, rates)).toEqual({
    asked: 3,
    answered: 2,
    attempts: 4,
    failovers: { Network: 2 },
    p50Ms: 10,
    p99Ms: 30,
    alerts: { fired: 2, resolved: 1 },
    costUsd: 0.5,
    providers: [{ provider: "openai", attempts: 4, inputTokens: 10, outputTokens: 20, costUsd: null }],
    errors: ["no"]
  })
  expect(tally.rows["a"]).toEqual({ answered: 1, failed: 2, lastReason: "Network" })
  expect(DemoTally.summaryLines(tally, rates)).toEqual(
    expect.arrayContaining(["alerts     2 fired, 1 resolved", "cost       $0.5000", "not answered: no"])
  )
})

it("percentiles are by nearest rank", () => {
  const times = Array.from({ length: 100 }, (_, i) => 100 - i)
  expect([0.5, 0.99, 1, 0].map((p) => DemoTally.percentile(times, p))).toEqual([50, 99, 100, 1])
  expect(DemoTally.percentile([], 0.5)).toBeUndefined()
})
