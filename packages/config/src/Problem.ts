/**
 * One thing that is wrong with a configuration, as data, and the line that says it.
 *
 * A problem never holds a secret: values of credentials, headers and queries are described, not quoted, and a
 * value that came from `${NAME}` is quoted as it was written. What looks like a credential is hidden wherever it stands.
 *
 * @since 0.1.0
 */
import * as KeyLike from "./KeyLike.ts"
import * as Origin from "./Origin.ts"

/**
 * An error keeps the configuration from being used; a warning does not.
 *
 * @since 0.1.0
 * @category models
 */
export type Severity = "error" | "warning"

/**
 * What kind of problem it is, for programs.
 *
 * @since 0.1.0
 * @category models
 */
export type Code =
  | "folder"
  | "unreadable"
  | "encoding"
  | "size"
  | "loop"
  | "syntax"
  | "inheritance"
  | "environment"
  | "override"
  | "variable"
  | "credential"
  | "unused"
  | "type"
  | "unknown_key"
  | "missing_key"
  | "contradiction"
  | "kind"
  | "reference"
  | "duplicate"
  | "no_instance"
  | "unreachable"
  | "cycle"
  | "shadowed"
  | "fallback"
  | "context_window"
  | "capability"
  | "limits"
  | "clocks"
  | "attempts"

/**
 * One problem. `key` is the full path of the value, `message` one line of prose, `frame` the lines of the file
 * around it when its TOML is broken.
 *
 * @since 0.1.0
 * @category models
 */
export interface Problem {
  readonly severity: Severity
  readonly code: Code
  readonly origin: Origin.Origin
  readonly key: string
  readonly message: string
  readonly frame: string | undefined
}

/**
 * Makes an error.
 *
 * @since 0.1.0
 * @category constructors
 */
export const error = (
  code: Code,
  origin: Origin.Origin,
  path: Origin.Path | string,
  message: string,
  frame?: string
): Problem => ({
  severity: "error",
  code,
  origin,
  key: typeof path === "string" ? KeyLike.hide(path) : Origin.formatPath(path),
  message: KeyLike.hide(message),
  frame
})

/**
 * Makes a warning.
 *
 * @since 0.1.0
 * @category constructors
 */
export const warning = (code: Code, origin: Origin.Origin, path: Origin.Path | string, message: string): Problem => ({
  ...error(code, origin, path, message),
  severity: "warning"
})

/**
 * Whether it keeps the configuration from being used.
 *
 * @since 0.1.0
 * @category guards
 */
export const isError = (problem: Problem): boolean => problem.severity === "error"

const place = (origin: Origin.Origin): readonly [string, number, number] =>
  origin._tag === "File" ? [origin.file, origin.line, origin.column] : [`$${origin.name}`, 1, 1]

/**
 * Sorts problems for a reader: errors first, then by file, line and column.
 *
 * @since 0.1.0
 * @category combinators
 */
export const sort = (problems: ReadonlyArray<Problem>): ReadonlyArray<Problem> =>
  [...problems].sort((a, b) => {
    if (a.severity !== b.severity) return a.severity === "error" ? -1 : 1
    const [fileA, lineA, columnA] = place(a.origin)
    const [fileB, lineB, columnB] = place(b.origin)
    return fileA === fileB ? lineA - lineB || columnA - columnB : fileA < fileB ? -1 : 1
  })

/**
 * Writes a problem as the one line `file:line:col severity key: message`.
 *
 * @example
 * ```ts
 * import { Origin, Problem } from "@echelon/config"
 *
 * const at = Origin.file("configs/global.toml", 7)
 * const problem = Problem.error("unknown_key", at, ["rooting"], 'unknown key; did you mean "routing"?')
 * console.assert(
 *   Problem.format(problem) === 'configs/global.toml:7:1 error rooting: unknown key; did you mean "routing"?'
 * )
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const format = (problem: Problem): string =>
  `${Origin.format(problem.origin)} ${problem.severity} ${problem.key}: ${problem.message}`

/**
 * Writes a problem as `format` does, with its frame, when it has one, indented below.
 *
 * @since 0.1.0
 * @category getters
 */
export const render = (problem: Problem): string =>
  problem.frame === undefined ? format(problem) : `${format(problem)}\n${problem.frame.replace(/^/gm, "    ")}`
