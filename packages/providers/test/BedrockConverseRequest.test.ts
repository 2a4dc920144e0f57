import type { LlmRequest } from "@echelon/core"
import * as BedrockConverse from "@echelon/providers/BedrockConverse"
import type * as Protocol from "@echelon/providers/Protocol"
import { expect, it } from "@effect/vitest"
import { optionsOf, requestOf } from "./Support.ts"

const lower = (input: LlmRequest.Input, options: Partial<Protocol.Options> = {}, stream = false) => {
  const dropped: Array<string> = []
  const body = BedrockConverse.protocol.lower(requestOf(input, stream), optionsOf("bedrock", options), (field) =>
    dropped.push(field)
  )
  return { body: JSON.parse(JSON.stringify(body)), dropped }
}

const messages = (prompt: ReadonlyArray<LlmRequest.Message>) => lower({ prompt }).body.messages

const mark = { bedrock: { cachePoint: { type: "default" } } }
const point = { cachePoint: { type: "default" } }
const tool = (name: string): LlmRequest.Tool => ({ name, parameters: { type: "object" } })

const closed = { type: "object", properties: {}, additionalProperties: false }

it("says every setting, tools, choice and schema, and no model", () => {
  const { body, dropped } = lower(
    {
      prompt: [
        { role: "system", content: "be brief" },
        { role: "user", content: "hi" }
      ],
      tools: [{ name: "f", description: "d", parameters: { type: "object" }, strict: true }, tool("g")],
      toolChoice: "required",
      responseFormat: { type: "json", name: "answer", schema: closed },
      settings: { temperature: 0.1, maxOutputTokens: 7, topP: 0.2, topK: 4, stop: ["x"] }
    },
    {},
    true
  )
  expect(body).toEqual({
    system: [{ text: "be brief" }],
    messages: [{ role: "user", content: [{ text: "hi" }] }],
    inferenceConfig: { temperature: 0.1, maxTokens: 7, topP: 0.2, stopSequences: ["x"] },
    toolConfig: {
      tools: [
        { toolSpec: { name: "f", description: "d", inputSchema: { json: closed }, strict: true } },
        { toolSpec: { name: "g", inputSchema: { json: { type: "object" } } } }
      ],
      toolChoice: { any: {} }
    },
    additionalModelRequestFields: { top_k: 4 },
    outputConfig: {
      textFormat: {
        type: "json_schema",
        structure: { jsonSchema: { name: "answer", schema: JSON.stringify(closed) } }
      }
    }
  })
  expect(dropped).toEqual([])
  expect(lower({ prompt: "hi" }).body).toEqual({ messages: [{ role: "user", content: [{ text: "hi" }] }] })
})

it("lists what cannot be said", () => {
  const { body, dropped } = lower({
    prompt: "x",
    settings: { temperature: 1.5, seed: 1, presencePenalty: 1, frequencyPenalty: 1, reasoningEffort: "low" }
  })
  expect(body.inferenceConfig).toEqual({ temperature: 1 })
  expect(dropped).toEqual([
    "settings.reasoningEffort",
    "settings.temperature (lowered to 1)",
    "settings.seed",
    "settings.presencePenalty",
    "settings.frequencyPenalty"
  ])
})

it("says top k in the words of the model's family", () => {
  const fields = (model: string) =>
    lower({ prompt: "x", settings: { topK: 3 } }, { model }).body.additionalModelRequestFields
  for (const model of [
    "amazon.nova-lite-v1:0",
    "us.amazon.nova-2-lite-v1:0",
    "arn:aws:bedrock:us-east-1:1:inference-profile/us.amazon.nova-pro-v1:0"
  ])
    expect(fields(model)).toEqual({ inferenceConfig: { topK: 3 } })
  for (const model of ["mistral.mistral-large-2402-v1:0", "us.anthropic.claude-3-haiku-20240307-v1:0"])
    expect(fields(model)).toEqual({ top_k: 3 })
})

it("leaves out what the model refuses", () => {
  const { body, dropped } = lower(
    { prompt: "x", settings: { temperature: 0.5, topP: 0.5, topK: 3 } },
    { model: "us.anthropic.claude-sonnet-5-v1:0" }
  )
  expect(body).toEqual({ messages: [{ role: "user", content: [{ text: "x" }] }] })
  expect(dropped).toEqual(["settings.temperature", "settings.topP", "settings.topK"])
})

