import type { LlmRequest } from "@echelon/core"
import { AnthropicMessagesRequest, type Protocol } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { optionsOf, requestOf } from "./Support.ts"

const lower = (input: LlmRequest.Input, options: Partial<Protocol.Options> = {}, stream = false) => {
  const dropped: Array<string> = []
  const body = AnthropicMessagesRequest.lower(requestOf(input, stream), optionsOf("anthropic", options), (field) =>
    dropped.push(field)
  )
  return { body: JSON.parse(JSON.stringify(body)), dropped }
}

const messages = (prompt: ReadonlyArray<LlmRequest.Message>) => lower({ prompt }).body.messages

const closed = { type: "object", properties: {}, additionalProperties: false }

it("says every setting, tools, choice and schema", () => {
  const { body, dropped } = lower(
    {
      prompt: [
        { role: "system", content: "be brief" },
        { role: "user", content: "hi" }
      ],
      tools: [{ name: "f", description: "d", parameters: { type: "object" }, strict: true }],
      toolChoice: "required",
      responseFormat: { type: "json", name: "answer", schema: closed },
      settings: { temperature: 0.1, maxOutputTokens: 7, topP: 0.2, topK: 4, stop: ["x"], parallelToolCalls: false }
    },
    {},
    true
  )
  expect(body).toEqual({
    model: "a-model",
    max_tokens: 7,
    temperature: 0.1,
    top_p: 0.2,
    top_k: 4,
    stop_sequences: ["x"],
    system: "be brief",
    messages: [{ role: "user", content: [{ type: "text", text: "hi" }] }],
    tools: [{ name: "f", description: "d", input_schema: closed, strict: true }],
    tool_choice: { type: "any", disable_parallel_tool_use: true },
    output_config: { format: { type: "json_schema", schema: closed } },
    stream: true
  })
  expect(dropped).toEqual([])
})

it("always states a limit", () => {
  expect(lower({ prompt: "x" }).body.max_tokens).toBe(AnthropicMessagesRequest.defaultMaxTokens)
  expect(lower({ prompt: "x" }, { maxOutputTokens: 99 }).body.max_tokens).toBe(99)
  expect(lower({ prompt: "x", settings: { maxOutputTokens: 3 } }, { maxOutputTokens: 99 }).body.max_tokens).toBe(3)
})

it("lists what cannot be said", () => {
  const { body, dropped } = lower({
    prompt: "x",
    settings: { temperature: 1.5, seed: 1, presencePenalty: 1, frequencyPenalty: 1, reasoningEffort: "low" }
  })
  expect(body.temperature).toBe(1)
  expect(dropped).toEqual([
    "settings.reasoningEffort",
    "settings.temperature (lowered to 1)",
    "settings.seed",
    "settings.presencePenalty",
    "settings.frequencyPenalty"
  ])
})

it("says each choice", () => {
  const choice = (toolChoice: LlmRequest.ToolChoice | undefined, parallelToolCalls?: boolean) =>
    lower({ prompt: "x", tools: [{ name: "f", parameters: {} }], toolChoice, settings: { parallelToolCalls } }).body
      .tool_choice
  expect(choice(undefined)).toBe(undefined)
  expect(choice("auto")).toEqual({ type: "auto" })
  expect(choice("none")).toEqual({ type: "none" })
  expect(choice({ tool: "f" })).toEqual({ type: "tool", name: "f" })
  expect(choice(undefined, false)).toEqual({ type: "auto", disable_parallel_tool_use: true })
})

it("lifts system messages out, in order", () => {
  const { body } = lower({
    prompt: [
      { role: "system", content: "a" },
      { role: "user", content: "hi" },
      { role: "system", content: "b", options: { anthropic: { cacheControl: { type: "ephemeral" } } } }
    ]
  })
  expect(body.system).toEqual([
    { type: "text", text: "a" },
    { type: "text", text: "b", cache_control: { type: "ephemeral" } }
  ])
  const one = lower({
    prompt: [{ role: "system", content: "a", options: { anthropic: { cache_control: { type: "ephemeral" } } } }]
  })
  expect(one.body.system).toEqual([{ type: "text", text: "a", cache_control: { type: "ephemeral" } }])
})

