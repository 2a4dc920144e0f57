/**
 * Server-sent events as a pure step from bytes to events.
 *
 * Follows the event stream grammar of the WHATWG HTML standard: lines end in LF, CR or CRLF, a BOM may lead,
 * comments and unknown fields are skipped, data lines join by LF, and a blank line ends an event. `id` and
 * `retry` are skipped: no provider is reconnected to.
 *
 * Bytes are cut at the last line end and decoded there. A line end never lies inside a UTF-8 sequence, so no
 * decoder state is kept and a character split over chunks costs nothing.
 *
 * @since 0.1.0
 */

/**
 * One event: its name, when it had one, and its data.
 *
 * @since 0.1.0
 * @category models
 */
export interface Event {
  readonly event: string | undefined
  readonly data: string
}

/**
 * What is held between two chunks.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  /** Bytes of the line that has not ended yet. */
  readonly rest: ReadonlyArray<Uint8Array>
  readonly restBytes: number
  readonly data: string | undefined
  readonly event: string | undefined
  readonly started: boolean
  /** The last byte was a CR: a LF that follows belongs to it. */
  readonly afterCr: boolean
  /** An event was larger than allowed; nothing more is parsed. */
  readonly overflow: boolean
}

/**
 * The state before the first byte.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial: State = {
  rest: [],
  restBytes: 0,
  data: undefined,
  event: undefined,
  started: false,
  afterCr: false,
  overflow: false
}

const LF = 10
const CR = 13
// Stateless while it is never asked to stream.
const decoder = new TextDecoder("utf-8", { ignoreBOM: true })

/**
 * Takes a chunk and gives the events that it completes.
 *
 * **Details** An event whose data is longer than `maxEventBytes` sets `overflow`, whether or not it has ended.
 *
 * **Gotchas** A chunk is kept until its last line has ended: the caller must not write into it afterwards.
 *
 * @since 0.1.0
 * @category parsing
 */
export const step = (
  state: State,
  chunk: Uint8Array,
  maxEventBytes: number
): readonly [State, ReadonlyArray<Event>] => {
  if (state.overflow || chunk.length === 0) return [state, []]
  let bytes = chunk
  if (state.afterCr && bytes[0] === LF) bytes = bytes.subarray(1)
  const end = Math.max(bytes.lastIndexOf(LF), bytes.lastIndexOf(CR)) + 1
  if (end === 0) {
    const restBytes = state.restBytes + bytes.length
    const overflow = restBytes + (state.data?.length ?? 0) > maxEventBytes
    return [{ ...state, rest: append(state.rest, bytes), restBytes, afterCr: false, overflow }, []]
  }
  const lines = decoder.decode(
    state.rest.length === 0 ? bytes.subarray(0, end) : concat(state.rest, state.restBytes, bytes.subarray(0, end))
  )
  const afterCr = end === bytes.length && bytes[end - 1] === CR
  const rest = end === bytes.length ? [] : [bytes.subarray(end)]
  return scan(state, lines, rest, bytes.length - end, afterCr, maxEventBytes)
}

/**
 * Ends the input. An event that no blank line closed is given too: some servers leave it out after the last one.
 *
 * @since 0.1.0
 * @category parsing
 */
export const flush = (state: State): ReadonlyArray<Event> => {
  if (state.overflow) return []
  const tail = state.restBytes === 0 ? "" : decoder.decode(concat(state.rest, state.restBytes, new Uint8Array(0)))
  const [, events] = scan(state, `${tail}\n\n`, [], 0, false, Number.POSITIVE_INFINITY)
  return events
}

// Merged like the digits of a binary counter, so that a line dripping in byte by byte is not copied each time.
const append = (rest: ReadonlyArray<Uint8Array>, bytes: Uint8Array): ReadonlyArray<Uint8Array> => {
  if (bytes.length === 0) return rest
  const parts = [...rest]
  let last = bytes
  for (let before = parts.at(-1); before !== undefined && before.length <= last.length; before = parts.at(-1)) {
    parts.pop()
    last = concat([before], before.length, last)
  }
  parts.push(last)
  return parts
}

const concat = (parts: ReadonlyArray<Uint8Array>, length: number, last: Uint8Array): Uint8Array => {
  const whole = new Uint8Array(length + last.length)
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  whole.set(last, at)
  return whole
}

const scan = (
  state: State,
  lines: string,
  rest: ReadonlyArray<Uint8Array>,
  restBytes: number,
  afterCr: boolean,
  maxEventBytes: number
): readonly [State, ReadonlyArray<Event>] => {
  const text = lines.includes("\r") ? lines.replace(/\r\n?/g, "\n") : lines
  const events: Array<Event> = []
  let { data, event } = state
  let at = !state.started && text.charCodeAt(0) === 0xfeff ? 1 : 0
  let overflow = false
  while (at < text.length) {
    const end = text.indexOf("\n", at)
    if (end === at) {
      if (data !== undefined) {
        if (tooLong(data, 0, maxEventBytes)) {
          overflow = true
          break
        }
        events.push({ event, data })
      }
      data = undefined
      event = undefined
    } else if (text.startsWith("data", at)) {
      const value = field(text, at + 4, end)
      if (value !== undefined) data = data === undefined ? value : `${data}\n${value}`
    } else if (text.startsWith("event", at)) {
      const value = field(text, at + 5, end)
      if (value !== undefined) event = value === "" ? undefined : value
    }
    at = end + 1
  }
  if (!overflow) overflow = tooLong(data ?? "", restBytes, maxEventBytes)
  return [{ rest, restBytes, data, event, started: true, afterCr, overflow }, events]
}

/** The value behind a field's name; `undefined` when the line has another name. */
const field = (text: string, colon: number, end: number): string | undefined => {
  if (colon === end) return ""
  if (text.charCodeAt(colon) !== 58) return undefined
  return text.slice(text.charCodeAt(colon + 1) === 32 && colon + 1 < end ? colon + 2 : colon + 1, end)
}

// A UTF-16 unit is at most three bytes, so that most events need no second look.
const tooLong = (data: string, more: number, max: number): boolean =>
  data.length * 3 + more > max && new TextEncoder().encode(data).length + more > max
