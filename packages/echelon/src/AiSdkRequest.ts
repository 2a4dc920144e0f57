/**
 * What the `ai` package asks, as Echelon asks it. Pure. What cannot be said becomes a warning, never silence.
 *
 * @since 0.1.0
 */
import * as LlmError from "@echelon/core/LlmError"
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Prompt from "effect/ai/Prompt"
import type * as Spec from "./AiSdkSpec.ts"

/**
 * An input, and what of the call could not be said in it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Lowered {
  readonly input: LlmRequest.Input
  readonly warnings: Array<Spec.Warning>
}

/**
 * Says a call as an input, with this metadata under the call's own.
 *
 * **Details** `providerOptions.echelon` is metadata; the other entries go to instances of that kind as they are.
 *
 * **Errors** Throws `InvalidRequest` for a file that only one provider has: nobody else could read it.
 *
 * @since 0.1.0
 * @category converting
 */
export const lower = (options: Spec.CallOptions, metadata: LlmRequest.Metadata): Lowered => {
  const warnings: Array<Spec.Warning> = []
  const { tools, toolChoice } = lowerTools(options, warnings)
  dropHeaders(options.headers, warnings)
  return {
    warnings,
    input: {
      prompt: options.prompt.flatMap((message) => lowerMessage(message, warnings)),
      tools,
      toolChoice,
      responseFormat: responseFormat(options.responseFormat),
      settings: {
        temperature: options.temperature,
        maxOutputTokens: options.maxOutputTokens,
        topP: options.topP,
        topK: options.topK,
        stop: options.stopSequences,
        seed: options.seed,
        presencePenalty: options.presencePenalty,
        frequencyPenalty: options.frequencyPenalty,
        reasoningEffort: effort(options.reasoning, warnings)
      },
      ...own(options.providerOptions, metadata)
    }
  }
}

/**
 * What `providerOptions` says: metadata under `echelon`, the rest to the kinds that it names.
 *
 * @since 0.1.0
 * @category converting
 */
export const own = (
  providerOptions: Spec.CallOptions["providerOptions"],
  metadata: LlmRequest.Metadata
): Pick<LlmRequest.Input, "metadata" | "providerOptions"> => {
  const { echelon, ...others } = providerOptions ?? {}
  // Its values are checked where a request is made.
  return { metadata: { ...metadata, ...(echelon as LlmRequest.Metadata | undefined) }, providerOptions: others }
}

/**
 * Warns of headers, which no pool can send on: they belong to one provider. The `ai` package's own are no loss.
 *
 * @since 0.1.0
 * @category converting
 */
export const dropHeaders = (headers: Spec.CallOptions["headers"], warnings: Array<Spec.Warning>): void => {
  for (const [name, value] of Object.entries(headers ?? {}))
    if (value !== undefined && name.toLowerCase() !== "user-agent")
      warnings.push({ type: "unsupported", feature: `header ${name}`, details: "headers are stated per provider" })
}

// ---------------------------------------------------------------------------------------------------------------
// Messages
// ---------------------------------------------------------------------------------------------------------------

type Content = Exclude<LlmRequest.Message["content"], string>[number]

const optionsOf = (carrier: {
  readonly providerOptions?: Spec.CallOptions["providerOptions"]
}): { readonly options?: Prompt.ProviderOptions } =>
  carrier.providerOptions === undefined ? {} : { options: carrier.providerOptions as Prompt.ProviderOptions }

const lowerMessage = (message: Spec.Message, warnings: Array<Spec.Warning>): ReadonlyArray<LlmRequest.Message> => {
  const options = optionsOf(message)
  if (message.role === "system") return [{ role: "system", content: message.content, ...options }]
  const content = message.content.flatMap((part) => lowerPart(part, warnings))
  // Each role takes the parts that the specification gives it, which are those of effect/ai.
  return content.length === 0 ? [] : [{ role: message.role, content, ...options } as LlmRequest.Message]
}

const lowerPart = (part: Spec.MessagePart, warnings: Array<Spec.Warning>): ReadonlyArray<Content> => {
  const options = optionsOf(part)
  switch (part.type) {
    case "text":
    case "reasoning":
      return [{ type: part.type, text: part.text, ...options }]
    case "file":
      return [{ ...file(part.data, part.mediaType, part.filename), ...options }]
    case "tool-call": {
      const { input, providerExecuted = false, toolCallId, toolName } = part
      return [{ type: "tool-call", id: toolCallId, name: toolName, params: input, providerExecuted, ...options }]
    }
    case "tool-result": {
      const { output, toolCallId, toolName } = part
      return [{ type: "tool-result", id: toolCallId, name: toolName, ...result(output, warnings), ...options }]
    }
    case "tool-approval-response": {
      const { approvalId, approved, reason, type } = part
      return [{ type, approvalId, approved, ...(reason === undefined ? {} : { reason }), ...options }]
    }
    default:
      warnings.push({ type: "unsupported", feature: `message part ${String((part as { type: unknown }).type)}` })
      return []
  }
}

