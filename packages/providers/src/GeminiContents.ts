/**
 * Google Gemini: lowering a conversation.
 *
 * Calls have names and an order, and ids only where the server gave one: results stand in the order of their calls,
 * and an id of another provider is never sent.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Prompt from "effect/ai/Prompt"
import * as GeminiModel from "./GeminiModel.ts"
import * as Json from "./Json.ts"
import * as Lowering from "./Lowering.ts"
import * as Media from "./Media.ts"
import type * as Protocol from "./Protocol.ts"

type Body = Readonly<Record<string, unknown>>

/**
 * One turn: neighbours of one role are one content.
 *
 * @since 0.1.0
 * @category models
 */
export interface Content {
  readonly role: "user" | "model"
  readonly parts: ReadonlyArray<Body>
}

/**
 * The signature that stands for one that no Gemini model gave: since generation 3 a call without any is refused,
 * and this one is what the documentation names for calls that another model made.
 *
 * @since 0.1.0
 * @category models
 */
export const foreignSignature = "skip_thought_signature_validator"

/** A call as an answer to it must know it. */
interface Call {
  /** Its place among all calls of the conversation. */
  readonly at: number
  /** The server's own id, where it gave one. */
  readonly id: string | undefined
}

interface Context {
  readonly kind: string
  readonly model: string
  readonly calls: ReadonlyMap<string, Call>
  readonly dropped: (field: string) => void
}

type Carrier = { readonly options?: Prompt.ProviderOptions | undefined }

/**
 * Says a conversation as contents. System messages are left out: they stand beside the contents.
 *
 * @since 0.1.0
 * @category lowering
 */
export const lower = (
  messages: ReadonlyArray<LlmRequest.Message>,
  options: Protocol.Options,
  dropped: (field: string) => void
): ReadonlyArray<Content> => {
  const { kind, model } = options
  const context: Context = { kind, model, dropped, calls: callsOf(messages, kind) }
  const contents: Array<Content> = []
  for (let i = 0; i < messages.length; i++) {
    const message = messages[i] as LlmRequest.Message
    if (message.role === "system") continue
    let parts: ReadonlyArray<Body>
    if (message.role === "tool") {
      const results = [...message.content]
      for (let next = messages[i + 1]; next?.role === "tool"; next = messages[++i + 1]) results.push(...next.content)
      parts = lowerResults(results, context)
    } else if (typeof message.content === "string") parts = text(message.content, message, context)
    else parts = lowerParts(message.content, context)
    if (parts.length === 0) continue
    const role = message.role === "assistant" ? "model" : "user"
    const before = contents.at(-1)
    if (before?.role === role) contents[contents.length - 1] = { role, parts: [...before.parts, ...parts] }
    else contents.push({ role, parts })
  }
  return GeminiModel.isSince(model, 3) ? contents.map(signed) : contents
}

const callsOf = (messages: ReadonlyArray<LlmRequest.Message>, kind: string): ReadonlyMap<string, Call> => {
  const calls = new Map<string, Call>()
  for (const message of messages) {
    if (message.role !== "assistant" || typeof message.content === "string") continue
    for (const part of message.content)
      if (part.type === "tool-call") calls.set(part.id, { at: calls.size, id: nativeId(part, kind) })
  }
  return calls
}

const nativeId = (call: Prompt.ToolCallPartEncoded, kind: string): string | undefined => {
  const own = Lowering.optionsFor(call, kind)
  return own === undefined ? undefined : Json.string(own, "id")
}

/** Only the first of a turn's calls needs a signature. */
const signed = (content: Content): Content => {
  const at = content.parts.findIndex((part) => part["functionCall"] !== undefined)
  const first = content.parts[at]
  if (first === undefined || first["thoughtSignature"] !== undefined) return content
  return { role: content.role, parts: content.parts.with(at, { ...first, thoughtSignature: foreignSignature }) }
}

const lowerParts = (
  parts: ReadonlyArray<Prompt.UserMessagePartEncoded | Prompt.AssistantMessagePartEncoded>,
  context: Context
): ReadonlyArray<Body> =>
  parts.flatMap((part): ReadonlyArray<Body> => {
    switch (part.type) {
      case "text":
        return text(part.text, part, context)
      case "file":
        return [file(part, context)]
      case "reasoning":
        return reasoning(part, context)
      case "tool-call":
        if (part.providerExecuted === true) break
        return [toolCall(part, context)]
      default:
        break
    }
    context.dropped(`messages.${part.type}`)
    return []
  })

