/**
 * Names of parts: records by name, and which names may be shown.
 *
 * Records are safe to index with a name that came from outside.
 *
 * @since 0.1.0
 */
import * as Tree from "./Tree.ts"

/**
 * Makes a record without a prototype, so that `record["constructor"]` is `undefined`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const record = <A>(entries: Iterable<readonly [string, A]>): Readonly<Record<string, A>> => {
  const made: Record<string, A> = Object.create(null)
  for (const [name, value] of entries) made[name] = value
  return made
}

const textsOf = (node: Tree.Node | undefined): ReadonlyArray<string> => {
  const name = node === undefined ? undefined : Tree.get(node, ["name"])
  return name?._tag === "Leaf" && name.fromVariable ? [String(Tree.valueOf(name))] : []
}

/** Names of parts and credentials that came from variables. */
const hidden = (tree: Tree.Table): ReadonlyArray<string> => {
  const llms = Tree.get(tree, ["llms"])
  const sections = llms?._tag === "Table" ? [...llms.entries.values()] : []
  return sections
    .flatMap((section) => (section._tag === "Table" ? [...section.entries.values()] : []))
    .flatMap((part) => {
      const credentials = Tree.get(part, ["credentials"])
      const items = credentials?._tag === "List" ? credentials.items : []
      return [part, ...items].flatMap(textsOf)
    })
}

/**
 * Those of the names that a message may list although nobody wrote them there: not what a variable holds, which may be
 * secret, nor the names of instances and echelons that are made of it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const shown = (tree: Tree.Table, names: Iterable<string>): ReadonlyArray<string> => {
  const texts = hidden(tree)
  const isHidden = (name: string): boolean =>
    texts.some(
      (text) => name === text || name.startsWith(`${text}-`) || name.startsWith(`${text}.`) || name.endsWith(`@${text}`)
    )
  return [...names].filter((name) => !isHidden(name))
}
