import { type LlmError, LlmRequest } from "@echelon/core"
import * as AdmissionQueue from "@echelon/core/AdmissionQueue"
import type * as FairQueue from "@echelon/core/FairQueue"
import { expect, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Fiber, Random, Scheduler, Schema } from "effect"
import { TestClock } from "effect/testing"

const ask = (metadata: LlmRequest.Metadata = {}) =>
  LlmRequest.make({ prompt: "hi", metadata }, { stream: false, commit: "finish" })

/** Lets woken fibers run. */
const settle = Effect.andThen(Effect.yieldNow, Effect.yieldNow)

/** A request that holds its slot until it is told to end. */
const enter = Effect.fnUntraced(function* (
  admission: Effect.Effect<AdmissionQueue.Slot, LlmError.LlmError>,
  onSlot: () => void = () => {}
) {
  let held: AdmissionQueue.Slot | undefined
  let finish = () => {}
  const fiber = yield* Effect.forkChild(
    Effect.acquireUseRelease(
      admission,
      (slot) =>
        Effect.callback<void>((resume) => {
          held = slot
          finish = () => resume(Effect.void)
          onSlot()
        }),
      (slot) =>
        Effect.sync(() => {
          held = undefined
          slot.release()
        })
    ),
    { startImmediately: true }
  )
  return {
    fiber,
    isHolding: () => held !== undefined,
    /** Releases at once, and again when the fiber ends. */
    end: () => {
      held?.release()
      held = undefined
      finish()
    },
    failure: Effect.map(
      Effect.flip(Fiber.join(fiber)),
      (error) => [error.reason._tag, error.message, error.reason] as const
    )
  }
})

const enterAs = (queue: AdmissionQueue.AdmissionQueue, metadata: LlmRequest.Metadata = {}, onSlot?: () => void) =>
  Effect.flatMap(ask(metadata), (request) => enter(queue.admit(request), onSlot))

const counts = (queue: AdmissionQueue.AdmissionQueue) => {
  const { parked, running, waiting } = queue.snapshot()
  return { running, waiting, parked }
}

/** A clock that stands still and whose sleeps never end, with books. */
const still = () => {
  const state = { now: 1_000, asleep: 0, slept: 0 }
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: () => state.now,
    currentTimeMillis: Effect.sync(() => state.now),
    currentTimeNanosUnsafe: () => BigInt(state.now) * 1_000_000n,
    currentTimeNanos: Effect.sync(() => BigInt(state.now) * 1_000_000n),
    monotonicTimeNanosUnsafe: () => BigInt(state.now) * 1_000_000n,
    monotonicTimeNanos: Effect.sync(() => BigInt(state.now) * 1_000_000n),
    sleep: () =>
      Effect.callback<void>(() => {
        state.asleep += 1
        state.slept += 1
        return Effect.sync(() => {
          state.asleep -= 1
        })
      })
  }
  return { state, clock }
}

it.effect("so many run, so many wait, the rest fail at once; a freed slot passes on in the same call", () =>
  Effect.gen(function* () {
    const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 2, queueSize: 1 })
    const [one, two, three] = [yield* enterAs(queue), yield* enterAs(queue), yield* enterAs(queue)]
    const four = yield* enterAs(queue)
    expect((yield* four.failure).slice(0, 2)).toEqual(["QueueFull", "queue full: 2 requests run and 1 of 1 wait"])
    expect(queue.snapshot()).toEqual({
      running: 2,
      waiting: 1,
      waitingByPriority: { critical: 0, normal: 1, batch: 0 },
      parked: 0,
      limit: 2,
      queueSize: 1
    })
    one.end()
    one.end()
    expect([counts(queue), three.isHolding()]).toEqual([{ running: 2, waiting: 0, parked: 0 }, false])
    yield* settle
    expect(three.isHolding()).toBe(true)
    two.end()
    three.end()
    expect(counts(queue)).toEqual({ running: 0, waiting: 0, parked: 0 })
  })
)

