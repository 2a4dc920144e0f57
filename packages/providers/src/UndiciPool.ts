/**
 * Pools of connections over undici, one for each origin: direct, or through a proxy.
 *
 * @since 0.1.0
 */

import * as LlmError from "@echelon/core/LlmError"
import type * as Undici from "@effect/platform-node/Undici"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import type * as HttpClient from "effect/http/HttpClient"
import type * as Scope from "effect/Scope"
import * as Certificates from "./Certificates.ts"
import type * as ConnectionOptions from "./ConnectionOptions.ts"
import type * as Dispatch from "./Dispatch.ts"
import * as NetworkFailure from "./NetworkFailure.ts"
import * as Proxy from "./Proxy.ts"
import * as UndiciCall from "./UndiciCall.ts"

/**
 * A pool, by both of its faces. They share its connections.
 *
 * @since 0.1.0
 * @category models
 */
export interface UndiciPool {
  readonly dispatch: Dispatch.Dispatch
  readonly client: HttpClient.HttpClient
}

// undici counts what stands around names and values, too; a call counts exactly.
const headerMargin = 8 * 1024

/** What holds for every connection that carries requests. */
const poolOptions = (options: ConnectionOptions.ConnectionOptions) => ({
  connections: options.maxConnections,
  // A server's own Keep-Alive header may shorten it only.
  ...(options.keepAlive > 0
    ? { keepAliveTimeout: options.keepAlive, keepAliveMaxTimeout: options.keepAlive }
    : { pipelining: 0 }),
  maxHeaderSize: options.maxHeaderBytes + headerMargin,
  allowH2: options.http2,
  headersTimeout: 0,
  bodyTimeout: 0
})

/** Says with which status a proxy refused a tunnel; undici says that there is none. */
const tellingRefusals: Undici.Dispatcher.DispatcherComposeInterceptor = (dispatch) => (options, handler) =>
  dispatch(options, {
    onRequestStart: (controller, context) => handler.onRequestStart?.(controller, context),
    onRequestUpgrade: (controller, status, headers, socket) => {
      if (status === 200) return handler.onRequestUpgrade?.(controller, status, headers, socket)
      // What it still says is not heard.
      socket.on("error", () => {}).destroy()
      handler.onResponseError?.(controller, NetworkFailure.proxyRefused(status))
    },
    onResponseStart: (controller, status, headers, message) =>
      handler.onResponseStart?.(controller, status, headers, message),
    onResponseData: (controller, chunk) => handler.onResponseData?.(controller, chunk),
    onResponseEnd: (controller, trailers) => handler.onResponseEnd?.(controller, trailers),
    onResponseError: (controller, error) => handler.onResponseError?.(controller, error)
  })

const throughProxy = (
  undici: typeof Undici,
  options: ConnectionOptions.ConnectionOptions,
  connect: Undici.buildConnector.BuildOptions,
  url: URL
): Undici.Dispatcher => {
  const own = poolOptions(options)
  const user = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`
  return new undici.ProxyAgent({
    ...own,
    uri: url.origin,
    ...(user === ":" ? {} : { token: `Basic ${Buffer.from(user).toString("base64")}` }),
    proxyTls: { ...connect, allowH2: false },
    requestTls: connect,
    // A proxy that takes the connection and does not answer cannot be reached either.
    clientFactory: (origin, more) =>
      new undici.Pool(origin, {
        ...more,
        connections: own.connections,
        headersTimeout: options.connectTimeout
      }).compose(tellingRefusals),
    factory: (origin, more) => new undici.Pool(origin, { ...more, ...own })
  })
}

/**
 * Opens a pool. Closing the scope ends its connections, idle or not.
 *
 * **Details** `connectTimeout` covers name resolution, TCP and TLS, and the answer of a proxy. undici's clocks for
 * headers and body are off: an attempt has its own.
 *
 * **Errors** `InvalidRequest` when the stated proxy or the file of certificates cannot be used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: ConnectionOptions.ConnectionOptions,
  environment: Proxy.Environment
): Effect.Effect<UndiciPool, LlmError.LlmError, FileSystem.FileSystem | Scope.Scope> =>
  Effect.gen(function* () {
    const undici = yield* Effect.promise(() => import("@effect/platform-node/Undici"))
    const NodeHttpClient = yield* Effect.promise(() => import("@effect/platform-node/NodeHttpClient"))
    const choose = (origin: string) => Proxy.choose({ origin, stated: options.proxy, environment })
    const { proxy } = options
    // What the environment names wrongly fails only who would go through it.
    if (proxy !== undefined)
      yield* Effect.try({
        try: () => Proxy.check(proxy),
        catch: (thrown) =>
          LlmError.make({
            reason: { _tag: "InvalidRequest" },
            detail: thrown instanceof Proxy.InvalidAddress ? thrown.message : "proxy cannot be used"
          })
      })
    const secureContext = options.caFile === undefined ? undefined : yield* Certificates.load(options.caFile)
    const connect: Undici.buildConnector.BuildOptions = {
      timeout: options.connectTimeout,
      allowH2: options.http2,
      preferH2: options.http2,
      ...(secureContext === undefined ? {} : { secureContext })
    }
    const agent = yield* Effect.acquireRelease(
      Effect.sync(
        () =>
          new undici.Agent({
            factory: (origin) => {
              const choice = choose(String(origin))
              return choice === undefined
                ? new undici.Pool(origin, { ...poolOptions(options), connect })
                : throughProxy(undici, options, connect, Proxy.parseAddress(choice))
            }
          })
      ),
      (one) => Effect.promise(() => one.destroy())
    )
    return {
      dispatch: UndiciCall.make({
        dispatcher: agent,
        isProxied: (origin) => choose(origin) !== undefined,
        maxHeaderBytes: options.maxHeaderBytes
      }),
      client: yield* Effect.provideService(NodeHttpClient.makeUndici, NodeHttpClient.Dispatcher, agent)
    }
  })
