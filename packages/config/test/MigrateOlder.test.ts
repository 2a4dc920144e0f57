// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax that is tested
import { readdirSync, readFileSync } from "node:fs"
import * as Problem from "@echelon/config/Problem"
import { expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { parse, stringify } from "smol-toml"
import { expectSound, outcomes, run, shown } from "./support/Migration.ts"

const folder = new URL("./fixtures/migrate/older/", import.meta.url)
const inputs = readdirSync(folder, { recursive: true })
  .map((name) => String(name).replaceAll("\\", "/"))
  .filter((name) => name.endsWith(".toml"))
  .map((place) => ({ file: `older/${place}`, place, text: readFileSync(new URL(place, folder), "utf8") }))

const at = (place: string, text: string) => ({ file: place, place, text })
const tomls = (migration: ReturnType<typeof run>) =>
  Object.fromEntries(Object.entries(migration.files).map(([file, text]) => [file, parse(text)]))

it("old names and places become the new ones, and no secret is seen", () => {
  const migration = run(inputs)
  expectSound(migration, inputs)
  expect(shown(migration)).not.toContain("older-secret")
  expect(tomls(migration)).toEqual({
    "global.toml": {
      routing: { default_wrapper: "pool_wrapper" },
      llms: { groups: { fast_group: { fallback_config: { retry_delay: 1 } } } }
    },
    "llms/groups/fast_group.toml": {
      name: "fast_group",
      echelon1: { models: ["openai-gpt4"], concurrency_limit: 10, rpm_limit: 100, timeout: 30 },
      echelon2: { models: ["anthropic-claude-3-opus"] },
      fallback_config: { circuit_breaker: { failure_threshold: 5, recovery_time: 60 } }
    },
    "llms/groups/openai-gpt4_group.toml": {
      name: "openai-gpt4_group",
      echelon1: { models: ["openai-gpt4"], timeout: 30, max_retries: 3, temperature: 0.7 },
      fallback_config: { circuit_breaker: { failure_threshold: 4 } }
    },
    "llms/polling_pools/fast_pool.toml": { task_groups: ["fast_group"], rotation_strategy: "round_robin" },
    "llms/polling_pools/openai-gpt4.toml": {
      name: "openai-gpt4",
      task_groups: ["openai-gpt4_group"],
      rate_limiting: { enabled: true, algorithm: "token_bucket", token_bucket: { bucket_size: 20, refill_rate: 2 } }
    },
    "llms/provider/anthropic.toml": {
      kind: "anthropic",
      api_key: "${ANTHROPIC_API_KEY}",
      models: { "claude-3-opus": { model: "claude-3-opus-20240229", max_output_tokens: 4096, context_window: 200000 } }
    },
    "llms/provider/openai.toml": {
      name: "openai",
      kind: "openai",
      base_url: "https://api.openai.com/v1",
      api_key: "${OPENAI_API_KEY}",
      models: { gpt4: { model: "gpt-4", rpm_limit: 100 } }
    },
    "llms/wrappers/pool_wrapper.toml": {
      type: "pool",
      default_config: { pool_name: "fast_pool" },
      monitoring: { metrics_enabled: true },
      performance: { request_timeout: 30, queue_size: 1000 }
    }
  })
  expect(outcomes(migration)).toMatchObject({ "tier2.colour": "lost", "tier1.timeout_ms": "approximated" })
})

it("a key that is not known is lost with the nearest one of its table, as it is called now", () => {
  const notes = (place: string, text: string) =>
    Object.fromEntries(
      run([at(place, text)]).entries.flatMap(({ key, note, outcome }) => (outcome === "lost" ? [[key, note]] : []))
    )
  expect(
    notes(
      "llms/groups/a.toml",
      '[tier1]\nmodels = ["o-a"]\ntimout = 3\nmaxRetrys = 2\nflavour = 1\n[falback_config]\nx = 1'
    )
  ).toEqual({
    "tier1.timout": 'a key that is not known here; did you mean "timeout"?',
    "tier1.maxRetrys": 'a key that is not known here; did you mean "max_retries"?',
    "tier1.flavour": "a key that is not known here",
    "falback_config.x": 'a key that is not known here; did you mean "fallback_config"?'
  })
  expect(notes("global.toml", '[rooting]\nx = 1\n[llms.groups.a.echelon1]\nmodels = ["o-a"]\ntimout = 3')).toEqual({
    "rooting.x": 'a key that is not known here; did you mean "routing"?',
    "llms.groups.a.echelon1.timout": 'a key that is not known here; did you mean "timeout"?'
  })
})

it("a file that needs no change stays as it is, comments and all", () => {
  const file = "llms/polling_pools/fast_pool.toml"
  expect(run(inputs).files[file]).toBe(inputs.find(({ place }) => place === file)?.text)
})

it("a client inherits from the files that it names", () => {
  const client = (text: string) =>
    run([
      at(
        "llms/provider/openai/common.toml",
        'type = "openai"\napi_key = "${OPENAI_API_KEY}"\ntimeout = 20\nmax_retries = 1'
      ),
      at("llms/provider/openai/gpt4.toml", text)
    ])
  const migration = client('inherits_from = "common.toml"\nname = "openai-gpt4"\nmodel = "gpt-4"\ntimeout = 40')
  expect(tomls(migration)).toEqual({
    "llms/groups/openai-gpt4.toml": {
      name: "openai-gpt4",
      echelon1: { models: ["openai-gpt4"], timeout: 40, max_retries: 1 }
    },
    "llms/provider/openai.toml": {
      name: "openai",
      kind: "openai",
      api_key: "${OPENAI_API_KEY}",
      models: { gpt4: { model: "gpt-4" } }
    }
  })
  expect(migration.entries.find(({ key, outcome }) => key === "timeout" && outcome === "lost")?.note).toBe(
    "another key says the same, and was taken"
  )
  const alone = client('inherits_from = "other.toml"\ntype = "openai"\nmodel = "gpt-4"')
  expect(alone.entries.find(({ key }) => key === "inherits_from")).toMatchObject({
    outcome: "lost",
    note: "the file that it names was not given"
  })
})

it("groups name clients by their new names", () => {
  const migration = run([
    at("llms/provider/a.toml", 'name = "openai-gpt4"\ntype = "openai"\nmodel = "gpt-4"\napiKey = "${A}"'),
    at("llms/provider/b.toml", 'name = "openai-mini"\ntype = "openai"\nmodel = "gpt-4o-mini"\napiKey = "${B}"'),
    at("llms/groups/g.toml", '[echelon1]\nmodels = ["openai-gpt4", "openai-mini"]')
  ])
  expect(tomls(migration)["llms/groups/g.toml"]).toEqual({ echelon1: { models: ["openai-gpt4", "openai-2-mini"] } })
  expect(migration.problems).toEqual([])
})

it("fallbacks of clients become echelons", () => {
  const migration = run([
    at("a.toml", 'name = "big"\ntype = "openai"\nmodel = "gpt-4"\nfallback_models = ["small"]'),
    at("b.toml", 'name = "small"\ntype = "openai"\nmodel = "gpt-4o-mini"')
  ])
  expect(tomls(migration)["llms/groups/big.toml"]).toMatchObject({
    echelon1: { models: ["openai-big"] },
    echelon2: { models: ["openai-small"] }
  })
})

it("says what is still to mend when a file names what was not given", () => {
  const migration = run([at("llms/groups/g.toml", '[tier1]\nmodels = ["openai-gpt4"]')])
  expect(migration.problems.map(Problem.format)).toEqual([
    '/llms/groups/g.toml:4:11 error llms.groups.g.echelon1.models[0]: unknown instance "openai-gpt4"; none is configured'
  ])
})

const flatFiles = {
  "openai.toml": 'type = "openai"\napiKey = "${OPENAI_API_KEY}"\n[models.gpt4]\nmodel = "gpt-4"',
  "fast_group.toml": '[echelon1]\nmodels = ["openai-gpt4"]',
  "fast_pool.toml": 'inherits_from = "common.toml"\ntask_groups = ["fast_group"]',
  "common.toml": "[slow_start]\nduration = 5",
  "pool_wrapper.toml": '# mine\ntype = "pool"\n[default_config]\npool_name = "fast_pool"'
}

it("files of a flat folder come where they belong, with what they inherit", () => {
  const files = Object.entries(flatFiles).map(([place, text]) => at(place, text))
  const migration = run(files)
  expectSound(migration, files)
  expect(migration.current).toBe(false)
  expect(tomls(migration)).toEqual({
    "common.toml": { slow_start: { duration: 5 } },
    "llms/groups/fast_group.toml": { echelon1: { models: ["openai-gpt4"] } },
    "llms/polling_pools/fast_pool.toml": { inherits_from: "../../common.toml", task_groups: ["fast_group"] },
    "llms/provider/openai.toml": {
      kind: "openai",
      api_key: "${OPENAI_API_KEY}",
      models: { gpt4: { model: "gpt-4" } }
    },
    "llms/wrappers/pool_wrapper.toml": { type: "pool", default_config: { pool_name: "fast_pool" } }
  })
  expect(migration.files["llms/wrappers/pool_wrapper.toml"]).toBe(flatFiles["pool_wrapper.toml"])
})

it("a provider alone in a flat folder is a provider", () => {
  for (const text of [flatFiles["openai.toml"], 'type = "openai"\napi_key = "${OPENAI_API_KEY}"']) {
    const migration = run([at("openai.toml", text)])
    expect([migration.current, Object.keys(migration.files)]).toEqual([false, ["llms/provider/openai.toml"]])
    expect(tomls(migration)["llms/provider/openai.toml"]).toMatchObject({ kind: "openai" })
    expect(outcomes(migration)).toMatchObject({ type: "carried" })
  }
})

it("a tree below the folder that was given is that tree", () => {
  const places = {
    "global.toml": 'default_pool = "p"',
    "llms/common.toml": "rotation_strategy = 'random'",
    "llms/polling_pools/p.toml": 'inherits_from = "../common.toml"\ntask_groups = ["g"]',
    "llms/groups/g.toml": '[echelon1]\nmodels = ["openai-gpt4"]',
    "llms/provider/openai.toml": 'kind = "openai"\napi_key = "${A}"\n[models.gpt4]'
  }
  const files = Object.entries(places).map(([place, text]) => at(`my/configs/${place}`, text))
  const migration = run(files)
  expectSound(migration, files)
  expect(Object.keys(migration.files)).toEqual(Object.keys(places).sort())
  expect(tomls(migration)["llms/polling_pools/p.toml"]).toMatchObject({ inherits_from: "../common.toml" })
})

it("a parent that was not given is left out, so that the tree can be used", () => {
  const pool = (inherits: string) => [
    at("llms/polling_pools/p.toml", `${inherits}\ntask_groups = ["g"]`),
    at("llms/polling_pools/base.toml", 'task_groups = ["g"]'),
    at("llms/groups/g.toml", '[echelon1]\nmodels = ["openai-gpt4"]'),
    at("llms/provider/openai.toml", 'kind = "openai"\napi_key = "${A}"\n[models.gpt4]')
  ]
  const gone = run(pool('inherits_from = "../global.toml"'))
  expectSound(gone, pool('inherits_from = "../global.toml"'))
  expect(gone.entries.find(({ key }) => key === "inherits_from")).toMatchObject({
    outcome: "lost",
    note: "the file that it names was not given"
  })
  const one = run(pool('inherits_from = ["base.toml", "../global.toml"]'))
  expectSound(one, pool('inherits_from = ["base.toml", "../global.toml"]'))
  expect(tomls(one)["llms/polling_pools/p.toml"]).toMatchObject({ inherits_from: ["base.toml"] })
  expect(outcomes(one)).toMatchObject({ inherits_from: "approximated" })
  expect(run(pool('extends = "base"')).problems).toEqual([])
  expect(run(pool('inherits_from = "base.toml"')).current).toBe(true)
})

it("references with a colon, and lists of supported models, become instances", () => {
  const files = [
    at(
      "llms/provider/openai.toml",
      'provider = "openai"\napi_key = "hunter2q"\ntimeout = 30\nmodel = "gpt-4"\nsupportedModels = ["gpt-4", "gpt-4o-mini"]'
    ),
    at(
      "llms/groups/fast_group.toml",
      '[echelon1]\nmodels = ["openai:gpt-4", "anthropic:claude-3-opus", "openai/gpt-3.5-turbo"]\n[echelon2]\nmodels = ["openai-gpt-4o-mini"]'
    ),
    at("llms/polling_pools/fast_pool.toml", 'task_groups = ["fast_group"]\ninherits_from = "../global.toml"')
  ]
  const migration = run(files)
  expectSound(migration, files)
  expect(shown(migration)).not.toContain("hunter2q")
  const written = tomls(migration)
  expect(written["llms/groups/fast_group.toml"]).toEqual({
    echelon1: { models: ["openai-gpt-4", "anthropic-claude-3-opus", "openai-gpt-3.5-turbo"] },
    echelon2: { models: ["openai-gpt-4o-mini"] }
  })
  expect(written["llms/provider/openai.toml"]).toMatchObject({
    api_key: "${OPENAI_API_KEY}",
    models: {
      "gpt-4": { model: "gpt-4" },
      "gpt-4o-mini": { model: "gpt-4o-mini" },
      "gpt-3.5-turbo": { model: "gpt-3.5-turbo" }
    }
  })
  expect(migration.files["llms/provider/openai.toml"]).toContain('kind = "openai" # provider\n')
  expect(written["llms/provider/anthropic.toml"]).toEqual({
    name: "anthropic",
    kind: "anthropic",
    api_key: "${ANTHROPIC_API_KEY}",
    models: { "claude-3-opus": { model: "claude-3-opus" } }
  })
  expect(outcomes(migration)).toMatchObject({
    supportedModels: "carried",
    "echelon1.models": "approximated",
    "echelon2.models": "carried",
    inherits_from: "lost"
  })
})

it("models that a provider's file lists, and references to them by their names on the wire", () => {
  const files = [
    at("llms/provider/acme.toml", 'kind = "openai"\napi_key = "${A}"\nsupportedModels = ["gpt-4", "org/big:1"]'),
    at("llms/provider/other.toml", 'kind = "groq"\napi_key = "${B}"\n[models.small]\nmodel = "llama-3.1-8b"'),
    at(
      "llms/groups/g.toml",
      '# mine\n[echelon1]\nmodels = ["acme:gpt-4", "acme:org/big:1", "groq:llama-3.1-8b", "other-llama-3.1-8b"]'
    ),
    at("llms/groups/same.toml", '# mine\n[echelon1]\nmodels = ["other-small"]')
  ]
  const migration = run(files)
  expectSound(migration, files)
  expect(tomls(migration)["llms/provider/acme.toml"]).toEqual({
    kind: "openai",
    api_key: "${A}",
    models: { "gpt-4": { model: "gpt-4" }, "big-1": { model: "org/big:1" } }
  })
  expect(tomls(migration)["llms/groups/g.toml"]).toEqual({
    echelon1: { models: ["acme-gpt-4", "acme-big-1", "other-small", "other-small"] }
  })
  expect(migration.files["llms/groups/same.toml"]).toContain("# mine")
})

it("an alias with a colon is a name as it is", () => {
  const migration = run([
    at("llms/provider/ollama.toml", 'kind = "ollama"\n[models."llama3.1:8b"]'),
    at("llms/groups/g.toml", '[echelon1]\nmodels = ["ollama-llama3.1:8b"]')
  ])
  expect([migration.current, migration.problems]).toEqual([true, []])
})

it("clients at Bedrock and Vertex AI, and Gemini at the address of OpenAI's protocol", () => {
  const migration = run([
    at(
      "a.toml",
      'type = "bedrock"\nmodel = "amazon.nova-lite-v1:0"\nregion = "eu-west-1"\naccessKeyId = "hunter2q"\nsecretAccessKey = "${S}"'
    ),
    at("b.toml", 'type = "vertex"\nmodel = "gemini-2.5-pro"\nregion = "global"\nproject = "p"'),
    at("c.toml", 'type = "gemini"\nmodel = "gemini-2.5-pro"\nbaseUrl = "https://h.test/v1beta/openai"'),
    at("llms/provider/d.toml", 'type = "google"\nendpoint = "https://h.test/v1beta/openai/"\n[models.a]')
  ])
  expect(migration.problems).toEqual([])
  expect(shown(migration)).not.toContain("hunter2q")
  const written = tomls(migration)
  expect(written["llms/provider/bedrock.toml"]).toMatchObject({
    region: "eu-west-1",
    access_key_id: "${AWS_ACCESS_KEY_ID}",
    secret_access_key: "${S}"
  })
  expect(written["llms/provider/vertex.toml"]).toMatchObject({ kind: "vertex", region: "global", project: "p" })
  expect(written["llms/provider/gemini-openai.toml"]).toMatchObject({ kind: "gemini-openai" })
  expect(written["llms/provider/d.toml"]).toMatchObject({ kind: "gemini-openai" })
})

it("what stands at its place wins over what is moved there", () => {
  const migration = run([
    at("llms/provider/openai.toml", 'kind = "openai"\napi_key = "${A}"\n[models.gpt4]'),
    at("llms/groups/g.toml", '[echelon1]\ntimeoutMs = 5000\nmodels = ["openai-gpt4"]\ntimeout = 9\nrequest_timeout = 7')
  ])
  expect(tomls(migration)["llms/groups/g.toml"]).toEqual({ echelon1: { models: ["openai-gpt4"], timeout: 9 } })
  expect(outcomes(migration)).toMatchObject({
    "echelon1.timeoutMs": "lost",
    "echelon1.timeout": "carried",
    "echelon1.request_timeout": "lost"
  })
})

it("a literal secret in a file that is otherwise current is not copied beside files that change", () => {
  const migration = run([
    at(
      "llms/provider/openai.toml",
      'kind = "openai"\napi_key = "sk-lit"\n[headers]\nx = "${A:-sk-lit}"\nauthorization = "Bearer ${B}"'
    ),
    at("llms/wrappers/w.toml", 'poolName = "p"')
  ])
  expect(shown(migration)).not.toContain("sk-lit")
  expect(tomls(migration)["llms/provider/openai.toml"]).toEqual({
    kind: "openai",
    api_key: "${OPENAI_API_KEY}",
    headers: { x: "${OPENAI_HEADERS_X}", authorization: "Bearer ${B}" }
  })
})

const current = {
  "llms/provider/openai.toml": {
    kind: "openai",
    api_key: "${OPENAI_API_KEY}",
    base_url: "https://api.openai.com/v1",
    models: {
      gpt4: { model: "gpt-4", max_output_tokens: 4096, context_window: 8192, rpm_limit: 5, capabilities: ["tools"] }
    }
  },
  "llms/groups/g.toml": {
    name: "g",
    echelon1: {
      models: ["openai-gpt4"],
      concurrency_limit: 2,
      rpm_limit: 3,
      timeout: 30,
      max_retries: 1,
      max_tokens: 5,
      priority: 1
    },
    echelon2: { models: ["openai-gpt4"], ttft_timeout: 4, idle_timeout: 8 },
    fallback_config: {
      strategy: "echelon_down",
      fallback_groups: ["g.echelon2"],
      retry_delay: 1,
      circuit_breaker: { failure_threshold: 5, recovery_time: 60, half_open_requests: 1 }
    }
  },
  "llms/polling_pools/p.toml": {
    task_groups: ["g"],
    rotation_strategy: "least_busy",
    health_check: { interval: 30, failure_threshold: 3, recovery_time: 60 },
    fallback_config: { strategy: "instance_rotation", max_instance_attempts: 2 },
    rate_limiting: { enabled: true, algorithm: "token_bucket", token_bucket: { bucket_size: 10, refill_rate: 2 } }
  },
  "llms/wrappers/w.toml": {
    type: "pool",
    default_config: { pool_name: "p", enable_metrics: true },
    monitoring: { metrics_enabled: true, health_check_interval: 30 },
    performance: { request_timeout: 30, max_concurrent_requests: 5, queue_size: 9 }
  },
  "global.toml": { routing: { default_wrapper: "w" }, shutdown: { shutdown_grace: 10 }, reload: { watch: true } }
} as const

const camel = (key: string): string => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())

