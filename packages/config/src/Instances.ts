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
import * as Decode from "./Decode.ts"
import * as Names from "./Names.ts"
import type * as Origin from "./Origin.ts"
import * as Problem from "./Problem.ts"
import type * as ProviderFile from "./ProviderFile.ts"
import type * as Resolve from "./Resolve.ts"
import * as Template from "./Template.ts"
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

interface Slot {
  readonly name: string
  /** The name as a message shows it. */
  readonly shown: string
  readonly weight: number
  readonly key:
    | { readonly _tag: "Key"; readonly value: Redacted.Redacted | undefined }
    | { readonly _tag: "Unset"; readonly variable: string }
}

/** A name to be put into another one. */
const bareName = (quoted: string): string => quoted.replace(/^"|"$/g, "")

/** An empty text means that there is no credential. */
const given = (key: Redacted.Redacted | undefined): Slot["key"] => ({
  _tag: "Key",
  value: key !== undefined && Redacted.value(key) !== "" ? key : undefined
})

const keyAt = (tree: Tree.Table, path: Origin.Path, stated: Redacted.Redacted | undefined): Slot["key"] => {
  const node = Tree.get(tree, path)
  return node?._tag === "Unset" ? { _tag: "Unset", variable: node.variable } : given(stated)
}

/** The credentials of a provider, with the row's own variable where the file states none. */
const slotsOf = (
  entity: Entity<ProviderFile.ProviderFile>,
  kind: Catalogue.Kind | undefined,
  resolved: Resolve.Resolved,
  report: (problem: Problem.Problem) => void
): ReadonlyArray<Slot> => {
  const { file, path } = entity
  const { tree, variables } = resolved
  const keyPath = [...path, "api_key"]
  const stated = Tree.get(tree, keyPath)
  const shownKind = Decode.quoted(tree, [...path, "kind"], file.kind)
  if (file.credentials.length > 0) {
    if (stated !== undefined) {
      const message = "stated beside [[credentials]]; state one of the two"
      report(Problem.error("contradiction", stated.origin, keyPath, message))
    }
    const seen = new Set<string>()
    return file.credentials.map((credential, i) => {
      const at = [...path, "credentials", i]
      const shown = Decode.quoted(tree, [...at, "name"], credential.name)
      if (seen.has(credential.name)) {
        const message = `two credentials of this provider are named ${shown}`
        report(Problem.error("duplicate", Tree.originOf(tree, [...at, "name"]), [...at, "name"], message))
      }
      seen.add(credential.name)
      const key = keyAt(tree, [...at, "api_key"], credential.api_key)
      if (kind?.needsKey === true && key._tag === "Key" && key.value === undefined) {
        const message = `missing; the kind ${shownKind} needs a credential`
        report(Problem.error("missing_key", Tree.originOf(tree, at), [...at, "api_key"], message))
      }
      return { name: credential.name, shown: bareName(shown), weight: credential.weight, key }
    })
  }
  if (stated !== undefined) return [{ name: "", shown: "", weight: 1, key: keyAt(tree, keyPath, file.api_key) }]
  const variable = kind?.keyVariable
  const found = variable === undefined ? undefined : Template.lookup(variables, variable)
  if (found !== undefined) return [{ name: "", shown: "", weight: 1, key: given(Redacted.make(found)) }]
  if (kind?.needsKey !== true) return [{ name: "", shown: "", weight: 1, key: given(undefined) }]
  if (variable !== undefined) {
    const message = `the variable ${variable} is not set, so the instances of this credential are disabled`
    report(Problem.warning("credential", Tree.originOf(tree, path), keyPath, message))
    return [{ name: "", shown: "", weight: 1, key: { _tag: "Unset", variable } }]
  }
  const message = `missing; the kind ${shownKind} needs a credential`
  report(Problem.error("missing_key", Tree.originOf(tree, path), keyPath, message))
  return []
}

type StatedModel = ProviderFile.ProviderFile["models"][string]

const pricesOf = (
  model: StatedModel,
  known: Usage.Prices | undefined,
  incomplete: (missing: string, beside: string) => void
): Usage.Prices | undefined => {
  const input = model.input_price ?? known?.input
  const output = model.output_price ?? known?.output
  const cachedInput = model.cached_input_price ?? known?.cachedInput
  if (input !== undefined && output !== undefined) {
    return cachedInput === undefined ? { input, output } : { input, output, cachedInput }
  }
  if (input !== undefined) incomplete("output_price", "input_price")
  else if (output !== undefined) incomplete("input_price", "output_price")
  else if (cachedInput !== undefined) incomplete("input_price", "cached_input_price")
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
    const slots = slotsOf(entity, kind, resolved, report)
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
        slot.key._tag === "Key" ? [{ name: slot.name, key: slot.key.value, weight: slot.weight }] : []
    )
    const provider: Plan.Provider = {
      name,
      kind: file.kind,
      baseUrl: file.base_url,
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
      maxResponseBytes: file.max_response_bytes,
      maxEventBytes: file.max_event_bytes,
      maxCooldown: file.max_cooldown,
      limitScope: file.limit_scope,
      healthCheck: file.health_check,
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
