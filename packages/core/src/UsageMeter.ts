/**
 * Accounts for every request: counts it as it ends, and writes what was counted to the ledger in batches, off its way.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Semaphore from "effect/Semaphore"
import * as Interpreter from "./Interpreter.ts"
import type * as Observation from "./Observation.ts"
import type * as Plan from "./Plan.ts"
import * as UsageCalendar from "./UsageCalendar.ts"
import * as UsageLedger from "./UsageLedger.ts"
import * as UsageNames from "./UsageNames.ts"
import type * as UsageRecord from "./UsageRecord.ts"
import * as UsageTally from "./UsageTally.ts"

/**
 * How the accounting does.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stats {
  /** Requests that are counted and not yet written. */
  readonly unwritten: number
  /** Batches written. */
  readonly batches: number
  /** Attempts to write that failed; what they held is kept and tried again. */
  readonly failures: number
  /** How often something was counted without its names, since there were too many different ones to write. */
  readonly folded: number
}

/**
 * The meter.
 *
 * **Details** A batch is what was counted since the last was written: every `flushInterval`, or after `batchSize`
 * requests. While the store cannot be written it is kept and grows; rows are bounded, and what comes beyond is counted
 * without its names. Closing the Layer writes what is left. A process that ends without that loses the batch it was at,
 * which the next one notes and logs, and `UsageLedger.interrupted` tells.
 *
 * **Ordering** Must be provided to the Layer of the `Interpreter`, so that it closes after that: requests that end
 * while shutting down count.
 *
 * @example
 * ```ts
 * import { Plans, UsageLedgerMemory, UsageMeter } from "@echelon/core"
 * import { Effect, Layer } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const meter = yield* UsageMeter.UsageMeter
 *   return yield* meter.read({ by: ["provider"] })
 * })
 * const layer = Layer.provide(UsageMeter.UsageMeter.layer(Plans.usage()), UsageLedgerMemory.layer())
 * console.assert((await Effect.runPromise(Effect.provide(program, layer))).length === 0)
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class UsageMeter extends Context.Service<
  UsageMeter,
  {
    readonly settings: Plan.Accounting
    readonly calendar: UsageCalendar.UsageCalendar
    /** The tenants that are told apart. */
    readonly tenants: UsageNames.UsageNames
    /** Hears of requests. */
    readonly observer: Observation.Observer
    /** Takes on other settings, and what the plan names. What only a start can change stays: see `Plan.Accounting`. */
    readonly configure: (settings: Plan.Accounting, providerOf: (instance: string) => string | undefined) => void
    /** Writes what was counted so far. */
    readonly flush: Effect.Effect<void, UsageLedger.UsageLedgerError>
    /** Writes, then reads. */
    readonly read: (
      query: UsageLedger.Query
    ) => Effect.Effect<ReadonlyArray<UsageRecord.Sum>, UsageLedger.UsageLedgerError>
    readonly stats: Effect.Effect<Stats>
  }
>()("@echelon/core/UsageMeter") {
  /**
   * Accounts for what its observer hears.
   *
   * **Errors** `UsageLedgerError` when the store cannot be opened: a program would spend unseen.
   */
  static readonly layer = (
    settings: Plan.Accounting
  ): Layer.Layer<UsageMeter, UsageLedger.UsageLedgerError, UsageLedger.UsageLedger> =>
    Layer.effect(UsageMeter, make(settings))

  /**
   * Lets the meter hear of all requests of the interpreter, while the plan says so.
   *
   * **Gotchas** It is not taken away when this Layer closes, but with the interpreter: what ends while that shuts down
   * is heard.
   */
  static readonly layerObserving: Layer.Layer<never, never, UsageMeter | Interpreter.Interpreter> = Layer.effectDiscard(
    Effect.gen(function* () {
      const { configure, observer, settings } = yield* UsageMeter
      const { plan, registry } = yield* Interpreter.Interpreter
      // Without a store to write to there is nothing to switch on.
      if (!settings.enabled) return
      const take = ({ instances, usage }: Plan.Root): void => {
        configure(usage, (name) => instances[name]?.provider.name)
        if (usage.enabled) registry.observers.add(observer)
        else registry.observers.observers.delete(observer)
      }
      take(yield* plan)
      registry.listen((change) => {
        if (change._tag !== "Swapped") return
        const next = registry.plan()
        if (next !== undefined) take(next)
      })
    })
  )
}

/** How long a writer may say nothing, and how often it says something, in milliseconds. */
const lease = 60_000
const renewal = 20_000

/** How long a store may take when all ends, and how often it is tried meanwhile. */
const lastTry = { timeout: "5 seconds", times: 2 } as const

/** The longest wait between two tries of a store that fails. */
const longestWait = 30_000

const day = 86_400_000

interface Frozen extends UsageLedger.Batch {
  readonly requests: number
}

