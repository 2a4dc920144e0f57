import type { LlmRequest } from "@echelon/core"
import * as Dialect from "@echelon/providers/Dialect"
import * as ParameterMapper from "@echelon/providers/ParameterMapper"
import * as ProviderTable from "@echelon/providers/ProviderTable"
import { expect, it } from "@effect/vitest"

const every: LlmRequest.Settings = {
  maxOutputTokens: 100,
  temperature: 0.5,
  topP: 0.9,
  topK: 3,
  stop: ["a"],
  seed: 1,
  presencePenalty: 0.1,
  frequencyPenalty: 0.2
}

const chat = ParameterMapper.openAiChat({ ...Dialect.defaults, topK: true })

const map = (
  settings: LlmRequest.Settings,
  parameters: ParameterMapper.Parameters,
  target: Partial<ParameterMapper.Target> = {}
) => {
  const dropped: Array<string> = []
  const body = ParameterMapper.map(settings, parameters, { model: "mine", ...target }, (field) => dropped.push(field))
  return { body, dropped }
}

it("says every setting by its name in each protocol, and names what has none", () => {
  expect(map(every, chat)).toEqual({
    body: {
      max_tokens: 100,
      temperature: 0.5,
      top_p: 0.9,
      top_k: 3,
      stop: ["a"],
      seed: 1,
      presence_penalty: 0.1,
      frequency_penalty: 0.2
    },
    dropped: []
  })
  expect(map(every, ParameterMapper.openAiResponses)).toEqual({
    body: { max_output_tokens: 100, temperature: 0.5, top_p: 0.9 },
    dropped: [
      "settings.topK",
      "settings.stop",
      "settings.seed",
      "settings.presencePenalty",
      "settings.frequencyPenalty"
    ]
  })
  expect(map(every, ParameterMapper.anthropicMessages)).toEqual({
    body: { max_tokens: 100, temperature: 0.5, top_p: 0.9, top_k: 3, stop_sequences: ["a"] },
    dropped: ["settings.seed", "settings.presencePenalty", "settings.frequencyPenalty"]
  })
  expect(map(every, ParameterMapper.gemini)).toEqual({
    body: {
      maxOutputTokens: 100,
      temperature: 0.5,
      topP: 0.9,
      topK: 3,
      stopSequences: ["a"],
      seed: 1,
      presencePenalty: 0.1,
      frequencyPenalty: 0.2
    },
    dropped: []
  })
})

it("says nothing of what is not stated", () => {
  expect(map({ stop: [] }, chat)).toEqual({ body: {}, dropped: [] })
})

it("takes names and bounds from the dialect of a row", () => {
  const of = (kind: string, settings: LlmRequest.Settings) => {
    const row = ProviderTable.find(kind)
    return map(settings, ParameterMapper.openAiChat(row?.dialect ?? Dialect.defaults))
  }
  const settings = { maxOutputTokens: 5, temperature: 2, stop: ["a", "b", "c", "d", "e"] }
  expect(of("openai", settings)).toEqual({
    body: { max_completion_tokens: 5, temperature: 2, stop: ["a", "b", "c", "d"] },
    dropped: ["settings.stop (the first 4 of 5)"]
  })
  expect(of("mistral", { ...settings, seed: 7 })).toEqual({
    body: { max_tokens: 5, temperature: 1.5, stop: ["a", "b", "c", "d", "e"], random_seed: 7 },
    dropped: ["settings.temperature (lowered to 1.5)"]
  })
  expect(of("openai-compatible", settings).dropped).toEqual([])
})

it("brings values into the bounds of protocol and model", () => {
  const anthropic = ParameterMapper.anthropicMessages
  expect(map({ temperature: 1.2 }, anthropic)).toEqual({
    body: { temperature: 1 },
    dropped: ["settings.temperature (lowered to 1)"]
  })
  expect(map({ temperature: -1 }, anthropic).dropped).toEqual(["settings.temperature (raised to 0)"])
  expect(map({ maxOutputTokens: 9_000 }, anthropic, { maxOutputTokens: 4_096 })).toEqual({
    body: { max_tokens: 4_096 },
    dropped: ["settings.maxOutputTokens (lowered to 4096)"]
  })
  expect(map({ maxOutputTokens: 4_096 }, anthropic, { maxOutputTokens: 4_096 }).dropped).toEqual([])
  expect(map({ maxOutputTokens: 1 }, ParameterMapper.openAiResponses)).toEqual({
    body: { max_output_tokens: 16 },
    dropped: ["settings.maxOutputTokens (raised to 16)"]
  })
  expect(map({ stop: ["1", "2", "3", "4", "5", "6"] }, ParameterMapper.gemini).body).toEqual({
    stopSequences: ["1", "2", "3", "4", "5"]
  })
})

