/**
 * An instance under health checks: when a probe of it is wanted, and what is asked.
 *
 * @since 0.1.0
 */
import type * as CircuitBreakerState from "./CircuitBreakerState.ts"
import * as HealthProbes from "./HealthProbes.ts"
import type * as HealthSchedule from "./HealthSchedule.ts"
import type * as HealthState from "./HealthState.ts"
import type * as InstanceFactory from "./InstanceFactory.ts"
import type * as InstanceState from "./InstanceState.ts"
import type * as Plan from "./Plan.ts"
import type * as Reason from "./Reason.ts"

/**
 * Instances of one provider with one credential: one probe at a time, whose result tells of all.
 *
 * @since 0.1.0
 * @category models
 */
export interface Group {
  readonly members: Set<Entry>
  /** Probes that run. */
  probes: number
  /** Whether a list of models was refused to who may use them. */
  hasNoList: boolean
  /** What is usual for the kind of provider, once one of them was probed. */
  usual?: InstanceFactory.Built["probeKind"]
  chance: number
}

/**
 * An instance, and what its checks need.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry extends HealthSchedule.Item {
  readonly name: string
  readonly since: number
  readonly state: HealthState.State
  readonly instance: InstanceState.InstanceState
  readonly provider: string
  readonly credential: string
  plan: Plan.Instance
  settings: HealthProbes.Settings
  /** Its breakers that are open, by group. */
  readonly open: Map<string, CircuitBreakerState.Snapshot>
  isProbing: boolean
  /** When a probe last told of it, its own or another's; and its own. */
  probedAt: number | undefined
  askedAt: number | undefined
  /** Probes since it is out, and when the last of them was. */
  outProbes: number
  outProbedAt: number | undefined
  chance: number
  /** Stops listening to its requests. */
  deafen: () => void
}

/**
 * A probe to make.
 *
 * @since 0.1.0
 * @category models
 */
export interface Task {
  readonly entry: Entry
  readonly kind: HealthProbes.Kind
  /** Whether nothing is known to be wrong. */
  readonly isIdle: boolean
}

/**
 * What a probe found. Without a reason it was answered. `kind` is what was asked last: a question, where the list of
 * models was refused before.
 *
 * @since 0.1.0
 * @category models
 */
export interface Result {
  readonly kind: HealthProbes.Kind
  readonly reason: Reason.Reason | undefined
  readonly latency: number | undefined
  readonly isListRefused: boolean
  /** How a probe asks where the plan does not say it, as far as that is known. */
  readonly usual?: InstanceFactory.Built["probeKind"]
}

/**
 * Which group it is in.
 *
 * @since 0.1.0
 * @category getters
 */
export const key = ({ credential, provider }: Entry): string => JSON.stringify([provider, credential])

/**
 * What others know of it.
 *
 * @since 0.1.0
 * @category getters
 */
export const facts = ({ instance, open }: Entry): HealthState.Facts => ({
  coolingUntil: instance.cooldown().until,
  openIn: [...open.keys()]
})

/**
 * What is asked. Who is out for more than the network is asked a question, unless the plan wants the list of models.
 * A list that is usual counts as one, for what it costs and for whom it tells of.
 *
 * @since 0.1.0
 * @category getters
 */
export const kind = ({ open, plan, state }: Entry, { hasNoList, usual }: Group, isIdle: boolean): HealthProbes.Kind => {
  const planned = HealthProbes.kindOf(plan, usual)
  if (planned === "ping" || planned === "none") return planned
  if (hasNoList) return "ping"
  const known = planned === "usual" ? (usual ?? planned) : planned
  if (isIdle) return known
  const tags = [state.cause?._tag, ...[...open.values()].map(({ reason }) => reason)]
  return tags.some((tag) => tag !== undefined && HealthProbes.needsPing(planned, tag)) ? "ping" : known
}

/**
 * When a probe of it is wanted.
 *
 * @since 0.1.0
 * @category getters
 */
export const want = (entry: Entry, group: Group, now: number): { readonly at: number; readonly isIdle: boolean } => {
  const { chance, instance, outProbedAt, outProbes, probedAt, settings, state } = entry
  const cooling = instance.cooldown().until
  const pause = HealthProbes.backoff(settings.recoveryTime, outProbes, chance)
  let out = Number.POSITIVE_INFINITY
  if (state.status === "unhealthy") out = Math.max(outProbedAt ?? 0, state.outSince ?? now) + pause
  if (entry.open.size > 0) {
    const asked = kind(entry, group, false)
    for (const { openedAt = now, reason, until } of entry.open.values()) {
      // Who is out for what no probe of it can prove is tested by a request, as its breaker says.
      if (reason === undefined || !HealthProbes.proves(asked, reason)) continue
      const later = Math.max(outProbedAt ?? 0, openedAt) + pause
      out = Math.min(out, until === undefined ? later : outProbedAt === undefined ? until : Math.max(until, later))
    }
  }
  if (out < Number.POSITIVE_INFINITY) return { at: Math.max(out, cooling), isIdle: false }
  const { interval } = settings
  const last = Math.max(state.heardAt ?? 0, state.trafficAt ?? 0, probedAt ?? 0)
  const isNew = state.heardAt === undefined && state.trafficAt === undefined && probedAt === undefined
  // A program that has just begun is given time to ask something itself.
  const quiet = isNew
    ? entry.since + interval * (1 + group.chance)
    : last + interval * HealthProbes.jitter(group.chance)
  const at = Math.max(quiet, cooling > now ? cooling + interval * 0.1 * chance : 0)
  return { at: at <= now && instance.inFlight() > 0 ? now + interval : at, isIdle: true }
}