const make = Effect.fnUntraced(function* (settings: Plan.Accounting) {
  const ledger = yield* UsageLedger.UsageLedger
  const clock = yield* Clock.Clock
  const calendar = UsageCalendar.make(settings.timeZone)
  const tenants = UsageNames.make(settings.maxTenants)
  let current = settings
  let providerOf = (_instance: string): string | undefined => undefined
  const tally = UsageTally.make({ calendar, tenants, providerOf: (instance) => providerOf(instance) })
  const latch = Latch.makeUnsafe(false)
  let frozen: Frozen | undefined
  let seq = 0
  let batches = 0
  let failures = 0
  let spokenAt = clock.currentTimeMillisUnsafe()
  let prunedOn = ""

  const writer = yield* ledger.writer(lease)
  for (const one of yield* ledger.noteInterrupted) {
    const seen = new Date(one.seenAt).toISOString()
    yield* Effect.logWarning(
      `usage: process ${one.pid} on ${UsageNames.clean(one.host)} did not end cleanly; what it counted after ${seen}, at most one batch, is missing`
    )
  }

  const flush = Effect.gen(function* () {
    // What is being written stays as it is until it is known to be there, so that it is added once.
    if (frozen === undefined && !tally.isEmpty()) {
      seq += 1
      frozen = { seq, ...tally.take() }
    }
    if (frozen === undefined) return
    yield* writer.write(frozen)
    frozen = undefined
    batches += 1
    spokenAt = clock.currentTimeMillisUnsafe()
  }).pipe(
    Effect.tapError(() =>
      Effect.sync(() => {
        failures += 1
      })
    )
  )
  const one = Semaphore.makeUnsafe(1).withPermit
  /** What was counted while the last batch was written makes another. */
  const flushAll = one(Effect.andThen(flush, flush))
  const unwritten = () => tally.size() + (frozen?.requests ?? 0)

  const prune = Effect.suspend(() => {
    const now = clock.currentTimeMillisUnsafe()
    const today = calendar.of("day", now).day
    if (today === prunedOn) return Effect.void
    const before = UsageCalendar.make(settings.timeZone).of("day", now - current.retentionDays * day).day
    return Effect.andThen(
      ledger.prune(before),
      Effect.sync(() => {
        prunedOn = today
      })
    )
  })

  /** What is done now and then. */
  const turn = Effect.gen(function* () {
    yield* one(flush)
    if (clock.currentTimeMillisUnsafe() - spokenAt >= renewal) {
      yield* writer.renew
      spokenAt = clock.currentTimeMillisUnsafe()
    }
    yield* prune
  })

  let isFailing = false
  let wait = 0
  const loop = Effect.gen(function* () {
    latch.closeUnsafe()
    const isFull = tally.size() >= current.batchSize
    if (wait > 0) yield* Effect.sleep(wait)
    else if (!isFull) yield* Effect.raceFirst(latch.await, Effect.sleep(current.flushInterval))
    const failed = yield* Effect.match(turn, { onSuccess: () => undefined, onFailure: (error) => error })
    if (failed === undefined) {
      if (isFailing) yield* Effect.logInfo(`usage: the ${ledger.store} store is written again`)
      isFailing = false
      wait = 0
      return
    }
    if (!isFailing) yield* Effect.logWarning(`${failed.message}; ${unwritten()} requests are kept and tried again`)
    isFailing = true
    wait = Math.min(Math.max(wait * 2, current.flushInterval), longestWait)
  })
  yield* Effect.forkScoped(Effect.forever(loop))

  // Must be added after the writer and the loop, so that it runs before they end.
  yield* Effect.addFinalizer(() =>
    // Whoever waits for the last request goes on in the middle of its end, of which this has not heard yet.
    Effect.andThen(Effect.yieldNow, Effect.andThen(flushAll, writer.end)).pipe(
      // A finalizer is not, and a store that hangs must not keep a program from ending.
      Effect.interruptible,
      Effect.retry({ times: lastTry.times }),
      Effect.timeout(lastTry.timeout),
      Effect.catch((error) =>
        Effect.logError(`usage: ${unwritten()} requests could not be written at the end and are lost: ${error.message}`)
      )
    )
  )

  return UsageMeter.of({
    settings,
    calendar,
    tenants,
    observer: {
      onAttemptEnd: (observation, attempt) => tally.attemptEnded(observation, attempt),
      onEnd: (observation) => {
        tally.requestEnded(observation)
        if (tally.size() === current.batchSize) latch.openUnsafe()
      }
    },
    configure: (next, owner) => {
      current = next
      providerOf = owner
    },
    flush: flushAll,
    read: (query) => Effect.andThen(flushAll, ledger.read(query)),
    stats: Effect.sync(() => ({ unwritten: unwritten(), batches, failures, folded: tally.foldedSoFar() }))
  })
})