it("says each choice", () => {
  const config = (toolChoice: LlmRequest.ToolChoice | undefined) =>
    lower({ prompt: "x", tools: [tool("f")], toolChoice }).body.toolConfig
  expect(config(undefined).toolChoice).toBe(undefined)
  expect(config("auto").toolChoice).toEqual({ auto: {} })
  expect(config("required").toolChoice).toEqual({ any: {} })
  expect(config({ tool: "f" }).toolChoice).toEqual({ tool: { name: "f" } })
  expect(config("none")).toBe(undefined)
})

it("asks for one call at a time where the model knows how", () => {
  const ask = (model: string, toolChoice?: LlmRequest.ToolChoice) =>
    lower({ prompt: "x", tools: [tool("f")], toolChoice, settings: { parallelToolCalls: false } }, { model })
  const one = { disable_parallel_tool_use: true }
  const claude = "us.anthropic.claude-3-haiku-20240307-v1:0"
  for (const [choice, said] of [
    [undefined, { type: "auto", ...one }],
    ["auto", { type: "auto", ...one }],
    ["required", { type: "any", ...one }],
    [{ tool: "f" }, { type: "tool", name: "f", ...one }]
  ] as const) {
    const { body, dropped } = ask(claude, choice)
    expect(body.additionalModelRequestFields).toEqual({ tool_choice: said })
    expect(Object.keys(body.toolConfig)).toEqual(["tools"])
    expect(dropped).toEqual([])
  }
  const { body, dropped } = ask("amazon.nova-lite-v1:0", "required")
  expect(body.toolConfig.toolChoice).toEqual({ any: {} })
  expect(body.additionalModelRequestFields).toBe(undefined)
  expect(dropped).toEqual(["settings.parallelToolCalls"])
})

it("keeps tools where the conversation holds calls, since it is refused without", () => {
  const prompt: ReadonlyArray<LlmRequest.Message> = [
    { role: "user", content: "a" },
    { role: "assistant", content: [{ type: "tool-call", id: "1", name: "f", params: {} }] },
    { role: "tool", content: [{ type: "tool-result", id: "1", name: "f", isFailure: false, result: "ok" }] }
  ]
  const without = lower({ prompt })
  expect(without.body.toolConfig).toEqual({
    tools: [{ toolSpec: { name: "f", inputSchema: { json: { type: "object", properties: {} } } } }]
  })
  const none = lower({ prompt, tools: [tool("f"), tool("g")], toolChoice: "none" })
  expect(none.body.toolConfig.tools.length).toBe(2)
  expect(none.body.toolConfig.toolChoice).toBe(undefined)
  for (const { dropped } of [without, none])
    expect(dropped).toEqual(["toolChoice (none, where messages hold tool calls)"])
})

it("lifts system messages out, in order", () => {
  const { body } = lower({
    prompt: [
      { role: "system", content: "a" },
      { role: "user", content: "hi" },
      { role: "system", content: "  " },
      { role: "system", content: "b", options: { bedrock: { cachePoint: { ttl: "1h" } } } }
    ]
  })
  expect(body.system).toEqual([{ text: "a" }, { text: "b" }, { cachePoint: { type: "default", ttl: "1h" } }])
})

it("makes one message of what a side says in a row, tool results included", () => {
  const long = `call_${"x".repeat(70)}|1`
  expect(
    messages([
      { role: "user", content: "a" },
      { role: "user", content: [{ type: "text", text: "b" }] },
      { role: "assistant", content: [{ type: "tool-call", id: long, name: "f", params: { x: 1 } }] },
      { role: "tool", content: [{ type: "tool-result", id: long, name: "f", isFailure: true, result: { e: 1 } }] },
      { role: "user", content: "go on" }
    ])
  ).toEqual([
    { role: "user", content: [{ text: "a" }, { text: "b" }] },
    { role: "assistant", content: [{ toolUse: { toolUseId: `${"x".repeat(62)}_1`, name: "f", input: { x: 1 } } }] },
    {
      role: "user",
      content: [
        { toolResult: { toolUseId: `${"x".repeat(62)}_1`, content: [{ text: '{"e":1}' }], status: "error" } },
        { text: "go on" }
      ]
    }
  ])
})

