import { Clients, Clocks, InstanceFactory, LlmError, Nearest, type Plan } from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { Duration, Effect, Layer } from "effect"

const noLimits: Plan.Limits = { concurrency: undefined, rpm: undefined, tpm: undefined, rpd: undefined }

export const model = (wire: string, more: Partial<Plan.Model> = {}): Plan.Model => ({
  model: wire,
  capabilities: {},
  prices: { input: 1, output: 2 },
  weight: 1,
  limits: noLimits,
  ...more
})

export const provider = (name: string, more: Partial<Plan.Provider> = {}): Plan.Provider => ({
  name,
  kind: "openai-compatible",
  baseUrl: "http://127.0.0.1:1/v1",
  credentials: [{ name: "", key: undefined, weight: 1 }],
  headers: {},
  query: {},
  organization: undefined,
  project: undefined,
  apiVersion: undefined,
  deployment: undefined,
  region: undefined,
  defaultModel: undefined,
  connectTimeout: 5_000,
  maxConnections: 256,
  keepAlive: 30_000,
  maxResponseBytes: 1 << 26,
  maxEventBytes: 1 << 22,
  maxCooldown: 3_600_000,
  limitScope: "model",
  healthCheck: undefined,
  models: {},
  ...more
})

export const instance = (name: string, from: Plan.Provider, more: Partial<Plan.Instance> = {}): Plan.Instance => ({
  _tag: "Instance",
  name,
  provider: from,
  credential: { name: "", key: undefined, weight: 1 },
  alias: name,
  model: model(`wire-${name}`),
  ...more
})

export const echelon = (
  group: string,
  n: number,
  instances: ReadonlyArray<string>,
  more: Partial<Plan.Echelon> = {}
): Plan.Echelon => ({
  _tag: "Echelon",
  name: `echelon${n}`,
  group,
  instances,
  priority: n,
  limits: noLimits,
  clocks: Clocks.defaults,
  maxRetries: 0,
  settings: {},
  rotation: "round_robin",
  upstream: "as_asked",
  hedge: undefined,
  ...more
})

export const group = (
  name: string,
  echelons: ReadonlyArray<Plan.Echelon>,
  fallback: Partial<Plan.GroupFallback> = {}
): Plan.TaskGroup => ({
  _tag: "TaskGroup",
  name,
  description: undefined,
  echelons,
  fallback: {
    strategy: "echelon_down",
    echelons: echelons.map((one) => `${name}.${one.name}`),
    maxAttempts: echelons.length,
    retryDelay: 500,
    retryMaxDelay: 8_000,
    maxTotalAttempts: undefined,
    maxRetryAfterWait: 5_000,
    contentPolicyFallback: false,
    onInterrupt: ["fail"],
    commit: "first_output",
    breaker: {
      failureThreshold: 5,
      recoveryTime: 60_000,
      maxRecoveryTime: 300_000,
      halfOpenRequests: 1,
      failureRate: undefined,
      window: 30_000,
      minimumRequests: 20,
      slowCall: undefined,
      slowRate: 0.5
    },
    ...fallback
  }
})

export const pool = (name: string, taskGroups: ReadonlyArray<string>, more: Partial<Plan.Pool> = {}): Plan.Pool => ({
  _tag: "Pool",
  name,
  description: undefined,
  taskGroups,
  rotation: "round_robin",
  fallback: { strategy: "instance_rotation", maxInstanceAttempts: 2, maxEjected: 1 },
  healthCheck: { interval: 30_000, failureThreshold: 3, recoveryTime: 60_000, active: true, budgetPerHour: 60 },
  retryBudget: { ratio: 0.2, minPerSecond: 10 },
  rateLimit: undefined,
  sticky: { loadBound: 1.25, ttl: 600_000 },
  slowStart: { duration: 30_000, minShare: 0.1 },
  cache: undefined,
  coalesce: false,
  ...more
})

export const wrapper = (
  name: string,
  target: Plan.Wrapper["target"],
  more: Partial<Plan.Wrapper> = {}
): Plan.Wrapper => ({
  _tag: "Wrapper",
  name,
  description: undefined,
  target,
  requestTimeout: undefined,
  maxConcurrentRequests: undefined,
  queueSize: 0,
  tenants: {},
  healthCheck: { enabled: true, interval: undefined },
  metrics: true,
  alerting: true,
  ...more
})

const byName = <A extends { readonly name: string }>(items: ReadonlyArray<A>): Readonly<Record<string, A>> =>
  Object.fromEntries(items.map((item) => [item.name, item]))

export const root = (parts: {
  readonly instances?: ReadonlyArray<Plan.Instance>
  readonly disabled?: Readonly<Record<string, string>>
  readonly groups?: ReadonlyArray<Plan.TaskGroup>
  readonly pools?: ReadonlyArray<Plan.Pool>
  readonly wrappers?: ReadonlyArray<Plan.Wrapper>
  readonly routing?: Partial<Plan.Root["routing"]>
}): Plan.Root => ({
  providers: byName((parts.instances ?? []).map((one) => one.provider)),
  instances: byName(parts.instances ?? []),
  disabled: parts.disabled ?? {},
  groups: byName(parts.groups ?? []),
  pools: byName(parts.pools ?? []),
  wrappers: byName(parts.wrappers ?? []),
  routing: { defaultWrapper: undefined, defaultPool: undefined, defaultProvider: undefined, ...parts.routing },
  shutdownGrace: 30_000
})

/** Instances that follow scripts by name, and say hello when they have none; direct clients likewise. */
export const scripts = (byInstance: Readonly<Record<string, ScriptedLlm.Options["script"]>>) => {
  const books = new Map<string, ScriptedLlm.ScriptedLlm>()
  const build = (id: string, wire: string) =>
    Effect.map(
      ScriptedLlm.make({ id, model: wire, script: byInstance[id] ?? ScriptedLlm.text("hello") }),
      (scripted) => {
        books.set(id, scripted)
        return scripted.llm
      }
    )
  const layer = Layer.merge(
    Layer.succeed(InstanceFactory.InstanceFactory, {
      make: (one) =>
        Effect.map(build(one.name, one.model.model), (llm) => ({ llm, probe: Effect.succeed(Duration.zero) }))
    }),
    Layer.succeed(Clients.Clients, {
      get: (from, name, wanted) =>
        from.providers[name] === undefined
          ? Effect.fail(
              LlmError.make({
                reason: { _tag: "UnknownTarget", kind: "provider", name, known: Object.keys(from.providers) },
                detail: Nearest.hint(name, Object.keys(from.providers))
              })
            )
          : build(`${name}-${wanted ?? "default"}`, wanted ?? "default")
    })
  )
  return { books, layer }
}
