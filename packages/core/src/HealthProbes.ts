/**
 * Which instances are probed, how, and what a probe proves.
 *
 * @since 0.1.0
 */
import * as FailureClass from "./FailureClass.ts"
import type * as HealthBudget from "./HealthBudget.ts"
import type * as HealthState from "./HealthState.ts"
import type * as InstanceFactory from "./InstanceFactory.ts"
import type * as Plan from "./Plan.ts"
import * as Plans from "./Plans.ts"
import type * as Reason from "./Reason.ts"
import * as TaskGroup from "./TaskGroup.ts"
import * as Usage from "./Usage.ts"

/**
 * How an instance is checked. Times are milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings extends HealthState.Options {
  /** Whether anybody wants it checked: only then is it probed, or passed over when it is unhealthy. */
  readonly isChecked: boolean
  /** Whether it may be probed. */
  readonly isActive: boolean
  readonly interval: number
  /** Whose budgets a probe may be charged to: pools, and wrappers in front of task groups. */
  readonly payers: ReadonlyArray<HealthBudget.Payer>
}

/** A pool's wish, or that of a wrapper in front of a group. */
interface Wish {
  readonly payer: HealthBudget.Payer
  readonly check: Omit<Plan.Pool["healthCheck"], "budgetPerHour" | "maxCostPerHour">
}

const { healthCheck: defaults } = Plans.defaults.pool

/** Without a word for so long, and for so many intervals, nothing is known any more. */
const stale = { least: 15 * 60_000, intervals: 10 }

const payerOf = (kind: string, name: string, check: Plan.Pool["healthCheck"]): HealthBudget.Payer => ({
  name: `${kind} ${name}`,
  limits: { requestsPerHour: check.budgetPerHour, costPerHour: check.maxCostPerHour }
})

const merged = (wishes: ReadonlyArray<Wish>): Settings => {
  const active = wishes.filter(({ check }) => check.active)
  const interval = Math.min(...(active.length > 0 ? active : wishes).map(({ check }) => check.interval))
  return {
    isChecked: true,
    isActive: active.length > 0,
    interval,
    failureThreshold: Math.min(...wishes.map(({ check }) => check.failureThreshold)),
    recoveryTime: Math.min(...wishes.map(({ check }) => check.recoveryTime)),
    staleAfter: Math.max(stale.least, stale.intervals * interval),
    payers: wishes.map(({ payer }) => payer)
  }
}

/**
 * What holds for an instance that nobody wants checked: requests tell how it does, and nothing follows.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unchecked: Settings = {
  ...merged([{ payer: payerOf("nobody", "", defaults), check: { ...defaults, active: false } }]),
  isChecked: false
}

/**
 * Says how each instance of a plan is checked.
 *
 * **Details** Each pool that names an instance wishes it checked as its `[health_check]` says. A wrapper's
 * `health_check_interval` stands in place of the pool's interval; a pool all of whose wrappers say
 * `enable_health_check = false` wishes nothing. A wrapper in front of a task group wishes its instances checked by the
 * defaults. Of several wishes the smallest interval, threshold and recovery time hold.
 *
 * @since 0.1.0
 * @category constructors
 */
export const settingsOf = (root: Plan.Root): ReadonlyMap<string, Settings> => {
  const wishes = new Map<string, Array<Wish>>()
  const echelons = new Map<string, Plan.Echelon>()
  for (const group of Object.values(root.groups))
    for (const echelon of group.echelons) echelons.set(`${group.name}.${echelon.name}`, echelon)
  const wish = (instances: ReadonlySet<string>, one: Wish): void => {
    for (const name of instances) {
      const known = wishes.get(name)
      if (known === undefined) wishes.set(name, [one])
      else known.push(one)
    }
  }
  const wrappers = Object.values(root.wrappers)
  for (const pool of Object.values(root.pools)) {
    const fronts = wrappers.filter(({ target }) => target.kind === "pool" && target.name === pool.name)
    const enabled = fronts.filter(({ healthCheck }) => healthCheck.enabled)
    if (fronts.length > 0 && enabled.length === 0) continue
    const own = pool.healthCheck.interval
    const intervals = enabled.map(({ healthCheck }) => healthCheck.interval ?? own)
    const groups = pool.taskGroups.flatMap((name) => root.groups[name] ?? [])
    const instances = new Set(groups.flatMap((group) => group.echelons.flatMap((echelon) => echelon.instances)))
    wish(instances, {
      payer: payerOf("pool", pool.name, pool.healthCheck),
      check: { ...pool.healthCheck, interval: intervals.length === 0 ? own : Math.min(...intervals) }
    })
  }
  for (const { healthCheck, name, target } of wrappers) {
    if (target.kind !== "group" || !healthCheck.enabled) continue
    const whole = root.groups[target.name]
    const first = whole?.echelons[0]?.name ?? target.name.slice(target.name.lastIndexOf(".") + 1)
    const group = whole ?? root.groups[target.name.slice(0, Math.max(0, target.name.lastIndexOf(".")))]
    if (group === undefined) continue
    const walked = TaskGroup.chain(group, first).flatMap((one) => echelons.get(one)?.instances ?? [])
    wish(new Set(walked), {
      payer: payerOf("wrapper", name, defaults),
      check: { ...defaults, interval: healthCheck.interval ?? defaults.interval }
    })
  }
  return new Map(
    Object.keys(root.instances).map((name) => {
      const own = wishes.get(name)
      return [name, own === undefined ? unchecked : merged(own)] as const
    })
  )
}

