/**
 * What is known of well-known models: windows, limits of output, prices, features.
 *
 * A provider's file overrules every figure here. A model that is not listed is unknown, which excludes nothing.
 *
 * @since 0.1.0
 */
import type * as Catalogue from "@echelon/core/Catalogue"
import * as Data from "./ModelCatalogueData.ts"
import * as ModelName from "./ModelName.ts"

const { anthropic, deepseek, gemini, groq, mistral, openai, xai } = Data

/**
 * Every table.
 *
 * @since 0.1.0
 * @category models
 */
export const sources: ReadonlyArray<Data.Source> = [openai, anthropic, gemini, mistral, deepseek, groq, xai]

/**
 * Which tables a kind of provider has its models from. A kind that is not named has none: whoever runs the server
 * decides what it serves and costs.
 *
 * @since 0.1.0
 * @category models
 */
export const sourcesOf: Readonly<Record<string, ReadonlyArray<Data.Source>>> = {
  openai: [openai],
  "openai-responses": [openai],
  "azure-openai": [openai],
  "azure-openai-responses": [openai],
  anthropic: [anthropic],
  gemini: [gemini],
  "gemini-openai": [gemini],
  vertex: [gemini],
  bedrock: [anthropic],
  mistral: [mistral],
  deepseek: [deepseek],
  groq: [groq],
  xai: [xai]
}

const own = <A>(record: Readonly<Record<string, A>>, key: string): A | undefined =>
  Object.hasOwn(record, key) ? record[key] : undefined

/**
 * The table in which a model of a kind stands.
 *
 * @since 0.1.0
 * @category getters
 */
export const sourceOf = (kind: string, model: string): Data.Source | undefined => {
  const names = [ModelName.bare(model), ModelName.undated(model)]
  return own(sourcesOf, kind)?.find(({ models }) => names.some((name) => Object.hasOwn(models, name)))
}

/**
 * The facts of a model, as it is called at a kind of provider.
 *
 * **Details** A dated name, such as `gpt-4o-2024-08-06`, has the facts of the name without the date, unless it has
 * its own. `us.anthropic.claude-haiku-4-5-20251001-v1:0` at Bedrock is `claude-haiku-4-5`. An unknown model has
 * none: `{}`.
 *
 * @example
 * ```ts
 * import { ModelCatalogue } from "@echelon/providers"
 *
 * const { capabilities, prices } = ModelCatalogue.find("anthropic", "claude-sonnet-4-5-20250929")
 * console.assert(capabilities?.contextWindow === 200_000)
 * console.assert(prices?.cacheWrite === 3.75)
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const find = (kind: string, model: string): Catalogue.ModelFacts => {
  const models = sourceOf(kind, model)?.models
  if (models === undefined) return {}
  return own(models, ModelName.bare(model)) ?? own(models, ModelName.undated(model)) ?? {}
}
