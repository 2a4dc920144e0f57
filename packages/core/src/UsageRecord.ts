/**
 * A row of the books: who used what on which day, and how well that is known.
 *
 * Rows only ever grow by adding, so that batches of them add up in any order. Cost is kept in whole nano-USD (1e-9
 * USD): sums are exact, and a token at $0.001 a million still counts.
 *
 * @since 0.1.0
 */
import type * as Observation from "./Observation.ts"
import type * as Reason from "./Reason.ts"
import type * as Route from "./Route.ts"

/**
 * What a row is counted by. `day` is `YYYY-MM-DD` in the ledger's time zone; what does not apply is `""`.
 *
 * @since 0.1.0
 * @category models
 */
export const dimensions = ["day", "tenant", "wrapper", "pool", "group", "provider", "instance", "model"] as const

/**
 * One of the dimensions.
 *
 * @since 0.1.0
 * @category models
 */
export type Dimension = (typeof dimensions)[number]

/**
 * What a row counts.
 *
 * **Details**
 *
 * - `requests` that ended, `failed` and `cancelled` of them; each once, on the row of the attempt that answered.
 * - `attempts` that were sent, `failedAttempts` of them; `hits` were answered by a cache or by the call of another.
 * - `reported`, `estimated`, `unknown`: attempts by how their usage is known. An attempt that a provider refused used
 *   nothing and is in none; one that broke before anything was heard of its usage is `unknown`.
 * - `unpriced`: attempts that used something at a cost that is not known. It is in no sum: it is not 0.
 * - `inputTokens` include those of the caches, `outputTokens` reasoning.
 * - `costReported`, `costEstimated`: nano-USD by usage that was reported, and by usage that was estimated.
 *
 * @since 0.1.0
 * @category models
 */
export const counters = [
  "requests",
  "failed",
  "cancelled",
  "attempts",
  "failedAttempts",
  "hits",
  "reported",
  "estimated",
  "unknown",
  "unpriced",
  "inputTokens",
  "outputTokens",
  "cacheReadTokens",
  "cacheWriteTokens",
  "reasoningTokens",
  "costReported",
  "costEstimated"
] as const

/**
 * One of the counters.
 *
 * @since 0.1.0
 * @category models
 */
export type Counter = (typeof counters)[number]

/**
 * A value for each counter.
 *
 * @since 0.1.0
 * @category models
 */
export type Counters = { -readonly [K in Counter]: number }

/**
 * A value for each dimension.
 *
 * @since 0.1.0
 * @category models
 */
export type Key = { readonly [K in Dimension]: string }

/**
 * A row.
 *
 * @since 0.1.0
 * @category models
 */
export interface Row {
  readonly key: Key
  readonly counters: Counters
}

/**
 * Nothing of everything.
 *
 * @since 0.1.0
 * @category constructors
 */
export const zero = (): Counters => ({
  requests: 0,
  failed: 0,
  cancelled: 0,
  attempts: 0,
  failedAttempts: 0,
  hits: 0,
  reported: 0,
  estimated: 0,
  unknown: 0,
  unpriced: 0,
  inputTokens: 0,
  outputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  reasoningTokens: 0,
  costReported: 0,
  costEstimated: 0
})

/**
 * Adds to the first what the second has.
 *
 * @since 0.1.0
 * @category combinators
 */
export const add = (into: Counters, from: Readonly<Counters>): void => {
  for (const counter of counters) into[counter] += from[counter]
}

/** One attempt cannot have used more: a provider that says so must not spoil the sums. */
const mostTokens = 1e9
const mostNanos = 1e15

const count = (n: number | undefined): number => (n !== undefined && n > 0 ? Math.min(Math.round(n), mostTokens) : 0)

/**
 * USD in whole nano-USD.
 *
 * @since 0.1.0
 * @category getters
 */
export const toNanos = (usd: number): number => (usd > 0 ? Math.min(Math.round(usd * 1e9), mostNanos) : 0)

/**
 * Nano-USD in USD.
 *
 * @since 0.1.0
 * @category getters
 */
export const toUsd = (nanos: number): number => nanos / 1e9

/**
 * All that is known to have been spent, in nano-USD.
 *
 * @since 0.1.0
 * @category getters
 */
export const cost = ({ costEstimated, costReported }: Readonly<Counters>): number => costReported + costEstimated

