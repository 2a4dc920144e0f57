/**
 * What is said to the thread that runs SQLite, and what it answers.
 *
 * @since 0.1.0
 */
import type * as SqlLedger from "./SqlLedger.ts"

/**
 * What it opens, at the first asking.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly path: string
  readonly isReadOnly: boolean
}

/**
 * A transaction to run.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ask {
  readonly id: number
  readonly steps: ReadonlyArray<SqlLedger.Step>
}

/**
 * The end.
 *
 * @since 0.1.0
 * @category models
 */
export interface Close {
  readonly id: "close"
}

/**
 * The rows of each statement that ran, or what went wrong.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  readonly id: number
  readonly rows: ReadonlyArray<ReadonlyArray<SqlLedger.Row>>
  readonly problem: string | undefined
  /** Whether nothing ran, since the file that was opened is not at its place any more. */
  readonly isGone?: boolean | undefined
}
