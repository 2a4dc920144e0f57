import { RetryBudget } from "@echelon/core"
import { expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"

const retries = (budget: RetryBudget.RetryBudget, now: number) => {
  let granted = 0
  while (granted < 10_000 && budget.retry(now)) granted += 1
  return granted
}

it("grants a share of recent requests, and a few a second always", () => {
  const budget = RetryBudget.make({ ratio: 0.2, minPerSecond: 1 })
  for (let i = 0; i < 100; i++) budget.request(5_000)
  expect(retries(budget, 5_500)).toBe(20 + 10)
  expect(retries(budget, 6_500)).toBe(0)
  expect(retries(budget, 15_000)).toBe(10)
})

it("without requests the minimum is all there is", () => {
  expect(retries(RetryBudget.make({ ratio: 1, minPerSecond: 0 }), 0)).toBe(0)
  expect(retries(RetryBudget.make({ ratio: 0, minPerSecond: 3 }), 0)).toBe(30)
})

const at = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 40_000 }))

it.effect.prop(
  "in any ten seconds retries stay below the share of requests plus the minimum",
  { steps: Schema.Array(Schema.Tuple([at, Schema.Boolean])).check(Schema.isMaxLength(200)) },
  ({ steps }) =>
    Effect.sync(() => {
      const budget = RetryBudget.make({ ratio: 0.5, minPerSecond: 0.2 })
      const requests: Array<number> = []
      const granted: Array<number> = []
      for (const [time, isRetry] of [...steps].sort(([a], [b]) => a - b)) {
        if (!isRetry) {
          budget.request(time)
          requests.push(time)
        } else if (budget.retry(time)) granted.push(time)
        const second = Math.floor(time / 1_000)
        const recent = (times: ReadonlyArray<number>) =>
          times.filter((one) => Math.floor(one / 1_000) > second - 10).length
        expect(recent(granted)).toBeLessThanOrEqual(0.5 * requests.length + 2 + 1)
      }
    })
)
