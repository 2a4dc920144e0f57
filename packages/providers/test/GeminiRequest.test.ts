import type { LlmRequest } from "@echelon/core"
import * as GeminiContents from "@echelon/providers/GeminiContents"
import * as GeminiModel from "@echelon/providers/GeminiModel"
import * as GeminiRequest from "@echelon/providers/GeminiRequest"
import { expect, it } from "@effect/vitest"
import { optionsOf, requestOf } from "./Support.ts"

const lower = (input: LlmRequest.Input, model = "gemini-2.5-flash") => {
  const dropped: Array<string> = []
  const body = GeminiRequest.lower(requestOf(input), optionsOf("gemini", { model }), (field) => dropped.push(field))
  return { body, dropped }
}

const contentsOf = (prompt: LlmRequest.Input["prompt"], model?: string) => lower({ prompt }, model).body["contents"]

const call = (id: string, name: string, own?: Record<string, string>): LlmRequest.Message => ({
  role: "assistant",
  content: [{ type: "tool-call", id, name, params: { id }, ...(own === undefined ? {} : { options: { gemini: own } }) }]
})

const result = (id: string, name: string, more: object = {}): LlmRequest.Message => ({
  role: "tool",
  content: [{ type: "tool-result", id, name, isFailure: false, result: { id }, ...more }]
})

it("says a conversation in turns, the system beside them", () => {
  const { body, dropped } = lower({
    prompt: [
      { role: "system", content: "Be brief." },
      { role: "user", content: "one" },
      { role: "system", content: "" },
      { role: "user", content: [{ type: "text", text: "two" }] },
      { role: "assistant", content: "three" },
      { role: "assistant", content: [{ type: "text", text: "" }] },
      { role: "user", content: "four" },
      { role: "assistant", content: "It is" }
    ]
  })
  expect(body).toEqual({
    systemInstruction: { parts: [{ text: "Be brief." }] },
    contents: [
      { role: "user", parts: [{ text: "one" }, { text: "two" }] },
      { role: "model", parts: [{ text: "three" }] },
      { role: "user", parts: [{ text: "four" }] },
      // What ends the conversation is gone on from.
      { role: "model", parts: [{ text: "It is" }] }
    ]
  })
  expect(dropped).toEqual([])
})

it("says settings, and reports what it cannot say", () => {
  const { body, dropped } = lower({
    prompt: "hi",
    settings: {
      temperature: 0.5,
      maxOutputTokens: 10,
      topP: 0.9,
      topK: 40,
      seed: 7,
      stop: ["a", "b", "c", "d", "e", "f"],
      presencePenalty: 0.1,
      frequencyPenalty: 0.2,
      parallelToolCalls: false
    }
  })
  expect(body["generationConfig"]).toEqual({
    temperature: 0.5,
    maxOutputTokens: 10,
    topP: 0.9,
    topK: 40,
    seed: 7,
    stopSequences: ["a", "b", "c", "d", "e"],
    presencePenalty: 0.1,
    frequencyPenalty: 0.2
  })
  expect(dropped).toEqual(["settings.stop (the first 5 of 6)", "settings.parallelToolCalls"])
  expect(lower({ prompt: "hi", settings: { stop: [], parallelToolCalls: true } })).toEqual({
    body: { contents: [{ role: "user", parts: [{ text: "hi" }] }] },
    dropped: []
  })
})

