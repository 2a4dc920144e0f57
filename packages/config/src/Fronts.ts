/**
 * From decoded files to the pools and wrappers of a plan: what callers name.
 *
 * @since 0.1.0
 */
import * as Nearest from "@echelon/core/Nearest"
import type * as Plan from "@echelon/core/Plan"
import * as Decode from "./Decode.ts"
import type * as Instances from "./Instances.ts"
import * as Names from "./Names.ts"
import type * as PoolFile from "./PoolFile.ts"
import * as Problem from "./Problem.ts"
import type * as Resolve from "./Resolve.ts"
import * as Tree from "./Tree.ts"
import type * as WrapperFile from "./WrapperFile.ts"

type Report = (problem: Problem.Problem) => void

const rateLimitOf = (
  { file, path }: Instances.Entity<PoolFile.PoolFile>,
  tree: Tree.Table,
  report: Report
): Plan.Pool["rateLimit"] => {
  const stated = file.rate_limiting
  if (!stated.enabled) return undefined
  const bucket = stated.token_bucket
  const sliding = stated.sliding_window
  if (stated.algorithm === "token_bucket" && bucket !== undefined) {
    return { algorithm: "token_bucket", bucketSize: bucket.bucket_size, refillRate: bucket.refill_rate }
  }
  if (stated.algorithm === "sliding_window" && sliding !== undefined) {
    return { algorithm: "sliding_window", limit: sliding.limit, window: sliding.window }
  }
  const at = [...path, "rate_limiting", stated.algorithm]
  const message = `missing; the algorithm "${stated.algorithm}" needs this table`
  report(Problem.error("missing_key", Tree.originOf(tree, at), at, message))
  return undefined
}

/**
 * Builds a pool.
 *
 * @since 0.1.0
 * @category constructors
 */
export const pool = (
  entity: Instances.Entity<PoolFile.PoolFile>,
  groups: ReadonlyArray<string>,
  resolved: Resolve.Resolved,
  report: Report
): Plan.Pool => {
  const { file, name, path } = entity
  const { tree } = resolved
  const at = [...path, "task_groups"]
  file.task_groups.forEach((group, i) => {
    if (groups.includes(group)) return
    const message = `unknown task group ${Decode.quoted(tree, [...at, i], group)}; ${Nearest.hint(group, Names.shown(tree, groups))}`
    report(Problem.error("reference", Tree.originOf(tree, [...at, i]), [...at, i], message))
  })
  return {
    _tag: "Pool",
    name,
    description: file.description,
    taskGroups: [...new Set(file.task_groups)],
    rotation: file.rotation_strategy,
    fallback: {
      strategy: file.fallback_config.strategy,
      maxInstanceAttempts: file.fallback_config.max_instance_attempts,
      maxEjected: file.fallback_config.max_ejected
    },
    healthCheck: {
      interval: file.health_check.interval,
      failureThreshold: file.health_check.failure_threshold,
      recoveryTime: file.health_check.recovery_time,
      active: file.health_check.active,
      budgetPerHour: file.health_check.budget_per_hour,
      maxCostPerHour: file.health_check.max_cost_per_hour
    },
    retryBudget: { ratio: file.retry_budget.ratio, minPerSecond: file.retry_budget.min_per_second },
    rateLimit: rateLimitOf(entity, tree, report),
    sticky: { loadBound: file.sticky.load_bound, ttl: file.sticky.ttl },
    slowStart: { duration: file.slow_start.duration, minShare: file.slow_start.min_share },
    cache: file.cache.enabled ? { ttl: file.cache.ttl, capacity: file.cache.capacity } : undefined,
    coalesce: file.coalesce.enabled
  }
}

/**
 * Builds a wrapper, or gives nothing when it names no target.
 *
 * @since 0.1.0
 * @category constructors
 */
export const wrapper = (
  { file, name, path }: Instances.Entity<WrapperFile.WrapperFile>,
  known: { readonly pools: ReadonlyArray<string>; readonly groups: ReadonlyArray<string> },
  resolved: Resolve.Resolved,
  report: Report
): Plan.Wrapper | undefined => {
  const { tree } = resolved
  const isPool = file.type === "pool"
  const key = isPool ? "pool_name" : "group_name"
  const at = [...path, "default_config", key]
  const target = file.default_config[key]
  const targets = isPool ? known.pools : known.groups
  const other = isPool ? "group_name" : "pool_name"
  if (file.default_config[other] !== undefined) {
    const path_ = [...path, "default_config", other]
    const message = `a wrapper of type "${file.type}" does not use this key`
    report(Problem.warning("unused", Tree.originOf(tree, path_), path_, message))
  }
  if (target === undefined) {
    const message = `missing; a wrapper of type "${file.type}" needs the name of a ${isPool ? "pool" : "task group"}`
    report(Problem.error("missing_key", Tree.originOf(tree, at), at, message))
    return undefined
  }
  if (!targets.includes(target)) {
    const what = isPool ? "pool" : "task group"
    const message = `unknown ${what} ${Decode.quoted(tree, at, target)}; ${Nearest.hint(target, Names.shown(tree, targets))}`
    report(Problem.error("reference", Tree.originOf(tree, at), at, message))
  }
  return {
    _tag: "Wrapper",
    name,
    description: file.description,
    target: { kind: isPool ? "pool" : "group", name: target },
    requestTimeout: file.performance.request_timeout,
    maxConcurrentRequests: file.performance.max_concurrent_requests,
    queueSize: file.performance.queue_size,
    tenants: Names.record(Object.entries(file.tenants)),
    healthCheck: {
      enabled: file.default_config.enable_health_check,
      interval: file.monitoring.health_check_interval
    },
    metrics: file.default_config.enable_metrics && file.monitoring.metrics_enabled,
    alerting: file.monitoring.alerting_enabled
  }
}
