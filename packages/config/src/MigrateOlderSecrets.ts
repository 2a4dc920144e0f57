/**
 * Secrets that older files state themselves.
 *
 * @since 0.1.0
 */
import * as OlderKeys from "./MigrateOlderKeys.ts"
import * as Source from "./MigrateSource.ts"
import * as MigrateTree from "./MigrateTree.ts"
import * as Tree from "./Tree.ts"

/** A variable without a default, which may be secret; a header may say the scheme before it. */
const isReference = (value: unknown): boolean =>
  typeof value === "string" && /^((?:Bearer |Basic )?\$\{[A-Za-z_][A-Za-z0-9_]*(:\?[^}]*)?\})?$/.test(value)

/**
 * A value with its secrets replaced by variables; gives whether there were any.
 *
 * @since 0.1.0
 * @category combinators
 */
export const concealed = (
  tree: MigrateTree.MigrateTree,
  file: string,
  path: ReadonlyArray<string | number>,
  value: unknown
): readonly [value: unknown, hidden: boolean] => {
  if (Array.isArray(value)) {
    const items = value.map((item, i) => concealed(tree, file, [...path, i], item))
    return [items.map(([item]) => item), items.some(([, hidden]) => hidden)]
  }
  if (Source.isTable(value)) {
    const entries = Object.entries(value).map(
      ([key, item]) => [key, concealed(tree, file, [...path, key], item)] as const
    )
    return [Object.fromEntries(entries.map(([key, [item]]) => [key, item])), entries.some(([, [, hidden]]) => hidden)]
  }
  if (!Tree.isSecret(path) || isReference(value)) return [value, false]
  const named = path
    .filter((segment) => typeof segment === "string")
    .slice(-2)
    .join("_")
  return [
    tree.secret(value, MigrateTree.variableName(path[0] === "llms" ? path.slice(2).join("_") : `${file}_${named}`)),
    true
  ]
}

/**
 * An address without what may be secret in it; any other value as it is.
 *
 * @since 0.1.0
 * @category combinators
 */
export const bared = (path: ReadonlyArray<string>, value: unknown): unknown =>
  path.at(-1) === "base_url" && typeof value === "string" ? OlderKeys.bareAddress(value) : value

const isSecretAt = (path: ReadonlyArray<string | number>, value: unknown): boolean => {
  if (Array.isArray(value)) return value.some((item, i) => isSecretAt([...path, i], item))
  if (Source.isTable(value)) return Object.entries(value).some(([key, item]) => isSecretAt([...path, key], item))
  return Tree.isSecret(path) && !isReference(value)
}

/**
 * Whether a value is a secret, or holds one.
 *
 * @since 0.1.0
 * @category guards
 */
export const isIn = (path: ReadonlyArray<string>, value: unknown): boolean =>
  isSecretAt(path, value) || bared(path, value) !== value
