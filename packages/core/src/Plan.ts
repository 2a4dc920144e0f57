/**
 * What a configuration describes, as data. One interpreter turns a plan into an `Llm`; `check`, `explain` and
 * the simulator read the same plan. Nothing reads raw configuration after it became a plan.
 *
 * Times are milliseconds here, names are references into the `Root` that holds them.
 *
 * @since 0.1.0
 */
import type * as Redacted from "effect/Redacted"
import type * as AlertSettings from "./AlertSettings.ts"
import type * as Capability from "./Capability.ts"
import type * as Clocks from "./Clocks.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import type * as Usage from "./Usage.ts"

/**
 * One account at one provider endpoint. The core carries it; only `InstanceFactory` reads it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Provider {
  readonly name: string
  /** A row of the provider table. */
  readonly kind: string
  readonly baseUrl: string | undefined
  /** As is usual for the kind when undefined. */
  readonly auth?: AuthKind | undefined
  /** For `auth` `header` and `query`: the header or the parameter that holds the key. */
  readonly authName?: string | undefined
  readonly credentials: ReadonlyArray<Credential>
  readonly headers: Readonly<Record<string, Redacted.Redacted>>
  readonly query: Readonly<Record<string, Redacted.Redacted>>
  readonly organization: string | undefined
  readonly project: string | undefined
  readonly apiVersion: string | undefined
  readonly deployment: string | undefined
  readonly region: string | undefined
  /** An alias of `models`. */
  readonly defaultModel: string | undefined
  readonly connectTimeout: number
  readonly maxConnections: number
  readonly keepAlive: number
  /** The address of a proxy, or `none`; as the environment says when undefined. It may hold a password. */
  readonly proxy: Redacted.Redacted | undefined
  /** The path of a PEM file with certificate authorities to trust beside Node's own. */
  readonly caFile: string | undefined
  readonly http2: boolean
  readonly maxRequestBytes: number
  readonly maxHeaderBytes: number
  readonly maxResponseBytes: number
  readonly maxEventBytes: number
  readonly maxCooldown: number
  readonly limitScope: "model" | "credential" | "provider"
  readonly tokenizer: Tokenizer
  readonly healthCheck: "models" | "ping" | "none" | undefined
  /** Whether it is told of the trace that a request belongs to. */
  readonly traceContext: boolean
  readonly models: Readonly<Record<string, Model>>
}

/**
 * How the tokens of a request are counted before the provider counts them.
 *
 * @since 0.1.0
 * @category models
 */
export type Tokenizer = (typeof tokenizers)[number]

/**
 * Every way to count: by the letters, corrected by what the provider reports; or by the model's own encoding.
 *
 * @since 0.1.0
 * @category models
 */
export const tokenizers = ["estimate", "exact"] as const

/**
 * How a provider is shown who asks: a key, or a proof that is computed for each request.
 *
 * @since 0.1.0
 * @category models
 */
export type AuthKind = (typeof authKinds)[number]

/**
 * Every way to show who asks: a key where the kind wants it, as a bearer, in a header or in a parameter of one's own, or
 * not at all; an AWS signature; a token of a Google service account; a token of the program's own.
 *
 * @since 0.1.0
 * @category models
 */
export const authKinds = ["key", "bearer", "header", "query", "none", "sigv4", "google", "token"] as const

/**
 * What a computed proof is made of.
 *
 * @since 0.1.0
 * @category models
 */
export interface Secrets {
  readonly accessKeyId?: Redacted.Redacted | undefined
  readonly secretAccessKey?: Redacted.Redacted | undefined
  readonly sessionToken?: Redacted.Redacted | undefined
  /** The JSON text of a Google service account. */
  readonly serviceAccount?: Redacted.Redacted | undefined
  /** Where that text stands instead: a path, absolute or below the working directory. */
  readonly serviceAccountFile?: string | undefined
}

/**
 * A credential of a provider. `key` is undefined when the provider needs none.
 *
 * @since 0.1.0
 * @category models
 */
