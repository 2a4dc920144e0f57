/**
 * Names that keys had in older files, and the places they have now.
 *
 * Keys were written in camel case, times with their unit in the name, and several tables stood elsewhere. Patterns
 * are paths in snake case; `*` is any one key and is carried into the new path in order.
 *
 * @since 0.1.0
 */
import * as Nearest from "@echelon/core/Nearest"
import * as Listing from "./Listing.ts"
import * as MigrateSource from "./MigrateSource.ts"
import * as MigrateTree from "./MigrateTree.ts"

type Renames = Readonly<Record<string, string>>

/** One place for several old names. */
const all = (place: string, ...names: ReadonlyArray<string>): Renames =>
  Object.fromEntries(names.map((name) => [name, place]))

const breaker = (from: string): Renames => ({
  ...all(
    `fallback_config.circuit_breaker.failure_threshold`,
    `${from}.threshold`,
    `${from}.max_failures`,
    `${from}.failures`
  ),
  ...all(
    `fallback_config.circuit_breaker.recovery_time`,
    `${from}.recovery_timeout`,
    `${from}.reset_timeout`,
    `${from}.timeout`,
    `${from}.cooldown`
  ),
  ...all(
    `fallback_config.circuit_breaker.half_open_requests`,
    `${from}.half_open_max_requests`,
    `${from}.half_open_max_calls`,
    `${from}.half_open_max`
  ),
  [`${from}.*`]: "fallback_config.circuit_breaker.*"
})

const echelon = (from: string, to: string): Renames => ({
  ...all(`${to}.models`, `${from}.instances`, `${from}.clients`, `${from}.model_list`),
  ...all(
    `${to}.concurrency_limit`,
    `${from}.concurrency`,
    `${from}.max_concurrency`,
    `${from}.max_concurrent_requests`
  ),
  ...all(`${to}.rpm_limit`, `${from}.rpm`, `${from}.requests_per_minute`),
  ...all(`${to}.tpm_limit`, `${from}.tpm`, `${from}.tokens_per_minute`),
  ...all(`${to}.timeout`, `${from}.request_timeout`),
  ...all(`${to}.max_retries`, `${from}.retries`, `${from}.retry_count`, `${from}.max_retry`),
  ...all(`${to}.max_tokens`, `${from}.max_output_tokens`),
  ...all(`${to}.priority`, `${from}.level`, `${from}.rank`),
  ...all(`${to}.rotation_strategy`, `${from}.strategy`, `${from}.rotation`),
  ...all(`${to}.stop`, `${from}.stop_sequences`)
})

/** A group that had no echelons: what it said is the first. */
const flat = Object.fromEntries(
  ["models", "concurrency_limit", "rpm_limit", "tpm_limit", "timeout", "max_retries", "temperature", "max_tokens"].map(
    (key) => [key, `echelon1.${key}`]
  )
)

const fallback = (from: string): Renames => ({
  ...all("fallback_config.fallback_groups", `${from}.fallbacks`, `${from}.groups`),
  ...all("fallback_config.retry_delay", `${from}.delay`, `${from}.base_delay`),
  ...all("fallback_config.retry_max_delay", `${from}.max_delay`, `${from}.max_retry_delay`),
  ...all("fallback_config.max_instance_attempts", `${from}.max_instances`),
  [`${from}.*`]: "fallback_config.*"
})

