/**
 * What runs, so that an end can wait for it, and then put an end to it.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Attempt from "./Attempt.ts"
import type * as LlmError from "./LlmError.ts"
import type * as LlmReply from "./LlmReply.ts"

/**
 * `open` admits requests, `draining` lets those that run end, `closed` has ended them.
 *
 * @since 0.1.0
 * @category models
 */
export type Phase = "open" | "draining" | "closed"

/**
 * The requests and attempts of a running plan.
 *
 * @since 0.1.0
 * @category models
 */
export class Lifecycle {
  phase: Phase = "open"
  private requests = 0
  private readonly waiting = new Set<() => void>()
  private readonly attempts = new Set<Attempt.Attempt>()
  private readonly closing = Deferred.makeUnsafe<void>()

  /** Requests that are answered now. */
  inFlight(): number {
    return this.requests
  }

  /** Counts a request until its reply has ended, or there will be none. */
  counted<R>(
    call: Effect.Effect<LlmReply.LlmReply, LlmError.LlmError, R>
  ): Effect.Effect<LlmReply.LlmReply, LlmError.LlmError, R> {
    return Effect.suspend(() => {
      this.requests += 1
      return Effect.onExit(call, (exit) =>
        Effect.sync(() => {
          if (Exit.isSuccess(exit)) exit.value.attempt.onSettle(this.ended)
          else this.ended()
        })
      )
    })
  }

  /** Lets an attempt be ended when its time is over. */
  track(attempt: Attempt.Attempt): void {
    this.attempts.add(attempt)
    attempt.onSettle(() => void this.attempts.delete(attempt))
  }

  /** Waits until no request is answered. */
  readonly idle: Effect.Effect<void> = Effect.callback((resume) => {
    if (this.requests === 0) return resume(Effect.void)
    const wake = () => resume(Effect.void)
    this.waiting.add(wake)
    return Effect.sync(() => void this.waiting.delete(wake))
  })

  /** Waits until all has been ended. */
  readonly closed: Effect.Effect<void> = Deferred.await(this.closing)

  /** Ends what still runs, and what waits to run again. */
  endAll(outcome: () => Attempt.Outcome): void {
    this.phase = "closed"
    for (const attempt of [...this.attempts]) attempt.settle(outcome())
    Deferred.doneUnsafe(this.closing, Effect.void)
  }

  private readonly ended = (): void => {
    this.requests -= 1
    if (this.requests > 0) return
    for (const wake of this.waiting) wake()
    this.waiting.clear()
  }
}
