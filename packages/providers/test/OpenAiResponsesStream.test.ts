import { LlmError, LlmReply, type Part } from "@echelon/core"
import { type Json, type Protocol, Sse } from "@echelon/providers"
import * as OpenAiResponsesStream from "@echelon/providers/OpenAiResponsesStream"
import { expect, it } from "@effect/vitest"
import { Duration } from "effect"
import { cut, named, optionsOf, seeded } from "./Support.ts"

const kind = "openai-responses"
const options = optionsOf(kind)

type Event = { readonly type: string } & Json.JsonObject

const run = (events: ReadonlyArray<Json.Json>, using: Protocol.Options = options): ReadonlyArray<Part.Part> => {
  let state = OpenAiResponsesStream.initial(using)
  const parts: Array<Part.Part> = []
  for (const event of events) {
    const data = typeof event === "string" ? event : JSON.stringify(event)
    const [next, more] = OpenAiResponsesStream.step(state, { event: undefined, data })
    state = next
    parts.push(...more)
  }
  return [...parts, ...OpenAiResponsesStream.flush(state)]
}

const parse = (body: Json.JsonObject) => OpenAiResponsesStream.parse(body, options)

const usage = {
  input_tokens: 10,
  input_tokens_details: { cached_tokens: 4, cache_write_tokens: 1 },
  output_tokens: 7,
  output_tokens_details: { reasoning_tokens: 5 },
  total_tokens: 17
}

const head = { id: "resp_1", object: "response", created_at: 1, model: "m-1" }

const created: Event = { type: "response.created", response: { ...head, status: "in_progress", output: [] } }

const completed = (more: Json.JsonObject = {}): Event => ({
  type: "response.completed",
  response: { ...head, status: "completed", output: [], ...more }
})

const incomplete = (reason: string | null): Event => ({
  type: "response.incomplete",
  response: {
    ...head,
    status: "incomplete",
    output: [],
    incomplete_details: reason === null ? null : { reason },
    usage
  }
})

const added = (item: Json.JsonObject, at = 0): Event => ({ type: "response.output_item.added", output_index: at, item })
const done = (item: Json.JsonObject, at = 0): Event => ({ type: "response.output_item.done", output_index: at, item })

const text = (delta: string, at = 0, more: Json.JsonObject = {}): Event => ({
  type: "response.output_text.delta",
  output_index: at,
  content_index: 0,
  delta,
  ...more
})

const message = (content: ReadonlyArray<Json.JsonObject>, more: Json.JsonObject = {}): Json.JsonObject => ({
  id: "msg_1",
  type: "message",
  status: "completed",
  role: "assistant",
  content,
  ...more
})

const outputText = (said: string, more: Json.JsonObject = {}): Json.JsonObject => ({
  type: "output_text",
  text: said,
  annotations: [],
  logprobs: [],
  ...more
})

const call = (args: string, more: Json.JsonObject = {}): Json.JsonObject => ({
  id: "fc_1",
  type: "function_call",
  status: "completed",
  call_id: "call_1",
  name: "f",
  arguments: args,
  ...more
})

const argumentsDelta = (delta: string, at = 0): Event => ({
  type: "response.function_call_arguments.delta",
  output_index: at,
  delta
})

const errorOf = (parts: ReadonlyArray<Part.Part>) => {
  const last = parts.at(-1)
  return last?.type === "error" && LlmError.isLlmError(last.error) ? last.error : undefined
}

const finishOf = (parts: ReadonlyArray<Part.Part>) => {
  const last = parts.at(-1)
  return last?.type === "finish" ? last : undefined
}

const typesOf = (parts: ReadonlyArray<Part.Part>) => parts.map((part) => part.type)

const answerOf = (parts: ReadonlyArray<Part.Part>) => LlmReply.toAnswer(parts, [])

