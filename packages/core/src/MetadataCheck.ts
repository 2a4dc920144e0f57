/**
 * Says what is wrong with a request's metadata, which may come from anywhere: a wrong value is the caller's mistake
 * and must neither be ignored nor bring anything down.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"
import type * as LlmRequest from "./LlmRequest.ts"

const clocks = ["timeout", "ttftTimeout", "idleTimeout", "streamTimeout", "consumerIdleTimeout"] as const

const choices = {
  priority: ["critical", "normal", "batch"],
  commit: ["first_output", "finish"],
  cache: ["default", "bypass", "refresh"]
} as const

const interrupts: ReadonlyArray<unknown> = ["fail", "resume", "restart"]

const said = (value: unknown): string => {
  const text = typeof value === "string" ? JSON.stringify(value) : String(value)
  return text.length > 60 ? `${text.slice(0, 60)}...` : text
}

/**
 * The first wrong value, with what is allowed; `undefined` when there is none.
 *
 * @since 0.1.0
 * @category getters
 */
export const problem = (metadata: LlmRequest.Metadata): string | undefined => {
  const must = (name: keyof LlmRequest.Metadata, what: string): string =>
    `metadata.${name} must be ${what}, got ${said(metadata[name])}`
  for (const name of clocks) {
    const value = metadata[name]
    if (value === undefined) continue
    const duration = Duration.fromInput(value)
    if (Option.isNone(duration) || !(Duration.toMillis(duration.value) > 0))
      return must(name, 'a length of time above 0, such as "30 seconds"')
  }
  for (const name of ["priority", "commit", "cache"] as const) {
    const allowed: ReadonlyArray<unknown> = choices[name]
    const value = metadata[name]
    if (value !== undefined && !allowed.includes(value))
      return must(name, allowed.map((one) => JSON.stringify(one)).join(" or "))
  }
  const { maxCost, maxTotalAttempts, onInterrupt, requestId } = metadata
  // It stands in logs and files, one line each.
  if (requestId !== undefined && !(typeof requestId === "string" && /^[\x21-\x7e]{1,128}$/.test(requestId)))
    return must("requestId", "up to 128 printable ASCII characters without spaces")
  if (onInterrupt !== undefined) {
    const all: ReadonlyArray<unknown> = [onInterrupt].flat()
    if (all.length === 0 || !all.every((one) => interrupts.includes(one)))
      return must("onInterrupt", '"fail", "resume" or "restart", or a list of them')
  }
  if (maxTotalAttempts !== undefined && !(Number.isSafeInteger(maxTotalAttempts) && maxTotalAttempts >= 1))
    return must("maxTotalAttempts", "a whole number from 1 on")
  if (maxCost !== undefined && !(maxCost > 0)) return must("maxCost", "an amount in USD above 0")
  return undefined
}
