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
  task_groups: Field.required(Field.names("task groups"), "whose instances the pool rotates over"),
  rotation_strategy: Field.or(Rotation.schema, pool.rotation, "how an instance of a tier is picked"),
  sticky: Field.or(
    Field.section(
      {
        load_bound: Field.or(Field.fromOne, pool.sticky.loadBound, "of the mean load, beyond which a session moves on"),
        ttl: Field.or(Field.seconds, pool.sticky.ttl / 1000, "how long a session is kept")
      },
      "for the strategy sticky; the key is metadata.sessionId"
    ),
    {},
    "for the strategy sticky"
  ),
  slow_start: Field.or(
    Field.section(
      {
        duration: Field.or(
          Field.secondsOrZero,
          pool.slowStart.duration / 1000,
          "until an instance has its whole share again"
        ),
        min_share: Field.or(Field.ratio, pool.slowStart.minShare, "at first")
      },
      "after an instance came back"
    ),
    {},
    "after an instance came back"
  ),
  health_check: Field.or(
    Field.section(
      {
        interval: Field.or(Field.seconds, pool.healthCheck.interval / 1000, "between checks"),
        failure_threshold: Field.or(
          Field.int(1),
          pool.healthCheck.failureThreshold,
          "failed checks that put an instance out"
        ),
        recovery_time: Field.or(
          Field.seconds,
          pool.healthCheck.recoveryTime / 1000,
          "until an instance that is out is checked again"
        ),
        active: Field.or(Field.flag, pool.healthCheck.active, "whether instances without traffic are asked"),
        budget_per_hour: Field.or(Field.int(0), pool.healthCheck.budgetPerHour, "active checks")
      },
      "health checks"
    ),
    {},
    "health checks"
  ),
  fallback_config: Field.or(
    Field.section(
      {
        strategy: Field.or(Field.oneOf(["instance_rotation", "none"]), pool.fallback.strategy, "after a failure"),
        max_instance_attempts: Field.or(
          Field.int(1),
          pool.fallback.maxInstanceAttempts,
          "different instances per tier"
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
        ratio: Field.or(Field.ratio, pool.retryBudget.ratio, "retries against recent requests"),
        min_per_second: Field.or(Field.fromZero, pool.retryBudget.minPerSecond, "retries that are always allowed")
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
              bucket_size: Field.required(Field.int(1), "requests at once"),
              refill_rate: Field.required(Field.aboveZero, "requests per second")
            },
            "at most bucket_size + refill_rate x t requests in any t seconds"
          ),
          "required when chosen"
        ),
        sliding_window: Field.optional(
          Field.section(
            {
              limit: Field.required(Field.int(1), "requests in a window"),
              window: Field.required(Field.seconds, "of the limit")
            },
            "at most limit requests in any window"
          ),
          "required when chosen"
        )
      },
      "requests to the pool"
    ),
    {},
    "requests to the pool"
  ),
  cache: Field.or(
    Field.section(
      {
        enabled: Field.or(Field.flag, false, "whether equal requests are answered from memory"),
        ttl: Field.or(Field.seconds, pool.cache.ttl / 1000, "how long an answer is kept"),
        capacity: Field.or(Field.int(1), pool.cache.capacity, "answers")
      },
      "exact match, per tenant"
    ),
    {},
    "exact match, per tenant"
  ),
  coalesce: Field.or(
    Field.section(
      { enabled: Field.or(Field.flag, false, "whether equal requests at the same time share one call") },
      "equal requests at the same time"
    ),
    {},
    "equal requests at the same time"
  )
}).annotate({ expected: "a table" })

/**
 * A decoded pool's file.
 *
 * @since 0.1.0
 * @category models
 */
export type PoolFile = typeof PoolFile.Type
