/**
 * Bedrock Converse: lifting a request.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Prompt from "effect/ai/Prompt"
import * as AnthropicThinking from "./AnthropicThinking.ts"
import * as BedrockConverseMessages from "./BedrockConverseMessages.ts"
import * as BedrockConverseRequest from "./BedrockConverseRequest.ts"
import * as Json from "./Json.ts"
import * as Lift from "./Lift.ts"

// ---------------------------------------------------------------------------------------------------------------
// Wire types
// ---------------------------------------------------------------------------------------------------------------

const bodyKeys = new Set([
  ...["modelId", "messages", "system", "inferenceConfig", "toolConfig", "outputConfig"],
  "additionalModelRequestFields"
])
const messageKeys = new Set(["role", "content"])
const inferenceKeys = new Set(["maxTokens", "temperature", "topP", "stopSequences"])
const toolConfigKeys = new Set(["tools", "toolChoice"])
const toolKeys = new Set(["name", "description", "inputSchema", "strict"])
const fileKeys = new Set(["format", "name", "source"])
const sourceKeys = new Set(["bytes", "text", "s3Location"])
const callKeys = new Set(["toolUseId", "name", "input"])
const resultKeys = new Set(["toolUseId", "content", "status"])

type Block = readonly [type: string, value: Json.JsonObject, path: string]

type Said = Prompt.UserMessagePartEncoded | Prompt.AssistantMessagePartEncoded

// ---------------------------------------------------------------------------------------------------------------
// Lifting a request
// ---------------------------------------------------------------------------------------------------------------

/**
 * Reads the body of a request in Bedrock Converse.
 *
 * **Details** The model and whether to stream stand in the path; a `modelId` in the body is read all the same. A cache
 * point is the mark of what stands before it. Of `additionalModelRequestFields` top k, the choice of a tool, and how
 * hard Anthropic's models think are read; the rest stays in the body's own options. A document gets the extension of
 * its format, which the protocol's names do not have.
 *
 * @since 0.1.0
 * @category lifting
 */
export const lift = (body: unknown, options?: Lift.Options): Lift.Lifted => {
  const draft = Lift.begin(BedrockConverseRequest.protocol, options)
  if (!Json.isObject(body)) return Lift.notABody(draft, body)
  liftSystem(draft, body)
  if (body["messages"] === undefined) Lift.wrong(draft, "messages", "an array", undefined)
  for (const [message, path] of Lift.objects(draft, body, "messages", "")) liftMessage(draft, message, path)
  const inference = Lift.object(draft, body, "inferenceConfig", "") ?? {}
  Lift.numbers(draft, inference, "inferenceConfig", {
    maxTokens: "maxOutputTokens",
    temperature: "temperature",
    topP: "topP"
  })
  Lift.stop(draft, inference, "stopSequences", "inferenceConfig")
  Lift.leave(draft, inference, inferenceKeys, "inferenceConfig")
  const stated = liftTools(draft, body)
  const toolChoice = liftAdditional(draft, body) ?? stated
  const responseFormat = liftOutput(draft, body)
  Object.assign(draft.rest, Json.rest(body, bodyKeys))
  return Lift.end(draft, body, {
    model: Lift.string(draft, body, "modelId", ""),
    stream: false,
    toolChoice,
    responseFormat
  })
}

const liftSystem = (draft: Lift.Draft, body: Json.JsonObject): void => {
  for (const [type, value, path] of blocksOf(draft, body, "system", "")) {
    const last = draft.messages.length - 1
    const before = draft.messages[last]
    if (type === "text") draft.messages.push({ role: "system", content: textOf(draft, value, path) })
    else if (type === "cachePoint" && before !== undefined) draft.messages[last] = marked(draft, before, value)
    else Lift.leaveWhole(draft, type, path)
  }
}

