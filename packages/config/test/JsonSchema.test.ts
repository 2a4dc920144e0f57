// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax that is tested

import { existsSync, readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import * as FileSchemas from "@echelon/config/FileSchemas"
import * as JsonSchema from "@echelon/config/JsonSchema"
import * as ProviderTable from "@echelon/providers/ProviderTable"
import { expect, it } from "@effect/vitest"
import { Ajv, type ValidateFunction } from "ajv"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { parse } from "smol-toml"
import * as Keys from "./support/Keys.ts"
import * as Sample from "./support/Sample.ts"

const root = fileURLToPath(new URL("../../../", import.meta.url))
const ajv = new Ajv({ strictTypes: false, allErrors: true })

// The kinds of providers in the fixtures are made up, those of the shipped files are not.
const anyKind = new Map(JsonSchema.names.map((name) => [name, ajv.compile(JsonSchema.make(name))]))
const kinds = { kinds: ProviderTable.kinds }
const shippedKinds = new Map(JsonSchema.names.map((name) => [name, ajv.compile(JsonSchema.make(name, kinds))]))

const wrong = (validators: ReadonlyMap<JsonSchema.Name, ValidateFunction>, path: string, text: string) => {
  const validate = validators.get(JsonSchema.nameFor(path) ?? "fragment")
  if (validate === undefined) throw new Error(`no schema for ${path}`)
  return validate(parse(text))
    ? []
    : (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
}

const tomlFiles = (folder: string): ReadonlyArray<string> =>
  readdirSync(`${root}${folder}`, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".toml"))

const shipped = tomlFiles("configs")
const seed = "packages/config/test/fixtures/seed"

it("knows the schema of every file of a tree", () => {
  expect(
    ["global.toml", "environments/a.toml", "llms/global.toml", "llms/groups/g.toml", "llms/provider/p.toml"].map(
      JsonSchema.directive
    )
  ).toEqual([
    "#:schema ./schemas/global.schema.json",
    "#:schema ../schemas/global.schema.json",
    "#:schema ../schemas/fragment.schema.json",
    "#:schema ../../schemas/group.schema.json",
    "#:schema ../../schemas/provider.schema.json"
  ])
  expect(JsonSchema.nameFor("llms/polling_pools/p.toml")).toBe("pool")
  expect(JsonSchema.nameFor("llms/wrappers/w.toml")).toBe("wrapper")
  expect(JsonSchema.nameFor("schemas/pool.schema.json")).toBeUndefined()
})

it.each(shipped)("configs/%s names its schema and validates", (file) => {
  const text = readFileSync(`${root}configs/${file}`, "utf8")
  const line = text.slice(0, text.indexOf("\n"))
  expect(line).toBe(JsonSchema.directive(file))
  const schema = new URL(
    line.slice("#:schema ".length),
    new URL(`configs/${file}`, new URL("../../../", import.meta.url))
  )
  expect(existsSync(schema)).toBe(true)
  expect(wrong(shippedKinds, file, text)).toEqual([])
})

it("the valid fixtures validate", () => {
  for (const file of tomlFiles(seed)) {
    expect([file, ...wrong(anyKind, file, readFileSync(`${root}${seed}/${file}`, "utf8"))]).toEqual([file])
  }
  for (const [file, text] of Object.entries(Sample.files)) expect([file, ...wrong(anyKind, file, text)]).toEqual([file])
})

it.each(Object.entries(JsonSchema.files(kinds)))("configs/schemas/%s is what the Schemas say", (name, text) => {
  expect(readFileSync(`${root}configs/schemas/${name}`, "utf8")).toBe(text)
})

const invalid: ReadonlyArray<readonly [file: string, text: string, error: string]> = [
  ["llms/groups/g.toml", '[echelon1]\nmodels = ["m"]\ntimeout = -1', "/echelon1/timeout must be > 0"],
  ["llms/groups/g.toml", '[echelon1]\nmodels = ["m"]\ntimeout = "30 seconds"', "/echelon1/timeout must match pattern"],
  ["llms/groups/g.toml", "[echelon1]\nmodels = []", "/echelon1/models must NOT have fewer than 1 items"],
  ["llms/groups/g.toml", "[echelon1]\ntimeout = 1", "/echelon1 must have required property 'models'"],
  ["llms/groups/g.toml", '[echelon1]\nmodels = ["m"]\ntimout = 1', "/echelon1 must NOT have additional properties"],
  ["llms/groups/g.toml", '[echelonx]\nmodels = ["m"]', " must NOT have additional properties"],
  ["llms/groups/g.toml", "[fallback_config]\non_interrupt = []", "/fallback_config/on_interrupt must NOT have fewer"],
  ["llms/groups/g.toml", '[fallback_config]\ncommit = "start"', "/fallback_config/commit must be equal to one of"],
  ["llms/groups/g.toml", '[fallback_config]\ncommit = "$${A}"', "/fallback_config/commit must match pattern"],
  ["llms/polling_pools/p.toml", 'rotation_strategy = "random"', " must have required property 'task_groups'"],
  [
    "llms/polling_pools/p.toml",
    'task_groups = ["g"]\nsticky = { load_bound = 0.5 }',
    "/sticky/load_bound must be >= 1"
  ],
  [
    "llms/polling_pools/p.toml",
    'task_groups = ["g"]\nrate_limiting = { token_bucket = { bucket_size = 1 } }',
    "/rate_limiting/token_bucket must have required property 'refill_rate'"
  ],
  ["llms/provider/p.toml", 'kind = "k"\nbase_url = "ftp://x"', "/base_url must match pattern"],
  ["llms/provider/p.toml", 'kind = "k"\nbase_url = "https://a:b@x"', "/base_url must match pattern"],
  [
    "llms/provider/p.toml",
    'kind = "k"\n[[credentials]]\nweight = 1',
    "/credentials/0 must have required property 'name'"
  ],
  ["llms/provider/p.toml", 'kind = "k"\n[models.m]\ncapabilities = ["tool"]', "/models/m/capabilities/0 must be equal"],
  ["llms/provider/p.toml", 'kind = "k"\napi_key = 7', "/api_key must be string"],
  ["llms/wrappers/w.toml", 'type = "group"', "/type must be equal to one of the allowed values"],
  ["llms/wrappers/w.toml", 'type = "pool"\ntenants = { a = 0 }', "/tenants/a must be > 0"],
  ["global.toml", "[llms.pools.x]\nname = 'x'", "/llms must NOT have additional properties"],
  ["global.toml", "[llms.groups.g.echelon1]\ntimeout = true", "/llms/groups/g/echelon1/timeout must be number,string"],
  ["global.toml", "[metrics]\nx = 1", "/metrics must NOT have additional properties"],
  ["environments/e.toml", '[reload]\nwatch = "yes"', "/reload/watch must match pattern"],
  ["llms/global.toml", "[slow_strat]\nduration = 1", " must match a schema in anyOf"]
]

it.each(invalid)("%s with %j is refused: %s", (file, text, error) => {
  const errors = wrong(anyKind, file, text)
  expect(errors.filter((found) => found.startsWith(error)).length, errors.join("\n")).toBeGreaterThan(0)
})

it("a kind that the provider table does not have is refused where the table is known", () => {
  expect(wrong(anyKind, "llms/provider/p.toml", 'kind = "opnai"')).toEqual([])
  expect(wrong(shippedKinds, "llms/provider/p.toml", 'kind = "opnai"')).not.toEqual([])
  expect(wrong(shippedKinds, "llms/provider/p.toml", 'kind = "${KIND:-openai}"')).toEqual([])
})

it("what a parent may state need not stand in the file, and parts of a tree need nothing", () => {
  expect(wrong(anyKind, "llms/polling_pools/p.toml", 'inherits_from = "../global.toml"')).toEqual([])
  expect(wrong(anyKind, "llms/groups/g.toml", 'inherits_from = ["a.toml", "b.toml"]\n[echelon1]\ntimeout = 1')).toEqual(
    []
  )
  expect(wrong(anyKind, "llms/groups/g.toml", "inherits_from = 1")).not.toEqual([])
  // Files are laid over one another before variables are read.
  for (const stated of ['"${PARENT}"', '"a-${N:-1}.toml"', '["a.toml", "${PARENT}"]'])
    expect([stated, wrong(anyKind, "llms/groups/g.toml", `inherits_from = ${stated}`).length > 0]).toEqual([
      stated,
      true
    ])
  expect(wrong(anyKind, "llms/groups/g.toml", 'inherits_from = ["a$b.toml", "$.toml"]')).toEqual([])
  expect(wrong(anyKind, "global.toml", "[llms.polling_pools.p.rate_limiting.token_bucket]\nbucket_size = 1")).toEqual(
    []
  )
  // A list replaces the weaker one, so what stands in it is whole.
  expect(wrong(anyKind, "global.toml", "[[llms.provider.p.credentials]]\nweight = 1")).not.toEqual([])
  expect(wrong(anyKind, "global.toml", '[llms.groups.g]\ninherits_from = "a.toml"')).not.toEqual([])
})

const all = FileSchemas.all.flatMap((file) => Keys.places(file).map((place) => ({ file, ...place })))
const named = all.map((place) => [`${place.file.kind}: ${place.path.join(".")}`, place] as const)
const decodes = (file: FileSchemas.FileSchema, value: unknown) =>
  Schema.decodeUnknownResult(file.schema as Schema.Decoder<unknown>, { onExcessProperty: "error" })(value)

const probes: ReadonlyArray<unknown> = [
  ...[-1, 0, 0.5, 1, 1.5, 2, 3, 300, 4_000_000_000],
  ...["", "x", "30s", "1.5 h", " 5m ", "0s", "0.0ms", "0.5s", "10m", "30 seconds", "-5s"],
  ...["fail", "finish", "stream", "none", "p2c", "ping", "credential", "tools", "task_group"],
  ...["https://host.test", "http://127.0.0.1:1/v1", "https://u:p@host.test", "http://"],
  ...[true, false, [], ["x"], ["fail"], ["tools"], [""], [1], {}, { zz: 1 }, [{}], [{ name: "x" }]]
]

/** What a table of global.toml leaves out an environment may state: its schema requires nothing. */
const isPart = (file: FileSchemas.FileSchema, { value }: FileSchemas.Key, probe: unknown): boolean =>
  file.kind === "global" &&
  value._tag === "Table" &&
  value.keys.some(({ isRequired }) => isRequired) &&
  JSON.stringify(probe) === "{}"

it.each(named)("%s: the schema allows what the Schema decodes", (_, { file, key, path }) => {
  const validate = anyKind.get(file.kind)
  for (const probe of probes.filter((one) => !isPart(file, key, one))) {
    const value = Keys.fileWith(file, path, probe)
    expect([probe, validate?.(value)]).toEqual([probe, Result.isSuccess(decodes(file, value))])
  }
})

it.each(named)("%s: a variable may stand for a value, not for a table", (_, { file, key, path }) => {
  const validate = anyKind.get(file.kind)
  const isTable = (value: FileSchemas.Value): boolean =>
    value._tag === "Table" || (value._tag === "List" && isTable(value.items))
  for (const text of ["${NAME}", "${NAME:-1}", "${NAME:?why}", "a${NAME}b"]) {
    expect([text, validate?.(Keys.fileWith(file, path, text))]).toEqual([text, !isTable(key.value)])
  }
})

it.each(named)("%s: the default that is shown is the one that holds", (_, { file, key, path }) => {
  if (key.whenAbsent === undefined)
    return expect(Result.isSuccess(decodes(file, Keys.fileWithout(file, path)))).toBe(!key.isRequired)
  const absent = decodes(file, Keys.fileWithout(file, path))
  expect(Result.isSuccess(absent)).toBe(true)
  expect(decodes(file, Keys.fileWith(file, path, key.whenAbsent))).toEqual(absent)
})

it("every key says what it means, and since when", () => {
  for (const { file, key, path } of all) {
    expect([file.kind, path.join("."), key.description.length > 3, /^\d+\.\d+\.\d+$/.test(key.since)]).toEqual([
      file.kind,
      path.join("."),
      true,
      true
    ])
  }
})

it("a value that no file can state is a mistake of the programmer", () => {
  const schema = Schema.Struct({ when: Schema.BigInt })
  const file: FileSchemas.FileSchema = { kind: "pool", place: "", title: "", description: "", section: "x", schema }
  expect(() => FileSchemas.outline(file, { isFile: true })).toThrow(
    "FileSchemas.outline: pool.when must be a table, list or annotated value, got BigInt"
  )
})
