/**
 * The pure core of a provider's health: its instances are one failure domain, and when they fail together that is one
 * thing to say.
 *
 * **Details** A provider is down when at least two of its instances are out, or all that are in use, or one that
 * cannot be reached, and no other one has proved to answer since the last of them began to fail. It works again with the
 * first proof from any of them, or when none is out any more. A credential or a quota that is refused, and a model that
 * is not found, say nothing of the provider.
 *
 * @since 0.1.0
 */
import * as HealthState from "./HealthState.ts"
import type * as Reason from "./Reason.ts"

/**
 * An instance of the provider.
 *
 * @since 0.1.0
 * @category models
 */
export interface Member {
  readonly instance: string
  readonly isFailing: boolean
  readonly failingSince: number | undefined
  readonly cause: Reason.Reason | undefined
  readonly provedAt: number | undefined
  /** When a request or a probe last told of it. */
  readonly heardAt: number | undefined
}

/**
 * How a provider does.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly isDown: boolean
  /** When that began; when it was first looked at, if it was never down. */
  readonly since: number
  /** Those that fail, by name. */
  readonly instances: ReadonlyArray<string>
  readonly message: string
}

/**
 * A provider of which nothing bad is known.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (now: number): State => ({ isDown: false, since: now, instances: [], message: "nothing is wrong" })

/**
 * What is seen of one of its instances.
 *
 * @since 0.1.0
 * @category constructors
 */
export const memberOf = (instance: string, state: HealthState.State): Member => ({
  instance,
  isFailing: HealthState.isFailing(state),
  failingSince: state.failingSince,
  cause: state.cause,
  provedAt: state.provedAt,
  heardAt: state.heardAt
})

/** One of which nothing was heard for so long is not in use, in milliseconds. */
const idleAfter = 300_000

/** What is wrong with who asks, or with what is asked for, is nothing of the provider's. */
const isOwn = (cause: Reason.Reason | undefined): boolean =>
  cause?._tag !== "Authentication" && cause?._tag !== "QuotaExhausted" && cause?._tag !== "ModelNotFound"

/** What most of them fail with. */
const commonest = (failing: ReadonlyArray<Member>): string => {
  const counts = new Map<string, number>()
  for (const { cause } of failing) {
    const what = cause === undefined ? "unknown" : HealthState.describe(cause)
    counts.set(what, (counts.get(what) ?? 0) + 1)
  }
  let best = "unknown"
  for (const [what, count] of counts) if (count > (counts.get(best) ?? 0)) best = what
  return best
}

/**
 * Judges a provider by all its instances. The same state comes back when nothing changed that is worth saying.
 *
 * @since 0.1.0
 * @category combinators
 */
export const judge = (before: State, members: ReadonlyArray<Member>, now: number): State => {
  const failing = members.filter(({ cause, isFailing }) => isFailing && isOwn(cause))
  const together = Math.max(...failing.map(({ failingSince }) => failingSince ?? now))
  const answered = members.find(
    ({ isFailing, provedAt }) => !isFailing && provedAt !== undefined && provedAt >= together
  )
  if (before.isDown) {
    const back = answered?.provedAt !== undefined && answered.provedAt > before.since ? answered : undefined
    if (back === undefined && failing.length > 0) {
      const instances = failing.map(({ instance }) => instance)
      return instances.join() === before.instances.join() ? before : { ...before, instances }
    }
    const message = back === undefined ? "none of its instances is out any more" : `${back.instance} answers`
    return { isDown: false, since: now, instances: [], message }
  }
  if (failing.length === 0 || answered !== undefined) return before
  const used = members.filter(
    ({ heardAt, isFailing }) => isFailing || (heardAt !== undefined && now - heardAt < idleAfter)
  )
  const isUnreachable = failing.some(({ cause }) => cause?._tag === "Network")
  if (failing.length === 1 && used.length > 1 && !isUnreachable) return before
  return {
    isDown: true,
    since: now,
    instances: failing.map(({ instance }) => instance),
    message: `${failing.length} of its ${members.length} ${members.length === 1 ? "instance" : "instances"} ${failing.length === 1 ? "fails" : "fail"}: ${commonest(failing)}`
  }
}
