/**
 * Decodes part of a resolved tree by a Schema, and turns everything that does not fit into problems.
 *
 * @since 0.1.0
 */
import * as Nearest from "@echelon/core/Nearest"
import * as Result from "effect/Result"
import type * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import type * as SchemaIssue from "effect/SchemaIssue"
import * as SchemaParser from "effect/SchemaParser"
import * as Origin from "./Origin.ts"
import * as Problem from "./Problem.ts"
import * as TomlFile from "./TomlFile.ts"
import * as Tree from "./Tree.ts"

interface Invalid {
  readonly _tag: "Invalid"
  readonly path: Origin.Path
  readonly expected: string
  /** The texts that are allowed, when these are all. */
  readonly choices?: ReadonlyArray<string> | undefined
}

/** What does not fit, by its path below the decoded table. */
type Finding =
  | Invalid
  | { readonly _tag: "Missing"; readonly path: Origin.Path; readonly expected: string }
  | { readonly _tag: "Unknown"; readonly path: Origin.Path; readonly known: ReadonlyArray<string> }

const expectedOf = (ast: SchemaAST.AST): string | undefined => SchemaAST.resolveAt<string>("expected")(ast)

const knownKeys = (ast: SchemaAST.AST): ReadonlyArray<string> => {
  const stated = SchemaAST.isObjects(ast) ? ast.propertySignatures.map((signature) => String(signature.name)) : []
  return [...stated, ...(SchemaAST.resolveAt<ReadonlyArray<string>>("knownKeys")(ast) ?? [])]
}

/** What is allowed at a key that is missing. */
const expectedAt = (parent: SchemaAST.AST | undefined, key: PropertyKey | undefined): string => {
  const signature =
    parent !== undefined && SchemaAST.isObjects(parent)
      ? parent.propertySignatures.find(({ name }) => name === key)
      : undefined
  return (signature === undefined ? undefined : expectedOf(signature.type)) ?? "a value"
}

const invalid = (ast: SchemaAST.AST, path: Origin.Path, expected: string | undefined): Invalid => ({
  _tag: "Invalid",
  path,
  expected: expected ?? expectedOf(ast) ?? "another value"
})

/** Walks an issue; `expected` is what the nearest Schema around it at the same path allows. */
const findings = (
  issue: SchemaIssue.Issue,
  path: Origin.Path,
  expected: string | undefined,
  parent: SchemaAST.AST | undefined
): ReadonlyArray<Finding> => {
  switch (issue._tag) {
    case "Pointer": {
      const below = issue.path.map((segment) => (typeof segment === "number" ? segment : String(segment)))
      return findings(issue.issue, [...path, ...below], undefined, parent)
    }
    case "Composite":
      return issue.issues.flatMap((inner) => findings(inner, path, expected, issue.ast))
    case "Encoding":
      return findings(issue.issue, path, expectedOf(issue.ast) ?? expected, issue.ast)
    case "Filter": {
      const stated = issue.filter.annotations?.["expected"]
      return [{ _tag: "Invalid", path, expected: expected ?? (typeof stated === "string" ? stated : "another value") }]
    }
    case "MissingKey":
      return [{ _tag: "Missing", path, expected: expectedAt(parent, path.at(-1)) }]
    case "UnexpectedKey":
      return [{ _tag: "Unknown", path, known: knownKeys(issue.ast) }]
    case "AnyOf": {
      // A list of choices where one choice may stand, too: what is wrong is the item.
      const below = issue.issues.flatMap((inner) => findings(inner, path, undefined, parent))
      if (issue.issues.length === 1 && below.length > 0 && below.every((one) => one.path.length > path.length))
        return below
      return [
        {
          ...invalid(issue.ast, path, expected),
          choices: SchemaAST.resolveAt<ReadonlyArray<string>>("choices")(issue.ast)
        }
      ]
    }
    case "InvalidType":
    case "OneOf":
      return [invalid(issue.ast, path, expected)]
    case "InvalidValue":
    case "Forbidden":
      return [{ _tag: "Invalid", path, expected: expected ?? "another value" }]
  }
}

