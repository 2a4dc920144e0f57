/**
 * The face of whatever carries an HTTP exchange: a request goes in, the head and the bytes of the answer come out.
 *
 * It is smaller than effect's `HttpClient`, which costs more than the exchange itself: no request and response
 * objects, no spans, no streams of their own. Any `HttpClient` can stand behind it.
 *
 * @since 0.1.0
 */
import type * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import type * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as RetryAfter from "./RetryAfter.ts"

/**
 * What a pull gives.
 *
 * @since 0.1.0
 * @category models
 */
export type Chunks = Arr.NonEmptyReadonlyArray<Uint8Array>

/**
 * What goes out. `headers` are complete: nothing is added but what belongs to the connection.
 *
 * @since 0.1.0
 * @category models
 */
export interface Request {
  readonly method: "GET" | "POST"
  /** Scheme, host and port; `url` begins with it. */
  readonly origin: string
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array | undefined
}

/**
 * The head of an answer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Head {
  readonly status: number
  /** Names in lower case; lines of one name are joined by a comma. */
  readonly headers: RetryAfter.Headers
  /** Whether the body still is as `content-encoding` says. */
  readonly isEncoded: boolean
}

/**
 * An exchange that broke. `cause` is what the client threw; it may hold a secret and is never shown.
 *
 * @since 0.1.0
 * @category models
 */
export interface Broken {
  readonly _tag: "Broken"
  /** Whether a connection took the request. */
  readonly wasSent: boolean
  /** Whether a proxy stood between. */
  readonly isProxied: boolean
  readonly cause: unknown
}

/**
 * One exchange. Nothing is sent before `head` is run, which may be once.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  readonly head: Effect.Effect<Head, Broken>
  /** Pulled when the head is there, by one fiber at a time. What is not pulled is not read from the socket. */
  readonly body: Pull.Pull<Chunks, Broken>
  /** Whether nothing is left on the connection, read or not. */
  readonly isOver: () => boolean
  /** Gives the connection up, at once and at any time. */
  readonly abort: () => void
}

/**
 * Starts an exchange.
 *
 * @since 0.1.0
 * @category models
 */
export type Dispatch = (request: Request) => Call

/** What stands in for the reason for which a client would not send a request, which may quote it. */
const unusable = { code: "UND_ERR_INVALID_ARG" } as const

/**
 * Makes the failure of an exchange.
 *
 * @since 0.1.0
 * @category constructors
 */
export const broken = (
  cause: unknown,
  options: { readonly wasSent?: boolean; readonly isProxied?: boolean } = {}
): Broken => ({ _tag: "Broken", wasSent: options.wasSent ?? true, isProxied: options.isProxied ?? false, cause })

const fromClientError = ({ reason }: HttpClientError.HttpClientError): Broken =>
  reason._tag === "InvalidUrlError" || reason._tag === "EncodeError"
    ? broken(unusable, { wasSent: false })
    : broken("cause" in reason ? reason.cause : undefined)

const toClientRequest = ({ body, headers, method, url }: Request): HttpClientRequest.HttpClientRequest =>
  HttpClientRequest.make(method)(url, {
    headers,
    ...(body === undefined ? {} : { body: HttpBody.uint8Array(body, headers["content-type"]) })
  })

/**
 * Carries exchanges over an `HttpClient`.
 *
 * **Gotchas** Its bodies are taken to be decoded, as `fetch` gives them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromHttpClient = (client: HttpClient.HttpClient): Dispatch => {
  const scoped = HttpClient.withScope(client)
  return (request) => {
    const own = Scope.makeUnsafe()
    let response: HttpClientResponse.HttpClientResponse | undefined
    let isOver = false
    // Taken at the first pull.
    let taken: Pull.Pull<Chunks, HttpClientError.HttpClientError> | undefined
    const body = Effect.suspend((): Pull.Pull<Chunks, HttpClientError.HttpClientError> => {
      if (taken !== undefined) return taken
      if (response === undefined) return Cause.done()
      return Effect.flatMap(Scope.provide(Stream.toPull(response.stream), own), (pull) => {
        taken = pull
        return pull
      })
    })
    return {
      head: Effect.suspend(() => scoped.execute(toClientRequest(request))).pipe(
        // A span of the client would tell the provider about the caller's trace.
        Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
        Scope.provide(own),
        Effect.matchEffect({
          onFailure: (error) => Effect.fail(fromClientError(error)),
          onSuccess: (found) => {
            response = found
            return Effect.succeed({ status: found.status, headers: { ...found.headers }, isEncoded: false })
          }
        })
      ),
      body: Pull.matchEffect(body, {
        onSuccess: (chunks) => Effect.succeed(chunks),
        onFailure: (cause) => Effect.failCause(Cause.map(cause, fromClientError)),
        onDone: () => {
          isOver = true
          return Cause.done()
        }
      }),
      isOver: () => isOver,
      abort: () => {
        const closing = Scope.closeUnsafe(own, Exit.void)
        if (closing !== undefined) Effect.runFork(closing)
      }
    }
  }
}
