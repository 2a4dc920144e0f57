import type * as Observation from "@echelon/core/Observation"
import type * as Route from "@echelon/core/Route"
import * as Usage from "@echelon/core/Usage"
import * as UsageCalendar from "@echelon/core/UsageCalendar"
import * as UsageNames from "@echelon/core/UsageNames"
import * as UsageRecord from "@echelon/core/UsageRecord"
import * as UsageTally from "@echelon/core/UsageTally"
import { expect, it } from "@effect/vitest"

const at = Date.parse("2026-03-31T23:00:00Z")
const attempt = (options: Partial<Route.Open> = {}): Route.Open => ({
  kind: "call",
  instance: "a",
  model: "m",
  echelon: "chat.echelon1",
  provider: undefined,
  watch: undefined,
  traceparent: undefined,
  outcome: "completed",
  reason: undefined,
  startedAt: at,
  firstOutputAt: at,
  endedAt: at,
  usage: Usage.estimated(1, 1),
  cost: 1,
  dropped: [],
  ...options
})
const observation = (
  attempts: ReadonlyArray<Route.Open>,
  options: Partial<Observation.Observation> = {}
): Observation.Observation => ({
  id: "r",
  target: { kind: "wrapper", name: "w" },
  wrapper: "w",
  pool: "p",
  group: undefined,
  tenant: "acme",
  priority: "normal",
  tags: [],
  operation: "chat",
  isStream: false,
  isMeasured: true,
  isAlerting: true,
  startedAt: at,
  queuedMs: 0,
  committedAt: at,
  endedAt: at,
  outcome: "completed",
  reason: undefined,
  error: undefined,
  attempts,
  ...options
})
const make = (options: Partial<UsageTally.Options> = {}) =>
  UsageTally.make({
    calendar: UsageCalendar.make("UTC"),
    tenants: UsageNames.make(100),
    providerOf: (instance) => (instance.length === 1 ? "openai" : undefined),
    ...options
  })
const count = (tally: UsageTally.UsageTally, one: Observation.Observation) => {
  for (const each of one.attempts) tally.attemptEnded(one, each)
  tally.requestEnded(one)
}
const by = (tally: UsageTally.UsageTally, ...groupings: ReadonlyArray<UsageRecord.Grouping>) =>
  UsageRecord.sum(tally.take().rows, groupings).map(({ counters, key }) => [
    ...Object.values(key),
    counters.requests,
    counters.attempts
  ])

it("whatever differs makes a row of its own, and nothing else does", () => {
  const tally = make()
  const same = observation([attempt()])
  count(tally, same)
  count(tally, observation([attempt({ echelon: "chat.echelon2" })]))
  for (const other of [{ wrapper: "v" }, { pool: "q" }, { group: "g" }, { tenant: "b" }, { tenant: undefined }])
    count(tally, observation([attempt()], other))
  count(tally, observation([attempt({ instance: "b" })]))
  count(tally, observation([attempt({ model: "n" })]))
  const rows = by(tally, ...UsageRecord.dimensions)
  expect(rows).toHaveLength(8)
  expect(rows).toContainEqual(["2026-03-31", "acme", "w", "p", "chat", "openai", "a", "m", 2, 2])
  expect(tally.isEmpty()).toBe(true)
})

it("a request counts once, on the row of the attempt that answered, also when others end after it", () => {
  const tally = make()
  const lost = attempt({ instance: "a", outcome: "cancelled", kind: "hedge" })
  const won = attempt({ instance: "b" })
  const one = observation([lost, won])
  tally.attemptEnded(one, won)
  tally.requestEnded(one)
  tally.attemptEnded(one, lost)
  expect(by(tally, "instance")).toEqual([
    ["a", 0, 1],
    ["b", 1, 1]
  ])
})

it("requests that end in between are told apart", () => {
  const tally = make()
  const first = observation([attempt()])
  const second = observation([attempt({ instance: "b" })], { tenant: "b" })
  for (const one of [first, second]) tally.attemptEnded(one, one.attempts[0] ?? attempt())
  for (const one of [first, second]) tally.requestEnded(one)
  expect(by(tally, "tenant")).toEqual([
    ["acme", 1, 1],
    ["b", 1, 1]
  ])
})

it("what ends after it was taken, is counted in the next batch", () => {
  const tally = make()
  const one = observation([attempt()])
  tally.attemptEnded(one, one.attempts[0] ?? attempt())
  expect(by(tally)).toEqual([[0, 1]])
  tally.requestEnded(one)
  expect(tally.size()).toBe(1)
  expect(by(tally)).toEqual([[1, 0]])
})

it("a day and a month begin when they begin, and a new month has place for new tenants", () => {
  const tally = make({ tenants: UsageNames.make(1) })
  const next = at + 3_600_000
  count(tally, observation([attempt()]))
  count(tally, observation([attempt()], { tenant: "b" }))
  count(tally, observation([attempt({ endedAt: next })], { endedAt: next, tenant: "b" }))
  count(tally, observation([attempt({ endedAt: next })], { endedAt: next, tenant: "b" }))
  const rows = by(tally, "day", "tenant").map((row) => row.slice(0, 3))
  expect(rows.slice(0, 2)).toEqual([
    ["2026-03-31", "(other)", 1],
    ["2026-03-31", "acme", 1]
  ])
  expect(rows.slice(2).map(([day]) => day)).toEqual(rows.slice(2).map(() => "2026-04-01"))
  expect(rows.at(-1)).toEqual(["2026-04-01", "b", 1])
})

it("more rows than there may be are counted in one a day, and said", () => {
  const tally = make({ maxRows: 3 })
  for (let i = 0; i < 10; i++) count(tally, observation([attempt()], { tenant: `t${i}` }))
  expect(tally.foldedSoFar()).toBe(7)
  expect(by(tally, "tenant", "instance", "day")).toEqual([
    ["(other)", "(other)", "2026-03-31", 7, 7],
    ["t0", "a", "2026-03-31", 1, 1],
    ["t1", "a", "2026-03-31", 1, 1],
    ["t2", "a", "2026-03-31", 1, 1]
  ])
})
