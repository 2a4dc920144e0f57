/**
 * Google Gemini: lifting a request.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Prompt from "effect/ai/Prompt"
import * as GeminiContents from "./GeminiContents.ts"
import * as GeminiRequest from "./GeminiRequest.ts"
import * as Json from "./Json.ts"
import * as Lift from "./Lift.ts"
import * as StructuredSchema from "./StructuredSchema.ts"

// ---------------------------------------------------------------------------------------------------------------
// Wire types
// ---------------------------------------------------------------------------------------------------------------

const bodyKeys = new Set(["model", "contents", "systemInstruction", "tools", "toolConfig", "generationConfig"])
const contentKeys = new Set(["role", "parts"])
const partKeys = new Set([
  ...["text", "thought", "thoughtSignature", "functionCall", "functionResponse", "inlineData", "fileData"],
  ...["videoMetadata", "mediaResolution"]
])
const configKeys = new Set([
  ...["temperature", "topP", "topK", "maxOutputTokens", "stopSequences", "seed", "presencePenalty"],
  ...["frequencyPenalty", "responseMimeType", "responseSchema", "responseJsonSchema", "thinkingConfig"]
])
const declarationKeys = new Set(["name", "description", "parameters", "parametersJsonSchema"])

/**
 * Names in camel case. The server takes them in snake case as well; what is a schema or an argument keeps its own.
 */
const camelCase = (from: Json.JsonObject): Json.JsonObject =>
  Object.fromEntries(
    Object.entries(from).flatMap(([key, value]) =>
      Json.isReserved(key) ? [] : [[key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()), value]]
    )
  )

// ---------------------------------------------------------------------------------------------------------------
// Lifting a request
// ---------------------------------------------------------------------------------------------------------------

/**
 * Reads the body of a request in Gemini's `generateContent`.
 *
 * **Details** The model and whether to stream stand in the path, not in the body. Calls without an id get one of their
 * place; a result belongs to the first call of its name that has none yet.
 *
 * @since 0.1.0
 * @category lifting
 */
export const lift = (body: unknown, options?: Lift.Options): Lift.Lifted => {
  const draft = Lift.begin(GeminiRequest.protocol, options)
  if (!Json.isObject(body)) return Lift.notABody(draft, body)
  const named = camelCase(body)
  liftSystem(draft, named)
  if (named["contents"] === undefined) Lift.wrong(draft, "contents", "an array", undefined)
  const calls: Calls = { waiting: [], count: 0 }
  for (const [content, path] of Lift.objects(draft, named, "contents", "")) liftContent(draft, content, calls, path)
  for (const [tool, path] of Lift.objects(draft, named, "tools", "")) liftTool(draft, camelCase(tool), path)
  const toolChoice = liftToolChoice(draft, named)
  const responseFormat = liftConfig(draft, camelCase(Lift.object(draft, named, "generationConfig", "") ?? {}))
  Object.assign(draft.rest, Json.rest(named, bodyKeys))
  return Lift.end(draft, body, {
    model: Lift.string(draft, named, "model", "")?.replace(/^models\//, ""),
    stream: false,
    toolChoice,
    responseFormat
  })
}

const liftSystem = (draft: Lift.Draft, body: Json.JsonObject): void => {
  const system = Lift.object(draft, body, "systemInstruction", "")
  if (system === undefined) return
  for (const [part, path] of Lift.objects(draft, system, "parts", "systemInstruction"))
    if (part["text"] === undefined) Lift.leaveWhole(draft, Object.keys(part)[0], path)
    else draft.messages.push({ role: "system", content: Lift.required(draft, part, "text", path) })
}

const liftTool = (draft: Lift.Draft, tool: Json.JsonObject, path: string): void => {
  for (const key of Object.keys(tool)) if (key !== "functionDeclarations") Lift.leaveWhole(draft, key, path)
  for (const [stated, place] of Lift.objects(draft, tool, "functionDeclarations", path)) {
    const declared = camelCase(stated)
    const description = Lift.string(draft, declared, "description", place)
    const schema = Lift.object(draft, declared, "parametersJsonSchema", place)
    const typed = Lift.object(draft, declared, "parameters", place)
    draft.tools.push({
      name: Lift.required(draft, declared, "name", place),
      ...(description === undefined || description === "" ? {} : { description }),
      parameters: schema ?? (typed === undefined ? Lift.noParameters : jsonSchema(typed))
    })
    Lift.leave(draft, declared, declarationKeys, place)
  }
}

/** A schema of OpenAPI's kind names its types in capitals. */
const jsonSchema = (schema: Json.JsonObject): Json.JsonObject =>
  Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, schemaValue(key, value)]))

