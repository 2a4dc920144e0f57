/**
 * Days and months of a time zone: what usage is counted by, and when budgets begin anew.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Option from "effect/Option"

/**
 * A day or a month: its first day, as `YYYY-MM-DD`, and from when until when it lasts, in milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface Span {
  readonly day: string
  readonly from: number
  readonly until: number
}

/**
 * How long a budget lasts.
 *
 * @since 0.1.0
 * @category models
 */
export type Period = "day" | "month"

/**
 * A calendar. It keeps the spans of the last asked time, so that asking again costs two comparisons.
 *
 * @since 0.1.0
 * @category models
 */
export interface UsageCalendar {
  readonly of: (period: Period, at: number) => Span
}

/**
 * What a time zone is written like; whether there is such a place is for the runtime to say.
 *
 * @since 0.1.0
 * @category models
 */
export const zonePattern = "^(UTC|[+-](0\\d|1[0-4]):[0-5]\\d|[A-Za-z]+(/[A-Za-z0-9_+-]+)+)$"

/**
 * Reads a time zone: `UTC`, an offset such as `+02:00`, or a name such as `Europe/Berlin`.
 *
 * @since 0.1.0
 * @category getters
 */
export const zoneOf = (text: string): DateTime.TimeZone | undefined => {
  if (!new RegExp(zonePattern).test(text)) return undefined
  return text === "UTC" ? DateTime.zoneMakeOffset(0) : Option.getOrUndefined(DateTime.zoneFromString(text))
}

const spanOf = (zone: DateTime.TimeZone, period: Period, at: number): Span => {
  const from = DateTime.startOf(DateTime.makeZonedUnsafe(at, { timeZone: zone }), period)
  const next = DateTime.add(from, period === "day" ? { days: 1 } : { months: 1 })
  return { day: DateTime.formatIsoDate(from), from: DateTime.toEpochMillis(from), until: DateTime.toEpochMillis(next) }
}

/**
 * Makes the calendar of a time zone.
 *
 * **Errors** Throws `RangeError` when the time zone is none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (timeZone: string): UsageCalendar => {
  const zone = zoneOf(timeZone)
  if (zone === undefined) throw new RangeError(`UsageCalendar.make: timeZone must be a time zone, got ${timeZone}`)
  const none: Span = { day: "", from: 0, until: 0 }
  const last = { day: none, month: none }
  return {
    of: (period, at) => {
      const known = last[period]
      if (at >= known.from && at < known.until) return known
      const found = spanOf(zone, period, at)
      last[period] = found
      return found
    }
  }
}
