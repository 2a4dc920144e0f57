import { Attempt, LlmError, LlmReply, LlmRequest, Usage } from "@echelon/core"
import * as Hedge from "@echelon/core/Hedge"
import * as HedgeState from "@echelon/core/HedgeState"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Cause, Clock, Duration, Effect, Exit, Fiber, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { dice } from "./support/dice.ts"

const request = LlmRequest.make({ prompt: "hi" }, { stream: true, commit: "first_output" })
const { wait } = ScriptedLlm
const overloaded = LlmError.make({ reason: { _tag: "Overloaded" } })
const network = LlmError.make({ reason: { _tag: "Network", kind: "reset" } })

/** Says hello after so many milliseconds. */
const hello = (millis: number): ScriptedLlm.Script => [wait(millis), ...ScriptedLlm.text("hello there")]
const fails = (millis: number, error: LlmError.LlmError | LlmError.Reason): ScriptedLlm.Script => [
  wait(millis),
  ScriptedLlm.fail(error)
]

/** Two scripted instances raced with a delay of 100 ms, and when the second was asked. */
const raced = Effect.fnUntraced(function* (
  first: ScriptedLlm.Script,
  second: ScriptedLlm.Script | undefined,
  delay = 100
) {
  const a = yield* ScriptedLlm.make({ id: "a", script: first })
  const b = yield* ScriptedLlm.make({ id: "b", script: second ?? [] })
  const asked = yield* request
  const scope = yield* Scope.make()
  const asks: Array<number> = []
  const clock = yield* Clock.Clock
  const fiber = yield* Effect.forkChild(
    Scope.provide(
      Hedge.race({
        delay,
        primary: a.llm.call(asked),
        backup: () => {
          asks.push(clock.currentTimeMillisUnsafe())
          return second === undefined ? undefined : b.llm.call(asked)
        }
      }),
      scope
    ),
    { startImmediately: true }
  )
  const result = () => {
    const exit = fiber.pollUnsafe()
    if (exit === undefined) return "waiting"
    return Exit.isSuccess(exit) ? "answered" : Cause.squash(exit.cause)
  }
  const outcomes = () => [a, b].map((one) => one.calls()[0]?.outcome()?._tag ?? (one.open() > 0 ? "open" : "none"))
  return { a, b, asks, scope, fiber, result, outcomes, join: Fiber.join(fiber) }
})

/** A call that ends when the test says so, in that very moment. */
const manual = (whenAsked: (end: (exit: Exit.Exit<void, LlmError.LlmError>) => void) => void = () => {}) => {
  let attempt: Attempt.Attempt | undefined
  let end: (exit: Exit.Exit<void, LlmError.LlmError>) => void = () => {}
  const call = Attempt.open({}, (opened) => {
    attempt = opened
    return Effect.map(
      Effect.callback<void, LlmError.LlmError>((resume) => {
        end = (exit) => resume(exit)
        whenAsked(end)
      }),
      () => ({ attempt: opened })
    )
  })
  return {
    call,
    end: (exit: Exit.Exit<void, LlmError.LlmError> = Exit.void) => end(exit),
    outcome: () => (attempt === undefined ? "none" : (attempt.outcome()?._tag ?? "open")),
    scope: () => attempt?.scope.state._tag
  }
}

/** How many finalizers a scope holds. */
const held = (scope: Scope.Scope) =>
  scope.state._tag === "Open" ? (scope.state.finalizers?.size ?? (scope.state.finalizer === undefined ? 0 : 1)) : 0

/** A clock whose sleeps never end, with books. */
const still = () => {
  let asleep = 0
  let slept = 0
  const clock: Clock.Clock = {
    currentTimeMillisUnsafe: () => 0,
    currentTimeMillis: Effect.succeed(0),
    currentTimeNanosUnsafe: () => 0n,
    currentTimeNanos: Effect.succeed(0n),
    monotonicTimeNanosUnsafe: () => 0n,
    monotonicTimeNanos: Effect.succeed(0n),
    sleep: () =>
      Effect.callback<void>(() => {
        asleep += 1
        slept += 1
        return Effect.sync(() => {
          asleep -= 1
        })
      })
  }
  return { clock, asleep: () => asleep, slept: () => slept }
}

