/**
 * Anthropic Messages: lifting a request.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Prompt from "effect/ai/Prompt"
import * as AnthropicMessagesRequest from "./AnthropicMessagesRequest.ts"
import * as AnthropicThinking from "./AnthropicThinking.ts"
import * as Json from "./Json.ts"
import * as Lift from "./Lift.ts"

// ---------------------------------------------------------------------------------------------------------------
// Wire types
// ---------------------------------------------------------------------------------------------------------------

const bodyKeys = new Set([
  ...["model", "messages", "system", "stream", "tools", "tool_choice", "max_tokens", "temperature", "top_p", "top_k"],
  ...["stop_sequences", "output_config", "output_format"]
])
const messageKeys = new Set(["role", "content"])
const toolKeys = new Set(["type", "name", "description", "input_schema", "strict"])
const textKeys = new Set(["type", "text", "cache_control"])
const fileKeys = new Set(["type", "source", "title", "cache_control"])
const callKeys = new Set(["type", "id", "name", "input", "cache_control"])
const resultKeys = new Set(["type", "tool_use_id", "content", "is_error", "cache_control"])

// ---------------------------------------------------------------------------------------------------------------
// Lifting a request
// ---------------------------------------------------------------------------------------------------------------

/**
 * Reads the body of a request in Anthropic Messages.
 *
 * **Details** Blocks of `system` are system messages in front of the others. Calls and results of tools that the
 * provider runs itself are marked as such, which no other provider is sent. A budget to think with is the effort that
 * it comes nearest to, and stays in the body's own options.
 *
 * @since 0.1.0
 * @category lifting
 */
export const lift = (body: unknown, options?: Lift.Options): Lift.Lifted => {
  const draft = Lift.begin(AnthropicMessagesRequest.protocol, options)
  if (!Json.isObject(body)) return Lift.notABody(draft, body)
  liftSystem(draft, body)
  if (body["messages"] === undefined) Lift.wrong(draft, "messages", "an array", undefined)
  for (const [message, path] of Lift.objects(draft, body, "messages", "")) liftMessage(draft, message, path)
  for (const [tool, path] of Lift.objects(draft, body, "tools", "")) liftTool(draft, tool, path)
  Lift.numbers(draft, body, "", {
    max_tokens: "maxOutputTokens",
    temperature: "temperature",
    top_p: "topP",
    top_k: "topK"
  })
  Lift.stop(draft, body, "stop_sequences", "")
  const thinking = Lift.object(draft, body, "thinking", "")
  const tokens = thinking?.["type"] === "enabled" ? Json.count(thinking, "budget_tokens") : undefined
  const responseFormat = liftOutput(draft, body)
  if (tokens !== undefined) Lift.budget(draft, tokens)
  Object.assign(draft.rest, Json.rest(body, bodyKeys))
  // Beside an effort it says nothing more, and without one it is an effort of its own.
  const isPlain = draft.settings["reasoningEffort"] !== undefined && AnthropicThinking.isPlain(thinking)
  const isOff = draft.settings["reasoningEffort"] === undefined && AnthropicThinking.isOff(thinking)
  if (isOff) Lift.effort(draft, "none")
  if (isPlain || isOff) delete draft.rest["thinking"]
  return Lift.end(draft, body, {
    model: Lift.string(draft, body, "model", ""),
    stream: Lift.boolean(draft, body, "stream", "") === true,
    toolChoice: liftToolChoice(draft, body),
    responseFormat
  })
}

const liftSystem = (draft: Lift.Draft, body: Json.JsonObject): void => {
  const { system } = body
  if (system === undefined || system === null) return
  if (typeof system === "string") {
    draft.messages.push({ role: "system", content: system })
    return
  }
  for (const [block, path] of Lift.objects(draft, body, "system", "")) {
    if (block["type"] !== "text") {
      Lift.leaveWhole(draft, Json.string(block, "type"), path)
      continue
    }
    draft.messages.push({ role: "system", content: Lift.required(draft, block, "text", path), ...marks(draft, block) })
    Lift.leave(draft, block, textKeys, path)
  }
}