const plain: ReadonlyArray<Event> = [
  created,
  { type: "response.in_progress", response: { ...head, status: "in_progress" } },
  added(message([], { status: "in_progress", phase: "final_answer" })),
  { type: "response.content_part.added", output_index: 0, content_index: 0, part: outputText("") },
  text("he"),
  text("llo"),
  { type: "response.output_text.done", output_index: 0, content_index: 0, text: "hello" },
  { type: "response.content_part.done", output_index: 0, content_index: 0, part: outputText("hello") },
  done(message([outputText("hello")], { phase: "final_answer" })),
  completed({ usage, service_tier: "flex", instructions: "echoed", output: [message([outputText("hello")])] })
]

it("gives the parts of a plain answer in order", () => {
  expect(run(plain)).toEqual([
    { type: "response-metadata", id: "resp_1", modelId: "m-1", timestamp: "1970-01-01T00:00:01.000Z" },
    { type: "text-start", id: "0", metadata: { [kind]: { id: "msg_1", phase: "final_answer" } } },
    { type: "text-delta", id: "0", delta: "he" },
    { type: "text-delta", id: "0", delta: "llo" },
    { type: "text-end", id: "0" },
    {
      type: "finish",
      reason: "stop",
      usage: {
        inputTokens: { total: 10, uncached: 5, cacheRead: 4, cacheWrite: 1 },
        outputTokens: { total: 7, text: 2, reasoning: 5 }
      },
      metadata: { [kind]: { status: "completed", usage, service_tier: "flex" } }
    }
  ])
})

it("gives the same answer cut anywhere, with and without names of events", () => {
  for (const sent of [named(...plain), plain.map((event) => `data: ${JSON.stringify(event)}\n\n`).join("")]) {
    const bytes = new TextEncoder().encode(sent.replace("llo", "llö €"))
    const read = (chunks: ReadonlyArray<Uint8Array>) => {
      let sse = Sse.initial
      let state = OpenAiResponsesStream.initial(options)
      const parts: Array<Part.Part> = []
      for (const chunk of chunks) {
        const [next, events] = Sse.step(sse, chunk, 1 << 20)
        sse = next
        for (const event of events) {
          const [after, more] = OpenAiResponsesStream.step(state, event)
          state = after
          parts.push(...more)
        }
      }
      return parts
    }
    const whole = read([bytes])
    expect(finishOf(whole)?.reason).toBe("stop")
    for (let seed = 0; seed < 20; seed++) expect(read(cut(bytes, seeded(seed)))).toEqual(whole)
    expect(read([...bytes].map((byte) => Uint8Array.of(byte)))).toEqual(whole)
  }
})

it("reads the name of an event that has no type", () => {
  let state = OpenAiResponsesStream.initial(options)
  const parts: Array<Part.Part> = []
  for (const { type, ...data } of plain) {
    const [next, more] = OpenAiResponsesStream.step(state, { event: type, data: JSON.stringify(data) })
    state = next
    parts.push(...more)
  }
  expect(parts).toEqual(run(plain))
})

it("keeps its steps apart: a state can be stepped twice", () => {
  let state = OpenAiResponsesStream.initial(options)
  for (const event of plain) {
    const sse = { event: undefined, data: JSON.stringify(event) }
    const before = structuredClone(state)
    const [next, parts] = OpenAiResponsesStream.step(state, sse)
    expect(state).toEqual(before)
    expect(OpenAiResponsesStream.step(state, sse)).toEqual([next, parts])
    state = next
  }
})

it("gives no finish part unless an event says that the answer is whole", () => {
  for (const end of [[], ["[DONE]"]]) expect(finishOf(run([...plain.slice(0, -1), ...end]))).toBe(undefined)
  expect(run([])).toEqual([])
})

it("gives nothing after the end", () => {
  expect(run([...plain, text("late"), completed()])).toEqual(run(plain))
  const failed = run([created, { type: "error", code: "server_error", message: "m" }, ...plain])
  expect(typesOf(failed)).toEqual(["response-metadata", "error"])
})

