/**
 * Direct clients: a provider and a model, outside of any pool. One by one or many, by provider or by model alone, with
 * their health.
 *
 * @since 0.1.0
 */
import { Clients } from "@echelon/core/Clients"
import type * as InstanceFactory from "@echelon/core/InstanceFactory"
import * as Llm from "@echelon/core/Llm"
import * as LlmError from "@echelon/core/LlmError"
import type * as LlmReply from "@echelon/core/LlmReply"
import type * as LlmRequest from "@echelon/core/LlmRequest"
import type * as Part from "@echelon/core/Part"
import type * as Plan from "@echelon/core/Plan"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import type * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type * as Stream from "effect/Stream"
import * as Health from "./ClientFactoryHealth.ts"
import * as ClientFactoryInstance from "./ClientFactoryInstance.ts"
import * as ClientFactoryModel from "./ClientFactoryModel.ts"
import * as Instance from "./Instance.ts"
import * as ProviderTable from "./ProviderTable.ts"
import * as TokenCache from "./TokenCache.ts"
import * as TokenSource from "./TokenSource.ts"
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
 * A client to make: of a provider, of a model, or of both. A model alone picks its provider.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ask {
  readonly provider?: string | undefined
  readonly model?: string | undefined
  /** The name of the client in routes and errors. @default `provider-model` */
  readonly instanceId?: string | undefined
}

/**
 * A client: who it asks, the `Llm` to ask it by, and its health.
 *
 * @since 0.1.0
 * @category models
 */
export interface Client {
  readonly provider: string
  /** The model's name on the wire. */
  readonly model: string
  readonly llm: Llm.Llm
  /**
   * Asks whether it works: for the list of models where the provider has one, else for a few tokens. Over the budget
   * nobody is asked, and the status says so.
   */
  readonly healthCheck: Effect.Effect<Health.HealthStatus>
}

/**
 * What became of one of many.
 *
 * @since 0.1.0
 * @category models
 */
export interface Created<A> {
  readonly ask: Ask
  readonly result: Result.Result<A, LlmError.LlmError>
}

/**
 * A client behind the interface of a wrapper. It is an `Llm` too, so that it joins a pool as it is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wrapper extends Llm.Llm {
  readonly client: Client
  /** See `Llm.generate`. */
  readonly generate: (input: LlmRequest.Input) => Effect.Effect<LlmReply.Answer, LlmError.LlmError>
  /** See `Llm.stream`. */
  readonly stream: (input: LlmRequest.Input) => Stream.Stream<Part.Part, LlmError.LlmError>
  readonly healthCheck: Effect.Effect<Health.HealthStatus>
}

/**
 * Makes clients of the providers of a plan, and of those that the environment holds a key for. Without a plan it is
 * `Plans.root({})`; that of a running Echelon is `root` of `Interpreter`'s `current`.
 *
 * **Errors** `UnknownTarget` with the nearest known names, or with the candidates where a model alone has several of
 * equal right; `Authentication` with the variable to set.
 *
 * @since 0.1.0
 * @category services
 */
export class ClientFactory extends Context.Service<
  ClientFactory,
  {
    /** The client of a provider, by its default model or the one given. */
    readonly create: (
      root: Plan.Root,
      provider: string,
      model?: string | undefined
    ) => Effect.Effect<Client, LlmError.LlmError>
    /** The client of a model, whose name picks the provider; see `ClientFactoryModel.resolve`. */
    readonly createForModel: (root: Plan.Root, model: string) => Effect.Effect<Client, LlmError.LlmError>
    /** Many at once. One that cannot be made keeps no other from being made. */
    readonly createMany: (root: Plan.Root, asks: ReadonlyArray<Ask>) => Effect.Effect<ReadonlyArray<Created<Client>>>
    /** A wrapper from a client. */
    readonly createWrapper: (root: Plan.Root, ask: Ask) => Effect.Effect<Wrapper, LlmError.LlmError>
    /** Many wrappers at once. */
    readonly createWrappers: (
      root: Plan.Root,
      asks: ReadonlyArray<Ask>
    ) => Effect.Effect<ReadonlyArray<Created<Wrapper>>>
    /** Checks many, eight at a time, by their `llm.id`. */
    readonly healthCheck: (
      clients: ReadonlyArray<Client>
    ) => Effect.Effect<Readonly<Record<string, Health.HealthStatus>>>
  }
>()("@echelon/providers/ClientFactory") {}

/**
 * Options of `layerWith`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What health checks may cost. @default `ClientFactoryHealth.limits` */
  readonly health?: Partial<Health.Limits> | undefined
  /** A check that takes longer has failed. @default 10 seconds */
  readonly patience?: Duration.Input | undefined
}

interface Kept {
  readonly instance: Plan.Instance
  readonly llm: Llm.Llm
  readonly probe: InstanceFactory.Built["probe"]
  readonly scope: Scope.Closeable
}