it("makes one message of what a side says in a row, tool results included", () => {
  expect(
    messages([
      { role: "user", content: "a" },
      { role: "user", content: [{ type: "text", text: "b" }] },
      { role: "assistant", content: [{ type: "tool-call", id: "call|1", name: "f", params: { x: 1 } }] },
      { role: "tool", content: [{ type: "tool-result", id: "call|1", name: "f", isFailure: true, result: { e: 1 } }] },
      { role: "user", content: "go on" }
    ])
  ).toEqual([
    {
      role: "user",
      content: [
        { type: "text", text: "a" },
        { type: "text", text: "b" }
      ]
    },
    { role: "assistant", content: [{ type: "tool_use", id: "call_1", name: "f", input: { x: 1 } }] },
    {
      role: "user",
      content: [
        { type: "tool_result", tool_use_id: "call_1", content: '{"e":1}', is_error: true },
        { type: "text", text: "go on" }
      ]
    }
  ])
})

it("sends no empty text and no prefill that ends in white space", () => {
  expect(
    messages([
      { role: "user", content: "" },
      { role: "user", content: "a" }
    ])
  ).toEqual([{ role: "user", content: [{ type: "text", text: "a" }] }])
  expect(
    messages([
      { role: "user", content: "a" },
      { role: "assistant", content: "The answer: \n" }
    ])[1]
  ).toEqual({
    role: "assistant",
    content: [{ type: "text", text: "The answer:" }]
  })
})

