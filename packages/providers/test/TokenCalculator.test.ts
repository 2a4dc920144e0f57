import { Plans, TokenCounter, TokenEstimate } from "@echelon/core"
import * as TokenCalculator from "@echelon/providers/TokenCalculator"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { requestOf } from "./Support.ts"

const words = requestOf({ prompt: "some words to count ".repeat(20) })
const estimated = TokenEstimate.of(words).input
const provided = Effect.provide(TokenCalculator.layer)

const instanceOf = (model: string, tokenizer: "estimate" | "exact") => ({
  provider: Plans.provider({ name: "p", kind: "openai", tokenizer }),
  model: Plans.model({ model })
})

it.effect("counts exactly where an encoding is published, else by the estimate", () =>
  Effect.gen(function* () {
    const tokens = yield* TokenCalculator.TokenCalculator
    expect(yield* tokens.count("gpt-4o", words)).toEqual({ tokens: 3 + 4 + 81, exact: true })
    expect(yield* tokens.count("mine", words)).toEqual({ tokens: estimated, exact: false })
  }).pipe(provided)
)

it.effect("corrects the estimate by what is reported, for that model and script", () =>
  Effect.gen(function* () {
    const tokens = yield* TokenCalculator.TokenCalculator
    const chinese = requestOf({ prompt: "人工智能正在改变我们的生活方式".repeat(10) })
    const before = tokens.estimate("mine", chinese)
    for (let i = 0; i < 40; i++) tokens.observe("mine", words, estimated * 2)
    expect(tokens.estimate("mine", words).tokens / (estimated * 2)).toBeCloseTo(1, 1)
    expect(tokens.estimate("vendor/mine", words)).toEqual(tokens.estimate("mine", words))
    expect(tokens.estimate("mine", chinese)).toEqual(before)
    expect(tokens.estimate("another", words).tokens).toBe(estimated)
    expect(tokens.calibration("mine").latin.seen).toBe(40)
  }).pipe(provided)
)

it.effect("counts images by the model's rule, outside the correction, and learns nothing from them", () =>
  Effect.gen(function* () {
    const tokens = yield* TokenCalculator.TokenCalculator
    const image = { type: "file" as const, mediaType: "image/png", data: new URL("https://a.test/i.png") }
    const shown = requestOf({ prompt: [{ role: "user", content: [{ type: "text", text: "what is it?" }, image] }] })
    const text = TokenEstimate.of(shown).input - TokenEstimate.perImage
    const { value } = tokens.calibration("gpt-4o").latin
    expect(tokens.estimate("gpt-4o", shown)).toEqual({ tokens: Math.ceil(text * value) + 765, exact: false })
    expect(tokens.estimate("mine", shown).tokens).toBe(text + TokenEstimate.perImage)
    tokens.observe("gpt-4o", shown, 5_000)
    expect(tokens.calibration("gpt-4o").latin.seen).toBe(0)
  }).pipe(provided)
)

it.effect("a figure for a file is not corrected", () =>
  Effect.gen(function* () {
    const tokens = yield* TokenCalculator.TokenCalculator
    for (let i = 0; i < 40; i++) tokens.observe("mine", words, estimated * 2)
    const pdf = { type: "file" as const, mediaType: "application/pdf", data: new Uint8Array(9) }
    const image = { type: "file" as const, mediaType: "image/png", data: new URL("https://a.test/i.png") }
    const of = (content: ReadonlyArray<typeof pdf | typeof image>) =>
      tokens.estimate("mine", requestOf({ prompt: [{ role: "user", content }] })).tokens
    const none = of([])
    expect([of([pdf]) - none, of([image]) - none]).toEqual([TokenEstimate.perFile, TokenEstimate.perImage])
  }).pipe(provided)
)

it.effect("remembers no more models than it may", () =>
  Effect.gen(function* () {
    const tokens = yield* TokenCalculator.TokenCalculator
    for (let i = 0; i <= 1_000; i++) tokens.observe(`model-${i}`, words, estimated * 2)
    expect([0, 1, 1_000].map((i) => tokens.calibration(`model-${i}`).latin.seen)).toEqual([0, 1, 1])
  }).pipe(provided)
)

it.effect("is what the core asks, by the key of the provider", () =>
  Effect.gen(function* () {
    const tokens = yield* TokenCalculator.TokenCalculator
    const counters = yield* TokenCounter.TokenCounter
    const exact = yield* counters.of(instanceOf("gpt-4o", "exact"))
    expect(exact?.count(words, estimated)).toEqual({ tokens: 88, exact: true })
    const rough = yield* counters.of(instanceOf("gpt-4o", "estimate"))
    expect(rough?.count(words, estimated)).toEqual(tokens.estimate("gpt-4o", words))
    expect(rough).toBe(yield* counters.of(instanceOf("gpt-4o", "estimate")))
    const stranger = yield* counters.of(instanceOf("mine", "exact"))
    stranger?.observe(words, estimated, estimated * 2)
    expect(stranger?.count(words, estimated).tokens).toBe(Math.ceil(estimated * 1.5))
  }).pipe(provided)
)
