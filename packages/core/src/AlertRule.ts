/**
 * The rules of alerting: what each looks at, and what may be set of it.
 *
 * @since 0.1.0
 */

/**
 * How much an alert matters: `critical` is told at any hour.
 *
 * @since 0.1.0
 * @category models
 */
export type Severity = (typeof severities)[number]

/**
 * Every severity, the least first.
 *
 * @since 0.1.0
 * @category models
 */
export const severities = ["info", "warning", "critical"] as const

/**
 * Whether one severity is at least another.
 *
 * @since 0.1.0
 * @category guards
 */
export const isAtLeast = (self: Severity, least: Severity): boolean =>
  severities.indexOf(self) >= severities.indexOf(least)

/**
 * Every rule by name.
 *
 * @since 0.1.0
 * @category models
 */
export const names = [
  "breaker_open",
  "provider_down",
  "pool_capacity",
  "error_rate",
  "slow_first_output",
  "queue_wait",
  "queue_full",
  "budget_half",
  "budget_low",
  "budget_spent",
  "credential_rejected",
  "reload_rejected"
] as const

/**
 * The name of a rule.
 *
 * @since 0.1.0
 * @category models
 */
export type Name = (typeof names)[number]

/**
 * What is set of a rule. Times are milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Rule {
  readonly enabled: boolean
  /** In the unit of the rule; times are milliseconds. `undefined` where the rule knows no more and less. */
  readonly threshold: number | undefined
  /** How long it must hold before the alert fires. */
  readonly for: number
  readonly severity: Severity
  /** What lies further back than this does not count; of the rules that look at requests. */
  readonly window: number
  /** Requests in the window below which nothing is said. */
  readonly minRequests: number
  /** The channels that are told; all when `undefined`. */
  readonly channels: ReadonlyArray<string> | undefined
}

/**
 * What a rule is about, for readers and for the reference.
 *
 * @since 0.1.0
 * @category models
 */
export interface Facts {
  readonly title: string
  /** When it holds. */
  readonly meaning: string
  /** What each of its alerts is about. */
  readonly subject: string
  /** What to look at first. */
  readonly advice: string
  /** The unit of its threshold, when it has one. */
  readonly threshold: "share" | "seconds" | "instances" | undefined
  /** Whether it looks at the requests of a window. */
  readonly isWindowed: boolean
  /** Alerts of one family and provider are told together. */
  readonly family: string
}

const budget = (mark: string): Facts => ({
  title: `budget ${mark}`,
  meaning: `a budget has reached the mark at the threshold, in its day or month; it is over when the budget is whole again, or was raised`,
  subject: "the tenant, wrapper or pool of the budget, with its period",
  advice: "see `echelon usage` for who spends; raise the budget, or move traffic to cheaper models",
  threshold: "share",
  isWindowed: false,
  family: "budget"
})

/**
 * What each rule is about.
 *
 * @since 0.1.0
 * @category models
 */
export const facts: Readonly<Record<Name, Facts>> = {
  breaker_open: {
    title: "breaker open",
    meaning:
      "the circuit breaker of an instance is open or half-open because of failures; not when somebody forced it. Not told while its provider is down",
    subject: "the instance",
    advice: "see the reason in the alert; `echelon top` shows who answers instead",
    threshold: undefined,
    isWindowed: false,
    family: "breaker_open"
  },
  provider_down: {
    title: "provider down",
    meaning: "several instances of one provider fail together, as the health checker sees it",
    subject: "the provider",
    advice: "see the provider's status page; requests go to other providers where the groups name some",
    threshold: undefined,
    isWindowed: false,
    family: "provider_down"
  },
  pool_capacity: {
    title: "pool without capacity",
    meaning:
      "fewer instances of a pool than the threshold may be asked: the others are out by their breakers, cool down, are drained, or have no credential",
    subject: "the pool",
    advice: "requests fail with `NoCapacity`; mend the instances, or add a task group of another provider",
    threshold: "instances",
    isWindowed: false,
    family: "pool_capacity"
  },
  error_rate: {
    title: "error rate",
    meaning:
      "the share of requests that failed by the fault of providers or of the operator; what a caller did wrong or gave up does not count, a missed deadline does",
    subject: "the wrapper, pool, group or client that requests name",
    advice: "see the reasons: `echelon routes`, or the metric of failures by reason",
    threshold: "share",
    isWindowed: true,
    family: "error_rate"
  },
  slow_first_output: {
    title: "slow first output",
    meaning: "the 95th percentile of the time from a request's start to its first output, queueing included",
    subject: "the wrapper, pool, group or client that requests name",
    advice:
      "compare instances by their time to first output; a hedge or a lower `ttft_timeout` leaves slow ones earlier",
    threshold: "seconds",
    isWindowed: true,
    family: "slow_first_output"
  },
  queue_wait: {
    title: "queue wait",
    meaning: "the 95th percentile of the time that requests of a wrapper spend in its queue",
    subject: "the wrapper",
    advice: "raise `max_concurrent_requests` when the pool has room, else add instances",
    threshold: "seconds",
    isWindowed: true,
    family: "queue"
  },
  queue_full: {
    title: "queue nearly full",
    meaning: "the share of a wrapper's queue that is taken; full, it refuses requests with `QueueFull`",
    subject: "the wrapper",
    advice: "as for `queue_wait`; a queue that stays full serves nobody better than a short one",
    threshold: "share",
    isWindowed: false,
    family: "queue"
  },
  budget_half: budget("half spent"),
  budget_low: budget("nearly spent"),
  budget_spent: budget("spent"),
  credential_rejected: {
    title: "credential rejected",
    meaning:
      "a provider refuses an instance's credential, account or model (`Authentication`, `QuotaExhausted`, `ModelNotFound`): only an operator can mend that",
    subject: "the instance",
    advice: "renew the key, pay the bill or correct the model's name, then reload",
    threshold: undefined,
    isWindowed: false,
    family: "credential_rejected"
  },
  reload_rejected: {
    title: "reload rejected",
    meaning: "changed files have errors, and the configuration of before stays in use",
    subject: "the configuration",
    advice: "`echelon check` shows every error with its file and line",
    threshold: undefined,
    isWindowed: false,
    family: "reload_rejected"
  }
}
