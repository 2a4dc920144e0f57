import * as Problem from "@echelon/config/Problem"
import { expect, it } from "@effect/vitest"
import * as Sample from "./support/Sample.ts"

const group = "llms/groups/fast_group.toml"
const rendered = (text: string, file = group) =>
  Sample.compile({ ...Sample.files, [file]: text }).problems.map(Problem.render)

it("broken TOML: line, column and frame, and nothing that only follows from it", () => {
  expect(rendered('[echelon1]\nmodels = ["openai-gpt4"]\ntimeout = 30s')).toEqual([
    `configs/llms/groups/fast_group.toml:3:13 error llms.groups.fast_group: broken TOML: illegal character in numeric literal
    2 | models = ["openai-gpt4"]
    3 | timeout = 30s
      |             ^`
  ])
})

it("a broken provider file excuses the instances it would have named", () => {
  expect(rendered('kind = "openai"\napi_key = "sk-12\n[models.gpt4]', "llms/provider/openai.toml")).toEqual([
    `configs/llms/provider/openai.toml:2:17 error llms.provider.openai: broken TOML: control characters are not allowed in strings
    1 | kind = "openai"
    2 | api_key = ***
      |              ^
    3 | [models.gpt4]`
  ])
})

it("a key stated twice", () => {
  expect(rendered('[echelon1]\nmodels = ["openai-gpt4"]\ntimeout = 1\ntimeout = 2')).toEqual([
    `configs/llms/groups/fast_group.toml:4:1 error llms.groups.fast_group: broken TOML: trying to redefine an already defined table or value
    3 | timeout = 1
    4 | timeout = 2
      | ^`
  ])
})

it("keys that would reach a prototype", () => {
  expect(rendered("[__proto__]\nx = 1")).toEqual([
    `configs/llms/groups/fast_group.toml:1:2 error llms.groups.fast_group: broken TOML: document contains an unsafe property
    1 | [__proto__]
      |  ^
    2 | x = 1`
  ])
})
