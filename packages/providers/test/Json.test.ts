import { Json } from "@echelon/providers"
import { expect, it } from "@effect/vitest"

it("merges objects, replaces the rest, and never reaches a prototype", () => {
  expect(Json.merge({ a: { b: 1, c: 2 }, d: [1] }, { a: { b: 3 }, d: [2], e: null })).toEqual({
    a: { b: 3, c: 2 },
    d: [2],
    e: null
  })
  const evil = JSON.parse(
    '{"__proto__":{"polluted":1},"a":{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}},"b":2}}'
  )
  const merged = Json.merge({ a: {} }, evil)
  expect(merged).toEqual({ a: { b: 2 } })
  expect(({} as Record<string, unknown>)["polluted"]).toBe(undefined)
  expect((merged["a"] as Record<string, unknown>)["polluted"]).toBe(undefined)
})

it("believes no field", () => {
  const odd = { s: 1, n: "1", o: [], a: {}, c: -1, f: 1.5, i: Number.POSITIVE_INFINITY }
  expect(Json.string(odd, "s")).toBe(undefined)
  expect(Json.number(odd, "n")).toBe(undefined)
  expect(Json.object(odd, "o")).toBe(undefined)
  expect(Json.array(odd, "a")).toEqual([])
  expect(Json.count(odd, "c")).toBe(undefined)
  expect(Json.count(odd, "f")).toBe(undefined)
  expect(Json.number(odd, "i")).toBe(undefined)
  expect(Json.parse("{")).toBe(undefined)
})

it("gives what is not known and holds something", () => {
  expect(Json.rest({ a: 1, b: null, c: 2 }, new Set(["a"]))).toEqual({ c: 2 })
  expect(Json.rest({ a: 1, b: null }, new Set(["a"]))).toBe(undefined)
})
