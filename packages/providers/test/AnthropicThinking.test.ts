import type { LlmRequest } from "@echelon/core"
import { AnthropicMessagesRequest, AnthropicThinking, BedrockConverseRequest, type Protocol } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { optionsOf, requestOf } from "./Support.ts"

type Lower = typeof AnthropicMessagesRequest.lower

const via =
  (lower: Lower, kind: string) =>
  (model: string, input: Partial<LlmRequest.Input>, options: Partial<Protocol.Options> = {}) => {
    const dropped: Array<string> = []
    const request = requestOf({ prompt: "Why?", ...input })
    const body = lower(request, optionsOf(kind, { model, ...options }), (field) => dropped.push(field))
    return { body: JSON.parse(JSON.stringify(body)), dropped }
  }

const lower = via(AnthropicMessagesRequest.lower, "anthropic")
const converse = via(BedrockConverseRequest.lower, "bedrock")

const effort = (reasoningEffort: LlmRequest.Settings["reasoningEffort"], more: LlmRequest.Settings = {}) => ({
  settings: { ...more, reasoningEffort }
})

const tool = { tools: [{ name: "f", parameters: { type: "object" } }] }

const said = ({ body, dropped }: ReturnType<typeof lower>) => ({
  thinking: body.thinking,
  effort: body.output_config?.effort,
  max: body.max_tokens,
  dropped
})

const adaptive = { type: "adaptive" }
const enabled = (budget_tokens: number) => ({ type: "enabled", budget_tokens })
const none = { thinking: undefined, effort: undefined }

it("tells newer models an effort", () => {
  for (const model of [
    "claude-opus-4-6",
    "claude-sonnet-4-6",
    "claude-opus-4-8",
    "claude-sonnet-5",
    "claude-fable-5-1"
  ])
    expect([model, said(lower(model, effort("medium", { maxOutputTokens: 900 })))]).toEqual([
      model,
      { thinking: adaptive, effort: "medium", max: 900, dropped: [] }
    ])
  expect(said(lower("claude-opus-5", effort("minimal", { maxOutputTokens: 900 })))).toMatchObject({
    effort: "low",
    dropped: ["settings.reasoningEffort (low)"]
  })
  const schema = { type: "object", properties: {}, additionalProperties: false }
  const json = { responseFormat: { type: "json", name: "a", schema } } as const
  expect(lower("claude-opus-5", { ...json, ...effort("low") }).body.output_config).toEqual({
    effort: "low",
    format: { type: "json_schema", schema }
  })
})

it("tells a model not to think only where it would by itself", () => {
  const off = (model: string) => said(lower(model, effort("none", { temperature: 0.5 })))
  for (const model of ["claude-opus-5", "claude-opus-5-20260901", "claude-sonnet-5", "claude-haiku-5-5"])
    expect([model, off(model)]).toMatchObject([model, { thinking: { type: "disabled" }, effort: undefined }])
  for (const model of ["claude-opus-5-5", "claude-fable-5-1"])
    expect([model, off(model)]).toMatchObject([
      model,
      { thinking: adaptive, effort: "low", dropped: ["settings.reasoningEffort (low)", "settings.temperature"] }
    ])
  for (const model of ["claude-sonnet-4-6", "claude-opus-4-5", "claude-3-7-sonnet-latest", "claude-3-haiku-20240307"])
    expect([model, off(model)]).toEqual([model, { ...none, max: 4_096, dropped: [] }])
  expect(off("a-model").dropped).toEqual(["settings.reasoningEffort"])
  expect(said(lower("claude-opus-4-8", effort("xhigh"))).effort).toBe("xhigh")
  expect(said(lower("claude-opus-4-6", effort("xhigh"))).dropped).toEqual(["settings.reasoningEffort (high)"])
  expect(said(lower("claude-opus-4-5", effort("xhigh")))).toMatchObject({
    thinking: enabled(24_576),
    dropped: ["settings.reasoningEffort (high)"]
  })
})

