/**
 * Reads the data of a file in a prompt, which may be bytes, Base64, a URL or a `data:` URL.
 *
 * @since 0.1.0
 */
import type * as Prompt from "effect/ai/Prompt"

/**
 * A file as protocols say it.
 *
 * @since 0.1.0
 * @category models
 */
export type Media =
  | { readonly _tag: "Url"; readonly url: string; readonly mediaType: string }
  | { readonly _tag: "Base64"; readonly base64: string; readonly mediaType: string }

/**
 * Reads a file part.
 *
 * @since 0.1.0
 * @category parsing
 */
export const read = (part: Prompt.FilePartEncoded): Media => {
  const { data, mediaType } = part
  if (data instanceof Uint8Array)
    return base64(Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64"), mediaType)
  if (data instanceof URL) return fromText(data.href, mediaType)
  if (typeof data === "string") return fromText(data, mediaType)
  return data._tag === "URL" ? fromText(data.href, mediaType) : base64(data.base64, mediaType)
}

/**
 * The `data:` URL of a file that is not a URL already.
 *
 * @since 0.1.0
 * @category getters
 */
export const toUrl = (media: Media): string =>
  media._tag === "Url" ? media.url : `data:${media.mediaType};base64,${media.base64}`

const fromText = (text: string, mediaType: string): Media => {
  if (/^https?:\/\//i.test(text)) return { _tag: "Url", url: text, mediaType }
  if (!text.startsWith("data:")) return base64(text, mediaType)
  const comma = text.indexOf(",")
  const [type = "", ...parameters] = text.slice(5, comma).split(";")
  const body = text.slice(comma + 1)
  const stated = type === "" ? mediaType : type
  return parameters.includes("base64")
    ? base64(body, stated)
    : base64(Buffer.from(percentDecoded(body)).toString("base64"), stated)
}

const percentDecoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    // Not percent-encoded after all: it is taken as it stands.
    return text
  }
}

// The first bytes of the image formats that providers take, as Base64 begins with them.
const signatures: ReadonlyArray<readonly [string, string]> = [
  ["iVBOR", "image/png"],
  ["/9j/", "image/jpeg"],
  ["R0lG", "image/gif"],
  ["UklG", "image/webp"]
]

/** `image/*` says too little for a provider: the format is read from the first bytes. */
const base64 = (text: string, mediaType: string): Media => ({
  _tag: "Base64",
  base64: text,
  mediaType:
    mediaType === "image/*" ? (signatures.find(([start]) => text.startsWith(start))?.[1] ?? "image/jpeg") : mediaType
})
