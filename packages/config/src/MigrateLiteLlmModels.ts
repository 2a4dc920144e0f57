/**
 * The `model_list` of LiteLLM: each deployment becomes an instance.
 *
 * @since 0.1.0
 */
import * as MigrateClouds from "./MigrateClouds.ts"
import * as MigrateInstances from "./MigrateInstances.ts"
import * as MigrateProviders from "./MigrateProviders.ts"
import * as Source from "./MigrateSource.ts"
import * as MigrateTree from "./MigrateTree.ts"

/**
 * A deployment that has become an instance. `settings` are what its echelon takes from it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Deployment {
  readonly group: Source.Stated
  readonly name: string
  readonly order: number
  readonly instance: string
  /** A weight of nothing: it gets no request. */
  readonly idle: boolean
  readonly weighted: boolean
  readonly settings: ReadonlyMap<string, Source.Stated>
}

const environment = /^os\.environ\/(.+)$/

/**
 * The variable that a text stands for, as LiteLLM writes it.
 *
 * @since 0.1.0
 * @category getters
 */
export const reference = (value: unknown): string | undefined =>
  typeof value === "string" ? environment.exec(value.trim())?.[1] : undefined

const valid = /^[A-Za-z_][A-Za-z0-9_]*$/

/** A text with a variable in our form. */
const text = (tree: MigrateTree.MigrateTree, value: string): string => {
  const name = reference(value)
  return name === undefined
    ? MigrateTree.literal(value)
    : tree.variable(valid.test(name) ? name : MigrateTree.variableName(name))
}

/**
 * A number, also when it is written as a text; what is neither stays as it is, and is refused where it is written.
 *
 * @since 0.1.0
 * @category getters
 */
export const number = (tree: MigrateTree.MigrateTree, value: unknown): string | number => {
  if (typeof value === "number") return value
  if (typeof value !== "string") return Number.NaN
  if (reference(value) !== undefined) return text(tree, value)
  return value.trim() === "" ? Number.NaN : Number(value)
}

/** Where the parameters of a deployment are looked for, strongest first. */
type Layers = ReadonlyArray<Source.Stated | undefined>

const find = (layers: Layers, key: string): Source.Stated | undefined =>
  layers.flatMap((layer) => {
    const found = layer === undefined ? undefined : Source.get(layer.source, [...layer.path, key])
    return found === undefined || found.value === null ? [] : [found]
  })[0]

/** LiteLLM knows the provider of a model without a prefix from its own list. */
const wellKnown: ReadonlyArray<readonly [RegExp, string]> = [
  [/^(gpt-|chatgpt-|o[134](-|$)|text-embedding-)/, "openai"],
  [/^claude-/, "anthropic"]
]

interface Named {
  readonly provider: string
  readonly model: string
}

const nameOf = (model: string, stated: string | undefined, hasAddress: boolean): Named | undefined => {
  const [prefix = "", ...rest] = model.split("/")
  // A route of a provider, such as azure/responses, is one of its own.
  const route = `${prefix}/${rest[0]}`
  if (rest.length > 1 && MigrateProviders.find(MigrateProviders.liteLlm, route) !== undefined) {
    return { provider: route, model: rest.slice(1).join("/") }
  }
  const own = rest.length > 0 ? { provider: prefix, model: rest.join("/") } : undefined
  if (stated !== undefined) return { provider: stated, model: own?.provider === stated ? own.model : model }
  if (own !== undefined) return own
  const provider = wellKnown.find(([pattern]) => pattern.test(model))?.[1] ?? (hasAddress ? "custom_openai" : undefined)
  return provider === undefined ? undefined : { provider, model }
}

const isOpenAi = (address: string): boolean => /^https?:\/\/api\.openai\.com(\/|$)/.test(address)

/** The kind of a provider: one of OpenAI's with another address is a server that speaks as OpenAI does. */
const knownOf = (provider: string, address: string | undefined): MigrateProviders.Known | undefined => {
  const known = MigrateProviders.find(MigrateProviders.liteLlm, provider)
  if (known?.kind !== "openai" || address === undefined || isOpenAi(address)) {
    return known === undefined ? undefined : MigrateProviders.at(known, address)
  }
  return { ...known, kind: "openai-compatible" }
}

