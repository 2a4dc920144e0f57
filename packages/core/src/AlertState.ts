/**
 * The life of alerts, without a clock of its own: inactive, pending while a rule's `for` runs, firing, resolved.
 *
 * An alert is known by its rule and its subject. It resolves when its condition has not held for `resolveAfter`; each
 * time that it fired again within the last hour doubles that, up to half an hour. So an alert that flaps is told few
 * times, and stays visible while it does.
 *
 * @since 0.1.0
 */
import type * as AlertRule from "./AlertRule.ts"

/**
 * What an alert is about.
 *
 * @since 0.1.0
 * @category models
 */
export interface Subject {
  readonly kind:
    | "instance"
    | "provider"
    | "wrapper"
    | "pool"
    | "group"
    | "client"
    | "router"
    | "tenant"
    | "configuration"
  readonly name: string
}

/**
 * What holds now.
 *
 * @since 0.1.0
 * @category models
 */
export interface Condition {
  readonly rule: AlertRule.Name
  readonly subject: Subject
  /** Tells alerts of one rule and subject apart, such as the period of a budget. */
  readonly detail?: string | undefined
  /** Who stands behind the subject, when one provider does. */
  readonly provider?: string | undefined
  /** In the unit of the rule's threshold. */
  readonly value?: number | undefined
  /** What holds, in a few words; names and figures only. */
  readonly text: string
  /** Whether another alert tells the same: this one is kept, and not told. */
  readonly isInhibited?: boolean | undefined
}

/**
 * An alert. Times are milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface Alert {
  /** The same for every firing of the rule for this subject. */
  readonly key: string
  readonly rule: AlertRule.Name
  readonly subject: Subject
  readonly provider: string | undefined
  readonly severity: AlertRule.Severity
  readonly phase: "pending" | "firing" | "resolved"
  readonly text: string
  readonly value: number | undefined
  readonly threshold: number | undefined
  /** Since when the condition holds. */
  readonly since: number
  readonly firedAt: number | undefined
  readonly resolvedAt: number | undefined
  /** Since when the condition of an alert that still fires does not hold: its text and value are those of before. */
  readonly clearSince?: number | undefined
  readonly isInhibited: boolean
}

/**
 * An alert fired or resolved.
 *
 * @since 0.1.0
 * @category models
 */
export interface Event {
  readonly _tag: "Fired" | "Resolved"
  readonly alert: Alert
  readonly at: number
}

interface Cell {
  alert: Alert
  /** Since when the condition does not hold any more. */
  clearSince: number | undefined
  /** When it fired, of the last hour. */
  readonly fired: Array<number>
}

/**
 * Every alert that is known of.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly cells: Map<string, Cell>
  /** Conditions that found no room. */
  overflow: number
}

/** Alerts that are kept at most. */
const most = 1_000

const hour = 3_600_000
const longestHold = 1_800_000

/** Firings that are remembered: enough to reach the longest hold. */
const remembered = 8

/**
 * Knows of no alert.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (): State => ({ cells: new Map(), overflow: 0 })

/**
 * What tells alerts apart.
 *
 * @since 0.1.0
 * @category getters
 */
export const keyOf = ({ detail, rule, subject }: Pick<Condition, "rule" | "subject" | "detail">): string =>
  [rule, subject.kind, subject.name, ...(detail === undefined ? [] : [detail])].join("/")

const holdOf = (cell: Cell, resolveAfter: number, now: number): number => {
  const again = cell.fired.filter((at) => now - at < hour).length - 1
  return Math.min(Math.max(longestHold, resolveAfter), resolveAfter * 2 ** Math.max(0, again))
}

/** Makes room: the oldest that has resolved goes. */
const evict = (cells: Map<string, Cell>): boolean => {
  for (const [key, { alert }] of cells) {
    if (alert.phase !== "resolved") continue
    cells.delete(key)
    return true
  }
  return false
}

/**
 * Takes in everything that holds now, and tells what follows.
 *
 * @since 0.1.0
 * @category mutations
 */
