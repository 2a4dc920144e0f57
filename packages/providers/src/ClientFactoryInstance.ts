/**
 * The instance of a plan that a direct client asks: what the provider's file says, or the environment.
 *
 * @since 0.1.0
 */
import * as Capability from "@echelon/core/Capability"
import * as LlmError from "@echelon/core/LlmError"
import * as Nearest from "@echelon/core/Nearest"
import type * as Plan from "@echelon/core/Plan"
import * as Plans from "@echelon/core/Plans"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as CatalogueLive from "./CatalogueLive.ts"
import * as Instance from "./Instance.ts"
import * as Proof from "./Proof.ts"
import * as ProviderTable from "./ProviderTable.ts"

const unknown = (
  kind: "provider" | "model",
  name: string,
  known: ReadonlyArray<string>,
  detail: string
): LlmError.LlmError => LlmError.make({ reason: { _tag: "UnknownTarget", kind, name, known }, detail })

/**
 * Finds the instance of a provider and a model.
 *
 * **Errors** `UnknownTarget` with the nearest known names; `Authentication` with the variable to set.
 *
 * @since 0.1.0
 * @category getters
 */
export const find = (
  root: Plan.Root,
  name: string,
  model: string | undefined
): Effect.Effect<Plan.Instance, LlmError.LlmError> => {
  const provider = Object.hasOwn(root.providers, name) ? root.providers[name] : undefined
  return provider === undefined ? fromEnvironment(root, name, model) : fromFile(root, provider, model)
}

const unknownModel = (provider: Plan.Provider, wanted: string, aliases: ReadonlyArray<string>): LlmError.LlmError => {
  const known = [...new Set([...aliases, ...Object.values(provider.models).map(({ model }) => model)])]
  const hint = Nearest.hint(wanted, known)
  const detail = `the provider "${provider.name}" has no model "${wanted}"; ${hint}, or add it to the provider's file`
  return unknown("model", wanted, known, detail)
}

const fromFile = (
  root: Plan.Root,
  provider: Plan.Provider,
  model: string | undefined
): Effect.Effect<Plan.Instance, LlmError.LlmError> => {
  const aliases = Object.keys(provider.models)
  const wanted = model ?? provider.defaultModel ?? aliases[0]
  if (wanted === undefined)
    return Effect.fail(unknown("model", "", [], `the provider "${provider.name}" names no model; ask for one`))
  const alias = Object.hasOwn(provider.models, wanted)
    ? wanted
    : aliases.find((candidate) => provider.models[candidate]?.model === wanted)
  // A file that names models names all of them: a slip of the pen is told here, not by the provider.
  if (alias === undefined && aliases.length > 0) return Effect.fail(unknownModel(provider, wanted, aliases))
  const planned = Object.values(root.instances).find(
    (instance) => instance.provider.name === provider.name && instance.alias === alias
  )
  if (planned !== undefined && planned.provider === provider) return Effect.succeed(planned)
  const bare = `${provider.name}-${alias ?? wanted}`
  const row = ProviderTable.find(provider.kind)
  const none: Plan.Credential = { name: "", key: undefined, weight: 1 }
  const lackOf = (one: Plan.Credential) => (row === undefined ? undefined : Proof.lacks(row, provider, one))
  const isSet = (one: Plan.Credential) => (one.key ?? one.secrets) !== undefined && lackOf(one) === undefined
  const credential = provider.credentials.find(isSet) ?? provider.credentials[0] ?? none
  const lacking = lackOf(credential)
  if (row !== undefined && lacking !== undefined) {
    const variable = Object.entries(root.disabled).find(
      ([id]) => id === bare || id.startsWith(`${provider.name}-`)
    )?.[1]
    return Effect.fail(
      lacking === "api_key" || variable !== undefined
        ? Instance.missingKey(bare, variable ?? row.keyVariable)
        : Instance.missingSecret(bare, lacking)
    )
  }
  const described = alias === undefined ? undefined : provider.models[alias]
  return Effect.succeed(
    Plans.instance({
      name: bare,
      provider,
      credential,
      alias: alias ?? wanted,
      model: described ?? modelOf(provider.kind, wanted)
    })
  )
}

const modelOf = (kind: string, model: string): Plan.Model => {
  const { capabilities, prices } = CatalogueLive.model(kind, model)
  return Plans.model({ model, capabilities: capabilities ?? Capability.unknown, prices })
}

const fromEnvironment = (
  root: Plan.Root,
  name: string,
  model: string | undefined
): Effect.Effect<Plan.Instance, LlmError.LlmError> =>
  Effect.gen(function* () {
    const row = ProviderTable.find(name)
    if (row !== undefined && row.baseUrl === undefined) {
      const detail = `the kind "${name}" needs a file: ${row.address === undefined ? "it has no address of its own" : "its address is made of a region"}`
      return yield* Effect.fail(unknown("provider", name, Object.keys(root.providers), detail))
    }
    if (row === undefined) {
      const known = [...new Set([...Object.keys(root.providers), ...ProviderTable.kinds])]
      const detail = `no provider is called "${name}"; ${Nearest.hint(name, known)}`
      return yield* Effect.fail(unknown("provider", name, known, detail))
    }
    const key = row.keyVariable === undefined ? undefined : yield* keyOf(row.keyVariable)
    if (row.needsKey && key === undefined) return yield* Effect.fail(Instance.missingKey(name, row.keyVariable))
    if (model === undefined) {
      const detail = `no file describes the provider "${name}", so there is no default model; ask for one`
      return yield* Effect.fail(unknown("model", "", [], detail))
    }
    const provider = Plans.provider({ name, kind: name, key })
    return Plans.instance({ provider, alias: model, model: modelOf(name, model) })
  })

/** A variable that cannot be read is the same as one that is not set. */
const keyOf = (variable: string): Effect.Effect<Redacted.Redacted | undefined> =>
  Effect.catch(
    Effect.map(
      Effect.suspend(() => Config.option(Config.Redacted(variable))),
      Option.getOrUndefined
    ),
    () => Effect.succeed(undefined)
  )

/**
 * The kinds whose key is in the environment, in the order of the provider table.
 *
 * @since 0.1.0
 * @category getters
 */
export const keyed: Effect.Effect<ReadonlyArray<string>> = Effect.suspend(() =>
  Effect.map(
    Effect.forEach(ProviderTable.kinds, (kind) => {
      const row = ProviderTable.find(kind)
      return row?.needsKey !== true || row.keyVariable === undefined
        ? Effect.succeed([])
        : Effect.map(keyOf(row.keyVariable), (key) => (key === undefined ? [] : [kind]))
    }),
    (found) => found.flat()
  )
)
