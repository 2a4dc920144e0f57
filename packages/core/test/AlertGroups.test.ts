import * as AlertGroups from "@echelon/core/AlertGroups"
import type * as AlertRule from "@echelon/core/AlertRule"
import * as AlertSettings from "@echelon/core/AlertSettings"
import * as AlertState from "@echelon/core/AlertState"
import { expect, it } from "@effect/vitest"

const minute = 60_000
const hour = 3_600_000
const rules = { breaker_open: { for: 0 }, provider_down: { for: 0 }, error_rate: { for: 0 } }
const base = AlertSettings.make({ rules, resolveAfter: 0 })

const of = (rule: AlertRule.Name, name: string, options: Partial<AlertState.Condition> = {}): AlertState.Condition => ({
  rule,
  subject: { kind: rule === "provider_down" ? "provider" : "instance", name },
  provider: "openai",
  text: `${rule} ${name}`,
  ...options
})

/** Looks at conditions at times; tells what is told. */
const book = (settings: AlertSettings.Settings = base) => {
  const alerts = AlertState.make()
  const groups = AlertGroups.make()
  const look = (at: number, conditions: ReadonlyArray<AlertState.Condition>, isLast = false) => {
    const events = AlertState.step(alerts, conditions, settings, at)
    return AlertGroups.step(groups, alerts, events, settings, at, isLast).map(
      ({ firing, group, kind, resolved, severity }) => ({
        kind,
        group,
        severity,
        firing: firing.map(({ subject }) => subject.name),
        resolved: resolved.map(({ subject }) => subject.name)
      })
    )
  }
  return { alerts, groups, look }
}

it("collects a group for its wait, tells it once, and again only when it changes or after the interval", () => {
  const { look } = book()
  const [a, b, c] = ["a", "b", "c"].map((name) => of("breaker_open", name)) as [
    AlertState.Condition,
    AlertState.Condition,
    AlertState.Condition
  ]
  expect(look(0, [a])).toEqual([])
  expect(look(5_000, [a, b])).toEqual([])
  expect(look(10_000, [a, b])).toEqual([
    { kind: "alerts", group: "breaker_open (openai)", severity: "warning", firing: ["a", "b"], resolved: [] }
  ])
  expect(look(minute, [a, b])).toEqual([])
  // What is new comes alone, and so does what has gone.
  look(2 * minute, [a, b, c])
  expect(look(2 * minute + 10_000, [a, b, c])).toMatchObject([{ firing: ["c"], resolved: [] }])
  look(3 * minute, [a, c])
  expect(look(3 * minute + 10_000, [a, c])).toMatchObject([{ firing: [], resolved: ["b"] }])
  expect(look(3 * hour, [a, c])).toEqual([])
  // Changes in between do not put off that the whole is repeated.
  expect(look(10_000 + 4 * hour, [a, c])).toMatchObject([{ firing: ["a", "c"], resolved: [] }])
  expect(look(20_000 + 4 * hour, [a, c])).toEqual([])
})

it("begins with what is most severe and new, however many fire", () => {
  const { look } = book(AlertSettings.make({ rules, groupWait: 0 }))
  const budgets = (rule: AlertRule.Name, count: number) =>
    Array.from({ length: count }, (_, i) =>
      of(rule, `${rule} ${i}`, { subject: { kind: "tenant", name: `${rule} ${i}` }, provider: undefined })
    )
  const names = (at: number, conditions: ReadonlyArray<AlertState.Condition>) => look(at, conditions)[0]?.firing
  const halves = budgets("budget_half", 122)
  expect(names(0, halves)).toHaveLength(122)
  const [one, other] = budgets("budget_spent", 2) as [AlertState.Condition, AlertState.Condition]
  expect(names(minute, [...halves, one])).toEqual(["budget_spent 0"])
  expect(names(4 * hour, [...halves, one, other])?.slice(0, 3)).toEqual([
    "budget_spent 1",
    "budget_spent 0",
    "budget_half 0"
  ])
  const first = book(AlertSettings.make({ rules, groupWait: 0 }))
  expect(first.look(0, [...halves, one])[0]?.firing.slice(0, 2)).toEqual(["budget_spent 0", "budget_half 0"])
})

it("what another alert tells as well is not repeated, and not told anew when it stands alone", () => {
  const { look } = book(AlertSettings.make({ rules, groupWait: 0, resolveAfter: 0 }))
  const half = of("budget_half", "t", { provider: undefined })
  const both = [{ ...half, isInhibited: true }, of("budget_spent", "t", { provider: undefined })]
  expect(look(0, [half])).toMatchObject([{ severity: "info", firing: ["t"] }])
  expect(look(minute, both)).toMatchObject([{ severity: "critical", firing: ["t"] }])
  expect(look(minute + 4 * hour, both)).toMatchObject([{ severity: "critical", firing: ["t"] }])
  expect(look(5 * hour, [half])).toMatchObject([{ firing: [], resolved: ["t"] }])
  expect(look(6 * hour, [])).toMatchObject([{ firing: [], resolved: ["t"] }])
})

it("keeps rules and providers apart, and budgets together", () => {
  const { look } = book(AlertSettings.make({ rules, groupWait: 0 }))
  const budget = { subject: { kind: "tenant", name: "t" }, provider: undefined } as const
  const told = look(0, [
    of("breaker_open", "a"),
    of("breaker_open", "z", { provider: "other" }),
    of("provider_down", "openai"),
    of("budget_half", "t", budget),
    of("budget_low", "t", budget)
  ])
  expect(told.map(({ firing, group }) => [group, firing.length])).toEqual([
    ["breaker_open (openai)", 1],
    ["breaker_open (other)", 1],
    ["provider_down", 1],
    ["budget", 2]
  ])
})

