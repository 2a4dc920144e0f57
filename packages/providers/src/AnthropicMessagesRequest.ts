/**
 * Anthropic Messages: lowering a request.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Prompt from "effect/ai/Prompt"
import * as AnthropicThinking from "./AnthropicThinking.ts"
import * as Json from "./Json.ts"
import * as Lowering from "./Lowering.ts"
import * as Media from "./Media.ts"
import * as ParameterMapper from "./ParameterMapper.ts"
import type * as Protocol from "./Protocol.ts"
import * as StructuredSchema from "./StructuredSchema.ts"

// ---------------------------------------------------------------------------------------------------------------
// Wire types
// ---------------------------------------------------------------------------------------------------------------

type Body = Readonly<Record<string, unknown>>

interface Message {
  readonly role: "user" | "assistant"
  readonly content: ReadonlyArray<Body>
}

/**
 * The protocol's name, by which a raw body says what it is.
 *
 * @since 0.1.0
 * @category models
 */
export const protocol = "anthropic-messages"

/**
 * The limit that is sent when neither the request nor the model states one: the protocol demands it.
 *
 * @default 4096
 * @since 0.1.0
 * @category models
 */
export const defaultMaxTokens = 4096

type Dropped = (field: string) => void

// ---------------------------------------------------------------------------------------------------------------
// Lowering a request
// ---------------------------------------------------------------------------------------------------------------

/**
 * Says a request in Anthropic Messages.
 *
 * **Details** A body that came in by this protocol goes out as it came: only the model, the stream flag and
 * settings that it leaves open are set, and how to think is said anew where the model would refuse the words.
 *
 * @since 0.1.0
 * @category lowering
 */
export const lower = (request: LlmRequest.LlmRequest, options: Protocol.Options, dropped: Dropped): Body => {
  const raw = Lowering.rawBody(request, protocol)
  if (raw !== undefined) return lowerRaw(request, raw, options, dropped)
  const { kind, model } = options
  const system = request.messages.flatMap((message) =>
    message.role === "system" && message.content !== ""
      ? [cached({ type: "text", text: message.content }, message, kind)]
      : []
  )
  const messages = lowerMessages(request.messages, kind, dropped)
  const told = AnthropicThinking.tell(
    {
      // The caller's own words for it are laid over the body, and would contradict these.
      settings: AnthropicThinking.isStated(ownOptions(request, kind))
        ? { ...request.settings, reasoningEffort: undefined }
        : request.settings,
      model,
      isForced: request.toolChoice === "required" || typeof request.toolChoice === "object",
      stand: AnthropicThinking.standOf(messages),
      maxOutputTokens: options.maxOutputTokens
    },
    dropped
  )
  const body: Record<string, unknown> = {
    model,
    ...settings(request.settings, options, {}, told, dropped),
    ...told.fields,
    messages
  }
  const [only] = system
  if (only !== undefined) body["system"] = system.length === 1 && Object.keys(only).length === 2 ? only["text"] : system
  if (request.tools.length > 0) {
    body["tools"] = request.tools.map((tool) => lowerTool(tool, dropped))
    const choice = lowerToolChoice(request.toolChoice, request.settings.parallelToolCalls)
    if (choice !== undefined) body["tool_choice"] = choice
  }
  const format = lowerFormat(request.responseFormat, dropped)
  if (format !== undefined)
    body["output_config"] = { ...(Json.isObject(body["output_config"]) ? body["output_config"] : {}), format }
  if (request.stream) body["stream"] = true
  return Lowering.withProviderOptions(body, request, kind, dropped)
}

const lowerRaw = (request: LlmRequest.LlmRequest, raw: Body, options: Protocol.Options, dropped: Dropped): Body => {
  const { stream: _, ...came } = raw
  const { model } = options
  const said = AnthropicThinking.without(came, model)
  const kept = ParameterMapper.adapt(said ?? came, ParameterMapper.anthropicMessages, { model }, dropped)
  const told = tellRaw(request, kept, options)
  if (said !== undefined) dropped(AnthropicThinking.changed(told))
  const filled = Lowering.fill(
    { ...Json.merge(kept, told.fields), model },
    settings(request.settings, options, kept, told, () => {})
  )
  return request.stream ? { ...filled, stream: true } : filled
}

