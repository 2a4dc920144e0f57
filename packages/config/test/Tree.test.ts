import * as Origin from "@echelon/config/Origin"
import * as Tree from "@echelon/config/Tree"
import { expect, it } from "@effect/vitest"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"

const Edits = Schema.Array(
  Schema.Struct({
    first: Schema.Literals(["a", "b"]),
    rest: Schema.Array(Schema.Literals(["a", "b"])),
    value: Schema.Int
  })
)

/** Values below paths, so that a path is a value in one tree and a table in another. */
const treeOf = (name: string, edits: typeof Edits.Type): Tree.Table =>
  edits.reduce(
    (tree, { first, rest, value }, i) => {
      const path = [first, ...rest.slice(0, 2)]
      const node = Tree.nest(path, Tree.leaf(path, value, Origin.file(name, i + 1)))
      return node._tag === "Table" ? Tree.mergeTables(tree, node) : tree
    },
    Tree.table([], Origin.file(name))
  )

it.prop("merging is associative", { x: Edits, y: Edits, z: Edits }, ({ x, y, z }) => {
  const [a, b, c] = [treeOf("x", x), treeOf("y", y), treeOf("z", z)]
  expect(Tree.mergeTables(Tree.mergeTables(a, b), c)).toEqual(Tree.mergeTables(a, Tree.mergeTables(b, c)))
})

it.prop("a tree merged with itself stays as it is, and an empty one changes nothing", { x: Edits }, ({ x }) => {
  const tree = treeOf("x", x)
  const empty = Tree.table([], Origin.file("x"))
  expect(Tree.mergeTables(tree, tree)).toEqual(tree)
  expect(Tree.mergeTables(empty, tree)).toEqual(tree)
  expect(Tree.mergeTables(tree, empty)).toEqual(tree)
})

it.prop("set changes exactly what stands at its path", { x: Edits, value: Schema.Int }, ({ value, x }) => {
  const tree = treeOf("x", x)
  const path = ["c", "d"]
  const next = Tree.set(tree, path, Tree.leaf(path, value, Origin.variable("V")))
  if (next?._tag !== "Table") throw new Error("no table")
  expect(Tree.toPlain(Tree.get(next, path) ?? tree, Tree.valueOf)).toBe(value)
  expect(Tree.without(next, ["c"])).toEqual(tree)
})

it("keeps what may be secret redacted, with no text of it beside", () => {
  for (const path of [
    ["api_key"],
    ["credentials", 0, "api_key"],
    ["headers", "x-org"],
    ["query", "key"],
    ["client_secret"]
  ]) {
    const leaf = Tree.leaf(path, "sk-123", Origin.file("f"), { written: "sk-123" })
    expect(Redacted.isRedacted(leaf.value)).toBe(true)
    expect(JSON.stringify(leaf)).not.toContain("sk-123")
    expect(Tree.valueOf(leaf)).toBe("sk-123")
  }
  expect(Tree.isSecret(["echelon1", "max_tokens"])).toBe(false)
})

it("a value is secret where a credential stands, whatever is written there", () => {
  const provider = ["llms", "provider", "openai"]
  const secret: ReadonlyArray<Origin.Path> = [
    ["headers"],
    ["query"],
    ["credentials"],
    ["credentials", 0],
    ["credentials", 0, 1],
    ["credentials", 0, "api_ky"],
    ["credentials", "api_key"],
    ["api_key", 0],
    ["api_key", "value"],
    ["apiKey", 0, "x"],
    ["api-key"],
    ["token"],
    ["key"],
    [...provider, "headers", 0],
    [...provider, "api_key", 0],
    ["alerts", "channels", "x", "url"],
    ["usage", "url"]
  ]
  for (const path of secret) expect([path, Tree.isSecret(path)]).toEqual([path, true])
  const open: ReadonlyArray<Origin.Path> = [
    ["credentials", 0, "name"],
    ["credentials", 0, "weight"],
    [...provider, "credentials", 1, "name"],
    ["llms", "groups", "api_key", "echelon1", "timeout"],
    ["llms", "groups", "query", "echelon1", "models", 0],
    ["models", "headers", "model"],
    ["models", "my-secret", "capabilities", 0],
    ["rate_limiting", "token_bucket", "bucket_size"],
    ["max_tokens"],
    ["alerts", "channels", "x", "host"]
  ]
  for (const path of open) expect([path, Tree.isSecret(path)]).toEqual([path, false])
})

it("an index of a list of values gives the list its origin, an index of a list of tables does not", () => {
  const file = Origin.file("f", 3)
  const variable = Origin.variable("V")
  const list: Tree.List = { _tag: "List", items: [Tree.leaf(["a", 0], "x", file)], origin: file }
  const tables: Tree.List = { _tag: "List", items: [Tree.table([], file)], origin: file }
  const tree = Tree.table(
    [
      ["a", list],
      ["b", tables]
    ],
    file
  )
  const next = (path: Origin.Path) => Tree.set(tree, path, Tree.leaf(path, "y", variable)) ?? tree
  expect(Tree.originOf(next(["a", 0]), ["a"])).toEqual(variable)
  expect(Tree.originOf(next(["b", 0, "name"]), ["b"])).toEqual(file)
})
