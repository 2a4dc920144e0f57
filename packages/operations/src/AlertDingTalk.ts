/**
 * Alerts to a custom robot of DingTalk. With a secret the address is signed: `sign` is the HMAC-SHA256 of
 * `MILLISECONDS\nSECRET` with the secret, in base64.
 *
 * @since 0.1.0
 */
import { createHmac } from "node:crypto"
import type * as AlertChannel from "@echelon/core/AlertChannel"
import * as AlertText from "@echelon/core/AlertText"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as AlertPost from "./AlertPost.ts"

/** A robot that is asked more than 20 times a minute is silent for a while. */
const tooOften: ReadonlySet<unknown> = new Set([130_101, 410_100])

/** The system is busy. */
const busy: ReadonlySet<unknown> = new Set([-1])

/**
 * The signature. `at` is milliseconds since the epoch. It is encoded for an address where it is put into one.
 *
 * @since 0.1.0
 * @category getters
 */
export const signature = (secret: Redacted.Redacted, at: number): string => {
  const key = Redacted.value(secret)
  return createHmac("sha256", key).update(`${at}\n${key}`).digest("base64")
}

/**
 * The body of a notification. Nobody is called by a name in an alert: that needs a field of its own.
 *
 * @since 0.1.0
 * @category getters
 */
export const body = (notification: AlertChannel.Notification) => ({
  msgtype: "text",
  text: { content: [AlertText.heading(notification), ...AlertText.lines(notification)].join("\n") }
})

/** Failures come with status 200 and a code. */
const check = (answer: string): Effect.Effect<void, AlertChannel.AlertChannelError> => {
  const code = AlertPost.objectOf(answer)?.["errcode"]
  if (code === 0) return Effect.void
  if (typeof code !== "number") return AlertPost.failed("unreachable", "the answer is none of a robot")
  if (tooOften.has(code)) return AlertPost.failed("busy", `code ${code}`, Duration.seconds(30))
  return busy.has(code) ? AlertPost.failed("busy", `code ${code}`) : AlertPost.failed("rejected", `code ${code}`)
}

/**
 * Makes the channel.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: AlertPost.MakerHttp = (options) =>
  Effect.gen(function* () {
    if (options.type !== "dingtalk") return yield* AlertPost.failed("settings", "no DingTalk robot")
    const client = yield* HttpClient.HttpClient
    const { secret, timeout, url } = options
    return (notification) =>
      Effect.gen(function* () {
        const at = yield* Clock.currentTimeMillis
        const query = secret === undefined ? {} : { timestamp: String(at), sign: signature(secret, at) }
        const text = JSON.stringify(body(notification))
        yield* check(yield* AlertPost.post({ url, query, body: text, timeout }))
      }).pipe(Effect.provideService(HttpClient.HttpClient, client))
  })

/**
 * Adds the kind `dingtalk`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never, never, HttpClient.HttpClient> = AlertPost.layer("dingtalk", make)
