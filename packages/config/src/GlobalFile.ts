/**
 * The keys of `global.toml` and `environments/*.toml` that belong to no other file.
 *
 * @since 0.1.0
 */
import * as Plans from "@echelon/core/Plans"
import * as Schema from "effect/Schema"
import * as AlertsSection from "./AlertsSection.ts"
import * as Field from "./Field.ts"
import * as LoggingSection from "./LoggingSection.ts"
import * as MetricsSection from "./MetricsSection.ts"
import * as TracingSection from "./TracingSection.ts"
import * as UsageSection from "./UsageSection.ts"

/**
 * The outermost table without `llms`.
 *
 * @since 0.1.0
 * @category schemas
 */
export const GlobalFile = Schema.Struct({
  ...Field.anyFile,
  routing: Field.or(
    Field.section(
      {
        default_wrapper: Field.optional(Field.name, "wrapper for requests that name no target"),
        default_pool: Field.optional(Field.name, "pool for them, when there is no default wrapper"),
        default_provider: Field.optional(
          Field.name,
          "provider for them, when there is no default pool either; its default model answers"
        )
      },
      "where requests go that name no target"
    ),
    {},
    "where requests go that name no target"
  ),
  shutdown: Field.or(
    Field.section(
      {
        shutdown_grace: Field.or(
          Field.secondsOrZero,
          Plans.defaults.shutdownGrace / 1000,
          "how long running requests may take to end"
        )
      },
      "what happens when the program ends"
    ),
    {},
    "what happens when the program ends"
  ),
  reload: Field.or(
    Field.section(
      {
        watch: Field.or(Field.flag, Plans.defaults.reload.watch, "whether changed files are read again"),
        debounce: Field.or(
          Field.secondsOrZero,
          Plans.defaults.reload.debounce / 1000,
          "how long files must rest before they are read again"
        )
      },
      "reading changed files again"
    ),
    {},
    "reading changed files again"
  ),
  metrics: Field.or(MetricsSection.MetricsSection, {}, "what is measured, and where it goes"),
  tracing: Field.or(TracingSection.TracingSection, {}, "what is traced, and where it goes"),
  logging: Field.or(LoggingSection.LoggingSection, {}, "what is logged, and where routes are recorded"),
  usage: Field.or(UsageSection.UsageSection, {}, "how usage is accounted for, and what may be spent"),
  alerts: Field.or(AlertsSection.AlertsSection, {}, "when somebody is told, of what, and how")
}).annotate({ expected: "a table" })

/**
 * The decoded outermost table.
 *
 * @since 0.1.0
 * @category models
 */
export type GlobalFile = typeof GlobalFile.Type
