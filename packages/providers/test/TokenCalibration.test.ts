import * as TokenCalibration from "@echelon/providers/TokenCalibration"
import { expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"

const { observe, scriptOf, seed } = TokenCalibration
const user = (content: string) => ({ role: "user" as const, content })

it("starts from a seed of the model's family", () => {
  expect(seed("gpt-4o").wide.value).toBeLessThan(seed("gpt-4").wide.value)
  expect(seed("us.anthropic.claude-opus-4-8-v1").latin.value).toBeGreaterThan(seed("claude-3-opus").latin.value)
  expect(seed("mine")).toEqual({
    latin: { value: 1, seen: 0 },
    wide: { value: 1, seen: 0 },
    other: { value: 1, seen: 0 }
  })
})

it("weighs the seed as one observation, then the last reports most", () => {
  const first = observe(seed("mine"), "latin", 100, 200)
  expect(first.latin).toEqual({ value: 1.5, seen: 1 })
  let now = first
  for (let i = 0; i < 60; i++) now = observe(now, "latin", 100, 200)
  expect(now.latin.value).toBeCloseTo(2, 2)
  const changed = observe(now, "latin", 100, 100)
  expect(changed.latin.value).toBeCloseTo(1.9, 2)
  expect(changed.wide).toEqual(seed("mine").wide)
})

it("learns nothing from short inputs and from figures that are none", () => {
  const from = seed("mine")
  for (const [estimated, reported] of [
    [31, 100],
    [100, 0],
    [100, Number.NaN],
    [100, Number.POSITIVE_INFINITY],
    [Number.NaN, 100]
  ] as const)
    expect(observe(from, "latin", estimated, reported)).toBe(from)
})

const figure = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000_000 }))

it.effect.prop(
  "stays within its bounds, whatever is reported",
  { reports: Schema.Array(Schema.Tuple([figure, figure])).check(Schema.isMaxLength(40)) },
  ({ reports }) =>
    Effect.sync(() => {
      let now = seed("gpt-4o")
      for (const [estimated, reported] of reports) now = observe(now, "other", estimated, reported)
      expect(now.other.value).toBeGreaterThanOrEqual(0.4)
      expect(now.other.value).toBeLessThanOrEqual(2.5)
    })
)

it("tells what a request is written in", () => {
  const script = (...texts: ReadonlyArray<string>) => scriptOf({ messages: texts.map(user) })
  expect(script("plain words")).toBe("latin")
  expect(script("Größe und Maß")).toBe("latin")
  expect(script("")).toBe("latin")
  expect(script("你好，世界 hello")).toBe("wide")
  expect(script("한국어로 답해 주세요")).toBe("wide")
  expect(script("Привет, мир")).toBe("other")
  expect(script("สวัสดีชาวโลก")).toBe("other")
  expect(script("你好你好你好你好", ...Array.from({ length: 4 }, () => "words"))).toBe("latin")
})
