/**
 * From decoded group files to task groups of a plan.
 *
 * @since 0.1.0
 */
import * as Nearest from "@echelon/core/Nearest"
import type * as Plan from "@echelon/core/Plan"
import * as Decode from "./Decode.ts"
import type * as GroupFile from "./GroupFile.ts"
import type * as Instances from "./Instances.ts"
import * as Names from "./Names.ts"
import * as Problem from "./Problem.ts"
import type * as Resolve from "./Resolve.ts"
import * as Tree from "./Tree.ts"

/**
 * Groups by name. Their echelons name disabled instances too.
 *
 * @since 0.1.0
 * @category models
 */
export interface Groups {
  readonly groups: ReadonlyMap<string, Plan.TaskGroup>
  readonly problems: ReadonlyArray<Problem.Problem>
}

type EchelonFile = typeof GroupFile.Echelon.Type

/** The echelons of a file with their numbers. */
const echelonsOf = (
  file: GroupFile.GroupFile
): ReadonlyArray<{ readonly key: string; readonly number: number; readonly stated: EchelonFile }> =>
  Object.entries(file).flatMap(([key, stated]) =>
    // Only echelons are tables with models: the Schema admits no other key that has them.
    typeof stated === "object" && "models" in stated
      ? [{ key, number: Number(key.slice("echelon".length)), stated }]
      : []
  )

const unique = (names: ReadonlyArray<string>): ReadonlyArray<string> => [...new Set(names)]

/**
 * Builds the task groups. Names that a broken file would have given are excused: `failed` are such providers and
 * groups.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  entities: ReadonlyArray<Instances.Entity<GroupFile.GroupFile>>,
  instances: Instances.Instances,
  failed: { readonly providers: ReadonlyArray<string>; readonly groups: ReadonlyArray<string> },
  resolved: Resolve.Resolved
): Groups => {
  const { tree } = resolved
  const problems: Array<Problem.Problem> = []
  const report = (problem: Problem.Problem): void => void problems.push(problem)
  const { disabled, live, meaning } = instances
  const echelons = new Map<string, ReadonlyArray<Plan.Echelon>>()

  for (const { file, name: group, path } of entities) {
    const built: Array<Plan.Echelon> = []
    for (const { key, number, stated } of echelonsOf(file)) {
      const at = [...path, key]
      const names = stated.models.flatMap((name, i) => {
        const found = meaning.get(name)
        if (found === undefined && !failed.providers.some((provider) => name.startsWith(`${provider}-`))) {
          const origin = Tree.originOf(tree, [...at, "models", i])
          const message = `unknown instance ${Decode.quoted(tree, [...at, "models", i], name)}; ${Nearest.hint(name, Names.shown(tree, meaning.keys()))}`
          report(Problem.error("reference", origin, [...at, "models", i], message))
        }
        return found ?? []
      })
      const { hedge } = stated
      built.push({
        _tag: "Echelon",
        name: key,
        group,
        instances: unique(names),
        priority: stated.priority ?? number,
        limits: {
          concurrency: stated.concurrency_limit,
          rpm: stated.rpm_limit,
          tpm: stated.tpm_limit,
          rpd: undefined
        },
        clocks: {
          attempt: stated.timeout,
          ttft: stated.ttft_timeout,
          idle: stated.idle_timeout,
          stream: stated.stream_timeout,
          consumerIdle: stated.consumer_idle_timeout
        },
        maxRetries: stated.max_retries,
        settings: {
          ...(stated.temperature === undefined ? {} : { temperature: stated.temperature }),
          ...(stated.max_tokens === undefined ? {} : { maxOutputTokens: stated.max_tokens }),
          ...(stated.top_p === undefined ? {} : { topP: stated.top_p }),
          ...(stated.stop === undefined ? {} : { stop: typeof stated.stop === "string" ? [stated.stop] : stated.stop }),
          ...(stated.seed === undefined ? {} : { seed: stated.seed })
        },
        rotation: stated.rotation_strategy,
        upstream: stated.upstream,
        hedge:
          hedge === undefined
            ? undefined
            : { percentile: hedge.percentile, minDelay: hedge.min_delay, budget: hedge.budget }
      })
    }
    if (built.length === 0) {
      const message = "missing; expected at least one [echelonN]"
      report(Problem.error("missing_key", Tree.originOf(tree, path), [...path, "echelon1"], message))
    }
    const members = built.flatMap((echelon) => echelon.instances)
    const variables = members.flatMap((name) => disabled.get(name) ?? [])
    if (live.size > 0 && variables.length > 0 && !members.some((name) => live.has(name))) {
      const message = `every instance is disabled; set ${unique(variables).join(" or ")}`
      report(Problem.warning("no_instance", Tree.originOf(tree, path), path, message))
    }
    echelons.set(
      group,
      built.sort((a, b) => a.priority - b.priority || a.name.localeCompare(b.name, "en", { numeric: true }))
    )
  }

  const targets = new Map<string, ReadonlyArray<string>>(failed.groups.map((name) => [name, []]))
  for (const [group, members] of echelons) {
    const all = members.map((echelon) => `${group}.${echelon.name}`)
    targets.set(group, all)
    for (const name of all) targets.set(name, [name])
  }

  const groups = new Map<string, Plan.TaskGroup>()
  for (const { file, name, path } of entities) {
    const { circuit_breaker: breaker, ...stated } = file.fallback_config
    const own = echelons.get(name) ?? []
    const at = [...path, "fallback_config", "fallback_groups"]
    const order =
      stated.fallback_groups?.flatMap((target, i) => {
        const found = targets.get(target)
        if (found === undefined && !failed.groups.some((group) => target.startsWith(`${group}.`))) {
          const message = `unknown group or echelon ${Decode.quoted(tree, [...at, i], target)}; ${Nearest.hint(target, Names.shown(tree, targets.keys()))}`
          report(Problem.error("reference", Tree.originOf(tree, [...at, i]), [...at, i], message))
        }
        return found ?? []
      }) ?? own.slice(1).map((echelon) => `${name}.${echelon.name}`)
    groups.set(name, {
      _tag: "TaskGroup",
      name,
      description: file.description,
      echelons: own,
      fallback: {
        strategy: stated.strategy,
        echelons: unique(order),
        maxAttempts: stated.max_attempts ?? unique(order).length + 1,
        retryDelay: stated.retry_delay,
        retryMaxDelay: stated.retry_max_delay,
        maxTotalAttempts: stated.max_total_attempts,
        maxRetryAfterWait: stated.max_retry_after_wait,
        contentPolicyFallback: stated.content_policy_fallback,
        onInterrupt: typeof stated.on_interrupt === "string" ? [stated.on_interrupt] : stated.on_interrupt,
        commit: stated.commit,
        breaker: {
          failureThreshold: breaker.failure_threshold,
          recoveryTime: breaker.recovery_time,
          maxRecoveryTime: breaker.max_recovery_time,
          halfOpenRequests: breaker.half_open_requests,
          failureRate: breaker.failure_rate,
          window: breaker.window,
          minimumRequests: breaker.minimum_requests,
          slowCall: breaker.slow_call,
          slowRate: breaker.slow_rate
        }
      }
    })
  }
  return { groups, problems }
}