const schemaValue = (key: string, value: Json.Json): Json.Json => {
  if (key === "type" && typeof value === "string") return value.toLowerCase()
  if (key === "properties" && Json.isObject(value))
    return Object.fromEntries(
      Object.entries(value).map(([name, one]) => [name, Json.isObject(one) ? jsonSchema(one) : one])
    )
  if (key === "anyOf" && Array.isArray(value))
    return value.map((one: Json.Json) => (Json.isObject(one) ? jsonSchema(one) : one))
  return key === "items" && Json.isObject(value) ? jsonSchema(value) : value
}

const liftToolChoice = (draft: Lift.Draft, body: Json.JsonObject): LlmRequest.ToolChoice | undefined => {
  const { functionCallingConfig, ...beside } = camelCase(Lift.object(draft, body, "toolConfig", "") ?? {})
  if (Object.keys(beside).length > 0) draft.rest["toolConfig"] = beside
  if (!Json.isObject(functionCallingConfig)) return undefined
  const config = camelCase(functionCallingConfig)
  const place = "toolConfig.functionCallingConfig"
  const allowed = Lift.array(draft, config, "allowedFunctionNames", place) ?? []
  const [only] = allowed
  const mode = Lift.string(draft, config, "mode", place)?.toUpperCase()
  switch (mode) {
    case "ANY":
      if (allowed.length === 1 && typeof only === "string") return { tool: only }
      if (allowed.length > 0) draft.unsaid.push(Lift.at(place, "allowedFunctionNames"))
      return "required"
    case "NONE":
      return "none"
    case "AUTO":
      return "auto"
    case "VALIDATED":
      // What holds one call to its schema holds all. It holds to any schema, strict is only one that is closed.
      for (const [at, tool] of draft.tools.entries())
        if (StructuredSchema.isStrict(tool.parameters)) draft.tools[at] = { ...tool, strict: true }
      if (draft.tools.some((tool) => tool.strict !== true))
        draft.rest["toolConfig"] = { ...beside, functionCallingConfig: { mode } }
      return "auto"
    default:
      if (mode !== undefined) Lift.leaveWhole(draft, mode, Lift.at(place, "mode"))
      return undefined
  }
}

