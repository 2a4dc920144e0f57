import { LlmError, LlmReply, type Part } from "@echelon/core"
import { OpenAiChat, OpenAiChatStream, type Protocol } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { optionsOf } from "./Support.ts"

const run = (
  events: ReadonlyArray<unknown>,
  options: Protocol.Options = optionsOf("openai")
): ReadonlyArray<Part.Part> => {
  let state = OpenAiChatStream.initial(options)
  const parts: Array<Part.Part> = []
  for (const event of events) {
    const data = typeof event === "string" ? event : JSON.stringify(event)
    const [next, more] = OpenAiChatStream.step(state, { event: undefined, data })
    state = next
    parts.push(...more)
  }
  return [...parts, ...OpenAiChatStream.flush(state)]
}

const chunk = (delta: unknown, finish: string | null = null, more: object = {}) => ({
  id: "r",
  created: 1,
  model: "m",
  choices: [{ index: 0, delta, finish_reason: finish }],
  ...more
})

const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 }

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
  const parts = run([chunk({ role: "assistant", content: "" }), chunk({ content: "a" }), chunk({}, "stop"), "[DONE]"])
  expect(parts).toEqual([
    { type: "response-metadata", id: "r", modelId: "m", timestamp: "1970-01-01T00:00:01.000Z" },
    { type: "text-start", id: "0" },
    { type: "text-delta", id: "0", delta: "a" },
    { type: "text-end", id: "0" },
    {
      type: "finish",
      reason: "stop",
      usage: { inputTokens: {}, outputTokens: {} },
      metadata: { openai: { finish_reason: "stop" } }
    }
  ])
})

it("holds the finish part until usage came", () => {
  const events = [chunk({ content: "a" }), chunk({}, "stop"), { ...chunk({}), choices: [], usage }]
  for (const ended of [[...events, "[DONE]"], events]) {
    expect(typesOf(run(ended)).filter((type) => type === "finish").length).toBe(1)
    expect(finishOf(run(ended))?.usage.inputTokens.total).toBe(10)
  }
})

it("gives no finish part without a reason", () => {
  for (const events of [[chunk({ content: "a" })], [chunk({ content: "a" }), "[DONE]"], ["[DONE]"], []])
    expect(finishOf(run(events))).toBe(undefined)
})

it("gives nothing after the end", () => {
  const parts = run([chunk({}, "stop"), "[DONE]", chunk({ content: "late" }), "[DONE]"])
  expect(typesOf(parts)).toEqual(["response-metadata", "finish"])
})

it("tells reasoning from text, under each of its names", () => {
  for (const key of ["reasoning_content", "reasoning"]) {
    const parts = run([chunk({ [key]: "why" }), chunk({ [key]: "?" }), chunk({ content: "a" }), chunk({}, "stop")])
    const content = LlmReply.fold(parts)
    expect(content.slice(1, 3)).toEqual([
      { type: "reasoning", text: "why?" },
      { type: "text", text: "a" }
    ])
  }
})

it("takes reasoning once when it is sent under both names", () => {
  const parts = run([chunk({ reasoning_content: "x", reasoning: "x" }), chunk({}, "stop")])
  expect(LlmReply.toAnswer(parts, []).reasoning).toBe("x")
})

it("keeps reasoning details for the way back", () => {
  const first = { type: "reasoning.text", text: "w", index: 0 }
  const second = { type: "reasoning.encrypted", data: "xx", index: 1 }
  const parts = run(
    [
      chunk({ reasoning: "w", reasoning_details: [first] }),
      chunk({ reasoning_details: [second] }),
      chunk({ content: "a" }),
      chunk({}, "stop")
    ],
    optionsOf("openrouter")
  )
  expect(LlmReply.fold(parts)[1]).toEqual({
    type: "reasoning",
    text: "w",
    metadata: { openrouter: { reasoning_details: [first, second] } }
  })
})

