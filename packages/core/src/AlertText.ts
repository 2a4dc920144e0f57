/**
 * What alerts say, for people: the same words in every channel.
 *
 * Names may be a caller's (a tenant is), so they are cut to size and lose what a terminal or a mail would act on.
 *
 * @since 0.1.0
 */
import type * as AlertChannel from "./AlertChannel.ts"
import type * as AlertState from "./AlertState.ts"

/** Alerts that are spelled out in one notification. */
const spelled = 20

/** Characters of a name. */
const longest = 120

/**
 * A name from outside, safe to show on a line.
 *
 * @since 0.1.0
 * @category getters
 */
export const name = (text: string): string => {
  const plain = text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, " ")
  return plain.length > longest ? `${plain.slice(0, longest)}…` : plain
}

/**
 * A time as text.
 *
 * @since 0.1.0
 * @category getters
 */
export const time = (millis: number): string => new Date(millis).toISOString()

/**
 * A length of time in its largest unit.
 *
 * @since 0.1.0
 * @category getters
 */
export const duration = (millis: number): string => {
  if (millis < 1_000) return `${Math.round(millis)} ms`
  if (millis < 60_000) return `${Number((millis / 1_000).toFixed(1))} s`
  if (millis < 7_200_000) return `${Math.round(millis / 60_000)} min`
  return `${Math.round(millis / 3_600_000)} h`
}

/**
 * A share in percent.
 *
 * @since 0.1.0
 * @category getters
 */
export const percent = (share: number): string => `${Number((share * 100).toFixed(1))} %`

/**
 * An amount, with as many digits as it takes to see a small one.
 *
 * @since 0.1.0
 * @category getters
 */
export const usd = (amount: number): string => {
  const size = Math.abs(amount)
  if (size === 0 || size >= 1) return `${amount.toFixed(2)} USD`
  const digits = Math.min(9, 2 - Math.floor(Math.log10(size)))
  return `${amount.toFixed(digits).replace(/(\.\d\d\d*?)0+$/, "$1")} USD`
}

/**
 * One alert on one line. What does not hold any more is told as what was.
 *
 * @since 0.1.0
 * @category getters
 */
export const alert = (one: AlertState.Alert, at: number): string => {
  if (one.phase === "resolved") {
    const lasted = (one.resolvedAt ?? at) - (one.firedAt ?? one.since)
    return `RESOLVED ${one.rule}: was: ${one.text} (fired for ${duration(lasted)})`
  }
  const { clearSince, rule, severity, since, text } = one
  return clearSince === undefined
    ? `FIRING ${severity} ${rule}: ${text} (since ${time(since)})`
    : `FIRING ${severity} ${rule}: was: ${text} (since ${time(since)}, not since ${time(clearSince)})`
}

const count = (value: number, what: string): string => `${value} ${what}`

/**
 * What a notification is about, as a heading.
 *
 * @since 0.1.0
 * @category getters
 */
export const heading = ({ firing, group, kind, resolved, severity }: AlertChannel.Notification): string => {
  if (kind === "test") return "[echelon] test: this channel works"
  const counts = [
    ...(firing.length > 0 ? [count(firing.length, "firing")] : []),
    ...(resolved.length > 0 ? [count(resolved.length, "resolved")] : [])
  ]
  const what = kind === "summary" ? "in quiet hours" : group
  return `[echelon] ${severity} ${what}: ${counts.join(", ")}`
}

/**
 * The alerts of a notification, a line each.
 *
 * @since 0.1.0
 * @category getters
 */
export const lines = ({ at, firing, kind, resolved }: AlertChannel.Notification): ReadonlyArray<string> => {
  if (kind === "test") return ["Nothing is wrong: somebody ran a test of this channel."]
  const all = [...firing, ...resolved]
  const shown = all.slice(0, spelled).map((one) => alert(one, at))
  return all.length > spelled ? [...shown, `and ${all.length - spelled} more`] : shown
}

/**
 * The whole on one line.
 *
 * @since 0.1.0
 * @category getters
 */
export const line = (notification: AlertChannel.Notification): string =>
  `${heading(notification)}: ${lines(notification).join("; ")}`
