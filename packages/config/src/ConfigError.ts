/**
 * The error of this package: a configuration that cannot be used, with everything that is wrong with it.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as Problem from "./Problem.ts"

/**
 * Every problem of a configuration, errors first; warnings are among them. The message is one line each, and
 * below a line of broken TOML its code frame.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConfigError extends Data.TaggedError("ConfigError")<{
  readonly problems: ReadonlyArray<Problem.Problem>
}> {
  override get message(): string {
    return this.problems.map(Problem.render).join("\n")
  }
}

/**
 * Makes an error, its problems sorted. It carries no stack: the problems say where.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (problems: ReadonlyArray<Problem.Problem>): ConfigError => {
  const limit = Error.stackTraceLimit
  Error.stackTraceLimit = 0
  const error = new ConfigError({ problems: Problem.sort(problems) })
  Error.stackTraceLimit = limit
  return error
}
