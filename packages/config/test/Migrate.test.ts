// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax that is tested
import { readdirSync, readFileSync } from "node:fs"
import type * as Migrate from "@echelon/config/Migrate"
import * as MigrateProviders from "@echelon/config/MigrateProviders"
import * as MigrateReport from "@echelon/config/MigrateReport"
import * as Problem from "@echelon/config/Problem"
import * as ProviderTable from "@echelon/providers/ProviderTable"
import { expect, it } from "@effect/vitest"
import * as Result from "effect/Result"
import { attempt, expectSound, fixture, one, run, shown } from "./support/Migration.ts"

const shipped = new URL("../../../configs/", import.meta.url)

const configs = readdirSync(shipped, { recursive: true })
  .map((name) => String(name).replaceAll("\\", "/"))
  .filter((name) => name.endsWith(".toml"))
  .map((place) => ({ file: `configs/${place}`, place, text: readFileSync(new URL(place, shipped), "utf8") }))

it("a current tree is left as it is, and said to be current", () => {
  const migration = run(configs)
  expect([migration.kind, migration.current]).toEqual(["older", true])
  expect(migration.files).toEqual(Object.fromEntries(configs.map(({ place, text }) => [place, text])))
  expect(migration.entries.filter(({ outcome }) => outcome !== "carried")).toEqual([])
  expect(MigrateReport.lines(migration)).toEqual(["the configuration is current; nothing was changed"])
  expect(MigrateReport.json(migration).files).toEqual({})
  expectSound(migration, configs)
})

it.each(["litellm.yaml", "portkey-fallback.json", "portkey-conditional.json", "portkey-single.json"])(
  "%s: what was migrated is current, and migrates to itself",
  (file) => {
    const first = one(file, fixture(file))
    const inputs = Object.entries(first.files).map(([place, text]) => ({ file: place, place, text }))
    const second = run(inputs)
    expect([second.current, second.files]).toEqual([true, first.files])
  }
)

it.each(ProviderTable.kinds)("a current file of kind %s is current, and older files know the kind", (kind) => {
  const more = 'base_url = "https://h.test/v1"\nregion = "r"\nproject = "p"\n[models.a]'
  const place = "llms/provider/x.toml"
  const migration = run([{ file: place, place, text: `kind = "${kind}"\n${more}` }])
  expect([migration.current, migration.problems.map(Problem.format)]).toEqual([true, []])
  expect(MigrateProviders.find(MigrateProviders.older, kind)?.kind).toBe(kind)
})

it("what is current is checked, too", () => {
  const place = "llms/groups/g.toml"
  const migration = run([{ file: place, place, text: '[echelon1]\nmodels = ["openai-gpt4"]' }])
  expect(migration.current).toBe(true)
  expect(migration.problems.map(Problem.format)).toEqual([
    '/llms/groups/g.toml:2:11 error llms.groups.g.echelon1.models[0]: unknown instance "openai-gpt4"; none is configured'
  ])
  expect(MigrateReport.lines(migration)).toEqual([
    "no key has to change",
    "still to mend:",
    '  llms/groups/g.toml:2:11 error llms.groups.g.echelon1.models[0]: unknown instance "openai-gpt4"; none is configured'
  ])
})

it("tells what a file is", () => {
  const kind = (file: string, text: string) => one(file, text).kind
  expect([
    kind("a.yaml", "model_list: []"),
    kind("a.yaml", "router_settings: {}"),
    kind("a.json", '{"targets": []}'),
    kind("a.json", '{"provider": "openai", "api_key": "x"}'),
    kind("a.json", '{"retry": {"attempts": 3}}'),
    kind("a.json", '{"provider": "openai", "model": "gpt-4", "apiKey": "x"}'),
    kind("a.toml", 'task_groups = ["x"]'),
    kind("a.yaml", "type: openai\nmodel: gpt-4")
  ]).toEqual(["litellm", "litellm", "portkey", "portkey", "portkey", "older", "older", "older"])
})

const failures = (inputs: Parameters<typeof attempt>[0], from?: Migrate.Kind): ReadonlyArray<string> => {
  const result = attempt(inputs, from)
  return Result.isFailure(result) ? result.failure.map(Problem.format) : []
}

it("files of two kinds are refused, unless the kind is stated; every broken file is told", () => {
  const two = [
    { file: "a.yaml", text: "model_list: []" },
    { file: "b.json", text: '{"targets": []}' }
  ]
  expect(failures(two)).toEqual([
    "b.json:1:1 error file: looks like portkey, and a.yaml like litellm; migrate one kind at a time, or say --from"
  ])
  expect(failures(two, "litellm")).toEqual([
    "b.json:1:1 error file: no key of it is known here; expected LiteLLM's model_list, litellm_settings, router_settings or general_settings"
  ])
  expect(
    failures([
      { file: "a.yaml", text: "a: [" },
      { file: "b.json", text: "{" }
    ])
  ).toEqual([
    "a.yaml:1:1 error file: broken YAML: expected ','",
    "b.json:1:2 error file: broken JSON: the text ends where a key in double quotes is expected"
  ])
})

const expected =
  "expected LiteLLM's model_list, litellm_settings, router_settings or general_settings, Portkey's provider, strategy or targets, or what an older tree holds: [echelon1], task_groups, default_config, [models.NAME], or a client's model"

