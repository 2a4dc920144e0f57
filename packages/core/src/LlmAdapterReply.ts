/**
 * The pure core of adapters: what a plain function gives, as parts.
 *
 * @since 0.1.0
 */
import * as LlmError from "./LlmError.ts"
import type * as Part from "./Part.ts"

/**
 * Tokens of one answer. `inputTokens` includes cached ones; `outputTokens` includes reasoning. What is absent or
 * `null` is unknown.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tokens {
  readonly inputTokens?: number | null | undefined
  readonly outputTokens?: number | null | undefined
  readonly cacheReadTokens?: number | null | undefined
  readonly cacheWriteTokens?: number | null | undefined
  readonly reasoningTokens?: number | null | undefined
}

/**
 * A tool call: its arguments as a value, or as JSON text.
 *
 * @since 0.1.0
 * @category models
 */
export type ToolCall = { readonly id: string; readonly name: string } & (
  | { readonly params: unknown }
  | { readonly arguments: string }
)

/**
 * An answer, or a piece of one, in a few words.
 *
 * @since 0.1.0
 * @category models
 */
export interface Plain {
  readonly text?: string | null | undefined
  readonly reasoning?: string | null | undefined
  readonly toolCalls?: ReadonlyArray<ToolCall> | null | undefined
  /** effect/ai's word for it, or the one that OpenAI or Anthropic use; any other is `other`. */
  readonly finishReason?: string | null | undefined
  readonly usage?: Tokens | null | undefined
  /** The provider's id of the answer. */
  readonly responseId?: string | null | undefined
  /** The model as the provider names it. */
  readonly modelId?: string | null | undefined
}

/**
 * A whole answer: text, a `Plain`, or parts.
 *
 * @since 0.1.0
 * @category models
 */
export type Reply = string | Plain | ReadonlyArray<Part.Part>

/**
 * A piece of an answer: text, a `Plain`, or a part.
 *
 * @since 0.1.0
 * @category models
 */
export type Chunk = string | Plain | Part.Part

const reasons: Readonly<Record<string, Part.FinishReason>> = {
  stop: "stop",
  length: "length",
  "content-filter": "content-filter",
  "tool-calls": "tool-calls",
  error: "error",
  pause: "pause",
  other: "other",
  unknown: "unknown",
  "function-call": "tool-calls",
  "end-turn": "stop",
  "stop-sequence": "stop",
  "max-tokens": "length",
  "tool-use": "tool-calls",
  "pause-turn": "pause",
  refusal: "content-filter"
}

/**
 * Reads a finish reason.
 *
 * @since 0.1.0
 * @category parsing
 */
export const finishReason = (word: string): Part.FinishReason => {
  const name = word.toLowerCase().replaceAll("_", "-")
  return Object.hasOwn(reasons, name) ? (reasons[name] ?? "other") : "other"
}

/**
 * What was read of one answer. It belongs to one reply and is changed in place.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  /** The block that is open, and how many there were. */
  open: "text" | "reasoning" | undefined
  blocks: number
  reason: Part.FinishReason | undefined
  usage: Tokens
  hasMetadata: boolean
  hasToolCalls: boolean
  /** Whether nothing but text came, which has no way to say that it is whole. */
  onlyText: boolean
  finished: boolean
}

