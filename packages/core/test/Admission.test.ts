import { Llm, LlmError, LlmRequest } from "@echelon/core"
import * as Admission from "@echelon/core/Admission"
import * as AdmissionQueue from "@echelon/core/AdmissionQueue"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Cause, Clock, Effect, Exit, Fiber, Random, Scheduler, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

const ask = (metadata: LlmRequest.Metadata = {}) =>
  LlmRequest.make({ prompt: "hi", metadata }, { stream: false, commit: "finish" })

/** Lets woken fibers run. */
const settle = Effect.andThen(Effect.yieldNow, Effect.yieldNow)

const counts = (queue: AdmissionQueue.AdmissionQueue) => {
  const { parked, running, waiting } = queue.snapshot()
  return { running, waiting, parked }
}

/** A clock that stands still and whose sleeps never end, with books. */

const wrap = Effect.fnUntraced(function* (
  script: ScriptedLlm.Options["script"],
  options: AdmissionQueue.Options = { maxConcurrentRequests: 1, queueSize: 5 }
) {
  const queue = yield* AdmissionQueue.make(options)
  const scripted = yield* ScriptedLlm.make({ id: "a", script })
  return { queue, scripted, llm: Admission.withQueue(scripted.llm, queue) }
})

it.effect("a slot is held until the reply has ended, not only until commit", () =>
  Effect.gen(function* () {
    const { llm, queue, scripted } = yield* wrap(ScriptedLlm.text("one two"))
    expect([llm.id, llm.capabilities]).toEqual(["a", scripted.llm.capabilities])
    const reply = yield* Llm.open(llm, { prompt: "hi" })
    const next = yield* Effect.forkChild(Llm.generate(llm, { prompt: "hi" }), { startImmediately: true })
    expect(counts(queue)).toEqual({ running: 1, waiting: 1, parked: 0 })
    yield* Stream.runDrain(reply.parts)
    expect((yield* Fiber.join(next)).text).toBe("one two")
    // Early ends count.
    yield* Stream.runDrain(Stream.take(Llm.stream(llm, { prompt: "hi" }), 1))
    expect([counts(queue).running, scripted.open()]).toEqual([0, 0])
    expect(yield* Llm.generate(Admission.withQueue(queue)(scripted.llm), { prompt: "hi" })).toMatchObject({
      text: "one two"
    })
  })
)

it.effect("failures, defects, interruption and a scope that closes give the slot back", () =>
  Effect.gen(function* () {
    const { llm, queue, scripted } = yield* wrap((index) =>
      index === 0 ? ScriptedLlm.fails({ _tag: "Overloaded" }) : [ScriptedLlm.never]
    )
    const idle = () => expect([counts(queue), scripted.open()]).toEqual([{ running: 0, waiting: 0, parked: 0 }, 0])
    expect((yield* Effect.flip(Llm.generate(llm, { prompt: "hi" }))).reason._tag).toBe("Overloaded")
    idle()
    const fiber = yield* Effect.forkChild(Llm.generate(llm, { prompt: "hi" }), { startImmediately: true })
    expect([counts(queue).running, scripted.open()]).toEqual([1, 1])
    yield* Fiber.interrupt(fiber)
    idle()

    const throws = Admission.withQueue(
      {
        ...scripted.llm,
        call: () => {
          throw new Error("broken")
        }
      },
      queue
    )
    expect(Cause.hasDies(yield* Effect.flip(Effect.sandbox(Llm.generate(throws, { prompt: "hi" }))))).toBe(true)
    idle()

    const {
      llm: talks,
      queue: other,
      scripted: talker
    } = yield* wrap([ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "x" }), ScriptedLlm.never])
    const scope = yield* Scope.make()
    yield* Scope.provide(Llm.open(talks, { prompt: "hi" }), scope)
    expect([counts(other).running, talker.open()]).toEqual([1, 1])
    yield* Scope.close(scope, Exit.void)
    expect([counts(other).running, talker.open()]).toEqual([0, 0])
    // A scope that is closed already lets nothing start.
    yield* Effect.exit(Scope.provide(Llm.open(talks, { prompt: "hi" }), scope))
    expect([counts(other).running, talker.open()]).toEqual([0, 0])
  })
)

