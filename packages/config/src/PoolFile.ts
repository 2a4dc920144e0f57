/**
 * The keys of `llms/polling_pools/*.toml`: task groups, and how requests rotate over their instances.
 *
 * @since 0.1.0
 */
import * as Plans from "@echelon/core/Plans"
import * as Schema from "effect/Schema"
import * as Field from "./Field.ts"
import * as Rotation from "./Rotation.ts"

const { pool } = Plans.defaults

/**
 * A pool's file.
 *
 * @since 0.1.0
 * @category schemas
 */
export const PoolFile = Schema.Struct({
  ...Field.anyFile,
  task_groups: Field.required(Field.names("task groups"), "groups whose instances the pool rotates over"),
  rotation_strategy: Field.or(Rotation.schema, pool.rotation, "how an instance of a tier is picked"),
  sticky: Field.or(
    Field.section(
      {
        load_bound: Field.or(
          Field.fromOne,
          pool.sticky.loadBound,
          "multiple of the mean load beyond which a session moves to another instance"
        ),
        ttl: Field.or(Field.seconds, pool.sticky.ttl / 1000, "how long a session is remembered after its last request")
      },
      "for the strategy sticky; the key is metadata.sessionId"
    ),
    {},
    "for the strategy sticky; the key is metadata.sessionId"
  ),
  slow_start: Field.or(
    Field.section(
      {
        duration: Field.or(
          Field.secondsOrZero,
          pool.slowStart.duration / 1000,
          "until an instance has its whole share again"
        ),
        min_share: Field.or(Field.ratio, pool.slowStart.minShare, "the share with which it begins")
      },
      "after an instance came back"
    ),
    {},
    "how an instance that came back gets its share again"
  ),
  health_check: Field.or(
    Field.section(
      {
        interval: Field.or(
          Field.seconds,
          pool.healthCheck.interval / 1000,
          "how long an instance is without traffic until it is asked, give or take 20 %"
        ),
        failure_threshold: Field.or(
          Field.measured("failures", Field.int(1)),
          pool.healthCheck.failureThreshold,
          "failures in a row, of requests and checks, that put an instance out"
        ),
        recovery_time: Field.or(
          Field.seconds,
          pool.healthCheck.recoveryTime / 1000,
          "until an instance that is out is asked again; doubles up to five times that"
        ),
        active: Field.or(
          Field.flag,
          pool.healthCheck.active,
          "whether instances are asked that have no traffic or are out"
        ),
        budget_per_hour: Field.or(
          Field.measured("checks per hour", Field.int(0)),
          pool.healthCheck.budgetPerHour,
          "requests that checks may make in any hour"
        ),
        max_cost_per_hour: Field.or(
          Field.measured("USD per hour", Field.fromZero),
          pool.healthCheck.maxCostPerHour,
          "what checks may cost in any hour; without a price a check counts as a dear one"
        )
      },
      "health checks"
    ),
    {},
    "how instances are asked whether they work"
  ),
  fallback_config: Field.or(
    Field.section(
      {
        strategy: Field.or(
          Field.oneOf(["instance_rotation", "none"]),
          pool.fallback.strategy,
          "whether another instance of the tier is tried"
        ),
        max_instance_attempts: Field.or(
          Field.measured("instances", Field.int(1)),
          pool.fallback.maxInstanceAttempts,
          "different instances that a request tries per tier"
        ),
        max_ejected: Field.or(Field.ratio, pool.fallback.maxEjected, "share of instances that breakers may put out")
      },
      "what happens when an attempt fails"
    ),
    {},
    "what happens when an attempt fails"
  ),
  retry_budget: Field.or(
    Field.section(
      {
        ratio: Field.or(Field.ratio, pool.retryBudget.ratio, "retries that are allowed, as a share of recent requests"),
        min_per_second: Field.or(
          Field.measured("retries per second", Field.fromZero),
          pool.retryBudget.minPerSecond,
          "retries that are always allowed"
        )
      },
      "how much of the traffic may be retries"
    ),
    {},
    "how much of the traffic may be retries"
  ),
  rate_limiting: Field.or(
    Field.section(
      {
        enabled: Field.or(Field.flag, false, "whether requests are limited"),
        algorithm: Field.or(Field.oneOf(["token_bucket", "sliding_window"]), "token_bucket", "which table counts"),
        token_bucket: Field.optional(
          Field.section(
            {
              bucket_size: Field.required(Field.measured("requests", Field.int(1)), "requests that may come at once"),
              refill_rate: Field.required(
                Field.measured("requests per second", Field.aboveZero),
                "requests per second that may go on coming"
              )
            },
            "a bucket of requests"
          ),
          "required when algorithm names it; grants at most bucket_size + refill_rate × t requests in any t seconds"
        ),
        sliding_window: Field.optional(
          Field.section(
            {
              limit: Field.required(Field.measured("requests", Field.int(1)), "requests in any window"),
              window: Field.required(Field.secondsFromOneMilli, "length of the window")
            },
            "a window that slides"
          ),
          "required when algorithm names it; grants at most limit requests in any window"
        )
      },
      "requests to the pool"
    ),
    {},
    "limits the requests to the pool"
  ),
  cache: Field.or(
    Field.section(
      {
        enabled: Field.or(Field.flag, false, "whether equal requests are answered from memory"),
        ttl: Field.or(Field.seconds, pool.cache.ttl / 1000, "how long an answer is kept"),
        capacity: Field.or(
          Field.measured("answers", Field.int(1)),
          pool.cache.capacity,
          "answers that are kept at most"
        )
      },
      "exact match, per tenant"
    ),
    {},
    "answers equal requests from memory, each tenant apart"
  ),
  coalesce: Field.or(
    Field.section(
      { enabled: Field.or(Field.flag, false, "whether equal requests at the same time share one call") },
      "equal requests at the same time"
    ),
    {},
    "lets equal requests at the same time share one call"
  )
}).annotate({ expected: "a table" })

/**
 * A decoded pool's file.
 *
 * @since 0.1.0
 * @category models
 */
export type PoolFile = typeof PoolFile.Type
