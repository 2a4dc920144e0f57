/** opossum 10: breaker with timeout and capacity. It has no retry and no queue. */
import CircuitBreaker from "opossum"
import * as Op from "./operation.ts"

export const make = (
  operation: Op.Operation,
  options: { readonly slots?: number; readonly timeout?: number; readonly neverOpens?: boolean } = {}
) => {
  const breaker = new CircuitBreaker(operation, {
    timeout: options.timeout ?? Op.timeout,
    capacity: options.slots ?? Op.slots,
    errorThresholdPercentage: 50,
    resetTimeout: 3_600_000,
    // A request without capacity counts as a failure: rejecting for want of it opens the circuit.
    volumeThreshold: options.neverOpens === true ? Number.MAX_SAFE_INTEGER : 0
  })
  return { request: () => breaker.fire(), trip: () => breaker.open() }
}

const hasCode = (code: string) => (error: unknown) => error instanceof Error && "code" in error && error.code === code

export const isBroken = hasCode("EOPENBREAKER")
export const isFull = hasCode("ESEMLOCKED")
