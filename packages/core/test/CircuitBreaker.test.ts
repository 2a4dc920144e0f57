import { Attempt, CircuitBreaker, LlmError, type Plan, Plans, Usage } from "@echelon/core"
import { expect, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"

const make = (options: Partial<Plan.Breaker> = {}) =>
  CircuitBreaker.make({ ...Plans.defaults.breaker, failureRate: undefined, slowCall: undefined, ...options })
const middle = () => 0.5
const failure = (reason: LlmError.Reason = { _tag: "Overloaded" }): Attempt.Outcome => ({
  _tag: "Failed",
  error: LlmError.make({ reason })
})
const completed: Attempt.Outcome = { _tag: "Completed", usage: Usage.unknown }

/** An attempt under way that entered the breaker, and the scope that holds it. */
const enter = Effect.fnUntraced(function* (
  breaker: CircuitBreaker.CircuitBreaker,
  random: () => number = middle,
  isTimed?: boolean
) {
  const clock = yield* Clock.Clock
  const scope = yield* Scope.make()
  let admission = "none"
  const { attempt } = yield* Attempt.open({}, (attempt) => {
    admission = breaker.enter(attempt, clock, random, isTimed)
    return Effect.succeed({ attempt })
  }).pipe(Scope.provide(scope))
  return { attempt, admission, cancel: Scope.close(scope, Exit.void) }
})
const fail = Effect.fnUntraced(function* (breaker: CircuitBreaker.CircuitBreaker, reason?: LlmError.Reason) {
  const { attempt } = yield* enter(breaker)
  attempt.settle(failure(reason))
})
const states = (breaker: CircuitBreaker.CircuitBreaker) => {
  const seen: Array<string> = []
  const stop = breaker.onTransition(({ at, from, to }) => seen.push(`${at} ${from} > ${to}`))
  return { seen, stop }
}

it.effect("opens, tests with one request, and closes; every transition is told once", () =>
  Effect.gen(function* () {
    const breaker = make({ failureThreshold: 2 })
    const { seen, stop } = states(breaker)
    yield* fail(breaker)
    yield* fail(breaker, { _tag: "RateLimited" })
    yield* fail(breaker)
    expect(breaker.availability(0)).toEqual({ until: 60_000 })
    expect((yield* enter(breaker)).admission).toBe("unheard")
    yield* TestClock.adjust("1 minute")
    const probe = yield* enter(breaker)
    expect([probe.admission, breaker.availability(60_000)]).toEqual(["probe", { until: 61_000 }])
    yield* TestClock.adjust("1 second")
    probe.attempt.commit()
    expect(breaker.availability(61_000)).toBe("ready")
    expect(seen).toEqual(["0 closed > open", "60000 open > half_open", "61000 half_open > closed"])
    stop()
    probe.attempt.settle(failure())
    yield* fail(breaker)
    expect([seen.length, breaker.snapshot(61_000).state]).toEqual([3, "open"])
  })
)

it.effect("a failed probe is told as a reopening, with the longer time", () =>
  Effect.gen(function* () {
    const breaker = make({ failureThreshold: 1 })
    const untils: Array<number | undefined> = []
    breaker.onTransition(({ snapshot }) => untils.push(snapshot.until))
    yield* fail(breaker)
    yield* TestClock.adjust("1 minute")
    yield* fail(breaker)
    expect(untils).toEqual([60_000, undefined, 180_000])
    breaker.probed(false, 180_000, middle)
    expect(untils.slice(3)).toEqual([undefined, 420_000])
  })
)

it.effect("a probe that is interrupted frees its slot and tells nothing", () =>
  Effect.gen(function* () {
    const breaker = make({ failureThreshold: 1 })
    const clock = yield* Clock.Clock
    yield* fail(breaker)
    yield* TestClock.adjust("1 minute")
    const fiber = yield* Effect.forkChild(
      Effect.scoped(
        Attempt.open({}, (attempt) => {
          breaker.enter(attempt, clock, middle)
          return Effect.never
        })
      ),
      { startImmediately: true }
    )
    expect(breaker.snapshot(60_000)).toMatchObject({ state: "half_open", probes: 1 })
    yield* Fiber.interrupt(fiber)
    expect(breaker.snapshot(60_000)).toMatchObject({ state: "half_open", probes: 0, successes: 0 })
    expect(breaker.availability(60_000)).toBe("ready")
    const probe = yield* enter(breaker)
    yield* probe.cancel
    expect(breaker.availability(60_000)).toBe("ready")
  })
)

it.effect("cancelled after commit is a success, before it nothing", () =>
  Effect.gen(function* () {
    const breaker = make({ failureThreshold: 3 })
    yield* fail(breaker)
    yield* fail(breaker)
    const early = yield* enter(breaker)
    yield* early.cancel
    expect(breaker.snapshot(0)).toMatchObject({ consecutiveFailures: 2, calls: 2 })
    const late = yield* enter(breaker)
    late.attempt.commit()
    expect(breaker.snapshot(0)).toMatchObject({ consecutiveFailures: 2, calls: 2 })
    yield* late.cancel
    expect(breaker.snapshot(0)).toMatchObject({ consecutiveFailures: 0, calls: 3 })
  })
)

it.effect("hears slowness at first output, unless that cannot be told from the end", () =>
  Effect.gen(function* () {
    for (const [isTimed, state] of [
      [undefined, "open"],
      [false, "closed"]
    ] as const) {
      const breaker = make({ slowCall: 1_000, minimumRequests: 1 })
      const { attempt } = yield* enter(breaker, middle, isTimed)
      yield* TestClock.adjust("1001 millis")
      attempt.firstOutput()
      attempt.commit()
      expect(breaker.snapshot(yield* Clock.currentTimeMillis).state).toBe(state)
    }
  })
)

it.effect("a credential takes it out until an active probe succeeds; force and reset are told", () =>
  Effect.gen(function* () {
    const breaker = make()
    const { seen } = states(breaker)
    yield* fail(breaker, { _tag: "ModelNotFound" })
    expect([breaker.availability(1e9), breaker.outBecause()]).toEqual(["out", "credential"])
    expect(breaker.snapshot(0)).toMatchObject({ cause: "credential", reason: "ModelNotFound", failureRatio: 0 })
    breaker.probed(false, 10, middle)
    breaker.probed(true, 20, middle)
    breaker.force("open", 30)
    breaker.reset(40)
    breaker.force("closed", 50)
    breaker.force(undefined, 60)
    expect(seen).toEqual([
      "0 closed > open",
      "20 open > closed",
      "30 closed > forced_open",
      "50 forced_open > forced_closed",
      "60 forced_closed > closed"
    ])
  })
)

const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))
const fates = ["commit", "complete", "fail", "refuse", "limit", "cancel"] as const
const Step = Schema.Union([
  Schema.Struct({ _tag: Schema.Literal("wait"), millis: upTo(1_500) }),
  Schema.Struct({ _tag: Schema.Literal("enter") }),
  Schema.Struct({ _tag: Schema.Literal("call"), which: upTo(20), fate: Schema.Literals(fates) }),
  Schema.Struct({ _tag: Schema.Literals(["forceOpen", "forceClosed", "unforce", "reset", "probeOk", "probeFailed"]) })
])

