/**
 * How Anthropic's models are told to think, which Messages and Bedrock Converse say in the same fields.
 *
 * Models from 4.6 on think as far as they find fit, by an effort; those before think within a budget of tokens, which
 * is a part of the limit of output. While a model thinks it takes no sampling settings and cannot be held to a tool.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import * as Json from "./Json.ts"
import * as ModelName from "./ModelName.ts"
import * as ModelTraits from "./ModelTraits.ts"
import * as ParameterMapper from "./ParameterMapper.ts"

type Body = Readonly<Record<string, unknown>>
type Dropped = (field: string) => void
type Effort = NonNullable<LlmRequest.Settings["reasoningEffort"]>

/**
 * The least tokens that a budget may have, and the least that is left for the answer beside it.
 *
 * @since 0.1.0
 * @category models
 */
export const minBudget = 1_024

// Those that Gemini is told; `minimal` is said as `low`.
const budgets: Readonly<Record<Effort, number>> = {
  none: minBudget,
  minimal: minBudget,
  low: minBudget,
  medium: 8_192,
  high: 24_576,
  xhigh: 24_576
}

/** What an answer may take where nobody states a limit. */
const answerTokens = 4_096

/**
 * What decides whether, and how far, a model is told to think.
 *
 * @since 0.1.0
 * @category models
 */
export interface Asked {
  readonly model: string
  readonly settings: LlmRequest.Settings
  /** Whether a tool must be called. */
  readonly isForced: boolean
  /** Where the conversation stands. */
  readonly stand: Stand
  /** The most that the model writes. */
  readonly maxOutputTokens: number | undefined
}

/**
 * Where a conversation stands: it may end with what the assistant began to say, or within a turn that did not begin
 * with thinking, where an older model cannot begin to think.
 *
 * @since 0.1.0
 * @category models
 */
export type Stand = "open" | "begun" | "prefilled"

/**
 * What is said.
 *
 * @since 0.1.0
 * @category models
 */
export interface Told {
  /** `thinking` and `output_config`. */
  readonly fields: Body
  /** Whether the model thinks, and thus takes no sampling settings. */
  readonly isThinking: boolean
  /** The limit of output that leaves room to think and to answer; `undefined` when nothing must be said of it. */
  readonly limit: number | undefined
}

/**
 * Says nothing of it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const nothing: Told = { fields: {}, isThinking: false, limit: undefined }

/**
 * Says how hard to think.
 *
 * **Details** A stated limit of output stays: the budget is lowered to leave 1024 tokens for the answer, and where not
 * even that is left, nothing is said. A newer model that cannot think as the request stands is told the effort alone.
 * Not to think is said to models that would by themselves.
 *
 * @since 0.1.0
 * @category lowering
 */
export const tell = (asked: Asked, dropped: Dropped): Told => {
  const { isForced, model, settings, stand } = asked
  if (settings.reasoningEffort === undefined) return nothing
  const { efforts, thinks, thinksBy } = ModelTraits.of(model)
  if (settings.reasoningEffort === "none") {
    // Who does not think, or only when told to, is told nothing.
    if (thinks === "no" || (thinksBy !== undefined && thinks !== "yes")) return nothing
    if (thinksBy !== undefined && efforts?.includes("none") === true)
      return { fields: { thinking: { type: "disabled" } }, isThinking: false, limit: undefined }
  }
  const wanted = budgets[settings.reasoningEffort]
  const stated = settings.maxOutputTokens ?? asked.maxOutputTokens ?? wanted + answerTokens
  const limit = Math.min(stated, asked.maxOutputTokens ?? stated)
  const isBarred = isForced || stand === "prefilled"
  if (thinksBy === undefined || (thinksBy === "budget" && (isBarred || stand === "begun" || limit < 2 * minBudget))) {
    dropped("settings.reasoningEffort")
    return nothing
  }
  const effort = ParameterMapper.effort(settings, model, dropped)
  if (thinksBy === "effort") {
    const output_config = { effort }
    if (!isBarred) return { fields: { thinking: { type: "adaptive" }, output_config }, isThinking: true, limit }
    dropped(`settings.reasoningEffort (${effort}, without thinking)`)
    return { fields: { output_config }, isThinking: false, limit: undefined }
  }
  const budget = Math.min(wanted, limit - minBudget)
  if (budget < wanted) dropped(`settings.reasoningEffort (${budget} tokens)`)
  return { fields: { thinking: { type: "enabled", budget_tokens: budget } }, isThinking: true, limit }
}

