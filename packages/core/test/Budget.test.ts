import { Budget } from "@echelon/core"
import { expect, it } from "@effect/vitest"

it("gives the attempts it has, and lowers but never raises them", () => {
  const budget = Budget.make({ attempts: 3 })
  budget.limit(2)
  budget.limit(9)
  expect([budget.take(), budget.take(), budget.take()]).toEqual(["taken", "taken", "attempts"])
})

it("refuses once the money is spent", () => {
  const budget = Budget.make({ maxCost: 0.5 })
  budget.spend(0.4)
  expect(budget.take()).toBe("taken")
  budget.spend(0.1)
  expect(budget.take()).toBe("cost")
})

it("refuses a limit that allows nothing", () => {
  expect(() => Budget.make({ attempts: 0 })).toThrow("Budget.make: attempts must be at least 1, got 0")
  expect(() => Budget.make({ maxCost: Number.NaN })).toThrow("maxCost must be above 0, got NaN")
})