it.effect("who answers in time is alone, and its stream is read on", () =>
  Effect.gen(function* () {
    const race = yield* raced([...hello(99).slice(0, 3), wait(1_000), ...hello(0).slice(3)], hello(0))
    yield* TestClock.adjust(99)
    expect([race.result(), race.outcomes(), race.asks]).toEqual(["answered", ["open", "none"], []])
    const reply = yield* race.join
    const fiber = yield* Effect.forkChild(Stream.runCollect(reply.parts))
    yield* TestClock.adjust(10_000)
    expect(LlmReply.toAnswer(yield* Fiber.join(fiber), []).text).toBe("hello there")
    expect([race.outcomes(), race.asks, race.a.open()]).toEqual([["Completed", "none"], [], 0])
  })
)

it.effect("who is late is raced, and loses to a quicker one at once", () =>
  Effect.gen(function* () {
    const race = yield* raced([ScriptedLlm.never], hello(50))
    yield* TestClock.adjust(149)
    expect([race.result(), race.outcomes(), race.asks]).toEqual(["waiting", ["open", "open"], [100]])
    yield* TestClock.adjust(1)
    expect([race.result(), race.outcomes(), race.a.open()]).toEqual(["answered", ["Cancelled", "open"], 0])
    const reply = yield* race.join
    yield* TestClock.adjust(1_000)
    expect(LlmReply.toAnswer(yield* Stream.runCollect(reply.parts), []).text).toBe("hello there")
    expect([race.outcomes(), race.b.open(), race.asks]).toEqual([["Cancelled", "Completed"], 0, [100]])
  })
)

it.effect("the winner lives in the caller's scope, the loser does not", () =>
  Effect.gen(function* () {
    const race = yield* raced(hello(150), [ScriptedLlm.never])
    yield* TestClock.adjust(150)
    expect([race.result(), race.outcomes()]).toEqual(["answered", ["open", "Cancelled"]])
    expect([race.a.open(), race.b.open()]).toEqual([1, 0])
    yield* Scope.close(race.scope, Exit.void)
    expect([race.outcomes(), race.a.open()]).toEqual([["Cancelled", "Cancelled"], 0])
  })
)

it.effect("nobody waits for a loser that ends slowly or cannot be interrupted", () =>
  Effect.gen(function* () {
    let closed = 0
    const slow = Attempt.open({}, (attempt) =>
      Effect.gen(function* () {
        yield* Effect.addFinalizer(() =>
          Effect.andThen(
            Effect.sleep("1 hour"),
            Effect.sync(() => (closed += 1))
          )
        )
        yield* Effect.uninterruptible(Effect.sleep("2 hours"))
        return { attempt }
      })
    )
    const outside = Effect.uninterruptible(Effect.andThen(Effect.sleep("2 hours"), slow))
    for (const primary of [slow, outside]) {
      const quick = manual((end) => end(Exit.void))
      const fiber = yield* Effect.forkChild(Hedge.race({ delay: 10, primary, backup: () => quick.call }))
      yield* TestClock.adjust(10)
      expect((yield* Fiber.join(fiber)).attempt.outcome()).toBeUndefined()
      expect(quick.outcome()).toBe("open")
    }
    yield* TestClock.adjust("1 day")
    expect(closed).toBe(1)
  }).pipe(Effect.scoped)
)

it.effect("with nobody to ask the first goes on", () =>
  Effect.gen(function* () {
    const answers = yield* raced(hello(500), undefined)
    const refused = yield* raced(fails(500, overloaded), undefined)
    yield* TestClock.adjust(499)
    expect([answers.result(), refused.result(), answers.asks]).toEqual(["waiting", "waiting", [100]])
    yield* TestClock.adjust(1)
    expect([answers.result(), refused.result()]).toEqual(["answered", expect.objectContaining(overloaded)])
    expect([answers.outcomes()[0], refused.outcomes()[0]]).toEqual(["open", "Failed"])
  })
)

const cases: ReadonlyArray<
  readonly [string, ScriptedLlm.Script, ScriptedLlm.Script, number, LlmError.ReasonTag | "answered", number]
