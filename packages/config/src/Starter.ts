/**
 * A commented tree to start from, as data: one group with two echelons, a pool and a wrapper over one provider or
 * several.
 *
 * It passes every check with one key set, and starts with any one of its providers' keys.
 *
 * @since 0.1.0
 */
import * as JsonSchema from "./JsonSchema.ts"

/**
 * A model of a starting tree. What the built-in catalogue does not know is stated.
 *
 * @since 0.1.0
 * @category models
 */
export interface Model {
  /** Its name on the wire. */
  readonly model: string
  readonly contextWindow?: number | undefined
  /** USD per million tokens of input and of output. */
  readonly prices?: readonly [input: number, output: number] | undefined
}

/**
 * A provider that a tree can start with.
 *
 * @since 0.1.0
 * @category models
 */
export interface Provider {
  /** Its name in the tree, and the one by which it is asked for. */
  readonly name: string
  readonly title: string
  /** The row of the provider table. */
  readonly kind: string
  /** The variable that holds its key; `undefined` when it needs none. */
  readonly variable: string | undefined
  /** Whether the variable holds the path of a service account's file, which is read without a line that says so. */
  readonly serviceAccount?: boolean | undefined
  /** Further keys of its file, which its address is made of. */
  readonly place?: Readonly<Record<string, string>> | undefined
  /** Stated where the row has no address. */
  readonly baseUrl?: string | undefined
  /** What must be changed by hand. */
  readonly hint?: string | undefined
  readonly large: Model
  readonly small: Model
}

const listed = "Change the models to names that your server lists at /v1/models."

/**
 * Every provider that a tree can start with, by the names of kinds.
 *
 * @since 0.1.0
 * @category models
 */
export const providers: ReadonlyArray<Provider> = [
  {
    name: "openai",
    title: "OpenAI",
    kind: "openai",
    variable: "OPENAI_API_KEY",
    large: { model: "gpt-4.1" },
    small: { model: "gpt-4.1-mini" }
  },
  {
    name: "anthropic",
    title: "Anthropic",
    kind: "anthropic",
    variable: "ANTHROPIC_API_KEY",
    large: { model: "claude-sonnet-4-5" },
    small: { model: "claude-haiku-4-5" }
  },
  {
    name: "gemini",
    title: "Google Gemini",
    kind: "gemini",
    variable: "GEMINI_API_KEY",
    large: { model: "gemini-2.5-pro" },
    small: { model: "gemini-2.5-flash" }
  },
  {
    name: "deepseek",
    title: "DeepSeek",
    kind: "deepseek",
    variable: "DEEPSEEK_API_KEY",
    large: { model: "deepseek-reasoner", contextWindow: 128_000, prices: [0.28, 0.42] },
    small: { model: "deepseek-chat", contextWindow: 128_000, prices: [0.28, 0.42] }
  },
  {
    name: "groq",
    title: "Groq",
    kind: "groq",
    variable: "GROQ_API_KEY",
    large: { model: "llama-3.3-70b-versatile", contextWindow: 131_072, prices: [0.59, 0.79] },
    small: { model: "llama-3.1-8b-instant", contextWindow: 131_072, prices: [0.05, 0.08] }
  },
  {
    name: "mistral",
    title: "Mistral",
    kind: "mistral",
    variable: "MISTRAL_API_KEY",
    large: { model: "mistral-large-latest" },
    small: { model: "mistral-small-latest" }
  },
  {
    name: "together",
    title: "Together",
    kind: "together",
    variable: "TOGETHER_API_KEY",
    large: { model: "meta-llama/Llama-3.3-70B-Instruct-Turbo" },
    small: { model: "meta-llama/Meta-Llama-3.1-8B-Instruct-Turbo" }
  },
  {
    name: "fireworks",
    title: "Fireworks",
    kind: "fireworks",
    variable: "FIREWORKS_API_KEY",
    large: { model: "accounts/fireworks/models/llama-v3p3-70b-instruct" },
    small: { model: "accounts/fireworks/models/llama-v3p1-8b-instruct" }
  },
  {
    name: "openrouter",
    title: "OpenRouter",
    kind: "openrouter",
    variable: "OPENROUTER_API_KEY",
    large: { model: "openai/gpt-4.1" },
    small: { model: "openai/gpt-4.1-mini" }
  },
  {
    name: "xai",
    title: "xAI",
    kind: "xai",
    variable: "XAI_API_KEY",
    large: { model: "grok-4" },
    small: { model: "grok-4-fast" }
  },
  {
    name: "azure-openai",
    title: "Azure OpenAI",
    kind: "azure-openai",
    variable: "AZURE_OPENAI_API_KEY",
    baseUrl: "https://your-resource.openai.azure.com",
    hint: "Put the address of your resource here; the models are the names of your deployments.",
    large: { model: "gpt-4.1" },
    small: { model: "gpt-4.1-mini" }
  },
  {
    name: "bedrock",
    title: "Amazon Bedrock",
    kind: "bedrock",
    variable: "AWS_BEARER_TOKEN_BEDROCK",
    place: { region: "us-east-1" },
    hint: 'Put your region here. "us." before a model is where it is served: "eu." and "apac." are others.',
    large: { model: "us.anthropic.claude-sonnet-4-5-20250929-v1:0" },
    small: { model: "us.anthropic.claude-haiku-4-5-20251001-v1:0" }
  },
  {
    name: "vertex",
    title: "Google Vertex AI",
    kind: "vertex",
    variable: "GOOGLE_APPLICATION_CREDENTIALS",
    serviceAccount: true,
    place: { project: "your-project", region: "global" },
    hint: "Put your project here, and your region unless any will do.",
    large: { model: "gemini-2.5-pro" },
    small: { model: "gemini-2.5-flash" }
  },
  {
    name: "ollama",
    title: "Ollama",
    kind: "ollama",
    variable: undefined,
    hint: "The models must have been pulled: ollama pull llama3.1:8b",
    large: { model: "llama3.1:8b" },
    small: { model: "llama3.2:3b" }
  },
  {
    name: "vllm",
    title: "vLLM",
    kind: "vllm",
    variable: undefined,
    hint: listed,
    large: { model: "meta-llama/Llama-3.3-70B-Instruct" },
    small: { model: "meta-llama/Llama-3.1-8B-Instruct" }
  },
  {
    name: "lm-studio",
    title: "LM Studio",
    kind: "lm-studio",
    variable: undefined,
    hint: listed,
    large: { model: "qwen2.5-14b-instruct" },
    small: { model: "qwen2.5-7b-instruct" }
  },
  {
    name: "openai-compatible",
    title: "A server that speaks OpenAI's protocol",
    kind: "openai-compatible",
    variable: undefined,
    baseUrl: "http://127.0.0.1:8080/v1",
    hint: `Put the address of your server here. ${listed}`,
    large: { model: "large" },
    small: { model: "small" }
  }
]

