/**
 * One HTTP exchange of an attempt: the request goes out, the answer comes in as bytes, within limits.
 *
 * The exchange lives in a scope of its own below the attempt's. When the attempt ends early the socket is aborted
 * at once; when the answer was whole, what is left of it is read in the background, so that the connection can
 * be used again.
 *
 * @since 0.1.0
 */
import * as LlmError from "@echelon/core/LlmError"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import type * as HttpClientError from "effect/http/HttpClientError"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Pull from "effect/Pull"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Endpoint from "./Endpoint.ts"
import * as ErrorReply from "./ErrorReply.ts"
import * as NetworkFailure from "./NetworkFailure.ts"
import type * as RetryAfter from "./RetryAfter.ts"

/**
 * An answer whose body has not been read.
 *
 * @since 0.1.0
 * @category models
 */
export interface Exchange {
  readonly status: number
  readonly headers: RetryAfter.Headers
  /** Media type without parameters, in lower case; empty when the server stated none. */
  readonly contentType: string
  /** The body, chunk by chunk. More than the limit is a failure that names the key to raise. */
  readonly body: Pull.Pull<ReadonlyArray<Uint8Array>, LlmError.LlmError>
  /** The whole body as text. Either this is run or `body` is pulled. */
  readonly text: Effect.Effect<string, LlmError.LlmError>
  /** Says that the answer is whole: what follows is read and thrown away. */
  readonly finished: () => void
}

/**
 * Options of `send`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly client: HttpClient.HttpClient
  readonly target: Endpoint.Target
  readonly origin: string
  /** JSON to post; a request without a body is a GET. */
  readonly body: string | undefined
  readonly accept: string
  readonly maxResponseBytes: number
}

// How long the rest of a whole answer may take before its connection is given up.
const drainLimit = "1 second"

const networkError = (error: HttpClientError.HttpClientError, origin: string): LlmError.LlmError => {
  const { reason } = error
  switch (reason._tag) {
    case "InvalidUrlError":
    case "EncodeError":
      return LlmError.make({ reason: { _tag: "InvalidRequest" }, detail: `no request could be made for ${origin}` })
    default: {
      const failure = NetworkFailure.classify("cause" in reason ? reason.cause : undefined)
      return LlmError.make({
        reason: { _tag: "Network", kind: failure.kind },
        detail: failure.code === undefined ? `talking to ${origin}` : `${failure.code} talking to ${origin}`
      })
    }
  }
}

/**
 * Sends a request and waits for the head of the answer.
 *
 * **Errors** `Network` when the connection fails; the status is not looked at.
 *
 * @since 0.1.0
 * @category constructors
 */
export const send = (options: Options): Effect.Effect<Exchange, LlmError.LlmError, Scope.Scope> =>
  Effect.gen(function* () {
    const outer = yield* Effect.scope
    const own = Scope.makeUnsafe()
    let state: "open" | "finished" | "ended" = "open"
    let drain: Effect.Effect<unknown> = Effect.void
    yield* Scope.addFinalizer(
      outer,
      Effect.suspend(() => {
        // An answer that was read to its end holds nothing any more; aborting it would cost an error object.
        if (state === "ended") return Effect.void
        if (state === "open") return Scope.close(own, Exit.void)
        const rest = Effect.ensuring(
          Effect.timeoutOption(drain, drainLimit),
          Effect.suspend(() => (state === "ended" ? Effect.void : Scope.close(own, Exit.void)))
        )
        return Effect.forkDetach(rest, { startImmediately: true })
      })
    )
    const response = yield* HttpClient.withScope(options.client)
      .execute(toRequest(options))
      .pipe(
        // A span of the client would tell the provider about the caller's trace.
        Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
        Effect.provideService(Scope.Scope, own),
        Effect.mapError((error) => networkError(error, options.origin))
      )
    const headers: RetryAfter.Headers = { ...response.headers }
    const encoding = headers["content-encoding"] ?? "identity"
    if (encoding !== "identity")
      return yield* Effect.fail(
        ErrorReply.malformed(`the answer is compressed (${encoding.slice(0, 40)}), which was not asked for`)
      )
    const failed = (error: HttpClientError.HttpClientError) => networkError(error, options.origin)
    const max = options.maxResponseBytes
    let total = 0
    // Taken at the first pull: from then on the body is a stream and nothing else.
    let taken: Pull.Pull<ReadonlyArray<Uint8Array>, HttpClientError.HttpClientError> | undefined
    const pull = Effect.suspend(
      () =>
        taken ??
        Effect.flatMap(Effect.provideService(Stream.toPull(response.stream), Scope.Scope, own), (first) => {
          taken = first
          return first
        })
    )
    const body: Pull.Pull<ReadonlyArray<Uint8Array>, LlmError.LlmError> = Pull.matchEffect(pull, {
      onSuccess: (chunks) => {
        for (const chunk of chunks) total += chunk.length
        return total > max ? Effect.fail(tooLarge(max)) : Effect.succeed(chunks)
      },
      onFailure: (cause) => Effect.failCause(Cause.map(cause, failed)),
      onDone: () => {
        state = "ended"
        return Cause.done()
      }
    })
    const drained: Effect.Effect<void> = Effect.matchCauseEffect(body, {
      onSuccess: () => drained,
      onFailure: () => Effect.void
    })
    drain = drained
    // A body of a stated length, which the client holds it to, is read in one piece.
    const stated = Number(headers["content-length"])
    const text =
      stated <= max
        ? Effect.matchCauseEffect(response.arrayBuffer, {
            onSuccess: (bytes) => {
              state = "ended"
              return Effect.succeed(new TextDecoder().decode(bytes))
            },
            onFailure: (cause) => Effect.failCause(Cause.map(cause, failed))
          })
        : collected(body)
    return {
      status: response.status,
      headers,
      contentType: (headers["content-type"] ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "",
      body,
      text,
      finished: () => {
        if (state === "open") state = "finished"
      }
    }
  })

const tooLarge = (max: number): LlmError.LlmError =>
  ErrorReply.malformed(`the answer is larger than ${max} bytes; raise max_response_bytes`)

const collected = (
  body: Pull.Pull<ReadonlyArray<Uint8Array>, LlmError.LlmError>
): Effect.Effect<string, LlmError.LlmError> => {
  const chunks: Array<Uint8Array> = []
  const next: Effect.Effect<string, LlmError.LlmError> = Pull.matchEffect(body, {
    onSuccess: (more) => {
      chunks.push(...more)
      return next
    },
    onFailure: (cause) => Effect.failCause(cause),
    onDone: () => Effect.sync(() => new TextDecoder().decode(Buffer.concat(chunks)))
  })
  return next
}

const toRequest = (options: Options): HttpClientRequest.HttpClientRequest => {
  const headers = { ...Redacted.value(options.target.headers), accept: options.accept }
  const url = Redacted.value(options.target.url)
  return options.body === undefined
    ? HttpClientRequest.get(url, { headers })
    : HttpClientRequest.post(url, { headers, body: HttpBody.text(options.body, "application/json") })
}
