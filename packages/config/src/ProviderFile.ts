/**
 * The keys of `llms/provider/*.toml`: one account at one provider endpoint, and its models.
 *
 * @since 0.1.0
 */
import * as Capability from "@echelon/core/Capability"
import * as Plans from "@echelon/core/Plans"
import * as Schema from "effect/Schema"
import * as Field from "./Field.ts"

const { provider } = Plans.defaults

/**
 * One of several credentials.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Credential = Schema.Struct({
  name: Field.required(Field.name, 'what follows the "@" in the names of its instances'),
  api_key: Field.optional(Field.secret, "the credential"),
  weight: Field.or(Field.aboveZero, 1, "its share where a pool rotates by weight")
}).annotate({ expected: "a table with name and api_key" })

/**
 * A model under its alias.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Model = Schema.Struct({
  model: Field.optional(Field.name, "the name on the wire; the alias when absent"),
  context_window: Field.optional(Field.int(1), "tokens of input and output together"),
  max_output_tokens: Field.optional(Field.int(1), "tokens"),
  input_price: Field.optional(Field.fromZero, "USD per million tokens"),
  output_price: Field.optional(Field.fromZero, "USD per million tokens"),
  cached_input_price: Field.optional(Field.fromZero, "USD per million tokens read from the provider's cache"),
  capabilities: Field.optional(
    Schema.Array(Field.oneOf(Capability.all)).annotate({ expected: "a list of capabilities" }),
    "what the model can do"
  ),
  weight: Field.or(Field.aboveZero, 1, "its share where a pool rotates by weight"),
  rpm_limit: Field.optional(Field.int(1), "requests per minute"),
  tpm_limit: Field.optional(Field.int(1), "tokens per minute"),
  rpd_limit: Field.optional(Field.int(1), "requests per day"),
  concurrency_limit: Field.optional(Field.int(1), "requests at a time")
}).annotate({ expected: "a table" })

const secrets = Schema.Record(Schema.String, Field.secret).annotate({ expected: "a table of texts" })

/**
 * A provider's file.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ProviderFile = Schema.Struct({
  ...Field.anyFile,
  kind: Field.required(Field.name, "a row of the provider table"),
  base_url: Field.optional(Field.url, "where requests go; from the row when absent"),
  api_key: Field.optional(Field.secret, "the credential; from the row's variable when absent"),
  headers: Field.or(secrets, {}, "sent with every request"),
  query: Field.or(secrets, {}, "added to every request's address"),
  credentials: Field.or(
    Schema.Array(Credential).annotate({ expected: "a list of tables ([[credentials]])" }),
    [],
    "instead of api_key: each model with each credential is an instance"
  ),
  organization: Field.optional(Field.name, "where the row uses it"),
  project: Field.optional(Field.name, "where the row uses it"),
  api_version: Field.optional(Field.name, "where the row uses it"),
  deployment: Field.optional(Field.name, "where the row uses it"),
  region: Field.optional(Field.name, "where the row uses it"),
  default_model: Field.optional(Field.name, "the alias for direct calls without a model; the first when absent"),
  connect_timeout: Field.or(Field.seconds, provider.connectTimeout / 1000, "until a connection stands"),
  max_connections: Field.or(Field.int(1), provider.maxConnections, "per origin"),
  keep_alive: Field.or(Field.secondsOrZero, provider.keepAlive / 1000, "how long an idle connection is kept"),
  max_response_bytes: Field.or(Field.int(1), provider.maxResponseBytes, "bytes of a whole response"),
  max_event_bytes: Field.or(Field.int(1), provider.maxEventBytes, "bytes of one event of a stream"),
  max_cooldown: Field.or(Field.seconds, provider.maxCooldown / 1000, "the longest wait a provider may name"),
  limit_scope: Field.or(Field.oneOf(["model", "credential", "provider"]), provider.limitScope, "whom a 429 cools down"),
  health_check: Field.optional(Field.oneOf(["models", "ping", "none"]), "how a probe asks; from the row when absent"),
  models: Field.or(
    Schema.Record(Schema.String, Model).annotate({ expected: "tables ([models.ALIAS])" }),
    {},
    "the models by alias"
  )
}).annotate({ expected: "a table" })

/**
 * A decoded provider's file.
 *
 * @since 0.1.0
 * @category models
 */
export type ProviderFile = typeof ProviderFile.Type
