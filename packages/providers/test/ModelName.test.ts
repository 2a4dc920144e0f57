import * as ModelName from "@echelon/providers/ModelName"
import { expect, it } from "@effect/vitest"

it("leaves out what stands around a name", () => {
  for (const [name, bare] of [
    ["gpt-4o", "gpt-4o"],
    ["openai/gpt-oss-120b", "gpt-oss-120b"],
    ["models/gemini-2.5-pro", "gemini-2.5-pro"],
    ["publishers/google/models/gemini-2.5-flash", "gemini-2.5-flash"],
    ["accounts/fireworks/models/deepseek-v3", "deepseek-v3"],
    ["anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307"],
    ["us.anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5-20250929"],
    ["global.anthropic.claude-opus-4-6-v1", "claude-opus-4-6"],
    ["claude-opus-4-1@20250805", "claude-opus-4-1-20250805"],
    ["deepseek/deepseek-chat:free", "deepseek-chat"],
    ["GPT-4o", "gpt-4o"]
  ] as const)
    expect([name, ModelName.bare(name)]).toEqual([name, bare])
})

it("leaves out a date, a build and latest, and nothing that is part of a name", () => {
  for (const [name, undated] of [
    ["gpt-4o-2024-08-06", "gpt-4o"],
    ["gpt-4-0613", "gpt-4"],
    ["gemini-1.5-pro-002", "gemini-1.5-pro"],
    ["claude-sonnet-4-5@20250929", "claude-sonnet-4-5"],
    ["mistral-large-2411", "mistral-large"],
    ["mistral-large-latest", "mistral-large"],
    ["grok-4-0709", "grok-4"],
    ["gpt-4.1", "gpt-4.1"],
    ["claude-opus-4-5", "claude-opus-4-5"],
    ["llama-3.1-8b", "llama-3.1-8b"],
    ["o3", "o3"]
  ] as const)
    expect([name, ModelName.undated(name)]).toEqual([name, undated])
})
