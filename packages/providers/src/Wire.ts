/**
 * One HTTP exchange of an attempt: the request goes out, the answer comes in as bytes, within limits.
 *
 * When the attempt ends early the connection is given up at once; when the answer was whole, what is left of it is
 * read in the background, so that the connection can be used again.
 *
 * @since 0.1.0
 */
import * as LlmError from "@echelon/core/LlmError"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Pull from "effect/Pull"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import type * as Auth from "./Auth.ts"
import * as Dispatch from "./Dispatch.ts"
import type * as Endpoint from "./Endpoint.ts"
import * as ErrorReply from "./ErrorReply.ts"
import * as Inflate from "./Inflate.ts"
import * as NetworkFailure from "./NetworkFailure.ts"
import * as Proxy from "./Proxy.ts"
import type * as RetryAfter from "./RetryAfter.ts"
import type * as Transport from "./Transport.ts"

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
  /** The body, chunk by chunk, decompressed. More than the limit is a failure that names the key to raise. */
  readonly body: Pull.Pull<Dispatch.Chunks, LlmError.LlmError>
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
  readonly client: Transport.Client
  readonly target: Endpoint.Target
  readonly origin: string
  /** JSON to post; a request without a body is a GET. */
  readonly body: string | undefined
  readonly accept: string
  /** Of the body. @default "application/json" */
  readonly contentType?: string | undefined
  /** Computed for this request: headers beside the target's own. */
  readonly proof?: Auth.Headers | undefined
  /** A W3C `traceparent`, for a provider that may be told. */
  readonly traceparent?: string | undefined
  /** No limit when absent. */
  readonly maxRequestBytes?: number | undefined
  readonly maxResponseBytes: number
}

// How long the rest of a whole answer may take before its connection is given up.
const drainLimit = "1 second"

/** Both need no state: they are never asked to stream. */
const encoder = new TextEncoder()
const decoder = new TextDecoder()

/**
 * Sends a request and waits for the head of the answer.
 *
 * **Details** It asks for `identity`, since compression holds the events of a stream back; what comes compressed
 * all the same is decompressed. `maxResponseBytes` holds for the bytes that come and for what they become.
 *
 * **Errors** `Network` when the connection fails; `InvalidRequest` when the body is larger than allowed; the status
 * is not looked at.
 *
 * @since 0.1.0
 * @category constructors
 */
export const send = (options: Options): Effect.Effect<Exchange, LlmError.LlmError, Scope.Scope> =>
  Effect.flatMap(Effect.scope, (outer) => {
    const { maxRequestBytes, origin } = options
    const body = options.body === undefined ? undefined : encoder.encode(options.body)
    if (body !== undefined && maxRequestBytes !== undefined && body.length > maxRequestBytes)
      return Effect.fail(requestTooLarge(body.length, maxRequestBytes))
    const dispatch = options.client.dispatch ?? Dispatch.fromHttpClient(options.client)
    const call = dispatch(toRequest(options, body))
    const exchange = new Reading(call, outer, options)
    return Effect.andThen(
      Scope.addFinalizer(outer, exchange.release),
      Effect.matchEffect(call.head, {
        onFailure: (broken) => Effect.fail(networkError(broken, origin)),
        onSuccess: (head) => Effect.succeed(exchange.read(head))
      })
    )
  })

/** The answer to one request, as it is read. */
class Reading {
  private readonly call: Dispatch.Call
  private readonly outer: Scope.Scope
  private readonly options: Options
  private isFinished = false

  constructor(call: Dispatch.Call, outer: Scope.Scope, options: Options) {
    this.call = call
    this.outer = outer
    this.options = options
  }

  read(head: Dispatch.Head): Exchange {
    const { headers, isEncoded, status } = head
    const max = this.options.maxResponseBytes
    const failed = (broken: Dispatch.Broken) => networkError(broken, this.options.origin)
    const raw: Pull.Pull<Dispatch.Chunks, LlmError.LlmError> = Pull.matchEffect(this.call.body, {
      onSuccess: Effect.succeed,
      onFailure: (cause) => Effect.failCause(Cause.map(cause, failed)),
      onDone: () => Cause.done()
    })
    const body = isEncoded
      ? limited(Inflate.decoded(limited(raw, max), headers["content-encoding"] ?? "", this.outer), max)
      : // What states to be too large is not waited for.
        Number(headers["content-length"]) > max
        ? Effect.fail(responseTooLarge(max))
        : limited(raw, max)
    return {
      status,
      headers,
      contentType: (headers["content-type"] ?? "").split(";", 1)[0]?.trim().toLowerCase() ?? "",
      body,
      text: collected(body),
      finished: () => {
        this.isFinished = true
      }
    }
  }

