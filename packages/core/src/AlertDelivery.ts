/**
 * Brings notifications to one channel: a bounded queue, one at a time, repeated with growing waits.
 *
 * Each channel has its own, so that one that stalls holds up neither the others nor whoever asks them to tell.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Metric from "effect/Metric"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as AlertChannel from "./AlertChannel.ts"
import * as AlertText from "./AlertText.ts"

/** Notifications that wait for one channel; beyond, the oldest are dropped. */
const backlog = 100

/** Tries of one notification, and the waits between them: doubled from the first on. */
const tries = 5
const firstWait = 1_000
/** The longest that a channel may ask to wait. */
const longestWait = 60_000

/** The time limit of a try where the channel sets none, and what a channel is given beyond its own. */
const defaultTimeout = 10_000
const grace = 1_000

/**
 * What became of the notifications of a channel.
 *
 * @since 0.1.0
 * @category models
 */
export interface Delivery {
  readonly channel: string
  readonly type: AlertChannel.Options["type"]
  /** Those that wait, the one that is being told included. */
  readonly waiting: number
  readonly delivered: number
  /** Given up after the last try, or at once where no try would help. */
  readonly failed: number
  readonly dropped: number
  readonly retries: number
  /** The last failure, unless something was delivered since. */
  readonly lastError: string | undefined
  readonly deliveredAt: number | undefined
}

/**
 * One channel's way out.
 *
 * @since 0.1.0
 * @category models
 */
export interface Outlet {
  readonly options: AlertChannel.Options
  /** Puts a notification into the queue; never waits. */
  readonly offer: (notification: AlertChannel.Notification) => void
  readonly read: () => Delivery
  /** Waits until nothing waits any more. */
  readonly idle: Effect.Effect<void>
}

/** Deliveries of alerts by channel and outcome, for effect's own exporters. */
const deliveries = Metric.counter("echelon.alerts.deliveries", {
  description: "Deliveries of alerts.",
  incremental: true
})

const count = (channel: string, outcome: "delivered" | "failed" | "dropped" | "retried") =>
  Metric.update(Metric.withAttributes(deliveries, { "echelon.channel": channel, "echelon.outcome": outcome }), 1)

const timeoutOf = (options: AlertChannel.Options): number =>
  ("timeout" in options ? options.timeout : undefined) ?? defaultTimeout

/** One try, within its time, with a defect told as a failure. */
const once = (
  send: AlertChannel.Send,
  options: AlertChannel.Options,
  notification: AlertChannel.Notification
): Effect.Effect<void, AlertChannel.AlertChannelError> => {
  const limit = timeoutOf(options)
  return Effect.suspend(() => send(notification)).pipe(
    Effect.timeoutOrElse({
      duration: Duration.millis(limit + grace),
      orElse: () =>
        Effect.fail(
          new AlertChannel.AlertChannelError({
            failure: "timeout",
            detail: `no answer in ${AlertText.duration(limit)}`
          })
        )
    }),
    Effect.catchCause((cause) => {
      const known = cause.reasons.find((reason) => reason._tag === "Fail")
      if (known !== undefined) return Effect.fail(known.error)
      if (Cause.hasInterruptsOnly(cause)) return Effect.failCause(cause)
      return Effect.fail(new AlertChannel.AlertChannelError({ failure: "unreachable", detail: "the channel broke" }))
    })
  )
}

/** How long to wait after a failure of the try with that number, from 1 on. */
const waitAfter = (error: AlertChannel.AlertChannelError, attempt: number): number => {
  const own = firstWait * 2 ** (attempt - 1)
  const asked = error.retryAfter === undefined ? 0 : Duration.toMillis(error.retryAfter)
  return Math.max(own, Math.min(Number.isFinite(asked) ? asked : longestWait, longestWait))
}

