/**
 * What one model is called in different places: behind a collection, a vendor, a region, with a version or a date.
 *
 * @since 0.1.0
 */

const vendors =
  /^(?:(?:us|eu|apac|ap|au|jp|ca|global|us-gov)\.)?(?:anthropic|amazon|cohere|deepseek|google|meta|mistral|openai|qwen|xai)\./

/**
 * The name of a model without what stands around it, in lower case.
 *
 * **Details** Left out are collections and vendors before a `/` (`models/`, `openai/`,
 * `publishers/google/models/`), Bedrock's region, vendor and version (`us.anthropic.NAME-v1:0`), a variant behind
 * `:`, and Vertex's `@` before a date or `latest`.
 *
 * @example
 * ```ts
 * import { ModelName } from "@echelon/providers"
 *
 * console.assert(ModelName.bare("us.anthropic.claude-sonnet-4-5-20250929-v1:0") === "claude-sonnet-4-5-20250929")
 * console.assert(ModelName.undated("claude-sonnet-4-5@20250929") === "claude-sonnet-4-5")
 * console.assert(ModelName.bare("openai/gpt-oss-120b") === "gpt-oss-120b")
 * ```
 *
 * @since 0.1.0
 * @category getters
 */
export const bare = (name: string): string =>
  name
    .slice(name.lastIndexOf("/") + 1)
    .toLowerCase()
    .replace(vendors, "")
    .replace(/:.*$/, "")
    .replace(/^(claude-.*)-v\d+$/, "$1")
    .replace("@", "-")

/**
 * A bare name without a date, a numbered build or `latest` at its end.
 *
 * @since 0.1.0
 * @category getters
 */
export const undated = (name: string): string =>
  bare(name).replace(/-(?:\d{4}-\d{2}-\d{2}|20\d{6}|0\d{2}|(?:0[1-9]|1[0-2])\d{2}|2[3-9](?:0[1-9]|1[0-2])|latest)$/, "")
