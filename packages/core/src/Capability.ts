/**
 * What a model can do, and what a request needs of it.
 *
 * @since 0.1.0
 */

/**
 * Something not every model can do. `prefill` means that the model goes on from an assistant message that
 * ends the conversation.
 *
 * **Details** A request is kept from a model over `tools`, `json_schema`, `images`, `files`, `prefill` and
 * `embeddings`: see `LlmRequest.needs`. The others are told and asked by nobody: without `streaming` an answer comes
 * at once, without `parallel_tools` one call at a time, without `system` instructions stand in the first message,
 * without `caching` a prompt is read anew each time.
 *
 * @since 0.1.0
 * @category models
 */
export type Capability =
  | "streaming"
  | "tools"
  | "parallel_tools"
  | "json_schema"
  | "images"
  | "files"
  | "prefill"
  | "reasoning"
  | "system"
  | "caching"
  | "embeddings"

/**
 * Every capability, in the order in which they are documented.
 *
 * @since 0.1.0
 * @category models
 */
export const all: ReadonlyArray<Capability> = [
  "streaming",
  "tools",
  "parallel_tools",
  "json_schema",
  "images",
  "files",
  "prefill",
  "reasoning",
  "system",
  "caching",
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
  /** What is known to be missing even where `features` are unknown. */
  readonly lacks?: ReadonlyArray<Capability> | undefined
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
  const { features, lacks } = have
  if (features === undefined && lacks === undefined) return []
  return needs.filter((need) => lacks?.includes(need) === true || features?.includes(need) === false)
}
