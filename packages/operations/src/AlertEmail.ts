/**
 * Alerts as mails, by SMTP through nodemailer, which is loaded when the first mail is to be sent.
 *
 * With `starttls` the connection must be secured before anything is said on it; a server that does not offer that is
 * refused. The id of the mail is the same in every try, so that a receiver can tell a repetition.
 *
 * @since 0.1.0
 */
import { promises } from "node:fs"
import * as AlertChannel from "@echelon/core/AlertChannel"
import * as AlertText from "@echelon/core/AlertText"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as AlertPost from "./AlertPost.ts"

type Email = Extract<AlertChannel.Options, { readonly type: "email" }>

const reach: ReadonlySet<string> = new Set(["ESOCKET", "ECONNECTION", "EDNS", "EPROXY"])

/** What nodemailer says of a failure, as codes: its messages may quote the server. */
const failureOf = (cause: unknown): AlertChannel.AlertChannelError => {
  const { code, responseCode } = (cause ?? {}) as { readonly code?: unknown; readonly responseCode?: unknown }
  const known = typeof code === "string" && /^[A-Z0-9_]{2,50}$/.test(code) ? code : "no connection"
  if (known === "ETLS") return AlertPost.failed("rejected", "ETLS: the connection could not be secured")
  if (typeof responseCode === "number") {
    const detail = `${known}, reply ${responseCode}`
    return AlertPost.failed(responseCode >= 400 && responseCode < 500 ? "busy" : "rejected", detail)
  }
  if (known === "ETIMEDOUT") return AlertPost.failed("timeout", known)
  return AlertPost.failed(reach.has(known) ? "unreachable" : "rejected", known)
}

const transport = Effect.fnUntraced(function* (options: Email) {
  const { caFile, host, password, port, timeout, tls, user } = options
  const { createTransport } = yield* Effect.promise(() => import("nodemailer"))
  const ca =
    caFile === undefined
      ? undefined
      : yield* Effect.tryPromise({
          try: () => promises.readFile(caFile, "utf8"),
          catch: () => AlertPost.failed("settings", "ca_file cannot be read")
        })
  return createTransport({
    host,
    port,
    secure: tls === "implicit",
    requireTLS: tls === "starttls",
    ignoreTLS: tls === "none",
    ...(ca === undefined ? {} : { tls: { ca } }),
    ...(user === undefined || password === undefined ? {} : { auth: { user, pass: Redacted.value(password) } }),
    connectionTimeout: timeout,
    greetingTimeout: timeout,
    socketTimeout: timeout,
    // A mail holds what it is given, and nothing that a path or an address in it names.
    disableFileAccess: true,
    disableUrlAccess: true
  })
})

/**
 * Makes the channel.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: AlertChannel.Maker = (options) =>
  Effect.gen(function* () {
    if (options.type !== "email") return yield* AlertPost.failed("settings", "no mail server")
    const { from, timeout, to } = options
    const connected = yield* Effect.cached(transport(options))
    return (notification) =>
      Effect.gen(function* () {
        const mailer = yield* connected
        const subject = AlertText.heading(notification)
        const text = [...AlertText.lines(notification), "", `notification ${notification.id}`].join("\n")
        const messageId = `<${notification.id}@echelon.alerts>`
        const headers = { "auto-submitted": "auto-generated" }
        const sent = yield* Effect.tryPromise({
          try: () => mailer.sendMail({ from, to: [...to], subject, text, messageId, headers }),
          catch: failureOf
        })
        const refused = sent.rejected?.length ?? 0
        if (refused > 0) return yield* AlertPost.failed("rejected", `${refused} of ${to.length} receivers`)
      }).pipe(
        Effect.timeoutOrElse({
          duration: Duration.millis(timeout),
          orElse: () => AlertPost.failed("timeout", `not sent in ${AlertText.duration(timeout)}`)
        })
      )
  })

/**
 * Adds the kind `email`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never> = AlertChannel.layer({ email: make })