it("sends images and documents", () => {
  const content = (part: object) => messages([{ role: "user", content: [part as never] }])[0]?.content
  expect(content({ type: "file", mediaType: "image/png", data: "iVBOR" })).toEqual([
    { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBOR" } }
  ])
  expect(content({ type: "file", mediaType: "image/*", data: "/9j/x" })).toEqual([
    { type: "image", source: { type: "base64", media_type: "image/jpeg", data: "/9j/x" } }
  ])
  expect(content({ type: "file", mediaType: "image/png", data: "https://a.test/x" })).toEqual([
    { type: "image", source: { type: "url", url: "https://a.test/x" } }
  ])
  expect(content({ type: "file", mediaType: "application/pdf", data: "AAAA", fileName: "a.pdf" })).toEqual([
    { type: "document", source: { type: "base64", media_type: "application/pdf", data: "AAAA" }, title: "a.pdf" }
  ])
  expect(content({ type: "file", mediaType: "text/markdown", data: new TextEncoder().encode("# é") })).toEqual([
    { type: "document", source: { type: "text", media_type: "text/plain", data: "# é" } }
  ])
  const other = lower({
    prompt: [
      {
        role: "user",
        content: [
          { type: "file", mediaType: "audio/wav", data: "A" },
          { type: "text", text: "?" }
        ]
      }
    ]
  })
  expect([other.body.messages[0].content.length, other.dropped]).toEqual([1, ["messages.file (audio/wav)"]])
})

it("puts images into tool results", () => {
  const part = {
    type: "tool-result" as const,
    id: "a",
    name: "f",
    isFailure: false,
    result: null,
    modelOutput: [
      { type: "text" as const, text: "see" },
      { type: "file" as const, mediaType: "image/png", data: "iVBOR" }
    ]
  }
  expect(messages([{ role: "tool", content: [part] }])[0].content[0].content).toEqual([
    { type: "text", text: "see" },
    { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBOR" } }
  ])
})

it("gives its own signed thinking back, and lists another's", () => {
  const reasoning = (options: object | undefined) =>
    lower({
      prompt: [
        {
          role: "assistant",
          content: [
            { type: "reasoning", text: "why", ...(options === undefined ? {} : { options: options as never }) },
            { type: "text", text: "a" }
          ]
        }
      ]
    })
  expect(reasoning({ anthropic: { type: "thinking", signature: "s" } }).body.messages[0].content[0]).toEqual({
    type: "thinking",
    thinking: "why",
    signature: "s"
  })
  expect(
    reasoning({ anthropic: { type: "redacted_thinking", redactedData: "d" } }).body.messages[0].content[0]
  ).toEqual({
    type: "redacted_thinking",
    data: "d"
  })
  for (const options of [undefined, { deepseek: {} }, { google: { signature: "s" } }]) {
    const { body, dropped } = reasoning(options)
    expect([body.messages[0].content, dropped]).toEqual([[{ type: "text", text: "a" }], ["messages.reasoning"]])
  }
})

it("lays the options of its own kind over the body, last", () => {
  const thinking = { type: "enabled", budget_tokens: 1024 }
  const { body } = lower({
    prompt: "x",
    providerOptions: { anthropic: { thinking, max_tokens: 5 }, openai: { no: 1 } }
  })
  expect([body.thinking, body.max_tokens, body.no]).toEqual([thinking, 5, undefined])
})

it("sends a raw body as it came but for model, stream and what it leaves open", () => {
  const sent = { model: "x", max_tokens: 3, messages: [], container: { id: 1 }, stream: true }
  const raw = { protocol: "anthropic-messages", body: sent }
  const settings = { temperature: 0.5, maxOutputTokens: 9 }
  expect(lower({ prompt: "ignored", raw, settings }).body).toEqual({
    model: "a-model",
    max_tokens: 3,
    messages: [],
    container: { id: 1 },
    temperature: 0.5
  })
  expect(lower({ prompt: "ignored", raw }, {}, true).body.stream).toBe(true)
})

it("never says temperature and top p together to a model that takes one, nor any to one that takes none", () => {
  const settings = { temperature: 0.5, topP: 0.9 }
  const one = lower({ prompt: "x", settings }, { model: "claude-sonnet-4-5" })
  expect([one.body.temperature, one.body.top_p, one.dropped]).toEqual([0.5, undefined, ["settings.topP"]])
  const none = lower({ prompt: "x", settings }, { model: "claude-opus-5" })
  expect([none.body.temperature, none.body.top_p]).toEqual([undefined, undefined])
  expect(none.dropped).toEqual(["settings.temperature", "settings.topP"])
  // What the body says stands; the echelon's default would be the second.
  const raw = { protocol: "anthropic-messages", body: { max_tokens: 3, messages: [], top_p: 0.9 } }
  const filled = lower({ prompt: "x", raw, settings: { temperature: 0.5 } }, { model: "claude-sonnet-4-5" })
  expect([filled.body.temperature, filled.body.top_p, filled.dropped]).toEqual([undefined, 0.9, []])
  const both = { ...raw, body: { ...raw.body, temperature: 0.2 } }
  const sent = lower({ prompt: "x", raw: both }, { model: "claude-sonnet-4-5" })
  expect([sent.body.temperature, sent.body.top_p, sent.dropped]).toEqual([0.2, undefined, ["settings.topP"]])
})

it("lowers a limit to what the model can write", () => {
  const { body, dropped } = lower(
    { prompt: "x", settings: { maxOutputTokens: 64_000 } },
    { model: "claude-3-haiku-20240307", maxOutputTokens: 4_096 }
  )
  expect([body.max_tokens, dropped]).toEqual([4_096, ["settings.maxOutputTokens (lowered to 4096)"]])
})

it("holds an answer to a closed schema, and says nothing of one that names nothing", () => {
  const json = (schema: Readonly<Record<string, unknown>>) => {
    const { body, dropped } = lower({ prompt: "x", responseFormat: { type: "json", name: "a", schema } })
    return [body.output_config, dropped]
  }
  const age = { type: "integer", minimum: 0 }
  expect(json({ type: "object", properties: { age }, required: ["age"], additionalProperties: true })).toEqual([
    {
      format: {
        type: "json_schema",
        schema: {
          type: "object",
          properties: { age: { type: "integer", description: '{"minimum":0}' } },
          required: ["age"],
          additionalProperties: false
        }
      }
    },
    ["responseFormat.schema.minimum (in the description)"]
  ])
  expect(json({ type: "object" })).toEqual([undefined, ["responseFormat"]])
})

it("gives every tool a schema of an object, and a strict one a closed schema", () => {
  const tool = (parameters: Readonly<Record<string, unknown>>, strict?: boolean) => {
    const { body, dropped } = lower({ prompt: "x", tools: [{ name: "f", parameters, strict }] })
    return [body.tools, dropped]
  }
  expect(tool({})).toEqual([[{ name: "f", input_schema: { type: "object", properties: {} } }], []])
  const open = { type: "object", properties: { a: { type: "string" } } }
  expect(tool(open)).toEqual([[{ name: "f", input_schema: open }], []])
  expect(tool(open, true)).toEqual([
    [{ name: "f", input_schema: { ...open, additionalProperties: false }, strict: true }],
    []
  ])
  const record = { type: "object", additionalProperties: { type: "number" } }
  expect(tool(record, true)).toEqual([[{ name: "f", input_schema: record }], ["tools.strict"]])
})