const liftTool = (draft: Lift.Draft, tool: Json.JsonObject, path: string): void => {
  // A tool of another type is the provider's own.
  if (tool["type"] !== undefined && tool["type"] !== null && tool["type"] !== "custom") {
    Lift.leaveWhole(draft, Json.string(tool, "type"), path)
    return
  }
  const description = Lift.string(draft, tool, "description", path)
  const strict = Lift.boolean(draft, tool, "strict", path)
  draft.tools.push({
    name: Lift.required(draft, tool, "name", path),
    ...(description === undefined ? {} : { description }),
    parameters: Lift.object(draft, tool, "input_schema", path) ?? Lift.noParameters,
    ...(strict === undefined ? {} : { strict })
  })
  Lift.leave(draft, tool, toolKeys, path)
}

const choices: Readonly<Record<string, LlmRequest.ToolChoice>> = { auto: "auto", any: "required", none: "none" }

const liftToolChoice = (draft: Lift.Draft, body: Json.JsonObject): LlmRequest.ToolChoice | undefined => {
  const choice = Lift.object(draft, body, "tool_choice", "")
  if (choice === undefined) return undefined
  const single = Lift.boolean(draft, choice, "disable_parallel_tool_use", "tool_choice")
  if (single !== undefined) draft.settings["parallelToolCalls"] = !single
  const type = Lift.required(draft, choice, "type", "tool_choice")
  if (type === "tool") return { tool: Lift.required(draft, choice, "name", "tool_choice") }
  if (Object.hasOwn(choices, type)) return choices[type]
  if (type !== "") Lift.leaveWhole(draft, type, "tool_choice")
  return undefined
}

/** The format of the answer, and with it the effort: both stand in one object. */
const liftOutput = (draft: Lift.Draft, body: Json.JsonObject): LlmRequest.ResponseFormat | undefined => {
  const output = Lift.object(draft, body, "output_config", "") ?? {}
  const { effort, format: _, ...beside } = output
  const isKnown = effort === undefined || Lift.effort(draft, effort)
  if (!isKnown || Object.keys(beside).length > 0)
    draft.rest["output_config"] = isKnown ? beside : { ...beside, effort: effort ?? null }
  // An earlier version had the format beside.
  const [format, path] =
    output["format"] === undefined
      ? [Lift.object(draft, body, "output_format", ""), "output_format"]
      : [Lift.object(draft, output, "format", "output_config"), "output_config.format"]
  if (format === undefined) return undefined
  if (format["type"] !== "json_schema") {
    Lift.leaveWhole(draft, Json.string(format, "type"), path)
    return undefined
  }
  const schema = Lift.object(draft, format, "schema", path) ?? { type: "object" }
  return { type: "json", name: "response", schema }
}

// ---------------------------------------------------------------------------------------------------------------
// Messages
// ---------------------------------------------------------------------------------------------------------------

const liftMessage = (draft: Lift.Draft, message: Json.JsonObject, path: string): void => {
  const role = Lift.required(draft, message, "role", path)
  Lift.leave(draft, message, messageKeys, path)
  const { content } = message
  if (typeof content !== "string" && !Array.isArray(content)) {
    Lift.wrong(draft, Lift.at(path, "content"), "a string or an array", content)
    return
  }
  const blocks = typeof content === "string" ? [] : Lift.objects(draft, message, "content", path)
  switch (role) {
    case "user":
      if (typeof content === "string") draft.messages.push({ role, content })
      else liftUser(draft, blocks)
      break
    case "assistant": {
      const parts: ReadonlyArray<Prompt.AssistantMessagePartEncoded> =
        typeof content === "string"
          ? [{ type: "text", text: content }]
          : blocks.flatMap(([block, place]) => assistantBlock(draft, block, place))
      draft.messages.push({ role, content: parts })
      break
    }
    default:
      if (role !== "") Lift.leaveWhole(draft, role, path)
  }
}

type Blocks = ReadonlyArray<readonly [Json.JsonObject, string]>

/** Results stand among what the user says: what comes in a row is one message. */
const liftUser = (draft: Lift.Draft, blocks: Blocks): void => {
  let said: Array<Prompt.UserMessagePartEncoded> = []
  const flush = () => {
    if (said.length > 0) draft.messages.push({ role: "user", content: said })
    said = []
  }
  for (const [block, path] of blocks) {
    if (block["type"] !== "tool_result") {
      said.push(...inputBlock(draft, block, path))
      continue
    }
    flush()
    const id = Lift.required(draft, block, "tool_use_id", path)
    const isFailure = Lift.boolean(draft, block, "is_error", path) === true
    draft.messages.push(
      Lift.result(draft, id, resultContent(draft, block, path), { isFailure, ...marks(draft, block) })
    )
    Lift.leave(draft, block, resultKeys, path)
  }
  flush()
}

