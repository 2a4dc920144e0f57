import * as UsageLedger from "@echelon/core/UsageLedger"
import * as UsageNames from "@echelon/core/UsageNames"
import * as UsageRecord from "@echelon/core/UsageRecord"
import { expect, it } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { TestClock } from "effect/testing"
import { row } from "./ledgerRows.ts"

const lease = 60_000
/** A busy machine is slow to open databases. */
const timeout = 30_000

/** Must be before the ledger is opened: a writer from before this process would be one that has gone. */
const now = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.andThen(TestClock.setTime(Date.now()), effect)

/** What every ledger does, whatever it keeps its rows in. `fresh` gives an empty one each time. */
export const ledgerContract = (
  name: string,
  fresh: () => Layer.Layer<UsageLedger.UsageLedger, UsageLedger.UsageLedgerError>,
  options: { readonly isRunning?: boolean } = {}
) => {
  const test = (
    title: string,
    body: (ledger: UsageLedger.UsageLedger["Service"], writer: UsageLedger.Writer) => Effect.Effect<void, unknown>
  ) =>
    it.effect.skipIf(options.isRunning === false)(
      `${name}: ${title}`,
      () =>
        Effect.scoped(
          Effect.gen(function* () {
            const ledger = yield* UsageLedger.UsageLedger
            yield* body(ledger, yield* ledger.writer(lease))
          })
        ).pipe(Effect.provide(fresh()), now),
      timeout
    )
  const requests = (sums: ReadonlyArray<UsageRecord.Sum>) =>
    sums.map(({ counters, key }) => [...Object.values(key), counters.requests])

  test("is empty at first, summed by nothing as well", (ledger) =>
    Effect.gen(function* () {
      expect(yield* ledger.read({ by: ["tenant"] })).toEqual([])
      expect(yield* ledger.read({ by: [] })).toEqual([])
      expect(yield* ledger.interrupted).toEqual([])
      expect(yield* ledger.noteInterrupted).toEqual([])
    }))

  test("adds every counter of equal rows, within a batch and between batches", (ledger, writer) =>
    Effect.gen(function* () {
      const all = Object.fromEntries(UsageRecord.counters.map((counter, i) => [counter, i + 1]))
      yield* writer.write({ seq: 1, rows: [row({}, all), row({}, all)] })
      yield* writer.write({ seq: 2, rows: [row({}, all)] })
      const [sum, ...others] = yield* ledger.read({ by: [...UsageRecord.dimensions] })
      expect(others).toEqual([])
      expect(sum?.key).toEqual(row().key)
      expect(sum?.counters).toEqual(Object.fromEntries(UsageRecord.counters.map((one, i) => [one, 3 * (i + 1)])))
    }))

  test("adds a batch once, however often it is written", (ledger, writer) =>
    Effect.gen(function* () {
      const batch = { seq: 1, rows: [row()] }
      expect(yield* writer.write(batch)).toBe("applied")
      expect(yield* writer.write(batch)).toBe("repeated")
      expect(yield* writer.write({ ...batch, seq: 2 })).toBe("applied")
      expect(yield* writer.write(batch)).toBe("repeated")
      expect(requests(yield* ledger.read({ by: [] }))).toEqual([[2]])
    }))

  test("counts the batches of each writer for itself", (ledger, writer) =>
    Effect.scoped(
      Effect.gen(function* () {
        const other = yield* ledger.writer(lease)
        yield* writer.write({ seq: 1, rows: [row()] })
        expect(yield* other.write({ seq: 1, rows: [row()] })).toBe("applied")
        expect(requests(yield* ledger.read({ by: [] }))).toEqual([[2]])
      })
    ))

  test("adds what many write at once", (ledger) =>
    Effect.gen(function* () {
      const tenants = ["a", "b", "c", "d", "e"]
      const one = (turned: boolean) =>
        Effect.scoped(
          Effect.gen(function* () {
            const writer = yield* ledger.writer(lease)
            const rows = tenants.map((tenant) => row({ tenant }))
            for (let seq = 1; seq <= 10; seq++)
              yield* Effect.retry(writer.write({ seq, rows: turned ? rows.toReversed() : rows }), { times: 20 })
          })
        )
      yield* Effect.all([one(false), one(true)], { concurrency: "unbounded" })
      expect(requests(yield* ledger.read({ by: ["tenant"] }))).toEqual(tenants.map((tenant) => [tenant, 20]))
    }))

  test("sums between two days, by day and by month, in the order of their values", (ledger, writer) =>
    Effect.gen(function* () {
      const days = ["2026-02-28", "2026-03-01", "2026-03-02", "2026-03-31", "2026-04-01"]
      yield* writer.write({ seq: 1, rows: days.toReversed().map((day) => row({ day })) })
      const by = (from: string, to: string, ...groupings: ReadonlyArray<UsageRecord.Grouping>) =>
        Effect.map(ledger.read({ from, to, by: groupings }), requests)
      expect(yield* by("2026-03-01", "2026-03-31", "day")).toEqual([
        ["2026-03-01", 1],
        ["2026-03-02", 1],
        ["2026-03-31", 1]
      ])
      expect(yield* by("2026-01-01", "2026-12-31", "month")).toEqual([
        ["2026-02", 1],
        ["2026-03", 3],
        ["2026-04", 1]
      ])
      expect(requests(yield* ledger.read({ from: "2026-03-31", by: [] }))).toEqual([[2]])
      expect(requests(yield* ledger.read({ to: "2026-02-28", by: [] }))).toEqual([[1]])
    }))

  test("sorts the same, whatever the collation", (ledger, writer) =>
    Effect.gen(function* () {
      const tenants = ["b", "B", "a", "Z", "", "é", "(other)", "a b"]
      yield* writer.write({ seq: 1, rows: tenants.map((tenant) => row({ tenant })) })
      const found = yield* ledger.read({ by: ["tenant"] })
      expect(found.map(({ key }) => key.tenant)).toEqual(["", "(other)", "B", "Z", "a", "a b", "b", "é"])
    }))

  test("keeps whatever a caller may be called", (ledger, writer) =>
    Effect.gen(function* () {
      const odd = ["Robert'); DROP TABLE echelon_usage;--", "a?b $1", "\u0000\u0001\n", "\ud800", '"quoted"', "日本語"]
      const long = ["x".repeat(10_000), "日".repeat(120)]
      const tenants = [...odd, ...long].map(UsageNames.clean)
      // Every name as long as it may be.
      const rows = tenants.map((tenant) =>
        row({ tenant, wrapper: tenant, pool: tenant, group: tenant, provider: tenant, instance: tenant, model: tenant })
      )
      yield* writer.write({ seq: 1, rows })
      const found = yield* ledger.read({ by: ["tenant"] })
      expect(found.map(({ key }) => key.tenant)).toEqual([...tenants].sort())
    }))

  test("is exact beyond what 32 bits hold, and near what a number can", (ledger, writer) =>
    Effect.gen(function* () {
      const costReported = 4_000_000_000_000_001
      yield* writer.write({ seq: 1, rows: [row({}, { costReported, inputTokens: 5_000_000_000 })] })
      yield* writer.write({ seq: 2, rows: [row({ tenant: "b" }, { costReported, inputTokens: 5_000_000_000 })] })
      const [sum] = yield* ledger.read({ by: ["pool"] })
      expect([sum?.counters.costReported, sum?.counters.inputTokens]).toEqual([8_000_000_000_000_002, 10_000_000_000])
    }))

  test("adds a batch of many rows whole", (ledger, writer) =>
    Effect.gen(function* () {
      const rows = Array.from({ length: 1_234 }, (_, i) => row({ tenant: `t${i}` }))
      yield* writer.write({ seq: 1, rows: [...rows, ...rows] })
      const counts = (yield* ledger.read({ by: ["tenant"] })).map(({ counters }) => counters.requests)
      expect([counts.length, new Set(counts)]).toEqual([1_234, new Set([2])])
    }))

  test("forgets days before one", (ledger, writer) =>
    Effect.gen(function* () {
      yield* writer.write({ seq: 1, rows: ["2026-01-01", "2026-01-02"].map((day) => row({ day })) })
      yield* ledger.prune("2026-01-02")
      expect(requests(yield* ledger.read({ by: ["day"] }))).toEqual([["2026-01-02", 1]])
    }))
}

