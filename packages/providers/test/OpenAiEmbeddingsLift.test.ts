import { LlmEmbedding } from "@echelon/core"
import { GeminiEmbeddings, Lift, OpenAiEmbeddings, OpenAiEmbeddingsLift, type Protocol } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { optionsOf } from "./Support.ts"

const { lift } = OpenAiEmbeddingsLift

const sent = (body: unknown, protocol: Protocol.Protocol, kind: string) => {
  const dropped: Array<string> = []
  const request = Effect.runSync(LlmEmbedding.make(lift(body).input))
  const lowered = protocol.lower(request, optionsOf(kind), (field) => dropped.push(field))
  return { body: lowered, dropped }
}

it("reads every form of the texts", () => {
  const forms: ReadonlyArray<readonly [unknown, LlmEmbedding.Input["input"]]> = [
    ["one", ["one"]],
    ["", [""]],
    [
      ["one", "two"],
      ["one", "two"]
    ],
    [[1, 2], [[1, 2]]],
    [
      [[1, 2], [3]],
      [[1, 2], [3]]
    ],
    [
      ["one", [3]],
      ["one", [3]]
    ]
  ]
  for (const [input, texts] of forms) {
    const lifted = lift({ model: "m", input })
    expect([lifted.input.input, lifted.problems]).toEqual([texts, []])
  }
})

it("reads the model, the length and the encoding, and keeps the rest", () => {
  const body = { model: "pool:texts", input: "one", dimensions: 8, encoding_format: "base64", user: "u" }
  expect(lift(body)).toEqual({
    input: {
      input: ["one"],
      dimensions: 8,
      providerOptions: { "protocol:openai-embeddings": { user: "u" } },
      raw: { protocol: "openai-embeddings", body }
    },
    model: "pool:texts",
    encoding: "base64",
    problems: []
  })
  const plain = lift({ input: "one", dimensions: null, encoding_format: "float" })
  expect(plain.encoding).toBe("float")
  expect(Object.keys(plain.input)).toEqual(["input", "raw"])
})

it("tells what is wrong, and where", () => {
  const problems = (body: unknown) => lift(body).problems.map(Lift.describe)
  expect(problems(7)).toEqual(["the body: expected an object, found a number"])
  const texts = "a text, tokens, or an array of either, which is not empty"
  for (const [input, found] of [
    [undefined, "nothing"],
    [null, "null"],
    [7, "a number"],
    [[], "an array"]
  ] as const)
    expect(problems({ input })).toEqual([`input: expected ${texts}, found ${found}`])
  expect(problems({ input: ["a", 1, [], [1.5], [-1], null] })).toEqual(
    ["a number", "an array", "an array", "an array", "null"].map(
      (found, at) => `input[${at + 1}]: expected a text or its tokens, found ${found}`
    )
  )
  expect(problems({ input: "a", dimensions: "8", encoding_format: "int8", model: 1 })).toEqual([
    "dimensions: expected a number, found a string",
    'encoding_format: expected "float" or "base64", found a string',
    "model: expected a string, found a number"
  ])
})

it("goes out as it came where the protocol is spoken, and lists elsewhere what stays behind", () => {
  const body = { model: "pool:texts", input: ["one"], dimensions: 8, encoding_format: "base64", user: "u" }
  expect(sent(body, OpenAiEmbeddings.protocol, "openai")).toEqual({
    body: { ...body, model: "a-model" },
    dropped: []
  })
  expect(sent(body, GeminiEmbeddings.protocol, "gemini")).toEqual({
    body: {
      requests: [{ model: "models/a-model", content: { parts: [{ text: "one" }] }, outputDimensionality: 8 }]
    },
    dropped: ["body.user"]
  })
})
