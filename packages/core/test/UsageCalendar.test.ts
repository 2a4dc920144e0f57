import * as UsageCalendar from "@echelon/core/UsageCalendar"
import { expect, it } from "@effect/vitest"

const at = (text: string) => Date.parse(text)
const of = (zone: string, period: UsageCalendar.Period, when: string) => {
  const { day, from, until } = UsageCalendar.make(zone).of(period, at(when))
  return [day, new Date(from).toISOString(), new Date(until).toISOString()]
}

it.each([
  ["UTC", "day", "2026-03-01T00:00:00Z", "2026-03-01", "2026-03-01T00:00:00.000Z", "2026-03-02T00:00:00.000Z"],
  ["UTC", "day", "2026-02-28T23:59:59.999Z", "2026-02-28", "2026-02-28T00:00:00.000Z", "2026-03-01T00:00:00.000Z"],
  ["UTC", "month", "2024-02-29T12:00:00Z", "2024-02-01", "2024-02-01T00:00:00.000Z", "2024-03-01T00:00:00.000Z"],
  ["+02:00", "day", "2026-02-28T22:00:00Z", "2026-03-01", "2026-02-28T22:00:00.000Z", "2026-03-01T22:00:00.000Z"],
  ["-05:30", "month", "2026-01-01T05:29:59Z", "2025-12-01", "2025-12-01T05:30:00.000Z", "2026-01-01T05:30:00.000Z"],
  // An hour less, and an hour more.
  [
    "Europe/Berlin",
    "day",
    "2026-03-29T12:00:00Z",
    "2026-03-29",
    "2026-03-28T23:00:00.000Z",
    "2026-03-29T22:00:00.000Z"
  ],
  ["Europe/Berlin", "day", "2026-10-25T12:00:00Z", "2026-10-25", "2026-10-24T22:00:00.000Z", "2026-10-25T23:00:00.000Z"]
] as const)("%s, the %s of %s", (zone, period, when, ...expected) => {
  expect(of(zone, period, when)).toEqual(expected)
})

it("follows time in both directions", () => {
  const calendar = UsageCalendar.make("UTC")
  const days = ["2026-03-01T23:59:59.999Z", "2026-03-02T00:00:00Z", "2026-03-01T12:00:00Z"]
  expect(days.map((one) => calendar.of("day", at(one)).day)).toEqual(["2026-03-01", "2026-03-02", "2026-03-01"])
})

it("a time zone that is none is a programmer's mistake", () => {
  expect(() => UsageCalendar.make("Mars/Olympus")).toThrow(RangeError)
  for (const text of ["2 hours", "+25:99", "+14:60", "", "x", "local"])
    expect(UsageCalendar.zoneOf(text)).toBeUndefined()
})