/** How hard to think, where the body leaves it open and says nothing that thinking excludes. */
const tellRaw = (
  request: LlmRequest.LlmRequest,
  kept: Body,
  { maxOutputTokens, model }: Protocol.Options
): AnthropicThinking.Told => {
  if (AnthropicThinking.isStated(kept)) return AnthropicThinking.nothing
  if (["temperature", "top_p", "top_k"].some((name) => kept[name] !== undefined)) return AnthropicThinking.nothing
  const { max_tokens: limit, messages, tool_choice: choice } = kept
  const type = Json.isObject(choice) ? choice["type"] : undefined
  return AnthropicThinking.tell(
    {
      settings: typeof limit === "number" ? { ...request.settings, maxOutputTokens: limit } : request.settings,
      model,
      isForced: type === "any" || type === "tool",
      stand: AnthropicThinking.standOf(Array.isArray(messages) ? messages : []),
      maxOutputTokens
    },
    () => {}
  )
}

const ownOptions = (request: LlmRequest.LlmRequest, kind: string): Body =>
  Object.hasOwn(request.providerOptions, kind) ? (request.providerOptions[kind] ?? {}) : {}

const settings = (
  settings: LlmRequest.Settings,
  { maxOutputTokens, model }: Protocol.Options,
  stated: Body,
  { isThinking, limit }: AnthropicThinking.Told,
  dropped: Dropped
): Body => {
  const limited = {
    ...settings,
    maxOutputTokens: settings.maxOutputTokens ?? limit ?? maxOutputTokens ?? defaultMaxTokens
  }
  const target = { model, maxOutputTokens, stated, isThinking }
  return ParameterMapper.map(limited, ParameterMapper.anthropicMessages, target, dropped)
}

const lowerTool = (tool: LlmRequest.Tool, dropped: Dropped): Body => {
  const { parameters, strict } = StructuredSchema.tool(tool, StructuredSchema.anthropic, dropped)
  return {
    name: tool.name,
    ...(tool.description === undefined ? {} : { description: tool.description }),
    input_schema: parameters,
    ...(strict ? { strict } : {})
  }
}

/** Held to a schema that names nothing, an answer could only be empty: of such a schema nothing is said. */
const lowerFormat = (format: LlmRequest.ResponseFormat, dropped: Dropped): Body | undefined => {
  if (format.type === "text") return undefined
  if (StructuredSchema.isOpen(format.schema)) {
    dropped("responseFormat")
    return undefined
  }
  const { anthropic, close } = StructuredSchema
  return { type: "json_schema", schema: close(format.schema, anthropic, "responseFormat.schema", dropped) }
}

const lowerToolChoice = (choice: LlmRequest.ToolChoice | undefined, parallel: boolean | undefined): unknown => {
  const one = parallel === false ? { disable_parallel_tool_use: true } : {}
  if (choice === undefined) return parallel === false ? { type: "auto", ...one } : undefined
  if (choice === "none") return { type: "none" }
  if (choice === "auto") return { type: "auto", ...one }
  if (choice === "required") return { type: "any", ...one }
  return { type: "tool", name: choice.tool, ...one }
}

const lowerMessages = (
  messages: ReadonlyArray<LlmRequest.Message>,
  kind: string,
  dropped: Dropped
): ReadonlyArray<Message> => {
  const lowered: Array<Message> = []
  for (const message of messages) {
    if (message.role === "system") continue
    const role = message.role === "assistant" ? "assistant" : "user"
    const content = contentOf(message, kind, dropped)
    if (content.length === 0) continue
    // Roles must alternate: what one side says in a row is one message.
    const before = lowered.at(-1)
    if (before?.role === role) lowered[lowered.length - 1] = { role, content: [...before.content, ...content] }
    else lowered.push({ role, content })
  }
  return lowered.map((message, at) => trimmed(message, at === lowered.length - 1))
}

/** A prefill must not end in white space. */
const trimmed = (message: Message, isLast: boolean): Message => {
  const last = message.content.at(-1)
  if (!isLast || message.role !== "assistant" || last?.["type"] !== "text") return message
  const text = String(last["text"]).trimEnd()
  const before = message.content.slice(0, -1)
  return { role: message.role, content: text === "" ? before : [...before, { ...last, text }] }
}