/**
 * Where a conversation stands, by its messages as they are sent.
 *
 * @since 0.1.0
 * @category getters
 */
export const standOf = (messages: ReadonlyArray<unknown>): Stand => {
  let first: unknown
  for (const [at, message] of [...messages.entries()].reverse()) {
    if (!Json.isObject(message)) break
    const isAssistant = message["role"] === "assistant"
    if (isAssistant && at === messages.length - 1) return "prefilled"
    const blocks = Json.array(message, "content")
    // The turn reaches back to what the user said of himself.
    if (!isAssistant && !blocks.some(isResult)) break
    if (isAssistant) first = blocks[0] ?? null
  }
  return first === undefined || isThought(first) ? "open" : "begun"
}

const isResult = (block: unknown): boolean =>
  Json.isObject(block) && (block["type"] === "tool_result" || block["toolResult"] !== undefined)

const isThought = (block: unknown): boolean =>
  Json.isObject(block) &&
  (block["type"] === "thinking" || block["type"] === "redacted_thinking" || block["reasoningContent"] !== undefined)

/**
 * Whether fields say already how to think, or cannot stand beside it.
 *
 * @since 0.1.0
 * @category guards
 */
export const isStated = (fields: Body): boolean =>
  fields["thinking"] !== undefined || (Json.isObject(fields["output_config"]) && "effort" in fields["output_config"])

/**
 * Whether `thinking` says no more than that the model thinks as far as it finds fit.
 *
 * @since 0.1.0
 * @category guards
 */
export const isPlain = (thinking: unknown): boolean =>
  Json.isObject(thinking) && thinking["type"] === "adaptive" && Object.keys(thinking).length === 1

/**
 * Whether `thinking` says no more than that the model does not think.
 *
 * @since 0.1.0
 * @category guards
 */
export const isOff = (thinking: unknown): boolean =>
  Json.isObject(thinking) && thinking["type"] === "disabled" && Object.keys(thinking).length === 1

/**
 * What is listed when a body's own words were taken out.
 *
 * @since 0.1.0
 * @category getters
 */
export const changed = ({ fields, isThinking }: Told): string => {
  const thinking = isThinking && Json.isObject(fields["thinking"]) ? fields["thinking"]["type"] : undefined
  return `settings.reasoningEffort${thinking === undefined ? "" : ` (thinking: ${thinking})`}`
}

/**
 * Takes out of fields that came in by the protocol what the model would refuse: a budget where it takes none, an effort
 * where it knows none, both where it does not think. `undefined` when nothing is to be taken out.
 *
 * @since 0.1.0
 * @category combinators
 */
export const without = (fields: Body, model: string): Body | undefined => {
  const { sampling, thinks, thinksBy } = ModelTraits.of(model)
  const { output_config: output, thinking, ...kept } = fields
  const type = Json.isObject(thinking) ? thinking["type"] : undefined
  // Of the models that take an effort, those that take no sampling settings take no budget either.
  const refusesThinking =
    (type === "enabled" && (thinks === "no" || (thinksBy === "effort" && sampling === "none"))) ||
    (type === "adaptive" && (thinks === "no" || thinksBy === "budget"))
  // Opus 4.5 takes an effort beside its budget.
  const refusesEffort =
    isStated({ output_config: output }) &&
    (thinks === "no" || (thinksBy === "budget" && !ModelName.bare(model).startsWith("claude-opus-4-5")))
  if (!refusesThinking && !refusesEffort) return undefined
  const { effort: _, ...beside } = Json.isObject(output) ? output : {}
  const said = refusesEffort ? beside : output
  return {
    ...kept,
    ...(refusesThinking || thinking === undefined ? {} : { thinking }),
    ...(said === undefined || (Json.isObject(said) && Object.keys(said).length === 0) ? {} : { output_config: said })
  }
}
