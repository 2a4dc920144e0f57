/**
 * Puts observation, and the guards that may refuse a request, in front of whatever a plan names.
 *
 * **Ordering** Above all else: what is refused here was not queued, and what is observed here includes every wait.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type * as Attempt from "./Attempt.ts"
import type * as Llm from "./Llm.ts"
import type * as LlmError from "./LlmError.ts"
import type * as LlmReply from "./LlmReply.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import type * as Observation from "./Observation.ts"
import type * as Route from "./Route.ts"

/**
 * May refuse a request before anything is done for it. It is asked once for each level that the request passes: for
 * its wrapper, then for the pool or the group. It must not throw, nor take long.
 *
 * @since 0.1.0
 * @category models
 */
export type Guard = (target: Observation.Target, request: LlmRequest.LlmRequest) => LlmError.LlmError | undefined

/**
 * Who listens and who may refuse.
 *
 * @since 0.1.0
 * @category models
 */
export class Observers {
  /** Empty when nobody listens: then nothing is observed. */
  readonly observers = new Set<Observation.Observer>()
  readonly guards = new Set<Guard>()
  private count = 0

  /** Listens until the returned function is called. */
  add(observer: Observation.Observer): () => void {
    this.observers.add(observer)
    return () => void this.observers.delete(observer)
  }

  /** Guards until the returned function is called. */
  guard(guard: Guard): () => void {
    this.guards.add(guard)
    return () => void this.guards.delete(guard)
  }

  isIdle(): boolean {
    return this.observers.size === 0 && this.guards.size === 0
  }

  refusal(target: Observation.Target, request: LlmRequest.LlmRequest): LlmError.LlmError | undefined {
    for (const guard of this.guards) {
      const refused = guard(target, request)
      if (refused !== undefined) return refused
    }
    return undefined
  }

  /** Short, and told apart within a process by a count and between processes by chance. */
  nextId(now: number, random: () => number): string {
    this.count += 1
    const chance = Math.floor(random() * 0x1_0000_0000).toString(36)
    return `req_${Math.floor(now).toString(36)}${chance.padStart(7, "0")}${this.count.toString(36)}`
  }
}

/**
 * What a wrapper says about being watched.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly target: Observation.Target
  /** @default true */
  readonly isMeasured?: boolean | undefined
  /** @default true */
  readonly isAlerting?: boolean | undefined
}

/**
 * One observation under way: the listeners' view, and the hand that fills it in.
 *
 * @since 0.1.0
 * @category models
 */
export class Live implements Observation.Observation, Route.Watch {
  readonly id: string
  readonly target: Observation.Target
  wrapper: string | undefined = undefined
  pool: string | undefined = undefined
  group: string | undefined = undefined
  readonly tenant: string | undefined
  readonly priority: Observation.Observation["priority"]
  readonly tags: ReadonlyArray<string>
  readonly operation: Observation.Operation
  readonly isStream: boolean
  readonly isMeasured: boolean
  readonly isAlerting: boolean
  readonly startedAt: number
  queuedMs = 0
  committedAt: number | undefined = undefined
  endedAt: number | undefined = undefined
  outcome: Observation.Outcome = "open"
  reason: Observation.Observation["reason"] = undefined
  error: LlmError.LlmError | undefined = undefined
  traceId: string | undefined = undefined
  readonly attempts: Array<Route.Open> = []
  private readonly all: Observers
  private readonly clock: Clock.Clock

  constructor(
    all: Observers,
    { isAlerting = true, isMeasured = true, target }: Options,
    request: LlmRequest.LlmRequest,
    clock: Clock.Clock,
    random: () => number
  ) {
    const { priority = "normal", requestId, tags = [], tenant } = request.metadata
    this.all = all
    this.clock = clock
    this.startedAt = clock.currentTimeMillisUnsafe()
    this.id = requestId ?? all.nextId(this.startedAt, random)
    this.target = target
    this.tenant = tenant
    this.priority = priority
    this.tags = tags
    this.operation = request.embedding === undefined ? "chat" : "embeddings"
    this.isStream = request.stream
    this.isMeasured = isMeasured
    this.isAlerting = isAlerting
    this.through(target)
  }

  /** Notes a level that the request passes. */
  through({ kind, name }: Observation.Target): void {
    if (kind === "wrapper") this.wrapper ??= name
    if (kind === "pool") this.pool ??= name
    if (kind === "group") this.group ??= name
  }

