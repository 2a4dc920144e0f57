/**
 * The model catalogue as data: windows, limits of output, prices in USD per million tokens, features.
 *
 * **Details** One table for each maker, with the day it was compared with what is published. OpenAI's windows and
 * limits come from the metadata of `gpt-tokenizer`, its prices, and all figures of Anthropic, Google, xAI, DeepSeek,
 * Groq and Mistral, from public tables of models and prices. From memory are features, discounts of batches, prices
 * of embeddings, of `o3` since it became cheaper, of Mistral Small, of Llama at Groq, of the cache at Claude 3 Haiku
 * and Gemini 2.0. Where a price depends on the length of the prompt or the hour it is the lower one.
 *
 * @since 0.1.0
 */
import type * as Capability from "@echelon/core/Capability"
import type * as Catalogue from "@echelon/core/Catalogue"

/**
 * What is known of the models of one maker, or one host.
 *
 * @since 0.1.0
 * @category models
 */
export interface Source {
  readonly name: string
  /** The day it was compared with what is published. */
  readonly date: string
  /** By name without what `ModelName.bare` leaves out; a name without its date stands for all dates. */
  readonly models: Readonly<Record<string, Catalogue.ModelFacts>>
}

/** Input, output, input read from the cache, input written to it. */
type Price = readonly [input: number, output: number, cached?: number, written?: number]

const facts =
  (batchDiscount: number | undefined) =>
  (
    features: ReadonlyArray<Capability.Capability>,
    contextWindow: number | undefined,
    maxOutputTokens: number | undefined,
    price?: Price
  ): Catalogue.ModelFacts => ({
    capabilities: { features, contextWindow, maxOutputTokens },
    prices:
      price === undefined
        ? undefined
        : { input: price[0], output: price[1], cachedInput: price[2], cacheWrite: price[3], batchDiscount }
  })

type Features = ReadonlyArray<Capability.Capability>

const date = "2026-11-23"
const half = facts(0.5)
const whole = facts(undefined)
const embeds: Features = ["embeddings"]
const talks: Features = ["streaming", "system"]
const calls: Features = [...talks, "tools", "parallel_tools"]

const sees: Features = [...calls, "json_schema", "images", "files", "caching"]
const thinks: Features = [...sees, "reasoning"]
const oThinks: Features = [...talks, "tools", "json_schema", "images", "files", "caching", "reasoning"]

/**
 * Models of OpenAI.
 *
 * @since 0.1.0
 * @category models
 */
