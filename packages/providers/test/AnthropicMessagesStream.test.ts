import { LlmError, LlmReply, type Part } from "@echelon/core"
import { AnthropicMessages, AnthropicMessagesStream } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { optionsOf } from "./Support.ts"

const options = optionsOf("anthropic")

const run = (events: ReadonlyArray<unknown>): ReadonlyArray<Part.Part> => {
  let state = AnthropicMessagesStream.initial(options)
  const parts: Array<Part.Part> = []
  for (const event of events) {
    const data = typeof event === "string" ? event : JSON.stringify(event)
    const [next, more] = AnthropicMessagesStream.step(state, { event: undefined, data })
    state = next
    parts.push(...more)
  }
  return [...parts, ...AnthropicMessagesStream.flush(state)]
}

const start = { type: "message_start", message: { id: "m", model: "c", usage: { input_tokens: 10, output_tokens: 1 } } }
const begin = (index: number, block: object) => ({ type: "content_block_start", index, content_block: block })
const delta = (index: number, of: object) => ({ type: "content_block_delta", index, delta: of })
const stop = (index: number) => ({ type: "content_block_stop", index })
const end = (reason: string | null = "end_turn", more: object = {}) => ({
  type: "message_delta",
  delta: { stop_reason: reason },
  usage: { output_tokens: 5 },
  ...more
})
const done = { type: "message_stop" }

const errorOf = (parts: ReadonlyArray<Part.Part>) => {
  const last = parts.at(-1)
  return last?.type === "error" && LlmError.isLlmError(last.error) ? last.error : undefined
}

const finishOf = (parts: ReadonlyArray<Part.Part>) => {
  const last = parts.at(-1)
  return last?.type === "finish" ? last : undefined
}

const typesOf = (parts: ReadonlyArray<Part.Part>) => parts.map((part) => part.type)

it("gives the parts of a plain answer in order", () => {
  const parts = run([
    start,
    begin(0, { type: "text", text: "" }),
    { type: "ping" },
    delta(0, { type: "text_delta", text: "a" }),
    stop(0),
    end(),
    done
  ])
  expect(parts).toEqual([
    { type: "response-metadata", id: "m", modelId: "c" },
    { type: "text-start", id: "0" },
    { type: "text-delta", id: "0", delta: "a" },
    { type: "text-end", id: "0" },
    {
      type: "finish",
      reason: "stop",
      usage: {
        inputTokens: { total: 10, uncached: 10, cacheRead: undefined, cacheWrite: undefined },
        outputTokens: { total: 5, text: undefined, reasoning: undefined }
      },
      metadata: { anthropic: { stop_reason: "end_turn", usage: { input_tokens: 10, output_tokens: 5 } } }
    }
  ])
})

it("ends at message_stop, or at the end of input when the reason was told, and not otherwise", () => {
  const open = [start, begin(0, { type: "text", text: "a" }), stop(0)]
  expect(finishOf(run([...open, end(), done]))?.reason).toBe("stop")
  expect(finishOf(run([...open, end()]))?.reason).toBe("stop")
  for (const events of [open, [...open, done], [...open, end(null), done], []])
    expect(finishOf(run(events))).toBe(undefined)
  expect(typesOf(run([...open, end(), done, done, begin(1, { type: "text", text: "late" })])).at(-1)).toBe("finish")
})

it("keeps the signature of thinking, and thinking that is hidden", () => {
  const parts = run([
    start,
    begin(0, { type: "thinking", thinking: "", signature: "" }),
    delta(0, { type: "thinking_delta", thinking: "hm" }),
    delta(0, { type: "signature_delta", signature: "ab" }),
    delta(0, { type: "signature_delta", signature: "cd" }),
    stop(0),
    begin(1, { type: "redacted_thinking", data: "xx" }),
    stop(1),
    end(),
    done
  ])
  expect(LlmReply.fold(parts).slice(1, 3)).toEqual([
    { type: "reasoning", text: "hm", metadata: { anthropic: { type: "thinking", signature: "abcd" } } },
    { type: "reasoning", text: "", metadata: { anthropic: { type: "redacted_thinking", redactedData: "xx" } } }
  ])
})

