/**
 * The series of metrics: one for each set of labels, and never more than so many.
 *
 * Values of labels come from callers too: names of models, tenants. So they are cut to a length, and a metric that has
 * `maxSeries` counts what is new in series whose labels say "other" where a caller chose them. A quarter is kept for
 * these and for sets that the plan alone decides, so that callers cannot crowd them out; beyond that all labels do.
 *
 * Effect's own counters find their series by its labels at each update, in 5 us; these are found once and kept.
 *
 * @since 0.1.0
 */
import * as MetricNames from "./MetricNames.ts"

/**
 * What tells a series from others of its metric. A label that says nothing is `undefined`, or empty.
 *
 * @since 0.1.0
 * @category models
 */
export type Labels = Readonly<Partial<Record<MetricNames.Label, string>>>

/**
 * A sum that only grows.
 *
 * @since 0.1.0
 * @category models
 */
export class Count {
  value = 0
  updates = 0

  /** Adds an amount; what is no amount adds nothing. */
  add(amount: number): void {
    this.updates += 1
    if (amount > 0 && amount < Number.POSITIVE_INFINITY) this.value += amount
  }
}

/**
 * Values counted by size.
 *
 * @since 0.1.0
 * @category models
 */
export class Histogram {
  readonly boundaries: ReadonlyArray<number>
  /** How many values are in each bucket; the last has those above all boundaries. */
  readonly counts: Float64Array
  updates = 0
  sum = 0
  min = Number.POSITIVE_INFINITY
  max = Number.NEGATIVE_INFINITY

  constructor(boundaries: ReadonlyArray<number>) {
    this.boundaries = boundaries
    this.counts = new Float64Array(boundaries.length + 1)
  }

  /** Counts a value; a time that a clock set back made negative counts as 0. */
  record(given: number): void {
    const value = given > 0 && given < Number.POSITIVE_INFINITY ? given : 0
    const { boundaries } = this
    let low = 0
    let high = boundaries.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (value <= (boundaries[middle] as number)) high = middle
      else low = middle + 1
    }
    this.counts[low] = (this.counts[low] as number) + 1
    this.updates += 1
    this.sum += value
    if (value < this.min) this.min = value
    if (value > this.max) this.max = value
  }
}

/**
 * A series and what it is of.
 *
 * @since 0.1.0
 * @category models
 */
export interface Kept {
  readonly name: MetricNames.Name
  readonly labels: Labels
  readonly series: Count | Histogram
  /** Whether it has what the metric has no room for. */
  readonly isOther: boolean
}

/**
 * The labels whose values a caller chose.
 *
 * @since 0.1.0
 * @category models
 */
export type Open = ReadonlyArray<MetricNames.Label>

/**
 * What there is no room for: what a caller chose says "other", and all else what it is.
 *
 * @since 0.1.0
 * @category getters
 */
export const beyond = (labels: Labels, open: Open): Labels => ({
  ...labels,
  ...Object.fromEntries(open.map((label) => [label, "other"]))
})

/** A value longer than this is cut. */
const longest = 128

/**
 * A value as a label: cut to 128 UTF-16 units, and well-formed.
 *
 * @since 0.1.0
 * @category getters
 */
export const clean = (value: string): string => {
  if (value.length <= longest) return value.isWellFormed() ? value : value.toWellFormed()
  // A slice keeps the whole of its text in memory; written and read again it does not.
  return JSON.parse(JSON.stringify(value.slice(0, longest).toWellFormed())) as string
}

/**
 * How many sets may stand that callers have a part in.
 *
 * @since 0.1.0
 * @category getters
 */
export const openRoom = (maxSeries: number): number => maxSeries - Math.floor(maxSeries / 4)

interface Family {
  readonly definition: MetricNames.Definition
  readonly kept: Map<string, Kept>
  /** Those that callers have a part in. */
  open: number
  other: Kept | undefined
}

/**
 * All series.
 *
 * @since 0.1.0
 * @category models
 */
export class Series {
  /** The most that a metric keeps, the one with the rest not counted. It may change; what is there stays. */
  maxSeries: number
  private readonly onNew: (kept: Kept) => void
  private readonly families = new Map<MetricNames.Name, Family>()

  constructor(maxSeries: number, onNew: (kept: Kept) => void = () => undefined) {
    this.maxSeries = maxSeries
    this.onNew = onNew
  }

  /**
   * The series of a set of labels, or the one labelled "other" when there is no room, or no labels are given. Labels
   * that the metric does not have are left out. `open` are those that a caller chose; `isBeyond`: they say "other"
   * already.
   */
  count(name: MetricNames.NameOf<"counter">, labels: Labels | undefined, open: Open = [], isBeyond = false): Count {
    return this.at(name, labels, open, isBeyond).series as Count
  }

  histogram(
    name: MetricNames.NameOf<"histogram">,
    labels: Labels | undefined,
    open: Open = [],
    isBeyond = false
  ): Histogram {
    return this.at(name, labels, open, isBeyond).series as Histogram
  }

  *all(): Generator<Kept> {
    for (const { kept, other } of this.families.values()) {
      yield* kept.values()
      if (other !== undefined) yield other
    }
  }

  size(): number {
    let sum = 0
    for (const { kept, other } of this.families.values()) sum += kept.size + (other === undefined ? 0 : 1)
    return sum
  }

  private at(name: MetricNames.Name, labels: Labels | undefined, open: Open, isBeyond: boolean): Kept {
    const family = this.family(name)
    if (labels === undefined) return this.other(name, family)
    const values = family.definition.labels.map((label) => {
      const value = labels[label]
      return value === undefined || value === "" ? undefined : clean(value)
    })
    const key = JSON.stringify(values)
    const known = family.kept.get(key)
    if (known !== undefined) return known
    const isOpen = open.length > 0 && !isBeyond
    if (isOpen && (family.kept.size >= this.maxSeries || family.open >= openRoom(this.maxSeries)))
      return this.at(name, beyond(labels, open), open, true)
    if (family.kept.size >= this.maxSeries) return this.other(name, family)
    const own: Partial<Record<MetricNames.Label, string>> = {}
    for (const [i, label] of family.definition.labels.entries()) {
      const value = values[i]
      if (value !== undefined) own[label] = value
    }
    const made: Kept = { name, labels: own, series: fresh(family.definition), isOther: isBeyond }
    family.kept.set(key, made)
    if (isOpen) family.open += 1
    this.onNew(made)
    return made
  }

  private other(name: MetricNames.Name, family: Family): Kept {
    if (family.other !== undefined) return family.other
    const { definition } = family
    const labels: Labels = Object.fromEntries(definition.labels.map((label) => [label, "other"]))
    // An instance may be named so, too.
    const namesake = family.kept.get(JSON.stringify(definition.labels.map(() => "other")))
    const other = { name, labels, series: namesake?.series ?? fresh(definition), isOther: true }
    if (namesake === undefined) {
      family.other = other
      this.onNew(other)
      return other
    }
    return namesake
  }

  private family(name: MetricNames.Name): Family {
    const known = this.families.get(name)
    if (known !== undefined) return known
    const made: Family = { definition: MetricNames.catalogue[name], kept: new Map(), open: 0, other: undefined }
    this.families.set(name, made)
    return made
  }
}

const fresh = ({ boundaries }: MetricNames.Definition): Count | Histogram =>
  boundaries === undefined ? new Count() : new Histogram(boundaries)
