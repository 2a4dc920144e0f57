/**
 * Which of the writers in a database have gone without a word.
 *
 * @since 0.1.0
 */

import { hostname } from "node:os"
import type * as UsageLedger from "@echelon/core/UsageLedger"

/**
 * A writer as the database knows it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Known extends UsageLedger.Interrupted {
  readonly leaseUntil: number
  readonly isNoted: boolean
}

/**
 * Reads a writer.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromRow = (row: Readonly<Record<string, unknown>>): Known => ({
  writer: String(row["writer"]),
  host: String(row["host"]),
  pid: Number(row["pid"]),
  startedAt: Number(row["started_at"]),
  seenAt: Number(row["seen_at"]),
  batches: Number(row["batches"]),
  leaseUntil: Number(row["lease_until"]),
  isNoted: Number(row["noted"]) === 1
})

/**
 * A writer as others are told of it.
 *
 * @since 0.1.0
 * @category getters
 */
export const told = ({ batches, host, pid, seenAt, startedAt, writer }: Known): UsageLedger.Interrupted => ({
  writer,
  host,
  pid,
  startedAt,
  seenAt,
  batches
})

/** Whether a process of this machine runs. One that may not be signalled does. */
const isRunning = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return !(error instanceof Error && "code" in error && error.code === "ESRCH")
  }
}

/**
 * Whether a writer that did not end has gone: it said nothing for longer than it promised, or its process is known to
 * be no more.
 *
 * **Details** Across containers that share a host's name, or a database in a shared folder, a process that runs may be
 * taken for one that does not. It is taken back when it writes again.
 *
 * @since 0.1.0
 * @category guards
 */
export const isInterrupted = ({ host, leaseUntil, pid, startedAt }: Known, now: number): boolean => {
  if (leaseUntil < now) return true
  if (host !== hostname()) return false
  // The same number, of a process before this one.
  return pid === process.pid ? startedAt < Math.floor(performance.timeOrigin) : !isRunning(pid)
}
