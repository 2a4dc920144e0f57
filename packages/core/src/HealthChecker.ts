/**
 * How instances and providers do: from what requests show, and from probes where there are none.
 *
 * `HealthState` and `HealthProvider` judge, `HealthProbes` and `HealthBudget` say who may be probed and what that
 * proves, `HealthRoster` holds all of it; this is the fiber that probes.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as FailureClass from "./FailureClass.ts"
import * as HealthEntry from "./HealthEntry.ts"
import * as HealthProbes from "./HealthProbes.ts"
import type * as HealthProvider from "./HealthProvider.ts"
import * as HealthRoster from "./HealthRoster.ts"
import * as HealthState from "./HealthState.ts"
import type * as InstanceFactory from "./InstanceFactory.ts"
import * as Interpreter from "./Interpreter.ts"
import * as Llm from "./Llm.ts"
import * as LlmError from "./LlmError.ts"
import * as Metrics from "./Metrics.ts"
import * as Nearest from "./Nearest.ts"
import type * as Reason from "./Reason.ts"
import type * as StateChange from "./StateChange.ts"

/**
 * How an instance does. Times are milliseconds, since the epoch but for the latency.
 *
 * @since 0.1.0
 * @category models
 */
export interface HealthStatus {
  readonly status: StateChange.HealthStatus
  /** Why, in a few words of this library: nothing of what a provider said. */
  readonly message: string
  readonly since: number
  /** When a request or a probe last told of it; `undefined` when none has. */
  readonly lastChecked: number | undefined
  /** Of the last probe, or to the last first output; `undefined` when neither was seen. */
  readonly latency: number | undefined
  readonly provider: string
}

/**
 * What probes spent in the last hour.
 *
 * @since 0.1.0
 * @category models
 */
export interface Spent {
  /** `pool NAME`, or `wrapper NAME` in front of a task group. */
  readonly payer: string
  readonly requests: number
  /** USD, at most: what a probe may cost is counted. */
  readonly usd: number
}

/**
 * Whether a check may be made although the budget is spent; then it is not counted either.
 *
 * @since 0.1.0
 * @category models
 */
export interface CheckOptions {
  /** @default false */
  readonly force?: boolean | undefined
}

/**
 * A change that health checks tell of.
 *
 * @since 0.1.0
 * @category models
 */
export type Change = Extract<StateChange.StateChange, { readonly _tag: "Health" | "ProviderHealth" }>

/**
 * Says how instances and providers do.
 *
 * **Details** Requests tell first. An instance is probed when it had none for its `interval`, or is out; one probe at a
 * time for a provider's credential, whose result is taken for all instances that have it as far as it holds for them.
 * At most eight probes run at a time, within the budgets of the pools that name the instance.
 *
 * An unhealthy instance is passed over by pools and groups while a healthy one can be asked. A probe that proves that
 * the failure is mended closes the breakers that it opened, not before their own time and never one that somebody
 * holds.
 *
 * Closing the Layer ends every probe; then nobody is passed over for its health any more.
 *
 * **Errors** `UnknownTarget` with the nearest known names.
 *
 * @example
 * ```ts
 * import { HealthChecker } from "@echelon/core/HealthChecker"
 * import { Echelon, Orchestrator } from "@echelon/echelon"
 * import { EmbeddedProviders } from "@echelon/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const { variables } = yield* EmbeddedProviders.make
 *   return yield* Effect.gen(function* () {
 *     const health = yield* HealthChecker
 *     const before = yield* health.status("openai-gpt4")
 *     const { instance } = yield* Orchestrator.generate({ prompt: "hi", metadata: { poolName: "fast_pool" } })
 *     const after = yield* health.status(instance)
 *     return [before.status, after.status]
 *   }).pipe(
 *     Effect.provide(HealthChecker.layer),
 *     Effect.provide(Echelon.layer({ config: "configs", env: "embedded", variables }))
 *   )
 * })
 * const [before, after] = await Effect.runPromise(Effect.scoped(program))
 * console.assert(before === "unknown" && after === "healthy")
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class HealthChecker extends Context.Service<
  HealthChecker,
  {
    /** Every instance by name. Nobody is asked. */
    readonly statuses: Effect.Effect<Readonly<Record<string, HealthStatus>>>
    readonly status: (instance: string) => Effect.Effect<HealthStatus, LlmError.LlmError>
    /** Every provider that has instances, by name. */
    readonly providers: Effect.Effect<Readonly<Record<string, HealthProvider.State>>>
    /**
     * Asks an instance now, and says what came of it: `healthy` or `unhealthy`. Beyond the budget, and where the
     * provider's `health_check` is `none`, nobody is asked: then it is what was known, and the message says so.
     */
    readonly check: (instance: string, options?: CheckOptions) => Effect.Effect<HealthStatus, LlmError.LlmError>
    /** Asks every instance, eight at a time. */
    readonly checkAll: (options?: CheckOptions) => Effect.Effect<Readonly<Record<string, HealthStatus>>>
    /** What changes from the moment the stream is run. A reader that falls more than 1,024 behind loses the oldest. */
    readonly changes: Stream.Stream<Change>
    readonly spent: Effect.Effect<ReadonlyArray<Spent>>
  }