export interface Credential {
  /** Empty for the one credential of a provider that states no `[[credentials]]`. */
  readonly name: string
  readonly key: Redacted.Redacted | undefined
  readonly secrets?: Secrets | undefined
  readonly weight: number
}

/**
 * A model as a provider's file describes it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Model {
  /** The name on the wire. */
  readonly model: string
  readonly capabilities: Capability.Capabilities
  readonly prices: Usage.Prices | undefined
  readonly weight: number
  readonly limits: Limits
}

/**
 * Limits of an instance or an echelon; `undefined` means none.
 *
 * @since 0.1.0
 * @category models
 */
export interface Limits {
  readonly concurrency: number | undefined
  readonly rpm: number | undefined
  readonly tpm: number | undefined
  readonly rpd: number | undefined
}

/**
 * One model at one provider endpoint with one credential.
 *
 * @since 0.1.0
 * @category models
 */
export interface Instance {
  readonly _tag: "Instance"
  /** `openai-gpt4`, or `openai-gpt4@name` when the provider has several credentials. */
  readonly name: string
  readonly provider: Provider
  readonly credential: Credential
  /** The alias in the provider's file. */
  readonly alias: string
  readonly model: Model
}

/**
 * Instances of equal rank in a task group, with their limits, clocks and defaults.
 *
 * @since 0.1.0
 * @category models
 */
export interface Echelon {
  readonly _tag: "Echelon"
  /** `echelon1`. */
  readonly name: string
  /** The group it stands in. */
  readonly group: string
  /** Instance names, resolved: a bare name over several credentials has become all of them. */
  readonly instances: ReadonlyArray<string>
  /** Lower first. */
  readonly priority: number
  readonly limits: Limits
  readonly clocks: Clocks.Clocks
  readonly maxRetries: number
  readonly settings: LlmRequest.Settings
  readonly rotation: Rotation
  readonly upstream: "as_asked" | "stream"
  readonly hedge: Hedge | undefined
}

/**
 * When a second instance is asked beside a slow first one.
 *
 * @since 0.1.0
 * @category models
 */
export interface Hedge {
  readonly percentile: number
  readonly minDelay: number
  readonly budget: number
}

/**
 * How a pool picks among the instances of a tier.
 *
 * @since 0.1.0
 * @category models
 */
export type Rotation = (typeof rotations)[number]

/**
 * Every way to pick, in the order in which they are documented.
 *
 * @since 0.1.0
 * @category models
 */
export const rotations = [
  "round_robin",
  "weighted",
  "random",
  "priority",
  "least_busy",
  "shortest_delay",
  "p2c",
  "latency",
  "cost",
  "usage",
  "sticky"
] as const

/**
 * Settings of the circuit breakers of a group, one per instance in it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Breaker {
  readonly failureThreshold: number
  readonly recoveryTime: number
  readonly maxRecoveryTime: number
  readonly halfOpenRequests: number
  readonly failureRate: number | undefined
  readonly window: number
  readonly minimumRequests: number
  readonly slowCall: number | undefined
  readonly slowRate: number
}

/**
 * What a group does when an attempt fails.
 *
 * @since 0.1.0
 * @category models
 */
export interface GroupFallback {
  readonly strategy: "echelon_down" | "none"
  /** `group.echelonN` in the order in which they are tried after the first. */
  readonly echelons: ReadonlyArray<string>
  /** How many echelons may be tried, the first included. */
  readonly maxAttempts: number
  readonly retryDelay: number
  readonly retryMaxDelay: number
  readonly maxTotalAttempts: number | undefined
  readonly maxRetryAfterWait: number
  readonly contentPolicyFallback: boolean
  readonly onInterrupt: ReadonlyArray<LlmRequest.OnInterrupt>
  readonly commit: LlmRequest.Commit
  readonly breaker: Breaker
}

/**
 * Ordered echelons.
 *
 * @since 0.1.0
 * @category models
 */