const liftConfig = (draft: Lift.Draft, config: Json.JsonObject): LlmRequest.ResponseFormat | undefined => {
  const place = "generationConfig"
  Lift.numbers(draft, config, place, {
    temperature: "temperature",
    topP: "topP",
    topK: "topK",
    maxOutputTokens: "maxOutputTokens",
    seed: "seed",
    presencePenalty: "presencePenalty",
    frequencyPenalty: "frequencyPenalty"
  })
  Lift.stop(draft, config, "stopSequences", place)
  const rest: Record<string, unknown> = { ...Json.rest(config, configKeys) }
  const thinking = camelCase(Lift.object(draft, config, "thinkingConfig", place) ?? {})
  const { includeThoughts, thinkingBudget, thinkingLevel, ...beside } = thinking
  const isLevel = Lift.effort(draft, thinkingLevel)
  const isBudget = typeof thinkingBudget === "number" && thinkingBudget > 0
  const isOff = thinkingBudget === 0
  if (isBudget) Lift.budget(draft, thinkingBudget)
  else if (isOff) Lift.effort(draft, "none")
  // Thoughts are asked for with any effort but none; the rest is the protocol's own.
  const isSaid = isOff ? includeThoughts !== true : (isLevel || isBudget) && includeThoughts === true
  if (!isSaid || Object.keys(beside).length > 0) {
    if (Object.keys(thinking).length > 0) rest["thinkingConfig"] = thinking
  }
  const mimeType = Lift.string(draft, config, "responseMimeType", place)
  const schema = Lift.object(draft, config, "responseJsonSchema", place)
  const typed = Lift.object(draft, config, "responseSchema", place)
  const isJson = mimeType === "application/json"
  if (mimeType !== undefined && !isJson && mimeType !== "text/plain") rest["responseMimeType"] = mimeType
  if (Object.keys(rest).length > 0) draft.rest[place] = rest
  if (!isJson) return undefined
  const own = schema ?? (typed === undefined ? undefined : jsonSchema(typed))
  return own === undefined ? Lift.anyObject : { type: "json", name: "response", schema: own }
}

// ---------------------------------------------------------------------------------------------------------------
// Contents
// ---------------------------------------------------------------------------------------------------------------

/** Calls that have no result yet, and how many there were. */
interface Calls {
  readonly waiting: Array<{ readonly id: string; readonly name: string; readonly native: string | undefined }>
  count: number
}

const liftContent = (draft: Lift.Draft, content: Json.JsonObject, calls: Calls, path: string): void => {
  const role = Lift.string(draft, content, "role", path) ?? "user"
  Lift.leave(draft, content, contentKeys, path)
  const parts = Lift.objects(draft, content, "parts", path)
  if (role === "model") {
    const said = parts.flatMap(([part, place]) => modelPart(draft, camelCase(part), calls, place))
    draft.messages.push({ role: "assistant", content: said })
    return
  }
  if (role !== "user" && role !== "function") {
    Lift.leaveWhole(draft, role, path)
    return
  }
  let said: Array<Prompt.UserMessagePartEncoded> = []
  const flush = () => {
    if (said.length > 0) draft.messages.push({ role: "user", content: said })
    said = []
  }
  for (const [stated, place] of parts) {
    const part = camelCase(stated)
    const response = Lift.object(draft, part, "functionResponse", place)
    if (response === undefined) {
      said.push(...userPart(draft, part, place))
      continue
    }
    flush()
    liftResponse(draft, response, calls, Lift.at(place, "functionResponse"))
  }
  flush()
}

const liftResponse = (draft: Lift.Draft, response: Json.JsonObject, calls: Calls, path: string): void => {
  const native = Lift.string(draft, response, "id", path)
  const name = Lift.required(draft, response, "name", path)
  const at = calls.waiting.findIndex((call) => (native === undefined ? call.name === name : call.native === native))
  const [call] = at === -1 ? [] : calls.waiting.splice(at, 1)
  const value = Lift.object(draft, response, "response", path) ?? {}
  const keys = Object.keys(value)
  const [key] = keys
  const isNamed = keys.length === 1 && (key === "output" || key === "error" || key === "result")
  const files = Lift.objects(draft, response, "parts", path).flatMap(([part, place]) =>
    userPart(draft, camelCase(part), place)
  )
  const result = isNamed && key !== undefined ? (value[key] ?? null) : value
  const text = typeof result === "string" && result !== "" ? [{ type: "text" as const, text: result }] : []
  draft.messages.push({
    role: "tool",
    content: [
      {
        type: "tool-result",
        id: call?.id ?? native ?? `call_${calls.count++}`,
        name,
        isFailure: isNamed && key === "error",
        result,
        ...(files.length === 0 ? {} : { modelOutput: [...text, ...files] })
      }
    ]
  })
}

