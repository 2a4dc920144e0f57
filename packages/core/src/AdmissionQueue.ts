/**
 * The admission queue of a wrapper: so many requests run, so many wait, the rest fail at once.
 *
 * `FairQueue` says who is next. This actor counts slots, wakes who got one, and keeps one timer for all who wait:
 * nothing waits past its deadline. A slot passes to the next in the very call that frees it; the fiber that got
 * it runs on through the scheduler, so that a chain of hand-overs never nests.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Scheduler from "effect/Scheduler"
import * as FairQueue from "./FairQueue.ts"
import * as LlmError from "./LlmError.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import * as Plans from "./Plans.ts"

/**
 * Limits of a queue.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Requests that run at once. @default unlimited */
  readonly maxConcurrentRequests?: number | undefined
  /** Requests that wait, those parked until a time included. @default 0 */
  readonly queueSize?: number | undefined
  /** Weights of tenants by `metadata.tenant`. @default 1 each */
  readonly tenants?: Readonly<Record<string, number>> | undefined
}

/**
 * Leave to run. Whoever holds one must release it; releasing twice does nothing.
 *
 * @since 0.1.0
 * @category models
 */
export interface Slot {
  readonly release: () => void
}

/**
 * What a queue holds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Snapshot {
  readonly running: number
  /** All that take room in the queue, the parked included. */
  readonly waiting: number
  readonly waitingByPriority: Readonly<Record<FairQueue.Priority, number>>
  /** Those of `waiting` who wait for a time. */
  readonly parked: number
  /** `undefined` when nothing limits it. */
  readonly limit: number | undefined
  readonly queueSize: number
}

/**
 * An admission queue.
 *
 * @since 0.1.0
 * @category models
 */
export interface AdmissionQueue {
  /**
   * Waits for a slot.
   *
   * **Details** Waiting can be interrupted even where the caller cannot: a waiter that is interrupted leaves, and
   * gives back a slot it was just given. So it is safe as the `acquire` of `Effect.acquireUseRelease`.
   *
   * **Errors** `QueueFull` when there is no room, or when the wait is sure to be longer than the time left;
   * `DeadlineExceeded` at the deadline; `NoCapacity` once the queue is closed.
   *
   * **Gotchas** Take it in an uninterruptible region (`Effect.acquireUseRelease` is one): elsewhere an interruption
   * may come between the slot and whoever is to release it.
   */
  readonly admit: (request: LlmRequest.LlmRequest) => Effect.Effect<Slot, LlmError.LlmError>
  /**
   * Waits until a time, then for a slot, without leaving the queue in between.
   *
   * **Errors** As `admit`, and `NoCapacity` at once when the deadline comes first.
   */
  readonly admitAt: (request: LlmRequest.LlmRequest, retryAt: number) => Effect.Effect<Slot, LlmError.LlmError>
  /**
   * Waits until a time, in milliseconds since the epoch. It takes room in the queue and no slot.
   *
   * **Errors** `QueueFull` when there is no room, `NoCapacity` at once when the deadline comes first, and
   * when the queue closes.
   */
  readonly waitUntil: (request: LlmRequest.LlmRequest, retryAt: number) => Effect.Effect<void, LlmError.LlmError>
  /** Capacity has come back early: of those parked by `admitAt`, the most urgent that came first stands in line now. */
  readonly unpark: () => void
  /** Turns all who wait away, and all who come. Who runs keeps its slot. */
  readonly close: () => void
  /** Waits until no slot is in use. */
  readonly awaitIdle: Effect.Effect<void>
  /** Changes the limits. What grew is used at once; what shrank lets those who run or wait go on. */
  readonly resize: (options: Options) => void
  readonly snapshot: () => Snapshot
}

/** How long requests kept their slots: moving averages of the time and of its distance from the mean. */
interface Service {
  samples: number
  mean: number
  deviation: number
}

/** Requests served before a wait is estimated. */
const minSamples = 10

const learn = (service: Service, millis: number): void => {
  service.samples = Math.min(service.samples + 1, minSamples)
  const gain = Math.max(1 / 8, 1 / service.samples)
  const error = millis - service.mean
  service.mean += gain * error
  // The first sample has nothing to be compared with.
  if (service.samples > 1) service.deviation += gain * (Math.abs(error) - service.deviation)
}

/**
 * The least a newcomer waits with `ahead` before it: whole rounds of the mean, less twice the deviation of their
 * sum, and half of that. Half, because those ahead may leave at their own deadlines: as each of them was itself
 * refused by this rule where it had no chance, they free at most half of the wait.
 */
