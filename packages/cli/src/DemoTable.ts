/**
 * The demo's live table, as text: how far it is, above the table of `echelon top`.
 *
 * @since 0.1.0
 */
import type * as DemoTally from "./DemoTally.ts"
import * as TopTable from "./TopTable.ts"

/**
 * What the table shows.
 *
 * @since 0.1.0
 * @category models
 */
export interface View extends TopTable.View {
  /** Milliseconds since the demo began. */
  readonly elapsed: number
  /** What goes wrong now. */
  readonly episode: string | undefined
  readonly tally: DemoTally.Tally
  readonly total: number
}

/**
 * The table in lines, none wider than `columns`.
 *
 * @since 0.1.0
 * @category getters
 */
export const lines = (view: View, options: TopTable.Options): ReadonlyArray<string> => [
  `${(view.elapsed / 1_000).toFixed(1)} s  ${progress(view)}  ${view.episode ?? "all is well"}`.slice(
    0,
    options.columns
  ),
  ...TopTable.lines(view, options)
]

/**
 * How far the demo is.
 *
 * @since 0.1.0
 * @category getters
 */
export const progress = ({ tally, total }: Pick<View, "tally" | "total">): string =>
  `${tally.answered} of ${total} answered, ${tally.attempts} attempts`