it("tells older models a budget, below the limit of output", () => {
  for (const model of ["claude-3-7-sonnet-latest", "claude-opus-4-20250514", "claude-sonnet-4-5", "claude-opus-4-5"]) {
    expect([model, said(lower(model, effort("high")))]).toEqual([
      model,
      { thinking: enabled(24_576), effort: undefined, max: 24_576 + 4_096, dropped: [] }
    ])
  }
  const model = "claude-haiku-4-5"
  const of = (settings: LlmRequest.Settings, maxOutputTokens?: number) =>
    said(lower(model, { settings }, { maxOutputTokens }))
  const high = { reasoningEffort: "high" } as const
  expect(of(high, 64_000)).toEqual({ thinking: enabled(24_576), effort: undefined, max: 64_000, dropped: [] })
  expect(of({ ...high, maxOutputTokens: 30_000 })).toMatchObject({ thinking: enabled(24_576), max: 30_000 })
  // A stated limit stays.
  expect(of({ ...high, maxOutputTokens: 5_000 })).toEqual({
    thinking: enabled(3_976),
    effort: undefined,
    max: 5_000,
    dropped: ["settings.reasoningEffort (3976 tokens)"]
  })
  expect(of({ ...high, maxOutputTokens: 90_000 }, 8_000)).toMatchObject({
    thinking: enabled(6_976),
    max: 8_000,
    dropped: ["settings.reasoningEffort (6976 tokens)", "settings.maxOutputTokens (lowered to 8000)"]
  })
  expect(of({ reasoningEffort: "low", maxOutputTokens: 2_048 })).toMatchObject({ thinking: enabled(1_024), max: 2_048 })
  expect(of({ reasoningEffort: "low", maxOutputTokens: 2_047 })).toEqual({
    ...none,
    max: 2_047,
    dropped: ["settings.reasoningEffort"]
  })
})

it("leaves sampling settings out while a model thinks", () => {
  const sampling = { temperature: 1, topP: 0.5, topK: 5 }
  const left = ["settings.temperature", "settings.topP", "settings.topK"]
  for (const model of ["claude-sonnet-4-6", "claude-sonnet-4"]) {
    const { body, dropped } = lower(model, effort("low", sampling))
    expect([body.temperature, body.top_p, body.top_k, dropped]).toEqual([undefined, undefined, undefined, left])
    expect(lower(model, { settings: { topK: 5, temperature: 1 } })).toMatchObject({
      body: { temperature: 1, top_k: 5 },
      dropped: []
    })
  }
})

it("lists it for models that do not think, or of whom nothing is known", () => {
  for (const model of ["claude-3-5-sonnet-20241022", "claude-3-haiku-20240307", "a-model"])
    expect(said(lower(model, effort("low")))).toEqual({ ...none, max: 4_096, dropped: ["settings.reasoningEffort"] })
})

it("does not tell a model to think where a tool must be called", () => {
  for (const toolChoice of ["required", { tool: "f" }] as const) {
    const input = { ...tool, toolChoice, ...effort("low", { temperature: 0.5 }) }
    expect(said(lower("claude-sonnet-4-6", input))).toMatchObject({
      thinking: undefined,
      effort: "low",
      dropped: ["settings.reasoningEffort (low, without thinking)"]
    })
    expect(lower("claude-sonnet-4-6", input).body.temperature).toBe(0.5)
    expect(said(lower("claude-sonnet-4-5", input))).toMatchObject({ ...none, dropped: ["settings.reasoningEffort"] })
  }
  expect(said(lower("claude-sonnet-4-5", { ...tool, toolChoice: "auto", ...effort("low") })).dropped).toEqual([])
})