it("says what a tool gave: text, images, documents, and nothing", () => {
  const result = (modelOutput: ReadonlyArray<object>, value: unknown = "") => {
    const { body, dropped } = lower({
      prompt: [
        {
          role: "tool",
          content: [{ type: "tool-result", id: "1", name: "f", isFailure: false, result: value, modelOutput } as never]
        }
      ]
    })
    return [body.messages[0].content[0].toolResult.content, dropped.filter((field) => field.startsWith("messages"))]
  }
  expect(result([], "")).toEqual([[{ json: {} }], []])
  expect(result([], "x")).toEqual([[{ text: "x" }], []])
  expect(
    result([
      { type: "text", text: "t" },
      { type: "file", mediaType: "image/png", data: "AAAA" },
      { type: "file", mediaType: "text/csv", data: "AAAA", fileName: "a.csv" },
      { type: "file", mediaType: "audio/mpeg", data: "AAAA" }
    ])
  ).toEqual([
    [
      { text: "t" },
      { image: { format: "png", source: { bytes: "AAAA" } } },
      { document: { format: "csv", name: "a", source: { bytes: "AAAA" } } }
    ],
    ["messages.tool-result (audio)"]
  ])
})

it("says files by their format", () => {
  const file = (mediaType: string, data: string | URL | Uint8Array = "AAAA") => {
    const { body, dropped } = lower({
      prompt: [
        {
          role: "user",
          content: [
            { type: "text", text: "x" },
            { type: "file", mediaType, data }
          ]
        }
      ]
    })
    return body.messages[0].content[1] ?? dropped[0]
  }
  const source = { bytes: "AAAA" }
  expect(file("image/jpg")).toEqual({ image: { format: "jpeg", source } })
  expect(file("image/*", "iVBORw0K")).toEqual({ image: { format: "png", source: { bytes: "iVBORw0K" } } })
  expect(file("image/webp", Uint8Array.of(0, 0, 0))).toEqual({ image: { format: "webp", source } })
  expect(file("video/3gpp")).toEqual({ video: { format: "three_gp", source } })
  expect(file("audio/wav")).toEqual({ audio: { format: "wav", source } })
  expect(file("application/pdf")).toEqual({ document: { format: "pdf", name: "document", source } })
  expect(file("text/x-python")).toEqual({ document: { format: "txt", name: "document", source } })
  const place = { s3Location: { uri: "s3://bucket/a.mp4" } }
  expect(file("video/mp4", "s3://bucket/a.mp4")).toEqual({ video: { format: "mp4", source: place } })
  expect(file("video/mp4", new URL("s3://bucket/a.mp4"))).toEqual({ video: { format: "mp4", source: place } })
  expect(file("image/png", "https://a.test/x.png")).toBe("messages.file (URL)")
  expect(file("application/zip")).toBe("messages.file (application/zip)")
  expect(file("toString")).toBe("messages.file (toString)")
})

it("gives documents names that are taken, each once", () => {
  const names = (...files: ReadonlyArray<string | undefined>) =>
    messages([
      {
        role: "user",
        content: [
          { type: "text", text: "x" },
          ...files.map((fileName) => ({
            type: "file" as const,
            mediaType: "application/pdf",
            data: "AAAA",
            ...(fileName === undefined ? {} : { fileName })
          }))
        ]
      }
    ])[0]
      .content.slice(1)
      .map(({ document }: { document: { name: string } }) => document.name)
  expect(names("John's report.pdf", "a&b", "Report -  Final.docx", "a\tb", "résumé (1) [x].pdf")).toEqual([
    "John-s report",
    "a-b",
    "Report - Final",
    "a b",
    "r-sum- (1) [x]"
  ])
  expect(names("a.pdf", "a.pdf", "a.txt", undefined, undefined, "...")).toEqual([
    "a",
    "a-2",
    "a-3",
    "document",
    "document-2",
    "---"
  ])
  expect(names(`${"n".repeat(300)}.pdf`)[0].length).toBe(190)
})

it("asks for citations of a document", () => {
  const [message] = messages([
    {
      role: "user",
      content: [
        {
          type: "file",
          mediaType: "application/pdf",
          data: "AAAA",
          options: { bedrock: { citations: { enabled: true } } }
        }
      ]
    }
  ])
  expect(message.content[0].document.citations).toEqual({ enabled: true })
})

