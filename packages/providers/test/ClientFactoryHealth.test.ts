import * as Health from "@echelon/providers/ClientFactoryHealth"
import { expect, it } from "@effect/vitest"
import { seeded } from "./Support.ts"

const hour = 3_600_000

it("any hour holds at most the limits, whatever is asked", () => {
  const random = seeded(7)
  const limits = { usdPerHour: 0.05, requestsPerHour: 20 }
  let state = Health.initial
  let now = 0
  const made: Array<{ readonly at: number; readonly usd: number }> = []
  for (let i = 0; i < 3_000; i++) {
    now += Math.floor(random() * 200_000)
    const usd = random() < 0.5 ? 0 : random() * 0.02
    const [decision, after] = Health.admit(state, { now, usd }, limits)
    state = after
    expect(state.length).toBeLessThanOrEqual(limits.requestsPerHour)
    if (decision._tag === "Check") made.push({ at: now, usd })
    else if (decision.retryAt !== undefined) {
      // It is admitted exactly when it says, and not before.
      expect(Health.admit(state, { now: decision.retryAt, usd }, limits)[0]._tag).toBe("Check")
      expect(Health.admit(state, { now: decision.retryAt - 1, usd }, limits)[0]._tag).toBe("Skip")
    }
  }
  expect(made.length).toBeGreaterThan(500)
  for (const [i, { at }] of made.entries()) {
    const within = made.slice(0, i + 1).filter((one) => one.at > at - hour)
    expect(within.length).toBeLessThanOrEqual(limits.requestsPerHour)
    expect(within.reduce((sum, { usd }) => sum + usd, 0)).toBeLessThanOrEqual(limits.usdPerHour + 1e-6)
  }
})

it("what can never be admitted says so", () => {
  const never = { _tag: "Skip", of: "usd", retryAt: undefined } as const
  const limits = { usdPerHour: 0.001, requestsPerHour: 1 }
  expect(Health.admit([], { now: 0, usd: 0.002 }, limits)[0]).toEqual(never)
  expect(Health.admit([], { now: 0, usd: 0 }, { usdPerHour: 1, requestsPerHour: 0 })[0]).toEqual({
    ...never,
    of: "requests"
  })
  expect(Health.explain(never, limits, 0)).toBe("health checks may cost 0.001 USD an hour, and this one costs more")
})

it("a list of models is free, an unknown price is not", () => {
  expect(Health.costOf("models", undefined)).toBe(0)
  expect(Health.costOf("ping", { input: 1, output: 2 })).toBeCloseTo((16 + 32) / 1e6, 12)
  expect(Health.costOf("ping", undefined)).toBeGreaterThan(0.001)
})
