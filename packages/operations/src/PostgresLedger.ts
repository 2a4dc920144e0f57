/**
 * The books in a Postgres database, which many processes may share.
 *
 * @since 0.1.0
 */
import * as UsageLedger from "@echelon/core/UsageLedger"
import * as PgClient from "@effect/sql-pg/PgClient"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Reactivity from "effect/reactivity/Reactivity"
import type * as SqlError from "effect/sql/SqlError"
import * as SqlLedger from "./SqlLedger.ts"

/**
 * Options of `layer`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** `postgres://user:password@host:5432/database`. */
  readonly url: Redacted.Redacted
  /** Whether it is only read, and the tables must be there. @default false */
  readonly isReadOnly?: boolean | undefined
}

/** Any number that nothing else takes. */
const lockKey = "7310593858020"

/** What went wrong, as its kind and what the database calls it: messages of a driver may hold the address. */
const detailOf = ({ reason }: SqlError.SqlError): string => {
  const kind = reason._tag
    .replace(/(Error|Violation)$/, "")
    .replace(/(?<=.)[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
  const code = codeOf(reason.cause)
  const what = kind === "Unknown" ? "it failed" : `${kind.toLowerCase()} failed`
  return code === undefined ? what : `${what} (${code})`
}

const codeOf = (cause: unknown): string | undefined => {
  if (typeof cause !== "object" || cause === null) return undefined
  const { code } = cause as { readonly code?: unknown }
  if (typeof code === "string" && /^[A-Z0-9_]{4,20}$/.test(code)) return code
  return "cause" in cause ? codeOf(cause.cause) : undefined
}

/** `?` to `$1`, `$2`. */
const numbered = (sql: string): string => {
  let n = 0
  return sql.replaceAll("?", () => {
    n += 1
    return `$${n}::text`
  })
}

const driver = (sql: PgClient.PgClient): SqlLedger.Driver => ({
  store: "postgres",
  element: (place) => `(j ->> ${place})`,
  elements: "json_array_elements(CAST(? AS json)) AS j",
  tableOptions: "",
  lock: [{ sql: "SELECT pg_advisory_xact_lock(CAST(? AS BIGINT))", params: [lockKey] }],
  transaction: (operation, steps) =>
    Effect.gen(function* () {
      const rows: Array<ReadonlyArray<SqlLedger.Row>> = []
      for (const { orStop, params, sql: text } of steps) {
        const found = yield* sql.unsafe<SqlLedger.Row>(numbered(text), params)
        rows.push(found)
        if (orStop === true && found.length === 0) break
      }
      return rows
    }).pipe(
      sql.withTransaction,
      Effect.mapError(
        (error) => new UsageLedger.UsageLedgerError({ store: "postgres", operation, detail: detailOf(error) })
      ),
      // It is no part of anybody's request.
      Effect.withTracerEnabled(false)
    )
})

/**
 * Keeps the books in a Postgres database, of version 12 or later.
 *
 * **Errors** `UsageLedgerError` tells the kind of failure and the database's code for it, never the address.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = ({
  isReadOnly = false,
  url
}: Options): Layer.Layer<UsageLedger.UsageLedger, UsageLedger.UsageLedgerError> =>
  Layer.effect(
    UsageLedger.UsageLedger,
    Effect.gen(function* () {
      // One that writes, one that reads meanwhile.
      const client = PgClient.make({ url, maxConnections: 2, applicationName: "echelon-usage" })
      const sql = yield* Effect.mapError(
        client,
        (error) => new UsageLedger.UsageLedgerError({ store: "postgres", operation: "open", detail: detailOf(error) })
      )
      return yield* SqlLedger.make(driver(sql), { isReadOnly })
    })
  ).pipe(Layer.provide(Reactivity.layer))
