import type { LlmRequest } from "@echelon/core"
import { BedrockConverseLift, BedrockConverseRequest, Lift, OpenAiChatRequest } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { optionsOf, requestOf } from "./Support.ts"

const { lift } = BedrockConverseLift

const user = (...content: ReadonlyArray<object>) => ({ messages: [{ role: "user", content }] })

const messagesOf = (body: object): ReadonlyArray<LlmRequest.Message> =>
  lift(body).input.prompt as ReadonlyArray<LlmRequest.Message>

const partsOf = (body: object) => messagesOf(body).flatMap((message): ReadonlyArray<unknown> => [...message.content])

it("reads messages, tools, settings and the format of the answer", () => {
  const body = {
    modelId: "anthropic.claude-sonnet-4-5-v1:0",
    system: [{ text: "Be brief" }, { cachePoint: { type: "default", ttl: "1h" } }, { text: "Be kind" }],
    messages: [
      { role: "user", content: [{ text: "Weather?" }, { cachePoint: { type: "default" } }] },
      {
        role: "assistant",
        content: [
          { reasoningContent: { reasoningText: { text: "Hm", signature: "c2ln" } } },
          { reasoningContent: { redactedContent: "ZW5j" } },
          { text: "One moment" },
          { toolUse: { toolUseId: "c1", name: "weather", input: { city: "Oslo" } } },
          { toolUse: { toolUseId: "c2", name: "now" } }
        ]
      },
      {
        role: "user",
        content: [
          { toolResult: { toolUseId: "c1", content: [{ text: "sunny" }] } },
          { toolResult: { toolUseId: "c2", content: [{ json: { hour: 7 } }], status: "error" } },
          { text: "And?" }
        ]
      }
    ],
    inferenceConfig: { maxTokens: 70, temperature: 0.1, topP: 0.2, stopSequences: ["x"] },
    toolConfig: {
      tools: [
        { toolSpec: { name: "weather", description: "d", inputSchema: { json: { type: "object" } }, strict: true } },
        { toolSpec: { name: "now" } }
      ],
      toolChoice: { tool: { name: "weather" } }
    },
    outputConfig: {
      textFormat: { type: "json_schema", structure: { jsonSchema: { name: "place", schema: '{"type":"object"}' } } }
    },
    guardrailConfig: { guardrailIdentifier: "g" }
  }
  const { input, model, problems, stream, unsaid } = lift(body)
  expect([model, stream, problems, unsaid]).toEqual([body.modelId, false, [], []])
  const protocol = "protocol:bedrock-converse"
  expect(input).toEqual({
    prompt: [
      { role: "system", content: "Be brief", options: { [protocol]: { cachePoint: { ttl: "1h" } } } },
      { role: "system", content: "Be kind" },
      { role: "user", content: [{ type: "text", text: "Weather?", options: { [protocol]: { cachePoint: {} } } }] },
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "Hm", options: { [protocol]: { signature: "c2ln" } } },
          { type: "reasoning", text: "", options: { [protocol]: { redactedContent: "ZW5j" } } },
          { type: "text", text: "One moment" },
          { type: "tool-call", id: "c1", name: "weather", params: { city: "Oslo" } },
          { type: "tool-call", id: "c2", name: "now", params: {} }
        ]
      },
      {
        role: "tool",
        content: [
          { type: "tool-result", id: "c1", name: "weather", isFailure: false, result: "sunny" },
          { type: "tool-result", id: "c2", name: "now", isFailure: true, result: '{"hour":7}' }
        ]
      },
      { role: "user", content: [{ type: "text", text: "And?" }] }
    ],
    tools: [
      { name: "weather", description: "d", parameters: { type: "object" }, strict: true },
      { name: "now", parameters: { type: "object", properties: {} } }
    ],
    toolChoice: { tool: "weather" },
    responseFormat: { type: "json", name: "place", schema: { type: "object" } },
    settings: { maxOutputTokens: 70, temperature: 0.1, topP: 0.2, stop: ["x"] },
    providerOptions: { [protocol]: { guardrailConfig: { guardrailIdentifier: "g" } } },
    raw: { protocol: "bedrock-converse", body }
  })
})

it("reads what a model's maker has words of his own for", () => {
  const of = (fields: object) => {
    const { settings, toolChoice, providerOptions } = lift({
      messages: [],
      additionalModelRequestFields: fields
    }).input
    return [settings, toolChoice, providerOptions?.["protocol:bedrock-converse"]?.["additionalModelRequestFields"]]
  }
  const adaptive = { type: "adaptive" }
  expect(of({ top_k: 4 })).toEqual([{ topK: 4 }, undefined, undefined])
  expect(of({ inferenceConfig: { topK: 4 } })).toEqual([{ topK: 4 }, undefined, undefined])
  expect(of({ inferenceConfig: { topK: 4, other: 1 } })[2]).toEqual({ inferenceConfig: { other: 1 } })
  expect(of({ thinking: adaptive, output_config: { effort: "low" } })).toEqual([
    { reasoningEffort: "low" },
    undefined,
    undefined
  ])
  // What an effort does not say stays.
  const shown = { thinking: { ...adaptive, display: "omitted" } }
  expect(of({ ...shown, output_config: { effort: "low" } })).toEqual([{ reasoningEffort: "low" }, undefined, shown])
  const budget = { thinking: { type: "enabled", budget_tokens: 9_000 } }
  expect(of(budget)).toEqual([{ reasoningEffort: "medium" }, undefined, budget])
  expect(of({ output_config: { effort: "max" } })).toEqual([undefined, undefined, { output_config: { effort: "max" } }])
  expect(of({ tool_choice: { type: "any", disable_parallel_tool_use: true } })).toEqual([
    { parallelToolCalls: false },
    "required",
    undefined
  ])
  expect(of({ tool_choice: { type: "tool", name: "f" } })).toEqual([undefined, { tool: "f" }, undefined])
  expect(of({ tool_choice: { type: "none" } })[2]).toEqual({ tool_choice: { type: "none" } })
  expect(of({ strange: 1 })).toEqual([undefined, undefined, { strange: 1 }])
})

