import { join } from "node:path"
import * as RoutesFilter from "@echelon/cli/RoutesFilter"
import { RoutesSummary } from "@echelon/cli/RoutesSummary"
import * as RouteRecord from "@echelon/core/RouteRecord"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { folder, run } from "./support/run.ts"

const attempt = (options: Partial<RouteRecord.Attempt> = {}): RouteRecord.Attempt => ({
  instance: "openai-gpt4",
  model: "gpt-4",
  kind: "call",
  outcome: "completed",
  startMs: 0,
  ttftMs: 100,
  totalMs: 500,
  cost: 0.001,
  ...options
})
const failed = (reason: string, instance = "openai-gpt4"): RouteRecord.Attempt => ({
  instance,
  model: "gpt-4",
  kind: "call",
  outcome: "failed",
  reason,
  startMs: 0,
  totalMs: 10
})
const record = (id: string, options: Partial<RouteRecord.RouteRecord> = {}): RouteRecord.RouteRecord => ({
  v: 1,
  id,
  at: "2025-06-01T12:00:00.000Z",
  target: { kind: "pool", name: "fast" },
  pool: "fast",
  priority: "normal",
  operation: "chat",
  stream: false,
  outcome: "completed",
  queueMs: 0,
  ttftMs: 100,
  totalMs: 500,
  attempts: [attempt()],
  ...options
})

const records = [
  record("a"),
  record("b", { attempts: [failed("RateLimited"), attempt({ instance: "anthropic-opus@two" })], totalMs: 2_500 }),
  record("c", { outcome: "failed", reason: "Timeout", attempts: [failed("Timeout")], pool: "slow", tenant: "acme" }),
  record("d", { outcome: "cancelled", at: "2025-06-02T12:00:00.000Z", wrapper: "front", group: "chat" }),
  record("e", { attempts: [attempt({ kind: "cache", cost: 0 })] })
]

it("a filter asks of the route what it is asked", () => {
  const ids = (filter: Partial<RoutesFilter.RoutesFilter>) =>
    records.filter((one) => RoutesFilter.matches({ ...RoutesFilter.none, ...filter }, one)).map(({ id }) => id)
  expect(ids({})).toEqual(["a", "b", "c", "d", "e"])
  expect(ids({ instance: "anthropic-opus" })).toEqual(["b"])
  expect(ids({ instance: "anthropic-opus@one" })).toEqual([])
  expect(ids({ pool: "slow" })).toEqual(["c"])
  expect(ids({ wrapper: "front", group: "chat" })).toEqual(["d"])
  expect(ids({ tenant: "acme" })).toEqual(["c"])
  expect(ids({ outcome: "cancelled" })).toEqual(["d"])
  expect(ids({ reason: "RateLimited" })).toEqual(["b"])
  expect(ids({ reason: "Timeout" })).toEqual(["c"])
  expect(ids({ since: Date.parse("2025-06-02") })).toEqual(["d"])
  expect(ids({ slowerThan: 2_000 })).toEqual(["b"])
  expect(ids({ id: "a" })).toEqual(["a"])
})

it("times are read as people write them", () => {
  expect(["2", "2s", "500ms", "1.5m", "1h", "2d", "", "-1s", "soon", "1w"].map(RoutesFilter.span)).toEqual([
    2_000,
    2_000,
    500,
    90_000,
    3_600_000,
    172_800_000,
    undefined,
    undefined,
    undefined,
    undefined
  ])
  expect(RoutesFilter.since("1h", 7_200_000)).toBe(3_600_000)
  expect(RoutesFilter.since("2025-06-01T12:00:00Z", 0)).toBe(Date.parse("2025-06-01T12:00:00Z"))
  expect(["yesterday", "12", "2025-99-01"].map((text) => RoutesFilter.since(text, 0))).toEqual([
    undefined,
    -12_000,
    undefined
  ])
})

