/**
 * Everything that this package supplies, as one Layer.
 *
 * @since 0.1.0
 */
import type { Clients } from "@echelon/core/Clients"
import type { InstanceFactory } from "@echelon/core/InstanceFactory"
import * as Layer from "effect/Layer"
import * as CatalogueLive from "./CatalogueLive.ts"
import * as ClientFactory from "./ClientFactory.ts"
import * as ProviderInstances from "./ProviderInstances.ts"
import * as TokenCache from "./TokenCache.ts"
import * as TokenCalculator from "./TokenCalculator.ts"
import * as Transport from "./Transport.ts"

/**
 * Instances, direct clients, the catalogue and the calculator of tokens, over a transport of your own.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNoTransport: Layer.Layer<
  InstanceFactory | Clients | ClientFactory.ClientFactory | TokenCalculator.TokenCalculator,
  never,
  Transport.Transport
> = Layer.mergeAll(ProviderInstances.layer, ClientFactory.layer, CatalogueLive.layer, TokenCalculator.layer).pipe(
  Layer.provide(TokenCache.layerShared)
)

/**
 * Instances, direct clients, the catalogue and the calculator of tokens, over undici.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { Catalogue, InstanceFactory } from "@echelon/core"
 * import { Providers } from "@echelon/providers"
 *
 * const program = Effect.gen(function* () {
 *   const factory = yield* InstanceFactory.InstanceFactory
 *   const catalogue = yield* Catalogue.Catalogue
 *   return { factory, kind: catalogue.kinds?.["groq"] }
 * })
 * const { kind } = await Effect.runPromise(program.pipe(Effect.provide(Providers.layer)))
 * console.assert(kind?.keyVariable === "GROQ_API_KEY")
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  InstanceFactory | Clients | ClientFactory.ClientFactory | TokenCalculator.TokenCalculator | Transport.Transport
> = Layer.provideMerge(layerNoTransport, Transport.layer)
