import * as UsageNames from "@echelon/core/UsageNames"
import { expect, it } from "@effect/vitest"

it("knows so many, and counts all others under one name until they are forgotten", () => {
  const names = UsageNames.make(2)
  expect(["a", "b", "c", "a", "d"].map((name) => names.of(name))).toEqual(["a", "b", "(other)", "a", "(other)"])
  for (let i = 0; i < 100_000; i++) names.of(`x${i}`)
  expect(names.size()).toBe(2)
  names.clear()
  expect(names.of("c")).toBe("c")
})

it("a name that is kept has a place, whoever came first", () => {
  const names = UsageNames.make(1)
  names.keep(["acme"])
  expect(["a", "b", "acme"].map((name) => names.of(name))).toEqual(["a", "(other)", "acme"])
  names.clear()
  expect(["b", "acme"].map((name) => names.of(name))).toEqual(["b", "acme"])
})

it("what would break a line, a terminal or a store is replaced, and what is too long is none", () => {
  expect(UsageNames.clean("a\u0000b\u001b[31m\r\nc\u0085\u2028")).toBe("a\ufffdb\ufffd[31m\ufffd\ufffdc\ufffd\ufffd")
  expect(UsageNames.clean("\ud800x")).toBe("\ufffdx")
  expect(UsageNames.clean("日本 é 🙂")).toBe("日本 é 🙂")
  expect(UsageNames.clean("x".repeat(121))).toBe("(other)")
})

it("a capacity below 1 is a programmer's mistake", () => {
  expect(() => UsageNames.make(0)).toThrow(RangeError)
})
