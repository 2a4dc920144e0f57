/**
 * A server on loopback that stands before another and passes requests through, or misbehaves as told.
 *
 * It speaks real HTTP over real sockets: what a client meets here is what it meets in the field — a reset
 * before the headers, a stream that stops in the middle, a server that accepts and never answers.
 *
 * @since 0.1.0
 */
import * as Http from "node:http"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import * as SseCut from "./SseCut.ts"

/**
 * How a request is mistreated.
 *
 * **Details**
 * - `Status` answers with this status; `retryAfter` becomes the header, in whole seconds. Without a body the
 *   answer is an error object as OpenAI and Anthropic send it.
 * - `Reset` resets the connection before any header.
 * - `SlowFirstToken` passes the headers of a stream on at once and holds its events back; a buffered answer is
 *   held back whole. The delay is by Effect's `Clock`.
 * - `CutStream` closes the connection after so many events of a stream, and always before the one that ends the
 *   answer. A buffered answer is cut in its middle.
 * - `Stall` accepts the request and never answers.
 *
 * @since 0.1.0
 * @category models
 */
export type Fault =
  | {
      readonly _tag: "Status"
      readonly status: number
      readonly retryAfter?: Duration.Input | undefined
      readonly body?: string | undefined
    }
  | { readonly _tag: "Reset" }
  | { readonly _tag: "SlowFirstToken"; readonly delay: Duration.Input }
  | { readonly _tag: "CutStream"; readonly afterEvents: number }
  | { readonly _tag: "Stall" }

/**
 * What a front has done so far.
 *
 * @since 0.1.0
 * @category models
 */
export interface Served {
  /** Requests that came in. */
  readonly requests: number
  /** Answers that were sent whole, faulty statuses included. */
  readonly answered: number
  /** Requests that met a fault. */
  readonly faulted: number
  /** Requests whose client went away before its answer was whole. */
  readonly aborted: number
  /** Requests under way. */
  readonly open: number
  /** Requests that came in, by the model they named. */
  readonly byModel: Readonly<Record<string, number>>
}

/**
 * A front that runs.
 *
 * @since 0.1.0
 * @category models
 */
export interface FaultFront {
  /** For example `http://127.0.0.1:40123`, without a path. */
  readonly url: string
  /**
   * Sets or, with `undefined`, lifts the fault of the requests to come: of those that name one of `models`, or
   * of all. Setting it for all forgets what was set for single models.
   */
  readonly setFault: (fault: Fault | undefined, models?: ReadonlyArray<string> | undefined) => Effect.Effect<void>
  readonly served: Effect.Effect<Served>
}

/**
 * The front could not listen.
 *
 * @since 0.1.0
 * @category errors
 */
export class FaultFrontError extends Data.TaggedError("FaultFrontError")<{ readonly cause: Error }> {
  override get message(): string {
    return `the server could not listen on loopback: ${this.cause.message}`
  }
}

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The server behind, without a path. */
  readonly upstream: string
}

interface Exchange {
  readonly request: Http.IncomingMessage
  readonly response: Http.ServerResponse
  readonly body: Buffer
}