/** What of a part's options is a field of the part on the wire. */
const fields = (carrier: Carrier, kind: string, names: ReadonlyArray<string>): Body => {
  const own = Lowering.optionsFor(carrier, kind)
  if (own === undefined) return {}
  return Object.fromEntries(names.flatMap((name) => (own[name] === undefined ? [] : [[name, own[name]]])))
}

const signature = (carrier: Carrier, kind: string): Body => fields(carrier, kind, ["thoughtSignature"])

/** An empty text is refused, unless it carries a signature. */
const text = (value: string, carrier: Carrier, { kind }: Context): ReadonlyArray<Body> => {
  const own = signature(carrier, kind)
  return value === "" && own["thoughtSignature"] === undefined ? [] : [{ text: value, ...own }]
}

/** Only what this provider thought goes back to it. */
const reasoning = (part: Prompt.ReasoningPartEncoded, { dropped, kind }: Context): ReadonlyArray<Body> => {
  if (Lowering.optionsFor(part, kind) !== undefined)
    return [{ text: part.text, thought: true, ...signature(part, kind) }]
  dropped("messages.reasoning")
  return []
}

const file = (part: Prompt.FilePartEncoded, { dropped, kind }: Context): Body => {
  if (part.fileName !== undefined) dropped("messages.file.fileName")
  const own = fields(part, kind, ["thoughtSignature", "videoMetadata", "mediaResolution"])
  const stored = storageUri(part.data)
  const media: Media.Media =
    stored === undefined ? Media.read(part) : { _tag: "Url", url: stored, mediaType: part.mediaType }
  if (media._tag === "Base64") return { inlineData: { mimeType: media.mediaType, data: media.base64 }, ...own }
  // A family of types is none: the server finds out by itself.
  const mimeType = media.mediaType.endsWith("/*") ? {} : { mimeType: media.mediaType }
  return { fileData: { ...mimeType, fileUri: media.url }, ...own }
}

/** An address of Google's own store. */
const storageUri = (data: Prompt.FilePartEncoded["data"]): string | undefined => {
  const address =
    typeof data === "string"
      ? data
      : data instanceof URL
        ? data.href
        : data instanceof Uint8Array || data._tag !== "URL"
          ? undefined
          : data.href
  return address !== undefined && /^gs:\/\//i.test(address) ? address : undefined
}

const toolCall = (part: Prompt.ToolCallPartEncoded, { dropped, kind }: Context): Body => {
  const isRecord = Json.isObject(part.params)
  if (!isRecord && part.params !== undefined && part.params !== null) dropped("messages.tool-call.params")
  const id = nativeId(part, kind)
  return {
    functionCall: { ...(id === undefined ? {} : { id }), name: part.name, args: isRecord ? part.params : {} },
    ...signature(part, kind)
  }
}

const lowerResults = (parts: ReadonlyArray<Prompt.ToolMessagePartEncoded>, context: Context): ReadonlyArray<Body> => {
  const results: Array<Prompt.ToolResultPartEncoded> = []
  for (const part of parts)
    if (part.type === "tool-result" && part.providerExecuted !== true) results.push(part)
    else context.dropped(`messages.${part.type}`)
  const at = (part: Prompt.ToolResultPartEncoded) => context.calls.get(part.id)?.at ?? Number.POSITIVE_INFINITY
  // Results without a call stay last, as they came: the difference of two infinities is no number, which is a tie.
  results.sort((a, b) => at(a) - at(b))
  return results.flatMap((part) => toolResult(part, context))
}

const toolResult = (part: Prompt.ToolResultPartEncoded, context: Context): ReadonlyArray<Body> => {
  const output = part.modelOutput ?? []
  const isText = output.some((piece) => piece.type === "text" && piece.text !== "")
  const value = isText ? Lowering.resultText(part) : (part.result ?? null)
  const files = output.flatMap((piece) => (piece.type === "file" ? [file(piece, context)] : []))
  const id = context.calls.get(part.id)?.id
  // Files inside a result are known since 3; before, they stand beside it.
  const isInside = files.length > 0 && GeminiModel.isSince(context.model, 3)
  const response = {
    functionResponse: {
      ...(id === undefined ? {} : { id }),
      name: part.name,
      response: part.isFailure ? { error: value } : { output: value },
      ...(isInside ? { parts: files } : {})
    }
  }
  return isInside ? [response] : [response, ...files]
}
