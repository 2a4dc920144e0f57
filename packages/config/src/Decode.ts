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

/** What does not fit, by its path below the decoded table. */
type Finding =
  | { readonly _tag: "Invalid"; readonly path: Origin.Path; readonly expected: string }
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
    case "InvalidType":
    case "AnyOf":
    case "OneOf":
      return [{ _tag: "Invalid", path, expected: expected ?? expectedOf(issue.ast) ?? "another value" }]
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
 * A name for a message that refuses it: `name` as it is, in quotes, or what the file says when it came from a
 * variable, which may hold a secret.
 *
 * @since 0.1.0
 * @category getters
 */
export const quoted = (tree: Tree.Table, path: Origin.Path, name: string): string => {
  const node = Tree.get(tree, path)
  if (node?._tag !== "Leaf") return quote(name)
  return Tree.isSecret(path) || node.fromVariable ? describe(node, path) : quote(name)
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
      const found = node === undefined ? "nothing" : describe(node, path)
      return Problem.error("type", origin, path, `expected ${finding.expected}; found ${found}`)
    }
  }
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
  const root = Tree.get(tree, base) ?? Tree.table([], tree.origin)
  const run = SchemaParser.decodeUnknownResult(schema, { errors: "all", onExcessProperty: "error" })
  const attempt = (read: (leaf: Tree.Leaf, path: Origin.Path) => unknown) =>
    Result.mapError(run(Tree.toPlain(root, read)), (issue) => findings(issue, [], undefined, undefined))

  const first = attempt(Tree.valueOf)
  if (Result.isSuccess(first)) return Result.succeed(first.success)
  const values = new Map<string, unknown>()
  for (const { path } of first.failure) {
    const node = Tree.get(root, path)
    const text = node?._tag === "Leaf" && node.fromVariable ? Tree.valueOf(node) : undefined
    const value = typeof text === "string" ? TomlFile.parseValue(text) : undefined
    if (value !== undefined) values.set(Origin.pathKey(path), value)
  }
  const second =
    values.size === 0
      ? first
      : attempt((leaf, path) => {
          const key = Origin.pathKey(path)
          return values.has(key) ? values.get(key) : Tree.valueOf(leaf)
        })
  if (Result.isSuccess(second)) return Result.succeed(second.success)
  return Result.fail(second.failure.map((finding) => toProblem(tree, base, finding)))
}
