/**
 * The providers that are known by name: protocol, endpoint, auth and framing of each, as data.
 *
 * A provider that speaks a known protocol is a row here, or a file of kind `openai-compatible`; it is never code.
 *
 * @since 0.1.0
 */
import * as AnthropicMessages from "./AnthropicMessages.ts"
import * as Auth from "./Auth.ts"
import * as Dialect from "./Dialect.ts"
import * as Gemini from "./Gemini.ts"
import * as OpenAiChat from "./OpenAiChat.ts"
import * as OpenAiResponses from "./OpenAiResponses.ts"
import type * as Protocol from "./Protocol.ts"

/**
 * What a route is made of.
 *
 * @since 0.1.0
 * @category models
 */
export interface RouteOptions {
  readonly provider: { readonly deployment: string | undefined; readonly apiVersion: string | undefined }
  /** The model's name on the wire. */
  readonly model: string
  /** The path of the base URL. */
  readonly base: string
}

/**
 * Paths behind the base URL.
 *
 * @since 0.1.0
 * @category models
 */
export interface Route {
  readonly path: string
  /** Where streams are asked for, when it is not `path`. */
  readonly stream?: { readonly path: string; readonly query: Readonly<Record<string, string>> } | undefined
  readonly models: string | undefined
  readonly query: Readonly<Record<string, string>>
}

/**
 * A kind of provider.
 *
 * @since 0.1.0
 * @category models
 */
export interface Row {
  readonly protocol: Protocol.Protocol
  readonly dialect: Dialect.Dialect
  /** `undefined` when every user has an address of their own. */
  readonly baseUrl: string | undefined
  readonly route: (options: RouteOptions) => Route
  readonly auth: Auth.Auth
  readonly framing: "sse"
  readonly needsKey: boolean
  /** The variable that usually holds the key. */
  readonly keyVariable: string | undefined
  /** Sent with every request. */
  readonly headers: Readonly<Record<string, string>>
  readonly organizationHeader: string | undefined
  readonly projectHeader: string | undefined
  /** How a probe asks. */
  readonly healthCheck: "models" | "ping" | "none"
}

const chatRoute = (): Route => ({ path: "/chat/completions", models: "/models", query: {} })

const chat = (
  baseUrl: string | undefined,
  keyVariable: string | undefined,
  options: Partial<Omit<Row, "dialect">> & { readonly dialect?: Partial<Dialect.Dialect> } = {}
): Row => ({
  protocol: OpenAiChat.protocol,
  baseUrl,
  route: chatRoute,
  auth: Auth.bearer,
  framing: "sse",
  needsKey: keyVariable !== undefined,
  keyVariable,
  headers: {},
  organizationHeader: undefined,
  projectHeader: undefined,
  healthCheck: "models",
  ...options,
  dialect: { ...Dialect.defaults, ...options.dialect }
})

const openai: Partial<Dialect.Dialect> = {
  maxTokensField: "max_completion_tokens",
  reasoningEffort: "reasoning_effort"
}

// Servers of one engine state the window in words and give no code.
const windowPhrase: ReadonlyArray<Dialect.Phrase> = [{ phrase: "maximum context length is", tag: "ContextLength" }]

/**
 * The oldest version of the Azure API that has everything this package says.
 *
 * @default "2024-10-21"
 * @since 0.1.0
 * @category models
 */
export const azureApiVersion = "2024-10-21"

