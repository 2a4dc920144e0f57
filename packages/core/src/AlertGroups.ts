/**
 * When what is told: grouping, repetition, quiet hours, silences, each thing once.
 *
 * What the outside knows is compared with what fires, and the difference is told. So nothing is told twice before the
 * interval for repetitions, and nothing is lost by being held: a difference stays one until it is told or has gone.
 *
 * @since 0.1.0
 */
import type * as AlertChannel from "./AlertChannel.ts"
import * as AlertRule from "./AlertRule.ts"
import * as AlertSettings from "./AlertSettings.ts"
import * as AlertState from "./AlertState.ts"

/**
 * What is to be told, but for its id.
 *
 * @since 0.1.0
 * @category models
 */
export type Draft = Omit<AlertChannel.Notification, "id">

interface Group {
  /** Since when there is something to tell. */
  dirtySince: number | undefined
  /** When the whole of it was last told of. */
  toldAt: number
}

/**
 * What the outside knows.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  readonly groups: Map<string, Group>
  /** What was told to fire and not yet to have resolved, by key. */
  readonly told: Map<string, AlertState.Alert>
  /** What fired and resolved in quiet hours. */
  readonly missed: Map<string, AlertState.Alert>
  readonly silences: Map<AlertRule.Name, number>
  wasQuiet: boolean
}

/** What fired and resolved in quiet hours is remembered up to here. */
const mostMissed = 200

/**
 * Nothing was told.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (): State => ({
  groups: new Map(),
  told: new Map(),
  missed: new Map(),
  silences: new Map(),
  wasQuiet: false
})

/**
 * The group of an alert: those of one family and one provider are told together.
 *
 * @since 0.1.0
 * @category getters
 */
export const groupOf = ({ provider, rule }: Pick<AlertState.Alert, "rule" | "provider">): string => {
  const { family } = AlertRule.facts[rule]
  return provider === undefined || family === "provider_down" ? family : `${family} (${provider})`
}

/**
 * Whether a rule is silenced.
 *
 * @since 0.1.0
 * @category guards
 */
export const isSilenced = ({ silences }: State, rule: AlertRule.Name, now: number): boolean =>
  now < (silences.get(rule) ?? 0)

const highest = (alerts: ReadonlyArray<AlertState.Alert>): AlertRule.Severity =>
  alerts.reduce<AlertRule.Severity>(
    (found, { severity }) => (AlertRule.isAtLeast(severity, found) ? severity : found),
    "info"
  )

/** Receivers show no end of alerts: what they leave out is minor, or was told before. */
const ordered = (
  alerts: ReadonlyArray<AlertState.Alert>,
  fresh: ReadonlyArray<AlertState.Alert>
): ReadonlyArray<AlertState.Alert> => {
  const isFresh = new Set(fresh)
  const rank = (alert: AlertState.Alert): number =>
    AlertRule.severities.indexOf(alert.severity) * 2 + (isFresh.has(alert) ? 1 : 0)
  return [...alerts].sort((a, b) => rank(b) - rank(a))
}

interface Difference {
  /** What fires and is told by no other alert. */
  readonly current: Array<AlertState.Alert>
  readonly fresh: Array<AlertState.Alert>
  readonly gone: Array<AlertState.Alert>
}

/** What fires and what the outside knows, by group. */
const differences = (state: State, alerts: AlertState.State, now: number): Map<string, Difference> => {
  const all = new Map<string, Difference>()
  const at = (alert: AlertState.Alert): Difference => {
    const name = groupOf(alert)
    let found = all.get(name)
    if (found === undefined) {
      found = { current: [], fresh: [], gone: [] }
      all.set(name, found)
    }
    return found
  }
  const firing = new Set<string>()
  for (const alert of AlertState.firing(alerts)) {
    firing.add(alert.key)
    if (isSilenced(state, alert.rule, now)) continue
    const told = state.told.get(alert.key)
    // What somebody was told stays told, though another alert says the same by now.
    if (alert.isInhibited && told === undefined) continue
    const { current, fresh } = at(alert)
    if (!alert.isInhibited) current.push(alert)
    if (told === undefined) fresh.push(alert)
  }
  for (const [key, told] of state.told) {
    if (firing.has(key) || isSilenced(state, told.rule, now)) continue
    const found = AlertState.find(alerts, key)
    const gone = found?.phase === "resolved" ? found : { ...told, phase: "resolved" as const, resolvedAt: now }
    at(gone).gone.push({ ...gone, firedAt: told.firedAt })
  }
  return all
}

const tell = (state: State, { current, fresh, gone }: Difference): void => {
  for (const alert of [...current, ...fresh]) state.told.set(alert.key, alert)
  for (const { key } of gone) state.told.delete(key)
}

/**
 * What is to be told now. With `isLast` nothing is waited for, since nobody will come back.
 *
 * @since 0.1.0
 * @category mutations
 */