it("asks for thought as the model's generation understands it", () => {
  const thinking = (model: string, reasoningEffort: LlmRequest.Settings["reasoningEffort"]) => {
    const { body, dropped } = lower({ prompt: "hi", settings: { reasoningEffort } }, model)
    const config = body["generationConfig"] as { thinkingConfig?: Record<string, unknown> } | undefined
    const { includeThoughts, ...rest } = config?.thinkingConfig ?? {}
    expect(includeThoughts).toBe(config === undefined || rest["thinkingBudget"] === 0 ? undefined : true)
    return [rest, dropped]
  }
  const inexact = (effort: string) => [`settings.reasoningEffort (${effort})`]
  expect(thinking("gemini-2.5-flash", "minimal")).toEqual([{ thinkingBudget: 512 }, []])
  expect(thinking("gemini-2.5-pro", "high")).toEqual([{ thinkingBudget: 24576 }, []])
  expect(thinking("models/gemini-2.5-pro", "low")).toEqual([{ thinkingBudget: 1024 }, []])
  expect(thinking("tunedModels/mine", "medium")).toEqual([{ thinkingBudget: 8192 }, []])
  expect(thinking("gemini-3-flash-preview", "minimal")).toEqual([{ thinkingLevel: "minimal" }, []])
  expect(thinking("gemini-3-pro-preview", "minimal")).toEqual([{ thinkingLevel: "low" }, inexact("low")])
  expect(thinking("gemini-3-pro-preview", "medium")).toEqual([{ thinkingLevel: "high" }, inexact("high")])
  expect(thinking("gemini-3.1-pro-preview", "medium")).toEqual([{ thinkingLevel: "medium" }, []])
  expect(thinking("gemini-flash-latest", "high")).toEqual([{ thinkingLevel: "high" }, []])
  for (const model of ["gemini-2.0-flash", "gemini-1.5-pro", "gemma-3-27b-it"])
    expect([thinking(model, "high"), thinking(model, "none")]).toEqual([
      [{}, ["settings.reasoningEffort"]],
      [{}, []]
    ])
  expect(thinking("gemini-2.5-flash", "none")).toEqual([{ thinkingBudget: 0 }, []])
  expect(thinking("gemini-2.5-pro", "none")).toEqual([{ thinkingBudget: 512 }, inexact("minimal")])
  expect(thinking("gemini-3-flash-preview", "none")).toEqual([{ thinkingLevel: "minimal" }, inexact("minimal")])
  expect(thinking("gemini-3.1-pro-preview", "none")).toEqual([{ thinkingLevel: "low" }, inexact("low")])
  expect(thinking("gemini-2.5-pro", "xhigh")).toEqual([{ thinkingBudget: 24576 }, inexact("high")])
  expect(thinking("gemini-3-flash-preview", "xhigh")).toEqual([{ thinkingLevel: "high" }, inexact("high")])
})

it("reads a generation off a name", () => {
  const cases: ReadonlyArray<readonly [string, number | undefined]> = [
    ["gemini-2.5-flash-lite", 2.5],
    ["models/gemini-3-pro-preview", 3],
    ["gemini-pro-latest", Number.POSITIVE_INFINITY],
    ["not-gemini-3", undefined],
    ["gemma-3-27b-it", undefined]
  ]
  for (const [model, generation] of cases) expect([model, GeminiModel.generation(model)]).toEqual([model, generation])
  expect(GeminiModel.isSince("tunedModels/mine", 3)).toBe(false)
})

it("declares tools by JSON Schema, and says which may be called", () => {
  const parameters = { type: "object", properties: { city: { $ref: "#/$defs/City" } }, $defs: { City: {} } }
  const tools = [
    { name: "weather", description: "Tells it", parameters },
    { name: "now", parameters: { type: "object", properties: {}, additionalProperties: false } },
    { name: "any", parameters: { type: "object", additionalProperties: true } },
    { name: "one", parameters: { anyOf: [{ type: "object" }] } }
  ]
  const { body } = lower({ prompt: "hi", tools })
  expect(body["tools"]).toEqual([
    {
      functionDeclarations: [
        { name: "weather", description: "Tells it", parametersJsonSchema: parameters },
        { name: "now", description: "" },
        { name: "any", description: "", parametersJsonSchema: { type: "object", additionalProperties: true } },
        { name: "one", description: "", parametersJsonSchema: { anyOf: [{ type: "object" }] } }
      ]
    }
  ])
  const calling = (toolChoice: LlmRequest.ToolChoice | undefined, strict?: boolean) => {
    const own = tools.map((tool) => (strict === undefined ? tool : { ...tool, strict }))
    const lowered = lower({ prompt: "hi", tools: own, toolChoice })
    expect(lowered.dropped).toEqual([])
    return lowered.body["toolConfig"]
  }
  const config = (value: unknown) => ({ functionCallingConfig: value })
  expect(calling(undefined)).toBe(undefined)
  expect(calling(undefined, false)).toBe(undefined)
  expect(calling("auto")).toEqual(config({ mode: "AUTO" }))
  expect(calling("none", true)).toEqual(config({ mode: "NONE" }))
  expect(calling("required", true)).toEqual(config({ mode: "ANY" }))
  expect(calling({ tool: "now" })).toEqual(config({ mode: "ANY", allowedFunctionNames: ["now"] }))
  expect(calling(undefined, true)).toEqual(config({ mode: "VALIDATED" }))
  expect(calling("auto", true)).toEqual(config({ mode: "VALIDATED" }))
  expect(lower({ prompt: "hi", toolChoice: "required" }).body["toolConfig"]).toBe(undefined)
})

