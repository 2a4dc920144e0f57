import { LlmReply, type LlmRequest } from "@echelon/core"
import type { Json, Protocol } from "@echelon/providers"
import * as OpenAiResponsesRequest from "@echelon/providers/OpenAiResponsesRequest"
import * as OpenAiResponsesStream from "@echelon/providers/OpenAiResponsesStream"
import { expect, it } from "@effect/vitest"
import type { Prompt } from "effect/ai"
import { optionsOf, requestOf } from "./Support.ts"

const kind = "openai-responses"

const lower = (input: LlmRequest.Input, options: Partial<Protocol.Options> = {}, stream = false) => {
  const dropped: Array<string> = []
  const body = OpenAiResponsesRequest.lower(requestOf(input, stream), optionsOf(kind, options), (field) =>
    dropped.push(field)
  )
  return { body: JSON.parse(JSON.stringify(body)), dropped }
}

const inputOf = (prompt: ReadonlyArray<LlmRequest.Message>, more: Partial<LlmRequest.Input> = {}) =>
  lower({ prompt, ...more }).body.input

const png = "iVBORw0KGgo="

const closed = { type: "object", properties: {}, required: [], additionalProperties: false }

it("says every setting, tools, choice and schema", () => {
  const { body, dropped } = lower({
    prompt: [
      { role: "system", content: "be brief" },
      { role: "user", content: "hi" }
    ],
    tools: [
      { name: "f", description: "d", parameters: { type: "object" }, strict: true },
      { name: "g", parameters: {} }
    ],
    toolChoice: { tool: "f" },
    responseFormat: { type: "json", name: "answer", schema: closed, strict: true },
    settings: {
      temperature: 0.1,
      maxOutputTokens: 70,
      topP: 0.2,
      parallelToolCalls: false,
      reasoningEffort: "low"
    }
  })
  expect(body).toEqual({
    model: "a-model",
    input: [
      { role: "system", content: "be brief" },
      { role: "user", content: "hi" }
    ],
    store: false,
    include: ["reasoning.encrypted_content"],
    temperature: 0.1,
    max_output_tokens: 70,
    top_p: 0.2,
    reasoning: { effort: "low" },
    tools: [
      { type: "function", name: "f", description: "d", parameters: closed, strict: true },
      { type: "function", name: "g", parameters: { type: "object", properties: {} }, strict: false }
    ],
    tool_choice: { type: "function", name: "f" },
    parallel_tool_calls: false,
    text: { format: { type: "json_schema", name: "answer", schema: closed, strict: true } }
  })
  expect(dropped).toEqual([])
})

it("says no more than it was told", () => {
  expect(lower({ prompt: "hi" }).body).toEqual({
    model: "a-model",
    input: [{ role: "user", content: "hi" }],
    store: false
  })
  expect(lower({ prompt: "hi" }, {}, true).body.stream).toBe(true)
  expect(lower({ prompt: "hi", toolChoice: "required", settings: { parallelToolCalls: true } }).body.tool_choice).toBe(
    undefined
  )
  for (const choice of ["auto", "none", "required"] as const)
    expect(lower({ prompt: "x", tools: [{ name: "f", parameters: {} }], toolChoice: choice }).body.tool_choice).toBe(
      choice
    )
})

it("lists what the protocol cannot say", () => {
  const { body, dropped } = lower({
    prompt: "x",
    settings: { stop: ["a"], seed: 1, topK: 2, presencePenalty: 0.1, frequencyPenalty: 0.2, maxOutputTokens: 1 }
  })
  expect(dropped.toSorted()).toEqual([
    "settings.frequencyPenalty",
    "settings.maxOutputTokens (raised to 16)",
    "settings.presencePenalty",
    "settings.seed",
    "settings.stop",
    "settings.topK"
  ])
  expect(body).toEqual({
    model: "a-model",
    input: [{ role: "user", content: "x" }],
    store: false,
    max_output_tokens: 16
  })
  expect(lower({ prompt: "x", settings: { stop: [], maxOutputTokens: 16 } }).dropped).toEqual([])
})

