import { Cooldown, type LlmError } from "@echelon/core"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Schema } from "effect"

const limited = (millis?: number): LlmError.Reason => ({
  _tag: "RateLimited",
  retryAfter: millis === undefined ? undefined : Duration.millis(millis)
})
const hour = 3_600_000

it("a later named time wins, an earlier one never shortens it", () => {
  const long = Cooldown.failed(Cooldown.none, limited(60_000), 0, 0, hour)
  expect(Cooldown.failed(long, limited(1_000), 100, 100, hour).until).toBe(60_000)
  expect(Cooldown.failed(long, limited(90_000), 100, 100, hour).until).toBe(90_100)
})

it("without a named time the wait doubles from 1 s to 60 s, and a success resets it", () => {
  let state = Cooldown.none
  const waits: Array<number> = []
  for (let i = 0; i < 9; i++) {
    const now = i * hour
    state = Cooldown.failed(state, limited(), now, now, hour)
    waits.push(state.until - now)
  }
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000])
  const fresh = Cooldown.failed(Cooldown.succeeded(state), limited(), 100 * hour, 100 * hour, hour)
  expect(fresh.until - 100 * hour).toBe(1_000)
})

it("attempts that were under way when a wait began meet the same limit once", () => {
  let state = Cooldown.none
  for (let i = 0; i < 8; i++) state = Cooldown.failed(state, limited(), 0, 100 + i, hour)
  expect(state).toMatchObject({ until: 1_100, strikes: 1 })
  expect(Cooldown.failed(state, limited(), 1_100, 1_200, hour)).toMatchObject({ until: 3_200, strikes: 2 })
})

it("clamps what the provider names, and takes a hostile wait for none", () => {
  expect(Cooldown.failed(Cooldown.none, limited(1e12), 0, 0, hour).until).toBe(hour)
  for (const hostile of [0, -5, Number.NaN]) {
    expect(Cooldown.failed(Cooldown.none, limited(hostile), 0, 0, hour).until).toBe(1_000)
  }
})

it("a quota cools until its reset, and not at all without one; nothing else cools", () => {
  const quota = (retryAfter?: Duration.Duration): LlmError.Reason => ({ _tag: "QuotaExhausted", retryAfter })
  expect(Cooldown.failed(Cooldown.none, quota(Duration.minutes(5)), 0, 0, hour).until).toBe(300_000)
  expect(Cooldown.failed(Cooldown.none, quota(), 0, 0, hour)).toBe(Cooldown.none)
  expect(Cooldown.failed(Cooldown.none, { _tag: "Overloaded" }, 0, 0, hour)).toBe(Cooldown.none)
})

it.effect.prop(
  "is a join: the order of failures does not matter to the end",
  { waits: Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 100_000 }))) },
  ({ waits }) =>
    Effect.sync(() => {
      const end = (order: ReadonlyArray<number>) =>
        order.reduce((state, wait) => Cooldown.failed(state, limited(wait), 0, 0, hour), Cooldown.none).until
      expect(end(waits)).toBe(end([...waits].reverse()))
      expect(end(waits)).toBe(Math.max(0, ...waits))
    })
)
