/**
 * What a provider says is left of its limits, in every dialect of the headers.
 *
 * A dialect is told by the headers that are there, never by the provider's name: servers copy each other's, and
 * proxies pass on what they were told. One report a kind comes out, the tightest: whoever learns from it holds one
 * ceiling for requests and one for tokens.
 *
 * - OpenAI, Azure, Groq, xAI, SambaNova: `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`. Groq's requests
 *   are those of a day; xAI and some deployments of Azure name no reset.
 * - Cerebras, SambaNova, Mistral: the same with a window, `-{minute,hour,day}`; Mistral writes `req`.
 * - Fireworks: `-tokens-prompt`, `-tokens-cache-adjusted-prompt` and `-tokens-generated`, without a reset.
 * - Anthropic: `anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{limit,remaining,reset}`.
 * - Together: `x-ratelimit-*` for requests and `x-tokenlimit-*` for tokens; draft-ietf-httpapi-ratelimit-headers up
 *   to its sixth version: `ratelimit-*`. Both count requests.
 *
 * @since 0.1.0
 */
import type * as ReportedLimit from "@echelon/core/ReportedLimit"
import * as Duration from "effect/Duration"
import * as RetryAfter from "./RetryAfter.ts"

/** Three headers that belong together. */
interface Family {
  readonly of: "requests" | "tokens" | "input" | "output"
  readonly remaining: string
  readonly limit: string
  readonly reset: string
  /** The reset is when the limit is whole, and it fills evenly until then. */
  readonly fills: boolean
}

const suffixed = (of: Family["of"], name: string, fills = false): Family => ({
  of,
  remaining: `x-ratelimit-remaining-${name}`,
  limit: `x-ratelimit-limit-${name}`,
  reset: `x-ratelimit-reset-${name}`,
  fills
})

const prefixed = (of: Family["of"], prefix: string, fills = false): Family => ({
  of,
  remaining: `${prefix}-remaining`,
  limit: `${prefix}-limit`,
  reset: `${prefix}-reset`,
  fills
})

const families: ReadonlyArray<Family> = [
  suffixed("requests", "requests", true),
  suffixed("tokens", "tokens", true),
  suffixed("tokens", "project-tokens", true),
  prefixed("requests", "anthropic-ratelimit-requests", true),
  prefixed("tokens", "anthropic-ratelimit-tokens", true),
  prefixed("input", "anthropic-ratelimit-input-tokens", true),
  prefixed("output", "anthropic-ratelimit-output-tokens", true),
  ...["minute", "hour", "day"].flatMap((window) => [
    suffixed("requests", `requests-${window}`),
    suffixed("tokens", `tokens-${window}`)
  ]),
  suffixed("requests", "req-minute"),
  suffixed("input", "tokens-prompt"),
  suffixed("input", "tokens-cache-adjusted-prompt"),
  suffixed("output", "tokens-generated"),
  prefixed("requests", "x-ratelimit"),
  { ...prefixed("tokens", "x-tokenlimit"), reset: "x-ratelimit-reset" },
  prefixed("requests", "ratelimit")
]

/**
 * Whether a response may say something of limits. One pass over the names: it is asked of every response.
 *
 * @since 0.1.0
 * @category guards
 */
export const isPresent = (headers: RetryAfter.Headers): boolean => {
  for (const name in headers) if (name.includes("-remaining")) return true
  return false
}

const minute = 60_000
const day = 24 * 60 * minute

/** What all headers of a response are read by. */
interface Context {
  readonly now: number
  readonly max: number
  /** Milliseconds to `retry-after`; infinite when there is none. */
  readonly named: number
  readonly serverTime: () => number
}

interface Reading {
  readonly of: Family["of"]
  readonly remaining: number
  readonly limit: number | undefined
  readonly resetAt: number | undefined
}

/**
 * Reads what is left: at most one report of requests and one of tokens, the one that has least left.
 *
 * **Details** `now` is milliseconds since the epoch; no `resetAt` lies further away than `max` milliseconds or 24 h.
 * A number of seconds, a duration such as `6m0s` and an instant (RFC 3339, seconds or milliseconds since the epoch)
 * are understood. An instant is the server's: it counts from the response's `date` where that is within 24 h of
 * `now`.
 *
 * The unsuffixed dialects of OpenAI and Anthropic name the time at which a limit is whole that fills evenly. A
 * limit of a day that is used up would then be believed for a day although its next request comes back in seconds;
 * so beyond a minute such a report holds only until one more unit is back. A `retry-after` ends every report: it
 * invites the next request. A report that names no time at all leaves it open.
 *
 * Anthropic and Fireworks count input and output apart, and one estimate of both is reserved here. The share that is
 * left of the scarcer one is taken of the whole (the limit of all tokens, or the sum of the two): comparing the
 * figures themselves would hold long prompts back by the smaller limit of output.
 *
 * **Gotchas** What is no number, negative, a limit of 0 or a reset that has passed makes its own report void.
 *
 * @example
 * ```ts
 * import { LimitHeaders } from "@echelon/providers"
 *
 * const headers = {
 *   "x-ratelimit-limit-requests": "60",
 *   "x-ratelimit-remaining-requests": "59",
 *   "x-ratelimit-reset-requests": "1s"
 * }
 * const [report] = LimitHeaders.parse(headers, { now: 0, max: 3_600_000 })
 * console.assert(report?.kind === "requests" && report.remaining === 59 && report.resetAt === 1_000)
 * ```
 *
 * @since 0.1.0
 * @category parsing
 */