it("asks for JSON held to a schema", () => {
  const schema = { type: "object", properties: { a: { type: "string" } } }
  const { body } = lower({
    prompt: "hi",
    responseFormat: { type: "json", name: "answer", schema, strict: true },
    settings: { seed: 1 }
  })
  expect(body["generationConfig"]).toEqual({
    seed: 1,
    responseMimeType: "application/json",
    responseJsonSchema: schema
  })
})

it("sends files as data or by their address", () => {
  const png = "iVBORw0KGgo="
  const { body, dropped } = lower({
    prompt: [
      {
        role: "user",
        content: [
          { type: "file", mediaType: "image/*", data: png },
          { type: "file", mediaType: "application/pdf", fileName: "a.pdf", data: new Uint8Array([1, 2, 3]) },
          { type: "file", mediaType: "image/png", data: `data:image/webp;base64,${png}` },
          { type: "file", mediaType: "video/*", data: "https://www.youtube.com/watch?v=x" },
          { type: "file", mediaType: "audio/wav", data: new URL("https://a.test/files/1") },
          { type: "file", mediaType: "text/plain", data: "gs://bucket/a.txt" },
          { type: "file", mediaType: "text/plain", data: { _tag: "URL", href: "gs://bucket/b.txt" } },
          {
            type: "file",
            mediaType: "video/mp4",
            data: new URL("gs://bucket/c.mp4"),
            options: { gemini: { videoMetadata: { fps: 2 }, other: 1 }, openai: { mediaResolution: "x" } }
          }
        ]
      }
    ]
  })
  expect(body["contents"]).toEqual([
    {
      role: "user",
      parts: [
        { inlineData: { mimeType: "image/png", data: png } },
        { inlineData: { mimeType: "application/pdf", data: "AQID" } },
        { inlineData: { mimeType: "image/webp", data: png } },
        { fileData: { fileUri: "https://www.youtube.com/watch?v=x" } },
        { fileData: { mimeType: "audio/wav", fileUri: "https://a.test/files/1" } },
        { fileData: { mimeType: "text/plain", fileUri: "gs://bucket/a.txt" } },
        { fileData: { mimeType: "text/plain", fileUri: "gs://bucket/b.txt" } },
        { fileData: { mimeType: "video/mp4", fileUri: "gs://bucket/c.mp4" }, videoMetadata: { fps: 2 } }
      ]
    }
  ])
  expect(dropped).toEqual(["messages.file.fileName"])
})

