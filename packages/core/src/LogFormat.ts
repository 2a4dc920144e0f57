/**
 * A logger for programs that give none of their own: a line each, for a person, as JSON, or as `key=value`.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import type * as Plan from "./Plan.ts"
import * as Plans from "./Plans.ts"

/** What all names of fields begin with, and a person need not read. */
const prefix = "echelon."

const value = (of: unknown): string => {
  const text = typeof of === "string" ? of : (JSON.stringify(of) ?? String(of))
  return /^[^\s"=]+$/.test(text) ? text : JSON.stringify(text)
}

/**
 * A line for a person: the time of day, the level, the text, and the fields without what all begin with.
 *
 * @since 0.1.0
 * @category constructors
 */
export const pretty: Logger.Logger<unknown, string> = Logger.make(({ cause, date, fiber, logLevel, message }) => {
  const text = (Array.isArray(message) ? message : [message])
    .map((part) => (typeof part === "string" ? part : (JSON.stringify(part) ?? String(part))))
    .join(" ")
  const fields = Object.entries(fiber.getRef(References.CurrentLogAnnotations))
    .filter(([key]) => key !== "echelon.event")
    .map(([key, of]) => ` ${key.startsWith(prefix) ? key.slice(prefix.length) : key}=${value(of)}`)
  const failed = cause.reasons.length === 0 ? "" : `\n${Cause.pretty(cause)}`
  return `${date.toISOString().slice(11, 23)} ${logLevel.toUpperCase().padEnd(5)} ${text}${fields.join("")}${failed}`
})

/**
 * The logger of a format.
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (format: Plan.LogFormat): Logger.Logger<unknown, string> => {
  switch (format) {
    case "pretty":
      return pretty
    case "json":
      return Logger.formatJson
    case "logfmt":
      return Logger.formatLogFmt
  }
}

/**
 * The format in use. `RequestLog` sets it to what the plan says, at each reload too.
 *
 * @since 0.1.0
 * @category services
 */
export class LogFormat extends Context.Service<
  LogFormat,
  {
    readonly use: (format: Plan.LogFormat) => void
  }
>()("@echelon/core/LogFormat") {
  /**
   * A logger in place of all others, and its format.
   *
   * **Gotchas** Only for who owns the logging of the whole program: a program with loggers of its own does without.
   */
  static readonly layer = (writeLine: (line: string) => void): Layer.Layer<LogFormat> =>
    Layer.suspend(() => {
      let current = of(Plans.defaults.logging.format)
      return Layer.merge(
        Logger.layer([Logger.make((options) => writeLine(current.log(options)))]),
        Layer.succeed(LogFormat, {
          use: (format) => {
            current = of(format)
          }
        })
      )
    })
}
