/**
 * What requests came to in the last minute, as they are told of: bounded whatever comes in.
 *
 * @since 0.1.0
 */
import type * as Observation from "@echelon/core/Observation"
import type * as Reason from "@echelon/core/Reason"
import type * as Route from "@echelon/core/Route"
import { Quantiles } from "./Quantiles.ts"

/**
 * How an instance did. Times are milliseconds; shares 0 to 1; `undefined` without a sample.
 *
 * @since 0.1.0
 * @category models
 */
export interface InstanceRates {
  /** Attempts that ended in the window. */
  readonly attempts: number
  readonly perSecond: number
  readonly failedShare: number | undefined
  readonly ttft: Spread
  /** Of one stream. */
  readonly tokensPerSecond: number | undefined
  /** USD since the beginning; `undefined` when no price is known. */
  readonly cost: number | undefined
  /** Attempts since the beginning. */
  readonly answered: number
  readonly failed: number
  /** Why it failed last, since the beginning. */
  readonly lastReason: Reason.ReasonTag | undefined
}

/**
 * Half and nearly all are below these.
 *
 * @since 0.1.0
 * @category models
 */
export interface Spread {
  readonly p50: number | undefined
  readonly p95: number | undefined
}

/**
 * How requests to somebody did.
 *
 * @since 0.1.0
 * @category models
 */
export interface RequestRates {
  /** Requests that ended in the window. */
  readonly requests: number
  readonly perSecond: number
  readonly failedShare: number | undefined
  readonly ttft: Spread
  readonly total: Spread
  readonly queue: Spread
}

/**
 * What a provider was asked and costs, since the beginning.
 *
 * @since 0.1.0
 * @category models
 */
export interface ProviderCost {
  readonly provider: string
  readonly attempts: number
  readonly inputTokens: number
  readonly outputTokens: number
  /** USD; `undefined` when no price is known. */
  readonly cost: number | undefined
}

/**
 * Everything at a moment.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rates {
  readonly all: RequestRates
  /** USD since the beginning. */
  readonly cost: number
  readonly instances: ReadonlyMap<string, InstanceRates>
  readonly pools: ReadonlyMap<string, RequestRates>
  readonly wrappers: ReadonlyMap<string, RequestRates>
  /** The dearest first. */
  readonly providers: ReadonlyArray<ProviderCost>
}

/** The window, and the parts by which it slides, in milliseconds. */
const window = 60_000
const parts = 12
const width = window / parts

/** Names that are told apart. */
const most = 1_000
const other = "(other)"

/** One part of a window. */
class Part {
  epoch = Number.NaN
  count = 0
  failed = 0
  tokens = 0
  streamed = 0
  readonly ttft = new Quantiles()
  readonly total = new Quantiles()
  readonly queue = new Quantiles()

  begin(epoch: number): void {
    this.epoch = epoch
    this.count = 0
    this.failed = 0
    this.tokens = 0
    this.streamed = 0
    this.ttft.clear()
    this.total.clear()
    this.queue.clear()
  }
}

class Window {
  private readonly ring: Array<Part> = []

  at(now: number): Part {
    const epoch = Math.floor(now / width)
    const place = epoch % parts
    let part = this.ring[place]
    if (part === undefined) {
      part = new Part()
      this.ring[place] = part
    }
    if (part.epoch !== epoch) part.begin(epoch)
    return part
  }

  sum(now: number): Part {
    const sum = new Part()
    const latest = Math.floor(now / width)
    for (const part of this.ring) {
      if (part === undefined || !(latest - part.epoch < parts)) continue
      sum.count += part.count
      sum.failed += part.failed
      sum.tokens += part.tokens
      sum.streamed += part.streamed
      sum.ttft.merge(part.ttft)
      sum.total.merge(part.total)
      sum.queue.merge(part.queue)
    }
    return sum
  }
}

const spread = (times: Quantiles): Spread => ({ p50: times.at(0.5), p95: times.at(0.95) })

interface Instance {
  readonly window: Window
  answered: number
  failed: number
  cost: number | undefined
  lastReason: Reason.ReasonTag | undefined
}

interface Provider {
  attempts: number
  inputTokens: number
  outputTokens: number
  cost: number | undefined
}

/** The one of that name; beyond the bound, that of all others. */
const kept = <A>(all: Map<string, A>, wanted: string, make: () => A): A => {
  const name = all.has(wanted) || all.size < most ? wanted : other
  const known = all.get(name)
  if (known !== undefined) return known
  const made = make()
  all.set(name, made)
  return made
}

