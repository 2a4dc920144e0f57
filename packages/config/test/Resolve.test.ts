// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax that is tested

import { inspect } from "node:util"
import * as Origin from "@echelon/config/Origin"
import * as Resolve from "@echelon/config/Resolve"
import * as Tree from "@echelon/config/Tree"
import { expect, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { stringify } from "smol-toml"
import * as Sample from "./support/Sample.ts"

const group = "llms/groups/fast_group.toml"
const timeout = ["llms", "groups", "fast_group", "echelon1", "timeout"]

const layers = {
  "global.toml": "[llms.groups.fast_group.echelon1]\ntimeout = 1",
  "llms/parent.toml": "[echelon1]\ntimeout = 2",
  [group]: 'inherits_from = "../parent.toml"\n[echelon1]\nmodels = ["openai-gpt4"]\ntimeout = 3',
  "environments/e.toml": "[llms.groups.fast_group.echelon1]\ntimeout = 4"
}

const at = (files: Readonly<Record<string, string>>, options: Sample.Options = {}) => {
  const { tree } = Sample.resolve(files, options)
  const node = Tree.get(tree, timeout)
  return [node?._tag === "Leaf" ? Tree.valueOf(node) : undefined, Origin.format(Tree.originOf(tree, timeout))]
}

it("lays one layer over the next, and every value knows where it comes from", () => {
  const variable = "ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__TIMEOUT"
  expect(at(layers, { env: "e", variables: { [variable]: "5" } })).toEqual(["5", `$${variable}:1:1`])
  expect(at(layers, { env: "e" })).toEqual([4, "configs/environments/e.toml:2:1"])
  expect(at(layers)).toEqual([3, "configs/llms/groups/fast_group.toml:4:1"])
  const inherited = { ...layers, [group]: 'inherits_from = "../parent.toml"\n[echelon1]\nmodels = ["openai-gpt4"]' }
  expect(at(inherited)).toEqual([2, "configs/llms/parent.toml:2:1"])
  const global = { ...layers, [group]: '[echelon1]\nmodels = ["openai-gpt4"]' }
  expect(at(global)).toEqual([1, "configs/global.toml:2:1"])
})

it("a table that an entity's file opens belongs to that file", () => {
  const { tree } = Sample.resolve(layers, { env: "e" })
  expect(Origin.format(Tree.originOf(tree, timeout.slice(0, 3)))).toBe("configs/llms/groups/fast_group.toml:1:1")
})

it("expands only what survives: an overridden value's variable need not be set", () => {
  const files = {
    ...Sample.files,
    [group]: '[echelon1]\nmodels = ["openai-gpt4"]\ntimeout = "${GONE}"',
    "environments/e.toml": "[llms.groups.fast_group.echelon1]\ntimeout = 4"
  }
  expect(Sample.resolve(files, { env: "e" }).problems).toEqual([])
  expect(Sample.problems({ [group]: files[group] })).toEqual([
    "configs/llms/groups/fast_group.toml:3:1 error llms.groups.fast_group.echelon1.timeout: the variable GONE is not set; set it, or write a default as ${GONE:-default}"
  ])
})

it("a variable stands for a number, a list or a part of a text, and $${ for itself", () => {
  const plan = Sample.plan(
    {
      [group]:
        'description = "$${T} is ${T}"\n[echelon1]\nmodels = "${MODELS}"\ntimeout = "${T}"\nmax_retries = "${R:-7}"\nidle_timeout = "${T}s"'
    },
    { variables: { ...Sample.variables, T: "12", MODELS: '["openai-gpt4"]' } }
  )
  const found = plan.groups["fast_group"]
  expect(found?.description).toBe("${T} is 12")
  expect(found?.echelons[0]?.clocks.attempt).toBe(12_000)
  expect(found?.echelons[0]?.clocks.idle).toBe(12_000)
  expect(found?.echelons[0]?.maxRetries).toBe(7)
  expect(found?.echelons[0]?.instances).toEqual(["openai-gpt4"])
})

it("says which variable is missing, demanded or misspelt, and shows a variable as it was written", () => {
  expect(
    Sample.problems(
      {
        [group]:
          'description = "${A:?ask the operator}"\n[echelon1]\nmodels = ["openai-gpt4"]\ntimeout = "${T}"\nstop = "${1}"\nseed = "${"'
      },
      { variables: { ...Sample.variables, T: "a secret by mistake" } }
    )
  ).toEqual([
    "configs/llms/groups/fast_group.toml:1:1 error llms.groups.fast_group.description: the variable A is not set: ask the operator",
    'configs/llms/groups/fast_group.toml:4:1 error llms.groups.fast_group.echelon1.timeout: expected seconds above 0 (at most 24 days), or text such as "30s", "500ms", "5m", "1h"; found "${T}"',
    'configs/llms/groups/fast_group.toml:5:1 error llms.groups.fast_group.echelon1.stop: what begins with "${1" is no variable; write ${NAME}, ${NAME:-default} or ${NAME:?message}, and $${ for a literal ${',
    'configs/llms/groups/fast_group.toml:6:1 error llms.groups.fast_group.echelon1.seed: what begins with "${" is no variable; write ${NAME}, ${NAME:-default} or ${NAME:?message}, and $${ for a literal ${'
  ])
})

it("an unknown environment names those there are", () => {
  expect(Sample.problems({ "environments/production.toml": "" }, { env: "prodction" })).toEqual([
    'configs/environments/prodction.toml:1:1 error environment: there is no configs/environments/prodction.toml; did you mean "production"?'
  ])
})

it("resolving what was resolved changes nothing", () => {
  const plain = (tree: Tree.Table) => Tree.toPlain(tree, Tree.valueOf)
  const once = Sample.resolve(
    { ...Sample.files, ...layers, "llms/groups/other.toml": 'description = "$${A} ${B}"\n[echelon1]\nstop = ["a"]' },
    { env: "e", variables: { ...Sample.variables, B: "b" } }
  )
  expect(once.problems).toEqual([])
  const text = stringify(plain(once.tree) as Record<string, unknown>).replaceAll("${", () => "$${")
  const twice = Resolve.resolve({ root: "configs", files: { "global.toml": text }, env: undefined, variables: {} })
  expect(twice.problems).toEqual([])
  expect(plain(twice.tree)).toEqual(plain(once.tree))
})

const Text = Schema.Literals(["a", "$${A}", "${B}", "${MISSING:-x}", "<$${ ${B} >", "5", "true"])
const Value = Schema.Union([Schema.Int, Schema.Boolean, Text, Schema.Array(Text)])
const Key = Schema.Literals(["one", "two", "with.dot"])
const Edits = Schema.Array(Schema.Struct({ key: Key, below: Schema.Array(Key), value: Value }))

/** Tables and values, so that one layer has a table where another has a value. */
const layerOf = (edits: typeof Edits.Type): Readonly<Record<string, unknown>> =>
  Object.fromEntries(
    edits.map(({ below: [inner], key, value }) => [key, inner === undefined ? value : { [inner]: value }])
  )

const plainOf = (tree: Tree.Table) => JSON.parse(JSON.stringify(Tree.toPlain(tree, Tree.valueOf)))
const resolveAll = (files: Readonly<Record<string, string>>, env?: string) =>
  Resolve.resolve({ root: "configs", files, env, variables: { B: "b" } })
const inGroup = (edits: typeof Edits.Type) => stringify({ llms: { groups: { g: layerOf(edits) } } })

it.prop("resolving what was resolved changes nothing, whatever it is", { a: Edits, b: Edits, c: Edits }, (layers) => {
  const files = {
    "global.toml": inGroup(layers.a),
    "llms/groups/g.toml": stringify(layerOf(layers.b)),
    "environments/e.toml": inGroup(layers.c)
  }
  const once = resolveAll(files, "e")
  expect(once.problems).toEqual([])
  const text = stringify(plainOf(once.tree)).replaceAll("${", () => "$${")
  const twice = resolveAll({ "global.toml": text })
  expect(twice.problems).toEqual([])
  expect(plainOf(twice.tree)).toEqual(plainOf(once.tree))
})

it.prop(
  "which layers are laid over one another first makes no difference",
  { a: Edits, b: Edits, c: Edits },
  (layers) => {
    const group = (files: Readonly<Record<string, string>>, env?: string) =>
      Tree.get(resolveAll(files, env).tree, ["llms", "groups", "g"])
    const shown = (node: Tree.Node | undefined) => node && Tree.toPlain(node, Tree.valueOf)
    const [a, b, c] = [stringify(layerOf(layers.a)), stringify(layerOf(layers.b)), stringify(layerOf(layers.c))]
    // (a, b), then c, by parents; and a, then (b, c), by a global file beneath a child and its parent.
    const parent = { "llms/a.toml": a, "llms/b.toml": `inherits_from = "a.toml"\n${b}` }
    const one = group({ ...parent, "llms/groups/g.toml": `inherits_from = "../b.toml"\n${c}` })
    const two = group({
      "llms/a.toml": a,
      "llms/b.toml": b,
      "llms/groups/g.toml": `inherits_from = ["../a.toml", "../b.toml"]\n${c}`
    })
    const three = group({
      "global.toml": inGroup(layers.a),
      "llms/b.toml": b,
      "llms/groups/g.toml": `inherits_from = "../b.toml"\n${c}`
    })
    expect([shown(two), shown(three)]).toEqual([shown(one), shown(one)])
  }
)

it("takes CRLF and a byte order mark", () => {
  expect(Sample.problems({ [group]: '\ufeff[echelon1]\r\nmodels = ["openai-gpt4"]\r\ntimeout = 0\r\n' })).toEqual([
    'configs/llms/groups/fast_group.toml:3:1 error llms.groups.fast_group.echelon1.timeout: expected seconds above 0 (at most 24 days), or text such as "30s", "500ms", "5m", "1h"; found 0'
  ])
})

it("what is resolved holds no variable, and tells of one only who asks for it", () => {
  const variables = { ...Sample.variables, UNRELATED: "db-password-4711", EMPTY: "" }
  const resolved = Sample.resolve(Sample.files, { variables })
  const dumped = `${inspect(resolved, { depth: 40, showHidden: true })}${JSON.stringify(resolved)}${String(resolved)}`
  expect(dumped).not.toContain("4711")
  expect(dumped).not.toContain("sk-sample-1")
  const { variable } = resolved
  const [value, empty] = [variable("UNRELATED"), variable("EMPTY")]
  expect([value && Redacted.value(value), empty && Redacted.value(empty)]).toEqual(["db-password-4711", ""])
  expect([variable("GONE"), variable("toString")]).toEqual([undefined, undefined])
})

it("a variable that is set to nothing is empty, not unset", () => {
  const said = (variables: Readonly<Record<string, string>>) =>
    Sample.problems({ [group]: '[echelon1]\nmodels = ["openai-gpt4"]\ntimeout = "${T}"' }, { variables }).map((line) =>
      line.replace(/^\S+ /, "")
    )
  expect(said({ T: "" })).toEqual([
    "error llms.groups.fast_group.echelon1.timeout: the variable T is empty; set it, or write a default as ${T:-default}",
    "warning llms.provider.openai.api_key: the variable OPENAI_API_KEY is not set, so the instances of this credential are disabled"
  ])
  expect(said({ T: "1", OPENAI_API_KEY: "" })).toContain(
    "warning llms.provider.openai.api_key: the variable OPENAI_API_KEY is empty, so the instances of this credential are disabled"
  )
})