it("reads content that is a list", () => {
  const content = [
    {
      type: "thinking",
      thinking: [
        { type: "text", text: "t" },
        { type: "tool_reference", tool: "x" }
      ]
    },
    { type: "text", text: "a" },
    { type: "reference", reference_ids: [1] }
  ]
  const parts = run([chunk({ content }), chunk({ content: "b" }, "stop")], optionsOf("mistral"))
  const answer = LlmReply.toAnswer(parts, [])
  expect([answer.reasoning, answer.text]).toEqual(["t", "ab"])
  expect(parts).toContainEqual({
    type: "response-metadata",
    metadata: { mistral: { content: { type: "reference", reference_ids: [1] } } }
  })
})

it("gives a refusal as text that says so, and ends as a content filter", () => {
  const parts = run([chunk({ refusal: "I " }), chunk({ refusal: "won't" }), chunk({}, "stop")])
  expect(parts).toContainEqual({ type: "text-start", id: "0", metadata: { openai: { refusal: true } } })
  expect(LlmReply.toAnswer(parts, []).text).toBe("I won't")
  expect(finishOf(parts)?.reason).toBe("content-filter")
})

it("gives annotations and addresses as sources", () => {
  const annotation = {
    type: "url_citation",
    url_citation: { url: "https://a.test/", title: "A", start_index: 0, end_index: 1 }
  }
  const parts = run([
    chunk({ content: "a" }),
    chunk({ annotations: [annotation, { type: "other" }] }),
    chunk({}, "stop", { citations: ["https://a.test/", "https://b.test/"] }),
    chunk({}, null, { citations: ["https://b.test/"] })
  ])
  const sources = parts.filter((part) => part.type === "source")
  expect(sources).toEqual([
    {
      type: "source",
      sourceType: "url",
      id: "source-0",
      url: "https://a.test/",
      title: "A",
      metadata: { openai: { annotation } }
    },
    { type: "source", sourceType: "url", id: "source-1", url: "https://b.test/", title: "https://b.test/" }
  ])
  expect(parts).toContainEqual({ type: "response-metadata", metadata: { openai: { annotation: { type: "other" } } } })
})

it("carries what has no part of its own", () => {
  const parts = run([
    { id: "", choices: [], prompt_filter_results: [{ prompt_index: 0 }] },
    chunk({ content: "a", audio: { id: "x" } }, null, { x_groq: { id: "q" }, system_fingerprint: "f" }),
    { ...chunk({}), choices: [{ index: 1, delta: { content: "other" }, finish_reason: null }] },
    {
      id: "r",
      choices: [
        {
          index: 0,
          delta: { content: "b" },
          logprobs: { content: [{ token: "b" }] },
          content_filter_results: { hate: { filtered: false } }
        }
      ]
    },
    chunk({}, "stop", { x_groq: { usage: { prompt_tokens: 1, completion_tokens: 2 } }, service_tier: "flex" })
  ])
  expect(parts).toContainEqual({ type: "response-metadata", metadata: { openai: { delta: { audio: { id: "x" } } } } })
  expect(parts).toContainEqual({
    type: "response-metadata",
    metadata: { openai: { choice: { index: 1, delta: { content: "other" }, finish_reason: null } } }
  })
  expect(finishOf(parts)).toEqual({
    type: "finish",
    reason: "stop",
    usage: {
      inputTokens: { total: 1, uncached: 1, cacheRead: undefined, cacheWrite: undefined },
      outputTokens: { total: 2, text: undefined, reasoning: undefined }
    },
    metadata: {
      openai: {
        prompt_filter_results: [{ prompt_index: 0 }],
        x_groq: { id: "q", usage: { prompt_tokens: 1, completion_tokens: 2 } },
        system_fingerprint: "f",
        service_tier: "flex",
        content_filter_results: { hate: { filtered: false } },
        logprobs: { content: [{ token: "b" }] },
        finish_reason: "stop",
        usage: { prompt_tokens: 1, completion_tokens: 2 }
      }
    }
  })
  expect(LlmReply.toAnswer(parts, []).text).toBe("ab")
})

