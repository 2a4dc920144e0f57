/**
 * The books where the plan says, and the meter that writes them.
 *
 * @since 0.1.0
 */
import type * as Plan from "@echelon/core/Plan"
import * as UsageLedger from "@echelon/core/UsageLedger"
import * as UsageLedgerMemory from "@echelon/core/UsageLedgerMemory"
import * as UsageMeter from "@echelon/core/UsageMeter"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/**
 * Opens the store that the settings name. Databases are loaded when they are used.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerLedger = (
  { enabled, path, store, url }: Pick<Plan.Accounting, "enabled" | "store" | "path" | "url">,
  options: { readonly isReadOnly?: boolean | undefined } = {}
): Layer.Layer<UsageLedger.UsageLedger, UsageLedger.UsageLedgerError> => {
  if (!enabled || store === "memory") return UsageLedgerMemory.layer()
  if (store === "sqlite")
    return Layer.unwrap(
      Effect.map(
        Effect.promise(() => import("./SqliteLedger.ts")),
        (SqliteLedger) => SqliteLedger.layer({ path, ...options })
      )
    )
  if (url === undefined) {
    const missing = { store, operation: "open", detail: "no url is set" } as const
    return Layer.effect(UsageLedger.UsageLedger, Effect.fail(new UsageLedger.UsageLedgerError(missing)))
  }
  return Layer.unwrap(
    Effect.map(
      Effect.promise(() => import("./PostgresLedger.ts")),
      (PostgresLedger) => PostgresLedger.layer({ url, ...options })
    )
  )
}

/**
 * Accounts for usage as the settings say.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  settings: Plan.Accounting
): Layer.Layer<UsageMeter.UsageMeter | UsageLedger.UsageLedger, UsageLedger.UsageLedgerError> =>
  Layer.provideMerge(UsageMeter.UsageMeter.layer(settings), layerLedger(settings))