it("gives citations as sources of their text", () => {
  const web = { type: "web_search_result_location", url: "https://a.test/", title: "A", encrypted_index: "e" }
  const page = { type: "page_location", document_title: "D", document_index: 0, start_page_number: 1 }
  const parts = run([
    start,
    begin(0, { type: "text", text: "", citations: [] }),
    delta(0, { type: "citations_delta", citation: web }),
    delta(0, { type: "text_delta", text: "a" }),
    delta(0, { type: "citations_delta", citation: page }),
    stop(0),
    end(),
    done
  ])
  expect(LlmReply.fold(parts).slice(1, 4)).toEqual([
    { type: "text", text: "a" },
    {
      type: "source",
      sourceType: "url",
      id: "source-0",
      url: "https://a.test/",
      title: "A",
      metadata: { anthropic: { citation: web } }
    },
    {
      type: "source",
      sourceType: "document",
      id: "source-1",
      mediaType: "application/pdf",
      title: "D",
      metadata: { anthropic: { citation: page } }
    }
  ])
  const buffered = AnthropicMessages.protocol.parse(
    {
      id: "m",
      model: "c",
      content: [{ type: "text", text: "a", citations: [web, page] }],
      stop_reason: "end_turn",
      usage: { input_tokens: 10, output_tokens: 5 }
    },
    options
  )
  expect(LlmReply.fold(parts)).toEqual(LlmReply.fold(buffered))
})

it("gives tool calls, interleaved and without arguments", () => {
  const parts = run([
    start,
    begin(0, { type: "tool_use", id: "a", name: "f", input: {} }),
    begin(1, { type: "tool_use", id: "b", name: "g", input: {} }),
    delta(0, { type: "input_json_delta", partial_json: "" }),
    delta(0, { type: "input_json_delta", partial_json: '{"x"' }),
    delta(0, { type: "input_json_delta", partial_json: ":1}" }),
    stop(1),
    stop(0),
    end("tool_use"),
    done
  ])
  expect(LlmReply.toAnswer(parts, []).toolCalls.map(({ id, name, params }) => [id, name, params])).toEqual([
    ["b", "g", {}],
    ["a", "f", { x: 1 }]
  ])
  expect(finishOf(parts)?.reason).toBe("tool-calls")
})

it("fails when arguments are no JSON, unless the limit cut them", () => {
  const open = [
    start,
    begin(0, { type: "tool_use", id: "a", name: "f", input: {} }),
    delta(0, { type: "input_json_delta", partial_json: '{"x"' }),
    stop(0)
  ]
  expect(errorOf(run([...open, end("tool_use"), done]))?.reason._tag).toBe("MalformedOutput")
  const cut = run([...open, end("max_tokens"), done])
  expect(typesOf(cut)).not.toContain("tool-call")
  expect(finishOf(cut)).toMatchObject({
    reason: "length",
    metadata: { anthropic: { incomplete_tool_calls: [{ id: "a", name: "f", arguments: '{"x"' }] } }
  })
  expect(typesOf(run(open))).not.toContain("tool-call")
})

it("carries blocks, deltas and events without a part of their own", () => {
  const parts = run([
    start,
    begin(0, { type: "server_tool_use", id: "s", name: "web_search", input: {} }),
    delta(0, { type: "input_json_delta", partial_json: '{"query":' }),
    delta(0, { type: "input_json_delta", partial_json: '"q"}' }),
    stop(0),
    begin(1, { type: "brand_new", a: [1] }),
    delta(1, { type: "brand_new_delta", b: 2 }),
    stop(1),
    { type: "brand_new_event", c: 3 },
    delta(9, { type: "orphan_delta" }),
    end("end_turn", { context_management: { applied_edits: [1] } }),
    done
  ])
  const carried = parts.flatMap((part) =>
    part.type === "response-metadata" && part.metadata ? [part.metadata["anthropic"]] : []
  )
  expect(carried).toEqual([
    { block: { type: "server_tool_use", id: "s", name: "web_search", input: { query: "q" } } },
    { delta: { type: "brand_new_delta", b: 2 } },
    { block: { type: "brand_new", a: [1] } },
    { event: { type: "brand_new_event", c: 3 } },
    { delta: { type: "orphan_delta" } }
  ])
  expect(finishOf(parts)?.metadata).toMatchObject({ anthropic: { context_management: { applied_edits: [1] } } })
})