it.effect("without a limit nothing waits", () =>
  Effect.gen(function* () {
    const queue = yield* AdmissionQueue.make()
    for (let i = 0; i < 50; i++) expect((yield* enterAs(queue)).isHolding()).toBe(true)
    expect([queue.snapshot().running, queue.snapshot().limit]).toEqual([50, undefined])
  })
)

it.effect("those who wait go by priority, then fairly between tenants", () =>
  Effect.gen(function* () {
    const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 1, queueSize: 20, tenants: { paid: 2 } })
    const order: Array<string> = []
    const all = [yield* enterAs(queue)]
    const add = (tenant: string, priority?: FairQueue.Priority) =>
      Effect.map(
        enterAs(queue, { tenant, priority }, () => order.push(`${tenant}/${priority ?? "-"}`)),
        (entered) => all.push(entered)
      )
    yield* add("x", "batch")
    for (let i = 0; i < 4; i++) yield* add("free")
    for (let i = 0; i < 4; i++) yield* add("paid")
    yield* add("x", "critical")
    for (let i = 0; i < 10; i++) {
      all.find((entered) => entered.isHolding())?.end()
      yield* settle
    }
    expect(order).toEqual([
      "x/critical",
      ...["free/-", "paid/-", "paid/-", "free/-", "paid/-", "paid/-", "free/-", "free/-"],
      "x/batch"
    ])
  })
)

it.effect("nothing waits past its deadline, and nothing starts after it", () =>
  Effect.gen(function* () {
    const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 1, queueSize: 5 })
    const running = yield* enterAs(queue)
    const late = yield* ask({ timeout: "1 second" })
    const one = yield* enterAs(queue, { timeout: "3 seconds" })
    const two = yield* enterAs(queue, { timeout: "2 seconds" })
    yield* TestClock.adjust(1_000)
    expect((yield* Effect.flip(queue.admit(late))).message).toBe("deadline exceeded")
    yield* TestClock.adjust(999)
    expect(counts(queue).waiting).toBe(2)
    yield* TestClock.adjust(1)
    expect(counts(queue).waiting).toBe(1)
    expect((yield* two.failure)[1]).toBe("deadline exceeded: while it waited to be admitted")
    yield* TestClock.adjust(1_000)
    expect((yield* one.failure)[0]).toBe("DeadlineExceeded")
    running.end()
    expect((yield* Effect.flip(queue.admit(late))).reason._tag).toBe("DeadlineExceeded")
    expect(counts(queue)).toEqual({ running: 0, waiting: 0, parked: 0 })
  })
)

it.effect("a late timer gives nobody a slot after the deadline, nor takes room from who comes", () =>
  Effect.gen(function* () {
    const { clock, state } = still()
    yield* Effect.gen(function* () {
      const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 1, queueSize: 1 })
      const running = yield* enterAs(queue)
      const one = yield* enterAs(queue, { timeout: 10 })
      state.now += 10
      const two = yield* enterAs(queue, { timeout: 10 })
      expect((yield* one.failure)[0]).toBe("DeadlineExceeded")
      state.now += 10
      running.end()
      yield* settle
      expect([(yield* two.failure)[0], counts(queue).running]).toEqual(["DeadlineExceeded", 0])
    }).pipe(Effect.provideService(Clock.Clock, clock))
  })
)

it.effect("one timer serves all who wait, and none is left when nobody has a time", () =>
  Effect.gen(function* () {
    const { clock, state } = still()
    yield* Effect.gen(function* () {
      const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 1, queueSize: 1_000 })
      const running = yield* enterAs(queue)
      const all = []
      for (let i = 0; i < 200; i++) {
        all.push(yield* enterAs(queue, { timeout: 5_000 + ((i * 7_919) % 1_000) }))
        expect(state.asleep).toBe(1)
      }
      // It is set anew only for an earlier time.
      expect(state.slept).toBeLessThan(10)
      const forEver = yield* enterAs(queue)
      for (const entered of all) yield* Fiber.interrupt(entered.fiber)
      expect([state.asleep, counts(queue).waiting]).toEqual([0, 1])
      running.end()
      yield* settle
      expect(forEver.isHolding()).toBe(true)
    }).pipe(Effect.provideService(Clock.Clock, clock))
  })
)

