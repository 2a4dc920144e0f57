/**
 * What a Gemini model's name tells of the parameters it takes.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"

/**
 * The generation that a name states, such as 2.5; `undefined` when it states none. An alias of the latest model is
 * of no older generation than any other.
 *
 * @since 0.1.0
 * @category getters
 */
export const generation = (model: string): number | undefined => {
  if (/(?:^|\/)gemini-[a-z-]*latest$/.test(model)) return Number.POSITIVE_INFINITY
  const found = /(?:^|\/)gemini-(\d{1,3}(?:\.\d{1,3})?)/.exec(model)?.[1]
  return found === undefined ? undefined : Number(found)
}

/**
 * Whether a model is of a generation or a later one. A name that states none is not.
 *
 * @since 0.1.0
 * @category guards
 */
export const isSince = (model: string, since: number): boolean => (generation(model) ?? 0) >= since

type Effort = NonNullable<LlmRequest.Settings["reasoningEffort"]>

// Each is within the range of every model that takes a budget.
const budgets: Readonly<Record<Effort, number>> = { minimal: 512, low: 1_024, medium: 8_192, high: 24_576 }

/**
 * How a model is told to think; `undefined` when it cannot be.
 *
 * **Details** Models since 3 take a level, those of 2.5 and any whose name states no generation a budget. The
 * larger ones of 3 have fewer levels: `minimal` is said as `low`, and to 3.0 `medium` as `high`.
 *
 * @since 0.1.0
 * @category lowering
 */
export const thinkingConfig = (
  model: string,
  effort: Effort
): { readonly config: Readonly<Record<string, unknown>>; readonly isExact: boolean } | undefined => {
  const own = generation(model)
  if ((own !== undefined && own < 2.5) || /(?:^|\/)gemma-/.test(model)) return undefined
  if (own === undefined || own < 3)
    return { config: { thinkingBudget: budgets[effort], includeThoughts: true }, isExact: true }
  const isLarge = /(?:^|-)pro(?:-|$)/.test(model)
  const level = isLarge && effort === "minimal" ? "low" : isLarge && own === 3 && effort === "medium" ? "high" : effort
  return { config: { thinkingLevel: level, includeThoughts: true }, isExact: level === effort }
}
