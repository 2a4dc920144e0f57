/**
 * Alerts to an incoming webhook of Slack, or of what understands its form (Mattermost, Rocket.Chat, Discord's
 * `/slack`). The address is the secret.
 *
 * @since 0.1.0
 */
import type * as AlertChannel from "@echelon/core/AlertChannel"
import * as AlertText from "@echelon/core/AlertText"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as Layer from "effect/Layer"
import * as AlertPost from "./AlertPost.ts"

/** Nobody is called by a name in an alert, and no link is made of one. */
const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;")

const marks = { info: ":information_source:", warning: ":warning:", critical: ":rotating_light:" } as const

/**
 * The body of a notification.
 *
 * @since 0.1.0
 * @category getters
 */
export const body = (notification: AlertChannel.Notification): { readonly text: string } => {
  const isOver = notification.firing.length === 0
  const mark = isOver ? ":white_check_mark:" : marks[notification.severity]
  const lines = AlertText.lines(notification).map((line) => `• ${escaped(line)}`)
  return { text: [`${mark} *${escaped(AlertText.heading(notification))}*`, ...lines].join("\n") }
}

/**
 * Makes the channel.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: AlertPost.MakerHttp = (options) =>
  Effect.gen(function* () {
    if (options.type !== "slack") return yield* AlertPost.failed("settings", "no Slack webhook")
    const client = yield* HttpClient.HttpClient
    const { timeout, url } = options
    return (notification) =>
      AlertPost.post({ url, body: JSON.stringify(body(notification)), timeout }).pipe(
        Effect.asVoid,
        Effect.provideService(HttpClient.HttpClient, client)
      )
  })

/**
 * Adds the kind `slack`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never, never, HttpClient.HttpClient> = AlertPost.layer("slack", make)