export const step = (
  state: State,
  conditions: ReadonlyArray<Condition>,
  options: { readonly rules: Readonly<Record<AlertRule.Name, AlertRule.Rule>>; readonly resolveAfter: number },
  now: number
): ReadonlyArray<Event> => {
  const { cells } = state
  const events: Array<Event> = []
  const holding = new Set<string>()
  for (const condition of conditions) {
    const key = keyOf(condition)
    holding.add(key)
    const rule = options.rules[condition.rule]
    const known = cells.get(key)
    if (known === undefined && cells.size >= most && !evict(cells)) {
      state.overflow += 1
      continue
    }
    const isNew = known === undefined || known.alert.phase === "resolved"
    const alert: Alert = {
      key,
      rule: condition.rule,
      subject: condition.subject,
      provider: condition.provider,
      severity: rule.severity,
      phase: isNew ? "pending" : known.alert.phase,
      text: condition.text,
      value: condition.value,
      threshold: rule.threshold,
      since: isNew ? now : known.alert.since,
      firedAt: isNew ? undefined : known.alert.firedAt,
      resolvedAt: undefined,
      isInhibited: condition.isInhibited === true
    }
    const cell = known ?? { alert, clearSince: undefined, fired: [] }
    cell.alert = alert
    cell.clearSince = undefined
    if (known === undefined) cells.set(key, cell)
    if (alert.phase === "pending" && now - alert.since >= rule.for) {
      cell.alert = { ...alert, phase: "firing", firedAt: now }
      cell.fired.push(now)
      if (cell.fired.length > remembered) cell.fired.shift()
      events.push({ _tag: "Fired", alert: cell.alert, at: now })
    }
  }
  for (const [key, cell] of cells) {
    if (holding.has(key)) continue
    const { phase } = cell.alert
    if (phase === "pending") {
      // What fired before is remembered for as long as it says whether the alert flaps.
      if (cell.fired.length === 0) cells.delete(key)
      else cell.alert = { ...cell.alert, phase: "resolved", resolvedAt: now }
    } else if (phase === "firing") {
      if (cell.clearSince === undefined) {
        cell.clearSince = now
        cell.alert = { ...cell.alert, clearSince: now }
      }
      if (now - cell.clearSince < holdOf(cell, options.resolveAfter, now)) continue
      cell.alert = { ...cell.alert, phase: "resolved", resolvedAt: now }
      events.push({ _tag: "Resolved", alert: cell.alert, at: now })
    } else if (now - (cell.fired[cell.fired.length - 1] ?? 0) >= hour) cells.delete(key)
  }
  return events
}

/**
 * The next time at which passing time alone changes something.
 *
 * @since 0.1.0
 * @category getters
 */
export const nextAt = (
  { cells }: State,
  options: { readonly rules: Readonly<Record<AlertRule.Name, AlertRule.Rule>>; readonly resolveAfter: number },
  now: number
): number => {
  let next = Number.POSITIVE_INFINITY
  for (const cell of cells.values()) {
    const { phase, rule, since } = cell.alert
    if (phase === "pending") next = Math.min(next, since + options.rules[rule].for)
    else if (phase === "firing" && cell.clearSince !== undefined)
      next = Math.min(next, cell.clearSince + holdOf(cell, options.resolveAfter, now))
  }
  return next
}

/**
 * What fires now, in the order in which it began.
 *
 * @since 0.1.0
 * @category getters
 */
export const firing = ({ cells }: State): ReadonlyArray<Alert> =>
  [...cells.values()]
    .flatMap(({ alert }) => (alert.phase === "firing" ? [alert] : []))
    .sort((a, b) => (a.firedAt ?? 0) - (b.firedAt ?? 0))

/**
 * An alert by its key, one that has resolved too while it is remembered.
 *
 * @since 0.1.0
 * @category getters
 */
export const find = ({ cells }: State, key: string): Alert | undefined => cells.get(key)?.alert