/**
 * Starts a front on an ephemeral port of 127.0.0.1. It closes with the scope: connections, idle ones and ones
 * that stall included, are destroyed and delay nothing.
 *
 * **Errors** `FaultFrontError` when no port can be had.
 *
 * @example
 * ```ts
 * import { createServer } from "node:http"
 * import { Effect } from "effect"
 * import { FaultFront } from "@echelon/testing"
 *
 * const behind = createServer((_, response) => response.end("fine")).listen(0, "127.0.0.1")
 * await new Promise((resolve) => behind.once("listening", resolve))
 * const address = behind.address()
 * const port = typeof address === "object" ? address?.port : undefined
 *
 * const program = Effect.gen(function* () {
 *   const front = yield* FaultFront.make({ upstream: `http://127.0.0.1:${port}` })
 *   const ask = Effect.promise(() => fetch(front.url))
 *   console.assert((yield* ask).status === 200)
 *   yield* front.setFault({ _tag: "Status", status: 503, retryAfter: "2 seconds" })
 *   const refused = yield* ask
 *   console.assert(refused.status === 503 && refused.headers.get("retry-after") === "2")
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * behind.close()
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<FaultFront, FaultFrontError, Scope.Scope> =>
  Effect.gen(function* () {
    const upstream = new URL(options.upstream)
    const fork = yield* FiberSet.makeRuntime()
    const agent = yield* Effect.acquireRelease(
      Effect.sync(() => new Http.Agent({ keepAlive: true })),
      (agent) => Effect.sync(() => agent.destroy())
    )
    let fault: Fault | undefined
    const faults = new Map<string, Fault | undefined>()
    const counts = { requests: 0, answered: 0, faulted: 0, aborted: 0, open: 0 }
    const byModel = new Map<string, number>()

    const handle = (request: Http.IncomingMessage, response: Http.ServerResponse) => {
      counts.requests += 1
      counts.open += 1
      let isCut = false
      response.on("close", () => {
        counts.open -= 1
        if (response.writableFinished) counts.answered += 1
        else if (!isCut) counts.aborted += 1
      })
      const chunks: Array<Buffer> = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => {
        const body = Buffer.concat(chunks)
        const model = modelOf(body)
        if (model !== undefined) byModel.set(model, (byModel.get(model) ?? 0) + 1)
        const met = model !== undefined && faults.has(model) ? faults.get(model) : fault
        if (met !== undefined) counts.faulted += 1
        isCut = met?._tag === "Reset" || met?._tag === "CutStream"
        const exchange: Exchange = { request, response, body }
        switch (met?._tag) {
          case undefined:
            return forward(agent, upstream, exchange, (incoming) => incoming.pipe(begin(response, incoming)))
          case "Status":
            return refuse(met, exchange)
          case "Reset":
            return void request.socket.resetAndDestroy()
          case "Stall":
            return
          case "SlowFirstToken":
            return forward(agent, upstream, exchange, (incoming) => {
              const isStream = SseCut.isEventStream(incoming.headers["content-type"])
              if (isStream) begin(response, incoming).flushHeaders()
              const fiber = fork(
                Effect.map(Effect.sleep(met.delay), () =>
                  incoming.pipe(isStream ? response : begin(response, incoming))
                )
              )
              response.on("close", () => fiber.interruptUnsafe())
            })
          case "CutStream":
            return forward(agent, upstream, exchange, (incoming) => cut(met.afterEvents, response, incoming))
        }
      })
    }

    const port = yield* listen(handle)
    return {
      url: `http://127.0.0.1:${port}`,
      setFault: (next, models) =>
        Effect.sync(() => {
          if (models !== undefined) for (const model of models) faults.set(model, next)
          else {
            faults.clear()
            fault = next
          }
        }),
      served: Effect.sync(() => ({ ...counts, byModel: Object.fromEntries(byModel) }))
    }
  })

const listen = (handle: Http.RequestListener): Effect.Effect<number, FaultFrontError, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Http.Server, FaultFrontError>((resume) => {
        const server = Http.createServer(handle)
        server.once("error", (cause) => resume(Effect.fail(new FaultFrontError({ cause }))))
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          server.close(() => resume(Effect.void))
          server.closeAllConnections()
        })
    ),
    (server) => {
      const address = server.address()
      return typeof address === "object" && address !== null ? address.port : 0
    }
  )

const modelOf = (body: Buffer): string | undefined => {
  try {
    const parsed: unknown = JSON.parse(body.toString("utf8"))
    return typeof parsed === "object" && parsed !== null && "model" in parsed && typeof parsed.model === "string"
      ? parsed.model
      : undefined
  } catch {
    // A body that is no JSON names no model; the server behind says what it thinks of it.
    return undefined
  }
}

/** Headers that belong to one connection, not to the message. */
const hopByHop = new Set(["connection", "keep-alive", "transfer-encoding", "host"])

const endToEnd = (headers: Http.IncomingHttpHeaders): Http.OutgoingHttpHeaders =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => !hopByHop.has(name)))

const begin = (response: Http.ServerResponse, incoming: Http.IncomingMessage): Http.ServerResponse =>
  response.writeHead(incoming.statusCode ?? 502, endToEnd(incoming.headers))

/** Asks the server behind. When either side goes away, so does the other. */
const forward = (
  agent: Http.Agent,
  upstream: URL,
  { body, request, response }: Exchange,
  onAnswer: (incoming: Http.IncomingMessage) => void
): void => {
  const outgoing = Http.request({
    agent,
    host: upstream.hostname,
    port: upstream.port,
    method: request.method,
    path: request.url,
    headers: { ...endToEnd(request.headers), "content-length": body.length }
  })
  outgoing.on("response", (incoming) => {
    incoming.on("error", () => response.destroy())
    onAnswer(incoming)
  })
  outgoing.on("error", () => response.destroy())
  response.on("close", () => {
    if (!response.writableFinished) outgoing.destroy()
  })
  outgoing.end(body)
}

const refuse = (fault: Extract<Fault, { readonly _tag: "Status" }>, { request, response }: Exchange): void => {
  const message = `told to answer with ${fault.status}`
  response.statusCode = fault.status
  response.setHeader("content-type", "application/json")
  if (fault.retryAfter !== undefined)
    response.setHeader("retry-after", Math.ceil(Duration.toSeconds(Duration.fromInputUnsafe(fault.retryAfter))))
  const error = { type: "embedded_fault", message, code: null, param: null }
  response.end(
    fault.body ?? JSON.stringify(request.url?.includes("/messages") === true ? { type: "error", error } : { error })
  )
}

/** The answer is taken whole first: only then is it known which event ends it. */
const cut = (afterEvents: number, response: Http.ServerResponse, incoming: Http.IncomingMessage): void => {
  const chunks: Array<Buffer> = []
  incoming.on("data", (chunk: Buffer) => chunks.push(chunk))
  incoming.on("end", () => {
    const whole = Buffer.concat(chunks)
    const kept = SseCut.isEventStream(incoming.headers["content-type"])
      ? SseCut.before(whole.toString("utf8"), afterEvents)
      : whole.subarray(0, Math.floor(whole.length / 2))
    // Destroyed only when the kernel has it all: the client must see what was sent.
    begin(response, incoming).flushHeaders()
    response.write(kept, () => response.destroy())
  })
}
