/** Two providers inside this process, on loopback: the examples need no key and no network. */
import { EmbeddedProviders } from "@echelon/testing"
import { Effect, ManagedRuntime } from "effect"

export interface Upstreams {
  /** Speaks as api.openai.com/v1 does. */
  readonly openaiUrl: string
  /** Speaks as api.anthropic.com/v1 does. */
  readonly anthropicUrl: string
  /** What the configuration of `configs` reads with `env: "embedded"`. */
  readonly variables: Readonly<Record<string, string>>
  /** Makes a provider answer 503, for some models or for all; `false` makes it well again. */
  readonly fail: (provider: "openai" | "anthropic", isDown: boolean, models?: ReadonlyArray<string>) => Promise<void>
  readonly close: () => Promise<void>
}

export const start = async (): Promise<Upstreams> => {
  const runtime = ManagedRuntime.make(EmbeddedProviders.layer)
  const { anthropicUrl, openaiUrl, setFault, variables } = await runtime.runPromise(
    Effect.service(EmbeddedProviders.EmbeddedProviders)
  )
  return {
    openaiUrl,
    anthropicUrl,
    variables,
    fail: (provider, isDown, models) =>
      runtime.runPromise(setFault(provider, isDown ? { _tag: "Status", status: 503 } : undefined, models)),
    close: () => runtime.dispose()
  }
}
