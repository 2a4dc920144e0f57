/**
 * The parameters of a request in the words, and within the bounds, of a protocol, a server and a model: what the
 * limit of output is called, how many stop sequences are taken, where the scale of temperature ends, who refuses
 * what.
 *
 * **Details** Whatever is not said as it was asked is named to `dropped`: `settings.FIELD` when it is left out,
 * `settings.FIELD (what is sent instead)` when it is changed. These words are decided here, for every protocol.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Dialect from "./Dialect.ts"
import * as ModelTraits from "./ModelTraits.ts"

type Body = Readonly<Record<string, unknown>>
type Dropped = (field: string) => void

/**
 * The settings that have one name and one value in every protocol.
 *
 * @since 0.1.0
 * @category models
 */
export type Field = Exclude<keyof LlmRequest.Settings, "reasoningEffort" | "parallelToolCalls">

const fields: ReadonlyArray<Field> = [
  "maxOutputTokens",
  "temperature",
  "topP",
  "topK",
  "stop",
  "seed",
  "presencePenalty",
  "frequencyPenalty"
]

/**
 * What a protocol, as a server speaks it, takes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Parameters {
  /** What a setting is called; one without a name cannot be said. */
  readonly names: Readonly<Partial<Record<Field, string>>>
  /** Where the scale of temperature ends; it begins at 0. */
  readonly maxTemperature: number
  /** @default any number */
  readonly maxStopSequences: number | undefined
  /** The lowest limit of output tokens. */
  readonly minOutputTokens: number
}

/**
 * Parameters of OpenAI Chat Completions, as a server understands them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const openAiChat = (dialect: Dialect.Dialect): Parameters => ({
  names: {
    maxOutputTokens: dialect.maxTokensField,
    temperature: "temperature",
    topP: "top_p",
    ...(dialect.topK ? { topK: "top_k" } : {}),
    stop: "stop",
    seed: dialect.seedField,
    presencePenalty: "presence_penalty",
    frequencyPenalty: "frequency_penalty"
  },
  maxTemperature: dialect.maxTemperature,
  maxStopSequences: dialect.maxStopSequences,
  minOutputTokens: 1
})

/**
 * Parameters of OpenAI Responses.
 *
 * @since 0.1.0
 * @category constructors
 */
export const openAiResponses: Parameters = {
  names: { maxOutputTokens: "max_output_tokens", temperature: "temperature", topP: "top_p" },
  maxTemperature: 2,
  maxStopSequences: undefined,
  minOutputTokens: 16
}

/**
 * Parameters of Anthropic Messages.
 *
 * @since 0.1.0
 * @category constructors
 */
export const anthropicMessages: Parameters = {
  names: {
    maxOutputTokens: "max_tokens",
    temperature: "temperature",
    topP: "top_p",
    topK: "top_k",
    stop: "stop_sequences"
  },
  maxTemperature: 1,
  maxStopSequences: undefined,
  minOutputTokens: 1
}

/**
 * Parameters of Google Gemini.
 *
 * @since 0.1.0
 * @category constructors
 */
export const gemini: Parameters = {
  names: {
    maxOutputTokens: "maxOutputTokens",
    temperature: "temperature",
    topP: "topP",
    topK: "topK",
    stop: "stopSequences",
    seed: "seed",
    presencePenalty: "presencePenalty",
    frequencyPenalty: "frequencyPenalty"
  },
  maxTemperature: 2,
  maxStopSequences: 5,
  minOutputTokens: 1
}

/**
 * Whom the parameters are for.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target {
  /** The model's name on the wire. */
  readonly model: string
  /** The most that the model writes; a higher limit is lowered to it, since a provider refuses it. */
  readonly maxOutputTokens?: number | undefined
  /** The effort that the body itself states: `none` lets some models sample. */
  readonly effort?: unknown
  /** What the body says already, by its names on the wire: nothing is added that it would contradict. */
  readonly stated?: Body | undefined
  /** Whether it is told to think where it then takes no sampling settings. */
  readonly isThinking?: boolean | undefined
}

/** Whether the model refuses a setting, whatever its value is. */
const isRefused = (field: Field, traits: ModelTraits.Traits, effort: unknown): boolean => {
  switch (field) {
    case "temperature":
    case "topP":
    case "topK":
      return traits.sampling === "none" || (traits.sampling === "unless_thinking" && effort !== "none")
    case "presencePenalty":
    case "frequencyPenalty":
      return (
        traits.refusesPenalties ||
        traits.sampling === "none" ||
        (traits.sampling === "unless_thinking" && effort !== "none")
      )
    case "stop":
      return traits.refusesStop
    case "maxOutputTokens":
    case "seed":
      return false
  }
}

const sampling: ReadonlySet<Field> = new Set(["temperature", "topP", "topK"])