it.each<readonly [string, string, Migrate.Kind | undefined, string]>([
  ["a.json", "{}", undefined, `the file holds no keys; ${expected}`],
  ["a.json", "[]", undefined, `the file holds no keys; ${expected}`],
  ["a.yaml", "", undefined, `the file holds no keys; ${expected}`],
  ["a.toml", "# nothing\n", undefined, `the file holds no keys; ${expected}`],
  [
    "a.json",
    "{}",
    "litellm",
    "the file holds no keys; expected LiteLLM's model_list, litellm_settings, router_settings or general_settings"
  ],
  ["a.yaml", "foo: 1", undefined, `no key of it is known here; ${expected}`],
  ["a.json", '{"foo": {"bar": 1}}', undefined, `no key of it is known here; ${expected}`],
  ["a.toml", "x = 1", undefined, `no key of it is known here; ${expected}`],
  ["a.yaml", "foo: 1", "portkey", "no key of it is known here; expected Portkey's provider, strategy or targets"],
  ["a.yaml", "modle_list: []", undefined, `no key of it is known here; did you mean "model_list"? ${expected}`],
  ["a.toml", "task_grups = []", undefined, `no key of it is known here; did you mean "task_groups"? ${expected}`]
])("%s of %j as %s is no configuration that is known, and what was expected is said", (file, text, from, message) => {
  expect(failures([{ file, text }], from)).toEqual([`${file}:1:1 error file: ${message}`])
})

it("a folder needs one file that is known, a file that is named alone must be", () => {
  const strange = { file: "old/notes.toml", place: "notes.toml", text: "x = 1" }
  const group = { file: "old/llms/groups/a.toml", place: "llms/groups/a.toml", text: 'tier1 = { models = ["o-a"] }' }
  const none = { file: "old/global.toml", place: "global.toml", text: "" }
  expect(failures([strange, none])).toEqual(
    [
      `old/notes.toml:1:1 error file: no key of it is known here; ${expected}`,
      `old/global.toml:1:1 error file: the file holds no keys; ${expected}`
    ].sort()
  )
  expect(failures([strange, group, none])).toEqual([])
  expect(failures([{ file: "b.toml", text: "x = 1" }, group])).toEqual([
    `b.toml:1:1 error file: no key of it is known here; ${expected}`
  ])
  expect(one("echelon.yaml", "echelon1: { models: [a] }").kind).toBe("older")
})

it("several files come into one tree, each under names of its own", () => {
  const config = (model: string) =>
    `{"provider": "openai", "api_key": "sk-${model}", "override_params": {"model": "${model}"}}`
  const inputs = [
    { file: "a/chat.json", text: config("gpt-4o") },
    { file: "b/chat.json", text: config("gpt-4o-mini") }
  ]
  const migration = run(inputs)
  expect(Object.keys(migration.files)).toEqual([
    "global.toml",
    "llms/groups/chat_group-2.toml",
    "llms/groups/chat_group.toml",
    "llms/polling_pools/chat-2.toml",
    "llms/polling_pools/chat.toml",
    "llms/provider/openai-2.toml",
    "llms/provider/openai.toml"
  ])
  expect(migration.variables.map(({ name }) => name)).toEqual(["OPENAI_API_KEY", "OPENAI_API_KEY_2"])
  expect(shown(migration)).not.toContain("sk-gpt")
  expectSound(migration, inputs)
})

it("the report has every key once, with its place, and the variables to set", () => {
  const text = `model_list:
  - model_name: fast
    litellm_params:
      model: openai/gpt-4o
      api_key: sk-secret
      rmp: 5
      weight: heavy
`
  expect(MigrateReport.lines(one("config.yaml", text))).toEqual([
    "LiteLLM: 5 keys into 4 files",
    "carried over (2):",
    "  config.yaml:2:5 model_list[0].model_name -> llms/groups/fast_group.toml name, llms/groups/fast_group.toml echelon1.models and 2 more",
    "  config.yaml:4:7 model_list[0].litellm_params.model -> llms/provider/openai.toml models.gpt-4o.model",
    "approximated (1):",
    "  config.yaml:5:7 model_list[0].litellm_params.api_key -> llms/provider/openai.toml api_key: the secret was not copied",
    "could not be carried over (2):",
    '  config.yaml:6:7 model_list[0].litellm_params.rmp: a key that is not known here; did you mean "rpm"?',
    "  config.yaml:7:7 model_list[0].litellm_params.weight: refused by models.gpt-4o.weight: expected a number above 0",
    "variables to set:",
    "  OPENAI_API_KEY -> llms/provider/openai.toml api_key: the value was in the input and was not copied"
  ])
})

it("nothing that could break a line or a terminal gets out of a key or a name", () => {
  const text = JSON.stringify({
    name: "a\nb\u001b[31m",
    provider: "openai",
    "bad\u001b[2Jkey\n": 1,
    override_params: { model: 'gpt"\n[models.x]\napi_key = "${HOME}' }
  })
  const migration = one("p.json", text, "portkey")
  expect(/[^\n\P{Cc}]/u.test(shown(migration))).toBe(false)
  expect(migration.variables.map(({ name }) => name)).toEqual(["OPENAI_API_KEY"])
  expectSound(migration, [{ file: "p.json", text }])
})
