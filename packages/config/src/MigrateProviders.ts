/**
 * What other programs call a provider, as a kind of ours: a row of the provider table with an address and the
 * variable that usually holds its key.
 *
 * @since 0.1.0
 */

/**
 * A provider as another program knows it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Known {
  readonly kind: string
  /** For kinds without an address of their own. */
  readonly baseUrl?: string
  /** The variable that is read when no key is stated. */
  readonly variable?: string
  /** What an address ends in here and not there. */
  readonly suffix?: string
}

const compatible = (baseUrl: string, variable: string): Known => ({ kind: "openai-compatible", baseUrl, variable })
const gemini: Known = { kind: "gemini", variable: "GEMINI_API_KEY" }

/**
 * Prefixes of model names in LiteLLM, and values of `custom_llm_provider`.
 *
 * @since 0.1.0
 * @category models
 */
export const liteLlm: Readonly<Record<string, Known>> = {
  openai: { kind: "openai", variable: "OPENAI_API_KEY" },
  "openai/responses": { kind: "openai-responses", variable: "OPENAI_API_KEY" },
  azure: { kind: "azure-openai", variable: "AZURE_API_KEY" },
  "azure/responses": { kind: "azure-openai-responses", variable: "AZURE_API_KEY" },
  bedrock: { kind: "bedrock" },
  bedrock_converse: { kind: "bedrock" },
  vertex_ai: { kind: "vertex" },
  vertex_ai_beta: { kind: "vertex" },
  anthropic: { kind: "anthropic", variable: "ANTHROPIC_API_KEY", suffix: "/v1" },
  groq: { kind: "groq", variable: "GROQ_API_KEY" },
  deepseek: { kind: "deepseek", variable: "DEEPSEEK_API_KEY" },
  mistral: { kind: "mistral", variable: "MISTRAL_API_KEY" },
  together_ai: { kind: "together", variable: "TOGETHERAI_API_KEY" },
  fireworks_ai: { kind: "fireworks", variable: "FIREWORKS_AI_API_KEY" },
  openrouter: { kind: "openrouter", variable: "OPENROUTER_API_KEY" },
  xai: { kind: "xai", variable: "XAI_API_KEY" },
  ollama: { kind: "ollama", suffix: "/v1" },
  ollama_chat: { kind: "ollama", suffix: "/v1" },
  hosted_vllm: { kind: "vllm" },
  lm_studio: { kind: "lm-studio" },
  gemini,
  perplexity: compatible("https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
  cerebras: compatible("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
  nvidia_nim: compatible("https://integrate.api.nvidia.com/v1", "NVIDIA_NIM_API_KEY"),
  deepinfra: compatible("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
  moonshot: compatible("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
  sambanova: compatible("https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY"),
  custom_openai: { kind: "openai-compatible" },
  openai_like: { kind: "openai-compatible" },
  litellm_proxy: { kind: "openai-compatible" }
}

/**
 * Names of providers in Portkey.
 *
 * @since 0.1.0
 * @category models
 */
export const portkey: Readonly<Record<string, Known>> = {
  openai: { kind: "openai", variable: "OPENAI_API_KEY" },
  "azure-openai": { kind: "azure-openai", variable: "AZURE_OPENAI_API_KEY" },
  anthropic: { kind: "anthropic", variable: "ANTHROPIC_API_KEY" },
  groq: { kind: "groq", variable: "GROQ_API_KEY" },
  deepseek: { kind: "deepseek", variable: "DEEPSEEK_API_KEY" },
  "mistral-ai": { kind: "mistral", variable: "MISTRAL_API_KEY" },
  "together-ai": { kind: "together", variable: "TOGETHER_API_KEY" },
  "fireworks-ai": { kind: "fireworks", variable: "FIREWORKS_API_KEY" },
  openrouter: { kind: "openrouter", variable: "OPENROUTER_API_KEY" },
  "x-ai": { kind: "xai", variable: "XAI_API_KEY" },
  ollama: { kind: "ollama", suffix: "/v1" },
  lmstudio: { kind: "lm-studio" },
  google: gemini,
  bedrock: { kind: "bedrock" },
  "vertex-ai": { kind: "vertex" },
  "perplexity-ai": compatible("https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
  cerebras: compatible("https://api.cerebras.ai/v1", "CEREBRAS_API_KEY"),
  deepinfra: compatible("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
  moonshot: compatible("https://api.moonshot.ai/v1", "MOONSHOT_API_KEY"),
  sambanova: compatible("https://api.sambanova.ai/v1", "SAMBANOVA_API_KEY")
}

/**
 * What older files call a provider. Every kind is also known by its own name.
 *
 * @since 0.1.0
 * @category models
 */
export const older: Readonly<Record<string, Known>> = {
  openai: { kind: "openai", variable: "OPENAI_API_KEY" },
  anthropic: { kind: "anthropic", variable: "ANTHROPIC_API_KEY" },
  claude: { kind: "anthropic", variable: "ANTHROPIC_API_KEY" },
  "azure-openai": { kind: "azure-openai", variable: "AZURE_OPENAI_API_KEY" },
  azure: { kind: "azure-openai", variable: "AZURE_OPENAI_API_KEY" },
  groq: { kind: "groq", variable: "GROQ_API_KEY" },
  deepseek: { kind: "deepseek", variable: "DEEPSEEK_API_KEY" },
  mistral: { kind: "mistral", variable: "MISTRAL_API_KEY" },
  together: { kind: "together", variable: "TOGETHER_API_KEY" },
  fireworks: { kind: "fireworks", variable: "FIREWORKS_API_KEY" },
  openrouter: { kind: "openrouter", variable: "OPENROUTER_API_KEY" },
  xai: { kind: "xai", variable: "XAI_API_KEY" },
  ollama: { kind: "ollama" },
  vllm: { kind: "vllm" },
  "lm-studio": { kind: "lm-studio" },
  lmstudio: { kind: "lm-studio" },
  gemini,
  google: gemini,
  "gemini-openai": { kind: "gemini-openai", variable: "GEMINI_API_KEY" },
  "openai-responses": { kind: "openai-responses", variable: "OPENAI_API_KEY" },
  "azure-openai-responses": { kind: "azure-openai-responses", variable: "AZURE_OPENAI_API_KEY" },
  bedrock: { kind: "bedrock" },
  vertex: { kind: "vertex" },
  "vertex-ai": { kind: "vertex" },
  "openai-compatible": { kind: "openai-compatible" }
}

/**
 * Finds a provider; names differ in case, and in `_` for `-`.
 *
 * @since 0.1.0
 * @category getters
 */
export const find = (table: Readonly<Record<string, Known>>, name: string): Known | undefined =>
  [name, name.toLowerCase(), name.toLowerCase().replaceAll("_", "-")].flatMap((key) =>
    Object.hasOwn(table, key) ? [table[key]] : []
  )[0]

/**
 * A provider at the address that is stated: Gemini's own has another one for OpenAI's protocol.
 *
 * @since 0.1.0
 * @category combinators
 */
export const at = (known: Known, address: unknown): Known =>
  known.kind === "gemini" && typeof address === "string" && /\/openai\/*$/.test(address)
    ? { ...known, kind: "gemini-openai" }
    : known
