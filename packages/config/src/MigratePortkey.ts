/**
 * A Portkey config as a tree: targets become instances, what falls back becomes echelons, what balances load
 * becomes weights in one echelon, and a conditional config a pool for each target.
 *
 * @since 0.1.0
 */
import * as MigrateClouds from "./MigrateClouds.ts"
import * as MigrateInstances from "./MigrateInstances.ts"
import * as Clouds from "./MigratePortkeyClouds.ts"
import * as Targets from "./MigratePortkeyTargets.ts"
import * as MigrateProviders from "./MigrateProviders.ts"
import * as Source from "./MigrateSource.ts"
import * as MigrateTree from "./MigrateTree.ts"
import * as Origin from "./Origin.ts"

const { field, inherited, textOf } = Targets

/**
 * Keys that are read, for hints about misspelt ones.
 *
 * @since 0.1.0
 * @category models
 */
export const known: ReadonlyArray<string> = [
  ...["strategy", "mode", "targets", "conditions", "default", "on_status_codes", "weight", "name", "retry", "attempts"],
  ...[
    "use_retry_after_header",
    "cache",
    "max_age",
    "provider",
    "virtual_key",
    "api_key",
    "custom_host",
    "override_params"
  ],
  ...["model", "temperature", "max_tokens", "top_p", "stop", "seed", "request_timeout", "resource_name"],
  ...["deployment_id", "api_version", "cb_config", "failure_threshold", "failure_threshold_percentage"],
  ...["minimum_requests", "cooldown_interval", "openai_organization", "openai_project"],
  ...["aws_region", "aws_access_key_id", "aws_secret_access_key", "aws_session_token"],
  ...["vertex_project_id", "vertex_region", "vertex_service_account_json"]
]

const identity = ["roles of AWS are not taken here", "write access keys or an API key"] as const

const reasons: Readonly<Record<string, readonly [note: string, todo: string]>> = {
  aws_auth_type: identity,
  aws_role_arn: identity,
  aws_external_id: identity,
  on_status_codes: ["what follows from a failure is one table here", "see docs/failures.md"],
  failure_status_codes: ["which failures a breaker counts is one table here", "see docs/failures.md"],
  input_guardrails: ["there are no guardrails here", "check requests before they are sent"],
  output_guardrails: ["there are no guardrails here", "check answers where they arrive"],
  before_request_hooks: ["there are no hooks here", "check requests before they are sent"],
  after_request_hooks: ["there are no hooks here", "check answers where they arrive"],
  forward_headers: ["headers of callers are not handed on", "write them in the provider's [headers]"],
  metadata: ["metadata belongs to requests", "send it with the request"],
  override_params: ["only settings that every provider knows can be defaults", "send it with the request"]
}

/** The kind that a slug tells: `@openai-prod` most likely is an account at OpenAI. */
const guess = (slug: string): string | undefined => {
  const names = Object.keys(MigrateProviders.portkey).sort((a, b) => b.length - a.length)
  const text = slug.toLowerCase()
  return names.find((name) => text === name || text.startsWith(`${name}-`) || text.startsWith(`${name}_`))
}

const isText = (value: unknown): value is string => typeof value === "string" && value.trim() !== ""

interface Who {
  readonly name: string
  readonly known: MigrateProviders.Known
  readonly from: ReadonlyArray<Source.Stated>
  readonly approximated: string | undefined
}

