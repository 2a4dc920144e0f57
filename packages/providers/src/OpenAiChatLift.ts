/**
 * OpenAI Chat Completions: lifting a request.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Prompt from "effect/ai/Prompt"
import * as Json from "./Json.ts"
import * as Lift from "./Lift.ts"
import * as OpenAiChatRequest from "./OpenAiChatRequest.ts"

// ---------------------------------------------------------------------------------------------------------------
// Wire types
// ---------------------------------------------------------------------------------------------------------------

const bodyKeys = new Set([
  ...["model", "messages", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls"],
  ...["response_format", "temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "stop", "seed"],
  ...["random_seed", "presence_penalty", "frequency_penalty", "reasoning_effort", "reasoning"]
])
const systemKeys = new Set(["role", "content"])
const assistantKeys = new Set([
  ...["role", "content", "refusal", "tool_calls", "reasoning_content", "reasoning", "reasoning_details"]
])
const toolKeys = new Set(["role", "content", "tool_call_id", "name"])
const textKeys = new Set(["type", "text"])
const functionKeys = new Set(["name", "description", "parameters", "strict"])
const callKeys = new Set(["index", "id", "type", "function"])
const calledKeys = new Set(["name", "arguments"])

// ---------------------------------------------------------------------------------------------------------------
// Lifting a request
// ---------------------------------------------------------------------------------------------------------------

/**
 * Reads the body of a request in OpenAI Chat Completions.
 *
 * **Details** Names of every dialect are understood. `developer` is a system message; a tool's result is the text that
 * stands there; `json_object` is a schema of any object.
 *
 * @since 0.1.0
 * @category lifting
 */
export const lift = (body: unknown, options?: Lift.Options): Lift.Lifted => {
  const draft = Lift.begin(OpenAiChatRequest.protocol, options)
  if (!Json.isObject(body)) return Lift.notABody(draft, body)
  if (body["messages"] === undefined) Lift.wrong(draft, "messages", "an array", undefined)
  for (const [message, path] of Lift.objects(draft, body, "messages", "")) liftMessage(draft, message, path)
  for (const [tool, path] of Lift.objects(draft, body, "tools", "")) liftTool(draft, tool, path)
  liftSettings(draft, body)
  Object.assign(draft.rest, Json.rest(body, bodyKeys))
  return Lift.end(draft, body, {
    model: Lift.string(draft, body, "model", ""),
    stream: Lift.boolean(draft, body, "stream", "") === true,
    toolChoice: liftToolChoice(draft, body),
    responseFormat: liftFormat(draft, body)
  })
}

const liftSettings = (draft: Lift.Draft, body: Json.JsonObject): void => {
  Lift.numbers(draft, body, "", {
    temperature: "temperature",
    top_p: "topP",
    top_k: "topK",
    max_completion_tokens: "maxOutputTokens",
    max_tokens: "maxOutputTokens",
    seed: "seed",
    random_seed: "seed",
    presence_penalty: "presencePenalty",
    frequency_penalty: "frequencyPenalty"
  })
  Lift.stop(draft, body, "stop", "")
  const parallel = Lift.boolean(draft, body, "parallel_tool_calls", "")
  if (parallel !== undefined) draft.settings["parallelToolCalls"] = parallel
  const effort = Lift.string(draft, body, "reasoning_effort", "")
  if (effort !== undefined && !Lift.effort(draft, effort)) draft.rest["reasoning_effort"] = effort
  const reasoning = Lift.object(draft, body, "reasoning", "")
  if (reasoning === undefined) return
  const { effort: nested, ...beside } = reasoning
  const isKnown = nested === undefined || Lift.effort(draft, nested)
  if (!isKnown || Object.keys(beside).length > 0) draft.rest["reasoning"] = isKnown ? beside : reasoning
}

const liftTool = (draft: Lift.Draft, tool: Json.JsonObject, path: string): void => {
  const fn = Lift.object(draft, tool, "function", path)
  if (fn === undefined || (tool["type"] !== undefined && tool["type"] !== "function")) {
    Lift.leaveWhole(draft, Json.string(tool, "type"), path)
    return
  }
  const place = Lift.at(path, "function")
  const description = Lift.string(draft, fn, "description", place)
  const strict = Lift.boolean(draft, fn, "strict", place)
  draft.tools.push({
    name: Lift.required(draft, fn, "name", place),
    ...(description === undefined ? {} : { description }),
    parameters: Lift.object(draft, fn, "parameters", place) ?? Lift.noParameters,
    ...(strict === undefined ? {} : { strict })
  })
  Lift.leave(draft, fn, functionKeys, place)
}