/**
 * An observer that sums.
 *
 * @since 0.1.0
 * @category models
 */
export class TopRates implements Observation.Observer {
  private readonly begin: number
  private readonly whole = new Window()
  private readonly instances = new Map<string, Instance>()
  private readonly pools = new Map<string, Window>()
  private readonly wrappers = new Map<string, Window>()
  private readonly providers = new Map<string, Provider>()
  private cost = 0

  /** `now` is when it begins to listen. */
  constructor(now: number) {
    this.begin = now
  }

  readonly onAttemptEnd = (_: Observation.Observation, attempt: Route.Open): void => {
    const { cost, endedAt, firstOutputAt, instance, kind, outcome, reason, startedAt, usage } = attempt
    if (kind === "cache" || kind === "coalesced" || endedAt === undefined) return
    const one = kept(
      this.instances,
      instance,
      (): Instance => ({ window: new Window(), answered: 0, failed: 0, cost: undefined, lastReason: undefined })
    )
    const part = one.window.at(endedAt)
    part.count += 1
    if (outcome === "completed") one.answered += 1
    if (outcome === "failed") {
      part.failed += 1
      one.failed += 1
      one.lastReason = reason
    }
    if (firstOutputAt !== undefined) part.ttft.add(firstOutputAt - startedAt)
    if (firstOutputAt !== undefined && endedAt > firstOutputAt && usage?.outputTokens !== undefined) {
      part.tokens += usage.outputTokens
      part.streamed += endedAt - firstOutputAt
    }
    const provider = kept(
      this.providers,
      attempt.provider?.name ?? other,
      (): Provider => ({ attempts: 0, inputTokens: 0, outputTokens: 0, cost: undefined })
    )
    provider.attempts += 1
    provider.inputTokens += usage?.inputTokens ?? 0
    provider.outputTokens += usage?.outputTokens ?? 0
    if (cost === undefined) return
    one.cost = (one.cost ?? 0) + cost
    provider.cost = (provider.cost ?? 0) + cost
    this.cost += cost
  }

  readonly onEnd = (observation: Observation.Observation): void => {
    const { committedAt, endedAt, outcome, pool, queuedMs, startedAt, wrapper } = observation
    if (endedAt === undefined) return
    const add = (window: Window): void => {
      const part = window.at(endedAt)
      part.count += 1
      if (outcome === "failed") part.failed += 1
      part.queue.add(queuedMs)
      if (committedAt !== undefined) part.ttft.add(committedAt - startedAt)
      if (outcome === "completed") part.total.add(endedAt - startedAt)
    }
    add(this.whole)
    if (pool !== undefined) add(kept(this.pools, pool, () => new Window()))
    if (wrapper !== undefined) add(kept(this.wrappers, wrapper, () => new Window()))
  }

  snapshot(now: number): Rates {
    const seconds = Math.max(1, Math.min(window, now - this.begin) / 1_000)
    const requests = (of: Window): RequestRates => {
      const { count, failed, queue, total, ttft } = of.sum(now)
      return {
        requests: count,
        perSecond: count / seconds,
        failedShare: count === 0 ? undefined : failed / count,
        ttft: spread(ttft),
        total: spread(total),
        queue: spread(queue)
      }
    }
    const all = (windows: ReadonlyMap<string, Window>) =>
      new Map([...windows].map(([name, one]) => [name, requests(one)]))
    return {
      all: requests(this.whole),
      cost: this.cost,
      instances: new Map(
        [...this.instances].map(([name, one]) => {
          const { count, failed, streamed, tokens, ttft } = one.window.sum(now)
          return [
            name,
            {
              attempts: count,
              perSecond: count / seconds,
              failedShare: count === 0 ? undefined : failed / count,
              ttft: spread(ttft),
              tokensPerSecond: streamed === 0 ? undefined : (tokens / streamed) * 1_000,
              cost: one.cost,
              answered: one.answered,
              failed: one.failed,
              lastReason: one.lastReason
            }
          ] as const
        })
      ),
      pools: all(this.pools),
      wrappers: all(this.wrappers),
      providers: [...this.providers]
        .map(([provider, one]) => ({ provider, ...one }))
        .sort((a, b) => (b.cost ?? 0) - (a.cost ?? 0) || b.attempts - a.attempts)
    }
  }
}
