/**
 * The factory that the core asks for instances.
 *
 * @since 0.1.0
 */
import { InstanceFactory } from "@echelon/core/InstanceFactory"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Instance from "./Instance.ts"
import * as TokenCache from "./TokenCache.ts"
import * as TokenSource from "./TokenSource.ts"
import * as Transport from "./Transport.ts"

/**
 * Builds instances of every kind in the provider table.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<InstanceFactory, never, Transport.Transport> = Layer.effect(
  InstanceFactory,
  Effect.gen(function* () {
    const transport = yield* Transport.Transport
    // Those of where the factory is built: an instance of a later plan is built elsewhere.
    const sources = yield* TokenSource.TokenSource
    const shared = yield* TokenCache.Shared
    return InstanceFactory.of({
      make: (instance) =>
        Instance.make(instance).pipe(
          Effect.provideService(Transport.Transport, transport),
          Effect.provideService(TokenSource.TokenSource, sources),
          Effect.provideService(TokenCache.Shared, shared)
        )
    })
  })
)
