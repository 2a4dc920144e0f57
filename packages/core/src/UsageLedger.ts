/**
 * The books: where usage is kept, and what is asked of it. A memory Layer is in `UsageLedgerMemory`, those over SQL are
 * in `@echelon/operations`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Data from "effect/Data"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Plan from "./Plan.ts"
import type * as UsageRecord from "./UsageRecord.ts"

/**
 * The books could not be opened, written or read.
 *
 * **Details** `message` names the store and what went wrong in its own words, never an address or a password.
 *
 * @since 0.1.0
 * @category errors
 */
export class UsageLedgerError extends Data.TaggedError("UsageLedgerError")<{
  readonly store: Plan.Accounting["store"]
  readonly operation: "open" | "write" | "read"
  readonly detail: string
}> {
  override get message(): string {
    return `the ${this.store} usage store could not be ${past[this.operation]}: ${this.detail}`
  }
}

const past = { open: "opened", write: "written", read: "read" } as const

/**
 * Rows to be added, once. `seq` counts the batches of a writer from 1.
 *
 * @since 0.1.0
 * @category models
 */
export interface Batch {
  readonly seq: number
  readonly rows: ReadonlyArray<UsageRecord.Row>
}

/**
 * Writes batches for one process.
 *
 * @since 0.1.0
 * @category models
 */
export interface Writer {
  readonly id: string
  /** Adds a batch in one transaction. One that has been added before is not added again: `repeated`. */
  readonly write: (batch: Batch) => Effect.Effect<"applied" | "repeated", UsageLedgerError>
  /** Says that the writer is alive, when it has nothing to write. */
  readonly renew: Effect.Effect<void, UsageLedgerError>
  /** Says that everything was written. A writer whose scope closes without it counts as interrupted. */
  readonly end: Effect.Effect<void, UsageLedgerError>
}

/**
 * A writer that has gone without a word: what it had counted after its last batch is missing. Times are milliseconds
 * since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface Interrupted {
  readonly writer: string
  readonly host: string
  readonly pid: number
  readonly startedAt: number
  /** When it last wrote, or said that it was alive. */
  readonly seenAt: number
  /** Batches that it wrote; the one after them is missing. */
  readonly batches: number
}

/**
 * Which rows to sum, and by what.
 *
 * @since 0.1.0
 * @category models
 */
export interface Query {
  /** First day, `YYYY-MM-DD`. @default the first there is */
  readonly from?: string | undefined
  /** Last day. @default the last there is */
  readonly to?: string | undefined
  /** Nothing sums all. */
  readonly by: ReadonlyArray<UsageRecord.Grouping>
}

/**
 * The ledger.
 *
 * @since 0.1.0
 * @category services
 */
export class UsageLedger extends Context.Service<
  UsageLedger,
  {
    readonly store: Plan.Accounting["store"]
    /** Whether other processes may write to it. */
    readonly isShared: boolean
    /**
     * Registers a writer. It counts as interrupted when it says nothing for as long as `lease`, in milliseconds, or
     * its process is known to have ended.
     */
    readonly writer: (lease: number) => Effect.Effect<Writer, UsageLedgerError, Scope.Scope>
    /** Sums, in the order of their values. */
    readonly read: (query: Query) => Effect.Effect<ReadonlyArray<UsageRecord.Sum>, UsageLedgerError>
    /** Writers that did not end, each of which lost at most the batch that it was at. */
    readonly interrupted: Effect.Effect<ReadonlyArray<Interrupted>, UsageLedgerError>
    /** Notes writers that did not end, and gives those that nobody had noted. */
    readonly noteInterrupted: Effect.Effect<ReadonlyArray<Interrupted>, UsageLedgerError>
    /** Forgets days before this one. */
    readonly prune: (day: string) => Effect.Effect<void, UsageLedgerError>
  }
>()("@echelon/core/UsageLedger") {}
