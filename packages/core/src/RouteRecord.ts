/**
 * What is kept of a request: who was asked, when, what came of it and what it cost, one JSON object a line. A record
 * holds names, reasons, times and figures, never a word of the prompt or of the answer, nor a provider's message.
 *
 * A record says its version. What another version says is not guessed at: see `decode`.
 *
 * @since 0.1.0
 */
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as LogFields from "./LogFields.ts"
import * as Observation from "./Observation.ts"
import type * as Route from "./Route.ts"

/**
 * The version that is written.
 *
 * @since 0.1.0
 * @category models
 */
export const version = 1

const optional = Schema.optionalKey
const figure = optional(Schema.Number)
const outcome = Schema.Literals(["open", "completed", "failed", "cancelled"])

const usage = {
  inputTokens: figure,
  outputTokens: figure,
  cacheReadTokens: figure,
  cacheWriteTokens: figure,
  reasoningTokens: figure,
  /** Where the figures come from. */
  source: optional(Schema.Literals(["reported", "estimated", "unknown"])),
  /** USD. */
  cost: figure
}

/**
 * One attempt. Times are milliseconds.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Attempt = Schema.Struct({
  instance: Schema.String,
  model: Schema.String,
  provider: optional(Schema.String),
  /** `group.echelonN`. */
  echelon: optional(Schema.String),
  kind: Schema.Literals(["call", "hedge", "cache", "coalesced"]),
  /** `open` when it had not ended as the record was written. */
  outcome,
  /** A tag of failures.md. */
  reason: optional(Schema.String),
  /** From the request's start to the attempt's. */
  startMs: Schema.Number,
  /** From the attempt's start to its first output. */
  ttftMs: figure,
  /** From the attempt's start to its end. */
  totalMs: figure,
  ...usage,
  /** What could not be said in the provider's protocol, by field. */
  dropped: optional(Schema.Array(Schema.String))
})

/**
 * One attempt.
 *
 * @since 0.1.0
 * @category models
 */
export type Attempt = typeof Attempt.Type

/**
 * A request that has ended.
 *
 * @since 0.1.0
 * @category schemas
 */
export const RouteRecord = Schema.Struct({
  v: Schema.Literal(version),
  id: Schema.String,
  /** When it began, in ISO 8601. */
  at: Schema.String,
  target: Schema.Struct({
    kind: Schema.Literals(["wrapper", "pool", "group", "client", "router"]),
    name: Schema.String
  }),
  wrapper: optional(Schema.String),
  pool: optional(Schema.String),
  group: optional(Schema.String),
  tenant: optional(Schema.String),
  priority: Schema.Literals(["critical", "normal", "batch"]),
  operation: Schema.Literals(["chat", "embeddings"]),
  stream: Schema.Boolean,
  outcome,
  reason: optional(Schema.String),
  queueMs: Schema.Number,
  /** From the request's start to the first output for the caller. */
  ttftMs: figure,
  totalMs: figure,
  ...usage,
  attempts: Schema.Array(Attempt),
  /** Attempts beyond those that are kept. */
  omitted: figure
})

/**
 * A request that has ended.
 *
 * @since 0.1.0
 * @category models
 */
export type RouteRecord = typeof RouteRecord.Type

/** Attempts and dropped fields that are kept, so that a line is never long. */
const kept = 64
const keptFields = 16

const { clean } = LogFields

/** Only what is known is there. */
const known = <A extends object>(fields: A): { [K in keyof A]: Exclude<A[K], undefined> } => {
  const found: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(fields)) if (value !== undefined) found[key] = value
  return found as { [K in keyof A]: Exclude<A[K], undefined> }
}

const name = (text: string | undefined): string | undefined => (text === undefined ? undefined : clean(text))
const span = (from: number, to: number | undefined): number | undefined =>
  to === undefined ? undefined : Math.max(0, Math.round(to - from))
const usd = (amount: number | undefined): number | undefined =>
  amount === undefined ? undefined : Number(amount.toPrecision(9))