it("leaves sampling settings out where the model thinks, and the effort where it does not", () => {
  const settings = { temperature: 0.5, topP: 0.5, reasoningEffort: "low" } as const
  const sampling = ["settings.temperature", "settings.topP"]
  for (const model of ["o1", "o3-mini", "gpt-5", "gpt-5-nano-2025-08-07", "gpt-5.1-codex", "openai/gpt-6-sol"]) {
    const { body, dropped } = lower({ prompt: "x", settings }, { model })
    expect([model, dropped]).toEqual([model, sampling])
    expect([body.temperature, body.top_p, body.reasoning]).toEqual([undefined, undefined, { effort: "low" }])
    expect(body.include).toEqual(["reasoning.encrypted_content"])
  }
  for (const model of ["gpt-4o-mini", "gpt-4.1", "gpt-3.5-turbo", "gpt-5-chat-latest", "chatgpt-4o-latest"]) {
    const { body, dropped } = lower({ prompt: "x", settings }, { model })
    expect([model, dropped]).toEqual([model, ["settings.reasoningEffort"]])
    expect([body.temperature, body.top_p, body.reasoning, body.include]).toEqual([0.5, 0.5, undefined, undefined])
  }
  for (const model of ["my-deployment", "gpt-oss-120b", "grok-4.3"]) {
    const { body, dropped } = lower({ prompt: "x", settings }, { model })
    expect([dropped, body.temperature, body.reasoning]).toEqual([[], 0.5, { effort: "low" }])
  }
  const none = {
    prompt: "x",
    settings: { temperature: 0.5 },
    providerOptions: { [kind]: { reasoning: { effort: "none" } } }
  }
  expect(lower(none, { model: "gpt-5.1" }).body.temperature).toBe(0.5)
  expect(lower(none, { model: "gpt-5" }).dropped).toEqual(["settings.temperature"])
})

it("asks for encrypted reasoning only where there can be some", () => {
  expect(lower({ prompt: "x" }, { model: "gpt-5" }).body.include).toEqual(["reasoning.encrypted_content"])
  expect(lower({ prompt: "x" }, { model: "gpt-4o" }).body.include).toBe(undefined)
  expect(lower({ prompt: "x" }).body.include).toBe(undefined)
  const asked = { prompt: "x", providerOptions: { [kind]: { reasoning: { summary: "auto" } } } }
  expect(lower(asked).body.include).toEqual(["reasoning.encrypted_content"])
  const own = { prompt: "x", providerOptions: { [kind]: { include: ["message.output_text.logprobs"] } } }
  expect(lower(own, { model: "gpt-5" }).body.include).toEqual(["message.output_text.logprobs"])
})

it("sends images and files in every form", () => {
  const file = (data: string | Uint8Array | URL, mediaType: string, more: object = {}) =>
    inputOf([{ role: "user", content: [{ type: "file", mediaType, data, ...more }] }])[0]?.content[0]
  const url = `data:image/png;base64,${png}`
  expect(file(png, "image/png")).toEqual({ type: "input_image", image_url: url })
  expect(file(Buffer.from(png, "base64"), "image/*")).toEqual({ type: "input_image", image_url: url })
  expect(file(new URL("https://a.test/i.png"), "image/png", { options: { [kind]: { imageDetail: "low" } } })).toEqual({
    type: "input_image",
    image_url: "https://a.test/i.png",
    detail: "low"
  })
  expect(file("", "image/png", { options: { [kind]: { fileId: "file-1" } } })).toEqual({
    type: "input_image",
    file_id: "file-1"
  })
  expect(file("AA==", "application/pdf")).toEqual({
    type: "input_file",
    filename: "file.pdf",
    file_data: "data:application/pdf;base64,AA=="
  })
  expect(file("AA==", "text/plain").filename).toBe("file.txt")
  expect(file("AA==", "application/vnd.ms-excel").filename).toBe("file")
  expect(file("AA==", "text/csv", { fileName: "t.csv" }).filename).toBe("t.csv")
  expect(file(new URL("https://a.test/d.pdf"), "application/pdf")).toEqual({
    type: "input_file",
    file_url: "https://a.test/d.pdf"
  })
  expect(file("", "application/pdf", { options: { [kind]: { fileId: "file-2" } } })).toEqual({
    type: "input_file",
    file_id: "file-2"
  })
  const sound: ReadonlyArray<LlmRequest.Message> = [
    { role: "user", content: [{ type: "file", mediaType: "audio/wav", data: "AA==" }] }
  ]
  expect(lower({ prompt: sound })).toMatchObject({ body: { input: [] }, dropped: ["messages.file (audio/wav)"] })
})

