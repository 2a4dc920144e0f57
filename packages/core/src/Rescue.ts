/**
 * A reply that survives its instance: when the stream breaks after commit, another one goes on.
 *
 * `RescueState` decides what is asked and what is passed on; here the replies are held, pulled and closed. The
 * reply that comes out keeps the contract of every `LlmReply`: one attempt, one use, three endings.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Attempt from "./Attempt.ts"
import type * as Llm from "./Llm.ts"
import * as LlmError from "./LlmError.ts"
import type * as LlmReply from "./LlmReply.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import type * as Part from "./Part.ts"
import * as RescueState from "./RescueState.ts"
import * as Usage from "./Usage.ts"

/**
 * Options of `wrap`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Tried in order at every break. What stands behind a `fail` is not tried. */
  readonly policies: ReadonlyArray<LlmRequest.OnInterrupt>
  /** Who answers first. */
  readonly instance: string
  /**
   * Asks another instance; the one that failed with `error` is already accounted. Fails when nobody can, and at
   * the latest when the request's budget has run out: nothing else bounds how often a reply is rescued. With
   * `resume` only instances that accept a prefill may be asked.
   */
  readonly again: (
    request: LlmRequest.LlmRequest,
    error: LlmError.LlmError,
    mode: RescueState.Mode
  ) => Effect.Effect<Reply, LlmError.LlmError, Scope.Scope>
}

/**
 * A reply, and who gives it.
 *
 * @since 0.1.0
 * @category models
 */
export type Reply = LlmReply.LlmReply & { readonly instance: string }

/**
 * Lets other instances go on when a committed reply breaks.
 *
 * **Details** Only failures after which the next echelon may be asked are met, and only while nothing but text
 * or reasoning was delivered. The broken attempt is closed before another is asked. A new attempt lives in the
 * outer one and dies with it; hooks on the outer attempt hear of one end.
 *
 * A failure that comes while nobody pulls is met at the next pull. If none comes for as long as the consumer's
 * idle clock allows, the reply fails.
 *
 * **Errors** When nobody goes on, or a new answer does not begin with the delivered text: the first cause, with
 * the whole route and the delivered text.
 *
 * @since 0.1.0
 * @category combinators
 */
export const wrap = (
  reply: LlmReply.LlmReply,
  request: LlmRequest.LlmRequest,
  options: Options
): Effect.Effect<LlmReply.LlmReply, LlmError.LlmError, Scope.Scope> =>
  Attempt.open({ instance: options.instance }, (attempt) =>
    Effect.withFiber<LlmReply.LlmReply>((fiber) =>
      Effect.succeed(new Rescue(reply, request, options, attempt, fiber.context).reply())
    )
  )

/** The replies behind one reply, one after another. */
class Rescue {
  private readonly request: LlmRequest.LlmRequest
  private readonly options: Options
  private readonly attempt: Attempt.Attempt
  private readonly context: Context.Context<never>
  private readonly clock: Clock.Clock
  private readonly state: RescueState.State
  private current: LlmReply.LlmReply
  /** What holds the current reply; closed when it has broken. */
  private scope: Scope.Closeable
  private source: Llm.Source | undefined
  private used = false
  private first: LlmError.LlmError | undefined
  /** A break that nobody has met yet. */
  private broken: LlmError.LlmError | undefined
  /** Runs while a break waits for a pull. */
  private unread: Fiber.Fiber<void> | undefined

  constructor(
    reply: LlmReply.LlmReply,
    request: LlmRequest.LlmRequest,
    options: Options,
    attempt: Attempt.Attempt,
    context: Context.Context<never>
  ) {
    this.request = request
    this.options = options
    this.attempt = attempt
    this.context = context
    this.clock = Context.get(context, Clock.Clock)
    this.state = RescueState.make(options.instance)
    this.current = reply
    this.scope = Scope.forkUnsafe(attempt.scope)
    attempt.commit()
    attempt.onSettle(() => {
      this.unread?.interruptUnsafe()
      this.current.attempt.settle({ _tag: "Cancelled" })
    })
    this.watch(reply)
  }

  reply(): LlmReply.LlmReply {
    return {
      parts: this.parts(),
      route: Effect.map(Clock.currentTimeMillis, (now) => this.request.recorder.snapshot(now)),
      attempt: this.attempt
    }
  }

  /** The ends that need no pull to be heard. */
  private watch(reply: LlmReply.LlmReply): void {
    reply.attempt.onSettle((outcome) => {
      if (this.broken !== undefined || this.attempt.outcome() !== undefined) return
      if (outcome._tag === "Cancelled") this.attempt.settle(outcome)
      if (outcome._tag !== "Failed") return
      if (RescueState.canRescue(this.state, outcome.error.reason)) this.untilPulled()
      else this.fail(outcome.error)
    })
  }

  /** Nothing runs any more that could tell that the consumer has stopped reading. */
  private untilPulled(): void {
    const limit = Duration.millis(this.request.clocks.consumerIdle)
    this.unread = Effect.runForkWith(this.context)(
      Effect.map(Effect.sleep(limit), () => {
        const reason = { _tag: "Timeout", clock: "consumer_idle", limit, shortened: false } as const
        this.fail(LlmError.make({ reason }))
      })
    )
  }

  private fail(error: LlmError.LlmError): void {
    const cause = RescueState.causeOf(this.first, error)
    // An instance settles before it names itself.
    const named =
      cause.instance === undefined ? LlmError.update(cause, { instance: RescueState.instance(this.state) }) : cause
    this.attempt.settle({ _tag: "Failed", error: named })
  }

