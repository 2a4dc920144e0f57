import { expect, it } from "@effect/vitest"
import * as Sample from "./support/Sample.ts"

const group = "llms/groups/fast_group.toml"
const openai = "llms/provider/openai.toml"
const where = "configs/llms/groups/fast_group.toml"
const first = '[echelon1]\nmodels = ["openai-gpt4"]\n'

it("wrong types, all at once, with what was found and what is allowed", () => {
  expect(
    Sample.problems({
      [group]: `${first}timeout = 2026-01-01
ttft_timeout = true
idle_timeout = "1 week"
stream_timeout = -1
max_retries = 1.5
temperature = "hot"
top_p = 2
rpm_limit = 0
priority = nan
rotation_strategy = "sticki"
stop = []
upstream = {}
hedge = 3
[fallback_config]
on_interrupt = ["resume", "panic"]
content_policy_fallback = "yes"
max_attempts = inf
`
    })
  ).toEqual([
    `${where}:3:1 error llms.groups.fast_group.echelon1.timeout: expected seconds above 0 (at most 24 days), or text such as "30s", "500ms", "5m", "1h"; found the date 2026-01-01`,
    `${where}:4:1 error llms.groups.fast_group.echelon1.ttft_timeout: expected seconds above 0 (at most 24 days), or text such as "30s", "500ms", "5m", "1h"; found true`,
    `${where}:5:1 error llms.groups.fast_group.echelon1.idle_timeout: expected seconds above 0 (at most 24 days), or text such as "30s", "500ms", "5m", "1h"; found "1 week"`,
    `${where}:6:1 error llms.groups.fast_group.echelon1.stream_timeout: expected seconds above 0 (at most 24 days), or text such as "30s", "500ms", "5m", "1h"; found -1`,
    `${where}:7:1 error llms.groups.fast_group.echelon1.max_retries: expected a whole number, at least 0; found 1.5`,
    `${where}:8:1 error llms.groups.fast_group.echelon1.temperature: expected a number from 0 to 2; found "hot"`,
    `${where}:9:1 error llms.groups.fast_group.echelon1.top_p: expected a number from 0 to 1; found 2`,
    `${where}:10:1 error llms.groups.fast_group.echelon1.rpm_limit: expected a whole number, at least 1; found 0`,
    `${where}:11:1 error llms.groups.fast_group.echelon1.priority: expected a whole number; found NaN`,
    `${where}:12:1 error llms.groups.fast_group.echelon1.rotation_strategy: expected "round_robin", "weighted", "random", "priority", "least_busy", "shortest_delay", "p2c", "latency", "cost", "usage", "sticky"; found "sticki"; did you mean "sticky"?`,
    `${where}:13:1 error llms.groups.fast_group.echelon1.stop: expected text, or a list of texts; found an empty list`,
    `${where}:14:1 error llms.groups.fast_group.echelon1.upstream: expected "as_asked", "stream"; found a table`,
    `${where}:15:1 error llms.groups.fast_group.echelon1.hedge: expected a table; found 3`,
    `${where}:17:27 error llms.groups.fast_group.fallback_config.on_interrupt[1]: expected "fail", "resume", "restart"; found "panic"`,
    `${where}:18:1 error llms.groups.fast_group.fallback_config.content_policy_fallback: expected true or false; found "yes"`,
    `${where}:19:1 error llms.groups.fast_group.fallback_config.max_attempts: expected a whole number, at least 1; found Infinity`
  ])
})

it("unknown keys at every depth, with the nearest known ones", () => {
  expect(
    Sample.problems({
      "global.toml": "rooting = 1\n[shutdown]\ngrace = 1\n[llms.pools.x]\ny = 1\n[metrics]\nport = 1",
      [group]: `colour = 1\n[echelon_1]\nx = 1\n${first}timeot = 1\n[fallback_config.circuit_breaker]\nfailure_treshold = 1`
    })
  ).toEqual([
    'configs/global.toml:1:1 error rooting: unknown key; did you mean "routing" or "logging"?',
    'configs/global.toml:3:1 error shutdown.grace: unknown key; known: "shutdown_grace"',
    'configs/global.toml:4:1 error llms.pools: unknown key; known: "provider", "groups", "polling_pools", "wrappers"',
    'configs/global.toml:7:1 error metrics.port: unknown key; known: "enabled", "max_series", "tenant_label", "otlp", "prometheus"',
    `${where}:1:1 error llms.groups.fast_group.colour: unknown key; known: "name", "description", "fallback_config", "echelon1", "echelon2", "echelon3", "echelon4", "echelon5", "echelon6", "echelon7", and 2 more`,
    `${where}:2:1 error llms.groups.fast_group.echelon_1: unknown key; did you mean "echelon1" or "echelon2" or "echelon3"?`,
    `${where}:6:1 error llms.groups.fast_group.echelon1.timeot: unknown key; did you mean "timeout"?`,
    `${where}:8:1 error llms.groups.fast_group.fallback_config.circuit_breaker.failure_treshold: unknown key; did you mean "failure_threshold"?`
  ])
})

