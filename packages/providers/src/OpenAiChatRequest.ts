/**
 * OpenAI Chat Completions: lowering a request.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Prompt from "effect/ai/Prompt"
import type * as Dialect from "./Dialect.ts"
import * as Json from "./Json.ts"
import * as Lowering from "./Lowering.ts"
import * as Media from "./Media.ts"
import * as ModelTraits from "./ModelTraits.ts"
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
export const protocol = "openai-chat"

type Dropped = (field: string) => void

// ---------------------------------------------------------------------------------------------------------------
// Lowering a request
// ---------------------------------------------------------------------------------------------------------------

/**
 * Says a request in OpenAI Chat Completions.
 *
 * **Details** A body that came in by this protocol goes out as it came: only the model, the stream flag and
 * settings that it leaves open are set, and usage is asked for in a stream.
 *
 * @since 0.1.0
 * @category lowering
 */
export const lower = (request: LlmRequest.LlmRequest, options: Protocol.Options, dropped: Dropped): Body => {
  const raw = Lowering.rawBody(request, protocol)
  if (raw !== undefined) return lowerRaw(request, raw, options, dropped)
  const { dialect, kind, model } = options
  const tools = lowerTools(request, dropped)
  const body: Record<string, unknown> = {
    model,
    messages: lowerMessages(request.messages, options, dropped),
    ...settings(request.settings, options, ownOptions(request, kind), dropped),
    ...streaming(request, dialect)
  }
  if (tools !== undefined) {
    body["tools"] = tools
    const choice = lowerToolChoice(request.toolChoice, dialect)
    if (choice !== undefined) body["tool_choice"] = choice
    if (request.settings.parallelToolCalls !== undefined) {
      if (dialect.parallelToolCalls && ParameterMapper.takesParallel(model))
        body["parallel_tool_calls"] = request.settings.parallelToolCalls
      else dropped("settings.parallelToolCalls")
    }
  }
  const format = lowerFormat(request.responseFormat, dialect, dropped)
  if (format !== undefined) body["response_format"] = format
  return Lowering.withProviderOptions(body, request, kind, dropped)
}

const lowerRaw = (request: LlmRequest.LlmRequest, raw: Body, options: Protocol.Options, dropped: Dropped): Body => {
  const { dialect, model } = options
  const { stream: _, ...said } = raw
  const kept = inWordsOf(dialect, said)
  const parameters = ParameterMapper.openAiChat(dialect)
  const target = { model, effort: effortOf(kept) }
  const body: Record<string, unknown> = { ...ParameterMapper.adapt(kept, parameters, target, dropped), model }
  // A server that knows only the older name of the limit would answer without any, and OpenAI's models that think
  // refuse the older.
  if (dialect.maxTokensField === "max_tokens") rename(body, "max_completion_tokens", "max_tokens")
  else if (ModelTraits.of(model).thinks === "yes") rename(body, "max_tokens", "max_completion_tokens")
  const limited = body["max_tokens"] !== undefined || body["max_completion_tokens"] !== undefined
  const { maxOutputTokens, reasoningEffort, ...rest } = request.settings
  const open = {
    ...rest,
    ...(limited ? {} : { maxOutputTokens }),
    // How hard to think is said once, in whichever words the body has for it.
    ...(body["reasoning"] !== undefined || body["reasoning_effort"] !== undefined ? {} : { reasoningEffort })
  }
  const filled = Lowering.fill(
    body,
    settings(open, options, body, () => {})
  )
  if (!request.stream) {
    delete filled["stream_options"]
    return filled
  }
  const { stream_options: asked, ...sent } = streaming(request, dialect)
  const stated = filled["stream_options"]
  if (asked !== undefined) filled["stream_options"] = Json.isObject(stated) ? { ...asked, ...stated } : asked
  return { ...filled, ...sent }
}

/** What servers have two names for, under the name that this one knows: under the other it is refused or ignored. */
const inWordsOf = (dialect: Dialect.Dialect, said: Body): Body => {
  const body: Record<string, unknown> = { ...said }
  if (dialect.seedField === "random_seed") rename(body, "seed", "random_seed")
  else rename(body, "random_seed", "seed")
  const { reasoning, reasoning_effort: effort } = body
  if (dialect.reasoningEffort === "reasoning.effort" && effort !== undefined && effort !== null) {
    body["reasoning"] = Json.isObject(reasoning) ? { effort, ...reasoning } : { effort }
    delete body["reasoning_effort"]
  } else if (dialect.reasoningEffort === "reasoning_effort" && Json.isObject(reasoning)) {
    const { effort: stated, ...beside } = reasoning
    if (stated !== undefined && stated !== null) body["reasoning_effort"] ??= stated
    if (Object.keys(beside).length > 0) body["reasoning"] = beside
    else delete body["reasoning"]
  }
  return body
}

const rename = (body: Record<string, unknown>, from: string, to: string): void => {
  if (body[from] === undefined) return
  body[to] ??= body[from]
  delete body[from]
}

