/**
 * The keys of `llms/wrappers/*.toml`: a named front to a pool or a task group.
 *
 * @since 0.1.0
 */
import * as Plans from "@echelon/core/Plans"
import * as Schema from "effect/Schema"
import * as Field from "./Field.ts"

/**
 * A wrapper's file.
 *
 * @since 0.1.0
 * @category schemas
 */
export const WrapperFile = Schema.Struct({
  ...Field.anyFile,
  type: Field.required(Field.oneOf(["pool", "task_group"]), "what it fronts"),
  default_config: Field.or(
    Field.section(
      {
        pool_name: Field.optional(Field.name, 'required when the type is "pool"'),
        group_name: Field.optional(Field.name, 'required when the type is "task_group"'),
        enable_health_check: Field.or(Field.flag, true, "whether the target's instances are checked"),
        enable_metrics: Field.or(Field.flag, true, "whether it is measured; needs metrics_enabled too")
      },
      "the target"
    ),
    {},
    "the pool or group behind it"
  ),
  monitoring: Field.or(
    Field.section(
      {
        metrics_enabled: Field.or(Field.flag, true, "whether it is measured; needs enable_metrics too"),
        alerting_enabled: Field.or(Field.flag, true, "whether alerts are raised"),
        health_check_interval: Field.optional(Field.seconds, "time between health checks; the pool's when absent")
      },
      "what is watched"
    ),
    {},
    "what is watched"
  ),
  performance: Field.or(
    Field.section(
      {
        request_timeout: Field.optional(
          Field.seconds,
          "how long a request may take until commit, waiting included; without limit when absent"
        ),
        max_concurrent_requests: Field.optional(
          Field.measured("requests", Field.int(1)),
          "requests that run at a time; any number when absent"
        ),
        queue_size: Field.or(
          Field.measured("requests", Field.int(0)),
          Plans.defaults.wrapper.queueSize,
          "requests that may wait"
        )
      },
      "admission"
    ),
    {},
    "how many requests run and wait, and how long"
  ),
  tenants: Field.or(
    Schema.Record(
      Field.keyed("NAME"),
      Field.required(Field.aboveZero, "the weight of the tenant of that name").annotate({ whenAbsent: 1 })
    ).annotate({ expected: "a table of weights" }),
    {},
    "weights of tenants in the queue; 1 for who is not named"
  )
}).annotate({ expected: "a table" })

/**
 * A decoded wrapper's file.
 *
 * @since 0.1.0
 * @category models
 */
export type WrapperFile = typeof WrapperFile.Type
