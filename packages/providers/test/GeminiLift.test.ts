import { Lift } from "@echelon/providers"
import * as GeminiLift from "@echelon/providers/GeminiLift"
import { expect, it } from "@effect/vitest"

const lift = (body: object, options?: Lift.Options) => GeminiLift.lift({ contents: [], ...body }, options)

const promptOf = (...contents: ReadonlyArray<object>) => {
  const { input, problems, unsaid } = lift({ contents })
  expect([problems, unsaid]).toEqual([[], []])
  return input.prompt
}

const own = "protocol:gemini-generate-content"

it("reads what a body says, and keeps what only the protocol has", () => {
  const body = {
    systemInstruction: { parts: [{ text: "be brief" }] },
    contents: [{ parts: [{ text: "hi" }] }],
    tools: [
      {
        functionDeclarations: [{ name: "f", description: "d", parametersJsonSchema: { type: "object" } }, { name: "g" }]
      }
    ],
    toolConfig: { functionCallingConfig: { mode: "ANY", allowedFunctionNames: ["f"] } },
    generationConfig: {
      temperature: 0.1,
      topP: 0.2,
      topK: 3,
      maxOutputTokens: 7,
      stopSequences: ["x"],
      seed: 4,
      presencePenalty: 0.5,
      frequencyPenalty: 0.6,
      responseMimeType: "application/json",
      responseJsonSchema: { type: "object" },
      thinkingConfig: { thinkingLevel: "LOW", includeThoughts: true },
      responseLogprobs: true
    },
    safetySettings: []
  }
  const { input, ...rest } = lift(body)
  expect(rest).toEqual({ model: undefined, stream: false, problems: [], unsaid: [] })
  expect(input).toEqual({
    prompt: [
      { role: "system", content: "be brief" },
      { role: "user", content: [{ type: "text", text: "hi" }] }
    ],
    tools: [
      { name: "f", description: "d", parameters: { type: "object" } },
      { name: "g", parameters: Lift.noParameters }
    ],
    toolChoice: { tool: "f" },
    responseFormat: { type: "json", name: "response", schema: { type: "object" } },
    settings: {
      temperature: 0.1,
      topP: 0.2,
      topK: 3,
      maxOutputTokens: 7,
      stop: ["x"],
      seed: 4,
      presencePenalty: 0.5,
      frequencyPenalty: 0.6,
      reasoningEffort: "low"
    },
    providerOptions: { [own]: { generationConfig: { responseLogprobs: true }, safetySettings: [] } },
    raw: { protocol: "gemini-generate-content", body }
  })
})

it("reads names in snake case, and schemas with types in capitals", () => {
  const { input } = lift({
    system_instruction: { parts: [{ text: "s" }] },
    tools: [
      {
        function_declarations: [
          {
            name: "f",
            parameters: {
              type: "OBJECT",
              properties: { a: { type: "ARRAY", items: { type: "STRING" } }, type: { type: "INTEGER" } }
            }
          }
        ]
      }
    ],
    generation_config: { max_output_tokens: 5, response_mime_type: "application/json" }
  })
  expect(input.prompt).toEqual([{ role: "system", content: "s" }])
  expect(input.settings).toEqual({ maxOutputTokens: 5 })
  expect(input.responseFormat).toEqual(Lift.anyObject)
  expect(input.tools?.[0]?.parameters).toEqual({
    type: "object",
    properties: { a: { type: "array", items: { type: "string" } }, type: { type: "integer" } }
  })
})

it("reads choices and ways to think", () => {
  const choice = (functionCallingConfig: object) => {
    const { input, unsaid } = lift({
      tools: [{ functionDeclarations: [{ name: "f" }] }],
      toolConfig: { functionCallingConfig }
    })
    return [input.toolChoice, input.tools?.[0]?.strict, unsaid]
  }
  expect(choice({ mode: "AUTO" })).toEqual(["auto", undefined, []])
  expect(choice({ mode: "NONE" })).toEqual(["none", undefined, []])
  expect(choice({ mode: "ANY" })).toEqual(["required", undefined, []])
  expect(choice({ mode: "VALIDATED" })).toEqual(["auto", undefined, []])
  const several = ["toolConfig.functionCallingConfig.allowedFunctionNames"]
  expect(choice({ mode: "ANY", allowedFunctionNames: ["f", "g"] })).toEqual(["required", undefined, several])
  const thinking = (thinkingConfig: object) => {
    const { input } = lift({ generationConfig: { thinkingConfig } })
    return [input.settings?.reasoningEffort, input.providerOptions === undefined]
  }
  expect(thinking({ thinkingBudget: 8192, includeThoughts: true })).toEqual(["medium", true])
  expect(thinking({ thinkingBudget: 8192 })).toEqual(["medium", false])
  expect(thinking({ thinkingBudget: 0 })).toEqual(["none", true])
  expect(thinking({ thinkingBudget: 0, includeThoughts: true })).toEqual(["none", false])
  expect(thinking({ thinkingBudget: -1 })).toEqual([undefined, false])
})

it("takes tools whose calls are validated for strict only where their schemas are", () => {
  const validated = (parametersJsonSchema: object) =>
    lift({
      tools: [{ functionDeclarations: [{ name: "f", parametersJsonSchema }] }],
      toolConfig: { functionCallingConfig: { mode: "VALIDATED" } }
    }).input
  const open = { type: "object", properties: { a: { type: "string" } } }
  const mode = { toolConfig: { functionCallingConfig: { mode: "VALIDATED" } } }
  const { providerOptions, tools } = validated(open)
  expect([tools, providerOptions]).toEqual([
    [{ name: "f", parameters: open }],
    { "protocol:gemini-generate-content": mode }
  ])
  const closed = { ...open, required: ["a"], additionalProperties: false }
  expect(validated(closed).tools).toEqual([{ name: "f", parameters: closed, strict: true }])
  expect(validated(closed).providerOptions).toBe(undefined)
})

