import type { Part } from "@echelon/core"
import * as PartSize from "@echelon/core/PartSize"
import { expect, it } from "@effect/vitest"

it("counts what a part holds, wherever it stands", () => {
  const delta = (text: string): Part.Part => ({ type: "text-delta", id: "0", delta: text })
  expect(PartSize.of(delta("x".repeat(1_000)))).toBe(1_064)
  const long = "x".repeat(1_000)
  const parts: ReadonlyArray<Part.Part> = [
    { type: "reasoning-delta", id: "0", delta: long },
    { type: "text-delta", id: "0", delta: "", metadata: { p: { signature: long } } },
    { type: "text-delta", id: "0", delta: "", raw: { data: long } },
    { type: "response-metadata", raw: { data: long } },
    { type: "tool-call", id: "t", name: "n", params: { deep: [{ er: long }] } },
    { type: "file", mediaType: "image/png", data: long }
  ]
  for (const part of parts) {
    expect([part.type, PartSize.of(part) >= 1_064, PartSize.of(part) < 1_300]).toEqual([part.type, true, true])
  }
  expect(PartSize.ofAll(parts)).toBe(parts.reduce((sum, part) => sum + PartSize.of(part), 0))
})

it("ends with what holds itself", () => {
  const params: Record<string, unknown> = {}
  params["self"] = params
  expect(PartSize.of({ type: "tool-call", id: "t", name: "n", params })).toBeLessThan(500)
})
