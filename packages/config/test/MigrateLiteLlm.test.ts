// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax that is tested
import { expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { parse } from "smol-toml"
import { expectSound, fixture, one, outcomes, shown } from "./support/Migration.ts"

const fixtureText = fixture("litellm.yaml")
const whole = one("litellm.yaml", fixtureText)
const toml = (migration: typeof whole, file: string) => parse(migration.files[file] ?? "")

const yaml = (lines: string) => one("config.yaml", lines)

it("the fixture is sound, and none of its secrets is seen", () => {
  expectSound(whole, [{ file: "litellm.yaml", text: fixtureText }])
  expect(shown(whole)).not.toMatch(/literal-secret|master-secret|redis-secret|blue-secret/)
})

it("deployments become instances of one provider for each account", () => {
  expect(
    whole.files["llms/provider/azure-openai.toml"]
  ).toBe(`# Migrated from litellm.yaml (LiteLLM). Keys that are absent have the defaults of docs/configuration.md.

name = "azure-openai"
kind = "azure-openai"
base_url = "\${AZURE_EU_BASE}" # credential_list[0].credential_values.api_base
api_key = "\${AZURE_EU_KEY}" # credential_list[0].credential_values.api_key
api_version = "2024-10-21" # credential_list[0].credential_values.api_version

[models.gpt-4o-eu]
model = "gpt-4o-eu" # model_list[0].litellm_params.model
rpm_limit = 600 # model_list[0].litellm_params.rpm; a limit here; there a weight, unless routing by usage
tpm_limit = 100000 # model_list[0].litellm_params.tpm; a limit here; there a weight, unless routing by usage
input_price = 2.5 # model_list[0].model_info.input_cost_per_token
output_price = 10 # model_list[0].model_info.output_cost_per_token
`)
  expect(toml(whole, "llms/provider/openai.toml")).toEqual({
    name: "openai",
    kind: "openai",
    api_key: "${OPENAI_API_KEY}",
    organization: "${OPENAI_ORG}",
    headers: { "x-team": "${OPENAI_X_TEAM}" },
    models: { "gpt-4o": { model: "gpt-4o", weight: 2 } }
  })
  expect(toml(whole, "llms/provider/ollama.toml")).toEqual({
    name: "ollama",
    kind: "ollama",
    base_url: "http://localhost:11434/v1",
    models: { "llama3.1-8b": { model: "llama3.1:8b" } }
  })
})

it("orders and fallbacks become echelons", () => {
  const { echelon1, echelon2, echelon3, echelon4, fallback_config } = toml(whole, "llms/groups/gpt-4o_group.toml")
  expect([echelon1, echelon2, echelon3, echelon4]).toEqual([
    { models: ["azure-openai-gpt-4o-eu"], timeout: 30, ttft_timeout: 10, max_retries: 3 },
    { models: ["openai-gpt-4o"], timeout: 60, max_retries: 1 },
    { models: ["anthropic-claude-sonnet-4-5"], timeout: 60, max_retries: 3, temperature: 0.2, max_tokens: 2048 },
    { models: ["ollama-llama3.1-8b"], timeout: 60, max_retries: 3 }
  ])
  expect(fallback_config).toEqual({
    retry_delay: 1,
    circuit_breaker: { failure_threshold: 3, recovery_time: 30, max_recovery_time: 30 }
  })
  expect(toml(whole, "llms/groups/claude_group.toml")["fallback_config"]).toMatchObject({
    content_policy_fallback: true
  })
})

it("pools and wrappers have the names that callers use, aliases too", () => {
  expect(toml(whole, "llms/polling_pools/gpt-4_pool.toml")).toEqual({
    name: "gpt-4_pool",
    task_groups: ["gpt-4o_group"],
    rotation_strategy: "weighted",
    cache: { enabled: true, ttl: 600 }
  })
  expect(toml(whole, "llms/wrappers/best.toml")).toEqual({
    name: "best",
    type: "pool",
    default_config: { pool_name: "best_pool" },
    performance: { request_timeout: 60 }
  })
  expect(toml(whole, "llms/wrappers/local_llama.toml")["name"]).toBe("local/llama")
  expect(toml(whole, "global.toml")).toEqual({ routing: { default_wrapper: "claude" } })
})

it("says of each key what became of it", () => {
  expect(outcomes(whole)).toMatchObject({
    "model_list[0].litellm_params.order": "carried",
    "model_list[0].litellm_params.rpm": "approximated",
    "model_list[0].model_info.base_model": "lost",
    "model_list[1].litellm_params.api_key": "approximated",
    "model_list[4].litellm_params.model": "lost",
    "router_settings.routing_strategy": "carried",
    "router_settings.allowed_fails": "approximated",
    'router_settings.context_window_fallbacks[0]."local/llama"': "approximated",
    "router_settings.retry_policy.AuthenticationErrorRetries": "lost",
    "router_settings.redis_password": "lost",
    "router_settings.cooldwn_time": "lost",
    "litellm_settings.num_retries": "lost",
    "general_settings.master_key": "lost",
    "environment_variables.REGION_NOTE": "lost"
  })
  const note = (key: string) => whole.entries.find((entry) => entry.key === key)?.note
  expect(note("router_settings.cooldwn_time")).toBe('a key that is not known here; did you mean "cooldown_time"?')
  expect(note("litellm_settings.num_retries")).toBe("router_settings.num_retries counts there, too")
  expect(note("model_list[4].model_name")).toBe('no kind of provider here speaks for "bedrock"')
})

it.each([
  ["openai/gpt-4o", "", "openai", undefined],
  ["gpt-4o", "", "openai", undefined],
  ["claude-sonnet-4-5", "", "anthropic", undefined],
  ["openai/llama", "api_base: http://10.0.0.1/v1/", "openai-compatible", "http://10.0.0.1/v1"],
  ["openai/gpt-4o", "api_base: https://api.openai.com/v1", "openai", "https://api.openai.com/v1"],
  ["gemini/gemini-2.5-pro", "", "openai-compatible", "https://generativelanguage.googleapis.com/v1beta/openai"],
  ["hosted_vllm/qwen", "api_base: os.environ/VLLM", "vllm", "${VLLM}"],
  ["meta/llama", "custom_llm_provider: groq", "groq", undefined],
  ["my-model", "api_base: https://u:p@models.test/v1?k=s#f", "openai-compatible", "https://models.test/v1"],
  ["custom_openai/m", "", "openai-compatible", "${CUSTOM_OPENAI_BASE_URL}"],
  ["azure/dep", "api_base: ftp://x", "azure-openai", "${AZURE_OPENAI_BASE_URL}"]
])("%s %s is of the kind %s", (model, more, kind, baseUrl) => {
  const text = `model_list: [{ model_name: m, litellm_params: { model: ${model}${more === "" ? "" : `, ${more.replace(/: (.*)$/, ': "$1"')}`} } }]`
  const migration = yaml(text)
  const file = Object.keys(migration.files).find((name) => name.startsWith("llms/provider/")) ?? ""
  expect(toml(migration, file)).toMatchObject({ kind })
  expect(toml(migration, file)["base_url"]).toBe(baseUrl)
  expect(shown(migration)).not.toMatch(/u:p@|k=s/)
  expectSound(migration, [{ file: "config.yaml", text }])
})

it.each(["bedrock/x", "vertex_ai/gemini-pro", "openai/*", "some-model", "sagemaker/x"])(
  "%s is lost whole, with the reason",
  (model) => {
    const migration = yaml(`model_list: [{ model_name: m, litellm_params: { model: "${model}", rpm: 5 } }]`)
    expect(migration.files).toEqual({})
    for (const entry of migration.entries)
      expect([entry.outcome, entry.note, entry.todo]).toEqual(["lost", expect.any(String), expect.any(String)])
  }
)

it("the same account and model is one instance; other limits make another", () => {
  const migration = yaml(`
model_list:
  - { model_name: a, litellm_params: { model: openai/gpt-4o, rpm: 5 } }
  - { model_name: b, litellm_params: { model: openai/gpt-4o, rpm: 5 } }
  - { model_name: c, litellm_params: { model: openai/gpt-4o, rpm: 6 } }
  - { model_name: d, litellm_params: { model: openai/gpt-4o, rpm: 5, api_key: os.environ/OTHER } }
router_settings: { routing_strategy: usage-based-routing-v2 }`)
  expect(toml(migration, "llms/provider/openai.toml")["models"]).toEqual({
    "gpt-4o": { model: "gpt-4o", rpm_limit: 5 },
    "gpt-4o-2": { model: "gpt-4o", rpm_limit: 6 }
  })
  expect(toml(migration, "llms/provider/openai-2.toml")["api_key"]).toBe("${OTHER}")
  expect(outcomes(migration)).toMatchObject({ "model_list[0].litellm_params.rpm": "carried" })
})

it("a secret never takes the name of a variable that the file reads", () => {
  const migration = yaml(`
model_list:
  - { model_name: a, litellm_params: { model: openai/x, api_key: sk-one } }
  - { model_name: b, litellm_params: { model: openai/y, api_key: os.environ/OPENAI_API_KEY } }
  - { model_name: c, litellm_params: { model: openai/z } }
  - { model_name: d, litellm_params: { model: openai/w, api_key: sk-one } }`)
  expect(migration.variables).toEqual([
    { name: "OPENAI_API_KEY", for: ["llms/provider/openai-2.toml api_key"], stated: false },
    { name: "OPENAI_API_KEY_2", for: ["llms/provider/openai.toml api_key"], stated: true }
  ])
})

it("retries go over as many instances as an echelon has, and no more", () => {
  const migration = yaml(`
model_list:
  - { model_name: a, litellm_params: { model: openai/x } }
  - { model_name: a, litellm_params: { model: openai/y } }
  - { model_name: a, litellm_params: { model: openai/z } }
  - { model_name: b, litellm_params: { model: openai/x } }
litellm_settings: { num_retries: 1 }`)
  expect(toml(migration, "llms/polling_pools/a.toml")["fallback_config"]).toEqual({ max_instance_attempts: 2 })
  expect(toml(migration, "llms/polling_pools/b.toml")["fallback_config"]).toBeUndefined()
  expect(toml(migration, "llms/groups/b_group.toml")["echelon1"]).toEqual({ models: ["openai-x"], max_retries: 1 })
})

it("a deployment without weight gets no request", () => {
  const migration = yaml(`
model_list:
  - { model_name: a, litellm_params: { model: openai/x, weight: 0 } }
  - { model_name: a, litellm_params: { model: openai/y, weight: 3 } }`)
  expect(toml(migration, "llms/groups/a_group.toml")["echelon1"]).toEqual({ models: ["openai-y"] })
  expect(Object.keys(toml(migration, "llms/provider/openai.toml")["models"] ?? {})).toEqual(["x", "y"])
})

const values: ReadonlyArray<unknown> = [
  ...[
    0,
    1,
    5,
    -1,
    0.5,
    1e12,
    "",
    "5",
    "x",
    "gpt-4o",
    "claude",
    "os.environ/NAME",
    "os.environ/not a NAME",
    "${HOME}",
    true,
    false,
    null
  ],
  ...[
    [],
    ["claude"],
    ["nobody", 5],
    {},
    { "gpt-4o": ["claude", "nobody"] },
    [{ claude: ["gpt-4o"] }, { "*": ["claude"] }]
  ],
  ...[
    [{ claude: [{ model: "gpt-4o", temperature: 1 }] }],
    { alias: "gpt-4o", other: { model: "claude", hidden: true } }
  ],
  ...[
    "https://u:p@h.test/v1?k=1",
    "least-busy",
    "usage-based-routing",
    "simple-shuffle",
    { type: "local", ttl: 5 },
    [null],
    [[1]]
  ]
]

const inParams =
  "model api_key api_base base_url api_version organization rpm tpm weight order timeout stream_timeout max_retries num_retries temperature max_tokens max_completion_tokens top_p stop seed custom_llm_provider extra_headers headers max_parallel_requests input_cost_per_token output_cost_per_token litellm_credential_name drop_params nonsense"
const inInfo =
  "id mode base_model max_tokens max_input_tokens max_output_tokens input_cost_per_token supports_vision odd"
const inRouter =
  "routing_strategy fallbacks context_window_fallbacks content_policy_fallbacks default_fallbacks max_fallbacks num_retries timeout stream_timeout allowed_fails cooldown_time retry_after retry_policy model_group_alias enable_pre_call_checks redis_host redis_password default_litellm_params routing_strategi"
const inSettings = "num_retries request_timeout fallbacks cache cache_params drop_params success_callback unknown"
const inGeneral = "master_key database_url completion_model other"

const paths: ReadonlyArray<string> = [
  ...[0, 1, 2].flatMap((i) => [
    ...inParams.split(" ").map((key) => `model_list.${i}.litellm_params.${key}`),
    ...inInfo.split(" ").map((key) => `model_list.${i}.model_info.${key}`),
    ...["model_name", "litellm_params", "model_info", "rpm", "what"].map((key) => `model_list.${i}.${key}`)
  ]),
  ...inRouter.split(" ").map((key) => `router_settings.${key}`),
  ...inSettings.split(" ").map((key) => `litellm_settings.${key}`),
  ...inGeneral.split(" ").map((key) => `general_settings.${key}`),
  ...[
    "environment_variables.A",
    "credential_list",
    "include",
    "model_list.1",
    "model_list",
    "router_settings",
    "new_section"
  ]
]

const base = () => ({
  model_list: [
    { model_name: "gpt-4o", litellm_params: { model: "openai/gpt-4o", api_key: "sk-base" } },
    { model_name: "gpt-4o", litellm_params: { model: "azure/dep", api_base: "https://x.openai.azure.com" } },
    { model_name: "claude", litellm_params: { model: "anthropic/claude-sonnet-4-5" } }
  ]
})

/** Puts a value at a path, making what is not there. */
const put = (root: unknown, path: ReadonlyArray<string>, value: unknown): void => {
  const [key = "", ...rest] = path
  if (typeof root !== "object" || root === null) return
  // Of plain values made here; a key of a list is its index.
  const at = root as Record<string, unknown>
  if (rest.length === 0) at[key] = structuredClone(value)
  else {
    if (typeof at[key] !== "object" || at[key] === null) at[key] = {}
    put(at[key], rest, value)
  }
}

const Edit = Schema.Struct({
  path: Schema.Literals(paths),
  value: Schema.Literals(values.map((_, i) => i))
})

it.prop(
  "whatever a file says, each of its keys is told once and the result passes the check",
  { edits: Schema.Array(Edit) },
  ({ edits }) => {
    const config = base()
    for (const { path, value } of edits) {
      const keys = path.split(".")
      // One variable cannot be an address here and a number there.
      const one = values[value]
      put(config, keys, typeof one === "string" ? one.replace(/(?<=^os\.environ\/.*)NAME$/, String(keys.at(-1))) : one)
    }
    const text = JSON.stringify(config)
    const migration = one("config.json", text, "litellm")
    expectSound(migration, [{ file: "config.json", text }])
    expect(shown(migration)).not.toContain("sk-base")
    expect(migration.variables.map(({ name }) => name)).not.toContain("HOME")
  }
)