it("an alert that another tells as well is kept back until it stands alone", () => {
  const { look } = book(AlertSettings.make({ rules, groupWait: 0, resolveAfter: 0 }))
  const down = of("provider_down", "openai")
  const out = of("breaker_open", "a", { isInhibited: true })
  expect(look(0, [down, out]).map(({ group }) => group)).toEqual(["provider_down"])
  expect(look(minute, [of("breaker_open", "a")]).map(({ firing, group }) => [group, firing])).toEqual([
    ["breaker_open (openai)", ["a"]],
    ["provider_down", []]
  ])
})

const night = { from: 22 * 60, to: 7 * 60, timeZone: "Europe/Berlin" }
const berlin = (text: string) => Date.parse(text)

it.each([
  ["2026-06-01T22:00:00+02:00", true],
  ["2026-06-01T21:59:00+02:00", false],
  ["2026-06-02T06:59:00+02:00", true],
  ["2026-06-02T07:00:00+02:00", false],
  ["2026-12-01T22:00:00+01:00", true],
  ["2026-12-01T21:00:00Z", true],
  ["2026-12-01T20:59:00Z", false]
])("%s is in quiet hours: %s", (text, isQuiet) => {
  expect(AlertSettings.isQuiet(night, berlin(text))).toBe(isQuiet)
})

it("within a day, and never when they end as they begin or nowhere", () => {
  const noon = Date.parse("2026-06-01T12:00:00Z")
  expect(AlertSettings.isQuiet({ from: 11 * 60, to: 13 * 60, timeZone: "UTC" }, noon)).toBe(true)
  expect(AlertSettings.isQuiet({ from: 13 * 60, to: 14 * 60, timeZone: "+02:00" }, noon)).toBe(false)
  expect(AlertSettings.isQuiet({ from: 0, to: 0, timeZone: "UTC" }, noon)).toBe(false)
  expect(AlertSettings.isQuiet({ from: 0, to: 1439, timeZone: "Nowhere/Else" }, noon)).toBe(false)
})

it("in quiet hours only what is critical is told; the rest comes as one summary at their end", () => {
  const settings = AlertSettings.make({ rules, groupWait: 0, resolveAfter: 0, quietHours: night })
  const { look } = book(settings)
  const at = (text: string) => berlin(`2026-06-02T${text}:00+02:00`)
  expect(look(at("01:00"), [of("breaker_open", "a")])).toEqual([])
  const both = [of("breaker_open", "a"), of("provider_down", "openai")]
  expect(look(at("02:00"), both).map(({ group }) => group)).toEqual(["provider_down"])
  // Its end is as urgent as its beginning was.
  expect(look(at("03:00"), [of("breaker_open", "a"), of("breaker_open", "b")])).toMatchObject([
    { group: "provider_down", resolved: ["openai"] }
  ])
  expect(look(at("04:00"), [of("breaker_open", "a")])).toEqual([])
  expect(look(at("06:59"), [of("breaker_open", "a")])).toEqual([])
  expect(look(at("07:00"), [of("breaker_open", "a")])).toEqual([
    { kind: "summary", group: "quiet hours", severity: "warning", firing: ["a"], resolved: ["b"] }
  ])
  expect(look(at("08:00"), [of("breaker_open", "a")])).toEqual([])
  expect(look(at("09:00"), [])).toMatchObject([{ kind: "alerts", resolved: ["a"] }])
})

it("a silenced rule tells nothing, and what still fires at the end is told then", () => {
  const { groups, look } = book(AlertSettings.make({ rules, groupWait: 0, resolveAfter: 0 }))
  groups.silences.set("breaker_open", hour)
  expect(look(0, [of("breaker_open", "a"), of("breaker_open", "b")])).toEqual([])
  expect(look(hour - 1, [of("breaker_open", "a")])).toEqual([])
  expect(look(hour, [of("breaker_open", "a")])).toMatchObject([{ firing: ["a"], resolved: [] }])
  expect(groups.silences.size).toBe(0)
})

it("at the end nothing is waited for", () => {
  const { look } = book()
  expect(look(0, [of("breaker_open", "a")])).toEqual([])
  expect(look(1, [of("breaker_open", "a")], true)).toMatchObject([{ firing: ["a"] }])
})

it("a channel is told what is routed to it and severe enough", () => {
  const settings = AlertSettings.make({
    rules: { ...rules, error_rate: { for: 0, channels: ["pager"] } },
    groupWait: 0
  })
  const alerts = AlertState.make()
  const conditions = [of("breaker_open", "a"), of("error_rate", "w")]
  const events = AlertState.step(alerts, conditions, settings, 0)
  const drafts = AlertGroups.step(AlertGroups.make(), alerts, events, settings, 0)
  const told = (name: string, severity: AlertRule.Severity, resolved = true) =>
    drafts.flatMap(
      (draft) =>
        AlertGroups.forChannel({ ...draft, id: "1" }, { name, severity, resolved }, settings.rules)?.firing.map(
          ({ rule }) => rule
        ) ?? []
    )
  expect(told("log", "info")).toEqual(["breaker_open"])
  expect(told("pager", "info")).toEqual(["breaker_open", "error_rate"])
  expect(told("pager", "critical")).toEqual(["error_rate"])
  const gone = drafts.map((draft) => ({ ...draft, id: "2", firing: [], resolved: draft.firing }))
  expect(
    gone.flatMap(
      (one) => AlertGroups.forChannel(one, { name: "pager", severity: "info", resolved: false }, settings.rules) ?? []
    )
  ).toEqual([])
})
