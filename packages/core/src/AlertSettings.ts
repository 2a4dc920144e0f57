/**
 * What is set of alerting: `[alerts]` of `global.toml`, and what holds when nothing is said.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"
import type * as AlertChannel from "./AlertChannel.ts"
import type * as AlertRule from "./AlertRule.ts"

/**
 * Hours of a day in which only what is critical is told at once. Minutes of the day; an end before the beginning is
 * on the next day.
 *
 * @since 0.1.0
 * @category models
 */
export interface QuietHours {
  readonly from: number
  readonly to: number
  /** `UTC`, an offset such as `+02:00`, or a name such as `Europe/Berlin`. */
  readonly timeZone: string
}

/**
 * What is set of alerting. Times are milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  readonly enabled: boolean
  /** How long a group collects before it is told. */
  readonly groupWait: number
  /** After what time it is told again what still fires. */
  readonly repeatInterval: number
  /** How long a condition must be gone before its alert resolves. */
  readonly resolveAfter: number
  readonly quietHours: QuietHours | undefined
  readonly rules: Readonly<Record<AlertRule.Name, AlertRule.Rule>>
  readonly channels: ReadonlyArray<AlertChannel.Options>
}

const rule = (options: Pick<AlertRule.Rule, "severity"> & Partial<AlertRule.Rule>): AlertRule.Rule => ({
  enabled: true,
  threshold: undefined,
  for: 0,
  window: 300_000,
  minRequests: 20,
  channels: undefined,
  ...options
})

/**
 * The defaults: every rule is on, and the log is told.
 *
 * @since 0.1.0
 * @category models
 */
export const defaults: Settings = {
  enabled: true,
  groupWait: 10_000,
  repeatInterval: 14_400_000,
  resolveAfter: 60_000,
  quietHours: undefined,
  rules: {
    breaker_open: rule({ severity: "warning", for: 60_000 }),
    provider_down: rule({ severity: "critical" }),
    pool_capacity: rule({ severity: "critical", threshold: 1, for: 15_000 }),
    error_rate: rule({ severity: "critical", threshold: 0.1, for: 60_000 }),
    slow_first_output: rule({ severity: "warning", threshold: 10_000, for: 120_000 }),
    queue_wait: rule({ severity: "warning", threshold: 5_000, for: 60_000 }),
    queue_full: rule({ severity: "warning", threshold: 0.8, for: 30_000 }),
    budget_half: rule({ severity: "info", threshold: 0.5 }),
    budget_low: rule({ severity: "warning", threshold: 0.8 }),
    budget_spent: rule({ severity: "critical", threshold: 1 }),
    credential_rejected: rule({ severity: "critical" }),
    reload_rejected: rule({ severity: "warning" })
  },
  channels: [{ type: "log", name: "log", severity: "info", resolved: true }]
}

/**
 * What is set where only some of it is said.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Partial<Omit<Settings, "rules">> & {
    readonly rules?: Readonly<Partial<Record<AlertRule.Name, Partial<AlertRule.Rule>>>> | undefined
  } = {}
): Settings => {
  const rules: Record<AlertRule.Name, AlertRule.Rule> = { ...defaults.rules }
  for (const [name, stated] of Object.entries(options.rules ?? {})) {
    const known = name as AlertRule.Name
    rules[known] = { ...rules[known], ...stated }
  }
  return { ...defaults, ...options, rules }
}

/**
 * Whether quiet hours hold at a time. Without a zone of that name they never do.
 *
 * @since 0.1.0
 * @category guards
 */
export const isQuiet = (quiet: QuietHours | undefined, now: number): boolean => {
  if (quiet === undefined || quiet.from === quiet.to) return false
  const zone = DateTime.zoneFromString(quiet.timeZone)
  if (Option.isNone(zone)) return false
  const { hour, minute } = DateTime.toParts(DateTime.setZone(DateTime.makeUnsafe(now), zone.value))
  const at = hour * 60 + minute
  return quiet.from < quiet.to ? at >= quiet.from && at < quiet.to : at >= quiet.from || at < quiet.to
}
