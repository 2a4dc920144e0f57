import { Catalogue } from "@echelon/core"
import { CatalogueLive, ModelCatalogue, ProviderTable } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"

const needed = [
  "openai",
  "anthropic",
  "azure-openai",
  "groq",
  "deepseek",
  "mistral",
  "together",
  "fireworks",
  "openrouter",
  "xai",
  "ollama",
  "vllm",
  "lm-studio",
  "openai-compatible"
]

it("has a row for every provider", () => {
  expect(needed.filter((kind) => ProviderTable.find(kind) === undefined)).toEqual([])
  expect(ProviderTable.find("constructor")).toBe(undefined)
})

it("has rows that hold together", () => {
  for (const [kind, row] of Object.entries(ProviderTable.rows)) {
    expect([kind, row.needsKey]).toEqual([kind, row.keyVariable !== undefined])
    if (row.baseUrl !== undefined) expect(new URL(row.baseUrl).href.startsWith("http")).toBe(true)
    const provider = { deployment: undefined, apiVersion: undefined, region: "r", project: "p" }
    expect(row.route({ provider, model: "m", base: "/" }).path[0]).toBe("/")
    if (row.address !== undefined)
      expect([row.baseUrl, new URL(row.address("r")).protocol]).toEqual([undefined, "https:"])
    for (const { phrase } of row.dialect.phrases) expect(phrase).toBe(phrase.toLowerCase())
  }
})

it.effect("supplies the catalogue", () =>
  Effect.gen(function* () {
    const { kinds, model } = yield* Catalogue.Catalogue
    expect(kinds?.["azure-openai"]).toEqual({ needsKey: true, needsBaseUrl: true, keyVariable: "AZURE_OPENAI_API_KEY" })
    expect(kinds?.["ollama"]).toEqual({ needsKey: false, needsBaseUrl: false, keyVariable: undefined })
    expect(model("openai", "gpt-4").prices?.input).toBe(30)
  }).pipe(Effect.provide(CatalogueLive.layer))
)

it("knows a dated model by its name, and nothing of others", () => {
  expect(ModelCatalogue.find("openai", "gpt-4o-2024-08-06")).toBe(ModelCatalogue.find("openai", "gpt-4o"))
  expect(ModelCatalogue.find("anthropic", "claude-sonnet-4-5-20250929").capabilities?.contextWindow).toBe(200_000)
  for (const [kind, model] of [
    ["openai", "x"],
    ["x", "gpt-4o"],
    ["openai", "toString"],
    ["__proto__", "x"]
  ] as const)
    expect(ModelCatalogue.find(kind, model)).toEqual({})
})
