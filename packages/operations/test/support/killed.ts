import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import type * as UsageLedger from "@echelon/core/UsageLedger"
import { expect } from "@effect/vitest"
import { Effect } from "effect"

const script = fileURLToPath(new URL("./ledgerChild.ts", import.meta.url))

/** Lets a process write at full speed, kills it after so many batches, and gives the last that it saw acknowledged. */
const killAfter = (store: string, where: string, rows: number, acknowledged: number) =>
  Effect.callback<{ readonly last: number; readonly pid: number }, Error>((resume) => {
    const child = spawn(process.execPath, [script, store, where, String(rows)], { stdio: ["ignore", "pipe", "pipe"] })
    let text = ""
    let problem = ""
    child.stderr.on("data", (chunk) => {
      problem += chunk
    })
    child.stdout.on("data", (chunk) => {
      text += chunk
      if (text.split("\n").length > acknowledged) child.kill("SIGKILL")
    })
    child.on("close", (_, signal) => {
      if (signal === "SIGKILL")
        resume(Effect.succeed({ last: Number(text.trim().split("\n").at(-1)), pid: child.pid ?? 0 }))
      else resume(Effect.fail(new Error(`the child ended by itself: ${problem}`)))
    })
  })

/** Whatever moment it is killed at: each batch is there whole or not at all, and no acknowledged one is missing. */
export const survivesKills = (
  store: string,
  where: string,
  reopen: <A>(
    body: (ledger: UsageLedger.UsageLedger["Service"]) => Effect.Effect<A, UsageLedger.UsageLedgerError>
  ) => Effect.Effect<A, unknown>
) =>
  Effect.gen(function* () {
    const rows = 300
    let before = 0
    for (const acknowledged of [1, 6, 15]) {
      const { last, pid } = yield* killAfter(store, where, rows, acknowledged)
      const { interrupted, noted, sums } = yield* reopen((ledger) =>
        Effect.all({
          sums: ledger.read({ by: ["tenant"] }),
          interrupted: ledger.interrupted,
          noted: ledger.noteInterrupted
        })
      )
      const counts = sums.map(({ counters }) => counters.requests)
      const batches = (counts[0] ?? 0) - before
      expect(new Set(counts).size).toBe(1)
      expect(counts).toHaveLength(rows)
      // The one after the last acknowledged may have been committed before its word was out.
      expect([last, last + 1]).toContain(batches)
      const mine = interrupted.find((one) => one.pid === pid)
      expect(mine?.batches).toBe(batches)
      expect(noted.map((one) => one.pid)).toEqual([pid])
      before = counts[0] ?? 0
    }
  })