/**
 * Finds a provider by name.
 *
 * @since 0.1.0
 * @category getters
 */
export const find = (name: string): Provider | undefined => providers.find((provider) => provider.name === name)

/**
 * The providers of a tree for which none was asked for.
 *
 * @default OpenAI and Anthropic
 * @since 0.1.0
 * @category models
 */
export const defaults: ReadonlyArray<Provider> = providers.slice(0, 2)

const lines = (...all: ReadonlyArray<string | undefined>): string => all.filter((line) => line !== undefined).join("\n")

const modelText = (alias: string, { contextWindow, model, prices }: Model): string =>
  lines(
    `[models.${alias}]`,
    `model = ${JSON.stringify(model)}`,
    contextWindow === undefined ? undefined : `context_window = ${contextWindow}`,
    prices === undefined ? undefined : `input_price = ${prices[0]}`,
    prices === undefined ? undefined : `output_price = ${prices[1]}`
  )

const keyText = ({ kind, name, serviceAccount, variable }: Provider): string => {
  if (variable === undefined) {
    return lines(
      "# For a server that asks for a key:",
      `# api_key = "\${${name.replaceAll("-", "_").toUpperCase()}_API_KEY}"`
    )
  }
  if (serviceAccount === true) {
    return lines(
      `# ${variable} names the file of a service account. Another file, relative to this one:`,
      '# service_account_file = "../../secrets/vertex.json"'
    )
  }
  const key = `api_key = "\${${variable}}"`
  if (kind !== "bedrock") return key
  return lines(
    key,
    "# Or access keys instead of it:",
    ...["ACCESS_KEY_ID", "SECRET_ACCESS_KEY"].map((part) => `# ${part.toLowerCase()} = "\${AWS_${part}}"`)
  )
}

const absenceText = ({ variable }: Provider, isOnly: boolean): string | undefined => {
  if (variable === undefined) return undefined
  return isOnly
    ? `# ${variable} must be set: there is no other provider yet.`
    : `# Without ${variable} its instances are disabled, with a warning, and the rest of the tree works.`
}

const keyOf = ({ serviceAccount }: Provider): string => (serviceAccount === true ? "one credential" : "api_key")

