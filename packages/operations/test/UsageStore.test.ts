import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type * as Observation from "@echelon/core/Observation"
import * as Plans from "@echelon/core/Plans"
import type * as Route from "@echelon/core/Route"
import * as UsageLedger from "@echelon/core/UsageLedger"
import * as UsageLedgerMemory from "@echelon/core/UsageLedgerMemory"
import * as UsageMeter from "@echelon/core/UsageMeter"
import * as SqliteLedger from "@echelon/operations/SqliteLedger"
import * as UsageStore from "@echelon/operations/UsageStore"
import { afterAll, expect, it } from "@effect/vitest"
import { Effect, Logger } from "effect"
import { TestClock } from "effect/testing"
import { ledgerContract } from "./support/ledgerContract.ts"
import { row } from "./support/ledgerRows.ts"

const folder = mkdtempSync(join(tmpdir(), "echelon-store-"))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

ledgerContract("memory", () => UsageLedgerMemory.layer())

const storeOf = (settings: Parameters<typeof UsageStore.layerLedger>[0]) =>
  Effect.provide(
    Effect.map(UsageLedger.UsageLedger, ({ store }) => store),
    UsageStore.layerLedger(settings)
  )

it.effect("opens what the settings name, and nothing when it is switched off", () =>
  Effect.gen(function* () {
    const path = join(folder, "named.sqlite")
    expect(yield* storeOf(Plans.usage())).toBe("memory")
    expect(yield* storeOf(Plans.usage({ store: "sqlite", path }))).toBe("sqlite")
    expect(yield* storeOf(Plans.usage({ enabled: false, store: "postgres" }))).toBe("memory")
    const error = yield* Effect.flip(storeOf(Plans.usage({ store: "postgres" })))
    expect(error.message).toBe("the postgres usage store could not be opened: no url is set")
  })
)

const attempt = {
  kind: "call",
  instance: "a",
  model: "m",
  outcome: "completed",
  endedAt: Date.parse("2026-03-01T00:00:00Z")
}
const finished = { tenant: "acme", outcome: "completed", attempts: [attempt], endedAt: attempt.endedAt }
/** Only what the meter reads. */
const tell = ({ observer }: UsageMeter.UsageMeter["Service"]) => {
  observer.onAttemptEnd?.(finished as unknown as Observation.Observation, attempt as unknown as Route.Open)
  observer.onEnd?.(finished as unknown as Observation.Observation)
}

it.effect("what the meter heard is in the file when its Layer has closed, and a crash before it was noted", () => {
  const settings = Plans.usage({ store: "sqlite", path: join(folder, "meter.sqlite") })
  const logged: Array<string> = []
  const within = <A, E>(body: Effect.Effect<A, E, UsageMeter.UsageMeter | UsageLedger.UsageLedger>) =>
    Effect.provide(body, UsageStore.layer(settings))
  return Effect.gen(function* () {
    yield* TestClock.setTime(Date.now())
    // As a process leaves it that is killed.
    yield* Effect.scoped(
      Effect.gen(function* () {
        const ledger = yield* UsageLedger.UsageLedger
        const writer = yield* ledger.writer(60_000)
        yield* writer.write({ seq: 1, rows: [row()] })
      })
    ).pipe(Effect.provide(SqliteLedger.layer({ path: settings.path })))
    yield* TestClock.adjust("61 seconds")
    yield* within(Effect.map(UsageMeter.UsageMeter, (meter) => Array.from({ length: 1_000 }, () => tell(meter))))
    expect(logged.filter((line) => line.includes("at most one batch, is missing"))).toHaveLength(1)
    const { gone, sum } = yield* within(
      Effect.gen(function* () {
        const ledger = yield* UsageLedger.UsageLedger
        const [first] = yield* ledger.read({ by: [] })
        return { sum: first, gone: yield* ledger.interrupted }
      })
    )
    expect(sum?.counters.requests).toBe(1_001)
    // The one that ended well is none, and the other is told once.
    expect(gone).toHaveLength(1)
    expect(logged.filter((line) => line.includes("missing"))).toHaveLength(1)
  }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => void logged.push(String(message)))])))
})
