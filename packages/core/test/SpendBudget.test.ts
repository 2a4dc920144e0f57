import type * as Plan from "@echelon/core/Plan"
import * as SpendBudget from "@echelon/core/SpendBudget"
import type * as UsageCalendar from "@echelon/core/UsageCalendar"
import { expect, it } from "@effect/vitest"

const day = (n: number): UsageCalendar.Span => ({ day: `2026-03-0${n}`, from: n * 100, until: n * 100 + 100 })
const budget: Plan.SpendBudget = { scope: "tenant", name: "*", period: "day", limit: 10, unpriced: "allow" }
const usd = 1e9
const account = () => SpendBudget.open(budget, "acme", day(1))

it("is used up by what was spent and what runs together", () => {
  const one = account()
  SpendBudget.charge(one, 6 * usd)
  expect(SpendBudget.isExhausted(one)).toBe(false)
  one.reserved += 4 * usd
  expect(SpendBudget.isExhausted(one)).toBe(true)
  one.reserved -= 1
  expect(SpendBudget.isExhausted(one)).toBe(false)
})

it("each mark is told once, all that a charge reaches in their order", () => {
  const one = account()
  const told = [4.9, 0.1, 2.9, 0.1, 5, 5].map((spent) => SpendBudget.charge(one, spent * usd))
  expect(told).toEqual([[], [0.5], [], [0.8], [1], []])
  expect(SpendBudget.charge(account(), 11 * usd)).toEqual([0.5, 0.8, 1])
})

it("a period that is over begins anew, with what runs still reserved", () => {
  const one = account()
  one.reserved = 5
  expect(SpendBudget.roll(one, day(1))).toBe(false)
  SpendBudget.charge(one, 9 * usd)
  expect(SpendBudget.roll(one, day(2))).toBe(true)
  expect([one.spent, one.reserved, one.span.from]).toEqual([0, 5, 200])
  expect(SpendBudget.charge(one, 5 * usd)).toEqual([0.5])
  expect(SpendBudget.roll(account(), day(2))).toBe(false)
})

it("the ledger corrects upwards, and only the period that it was asked for", () => {
  const one = account()
  SpendBudget.charge(one, 3 * usd)
  expect(SpendBudget.correct(one, 2 * usd, 100)).toEqual([])
  expect(one.spent).toBe(3 * usd)
  expect(SpendBudget.correct(one, 9 * usd, 0)).toEqual([])
  expect(one.spent).toBe(3 * usd)
  expect(SpendBudget.correct(one, 9 * usd, 100)).toEqual([0.5, 0.8])
  expect(one.spent).toBe(9 * usd)
})

it("another limit holds at once, and tells the marks that it moves under what was spent", () => {
  const one = account()
  SpendBudget.charge(one, 8 * usd)
  expect(SpendBudget.resize(one, { limit: 100, unpriced: "refuse" })).toEqual([0])
  expect(SpendBudget.isExhausted(one)).toBe(false)
  expect(SpendBudget.charge(one, 42 * usd)).toEqual([0.5])
  expect(SpendBudget.resize(one, { limit: 50, unpriced: "refuse" })).toEqual([0.8, 1])
  expect([SpendBudget.isExhausted(one), one.unpriced]).toEqual([true, "refuse"])
  // What is taken back is told as what still holds, and what still holds with its limit.
  expect(SpendBudget.resize(one, { limit: 60, unpriced: "refuse" })).toEqual([0.8])
  expect(SpendBudget.resize(one, { limit: 62, unpriced: "refuse" })).toEqual([0.8])
  expect(SpendBudget.resize(one, { limit: 62, unpriced: "allow" })).toEqual([])
})

it("other marks are told beside those that always are", () => {
  const marks = SpendBudget.marksWith([0.65, 0.8, 0])
  expect(marks).toEqual([0.5, 0.65, 0.8, 1])
  const one = SpendBudget.open(budget, "acme", day(1), marks)
  expect(SpendBudget.charge(one, 7 * usd)).toEqual([0.5, 0.65])
  expect(SpendBudget.resize(one, budget, SpendBudget.marksWith([0.6]))).toEqual([0.6])
  expect(SpendBudget.resize(one, budget)).toEqual([])
  expect(SpendBudget.resize(one, budget, SpendBudget.marks)).toEqual([0.5])
})
