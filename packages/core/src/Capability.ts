/**
 * What a model can do, and what a request needs of it.
 *
 * @since 0.1.0
 */

/**
 * Something not every model can do. `prefill` means that the model goes on from an assistant message that
 * ends the conversation.
 *
 * @since 0.1.0
 * @category models
 */
export type Capability = "tools" | "json_schema" | "images" | "files" | "prefill" | "reasoning" | "embeddings"

/**
 * Every capability, in the order in which they are documented.
 *
 * @since 0.1.0
 * @category models
 */
export const all: ReadonlyArray<Capability> = [
  "tools",
  "json_schema",
  "images",
  "files",
  "prefill",
  "reasoning",
  "embeddings"
]

/**
 * What is known of a model. An absent field is unknown, and what is unknown excludes nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Capabilities {
  readonly features?: ReadonlyArray<Capability> | undefined
  /** Tokens of input and output together. */
  readonly contextWindow?: number | undefined
  readonly maxOutputTokens?: number | undefined
}

/**
 * Nothing is known of the model.
 *
 * @since 0.1.0
 * @category constructors
 */
export const unknown: Capabilities = {}

/**
 * The needs that a model is known not to meet; empty when it may be asked.
 *
 * @since 0.1.0
 * @category getters
 */
export const missing = (have: Capabilities, needs: ReadonlyArray<Capability>): ReadonlyArray<Capability> => {
  const features = have.features
  return features === undefined ? [] : needs.filter((need) => !features.includes(need))
}
