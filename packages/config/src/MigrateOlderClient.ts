/**
 * A flat file of one client, as it was before providers had models: it becomes an instance, and, where it says how
 * it is asked, a group and a pool.
 *
 * @since 0.1.0
 */
import * as MigrateInstances from "./MigrateInstances.ts"
import * as OlderKeys from "./MigrateOlderKeys.ts"
import type * as OlderNames from "./MigrateOlderNames.ts"
import * as MigrateProviders from "./MigrateProviders.ts"
import * as Source from "./MigrateSource.ts"
import * as MigrateTree from "./MigrateTree.ts"

/** Names of one thing, strongest first; a dot leads into a table. */
const names = {
  kind: ["kind", "type", "provider", "provider_type", "model_type"],
  model: ["model", "model_name", "model_id"],
  apiKey: ["api_key", "key", "token"],
  baseUrl: ["base_url", "endpoint", "api_base", "api_url", "url"],
  supported: ["supported_models", "available_models"],
  fallbacks: ["fallback_models", "fallbacks"]
} as const

const provider: ReadonlyArray<string> = [
  "organization",
  "project",
  "api_version",
  "deployment",
  "region",
  "connect_timeout"
]

const secrets = ["access_key_id", "secret_access_key", "session_token", "service_account"]

const secretVariable = (key: string): string => `${key === "service_account" ? "VERTEX" : "AWS"}_${key.toUpperCase()}`

const limits = ["rate_limiting", "rate_limit", "rate_limiter", ""]
const inLimits = (...keys: ReadonlyArray<string>): ReadonlyArray<string> =>
  limits.flatMap((table) => keys.map((key) => (table === "" ? key : `${table}.${key}`)))

const model: Readonly<Record<string, ReadonlyArray<string>>> = {
  context_window: ["context_window", "context_length", "max_context_tokens", "max_context"],
  max_output_tokens: ["max_output_tokens"],
  input_price: ["input_price", "input_cost"],
  output_price: ["output_price", "output_cost"],
  cached_input_price: ["cached_input_price"],
  capabilities: ["capabilities", "features"],
  weight: ["weight"],
  rpm_limit: inLimits("requests_per_minute", "rpm_limit", "rpm"),
  tpm_limit: inLimits("tokens_per_minute", "tpm_limit", "tpm"),
  rpd_limit: inLimits("requests_per_day", "rpd_limit", "rpd"),
  concurrency_limit: inLimits("max_concurrent_requests", "concurrency_limit", "max_concurrency", "concurrency")
}

const settings = ["", "parameters.", "params.", "config.", "options.", "generation_config."]
const inSettings = (...keys: ReadonlyArray<string>): ReadonlyArray<string> =>
  settings.flatMap((table) => keys.map((key) => `${table}${key}`))

const echelon: Readonly<Record<string, ReadonlyArray<string>>> = {
  timeout: inSettings("timeout", "request_timeout"),
  max_retries: [
    ...inSettings("max_retries", "retries", "retry_count"),
    "retry.max_retries",
    "retry.attempts",
    "retry_config.max_retries"
  ],
  temperature: inSettings("temperature"),
  max_tokens: inSettings("max_tokens"),
  top_p: inSettings("top_p"),
  stop: inSettings("stop", "stop_sequences"),
  seed: inSettings("seed")
}

const fallback: Readonly<Record<string, ReadonlyArray<string>>> = {
  retry_delay: ["retry_delay", "retry.delay", "retry.base_delay", "retry_config.base_delay"],
  retry_max_delay: ["retry_max_delay", "retry.max_delay", "retry_config.max_delay"]
}

/** What a table says by its keys in snake case, with times of another unit as seconds. */
const flatten = (
  at: Source.Stated,
  prefix = ""
): ReadonlyArray<readonly [name: string, stated: Source.Stated, factor: number]> =>
  Source.below(at).flatMap((inner) => {
    const name = `${prefix}${OlderKeys.snake(String(inner.key))}`
    if (Source.isTable(inner.value) && name !== "headers") return flatten(inner, `${name}.`)
    const unit = /_(ms|millis|milliseconds)$/.exec(name)
    return [
      [name.replace(/_(ms|millis|milliseconds|s|secs|seconds)$/, ""), inner, unit === null ? 1 : 1 / 1000] as const
    ]
  })

/**
 * Whether a table describes one client: it says a model, and whose it is.
 *
 * @since 0.1.0
 * @category guards
 */
export const isClient = (value: Source.Table): boolean => {
  const keys = Object.keys(value).map(OlderKeys.snake)
  const has = (all: ReadonlyArray<string>) => all.some((key) => keys.includes(key))
  return has(names.model) && !keys.includes("models")
}

/**
 * What a client has become: its instance, and what still names others.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client {
  readonly name: string
  readonly instance: string
  readonly provider: string
  /** Its provider, for further models of it. */
  readonly wanted: Pick<MigrateInstances.Wanted, "name" | "kind" | "provider" | "header">
  readonly models: ReadonlyArray<OlderNames.Known>
  readonly group: MigrateTree.File | undefined
  readonly fallbacks: Source.Stated | undefined
}

