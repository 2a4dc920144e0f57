/**
 * Builds plans in code. The defaults of every key are here, and nowhere else: configuration reads them from here.
 *
 * @since 0.1.0
 */
import type * as Redacted from "effect/Redacted"
import * as AlertSettings from "./AlertSettings.ts"
import * as Clocks from "./Clocks.ts"
import type * as Plan from "./Plan.ts"

/**
 * What holds when nothing is said. Times are milliseconds, sizes bytes.
 *
 * @since 0.1.0
 * @category models
 */
export const defaults = {
  provider: {
    connectTimeout: 5_000,
    maxConnections: 256,
    keepAlive: 30_000,
    http2: false,
    maxRequestBytes: 64 * 1024 * 1024,
    maxHeaderBytes: 16 * 1024,
    maxResponseBytes: 64 * 1024 * 1024,
    maxEventBytes: 4 * 1024 * 1024,
    maxCooldown: 3_600_000,
    limitScope: "model",
    traceContext: false,
    tokenizer: "estimate"
  },
  echelon: { maxRetries: 2, rotation: "round_robin", upstream: "as_asked" },
  hedge: { percentile: 0.95, minDelay: 500, budget: 0.05 },
  fallback: {
    strategy: "echelon_down",
    retryDelay: 500,
    retryMaxDelay: 8_000,
    maxRetryAfterWait: 5_000,
    contentPolicyFallback: false,
    onInterrupt: "fail",
    commit: "first_output"
  },
  breaker: {
    failureThreshold: 5,
    recoveryTime: 60_000,
    maxRecoveryTime: 300_000,
    halfOpenRequests: 1,
    window: 30_000,
    minimumRequests: 20,
    slowRate: 0.5
  },
  pool: {
    rotation: "round_robin",
    fallback: { strategy: "instance_rotation", maxInstanceAttempts: 2, maxEjected: 1 },
    healthCheck: {
      interval: 30_000,
      failureThreshold: 3,
      recoveryTime: 60_000,
      active: true,
      budgetPerHour: 60,
      maxCostPerHour: 0.1
    },
    retryBudget: { ratio: 0.2, minPerSecond: 10 },
    sticky: { loadBound: 1.25, ttl: 600_000 },
    slowStart: { duration: 30_000, minShare: 0.1 },
    cache: { ttl: 300_000, capacity: 10_000 }
  },
  wrapper: { queueSize: 0 },
  shutdownGrace: 30_000,
  reload: { watch: true, debounce: 200 },
  metrics: {
    enabled: true,
    maxSeries: 1_000,
    tenantLabel: false,
    otlp: { interval: 60_000, encoding: "protobuf", temporality: "cumulative" },
    prometheus: { host: "127.0.0.1" }
  },
  tracing: {
    enabled: true,
    sampleRatio: 1,
    content: false,
    // Written in a fifth of the time.
    otlp: { interval: 5_000, encoding: "json" }
  },
  logging: {
    requests: true,
    stateChanges: true,
    level: "info",
    format: "pretty",
    sampleRatio: 1,
    maxPerMinute: 10,
    routes: { maxBytes: 64 * 1024 * 1024, keep: 1 }
  },
  usage: {
    enabled: true,
    store: "memory",
    path: "echelon-usage.sqlite",
    flushInterval: 1_000,
    batchSize: 10_000,
    retentionDays: 400,
    timeZone: "UTC",
    maxTenants: 10_000,
    unpriced: "allow"
  }
} as const

/**
 * No limit at all.
 *
 * @since 0.1.0
 * @category constructors
 */
export const noLimits: Plan.Limits = { concurrency: undefined, rpm: undefined, tpm: undefined, rpd: undefined }

/**
 * Makes a provider of which little is said.
 *
 * @since 0.1.0
 * @category constructors
 */
export const provider = (
  options: Pick<Plan.Provider, "name" | "kind"> &
    Partial<Plan.Provider> & { readonly key?: Redacted.Redacted | undefined }
): Plan.Provider => {
  const { key, ...stated } = options
  return {
    ...defaults.provider,
    baseUrl: undefined,
    credentials: [{ name: "", key, weight: 1 }],
    headers: {},
    query: {},
    organization: undefined,
    project: undefined,
    apiVersion: undefined,
    deployment: undefined,
    region: undefined,
    proxy: undefined,
    caFile: undefined,
    defaultModel: undefined,
    healthCheck: undefined,
    models: {},
    ...stated
  }
}

/**
 * Makes a model of which little is said.
 *
 * @since 0.1.0
 * @category constructors
 */
export const model = (options: Pick<Plan.Model, "model"> & Partial<Plan.Model>): Plan.Model => ({
  capabilities: {},
  prices: undefined,
  weight: 1,
  limits: noLimits,
  ...options
})

/**
 * What is measured, of which little is said.
 *
 * @since 0.1.0
 * @category constructors
 */
export const metrics = (options: Partial<Plan.Metrics> = {}): Plan.Metrics => ({
  enabled: defaults.metrics.enabled,
  maxSeries: defaults.metrics.maxSeries,
  tenantLabel: defaults.metrics.tenantLabel,
  otlp: undefined,
  prometheus: undefined,
  ...options
})

/**
 * What is traced, of which little is said.
 *
 * @since 0.1.0
 * @category constructors
 */
export const tracing = (options: Partial<Plan.Tracing> = {}): Plan.Tracing => ({
  enabled: defaults.tracing.enabled,
  sampleRatio: defaults.tracing.sampleRatio,
  content: defaults.tracing.content,
  otlp: undefined,
  ...options
})

