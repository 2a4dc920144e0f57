/**
 * Coalescing: identical requests that are in flight at the same time share one call.
 *
 * The first of them makes the call; who comes while it is under way joins and gets every part from the beginning.
 * The call belongs to all of them: it lives until the last has left, whoever that is, and is pulled as fast as the
 * fastest reads. `CoalesceState` holds what was received; here the call is made, read and ended, and each request
 * gets a reply of its own, with its own attempt, deadline and route.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Scope from "effect/Scope"
import * as Attempt from "./Attempt.ts"
import * as Budget from "./Budget.ts"
import * as CoalesceState from "./CoalesceState.ts"
import * as Llm from "./Llm.ts"
import * as LlmError from "./LlmError.ts"
import type * as LlmReply from "./LlmReply.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import * as RequestKey from "./RequestKey.ts"
import * as Route from "./Route.ts"

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How a request takes part. Whoever does not say `default` makes a call of its own. @default always `default` */
  readonly mode?: ((request: LlmRequest.LlmRequest) => RequestKey.Mode) | undefined
  /**
   * Characters of an answer up to which requests can join it and all of it is held.
   *
   * @default 1_048_576
   */
  readonly maxSize?: number | undefined
}

/**
 * An `Llm` whose identical requests share calls.
 *
 * @since 0.1.0
 * @category models
 */
export interface Coalesce extends Llm.Llm {
  /** Shared calls that can be joined now. */
  readonly inFlight: () => number
}

const defaultMaxSize = 1_048_576

/**
 * Shares calls between identical requests of one tenant.
 *
 * **Details** Requests are identical when their answer would be and their calls go about it alike: streamed or not,
 * `commit`, `onInterrupt`, the caller's own clocks, `maxTotalAttempts` and `maxCost` (`RequestKey`). Deadlines,
 * priorities and labels may differ.
 *
 * The call is made as the first request says, its deadline and budget included, and its attempts are in that request's
 * route. A request that joins spends no budget and has one entry, of kind `coalesced`, with the usage of the shared
 * answer and a cost of 0: what was paid stands in the first request's route. Interrupting a request, or ending its
 * reply early, ends the call only when nobody else is left.
 *
 * **Ordering** Below a cache, so that a hit asks nobody; above retries, fallback and limits, so that a shared call
 * counts once.
 *
 * **Errors** A failure of the call is everybody's, except the first request's own before commit (its deadline, its
 * budget): those who joined then ask anew, as one. The own deadline of one that joined fails it alone, as
 * `DeadlineExceeded`.
 *
 * **Gotchas** What a first request near its deadline fails with, when it had no time left for a repeat, is everybody's.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Llm } from "@echelon/core"
 * import * as Coalesce from "@echelon/core/Coalesce"
 * import { ScriptedLlm } from "@echelon/testing"
 *
 * const program = Effect.gen(function* () {
 *   const model = yield* ScriptedLlm.make({
 *     id: "model",
 *     script: [ScriptedLlm.wait("10 millis"), ...ScriptedLlm.text("hello")]
 *   })
 *   const llm = yield* Coalesce.make(model.llm)
 *   const ask = Llm.generate(llm, { prompt: "hi" })
 *   const answers = yield* Effect.all([ask, ask, ask], { concurrency: "unbounded" })
 *   return { texts: answers.map((answer) => answer.text), calls: model.calls().length }
 * })
 * const { calls, texts } = await Effect.runPromise(program)
 * console.assert(calls === 1 && texts.join() === "hello,hello,hello")
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const make: {
  (options?: Options): (self: Llm.Llm) => Effect.Effect<Coalesce>
  (self: Llm.Llm, options?: Options): Effect.Effect<Coalesce>
} = dual(
  (args) => typeof args[0] === "object" && args[0] !== null && "call" in args[0],
  (self: Llm.Llm, options: Options = {}): Effect.Effect<Coalesce> =>
    Effect.sync(() => {
      const { maxSize = defaultMaxSize, mode } = options
      if (!(maxSize > 0)) throw new RangeError(`Coalesce.make: maxSize must be above 0, got ${maxSize}`)
      const calls: Calls = new Map()
      return {
        id: self.id,
        capabilities: self.capabilities,
        call: (request) => {
          if (mode !== undefined && mode(request) !== "default") return self.call(request)
          const key = RequestKey.text(request, { scope: self.id, of: "call" })
          if (key === undefined) return self.call(request)
          const within = (attempt: Attempt.Attempt) => share(self, calls, maxSize, key, request, attempt)
          const opened = ownClocks(request, self.id)
          const joined = request.attempt
          return joined === undefined
            ? Attempt.open(opened, within)
            : Effect.suspend(() => {
                joined.start(opened)
                return within(joined)
              })
        },
        inFlight: () => calls.size
      }
    })
)

type Answering = Pick<Route.Entry, "instance" | "model" | "echelon">

/** Shared calls that can be joined. */
type Calls = Map<RequestKey.Text, Call>