it("reads choices", () => {
  const of = (toolChoice: object) => lift({ messages: [], toolConfig: { tools: [], toolChoice } })
  expect(of({ auto: {} }).input.toolChoice).toBe("auto")
  expect(of({ any: {} }).input.toolChoice).toBe("required")
  expect(of({ perhaps: {} }).unsaid).toEqual(["toolConfig.toolChoice (perhaps)"])
})

it("reads files of every kind and source", () => {
  const bytes = { bytes: "AAAA" }
  const s3 = { s3Location: { uri: "s3://bucket/film.mp4" } }
  expect(
    partsOf(
      user(
        { image: { format: "jpeg", source: bytes } },
        { document: { format: "pdf", name: "Report", source: bytes } },
        { document: { format: "md", name: "document", source: { text: "hi" } } },
        { video: { format: "mp4", source: s3 } },
        { audio: { format: "wav", source: bytes } }
      )
    )
  ).toEqual([
    { type: "file", mediaType: "image/jpeg", data: "AAAA" },
    { type: "file", mediaType: "application/pdf", data: "AAAA", fileName: "Report.pdf" },
    { type: "file", mediaType: "text/markdown", data: "aGk=" },
    { type: "file", mediaType: "video/mp4", data: { _tag: "URL", href: "s3://bucket/film.mp4" } },
    { type: "file", mediaType: "audio/wav", data: "AAAA" }
  ])
  const result = (content: ReadonlyArray<object>) =>
    partsOf(user({ toolResult: { toolUseId: "c", content } })).map((part) => {
      const { modelOutput, result } = part as { readonly modelOutput?: unknown; readonly result: unknown }
      return [result, modelOutput]
    })
  expect(result([{ text: "a" }, { image: { format: "png", source: bytes } }])).toEqual([
    [
      "",
      [
        { type: "text", text: "a" },
        { type: "file", mediaType: "image/png", data: "AAAA" }
      ]
    ]
  ])
  expect(result([{ json: {} }])).toEqual([["", undefined]])
  expect(result([])).toEqual([["", undefined]])
  expect(result([{ json: [1] }])).toEqual([["[1]", undefined]])
})

it("lists what a request has no field for", () => {
  const { problems, unsaid } = lift({
    messages: [
      {
        role: "user",
        content: [
          { guardContent: {} },
          { image: { format: "bmp", source: { bytes: "" } } },
          { document: { format: "pdf", name: "a", source: { bytes: "" }, context: "c" } }
        ],
        strange: 1
      },
      { role: "assistant", content: [{ citationsContent: { content: [{ text: "So" }], citations: [{}] } }] },
      { role: "critic", content: [] }
    ],
    system: [{ cachePoint: {} }, { guardContent: {} }],
    toolConfig: { tools: [{ cachePoint: { type: "default" } }, { systemTool: { name: "s" } }], strange: 1 },
    inferenceConfig: { strange: 1 },
    outputConfig: { textFormat: { type: "other" } }
  })
  expect(problems).toEqual([])
  expect([...unsaid].sort()).toEqual(
    [
      "inferenceConfig.strange",
      "messages[0].content[0].guardContent (guardContent)",
      "messages[0].content[1].image (bmp)",
      "messages[0].content[2].document.context",
      "messages[0].strange",
      "messages[1].content[0].citationsContent.citations",
      "messages[2] (critic)",
      "outputConfig.textFormat (other)",
      "system[0].cachePoint (cachePoint)",
      "system[1].guardContent (guardContent)",
      "toolConfig.strange",
      "toolConfig.tools[0].cachePoint (cachePoint)",
      "toolConfig.tools[1].systemTool (systemTool)"
    ].sort()
  )
})

it("tells what is wrong, and where", () => {
  const problems = (body: unknown) => lift(body).problems.map(Lift.describe)
  expect(problems("hi")).toEqual(["the body: expected an object, found a string"])
  expect(problems({})).toEqual(["messages: expected an array, found nothing"])
  expect(problems({ messages: [{ role: "user", content: "hi" }] })).toEqual([
    "messages[0].content: expected an array, found a string"
  ])
  expect(problems(user({ text: 7 }, { image: { format: "png" } }, { toolResult: { content: [] } }))).toEqual([
    "messages[0].content[0].text: expected a string, found a number",
    "messages[0].content[1].image.source: expected an object, found nothing",
    "messages[0].content[2].toolResult.toolUseId: expected a string, found nothing"
  ])
  const schema = (schema: string) =>
    problems({ messages: [], outputConfig: { textFormat: { structure: { jsonSchema: { schema } } } } })
  expect(schema("[1]")).toEqual([
    "outputConfig.textFormat.structure.jsonSchema.schema: expected a JSON Schema as a text, found an array"
  ])
})

it("goes out as it came where the protocol is spoken, and is said anew elsewhere", () => {
  const body = { ...user({ text: "hi" }), inferenceConfig: { temperature: 0 }, neverHeard: { of: null } }
  const request = requestOf(lift(body).input)
  const none = () => {}
  expect(BedrockConverseRequest.lower(request, optionsOf("bedrock"), none)).toEqual(body)
  expect(OpenAiChatRequest.lower(request, optionsOf("openai"), none)).toEqual({
    model: "a-model",
    messages: [{ role: "user", content: "hi" }],
    temperature: 0
  })
})
