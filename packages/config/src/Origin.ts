/**
 * Where a value of a configuration comes from, and how places and paths are written for a reader.
 *
 * @since 0.1.0
 */
import * as KeyLike from "./KeyLike.ts"

/**
 * A place in a file, or a variable. Lines and columns count from 1.
 *
 * @since 0.1.0
 * @category models
 */
export type Origin =
  | { readonly _tag: "File"; readonly file: string; readonly line: number; readonly column: number }
  | { readonly _tag: "Variable"; readonly name: string }

/**
 * The way to a value: keys of tables and indexes of lists.
 *
 * @since 0.1.0
 * @category models
 */
export type Path = ReadonlyArray<string | number>

/**
 * A place in a file.
 *
 * @since 0.1.0
 * @category constructors
 */
export const file = (name: string, line = 1, column = 1): Origin => ({ _tag: "File", file: name, line, column })

/**
 * A variable.
 *
 * @since 0.1.0
 * @category constructors
 */
export const variable = (name: string): Origin => ({ _tag: "Variable", name })

/**
 * Writes an origin as `file:line:column`; a variable is `$NAME:1:1`, so that every line has the same shape.
 *
 * @since 0.1.0
 * @category getters
 */
export const format = (origin: Origin): string =>
  origin._tag === "File" ? `${origin.file}:${origin.line}:${origin.column}` : `$${origin.name}:1:1`

const bare = /^[A-Za-z0-9_-]+$/

/**
 * Writes a path as TOML would: `llms.provider.openai.models."gpt3.5-turbo".model`, `stop[0]`. A segment that looks
 * like a credential is hidden.
 *
 * @since 0.1.0
 * @category getters
 */
export const formatPath = (path: Path): string =>
  path
    .map((segment, i) => {
      if (typeof segment === "number") return `[${segment}]`
      const shown = KeyLike.hide(segment)
      const text = bare.test(shown) ? shown : JSON.stringify(shown)
      return i === 0 ? text : `.${text}`
    })
    .join("")

/**
 * Makes a path usable as the key of a `Map`.
 *
 * @since 0.1.0
 * @category getters
 */
export const pathKey = (path: Path): string => JSON.stringify(path)
