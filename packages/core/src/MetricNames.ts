/**
 * Every metric by name: what it counts, in which unit, and by which labels. Programs, exporters and the generated
 * reference read it here.
 *
 * Names, units, attributes and bucket boundaries of `gen_ai.*` are those of the OpenTelemetry semantic conventions
 * for generative AI (in development). What they have no name for is `echelon.*`. For its callers Echelon is the
 * server of the conventions, for its providers it is the client: `gen_ai.server.*` is measured once for each request,
 * `gen_ai.client.*` once for each attempt.
 *
 * @since 0.1.0
 */

/**
 * What a metric is.
 *
 * **Details** `counter` only grows, `gauge` is read when it is asked for, `histogram` counts values by size.
 *
 * @since 0.1.0
 * @category models
 */
export type Kind = "counter" | "gauge" | "histogram"

/**
 * A metric.
 *
 * @since 0.1.0
 * @category models
 */
export interface Definition {
  readonly kind: Kind
  /** A UCUM unit, as OpenTelemetry writes it. */
  readonly unit: string
  readonly description: string
  /** The labels it may have; one that says nothing of a series is left out there. */
  readonly labels: ReadonlyArray<Label>
  /** The upper bounds of the buckets of a histogram. */
  readonly boundaries?: ReadonlyArray<number> | undefined
}

/**
 * What labels say.
 *
 * @since 0.1.0
 * @category models
 */
export const labels = {
  "gen_ai.operation.name": "`chat` or `embeddings`",
  "gen_ai.provider.name": "the provider's kind, by the name that the conventions give it where they have one",
  "gen_ai.request.model": "the model's name on the wire",
  "gen_ai.token.type": "`input` or `output`",
  "server.address": "the host of the provider's `base_url`, when a file states one",
  "server.port": "its port",
  "error.type": "the reason of a failure (docs/failures.md); `Cancelled` when it was given up",
  "echelon.target": "what the request named: `wrapper`, `pool`, `group`, `client` or `router`",
  "echelon.wrapper": "the wrapper that the request passed",
  "echelon.pool": "the pool that the request passed",
  "echelon.group": "the group of the echelon, or the group that the request named",
  "echelon.echelon": "`group.echelonN`",
  "echelon.instance": "the instance",
  "echelon.provider": "the provider's name: that of its file",
  "echelon.tenant": "the tenant, only with `tenant_label = true`",
  "echelon.priority": "`critical`, `normal` or `batch`",
  "echelon.outcome":
    "`completed`, `failed` or `cancelled`; of a reload `applied`, `unchanged` or `rejected`; of a delivery `delivered`, `retried`, `failed` or `dropped`",
  "echelon.kind":
    "why an attempt was there: `call`, `hedge`, `cache` or `coalesced`; of what was lost: `usage`, `log`, `route`, `span` or `metrics`",
  "echelon.token.type": "`input`, `output`, `cache_read`, `cache_write` or `reasoning`",
  "echelon.usage.source": "`reported` by the provider, or `estimated`",
  "echelon.breaker.state": "what it became: `open`, `half_open`, `closed`, `forced_open` or `forced_closed`",
  "echelon.limit.owner": "`pool`, `echelon` or `instance`",
  "echelon.limit": "the limit's name, `rpm` for example",
  "echelon.limit.source": "`configured`, or `reported` in the headers of a provider",
  "echelon.channel": "the alert channel",
  "echelon.metric": "the metric"
} as const

/**
 * A label.
 *
 * @since 0.1.0
 * @category models
 */
export type Label = keyof typeof labels

const seconds = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92] as const
const firstToken = [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10] as const
const perToken = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5] as const
const tokens = [
  1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216, 67_108_864
] as const
const tokensPerSecond = [1, 2, 5, 10, 20, 30, 40, 50, 75, 100, 150, 200, 300, 500, 1_000] as const
/** Most requests do not wait: the buckets begin at a millisecond. */
const waits = [0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60] as const

const request = [
  "gen_ai.operation.name",
  "echelon.target",
  "echelon.wrapper",
  "echelon.pool",
  "echelon.group",
  "echelon.tenant"
] as const

const server = [
  "gen_ai.operation.name",
  "gen_ai.provider.name",
  "gen_ai.request.model",
  "echelon.wrapper",
  "echelon.pool",
  "echelon.group",
  "echelon.tenant"
] as const

const attempt = [
  "gen_ai.operation.name",
  "gen_ai.provider.name",
  "gen_ai.request.model",
  "echelon.provider",
  "echelon.instance",
  "echelon.echelon",
  "echelon.group",
  "echelon.pool",
  "echelon.wrapper",
  "echelon.tenant"
] as const

const client = [...attempt, "server.address", "server.port"] as const

const instance = ["echelon.instance", "echelon.provider", "gen_ai.request.model"] as const

const limit = [
  "echelon.limit.owner",
  "echelon.limit",
  "echelon.limit.source",
  "echelon.pool",
  "echelon.echelon",
  "echelon.instance"
] as const

/**
 * The metrics.
 *
 * @since 0.1.0
 * @category models
 */
