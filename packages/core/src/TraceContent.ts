/**
 * Prompts and answers as spans show them, for those who have asked for that: the messages of the OpenTelemetry
 * conventions, as JSON.
 *
 * However long they are, what is shown is bounded: texts are cut, and what does not fit any more is left out.
 *
 * @since 0.1.0
 */
import type * as LlmRequest from "./LlmRequest.ts"
import type * as Part from "./Part.ts"
import * as TraceAttributes from "./TraceAttributes.ts"

/**
 * The characters that one attribute may show of texts, and the parts.
 *
 * @since 0.1.0
 * @category models
 */
export const limits = { characters: 32_768, parts: 256 } as const

type Json = Readonly<Record<string, unknown>>

/** What is left to be shown. */
class Room {
  private characters: number = limits.characters
  private parts: number = limits.parts

  isFull(): boolean {
    return this.characters <= 0 || this.parts <= 0
  }

  /** A text as far as it fits; of a longer one `text` may be the beginning alone. */
  text(text: string, length: number = text.length): string {
    this.parts -= 1
    const shown = text.slice(0, Math.max(0, this.characters))
    this.characters -= shown.length
    return shown.length === length ? shown : `${shown}… (${length - shown.length} characters more)`
  }

  /** A value that fits, or the beginning of it as text. */
  value(value: unknown): unknown {
    if (typeof value === "string") return this.text(value)
    const text = JSON.stringify(value, plain()) ?? "null"
    const shown = this.text(text)
    return shown === text ? JSON.parse(text) : shown
  }
}

/** Lets anything be JSON: a caller's own values may hold themselves, or numbers that JSON has not. */
const plain = () => {
  const seen = new Set<unknown>()
  return (_: string, value: unknown): unknown => {
    if (typeof value === "bigint") return String(value)
    if (typeof value !== "object" || value === null) return value
    if (seen.has(value)) return null
    seen.add(value)
    return value
  }
}

const partOf = (part: Exclude<LlmRequest.Message["content"], string>[number], room: Room): Json | undefined => {
  switch (part.type) {
    case "text":
      return { type: "text", content: room.text(part.text) }
    case "reasoning":
      return { type: "reasoning", content: room.text(part.text) }
    case "file": {
      // The bytes are nobody's to read in a trace.
      room.text("")
      const modality = part.mediaType.split("/", 1)[0] ?? ""
      return { type: "blob", mime_type: part.mediaType, modality: modality === "" ? "document" : modality, content: "" }
    }
    case "tool-call":
      return { type: "tool_call", id: part.id, name: part.name, arguments: room.value(part.params) }
    case "tool-result":
      return { type: "tool_call_response", id: part.id, response: room.value(part.result) }
    default:
      return undefined
  }
}

const messageOf = ({ content, role }: LlmRequest.Message, room: Room): Json => {
  if (typeof content === "string") return { role, parts: [{ type: "text", content: room.text(content) }] }
  const parts: Array<Json> = []
  for (const part of content) {
    if (room.isFull()) break
    const shown = partOf(part, room)
    if (shown !== undefined) parts.push(shown)
  }
  return { role, parts }
}

/**
 * What was asked: `gen_ai.input.messages`, `gen_ai.system_instructions` and stop sequences.
 *
 * @since 0.1.0
 * @category getters
 */
export const input = (set: TraceAttributes.Set, { embedding, messages, settings }: LlmRequest.LlmRequest): void => {
  if (embedding !== undefined) return
  const room = new Room()
  const system: Array<Json> = []
  const others: Array<Json> = []
  for (const message of messages) {
    if (room.isFull()) break
    if (message.role === "system") system.push({ type: "text", content: room.text(message.content) })
    else others.push(messageOf(message, room))
  }
  if (system.length > 0) set("gen_ai.system_instructions", JSON.stringify(system))
  set("gen_ai.input.messages", JSON.stringify(others))
  if (settings.stop !== undefined) set("gen_ai.request.stop_sequences", settings.stop.slice(0, 16))
}

/**
 * Gathers an answer as it comes.
 *
 * @since 0.1.0
 * @category models
 */
export class Output {
  private readonly room = new Room()
  private readonly shown: Array<Json> = []
  /** The texts of one block, which come piece by piece. */
  private open: { readonly type: "text" | "reasoning"; readonly pieces: Array<string>; size: number } | undefined

  readonly add = (parts: ReadonlyArray<Part.Part>): void => {
    for (const part of parts) {
      if (part.type === "text-delta") this.piece("text", part.delta)
      else if (part.type === "reasoning-delta") this.piece("reasoning", part.delta)
      else if (part.type === "tool-call") {
        this.close()
        if (this.room.isFull()) continue
        this.shown.push({ type: "tool_call", id: part.id, name: part.name, arguments: this.room.value(part.params) })
      }
    }
  }

  /** Shows what has come: `gen_ai.output.messages`. */
  show(set: TraceAttributes.Set, finishReason: Part.FinishReason | undefined): void {
    this.close()
    if (this.shown.length === 0) return
    // An answer that was cut off has no reason of its own to end.
    const reason = TraceAttributes.finishReasons[finishReason ?? "error"]
    set("gen_ai.output.messages", JSON.stringify([{ role: "assistant", parts: this.shown, finish_reason: reason }]))
  }

  private piece(type: "text" | "reasoning", piece: string): void {
    if (this.open?.type !== type) this.close()
    this.open ??= { type, pieces: [], size: 0 }
    // What cannot be shown is not kept, but counted.
    if (this.open.size < limits.characters) this.open.pieces.push(piece)
    this.open.size += piece.length
  }

  private close(): void {
    const { open } = this
    this.open = undefined
    if (open === undefined || this.room.isFull()) return
    this.shown.push({ type: open.type, content: this.room.text(open.pieces.join(""), open.size) })
  }
}
