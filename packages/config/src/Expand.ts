/**
 * Puts variables into the values of a merged tree.
 *
 * Only values that survived merging are here, so a variable that an overridden value names need not be set.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"
import * as Credentials from "./Credentials.ts"
import type * as Origin from "./Origin.ts"
import * as Problem from "./Problem.ts"
import * as Template from "./Template.ts"
import * as Tree from "./Tree.ts"

const holders = new Set<string>(Credentials.keys)

/** The provider whose credential stands at a path. */
const providerOf = (path: Origin.Path): string | undefined => {
  const [llms, kind, provider, ...rest] = path
  if (llms !== "llms" || kind !== "provider" || !holders.has(String(rest.at(-1)))) return undefined
  const direct = rest.length === 1
  const listed = rest.length === 3 && rest[0] === "credentials"
  return direct || listed ? String(provider) : undefined
}

const describe = (failure: Template.Failure, secret: boolean): string => {
  switch (failure._tag) {
    case "Unset":
      return `${Template.missing(failure.name, failure.isEmpty)}; set it, or write a default as \${${failure.name}:-default}`
    case "Demanded":
      return `${Template.missing(failure.name, failure.isEmpty)}${failure.message === "" ? "" : `: ${failure.message}`}`
    case "Malformed":
      return `${secret ? "the value holds what" : `what begins with "${failure.begin}"`} is no variable; write \${NAME}, \${NAME:-default} or \${NAME:?message}, and $\${ for a literal \${`
  }
}

/**
 * Expands every text of a tree. An unset plain `${NAME}` in a credential of a provider leaves an `Unset` credential
 * and a warning; anywhere else, and with `:?`, it is an error.
 *
 * @since 0.1.0
 * @category combinators
 */
export const expand = (
  tree: Tree.Table,
  variables: Template.Variables
): { readonly tree: Tree.Table; readonly problems: ReadonlyArray<Problem.Problem> } => {
  const problems: Array<Problem.Problem> = []
  const expanded = Tree.mapLeaves(tree, (leaf, path) => {
    const text = Tree.valueOf(leaf)
    if (leaf.fromVariable || typeof text !== "string" || !Template.isTemplate(text)) return leaf
    const result = Template.expand(text, variables)
    if (Result.isSuccess(result)) {
      return Tree.leaf(path, result.success, leaf.origin, { written: text, fromVariable: true })
    }
    const provider = providerOf(path)
    if (result.failure._tag === "Unset" && provider !== undefined) {
      const { isEmpty, name } = result.failure
      const message = `${Template.missing(name, isEmpty)}, so the instances of this credential are disabled`
      problems.push(Problem.warning("credential", leaf.origin, path, message))
      return { _tag: "Unset", variable: name, origin: leaf.origin }
    }
    problems.push(Problem.error("variable", leaf.origin, path, describe(result.failure, Tree.isSecret(path))))
    return leaf
  })
  return { tree: expanded._tag === "Table" ? expanded : tree, problems }
}
