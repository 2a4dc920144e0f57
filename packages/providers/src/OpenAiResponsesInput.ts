/**
 * OpenAI Responses: saying a conversation as input items.
 *
 * An answer goes back as the items that it came as: texts of one message in one item with its phase, pieces of
 * one reasoning in one item with its encrypted content, each call and each result in an item of its own.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Prompt from "effect/ai/Prompt"
import type * as Json from "./Json.ts"
import * as Lowering from "./Lowering.ts"
import * as Media from "./Media.ts"

type Body = Readonly<Record<string, unknown>>

type Dropped = (field: string) => void

type Carrier = { readonly options?: Prompt.ProviderOptions | undefined }

/**
 * What lowering has to know of the request around the messages.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly kind: string
  /** The provider keeps earlier items: their ids mean something to it. */
  readonly stored: boolean
}

/**
 * Says messages as input items.
 *
 * **Details** Instructions stand in place, as items of the role `system`.
 *
 * @since 0.1.0
 * @category lowering
 */
export const lower = (
  messages: ReadonlyArray<LlmRequest.Message>,
  options: Options,
  dropped: Dropped
): ReadonlyArray<Body> =>
  messages.flatMap((message): ReadonlyArray<Body> => {
    switch (message.role) {
      case "system": {
        if (message.content === "") return []
        const mark = breakpoint(message, options.kind)
        const content = mark === undefined ? message.content : [{ ...inputText(message.content), ...mark }]
        return [{ role: "system", content }]
      }
      case "user": {
        const content = userContent(message, options.kind, dropped)
        return content.length === 0 ? [] : [{ role: "user", content }]
      }
      case "assistant":
        return assistant(message, options, dropped)
      case "tool":
        return message.content.flatMap((part) => {
          if (part.type === "tool-result") return [toolResult(part, options.kind, dropped)]
          dropped(`messages.${part.type}`)
          return []
        })
    }
  })

const inputText = (text: string): Body => ({ type: "input_text", text })

/** The mark that ends a prefix worth caching. */
const breakpoint = (carrier: Carrier, kind: string): Body | undefined => {
  const own = Lowering.optionsFor(carrier, kind)
  const mark = own?.["promptCacheBreakpoint"] ?? own?.["prompt_cache_breakpoint"]
  return mark === undefined ? undefined : { prompt_cache_breakpoint: mark }
}

const userContent = (message: Prompt.UserMessageEncoded, kind: string, dropped: Dropped): string | Array<Body> => {
  const mark = breakpoint(message, kind)
  if (typeof message.content === "string")
    return mark === undefined || message.content === "" ? message.content : [{ ...inputText(message.content), ...mark }]
  const content = message.content.flatMap((part) => inputPart(part, kind, dropped))
  const last = content.at(-1)
  // A mark of the whole message belongs to its end.
  if (mark !== undefined && last !== undefined) content[content.length - 1] = { ...mark, ...last }
  return content
}

const inputPart = (
  part: Prompt.TextPartEncoded | Prompt.FilePartEncoded,
  kind: string,
  dropped: Dropped
): ReadonlyArray<Body> => {
  const said = part.type === "text" ? (part.text === "" ? undefined : inputText(part.text)) : file(part, kind)
  if (said !== undefined) {
    if (part.type === "file" && part.fileName !== undefined && said["filename"] === undefined)
      dropped("messages.file.fileName")
    return [{ ...said, ...breakpoint(part, kind) }]
  }
  if (part.type === "file") dropped(`messages.file (${part.mediaType})`)
  return []
}

