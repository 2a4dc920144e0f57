import { crc32 } from "node:zlib"
import * as EventStream from "@echelon/providers/EventStream"
import * as Framing from "@echelon/providers/Framing"
import type * as Sse from "@echelon/providers/Sse"
import { expect, it } from "@effect/vitest"
import { encode, exception, failure, joined, message } from "./BedrockConverseSupport.ts"
import { cut, seeded } from "./Support.ts"

const max = 10_000

const read = (chunks: Iterable<Uint8Array>, maxEventBytes = max) => {
  let state = EventStream.initial
  const events: Array<Sse.Event> = []
  for (const chunk of chunks) {
    const [next, more] = EventStream.step(state, chunk, maxEventBytes)
    state = next
    events.push(...more)
  }
  return { events, failure: EventStream.flush(state).failure, before: state.failure }
}

/** A message whose checksums are right, whatever it says. */
const sealed = (headers: Uint8Array, payload: Uint8Array, lengths: { total?: number; headers?: number } = {}) => {
  const bytes = Buffer.alloc(16 + headers.length + payload.length)
  bytes.writeUInt32BE(lengths.total ?? bytes.length, 0)
  bytes.writeUInt32BE(lengths.headers ?? headers.length, 4)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, 8)), 8)
  bytes.set(headers, 12)
  bytes.set(payload, 12 + headers.length)
  bytes.writeUInt32BE(crc32(bytes.subarray(0, bytes.length - 4)), bytes.length - 4)
  return new Uint8Array(bytes)
}

const stream = joined(
  message("messageStart", { role: "assistant" }),
  message("contentBlockDelta", { contentBlockIndex: 0, delta: { text: "日本語 🙂" } }),
  message("empty", ""),
  message("messageStop", { stopReason: "end_turn" })
)

const events = [
  { event: "messageStart", data: '{"role":"assistant"}' },
  { event: "contentBlockDelta", data: '{"contentBlockIndex":0,"delta":{"text":"日本語 🙂"}}' },
  { event: "empty", data: "" },
  { event: "messageStop", data: '{"stopReason":"end_turn"}' }
]

it("gives the events of a stream", () => {
  expect(read([stream])).toEqual({ events, failure: undefined, before: undefined })
  expect(read([])).toEqual({ events: [], failure: undefined, before: undefined })
})

it("gives the same events wherever the stream is cut", () => {
  for (let at = 0; at <= stream.length; at++)
    expect(read([stream.slice(0, at), stream.slice(at)]).events).toEqual(events)
  expect(read([...stream].map((byte) => Uint8Array.of(byte))).events).toEqual(events)
  const random = seeded(7)
  for (let run = 0; run < 50; run++) expect(read(cut(stream, random))).toMatchObject({ events, failure: undefined })
})

it("does not change the state that it is given", () => {
  const [half] = EventStream.step(EventStream.initial, stream.slice(0, 50), max)
  const [, once] = EventStream.step(half, stream.slice(50), max)
  const [, twice] = EventStream.step(half, stream.slice(50), max)
  expect(twice).toEqual(once)
})

it("reads past headers of every type", () => {
  const bytes = encode(
    {
      yes: { type: "boolean", value: true },
      no: { type: "boolean", value: false },
      byte: { type: "byte", value: 1 },
      short: { type: "short", value: 2 },
      integer: { type: "integer", value: 3 },
      long: { type: "long", value: { bytes: new Uint8Array(8), valueOf: () => 0 } },
      binary: { type: "binary", value: Uint8Array.of(1, 2, 3) },
      when: { type: "timestamp", value: new Date(0) },
      uuid: { type: "uuid", value: "01234567-89ab-cdef-0123-456789abcdef" },
      ":event-type": { type: "string", value: "last" }
    },
    "{}"
  )
  expect(read([bytes])).toMatchObject({ events: [{ event: "last", data: "{}" }], failure: undefined })
})

it("makes failures of exceptions and errors", () => {
  const data = (bytes: Uint8Array) => {
    const [event] = read([bytes]).events
    expect(event?.event).toBe(EventStream.exception)
    return JSON.parse(event?.data ?? "")
  }
  expect(data(exception("throttlingException", { message: "slow", __type: "a lie" }))).toEqual({
    __type: "throttlingException",
    message: "slow"
  })
  expect(data(exception("modelStreamErrorException", "no JSON"))).toEqual({
    __type: "modelStreamErrorException",
    message: "no JSON"
  })
  expect(data(failure("InternalFailure", "oops"))).toEqual({ __type: "InternalFailure", message: "oops" })
})

