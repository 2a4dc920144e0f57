/**
 * Control over a running plan: what everything stands at, what changes, and the hand on the switch.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as AdmissionQueue from "./AdmissionQueue.ts"
import type * as CircuitBreakerState from "./CircuitBreakerState.ts"
import * as Explain from "./Explain.ts"
import type * as InstanceStats from "./InstanceStats.ts"
import * as Interpreter from "./Interpreter.ts"
import type * as Lifecycle from "./Lifecycle.ts"
import * as LlmError from "./LlmError.ts"
import * as LlmRequest from "./LlmRequest.ts"
import * as Nearest from "./Nearest.ts"
import type * as Observation from "./Observation.ts"
import type * as Observe from "./Observe.ts"
import type * as Plan from "./Plan.ts"
import * as RateLimiter from "./RateLimiter.ts"
import type * as StateChange from "./StateChange.ts"
import type * as StateRegistry from "./StateRegistry.ts"
import * as TokenEstimate from "./TokenEstimate.ts"

/**
 * An instance as it stands. Times are milliseconds since the epoch.
 *
 * @since 0.1.0
 * @category models
 */
export interface InstanceSnapshot {
  readonly name: string
  readonly provider: string
  /** The name on the wire. */
  readonly model: string
  readonly isDrained: boolean
  readonly isPinned: boolean
  /** Attempts that run, those of older plans included. */
  readonly inFlight: number
  /** Until when it is passed over, because it was told to wait. */
  readonly coolingUntil: number | undefined
  /** Whether a health checker has put it out: pools and groups pass it over while a healthy one can be asked. */
  readonly isUnhealthy: boolean
  readonly stats: InstanceStats.InstanceStats
  /** Its own limits, and what its provider said is left. */
  readonly limits: ReadonlyArray<RateLimiter.Level>
  /** One breaker in each group that names it and was used. */
  readonly breakers: ReadonlyArray<CircuitBreakerState.Snapshot & { readonly group: string }>
}

/**
 * Everything as it stands at one moment.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  readonly at: number
  readonly phase: Lifecycle.Phase
  /** Requests that are answered now; those that wait to be admitted are not counted. */
  readonly requests: number
  readonly instances: ReadonlyArray<InstanceSnapshot>
  /** `group.echelonN`. */
  readonly echelons: ReadonlyArray<{ readonly name: string; readonly limits: ReadonlyArray<RateLimiter.Level> }>
  readonly pools: ReadonlyArray<{ readonly name: string; readonly limits: ReadonlyArray<RateLimiter.Level> }>
  /** `queue` is absent until the wrapper is first used. */
  readonly wrappers: ReadonlyArray<{ readonly name: string; readonly queue: AdmissionQueue.Snapshot | undefined }>
}

/**
 * Which breakers: those of an instance in one group, or in all.
 *
 * @since 0.1.0
 * @category models
 */
export interface Breakers {
  readonly instance: string
  /** @default all groups that name the instance */
  readonly group?: string | undefined
}

