/**
 * `[tracing]` of `global.toml`: what is traced and where it goes.
 *
 * @since 0.1.0
 */
import type * as Plan from "@echelon/core/Plan"
import * as Plans from "@echelon/core/Plans"
import * as Schema from "effect/Schema"
import * as Field from "./Field.ts"

const { tracing } = Plans.defaults

/**
 * The section.
 *
 * @since 0.1.0
 * @category schemas
 */
export const TracingSection = Field.section(
  {
    enabled: Field.or(
      Field.flag,
      tracing.enabled,
      "whether requests become spans, where there is a tracer: that of otlp, or the program's own"
    ),
    sample_ratio: Field.or(
      Field.ratio,
      tracing.sampleRatio,
      "share of requests that are traced; one that belongs to a trace already is traced as that is"
    ),
    content: Field.or(
      Field.flag,
      tracing.content,
      "whether spans show prompts, answers, tool calls and stop sequences, to whoever reads the traces"
    ),
    otlp: Field.optional(
      Field.section(
        {
          endpoint: Field.required(Field.url, "the collector's address; /v1/traces is added unless it ends so"),
          interval: Field.or(
            Field.secondsFromOneMilli,
            tracing.otlp.interval / 1000,
            "longest time between two exports"
          ),
          headers: Field.or(
            Schema.Record(
              Field.keyed("NAME"),
              Field.required(Field.secret, "the value of the header of that name")
            ).annotate({ expected: "a table of texts" }),
            {},
            "sent with every export"
          ),
          encoding: Field.or(Field.oneOf(["protobuf", "json"]), tracing.otlp.encoding, "how an export is written")
        },
        "spans go to an OpenTelemetry collector, by OTLP over HTTP"
      ),
      "spans go to an OpenTelemetry collector, by OTLP over HTTP; to the program's own tracer when absent"
    )
  },
  "what is traced, and where it goes"
)

/**
 * What the section says, for the plan.
 *
 * @since 0.1.0
 * @category constructors
 */
export const toPlan = (section: typeof TracingSection.Type): Plan.Tracing => ({
  enabled: section.enabled,
  sampleRatio: section.sample_ratio,
  content: section.content,
  otlp: section.otlp
})