it("missing keys say what belongs there", () => {
  expect(
    Sample.problems({
      [group]: "[echelon1]\ntimeout = 3\n[echelon2]\nmodels = []",
      "llms/polling_pools/fast_pool.toml": "",
      "llms/wrappers/pool_wrapper.toml": "",
      [openai]: ""
    })
  ).toEqual([
    `${where}:1:1 error llms.groups.fast_group.echelon1.models: missing; expected a list of instance names, at least one`,
    `${where}:4:1 error llms.groups.fast_group.echelon2.models: expected a list of instance names, at least one; found an empty list`,
    "configs/llms/polling_pools/fast_pool.toml:1:1 error llms.polling_pools.fast_pool.task_groups: missing; expected a list of task groups, at least one",
    'configs/llms/provider/openai.toml:1:1 error llms.provider.openai.kind: missing; expected the kind of provider, "openai" or "openai-compatible" for example; the configuration reference has all',
    'configs/llms/wrappers/pool_wrapper.toml:1:1 error llms.wrappers.pool_wrapper.type: missing; expected "pool", "task_group"'
  ])
})

it("a table where a value belongs, and the other way round", () => {
  expect(Sample.problems({ "global.toml": "routing = 1\nllms = 2" })).toContain(
    "configs/global.toml:1:1 error routing: expected a table; found 1"
  )
  expect(Sample.problems({ "global.toml": "[llms]\nwrappers = 2" })).toEqual([])
  expect(Sample.problems({ "environments/e.toml": "[llms]\nwrappers = 2" }, { env: "e" })).toEqual([
    "configs/environments/e.toml:2:1 error llms.wrappers: expected a table; found 2"
  ])
})

it("never shows a secret, whatever is wrong with it", () => {
  const lines = Sample.problems(
    {
      [openai]: `kind = "openai"
api_key = 4711
base_url = "https://me:hunter2@host/4711"
[headers]
x = ["hunter2"]
[query]
y = { z = "hunter2" }
[models.gpt4]
[models."gpt3.5-turbo"]
`,
      "llms/provider/b.toml": 'kind = "openai"\napi_kye = "hunter2"\n[[credentials]]\napi_key = ["hunter2"]'
    },
    { variables: {} }
  )
  expect(lines).toEqual([
    'configs/llms/provider/b.toml:2:1 error llms.provider.b.api_kye: unknown key; did you mean "api_key"?',
    "configs/llms/provider/b.toml:3:1 error llms.provider.b.credentials[0].name: missing; expected a name, without white space and without @ , \" ' \\ $ { }",
    "configs/llms/provider/b.toml:4:1 error llms.provider.b.credentials[0].api_key: expected text; found a list",
    "configs/llms/provider/openai.toml:2:1 error llms.provider.openai.api_key: expected text; found a number that is not shown",
    'configs/llms/provider/openai.toml:3:1 error llms.provider.openai.base_url: expected an address that begins with http:// or https://, without user, password and query (parameters belong into [query]); found "https://***@host/4711"',
    "configs/llms/provider/openai.toml:5:1 error llms.provider.openai.headers.x: expected text; found a list",
    "configs/llms/provider/openai.toml:7:1 error llms.provider.openai.query.y: expected text; found a table"
  ])
})

it.each([
  ["30", 30_000],
  ["0.25", 250],
  ['"30s"', 30_000],
  ['"500ms"', 500],
  ['"5m"', 300_000],
  ['"1h"', 3_600_000],
  ['"1.5 s"', 1_500]
])("reads %s seconds as %d ms", (stated, millis) => {
  const plan = Sample.plan({ [group]: `${first}timeout = ${stated}` })
  expect(plan.groups["fast_group"]?.echelons[0]?.clocks.attempt).toBe(millis)
})

it.each(["2147484", '"600h"', "1e300", '"-1s"', '"30"', '""', '"s"'])("refuses %s seconds", (stated) => {
  expect(Sample.problems({ [group]: `${first}timeout = ${stated}` })).toHaveLength(1)
})

