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

it("a name that cannot stand here is written so that it can, and the report says so", () => {
  const migration = yaml('model_list: [{ model_name: "my model@eu", litellm_params: { model: openai/a } }]')
  expect(toml(migration, "llms/polling_pools/my_model_eu.toml")).toMatchObject({
    name: "my_model_eu",
    task_groups: ["my_model_eu_group"]
  })
  expect(migration.problems).toEqual([])
  const note = "callers ask for my_model_eu: a name cannot hold all that it held"
  expect(migration.entries[0]).toMatchObject({ outcome: "approximated", note })
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
  expect(note("model_list[4].model_name")).toBe(
    "at Bedrock only Converse is spoken here, which neither embeds nor ranks texts nor makes images"
  )
})

it.each([
  ["openai/gpt-4o", "", "openai", undefined],
  ["gpt-4o", "", "openai", undefined],
  ["claude-sonnet-4-5", "", "anthropic", undefined],
  ["openai/llama", "api_base: http://10.0.0.1/v1/", "openai-compatible", "http://10.0.0.1/v1"],
  ["openai/gpt-4o", "api_base: https://api.openai.com/v1", "openai", "https://api.openai.com/v1"],
  ["gemini/gemini-2.5-pro", "", "gemini", undefined],
  ["gemini/gemini-2.5-pro", "api_base: https://h.test/v1beta/openai", "gemini-openai", "https://h.test/v1beta/openai"],
  ["openai/responses/gpt-5", "", "openai-responses", undefined],
  [
    "azure/responses/dep",
    "api_base: https://x.openai.azure.com",
    "azure-openai-responses",
    "https://x.openai.azure.com"
  ],
  ["bedrock/amazon.nova-lite-v1:0", "", "bedrock", undefined],
  ["bedrock/us.amazon.nova-lite-v1:0", "aws_bedrock_runtime_endpoint: https://b.test/", "bedrock", "https://b.test"],
  ["vertex_ai/gemini-2.5-pro", "", "vertex", undefined],
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

it.each([
  "bedrock/agent/x",
  "bedrock/cohere.embed-v4:0",
  "vertex_ai/claude-3-opus",
  "openai/*",
  "some-model",
  "sagemaker/x"
])("%s is lost whole, with the reason", (model) => {
  const migration = yaml(`model_list: [{ model_name: m, litellm_params: { model: "${model}", rpm: 5 } }]`)
  expect(migration.files).toEqual({})
  for (const entry of migration.entries)
    expect([entry.outcome, entry.note, entry.todo]).toEqual(["lost", expect.any(String), expect.any(String)])
})

it("accounts at Bedrock have a region, and access keys or an API key", () => {
  const migration = yaml(`
model_list:
  - model_name: a
    litellm_params:
      model: bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0
      aws_access_key_id: AKIAHIDDEN1
      aws_secret_access_key: os.environ/MY_SECRET
      aws_session_token: hidden3
      aws_region_name: us-east-1
      aws_profile_name: dev
  - model_name: b
    litellm_params: { model: bedrock/converse/us-west-2/amazon.nova-lite-v1:0, api_key: hidden4 }
  - model_name: c
    litellm_params: { model: "bedrock/invoke/arn:aws:bedrock:eu-west-1:1:inference-profile/x" }`)
  expect(shown(migration)).not.toMatch(/hidden|HIDDEN/)
  expect(migration.problems).toEqual([])
  expect(toml(migration, "llms/provider/bedrock.toml")).toEqual({
    name: "bedrock",
    kind: "bedrock",
    region: "us-east-1",
    access_key_id: "${AWS_ACCESS_KEY_ID_2}",
    secret_access_key: "${MY_SECRET}",
    session_token: "${AWS_SESSION_TOKEN}",
    models: {
      "anthropic.claude-3-5-sonnet-20240620-v1-0": { model: "anthropic.claude-3-5-sonnet-20240620-v1:0" }
    }
  })
  expect(toml(migration, "llms/provider/bedrock-2.toml")).toMatchObject({
    region: "us-west-2",
    api_key: "${AWS_BEARER_TOKEN_BEDROCK}",
    models: { "amazon.nova-lite-v1-0": { model: "amazon.nova-lite-v1:0" } }
  })
  expect(toml(migration, "llms/provider/bedrock-3.toml")).toMatchObject({
    region: "${AWS_REGION_NAME}",
    access_key_id: "${AWS_ACCESS_KEY_ID}",
    secret_access_key: "${AWS_SECRET_ACCESS_KEY}",
    models: { x: { model: "arn:aws:bedrock:eu-west-1:1:inference-profile/x" } }
  })
  expect(outcomes(migration)).toMatchObject({
    "model_list[0].litellm_params.aws_access_key_id": "approximated",
    "model_list[0].litellm_params.aws_secret_access_key": "carried",
    "model_list[0].litellm_params.aws_profile_name": "lost",
    "model_list[1].litellm_params.model": "carried",
    "model_list[2].litellm_params.model": "approximated"
  })
})

it("accounts at Vertex AI have a project, a region, and a service account or a key", () => {
  const entry = (name: string, more: string) =>
    `  - { model_name: ${name}, litellm_params: { model: vertex_ai/gemini-2.5-pro, vertex_project: p, ${more} } }\n`
  const migration = yaml(
    `model_list:\n${entry("a", "vertex_location: us-central1, vertex_credentials: /etc/sa.json")}${entry("b", 'vertex_credentials: \'{"private_key": "hidden"}\'')}${entry("c", "api_key: hidden2")}${entry("d", "vertex_credentials: os.environ/SA")}`
  )
  expect(shown(migration)).not.toContain("hidden")
  expect(migration.problems).toEqual([])
  const of = (file: string) => toml(migration, `llms/provider/${file}.toml`)
  expect(of("vertex")).toMatchObject({ region: "us-central1", project: "p", service_account_file: "/etc/sa.json" })
  expect(of("vertex-2")).toMatchObject({
    region: "${VERTEXAI_LOCATION}",
    service_account: "${VERTEX_SERVICE_ACCOUNT}"
  })
  expect(of("vertex-3")).toMatchObject({ api_key: "${GOOGLE_API_KEY}" })
  expect(of("vertex-4")).toMatchObject({ service_account: "${SA}" })
})

it("a setting of one deployment holds for the others of its echelon, and the report says so", () => {
  const migration = yaml(`
model_list:
  - model_name: m
    litellm_params: { model: openai/a, temperature: 0, seed: 5, stop: [x], top_p: 0.5, timeout: 20, max_retries: 2 }
  - { model_name: m, litellm_params: { model: openai/b, max_retries: 2 } }
  - { model_name: alone, litellm_params: { model: openai/a, temperature: 0 } }`)
  const entry = (key: string) => {
    const found = migration.entries.find((one) => one.key === key)
    return [found?.outcome, found?.note]
  }
  const spread = ["approximated", "an echelon has one value: it holds for its other deployments, too"]
  for (const key of ["temperature", "seed", "stop", "top_p", "timeout"]) {
    expect([key, ...entry(`model_list[0].litellm_params.${key}`)]).toEqual([key, ...spread])
  }
  expect(entry("model_list[0].litellm_params.max_retries")).toEqual(["carried", undefined])
  expect(entry("model_list[2].litellm_params.temperature")).toEqual(["carried", undefined])
})

it("a time of one deployment and the usual one of the others: the larger", () => {
  const migration = yaml(`
model_list:
  - { model_name: m, litellm_params: { model: openai/a, timeout: 20 } }
  - { model_name: m, litellm_params: { model: openai/b } }
litellm_settings: { request_timeout: 90 }`)
  expect(toml(migration, "llms/groups/m_group.toml")["echelon1"]).toMatchObject({ timeout: 90 })
  expect(migration.entries.find(({ key }) => key === "model_list[0].litellm_params.timeout")).toMatchObject({
    outcome: "approximated",
    note: "an echelon has one value: the largest"
  })
})

it("of a time that a variable holds and another one the first", () => {
  const migration = yaml(`
model_list:
  - { model_name: m, litellm_params: { model: openai/a, timeout: os.environ/T } }
  - { model_name: m, litellm_params: { model: openai/b, timeout: 30 } }`)
  expect(toml(migration, "llms/groups/m_group.toml")["echelon1"]).toMatchObject({ timeout: "${T}" })
  expect(migration.entries.find(({ key }) => key === "model_list[1].litellm_params.timeout")).toMatchObject({
    note: "an echelon has one value: the first"
  })
})

it("names that nothing is behind are told", () => {
  const migration = yaml(`
model_list:
  - { model_name: m, litellm_params: { model: openai/a } }
  - { model_name: n, litellm_params: { model: openai/b } }
router_settings:
  fallbacks: [{ m: [n, nope, "x\\e[31my"] }, { gone: [m] }]
  default_fallbacks: [n, none]
  model_group_alias: { a: nobody }`)
  const note = (key: string) => migration.entries.find((entry) => entry.key === key)?.note
  expect(note("router_settings.fallbacks[0].m")).toContain(
    '"nope", "x\\u001b[31my" are not in model_list, or were lost'
  )
  expect(note("router_settings.fallbacks[1].gone")).toBe('"gone" is not in model_list, or was lost')
  expect(note("router_settings.default_fallbacks")).toContain('"none" is not in model_list, or was lost')
  expect(note("router_settings.model_group_alias.a")).toBe('"nobody" is not in model_list, or was lost')
})

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
    "bedrock/us-east-1/x",
    "vertex_ai/gemini-x",
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
  "model api_key api_base base_url api_version organization rpm tpm weight order timeout stream_timeout max_retries num_retries temperature max_tokens max_completion_tokens top_p stop seed custom_llm_provider extra_headers headers max_parallel_requests input_cost_per_token output_cost_per_token litellm_credential_name aws_region_name aws_access_key_id aws_secret_access_key vertex_project vertex_location vertex_credentials drop_params nonsense"
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
