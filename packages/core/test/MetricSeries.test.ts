import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as MetricNames from "@echelon/core/MetricNames"
import * as MetricSeries from "@echelon/core/MetricSeries"
import { expect, it } from "@effect/vitest"

const labels = (i: number | string) => ({ "echelon.instance": String(i) })

it("a metric keeps so many series; the rest is one whose labels say other, and nothing is lost of the sum", () => {
  const told: Array<MetricSeries.Kept> = []
  const series = new MetricSeries.Series(3, (kept) => told.push(kept))
  for (let i = 0; i < 10; i++) series.count("echelon.attempts", labels(i)).add(1)
  series.count("echelon.attempts", labels(1)).add(1)
  const found = [...series.all()].map(({ isOther, labels, series }) => [
    labels["echelon.instance"],
    isOther,
    (series as MetricSeries.Count).value
  ])
  expect(found).toEqual([
    ["0", false, 1],
    ["1", false, 2],
    ["2", false, 1],
    ["other", true, 7]
  ])
  expect(told.length).toBe(4)
  expect(series.size()).toBe(4)
  const other = told.find(({ isOther }) => isOther)
  expect(Object.keys(other?.labels ?? {})).toEqual(MetricNames.catalogue["echelon.attempts"].labels)
  // Another metric has room of its own.
  series.count("echelon.retries", labels(9)).add(1)
  expect(told.at(-1)?.labels).toEqual(labels(9))
})

it("what callers have a part in takes at most three quarters", () => {
  const series = new MetricSeries.Series(8)
  for (let i = 0; i < 20; i++) series.count("echelon.attempts", labels(`open ${i}`), ["echelon.instance"]).add(1)
  for (let i = 0; i < 20; i++) series.count("echelon.attempts", labels(`planned ${i}`)).add(1)
  const names = [...series.all()].map(({ labels }) => labels["echelon.instance"] ?? "")
  expect(names.filter((name) => name.startsWith("open")).length).toBe(6)
  // That of what has no room stands beside those that the plan decides; beyond all room is another.
  expect(names.filter((name) => name.startsWith("planned")).length).toBe(1)
  expect(names.filter((name) => name === "other").length).toBe(2)
  expect(names.length).toBe(9)
})

it("of what has no room only what callers chose says other", () => {
  const series = new MetricSeries.Series(8)
  const add = (tenant: string, outcome: string) =>
    series
      .count("echelon.requests", { "echelon.tenant": tenant, "echelon.pool": "p", "echelon.outcome": outcome }, [
        "echelon.tenant"
      ])
      .add(1)
  for (let i = 0; i < 20; i++) add(`t${i}`, i % 2 === 0 ? "completed" : "failed")
  const others = [...series.all()].filter(({ isOther }) => isOther)
  expect(others.map(({ labels, series }) => [labels, (series as MetricSeries.Count).value])).toEqual([
    [{ "echelon.tenant": "other", "echelon.pool": "p", "echelon.outcome": "completed" }, 7],
    [{ "echelon.tenant": "other", "echelon.pool": "p", "echelon.outcome": "failed" }, 7]
  ])
})

it("an instance named other, beyond which there is no room, is that series", () => {
  const series = new MetricSeries.Series(1)
  const all = Object.fromEntries(MetricNames.catalogue["echelon.reloads"].labels.map((label) => [label, "other"]))
  series.count("echelon.reloads", all).add(1)
  series.count("echelon.reloads", { "echelon.outcome": "applied" }).add(1)
  expect([...series.all()].map(({ series }) => (series as MetricSeries.Count).value)).toEqual([2])
})

it("labels the metric does not have, and empty ones, are left out; long and broken text is mended", () => {
  const series = new MetricSeries.Series(10)
  const long = "x".repeat(1_000)
  for (const value of ["", "\ud800", long, `${long}y`])
    series
      .count("echelon.cost.usd", { "gen_ai.request.model": value, "echelon.outcome": "completed", "echelon.pool": "p" })
      .add(1)
  expect([...series.all()].map(({ labels }) => labels)).toEqual([
    { "echelon.pool": "p" },
    { "gen_ai.request.model": "\ufffd", "echelon.pool": "p" },
    { "gen_ai.request.model": "x".repeat(128), "echelon.pool": "p" }
  ])
  expect(MetricSeries.clean(`${"x".repeat(127)}😀`)).toBe(`${"x".repeat(127)}\ufffd`)
})

it("a value counts in the bucket whose bound it is not above; what is none adds nothing", () => {
  const histogram = new MetricSeries.Histogram([1, 2, 4])
  for (const value of [0, 1, 1.5, 2, 4, 4.1, 1_000]) histogram.record(value)
  expect([...histogram.counts]).toEqual([2, 2, 1, 2])
  expect([histogram.updates, histogram.sum, histogram.min, histogram.max]).toEqual([7, 1_012.6, 0, 1_000])
  for (const value of [-5, Number.NaN, Number.POSITIVE_INFINITY]) histogram.record(value)
  expect([histogram.updates, histogram.sum, histogram.counts[0]]).toEqual([10, 1_012.6, 5])
  const count = new MetricSeries.Count()
  for (const amount of [1, -3, Number.NaN, Number.POSITIVE_INFINITY, 0.5]) count.add(amount)
  expect([count.value, count.updates]).toEqual([1.5, 5])
})

it("a long label does not keep the text that it was cut from", () => {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void
  const series = new MetricSeries.Series(100)
  const add = (i: number) => {
    const text = Buffer.alloc(500_000, `model ${i} `).toString("latin1")
    series.count("echelon.cost.usd", { "gen_ai.request.model": text }).add(1)
  }
  add(0)
  collect()
  const before = process.memoryUsage().heapUsed
  for (let i = 1; i < 200; i++) add(i)
  collect()
  expect(series.size()).toBe(101)
  expect(process.memoryUsage().heapUsed - before).toBeLessThan(5_000_000)
})
