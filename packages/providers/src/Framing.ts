/**
 * How a stream is cut into events: one of the axes of a provider.
 *
 * @since 0.1.0
 */
import * as EventStream from "./EventStream.ts"
import * as Sse from "./Sse.ts"

/**
 * A framing.
 *
 * - `sse`: server-sent events.
 * - `eventstream`: Amazon's binary event stream.
 *
 * @since 0.1.0
 * @category models
 */
export type Framing = "sse" | "eventstream"

/**
 * The media type of each framing.
 *
 * @since 0.1.0
 * @category models
 */
export const mediaTypes: Readonly<Record<Framing, string>> = {
  sse: "text/event-stream",
  eventstream: "application/vnd.amazon.eventstream"
}

/**
 * The framing of a media type; `undefined` when it is none of a stream.
 *
 * @since 0.1.0
 * @category getters
 */
export const ofMediaType = (mediaType: string): Framing | undefined => {
  switch (mediaType) {
    case mediaTypes.sse:
      return "sse"
    case mediaTypes.eventstream:
      return "eventstream"
    default:
      return undefined
  }
}

/**
 * The events that some bytes completed. With a `failure` they are the last: what follows cannot be read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Frames {
  readonly events: ReadonlyArray<Sse.Event>
  readonly failure: string | undefined
}

/**
 * Cuts one stream.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reader {
  readonly push: (chunk: Uint8Array) => Frames
  readonly end: () => Frames
}

/**
 * Makes the reader of one stream. An event longer than `maxEventBytes` is a failure.
 *
 * @since 0.1.0
 * @category constructors
 */
export const reader = (framing: Framing, maxEventBytes: number): Reader =>
  framing === "sse" ? sseReader(maxEventBytes) : eventStreamReader(maxEventBytes)

const sseReader = (maxEventBytes: number): Reader => {
  let state = Sse.initial
  return {
    push: (chunk) => {
      const [next, events] = Sse.step(state, chunk, maxEventBytes)
      state = next
      const failure = next.overflow
        ? `an event is larger than ${maxEventBytes} bytes; raise max_event_bytes`
        : undefined
      return { events, failure }
    },
    end: () => ({ events: Sse.flush(state), failure: undefined })
  }
}

const eventStreamReader = (maxEventBytes: number): Reader => {
  let state = EventStream.initial
  return {
    push: (chunk) => {
      const [next, events] = EventStream.step(state, chunk, maxEventBytes)
      state = next
      return { events, failure: next.failure }
    },
    end: () => {
      state = EventStream.flush(state)
      return { events: [], failure: state.failure }
    }
  }
}