export const catalogue = {
  "gen_ai.client.operation.duration": {
    kind: "histogram",
    unit: "s",
    description: "Duration of an attempt: from asking an instance to the end of its answer.",
    labels: [...client, "error.type"],
    boundaries: seconds
  },
  "gen_ai.client.operation.time_to_first_chunk": {
    kind: "histogram",
    unit: "s",
    description: "Time from asking an instance to its first output; streams only.",
    labels: client,
    boundaries: seconds
  },
  "gen_ai.client.token.usage": {
    kind: "histogram",
    unit: "{token}",
    description: "Input and output tokens of an attempt, as its provider reported them.",
    labels: [...client, "gen_ai.token.type"],
    boundaries: tokens
  },
  "gen_ai.server.request.duration": {
    kind: "histogram",
    unit: "s",
    description: "Total time of a request: waiting, failed attempts and the whole answer.",
    labels: [...server, "error.type"],
    boundaries: seconds
  },
  "gen_ai.server.time_to_first_token": {
    kind: "histogram",
    unit: "s",
    description: "Time from a request to the first output that its caller got; completed streams only.",
    labels: server,
    boundaries: firstToken
  },
  "gen_ai.server.time_per_output_token": {
    kind: "histogram",
    unit: "s",
    description: "Time per output token after the first; completed streams with reported tokens only.",
    labels: server,
    boundaries: perToken
  },
  "echelon.requests": {
    kind: "counter",
    unit: "{request}",
    description: "Requests that have ended.",
    labels: [...request, "echelon.outcome", "error.type"]
  },
  "echelon.requests.active": {
    kind: "gauge",
    unit: "{request}",
    description: "Requests that are answered now; those that wait in a queue are not counted.",
    labels: []
  },
  "echelon.queue.wait": {
    kind: "histogram",
    unit: "s",
    description: "Time that a request waited in its wrapper's queue; 0 when it did not wait.",
    labels: ["echelon.wrapper", "echelon.priority"],
    boundaries: waits
  },
  "echelon.queue.depth": {
    kind: "gauge",
    unit: "{request}",
    description: "Requests that wait in a wrapper's queue.",
    labels: ["echelon.wrapper"]
  },
  "echelon.queue.running": {
    kind: "gauge",
    unit: "{request}",
    description: "Requests that hold a slot of a wrapper.",
    labels: ["echelon.wrapper"]
  },
  "echelon.attempts": {
    kind: "counter",
    unit: "{attempt}",
    description: "Attempts that have begun.",
    labels: [...attempt, "echelon.kind"]
  },
  "echelon.attempts.ended": {
    kind: "counter",
    unit: "{attempt}",
    description: "Attempts that have ended.",
    labels: [...attempt, "echelon.kind", "echelon.outcome", "error.type"]
  },
  "echelon.failovers": {
    kind: "counter",
    unit: "{attempt}",
    description: "Attempts at another instance because this one failed.",
    labels: [...attempt, "error.type"]
  },
  "echelon.retries": {
    kind: "counter",
    unit: "{attempt}",
    description: "Attempts at the same instance because it failed.",
    labels: [...attempt, "error.type"]
  },
  "echelon.hedges": {
    kind: "counter",
    unit: "{attempt}",
    description: "Second attempts beside a slow first one, by how they ended.",
    labels: [...attempt, "echelon.outcome"]
  },
  "echelon.cache.hits": {
    kind: "counter",
    unit: "{request}",
    description: "Requests that were answered from a pool's cache.",
    labels: attempt
  },
  "echelon.coalesced": {
    kind: "counter",
    unit: "{request}",
    description: "Requests that joined the call of an identical one.",
    labels: attempt
  },
  "echelon.tokens": {
    kind: "counter",
    unit: "{token}",
    description:
      "Tokens used by attempts. `cache_read` and `cache_write` are parts of `input`, `reasoning` is a part of `output`.",
    labels: [...attempt, "echelon.token.type", "echelon.usage.source"]
  },
  "echelon.output.tokens_per_second": {
    kind: "histogram",
    unit: "{token}/s",
    description: "Output tokens per second after the first output; completed streams with reported tokens only.",
    labels: attempt,
    boundaries: tokensPerSecond
  },
  "echelon.cost.usd": {
    kind: "counter",
    unit: "{USD}",
    description: "What attempts cost, where prices and usage are known.",
    labels: attempt
  },
  "echelon.attempts.unpriced": {
    kind: "counter",
    unit: "{attempt}",
    description: "Completed attempts of which the cost is not known.",
    labels: attempt
  },
  "echelon.instance.in_flight": {
    kind: "gauge",
    unit: "{attempt}",
    description: "Attempts that run at an instance.",
    labels: instance
  },
  "echelon.instance.cooldown": {
    kind: "gauge",
    unit: "s",
    description: "How long an instance is still passed over because it was told to wait; 0 when it is not.",
    labels: instance
  },
  "echelon.instance.drained": {
    kind: "gauge",
    unit: "{state}",
    description: "1 while somebody has taken an instance out, else 0.",
    labels: instance
  },
  "echelon.instance.health": {
    kind: "gauge",
    unit: "{state}",
    description: "1 healthy, 0.5 degraded, 0 unhealthy; absent while nothing is known.",
    labels: instance
  },
  "echelon.provider.down": {
    kind: "gauge",
    unit: "{state}",
    description: "1 while the instances of a provider fail together, 0 when they work again.",
    labels: ["echelon.provider"]
  },
  "echelon.breaker.state": {
    kind: "gauge",
    unit: "{state}",
    description: "The circuit of an instance in a group: 0 closed, 0.5 half-open, 1 open.",
    labels: ["echelon.group", "echelon.instance"]
  },
  "echelon.breaker.transitions": {
    kind: "counter",
    unit: "{transition}",
    description: "Moves of circuits.",
    labels: ["echelon.group", "echelon.instance", "echelon.breaker.state"]
  },
  "echelon.limit.remaining": {
    kind: "gauge",
    unit: "{unit}",
    description: "What a limit still grants, in requests, tokens or slots; below 0 in debt.",
    labels: limit
  },
  "echelon.limit.size": {
    kind: "gauge",
    unit: "{unit}",
    description: "The most that a limit grants; absent when a provider did not say.",
    labels: limit
  },
  "echelon.probes": {
    kind: "counter",
    unit: "{request}",
    description: "Requests of health checks; they are in no other metric.",
    labels: ["echelon.provider", "echelon.outcome"]
  },
  "echelon.probes.cost.usd": {
    kind: "counter",
    unit: "{USD}",
    description: "What health checks may have cost, at most.",
    labels: ["echelon.provider"]
  },
  "echelon.reloads": {
    kind: "counter",
    unit: "{reload}",
    description: "Readings of a changed configuration.",
    labels: ["echelon.outcome"]
  },
  "echelon.alerts.deliveries": {
    kind: "counter",
    unit: "{delivery}",
    description: "Deliveries of alerts.",
    labels: ["echelon.channel", "echelon.outcome"]
  },
  "echelon.telemetry.lost": {
    kind: "counter",
    unit: "{item}",
    description:
      "What was dropped because it could not be written or sent in time; of `metrics`, tries to export them that failed.",
    labels: ["echelon.kind"]
  },
  "echelon.metrics.series": {
    kind: "gauge",
    unit: "{series}",
    description: "Series that are kept, of all metrics together.",
    labels: []
  },
  "echelon.metrics.overflow": {
    kind: "counter",
    unit: "{measurement}",
    description: 'Measurements that were put into the series "other", because a metric had `max_series` already.',
    labels: ["echelon.metric"]
  }
} as const satisfies Readonly<Record<string, Definition>>