/** What accounts at Bedrock and Vertex AI are called, and what is read for them. */
const clouds: MigrateClouds.Names = {
  apiKey: ["api_key"],
  accessKeyId: "aws_access_key_id",
  secretAccessKey: "aws_secret_access_key",
  sessionToken: "aws_session_token",
  awsRegion: "aws_region_name",
  awsRegionVariable: "AWS_REGION_NAME",
  endpoints: ["aws_bedrock_runtime_endpoint", "api_base", "base_url"],
  project: "vertex_project",
  projectVariable: "VERTEXAI_PROJECT",
  location: "vertex_location",
  locationVariable: "VERTEXAI_LOCATION",
  credentials: "vertex_credentials",
  hasVertexKey: true
}

const cloudVariables: Readonly<Record<string, ReadonlyArray<string>>> = {
  bedrock: ["AWS_REGION_NAME", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"],
  vertex: ["VERTEXAI_PROJECT", "VERTEXAI_LOCATION", "GOOGLE_APPLICATION_CREDENTIALS"]
}

const limits: ReadonlyArray<readonly [string, string]> = [
  ["rpm", "rpm_limit"],
  ["tpm", "tpm_limit"],
  ["max_parallel_requests", "concurrency_limit"]
]

const prices: ReadonlyArray<readonly [string, string]> = [
  ["input_cost_per_token", "input_price"],
  ["output_cost_per_token", "output_price"],
  ["cache_read_input_token_cost", "cached_input_price"]
]

/** Of our echelons, by LiteLLM's name; the first that is stated counts. */
const echelonKeys: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
  ["timeout", ["timeout", "request_timeout"]],
  ["ttft_timeout", ["stream_timeout"]],
  ["max_retries", ["num_retries", "max_retries"]],
  ["temperature", ["temperature"]],
  ["max_tokens", ["max_tokens", "max_completion_tokens"]],
  ["top_p", ["top_p"]],
  ["stop", ["stop"]],
  ["seed", ["seed"]]
]

/** USD per million tokens, without the noise of multiplying. */
const perMillion = (value: string | number): string | number =>
  typeof value === "number" ? Number((value * 1_000_000).toPrecision(12)) : value

const modelSettings = (
  tree: MigrateTree.MigrateTree,
  all: { readonly params: Layers; readonly entry: Layers; readonly info: Layers },
  limited: boolean
): ReadonlyArray<MigrateTree.Setting> => {
  const settings: Array<MigrateTree.Setting> = []
  const weight = find(all.params, "weight")
  if (weight !== undefined && weight.value !== 0) {
    settings.push({ at: ["weight"], value: number(tree, weight.value), from: [weight] })
  }
  for (const [key, ours] of limits) {
    const stated = find([...all.params, ...all.entry], key)
    if (stated === undefined) continue
    const soft = !limited && key !== "max_parallel_requests"
    const approximated = soft ? "a limit here; there a weight, unless routing by usage" : undefined
    settings.push({ at: [ours], value: number(tree, stated.value), from: [stated], approximated })
  }
  const window = find(all.info, "max_input_tokens")
  if (window !== undefined) {
    const approximated = "the window holds input and output here"
    settings.push({ at: ["context_window"], value: number(tree, window.value), from: [window], approximated })
  }
  const output = find(all.info, "max_output_tokens") ?? find(all.info, "max_tokens")
  if (output !== undefined) {
    settings.push({ at: ["max_output_tokens"], value: number(tree, output.value), from: [output] })
  }
  const stated = prices.flatMap(([key, ours]) => {
    const found = find([...all.params, ...all.info], key)
    return found === undefined ? [] : [{ at: [ours], value: perMillion(number(tree, found.value)), from: [found] }]
  })
  const names = stated.map(({ at }) => at[0])
  const whole = names.includes("input_price") && names.includes("output_price")
  const fit = stated.every(
    ({ at, value }) => MigrateTree.refusal("provider", ["models", "m", ...at], value) === undefined
  )
  if (whole && fit) settings.push(...stated)
  for (const { from } of whole && fit ? [] : stated) {
    for (const one of from) {
      const note = "a cost needs an input and an output price, both numbers of 0 or above"
      tree.ledger.mark(one, { outcome: "lost", note, todo: "write input_price and output_price of the model" })
    }
  }
  return settings
}