it("understands a queued response, keep-alives and the closing word of Chat Completions", () => {
  const [, ...rest] = plain
  const queued: Event = { type: "response.queued", response: { ...head, status: "queued" } }
  expect(run([queued, { type: "keepalive", sequence_number: 3 }, ...rest, "[DONE]"])).toEqual(run(plain))
})

it("tells summaries from reasoning and gives back what is encrypted", () => {
  const item = (more: Json.JsonObject) => ({ id: "rs_1", type: "reasoning", summary: [], ...more })
  const summary = (delta: string, at: number): Event => ({
    type: "response.reasoning_summary_text.delta",
    output_index: 0,
    summary_index: at,
    delta
  })
  const part = { type: "summary_text", text: "one" }
  const parts = run([
    created,
    added(item({ encrypted_content: "begun" })),
    { type: "response.reasoning_summary_part.added", output_index: 0, summary_index: 0, part: { ...part, text: "" } },
    summary("o", 0),
    summary("ne", 0),
    { type: "response.reasoning_summary_text.done", output_index: 0, summary_index: 0, text: "one" },
    { type: "response.reasoning_summary_part.done", output_index: 0, summary_index: 0, part },
    summary("two", 1),
    { type: "response.reasoning_text.delta", output_index: 0, content_index: 0, delta: "raw" },
    done(
      item({
        summary: [part, { type: "summary_text", text: "two" }],
        content: [{ type: "reasoning_text", text: "raw" }],
        encrypted_content: "sealed",
        status: null
      })
    ),
    completed()
  ])
  expect(parts.slice(1, -1)).toEqual([
    { type: "reasoning-start", id: "0", metadata: { [kind]: { id: "rs_1", type: "summary_text" } } },
    { type: "reasoning-delta", id: "0", delta: "o" },
    { type: "reasoning-delta", id: "0", delta: "ne" },
    { type: "reasoning-end", id: "0" },
    { type: "reasoning-start", id: "1", metadata: { [kind]: { id: "rs_1", type: "summary_text" } } },
    { type: "reasoning-delta", id: "1", delta: "two" },
    { type: "reasoning-end", id: "1" },
    { type: "reasoning-start", id: "2", metadata: { [kind]: { id: "rs_1", type: "reasoning_text" } } },
    { type: "reasoning-delta", id: "2", delta: "raw" },
    { type: "reasoning-end", id: "2", metadata: { [kind]: { encrypted_content: "sealed" } } }
  ])
})

it("gives reasoning that says nothing, for what is encrypted in it", () => {
  const item = { id: "rs_1", type: "reasoning", summary: [], encrypted_content: "sealed" }
  const expected = { type: "reasoning", text: "", metadata: { [kind]: { id: "rs_1", encrypted_content: "sealed" } } }
  expect(LlmReply.fold(run([created, added(item), done(item), completed()]))[1]).toEqual(expected)
  expect(LlmReply.fold(parse({ ...head, status: "completed", output: [item] }))[1]).toEqual(expected)
  const empty = { type: "reasoning", summary: [], encrypted_content: null }
  expect(typesOf(run([created, added(empty), done(empty), completed()]))).toEqual(["response-metadata", "finish"])
})

it("leaves out what is encrypted of reasoning that was cut short", () => {
  const item = { id: "rs_1", type: "reasoning", summary: [], encrypted_content: "begun" }
  const parts = run([created, added(item), incomplete("max_output_tokens")])
  expect(JSON.stringify(parts)).not.toContain("begun")
  expect(finishOf(parts)?.reason).toBe("length")
})

