import {
  Attempt,
  CircuitBreaker,
  Clocks,
  HedgeState,
  Llm,
  type LlmError,
  type LlmRequest,
  Member,
  Plans,
  RateLimit,
  RateLimiter,
  Tiers
} from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Scheduler, Stream } from "effect"
import { TestClock } from "effect/testing"

const reset: LlmError.Reason = { _tag: "Network", kind: "reset" }
const read = (llm: Llm.Llm, onInterrupt: LlmRequest.Metadata["onInterrupt"]) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(
      Effect.exit(Stream.runDrain(Llm.stream(llm, { prompt: "hi", metadata: { onInterrupt } }))),
      { startImmediately: true }
    )
    yield* TestClock.adjust("1 minute")
    return yield* Fiber.join(fiber)
  })
const warm = () => {
  const hedge = HedgeState.make({ percentile: 0.5, minDelay: 10, budget: 1 })
  for (let i = 0; i < 25; i++) for (const isStreamed of [true, false]) HedgeState.observe(hedge, isStreamed, 30, 0)
  return hedge
}

it.effect("D1: a hedge that lost counts when the winner's reply breaks", () =>
  Effect.gen(function* () {
    const hedge = warm()
    const a = yield* ScriptedLlm.make({
      id: "a",
      script: (n) => (n === 0 ? [ScriptedLlm.never] : ScriptedLlm.text("one two"))
    })
    const b = yield* ScriptedLlm.make({ id: "b", script: ScriptedLlm.truncated("one ", reset) })
    const llm = yield* Tiers.make({
      id: "pool",
      rotation: "priority",
      tiers: [
        {
          members: [a, b].map(({ llm }, priority) => Member.make(llm, { hedge, priority })),
          maxRetries: 1,
          maxInstances: 9
        }
      ]
    })
    yield* read(llm, "restart")
    expect(a.calls().length + b.calls().length).toBeLessThanOrEqual(2) // 1 + max_retries
  })
)

it.effect("D2: the second policy of a list takes from the same attempts as the first", () =>
  Effect.gen(function* () {
    const prefill = { capabilities: { features: ["prefill"] as const } }
    const a = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.truncated("one ", reset), ...prefill })
    const b = yield* ScriptedLlm.make({ id: "b", script: ScriptedLlm.fails({ _tag: "Overloaded" }), ...prefill })
    const c = yield* ScriptedLlm.make({ id: "c", script: ScriptedLlm.text("one two") })
    const llm = yield* Tiers.make({
      id: "pool",
      rotation: "priority",
      tiers: [
        {
          members: [a, b, c].map(({ llm }, priority) => Member.make(llm, { priority })),
          maxRetries: 1,
          maxInstances: 2
        }
      ]
    })
    yield* read(llm, ["resume", "restart"])
    expect(a.calls().length + b.calls().length + c.calls().length).toBeLessThanOrEqual(2) // 1 + max_retries
    expect(c.calls().length).toBe(0) // max_instance_attempts = 2
  })
)

it.effect("D3: a tier below that was used up stays so when the member that broke is taken back", () =>
  Effect.gen(function* () {
    const stall = [
      ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "one " }),
      ScriptedLlm.fail({ _tag: "QuotaExhausted" })
    ]
    const a = yield* ScriptedLlm.make({ id: "a", script: stall })
    const b = yield* ScriptedLlm.make({ id: "b", script: ScriptedLlm.fails({ _tag: "Overloaded" }) })
    const c = yield* ScriptedLlm.make({ id: "c", script: ScriptedLlm.text("one two") })
    const tier = (members: ReadonlyArray<ScriptedLlm.ScriptedLlm>, maxRetries: number) => ({
      members: members.map(({ llm }, priority) => Member.make(llm, { priority })),
      maxRetries,
      maxInstances: 1
    })
    const breaker = CircuitBreaker.make(Plans.group("g", []).fallback.breaker)
    breaker.force("open", 0)
    const out = { members: [Member.make(c.llm, { breaker })], maxRetries: 0, maxInstances: 1 }
    const llm = yield* Tiers.make({ id: "pool", rotation: "priority", tiers: [tier([a], 1), tier([b, c], 0), out] })
    yield* read(llm, "restart")
    expect(b.calls().length + c.calls().length).toBeLessThanOrEqual(1) // 1 + max_retries of the second tier
  })
)

it.effect("D4: two requests that step in turn do not both probe a half-open breaker", () =>
  Effect.gen(function* () {
    const found: Array<number> = []
    for (let steps = 3; steps < 60; steps++) {
      const breaker = CircuitBreaker.make({
        ...Plans.group("g", []).fallback.breaker,
        failureThreshold: 1,
        recoveryTime: 1_000
      })
      const a = yield* ScriptedLlm.make({
        id: "a",
        script: (n) => (n === 0 ? ScriptedLlm.fails({ _tag: "Overloaded" }) : [ScriptedLlm.never])
      })
      const llm = yield* Tiers.make({
        id: "g",
        rotation: "round_robin",
        tiers: [{ members: [Member.make(a.llm, { breaker })], maxRetries: 0, maxInstances: 1 }]
      })
      const ask = Effect.exit(Llm.generate(llm, { prompt: "hi" }))
      yield* ask
      yield* TestClock.adjust("2 seconds")
      const fibers = yield* Effect.forEach([1, 2], () =>
        Effect.forkChild(Effect.provideService(ask, Scheduler.MaxOpsBeforeYield, steps))
      )
      yield* TestClock.adjust(1)
      if (a.open() > 1) found.push(steps)
      yield* Fiber.interruptAll(fibers)
    }
    expect(found).toEqual([])
  })
)

