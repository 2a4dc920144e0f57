import * as ModelCatalogue from "@echelon/providers/ModelCatalogue"
import * as ModelCatalogueData from "@echelon/providers/ModelCatalogueData"
import * as ModelName from "@echelon/providers/ModelName"
import * as ProviderTable from "@echelon/providers/ProviderTable"
import { expect, it } from "@effect/vitest"

it("gives one model the same facts by all of its names", () => {
  const haiku = ModelCatalogueData.anthropic.models["claude-haiku-4-5"]
  expect(haiku?.prices).toEqual({ input: 1, output: 5, cachedInput: 0.1, cacheWrite: 1.25, batchDiscount: 0.5 })
  for (const [kind, model] of [
    ["anthropic", "claude-haiku-4-5"],
    ["anthropic", "claude-haiku-4-5-20251001"],
    ["bedrock", "us.anthropic.claude-haiku-4-5-20251001-v1:0"]
  ] as const)
    expect(ModelCatalogue.find(kind, model)).toBe(haiku)
  const flash = ModelCatalogue.find("gemini", "gemini-2.5-flash")
  expect(flash.capabilities?.maxOutputTokens).toBe(65_536)
  for (const kind of ["gemini-openai", "vertex"])
    expect(ModelCatalogue.find(kind, "models/gemini-2.5-flash")).toBe(flash)
  const gpt = ModelCatalogue.find("openai", "gpt-4.1-2025-04-14")
  for (const kind of ["openai-responses", "azure-openai", "azure-openai-responses"])
    expect(ModelCatalogue.find(kind, "gpt-4.1")).toBe(gpt)
})

it("lets a dated model have facts of its own", () => {
  expect(ModelCatalogue.find("openai", "gpt-4o-2024-05-13").prices?.input).toBe(5)
  expect(ModelCatalogue.find("openai", "gpt-4o-2024-11-20").prices?.input).toBe(2.5)
  expect(ModelCatalogue.find("mistral", "mistral-large-2411").prices?.input).toBe(2)
})

it("knows nothing of strangers", () => {
  for (const [kind, model] of [
    ["openai", "claude-haiku-4-5"],
    ["openai", "constructor"],
    ["constructor", "gpt-4o"],
    ["openai-compatible", "gpt-4o"],
    ["azure-openai", "my-deployment"]
  ] as const) {
    expect(ModelCatalogue.find(kind, model)).toEqual({})
    expect(ModelCatalogue.sourceOf(kind, model)).toBeUndefined()
  }
})

it("says of when each table is, and is found by the names that stand in it", () => {
  for (const source of ModelCatalogue.sources) {
    expect(source.date).toMatch(/^\d{4}-\d{2}-\d{2}$/)
    for (const name of Object.keys(source.models))
      expect([source.name, ModelName.bare(name)]).toEqual([source.name, name])
  }
  for (const kind of Object.keys(ModelCatalogue.sourcesOf)) expect(ProviderTable.kinds).toContain(kind)
})

it("holds no figure that contradicts another", () => {
  for (const { models } of ModelCatalogue.sources)
    for (const [name, { capabilities, prices }] of Object.entries(models)) {
      const { contextWindow = 1e9, features = [], maxOutputTokens = 1 } = capabilities ?? {}
      expect([name, maxOutputTokens <= contextWindow]).toEqual([name, true])
      expect([name, features.length > 0, new Set(features).size]).toEqual([name, true, features.length])
      if (prices === undefined) continue
      const { cacheWrite = prices.input, cachedInput = 0, input, output } = prices
      expect([name, cachedInput < input, cacheWrite >= input, output === 0 || output >= input]).toEqual([
        name,
        true,
        true,
        true
      ])
    }
})