type Find = (
  root: Plan.Root,
  provider: string,
  model: string | undefined,
  instanceId: string | undefined
) => Effect.Effect<Kept, LlmError.LlmError>

const makeCache: Effect.Effect<Find, never, Transport.Transport | Scope.Scope> = Effect.gen(function* () {
  const transport = yield* Transport.Transport
  // Those of where the layer is built: a client is asked for elsewhere.
  const sources = yield* TokenSource.TokenSource
  const shared = yield* TokenCache.Shared
  const layerScope = yield* Effect.scope
  const one = yield* Semaphore.make(1)
  const kept = new Map<string, Kept>()

  const build = (key: string, instance: Plan.Instance): Effect.Effect<Kept, LlmError.LlmError> =>
    Effect.gen(function* () {
      const found = kept.get(key)
      if (found !== undefined && Equal.equals(found.instance, instance)) return found
      const scope = Scope.forkUnsafe(layerScope)
      const built = yield* Instance.make(instance).pipe(
        Effect.provideService(Transport.Transport, transport),
        Effect.provideService(TokenSource.TokenSource, sources),
        Effect.provideService(TokenCache.Shared, shared),
        Effect.provideService(Scope.Scope, scope),
        Effect.onError(() => Scope.close(scope, Exit.void))
      )
      // A call holds the pool itself, so that making room never breaks it off.
      const held = transport.client(instance.provider)
      const made: Kept = {
        instance,
        llm: { ...built.llm, call: (request) => Effect.andThen(held, built.llm.call(request)) },
        probe: Effect.scoped(Effect.andThen(held, built.probe)),
        scope
      }
      const replaced = found ?? (kept.size >= capacity ? oldest(kept) : undefined)
      kept.set(key, made)
      if (replaced !== undefined) yield* Scope.close(replaced.scope, Exit.void)
      return made
    })

  return (root, provider, model, instanceId) =>
    Effect.gen(function* () {
      const planned = yield* ClientFactoryInstance.find(root, provider, model)
      const instance = instanceId === undefined ? planned : { ...planned, name: instanceId }
      const key = [provider, instance.model.model, instanceId ?? ""].join("\u0000")
      const found = kept.get(key)
      if (found !== undefined && Equal.equals(found.instance, instance)) {
        kept.delete(key)
        kept.set(key, found)
        return found
      }
      return yield* Semaphore.withPermit(one, build(key, instance))
    })
})

const oldest = (kept: Map<string, Kept>): Kept | undefined => {
  const [first] = kept
  if (first === undefined) return undefined
  kept.delete(first[0])
  return first[1]
}

const limitsOf = (stated: Partial<Health.Limits> | undefined): Health.Limits => {
  const limits = { ...Health.limits, ...stated }
  for (const [field, value] of Object.entries(limits))
    if (!(value >= 0)) throw new RangeError(`ClientFactory.layerWith: ${field} must be 0 or above, got ${value}`)
  return limits
}