/** Serves `n` requests of the given length, so that the queue knows how long they take. */
const teach = (queue: AdmissionQueue.AdmissionQueue, n: number, millis: number) =>
  Effect.gen(function* () {
    for (let i = 0; i < n; i++) {
      const one = yield* enterAs(queue)
      yield* TestClock.adjust(millis)
      one.end()
    }
  })

it.effect("what cannot start in time fails at once, by half the estimate and not before ten samples", () =>
  Effect.gen(function* () {
    const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 1, queueSize: 50 })
    yield* teach(queue, 9, 1_000)
    const running = yield* enterAs(queue)
    for (let i = 0; i < 10; i++) yield* enterAs(queue)
    const untaught = yield* enterAs(queue, { timeout: 1 })
    expect(counts(queue).waiting).toBe(11)
    yield* TestClock.adjust(1)
    expect((yield* untaught.failure)[0]).toBe("DeadlineExceeded")
    yield* TestClock.adjust(999)
    running.end()
    yield* settle
    // Nine wait; five seconds is half of ten, the whole of the wait at the least.
    for (let i = 0; i < 2; i++) yield* enterAs(queue)
    const kept = yield* enterAs(queue, { timeout: 5_500 })
    expect(counts(queue).waiting).toBe(12)
    const refused = yield* enterAs(queue, { timeout: 5_900 })
    expect((yield* refused.failure).slice(0, 2)).toEqual([
      "QueueFull",
      "queue full: the wait behind 12 requests is estimated at 6000 ms or more, the time left is 5900 ms"
    ])
    // Another tenant, or a higher class, stands elsewhere in the order.
    yield* enterAs(queue, { timeout: 1_000, tenant: "other" })
    yield* enterAs(queue, { timeout: 1_000, priority: "critical" })
    expect(counts(queue).waiting).toBe(14)
    yield* Fiber.interrupt(kept.fiber)
  })
)

it.effect("where service times differ widely the estimate is held back", () =>
  Effect.gen(function* () {
    const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 1, queueSize: 50 })
    for (let i = 0; i < 20; i++) yield* teach(queue, 1, i % 2 === 0 ? 1 : 2_000)
    yield* enterAs(queue)
    for (let i = 0; i < 4; i++) yield* enterAs(queue)
    yield* enterAs(queue, { timeout: 10 })
    expect(counts(queue).waiting).toBe(5)
  })
)

it.effect("one quick answer does not change the estimate much", () =>
  Effect.gen(function* () {
    const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 1, queueSize: 50 })
    yield* teach(queue, 20, 1_000)
    yield* teach(queue, 1, 1)
    for (let i = 0; i < 11; i++) yield* enterAs(queue)
    expect((yield* (yield* enterAs(queue, { timeout: "3 seconds" })).failure)[0]).toBe("QueueFull")
  })
)

const upTo = (maximum: number, minimum = 0) => Schema.Int.check(Schema.isBetween({ minimum, maximum }))

