/**
 * Parts of an answer, between Echelon and effect/ai. The vocabulary is one; what differs is said here:
 *
 * - effect/ai decodes every part and fails the answer when one does not decode. What no schema of it takes and nobody
 *   needs (an address that is none, a fraction of a token) is left out or rounded before.
 * - A tool call must name a tool that was given. One of the model's own invention fails as `ToolNotFoundError`; one
 *   that a provider runs itself, with its result, is left out.
 * - The finish part tells who answered and the route, see `routeOf`.
 *
 * @since 0.1.0
 */
import * as AiError from "effect/ai/AiError"
import type * as Response from "effect/ai/Response"
import * as DateTime from "effect/DateTime"
import * as Base64 from "effect/encoding/Base64"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as LlmReply from "./LlmReply.ts"
import type * as Part from "./Part.ts"
import type * as Route from "./Route.ts"

// ---------------------------------------------------------------------------------------------------------------
// The route
// ---------------------------------------------------------------------------------------------------------------

const optional = <S extends Schema.Top>(schema: S) => Schema.optionalKey(schema)

const Count = optional(Schema.Finite)

const Entry = Schema.Struct({
  kind: Schema.Literals(["call", "hedge", "cache", "coalesced"]),
  instance: Schema.String,
  model: Schema.String,
  echelon: optional(Schema.String),
  outcome: Schema.Literals(["open", "completed", "failed", "cancelled"]),
  reason: optional(Schema.String),
  startedAt: Schema.Finite,
  firstOutputMs: Count,
  elapsedMs: Schema.Finite,
  usage: optional(
    Schema.Struct({
      inputTokens: Count,
      outputTokens: Count,
      cacheReadTokens: Count,
      cacheWriteTokens: Count,
      reasoningTokens: Count,
      source: Schema.Literals(["reported", "estimated", "unknown"])
    })
  ),
  cost: Count,
  dropped: Schema.Array(Schema.String)
})

/**
 * Who answered, and every attempt behind it: `metadata.echelon` of a finish part.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RouteMetadata = Schema.Struct({
  instance: Schema.String,
  model: Schema.String,
  /** USD over all attempts whose cost is known. */
  cost: Count,
  route: Schema.Array(Entry)
})

/**
 * Who answered, and every attempt behind it.
 *
 * @since 0.1.0
 * @category models
 */
export type RouteMetadata = typeof RouteMetadata.Type

const decodeRoute = Schema.decodeUnknownOption(RouteMetadata)

/**
 * Reads who answered, and the route, of the parts that a language model gave: `response.content`, or the parts of a
 * stream. `undefined` when no pool of Echelon's made them, or the stream has not ended.
 *
 * @since 0.1.0
 * @category getters
 */
export const routeOf = (
  parts: Iterable<{ readonly type: string; readonly metadata?: Response.ProviderMetadata | undefined }>
): RouteMetadata | undefined => {
  for (const part of parts) {
    if (part.type !== "finish") continue
    const found = decodeRoute(part.metadata?.["echelon"])
    if (Option.isSome(found)) return found.value
  }
  return undefined
}

const withRoute = (finish: Part.Finish, route: Route.Route): Part.Finish => {
  const answered = route.findLast((entry) => entry.outcome === "completed") ?? route.at(-1)
  const known = route.flatMap((entry) => (entry.cost === undefined ? [] : [entry.cost]))
  const said = {
    instance: answered?.instance ?? "",
    model: answered?.model ?? "",
    cost: known.length === 0 ? undefined : known.reduce((sum, cost) => sum + cost, 0),
    route
  }
  const own = finish.metadata?.["echelon"]
  return {
    ...finish,
    metadata: {
      ...finish.metadata,
      // JSON has no undefined.
      echelon: { ...(isRecord(own) ? own : {}), ...(JSON.parse(JSON.stringify(said)) as Schema.JsonObject) }
    }
  }
}

const isRecord = (u: unknown): u is Schema.JsonObject => typeof u === "object" && u !== null && !Array.isArray(u)

// ---------------------------------------------------------------------------------------------------------------
// To effect/ai
// ---------------------------------------------------------------------------------------------------------------

/**
 * The tools of a request, as far as parts need them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Declared {
  readonly names: ReadonlySet<string>
  /** Whether calls of tools that were not given are the caller's business. */
  readonly isDeferred: boolean
}

/**
 * Says a part as effect/ai takes it; `undefined` when it is left out, an error when it forbids the answer.
 *
 * @since 0.1.0
 * @category converting
 */
export const toStreamPart = (
  full: Part.Part,
  declared: Declared,
  route: () => Route.Route
): Response.StreamPartEncoded | AiError.AiErrorReason | undefined => {
  // No answer to a conversation has one: an instance that gave it would have failed.
  if (full.type === "embeddings") return undefined
  const { raw: _, ...bare } = full
  const part = bare as Response.StreamPartEncoded
  switch (part.type) {
    case "finish":
      return wholeTokens(withRoute(part, route()))
    case "tool-call":
      return named(part, declared)
    case "tool-result":
      return declared.names.has(part.name) ? part : undefined
    case "source":
      return part.sourceType === "url" && !URL.canParse(part.url) ? undefined : part
    case "response-metadata": {
      const { timestamp, ...rest } = part
      return timestamp === undefined || Option.isSome(DateTime.make(timestamp)) ? part : rest
    }
    default:
      return part
  }
}

