/**
 * Direct calls to a provider, outside of any pool.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Llm from "./Llm.ts"
import type * as LlmError from "./LlmError.ts"
import type * as Plan from "./Plan.ts"

/**
 * Gives the client of a provider and a model.
 *
 * **Details** `model` is an alias of the provider's file, or the name on the wire of a model that it names; a file that
 * names none takes any. Without one the provider's default model is asked. A provider without a file is known by
 * its kind when its credential is in the environment.
 *
 * **Errors** `UnknownTarget` with the nearest known names.
 *
 * @since 0.1.0
 * @category services
 */
export class Clients extends Context.Service<
  Clients,
  {
    readonly get: (
      root: Plan.Root,
      provider: string,
      model: string | undefined
    ) => Effect.Effect<Llm.Llm, LlmError.LlmError>
  }
>()("@echelon/core/Clients") {}