const isText = (value: unknown): value is string => typeof value === "string" && value.trim() !== ""

const cloudKeys: Readonly<Record<string, string>> = {
  AWS_ACCESS_KEY_ID: "aws_access_key_id",
  AWS_SECRET_ACCESS_KEY: "aws_secret_access_key"
}

/**
 * The variables that LiteLLM reads for an entry that states no key.
 *
 * @since 0.1.0
 * @category getters
 */
export const usualVariables = (entry: Source.Stated): ReadonlyArray<string> => {
  const params: Layers = [Source.get(entry.source, [...entry.path, "litellm_params"])]
  const model = find(params, "model")?.value
  if (typeof model !== "string") return []
  const named = nameOf(model, undefined, false)
  const known = named === undefined ? undefined : MigrateProviders.find(MigrateProviders.liteLlm, named.provider)
  const isCloud = known !== undefined && Object.hasOwn(cloudVariables, known.kind)
  if (isCloud)
    return (cloudVariables[known.kind] ?? []).filter((name) => find(params, cloudKeys[name] ?? "") === undefined)
  return known?.variable === undefined || find(params, "api_key") !== undefined ? [] : [known.variable]
}

/** Headers may hold secrets, so each becomes a variable. */
const headersOf = (
  tree: MigrateTree.MigrateTree,
  stated: Source.Stated | undefined,
  provider: string
): ReadonlyArray<MigrateTree.Setting> =>
  Source.below(stated).flatMap((header) => {
    if (typeof header.key !== "string" || (typeof header.value !== "string" && typeof header.value !== "number"))
      return []
    const name = reference(header.value)
    const value =
      name === undefined
        ? tree.secret(header.value, MigrateTree.variableName(`${provider}_${header.key}`))
        : text(tree, String(header.value))
    const approximated = name === undefined ? "the value was not copied" : undefined
    return [{ at: ["headers", header.key], value, from: [header], approximated }]
  })

