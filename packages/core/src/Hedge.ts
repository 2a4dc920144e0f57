/**
 * A second request beside a slow first one; the first output wins, and the loser is aborted.
 *
 * `HedgeState` says after how long and how often. Here the two are raced, each in a scope of its own.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type * as Attempt from "./Attempt.ts"
import * as FailureClass from "./FailureClass.ts"
import * as HedgeState from "./HedgeState.ts"
import type * as LlmError from "./LlmError.ts"

/**
 * Options of `race`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<A extends { readonly attempt: Attempt.Attempt }, R> {
  /** Milliseconds after which `backup` is asked; `undefined` for a request that is not hedged. */
  readonly delay: number | undefined
  readonly primary: Effect.Effect<A, LlmError.LlmError, R>
  /** Called once, when the delay has passed without an answer; `undefined` when nobody is to be asked. */
  readonly backup: () => Effect.Effect<A, LlmError.LlmError, R> | undefined
}

/**
 * Races a call against a second one that starts when the first is late.
 *
 * **Details** The first to succeed wins; of two in the same moment the one that came first. The loser is aborted
 * before the answer is given: its fiber is interrupted, its attempt settles as cancelled and its scope closes,
 * and nobody waits for what ends slowly. The winner's scope stays in the caller's until the reply has ended.
 *
 * A failure of the first call is raised at once while nobody else is asked, otherwise when the second has failed,
 * too: the second call only ever makes things better. One that no other instance may mend, such as an invalid
 * request or a refusal, ends both.
 *
 * **Errors** The error of `primary`, also when both failed. Defects of either are raised at once.
 *
 * @example
 * ```ts
 * import * as Hedge from "@echelon/core/Hedge"
 * import { LlmRequest } from "@echelon/core"
 * import { ScriptedLlm } from "@echelon/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const slow = yield* ScriptedLlm.make({ id: "slow", script: [ScriptedLlm.never] })
 *   const quick = yield* ScriptedLlm.make({ id: "quick", script: ScriptedLlm.text("hello") })
 *   const request = yield* LlmRequest.make({ prompt: "hi" }, { stream: true, commit: "first_output" })
 *   yield* Hedge.race({ delay: 20, primary: slow.llm.call(request), backup: () => quick.llm.call(request) })
 *   console.assert(slow.open() === 0 && quick.open() === 1)
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const race = <A extends { readonly attempt: Attempt.Attempt }, R>(
  options: Options<A, R>
): Effect.Effect<A, LlmError.LlmError, R | Scope.Scope> => {
  const { delay, primary } = options
  if (delay === undefined) return primary
  if (!(delay >= 0)) throw new RangeError(`Hedge.race: delay must be from 0, got ${delay}`)
  return Effect.withFiber((caller) =>
    Effect.callback((resume) => new Race({ ...options, delay }, caller.context as Context.Context<R>, resume).run())
  )
}

/**
 * Lets an attempt tell the state how long its first output took, or that it waited for one in vain.
 *
 * **Details** For the first request of every race, and for requests that are not hedged; called when the attempt
 * starts. `isStreamed` says whether a first output can be told from the end of the reply.
 *
 * @since 0.1.0
 * @category combinators
 */
export const observe = (
  state: HedgeState.State,
  attempt: Attempt.Attempt,
  clock: Clock.Clock,
  isStreamed: boolean
): void => {
  const startedAt = clock.currentTimeMillisUnsafe()
  let hasOutput = false
  attempt.onFirstOutput(() => {
    hasOutput = true
    const now = clock.currentTimeMillisUnsafe()
    HedgeState.observe(state, isStreamed, now - startedAt, now)
  })
  attempt.onSettle((outcome) => {
    if (hasOutput || outcome._tag === "Completed") return
    // Any other failure is an answer, if not the wanted one: it tells nothing of slowness.
    if (outcome._tag === "Failed" && outcome.error.reason._tag !== "Timeout") return
    const now = clock.currentTimeMillisUnsafe()
    HedgeState.observeAtLeast(state, isStreamed, now - startedAt, now)
  })
}

/** Failures that say only that something was not asked: what was may still answer. */
const unasked: ReadonlySet<LlmError.ReasonTag> = new Set(["QueueFull", "NoCapacity", "BudgetExhausted"])

/** One of the two calls: the fiber that waits for it, and the scope it lives in. */
interface Runner<A> {
  fiber: Fiber.Fiber<A | undefined, LlmError.LlmError> | undefined
  scope: Scope.Closeable | undefined
}

