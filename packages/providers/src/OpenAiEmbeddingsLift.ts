/**
 * OpenAI Embeddings: lifting a request.
 *
 * @since 0.1.0
 */
import type * as LlmEmbedding from "@echelon/core/LlmEmbedding"
import type * as LlmRequest from "@echelon/core/LlmRequest"
import * as Json from "./Json.ts"
import * as Lane from "./Lane.ts"
import * as Lift from "./Lift.ts"
import * as OpenAiEmbeddingsRequest from "./OpenAiEmbeddingsRequest.ts"

// ---------------------------------------------------------------------------------------------------------------
// Wire types
// ---------------------------------------------------------------------------------------------------------------

const bodyKeys = new Set(["model", "input", "dimensions", "encoding_format"])

/**
 * What a body asks.
 *
 * @since 0.1.0
 * @category models
 */
export interface Lifted extends Pick<Lift.Lifted, "model" | "problems"> {
  /** The request as far as it could be read, with the body beside it. */
  readonly input: LlmEmbedding.Input
  /**
   * How whoever asked wants to read the vectors. It is a matter of the answer: instances ask for what they read best,
   * unless they are sent the body as it came.
   *
   * @default "float"
   */
  readonly encoding: "float" | "base64"
}

// ---------------------------------------------------------------------------------------------------------------
// Lifting a request
// ---------------------------------------------------------------------------------------------------------------

/**
 * Reads the body of a request in OpenAI Embeddings: a text, several, the tokens of one, or those of several.
 *
 * @example
 * ```ts
 * import { OpenAiEmbeddingsLift } from "@echelon/providers"
 *
 * const { encoding, input, model } = OpenAiEmbeddingsLift.lift({ model: "pool:texts", input: [1, 2], dimensions: 8 })
 * console.assert(model === "pool:texts" && input.dimensions === 8 && encoding === "float")
 * // The tokens of one text.
 * console.assert(JSON.stringify(input.input) === "[[1,2]]")
 * const { problems } = OpenAiEmbeddingsLift.lift({ input: ["one", 2] })
 * console.assert(problems[0]?.path === "input[1]")
 * ```
 *
 * @since 0.1.0
 * @category lifting
 */
export const lift = (body: unknown): Lifted => {
  const draft = Lift.begin(OpenAiEmbeddingsRequest.protocol, undefined)
  if (!Json.isObject(body)) {
    const { problems } = Lift.notABody(draft, body)
    return { input: { input: [] }, model: undefined, problems, encoding: "float" }
  }
  const input = liftInput(draft, body["input"])
  const dimensions = Lift.number(draft, body, "dimensions", "")
  const encoding = Lift.string(draft, body, "encoding_format", "")
  if (encoding !== undefined && encoding !== "float" && encoding !== "base64")
    Lift.wrong(draft, "encoding_format", '"float" or "base64"', encoding)
  const own = Json.rest(body, bodyKeys)
  return {
    input: {
      input,
      ...(dimensions === undefined ? {} : { dimensions }),
      ...(own === undefined ? {} : { providerOptions: { [Lane.ownerOf(draft.protocol)]: own } }),
      raw: { protocol: draft.protocol, body }
    },
    model: Lift.string(draft, body, "model", ""),
    problems: draft.problems,
    encoding: encoding === "base64" ? encoding : "float"
  }
}

const isToken = (value: unknown): value is number =>
  typeof value === "number" && Number.isSafeInteger(value) && value >= 0

const liftInput = (draft: Lift.Draft, input: Json.Json | undefined): ReadonlyArray<LlmRequest.Text> => {
  if (typeof input === "string") return [input]
  if (!Array.isArray(input) || input.length === 0) {
    Lift.wrong(draft, "input", "a text, tokens, or an array of either, which is not empty", input)
    return []
  }
  const items: ReadonlyArray<Json.Json> = input
  if (items.every(isToken)) return [items]
  return items.flatMap((item, index): ReadonlyArray<LlmRequest.Text> => {
    if (typeof item === "string") return [item]
    if (Array.isArray(item) && item.length > 0 && item.every(isToken)) return [item]
    Lift.wrong(draft, Lift.at("input", index), "a text or its tokens", item)
    return []
  })
}
