/**
 * Alerts as JSON to an address of your own, signed so that the receiver knows who sent them.
 *
 * With a secret each try carries `x-echelon-signature: t=SECONDS,v1=HEX`, where HEX is the HMAC-SHA256 of
 * `SECONDS.BODY` with the secret. A receiver computes the same over the body as it came, compares in constant time,
 * and refuses a time that is minutes away. `idempotency-key` is the same in every try.
 *
 * @since 0.1.0
 */
import { createHmac } from "node:crypto"
import type * as AlertChannel from "@echelon/core/AlertChannel"
import type * as AlertState from "@echelon/core/AlertState"
import * as AlertText from "@echelon/core/AlertText"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as AlertPost from "./AlertPost.ts"

/** Alerts that one body holds. */
const most = 100

const time = (millis: number | undefined): string | null => (millis === undefined ? null : AlertText.time(millis))

const alertOf = (alert: AlertState.Alert) => ({
  key: alert.key,
  rule: alert.rule,
  severity: alert.severity,
  status: alert.phase,
  subject: { kind: alert.subject.kind, name: alert.subject.name },
  provider: alert.provider ?? null,
  text: alert.text,
  value: alert.value ?? null,
  threshold: alert.threshold ?? null,
  since: time(alert.since),
  firedAt: time(alert.firedAt),
  resolvedAt: time(alert.resolvedAt)
})

/**
 * The body of a notification. Times are ISO 8601; values are in the unit of the rule, times in milliseconds.
 *
 * @since 0.1.0
 * @category getters
 */
export const body = (notification: AlertChannel.Notification) => {
  const { at, firing, group, id, kind, resolved, severity } = notification
  const alerts = [...firing, ...resolved]
  return {
    version: 1,
    id,
    kind,
    at: AlertText.time(at),
    status: kind === "test" ? "test" : firing.length > 0 ? "firing" : "resolved",
    severity,
    group,
    title: AlertText.heading(notification),
    alerts: alerts.slice(0, most).map(alertOf),
    omitted: Math.max(0, alerts.length - most)
  }
}

/**
 * The value of `x-echelon-signature`. `at` is seconds since the epoch.
 *
 * @since 0.1.0
 * @category getters
 */
export const signature = (secret: Redacted.Redacted, at: number, text: string): string =>
  `t=${at},v1=${createHmac("sha256", Redacted.value(secret)).update(`${at}.${text}`).digest("hex")}`

/**
 * Makes the channel.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: AlertPost.MakerHttp = (options) =>
  Effect.gen(function* () {
    if (options.type !== "webhook") return yield* AlertPost.failed("settings", "no webhook")
    const client = yield* HttpClient.HttpClient
    const { headers, secret, timeout, url } = options
    const own = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Redacted.value(value)]))
    return (notification) =>
      Effect.gen(function* () {
        const text = JSON.stringify(body(notification))
        const at = Math.floor((yield* Clock.currentTimeMillis) / 1_000)
        const signed = secret === undefined ? {} : { "x-echelon-signature": signature(secret, at, text) }
        yield* AlertPost.post({
          url,
          headers: { ...own, ...signed, "idempotency-key": notification.id },
          body: text,
          timeout
        })
      }).pipe(Effect.provideService(HttpClient.HttpClient, client))
  })

/**
 * Adds the kind `webhook`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never, never, HttpClient.HttpClient> = AlertPost.layer("webhook", make)
