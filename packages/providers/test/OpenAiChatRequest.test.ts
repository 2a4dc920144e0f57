import type { LlmRequest } from "@echelon/core"
import { type Dialect, OpenAiChatRequest, type Protocol } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import type { Prompt } from "effect/ai"
import { optionsOf, requestOf } from "./Support.ts"

const lower = (input: LlmRequest.Input, kind = "openai", options: Partial<Protocol.Options> = {}, stream = false) => {
  const dropped: Array<string> = []
  const body = OpenAiChatRequest.lower(requestOf(input, stream), optionsOf(kind, options), (field) =>
    dropped.push(field)
  )
  return { body: JSON.parse(JSON.stringify(body)), dropped }
}

const png = "iVBORw0KGgo="

const closed = { type: "object", properties: {}, required: [], additionalProperties: false }

it("says every setting, tools, choice and schema", () => {
  const { body, dropped } = lower({
    prompt: [
      { role: "system", content: "be brief" },
      { role: "user", content: "hi" }
    ],
    tools: [{ name: "f", description: "d", parameters: { type: "object" }, strict: true }],
    toolChoice: { tool: "f" },
    responseFormat: { type: "json", name: "answer", schema: closed, strict: true },
    settings: {
      temperature: 0.1,
      maxOutputTokens: 7,
      topP: 0.2,
      stop: ["x"],
      seed: 3,
      presencePenalty: 0.4,
      frequencyPenalty: 0.5,
      parallelToolCalls: false,
      reasoningEffort: "low"
    }
  })
  expect(body).toEqual({
    model: "a-model",
    messages: [
      { role: "system", content: "be brief" },
      { role: "user", content: "hi" }
    ],
    temperature: 0.1,
    max_completion_tokens: 7,
    top_p: 0.2,
    stop: ["x"],
    seed: 3,
    presence_penalty: 0.4,
    frequency_penalty: 0.5,
    reasoning_effort: "low",
    tools: [{ type: "function", function: { name: "f", description: "d", parameters: closed, strict: true } }],
    tool_choice: { type: "function", function: { name: "f" } },
    parallel_tool_calls: false,
    response_format: { type: "json_schema", json_schema: { name: "answer", schema: closed, strict: true } }
  })
  expect(dropped).toEqual([])
})

it("names the limit as the server knows it", () => {
  for (const [kind, field] of [
    ["openai", "max_completion_tokens"],
    ["azure-openai", "max_completion_tokens"],
    ["groq", "max_tokens"],
    ["openai-compatible", "max_tokens"]
  ] as const)
    expect(lower({ prompt: "x", settings: { maxOutputTokens: 1 } }, kind).body[field]).toBe(1)
})

it("says what each dialect understands and lists the rest", () => {
  const input: LlmRequest.Input = {
    prompt: "x",
    tools: [{ name: "f", parameters: {} }],
    toolChoice: "required",
    responseFormat: { type: "json", name: "a", schema: {} },
    settings: { topK: 5, seed: 1, reasoningEffort: "high", parallelToolCalls: true }
  }
  const mistral = lower(input, "mistral", {}, true)
  expect(mistral.body).toMatchObject({ random_seed: 1, tool_choice: "any", stream: true })
  expect(mistral.body.stream_options).toBe(undefined)
  expect(mistral.dropped).toEqual(["settings.topK", "settings.reasoningEffort"])
  const deepseek = lower(input, "deepseek")
  expect(deepseek.body).toMatchObject({ response_format: { type: "json_object" }, tool_choice: "required" })
  expect(deepseek.dropped).toEqual([
    "settings.topK",
    "settings.reasoningEffort",
    "settings.parallelToolCalls",
    "responseFormat.schema"
  ])
  expect(lower(input, "openrouter").body).toMatchObject({ top_k: 5, reasoning: { effort: "high" } })
})

it("asks for usage in a stream", () => {
  expect(lower({ prompt: "x" }, "openai", {}, true).body).toMatchObject({
    stream: true,
    stream_options: { include_usage: true }
  })
  expect(lower({ prompt: "x" }).body.stream).toBe(undefined)
})

