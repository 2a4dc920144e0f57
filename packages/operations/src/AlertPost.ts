/**
 * Posts a notification to an address, once, and says what came of it.
 *
 * The address is secret: it is in no error, and no span is made of the call. Redirects are not followed, since whoever
 * answers with one would be told where somebody else listens.
 *
 * @since 0.1.0
 */
import * as AlertChannel from "@echelon/core/AlertChannel"
import * as AlertText from "@echelon/core/AlertText"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"

/** What is read of an answer. */
const longestAnswer = 16 * 1024

/**
 * What is posted: JSON, to an address.
 *
 * @since 0.1.0
 * @category models
 */
export interface Post {
  readonly url: Redacted.Redacted
  /** Added to those of the address. */
  readonly query?: Readonly<Record<string, string>> | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly body: string
  /** Milliseconds. */
  readonly timeout: number
}

/**
 * Makes the error of a channel.
 *
 * @since 0.1.0
 * @category constructors
 */
export const failed = (
  failure: AlertChannel.Failure,
  detail: string,
  retryAfter?: Duration.Duration
): AlertChannel.AlertChannelError => new AlertChannel.AlertChannelError({ failure, detail, retryAfter })

/** The code of a system or TLS error, which says what is wrong and nothing of where. */
const codeOf = (cause: unknown): string => {
  for (let at = cause, depth = 0; typeof at === "object" && at !== null && depth < 5; depth++) {
    const { cause: next, code } = at as { readonly cause?: unknown; readonly code?: unknown }
    if (typeof code === "string" && /^[A-Z0-9_]{2,50}$/.test(code)) return code
    at = next
  }
  return "no connection"
}

const transportFailed = ({ reason }: HttpClientError.HttpClientError): AlertChannel.AlertChannelError =>
  reason._tag === "InvalidUrlError"
    ? failed("settings", "the address is none")
    : failed("unreachable", "cause" in reason ? codeOf(reason.cause) : "no answer that can be read")

/** `Retry-After` as seconds or as a date. */
const retryAfterOf = (header: string | undefined, now: number): Duration.Duration | undefined => {
  if (header === undefined) return undefined
  const wait = /^\d+$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - now
  return Number.isFinite(wait) && wait > 0 ? Duration.millis(wait) : undefined
}

const isBusy = (status: number): boolean => status === 408 || status === 425 || status === 429 || status >= 500

/**
 * Posts, and gives the beginning of the answer.
 *
 * **Errors** `busy` for 408, 425, 429 and 5xx, with the time of `Retry-After`; `rejected` for any other status that is
 * not 2xx; `unreachable`, `timeout`.
 *
 * @since 0.1.0
 * @category running
 */
export const post = ({
  body,
  headers = {},
  query = {},
  timeout,
  url
}: Post): Effect.Effect<string, AlertChannel.AlertChannelError, HttpClient.HttpClient> =>
  Effect.gen(function* () {
    const client = HttpClient.withScope(yield* HttpClient.HttpClient)
    const request = HttpClientRequest.post(Redacted.value(url)).pipe(
      HttpClientRequest.appendUrlParams(query),
      HttpClientRequest.setHeaders({ "user-agent": "echelon-alerts", ...headers }),
      HttpClientRequest.bodyText(body, "application/json; charset=utf-8")
    )
    const response = yield* Effect.mapError(client.execute(request), transportFailed)
    let size = 0
    const answer = yield* response.stream.pipe(
      Stream.takeUntil((chunk) => {
        size += chunk.length
        return size >= longestAnswer
      }),
      Stream.decodeText,
      Stream.runFold(
        () => "",
        (text, chunk) => (text + chunk).slice(0, longestAnswer)
      ),
      Effect.mapError(transportFailed)
    )
    const { status } = response
    if (status >= 200 && status < 300) return answer
    const wait = retryAfterOf(response.headers["retry-after"], yield* Clock.currentTimeMillis)
    if (isBusy(status)) return yield* failed("busy", `status ${status}`, wait)
    return yield* failed("rejected", `status ${status}${status < 400 ? "; redirects are not followed" : ""}`)
  }).pipe(
    Effect.scoped,
    Effect.timeoutOrElse({
      duration: Duration.millis(timeout),
      orElse: () => failed("timeout", `no answer in ${AlertText.duration(timeout)}`)
    }),
    // The address would be in the span, and the trace of nobody's request in the headers.
    Effect.provideService(HttpClient.TracerDisabledWhen, () => true)
  )

/**
 * Reads an answer that is a JSON object; `undefined` when it is none.
 *
 * @since 0.1.0
 * @category getters
 */
export const objectOf = (answer: string): Readonly<Record<string, unknown>> | undefined => {
  try {
    const value: unknown = JSON.parse(answer)
    return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>) : undefined
  } catch {
    // Whatever it is, it is not the answer that was asked for; the caller says so.
    return undefined
  }
}

/**
 * Makes a channel over HTTP of its settings.
 *
 * @since 0.1.0
 * @category models
 */
export type MakerHttp = (
  options: AlertChannel.Options
) => Effect.Effect<AlertChannel.Send, AlertChannel.AlertChannelError, HttpClient.HttpClient>

/**
 * Adds a kind of channel that posts by the `HttpClient` that is provided. It must not follow redirects.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (kind: string, make: MakerHttp): Layer.Layer<never, never, HttpClient.HttpClient> =>
  Layer.unwrap(
    Effect.map(HttpClient.HttpClient, (client) =>
      AlertChannel.layer({ [kind]: (options) => Effect.provideService(make(options), HttpClient.HttpClient, client) })
    )
  )