/** Whose model a target asks for: `provider`, or the slug that a provider, a model or a virtual key begins with. */
const whoOf = (leaf: Targets.Leaf, model: string | undefined): Who | undefined => {
  const provider = inherited(leaf, "provider")
  const virtual = inherited(leaf, "virtual_key")
  const stated = textOf(provider)
  if (stated !== undefined && !stated.startsWith("@")) {
    const known = MigrateProviders.find(MigrateProviders.portkey, stated)
    return known === undefined
      ? undefined
      : { name: stated, known, from: provider === undefined ? [] : [provider], approximated: undefined }
  }
  const modelSlug = model?.startsWith("@") === true ? (model.slice(1).split("/")[0] ?? "") : undefined
  const slug = stated?.slice(1) ?? modelSlug ?? textOf(virtual)
  if (slug === undefined) return undefined
  const from = [
    ...[provider ?? []].flat(),
    ...[provider === undefined && modelSlug === undefined ? (virtual ?? []) : []].flat()
  ]
  const name = guess(slug)
  const known = name === undefined ? undefined : MigrateProviders.find(MigrateProviders.portkey, name)
  if (name !== undefined && known !== undefined) {
    return { name, known, from, approximated: "the kind was read from the name of the account" }
  }
  const approximated = "the account's provider is not in the file; set kind and base_url"
  return { name: "account", known: { kind: "openai-compatible" }, from, approximated }
}

const echelonKeys = ["temperature", "max_tokens", "top_p", "stop", "seed"]

const azureHost = (tree: MigrateTree.MigrateTree, leaf: Targets.Leaf): ReadonlyArray<MigrateTree.Setting> => {
  const resource = inherited(leaf, "resource_name")
  const name = textOf(resource)
  if (resource === undefined || name === undefined) return []
  if (!/^[A-Za-z0-9-]+$/.test(name)) {
    tree.ledger.mark(resource, {
      outcome: "lost",
      note: "no name of an Azure resource",
      todo: "write base_url by hand"
    })
    return []
  }
  return [{ at: ["base_url"], value: `https://${name}.openai.azure.com`, from: [resource] }]
}