/**
 * The name of a metric.
 *
 * @since 0.1.0
 * @category models
 */
export type Name = keyof typeof catalogue

/**
 * The names of one kind.
 *
 * @since 0.1.0
 * @category models
 */
export type NameOf<K extends Kind> = { [N in Name]: (typeof catalogue)[N]["kind"] extends K ? N : never }[Name]

/**
 * The labels that a metric may have.
 *
 * @since 0.1.0
 * @category models
 */
export type LabelOf<N extends Name> = (typeof catalogue)[N]["labels"][number]

/**
 * All names, in the order of the catalogue.
 *
 * @since 0.1.0
 * @category getters
 */
export const names: ReadonlyArray<Name> = Object.keys(catalogue) as ReadonlyArray<Name>

/**
 * Looks a name up; `undefined` when it is nobody's.
 *
 * @since 0.1.0
 * @category getters
 */
export const find = (name: string): Definition | undefined =>
  Object.hasOwn(catalogue, name) ? catalogue[name as Name] : undefined

/** Prometheus spells units out; what stands in braces is a remark. */
const units: Readonly<Record<string, string>> = { s: "seconds", "{token}/s": "per_second" }

/**
 * The name that Prometheus has for a metric, by the rules of OpenTelemetry: `_` for a dot, the unit, and `_total`
 * behind a counter. A name that is not in the catalogue stays.
 *
 * @since 0.1.0
 * @category getters
 */
export const prometheus = (name: string): string => {
  const definition = find(name)
  if (definition === undefined) return name
  const plain = name.replaceAll(".", "_")
  const unit = units[definition.unit]
  const measured = unit === undefined || plain.endsWith(`_${unit}`) ? plain : `${plain}_${unit}`
  return definition.kind === "counter" ? `${measured}_total` : measured
}

/** Kinds of the provider table whose name in the conventions is another. */
const conventional: Readonly<Record<string, string>> = {
  "openai-responses": "openai",
  gemini: "gcp.gemini",
  "gemini-openai": "gcp.gemini",
  "azure-openai": "azure.ai.openai",
  "azure-openai-responses": "azure.ai.openai",
  vertex: "gcp.vertex_ai",
  bedrock: "aws.bedrock",
  mistral: "mistral_ai",
  xai: "x_ai"
}

/**
 * The value of `gen_ai.provider.name` for a kind of provider; `unknown` when nobody was asked, or who is not known.
 *
 * @since 0.1.0
 * @category getters
 */
export const providerName = (kind: string | undefined): string =>
  kind === undefined ? "unknown" : (conventional[kind] ?? kind)