const providerText = (provider: Provider, isOnly: boolean): string =>
  lines(
    `# ${provider.title}: an account and its models. An instance is the name below, "-" and an alias:`,
    `# ${provider.name}-large, ${provider.name}-small.`,
    absenceText(provider, isOnly),
    "",
    `name = "${provider.name}"`,
    `kind = "${provider.kind}"`,
    provider.hint === undefined ? undefined : `# ${provider.hint}`,
    provider.baseUrl === undefined ? undefined : `base_url = "${provider.baseUrl}"`,
    ...Object.entries(provider.place ?? {}).map(([key, value]) => `${key} = "${value}"`),
    keyText(provider),
    "",
    "# Groups name aliases, so a newer `model` is one change here. Windows are tokens, prices USD per million tokens;",
    "# those of well-known models are built in.",
    modelText("large", provider.large),
    "",
    modelText("small", provider.small),
    "",
    `# Several accounts: instead of ${keyOf(provider)} a table for each. Every model then has an instance per account,`,
    `# ${provider.name}-large@first for example, and ${provider.name}-large means all of them.`,
    "# [[credentials]]",
    '# name = "first"',
    provider.serviceAccount === true
      ? '# service_account_file = "../../secrets/first.json"'
      : `# api_key = "\${${provider.variable ?? "API_KEY"}_FIRST}"`,
    ""
  )

const groupText = (all: ReadonlyArray<Provider>): string => {
  const instances = (alias: string) => all.map(({ name }) => `"${name}-${alias}"`).join(", ")
  return `# Echelons in order: when no instance of the first can answer, those of the second are asked.
# Times are seconds, or text with a unit: "500ms", "30s", "5m".

name = "chat_group"
description = "Large models, and small ones when they are out"

[echelon1]
models = [${instances("large")}]
# An attempt may take so long until its first output,
timeout = 60
# and so many follow the first; other instances count, too.
max_retries = 1

[echelon2]
models = [${instances("small")}]
timeout = 30
max_retries = 1

[fallback_config]
strategy = "echelon_down"
retry_delay = 0.5

# An instance that failed so often in a row is passed over for so long.
[fallback_config.circuit_breaker]
failure_threshold = 5
recovery_time = 60
`
}

const poolText = `# What callers name: requests rotate over the instances of an echelon.

name = "chat_pool"
description = "Any chat"
task_groups = ["chat_group"]

# Or least_busy, shortest_delay, cost, sticky, ...
rotation_strategy = "round_robin"

# How many different instances of an echelon a request tries before the next echelon; 2 when nothing is said:
# [fallback_config]
# max_instance_attempts = 3

# For a limit of your own, beside those of the providers:
# [rate_limiting]
# enabled = true
# algorithm = "token_bucket"
# token_bucket = { bucket_size = 100, refill_rate = 10 }
`

const wrapperText = `# A front to the pool with a queue and a time budget: so many requests run, so many wait, the rest fail at once.

name = "chat"
type = "pool"
description = "Where requests go that name no target"

[default_config]
pool_name = "chat_pool"

[performance]
# Until the answer begins, waiting included.
request_timeout = 200
max_concurrent_requests = 50
queue_size = 100
`

const globalText = `# What holds for the whole tree. Every file is reached from here by its path, [llms.groups.chat_group] for example;
# what stands in that file wins, then environments/NAME.toml, then variables:
# ECHELON__LLMS__GROUPS__CHAT_GROUP__ECHELON1__TIMEOUT=20

[routing]
default_wrapper = "chat"

# How long running requests may take to end when the program is told to stop.
[shutdown]
shutdown_grace = 30
`

const developmentText = `# --env development: one person at a keyboard. Only what differs stands here.

[shutdown]
shutdown_grace = 2

[llms.wrappers.chat.performance]
max_concurrent_requests = 5
queue_size = 10
`

/**
 * The files of a tree by path, the schemas that editors read among them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const files = (
  all: ReadonlyArray<Provider> = defaults,
  options: JsonSchema.Options = {}
): Readonly<Record<string, string>> => {
  const texts: Readonly<Record<string, string>> = {
    "global.toml": globalText,
    "environments/development.toml": developmentText,
    ...Object.fromEntries(
      all.map((provider) => [`llms/provider/${provider.name}.toml`, providerText(provider, all.length === 1)])
    ),
    "llms/groups/chat_group.toml": groupText(all),
    "llms/polling_pools/chat_pool.toml": poolText,
    "llms/wrappers/chat.toml": wrapperText
  }
  return Object.fromEntries([
    ...Object.entries(texts).map(([path, text]) => [path, `${JsonSchema.directive(path)}\n${text}`] as const),
    ...Object.entries(JsonSchema.files(options)).map(([name, text]) => [`schemas/${name}`, text] as const)
  ])
}