/**
 * Starts with nothing read.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (): State => ({
  open: undefined,
  blocks: 0,
  reason: undefined,
  usage: {},
  hasMetadata: false,
  hasToolCalls: false,
  onlyText: true,
  finished: false
})

const isPart = (chunk: Plain | Part.Part): chunk is Part.Part => "type" in chunk && typeof chunk.type === "string"

const malformed = (detail: string): Part.Part => ({
  type: "error",
  error: LlmError.make({ reason: { _tag: "MalformedOutput" }, detail })
})

const close = (state: State, out: Array<Part.Part>): void => {
  if (state.open !== undefined) out.push({ type: `${state.open}-end`, id: String(state.blocks - 1) })
  state.open = undefined
}

const say = (state: State, type: "text" | "reasoning", delta: string, out: Array<Part.Part>): void => {
  if (delta === "") return
  if (state.open !== type) {
    close(state, out)
    state.open = type
    state.blocks += 1
    out.push({ type: `${type}-start`, id: String(state.blocks - 1) })
  }
  out.push({ type: `${type}-delta`, id: String(state.blocks - 1), delta })
}

const toolCall = (call: ToolCall): Part.Part => {
  const { id, name } = call
  if (!("arguments" in call)) return { type: "tool-call", id, name, params: call.params ?? {} }
  try {
    // No arguments at all are an empty text with some providers.
    return { type: "tool-call", id, name, params: call.arguments.trim() === "" ? {} : JSON.parse(call.arguments) }
  } catch {
    return malformed("the arguments of a tool call are not JSON")
  }
}

/**
 * Takes a piece of an answer. Gives the parts that it makes, which may be none.
 *
 * **Details** Text and reasoning become blocks, which end where another begins. The reason and the tokens are kept
 * until the end, as some providers tell the tokens last.
 *
 * @since 0.1.0
 * @category mutations
 */
export const take = (state: State, chunk: Chunk): ReadonlyArray<Part.Part> => {
  const out: Array<Part.Part> = []
  if (typeof chunk === "string") {
    say(state, "text", chunk, out)
    return out
  }
  if (typeof chunk !== "object" || chunk === null) return [malformed(`a ${typeof chunk} is no piece of an answer`)]
  state.onlyText = false
  if (isPart(chunk)) {
    close(state, out)
    out.push(chunk)
    state.finished ||= chunk.type === "finish"
    return out
  }
  const { modelId, reasoning, responseId, text, toolCalls, usage } = chunk
  if (!state.hasMetadata && (typeof responseId === "string" || typeof modelId === "string")) {
    state.hasMetadata = true
    out.push({ type: "response-metadata", id: responseId ?? undefined, modelId: modelId ?? undefined })
  }
  if (typeof reasoning === "string") say(state, "reasoning", reasoning, out)
  if (typeof text === "string") say(state, "text", text, out)
  for (const call of toolCalls ?? []) {
    close(state, out)
    state.hasToolCalls = true
    out.push(toolCall(call))
  }
  if (typeof chunk.finishReason === "string") state.reason = finishReason(chunk.finishReason)
  if (usage !== undefined && usage !== null) state.usage = { ...state.usage, ...usage }
  return out
}

/**
 * Ends an answer. Nothing but text is whole when it ends; anything else must have said its finish reason, or the
 * answer was cut off.
 *
 * @since 0.1.0
 * @category mutations
 */
export const end = (state: State): ReadonlyArray<Part.Part> => {
  const out: Array<Part.Part> = []
  close(state, out)
  if (state.finished) return out
  const reason = state.reason ?? (state.onlyText ? "stop" : undefined)
  if (reason !== undefined) out.push({ type: "finish", reason, usage: usageOf(state.usage) })
  return out
}

/**
 * The parts of a whole answer. Without a finish reason it is `tool-calls` when there are any, else `stop`: who gives
 * a whole answer has it whole. Parts must have their finish part.
 *
 * @since 0.1.0
 * @category parsing
 */
export const whole = (reply: Reply): ReadonlyArray<Part.Part> => {
  if (Array.isArray(reply)) return reply
  if (reply === undefined || reply === null) return [malformed("the function gave no answer")]
  const state = make()
  const parts = take(state, reply as string | Plain)
  state.reason ??= state.hasToolCalls ? "tool-calls" : "stop"
  return parts.some((part) => part.type === "error") ? parts : [...parts, ...end(state)]
}

const count = (tokens: number | null | undefined): number | undefined =>
  typeof tokens === "number" && Number.isFinite(tokens) && tokens >= 0 ? tokens : undefined

const usageOf = (tokens: Tokens): Part.Finish["usage"] => ({
  inputTokens: {
    total: count(tokens.inputTokens),
    cacheRead: count(tokens.cacheReadTokens),
    cacheWrite: count(tokens.cacheWriteTokens)
  },
  outputTokens: { total: count(tokens.outputTokens), reasoning: count(tokens.reasoningTokens) }
})
