import { Lift } from "@echelon/providers"
import * as AnthropicMessagesLift from "@echelon/providers/AnthropicMessagesLift"
import { expect, it } from "@effect/vitest"

const lift = (body: object, options?: Lift.Options) => AnthropicMessagesLift.lift({ messages: [], ...body }, options)

const promptOf = (...messages: ReadonlyArray<object>) => {
  const { input, problems, unsaid } = lift({ messages })
  expect([problems, unsaid]).toEqual([[], []])
  return input.prompt
}

const own = "protocol:anthropic-messages"
const control = { type: "ephemeral" }

it("reads what a body says, and keeps what only the protocol has", () => {
  const body = {
    model: "pool:x",
    max_tokens: 7,
    system: [{ type: "text", text: "be brief", cache_control: control }],
    messages: [{ role: "user", content: "hi" }],
    stream: true,
    temperature: 0.1,
    top_p: 0.2,
    top_k: 3,
    stop_sequences: ["x"],
    tools: [{ name: "f", description: "d", input_schema: { type: "object" }, strict: true }],
    tool_choice: { type: "any", disable_parallel_tool_use: true },
    output_config: { effort: "low", format: { type: "json_schema", schema: { type: "object" } }, new_field: 1 },
    metadata: { user_id: "u" }
  }
  const { input, ...rest } = lift(body)
  expect(rest).toEqual({ model: "pool:x", stream: true, problems: [], unsaid: [] })
  expect(input).toEqual({
    prompt: [
      { role: "system", content: "be brief", options: { [own]: { cacheControl: control } } },
      { role: "user", content: "hi" }
    ],
    tools: [{ name: "f", description: "d", parameters: { type: "object" }, strict: true }],
    toolChoice: "required",
    responseFormat: { type: "json", name: "response", schema: { type: "object" } },
    settings: {
      maxOutputTokens: 7,
      temperature: 0.1,
      topP: 0.2,
      topK: 3,
      stop: ["x"],
      parallelToolCalls: false,
      reasoningEffort: "low"
    },
    providerOptions: { [own]: { metadata: { user_id: "u" }, output_config: { new_field: 1 } } },
    raw: { protocol: "anthropic-messages", body }
  })
})

it("reads a budget to think with as an effort, and keeps it", () => {
  const effort = (budget_tokens: number) => {
    const thinking = { type: "enabled", budget_tokens }
    const { input } = lift({ thinking })
    expect(input.providerOptions).toEqual({ [own]: { thinking } })
    return input.settings?.reasoningEffort
  }
  expect([effort(1024), effort(8000), effort(32_000)]).toEqual(["low", "medium", "high"])
  const off = lift({ thinking: { type: "disabled" } }).input
  expect([off.settings, off.providerOptions]).toEqual([{ reasoningEffort: "none" }, undefined])
  // How hard to work, without thinking.
  const both = lift({ thinking: { type: "disabled" }, output_config: { effort: "low" } }).input
  expect([both.settings, both.providerOptions]).toEqual([
    { reasoningEffort: "low" },
    { [own]: { thinking: { type: "disabled" } } }
  ])
  expect(lift({ output_config: { effort: "max" } }).input.providerOptions).toEqual({
    [own]: { output_config: { effort: "max" } }
  })
})

it("takes results out of what the user says, in order", () => {
  expect(
    promptOf(
      { role: "assistant", content: [{ type: "tool_use", id: "c", name: "f", input: { a: 1 } }] },
      {
        role: "user",
        content: [
          { type: "text", text: "before" },
          { type: "tool_result", tool_use_id: "c", content: "ok", cache_control: control },
          { type: "tool_result", tool_use_id: "d", is_error: true },
          { type: "text", text: "after" }
        ]
      }
    )
  ).toEqual([
    { role: "assistant", content: [{ type: "tool-call", id: "c", name: "f", params: { a: 1 } }] },
    { role: "user", content: [{ type: "text", text: "before" }] },
    {
      role: "tool",
      content: [
        {
          type: "tool-result",
          id: "c",
          name: "f",
          isFailure: false,
          result: "ok",
          options: { [own]: { cacheControl: control } }
        },
        { type: "tool-result", id: "d", name: "", isFailure: true, result: "" }
      ]
    },
    { role: "user", content: [{ type: "text", text: "after" }] }
  ])
})

