import { existsSync, readFileSync } from "node:fs"
import { type FaultServerAnswer, FaultServerOpenAi } from "@echelon/testing"
import { expect, it } from "@effect/vitest"

const answer: FaultServerAnswer.Answer = {
  model: "m",
  tokens: ["one", " two"],
  toolCalls: [{ name: "f", arguments: '{"a":"0123456789"}' }],
  finish: "tool_calls",
  usage: { input: 3, output: 2 },
  sentinel: true
}

const kinds = (value: FaultServerAnswer.Answer) => FaultServerOpenAi.events(value).map((event) => event.kind)

it("puts each token into an event, and marks what the event is", () => {
  expect(kinds(answer)).toEqual([
    "frame",
    "token",
    "token",
    "frame",
    "token",
    "token",
    "token",
    "finish",
    "finish",
    "end"
  ])
  expect(kinds({ ...answer, toolCalls: [], finish: undefined, usage: undefined, sentinel: false })).toEqual([
    "frame",
    "token",
    "token"
  ])
})

it("says the same in a body", () => {
  expect(JSON.parse(FaultServerOpenAi.body(answer))).toMatchObject({
    model: "m",
    choices: [
      {
        message: {
          content: "one two",
          tool_calls: [{ id: "call_0", type: "function", function: { name: "f", arguments: '{"a":"0123456789"}' } }]
        },
        finish_reason: "tool_calls"
      }
    ],
    usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }
  })
  expect(JSON.parse(FaultServerOpenAi.body({ ...answer, tokens: [] })).choices[0].message.content).toBeNull()
})

const samples = new URL("../../../../shared/wire-samples/openai/", import.meta.url)

it("has the keys that OpenAI's own events have", () => {
  if (!existsSync(samples)) return void process.stdout.write("not run: the wire samples are absent\n")
  const [first = "", second = ""] = readFileSync(new URL("openai-text.chunks.txt", samples), "utf8").split("\n")
  const [role, token] = FaultServerOpenAi.events(answer).map((event) => event.data)
  for (const [ours = "", theirs] of [
    [role, first],
    [token, second]
  ] as const) {
    const [made, recorded] = [JSON.parse(ours), JSON.parse(theirs)]
    expect(Object.keys(recorded)).toEqual(expect.arrayContaining(Object.keys(made)))
    expect(Object.keys(recorded.choices[0])).toEqual(expect.arrayContaining(Object.keys(made.choices[0])))
    expect(Object.keys(recorded.choices[0].delta)).toEqual(Object.keys(made.choices[0].delta))
  }
})
