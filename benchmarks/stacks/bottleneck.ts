/**
 * bottleneck 2: limiter with a queue, a reservoir a minute, a time limit a job, and retries by its `failed` event. It
 * has no breaker. It starts every job from a timer, so one request at a time takes a millisecond or more.
 */
import Bottleneck from "bottleneck"
import * as Op from "./operation.ts"

export const make = (
  operation: Op.Operation,
  options: { readonly slots?: number; readonly queue?: number; readonly timeout?: number } = {}
) => {
  const limiter = new Bottleneck({
    maxConcurrent: options.slots ?? Op.slots,
    highWater: options.queue ?? Op.queue,
    strategy: Bottleneck.strategy.OVERFLOW,
    reservoir: Op.plenty,
    reservoirRefreshAmount: Op.plenty,
    reservoirRefreshInterval: 60_000
  })
  limiter.on("failed", async (error, { retryCount }) =>
    error instanceof Op.Down && retryCount < 2 ? 500 * 2 ** retryCount : undefined
  )
  return { request: () => limiter.schedule({ expiration: options.timeout ?? Op.timeout }, operation) }
}

export const isFull = (error: unknown): boolean => error instanceof Bottleneck.BottleneckError
