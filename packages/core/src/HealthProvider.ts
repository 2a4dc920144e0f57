/**
 * The pure core of a provider's health: its instances are one failure domain, and when they fail together that is one
 * thing to say.
 *
 * **Details** A provider is down when at least two of its instances are out, or the only one it has, and no other one
 * has proved to answer since the last of them began to fail. It works again with the first proof from any of them, or
 * when none is out any more. A model that is not found says nothing of its provider.
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
  provedAt: state.provedAt
})

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
  const failing = members.filter(({ cause, isFailing }) => isFailing && cause?._tag !== "ModelNotFound")
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
  if (failing.length === 0 || (failing.length === 1 && members.length > 1)) return before
  if (answered !== undefined) return before
  return {
    isDown: true,
    since: now,
    instances: failing.map(({ instance }) => instance),
    message: `${failing.length} of its ${members.length} instances ${failing.length === 1 ? "fails" : "fail"}: ${commonest(failing)}`
  }
}