it("puts cache points behind what they mark, and never alone", () => {
  expect(
    messages([
      {
        role: "user",
        content: [
          { type: "text", text: "a", options: mark },
          { type: "text", text: "b" }
        ]
      },
      { role: "assistant", content: "c", options: mark },
      { role: "user", content: [{ type: "text", text: "", options: mark }], options: mark },
      { role: "user", content: [{ type: "text", text: "d" }], options: mark },
      { role: "user", content: [{ type: "text", text: "e", options: { bedrock: { cachePoint: false } } }] }
    ])
  ).toEqual([
    { role: "user", content: [{ text: "a" }, point, { text: "b" }] },
    { role: "assistant", content: [{ text: "c" }, point] },
    { role: "user", content: [{ text: "d" }, point, { text: "e" }] }
  ])
})

it("gives back the reasoning that this provider signed, and no other", () => {
  const { body, dropped } = lower({
    prompt: [
      { role: "user", content: "a" },
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "t", options: { bedrock: { signature: "s" } } },
          { type: "reasoning", text: "", options: { bedrock: { redactedContent: "UkVE" } } },
          { type: "reasoning", text: "other", options: { anthropic: { signature: "no" } } },
          { type: "reasoning", text: "unsigned" },
          { type: "text", text: "b" }
        ]
      },
      { role: "user", content: "c" }
    ]
  })
  expect(body.messages[1].content).toEqual([
    { reasoningContent: { reasoningText: { text: "t", signature: "s" } } },
    { reasoningContent: { redactedContent: "UkVE" } },
    { text: "b" }
  ])
  expect(dropped).toContain("messages.reasoning")
})

it("leaves out blank texts and what the provider ran itself, and trims a prefill", () => {
  const { body, dropped } = lower({
    prompt: [
      {
        role: "user",
        content: [
          { type: "text", text: "a" },
          { type: "text", text: " \n" },
          { type: "text", text: "" }
        ]
      },
      {
        role: "assistant",
        content: [
          { type: "tool-call", id: "1", name: "search", params: {}, providerExecuted: true },
          { type: "text", text: "so: " }
        ]
      }
    ]
  })
  expect(body.messages).toEqual([
    { role: "user", content: [{ text: "a" }] },
    { role: "assistant", content: [{ text: "so:" }] }
  ])
  expect(dropped).toEqual(["messages.text (blank)", "messages.tool-call"])
})

it("lays the caller's own options over the body", () => {
  const { body, dropped } = lower({
    prompt: "x",
    settings: { topK: 2 },
    providerOptions: {
      bedrock: {
        model: "other",
        guardrailConfig: { guardrailIdentifier: "g", guardrailVersion: "1" },
        additionalModelRequestFields: { thinking: { type: "enabled", budget_tokens: 1024 } }
      },
      openai: { user: "u" }
    }
  })
  expect(body).toMatchObject({
    guardrailConfig: { guardrailIdentifier: "g", guardrailVersion: "1" },
    additionalModelRequestFields: { top_k: 2, thinking: { type: "enabled", budget_tokens: 1024 } }
  })
  expect(body.model).toBe(undefined)
  expect(dropped).toEqual(["providerOptions.bedrock.model"])
})

it("sends a body that came in by this protocol as it came", () => {
  const raw = (body: object, settings: LlmRequest.Settings = {}, model = "m") =>
    lower({ prompt: "x", settings, raw: { protocol: "bedrock-converse", body: body as never } }, { model }).body
  const body = { messages: [{ role: "user", content: [{ text: "x" }] }], brandNew: { a: 1 } }
  expect(raw(body)).toEqual(body)
  expect(raw({ ...body, modelId: "other" })).toEqual(body)
  expect(
    raw({ ...body, inferenceConfig: { temperature: 0.3 } }, { temperature: 0.9, maxOutputTokens: 5, topK: 3 })
  ).toEqual({ ...body, inferenceConfig: { temperature: 0.3, maxTokens: 5 } })
  expect(raw({ ...body, inferenceConfig: { temperature: 0.3 } }, {}, "us.anthropic.claude-sonnet-5-v1:0")).toEqual({
    ...body,
    inferenceConfig: {}
  })
})