it.effect("a success that is thrown away by an interruption ends at once", () =>
  Effect.gen(function* () {
    const { queue, scripted } = yield* wrap([
      ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "x" }),
      ScriptedLlm.never
    ])
    // The reply has come, and the interruption with it.
    const llm = Admission.withQueue(
      {
        ...scripted.llm,
        call: (request) => Effect.andThen(scripted.llm.call(request), Effect.never)
      },
      queue
    )
    const scope = yield* Scope.make()
    const fiber = yield* Effect.forkChild(Scope.provide(Llm.open(llm, { prompt: "hi" }), scope), {
      startImmediately: true
    })
    yield* settle
    expect([counts(queue).running, scripted.open()]).toEqual([1, 1])
    yield* Fiber.interrupt(fiber)
    // The caller's scope is still open.
    expect([counts(queue).running, scripted.open()]).toEqual([0, 0])
    yield* Scope.close(scope, Exit.void)
  })
)

it.effect("an interruption at any step of a call leaves no slot and no connection", () =>
  Effect.gen(function* () {
    const { llm, queue, scripted } = yield* wrap(ScriptedLlm.text("one two"))
    for (let after = 0; after < 60; after++) {
      const generate = Llm.generate(llm, { prompt: "hi" })
      const fiber = yield* Effect.forkChild(
        Effect.provideService(generate, Scheduler.MaxOpsBeforeYield, 3 + (after % 3)),
        {
          startImmediately: true
        }
      )
      for (let i = 0; i < after; i++) yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      // Scopes close behind those who leave.
      for (let i = 0; i < 20; i++) yield* Effect.yieldNow
      expect([after, counts(queue), scripted.open()]).toEqual([after, { running: 0, waiting: 0, parked: 0 }, 0])
    }
    expect(scripted.opened()).toBeGreaterThan(10)
  })
)

it.effect("a scope that serves many calls keeps nothing of those that have ended", () =>
  Effect.gen(function* () {
    const { llm } = yield* wrap(ScriptedLlm.text("one"))
    const scope = yield* Scope.make()
    const size = () => (scope.state._tag === "Open" ? (scope.state.finalizers?.size ?? 0) : -1)
    const before = size()
    for (let i = 0; i < 3; i++) {
      const reply = yield* Scope.provide(Llm.open(llm, { prompt: "hi" }), scope)
      yield* Stream.runDrain(reply.parts)
    }
    expect(size()).toBe(before)
  })
)

const noCapacity = (retryAt: number | undefined): LlmError.LlmError =>
  LlmError.make({ reason: { _tag: "NoCapacity", retryAt }, detail: "every instance of p is cooling down" })

/** An `Llm` that has no capacity until a time, then that of a script. */
const coolsUntil = (until: () => number | undefined, scripted: ScriptedLlm.ScriptedLlm) => {
  const asked: Array<number> = []
  const llm: Llm.Llm = {
    ...scripted.llm,
    call: (request) =>
      Effect.flatMap(Clock.currentTimeMillis, (now) => {
        asked.push(now)
        const at = until()
        return at === undefined || now >= at ? scripted.llm.call(request) : Effect.fail(noCapacity(at))
      })
  }
  return { asked, llm }
}

it.effect("without capacity it gives its slot back, waits until there is some, and tries again", () =>
  Effect.gen(function* () {
    const { queue, scripted } = yield* wrap(ScriptedLlm.text("hello"))
    const { asked, llm } = coolsUntil(() => 10_000, scripted)
    const wrapped = Admission.withQueue(llm, queue)
    const fiber = yield* Effect.forkChild(
      Llm.generate(wrapped, { prompt: "hi", metadata: { timeout: "20 seconds", maxTotalAttempts: 1 } }),
      { startImmediately: true }
    )
    expect(counts(queue)).toEqual({ running: 0, waiting: 1, parked: 1 })
    yield* TestClock.adjust(9_999)
    expect(asked).toEqual([0])
    yield* TestClock.adjust(1_001)
    const answer = yield* Fiber.join(fiber)
    expect([answer.text, answer.route.length]).toEqual(["hello", 1])
    // Spread upwards only, by a tenth of the wait and at most a second.
    expect(asked[1]).toBeGreaterThanOrEqual(10_000)
    expect(asked[1]).toBeLessThan(11_000)
    expect(counts(queue)).toEqual({ running: 0, waiting: 0, parked: 0 })
  }).pipe(Random.withSeed("spread"))
)

