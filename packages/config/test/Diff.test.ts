import * as Diff from "@echelon/config/Diff"
import { expect, it } from "@effect/vitest"
import * as Sample from "./support/Sample.ts"

const lines = (
  before: Readonly<Record<string, string>>,
  after: Readonly<Record<string, string>>,
  variables: Readonly<Record<string, string>> = Sample.variables
) =>
  Diff.between(
    Sample.resolve({ ...Sample.files, ...before }).tree,
    Sample.resolve({ ...Sample.files, ...after }, { variables }).tree
  ).map(Diff.format)

it("names every value that was added, removed or changed, with what it was and where it stands", () => {
  expect(
    lines(
      { "llms/groups/fast_group.toml": '[echelon1]\nmodels = ["openai-gpt4"]\ntimeout = 30\nmax_retries = 1' },
      {
        "llms/groups/fast_group.toml":
          '[echelon1]\nmodels = ["openai-gpt4", "openai-gpt3.5-turbo"]\ntimeout = "20s"\npriority = 4'
      }
    )
  ).toEqual([
    "configs/llms/groups/fast_group.toml:4:1 llms.groups.fast_group.echelon1.max_retries: no longer 1",
    'configs/llms/groups/fast_group.toml:2:1 llms.groups.fast_group.echelon1.models: ["openai-gpt4", "openai-gpt3.5-turbo"], was ["openai-gpt4"]',
    "configs/llms/groups/fast_group.toml:4:1 llms.groups.fast_group.echelon1.priority: 4",
    'configs/llms/groups/fast_group.toml:3:1 llms.groups.fast_group.echelon1.timeout: "20s", was 30'
  ])
})

it("a list that an override states is shown as a list", () => {
  const name = "ECHELON__LLMS__GROUPS__FAST_GROUP__ECHELON1__MODELS"
  expect(lines({}, {}, { ...Sample.variables, [name]: '["openai-gpt3.5-turbo"]' })).toEqual([
    `$${name}:1:1 llms.groups.fast_group.echelon1.models: ["openai-gpt3.5-turbo"], was ["openai-gpt4"]`
  ])
})

it("the same tree, however it is written, has no changes", () => {
  expect(lines({}, {})).toEqual([])
  const group =
    '# a comment\n\n[echelon1]\ntimeout = 30.0\nmodels = [ "openai-gpt4" ]\n[echelon2]\nmodels = ["openai-gpt3.5-turbo"]'
  expect(lines({}, { "llms/groups/fast_group.toml": group })).toEqual([])
})

it("a secret that changed says so and is not shown", () => {
  expect(lines({}, {}, { OPENAI_API_KEY: "sk-sample-2" })).toEqual([
    "configs/llms/provider/openai.toml:2:1 llms.provider.openai.api_key: a text that is not shown, was a text that is not shown"
  ])
  const [unset] = lines({}, {}, {})
  expect(unset).toContain("llms.provider.openai.api_key: nothing, was a text that is not shown")
})

it.each([
  'headers = "S-1"',
  'Headers = "S-1"',
  'api_kye = "S-1"',
  'credentials = ["S-1"]',
  'api_key = ["S-1"]',
  'base_url = "https://h/v1?key=S-1"'
])("a secret is not shown where it has the wrong type, or stands in an address: %s", (line) => {
  const file = { "llms/provider/openai.toml": `kind = "openai"\n${line}\n[models.gpt4]\nmodel = "gpt-4"` }
  const found = [...lines({}, file), ...lines(file, {})].join("\n")
  expect(found).toContain(line.split(" ")[0])
  expect(found).not.toContain("S-1")
})
