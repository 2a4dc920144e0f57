/**
 * The catalogue that a configuration is decoded with: the kinds of the provider table and the facts of the model
 * table.
 *
 * @since 0.1.0
 */
import * as Catalogue from "@echelon/core/Catalogue"
import * as Layer from "effect/Layer"
import * as ModelTable from "./ModelTable.ts"
import * as ProviderTable from "./ProviderTable.ts"

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
      { needsKey: row.needsKey, needsBaseUrl: row.baseUrl === undefined, keyVariable: row.keyVariable }
    ])
  ),
  model: ModelTable.find
}

/**
 * Supplies the catalogue.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never> = Layer.succeed(Catalogue.Catalogue, catalogue)
