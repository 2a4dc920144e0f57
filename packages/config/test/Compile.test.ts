// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax that is tested

import * as Problem from "@echelon/config/Problem"
import { Plan } from "@echelon/core"
import { expect, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as Sample from "./support/Sample.ts"

const openai = "llms/provider/openai.toml"
const group = "llms/groups/fast_group.toml"
const pool = "llms/polling_pools/fast_pool.toml"
const wrapper = "llms/wrappers/pool_wrapper.toml"

it("fills every default in one place", () => {
  const plan = Sample.plan()
  expect(plan.providers["openai"]).toMatchObject({
    kind: "openai",
    baseUrl: undefined,
    defaultModel: "gpt4",
    connectTimeout: 5_000,
    maxConnections: 256,
    keepAlive: 30_000,
    maxResponseBytes: 67_108_864,
    maxEventBytes: 4_194_304,
    maxCooldown: 3_600_000,
    limitScope: "model",
    healthCheck: undefined
  })
  expect(plan.groups["fast_group"]).toEqual({
    _tag: "TaskGroup",
    name: "fast_group",
    description: undefined,
    echelons: [
      {
        _tag: "Echelon",
        name: "echelon1",
        group: "fast_group",
        instances: ["openai-gpt4"],
        priority: 1,
        limits: { concurrency: undefined, rpm: undefined, tpm: undefined, rpd: undefined },
        clocks: { attempt: 30_000, ttft: undefined, idle: 60_000, stream: undefined, consumerIdle: 300_000 },
        maxRetries: 2,
        settings: {},
        rotation: "round_robin",
        upstream: "as_asked",
        hedge: undefined
      },
      expect.objectContaining({ name: "echelon2", priority: 2 })
    ],
    fallback: {
      strategy: "echelon_down",
      echelons: ["fast_group.echelon2"],
      maxAttempts: 2,
      retryDelay: 500,
      retryMaxDelay: 8_000,
      maxTotalAttempts: undefined,
      maxRetryAfterWait: 5_000,
      contentPolicyFallback: false,
      onInterrupt: ["fail"],
      commit: "first_output",
      breaker: {
        failureThreshold: 5,
        recoveryTime: 60_000,
        maxRecoveryTime: 300_000,
        halfOpenRequests: 1,
        failureRate: undefined,
        window: 30_000,
        minimumRequests: 20,
        slowCall: undefined,
        slowRate: 0.5
      }
    }
  })
  expect(plan.pools["fast_pool"]).toEqual({
    _tag: "Pool",
    name: "fast_pool",
    description: undefined,
    taskGroups: ["fast_group"],
    rotation: "round_robin",
    fallback: { strategy: "instance_rotation", maxInstanceAttempts: 2, maxEjected: 1 },
    healthCheck: {
      interval: 30_000,
      failureThreshold: 3,
      recoveryTime: 60_000,
      active: true,
      budgetPerHour: 60,
      maxCostPerHour: 0.1
    },
    retryBudget: { ratio: 0.2, minPerSecond: 10 },
    rateLimit: undefined,
    sticky: { loadBound: 1.25, ttl: 600_000 },
    slowStart: { duration: 30_000, minShare: 0.1 },
    cache: undefined,
    coalesce: false
  })
  expect(plan.wrappers["pool_wrapper"]).toMatchObject({
    target: { kind: "pool", name: "fast_pool" },
    requestTimeout: undefined,
    maxConcurrentRequests: undefined,
    queueSize: 0,
    healthCheck: { enabled: true, interval: undefined },
    metrics: true,
    alerting: true
  })
  expect(plan.routing).toEqual({ defaultWrapper: undefined, defaultPool: undefined, defaultProvider: undefined })
  expect(plan.shutdownGrace).toBe(30_000)
})

it("carries every stated key into the plan", () => {
  const plan = Sample.plan({
    [group]: `name = "g"
[echelon7]
models = ["openai-gpt4"]
concurrency_limit = 1
rpm_limit = 2
tpm_limit = 3
ttft_timeout = 4
stream_timeout = 5
consumer_idle_timeout = 6
temperature = 0.5
max_tokens = 7
top_p = 0.8
stop = "x"
seed = 9
rotation_strategy = "weighted"
upstream = "stream"
[echelon7.hedge]
percentile = 0.9
[echelon10]
models = ["openai-gpt4"]
[echelon1]
models = ["openai-gpt4"]
priority = 20
[fallback_config]
strategy = "none"
max_total_attempts = 4
on_interrupt = ["resume", "restart"]
commit = "finish"
content_policy_fallback = true
circuit_breaker = { failure_rate = 0.5, slow_call = 3 }
`,
    [pool]: `task_groups = ["g"]
[rate_limiting]
enabled = true
algorithm = "sliding_window"
sliding_window = { limit = 5, window = "1m" }
[cache]
enabled = true
`,
    [wrapper]: `type = "task_group"
default_config = { group_name = "g", enable_metrics = true }
monitoring = { metrics_enabled = false, health_check_interval = 7 }
performance = { request_timeout = 8, max_concurrent_requests = 9, queue_size = 10 }
tenants = { a = 2, constructor_ = 1 }
`
  })
  const found = plan.groups["g"]
  expect(found?.echelons.map(({ name, priority }) => [name, priority])).toEqual([
    ["echelon7", 7],
    ["echelon10", 10],
    ["echelon1", 20]
  ])
  expect(found?.echelons[0]).toMatchObject({
    limits: { concurrency: 1, rpm: 2, tpm: 3 },
    clocks: { ttft: 4_000, stream: 5_000, consumerIdle: 6_000 },
    settings: { temperature: 0.5, maxOutputTokens: 7, topP: 0.8, stop: ["x"], seed: 9 },
    rotation: "weighted",
    upstream: "stream",
    hedge: { percentile: 0.9, minDelay: 500, budget: 0.05 }
  })
  expect(found?.fallback).toMatchObject({
    strategy: "none",
    echelons: ["g.echelon10", "g.echelon1"],
    maxAttempts: 3,
    maxTotalAttempts: 4,
    onInterrupt: ["resume", "restart"],
    commit: "finish",
    contentPolicyFallback: true,
    breaker: { failureRate: 0.5, slowCall: 3_000 }
  })
  expect(plan.pools["fast_pool"]?.rateLimit).toEqual({ algorithm: "sliding_window", limit: 5, window: 60_000 })
  expect(plan.pools["fast_pool"]?.cache).toEqual({ ttl: 300_000, capacity: 10_000 })
  expect(plan.wrappers["pool_wrapper"]).toMatchObject({
    target: { kind: "group", name: "g" },
    requestTimeout: 8_000,
    maxConcurrentRequests: 9,
    queueSize: 10,
    tenants: { a: 2 },
    metrics: false,
    healthCheck: { enabled: true, interval: 7_000 }
  })
})

it("records of a plan hold nothing that no file named", () => {
  const plan = Sample.plan()
  expect(plan.pools["constructor"]).toBeUndefined()
  expect(plan.instances["toString"]).toBeUndefined()
})

it("each model with each credential is an instance, and the bare name means all", () => {
  const plan = Sample.plan(
    {
      [openai]: `kind = "openai"
[[credentials]]
name = "a"
api_key = "\${A}"
weight = 3
[[credentials]]
name = "b"
api_key = "\${B}"
[models.gpt4]
[models."gpt3.5-turbo"]
weight = 2
`
    },
    { variables: { A: "sk-a" } }
  )
  expect(Object.keys(plan.instances)).toEqual(["openai-gpt4@a", "openai-gpt3.5-turbo@a"])
  expect(plan.disabled).toEqual({ "openai-gpt4@b": "B", "openai-gpt3.5-turbo@b": "B" })
  expect(plan.groups["fast_group"]?.echelons[0]?.instances).toEqual(["openai-gpt4@a", "openai-gpt4@b"])
  const instance = plan.instances["openai-gpt3.5-turbo@a"]
  expect(instance?.alias).toBe("gpt3.5-turbo")
  expect(instance?.model.model).toBe("gpt3.5-turbo")
  expect(instance?.model.weight).toBe(2)
  expect(instance?.credential.weight).toBe(3)
  expect(instance?.credential.key === undefined ? "" : Redacted.value(instance.credential.key)).toBe("sk-a")
  expect(plan.providers["openai"]?.credentials.map(({ name }) => name)).toEqual(["a"])
})

it("a plan never shows a key when it is dumped", () => {
  const plan = Sample.plan({
    [openai]: `${Sample.files[openai]?.replace("[models", '[headers]\nx = "sk-head"\n[models')}`
  })
  expect(JSON.stringify(plan)).not.toContain("sk-")
})

it("the catalogue fills what the file leaves open, and nothing more", () => {
  const { catalogue } = Sample
  const facts = Sample.plan({}, { catalogue }).instances["openai-gpt4"]?.model
  expect(facts?.capabilities).toEqual({ contextWindow: 8192, features: ["tools"], maxOutputTokens: undefined })
  expect(facts?.prices).toEqual({ input: 30, output: 60 })
  const text = `${Sample.files[openai]}\n[models.mine]\nmodel = "gpt-4"\ncontext_window = 5\noutput_price = 1\ncached_input_price = 2\ncapabilities = []`
  const mine = Sample.plan({ [openai]: text }, { catalogue }).instances["openai-mine"]?.model
  expect(mine?.capabilities).toEqual({ contextWindow: 5, features: [], maxOutputTokens: undefined })
  expect(mine?.prices).toEqual({ input: 30, output: 1, cachedInput: 2 })
})

it("prices of the cache and of batches come from the file, else from the catalogue, and need the others", () => {
  const known = { input: 3, output: 15, cachedInput: 0.3, cacheWrite: 3.75, batchDiscount: 0.5 }
  const catalogue = { ...Sample.catalogue, model: () => ({ prices: known }) }
  const text = `${Sample.files[openai]}\n[models.mine]\ncache_write_price = 4\nbatch_discount = 0.25`
  const plan = Sample.plan({ [openai]: text }, { catalogue })
  expect(plan.instances["openai-gpt4"]?.model.prices).toEqual(known)
  expect(plan.instances["openai-mine"]?.model.prices).toEqual({ ...known, cacheWrite: 4, batchDiscount: 0.25 })
  const alone = (line: string) => Sample.problems({ [openai]: `${Sample.files[openai]}\n[models.mine]\n${line}` })
  expect(alone("cache_write_price = 4")).toEqual([expect.stringContaining("missing beside cache_write_price")])
  expect(alone("batch_discount = 0.5")).toEqual([expect.stringContaining("missing beside batch_discount")])
})

it("a provider says how tokens are counted", () => {
  const of = (line: string) =>
    Sample.plan({ [openai]: `${line}\n${Sample.files[openai]}` }).providers["openai"]?.tokenizer
  expect([of(""), of('tokenizer = "exact"')]).toEqual(["estimate", "exact"])
  expect(Sample.problems({ [openai]: `tokenizer = "best"\n${Sample.files[openai]}` })).toEqual([
    expect.stringContaining("estimate")
  ])
})

it("kinds come from the catalogue: unknown ones, and what each needs", () => {
  const { catalogue } = Sample
  expect(
    Sample.problems(
      {
        "llms/provider/b.toml": 'kind = "opnai"',
        "llms/provider/c.toml": 'kind = "openai-compatible"',
        "llms/provider/d.toml": 'kind = "openai-compatible"\nbase_url = "http://127.0.0.1:1/v1"\n[models.m]'
      },
      { catalogue }
    )
  ).toEqual([
    'configs/llms/provider/b.toml:1:1 error llms.provider.b.kind: unknown kind "opnai"; did you mean "openai"?',
    'configs/llms/provider/c.toml:1:1 error llms.provider.c.base_url: missing; the kind "openai-compatible" has no address of its own'
  ])
  expect(Sample.problems({ "llms/provider/b.toml": 'kind = "opnai"' })).toEqual([])
})

it("without api_key the row's own variable is the credential", () => {
  const { catalogue } = Sample
  const without = { [openai]: 'kind = "openai"\n[models.gpt4]\n[models."gpt3.5-turbo"]' }
  const key = Sample.plan(without, { catalogue }).instances["openai-gpt4"]?.credential.key
  expect(key === undefined ? "" : Redacted.value(key)).toBe("sk-sample-1")
  expect(Sample.problems(without, { catalogue, variables: {} })).toEqual([
    "configs/llms/provider:1:1 error llms.provider: no credential is set, so no model can be asked; set OPENAI_API_KEY",
    "configs/llms/provider/openai.toml:1:1 warning llms.provider.openai.api_key: the variable OPENAI_API_KEY is not set, so the instances of this credential are disabled"
  ])
})

const other = (key: string) => `kind = "k"\napi_key = "\${${key}}"\n[models.m]`

it("an unset credential disables its provider only, with a warning", () => {
  const changed = {
    "llms/provider/other.toml": other("OTHER_KEY"),
    [group]: '[echelon1]\nmodels = ["openai-gpt4", "other-m"]'
  }
  expect(Sample.problems(changed)).toEqual([
    "configs/llms/provider/other.toml:2:1 warning llms.provider.other.api_key: the variable OTHER_KEY is not set, so the instances of this credential are disabled"
  ])
  const plan = Sample.plan(changed)
  expect(plan.disabled).toEqual({ "other-m": "OTHER_KEY" })
  expect(plan.instances["other-m"]).toBeUndefined()
  expect(plan.groups["fast_group"]?.echelons[0]?.instances).toEqual(["openai-gpt4", "other-m"])
})

it("a pool with none left is an error, a group a warning, and both say what to set", () => {
  expect(
    Sample.problems({
      "llms/provider/other.toml": other("OTHER_KEY"),
      "llms/groups/lost.toml": '[echelon1]\nmodels = ["other-m"]',
      "llms/polling_pools/lost.toml": 'task_groups = ["lost"]',
      "environments/embedded.toml": ""
    })
  ).toEqual([
    "configs/llms/polling_pools/lost.toml:1:1 error llms.polling_pools.lost: no instance is left; set OTHER_KEY, or use --env embedded, which needs no credential and no network",
    "configs/llms/groups/lost.toml:1:1 warning llms.groups.lost: every instance is disabled; set OTHER_KEY",
    "configs/llms/provider/other.toml:2:1 warning llms.provider.other.api_key: the variable OTHER_KEY is not set, so the instances of this credential are disabled"
  ])
})

it("a credential that must be set is an error, and an empty one counts as not set", () => {
  const text = (key: string) => ({ [openai]: `${Sample.files[openai]}`.replace("${OPENAI_API_KEY}", key) })
  expect(Sample.problems(text("${OPENAI_API_KEY:?see the vault}"), { variables: { OPENAI_API_KEY: "" } })).toEqual([
    "configs/llms/provider/openai.toml:2:1 error llms.provider.openai.api_key: the variable OPENAI_API_KEY is empty: see the vault"
  ])
  const none = Sample.plan(text("${OPENAI_API_KEY:-}"), { variables: {} })
  expect(none.instances["openai-gpt4"]?.credential.key).toBeUndefined()
})

it("unknown references, each with the nearest known name", () => {
  expect(
    Sample.problems({
      "global.toml": '[routing]\ndefault_wrapper = "pool_wraper"\ndefault_pool = "x"\ndefault_provider = "opnai"',
      [openai]: `default_model = "gpt-4"\n${Sample.files[openai]}`,
      [group]:
        '[echelon1]\nmodels = [\n  "openai-gpt4",\n  "openai-gpt5",\n]\n[fallback_config]\nfallback_groups = ["fast_group.echelon2", "slow_group"]',
      [pool]: 'task_groups = ["fast_grop"]',
      [wrapper]: 'type = "pool"\n[default_config]\npool_name = "fast_pol"\ngroup_name = "fast_group"',
      "llms/wrappers/w.toml": 'type = "task_group"',
      "llms/wrappers/v.toml": 'type = "task_group"\n[default_config]\ngroup_name = "fast_groups"'
    })
  ).toEqual([
    'configs/global.toml:2:1 error routing.default_wrapper: unknown wrapper "pool_wraper"; did you mean "pool_wrapper"?',
    'configs/global.toml:3:1 error routing.default_pool: unknown pool "x"; known: "fast_pool"',
    'configs/global.toml:4:1 error routing.default_provider: unknown provider "opnai"; did you mean "openai"?',
    'configs/llms/groups/fast_group.toml:4:3 error llms.groups.fast_group.echelon1.models[1]: unknown instance "openai-gpt5"; did you mean "openai-gpt4"?',
    'configs/llms/groups/fast_group.toml:7:20 error llms.groups.fast_group.fallback_config.fallback_groups[0]: unknown group or echelon "fast_group.echelon2"; did you mean "fast_group.echelon1"?',
    'configs/llms/groups/fast_group.toml:7:43 error llms.groups.fast_group.fallback_config.fallback_groups[1]: unknown group or echelon "slow_group"; did you mean "fast_group"?',
    'configs/llms/polling_pools/fast_pool.toml:1:16 error llms.polling_pools.fast_pool.task_groups[0]: unknown task group "fast_grop"; did you mean "fast_group"?',
    'configs/llms/provider/openai.toml:1:1 error llms.provider.openai.default_model: unknown model "gpt-4"; did you mean "gpt4"?',
    'configs/llms/wrappers/pool_wrapper.toml:3:1 error llms.wrappers.pool_wrapper.default_config.pool_name: unknown pool "fast_pol"; did you mean "fast_pool"?',
    'configs/llms/wrappers/v.toml:3:1 error llms.wrappers.v.default_config.group_name: unknown task group "fast_groups"; did you mean "fast_group"?',
    'configs/llms/wrappers/w.toml:1:1 error llms.wrappers.w.default_config.group_name: missing; a wrapper of type "task_group" needs the name of a task group',
    'configs/llms/wrappers/pool_wrapper.toml:4:1 warning llms.wrappers.pool_wrapper.default_config.group_name: a wrapper of type "pool" does not use this key'
  ])
})

it("a group as a fallback means all its echelons", () => {
  const plan = Sample.plan({
    "llms/groups/other.toml":
      '[echelon1]\nmodels = ["openai-gpt4"]\n[fallback_config]\nfallback_groups = ["fast_group", "other.echelon1"]'
  })
  expect(plan.groups["other"]?.fallback.echelons).toEqual([
    "fast_group.echelon1",
    "fast_group.echelon2",
    "other.echelon1"
  ])
  expect(plan.groups["other"]?.fallback.maxAttempts).toBe(4)
})

it("names that are taken, of files, instances and credentials", () => {
  expect(
    Sample.problems({
      "llms/provider/a.toml": 'kind = "k"\n[models.b-c]',
      "llms/provider/a-b.toml": 'kind = "k"\n[models.c]',
      "llms/polling_pools/second.toml": 'name = "fast_pool"\ntask_groups = ["fast_group"]',
      "llms/provider/two.toml": 'kind = "k"\napi_key = "x"\n[[credentials]]\nname = "n"\n[[credentials]]\nname = "n"'
    })
  ).toEqual([
    'configs/llms/polling_pools/second.toml:1:1 error llms.polling_pools.second.name: the name "fast_pool" is already taken at configs/llms/polling_pools/fast_pool.toml:1:1',
    'configs/llms/provider/a.toml:2:1 error llms.provider.a.models.b-c: another provider already has an instance named "a-b-c"',
    "configs/llms/provider/two.toml:2:1 error llms.provider.two.api_key: stated beside [[credentials]]; state one of the two",
    'configs/llms/provider/two.toml:6:1 error llms.provider.two.credentials[1].name: the name "n" is already taken at configs/llms/provider/two.toml:4:1'
  ])
})

it("what contradicts itself", () => {
  expect(
    Sample.problems({
      [openai]: `${Sample.files[openai]}input_price = 1`,
      [pool]:
        'task_groups = ["fast_group"]\n[rate_limiting]\nenabled = true\nalgorithm = "sliding_window"\n[rate_limiting.token_bucket]\nbucket_size = 1\nrefill_rate = 1'
    })
  ).toEqual([
    'configs/llms/polling_pools/fast_pool.toml:2:1 error llms.polling_pools.fast_pool.rate_limiting.sliding_window: missing; the algorithm "sliding_window" needs this table',
    'configs/llms/provider/openai.toml:7:1 error llms.provider.openai.models."gpt3.5-turbo".output_price: missing beside input_price; a cost needs both'
  ])
  expect(Sample.problems({ [group]: 'description = "empty"' })).toEqual([
    "configs/llms/groups/fast_group.toml:1:1 error llms.groups.fast_group.echelon1: missing; expected at least one [echelonN]"
  ])
})

it.each(Plan.rotations)("accepts the strategy %s, and hands it on", (name) => {
  const file = { [pool]: `task_groups = ["fast_group"]\nrotation_strategy = "${name}"` }
  expect(Sample.problems(file)).toEqual([])
})

it("refuses a strategy that there is not", () => {
  const [problem] = Sample.problems({ [pool]: 'task_groups = ["fast_group"]\nrotation_strategy = "round_robbin"' })
  expect(problem).toContain("llms.polling_pools.fast_pool.rotation_strategy")
  expect(problem).toContain('"round_robin"')
})

it.each([
  ["kind", 'kind = "${OPENAI_API_KEY}"'],
  ["name", 'kind = "openai"\nname = "${OPENAI_API_KEY}"'],
  ["default_model", 'kind = "openai"\ndefault_model = "${OPENAI_API_KEY}"'],
  ["kind", 'kind = "openai"\ncredentials = [{ name = "${OPENAI_API_KEY}" }, { name = "${OPENAI_API_KEY}" }]']
])("what a variable holds is not shown where a name is refused: %s", (_, head) => {
  const text = `${head}\n[models.gpt4]\nmodel = "gpt-4"\n[models."gpt3.5-turbo"]\nmodel = "gpt-3.5-turbo"\n`
  const found = Sample.problems({ [openai]: text, "llms/provider/second.toml": text }, { catalogue: Sample.catalogue })
    // Groups list the names of the instances that there are.
    .filter((line) => !line.includes("unknown instance"))
    .join("\n")
  expect(found).toContain("${OPENAI_API_KEY}")
  expect(found).not.toContain("sk-sample-1")
})

it("what a variable holds is not shown where a default is refused", () => {
  const found = Sample.problems({ "global.toml": '[routing]\ndefault_pool = "${OPENAI_API_KEY}"' }).join("\n")
  expect(found).toContain('unknown pool "${OPENAI_API_KEY}"')
  expect(found).not.toContain("sk-sample-1")
})

it("a name that came from a variable is shown as it was written, in every reference error", () => {
  const variables = { ...Sample.variables, HIDDEN: "sk-hidden-1" }
  const lines = Sample.problems(
    {
      "llms/groups/other.toml":
        '[echelon1]\nmodels = ["${HIDDEN}"]\n[fallback_config]\nfallback_groups = ["${HIDDEN}"]\n',
      "llms/polling_pools/other.toml": 'task_groups = ["${HIDDEN}"]\n',
      "llms/wrappers/other.toml": 'type = "pool"\n[default_config]\npool_name = "${HIDDEN}"\n'
    },
    { variables }
  )
  expect(lines.filter((line) => line.includes("unknown"))).toHaveLength(4)
  expect(lines.join("\n")).not.toContain("sk-hidden")
})

it("a name that a variable holds is in no hint", () => {
  const named = (text: string) => `name = "\${HIDDEN}"\n${text}`
  const files = {
    ...Sample.files,
    "llms/provider/p.toml": named('kind = "openai-compatible"\nbase_url = "http://h"\n[models.m]'),
    "llms/provider/q.toml":
      'kind = "openai-compatible"\nbase_url = "http://h"\n[[credentials]]\nname = "${HIDDEN}"\napi_key = "k"\n[models.m]',
    "llms/groups/g.toml": named(
      '[echelon1]\nmodels = ["hunter3-m", "q-m@hunter3"]\n[fallback_config]\nfallback_groups = ["hunter3"]'
    ),
    "llms/polling_pools/q.toml": named('task_groups = ["hunter3"]'),
    "llms/wrappers/w.toml": named('type = "pool"\ndefault_config = { pool_name = "hunter3" }'),
    "llms/wrappers/v.toml": 'type = "task_group"\ndefault_config = { group_name = "hunter3" }',
    "global.toml": '[routing]\ndefault_wrapper = "hunter3"\ndefault_pool = "hunter3"\ndefault_provider = "hunter3"'
  }
  const variables = { ...Sample.variables, HIDDEN: "hunter2" }
  const said = Sample.compile(files, { variables, catalogue: Sample.catalogue }).problems.map(Problem.format)
  expect(said.filter((line) => line.includes("unknown"))).toHaveLength(9)
  expect(said.join("\n")).not.toContain("hunter2")
  expect(said.join("\n")).toContain('unknown pool "hunter3"; known: "fast_pool"')
})

it("what is malformed is quoted up to the name", () => {
  const said = Sample.problems({ "global.toml": '[llms.groups.fast_group]\ndescription = "${PASS :-hunter2}"' })
  expect(said).toEqual([
    'configs/global.toml:2:1 error llms.groups.fast_group.description: what begins with "${PASS" is no variable; write ${NAME}, ${NAME:-default} or ${NAME:?message}, and $${ for a literal ${'
  ])
})
