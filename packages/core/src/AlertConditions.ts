/**
 * What of all the rules holds now: a pure reading of the plan, of how everything stands, and of what was heard.
 *
 * @since 0.1.0
 */
import * as AlertRule from "./AlertRule.ts"
import type * as AlertSettings from "./AlertSettings.ts"
import type * as AlertState from "./AlertState.ts"
import * as AlertText from "./AlertText.ts"
import type * as AlertTraffic from "./AlertTraffic.ts"
import type * as Control from "./Control.ts"
import type * as Plan from "./Plan.ts"
import type * as Reason from "./Reason.ts"
import type * as StateChange from "./StateChange.ts"

/**
 * What was heard and still stands.
 *
 * @since 0.1.0
 * @category models
 */
export interface Heard {
  /** The providers that are down. */
  readonly down: ReadonlyMap<string, Extract<StateChange.StateChange, { readonly _tag: "ProviderHealth" }>>
  /** The last of each budget. */
  readonly spends: ReadonlyMap<string, Extract<StateChange.StateChange, { readonly _tag: "Spend" }>>
  /** Attempts at instances without a breaker that an operator must mend. */
  readonly rejected: ReadonlyMap<string, { readonly reason: Reason.ReasonTag; readonly provider: string | undefined }>
  /** The errors of the last reload, when it was rejected. */
  readonly rejectedReload: number | undefined
}

/**
 * Everything that rules look at.
 *
 * @since 0.1.0
 * @category models
 */
export interface Input {
  readonly plan: Plan.Root
  readonly settings: AlertSettings.Settings
  readonly snapshot: Control.Snapshot
  readonly traffic: ReadonlyArray<AlertTraffic.Figures>
  readonly heard: Heard
}

type Rules = Readonly<Record<AlertRule.Name, AlertRule.Rule>>

const { duration, name: shown, percent, usd } = AlertText

/** What an operator must mend is told by a rule of its own, and says nothing of the provider. */
const isRefused = ({ heard, snapshot }: Input, name: string): boolean =>
  heard.rejected.has(name) ||
  snapshot.instances.some(
    (instance) => instance.name === name && instance.breakers.some(({ outBecause }) => outBecause === "credential")
  )

/** Whether a provider is down for another cause. */
const isDown = (input: Input, provider: string): boolean => {
  const found = input.heard.down.get(provider)
  if (found === undefined) return false
  return found.instances.length === 0 || !found.instances.every((name) => isRefused(input, name))
}

const breakers = (input: Input): ReadonlyArray<AlertState.Condition> => {
  const { heard, plan, snapshot } = input
  return snapshot.instances.flatMap(({ breakers, name, provider }): ReadonlyArray<AlertState.Condition> => {
    const out = breakers.filter(({ outBecause }) => outBecause === "failures")
    const mend = breakers.find(({ outBecause }) => outBecause === "credential")
    const rejected = breakers.length === 0 ? heard.rejected.get(name) : undefined
    const subject = { kind: "instance", name } as const
    const found: Array<AlertState.Condition> = []
    const [first] = out
    if (first !== undefined) {
      const groups = out.map(({ group }) => shown(group)).join(", ")
      found.push({
        rule: "breaker_open",
        subject,
        provider,
        text: `${shown(name)} is out in ${groups}${first.reason === undefined ? "" : ` (${first.reason})`}`,
        isInhibited: isDown(input, provider)
      })
    }
    const reason = mend === undefined ? rejected?.reason : (mend.reason ?? "Authentication")
    if (reason !== undefined && plan.instances[name] !== undefined) {
      found.push({ rule: "credential_rejected", subject, provider, text: `${shown(name)} is refused (${reason})` })
    }
    return found
  })
}

/** Attempts at clients that no plan names. */
const clients = ({ heard, plan }: Input): ReadonlyArray<AlertState.Condition> =>
  [...heard.rejected].flatMap(([name, { provider, reason }]) =>
    plan.instances[name] !== undefined
      ? []
      : [
          {
            rule: "credential_rejected",
            subject: { kind: "instance", name },
            provider,
            text: `${shown(name)} is refused (${reason})`
          } satisfies AlertState.Condition
        ]
  )

