/**
 * The books in a file, by the SQLite that is in Node.
 *
 * @since 0.1.0
 */

import { Worker } from "node:worker_threads"
import * as UsageLedger from "@echelon/core/UsageLedger"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as SqliteProtocol from "./SqliteProtocol.ts"
import * as SqlLedger from "./SqlLedger.ts"

/**
 * Options of `layer`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The file; it is made when it is not there, its folder is not. */
  readonly path: string
  /** Whether it is only read, and must be there. @default false */
  readonly isReadOnly?: boolean | undefined
}

type Settle = (answer: SqliteProtocol.Answer) => void

/** How long the database may take to close. */
const patience = "1 second"

/** The thread, started anew when it has ended. */
class Thread {
  private readonly options: SqliteProtocol.Options
  private readonly waiting = new Map<number, Settle>()
  private worker: Worker | undefined = undefined
  private asked = 0

  constructor(options: SqliteProtocol.Options) {
    this.options = options
  }

  ask(steps: ReadonlyArray<SqlLedger.Step>, settle: Settle): () => void {
    this.asked += 1
    const id = this.asked
    const worker = this.start()
    this.waiting.set(id, settle)
    worker.ref()
    worker.postMessage({ id, steps } satisfies SqliteProtocol.Ask)
    // What was asked is done all the same; nobody hears of it.
    return () => this.settled(id)
  }

  /** Closes the database, so that nothing but its file is left. */
  readonly close: Effect.Effect<void> = Effect.callback<void>((resume) => {
    const { worker } = this
    if (worker === undefined) return resume(Effect.void)
    worker.once("exit", () => resume(Effect.void))
    worker.ref()
    worker.postMessage({ id: "close" } satisfies SqliteProtocol.Close)
  }).pipe(
    Effect.timeoutOption(patience),
    // One that waits for another process ends when it has; what it had not committed is not there.
    Effect.flatMap(({ _tag }) => (_tag === "Some" ? Effect.void : Effect.sync(() => void this.worker?.terminate())))
  )

  private start(): Worker {
    if (this.worker !== undefined) return this.worker
    // It stands beside this file, as source or as built.
    const file = import.meta.url.endsWith(".ts") ? "./SqliteWorker.ts" : "./SqliteWorker.js"
    const worker = new Worker(new URL(file, import.meta.url), { workerData: this.options, execArgv: [] })
    this.worker = worker
    let problem = "its thread ended"
    worker.on("message", (answer: SqliteProtocol.Answer) => this.settled(answer.id)?.(answer))
    worker.on("error", (error) => {
      problem = error.message
    })
    worker.on("exit", () => {
      if (this.worker === worker) this.worker = undefined
      for (const id of [...this.waiting.keys()]) this.settled(id)?.({ id, rows: [], problem })
    })
    return worker
  }

  private settled(id: number): Settle | undefined {
    const settle = this.waiting.get(id)
    this.waiting.delete(id)
    // A program that has nothing else to do may end.
    if (this.waiting.size === 0) this.worker?.unref()
    return settle
  }
}

/** What was asked for came to nothing, since the file is another. */
const gone = Symbol("gone")

const asked = (
  thread: Thread,
  operation: UsageLedger.UsageLedgerError["operation"],
  steps: ReadonlyArray<SqlLedger.Step>
): Effect.Effect<SqliteProtocol.Answer["rows"] | typeof gone, UsageLedger.UsageLedgerError> =>
  Effect.callback((resume) => {
    const forget = thread.ask(steps, ({ isGone, problem, rows }) =>
      resume(
        isGone === true
          ? Effect.succeed(gone)
          : problem === undefined
            ? Effect.succeed(rows)
            : Effect.fail(new UsageLedger.UsageLedgerError({ store: "sqlite", operation, detail: problem }))
      )
    )
    return Effect.sync(forget)
  })

const driver = (thread: Thread): SqlLedger.Driver => ({
  store: "sqlite",
  element: (place) => `json_extract(j.value, '$[${place}]')`,
  elements: "json_each(?) AS j",
  tableOptions: " WITHOUT ROWID",
  lock: [],
  transaction: Effect.fnUntraced(function* (operation, steps) {
    const first = yield* asked(thread, operation, steps)
    if (first !== gone) return first
    yield* Effect.logError(
      "usage: the file of the sqlite store was deleted or replaced while it was written; what it held is not counted any more, and its place is written from here on"
    )
    yield* asked(thread, operation, SqlLedger.schema(driver(thread)))
    const again = yield* asked(thread, operation, steps)
    if (again !== gone) return again
    const detail = "its file was deleted or replaced"
    return yield* new UsageLedger.UsageLedgerError({ store: "sqlite", operation, detail })
  })
})

/**
 * Keeps the books in a file.
 *
 * **Details** SQLite runs in a thread of its own, in WAL mode with full synchronisation: what was committed outlives the
 * process and the machine. Several processes may use one file on one machine; one that writes waits for another up to
 * 5 seconds. When the file was deleted or replaced meanwhile, that is logged at the next batch and a new one is made:
 * what the old one held is not in it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = ({
  isReadOnly = false,
  path
}: Options): Layer.Layer<UsageLedger.UsageLedger, UsageLedger.UsageLedgerError> =>
  Layer.effect(
    UsageLedger.UsageLedger,
    Effect.gen(function* () {
      const thread = yield* Effect.acquireRelease(
        Effect.sync(() => new Thread({ path, isReadOnly })),
        // A finalizer is not interruptible, and so no timeout would end it.
        ({ close }) => Effect.interruptible(close)
      )
      return yield* SqlLedger.make(driver(thread), { isReadOnly })
    })
  )
