/**
 * The HTTP client behind every instance: one connection pool per provider.
 *
 * Instances of a provider share its pool, and a reload that leaves the provider's file alone keeps its
 * connections. The client over undici is loaded when the first pool is opened.
 *
 * @since 0.1.0
 */
import type * as Plan from "@echelon/core/Plan"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as RcMap from "effect/RcMap"
import type * as Scope from "effect/Scope"

/**
 * Gives the client of a provider. The pool lives as long as some scope holds it.
 *
 * @since 0.1.0
 * @category services
 */
export class Transport extends Context.Service<
  Transport,
  {
    readonly client: (provider: Plan.Provider) => Effect.Effect<HttpClient.HttpClient, never, Scope.Scope>
  }
>()("@echelon/providers/Transport") {}

/**
 * What makes two providers use the same pool. Times are milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  readonly name: string
  readonly connectTimeout: number
  readonly maxConnections: number
  readonly keepAlive: number
}

/**
 * Opens a pool of connections over undici.
 *
 * **Details** `connect.timeout` covers name resolution, TCP and TLS. undici's own clocks for headers and body are
 * off: an attempt has its own.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makePool = (settings: Settings): Effect.Effect<HttpClient.HttpClient, never, Scope.Scope> =>
  Effect.flatMap(
    Effect.promise(() => import("@effect/platform-node/NodeHttpClient")),
    (NodeHttpClient) =>
      Effect.flatMap(
        NodeHttpClient.makeDispatcherOptions({
          connect: { timeout: settings.connectTimeout },
          connections: settings.maxConnections,
          keepAliveTimeout: settings.keepAlive
        }),
        (dispatcher) => Effect.provideService(NodeHttpClient.makeUndici, NodeHttpClient.Dispatcher, dispatcher)
      )
  )

/**
 * Connections over undici.
 *
 * **Details** A pool that no instance holds any more is closed after its keep-alive.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Transport> = Layer.effect(
  Transport,
  Effect.gen(function* () {
    const pools = yield* RcMap.make({
      // Keys compare by their fields: a provider read again from an unchanged file is the same one.
      lookup: (key: Settings) => makePool(key),
      idleTimeToLive: (key) => key.keepAlive
    })
    return Transport.of({
      client: (provider) =>
        RcMap.get(pools, {
          name: provider.name,
          connectTimeout: provider.connectTimeout,
          maxConnections: provider.maxConnections,
          keepAlive: provider.keepAlive
        })
    })
  })
)

/**
 * A client of your own for every provider.
 *
 * **Gotchas** It must not follow redirects: a key belongs to the origin it is configured for.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFrom = (client: HttpClient.HttpClient): Layer.Layer<Transport> =>
  Layer.succeed(Transport, Transport.of({ client: () => Effect.succeed(client) }))
