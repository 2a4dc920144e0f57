// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax that is tested

import * as Tree from "@echelon/config/Tree"
import { expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as Sample from "./support/Sample.ts"

const set = (values: Readonly<Record<string, string>>) => ({ variables: { ...Sample.variables, ...values } })

it("sets numbers, texts, flags and lists by their path", () => {
  const plan = Sample.plan(
    {},
    set({
      ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__TIMEOUT: "20",
      ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON2__TIMEOUT: "1500ms",
      ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON2__MODELS: '["openai-gpt4", "openai-gpt3.5-turbo"]',
      ECHELON__LLMS__POLLING_POOLS__FAST_POOL__COALESCE__ENABLED: "true",
      ECHELON__LLMS__PROVIDER__OPENAI__MODELS__GPT3_5_TURBO__MODEL: "123",
      ECHELON__ROUTING__DEFAULT_POOL: "fast_pool"
    })
  )
  expect(plan.groups["fast_group"]?.echelons[0]?.clocks.attempt).toBe(20_000)
  expect(plan.groups["fast_group"]?.echelons[1]?.clocks.attempt).toBe(1_500)
  expect(plan.groups["fast_group"]?.echelons[1]?.instances).toEqual(["openai-gpt4", "openai-gpt3.5-turbo"])
  expect(plan.pools["fast_pool"]?.coalesce).toBe(true)
  expect(plan.instances["openai-gpt3.5-turbo"]?.model.model).toBe("123")
  expect(plan.routing.defaultPool).toBe("fast_pool")
})

it("reaches list items by index, and what an environment set", () => {
  const plan = Sample.plan(
    {
      "environments/e.toml": "[llms.groups.fast_group.echelon1]\ntimeout = 10",
      "llms/provider/other.toml":
        'kind = "k"\nmodels.m = {}\n[[credentials]]\nname = "a"\nweight = 2\n[[credentials]]\nname = "b"'
    },
    {
      env: "e",
      ...set({
        ECHELON__LLMS__PROVIDER__OTHER__CREDENTIALS__1__WEIGHT: "7",
        ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__TIMEOUT: "9"
      })
    }
  )
  expect(plan.providers["other"]?.credentials.map(({ weight }) => weight)).toEqual([2, 7])
  expect(plan.groups["fast_group"]?.echelons[0]?.clocks.attempt).toBe(9_000)
})

it("an underscore is itself before it is a dash or a dot, and ambiguous when both fit", () => {
  const provider = (aliases: ReadonlyArray<string>) => ({
    "llms/provider/other.toml": `kind = "k"\n${aliases.map((alias) => `[models."${alias}"]\n`).join("")}`
  })
  const weight = set({ ECHELON__LLMS__PROVIDER__OTHER__MODELS__A_B__WEIGHT: "5" })
  expect(Sample.plan(provider(["a_b", "a-b"]), weight).providers["other"]?.models["a_b"]?.weight).toBe(5)
  expect(Sample.problems(provider(["a.b", "a-b"]), weight)).toEqual([
    '$ECHELON__LLMS__PROVIDER__OTHER__MODELS__A_B__WEIGHT:1:1 error llms.provider.other.models.a_b: ambiguous: it may mean "a.b" or "a-b"'
  ])
})

it("says what is wrong with each", () => {
  expect(
    Sample.problems(
      {},
      set({
        ECHELON__LLMS__GROUPS__FAST_GRUP__ECHELON1__TIMEOUT: "1",
        ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__TIMEOT: "1",
        ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__MODELS__7: "x",
        ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON2__TIMEOUT: "soon",
        ECHELON__LLMS__GROUPS____X: "1",
        ECHELON__LLMS__PROVIDER__OPENAI__KIND__X: "y"
      })
    )
  ).toEqual([
    "$ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__MODELS__7:1:1 error llms.groups.fast_group.echelon1.models.7: expected an index from 0 to 0",
    '$ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__TIMEOT:1:1 error llms.groups.fast_group.echelon1.timeot: unknown key; did you mean "timeout"?',
    '$ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON2__TIMEOUT:1:1 error llms.groups.fast_group.echelon2.timeout: expected seconds above 0 (at most 24 days), or text such as "30s", "500ms", "5m", "1h"; found a text that is not shown',
    '$ECHELON__LLMS__GROUPS__FAST_GRUP__ECHELON1__TIMEOUT:1:1 error llms.groups.fast_grup: nothing of that name is configured; did you mean "fast_group"?',
    '$ECHELON__LLMS__GROUPS____X:1:1 error llms.groups."": a key between two underscores is empty',
    "$ECHELON__LLMS__PROVIDER__OPENAI__KIND__X:1:1 error llms.provider.openai.kind.x: there is a value where a table is needed"
  ])
})

it("takes what it says as it is, and never shows a credential", () => {
  const key = { ECHELON__LLMS__PROVIDER__OPENAI__API_KEY: "sk-${X}-777" }
  const resolved = Sample.resolve(Sample.files, set(key))
  const leaf = Tree.get(resolved.tree, ["llms", "provider", "openai", "api_key"])
  expect(leaf?._tag === "Leaf" && Tree.valueOf(leaf)).toBe("sk-${X}-777")
  expect(JSON.stringify([...resolved.tree.entries], (_, v) => (v instanceof Map ? [...v] : v))).not.toContain("777")
})

it.prop("changes exactly its key", { value: Schema.Int }, ({ value }) => {
  const path = ["llms", "groups", "fast_group", "echelon1", "timeout"]
  const before = Sample.resolve(Sample.files).tree
  const after = Sample.resolve(
    Sample.files,
    set({ ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__TIMEOUT: String(value) })
  ).tree
  const leaf = Tree.get(after, path)
  expect(leaf?._tag === "Leaf" && Tree.valueOf(leaf)).toBe(String(value))
  const old = Tree.get(before, path)
  if (old === undefined) throw new Error("no such key")
  expect(Tree.set(after, path, old)).toEqual(before)
})

/** Every leaf of the sample, by its path. */
const leaves = (
  tree: Tree.Node,
  path: ReadonlyArray<string | number> = []
): ReadonlyArray<ReadonlyArray<string | number>> =>
  tree._tag === "Table"
    ? [...tree.entries].flatMap(([key, node]) => leaves(node, [...path, key]))
    : tree._tag === "List"
      ? tree.items.flatMap((node, i) => leaves(node, [...path, i]))
      : [path]

const all = leaves(Sample.resolve(Sample.files).tree)

it.prop(
  "whichever key it is, and however it is spelt, no other changes",
  { at: Schema.Int, value: Schema.NonEmptyString, upper: Schema.Boolean },
  ({ at, upper, value }) => {
    const path = all[Math.abs(at) % all.length] ?? []
    const spelt = path.map((key) => String(key).replace(/[-.]/g, "_")).join("__")
    const name = `ECHELON__${upper ? spelt.toUpperCase() : spelt}`
    const before = Sample.resolve(Sample.files).tree
    const { problems, tree } = Sample.resolve(Sample.files, set({ [name]: value }))
    expect(problems).toEqual([])
    const leaf = Tree.get(tree, path)
    expect(leaf?._tag === "Leaf" && Tree.valueOf(leaf)).toBe(value)
    for (const other of all) {
      if (other === path) continue
      expect([other, Tree.get(tree, other)]).toEqual([other, Tree.get(before, other)])
    }
    expect(leaves(tree)).toEqual(all)
  }
)

it("a variable that is set to nothing overrides nothing, and says so", () => {
  const empty = set({ ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__TIMEOUT: "" })
  expect(Sample.problems({}, empty)).toEqual([
    "$ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__TIMEOUT:1:1 warning llms.groups.fast_group.echelon1.timeout: this variable is set to nothing, so it overrides nothing; unset it, or give it a value"
  ])
  expect(Sample.plan({}, empty).groups["fast_group"]?.echelons[0]?.clocks.attempt).toBe(30_000)
})

it("two variables for one key are an error", () => {
  expect(
    Sample.problems(
      {},
      set({
        ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__TIMEOUT: "1",
        ECHELON__llms__GROUPS__FAST_GROUP__ECHELON1__TIMEOUT: "2"
      })
    )
  ).toEqual([
    "$ECHELON__llms__GROUPS__FAST_GROUP__ECHELON1__TIMEOUT:1:1 error llms.groups.fast_group.echelon1.timeout: ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__TIMEOUT sets the same key; unset one of them"
  ])
})

it("the prefix may be in lower case, too", () => {
  const plan = Sample.plan({}, set({ echelon__llms__groups__fast_group__echelon1__timeout: "7" }))
  expect(plan.groups["fast_group"]?.echelons[0]?.clocks.attempt).toBe(7_000)
})

it.each([
  ["ROUTING__DEFAULT_POOL", "hunter2"],
  ["ROUTING__DEFAULT_WRAPPER", "hunter2"],
  ["LLMS__PROVIDER__OPENAI__DEFAULT_MODEL", "hunter2"],
  ["LLMS__PROVIDER__OPENAI__BASE_URL", "hunter2"],
  ["LLMS__PROVIDER__OPENAI__HTTP2", "hunter2"],
  ["LLMS__GROUPS__FAST_GROUP__ECHELON1__TIMEOUT", "hunter2"],
  ["LLMS__GROUPS__FAST_GROUP__ECHELON1__MODELS", '["hunter2"]'],
  ["LLMS__GROUPS__FAST_GROUP__FALLBACK_CONFIG__FALLBACK_GROUPS", '["hunter2"]'],
  ["LLMS__POLLING_POOLS__FAST_POOL__TASK_GROUPS", '["hunter2"]'],
  ["LLMS__POLLING_POOLS__FAST_POOL__ROTATION_STRATEGY", "hunter2"]
])("what %s holds is not told when it is refused", (key, value) => {
  const said = Sample.problems({}, set({ [`ECHELON__${key}`]: value })).join("\n")
  expect(said).toContain("error")
  expect(said).not.toContain("hunter2")
})

it("a number, a time or a flag that an override holds is told when it is refused", () => {
  const said = (value: string) =>
    Sample.problems({}, set({ ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__MAX_TOKENS: value })).join("\n")
  expect(["-1", "30s", "true"].map((value) => said(value).includes(`found "${value}"`))).toEqual([true, true, true])
})