/**
 * Makes an instance: a model at a provider, with its first credential.
 *
 * @since 0.1.0
 * @category constructors
 */
export const instance = (
  options: Pick<Plan.Instance, "provider" | "alias" | "model"> & Partial<Plan.Instance>
): Plan.Instance => ({
  _tag: "Instance",
  name: `${options.provider.name}-${options.alias}`,
  credential: options.provider.credentials[0] ?? { name: "", key: undefined, weight: 1 },
  ...options
})

/**
 * Makes the echelon number `n` of a group.
 *
 * @since 0.1.0
 * @category constructors
 */
export const echelon = (
  group: string,
  n: number,
  instances: ReadonlyArray<string>,
  options: Partial<Plan.Echelon> = {}
): Plan.Echelon => ({
  _tag: "Echelon",
  name: `echelon${n}`,
  group,
  instances,
  priority: n,
  limits: noLimits,
  clocks: Clocks.defaults,
  settings: {},
  hedge: undefined,
  ...defaults.echelon,
  ...options
})

/**
 * Makes a task group. Without stated fallbacks it goes down its own echelons.
 *
 * @since 0.1.0
 * @category constructors
 */
export const group = (
  name: string,
  echelons: ReadonlyArray<Plan.Echelon>,
  fallback: Partial<Plan.GroupFallback> = {}
): Plan.TaskGroup => {
  const following = fallback.echelons ?? echelons.slice(1).map((one) => `${name}.${one.name}`)
  return {
    _tag: "TaskGroup",
    name,
    description: undefined,
    echelons,
    fallback: {
      ...defaults.fallback,
      onInterrupt: [defaults.fallback.onInterrupt],
      maxTotalAttempts: undefined,
      maxAttempts: following.length + 1,
      breaker: { ...defaults.breaker, failureRate: undefined, slowCall: undefined },
      ...fallback,
      echelons: following
    }
  }
}

/**
 * Makes a pool over task groups.
 *
 * @since 0.1.0
 * @category constructors
 */
export const pool = (name: string, taskGroups: ReadonlyArray<string>, options: Partial<Plan.Pool> = {}): Plan.Pool => ({
  _tag: "Pool",
  name,
  description: undefined,
  taskGroups,
  rateLimit: undefined,
  coalesce: false,
  ...defaults.pool,
  cache: undefined,
  ...options
})

/**
 * Makes a wrapper in front of a pool or a group.
 *
 * @since 0.1.0
 * @category constructors
 */
export const wrapper = (
  name: string,
  target: Plan.Wrapper["target"],
  options: Partial<Plan.Wrapper> = {}
): Plan.Wrapper => ({
  _tag: "Wrapper",
  name,
  description: undefined,
  target,
  requestTimeout: undefined,
  maxConcurrentRequests: undefined,
  tenants: {},
  healthCheck: { enabled: true, interval: undefined },
  metrics: true,
  alerting: true,
  ...defaults.wrapper,
  ...options
})

/**
 * How usage is accounted for, of which little is said.
 *
 * @since 0.1.0
 * @category constructors
 */
export const usage = (options: Partial<Plan.Accounting> = {}): Plan.Accounting => {
  const { unpriced: _, ...stated } = defaults.usage
  return { ...stated, url: undefined, budgets: [], ...options }
}

/**
 * What is logged, of which little is said.
 *
 * @since 0.1.0
 * @category constructors
 */
export const logging = (options: Partial<Plan.Logging> = {}): Plan.Logging => ({
  ...defaults.logging,
  routes: undefined,
  ...options
})

const byName = <A extends { readonly name: string }>(items: ReadonlyArray<A>): Readonly<Record<string, A>> =>
  Object.assign(Object.create(null), Object.fromEntries(items.map((item) => [item.name, item])))

/**
 * Makes a root of plans. Names are references: an echelon names instances, a pool groups, a wrapper either.
 *
 * @example
 * ```ts
 * import { Plans } from "@echelon/core"
 *
 * const local = Plans.provider({ name: "local", kind: "ollama" })
 * const small = Plans.instance({ provider: local, alias: "small", model: Plans.model({ model: "llama3.2" }) })
 * const root = Plans.root({
 *   instances: [small],
 *   groups: [Plans.group("chat", [Plans.echelon("chat", 1, ["local-small"])])],
 *   pools: [Plans.pool("chat_pool", ["chat"])]
 * })
 * console.assert(root.pools["chat_pool"]?.rotation === "round_robin")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const root = (parts: {
  readonly instances?: ReadonlyArray<Plan.Instance> | undefined
  readonly disabled?: Plan.Root["disabled"] | undefined
  readonly groups?: ReadonlyArray<Plan.TaskGroup> | undefined
  readonly pools?: ReadonlyArray<Plan.Pool> | undefined
  readonly wrappers?: ReadonlyArray<Plan.Wrapper> | undefined
  readonly routing?: Partial<Plan.Root["routing"]> | undefined
}): Plan.Root => ({
  providers: byName((parts.instances ?? []).map((one) => one.provider)),
  instances: byName(parts.instances ?? []),
  disabled: parts.disabled ?? {},
  groups: byName(parts.groups ?? []),
  pools: byName(parts.pools ?? []),
  wrappers: byName(parts.wrappers ?? []),
  routing: { defaultWrapper: undefined, defaultPool: undefined, defaultProvider: undefined, ...parts.routing },
  shutdownGrace: defaults.shutdownGrace,
  reload: defaults.reload,
  metrics: metrics(),
  tracing: tracing(),
  usage: usage(),
  logging: logging(),
  alerts: AlertSettings.defaults
})
