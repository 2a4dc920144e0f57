/**
 * The keys of `llms/provider/*.toml`: one account at one provider endpoint, and its models.
 *
 * @since 0.1.0
 */
import * as Capability from "@echelon/core/Capability"
import * as Plan from "@echelon/core/Plan"
import * as Plans from "@echelon/core/Plans"
import * as Schema from "effect/Schema"
import * as Field from "./Field.ts"

const { provider } = Plans.defaults

const computed = {
  access_key_id: Field.optional(Field.secret, 'for auth = "sigv4"; AWS_ACCESS_KEY_ID when no credential is stated'),
  secret_access_key: Field.optional(
    Field.secret,
    'for auth = "sigv4"; AWS_SECRET_ACCESS_KEY when no credential is stated'
  ),
  session_token: Field.optional(
    Field.secret,
    'for auth = "sigv4" with temporary credentials; AWS_SESSION_TOKEN when no credential is stated'
  ),
  service_account: Field.optional(Field.secret, 'for auth = "google": the JSON text of a service account'),
  service_account_file: Field.optional(
    Field.name,
    'for auth = "google": the file of that text, relative to this one; GOOGLE_APPLICATION_CREDENTIALS when no credential is stated'
  )
} as const

/**
 * One of several credentials.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Credential = Schema.Struct({
  name: Field.required(Field.ownName, 'what follows the "@" in the names of its instances'),
  api_key: Field.optional(Field.secret, "the credential"),
  ...computed,
  weight: Field.or(Field.aboveZero, 1, "its share where a pool rotates by weight")
}).annotate({ expected: "a table with name and api_key" })

const price = Field.measured("USD per million tokens", Field.fromZero)

/**
 * A model under its alias.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Model = Schema.Struct({
  model: Field.optional(Field.name, "the name on the wire; the alias when absent"),
  context_window: Field.optional(
    Field.measured("tokens", Field.int(1)),
    "tokens of input and output together; from the built-in catalogue when absent"
  ),
  max_output_tokens: Field.optional(
    Field.measured("tokens", Field.int(1)),
    "tokens of the longest answer; from the built-in catalogue when absent"
  ),
  input_price: Field.optional(price, "price of input; from the built-in catalogue when absent"),
  output_price: Field.optional(price, "price of output; from the built-in catalogue when absent"),
  cached_input_price: Field.optional(price, "price of input that the provider reads from its cache"),
  cache_write_price: Field.optional(price, "price of input that the provider writes to its cache"),
  batch_discount: Field.optional(Field.ratio, "share that is taken off in a batch: 0.5 is half the price"),
  capabilities: Field.optional(
    Schema.Array(Field.oneOf(Capability.all)).annotate({ expected: "a list of capabilities" }),
    "what the model can do; from the built-in catalogue when absent, and what is unknown excludes nothing"
  ),
  weight: Field.or(Field.aboveZero, 1, "its share where a pool rotates by weight"),
  rpm_limit: Field.optional(Field.measured("requests per minute", Field.int(1)), "requests in any 60 seconds"),
  tpm_limit: Field.optional(Field.measured("tokens per minute", Field.int(1)), "tokens in any 60 seconds"),
  rpd_limit: Field.optional(Field.measured("requests per day", Field.int(1)), "requests in any 24 hours"),
  concurrency_limit: Field.optional(Field.measured("requests", Field.int(1)), "requests at a time")
}).annotate({ expected: "a table" })

const secrets = (description: string) =>
  Schema.Record(Field.keyed("NAME"), Field.required(Field.secret, description)).annotate({
    expected: "a table of texts"
  })

/** Which kinds there are is what providers know; a file is checked without them. */
const kind = Field.name.annotate({
  expected: 'the kind of provider, "openai" or "openai-compatible" for example; the configuration reference has all'
})

/**
 * A provider's file.
 *
 * @since 0.1.0
 * @category schemas
 */
