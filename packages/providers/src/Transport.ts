/**
 * The HTTP client behind every instance: one connection pool per provider.
 *
 * Instances of a provider share its pool, and a reload that leaves the provider's file alone keeps its
 * connections. The client over undici is loaded when the first pool is opened.
 *
 * @since 0.1.0
 */
import type * as LlmError from "@echelon/core/LlmError"
import type * as Plan from "@echelon/core/Plan"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Layer from "effect/Layer"
import * as RcMap from "effect/RcMap"
import type * as Scope from "effect/Scope"
import * as ConnectionOptions from "./ConnectionOptions.ts"
import type * as Dispatch from "./Dispatch.ts"
import * as Proxy from "./Proxy.ts"
import * as UndiciPool from "./UndiciPool.ts"

/**
 * The client of a provider.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client extends HttpClient.HttpClient {
  /** The shorter way to the same connections, where there is one. */
  readonly dispatch?: Dispatch.Dispatch | undefined
}

/**
 * Gives the client of a provider. The pool lives as long as some scope holds it.
 *
 * @since 0.1.0
 * @category services
 */
export class Transport extends Context.Service<
  Transport,
  {
    readonly client: (provider: Plan.Provider) => Effect.Effect<Client, LlmError.LlmError, Scope.Scope>
  }
>()("@echelon/providers/Transport") {}

/** Opens the pool of a provider, as a client. */
const open = (
  options: ConnectionOptions.ConnectionOptions,
  environment: Proxy.Environment
): Effect.Effect<Client, LlmError.LlmError, Scope.Scope> =>
  Effect.gen(function* () {
    const NodeFileSystem = yield* Effect.promise(() => import("@effect/platform-node/NodeFileSystem"))
    const { client, dispatch } = yield* Effect.provide(UndiciPool.make(options, environment), NodeFileSystem.layer)
    return Object.assign(client, { dispatch })
  })

/**
 * Connections over undici, with the proxies that the environment names.
 *
 * **Details** The environment is read once, when the Layer is built. A pool that no instance holds any more is
 * closed after its keep-alive; closing the Layer ends all connections.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Transport> = Layer.effect(
  Transport,
  Effect.gen(function* () {
    const environment = yield* Proxy.environment
    const pools = yield* RcMap.make({
      // Keys compare by their fields: a provider read again from an unchanged file is the same one.
      lookup: (key: ConnectionOptions.ConnectionOptions) => open(key, environment),
      idleTimeToLive: (key) => key.keepAlive
    })
    return Transport.of({
      client: (provider) => {
        const key = ConnectionOptions.of(provider)
        // A file of certificates may have been mended meanwhile.
        return Effect.tapError(RcMap.get(pools, key), () => RcMap.invalidate(pools, key))
      }
    })
  })
)

/**
 * A client of your own for every provider.
 *
 * **Gotchas** It must not follow redirects: a key belongs to the origin it is configured for. It must decompress
 * what comes compressed, as `fetch` does. `proxy`, `ca_file`, `http2` and the limits on connections and headers are
 * then its own affair.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFrom = (client: HttpClient.HttpClient): Layer.Layer<Transport> =>
  Layer.succeed(Transport, Transport.of({ client: () => Effect.succeed(client) }))
