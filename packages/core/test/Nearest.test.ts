import { Nearest } from "@echelon/core"
import { expect, it } from "@effect/vitest"

it("finds near names, nearest first, and nothing far", () => {
  expect(Nearest.find("fast_pol", ["thinking_pool", "fast_pool", "fast_pools"])).toEqual(["fast_pool", "fast_pools"])
  expect(Nearest.find("Fast_Pool", ["fast_pool"])).toEqual(["fast_pool"])
  expect(Nearest.find("zzz", ["fast_pool"])).toEqual([])
})

it("hints at the near names, else lists the known ones", () => {
  expect(Nearest.hint("fast_pol", ["fast_pool"])).toBe('did you mean "fast_pool"?')
  expect(Nearest.hint("zzz", ["fast_pool", "b"])).toBe('known: "fast_pool", "b"')
  expect(Nearest.hint("zzz", [])).toBe("none is configured")
})

it("bears a hostile name", () => {
  expect(Nearest.find("x".repeat(1_000_000), ["fast_pool"])).toEqual([])
})
