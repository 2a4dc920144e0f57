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

it("reads durations as Go and Google write them", () => {
  const cases: Record<string, number | undefined> = {
    "17s": 17_000,
    "0s": 0,
    "20ms": 20,
    "6m0s": 360_000,
    "1h2m3.5s": 3_723_500,
    "2h30m": 9_000_000,
    "1h0m0s5ms": 3_600_005,
    "36.5s": 36_500,
    "": undefined,
    "17": undefined,
    s: undefined,
    "-1s": undefined,
    "1s1s": undefined,
    "1s1m": undefined,
    "1.s": undefined,
    ".5s": undefined,
    "1e3s": undefined,
    "17s ": undefined,
    "1111111111s": undefined,
    [`${"1".repeat(100_000)}s`]: undefined
  }
  for (const [text, expected] of Object.entries(cases))
    expect([text, RetryAfter.duration(text)]).toEqual([text, expected])
})

it("knows midnight in California, in summer and winter and between", () => {
  const hours = (...at: Parameters<typeof Date.UTC>) => RetryAfter.untilPacificMidnight(Date.UTC(...at)) / 3_600_000
  expect(hours(2026, 6, 1, 6, 30)).toBe(0.5)
  expect(hours(2026, 6, 1, 7)).toBe(24)
  expect(hours(2026, 0, 1, 7, 30)).toBe(0.5)
  expect(hours(2026, 0, 1, 8)).toBe(24)
  // The clocks go forward on the 8th of March, and back on the 1st of November.
  expect(hours(2026, 2, 8, 8)).toBe(23)
  expect(hours(2026, 10, 1, 7)).toBe(25)
})