/** Characters that a terminal acts on and `JSON.stringify` leaves as they are. */
const control = /[\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g

const maskedQuery = (query: string): string =>
  query
    .split("&")
    .map((part) => (part === "" ? "" : part.includes("=") ? part.replace(/=[\s\S]*$/, "=***") : "***"))
    .join("&")

/** An address without its user, password, the values of its query and its fragment. */
const maskedAddress = (address: string): string => {
  const [, scheme = "", rest = ""] = /^([A-Za-z][\w+.-]*:\/\/)?([\s\S]*)$/.exec(address) ?? []
  // A password may hold what ends a host; a colon that no port follows says that there is one.
  const bare = rest.replace(/^[^/?#]*@|^[^/?#]*:(?!\d*(?:[/?#]|$))[\s\S]*@/, "***@")
  const [, before = "", query, fragment] = /^([^?#]*)(?:\?([^#]*))?(?:#([\s\S]*))?$/.exec(bare) ?? []
  return `${scheme}${before}${query === undefined ? "" : `?${maskedQuery(query)}`}${fragment === undefined ? "" : "#***"}`
}

/**
 * Text without the secrets of addresses in it: user, password, values of a query, fragment. With `isAddress` the
 * whole text is one, also where it has no scheme.
 *
 * @since 0.1.0
 * @category getters
 */
export const masked = (text: string, isAddress = false): string =>
  isAddress ? maskedAddress(text) : text.replace(/[A-Za-z][\w+.-]*:\/\/\S*/g, maskedAddress)

const quote = (text: string, isAddress = false): string => {
  const shown = masked(text, isAddress)
  const escaped = (char: string): string => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`
  return JSON.stringify(shown.length > 60 ? `${shown.slice(0, 60)}...` : shown).replace(control, escaped)
}

/** A short number, a time, `true` or `false`: that much of a variable may be told. */
const isPlain = (text: string): boolean =>
  /^(?:true|false|[+-]?\d{1,12}(?:\.\d{1,6})?\s*(?:ms|s|m|h)?)$/.test(text.trim())

/** Keys that hold an address now, or did in older files. */
const isAddress = (path: Origin.Path): boolean => /(url|endpoint|address|api_base)$/i.test(String(path.at(-1)))

/**
 * Says what stands somewhere without giving a secret away.
 *
 * @since 0.1.0
 * @category getters
 */
export const describe = (node: Tree.Node, path: Origin.Path): string => {
  switch (node._tag) {
    case "Table":
      return "a table"
    case "List":
      return node.items.length === 0 ? "an empty list" : "a list"
    case "Unset":
      return "nothing"
    case "Leaf": {
      const value = Tree.valueOf(node)
      const kind = value instanceof Date ? "date" : typeof value === "string" ? "text" : typeof value
      if (Tree.isSecret(path)) return `a ${kind} that is not shown`
      if (node.written !== undefined) return quote(node.written, isAddress(path))
      if (value instanceof Date) return `the date ${value.toISOString()}`
      return typeof value === "string" ? quote(value, isAddress(path)) : String(value)
    }
  }
}

/**
 * Says what was found where something else is needed: as `describe` does, but of what a variable put in place of a
 * value no more than a number, a time, `true` or `false`. What is refused may be anything, a secret too.
 *
 * @since 0.1.0
 * @category getters
 */
export const refused = (node: Tree.Node, path: Origin.Path): string => {
  const value = node._tag === "Leaf" && node.origin._tag === "Variable" ? Tree.valueOf(node) : undefined
  return typeof value === "string" && !isPlain(value) ? "a text that is not shown" : describe(node, path)
}

/**
 * A name for a message that refuses it: `name` as it is, in quotes, or what the file says when it came from a
 * variable, which may hold a secret.
 *
 * @since 0.1.0
 * @category getters
 */
export const quoted = (tree: Tree.Table, path: Origin.Path, name: string): string => {
  // A variable may state a list in place of its items.
  const node = Tree.get(tree, path) ?? Tree.get(tree, path.slice(0, -1))
  if (node?._tag !== "Leaf") return quote(name)
  return Tree.isSecret(path) || node.fromVariable ? refused(node, path) : quote(name)
}

const toProblem = (tree: Tree.Table, base: Origin.Path, finding: Finding): Problem.Problem => {
  const path = [...base, ...finding.path]
  const origin = Tree.originOf(tree, path)
  switch (finding._tag) {
    case "Missing":
      return Problem.error("missing_key", origin, path, `missing; expected ${finding.expected}`)
    case "Unknown": {
      const message = `unknown key; ${Nearest.hint(String(path.at(-1)), finding.known)}`
      return Problem.error("unknown_key", origin, path, message)
    }
    case "Invalid": {
      const node = Tree.get(tree, path)
      const found = node === undefined ? "nothing" : refused(node, path)
      const text = node?._tag === "Leaf" && !Tree.isSecret(path) ? Tree.valueOf(node) : undefined
      const near = typeof text === "string" ? Nearest.find(text, finding.choices ?? []) : []
      const hint = near.length === 0 ? "" : `; ${Nearest.hint(String(text), near)}`
      return Problem.error("type", origin, path, `expected ${finding.expected}; found ${found}${hint}`)
    }
  }
}

/** Decodes what stands at a path, or tells what does not fit. */
const run = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  tree: Tree.Table,
  base: Origin.Path
): Result.Result<S["Type"], ReadonlyArray<Finding>> => {
  const root = Tree.get(tree, base) ?? Tree.table([], tree.origin)
  const parse = SchemaParser.decodeUnknownResult(schema, { errors: "all", onExcessProperty: "error" })
  const attempt = (read: (leaf: Tree.Leaf, path: Origin.Path) => unknown) =>
    Result.mapError(parse(Tree.toPlain(root, read)), (issue) => findings(issue, [], undefined, undefined))

  const first = attempt(Tree.valueOf)
  if (Result.isSuccess(first)) return first
  const values = new Map<string, unknown>()
  for (const { path } of first.failure) {
    const node = Tree.get(root, path)
    const text = node?._tag === "Leaf" && node.fromVariable ? Tree.valueOf(node) : undefined
    const value = typeof text === "string" ? TomlFile.parseValue(text) : undefined
    if (value !== undefined) values.set(Origin.pathKey(path), value)
  }
  return values.size === 0
    ? first
    : attempt((leaf, path) => {
        const key = Origin.pathKey(path)
        return values.has(key) ? values.get(key) : Tree.valueOf(leaf)
      })
}

/** Takes out what does not fit, so that its default holds; `undefined` when what is left cannot do without it. */
const takeOut = (
  tree: Tree.Table,
  base: Origin.Path,
  path: Origin.Path,
  unfit: ReadonlySet<string>
): Tree.Table | undefined => {
  const key = path.at(-1)
  if (key === undefined) return undefined
  const above = path.slice(0, -1)
  const parent = Tree.get(tree, [...base, ...above])
  const put = (node: Tree.Node): Tree.Table | undefined => {
    const next = Tree.set(tree, [...base, ...above], node)
    return next?._tag === "Table" ? next : undefined
  }
  if (parent?._tag === "Table" && parent.entries.has(String(key))) return put(Tree.without(parent, [String(key)]))
  if (parent?._tag === "List" && typeof key === "number") {
    // Another item in its place: the others keep their indexes, by which they are found again.
    const other = parent.items.find((_, i) => !unfit.has(Origin.pathKey([...above, i])))
    if (other !== undefined) return put({ ...parent, items: parent.items.with(key, other) })
  }
  // What stood there may be gone with something around it.
  return parent === undefined || parent._tag === "Table" ? tree : takeOut(tree, base, above, unfit)
}

/**
 * Decodes what stands at a path. Text that came from a variable is tried as text first, and as a TOML value
 * where the Schema wants something else.
 *
 * **Errors** Every problem at once, with what was found and what is allowed.
 *
 * @since 0.1.0
 * @category getters
 */
export const decode = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  tree: Tree.Table,
  base: Origin.Path
): Result.Result<S["Type"], ReadonlyArray<Problem.Problem>> => {
  const { problems, value } = salvage(schema, tree, base)
  return problems.length === 0 && value !== undefined ? Result.succeed(value) : Result.fail(problems)
}

/** A Schema checks in steps, and what one refuses the next does not see; so many there are at most. */
const mostSteps = 20

/**
 * Decodes what stands at a path as far as that can be done: with errors, what is left when everything that does not
 * fit is taken out, so that what it names can be looked up all the same. `value` is `undefined` when nothing is left.
 *
 * @since 0.1.0
 * @category getters
 */
export const salvage = <S extends Schema.ConstraintDecoder<unknown>>(
  schema: S,
  tree: Tree.Table,
  base: Origin.Path
): { readonly value: S["Type"] | undefined; readonly problems: ReadonlyArray<Problem.Problem> } => {
  const problems = new Map<string, Problem.Problem>()
  const bad = new Set<string>()
  let left = tree
  for (let step = 0; step < mostSteps; step++) {
    const result = run(schema, left, base)
    if (Result.isSuccess(result)) return { value: result.success, problems: [...problems.values()] }
    for (const finding of result.failure) {
      const key = Origin.pathKey(finding.path)
      const isBeneath = finding.path.some((_, i) => bad.has(Origin.pathKey(finding.path.slice(0, i))))
      if (!isBeneath && !bad.has(key)) problems.set(key, toProblem(tree, base, finding))
      bad.add(key)
    }
    const paths = result.failure.map(({ _tag, path }) => (_tag === "Missing" ? path.slice(0, -1) : path))
    const unfit = new Set(paths.map(Origin.pathKey))
    const rest = paths.reduce<Tree.Table | undefined>(
      (tree_, path) => (tree_ === undefined ? undefined : takeOut(tree_, base, path, unfit)),
      left
    )
    if (rest === undefined || rest === left) break
    left = rest
  }
  return { value: undefined, problems: [...problems.values()] }
}