const spellings = ["as it is", "camel case", "in milliseconds", "in milliseconds, camel case"] as const
type Spelling = (typeof spellings)[number]
const times = /(timeout|_time|interval|retry_delay|shutdown_grace)$/

/** Writes a tree as it would have been written before; `pick` chooses for each key. */
const aged = (value: unknown, pick: () => Spelling, path: ReadonlyArray<string>): unknown => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => {
      const spelling = path.at(-1) === "models" ? "as it is" : pick()
      const time = typeof inner === "number" && times.test(key) && spelling.startsWith("in")
      const name = time ? `${key}_ms` : key
      const old = spelling.endsWith("camel case") ? camel(name) : name
      return [old, time ? inner * 1000 : aged(inner, pick, [...path, key])]
    })
  )
}

it.prop(
  "whatever way the keys were written, the tree comes out the same, and each key is told once",
  { choices: Schema.Array(Schema.Literals(spellings)) },
  ({ choices }) => {
    let next = 0
    const pick = (): Spelling => choices[next++ % Math.max(choices.length, 1)] ?? "as it is"
    const old = Object.entries(current).map(([place, value]) => {
      const table = aged(value, pick, [])
      return at(place, stringify(table as Record<string, unknown>))
    })
    const migration = run(old)
    expectSound(migration, old)
    expect(tomls(migration)).toEqual(current)
    expect(migration.entries.filter(({ outcome }) => outcome === "lost")).toEqual([])
    expect(migration.current).toBe(
      old.every(({ place, text }) => text === stringify(current[place as keyof typeof current]))
    )
  }
)