const inProvider = (line: string) => `kind = "openai"\n${line}\n[models.gpt4]\nmodel = "gpt-4"\n[models."gpt3.5-turbo"]`

it.each([
  'headers = "x-api-key: S-1"',
  'headers = ["x-api-key: S-1"]',
  'query = "S-1"',
  'credentials = "S-1"',
  'credentials = ["S-1"]',
  "credentials = [['S-1']]",
  'credentials = [{ name = "a", api_key = ["S-1"] }]',
  'api_key = ["S-1"]',
  'api_key = { value = "S-1" }'
])("a secret of the wrong type is not shown: %s", (line) => {
  const shown = Sample.problems({ [openai]: inProvider(line) }).join("\n")
  expect(shown).toContain("error")
  expect(shown).not.toContain("S-1")
})

it("says that a text of the wrong type stands where a credential should, and shows a name", () => {
  const of = (line: string) => Sample.problems({ [openai]: inProvider(line) })
  expect(of('headers = "S-1"')).toEqual([
    "configs/llms/provider/openai.toml:2:1 error llms.provider.openai.headers: expected a table of texts; found a text that is not shown"
  ])
  expect(of('credentials = [{ name = "", api_key = "S-1" }, { name = "b", weight = -3 }]').join("\n")).toContain(
    "found -3"
  )
})

it.each(["CREDENTIALS", "HEADERS", "QUERY", "API_KEYS"])("an override of a secret is not shown: %s", (key) => {
  const variables = { ...Sample.variables, [`ECHELON__LLMS__PROVIDER__OPENAI__${key}`]: "S-1" }
  const shown = Sample.problems({}, { variables }).join("\n")
  expect(shown).toContain("error")
  expect(shown).not.toContain("S-1")
})

it.each([
  ["https://user:S-1@h/v1", "https://***@h/v1"],
  ["https://user:p/S-1#?@h/v1", "https://***@h/v1"],
  ["user:S-1@h/v1", "***@h/v1"],
  ["ftp://h/v1?api-key=S-1&b=S-1#S-1", "ftp://h/v1?api-key=***&b=***#***"],
  ["ftp://h/v1?S-1", "ftp://h/v1?***"],
  ["h/v1?api-key=S-1", "h/v1?api-key=***"]
])("an address is shown without its secrets: %s", (address, shown) => {
  const found = Sample.problems({ [openai]: inProvider(`base_url = "${address}"`) }).join("\n")
  expect(found).toContain(`found "${shown}"`)
  expect(found).not.toContain("S-1")
})

it("control characters do not reach the terminal", () => {
  const found = Sample.problems({ [openai]: inProvider('health_check = "a\\u001b[2J\\u009b1m\\u0000\\u202e"') })
  expect(found.join("")).toContain('found "a\\u001b[2J\\u009b1m\\u0000\\u202e"')
})

it.each(["https://h/v1?key=hunter2", "https://h?key=hunter2", "https://h/v1?"])(
  "%s has a query, which belongs into [query]",
  (address) => {
    const [said = "", ...more] = Sample.problems({ [openai]: inProvider(`base_url = "${address}"`) })
    expect(said).toContain("without user, password and query (parameters belong into [query])")
    expect([more, said.includes("hunter2")]).toEqual([[], false])
  }
)

it("what looks like a key is not shown, wherever it was put", () => {
  for (const key of [
    "sk-planted-AAAA1",
    "AIzaSyA1234567890abcdefghij",
    "AKIAIOSFODNN7EXAMPLE",
    "0123456789abcdef0123456789abcdef"
  ]) {
    const said = Sample.problems(
      {
        [openai]: `kind = "${key}"\nbase_url = "${key}"\n"${key}" = 1\ndefault_model = "${key}"\n[models.gpt4]\n[models."${key}@"]`,
        [group]: `[echelon1]\nmodels = ["${key}"]\n[${key}]\nx = 1`
      },
      { catalogue: Sample.catalogue }
    ).join("\n")
    expect([key, said.includes("unknown kind")]).toEqual([key, true])
    expect(said).not.toContain(key)
  }
})