it.effect("refuses nobody who would have started in time", () =>
  Effect.gen(function* () {
    const service = 1_000
    let refused = 0
    for (let run = 0; run < 24; run++) {
      const limit = 1 + (run % 4)
      const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: limit, queueSize: 1_000 })
      yield* teach(queue, 10, service)
      const ends: Array<number> = []
      const all: Array<{ readonly deadline: number; started: boolean; fiber?: Fiber.Fiber<void, LlmError.LlmError> }> =
        []
      for (let i = 0; i < 60; i++) {
        yield* TestClock.adjust(yield* Random.nextIntBetween(0, 250 / limit))
        yield* settle
        const now = yield* Clock.currentTimeMillis
        const left = yield* Random.nextIntBetween(1, 12_000)
        // What would become of it: those ahead start in turn, or go at their deadlines.
        const free = ends.filter((end) => end > now)
        while (free.length < limit) free.push(now)
        const first = () => Math.min(...free)
        for (const { deadline, fiber, started } of all) {
          if (started || fiber?.pollUnsafe() !== undefined || deadline <= first()) continue
          free.splice(free.indexOf(first()), 1, first() + service)
        }
        const request = yield* ask({ timeout: left })
        const one: (typeof all)[number] = { deadline: now + left, started: false }
        const use = Effect.flatMap(Clock.currentTimeMillis, (at) => {
          one.started = true
          ends.push(at + service)
          return Effect.sleep(service)
        })
        one.fiber = yield* Effect.forkChild(
          Effect.acquireUseRelease(
            queue.admit(request),
            () => use,
            (slot) => Effect.sync(slot.release)
          ),
          { startImmediately: true }
        )
        all.push(one)
        const exit = one.fiber.pollUnsafe()
        if (exit === undefined || Exit.isSuccess(exit)) continue
        expect(Cause.findErrorOption(exit.cause)).toMatchObject({ value: { reason: { _tag: "QueueFull" } } })
        expect(first()).toBeGreaterThanOrEqual(now + left)
        refused += 1
      }
    }
    expect(refused).toBeGreaterThan(100)
  }).pipe(Random.withSeed("arrivals"))
)

it.effect("who took what nobody else wanted owes nothing for it", () =>
  Effect.gen(function* () {
    const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 1, queueSize: 9, tenants: { slow: 0.1 } })
    const order: Array<string> = []
    const all: Array<Effect.Success<ReturnType<typeof enter>>> = []
    const add = (tenant: string) =>
      Effect.map(
        enterAs(queue, { tenant }, () => order.push(tenant)),
        (one) => all.push(one)
      )
    const serve = Effect.gen(function* () {
      for (
        let one = all.find((each) => each.isHolding());
        one !== undefined;
        one = all.find((each) => each.isHolding())
      ) {
        one.end()
        yield* settle
      }
    })
    for (const tenant of ["x", "slow", "x"]) yield* add(tenant)
    yield* serve
    for (const tenant of ["x", "slow", "x", "x"]) yield* add(tenant)
    yield* serve
    expect(order).toEqual(["x", "slow", "x", "x", "slow", "x", "x"])
  })
)

it.effect("an interrupted waiter leaves, also between being given a slot and hearing of it", () =>
  Effect.gen(function* () {
    const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 1, queueSize: 5 })
    const [one, two, three, four] = [
      yield* enterAs(queue),
      yield* enterAs(queue),
      yield* enterAs(queue, { timeout: "1 minute" }),
      yield* enterAs(queue)
    ]
    three.fiber.interruptUnsafe()
    expect(counts(queue)).toEqual({ running: 1, waiting: 2, parked: 0 })
    one.end()
    // The slot is two's, and two does not know.
    expect([counts(queue), two.isHolding()]).toEqual([{ running: 1, waiting: 1, parked: 0 }, false])
    two.fiber.interruptUnsafe()
    expect(counts(queue)).toEqual({ running: 1, waiting: 0, parked: 0 })
    yield* settle
    expect([two.isHolding(), four.isHolding()]).toEqual([false, true])
    four.end()
    expect(counts(queue).running).toBe(0)
  })
)

