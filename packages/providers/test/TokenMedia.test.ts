import * as TokenMedia from "@echelon/providers/TokenMedia"
import { expect, it } from "@effect/vitest"

const cost = (model: string, width: number, height: number, detail?: "low") => {
  const rule = TokenMedia.ruleOf(model)
  return rule === undefined ? undefined : TokenMedia.ofImage(rule, { width, height }, detail)
}

it("counts tiles for OpenAI's larger models", () => {
  expect(cost("gpt-4o", 1_024, 1_024)).toBe(765)
  expect(cost("gpt-4o", 2_048, 4_096)).toBe(1_105)
  expect(cost("gpt-4o", 4_096, 8_192, "low")).toBe(85)
  expect(cost("gpt-4o", 200, 200)).toBe(255)
  expect(cost("gpt-4.1-2025-04-14", 1_024, 1_024)).toBe(765)
  expect(cost("gpt-4o-mini", 1_024, 1_024)).toBe(2_833 + 4 * 5_667)
  expect(cost("gpt-5", 1_024, 1_024)).toBe(70 + 4 * 140)
  expect(cost("o3", 1_024, 1_024)).toBe(75 + 4 * 150)
})

it("counts patches for its smaller ones, up to their most", () => {
  expect(cost("gpt-5-nano", 1_024, 1_024)).toBe(Math.ceil(1_024 * 2.46))
  expect(cost("gpt-4.1-mini", 8_000, 8_000)).toBe(Math.ceil(1_536 * 1.62))
})

it("counts pixels for Anthropic and crops for Gemini", () => {
  expect(cost("claude-sonnet-4-5", 1_000, 1_000)).toBe(1_334)
  expect(cost("claude-sonnet-4-5", 3_136, 1_568)).toBe(Math.ceil((1_568 * 784) / 750))
  expect(cost("gemini-2.5-flash", 384, 384)).toBe(258)
  expect(cost("gemini-2.5-flash", 960, 540)).toBe(516)
  expect(cost("gemini-3-pro-preview", 10, 10)).toBe(1_120)
})

it("assumes a size where it is not told, and knows no rule of strangers", () => {
  const part = { type: "file" as const, mediaType: "image/png", data: new URL("https://a.test/i.png") }
  expect(TokenMedia.ofPart(part, "gpt-4o")).toBe(765)
  expect(TokenMedia.ofPart({ ...part, options: { openai: { imageDetail: "low" } } }, "gpt-4o")).toBe(85)
  expect(TokenMedia.ofPart(part, "mine")).toBeUndefined()
})