export const step = (
  state: State,
  alerts: AlertState.State,
  events: ReadonlyArray<AlertState.Event>,
  settings: AlertSettings.Settings,
  now: number,
  isLast = false
): ReadonlyArray<Draft> => {
  for (const [rule, until] of state.silences) if (now >= until) state.silences.delete(rule)
  const isQuiet = AlertSettings.isQuiet(settings.quietHours, now)
  const ends = state.wasQuiet && !isQuiet
  state.wasQuiet = isQuiet
  for (const { _tag, alert } of events) {
    const isUnheard = _tag === "Resolved" && !state.told.has(alert.key) && !alert.isInhibited
    if (!isQuiet || !isUnheard || isSilenced(state, alert.rule, now)) continue
    if (state.missed.size < mostMissed || state.missed.has(alert.key)) state.missed.set(alert.key, alert)
  }
  const drafts: Array<Draft> = []
  const found = differences(state, alerts, now)
  for (const name of state.groups.keys()) if (!found.has(name)) state.groups.delete(name)

  if (ends) {
    const summary: Difference = { current: [], fresh: [], gone: [] }
    for (const [name, difference] of found) {
      if (difference.fresh.length + difference.gone.length === 0) continue
      summary.fresh.push(...difference.fresh)
      summary.gone.push(...difference.gone)
      const group = state.groups.get(name)
      if (group !== undefined) Object.assign(group, { dirtySince: undefined, toldAt: now })
      else state.groups.set(name, { dirtySince: undefined, toldAt: now })
    }
    const firing = new Set(summary.fresh.map(({ key }) => key))
    const missed = [...state.missed.values()].filter(({ key }) => !firing.has(key))
    state.missed.clear()
    const resolved = [...missed, ...summary.gone]
    tell(state, summary)
    if (summary.fresh.length + resolved.length > 0) {
      const severity = highest([...summary.fresh, ...resolved])
      drafts.push({
        kind: "summary",
        at: now,
        group: "quiet hours",
        severity,
        firing: ordered(summary.fresh, []),
        resolved
      })
    }
  }

  for (const [name, difference] of found) {
    const { current, fresh, gone } = difference
    const changes = ends ? [] : [...fresh, ...gone]
    const group = state.groups.get(name) ?? { dirtySince: undefined, toldAt: now }
    state.groups.set(name, group)
    if (changes.length === 0) group.dirtySince = undefined
    else group.dirtySince ??= now
    const isDue = group.dirtySince !== undefined && (isLast || now - group.dirtySince >= settings.groupWait)
    const isRepeat = current.length > 0 && now - group.toldAt >= settings.repeatInterval
    if (!isDue && !(isRepeat && changes.length === 0)) continue
    const severity = highest(isRepeat ? [...current, ...changes] : changes)
    if (isQuiet && severity !== "critical") continue
    const firing = ordered(isRepeat ? current : fresh, fresh)
    drafts.push({
      kind: "alerts",
      at: now,
      group: name,
      severity: highest([...firing, ...gone]),
      firing,
      resolved: gone
    })
    tell(state, difference)
    group.dirtySince = undefined
    // Or what else fires would not be repeated while something changes now and then.
    if (isRepeat || fresh.length === current.length) group.toldAt = now
  }
  return drafts
}

/**
 * The next time at which passing time alone gives something to tell; quiet hours do not count.
 *
 * @since 0.1.0
 * @category getters
 */
export const nextAt = ({ groups, silences }: State, settings: AlertSettings.Settings, now: number): number => {
  let next = Number.POSITIVE_INFINITY
  for (const { dirtySince, toldAt } of groups.values()) {
    const at = dirtySince === undefined ? toldAt + settings.repeatInterval : dirtySince + settings.groupWait
    if (at > now) next = Math.min(next, at)
  }
  for (const until of silences.values()) if (until > now) next = Math.min(next, until)
  return next
}

/**
 * What of a notification a channel is told; `undefined` when nothing.
 *
 * @since 0.1.0
 * @category getters
 */
export const forChannel = (
  notification: AlertChannel.Notification,
  { name, resolved, severity }: Pick<AlertChannel.Options, "name" | "resolved" | "severity">,
  rules: AlertSettings.Settings["rules"]
): AlertChannel.Notification | undefined => {
  if (notification.kind === "test") return notification
  const isFor = ({ rule, severity: own }: AlertState.Alert): boolean =>
    AlertRule.isAtLeast(own, severity) && rules[rule].channels?.includes(name) !== false
  const firing = notification.firing.filter(isFor)
  const gone = resolved ? notification.resolved.filter(isFor) : []
  if (firing.length + gone.length === 0) return undefined
  return { ...notification, severity: highest([...firing, ...gone]), firing, resolved: gone }
}
