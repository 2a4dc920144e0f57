/**
 * The keys of `llms/groups/*.toml`: echelons in order, and what happens when an attempt fails.
 *
 * @since 0.1.0
 */
import * as Clocks from "@echelon/core/Clocks"
import * as Plans from "@echelon/core/Plans"
import * as Schema from "effect/Schema"
import * as Field from "./Field.ts"
import * as Rotation from "./Rotation.ts"

const { breaker, echelon, fallback, hedge } = Plans.defaults

/**
 * When a second instance is asked beside a slow first one. Off when the table is absent.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Hedge = Field.section(
  {
    percentile: Field.or(
      Field.ratio,
      hedge.percentile,
      "percentile of first-output times after which a second instance is asked"
    ),
    min_delay: Field.or(
      Field.secondsOrZero,
      hedge.minDelay / 1000,
      "a second instance is never asked earlier than this"
    ),
    budget: Field.or(Field.ratio, hedge.budget, "share of requests that may be hedged")
  },
  "asks a second instance beside a slow first one"
)

/**
 * Instances of equal rank.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Echelon = Field.section(
  {
    models: Field.required(Field.names("instance names"), "names of instances, provider and alias: openai-gpt4"),
    priority: Field.optional(Field.anyInt, "lower first; the echelon's number when absent"),
    concurrency_limit: Field.optional(
      Field.measured("requests", Field.int(1)),
      "requests at a time, shared by the echelon"
    ),
    rpm_limit: Field.optional(
      Field.measured("requests per minute", Field.int(1)),
      "requests in any 60 seconds, shared by the echelon"
    ),
    tpm_limit: Field.optional(
      Field.measured("tokens per minute", Field.int(1)),
      "tokens in any 60 seconds, shared by the echelon"
    ),
    timeout: Field.or(Field.seconds, Clocks.defaults.attempt / 1000, "how long an attempt may take until commit"),
    ttft_timeout: Field.optional(
      Field.seconds,
      "how long an attempt may take until first output; as timeout when absent"
    ),
    idle_timeout: Field.or(
      Field.seconds,
      Clocks.defaults.idle / 1000,
      "the longest pause between a provider's events after first output"
    ),
    stream_timeout: Field.optional(Field.seconds, "how long a whole stream may take; without limit when absent"),
    consumer_idle_timeout: Field.or(
      Field.seconds,
      Clocks.defaults.consumerIdle / 1000,
      "how long a reader may pull nothing before its stream is ended"
    ),
    max_retries: Field.or(
      Field.measured("attempts", Field.int(0)),
      echelon.maxRetries,
      "attempts beyond the first in this echelon"
    ),
    temperature: Field.optional(Field.temperature, "sampling temperature, where the request leaves it open"),
    max_tokens: Field.optional(
      Field.measured("tokens", Field.int(1)),
      "tokens of output, where the request leaves it open"
    ),
    top_p: Field.optional(Field.ratio, "nucleus sampling, where the request leaves it open"),
    stop: Field.optional(
      Schema.Union([Field.name, Field.names("texts")]).annotate({ expected: "text, or a list of texts" }),
      "texts that end an answer, where the request leaves it open"
    ),
    seed: Field.optional(Field.anyInt, "seed of the sampling, where the request leaves it open"),
    rotation_strategy: Field.or(
      Rotation.schema,
      echelon.rotation,
      "how an instance is picked when the group is called directly"
    ),
    upstream: Field.or(
      Field.oneOf(["as_asked", "stream"]),
      echelon.upstream,
      "whether buffered requests go out as streams"
    ),
    hedge: Field.optional(Hedge, "asks a second instance beside a slow first one; off when absent")
  },
  "instances of equal rank"
)

/**
 * Settings of the circuit breakers, one per instance of the group.
 *
 * @since 0.1.0
 * @category schemas
 */
