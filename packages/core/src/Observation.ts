/**
 * What becomes of requests, told as it happens: metrics, traces, usage, logs, route records and alerts all listen
 * here, and nowhere else. Without a listener a request is not observed, and nothing is spent on it.
 *
 * An observation holds names, reasons, times and figures, never a word of the prompt or of the answer.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import type * as LlmError from "./LlmError.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import type * as Reason from "./Reason.ts"
import type * as Route from "./Route.ts"
import * as Usage from "./Usage.ts"

/**
 * Whom a request asked. `router` stands for requests that named nobody who is known.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target {
  readonly kind: "wrapper" | "pool" | "group" | "client" | "router"
  readonly name: string
}

/**
 * How a request stands: `open` until it has ended.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome = "open" | "completed" | "failed" | "cancelled"

/**
 * One request while it is answered, and after. Times are milliseconds, since the epoch where they end in `At`.
 *
 * **Details** Listeners get the same object each time; what is not known yet is `undefined`. They must not change it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Observation {
  /** Unique, or what `metadata.requestId` says. */
  readonly id: string
  readonly target: Target
  readonly wrapper: string | undefined
  readonly pool: string | undefined
  readonly group: string | undefined
  readonly tenant: string | undefined
  readonly priority: NonNullable<LlmRequest.Metadata["priority"]>
  readonly tags: ReadonlyArray<string>
  readonly operation: Operation
  readonly isStream: boolean
  /** Whether the wrapper wants to be measured; true without a wrapper. */
  readonly isMeasured: boolean
  /** Whether the wrapper wants alerts to be raised; true without a wrapper. */
  readonly isAlerting: boolean
  readonly startedAt: number
  /** The time spent waiting in a queue, in all. */
  readonly queuedMs: number
  /** When the caller got the first output, or the whole of an answer that is folded. */
  readonly committedAt: number | undefined
  readonly endedAt: number | undefined
  readonly outcome: Outcome
  readonly reason: Reason.ReasonTag | undefined
  /** The reply's last error, when it failed. It may hold delivered text: never print it whole. */
  readonly error: LlmError.LlmError | undefined
  /** The W3C trace that it belongs to, when it is traced. Set by who traces, at the start. */
  traceId?: string | undefined
  /** Every attempt so far. */
  readonly attempts: ReadonlyArray<Route.Open>
}

/**
 * What is asked for, by the names of the OpenTelemetry conventions.
 *
 * @since 0.1.0
 * @category models
 */
export type Operation = "chat" | "embeddings"

/**
 * Listens. Functions are called synchronously on the request's way and must neither throw nor take long; what
 * takes long is put into a queue of the listener's own.
 *
 * **Details** An attempt that lost a race may end after its request has.
 *
 * @since 0.1.0
 * @category models
 */
export interface Observer {
  /**
   * A request begins. The context is that of its fiber. The request is what was asked, prompt and all: it is for those
   * who may show content, and never to be kept beyond the end.
   */
  readonly onStart?:
    | ((observation: Observation, context: Context.Context<never>, request: LlmRequest.LlmRequest) => void)
    | undefined
  /** The request is the one that this instance is sent, where it is sent one. */
  readonly onAttemptStart?:
    | ((observation: Observation, attempt: Route.Open, request: LlmRequest.LlmRequest | undefined) => void)
    | undefined
  readonly onFirstOutput?: ((observation: Observation, attempt: Route.Open) => void) | undefined
  readonly onAttemptEnd?: ((observation: Observation, attempt: Route.Open) => void) | undefined
  /** A request has ended: completed, failed or cancelled. It is called once for each that began. */
  readonly onEnd?: ((observation: Observation) => void) | undefined
}

/**
 * What all attempts of a request used so far, as trustworthy as the weakest figure; `undefined` when nothing is known.
 *
 * @since 0.1.0
 * @category getters
 */
export const usage = ({ attempts }: Pick<Observation, "attempts">): Usage.Usage | undefined => {
  let sum: Usage.Usage | undefined
  for (const attempt of attempts) {
    if (attempt.usage === undefined || isFree(attempt)) continue
    sum = sum === undefined ? attempt.usage : Usage.add(sum, attempt.usage)
  }
  return sum
}

/**
 * What all attempts of a request cost so far in USD; `undefined` when that of none is known.
 *
 * @since 0.1.0
 * @category getters
 */
export const cost = ({ attempts }: Pick<Observation, "attempts">): number | undefined => {
  let sum: number | undefined
  for (const attempt of attempts) {
    const one = isFree(attempt) ? 0 : attempt.cost
    if (one !== undefined) sum = (sum ?? 0) + one
  }
  return sum
}

/**
 * Whether an attempt asked nobody: it was answered from a cache or by the call of another request.
 *
 * @since 0.1.0
 * @category getters
 */
export const isFree = ({ kind }: Pick<Route.Open, "kind">): boolean => kind === "cache" || kind === "coalesced"

/**
 * The attempt that answers, or answered: the last that committed, else the last.
 *
 * @since 0.1.0
 * @category getters
 */
export const answering = ({ attempts }: Pick<Observation, "attempts">): Route.Open | undefined =>
  attempts.findLast(({ outcome }) => outcome === "completed") ?? attempts[attempts.length - 1]