it.effect("an interruption, a release or a close at any step loses nothing", () =>
  Effect.gen(function* () {
    const request = yield* ask({ timeout: "1 minute" })
    const acts = ["interrupt", "release", "release and interrupt", "close", "released, then interrupt"] as const
    for (let run = 0; run < 5 * 8 * 12; run++) {
      const act = acts[run % 5] ?? "close"
      const [offset, after] = [Math.floor(run / 5) % 8, Math.floor(run / 40)]
      const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 1, queueSize: 5 })
      const running = yield* queue.admit(request)
      if (act.startsWith("released")) running.release()
      let got: AdmissionQueue.Slot | undefined
      // The scheduler takes the fiber away after every few operations, wherever that is.
      let admit = Effect.map(queue.admit(request), (slot) => {
        got = slot
      })
      // Where a slot may come, whoever is to release it must not be cut off from it.
      if (act.startsWith("release")) admit = Effect.uninterruptible(admit)
      for (let i = 0; i < offset; i++)
        admit = Effect.andThen(
          Effect.suspend(() => Effect.void),
          admit
        )
      const fiber = yield* Effect.forkChild(Effect.provideService(admit, Scheduler.MaxOpsBeforeYield, 3 + (run % 3)), {
        startImmediately: true
      })
      for (let i = 0; i < after; i++) yield* Effect.yieldNow
      if (act.startsWith("release")) running.release()
      if (act.endsWith("interrupt")) fiber.interruptUnsafe()
      if (act === "close") queue.close()
      const exit = yield* Fiber.await(fiber)
      const { running: inUse, waiting } = queue.snapshot()
      expect([run, waiting, inUse]).toEqual([run, 0, (act.startsWith("release") ? 0 : 1) + (got === undefined ? 0 : 1)])
      if (act === "release") expect([run, Exit.isSuccess(exit)]).toEqual([run, true])
      running.release()
      got?.release()
      expect([run, counts(queue)]).toEqual([run, { running: 0, waiting: 0, parked: 0 }])
    }
  })
)

it.effect("waiting can be interrupted where the caller cannot", () =>
  Effect.gen(function* () {
    const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 1, queueSize: 5 })
    yield* enterAs(queue)
    const fiber = yield* Effect.forkChild(Effect.uninterruptible(Effect.flatMap(ask(), queue.admit)), {
      startImmediately: true
    })
    expect(counts(queue).waiting).toBe(1)
    yield* Fiber.interrupt(fiber)
    expect(counts(queue)).toEqual({ running: 1, waiting: 0, parked: 0 })
  })
)

it.effect("a long chain of hand-overs does not nest", () =>
  Effect.gen(function* () {
    const n = 20_000
    const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 1, queueSize: n })
    const first = yield* enterAs(queue)
    const request = yield* ask()
    const fibers: Array<Fiber.Fiber<void, LlmError.LlmError>> = []
    for (let i = 0; i < n; i++) {
      fibers.push(
        yield* Effect.forkChild(
          Effect.acquireUseRelease(
            queue.admit(request),
            () => Effect.void,
            (slot) => Effect.sync(slot.release)
          ),
          { startImmediately: true }
        )
      )
    }
    expect(counts(queue).waiting).toBe(n)
    first.end()
    for (const fiber of fibers) yield* Fiber.join(fiber)
    expect(counts(queue)).toEqual({ running: 0, waiting: 0, parked: 0 })
  })
)

it.effect("parks until a time: in the queue's room, without a slot, not when the deadline comes first", () =>
  Effect.gen(function* () {
    const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 1, queueSize: 2 })
    const request = yield* ask({ timeout: "10 seconds", priority: "batch" })
    const early = yield* Effect.flip(queue.waitUntil(request, 10_000))
    expect([early.reason, early.message]).toEqual([
      { _tag: "NoCapacity", retryAt: 10_000 },
      "no capacity: the deadline comes first"
    ])
    const one = yield* Effect.forkChild(queue.waitUntil(request, 2_000), { startImmediately: true })
    const two = yield* Effect.forkChild(queue.waitUntil(request, 9_000), { startImmediately: true })
    expect(queue.snapshot()).toMatchObject({
      running: 0,
      waiting: 2,
      parked: 2,
      waitingByPriority: { critical: 0, normal: 0, batch: 2 }
    })
    expect((yield* Effect.flip(queue.waitUntil(request, 3_000))).reason._tag).toBe("QueueFull")
    const running = yield* enterAs(queue)
    expect((yield* (yield* enterAs(queue)).failure)[0]).toBe("QueueFull")
    yield* TestClock.adjust(1_999)
    expect(one.pollUnsafe()).toBeUndefined()
    yield* TestClock.adjust(1)
    expect(one.pollUnsafe()).toEqual(Exit.void)
    yield* Fiber.interrupt(two)
    expect(counts(queue)).toEqual({ running: 1, waiting: 0, parked: 0 })
    // A time that has passed is no wait.
    yield* queue.waitUntil(request, 1_000)
    running.end()
  })
)