/** Failures after which nobody knows whether the model ran: no answer came that says so. */
const untold: ReadonlySet<Reason.ReasonTag> = new Set(["Timeout", "Network", "MalformedOutput", "Unknown"])

/**
 * Whether an attempt may have used something of which nothing is known.
 *
 * @since 0.1.0
 * @category guards
 */
export const isUntold = ({ outcome, reason, usage }: Pick<Route.Open, "outcome" | "reason" | "usage">): boolean =>
  usage === undefined
    ? outcome === "completed" || (reason !== undefined && untold.has(reason))
    : usage.source === "unknown"

/**
 * Counts an attempt that has ended.
 *
 * @since 0.1.0
 * @category combinators
 */
export const countAttempt = (
  into: Counters,
  attempt: Pick<Route.Open, "kind" | "outcome" | "reason" | "usage" | "cost">
): void => {
  if (attempt.kind === "cache" || attempt.kind === "coalesced") {
    into.hits += 1
    return
  }
  into.attempts += 1
  if (attempt.outcome === "failed") into.failedAttempts += 1
  const { usage } = attempt
  const isUnknown = isUntold(attempt)
  if (usage === undefined && !isUnknown) return
  into[usage === undefined || isUnknown ? "unknown" : usage.source] += 1
  if (usage !== undefined) {
    into.inputTokens += count(usage.inputTokens)
    into.outputTokens += count(usage.outputTokens)
    into.cacheReadTokens += count(usage.cacheReadTokens)
    into.cacheWriteTokens += count(usage.cacheWriteTokens)
    into.reasoningTokens += count(usage.reasoningTokens)
  }
  if (attempt.cost === undefined || !Number.isFinite(attempt.cost)) into.unpriced += 1
  else into[usage?.source === "reported" ? "costReported" : "costEstimated"] += toNanos(attempt.cost)
}

/**
 * Counts a request that has ended.
 *
 * @since 0.1.0
 * @category combinators
 */
export const countRequest = (into: Counters, outcome: Observation.Outcome): void => {
  into.requests += 1
  if (outcome === "failed") into.failed += 1
  else if (outcome === "cancelled") into.cancelled += 1
}

/**
 * What sums can be asked by.
 *
 * @since 0.1.0
 * @category models
 */
export const groupings = [...dimensions, "month"] as const

/**
 * One of the dimensions, or the month, `YYYY-MM`.
 *
 * @since 0.1.0
 * @category models
 */
export type Grouping = (typeof groupings)[number]

/**
 * The sum of all rows that have something in common.
 *
 * @since 0.1.0
 * @category models
 */
export interface Sum {
  readonly key: { readonly [K in Grouping]?: string }
  readonly counters: Readonly<Counters>
}

/**
 * The value of a row by which it is summed.
 *
 * @since 0.1.0
 * @category getters
 */
export const valueOf = (key: Key, by: Grouping): string => (by === "month" ? key.day.slice(0, 7) : key[by])

/**
 * Sums rows, in the order of their values.
 *
 * @since 0.1.0
 * @category combinators
 */
export const sum = (rows: Iterable<Row>, by: ReadonlyArray<Grouping>): ReadonlyArray<Sum> => {
  const found = new Map<string, { readonly values: ReadonlyArray<string>; readonly counters: Counters }>()
  for (const { counters: own, key } of rows) {
    const values = by.map((one) => valueOf(key, one))
    const id = JSON.stringify(values)
    const into = found.get(id) ?? { values, counters: zero() }
    add(into.counters, own)
    found.set(id, into)
  }
  return ordered([...found.values()], by)
}

/**
 * Sums in the order of their values, which are given by place.
 *
 * @since 0.1.0
 * @category combinators
 */
export const ordered = (
  sums: ReadonlyArray<{ readonly values: ReadonlyArray<string>; readonly counters: Counters }>,
  by: ReadonlyArray<Grouping>
): ReadonlyArray<Sum> =>
  sums
    .toSorted((a, b) => compare(a.values, b.values))
    .map(({ counters: all, values }) => ({
      key: Object.fromEntries(by.map((one, i) => [one, values[i] ?? ""])),
      counters: all
    }))

/** The same everywhere, whatever a store's collation is. */
const compare = (a: ReadonlyArray<string>, b: ReadonlyArray<string>): number => {
  for (let i = 0; i < a.length; i++) {
    const [one = "", two = ""] = [a[i], b[i]]
    if (one !== two) return one < two ? -1 : 1
  }
  return 0
}