it("sends images and files in every form", () => {
  const file = (data: LlmRequest.Message, at = 0) =>
    (lower({ prompt: [data] }).body.messages[0].content as Array<unknown>)[at]
  const image = (data: string | Uint8Array | URL | object, mediaType = "image/png") =>
    file({
      role: "user",
      content: [
        { type: "file", mediaType, data: data as string },
        { type: "text", text: "?" }
      ]
    })
  const url = `data:image/png;base64,${png}`
  expect(image(png)).toEqual({ type: "image_url", image_url: { url } })
  expect(image(Buffer.from(png, "base64"))).toEqual({ type: "image_url", image_url: { url } })
  expect(image(url)).toEqual({ type: "image_url", image_url: { url } })
  expect(image({ _tag: "Uint8Array", base64: png })).toEqual({ type: "image_url", image_url: { url } })
  expect(image(png, "image/*")).toEqual({ type: "image_url", image_url: { url } })
  expect(image("data:image/svg+xml,%3Csvg%3E")).toEqual({
    type: "image_url",
    image_url: { url: `data:image/svg+xml;base64,${Buffer.from("<svg>").toString("base64")}` }
  })
  const remote = { type: "image_url", image_url: { url: "https://a.test/x.png" } }
  expect(image("https://a.test/x.png")).toEqual(remote)
  expect(image(new URL("https://a.test/x.png"))).toEqual(remote)
  expect(image({ _tag: "URL", href: "https://a.test/x.png" })).toEqual(remote)
  expect(image("AAAA", "application/pdf")).toEqual({
    type: "file",
    file: { filename: "file.pdf", file_data: "data:application/pdf;base64,AAAA" }
  })
  expect(image("AAAA", "audio/wav")).toEqual({ type: "input_audio", input_audio: { data: "AAAA", format: "wav" } })
  const other = lower({ prompt: [{ role: "user", content: [{ type: "file", mediaType: "video/mp4", data: "AAAA" }] }] })
  expect([other.body.messages[0].content, other.dropped]).toEqual([[], ["messages.file (video/mp4)"]])
})

const conversation = (kind: string, own: object | undefined): ReadonlyArray<LlmRequest.Message> => [
  { role: "user", content: [{ type: "text", text: "hi" }] },
  {
    role: "assistant",
    content: [
      { type: "reasoning", text: "why", ...(own === undefined ? {} : { options: { [kind]: own as never } }) },
      { type: "text", text: "let me see" },
      { type: "tool-call", id: "call_1", name: "f", params: { a: 1 } }
    ]
  },
  {
    role: "tool",
    content: [
      { type: "tool-result", id: "call_1", name: "f", isFailure: false, result: { b: 2 } },
      { type: "tool-result", id: "call_2", name: "g", isFailure: false, result: "text" }
    ]
  }
]

it("says tool calls and their results", () => {
  const { body } = lower({ prompt: conversation("openai", undefined) })
  expect(body.messages).toEqual([
    { role: "user", content: "hi" },
    {
      role: "assistant",
      content: "let me see",
      tool_calls: [{ id: "call_1", type: "function", function: { name: "f", arguments: '{"a":1}' } }]
    },
    { role: "tool", tool_call_id: "call_1", content: '{"b":2}' },
    { role: "tool", tool_call_id: "call_2", content: "text" }
  ])
  const only = lower({
    prompt: [{ role: "assistant", content: [{ type: "tool-call", id: "a", name: "f", params: {} }] }]
  })
  expect(only.body.messages[0].content).toBe(null)
})

it("gives reasoning back where it is wanted and lists it where it is not", () => {
  expect(lower({ prompt: conversation("deepseek", {}) }, "deepseek").body.messages[1].reasoning_content).toBe("why")
  const earlier = [...conversation("deepseek", {}), { role: "user", content: "and now?" } as const]
  expect(lower({ prompt: earlier }, "deepseek").body.messages[1].reasoning_content).toBe(undefined)
  expect(lower({ prompt: conversation("mistral", {}) }, "mistral").body.messages[1].content[0]).toEqual({
    type: "thinking",
    thinking: [{ type: "text", text: "why" }]
  })
  const details = [{ type: "reasoning.encrypted", data: "x" }]
  const routed = lower({ prompt: conversation("openrouter", { reasoning_details: details }) }, "openrouter")
  expect(routed.body.messages[1].reasoning_details).toEqual(details)
  const openai = lower({ prompt: conversation("openai", {}) })
  expect(openai.dropped).toEqual(["messages.reasoning"])
  // What another provider signed means nothing here.
  const foreign = lower({ prompt: conversation("anthropic", { signature: "s" }) }, "deepseek")
  expect([foreign.body.messages[1].reasoning_content, foreign.dropped]).toEqual([undefined, ["messages.reasoning"]])
})

