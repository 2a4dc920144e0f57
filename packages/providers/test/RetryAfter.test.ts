import { RetryAfter } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Duration } from "effect"

const now = Date.UTC(2026, 0, 1)

const read = (headers: RetryAfter.Headers, max = 3_600_000) => {
  const found = RetryAfter.parse(headers, { now, max })
  return found === undefined ? undefined : Duration.toMillis(found)
}

it("reads every dialect", () => {
  expect(read({ "retry-after": "2" })).toBe(2000)
  expect(read({ "retry-after": " 0.5 " })).toBe(500)
  expect(read({ "retry-after-ms": "250" })).toBe(250)
  expect(read({ "x-ms-retry-after-ms": "90.5" })).toBe(91)
  expect(read({ "retry-after": "Thu, 01 Jan 2026 00:00:10 GMT" })).toBe(10_000)
})

it("prefers the finer header, and falls back from one that says nothing", () => {
  expect(read({ "retry-after-ms": "250", "retry-after": "9" })).toBe(250)
  expect(read({ "retry-after-ms": "soon", "retry-after": "9" })).toBe(9000)
})

it("takes nonsense for no header", () => {
  for (const value of [
    "-1",
    "0",
    "NaN",
    "Infinity",
    "1e9",
    "",
    " ",
    "soon",
    "0x10",
    "-Thu",
    "Wed, 31 Dec 2025 23:59:59 GMT",
    "Foo, 99"
  ])
    expect([value, read({ "retry-after": value })]).toEqual([value, undefined])
  expect(read({})).toBe(undefined)
})

it("never exceeds the clamp", () => {
  expect(read({ "retry-after": "999999999999" })).toBe(3_600_000)
  expect(read({ "retry-after": "Fri, 01 Jan 2100 00:00:00 GMT" }, 60_000)).toBe(60_000)
})