it.effect("waits until a time and then for a slot, and keeps its room in between", () =>
  Effect.gen(function* () {
    const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 1, queueSize: 3 })
    const running = yield* enterAs(queue)
    const request = yield* ask({ timeout: "5 seconds" })
    const [one, two] = [yield* enter(queue.admitAt(request, 1_000)), yield* enter(queue.admitAt(request, 2_000))]
    const gone = yield* enter(queue.admitAt(request, 500))
    yield* TestClock.adjust(999)
    expect(counts(queue)).toEqual({ running: 1, waiting: 3, parked: 2 })
    gone.fiber.interruptUnsafe()
    expect(counts(queue)).toEqual({ running: 1, waiting: 2, parked: 2 })
    yield* TestClock.adjust(1)
    expect(counts(queue)).toEqual({ running: 1, waiting: 2, parked: 1 })
    running.end()
    yield* settle
    expect(one.isHolding()).toBe(true)
    yield* TestClock.adjust(4_000)
    expect((yield* two.failure)[0]).toBe("DeadlineExceeded")
    one.end()
    // With a slot free it starts at its time.
    const three = yield* enter(queue.admitAt(yield* ask(), 6_000))
    expect(counts(queue)).toEqual({ running: 0, waiting: 1, parked: 1 })
    yield* TestClock.adjust(1_000)
    expect([three.isHolding(), counts(queue).running]).toEqual([true, 1])
  })
)

it.effect("closing turns away who waits and who comes; who runs goes on, and its end is heard", () =>
  Effect.gen(function* () {
    const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 2, queueSize: 5 })
    yield* queue.awaitIdle
    const [other, running] = [yield* enterAs(queue), yield* enterAs(queue)]
    const waiting = yield* enterAs(queue, { timeout: "1 minute" })
    const parked = yield* Effect.forkChild(
      Effect.flatMap(ask(), (request) => queue.waitUntil(request, 5_000)),
      {
        startImmediately: true
      }
    )
    const idle = yield* Effect.forkChild(queue.awaitIdle, { startImmediately: true })
    const impatient = yield* Effect.forkChild(queue.awaitIdle, { startImmediately: true })
    queue.close()
    queue.close()
    other.end()
    yield* settle
    expect(counts(queue)).toEqual({ running: 1, waiting: 0, parked: 0 })
    expect((yield* waiting.failure)[1]).toBe("no capacity: shutting down")
    expect((yield* Effect.flip(Fiber.join(parked))).message).toBe("no capacity: shutting down")
    expect((yield* (yield* enterAs(queue)).failure)[0]).toBe("NoCapacity")
    yield* Fiber.interrupt(impatient)
    expect([running.isHolding(), idle.pollUnsafe()]).toEqual([true, undefined])
    running.end()
    yield* settle
    expect(idle.pollUnsafe()).toEqual(Exit.void)
    expect((yield* (yield* enterAs(queue)).failure)[0]).toBe("NoCapacity")
  })
)

it.effect("a change of limits applies in place", () =>
  Effect.gen(function* () {
    const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 1, queueSize: 3 })
    const all = []
    for (let i = 0; i < 4; i++) all.push(yield* enterAs(queue))
    queue.resize({ maxConcurrentRequests: 3, queueSize: 0 })
    expect(queue.snapshot()).toMatchObject({ running: 3, waiting: 1, limit: 3, queueSize: 0 })
    yield* settle
    expect(all.map((one) => one.isHolding())).toEqual([true, true, true, false])
    queue.resize({ maxConcurrentRequests: 1, queueSize: 9 })
    all[0]?.end()
    all[1]?.end()
    yield* settle
    expect([counts(queue), all[3]?.isHolding()]).toEqual([{ running: 1, waiting: 1, parked: 0 }, false])
    queue.resize({})
    expect(counts(queue)).toEqual({ running: 2, waiting: 0, parked: 0 })
    expect(() => queue.resize({ maxConcurrentRequests: 5, queueSize: -1 })).toThrow(RangeError)
    expect(queue.snapshot().limit).toBeUndefined()
  })
)