it("puts tool calls together, several at once", () => {
  const other = { id: "fc_2", call_id: "call_2", name: "g" }
  const parts = run([
    created,
    added(call("", { status: "in_progress" }), 0),
    added(call("", { ...other, status: "in_progress" }), 1),
    argumentsDelta('{"a"', 0),
    argumentsDelta("{}", 1),
    argumentsDelta(":1}", 0),
    { type: "response.function_call_arguments.done", output_index: 0, arguments: '{"a":1}' },
    done(call('{"a":1}', { caller: { type: "direct" } }), 0),
    done(call("{}", other), 1),
    completed()
  ])
  expect(parts.slice(1, -1)).toEqual([
    { type: "tool-params-start", id: "call_1", name: "f" },
    { type: "tool-params-start", id: "call_2", name: "g" },
    { type: "tool-params-delta", id: "call_1", delta: '{"a"' },
    { type: "tool-params-delta", id: "call_2", delta: "{}" },
    { type: "tool-params-delta", id: "call_1", delta: ":1}" },
    { type: "tool-params-end", id: "call_1" },
    {
      type: "tool-call",
      id: "call_1",
      name: "f",
      params: { a: 1 },
      metadata: { [kind]: { id: "fc_1", caller: { type: "direct" } } }
    },
    { type: "tool-params-end", id: "call_2" },
    { type: "tool-call", id: "call_2", name: "g", params: {}, metadata: { [kind]: { id: "fc_2" } } }
  ])
  expect(finishOf(parts)?.reason).toBe("tool-calls")
})

it("takes a call whose arguments or name come late, or not at all", () => {
  const whole = { type: "response.function_call_arguments.done", output_index: 0, arguments: '{"a":1}' }
  const doneOnly = run([created, added(call("", { status: "in_progress" })), whole, done(call('{"a":1}')), completed()])
  const itemOnly = run([created, done(call('{"a":1}')), completed()])
  const unnamed = run([created, argumentsDelta('{"a":1}'), done(call('{"a":1}')), completed()])
  for (const parts of [doneOnly, itemOnly, unnamed])
    expect(parts.slice(1, -1)).toEqual([
      { type: "tool-params-start", id: "call_1", name: "f" },
      { type: "tool-params-delta", id: "call_1", delta: '{"a":1}' },
      { type: "tool-params-end", id: "call_1" },
      { type: "tool-call", id: "call_1", name: "f", params: { a: 1 }, metadata: { [kind]: { id: "fc_1" } } }
    ])
  const none = run([created, added(call("")), completed()])
  expect(answerOf(none).toolCalls).toEqual([{ id: "call_1", name: "f", params: {}, providerExecuted: false }])
})

it("fails when arguments are no JSON, unless the answer was cut short", () => {
  const events = [created, added(call("", { status: "in_progress" })), argumentsDelta('{"a":')]
  expect(errorOf(run([...events, done(call('{"a":')), completed()]))?.reason._tag).toBe("MalformedOutput")
  const cutShort = run([...events, incomplete("max_output_tokens")])
  expect(finishOf(cutShort)?.reason).toBe("length")
  expect(finishOf(cutShort)?.metadata?.[kind]).toMatchObject({
    incomplete_tool_calls: [{ id: "call_1", name: "f", arguments: '{"a":' }]
  })
  expect(answerOf(cutShort).toolCalls).toEqual([])
})

it("gives a refusal as text that says so, and ends as a content filter", () => {
  const refusal = { type: "refusal", refusal: "I won't" }
  const event = (delta: string): Event => ({
    type: "response.refusal.delta",
    output_index: 0,
    content_index: 0,
    delta
  })
  const streamed = run([
    created,
    added(message([])),
    event("I "),
    event("won't"),
    { type: "response.refusal.done", output_index: 0, content_index: 0, refusal: "I won't" },
    done(message([refusal])),
    completed()
  ])
  const buffered = parse({ ...head, status: "completed", output: [message([refusal])] })
  for (const parts of [streamed, buffered]) {
    expect(LlmReply.fold(parts)[1]).toEqual({
      type: "text",
      text: "I won't",
      metadata: { [kind]: { id: "msg_1", refusal: true } }
    })
    expect(finishOf(parts)?.reason).toBe("content-filter")
  }
})