it("leaves out what the model refuses", () => {
  expect(map(every, chat, { model: "gpt-5" })).toEqual({
    body: { max_tokens: 100, seed: 1 },
    dropped: [
      "settings.temperature",
      "settings.topP",
      "settings.topK",
      "settings.stop",
      "settings.presencePenalty",
      "settings.frequencyPenalty"
    ]
  })
  expect(map({ temperature: 0.5 }, chat, { model: "gpt-5.1" }).dropped).toEqual(["settings.temperature"])
  expect(map({ temperature: 0.5 }, chat, { model: "gpt-5.1", effort: "none" }).body).toEqual({ temperature: 0.5 })
  expect(map({ temperature: 0.5 }, chat, { model: "gpt-5", effort: "none" }).body).toEqual({})
  expect(map({ presencePenalty: 1, temperature: 1 }, chat, { model: "grok-4.3" })).toEqual({
    body: { temperature: 1 },
    dropped: ["settings.presencePenalty"]
  })
})

it("says temperature or top p, not both, where a model takes one", () => {
  const model = "claude-haiku-4-5"
  const { anthropicMessages } = ParameterMapper
  expect(map({ temperature: 0.5, topP: 0.9, topK: 5 }, anthropicMessages, { model })).toEqual({
    body: { temperature: 0.5, top_k: 5 },
    dropped: ["settings.topP"]
  })
  expect(map({ topP: 0.9 }, anthropicMessages, { model }).body).toEqual({ top_p: 0.9 })
  expect(map({ temperature: 0.5 }, anthropicMessages, { model, stated: { top_p: 0.9 } })).toEqual({
    body: {},
    dropped: ["settings.temperature"]
  })
  expect(map({ temperature: 0.5, topP: 0.9 }, anthropicMessages, { model: "claude-3-opus" }).dropped).toEqual([])
})

it("asks for the effort that a model knows", () => {
  const effort = (model: string, reasoningEffort: LlmRequest.Settings["reasoningEffort"]) => {
    const dropped: Array<string> = []
    const sent = ParameterMapper.effort({ reasoningEffort }, model, (field) => dropped.push(field))
    return [sent, ...dropped]
  }
  expect(effort("gpt-5", undefined)).toEqual([undefined])
  expect(effort("gpt-5", "minimal")).toEqual(["minimal"])
  expect(effort("o3", "minimal")).toEqual(["low", "settings.reasoningEffort (low)"])
  expect(effort("gpt-5-pro", "low")).toEqual(["high", "settings.reasoningEffort (high)"])
  expect(effort("grok-3-mini", "medium")).toEqual(["high", "settings.reasoningEffort (high)"])
  expect(effort("gpt-4o", "low")).toEqual([undefined, "settings.reasoningEffort"])
  expect(effort("grok-4", "low")).toEqual([undefined, "settings.reasoningEffort"])
  expect(effort("mine", "medium")).toEqual(["medium"])
  for (const one of ["none", "xhigh"] as const)
    for (const model of ["mine", "gpt-5.2", "gpt-5.4-mini", "claude-opus-4-8", "claude-opus-5"])
      expect([model, ...effort(model, one)]).toEqual([model, one])
  expect(effort("gpt-5.1", "none")).toEqual(["none"])
  expect(effort("gpt-5.1-codex-max", "xhigh")).toEqual(["xhigh"])
  for (const model of ["gpt-5", "gpt-5.1", "gpt-5.1-codex", "o3", "gemini-2.5-pro", "claude-opus-4-6", "gpt-oss-120b"])
    expect([model, ...effort(model, "xhigh")]).toEqual([model, "high", "settings.reasoningEffort (high)"])
  expect(effort("gpt-5-mini", "none")).toEqual(["minimal", "settings.reasoningEffort (minimal)"])
  expect(effort("o3", "none")).toEqual(["low", "settings.reasoningEffort (low)"])
  expect(effort("gpt-5.3-codex", "none")).toEqual(["low", "settings.reasoningEffort (low)"])
  expect(effort("gemini-2.5-flash", "none")).toEqual(["none"])
  // It does not think as it is.
  expect(effort("gpt-4o", "none")).toEqual([undefined])
  expect([ParameterMapper.takesParallel("o3"), ParameterMapper.takesParallel("gpt-5")]).toEqual([false, true])
})

it("takes out of a body what the model would refuse it for, and nothing else", () => {
  const body = { temperature: 0.5, top_p: 0.9, stop: ["a"], logit_bias: {}, max_tokens: 7 }
  const adapt = (model: string, effort?: string) => {
    const dropped: Array<string> = []
    const adapted = ParameterMapper.adapt(body, chat, { model, effort }, (field) => dropped.push(field))
    return { adapted, dropped }
  }
  expect(adapt("gpt-4o")).toEqual({ adapted: body, dropped: [] })
  expect(adapt("gpt-5")).toEqual({
    adapted: { logit_bias: {}, max_tokens: 7 },
    dropped: ["settings.temperature", "settings.topP", "settings.stop"]
  })
  expect(adapt("gpt-5.2", "none").dropped).toEqual(["settings.stop"])
  expect(adapt("claude-opus-4-5").dropped).toEqual(["settings.topP"])
  expect(body.temperature).toBe(0.5)
})