const liftToolChoice = (draft: Lift.Draft, body: Json.JsonObject): LlmRequest.ToolChoice | undefined => {
  const choice = body["tool_choice"]
  if (choice === undefined || choice === null) return undefined
  if (choice === "auto" || choice === "none" || choice === "required") return choice
  if (choice === "any") return "required"
  const fn = Json.isObject(choice) ? Json.object(choice, "function") : undefined
  const name = fn === undefined ? undefined : Json.string(fn, "name")
  if (name !== undefined) return { tool: name }
  if (typeof choice !== "string" && !Json.isObject(choice))
    Lift.wrong(draft, "tool_choice", "a string or an object", choice)
  else Lift.leaveWhole(draft, Json.isObject(choice) ? Json.string(choice, "type") : choice, "tool_choice")
  return undefined
}

const liftFormat = (draft: Lift.Draft, body: Json.JsonObject): LlmRequest.ResponseFormat | undefined => {
  const format = Lift.object(draft, body, "response_format", "")
  if (format === undefined) return undefined
  switch (Lift.required(draft, format, "type", "response_format")) {
    case "text":
      return undefined
    case "json_object":
      return Lift.anyObject
    case "json_schema": {
      const place = "response_format.json_schema"
      const own = Lift.object(draft, format, "json_schema", "response_format") ?? {}
      const strict = Lift.boolean(draft, own, "strict", place)
      return {
        type: "json",
        name: Lift.required(draft, own, "name", place),
        schema: Lift.object(draft, own, "schema", place) ?? { type: "object" },
        ...(strict === undefined ? {} : { strict })
      }
    }
    default:
      Lift.leaveWhole(draft, Json.string(format, "type"), "response_format")
      return undefined
  }
}

// ---------------------------------------------------------------------------------------------------------------
// Messages
// ---------------------------------------------------------------------------------------------------------------

const liftMessage = (draft: Lift.Draft, message: Json.JsonObject, path: string): void => {
  switch (Lift.required(draft, message, "role", path)) {
    case "system":
    case "developer":
      for (const content of texts(draft, message, path)) draft.messages.push({ role: "system", content })
      Lift.leave(draft, message, systemKeys, path)
      break
    case "user":
      draft.messages.push({ role: "user", content: userContent(draft, message, path) })
      Lift.leave(draft, message, systemKeys, path)
      break
    case "assistant":
      draft.messages.push({ role: "assistant", content: assistantContent(draft, message, path) })
      Lift.leave(draft, message, assistantKeys, path)
      break
    case "tool":
      draft.messages.push(
        Lift.result(draft, Lift.required(draft, message, "tool_call_id", path), texts(draft, message, path).join("\n"))
      )
      Lift.leave(draft, message, toolKeys, path)
      break
    default:
      if (typeof message["role"] === "string") Lift.leaveWhole(draft, message["role"], path)
  }
}

/** A content that may hold nothing but text. */
const texts = (draft: Lift.Draft, message: Json.JsonObject, path: string): ReadonlyArray<string> => {
  const { content } = message
  if (typeof content === "string") return [content]
  if (!Array.isArray(content)) {
    Lift.wrong(draft, Lift.at(path, "content"), "a string or an array", content)
    return []
  }
  return Lift.objects(draft, message, "content", path).flatMap(([part, place]) => {
    if (part["type"] !== "text") {
      Lift.leaveWhole(draft, Json.string(part, "type"), place)
      return []
    }
    Lift.leave(draft, part, textKeys, place)
    return [Lift.required(draft, part, "text", place)]
  })
}

const userContent = (
  draft: Lift.Draft,
  message: Json.JsonObject,
  path: string
): Prompt.UserMessageEncoded["content"] => {
  const { content } = message
  if (typeof content === "string") return content
  if (!Array.isArray(content)) {
    Lift.wrong(draft, Lift.at(path, "content"), "a string or an array", content)
    return []
  }
  return Lift.objects(draft, message, "content", path).flatMap(([part, place]) => userPart(draft, part, place))
}

const userPart = (
  draft: Lift.Draft,
  part: Json.JsonObject,
  path: string
): ReadonlyArray<Prompt.UserMessagePartEncoded> => {
  const type = Lift.required(draft, part, "type", path)
  switch (type) {
    case "text":
      Lift.leave(draft, part, textKeys, path)
      return [{ type: "text", text: Lift.required(draft, part, "text", path) }]
    case "image_url": {
      // Some clients say the address alone.
      const stated = part["image_url"]
      const image = typeof stated === "string" ? { url: stated } : (Lift.object(draft, part, type, path) ?? {})
      const detail = Json.string(image, "detail")
      const file = Lift.linked(Lift.required(draft, image, "url", Lift.at(path, type)), "image/*")
      return [{ ...file, ...(detail === undefined ? {} : { options: { openai: { imageDetail: detail } } }) }]
    }
    case "input_audio": {
      const audio = Lift.object(draft, part, type, path) ?? {}
      const place = Lift.at(path, type)
      const format = Lift.required(draft, audio, "format", place)
      const mediaType = format === "mp3" ? "audio/mpeg" : `audio/${format}`
      return [{ type: "file", mediaType, data: Lift.required(draft, audio, "data", place) }]
    }
    case "file":
      return liftFile(draft, Lift.object(draft, part, type, path) ?? {}, Lift.at(path, type))
    default:
      if (type !== "") Lift.leaveWhole(draft, type, path)
      return []
  }
}