export const openai: Source = {
  name: "openai",
  date,
  models: {
    "gpt-3.5-turbo": half(calls, 16_385, 4_096, [0.5, 1.5]),
    "gpt-3.5-turbo-1106": half(calls, 16_385, 4_096, [1, 2]),
    "gpt-4": half([...talks, "tools"], 8_192, 8_192, [30, 60]),
    "gpt-4-turbo": half([...calls, "images"], 128_000, 4_096, [10, 30]),
    "gpt-4-turbo-preview": half(calls, 128_000, 4_096, [10, 30]),
    "gpt-4o": half(sees, 128_000, 16_384, [2.5, 10, 1.25]),
    "gpt-4o-2024-05-13": half([...calls, "images"], 128_000, 4_096, [5, 15]),
    "gpt-4o-mini": half(sees, 128_000, 16_384, [0.15, 0.6, 0.075]),
    "chatgpt-4o": whole([...talks, "images"], 128_000, 16_384, [5, 15]),
    "gpt-4.1": half(sees, 1_047_576, 32_768, [2, 8, 0.5]),
    "gpt-4.1-mini": half(sees, 1_047_576, 32_768, [0.4, 1.6, 0.1]),
    "gpt-4.1-nano": half(sees, 1_047_576, 32_768, [0.1, 0.4, 0.025]),
    "gpt-4.5-preview": half(sees, 128_000, 16_384, [75, 150, 37.5]),
    "gpt-5": half(thinks, 400_000, 128_000, [1.25, 10, 0.125]),
    "gpt-5-mini": half(thinks, 400_000, 128_000, [0.25, 2, 0.025]),
    "gpt-5-nano": half(thinks, 400_000, 128_000, [0.05, 0.4, 0.005]),
    "gpt-5-pro": half(thinks, 400_000, 272_000, [15, 120]),
    "gpt-5-chat": whole(sees, 128_000, 16_384, [1.25, 10, 0.125]),
    "gpt-5-codex": whole(thinks, 400_000, 128_000, [1.25, 10, 0.125]),
    "gpt-5.1": half(thinks, 400_000, 128_000, [1.25, 10, 0.125]),
    "gpt-5.1-chat": whole(sees, 128_000, 16_384, [1.25, 10, 0.125]),
    "gpt-5.1-codex": whole(thinks, 400_000, 128_000, [1.25, 10, 0.125]),
    "gpt-5.1-codex-mini": whole(thinks, 400_000, 128_000, [0.25, 2, 0.025]),
    "gpt-5.2": half(thinks, 400_000, 128_000, [1.75, 14, 0.175]),
    "gpt-5.2-chat": whole(sees, 128_000, 16_384, [1.75, 14, 0.175]),
    "gpt-5.2-codex": whole(thinks, 400_000, 128_000, [1.75, 14, 0.175]),
    "gpt-5.2-pro": half(thinks, 400_000, 128_000, [21, 168]),
    "gpt-5.4": half(thinks, 1_050_000, 128_000, [2.5, 15, 0.25]),
    "gpt-5.4-mini": half(thinks, 400_000, 128_000, [0.75, 4.5, 0.075]),
    "gpt-5.4-nano": half(thinks, 400_000, 128_000, [0.2, 1.25, 0.02]),
    "gpt-5.4-pro": half(thinks, 1_050_000, 128_000, [30, 180]),
    "gpt-5.5": half(thinks, 1_050_000, 128_000, [5, 30, 0.5]),
    "gpt-5.5-pro": half(thinks, 1_050_000, 128_000, [30, 180]),
    "gpt-5.6-luna": half(thinks, 1_050_000, 128_000),
    "gpt-5.6-sol": half(thinks, 1_050_000, 128_000),
    "gpt-5.6-terra": half(thinks, 1_050_000, 128_000),
    o1: half(oThinks, 200_000, 100_000, [15, 60, 7.5]),
    "o1-pro": half(oThinks, 200_000, 100_000, [150, 600]),
    "o3-mini": half([...talks, "tools", "json_schema", "caching", "reasoning"], 200_000, 100_000, [1.1, 4.4, 0.55]),
    o3: half(oThinks, 200_000, 100_000, [2, 8, 0.5]),
    "o3-pro": half(oThinks, 200_000, 100_000, [20, 80]),
    "o4-mini": half(oThinks, 200_000, 100_000, [1.1, 4.4, 0.275]),
    "text-embedding-3-small": half(embeds, 8_192, undefined, [0.02, 0]),
    "text-embedding-3-large": half(embeds, 8_192, undefined, [0.13, 0]),
    "text-embedding-ada-002": half(embeds, 8_192, undefined, [0.1, 0])
  }
}

const claude3: Features = [...calls, "images", "caching", "prefill"]
const claude35: Features = [...claude3, "files"]
const claude37: Features = [...claude35, "reasoning"]
const claude41: Features = [...claude37, "json_schema"]
const claude46: Features = claude41.filter((one) => one !== "prefill")

/**
 * Models of Anthropic.
 *
 * @since 0.1.0
 * @category models
 */
