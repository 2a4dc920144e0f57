import * as TomlWriter from "@echelon/config/TomlWriter"
import { expect, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import { parse } from "smol-toml"

const value = (one: TomlWriter.Value, comment?: string): TomlWriter.Node => ({ _tag: "Value", value: one, comment })
const table = (entries: Readonly<Record<string, TomlWriter.Node>>): TomlWriter.Node => ({
  _tag: "Table",
  entries: new Map(Object.entries(entries))
})

it("keeps the order, puts values before tables, and writes comments", () => {
  const text = TomlWriter.document({
    header: ["From a.yaml", "line\nbreak"],
    entries: new Map([
      ["models", table({ "gpt3.5": table({ model: value("gpt-3.5", "here\r\nand there") }), none: table({}) })],
      ["name", value("x")],
      ["sizes", value([1, 2.5, [true], { "a b": 'q"\\' }])]
    ])
  })
  expect(text).toBe(`# From a.yaml
# line break

name = "x"
sizes = [1, 2.5, [true], { "a b" = "q\\"\\\\" }]

[models."gpt3.5"]
model = "gpt-3.5" # here and there

[models.none]
`)
})

it.each([0, -1, 1.5, 1e-7, 1e15, 1e18, -1e18, 1e21, 1e300, 2 ** 53, Infinity, -Infinity, Number.NaN])(
  "the number %d is read back",
  (one) => {
    expect(parse(`v = ${TomlWriter.value(one)}`)["v"]).toBe(one)
  }
)

it("control characters, the delete character and half a pair do not get through", () => {
  const text = TomlWriter.document({
    header: [],
    entries: new Map([["a\u007f", value("\u0000\u007f\ud800", "\u007f\u009b1m")]])
  })
  expect(text).toBe('"a\\u007F" = "\\u0000\\u007F\ufffd" #  1m\n')
  expect(parse(text)).toEqual({ "a\u007f": "\u0000\u007f\ufffd" })
})

const Leaf = Schema.Union([
  Schema.String,
  Schema.Int,
  Schema.Finite,
  Schema.Boolean,
  Schema.Array(Schema.String),
  Schema.Record(Schema.String, Schema.Int)
])

it.prop(
  "what it writes is read back, whatever the texts and comments hold",
  { entries: Schema.Record(Schema.String, Leaf), comment: Schema.String, name: Schema.String },
  ({ comment, entries, name }) => {
    const usable = (key: string) => key.isWellFormed() && key !== "__proto__"
    const kept = Object.entries(entries).filter(([key, one]) => {
      const texts = typeof one === "object" ? [...Object.keys(one), ...Object.values(one).map(String)] : [String(one)]
      return usable(key) && texts.every(usable)
    })
    const nodes = new Map(kept.map(([key, one]) => [key, value(one, comment)] as const))
    const inner: TomlWriter.Node = { _tag: "Table", entries: nodes }
    const key = usable(name) ? name : "t"
    const text = TomlWriter.document({
      header: [comment],
      entries: new Map([
        ["below", inner],
        [key, inner]
      ])
    })
    const plain = Object.fromEntries(kept)
    expect(JSON.parse(JSON.stringify(parse(text)))).toEqual(JSON.parse(JSON.stringify({ below: plain, [key]: plain })))
  }
)
