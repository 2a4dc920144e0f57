/**
 * The words of the log: every event that is logged, and every field that a line may carry. The reference in
 * docs/log-fields.md is generated from here.
 *
 * @since 0.1.0
 */
import type * as LogLevel from "effect/LogLevel"
import type * as Reason from "./Reason.ts"

/**
 * What a line is about.
 *
 * @since 0.1.0
 * @category models
 */
export type Event = keyof typeof events

/**
 * What is known of an event before it happens.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventFacts {
  /** When a line is logged. */
  readonly meaning: string
  /** Its texts, which stay the same whatever happens. */
  readonly messages: ReadonlyArray<string>
  /** At which level, in words. */
  readonly levels: string
}

/**
 * Every event.
 *
 * @since 0.1.0
 * @category models
 */
export const events = {
  request: {
    meaning: "a request has ended",
    messages: ["request completed", "request failed", "request cancelled"],
    levels: "`info` when it completed or was cancelled; by its reason when it failed, see below"
  },
  breaker: {
    meaning: "the circuit breaker of an instance in a group moved",
    messages: ["breaker open", "breaker half_open", "breaker closed", "breaker forced_open", "breaker forced_closed"],
    levels:
      "`error` when it opened because of a credential, a quota or a missing model; `warn` when it opened; else `info`"
  },
  cooldown: {
    meaning: "an instance is passed over until a time, as its provider asked",
    messages: ["instance cools down"],
    levels: "`info`"
  },
  health: {
    meaning: "what is known of an instance's health changed",
    messages: ["instance healthy", "instance degraded", "instance unhealthy", "instance unknown"],
    levels:
      "`warn` when it became degraded or unhealthy; `debug` when it became unknown, or healthy after it was; else `info`"
  },
  provider: {
    meaning: "the instances of a provider fail together, or work again",
    messages: ["provider down", "provider up"],
    levels: "`error` when it is down, `info` when it is up"
  },
  budget: {
    meaning: "a budget reached one of its marks, or is whole again",
    messages: ["budget reached a mark", "budget is whole again"],
    levels: "`error` when it is spent, `warn` at the marks before, `info` when it is whole again"
  },
  drained: {
    meaning: "somebody took an instance out, or put it back",
    messages: ["instance drained", "instance undrained"],
    levels: "`info`"
  },
  pinned: {
    meaning: "somebody put an instance first, or undid that",
    messages: ["instance pinned", "instance unpinned"],
    levels: "`info`"
  },
  reset: {
    meaning: "somebody had the state of an instance, or of all, forgotten",
    messages: ["state reset"],
    levels: "`info`"
  },
  plan: {
    meaning: "new requests use another plan",
    messages: ["plan swapped"],
    levels: "`debug`; what a reload changed, or why it was rejected, is told by lines of its own"
  },
  phase: {
    meaning: "shutting down has begun, or has ended",
    messages: ["shutting down", "shut down"],
    levels: "`info`"
  },
  log: {
    meaning: "lines were lost, since they came faster than they could be written",
    messages: ["log lines were lost"],
    levels: "`warn`"
  }
} as const satisfies Readonly<Record<string, EventFacts>>

/**
 * What a field holds.
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = "text" | "count" | "milliseconds" | "tokens" | "USD" | "share" | "boolean" | "time"

/**
 * What is known of a field.
 *
 * @since 0.1.0
 * @category models
 */
export interface FieldFacts {
  readonly kind: Kind
  readonly on: ReadonlyArray<Event>
  readonly meaning: string
}

/**
 * Every field by name. A field that is not known, or says nothing, is absent.
 *
 * @since 0.1.0
 * @category models
 */