const contentOf = (
  message: Exclude<LlmRequest.Message, { readonly role: "system" }>,
  kind: string,
  dropped: Dropped
): ReadonlyArray<Body> => {
  if (typeof message.content === "string") return text(message.content, message, kind)
  const parts: ReadonlyArray<
    Prompt.UserMessagePartEncoded | Prompt.AssistantMessagePartEncoded | Prompt.ToolMessagePartEncoded
  > = message.content
  return parts.flatMap((part): ReadonlyArray<Body> => {
    switch (part.type) {
      case "text":
        return text(part.text, part, kind)
      case "file":
        return file(part, kind, dropped)
      case "reasoning":
        return reasoning(part, kind, dropped)
      case "tool-call":
        if (part.providerExecuted === true) break
        return [
          cached({ type: "tool_use", id: toolCallId(part.id), name: part.name, input: part.params ?? {} }, part, kind)
        ]
      case "tool-result":
        if (part.providerExecuted === true) break
        return [toolResult(part, kind, dropped)]
    }
    dropped(`messages.${part.type}`)
    return []
  })
}

/** An empty text is refused. */
const text = (
  value: string,
  carrier: { readonly options?: Prompt.ProviderOptions | undefined },
  kind: string
): ReadonlyArray<Body> => (value === "" ? [] : [cached({ type: "text", text: value }, carrier, kind)])

const file = (part: Prompt.FilePartEncoded, kind: string, dropped: Dropped): ReadonlyArray<Body> => {
  const media = Media.read(part)
  const source =
    media._tag === "Url"
      ? { type: "url", url: media.url }
      : { type: "base64", media_type: media.mediaType, data: media.base64 }
  if (media.mediaType.startsWith("image/")) {
    if (part.fileName !== undefined) dropped("messages.file.fileName")
    return [cached({ type: "image", source }, part, kind)]
  }
  const title = part.fileName === undefined ? {} : { title: part.fileName }
  if (media.mediaType === "application/pdf") return [cached({ type: "document", source, ...title }, part, kind)]
  if (media.mediaType.startsWith("text/") && media._tag === "Base64") {
    const data = Buffer.from(media.base64, "base64").toString("utf8")
    return [
      cached({ type: "document", source: { type: "text", media_type: "text/plain", data }, ...title }, part, kind)
    ]
  }
  dropped(`messages.file (${part.mediaType})`)
  return []
}

/** Only what this provider signed goes back to it. */
const reasoning = (part: Prompt.ReasoningPartEncoded, kind: string, dropped: Dropped): ReadonlyArray<Body> => {
  const own = Lowering.optionsFor(part, kind)
  if (typeof own?.["redactedData"] === "string") return [{ type: "redacted_thinking", data: own["redactedData"] }]
  if (typeof own?.["signature"] === "string")
    return [{ type: "thinking", thinking: part.text, signature: own["signature"] }]
  dropped("messages.reasoning")
  return []
}

const toolResult = (part: Prompt.ToolResultPartEncoded, kind: string, dropped: Dropped): Body => {
  const content =
    part.modelOutput === undefined || part.modelOutput.length === 0
      ? Lowering.resultText(part)
      : part.modelOutput.flatMap((piece) =>
          piece.type === "text" ? text(piece.text, piece, kind) : file(piece, kind, dropped)
        )
  return cached(
    {
      type: "tool_result",
      tool_use_id: toolCallId(part.id),
      content,
      ...(part.isFailure ? { is_error: true } : {})
    },
    part,
    kind
  )
}

/** Ids of other providers may hold what is refused here. */
const toolCallId = (id: string): string => id.replace(/[^a-zA-Z0-9_-]/g, "_")

const cached = (
  block: Body,
  carrier: { readonly options?: Prompt.ProviderOptions | undefined },
  kind: string
): Body => {
  const options: Json.JsonObject | undefined = Lowering.optionsFor(carrier, kind)
  const control = options?.["cacheControl"] ?? options?.["cache_control"]
  return control === undefined ? block : { ...block, cache_control: control }
}
