/**
 * Google Gemini: lowering a request.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import * as GeminiContents from "./GeminiContents.ts"
import * as GeminiModel from "./GeminiModel.ts"
import * as Json from "./Json.ts"
import * as Lowering from "./Lowering.ts"
import * as ParameterMapper from "./ParameterMapper.ts"
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
export const protocol = "gemini-generate-content"

type Dropped = (field: string) => void

// ---------------------------------------------------------------------------------------------------------------
// Lowering a request
// ---------------------------------------------------------------------------------------------------------------

/**
 * Says a request in Gemini's `generateContent`.
 *
 * **Details** The model and whether to stream stand in the path. A body that came in by this protocol goes out as
 * it came: only settings that it leaves open are set. Schemas go out as JSON Schema (`parametersJsonSchema`,
 * `responseJsonSchema`), of which the server ignores keywords that it does not know.
 *
 * @since 0.1.0
 * @category lowering
 */
export const lower = (request: LlmRequest.LlmRequest, options: Protocol.Options, dropped: Dropped): Body => {
  const raw = Lowering.rawBody(request, protocol)
  if (raw !== undefined) return lowerRaw(request, raw, options)
  const system = request.messages.flatMap((message) =>
    message.role === "system" && message.content !== "" ? [{ text: message.content }] : []
  )
  const body: Record<string, unknown> = { contents: GeminiContents.lower(request.messages, options, dropped) }
  if (system.length > 0) body["systemInstruction"] = { parts: system }
  if (request.tools.length > 0) {
    body["tools"] = [{ functionDeclarations: request.tools.map(lowerTool) }]
    const calling = lowerToolChoice(request)
    if (calling !== undefined) body["toolConfig"] = { functionCallingConfig: calling }
  }
  const config = { ...settings(request.settings, options, dropped), ...lowerFormat(request.responseFormat) }
  if (Object.keys(config).length > 0) body["generationConfig"] = config
  return Lowering.withProviderOptions(body, request, options.kind, dropped)
}

const lowerRaw = (request: LlmRequest.LlmRequest, raw: Body, options: Protocol.Options): Body => {
  const { model: _, ...kept } = raw
  // The server takes names in either case, but not the same field twice.
  const key = kept["generation_config"] === undefined ? "generationConfig" : "generation_config"
  const stated = kept[key]
  const config: Body = Json.isObject(stated) ? stated : {}
  const open = Object.entries(settings(request.settings, options, () => {})).filter(
    ([name]) => config[name] === undefined && config[snakeCase(name)] === undefined
  )
  return open.length === 0 ? kept : { ...kept, [key]: { ...config, ...Object.fromEntries(open) } }
}

const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)

const settings = (settings: LlmRequest.Settings, options: Protocol.Options, dropped: Dropped): Body => {
  const { maxOutputTokens, model } = options
  const body = ParameterMapper.map(settings, ParameterMapper.gemini, { model, maxOutputTokens }, dropped)
  if (settings.reasoningEffort !== undefined) {
    const { reasoningEffort: effort } = settings
    const thinking = GeminiModel.thinkingConfig(model, effort)
    if (thinking !== undefined) {
      if (thinking.said !== effort) dropped(`settings.reasoningEffort (${thinking.said})`)
      body["thinkingConfig"] = thinking.config
      // Who cannot think does not.
    } else if (effort !== "none") dropped("settings.reasoningEffort")
  }
  // Several calls at a time is what the model does by itself.
  if (settings.parallelToolCalls === false) dropped("settings.parallelToolCalls")
  return body
}

const lowerTool = (tool: LlmRequest.Tool): Body => ({
  name: tool.name,
  description: tool.description ?? "",
  ...(takesNothing(tool.parameters) ? {} : { parametersJsonSchema: tool.parameters })
})

const combinators = ["$ref", "allOf", "anyOf", "oneOf", "patternProperties"] as const

/** An object without properties is refused as a schema; a function without parameters states none. */
const takesNothing = (schema: LlmRequest.Tool["parameters"]): boolean => {
  const { additionalProperties, properties } = schema
  return (
    (properties === undefined || (Json.isObject(properties) && Object.keys(properties).length === 0)) &&
    (additionalProperties === undefined || additionalProperties === false) &&
    combinators.every((key) => schema[key] === undefined)
  )
}

const lowerToolChoice = (request: LlmRequest.LlmRequest): Body | undefined => {
  const { toolChoice: choice, tools } = request
  if (choice === "none") return { mode: "NONE" }
  if (choice === "required") return { mode: "ANY" }
  if (choice !== undefined && choice !== "auto") return { mode: "ANY", allowedFunctionNames: [choice.tool] }
  if (tools.some((tool) => tool.strict === true)) return { mode: "VALIDATED" }
  return choice === "auto" ? { mode: "AUTO" } : undefined
}

const lowerFormat = (format: LlmRequest.ResponseFormat): Body =>
  format.type === "text" ? {} : { responseMimeType: "application/json", responseJsonSchema: format.schema }