it.effect.prop(
  "under any interleaving probes are counted right, old calls change nothing, and it is never stuck",
  {
    steps: Schema.Array(Step).check(Schema.isMaxLength(80)),
    halfOpenRequests: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3 })),
    chance: upTo(99)
  },
  ({ chance, halfOpenRequests, steps }) =>
    Effect.gen(function* () {
      const breaker = make({
        failureThreshold: 2,
        failureRate: 0.5,
        minimumRequests: 3,
        halfOpenRequests,
        recoveryTime: 1_000,
        maxRecoveryTime: 4_000,
        slowCall: 500
      })
      const random = () => chance / 100
      let told = "closed"
      breaker.onTransition(({ from, snapshot, to }) => {
        expect([from, to !== from, snapshot.state]).toEqual([told, true, to])
        told = to
      })
      const running: Array<{
        readonly attempt: Attempt.Attempt
        readonly cancel: Effect.Effect<void>
        readonly generation: number
        readonly isProbe: boolean
      }> = []
      const now = () => Clock.currentTimeMillis
      const undecided = () =>
        running.filter(({ attempt, isProbe }) => isProbe && !attempt.isCommitted() && attempt.outcome() === undefined)
          .length
      for (const step of steps) {
        const before = breaker.snapshot(yield* now())
        switch (step._tag) {
          case "wait":
            yield* TestClock.adjust(step.millis)
            break
          case "enter": {
            const could = breaker.availability(yield* now())
            const { admission, attempt, cancel } = yield* enter(breaker, random)
            running.push({ attempt, cancel, generation: before.generation, isProbe: admission === "probe" })
            const heard = before.state === "closed" ? "ordinary" : "probe"
            const expected = could === "ready" && before.state !== "forced_closed" ? heard : "unheard"
            expect(admission).toBe(expected)
            break
          }
          case "call": {
            const one = running[step.which % Math.max(1, running.length)]
            if (one === undefined) break
            const hadEnded = one.attempt.outcome() !== undefined
            if (step.fate === "commit") one.attempt.commit()
            else if (step.fate === "complete") one.attempt.settle(completed)
            else if (step.fate === "cancel") yield* one.cancel
            else if (step.fate === "fail") one.attempt.settle(failure())
            else if (step.fate === "limit") one.attempt.settle(failure({ _tag: "RateLimited" }))
            else one.attempt.settle(failure({ _tag: "Authentication" }))
            if (hadEnded || one.generation !== before.generation) {
              const { probes } = breaker.snapshot(yield* now())
              expect(breaker.snapshot(yield* now())).toEqual({ ...before, probes })
            }
            break
          }
          case "forceOpen":
            breaker.force("open", yield* now())
            break
          case "forceClosed":
            breaker.force("closed", yield* now())
            break
          case "unforce":
            breaker.force(undefined, yield* now())
            break
          case "reset":
            breaker.reset(yield* now())
            break
          case "probeOk":
          case "probeFailed":
            breaker.probed(step._tag === "probeOk", yield* now(), random)
        }
        const after = breaker.snapshot(yield* now())
        expect(after.probes).toBe(undecided())
        expect(after.probes).toBeLessThanOrEqual(halfOpenRequests)
        expect(after.successes).toBeLessThan(halfOpenRequests)
        expect(after.failures).toBeLessThanOrEqual(after.calls)
        if (after.until !== undefined) expect(after.until - (yield* now())).toBeLessThanOrEqual(4_800)
      }
      for (const { cancel } of running) yield* cancel
      breaker.force(undefined, yield* now())
      yield* TestClock.adjust(4_800)
      const end = breaker.snapshot(yield* now())
      expect(end.probes).toBe(0)
      expect(breaker.availability(yield* now())).toBe(end.cause === "credential" ? "out" : "ready")
    })
)