const resultContent = (draft: Lift.Draft, block: Json.JsonObject, path: string) => {
  const { content } = block
  if (content === undefined || content === null) return ""
  return typeof content === "string"
    ? content
    : Lift.objects(draft, block, "content", path).flatMap(([piece, place]) => inputBlock(draft, piece, place))
}

const inputBlock = (
  draft: Lift.Draft,
  block: Json.JsonObject,
  path: string
): ReadonlyArray<Prompt.UserMessagePartEncoded> => {
  const type = Lift.required(draft, block, "type", path)
  switch (type) {
    case "text":
      Lift.leave(draft, block, textKeys, path)
      return [{ type: "text", text: Lift.required(draft, block, "text", path), ...marks(draft, block) }]
    case "image":
    case "document":
      Lift.leave(draft, block, fileKeys, path)
      return liftFile(draft, block, path)
    default:
      if (type !== "") Lift.leaveWhole(draft, type, path)
      return []
  }
}

const liftFile = (draft: Lift.Draft, block: Json.JsonObject, path: string): ReadonlyArray<Prompt.FilePartEncoded> => {
  const source = Lift.object(draft, block, "source", path)
  const place = Lift.at(path, "source")
  if (source === undefined) {
    Lift.wrong(draft, place, "an object", undefined)
    return []
  }
  const title = Lift.string(draft, block, "title", path)
  const more = { ...(title === undefined ? {} : { fileName: title }), ...marks(draft, block) }
  const type = Lift.required(draft, source, "type", place)
  switch (type) {
    case "base64": {
      const mediaType = Lift.required(draft, source, "media_type", place)
      return [{ type: "file", mediaType, data: Lift.required(draft, source, "data", place), ...more }]
    }
    case "url": {
      const family = block["type"] === "image" ? "image/*" : "application/pdf"
      return [{ ...Lift.linked(Lift.required(draft, source, "url", place), family), ...more }]
    }
    case "text": {
      const data = Buffer.from(Lift.required(draft, source, "data", place), "utf8").toString("base64")
      return [{ type: "file", mediaType: "text/plain", data, ...more }]
    }
    default:
      if (type !== "") Lift.leaveWhole(draft, type, place)
      return []
  }
}

const assistantBlock = (
  draft: Lift.Draft,
  block: Json.JsonObject,
  path: string
): ReadonlyArray<Prompt.AssistantMessagePartEncoded> => {
  const type = Lift.required(draft, block, "type", path)
  switch (type) {
    case "text":
      Lift.leave(draft, block, textKeys, path)
      return [{ type: "text", text: Lift.required(draft, block, "text", path), ...marks(draft, block) }]
    case "thinking": {
      const signature = Json.string(block, "signature")
      const own = signature === undefined || signature === "" ? { type } : { type, signature }
      return [
        { type: "reasoning", text: Lift.required(draft, block, "thinking", path), options: { [draft.owner]: own } }
      ]
    }
    case "redacted_thinking": {
      const redactedData = Lift.required(draft, block, "data", path)
      return [{ type: "reasoning", text: "", options: { [draft.owner]: { type, redactedData } } }]
    }
    case "tool_use":
    case "server_tool_use": {
      const id = Lift.required(draft, block, "id", path)
      const name = Lift.required(draft, block, "name", path)
      draft.calls.set(id, name)
      Lift.leave(draft, block, callKeys, path)
      const params = block["input"] ?? {}
      const served = type === "server_tool_use" ? { providerExecuted: true } : {}
      return [{ type: "tool-call", id, name, params, ...served, ...marks(draft, block) }]
    }
    default: {
      const id = Json.string(block, "tool_use_id")
      if (id === undefined) {
        if (type !== "") Lift.leaveWhole(draft, type, path)
        return []
      }
      const name = draft.calls.get(id) ?? type
      const result = block["content"] ?? null
      return [{ type: "tool-result", id, name, isFailure: false, result, providerExecuted: true }]
    }
  }
}

/** The mark that ends a prefix worth caching. */
const marks = (draft: Lift.Draft, block: Json.JsonObject): { readonly options?: Prompt.ProviderOptions } =>
  Lift.owned(draft, {}, { cacheControl: block["cache_control"] })