/**
 * Says the content of an answer as effect/ai takes it.
 *
 * @since 0.1.0
 * @category converting
 */
export const toParts = (
  answer: LlmReply.Answer,
  declared: Declared
): Array<Response.PartEncoded> | AiError.AiErrorReason => {
  const parts: Array<Response.PartEncoded> = []
  for (const part of answer.content) {
    if ("text" in part) {
      // Providers refuse an empty text in the next turn; an empty block may still carry a signature.
      if (part.text !== "" || part.metadata !== undefined) parts.push(part)
      continue
    }
    const converted = toStreamPart(part, declared, () => answer.route)
    if (AiError.isAiErrorReason(converted)) return converted
    // No reply delivers an error part: it fails.
    if (converted !== undefined && converted.type !== "error") parts.push(converted as Response.PartEncoded)
  }
  return parts
}

const named = (part: Response.ToolCallPartEncoded, declared: Declared) => {
  if (declared.names.has(part.name)) return part
  if (part.providerExecuted === true) return undefined
  return declared.isDeferred
    ? part
    : new AiError.ToolNotFoundError({ toolName: part.name, availableTools: [...declared.names] })
}

const round = <Counts extends Readonly<Record<string, number | undefined>>>(counts: Counts): Counts => {
  const whole: Record<string, number | undefined> = {}
  for (const [name, count] of Object.entries(counts))
    whole[name] = count === undefined || !Number.isFinite(count) ? undefined : Math.round(count)
  return whole as Counts
}

const wholeTokens = (finish: Part.Finish): Part.Finish => ({
  ...finish,
  usage: { inputTokens: round(finish.usage.inputTokens), outputTokens: round(finish.usage.outputTokens) }
})

// ---------------------------------------------------------------------------------------------------------------
// From effect/ai
// ---------------------------------------------------------------------------------------------------------------

/**
 * Says a part that effect/ai decoded as Echelon does. A whole block becomes its start, its text and its end, with the
 * id given.
 *
 * @since 0.1.0
 * @category converting
 */
export const fromResponse = (part: Response.AnyPart, id: string): ReadonlyArray<Part.Part> => {
  const { metadata } = part
  switch (part.type) {
    case "text":
    case "reasoning":
      return [
        { type: `${part.type}-start`, id, metadata },
        { type: `${part.type}-delta`, id, delta: part.text },
        { type: `${part.type}-end`, id }
      ]
    case "text-start":
    case "text-end":
    case "reasoning-start":
    case "reasoning-end":
      return [{ type: part.type, id: part.id, metadata }]
    case "text-delta":
    case "reasoning-delta":
      return [{ type: part.type, id: part.id, delta: part.delta, metadata }]
    case "tool-params-start":
      return [{ type: part.type, id: part.id, name: part.name, providerExecuted: part.providerExecuted, metadata }]
    case "tool-params-delta":
      return [{ type: part.type, id: part.id, delta: part.delta, metadata }]
    case "tool-params-end":
      return [{ type: part.type, id: part.id, metadata }]
    case "tool-call": {
      const { id, name, params, providerExecuted } = part
      return [{ type: part.type, id, name, params, providerExecuted, metadata }]
    }
    case "tool-result": {
      const { encodedResult: result, id, isFailure, name, preliminary, providerExecuted } = part
      return [{ type: part.type, id, name, result, isFailure, providerExecuted, preliminary, metadata }]
    }
    case "tool-approval-request":
      return [{ type: part.type, approvalId: part.approvalId, toolCallId: part.toolCallId, metadata }]
    case "file":
      return [{ type: part.type, mediaType: part.mediaType, data: Base64.encode(part.data), metadata }]
    case "source": {
      const { type, sourceType: _, ...rest } = part
      return part.sourceType === "url"
        ? [{ type, sourceType: "url", id: part.id, url: part.url.href, title: part.title, metadata }]
        : [
            {
              type,
              sourceType: "document",
              id: part.id,
              mediaType: part.mediaType,
              title: part.title,
              ...("fileName" in rest && rest.fileName !== undefined ? { fileName: rest.fileName } : {}),
              metadata
            }
          ]
    }
    case "response-metadata": {
      const { id, modelId, timestamp, type } = part
      return [
        { type, id, modelId, timestamp: timestamp === undefined ? undefined : DateTime.formatIso(timestamp), metadata }
      ]
    }
    case "finish": {
      const { inputTokens, outputTokens } = part.usage
      return [{ type: part.type, reason: part.reason, usage: { inputTokens, outputTokens }, metadata }]
    }
    case "error":
      return [{ type: part.type, error: part.error, metadata }]
  }
}
