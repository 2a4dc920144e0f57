/**
 * A server on loopback that speaks OpenAI Chat Completions and Anthropic Messages and misbehaves by script.
 *
 * It writes its bytes to a raw socket, so that it can send what no framework would: half a header block, a stream
 * without its closing chunk, a reset between two events. Time is Effect's `Clock`, so that a test can set it.
 *
 * ```text
 * Behaviour  --FaultServerPlan-->  steps  --FaultServer-->  a socket
 * ```
 *
 * @since 0.1.0
 */
import * as Net from "node:net"
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import type * as Scope from "effect/Scope"
import type { Request } from "./FaultServerBehaviour.ts"
import * as Http from "./FaultServerHttp.ts"
import * as Plan from "./FaultServerPlan.ts"
import { behaviour, counter, type Script } from "./FaultServerScript.ts"

export * from "./FaultServerBehaviour.ts"
export { type ByModel, byModel, type Script } from "./FaultServerScript.ts"

/**
 * A server that runs.
 *
 * @since 0.1.0
 * @category models
 */
export interface FaultServer {
  /** For example `http://127.0.0.1:40123`, without a path. */
  readonly url: string
  /** Everything that came in so far, in order. */
  readonly requests: () => ReadonlyArray<Request>
  /** Connections with a request under way. */
  readonly open: () => number
  /** Replaces the script. A new list starts at its first element. */
  readonly set: (script: Script) => void
  /**
   * Waits until the server is in a state, for tests that sleep nowhere. A request that is listed in `requests` has
   * come as far as its first delay.
   */
  readonly waitFor: (predicate: (server: FaultServer) => boolean) => Effect.Effect<void>
}

/**
 * The server could not listen.
 *
 * @since 0.1.0
 * @category errors
 */
export class FaultServerError extends Data.TaggedError("FaultServerError")<{ readonly cause: Error }> {
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
  readonly script: Script
  /** The text of answers that name none. @default one short sentence */
  readonly text?: string | undefined
  /** The models that `GET /v1/models` lists. @default one, `fault` */
  readonly models?: ReadonlyArray<string> | undefined
}

const defaultText = "All is well, and this is said in nine words."

/** A request that the server still writes to. */
type Entry = { -readonly [K in keyof Request]: Request[K] }

/** What one server holds. */
interface State {
  readonly clock: Clock.Clock
  readonly options: Options
  readonly fork: (effect: Effect.Effect<void>) => { readonly interruptUnsafe: () => void }
  readonly sockets: Set<Net.Socket>
  readonly entries: Array<Entry>
  readonly changed: () => void
  script: Script
  counts: Map<string, number>
  open: number
  isClosing: boolean
}

/**
 * Starts a server on an ephemeral port of 127.0.0.1. It closes with the scope at once, and resets whatever is
 * still open.
 *
 * **Details** The protocol is told by the end of the path: `/chat/completions`, `/messages` and, by the headers that
 * Anthropic asks for, `/models`. Whether an answer is streamed is the request's `stream`.
 *
 * **Errors** `FaultServerError` when no port can be had.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { FaultServer } from "@echelon/testing"
 *
 * const program = Effect.gen(function* () {
 *   const server = yield* FaultServer.make({
 *     script: [FaultServer.status(429, { retryAfter: "1" }), FaultServer.ok("fine")]
 *   })
 *   const ask = Effect.promise(() =>
 *     fetch(`${server.url}/v1/chat/completions`, {
 *       method: "POST",
 *       body: JSON.stringify({ model: "small", messages: [{ role: "user", content: "hi" }] })
 *     })
 *   )
 *   const refused = yield* ask
 *   console.assert(refused.status === 429 && refused.headers.get("retry-after") === "1")
 *   const answer = yield* Effect.promise(() => refused.text().then(() => Effect.runPromise(ask)).then((r) => r.json()))
 *   console.assert(answer.choices[0].message.content === "fine")
 *   console.assert(server.requests().length === 2 && server.requests()[0]?.model === "small")
 * })
 *
 * await Effect.runPromise(Effect.scoped(program))
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Effect.Effect<FaultServer, FaultServerError, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const fork = yield* FiberSet.makeRuntime<never, void, never>()
    const waiting = new Set<() => void>()
    const state: State = {
      clock,
      options,
      fork,
      sockets: new Set(),
      entries: [],
      changed: () => {
        for (const check of waiting) check()
      },
      script: options.script,
      counts: new Map(),
      open: 0,
      isClosing: false
    }
    const port = yield* listen(state)
    const self: FaultServer = {
      url: `http://127.0.0.1:${port}`,
      requests: () => state.entries.map((entry) => ({ ...entry })),
      open: () => state.open,
      set: (script) => {
        state.script = script
        state.counts = new Map()
      },
      waitFor: (predicate) =>
        Effect.callback((resume) => {
          const check = () => {
            if (!predicate(self)) return
            waiting.delete(check)
            resume(Effect.void)
          }
          waiting.add(check)
          check()
          return Effect.sync(() => waiting.delete(check))
        })
    }
    return self
  })

const listen = (state: State): Effect.Effect<number, FaultServerError, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Net.Server, FaultServerError>((resume) => {
        const server = Net.createServer((socket) => connect(state, socket))
        server.once("error", (cause) => resume(Effect.fail(new FaultServerError({ cause }))))
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) =>
        Effect.callback<void>((resume) => {
          state.isClosing = true
          server.close(() => resume(Effect.void))
          for (const socket of state.sockets) socket.resetAndDestroy()
        })
    ),
    (server) => {
      const address = server.address()
      return typeof address === "object" && address !== null ? address.port : 0
    }
  )

/** A request under way. */
interface Exchange {
  readonly entry: Entry
  fiber: { readonly interruptUnsafe: () => void } | undefined
}