const renames: Readonly<Record<MigrateTree.Kind, Renames>> = {
  provider: {
    ...all("kind", "type", "provider", "provider_type"),
    ...all("base_url", "endpoint", "url", "api_base", "api_url"),
    ...all("api_key", "key", "token"),
    ...all("default_model", "default"),
    ...all("health_check", "health_check_mode"),
    ...all("models.*.model", "models.*.name", "models.*.model_name", "models.*.model_id"),
    ...all("models.*.max_output_tokens", "models.*.max_tokens"),
    ...all("models.*.context_window", "models.*.context_length", "models.*.max_context", "models.*.max_context_tokens"),
    ...all("models.*.rpm_limit", "models.*.rpm", "models.*.requests_per_minute"),
    ...all("models.*.tpm_limit", "models.*.tpm", "models.*.tokens_per_minute"),
    ...all("models.*.rpd_limit", "models.*.rpd", "models.*.requests_per_day"),
    ...all("models.*.concurrency_limit", "models.*.concurrency", "models.*.max_concurrency"),
    ...all("models.*.input_price", "models.*.input_cost"),
    ...all("models.*.output_price", "models.*.output_cost"),
    ...all("models.*.capabilities", "models.*.features")
  },
  groups: {
    ...breaker("circuit_breaker"),
    ...breaker("fallback_config.circuit_breaker"),
    ...breaker("fallback.circuit_breaker"),
    ...fallback("fallback"),
    ...fallback("fallback_config"),
    ...all("fallback_config.strategy", "fallback_strategy"),
    ...all("fallback_config.fallback_groups", "fallback_groups", "fallbacks"),
    ...echelon("echelon*", "echelon*"),
    ...flat,
    ...echelon("", "echelon1")
  },
  polling_pools: {
    ...all("task_groups", "groups", "task_group", "group"),
    ...all(
      "rotation_strategy",
      "strategy",
      "rotation",
      "polling_strategy",
      "load_balancing",
      "load_balancing_strategy"
    ),
    ...fallback("fallback"),
    ...fallback("fallback_config"),
    ...all("rate_limiting.token_bucket.bucket_size", "rate_limiting.bucket_size", "rate_limiting.capacity"),
    ...all("rate_limiting.token_bucket.refill_rate", "rate_limiting.refill_rate", "rate_limiting.tokens_per_second"),
    ...all("rate_limiting.token_bucket.bucket_size", "rate_limit.bucket_size", "rate_limit.capacity"),
    ...all("rate_limiting.token_bucket.refill_rate", "rate_limit.refill_rate", "rate_limit.tokens_per_second"),
    "rate_limiting.token_bucket.capacity": "rate_limiting.token_bucket.bucket_size",
    "rate_limit.*.*": "rate_limiting.*.*",
    "rate_limit.*": "rate_limiting.*",
    "health.*": "health_check.*",
    ...all("health_check.failure_threshold", "health_check.threshold", "health_check.max_failures"),
    ...all("health_check.recovery_time", "health_check.recovery_timeout")
  },
  wrappers: {
    ...all("default_config.pool_name", "pool_name", "pool", "default_config.pool"),
    ...all(
      "default_config.group_name",
      "group_name",
      "group",
      "task_group",
      "default_config.group",
      "default_config.task_group"
    ),
    "config.*": "default_config.*",
    ...all("default_config.enable_health_check", "enable_health_check"),
    ...all("default_config.enable_metrics", "enable_metrics"),
    ...all("monitoring.metrics_enabled", "monitoring.metrics", "monitoring.enable_metrics"),
    ...all("monitoring.alerting_enabled", "monitoring.alerting", "monitoring.enable_alerting"),
    ...all("performance.request_timeout", "request_timeout", "timeout", "performance.timeout"),
    ...all(
      "performance.max_concurrent_requests",
      "max_concurrent_requests",
      "performance.max_concurrent",
      "performance.concurrency"
    ),
    ...all("performance.queue_size", "queue_size", "performance.max_queue_size")
  },
  global: {
    ...all("routing.default_wrapper", "default_wrapper"),
    ...all("routing.default_pool", "default_pool"),
    ...all("routing.default_provider", "default_provider"),
    ...all("shutdown.shutdown_grace", "shutdown_grace", "shutdown.grace"),
    ...all("reload.watch", "hot_reload", "reload.enabled")
  }
}