it.effect("it waits as long as the deadline allows, and without one for a minute in all", () =>
  Effect.gen(function* () {
    const { queue, scripted } = yield* wrap(ScriptedLlm.text("hello"))
    let until = 5_000
    const { asked, llm } = coolsUntil(() => until, scripted)
    const wrapped = Admission.withQueue(llm, queue)
    const start = (metadata: LlmRequest.Metadata = {}) =>
      Effect.forkChild(Effect.flip(Llm.generate(wrapped, { prompt: "hi", metadata })), { startImmediately: true })
    const early = yield* Fiber.join(yield* start({ timeout: "5 seconds" }))
    expect([early.reason, early.message, asked]).toEqual([
      { _tag: "NoCapacity", retryAt: 5_000 },
      "no capacity: every instance of p is cooling down",
      [0]
    ])

    // Told a later time whenever it looks again.
    asked.length = 0
    const fiber = yield* start()
    for (let second = 0; second < 70; second++) {
      until = second * 1_000 + 10_000
      yield* TestClock.adjust("1 second")
    }
    const given = yield* Fiber.join(fiber)
    expect(given.reason._tag).toBe("NoCapacity")
    expect(asked.length).toBeGreaterThan(3)
    expect(Math.max(...asked)).toBeLessThan(60_000)

    // A time that has passed, again and again, is no busy loop.
    asked.length = 0
    const now = yield* Clock.currentTimeMillis
    const wrong: Llm.Llm = {
      ...scripted.llm,
      call: () =>
        Effect.andThen(
          Effect.sync(() => asked.push(0)),
          Effect.fail(noCapacity(now - 1))
        )
    }
    const looping = yield* Effect.forkChild(
      Effect.flip(Llm.generate(Admission.withQueue(wrong, queue), { prompt: "hi", metadata: { timeout: 100 } })),
      { startImmediately: true }
    )
    yield* TestClock.adjust(100)
    expect((yield* Fiber.join(looping)).reason._tag).toBe("NoCapacity")
    expect(asked.length).toBeLessThanOrEqual(10)
  }).pipe(Random.withSeed("waits"))
)

it.effect("what has no time, no room or no future fails with why", () =>
  Effect.gen(function* () {
    const { queue, scripted } = yield* wrap(ScriptedLlm.text("hello"), { maxConcurrentRequests: 1, queueSize: 1 })
    const { llm } = coolsUntil(() => 10_000, scripted)
    const wrapped = Admission.withQueue(llm, queue)
    const generate = Effect.flip(Llm.generate(wrapped, { prompt: "hi", metadata: { timeout: "11 seconds" } }))
    const first = yield* Effect.forkChild(generate, { startImmediately: true })
    expect((yield* generate).reason).toEqual({ _tag: "NoCapacity", retryAt: 10_000 })
    // Somebody else has the slot when its time has come.
    const slot = yield* Effect.flatMap(ask(), queue.admit)
    yield* TestClock.adjust("11 seconds")
    const late = yield* Fiber.join(first)
    expect([late.reason._tag, late.message, late.retryAt]).toEqual([
      "DeadlineExceeded",
      "deadline exceeded: while it waited to be admitted; before that no capacity: every instance of p is cooling down",
      10_000
    ])
    slot.release()

    const { llm: none } = coolsUntil(() => Number.NaN, scripted)
    const never: Llm.Llm = { ...none, call: () => Effect.fail(noCapacity(undefined)) }
    const error = yield* Effect.flip(Llm.generate(Admission.withQueue(never, queue), { prompt: "hi" }))
    expect(error.reason).toEqual({ _tag: "NoCapacity", retryAt: undefined })

    const { asked, llm: later } = coolsUntil(() => 90_000, scripted)
    const parked = yield* Effect.forkChild(
      Effect.flip(
        Llm.generate(Admission.withQueue(later, queue), { prompt: "hi", metadata: { timeout: "5 minutes" } })
      ),
      { startImmediately: true }
    )
    queue.close()
    expect((yield* Fiber.join(parked)).message).toContain("shutting down")
    expect(asked.length).toBe(1)
  })
)