const file = (part: Prompt.FilePartEncoded, kind: string): Body | undefined => {
  const own = Lowering.optionsFor(part, kind)
  const media = Media.read(part)
  const fileId = own?.["fileId"]
  if (media.mediaType.startsWith("image/")) {
    const detail = own?.["imageDetail"] ?? Lowering.optionsFor(part, "openai")?.["imageDetail"]
    return {
      type: "input_image",
      ...(typeof fileId === "string" ? { file_id: fileId } : { image_url: Media.toUrl(media) }),
      ...(detail === undefined ? {} : { detail })
    }
  }
  if (/^(?:audio|video)\//.test(media.mediaType)) return undefined
  if (typeof fileId === "string") return { type: "input_file", file_id: fileId }
  return media._tag === "Url"
    ? { type: "input_file", file_url: media.url }
    : { type: "input_file", filename: part.fileName ?? fileNameOf(media.mediaType), file_data: Media.toUrl(media) }
}

// Where the ending of a name is not the end of its media type.
const endings: Readonly<Record<string, string>> = { plain: "txt", markdown: "md" }

/** The provider reads what a file is from its name. */
const fileNameOf = (mediaType: string): string => {
  const subtype = /^[a-z]+\/([a-z0-9]+)$/.exec(mediaType)?.[1]
  if (subtype === undefined) return "file"
  return `file.${Object.hasOwn(endings, subtype) ? endings[subtype] : subtype}`
}

const toolResult = (part: Prompt.ToolResultPartEncoded, kind: string, dropped: Dropped): Body => {
  const pieces = part.modelOutput ?? []
  const mark = breakpoint(part, kind)
  const isText = mark === undefined && pieces.every((piece) => piece.type === "text" && !breakpoint(piece, kind))
  const content = pieces.flatMap((piece) => inputPart(piece, kind, dropped))
  const said = content.length === 0 ? [inputText(Lowering.resultText(part))] : content
  const last = said.at(-1)
  const caller = Lowering.optionsFor(part, kind)?.["caller"]
  // The result's text alone tells it.
  if (part.isFailure) dropped("messages.tool-result.isFailure")
  return {
    type: "function_call_output",
    call_id: part.id,
    output: isText ? Lowering.resultText(part) : [...said.slice(0, -1), { ...mark, ...last }],
    ...(caller === undefined ? {} : { caller })
  }
}

/** An item under construction. Parts that follow one another and share a key belong to the same item. */
interface Open {
  readonly key: string | undefined
  readonly type: "message" | "reasoning" | "call"
  item: Record<string, unknown>
}

const assistant = (
  message: Prompt.AssistantMessageEncoded,
  options: Options,
  dropped: Dropped
): ReadonlyArray<Body> => {
  if (typeof message.content === "string")
    return message.content === ""
      ? []
      : [{ role: "assistant", content: [{ type: "output_text", text: message.content }] }]
  const items: Array<Open> = []
  for (const part of message.content) {
    if (part.type === "text") {
      if (part.text !== "") addText(items, part, options)
    } else if (part.type === "reasoning") addReasoning(items, part, options)
    else if (part.type === "tool-call" && part.providerExecuted !== true)
      items.push({ key: undefined, type: "call", item: call(part, options) })
    else dropped(`messages.${part.type}`)
  }
  return items.flatMap(({ item, type }) => {
    if (type !== "reasoning" || isReadable(item, options)) return [item]
    dropped("messages.reasoning")
    return []
  })
}

const addText = (items: Array<Open>, part: Prompt.TextPartEncoded, options: Options): void => {
  const own = Lowering.optionsFor(part, options.kind)
  const phase = own?.["phase"]
  const id = own?.["id"]
  const said = Lowering.isRefusal(part)
    ? { type: "refusal", refusal: part.text }
    : { type: "output_text", text: part.text }
  const key = JSON.stringify(["message", id, phase])
  const last = items.at(-1)
  if (last?.key === key && Array.isArray(last.item["content"])) {
    last.item = { ...last.item, content: [...last.item["content"], said] }
    return
  }
  items.push({
    key,
    type: "message",
    item: {
      ...kept(id, options),
      role: "assistant",
      content: [said],
      ...(typeof phase === "string" ? { phase } : {})
    }
  })
}

/** The id of an item that the provider kept; any other would be looked for in vain. */
const kept = (id: Json.Json | undefined, options: Options): Body =>
  options.stored && typeof id === "string" ? { id } : {}

const addReasoning = (items: Array<Open>, part: Prompt.ReasoningPartEncoded, options: Options): void => {
  const own = Lowering.optionsFor(part, options.kind)
  const id = own?.["id"]
  const key = typeof id === "string" ? `reasoning:${id}` : undefined
  let last = items.at(-1)
  if (last === undefined || last.type !== "reasoning" || key === undefined || last.key !== key) {
    const item = { type: "reasoning", ...(typeof id === "string" ? { id } : {}), summary: [] }
    last = { key, type: "reasoning", item }
    items.push(last)
  }
  const into = own?.["type"] === "reasoning_text" ? "content" : "summary"
  const before = last.item[into]
  if (own?.["type"] !== undefined)
    last.item = {
      ...last.item,
      [into]: [...(Array.isArray(before) ? before : []), { type: own["type"], text: part.text }]
    }
  if (own?.["encrypted_content"] !== undefined)
    last.item = { ...last.item, encrypted_content: own["encrypted_content"] }
}

/** Whether the provider could read an earlier reasoning: encrypted, in plain words of its own, or kept there. */
const isReadable = (item: Body, options: Options): boolean =>
  typeof item["encrypted_content"] === "string" ||
  item["content"] !== undefined ||
  (options.stored && item["id"] !== undefined)

const call = (part: Prompt.ToolCallPartEncoded, options: Options): Record<string, unknown> => {
  const own = Lowering.optionsFor(part, options.kind)
  return {
    type: "function_call",
    ...kept(own?.["id"], options),
    call_id: part.id,
    name: part.name,
    arguments: JSON.stringify(part.params ?? {}),
    ...(own?.["caller"] === undefined ? {} : { caller: own["caller"] }),
    ...(own?.["namespace"] === undefined ? {} : { namespace: own["namespace"] })
  }
}
