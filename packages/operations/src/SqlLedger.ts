/**
 * The books in a SQL database: the statements, for whichever database runs them.
 *
 * All parameters are text, cast where they are used, so that no driver's idea of types matters.
 *
 * @since 0.1.0
 */

import { randomUUID } from "node:crypto"
import { hostname } from "node:os"
import type * as Plan from "@echelon/core/Plan"
import * as UsageLedger from "@echelon/core/UsageLedger"
import * as UsageRecord from "@echelon/core/UsageRecord"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as SqlLedgerWriters from "./SqlLedgerWriters.ts"

/**
 * A row as a database gives it.
 *
 * @since 0.1.0
 * @category models
 */
export type Row = Readonly<Record<string, unknown>>

/**
 * One statement of a transaction. Parameters stand as `?`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Step {
  readonly sql: string
  readonly params: ReadonlyArray<string>
  /** Whether the transaction ends here, well, when the statement gives no row. */
  readonly orStop?: boolean | undefined
}

/**
 * What runs statements.
 *
 * @since 0.1.0
 * @category models
 */
export interface Driver {
  readonly store: Exclude<Plan.Accounting["store"], "memory">
  /** The element at a place of the JSON array `j`, as text. */
  readonly element: (place: number) => string
  /** What gives each element of the JSON array of a parameter as `j`. */
  readonly elements: string
  /** What stands behind the columns of a new table. */
  readonly tableOptions: string
  /** Lets one process at a time make the tables, when that is not so anyway. */
  readonly lock: ReadonlyArray<Step>
  /** Runs all or nothing; gives the rows of each statement that ran. */
  readonly transaction: (
    operation: UsageLedger.UsageLedgerError["operation"],
    steps: ReadonlyArray<Step>
  ) => Effect.Effect<ReadonlyArray<ReadonlyArray<Row>>, UsageLedger.UsageLedgerError>
}

/** Of the tables. A database of a later one is left alone. */
const version = 1

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** `group` is a word of SQL. */
const columnOf = (name: UsageRecord.Dimension | UsageRecord.Counter): string => (name === "group" ? "grp" : snake(name))

const keyColumns = UsageRecord.dimensions.map(columnOf)
const counterColumns = UsageRecord.counters.map(columnOf)

const tables = ({ tableOptions }: Driver): ReadonlyArray<string> => [
  "CREATE TABLE IF NOT EXISTS echelon_usage_meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
  `INSERT INTO echelon_usage_meta (name, value) VALUES ('version', '${version}') ON CONFLICT (name) DO NOTHING`,
  `CREATE TABLE IF NOT EXISTS echelon_usage (${[
    ...keyColumns.map((name) => `${name} TEXT NOT NULL`),
    ...counterColumns.map((name) => `${name} BIGINT NOT NULL`)
  ].join(", ")}, PRIMARY KEY (${keyColumns.join(", ")}))${tableOptions}`,
  `CREATE TABLE IF NOT EXISTS echelon_usage_writers (writer TEXT PRIMARY KEY, host TEXT NOT NULL, pid BIGINT NOT NULL,
    started_at BIGINT NOT NULL, seen_at BIGINT NOT NULL, lease_until BIGINT NOT NULL, batches BIGINT NOT NULL,
    ended_at BIGINT, noted BIGINT NOT NULL)${tableOptions}`
]

const integer = "CAST(? AS BIGINT)"

/** Says that a writer is there, and adds a batch to what it wrote, unless it has written that one before. */
const takePart = `INSERT INTO echelon_usage_writers
  (writer, host, pid, started_at, seen_at, lease_until, batches, ended_at, noted)
  VALUES (?, ?, ${integer}, ${integer}, ${integer}, ${integer}, ${integer}, NULL, 0)
  ON CONFLICT (writer) DO UPDATE SET seen_at = excluded.seen_at, lease_until = excluded.lease_until,
    batches = excluded.batches, ended_at = NULL, noted = 0
  WHERE echelon_usage_writers.batches < excluded.batches
  RETURNING writer`

/**
 * Names that are equal after all are summed first: no row may be met twice in one statement. All writers go through the
 * rows in one order, so that none waits for another that waits for it.
 */
const addRows = ({ element, elements }: Driver): string => {
  const names = keyColumns.map((_, i) => element(i))
  const sums = counterColumns.map((_, i) => `CAST(SUM(CAST(${element(keyColumns.length + i)} AS BIGINT)) AS BIGINT)`)
  return `INSERT INTO echelon_usage (${[...keyColumns, ...counterColumns].join(", ")})
    SELECT ${[...names, ...sums].join(", ")} FROM ${elements} WHERE true GROUP BY ${names.join(", ")} ORDER BY ${names.join(", ")}
    ON CONFLICT (${keyColumns.join(", ")}) DO UPDATE SET
    ${counterColumns.map((name) => `${name} = echelon_usage.${name} + excluded.${name}`).join(", ")}`
}

/** Rows that are written as JSON in one go: about half a millisecond of the thread that answers requests. */
const goes = 500

const jsonOf = Effect.fnUntraced(function* (rows: ReadonlyArray<UsageRecord.Row>) {
  const texts: Array<string> = []
  for (let from = 0; from < rows.length; from += goes) {
    if (from > 0) yield* Effect.yieldNow
    const some = rows
      .slice(from, from + goes)
      .map(({ counters, key }) => [
        ...UsageRecord.dimensions.map((one) => key[one]),
        ...UsageRecord.counters.map((one) => counters[one])
      ])
    texts.push(JSON.stringify(some).slice(1, -1))
  }
  return `[${texts.join(",")}]`
})

