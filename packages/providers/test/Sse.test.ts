import { Sse } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { cut, seeded } from "./Support.ts"

const encoder = new TextEncoder()
const limit = 1 << 20

const read = (chunks: ReadonlyArray<Uint8Array>, max = limit) => {
  let state = Sse.initial
  const events: Array<Sse.Event> = []
  for (const chunk of chunks) {
    const [next, more] = Sse.step(state, chunk, max)
    state = next
    events.push(...more)
  }
  return { events: [...events, ...Sse.flush(state)], state }
}

const readText = (text: string, max = limit) => read([encoder.encode(text)], max).events

const event = (data: string, name?: string): Sse.Event => ({ event: name, data })

it("reads names, data, comments and unknown fields", () => {
  expect(readText(": hi\nevent: ping\nid: 7\nretry: 10\ndata: a\n\ndata:b\nfoo: c\n\n")).toEqual([
    event("a", "ping"),
    event("b")
  ])
})

it("joins data lines and drops one leading space only", () => {
  expect(readText("data:  a\ndata\ndata: b\n\n")).toEqual([event(" a\n\nb")])
})

it("gives nothing for events without data", () => {
  expect(readText(": keep-alive\n\nevent: x\n\n\n\ndata: a\n\n")).toEqual([event("a")])
})

it("does not take a longer field name for a known one", () => {
  expect(readText("database: x\nevents: y\ndata: a\n\n")).toEqual([event("a")])
})

it("takes LF, CR and CRLF as line ends, mixed", () => {
  expect(readText("data: a\r\rdata: b\r\n\r\ndata: c\n\n")).toEqual([event("a"), event("b"), event("c")])
})

it("does not take the LF of a split CRLF for a blank line", () => {
  const chunks = ["event: n\r", "\ndata: a\r", "\ndata: b\r", "\n\r", "\n"].map((text) => encoder.encode(text))
  expect(read(chunks).events).toEqual([event("a\nb", "n")])
})

it("drops a leading BOM, and no other", () => {
  expect(readText("\uFEFFdata: \uFEFFa\n\n")).toEqual([event("\uFEFFa")])
})

it("does not split lines at U+2028 or U+0085", () => {
  expect(readText("data: a\u2028b\u0085c\n\n")).toEqual([event("a\u2028b\u0085c")])
})

it("gives the last event although no blank line ended it", () => {
  expect(readText("data: a\n\ndata: [DONE]")).toEqual([event("a"), event("[DONE]")])
})

it("stops at an event that is too large, finished or not", () => {
  expect(read([encoder.encode(`data: ${"x".repeat(50)}\n\n`)], 40).state.overflow).toBe(true)
  expect(read([encoder.encode(`data: ${"x".repeat(50)}`)], 40).state.overflow).toBe(true)
  expect(read([encoder.encode(`data: ${"x".repeat(30)}\ndata: ${"x".repeat(30)}\n`)], 40).state.overflow).toBe(true)
  // Counted in bytes: fourteen characters of three bytes each.
  expect(read([encoder.encode(`data: ${"語".repeat(14)}\n\n`)], 40).state.overflow).toBe(true)
  expect(read([encoder.encode(`data: ${"x".repeat(30)}\n\ndata: ${"x".repeat(30)}\n\n`)], 40).state.overflow).toBe(
    false
  )
})

it("gives the events before one that is too large", () => {
  const { events } = read([encoder.encode(`data: a\n\ndata: ${"x".repeat(50)}\n\n`)], 40)
  expect(events).toEqual([event("a")])
})

it("reads the same however the bytes are cut", () => {
  const text = '\uFEFFevent: m\r\ndata: {"t":"héllo 語 🎉"}\r\n\r\n: c\r\rdata: a\ndata: b\n\ndata: [DONE]\n\n'
  const bytes = encoder.encode(text)
  const whole = read([bytes]).events
  expect(whole.length).toBe(3)
  for (let seed = 0; seed < 300; seed++) {
    const random = seeded(seed)
    const chunks: Array<Uint8Array> = []
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + Math.floor(random() * 6)
      chunks.push(bytes.slice(at, at + size))
      at += size
    }
    expect(read(chunks).events).toEqual(whole)
  }
  expect(read([...bytes].map((byte) => Uint8Array.of(byte))).events).toEqual(whole)
})

it("keeps no more pieces of a dripping line than its length has digits", () => {
  let state = Sse.initial
  for (let i = 0; i < 5000; i++) state = Sse.step(state, Uint8Array.of(120), limit)[0]
  expect(state.restBytes).toBe(5000)
  expect(state.rest.length).toBeLessThan(20)
})

it("reads random cuts of many events without loss", () => {
  const bytes = encoder.encode(Array.from({ length: 500 }, (_, i) => `data: {"i":${i},"t":"é${i}"}\n\n`).join(""))
  const { events } = read(cut(bytes, seeded(1)))
  expect(events.length).toBe(500)
  expect(events[499]).toEqual(event('{"i":499,"t":"é499"}'))
})