it("reads every reason, and does not break at one it does not know", () => {
  const cases: Record<string, string> = {
    stop: "stop",
    length: "length",
    tool_calls: "tool-calls",
    function_call: "tool-calls",
    content_filter: "content-filter",
    model_length: "length",
    error: "error",
    brand_new: "other"
  }
  for (const [stated, reason] of Object.entries(cases))
    expect([stated, finishOf(run([chunk({ content: "a" }, stated)]))?.reason]).toEqual([stated, reason])
  expect(errorOf(run([chunk({ content: "a" }, "insufficient_system_resource")]))?.reason._tag).toBe("Overloaded")
})

it("reads usage with cached and reasoning tokens", () => {
  const of = (figures: object) => finishOf(run([chunk({}, "stop", { usage: figures })]))?.usage
  expect(
    of({ ...usage, prompt_tokens_details: { cached_tokens: 4 }, completion_tokens_details: { reasoning_tokens: 3 } })
  ).toEqual({
    inputTokens: { total: 10, uncached: 6, cacheRead: 4, cacheWrite: undefined },
    outputTokens: { total: 5, text: 2, reasoning: 3 }
  })
  expect(of({ ...usage, prompt_cache_hit_tokens: 7 })?.inputTokens.cacheRead).toBe(7)
  // Reasoning beside the completion, as only the total shows.
  expect(
    of({ ...usage, total_tokens: 18, completion_tokens_details: { reasoning_tokens: 3 } })?.outputTokens.total
  ).toBe(8)
  // Figures that are none are unknown, not zero.
  expect(of({ prompt_tokens: -1, completion_tokens: "5" })?.inputTokens.total).toBe(undefined)
})

it("fails at an event that is no JSON, and at one that is an error", () => {
  expect(errorOf(run([chunk({ content: "a" }), '{"id":']))?.reason._tag).toBe("MalformedOutput")
  expect(errorOf(run(["7"]))?.reason._tag).toBe("MalformedOutput")
  expect(errorOf(run([{ error: { code: 502, message: "up" }, choices: [] }]))?.reason._tag).toBe("ProviderError")
  expect(errorOf(run([{ error: "something" }]))?.reason._tag).toBe("Unknown")
  expect(errorOf(run([{ error: { type: "invalid_request_error", message: "x" } }]))?.reason._tag).toBe("InvalidRequest")
  expect(errorOf(run([{ object: "error", message: "m", code: 400 }]))?.reason._tag).toBe("InvalidRequest")
  const [, parts] = OpenAiChatStream.step(OpenAiChatStream.initial(optionsOf("openai")), {
    event: "error",
    data: '{"message":"m","code":"rate_limit_exceeded"}'
  })
  expect(errorOf(parts)?.reason._tag).toBe("RateLimited")
})

it("survives fields of any type", () => {
  const odd = [null, 1, "x", [], {}, [null], [[]], true]
  for (const value of odd)
    for (const key of ["content", "tool_calls", "annotations", "reasoning", "refusal", "reasoning_details"])
      expect(finishOf(run([chunk({ [key]: value }), chunk({}, "content_filter")]))?.reason).toBe("content-filter")
  for (const value of odd)
    for (const key of ["usage", "choices", "citations", "id", "model", "created"])
      expect(errorOf(run([{ ...chunk({}), [key]: value }, chunk({}, "stop")]))).toBe(undefined)
})

it("leaves its input alone and keeps no state of its own", () => {
  const before = OpenAiChatStream.initial(optionsOf("openai"))
  const event = {
    event: undefined,
    data: JSON.stringify(
      chunk({ content: "a", tool_calls: [{ index: 0, id: "c", function: { name: "f", arguments: "{" } }] })
    )
  }
  const copy = structuredClone({ ...before, options: undefined })
  const first = OpenAiChatStream.step(before, event)
  expect(OpenAiChatStream.step(before, event)).toEqual(first)
  expect({ ...before, options: undefined }).toEqual(copy)
})