it("tells why an answer is incomplete", () => {
  for (const [reason, expected] of [
    ["max_output_tokens", "length"],
    ["content_filter", "content-filter"],
    ["something_new", "other"],
    [null, "other"]
  ] as const) {
    const parts = run([created, text("a"), incomplete(reason)])
    expect(finishOf(parts)?.reason).toBe(expected)
    expect(typesOf(parts).slice(-2)).toEqual(["text-end", "finish"])
    if (reason !== null)
      expect(finishOf(parts)?.metadata?.[kind]).toMatchObject({ incomplete_details: { reason }, status: "incomplete" })
  }
  const body = { ...head, status: "incomplete", incomplete_details: { reason: "max_output_tokens" }, output: [] }
  expect(finishOf(parse(body))?.reason).toBe("length")
})

it("gives annotations as sources, once", () => {
  const url = { type: "url_citation", url: "https://a.test/", title: "A", start_index: 0, end_index: 1 }
  const file = { type: "file_citation", file_id: "file-1", filename: "a.txt", index: 1 }
  const path = { type: "file_path", file_id: "file-2", index: 0 }
  const annotations = [url, file, path]
  const annotation = { type: "response.output_text.annotation.added", output_index: 0, content_index: 0 }
  const part = outputText("a", { annotations })
  const streamed = run([
    created,
    added(message([])),
    text("a"),
    { ...annotation, annotation_index: 0, annotation: url },
    { ...annotation, annotation_index: 1, annotation: file },
    { type: "response.content_part.done", output_index: 0, content_index: 0, part },
    done(message([part])),
    completed({ output: [message([part])] })
  ])
  const buffered = parse({ ...head, status: "completed", output: [message([part])] })
  expect(LlmReply.fold(streamed).slice(0, -1)).toEqual(LlmReply.fold(buffered).slice(0, -1))
  expect(LlmReply.fold(buffered).slice(2, -1)).toEqual([
    {
      type: "source",
      sourceType: "url",
      id: "source-0",
      url: "https://a.test/",
      title: "A",
      metadata: { [kind]: { annotation: url } }
    },
    {
      type: "source",
      sourceType: "document",
      id: "source-1",
      mediaType: "text/plain",
      title: "a.txt",
      fileName: "a.txt",
      metadata: { [kind]: { annotation: file } }
    },
    { type: "response-metadata", metadata: { [kind]: { annotation: path } } }
  ])
})

it("keeps log probabilities", () => {
  const one = { token: "a", logprob: -1 }
  const two = { token: "b", logprob: -2 }
  const events = [created, added(message([])), text("a", 0, { logprobs: [one] }), text("b", 0, { logprobs: [two] })]
  const part = outputText("ab", { logprobs: [one, two] })
  const expected = { [kind]: { id: "msg_1", logprobs: [one, two] } }
  for (const end of [[], [done(message([part]))], [done(message([outputText("ab")]))]])
    expect(LlmReply.fold(run([...events, ...end, completed()]))[1]?.metadata).toEqual(expected)
  expect(LlmReply.fold(parse({ ...head, status: "completed", output: [message([part])] }))[1]?.metadata).toEqual(
    expected
  )
})

