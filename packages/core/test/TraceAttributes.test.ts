import * as LlmRequest from "@echelon/core/LlmRequest"
import * as TraceAttributes from "@echelon/core/TraceAttributes"
import * as TraceContent from "@echelon/core/TraceContent"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"

const ids = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" }

it("a traceparent is what W3C says, and nothing that a caller made up", () => {
  expect(TraceAttributes.traceparent(ids, true)).toBe(`00-${ids.traceId}-${ids.spanId}-01`)
  expect(TraceAttributes.traceparent({ ...ids, traceId: ids.traceId.slice(16) }, false)).toBe(
    `00-0000000000000000${ids.traceId.slice(16)}-${ids.spanId}-00`
  )
  for (const wrong of [{ traceId: "noop" }, { spanId: "noop" }, { spanId: "B7AD6B7169203331" }, { traceId: "a\r\nb" }])
    expect(TraceAttributes.traceparent({ ...ids, ...wrong }, true)).toBeUndefined()
})

const inputOf = (prompt: LlmRequest.Input["prompt"]) => {
  const shown: Record<string, unknown> = {}
  TraceContent.input(
    (key, value) => {
      shown[key] = value
    },
    Effect.runSync(LlmRequest.make({ prompt }, { stream: false, commit: "finish" }))
  )
  return shown
}
const messagesOf = (prompt: LlmRequest.Input["prompt"]) =>
  JSON.parse(String(inputOf(prompt)["gen_ai.input.messages"])) as ReadonlyArray<{
    readonly parts: ReadonlyArray<Readonly<Record<string, unknown>>>
  }>

it("content is bounded, whatever comes in, and stays JSON", () => {
  const long = "x".repeat(TraceContent.limits.characters * 3)
  const [message] = messagesOf(long)
  expect(String(message?.parts[0]?.["content"])).toBe(
    `${"x".repeat(TraceContent.limits.characters)}… (${TraceContent.limits.characters * 2} characters more)`
  )
  const many = Array.from({ length: 10_000 }, () => ({ role: "user" as const, content: "hi" }))
  expect(messagesOf(many).length).toBe(TraceContent.limits.parts)
  const call = (params: unknown) =>
    messagesOf([{ role: "assistant", content: [{ type: "tool-call", id: "1", name: "f", params }] }])[0]?.parts[0]
  expect(String(call({ long })?.["arguments"]).length).toBeLessThan(TraceContent.limits.characters + 64)
  const self: Record<string, unknown> = { big: 1n }
  self["self"] = self
  expect(call(self)?.["arguments"]).toEqual({ big: "1", self: null })
})

it("the bytes of files are not shown", () => {
  const [message] = messagesOf([
    { role: "user", content: [{ type: "file", mediaType: "image/png", data: "cGxhbnRlZA==" }] }
  ])
  expect(message?.parts).toEqual([{ type: "blob", mime_type: "image/png", modality: "image", content: "" }])
})

it("an answer is gathered block by block, and what cannot be shown is counted but not kept", () => {
  const output = new TraceContent.Output()
  output.add([
    { type: "reasoning-delta", id: "r", delta: "hm" },
    { type: "text-delta", id: "0", delta: "one " },
    { type: "text-delta", id: "0", delta: "two" },
    { type: "tool-call", id: "1", name: "f", params: { x: 1 } }
  ])
  for (let i = 0; i < 1_000; i++) output.add([{ type: "text-delta", id: "0", delta: "y".repeat(100) }])
  const shown: Record<string, unknown> = {}
  output.show((key, value) => {
    shown[key] = value
  }, "tool-calls")
  const [message] = JSON.parse(String(shown["gen_ai.output.messages"]))
  expect(message.finish_reason).toBe("tool_call")
  expect(message.parts.slice(0, 3)).toEqual([
    { type: "reasoning", content: "hm" },
    { type: "text", content: "one two" },
    { type: "tool_call", id: "1", name: "f", arguments: { x: 1 } }
  ])
  expect(message.parts[3].content).toMatch(/^y+… \(\d+ characters more\)$/)
  const said = message.parts[3].content as string
  expect(/^y+/.exec(said)?.[0].length).toBe(TraceContent.limits.characters - "hmone two".length - '{"x":1}'.length)
  expect(Number(/\((\d+)/.exec(said)?.[1])).toBe(100_000 - (/^y+/.exec(said)?.[0].length ?? 0))
})