/** Serves one connection: its requests one after the other. */
const connect = (state: State, socket: Net.Socket): void => {
  let chunks: Array<Buffer> = []
  let size = 0
  let needed = 1
  const turn: { current: Exchange | undefined } = { current: undefined }
  state.sockets.add(socket)
  socket.setNoDelay(true)

  const finish = (aborted: boolean) => {
    if (turn.current === undefined) return
    turn.current.entry.aborted = aborted
    turn.current.entry.closedAt = state.clock.currentTimeMillisUnsafe()
    turn.current = undefined
    state.open -= 1
    state.changed()
  }

  const next = () => {
    if (turn.current !== undefined || size < needed || !socket.writable) return
    const bytes = Buffer.concat(chunks)
    chunks = [bytes]
    const parsed = Http.parse(bytes)
    switch (parsed._tag) {
      case "More":
        needed = parsed.needed
        return
      case "Invalid":
        return void socket.end(Http.head(400, { "content-length": "0", connection: "close" }))
      case "Request": {
        chunks = [parsed.rest]
        size = parsed.rest.length
        needed = 1
        const entry = toEntry(parsed.message, state.entries.length, state.clock.currentTimeMillisUnsafe())
        const exchange: Exchange = { entry, fiber: undefined }
        turn.current = exchange
        state.open += 1
        state.entries.push(entry)
        const played = play(socket, decide(state, entry), () => {
          finish(false)
          next()
        })
        // The fiber runs at once as far as its first wait.
        exchange.fiber = state.fork(played)
        state.changed()
      }
    }
  }

  socket.on("data", (bytes: Buffer) => {
    chunks.push(bytes)
    size += bytes.length
    next()
  })
  // What broke is told by "close", which follows.
  socket.on("error", () => {})
  socket.on("close", () => {
    state.sockets.delete(socket)
    turn.current?.fiber?.interruptUnsafe()
    finish(!state.isClosing)
  })
}

const decide = (state: State, entry: Entry): ReadonlyArray<Plan.Step> => {
  const { models = ["fault"], text = defaultText } = state.options
  const name = counter(state.script, entry)
  const seen = state.counts.get(name) ?? 0
  if (entry.endpoint === "generate") state.counts.set(name, seen + 1)
  return Plan.make(behaviour(state.script, { ...entry }, seen), {
    request: entry,
    now: state.clock.currentTimeMillisUnsafe(),
    text,
    models
  })
}

const toEntry = ({ body, headers, method, target }: Http.Message, index: number, at: number): Entry => {
  const path = target.split("?", 1)[0] ?? ""
  const parsed = parse(body.toString("utf8"))
  const fields = typeof parsed === "object" && parsed !== null ? parsed : {}
  const isMessages = path.endsWith("/messages")
  const isModels = path.endsWith("/models")
  return {
    index,
    method,
    path: target,
    headers,
    body: parsed,
    protocol: isMessages || (isModels && headers["anthropic-version"] !== undefined) ? "anthropic" : "openai",
    endpoint: isModels ? "models" : isMessages || path.endsWith("/chat/completions") ? "generate" : "other",
    model: "model" in fields && typeof fields.model === "string" ? fields.model : "",
    stream: "stream" in fields && fields.stream === true,
    at,
    aborted: false,
    closedAt: undefined
  }
}

const parse = (text: string): unknown => {
  if (text === "") return undefined
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

/** Plays the steps on a socket. `done` is called when the last has been taken and the client is not gone. */
const play = (socket: Net.Socket, steps: ReadonlyArray<Plan.Step>, done: () => void): Effect.Effect<void> =>
  Effect.forEach(steps, (step) => act(socket, step, done), { discard: true })

const act = (socket: Net.Socket, step: Plan.Step, done: () => void): Effect.Effect<void> => {
  switch (step._tag) {
    case "Write":
      return write(socket, step.bytes)
    case "Trickle":
      return trickle(socket, step.bytes, step.every)
    case "Repeat":
      return repeat(socket, step)
    case "Sleep":
      return Effect.sleep(step.duration)
    case "End":
      return Effect.sync(done)
    case "Close":
      return Effect.sync(() => {
        socket.end()
        done()
      })
    case "Reset":
      return Effect.sync(() => {
        socket.resetAndDestroy()
        done()
      })
    case "Hang":
      return Effect.never
  }
}

/** Writes, and waits only when the client does not read: a delay must begin in the same turn as the request. */
const write = (socket: Net.Socket, bytes: Buffer): Effect.Effect<void> =>
  Effect.suspend(() =>
    socket.write(bytes)
      ? Effect.void
      : Effect.callback<void>((resume) => {
          const drained = () => resume(Effect.void)
          socket.once("drain", drained)
          return Effect.sync(() => socket.off("drain", drained))
        })
  )

/** Lets the bytes go out by themselves. */
const nextTurn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))

const trickle = (socket: Net.Socket, bytes: Buffer, every: Duration.Duration | undefined): Effect.Effect<void> => {
  const wait = every === undefined ? nextTurn : Effect.sleep(every)
  return Effect.forEach(bytes.keys(), (at) => Effect.andThen(write(socket, bytes.subarray(at, at + 1)), wait), {
    discard: true
  })
}

const repeat = (
  socket: Net.Socket,
  { bytes, every, times }: Extract<Plan.Step, { readonly _tag: "Repeat" }>
): Effect.Effect<void> => {
  const one = Effect.andThen(write(socket, bytes), Effect.sleep(every))
  return times === undefined ? Effect.forever(one) : Effect.asVoid(Effect.repeat(one, { times: times - 1 }))
}