it("drops and lists what the provider itself executed", () => {
  const { body, dropped } = lower({
    prompt: [
      {
        role: "assistant",
        content: [
          { type: "text", text: "a" },
          { type: "tool-call", id: "s", name: "search", params: {}, providerExecuted: true }
        ]
      }
    ]
  })
  expect(body.messages).toEqual([{ role: "assistant", content: "a" }])
  expect(dropped).toEqual(["messages.tool-call"])
})

it("makes ids of nine letters where they are demanded, the same in call and result", () => {
  const { body } = lower({ prompt: conversation("mistral", undefined) }, "mistral")
  const [, assistant, result, other] = body.messages
  const id = assistant.tool_calls[0].id
  expect(id).toMatch(/^[a-zA-Z0-9]{9}$/)
  expect(result.tool_call_id).toBe(id)
  expect(other.tool_call_id).not.toBe(id)
  const kept = lower(
    { prompt: [{ role: "assistant", content: [{ type: "tool-call", id: "gSIMJiOkT", name: "f", params: {} }] }] },
    "mistral"
  )
  expect(kept.body.messages[0].tool_calls[0].id).toBe("gSIMJiOkT")
  const ids = Array.from({ length: 500 }, (_, i) => ({
    type: "tool-call" as const,
    id: `call_${i}`,
    name: "f",
    params: {}
  }))
  const many = lower({ prompt: [{ role: "assistant", content: ids }] }, "mistral").body.messages[0].tool_calls
  expect(new Set(many.map((call: { id: string }) => call.id)).size).toBe(500)
})

it("lays the options of its own kind over the body, last", () => {
  const evil = JSON.parse(
    '{"logprobs":true,"temperature":1,"model":"x","stream":true,"__proto__":{"a":1},"stream_options":{"b":2}}'
  )
  const { body, dropped } = lower(
    { prompt: "x", settings: { temperature: 0 }, providerOptions: { openai: evil, groq: { no: 1 } } },
    "openai",
    {},
    true
  )
  expect(body).toMatchObject({
    model: "a-model",
    logprobs: true,
    temperature: 1,
    stream: true,
    stream_options: { include_usage: true, b: 2 }
  })
  expect(body.no).toBe(undefined)
  expect(dropped).toEqual(["providerOptions.openai.model", "providerOptions.openai.stream"])
  expect(({} as Record<string, unknown>)["a"]).toBe(undefined)
})

const raw = (body: object, kind: string, settings: LlmRequest.Settings, stream = false) =>
  lower(
    { prompt: "ignored", settings, raw: { protocol: "openai-chat", body: body as Record<string, unknown> } },
    kind,
    {},
    stream
  ).body

it("sends a raw body as it came but for model, stream and what it leaves open", () => {
  const body = {
    model: "x",
    messages: [{ role: "user", content: "hi", extra: 1 }],
    temperature: 0,
    unheard_of: [{}],
    stream: true,
    stream_options: { include_usage: false, y: 1 }
  }
  expect(raw(body, "openai", { temperature: 1, topP: 0.5, maxOutputTokens: 9 })).toEqual({
    model: "a-model",
    messages: body.messages,
    temperature: 0,
    unheard_of: [{}],
    top_p: 0.5,
    max_completion_tokens: 9
  })
  // What the caller has said stays, even at the price of unknown usage.
  expect(raw(body, "openai", {}, true)).toMatchObject({ stream: true, stream_options: { include_usage: false, y: 1 } })
  const open = { ...body, stream_options: { y: 1 } }
  expect(raw(open, "openai", {}, true)).toMatchObject({ stream_options: { include_usage: true, y: 1 } })
  expect(raw({ max_tokens: 5 }, "openai", { maxOutputTokens: 9 })).toEqual({ max_tokens: 5, model: "a-model" })
  // A server that knows the older name only would answer without a limit.
  expect(raw({ max_completion_tokens: 5 }, "groq", { maxOutputTokens: 9 })).toEqual({ max_tokens: 5, model: "a-model" })
})

it("translates a raw body of another protocol", () => {
  const { body } = lower({ prompt: "hi", raw: { protocol: "anthropic-messages", body: { unheard_of: 1 } } })
  expect(body).toEqual({ model: "a-model", messages: [{ role: "user", content: "hi" }] })
})

