/**
 * The ordered record of the attempts behind a reply or an error. It holds names, reasons and times, never
 * a word of the prompt or of the answer.
 *
 * @since 0.1.0
 */
import type * as Tracer from "effect/Tracer"
import type * as LlmRequest from "./LlmRequest.ts"
import type * as Part from "./Part.ts"
import type * as Reason from "./Reason.ts"
import type * as Usage from "./Usage.ts"

/**
 * How an attempt stands: `open` until it has ended.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = "open" | "completed" | "failed" | "cancelled"

/**
 * Why an entry is there: a call of its own; a second call beside a slow first one; or no call at all, since a cached
 * answer, or the call of an identical request, was given.
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = "call" | "hedge" | "cache" | "coalesced"

/**
 * One request sent to one instance. Times are milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry {
  readonly kind: Kind
  readonly instance: string
  readonly model: string
  /** `group.echelonN`, when the instance was reached through one. */
  readonly echelon: string | undefined
  readonly outcome: Outcome
  readonly reason: Reason.ReasonTag | undefined
  /** Since the epoch, by Effect's `Clock`. */
  readonly startedAt: number
  /** From start to first output. */
  readonly firstOutputMs: number | undefined
  /** From start to end; to now while `open`. */
  readonly elapsedMs: number
  readonly usage: Usage.Usage | undefined
  /** USD, when prices and usage are known. */
  readonly cost: number | undefined
  /** What could not be said in the provider's protocol and was left out, by field. */
  readonly dropped: ReadonlyArray<string>
}

/**
 * Every attempt of one request, in order.
 *
 * @since 0.1.0
 * @category models
 */
export type Route = ReadonlyArray<Entry>

/**
 * Whose instance was asked: the name of its file and its kind in the provider table.
 *
 * @since 0.1.0
 * @category models
 */
export interface Provider {
  readonly name: string
  readonly kind: string
  /** The host and the port that are asked, where there is one address. */
  readonly address?: string | undefined
  readonly port?: number | undefined
}

/**
 * Hears of the attempts of one request as they happen. What it is given is filled in, and never to be changed by it;
 * it must not throw.
 *
 * @since 0.1.0
 * @category models
 */
export interface Watch {
  /** The request is the one that is sent; no listener may keep it beyond the attempt. */
  readonly began: (entry: Open, request?: LlmRequest.LlmRequest) => void
  readonly output: (entry: Open) => void
  readonly ended: (entry: Open) => void
}

/**
 * An entry while its attempt is under way.
 *
 * @since 0.1.0
 * @category models
 */
export interface Open {
  readonly kind: Kind
  readonly instance: string
  readonly model: string
  readonly echelon: string | undefined
  /** Since the epoch. */
  readonly startedAt: number
  /** Who stands behind the instance, when it is known. */
  readonly provider: Provider | undefined
  /** Who is told of its first output and of its end. */
  readonly watch: Watch | undefined
  /** The W3C `traceparent` of what is done for it. */
  traceparent: string | undefined
  /** The span of what is done for it: the parent of the spans of whoever is asked. */
  span?: Tracer.AnySpan | undefined
  /** Hears the parts as they come. Only who may see content sets it. */
  onParts?: ((parts: ReadonlyArray<Part.Part>) => void) | undefined
  /** Why the answer ended, when it did. */
  finishReason?: Part.FinishReason | undefined
  /** What the provider calls the answer, and the model that gave it. */
  responseId?: string | undefined
  responseModel?: string | undefined
  outcome: Outcome
  reason: Reason.ReasonTag | undefined
  firstOutputAt: number | undefined
  endedAt: number | undefined
  usage: Usage.Usage | undefined
  cost: number | undefined
  dropped: Array<string>
}

/**
 * Collects the attempts of one request. One recorder belongs to one request.
 *
 * @since 0.1.0
 * @category models
 */
export interface Recorder {
  /** Starts an entry; the attempt that owns it fills it in. */
  readonly begin: (options: {
    /** @default "call" */
    readonly kind?: Kind | undefined
    readonly instance: string
    readonly model: string
    readonly echelon: string | undefined
    readonly now: number
    readonly provider?: Provider | undefined
    /** For those who watch. */
    readonly request?: LlmRequest.LlmRequest | undefined
  }) => Open
  /** Tells somebody of every attempt from now on. */
  readonly watch: (watch: Watch) => void
  /** The route so far. `now` is used for entries still open. */
  readonly snapshot: (now: number) => Route
  readonly size: () => number
}

/**
 * Makes an empty recorder.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeRecorder = (): Recorder => {
  const entries: Array<Open> = []
  let watching: Watch | undefined
  return {
    watch: (watch) => {
      watching = watch
    },
    begin: ({ echelon, instance, kind = "call", model, now, provider, request }) => {
      const entry: Open = {
        kind,
        instance,
        model,
        echelon,
        startedAt: now,
        provider,
        watch: watching,
        traceparent: undefined,
        span: undefined,
        onParts: undefined,
        finishReason: undefined,
        responseId: undefined,
        responseModel: undefined,
        outcome: "open",
        reason: undefined,
        firstOutputAt: undefined,
        endedAt: undefined,
        usage: undefined,
        cost: undefined,
        dropped: []
      }
      entries.push(entry)
      watching?.began(entry, request)
      return entry
    },
    snapshot: (now) =>
      entries.map((entry) => ({
        kind: entry.kind,
        instance: entry.instance,
        model: entry.model,
        echelon: entry.echelon,
        outcome: entry.outcome,
        reason: entry.reason,
        startedAt: entry.startedAt,
        firstOutputMs: entry.firstOutputAt === undefined ? undefined : entry.firstOutputAt - entry.startedAt,
        elapsedMs: (entry.endedAt ?? now) - entry.startedAt,
        usage: entry.usage,
        cost: entry.cost,
        dropped: [...entry.dropped]
      })),
    size: () => entries.length
  }
}
