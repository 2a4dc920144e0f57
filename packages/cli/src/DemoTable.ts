/**
 * The demo's live table, as text.
 *
 * @since 0.1.0
 */
import type * as DemoTally from "./DemoTally.ts"

/**
 * How an instance stands now.
 *
 * @since 0.1.0
 * @category models
 */
export interface Standing {
  readonly name: string
  readonly inFlight: number
  /** Milliseconds until it may be asked again; 0 when it may. */
  readonly cooling: number
}

/**
 * What the table shows.
 *
 * @since 0.1.0
 * @category models
 */
export interface View {
  /** Milliseconds since the demo began. */
  readonly elapsed: number
  /** What goes wrong now. */
  readonly episode: string | undefined
  readonly standings: ReadonlyArray<Standing>
  readonly tally: DemoTally.Tally
  readonly total: number
}

const head = ["instance", "state", "in flight", "answered", "failed", "last failure"] as const

/**
 * The table in lines, none wider than `columns`.
 *
 * @since 0.1.0
 * @category getters
 */
export const lines = (view: View, columns: number): ReadonlyArray<string> => {
  const cells = view.standings.map(({ cooling, inFlight, name }) => {
    const row = view.tally.rows[name]
    return [
      name,
      cooling > 0 ? `cooling ${(cooling / 1_000).toFixed(1)} s` : "ready",
      String(inFlight),
      String(row?.answered ?? 0),
      String(row?.failed ?? 0),
      row?.lastReason ?? ""
    ]
  })
  const widths = head.map((title, i) => Math.max(title.length, ...cells.map((row) => row[i]?.length ?? 0)))
  const line = (row: ReadonlyArray<string>) =>
    row
      .map((cell, i) => (i >= 2 && i <= 4 ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0)))
      .join("  ")
      .trimEnd()
  return [
    `${(view.elapsed / 1_000).toFixed(1)} s  ${progress(view)}  ${view.episode ?? "all is well"}`,
    "",
    line(head),
    ...cells.map(line)
  ].map((text) => text.slice(0, columns))
}

/**
 * How far the demo is.
 *
 * @since 0.1.0
 * @category getters
 */
export const progress = ({ tally, total }: Pick<View, "tally" | "total">): string =>
  `${tally.answered} of ${total} answered, ${tally.attempts} attempts`