const figuresOf = (used: Route.Open["usage"], cost: number | undefined) => ({
  inputTokens: used?.inputTokens,
  outputTokens: used?.outputTokens,
  cacheReadTokens: used?.cacheReadTokens,
  cacheWriteTokens: used?.cacheWriteTokens,
  reasoningTokens: used?.reasoningTokens,
  source: used?.source,
  cost: usd(cost)
})

/** What is not known is `undefined` here. */
const attemptOf = (attempt: Route.Open, begunAt: number) => {
  const { dropped, endedAt, firstOutputAt, startedAt } = attempt
  return {
    instance: clean(attempt.instance),
    model: clean(attempt.model),
    provider: name(attempt.provider?.name),
    echelon: name(attempt.echelon),
    kind: attempt.kind,
    outcome: attempt.outcome,
    reason: attempt.reason,
    startMs: Math.max(0, Math.round(startedAt - begunAt)),
    ttftMs: span(startedAt, firstOutputAt),
    totalMs: span(startedAt, endedAt),
    ...figuresOf(attempt.usage, attempt.cost),
    dropped: dropped.length === 0 ? undefined : dropped.slice(0, keptFields).map(clean)
  }
}

const recordOf = (observation: Observation.Observation) => {
  const { attempts, committedAt, endedAt, startedAt, target } = observation
  return {
    v: version,
    id: clean(observation.id),
    at: new Date(startedAt).toISOString(),
    target: { kind: target.kind, name: clean(target.name) },
    wrapper: name(observation.wrapper),
    pool: name(observation.pool),
    group: name(observation.group),
    tenant: name(observation.tenant),
    priority: observation.priority,
    operation: observation.operation,
    stream: observation.isStream,
    outcome: observation.outcome,
    reason: observation.reason,
    queueMs: Math.max(0, Math.round(observation.queuedMs)),
    ttftMs: span(startedAt, committedAt),
    totalMs: span(startedAt, endedAt),
    ...figuresOf(Observation.usage(observation), Observation.cost(observation)),
    attempts: attempts.slice(0, kept).map((attempt) => attemptOf(attempt, startedAt)),
    omitted: attempts.length > kept ? attempts.length - kept : undefined
  }
}

/**
 * The record of a request that has ended.
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (observation: Observation.Observation): RouteRecord => {
  const record = recordOf(observation)
  return known({ ...record, attempts: record.attempts.map((attempt) => known(attempt)) }) as RouteRecord
}

/**
 * The record of a request that has ended as a line, with its end: `encode(of(observation))` in a third of the time.
 *
 * @since 0.1.0
 * @category conversions
 */
export const lineOf = (observation: Observation.Observation): string => `${JSON.stringify(recordOf(observation))}\n`

/**
 * A record as a line, with its end.
 *
 * @since 0.1.0
 * @category conversions
 */
export const encode = (record: RouteRecord): string => `${JSON.stringify(record)}\n`

/**
 * What a line turned out to be: a record; one of another version; or nothing that was ever a record, such as a line
 * that was cut when its writer was killed.
 *
 * @since 0.1.0
 * @category models
 */
export type Decoded =
  | { readonly _tag: "Record"; readonly record: RouteRecord }
  | { readonly _tag: "OtherVersion"; readonly version: number }
  | { readonly _tag: "Broken" }

const broken: Decoded = { _tag: "Broken" }
const fromJson = Schema.decodeUnknownOption(Schema.fromJsonString(Schema.Unknown))
const fromUnknown = Schema.decodeUnknownOption(RouteRecord)

/**
 * Reads a line. Fields that are not known are left out.
 *
 * @since 0.1.0
 * @category conversions
 */
export const decode = (line: string): Decoded => {
  const json = Option.getOrUndefined(fromJson(line))
  if (typeof json !== "object" || json === null) return broken
  const v: unknown = Reflect.get(json, "v")
  if (typeof v !== "number") return broken
  if (v !== version) return { _tag: "OtherVersion", version: v }
  const record = Option.getOrUndefined(fromUnknown(json))
  return record === undefined ? broken : { _tag: "Record", record }
}
