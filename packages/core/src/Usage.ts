/**
 * What an answer used, and where the figure comes from.
 *
 * A figure nobody reported is `undefined`, never `0`: budgets that count an unknown as nothing never trip.
 *
 * @since 0.1.0
 */
import type * as Response from "effect/ai/Response"

/**
 * Where a usage figure comes from.
 *
 * @since 0.1.0
 * @category models
 */
export type Source = "reported" | "estimated" | "unknown"

/**
 * Tokens of one answer. `inputTokens` includes cached ones; `outputTokens` includes reasoning.
 *
 * @since 0.1.0
 * @category models
 */
export interface Usage {
  readonly inputTokens: number | undefined
  readonly outputTokens: number | undefined
  readonly cacheReadTokens: number | undefined
  readonly cacheWriteTokens: number | undefined
  readonly reasoningTokens: number | undefined
  readonly source: Source
}

/**
 * Prices in USD per million tokens.
 *
 * @since 0.1.0
 * @category models
 */
export interface Prices {
  readonly input: number
  readonly output: number
  /** Input tokens read from the provider's cache. @default the input price */
  readonly cachedInput?: number | undefined
  /** Input tokens written to the provider's cache. @default the input price */
  readonly cacheWrite?: number | undefined
  /** The share that is taken off in a batch: 0.5 is half the price. @default 0 */
  readonly batchDiscount?: number | undefined
}

/**
 * Usage of which nothing is known.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unknown: Usage = {
  inputTokens: undefined,
  outputTokens: undefined,
  cacheReadTokens: undefined,
  cacheWriteTokens: undefined,
  reasoningTokens: undefined,
  source: "unknown"
}

/** The encoded usage of a finish part. */
type Encoded = typeof Response.Usage.Encoded

/**
 * Reads the usage of a finish part. Without totals the source is `unknown`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromFinish = (encoded: Encoded): Usage => {
  const { inputTokens, outputTokens } = encoded
  if (inputTokens.total === undefined && outputTokens.total === undefined) return unknown
  return {
    inputTokens: inputTokens.total,
    outputTokens: outputTokens.total,
    cacheReadTokens: inputTokens.cacheRead,
    cacheWriteTokens: inputTokens.cacheWrite,
    reasoningTokens: outputTokens.reasoning,
    source: "reported"
  }
}

/**
 * Usage that nobody reported, as far as it can be told by the letters.
 *
 * @since 0.1.0
 * @category constructors
 */
export const estimated = (inputTokens: number, outputTokens: number): Usage => ({
  ...unknown,
  inputTokens,
  outputTokens,
  source: "estimated"
})

const sum = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined ? b : b === undefined ? a : a + b

const weaker: Record<Source, number> = { reported: 0, estimated: 1, unknown: 2 }

/**
 * Adds two usages; the result is as trustworthy as the weaker of the two.
 *
 * @since 0.1.0
 * @category combinators
 */
export const add = (a: Usage, b: Usage): Usage => ({
  inputTokens: sum(a.inputTokens, b.inputTokens),
  outputTokens: sum(a.outputTokens, b.outputTokens),
  cacheReadTokens: sum(a.cacheReadTokens, b.cacheReadTokens),
  cacheWriteTokens: sum(a.cacheWriteTokens, b.cacheWriteTokens),
  reasoningTokens: sum(a.reasoningTokens, b.reasoningTokens),
  source: weaker[a.source] >= weaker[b.source] ? a.source : b.source
})

/**
 * The cost in USD, or `undefined` when a price or a figure is not known.
 *
 * **Details** Input that was read from the cache and input that was written to it have their own prices, the rest
 * the price of input. `batch` takes the discount of batches off the whole.
 *
 * @since 0.1.0
 * @category getters
 */
export const cost = (
  usage: Usage,
  prices: Prices | undefined,
  options: {
    /** @default false */
    readonly batch?: boolean | undefined
  } = {}
): number | undefined => {
  if (prices === undefined || usage.inputTokens === undefined || usage.outputTokens === undefined) return undefined
  const cached = Math.min(usage.cacheReadTokens ?? 0, usage.inputTokens)
  const written = Math.min(usage.cacheWriteTokens ?? 0, usage.inputTokens - cached)
  const input =
    (usage.inputTokens - cached - written) * prices.input +
    cached * (prices.cachedInput ?? prices.input) +
    written * (prices.cacheWrite ?? prices.input)
  const whole = (input + usage.outputTokens * prices.output) / 1_000_000
  return options.batch === true ? whole * (1 - (prices.batchDiscount ?? 0)) : whole
}
