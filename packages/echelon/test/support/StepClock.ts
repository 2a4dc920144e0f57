import { type Clock, Duration, Effect } from "effect"
import { TestClock } from "effect/testing"

/** When a test's time begins: a whole second, as HTTP dates have no parts of one. */
export const origin = Date.UTC(2026, 10, 23, 12)

/**
 * The test clock, and what sleeps on it. Over real sockets nobody can say when a program has come to rest; but whoever
 * waits for a time has registered it, so a test moves the clock to a time once somebody waits for it, and not before.
 * Times are milliseconds since `origin`.
 */
export interface StepClock {
  readonly now: () => number
  readonly set: (to: number) => Effect.Effect<void>
  /** Goes on to a time, once somebody waits for it or for a time before it, by way of each time waited for. */
  readonly advance: (to: number) => Effect.Effect<void>
  /** The times that somebody waits for. */
  readonly pending: () => ReadonlyArray<number>
  readonly until: (predicate: (pending: ReadonlyArray<number>) => boolean) => Effect.Effect<void>
  /** Runs with the machine's clock. */
  readonly live: <A>(effect: Effect.Effect<A>) => Effect.Effect<A>
  readonly clock: Clock.Clock
}

export const make: Effect.Effect<StepClock> = TestClock.testClockWith((test) =>
  Effect.gen(function* () {
    yield* test.setTime(origin)
    const sleeps = new Set<{ readonly until: number }>()
    const checks = new Set<() => void>()
    const now = () => test.currentTimeMillisUnsafe() - origin
    const pending = () => [...sleeps].map((one) => one.until)
    const changed = () => {
      for (const check of checks) check()
    }
    const clock: Clock.Clock = {
      currentTimeMillisUnsafe: () => test.currentTimeMillisUnsafe(),
      currentTimeMillis: test.currentTimeMillis,
      currentTimeNanosUnsafe: () => test.currentTimeNanosUnsafe(),
      currentTimeNanos: test.currentTimeNanos,
      monotonicTimeNanosUnsafe: () => test.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: test.monotonicTimeNanos,
      sleep: (duration) =>
        Effect.acquireUseRelease(
          Effect.sync(() => {
            const entry = { until: now() + Duration.toMillis(duration) }
            sleeps.add(entry)
            return entry
          }),
          () => Effect.andThen(Effect.sync(changed), test.sleep(duration)),
          (entry) =>
            Effect.sync(() => {
              sleeps.delete(entry)
              changed()
            })
        )
    }
    const until: StepClock["until"] = (predicate) =>
      Effect.callback<void>((resume) => {
        const check = () => {
          if (!predicate(pending())) return
          checks.delete(check)
          resume(Effect.void)
        }
        checks.add(check)
        check()
        return Effect.sync(() => checks.delete(check))
      })
    const set = (to: number) => test.setTime(origin + to)
    const advance = (to: number): Effect.Effect<void> =>
      Effect.suspend(() =>
        now() >= to
          ? Effect.void
          : Effect.andThen(
              until((pending) => pending.some((at) => at <= to)),
              Effect.suspend(() => Effect.andThen(set(Math.min(...pending())), advance(to)))
            )
      )
    return {
      now,
      set,
      advance,
      pending,
      live: (effect) => test.withLive(effect),
      until,
      clock
    }
  })
)
