/**
 * One attempt: one request sent to one instance, with one scope and one end.
 *
 * The attempt owns a fork of the caller's `Scope`. Whatever is done for it — the connection, its readers, the
 * clocks — lives in that scope. Its end is recorded once, as an `Outcome`; hooks hear of it synchronously, and
 * the scope closes behind it without anyone waiting. The scope's own exit is never read: a scope closes with
 * success on a stream nobody read.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type * as Clocks from "./Clocks.ts"
import * as LlmError from "./LlmError.ts"
import type * as ReportedLimit from "./ReportedLimit.ts"
import type * as Usage from "./Usage.ts"
import * as Watchdog from "./Watchdog.ts"

/**
 * How an attempt ended.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome =
  | { readonly _tag: "Completed"; readonly usage: Usage.Usage }
  | { readonly _tag: "Failed"; readonly error: LlmError.LlmError }
  | { readonly _tag: "Cancelled" }

/**
 * An attempt under way.
 *
 * @since 0.1.0
 * @category models
 */
export interface Attempt {
  /** What a provider may be told of the trace that it belongs to; `undefined` without one. */
  traceparent: string | undefined
  /** Where everything belongs that is done for this attempt. */
  readonly scope: Scope.Scope
  /** How it ended; `undefined` while it lasts. */
  readonly outcome: () => Outcome | undefined
  readonly isCommitted: () => boolean
  /** Runs `f` at commit, at once when that has been. Hooks are synchronous and must not throw. */
  readonly onCommit: (f: () => void) => void
  /** Runs `f` when the attempt ends, at once when it has. Hooks are synchronous and must not throw. */
  readonly onSettle: (f: (outcome: Outcome) => void) => void
  /** Ends the attempt. Only the first call counts; tells whether this was it. */
  readonly settle: (outcome: Outcome) => boolean
  /** Marks commit. */
  readonly commit: () => void
  /** Starts the clocks; only the first call counts. An instance starts those of the attempt it joins. */
  readonly start: (options: Options) => void
  /** Marks a provider event, for the idle clock. Pings count, comments do not. */
  readonly touch: () => void
  /** Marks the first output. */
  readonly firstOutput: () => void
  /**
   * Runs `f` at the first output, at once when that has been. It comes before commit when the reply commits at its
   * finish; a buffered reply has its first output when it is whole. Hooks are synchronous and must not throw.
   */
  readonly onFirstOutput: (f: () => void) => void
  /** Tells what the provider's headers said of its limits. */
  readonly report: (report: ReportedLimit.Report) => void
  /** Runs `f` for every report from now on. Hooks are synchronous and must not throw. */
  readonly onReport: (f: (report: ReportedLimit.Report) => void) => void
  /**
   * Runs an effect for this attempt in a fiber of its own. It ends as the effect does, or as the attempt does
   * when that is settled first: whatever the effect waits for, closing the attempt ends the wait.
   */
  readonly run: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E | LlmError.LlmError, R>
}

/**
 * The error that an outcome raises for whoever still waits.
 *
 * @since 0.1.0
 * @category getters
 */
export const errorOf = (outcome: Outcome): LlmError.LlmError =>
  outcome._tag === "Failed"
    ? outcome.error
    : LlmError.make({
        reason: { _tag: "Cancelled" },
        detail:
          outcome._tag === "Completed"
            ? "the reply was already read; its parts can be run once"
            : "the reply's scope has closed"
      })

/**
 * Options of `open`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Who is asked, for errors that a clock raises. */
  readonly instance?: string | undefined
  /** The clocks to run; none when absent. */
  readonly clocks?: Clocks.Clocks | undefined
  readonly deadline?: number | undefined
  readonly firstOutputBy?: number | undefined
  /** Whether first output can be told from the end of the reply. */
  readonly streaming?: boolean | undefined
}

/**
 * The clocks that a request sets for an attempt.
 *
 * @since 0.1.0
 * @category getters
 */
export const optionsOf = (
  request: {
    readonly clocks: Clocks.Clocks
    readonly deadline: number | undefined
    readonly firstOutputBy: number | undefined
    readonly stream: boolean
  },
  instance: string
): Options => ({
  instance,
  clocks: request.clocks,
  deadline: request.deadline,
  firstOutputBy: request.firstOutputBy,
  streaming: request.stream
})

/** What a finalizer gives that has nothing left to do. */
const done = Effect.void