const ownOptions = (request: LlmRequest.LlmRequest, kind: string): Body =>
  Object.hasOwn(request.providerOptions, kind) ? (request.providerOptions[kind] ?? {}) : {}

const effortOf = ({ reasoning, reasoning_effort }: Body): unknown =>
  reasoning_effort ?? (Json.isObject(reasoning) ? reasoning["effort"] : undefined)

const streaming = (
  request: LlmRequest.LlmRequest,
  dialect: Dialect.Dialect
): { readonly stream?: true; readonly stream_options?: { readonly include_usage: true } } => {
  if (!request.stream) return {}
  return dialect.streamUsage ? { stream: true, stream_options: { include_usage: true } } : { stream: true }
}

const settings = (
  settings: LlmRequest.Settings,
  options: Protocol.Options,
  stated: Body,
  dropped: Dropped
): Record<string, unknown> => {
  const { dialect, maxOutputTokens, model } = options
  const isSaid = dialect.reasoningEffort !== "none"
  const asked = effortOf(stated) ?? (isSaid ? ParameterMapper.effort(settings, model, () => {}) : undefined)
  const target = { model, maxOutputTokens, effort: asked, stated }
  const body = ParameterMapper.map(settings, ParameterMapper.openAiChat(dialect), target, dropped)
  if (!isSaid) {
    if (settings.reasoningEffort !== undefined) dropped("settings.reasoningEffort")
    return body
  }
  const effort = ParameterMapper.effort(settings, model, dropped)
  if (effort === undefined) return body
  return {
    ...body,
    ...(dialect.reasoningEffort === "reasoning_effort" ? { reasoning_effort: effort } : { reasoning: { effort } })
  }
}

const lowerTools = (request: LlmRequest.LlmRequest, dropped: Dropped) =>
  request.tools.length === 0
    ? undefined
    : request.tools.map((tool) => {
        const { parameters, strict } = StructuredSchema.tool(tool, StructuredSchema.openAi, dropped)
        return {
          type: "function",
          function: {
            name: tool.name,
            ...(tool.description === undefined ? {} : { description: tool.description }),
            parameters,
            ...(tool.strict === undefined ? {} : { strict })
          }
        }
      })

const lowerToolChoice = (choice: LlmRequest.ToolChoice | undefined, dialect: Dialect.Dialect): unknown => {
  if (choice === undefined || choice === "auto" || choice === "none") return choice
  if (choice === "required") return dialect.toolChoiceRequired
  return { type: "function", function: { name: choice.tool } }
}

const lowerFormat = (format: LlmRequest.ResponseFormat, dialect: Dialect.Dialect, dropped: Dropped): unknown => {
  if (format.type === "text") return undefined
  if (dialect.responseFormat === "object") {
    dropped("responseFormat.schema")
    return { type: "json_object" }
  }
  return {
    type: "json_schema",
    json_schema: { name: format.name, ...StructuredSchema.format(format, dropped) }
  }
}

const lowerMessages = (
  messages: ReadonlyArray<LlmRequest.Message>,
  options: Protocol.Options,
  dropped: Dropped
): ReadonlyArray<unknown> => {
  const lastUser = messages.findLastIndex((message) => message.role === "user")
  return messages.flatMap((message, at): ReadonlyArray<unknown> => {
    switch (message.role) {
      case "system":
        return [{ role: "system", content: message.content }]
      case "user":
        return [{ role: "user", content: userContent(message.content, dropped) }]
      case "assistant":
        return [assistant(message, at > lastUser, options, dropped)]
      case "tool":
        return message.content.flatMap((part) => {
          if (part.type !== "tool-result") {
            dropped(`messages.${part.type}`)
            return []
          }
          return [toolResult(part, options.dialect, dropped)]
        })
    }
  })
}

const toolResult = (part: Prompt.ToolResultPartEncoded, dialect: Dialect.Dialect, dropped: Dropped) => {
  if (part.modelOutput?.some((piece) => piece.type === "file") === true) dropped("messages.tool-result.file")
  // The result's text alone tells it.
  if (part.isFailure) dropped("messages.tool-result.isFailure")
  return { role: "tool", tool_call_id: toolCallId(part.id, dialect), content: Lowering.resultText(part) }
}

const userContent = (content: Prompt.UserMessageEncoded["content"], dropped: Dropped): unknown => {
  if (typeof content === "string") return content
  const [first] = content
  if (content.length === 1 && first?.type === "text") return first.text
  return content.flatMap((part): ReadonlyArray<unknown> => {
    if (part.type === "text") return [{ type: "text", text: part.text }]
    const file = lowerFile(part)
    if (file === undefined) {
      dropped(`messages.file (${part.mediaType})`)
      return []
    }
    if (part.fileName !== undefined && file["type"] !== "file") dropped("messages.file.fileName")
    return [file]
  })
}

