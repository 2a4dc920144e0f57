/**
 * What was used, as a table for a person, as CSV for a spreadsheet and as JSON for a program.
 *
 * @since 0.1.0
 */
import type * as UsageLedger from "@echelon/core/UsageLedger"
import * as UsageNames from "@echelon/core/UsageNames"
import * as UsageRecord from "@echelon/core/UsageRecord"

/**
 * What is shown.
 *
 * @since 0.1.0
 * @category models
 */
export interface Report {
  readonly from: string
  readonly to: string
  readonly by: ReadonlyArray<UsageRecord.Grouping>
  readonly sums: ReadonlyArray<UsageRecord.Sum>
  readonly interrupted: ReadonlyArray<UsageLedger.Interrupted>
}

/** All sums together. */
const totalOf = (sums: ReadonlyArray<UsageRecord.Sum>): UsageRecord.Counters => {
  const total = UsageRecord.zero()
  for (const { counters } of sums) UsageRecord.add(total, counters)
  return total
}

const integer = (n: number): string => n.toLocaleString("en-US")

/** Marks what is estimated in part with `~`, and what lacks attempts whose cost nobody knows with `+`. */
const cost = (counters: Readonly<UsageRecord.Counters>): string => {
  const usd = UsageRecord.toUsd(UsageRecord.cost(counters))
  const shown =
    usd > 0 && usd < 0.0001
      ? "<0.0001"
      : usd.toLocaleString("en-US", { minimumFractionDigits: 4, maximumFractionDigits: 4 })
  return `${counters.costEstimated > 0 ? "~" : ""}${shown}${counters.unpriced > 0 ? "+" : ""}`
}

const columns: ReadonlyArray<readonly [title: string, of: (counters: Readonly<UsageRecord.Counters>) => string]> = [
  ["requests", ({ requests }) => integer(requests)],
  ["failed", ({ failed }) => integer(failed)],
  ["attempts", ({ attempts }) => integer(attempts)],
  ["cached", ({ hits }) => integer(hits)],
  ["input", ({ inputTokens }) => integer(inputTokens)],
  ["output", ({ outputTokens }) => integer(outputTokens)],
  ["USD", cost]
]

const shown = (value: string): string => (value === "" ? "-" : UsageNames.clean(value))

/**
 * The lines of a table, with a total below when there is more than one row.
 *
 * @since 0.1.0
 * @category getters
 */
export const lines = ({ by, sums }: Report): ReadonlyArray<string> => {
  const rows = sums.map(({ counters, key }) => [
    ...by.map((one) => shown(key[one] ?? "")),
    ...columns.map(([, of]) => of(counters))
  ])
  const total = totalOf(sums)
  const last = [...by.map((_, i) => (i === 0 ? "total" : "")), ...columns.map(([, of]) => of(total))]
  const head = [...by, ...columns.map(([title]) => title)]
  const all = sums.length > 1 ? [head, ...rows, last] : [head, ...rows]
  const widths = head.map((_, i) => Math.max(...all.map((row) => (row[i] ?? "").length)))
  return all.map((row) =>
    row
      .map((cell, i) => (i < by.length ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0)))
      .join("  ")
      .trimEnd()
  )
}

/**
 * What a reader of the sums should know of them.
 *
 * @since 0.1.0
 * @category getters
 */
export const notes = ({ interrupted, sums }: Report): ReadonlyArray<string> => {
  const { attempts, costEstimated, estimated, unknown, unpriced } = totalOf(sums)
  return [
    ...(costEstimated > 0
      ? [`~ the usage of ${integer(estimated)} of ${integer(attempts)} attempts is estimated`]
      : []),
    ...(unpriced > 0
      ? [
          `+ the cost of ${integer(unpriced)} of ${integer(attempts)} attempts is not known and in no sum; of ${integer(unknown)} the usage is not known`
        ]
      : []),
    ...interrupted.map(
      ({ host, pid, seenAt }) =>
        `process ${pid} on ${UsageNames.clean(host)} did not end cleanly; what it counted after ${new Date(seenAt).toISOString()}, at most one batch, is missing`
    )
  ]
}

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

/** Exact, in USD. */
const decimal = (nanos: number): string => {
  const digits = String(BigInt(Math.round(nanos))).padStart(10, "0")
  return `${digits.slice(0, -9)}.${digits.slice(-9)}`
}

const costs = ["costReported", "costEstimated"] as const
const counts = UsageRecord.counters.filter((counter) => !costs.some((one) => one === counter))

/** A cell that a spreadsheet neither splits nor takes for a formula: names may be a caller's. */
const cell = (text: string): string => {
  const plain = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain
}

/**
 * The lines of a CSV file (RFC 4180), exact to the nano-USD.
 *
 * @since 0.1.0
 * @category getters
 */
export const csv = ({ by, sums }: Report): string =>
  [
    [...by, ...counts.map(snake), "cost_reported_usd", "cost_estimated_usd"],
    ...sums.map(({ counters, key }) => [
      ...by.map((one) => cell(key[one] ?? "")),
      ...counts.map((one) => String(counters[one])),
      ...costs.map((one) => decimal(counters[one]))
    ])
  ]
    .map((row) => `${row.join(",")}\r\n`)
    .join("")

const jsonOf = (counters: Readonly<UsageRecord.Counters>) => ({
  ...Object.fromEntries(counts.map((one) => [one, counters[one]])),
  cost: {
    reported: UsageRecord.toUsd(counters.costReported),
    estimated: UsageRecord.toUsd(counters.costEstimated),
    total: UsageRecord.toUsd(UsageRecord.cost(counters))
  }
})

/**
 * The same as one object. Cost is in USD.
 *
 * @since 0.1.0
 * @category getters
 */
export const json = ({ by, from, interrupted, sums, to }: Report) => ({
  from,
  to,
  by,
  rows: sums.map(({ counters, key }) => ({ ...key, ...jsonOf(counters) })),
  total: jsonOf(totalOf(sums)),
  interrupted: interrupted.map(({ batches, host, pid, seenAt, startedAt }) => ({
    host,
    pid,
    startedAt: new Date(startedAt).toISOString(),
    seenAt: new Date(seenAt).toISOString(),
    batches
  }))
})