  private parts(): Stream.Stream<Part.Part, LlmError.LlmError> {
    return Stream.fromChannel(
      Channel.fromTransform((_: Pull.Pull<unknown, unknown, unknown>, scope) =>
        Effect.suspend((): Effect.Effect<Llm.Source> => {
          if (this.used) return Effect.succeed(Effect.suspend(() => this.refuse()))
          this.used = true
          return Effect.as(
            Scope.addFinalizer(
              scope,
              Effect.sync(() => void this.attempt.settle({ _tag: "Cancelled" }))
            ),
            this.next
          )
        })
      )
    )
  }

  private readonly next: Llm.Source = Effect.suspend(() => {
    const outcome = this.attempt.outcome()
    if (outcome?._tag === "Completed") return Cause.done()
    if (outcome !== undefined) return this.refuse()
    if (this.broken !== undefined) return this.rescue(this.broken)
    return Effect.matchCauseEffect(this.source ?? this.opened, {
      onSuccess: (batch) => this.deliver(batch),
      onFailure: (cause) => this.failed(cause)
    })
  })

  private readonly opened: Llm.Source = Effect.suspend(() =>
    Effect.flatMap(Channel.toPullScoped(this.current.parts.channel, this.scope), (source) => {
      this.source = source
      return source
    })
  )

  private deliver(batch: ReadonlyArray<Part.Part>): Llm.Source {
    const parts = RescueState.take(this.state, batch)
    if (parts === "diverged") return this.giveUp()
    const last = parts[parts.length - 1]
    if (last === undefined) return this.next
    if (last.type === "finish") this.attempt.settle({ _tag: "Completed", usage: RescueState.usageOf(last) })
    return Effect.succeed(parts as readonly [Part.Part, ...Array<Part.Part>])
  }

  private failed(cause: Cause.Cause<LlmError.LlmError | Cause.Done<void>>): Llm.Source {
    const failure = cause.reasons.find(Cause.isFailReason)
    if (failure === undefined || Cause.isDone(failure.error)) return this.ended(cause)
    const error = failure.error
    if (!RescueState.canRescue(this.state, error.reason)) {
      if (error.reason._tag === "Cancelled") this.attempt.settle({ _tag: "Cancelled" })
      else this.fail(error)
      return this.refuse()
    }
    this.first ??= error
    this.broken = error
    return this.rescue(error)
  }

  /** A defect is raised as it is. A reply that ends without a finish part does not keep the contract. */
  private ended(cause: Cause.Cause<LlmError.LlmError | Cause.Done<void>>): Llm.Source {
    if (!cause.reasons.some(Cause.isFailReason))
      return Effect.failCause(Attempt.settleCause(this.attempt, cause as Cause.Cause<LlmError.LlmError>))
    return this.failed(
      Cause.fail(LlmError.make({ reason: { _tag: "MalformedOutput" }, detail: "the answer ended without a finish" }))
    )
  }

  /** Closes what has broken, then asks by one policy after another. */
  private rescue(error: LlmError.LlmError): Llm.Source {
    this.unread?.interruptUnsafe()
    this.unread = undefined
    const tried = new Set<RescueState.Mode>()
    const ask = (policy: number): Llm.Source => {
      const name = this.options.policies[policy]
      if (name === undefined || name === "fail") return this.giveUp()
      const plan = RescueState.plan(this.state, this.request, name)
      if (tried.has(plan.mode)) return ask(policy + 1)
      tried.add(plan.mode)
      const scope = Scope.forkUnsafe(this.attempt.scope)
      const asked = this.attempt.run(Scope.provide(this.options.again(plan.request, error, plan.mode), scope))
      return Effect.matchCauseEffect(
        Effect.onExit(asked, (exit) => (Exit.isSuccess(exit) ? Effect.void : Scope.close(scope, exit))),
        {
          onSuccess: (reply) => {
            this.adopt(reply, plan, scope)
            return this.next
          },
          onFailure: (cause) => {
            if (this.attempt.outcome() !== undefined) return this.refuse()
            return cause.reasons.some(Cause.isFailReason)
              ? ask(policy + 1)
              : Effect.failCause(Attempt.settleCause(this.attempt, cause))
          }
        }
      )
    }
    this.current.attempt.settle({ _tag: "Failed", error })
    return Effect.andThen(
      Scope.close(this.scope, Exit.void),
      Effect.suspend(() => ask(0))
    )
  }

  private adopt(reply: Reply, plan: RescueState.Plan, scope: Scope.Closeable): void {
    // The route has grown since the last seam, so its size is a number of this seam's own.
    RescueState.goOn(this.state, plan, reply.instance, this.request.recorder.size(), this.spent())
    this.current = reply
    this.scope = scope
    this.source = undefined
    this.broken = undefined
    this.watch(reply)
  }

  /** What the answers used that broke after they had given output. */
  private spent(): Usage.Usage | undefined {
    let sum: Usage.Usage | undefined
    for (const entry of this.request.recorder.snapshot(this.clock.currentTimeMillisUnsafe())) {
      if (entry.outcome !== "failed" || entry.usage === undefined) continue
      sum = sum === undefined ? entry.usage : Usage.add(sum, entry.usage)
    }
    return sum
  }

  /** Ends the reply with its first cause. */
  private giveUp(): Llm.Source {
    if (this.first !== undefined) this.fail(this.first)
    return this.refuse()
  }

  /** The failure that the end of this reply means, with what was delivered and the route behind it. */
  private refuse(): Effect.Effect<never, LlmError.LlmError> {
    const error = Attempt.errorOf(this.attempt.outcome() ?? { _tag: "Cancelled" })
    return Effect.fail(
      LlmError.update(error, {
        instance: error.instance ?? RescueState.instance(this.state),
        route: this.request.recorder.snapshot(this.clock.currentTimeMillisUnsafe()),
        delivered: RescueState.text(this.state)
      })
    )
  }
}
