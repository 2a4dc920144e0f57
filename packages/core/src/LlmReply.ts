/**
 * A reply under way, and its fold.
 *
 * @since 0.1.0
 */
import type * as Effect from "effect/Effect"
import type * as Stream from "effect/Stream"
import type * as Attempt from "./Attempt.ts"
import type * as LlmError from "./LlmError.ts"
import type * as Part from "./Part.ts"
import * as RescueState from "./RescueState.ts"
import type * as Route from "./Route.ts"
import * as Usage from "./Usage.ts"

/**
 * What a call succeeds with: the first output has arrived, the rest is on its way.
 *
 * **Details** `parts` can be run once. It ends completed (its last part is the one `finish`), failed with an
 * `LlmError`, or cancelled, and in no other way. Its end, an early one included, gives back everything the
 * call held. A reply whose scope has closed fails as `Cancelled`.
 *
 * @since 0.1.0
 * @category models
 */
export interface LlmReply {
  readonly parts: Stream.Stream<Part.Part, LlmError.LlmError>
  /** The attempts so far; whole when `parts` has ended. */
  readonly route: Effect.Effect<Route.Route>
  /** The attempt that answers. Layers above register on it what is to happen when the reply ends. */
  readonly attempt: Attempt.Attempt
}

/**
 * A tool call of an answer, its arguments parsed.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolCall {
  readonly id: string
  readonly name: string
  readonly params: unknown
  readonly providerExecuted: boolean
}

/**
 * A whole answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Answer {
  readonly text: string
  readonly reasoning: string
  readonly toolCalls: ReadonlyArray<ToolCall>
  /**
   * Every part in order: deltas of one block joined into one `text` or `reasoning` part with the metadata of
   * its parts; `tool-params-*` left out, as `tool-call` holds them whole.
   */
  readonly content: ReadonlyArray<ContentPart>
  readonly finishReason: Part.FinishReason
  readonly usage: Usage.Usage
  /** USD over all attempts whose cost is known; `undefined` when that of the answer is not. */
  readonly cost: number | undefined
  /** The instance that answered. */
  readonly instance: string
  /** The model's name as asked on the wire. */
  readonly model: string
  readonly route: Route.Route
}

/**
 * A part of a whole answer.
 *
 * @since 0.1.0
 * @category models
 */
export type ContentPart =
  | { readonly type: "text" | "reasoning"; readonly text: string; readonly metadata?: Metadata | undefined }
  | Exclude<
      Part.Part,
      {
        readonly type:
          | "text-start"
          | "text-delta"
          | "text-end"
          | "reasoning-start"
          | "reasoning-delta"
          | "reasoning-end"
          | "tool-params-start"
          | "tool-params-delta"
          | "tool-params-end"
          | "embeddings"
      }
    >

type Metadata = NonNullable<Part.Part["metadata"]>

/** Later metadata wins key by key within a provider's record. */
const mergeMetadata = (a: Metadata | undefined, b: Metadata | undefined): Metadata | undefined => {
  if (a === undefined || b === undefined) return a ?? b
  const merged: Record<string, unknown> = { ...a }
  for (const [provider, value] of Object.entries(b)) {
    const before = merged[provider]
    merged[provider] = isRecord(before) && isRecord(value) ? { ...before, ...value } : value
  }
  return merged as Metadata
}

const isRecord = (u: unknown): u is Record<string, unknown> => typeof u === "object" && u !== null && !Array.isArray(u)

interface Block {
  readonly type: "text" | "reasoning"
  chunks: Array<string>
  metadata: Metadata | undefined
}

/**
 * Joins the parts of an answer into its content.
 *
 * **Details** Blocks keep the order in which they started; blocks that overlap are told apart by their id.
 *
 * @since 0.1.0
 * @category combinators
 */
export const fold = (parts: Iterable<Part.Part>): ReadonlyArray<ContentPart> => {
  const items: Array<ContentPart | Block> = []
  const open = new Map<string, Block>()
  const block = (type: "text" | "reasoning", id: string): Block => {
    const key = `${type}:${id}`
    let found = open.get(key)
    if (found === undefined) {
      found = { type, chunks: [], metadata: undefined }
      open.set(key, found)
      items.push(found)
    }
    return found
  }
  for (const part of parts) {
    switch (part.type) {
      case "text-start":
      case "reasoning-start":
      case "text-delta":
      case "reasoning-delta":
      case "text-end":
      case "reasoning-end": {
        const type = part.type.startsWith("text") ? "text" : "reasoning"
        const at = block(type, part.id)
        if ("delta" in part) at.chunks.push(part.delta)
        at.metadata = mergeMetadata(at.metadata, part.metadata)
        if (part.type.endsWith("end")) open.delete(`${type}:${part.id}`)
        break
      }
      case "tool-params-start":
      case "tool-params-delta":
      case "tool-params-end":
      // The answer to another kind of request: see `LlmEmbedding`.
      case "embeddings":
        break
      default:
        items.push(part)
    }
  }
  return items.map((item) =>
    "chunks" in item
      ? item.metadata === undefined
        ? { type: item.type, text: item.chunks.join("") }
        : { type: item.type, text: item.chunks.join(""), metadata: item.metadata }
      : item
  )
}

/**
 * Makes the answer of the parts of a completed reply.
 *
 * @since 0.1.0
 * @category constructors
 */
export const toAnswer = (parts: Iterable<Part.Part>, route: Route.Route): Answer => {
  const content = fold(parts)
  const join = (type: "text" | "reasoning") => content.map((part) => (part.type === type ? part.text : "")).join("")
  const finish = content.findLast((part) => part.type === "finish")
  const answered = route.findLast((entry) => entry.outcome === "completed")
  return {
    text: join("text"),
    reasoning: join("reasoning"),
    toolCalls: content.flatMap((part) =>
      part.type === "tool-call"
        ? [
            {
              id: part.id,
              name: part.name,
              params: part.params,
              providerExecuted: part.providerExecuted ?? false
            }
          ]
        : []
    ),
    content,
    finishReason: finish?.reason ?? "unknown",
    usage: finish === undefined ? Usage.unknown : RescueState.usageOf(finish),
    cost: answered?.cost === undefined ? undefined : route.reduce((sum, entry) => sum + (entry.cost ?? 0), 0),
    instance: answered?.instance ?? "",
    model: answered?.model ?? "",
    route
  }
}
