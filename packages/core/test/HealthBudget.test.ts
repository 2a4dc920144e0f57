import * as HealthBudget from "@echelon/core/HealthBudget"
import { expect, it } from "@effect/vitest"
import { dice } from "./support/dice.ts"

const minute = 60_000
const hour = 60 * minute

it("says what is used up and when there is room again", () => {
  const limits = { requestsPerHour: 2, costPerHour: 1 }
  const state = HealthBudget.make()
  const ask = { usd: 0.4, isIdle: false }
  HealthBudget.take(state, ask, limits, 0)
  HealthBudget.take(state, ask, limits, 10 * minute)
  expect(HealthBudget.peek(state, ask, limits, 11 * minute)).toEqual({
    _tag: "Wait",
    of: "requests",
    until: 61 * minute
  })
  expect(HealthBudget.peek(state, ask, limits, 61 * minute)).toEqual({ _tag: "Probe" })
  expect(HealthBudget.peek(state, { ...ask, usd: 0.7 }, limits, 61 * minute)).toEqual({
    _tag: "Wait",
    of: "usd",
    until: 71 * minute
  })
  expect(HealthBudget.peek(state, { ...ask, usd: 1.1 }, limits, 0)).toEqual({
    _tag: "Wait",
    of: "usd",
    until: undefined
  })
  expect(HealthBudget.peek(HealthBudget.make(), ask, { ...limits, requestsPerHour: 0 }, 0)).toEqual({
    _tag: "Wait",
    of: "requests",
    until: undefined
  })
  expect(HealthBudget.spent(state, 60 * minute)).toEqual({ requests: 2, usd: 0.8 })
  expect(HealthBudget.spent(state, 61 * minute)).toEqual({ requests: 1, usd: 0.4 })
})

it("properties: no hour holds more than the limits, what is idle leaves a part, and what is told to wait may go then", () => {
  for (let seed = 1; seed <= 60; seed++) {
    const { below, of } = dice(seed)
    const limits = { requestsPerHour: of([1, 3, 8, 60]), costPerHour: of([0.05, 1]) }
    const state = HealthBudget.make()
    const made: Array<{ readonly at: number; readonly usd: number; readonly isIdle: boolean }> = []
    let now = below(hour)
    const onlyIdle = seed % 2 === 0
    for (let i = 0; i < 600; i++) {
      now += below(3 * minute)
      const ask = { usd: of([0, 0.002, 0.02]), isIdle: onlyIdle || below(2) === 0 }
      const decision = HealthBudget.peek(state, ask, limits, now)
      if (decision._tag === "Probe") {
        HealthBudget.take(state, ask, limits, now)
        made.push({ at: now, ...ask })
      } else if (decision.until !== undefined) {
        expect(decision.until).toBeGreaterThan(now)
        expect(HealthBudget.peek(state, ask, limits, decision.until)._tag).toBe("Probe")
      }
    }
    expect(made.length).toBeGreaterThan(0)
    for (const { at } of made) {
      const within = made.filter((one) => one.at >= at && one.at < at + hour)
      expect(within.length).toBeLessThanOrEqual(limits.requestsPerHour)
      expect(within.reduce((sum, { usd }) => sum + usd, 0)).toBeLessThanOrEqual(limits.costPerHour + 1e-6)
      const idle = within.filter(({ isIdle }) => isIdle).length
      if (limits.requestsPerHour >= 8) expect(idle).toBeLessThanOrEqual(limits.requestsPerHour * 0.75 + 1)
    }
  }
})

it("the payer who has most left pays, somebody who insists is counted, and who is gone is forgotten", () => {
  const purse = new HealthBudget.Purse()
  const payers = [
    { name: "small", limits: { requestsPerHour: 1, costPerHour: 1 } },
    { name: "large", limits: { requestsPerHour: 3, costPerHour: 1 } }
  ]
  const ask = { usd: 0.1, isIdle: false }
  const paid = () => purse.spent(0).map(([name, { requests }]) => `${name} ${requests}`)
  for (let i = 0; i < 3; i++) expect(purse.charge(payers, ask, 0)).toBeUndefined()
  expect(paid()).toEqual(["small 1", "large 2"])
  expect(purse.charge(payers, ask, 0)).toBeUndefined()
  expect(purse.charge(payers, ask, 0)).toBe(61 * minute)
  purse.insist(payers, ask, 0)
  expect(paid()).toEqual(["small 2", "large 3"])
  purse.keep(new Set(["large"]))
  expect(paid()).toEqual(["large 3"])
  expect(purse.charge([], ask, 0)).toBe(Number.POSITIVE_INFINITY)
})