it("gives back what it signed, and nothing that another signed", () => {
  const { body, dropped } = lower({
    prompt: [
      { role: "user", content: "hi" },
      {
        role: "assistant",
        content: [
          { type: "reasoning", text: "own", options: { gemini: { thought: true, thoughtSignature: "s1" } } },
          { type: "reasoning", text: "unsigned", options: { gemini: { thought: true } } },
          { type: "reasoning", text: "foreign", options: { anthropic: { signature: "x" } } },
          { type: "reasoning", text: "plain" },
          { type: "text", text: "answer", options: { gemini: { thoughtSignature: "s2" }, openai: { a: 1 } } },
          { type: "text", text: "", options: { gemini: { thoughtSignature: "s3" } } },
          {
            type: "file",
            mediaType: "image/png",
            data: "aGk=",
            options: { gemini: { thoughtSignature: "s4" } }
          },
          {
            type: "tool-call",
            id: "c1",
            name: "f",
            params: { a: 1 },
            options: { gemini: { id: "c1", thoughtSignature: "s5" } }
          },
          { type: "tool-call", id: "c2", name: "g", params: null },
          { type: "tool-call", id: "c3", name: "g", params: [1] },
          { type: "tool-call", id: "c4", name: "search", params: {}, providerExecuted: true }
        ]
      }
    ]
  })
  expect((body["contents"] as ReadonlyArray<unknown>)[1]).toEqual({
    role: "model",
    parts: [
      { text: "own", thought: true, thoughtSignature: "s1" },
      { text: "unsigned", thought: true },
      { text: "answer", thoughtSignature: "s2" },
      { text: "", thoughtSignature: "s3" },
      { inlineData: { mimeType: "image/png", data: "aGk=" }, thoughtSignature: "s4" },
      { functionCall: { id: "c1", name: "f", args: { a: 1 } }, thoughtSignature: "s5" },
      { functionCall: { name: "g", args: {} } },
      { functionCall: { name: "g", args: {} } }
    ]
  })
  expect(dropped).toEqual([
    "messages.reasoning",
    "messages.reasoning",
    "messages.tool-call.params",
    "messages.tool-call"
  ])
})

it("marks calls of another model where a signature is demanded", () => {
  const signatures = (prompt: ReadonlyArray<LlmRequest.Message>, model: string) =>
    (contentsOf(prompt, model) as ReadonlyArray<GeminiContents.Content>).flatMap((content) =>
      content.parts.flatMap((part) => (part["functionCall"] === undefined ? [] : [part["thoughtSignature"]]))
    )
  const foreign = [
    { role: "user", content: "hi" } as const,
    call("a", "f"),
    call("b", "f"),
    result("a", "f"),
    call("c", "f")
  ]
  const marked = [GeminiContents.foreignSignature, undefined, GeminiContents.foreignSignature]
  expect(signatures(foreign, "gemini-3-pro-preview")).toEqual(marked)
  expect(signatures(foreign, "gemini-flash-latest")).toEqual(marked)
  expect(signatures(foreign, "gemini-2.5-flash")).toEqual([undefined, undefined, undefined])
  const own = [call("a", "f", { thoughtSignature: "s" }), call("b", "f")]
  expect(signatures(own, "gemini-3-pro-preview")).toEqual(["s", undefined])
})

it("gives results in the order of their calls, by name, with the server's own ids alone", () => {
  const contents = contentsOf([
    { role: "user", content: "hi" },
    call("a", "f"),
    call("b", "f", { id: "b" }),
    call("c", "g"),
    result("c", "g"),
    result("unheard", "h"),
    result("b", "f", { isFailure: true, result: "broken" }),
    result("a", "f", { modelOutput: [{ type: "text", text: "as text" }] }),
    result("other", "h", { result: undefined }),
    { role: "user", content: "and now?" }
  ])
  const response = (functionResponse: unknown) => ({ functionResponse })
  expect(contents).toEqual([
    { role: "user", parts: [{ text: "hi" }] },
    {
      role: "model",
      parts: [
        { functionCall: { name: "f", args: { id: "a" } } },
        { functionCall: { id: "b", name: "f", args: { id: "b" } } },
        { functionCall: { name: "g", args: { id: "c" } } }
      ]
    },
    {
      role: "user",
      parts: [
        response({ name: "f", response: { output: "as text" } }),
        response({ id: "b", name: "f", response: { error: "broken" } }),
        response({ name: "g", response: { output: { id: "c" } } }),
        response({ name: "h", response: { output: { id: "unheard" } } }),
        response({ name: "h", response: { output: null } }),
        { text: "and now?" }
      ]
    }
  ])
})

