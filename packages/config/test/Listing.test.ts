import * as Listing from "@echelon/config/Listing"
import type * as Origin from "@echelon/config/Origin"
import { expect, it } from "@effect/vitest"
import { Result } from "effect"
import * as Sample from "./support/Sample.ts"

const files: Readonly<Record<string, string>> = {
  ...Sample.files,
  "global.toml":
    '[routing]\ndefault_pool = "fast_pool"\n[llms.groups.fast_group.echelon1]\ntimeout = 50\nmax_retries = 9\n',
  "llms/groups/base.inc/base.toml": "[echelon1]\ntimeout = 45\n",
  "llms/groups/fast_group.toml": `inherits_from = "base.inc/base.toml"\n${Sample.files["llms/groups/fast_group.toml"]}`,
  "environments/production.toml": `[llms.groups.fast_group.echelon1]\ntimeout = "\${TIMEOUT:-20}"\n`
}
const override = "ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__TIMEOUT"
const input = (variables: Readonly<Record<string, string>> = {}) => ({
  root: "configs",
  files,
  env: "production",
  variables: { ...Sample.variables, ...variables }
})
const timeout = ["llms", "groups", "fast_group", "echelon1", "timeout"]
const lines = (entries: ReadonlyArray<Listing.Entry>) =>
  entries.map(({ origin, value }) => `${Listing.formatOrigin(origin)} ${value}`)
const tree = (changed: Readonly<Record<string, string>> = {}, variables = Sample.variables) =>
  Sample.resolve({ ...files, ...changed }, { variables }).tree

it("names every layer of a value, the strongest first and the default last", () => {
  expect(lines(Listing.layers(input({ [override]: "7" }), timeout))).toEqual([
    `$${override} 7`,
    `configs/environments/production.toml:2:1 20, written "\${TIMEOUT:-20}"`,
    "configs/llms/groups/fast_group.toml:4:1 30",
    "configs/llms/groups/base.inc/base.toml:2:1 45",
    "configs/global.toml:4:1 50",
    "default 60"
  ])
  expect(lines(Listing.layers({ ...input(), env: undefined }, timeout))[0]).toBe(
    "configs/llms/groups/fast_group.toml:4:1 30"
  )
})

it("names a default, and nothing where there is none", () => {
  const of = (...path: ReadonlyArray<string>) =>
    lines(Listing.layers(input(), ["llms", "groups", "fast_group", ...path]))
  expect(of("echelon2", "idle_timeout")).toEqual(["default 60"])
  expect(of("fallback_config", "circuit_breaker", "window")).toEqual(["default 30"])
  expect(of("echelon2", "temperature")).toEqual([])
})

it("shows a list that an override states as one, and a text as a text", () => {
  const shown = (key: string, text: string) => {
    const variable = `ECHELON__LLMS__${key}`
    const { tree: resolved } = Sample.resolve(files, { variables: { ...Sample.variables, [variable]: text } })
    const path = Result.getOrThrow(Listing.parsePath(resolved, `llms.${key.toLowerCase().replaceAll("__", ".")}`))
    return Listing.at(resolved, path)[0]?.value
  }
  const stop = "GROUPS__FAST_GROUP__ECHELON1__STOP"
  expect(shown("GROUPS__FAST_GROUP__ECHELON1__MODELS", '["a", "b"]')).toBe('["a", "b"]')
  expect(shown(stop, '["a", "https://me:pw@h"]')).toBe('["a", "https://***@h"]')
  expect(shown(stop, "[a")).toBe('"[a"')
  expect(shown("GROUPS__FAST_GROUP__DESCRIPTION", '["a"]')).toBe('"[\\"a\\"]"')
  // What `${NAME}` holds may be a secret.
  const models = { "llms/groups/fast_group.toml": `[echelon1]\nmodels = "\${MODELS}"` }
  const variables = { ...Sample.variables, MODELS: '["hunter2"]' }
  const path = ["llms", "groups", "fast_group", "echelon1", "models"]
  expect(Listing.at(tree(models, variables), path)[0]?.value).toBe(`"\${MODELS}"`)
})

it("shows no secret and no text that a variable gave", () => {
  const provider = `kind = "openai"
api_key = "sk-in-the-file"
base_url = "\${ADDRESS}"
headers = { x-team = "secret-team" }
[[credentials]]
name = "one"
api_key = "\${MISSING}"
[models.gpt4]
weight = "\${WEIGHT:-3}"
`
  const variables = { ADDRESS: "https://token-in-path.example/v1", OPENAI_API_KEY: "" }
  const found = Listing.at(tree({ "llms/provider/openai.toml": provider }, variables), ["llms", "provider", "openai"])
  const shown = Object.fromEntries(found.map(({ path, value }) => [path.slice(3).join("."), value]))
  expect(shown).toMatchObject({
    kind: '"openai"',
    api_key: "(not shown)",
    base_url: `"\${ADDRESS}"`,
    "headers.x-team": "(not shown)",
    "credentials.0.name": '"one"',
    "credentials.0.api_key": "(the variable MISSING is not set)",
    "models.gpt4.weight": `3, written "\${WEIGHT:-3}"`,
    connect_timeout: "5"
  })
  expect(JSON.stringify(found)).not.toMatch(/sk-in|secret-team|token-in-path/)
})

it("lists what is stated, then the defaults of the same table", () => {
  const found = Listing.at(tree(), ["llms", "groups", "fast_group", "echelon1"])
  expect(found.slice(0, 3).map(({ path, value }) => [path.at(-1), value])).toEqual([
    ["timeout", "30"],
    ["max_retries", "9"],
    ["models", '["openai-gpt4"]']
  ])
  expect(found.slice(3).every(({ origin }) => origin === undefined)).toBe(true)
  expect(found.map(({ path }) => path.at(-1))).toContain("rotation_strategy")
  const whole = Listing.at(tree(), [])
  expect(whole.map(({ path }) => path.join("."))).toEqual(
    expect.arrayContaining([
      "routing.default_pool",
      "shutdown.shutdown_grace",
      "llms.polling_pools.fast_pool.task_groups"
    ])
  )
})

