/**
 * The interpretation that requests use, its change, and its end.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as RcMap from "effect/RcMap"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import type * as Clients from "./Clients.ts"
import type * as InstanceFactory from "./InstanceFactory.ts"
import * as Interpretation from "./Interpretation.ts"
import type * as Llm from "./Llm.ts"
import * as LlmError from "./LlmError.ts"
import type * as Plan from "./Plan.ts"
import * as StateRegistry from "./StateRegistry.ts"

/**
 * Interprets plans, one after another.
 *
 * **Details** A request holds the interpretation it started with in its scope; an old one closes when the last
 * request that holds it has ended. What is known of instances outlives a change: see `StateRegistry`.
 *
 * Closing the Layer admits nobody any more and turns away who waits in a queue (`NoCapacity`, "shutting down"); what
 * runs may end within `shutdown_grace` (30 s unless the plan says otherwise), then it is ended with the same error.
 *
 * @since 0.1.0
 * @category services
 */
export class Interpreter extends Context.Service<
  Interpreter,
  {
    /** The plan of now, for as long as the scope is open. Fails with `NoCapacity` once shutting down has begun. */
    readonly current: Effect.Effect<Interpretation.Interpretation, LlmError.LlmError, Scope.Scope>
    /** What new requests are answered by. */
    readonly plan: Effect.Effect<Plan.Root>
    /** Lets new requests use another plan. */
    readonly swap: (root: Plan.Root) => Effect.Effect<void>
    /**
     * Admits nobody any more and waits for what runs, as closing the Layer does; done when all has ended and everybody who
     * listens has heard of it. What stands above and tells of requests runs it before it closes.
     */
    readonly shutdown: Effect.Effect<void>
    /** What is known between requests. */
    readonly registry: StateRegistry.StateRegistry
  }
>()("@echelon/core/Interpreter") {
  /** Interprets a plan. */
  static readonly layer = (
    root: Plan.Root
  ): Layer.Layer<Interpreter, never, InstanceFactory.InstanceFactory | Clients.Clients> =>
    Layer.effect(Interpreter, makeInterpreter(root))
}

const shuttingDown = () => LlmError.make({ reason: { _tag: "NoCapacity" }, detail: "shutting down" })

const makeInterpreter = Effect.fnUntraced(function* (first: Plan.Root) {
  const registry = yield* StateRegistry.make
  const roots = new Map<number, Plan.Root>()
  const generations = yield* RcMap.make({
    lookup: (generation: number) => {
      const root = roots.get(generation)
      roots.delete(generation)
      return root === undefined
        ? Effect.die(new RangeError(`Interpreter: no generation ${generation}`))
        : Interpretation.make(root, registry)
    }
  })
  const scope = yield* Scope.Scope
  let latest = -1
  let plan = first
  let hold: Scope.Closeable | undefined
  const swap = Effect.fnUntraced(function* (root: Plan.Root) {
    const next = yield* Scope.fork(scope)
    const generation = latest + 1
    roots.set(generation, root)
    yield* Scope.provide(RcMap.get(generations, generation), next)
    const previous = hold
    latest = generation
    plan = root
    hold = next
    if (previous !== undefined) yield* Scope.close(previous, Exit.void)
  }, Semaphore.makeUnsafe(1).withPermit)
  yield* swap(first)
  const shutdown = yield* Effect.cached(
    Effect.uninterruptible(
      Effect.gen(function* () {
        registry.startDraining()
        yield* Effect.timeoutOption(registry.lifecycle.idle, Duration.millis(plan.shutdownGrace))
        registry.endAll(() => ({ _tag: "Failed", error: shuttingDown() }))
        // The last to end may be within its end still.
        yield* Effect.yieldNow
      })
    )
  )
  // Must be added after all that requests live on, so that it runs before that closes.
  yield* Effect.addFinalizer(() => shutdown)
  return Interpreter.of({
    current: Effect.suspend(() =>
      registry.lifecycle.phase === "open" ? RcMap.get(generations, latest) : Effect.fail(shuttingDown())
    ),
    plan: Effect.sync(() => plan),
    swap,
    shutdown,
    registry
  })
})

/**
 * An `Llm` that looks itself up anew for each call, so that whoever keeps it follows a change. The name must be
 * known now.
 *
 * @since 0.1.0
 * @category combinators
 */
export const following = (
  current: Effect.Effect<Interpretation.Interpretation, LlmError.LlmError, Scope.Scope>,
  id: string,
  lookup: (interpretation: Interpretation.Interpretation) => Effect.Effect<Llm.Llm, LlmError.LlmError>
): Effect.Effect<Llm.Llm, LlmError.LlmError> =>
  Effect.map(Effect.scoped(Effect.flatMap(current, lookup)), ({ capabilities }) => ({
    id,
    capabilities,
    call: (request) => Effect.flatMap(Effect.flatMap(current, lookup), (llm) => llm.call(request))
  }))
