/** Writes batches as fast as it can, and says on standard output which are acknowledged, until it is killed. */
import { writeSync } from "node:fs"
import * as Plans from "@echelon/core/Plans"
import * as UsageLedger from "@echelon/core/UsageLedger"
import * as UsageStore from "@echelon/operations/UsageStore"
import { Effect, Redacted } from "effect"
import { row } from "./ledgerRows.ts"

const [store = "", where = "", rows = "1"] = process.argv.slice(2)
const settings =
  store === "sqlite"
    ? Plans.usage({ store: "sqlite", path: where })
    : Plans.usage({ store: "postgres", url: Redacted.make(where) })
const all = Array.from({ length: Number(rows) }, (_, i) => row({ tenant: `t${i}` }))
const program = Effect.gen(function* () {
  const ledger = yield* UsageLedger.UsageLedger
  const writer = yield* ledger.writer(60_000)
  for (let seq = 1; ; seq++) {
    yield* writer.write({ seq, rows: all })
    writeSync(1, `${seq}\n`)
  }
})
await Effect.runPromise(Effect.scoped(Effect.provide(program, UsageStore.layerLedger(settings))))
