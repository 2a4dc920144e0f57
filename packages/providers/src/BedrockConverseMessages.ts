/**
 * Bedrock Converse: lowering the messages of a request.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Prompt from "effect/ai/Prompt"
import * as Json from "./Json.ts"
import * as Lowering from "./Lowering.ts"
import * as Media from "./Media.ts"

// ---------------------------------------------------------------------------------------------------------------
// Wire types
// ---------------------------------------------------------------------------------------------------------------

type Body = Readonly<Record<string, unknown>>

type Blocks = ReadonlyArray<Body>

interface Message {
  readonly role: "user" | "assistant"
  readonly content: Blocks
}

type Carrier = { readonly options?: Prompt.ProviderOptions | undefined }

/** What the parts of one request share. */
interface Context {
  readonly kind: string
  readonly dropped: (field: string) => void
  /** Names of documents, which must differ from one another. */
  readonly names: Set<string>
}

const images: Readonly<Record<string, string>> = {
  "image/png": "png",
  "image/jpeg": "jpeg",
  "image/jpg": "jpeg",
  "image/gif": "gif",
  "image/webp": "webp"
}

const documents: Readonly<Record<string, string>> = {
  "application/pdf": "pdf",
  "text/csv": "csv",
  "application/msword": "doc",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
  "application/vnd.ms-excel": "xls",
  "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
  "text/html": "html",
  "text/plain": "txt",
  "text/markdown": "md"
}

const videos: Readonly<Record<string, string>> = {
  "video/x-matroska": "mkv",
  "video/quicktime": "mov",
  "video/mp4": "mp4",
  "video/webm": "webm",
  "video/x-flv": "flv",
  "video/mpeg": "mpeg",
  "video/x-ms-wmv": "wmv",
  "video/3gpp": "three_gp"
}

const audios: Readonly<Record<string, string>> = {
  "audio/mpeg": "mp3",
  "audio/mp3": "mp3",
  "audio/opus": "opus",
  "audio/wav": "wav",
  "audio/x-wav": "wav",
  "audio/aac": "aac",
  "audio/flac": "flac",
  "audio/mp4": "m4a",
  "audio/ogg": "ogg",
  "audio/webm": "webm"
}

/** The type of a file by its block and its format: the first of those that are said by it. */
const mediaTypes: Readonly<Record<string, Readonly<Record<string, string>>>> = Object.fromEntries(
  Object.entries({ image: images, document: documents, video: videos, audio: audios }).map(([block, formats]) => [
    block,
    Object.fromEntries(
      Object.entries(formats)
        .map(([mediaType, format]) => [format, mediaType] as const)
        .reverse()
    )
  ])
)

/**
 * The type of a file that a block holds in a format; `undefined` when no format of that block is called so.
 *
 * @since 0.1.0
 * @category getters
 */
export const mediaTypeOf = (block: string, format: string): string | undefined => {
  const formats = Object.hasOwn(mediaTypes, block) ? mediaTypes[block] : undefined
  return formats !== undefined && Object.hasOwn(formats, format) ? formats[format] : undefined
}

// ---------------------------------------------------------------------------------------------------------------
// Lowering messages
// ---------------------------------------------------------------------------------------------------------------

/**
 * Says what system messages say, with their cache points.
 *
 * @since 0.1.0
 * @category lowering
 */
export const system = (messages: ReadonlyArray<LlmRequest.Message>, kind: string): Blocks =>
  messages.flatMap((message) =>
    message.role === "system" && message.content.trim() !== "" ? cached([{ text: message.content }], message, kind) : []
  )

/**
 * The tools that messages speak of.
 *
 * @since 0.1.0
 * @category getters
 */
export const toolNames = (messages: ReadonlyArray<LlmRequest.Message>): ReadonlyArray<string> => {
  const names = new Set<string>()
  for (const message of messages) {
    if (typeof message.content === "string") continue
    for (const part of message.content)
      if ((part.type === "tool-call" || part.type === "tool-result") && part.providerExecuted !== true)
        names.add(part.name)
  }
  return [...names]
}

/**
 * Says messages, those of the system left out.
 *
 * @since 0.1.0
 * @category lowering
 */
export const lower = (
  messages: ReadonlyArray<LlmRequest.Message>,
  kind: string,
  dropped: (field: string) => void
): ReadonlyArray<Message> => {
  const context: Context = { kind, dropped, names: new Set() }
  const lowered: Array<Message> = []
  for (const message of messages) {
    if (message.role === "system") continue
    const role = message.role === "assistant" ? "assistant" : "user"
    const content = contentOf(message, context)
    if (content.length === 0) continue
    // Roles must alternate: what one side says in a row is one message.
    const before = lowered.at(-1)
    if (before?.role === role) lowered[lowered.length - 1] = { role, content: [...before.content, ...content] }
    else lowered.push({ role, content })
  }
  return lowered.flatMap((message, at) => (at === lowered.length - 1 ? trimmed(message) : [message]))
}

/** A prefill must not end in white space. */
const trimmed = (message: Message): ReadonlyArray<Message> => {
  const text = message.content.at(-1)?.["text"]
  if (message.role !== "assistant" || typeof text !== "string") return [message]
  return [{ role: message.role, content: [...message.content.slice(0, -1), { text: text.trimEnd() }] }]
}

const contentOf = (message: Exclude<LlmRequest.Message, { readonly role: "system" }>, context: Context): Blocks => {
  if (typeof message.content === "string") return cached(text(message.content, context), message, context.kind)
  const parts: ReadonlyArray<
    Prompt.UserMessagePartEncoded | Prompt.AssistantMessagePartEncoded | Prompt.ToolMessagePartEncoded
  > = message.content
  const blocks = parts.flatMap((part): Blocks => cached(partOf(part, context), part, context.kind))
  return cached(blocks, message, context.kind)
}