const Value = Schema.Union([Schema.String, Schema.Int, Schema.Boolean, Schema.Array(Schema.String)])

it.prop(
  "keys that nobody knows are lost, and said to be",
  { extra: Schema.Record(Schema.String, Value), place: Schema.Literals(Object.keys(current)) },
  ({ extra, place }) => {
    const own: Record<string, unknown> = current[place as keyof typeof current]
    const added = Object.entries(extra)
      .filter(([key]) => key.isWellFormed() && key !== "__proto__" && key !== "constructor")
      .map(([key, value]) => [`zz ${key}`, typeof value === "string" ? value.toWellFormed() : value] as const)
      .filter(([, value]) => !Array.isArray(value) || value.every((text) => text.isWellFormed()))
    const old = Object.entries(current).map(([one, value]) =>
      at(one, stringify(one === place ? { ...own, ...Object.fromEntries(added) } : value))
    )
    const migration = run(old)
    expectSound(migration, old)
    expect(migration.entries.filter(({ outcome }) => outcome === "lost").length).toBe(
      new Set(added.map(([key]) => key)).size
    )
    expect(tomls(migration)).toEqual(current)
  }
)

it.each([
  ["https://h/v1?key=hunter2q", "https://h/v1"],
  ["https://u:hunter2q@h:80/v1/", "https://h:80/v1/"],
  ["https://u:hunter2q/x@h/v1#hunter2q", "https://h/v1"],
  ["https://u:${PW}@${HOST}:${PORT:-80}/v1?key=${KEY:-hunter2q}", "https://${HOST}:${PORT:-80}/v1"],
  ["${BASE:-https://u:hunter2q@h/v1?key=hunter2q}", "${BASE:-https://h/v1}"]
])("an address is carried over without what may be secret in it: %s", (stated, address) => {
  const note = "user, password, query and fragment were left out: they may be secret"
  for (const text of [
    `kind = "openai"\nbaseUrl = "${stated}"\napi_key = "\${A}"\n[models.gpt4]`,
    `type = "openai"\nmodel = "gpt-4"\nbaseUrl = "${stated}"\napi_key = "\${A}"`
  ]) {
    const source = at("llms/provider/openai.toml", text)
    const migration = run([source])
    expectSound(migration, [source])
    expect(tomls(migration)["llms/provider/openai.toml"]).toMatchObject({ base_url: address })
    expect(migration.entries.find(({ key }) => key === "baseUrl")).toMatchObject({ outcome: "approximated", note })
    expect(shown(migration) + Object.values(migration.files).join("\n")).not.toContain("hunter2q")
  }
})