/**
 * How an instance is asked: for a list of models, which costs nothing; by a short question; as is usual for its kind
 * of provider, which the core does not know; or not at all.
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = "models" | "ping" | "usual" | "none"

/**
 * How a plan says that an instance is asked. Where it says nothing, `usual` is what is known of the kind of provider: a
 * question, or nobody being asked, holds as if it was stated; a list stays `usual`, since nobody insists on it.
 *
 * @since 0.1.0
 * @category getters
 */
export const kindOf = ({ provider }: Plan.Instance, usual?: InstanceFactory.Built["probeKind"]): Kind =>
  provider.healthCheck ?? (usual === undefined || usual === "models" ? "usual" : usual)

/**
 * What a short question and its answer may come to, in tokens.
 *
 * @since 0.1.0
 * @category models
 */
export const ping = { inputTokens: 16, outputTokens: 16 } as const

/** Dear enough for any model whose prices nobody stated: what is unknown is not free. */
const dear: Usage.Prices = { input: 30, output: 180 }

/**
 * The most that a probe may cost, in USD. A list of models is free. Where the kind of provider decides, and is not
 * known, it counts as a question; without prices it counts as a dear one: 30 USD per million tokens of input, 180 of output.
 *
 * @since 0.1.0
 * @category getters
 */
export const costOf = (kind: Kind, prices: Usage.Prices | undefined): number =>
  kind === "models" || kind === "none"
    ? 0
    : (Usage.cost(Usage.estimated(ping.inputTokens, ping.outputTokens), prices ?? dear) ?? 0)

/**
 * Whether an answer proves that what failed last is mended: one to a question proves all of it, a list of models only
 * that there is a way to the provider.
 *
 * @since 0.1.0
 * @category getters
 */
export const proves = (kind: Kind, tag: Reason.ReasonTag | undefined): boolean => kind === "ping" || tag === "Network"

/**
 * Whether an instance that is out for this is asked a question, whatever is asked as a rule.
 *
 * **Details** What is refused only a question proves mended, and no request may test: a list of models is given to who
 * may not use them, and to who has no quota left. For other failures than those of the network a question is asked
 * unless the plan wants the list.
 *
 * @since 0.1.0
 * @category getters
 */
export const needsPing = (kind: Kind, tag: Reason.ReasonTag): boolean => {
  if (tag === "Authentication" || tag === "QuotaExhausted" || tag === "ModelNotFound") return kind !== "none"
  return kind === "usual" && tag !== "Network"
}

/**
 * Whether what a probe failed with holds for all instances of the provider that have the credential: what a list of
 * models fails with does, and what comes before any model.
 *
 * @since 0.1.0
 * @category getters
 */
export const isShared = (kind: Kind, reason: Reason.Reason): boolean =>
  FailureClass.of(reason).breaker !== "ignored" && (kind === "models" || reason._tag === "Network")

/**
 * How many times its `recovery_time` an instance that stays out is left alone at most.
 *
 * @since 0.1.0
 * @category models
 */
export const maxBackoff = 5

/**
 * How long after the probe before it one that is out is probed again; doubling, 20 % more or less by chance.
 *
 * @since 0.1.0
 * @category getters
 */
export const backoff = (recoveryTime: number, probes: number, chance: number): number =>
  recoveryTime * Math.min(maxBackoff, 2 ** probes) * jitter(chance)

/**
 * 20 % more or less by chance, so that processes do not probe in step. `chance` is 0 to 1.
 *
 * @since 0.1.0
 * @category getters
 */
export const jitter = (chance: number): number => 0.8 + 0.4 * chance