/** Values that had other names, by the key they stand at now. */
const values: Readonly<Record<string, Renames>> = {
  rotation_strategy: {
    ...all("round_robin", "round-robin", "roundrobin", "RoundRobin", "roundRobin"),
    ...all("least_busy", "least-busy", "least_connections", "least-connections", "leastBusy"),
    ...all("weighted", "weighted_round_robin", "weighted-round-robin"),
    ...all("latency", "least_latency", "lowest_latency"),
    ...all("shortest_delay", "least_response_time", "shortest-delay")
  },
  algorithm: {
    ...all("token_bucket", "token-bucket", "tokenBucket"),
    ...all("sliding_window", "sliding-window", "slidingWindow")
  },
  type: {
    ...all("pool", "polling_pool", "polling-pool", "pollingPool"),
    ...all("task_group", "group", "task-group", "taskGroup")
  },
  strategy: {
    ...all("echelon_down", "echelon-down", "echelonDown", "tier_down"),
    ...all("instance_rotation", "instance-rotation", "instanceRotation")
  }
}

/**
 * Writes a key in snake case.
 *
 * @since 0.1.0
 * @category getters
 */
export const snake = (key: string): string =>
  key
    .replace(/([a-z0-9])([A-Z])/g, "$1_$2")
    .replaceAll("-", "_")
    .toLowerCase()

/**
 * Whether a file of a kind knows the key at a path now.
 *
 * @since 0.1.0
 * @category guards
 */
export const isKnown = (kind: MigrateTree.Kind, path: ReadonlyArray<string>): boolean =>
  (path.length === 1 && path[0] === "inherits_from") ||
  MigrateTree.refusal(kind, path, [[]])?.startsWith("unknown key") !== true

const matchOne = (pattern: string, segment: string): ReadonlyArray<string> | undefined => {
  if (!pattern.includes("*")) return pattern === segment ? [] : undefined
  const [before = "", after = ""] = pattern.split("*")
  const fits = segment.length > before.length + after.length && segment.startsWith(before) && segment.endsWith(after)
  return fits ? [segment.slice(before.length, segment.length - after.length)] : undefined
}

const match = (pattern: string, path: ReadonlyArray<string>): ReadonlyArray<string> | undefined => {
  const segments = pattern.split(".").filter((segment) => segment !== "")
  if (segments.length !== path.length) return undefined
  const held = segments.map((segment, i) => matchOne(segment, path[i] ?? ""))
  return held.some((one) => one === undefined) ? undefined : held.flatMap((one) => one ?? [])
}

const units: ReadonlyArray<readonly [RegExp, number]> = [
  [/_(ms|millis|milliseconds)$/, 1 / 1000],
  [/_(s|sec|secs|seconds)$/, 1],
  [/_(minutes|mins)$/, 60]
]

/**
 * Where a key stands now, and by what its number is multiplied to be seconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Found {
  readonly path: ReadonlyArray<string>
  readonly factor: number
}

const renamed = (kind: MigrateTree.Kind, path: ReadonlyArray<string>): ReadonlyArray<string> | undefined => {
  if (isKnown(kind, path)) return path
  for (const [pattern, place] of Object.entries(renames[kind])) {
    const held = match(pattern, path)
    if (held === undefined) continue
    let next = 0
    const made = place
      .split(".")
      .map((segment) => (segment.includes("*") ? segment.replace("*", held[next++] ?? "") : segment))
    if (isKnown(kind, made)) return made
  }
  return undefined
}

/** A path in the spelling of now. Keys below `models`, `headers`, `query` and `tenants` are names. */
const plainPath = (path: ReadonlyArray<string>): ReadonlyArray<string> => {
  const isName = (i: number) => ["models", "headers", "query", "tenants"].includes(snake(path[i - 1] ?? ""))
  return path.map((segment, i) =>
    isName(i) ? segment : snake(segment).replace(/^(?:echelon|tier|level)_?(\d+)$/, "echelon$1")
  )
}

/**
 * The key of now that a misspelt key of a file of a kind may have meant, in the table where it stands.
 *
 * @since 0.1.0
 * @category getters
 */