const liftFile = (draft: Lift.Draft, file: Json.JsonObject, path: string): ReadonlyArray<Prompt.FilePartEncoded> => {
  const data = Lift.string(draft, file, "file_data", path)
  const fileName = Lift.string(draft, file, "filename", path)
  // A file that only its keeper can find goes to nobody else.
  if (data === undefined) {
    Lift.leaveWhole(draft, "file_id", path)
    return []
  }
  const url = data.startsWith("data:") ? data : `data:application/pdf;base64,${data}`
  return [{ ...Lift.linked(url, "application/pdf"), ...Lift.named(fileName) }]
}

const assistantContent = (
  draft: Lift.Draft,
  message: Json.JsonObject,
  path: string
): ReadonlyArray<Prompt.AssistantMessagePartEncoded> => {
  const parts: Array<Prompt.AssistantMessagePartEncoded> = [...reasoning(draft, message)]
  const { content } = message
  if (typeof content === "string") {
    if (content !== "") parts.push({ type: "text", text: content })
  } else if (Array.isArray(content)) {
    for (const [part, place] of Lift.objects(draft, message, "content", path))
      parts.push(...assistantPart(draft, part, place))
  } else if (content !== undefined && content !== null)
    Lift.wrong(draft, Lift.at(path, "content"), "a string or an array", content)
  const refusal = Lift.string(draft, message, "refusal", path)
  if (refusal !== undefined && refusal !== "") parts.push(refused(draft, refusal))
  for (const [call, place] of Lift.objects(draft, message, "tool_calls", path)) {
    const fn = Lift.object(draft, call, "function", place)
    if (fn === undefined) {
      Lift.leaveWhole(draft, Json.string(call, "type"), place)
      continue
    }
    const id = Lift.required(draft, call, "id", place)
    const name = Lift.required(draft, fn, "name", Lift.at(place, "function"))
    const text = Lift.string(draft, fn, "arguments", Lift.at(place, "function")) ?? ""
    draft.calls.set(id, name)
    const params = Lift.params(draft, text, `${place}.function.arguments`)
    // What a server gave with a call, it wants back.
    const own = { ...Json.rest(call, callKeys), function: Json.rest(fn, calledKeys) }
    parts.push({ type: "tool-call", id, name, params, ...Lift.owned(draft, own) })
  }
  return parts
}

const refused = (draft: Lift.Draft, text: string): Prompt.TextPartEncoded => ({
  type: "text",
  text,
  ...Lift.owned(draft, { refusal: true })
})

/** Earlier reasoning belongs to the server that gave it, in each of the ways in which servers give it. */
const reasoning = (draft: Lift.Draft, message: Json.JsonObject): ReadonlyArray<Prompt.ReasoningPartEncoded> => {
  const text = Json.string(message, "reasoning_content") || Json.string(message, "reasoning") || ""
  const details = Json.array(message, "reasoning_details")
  if (text === "" && details.length === 0) return []
  return [
    {
      type: "reasoning",
      text,
      options: { [draft.owner]: details.length === 0 ? {} : { reasoning_details: details } }
    }
  ]
}

const assistantPart = (
  draft: Lift.Draft,
  part: Json.JsonObject,
  path: string
): ReadonlyArray<Prompt.AssistantMessagePartEncoded> => {
  const type = Lift.required(draft, part, "type", path)
  switch (type) {
    case "text":
      return [{ type: "text", text: Lift.required(draft, part, "text", path) }]
    case "refusal":
      return [refused(draft, Lift.required(draft, part, "refusal", path))]
    case "thinking": {
      const stated = part["thinking"]
      const text =
        typeof stated === "string"
          ? stated
          : Json.array(part, "thinking")
              .map((piece) => (Json.isObject(piece) ? (Json.string(piece, "text") ?? "") : ""))
              .join("")
      return [{ type: "reasoning", text, options: { [draft.owner]: {} } }]
    }
    default:
      if (type !== "") Lift.leaveWhole(draft, type, path)
      return []
  }
}
