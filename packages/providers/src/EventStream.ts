/**
 * Amazon's event stream (`application/vnd.amazon.eventstream`) as a pure step from bytes to events.
 *
 * A message is a prelude (its length, the length of its headers, a CRC-32 of both), headers, a payload, and a CRC-32
 * of all before it; integers are big-endian. It becomes an event as server-sent events have them, so that a protocol
 * does not see the framing: the name is `:event-type`, the data is the payload.
 *
 * `@smithy/eventstream-codec` decodes one whole message, but finds its bounds only in an async iterable that
 * allocates whatever length was stated; a limit and a pure step need the bounds here. What is left of the format is
 * small, and with the CRC of `node:zlib` it needs no library to be loaded. The tests encode with the library.
 *
 * @since 0.1.0
 */
import { crc32 } from "node:zlib"
import * as Json from "./Json.ts"
import type * as Sse from "./Sse.ts"

/**
 * The name of an event that is a failure. Its data is a JSON object whose `__type` says which.
 *
 * @since 0.1.0
 * @category models
 */
export const exception = "exception"

/**
 * What is held between two chunks.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  /** Bytes of the message that is not whole yet. */
  readonly rest: ReadonlyArray<Uint8Array>
  readonly restBytes: number
  /** How many bytes there must be before it is worth looking at them. */
  readonly needed: number
  /** Why nothing more is parsed; `undefined` while all is well. */
  readonly failure: string | undefined
}

const preludeBytes = 12
const crcBytes = 4
// The format's own limit.
const maxHeaderBytes = 128 * 1024

/**
 * The state before the first byte.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial: State = { rest: [], restBytes: 0, needed: preludeBytes, failure: undefined }

/**
 * Takes a chunk and gives the events that it completes.
 *
 * **Details** A checksum that does not match, a length that cannot be, and a payload longer than `maxEventBytes` set
 * `failure`. Lengths are looked at before the bytes that they announce have come.
 *
 * **Gotchas** A chunk is kept until its last message has ended: the caller must not write into it afterwards.
 *
 * @since 0.1.0
 * @category parsing
 */
export const step = (
  state: State,
  chunk: Uint8Array,
  maxEventBytes: number
): readonly [State, ReadonlyArray<Sse.Event>] => {
  if (state.failure !== undefined || chunk.length === 0) return [state, []]
  const total = state.restBytes + chunk.length
  if (total < state.needed) return [{ ...state, rest: append(state.rest, chunk), restBytes: total }, []]
  const bytes = state.restBytes === 0 ? chunk : concat(state.rest, total, chunk)
  const view = viewOf(bytes)
  const events: Array<Sse.Event> = []
  let at = 0
  let needed = preludeBytes
  let failure: string | undefined
  while (bytes.length - at >= preludeBytes) {
    const length = view.getUint32(at)
    const headerBytes = view.getUint32(at + 4)
    failure = problem(bytes, view, at, length, headerBytes, maxEventBytes)
    if (failure !== undefined) break
    needed = length
    if (bytes.length - at < length) break
    const event = read(bytes.subarray(at, at + length), headerBytes)
    if (typeof event === "string") {
      failure = event
      break
    }
    events.push(event)
    at += length
    needed = preludeBytes
  }
  const rest = bytes.length === at || failure !== undefined ? [] : [bytes.subarray(at)]
  return [{ rest, restBytes: bytes.length - at, needed, failure }, events]
}

/**
 * Ends the input: bytes of a message that never became whole set `failure`.
 *
 * @since 0.1.0
 * @category parsing
 */
export const flush = (state: State): State =>
  state.failure !== undefined || state.restBytes === 0
    ? state
    : { ...state, failure: "the stream ends inside a message" }

/** What is wrong with a prelude. */
const problem = (
  bytes: Uint8Array,
  view: DataView,
  at: number,
  length: number,
  headerBytes: number,
  maxEventBytes: number
): string | undefined => {
  if (crc32(bytes.subarray(at, at + 8)) !== view.getUint32(at + 8))
    return "the checksum of a message's prelude does not match"
  const payloadBytes = length - headerBytes - preludeBytes - crcBytes
  if (payloadBytes < 0 || headerBytes > maxHeaderBytes) return "a message states lengths that cannot be"
  return payloadBytes > maxEventBytes
    ? `an event is larger than ${maxEventBytes} bytes; raise max_event_bytes`
    : undefined
}

/** The event of a whole message, or what is wrong with it. */
const read = (message: Uint8Array, headerBytes: number): Sse.Event | string => {
  const end = message.length - crcBytes
  if (crc32(message.subarray(0, end)) !== viewOf(message).getUint32(end))
    return "the checksum of a message does not match"
  const headers = readHeaders(message.subarray(preludeBytes, preludeBytes + headerBytes))
  if (headers === undefined) return "the headers of a message cannot be read"
  const data = decoder.decode(message.subarray(preludeBytes + headerBytes, end))
  switch (headers.get(":message-type")) {
    case "exception":
      return failed(headers.get(":exception-type"), data)
    case "error":
      return failed(headers.get(":error-code"), JSON.stringify({ message: headers.get(":error-message") }))
    default:
      return { event: headers.get(":event-type"), data }
  }
}

const failed = (type: string | undefined, data: string): Sse.Event => {
  const body = Json.parse(data)
  return {
    event: exception,
    data: JSON.stringify({ ...(Json.isObject(body) ? body : { message: data }), __type: type })
  }
}

// Bytes of a value by its type: true, false, byte, short, integer, long, bytes, string, timestamp, UUID. Bytes and
// strings state their own length.
const valueBytes: ReadonlyArray<number | undefined> = [0, 0, 1, 2, 4, 8, undefined, undefined, 8, 16]
const stringType = 7

/** The headers that are strings; `undefined` when one is not whole or of a type that is not known. */
const readHeaders = (bytes: Uint8Array): ReadonlyMap<string, string> | undefined => {
  const view = viewOf(bytes)
  const headers = new Map<string, string>()
  let at = 0
  while (at < bytes.length) {
    const typeAt = at + 1 + view.getUint8(at)
    if (typeAt >= bytes.length) return undefined
    const type = view.getUint8(typeAt)
    if (type >= valueBytes.length) return undefined
    let from = typeAt + 1
    let length = valueBytes[type]
    if (length === undefined) {
      if (from + 2 > bytes.length) return undefined
      length = view.getUint16(from)
      from += 2
    }
    if (from + length > bytes.length) return undefined
    if (type === stringType)
      headers.set(decoder.decode(bytes.subarray(at + 1, typeAt)), decoder.decode(bytes.subarray(from, from + length)))
    at = from + length
  }
  return headers
}

// Stateless while it is never asked to stream.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)

// Merged like the digits of a binary counter, so that a message dripping in byte by byte is not copied each time.
const append = (rest: ReadonlyArray<Uint8Array>, bytes: Uint8Array): ReadonlyArray<Uint8Array> => {
  const parts = [...rest]
  let last = bytes
  for (let before = parts.at(-1); before !== undefined && before.length <= last.length; before = parts.at(-1)) {
    parts.pop()
    last = concat([before], before.length + last.length, last)
  }
  parts.push(last)
  return parts
}

const concat = (parts: ReadonlyArray<Uint8Array>, length: number, last: Uint8Array): Uint8Array => {
  const whole = new Uint8Array(length)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  whole.set(last, at)
  return whole
}