/** Sums are text, since they may be larger than a number of the driver. */
const sumsBy = (by: ReadonlyArray<UsageRecord.Grouping>): string => {
  const values = by.map((one) => (one === "month" ? "substr(day, 1, 7)" : columnOf(one)))
  const columns = [
    ...values.map((value, i) => `${value} AS k${i}`),
    ...counterColumns.map((name) => `CAST(SUM(${name}) AS TEXT) AS ${name}`)
  ]
  const groups = values.length === 0 ? "" : ` GROUP BY ${values.join(", ")}`
  return `SELECT ${columns.join(", ")} FROM echelon_usage WHERE day >= ? AND day <= ?${groups} HAVING COUNT(*) > 0`
}

/**
 * What makes the tables that are not there.
 *
 * @since 0.1.0
 * @category constructors
 */
export const schema = (driver: Driver): ReadonlyArray<Step> => [
  ...driver.lock,
  ...tables(driver).map((sql) => ({ sql, params: [] }))
]

const countersOf = (row: Row): UsageRecord.Counters => {
  const found = UsageRecord.zero()
  for (const counter of UsageRecord.counters) found[counter] = Number(row[columnOf(counter)])
  return found
}

/**
 * Makes the ledger of a database. Unless it is only read, tables that are not there are made.
 *
 * **Errors** `UsageLedgerError` when the database cannot be used, or was written by a later version.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (driver: Driver, options: { readonly isReadOnly: boolean }) {
  const { store, transaction } = driver
  const run = (operation: UsageLedger.UsageLedgerError["operation"], sql: string, params: ReadonlyArray<string> = []) =>
    Effect.map(transaction(operation, [{ sql, params }]), ([rows = []]) => rows)
  if (!options.isReadOnly) yield* transaction("open", schema(driver))
  const [meta] = yield* run("open", "SELECT value FROM echelon_usage_meta WHERE name = 'version'")
  if (Number(meta?.["value"]) !== version)
    return yield* new UsageLedger.UsageLedgerError({
      store,
      operation: "open",
      detail: `its tables are of version ${String(meta?.["value"])}, this one knows version ${version}`
    })
  const insert = addRows(driver)

  const writer = Effect.fnUntraced(function* (lease: number) {
    const id = randomUUID()
    const startedAt = yield* Clock.currentTimeMillis
    const begin = (now: number, batches: number): Step => ({
      sql: takePart,
      params: [id, hostname(), ...[process.pid, startedAt, now, now + lease, batches].map(String)],
      orStop: true
    })
    yield* transaction("open", [begin(startedAt, 0)])
    const touch = (sql: string) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) =>
        Effect.asVoid(run("write", sql, [String(now), String(now + lease), id]))
      )
    return {
      id,
      write: Effect.fnUntraced(function* ({ rows, seq }: UsageLedger.Batch) {
        const text = yield* jsonOf(rows)
        const now = yield* Clock.currentTimeMillis
        const [taken] = yield* transaction("write", [begin(now, seq), { sql: insert, params: [text] }])
        return taken?.length === 1 ? ("applied" as const) : ("repeated" as const)
      }),
      renew: touch(
        `UPDATE echelon_usage_writers SET seen_at = ${integer}, lease_until = ${integer}, noted = 0 WHERE writer = ?`
      ),
      end: touch(`UPDATE echelon_usage_writers SET ended_at = ${integer}, lease_until = ${integer} WHERE writer = ?`)
    }
  })

  const unended = Effect.flatMap(Clock.currentTimeMillis, (now) =>
    Effect.map(
      run("read", "SELECT * FROM echelon_usage_writers WHERE ended_at IS NULL ORDER BY started_at, writer"),
      (rows) => rows.map(SqlLedgerWriters.fromRow).filter((one) => SqlLedgerWriters.isInterrupted(one, now))
    )
  )

  return UsageLedger.UsageLedger.of({
    store,
    isShared: true,
    writer: writer satisfies (
      lease: number
    ) => Effect.Effect<UsageLedger.Writer, UsageLedger.UsageLedgerError, Scope.Scope>,
    read: ({ by, from = "", to = "9999-12-31" }) =>
      Effect.map(run("read", sumsBy(by), [from, to]), (rows) =>
        UsageRecord.ordered(
          rows.map((row) => ({ values: by.map((_, i) => String(row[`k${i}`])), counters: countersOf(row) })),
          by
        )
      ),
    interrupted: Effect.map(unended, (all) => all.map(SqlLedgerWriters.told)),
    noteInterrupted: Effect.gen(function* () {
      const found = (yield* unended).filter(({ isNoted }) => !isNoted)
      for (const { writer: id } of found)
        yield* run("write", "UPDATE echelon_usage_writers SET noted = 1 WHERE writer = ?", [id])
      return found.map(SqlLedgerWriters.told)
    }),
    prune: (day) =>
      Effect.asVoid(
        transaction("write", [
          { sql: "DELETE FROM echelon_usage WHERE day < ?", params: [day] },
          {
            sql: `DELETE FROM echelon_usage_writers WHERE lease_until < ${integer}`,
            params: [String(Date.parse(`${day}T00:00:00Z`))]
          }
        ])
      )
  })
})
