import * as MigrateJson from "@echelon/config/MigrateJson"
import * as MigrateSource from "@echelon/config/MigrateSource"
import * as MigrateYaml from "@echelon/config/MigrateYaml"
import * as Origin from "@echelon/config/Origin"
import * as Problem from "@echelon/config/Problem"
import { expect, it } from "@effect/vitest"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

const failure = (file: string, text: string): string => {
  const result = MigrateSource.parse({ file, text })
  return Result.isFailure(result) ? Problem.format(result.failure) : "no failure"
}

it.each([
  ["a.json", '{"a": [1, x]}', "a.json:1:11 error file: broken JSON: expected a value"],
  ["a.json", '{"a": 1,\n "a": 2}', 'a.json:2:2 error file: broken JSON: the key "a" is stated twice'],
  ["a.json", '{"a": 1,}', "a.json:1:9 error file: broken JSON: expected a key in double quotes"],
  ["a.json", '{"a": 1', 'a.json:1:8 error file: broken JSON: the text ends where "," or "}" is expected'],
  [
    "a.json",
    '{"a": "sk-secret\n"}',
    "a.json:1:17 error file: broken JSON: a text holds a line break or a control character"
  ],
  ["a.json", '{"a": "\\q"}', "a.json:1:7 error file: broken JSON: a text holds an unknown escape"],
  ["a.json", '{"a": "sk-secret', "a.json:1:7 error file: broken JSON: a text is not closed"],
  ["a.json", "{} {}", "a.json:1:4 error file: broken JSON: something follows the end of the value"],
  ["a.json", "", "a.json:1:1 error file: broken JSON: the text ends where a value is expected"],
  ["a.json", `{"a": ${"[".repeat(300)}`, "a.json:1:207 error file: broken JSON: nested more than 200 deep"],
  [
    "a.json",
    `{"a": ${"[".repeat(100)}${"]".repeat(100)}}`,
    "a.json:1:1 error file: the file is nested more than 64 deep"
  ],
  ["a.json", "[1]", "a.json:1:1 error file: the file holds no keys"],
  ["a.yaml", "- 1", "a.yaml:1:1 error file: the file holds no keys"],
  ["a.yaml", "", "a.yaml:1:1 error file: the file holds no keys"],
  ["a.yaml", "a: 1\nb: [1, 2\nc: 3", "a.yaml:2:1 error file: broken YAML: expected ','"],
  ["a.yaml", 'a: 1\nb:\n  c: "sk-secret\n', "a.yaml:3:3 error file: broken YAML: unterminated quoted YAML scalar"],
  ["a.yaml", "a: 1\nb: [1, 2\n\n", "a.yaml:2:1 error file: broken YAML: expected ','"],
  ["a.yaml", "a: 1\nb: *x\n", "a.yaml:2:1 error file: broken YAML: unknown YAML alias '*x'"],
  ["a.yaml", "a: 1\nb: 2\na: 3", "a.yaml:3:1 error file: broken YAML: duplicate key 'a'"],
  ["a.yaml", "a:\n\tb: 1", "a.yaml:2:2 error file: broken YAML: tabs cannot be used for YAML indentation"],
  ["a.yaml", `a: ${"[".repeat(100_000)}`, "a.yaml:1:1 error file: broken YAML: nested too deeply"],
  ["a.yml", "a: 1\n---\nb: 1", "a.yml:2:1 error file: broken YAML: multiple YAML documents are not supported"],
  ["a.toml", 'a = 1\nb = "sk-secret', "a.toml:2:5 error file: broken TOML: "]
])("what is broken is refused, case %#: %s", (file, text, message) => {
  const told = failure(file, text)
  expect(told).not.toContain("sk-secret")
  expect(told.slice(0, file === "a.toml" ? message.length : undefined)).toBe(message)
})

it("what is larger than 1 MiB is refused", () => {
  expect(failure("a.json", `{"a": "${"x".repeat(1_048_576)}"}`)).toBe(
    "a.json:1:1 error file: the file has 1048585 bytes; at most 1048576 (1 MiB) are read"
  )
})

it("a small file whose aliases stand for very many values is refused", () => {
  const lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
  for (let n = 1; n < 12; n++)
    lines.push(`a${n}: &a${n} [${Array.from({ length: 10 }, () => `*a${n - 1}`).join(", ")}]`)
  expect(failure("bomb.yaml", lines.join("\n"))).toBe(
    "bomb.yaml:1:1 error file: the file stands for more than 50000 values"
  )
})