class Race<A extends { readonly attempt: Attempt.Attempt }, R> {
  private readonly options: Options<A, R> & { readonly delay: number }
  private readonly context: Context.Context<R>
  private readonly resume: (end: Effect.Effect<A, LlmError.LlmError>) => void
  private readonly primary: Runner<A> = { fiber: undefined, scope: undefined }
  private readonly backup: Runner<A> = { fiber: undefined, scope: undefined }
  private isDecided = false
  private isBackupOut = false
  /** How the primary failed, while the backup may still succeed. */
  private cause: Cause.Cause<LlmError.LlmError> | undefined

  constructor(
    options: Options<A, R> & { readonly delay: number },
    context: Context.Context<R>,
    resume: (end: Effect.Effect<A, LlmError.LlmError>) => void
  ) {
    this.options = options
    this.context = context
    this.resume = resume
  }

  /** Starts both, and gives what ends both when the caller is interrupted. */
  run(): Effect.Effect<void> {
    const { delay, primary } = this.options
    this.start(this.primary, primary, this.within(this.primary))
    if (!this.isDecided) {
      const clock = Context.get(this.context as Context.Context<never>, Clock.Clock)
      this.start(this.backup, Effect.flatMap(clock.sleep(Duration.millis(delay)), this.later), this.context)
    }
    return Effect.sync(() => this.end())
  }

  private start(
    runner: Runner<A>,
    effect: Effect.Effect<A | undefined, LlmError.LlmError, R>,
    context: Context.Context<R>
  ): void {
    const fiber = Effect.runForkWith(context)(effect)
    runner.fiber = fiber
    // What it did at once may have decided the race before there was a fiber to end.
    if (this.isDecided) fiber.interruptUnsafe()
    // One that answers nevertheless, since it could not be interrupted, finds its scope closed.
    fiber.addObserver((exit) => {
      if (!this.isDecided) this.ended(runner, exit)
    })
  }

  /** Gives a call a fork of the caller's scope. */
  private within(runner: Runner<A>): Context.Context<R> {
    runner.scope = Scope.forkUnsafe(Context.get(this.context as Context.Context<R | Scope.Scope>, Scope.Scope))
    return Context.add(this.context, Scope.Scope, runner.scope)
  }

  private readonly later = (): Effect.Effect<A | undefined, LlmError.LlmError> => {
    this.isBackupOut = true
    const call = this.options.backup()
    return call === undefined || this.isDecided
      ? Effect.undefined
      : Effect.provideContext(call, this.within(this.backup))
  }

  private ended(runner: Runner<A>, exit: Exit.Exit<A | undefined, LlmError.LlmError>): void {
    if (Exit.isSuccess(exit)) {
      if (exit.value !== undefined) this.won(runner, exit.value)
      else this.failed(runner, undefined)
    } else if (exit.cause.reasons.every(Cause.isFailReason)) this.failed(runner, exit.cause)
    // A defect, or an interruption of its own making.
    else this.decide(Effect.failCause(exit.cause))
  }

  /** Raises the primary's failure, once the backup is no hope. */
  private failed(runner: Runner<A>, cause: Cause.Cause<LlmError.LlmError> | undefined): void {
    this.close(runner)
    if (runner === this.primary) this.cause = cause
    else this.isBackupOut = false
    if (this.cause !== undefined && (!this.isBackupOut || endsBoth(this.cause)))
      this.decide(Effect.failCause(this.cause))
  }

  private won(runner: Runner<A>, reply: A): void {
    // A scope that serves many calls must not keep those that have ended.
    reply.attempt.onSettle(() => this.close(runner))
    this.decide(Effect.succeed(reply), runner)
  }

  private decide(end: Effect.Effect<A, LlmError.LlmError>, winner?: Runner<A>): void {
    this.end(winner)
    this.resume(end)
  }

  /** Ends whoever has not won. */
  private end(winner?: Runner<A>): void {
    this.isDecided = true
    for (const runner of [this.primary, this.backup]) {
      if (runner === winner) continue
      runner.fiber?.interruptUnsafe()
      this.close(runner)
    }
  }

  /** Closes what a call holds. What ends slowly is left behind. */
  private close(runner: Runner<A>): void {
    const closing = runner.scope === undefined ? undefined : Scope.closeUnsafe(runner.scope, Exit.void)
    if (closing !== undefined) Effect.runForkWith(this.context)(closing)
  }
}

/** Whether no other instance may answer after this failure either. */
const endsBoth = (cause: Cause.Cause<LlmError.LlmError>): boolean => {
  const reason = cause.reasons.find(Cause.isFailReason)?.error.reason
  return reason === undefined || (FailureClass.of(reason).otherInstance === "no" && !unasked.has(reason._tag))
}
