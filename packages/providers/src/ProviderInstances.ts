/**
 * The factory that the core asks for instances.
 *
 * @since 0.1.0
 */
import { InstanceFactory } from "@echelon/core/InstanceFactory"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Instance from "./Instance.ts"
import * as Transport from "./Transport.ts"

/**
 * Builds instances of every kind in the provider table.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<InstanceFactory, never, Transport.Transport> = Layer.effect(
  InstanceFactory,
  Effect.map(Transport.Transport, (transport) =>
    InstanceFactory.of({
      make: (instance) => Effect.provideService(Instance.make(instance), Transport.Transport, transport)
    })
  )
)