/** Whether somebody wants to hear of a pool: not when all its wrappers say no. */
const isHeard = (plan: Plan.Root, pool: string): boolean => {
  const fronts = Object.values(plan.wrappers).filter(({ target }) => target.kind === "pool" && target.name === pool)
  return fronts.length === 0 || fronts.some(({ alerting }) => alerting)
}

const capacity = ({ plan, snapshot, settings }: Input): ReadonlyArray<AlertState.Condition> => {
  const least = settings.rules.pool_capacity.threshold ?? 1
  const states = new Map(snapshot.instances.map((instance) => [instance.name, instance]))
  const isReady = (group: string, name: string): boolean => {
    const instance = states.get(name)
    if (instance === undefined || instance.isDrained || instance.coolingUntil !== undefined) return false
    return instance.breakers.every((breaker) => breaker.group !== group || breaker.outBecause === undefined)
  }
  return Object.values(plan.pools).flatMap((pool): ReadonlyArray<AlertState.Condition> => {
    if (!isHeard(plan, pool.name)) return []
    const all = new Set<string>()
    const ready = new Set<string>()
    for (const group of pool.taskGroups) {
      for (const { instances } of plan.groups[group]?.echelons ?? []) {
        for (const name of instances) {
          all.add(name)
          if (isReady(group, name)) ready.add(name)
        }
      }
    }
    // Of a pool that has fewer altogether it would always hold; that is for `echelon check`.
    if (ready.size >= Math.min(least, all.size)) return []
    return [
      {
        rule: "pool_capacity",
        subject: { kind: "pool", name: pool.name },
        value: ready.size,
        text: `pool ${shown(pool.name)} can ask ${ready.size} of its ${all.size} instances`
      }
    ]
  })
}

const isLoud = (plan: Plan.Root, { kind, name }: AlertState.Subject): boolean =>
  kind !== "wrapper" || plan.wrappers[name]?.alerting !== false

const requests = ({ plan, settings, traffic }: Input): ReadonlyArray<AlertState.Condition> => {
  const { error_rate, queue_wait, slow_first_output } = settings.rules
  return traffic.flatMap(({ failures, firstOutput, queued, requests: all, target }) => {
    const found: Array<AlertState.Condition> = []
    if (!isLoud(plan, target)) return found
    const who = `${target.kind} ${shown(target.name)}`
    const share = all === 0 ? 0 : failures / all
    if (all >= error_rate.minRequests && share > 0 && share >= (error_rate.threshold ?? 1)) {
      const text = `${percent(share)} of the requests to ${who} failed in ${duration(error_rate.window)} (${failures} of ${all})`
      found.push({ rule: "error_rate", subject: target, value: share, text })
    }
    const late = slow_first_output
    if (
      firstOutput !== undefined &&
      firstOutput.count >= late.minRequests &&
      firstOutput.value >= (late.threshold ?? 0)
    ) {
      const text = `p95 of the time to first output of ${who} is ${duration(firstOutput.value)} (${firstOutput.count} requests in ${duration(late.window)})`
      found.push({ rule: "slow_first_output", subject: target, value: firstOutput.value, text })
    }
    if (queued !== undefined && queued.count >= queue_wait.minRequests && queued.value >= (queue_wait.threshold ?? 0)) {
      const text = `p95 of the wait in the queue of ${who} is ${duration(queued.value)} (${queued.count} requests in ${duration(queue_wait.window)})`
      found.push({ rule: "queue_wait", subject: target, value: queued.value, text })
    }
    return found
  })
}