  begin(context: Context.Context<never>, request: LlmRequest.LlmRequest): void {
    for (const { onStart } of this.all.observers) onStart?.(this, context, request)
  }

  /** Adds the time that was spent in a queue since. */
  waited(since: number): void {
    this.queuedMs += this.clock.currentTimeMillisUnsafe() - since
  }

  now(): number {
    return this.clock.currentTimeMillisUnsafe()
  }

  readonly began = (entry: Route.Open, request?: LlmRequest.LlmRequest): void => {
    this.attempts.push(entry)
    for (const { onAttemptStart } of this.all.observers) onAttemptStart?.(this, entry, request)
  }

  readonly output = (entry: Route.Open): void => {
    for (const { onFirstOutput } of this.all.observers) onFirstOutput?.(this, entry)
  }

  readonly ended = (entry: Route.Open): void => {
    for (const { onAttemptEnd } of this.all.observers) onAttemptEnd?.(this, entry)
  }

  /** Goes on with what came of the call. */
  readonly called = (exit: Exit.Exit<LlmReply.LlmReply, LlmError.LlmError>): void => {
    if (exit._tag === "Failure") {
      const failure = exit.cause.reasons.find((reason) => reason._tag === "Fail")
      this.end(failure === undefined ? undefined : failure.error)
      return
    }
    this.committedAt = this.clock.currentTimeMillisUnsafe()
    exit.value.attempt.onSettle((outcome: Attempt.Outcome) => {
      if (outcome._tag === "Completed") this.finish("completed", undefined)
      else this.end(outcome._tag === "Failed" ? outcome.error : undefined)
    })
  }

  /** Ends it with an error, or with none because it was given up. */
  end(error: LlmError.LlmError | undefined): void {
    const isCancelled = error === undefined || error.reason._tag === "Cancelled"
    this.finish(isCancelled ? "cancelled" : "failed", error)
  }

  private finish(outcome: Observation.Outcome, error: LlmError.LlmError | undefined): void {
    if (this.endedAt !== undefined) return
    this.endedAt = this.clock.currentTimeMillisUnsafe()
    this.outcome = outcome
    this.error = error
    this.reason = error?.reason._tag
    for (const { onEnd } of this.all.observers) onEnd?.(this)
  }
}

const chance =
  (random: typeof Random.Random.Service): (() => number) =>
  () =>
    random.nextDoubleUnsafe()

/**
 * Observes the calls of an `Llm`, and asks the guards before each.
 *
 * **Details** A request that passes several levels is one observation, begun at the first. It ends with the reply's
 * attempt: with the parts, not at commit.
 *
 * @since 0.1.0
 * @category combinators
 */
export const make = (self: Llm.Llm, all: Observers, options: Options): Llm.Llm => ({
  id: self.id,
  capabilities: self.capabilities,
  call: (request) => {
    if (all.isIdle()) return self.call(request)
    const { target } = options
    return Effect.withFiber((fiber) => {
      const refused = all.refusal(target, request)
      const known = request.observation
      if (known !== undefined) {
        known.through(target)
        return refused === undefined ? self.call(request) : Effect.fail(refused)
      }
      const live = new Live(all, options, request, fiber.getRef(Clock.Clock), chance(fiber.getRef(Random.Random)))
      request.recorder.watch(live)
      live.begin(fiber.context as Context.Context<never>, request)
      if (refused !== undefined) {
        live.end(refused)
        return Effect.fail(refused)
      }
      return Effect.onExit(self.call({ ...request, observation: live }), (exit) => Effect.sync(() => live.called(exit)))
    })
  }
})

/**
 * Tells of a request that named nobody who is known.
 *
 * @since 0.1.0
 * @category running
 */
export const refused = (
  all: Observers,
  request: LlmRequest.LlmRequest,
  error: LlmError.LlmError
): Effect.Effect<never, LlmError.LlmError> =>
  Effect.withFiber((fiber) => {
    if (!all.isIdle() && request.observation === undefined) {
      const target = { kind: "router", name: "router" } as const
      const live = new Live(all, { target }, request, fiber.getRef(Clock.Clock), chance(fiber.getRef(Random.Random)))
      live.begin(fiber.context as Context.Context<never>, request)
      live.end(error)
    }
    return Effect.fail(error)
  })
