import * as AlertWindow from "@echelon/core/AlertWindow"
import { expect, it } from "@effect/vitest"

const total = (window: AlertWindow.Window, now: number) => AlertWindow.sums(window, now).reduce((a, b) => a + b, 0)

it("counts what lies within the window and forgets it by tenths", () => {
  const window = AlertWindow.make(10_000, 2)
  const start = 1_700_000_000_000
  for (let i = 0; i < 10; i++) AlertWindow.add(window, i % 2, start + i * 1_000)
  expect([...AlertWindow.sums(window, start + 9_999)]).toEqual([5, 5])
  expect(total(window, start + 10_000)).toBe(9)
  expect(total(window, start + 14_500)).toBe(5)
  expect(total(window, start + 100_000)).toBe(0)
})

it("waits for a clock that goes back a little, and begins anew after a jump", () => {
  const window = AlertWindow.make(10_000, 1)
  AlertWindow.add(window, 0, 1_000_000)
  AlertWindow.add(window, 0, 997_000)
  expect(total(window, 1_000_000)).toBe(2)
  expect(total(window, 500_000)).toBe(0)
})

it("gives a percentile within a bucket's width of the exact one, in fixed memory", () => {
  const window = AlertWindow.make(60_000, AlertWindow.timeBuckets)
  const all: Array<number> = []
  // A long tail, without chance.
  for (let i = 1; i <= 5_000; i++) {
    const value = 20 * (i / 5_000) ** -1.5
    all.push(value)
    AlertWindow.add(window, AlertWindow.bucketOf(value), 1_000 + i)
  }
  all.sort((a, b) => a - b)
  for (const at of [0.5, 0.9, 0.95, 0.99]) {
    const exact = all[Math.ceil(all.length * at) - 1] as number
    const found = AlertWindow.percentile(AlertWindow.sums(window, 6_001), at)
    expect(found?.count).toBe(5_000)
    expect(Math.abs((found?.value ?? 0) / exact - 1)).toBeLessThan(0.08)
  }
  expect(AlertWindow.percentile(new Float64Array(3), 0.95)).toBe(undefined)
  expect(AlertWindow.bucketOf(1e12)).toBe(AlertWindow.timeBuckets - 1)
  expect(AlertWindow.bucketOf(-5)).toBe(0)
})