/** The address ends in `/openai/v1` for the versionless API; else deployments are part of the path. */
const azureRoute = ({ base, model, provider }: RouteOptions): Route => {
  if (/\/v1\/*$/.test(base)) {
    const query: Record<string, string> =
      provider.apiVersion === undefined ? {} : { "api-version": provider.apiVersion }
    return { path: "/chat/completions", models: "/models", query }
  }
  const prefix = /\/openai\/*$/.test(base) ? "" : "/openai"
  return {
    path: `${prefix}/deployments/${encodeURIComponent(provider.deployment ?? model)}/chat/completions`,
    models: `${prefix}/models`,
    query: { "api-version": provider.apiVersion ?? azureApiVersion }
  }
}

/** The model is part of the path: its name alone, or with its collection (`tunedModels/NAME`). */
const geminiRoute = ({ model }: RouteOptions): Route => {
  const segments = model.includes("/") ? model.split("/") : ["models", model]
  // An empty name or dots would reach another address of the same origin.
  if (segments.some((segment) => /^\.{0,2}$/.test(segment)))
    throw new RangeError("ProviderTable.route: model must be a name, or a collection and a name")
  const path = segments.map((segment) => `/${encodeURIComponent(segment)}`).join("")
  return {
    path: `${path}:generateContent`,
    stream: { path: `${path}:streamGenerateContent`, query: { alt: "sse" } },
    models: "/models",
    query: {}
  }
}

/**
 * Every kind, by name.
 *
 * @since 0.1.0
 * @category models
 */
export const rows: Readonly<Record<string, Row>> = {
  openai: chat("https://api.openai.com/v1", "OPENAI_API_KEY", {
    dialect: openai,
    organizationHeader: "openai-organization",
    projectHeader: "openai-project"
  }),
  anthropic: {
    protocol: AnthropicMessages.protocol,
    dialect: Dialect.defaults,
    baseUrl: "https://api.anthropic.com/v1",
    route: () => ({ path: "/messages", models: "/models", query: {} }),
    auth: Auth.header("x-api-key"),
    framing: "sse",
    needsKey: true,
    keyVariable: "ANTHROPIC_API_KEY",
    headers: { "anthropic-version": "2023-06-01" },
    organizationHeader: undefined,
    projectHeader: undefined,
    healthCheck: "models"
  },
  gemini: {
    protocol: Gemini.protocol,
    dialect: Dialect.defaults,
    baseUrl: "https://generativelanguage.googleapis.com/v1beta",
    route: geminiRoute,
    auth: Auth.header("x-goog-api-key"),
    framing: "sse",
    needsKey: true,
    keyVariable: "GEMINI_API_KEY",
    headers: {},
    organizationHeader: undefined,
    projectHeader: undefined,
    healthCheck: "models"
  },
  "gemini-openai": chat("https://generativelanguage.googleapis.com/v1beta/openai", "GEMINI_API_KEY", {
    dialect: { reasoningEffort: "reasoning_effort" }
  }),
  "azure-openai": chat(undefined, "AZURE_OPENAI_API_KEY", {
    dialect: openai,
    route: azureRoute,
    auth: Auth.header("api-key")
  }),
  groq: chat("https://api.groq.com/openai/v1", "GROQ_API_KEY", {
    dialect: { reasoningEffort: "reasoning_effort", statuses: { 498: "Overloaded" } }
  }),
  deepseek: chat("https://api.deepseek.com", "DEEPSEEK_API_KEY", {
    dialect: {
      responseFormat: "object",
      parallelToolCalls: false,
      reasoningInput: "reasoning_content",
      phrases: windowPhrase
    }
  }),
  mistral: chat("https://api.mistral.ai/v1", "MISTRAL_API_KEY", {
    dialect: {
      streamUsage: false,
      seedField: "random_seed",
      toolChoiceRequired: "any",
      reasoningInput: "thinking",
      toolCallId: "nine"
    }
  }),
  together: chat("https://api.together.xyz/v1", "TOGETHER_API_KEY", { dialect: { topK: true } }),
  fireworks: chat("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", { dialect: { topK: true } }),
  openrouter: chat("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", {
    dialect: { topK: true, reasoningEffort: "reasoning.effort", reasoningInput: "reasoning_details" }
  }),
  xai: chat("https://api.x.ai/v1", "XAI_API_KEY", { dialect: { reasoningEffort: "reasoning_effort" } }),
  ollama: chat("http://localhost:11434/v1", undefined),
  vllm: chat("http://localhost:8000/v1", undefined, { dialect: { topK: true, phrases: windowPhrase } }),
  "lm-studio": chat("http://localhost:1234/v1", undefined, { dialect: { topK: true } }),
  "openai-responses": chat("https://api.openai.com/v1", "OPENAI_API_KEY", {
    protocol: OpenAiResponses.protocol,
    route: () => ({ path: "/responses", models: "/models", query: {} }),
    organizationHeader: "openai-organization",
    projectHeader: "openai-project"
  }),
  "openai-compatible": chat(undefined, undefined)
}

/**
 * The names of every kind.
 *
 * @since 0.1.0
 * @category getters
 */
export const kinds: ReadonlyArray<string> = Object.keys(rows)

/**
 * The row of a kind; `undefined` when there is none.
 *
 * @since 0.1.0
 * @category getters
 */
export const find = (kind: string): Row | undefined => (Object.hasOwn(rows, kind) ? rows[kind] : undefined)