const liftTools = (draft: Lift.Draft, body: Json.JsonObject): LlmRequest.ToolChoice | undefined => {
  const config = Lift.object(draft, body, "toolConfig", "")
  if (config === undefined) return undefined
  Lift.leave(draft, config, toolConfigKeys, "toolConfig")
  for (const [type, value, path] of blocksOf(draft, config, "tools", "toolConfig")) {
    if (type !== "toolSpec") {
      Lift.leaveWhole(draft, type, path)
      continue
    }
    const description = Lift.string(draft, value, "description", path)
    const strict = Lift.boolean(draft, value, "strict", path)
    const schema = Lift.object(draft, value, "inputSchema", path) ?? {}
    draft.tools.push({
      name: Lift.required(draft, value, "name", path),
      ...(description === undefined ? {} : { description }),
      parameters: Lift.object(draft, schema, "json", Lift.at(path, "inputSchema")) ?? Lift.noParameters,
      ...(strict === undefined ? {} : { strict })
    })
    Lift.leave(draft, value, toolKeys, path)
  }
  const choice = Lift.object(draft, config, "toolChoice", "toolConfig")
  if (choice === undefined) return undefined
  const path = "toolConfig.toolChoice"
  const named = Lift.object(draft, choice, "tool", path)
  if (named !== undefined) return { tool: Lift.required(draft, named, "name", Lift.at(path, "tool")) }
  if (choice["any"] !== undefined) return "required"
  if (choice["auto"] !== undefined) return "auto"
  for (const type of Object.keys(choice)) Lift.leaveWhole(draft, type, path)
  return undefined
}

const choices: Readonly<Record<string, LlmRequest.ToolChoice>> = { auto: "auto", any: "required" }

/** What a model's maker has words of his own for. */
const liftAdditional = (draft: Lift.Draft, body: Json.JsonObject): LlmRequest.ToolChoice | undefined => {
  const at = "additionalModelRequestFields"
  const { output_config, thinking, tool_choice, ...rest } = Lift.object(draft, body, at, "") ?? {}
  const kept: Record<string, Json.Json> = rest
  Lift.numbers(draft, rest, at, { top_k: "topK" })
  delete kept["top_k"]
  if (Json.isObject(rest["inferenceConfig"])) {
    const { topK, ...beside } = rest["inferenceConfig"]
    if (typeof topK === "number") draft.settings["topK"] ??= topK
    kept["inferenceConfig"] = typeof topK === "number" ? beside : rest["inferenceConfig"]
    if (Object.keys(kept["inferenceConfig"]).length === 0) delete kept["inferenceConfig"]
  }
  const { effort, ...beside } = Json.isObject(output_config) ? output_config : {}
  const isKnown = Lift.effort(draft, effort)
  const output = effort === undefined || isKnown ? beside : { ...beside, effort }
  if (Object.keys(output).length > 0) kept["output_config"] = output
  const tokens = Json.isObject(thinking) ? Json.count(thinking, "budget_tokens") : undefined
  if (tokens !== undefined) Lift.budget(draft, tokens)
  // Beside an effort it says nothing more, and without one it is an effort of its own.
  const isOff = effort === undefined && AnthropicThinking.isOff(thinking)
  if (isOff) Lift.effort(draft, "none")
  if (thinking !== undefined && !isOff && !(isKnown && AnthropicThinking.isPlain(thinking))) kept["thinking"] = thinking
  const { disable_parallel_tool_use: single, name, type, ...unknown } = Json.isObject(tool_choice) ? tool_choice : {}
  const choice =
    type === "tool" && typeof name === "string"
      ? { tool: name }
      : typeof type === "string" && Object.hasOwn(choices, type)
        ? choices[type]
        : undefined
  if (choice === undefined || Object.keys(unknown).length > 0) {
    if (tool_choice !== undefined) kept["tool_choice"] = tool_choice
  } else if (typeof single === "boolean") draft.settings["parallelToolCalls"] = !single
  if (Object.keys(kept).length > 0) draft.rest[at] = kept
  return choice
}