// --- tool calls -------------------------------------------------------------------------------------------------

const callsOf = (...deltas: ReadonlyArray<ReadonlyArray<unknown>>) =>
  run([...deltas.map((calls) => chunk({ tool_calls: calls })), chunk({}, "tool_calls")])

const whole = (parts: ReadonlyArray<Part.Part>) =>
  LlmReply.toAnswer(parts, []).toolCalls.map(({ id, name, params }) => [id, name, params])

const delta = (
  index: number | undefined,
  id: string | undefined,
  name: string | undefined,
  args: string | undefined
) => ({
  ...(index === undefined ? {} : { index }),
  ...(id === undefined ? {} : { id }),
  function: { ...(name === undefined ? {} : { name }), ...(args === undefined ? {} : { arguments: args }) }
})

it("gives a tool call when its arguments are whole", () => {
  const parts = callsOf(
    [delta(0, "c", "f", "")],
    [delta(0, undefined, undefined, '{"a"')],
    [delta(0, undefined, undefined, ":1}")]
  )
  expect(parts.slice(1, -1)).toEqual([
    { type: "tool-params-start", id: "c", name: "f" },
    { type: "tool-params-delta", id: "c", delta: '{"a"' },
    { type: "tool-params-delta", id: "c", delta: ":1}" },
    { type: "tool-params-end", id: "c" },
    { type: "tool-call", id: "c", name: "f", params: { a: 1 } }
  ])
})

it("puts parallel calls together that interleave", () => {
  const parts = callsOf(
    [delta(0, "a", "f", "{"), delta(1, "b", "g", "{")],
    [delta(1, undefined, undefined, '"x":1')],
    [delta(0, undefined, undefined, "}"), delta(1, undefined, undefined, "}")]
  )
  expect(whole(parts)).toEqual([
    ["a", "f", {}],
    ["b", "g", { x: 1 }]
  ])
})

it("takes no arguments for an empty object", () => {
  expect(whole(callsOf([delta(0, "a", "f", "")]))).toEqual([["a", "f", {}]])
  expect(whole(callsOf([delta(0, "a", "f", undefined)]))).toEqual([["a", "f", {}]])
})

it("does without an index", () => {
  expect(whole(callsOf([delta(undefined, "a", "f", '{"x"')], [delta(undefined, undefined, undefined, ":1}")]))).toEqual(
    [["a", "f", { x: 1 }]]
  )
  expect(
    whole(
      callsOf(
        [delta(undefined, "a", "f", "{"), delta(undefined, "b", "g", "{")],
        [delta(undefined, "a", undefined, "}"), delta(undefined, "b", undefined, "}")]
      )
    )
  ).toEqual([
    ["a", "f", {}],
    ["b", "g", {}]
  ])
})

it("takes a new id under an old index for a new call", () => {
  expect(whole(callsOf([delta(0, "a", "f", "{}")], [delta(0, "b", "g", "{}")]))).toEqual([
    ["a", "f", {}],
    ["b", "g", {}]
  ])
})

it("does not repeat what is repeated", () => {
  const parts = callsOf([delta(0, "a", "f", '{"x"')], [delta(0, "a", "f", ":1")], [delta(0, "a", "f", "}")])
  expect(whole(parts)).toEqual([["a", "f", { x: 1 }]])
})

it("joins a name that comes in pieces", () => {
  const parts = callsOf(
    [delta(0, "a", "get_", undefined)],
    [delta(0, undefined, "weather", undefined)],
    [delta(0, undefined, undefined, "{}")]
  )
  expect(whole(parts)).toEqual([["a", "get_weather", {}]])
  expect(parts).toContainEqual({ type: "tool-params-start", id: "a", name: "get_weather" })
})

it("makes an id where there is none", () => {
  expect(whole(callsOf([delta(0, undefined, "f", "{}"), delta(1, "", "g", "{}")]))).toEqual([
    ["r_call_0", "f", {}],
    ["r_call_1", "g", {}]
  ])
})

