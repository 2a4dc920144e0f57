/**
 * OpenAI Embeddings: lowering a request.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
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
export const protocol = "openai-embeddings"

/**
 * Where servers that speak it differ.
 *
 * @since 0.1.0
 * @category models
 */
export interface Dialect {
  readonly dimensionsField: "dimensions" | "output_dimension"
  /**
   * How vectors are asked for: base64 is half as long and read faster, but not every server has it. What comes is read
   * either way.
   */
  readonly encoding: "base64" | "unsaid"
}

/**
 * What a server is taken to understand unless its row says otherwise.
 *
 * @since 0.1.0
 * @category constructors
 */
export const defaults: Dialect = { dimensionsField: "dimensions", encoding: "unsaid" }

// ---------------------------------------------------------------------------------------------------------------
// Lowering a request
// ---------------------------------------------------------------------------------------------------------------

/**
 * Says a request in OpenAI Embeddings.
 *
 * **Details** A body that came in by this protocol goes out as it came: only the model is set, and the length of the
 * vectors where the body leaves it open. Sampling settings that an echelon fills in have no meaning here.
 *
 * @since 0.1.0
 * @category lowering
 */
export const lower = (
  request: LlmRequest.LlmRequest,
  { kind, model }: Pick<Protocol.Options, "kind" | "model">,
  dropped: (field: string) => void,
  dialect: Dialect = defaults
): Body => {
  const { dimensions, input = [] } = request.embedding ?? {}
  const raw = Lowering.rawBody(request, protocol)
  if (raw !== undefined) return lowerRaw(raw, model, dimensions, dialect)
  const body: Record<string, unknown> = { model, input }
  if (dimensions !== undefined) body[dialect.dimensionsField] = dimensions
  if (dialect.encoding === "base64") body["encoding_format"] = "base64"
  return Lowering.withProviderOptions(body, request, kind, dropped)
}

const lowerRaw = (raw: Body, model: string, dimensions: number | undefined, dialect: Dialect): Body => {
  const { stream: _, ...kept } = raw
  const body: Record<string, unknown> = { ...kept, model }
  const { dimensionsField } = dialect
  // A server that does not know the usual name would answer with vectors of another length.
  if (dimensionsField !== "dimensions" && body["dimensions"] !== undefined) {
    body[dimensionsField] ??= body["dimensions"]
    delete body["dimensions"]
  }
  return Lowering.fill(body, { [dimensionsField]: dimensions })
}