export interface TaskGroup {
  readonly _tag: "TaskGroup"
  readonly name: string
  readonly description: string | undefined
  /** By priority, lowest number first. */
  readonly echelons: ReadonlyArray<Echelon>
  readonly fallback: GroupFallback
}

/**
 * What rotates requests over the instances of its task groups.
 *
 * @since 0.1.0
 * @category models
 */
export interface Pool {
  readonly _tag: "Pool"
  readonly name: string
  readonly description: string | undefined
  readonly taskGroups: ReadonlyArray<string>
  readonly rotation: Rotation
  readonly fallback: {
    readonly strategy: "instance_rotation" | "none"
    /** Different instances of a tier a request may try. */
    readonly maxInstanceAttempts: number
    readonly maxEjected: number
  }
  readonly healthCheck: {
    readonly interval: number
    readonly failureThreshold: number
    readonly recoveryTime: number
    readonly active: boolean
    /** Requests. */
    readonly budgetPerHour: number
    /** USD. */
    readonly maxCostPerHour: number
  }
  readonly retryBudget: { readonly ratio: number; readonly minPerSecond: number }
  readonly rateLimit:
    | { readonly algorithm: "token_bucket"; readonly bucketSize: number; readonly refillRate: number }
    | { readonly algorithm: "sliding_window"; readonly limit: number; readonly window: number }
    | undefined
  readonly sticky: { readonly loadBound: number; readonly ttl: number }
  readonly slowStart: { readonly duration: number; readonly minShare: number }
  readonly cache: { readonly ttl: number; readonly capacity: number } | undefined
  readonly coalesce: boolean
}

/**
 * A named front to a pool or a task group.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wrapper {
  readonly _tag: "Wrapper"
  readonly name: string
  readonly description: string | undefined
  readonly target: { readonly kind: "pool" | "group"; readonly name: string }
  /** The time a request may take until commit, queueing included. */
  readonly requestTimeout: number | undefined
  readonly maxConcurrentRequests: number | undefined
  readonly queueSize: number
  readonly tenants: Readonly<Record<string, number>>
  readonly healthCheck: { readonly enabled: boolean; readonly interval: number | undefined }
  readonly metrics: boolean
  readonly alerting: boolean
}

/**
 * One thing a configuration describes.
 *
 * @since 0.1.0
 * @category models
 */
export type Plan = Instance | Echelon | TaskGroup | Pool | Wrapper

/**
 * What is measured and where it goes. Times are milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Metrics {
  readonly enabled: boolean
  /** Sets of labels that a metric keeps apart. */
  readonly maxSeries: number
  readonly tenantLabel: boolean
  /** Where an OpenTelemetry collector is told; nowhere when undefined. */
  readonly otlp:
    | {
        readonly endpoint: string
        readonly interval: number
        readonly headers: Readonly<Record<string, Redacted.Redacted>>
        readonly encoding: "protobuf" | "json"
        readonly temporality: "cumulative" | "delta"
      }
    | undefined
  /** Where Prometheus may ask; nowhere when undefined. */
  readonly prometheus: { readonly host: string; readonly port: number } | undefined
}

/**
 * What is traced and where it goes. Times are milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tracing {
  readonly enabled: boolean
  /** The share of requests that are traced, of those that belong to no trace yet. */
  readonly sampleRatio: number
  /** Whether prompts and answers are shown. */
  readonly content: boolean
  /** Where an OpenTelemetry collector is told; where the program's own `Tracer` says when undefined. */
  readonly otlp:
    | {
        readonly endpoint: string
        readonly interval: number
        readonly headers: Readonly<Record<string, Redacted.Redacted>>
        readonly encoding: "protobuf" | "json"
      }
    | undefined
}

/**
 * What may be spent by a tenant, a wrapper or a pool in a period.
 *
 * @since 0.1.0
 * @category models
 */
