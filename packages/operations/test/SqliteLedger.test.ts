import { spawnSync } from "node:child_process"
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as UsageLedger from "@echelon/core/UsageLedger"
import * as SqliteLedger from "@echelon/operations/SqliteLedger"
import { afterAll, expect, it } from "@effect/vitest"
import { Duration, Effect, Logger } from "effect"
import { survivesKills } from "./support/killed.ts"
import { durableContract, ledgerContract } from "./support/ledgerContract.ts"
import { row } from "./support/ledgerRows.ts"

const folder = mkdtempSync(join(tmpdir(), "echelon-usage-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
let files = 0
const file = () => {
  files += 1
  return join(folder, `${files}.sqlite`)
}
const within = <A, E>(
  options: SqliteLedger.Options,
  body: (ledger: UsageLedger.UsageLedger["Service"]) => Effect.Effect<A, E>
) => Effect.provide(Effect.flatMap(UsageLedger.UsageLedger, body), SqliteLedger.layer(options))

ledgerContract("sqlite", () => SqliteLedger.layer({ path: file() }))
const kept = file()
durableContract("sqlite", () => SqliteLedger.layer({ path: kept }))

it.live(
  "killed while it writes at full speed, each batch is there whole or not at all",
  () => {
    const path = file()
    return survivesKills("sqlite", path, (body) => within({ path }, body))
  },
  60_000
)

it.effect("two at once write to one file, and wait for each other", () => {
  const path = file()
  const write = within({ path }, (ledger) =>
    Effect.scoped(
      Effect.gen(function* () {
        const writer = yield* ledger.writer(60_000)
        for (let seq = 1; seq <= 20; seq++) yield* writer.write({ seq, rows: [row()] })
      })
    )
  )
  return Effect.gen(function* () {
    yield* Effect.all([write, write, write], { concurrency: "unbounded" })
    const [sum] = yield* within({ path }, (ledger) => ledger.read({ by: [] }))
    expect(sum?.counters.requests).toBe(60)
  })
})

it.effect("one that only reads neither makes a file nor writes to it", () =>
  Effect.gen(function* () {
    const path = file()
    const error = yield* Effect.flip(within({ path, isReadOnly: true }, (ledger) => ledger.read({ by: [] })))
    expect(error.operation).toBe("open")
    yield* within({ path }, (ledger) =>
      Effect.scoped(Effect.flatMap(ledger.writer(1), (writer) => writer.write({ seq: 1, rows: [row()] })))
    )
    const before = readFileSync(path)
    const [sum] = yield* within({ path, isReadOnly: true }, (ledger) => ledger.read({ by: [] }))
    expect(sum?.counters.requests).toBe(1)
    expect(readFileSync(path).equals(before)).toBe(true)
  })
)

it.effect("a file that is deleted or put away while it is written is told, and written anew at its place", () => {
  const path = file()
  const logged: Array<string> = []
  return within({ path }, (ledger) =>
    Effect.scoped(
      Effect.gen(function* () {
        const writer = yield* ledger.writer(60_000)
        const write = (seq: number) => writer.write({ seq, rows: [row()] })
        const requests = Effect.map(
          within({ path, isReadOnly: true }, (other) => other.read({ by: [] })),
          ([sum]) => sum?.counters.requests
        )
        yield* write(1)
        rmSync(path)
        yield* write(2)
        expect(logged.length).toBe(1)
        expect(logged[0]).toContain("was deleted or replaced")
        expect(yield* requests).toBe(1)
        renameSync(path, `${path}.old`)
        yield* write(3)
        yield* write(4)
        expect(logged.length).toBe(2)
        expect(yield* requests).toBe(2)
      })
    )
  ).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => void logged.push(String(message)))])))
})

it.live("a file that another process keeps locked holds the end up for a second", () =>
  Effect.gen(function* () {
    const path = file()
    yield* within({ path }, () => Effect.void)
    const { DatabaseSync } = yield* Effect.promise(() => import("node:sqlite"))
    const other = new DatabaseSync(path)
    const body = (ledger: UsageLedger.UsageLedger["Service"]) =>
      Effect.gen(function* () {
        other.exec("BEGIN IMMEDIATE")
        expect((yield* Effect.timeoutOption(ledger.read({ by: [] }), "20 millis"))._tag).toBe("None")
      })
    const [elapsed] = yield* Effect.timed(within({ path }, body))
    other.exec("ROLLBACK")
    other.close()
    expect(Duration.toMillis(elapsed)).toBeLessThan(4_000)
  })
)

it.effect("what is no database, or of a later version, is told and left alone", () =>
  Effect.gen(function* () {
    const path = file()
    writeFileSync(path, "this is no database, however long it may be".repeat(100))
    const text = readFileSync(path, "utf8")
    const wrong = yield* Effect.flip(within({ path }, () => Effect.void))
    expect(wrong.message).toBe("the sqlite usage store could not be opened: file is not a database")
    expect(readFileSync(path, "utf8")).toBe(text)
    const later = file()
    yield* within({ path: later }, () => Effect.void)
    const { DatabaseSync } = yield* Effect.promise(() => import("node:sqlite"))
    const database = new DatabaseSync(later)
    database.exec("UPDATE echelon_usage_meta SET value = '2'")
    database.close()
    const error = yield* Effect.flip(within({ path: later }, () => Effect.void))
    expect(error.message).toContain("its tables are of version 2, this one knows version 1")
    const missing = yield* Effect.flip(within({ path: join(folder, "no", "such.sqlite") }, () => Effect.void))
    expect(missing.message).toContain("unable to open database file")
  })
)

it.effect(
  "a program's standard error stays empty, and it ends by itself",
  () =>
    Effect.sync(() => {
      const script = join(import.meta.dirname, "support", "ledgerQuiet.ts")
      const { status, stderr, stdout } = spawnSync(process.execPath, [script, file()], {
        encoding: "utf8",
        timeout: 20_000
      })
      expect([status, stderr, stdout]).toEqual([0, "", "1\n"])
    }),
  60_000
)