it.effect("D5: a pool's limit counts a request whose first call was refunded while its hedge goes on", () =>
  Effect.gen(function* () {
    const hedge = warm()
    const pool = RateLimiter.make(RateLimit.ofPool({ algorithm: "token_bucket", bucketSize: 1, refillRate: 0.0001 }), {
      name: "pool"
    })
    const a = yield* ScriptedLlm.make({
      id: "a",
      script: [ScriptedLlm.wait(200), ScriptedLlm.fail({ _tag: "Network", kind: "refused" })]
    })
    const b = yield* ScriptedLlm.make({ id: "b", script: [ScriptedLlm.wait(500), ...ScriptedLlm.text("hello")] })
    const llm = yield* Tiers.make({
      id: "pool",
      rotation: "priority",
      limiters: [pool],
      tiers: [
        {
          members: [a, b].map(({ llm }, priority) => Member.make(llm, { hedge, priority })),
          maxRetries: 1,
          maxInstances: 2
        }
      ]
    })
    const fiber = yield* Effect.forkChild(Llm.generate(llm, { prompt: "hi" }), { startImmediately: true })
    yield* TestClock.adjust("1 second")
    expect((yield* Fiber.join(fiber)).instance).toBe("b")
    expect(RateLimiter.snapshot(pool, 1_000)[0]?.left).toBeLessThan(1)
  })
)

it.effect("D6: nobody is asked again after its tier's share of the deadline", () =>
  Effect.gen(function* () {
    const limited = ScriptedLlm.fails({ _tag: "RateLimited", retryAfter: Duration.millis(200) })
    const a = yield* ScriptedLlm.make({
      id: "a",
      script: (n) => (n === 0 ? limited : [ScriptedLlm.wait(1), ...ScriptedLlm.text("a")])
    })
    const b = yield* ScriptedLlm.make({ id: "b", script: ScriptedLlm.text("b") })
    const tier = ({ llm }: ScriptedLlm.ScriptedLlm) => ({
      members: [Member.make(llm, { backoff: { base: 1, cap: 1 } })],
      maxRetries: 1,
      maxInstances: 1
    })
    const llm = yield* Tiers.make({ id: "pool", rotation: "priority", tiers: [tier(a), tier(b)] })
    const fiber = yield* Effect.forkChild(Llm.generate(llm, { prompt: "hi", metadata: { timeout: 300 } }), {
      startImmediately: true
    })
    yield* TestClock.adjust("1 second")
    expect((yield* Fiber.join(fiber)).text).toBe("b")
    expect(a.calls().map((call) => call.startedAt)).toEqual([0]) // the share of tier 1 ends at 150; it is asked at 200, and aborted at once
  })
)

it.effect("D7: an attempt whose time is up when it starts does not succeed", () =>
  Effect.gen(function* () {
    const ended: Array<Attempt.Outcome> = []
    yield* TestClock.adjust(10)
    const exit = yield* Effect.exit(
      Attempt.open({}, (attempt) => {
        attempt.onSettle((outcome) => ended.push(outcome))
        // As an instance does that joins the attempt.
        attempt.start({ clocks: Clocks.defaults, firstOutputBy: 5 })
        return Effect.succeed({ attempt })
      })
    )
    expect(ended.map(({ _tag }) => _tag)).toEqual(["Failed"])
    expect(exit._tag).toBe("Failure")
  })
)

it.effect("D7b: so that nothing but a rescue is sent after the deadline", () =>
  Effect.gen(function* () {
    const limited = ScriptedLlm.fails({ _tag: "RateLimited", retryAfter: Duration.millis(200) })
    const a = yield* ScriptedLlm.make({ id: "a", script: (n) => (n === 0 ? limited : ScriptedLlm.text("a")) })
    const b = yield* ScriptedLlm.make({ id: "b", script: [ScriptedLlm.wait(1_000), ...ScriptedLlm.text("b")] })
    const tier = ({ llm }: ScriptedLlm.ScriptedLlm) => ({
      members: [Member.make(llm, { backoff: { base: 1, cap: 1 } })],
      maxRetries: 1,
      maxInstances: 1
    })
    const llm = yield* Tiers.make({ id: "pool", rotation: "priority", tiers: [tier(a), tier(b)] })
    let at = 0
    const input = { prompt: "hi", metadata: { timeout: 300, onInterrupt: "restart" as const } }
    const fiber = yield* Effect.forkChild(
      Effect.exit(
        Stream.runForEach(Llm.stream(llm, input), () =>
          Effect.clockWith((clock) =>
            Effect.sync(() => {
              at = clock.currentTimeMillisUnsafe()
            })
          )
        )
      ),
      { startImmediately: true }
    )
    yield* TestClock.adjust("1 minute")
    yield* Fiber.join(fiber)
    expect(at).toBeLessThanOrEqual(300) // the first part the caller sees comes at 1200, 900 ms after the deadline
  })
)
