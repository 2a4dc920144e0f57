import * as ReportedLimit from "@echelon/core/ReportedLimit"
import { expect, it } from "@effect/vitest"

const hour = 3_600_000
const learned = (report: Partial<ReportedLimit.Report>, now = 1_000) => {
  const state = ReportedLimit.make()
  return { state, believed: ReportedLimit.learn(state, { kind: "requests", remaining: 3, ...report }, now) }
}

it("holds until the reset", () => {
  const { state } = learned({ resetAt: 9_000 })
  ReportedLimit.charge(state, 2)
  expect(ReportedLimit.earliest(state, 1, 2_000)).toBe(2_000)
  expect(ReportedLimit.earliest(state, 2, 2_000)).toBe(9_000)
  expect(ReportedLimit.earliest(state, 2, 9_000)).toBe(9_000)
})

it.each([
  ["negative", { remaining: -1 }],
  ["no number", { remaining: Number.NaN }],
  ["reset now", { resetAt: 1_000 }],
  ["reset in the past", { resetAt: -5 }]
] as const)("ignores a report that is nonsense: %s", (_, report) => {
  const { believed, state } = learned(report)
  expect([believed, ReportedLimit.isHeld(state, 1_000)]).toEqual([false, false])
})

it.each([
  ["absent", undefined, 61_000],
  ["no number", Number.NaN, 61_000],
  ["over a day away", 1_000 + 24 * hour + 1, 61_000],
  ["never", Number.POSITIVE_INFINITY, 61_000],
  ["a day away", 1_000 + 24 * hour, 1_000 + 24 * hour]
] as const)("believes a reset for a day at most: %s", (_, resetAt, until) => {
  const { believed, state } = learned({ remaining: 0, resetAt })
  expect([believed, ReportedLimit.earliest(state, 1, 1_000)]).toEqual([true, until])
})

it("remaining is never more than the limit; a limit that is none is ignored", () => {
  expect(learned({ remaining: 100, limit: 10 }).state.remaining).toBe(10)
  expect(learned({ remaining: 0, limit: Number.POSITIVE_INFINITY }).state.remaining).toBe(0)
  for (const limit of [0, -1, Number.NaN])
    expect(learned({ limit }).state).toMatchObject({ remaining: 3, limit: undefined })
})

it("the newest report holds, and a refund never raises one that came after its charge", () => {
  const { state } = learned({ resetAt: 9_000 })
  const mark = ReportedLimit.charge(state, 2)
  ReportedLimit.giveBack(state, 2, mark)
  expect(state.remaining).toBe(3)
  ReportedLimit.learn(state, { kind: "requests", remaining: 1, resetAt: 5_000 }, 1_000)
  ReportedLimit.giveBack(state, 2, mark)
  expect([state.remaining, ReportedLimit.earliest(state, 2, 1_000)]).toEqual([1, 5_000])
})

it("a clock that went back far does not make it hold for ever", () => {
  const { state } = learned({ remaining: 0, resetAt: 100 * hour + 60_000 }, 100 * hour)
  expect(ReportedLimit.earliest(state, 1, hour)).toBe(hour)
})