it("has a dialect for every row", () => {
  const dialect: Dialect.Dialect = optionsOf("openai").dialect
  expect(dialect.maxTokensField).toBe("max_completion_tokens")
})

it("says no parameter that the model refuses", () => {
  const settings = { temperature: 0.5, maxOutputTokens: 9, stop: ["x"], reasoningEffort: "low", seed: 1 } as const
  const parallel = { tools: [{ name: "f", parameters: {} }] }
  const thinks = lower({ prompt: "x", settings: { ...settings, parallelToolCalls: false }, ...parallel }, "openai", {
    model: "o3"
  })
  expect(thinks.body).toMatchObject({ max_completion_tokens: 9, seed: 1, reasoning_effort: "low" })
  expect([thinks.body.temperature, thinks.body.stop, thinks.body.parallel_tool_calls]).toEqual([
    undefined,
    undefined,
    undefined
  ])
  expect(thinks.dropped).toEqual(["settings.temperature", "settings.stop", "settings.parallelToolCalls"])
  const plain = lower({ prompt: "x", settings }, "openai", { model: "gpt-4o" })
  expect([plain.body.temperature, plain.body.stop, plain.body.reasoning_effort]).toEqual([0.5, ["x"], undefined])
  expect(plain.dropped).toEqual(["settings.reasoningEffort"])
  const own = { openai: { reasoning_effort: "none" } }
  expect(
    lower({ prompt: "x", settings: { temperature: 0.5 }, providerOptions: own }, "openai", { model: "gpt-5.2" }).dropped
  ).toEqual([])
  expect(
    lower({ prompt: "x", settings: { maxOutputTokens: 9_000 } }, "groq", { maxOutputTokens: 4_096 }).body.max_tokens
  ).toBe(4_096)
})

it("takes out of a raw body what the model that routing chose would refuse it for", () => {
  const body = { model: "pool:any", messages: [], temperature: 0.5, max_tokens: 7, logit_bias: { a: 1 } }
  const of = (model: string, kind = "openai") =>
    lower({ prompt: "ignored", raw: { protocol: "openai-chat", body } }, kind, { model })
  expect(of("gpt-4o")).toEqual({ body: { ...body, model: "gpt-4o" }, dropped: [] })
  expect(of("gpt-5")).toEqual({
    body: { model: "gpt-5", messages: [], logit_bias: { a: 1 }, max_completion_tokens: 7 },
    dropped: ["settings.temperature"]
  })
  expect(of("claude-opus-5", "openai-compatible").dropped).toEqual(["settings.temperature"])
})

it("says once what servers have two names for", () => {
  const settings = { seed: 3, reasoningEffort: "high", maxOutputTokens: 9 } as const
  const sent = (body: object, kind: string, stated: LlmRequest.Settings = settings) =>
    lower({ prompt: "ignored", settings: stated, raw: { protocol: "openai-chat", body: { ...body } } }, kind).body
  const model = "a-model"
  expect(sent({ seed: 7 }, "mistral")).toEqual({ model, random_seed: 7, max_tokens: 9 })
  expect(sent({ random_seed: 7 }, "groq")).toEqual({ model, seed: 7, max_tokens: 9, reasoning_effort: "high" })
  expect(sent({ random_seed: 7, seed: 8 }, "mistral")).toEqual({ model, random_seed: 7, max_tokens: 9 })
  const limits = { seed: 1, reasoning_effort: "low" }
  expect(sent({ ...limits, max_completion_tokens: 5 }, "groq")).toEqual({ model, ...limits, max_tokens: 5 })
  expect(sent({ ...limits, max_tokens: 5 }, "openai")).toEqual({ model, ...limits, max_tokens: 5 })
  expect(sent({ ...limits, max_tokens: 5 }, "openrouter")).toEqual({
    model,
    seed: 1,
    max_tokens: 5,
    reasoning: { effort: "low" }
  })
  const effort = { reasoningEffort: "high" } as const
  expect(sent({ reasoning_effort: "low", reasoning: { exclude: true } }, "openrouter", effort)).toEqual({
    model,
    reasoning: { effort: "low", exclude: true }
  })
  expect(sent({ reasoning: { max_tokens: 2_000 } }, "openrouter", effort)).toEqual({
    model,
    reasoning: { max_tokens: 2_000 }
  })
  expect(sent({ reasoning: { effort: "low" } }, "openai", effort)).toEqual({ model, reasoning_effort: "low" })
  // What has no other name stays, and nothing is said beside it.
  expect(sent({ reasoning: { max_tokens: 2_000 } }, "openai", effort)).toEqual({
    model,
    reasoning: { max_tokens: 2_000 }
  })
  expect(sent({}, "openrouter", effort)).toEqual({ model, reasoning: { effort: "high" } })
  expect(sent({ reasoning_effort: "low" }, "deepseek", effort)).toEqual({ model, reasoning_effort: "low" })
})

