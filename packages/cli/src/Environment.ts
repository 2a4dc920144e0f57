/**
 * The services of a command: a configuration and, for `--env embedded`, the providers that it points at.
 *
 * @since 0.1.0
 */
import type * as ConfigError from "@echelon/config/ConfigError"
import type * as UsageLedger from "@echelon/core/UsageLedger"
import * as Echelon from "@echelon/echelon/Echelon"
import type * as EmbeddedProviders from "@echelon/testing/EmbeddedProviders"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/**
 * The environment whose providers run inside the command.
 *
 * @since 0.1.0
 * @category models
 */
export const embedded = "embedded"

/**
 * Starts the embedded providers. They are loaded only here, since no other command needs them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const startProviders = Effect.flatMap(
  Effect.promise(() => import("@echelon/testing/EmbeddedProviders")),
  (module) => module.make
)

/**
 * The services over a configuration.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: {
  readonly config: string
  readonly env: string | undefined
}): Layer.Layer<
  Echelon.Services,
  ConfigError.ConfigError | EmbeddedProviders.EmbeddedProvidersError | UsageLedger.UsageLedgerError
> =>
  options.env === embedded
    ? Layer.unwrap(Effect.map(startProviders, (providers) => layerWith(options, providers)))
    : Echelon.layer({ watch: false, logging: false, ...options })

/**
 * The services over a configuration that points at these providers.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (
  options: { readonly config: string },
  providers: EmbeddedProviders.Shape
): Layer.Layer<Echelon.Services, ConfigError.ConfigError | UsageLedger.UsageLedgerError> =>
  Echelon.layer({
    watch: false,
    logging: false,
    config: options.config,
    env: embedded,
    variables: { ...process.env, ...providers.variables }
  })
