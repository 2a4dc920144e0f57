/**
 * OpenAI Responses: lifting a request.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Prompt from "effect/ai/Prompt"
import * as Json from "./Json.ts"
import * as Lift from "./Lift.ts"
import * as OpenAiResponsesRequest from "./OpenAiResponsesRequest.ts"

// ---------------------------------------------------------------------------------------------------------------
// Wire types
// ---------------------------------------------------------------------------------------------------------------

const bodyKeys = new Set([
  ...["model", "input", "instructions", "stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls"],
  ...["text", "reasoning", "temperature", "top_p", "max_output_tokens", "store", "include"]
])
const messageKeys = new Set(["type", "role", "content", "id", "status", "phase"])
const reasoningKeys = new Set(["type", "id", "status", "summary", "content", "encrypted_content"])
const callKeys = new Set(["type", "id", "status", "call_id", "name", "arguments", "caller", "namespace"])
const outputKeys = new Set(["type", "id", "status", "call_id", "output", "caller"])
const toolKeys = new Set(["type", "name", "description", "parameters", "strict"])
const textKeys = new Set(["type", "text", "refusal", "annotations", "logprobs", "prompt_cache_breakpoint"])

// ---------------------------------------------------------------------------------------------------------------
// Lifting a request
// ---------------------------------------------------------------------------------------------------------------

/**
 * Reads the body of a request in OpenAI Responses.
 *
 * **Details** `instructions` are a system message in front of the others. What an assistant said comes as items of
 * several types, which are parts of one message. An item that only the provider has a meaning for, such as a reference
 * to an earlier one or a call of a tool that it runs itself, is listed.
 *
 * @since 0.1.0
 * @category lifting
 */
