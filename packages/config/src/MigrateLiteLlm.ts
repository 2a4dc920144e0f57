/**
 * LiteLLM's `config.yaml` as a tree: a model name becomes a task group, whose echelons are its deployments by
 * `order` and then those of its fallbacks, with a pool and, for a time limit, a wrapper before it. The outermost
 * one has the model's name.
 *
 * @since 0.1.0
 */
import type * as MigrateInstances from "./MigrateInstances.ts"
import * as Fallbacks from "./MigrateLiteLlmFallbacks.ts"
import * as Models from "./MigrateLiteLlmModels.ts"
import * as Source from "./MigrateSource.ts"
import * as MigrateTree from "./MigrateTree.ts"

/**
 * Keys that are read, for hints about misspelt ones.
 *
 * @since 0.1.0
 * @category models
 */
export const known: ReadonlyArray<string> = [
  ...["model_list", "model_name", "litellm_params", "model_info", "router_settings", "litellm_settings"],
  ...["model", "api_key", "api_base", "api_version", "organization", "rpm", "tpm", "weight", "order", "timeout"],
  ...["stream_timeout", "max_retries", "num_retries", "temperature", "max_tokens", "max_parallel_requests"],
  ...["routing_strategy", "fallbacks", "context_window_fallbacks", "content_policy_fallbacks", "default_fallbacks"],
  ...["allowed_fails", "cooldown_time", "retry_after", "model_group_alias", "enable_pre_call_checks", "max_fallbacks"],
  ...["request_timeout", "cache", "ttl", "completion_model", "input_cost_per_token", "output_cost_per_token"],
  ...["extra_headers", "custom_llm_provider", "max_input_tokens", "max_output_tokens", "top_p", "stop", "seed"],
  ...["aws_region_name", "aws_access_key_id", "aws_secret_access_key", "aws_session_token"],
  ...["aws_bedrock_runtime_endpoint", "vertex_project", "vertex_location", "vertex_credentials"]
]

/** Why keys are lost that say nothing about where a model is and how it is asked. */
const identity = ["profiles and roles of AWS are not read here", "write access keys or an API key"] as const

const reasons: Readonly<Record<string, readonly [note: string, todo: string]>> = {
  aws_profile_name: identity,
  aws_role_name: identity,
  aws_session_name: identity,
  aws_web_identity_token: identity,
  retry_policy: ["what follows from a failure is one table here", "see docs/failures.md, and set max_retries"],
  model_group_retry_policy: [
    "what follows from a failure is one table here",
    "set max_retries of the group's echelons"
  ],
  allowed_fails_policy: ["which failures a breaker counts is one table here", "see docs/failures.md"],
  disable_cooldowns: [
    "a wait that a provider asks for is always kept",
    "raise failure_threshold to keep breakers closed"
  ],
  routing_strategy_args: ["a strategy has no arguments here", "see docs/selection.md"],
  provider_budget_config: ["budgets of money are not configured by provider", "limit maxCost of a request's metadata"],
  general_settings: [
    "belongs to the LiteLLM proxy: its keys, database and endpoints",
    "nothing; or set it at your gateway"
  ],
  environment_variables: ["values of variables are not copied", "set the variable where the program runs"],
  include: ["other files are not followed", "give those files to migrate as well"],
  model_info: [
    "facts of a model that are not used here, or are stated otherwise",
    "state capabilities of the model if you need them"
  ],
  callbacks: ["callbacks have no counterpart", "use metrics and traces"],
  default_litellm_params: ["every model states its own value", "nothing"],
  cache_params: ["the cache is the pool's own memory, exact matches only", "see docs/cache.md"],
  mode: ["what a model is asked for is the request's own matter", "nothing"],
  drop_params: ["a setting that a provider does not know is left out or refused by its protocol", "nothing"],
  set_verbose: ["logging is not configured here", "nothing"]
}

/** Tables whose keys are names. */
const named: ReadonlyArray<string | number> = [
  "fallbacks",
  "context_window_fallbacks",
  "content_policy_fallbacks",
  "model_group_alias"
]