it("reads a path as a person writes it", () => {
  const read = (text: string) => Listing.parsePath(tree(), text)
  const table: ReadonlyArray<readonly [string, Origin.Path]> = [
    ["llms.groups.fast_group.echelon1.timeout", timeout],
    ["llms.groups.fast_group.echelon1.models[0]", [...timeout.slice(0, 4), "models", 0]],
    [
      'llms.provider.openai.models."gpt3.5-turbo".weight',
      ["llms", "provider", "openai", "models", "gpt3.5-turbo", "weight"]
    ],
    [
      "llms.provider.openai.models.gpt3.5-turbo.weight",
      ["llms", "provider", "openai", "models", "gpt3.5-turbo", "weight"]
    ],
    ["shutdown.shutdown_grace", ["shutdown", "shutdown_grace"]],
    ["llms.groups", ["llms", "groups"]]
  ]
  for (const [text, path] of table) expect(Result.getOrThrow(read(text))).toEqual(path)
})

it("a key that there is not is told with the nearest", () => {
  const refused = (text: string) => Result.getOrThrow(Result.flip(Listing.parsePath(tree(), text)))
  expect(refused("llms.groups.fast_group.echelon1.timout")).toBe(
    'there is no "timout" in llms.groups.fast_group.echelon1; did you mean "timeout"?'
  )
  expect(refused("llms.groups.fast_grop.echelon1")).toBe(
    'there is no "fast_grop" in llms.groups; did you mean "fast_group"?'
  )
  expect(refused("llms.groups.fast_group.echelon7")).toContain('did you mean "echelon1" or "echelon2"?')
  expect(refused("llms.groups.fast_group.echelon1.models[4]")).toContain('there is no "4" in')
  expect(refused("rooting")).toBe('there is no "rooting" in the configuration; did you mean "routing" or "logging"?')
  expect(refused("")).toContain("a path of keys is needed")
  expect(refused("fast_group.echelon1.timeout")).toBe(
    'there is no "fast_group.echelon1.timeout" in the configuration; did you mean "llms.groups.fast_group.echelon1.timeout"?'
  )
  expect(refused("groups.fast_group")).toContain('did you mean "llms.groups.fast_group"?')
})

it("tells what a key means", () => {
  expect(Listing.keyOf(timeout)).toMatchObject({ unit: "seconds", whenAbsent: 60 })
  expect(Listing.keyOf(["nothing", "here"])).toBeUndefined()
  // Only an echelon may have a name of its own beside the keys of a group.
  expect(Listing.keyOf(["llms", "groups", "a", "echelon12"])?.value._tag).toBe("Table")
  expect(Listing.keyOf(["llms", "groups", "a", "falback_config"])).toBeUndefined()
})

it.each([
  ['api_key = ["S-1"]', "api_key", "[(not shown)]"],
  ['headers = "S-1"', "headers", "(not shown)"],
  ['credentials = "S-1"', "credentials", "(not shown)"],
  ['base_url = "https://h/v1?api-key=S-1"', "base_url", '"https://h/v1?api-key=***"']
])("shows no secret of the wrong type, and none in an address: %s", (line, key, value) => {
  const file = { "llms/provider/openai.toml": `kind = "openai"\n${line}` }
  const found = Listing.at(tree(file), ["llms", "provider", "openai", key])
  expect(found.map((entry) => entry.value)).toEqual([value])
})

it("an overridden item of a list: the list and the item name the variable", () => {
  const name = "ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__MODELS__0"
  const path = [...timeout.slice(0, 4), "models"]
  const changed = input({ [name]: "openai-b" })
  expect(lines(Listing.layers(changed, path))).toEqual([
    `$${name} ["openai-b"]`,
    'configs/llms/groups/fast_group.toml:3:1 ["openai-gpt4"]'
  ])
  expect(lines(Listing.layers(changed, [...path, 0]))).toEqual([
    `$${name} "openai-b"`,
    'configs/llms/groups/fast_group.toml:3:11 "openai-gpt4"'
  ])
  const overridden = tree({}, { ...Sample.variables, [name]: "openai-b" } as typeof Sample.variables)
  for (const text of ["models[0]", "models.0"]) {
    expect(Result.getOrThrow(Listing.parsePath(overridden, `llms.groups.fast_group.echelon1.${text}`))).toEqual([
      ...path,
      0
    ])
  }
})

it("an index below a value that a variable states says what stands there", () => {
  const name = "ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__MODELS"
  const overridden = tree({}, { ...Sample.variables, [name]: '["openai-b"]' } as typeof Sample.variables)
  const read = Listing.parsePath(overridden, "llms.groups.fast_group.echelon1.models[0]")
  expect(Result.getOrThrow(Result.flip(read))).toBe(
    "llms.groups.fast_group.echelon1.models is one value, with no items of its own; leave [0] away"
  )
})

it("shows no value of a key that is not known, which may be a misspelt credential", () => {
  const file = { "llms/provider/openai.toml": 'kind = "openai"\napi_kye = "S-1"\n[extra]\nx = ["S-1"]' }
  const found = Listing.at(tree(file), ["llms", "provider", "openai"])
  expect(JSON.stringify(found)).not.toContain("S-1")
  expect(found.find(({ path }) => path.at(-1) === "api_kye")?.value).toBe("(not shown)")
})
