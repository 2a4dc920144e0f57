/**
 * From decoded provider files to providers and instances.
 *
 * An instance is a model with a credential: provider name, `-`, alias, and `@` with the credential's name where
 * the file states `[[credentials]]`. These names are looked up and never split.
 *
 * @since 0.1.0
 */
import type * as Catalogue from "@echelon/core/Catalogue"
import * as Nearest from "@echelon/core/Nearest"
import type * as Plan from "@echelon/core/Plan"
import type * as Usage from "@echelon/core/Usage"
import * as Redacted from "effect/Redacted"
import * as Credentials from "./Credentials.ts"
import * as Decode from "./Decode.ts"
import * as Names from "./Names.ts"
import * as Problem from "./Problem.ts"
import type * as ProviderFile from "./ProviderFile.ts"
import type * as Resolve from "./Resolve.ts"
import * as Tree from "./Tree.ts"

/**
 * A decoded file with its place in the tree.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entity<A> {
  readonly name: string
  readonly path: ReadonlyArray<string>
  readonly file: A
}

/**
 * Providers and instances by name.
 *
 * @since 0.1.0
 * @category models
 */
export interface Instances {
  readonly providers: ReadonlyMap<string, Plan.Provider>
  readonly live: ReadonlyMap<string, Plan.Instance>
  /** The variable to set, by instance name. */
  readonly disabled: ReadonlyMap<string, string>
  /** All instance names that a stated name means. */
  readonly meaning: ReadonlyMap<string, ReadonlyArray<string>>
  readonly problems: ReadonlyArray<Problem.Problem>
}

/** A name to be put into another one. */
const bareName = (quoted: string): string => quoted.replace(/^"|"$/g, "")

type StatedModel = ProviderFile.ProviderFile["models"][string]

const pricesOf = (
  model: StatedModel,
  known: Usage.Prices | undefined,
  incomplete: (missing: string, beside: string) => void
): Usage.Prices | undefined => {
  const input = model.input_price ?? known?.input
  const output = model.output_price ?? known?.output
  const cachedInput = model.cached_input_price ?? known?.cachedInput
  const cacheWrite = model.cache_write_price ?? known?.cacheWrite
  const batchDiscount = model.batch_discount ?? known?.batchDiscount
  if (input !== undefined && output !== undefined) {
    return {
      input,
      output,
      ...(cachedInput === undefined ? {} : { cachedInput }),
      ...(cacheWrite === undefined ? {} : { cacheWrite }),
      ...(batchDiscount === undefined ? {} : { batchDiscount })
    }
  }
  if (input !== undefined) incomplete("output_price", "input_price")
  else if (output !== undefined) incomplete("input_price", "output_price")
  else if (cachedInput !== undefined) incomplete("input_price", "cached_input_price")
  else if (cacheWrite !== undefined) incomplete("input_price", "cache_write_price")
  else if (batchDiscount !== undefined) incomplete("input_price", "batch_discount")
  return undefined
}

/** What is stated wins over what the catalogue knows. */
const modelOf = (
  alias: string,
  model: StatedModel,
  kind: string,
  catalogue: Catalogue.Catalogue,
  incomplete: (missing: string, beside: string) => void
): Plan.Model => {
  const name = model.model ?? alias
  const facts = catalogue.model(kind, name)
  return {
    model: name,
    capabilities: {
      features: model.capabilities ?? facts.capabilities?.features,
      contextWindow: model.context_window ?? facts.capabilities?.contextWindow,
      maxOutputTokens: model.max_output_tokens ?? facts.capabilities?.maxOutputTokens
    },
    prices: pricesOf(model, facts.prices, incomplete),
    weight: model.weight,
    limits: {
      concurrency: model.concurrency_limit,
      rpm: model.rpm_limit,
      tpm: model.tpm_limit,
      rpd: model.rpd_limit
    }
  }
}

