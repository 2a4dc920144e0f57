import { LlmReply, type Part } from "@echelon/core"
import { expect, it } from "@effect/vitest"

const finish: Part.Part = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 3 }, outputTokens: { total: 4 } }
}

it("joins the deltas of a block, keeps blocks that overlap apart, and merges metadata", () => {
  const content = LlmReply.fold([
    { type: "text-start", id: "a", metadata: { anthropic: { one: 1 } } },
    { type: "reasoning-delta", id: "r", delta: "hm" },
    { type: "text-delta", id: "a", delta: "he" },
    { type: "text-delta", id: "b", delta: "other" },
    { type: "text-delta", id: "a", delta: "llo" },
    { type: "text-end", id: "a", metadata: { anthropic: { two: 2 } } },
    { type: "text-delta", id: "a", delta: "again" },
    finish
  ])
  expect(content).toEqual([
    { type: "text", text: "hello", metadata: { anthropic: { one: 1, two: 2 } } },
    { type: "reasoning", text: "hm" },
    { type: "text", text: "other" },
    { type: "text", text: "again" },
    finish
  ])
})

it("an answer has text, reasoning, tool calls and usage", () => {
  const answer = LlmReply.toAnswer(
    [
      { type: "reasoning-delta", id: "r", delta: "hm" },
      { type: "tool-params-start", id: "t", name: "add" },
      { type: "tool-params-delta", id: "t", delta: '{"a":1}' },
      { type: "tool-params-end", id: "t" },
      { type: "tool-call", id: "t", name: "add", params: { a: 1 } },
      finish
    ],
    []
  )
  expect(answer).toMatchObject({
    text: "",
    reasoning: "hm",
    toolCalls: [{ id: "t", name: "add", params: { a: 1 }, providerExecuted: false }],
    finishReason: "stop",
    usage: { inputTokens: 3, outputTokens: 4, source: "reported" },
    cost: undefined
  })
  expect(answer.content.map((part) => part.type)).toEqual(["reasoning", "tool-call", "finish"])
})