it("takes arguments that are an object", () => {
  expect(whole(callsOf([{ index: 0, id: "a", function: { name: "f", arguments: { x: 1 } } }]))).toEqual([
    ["a", "f", { x: 1 }]
  ])
})

it("fails when arguments are no JSON at the end", () => {
  const parts = callsOf([delta(0, "a", "f", '{"x":')])
  expect(errorOf(parts)?.reason._tag).toBe("MalformedOutput")
  expect(typesOf(parts)).not.toContain("tool-call")
  expect(typesOf(parts)).not.toContain("finish")
})

it("does not fail when the limit cut the arguments: the finish part carries them", () => {
  const parts = run([chunk({ tool_calls: [delta(0, "a", "f", '{"x":')] }), chunk({}, "length")])
  expect(typesOf(parts)).not.toContain("tool-call")
  expect(finishOf(parts)).toMatchObject({
    reason: "length",
    metadata: { openai: { incomplete_tool_calls: [{ id: "a", name: "f", arguments: '{"x":' }] } }
  })
})

it("gives no tool call when the stream breaks off", () => {
  const parts = run([chunk({ tool_calls: [delta(0, "a", "f", "{}")] })])
  expect(typesOf(parts)).not.toContain("tool-call")
})

// --- buffered replies -------------------------------------------------------------------------------------------

const reply = (message: unknown, finish: string | null = "stop", more: object = {}) => ({
  id: "r",
  created: 1,
  model: "m",
  choices: [{ index: 0, message, finish_reason: finish }],
  ...more
})

it("parses a buffered reply as the stream that builds it", () => {
  const call = { id: "c", type: "function", function: { name: "f", arguments: '{"a":1}' } }
  const annotations = [{ type: "url_citation", url_citation: { url: "https://a.test/", title: "A" } }]
  const buffered = OpenAiChat.protocol.parse(
    reply(
      { role: "assistant", reasoning_content: "why", content: "hello", refusal: "no", annotations, tool_calls: [call] },
      "tool_calls",
      {
        usage,
        service_tier: "x"
      }
    ) as never,
    optionsOf("openai")
  )
  const streamed = run([
    chunk({ role: "assistant", reasoning_content: "wh" }),
    chunk({ reasoning_content: "y" }),
    chunk({ content: "hel" }),
    chunk({ content: "lo" }),
    chunk({ refusal: "no" }),
    chunk({ annotations }),
    chunk({ tool_calls: [delta(0, "c", "f", '{"a"')] }),
    chunk({ tool_calls: [delta(0, undefined, undefined, ":1}")] }),
    chunk({}, "tool_calls", { service_tier: "x" }),
    { ...chunk({}), choices: [], usage },
    "[DONE]"
  ])
  expect(LlmReply.fold(streamed)).toEqual(LlmReply.fold(buffered))
})

it("takes a reply in one piece for whole although it names no reason", () => {
  const parts = OpenAiChat.protocol.parse(reply({ content: "a" }, null) as never, optionsOf("openai"))
  expect(finishOf(parts)?.reason).toBe("unknown")
})

it("fails at a reply without a choice, and at an error", () => {
  for (const choices of [[], null, [null], undefined])
    expect(errorOf(OpenAiChat.protocol.parse({ id: "r", choices } as never, optionsOf("openai")))?.reason._tag).toBe(
      "MalformedOutput"
    )
  expect(
    errorOf(OpenAiChat.protocol.parse({ error: { code: "insufficient_quota" } }, optionsOf("openai")))?.reason._tag
  ).toBe("QuotaExhausted")
})

it("keeps what a call holds beside its function", () => {
  const signed = { google: { thought_signature: "c2ln" } }
  const events = [
    chunk({
      tool_calls: [
        { index: 0, id: "c", type: "function", extra_content: signed, function: { name: "f", arguments: "", x: 1 } }
      ]
    }),
    chunk({ tool_calls: [{ index: 0, function: { arguments: "{}" } }] }),
    chunk({}, "tool_calls")
  ]
  const call = {
    type: "tool-call",
    id: "c",
    name: "f",
    params: {},
    metadata: { "gemini-openai": { extra_content: signed, function: { x: 1 } } }
  }
  expect(run(events, optionsOf("gemini-openai"))).toContainEqual(call)
})

