/**
 * What Echelon answers, as the `ai` package reads it. Pure.
 *
 * @since 0.1.0
 */
import * as LanguageModelParts from "@echelon/core/LanguageModelParts"
import type * as LlmEmbedding from "@echelon/core/LlmEmbedding"
import * as LlmReply from "@echelon/core/LlmReply"
import type * as Part from "@echelon/core/Part"
import type * as Route from "@echelon/core/Route"
import type * as Response from "effect/ai/Response"
import type * as Spec from "./AiSdkSpec.ts"

/**
 * What of a call the answer is read by.
 *
 * @since 0.1.0
 * @category models
 */
export interface Context<V extends Spec.Version> {
  readonly version: V
  /** The tools of the program: any other that a provider runs itself is marked as dynamic. */
  readonly tools: ReadonlySet<string>
}

/**
 * Says a whole answer.
 *
 * @since 0.1.0
 * @category converting
 */
export const whole = <V extends Spec.Version>(
  answer: LlmReply.Answer,
  context: Context<V>
): Omit<Spec.GenerateResult<V>, "warnings"> => {
  const content: Array<Spec.Content<V>> = []
  let response: Spec.ResponseMetadata = { modelId: answer.model }
  let finish: Part.Finish | undefined
  for (const part of answer.content) {
    if ("text" in part) {
      // An empty block may still carry a signature.
      if (part.text !== "" || part.metadata !== undefined)
        content.push({ type: part.type, text: part.text, ...marked(part.metadata) })
    } else if (part.type === "response-metadata") response = { ...response, ...responseMetadata(part) }
    else if (part.type === "finish") finish = part
    else {
      const said = shared(part, context)
      if (said !== undefined) content.push(said)
    }
  }
  const end = finish ?? { type: "finish", reason: answer.finishReason, usage: { inputTokens: {}, outputTokens: {} } }
  return {
    content,
    finishReason: finishReason(answer.finishReason),
    usage: usage(end),
    ...marked(routed(end, answer.route)),
    response
  }
}

/**
 * Says a part of a streamed answer; `undefined` when the `ai` package has no word for it. The route is read once, for
 * the finish part.
 *
 * @since 0.1.0
 * @category converting
 */
export const piece = <V extends Spec.Version>(
  part: Part.Part,
  context: Context<V>,
  route: Route.Route
): Spec.StreamPart<V> | undefined => {
  switch (part.type) {
    case "text-start":
    case "text-end":
    case "reasoning-start":
    case "reasoning-end":
      return { type: part.type, id: part.id, ...marked(part.metadata) }
    case "text-delta":
    case "reasoning-delta":
      return { type: part.type, id: part.id, delta: part.delta, ...marked(part.metadata) }
    case "tool-params-start": {
      const { id, name, providerExecuted = false } = part
      const run = ranThere(providerExecuted, name, context)
      return { type: "tool-input-start", id, toolName: name, ...run, ...marked(part.metadata) }
    }
    case "tool-params-delta":
      return { type: "tool-input-delta", id: part.id, delta: part.delta, ...marked(part.metadata) }
    case "tool-params-end":
      return { type: "tool-input-end", id: part.id, ...marked(part.metadata) }
    case "response-metadata": {
      const said = responseMetadata(part)
      return Object.keys(said).length === 0 ? undefined : { type: "response-metadata", ...said }
    }
    case "finish":
      return {
        type: "finish",
        finishReason: finishReason(part.reason),
        usage: usage(part),
        ...marked(routed(part, route))
      }
    case "error":
      return { type: "error", error: part.error }
    default:
      return shared(part, context)
  }
}

/**
 * Repeats at the end of each block of a streamed answer what was said of it before. The `ai` package keeps the last that
 * it hears of a block, and not what stood at its start: an item's id, without which the item cannot be sent back.
 *
 * **Details** Gives a function with a state, for the parts of one answer in order.
 *
 * @since 0.1.0
 * @category combinators
 */
export const repeating = (): ((part: Part.Part) => Part.Part) => {
  const open = new Map<string, Array<Part.Part>>()
  return (part) => {
    switch (part.type) {
      case "text-start":
      case "reasoning-start":
      case "text-delta":
      case "reasoning-delta": {
        const key = `${part.type.split("-", 1)[0]}:${part.id}`
        if (part.type.endsWith("start")) open.delete(key)
        if (part.metadata === undefined) return part
        const said = open.get(key)
        if (said === undefined) open.set(key, [part])
        else said.push(part)
        return part
      }
      case "text-end":
      case "reasoning-end": {
        const key = `${part.type.split("-", 1)[0]}:${part.id}`
        const said = open.get(key)
        if (said === undefined) return part
        open.delete(key)
        const [block] = LlmReply.fold([...said, part])
        return block === undefined || block.metadata === undefined ? part : { ...part, metadata: block.metadata }
      }
      default:
        return part
    }
  }
}

type SharedPart = Extract<
  Part.Part,
  {
    readonly type: "tool-call" | "tool-result" | "tool-approval-request" | "file" | "source" | "embeddings" | "error"
  }
>