it("reads thought, signed and hidden, and what the provider ran itself", () => {
  expect(
    promptOf({
      role: "assistant",
      content: [
        { type: "thinking", thinking: "why", signature: "s" },
        { type: "thinking", thinking: "unsigned", signature: "" },
        { type: "redacted_thinking", data: "d" },
        { type: "server_tool_use", id: "s1", name: "web_search", input: { q: 1 } },
        { type: "web_search_tool_result", tool_use_id: "s1", content: [{ type: "web_search_result" }] },
        { type: "text", text: "done" }
      ]
    })
  ).toEqual([
    {
      role: "assistant",
      content: [
        { type: "reasoning", text: "why", options: { [own]: { type: "thinking", signature: "s" } } },
        { type: "reasoning", text: "unsigned", options: { [own]: { type: "thinking" } } },
        { type: "reasoning", text: "", options: { [own]: { type: "redacted_thinking", redactedData: "d" } } },
        { type: "tool-call", id: "s1", name: "web_search", params: { q: 1 }, providerExecuted: true },
        {
          type: "tool-result",
          id: "s1",
          name: "web_search",
          isFailure: false,
          result: [{ type: "web_search_result" }],
          providerExecuted: true
        },
        { type: "text", text: "done" }
      ]
    }
  ])
  const { input } = lift(
    { messages: [{ role: "assistant", content: [{ type: "thinking", thinking: "w", signature: "s" }] }] },
    { kind: "anthropic" }
  )
  expect(JSON.stringify(input.prompt)).toContain('"anthropic":{"type":"thinking","signature":"s"}')
})

it("reads images and documents in every form", () => {
  const image = (source: object) => ({ type: "image", source })
  const document = (source: object) => ({ type: "document", source, title: "t" })
  expect(
    promptOf({
      role: "user",
      content: [
        image({ type: "base64", media_type: "image/png", data: "AA" }),
        image({ type: "url", url: "https://a.test/i" }),
        document({ type: "url", url: "https://a.test/d" }),
        document({ type: "text", media_type: "text/plain", data: "é" })
      ]
    })
  ).toEqual([
    {
      role: "user",
      content: [
        { type: "file", mediaType: "image/png", data: "AA" },
        { type: "file", mediaType: "image/*", data: { _tag: "URL", href: "https://a.test/i" } },
        { type: "file", mediaType: "application/pdf", data: { _tag: "URL", href: "https://a.test/d" }, fileName: "t" },
        { type: "file", mediaType: "text/plain", data: "w6k=", fileName: "t" }
      ]
    }
  ])
})

it("lists what a request has no field for", () => {
  const { problems, unsaid } = lift({
    system: [{ type: "image" }],
    messages: [
      { role: "system", content: "x" },
      {
        role: "user",
        content: [
          { type: "image", source: { type: "file", file_id: "f" } },
          { type: "search_result", source: "s" },
          { type: "document", source: { type: "text", data: "a" }, citations: { enabled: true } }
        ]
      },
      { role: "assistant", content: [{ type: "container_upload", file_id: "f" }] }
    ],
    tools: [
      { type: "web_search_20250305", name: "web_search" },
      { name: "f", cache_control: control }
    ],
    tool_choice: { type: "wild" },
    output_format: { type: "grammar" }
  })
  expect(problems).toEqual([])
  expect(unsaid).toEqual([
    "system[0] (image)",
    "messages[0] (system)",
    "messages[1].content[0].source (file)",
    "messages[1].content[1] (search_result)",
    "messages[1].content[2].citations",
    "messages[2].content[0] (container_upload)",
    "tools[0] (web_search_20250305)",
    "tools[1].cache_control",
    "output_format (grammar)",
    "tool_choice (wild)"
  ])
})

it("names the place of everything that is wrong", () => {
  const { problems } = lift({
    max_tokens: "many",
    messages: [
      { role: "user", content: null },
      { role: "user", content: [{ text: "x" }] },
      { role: "user", content: [{ type: "image" }] },
      { role: "assistant", content: [{ type: "tool_use", name: "f" }] }
    ]
  })
  expect(problems.map(Lift.describe)).toEqual([
    "messages[0].content: expected a string or an array, found null",
    "messages[1].content[0].type: expected a string, found nothing",
    "messages[2].content[0].source: expected an object, found nothing",
    "messages[3].content[0].id: expected a string, found nothing",
    "max_tokens: expected a number, found a string"
  ])
})