it("an address with a query in a file that is otherwise current is not copied", () => {
  const files = [
    at("llms/provider/openai.toml", 'kind = "openai"\nbase_url = "https://h/v1?key=hunter2q"\napi_key = "${A}"'),
    at("llms/wrappers/w.toml", 'poolName = "p"')
  ]
  const migration = run(files)
  expect(tomls(migration)["llms/provider/openai.toml"]).toMatchObject({ base_url: "https://h/v1" })
  // An address has no query now, so the file alone is not current either.
  const alone = run(files.slice(0, 1))
  expect(alone.current).toBe(false)
  expect(tomls(alone)["llms/provider/openai.toml"]).toMatchObject({ base_url: "https://h/v1" })
  expect(outcomes(alone)).toMatchObject({ base_url: "approximated" })
  expect(shown(alone)).not.toContain("hunter2q")
})

it("a variable alone is an address as it is", () => {
  const migration = run([at("llms/provider/openai.toml", 'kind = "openai"\nbaseUrl = "${BASE:?set it}"\n[models.a]')])
  expect(tomls(migration)["llms/provider/openai.toml"]).toMatchObject({ base_url: "${BASE:?set it}" })
  expect(outcomes(migration)).toMatchObject({ baseUrl: "carried" })
})

it("keys in lists of tables are renamed too", () => {
  const source = at(
    "llms/provider/openai.toml",
    'kind = "openai"\n[[credentials]]\nname = "a"\napiKey = "${A}"\n[[credentials]]\nName = "b"\nkey = "hunter2q"\nWeight = 2\n[models.gpt4]'
  )
  const migration = run([source])
  expectSound(migration, [source])
  expect(tomls(migration)["llms/provider/openai.toml"]).toMatchObject({
    credentials: [
      { name: "a", api_key: "${A}" },
      { name: "b", api_key: "${OPENAI_CREDENTIALS_API_KEY}", weight: 2 }
    ]
  })
  expect(shown(migration)).not.toContain("hunter2q")
})

it("a key that stands in a list of tables already wins over one that is renamed", () => {
  const migration = run([
    at(
      "llms/provider/openai.toml",
      'kind = "openai"\n[[credentials]]\nname = "a"\napiKey = "${OLD}"\napi_key = "${A}"\n[models.gpt4]'
    )
  ])
  expect(tomls(migration)["llms/provider/openai.toml"]).toMatchObject({ credentials: [{ name: "a", api_key: "${A}" }] })
})