const leastWait = (service: Service, ahead: number, limit: number): number =>
  service.samples < minSamples
    ? 0
    : Math.max(0, Math.floor(ahead / limit) * service.mean - (2 * Math.sqrt(ahead) * service.deviation) / limit) / 2

const nothing: Slot = { release: () => {} }

type Result = Effect.Effect<Slot, LlmError.LlmError>

interface Waiter {
  readonly deadline: number | undefined
  /** What follows when the time has come, while it is parked. */
  parked: "admit" | "return" | undefined
  resume: ((result: Result) => void) | undefined
  result: Result | undefined
  slot: Slot | undefined
}

const positive = (name: string, value: number, least: number): number => {
  if (!(Number.isSafeInteger(value) && value >= least))
    throw new RangeError(`AdmissionQueue.make: ${name} must be a whole number of at least ${least}, got ${value}`)
  return value
}

class Live implements AdmissionQueue {
  private readonly context: Context.Context<never>
  private readonly clock: Clock.Clock
  private readonly dispatcher: Scheduler.SchedulerDispatcher
  private readonly queue: FairQueue.FairQueue<Waiter> = FairQueue.make()
  /** Who waits for a time, by arrival. */
  private readonly parked: Readonly<Record<FairQueue.Priority, Set<FairQueue.Entry<Waiter>>>> = {
    critical: new Set(),
    normal: new Set(),
    batch: new Set()
  }
  private readonly service: Service = { samples: 0, mean: 0, deviation: 0 }
  private readonly idle = new Set<() => void>()
  private limit = Number.POSITIVE_INFINITY
  private queueSize = 0
  private running = 0
  private isClosed = false
  private awake: Array<() => void> = []
  private timer: { readonly at: number; readonly fiber: Fiber.Fiber<void> } | undefined = undefined

  constructor(context: Context.Context<never>, options: Options) {
    this.context = context
    this.clock = Context.get(context, Clock.Clock)
    this.dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
    this.resize(options)
  }

  readonly admit = (request: LlmRequest.LlmRequest) => this.enter(request, undefined, "admit")

  readonly admitAt = (request: LlmRequest.LlmRequest, retryAt: number) => this.enter(request, retryAt, "admit")

  readonly waitUntil = (request: LlmRequest.LlmRequest, retryAt: number) =>
    Effect.asVoid(this.enter(request, retryAt, "return"))

  readonly unpark = (): void => {
    for (const priority of FairQueue.priorities) {
      for (const entry of this.parked[priority]) {
        if (entry.value.parked !== "admit") continue
        this.parked[priority].delete(entry)
        entry.value.parked = undefined
        this.line(entry)
        this.pump(this.clock.currentTimeMillisUnsafe())
        this.arm()
        return
      }
    }
  }

  readonly close = (): void => {
    if (this.isClosed) return
    this.isClosed = true
    for (const { value } of FairQueue.clear(this.queue)) {
      value.parked = undefined
      this.settle(value, Effect.fail(LlmError.make(shuttingDown)))
    }
    for (const priority of FairQueue.priorities) this.parked[priority].clear()
    this.arm()
  }

  readonly awaitIdle = Effect.callback<void>((resume) => {
    if (this.running === 0) return resume(Effect.void)
    const wake = () => resume(Effect.void)
    this.idle.add(wake)
    return Effect.sync(() => void this.idle.delete(wake))
  })

  readonly resize = (options: Options): void => {
    const { maxConcurrentRequests, queueSize = Plans.defaults.wrapper.queueSize, tenants = {} } = options
    const limit =
      maxConcurrentRequests === undefined
        ? Number.POSITIVE_INFINITY
        : positive("maxConcurrentRequests", maxConcurrentRequests, 1)
    const room = positive("queueSize", queueSize, 0)
    FairQueue.setWeights(this.queue, tenants)
    this.limit = limit
    this.queueSize = room
    this.pump(this.clock.currentTimeMillisUnsafe())
    this.arm()
  }

  readonly snapshot = (): Snapshot => {
    const count = (priority: FairQueue.Priority) => FairQueue.size(this.queue, priority) + this.parked[priority].size
    return {
      running: this.running,
      waiting: this.waiting(),
      waitingByPriority: { critical: count("critical"), normal: count("normal"), batch: count("batch") },
      parked: this.parkedNow(),
      limit: this.limit === Number.POSITIVE_INFINITY ? undefined : this.limit,
      queueSize: this.queueSize
    }
  }