it("does not tell an older model to think within a turn that it began without", () => {
  const call = { type: "tool-call", id: "c", name: "f", params: {} } as const
  const result = { type: "tool-result", id: "c", name: "f", isFailure: false, result: "1" } as const
  const thought = (kind: string) =>
    ({ type: "reasoning", text: "Hm", options: { [kind]: { type: "thinking", signature: "c2ln" } } }) as const
  const turn = (kind: string | undefined, ...more: ReadonlyArray<LlmRequest.Message>): Partial<LlmRequest.Input> => ({
    prompt: [
      { role: "user", content: "Why?" },
      { role: "assistant", content: kind === undefined ? [call] : [thought(kind), call] },
      { role: "tool", content: [result] },
      ...more
    ],
    ...effort("low")
  })
  const again: ReadonlyArray<LlmRequest.Message> = [
    { role: "assistant", content: [{ ...call, id: "d" }] },
    { role: "tool", content: [{ ...result, id: "d" }] }
  ]
  const thinks = (model: string, input: Partial<LlmRequest.Input>) => {
    const { body, dropped } = lower(model, input)
    return [body.thinking?.type, ...dropped]
  }
  const old = "claude-sonnet-4-5"
  expect(thinks(old, turn(undefined))).toEqual([undefined, "settings.reasoningEffort"])
  expect(thinks(old, turn("anthropic"))).toEqual(["enabled"])
  // What another signed is left out, and the turn then begins without.
  expect(thinks(old, turn("gemini"))).toEqual([undefined, "messages.reasoning", "settings.reasoningEffort"])
  expect(thinks(old, turn("anthropic", ...again))).toEqual(["enabled"])
  expect(thinks(old, turn(undefined, ...again))).toEqual([undefined, "settings.reasoningEffort"])
  expect(
    thinks(old, turn(undefined, { role: "assistant", content: "Done." }, { role: "user", content: "And?" }))
  ).toEqual(["enabled"])
  expect(thinks("claude-opus-4-6", turn(undefined))).toEqual(["adaptive"])
  const begun: LlmRequest.Message = { role: "assistant", content: "Because" }
  expect(thinks(old, { prompt: [{ role: "user", content: "Why?" }, begun], ...effort("low") })).toEqual([
    undefined,
    "settings.reasoningEffort"
  ])
})

it("leaves it to the caller's own words", () => {
  const own = { providerOptions: { anthropic: { thinking: { type: "enabled", budget_tokens: 2_000 } } } }
  expect(said(lower("claude-sonnet-4-6", { ...own, ...effort("low") }))).toEqual({
    thinking: enabled(2_000),
    effort: undefined,
    max: 4_096,
    dropped: []
  })
})

it("fills a body that came in, where it leaves it open", () => {
  const raw = (model: string, body: object, settings: LlmRequest.Settings = { reasoningEffort: "low" }) => {
    const messages = [{ role: "user", content: "Why?" }]
    return lower(model, {
      settings,
      raw: { protocol: "anthropic-messages", body: { model: "theirs", messages, ...body } }
    })
  }
  expect(said(raw("claude-sonnet-4-6", { max_tokens: 900, output_config: { format: 1 } }))).toEqual({
    thinking: adaptive,
    effort: "low",
    max: 900,
    dropped: []
  })
  expect(said(raw("claude-sonnet-4-5", { max_tokens: 3_000 }))).toMatchObject({ thinking: enabled(1_024), max: 3_000 })
  // Nothing is added that the body would contradict.
  for (const stated of [
    { temperature: 0 },
    { tool_choice: { type: "any" } },
    { thinking: { type: "disabled" } },
    { max_tokens: 1_000 },
    {
      messages: [
        { role: "user", content: [{ type: "tool_result" }] },
        { role: "assistant", content: "So" }
      ]
    }
  ])
    expect(raw("claude-sonnet-4-5", { max_tokens: 9_000, ...stated }).body).toEqual({
      model: "claude-sonnet-4-5",
      messages: [{ role: "user", content: "Why?" }],
      max_tokens: 9_000,
      ...stated
    })
  expect(raw("claude-sonnet-4-6", { max_tokens: 9 }, { reasoningEffort: "low", temperature: 0.5 }).body).toMatchObject({
    thinking: adaptive,
    max_tokens: 9
  })
  expect(raw("claude-sonnet-4-6", {}, { reasoningEffort: "low", temperature: 0.5 }).body.temperature).toBe(undefined)
})