/** Brings a number into its bounds, and says so. */
const within = (field: Field, value: number, min: number, max: number, dropped: Dropped): number => {
  if (value > max) dropped(`settings.${field} (lowered to ${max})`)
  else if (value < min) dropped(`settings.${field} (raised to ${min})`)
  else return value
  return value > max ? max : min
}

/**
 * Says settings as they are sent.
 *
 * **Details** Of temperature and top p the former stays where the model takes only one of them. An empty list of
 * stop sequences is none.
 *
 * @example
 * ```ts
 * import { ParameterMapper } from "@echelon/providers"
 *
 * const dropped: Array<string> = []
 * const settings = { temperature: 1.4, topP: 0.9, seed: 7, maxOutputTokens: 100 }
 * const target = { model: "claude-sonnet-4-5" }
 * const body = ParameterMapper.map(settings, ParameterMapper.anthropicMessages, target, (field) => dropped.push(field))
 * console.assert(JSON.stringify(body) === '{"max_tokens":100,"temperature":1}')
 * console.assert(dropped.join() === "settings.temperature (lowered to 1),settings.topP,settings.seed")
 * ```
 *
 * @since 0.1.0
 * @category lowering
 */
export const map = (
  settings: LlmRequest.Settings,
  parameters: Parameters,
  target: Target,
  dropped: Dropped
): Record<string, unknown> => {
  const { names } = parameters
  const { effort, stated = {} } = target
  const traits = ModelTraits.of(target.model)
  const body: Record<string, unknown> = {}
  const says = (field: Field): boolean => {
    const name = names[field]
    return name !== undefined && (body[name] !== undefined || stated[name] !== undefined)
  }
  for (const field of fields) {
    const value = settings[field]
    if (value === undefined || (typeof value === "object" && value.length === 0)) continue
    const name = names[field]
    const isOneTooMany =
      traits.sampling === "one" &&
      ((field === "topP" && says("temperature")) || (field === "temperature" && stated[names.topP ?? ""] !== undefined))
    const isBarred = target.isThinking === true && sampling.has(field)
    if (name === undefined || isOneTooMany || isBarred || isRefused(field, traits, effort)) dropped(`settings.${field}`)
    else if (typeof value === "object") body[name] = stops(value, parameters.maxStopSequences, dropped)
    else if (field === "temperature") body[name] = within(field, value, 0, parameters.maxTemperature, dropped)
    else if (field === "maxOutputTokens") {
      const max = Math.max(target.maxOutputTokens ?? Number.POSITIVE_INFINITY, parameters.minOutputTokens)
      body[name] = within(field, value, parameters.minOutputTokens, max, dropped)
    } else body[name] = value
  }
  return body
}

const stops = (value: ReadonlyArray<string>, max: number | undefined, dropped: Dropped): ReadonlyArray<string> => {
  if (max === undefined || value.length <= max) return value
  dropped(`settings.stop (the first ${max} of ${value.length})`)
  return value.slice(0, max)
}

const efforts = ["none", "minimal", "low", "medium", "high", "xhigh"] as const

/**
 * The effort to ask a model for: the one that is asked, else the next higher that the model knows, else its
 * highest. `undefined` when it knows none. A model that does not think is told nothing to stay so.
 *
 * @since 0.1.0
 * @category lowering
 */
export const effort = (
  settings: LlmRequest.Settings,
  model: string,
  dropped: Dropped
): LlmRequest.Settings["reasoningEffort"] => {
  const asked = settings.reasoningEffort
  if (asked === undefined) return undefined
  const { efforts: known, thinks } = ModelTraits.of(model)
  if (asked === "none" && thinks === "no") return undefined
  const able = thinks === "no" ? [] : efforts.filter((one) => known === undefined || known.includes(one))
  const sent = able.find((one) => efforts.indexOf(one) >= efforts.indexOf(asked)) ?? able.at(-1)
  if (sent === undefined) dropped("settings.reasoningEffort")
  else if (sent !== asked) dropped(`settings.reasoningEffort (${sent})`)
  return sent
}

/**
 * Whether a model can be told how many tools to call at a time.
 *
 * @since 0.1.0
 * @category guards
 */
export const takesParallel = (model: string): boolean => !ModelTraits.of(model).refusesParallel

/**
 * Takes out of a body that came in by the protocol what the model would refuse it for. The model is chosen by
 * routing, so the caller could not know.
 *
 * @since 0.1.0
 * @category combinators
 */
export const adapt = (
  body: Body,
  parameters: Parameters,
  target: Target,
  dropped: Dropped
): Record<string, unknown> => {
  const traits = ModelTraits.of(target.model)
  const adapted: Record<string, unknown> = { ...body }
  for (const field of fields) {
    const name = parameters.names[field]
    if (name === undefined || adapted[name] === undefined) continue
    const isSecond =
      field === "topP" && traits.sampling === "one" && adapted[parameters.names.temperature ?? ""] !== undefined
    if (!isSecond && !isRefused(field, traits, target.effort)) continue
    delete adapted[name]
    dropped(`settings.${field}`)
  }
  return adapted
}
