/**
 * What alerting hears, kept until it is looked at. All of it is synchronous and short, and its memory is bounded.
 *
 * @since 0.1.0
 */
import type * as AlertConditions from "./AlertConditions.ts"
import type * as AlertSettings from "./AlertSettings.ts"
import * as AlertTraffic from "./AlertTraffic.ts"
import type * as Observation from "./Observation.ts"
import type * as Reason from "./Reason.ts"
import type * as StateChange from "./StateChange.ts"

/**
 * What alerting hears.
 *
 * @since 0.1.0
 * @category models
 */
export interface Inbox {
  readonly observer: Observation.Observer
  readonly changed: (change: StateChange.StateChange) => void
  /** Takes on other settings. Windows of another length begin anew. */
  readonly use: (settings: AlertSettings.Settings) => void
  readonly traffic: (now: number) => ReadonlyArray<AlertTraffic.Figures>
  readonly heard: (now: number) => AlertConditions.Heard
}

/** Budgets and refused instances that are remembered. */
const mostSpends = 1_000
const mostRejected = 200

/** How long a refused attempt speaks for an instance that nobody asks any more. */
const rejectedFor = 900_000

const operators: ReadonlySet<Reason.ReasonTag> = new Set(["Authentication", "QuotaExhausted", "ModelNotFound"])

/**
 * Makes an empty inbox. `wake` is called when something came that may make a rule hold.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (first: AlertSettings.Settings, wake: () => void): Inbox => {
  let settings = first
  let traffic = new AlertTraffic.Traffic(settings.rules)
  const down = new Map<string, Extract<StateChange.StateChange, { readonly _tag: "ProviderHealth" }>>()
  const spends = new Map<string, Extract<StateChange.StateChange, { readonly _tag: "Spend" }>>()
  const rejected = new Map<
    string,
    { readonly reason: Reason.ReasonTag; readonly provider: string | undefined; readonly at: number }
  >()
  let rejectedReload: number | undefined

  const changed = (change: StateChange.StateChange): void => {
    switch (change._tag) {
      case "Breaker":
        break
      case "ProviderHealth":
        if (change.isDown) down.set(change.provider, change)
        else down.delete(change.provider)
        break
      case "Spend": {
        const key = JSON.stringify([change.scope, change.name, change.period])
        if (change.share <= 0) spends.delete(key)
        else if (spends.size < mostSpends || spends.has(key)) spends.set(key, change)
        break
      }
      case "Reload":
        rejectedReload = change.outcome === "rejected" ? change.errors : undefined
        break
      case "Swapped":
        rejected.clear()
        break
      case "Reset":
        if (change.instance === undefined) rejected.clear()
        else rejected.delete(change.instance)
        break
      // What these change is seen at the next look.
      case "Cooldown":
      case "Drained":
      case "Pinned":
      case "Health":
      case "Phase":
        return
    }
    wake()
  }

  return {
    changed,
    observer: {
      onAttemptEnd: ({ isAlerting }, attempt) => {
        const { endedAt, instance, outcome, provider, reason } = attempt
        if (outcome === "completed") {
          if (rejected.size > 0) rejected.delete(instance)
          return
        }
        if (reason === undefined || !operators.has(reason) || !isAlerting) return
        if (rejected.size >= mostRejected && !rejected.has(instance)) return
        const isNew = !rejected.has(instance)
        rejected.set(instance, { reason, provider: provider?.name, at: endedAt ?? attempt.startedAt })
        if (isNew) wake()
      },
      onEnd: (observation) => traffic.ended(observation)
    },
    use: (next) => {
      if (next === settings) return
      const isSame = (["error_rate", "slow_first_output", "queue_wait"] as const).every(
        (rule) => next.rules[rule].window === settings.rules[rule].window
      )
      settings = next
      if (!isSame) traffic = new AlertTraffic.Traffic(next.rules)
    },
    traffic: (now) => traffic.read(now),
    heard: (now) => {
      for (const [key, { resetsAt }] of spends) if (now >= resetsAt) spends.delete(key)
      for (const [key, { at }] of rejected) if (now - at >= rejectedFor) rejected.delete(key)
      return { down, spends, rejected, rejectedReload }
    }
  }
}