export const CircuitBreaker = Field.section(
  {
    failure_threshold: Field.or(
      Field.measured("failures", Field.int(1)),
      breaker.failureThreshold,
      "failures in a row that open it"
    ),
    recovery_time: Field.or(Field.seconds, breaker.recoveryTime / 1000, "how long it stays open at first"),
    max_recovery_time: Field.or(Field.seconds, breaker.maxRecoveryTime / 1000, "it doubles per reopening up to this"),
    half_open_requests: Field.or(
      Field.measured("requests", Field.int(1)),
      breaker.halfOpenRequests,
      "requests that test a half-open breaker"
    ),
    failure_rate: Field.optional(Field.ratio, "share of failures in the window that opens it too"),
    window: Field.or(Field.seconds, breaker.window / 1000, "how far back the rates look"),
    minimum_requests: Field.or(
      Field.measured("requests", Field.int(1)),
      breaker.minimumRequests,
      "requests in the window before a rate counts"
    ),
    slow_call: Field.optional(Field.seconds, "first output slower than this is slow"),
    slow_rate: Field.or(Field.ratio, breaker.slowRate, "share of slow calls that opens it")
  },
  "circuit breakers"
)

const interrupts = Field.oneOf(["fail", "resume", "restart"])

/**
 * What a group does when an attempt fails.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Fallback = Field.section(
  {
    strategy: Field.or(Field.oneOf(["echelon_down", "none"]), fallback.strategy, "whether the next echelon is tried"),
    fallback_groups: Field.optional(
      Schema.Array(Field.name).annotate({ expected: "a list of groups or group.echelonN" }),
      "echelons tried after the first one; the group's own by priority when absent"
    ),
    max_attempts: Field.optional(
      Field.measured("echelons", Field.int(1)),
      "echelons tried, the first included; all when absent"
    ),
    retry_delay: Field.or(Field.secondsOrZero, fallback.retryDelay / 1000, "base of the backoff between attempts"),
    retry_max_delay: Field.or(Field.secondsOrZero, fallback.retryMaxDelay / 1000, "longest backoff between attempts"),
    max_total_attempts: Field.optional(
      Field.measured("attempts", Field.int(1)),
      "attempts of one request in all; without limit when absent"
    ),
    max_retry_after_wait: Field.or(
      Field.secondsOrZero,
      fallback.maxRetryAfterWait / 1000,
      "longest wait for an instance that named a time to come back"
    ),
    content_policy_fallback: Field.or(
      Field.flag,
      fallback.contentPolicyFallback,
      "whether another model may answer what one refused"
    ),
    on_interrupt: Field.or(
      Schema.Union([
        interrupts,
        Schema.Array(interrupts).check(
          Schema.makeFilter((all: ReadonlyArray<string>) => all.length > 0, {
            expected: "at least one",
            stated: { minItems: 1 }
          })
        )
      ]).annotate({
        expected: '"fail", "resume", "restart", or a list of them',
        choices: ["fail", "resume", "restart"]
      }),
      fallback.onInterrupt,
      "what is tried when a stream breaks after commit, in order"
    ),
    commit: Field.or(
      Field.oneOf(["first_output", "finish"]),
      fallback.commit,
      "whether a call succeeds with its first output or when it is whole"
    ),
    circuit_breaker: Field.or(
      CircuitBreaker,
      {},
      "when an instance that keeps failing is passed over; one breaker per instance of the group"
    )
  },
  "what happens when an attempt fails"
)

/** For hints: a misspelt echelon is a key that nothing else knows. */
const knownKeys = Array.from({ length: 9 }, (_, i) => `echelon${i + 1}`)

const echelonKey = Schema.TemplateLiteral(["echelon", Schema.String.check(Schema.isPattern(/^[1-9][0-9]*$/))]).annotate(
  {
    label: "echelonN",
    stated: { pattern: "^echelon[1-9][0-9]*$" }
  }
)

/**
 * A task group's file. Every `[echelonN]` is an echelon; N is a whole number from 1 on, without a zero before it.
 *
 * @since 0.1.0
 * @category schemas
 */
export const GroupFile = Schema.StructWithRest(
  Schema.Struct({ ...Field.anyFile, fallback_config: Field.or(Fallback, {}, "what happens when an attempt fails") }),
  [Schema.Record(echelonKey, Echelon)]
).annotate({ expected: "a table", knownKeys })

/**
 * A decoded task group's file.
 *
 * @since 0.1.0
 * @category models
 */
export type GroupFile = typeof GroupFile.Type
