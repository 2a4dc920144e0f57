import { existsSync, readFileSync } from "node:fs"
import { type FaultServerAnswer, FaultServerAnthropic } from "@echelon/testing"
import { expect, it } from "@effect/vitest"

const answer: FaultServerAnswer.Answer = {
  model: "m",
  tokens: ["one", " two"],
  toolCalls: [{ name: "f", arguments: '{"a":"0123456789"}' }],
  finish: "tool_calls",
  usage: { input: 3, output: 2 },
  sentinel: true
}

const text: FaultServerAnswer.Answer = { ...answer, toolCalls: [], finish: "stop" }

const names = (value: FaultServerAnswer.Answer) => FaultServerAnthropic.events(value).map((event) => event.event)

it("puts each token into an event, between the frames of its block", () => {
  expect(names(answer)).toEqual([
    "message_start",
    "ping",
    "content_block_start",
    "content_block_delta",
    "content_block_delta",
    "content_block_stop",
    "content_block_start",
    "content_block_delta",
    "content_block_delta",
    "content_block_delta",
    "content_block_stop",
    "message_delta",
    "message_stop"
  ])
  expect(names({ ...text, tokens: [], finish: undefined, sentinel: false })).toEqual(["message_start", "ping"])
  const blocks = FaultServerAnthropic.events(answer).filter((event) => event.event === "content_block_start")
  expect(blocks.map((event) => JSON.parse(event.data).index)).toEqual([0, 1])
})

it("says the same in a body", () => {
  expect(JSON.parse(FaultServerAnthropic.body(answer))).toMatchObject({
    model: "m",
    content: [
      { type: "text", text: "one two" },
      { type: "tool_use", id: "call_0", name: "f", input: { a: "0123456789" } }
    ],
    stop_reason: "tool_use",
    usage: { input_tokens: 3, output_tokens: 2 }
  })
})

const samples = new URL("../../../../shared/wire-samples/anthropic/", import.meta.url)

it("has the events that Anthropic's own stream has, with their keys", () => {
  if (!existsSync(samples)) return void process.stdout.write("not run: the wire samples are absent\n")
  const recorded = readFileSync(new URL("anthropic-text.chunks.txt", samples), "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))
  for (const { data, event } of FaultServerAnthropic.events(text)) {
    const theirs = recorded.find((one) => one.type === event)
    const ours = JSON.parse(data)
    expect(theirs).toBeDefined()
    for (const key of Object.keys(ours)) {
      expect(Object.keys(theirs)).toContain(key)
      if (typeof ours[key] === "object")
        expect(Object.keys(theirs[key])).toEqual(expect.arrayContaining(Object.keys(ours[key])))
    }
  }
})