/**
 * Writes a client. `parents` are the files that it inherits, nearest first.
 *
 * @since 0.1.0
 * @category constructors
 */
export const migrate = (
  tree: MigrateTree.MigrateTree,
  instances: MigrateInstances.Instances,
  source: Source.Source,
  parents: ReadonlyArray<Source.Source>,
  header: ReadonlyArray<string>
): Client | undefined => {
  const layers = [source, ...parents].map((one) => flatten({ source: one, path: [], value: one.value }))
  const look = (keys: ReadonlyArray<string>) => {
    const found = layers.flatMap((layer) => keys.flatMap((key) => layer.filter(([name]) => name === key)))
    for (const [, other] of found.slice(1)) {
      tree.ledger.rest(other, { outcome: "lost", note: "another key says the same, and was taken", todo: "nothing" })
    }
    const [, stated, factor] = found[0] ?? []
    return stated === undefined || factor === undefined ? undefined : { stated, factor }
  }
  const text = (keys: ReadonlyArray<string>): readonly [string, Source.Stated] | undefined => {
    const stated = look(keys)?.stated
    return typeof stated?.value === "string" && stated.value !== "" ? [stated.value, stated] : undefined
  }
  const of = (at: ReadonlyArray<string>, keys: ReadonlyArray<string>): ReadonlyArray<MigrateTree.Setting> => {
    const found = look(keys)
    if (found === undefined) return []
    const { factor, stated } = found
    const value = typeof stated.value === "number" ? stated.value * factor : stated.value
    const approximated = factor === 1 ? undefined : "milliseconds as seconds"
    return [{ at, value: MigrateTree.valueOf(value, (one) => one), from: [stated], approximated }]
  }

  const wire = text(names.model)
  const who = text(names.kind)
  const fileName = (source.file.split(/[\\/]/).at(-1) ?? "").replace(/\.[^.]*$/, "")
  const base = text(names.baseUrl)
  const listed = who === undefined ? undefined : MigrateProviders.find(MigrateProviders.older, who[0])
  const found = listed === undefined ? undefined : MigrateProviders.at(listed, base?.[0])
  if (wire === undefined || found === undefined || who === undefined) {
    const shown = who === undefined ? "a client without a provider" : JSON.stringify(who[0])
    const note = wire === undefined ? "the model is missing" : `no kind of provider here speaks for ${shown}`
    const todo = "write the provider by hand"
    tree.ledger.mark({ source, path: [] }, { outcome: "lost", note, todo })
    return undefined
  }
  const providers: Array<MigrateTree.Setting> = []
  if (base !== undefined) {
    const value = OlderKeys.bareAddress(base[0])
    providers.push({
      at: ["base_url"],
      value,
      from: [base[1]],
      approximated: value === base[0] ? undefined : OlderKeys.bareAddressNote
    })
  } else if (found.baseUrl !== undefined) providers.push({ at: ["base_url"], value: found.baseUrl, from: [] })
  const key = text(names.apiKey)
  if (key !== undefined) {
    const hidden = !/^\$\{[^}]*\}$/.test(key[0])
    const wanted = found.variable ?? `${MigrateTree.variableName(who[0])}_API_KEY`
    const value = hidden ? tree.secret(key[0], wanted) : key[0].replace(/^(\$\{[A-Za-z_]\w*)[^}]*\}$/, "$1}")
    const changed = hidden
      ? "the secret was not copied"
      : value === key[0]
        ? undefined
        : "without what stood for it when it is unset"
    providers.push({ at: ["api_key"], value, from: [key[1]], approximated: changed })
  }
  for (const name of provider) providers.push(...of([name], [name]))
  for (const name of secrets) {
    const stated = look([name, `aws_${name}`])?.stated
    if (typeof stated?.value !== "string" || stated.value === "") continue
    const isVariable = /^\$\{[^}]*\}$/.test(stated.value)
    const value = isVariable
      ? stated.value.replace(/^(\$\{[A-Za-z_]\w*)[^}]*\}$/, "$1}")
      : tree.secret(stated.value, secretVariable(name))
    const approximated = value === stated.value ? undefined : "the secret was not copied"
    providers.push({ at: [name], value, from: [stated], approximated })
  }
  providers.push(...of(["service_account_file"], ["service_account_file"]))
  const headers = look(["headers"])?.stated
  for (const one of Source.below(headers)) {
    const value = typeof one.value === "string" && /^\$\{[^}]*\}$/.test(one.value)
    const name = MigrateTree.variableName(`${who[0]}_${one.key}`)
    const approximated = value ? undefined : "the value was not copied"
    providers.push({
      at: ["headers", String(one.key)],
      value: value ? String(one.value) : tree.secret(one.value, name),
      from: [one],
      approximated
    })
  }

  const enabled = look(limits.flatMap((table) => (table === "" ? [] : [`${table}.enabled`])))?.stated
  const own = Object.entries(model).flatMap(([name, keys]) => of([name], keys))
  const unlimited = enabled?.value === false
  const kept = own.filter(({ at }) => !(unlimited && /_limit$/.test(at[0] ?? "")))
  for (const { from } of own.filter((one) => !kept.includes(one))) {
    for (const stated of from)
      tree.ledger.mark(stated, { outcome: "approximated", note: "left out: the limits were off" })
  }
  const name = text(["name"])
  const label = name?.[0] ?? fileName
  const slug = MigrateTree.slug(found.kind === "openai-compatible" ? who[0] : found.kind)
  const kind = { value: found.kind, from: [who[1]], approximated: found.kind === who[0] ? undefined : "its name now" }
  const wanted = { name: slug, kind, provider: providers, header }
  const instance = instances({
    ...wanted,
    // Groups name it by the client's name, which began with the provider's.
    alias: label.startsWith(`${slug}-`) ? label.slice(slug.length + 1) : name === undefined ? wire[0] : label,
    model: [{ at: ["model"], value: wire[0], from: [wire[1]] }, ...kept]
  })
  const known = (model: string, made: string): OlderNames.Known => {
    const alias = MigrateInstances.aliasOf(model)
    return { provider: who[0], kind: found.kind, alias, wire: model, instance: made }
  }
  const models = [known(wire[0], instance)]
  const supported = look(names.supported)?.stated
  for (const model of Array.isArray(supported?.value) ? supported.value : []) {
    if (supported === undefined || typeof model !== "string" || model === "") continue
    if (model === wire[0]) tree.ledger.mark(supported, { outcome: "carried", to: `instance ${instance}` })
    else {
      const setting = { at: ["model"], value: MigrateTree.literal(model), from: [supported] }
      models.push(known(model, instances({ ...wanted, alias: model, model: [setting] })))
    }
  }

  const asked = Object.entries(echelon).flatMap(([at, keys]) => of(["echelon1", at], keys))
  const after = Object.entries(fallback).flatMap(([at, keys]) => of(["fallback_config", at], keys))
  const breakers = ["failure_threshold", "recovery_time", "half_open_requests"].flatMap((at) => {
    const found = OlderKeys.find("groups", ["circuit_breaker", at])
    const keys = layers.flat().flatMap(([name]) => {
      const path = OlderKeys.find("groups", name.split("."))?.path.join(".")
      return name.startsWith("circuit_breaker.") && path === found?.path.join(".") ? [name] : []
    })
    return found === undefined ? [] : of(found.path, keys)
  })
  const fallbacks = look(names.fallbacks)?.stated
  const buckets: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
    ["rate_limiting.token_bucket.bucket_size", inLimits("token_bucket.bucket_size", "bucket_size", "capacity")],
    ["rate_limiting.token_bucket.refill_rate", inLimits("token_bucket.refill_rate", "refill_rate", "tokens_per_second")]
  ]
  const bucket = buckets.flatMap(([at, keys]) => of(at.split("."), keys))
  const algorithm = look(inLimits("algorithm"))?.stated
  const limited = bucket.length === 2 && !unlimited
  if (name !== undefined) tree.ledger.mark(name[1], { outcome: "carried", to: `instance ${instance}` })
  if (enabled !== undefined)
    tree.ledger.mark(enabled, {
      outcome: "carried",
      note: unlimited ? "there is no limit" : "limits hold when they are stated"
    })
  let group: MigrateTree.File | undefined
  if (asked.length + after.length + breakers.length > 0 || limited || fallbacks !== undefined) {
    group = tree.begin("groups", limited ? `${label}_group` : label, header)
    tree.set(group, { at: ["name"], value: group.name, from: [] })
    tree.set(group, { at: ["echelon1", "models"], value: [instance], from: [] })
    for (const setting of [...asked, ...after, ...breakers]) tree.set(group, setting)
  }
  if (limited && group !== undefined) {
    const pool = tree.begin("polling_pools", label, header)
    tree.set(pool, { at: ["name"], value: pool.name, from: [] })
    tree.set(pool, { at: ["task_groups"], value: [group.name], from: [] })
    tree.set(pool, { at: ["rate_limiting", "enabled"], value: true, from: enabled === undefined ? [] : [enabled] })
    if (algorithm !== undefined) {
      const value = MigrateTree.valueOf(OlderKeys.valueAt(["algorithm"], algorithm.value))
      tree.set(pool, {
        at: ["rate_limiting", "algorithm"],
        value: value === "token_bucket" ? value : Number.NaN,
        from: [algorithm]
      })
    }
    for (const setting of bucket) tree.set(pool, setting)
  } else {
    for (const one of [...bucket.flatMap(({ from }) => from), ...(algorithm === undefined ? [] : [algorithm])]) {
      const note = unlimited ? "left out: the limits were off" : "a limit needs bucket_size and refill_rate"
      tree.ledger.mark(one, { outcome: unlimited ? "approximated" : "lost", note })
    }
  }
  return { name: label, instance, provider: who[0], wanted, models, group, fallbacks }
}