it("carries items, parts and events that have no part of their own", () => {
  const search = { id: "ws_1", type: "web_search_call", status: "completed", action: { type: "search", query: "q" } }
  const custom = { id: "ctc_1", type: "custom_tool_call", call_id: "c", name: "sql", input: "select 1" }
  const audio = { type: "output_audio", transcript: "t" }
  const unknown = { type: "response.never_heard_of", output_index: 9, value: 1 }
  const picture = {
    type: "response.image_generation_call.partial_image",
    output_index: 3,
    partial_image_b64: "AA=="
  }
  const image = {
    id: "ig_1",
    type: "image_generation_call",
    status: "completed",
    output_format: "webp",
    result: "BB=="
  }
  const streamed = run([
    created,
    added({ ...search, status: "in_progress" }, 0),
    { type: "response.web_search_call.searching", output_index: 0, item_id: "ws_1" },
    done(search, 0),
    added({ ...custom, input: "" }, 1),
    { type: "response.custom_tool_call_input.delta", output_index: 1, delta: "select" },
    done(custom, 1),
    unknown,
    added(message([]), 2),
    done(message([outputText("a"), audio]), 2),
    added({ ...image, result: null }, 3),
    picture,
    done(image, 3),
    completed()
  ])
  expect(streamed.slice(1, -1)).toEqual([
    { type: "response-metadata", metadata: { [kind]: { item: search } } },
    { type: "response-metadata", metadata: { [kind]: { item: custom } } },
    { type: "response-metadata", metadata: { [kind]: { event: unknown } } },
    { type: "text-start", id: "0", metadata: { [kind]: { id: "msg_1" } } },
    { type: "text-delta", id: "0", delta: "a" },
    { type: "text-end", id: "0" },
    { type: "response-metadata", metadata: { [kind]: { content: audio } } },
    { type: "response-metadata", metadata: { [kind]: { event: picture } } },
    {
      type: "file",
      mediaType: "image/webp",
      data: "BB==",
      metadata: {
        [kind]: { item: { id: "ig_1", type: "image_generation_call", status: "completed", output_format: "webp" } }
      }
    }
  ])
  expect(finishOf(streamed)?.reason).toBe("stop")
})

it("is not broken by values of any other type", () => {
  const odd: ReadonlyArray<Json.Json> = [null, 1, "x", [], {}, { a: 1 }, [null], true]
  for (const value of odd) {
    const events: ReadonlyArray<Event> = [
      { type: "response.created", response: value },
      { type: "response.output_item.added", output_index: value, item: value },
      { type: "response.output_text.delta", output_index: 5, content_index: value, delta: value, logprobs: value },
      { type: "response.output_text.annotation.added", output_index: 5, content_index: 0, annotation: value },
      { type: "response.content_part.done", output_index: 5, content_index: 0, part: value },
      { type: "response.reasoning_summary_text.delta", output_index: 6, summary_index: value, delta: value },
      { type: "response.function_call_arguments.delta", output_index: 6, delta: value === "x" ? "{}" : value },
      done(call("{}"), 6),
      done({ type: "message", content: value }, 7),
      done({ type: "message", content: [value] }, 7),
      done({ type: "reasoning", summary: value, content: [value], encrypted_content: value }, 8),
      done({ type: "image_generation_call", result: value }, 9),
      { type: "response.output_item.done", output_index: value, item: value },
      completed({ usage: value, incomplete_details: value, service_tier: value, model: value, output: value })
    ]
    expect(finishOf(run(events))?.reason).toBe("tool-calls")
    expect(typesOf(parse({ output: [value], status: "completed" })).at(-1)).toBe("finish")
  }
})

it("reads servers whose ids change with every event, and those whose places are all the same", () => {
  const rotating = run([
    created,
    added(message([], { id: "a" }), 0),
    text("he", 0, { item_id: "b" }),
    text("llo", 0, { item_id: "c" }),
    done(message([outputText("hello")], { id: "d" }), 0),
    completed()
  ])
  expect(answerOf(rotating).text).toBe("hello")
  const reasoning = { id: "rs_1", type: "reasoning", summary: [] }
  const samePlace = run([
    created,
    added(reasoning, 0),
    added(message([]), 0),
    { type: "response.reasoning_summary_text.delta", output_index: 0, item_id: "rs_1", summary_index: 0, delta: "why" },
    text("hello", 0, { item_id: "msg_1" }),
    done({ ...reasoning, summary: [{ type: "summary_text", text: "why" }], encrypted_content: "x" }, 0),
    done(message([outputText("hello")]), 0),
    completed()
  ])
  expect([answerOf(samePlace).text, answerOf(samePlace).reasoning]).toEqual(["hello", "why"])
})