> = [
  ["fails in time: at once, nobody else asked", fails(50, overloaded), hello(0), 50, "Overloaded", 0],
  ["fails at once", [ScriptedLlm.fail(overloaded)], hello(0), 0, "Overloaded", 0],
  ["fails late: the second decides", fails(150, overloaded), hello(400), 500, "answered", 1],
  ["both fail: its error, being the earlier", fails(150, overloaded), fails(400, network), 500, "Overloaded", 1],
  ["both fail: its error, being the later", fails(500, overloaded), fails(50, network), 500, "Overloaded", 1],
  ["the second fails: it goes on", hello(500), fails(50, network), 500, "answered", 1],
  ["the second is refused: it goes on", hello(500), fails(50, { _tag: "InvalidRequest" }), 500, "answered", 1],
  ["is invalid: nobody may answer", fails(150, { _tag: "InvalidRequest" }), hello(400), 150, "InvalidRequest", 1],
  ["is refused: nobody may answer", fails(150, { _tag: "ContentPolicy" }), hello(400), 150, "ContentPolicy", 1],
  ["is past its deadline", fails(150, { _tag: "DeadlineExceeded" }), hello(400), 150, "DeadlineExceeded", 1],
  ["is too long for it: another may have room", fails(150, { _tag: "ContextLength" }), hello(400), 500, "answered", 1],
  ["had no room: another has", fails(150, { _tag: "NoCapacity" }), hello(400), 500, "answered", 1],
  ["was full: another is not", fails(150, { _tag: "QueueFull" }), hello(400), 500, "answered", 1],
  ["has no budget left", fails(150, { _tag: "BudgetExhausted", of: "attempts" }), hello(400), 500, "answered", 1]
]

it.effect.each(cases)("when the first %s", ([_, first, second, at, expected, asks]) =>
  Effect.gen(function* () {
    const race = yield* raced(first, second)
    const result = () => {
      const now = race.result()
      return LlmError.isLlmError(now) ? now.reason._tag : now
    }
    if (at > 0) {
      yield* TestClock.adjust(at - 1)
      expect(result()).toBe("waiting")
      yield* TestClock.adjust(1)
    }
    expect([result(), race.asks.length]).toEqual([expected, asks])
    expect(race.a.open() + race.b.open()).toBe(expected === "answered" ? 1 : 0)
    yield* TestClock.adjust("1 day")
    expect(race.asks.length).toBe(asks)
  })
)

it.effect("defects are raised at once, whoever has them", () =>
  Effect.gen(function* () {
    const first = yield* raced([wait(150), ScriptedLlm.die("first")], [ScriptedLlm.never])
    const second = yield* raced([ScriptedLlm.never], [wait(50), ScriptedLlm.die("second")])
    const waiting = manual()
    const asking = yield* Effect.forkChild(
      Effect.exit(
        Hedge.race({
          delay: 10,
          primary: waiting.call,
          backup: () => {
            throw new RangeError("no")
          }
        })
      )
    )
    yield* TestClock.adjust(150)
    expect([first.result(), second.result()]).toEqual(["first", "second"])
    expect([first.b.open(), second.a.open()]).toEqual([0, 0])
    expect(yield* Fiber.join(asking)).toEqual(Exit.die(new RangeError("no")))
    expect(waiting.outcome()).toBe("Cancelled")
  }).pipe(Effect.scoped)
)

it.effect("of two in one moment the first wins, and only one", () =>
  Effect.gen(function* () {
    for (const order of [
      [0, 1],
      [1, 0]
    ]) {
      const both = [manual(), manual()] as const
      const fiber = yield* Effect.forkChild(
        Hedge.race({ delay: 10, primary: both[0].call, backup: () => both[1].call })
      )
      yield* TestClock.adjust(10)
      for (const i of order) both[i === 0 ? 0 : 1].end()
      const outcomes = both.map((one) => one.outcome())
      expect([outcomes[order[0] ?? 0], outcomes[order[1] ?? 1]]).toEqual(["open", "Cancelled"])
      expect(yield* Fiber.join(fiber)).toBeDefined()
    }
  }).pipe(Effect.scoped)
)

