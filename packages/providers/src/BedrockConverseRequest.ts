/**
 * Bedrock Converse: lowering a request.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import * as AnthropicThinking from "./AnthropicThinking.ts"
import * as BedrockConverseMessages from "./BedrockConverseMessages.ts"
import * as Json from "./Json.ts"
import * as Lowering from "./Lowering.ts"
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
export const protocol = "bedrock-converse"

/**
 * What Converse takes of every model. The model's own words for top k are found apart.
 *
 * @since 0.1.0
 * @category models
 */
export const parameters: ParameterMapper.Parameters = {
  names: {
    maxOutputTokens: "maxTokens",
    temperature: "temperature",
    topP: "topP",
    topK: "topK",
    stop: "stopSequences"
  },
  maxTemperature: 1,
  maxStopSequences: undefined,
  minOutputTokens: 1
}

type Dropped = (field: string) => void

// ---------------------------------------------------------------------------------------------------------------
// Lowering a request
// ---------------------------------------------------------------------------------------------------------------

/**
 * Says a request in Bedrock Converse.
 *
 * **Details** The model and whether to stream stand in the path. A body that came in by this protocol goes out as it
 * came: only settings that it leaves open are set. What only some models know goes into
 * `additionalModelRequestFields`, in the words of the model's family, which its name tells: top k, one tool call at a
 * time, how hard to think.
 *
 * @since 0.1.0
 * @category lowering
 */
export const lower = (request: LlmRequest.LlmRequest, options: Protocol.Options, dropped: Dropped): Body => {
  const raw = Lowering.rawBody(request, protocol)
  if (raw !== undefined) return lowerRaw(request, raw, options, dropped)
  const { kind, model } = options
  const messages = BedrockConverseMessages.lower(request.messages, kind, dropped)
  const told = tell(request, messages, options, dropped)
  const body: Record<string, unknown> = { messages }
  const system = BedrockConverseMessages.system(request.messages, kind)
  if (system.length > 0) body["system"] = system
  const { topK, ...inference } = settings(request.settings, options, {}, told, dropped)
  if (Object.keys(inference).length > 0) body["inferenceConfig"] = inference
  const tools = lowerTools(request, model, dropped)
  if (tools.config !== undefined) body["toolConfig"] = tools.config
  const additional = { ...lowerTopK(topK, model), ...tools.additional, ...told.fields }
  if (Object.keys(additional).length > 0) body["additionalModelRequestFields"] = additional
  const format = lowerFormat(request.responseFormat, dropped)
  if (format !== undefined) body["outputConfig"] = { textFormat: format }
  return Lowering.withProviderOptions(body, request, kind, dropped)
}

const lowerRaw = (request: LlmRequest.LlmRequest, raw: Body, options: Protocol.Options, dropped: Dropped): Body => {
  // What an SDK takes for the path.
  const { modelId: _, ...kept } = raw
  const stated = Json.isObject(kept["inferenceConfig"]) ? kept["inferenceConfig"] : undefined
  const target = { model: options.model }
  const adapted = ParameterMapper.adapt(stated ?? {}, parameters, target, dropped)
  const { topK: _k, ...open } = settings(request.settings, options, adapted, AnthropicThinking.nothing, () => {})
  const filled = Lowering.fill(adapted, open)
  return stated === undefined && Object.keys(filled).length === 0 ? kept : { ...kept, inferenceConfig: filled }
}

/** Of models of other makers nothing is said. */
const tell = (
  { providerOptions, settings, toolChoice }: LlmRequest.LlmRequest,
  messages: ReadonlyArray<unknown>,
  { kind, maxOutputTokens, model }: Protocol.Options,
  dropped: Dropped
): AnthropicThinking.Told => {
  const own = Object.hasOwn(providerOptions, kind) ? providerOptions[kind]?.["additionalModelRequestFields"] : undefined
  return Json.isObject(own) && AnthropicThinking.isStated(own)
    ? AnthropicThinking.nothing
    : AnthropicThinking.tell(
        {
          settings,
          model,
          isForced: toolChoice === "required" || typeof toolChoice === "object",
          stand: AnthropicThinking.standOf(messages),
          maxOutputTokens
        },
        dropped
      )
}

