/**
 * OpenAI Responses: lowering a request.
 *
 * Nothing is left at the provider unless the caller asks for it: `store` is `false`, the whole conversation goes
 * out with every request, and reasoning comes back encrypted, to be carried by the caller.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import * as Json from "./Json.ts"
import * as Lowering from "./Lowering.ts"
import * as ModelTraits from "./ModelTraits.ts"
import * as OpenAiResponsesInput from "./OpenAiResponsesInput.ts"
import * as ParameterMapper from "./ParameterMapper.ts"
import type * as Protocol from "./Protocol.ts"
import * as StructuredSchema from "./StructuredSchema.ts"

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
export const protocol = "openai-responses"

type Dropped = (field: string) => void

// ---------------------------------------------------------------------------------------------------------------
// Lowering a request
// ---------------------------------------------------------------------------------------------------------------

/**
 * Says a request in OpenAI Responses.
 *
 * **Details** A body that came in by this protocol goes out as it came: only the model, the stream flag and
 * settings that it leaves open are set.
 *
 * The caller's own options for the kind are laid over the body last: `store: true` keeps the response at the
 * provider and sends the ids of earlier items, `reasoning: { summary: "auto" }` asks for summaries, `tools`
 * replaces the functions of the request by a list of the caller's own.
 *
 * **Gotchas** A tool that says nothing of `strict` is sent with `strict: false`: the protocol would otherwise
 * hold it to a schema of a narrower kind, which Chat Completions does not.
 *
 * @since 0.1.0
 * @category lowering
 */
export const lower = (request: LlmRequest.LlmRequest, options: Protocol.Options, dropped: Dropped): Body => {
  const raw = Lowering.rawBody(request, protocol)
  if (raw !== undefined) return lowerRaw(request, raw, options, dropped)
  const { kind, model } = options
  const own = ownOptions(request, kind)
  const stored = own["store"] === true || own["previous_response_id"] !== undefined || own["conversation"] !== undefined
  const input = OpenAiResponsesInput.lower(request.messages, { kind, stored }, dropped)
  const body: Record<string, unknown> = { model, input, store: false }
  Object.assign(body, settings(request.settings, options, own, dropped))
  if (request.tools.length > 0) {
    body["tools"] = request.tools.map((tool) => ({
      type: "function",
      name: tool.name,
      ...(tool.description === undefined ? {} : { description: tool.description }),
      ...StructuredSchema.tool(tool, StructuredSchema.openAi, dropped)
    }))
    const choice = lowerToolChoice(request.toolChoice)
    if (choice !== undefined) body["tool_choice"] = choice
    if (request.settings.parallelToolCalls !== undefined) {
      if (ParameterMapper.takesParallel(model)) body["parallel_tool_calls"] = request.settings.parallelToolCalls
      else dropped("settings.parallelToolCalls")
    }
  }
  if (request.responseFormat.type === "json") body["text"] = { format: lowerFormat(request.responseFormat, dropped) }
  if (wantsEncrypted(body, model, own)) body["include"] = [encrypted]
  if (request.stream) body["stream"] = true
  return Lowering.withProviderOptions(body, request, kind, dropped)
}

const lowerRaw = (request: LlmRequest.LlmRequest, raw: Body, options: Protocol.Options, dropped: Dropped): Body => {
  const { stream: _, ...said } = raw
  const target = { model: options.model, effort: effortOf(said) }
  const kept = ParameterMapper.adapt(said, ParameterMapper.openAiResponses, target, dropped)
  const defaults = settings(request.settings, options, kept, () => {})
  const filled = Lowering.fill({ ...kept, model: options.model }, defaults)
  const { reasoning } = defaults
  // A body may ask for a summary and leave the effort open.
  if (Json.isObject(reasoning) && Json.isObject(kept["reasoning"]))
    filled["reasoning"] = Lowering.fill(kept["reasoning"], reasoning)
  if (request.stream) return { ...filled, stream: true }
  delete filled["stream_options"]
  return filled
}

const ownOptions = (request: LlmRequest.LlmRequest, kind: string): Body =>
  Object.hasOwn(request.providerOptions, kind) ? (request.providerOptions[kind] ?? {}) : {}

const effortOf = (stated: Body): unknown => (Json.isObject(stated["reasoning"]) ? stated["reasoning"]["effort"] : null)

const settings = (
  settings: LlmRequest.Settings,
  { maxOutputTokens, model }: Protocol.Options,
  stated: Body,
  dropped: Dropped
): Body => {
  const asked = effortOf(stated) ?? ParameterMapper.effort(settings, model, () => {})
  const target = { model, maxOutputTokens, effort: asked, stated }
  const body = ParameterMapper.map(settings, ParameterMapper.openAiResponses, target, dropped)
  const effort = ParameterMapper.effort(settings, model, dropped)
  return effort === undefined ? body : { ...body, reasoning: { effort } }
}

const encrypted = "reasoning.encrypted_content"

/** A model that does not think refuses to be asked for its reasoning. */
const wantsEncrypted = (body: Body, model: string, own: Body): boolean => {
  const { thinks } = ModelTraits.of(model)
  if (thinks !== "unknown") return thinks === "yes"
  const items = Array.isArray(body["input"]) ? body["input"] : []
  return (
    body["reasoning"] !== undefined ||
    own["reasoning"] !== undefined ||
    items.some((item) => Json.isObject(item) && typeof item["encrypted_content"] === "string")
  )
}

const lowerToolChoice = (choice: LlmRequest.ToolChoice | undefined): unknown =>
  typeof choice === "object" ? { type: "function", name: choice.tool } : choice

const lowerFormat = (
  format: Extract<LlmRequest.ResponseFormat, { readonly type: "json" }>,
  dropped: Dropped
): Body => ({ type: "json_schema", name: format.name, ...StructuredSchema.format(format, dropped) })