>()("@echelon/core/HealthChecker") {
  static readonly layer: Layer.Layer<HealthChecker, never, Interpreter.Interpreter> = Layer.effect(
    HealthChecker,
    Effect.suspend(() => makeChecker)
  )
}

/**
 * Probes that run at a time.
 *
 * @default 8
 * @since 0.1.0
 * @category models
 */
export const concurrency = 8

/** A probe that takes longer has failed: a list of models, and a question. */
const patience = { list: Duration.seconds(10), ping: Duration.seconds(30) }

/** Changes kept for a reader that is slow. */
const backlog = 1_024

/** No timer sleeps longer: what is far off is looked at again. */
const longestSleep = 3_600_000

const isRefusal = (reason: Reason.Reason): boolean => FailureClass.of(reason).breaker === "opens"

const timedOut = (limit: Duration.Duration): Reason.Reason => ({
  _tag: "Timeout",
  clock: "attempt",
  limit,
  shortened: false
})

/** A short question. Some models refuse to answer in one token. */
const question = ({ llm }: InstanceFactory.Built): Effect.Effect<unknown, LlmError.LlmError> => {
  const { features } = llm.capabilities
  const isEmbedder = features !== undefined && features.length > 0 && features.every((one) => one === "embeddings")
  return isEmbedder
    ? Llm.embed(llm, { input: "ping" })
    : Llm.generate(llm, { prompt: "ping", settings: { maxOutputTokens: HealthProbes.ping.outputTokens } })
}

/** What came of asking: the latency in milliseconds, or why there is none. */
const asked = (
  ask: Effect.Effect<number, LlmError.LlmError>,
  limit: Duration.Duration
): Effect.Effect<number | Reason.Reason> =>
  ask.pipe(
    Effect.timeoutOption(limit),
    Effect.map((found) => (found._tag === "None" ? timedOut(limit) : found.value)),
    Effect.catch(({ reason }) => Effect.succeed(reason)),
    Effect.catchDefect(() => Effect.succeed<Reason.Reason>({ _tag: "Unknown" }))
  )