const settings = (
  settings: LlmRequest.Settings,
  { maxOutputTokens, model }: Protocol.Options,
  stated: Body,
  { isThinking, limit }: AnthropicThinking.Told,
  dropped: Dropped
): Body =>
  ParameterMapper.map(
    { ...settings, maxOutputTokens: settings.maxOutputTokens ?? limit },
    parameters,
    { model, maxOutputTokens, stated, isThinking },
    dropped
  )

const isNova = (model: string): boolean => /(^|[./])amazon\.nova/.test(model)

const isAnthropic = (model: string): boolean => /(^|[./])anthropic\./.test(model)

const lowerTopK = (value: unknown, model: string): Body =>
  value === undefined ? {} : isNova(model) ? { inferenceConfig: { topK: value } } : { top_k: value }

interface Tools {
  readonly config: Body | undefined
  readonly additional: Body
}

const lowerTools = (request: LlmRequest.LlmRequest, model: string, dropped: Dropped): Tools => {
  const { settings, toolChoice, tools } = request
  const none = tools.length === 0 || toolChoice === "none"
  // A conversation that holds tool calls is refused without tools, and no choice forbids to call them.
  const mentioned = none ? BedrockConverseMessages.toolNames(request.messages) : []
  if (none && mentioned.length === 0) return { config: undefined, additional: {} }
  if (none) dropped("toolChoice (none, where messages hold tool calls)")
  const specs =
    tools.length > 0
      ? tools.map((tool) => lowerTool(tool, dropped))
      : mentioned.map((name) => lowerTool({ name, parameters: {} }, dropped))
  const oneAtATime = settings.parallelToolCalls === false && !none
  if (oneAtATime && isAnthropic(model))
    // The two ways to choose exclude each other.
    return { config: { tools: specs }, additional: { tool_choice: anthropicChoice(toolChoice) } }
  if (oneAtATime) dropped("settings.parallelToolCalls")
  const choice = none ? undefined : lowerChoice(toolChoice)
  return { config: choice === undefined ? { tools: specs } : { tools: specs, toolChoice: choice }, additional: {} }
}

const lowerTool = (tool: LlmRequest.Tool, dropped: Dropped): Body => {
  const { parameters: json, strict } = StructuredSchema.tool(tool, StructuredSchema.anthropic, dropped)
  return {
    toolSpec: {
      name: tool.name,
      ...(tool.description === undefined || tool.description === "" ? {} : { description: tool.description }),
      inputSchema: { json },
      ...(strict ? { strict } : {})
    }
  }
}

const lowerChoice = (choice: LlmRequest.ToolChoice | undefined): Body | undefined => {
  if (choice === undefined) return undefined
  if (choice === "required") return { any: {} }
  return typeof choice === "string" ? { auto: {} } : { tool: { name: choice.tool } }
}

const anthropicChoice = (choice: LlmRequest.ToolChoice | undefined): Body => {
  const one = { disable_parallel_tool_use: true }
  if (choice === "required") return { type: "any", ...one }
  return typeof choice === "object" ? { type: "tool", name: choice.tool, ...one } : { type: "auto", ...one }
}

/**
 * The schema goes as a text that holds it. Held to one that names nothing, an answer could only be empty: of such a
 * schema nothing is said.
 */
const lowerFormat = (format: LlmRequest.ResponseFormat, dropped: Dropped): Body | undefined => {
  if (format.type === "text") return undefined
  if (StructuredSchema.isOpen(format.schema)) {
    dropped("responseFormat")
    return undefined
  }
  const { anthropic, close } = StructuredSchema
  const schema = JSON.stringify(close(format.schema, anthropic, "responseFormat.schema", dropped))
  return { type: "json_schema", structure: { jsonSchema: { name: format.name, schema } } }
}