export const fields = {
  "echelon.event": { kind: "text", on: Object.keys(events) as ReadonlyArray<Event>, meaning: "what the line is about" },
  "echelon.request_id": { kind: "text", on: ["request"], meaning: "`metadata.requestId`, or an id made for it" },
  "echelon.outcome": { kind: "text", on: ["request"], meaning: "`completed`, `failed` or `cancelled`" },
  "echelon.reason": {
    kind: "text",
    on: ["request", "breaker"],
    meaning: "the reason of the failure, by the names of failures.md"
  },
  "echelon.target": {
    kind: "text",
    on: ["request"],
    meaning:
      "whom the request asked: `wrapper:NAME`, `pool:NAME`, `group:NAME`, `client:NAME`, or `router` for nobody known"
  },
  "echelon.wrapper": { kind: "text", on: ["request"], meaning: "the wrapper it passed" },
  "echelon.pool": { kind: "text", on: ["request"], meaning: "the pool it passed" },
  "echelon.group": { kind: "text", on: ["request", "breaker"], meaning: "the task group" },
  "echelon.tenant": { kind: "text", on: ["request"], meaning: "`metadata.tenant`" },
  "echelon.priority": { kind: "text", on: ["request"], meaning: "`critical` or `batch`; absent when normal" },
  "echelon.operation": { kind: "text", on: ["request"], meaning: "`chat` or `embeddings`" },
  "echelon.stream": { kind: "boolean", on: ["request"], meaning: "whether the reply was streamed" },
  "echelon.instance": {
    kind: "text",
    on: ["request", "breaker", "cooldown", "health", "drained", "pinned", "reset"],
    meaning: "the instance; of a request the one that answered, or failed last"
  },
  "echelon.model": { kind: "text", on: ["request"], meaning: "its model, by the name on the wire" },
  "echelon.provider": { kind: "text", on: ["request", "health", "provider"], meaning: "its provider's file" },
  "echelon.attempts": { kind: "count", on: ["request"], meaning: "calls that were made, hedges included" },
  "echelon.failovers": {
    kind: "count",
    on: ["request"],
    meaning: "calls that went to another instance after a failure"
  },
  "echelon.hedges": {
    kind: "count",
    on: ["request"],
    meaning: "second calls beside a slow first one; absent without any"
  },
  "echelon.shared": {
    kind: "text",
    on: ["request"],
    meaning: "`cache` or `coalesced` when nobody was called, since a cached or a shared answer was given"
  },
  "echelon.route": {
    kind: "text",
    on: ["request"],
    meaning: "the attempts in order, such as `openai-gpt4!RateLimited > anthropic-claude-3-opus`; at most eight"
  },
  "echelon.queue_ms": { kind: "milliseconds", on: ["request"], meaning: "time spent waiting in queues; absent when 0" },
  "echelon.ttft_ms": {
    kind: "milliseconds",
    on: ["request"],
    meaning: "from the request to the first output, waits and failed attempts included"
  },
  "echelon.total_ms": { kind: "milliseconds", on: ["request"], meaning: "from the request to its end" },
  "echelon.input_tokens": { kind: "tokens", on: ["request"], meaning: "input of all attempts, cached input included" },
  "echelon.output_tokens": { kind: "tokens", on: ["request"], meaning: "output of all attempts, reasoning included" },
  "echelon.cache_read_tokens": { kind: "tokens", on: ["request"], meaning: "input read from the provider's cache" },
  "echelon.usage_source": {
    kind: "text",
    on: ["request"],
    meaning: "where the tokens come from: `reported`, `estimated` or `unknown`"
  },
  "echelon.cost_usd": { kind: "USD", on: ["request"], meaning: "cost of all attempts; absent when no price is known" },
  "echelon.retry_at": {
    kind: "time",
    on: ["request"],
    meaning: "when an instance may be asked again, of a failed request"
  },
  "echelon.sample_ratio": {
    kind: "share",
    on: ["request"],
    meaning: "the share of completed requests that is logged; absent when all are"
  },
  "echelon.from": { kind: "text", on: ["breaker", "health"], meaning: "where it stood before" },
  "echelon.to": { kind: "text", on: ["breaker", "health"], meaning: "where it stands now" },
  "echelon.cause": {
    kind: "text",
    on: ["breaker"],
    meaning: "what opened it: `failures`, `failure_rate`, `slow_calls` or `credential`"
  },
  "echelon.until": {
    kind: "time",
    on: ["breaker", "cooldown", "budget"],
    meaning: "when it is tried again, or the budget is whole again"
  },
  "echelon.detail": { kind: "text", on: ["health", "provider"], meaning: "why, in a few words" },
  "echelon.instances": { kind: "text", on: ["provider"], meaning: "its instances that fail, at most eight" },
  "echelon.scope": { kind: "text", on: ["budget"], meaning: "`tenant`, `wrapper` or `pool`" },
  "echelon.name": { kind: "text", on: ["budget"], meaning: "whose budget it is" },
  "echelon.period": { kind: "text", on: ["budget"], meaning: "`day` or `month`" },
  "echelon.share": { kind: "share", on: ["budget"], meaning: "the mark that was reached; 1 is all" },
  "echelon.spent_usd": { kind: "USD", on: ["budget"], meaning: "what was spent in the period" },
  "echelon.limit_usd": { kind: "USD", on: ["budget"], meaning: "what may be spent in it" },
  "echelon.suppressed": {
    kind: "count",
    on: ["breaker", "cooldown", "health", "provider", "budget", "drained", "pinned", "reset", "plan"],
    meaning: "changes of the same thing since its last line that have none of their own"
  },
  "echelon.lost": { kind: "count", on: ["log"], meaning: "lines that were lost since the last such line" }
} as const satisfies Readonly<Record<string, FieldFacts>>

/**
 * The name of a field.
 *
 * @since 0.1.0
 * @category models
 */
export type Name = keyof typeof fields

/**
 * The fields of a line.
 *
 * @since 0.1.0
 * @category models
 */
export type Fields = { readonly [K in Name]?: string | number | boolean | undefined }

/**
 * The level of a request that failed, by reason: `Error` where an operator must act, `Warn` where a provider failed
 * or time and money ran out, `Info` where the request itself was wrong.
 *
 * @since 0.1.0
 * @category models
 */
export const levels: Readonly<Record<Reason.ReasonTag, Extract<LogLevel.Severity, "Info" | "Warn" | "Error">>> = {
  RateLimited: "Warn",
  Overloaded: "Warn",
  ProviderError: "Warn",
  Network: "Warn",
  Timeout: "Warn",
  Authentication: "Error",
  QuotaExhausted: "Error",
  ModelNotFound: "Error",
  ContextLength: "Info",
  ContentPolicy: "Info",
  InvalidRequest: "Info",
  MalformedOutput: "Warn",
  Unknown: "Warn",
  Cancelled: "Info",
  QueueFull: "Error",
  NoCapacity: "Error",
  DeadlineExceeded: "Warn",
  BudgetExhausted: "Warn",
  UnknownTarget: "Info"
}

/** A name that is longer than this is cut. */
const longest = 120

/** Control characters would break lines and end texts in some stores; those of direction would disguise what follows. */
const controls = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu

/**
 * A name that somebody chose, as it may stand in a line: on one line and not long.
 *
 * @since 0.1.0
 * @category getters
 */
export const clean = (name: string): string => {
  const text = name.replace(controls, "\ufffd").toWellFormed()
  return text.length > longest ? `${text.slice(0, longest).toWellFormed()}…` : text
}
