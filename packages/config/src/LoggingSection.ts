/**
 * `[logging]` of `global.toml`: what is logged of requests and changes, and where their routes are recorded.
 *
 * @since 0.1.0
 */
import * as Plan from "@echelon/core/Plan"
import * as Plans from "@echelon/core/Plans"
import * as Field from "./Field.ts"

const { logging } = Plans.defaults

/**
 * The section.
 *
 * @since 0.1.0
 * @category schemas
 */
export const LoggingSection = Field.section(
  {
    requests: Field.or(Field.flag, logging.requests, "one line for each request that ends"),
    state_changes: Field.or(
      Field.flag,
      logging.stateChanges,
      "one line for each change of a breaker, a cooldown, an instance's health and the like"
    ),
    level: Field.or(Field.oneOf(Plan.logLevels), logging.level, "lines below it are not written"),
    format: Field.or(
      Field.oneOf(Plan.logFormats),
      logging.format,
      "how lines are written where the program has no logger of its own"
    ),
    sample_ratio: Field.or(
      Field.ratio,
      logging.sampleRatio,
      "the share of completed requests that is logged; failed and cancelled ones always are"
    ),
    max_per_minute: Field.or(
      Field.measured("lines a minute", Field.int(1)),
      logging.maxPerMinute,
      "lines about changes of the same thing; further ones are counted, and the last is told when the minute is over"
    ),
    routes: Field.optional(
      Field.section(
        {
          file: Field.required(Field.name, "the file, relative to the working directory; `echelon routes` reads it"),
          max_bytes: Field.or(
            Field.measured("bytes", Field.int(65_536)),
            logging.routes.maxBytes,
            "the file is set aside, as FILE.1, before it grows beyond this"
          ),
          keep: Field.or(Field.measured("files", Field.int(1)), logging.routes.keep, "files that are kept aside")
        },
        "a file to which each request's route is appended, as a line of JSON"
      ),
      "a file to which each request's route is appended, as a line of JSON; none when absent"
    )
  },
  "what is logged, and where routes are recorded"
)

/**
 * What the section says, for the plan.
 *
 * @since 0.1.0
 * @category constructors
 */
export const toPlan = (section: typeof LoggingSection.Type): Plan.Logging => ({
  requests: section.requests,
  stateChanges: section.state_changes,
  level: section.level,
  format: section.format,
  sampleRatio: section.sample_ratio,
  maxPerMinute: section.max_per_minute,
  routes:
    section.routes === undefined
      ? undefined
      : { file: section.routes.file, maxBytes: section.routes.max_bytes, keep: section.routes.keep }
})