export const anthropic: Source = {
  name: "anthropic",
  date,
  models: {
    "claude-3-haiku": half(claude3, 200_000, 4_096, [0.25, 1.25, 0.03, 0.3]),
    "claude-3-sonnet": half(claude3, 200_000, 4_096, [3, 15, 0.3, 3.75]),
    "claude-3-opus": half(claude3, 200_000, 4_096, [15, 75, 1.5, 18.75]),
    "claude-3-5-haiku": half(claude35, 200_000, 8_192, [0.8, 4, 0.08, 1]),
    "claude-3-5-sonnet": half(claude35, 200_000, 8_192, [3, 15, 0.3, 3.75]),
    "claude-3-7-sonnet": half(claude37, 200_000, 64_000, [3, 15, 0.3, 3.75]),
    "claude-sonnet-4": half(claude37, 200_000, 64_000, [3, 15, 0.3, 3.75]),
    "claude-opus-4": half(claude37, 200_000, 32_000, [15, 75, 1.5, 18.75]),
    "claude-opus-4-1": half(claude41, 200_000, 32_000, [15, 75, 1.5, 18.75]),
    "claude-haiku-4-5": half(claude41, 200_000, 64_000, [1, 5, 0.1, 1.25]),
    "claude-sonnet-4-5": half(claude41, 200_000, 64_000, [3, 15, 0.3, 3.75]),
    "claude-opus-4-5": half(claude41, 200_000, 64_000, [5, 25, 0.5, 6.25]),
    "claude-sonnet-4-6": half(claude46, 1_000_000, 64_000, [3, 15, 0.3, 3.75]),
    "claude-opus-4-6": half(claude46, 1_000_000, 128_000, [5, 25, 0.5, 6.25]),
    "claude-opus-4-7": half(claude46, 1_000_000, 128_000, [5, 25, 0.5, 6.25]),
    "claude-opus-4-8": half(claude46, 1_000_000, 128_000, [5, 25, 0.5, 6.25]),
    "claude-sonnet-5": half(claude46, 1_000_000, 128_000, [2, 10, 0.2, 2.5]),
    "claude-opus-5": half(claude46, 1_000_000, 128_000, [5, 25, 0.5, 6.25]),
    "claude-sonnet-5-5": half(claude46, undefined, undefined, [2, 10, 0.1, 2.5]),
    "claude-opus-5-5": half(claude46, undefined, undefined, [4, 20, 0.2, 5])
  }
}

const gemini2: Features = [...calls, "json_schema", "images", "files", "caching"]
const gemini25: Features = [...gemini2, "reasoning"]

/**
 * Models of Google.
 *
 * @since 0.1.0
 * @category models
 */
export const gemini: Source = {
  name: "gemini",
  date,
  models: {
    "gemini-1.5-flash-8b": half(gemini2, 1_048_576, 8_192, [0.0375, 0.15]),
    "gemini-1.5-flash": half(gemini2, 1_048_576, 8_192, [0.075, 0.3]),
    "gemini-1.5-pro": half(gemini2, 2_097_152, 8_192, [1.25, 5]),
    "gemini-2.0-flash-lite": half(gemini2, 1_048_576, 8_192, [0.075, 0.3]),
    "gemini-2.0-flash": half(gemini2, 1_048_576, 8_192, [0.1, 0.4, 0.025]),
    "gemini-2.5-flash-lite": half(gemini25, 1_048_576, 65_536, [0.1, 0.4, 0.01]),
    "gemini-2.5-flash": half(gemini25, 1_048_576, 65_536, [0.3, 2.5, 0.03]),
    "gemini-2.5-pro": half(gemini25, 1_048_576, 65_536, [1.25, 10, 0.125]),
    "gemini-3-flash-preview": half(gemini25, 1_048_576, 65_536, [0.5, 3]),
    "gemini-3-pro-preview": half(gemini25, 1_048_576, 65_536, [2, 12]),
    "gemini-3.1-flash-lite-preview": half(gemini25, 1_048_576, 65_536, [0.25, 1.5, 0.025]),
    "gemini-3.1-pro-preview": half(gemini25, 1_048_576, 65_536, [2, 12]),
    "gemini-3.5-flash-lite": half(gemini25, 1_048_576, 65_536, [0.3, 2.5, 0.03]),
    "gemini-3.5-flash": half(gemini25, 1_048_576, 65_536, [1.5, 9, 0.15]),
    "gemini-embedding-001": half(embeds, 2_048, undefined, [0.15, 0])
  }
}

const mistralText: Features = [...calls, "json_schema"]

/**
 * Models of Mistral. Their output has no limit of its own.
 *
 * @since 0.1.0
 * @category models
 */
