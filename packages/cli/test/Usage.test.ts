import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Output } from "@echelon/cli/Output"
import * as Usage from "@echelon/cli/Usage"
import * as UsageTable from "@echelon/cli/UsageTable"
import * as Variables from "@echelon/config/Variables"
import * as UsageLedger from "@echelon/core/UsageLedger"
import * as UsageRecord from "@echelon/core/UsageRecord"
import * as SqliteLedger from "@echelon/operations/SqliteLedger"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import * as Command from "effect/cli/Command"
import { TestClock } from "effect/testing"

const run = Effect.fnUntraced(function* (
  args: ReadonlyArray<string>,
  variables: Readonly<Record<string, string>> = {}
) {
  const out: Array<string> = []
  const err: Array<string> = []
  const output = Output.of({
    write: (text) => Effect.sync(() => void out.push(text)),
    diagnose: (line) => Effect.sync(() => void err.push(`${line}\n`)),
    isTerminal: false,
    columns: () => 100
  })
  const exit = yield* Effect.exit(
    Command.runWith(Usage.command, { version: "0.0.0" })(args).pipe(
      Effect.provide(
        Layer.mergeAll(
          NodeServices.layer,
          Layer.succeed(Output, output),
          Layer.succeed(Variables.Variables, Effect.succeed(variables))
        )
      )
    )
  )
  const error = Exit.isFailure(exit) ? exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error : undefined
  if (Exit.isFailure(exit) && error?._tag !== "Failure") throw new Error(String(exit.cause))
  const code = error?._tag === "Failure" ? error.exitCode : 0
  return { code, stdout: out.join(""), stderr: err.join("") }
})

const row = (key: Partial<UsageRecord.Key>, counters: Partial<UsageRecord.Counters> = {}): UsageRecord.Row => ({
  key: {
    day: "2026-03-02",
    tenant: "acme",
    wrapper: "w",
    pool: "p",
    group: "g",
    provider: "openai",
    instance: "openai-gpt4",
    model: "gpt-4",
    ...key
  },
  counters: {
    ...UsageRecord.zero(),
    requests: 1,
    attempts: 1,
    reported: 1,
    inputTokens: 1_000,
    outputTokens: 20,
    costReported: 31_200_000,
    ...counters
  }
})

const rows = [
  row({}),
  row({ tenant: '=cmd("x"),y' }, { failed: 1 }),
  row(
    { day: "2026-03-01", provider: "anthropic", instance: "anthropic-sonnet" },
    { estimated: 1, reported: 0, costReported: 0, costEstimated: 5 }
  ),
  row({ day: "2026-02-28", provider: "local", instance: "local-small" }, { unpriced: 1, costReported: 0 })
]

/** A tree, and a file of usage that it names. */
const folder = (toml: (path: string) => string, all: ReadonlyArray<UsageRecord.Row> = rows, isEnded = true) =>
  Effect.gen(function* () {
    const root = yield* Effect.acquireRelease(
      Effect.promise(() => mkdtemp(join(tmpdir(), "echelon-usage-"))),
      (made) => Effect.promise(() => rm(made, { recursive: true, force: true }))
    )
    const path = join(root, "usage.sqlite")
    yield* Effect.promise(() => writeFile(join(root, "global.toml"), toml(path)))
    yield* TestClock.setTime(Date.parse("2026-03-15T12:00:00Z"))
    if (all.length === 0) return root
    yield* Effect.scoped(
      Effect.gen(function* () {
        const ledger = yield* UsageLedger.UsageLedger
        const writer = yield* ledger.writer(60_000)
        yield* writer.write({ seq: 1, rows: all })
        if (isEnded) yield* writer.end
      })
    ).pipe(Effect.provide(SqliteLedger.layer({ path })))
    return root
  })
const sqlite = (path: string) => `[usage]\nstore = "sqlite"\npath = ${JSON.stringify(path)}\n`

it.effect("prints this month by provider and instance, with a total, and says what is not known", () =>
  Effect.gen(function* () {
    const root = yield* folder(sqlite)
    const { code, stderr, stdout } = yield* run(["--config", root])
    expect(stdout.split("\n")).toEqual([
      "provider   instance          requests  failed  attempts  cached  input  output       USD",
      "anthropic  anthropic-sonnet         1       0         1       0  1,000      20  ~<0.0001",
      "openai     openai-gpt4              2       1         2       0  2,000      40    0.0624",
      "total                               3       1         3       0  3,000      60   ~0.0624",
      ""
    ])
    expect(stderr).toBe("~ the usage of 1 of 3 attempts is estimated\n")
    expect(code).toBe(0)
    const earlier = yield* run(["--config", root, "--from", "2026-02-01", "--to", "2026-02-28"])
    expect(earlier.stdout).toContain("0.0000+")
    expect(earlier.stderr).toBe(
      "+ the cost of 1 of 1 attempts is not known and in no sum; of 0 the usage is not known\n"
    )
  })
)

it.effect("sums by what is asked for", () =>
  Effect.gen(function* () {
    const root = yield* folder(sqlite)
    const { stdout } = yield* run(["--config", root, "--by", "month, provider", "--from", "2026-01-01", "--json"])
    const found = JSON.parse(stdout)
    expect([found.from, found.to, found.by]).toEqual(["2026-01-01", "2026-03-15", ["month", "provider"]])
    expect(found.rows).toMatchObject([
      { month: "2026-02", provider: "local", requests: 1, unpriced: 1 },
      { month: "2026-03", provider: "anthropic", requests: 1, cost: { estimated: 5e-9, reported: 0 } },
      { month: "2026-03", provider: "openai", requests: 2, inputTokens: 2_000, cost: { total: 0.0624 } }
    ])
    expect(found.total).toMatchObject({ requests: 4, failed: 1, cost: { total: 0.062400005 } })
    expect(found.interrupted).toEqual([])
  })
)