const makeChecker = Effect.gen(function* () {
  const interpreter = yield* Interpreter.Interpreter
  const { registry } = interpreter
  const scope = yield* Scope.Scope
  const random = yield* Random.Random
  const measured = Context.getOption(yield* Effect.context<never>(), Metrics.MetricsCollector)
  let waiting: (() => void) | undefined
  let isWoken = false
  let running = 0
  const wake = (): void => {
    isWoken = true
    waiting?.()
  }
  const roster = new HealthRoster.Roster(registry, () => random.nextDoubleUnsafe(), wake)
  const underway = new Map<HealthEntry.Entry, Deferred.Deferred<HealthEntry.Result>>()

  const probe = Effect.fnUntraced(function* (task: HealthEntry.Task) {
    const { entry, kind } = task
    let usual: InstanceFactory.Built["probeKind"]
    const built = Effect.tap(
      Effect.flatMap(interpreter.current, ({ instance }) => instance(entry.name)),
      ({ probeKind }) =>
        Effect.sync(() => {
          if (kind === "usual") usual = probeKind
        })
    )
    const ping = asked(
      Effect.scoped(
        Effect.map(Effect.timed(Effect.flatMap(built, question)), ([elapsed]) => Duration.toMillis(elapsed))
      ),
      patience.ping
    )
    const list = asked(
      Effect.scoped(
        Effect.map(
          Effect.flatMap(built, (one) => one.probe),
          Duration.toMillis
        )
      ),
      patience.list
    )
    const first = yield* kind === "ping" ? ping : list
    // A server without a list, or one that keeps it to itself, may answer all the same.
    const done = usual ?? kind
    const isListRefused = done !== "ping" && typeof first !== "number" && isRefusal(first)
    if (isListRefused) roster.chargeMore(entry, registry.now())
    const found = isListRefused ? yield* ping : first
    return {
      kind: isListRefused ? "ping" : done,
      reason: typeof found === "number" ? undefined : found,
      latency: typeof found === "number" ? found : undefined,
      isListRefused,
      usual
    } satisfies HealthEntry.Result
  })

  /** Probes are in no other metric: they are nobody's requests. */
  const measure = ({ plan, provider }: HealthEntry.Entry, { isListRefused, kind, reason }: HealthEntry.Result) => {
    if (measured._tag === "None") return
    const { add } = measured.value
    const counted = (outcome: string) =>
      add("echelon.probes", { "echelon.provider": provider, "echelon.outcome": outcome })
    if (isListRefused) counted("failed")
    counted(reason === undefined ? "completed" : "failed")
    const usd = HealthProbes.costOf(kind, plan.model.prices)
    if (usd > 0) add("echelon.probes.cost.usd", { "echelon.provider": provider }, usd)
  }

  const run = (task: HealthEntry.Task): Effect.Effect<HealthEntry.Result> =>
    Effect.suspend(() => {
      const told = Deferred.makeUnsafe<HealthEntry.Result>()
      underway.set(task.entry, told)
      return probe(task).pipe(
        Effect.tap((result) =>
          Effect.sync(() => {
            measure(task.entry, result)
            roster.finish(task, result, registry.now())
          })
        ),
        Effect.onExit((exit) => {
          underway.delete(task.entry)
          if (exit._tag === "Failure") roster.abandon(task, registry.now())
          return Deferred.done(told, exit)
        })
      )
    })

  const woken = Effect.callback<void>((resume) => {
    const done = () => {
      waiting = undefined
      resume(Effect.void)
    }
    waiting = done
    if (isWoken) done()
    return Effect.sync(() => {
      waiting = undefined
    })
  })

  const ended = Effect.sync(() => {
    running -= 1
    wake()
  })

  const work = Effect.gen(function* () {
    for (;;) {
      isWoken = false
      roster.settleProviders(registry.now())
      while (running < concurrency) {
        const task = roster.next(registry.now())
        if (task === undefined) break
        running += 1
        yield* Effect.forkIn(Effect.ensuring(run(task), ended), scope, { startImmediately: true })
      }
      const wait = Math.max(1, Math.min(roster.nextAt() - registry.now(), longestSleep))
      if (running >= concurrency) yield* woken
      else yield* Effect.raceFirst(Effect.sleep(Duration.millis(wait)), woken)
    }
  })

  const statusOf = (entry: HealthEntry.Entry): HealthStatus => {
    const { heardAt, latency, message, since, status } = roster.standing(entry, registry.now())
    const { probedAt } = entry
    const lastChecked =
      heardAt === undefined || probedAt === undefined ? (heardAt ?? probedAt) : Math.max(heardAt, probedAt)
    return { status, message, since, lastChecked, latency, provider: entry.provider }
  }

  const find = (instance: string): Effect.Effect<HealthEntry.Entry, LlmError.LlmError> =>
    Effect.suspend(() => {
      const entry = roster.entries.get(instance)
      if (entry !== undefined) return Effect.succeed(entry)
      const known = [...roster.entries.keys()]
      return Effect.fail(
        LlmError.make({
          reason: { _tag: "UnknownTarget", kind: "instance", name: instance, known },
          detail: `there is no instance "${instance}"; ${Nearest.hint(instance, known)}`
        })
      )
    })

  const notChecked = (entry: HealthEntry.Entry, why: string): HealthStatus => {
    const known = statusOf(entry)
    return { ...known, message: `not checked, since ${why}; last known: ${known.message}` }
  }

  const checkEntry = (entry: HealthEntry.Entry, { force = false }: CheckOptions = {}): Effect.Effect<HealthStatus> =>
    Effect.suspend(() => {
      const known = underway.get(entry)
      if (known !== undefined) return Effect.map(Deferred.await(known), (result) => resultOf(entry, result))
      const now = registry.now()
      const isIdle = entry.state.status !== "unhealthy" && entry.open.size === 0
      const kind = HealthEntry.kind(entry, roster.groupOf(entry), isIdle)
      if (kind === "none") return Effect.succeed(notChecked(entry, "the provider's health_check is none"))
      const until = force ? undefined : roster.charge(entry, kind, false, now)
      if (until !== undefined) {
        const wait = Number.isFinite(until) ? ` for ${Math.ceil((until - now) / 1_000)} s` : ""
        return Effect.succeed(notChecked(entry, `the budget of health checks is spent${wait}`))
      }
      const task = { entry, kind, isIdle }
      roster.begin(task)
      // Who leaves does not end it: others may wait for it by then.
      return Effect.flatMap(Effect.forkIn(run(task), scope, { startImmediately: true }), (fiber) =>
        Effect.map(Fiber.join(fiber), (result) => resultOf(entry, result))
      )
    })

  const resultOf = (entry: HealthEntry.Entry, { latency, reason }: HealthEntry.Result): HealthStatus => {
    const known = statusOf(entry)
    if (reason === undefined) return { ...known, status: "healthy", message: "it answers", latency }
    return { ...known, status: "unhealthy", message: HealthState.describe(reason), latency: undefined }
  }

  yield* Effect.acquireRelease(
    Effect.sync(() => registry.listen((change) => roster.changed(change))),
    (unlisten) =>
      Effect.sync(() => {
        unlisten()
        roster.close(registry.now())
      })
  )
  roster.apply(yield* interpreter.plan, registry.now())
  yield* Effect.forkIn(work, scope)

  return HealthChecker.of({
    statuses: Effect.sync(() =>
      Object.fromEntries([...roster.entries].map(([name, entry]) => [name, statusOf(entry)] as const))
    ),
    status: (instance) => Effect.map(find(instance), statusOf),
    providers: Effect.sync(() => Object.fromEntries(roster.providerStates(registry.now()))),
    check: (instance, options) => Effect.flatMap(find(instance), (entry) => checkEntry(entry, options)),
    checkAll: (options) =>
      Effect.suspend(() =>
        Effect.map(
          Effect.forEach(
            [...roster.entries],
            ([name, entry]) => Effect.map(checkEntry(entry, options), (status) => [name, status] as const),
            { concurrency }
          ),
          (all) => Object.fromEntries(all)
        )
      ),
    changes: Stream.callback<Change>(
      (queue) =>
        Effect.acquireRelease(
          Effect.sync(() =>
            registry.listen((change) => {
              if (change._tag === "Health" || change._tag === "ProviderHealth") Queue.offerUnsafe(queue, change)
              if (change._tag === "Phase" && change.phase === "closed") Queue.endUnsafe(queue)
            })
          ),
          (unlisten) => Effect.sync(unlisten)
        ),
      { bufferSize: backlog, strategy: "sliding" }
    ),
    spent: Effect.sync(() => roster.purse.spent(registry.now()).map(([payer, spent]) => ({ payer, ...spent })))
  })
})