export const ProviderFile = Schema.Struct({
  ...Field.anyFile,
  kind: Field.required(kind, "which API it speaks, and where: a row of the provider table"),
  base_url: Field.optional(Field.url, "where requests go; the kind's own address when absent"),
  api_key: Field.optional(
    Field.secret,
    "the credential; the variable of the kind when absent, OPENAI_API_KEY for example"
  ),
  auth: Field.optional(
    Field.oneOf(Plan.authKinds),
    'how it is shown who asks: "key" where the kind wants it, "bearer", "header" or "query" with auth_name, "none"; an AWS signature, a token of a Google service account, or a token that the program supplies; as is usual for the kind when absent'
  ),
  auth_name: Field.optional(
    Field.name,
    'for auth = "header" and auth = "query": the header or the parameter that holds the key'
  ),
  ...computed,
  headers: Field.or(secrets("the value of the header of that name"), {}, "sent with every request"),
  query: Field.or(secrets("the value of the parameter of that name"), {}, "added to every request's address"),
  credentials: Field.or(
    Schema.Array(Credential).annotate({ expected: "a list of tables ([[credentials]])" }),
    [],
    "instead of api_key: each model with each credential is an instance"
  ),
  organization: Field.optional(Field.name, "sent to a kind that has organizations"),
  project: Field.optional(Field.name, "sent to a kind that has projects"),
  api_version: Field.optional(Field.name, "sent to a kind whose API has versions"),
  deployment: Field.optional(Field.name, "for a kind that serves deployments; the model's name when absent"),
  region: Field.optional(Field.name, "for a kind that has regions"),
  default_model: Field.optional(Field.name, "the alias for direct calls without a model; the first when absent"),
  connect_timeout: Field.or(Field.seconds, provider.connectTimeout / 1000, "the longest wait for a connection"),
  max_connections: Field.or(
    Field.measured("connections", Field.int(1)),
    provider.maxConnections,
    "connections at a time, per origin"
  ),
  keep_alive: Field.or(Field.secondsOrZero, provider.keepAlive / 1000, "how long an idle connection is kept"),
  proxy: Field.optional(
    Field.secret,
    'the address of an HTTP proxy, or "none"; as HTTPS_PROXY, HTTP_PROXY and NO_PROXY say when absent'
  ),
  ca_file: Field.optional(
    Field.name,
    "a PEM file of certificate authorities to trust beside the usual ones, relative to this one"
  ),
  http2: Field.or(Field.flag, provider.http2, "whether HTTP/2 is spoken with a server that offers it"),
  max_request_bytes: Field.or(
    Field.measured("bytes", Field.int(1)),
    provider.maxRequestBytes,
    "the largest body that is sent"
  ),
  max_header_bytes: Field.or(
    Field.measured("bytes", Field.int(1)),
    provider.maxHeaderBytes,
    "the most that the headers of a response may hold together"
  ),
  max_response_bytes: Field.or(
    Field.measured("bytes", Field.int(1)),
    provider.maxResponseBytes,
    "the largest whole response, decompressed"
  ),
  max_event_bytes: Field.or(
    Field.measured("bytes", Field.int(1)),
    provider.maxEventBytes,
    "the largest event of a stream"
  ),
  max_cooldown: Field.or(Field.seconds, provider.maxCooldown / 1000, "the longest wait a provider may name"),
  limit_scope: Field.or(Field.oneOf(["model", "credential", "provider"]), provider.limitScope, "whom a 429 cools down"),
  tokenizer: Field.or(
    Field.oneOf(Plan.tokenizers),
    provider.tokenizer,
    'how the tokens of a request are counted for limits and context windows: "exact" with the encoding of the model, where it is published'
  ),
  health_check: Field.optional(
    Field.oneOf(["models", "ping", "none"]),
    "how a probe asks; as is usual for the kind when absent"
  ),
  trace_context: Field.or(
    Field.flag,
    provider.traceContext,
    "whether it is told, in a W3C traceparent header, which trace a request belongs to"
  ),
  models: Field.or(
    Schema.Record(Field.keyed("ALIAS", Field.namePattern), Model).annotate({ expected: "tables ([models.ALIAS])" }),
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
