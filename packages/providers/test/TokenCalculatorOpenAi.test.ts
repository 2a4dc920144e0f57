import * as TokenCalculatorOpenAi from "@echelon/providers/TokenCalculatorOpenAi"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { requestOf } from "./Support.ts"

const { count, encodingOf, load } = TokenCalculatorOpenAi

it("knows which encoding a model has", () => {
  for (const model of ["gpt-4o", "gpt-4.1-mini", "gpt-5-nano-2025-08-07", "o3", "openai/gpt-4o"])
    expect([model, encodingOf(model)]).toEqual([model, "o200k_base"])
  for (const model of ["gpt-4", "gpt-4-0613", "gpt-4-turbo", "gpt-3.5-turbo-0125", "text-embedding-3-small"])
    expect([model, encodingOf(model)]).toEqual([model, "cl100k_base"])
  for (const model of ["claude-opus-4-5", "gpt-oss-120b", "gemini-2.5-pro", "my-deployment"])
    expect([model, encodingOf(model)]).toEqual([model, undefined])
})

it.effect("counts as the published encodings do", () =>
  Effect.gen(function* () {
    const o200k = yield* load("o200k_base")
    const cl100k = yield* load("cl100k_base")
    // Pairs of a text and its tokens in both, as tiktoken counts them.
    for (const [text, large, small] of [
      ["", 0, 0],
      ["hello world", 2, 2],
      ["tiktoken is great!", 6, 6],
      ["antidisestablishmentarianism", 6, 6],
      ["2 + 2 = 4", 7, 7],
      ["お誕生日おめでとう", 8, 9]
    ] as const) {
      expect([text, o200k(text)]).toEqual([text, { tokens: large, exact: true }])
      expect([text, cl100k(text)]).toEqual([text, { tokens: small, exact: true }])
    }
    expect(o200k("<|endoftext|>").tokens).toBeGreaterThan(1)
  })
)

it.effect("is not slowed by a run without an end, and says that it cut it", () =>
  Effect.gen(function* () {
    const text = yield* load("o200k_base")
    for (const run of ["a", " ", "=", "猫"]) {
      const { exact, tokens } = text(run.repeat(100_000))
      expect(exact).toBe(false)
      expect(tokens).toBeGreaterThan(300)
    }
    expect(text("word ".repeat(20_000))).toEqual({ tokens: 20_001, exact: true })
  })
)

it.effect("counts text exactly, with the frame of each message", () =>
  Effect.gen(function* () {
    const text = yield* load("o200k_base")
    const of = (input: Parameters<typeof requestOf>[0]) => count(requestOf(input), "gpt-4o", text)
    expect(of({ prompt: "hello world" })).toEqual({ tokens: 3 + 4 + 2, exact: true })
    expect(
      of({
        prompt: [
          { role: "system", content: "hello" },
          { role: "user", content: [{ type: "text", text: "world" }] }
        ]
      })
    ).toEqual({ tokens: 3 + 4 + 1 + 4 + 1, exact: true })
  })
)

it.effect("counts a file by what it is: an image, a text, or neither", () =>
  Effect.gen(function* () {
    const text = yield* load("o200k_base")
    const of = (mediaType: string, data: string | URL | Uint8Array, model = "gpt-4o") => {
      const { exact, tokens } = count(
        requestOf({ prompt: [{ role: "user", content: [{ type: "file", mediaType, data }] }] }),
        model,
        text
      )
      expect(exact).toBe(false)
      return tokens - 7
    }
    const bytes = new TextEncoder().encode("hello world ".repeat(1_000))
    const pdf = new Uint8Array(100_000)
    for (const model of ["gpt-4o", "gpt-4o-mini", "gpt-4"]) expect(of("application/pdf", pdf, model)).toBe(4_000)
    expect(of("audio/mpeg", pdf)).toBe(4_000)
    expect(of("application/pdf", new URL("https://a.test/a.pdf"))).toBe(4_000)
    const words = text("hello world ".repeat(1_000)).tokens
    expect(of("text/plain", bytes)).toBe(words)
    expect(of("text/csv", Buffer.from(bytes).toString("base64"))).toBe(words)
    expect(of("text/plain", new URL("https://a.test/a.txt"))).toBe(4_000)
    expect(of("image/png", new URL("https://a.test/i.png"), "gpt-4")).toBe(1_000)
  })
)

it.effect("counts what is not text as well as it can, and says so", () =>
  Effect.gen(function* () {
    const text = yield* load("o200k_base")
    const of = (input: Partial<Parameters<typeof requestOf>[0]>) =>
      count(requestOf({ prompt: "hi", ...input }), "gpt-4o", text)
    const plain = of({}).tokens
    const tools = [{ name: "f", description: "d", parameters: { type: "object" } }]
    expect(of({ tools })).toEqual({
      tokens: plain + 8 + text('{"name":"f","description":"d","parameters":{"type":"object"}}').tokens,
      exact: false
    })
    const format = of({ responseFormat: { type: "json", name: "a", schema: { type: "object" } } })
    expect(format).toEqual({ tokens: plain + 8 + text('{"type":"object"}').tokens, exact: false })
    const image = { type: "file" as const, mediaType: "image/png", data: new URL("https://a.test/i.png") }
    expect(of({ prompt: [{ role: "user", content: [image] }] })).toEqual({ tokens: 3 + 4 + 765, exact: false })
    const calls = of({
      prompt: [
        {
          role: "assistant",
          content: [{ type: "tool-call", id: "1", name: "f", params: { a: 1 }, providerExecuted: false }]
        },
        {
          role: "tool",
          content: [{ type: "tool-result", id: "1", name: "f", isFailure: false, result: "world" }]
        }
      ]
    })
    expect(calls).toEqual({ tokens: 3 + 4 + 8 + text('["f",{"a":1}]').tokens + 4 + 8 + 1, exact: false })
  })
)
