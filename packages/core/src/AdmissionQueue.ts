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
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import { dual } from "effect/Function"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import * as FairQueue from "./FairQueue.ts"
import type * as Llm from "./Llm.ts"
import * as LlmError from "./LlmError.ts"
import type * as LlmReply from "./LlmReply.ts"
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
  private readonly parked: Record<FairQueue.Priority, number> = { critical: 0, normal: 0, batch: 0 }
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

  readonly close = (): void => {
    if (this.isClosed) return
    this.isClosed = true
    for (const { value } of FairQueue.clear(this.queue)) {
      value.parked = undefined
      this.settle(value, Effect.fail(LlmError.make(shuttingDown)))
    }
    for (const priority of FairQueue.priorities) this.parked[priority] = 0
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
    const count = (priority: FairQueue.Priority) => FairQueue.size(this.queue, priority) + this.parked[priority]
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
        const until = retryAt !== undefined && retryAt > now ? retryAt : undefined
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
      this.parked[priority] += 1
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
    return this.parked.critical + this.parked.normal + this.parked.batch
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
    for (let entry = FairQueue.due(this.queue, now); entry !== undefined; entry = FairQueue.due(this.queue, now)) {
      const waiter = entry.value
      const { parked } = waiter
      FairQueue.remove(this.queue, entry)
      if (parked !== undefined) {
        waiter.parked = undefined
        this.parked[entry.priority] -= 1
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
    const { parked, slot } = entry.value
    entry.value.parked = undefined
    if (slot !== undefined) slot.release()
    FairQueue.remove(this.queue, entry)
    if (parked !== undefined) this.parked[entry.priority] -= 1
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

/** How long a request without a deadline may wait for capacity to come back, in all, in milliseconds. */
const patience = 60_000

/** The shortest wait before capacity is looked for again, in milliseconds. */
const leastPark = 10

/**
 * When to look for capacity again: not before the time named, and spread upwards over a tenth of the wait, 1 s at
 * most, so that those told the same time do not come back as one. `undefined` when there is no time for it.
 */
const lookAgainAt = (retryAt: number, now: number, end: number, random: () => number): number | undefined => {
  const from = Math.max(retryAt, now + leastPark)
  if (from >= end) return undefined
  // Whole milliseconds: a sum of fractions may end before its time.
  return from + Math.floor(random() * Math.min(1_000, (from - now) / 10, (end - from) / 2))
}

type Answer = Effect.Effect<LlmReply.LlmReply, LlmError.LlmError, Scope.Scope>

/**
 * Calls while it holds a slot, in a fork of the caller's scope. A success that is thrown away by an interruption
 * ends with the fork, so that no reply streams on without a slot. Nothing waits for the fork to close.
 */
const held = (slot: Slot, call: (scope: Scope.Scope) => Effect.Effect<LlmReply.LlmReply, LlmError.LlmError>): Answer =>
  Effect.withFiber<LlmReply.LlmReply, LlmError.LlmError, Scope.Scope>((caller) => {
    const context = caller.context as Context.Context<Scope.Scope>
    const scope = Scope.forkUnsafe(Context.get(context, Scope.Scope))
    const end = () => {
      slot.release()
      const closing = Scope.closeUnsafe(scope, Exit.void)
      if (closing !== undefined) Effect.runForkWith(context)(closing)
    }
    return Effect.matchCauseEffect(call(scope), {
      onSuccess: (reply) => {
        reply.attempt.onSettle(end)
        return Effect.succeed(reply)
      },
      onFailure: (cause) => {
        end()
        return Effect.failCause(cause)
      }
    })
  })

/**
 * Admits requests to an `Llm` through a queue.
 *
 * **Details** A request waits without a scope or a fiber of its own. Once admitted it runs in a fork of the
 * caller's scope, and its slot is free when the reply's attempt has ended: with the parts, not at commit.
 *
 * When the `Llm` says `NoCapacity` and from when on there will be some, the request gives its slot back, waits in
 * the queue until then and tries again, as long as its deadline allows; without a deadline for 60 s in all.
 * Nothing was attempted, so nothing of the budget is spent.
 *
 * **Ordering** Below what sets the deadline, so that waiting counts against it; above all retries, so that a
 * request is admitted once.
 *
 * **Errors** Those of the queue. A request that finds no room to wait for capacity fails with the `NoCapacity`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withAdmission: {
  (queue: AdmissionQueue): (self: Llm.Llm) => Llm.Llm
  (self: Llm.Llm, queue: AdmissionQueue): Llm.Llm
} = dual(
  2,
  (self: Llm.Llm, queue: AdmissionQueue): Llm.Llm => ({
    id: self.id,
    capabilities: self.capabilities,
    call: (request) =>
      Effect.uninterruptibleMask((restore) => {
        const ask = (admission: Effect.Effect<Slot, LlmError.LlmError>, until: number | undefined): Answer =>
          Effect.flatMap(admission, (slot) =>
            Effect.catch(
              held(slot, (scope) =>
                restore(
                  Scope.provide(
                    Effect.suspend(() => self.call(request)),
                    scope
                  )
                )
              ),
              (error) => park(error, until)
            )
          )
        const park = (error: LlmError.LlmError, until: number | undefined): Answer => {
          const retryAt = error.reason._tag === "NoCapacity" ? (error.reason.retryAt ?? error.retryAt) : undefined
          if (retryAt === undefined) return Effect.fail(error)
          return Effect.flatMap(Effect.all([Clock.currentTimeMillis, Random.Random]), ([now, random]) => {
            const end = request.deadline ?? until ?? now + patience
            const at = lookAgainAt(retryAt, now, end, () => random.nextDoubleUnsafe())
            if (at === undefined) return Effect.fail(error)
            const again = Effect.mapError(queue.admitAt(request, at), (refused) =>
              refused.reason._tag === "QueueFull"
                ? error
                : LlmError.update(refused, { detail: `${refused.detail}; before that ${error.message}`, retryAt })
            )
            return ask(again, end)
          })
        }
        return ask(queue.admit(request), undefined)
      })
  })
)
