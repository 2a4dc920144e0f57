import * as HedgeState from "@echelon/core/HedgeState"
import { expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { dice } from "./support/dice.ts"

const options = { percentile: 0.95, minDelay: 0, budget: 0.05 }

/** `Schema.Int` alone gives few and small numbers, most of them twice. */
const seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2_147_483_647 }))

/** A state that has seen the times at the moment 0. */
const after = (times: ReadonlyArray<number>, some: Partial<typeof options> = {}) => {
  const state = HedgeState.make({ ...options, ...some })
  for (const millis of times) HedgeState.observe(state, true, millis, 0)
  return state
}
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1)

it("waits for the percentile of recent times, never less than the least delay", () => {
  expect(HedgeState.delay(after(upTo(100).reverse()), true, 0)).toBe(95)
  expect(HedgeState.delay(after(upTo(100), { minDelay: 90 }), true, 0)).toBe(95)
  expect(HedgeState.delay(after(upTo(100), { minDelay: 500 }), true, 0)).toBe(500)
  expect(HedgeState.delay(after(upTo(100), { percentile: 0.5 }), true, 0)).toBe(50)
  expect(HedgeState.delay(after(upTo(20), { percentile: 0 }), true, 0)).toBe(1)
  expect(HedgeState.delay(after(upTo(300), { percentile: 1 }), true, 0)).toBe(300)
})

it.each([
  [0.5, 20],
  [0.95, 20],
  [0.96, 25],
  [0.99, 100],
  [0.999, 256],
  [1, 256]
])("at the percentile %d it takes %d times to tell a tail", (percentile, minimum) => {
  const state = after(upTo(minimum - 1), { percentile })
  expect(HedgeState.delay(state, true, 0)).toBeUndefined()
  HedgeState.observe(state, true, 1, 0)
  expect(HedgeState.delay(state, true, 0)).toBeTypeOf("number")
})

it("streamed and buffered replies are told apart", () => {
  const state = after(upTo(20))
  expect(HedgeState.delay(state, false, 0)).toBeUndefined()
  for (const millis of upTo(20)) HedgeState.observe(state, false, 1_000 + millis, 0)
  expect([HedgeState.delay(state, true, 0), HedgeState.delay(state, false, 0)]).toEqual([19, 1_019])
})

it("forgets what is old, by number and by age", () => {
  const state = after(upTo(256))
  for (let i = 0; i < 256; i++) HedgeState.observe(state, true, 7, 1_000)
  expect(HedgeState.delay(state, true, 1_000)).toBe(7)
  expect(HedgeState.delay(state, true, 600_999)).toBe(7)
  expect(HedgeState.delay(state, true, 601_000)).toBeUndefined()
})

it("a time that cannot be says nothing, nor do times from before the clock was set back", () => {
  const state = after([...upTo(19), -1, Number.NaN, Number.POSITIVE_INFINITY])
  expect(HedgeState.delay(state, true, 0)).toBeUndefined()
  const back = HedgeState.make(options)
  for (const millis of upTo(20)) HedgeState.observe(back, true, millis, 10_000_000)
  expect(HedgeState.delay(back, true, 9_999_000)).toBe(19)
  expect(HedgeState.delay(back, true, 0)).toBeUndefined()
})

it("without a budget there is no delay", () => {
  expect(HedgeState.delay(after(upTo(100), { budget: 0 }), true, 0)).toBeUndefined()
})

it.effect.prop("is the nearest rank in a plain list of the recent times", { seed }, ({ seed }) =>
  Effect.sync(() => {
    const { below, random } = dice(seed)
    const percentile = below(10) === 0 ? below(2) : random()
    const state = HedgeState.make({ ...options, percentile })
    let seen: Array<{ readonly at: number; readonly millis: number }> = []
    let now = below(1_000_000)
    const wrong: Array<unknown> = []
    for (let i = 0; i < 400; i++) {
      now += below(5) === 0 ? below(40_000) : below(1_000)
      const millis = below(50)
      HedgeState.observe(state, true, millis, now)
      seen = [...seen, { at: now, millis }].slice(-256)
      now += below(3) === 0 ? below(1_000) : 0
      const sorted = seen
        .filter((one) => now - one.at < 600_000)
        .map((one) => one.millis)
        .sort((a, b) => a - b)
      const expected = sorted.find((_, i) => (i + 1) / sorted.length >= percentile)
      const found = HedgeState.delay(state, true, now)
      if (found !== (sorted.length < state.minimum ? undefined : expected)) wrong.push([found, expected, sorted.length])
    }
    expect(wrong).toEqual([])
  })
)

