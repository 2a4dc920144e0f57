import * as ModelTraits from "@echelon/providers/ModelTraits"
import { expect, it } from "@effect/vitest"

const samplingOf = (sampling: ModelTraits.Sampling, models: ReadonlyArray<string>) => {
  for (const model of models) expect([model, ModelTraits.of(model).sampling]).toEqual([model, sampling])
}

it("knows who refuses sampling settings, by families", () => {
  samplingOf("none", ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5-nano", "gpt-6-sol", "openai/gpt-5-mini"])
  samplingOf("none", ["claude-opus-4-7", "claude-opus-5", "claude-sonnet-5-5", "anthropic/claude-opus-4.8"])
  samplingOf("none", ["us.anthropic.claude-opus-4-8-v1:0", "deepseek-reasoner"])
  samplingOf("unless_thinking", ["gpt-5.1", "gpt-5.2-codex"])
  samplingOf("one", ["claude-opus-4-1-20250805", "claude-sonnet-4-5", "claude-haiku-4-5", "claude-opus-4-6"])
  samplingOf("all", ["gpt-4o", "gpt-4.1", "gpt-5-chat-latest", "chatgpt-4o-latest", "gpt-oss-120b", "claude-3-opus"])
  samplingOf("all", ["claude-opus-4-20250514", "claude-sonnet-4@20250514", "gemini-2.5-pro", "grok-4", "mine"])
})

it("knows who thinks where a protocol must", () => {
  const models = ["gpt-5", "o3", "codex-mini-latest", "gpt-4o", "gpt-5-chat-latest", "gpt-oss-20b", "my-deployment"]
  expect(models.map((model) => ModelTraits.of(model).thinks)).toEqual([
    "yes",
    "yes",
    "yes",
    "no",
    "no",
    "unknown",
    "unknown"
  ])
})

it("knows who refuses stop sequences, penalties and parallel calls", () => {
  const refusals = (model: string) => {
    const { refusesParallel, refusesPenalties, refusesStop } = ModelTraits.of(model)
    return [refusesStop, refusesPenalties, refusesParallel]
  }
  expect(refusals("gpt-4o")).toEqual([false, false, false])
  expect(refusals("o1")).toEqual([false, false, true])
  expect(refusals("o3")).toEqual([true, false, true])
  expect(refusals("gpt-5")).toEqual([true, false, false])
  expect(refusals("grok-4-fast")).toEqual([true, true, false])
  expect(refusals("grok-4-fast-non-reasoning")).toEqual([false, false, false])
})

it("knows by what Claude is told how far to think", () => {
  const by = (models: ReadonlyArray<string>) => [...new Set(models.map((model) => ModelTraits.of(model).thinksBy))]
  expect(by(["claude-opus-4-6", "us.anthropic.claude-sonnet-4-6", "claude-opus-4.8", "claude-fable-5-1"])).toEqual([
    "effort"
  ])
  expect(
    by(["claude-3-7-sonnet-20250219", "claude-opus-4-20250514", "claude-opus-4-1", "claude-haiku-4-5@20251001"])
  ).toEqual(["budget"])
  const older = ["claude-3-haiku-20240307", "claude-3-5-sonnet-latest", "anthropic.claude-v2", "claude-instant-1.2"]
  expect(by([...older, "gpt-5", "my-claude"])).toEqual([undefined])
  expect(ModelTraits.of("claude-3-5-sonnet-latest").thinks).toBe("no")
})
