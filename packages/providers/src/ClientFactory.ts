/**
 * Direct clients: a provider and a model, outside of any pool.
 *
 * @since 0.1.0
 */
import * as Capability from "@echelon/core/Capability"
import { Clients } from "@echelon/core/Clients"
import type * as Llm from "@echelon/core/Llm"
import * as LlmError from "@echelon/core/LlmError"
import * as Nearest from "@echelon/core/Nearest"
import type * as Plan from "@echelon/core/Plan"
import * as Plans from "@echelon/core/Plans"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Instance from "./Instance.ts"
import * as ModelTable from "./ModelTable.ts"
import * as ProviderTable from "./ProviderTable.ts"
import * as Transport from "./Transport.ts"

/**
 * How many clients are kept. The one that was not asked for longest makes room.
 *
 * @default 256
 * @since 0.1.0
 * @category models
 */
export const capacity = 256

/**
 * Clients of every provider of a plan, and of those that the environment holds a key for.
 *
 * **Details** Built clients are kept, so that their connections are used again. A plan that was reloaded gets new
 * ones where a field of the instance changed; calls under way finish on the old.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Clients, never, Transport.Transport> = Layer.effect(
  Clients,
  Effect.gen(function* () {
    const transport = yield* Transport.Transport
    const layerScope = yield* Effect.scope
    const one = yield* Semaphore.make(1)
    const kept = new Map<string, Kept>()

    const build = (key: string, instance: Plan.Instance): Effect.Effect<Llm.Llm, LlmError.LlmError> =>
      Effect.gen(function* () {
        const found = kept.get(key)
        if (found !== undefined && Equal.equals(found.instance, instance)) return found.llm
        const scope = Scope.forkUnsafe(layerScope)
        const built = yield* Instance.make(instance).pipe(
          Effect.provideService(Transport.Transport, transport),
          Effect.provideService(Scope.Scope, scope),
          Effect.onError(() => Scope.close(scope, Exit.void))
        )
        // A call holds the pool itself, so that making room never breaks it off.
        const llm: Llm.Llm = {
          ...built.llm,
          call: (request) => Effect.andThen(transport.client(instance.provider), built.llm.call(request))
        }
        const replaced = found ?? (kept.size >= capacity ? oldest(kept) : undefined)
        kept.set(key, { instance, llm, scope })
        if (replaced !== undefined) yield* Scope.close(replaced.scope, Exit.void)
        return llm
      })

    return Clients.of({
      get: (root, provider, model) =>
        Effect.gen(function* () {
          const instance = yield* instanceOf(root, provider, model)
          const key = `${provider}\u0000${instance.model.model}`
          const found = kept.get(key)
          if (found !== undefined && Equal.equals(found.instance, instance)) {
            kept.delete(key)
            kept.set(key, found)
            return found.llm
          }
          return yield* Semaphore.withPermit(one, build(key, instance))
        })
    })
  })
)

interface Kept {
  readonly instance: Plan.Instance
  readonly llm: Llm.Llm
  readonly scope: Scope.Closeable
}

const oldest = (kept: Map<string, Kept>): Kept | undefined => {
  const [first] = kept
  if (first === undefined) return undefined
  kept.delete(first[0])
  return first[1]
}

const unknown = (
  kind: "provider" | "model",
  name: string,
  known: ReadonlyArray<string>,
  detail: string
): LlmError.LlmError => LlmError.make({ reason: { _tag: "UnknownTarget", kind, name, known }, detail })

const instanceOf = (
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
  const credential = provider.credentials.find(({ key }) => key !== undefined) ?? provider.credentials[0]
  if (row?.needsKey === true && credential?.key === undefined) {
    const variable = Object.entries(root.disabled).find(
      ([id]) => id === bare || id.startsWith(`${provider.name}-`)
    )?.[1]
    return Effect.fail(Instance.missingKey(bare, variable ?? row.keyVariable))
  }
  const described = alias === undefined ? undefined : provider.models[alias]
  return Effect.succeed(
    Plans.instance({
      name: bare,
      provider,
      credential: credential ?? { name: "", key: undefined, weight: 1 },
      alias: alias ?? wanted,
      model: described ?? modelOf(provider.kind, wanted)
    })
  )
}

const modelOf = (kind: string, model: string): Plan.Model => {
  const { capabilities, prices } = ModelTable.find(kind, model)
  return Plans.model({ model, capabilities: capabilities ?? Capability.unknown, prices })
}

const fromEnvironment = (
  root: Plan.Root,
  name: string,
  model: string | undefined
): Effect.Effect<Plan.Instance, LlmError.LlmError> =>
  Effect.gen(function* () {
    const row = ProviderTable.find(name)
    if (row === undefined || row.baseUrl === undefined) {
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