  private enter(request: LlmRequest.LlmRequest, retryAt: number | undefined, then: "admit" | "return"): Result {
    return Effect.suspend(() => {
      let leave = () => {}
      const wait = Effect.suspend((): Result => {
        const now = this.clock.currentTimeMillisUnsafe()
        this.pump(now)
        const wanted = retryAt !== undefined && retryAt > now ? retryAt : undefined
        // Whoever is less urgent than those who wait for capacity waits behind them.
        const until = wanted ?? (then === "admit" ? this.behind(request.metadata.priority ?? "normal", now) : undefined)
        const refused = this.refusal(request, now, until)
        if (refused !== undefined) return Effect.fail(LlmError.make(refused))
        if (until === undefined && then === "return") return Effect.succeed(nothing)
        if (until === undefined && this.running < this.limit) return Effect.succeed(this.grant(now))
        const entry = this.join(request, until, then)
        const waiter = entry.value
        leave = () => this.leave(entry)
        return Effect.interruptible(
          Effect.callback<Slot, LlmError.LlmError>((resume) => {
            if (waiter.result === undefined) waiter.resume = resume
            else resume(waiter.result)
          })
        )
      })
      // It stands outside of all that can be interrupted, so that there is no moment without it.
      return Effect.onInterrupt(wait, () => Effect.sync(() => leave()))
    })
  }

  /** When the first of the more urgent that wait for capacity looks again. */
  private behind(priority: FairQueue.Priority, now: number): number | undefined {
    let at: number | undefined
    for (const above of FairQueue.priorities) {
      if (above === priority) break
      for (const entry of this.parked[above]) {
        if (entry.value.parked === "admit" && entry.at > now) at = Math.min(at ?? entry.at, entry.at)
      }
    }
    return at
  }

  /** Who takes the turn that has come: of those more urgent who wait for capacity, the one that came first. */
  private turn(due: FairQueue.Entry<Waiter>): FairQueue.Entry<Waiter> {
    for (const priority of FairQueue.priorities) {
      if (priority === due.priority) break
      for (const entry of this.parked[priority]) {
        // Whose turn is taken must still have time for the other's.
        if (entry.value.parked === "admit" && entry.at < (due.value.deadline ?? Number.POSITIVE_INFINITY)) return entry
      }
    }
    return due
  }

  private join(request: LlmRequest.LlmRequest, until: number | undefined, then: "admit" | "return") {
    const { priority = "normal", tenant } = request.metadata
    const waiter: Waiter = {
      deadline: request.deadline,
      parked: until === undefined ? undefined : then,
      resume: undefined,
      result: undefined,
      slot: undefined
    }
    const entry = FairQueue.entry(waiter, priority, tenant)
    if (until === undefined) this.line(entry)
    else {
      this.parked[priority].add(entry)
      FairQueue.schedule(this.queue, entry, until)
    }
    this.arm()
    return entry
  }

  /** Why a request is turned away at once, if it is. */
  private refusal(
    request: LlmRequest.LlmRequest,
    now: number,
    until: number | undefined
  ): LlmError.Options | undefined {
    const { deadline, metadata } = request
    if (this.isClosed) return shuttingDown
    if (deadline !== undefined && deadline <= now) return { reason: { _tag: "DeadlineExceeded" } }
    if (until !== undefined && deadline !== undefined && deadline <= until) {
      return { reason: { _tag: "NoCapacity", retryAt: until }, detail: "the deadline comes first", retryAt: until }
    }
    if (until === undefined && this.running < this.limit) return undefined
    if (this.waiting() >= this.queueSize) {
      return {
        reason: { _tag: "QueueFull" },
        detail: `${this.running} requests run and ${this.waiting()} of ${this.queueSize} wait`
      }
    }
    if (until !== undefined || deadline === undefined || this.service.samples < minSamples) return undefined
    const ahead = FairQueue.ahead(this.queue, metadata.priority ?? "normal", metadata.tenant)
    const wait = leastWait(this.service, ahead, this.limit)
    if (wait <= deadline - now) return undefined
    return {
      reason: { _tag: "QueueFull" },
      detail: `the wait behind ${ahead} requests is estimated at ${Math.round(wait)} ms or more, the time left is ${Math.round(deadline - now)} ms`
    }
  }

  private waiting(): number {
    let found = this.parkedNow()
    for (const priority of FairQueue.priorities) found += FairQueue.size(this.queue, priority)
    return found
  }

  private parkedNow(): number {
    return this.parked.critical.size + this.parked.normal.size + this.parked.batch.size
  }

  private line(entry: FairQueue.Entry<Waiter>): void {
    FairQueue.add(this.queue, entry)
    FairQueue.schedule(this.queue, entry, entry.value.deadline ?? Number.POSITIVE_INFINITY)
  }