/** What those do that outlive a process. `open` gives the same one each time. */
export const durableContract = (
  name: string,
  open: () => Layer.Layer<UsageLedger.UsageLedger, UsageLedger.UsageLedgerError>,
  options: { readonly isRunning?: boolean } = {}
) => {
  const within = <A>(body: (ledger: UsageLedger.UsageLedger["Service"]) => Effect.Effect<A, unknown>) =>
    Effect.scoped(Effect.flatMap(UsageLedger.UsageLedger, body)).pipe(Effect.provide(open()))

  it.effect.skipIf(options.isRunning === false)(
    `${name}: keeps what was written, and tells once who did not end`,
    () =>
      Effect.gen(function* () {
        yield* TestClock.setTime(Date.now())
        yield* within((ledger) =>
          Effect.scoped(
            Effect.gen(function* () {
              const ended = yield* ledger.writer(lease)
              yield* ended.write({ seq: 1, rows: [row()] })
              yield* ended.end
              const gone = yield* ledger.writer(lease)
              yield* gone.write({ seq: 1, rows: [row()] })
              yield* gone.write({ seq: 2, rows: [row()] })
            })
          )
        )
        yield* within((ledger) =>
          Effect.gen(function* () {
            // It may still be at work.
            expect(yield* ledger.noteInterrupted).toEqual([])
            yield* TestClock.adjust(lease + 1)
            const noted = yield* ledger.noteInterrupted
            expect(noted.map(({ batches, pid }) => [batches, pid])).toEqual([[2, process.pid]])
            expect(yield* ledger.noteInterrupted).toEqual([])
            expect(yield* ledger.interrupted).toEqual(noted)
            expect((yield* ledger.read({ by: [] }))[0]?.counters.requests).toBe(3)
          })
        )
      }),
    timeout
  )

  it.effect.skipIf(options.isRunning === false)(
    `${name}: one that was only slow is taken back when it speaks`,
    () =>
      within((ledger) =>
        Effect.scoped(
          Effect.gen(function* () {
            const writer = yield* ledger.writer(lease)
            const isGone = Effect.map(ledger.interrupted, (all) => all.some((one) => one.writer === writer.id))
            yield* TestClock.adjust(lease + 1)
            expect(yield* isGone).toBe(true)
            yield* ledger.noteInterrupted
            yield* writer.renew
            expect(yield* isGone).toBe(false)
            yield* TestClock.adjust(lease + 1)
            yield* writer.write({ seq: 1, rows: [row()] })
            expect(yield* isGone).toBe(false)
            yield* writer.end
            yield* TestClock.adjust(lease + 1)
            expect(yield* isGone).toBe(false)
          })
        )
      ).pipe(now),
    timeout
  )
}