const partOf = (
  part: Prompt.UserMessagePartEncoded | Prompt.AssistantMessagePartEncoded | Prompt.ToolMessagePartEncoded,
  context: Context
): Blocks => {
  switch (part.type) {
    case "text":
      return text(part.text, context)
    case "file":
      return file(part, context)
    case "reasoning":
      return reasoning(part, context)
    case "tool-call":
      if (part.providerExecuted === true) break
      return [{ toolUse: { toolUseId: toolUseId(part.id), name: part.name, input: part.params ?? {} } }]
    case "tool-result":
      if (part.providerExecuted === true) break
      return [toolResult(part, context)]
  }
  context.dropped(`messages.${part.type}`)
  return []
}

/** A blank text is refused. */
const text = (value: string, { dropped }: Context): Blocks => {
  if (value.trim() !== "") return [{ text: value }]
  if (value !== "") dropped("messages.text (blank)")
  return []
}

const file = (part: Prompt.FilePartEncoded, context: Context): Blocks => {
  const place = s3Of(part)
  const media = place === undefined ? Media.read(part) : undefined
  const mediaType = (media ?? part).mediaType
  const source =
    place !== undefined
      ? { s3Location: { uri: place } }
      : media?._tag === "Base64"
        ? { bytes: media.base64 }
        : undefined
  if (source === undefined) {
    // Nothing is fetched here, by the provider or by this package.
    context.dropped("messages.file (URL)")
    return []
  }
  const format = (of: Readonly<Record<string, string>>): string | undefined =>
    Object.hasOwn(of, mediaType) ? of[mediaType] : undefined
  const unnamed = (block: Body): Blocks => {
    if (part.fileName !== undefined) context.dropped("messages.file.fileName")
    return [block]
  }
  const image = format(images)
  if (image !== undefined) return unnamed({ image: { format: image, source } })
  const video = format(videos)
  if (video !== undefined) return unnamed({ video: { format: video, source } })
  const audio = format(audios)
  if (audio !== undefined) return unnamed({ audio: { format: audio, source } })
  const document = format(documents) ?? (mediaType.startsWith("text/") ? "txt" : undefined)
  if (document !== undefined) {
    const citations = Lowering.optionsFor(part, context.kind)?.["citations"]
    return [
      {
        document: {
          format: document,
          name: documentName(part.fileName, context.names),
          source,
          ...(citations === undefined ? {} : { citations })
        }
      }
    ]
  }
  context.dropped(`messages.file (${part.mediaType})`)
  return []
}

/** Where a file lies that is named by its place in Amazon's storage. */
const s3Of = ({ data }: Prompt.FilePartEncoded): string | undefined => {
  const url =
    typeof data === "string"
      ? data
      : data instanceof URL
        ? data.href
        : !(data instanceof Uint8Array) && data._tag === "URL"
          ? data.href
          : ""
  return url.startsWith("s3://") ? url : undefined
}

const maxNameLength = 200

/** Letters, digits, single spaces, hyphens, parentheses and square brackets; no extension, no name twice. */
const documentName = (fileName: string | undefined, taken: Set<string>): string => {
  const plain = (fileName ?? "")
    .replace(/\.[A-Za-z0-9]{1,8}$/, "")
    .replace(/[^A-Za-z0-9\s()[\]-]/g, "-")
    .replace(/\s+/g, " ")
    .trim()
    // Room for a number.
    .slice(0, maxNameLength - 10)
    .trim()
  const base = plain === "" ? "document" : plain
  let name = base
  for (let count = 2; taken.has(name); count++) name = `${base}-${count}`
  taken.add(name)
  return name
}

/** Only what this provider signed goes back to it. */
const reasoning = (part: Prompt.ReasoningPartEncoded, context: Context): Blocks => {
  const own = Lowering.optionsFor(part, context.kind)
  const blocks: Array<Body> = []
  if (typeof own?.["signature"] === "string")
    blocks.push({ reasoningContent: { reasoningText: { text: part.text, signature: own["signature"] } } })
  if (typeof own?.["redactedContent"] === "string")
    blocks.push({ reasoningContent: { redactedContent: own["redactedContent"] } })
  if (blocks.length === 0) context.dropped("messages.reasoning")
  return blocks
}

const toolResult = (part: Prompt.ToolResultPartEncoded, context: Context): Body => {
  const content: Blocks =
    part.modelOutput === undefined || part.modelOutput.length === 0
      ? text(Lowering.resultText(part), context)
      : part.modelOutput.flatMap((piece) =>
          piece.type === "text"
            ? text(piece.text, context)
            : file(piece, context).filter((block) => {
                if (block["audio"] !== undefined) context.dropped("messages.tool-result (audio)")
                return block["audio"] === undefined
              })
        )
  return {
    toolResult: {
      toolUseId: toolUseId(part.id),
      // A result without content is said by an object without fields.
      content: content.length === 0 ? [{ json: {} }] : content,
      ...(part.isFailure ? { status: "error" } : {})
    }
  }
}

/** Ids of other providers may be longer, and hold what is refused here. They differ in their ends. */
const toolUseId = (id: string): string => id.replace(/[^a-zA-Z0-9_-]/g, "_").slice(-64)

/** A cache point is a block of its own behind what is to be cached; with nothing before it, it is refused. */
const cached = (blocks: Blocks, carrier: Carrier, kind: string): Blocks => {
  const point = Lowering.optionsFor(carrier, kind)?.["cachePoint"]
  if (blocks.length === 0 || point === undefined || point === false || point === null) return blocks
  return [...blocks, { cachePoint: Json.isObject(point) ? { type: "default", ...point } : { type: "default" } }]
}