const reasonOf = (path: ReadonlyArray<string | number>): readonly [string, string] | undefined => {
  const names = path.filter((segment) => typeof segment === "string")
  const own = [...names].reverse().find((name) => Object.hasOwn(reasons, name) || /_callbacks?$|^callbacks$/.test(name))
  if (own !== undefined) return Object.hasOwn(reasons, own) ? reasons[own] : reasons["callbacks"]
  if (names.some((name) => /^redis_/.test(name))) {
    return ["limits and state are the process's own here", "run one process, or leave room in the limits"]
  }
  return undefined
}

const strategies: Readonly<Record<string, string>> = {
  "simple-shuffle": "random",
  "least-busy": "least_busy",
  "latency-based-routing": "latency",
  "usage-based-routing": "usage",
  "usage-based-routing-v2": "usage",
  "cost-based-routing": "cost"
}

/** Instances of equal rank, and what their deployments say of them. */
interface Tier {
  readonly from: ReadonlyArray<Source.Stated>
  readonly instances: ReadonlyArray<string>
  readonly settings: ReadonlyArray<ReadonlyMap<string, Source.Stated>>
}

const tiersOf = (deployments: ReadonlyArray<Models.Deployment>): ReadonlyArray<Tier> => {
  const working = deployments.filter(({ idle }) => !idle)
  const all = working.length === 0 ? deployments : working
  const orders = [...new Set(all.map(({ order }) => order))].sort((a, b) => (a < b ? -1 : 1))
  return orders.map((order) => {
    const members = all.filter((one) => one.order === order)
    return {
      from: members.flatMap(({ group, settings }) => [group, ...[settings.get("order") ?? []].flat()]),
      instances: [...new Set(members.map(({ instance }) => instance))],
      settings: members.map(({ settings }) => settings)
    }
  })
}

const largest = ["timeout", "ttft_timeout", "max_retries"]

const plain = ({ tree }: Fallbacks.Context, value: unknown) =>
  MigrateTree.valueOf(value, (text) => {
    const name = Models.reference(text)
    return name === undefined ? MigrateTree.literal(text) : String(Models.number(tree, text))
  })

/** Writes what an echelon's deployments say; one of them speaks for all. */
const writeTier = (
  context: Fallbacks.Context,
  file: MigrateTree.File,
  tier: Tier,
  key: string,
  comment?: string
): void => {
  const { tree } = context
  tree.set(file, { at: [key, "models"], value: tier.instances.map(MigrateTree.literal), from: tier.from, comment })
  const defaults: ReadonlyArray<readonly [string, Source.Stated | undefined]> = [
    ["timeout", context.setting("timeout") ?? context.setting("request_timeout")],
    ["ttft_timeout", context.setting("stream_timeout")],
    ["max_retries", context.setting("num_retries")]
  ]
  const names = new Set([
    ...defaults.map(([name]) => name),
    ...tier.settings.flatMap((settings) => [...settings.keys()])
  ])
  names.delete("order")
  for (const name of names) {
    const usual = defaults.find(([one]) => one === name)?.[1]
    const stated = tier.settings.flatMap((settings) => settings.get(name) ?? [])
    const others = stated.length < tier.settings.length
    const from = [...stated, ...(usual !== undefined && others ? [usual] : [])]
    const numeric = name !== "stop"
    const values = from.map((one) => (numeric ? Models.number(tree, one.value) : plain(context, one.value)))
    const numbers = values.filter((value): value is number => typeof value === "number")
    // What a variable will hold is not known now.
    const isLargest = largest.includes(name) && numbers.length > 1 && numbers.length === values.length
    const value = isLargest ? Math.max(...numbers) : values[0]
    if (value === undefined) continue
    const differ = new Set(values.map((one) => JSON.stringify(one))).size > 1
    const spread = differ
      ? `an echelon has one value: ${isLargest ? "the largest" : "the first"}`
      : stated.length > 0 && others && usual === undefined
        ? "an echelon has one value: it holds for its other deployments, too"
        : undefined
    const streams = name === "ttft_timeout" ? "until first output" : undefined
    const approximated = [spread, streams].filter((part) => part !== undefined).join("; ") || undefined
    tree.set(file, { at: [key, name], value, from, approximated })
  }
}

