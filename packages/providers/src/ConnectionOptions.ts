/**
 * What a provider's connections are made with. Providers of equal options share a pool.
 *
 * @since 0.1.0
 */
import type * as Plan from "@echelon/core/Plan"
import type * as Redacted from "effect/Redacted"

/**
 * Options of a pool of connections. Times are milliseconds, sizes bytes.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConnectionOptions {
  /** The provider's name: no two providers share a pool. */
  readonly name: string
  readonly connectTimeout: number
  /** Connections at a time, per origin. */
  readonly maxConnections: number
  /** How long an idle connection is kept; 0 closes each after its answer. */
  readonly keepAlive: number
  readonly maxHeaderBytes: number
  readonly http2: boolean
  /** The path of a PEM file. */
  readonly caFile: string | undefined
  /** The address of a proxy, `none`, or `undefined` for what the environment says. */
  readonly proxy: Redacted.Redacted | undefined
}

/**
 * The options of a provider.
 *
 * @since 0.1.0
 * @category constructors
 */
export const of = (provider: Plan.Provider): ConnectionOptions => ({
  name: provider.name,
  connectTimeout: provider.connectTimeout,
  maxConnections: provider.maxConnections,
  keepAlive: provider.keepAlive,
  maxHeaderBytes: provider.maxHeaderBytes,
  http2: provider.http2,
  caFile: provider.caFile,
  proxy: provider.proxy
})