it("gives calls ids of their place, and results those of their calls", () => {
  const call = (name: string, more: object = {}) => ({ functionCall: { name, args: { n: 1 }, ...more } })
  const response = (name: string, value: object, more: object = {}) => ({
    functionResponse: { name, response: value, ...more }
  })
  expect(
    promptOf(
      { role: "model", parts: [{ ...call("f"), thoughtSignature: "s" }, call("f"), call("g", { id: "own" })] },
      {
        role: "function",
        parts: [
          response("g", { output: "three" }, { id: "own" }),
          response("f", { output: { a: 1 } }),
          response("f", { error: "two" }),
          response("h", { any: 1, thing: 2 })
        ]
      }
    )
  ).toEqual([
    {
      role: "assistant",
      content: [
        { type: "tool-call", id: "call_0", name: "f", params: { n: 1 }, options: { [own]: { thoughtSignature: "s" } } },
        { type: "tool-call", id: "call_1", name: "f", params: { n: 1 } },
        { type: "tool-call", id: "own", name: "g", params: { n: 1 }, options: { [own]: { id: "own" } } }
      ]
    },
    {
      role: "tool",
      content: [
        { type: "tool-result", id: "own", name: "g", isFailure: false, result: "three" },
        { type: "tool-result", id: "call_0", name: "f", isFailure: false, result: { a: 1 } },
        { type: "tool-result", id: "call_1", name: "f", isFailure: true, result: "two" },
        { type: "tool-result", id: "call_3", name: "h", isFailure: false, result: { any: 1, thing: 2 } }
      ]
    }
  ])
})

it("knows a result without an id by its name", () => {
  const { input } = lift({
    contents: [
      { role: "model", parts: [{ functionCall: { name: "f" } }, { functionCall: { name: "g" } }] },
      { parts: [{ functionResponse: { name: "g", response: { result: 1 } } }] }
    ]
  })
  expect((input.prompt as ReadonlyArray<unknown>)[1]).toEqual({
    role: "tool",
    content: [{ type: "tool-result", id: "call_1", name: "g", isFailure: false, result: 1 }]
  })
})

it("reads thoughts, signatures and files", () => {
  expect(
    promptOf(
      {
        role: "user",
        parts: [
          { inlineData: { mimeType: "image/png", data: "AA" }, mediaResolution: { level: "LOW" } },
          { file_data: { mime_type: "audio/wav", file_uri: "gs://b/a.wav" } },
          { fileData: { fileUri: "https://www.youtube.com/watch?v=x" } },
          { fileData: { fileUri: "https://a.test/i.PNG?x=1" } },
          { fileData: { fileUri: "https://a.test/f" } }
        ]
      },
      {
        role: "model",
        parts: [
          { text: "hm", thought: true, thoughtSignature: "s" },
          { text: "a", thoughtSignature: "skip_thought_signature_validator" }
        ]
      }
    )
  ).toEqual([
    {
      role: "user",
      content: [
        { type: "file", mediaType: "image/png", data: "AA", options: { [own]: { mediaResolution: { level: "LOW" } } } },
        { type: "file", mediaType: "audio/wav", data: { _tag: "URL", href: "gs://b/a.wav" } },
        { type: "file", mediaType: "video/*", data: { _tag: "URL", href: "https://www.youtube.com/watch?v=x" } },
        { type: "file", mediaType: "image/*", data: { _tag: "URL", href: "https://a.test/i.PNG?x=1" } },
        { type: "file", mediaType: "application/octet-stream", data: { _tag: "URL", href: "https://a.test/f" } }
      ]
    },
    {
      role: "assistant",
      content: [
        { type: "reasoning", text: "hm", options: { [own]: { thought: true, thoughtSignature: "s" } } },
        // What stands in for a signature is none.
        { type: "text", text: "a" }
      ]
    }
  ])
})

it("lists what a request has no field for", () => {
  const { problems, unsaid } = lift({
    systemInstruction: { parts: [{ inlineData: {} }] },
    contents: [
      { role: "user", parts: [{ text: "a", hologram: 1 }, { hologram: 1 }], mood: "good" },
      { role: "model", parts: [{ executableCode: { code: "1" } }] },
      { role: "critic", parts: [] }
    ],
    tools: [{ googleSearch: {} }],
    toolConfig: { functionCallingConfig: { mode: "WILD" } }
  })
  expect(problems).toEqual([])
  expect(unsaid).toEqual([
    "systemInstruction.parts[0] (inlineData)",
    "contents[0].mood",
    "contents[0].parts[0].hologram",
    "contents[0].parts[1] (hologram)",
    "contents[1].parts[0] (executableCode)",
    "contents[2] (critic)",
    "tools[0] (googleSearch)",
    "toolConfig.functionCallingConfig.mode (WILD)"
  ])
})

it("names the place of everything that is wrong", () => {
  const { problems } = lift({
    contents: [{ parts: [1, { text: 2 }, { inlineData: { data: "AA" } }] }, { role: 1, parts: {} }],
    generationConfig: { temperature: "warm", stopSequences: [1] }
  })
  expect(problems.map(Lift.describe)).toEqual([
    "contents[0].parts[0]: expected an object, found a number",
    "contents[0].parts[1].text: expected a string, found a number",
    "contents[0].parts[2].inlineData.mimeType: expected a string, found nothing",
    "contents[1].role: expected a string, found a number",
    "contents[1].parts: expected an array, found an object",
    "generationConfig.temperature: expected a number, found a string",
    "generationConfig.stopSequences: expected a string or an array of strings, found an array"
  ])
})
