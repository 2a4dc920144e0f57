import * as MetricSeries from "@echelon/core/MetricSeries"
import * as MetricsSnapshot from "@echelon/core/MetricsSnapshot"
import { expect, it } from "@effect/vitest"
import { dice } from "./support/dice.ts"

const distribution = (labels: Readonly<Record<string, string>>, ...values: ReadonlyArray<number>) => {
  const histogram = new MetricSeries.Histogram([1, 2, 4, 8])
  for (const value of values) histogram.record(value)
  const { boundaries, counts, max, min, sum, updates } = histogram
  return { labels, boundaries, counts: [...counts], count: updates, sum, min, max }
}

it("series are added and joined by their labels", () => {
  const values = [
    { labels: { a: "x", b: "y" }, value: 1 },
    { labels: { a: "x" }, value: 2 },
    { labels: {}, value: 4 }
  ]
  expect(MetricsSnapshot.sum(values)).toBe(7)
  expect(MetricsSnapshot.sum(values, { a: "x" })).toBe(3)
  expect(MetricsSnapshot.sum(values, { a: "z" })).toBe(0)
  const joined = MetricsSnapshot.merge([distribution({ a: "x" }, 1, 9), distribution({ a: "y" }, 3)])
  expect(joined).toMatchObject({ counts: [1, 0, 1, 0, 1], count: 3, sum: 13, min: 1, max: 9 })
  expect(MetricsSnapshot.merge([distribution({ a: "x" }, 1)], { a: "z" })).toBeUndefined()
})

it("a quantile lies in its bucket, within what was seen, and grows with the share", () => {
  expect(MetricsSnapshot.quantile(distribution({}, 3), 0.5)).toBe(3)
  expect(MetricsSnapshot.quantile(distribution({}), 0.5)).toBeUndefined()
  expect(MetricsSnapshot.quantile(distribution({}, 1, 1, 1, 1, 3.5, 3.5), 0.95)).toBe(3.5)
  const { random } = dice(5)
  for (let round = 0; round < 50; round++) {
    const values = Array.from({ length: 1 + (round % 17) }, () => random() * 12).sort((a, b) => a - b)
    const made = distribution({}, ...values)
    let last = 0
    for (const q of [0, 0.1, 0.5, 0.9, 0.99, 1]) {
      const found = MetricsSnapshot.quantile(made, q) ?? Number.NaN
      const exact = values[Math.max(0, Math.ceil(q * values.length) - 1)] ?? Number.NaN
      const bucket = (value: number) => made.boundaries.findIndex((bound) => value <= bound)
      expect(bucket(found)).toBe(bucket(exact))
      expect(found).toBeGreaterThanOrEqual(last)
      last = found
    }
    expect(last).toBe(values.at(-1))
  }
})