export const parse = (
  headers: RetryAfter.Headers,
  options: { readonly now: number; readonly max: number }
): ReadonlyArray<ReportedLimit.Report> => {
  const { now } = options
  const max = Math.floor(Math.min(options.max, day))
  if (!(max >= 1)) return []
  const retryAfter = RetryAfter.parse(headers, { now, max })
  const named = retryAfter === undefined ? Number.POSITIVE_INFINITY : Duration.toMillis(retryAfter)
  let server: number | undefined
  const context: Context = { now, max, named, serverTime: () => (server ??= serverTime(now, headers["date"])) }
  const readings: Array<Reading> = []
  for (const family of families) {
    if (headers[family.remaining] === undefined) continue
    const reading = read(family, headers, context)
    if (reading !== undefined) readings.push(reading)
  }
  const reports: Array<ReportedLimit.Report> = []
  const requests = tightest(readings.filter((reading) => reading.of === "requests"))
  if (requests !== undefined) reports.push(toReport("requests", requests))
  const tokens = tightest(inTokens(readings.filter((reading) => reading.of !== "requests")))
  if (tokens !== undefined) reports.push(toReport("tokens", tokens))
  return reports
}

const toReport = (kind: ReportedLimit.Report["kind"], reading: Reading): ReportedLimit.Report => {
  const { limit, remaining, resetAt } = reading
  return { kind, remaining, limit, resetAt }
}

const read = (family: Family, headers: RetryAfter.Headers, context: Context): Reading | undefined => {
  const remaining = count(headers[family.remaining])
  if (remaining === undefined) return undefined
  const stated = headers[family.limit]
  const limit = stated === undefined ? undefined : count(first(stated))
  if (stated !== undefined && !limit) return undefined
  const reset = headers[family.reset]?.trim() ?? ""
  const whole = reset === "" ? Number.POSITIVE_INFINITY : waitOf(reset, context)
  if (whole === undefined) return undefined
  const { max, named, now } = context
  const wait = Math.min(family.fills ? believed(whole, remaining, limit) : whole, named)
  const resetAt = wait === Number.POSITIVE_INFINITY ? undefined : now + Math.max(1, Math.ceil(Math.min(wait, max)))
  return { of: family.of, remaining, limit, resetAt }
}

/** How long a limit that fills evenly may be taken for what it was. */
const believed = (whole: number, remaining: number, limit: number | undefined): number =>
  whole <= minute || whole === Number.POSITIVE_INFINITY || limit === undefined || limit <= remaining
    ? whole
    : Math.max(minute, whole / (limit - remaining))

/** Puts input and output in proportion to all tokens. */
const inTokens = (readings: ReadonlyArray<Reading>): ReadonlyArray<Reading> => {
  const most = (of: Family["of"]) =>
    readings.reduce((limit, reading) => (reading.of === of ? Math.max(limit, reading.limit ?? 0) : limit), 0)
  const whole = most("tokens") || most("input") + most("output")
  return readings.flatMap((reading) => {
    const { limit, of, remaining } = reading
    if (of === "tokens") return [reading]
    // Without a limit only an empty one can be compared.
    if (limit === undefined) return remaining === 0 ? [reading] : []
    return [{ ...reading, remaining: Math.floor(Math.min(1, remaining / limit) * whole), limit: whole }]
  })
}

const tightest = (readings: ReadonlyArray<Reading>): Reading | undefined => {
  let least: Reading | undefined
  for (const reading of readings) {
    const isLess =
      least === undefined ||
      reading.remaining < least.remaining ||
      (reading.remaining === least.remaining && (reading.resetAt ?? 0) > (least.resetAt ?? 0))
    if (isLess) least = reading
  }
  return least
}

/** The draft lists quotas with their windows behind the one that counts: `100, 100;w=60`. */
const first = (text: string): string => text.slice(0, 64).split(/[,;]/, 1)[0] ?? ""

const decimal = (text: string): number | undefined =>
  text.length <= 32 && /^\d{1,15}(?:\.\d{1,15})?$/.test(text) ? Number(text) : undefined

const count = (text: string | undefined): number | undefined => {
  const found = text === undefined ? undefined : decimal(text.trim())
  return found === undefined ? undefined : Math.floor(found)
}

/** Milliseconds until a reset; `undefined` for one that has passed or is none. */
const waitOf = (text: string, context: Context): number | undefined => {
  const found = decimal(text)
  // No wait is as long as the seconds since 1970 were in 2001.
  if (found !== undefined && found < 1e9) return found * 1_000
  const at = found === undefined ? instant(text) : found < 1e12 ? found * 1_000 : found
  if (at === undefined) return RetryAfter.duration(text)
  const wait = at - context.serverTime()
  return wait >= 0 ? wait : undefined
}

const instant = (text: string): number | undefined => {
  if (text.length > 40 || !/^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}/.test(text)) return undefined
  const at = Date.parse(text)
  return Number.isFinite(at) ? at : undefined
}

const serverTime = (now: number, date: string | undefined): number => {
  // Date.parse alone would take "5" for a month.
  const at = date !== undefined && date.length <= 40 && /^[A-Za-z]{3},/.test(date) ? Date.parse(date) : Number.NaN
  return Math.abs(at - now) <= day ? at : now
}
