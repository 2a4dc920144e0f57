import * as Problem from "@echelon/config/Problem"
import * as TomlFile from "@echelon/config/TomlFile"
import { expect, it } from "@effect/vitest"
import * as Result from "effect/Result"
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
    `configs/llms/groups/fast_group.toml:4:1 error llms.groups.fast_group: broken TOML: echelon1.timeout is stated again; it stands on line 3 already
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

const said = (text: string): string | undefined => {
  const parsed = TomlFile.parse("f.toml", "f", text)
  return Result.isFailure(parsed) ? Problem.format(parsed.failure) : undefined
}

it.each([
  ["[x]\ny = 1\n[x]", "f.toml:3:2 error f: broken TOML: x is stated again; it stands on line 1 already"],
  ["[[m]]\nx = 1\nx = 2", "f.toml:3:1 error f: broken TOML: m[0].x is stated again; it stands on line 2 already"],
  ["[a]\nb.c = 1\nb = 2", "f.toml:3:1 error f: broken TOML: a.b is stated again; it stands on line 2 already"],
  ['t = { a = 1, "a" = 2 }', "f.toml:1:14 error f: broken TOML: t.a is stated again; it stands on line 1 already"]
])("what stood first is named: %j", (text, message) => {
  expect(said(text)).toBe(message)
})

const deep = (parts: number): string => "a.".repeat(parts - 1).concat("a = 1")

it("more than a parser should be given", () => {
  expect(said(`x = 1\n${deep(64)}`)).toBeUndefined()
  expect(said(`x = 1\n${deep(65)}`)).toBe("f.toml:2:1 error f: a key of more than 64 parts")
  expect(said(`x = 1\n${deep(100_000)}`)).toBe("f.toml:2:1 error f: a key of more than 64 parts")
  expect(said(`[${deep(65).replace(" = 1", "")}]`)).toBe("f.toml:1:2 error f: a key of more than 64 parts")
  expect(said(`x = ${"[".repeat(65)}${"]".repeat(65)}`)).toContain("nested more than 64 levels deep")
  expect(said(`x = [${"1,".repeat(100_001)}]`)).toContain("more than 100000 keys and values in one file")
  expect(TomlFile.parseValue(`{ ${deep(65)} }`)).toBeUndefined()
})

it("dots in texts and comments are no keys", () => {
  const dots = ".".repeat(100)
  expect(said(`# ${dots}\nx = "${dots}\\"${dots}"\ny = '''\n${dots}'''\nz = 1.5`)).toBeUndefined()
})
