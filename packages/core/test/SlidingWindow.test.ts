import * as SlidingWindow from "@echelon/core/SlidingWindow"
import { expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { dice } from "./support/dice.ts"

it("counts a grant for the window and at most a slot longer", () => {
  const window = SlidingWindow.make(10, 60_000)
  SlidingWindow.charge(window, 10, 600)
  expect(SlidingWindow.earliest(window, 1, 60_600)).toBe(61_200)
  expect(SlidingWindow.earliest(window, 1, 61_199)).toBe(61_200)
  expect(SlidingWindow.earliest(window, 1, 61_200)).toBe(61_200)
})

it("names the time at which enough has left, for debts too", () => {
  const window = SlidingWindow.make(10, 100)
  for (const t of [0, 10, 20, 30]) SlidingWindow.charge(window, 4, t)
  expect([2, 4, 10].map((units) => SlidingWindow.earliest(window, units, 30))).toEqual([10 + 101, 20 + 101, 30 + 101])
  expect(SlidingWindow.earliest(window, 11, 30)).toBe(Number.POSITIVE_INFINITY)
})

it("a refund leaves the slot it was charged to, and comes to nothing when that is gone", () => {
  const window = SlidingWindow.make(10, 100)
  const mark = SlidingWindow.charge(window, 6, 0)
  SlidingWindow.charge(window, 4, 50)
  SlidingWindow.giveBack(window, 6, mark, 60)
  expect(SlidingWindow.used(window, 60)).toBe(4)
  const other = SlidingWindow.make(10, 100)
  const old = SlidingWindow.charge(other, 6, 0)
  SlidingWindow.charge(other, 4, 101)
  SlidingWindow.giveBack(other, 6, old, 101)
  expect(SlidingWindow.used(other, 101)).toBe(4)
})

it("a clock that goes back a little is waited for; after a jump all that counted counts as new", () => {
  const window = SlidingWindow.make(10, 100)
  const mark = SlidingWindow.charge(window, 6, 1_000)
  SlidingWindow.charge(window, 2, 990)
  expect(SlidingWindow.used(window, 1_100)).toBe(8)
  expect(SlidingWindow.used(window, 1_101)).toBe(0)
  const late = SlidingWindow.charge(window, 6, 1_100_000)
  expect(SlidingWindow.earliest(window, 6, 5)).toBe(106)
  SlidingWindow.giveBack(window, 6, late, 6)
  SlidingWindow.giveBack(window, 6, mark, 6)
  expect([SlidingWindow.used(window, 6), SlidingWindow.used(window, 105), SlidingWindow.used(window, 106)]).toEqual([
    6, 6, 0
  ])
})

it.each([1, 99, 100, 101, 150, 12_345.6, 86_400_000])("memory is bounded: a window of %d ms", (span) => {
  const { slots, width } = SlidingWindow.make(1, span)
  expect(slots.length).toBeLessThanOrEqual(101)
  expect((slots.length - 1) * width).toBeGreaterThanOrEqual(span)
})

it("a window that is always full passes 99 % of its limit", () => {
  const window = SlidingWindow.make(1_000, 60_000)
  let passed = 0
  for (let now = 0; now < 3_600_000; now += 50) {
    if (SlidingWindow.earliest(window, 1, now) !== now) continue
    SlidingWindow.charge(window, 1, now)
    passed += 1
  }
  expect(passed).toBeLessThanOrEqual(60_000)
  expect(passed).toBeGreaterThan(59_000)
})

it.effect.prop(
  "at most the limit in any window, less what was refunded; and what it names is granted, and not much too late",
  { seed: Schema.Int },
  ({ seed }) =>
    Effect.sync(() => {
      const { below, of } = dice(seed)
      const limit = 1 + below(40)
      const span = of([1, 7, 100, 1_000, 60_000, 86_400_000])
      const window = SlidingWindow.make(limit, span)
      const grants: Array<{ at: number; units: number; kept: number; mark: number; live: boolean }> = []
      let now = 1_700_000_000_000 + below(1_000)
      const within = (reach: number) => grants.reduce((sum, one) => sum + (one.at > now - reach ? one.kept : 0), 0)
      for (let step = 0; step < 150; step++) {
        now += of([0, 0, 1, below(span), below(Math.ceil(span / 20)), below(span * 2)])
        if (below(3) > 0) {
          const units = 1 + below(limit)
          const at = SlidingWindow.earliest(window, units, now)
          if (at > now) expect(within(span + window.width) + units).toBeGreaterThan(limit)
          if (below(2) === 0) now = at
          if (now < at) continue
          expect(SlidingWindow.earliest(window, units, now)).toBe(now)
          grants.push({ at: now, units, kept: units, mark: SlidingWindow.charge(window, units, now), live: true })
          expect(within(span)).toBeLessThanOrEqual(limit)
        } else {
          const grant = grants[below(grants.length)]
          if (grant === undefined || !grant.live) continue
          const units = 1 + below(grant.units)
          SlidingWindow.giveBack(window, units, grant.mark, now)
          grant.kept -= units
          grant.live = false
        }
        expect(Math.min(...window.slots)).toBeGreaterThanOrEqual(0)
        expect(window.used).toBe(window.slots.reduce((a, b) => a + b))
      }
    })
)