it("one error hides nothing else: names are looked up in what is left, and later steps are told, too", () => {
  expect(
    Sample.problems({
      "global.toml": '[reload]\nwatch = 7\ndebounce = -1\n[routing]\ndefault_pool = "fast_poll"',
      [group]: `[echelon1]
models = ["openai-gpt4", 3, "openai-x"]
timeout = "abc"
[echelon2]
timeout = 3
[fallback_config]
fallback_groups = ["fast_group.echelon2", "fast_grup"]`,
      "llms/wrappers/pool_wrapper.toml":
        'type = "pool"\n[performance]\nrequest_timeout = -1\n[default_config]\npool_name = "fast_poll"',
      "llms/wrappers/second.toml": 'type = "pool"\n[performance]\nrequest_timeout = -1'
    }).map((line) => line.replace(/^\S+ error (\S+): (.*?)(?: \(at most.*)?$/, "$1 $2"))
  ).toEqual([
    "reload.watch expected true or false; found 7",
    "reload.debounce expected seconds from 0",
    'routing.default_pool unknown pool "fast_poll"; did you mean "fast_pool"?',
    "llms.groups.fast_group.echelon1.models[1] expected a name (text that is not empty); found 3",
    'llms.groups.fast_group.echelon1.models[2] unknown instance "openai-x"; known: "openai-gpt4", "openai-gpt3.5-turbo"',
    "llms.groups.fast_group.echelon1.timeout expected seconds above 0",
    "llms.groups.fast_group.echelon2.models missing; expected a list of instance names, at least one",
    'llms.groups.fast_group.fallback_config.fallback_groups[1] unknown group or echelon "fast_grup"; did you mean "fast_group"?',
    "llms.wrappers.pool_wrapper.performance.request_timeout expected seconds above 0",
    'llms.wrappers.pool_wrapper.default_config.pool_name unknown pool "fast_poll"; did you mean "fast_pool"?',
    'llms.wrappers.second.default_config.pool_name missing; a wrapper of type "pool" needs the name of a pool',
    "llms.wrappers.second.performance.request_timeout expected seconds above 0"
  ])
})

it("nothing is made up of what was refused", () => {
  const said = (line: string) =>
    Sample.problems(
      { [openai]: `kind = "openai-compatible"\n${line}\n[models.gpt4]\n[models."gpt3.5-turbo"]` },
      { catalogue: Sample.catalogue }
    )
  expect(said("base_url = 3")).toHaveLength(1)
  expect(said('base_url = "http://h"\napi_key = 3')).toHaveLength(1)
  expect(said('base_url = "http://h"\n[[credentials]]\nweight = 1')).toHaveLength(1)
})

it.each(["echelon-1", "echelon+2", "echelon0", "echelon01", "echelon1.5"])("[%s] is no echelon", (key) => {
  const said = Sample.problems({ [group]: `${first}["${key}"]\nmodels = ["openai-gpt4"]` })
  expect(said).toHaveLength(1)
  expect(said[0]).toMatch(/unknown key; did you mean "echelon\d"/)
})

it("an echelon has any number from 1 on", () => {
  const plan = Sample.plan({ [group]: `${first}[echelon12]\nmodels = ["openai-gpt4"]` })
  expect(plan.groups["fast_group"]?.echelons.map(({ name }) => name)).toEqual(["echelon1", "echelon12"])
})

it("a choice that is misspelt is told the nearest", () => {
  const said = (stated: string) =>
    Sample.problems({ [group]: `${first}[fallback_config]\n${stated}` }).map((line) =>
      line.replace(/^.*; found/, "found")
    )
  expect(said('strategy = "echelon-down"')).toEqual(['found "echelon-down"; did you mean "echelon_down"?'])
  expect(said('on_interrupt = "resum"')).toEqual(['found "resum"; did you mean "resume"?'])
  expect(said('on_interrupt = ["fail", "resum"]')).toEqual(['found "resum"; did you mean "resume"?'])
  expect(said('strategy = "whatever"')).toEqual(['found "whatever"'])
})

it("names and aliases hold nothing that parts them from others", () => {
  const said = Sample.problems({
    "llms/provider/x.toml": 'name = "team b"\nkind = "openai"\n[models."gpt4@a"]\n[models."vendor/model:7b"]',
    "llms/groups/my group.toml": first,
    "llms/provider/y.toml": 'kind = "openai"\n[[credentials]]\nname = "a,b"\napi_key = "k"'
  })
  expect(said.map((line) => line.replace(/^\S+ ?\S* error /, ""))).toEqual([
    'llms.groups."my group": this name holds white space or one of @ , " \' \\ $ { }; rename it',
    'llms.provider.x.name: expected a name, without white space and without @ , " \' \\ $ { }; found "team b"',
    'llms.provider.x.models."gpt4@a": this alias holds white space or one of @ , " \' \\ $ { }; rename it',
    'llms.provider.y.credentials[0].name: expected a name, without white space and without @ , " \' \\ $ { }; found "a,b"'
  ])
})
