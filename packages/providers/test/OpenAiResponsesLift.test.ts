import { Lift } from "@echelon/providers"
import * as OpenAiResponsesLift from "@echelon/providers/OpenAiResponsesLift"
import { expect, it } from "@effect/vitest"

const lift = (body: object, options?: Lift.Options) => OpenAiResponsesLift.lift({ input: [], ...body }, options)

const promptOf = (...items: ReadonlyArray<object>) => {
  const { input, problems, unsaid } = lift({ input: items })
  expect([problems, unsaid]).toEqual([[], []])
  return input.prompt
}

const own = "protocol:openai-responses"

it("reads what a body says, and keeps what only the protocol has", () => {
  const body = {
    model: "pool:x",
    instructions: "be brief",
    input: "hi",
    stream: true,
    stream_options: { include_obfuscation: false },
    tools: [{ type: "function", name: "f", description: "d", parameters: { type: "object" }, strict: null }],
    tool_choice: { type: "function", name: "f" },
    parallel_tool_calls: false,
    text: {
      format: { type: "json_schema", name: "answer", schema: { type: "object" }, strict: true },
      verbosity: "low"
    },
    reasoning: { effort: "low", summary: "auto" },
    temperature: 0.1,
    top_p: 0.2,
    max_output_tokens: 70,
    store: false,
    include: ["reasoning.encrypted_content"],
    truncation: "auto"
  }
  const { input, ...rest } = lift(body)
  expect(rest).toEqual({ model: "pool:x", stream: true, problems: [], unsaid: [] })
  expect(input).toEqual({
    prompt: [
      { role: "system", content: "be brief" },
      { role: "user", content: "hi" }
    ],
    tools: [{ name: "f", description: "d", parameters: { type: "object" } }],
    toolChoice: { tool: "f" },
    responseFormat: { type: "json", name: "answer", schema: { type: "object" }, strict: true },
    settings: { temperature: 0.1, maxOutputTokens: 70, topP: 0.2, parallelToolCalls: false, reasoningEffort: "low" },
    providerOptions: { [own]: { reasoning: { summary: "auto" }, text: { verbosity: "low" }, truncation: "auto" } },
    raw: { protocol: "openai-responses", body }
  })
  expect(lift({ reasoning: { effort: "none" } }).input.settings).toEqual({ reasoningEffort: "none" })
  expect(lift({ store: true, include: ["a"], reasoning: { effort: "max" } }).input.providerOptions).toEqual({
    [own]: { store: true, include: ["a"], reasoning: { effort: "max" } }
  })
})

it("needs no input where the provider has it", () => {
  expect(OpenAiResponsesLift.lift({ previous_response_id: "r" }).problems).toEqual([])
  expect(OpenAiResponsesLift.lift({ prompt: { id: "p" } }).problems).toEqual([])
  expect(OpenAiResponsesLift.lift({ previous_response_id: "r", input: 1 }).problems.length).toBe(1)
})

it("makes one message of the items of an answer", () => {
  expect(
    promptOf(
      {
        type: "message",
        role: "user",
        content: [{ type: "input_text", text: "?", prompt_cache_breakpoint: { a: 1 } }]
      },
      {
        id: "rs",
        type: "reasoning",
        summary: [{ type: "summary_text", text: "s" }],
        content: [{ type: "reasoning_text", text: "t" }],
        encrypted_content: "e"
      },
      { id: "rs2", type: "reasoning", summary: [], encrypted_content: "e2" },
      {
        id: "msg",
        type: "message",
        role: "assistant",
        status: "completed",
        phase: "commentary",
        content: [
          { type: "output_text", text: "a", annotations: [] },
          { type: "refusal", refusal: "no" }
        ]
      },
      { id: "fc", type: "function_call", call_id: "c", name: "f", arguments: '{"x":1}', caller: { type: "direct" } },
      { type: "function_call_output", call_id: "c", output: "done" },
      { role: "assistant", content: "plain" }
    )
  ).toEqual([
    {
      role: "user",
      content: [{ type: "text", text: "?", options: { [own]: { promptCacheBreakpoint: { a: 1 } } } }]
    },
    {
      role: "assistant",
      content: [
        { type: "reasoning", text: "s", options: { [own]: { id: "rs", type: "summary_text" } } },
        {
          type: "reasoning",
          text: "t",
          options: { [own]: { id: "rs", type: "reasoning_text", encrypted_content: "e" } }
        },
        { type: "reasoning", text: "", options: { [own]: { id: "rs2", encrypted_content: "e2" } } },
        { type: "text", text: "a", options: { [own]: { id: "msg", phase: "commentary" } } },
        { type: "text", text: "no", options: { [own]: { id: "msg", phase: "commentary", refusal: true } } },
        {
          type: "tool-call",
          id: "c",
          name: "f",
          params: { x: 1 },
          options: { [own]: { id: "fc", caller: { type: "direct" } } }
        }
      ]
    },
    { role: "tool", content: [{ type: "tool-result", id: "c", name: "f", isFailure: false, result: "done" }] },
    { role: "assistant", content: [{ type: "text", text: "plain" }] }
  ])
})

it("reads images and files in every form", () => {
  const content = [
    { type: "input_image", image_url: "https://a.test/i", detail: "low" },
    { type: "input_image", file_id: "file-1" },
    { type: "input_file", file_url: "https://a.test/d" },
    { type: "input_file", filename: "t.csv", file_data: "data:text/csv;base64,AAAA" },
    { type: "input_file", file_id: "file-2" }
  ]
  expect(promptOf({ role: "user", content })).toEqual([
    {
      role: "user",
      content: [
        {
          type: "file",
          mediaType: "image/*",
          data: { _tag: "URL", href: "https://a.test/i" },
          options: { openai: { imageDetail: "low" } }
        },
        { type: "file", mediaType: "image/*", data: "", options: { [own]: { fileId: "file-1" } } },
        { type: "file", mediaType: "application/pdf", data: { _tag: "URL", href: "https://a.test/d" } },
        { type: "file", mediaType: "text/csv", data: "AAAA", fileName: "t.csv" },
        { type: "file", mediaType: "application/pdf", data: "", options: { [own]: { fileId: "file-2" } } }
      ]
    }
  ])
})

it("lists what a request has no field for", () => {
  const { problems, unsaid } = lift({
    input: [
      { type: "item_reference", id: "i" },
      { type: "web_search_call", id: "w" },
      { role: "user", content: [{ type: "input_audio" }], name: "me" },
      { role: "critic", content: "x" }
    ],
    tools: [{ type: "web_search" }],
    tool_choice: { type: "mcp" },
    text: { format: { type: "grammar" } }
  })
  expect(problems).toEqual([])
  expect(unsaid).toEqual([
    "input[0] (item_reference)",
    "input[1] (web_search_call)",
    "input[2].name",
    "input[2].content[0] (input_audio)",
    "input[3] (critic)",
    "tools[0] (web_search)",
    "tool_choice (mcp)",
    "text.format (grammar)"
  ])
})

it("names the place of everything that is wrong", () => {
  const { problems } = lift({
    input: [{}, { role: "user" }, { type: "function_call", name: "f" }, { type: "function_call_output", output: 1 }],
    reasoning: "much"
  })
  expect(problems.map(Lift.describe)).toEqual([
    "input[0].type: expected a string, found nothing",
    "input[1].content: expected a string or an array, found nothing",
    "input[2].call_id: expected a string, found nothing",
    "input[2].arguments: expected a string, found nothing",
    "input[3].output: expected an array, found a number",
    "input[3].call_id: expected a string, found nothing",
    "reasoning: expected an object, found a string"
  ])
})