/** What stays a request's own: its deadline, and how long it may leave parts unread. The others are the call's. */
const ownClocks = ({ clocks, deadline }: LlmRequest.LlmRequest, instance: string): Attempt.Options => ({
  instance,
  clocks: {
    attempt: Number.POSITIVE_INFINITY,
    ttft: undefined,
    idle: Number.POSITIVE_INFINITY,
    stream: undefined,
    consumerIdle: clocks.consumerIdle
  },
  deadline
})

/** Joins the call for this key, or makes it. */
const share = (
  self: Llm.Llm,
  calls: Calls,
  maxSize: number,
  key: RequestKey.Text,
  request: LlmRequest.LlmRequest,
  attempt: Attempt.Attempt
): Effect.Effect<LlmReply.LlmReply, LlmError.LlmError, Scope.Scope> =>
  Effect.withFiber<LlmReply.LlmReply, LlmError.LlmError, Scope.Scope>((fiber) => {
    const ended = attempt.outcome()
    if (ended !== undefined) return Effect.fail(Attempt.errorOf(ended))
    const clock = fiber.getRef(Clock.Clock)
    const joinedAt = clock.currentTimeMillisUnsafe()
    const found = calls.get(key)
    const call = found ?? new Call(self, calls, maxSize, key, request, fiber.context)
    const cursor = CoalesceState.join(call.state)
    const enter = ({ echelon, instance, model }: Answering) =>
      request.recorder.begin({ kind: "coalesced", instance, model, echelon, now: joinedAt })
    // The attempts of the call are in its leader's route already.
    let isWaiting = found !== undefined
    const missed = (error: LlmError.LlmError | undefined): void => {
      if (!isWaiting) return
      isWaiting = false
      const instance = error?.instance ?? self.id
      const entry = enter({ instance, model: instance, echelon: undefined })
      entry.outcome = error === undefined ? "cancelled" : "failed"
      entry.reason = error?.reason._tag
      entry.endedAt = clock.currentTimeMillisUnsafe()
      entry.watch?.ended(entry)
    }
    attempt.onSettle((outcome) => {
      call.leave(cursor)
      missed(outcome._tag === "Failed" ? outcome.error : undefined)
    })
    if (found === undefined) call.start()
    return Effect.matchCauseEffect(call.opened, {
      onFailure: (cause) => {
        call.leave(cursor)
        const failure = cause.reasons.find(Cause.isFailReason)
        if (found === undefined || failure === undefined) return Effect.failCause(cause)
        const { error } = failure
        missed(error)
        if (CoalesceState.isLeadersOwn(error.reason, call.leader))
          return share(self, calls, maxSize, key, request, attempt)
        const route = request.recorder.snapshot(clock.currentTimeMillisUnsafe())
        return Effect.fail(LlmError.update(error, { route }))
      },
      onSuccess: () => {
        const answering = call.answering(clock.currentTimeMillisUnsafe())
        isWaiting = false
        let entry: Route.Open | undefined
        const begin: Route.Recorder["begin"] = (options) => {
          entry = found === undefined ? Route.makeRecorder().begin(options) : enter(answering)
          return entry
        }
        return Llm.make({
          id: answering.instance,
          model: answering.model,
          open: (_, reading) =>
            Effect.sync(() => {
              reading.onSettle((outcome) => {
                if (outcome._tag === "Completed" && entry !== undefined) entry.cost = 0
              })
              return call.read(cursor)
            })
        }).call({ ...request, attempt, budget: Budget.make(), recorder: { ...request.recorder, begin } })
      }
    })
  })

/** One call, shared by those who read it. */
class Call {
  readonly state: CoalesceState.State
  readonly leader: LlmRequest.LlmRequest
  private readonly self: Llm.Llm
  private readonly calls: Calls
  private readonly key: RequestKey.Text
  private readonly context: Context.Context<Scope.Scope>
  private readonly scope = Scope.makeUnsafe()
  private reply: LlmReply.LlmReply | undefined
  private source: Llm.Source | undefined
  private ended: Exit.Exit<void, LlmError.LlmError> | undefined
  /** Opens the call, later pulls it; whoever leaves last interrupts it. */
  private fiber: Fiber.Fiber<unknown, unknown> | undefined
  private isPulling = false
  /** Counts changes: commit, parts, the end. */
  private version = 0
  private waiters = new Set<() => void>()

  constructor(
    self: Llm.Llm,
    calls: Calls,
    maxSize: number,
    key: RequestKey.Text,
    leader: LlmRequest.LlmRequest,
    context: Context.Context<never>
  ) {
    this.state = CoalesceState.make(maxSize)
    this.leader = leader
    this.self = self
    this.calls = calls
    this.key = key
    this.context = Context.add(context, Scope.Scope, this.scope)
    calls.set(key, this)
  }