  private grant(now: number): Slot {
    let isHeld = true
    this.running += 1
    return {
      release: () => {
        if (!isHeld) return
        isHeld = false
        this.running -= 1
        const at = this.clock.currentTimeMillisUnsafe()
        learn(this.service, at - now)
        this.pump(at)
        this.arm()
        if (this.running > 0) return
        for (const wake of this.idle) this.wake(wake)
        this.idle.clear()
      }
    }
  }

  /** Ends the waits whose time has come, then hands out what is free. The order keeps slots from the late. */
  private pump(now: number): void {
    for (let due = FairQueue.due(this.queue, now); due !== undefined; due = FairQueue.due(this.queue, now)) {
      const entry = due.value.parked === "admit" ? this.turn(due) : due
      // Whose turn was taken has the other's.
      if (entry !== due) FairQueue.schedule(this.queue, due, entry.at)
      const waiter = entry.value
      const { parked } = waiter
      FairQueue.remove(this.queue, entry)
      if (parked !== undefined) {
        waiter.parked = undefined
        this.parked[entry.priority].delete(entry)
      }
      if (parked === "admit") this.line(entry)
      else if (parked === "return") this.settle(waiter, Effect.succeed(nothing))
      else {
        const late: LlmError.Options = {
          reason: { _tag: "DeadlineExceeded" },
          detail: "while it waited to be admitted"
        }
        this.settle(waiter, Effect.fail(LlmError.make(late)))
      }
    }
    while (this.running < this.limit) {
      const entry = FairQueue.next(this.queue)
      if (entry === undefined) {
        FairQueue.forgive(this.queue)
        return
      }
      const slot = this.grant(now)
      entry.value.slot = slot
      this.settle(entry.value, Effect.succeed(slot))
    }
  }

  private settle(waiter: Waiter, result: Result): void {
    waiter.result = result
    this.wake(() => waiter.resume?.(result))
  }

  /** An interrupted waiter goes, with what it may have got. */
  private leave(entry: FairQueue.Entry<Waiter>): void {
    const { slot } = entry.value
    entry.value.parked = undefined
    if (slot !== undefined) slot.release()
    FairQueue.remove(this.queue, entry)
    this.parked[entry.priority].delete(entry)
    this.arm()
  }

  private wake(wake: () => void): void {
    if (this.awake.push(wake) === 1) this.dispatcher.scheduleTask(this.rouse, 0)
  }

  private readonly rouse = (): void => {
    const awake = this.awake
    this.awake = []
    for (const wake of awake) wake()
  }

  /** Keeps the one timer asleep until the earliest time, and none when there is no time to keep. */
  private arm(): void {
    const at = FairQueue.nextAt(this.queue)
    if (this.timer !== undefined) {
      // One that wakes too early only looks and sleeps again.
      if (this.timer.at <= at && at < Number.POSITIVE_INFINITY) return
      this.timer.fiber.interruptUnsafe()
      this.timer = undefined
    }
    if (at === Number.POSITIVE_INFINITY) return
    // Never 0: the fiber must not run on before it is kept here.
    const wait = Duration.millis(Math.max(1, at - this.clock.currentTimeMillisUnsafe()))
    const expire = Effect.sync(() => {
      this.timer = undefined
      this.pump(this.clock.currentTimeMillisUnsafe())
      this.arm()
    })
    this.timer = { at, fiber: Effect.runForkWith(this.context)(Effect.andThen(Effect.sleep(wait), expire)) }
  }
}

const shuttingDown: LlmError.Options = { reason: { _tag: "NoCapacity" }, detail: "shutting down" }

/**
 * Makes a queue.
 *
 * **Details** It takes the clock and the scheduler of where it is made. It holds no resource while nobody waits.
 *
 * **Errors** A limit that is no whole number, or a weight that is not above 0, throws `RangeError`.
 *
 * @example
 * ```ts
 * import { Effect } from "effect"
 * import { AdmissionQueue, LlmRequest } from "@echelon/core"
 *
 * const program = Effect.gen(function* () {
 *   const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 1, queueSize: 0 })
 *   const request = yield* LlmRequest.make({ prompt: "hi" }, { stream: false, commit: "finish" })
 *   const slot = yield* queue.admit(request)
 *   const error = yield* Effect.flip(queue.admit(request))
 *   console.assert(error.reason._tag === "QueueFull")
 *   slot.release()
 *   console.assert(queue.snapshot().running === 0)
 * })
 *
 * await Effect.runPromise(program)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options = {}): Effect.Effect<AdmissionQueue> =>
  Effect.map(Effect.context<never>(), (context) => new Live(context, options))