/**
 * Makes the way out to a channel, for as long as the scope is open. A channel that cannot be made fails every
 * notification.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: AlertChannel.Options): Effect.Effect<Outlet, never, Scope.Scope> =>
  Effect.gen(function* () {
    const queue = yield* Queue.sliding<AlertChannel.Notification>(backlog)
    const idle = yield* Latch.make(true)
    const figures = { waiting: 0, delivered: 0, failed: 0, dropped: 0, retries: 0 }
    let lastError: string | undefined
    let deliveredAt: number | undefined
    let told = 0

    const made = yield* Effect.result(AlertChannel.make(options))
    const send: AlertChannel.Send = made._tag === "Success" ? made.success : () => Effect.fail(made.failure)
    if (made._tag === "Failure") {
      lastError = made.failure.message
      yield* Effect.logError(`alert channel "${options.name}" cannot be used: ${made.failure.message}`)
    }

    const deliver = Effect.fnUntraced(function* (notification: AlertChannel.Notification) {
      for (let attempt = 1; ; attempt++) {
        const result = yield* Effect.result(once(send, options, notification))
        if (result._tag === "Success") {
          figures.delivered += 1
          lastError = undefined
          deliveredAt = yield* Clock.currentTimeMillis
          return yield* count(options.name, "delivered")
        }
        const error = result.failure
        lastError = error.message
        if (!error.isRetryable || attempt === tries) {
          figures.failed += 1
          yield* count(options.name, "failed")
          const after = attempt === 1 ? "" : ` after ${attempt} tries`
          return yield* Effect.logError(
            `alert channel "${options.name}" did not take notification ${notification.id}${after}: ${error.message}`
          )
        }
        figures.retries += 1
        yield* count(options.name, "retried")
        yield* Effect.sleep(Duration.millis(waitAfter(error, attempt)))
      }
    })

    const settle = Effect.sync(() => {
      figures.waiting -= 1
      if (figures.waiting === 0) idle.openUnsafe()
    })

    yield* Effect.forkScoped(
      Effect.forever(
        Effect.gen(function* () {
          const notification = yield* Queue.take(queue)
          // What was dropped since is told here, since whoever offers does not wait.
          if (figures.dropped > told) {
            const lost = figures.dropped - told
            told = figures.dropped
            yield* Effect.logWarning(`alert channel "${options.name}" is too slow: ${lost} notifications were dropped`)
            for (let i = 0; i < lost; i++) yield* count(options.name, "dropped")
          }
          yield* Effect.ensuring(deliver(notification), settle)
        })
      )
    )

    return {
      options,
      offer: (notification) => {
        if (Queue.sizeUnsafe(queue) >= backlog) {
          figures.dropped += 1
          figures.waiting -= 1
        }
        figures.waiting += 1
        idle.closeUnsafe()
        Queue.offerUnsafe(queue, notification)
      },
      read: () => ({ channel: options.name, type: options.type, ...figures, lastError, deliveredAt }),
      idle: idle.await
    }
  })

/**
 * What came of a test.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tested {
  readonly channel: string
  readonly type: AlertChannel.Options["type"]
  /** Why it failed; `undefined` when the channel took it. */
  readonly error: AlertChannel.AlertChannelError | undefined
  /** Milliseconds. */
  readonly elapsed: number
}

/**
 * Sends a test to a channel: once, beside its queue, so that whoever asks sees at once what comes of it.
 *
 * @since 0.1.0
 * @category running
 */
export const test = (options: AlertChannel.Options): Effect.Effect<Tested> =>
  Effect.scoped(
    Effect.gen(function* () {
      const at = yield* Clock.currentTimeMillis
      const notification: AlertChannel.Notification = {
        id: `test-${at.toString(36)}`,
        kind: "test",
        at,
        group: "test",
        severity: "info",
        firing: [],
        resolved: []
      }
      const sent = Effect.flatMap(AlertChannel.make(options), (send) => once(send, options, notification))
      const result = yield* Effect.result(sent)
      const elapsed = (yield* Clock.currentTimeMillis) - at
      const error = result._tag === "Failure" ? result.failure : undefined
      return { channel: options.name, type: options.type, error, elapsed }
    })
  )