it("those that were given up count with the time they waited, once that is beyond the delay", () => {
  const state = after(upTo(20))
  for (let i = 0; i < 100; i++) HedgeState.observeAtLeast(state, true, 18, 0)
  expect(HedgeState.delay(state, true, 0)).toBe(19)
  HedgeState.observeAtLeast(state, true, 19, 0)
  expect(state.streamed.count).toBe(21)
  for (let i = 0; i < 10; i++) HedgeState.observeAtLeast(state, true, 500, 0)
  expect(HedgeState.delay(state, true, 0)).toBe(500)
  const fresh = after(upTo(19))
  HedgeState.observeAtLeast(fresh, true, 500, 0)
  expect(HedgeState.delay(fresh, true, 0)).toBeUndefined()
})

it("aborting the slow does not make the delay sink", () => {
  const { random } = dice(1)
  const state = HedgeState.make({ ...options, budget: 1 })
  let late = 0
  for (let i = 0; i < 20_000; i++) {
    const took = 100 * random()
    const delay = HedgeState.delay(state, true, i)
    if (delay !== undefined && took > delay) {
      late += 1
      HedgeState.observeAtLeast(state, true, Math.min(took, delay + 1), i)
    } else HedgeState.observe(state, true, took, i)
  }
  expect(late / 20_000).toBeGreaterThan(0.04)
  expect(late / 20_000).toBeLessThan(0.07)
})

const granted = (state: HedgeState.State) => {
  let hedges = 0
  while (hedges < 100 && HedgeState.take(state)) hedges += 1
  return hedges
}

it.each([
  [0.05, 20, 1],
  [0.1, 10, 1],
  [0.05, 60, 3],
  [1, 3, 3],
  [0.05, 19, 0],
  [0, 1_000, 0],
  [0.05, 10_000, 10]
])("a budget of %d earns by %d requests %d hedges", (budget, requests, hedges) => {
  const state = HedgeState.make({ ...options, budget })
  for (let i = 0; i < requests; i++) HedgeState.request(state)
  expect(granted(state)).toBe(hedges)
})

it("a hedge that was not sent is given back, and never adds to what may be saved", () => {
  const state = HedgeState.make({ ...options, budget: 1 })
  HedgeState.request(state)
  expect([HedgeState.take(state), HedgeState.take(state)]).toEqual([true, false])
  HedgeState.giveBack(state)
  expect(granted(state)).toBe(1)
  for (let i = 0; i < 30; i++) HedgeState.giveBack(state)
  expect(granted(state)).toBe(10)
})

it.effect.prop(
  "in any run of requests the hedges are at most their share and ten, and their share from the first request on",
  { seed },
  ({ seed }) =>
    Effect.sync(() => {
      const { below, random } = dice(seed)
      const budget = random()
      const state = HedgeState.make({ ...options, budget })
      const eager = random()
      // Hedges less what requests earned: never above zero, nor ten above where it once was.
      let line = 0
      let lowest = 0
      let highest = 0
      let climb = 0
      for (let i = 0; i < 2_000; i++) {
        if (random() >= eager) {
          HedgeState.request(state)
          line -= budget
        } else if (HedgeState.take(state)) {
          if (below(4) === 0) HedgeState.giveBack(state)
          else line += 1
        }
        lowest = Math.min(lowest, line)
        highest = Math.max(highest, line)
        climb = Math.max(climb, line - lowest)
      }
      expect([highest < 1e-6, climb < 10 + 1e-6]).toEqual([true, true])
    })
)

it.each([
  [{ percentile: 1.1 }, "HedgeState.make: percentile must be 0 to 1, got 1.1"],
  [{ percentile: Number.NaN }, "HedgeState.make: percentile must be 0 to 1, got NaN"],
  [{ minDelay: -1 }, "HedgeState.make: minDelay must be a finite number from 0, got -1"],
  [{ minDelay: Number.POSITIVE_INFINITY }, "HedgeState.make: minDelay must be a finite number from 0, got Infinity"],
  [{ budget: -0.1 }, "HedgeState.make: budget must be 0 to 1, got -0.1"],
  [{ budget: 5 }, "HedgeState.make: budget must be 0 to 1, got 5"]
])("%o is no hedge", (some, message) => {
  expect(() => HedgeState.make({ ...options, ...some })).toThrow(new RangeError(message))
})