it("tells the format by the ending, or else by how the text begins", () => {
  const format = (file: string, text: string) => Result.getOrThrow(MigrateSource.parse({ file, text })).format
  expect([
    format("a.yml", "a: 1"),
    format("a", "a: 1"),
    format("a", '\n {"a": 1}'),
    format("A.JSON", '{"a": 1}'),
    format("a.toml", "a = 1")
  ]).toEqual(["yaml", "yaml", "json", "json", "toml"])
})

it("gives the place of every key", () => {
  const places = (file: string, text: string) => {
    const source = Result.getOrThrow(MigrateSource.parse({ file, text }))
    return MigrateSource.keys(source.value).map(
      (path) => `${Origin.formatPath(path)} ${Origin.format(source.originAt(path))}`
    )
  }
  expect(places("a.json", '{\n "a": {"b c": 1, "d": []},\n "e": [{"f": null}]}')).toEqual([
    'a."b c" a.json:2:8',
    "a.d a.json:2:18",
    "e[0].f a.json:3:9"
  ])
  expect(
    places(
      "a.yaml",
      [
        "m: # a list at the column of its key",
        "- a: 1",
        '  "b c": |',
        "    no: key",
        "  'it''s':",
        "    q: 3",
        "-  z: 1",
        "n: {a: 1, b: [x]}",
        "o:",
        "    -",
        "      - {x: 1}",
        "    - y: 1",
        "last: ~"
      ].join("\r\n")
    )
  ).toEqual([
    "m[0].a a.yaml:2:3",
    'm[0]."b c" a.yaml:3:3',
    'm[0]."it\'s".q a.yaml:6:5',
    "m[1].z a.yaml:7:4",
    "n.a a.yaml:8:1",
    "n.b a.yaml:8:1",
    "o[0][0].x a.yaml:11:7",
    "o[1].y a.yaml:12:7",
    "last a.yaml:13:1"
  ])
  expect(places("a.toml", "[a]\nb = 1")).toEqual(["a.b a.toml:2:1"])
})

const Json = Schema.Union([
  Schema.String,
  Schema.Finite,
  Schema.Boolean,
  Schema.Null,
  Schema.Array(Schema.Union([Schema.String, Schema.Null, Schema.Record(Schema.String, Schema.Int)])),
  Schema.Record(Schema.String, Schema.Array(Schema.Boolean))
])

it.prop(
  "reads what JSON.parse reads, and finds each key where it stands",
  { value: Json, indent: Schema.Literals([0, 2]) },
  ({ indent, value }) => {
    const text = JSON.stringify(value, null, indent)
    const { offsets, value: read } = Result.getOrThrow(MigrateJson.parse(text))
    expect(JSON.stringify(read)).toBe(JSON.stringify(JSON.parse(text)))
    for (const [key, offset] of offsets) {
      const last: unknown = JSON.parse(key).at(-1)
      if (typeof last === "string") expect(text.startsWith(JSON.stringify(last), offset)).toBe(true)
    }
  }
)

it.prop(
  "never reads what JSON.parse refuses",
  { value: Json, at: Schema.Int, c: Schema.Literals(["", ",", '"', "}", "x"]) },
  ({ at, c, value }) => {
    const text = JSON.stringify(value)
    const cut = Math.abs(at) % (text.length + 1)
    const broken = text.slice(0, cut) + c + text.slice(cut + 1)
    let valid = true
    try {
      JSON.parse(broken)
    } catch {
      valid = false
    }
    // A key that is stated twice is refused here only.
    if (!valid) expect(Result.isFailure(MigrateJson.parse(broken))).toBe(true)
  }
)

it("YAML places are those of the parser's keys", () => {
  const text = "a:\n  - b: 1\n    c:\n    - d\n    - e: 2\n  - f: 3\n"
  expect([...MigrateYaml.locate(text).keys()]).toEqual(
    [
      ["a"],
      ["a", 0],
      ["a", 0, "b"],
      ["a", 0, "c"],
      ["a", 0, "c", 0],
      ["a", 0, "c", 1],
      ["a", 0, "c", 1, "e"],
      ["a", 1],
      ["a", 1, "f"]
    ].map(Origin.pathKey)
  )
})