const lowerFile = (part: Prompt.FilePartEncoded): Body | undefined => {
  const media = Media.read(part)
  if (media.mediaType.startsWith("image/")) {
    const detail = Lowering.optionsFor(part, "openai")?.["imageDetail"]
    return { type: "image_url", image_url: { url: Media.toUrl(media), ...(detail === undefined ? {} : { detail }) } }
  }
  if (media._tag === "Url") return undefined
  switch (media.mediaType) {
    case "audio/wav":
      return { type: "input_audio", input_audio: { data: media.base64, format: "wav" } }
    case "audio/mp3":
    case "audio/mpeg":
      return { type: "input_audio", input_audio: { data: media.base64, format: "mp3" } }
    case "application/pdf":
      return { type: "file", file: { filename: part.fileName ?? "file.pdf", file_data: Media.toUrl(media) } }
    default:
      return undefined
  }
}

const assistant = (
  message: Prompt.AssistantMessageEncoded,
  inTurn: boolean,
  options: Protocol.Options,
  dropped: Dropped
): unknown => {
  if (typeof message.content === "string") return { role: "assistant", content: message.content }
  const { dialect, kind } = options
  const text: Array<string> = []
  const refusal: Array<string> = []
  const calls: Array<unknown> = []
  const reasoning: Array<Prompt.ReasoningPartEncoded> = []
  for (const part of message.content) {
    if (part.type === "text") {
      const isRefusal = Lowering.isRefusal(part)
      if (isRefusal && !dialect.refusals) dropped("messages.text.refusal")
      ;(isRefusal && dialect.refusals ? refusal : text).push(part.text)
    } else if (part.type === "reasoning") reasoning.push(part)
    else if (part.type === "tool-call" && part.providerExecuted !== true) calls.push(toolCall(part, options))
    else dropped(`messages.${part.type}`)
  }
  const isSilent = calls.length === 0 && refusal.length === 0
  const body: Record<string, unknown> = {
    role: "assistant",
    content: text.length === 0 ? (isSilent ? "" : null) : text.join("")
  }
  if (refusal.length > 0) body["refusal"] = refusal.join("")
  if (calls.length > 0) body["tool_calls"] = calls
  // A part without options is plain text that any server may read; one that names providers belongs to them.
  const own = reasoning.filter((part) => !Lowering.isOwned(part) || Lowering.optionsFor(part, kind) !== undefined)
  if (own.length < reasoning.length) dropped("messages.reasoning")
  if (own.length === 0) return body
  switch (dialect.reasoningInput) {
    case "none":
      dropped("messages.reasoning")
      return body
    case "reasoning_content":
      // Wanted between the calls of one turn, refused or ignored in earlier ones.
      return inTurn ? { ...body, reasoning_content: own.map((part) => part.text).join("") } : body
    case "reasoning_details": {
      const details = own.flatMap((part) => {
        const found = Lowering.optionsFor(part, kind)?.["reasoning_details"]
        return Array.isArray(found) ? found : []
      })
      return details.length > 0
        ? { ...body, reasoning_details: details }
        : { ...body, reasoning: own.map((part) => part.text).join("") }
    }
    case "thinking":
      return {
        ...body,
        content: [
          ...own.map((part) => ({ type: "thinking", thinking: [{ type: "text", text: part.text }] })),
          ...(text.length === 0 ? [] : [{ type: "text", text: text.join("") }])
        ]
      }
  }
}

const callKeys = new Set(["index", "id", "type", "function", "custom"])
const functionKeys = new Set(["name", "arguments"])

/** A call with what else its provider said of it, which some want back. */
const toolCall = (part: Prompt.ToolCallPartEncoded, { dialect, kind }: Protocol.Options): Body => {
  const own = Lowering.optionsFor(part, kind) ?? {}
  return {
    ...Json.rest(own, callKeys),
    id: toolCallId(part.id, dialect),
    type: "function",
    function: {
      ...Json.rest(Json.object(own, "function") ?? {}, functionKeys),
      name: part.name,
      arguments: JSON.stringify(part.params ?? {})
    }
  }
}

const alphabet = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/** The id as the server takes it. Another provider's id becomes nine letters that depend on nothing but it. */
const toolCallId = (id: string, dialect: Dialect.Dialect): string => {
  if (dialect.toolCallId === "any" || /^[a-zA-Z0-9]{9}$/.test(id)) return id
  // FNV-1a, twice with different seeds: 53 bits are enough to tell the calls of one conversation apart.
  let a = 0x811c9dc5
  let b = 0x1b873593
  for (let i = 0; i < id.length; i++) {
    a = Math.imul(a ^ id.charCodeAt(i), 0x01000193)
    b = Math.imul(b ^ id.charCodeAt(i), 0x01000193)
  }
  let left = (a >>> 0) * 0x200000 + ((b >>> 0) & 0x1fffff)
  let short = ""
  for (let i = 0; i < 9; i++) {
    short += alphabet.charAt(left % alphabet.length)
    left = Math.floor(left / alphabet.length)
  }
  return short
}