/**
 * Builds providers and instances.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  entities: ReadonlyArray<Entity<ProviderFile.ProviderFile>>,
  catalogue: Catalogue.Catalogue,
  resolved: Resolve.Resolved
): Instances => {
  const problems: Array<Problem.Problem> = []
  const report = (problem: Problem.Problem): void => void problems.push(problem)
  const { tree } = resolved
  const providers = new Map<string, Plan.Provider>()
  const live = new Map<string, Plan.Instance>()
  const disabled = new Map<string, string>()
  const meaning = new Map<string, ReadonlyArray<string>>()

  for (const entity of entities) {
    const { file, name, path } = entity
    const kinds = catalogue.kinds
    const kind = kinds !== undefined && Object.hasOwn(kinds, file.kind) ? kinds[file.kind] : undefined
    const shownKind = Decode.quoted(tree, [...path, "kind"], file.kind)
    const shownName = bareName(Decode.quoted(tree, [...path, "name"], name))
    if (kinds !== undefined && kind === undefined) {
      const message = `unknown kind ${shownKind}; ${Nearest.hint(file.kind, Object.keys(kinds))}`
      report(Problem.error("kind", Tree.originOf(tree, [...path, "kind"]), [...path, "kind"], message))
    }
    if (kind?.needsBaseUrl === true && file.base_url === undefined) {
      const message = `missing; the kind ${shownKind} has no address of its own`
      report(Problem.error("missing_key", Tree.originOf(tree, path), [...path, "base_url"], message))
    }
    const aliases = Object.keys(file.models)
    if (file.default_model !== undefined && !aliases.includes(file.default_model)) {
      const at = [...path, "default_model"]
      const shown = Decode.quoted(tree, at, file.default_model)
      const message = `unknown model ${shown}; ${Nearest.hint(file.default_model, aliases)}`
      report(Problem.error("reference", Tree.originOf(tree, at), at, message))
    }
    const slots = Credentials.slotsOf(entity, kind, resolved, report)
    const models = Names.record(
      Object.entries(file.models).map(([alias, model]) => {
        const at = [...path, "models", alias]
        return [
          alias,
          modelOf(alias, model, file.kind, catalogue, (missing, beside) => {
            const message = `missing beside ${beside}; a cost needs both`
            report(Problem.error("missing_key", Tree.originOf(tree, [...at, beside]), [...at, missing], message))
          })
        ] as const
      })
    )
    const credentials = slots.flatMap(
      (slot): ReadonlyArray<Plan.Credential> =>
        slot.key._tag === "Key"
          ? [{ name: slot.name, key: slot.key.value, secrets: slot.key.secrets, weight: slot.weight }]
          : []
    )
    const provider: Plan.Provider = {
      name,
      kind: file.kind,
      baseUrl: file.base_url,
      auth: file.auth,
      authName: file.auth_name,
      credentials,
      headers: Names.record(Object.entries(file.headers)),
      query: Names.record(Object.entries(file.query)),
      organization: file.organization,
      project: file.project,
      apiVersion: file.api_version,
      deployment: file.deployment,
      region: file.region,
      defaultModel: file.default_model ?? aliases[0],
      connectTimeout: file.connect_timeout,
      maxConnections: file.max_connections,
      keepAlive: file.keep_alive,
      proxy: file.proxy === undefined || Redacted.value(file.proxy).trim() === "" ? undefined : file.proxy,
      caFile: Credentials.pathOf(tree, [...path, "ca_file"], file.ca_file),
      http2: file.http2,
      maxRequestBytes: file.max_request_bytes,
      maxHeaderBytes: file.max_header_bytes,
      maxResponseBytes: file.max_response_bytes,
      maxEventBytes: file.max_event_bytes,
      maxCooldown: file.max_cooldown,
      limitScope: file.limit_scope,
      tokenizer: file.tokenizer,
      healthCheck: file.health_check,
      traceContext: file.trace_context,
      models
    }
    providers.set(name, provider)

    for (const [alias, model] of Object.entries(models)) {
      const bare = `${name}-${alias}`
      const at = [...path, "models", alias]
      const own: Array<string> = []
      for (const slot of slots) {
        const instance = slot.name === "" ? bare : `${bare}@${slot.name}`
        if (live.has(instance) || disabled.has(instance)) {
          // The parts of the name, each as its file says it.
          const shown = slot.name === "" ? `${shownName}-${alias}` : `${shownName}-${alias}@${slot.shown}`
          const message = `another provider already has an instance named "${shown}"`
          report(Problem.error("duplicate", Tree.originOf(tree, at), at, message))
          continue
        }
        own.push(instance)
        meaning.set(instance, [instance])
        if (slot.key._tag === "Unset") disabled.set(instance, slot.key.variable)
        else {
          const credential = credentials.find((candidate) => candidate.name === slot.name)
          if (credential !== undefined) {
            live.set(instance, { _tag: "Instance", name: instance, provider, credential, alias, model })
          }
        }
      }
      if (!meaning.has(bare)) meaning.set(bare, own)
    }
  }
  return { providers, live, disabled, meaning, problems }
}