it("leaves out what is empty", () => {
  expect(
    inputOf([
      { role: "system", content: "" },
      { role: "user", content: "" },
      { role: "user", content: [{ type: "text", text: "" }] },
      { role: "assistant", content: "" },
      { role: "assistant", content: [{ type: "text", text: "" }] },
      { role: "user", content: [{ type: "text", text: "hi" }] }
    ])
  ).toEqual([{ role: "user", content: [{ type: "input_text", text: "hi" }] }])
})

it("marks prefixes worth caching", () => {
  const options = { [kind]: { promptCacheBreakpoint: { mode: "explicit" } } }
  const mark = { prompt_cache_breakpoint: { mode: "explicit" } }
  expect(
    inputOf([
      { role: "system", content: "s", options },
      { role: "user", content: "u", options },
      {
        role: "user",
        content: [
          { type: "text", text: "a", options },
          { type: "text", text: "b" }
        ]
      },
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: "b" }
        ],
        options
      },
      { role: "tool", content: [{ type: "tool-result", id: "c", name: "f", isFailure: false, result: "r", options }] }
    ])
  ).toEqual([
    { role: "system", content: [{ type: "input_text", text: "s", ...mark }] },
    { role: "user", content: [{ type: "input_text", text: "u", ...mark }] },
    {
      role: "user",
      content: [
        { type: "input_text", text: "a", ...mark },
        { type: "input_text", text: "b" }
      ]
    },
    {
      role: "user",
      content: [
        { type: "input_text", text: "a" },
        { type: "input_text", text: "b", ...mark }
      ]
    },
    { type: "function_call_output", call_id: "c", output: [{ type: "input_text", text: "r", ...mark }] }
  ])
})

it("says calls and results as items", () => {
  const { body, dropped } = lower({
    prompt: [
      {
        role: "assistant",
        content: [
          { type: "text", text: "a" },
          { type: "tool-call", id: "c1", name: "f", params: { x: 1 }, providerExecuted: false },
          { type: "tool-call", id: "c2", name: "g", params: undefined, providerExecuted: false },
          { type: "tool-call", id: "c3", name: "web", params: {}, providerExecuted: true },
          { type: "text", text: "b" }
        ]
      },
      {
        role: "tool",
        content: [
          { type: "tool-result", id: "c1", name: "f", isFailure: false, result: { y: 2 } },
          {
            type: "tool-result",
            id: "c2",
            name: "g",
            isFailure: false,
            result: null,
            modelOutput: [
              { type: "text", text: "see" },
              { type: "file", mediaType: "image/png", data: png },
              { type: "file", mediaType: "audio/wav", data: "AA==" }
            ]
          },
          { type: "tool-approval-response", approvalId: "a", approved: true }
        ]
      }
    ]
  })
  expect(body.input).toEqual([
    { role: "assistant", content: [{ type: "output_text", text: "a" }] },
    { type: "function_call", call_id: "c1", name: "f", arguments: '{"x":1}' },
    { type: "function_call", call_id: "c2", name: "g", arguments: "{}" },
    { role: "assistant", content: [{ type: "output_text", text: "b" }] },
    { type: "function_call_output", call_id: "c1", output: '{"y":2}' },
    {
      type: "function_call_output",
      call_id: "c2",
      output: [
        { type: "input_text", text: "see" },
        { type: "input_image", image_url: `data:image/png;base64,${png}` }
      ]
    }
  ])
  expect(dropped).toEqual(["messages.tool-call", "messages.file (audio/wav)", "messages.tool-approval-response"])
})