it("fails when any byte of a message is another", () => {
  const whole = message("messageStart", { role: "assistant" })
  for (let at = 0; at < whole.length; at++) {
    const broken = whole.slice()
    broken[at] = (broken[at] ?? 0) ^ 0x10
    const { before, events } = read([broken, whole])
    expect([at, events]).toEqual([at, []])
    expect(before).toMatch(at < 12 ? /^the checksum of a message's prelude / : /^the checksum of a message /)
  }
})

it("gives what came before a failure, and nothing after it", () => {
  const broken = stream.slice()
  broken[stream.length - 1] = (broken[stream.length - 1] ?? 0) ^ 1
  const { before, events: given } = read([joined(broken, stream)])
  expect(given).toEqual(events.slice(0, 3))
  expect(before).toBe("the checksum of a message does not match")
})

it("holds an event to its limit before it has come", () => {
  const large = message("contentBlockDelta", "x".repeat(101))
  expect(read([large], 101).events.length).toBe(1)
  const { before } = read([large.slice(0, 12)], 100)
  expect(before).toBe("an event is larger than 100 bytes; raise max_event_bytes")
})

it("fails at lengths that cannot be and at headers that cannot be read", () => {
  const none = new Uint8Array(0)
  const cases: ReadonlyArray<readonly [Uint8Array, string]> = [
    [sealed(none, none, { total: 15 }), "a message states lengths that cannot be"],
    [sealed(none, none, { headers: 1 }), "a message states lengths that cannot be"],
    [sealed(new Uint8Array(128 * 1024 + 1), none), "a message states lengths that cannot be"],
    // A name longer than the headers, no type, an unknown type, a string and a number that are cut off.
    [sealed(Uint8Array.of(9, 97), none), "the headers of a message cannot be read"],
    [sealed(Uint8Array.of(1, 97), none), "the headers of a message cannot be read"],
    [sealed(Uint8Array.of(1, 97, 10), none), "the headers of a message cannot be read"],
    [sealed(Uint8Array.of(1, 97, 7, 0), none), "the headers of a message cannot be read"],
    [sealed(Uint8Array.of(1, 97, 7, 0, 2, 97), none), "the headers of a message cannot be read"],
    [sealed(Uint8Array.of(1, 97, 4, 0, 0), none), "the headers of a message cannot be read"]
  ]
  for (const [bytes, said] of cases) expect(read([bytes])).toEqual({ events: [], failure: said, before: said })
  expect(read([sealed(none, none)])).toMatchObject({ events: [{ event: undefined, data: "" }], failure: undefined })
})

it("fails at an end inside a message", () => {
  for (const at of [1, 11, 12, 40])
    expect(read([stream.slice(0, at)])).toMatchObject({ events: [], failure: "the stream ends inside a message" })
})

it("is a framing beside that of server-sent events", () => {
  const binary = Framing.reader("eventstream", max)
  expect(binary.push(stream)).toEqual({ events, failure: undefined })
  expect(binary.push(stream.slice(0, 5)).events).toEqual([])
  expect(binary.end()).toEqual({ events: [], failure: "the stream ends inside a message" })
  const text = Framing.reader("sse", 8)
  const bytes = (value: string) => new TextEncoder().encode(value)
  expect(text.push(bytes("data: 1\n\n"))).toEqual({ events: [{ event: undefined, data: "1" }], failure: undefined })
  expect(text.push(bytes("data: 2"))).toEqual({ events: [], failure: undefined })
  expect(text.end()).toEqual({ events: [{ event: undefined, data: "2" }], failure: undefined })
  expect(Framing.reader("sse", 8).push(bytes("data: 123456789\n\n")).failure).toBe(
    "an event is larger than 8 bytes; raise max_event_bytes"
  )
  for (const framing of ["sse", "eventstream"] as const)
    expect(Framing.ofMediaType(Framing.mediaTypes[framing])).toBe(framing)
  expect(Framing.ofMediaType("application/json")).toBe(undefined)
})
