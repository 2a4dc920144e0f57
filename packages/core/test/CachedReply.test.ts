import type { Part } from "@echelon/core"
import * as CachedReply from "@echelon/core/CachedReply"
import { expect, it } from "@effect/vitest"
import { Option } from "effect"
import { dice } from "./support/dice.ts"

const delta = (text: string, id = "0"): Part.Part => ({ type: "text-delta", id, delta: text })
const finish = (reason: Part.FinishReason = "stop"): Part.Part => ({
  type: "finish",
  reason,
  usage: { inputTokens: { total: 3 }, outputTokens: { total: 2 } }
})
const gathered = (parts: ReadonlyArray<Part.Part>, maxSize = 10_000) => {
  const state = CachedReply.gather(maxSize)
  let whole: ReadonlyArray<Part.Part> | undefined
  for (const part of parts) whole = CachedReply.add(state, [part])
  return { whole, state }
}

it("a whole answer of text and reasoning is kept", () => {
  const parts: ReadonlyArray<Part.Part> = [
    { type: "response-metadata", id: "r" },
    { type: "reasoning-delta", id: "1", delta: "hm" },
    { type: "text-start", id: "0" },
    delta("one"),
    { type: "text-end", id: "0" },
    finish()
  ]
  expect(gathered(parts).whole).toEqual(parts)
  const state = CachedReply.gather(10_000)
  expect(CachedReply.add(state, parts)).toEqual(parts)
  expect(CachedReply.add(CachedReply.gather(10_000), parts.slice(0, -1))).toBeUndefined()
})

it("what is not whole, not plain or not wanted twice is not kept", () => {
  const left: Record<string, ReadonlyArray<Part.Part>> = {
    length: [delta("one"), finish("length")],
    "content-filter": [delta("one"), finish("content-filter")],
    "tool-calls": [delta("one"), finish("tool-calls")],
    error: [delta("one"), finish("error")],
    other: [delta("one"), finish("other")],
    unknown: [delta("one"), finish("unknown")],
    empty: [{ type: "text-start", id: "0" }, delta(""), finish()],
    unfinished: [delta("one")],
    "a tool call": [delta("one"), { type: "tool-call", id: "t", name: "n", params: {} }, finish()],
    "half a tool call": [{ type: "tool-params-start", id: "t", name: "n" }, finish()],
    "a source": [
      delta("one"),
      { type: "source", sourceType: "url", id: "s", url: "https://example.org", title: "t" },
      finish()
    ],
    "a file": [{ type: "file", mediaType: "image/png", data: "aGk=" }, finish()],
    "an error part": [delta("one"), { type: "error", error: "broken" }, finish()],
    "a seam": [
      delta("one"),
      { type: "response-metadata", metadata: { echelon: { seam: { from: "a", to: "b", mode: "resume" } } } },
      delta("two"),
      finish()
    ],
    long: [delta("x".repeat(9_999)), finish()]
  }
  for (const [name, parts] of Object.entries(left)) {
    const { state, whole } = gathered(parts)
    expect([name, whole]).toEqual([name, undefined])
    if (name !== "unfinished") expect([name, state.parts]).toEqual([name, undefined])
  }
})

it("what is refused is let go of at once", () => {
  const { state } = gathered([delta("x".repeat(100)), delta("x".repeat(100))], 200)
  expect(state.parts).toBeUndefined()
  CachedReply.add(state, [delta("x")])
  expect(state.parts).toBeUndefined()
})

it("pieces of a block are joined, and events left out", () => {
  const signed: Part.Part = { type: "text-delta", id: "0", delta: "e", metadata: { p: { signature: "s" } } }
  const parts: ReadonlyArray<Part.Part> = [
    { type: "response-metadata", raw: { data: "{}" } },
    { type: "response-metadata", id: "r", raw: { data: "{}" } },
    { type: "reasoning-delta", id: "0", delta: "h" },
    { type: "reasoning-delta", id: "0", delta: "m" },
    { ...delta("a"), raw: { data: "{}" } } as Part.Part,
    delta("b"),
    delta("c", "1"),
    delta("d", "1"),
    signed,
    delta("f"),
    finish()
  ]
  expect(CachedReply.compact(parts, { keepsRaw: false })).toEqual([
    { type: "response-metadata", id: "r" },
    { type: "reasoning-delta", id: "0", delta: "hm" },
    delta("ab"),
    delta("cd", "1"),
    signed,
    delta("f"),
    finish()
  ])
  const raw = CachedReply.compact(parts, { keepsRaw: true })
  expect(raw.flatMap((part) => part.raw ?? []).length).toBe(3)
  expect(raw.length).toBe(parts.length - 2)
})

it("joining changes no word", () => {
  for (let seed = 0; seed < 300; seed++) {
    const { below, of } = dice(seed)
    const parts = Array.from(
      { length: below(20) },
      (): Part.Part =>
        of([
          delta(String(below(10)), of(["0", "1"])),
          { type: "reasoning-delta", id: of(["0", "1"]), delta: String(below(10)) },
          { type: "text-start", id: "0" },
          { ...delta("e"), raw: { data: "{}" } } as Part.Part
        ])
    )
    const textOf = (all: ReadonlyArray<Part.Part>) =>
      all.flatMap((part) => ("delta" in part ? [...part.delta].map((c) => `${part.type}${part.id}${c}`) : part.type))
    for (const keepsRaw of [true, false])
      expect(textOf(CachedReply.compact(parts, { keepsRaw }))).toEqual(textOf(parts))
  }
})

it("what a store gives back is read only when it is a whole answer", () => {
  const parts = [{ type: "text-start", id: "0" }, delta("one"), { type: "text-end", id: "0" }, finish()] as const
  const text = Option.getOrThrow(CachedReply.encode(parts))
  expect(Option.getOrThrow(CachedReply.decode(text))).toEqual(parts)
  for (const broken of [
    "",
    "{",
    "null",
    "[]",
    "[1]",
    JSON.stringify([delta("one")]),
    JSON.stringify([finish(), delta("one")]),
    JSON.stringify([finish(), finish()]),
    JSON.stringify([finish("length")]),
    JSON.stringify([{ type: "text-delta", id: "0" }, finish()]),
    JSON.stringify([{ type: "tool-call", id: "t", name: "n", params: {} }, finish()]),
    JSON.stringify([{ type: "finish", reason: "stop", usage: {} }])
  ])
    expect([broken, Option.isNone(CachedReply.decode(broken))]).toEqual([broken, true])
})
