/**
 * The clocks of one attempt. Each is named in the error it raises, and each aborts the connection.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Reason from "./Reason.ts"

/**
 * Lengths in milliseconds. `undefined` means that the clock does not run.
 *
 * @since 0.1.0
 * @category models
 */
export interface Clocks {
  /** The attempt until commit; for a buffered reply that is until it is whole. */
  readonly attempt: number
  /** Until first output. Unset: the attempt's clock alone. */
  readonly ttft: number | undefined
  /** Between provider events after first output, while the consumer pulls. */
  readonly idle: number
  /** The whole stream. Unset: a long answer is no failure. */
  readonly stream: number | undefined
  /** Without a pull by the consumer. */
  readonly consumerIdle: number
  /** Clocks that the caller made shorter than configured: when they run out, the instance is not to blame. */
  readonly shortened?: ReadonlyArray<Reason.ClockName> | undefined
}

/**
 * The clocks when nothing is configured.
 *
 * @default attempt 60 s, idle 60 s, consumerIdle 300 s, ttft and stream unset
 * @since 0.1.0
 * @category constructors
 */
export const defaults: Clocks = {
  attempt: 60_000,
  ttft: undefined,
  idle: 60_000,
  stream: undefined,
  consumerIdle: 300_000
}

/**
 * Clocks as a person states them; what is absent keeps the weaker value.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly timeout?: Duration.Input | undefined
  readonly ttftTimeout?: Duration.Input | undefined
  readonly idleTimeout?: Duration.Input | undefined
  readonly streamTimeout?: Duration.Input | undefined
  readonly consumerIdleTimeout?: Duration.Input | undefined
}

/**
 * Lays stated clocks over weaker ones.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withOptions = (weaker: Clocks, options: Options): Clocks => {
  const pick = (name: keyof Options, fallback: number | undefined): number | undefined => {
    const value = options[name]
    if (value === undefined) return fallback
    const millis = Duration.toMillis(value)
    if (!(millis > 0)) throw new RangeError(`Clocks.withOptions: ${name} must be above 0, got ${millis} ms`)
    return millis
  }
  return {
    attempt: pick("timeout", weaker.attempt) as number,
    ttft: pick("ttftTimeout", weaker.ttft),
    idle: pick("idleTimeout", weaker.idle) as number,
    stream: pick("streamTimeout", weaker.stream),
    consumerIdle: pick("consumerIdleTimeout", weaker.consumerIdle) as number
  }
}

/**
 * Lays a caller's own clocks over configured ones, and marks those that became shorter.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withCaller = (configured: Clocks, options: Options): Clocks => {
  const clocks = withOptions(configured, options)
  const never = Number.POSITIVE_INFINITY
  const shortened: Array<Reason.ClockName> = []
  for (const name of ["attempt", "ttft", "idle", "stream"] as const) {
    const before = configured[name] ?? (name === "ttft" ? configured.attempt : never)
    if (clocks[name] !== configured[name] && (clocks[name] ?? never) < before) shortened.push(name)
  }
  return shortened.length === 0 ? clocks : { ...clocks, shortened }
}

/**
 * Makes clocks over the defaults.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Clocks => withOptions(defaults, options)
