/**
 * What is known of well-known models: windows, prices in USD per million tokens, capabilities.
 *
 * A provider's file overrules every figure here. A model that is not listed is unknown, which excludes nothing.
 *
 * @since 0.1.0
 */
import type * as Capability from "@echelon/core/Capability"
import type * as Catalogue from "@echelon/core/Catalogue"

const facts = (
  contextWindow: number,
  maxOutputTokens: number,
  prices: readonly [input: number, output: number, cachedInput?: number],
  features: ReadonlyArray<Capability.Capability>
): Catalogue.ModelFacts => ({
  capabilities: { contextWindow, maxOutputTokens, features },
  prices: { input: prices[0], output: prices[1], cachedInput: prices[2] }
})

const chat: ReadonlyArray<Capability.Capability> = ["tools", "json_schema", "images", "files"]
const claude: ReadonlyArray<Capability.Capability> = [...chat, "reasoning", "prefill"]

/**
 * Facts by kind and model.
 *
 * @since 0.1.0
 * @category models
 */
export const models: Readonly<Record<string, Readonly<Record<string, Catalogue.ModelFacts>>>> = {
  openai: {
    "gpt-3.5-turbo": facts(16_385, 4_096, [0.5, 1.5], ["tools"]),
    "gpt-4": facts(8_192, 8_192, [30, 60], ["tools"]),
    "gpt-4o": facts(128_000, 16_384, [2.5, 10, 1.25], chat),
    "gpt-4o-mini": facts(128_000, 16_384, [0.15, 0.6, 0.075], chat),
    "gpt-4.1": facts(1_047_576, 32_768, [2, 8, 0.5], chat),
    "gpt-4.1-mini": facts(1_047_576, 32_768, [0.4, 1.6, 0.1], chat),
    "gpt-4.1-nano": facts(1_047_576, 32_768, [0.1, 0.4, 0.025], chat)
  },
  anthropic: {
    "claude-opus-4-5": facts(200_000, 64_000, [5, 25, 0.5], claude),
    "claude-sonnet-4-5": facts(200_000, 64_000, [3, 15, 0.3], claude),
    "claude-haiku-4-5": facts(200_000, 64_000, [1, 5, 0.1], claude)
  }
}

/**
 * The facts of a model. A dated name, such as `gpt-4o-2024-08-06`, has those of the name without the date.
 *
 * @since 0.1.0
 * @category getters
 */
export const find = (kind: string, model: string): Catalogue.ModelFacts => {
  const known = Object.hasOwn(models, kind) ? models[kind] : undefined
  if (known === undefined) return {}
  const name = Object.hasOwn(known, model) ? model : model.replace(/-\d{4}-?\d{2}-?\d{2}$/, "")
  return Object.hasOwn(known, name) ? (known[name] ?? {}) : {}
}
