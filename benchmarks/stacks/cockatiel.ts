/**
 * cockatiel 4: bulkhead > retry > breaker > timeout, composed by `wrap` as its documentation does. The bulkhead is
 * outermost, so that a request takes one slot whatever its retries, as Echelon's queue does.
 */
import {
  BrokenCircuitError,
  BulkheadRejectedError,
  bulkhead,
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
  handleType,
  retry,
  TimeoutStrategy,
  timeout,
  wrap
} from "cockatiel"
import * as Op from "./operation.ts"

export const make = (
  operation: Op.Operation,
  options: {
    readonly slots?: number
    readonly queue?: number
    /** Milliseconds. @default 30_000 */
    readonly timeout?: number
    /** Puts a timeout outside the bulkhead too: only then is waiting bounded in time. */
    readonly withDeadline?: boolean
  } = {}
) => {
  const { queue = Op.queue, slots = Op.slots, timeout: limit = Op.timeout, withDeadline = false } = options
  const down = handleType(Op.Down)
  const queued = bulkhead(slots, queue)
  const retried = retry(down, { maxAttempts: 2, backoff: new ExponentialBackoff() })
  const broken = circuitBreaker(down, { halfOpenAfter: 3_600_000, breaker: new ConsecutiveBreaker(5) })
  const timed = timeout(limit, TimeoutStrategy.Aggressive)
  const policy = withDeadline
    ? wrap(timeout(limit, TimeoutStrategy.Aggressive), queued, retried, broken, timed)
    : wrap(queued, retried, broken, timed)
  return {
    request: () => policy.execute(() => operation()),
    trip: async () => {
      for (let i = 0; i < 5; i++) await broken.execute(() => Promise.reject(new Op.Down())).catch(() => {})
    }
  }
}

export const isBroken = (error: unknown): boolean => error instanceof BrokenCircuitError
export const isFull = (error: unknown): boolean => error instanceof BulkheadRejectedError