type FilePart = Prompt.FilePartEncoded

const file = (data: Spec.FileData, mediaType: string, fileName: string | undefined): FilePart => ({
  type: "file",
  // Version 4 may say the first half alone.
  mediaType: mediaType.includes("/") ? mediaType : `${mediaType}/*`,
  data: bytes(data),
  ...(fileName === undefined ? {} : { fileName })
})

const bytes = (data: Spec.FileData): FilePart["data"] => {
  if (typeof data === "string" || data instanceof Uint8Array || data instanceof URL) return data
  switch (data.type) {
    case "data":
      return data.data
    case "url":
      return data.url
    case "text":
      return new TextEncoder().encode(data.text)
    case "reference":
      throw LlmError.make({
        reason: { _tag: "InvalidRequest" },
        detail: "a file given by a provider's reference can be read by that provider alone; give its bytes or address"
      })
  }
}

type Result = Pick<Prompt.ToolResultPartEncoded, "isFailure" | "result" | "modelOutput">

const result = (output: Spec.ToolOutput, warnings: Array<Spec.Warning>): Result => {
  switch (output.type) {
    case "text":
    case "json":
      return { isFailure: false, result: output.value }
    case "error-text":
    case "error-json":
      return { isFailure: true, result: output.value }
    case "execution-denied":
      return { isFailure: true, result: output.reason ?? "The tool was not allowed to run." }
    case "content": {
      const modelOutput = output.value.flatMap((part) => outputPart(part, warnings))
      const texts = modelOutput.flatMap((part) => (part.type === "text" ? [part.text] : []))
      return { isFailure: false, result: texts.join("\n"), modelOutput }
    }
  }
}

const outputPart = (
  { data, filename, mediaType, text, type, url }: Spec.OutputPart,
  warnings: Array<Spec.Warning>
): ReadonlyArray<Prompt.TextPartEncoded | FilePart> => {
  if (type === "text" && text !== undefined) return [{ type: "text", text }]
  const fallback = type.startsWith("image") ? "image/*" : "application/octet-stream"
  if (data !== undefined) return [file(data, mediaType ?? fallback, filename)]
  if (url !== undefined) return [file(new URL(url), mediaType ?? fallback, filename)]
  warnings.push({ type: "unsupported", feature: `tool result part ${type}` })
  return []
}

// ---------------------------------------------------------------------------------------------------------------
// Tools, format, effort
// ---------------------------------------------------------------------------------------------------------------

const lowerTools = (
  options: Spec.CallOptions,
  warnings: Array<Spec.Warning>
): Pick<LlmRequest.Input, "tools" | "toolChoice"> => {
  const tools = (options.tools ?? []).flatMap((tool): ReadonlyArray<LlmRequest.Tool> => {
    if (tool.type === "function") {
      const { description, inputSchema, name, strict } = tool
      return [{ name, description, strict, parameters: schemaOf(inputSchema) }]
    }
    const details = "a tool that its provider defines is unknown to the others; state it in providerOptions"
    warnings.push({ type: "unsupported", feature: `provider-defined tool ${tool.id}`, details })
    return []
  })
  const choice = options.toolChoice
  return { tools, toolChoice: choice?.type === "tool" ? { tool: choice.toolName } : choice?.type }
}

const schemaOf = (schema: object | boolean | undefined): Readonly<Record<string, unknown>> =>
  typeof schema === "object" ? { ...schema } : { type: "object" }

const responseFormat = (format: Spec.CallOptions["responseFormat"]): LlmRequest.ResponseFormat | undefined => {
  if (format?.type !== "json") return format
  const { description, name = "response" } = format
  const schema = schemaOf(format.schema)
  return {
    type: "json",
    name: name.replaceAll(/[^\w-]/g, "_"),
    schema: description === undefined || "description" in schema ? schema : { ...schema, description }
  }
}

const efforts = ["none", "minimal", "low", "medium", "high", "xhigh"] as const

const effort = (
  asked: string | undefined,
  warnings: Array<Spec.Warning>
): LlmRequest.Settings["reasoningEffort"] | undefined => {
  if (asked === undefined || asked === "provider-default") return undefined
  const known = efforts.find((one) => one === asked)
  if (known !== undefined) return known
  const feature = `reasoning ${asked}`
  if (asked === "max") {
    warnings.push({ type: "compatibility", feature, details: 'asked for as "xhigh"' })
    return "xhigh"
  }
  warnings.push({ type: "unsupported", feature })
  return undefined
}