/** The stand-in for a signature is none. */
const signatureOf = (part: Json.JsonObject): Json.Json | undefined =>
  part["thoughtSignature"] === GeminiContents.foreignSignature ? undefined : part["thoughtSignature"]

const filePart = (draft: Lift.Draft, part: Json.JsonObject, path: string): Prompt.FilePartEncoded | undefined => {
  const { mediaResolution, thoughtSignature, videoMetadata } = part
  const own = Lift.owned(draft, { thoughtSignature }, { videoMetadata, mediaResolution })
  const inline = Lift.object(draft, part, "inlineData", path)
  if (inline !== undefined) {
    const data = camelCase(inline)
    const place = Lift.at(path, "inlineData")
    const mediaType = Lift.required(draft, data, "mimeType", place)
    return { type: "file", mediaType, data: Lift.required(draft, data, "data", place), ...own }
  }
  const stored = Lift.object(draft, part, "fileData", path)
  if (stored === undefined) return undefined
  const data = camelCase(stored)
  const place = Lift.at(path, "fileData")
  const url = Lift.required(draft, data, "fileUri", place)
  const mediaType = Lift.string(draft, data, "mimeType", place) ?? familyOf(url)
  return { ...Lift.linked(url, mediaType), ...own }
}

const families: ReadonlyArray<readonly [RegExp, string]> = [
  [/\.(?:png|jpe?g|gif|webp|heic|heif)$/i, "image/*"],
  [/\.(?:wav|mp3|aac|ogg|flac|aiff)$/i, "audio/*"],
  [/\.(?:mp4|mpeg|mpg|mov|avi|webm|wmv|3gpp)$|\/\/(?:www\.)?youtu\.?be/i, "video/*"],
  [/\.pdf$/i, "application/pdf"],
  [/\.(?:txt|md|csv|html?)$/i, "text/plain"]
]

/** What an address leads to when nobody says: its ending tells. */
const familyOf = (url: string): string => {
  const path = url.replace(/[?#].*$/, "")
  return families.find(([pattern]) => pattern.test(path))?.[1] ?? "application/octet-stream"
}

const userPart = (
  draft: Lift.Draft,
  part: Json.JsonObject,
  path: string
): ReadonlyArray<Prompt.UserMessagePartEncoded> => {
  const text = Lift.string(draft, part, "text", path)
  if (text !== undefined) {
    Lift.leave(draft, part, partKeys, path)
    return [{ type: "text", text, ...Lift.owned(draft, { thoughtSignature: signatureOf(part) }) }]
  }
  const file = filePart(draft, part, path)
  if (file !== undefined) return [file]
  Lift.leaveWhole(draft, Object.keys(part)[0], path)
  return []
}

const modelPart = (
  draft: Lift.Draft,
  part: Json.JsonObject,
  calls: Calls,
  path: string
): ReadonlyArray<Prompt.AssistantMessagePartEncoded> => {
  const call = Lift.object(draft, part, "functionCall", path)
  if (call !== undefined) {
    const native = Lift.string(draft, call, "id", Lift.at(path, "functionCall"))
    const name = Lift.required(draft, call, "name", Lift.at(path, "functionCall"))
    const id = native ?? `call_${calls.count}`
    calls.count++
    calls.waiting.push({ id, name, native })
    const own = { id: native, thoughtSignature: signatureOf(part) }
    return [{ type: "tool-call", id, name, params: call["args"] ?? {}, ...Lift.owned(draft, own) }]
  }
  if (part["thought"] !== true) return userPart(draft, part, path)
  const text = Lift.string(draft, part, "text", path)
  if (text === undefined) {
    Lift.leaveWhole(draft, "thought", path)
    return []
  }
  return [{ type: "reasoning", text, ...Lift.owned(draft, { thought: true, thoughtSignature: signatureOf(part) }) }]
}
