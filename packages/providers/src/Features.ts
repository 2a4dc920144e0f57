/**
 * What a model can do through a kind of provider: what the model is known to do, as far as the kind's protocol and
 * dialect can say it.
 *
 * @since 0.1.0
 */
import type * as Capability from "@echelon/core/Capability"
import type * as Dialect from "./Dialect.ts"
import type * as Protocol from "./Protocol.ts"

/**
 * A feature as it is documented.
 *
 * @since 0.1.0
 * @category models
 */
export interface Feature {
  readonly name: Capability.Capability
  readonly means: string
  /** Whether a request that needs it is kept from models that lack it. */
  readonly isNeeded: boolean
}

const feature = (name: Capability.Capability, isNeeded: boolean, means: string): Feature => ({ name, means, isNeeded })

/**
 * Every feature.
 *
 * @since 0.1.0
 * @category models
 */
export const all: ReadonlyArray<Feature> = [
  feature("streaming", false, "sends its answer piece by piece"),
  feature("tools", true, "calls tools"),
  feature("parallel_tools", false, "calls several tools at a time, and can be told not to"),
  feature("json_schema", true, "holds its answer to a JSON Schema"),
  feature("images", true, "reads images"),
  feature("files", true, "reads PDF and other files"),
  feature("prefill", true, "goes on from an assistant message that ends the conversation"),
  feature("reasoning", false, "thinks before it answers"),
  feature("system", false, "takes instructions apart from the conversation"),
  feature("caching", false, "reads a repeated beginning of a prompt from a cache"),
  feature("embeddings", true, "turns texts into vectors")
]

/** What no request can say in a protocol, by its name. */
const unsaid: Readonly<Record<string, ReadonlyArray<Capability.Capability>>> = {
  "openai-chat": ["prefill"],
  "openai-responses": ["prefill"],
  "gemini-generate-content": ["prefill"]
}

/**
 * What is left of a model's features through a protocol and its dialect.
 *
 * @example
 * ```ts
 * import { Features, ProviderTable } from "@echelon/providers"
 *
 * const { deepseek } = ProviderTable.rows
 * console.assert(deepseek !== undefined && Features.through(deepseek, ["tools", "json_schema"]).join() === "tools")
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const through = (
  row: { readonly protocol: Pick<Protocol.Protocol, "name">; readonly dialect: Dialect.Dialect },
  features: ReadonlyArray<Capability.Capability>
): ReadonlyArray<Capability.Capability> => {
  const { dialect, protocol } = row
  const lost = new Set(Object.hasOwn(unsaid, protocol.name) ? unsaid[protocol.name] : [])
  if (protocol.name === "openai-chat") {
    if (!dialect.parallelToolCalls) lost.add("parallel_tools")
    if (dialect.responseFormat === "object") lost.add("json_schema")
  }
  return lost.size === 0 ? features : features.filter((one) => !lost.has(one))
}
