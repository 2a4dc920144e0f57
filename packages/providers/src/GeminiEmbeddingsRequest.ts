/**
 * Google Gemini embeddings: lowering a request.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import * as Json from "./Json.ts"
import * as Lowering from "./Lowering.ts"
import type * as Protocol from "./Protocol.ts"

// ---------------------------------------------------------------------------------------------------------------
// Wire types
// ---------------------------------------------------------------------------------------------------------------

type Body = Readonly<Record<string, unknown>>

/**
 * The protocol's name, by which a raw body says what it is.
 *
 * @since 0.1.0
 * @category models
 */
export const protocol = "gemini-embeddings"

// ---------------------------------------------------------------------------------------------------------------
// Lowering a request
// ---------------------------------------------------------------------------------------------------------------

/**
 * Says a request in Gemini's `batchEmbedContents`: one item a text, each with the model's name.
 *
 * **Details** Provider options, such as `taskType`, are laid over every item. A body that came in by this protocol goes
 * out as it came: only the model is set, and the length of the vectors where an item leaves it open.
 *
 * @since 0.1.0
 * @category lowering
 */
export const lower = (
  request: LlmRequest.LlmRequest,
  { kind, model }: Pick<Protocol.Options, "kind" | "model">,
  dropped: (field: string) => void
): Body => {
  const { dimensions, input = [] } = request.embedding ?? {}
  const name = model.includes("/") ? model : `models/${model}`
  const filled = { outputDimensionality: dimensions }
  const raw = Lowering.rawBody(request, protocol)
  if (raw !== undefined) {
    const items: ReadonlyArray<unknown> = Array.isArray(raw["requests"]) ? raw["requests"] : []
    return {
      ...raw,
      requests: items.map((item) => (Json.isObject(item) ? Lowering.fill({ ...item, model: name }, filled) : item))
    }
  }
  return {
    requests: input.map((text) =>
      Lowering.withProviderOptions(
        Lowering.fill({ model: name, content: { parts: [{ text }] } }, filled),
        request,
        kind,
        dropped
      )
    )
  }
}
