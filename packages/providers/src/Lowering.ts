/**
 * What every protocol does alike when it lowers a request: tool results as text, ids, and the caller's own
 * options laid over the body.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Prompt from "effect/ai/Prompt"
import * as Json from "./Json.ts"

/**
 * A tool's result as text: text stays, anything else is JSON.
 *
 * @since 0.1.0
 * @category getters
 */
export const resultText = (part: Prompt.ToolResultPartEncoded): string => {
  const text = part.modelOutput?.flatMap((piece) => (piece.type === "text" ? [piece.text] : [])).join("\n")
  if (text !== undefined && text !== "") return text
  return typeof part.result === "string" ? part.result : (JSON.stringify(part.result) ?? "")
}

/**
 * The options that a message or a part carries for a kind of provider.
 *
 * @since 0.1.0
 * @category getters
 */
export const optionsFor = (
  carrier: { readonly options?: Prompt.ProviderOptions | undefined },
  kind: string
): Json.JsonObject | undefined => (carrier.options === undefined ? undefined : Json.object(carrier.options, kind))

/**
 * Whether a message or a part names any provider. An empty record of options is none.
 *
 * @since 0.1.0
 * @category guards
 */
export const isOwned = ({ options }: { readonly options?: Prompt.ProviderOptions | undefined }): boolean =>
  options !== undefined && Object.keys(options).length > 0

/**
 * Whether a text is a refusal, whoever gave it.
 *
 * @since 0.1.0
 * @category guards
 */
export const isRefusal = ({ options }: { readonly options?: Prompt.ProviderOptions | undefined }): boolean =>
  options !== undefined && Object.values(options).some((own) => Json.isObject(own) && own["refusal"] === true)

/**
 * Lays the request's own options for this kind over the body, last of all. `model` and `stream` are routing's.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withProviderOptions = (
  body: Readonly<Record<string, unknown>>,
  request: LlmRequest.LlmRequest,
  kind: string,
  dropped: (field: string) => void
): Readonly<Record<string, unknown>> => {
  const options = Object.hasOwn(request.providerOptions, kind) ? request.providerOptions[kind] : undefined
  if (options === undefined) return body
  const { model, stream, ...over } = options
  if (model !== undefined) dropped(`providerOptions.${kind}.model`)
  if (stream !== undefined) dropped(`providerOptions.${kind}.stream`)
  return Json.merge(body, over)
}

/**
 * The body that came in by the protocol that goes out, when it did.
 *
 * @since 0.1.0
 * @category getters
 */
export const rawBody = (
  request: LlmRequest.LlmRequest,
  protocol: string
): Readonly<Record<string, unknown>> | undefined =>
  request.raw !== undefined && request.raw.protocol === protocol ? request.raw.body : undefined

/**
 * Adds to a record the fields that it leaves open.
 *
 * @since 0.1.0
 * @category combinators
 */
export const fill = (
  body: Readonly<Record<string, unknown>>,
  defaults: Readonly<Record<string, unknown>>
): Record<string, unknown> => {
  const filled: Record<string, unknown> = { ...body }
  for (const [key, value] of Object.entries(defaults))
    if (value !== undefined && filled[key] === undefined) filled[key] = value
  return filled
}
