/**
 * The catalogue that a configuration is decoded with: the kinds of the provider table and the facts of the model
 * table.
 *
 * @since 0.1.0
 */
import * as Catalogue from "@echelon/core/Catalogue"
import * as Layer from "effect/Layer"
import * as Auth from "./Auth.ts"
import * as Features from "./Features.ts"
import * as ModelCatalogue from "./ModelCatalogue.ts"
import * as ProviderTable from "./ProviderTable.ts"

/**
 * The facts of a model as it can be reached through a kind of provider.
 *
 * @since 0.1.0
 * @category getters
 */
export const model = (kind: string, name: string): Catalogue.ModelFacts => {
  const facts = ModelCatalogue.find(kind, name)
  const row = ProviderTable.find(kind)
  const features = facts.capabilities?.features
  if (row === undefined || features === undefined) return facts
  const left = Features.through(row, features)
  return left === features ? facts : { ...facts, capabilities: { ...facts.capabilities, features: left } }
}

/**
 * The catalogue as a value.
 *
 * @since 0.1.0
 * @category constructors
 */
export const catalogue: Catalogue.Catalogue = {
  kinds: Object.fromEntries(
    Object.entries(ProviderTable.rows).map(([kind, row]): [string, Catalogue.Kind] => [
      kind,
      {
        needsKey: row.needsKey,
        needsBaseUrl: row.baseUrl === undefined && row.address === undefined,
        keyVariable: row.keyVariable,
        auth: Auth.isStatic(row.auth) ? undefined : Auth.kindOf(row.auth),
        needs: row.needs
      }
    ])
  ),
  model
}

/**
 * Supplies the catalogue.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never> = Layer.succeed(Catalogue.Catalogue, catalogue)