/**
 * The factory, and the direct clients of the core, over a transport.
 *
 * **Details** Built clients are kept, so that their connections are used again. A plan that was reloaded gets new
 * ones where a field of the instance changed; calls under way finish on the old.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: Options): Layer.Layer<Clients | ClientFactory, never, Transport.Transport> => {
  const limits = limitsOf(options.health)
  const patience = Duration.fromInputUnsafe(options.patience ?? "10 seconds")
  return Layer.effectContext(
    Effect.map(makeCache, (find) => {
      let checks = Health.initial
      const lasts = new WeakMap<Kept, Health.HealthStatus>()

      const check = (kept: Kept): Effect.Effect<Health.HealthStatus> =>
        Effect.flatMap(Clock.currentTimeMillis, (now) => {
          const { instance } = kept
          const last = lasts.get(kept)
          const how = probeOf(instance)
          if (how === "none") return Effect.succeed(Health.skipped("the provider's health_check is none", last))
          const usd = Health.costOf(how, instance.model.prices)
          const [decision, after] = Health.admit(checks, { now, usd }, limits)
          checks = after
          if (decision._tag === "Skip")
            return Effect.succeed(Health.skipped(Health.explain(decision, limits, now), last))
          return Effect.map(probed(kept, patience), (found) => {
            const status = { ...found, lastChecked: now }
            lasts.set(kept, status)
            return status
          })
        })

      const clientOf = (kept: Kept): Client => ({
        provider: kept.instance.provider.name,
        model: kept.instance.model.model,
        llm: kept.llm,
        healthCheck: check(kept)
      })

      const make = (root: Plan.Root, ask: Ask): Effect.Effect<Client, LlmError.LlmError> =>
        Effect.gen(function* () {
          const place = yield* placeOf(root, ask)
          return clientOf(yield* find(root, place.provider, place.model, ask.instanceId))
        })

      const wrap = (root: Plan.Root, ask: Ask) => Effect.map(make(root, ask), wrapper)

      const many =
        <A>(one: (root: Plan.Root, ask: Ask) => Effect.Effect<A, LlmError.LlmError>) =>
        (root: Plan.Root, asks: ReadonlyArray<Ask>): Effect.Effect<ReadonlyArray<Created<A>>> =>
          Effect.forEach(asks, (ask) =>
            Effect.map(Effect.result(one(root, ask)), (result): Created<A> => ({ ask, result }))
          )

      return Context.make(
        Clients,
        Clients.of({
          get: (root, provider, model) => Effect.map(find(root, provider, model, undefined), (kept) => kept.llm)
        })
      ).pipe(
        Context.add(
          ClientFactory,
          ClientFactory.of({
            create: (root, provider, model) => make(root, { provider, model }),
            createForModel: (root, model) => make(root, { model }),
            createMany: many(make),
            createWrapper: wrap,
            createWrappers: many(wrap),
            healthCheck: (clients) =>
              Effect.map(
                Effect.forEach(
                  clients,
                  (client) => Effect.map(client.healthCheck, (status) => [client.llm.id, status] as const),
                  { concurrency: 8 }
                ),
                (found) => Object.fromEntries(found)
              )
          })
        )
      )
    })
  )
}

/**
 * The factory and the direct clients with their defaults.
 *
 * @example
 * ```ts
 * import { Plans } from "@echelon/core"
 * import { ClientFactory, Transport } from "@echelon/providers"
 * import { ConfigProvider, Effect, Layer, Result } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const factory = yield* ClientFactory.ClientFactory
 *   const client = yield* factory.createForModel(Plans.root({}), "claude-sonnet-4-5")
 *   console.assert(client.provider === "anthropic" && client.llm.id === "anthropic-claude-sonnet-4-5")
 *   const made = yield* factory.createMany(Plans.root({}), [{ model: "claude-haiku-4-5" }, { provider: "opnai" }])
 *   console.assert(made.map(({ result }) => Result.isSuccess(result)).join() === "true,false")
 * })
 * const environment = ConfigProvider.layer(ConfigProvider.fromUnknown({ ANTHROPIC_API_KEY: "a key" }))
 * const layer = Layer.merge(Layer.provide(ClientFactory.layer, Transport.layer), environment)
 * await Effect.runPromise(Effect.provide(program, layer))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Clients | ClientFactory, never, Transport.Transport> = layerWith({})

/**
 * Makes a wrapper of a client.
 *
 * @since 0.1.0
 * @category constructors
 */
export const wrapper = (client: Client): Wrapper => {
  const { healthCheck, llm } = client
  return {
    ...llm,
    client,
    generate: (input) => Llm.generate(llm, input),
    stream: (input) => Llm.stream(llm, input),
    healthCheck
  }
}

const placeOf = (
  root: Plan.Root,
  { model, provider }: Ask
): Effect.Effect<{ readonly provider: string; readonly model: string | undefined }, LlmError.LlmError> => {
  if (provider !== undefined) return Effect.succeed({ provider, model })
  if (model === undefined)
    return Effect.fail(
      LlmError.make({ reason: { _tag: "InvalidRequest" }, detail: "name a provider, a model, or both" })
    )
  return Effect.flatMap(ClientFactoryInstance.keyed, (keyed) => {
    const resolved = ClientFactoryModel.resolve(model, { root, keyed })
    if (resolved._tag === "Provider") return Effect.succeed(resolved)
    const known = resolved._tag === "Ambiguous" ? resolved.candidates : resolved.known
    const detail = ClientFactoryModel.explain(model, resolved)
    return Effect.fail(LlmError.make({ reason: { _tag: "UnknownTarget", kind: "model", name: model, known }, detail }))
  })
}

/** How `Instance` will probe. */
const probeOf = ({ model, provider }: Plan.Instance): "models" | "ping" | "none" => {
  const row = ProviderTable.find(provider.kind)
  const how = provider.healthCheck ?? row?.healthCheck ?? "ping"
  if (how !== "models") return how
  const base = URL.canParse(provider.baseUrl ?? "") ? new URL(provider.baseUrl ?? "").pathname : ""
  return row?.route({ provider, model: model.model, base }).models === undefined ? "ping" : how
}

const probed = (
  { probe }: Kept,
  patience: Duration.Duration
): Effect.Effect<Omit<Health.HealthStatus, "lastChecked">> =>
  Effect.match(Effect.timeoutOption(probe, patience), {
    onFailure: (error) => ({ status: "unhealthy", message: error.message, latency: undefined }),
    onSuccess: (latency) =>
      latency._tag === "None"
        ? { status: "unhealthy", message: `no answer within ${Duration.format(patience)}`, latency: undefined }
        : { status: "healthy", message: "answers", latency: Duration.toMillis(latency.value) }
  })