it.effect("CSV is exact, quoted, and no name of a caller becomes a formula", () =>
  Effect.gen(function* () {
    const root = yield* folder(sqlite)
    const { stdout } = yield* run(["--config", root, "--by", "day,tenant", "--csv"])
    const [head = "", ...lines] = stdout.split("\r\n")
    const at = (line = "") => line.slice(0, line.indexOf(",1,"))
    expect(lines.map(at)).toEqual(["2026-03-01,acme", `2026-03-02,"'=cmd(""x""),y"`, "2026-03-02,acme", ""])
    expect(head.split(",").slice(-2)).toEqual(["cost_reported_usd", "cost_estimated_usd"])
    expect(head.split(",")).toHaveLength(19)
    expect(lines.map((line) => line.split(",").slice(-2).join())).toEqual([
      "0.000000000,0.000000005",
      "0.031200000,0.000000000",
      "0.031200000,0.000000000",
      ""
    ])
  })
)

it.effect("says that a process did not end, and until when it counted", () =>
  Effect.gen(function* () {
    const root = yield* folder(sqlite, rows, false)
    yield* TestClock.adjust("2 minutes")
    const { stderr } = yield* run(["--config", root])
    expect(stderr).toContain(
      "did not end cleanly; what it counted after 2026-03-15T12:00:00.000Z, at most one batch, is missing"
    )
    const { interrupted } = JSON.parse((yield* run(["--config", root, "--json"])).stdout)
    expect(interrupted).toMatchObject([{ pid: process.pid, batches: 1, seenAt: "2026-03-15T12:00:00.000Z" }])
  })
)

it.effect("a range in which nothing was used is no failure, and a file that is not there is", () =>
  Effect.gen(function* () {
    const root = yield* folder(sqlite)
    const none = yield* run(["--config", root, "--from", "2026-03-10"])
    expect(none).toEqual({ code: 0, stdout: "", stderr: "nothing was used from 2026-03-10 to 2026-03-15\n" })
    const empty = yield* folder(sqlite, [])
    const missing = yield* run(["--config", empty])
    expect([missing.code, missing.stdout]).toEqual([1, ""])
    expect(missing.stderr).toContain("the sqlite usage store could not be opened: unable to open database file")
    expect(yield* Effect.promise(() => readdir(empty))).toEqual(["global.toml"])
  })
)

it.effect("a store in memory, or none, is said, and so is a tree with errors", () =>
  Effect.gen(function* () {
    const memory = yield* folder(() => "", [])
    const { code, stderr } = yield* run(["--config", memory])
    expect([code, stderr]).toEqual([
      1,
      'error: usage is kept in memory, and gone with the process ([usage] store = "memory"); set [usage] store = "sqlite" or "postgres"\n'
    ])
    const off = yield* run(["--config", yield* folder(() => "[usage]\nenabled = false\n", []), "--json"])
    expect([off.code, JSON.parse(off.stdout).error.reason]).toEqual([1, "NoStore"])
    const wrong = yield* run(["--config", yield* folder(() => '[usage]\nstore = "mysql"\n', [])])
    expect(wrong.code).toBe(1)
    expect(wrong.stderr).toContain(
      'global.toml:2:1 error usage.store: expected "memory", "sqlite", "postgres"; found "mysql"'
    )
  })
)

it.effect("an address with a password is never shown", () =>
  Effect.gen(function* () {
    const toml = `[usage]\nstore = "postgres"\nurl = "\${USAGE_URL}"\n`
    const root = yield* folder(() => toml, [])
    const { code, stderr, stdout } = yield* run(["--config", root], {
      USAGE_URL: "postgres://echelon:pg-secret@127.0.0.1:1/usage"
    })
    expect([code, stdout, stderr]).toEqual([
      1,
      "",
      "error: the postgres usage store could not be opened: connection failed (ECONNREFUSED)\n"
    ])
    const unset = yield* run(["--config", root])
    expect(unset.code).toBe(1)
    expect(unset.stderr).toContain("USAGE_URL")
  })
)

it.effect.each([
  [["--by", "city"], '--by: there is no "city"; known: day, tenant,'],
  [["--csv", "--json"], "--csv and --json exclude each other"],
  [["--from", "2026-02-30"], '--from: "2026-02-30" is no day'],
  [["--to", "yesterday"], '--to: "yesterday" is no day'],
  [["--from", "2026-03-02", "--to", "2026-03-01"], "--from 2026-03-02 is after --to 2026-03-01"]
] as const)("%j is a wrong use", ([args, message]) =>
  Effect.gen(function* () {
    const { code, stderr, stdout } = yield* run(args)
    expect([code, stdout]).toEqual([2, ""])
    expect(stderr).toContain(message)
  })
)

it("what moves a cursor does not reach a terminal", () => {
  const [sum] = UsageRecord.sum([row({ tenant: "\u001b[2Jx" })], ["tenant"])
  const report = { from: "", to: "", by: ["tenant"], sums: sum === undefined ? [] : [sum], interrupted: [] } as const
  expect(UsageTable.lines(report).join("")).not.toContain("\u001b")
})