const queues = ({ plan, settings, snapshot }: Input): ReadonlyArray<AlertState.Condition> => {
  const mark = settings.rules.queue_full.threshold ?? 1
  return snapshot.wrappers.flatMap(({ name, queue }): ReadonlyArray<AlertState.Condition> => {
    const subject = { kind: "wrapper", name } as const
    if (queue === undefined || queue.queueSize === 0 || !isLoud(plan, subject)) return []
    const share = queue.waiting / queue.queueSize
    if (queue.waiting === 0 || share < mark) return []
    const text = `${queue.waiting} of ${queue.queueSize} places in the queue of wrapper ${shown(name)} are taken`
    return [{ rule: "queue_full", subject, value: share, text }]
  })
}

const budgetRules = ["budget_half", "budget_low", "budget_spent"] as const

/** Whether a rule for a higher mark tells everybody, at once, whom the one for a lower mark would tell. */
const says = (rules: Rules, high: AlertRule.Name, low: AlertRule.Name): boolean => {
  const [one, other] = [rules[high], rules[low]]
  return (
    one.enabled &&
    (one.threshold ?? 1) > (other.threshold ?? 1) &&
    one.for <= other.for &&
    AlertRule.isAtLeast(one.severity, other.severity) &&
    (one.channels === undefined || other.channels?.every((channel) => one.channels?.includes(channel)) === true)
  )
}

const budgets = ({ heard, plan, settings, snapshot }: Input): ReadonlyArray<AlertState.Condition> =>
  [...heard.spends.values()].flatMap(({ limit, name, period, resetsAt, scope, share, spent }) => {
    const subject = { kind: scope, name } as const
    if (share <= 0 || snapshot.at >= resetsAt || !isLoud(plan, subject)) return []
    const holding = budgetRules.filter((rule) => share >= (settings.rules[rule].threshold ?? 1))
    return holding.map((rule): AlertState.Condition => {
      const isInhibited = holding.some((other) => other !== rule && says(settings.rules, other, rule))
      const text = `${scope} ${shown(name)} has spent ${usd(spent)} of ${usd(limit)} this ${period}; it resets at ${AlertText.time(resetsAt)}`
      return { rule, subject, detail: period, value: share, text, isInhibited }
    })
  })

const providers = (input: Input): ReadonlyArray<AlertState.Condition> =>
  [...input.heard.down.values()].flatMap(({ instances, provider }): ReadonlyArray<AlertState.Condition> => {
    if (input.plan.providers[provider] === undefined) return []
    if (!isDown(input, provider)) return []
    const failing = instances.slice(0, 5).map(shown).join(", ")
    const more = instances.length > 5 ? ` and ${instances.length - 5} more` : ""
    const fail = instances.length === 1 ? "fails" : "fail together"
    const text = `provider ${shown(provider)} is down${failing === "" ? "" : `: ${failing}${more} ${fail}`}`
    return [{ rule: "provider_down", subject: { kind: "provider", name: provider }, provider, text }]
  })

const reloads = ({ heard }: Input): ReadonlyArray<AlertState.Condition> => {
  const errors = heard.rejectedReload
  if (errors === undefined) return []
  const text = `the changed configuration has ${errors} error${errors === 1 ? "" : "s"}; the one of before stays in use`
  return [{ rule: "reload_rejected", subject: { kind: "configuration", name: "configuration" }, text }]
}

/**
 * Every condition that holds, of the rules that are enabled.
 *
 * @since 0.1.0
 * @category getters
 */
export const of = (input: Input): ReadonlyArray<AlertState.Condition> => {
  const rules: Rules = input.settings.rules
  const isOn = (...names: ReadonlyArray<AlertRule.Name>): boolean => names.some((name) => rules[name].enabled)
  const all = [
    ...(isOn("breaker_open", "credential_rejected") ? [...breakers(input), ...clients(input)] : []),
    ...(isOn("provider_down") ? providers(input) : []),
    ...(isOn("pool_capacity") ? capacity(input) : []),
    ...(isOn("error_rate", "slow_first_output", "queue_wait") ? requests(input) : []),
    ...(isOn("queue_full") ? queues(input) : []),
    ...(isOn("budget_half", "budget_low", "budget_spent") ? budgets(input) : []),
    ...(isOn("reload_rejected") ? reloads(input) : [])
  ]
  return all.filter(({ rule }) => rules[rule].enabled)
}