const breakerSettings = ({ setting, tree }: Fallbacks.Context): ReadonlyArray<MigrateTree.Setting> => {
  const at = (key: string) => ["fallback_config", "circuit_breaker", key]
  const fails = setting("allowed_fails")
  const cooldown = setting("cooldown_time")
  const allowed = Models.number(tree, fails?.value)
  const wait = Models.number(tree, cooldown?.value)
  return [
    ...(fails === undefined
      ? []
      : [
          {
            at: at("failure_threshold"),
            value: typeof allowed === "number" ? allowed + 1 : allowed,
            from: [fails],
            approximated: "consecutive failures; there, failures of a minute beyond this number"
          }
        ]),
    ...(cooldown === undefined
      ? []
      : [
          {
            at: at("recovery_time"),
            value: wait,
            from: [cooldown],
            approximated: "then one request tests the instance"
          },
          { at: at("max_recovery_time"), value: wait, from: [], comment: "the same wait each time" }
        ])
  ]
}

/** Of the group behind a front: whether weights are stated, and the most instances of an echelon. */
interface Shape {
  readonly weighted: boolean
  readonly widest: number
}

/** What callers name. */
interface Front {
  readonly kind: "wrapper" | "pool"
  readonly name: string
}

/** A pool, and a wrapper before it when there is a time to keep; the outer one has the name that callers use. */
const writeFront = (
  context: Fallbacks.Context,
  name: string,
  group: string,
  from: ReadonlyArray<Source.Stated>,
  header: ReadonlyArray<string>,
  { weighted, widest }: Shape
): Front => {
  const { setting, tree } = context
  const timeout = setting("timeout")
  const seconds = Models.number(tree, timeout?.value)
  const at = ["performance", "request_timeout"]
  const limited = timeout !== undefined && MigrateTree.refusal("wrappers", at, seconds) === undefined
  const pool = tree.begin("polling_pools", limited ? `${name}_pool` : name, header)
  const renamed = (file: MigrateTree.File) => MigrateTree.renamedNote(name, file.name)
  const approximated = limited ? undefined : renamed(pool)
  tree.set(pool, { at: ["name"], value: MigrateTree.literal(pool.name), from, approximated })
  tree.set(pool, { at: ["task_groups"], value: [MigrateTree.literal(group)], from })
  const strategy = setting("routing_strategy")
  const stated = typeof strategy?.value === "string" ? strategies[strategy.value] : "random"
  const rotation = stated === "random" && weighted ? "weighted" : stated
  const value = rotation ?? "random"
  const comment = strategy === undefined ? "simple-shuffle, LiteLLM's default" : undefined
  const known = rotation !== undefined && strategy !== undefined && typeof strategy.value === "string"
  tree.set(pool, { at: ["rotation_strategy"], value, from: known ? [strategy] : [], comment })
  if (strategy !== undefined && !known) {
    const todo = "choose a rotation_strategy; see docs/selection.md"
    tree.ledger.mark(strategy, { outcome: "lost", note: "a strategy that is not known here", todo })
  }
  const retries = setting("num_retries")
  const count = Models.number(tree, retries?.value)
  if (retries !== undefined && typeof count === "number" && Number.isSafeInteger(count) && count >= 0 && widest > 1) {
    const at = ["fallback_config", "max_instance_attempts"]
    tree.set(pool, { at, value: Math.min(count + 1, widest), from: [retries] })
  }
  const cache = setting("cache")
  const params = setting("cache_params")
  const ttl = params === undefined ? undefined : Source.get(params.source, [...params.path, "ttl"])
  const mode = params === undefined ? undefined : Source.get(params.source, [...params.path, "mode"])
  if (cache?.value === true && mode?.value !== "default_off") {
    tree.set(pool, { at: ["cache", "enabled"], value: true, from: [cache], approximated: "exact matches, in memory" })
    if (ttl !== undefined && ttl.value !== null) {
      tree.set(pool, { at: ["cache", "ttl"], value: Models.number(tree, ttl.value), from: [ttl] })
    }
  } else if (cache !== undefined) {
    const note = cache.value === true ? "on demand only, which a pool cannot say" : "a pool keeps no answers by itself"
    tree.ledger.mark(cache, { outcome: cache.value === true ? "lost" : "carried", note })
  }
  if (!limited) return { kind: "pool", name: pool.name }
  const wrapper = tree.begin("wrappers", name, header)
  tree.set(wrapper, { at: ["name"], value: MigrateTree.literal(wrapper.name), from, approximated: renamed(wrapper) })
  tree.set(wrapper, { at: ["type"], value: "pool", from: [] })
  tree.set(wrapper, { at: ["default_config", "pool_name"], value: MigrateTree.literal(pool.name), from })
  tree.set(wrapper, { at, value: seconds, from: [timeout], approximated: "until the answer begins" })
  return { kind: "wrapper", name: wrapper.name }
}