it("puts the files of a result where the model looks for them", () => {
  const prompt = [
    call("a", "f"),
    result("a", "f", { result: "ok", modelOutput: [{ type: "file", mediaType: "image/png", data: "aGk=" }] })
  ]
  const inlineData = { mimeType: "image/png", data: "aGk=" }
  const own = { name: "f", response: { output: "ok" } }
  const parts = (model: string) => (contentsOf(prompt, model) as ReadonlyArray<GeminiContents.Content>)[1]?.parts
  expect(parts("gemini-3-flash-preview")).toEqual([{ functionResponse: { ...own, parts: [{ inlineData }] } }])
  expect(parts("gemini-2.5-flash")).toEqual([{ functionResponse: own }, { inlineData }])
  expect(contentsOf([result("a", "f", { result: "ok" })], "gemini-3-flash-preview")).toEqual([
    { role: "user", parts: [{ functionResponse: own }] }
  ])
})

it("reports parts of a tool message that are no results", () => {
  const { body, dropped } = lower({
    prompt: [
      {
        role: "tool",
        content: [
          { type: "tool-approval-response", approvalId: "1", approved: true },
          { type: "tool-result", id: "s", name: "search", isFailure: false, result: 1, providerExecuted: true }
        ]
      },
      { role: "user", content: "hi" }
    ]
  })
  expect(body["contents"]).toEqual([{ role: "user", parts: [{ text: "hi" }] }])
  expect(dropped).toEqual(["messages.tool-approval-response", "messages.tool-result"])
})

it("lays the caller's options for its kind over the body", () => {
  const { body, dropped } = lower({
    prompt: "hi",
    settings: { reasoningEffort: "low", topK: 3 },
    providerOptions: {
      gemini: {
        model: "other",
        stream: true,
        safetySettings: [{ category: "c", threshold: "BLOCK_NONE" }],
        generationConfig: { responseLogprobs: true, thinkingConfig: { thinkingBudget: 0 } }
      },
      openai: { logprobs: true }
    }
  })
  expect(body).toEqual({
    contents: [{ role: "user", parts: [{ text: "hi" }] }],
    safetySettings: [{ category: "c", threshold: "BLOCK_NONE" }],
    generationConfig: {
      topK: 3,
      responseLogprobs: true,
      thinkingConfig: { thinkingBudget: 0, includeThoughts: true }
    }
  })
  expect(dropped).toEqual(["providerOptions.gemini.model", "providerOptions.gemini.stream"])
})

it("sends on a body of its own protocol, with what was open filled in", () => {
  const raw = (body: Record<string, unknown>, settings: LlmRequest.Settings = {}) =>
    lower({ prompt: "ignored", settings, raw: { protocol: GeminiRequest.protocol, body } })
  const own = {
    model: "models/x",
    contents: [{ parts: [{ text: "hi", new_field: 1 }] }],
    tools: [{ googleSearch: {} }]
  }
  const { model: _, ...sent } = own
  expect(raw(own)).toEqual({ body: sent, dropped: [] })
  expect(raw(own, { temperature: 1 }).body).toEqual({ ...sent, generationConfig: { temperature: 1 } })
  expect(
    raw(
      { ...own, generation_config: { max_output_tokens: 5, topP: 0.5, unheard: 1 } },
      { maxOutputTokens: 9, topP: 1, topK: 2 }
    ).body
  ).toEqual({ ...sent, generation_config: { max_output_tokens: 5, topP: 0.5, unheard: 1, topK: 2 } })
  const other = lower({ prompt: "hi", raw: { protocol: "openai-chat", body: { a: 1 } } })
  expect(other.body).toEqual({ contents: [{ role: "user", parts: [{ text: "hi" }] }] })
})