/** The schema stands there as a text that holds it. */
const liftOutput = (draft: Lift.Draft, body: Json.JsonObject): LlmRequest.ResponseFormat | undefined => {
  const { textFormat, ...beside } = Lift.object(draft, body, "outputConfig", "") ?? {}
  if (Object.keys(beside).length > 0) draft.rest["outputConfig"] = beside
  if (!Json.isObject(textFormat)) return undefined
  const path = "outputConfig.textFormat"
  const structure = Lift.object(draft, textFormat, "structure", path) ?? {}
  const format = Lift.object(draft, structure, "jsonSchema", `${path}.structure`)
  if (format === undefined) {
    Lift.leaveWhole(draft, Json.string(textFormat, "type"), path)
    return undefined
  }
  const place = `${path}.structure.jsonSchema`
  const schema = Json.parse(Lift.required(draft, format, "schema", place))
  if (!Json.isObject(schema)) {
    Lift.wrong(draft, Lift.at(place, "schema"), "a JSON Schema as a text", schema)
    return undefined
  }
  return { type: "json", name: Lift.string(draft, format, "name", place) ?? "response", schema }
}

// ---------------------------------------------------------------------------------------------------------------
// Messages
// ---------------------------------------------------------------------------------------------------------------

/** The members of unions in an array: each is an object with one field, which says what it is. */
const blocksOf = (draft: Lift.Draft, from: Json.JsonObject, key: string, path: string): ReadonlyArray<Block> =>
  Lift.objects(draft, from, key, path).flatMap(([block, place]) =>
    Object.entries(block).map(
      ([type, value]): Block => [type, Json.isObject(value) ? value : { value }, Lift.at(place, type)]
    )
  )

/** A text is the field itself. */
const textOf = (draft: Lift.Draft, { value }: Json.JsonObject, path: string): string => {
  if (typeof value === "string") return value
  Lift.wrong(draft, path, "a string", value)
  return ""
}

const liftMessage = (draft: Lift.Draft, message: Json.JsonObject, path: string): void => {
  const role = Lift.required(draft, message, "role", path)
  Lift.leave(draft, message, messageKeys, path)
  if (!Array.isArray(message["content"])) {
    Lift.wrong(draft, Lift.at(path, "content"), "an array", message["content"])
    return
  }
  if (role !== "user" && role !== "assistant") {
    if (role !== "") Lift.leaveWhole(draft, role, path)
    return
  }
  // Results stand among what the user says: what comes in a row is one message.
  for (const [type, value, place] of blocksOf(draft, message, "content", path)) {
    const last = draft.messages.length - 1
    const before = draft.messages[last]
    if (type === "cachePoint" && before !== undefined) draft.messages[last] = marked(draft, before, value)
    else if (type === "toolResult") draft.messages.push(liftResult(draft, value, place))
    else if (role === "user") add(draft, role, inputPart(draft, type, value, place))
    else add(draft, role, assistantPart(draft, type, value, place))
  }
}

/** What one side says in a row is one message. */
const add = (draft: Lift.Draft, role: "user" | "assistant", parts: ReadonlyArray<Said>): void => {
  const before = draft.messages.at(-1)
  if (parts.length === 0) return
  const content = before?.role === role && typeof before.content !== "string" ? [...before.content, ...parts] : parts
  const message = { role, content } as LlmRequest.Message
  if (content === parts) draft.messages.push(message)
  else draft.messages[draft.messages.length - 1] = message
}

/** Marks what stands last as the end of a prefix worth caching. */
const marked = (draft: Lift.Draft, message: LlmRequest.Message, point: Json.JsonObject): LlmRequest.Message => {
  const { type, ...more } = point
  const mark = Lift.owned(draft, {}, { cachePoint: type === "default" ? more : point })
  if (typeof message.content === "string") return { ...message, ...mark }
  const last = message.content.at(-1)
  const content =
    last === undefined
      ? []
      : [...message.content.slice(0, -1), { ...last, options: { ...last.options, ...mark.options } }]
  return { ...message, content } as LlmRequest.Message
}

const inputPart = (
  draft: Lift.Draft,
  type: string,
  value: Json.JsonObject,
  path: string
): ReadonlyArray<Prompt.TextPartEncoded | Prompt.FilePartEncoded> => {
  switch (type) {
    case "text":
      return [{ type: "text", text: textOf(draft, value, path) }]
    case "image":
    case "document":
    case "video":
    case "audio":
      return liftFile(draft, type, value, path)
    default:
      Lift.leaveWhole(draft, type, path)
      return []
  }
}