/** The assistant message that an answer becomes in the next turn. */
const answered = (output: ReadonlyArray<Json.JsonObject>, from = kind): LlmRequest.Message => {
  const parts = OpenAiResponsesStream.parse({ id: "r", status: "completed", output }, optionsOf(from))
  return {
    role: "assistant",
    content: LlmReply.fold(parts).flatMap((part): ReadonlyArray<Prompt.AssistantMessagePartEncoded> => {
      const options = part.metadata === undefined ? {} : { options: part.metadata }
      if (part.type === "text" || part.type === "reasoning") return [{ type: part.type, text: part.text, ...options }]
      if (part.type !== "tool-call") return []
      return [
        { type: part.type, id: part.id, name: part.name, params: part.params, providerExecuted: false, ...options }
      ]
    })
  }
}

const output: ReadonlyArray<Json.JsonObject> = [
  { id: "rs_1", type: "reasoning", summary: [], encrypted_content: "e1" },
  {
    id: "msg_1",
    type: "message",
    role: "assistant",
    status: "completed",
    phase: "commentary",
    content: [
      { type: "output_text", text: "a", annotations: [] },
      { type: "output_text", text: "b", annotations: [] }
    ]
  },
  {
    id: "msg_2",
    type: "message",
    role: "assistant",
    status: "completed",
    content: [{ type: "refusal", refusal: "no" }]
  },
  {
    id: "rs_2",
    type: "reasoning",
    summary: [
      { type: "summary_text", text: "s1" },
      { type: "summary_text", text: "s2" }
    ],
    content: [{ type: "reasoning_text", text: "t" }],
    encrypted_content: "e2"
  },
  {
    id: "fc_1",
    type: "function_call",
    status: "completed",
    call_id: "c1",
    name: "f",
    arguments: '{"x":1}',
    caller: { type: "program", caller_id: "p" },
    namespace: "n"
  }
]

it("gives an answer back as the items that it came as", () => {
  const { body, dropped } = lower({ prompt: [answered(output)] })
  expect(body.input).toEqual([
    output[0],
    {
      role: "assistant",
      content: [
        { type: "output_text", text: "a" },
        { type: "output_text", text: "b" }
      ],
      phase: "commentary"
    },
    { role: "assistant", content: [{ type: "refusal", refusal: "no" }] },
    output[3],
    {
      type: "function_call",
      call_id: "c1",
      name: "f",
      arguments: '{"x":1}',
      caller: { type: "program", caller_id: "p" },
      namespace: "n"
    }
  ])
  expect(body.include).toEqual(["reasoning.encrypted_content"])
  expect(dropped).toEqual([])
})

it("sends ids of items when the provider keeps them", () => {
  for (const own of [{ store: true }, { previous_response_id: "resp_0" }]) {
    const { body } = lower({ prompt: [answered(output)], providerOptions: { [kind]: own } })
    expect(body).toMatchObject(own)
    expect(body.input.map((item: Json.JsonObject) => item["id"])).toEqual(["rs_1", "msg_1", "msg_2", "rs_2", "fc_1"])
  }
})

