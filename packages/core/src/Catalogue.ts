/**
 * What is known of provider kinds and models before any configuration says it: the names of the provider
 * table, and windows, prices and capabilities of well-known models.
 *
 * A Reference, so that a plan can be built without it: then every kind is accepted and nothing is known of
 * any model. `@echelon/providers` supplies the real one.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Capability from "./Capability.ts"
import type * as Plan from "./Plan.ts"
import type * as Usage from "./Usage.ts"

/**
 * A row of the provider table, as far as configuration needs it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Kind {
  /** Whether a request without a credential is refused. */
  readonly needsKey: boolean
  /** Whether `base_url` has no default and must be stated. */
  readonly needsBaseUrl: boolean
  /** The variable that usually holds the credential, for example `OPENAI_API_KEY`. */
  readonly keyVariable: string | undefined
  /** How it is shown who asks, where a file does not say. @default "key" */
  readonly auth?: Plan.AuthKind | undefined
  /** Keys that its address is made of. */
  readonly needs?: ReadonlyArray<"region" | "project"> | undefined
}

/**
 * What is known of a model.
 *
 * @since 0.1.0
 * @category models
 */
export interface ModelFacts {
  readonly capabilities?: Capability.Capabilities | undefined
  readonly prices?: Usage.Prices | undefined
}

/**
 * Facts about kinds and models.
 *
 * @since 0.1.0
 * @category models
 */
export interface Catalogue {
  /** By name; `undefined` when any kind is accepted. */
  readonly kinds: Readonly<Record<string, Kind>> | undefined
  readonly model: (kind: string, model: string) => ModelFacts
}

/**
 * The catalogue in use.
 *
 * @default knows nothing
 * @since 0.1.0
 * @category services
 */
export const Catalogue = Context.Reference<Catalogue>("@echelon/core/Catalogue", {
  defaultValue: () => ({ kinds: undefined, model: () => ({}) })
})
