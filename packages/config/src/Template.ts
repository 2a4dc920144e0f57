/**
 * Variables in values: `${NAME}`, `${NAME:-default}`, `${NAME:?message}`, and `$${` for a literal `${`.
 *
 * A variable that is set to nothing counts as not set. What a variable holds is not read for variables again.
 *
 * @since 0.1.0
 */
import * as Result from "effect/Result"

/**
 * Variables by name.
 *
 * @since 0.1.0
 * @category models
 */
export type Variables = Readonly<Record<string, string | undefined>>

/**
 * Why a text could not be expanded.
 *
 * @since 0.1.0
 * @category errors
 */
export type Failure =
  | { readonly _tag: "Unset"; readonly name: string; readonly isEmpty: boolean }
  | { readonly _tag: "Demanded"; readonly name: string; readonly isEmpty: boolean; readonly message: string }
  | {
      readonly _tag: "Malformed"
      /** Up to the end of what may be a name: what follows it may be secret. */
      readonly begin: string
    }

const reference = /\$\$\{|\$\{([^}]*)(\}?)/g
const body = /^([A-Za-z_][A-Za-z0-9_]*)(?::(-|\?)([\s\S]*))?$/

/**
 * Whether a text holds anything to expand.
 *
 * @since 0.1.0
 * @category guards
 */
export const isTemplate = (text: string): boolean => text.includes("${")

/**
 * Reads a variable; one that is set to nothing is `undefined`.
 *
 * @since 0.1.0
 * @category getters
 */
export const lookup = (variables: Variables, name: string): string | undefined => {
  const value = Object.hasOwn(variables, name) ? variables[name] : undefined
  return value === "" ? undefined : value
}

/**
 * Says why a variable gives nothing.
 *
 * @since 0.1.0
 * @category getters
 */
export const missing = (name: string, isEmpty: boolean): string =>
  `the variable ${name} is ${isEmpty ? "empty" : "not set"}`

/**
 * Puts variables into a text.
 *
 * @example
 * ```ts
 * import { Template } from "@echelon/config"
 * import * as Result from "effect/Result"
 *
 * const url = Template.expand("http://${HOST:-127.0.0.1}/v1", { PORT: "80" })
 * console.assert(Result.getOrThrow(url) === "http://127.0.0.1/v1")
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const expand = (text: string, variables: Variables): Result.Result<string, Failure> => {
  let expanded = ""
  let from = 0
  for (const match of text.matchAll(reference)) {
    expanded += text.slice(from, match.index)
    from = match.index + match[0].length
    if (match[0] === "$${") {
      expanded += "${"
      continue
    }
    const parts = match[2] === "}" ? body.exec(match[1] ?? "") : null
    if (parts === null) return Result.fail({ _tag: "Malformed", begin: /^\$\{\w*/.exec(match[0])?.[0] ?? "${" })
    const name = parts[1] ?? ""
    const value = lookup(variables, name)
    if (value !== undefined) expanded += value
    else if (parts[2] === "-") expanded += parts[3] ?? ""
    else {
      const isEmpty = Object.hasOwn(variables, name) && variables[name] === ""
      return Result.fail(
        parts[2] === "?"
          ? { _tag: "Demanded", name, isEmpty, message: parts[3] ?? "" }
          : { _tag: "Unset", name, isEmpty }
      )
    }
  }
  return Result.succeed(expanded + text.slice(from))
}