/**
 * Reads and changes a running plan.
 *
 * **Details** Where an instance is named, the bare name of one with several credentials means all of them. What was
 * drained, pinned or forced stays so through a reload, until it is undone or the plan does not name it any more.
 *
 * **Errors** `UnknownTarget` with the nearest known names.
 *
 * @example
 * ```ts
 * import { Control, Echelon, Orchestrator } from "@echelon/echelon"
 * import { EmbeddedProviders } from "@echelon/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const { variables } = yield* EmbeddedProviders.make
 *   return yield* Effect.gen(function* () {
 *     const control = yield* Control.Control
 *     const ask = Orchestrator.generate({ prompt: "hi", metadata: { groupName: "fast_group" } })
 *     const first = yield* ask
 *     yield* control.drain(first.instance)
 *     const second = yield* ask
 *     const { instances } = yield* control.snapshot
 *     return [first.instance !== second.instance, instances.filter((one) => one.isDrained).length]
 *   }).pipe(Effect.provide(Echelon.layer({ config: "configs", env: "embedded", variables })))
 * })
 * const found = await Effect.runPromise(Effect.scoped(program))
 * console.assert(found[0] === true && found[1] === 1)
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class Control extends Context.Service<
  Control,
  {
    readonly snapshot: Effect.Effect<Snapshot>
    /**
     * What changes from the moment the stream is run, until all is shut down. A reader that falls more than 1,024
     * behind loses the oldest.
     */
    readonly changes: Stream.Stream<StateChange.StateChange>
    /** Tells somebody of every request that begins from now on, for as long as the scope is open. */
    readonly observe: (observer: Observation.Observer) => Effect.Effect<void, never, Scope.Scope>
    /** Lets somebody refuse requests before anything is done for them, for as long as the scope is open. */
    readonly guard: (guard: Observe.Guard) => Effect.Effect<void, never, Scope.Scope>
    /** Holds breakers open or closed. */
    readonly force: (breakers: Breakers, to: "open" | "closed") => Effect.Effect<void, LlmError.LlmError>
    /** Lets breakers go on where they were. */
    readonly release: (breakers: Breakers) => Effect.Effect<void, LlmError.LlmError>
    /** Gives an instance no new attempts; those under way end as they will. */
    readonly drain: (instance: string) => Effect.Effect<void, LlmError.LlmError>
    readonly undrain: (instance: string) => Effect.Effect<void, LlmError.LlmError>
    /**
     * Asks an instance first, in every pool and group that reaches it. When it cannot be asked, or fails, the others
     * follow as ever.
     */
    readonly pin: (instance: string) => Effect.Effect<void, LlmError.LlmError>
    readonly unpin: (instance: string) => Effect.Effect<void, LlmError.LlmError>
    /** Forgets cooldowns, latencies and breakers of an instance, or of all. */
    readonly reset: (instance?: string) => Effect.Effect<void, LlmError.LlmError>
    /** What would become of a request as everything stands: whom it would ask, and why not the others. */
    readonly explain: (request: LlmRequest.Input) => Effect.Effect<Explain.Explanation, LlmError.LlmError>
  }
>()("@echelon/core/Control") {
  static readonly layer: Layer.Layer<Control, never, Interpreter.Interpreter> = Layer.effect(
    Control,
    Effect.map(Interpreter.Interpreter, (interpreter) => make(interpreter))
  )
}

/** Changes kept for a reader that is slow. */
const backlog = 1_024

const unknown = (kind: "instance" | "group", name: string, known: ReadonlyArray<string>) =>
  LlmError.make({
    reason: { _tag: "UnknownTarget", kind, name, known },
    detail: `there is no ${kind} "${name}"; ${Nearest.hint(name, known)}`
  })

/** The instances that a name means. */
const named = (root: Plan.Root, name: string): Effect.Effect<ReadonlyArray<string>, LlmError.LlmError> => {
  const known = Object.keys(root.instances)
  const found = known.filter((one) => one === name || one.startsWith(`${name}@`))
  return found.length === 0 ? Effect.fail(unknown("instance", name, known)) : Effect.succeed(found)
}

