/**
 * Admits requests to an `Llm` through a queue, and lets them wait there for capacity to come back.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { dual } from "effect/Function"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import type * as AdmissionQueue from "./AdmissionQueue.ts"
import type * as Llm from "./Llm.ts"
import * as LlmError from "./LlmError.ts"
import type * as LlmReply from "./LlmReply.ts"
import type * as LlmRequest from "./LlmRequest.ts"

/** How long a request without a deadline may wait for capacity to come back, in all, in milliseconds. */
const patience = 60_000

/** The shortest wait before capacity is looked for again, in milliseconds. */
const leastPark = 10

/**
 * When to look for capacity again: not before the time named, and spread upwards over a tenth of the wait, 1 s at
 * most, so that those told the same time do not come back as one. `undefined` when there is no time for it.
 */
const lookAgainAt = (retryAt: number, now: number, end: number, random: () => number): number | undefined => {
  const from = Math.max(retryAt, now + leastPark)
  if (from >= end) return undefined
  // Whole milliseconds: a sum of fractions may end before its time.
  return from + Math.floor(random() * Math.min(1_000, (from - now) / 10, (end - from) / 2))
}

type Answer = Effect.Effect<LlmReply.LlmReply, LlmError.LlmError, Scope.Scope>

/**
 * Calls while it holds a slot, in a fork of the caller's scope. A success that is thrown away by an interruption
 * ends with the fork, so that no reply streams on without a slot. Nothing waits for the fork to close.
 */
const held = (
  slot: AdmissionQueue.Slot,
  call: (scope: Scope.Scope) => Effect.Effect<LlmReply.LlmReply, LlmError.LlmError>
): Answer =>
  Effect.withFiber<LlmReply.LlmReply, LlmError.LlmError, Scope.Scope>((caller) => {
    const context = caller.context as Context.Context<Scope.Scope>
    const scope = Scope.forkUnsafe(Context.get(context, Scope.Scope))
    const end = () => {
      slot.release()
      const closing = Scope.closeUnsafe(scope, Exit.void)
      if (closing !== undefined) Effect.runForkWith(context)(closing)
    }
    return Effect.matchCauseEffect(call(scope), {
      onSuccess: (reply) => {
        reply.attempt.onSettle(end)
        return Effect.succeed(reply)
      },
      onFailure: (cause) => {
        end()
        return Effect.failCause(cause)
      }
    })
  })

/** Tells who watches a request how long it waited, however that ended. */
const timed = <A, E>({ observation }: LlmRequest.LlmRequest, admission: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  observation === undefined
    ? admission
    : Effect.suspend(() => {
        const since = observation.now()
        return Effect.onExit(admission, () => Effect.sync(() => observation.waited(since)))
      })

/**
 * Admits requests to an `Llm` through a queue.
 *
 * **Details** A request waits without a scope or a fiber of its own. Once admitted it runs in a fork of the
 * caller's scope, and its slot is free when the reply's attempt has ended: with the parts, not at commit.
 *
 * When the `Llm` says `NoCapacity` and from when on there will be some, the request gives its slot back, waits in
 * the queue until then and tries again, as long as its deadline allows; without a deadline for 60 s in all.
 * Nothing was attempted, so nothing of the budget is spent.
 *
 * **Ordering** Below what sets the deadline, so that waiting counts against it; above all retries, so that a
 * request is admitted once.
 *
 * **Errors** Those of the queue. A request that finds no room to wait for capacity fails with the `NoCapacity`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withQueue: {
  (queue: AdmissionQueue.AdmissionQueue): (self: Llm.Llm) => Llm.Llm
  (self: Llm.Llm, queue: AdmissionQueue.AdmissionQueue): Llm.Llm
} = dual(
  2,
  (self: Llm.Llm, queue: AdmissionQueue.AdmissionQueue): Llm.Llm => ({
    id: self.id,
    capabilities: self.capabilities,
    call: (request) =>
      Effect.uninterruptibleMask((restore) => {
        const ask = (
          admission: Effect.Effect<AdmissionQueue.Slot, LlmError.LlmError>,
          until: number | undefined
        ): Answer =>
          Effect.flatMap(timed(request, admission), (slot) =>
            Effect.catch(
              held(slot, (scope) =>
                restore(
                  Scope.provide(
                    Effect.suspend(() => self.call(request)),
                    scope
                  )
                )
              ),
              (error) => park(error, until)
            )
          )
        const park = (error: LlmError.LlmError, until: number | undefined): Answer => {
          const retryAt = error.reason._tag === "NoCapacity" ? (error.reason.retryAt ?? error.retryAt) : undefined
          if (retryAt === undefined) return Effect.fail(error)
          return Effect.flatMap(Effect.all([Clock.currentTimeMillis, Random.Random]), ([now, random]) => {
            const end = request.deadline ?? until ?? now + patience
            const at = lookAgainAt(retryAt, now, end, () => random.nextDoubleUnsafe())
            if (at === undefined) return Effect.fail(error)
            const again = Effect.mapError(queue.admitAt(request, at), (refused) =>
              refused.reason._tag === "QueueFull"
                ? error
                : LlmError.update(refused, { detail: `${refused.detail}; before that ${error.message}`, retryAt })
            )
            return ask(again, end)
          })
        }
        return ask(queue.admit(request), undefined)
      })
  })
)
