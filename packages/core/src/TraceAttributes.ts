/**
 * What spans say: their names, their attributes and the header that carries a trace on, without the spans themselves.
 *
 * Names of `gen_ai.*`, `server.*` and `error.*` are those of the OpenTelemetry semantic conventions for generative AI
 * (in development). What they have no name for is `echelon.*`, named as for metrics.
 *
 * @since 0.1.0
 */
import type * as Tracer from "effect/Tracer"
import type * as LlmRequest from "./LlmRequest.ts"
import * as MetricNames from "./MetricNames.ts"
import * as Observation from "./Observation.ts"
import type * as Part from "./Part.ts"
import type * as Route from "./Route.ts"
import type * as Usage from "./Usage.ts"

/**
 * Takes attributes, as a span does.
 *
 * @since 0.1.0
 * @category models
 */
export type Set = (key: string, value: unknown) => void

/**
 * What a caller or a provider names is cut to so many characters.
 *
 * @since 0.1.0
 * @category models
 */
export const maxText = 256

const cut = (text: string): string => (text.length > maxText ? text.slice(0, maxText) : text)

/**
 * The name of a request's span: what was asked, and of whom.
 *
 * @since 0.1.0
 * @category getters
 */
export const requestName = ({ operation, target }: Observation.Observation): string =>
  `${operation} ${cut(target.name)}`

/**
 * The name of an attempt's span: what was asked, and of which model.
 *
 * @since 0.1.0
 * @category getters
 */
export const attemptName = ({ operation }: Observation.Observation, { model }: Route.Open): string =>
  `${operation} ${cut(model)}`

/**
 * What a request's span says of itself when it has ended.
 *
 * **Details** Tokens and cost of all its attempts are `echelon.*` here: whoever adds up `gen_ai.usage.*` of all spans
 * counts every token once.
 *
 * @since 0.1.0
 * @category getters
 */
export const request = (set: Set, observation: Observation.Observation): void => {
  const { attempts, group, outcome, pool, queuedMs, reason, target, tenant, wrapper } = observation
  set("gen_ai.operation.name", observation.operation)
  set("echelon.request.id", cut(observation.id))
  set("echelon.target", target.kind)
  if (wrapper !== undefined) set("echelon.wrapper", wrapper)
  if (pool !== undefined) set("echelon.pool", pool)
  if (group !== undefined) set("echelon.group", group)
  if (tenant !== undefined) set("echelon.tenant", cut(tenant))
  if (observation.priority !== "normal") set("echelon.priority", observation.priority)
  set("echelon.outcome", outcome)
  set("echelon.attempts", attempts.length)
  if (queuedMs > 0) set("echelon.queue.wait", queuedMs / 1_000)
  if (outcome === "failed" && reason !== undefined) set("error.type", reason)
  if (attempts.length === 0) return
  const answering = outcome === "completed" ? Observation.answering(observation) : undefined
  if (answering !== undefined) {
    set("echelon.instance", answering.instance)
    set("gen_ai.response.model", cut(answering.responseModel ?? answering.model))
  }
  const usage = Observation.usage(observation)
  if (usage !== undefined) {
    if (usage.inputTokens !== undefined) set("echelon.usage.input_tokens", usage.inputTokens)
    if (usage.outputTokens !== undefined) set("echelon.usage.output_tokens", usage.outputTokens)
    set("echelon.usage.source", usage.source)
  }
  const cost = Observation.cost(observation)
  if (cost !== undefined) set("echelon.cost", cost)
}

/**
 * What an attempt's span says of itself when it has ended. The request is the one that was sent.
 *
 * **Details** An answer from a cache, or of another request's call, used nothing: its span has no usage.
 *
 * @since 0.1.0
 * @category getters
 */
