import { Lift } from "@echelon/providers"
import * as OpenAiChatLift from "@echelon/providers/OpenAiChatLift"
import { expect, it } from "@effect/vitest"

const lift = (body: object, options?: Lift.Options) => OpenAiChatLift.lift({ messages: [], ...body }, options)

const promptOf = (...messages: ReadonlyArray<object>) => {
  const { input, problems, unsaid } = lift({ messages })
  expect([problems, unsaid]).toEqual([[], []])
  return input.prompt
}

const own = "protocol:openai-chat"

it("reads what a body says, and keeps what only the protocol has", () => {
  const body = {
    model: "pool:x",
    messages: [
      { role: "developer", content: "be brief" },
      { role: "user", content: "hi" }
    ],
    stream: true,
    stream_options: { include_usage: true },
    tools: [
      { type: "function", function: { name: "f", description: "d", parameters: { type: "object" }, strict: true } }
    ],
    tool_choice: { type: "function", function: { name: "f" } },
    parallel_tool_calls: false,
    response_format: { type: "json_schema", json_schema: { name: "answer", schema: { type: "object" }, strict: true } },
    temperature: 0.1,
    max_tokens: 7,
    top_p: 0.2,
    stop: "x",
    seed: 3,
    presence_penalty: 0.4,
    frequency_penalty: 0.5,
    reasoning_effort: "low",
    logprobs: true,
    user: null
  }
  const { input, ...rest } = lift(body)
  expect(rest).toEqual({ model: "pool:x", stream: true, problems: [], unsaid: [] })
  expect(input).toEqual({
    prompt: [
      { role: "system", content: "be brief" },
      { role: "user", content: "hi" }
    ],
    tools: [{ name: "f", description: "d", parameters: { type: "object" }, strict: true }],
    toolChoice: { tool: "f" },
    responseFormat: { type: "json", name: "answer", schema: { type: "object" }, strict: true },
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
    },
    providerOptions: { [own]: { logprobs: true } },
    raw: { protocol: "openai-chat", body }
  })
})

it("understands the words of every dialect", () => {
  const { input } = lift({
    max_completion_tokens: 5,
    max_tokens: 9,
    random_seed: 1,
    top_k: 3,
    tool_choice: "any",
    reasoning: { effort: "high", exclude: true }
  })
  expect(input.settings).toEqual({ maxOutputTokens: 5, seed: 1, topK: 3, reasoningEffort: "high" })
  expect(input.toolChoice).toBe("required")
  expect(input.providerOptions).toEqual({ [own]: { reasoning: { exclude: true } } })
  for (const effort of ["none", "xhigh"]) {
    const { providerOptions, settings } = lift({ reasoning_effort: effort }).input
    expect([settings, providerOptions]).toEqual([{ reasoningEffort: effort }, undefined])
  }
  expect(lift({ reasoning_effort: "max" }).input.providerOptions).toEqual({ [own]: { reasoning_effort: "max" } })
  expect(lift({ response_format: { type: "json_object" } }).input.responseFormat).toEqual(Lift.anyObject)
})

it("reads images, sound and files", () => {
  const content = [
    { type: "text", text: "?" },
    { type: "image_url", image_url: { url: "https://a.test/i.png", detail: "low" } },
    { type: "image_url", image_url: "data:image/webp;base64,AAAA" },
    { type: "input_audio", input_audio: { data: "AAAA", format: "mp3" } },
    { type: "file", file: { filename: "a.pdf", file_data: "data:application/pdf;base64,AAAA" } }
  ]
  expect(promptOf({ role: "user", content })).toEqual([
    {
      role: "user",
      content: [
        { type: "text", text: "?" },
        {
          type: "file",
          mediaType: "image/*",
          data: { _tag: "URL", href: "https://a.test/i.png" },
          options: { openai: { imageDetail: "low" } }
        },
        { type: "file", mediaType: "image/webp", data: "AAAA" },
        { type: "file", mediaType: "audio/mpeg", data: "AAAA" },
        { type: "file", mediaType: "application/pdf", data: "AAAA", fileName: "a.pdf" }
      ]
    }
  ])
})

