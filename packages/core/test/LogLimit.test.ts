import * as LogLimit from "@echelon/core/LogLimit"
import { expect, it } from "@effect/vitest"

it("lets so many through a minute, and tells the last one at its end with a count of the others", () => {
  const limit = new LogLimit.LogLimit<number>()
  const said = Array.from({ length: 10 }, (_, i) => limit.admit("a", i, 3, i * 100))
  expect(said.map((one) => one?.item)).toEqual([0, 1, 2, ...Array.from({ length: 7 }, () => undefined)])
  expect(limit.admit("b", 0, 3, 1_000)).toEqual({ item: 0, suppressed: 0 })
  expect([limit.dueAt(), limit.due(59_999)]).toEqual([60_000, []])
  expect(limit.due(60_000)).toEqual([{ item: 9, suppressed: 6 }])
  expect([limit.dueAt(), limit.due(200_000)]).toEqual([undefined, []])
})

it("what comes after the minute says what was held back before", () => {
  const limit = new LogLimit.LogLimit<string>()
  expect(limit.admit("a", "open", 1, 0)).toEqual({ item: "open", suppressed: 0 })
  expect(limit.admit("a", "closed", 1, 1)).toBeUndefined()
  expect(limit.admit("a", "open", 1, 60_000)).toEqual({ item: "open", suppressed: 1 })
})

it("at the end nothing stays held back", () => {
  const limit = new LogLimit.LogLimit<string>()
  limit.admit("a", "open", 1, 0)
  limit.admit("a", "closed", 1, 1)
  expect(limit.due(2, true)).toEqual([{ item: "closed", suppressed: 0 }])
})

it("many things are limited as one beyond the bound, and old ones make room", () => {
  const limit = new LogLimit.LogLimit<number>(10)
  const at = (now: number) =>
    Array.from({ length: 100 }, (_, i) => limit.admit(`thing ${now} ${i}`, i, 1, now)).filter((one) => one).length
  expect(at(0)).toBe(11)
  // What all others share keeps its place.
  expect(at(60_000)).toBe(10)
})