export interface SpendBudget {
  readonly scope: "tenant" | "wrapper" | "pool"
  /** Whose it is; `"*"` gives one to each that has none of its own in that scope and period. */
  readonly name: string
  readonly period: "day" | "month"
  /** USD. */
  readonly limit: number
  /** What becomes of requests that may reach an instance without a price. */
  readonly unpriced: "allow" | "refuse"
}

/**
 * How usage is accounted for, and what may be spent. Times are milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Accounting {
  readonly enabled: boolean
  readonly store: "memory" | "sqlite" | "postgres"
  /** The file of the `sqlite` store; relative to the working directory. */
  readonly path: string
  /** The address of the `postgres` store, which may hold a password. */
  readonly url: Redacted.Redacted | undefined
  readonly flushInterval: number
  /** Requests after which a batch is written before the interval is over. */
  readonly batchSize: number
  readonly retentionDays: number
  /** `UTC`, an offset such as `+02:00`, or a name such as `Europe/Berlin`. */
  readonly timeZone: string
  /** Tenants that are told apart in a month; all others are counted as one. */
  readonly maxTenants: number
  readonly budgets: ReadonlyArray<SpendBudget>
}

/**
 * What is logged of requests and changes, and where their routes are recorded.
 *
 * @since 0.1.0
 * @category models
 */
export interface Logging {
  /** One line for each request that ends. */
  readonly requests: boolean
  /** One line for each change of a breaker, a cooldown, an instance's health and the like. */
  readonly stateChanges: boolean
  /** Lines below it are not written. */
  readonly level: LogLevel
  /** How lines are written where nobody else gave a logger. */
  readonly format: LogFormat
  /** The share of completed requests that is logged; failed and cancelled ones always are. */
  readonly sampleRatio: number
  /** Lines a minute about the same thing; further ones are counted. */
  readonly maxPerMinute: number
  /** The file that routes are appended to; none when undefined. */
  readonly routes: RouteRecording | undefined
}

/**
 * How much a line matters.
 *
 * @since 0.1.0
 * @category models
 */
export type LogLevel = (typeof logLevels)[number]

/**
 * Every level, the least first; `none` lets no line through.
 *
 * @since 0.1.0
 * @category models
 */
export const logLevels = ["debug", "info", "warn", "error", "none"] as const

/**
 * How lines are written.
 *
 * @since 0.1.0
 * @category models
 */
export type LogFormat = (typeof logFormats)[number]

/**
 * Every way to write lines: for a person, as JSON, or as `key=value`.
 *
 * @since 0.1.0
 * @category models
 */
export const logFormats = ["pretty", "json", "logfmt"] as const

/**
 * The file that routes are appended to.
 *
 * @since 0.1.0
 * @category models
 */
export interface RouteRecording {
  /** Relative to the working directory. */
  readonly file: string
  /** The file is set aside, as `FILE.1`, before it grows beyond this. */
  readonly maxBytes: number
  /** Files that are kept aside. */
  readonly keep: number
}

/**
 * Everything a configuration describes, by name.
 *
 * @since 0.1.0
 * @category models
 */
export interface Root {
  readonly providers: Readonly<Record<string, Provider>>
  readonly instances: Readonly<Record<string, Instance>>
  /** Instances whose credential is not set, with the variable to set. */
  readonly disabled: Readonly<Record<string, string>>
  readonly groups: Readonly<Record<string, TaskGroup>>
  readonly pools: Readonly<Record<string, Pool>>
  readonly wrappers: Readonly<Record<string, Wrapper>>
  readonly routing: {
    readonly defaultWrapper: string | undefined
    readonly defaultPool: string | undefined
    readonly defaultProvider: string | undefined
  }
  readonly shutdownGrace: number
  /** Whether changed files are read again, and how long they must lie still before. */
  readonly reload: { readonly watch: boolean; readonly debounce: number }
  readonly metrics: Metrics
  readonly tracing: Tracing
  readonly usage: Accounting
  readonly logging: Logging
  readonly alerts: AlertSettings.Settings
}
