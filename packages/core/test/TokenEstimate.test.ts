import type { LlmRequest } from "@echelon/core"
import * as TokenEstimate from "@echelon/core/TokenEstimate"
import { expect, it } from "@effect/vitest"

const request = (
  prompt: string | ReadonlyArray<LlmRequest.Message>,
  more: Partial<TokenEstimate.Sized> = {}
): TokenEstimate.Sized => ({
  messages: typeof prompt === "string" ? [{ role: "user", content: prompt }] : prompt,
  tools: [],
  responseFormat: { type: "text" },
  settings: {},
  ...more
})
const user = (...content: Exclude<Extract<LlmRequest.Message, { role: "user" }>["content"], string>) =>
  request([{ role: "user", content }])
const inputOf = (sized: TokenEstimate.Sized) => TokenEstimate.of(sized).input
const empty = inputOf(request(""))

// Truth by the encodings o200k and cl100k, counted once with a tokenizer.
const truths: ReadonlyArray<readonly [string, string, number, number]> = [
  [
    "German",
    "Heute ist das Wetter sehr schön, und wir haben beschlossen, im Park spazieren zu gehen. Unterwegs trafen wir einen alten Freund, der künstliche Intelligenz studiert.",
    37,
    45
  ],
  [
    "Chinese",
    "今天天气很好，我们决定去公园散步。路上遇到了一位老朋友，他告诉我们最近在学习人工智能，并且对大型语言模型的原理非常感兴趣。我们聊了很久，讨论了模型的训练方法、推理成本以及在实际业务中的应用。",
    64,
    110
  ],
  [
    "Japanese",
    "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所でニャーニャー泣いていた事だけは記憶している。",
    61,
    78
  ],
  [
    "Russian",
    "Сегодня прекрасная погода, и мы решили прогуляться в парке. По дороге мы встретили старого друга, который рассказал, что изучает искусственный интеллект.",
    35,
    70
  ]
]

it.each(truths)("is within its error bars: %s", (_, text, o200k, cl100k) => {
  const estimate = TokenEstimate.ofText(text)
  expect(estimate / o200k).toBeGreaterThanOrEqual(0.95)
  expect(estimate / o200k).toBeLessThanOrEqual(2.1)
  expect(estimate / cl100k).toBeGreaterThanOrEqual(0.8)
  expect(estimate / cl100k).toBeLessThanOrEqual(1.3)
})

it("weighs characters by their script", () => {
  expect(["", "abcd", "abcde", "éééé", "猫猫猫", "한국", "😀", "0123456789"].map(TokenEstimate.ofText)).toEqual([
    0, 1, 2, 2, 3, 2, 2, 6
  ])
})

it("counts text, reasoning, tool calls and tool results, wherever they stand", () => {
  const text = "x".repeat(400)
  const parts: ReadonlyArray<LlmRequest.Message> = [
    { role: "system", content: text },
    { role: "user", content: [{ type: "text", text }] },
    {
      role: "assistant",
      content: [
        { type: "reasoning", text },
        { type: "tool-call", id: "1", name: "f", params: { text } }
      ]
    },
    { role: "tool", content: [{ type: "tool-result", id: "1", name: "f", isFailure: false, result: [text] }] }
  ]
  expect(inputOf(request(parts))).toBeGreaterThanOrEqual(500)
  expect(inputOf(request(parts))).toBeLessThan(550)
})

it("counts what the model sees of a tool result, not what it does not", () => {
  const result = (shown: string | undefined) =>
    inputOf(
      request([
        {
          role: "tool",
          content: [
            {
              type: "tool-result",
              id: "1",
              name: "f",
              isFailure: false,
              result: "y".repeat(4_000),
              modelOutput: shown === undefined ? undefined : [{ type: "text", text: shown }]
            }
          ]
        }
      ])
    )
  expect(result(undefined)).toBeGreaterThan(1_000)
  expect(result("short")).toBeLessThan(30)
})

it("counts tools and the schema of the answer", () => {
  const schema = { type: "object", properties: { text: { type: "string", description: "d".repeat(400) } } }
  const tools = [{ name: "f", description: "e".repeat(400), parameters: schema }]
  expect(inputOf(request("", { tools })) - empty).toBeGreaterThan(200)
  const json = { type: "json", name: "answer", schema } as const
  expect(inputOf(request("", { responseFormat: json })) - empty).toBeGreaterThan(100)
})

it("an image and a file count what they are thought to cost; a text file its text", () => {
  const file = (mediaType: string, data: string | Uint8Array | URL) =>
    inputOf(user({ type: "file", mediaType, data })) - empty
  expect(file("image/png", "A".repeat(1_000_000))).toBe(1_000)
  expect(file("application/pdf", new URL("http://127.0.0.1/a.pdf"))).toBe(4_000)
  expect(file("text/plain", new Uint8Array(4_000))).toBe(1_000)
  expect(file("text/plain", Buffer.alloc(4_002).toString("base64"))).toBe(1_001)
  expect(file("text/plain", new URL("http://127.0.0.1/a.txt"))).toBe(4_000)
})

it("the output is what the request states, else what the caller thinks, else the default", () => {
  expect(TokenEstimate.of(request(""))).toMatchObject({ output: 1_024, statedOutput: undefined, total: empty + 1_024 })
  expect(TokenEstimate.of(request(""), { output: 50 }).output).toBe(50)
  const stated = request("", { settings: { maxOutputTokens: 7 } })
  expect(TokenEstimate.of(stated, { output: 50 })).toMatchObject({ output: 7, statedOutput: 7, total: empty + 7 })
  expect(TokenEstimate.ofRequest(stated)).toBe(empty + 7)
})

it("only what surely does not fit a window is kept out of it", () => {
  const long = TokenEstimate.of(request("x".repeat(40_000), { settings: { maxOutputTokens: 1_000 } }))
  expect([undefined, 20_000, 10_000, 6_010, 6_000, 4_000].map((window) => TokenEstimate.mayFit(long, window))).toEqual([
    true,
    true,
    true,
    true,
    false,
    false
  ])
  const open = TokenEstimate.of(request("hi"))
  expect(TokenEstimate.mayFit(open, 100)).toBe(true)
})

it("depth is no matter", () => {
  let deep: Record<string, unknown> = {}
  for (let i = 0; i < 100_000; i++) deep = { deep }
  expect(
    inputOf(request([{ role: "assistant", content: [{ type: "tool-call", id: "1", name: "f", params: deep }] }]))
  ).toBeGreaterThan(100_000)
})