  start(): void {
    const request = { ...this.leader, attempt: undefined }
    this.run(this.self.call(request), (exit) => {
      if (Exit.isFailure(exit)) return this.end(Exit.failCause(exit.cause))
      this.reply = exit.value
      // It may break while nobody pulls.
      exit.value.attempt.onSettle((outcome) => {
        if (outcome._tag !== "Completed") this.close()
      })
      this.wake()
    })
  }

  /** Waits for commit. */
  readonly opened: Effect.Effect<void, LlmError.LlmError> = Effect.suspend(() =>
    this.reply !== undefined ? Effect.void : (this.ended ?? Effect.flatMap(this.changed(), () => this.opened))
  )

  /** Who answers, by the route of the request that made the call. */
  answering(now: number): Answering {
    const alive = this.leader.recorder
      .snapshot(now)
      .filter(({ outcome }) => outcome === "open" || outcome === "completed")
    const { id } = this.self
    return (
      alive.findLast(({ firstOutputMs }) => firstOutputMs !== undefined) ??
      alive.at(-1) ?? { instance: id, model: id, echelon: undefined }
    )
  }

  /** The parts, for one reader. */
  read(cursor: CoalesceState.Cursor): Llm.Source {
    const next: Llm.Source = Effect.suspend(() => {
      const held = CoalesceState.take(this.state, cursor)
      if (held !== undefined) return Effect.succeed(held)
      if (this.ended !== undefined)
        return Exit.isSuccess(this.ended) ? Cause.done() : Effect.failCause(this.ended.cause)
      if (!this.isPulling) {
        this.pull()
        // What is at hand comes at once.
        if (!this.isPulling) return next
      }
      return Effect.flatMap(this.changed(), () => next)
    })
    return next
  }

  /** Takes a reader away. With the last the call ends. */
  leave(cursor: CoalesceState.Cursor): void {
    if (CoalesceState.leave(this.state, cursor) !== "last" || this.ended !== undefined) return
    const fiber = this.fiber
    this.end(Exit.fail(LlmError.make({ reason: { _tag: "Cancelled" } })))
    fiber?.interruptUnsafe()
  }

  private pull(): void {
    this.isPulling = true
    this.run(this.source ?? this.openedParts, (exit) => {
      this.isPulling = false
      if (this.ended !== undefined) return
      if (Exit.isFailure(exit)) return this.end(this.endOf(exit.cause))
      CoalesceState.add(this.state, exit.value)
      if (CoalesceState.isFull(this.state)) this.close()
      if (exit.value[exit.value.length - 1]?.type === "finish") this.end(Exit.void)
      else this.wake()
    })
  }

  private readonly openedParts: Llm.Source = Effect.suspend(() => {
    // Pulled only after commit.
    const reply = this.reply as LlmReply.LlmReply
    return Effect.flatMap(Channel.toPullScoped(reply.parts.channel, this.scope), (source) => {
      this.source = source
      return source
    })
  })

  /** An end without a finish part is left to the readers, who know it for malformed. */
  private endOf(cause: Cause.Cause<LlmError.LlmError | Cause.Done<void>>): Exit.Exit<void, LlmError.LlmError> {
    const failure = cause.reasons.find(Cause.isFailReason)
    return failure !== undefined && Cause.isDone(failure.error)
      ? Exit.void
      : Exit.failCause(cause as Cause.Cause<LlmError.LlmError>)
  }

  private run<A, E>(effect: Effect.Effect<A, E, Scope.Scope>, onExit: (exit: Exit.Exit<A, E>) => void): void {
    const fiber = Effect.runForkWith(this.context)(effect)
    this.fiber = fiber
    fiber.addObserver(onExit)
  }

  /** Lets nobody join any more. */
  private close(): void {
    if (this.calls.get(this.key) === this) this.calls.delete(this.key)
  }

  private end(exit: Exit.Exit<void, LlmError.LlmError>): void {
    if (this.ended !== undefined) return
    this.ended = exit
    this.close()
    this.wake()
    const closing = Scope.closeUnsafe(this.scope, Exit.void)
    if (closing !== undefined) Effect.runForkWith(this.context)(closing)
  }

  private wake(): void {
    this.version += 1
    const waiters = this.waiters
    this.waiters = new Set()
    for (const waiter of waiters) waiter()
  }

  /** Waits for the next change after now: one that comes before the wait has begun is not missed. */
  private changed(): Effect.Effect<void> {
    const seen = this.version
    return Effect.callback<void>((resume) => {
      if (this.version !== seen) return resume(Effect.void)
      const waiter = () => resume(Effect.void)
      this.waiters.add(waiter)
      return Effect.sync(() => void this.waiters.delete(waiter))
    })
  }
}