it("refuses limits that are none", () => {
  for (const maxConcurrentRequests of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY])
    expect(() => Effect.runSync(AdmissionQueue.make({ maxConcurrentRequests }))).toThrow(
      "maxConcurrentRequests must be"
    )
  for (const queueSize of [-1, 0.5, Number.NaN])
    expect(() => Effect.runSync(AdmissionQueue.make({ queueSize }))).toThrow("queueSize must be")
  expect(() => Effect.runSync(AdmissionQueue.make({ tenants: { a: -1 } }))).toThrow(RangeError)
})

// Random interleavings of all that can happen, with and without letting the woken run in between.

const step = Schema.Struct({
  act: Schema.Union([
    Schema.Struct({
      _tag: Schema.Literals(["admit", "admit", "admitAt", "waitUntil"]),
      timeout: upTo(400),
      until: upTo(300),
      tenant: Schema.Literals(["a", "b"]),
      priority: Schema.Literals(["critical", "normal", "batch"])
    }),
    Schema.Struct({ _tag: Schema.Literals(["interrupt", "end", "end"]), which: upTo(30) }),
    Schema.Struct({ _tag: Schema.Literal("wait"), millis: upTo(200, 1) }),
    Schema.Struct({ _tag: Schema.Literal("resize"), limit: upTo(3, 1), queueSize: upTo(6) })
  ]),
  lets: Schema.Boolean
})

it.effect.prop(
  "slots in use are live slots, within the limit; nobody is lost, woken twice or kept past a deadline",
  {
    steps: Schema.Array(step).check(Schema.isMinLength(20), Schema.isMaxLength(60)),
    limit: upTo(3, 1),
    closes: Schema.Boolean
  },
  ({ closes, limit, steps }) =>
    Effect.gen(function* () {
      const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: limit, queueSize: 6 })
      const all: Array<Effect.Success<ReturnType<typeof enter>> & { deadline: number; slots: number; holds: boolean }> =
        []
      let most = limit
      const open = () => all.filter(({ fiber }) => fiber.pollUnsafe() === undefined)
      for (const { act, lets } of steps) {
        const now = yield* Clock.currentTimeMillis
        const before = queue.snapshot()
        switch (act._tag) {
          case "admit":
          case "admitAt":
          case "waitUntil": {
            const request = yield* ask({
              tenant: act.tenant,
              priority: act.priority,
              ...(act.timeout === 0 ? {} : { timeout: act.timeout })
            })
            const books = {
              deadline: request.deadline ?? Number.POSITIVE_INFINITY,
              slots: 0,
              holds: act._tag !== "waitUntil"
            }
            const admission =
              act._tag === "admit"
                ? queue.admit(request)
                : act._tag === "admitAt"
                  ? queue.admitAt(request, now + act.until)
                  : Effect.as(queue.waitUntil(request, now + act.until), { release: () => {} })
            const entered = yield* enter(admission, () => {
              books.slots += 1
            })
            all.push(Object.assign(books, entered))
            if (before.waiting >= before.queueSize) expect(queue.snapshot().waiting).toBeLessThanOrEqual(before.waiting)
            break
          }
          case "interrupt":
            all[act.which % Math.max(1, all.length)]?.fiber.interruptUnsafe()
            break
          case "end":
            open()
              .filter((one) => one.isHolding())
              [act.which % 4]?.end()
            break
          case "wait":
            yield* TestClock.adjust(act.millis)
            break
          case "resize":
            queue.resize({ maxConcurrentRequests: act.limit, queueSize: act.queueSize })
            most = Math.max(act.limit, before.running)
        }
        const after = queue.snapshot()
        most = Math.max(after.limit ?? 0, Math.min(most, before.running))
        expect(after.running).toBeLessThanOrEqual(most)
        if (after.running < (after.limit ?? 0)) expect(after.waiting).toBe(after.parked)
        if (!lets) continue
        yield* settle
        const then = queue.snapshot()
        const at = yield* Clock.currentTimeMillis
        const waits = open().filter((one) => one.slots === 0)
        expect(then.waiting).toBe(waits.length)
        expect(then.running).toBe(all.filter((one) => one.holds && one.isHolding()).length)
        for (const one of waits) expect(one.deadline).toBeGreaterThan(at)
      }
      if (closes) queue.close()
      for (let round = 0; open().length > 0; round++) {
        expect(round).toBeLessThan(200)
        for (const one of open()) one.end()
        yield* TestClock.adjust(10)
        yield* settle
      }
      expect(counts(queue)).toEqual({ running: 0, waiting: 0, parked: 0 })
      for (const one of all) expect(one.slots).toBeLessThanOrEqual(1)
      yield* queue.awaitIdle
    }),
  { arbitrary: { runs: 300 } }
)

