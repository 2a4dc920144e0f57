/**
 * Alerts to a custom bot of Feishu or Lark. With a secret the body is signed: `sign` is the HMAC-SHA256 of nothing
 * with `SECONDS\nSECRET` as its key, in base64.
 *
 * @since 0.1.0
 */
import { createHmac } from "node:crypto"
import type * as AlertChannel from "@echelon/core/AlertChannel"
import * as AlertText from "@echelon/core/AlertText"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as AlertPost from "./AlertPost.ts"

/** Texts may hold tags, `<at user_id="all">` for example. */
const escaped = (text: string): string => text.replaceAll("<", "‹").replaceAll(">", "›")

/** Answers that say: too often, come later. */
const busy: ReadonlySet<unknown> = new Set([9499, 11232])

/**
 * The signature. `at` is seconds since the epoch.
 *
 * @since 0.1.0
 * @category getters
 */
export const signature = (secret: Redacted.Redacted, at: number): string =>
  createHmac("sha256", `${at}\n${Redacted.value(secret)}`)
    .update("")
    .digest("base64")

/**
 * The body of a notification, but for its signature.
 *
 * @since 0.1.0
 * @category getters
 */
export const body = (notification: AlertChannel.Notification) => ({
  msg_type: "text",
  content: { text: [AlertText.heading(notification), ...AlertText.lines(notification)].map(escaped).join("\n") }
})

/** Failures come with status 200 and a code, under one of two names. */
const check = (answer: string): Effect.Effect<void, AlertChannel.AlertChannelError> => {
  const found = AlertPost.objectOf(answer)
  const code = found?.["code"] ?? found?.["StatusCode"]
  if (code === 0) return Effect.void
  if (typeof code !== "number") return AlertPost.failed("unreachable", "the answer is none of a bot")
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
    if (options.type !== "feishu") return yield* AlertPost.failed("settings", "no Feishu bot")
    const client = yield* HttpClient.HttpClient
    const { secret, timeout, url } = options
    return (notification) =>
      Effect.gen(function* () {
        const at = Math.floor((yield* Clock.currentTimeMillis) / 1_000)
        const signed = secret === undefined ? {} : { timestamp: String(at), sign: signature(secret, at) }
        const text = JSON.stringify({ ...signed, ...body(notification) })
        yield* check(yield* AlertPost.post({ url, body: text, timeout }))
      }).pipe(Effect.provideService(HttpClient.HttpClient, client))
  })

/**
 * Adds the kind `feishu`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never, never, HttpClient.HttpClient> = AlertPost.layer("feishu", make)