it("reads calls, their results and what was thought", () => {
  expect(
    promptOf(
      {
        role: "assistant",
        content: null,
        reasoning_content: "hm",
        tool_calls: [
          { id: "c1", type: "function", function: { name: "f", arguments: '{"a":1}' } },
          { id: "c2", type: "function", function: { name: "g", arguments: "" } }
        ]
      },
      { role: "tool", tool_call_id: "c2", content: [{ type: "text", text: "two" }] },
      { role: "tool", tool_call_id: "c1", content: '{"b":2}' },
      { role: "assistant", content: [{ type: "thinking", thinking: [{ type: "text", text: "why" }] }], refusal: "no" }
    )
  ).toEqual([
    {
      role: "assistant",
      content: [
        { type: "reasoning", text: "hm", options: { [own]: {} } },
        { type: "tool-call", id: "c1", name: "f", params: { a: 1 } },
        { type: "tool-call", id: "c2", name: "g", params: {} }
      ]
    },
    {
      role: "tool",
      content: [
        { type: "tool-result", id: "c2", name: "g", isFailure: false, result: "two" },
        { type: "tool-result", id: "c1", name: "f", isFailure: false, result: '{"b":2}' }
      ]
    },
    {
      role: "assistant",
      content: [
        { type: "reasoning", text: "why", options: { [own]: {} } },
        { type: "text", text: "no", options: { [own]: { refusal: true } } }
      ]
    }
  ])
})

it("says whose the reasoning is where that is known", () => {
  const { input } = lift(
    { messages: [{ role: "assistant", content: "a", reasoning_details: [{ type: "x" }] }], user: "u" },
    { kind: "openrouter" }
  )
  expect(input.prompt).toEqual([
    {
      role: "assistant",
      content: [
        { type: "reasoning", text: "", options: { openrouter: { reasoning_details: [{ type: "x" }] } } },
        { type: "text", text: "a" }
      ]
    }
  ])
  // What the caller asks is asked of whoever speaks the protocol.
  expect(input.providerOptions).toEqual({ [own]: { user: "u" } })
})

it("lists what a request has no field for", () => {
  const { input, problems, unsaid } = lift({
    messages: [
      { role: "user", name: "me", content: [{ type: "hologram" }, { type: "text", text: "a", cache: 1 }] },
      { role: "user", content: [{ type: "file", file: { file_id: "f" } }] },
      { role: "narrator", content: "x" },
      { role: "assistant", content: "b", audio: { id: "a" }, tool_calls: [{ id: "c", type: "custom", custom: {} }] },
      { role: "assistant", tool_calls: [{ id: "c", function: { name: "f", arguments: "{oh" } }] }
    ],
    tools: [{ type: "web_search" }],
    tool_choice: { type: "allowed_tools" },
    response_format: { type: "grammar" }
  })
  expect(problems).toEqual([])
  expect(unsaid).toEqual([
    "messages[0].content[0] (hologram)",
    "messages[0].content[1].cache",
    "messages[0].name",
    "messages[1].content[0].file (file_id)",
    "messages[2] (narrator)",
    "messages[3].tool_calls[0] (custom)",
    "messages[3].audio",
    "messages[4].tool_calls[0].function.arguments (not JSON)",
    "tools[0] (web_search)",
    "tool_choice (allowed_tools)",
    "response_format (grammar)"
  ])
  expect(Object.keys(input.providerOptions?.["unsaid"] ?? {})).toEqual(unsaid)
})

it("names the place of everything that is wrong", () => {
  const { problems } = lift({
    model: 1,
    messages: [
      7,
      { content: "x" },
      { role: "user", content: 7 },
      { role: "user", content: [{ type: "image_url", image_url: {} }] },
      { role: "tool", content: "x" },
      { role: "assistant", content: {} }
    ],
    temperature: "warm",
    stop: [1],
    tools: [{ type: "function", function: { parameters: [] } }]
  })
  expect(problems.map(Lift.describe)).toEqual([
    "messages[0]: expected an object, found a number",
    "messages[1].role: expected a string, found nothing",
    "messages[2].content: expected a string or an array, found a number",
    "messages[3].content[0].image_url.url: expected a string, found nothing",
    "messages[4].tool_call_id: expected a string, found nothing",
    "messages[5].content: expected a string or an array, found an object",
    "tools[0].function.name: expected a string, found nothing",
    "tools[0].function.parameters: expected an object, found an array",
    "temperature: expected a number, found a string",
    "stop: expected a string or an array of strings, found an array",
    "model: expected a string, found a number"
  ])
})

it("reads a refusal as one, in a field and in a content", () => {
  const refused = { type: "text", text: "No.", options: { [own]: { refusal: true } } }
  expect(promptOf({ role: "assistant", refusal: "No." })).toEqual([{ role: "assistant", content: [refused] }])
  expect(promptOf({ role: "assistant", content: [{ type: "refusal", refusal: "No." }] })).toEqual([
    { role: "assistant", content: [refused] }
  ])
})

it("reads what a call holds beside its function", () => {
  const extra_content = { google: { thought_signature: "c2ln" } }
  const call = { id: "c", type: "function", extra_content, function: { name: "f", arguments: "{}", x: 1 } }
  expect(promptOf({ role: "assistant", tool_calls: [call] })).toEqual([
    {
      role: "assistant",
      content: [
        {
          type: "tool-call",
          id: "c",
          name: "f",
          params: {},
          options: { [own]: { extra_content, function: { x: 1 } } }
        }
      ]
    }
  ])
})
