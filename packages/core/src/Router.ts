/**
 * Picks who answers from a request's metadata.
 *
 * `wrapperName`, else `poolName`, else `groupName`, else `provider` and `model` to a direct client, else the
 * configured default wrapper, pool or provider, last `openai`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Capability from "./Capability.ts"
import * as Interpreter from "./Interpreter.ts"
import type * as Llm from "./Llm.ts"
import type * as LlmError from "./LlmError.ts"
import * as LlmRequest from "./LlmRequest.ts"
import * as Observe from "./Observe.ts"
import type * as Plan from "./Plan.ts"

/**
 * Where a request goes.
 *
 * @since 0.1.0
 * @category models
 */
export type Target =
  | { readonly kind: "wrapper" | "pool" | "group"; readonly name: string }
  | { readonly kind: "client"; readonly provider: string; readonly model: string | undefined }

/**
 * The provider that is asked when nothing says otherwise.
 *
 * @since 0.1.0
 * @category models
 */
export const defaultProvider = "openai"

/**
 * Decides where a request goes. A model without a provider is asked at the default provider.
 *
 * @since 0.1.0
 * @category getters
 */
export const decide = (metadata: LlmRequest.Metadata, routing: Plan.Root["routing"]): Target => {
  const { groupName, model, poolName, provider, wrapperName } = metadata
  if (wrapperName !== undefined) return { kind: "wrapper", name: wrapperName }
  if (poolName !== undefined) return { kind: "pool", name: poolName }
  if (groupName !== undefined) return { kind: "group", name: groupName }
  if (provider !== undefined) return { kind: "client", provider, model }
  if (model === undefined) {
    if (routing.defaultWrapper !== undefined) return { kind: "wrapper", name: routing.defaultWrapper }
    if (routing.defaultPool !== undefined) return { kind: "pool", name: routing.defaultPool }
  }
  return { kind: "client", provider: routing.defaultProvider ?? defaultProvider, model }
}

/**
 * Routes requests.
 *
 * **Errors** `UnknownTarget` with the nearest known names.
 *
 * @since 0.1.0
 * @category services
 */
export class Router extends Context.Service<
  Router,
  {
    /** Who answers a request with this metadata; for as long as the scope is open, whatever is changed. */
    readonly resolve: (metadata: LlmRequest.Metadata) => Effect.Effect<Llm.Llm, LlmError.LlmError, Scope.Scope>
    /** Fails, and tells whoever watches of a request that cannot be made of what was asked. */
    readonly refuse: (error: LlmError.LlmError, stream: boolean) => Effect.Effect<never, LlmError.LlmError>
    /** The router as an `Llm`: it resolves each request that it is given. */
    readonly llm: Llm.Llm
  }
>()("@echelon/core/Router") {
  static readonly layer: Layer.Layer<Router, never, Interpreter.Interpreter> = Layer.effect(
    Router,
    Effect.map(Interpreter.Interpreter, ({ current, registry }) => {
      const resolve = (metadata: LlmRequest.Metadata): Effect.Effect<Llm.Llm, LlmError.LlmError, Scope.Scope> =>
        Effect.flatMap(current, (interpretation) => {
          const target = decide(metadata, interpretation.root.routing)
          switch (target.kind) {
            case "wrapper":
              return interpretation.wrapper(target.name)
            case "pool":
              return interpretation.pool(target.name)
            case "group":
              return interpretation.group(target.name)
            case "client":
              return interpretation.client(target.provider, target.model)
          }
        })
      return Router.of({
        resolve,
        refuse: (error, stream) =>
          Effect.flatMap(LlmRequest.make({ prompt: "" }, { stream, commit: "finish" }), (request) =>
            Observe.refused(registry.observers, request, error)
          ),
        llm: {
          id: "router",
          capabilities: Capability.unknown,
          call: (request) =>
            Effect.flatMap(
              Effect.catch(resolve(request.metadata), (error) => Observe.refused(registry.observers, request, error)),
              (llm) => llm.call(request)
            )
        }
      })
    })
  )
}
