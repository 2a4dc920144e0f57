// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax that is tested
import { expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { parse } from "smol-toml"
import { expectSound, fixture, one, outcomes, shown } from "./support/Migration.ts"

const toml = (migration: ReturnType<typeof one>, file: string) => parse(migration.files[file] ?? "")
const config = (value: unknown) => one("config.json", JSON.stringify(value), "portkey")

it.each(["portkey-fallback.json", "portkey-conditional.json", "portkey-single.json"])(
  "%s is sound, and none of its secrets is seen",
  (file) => {
    const text = fixture(file)
    const migration = one(file, text)
    expectSound(migration, [{ file, text }])
    expect(shown(migration)).not.toMatch(/secret-1|vk-secret|gsk-|aws-secret"|mistral-secret|pw-secret|query-secret/)
  }
)

it("what falls back becomes echelons, what balances load weights in one", () => {
  const migration = one("chat.json", fixture("portkey-fallback.json"))
  expect(toml(migration, "llms/groups/chat_group.toml")).toEqual({
    name: "chat_group",
    echelon1: { models: ["openai-gpt-4o", "azure-openai-gpt4o-eu"], timeout: 30, max_retries: 2, temperature: 0.3 },
    echelon2: { models: ["anthropic-claude-sonnet-4-5"], timeout: 30, max_retries: 2, max_tokens: 1024 },
    fallback_config: {
      max_retry_after_wait: 60,
      circuit_breaker: { failure_threshold: 4, failure_rate: 0.2, minimum_requests: 10, recovery_time: 60 }
    }
  })
  expect(toml(migration, "llms/polling_pools/chat.toml")).toEqual({
    name: "chat",
    task_groups: ["chat_group"],
    rotation_strategy: "weighted",
    cache: { enabled: true, ttl: 600 }
  })
  expect(toml(migration, "llms/provider/azure-openai.toml")).toEqual({
    name: "azure-openai",
    kind: "azure-openai",
    base_url: "https://acme-eu.openai.azure.com",
    api_key: "${AZURE_OPENAI_API_KEY}",
    api_version: "2024-10-21",
    models: { "gpt4o-eu": { model: "gpt4o-eu", weight: 0.3 } }
  })
  expect(outcomes(migration)).toMatchObject({
    "strategy.mode": "carried",
    "strategy.on_status_codes": "lost",
    "cache.mode": "approximated",
    "targets[1].provider": "approximated",
    "targets[1].override_params.top_k": "lost",
    "targets[2].provider": "lost",
    "retri.attempts": "lost"
  })
})

it("accounts at Bedrock and Vertex AI have a region and their own credentials, Google's are Gemini's", () => {
  const leaf = (provider: string, model: string, more: object) => ({ provider, override_params: { model }, ...more })
  const migration = config({
    strategy: { mode: "fallback" },
    targets: [
      leaf("bedrock", "anthropic.claude-3-5-sonnet-20240620-v1:0", {
        aws_access_key_id: "AKIAHIDDEN1",
        awsSecretAccessKey: "hidden2",
        aws_session_token: "hidden3",
        aws_region: "us-east-1"
      }),
      leaf("bedrock", "amazon.nova-lite-v1:0", { api_key: "hidden4", awsRegion: "eu-west-1" }),
      leaf("vertex-ai", "gemini-2.5-pro", {
        vertex_project_id: "p",
        vertex_region: "us-central1",
        vertex_service_account_json: { type: "service_account", private_key: "hidden5" }
      }),
      leaf("vertex-ai", "google.gemini-2.5-flash", { api_key: "hidden6" }),
      leaf("vertex-ai", "anthropic.claude-3-opus", {}),
      leaf("google", "gemini-2.5-pro", { api_key: "hidden7" }),
      { virtual_key: "bedrock-prod", override_params: { model: "amazon.nova-pro-v1:0" }, aws_role_arn: "arn:x" }
    ]
  })
  expect(shown(migration)).not.toMatch(/hidden|HIDDEN/)
  expect(migration.problems).toEqual([])
  expect(toml(migration, "llms/provider/bedrock.toml")).toEqual({
    name: "bedrock",
    kind: "bedrock",
    region: "us-east-1",
    access_key_id: "${AWS_ACCESS_KEY_ID}",
    secret_access_key: "${AWS_SECRET_ACCESS_KEY}",
    session_token: "${AWS_SESSION_TOKEN}",
    models: {
      "anthropic.claude-3-5-sonnet-20240620-v1-0": { model: "anthropic.claude-3-5-sonnet-20240620-v1:0" }
    }
  })
  expect(toml(migration, "llms/provider/bedrock-2.toml")).toMatchObject({
    region: "eu-west-1",
    api_key: "${AWS_BEARER_TOKEN_BEDROCK}"
  })
  expect(toml(migration, "llms/provider/bedrock-3.toml")).toMatchObject({
    region: "${AWS_REGION}",
    access_key_id: "${AWS_ACCESS_KEY_ID_2}",
    secret_access_key: "${AWS_SECRET_ACCESS_KEY_2}"
  })
  expect(toml(migration, "llms/provider/vertex.toml")).toMatchObject({
    kind: "vertex",
    region: "us-central1",
    project: "p",
    service_account: "${VERTEX_SERVICE_ACCOUNT}"
  })
  expect(toml(migration, "llms/provider/vertex-2.toml")).toMatchObject({
    region: "${VERTEX_REGION}",
    project: "${VERTEX_PROJECT}",
    service_account_file: "${GOOGLE_APPLICATION_CREDENTIALS}",
    models: { "gemini-2.5-flash": { model: "gemini-2.5-flash" } }
  })
  expect(toml(migration, "llms/provider/gemini.toml")).toEqual({
    name: "gemini",
    kind: "gemini",
    api_key: "${GEMINI_API_KEY}",
    models: { "gemini-2.5-pro": { model: "gemini-2.5-pro" } }
  })
  expect(outcomes(migration)).toMatchObject({
    "targets[0].aws_region": "carried",
    "targets[2].vertex_service_account_json.private_key": "approximated",
    "targets[3].api_key": "lost",
    "targets[4].provider": "lost",
    "targets[6].virtual_key": "approximated",
    "targets[6].aws_role_arn": "lost"
  })
  const note = (key: string) => migration.entries.find((entry) => entry.key === key)?.note
  expect(note("targets[4].provider")).toBe("at Vertex AI only Gemini's generateContent is spoken here")
})

it("a setting of one target holds for the others of its echelon, and the report says so", () => {
  const migration = config({
    strategy: { mode: "loadbalance" },
    targets: [
      { provider: "openai", request_timeout: 20_000, override_params: { model: "a" } },
      { provider: "groq", override_params: { model: "b" } }
    ]
  })
  const entry = migration.entries.find(({ key }) => key === "targets[0].request_timeout")
  expect([entry?.outcome, entry?.note]).toEqual([
    "approximated",
    "an echelon has one value: it holds for its other targets, too"
  ])
})

it("a conditional config becomes a pool for each target, which callers name", () => {
  const migration = one("a.json", fixture("portkey-conditional.json"))
  expect(Object.keys(migration.files).filter((file) => file.includes("pools"))).toEqual([
    "llms/polling_pools/best.toml",
    "llms/polling_pools/cheap.toml"
  ])
  expect(toml(migration, "global.toml")).toEqual({ routing: { default_pool: "cheap" } })
  expect(toml(migration, "llms/groups/cheap_group.toml")["echelon1"]).toMatchObject({
    models: ["groq-llama-3.3-70b-versatile", "openai-2-default"]
  })
  expect(toml(migration, "llms/provider/openai-2.toml")).toMatchObject({
    kind: "openai-compatible",
    base_url: "https://models.acme.test/v1",
    models: { default: { model: "${OPENAI_MODEL}", weight: 3 } }
  })
})

it("weights inside weights multiply", () => {
  const leaf = (model: string, weight: number) => ({ provider: "openai", weight, override_params: { model } })
  const migration = config({
    strategy: { mode: "loadbalance" },
    targets: [leaf("a", 1), { weight: 6, strategy: { mode: "loadbalance" }, targets: [leaf("b", 1), leaf("c", 2)] }]
  })
  expect(toml(migration, "llms/provider/openai.toml")["models"]).toEqual({
    a: { model: "a", weight: 1 },
    b: { model: "b", weight: 2 },
    c: { model: "c", weight: 4 }
  })
})

it("targets that fall back inside a balanced one share echelons, and the report says so", () => {
  const leaf = (model: string) => ({ provider: "openai", override_params: { model } })
  const migration = config({
    strategy: { mode: "loadbalance" },
    targets: [{ strategy: { mode: "fallback" }, targets: [leaf("a"), leaf("b")] }, leaf("c")]
  })
  expect(toml(migration, "llms/groups/config_group.toml")).toMatchObject({
    echelon1: { models: ["openai-a", "openai-c"] },
    echelon2: { models: ["openai-b"] }
  })
  expect(outcomes(migration)).toMatchObject({ "strategy.mode": "approximated" })
})

it("reads the form that older versions had", () => {
  const migration = config({
    config: {
      mode: "fallback",
      options: [
        { provider: "openai", apiKey: "sk-1" },
        { provider: "groq", apiKey: "gsk-1" }
      ]
    }
  })
  expect(toml(migration, "llms/groups/config_group.toml")).toMatchObject({
    echelon1: { models: ["openai-default"] },
    echelon2: { models: ["groq-default"] }
  })
  expect(shown(migration)).not.toMatch(/sk-1/)
})

it("an account whose provider is not known has a variable for its address", () => {
  const migration = config({ override_params: { model: "@our-models/llama" } })
  expect(toml(migration, "llms/provider/account.toml")).toMatchObject({
    kind: "openai-compatible",
    base_url: "${ACCOUNT_BASE_URL}",
    models: { llama: { model: "llama" } }
  })
})

const targets = ["", "targets.0", "targets.1", "targets.1.targets.0", "targets.1.targets.1"]
const keys =
  "strategy strategy.mode strategy.on_status_codes strategy.conditions strategy.default strategy.cb_config strategy.cb_config.failure_threshold strategy.cb_config.cooldown_interval strategy.cb_config.failure_threshold_percentage targets name provider virtual_key virtualKey api_key custom_host resource_name deployment_id api_version weight request_timeout requestTimeout retry retry.attempts retry.use_retry_after_header retry.on_status_codes cache cache.mode cache.max_age override_params override_params.model override_params.temperature override_params.max_tokens override_params.top_k aws_region aws_access_key_id aws_secret_access_key vertex_project_id vertex_region vertex_service_account_json input_guardrails forward_headers nonsense"

const paths = targets.flatMap((target) => keys.split(" ").map((key) => (target === "" ? key : `${target}.${key}`)))

const values: ReadonlyArray<unknown> = [
  ...[
    0,
    1,
    2.5,
    -1,
    30_000,
    1e12,
    "",
    "a",
    "best",
    "${HOME}",
    "openai",
    "groq",
    "bedrock",
    "vertex-ai",
    "@bedrock-prod",
    "@openai-prod",
    "@x",
    true,
    false,
    null
  ],
  ...["fallback", "loadbalance", "single", "conditional", "scientist", "simple", "semantic", "https://u:p@h.test/?k=1"],
  ...[[], {}, ["a"], [{ provider: "mistral-ai", name: "best" }, { provider: "x-ai" }], { mode: "simple", max_age: 60 }],
  ...[
    { mode: "conditional", default: "best", conditions: [{ query: { a: 1 } }] },
    [null, 5, []],
    { model: "@azure-openai-eu/gpt" }
  ]
]

const put = (root: unknown, path: ReadonlyArray<string>, value: unknown): void => {
  const [key = "", ...rest] = path
  if (typeof root !== "object" || root === null) return
  // Of plain values made here; a key of a list is its index.
  const at = root as Record<string, unknown>
  if (rest.length === 0) at[key] = structuredClone(value)
  else {
    if (typeof at[key] !== "object" || at[key] === null) at[key] = /^\d+$/.test(rest[0] ?? "") ? [] : {}
    put(at[key], rest, value)
  }
}

const Edit = Schema.Struct({ path: Schema.Literals(paths), value: Schema.Literals(values.map((_, i) => i)) })

it.prop(
  "whatever a config says, each of its keys is told once and the result passes the check",
  { edits: Schema.Array(Edit) },
  ({ edits }) => {
    const value = {
      targets: [
        { provider: "openai", api_key: "sk-base" },
        { targets: [{ provider: "groq", weight: 2 }, { provider: "anthropic" }] }
      ]
    }
    for (const edit of edits) put(value, edit.path.split("."), values[edit.value])
    const text = JSON.stringify(value)
    const migration = one("config.json", text, "portkey")
    expectSound(migration, [{ file: "config.json", text }])
    expect(shown(migration)).not.toContain("sk-base")
    expect(migration.variables.map(({ name }) => name)).not.toContain("HOME")
  }
)
