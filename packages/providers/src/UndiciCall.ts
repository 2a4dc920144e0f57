/**
 * Exchanges over undici's `dispatch`, the callbacks that its own `request` is built of.
 *
 * What a socket reads at once wakes the reader once: a whole small answer costs one wake-up. A reader that falls
 * behind stops the socket.
 *
 * @since 0.1.0
 */
import type * as Undici from "@effect/platform-node/Undici"
import * as Arr from "effect/Array"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Pull from "effect/Pull"
import * as Dispatch from "./Dispatch.ts"
import * as NetworkFailure from "./NetworkFailure.ts"

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly dispatcher: Undici.Dispatcher
  /** Whether a proxy stands between; asked when a call fails. */
  readonly isProxied: (origin: string) => boolean
  /** The most bytes that the names and values of an answer's headers may have together. */
  readonly maxHeaderBytes: number
}

/**
 * What stands in for an answer whose headers are too large. Carries the code of undici's own error, which covers
 * HTTP/1.1 alone.
 */
const headersTooLarge = { code: "UND_ERR_HEADERS_OVERFLOW" } as const

// More than that waits in the socket, where the other side sees it.
const highWaterMark = 64 * 1024

type Wake = (effect: Effect.Effect<void>) => void

class UndiciCall implements Dispatch.Call, Undici.Dispatcher.DispatchHandler {
  private readonly request: Dispatch.Request
  private readonly options: Options
  private controller: Undici.Dispatcher.DispatchController | undefined
  private found: Dispatch.Head | undefined
  private failure: Dispatch.Broken | undefined
  private chunks: Array<Uint8Array> = []
  private held = 0
  private ended = false
  private aborted = false
  private waiter: Wake | undefined
  private waking = false

  constructor(request: Dispatch.Request, options: Options) {
    this.request = request
    this.options = options
  }

  // --- for undici -----------------------------------------------------------------------------------------------

  onRequestStart(controller: Undici.Dispatcher.DispatchController): void {
    this.controller = controller
    if (this.aborted) controller.abort(new Error("aborted"))
  }

  onResponseStart(
    controller: Undici.Dispatcher.DispatchController,
    status: number,
    raw: Record<string, string | Array<string> | undefined>
  ): void {
    // A head such as 103 comes before the one that is meant.
    if (status < 200 || this.failure !== undefined) return
    const headers: Record<string, string> = {}
    let size = 0
    for (const name in raw) {
      const value = raw[name]
      if (value === undefined) continue
      const text = typeof value === "string" ? value : value.join(", ")
      size += name.length + text.length
      headers[name] = text
    }
    if (size > this.options.maxHeaderBytes) {
      this.fail(headersTooLarge)
      controller.abort(new Error("aborted"))
      return
    }
    const encoding = headers["content-encoding"]
    this.found = { status, headers, isEncoded: encoding !== undefined && encoding !== "" && encoding !== "identity" }
    this.wake()
  }

  onResponseData(controller: Undici.Dispatcher.DispatchController, chunk: Uint8Array): void {
    if (this.failure !== undefined) return
    this.chunks.push(chunk)
    this.held += chunk.length
    if (this.held > highWaterMark) controller.pause()
    this.wake()
  }

  onResponseEnd(): void {
    this.ended = true
    this.wake()
  }

  onResponseError(_: Undici.Dispatcher.DispatchController, error: Error): void {
    // How undici says that a proxy that forwards answered 407. What cannot be sent has no connection, and no controller.
    const isRefused = "code" in error && error.code === "UND_ERR_INVALID_ARG" && this.controller !== undefined
    this.fail(isRefused && this.options.isProxied(this.request.origin) ? NetworkFailure.proxyRefused(407) : error)
  }

  // --- for Wire -------------------------------------------------------------------------------------------------

  readonly head: Effect.Effect<Dispatch.Head, Dispatch.Broken> = Effect.suspend(() => {
    // What it throws comes to `onResponseError`.
    this.options.dispatcher.dispatch(
      {
        origin: this.request.origin,
        path: this.request.url.slice(this.request.origin.length),
        method: this.request.method,
        headers: this.request.headers,
        body: this.request.body ?? null,
        // The attempt has clocks of its own.
        headersTimeout: 0,
        bodyTimeout: 0
      },
      this
    )
    return this.awaitHead
  })

  readonly body: Pull.Pull<Dispatch.Chunks, Dispatch.Broken> = Effect.suspend(() => this.take())

  readonly isOver = (): boolean => this.ended || this.failure !== undefined

  readonly abort = (): void => {
    if (this.aborted || this.isOver()) return
    this.aborted = true
    this.chunks = []
    // Without a controller the request waits for a connection; it is given up when it would be sent.
    this.controller?.abort(new Error("aborted"))
  }

  private readonly awaitHead: Effect.Effect<Dispatch.Head, Dispatch.Broken> = Effect.suspend(() => {
    if (this.found !== undefined) return Effect.succeed(this.found)
    if (this.failure !== undefined) return Effect.fail(this.failure)
    return Effect.flatMap(this.woken, () => this.awaitHead)
  })

  private readonly woken: Effect.Effect<void> = Effect.callback<void>((resume) => {
    this.waiter = resume
    return Effect.sync(() => {
      this.waiter = undefined
    })
  })

  private take(): Pull.Pull<Dispatch.Chunks, Dispatch.Broken> {
    const chunks = this.chunks
    if (Arr.isArrayNonEmpty(chunks)) {
      this.chunks = []
      this.held = 0
      if (this.controller?.paused === true) this.controller.resume()
      return Effect.succeed(chunks)
    }
    if (this.failure !== undefined) return Effect.fail(this.failure)
    if (this.ended) return Cause.done()
    return Effect.flatMap(this.woken, () => this.body)
  }

  private fail(cause: unknown): void {
    if (this.isOver()) return
    this.failure = Dispatch.broken(cause, {
      wasSent: this.controller !== undefined,
      isProxied: this.options.isProxied(this.request.origin)
    })
    this.wake()
  }

  /** Wakes the reader when undici has told all that it read from the socket. */
  private wake(): void {
    if (this.waking || this.waiter === undefined) return
    this.waking = true
    queueMicrotask(() => {
      this.waking = false
      const waiter = this.waiter
      this.waiter = undefined
      waiter?.(Effect.void)
    })
  }
}

/**
 * Carries exchanges over undici.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make =
  (options: Options): Dispatch.Dispatch =>
  (request) =>
    new UndiciCall(request, options)