it("says what deltas left out, wherever it is told", () => {
  const whole = message([outputText("hello")])
  const textOf = (...events: ReadonlyArray<Event>) => answerOf(run([created, ...events])).text
  expect(textOf(text("hel"), done(whole), completed())).toBe("hello")
  expect(textOf(added(message([])), done(whole), completed())).toBe("hello")
  expect(textOf(completed({ output: [whole] }))).toBe("hello")
  // Deltas that the whole contradicts cannot be taken back.
  expect(textOf(text("hullo"), done(whole), completed())).toBe("hullo")
  // What was streamed is not said again by the end.
  expect(textOf(...plain.slice(1))).toBe("hello")
})

it("turns errors inside a stream into theirs", () => {
  const limited = { code: "rate_limit_exceeded", message: "Please try again in 20ms." }
  for (const event of [
    { type: "error", ...limited },
    { type: "error", error: limited },
    { type: "response.failed", response: { ...head, status: "failed", error: limited } }
  ]) {
    const error = errorOf(run([created, text("a"), event]))
    expect(error?.reason._tag).toBe("RateLimited")
    expect(error?.retryAfter).toEqual(Duration.millis(20))
  }
  for (const [code, reason] of [
    ["server_error", "ProviderError"],
    ["context_length_exceeded", "ContextLength"],
    ["insufficient_quota", "QuotaExhausted"],
    ["server_is_overloaded", "Overloaded"],
    ["invalid_prompt", "InvalidRequest"],
    ["cyber_policy", "ContentPolicy"],
    ["never_heard_of", "Unknown"]
  ] as const) {
    expect(errorOf(run([created, { type: "error", code, message: "m" }]))?.reason._tag).toBe(reason)
    const body = { ...head, status: "failed", error: { code, message: "m" }, output: [] }
    expect(errorOf(parse(body))?.reason._tag).toBe(reason)
  }
})

it("fails on what is no event and no reply", () => {
  for (const data of ["{", "[]", "1", '"x"']) expect(errorOf(run([data]))?.reason._tag).toBe("MalformedOutput")
  expect(errorOf(parse({ ...head, status: "completed" }))?.reason._tag).toBe("MalformedOutput")
  for (const status of ["queued", "in_progress"])
    expect(errorOf(parse({ ...head, status, output: [] }))?.reason._tag).toBe("MalformedOutput")
  expect(errorOf(parse({ error: { code: "server_error", message: "m" } }))?.reason._tag).toBe("ProviderError")
})

it("reads a buffered reply like the stream that would have built it", () => {
  const output = [
    {
      id: "rs_1",
      type: "reasoning",
      summary: [
        { type: "summary_text", text: "one" },
        { type: "summary_text", text: "two" }
      ],
      encrypted_content: "x"
    },
    message([outputText("hello"), outputText("again")]),
    call('{"a":1}')
  ]
  const body = { ...head, status: "completed", output, usage, service_tier: "default" }
  const streamed = run([
    created,
    ...output.flatMap((item, at) => [added(item, at), done(item, at)]),
    { type: "response.completed", response: body }
  ])
  expect(parse(body)).toEqual(streamed)
  expect(answerOf(parse(body))).toMatchObject({
    text: "helloagain",
    reasoning: "onetwo",
    finishReason: "tool-calls",
    usage: { inputTokens: 10, outputTokens: 7, cacheReadTokens: 4, cacheWriteTokens: 1, reasoningTokens: 5 }
  })
})

it("takes a reason that is a name of every object for one that nobody knows", () => {
  for (const reason of ["constructor", "toString", "__proto__"]) {
    const last = run([created, incomplete(reason)]).at(-1)
    expect(last?.type === "finish" ? last.reason : last).toBe("other")
  }
})