const settingOf =
  (source: Source.Source, tree: MigrateTree.MigrateTree) =>
  (key: string): Source.Stated | undefined => {
    const [first, ...others] = ["router_settings", "litellm_settings"].flatMap((section) => {
      const found = Source.get(source, [section, key])
      return found === undefined || found.value === null ? [] : [found]
    })
    for (const other of others) {
      tree.ledger.rest(other, { outcome: "lost", note: `router_settings.${key} counts there, too`, todo: "nothing" })
    }
    return first
  }

/** Keeps the names of variables that the file reads from being given to secrets that it states. */
const reserve = (value: unknown, tree: MigrateTree.MigrateTree): void => {
  const name = Models.reference(value)
  if (name !== undefined) tree.reserve(name)
  const inner: ReadonlyArray<unknown> = Array.isArray(value) ? value : Source.isTable(value) ? Object.values(value) : []
  for (const item of inner) reserve(item, tree)
}

/**
 * Writes a LiteLLM configuration into a tree.
 *
 * @since 0.1.0
 * @category constructors
 */
export const migrate = (
  source: Source.Source,
  tree: MigrateTree.MigrateTree,
  instances: MigrateInstances.Instances
): void => {
  const header = [
    `Migrated from ${source.file} (LiteLLM). Keys that are absent have the defaults of docs/configuration.md.`
  ]
  reserve(source.value, tree)
  for (const entry of Source.below(Source.get(source, ["model_list"]))) {
    for (const variable of Models.usualVariables(entry)) tree.reserve(variable)
  }
  const setting = settingOf(source, tree)
  const strategy = setting("routing_strategy")?.value
  const limited = typeof strategy === "string" && strategy.startsWith("usage-based")
  const all = Source.below(Source.get(source, ["model_list"])).flatMap(
    (entry) => Models.deployment(tree, instances, entry, { limited, header }) ?? []
  )
  const groups = new Map<string, ReadonlyArray<Models.Deployment>>()
  for (const one of all) groups.set(one.name, [...(groups.get(one.name) ?? []), one])
  const context: Fallbacks.Context = { tree, setting, groups }
  const chain = Fallbacks.chains(context)
  const fronts = new Map<string, Front>()
  const files = new Map<string, string>()
  const shapes = new Map<string, Shape>()

  for (const [name, deployments] of groups) {
    // What callers name is the pool or the wrapper.
    const file = tree.begin("groups", `${name}_group`, header)
    files.set(name, file.name)
    const from = deployments.map(({ group }) => group)
    tree.set(file, { at: ["name"], value: MigrateTree.literal(file.name), from })
    const own = tiersOf(deployments)
    own.forEach((tier, i) => {
      writeTier(context, file, tier, `echelon${i + 1}`)
    })
    const { policy, targets } = chain(name)
    const followed = new Set([name])
    let count = own.length
    let widest = Math.max(...own.map(({ instances }) => instances.length))
    for (const { approximated, from, targets: names } of targets) {
      const fresh = names.filter((target) => !followed.has(target))
      if (fresh.length === 0) tree.ledger.mark(from, { outcome: "carried", note: "they follow already", to: file.path })
      for (const target of fresh) {
        followed.add(target)
        for (const tier of tiersOf(groups.get(target) ?? [])) {
          count++
          widest = Math.max(widest, tier.instances.length)
          const key = `echelon${count}`
          writeTier(context, file, { ...tier, from: [from] }, key, `as ${target}`)
          if (approximated !== undefined) tree.ledger.mark(from, { outcome: "approximated", note: approximated })
        }
      }
    }
    const most = setting("max_fallbacks")
    const value = Models.number(tree, most?.value)
    if (most !== undefined) {
      const approximated = "counts echelons: the group's own, and so many more"
      const attempts = typeof value === "number" ? own.length + value : value
      tree.set(file, { at: ["fallback_config", "max_attempts"], value: attempts, from: [most], approximated })
    }
    const delay = setting("retry_after")
    if (delay !== undefined) {
      const approximated = "the base of a growing wait; there, the least wait"
      const at = ["fallback_config", "retry_delay"]
      tree.set(file, { at, value: Models.number(tree, delay.value), from: [delay], approximated })
    }
    if (policy !== undefined)
      tree.set(file, { at: ["fallback_config", "content_policy_fallback"], value: true, from: [policy] })
    for (const breaker of breakerSettings(context)) tree.set(file, breaker)
    const shape = { weighted: deployments.some((one) => one.weighted), widest }
    shapes.set(name, shape)
    fronts.set(name, writeFront(context, name, file.name, from, header, shape))
  }

  for (const alias of Source.below(setting("model_group_alias"))) {
    const target = Source.isTable(alias.value) ? alias.value["model"] : alias.value
    const stated = Source.get(source, [...alias.path, "model"]) ?? alias
    const group = typeof target === "string" ? files.get(target) : undefined
    if (group === undefined || typeof target !== "string") {
      const note =
        typeof target === "string"
          ? Fallbacks.left([target])
          : "it names a model that is not in model_list, or that was lost"
      tree.ledger.mark(alias, { outcome: "lost", note, todo: "write a pool of that name" })
      continue
    }
    const shape = shapes.get(target) ?? { weighted: false, widest: 1 }
    writeFront(context, String(alias.key), group, [stated], header, shape)
    const hidden = Source.get(source, [...alias.path, "hidden"])
    if (hidden !== undefined)
      tree.ledger.mark(hidden, { outcome: "lost", note: "every pool can be seen", todo: "nothing" })
  }

  const completion = Source.get(source, ["general_settings", "completion_model"])
  const asked = typeof completion?.value === "string" ? fronts.get(completion.value) : undefined
  const first = asked ?? [...fronts.values()][0]
  if (first !== undefined) {
    const global = tree.begin("global", "", header)
    const from = asked === undefined || completion === undefined ? [] : [completion]
    const comment = from.length === 0 ? "for requests that name no model" : undefined
    const at = ["routing", `default_${first.kind}`]
    if (!global.entries.has("routing")) tree.set(global, { at, value: MigrateTree.literal(first.name), from, comment })
  }

  const whole = setting("timeout")
  const request = setting("request_timeout")
  if (whole !== undefined && request !== undefined) {
    tree.ledger.rest(request, {
      outcome: "lost",
      note: `${String(whole.path[0])}.timeout counts there, too`,
      todo: "nothing"
    })
  }
  const checks = setting("enable_pre_call_checks")
  if (checks !== undefined) {
    const note = "windows and limits are looked at before every attempt"
    tree.ledger.mark(checks, { outcome: checks.value === true ? "carried" : "approximated", note })
  }
  for (const path of Source.keys(source.value)) {
    const reason = reasonOf(path)
    if (reason !== undefined) tree.ledger.rest({ source, path }, { outcome: "lost", note: reason[0], todo: reason[1] })
    else if (
      path.every((segment) => typeof segment === "number" || known.includes(segment) || named.includes(path[1] ?? ""))
    ) {
      const note =
        "nothing here follows from it: no model was carried over that it concerns, or it has no value that counts"
      tree.ledger.rest({ source, path }, { outcome: "lost", note })
    }
  }
}
