import { SseCut } from "@echelon/testing"
import { expect, it } from "@effect/vitest"

const chunk = (fields: string) => `data: {"choices":[${fields}]}\n\n`
const openai = [
  chunk('{"delta":{"content":"a"},"finish_reason":null}'),
  chunk('{"delta":{"content":"b"},"finish_reason":null}'),
  chunk('{"delta":{},"finish_reason":"stop"}'),
  "data: [DONE]\n\n"
]
const anthropic = [
  'event: message_start\ndata: {"type":"message_start","message":{"stop_reason":null}}\n\n',
  'event: content_block_delta\ndata: {"type":"content_block_delta","delta":{"text":"a"}}\n\n',
  'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n',
  'event: message_stop\ndata: {"type":"message_stop"}\n\n'
]

it("keeps as many events as told", () => {
  expect(SseCut.before(openai.join(""), 0)).toBe("")
  expect(SseCut.before(openai.join(""), 1)).toBe(openai[0])
})

it("never keeps an event that ends the answer", () => {
  expect(SseCut.before(openai.join(""), 99)).toBe(openai.slice(0, 2).join(""))
  expect(SseCut.before(anthropic.join(""), 99)).toBe(anthropic.slice(0, 2).join(""))
  expect(SseCut.before(["data: a\r\n\r\n", "data: [DONE]\r\n\r\n"].join(""), 9)).toBe("data: a\r\n\r\n")
})

it("is not misled by text that quotes an ending", () => {
  const quoting = chunk(`{"delta":{"content":${JSON.stringify('"finish_reason":"stop" data: [DONE]')}}}`)
  expect(SseCut.before(quoting + openai.join(""), 9)).toBe(quoting + openai.slice(0, 2).join(""))
})

it("knows an event stream by its content type", () => {
  expect(SseCut.isEventStream("text/event-stream; charset=utf-8")).toBe(true)
  expect(SseCut.isEventStream("application/json")).toBe(false)
  expect(SseCut.isEventStream(undefined)).toBe(false)
})