it("lists that a result is not marked as failed", () => {
  const result = (isFailure: boolean) =>
    lower({
      prompt: [{ role: "tool", content: [{ type: "tool-result", id: "c", name: "f", isFailure, result: "no" }] }]
    })
  expect(result(true).dropped).toEqual(["messages.tool-result.isFailure"])
  expect(result(false).dropped).toEqual([])
})

it("closes a schema only where it is asked to be held to", () => {
  const said = (schema: Readonly<Record<string, unknown>>, strict?: boolean) => {
    const { body, dropped } = lower({ prompt: "x", responseFormat: { type: "json", name: "a", schema, strict } })
    return [body.response_format.json_schema, dropped]
  }
  const open = { type: "object", properties: { a: { type: "string" } } }
  expect(said(open)).toEqual([{ name: "a", schema: open }, []])
  expect(said(open, true)).toEqual([
    { name: "a", schema: { ...open, required: ["a"], additionalProperties: false }, strict: true },
    ["responseFormat.schema.required (all)"]
  ])
  // Closed, it could only be empty.
  expect(said({ type: "object" }, true)).toEqual([
    { name: "a", schema: { type: "object" }, strict: false },
    ["responseFormat.strict"]
  ])
})

it("gives reasoning of nobody in particular back where it is read, with an empty record of options too", () => {
  const prompt = (options?: Prompt.ProviderOptions): LlmRequest.Input["prompt"] => [
    { role: "user", content: "hi" },
    {
      role: "assistant",
      content: [
        { type: "reasoning", text: "hm", ...(options === undefined ? {} : { options }) },
        { type: "tool-call", id: "c", name: "f", params: {}, options: {} }
      ]
    }
  ]
  const deepseek = { dialect: { ...optionsOf("deepseek").dialect, reasoningInput: "reasoning_content" } } as const
  for (const options of [undefined, {}]) {
    const { body, dropped } = lower({ prompt: prompt(options) }, "deepseek", deepseek)
    expect([body.messages[1].reasoning_content, dropped]).toEqual(["hm", []])
  }
  const other = lower({ prompt: prompt({ anthropic: { signature: "s" } }) }, "deepseek", deepseek)
  expect([other.body.messages[1].reasoning_content, other.dropped]).toEqual([undefined, ["messages.reasoning"]])
})

it("gives back what a call held beside its function, to who gave it", () => {
  const own = { extra_content: { google: { thought_signature: "c2ln" } }, function: { x: 1 }, id: "other" }
  const input: LlmRequest.Input = {
    prompt: [
      {
        role: "assistant",
        content: [{ type: "tool-call", id: "c", name: "f", params: {}, options: { "gemini-openai": own } }]
      }
    ]
  }
  const plain = { id: "c", type: "function", function: { name: "f", arguments: "{}" } }
  expect(lower(input, "gemini-openai").body.messages[0].tool_calls).toEqual([
    { extra_content: own.extra_content, ...plain, function: { x: 1, ...plain.function } }
  ])
  expect(lower(input, "openai").body.messages[0].tool_calls).toEqual([plain])
})

it("says a refusal as such, or as text that is listed", () => {
  const input: LlmRequest.Input = {
    prompt: [
      {
        role: "assistant",
        content: [{ type: "text", text: "No.", options: { "openai-responses": { refusal: true } } }]
      }
    ]
  }
  const openai = lower(input, "openai", { dialect: { ...optionsOf("openai").dialect, refusals: true } })
  expect([openai.body.messages, openai.dropped]).toEqual([[{ role: "assistant", content: null, refusal: "No." }], []])
  const other = lower(input, "mistral")
  expect([other.body.messages, other.dropped]).toEqual([
    [{ role: "assistant", content: "No." }],
    ["messages.text.refusal"]
  ])
})