it("says anew what the model that routing chose would refuse", () => {
  const sent = (model: string, body: object, settings: LlmRequest.Settings = {}) =>
    said(
      lower(model, {
        settings,
        raw: { protocol: "anthropic-messages", body: { model: "theirs", max_tokens: 9_000, messages: [], ...body } }
      })
    )
  const asked = { reasoningEffort: "medium" } as const
  const budget = { thinking: enabled(6_000) }
  const max = 9_000
  expect(sent("claude-opus-5", budget, asked)).toEqual({
    thinking: adaptive,
    effort: "medium",
    max,
    dropped: ["settings.reasoningEffort (thinking: adaptive)"]
  })
  expect(sent("claude-opus-5", budget)).toEqual({ ...none, max, dropped: ["settings.reasoningEffort"] })
  const level = { thinking: adaptive, output_config: { effort: "medium" } }
  expect(sent("claude-sonnet-4-5", level, asked)).toEqual({
    thinking: enabled(7_976),
    effort: undefined,
    max,
    dropped: ["settings.reasoningEffort (thinking: enabled)"]
  })
  expect(sent("claude-3-haiku-20240307", level, asked)).toEqual({ ...none, max, dropped: ["settings.reasoningEffort"] })
  // What it takes, or of whom nothing is known, goes out as it came.
  for (const [model, body] of [
    ["claude-opus-4-6", budget],
    ["claude-sonnet-4-5", budget],
    ["claude-opus-4-5", { ...budget, output_config: { effort: "low" } }],
    ["a-model", level],
    ["claude-opus-5", level]
  ] as const)
    expect([model, sent(model, body, asked).dropped]).toEqual([model, []])
})

it("tells Anthropic's models at Bedrock the same, beside what Converse knows", () => {
  const medium = effort("medium", { temperature: 0.5, topK: 3 })
  expect(converse("us.anthropic.claude-sonnet-4-6", medium)).toMatchObject({
    body: {
      inferenceConfig: { maxTokens: 8_192 + 4_096 },
      additionalModelRequestFields: { thinking: adaptive, output_config: { effort: "medium" } }
    },
    dropped: ["settings.temperature", "settings.topK"]
  })
  expect(converse("anthropic.claude-sonnet-4-20250514-v1:0", medium).body).toMatchObject({
    inferenceConfig: { maxTokens: 8_192 + 4_096 },
    additionalModelRequestFields: { thinking: enabled(8_192) }
  })
  expect(converse("amazon.nova-pro-v1:0", effort("low"))).toMatchObject({ dropped: ["settings.reasoningEffort"] })
  const own = { providerOptions: { bedrock: { additionalModelRequestFields: { thinking: enabled(1_500) } } } }
  expect(converse("us.anthropic.claude-sonnet-4-6", { ...own, ...effort("low") })).toMatchObject({
    body: { additionalModelRequestFields: { thinking: enabled(1_500) } },
    dropped: []
  })
  const begun: Partial<LlmRequest.Input> = {
    prompt: [
      { role: "user", content: "Why?" },
      { role: "assistant", content: [{ type: "tool-call", id: "c", name: "f", params: {} }] },
      { role: "tool", content: [{ type: "tool-result", id: "c", name: "f", isFailure: false, result: "1" }] }
    ],
    ...tool,
    ...effort("low")
  }
  expect(converse("anthropic.claude-sonnet-4-20250514-v1:0", begun).dropped).toEqual(["settings.reasoningEffort"])
})

it("knows where a conversation stands", () => {
  const thinking = { type: "thinking", thinking: "Hm" }
  const result = { role: "user", content: [{ type: "tool_result" }] }
  const user = { role: "user", content: "Why?" }
  const says = (...content: ReadonlyArray<object>) => ({ role: "assistant", content })
  expect(AnthropicThinking.standOf([])).toBe("open")
  expect(AnthropicThinking.standOf([user])).toBe("open")
  expect(AnthropicThinking.standOf([user, says({ type: "text" })])).toBe("prefilled")
  expect(AnthropicThinking.standOf([user, says({ type: "tool_use" }), result])).toBe("begun")
  expect(AnthropicThinking.standOf([user, says(thinking, { type: "tool_use" }), result])).toBe("open")
  expect(AnthropicThinking.standOf([user, says({ type: "tool_use" }), result, null])).toBe("open")
})
