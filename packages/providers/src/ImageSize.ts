/**
 * How large an image is, read from its first bytes: providers charge by it.
 *
 * **Details** PNG, GIF, WebP and JPEG. At most the first 64 KiB are looked at; a JPEG whose frame stands behind more
 * metadata than that is of unknown size.
 *
 * @since 0.1.0
 */
import type * as Prompt from "effect/ai/Prompt"
import * as Media from "./Media.ts"

/**
 * Width and height in pixels.
 *
 * @since 0.1.0
 * @category models
 */
export interface Size {
  readonly width: number
  readonly height: number
}

const looked = 64 * 1024

const valid = (width: number, height: number): Size | undefined =>
  width > 0 && height > 0 ? { width, height } : undefined

const starts = (bytes: Buffer, text: string, at = 0): boolean =>
  bytes.length >= at + text.length && bytes.toString("latin1", at, at + text.length) === text

const ofWebp = (bytes: Buffer): Size | undefined => {
  if (bytes.length < 30) return undefined
  if (starts(bytes, "VP8X", 12)) return valid(bytes.readUIntLE(24, 3) + 1, bytes.readUIntLE(27, 3) + 1)
  if (starts(bytes, "VP8L", 12)) {
    const bits = bytes.readUInt32LE(21)
    return valid((bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1)
  }
  return starts(bytes, "VP8 ", 12) ? valid(bytes.readUInt16LE(26) & 0x3fff, bytes.readUInt16LE(28) & 0x3fff) : undefined
}

/** Of the markers that begin a frame, three are something else. */
const isFrame = (marker: number): boolean =>
  marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc

const ofJpeg = (bytes: Buffer): Size | undefined => {
  let at = 2
  while (at + 9 <= bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1] ?? 0
    if (marker === 0xff) at += 1
    else if (isFrame(marker)) return valid(bytes.readUInt16BE(at + 7), bytes.readUInt16BE(at + 5))
    else at += 2 + bytes.readUInt16BE(at + 2)
  }
  return undefined
}

/**
 * Reads the size off the beginning of an image; `undefined` when it is not told there.
 *
 * @since 0.1.0
 * @category parsing
 */
export const ofBytes = (data: Uint8Array): Size | undefined => {
  const bytes = Buffer.from(data.buffer, data.byteOffset, Math.min(data.byteLength, looked))
  if (starts(bytes, "\x89PNG\r\n\x1a\n")) {
    return bytes.length < 24 ? undefined : valid(bytes.readUInt32BE(16), bytes.readUInt32BE(20))
  }
  if (starts(bytes, "GIF8")) return bytes.length < 10 ? undefined : valid(bytes.readUInt16LE(6), bytes.readUInt16LE(8))
  if (starts(bytes, "RIFF") && starts(bytes, "WEBP", 8)) return ofWebp(bytes)
  return bytes[0] === 0xff && bytes[1] === 0xd8 ? ofJpeg(bytes) : undefined
}

/**
 * The size of an image in a prompt; `undefined` for one that stands behind a URL.
 *
 * @since 0.1.0
 * @category parsing
 */
export const of = (part: Prompt.FilePartEncoded): Size | undefined => {
  if (part.data instanceof Uint8Array) return ofBytes(part.data)
  const media = Media.read(part)
  return media._tag === "Url" ? undefined : ofBytes(Buffer.from(media.base64.slice(0, (looked * 4) / 3), "base64"))
}