export const mistral: Source = {
  name: "mistral",
  date,
  models: {
    "mistral-large": half([...mistralText, "images"], 256_000, undefined, [0.5, 1.5]),
    "mistral-large-2411": half(mistralText, 131_072, undefined, [2, 6]),
    "mistral-medium": half([...mistralText, "images"], 256_000, undefined, [0.4, 2]),
    "mistral-small": half([...mistralText, "images", "reasoning"], 256_000, undefined, [0.15, 0.6]),
    "mistral-small-2506": half([...mistralText, "images"], 128_000, undefined, [0.1, 0.3]),
    "mistral-nemo": half(mistralText, 131_072, undefined, [0.15, 0.15]),
    "open-mistral-nemo": half(mistralText, 131_072, undefined, [0.15, 0.15]),
    codestral: half(mistralText, 256_000, undefined, [0.3, 0.9]),
    "magistral-medium": half([...mistralText, "reasoning"], 128_000, undefined, [2, 5]),
    "pixtral-large": half([...mistralText, "images"], 131_072, undefined, [2, 6]),
    "mistral-embed": half(embeds, 8_192, undefined, [0.1, 0])
  }
}

const deepseekCalls: Features = [...calls, "caching"]

/**
 * Models of DeepSeek.
 *
 * @since 0.1.0
 * @category models
 */
export const deepseek: Source = {
  name: "deepseek",
  date,
  models: {
    "deepseek-chat": whole(deepseekCalls, 1_000_000, 8_192, [0.28, 0.42, 0.028]),
    "deepseek-reasoner": whole([...deepseekCalls, "reasoning"], 1_000_000, undefined, [0.28, 0.42, 0.028]),
    "deepseek-v4-flash": whole([...deepseekCalls, "reasoning"], 1_000_000, 384_000, [0.22, 0.66, 0.007]),
    "deepseek-v4-pro": whole([...deepseekCalls, "reasoning"], 1_048_576, 384_000, [0.66, 1.98, 0.022])
  }
}

/**
 * Models at Groq.
 *
 * @since 0.1.0
 * @category models
 */
export const groq: Source = {
  name: "groq",
  date,
  models: {
    "gpt-oss-120b": half(
      [...talks, "tools", "json_schema", "caching", "reasoning"],
      131_072,
      65_536,
      [0.15, 0.6, 0.075]
    ),
    "gpt-oss-20b": half(
      [...talks, "tools", "json_schema", "caching", "reasoning"],
      131_072,
      65_536,
      [0.075, 0.3, 0.0375]
    ),
    "llama-3.1-8b-instant": half(calls, 131_072, 131_072, [0.05, 0.08]),
    "llama-3.3-70b-versatile": half(calls, 131_072, 32_768, [0.59, 0.79]),
    "qwen3-32b": half([...calls, "reasoning"], 131_072, 40_960, [0.29, 0.59])
  }
}

const grok: Features = [...calls, "json_schema", "caching"]

/**
 * Models of xAI. Their output has no limit of its own.
 *
 * @since 0.1.0
 * @category models
 */
export const xai: Source = {
  name: "xai",
  date,
  models: {
    "grok-3": whole(grok, 131_072, undefined, [3, 15, 0.75]),
    "grok-3-mini": whole([...grok, "reasoning"], 131_072, undefined, [0.3, 0.5, 0.075]),
    "grok-4": whole([...grok, "images", "reasoning"], 256_000, undefined, [3, 15, 0.75]),
    "grok-4-fast": whole([...grok, "images", "reasoning"], 2_000_000, undefined, [0.2, 0.5, 0.05]),
    "grok-4-fast-reasoning": whole([...grok, "images", "reasoning"], 2_000_000, undefined, [0.2, 0.5, 0.05]),
    "grok-4-fast-non-reasoning": whole([...grok, "images"], 2_000_000, undefined, [0.2, 0.5, 0.05]),
    "grok-4.3": whole([...grok, "images", "reasoning"], 1_000_000, undefined, [1.25, 2.5, 0.2]),
    "grok-4.7": whole([...grok, "images", "files", "reasoning"], 500_000, undefined, [2, 6, 0.5]),
    "grok-code-fast-1": whole([...grok, "reasoning"], 256_000, undefined, [0.2, 1.5, 0.02])
  }
}
