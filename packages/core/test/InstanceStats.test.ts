import { InstanceStats } from "@echelon/core"
import { expect, it } from "@effect/vitest"

const sample = (firstOutput: number) => ({ firstOutput, tokensPerSecond: undefined })

it("a slower time counts at once, a faster one with care", () => {
  let stats = InstanceStats.succeeded(InstanceStats.empty, sample(100), 1_000)
  expect(stats.firstOutput).toBe(100)
  stats = InstanceStats.succeeded(stats, sample(900), 1_100)
  expect(stats.firstOutput).toBe(900)
  stats = InstanceStats.succeeded(stats, sample(100), 1_200)
  expect(stats.firstOutput).toBeCloseTo(820, 0)
  stats = InstanceStats.succeeded(stats, sample(100), 60_000)
  expect(stats.firstOutput).toBeLessThan(105)
})

it("the success rate falls with failures and rises with successes, and stays within 0 and 1", () => {
  let stats = InstanceStats.empty
  for (let i = 0; i < 30; i++) stats = InstanceStats.failed(stats, 1_000 + i)
  expect(stats.successRate).toBeLessThan(0.1)
  for (let i = 0; i < 60; i++) stats = InstanceStats.succeeded(stats, sample(1), 2_000 + i)
  expect(stats.successRate).toBeGreaterThan(0.9)
  expect(stats.successRate).toBeLessThanOrEqual(1)
})

it("a clock that goes back does no harm", () => {
  const stats = InstanceStats.succeeded(
    InstanceStats.succeeded(InstanceStats.empty, sample(5), 9_000),
    sample(3),
    1_000
  )
  expect(stats.firstOutput).toBeGreaterThan(3)
  expect(stats.firstOutput).toBeLessThanOrEqual(5)
})