it("sends earlier reasoning only where it can be read", () => {
  const bare = { id: "rs_1", type: "reasoning", summary: [{ type: "summary_text", text: "s" }] }
  expect(lower({ prompt: [answered([bare])] })).toMatchObject({
    body: { input: [] },
    dropped: ["messages.reasoning"]
  })
  expect(lower({ prompt: [answered([bare])], providerOptions: { [kind]: { store: true } } })).toMatchObject({
    body: { input: [bare] },
    dropped: []
  })
  // A server with open weights says what it thought, and reads it again.
  const open = { id: "rs_1", type: "reasoning", summary: [], content: [{ type: "reasoning_text", text: "t" }] }
  expect(inputOf([answered([open])])).toEqual([open])
  const foreign = lower({ prompt: [answered(output, "azure")] })
  expect(foreign.dropped).toEqual([
    "messages.reasoning",
    "messages.reasoning",
    "messages.reasoning",
    "messages.reasoning"
  ])
  expect(JSON.stringify(foreign.body.input)).not.toContain("e2")
})

it("lays the caller's own options over the body", () => {
  const { body, dropped } = lower({
    prompt: "x",
    settings: { reasoningEffort: "low" },
    responseFormat: { type: "json", name: "a", schema: {} },
    providerOptions: {
      [kind]: { reasoning: { summary: "auto" }, text: { verbosity: "low" }, service_tier: "flex", model: "no" },
      openai: { user: "x" }
    }
  })
  expect(body.reasoning).toEqual({ effort: "low", summary: "auto" })
  expect(body.text).toEqual({ format: { type: "json_schema", name: "a", schema: {} }, verbosity: "low" })
  expect([body.service_tier, body.user, body.model]).toEqual(["flex", undefined, "a-model"])
  expect(dropped).toEqual([`providerOptions.${kind}.model`])
})

it("sends a body of its own protocol as it came", () => {
  const body = {
    model: "pool:x",
    input: [{ type: "item_reference", id: "i" }],
    instructions: "i",
    unheard_of: { a: 1 },
    reasoning: { summary: "auto" },
    temperature: 0.9,
    stream: true,
    stream_options: { include_obfuscation: false }
  }
  const raw = { protocol: OpenAiResponsesRequest.protocol, body }
  const input = {
    prompt: "ignored",
    raw,
    settings: { temperature: 0.1, topP: 0.3, maxOutputTokens: 5, reasoningEffort: "high" as const, seed: 1 }
  }
  const sent = lower(input)
  expect(sent.body).toEqual({
    model: "a-model",
    input: body.input,
    instructions: "i",
    unheard_of: { a: 1 },
    reasoning: { summary: "auto", effort: "high" },
    temperature: 0.9,
    top_p: 0.3,
    max_output_tokens: 16
  })
  expect(sent.dropped).toEqual([])
  expect(lower(input, {}, true).body).toMatchObject({ stream: true, stream_options: { include_obfuscation: false } })
  const other = lower({ ...input, raw: { protocol: "openai-chat", body } })
  expect(other.body.input).toEqual([{ role: "user", content: "ignored" }])
})

it("lists that a result is not marked as failed", () => {
  const result = (isFailure: boolean) =>
    lower({
      prompt: [{ role: "tool", content: [{ type: "tool-result", id: "c", name: "f", isFailure, result: "no" }] }]
    })
  expect(result(true).dropped).toEqual(["messages.tool-result.isFailure"])
  expect(result(false).dropped).toEqual([])
})

it("lets a model sample that is told not to think", () => {
  const said = (model: string) => {
    const settings = { reasoningEffort: "none", temperature: 0.5 } as const
    const { body, dropped } = lower({ prompt: "x", settings }, { model })
    return [body.reasoning, body.temperature, dropped]
  }
  expect(said("gpt-5.1")).toEqual([{ effort: "none" }, 0.5, []])
  expect(said("gpt-5")).toEqual([
    { effort: "minimal" },
    undefined,
    ["settings.temperature", "settings.reasoningEffort (minimal)"]
  ])
  expect(said("gpt-4o")).toEqual([undefined, 0.5, []])
})