it("a summary counts attempts, failures, times, cost, and who stood in for whom", () => {
  const summary = new RoutesSummary()
  for (const one of records) summary.add(one)
  expect(summary.json()).toMatchObject({
    requests: 5,
    from: "2025-06-01T12:00:00.000Z",
    to: "2025-06-02T12:00:00.000Z",
    outcomes: { completed: 3, failed: 1, cancelled: 1 },
    reasons: { Timeout: 1 },
    costUsd: 0.003,
    instances: [
      {
        instance: "openai-gpt4",
        attempts: 4,
        completed: 2,
        failed: 2,
        failures: { RateLimited: 1, Timeout: 1 },
        ttftMs: { p50: 100, p95: 100 },
        totalMs: { p50: 500, p95: 500 },
        costUsd: 0.002
      },
      { instance: "anthropic-opus@two", attempts: 1, completed: 1, failed: 0 }
    ],
    failovers: [{ from: "openai-gpt4", to: "anthropic-opus@two", count: 1, reasons: { RateLimited: 1 } }]
  })
  const lines = summary.lines()
  expect(lines[0]).toBe("requests  5 (3 completed, 1 failed, 1 cancelled)")
  expect(lines.at(-1)).toMatch(/^openai-gpt4 +anthropic-opus@two +1 {2}RateLimited 1$/)
})

it("however many names a file holds, a thousand are told apart", () => {
  const summary = new RoutesSummary()
  for (let i = 0; i < 3_000; i++)
    summary.add(record(`${i}`, { attempts: [failed(`R${i}`, `i${i}`), attempt({ instance: `j${i}` })] }))
  const { failovers, instances } = summary.json()
  expect(instances.length).toBe(1_001)
  expect(failovers.length).toBeLessThan(2_100)
})

const slow = 30_000
const text = (all: ReadonlyArray<RouteRecord.RouteRecord>) => all.map(RouteRecord.encode).join("")

it.live(
  "shows records one a line, of several files, and says what it left out",
  () =>
    Effect.gen(function* () {
      const root = yield* folder({
        "routes.jsonl.1": text(records.slice(0, 2)),
        "routes.jsonl": `${text(records.slice(2))}{"v":2,"id":"later"}\n${"x".repeat(3_000_000)}\n{"v":1,"id":"to`
      })
      const files = [join(root, "routes.jsonl.1"), join(root, "routes.jsonl")]
      const all = yield* run(["routes", ...files])
      expect(all.code).toBe(0)
      expect(all.stdout.split("\n").map((line) => line.split("  ").at(-1))).toEqual(["a", "b", "c", "d", "e", ""])
      expect(all.stdout).toContain(
        "2025-06-01T12:00:00.000Z  completed     2.5 s  pool:fast  openai-gpt4!RateLimited 10 ms > anthropic-opus@two 500 ms  -  b\n"
      )
      expect(all.stderr).toBe(
        "2 lines are no record (cut, or not written by Echelon) and left out\n" +
          "1 record is of version 2 and left out; this echelon reads version 1\n"
      )
      const json = yield* run(["routes", ...files, "--json", "--limit", "2"])
      expect(
        json.stdout
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line))
      ).toEqual(records.slice(-2))
      const summary = yield* run(["routes", ...files, "--summary", "--json", "--outcome", "completed"])
      expect(JSON.parse(summary.stdout)).toMatchObject({
        requests: 3,
        skipped: { broken: 2, versions: { "2": 1 } }
      })
      const none = yield* run(["routes", ...files, "--instance", "nobody"])
      expect([none.code, none.stdout]).toEqual([0, ""])
      expect(none.stderr).toContain("none of 5 requests is meant\n")
    }),
  slow
)

it.live(
  "a file that is not there is a failure, a wrong flag a wrong use; both say why and print no data",
  () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [ReadonlyArray<string>, number, string]> = [
        [["no-such-file"], 1, "error: no-such-file is not there\n"],
        [["packages"], 1, "error: packages cannot be read"],
        [["package.json", "--since", "soon"], 2, '--since must be a length of time such as "1h"'],
        [["package.json", "--slower-than", "much"], 2, '--slower-than must be a length of time such as "2s"'],
        [["package.json", "--limit", "0"], 2, "--limit must be 1 or above"],
        [["package.json", "--limit", "1", "--summary"], 2, "--limit and --summary exclude each other"],
        [["package.json", "--outcome", "lost"], 2, "outcome"]
      ]
      for (const [args, code, message] of cases) {
        const ended = yield* run(["routes", ...args])
        expect([args, ended.code, ended.stdout]).toEqual([args, code, ""])
        expect(ended.stderr).toContain(message)
      }
      const foreign = yield* run(["routes", "package.json"])
      expect([foreign.code, foreign.stdout]).toEqual([0, ""])
      expect(foreign.stderr).toContain("no requests are recorded there\n")
      expect(foreign.stderr).toMatch(/^\d+ lines are no record/m)
    }),
  60_000
)
