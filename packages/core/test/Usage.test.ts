import { Usage } from "@echelon/core"
import { expect, it } from "@effect/vitest"

const reported = Usage.fromFinish({
  inputTokens: { total: 1_000, cacheRead: 400 },
  outputTokens: { total: 500, reasoning: 100 }
})

it("an unreported figure is undefined, never 0", () => {
  expect(Usage.fromFinish({ inputTokens: {}, outputTokens: {} })).toEqual(Usage.unknown)
  expect(reported).toMatchObject({ inputTokens: 1_000, cacheWriteTokens: undefined, source: "reported" })
})

it("costs cached tokens at their own price, and nothing is guessed", () => {
  expect(Usage.cost(reported, { input: 10, output: 20, cachedInput: 1 })).toBeCloseTo(0.0164, 10)
  expect(Usage.cost(reported, { input: 10, output: 20 })).toBeCloseTo(0.02, 10)
  expect(Usage.cost(reported, undefined)).toBeUndefined()
  expect(Usage.cost(Usage.unknown, { input: 10, output: 20 })).toBeUndefined()
})

it("a sum is as trustworthy as its weaker part", () => {
  expect(Usage.add(reported, reported)).toMatchObject({ inputTokens: 2_000, source: "reported" })
  expect(Usage.add(reported, Usage.unknown)).toMatchObject({ inputTokens: 1_000, source: "unknown" })
})