class Live implements Attempt {
  readonly scope: Scope.Closeable
  traceparent: string | undefined = undefined
  private readonly clock: Clock.Clock
  private readonly context: Context.Context<never>
  private watch: Watchdog.State | undefined = undefined
  private instance: string | undefined = undefined
  private ended: Outcome | undefined = undefined
  private committed = false
  private commitHooks: Array<() => void> = []
  private settleHooks: Array<(outcome: Outcome) => void> = []
  private hasOutput = false
  private outputHooks: Array<() => void> = []
  private reportHooks: Array<(report: ReportedLimit.Report) => void> = []
  private waiters = new Set<(error: LlmError.LlmError) => void>()

  constructor(scope: Scope.Closeable, context: Context.Context<never>, clock: Clock.Clock) {
    this.scope = scope
    this.context = context
    this.clock = clock
  }

  readonly start = (options: Options): void => {
    if (this.watch !== undefined || options.clocks === undefined || this.ended !== undefined) return
    this.instance = options.instance
    this.watch = Watchdog.start(options.clocks, this.clock.currentTimeMillisUnsafe(), {
      deadline: options.deadline,
      firstOutputBy: options.firstOutputBy,
      streaming: options.streaming ?? true
    })
    const fiber = Effect.runForkWith(this.context)(this.guard)
    this.onSettle(() => fiber.interruptUnsafe())
  }

  /** Goes on as another attempt does, whose clocks run instead of these. */
  follow(inner: Attempt): void {
    this.watch = undefined
    inner.onFirstOutput(() => this.firstOutput())
    inner.onCommit(() => this.commit())
    inner.onSettle((outcome) => void this.settle(outcome))
  }

  readonly outcome = () => this.ended
  readonly isCommitted = () => this.committed

  readonly onCommit = (f: () => void): void => {
    if (this.committed) f()
    else if (this.ended === undefined) this.commitHooks.push(f)
  }

  readonly onSettle = (f: (outcome: Outcome) => void): void => {
    if (this.ended === undefined) this.settleHooks.push(f)
    else f(this.ended)
  }

  readonly commit = (): void => {
    if (this.committed || this.ended !== undefined) return
    this.committed = true
    if (this.watch !== undefined) Watchdog.committed(this.watch, this.clock.currentTimeMillisUnsafe())
    const hooks = this.commitHooks
    this.commitHooks = []
    for (const hook of hooks) hook()
  }

  readonly settle = (proposed: Outcome): boolean => {
    if (this.ended !== undefined) return false
    // Only the caller closes the scope of an unsettled attempt. What fails because of that was cancelled.
    const outcome: Outcome = this.scope.state._tag === "Closed" ? { _tag: "Cancelled" } : proposed
    this.ended = outcome
    const hooks = this.settleHooks
    this.settleHooks = []
    this.commitHooks = []
    this.outputHooks = []
    for (const hook of hooks) hook(outcome)
    // Closing aborts what can be aborted at once; what ends slowly is left behind, or a loser would delay
    // the winner.
    const closing = Scope.closeUnsafe(this.scope, Exit.void)
    if (closing !== undefined && closing !== done) Effect.runForkWith(this.context)(closing)
    const error = this.waiters.size === 0 ? undefined : errorOf(outcome)
    const waiters = [...this.waiters]
    this.waiters.clear()
    if (error !== undefined) for (const waiter of waiters) waiter(error)
    return true
  }

  readonly touch = (): void => {
    if (this.watch !== undefined) Watchdog.touched(this.watch, this.clock.currentTimeMillisUnsafe())
  }

  readonly firstOutput = (): void => {
    if (this.hasOutput || this.ended !== undefined) return
    this.hasOutput = true
    if (this.watch !== undefined) Watchdog.output(this.watch)
    const hooks = this.outputHooks
    this.outputHooks = []
    for (const hook of hooks) hook()
  }

  readonly onFirstOutput = (f: () => void): void => {
    if (this.hasOutput) f()
    else if (this.ended === undefined) this.outputHooks.push(f)
  }

  readonly report = (report: ReportedLimit.Report): void => {
    for (const hook of this.reportHooks) hook(report)
  }

  readonly onReport = (f: (report: ReportedLimit.Report) => void): void => {
    this.reportHooks.push(f)
  }