it.effect("capacity that comes back early lets in the most urgent that parked first, and nobody who only waits", () =>
  Effect.gen(function* () {
    const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 5, queueSize: 5 })
    const park = (metadata: LlmRequest.Metadata, then: "admitAt" | "waitUntil") =>
      Effect.flatMap(ask(metadata), (request) =>
        Effect.forkChild(Effect.asVoid(queue[then](request, 60_000)), { startImmediately: true })
      )
    const waits = yield* park({ priority: "critical" }, "waitUntil")
    const late = yield* park({ priority: "batch" }, "admitAt")
    const first = yield* park({}, "admitAt")
    const second = yield* park({}, "admitAt")
    expect(counts(queue)).toEqual({ running: 0, waiting: 4, parked: 4 })
    queue.unpark()
    yield* settle
    expect([first.pollUnsafe() !== undefined, second.pollUnsafe(), late.pollUnsafe(), waits.pollUnsafe()]).toEqual([
      true,
      undefined,
      undefined,
      undefined
    ])
    expect(counts(queue)).toEqual({ running: 1, waiting: 3, parked: 3 })
    queue.unpark()
    queue.unpark()
    queue.unpark()
    yield* settle
    expect([second.pollUnsafe() !== undefined, late.pollUnsafe() !== undefined, waits.pollUnsafe()]).toEqual([
      true,
      true,
      undefined
    ])
    yield* Fiber.interrupt(waits)
    expect(counts(queue)).toEqual({ running: 3, waiting: 0, parked: 0 })
  })
)

it.effect("capacity that comes back goes to the more urgent first, and who is less urgent waits behind them", () =>
  Effect.gen(function* () {
    const queue = yield* AdmissionQueue.make({ maxConcurrentRequests: 9, queueSize: 9 })
    const order: Array<string> = []
    const park = (name: string, priority: FairQueue.Priority, at: number | undefined) =>
      Effect.flatMap(ask({ priority }), (request) =>
        Effect.forkChild(
          Effect.map(at === undefined ? queue.admit(request) : queue.admitAt(request, at), () => void order.push(name)),
          { startImmediately: true }
        )
      )
    yield* park("batch", "batch", 1_000)
    yield* park("critical", "critical", 5_000)
    yield* park("newcomer", "batch", undefined)
    yield* park("urgent newcomer", "critical", undefined)
    yield* settle
    expect(order).toEqual(["urgent newcomer"])
    yield* TestClock.adjust(1_000)
    expect(order).toEqual(["urgent newcomer", "critical"])
    yield* TestClock.adjust(4_000)
    expect([...order].sort()).toEqual(["batch", "critical", "newcomer", "urgent newcomer"])
    expect(counts(queue)).toEqual({ running: 4, waiting: 0, parked: 0 })
  })
)
