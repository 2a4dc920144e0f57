/**
 * Which recorded requests are meant.
 *
 * @since 0.1.0
 */
import type { RouteRecord } from "@echelon/core/RouteRecord"

/**
 * What is asked of a record; what is `undefined` is not asked.
 *
 * @since 0.1.0
 * @category models
 */
export interface RoutesFilter {
  /** An instance that was asked; the bare name of one with several credentials means all of them. */
  readonly instance: string | undefined
  readonly wrapper: string | undefined
  readonly pool: string | undefined
  readonly group: string | undefined
  readonly tenant: string | undefined
  readonly id: string | undefined
  readonly outcome: "completed" | "failed" | "cancelled" | undefined
  /** Why the request failed, or one of its attempts. */
  readonly reason: string | undefined
  /** It began at that time or later; milliseconds since the epoch. */
  readonly since: number | undefined
  /** It took longer, in milliseconds. */
  readonly slowerThan: number | undefined
}

/**
 * A filter that lets all through.
 *
 * @since 0.1.0
 * @category constructors
 */
export const none: RoutesFilter = {
  instance: undefined,
  wrapper: undefined,
  pool: undefined,
  group: undefined,
  tenant: undefined,
  id: undefined,
  outcome: undefined,
  reason: undefined,
  since: undefined,
  slowerThan: undefined
}

const equal = (wanted: string | undefined, found: string | undefined): boolean =>
  wanted === undefined || wanted === found

/**
 * Whether a record is meant.
 *
 * @since 0.1.0
 * @category guards
 */
export const matches = (filter: RoutesFilter, record: RouteRecord): boolean => {
  const { instance, reason, since, slowerThan } = filter
  if (!equal(filter.wrapper, record.wrapper) || !equal(filter.pool, record.pool)) return false
  if (!equal(filter.group, record.group) || !equal(filter.tenant, record.tenant)) return false
  if (!equal(filter.id, record.id) || !equal(filter.outcome, record.outcome)) return false
  if (since !== undefined && !(Date.parse(record.at) >= since)) return false
  if (slowerThan !== undefined && !((record.totalMs ?? 0) > slowerThan)) return false
  if (reason !== undefined && record.reason !== reason && !record.attempts.some((one) => one.reason === reason))
    return false
  return (
    instance === undefined ||
    record.attempts.some((one) => one.instance === instance || one.instance.startsWith(`${instance}@`))
  )
}

const units = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/**
 * Reads a length of time: seconds, or a number with `ms`, `s`, `m`, `h` or `d`. `undefined` when it is none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const span = (text: string): number | undefined => {
  const [, amount, unit = "s"] = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?$/.exec(text.trim()) ?? []
  return amount === undefined ? undefined : Number(amount) * units[unit as keyof typeof units]
}

/**
 * Reads a point in time: a length of time before now, or a date and time in ISO 8601. `undefined` when it is none.
 *
 * @since 0.1.0
 * @category constructors
 */
export const since = (text: string, now: number): number | undefined => {
  const back = span(text)
  if (back !== undefined) return now - back
  const at = /^\d{4}-\d\d/.test(text.trim()) ? Date.parse(text.trim()) : Number.NaN
  return Number.isNaN(at) ? undefined : at
}
