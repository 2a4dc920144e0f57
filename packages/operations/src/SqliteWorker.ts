/**
 * Runs SQLite in a thread of its own: a commit waits for the disk, and no request should wait with it.
 *
 * It is started by `SqliteLedger` and imported by nobody.
 *
 * @since 0.1.0
 */
import { type BigIntStats, statSync } from "node:fs"
import type { DatabaseSync } from "node:sqlite"
import { parentPort, workerData } from "node:worker_threads"
import type * as SqliteProtocol from "./SqliteProtocol.ts"

/** Milliseconds to wait for another process that writes. */
const busyTimeout = 5_000

const port = parentPort
if (port === null) throw new Error("SqliteWorker: must be started as a worker")

// This thread's own: Node calls the module experimental, which is nothing to tell users.
const { emitWarning } = process
process.emitWarning = (warning: string | Error, ...rest: Array<unknown>) => {
  if (!String(warning).includes("SQLite is an experimental feature"))
    Reflect.apply(emitWarning, process, [warning, ...rest])
}
const sqlite = await import("node:sqlite")
process.emitWarning = emitWarning

const { isReadOnly, path } = workerData as SqliteProtocol.Options

let opened: DatabaseSync | undefined
/** The file that was opened, wherever it is by now. */
let file: BigIntStats | undefined

const look = (): BigIntStats | undefined => statSync(path, { bigint: true, throwIfNoEntry: false })

/** What is written to a file that was deleted or put away is found by nobody. */
const isGone = (): boolean => {
  if (opened === undefined || isReadOnly || file === undefined) return false
  const now = look()
  return now?.ino !== file.ino || now.dev !== file.dev
}

const open = (): DatabaseSync => {
  if (opened !== undefined) return opened
  const database = new sqlite.DatabaseSync(path, { readOnly: isReadOnly, timeout: busyTimeout })
  try {
    // Readers and a writer do not wait for each other, and what was committed outlives a loss of power.
    if (!isReadOnly) database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
  } catch (error) {
    database.close()
    throw error
  }
  opened = database
  file = look()
  return database
}

const run = ({ steps }: SqliteProtocol.Ask): SqliteProtocol.Answer["rows"] => {
  const database = open()
  const rows: Array<ReadonlyArray<Record<string, unknown>>> = []
  database.exec(isReadOnly ? "BEGIN" : "BEGIN IMMEDIATE")
  try {
    for (const { orStop, params, sql } of steps) {
      const found = database.prepare(sql).all(...params)
      rows.push(found)
      if (orStop === true && found.length === 0) break
    }
    database.exec("COMMIT")
  } catch (error) {
    // Some failures have ended the transaction already.
    if (database.isTransaction) database.exec("ROLLBACK")
    throw error
  }
  return rows
}

const answer = (ask: SqliteProtocol.Ask): SqliteProtocol.Answer => {
  try {
    if (isGone()) {
      opened?.close()
      opened = undefined
      return { id: ask.id, rows: [], problem: "its file was deleted or replaced", isGone: true }
    }
    return { id: ask.id, rows: run(ask), problem: undefined }
  } catch (error) {
    return { id: ask.id, rows: [], problem: error instanceof Error ? error.message : String(error) }
  }
}

port.on("message", (message: SqliteProtocol.Ask | SqliteProtocol.Close) => {
  if (message.id !== "close") return port.postMessage(answer(message))
  opened?.close()
  port.close()
})
