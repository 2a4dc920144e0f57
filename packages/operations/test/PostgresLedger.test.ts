import * as UsageLedger from "@echelon/core/UsageLedger"
import * as PostgresLedger from "@echelon/operations/PostgresLedger"
import { afterAll, expect, it } from "@effect/vitest"
import { Cause, Effect, Layer, Redacted } from "effect"
import { survivesKills } from "./support/killed.ts"
import { durableContract, ledgerContract } from "./support/ledgerContract.ts"
import { row } from "./support/ledgerRows.ts"
import * as Postgres from "./support/Postgres.ts"

const server = await Postgres.start()
afterAll(() => server?.stop(), 60_000)

const at = (url: string, isReadOnly = false) => PostgresLedger.layer({ url: Redacted.make(url), isReadOnly })
const within = <A, E>(
  url: string,
  body: (ledger: UsageLedger.UsageLedger["Service"]) => Effect.Effect<A, E>,
  isReadOnly = false
) => Effect.provide(Effect.flatMap(UsageLedger.UsageLedger, body), at(url, isReadOnly))
const isRunning = server !== undefined
const fresh = () => server?.fresh() ?? ""
/** A busy machine starts processes and servers slowly. */
const timeout = 60_000
const test = (title: string, body: () => Effect.Effect<void, unknown>) =>
  it.live.skipIf(!isRunning)(title, body, timeout)

ledgerContract("postgres", () => Layer.unwrap(Effect.sync(() => at(fresh()))), { isRunning })
const kept = fresh()
durableContract("postgres", () => at(kept), { isRunning })

test("killed while it writes at full speed, each batch is there whole or not at all", () => {
  const url = fresh()
  return survivesKills("postgres", url, (body) => within(url, body))
})

test("many that start at once make the tables once", () => {
  const url = fresh()
  return Effect.gen(function* () {
    const started = Array.from({ length: 6 }, () =>
      within(url, (ledger) =>
        Effect.scoped(Effect.flatMap(ledger.writer(60_000), (writer) => writer.write({ seq: 1, rows: [row()] })))
      )
    )
    yield* Effect.all(started, { concurrency: "unbounded" })
    const [sum] = yield* within(url, (ledger) => ledger.read({ by: [] }), true)
    expect(sum?.counters.requests).toBe(6)
  })
})

test("a writer goes on after the server was away, and a batch whose end was not heard is added once", () => {
  const url = fresh()
  return within(url, (ledger) =>
    Effect.scoped(
      Effect.gen(function* () {
        const writer = yield* ledger.writer(60_000)
        yield* writer.write({ seq: 1, rows: [row()] })
        yield* Effect.promise(() => server?.crash() ?? Promise.resolve())
        // As after a commit whose acknowledgement was lost.
        const again = yield* Effect.retry(writer.write({ seq: 1, rows: [row()] }), { times: 5 })
        expect(again).toBe("repeated")
        expect(yield* writer.write({ seq: 2, rows: [row()] })).toBe("applied")
        const [sum] = yield* ledger.read({ by: [] })
        expect(sum?.counters.requests).toBe(2)
      })
    )
  )
})

test("neither a wrong password, nor an address nobody is at, nor what is no address, shows in an error", () =>
  Effect.gen(function* () {
    const url = fresh()
    const secret = server?.password ?? ""
    const wrong = [
      [url.replace(secret, "another-secret"), "authentication failed (28P01)"],
      [url.replace(/:\d+\//, ":1/"), "connection failed (ECONNREFUSED)"],
      [`not an address with ${secret}`, "connection failed (ERR_INVALID_URL)"],
      [`${url}_none`, "it failed (3D000)"]
    ] as const
    const shown: Array<string> = []
    for (const [one] of wrong) {
      const cause = yield* Effect.flip(Effect.sandbox(within(one, () => Effect.void)))
      const text = `${Cause.pretty(cause)} ${JSON.stringify(cause)} ${String(cause)}`
      expect(text).not.toContain("secret")
      const error = Cause.squash(cause)
      shown.push(error instanceof UsageLedger.UsageLedgerError ? error.detail : String(error))
    }
    expect(shown).toEqual(wrong.map(([, detail]) => detail))
  }))
