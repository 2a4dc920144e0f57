/**
 * effect's own: semaphore > rate limiter > circuit breaker > retry > timeout, with the stores in memory. The order is
 * the one that its documentation asks for: retry and timeout inside the breaker.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as CircuitBreaker from "effect/persistence/CircuitBreaker"
import * as RateLimiter from "effect/persistence/RateLimiter"
import * as Schedule from "effect/Schedule"
import * as Semaphore from "effect/Semaphore"
import * as Op from "./operation.ts"

export interface Options {
  readonly slots?: number | undefined
  /** Requests a minute. */
  readonly limit?: number | undefined
  /** Who is over the limit waits, instead of failing. */
  readonly onExceeded?: "delay" | "fail" | undefined
  /** Milliseconds. @default 30_000 */
  readonly timeout?: number | undefined
  /** Puts a timeout outside the semaphore, so that waiting is bounded in time. */
  readonly withDeadline?: boolean | undefined
}

const isDown = (error: unknown): boolean => error instanceof Op.Down

export const make = async (operation: Op.Operation, options: Options = {}) => {
  const {
    limit = Op.plenty,
    onExceeded = "fail",
    slots = Op.slots,
    timeout = Op.timeout,
    withDeadline = false
  } = options
  const layer = Layer.mergeAll(
    Layer.provide(RateLimiter.layer, RateLimiter.layerStoreMemory),
    Layer.provide(
      CircuitBreaker.layer({ tripPolicy: CircuitBreaker.consecutive(5), openDuration: "1 hour" }),
      CircuitBreaker.layerStoreMemory()
    )
  )
  const context = await ManagedRuntime.make(layer).context()
  const breaker = Context.get(context, CircuitBreaker.CircuitBreaker)
  const limited = await Effect.runPromiseWith(context)(RateLimiter.makeWithRateLimiter)
  const semaphore = Semaphore.makeUnsafe(slots)
  const inner = Effect.tryPromise({ try: () => operation(), catch: (error) => error }).pipe(
    Effect.timeout(timeout),
    Effect.retry({ schedule: Schedule.jittered(Schedule.exponential("500 millis")), times: 2, while: isDown }),
    breaker.execute({ key: "provider" }),
    limited({ key: "provider", limit, window: "1 minute", algorithm: "token-bucket", onExceeded })
  )
  const queued = semaphore.withPermits(1)(inner)
  const request = withDeadline ? Effect.timeout(queued, timeout) : queued
  const down = breaker.execute({ key: "provider" })(Effect.fail(new Op.Down()))
  return {
    request,
    promise: () => Effect.runPromise(request),
    fork: () => Effect.runFork(request),
    trip: () => Effect.runPromise(Effect.forEach([1, 2, 3, 4, 5], () => Effect.ignore(down), { discard: true })),
    /** Fails at once when no slot is free. */
    ifFree: Effect.flatMap(semaphore.withPermitsIfAvailable(1)(inner), Effect.fromOption)
  }
}

export const isBroken = (error: unknown): boolean =>
  error instanceof CircuitBreaker.CircuitBreakerError && error.reason._tag === "CircuitOpen"
export const isLimited = (error: unknown): boolean => error instanceof RateLimiter.RateLimiterError