it.effect("of two in one moment only one wins, though the one ends in the midst of the other", () =>
  Effect.gen(function* () {
    // The backup answers while the primary is on its way to answer, and the other way round.
    const backup = manual()
    let ended: Attempt.Attempt | undefined
    const opened = Attempt.open({}, (attempt) => {
      ended = attempt
      return Effect.map(Effect.sleep(20), () => ({ attempt }))
    })
    const primary = Effect.tap(opened, () => Effect.sync(() => backup.end()))
    const fiber = yield* Effect.forkChild(Hedge.race({ delay: 10, primary, backup: () => backup.call }))
    yield* TestClock.adjust(20)
    const reply = yield* Fiber.join(fiber)
    expect([reply.attempt === ended, ended?.outcome()?._tag, backup.outcome()]).toEqual([false, "Cancelled", "open"])

    const first = manual()
    const second = manual((end) => {
      first.end()
      end(Exit.void)
    })
    const other = yield* Effect.forkChild(Hedge.race({ delay: 10, primary: first.call, backup: () => second.call }))
    yield* TestClock.adjust(10)
    yield* Fiber.join(other)
    expect([first.outcome(), second.outcome()]).toEqual(["open", "Cancelled"])
    expect(second.scope()).toBe("Closed")

    // Asking for the backup may itself be what makes the primary answer, or fail.
    for (const exit of [Exit.void, Exit.fail(overloaded)]) {
      for (const asks of [true, false]) {
        const slow = manual()
        const unused = manual()
        const third = yield* Effect.forkChild(
          Effect.exit(
            Hedge.race({
              delay: 10,
              primary: slow.call,
              backup: () => {
                slow.end(exit)
                return asks ? unused.call : undefined
              }
            })
          )
        )
        yield* TestClock.adjust(10)
        if (asks && Exit.isFailure(exit)) unused.end(Exit.fail(network))
        const result = yield* Fiber.join(third)
        expect(Exit.isSuccess(result)).toBe(Exit.isSuccess(exit))
        expect(unused.outcome()).toBe(asks && Exit.isFailure(exit) ? "Failed" : "none")
      }
    }
  }).pipe(Effect.scoped)
)

it.effect("what a call holds beside its attempt goes when it fails, not when the race ends", () =>
  Effect.gen(function* () {
    const heard: Array<string> = []
    const holding = (name: string, end: Effect.Effect<never, LlmError.LlmError>) =>
      Effect.andThen(
        Effect.addFinalizer(() => Effect.sync(() => heard.push(name))),
        end
      )
    const primary = holding("primary", Effect.andThen(Effect.sleep(20), Effect.fail(overloaded)))
    const backup = holding("backup", Effect.andThen(Effect.sleep(20), Effect.fail(network)))
    const fiber = yield* Effect.forkChild(Effect.flip(Hedge.race({ delay: 10, primary, backup: () => backup })))
    yield* TestClock.adjust(20)
    expect(heard).toEqual(["primary"])
    yield* TestClock.adjust(10)
    expect([yield* Fiber.join(fiber), heard]).toEqual([overloaded, ["primary", "backup"]])
  }).pipe(Effect.scoped)
)

it.effect("a second call that lets the first one answer is ended, though it had only begun", () =>
  Effect.gen(function* () {
    let isEnded = false
    const first = manual()
    const backup = Effect.suspend(() => {
      first.end()
      return Effect.onInterrupt(Effect.never, () => Effect.sync(() => (isEnded = true)))
    })
    yield* Hedge.race({ delay: 0, primary: first.call, backup: () => backup })
    expect([first.outcome(), isEnded]).toEqual(["open", true])
  }).pipe(Effect.scoped)
)

it.effect("an interrupted caller ends both, and leaves no timer", () =>
  Effect.gen(function* () {
    for (const isLate of [false, true]) {
      const race = yield* raced([ScriptedLlm.never], [ScriptedLlm.never])
      yield* TestClock.adjust(isLate ? 100 : 99)
      yield* Fiber.interrupt(race.fiber)
      expect(race.outcomes()).toEqual(["Cancelled", isLate ? "Cancelled" : "none"])
      expect([race.a.open(), race.b.open(), held(race.scope)]).toEqual([0, 0, 0])
      yield* TestClock.adjust("1 day")
      expect(race.asks.length).toBe(isLate ? 1 : 0)
    }
  })
)

