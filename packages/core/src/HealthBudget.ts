/**
 * The pure core of what health probes may cost: requests and money, in any hour.
 *
 * **Details** Any 60 minutes hold at most the limits; they are counted by minutes, so that it is 60 to 61. What merely
 * keeps an eye on those without traffic gets half of the requests an hour, and a quarter at once: the rest is left
 * for those that are out, so that a quiet night does not use up what an outage needs.
 *
 * @since 0.1.0
 */

/**
 * What may be spent in an hour.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  readonly requestsPerHour: number
  /** USD. */
  readonly costPerHour: number
}

interface Minute {
  epoch: number
  requests: number
  usd: number
}

/**
 * What was spent. Its owner changes it through these functions; it holds 61 minutes, whatever happens.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly minutes: ReadonlyArray<Minute>
  /** Requests left for those that are merely idle, and when that was. */
  idle: number | undefined
  idleAt: number
}

/**
 * A probe that is asked for. `isIdle` when nothing is known to be wrong.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ask {
  readonly usd: number
  readonly isIdle: boolean
}

/**
 * Whether a probe may be made; if not, what is used up, and when it may be: `undefined` when never.
 *
 * @since 0.1.0
 * @category models
 */
export type Decision =
  | { readonly _tag: "Probe" }
  | { readonly _tag: "Wait"; readonly of: "requests" | "usd"; readonly until: number | undefined }

const minute = 60_000
const hour = 60 * minute
const kept = 61

/**
 * Nothing was spent.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (): State => ({
  minutes: Array.from({ length: kept }, () => ({ epoch: Number.NEGATIVE_INFINITY, requests: 0, usd: 0 })),
  idle: undefined,
  idleAt: 0
})

const probe: Decision = { _tag: "Probe" }

const epochAt = (now: number): number => Math.floor(now / minute)

/** The minutes that count, oldest first. */
const counting = ({ minutes }: State, now: number): ReadonlyArray<Minute> => {
  const epoch = epochAt(now)
  return minutes.filter((one) => one.epoch > epoch - kept && one.epoch <= epoch).sort((a, b) => a.epoch - b.epoch)
}

/** Sums of cents are not exact. */
const epsilon = 1e-9

const most = ({ requestsPerHour }: Limits): number => Math.max(1, Math.floor(requestsPerHour / 4))

const idleLeft = (state: State, limits: Limits, now: number): number =>
  state.idle === undefined
    ? most(limits)
    : Math.min(most(limits), state.idle + (Math.max(0, now - state.idleAt) / hour) * (limits.requestsPerHour / 2))

/**
 * What was spent in the last hour.
 *
 * @since 0.1.0
 * @category getters
 */
export const spent = (state: State, now: number): { readonly requests: number; readonly usd: number } => {
  let requests = 0
  let usd = 0
  for (const one of counting(state, now)) {
    requests += one.requests
    usd += one.usd
  }
  return { requests, usd }
}

/**
 * Decides whether a probe may be made. Nothing is counted.
 *
 * @since 0.1.0
 * @category getters
 */
export const peek = (state: State, ask: Ask, limits: Limits, now: number): Decision => {
  if (limits.requestsPerHour < 1) return { _tag: "Wait", of: "requests", until: undefined }
  if (ask.usd > limits.costPerHour + epsilon) return { _tag: "Wait", of: "usd", until: undefined }
  // When the share of the idle is there, as long as nothing else is spent.
  const left = ask.isIdle ? idleLeft(state, limits, now) : 1
  const idleAt = left >= 1 - epsilon ? now : now + Math.ceil(((1 - left) / (limits.requestsPerHour / 2)) * hour)
  let { requests, usd } = spent(state, now)
  const fits = () => requests + 1 <= limits.requestsPerHour && usd + ask.usd <= limits.costPerHour + epsilon
  if (fits()) return idleAt <= now ? probe : { _tag: "Wait", of: "requests", until: idleAt }
  const of = requests + 1 > limits.requestsPerHour ? "requests" : "usd"
  for (const one of counting(state, now)) {
    requests -= one.requests
    usd -= one.usd
    if (fits()) return { _tag: "Wait", of, until: Math.max(idleAt, (one.epoch + kept) * minute) }
  }
  return { _tag: "Wait", of, until: undefined }
}

/**
 * Counts a probe, whether it is allowed or somebody insists on it.
 *
 * @since 0.1.0
 * @category mutations
 */
export const take = (state: State, ask: Ask, limits: Limits, now: number): void => {
  const epoch = epochAt(now)
  const one = state.minutes[((epoch % kept) + kept) % kept] as Minute
  if (one.epoch !== epoch) Object.assign(one, { epoch, requests: 0, usd: 0 })
  one.requests += 1
  one.usd += ask.usd
  if (!ask.isIdle) return
  state.idle = idleLeft(state, limits, now) - 1
  state.idleAt = now
}

/**
 * Who pays for probes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Payer {
  readonly name: string
  readonly limits: Limits
}

/**
 * What every payer has spent, by name.
 *
 * @since 0.1.0
 * @category models
 */
export class Purse {
  private readonly states = new Map<string, State>()

  private of({ name }: Payer): State {
    const found = this.states.get(name) ?? make()
    this.states.set(name, found)
    return found
  }

  /** Charges the one who has most left; otherwise tells when somebody can pay, `Infinity` when nobody ever can. */
  charge(payers: ReadonlyArray<Payer>, ask: Ask, now: number): number | undefined {
    let best: { readonly payer: Payer; readonly left: number } | undefined
    let until = Number.POSITIVE_INFINITY
    for (const payer of payers) {
      const state = this.of(payer)
      const decision = peek(state, ask, payer.limits, now)
      if (decision._tag === "Wait") {
        until = Math.min(until, decision.until ?? Number.POSITIVE_INFINITY)
        continue
      }
      const left = payer.limits.requestsPerHour - spent(state, now).requests
      if (best === undefined || left > best.left) best = { payer, left }
    }
    if (best === undefined) return until
    take(this.of(best.payer), ask, best.payer.limits, now)
    return undefined
  }

  /** Charges the first one, whatever is left. */
  insist([payer]: ReadonlyArray<Payer>, ask: Ask, now: number): void {
    if (payer !== undefined) take(this.of(payer), ask, payer.limits, now)
  }

  /** Forgets all others. */
  keep(names: ReadonlySet<string>): void {
    for (const name of this.states.keys()) if (!names.has(name)) this.states.delete(name)
  }

  /** What each has spent in the last hour. */
  spent(now: number): ReadonlyArray<readonly [string, ReturnType<typeof spent>]> {
    return [...this.states].map(([name, state]) => [name, spent(state, now)] as const)
  }
}
