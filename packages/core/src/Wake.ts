/**
 * Wakes a fiber from the way of a request: what it does then is done later, never within the call that woke it, as a
 * `Latch` that is opened unsafely would have it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Scheduler from "effect/Scheduler"

/**
 * A bell.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wake {
  /** Rings. Whoever waits, or is the next to wait, goes on. */
  readonly ring: () => void
  /** Takes a ring back. */
  readonly clear: () => void
  /** Waits for a ring, and leaves it. */
  readonly rung: Effect.Effect<void>
}

/**
 * Makes a bell. It takes the scheduler of where it is made.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Wake> = Effect.map(Scheduler.Scheduler, (scheduler) => {
  const dispatcher = scheduler.makeDispatcher()
  const latch = Latch.makeUnsafe(false)
  let isRinging = false
  const open = (): void => {
    if (isRinging) latch.openUnsafe()
  }
  return {
    ring: () => {
      if (isRinging) return
      isRinging = true
      dispatcher.scheduleTask(open, 0)
    },
    clear: () => {
      isRinging = false
      latch.closeUnsafe()
    },
    rung: latch.await
  }
})
