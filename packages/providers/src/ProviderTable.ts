/**
 * The providers that are known by name: protocol, endpoint, auth and framing of each, as data.
 *
 * A provider that speaks a known protocol is a row here, or a file of kind `openai-compatible`; it is never code.
 *
 * @since 0.1.0
 */
import * as AnthropicMessages from "./AnthropicMessages.ts"
import * as Auth from "./Auth.ts"
import * as BedrockConverse from "./BedrockConverse.ts"
import * as Dialect from "./Dialect.ts"
import type * as Framing from "./Framing.ts"
import * as Gemini from "./Gemini.ts"
import * as GeminiEmbeddings from "./GeminiEmbeddings.ts"
import * as OpenAiChat from "./OpenAiChat.ts"
import * as OpenAiEmbeddings from "./OpenAiEmbeddings.ts"
import * as OpenAiResponses from "./OpenAiResponses.ts"
import type * as Protocol from "./Protocol.ts"

/**
 * What a route is made of.
 *
 * @since 0.1.0
 * @category models
 */
export interface RouteOptions {
  readonly provider: {
    readonly deployment: string | undefined
    readonly apiVersion: string | undefined
    readonly project?: string | undefined
    readonly region?: string | undefined
  }
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
 * How a kind of provider embeds texts.
 *
 * @since 0.1.0
 * @category models
 */
export interface Embeddings {
  readonly protocol: Protocol.Protocol
  readonly route: (options: RouteOptions) => Pick<Route, "path" | "query">
  /** Whether a text may be given as its tokens. */
  readonly takesTokens: boolean
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
  /** `undefined` when it embeds no texts. */
  readonly embeddings?: Embeddings | undefined
  /** How it is shown who asks, unless a file says otherwise. */
  readonly auth: Auth.Auth
  /** How a key is shown where `auth` is none. @default bearer */
  readonly keyAuth?: Auth.Static | undefined
  /** The address of a kind whose address follows from the region; `baseUrl` is undefined then. */
  readonly address?: ((region: string) => string) | undefined
  /** Keys that the address is made of. */
  readonly needs?: ReadonlyArray<"region" | "project"> | undefined
  readonly framing: Framing.Framing
  /** The header that names the type of an error, as `__type` of a body does. */
  readonly errorTypeHeader?: string | undefined
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

const embeddings = (options: Partial<Embeddings> = {}): Embeddings => ({
  protocol: OpenAiEmbeddings.protocol,
  route: () => ({ path: "/embeddings", query: {} }),
  takesTokens: true,
  ...options
})

const openaiEmbeddings = embeddings({ protocol: OpenAiEmbeddings.make({ encoding: "base64" }) })

const openai: Partial<Dialect.Dialect> = {
  maxTokensField: "max_completion_tokens",
  maxStopSequences: 4,
  refusals: true,
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

/** The deployment that an address of Azure ends in, still encoded; empty where only deployments may follow. */
const azureDeployment = (base: string): string | undefined => {
  const found = /\/openai\/deployments(?:\/+([^/]+)(?<more>\/+[^/].*)?)?\/*$/.exec(base)
  if (found?.groups?.["more"] !== undefined)
    throw new RangeError("ProviderTable.route: base_url must end with the deployment, before what is asked of it")
  return found === null ? undefined : (found[1] ?? "")
}

/**
 * The address ends in `/openai/v1` for the versionless API; else deployments are part of the path, and may be part of
 * the address.
 */
const azureRouteTo = (operation: string, { base, model, provider }: RouteOptions): Route => {
  if (/\/v1\/*$/.test(base)) {
    const query: Record<string, string> =
      provider.apiVersion === undefined ? {} : { "api-version": provider.apiVersion }
    return { path: `/${operation}`, models: "/models", query }
  }
  const deployment = encodeURIComponent(provider.deployment ?? model)
  const query = { "api-version": provider.apiVersion ?? azureApiVersion }
  const stated = azureDeployment(base)
  if (stated !== undefined) {
    if (stated === "") return { path: `/${deployment}/${operation}`, models: undefined, query }
    if (provider.deployment !== undefined && stated !== deployment && stated !== provider.deployment)
      throw new RangeError("ProviderTable.route: base_url and deployment state two deployments")
    return { path: `/${operation}`, models: undefined, query }
  }
  const prefix = /\/openai\/*$/.test(base) ? "" : "/openai"
  return { path: `${prefix}/deployments/${deployment}/${operation}`, models: `${prefix}/models`, query }
}

const azureRoute = (options: RouteOptions): Route => azureRouteTo("chat/completions", options)

/** The versionless API, unless a version is stated. The model is the name of a deployment. */
const azureResponsesRoute = ({ base, provider }: RouteOptions): Route => {
  const query: Record<string, string> = provider.apiVersion === undefined ? {} : { "api-version": provider.apiVersion }
  if (azureDeployment(base) !== undefined)
    throw new RangeError("ProviderTable.route: this API is not below a deployment; base_url must end before it")
  if (/\/v1\/*$/.test(base)) return { path: "/responses", models: "/models", query }
  const prefix = `${/\/openai\/*$/.test(base) ? "" : "/openai"}${provider.apiVersion === undefined ? "/v1" : ""}`
  return { path: `${prefix}/responses`, models: `${prefix}/models`, query }
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

const geminiEmbeddings: Embeddings = {
  protocol: GeminiEmbeddings.protocol,
  route: (options) => ({ path: geminiRoute(options).path.replace(/:\w+$/, ":batchEmbedContents"), query: {} }),
  takesTokens: false
}

/** Models of Google's own are meant by their name; others by `publishers/NAME/models/NAME`. */
const vertexRoute = ({ model, provider: { project, region } }: RouteOptions): Route => {
  if (project === undefined || region === undefined)
    throw new RangeError("ProviderTable.route: region and project must be stated for this kind of provider")
  const segments = model.includes("/") ? model.split("/") : ["publishers", "google", "models", model]
  if (segments.some((segment) => /^\.{0,2}$/.test(segment)))
    throw new RangeError("ProviderTable.route: model must be a name, or a collection and a name")
  const path = ["projects", project, "locations", region, ...segments]
    .map((one) => `/${encodeURIComponent(one)}`)
    .join("")
  return {
    path: `${path}:generateContent`,
    stream: { path: `${path}:streamGenerateContent`, query: { alt: "sse" } },
    models: undefined,
    query: {}
  }
}

/** The model is part of the path, whole: an ARN holds slashes that are no segments. */
const bedrockRoute = ({ model }: RouteOptions): Route => {
  // An empty name or dots would reach another address of the same origin.
  if (/^\.{0,2}$/.test(model)) throw new RangeError("ProviderTable.route: model must be an id or an ARN")
  const path = `/model/${encodeURIComponent(model)}`
  return {
    path: `${path}/converse`,
    stream: { path: `${path}/converse-stream`, query: {} },
    models: undefined,
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
    embeddings: openaiEmbeddings,
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
    embeddings: geminiEmbeddings,
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
    embeddings: embeddings({ takesTokens: false }),
    dialect: { maxStopSequences: 5, reasoningEffort: "reasoning_effort" }
  }),
  "azure-openai": chat(undefined, "AZURE_OPENAI_API_KEY", {
    dialect: openai,
    route: azureRoute,
    embeddings: { ...openaiEmbeddings, route: (options) => azureRouteTo("embeddings", options) },
    auth: Auth.header("api-key")
  }),
  "azure-openai-responses": chat(undefined, "AZURE_OPENAI_API_KEY", {
    protocol: OpenAiResponses.protocol,
    route: azureResponsesRoute,
    auth: Auth.header("api-key")
  }),
  vertex: {
    protocol: Gemini.protocol,
    dialect: Dialect.defaults,
    baseUrl: undefined,
    address: (region) => `https://${region === "global" ? "" : `${region}-`}aiplatform.googleapis.com/v1`,
    needs: ["region", "project"],
    route: vertexRoute,
    auth: Auth.google(),
    keyAuth: Auth.header("x-goog-api-key"),
    framing: "sse",
    needsKey: true,
    keyVariable: "GOOGLE_API_KEY",
    headers: {},
    organizationHeader: undefined,
    projectHeader: undefined,
    healthCheck: "ping"
  },
  bedrock: {
    protocol: BedrockConverse.protocol,
    dialect: Dialect.defaults,
    baseUrl: undefined,
    address: (region) => `https://bedrock-runtime.${region}.amazonaws.com`,
    needs: ["region"],
    route: bedrockRoute,
    auth: Auth.sigV4("bedrock"),
    framing: "eventstream",
    errorTypeHeader: "x-amzn-errortype",
    needsKey: true,
    keyVariable: "AWS_BEARER_TOKEN_BEDROCK",
    headers: {},
    organizationHeader: undefined,
    projectHeader: undefined,
    // Models are listed by another origin.
    healthCheck: "ping"
  },
  groq: chat("https://api.groq.com/openai/v1", "GROQ_API_KEY", {
    dialect: { maxStopSequences: 4, reasoningEffort: "reasoning_effort", statuses: { 498: "Overloaded" } }
  }),
  deepseek: chat("https://api.deepseek.com", "DEEPSEEK_API_KEY", {
    dialect: {
      maxStopSequences: 16,
      responseFormat: "object",
      parallelToolCalls: false,
      reasoningInput: "reasoning_content",
      phrases: windowPhrase
    }
  }),
  mistral: chat("https://api.mistral.ai/v1", "MISTRAL_API_KEY", {
    embeddings: embeddings({
      protocol: OpenAiEmbeddings.make({ dimensionsField: "output_dimension" }),
      takesTokens: false
    }),
    dialect: {
      maxTemperature: 1.5,
      streamUsage: false,
      seedField: "random_seed",
      toolChoiceRequired: "any",
      reasoningInput: "thinking",
      toolCallId: "nine"
    }
  }),
  together: chat("https://api.together.xyz/v1", "TOGETHER_API_KEY", {
    embeddings: embeddings(),
    dialect: { topK: true }
  }),
  fireworks: chat("https://api.fireworks.ai/inference/v1", "FIREWORKS_API_KEY", {
    embeddings: embeddings(),
    dialect: { topK: true }
  }),
  openrouter: chat("https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", {
    embeddings: embeddings(),
    dialect: { topK: true, reasoningEffort: "reasoning.effort", reasoningInput: "reasoning_details" }
  }),
  xai: chat("https://api.x.ai/v1", "XAI_API_KEY", { dialect: { reasoningEffort: "reasoning_effort" } }),
  ollama: chat("http://localhost:11434/v1", undefined, { embeddings: embeddings() }),
  vllm: chat("http://localhost:8000/v1", undefined, {
    embeddings: embeddings(),
    dialect: { topK: true, phrases: windowPhrase }
  }),
  "lm-studio": chat("http://localhost:1234/v1", undefined, {
    embeddings: embeddings(),
    dialect: { topK: true }
  }),
  "openai-responses": chat("https://api.openai.com/v1", "OPENAI_API_KEY", {
    protocol: OpenAiResponses.protocol,
    embeddings: openaiEmbeddings,
    route: () => ({ path: "/responses", models: "/models", query: {} }),
    organizationHeader: "openai-organization",
    projectHeader: "openai-project"
  }),
  "openai-compatible": chat(undefined, undefined, { embeddings: embeddings() })
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