const liftFile = (
  draft: Lift.Draft,
  type: string,
  value: Json.JsonObject,
  path: string
): ReadonlyArray<Prompt.FilePartEncoded> => {
  const format = Lift.required(draft, value, "format", path)
  const place = Lift.at(path, "source")
  const source = Lift.object(draft, value, "source", path)
  const { citations, ...stated } = value
  Lift.leave(draft, stated, fileKeys, path)
  if (source === undefined) {
    Lift.wrong(draft, place, "an object", undefined)
    return []
  }
  Lift.leave(draft, source, sourceKeys, place)
  const mediaType = BedrockConverseMessages.mediaTypeOf(type, format)
  if (mediaType === undefined) {
    if (format !== "") Lift.leaveWhole(draft, format, path)
    return []
  }
  const name = Lift.string(draft, value, "name", path)
  const more = {
    ...(name === undefined || /^document(?:-\d+)?$/.test(name) ? {} : { fileName: `${name}.${format}` }),
    ...Lift.owned(draft, {}, { citations })
  }
  const stored = Lift.object(draft, source, "s3Location", place)
  if (stored !== undefined) {
    const href = Lift.required(draft, stored, "uri", Lift.at(place, "s3Location"))
    return [{ type: "file", mediaType, data: { _tag: "URL", href }, ...more }]
  }
  const text = Lift.string(draft, source, "text", place)
  if (text !== undefined)
    return [{ type: "file", mediaType, data: Buffer.from(text, "utf8").toString("base64"), ...more }]
  return [{ type: "file", mediaType, data: Lift.required(draft, source, "bytes", place), ...more }]
}

const liftResult = (draft: Lift.Draft, value: Json.JsonObject, path: string): LlmRequest.Message => {
  const id = Lift.required(draft, value, "toolUseId", path)
  const status = Lift.string(draft, value, "status", path)
  Lift.leave(draft, value, resultKeys, path)
  const blocks = blocksOf(draft, value, "content", path)
  const pieces = blocks.flatMap(([type, block, place]): ReturnType<typeof inputPart> => {
    if (type !== "json") return inputPart(draft, type, block, place)
    // An object without fields is the result that there is none.
    const isNothing = blocks.length === 1 && Object.keys(block).length === 0
    return isNothing ? [] : [{ type: "text", text: JSON.stringify("value" in block ? block["value"] : block) }]
  })
  const [only] = pieces
  const content = pieces.length === 1 && only?.type === "text" ? only.text : pieces
  return Lift.result(draft, id, pieces.length === 0 ? "" : content, { isFailure: status === "error" })
}

const assistantPart = (
  draft: Lift.Draft,
  type: string,
  value: Json.JsonObject,
  path: string
): ReadonlyArray<Prompt.AssistantMessagePartEncoded> => {
  switch (type) {
    case "toolUse": {
      const id = Lift.required(draft, value, "toolUseId", path)
      const name = Lift.required(draft, value, "name", path)
      draft.calls.set(id, name)
      Lift.leave(draft, value, callKeys, path)
      return [{ type: "tool-call", id, name, params: value["input"] ?? {} }]
    }
    case "reasoningContent": {
      const redactedContent = Json.string(value, "redactedContent")
      if (redactedContent !== undefined)
        return [{ type: "reasoning", text: "", options: { [draft.owner]: { redactedContent } } }]
      const place = Lift.at(path, "reasoningText")
      const said = Lift.object(draft, value, "reasoningText", path) ?? {}
      const signature = Json.string(said, "signature")
      const own = signature === undefined ? {} : { signature }
      return [{ type: "reasoning", text: Lift.required(draft, said, "text", place), options: { [draft.owner]: own } }]
    }
    case "citationsContent": {
      if (value["citations"] !== undefined) draft.unsaid.push(Lift.at(path, "citations"))
      return blocksOf(draft, value, "content", path).flatMap(([kind, text, place]) =>
        kind === "text" ? [{ type: "text" as const, text: textOf(draft, text, place) }] : []
      )
    }
    default:
      return inputPart(draft, type, value, path)
  }
}