it("starts a block that was never started", () => {
  const parts = run([start, delta(0, { type: "text_delta", text: "a" }), end(), done])
  expect(typesOf(parts)).toEqual(["response-metadata", "text-start", "text-delta", "text-end", "finish"])
})

it("adds the cache to the input and keeps running totals", () => {
  const parts = run([
    {
      type: "message_start",
      message: { id: "m", usage: { input_tokens: 2, cache_creation_input_tokens: 7, cache_read_input_tokens: 0 } }
    },
    {
      type: "message_delta",
      delta: { stop_reason: "end_turn" },
      usage: {
        input_tokens: 6,
        cache_read_input_tokens: 5,
        output_tokens: 9,
        output_tokens_details: { thinking_tokens: 4 },
        cache_creation_input_tokens: null
      }
    },
    done
  ])
  expect(finishOf(parts)?.usage).toEqual({
    inputTokens: { total: 18, uncached: 6, cacheRead: 5, cacheWrite: 7 },
    outputTokens: { total: 9, text: 5, reasoning: 4 }
  })
})

it("reads every reason, and does not break at one it does not know", () => {
  const cases: Record<string, string> = {
    end_turn: "stop",
    stop_sequence: "stop",
    max_tokens: "length",
    model_context_window_exceeded: "length",
    tool_use: "tool-calls",
    pause_turn: "pause",
    refusal: "content-filter",
    brand_new: "other"
  }
  for (const [stated, reason] of Object.entries(cases))
    expect([stated, finishOf(run([start, end(stated), done]))?.reason]).toEqual([stated, reason])
})

it("fails at an error event and at one that is no JSON", () => {
  const error = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } }
  expect(errorOf(run([start, error]))).toMatchObject({ reason: { _tag: "Overloaded" }, detail: "Overloaded" })
  expect(errorOf(run([start, { type: "error" }]))?.reason._tag).toBe("Unknown")
  expect(errorOf(run([start, "{"]))?.reason._tag).toBe("MalformedOutput")
})

it("survives fields of any type", () => {
  for (const value of [null, 1, "x", [], {}, [null], true]) {
    for (const key of ["index", "content_block", "delta", "message", "usage"])
      for (const type of ["message_start", "content_block_start", "content_block_delta", "content_block_stop"])
        expect(finishOf(run([start, { type, index: 0, [key]: value }, end("refusal"), done]))?.reason).toBe(
          "content-filter"
        )
    for (const key of ["type", "text", "id", "name", "input", "citations", "signature"])
      expect(run([start, begin(0, { type: "text", [key]: value }), stop(0), end("refusal"), done]).at(-1)?.type).toBe(
        "finish"
      )
  }
})

it("parses buffered replies, and fails at what is none", () => {
  const parse = (body: object) => AnthropicMessages.protocol.parse(body as never, options)
  expect(finishOf(parse({ content: [], stop_reason: null }))?.reason).toBe("unknown")
  expect(errorOf(parse({ id: "m" }))?.reason._tag).toBe("MalformedOutput")
  expect(errorOf(parse({ type: "error", error: { type: "api_error", message: "x" } }))?.reason._tag).toBe(
    "ProviderError"
  )
  const thinking = parse({ content: [{ type: "thinking", thinking: "t", signature: "s" }], stop_reason: "end_turn" })
  expect(LlmReply.fold(thinking)[1]).toEqual({
    type: "reasoning",
    text: "t",
    metadata: { anthropic: { type: "thinking", signature: "s" } }
  })
})

it("takes a reason that is a name of every object for one that nobody knows", () => {
  for (const reason of ["constructor", "toString", "__proto__"])
    expect(finishOf(run([start, end(reason), done]))?.reason).toBe("other")
  const odd = run([start, delta(0, { type: "constructor" }), end(), done])
  expect(odd).toContainEqual({ type: "response-metadata", metadata: { anthropic: { delta: { type: "constructor" } } } })
})

it("keeps what a hidden thought holds beside its data", () => {
  const block = { type: "redacted_thinking", data: "ZW5j", unheard: 1 }
  const [, thought] = LlmReply.fold(run([start, begin(0, block), stop(0), end(), done]))
  expect(thought?.metadata).toEqual({ anthropic: { type: "redacted_thinking", redactedData: "ZW5j", unheard: 1 } })
})