  readonly release = Effect.suspend((): Effect.Effect<unknown> => {
    if (!this.isFinished || this.call.isOver()) {
      this.call.abort()
      return Effect.void
    }
    const rest = Effect.ensuring(Effect.timeoutOption(this.rest, drainLimit), Effect.sync(this.call.abort))
    return Effect.forkDetach(rest, { startImmediately: true })
  })

  private readonly rest: Effect.Effect<void> = Effect.matchCauseEffect(
    Effect.suspend(() => this.call.body),
    { onSuccess: () => this.rest, onFailure: () => Effect.void }
  )
}

const limited = (
  body: Pull.Pull<Dispatch.Chunks, LlmError.LlmError>,
  max: number
): Pull.Pull<Dispatch.Chunks, LlmError.LlmError> => {
  let total = 0
  return Effect.flatMap(body, (chunks) => {
    for (const chunk of chunks) total += chunk.length
    return total > max ? Effect.fail(responseTooLarge(max)) : Effect.succeed(chunks)
  })
}

const collected = (body: Pull.Pull<Dispatch.Chunks, LlmError.LlmError>): Effect.Effect<string, LlmError.LlmError> => {
  const chunks: Array<Uint8Array> = []
  const next: Effect.Effect<string, LlmError.LlmError> = Pull.matchEffect(body, {
    onSuccess: (more) => {
      for (const chunk of more) chunks.push(chunk)
      return next
    },
    onFailure: (cause) => Effect.failCause(cause),
    onDone: () => {
      const [first, ...others] = chunks
      return Effect.succeed(decoder.decode(others.length === 0 ? first : Buffer.concat(chunks)))
    }
  })
  return next
}

const toRequest = (options: Options, body: Uint8Array | undefined): Dispatch.Request => ({
  method: body === undefined ? "GET" : "POST",
  origin: options.origin,
  url: Redacted.value(options.target.url),
  headers: {
    ...Redacted.value(options.target.headers),
    accept: options.accept,
    "accept-encoding": "identity",
    ...(body === undefined ? undefined : { "content-type": options.contentType ?? "application/json" }),
    ...(options.traceparent === undefined ? undefined : { traceparent: options.traceparent }),
    ...options.proof
  },
  body
})

const requestTooLarge = (size: number, max: number): LlmError.LlmError =>
  LlmError.make({
    reason: { _tag: "InvalidRequest" },
    detail: `the request has ${size} bytes, more than ${max}; raise max_request_bytes`
  })

const responseTooLarge = (max: number): LlmError.LlmError =>
  ErrorReply.malformed(`the answer is larger than ${max} bytes; raise max_response_bytes`)

const networkError = (broken: Dispatch.Broken, origin: string): LlmError.LlmError => {
  const failure = NetworkFailure.classify(broken.cause)
  // Written for people, and without the address.
  const proxy = broken.cause instanceof Proxy.InvalidAddress ? broken.cause.message : undefined
  if (proxy !== undefined || (!broken.wasSent && failure.code === "UND_ERR_INVALID_ARG"))
    return LlmError.make({
      reason: { _tag: "InvalidRequest" },
      detail: proxy ?? `no request could be made for ${origin}`
    })
  if (failure.code === "UND_ERR_HEADERS_OVERFLOW")
    return ErrorReply.malformed("the headers of the answer are larger than allowed; raise max_header_bytes")
  const where = broken.isProxied ? `talking to ${origin} through a proxy` : `talking to ${origin}`
  const what = failure.words === undefined ? failure.code : `${failure.words}:`
  return LlmError.make({
    reason: { _tag: "Network", kind: failure.kind },
    detail: what === undefined ? where : `${what} ${where}`
  })
}
