import * as TokenBucket from "@echelon/core/TokenBucket"
import { expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"
import { dice } from "./support/dice.ts"

it("grants the bucket at once, then as it refills, at exactly the time it names", () => {
  const bucket = TokenBucket.make(10, 2)
  TokenBucket.charge(bucket, 10, 1_000)
  expect(TokenBucket.earliest(bucket, 1, 1_000)).toBe(1_500)
  expect(TokenBucket.earliest(bucket, 4, 1_200)).toBe(3_000)
  expect(TokenBucket.earliest(bucket, 1, 1_499)).toBe(1_500)
  expect(TokenBucket.earliest(bucket, 1, 1_500)).toBe(1_500)
  TokenBucket.charge(bucket, 1, 1_500)
  expect(TokenBucket.earliest(bucket, 1, 1_500)).toBe(2_000)
  expect(TokenBucket.used(bucket, 100_000)).toBe(0)
})

it("never grants more than its size, and works off a debt", () => {
  const bucket = TokenBucket.make(10, 1)
  expect(TokenBucket.earliest(bucket, 11, 0)).toBe(Number.POSITIVE_INFINITY)
  TokenBucket.charge(bucket, 25, 0)
  expect(TokenBucket.earliest(bucket, 1, 0)).toBe(16_000)
})

it("a refund at once returns all; a late one only what time has not refilled", () => {
  const at = (age: number) => {
    const bucket = TokenBucket.make(10, 1)
    const mark = TokenBucket.charge(bucket, 6, 0)
    TokenBucket.giveBack(bucket, 6, mark, age)
    TokenBucket.charge(bucket, 6, age)
    return TokenBucket.used(bucket, age)
  }
  // Later, 6 are charged on top of what is left of the backlog: no refund may have taken more than that.
  expect([at(0), at(4_000), at(6_000), at(60_000)]).toEqual([6, 6, 6, 6])
  const bucket = TokenBucket.make(10, 1)
  const mark = TokenBucket.charge(bucket, 6, 0)
  TokenBucket.charge(bucket, 4, 4_000)
  TokenBucket.giveBack(bucket, 6, mark, 4_000)
  expect(TokenBucket.used(bucket, 4_000)).toBe(4)
})

it("a saturated bucket returns a late refund in full", () => {
  const bucket = TokenBucket.make(10, 1)
  TokenBucket.charge(bucket, 9, 0)
  const mark = TokenBucket.charge(bucket, 1, 0)
  TokenBucket.giveBack(bucket, 1, mark, 5_000)
  expect(TokenBucket.used(bucket, 5_000)).toBe(4)
})

it("what came before a charge does not lessen its refund, what came after it does", () => {
  const bucket = TokenBucket.make(10, 1)
  TokenBucket.charge(bucket, 5, 0)
  const early = TokenBucket.charge(bucket, 6, 5_000)
  TokenBucket.giveBack(bucket, 6, early, 5_000)
  expect(TokenBucket.used(bucket, 5_000)).toBe(0)
  const one = TokenBucket.charge(bucket, 5, 5_000)
  const other = TokenBucket.charge(bucket, 5, 5_000)
  TokenBucket.giveBack(bucket, 5, one, 5_000)
  // The bucket is full again at 10 s, so nothing of the other charge is missing.
  TokenBucket.charge(bucket, 6, 10_000)
  TokenBucket.giveBack(bucket, 5, other, 10_000)
  expect(TokenBucket.used(bucket, 10_000)).toBe(6)
})

it("keeps its level when it is resized", () => {
  const bucket = TokenBucket.make(10, 1)
  TokenBucket.charge(bucket, 8, 0)
  TokenBucket.resize(bucket, 5, 2, 1_000)
  expect(TokenBucket.used(bucket, 1_000)).toBe(7)
  expect(TokenBucket.earliest(bucket, 1, 1_000)).toBe(2_500)
})

it("a clock that goes back refills nothing twice, and a jump does not stop the bucket", () => {
  const bucket = TokenBucket.make(10, 1)
  TokenBucket.charge(bucket, 10, 100_000)
  for (const now of [99_000, 100_000, 99_500, 100_000]) TokenBucket.earliest(bucket, 1, now)
  expect(TokenBucket.used(bucket, 100_000)).toBe(10)
  expect(TokenBucket.used(bucket, 0)).toBe(10)
  expect(TokenBucket.used(bucket, 3_000)).toBe(7)
})

it.effect.prop(
  "at most size + rate × t in any t, less what was refunded; and what it names is granted",
  { seed: Schema.Int },
  ({ seed }) =>
    Effect.sync(() => {
      const { below, of } = dice(seed)
      const size = 1 + below(50)
      const rate = of([0.1, 1, 3, 16.67, 400])
      const bucket = TokenBucket.make(size, rate)
      const grants: Array<{ at: number; units: number; kept: number; mark: number; live: boolean }> = []
      let now = 1_700_000_000_000
      for (let step = 0; step < 150; step++) {
        now += of([0, 0, 1, below(50), below(2_000), Math.floor((below(size + 1) / rate) * 1_000)])
        if (below(3) > 0) {
          const units = 1 + below(size)
          const at = TokenBucket.earliest(bucket, units, now)
          if (below(2) === 0) now = at
          if (now < at) continue
          expect(TokenBucket.earliest(bucket, units, now)).toBe(now)
          grants.push({ at: now, units, kept: units, mark: TokenBucket.charge(bucket, units, now), live: true })
          let sum = 0
          let excess = 0
          for (const grant of grants.toReversed()) {
            sum += grant.kept
            excess = Math.max(excess, sum - size - (rate * (now - grant.at)) / 1_000)
          }
          expect(excess).toBeLessThanOrEqual(1e-3)
        } else {
          const grant = grants[below(grants.length)]
          if (grant === undefined || !grant.live) continue
          const units = 1 + below(grant.units)
          TokenBucket.giveBack(bucket, units, grant.mark, now)
          grant.kept -= units
          grant.live = false
          expect(TokenBucket.used(bucket, now)).toBeGreaterThanOrEqual(0)
        }
      }
    })
)