/**
 * Turns one entry of `model_list` into an instance; `undefined`, with the reason in the ledger, when nothing here
 * can ask it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const deployment = (
  tree: MigrateTree.MigrateTree,
  instances: MigrateInstances.Instances,
  entry: Source.Stated,
  context: { readonly limited: boolean; readonly header: ReadonlyArray<string> }
): Deployment | undefined => {
  const { source } = entry
  const at = (...path: ReadonlyArray<string>) => Source.get(source, [...entry.path, ...path])
  const lose = (note: string, todo: string): undefined => {
    tree.ledger.mark(entry, { outcome: "lost", note, todo })
    return undefined
  }
  const group = at("model_name")
  const own = at("litellm_params")
  if (group === undefined || !isText(group.value) || !Source.isTable(own?.value)) {
    return lose("a deployment needs model_name and litellm_params", "write the model by hand")
  }
  const credential = find([own], "litellm_credential_name")
  const listed = Source.below(Source.get(source, ["credential_list"])).find(
    (one) => Source.isTable(one.value) && isText(credential?.value) && one.value["credential_name"] === credential.value
  )
  const credentials = listed === undefined ? undefined : Source.get(source, [...listed.path, "credential_values"])
  const params: Layers = [own, credentials, Source.get(source, ["router_settings", "default_litellm_params"])]
  const model = find(params, "model")
  if (!isText(model?.value)) return lose("litellm_params.model is missing", "write the model by hand")
  if (model.value.includes("*") || group.value.includes("*")) {
    return lose("instances are named one by one here, never by a pattern", "add an entry for each model")
  }
  const address = find(params, "api_base") ?? find(params, "base_url")
  const addressText = isText(address?.value) ? text(tree, address.value) : undefined
  const customProvider = find(params, "custom_llm_provider")
  const custom = isText(customProvider?.value) ? customProvider.value : undefined
  const named = nameOf(model.value, custom, addressText !== undefined)
  const known = named === undefined ? undefined : knownOf(named.provider, addressText)
  const instead =
    'put an endpoint that speaks as OpenAI does before it, and write a provider of kind "openai-compatible"'
  if (named === undefined || known === undefined || named.model === "") {
    const shown = named === undefined ? "a model without a provider's prefix" : JSON.stringify(named.provider)
    return lose(`no kind of provider here speaks for ${shown}`, instead)
  }
  const isCloud = Object.hasOwn(cloudVariables, known.kind)
  const atBedrock = known.kind === "bedrock" ? MigrateClouds.bedrockModel(named.model) : undefined
  if (known.kind === "bedrock" && atBedrock === undefined)
    return lose("a route of LiteLLM's that has no counterpart", instead)
  const wire = atBedrock?.model ?? named.model
  const refused = MigrateClouds.refusal(known.kind, wire)
  if (refused !== undefined) return lose(refused, instead)

  const provider: Array<MigrateTree.Setting> = []
  if (isCloud) {
    const account: MigrateClouds.Account = {
      tree,
      names: clouds,
      find: (key) => find(params, key),
      text: (value) => text(tree, value),
      isVariable: (value) => reference(value) !== undefined,
      variable: (name) => tree.variable(name),
      comment: "LiteLLM reads it by itself"
    }
    provider.push(
      ...(known.kind === "bedrock"
        ? MigrateClouds.bedrock(account, model, atBedrock?.region)
        : MigrateClouds.vertex(account))
    )
  } else if (address !== undefined && addressText !== undefined) {
    provider.push(...MigrateInstances.address(tree, address, addressText, known.suffix))
  } else if (known.baseUrl !== undefined) {
    provider.push({ at: ["base_url"], value: known.baseUrl, from: [], comment: `where ${named.provider} answers` })
  }
  const key = find(params, "api_key")
  if (!isCloud && isText(key?.value)) {
    const name = reference(key.value)
    const wanted = known.variable ?? `${MigrateTree.variableName(named.provider)}_API_KEY`
    const value = name === undefined ? tree.secret(key.value, wanted) : text(tree, key.value)
    const approximated = name === undefined ? "the secret was not copied" : undefined
    provider.push({ at: ["api_key"], value, from: [key], approximated })
  } else if (known.variable !== undefined) {
    provider.push({
      at: ["api_key"],
      value: tree.variable(known.variable),
      from: [],
      comment: "LiteLLM reads it by itself"
    })
  }
  for (const name of ["api_version", "organization"]) {
    const stated = find(params, name)
    if (isText(stated?.value)) provider.push({ at: [name], value: text(tree, stated.value), from: [stated] })
  }
  for (const name of ["extra_headers", "headers"]) provider.push(...headersOf(tree, find(params, name), named.provider))

  const weight = find(params, "weight")
  const instance = instances({
    name: MigrateTree.slug(known.kind === "openai-compatible" ? named.provider : known.kind),
    kind: { value: known.kind, from: customProvider === undefined ? [] : [customProvider] },
    provider,
    alias: wire,
    header: context.header,
    model: [
      {
        at: ["model"],
        value: text(tree, wire),
        from: [model],
        approximated: atBedrock?.isConverse === false ? "asked by Converse" : undefined
      },
      ...modelSettings(tree, { params, entry: [entry], info: [at("model_info")] }, context.limited)
    ]
  })
  if (weight?.value === 0) {
    const note = "an instance without weight gets no request, so it stands in no echelon"
    tree.ledger.mark(weight, { outcome: "approximated", note })
  }
  if (credential !== undefined && listed !== undefined) {
    tree.ledger.mark(credential, { outcome: "carried", note: "its values are the provider's own" })
    tree.ledger.mark(
      { source, path: [...listed.path, "credential_name"] },
      { outcome: "carried", note: "its values are the provider's own" }
    )
  }
  const order = find(params, "order")
  const settings = new Map<string, Source.Stated>()
  for (const [ours, theirs] of echelonKeys) {
    const [first, ...others] = theirs.flatMap((name) => find(params, name) ?? [])
    if (first !== undefined) settings.set(ours, first)
    for (const other of others) {
      tree.ledger.mark(other, { outcome: "lost", note: `${String(first?.path.at(-1))} says the same, and was taken` })
    }
  }
  if (order !== undefined) settings.set("order", order)
  return {
    group,
    name: group.value,
    order: typeof order?.value === "number" && Number.isFinite(order.value) ? order.value : Number.POSITIVE_INFINITY,
    instance,
    idle: weight?.value === 0,
    weighted: weight !== undefined,
    settings
  }
}