export const lift = (body: unknown, options?: Lift.Options): Lift.Lifted => {
  const draft = Lift.begin(OpenAiResponsesRequest.protocol, options)
  if (!Json.isObject(body)) return Lift.notABody(draft, body)
  const instructions = Lift.string(draft, body, "instructions", "")
  if (instructions !== undefined) draft.messages.push({ role: "system", content: instructions })
  const { input } = body
  if (typeof input === "string") draft.messages.push({ role: "user", content: input })
  else if (Array.isArray(input))
    for (const [item, path] of Lift.objects(draft, body, "input", "")) liftItem(draft, item, path)
  // A prompt kept at the provider, or an earlier response, may be all there is to say.
  else if (input !== undefined || (body["prompt"] === undefined && body["previous_response_id"] === undefined))
    Lift.wrong(draft, "input", "a string or an array", input)
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

const encrypted = "reasoning.encrypted_content"

const liftSettings = (draft: Lift.Draft, body: Json.JsonObject): void => {
  Lift.numbers(draft, body, "", { temperature: "temperature", top_p: "topP", max_output_tokens: "maxOutputTokens" })
  const parallel = Lift.boolean(draft, body, "parallel_tool_calls", "")
  if (parallel !== undefined) draft.settings["parallelToolCalls"] = parallel
  const reasoning = Lift.object(draft, body, "reasoning", "") ?? {}
  const { effort, ...beside } = reasoning
  const isKnown = effort === undefined || effort === null || Lift.effort(draft, effort)
  if (!isKnown || Object.keys(beside).length > 0) draft.rest["reasoning"] = isKnown ? beside : reasoning
  // What every request says that is lowered: keep nothing, and give reasoning back encrypted.
  if (Lift.boolean(draft, body, "store", "") === true) draft.rest["store"] = true
  const include = Lift.array(draft, body, "include", "") ?? []
  if (include.some((one) => one !== encrypted)) draft.rest["include"] = include
}

const liftTool = (draft: Lift.Draft, tool: Json.JsonObject, path: string): void => {
  if (tool["type"] !== "function") {
    Lift.leaveWhole(draft, Json.string(tool, "type"), path)
    return
  }
  const description = Lift.string(draft, tool, "description", path)
  const strict = Lift.boolean(draft, tool, "strict", path)
  draft.tools.push({
    name: Lift.required(draft, tool, "name", path),
    ...(description === undefined ? {} : { description }),
    parameters: Lift.object(draft, tool, "parameters", path) ?? Lift.noParameters,
    ...(strict === undefined ? {} : { strict })
  })
  Lift.leave(draft, tool, toolKeys, path)
}

const liftToolChoice = (draft: Lift.Draft, body: Json.JsonObject): LlmRequest.ToolChoice | undefined => {
  const choice = body["tool_choice"]
  if (choice === undefined || choice === null) return undefined
  if (choice === "auto" || choice === "none" || choice === "required") return choice
  const name = Json.isObject(choice) && choice["type"] === "function" ? Json.string(choice, "name") : undefined
  if (name !== undefined) return { tool: name }
  if (typeof choice !== "string" && !Json.isObject(choice))
    Lift.wrong(draft, "tool_choice", "a string or an object", choice)
  else Lift.leaveWhole(draft, Json.isObject(choice) ? Json.string(choice, "type") : choice, "tool_choice")
  return undefined
}

const liftFormat = (draft: Lift.Draft, body: Json.JsonObject): LlmRequest.ResponseFormat | undefined => {
  const { format: _, ...beside } = Lift.object(draft, body, "text", "") ?? {}
  if (Object.keys(beside).length > 0) draft.rest["text"] = beside
  const format = Lift.object(draft, Json.object(body, "text") ?? {}, "format", "text")
  if (format === undefined) return undefined
  const place = "text.format"
  switch (Lift.required(draft, format, "type", place)) {
    case "text":
      return undefined
    case "json_object":
      return Lift.anyObject
    case "json_schema": {
      const strict = Lift.boolean(draft, format, "strict", place)
      return {
        type: "json",
        name: Lift.required(draft, format, "name", place),
        schema: Lift.object(draft, format, "schema", place) ?? { type: "object" },
        ...(strict === undefined ? {} : { strict })
      }
    }
    default:
      Lift.leaveWhole(draft, Json.string(format, "type"), place)
      return undefined
  }
}

// ---------------------------------------------------------------------------------------------------------------
// Items
// ---------------------------------------------------------------------------------------------------------------

const liftItem = (draft: Lift.Draft, item: Json.JsonObject, path: string): void => {
  // A message need not say that it is one.
  const type = Lift.string(draft, item, "type", path) ?? (item["role"] === undefined ? "" : "message")
  switch (type) {
    case "message":
      liftMessage(draft, item, path)
      break
    case "reasoning":
      draft.messages.push({ role: "assistant", content: reasoning(draft, item, path) })
      Lift.leave(draft, item, reasoningKeys, path)
      break
    case "function_call": {
      const id = Lift.required(draft, item, "call_id", path)
      const name = Lift.required(draft, item, "name", path)
      const params = Lift.params(draft, Lift.required(draft, item, "arguments", path), Lift.at(path, "arguments"))
      const own = Lift.owned(draft, { id: item["id"], caller: item["caller"], namespace: item["namespace"] })
      draft.calls.set(id, name)
      draft.messages.push({ role: "assistant", content: [{ type: "tool-call", id, name, params, ...own }] })
      Lift.leave(draft, item, callKeys, path)
      break
    }
    case "function_call_output": {
      const { output } = item
      const content =
        typeof output === "string"
          ? output
          : Lift.objects(draft, item, "output", path).flatMap(([part, place]) => inputPart(draft, part, place))
      const id = Lift.required(draft, item, "call_id", path)
      draft.messages.push(Lift.result(draft, id, content, Lift.owned(draft, { caller: item["caller"] })))
      Lift.leave(draft, item, outputKeys, path)
      break
    }
    case "":
      Lift.wrong(draft, Lift.at(path, "type"), "a string", item["type"])
      break
    default:
      Lift.leaveWhole(draft, type, path)
  }
}

const liftMessage = (draft: Lift.Draft, item: Json.JsonObject, path: string): void => {
  const role = Lift.required(draft, item, "role", path)
  const { content } = item
  Lift.leave(draft, item, messageKeys, path)
  if (typeof content !== "string" && !Array.isArray(content)) {
    Lift.wrong(draft, Lift.at(path, "content"), "a string or an array", content)
    return
  }
  const parts = typeof content === "string" ? [] : Lift.objects(draft, item, "content", path)
  switch (role) {
    case "system":
    case "developer":
      if (typeof content === "string") draft.messages.push({ role: "system", content })
      for (const [part, place] of parts)
        for (const one of inputPart(draft, part, place))
          if (one.type === "text")
            draft.messages.push({
              role: "system",
              content: one.text,
              ...(one.options === undefined ? {} : { options: one.options })
            })
          else Lift.leaveWhole(draft, Json.string(part, "type"), place)
      break
    case "user":
      draft.messages.push({
        role,
        content: typeof content === "string" ? content : parts.flatMap(([part, place]) => inputPart(draft, part, place))
      })
      break
    case "assistant": {
      const own = { id: item["id"], phase: item["phase"] }
      const said: ReadonlyArray<Prompt.TextPartEncoded> =
        typeof content === "string"
          ? [{ type: "text", text: content, ...Lift.owned(draft, own) }]
          : parts.flatMap(([part, place]) => outputPart(draft, part, own, place))
      draft.messages.push({ role, content: said })
      break
    }
    default:
      if (role !== "") Lift.leaveWhole(draft, role, path)
  }
}

const outputPart = (
  draft: Lift.Draft,
  part: Json.JsonObject,
  own: Readonly<Record<string, Json.Json | undefined>>,
  path: string
): ReadonlyArray<Prompt.TextPartEncoded> => {
  const type = Lift.required(draft, part, "type", path)
  switch (type) {
    case "output_text":
    case "input_text":
      return [{ type: "text", text: Lift.required(draft, part, "text", path), ...Lift.owned(draft, own) }]
    case "refusal": {
      const text = Lift.required(draft, part, "refusal", path)
      return [{ type: "text", text, ...Lift.owned(draft, { ...own, refusal: true }) }]
    }
    default:
      if (type !== "") Lift.leaveWhole(draft, type, path)
      return []
  }
}

const inputPart = (
  draft: Lift.Draft,
  part: Json.JsonObject,
  path: string
): ReadonlyArray<Prompt.UserMessagePartEncoded> => {
  const type = Lift.required(draft, part, "type", path)
  const promptCacheBreakpoint = part["prompt_cache_breakpoint"]
  switch (type) {
    case "input_text":
    case "output_text":
      Lift.leave(draft, part, textKeys, path)
      return [
        {
          type: "text",
          text: Lift.required(draft, part, "text", path),
          ...Lift.owned(draft, {}, { promptCacheBreakpoint })
        }
      ]
    case "input_image": {
      const url = Lift.string(draft, part, "image_url", path)
      const fileId = Lift.string(draft, part, "file_id", path)
      const detail = Lift.string(draft, part, "detail", path)
      const detailed = detail === undefined ? {} : { openai: { imageDetail: detail } }
      const options = { ...detailed, ...Lift.owned(draft, { fileId }, { promptCacheBreakpoint }).options }
      const file = url === undefined ? kept("image/*") : Lift.linked(url, "image/*")
      return [{ ...file, ...(Object.keys(options).length === 0 ? {} : { options }) }]
    }
    case "input_file": {
      const url = Lift.string(draft, part, "file_url", path)
      const data = Lift.string(draft, part, "file_data", path)
      const fileId = Lift.string(draft, part, "file_id", path)
      const fileName = Lift.string(draft, part, "filename", path)
      const address = url ?? (data?.startsWith("data:") === false ? `data:application/pdf;base64,${data}` : data)
      const file = address === undefined ? kept("application/pdf") : Lift.linked(address, "application/pdf")
      const own = Lift.owned(draft, { fileId }, { promptCacheBreakpoint })
      return [{ ...file, ...Lift.named(fileName), ...own }]
    }
    default:
      if (type !== "") Lift.leaveWhole(draft, type, path)
      return []
  }
}

/** A file that only its keeper can find. */
const kept = (mediaType: string): Pick<Prompt.FilePartEncoded, "type" | "mediaType" | "data"> => ({
  type: "file",
  mediaType,
  data: ""
})

const reasoning = (
  draft: Lift.Draft,
  item: Json.JsonObject,
  path: string
): ReadonlyArray<Prompt.ReasoningPartEncoded> => {
  const id = item["id"]
  const pieces = [...Lift.objects(draft, item, "summary", path), ...Lift.objects(draft, item, "content", path)].map(
    ([piece, place]) => ({
      text: Lift.required(draft, piece, "text", place),
      type: Json.string(piece, "type")
    })
  )
  const secret = Json.string(item, "encrypted_content")
  // What is encrypted stands with the last piece, or with one of its own.
  return (pieces.length === 0 ? [{ text: "", type: undefined }] : pieces).map(({ text, type }, at, all) => ({
    type: "reasoning",
    text,
    options: {
      [draft.owner]: {
        ...(typeof id === "string" ? { id } : {}),
        ...(type === undefined ? {} : { type }),
        ...(secret === undefined || at < all.length - 1 ? {} : { encrypted_content: secret })
      }
    }
  }))
}