it.effect("no timer outlives a race, or starts for one that is over", () => {
  const { asleep, clock, slept } = still()
  return Effect.gen(function* () {
    for (const end of [Exit.void, Exit.fail(overloaded), undefined]) {
      const primary = manual()
      const fiber = yield* Effect.forkChild(
        Effect.exit(Hedge.race({ delay: 10, primary: primary.call, backup: () => undefined })),
        { startImmediately: true }
      )
      expect(asleep()).toBe(1)
      if (end === undefined) yield* Fiber.interrupt(fiber)
      else primary.end(end)
      expect(asleep()).toBe(0)
    }
    for (const end of [Exit.void, Exit.fail(overloaded)]) {
      const primary = manual((now) => now(end)).call
      yield* Effect.exit(Hedge.race({ delay: 10, primary, backup: () => undefined }))
    }
    expect([asleep(), slept()]).toEqual([0, 3])
  }).pipe(Effect.provideService(Clock.Clock, clock), Effect.scoped)
})

it.effect("a caller whose scope closes is told so", () =>
  Effect.gen(function* () {
    for (const isLate of [false, true]) {
      const race = yield* raced([ScriptedLlm.never], [ScriptedLlm.never])
      yield* TestClock.adjust(isLate ? 100 : 99)
      yield* Scope.close(race.scope, Exit.void)
      yield* Fiber.await(race.fiber)
      expect(race.result()).toMatchObject({ reason: { _tag: "Cancelled" } })
      expect([race.a.open(), race.b.open()]).toEqual([0, 0])
    }
  })
)

it.effect("without a delay it is the first call and nothing else", () =>
  Effect.gen(function* () {
    const primary = manual().call
    const backup = () => undefined
    expect(Hedge.race({ delay: undefined, primary, backup })).toBe(primary)
    for (const delay of [-1, Number.NaN])
      expect(() => Hedge.race({ delay, primary, backup })).toThrow(
        new RangeError(`Hedge.race: delay must be from 0, got ${delay}`)
      )
    const race = yield* raced([ScriptedLlm.never], hello(0), 0)
    expect([race.result(), race.asks]).toEqual(["answered", [0]])
  })
)

it.effect("a scope that serves many races keeps nothing of those that have ended", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("hello there") })
    const asked = yield* request
    const scope = yield* Scope.make()
    const never = Attempt.open({}, () => Effect.never)
    for (const [delay, primary, backup] of [
      [1_000, scripted.llm.call(asked), never],
      [10, never, scripted.llm.call(asked)],
      [10, Effect.fail(overloaded), never]
    ] as const) {
      const reply = yield* Effect.forkChild(
        Effect.exit(Scope.provide(Hedge.race({ delay, primary, backup: () => backup }), scope))
      )
      yield* TestClock.adjust(10)
      const exit = yield* Fiber.join(reply)
      if (Exit.isSuccess(exit)) {
        expect(held(scope)).toBe(1)
        yield* Stream.runDrain(exit.value.parts)
      }
      expect(held(scope)).toBe(0)
    }
  })
)

it.effect("an attempt tells how long its first output took, or that it waited in vain", () =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const state = HedgeState.make({ percentile: 0.5, minDelay: 0, budget: 1 })
    const run = Effect.fnUntraced(function* (millis: number, end: Attempt.Outcome | "output", isStreamed = true) {
      const scope = yield* Scope.make()
      const opened = yield* Scope.provide(
        Attempt.open({}, (attempt) => {
          Hedge.observe(state, attempt, clock, isStreamed)
          return Effect.succeed({ attempt })
        }),
        scope
      )
      yield* TestClock.adjust(millis)
      if (end === "output") opened.attempt.firstOutput()
      else opened.attempt.settle(end)
      yield* TestClock.adjust(1)
      opened.attempt.settle({ _tag: "Cancelled" })
      yield* Scope.close(scope, Exit.void)
    })
    const times = (isStreamed: boolean) => {
      const { count, sorted } = isStreamed ? state.streamed : state.buffered
      return [...sorted.subarray(0, count)]
    }
    for (let i = 0; i < 20; i++) yield* run(10, "output")
    yield* run(30, "output", false)
    expect([times(true), times(false)]).toEqual([Array.from({ length: 20 }, () => 10), [30]])
    const timeout = LlmError.make({
      reason: { _tag: "Timeout", clock: "ttft", limit: Duration.millis(60), shortened: false }
    })
    yield* run(50, { _tag: "Cancelled" })
    yield* run(60, { _tag: "Failed", error: timeout })
    expect(times(true).slice(20)).toEqual([50, 60])
    yield* run(9, { _tag: "Cancelled" })
    yield* run(70, { _tag: "Failed", error: overloaded })
    yield* run(70, { _tag: "Completed", usage: Usage.unknown })
    expect(times(true).length).toBe(22)
  })
)

