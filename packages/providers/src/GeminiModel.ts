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
const budgets: Readonly<Record<Effort, number>> = {
  none: 0,
  minimal: 512,
  low: 1_024,
  medium: 8_192,
  high: 24_576,
  xhigh: 24_576
}

/**
 * How a model is told to think; `undefined` when it cannot be.
 *
 * **Details** Models since 3 take a level, those of 2.5 and any whose name states no generation a budget. The
 * larger ones of 3 have fewer levels: `minimal` is said as `low`, and to 3.0 `medium` as `high`. Only smaller ones of
 * 2.5 can be told not to think; to the others it is said as the least that they know. `xhigh` is said as `high`.
 *
 * @since 0.1.0
 * @category lowering
 */
export const thinkingConfig = (
  model: string,
  effort: Effort
): { readonly config: Readonly<Record<string, unknown>>; readonly said: Effort } | undefined => {
  const own = generation(model)
  if ((own !== undefined && own < 2.5) || /(?:^|\/)gemma-/.test(model)) return undefined
  const isLarge = /(?:^|-)pro(?:-|$)/.test(model)
  const asked = effort === "xhigh" ? "high" : effort
  if (own === undefined || own < 3) {
    if (asked === "none" && !isLarge) return { config: { thinkingBudget: 0 }, said: asked }
    const said = asked === "none" ? "minimal" : asked
    return { config: { thinkingBudget: budgets[said], includeThoughts: true }, said }
  }
  const least = isLarge ? "low" : "minimal"
  const said =
    asked === "none" || asked === "minimal" ? least : isLarge && own === 3 && asked === "medium" ? "high" : asked
  return { config: { thinkingLevel: said, includeThoughts: true }, said }
}
