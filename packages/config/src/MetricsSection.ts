/**
 * `[metrics]` of `global.toml`: what is measured and where it goes.
 *
 * @since 0.1.0
 */
import type * as Plan from "@echelon/core/Plan"
import * as Plans from "@echelon/core/Plans"
import * as Schema from "effect/Schema"
import * as Field from "./Field.ts"

const { metrics } = Plans.defaults

const port = Schema.Number.check(
  Schema.makeFilter((n: number) => Number.isInteger(n) && n >= 0 && n <= 65_535, {
    expected: "a port: a whole number from 0 to 65535",
    kind: "port",
    stated: { type: "integer", minimum: 0, maximum: 65_535 }
  })
)

/**
 * The section.
 *
 * @since 0.1.0
 * @category schemas
 */
export const MetricsSection = Field.section(
  {
    enabled: Field.or(Field.flag, metrics.enabled, "whether anything is measured; wrappers can opt out"),
    max_series: Field.or(
      Field.measured("series", Field.int(1)),
      metrics.maxSeries,
      'sets of labels that a metric keeps apart; what comes beyond is counted under the label "other"'
    ),
    tenant_label: Field.or(
      Field.flag,
      metrics.tenantLabel,
      "whether tenants are told apart by a label, which multiplies the series"
    ),
    otlp: Field.or(
      Field.section(
        {
          endpoint: Field.optional(
            Field.url,
            "the collector's address; /v1/metrics is added unless it ends so; nothing is sent when absent"
          ),
          interval: Field.or(Field.secondsFromOneMilli, metrics.otlp.interval / 1000, "time between two exports"),
          headers: Field.or(
            Schema.Record(
              Field.keyed("NAME"),
              Field.required(Field.secret, "the value of the header of that name")
            ).annotate({ expected: "a table of texts" }),
            {},
            "sent with every export"
          ),
          encoding: Field.or(Field.oneOf(["protobuf", "json"]), metrics.otlp.encoding, "how an export is written"),
          temporality: Field.or(
            Field.oneOf(["cumulative", "delta"]),
            metrics.otlp.temporality,
            "whether counts run from the start or from the last export"
          )
        },
        "metrics go to an OpenTelemetry collector, by OTLP over HTTP"
      ),
      {},
      "metrics go to an OpenTelemetry collector, by OTLP over HTTP"
    ),
    prometheus: Field.or(
      Field.section(
        {
          port: Field.optional(port, "where GET /metrics is answered; 0 takes any that is free; nowhere when absent"),
          host: Field.or(Field.name, metrics.prometheus.host, "the address that is listened at")
        },
        "a listener for Prometheus in this process"
      ),
      {},
      "a listener for Prometheus in this process"
    )
  },
  "what is measured, and where it goes"
)

/**
 * What the section says, for the plan.
 *
 * @since 0.1.0
 * @category constructors
 */
export const toPlan = (section: typeof MetricsSection.Type): Plan.Metrics => {
  const { endpoint, ...otlp } = section.otlp
  const { host, port } = section.prometheus
  return {
    enabled: section.enabled,
    maxSeries: section.max_series,
    tenantLabel: section.tenant_label,
    otlp: endpoint === undefined ? undefined : { endpoint, ...otlp },
    prometheus: port === undefined ? undefined : { host, port }
  }
}