interface Call {
  readonly script: ScriptedLlm.Script
  readonly at: number
  readonly end: "answered" | "Overloaded" | "InvalidRequest" | "never"
}

/** `Schema.Int` alone gives few and small numbers, most of them twice. */
const seed = Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 2_147_483_647 }))

/** How a race must end, when no two things happen in one moment. */
const expected = (first: Call, second: Call | undefined, delay: number): string => {
  const alone = first.end === "answered" ? "a" : first.end
  if (second === undefined || first.at < delay) return alone
  const isFirst = first.at < delay + second.at
  if (second.end === "answered") return isFirst && first.end !== "Overloaded" ? alone : "b"
  return second.end === "never" && first.end === "Overloaded" ? "never" : alone
}

it.effect.prop(
  "whatever happens when: one answer or one error, one call open at rest, and none in the end",
  { seed },
  ({ seed }) =>
    Effect.gen(function* () {
      const { below, of } = dice(seed)
      const call = (): Call => {
        const at = of([0, 5, 10, 15, 20, below(40)])
        return of<Call>([
          { script: hello(at), at, end: "answered" },
          { script: [wait(at), ScriptedLlm.accepted, ...hello(5)], at: at + 5, end: "answered" },
          { script: [...hello(at).slice(0, 3), ScriptedLlm.never], at, end: "answered" },
          { script: fails(at, overloaded), at, end: "Overloaded" },
          { script: fails(at, { _tag: "InvalidRequest" }), at, end: "InvalidRequest" },
          { script: [ScriptedLlm.never], at: Number.POSITIVE_INFINITY, end: "never" }
        ])
      }
      const first = call()
      const second = below(6) === 0 ? undefined : call()
      const delay = of([0, 5, 10, 15, below(40)])
      const race = yield* raced(first.script, second?.script, delay)
      const open = () => race.a.open() + race.b.open()
      const stop = of(["no", "no", "interrupt", "scope"])
      yield* TestClock.adjust(of([0, 5, 10, 15, 20, below(60)]))
      const isAnswered = race.result() === "answered"
      if (stop === "interrupt") {
        yield* Fiber.interrupt(race.fiber)
        expect(open()).toBe(isAnswered ? 1 : 0)
      } else if (stop === "scope") {
        yield* Scope.close(race.scope, Exit.void)
        expect(open()).toBe(0)
      }
      yield* TestClock.adjust(200)
      const result = race.result()
      if (stop === "no") {
        const isTie = first.at === delay || (second !== undefined && first.at === delay + second.at)
        const found =
          result === "waiting"
            ? "never"
            : result === "answered"
              ? race.outcomes()[0] === "open"
                ? "a"
                : "b"
              : LlmError.isLlmError(result) && result.reason._tag
        if (!isTie) expect(found).toBe(expected(first, second, delay))
      }
      if (result === "answered") {
        expect(race.outcomes().filter((outcome) => outcome === "open").length).toBe(stop === "scope" ? 0 : 1)
        expect(open()).toBe(stop === "scope" ? 0 : 1)
      } else if (result !== "waiting") expect(open()).toBe(0)
      expect(race.asks.length).toBeLessThanOrEqual(1)
      expect(race.asks.every((at) => at === delay)).toBe(true)
      const calls = () => race.a.calls().length + race.b.calls().length
      const called = calls()
      if (result === "waiting") yield* Fiber.interrupt(race.fiber)
      yield* Scope.close(race.scope, Exit.void)
      yield* TestClock.adjust("1 day")
      expect([open(), calls()]).toEqual([0, called])
      expect(race.outcomes()).not.toContain("open")
    }),
  { arbitrary: { runs: 400 } }
)