const make = ({ current, plan, registry }: Interpreter.Interpreter["Service"]): Control["Service"] => {
  const each = (name: string, f: (instance: string) => void): Effect.Effect<void, LlmError.LlmError> =>
    Effect.flatMap(plan, (root) =>
      Effect.map(named(root, name), (instances) => {
        for (const instance of instances) f(instance)
      })
    )
  const force = (
    { group, instance }: Breakers,
    to: "open" | "closed" | undefined
  ): Effect.Effect<void, LlmError.LlmError> =>
    Effect.flatMap(plan, (root) => {
      const wanted = group === undefined ? Object.values(root.groups) : root.groups[group]
      if (wanted === undefined) return Effect.fail(unknown("group", group ?? "", Object.keys(root.groups)))
      const groups = [wanted].flat()
      return each(instance, (name) => {
        for (const one of groups) {
          if (!one.echelons.some((echelon) => echelon.instances.includes(name))) continue
          registry.breaker(one, name).force(to, registry.now())
        }
      })
    })
  return {
    snapshot: Effect.map(plan, (root) => snapshotOf(root, registry)),
    changes: Stream.callback<StateChange.StateChange>(
      (queue) =>
        Effect.acquireRelease(
          Effect.sync(() =>
            registry.listen((change) => {
              Queue.offerUnsafe(queue, change)
              if (change._tag === "Phase" && change.phase === "closed") Queue.endUnsafe(queue)
            })
          ),
          (unlisten) => Effect.sync(unlisten)
        ),
      { bufferSize: backlog, strategy: "sliding" }
    ),
    observe: (observer) =>
      Effect.acquireRelease(
        Effect.sync(() => registry.observers.add(observer)),
        (remove) => Effect.sync(remove)
      ).pipe(Effect.asVoid),
    guard: (guard) =>
      Effect.acquireRelease(
        Effect.sync(() => registry.observers.guard(guard)),
        (remove) => Effect.sync(remove)
      ).pipe(Effect.asVoid),
    force,
    release: (breakers) => force(breakers, undefined),
    drain: (name) => each(name, (instance) => registry.drain(instance, true)),
    undrain: (name) => each(name, (instance) => registry.drain(instance, false)),
    pin: (name) => each(name, (instance) => registry.pin(instance, true)),
    unpin: (name) => each(name, (instance) => registry.pin(instance, false)),
    reset: (name) =>
      name === undefined ? Effect.sync(() => registry.reset(undefined)) : each(name, (one) => registry.reset(one)),
    explain: Effect.fnUntraced(function* (input) {
      const root = yield* plan
      const request = yield* LlmRequest.make(input, { stream: true, commit: "first_output" })
      const { input: inputTokens, statedOutput: maxOutputTokens } = TokenEstimate.of(request)
      const { metadata } = request
      const found = yield* Effect.fromResult(
        Explain.of(root, {
          metadata,
          needs: LlmRequest.needs(request),
          inputTokens,
          maxOutputTokens,
          snapshot: snapshotOf(root, registry),
          peek: (limits, tokens) => RateLimiter.peek(limitersOf(root, registry, limits), { tokens }, registry.now())
        })
      )
      const { target } = found
      // Whether there is a client that no file describes, only its maker knows.
      if (target.kind === "client" && !Object.hasOwn(root.providers, target.provider))
        yield* Effect.scoped(Effect.flatMap(current, ({ client }) => client(target.provider, target.model)))
      return found
    })
  }
}

/** The limiters that are there of those named, with what an instance's provider reported. */
const limitersOf = (
  root: Plan.Root,
  registry: StateRegistry.StateRegistry,
  limits: ReadonlyArray<readonly [StateRegistry.Owner, string]>
): ReadonlyArray<RateLimiter.RateLimiter> =>
  limits.flatMap(([owner, name]) => {
    const instance = owner === "instance" ? root.instances[name] : undefined
    const found = [registry.findLimiter(owner, name), instance && registry.reported(instance)]
    return found.filter((limiter) => limiter !== undefined)
  })

const levels = (limiter: RateLimiter.RateLimiter | undefined, now: number): ReadonlyArray<RateLimiter.Level> =>
  limiter === undefined ? [] : RateLimiter.snapshot(limiter, now)

const snapshotOf = (root: Plan.Root, registry: StateRegistry.StateRegistry): Snapshot => {
  const now = registry.now()
  return {
    at: now,
    phase: registry.lifecycle.phase,
    requests: registry.lifecycle.inFlight(),
    instances: Object.values(root.instances).map((plan): InstanceSnapshot => {
      const state = registry.instance(plan)
      const { until } = state.cooldown()
      return {
        name: plan.name,
        provider: plan.provider.name,
        model: plan.model.model,
        isDrained: registry.isDrained(plan.name),
        isPinned: registry.isPinned(plan.name),
        inFlight: state.inFlight(),
        coolingUntil: until > now ? until : undefined,
        isUnhealthy: state.health.isOut,
        stats: state.stats(),
        limits: [...levels(registry.findLimiter("instance", plan.name), now), ...levels(registry.reported(plan), now)],
        breakers: registry.breakersOf(plan.name).map(({ breaker, group }) => ({ group, ...breaker.snapshot(now) }))
      }
    }),
    echelons: Object.values(root.groups).flatMap(({ echelons }) =>
      echelons.map(({ group, name }) => {
        const echelon = `${group}.${name}`
        return { name: echelon, limits: levels(registry.findLimiter("echelon", echelon), now) }
      })
    ),
    pools: Object.keys(root.pools).map((name) => ({ name, limits: levels(registry.findLimiter("pool", name), now) })),
    wrappers: Object.keys(root.wrappers).map((name) => ({ name, queue: registry.findQueue(name)?.snapshot() }))
  }
}
