import { readFileSync } from "node:fs"
import * as Http from "node:http"
import * as Http2 from "node:http2"
import * as Https from "node:https"
import * as Net from "node:net"
import { type LlmError, type Plan, Plans } from "@echelon/core"
import { Proxy, Transport, Wire } from "@echelon/providers"
import { Context, Effect, Layer, Redacted, type Scope } from "effect"

const fixture = (name: string): string => new URL(`./fixtures/tls/${name}`, import.meta.url).pathname

/** The authority that signed what the servers here show. */
export const authority = fixture("authority.pem")
const identity = { key: readFileSync(fixture("server.key")), cert: readFileSync(fixture("server.pem")) }

export interface Server {
  readonly port: number
  /** Connections that were taken, and those that are still there. */
  readonly connections: () => number
  readonly open: () => number
  /** Resolves when no connection is left. */
  readonly empty: Effect.Effect<void>
}

const listening = <A extends Net.Server>(server: A): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.callback<Server & { readonly stop: Effect.Effect<void> }>((resume) => {
      const sockets = new Set<Net.Socket>()
      let taken = 0
      server.on("connection", (socket: Net.Socket) => {
        taken++
        sockets.add(socket)
        socket.on("error", () => {})
        socket.on("close", () => sockets.delete(socket))
      })
      server.listen(0, "127.0.0.1", () =>
        resume(
          Effect.succeed({
            port: (server.address() as Net.AddressInfo).port,
            connections: () => taken,
            open: () => sockets.size,
            empty: Effect.callback<void>((done) => {
              const look = () => (sockets.size === 0 ? done(Effect.void) : void setImmediate(look))
              look()
            }),
            stop: Effect.callback<void>((done) => {
              for (const socket of sockets) socket.destroy()
              server.close(() => done(Effect.void))
            })
          })
        )
      )
    }),
    ({ stop }) => stop
  )

export const plain = (handle: Http.RequestListener) => listening(Http.createServer(handle))

export const secure = (handle: Http.RequestListener, options: Https.ServerOptions = {}) =>
  listening(Https.createServer({ ...identity, ...options }, handle))

/** Speaks HTTP/2, and HTTP/1.1 to who does not. */
export const second = (handle: (request: Http2.Http2ServerRequest, response: Http2.Http2ServerResponse) => void) =>
  Effect.suspend(() => {
    const server = Http2.createSecureServer({ ...identity, allowHTTP1: true }, handle)
    server.on("sessionError", () => {})
    return listening(server)
  })

export interface Proxied {
  /** The tunnels and absolute addresses that were asked for. */
  readonly asked: Array<string>
  readonly authorizations: Array<string | undefined>
}

/** A proxy that leads everything to one port of this machine, unless it refuses with a status. */
export const proxy = (options: {
  readonly to: () => number
  readonly refuse?: number
  readonly isSecure?: boolean
  readonly isSilent?: boolean
}): Effect.Effect<Server & Proxied, never, Scope.Scope> =>
  Effect.suspend(() => {
    const asked: Array<string> = []
    const authorizations: Array<string | undefined> = []
    const note = (what: string, request: Http.IncomingMessage) => {
      asked.push(what)
      authorizations.push(request.headers["proxy-authorization"])
    }
    const server = (options.isSecure === true ? Https.createServer(identity) : Http.createServer()) as Http.Server
    server.on("connect", (request, socket) => {
      note(`CONNECT ${request.url}`, request)
      socket.on("error", () => {})
      if (options.isSilent === true) return
      if (options.refuse !== undefined) return void socket.end(`HTTP/1.1 ${options.refuse} No\r\n\r\n`)
      const upstream = Net.connect(options.to(), "127.0.0.1", () => {
        socket.write("HTTP/1.1 200 OK\r\n\r\n")
        upstream.pipe(socket)
        socket.pipe(upstream)
      })
      upstream.on("error", () => socket.destroy())
      socket.on("close", () => upstream.destroy())
    })
    server.on("request", (request, response) => {
      note(`${request.method} ${request.url}`, request)
      if (options.refuse !== undefined) return void response.writeHead(options.refuse).end()
      const { host, pathname } = new URL(request.url ?? "")
      const upstream = Http.request(
        { port: options.to(), host: "127.0.0.1", method: request.method ?? "GET", path: pathname, headers: { host } },
        (answer) => {
          response.writeHead(answer.statusCode ?? 500, answer.headers)
          answer.pipe(response)
        }
      )
      request.pipe(upstream)
    })
    return Effect.map(listening(server), (started) => ({ ...started, asked, authorizations }))
  })

export interface Sent {
  readonly path?: string
  readonly body?: string
  readonly maxRequestBytes?: number
  readonly maxResponseBytes?: number
}

export type Send = (sent?: Sent) => Effect.Effect<Wire.Exchange, LlmError.LlmError, Scope.Scope>

/** What sends requests to an origin as a provider would. */
export const toOrigin = (
  origin: string,
  provider: Partial<Plan.Provider> = {}
): Effect.Effect<Send, LlmError.LlmError, Scope.Scope | Transport.Transport> =>
  Effect.gen(function* () {
    const transport = yield* Transport.Transport
    const client = yield* transport.client(Plans.provider({ name: "p", kind: "openai-compatible", ...provider }))
    return ({ body, maxRequestBytes, maxResponseBytes = 1_000_000, path = "/" } = {}) =>
      Wire.send({
        client,
        target: { url: Redacted.make(`${origin}${path}`), headers: Redacted.make({}) },
        origin,
        body,
        accept: "*/*",
        maxRequestBytes,
        maxResponseBytes
      })
  })

/** A Layer of its own, in an environment of these variables alone. */
export const connected = (variables: Record<string, string> = {}) =>
  Effect.map(
    Effect.provideService(Layer.build(Layer.fresh(Transport.layer)), Proxy.Variables, Effect.succeed(variables)),
    (context) => ({
      transport: Context.get(context, Transport.Transport),
      to: (origin: string, provider: Partial<Plan.Provider> = {}) =>
        Effect.provideContext(toOrigin(origin, provider), context)
    })
  )

/** The whole text of an answer. */
export const text = (exchange: Effect.Effect<Wire.Exchange, LlmError.LlmError, Scope.Scope>) =>
  Effect.scoped(Effect.flatMap(exchange, (found) => found.text))

/** A turn of the event loop, after which undici takes a connection as free again. */
export const turn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
