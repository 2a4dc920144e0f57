import * as KeyLocator from "@echelon/config/KeyLocator"
import * as Origin from "@echelon/config/Origin"
import { expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { parse, TomlError } from "smol-toml"

/** Every path of a parsed document. */
const pathsOf = (value: unknown, path: Origin.Path = []): ReadonlyArray<string> => {
  const self = path.length === 0 ? [] : [Origin.pathKey(path)]
  if (Array.isArray(value)) return [...self, ...value.flatMap((item, i) => pathsOf(item, [...path, i]))]
  if (typeof value !== "object" || value === null || value instanceof Date) return self
  return [...self, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))]
}

const sameKeys = (text: string): void => {
  expect([...KeyLocator.locate(text).keys()].sort()).toEqual([...pathsOf(parse(text))].sort())
}

it.each([
  "",
  "# only a comment",
  "a = 1",
  "a = 1 # b = 2\nc = 3",
  'a = "x # not a comment"\nb = 2',
  'a = "say \\"hi\\" = ]"\nb = 2',
  "a = 'C:\\'\nb = 2",
  'a = """\nb = 1\n[c]\n"""\nd = 2',
  'a = """x\\""" y"""\nd = 2',
  'a = """"quoted"""""\nd = 2',
  "a = '''\nb = 1 '' '''\nd = 2",
  "a = ''''x'''''\nd = 2",
  'a = [1, 2, [3, "]"], { b = "}", c.d = [1] }, # comment ]\n]\ne = 1',
  "a = []\nb = {}\nc = [[], []]",
  "a.b.c = 1\na.b.d = 2\na.e = 3",
  '"a.b"."c d" = 1\n\'e"f\' = 2\n"\\u00e9" = 3\n"" = 4',
  "a . b  =  1",
  '[a]\nb = 1\n[a.c]\nd = 1\n[ "x.y" . z ]\nw = 1',
  "[a.b.c]\nd = 1\n[a]\ne = 1",
  "[[a]]\nb = 1\n[[a]]\nc = 1\n[a.d]\ne = 1\n[[a.f]]\ng = 1\n[[a.f]]\n[[a]]\n[[a.f]]",
  "[[ a . 'b' ]]\n[a.b.c]\nd = 2",
  "a = 1979-05-27 07:32:00\nb = 07:32:00\nc = 1979-05-27T00:32:00-07:00",
  "a = inf\nb = -nan\nc = 1_000\nd = 0xff\ne = 1e5\nf = true",
  "a = 1\r\n[b]\r\nc = [\r\n 1,\r\n 2 ]\r\n",
  "\ufeffa = 1\n[b]\nc = 2",
  "\t a = 1\n  [b]\n\t\tc = 2",
  "[models.\"gpt3.5-turbo\"]\nmodel = 'x'",
  "1979 = 1\n-_- = 2\ntrue = 3"
])("finds the keys that the parser finds: %j", (text) => sameKeys(text))

const Key = Schema.Literals(["a", "b", '"c.d"', "'e f'", "a.b", "b.'c'", 'a . "x#y"'])
const Value = Schema.Literals([
  "1",
  "-2.5",
  "true",
  '"x = [1] # \\" y"',
  "'[a]'",
  '"""\n[z]\nq = 1 \\"""\n"""',
  "'''a\n'b' = {'''",
  "[1, [2, 'x]'], {k = 1}]",
  "[ # c\n 1,\n]",
  '{ a = 1, "b c".d = [{}, { e = "}" }] }',
  "{}",
  "1979-05-27 07:32:00"
])
const Line = Schema.Union([
  Schema.Struct({ _tag: Schema.Literal("Pair"), key: Key, value: Value }),
  Schema.Struct({ _tag: Schema.Literal("Table"), key: Key }),
  Schema.Struct({ _tag: Schema.Literal("Item"), key: Key }),
  Schema.Struct({ _tag: Schema.Literal("Blank"), text: Schema.Literals(["", "# [a]", "  \t"]) })
])

const isValid = (text: string): boolean => {
  try {
    parse(text)
    return true
  } catch (cause) {
    if (cause instanceof TomlError) return false
    throw cause
  }
}

it.prop(
  "finds the keys that the parser finds, in any document",
  { lines: Schema.Array(Line), end: Schema.Literals(["\n", "\r\n"]) },
  ({ end, lines }) => {
    let text = ""
    for (const line of lines) {
      const written =
        line._tag === "Pair"
          ? `${line.key} = ${line.value}`
          : line._tag === "Blank"
            ? line.text
            : line._tag === "Table"
              ? `[${line.key}]`
              : `[[${line.key}]]`
      // A line that would state something twice is left out, so that every document counts.
      const next = `${text}${written.replaceAll("\n", end)}${end}`
      if (isValid(next)) text = next
    }
    sameKeys(text)
    const rows = text.split(/\r?\n/)
    for (const [key, position] of KeyLocator.locate(text)) {
      const last = JSON.parse(key).at(-1)
      const at = rows[position.line - 1]?.slice(position.column - 1) ?? ""
      if (typeof last === "string") {
        expect(
          at.startsWith("[") || at.startsWith(last) || at.startsWith(`"${last}"`) || at.startsWith(`'${last}'`)
        ).toBe(true)
      }
    }
  }
)

it("counts lines and columns from 1, of keys, headers and list items", () => {
  const text = 'a = 1\r\n  "b c".d = [\r\n    1,\r\n  2]\r\n[[t]]\r\nk = {x = 1}\r\n[[t]]\r\n'
  const found = KeyLocator.locate(text)
  const at = (...path: ReadonlyArray<string | number>) => found.get(Origin.pathKey(path))
  expect(at("a")).toEqual({ line: 1, column: 1 })
  expect(at("b c")).toEqual({ line: 2, column: 3 })
  expect(at("b c", "d")).toEqual({ line: 2, column: 9 })
  expect(at("b c", "d", 0)).toEqual({ line: 3, column: 5 })
  expect(at("b c", "d", 1)).toEqual({ line: 4, column: 3 })
  expect(at("t", 0)).toEqual({ line: 5, column: 1 })
  expect(at("t", 0, "k", "x")).toEqual({ line: 6, column: 6 })
  expect(at("t", 1)).toEqual({ line: 7, column: 1 })
})
