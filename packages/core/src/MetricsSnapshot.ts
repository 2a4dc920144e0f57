/**
 * All metrics at one moment, typed by name, for programs; and what can be worked out from them.
 *
 * @since 0.1.0
 */
import type * as MetricNames from "./MetricNames.ts"

/**
 * A counter or a gauge with its labels.
 *
 * @since 0.1.0
 * @category models
 */
export interface Value<L extends string = string> {
  readonly labels: Readonly<Partial<Record<L, string>>>
  readonly value: number
}

/**
 * A histogram with its labels.
 *
 * **Details** `counts` has one bucket for each boundary, with the values up to it and above the one before, and a last
 * one with the values above all.
 *
 * @since 0.1.0
 * @category models
 */
export interface Distribution<L extends string = string> {
  readonly labels: Readonly<Partial<Record<L, string>>>
  readonly boundaries: ReadonlyArray<number>
  readonly counts: ReadonlyArray<number>
  readonly count: number
  readonly sum: number
  /** `undefined` without a value. */
  readonly min: number | undefined
  readonly max: number | undefined
}

/**
 * The series of a metric.
 *
 * @since 0.1.0
 * @category models
 */
export type SeriesOf<N extends MetricNames.Name> = ReadonlyArray<
  N extends MetricNames.NameOf<"histogram"> ? Distribution<MetricNames.LabelOf<N>> : Value<MetricNames.LabelOf<N>>
>

/**
 * All metrics. One that has counted nothing yet has no series.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly metrics: { readonly [N in MetricNames.Name]: SeriesOf<N> }
}

type Labels<L extends string> = Readonly<Partial<Record<L, string>>>

const matches = <L extends string>(labels: Labels<L>, where: Labels<L> | undefined): boolean => {
  for (const label in where) if (labels[label] !== where[label]) return false
  return true
}

/**
 * Adds up the series of a counter or a gauge whose labels are as wanted.
 *
 * @example
 * ```ts
 * import { MetricsSnapshot } from "@echelon/core"
 *
 * const requests = [
 *   { labels: { "echelon.outcome": "completed" }, value: 3 },
 *   { labels: { "echelon.outcome": "failed" }, value: 1 }
 * ]
 * console.assert(MetricsSnapshot.sum(requests) === 4)
 * console.assert(MetricsSnapshot.sum(requests, { "echelon.outcome": "failed" }) === 1)
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const sum = <L extends string>(series: ReadonlyArray<Value<L>>, where?: Labels<L>): number =>
  series.reduce((total, { labels, value }) => (matches(labels, where) ? total + value : total), 0)

/**
 * Joins the series of a histogram whose labels are as wanted; `undefined` when there is none.
 *
 * @since 0.1.0
 * @category getters
 */
export const merge = <L extends string>(
  series: ReadonlyArray<Distribution<L>>,
  where?: Labels<L>
): Distribution<L> | undefined => {
  const wanted = series.filter(({ labels }) => matches(labels, where))
  const first = wanted[0]
  if (first === undefined) return undefined
  const least = (pick: (one: Distribution<L>) => number | undefined, of: (...all: Array<number>) => number) => {
    const known = wanted.map(pick).filter((one) => one !== undefined)
    return known.length === 0 ? undefined : of(...known)
  }
  return {
    labels: where ?? ({} as Labels<L>),
    boundaries: first.boundaries,
    counts: first.counts.map((_, i) => wanted.reduce((total, one) => total + (one.counts[i] ?? 0), 0)),
    count: wanted.reduce((total, one) => total + one.count, 0),
    sum: wanted.reduce((total, one) => total + one.sum, 0),
    min: least((one) => one.min, Math.min),
    max: least((one) => one.max, Math.max)
  }
}

/**
 * The value that a share `q` (0 to 1) of all are not above, as far as buckets tell it: between the bounds of its bucket
 * it is interpolated, as Prometheus does, and never outside of what was seen. `undefined` without a value.
 *
 * @since 0.1.0
 * @category getters
 */
export const quantile = (
  { boundaries, count, counts, max, min }: Pick<Distribution, "boundaries" | "count" | "counts" | "max" | "min">,
  q: number
): number | undefined => {
  if (count === 0 || min === undefined || max === undefined) return undefined
  const rank = Math.min(1, Math.max(0, q)) * count
  let below = 0
  for (const [i, here] of counts.entries()) {
    if (here > 0 && below + here >= rank) {
      const low = i === 0 ? 0 : (boundaries[i - 1] ?? 0)
      const high = boundaries[i] ?? max
      return Math.min(max, Math.max(min, low + ((high - low) * (rank - below)) / here))
    }
    below += here
  }
  return max
}