  readonly run = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | LlmError.LlmError, R> =>
    Effect.withFiber((consumer) => {
      if (this.ended !== undefined) return Effect.fail(errorOf(this.ended))
      this.pulling(true)
      const fiber = Effect.runForkWith(consumer.context as Context.Context<R>)(effect)
      const done = fiber.pollUnsafe()
      if (done !== undefined) {
        this.pulling(false)
        // A clock may have run out in the very call that succeeded.
        return this.ended !== undefined && Exit.isSuccess(done) ? Effect.fail(errorOf(this.ended)) : done
      }
      // A clock may have run out while the effect was started.
      if (this.ended !== undefined) {
        fiber.interruptUnsafe()
        return Effect.fail(errorOf(this.ended))
      }
      return Effect.callback<A, E | LlmError.LlmError>((resume) => {
        const waiter = (error: LlmError.LlmError) => {
          unobserve()
          fiber.interruptUnsafe()
          resume(Effect.fail(error))
        }
        const unobserve = fiber.addObserver((exit) => {
          this.waiters.delete(waiter)
          this.pulling(false)
          resume(exit)
        })
        this.waiters.add(waiter)
        return Effect.sync(() => {
          this.waiters.delete(waiter)
          unobserve()
          this.pulling(false)
          fiber.interruptUnsafe()
        })
      })
    })

  private pulling(is: boolean): void {
    if (this.watch !== undefined) Watchdog.pulling(this.watch, is, this.clock.currentTimeMillisUnsafe())
  }

  /** The one timer of the attempt: it sleeps until a clock may have run out. */
  readonly guard: Effect.Effect<void> = Effect.suspend(() => {
    const watch = this.watch
    if (watch === undefined || this.ended !== undefined) return Effect.void
    const now = this.clock.currentTimeMillisUnsafe()
    const expired = Watchdog.expired(watch, now)
    if (expired !== undefined) {
      this.settle({ _tag: "Failed", error: LlmError.make({ ...expired, instance: this.instance }) })
      return Effect.void
    }
    const wait = Watchdog.wait(watch, now)
    return wait === undefined ? Effect.void : Effect.flatMap(Effect.sleep(Duration.millis(wait)), () => this.guard)
  })
}

/**
 * Opens an attempt in a fork of the caller's scope and runs `body` for it.
 *
 * **Details** When `body` fails or is interrupted, the attempt settles and its scope closes. When it succeeds,
 * the attempt lives on with the reply: it commits and ends as the reply's own attempt does, whose clocks run
 * instead of its own, or else ends with the caller's scope. An operator that may throw a success away (a race, a timeout) opens one of its own, so that the loser
 * dies with it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const open = <A extends { readonly attempt: Attempt }, R>(
  options: Options,
  body: (attempt: Attempt) => Effect.Effect<A, LlmError.LlmError, R>
): Effect.Effect<A, LlmError.LlmError, R | Scope.Scope> =>
  Effect.withFiber<A, LlmError.LlmError, R | Scope.Scope>((caller) => {
    const context = caller.context as Context.Context<R | Scope.Scope>
    const scope = Scope.forkUnsafe(Context.get(context, Scope.Scope))
    const clock = Context.get(context, Clock.Clock)
    const within = Context.add(context, Scope.Scope, scope)
    const attempt = new Live(scope, within as Context.Context<never>, clock)
    // It is over in the call that closes, so that an attempt that holds nothing else is closed without a fiber.
    const attach = Scope.addFinalizerExit(scope, () => {
      attempt.settle({ _tag: "Cancelled" })
      return done
    })
    const answer = Effect.matchCauseEffect(
      attempt.run(
        Effect.provideContext(
          Effect.suspend(() => body(attempt)),
          within as Context.Context<R>
        )
      ),
      {
        onSuccess: (reply) => {
          if (reply.attempt !== attempt) attempt.follow(reply.attempt)
          return Effect.succeed(reply)
        },
        onFailure: (cause) => Effect.failCause(settleCause(attempt, cause))
      }
    )
    return Effect.onInterrupt(
      Effect.andThen(
        attach,
        Effect.suspend(() => {
          attempt.start(options)
          return answer
        })
      ),
      () => Effect.sync(() => void attempt.settle({ _tag: "Cancelled" }))
    )
  })

/**
 * Settles an attempt by the cause that ended it, and gives the cause to raise. An interruption from elsewhere
 * than the caller becomes `Cancelled`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const settleCause = (
  attempt: Attempt,
  cause: Cause.Cause<LlmError.LlmError>
): Cause.Cause<LlmError.LlmError> => {
  const failure = cause.reasons.find(Cause.isFailReason)
  if (failure !== undefined) {
    attempt.settle(
      failure.error.reason._tag === "Cancelled" ? { _tag: "Cancelled" } : { _tag: "Failed", error: failure.error }
    )
    return cause
  }
  if (Cause.hasInterruptsOnly(cause)) {
    attempt.settle({ _tag: "Cancelled" })
    return Cause.fail(errorOf({ _tag: "Cancelled" }))
  }
  attempt.settle({
    _tag: "Failed",
    error: LlmError.make({ reason: { _tag: "Unknown" }, detail: "a defect in the adapter" })
  })
  return cause
}
