/**
 * Text in columns, and figures as a person reads them.
 *
 * @since 0.1.0
 */

/**
 * Lines up columns, two blanks between them. Those whose place is in `right` stand to the right.
 *
 * @since 0.1.0
 * @category getters
 */
export const align = (
  rows: ReadonlyArray<ReadonlyArray<string>>,
  right: ReadonlySet<number> = new Set()
): ReadonlyArray<string> => {
  const widths: Array<number> = []
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)))
  return rows.map((row) =>
    row
      .map((cell, i) => (right.has(i) ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join("  ")
      .trimEnd()
  )
}

/**
 * Milliseconds as a person reads them.
 *
 * @since 0.1.0
 * @category getters
 */
export const time = (millis: number | undefined): string => {
  if (millis === undefined) return "-"
  if (millis < 1_000) return `${Math.round(millis)} ms`
  if (millis < 60_000) return `${(millis / 1_000).toFixed(1)} s`
  return millis < 3_600_000 ? `${(millis / 60_000).toFixed(1)} min` : `${(millis / 3_600_000).toFixed(1)} h`
}

/**
 * USD, small amounts with the digits that tell them apart.
 *
 * @since 0.1.0
 * @category getters
 */
export const usd = (amount: number | undefined): string => {
  if (amount === undefined) return "-"
  if (amount === 0) return "$0"
  if (amount < 0.000_001) return "<$0.000001"
  return `$${amount < 0.01 ? amount.toFixed(6) : amount < 1 ? amount.toFixed(4) : amount.toFixed(2)}`
}

/**
 * A share of 0 to 1.
 *
 * @since 0.1.0
 * @category getters
 */
export const percent = (share: number | undefined): string =>
  share === undefined
    ? "-"
    : share > 0 && share < 0.001
      ? "<0.1 %"
      : `${Number((share * 100).toFixed(share < 0.1 ? 1 : 0))} %`