/** Writes the instance of a target; `undefined`, with the reason in the ledger, when nothing here can ask it. */
const instanceOf = (
  tree: MigrateTree.MigrateTree,
  instances: MigrateInstances.Instances,
  leaf: Targets.Leaf,
  weighted: boolean,
  header: ReadonlyArray<string>
): string | undefined => {
  const params = leaf.around.flatMap((one) => field(one, "override_params") ?? [])
  const model = params.flatMap((one) => field(one, "model") ?? [])[0]
  const deployment = inherited(leaf, "deployment_id")
  const modelText = textOf(model)
  const who = whoOf(leaf, modelText)
  const wire = modelText?.replace(/^@[^/]*\//, "").replace(/^google\./, "")
  const refused = who === undefined || wire === undefined ? undefined : MigrateClouds.refusal(who.known.kind, wire)
  if (who === undefined || refused !== undefined) {
    const stated = textOf(inherited(leaf, "provider"))
    const shown = stated === undefined ? "a target without a provider" : JSON.stringify(stated)
    tree.ledger.mark(leaf.at, {
      outcome: "lost",
      note: refused ?? `no kind of provider here speaks for ${shown}`,
      todo: 'put an endpoint that speaks as OpenAI does before it, and write a provider of kind "openai-compatible"'
    })
    return undefined
  }
  const prefix = MigrateTree.variableName(who.name)
  const host = inherited(leaf, "custom_host")
  const hostText = textOf(host)
  const kind =
    who.known.kind === "openai" && hostText !== undefined
      ? "openai-compatible"
      : MigrateProviders.at(who.known, hostText).kind
  const isCloud = kind === "bedrock" || kind === "vertex"
  const provider: Array<MigrateTree.Setting> = []
  if (isCloud) provider.push(...Clouds.settings(tree, leaf, kind, modelText))
  else if (host !== undefined && hostText !== undefined) {
    provider.push(...MigrateInstances.address(tree, host, MigrateTree.literal(hostText), who.known.suffix))
  } else if (kind === "azure-openai") provider.push(...azureHost(tree, leaf))
  else if (who.known.baseUrl !== undefined) {
    provider.push({ at: ["base_url"], value: who.known.baseUrl, from: [], comment: `where ${who.name} answers` })
  }
  const key = inherited(leaf, "api_key")
  const virtual = inherited(leaf, "virtual_key")
  const wanted = who.known.variable ?? `${prefix}_API_KEY`
  const account = textOf(inherited(leaf, "provider"))
  if (isCloud) {
    // Its credentials are more than a key.
  } else if (isText(key?.value)) {
    const value = tree.secret(key.value, wanted)
    provider.push({ at: ["api_key"], value, from: [key], approximated: "the secret was not copied" })
  } else if (isText(virtual?.value)) {
    const approximated = "Portkey holds the secret behind it; set the provider's own"
    provider.push({ at: ["api_key"], value: tree.secret(virtual.value, wanted), from: [virtual], approximated })
  } else if (account?.startsWith("@") === true || modelText?.startsWith("@") === true) {
    const slug = account ?? modelText?.split("/")[0] ?? ""
    provider.push({ at: ["api_key"], value: tree.secret(slug, wanted), from: [], comment: "Portkey holds the secret" })
  } else if (who.known.variable !== undefined) {
    provider.push({
      at: ["api_key"],
      value: tree.variable(wanted),
      from: [],
      comment: "Portkey takes it from the request"
    })
  }
  for (const [theirs, ours] of [
    ["api_version", "api_version"],
    ["openai_organization", "organization"],
    ["openai_project", "project"]
  ] as const) {
    const stated = inherited(leaf, theirs)
    const text = textOf(stated)
    if (stated !== undefined && text !== undefined)
      provider.push({ at: [ours], value: MigrateTree.literal(text), from: [stated] })
  }

  const settings: Array<MigrateTree.Setting> = []
  const named = kind === "vertex" ? wire : modelText?.replace(/^@[^/]*\//, "")
  if (deployment !== undefined && isText(deployment.value) && kind === "azure-openai") {
    const from = model === undefined ? [deployment] : [deployment, model]
    settings.push({ at: ["model"], value: MigrateTree.literal(deployment.value), from, comment: "the deployment" })
  } else if (model !== undefined && named !== undefined && named !== "") {
    const changed = modelText === named ? undefined : "without the account"
    settings.push({ at: ["model"], value: MigrateTree.literal(named), from: [model], approximated: changed })
  } else {
    const value = tree.variable(`${prefix}_MODEL`)
    settings.push({
      at: ["model"],
      value,
      from: [],
      comment: "Portkey takes it from the request; here it is the instance's"
    })
  }
  if (weighted && leaf.share > 0) settings.push({ at: ["weight"], value: leaf.share, from: leaf.weights })
  const stated = settings[0]?.value
  return instances({
    name: MigrateTree.slug(kind === "openai-compatible" ? who.name : kind),
    kind: { value: kind, from: who.from, approximated: who.approximated },
    provider,
    alias: typeof stated === "string" && !stated.startsWith("${") ? stated : "default",
    model: settings,
    header
  })
}

/** Milliseconds as seconds; what is no number stays, and is refused where it is written. */
const seconds = (value: unknown): number => (typeof value === "number" ? value / 1000 : Number.NaN)

const integer = (value: unknown): number => (typeof value === "number" ? value : Number.NaN)

const tierSettings = (tier: Targets.Tier, key: string): ReadonlyArray<MigrateTree.Setting> => {
  const settings: Array<MigrateTree.Setting> = []
  const one = (
    name: string,
    find: (leaf: Targets.Leaf) => Source.Stated | undefined,
    of: (value: unknown) => unknown,
    note?: string
  ) => {
    const stated = [
      ...new Map(tier.flatMap((leaf) => find(leaf) ?? []).map((at) => [JSON.stringify(at.path), at])).values()
    ]
    const first = stated[0]
    if (first === undefined) return
    const differ = new Set(stated.map(({ value }) => JSON.stringify(value))).size > 1
    const others = tier.some((leaf) => find(leaf) === undefined)
    const spread = others ? "an echelon has one value: it holds for its other targets, too" : undefined
    const parts = [note, differ ? "an echelon has one value: the first" : spread].filter((part) => part !== undefined)
    const value = MigrateTree.valueOf(of(first.value))
    settings.push({ at: [key, name], value, from: stated, approximated: parts.join("; ") || undefined })
  }
  one("timeout", (leaf) => inherited(leaf, "request_timeout"), seconds)
  one(
    "max_retries",
    (leaf) => field(inherited(leaf, "retry"), "attempts"),
    integer,
    "other targets of the echelon count as retries, too"
  )
  if (!settings.some(({ at }) => at[1] === "max_retries")) {
    const comment = "Portkey retries only when it is told to; more lets a request try the echelon's other instances"
    settings.push({ at: [key, "max_retries"], value: 0, from: [], comment })
  }
  for (const name of echelonKeys) {
    const find = (leaf: Targets.Leaf) =>
      leaf.around.flatMap((at) => {
        const params = field(at, "override_params")
        return field(params, name) ?? (name === "max_tokens" ? field(params, "max_completion_tokens") : undefined) ?? []
      })[0]
    one(name, find, (value) => value, "what the request states wins here")
  }
  return settings
}

const breakerSettings = (leaf: Targets.Leaf | undefined): ReadonlyArray<MigrateTree.Setting> => {
  const breaker = leaf?.around.flatMap(
    (at) => field(field(at, "strategy"), "cb_config") ?? field(at, "cb_config") ?? []
  )[0]
  const one = (theirs: string, ours: string, of: (value: unknown) => number, approximated?: string) => {
    const stated = field(breaker, theirs)
    const at = ["fallback_config", "circuit_breaker", ours]
    return stated === undefined ? [] : [{ at, value: of(stated.value), from: [stated], approximated }]
  }
  return [
    ...one("failure_threshold", "failure_threshold", integer, "consecutive failures"),
    ...one("failure_threshold_percentage", "failure_rate", (value) => Number((integer(value) / 100).toPrecision(12))),
    ...one("minimum_requests", "minimum_requests", integer),
    ...one("cooldown_interval", "recovery_time", seconds, "then one request tests the instance")
  ]
}

const cacheSettings = (leaf: Targets.Leaf | undefined): ReadonlyArray<MigrateTree.Setting> => {
  const cache = leaf?.around.flatMap((at) => field(at, "cache") ?? [])[0]
  const mode = Source.isTable(cache?.value) ? field(cache, "mode") : cache
  const age = field(cache, "max_age")
  if (mode === undefined || (mode.value !== "simple" && mode.value !== "semantic")) return []
  const approximated = mode.value === "simple" ? undefined : "exact matches only"
  return [
    { at: ["cache", "enabled"], value: true, from: [mode], approximated },
    ...(age === undefined
      ? []
      : [{ at: ["cache", "ttl"], value: integer(age.value), from: [age], approximated: "read as seconds" }])
  ]
}

/** Writes a route; gives the pool's name, or nothing when no target of it can be asked. */
const writeRoute = (
  tree: MigrateTree.MigrateTree,
  instances: MigrateInstances.Instances,
  route: Targets.Route,
  name: string,
  header: ReadonlyArray<string>
): string | undefined => {
  const tiers = route.tiers.flatMap((tier) => {
    const weighted = tier.some((leaf) => leaf.weights.length > 0)
    const members = tier.flatMap((leaf) => {
      const instance = instanceOf(tree, instances, leaf, weighted, header)
      return instance === undefined ? [] : [{ leaf, instance }]
    })
    const working = members.some(({ leaf }) => leaf.share > 0) ? members.filter(({ leaf }) => leaf.share > 0) : members
    for (const { leaf } of members.filter((member) => !working.includes(member))) {
      const note = "a target without weight gets no request, so its instance stands in no echelon"
      for (const weight of leaf.weights) tree.ledger.mark(weight, { outcome: "approximated", note })
    }
    return working.length === 0 ? [] : [{ weighted, members: working }]
  })
  if (tiers.length === 0) return undefined
  const stated = field(route.at, "name")
  const from = stated === undefined ? [] : [stated]
  const file = tree.begin("groups", `${name}_group`, header)
  tree.set(file, { at: ["name"], value: MigrateTree.literal(file.name), from })
  tiers.forEach(({ members }, i) => {
    const key = `echelon${i + 1}`
    const value = [...new Set(members.map(({ instance }) => MigrateTree.literal(instance)))]
    const comment = members.map(({ leaf }) => Origin.formatPath(leaf.at.path) || "the config").join(", ")
    tree.set(file, { at: [key, "models"], value, from: [], comment })
    for (const { leaf } of members) {
      const name = field(leaf.at, "name")
      if (name !== undefined)
        tree.ledger.rest(name, { outcome: "lost", note: "an instance is called by its provider and model" })
    }
    for (const setting of tierSettings(
      members.map(({ leaf }) => leaf),
      key
    ))
      tree.set(file, setting)
  })
  const first = tiers[0]?.members[0]?.leaf
  const header1 = tiers
    .flatMap(({ members }) => members.map(({ leaf }) => leaf))
    .flatMap((leaf) => {
      const at = field(inherited(leaf, "retry"), "use_retry_after_header")
      return at === undefined ? [] : [at]
    })[0]
  if (header1?.value === true) {
    const at = ["fallback_config", "max_retry_after_wait"]
    tree.set(file, { at, value: 60, from: [header1], approximated: "waits of up to 60 s are kept" })
  } else if (header1 !== undefined) {
    tree.ledger.mark(header1, { outcome: "approximated", note: "a wait that a provider asks for is always kept" })
  }
  for (const setting of breakerSettings(first)) tree.set(file, setting)

  const pool = tree.begin("polling_pools", name, header)
  const approximated = MigrateTree.renamedNote(name, pool.name)
  tree.set(pool, { at: ["name"], value: MigrateTree.literal(pool.name), from, approximated })
  tree.set(pool, { at: ["task_groups"], value: [MigrateTree.literal(file.name)], from: [] })
  const balanced = tiers.some(({ members, weighted }) => weighted && members.length > 1)
  const rotation = balanced ? "weighted" : tiers.some(({ members }) => members.length > 1) ? "random" : "priority"
  tree.set(pool, { at: ["rotation_strategy"], value: rotation, from: [] })
  for (const setting of cacheSettings(first)) tree.set(pool, setting)
  return pool.name
}

/**
 * Writes a Portkey config into a tree. Its name is its own, or that of its file.
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
    `Migrated from ${source.file} (Portkey). Keys that are absent have the defaults of docs/configuration.md.`
  ]
  const root: Source.Stated = { source, path: [], value: source.value }
  const config = Source.get(source, ["config"])
  const at = Source.isTable(config?.value) && field(root, "targets") === undefined ? config : root
  const fileName = MigrateTree.slug((source.file.split(/[\\/]/).at(-1) ?? "").replace(/\.[^.]*$/, ""))
  const pools = Targets.routes(at, tree.ledger).flatMap((route) => {
    const pool = writeRoute(tree, instances, route, route.name ?? fileName, header)
    return pool === undefined ? [] : [{ pool, isDefault: route.isDefault }]
  })
  const chosen = (pools.find(({ isDefault }) => isDefault) ?? pools[0])?.pool
  if (chosen !== undefined) {
    const global = tree.begin("global", "", header)
    const comment = "for requests that name no pool"
    const setting = { at: ["routing", "default_pool"], value: MigrateTree.literal(chosen), from: [], comment }
    if (!global.entries.has("routing")) tree.set(global, setting)
  }
  for (const path of Source.keys(source.value)) {
    const names = path
      .filter((segment) => typeof segment === "string")
      .map((name) => name.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`))
    const own = [...names].reverse().find((name) => Object.hasOwn(reasons, name))
    const reason = own === undefined ? undefined : reasons[own]
    if (reason !== undefined) tree.ledger.rest({ source, path }, { outcome: "lost", note: reason[0], todo: reason[1] })
    else if (names.every((name) => known.includes(name))) {
      const note =
        "nothing here follows from it: no target was carried over that it concerns, or it has no value that counts"
      tree.ledger.rest({ source, path }, { outcome: "lost", note })
    }
  }
}