export const attempt = (
  set: Set,
  observation: Observation.Observation,
  entry: Route.Open,
  sent: LlmRequest.LlmRequest | undefined
): void => {
  const { echelon, finishReason, firstOutputAt, kind, outcome, provider, reason } = entry
  set("gen_ai.operation.name", observation.operation)
  set("gen_ai.provider.name", MetricNames.providerName(provider?.kind))
  set("gen_ai.request.model", cut(entry.model))
  if (provider !== undefined) {
    set("echelon.provider", provider.name)
    if (provider.address !== undefined) set("server.address", provider.address)
    if (provider.port !== undefined) set("server.port", provider.port)
  }
  set("echelon.instance", cut(entry.instance))
  if (echelon !== undefined) set("echelon.echelon", echelon)
  set("echelon.kind", kind)
  set("echelon.outcome", outcome)
  if (sent !== undefined) asked(set, sent)
  if (finishReason !== undefined) set("gen_ai.response.finish_reasons", [finishReasons[finishReason]])
  if (entry.responseId !== undefined) set("gen_ai.response.id", cut(entry.responseId))
  if (entry.responseModel !== undefined) set("gen_ai.response.model", cut(entry.responseModel))
  if (firstOutputAt !== undefined && sent?.stream === true)
    set("gen_ai.response.time_to_first_chunk", (firstOutputAt - entry.startedAt) / 1_000)
  if (entry.usage !== undefined && !Observation.isFree(entry)) used(set, entry.usage, entry.cost)
  if (entry.dropped.length > 0) set("echelon.dropped", entry.dropped.slice(0, 16).map(cut))
  if (outcome === "failed" && reason !== undefined) set("error.type", reason)
}

/** Settings, as the echelon has filled them. */
const asked = (set: Set, { embedding, responseFormat, settings, stream }: LlmRequest.LlmRequest): void => {
  if (embedding !== undefined) {
    if (embedding.dimensions !== undefined) set("gen_ai.embeddings.dimension.count", embedding.dimensions)
    return
  }
  if (stream) set("gen_ai.request.stream", true)
  if (responseFormat.type === "json") set("gen_ai.output.type", "json")
  if (settings.temperature !== undefined) set("gen_ai.request.temperature", settings.temperature)
  if (settings.maxOutputTokens !== undefined) set("gen_ai.request.max_tokens", settings.maxOutputTokens)
  if (settings.topP !== undefined) set("gen_ai.request.top_p", settings.topP)
  if (settings.topK !== undefined) set("gen_ai.request.top_k", settings.topK)
  if (settings.seed !== undefined) set("gen_ai.request.seed", settings.seed)
  if (settings.presencePenalty !== undefined) set("gen_ai.request.presence_penalty", settings.presencePenalty)
  if (settings.frequencyPenalty !== undefined) set("gen_ai.request.frequency_penalty", settings.frequencyPenalty)
  if (settings.reasoningEffort !== undefined) set("gen_ai.request.reasoning.level", settings.reasoningEffort)
}

const used = (set: Set, usage: Usage.Usage, cost: number | undefined): void => {
  const { cacheReadTokens, cacheWriteTokens, inputTokens, outputTokens, reasoningTokens } = usage
  if (inputTokens !== undefined) set("gen_ai.usage.input_tokens", inputTokens)
  if (outputTokens !== undefined) set("gen_ai.usage.output_tokens", outputTokens)
  if (cacheReadTokens !== undefined) set("gen_ai.usage.cache_read.input_tokens", cacheReadTokens)
  if (cacheWriteTokens !== undefined) set("gen_ai.usage.cache_creation.input_tokens", cacheWriteTokens)
  if (reasoningTokens !== undefined) set("gen_ai.usage.reasoning.output_tokens", reasoningTokens)
  set("echelon.usage.source", usage.source)
  if (cost !== undefined) set("echelon.cost", cost)
}

/**
 * Reasons to end, as the conventions write them.
 *
 * @since 0.1.0
 * @category getters
 */
export const finishReasons: Readonly<Record<Part.FinishReason, string>> = {
  stop: "stop",
  length: "length",
  "content-filter": "content_filter",
  "tool-calls": "tool_call",
  error: "error",
  pause: "pause",
  other: "other",
  unknown: "unknown"
}

const hex = { trace: /^[0-9a-f]{32}$/, span: /^[0-9a-f]{16}$/ } as const

/**
 * The W3C `traceparent` of a span; `undefined` when its ids, which a caller may have made up, are none.
 *
 * @since 0.1.0
 * @category getters
 */
export const traceparent = (
  span: Pick<Tracer.AnySpan, "traceId" | "spanId">,
  isSampled: boolean
): string | undefined => {
  const traceId = span.traceId.padStart(32, "0")
  if (!hex.trace.test(traceId) || !hex.span.test(span.spanId)) return undefined
  return `00-${traceId}-${span.spanId}-${isSampled ? "01" : "00"}`
}
