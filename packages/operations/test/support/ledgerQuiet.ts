/** Writes one batch to a file, and leaves the ledger open: nothing may keep the process from ending. */
import * as UsageLedger from "@echelon/core/UsageLedger"
import * as SqliteLedger from "@echelon/operations/SqliteLedger"
import { Effect, Layer, Scope } from "effect"
import { row } from "./ledgerRows.ts"

const [path = ""] = process.argv.slice(2)
const scope = Scope.makeUnsafe()
const program = Effect.gen(function* () {
  const context = yield* Layer.buildWithScope(SqliteLedger.layer({ path }), scope)
  const ledger = yield* Effect.provideContext(UsageLedger.UsageLedger, context)
  const writer = yield* Scope.provide(ledger.writer(60_000), scope)
  yield* writer.write({ seq: 1, rows: [row()] })
  const [sum] = yield* ledger.read({ by: [] })
  process.stdout.write(`${sum?.counters.requests}\n`)
})
await Effect.runPromise(program)