it("carries calls of no function, and goes on", () => {
  const custom = { id: "c", type: "custom", custom: { name: "code", input: "a = 1" } }
  const whole = {
    id: "r",
    choices: [
      {
        message: {
          tool_calls: [custom, { id: "d", type: "function", function: "f" }, { id: "e", function: { name: "g" } }]
        },
        finish_reason: "tool_calls"
      }
    ]
  }
  const parts = OpenAiChatStream.parse(whole, optionsOf("openai"))
  expect(parts).toContainEqual({ type: "response-metadata", metadata: { openai: { tool_call: custom } } })
  expect(parts).toContainEqual({
    type: "response-metadata",
    metadata: { openai: { tool_call: { id: "d", type: "function" } } }
  })
  expect(parts).toContainEqual({ type: "tool-call", id: "e", name: "g", params: {} })
  expect(finishOf(parts)?.reason).toBe("tool-calls")

  const streamed = run([
    chunk({ tool_calls: [{ index: 0, id: "c", type: "custom", custom: { name: "code", input: "" } }] }),
    chunk({ tool_calls: [{ index: 0, custom: { input: "a " } }] }),
    chunk({ tool_calls: [{ index: 0, custom: { input: "= 1" } }] }),
    chunk({}, "tool_calls")
  ])
  expect(streamed).toContainEqual({ type: "response-metadata", metadata: { openai: { tool_call: custom } } })
  expect(typesOf(streamed)).not.toContain("tool-params-start")
})

it("says that it called tools, whatever reason it gives", () => {
  const calls = [{ index: 0, id: "c", function: { name: "f", arguments: "{}" } }]
  expect(finishOf(run([chunk({ tool_calls: calls }), chunk({}, "stop"), "[DONE]"]))?.reason).toBe("tool-calls")
  expect(finishOf(run([chunk({ tool_calls: calls }), chunk({}, "length"), "[DONE]"]))?.reason).toBe("length")
  const custom = [{ index: 0, id: "c", type: "custom", custom: { name: "f", input: "x" } }]
  expect(finishOf(run([chunk({ tool_calls: custom }), chunk({}, "stop"), "[DONE]"]))?.reason).toBe("stop")
})

it("reads a call in the older way", () => {
  const parts = run([
    chunk({ function_call: { name: "f", arguments: "" } }),
    chunk({ function_call: { arguments: '{"a"' } }),
    chunk({ function_call: { arguments: ":1}" } }),
    chunk({}, "function_call")
  ])
  expect(parts).toContainEqual({ type: "tool-call", id: "r_call_0", name: "f", params: { a: 1 } })
  expect(finishOf(parts)?.reason).toBe("tool-calls")
  const message = { content: null, function_call: { name: "f", arguments: "{}" } }
  const whole = OpenAiChatStream.parse({ id: "r", choices: [{ message, finish_reason: "stop" }] }, optionsOf("openai"))
  expect(whole).toContainEqual({ type: "tool-call", id: "r_call_0", name: "f", params: {} })
  expect(finishOf(whole)?.reason).toBe("tool-calls")
})

it("takes a reason that is a name of every object for one that nobody knows", () => {
  for (const reason of ["constructor", "toString", "__proto__"])
    expect(finishOf(run([chunk({ content: "a" }, reason), "[DONE]"]))?.reason).toBe("other")
})

it("reads plain texts in a content that is an array", () => {
  const parts = run([chunk({ content: ["a", { type: "text", text: "b" }, 7] }, "stop")])
  expect(LlmReply.fold(parts)).toContainEqual({ type: "text", text: "ab" })
  expect(parts).toContainEqual({ type: "response-metadata", metadata: { openai: { content: 7 } } })
})