const shared = <V extends Spec.Version>(part: SharedPart, context: Context<V>): Spec.SharedPart<V> | undefined => {
  switch (part.type) {
    case "tool-call": {
      const { id, name, params, providerExecuted = false } = part
      const run = ranThere(providerExecuted, name, context)
      const input = JSON.stringify(params ?? {})
      return { type: "tool-call", toolCallId: id, toolName: name, input, ...run, ...marked(part.metadata) }
    }
    case "tool-result": {
      const { id, isFailure, name, preliminary, result } = part
      return {
        type: "tool-result",
        toolCallId: id,
        toolName: name,
        // Providers give JSON; of nothing at all the specification has no word.
        result: (result ?? "") as NonNullable<Spec.Json>,
        ...(isFailure ? { isError: true } : {}),
        ...(preliminary === undefined ? {} : { preliminary }),
        ...(context.tools.has(name) ? {} : { dynamic: true }),
        ...marked(part.metadata)
      }
    }
    case "tool-approval-request": {
      const { approvalId, toolCallId, type } = part
      return { type, approvalId, toolCallId, ...marked(part.metadata) }
    }
    case "file": {
      // The two versions differ here alone.
      const data = context.version === "v3" ? part.data : { type: "data", data: part.data }
      return { type: "file", mediaType: part.mediaType, data, ...marked(part.metadata) } as Spec.File<V>
    }
    case "source": {
      const { id, title, type } = part
      if (part.sourceType === "url")
        return { type, sourceType: "url", id, url: part.url, title, ...marked(part.metadata) }
      const name = part.fileName === undefined ? {} : { filename: part.fileName }
      return { type, sourceType: "document", id, mediaType: part.mediaType, title, ...name, ...marked(part.metadata) }
    }
    default:
      return undefined
  }
}

/** A call that its provider runs. The `ai` package refuses one of a tool that it does not know, unless told. */
const ranThere = (
  providerExecuted: boolean,
  name: string,
  { tools }: Pick<Context<Spec.Version>, "tools">
): { providerExecuted?: boolean; dynamic?: boolean } =>
  providerExecuted ? { providerExecuted: true, ...(tools.has(name) ? {} : { dynamic: true }) } : {}

const responseMetadata = (part: Extract<Part.Part, { readonly type: "response-metadata" }>): Spec.ResponseMetadata => {
  const { id, modelId, timestamp } = part
  const at = timestamp === undefined ? Number.NaN : Date.parse(timestamp)
  return {
    ...(id === undefined ? {} : { id }),
    ...(modelId === undefined ? {} : { modelId }),
    ...(Number.isNaN(at) ? {} : { timestamp: new Date(at) })
  }
}

const isRecord = (u: unknown): u is Spec.JsonObject => typeof u === "object" && u !== null && !Array.isArray(u)

/** The specification has objects where effect/ai has any JSON. */
const marked = (metadata: Response.ProviderMetadata | undefined): { providerMetadata?: Spec.PerProvider } => {
  const entries = Object.entries(metadata ?? {}).flatMap(([name, value]) =>
    isRecord(value) ? [[name, value] as const] : []
  )
  return entries.length === 0 ? {} : { providerMetadata: Object.fromEntries(entries) }
}

/** Nothing is declared, as only the finish part is said this way. */
const nothing: LanguageModelParts.Declared = { names: new Set(), isDeferred: true }

const routed = (finish: Part.Finish, route: Route.Route): Response.ProviderMetadata | undefined => {
  const said = LanguageModelParts.toStreamPart(finish, nothing, () => route)
  return said !== undefined && "type" in said ? said.metadata : finish.metadata
}

const reasons: Readonly<Record<Part.FinishReason, Spec.FinishReason["unified"]>> = {
  stop: "stop",
  length: "length",
  "content-filter": "content-filter",
  "tool-calls": "tool-calls",
  error: "error",
  pause: "other",
  other: "other",
  unknown: "other"
}

const finishReason = (reason: Part.FinishReason): Spec.FinishReason => ({ unified: reasons[reason], raw: reason })

const usage = (finish: Part.Finish): Spec.Usage => {
  // After a seam the finish part knows what the attempts before used, too.
  const { cacheReadTokens, cacheWriteTokens, inputTokens, outputTokens, reasoningTokens } = LlmReply.toAnswer(
    [finish],
    []
  ).usage
  const cached = (cacheReadTokens ?? 0) + (cacheWriteTokens ?? 0)
  return {
    inputTokens: {
      total: inputTokens,
      noCache: inputTokens === undefined ? undefined : Math.max(0, inputTokens - cached),
      cacheRead: cacheReadTokens,
      cacheWrite: cacheWriteTokens
    },
    outputTokens: {
      total: outputTokens,
      text:
        outputTokens === undefined || reasoningTokens === undefined
          ? undefined
          : Math.max(0, outputTokens - reasoningTokens),
      reasoning: reasoningTokens
    }
  }
}

/**
 * Says vectors.
 *
 * @since 0.1.0
 * @category converting
 */
export const embedded = (
  answer: LlmEmbedding.Answer
): { embeddings: Array<Array<number>>; usage?: { tokens: number }; providerMetadata?: Spec.PerProvider } => {
  const { inputTokens } = answer.usage
  const finish: Part.Finish = { type: "finish", reason: "stop", usage: { inputTokens: {}, outputTokens: {} } }
  return {
    embeddings: answer.vectors.map((vector) => [...vector]),
    ...(inputTokens === undefined ? {} : { usage: { tokens: inputTokens } }),
    ...marked(routed(finish, answer.route))
  }
}