export const nearest = (kind: MigrateTree.Kind, path: ReadonlyArray<string>): string | undefined => {
  const base = kind === "global" ? [] : ["llms", kind, "NAME"]
  const plain = plainPath(path)
  for (const [i, segment] of plain.entries()) {
    const table = Listing.keyOf([...base, ...plain.slice(0, i)])?.value
    if (table?._tag !== "Table") return undefined
    if (Listing.keyOf([...base, ...plain.slice(0, i + 1)]) === undefined)
      return Nearest.find(
        segment,
        table.keys.map(({ name }) => name)
      )[0]
  }
  return undefined
}

/**
 * Finds the place that a key of an older file has now. Keys below `models`, `headers`, `query` and `tenants` are
 * names, which stay as they are.
 *
 * @since 0.1.0
 * @category getters
 */
export const find = (kind: MigrateTree.Kind, path: ReadonlyArray<string>): Found | undefined => {
  if (isKnown(kind, path)) return { path, factor: 1 }
  const plain = plainPath(path)
  const found = renamed(kind, plain)
  if (found !== undefined) return { path: found, factor: 1 }
  for (const [unit, factor] of units) {
    const last = plain.at(-1) ?? ""
    const place = unit.test(last) ? renamed(kind, [...plain.slice(0, -1), last.replace(unit, "")]) : undefined
    if (place !== undefined) return { path: place, factor }
  }
  return undefined
}

/**
 * What a value is called now.
 *
 * @since 0.1.0
 * @category getters
 */
export const valueAt = (path: ReadonlyArray<string>, value: unknown): unknown => {
  const table = values[path.at(-1) ?? ""]
  return typeof value === "string" && table !== undefined && Object.hasOwn(table, value) ? table[value] : value
}

const itemKeys = all("api_key", "key", "token")

/**
 * The tables of a list with the names that their keys have now. A key that stands at its place already wins.
 *
 * @since 0.1.0
 * @category getters
 */
export const itemsAt = (path: ReadonlyArray<string>, value: unknown): unknown => {
  if (!Array.isArray(value)) return value
  const isCredentials = path.at(-1) === "credentials"
  let changed = false
  const items = value.map((item) => {
    if (!MigrateSource.isTable(item)) return item
    const renamed: Record<string, unknown> = Object.create(null)
    for (const [key, inner] of Object.entries(item)) {
      const plain = snake(key)
      const now = (isCredentials ? itemKeys[plain] : undefined) ?? plain
      if (now === key) renamed[now] = inner
      else {
        changed = true
        if (!Object.hasOwn(item, now) && !Object.hasOwn(renamed, now)) renamed[now] = inner
      }
    }
    return renamed
  })
  return changed ? items : value
}

/**
 * What is said where an address was carried over without parts of it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const bareAddressNote = "user, password, query and fragment were left out: they may be secret"

/**
 * An address without user, password, query and fragment. Variables in what is left stay as they are.
 *
 * @since 0.1.0
 * @category getters
 */
export const bareAddress = (text: string): string => {
  const variables: Array<string> = []
  // A variable may hold any of the characters that part an address.
  const plain = text.replace(/\$\{[^}]*\}/g, (variable) => {
    const [, start, address = ""] = /^(\$\{\w+:-)(.*)\}$/s.exec(variable) ?? []
    return `\ue000${variables.push(start === undefined ? variable : `${start}${bareAddress(address)}}`) - 1}\ue000`
  })
  return (
    plain
      // A password may hold what ends a host; a colon that no port follows says that there is one.
      .replace(/^(\w+:\/\/)(?:[^/?#]*@|[^/?#]*:(?![\d\ue000]*(?:[/?#]|$)).*@)/s, "$1")
      .replace(/[?#].*$/s, "")
      .replace(/\ue000(\d+)\ue000/g, (_, i: string) => variables[Number(i)] ?? "")
  )
}
