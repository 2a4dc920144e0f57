/**
 * How long a provider asks to wait, in every dialect of the header.
 *
 * Read in this order: `retry-after-ms` and `x-ms-retry-after-ms` (milliseconds), then `retry-after` as seconds
 * (whole or fractional) or as an HTTP date (RFC 9110, 10.2.3). What is negative, not a number or in the past is
 * no header at all.
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"

/**
 * Response headers, names in lower case.
 *
 * @since 0.1.0
 * @category models
 */
export type Headers = Readonly<Record<string, string | undefined>>

/**
 * The wait that the headers name, at most `max` milliseconds; `undefined` when they name none.
 *
 * @example
 * ```ts
 * import { Duration } from "effect"
 * import { RetryAfter } from "@echelon/providers"
 *
 * const wait = RetryAfter.parse({ "retry-after": "2" }, { now: 0, max: 60_000 })
 * console.assert(wait !== undefined && Duration.toMillis(wait) === 2000)
 * console.assert(RetryAfter.parse({ "retry-after": "-1" }, { now: 0, max: 60_000 }) === undefined)
 * ```
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (
  headers: Headers,
  options: { readonly now: number; readonly max: number }
): Duration.Duration | undefined => {
  const millis =
    amount(headers["retry-after-ms"]) ??
    amount(headers["x-ms-retry-after-ms"]) ??
    plain(headers["retry-after"], options.now)
  return millis === undefined ? undefined : clamp(millis, options.max)
}

/**
 * A wait of `millis`, at most `max`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const clamp = (millis: number, max: number): Duration.Duration =>
  Duration.millis(Math.min(Math.ceil(millis), max))

// Every repetition is bounded and each unit stands once, so a hostile text costs no more than a right one.
const number = "(\\d{1,9}(?:\\.\\d{1,12})?)"
const units = new RegExp(`^(?:${number}h)?(?:${number}m)?(?:${number}s)?(?:${number}ms)?$`)

/**
 * The milliseconds of a duration as Go and Google's APIs write it (`1h2m3.5s`, `6m0s`, `20ms`, `17s`); `undefined`
 * when the text is none.
 *
 * @since 0.1.0
 * @category parsing
 */
export const duration = (text: string): number | undefined => {
  const found = text === "" || text.length > 64 ? null : units.exec(text)
  if (found === null) return undefined
  const [, hours = 0, minutes = 0, seconds = 0, millis = 0] = found
  return Number(hours) * 3_600_000 + Number(minutes) * 60_000 + Number(seconds) * 1_000 + Number(millis)
}

/**
 * The milliseconds until the next midnight in California, when the daily quotas of Google begin anew.
 *
 * @since 0.1.0
 * @category getters
 */
export const untilPacificMidnight = (now: number): number => {
  const here = DateTime.makeZonedUnsafe(now, { timeZone: "America/Los_Angeles" })
  return DateTime.toEpochMillis(DateTime.add(DateTime.startOf(here, "day"), { days: 1 })) - now
}

const amount = (value: string | undefined): number | undefined => {
  const text = value?.trim()
  if (text === undefined || !/^\d+(\.\d+)?$/.test(text)) return undefined
  const found = Number(text)
  return Number.isFinite(found) && found > 0 ? found : undefined
}

const plain = (value: string | undefined, now: number): number | undefined => {
  const seconds = amount(value)
  if (seconds !== undefined) return seconds * 1000
  // Every HTTP date begins with a day's name; Date.parse alone would take "-5" for a year.
  if (value === undefined || !/^\s*[A-Za-z]{3}/.test(value)) return undefined
  const at = Date.parse(value)
  return Number.isFinite(at) && at > now ? at - now : undefined
}
