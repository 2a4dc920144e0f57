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

it("costs what was written to the cache at its own price, and takes off the discount of a batch", () => {
  const written = Usage.fromFinish({
    inputTokens: { total: 1_000, cacheRead: 400, cacheWrite: 300 },
    outputTokens: { total: 500 }
  })
  const prices = { input: 10, output: 20, cachedInput: 1, cacheWrite: 12.5, batchDiscount: 0.5 }
  // 300 at 10, 400 at 1, 300 at 12.5, 500 at 20.
  expect(Usage.cost(written, prices)).toBeCloseTo(0.01715, 10)
  expect(Usage.cost(written, prices, { batch: true })).toBeCloseTo(0.008575, 10)
  expect(Usage.cost(written, { input: 10, output: 20, cachedInput: 1 }, { batch: true })).toBeCloseTo(0.0164, 10)
  expect(Usage.cost({ ...written, cacheWriteTokens: 5_000 }, { ...prices, input: 0 })).toBeCloseTo(0.0179, 10)
})

it("a sum is as trustworthy as its weaker part", () => {
  expect(Usage.add(reported, reported)).toMatchObject({ inputTokens: 2_000, source: "reported" })
  expect(Usage.add(reported, Usage.unknown)).toMatchObject({ inputTokens: 1_000, source: "unknown" })
})
