import {
  HedgeState,
  InstanceState,
  Llm,
  type LlmRequest,
  Member,
  type Plan,
  Plans,
  RateLimit,
  RateLimiter,
  Tiers
} from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"

const usual = [ScriptedLlm.wait(50), ScriptedLlm.accepted, ...ScriptedLlm.text("usual")]
const prices = { input: 1_000_000, output: 1_000_000 }

/** A tier of two whose first is silent from the 20th call on, hedged after 100 ms. */
const world = Effect.fnUntraced(function* (
  options: {
    readonly late?: ScriptedLlm.Script
    readonly second?: ScriptedLlm.Options["script"]
    readonly hedge?: Partial<Plan.Hedge>
    readonly tier?: Partial<Tiers.Options["tiers"][number]>
  } = {}
) {
  const { late = [ScriptedLlm.never], second = ScriptedLlm.text("second") } = options
  const hedge = HedgeState.make({ percentile: 0.9, minDelay: 100, budget: 1, ...options.hedge })
  const a = yield* ScriptedLlm.make({ id: "a", prices, script: (call) => (call < 20 ? usual : late) })
  const b = yield* ScriptedLlm.make({ id: "b", prices, script: second })
  const states = [InstanceState.make(), InstanceState.make()]
  const limiter = RateLimiter.make(RateLimit.ofLimits({ ...Plans.noLimits, concurrency: 100, rpm: 1_000 }))
  const llm = yield* Tiers.make({
    id: "pool",
    rotation: "priority",
    tiers: [
      {
        members: [a, b].map(({ llm }, i) =>
          Member.make(llm, { hedge, state: states[i], limiters: [limiter], priority: i })
        ),
        maxRetries: 2,
        maxInstances: 2,
        ...options.tier
      }
    ]
  })
  const ask = (metadata: LlmRequest.Metadata = {}) =>
    Effect.forkChild(Effect.result(Llm.generate(llm, { prompt: "hi", metadata })), { startImmediately: true })
  for (let i = 0; i < 20; i++) {
    const fiber = yield* ask()
    yield* TestClock.adjust(50)
    yield* Fiber.join(fiber)
  }
  const rest = () => ({
    open: a.open() + b.open(),
    inFlight: states.map((state) => state.inFlight()),
    inUse: limiter.inUse
  })
  return { a, b, ask, llm, rest, hedge }
})
const calm = { open: 0, inFlight: [0, 0], inUse: 0 }

it.effect("a second instance is asked after the percentile, wins, and the loser is aborted and accounted", () =>
  Effect.gen(function* () {
    const { ask, b, rest } = yield* world()
    const fiber = yield* ask()
    yield* TestClock.adjust(99)
    expect([b.opened(), rest()]).toEqual([0, { open: 1, inFlight: [1, 0], inUse: 1 }])
    yield* TestClock.adjust(1)
    const answer = yield* Effect.fromResult(yield* Fiber.join(fiber))
    expect([answer.text, answer.instance]).toEqual(["second", "b"])
    expect(answer.route).toMatchObject([
      { kind: "call", instance: "a", outcome: "cancelled", elapsedMs: 100, usage: { source: "estimated" } },
      { kind: "hedge", instance: "b", outcome: "completed", startedAt: 1_100 }
    ])
    const [lost, won] = answer.route
    expect(lost?.cost).toBeGreaterThan(0)
    expect(answer.cost).toBe((lost?.cost ?? 0) + (won?.cost ?? 0))
    expect(rest()).toEqual(calm)
  })
)

it.effect("who answers in time, or has begun to, is not hedged", () =>
  Effect.gen(function* () {
    const begun = [
      ScriptedLlm.accepted,
      ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "be" }),
      ScriptedLlm.wait(5_000),
      ...ScriptedLlm.text("gun")
    ]
    const { b, llm, rest } = yield* world({ late: begun })
    const stream = Llm.stream(llm, { prompt: "hi", metadata: { commit: "finish" } })
    // Streamed requests are timed apart; these are the first.
    for (let i = 0; i < 25; i++) {
      const fiber = yield* Effect.forkChild(Stream.runDrain(stream), { startImmediately: true })
      yield* TestClock.adjust(5_000)
      yield* Fiber.join(fiber)
    }
    expect([b.opened(), rest()]).toEqual([0, calm])
  })
)

it.effect("a hedge is an attempt: the request's budget, max_retries and max_instance_attempts count it", () =>
  Effect.gen(function* () {
    const opened = Effect.fnUntraced(function* (metadata: LlmRequest.Metadata, options?: Parameters<typeof world>[0]) {
      const { ask, b, rest } = yield* world(options)
      const fiber = yield* ask({ timeout: 1_000, ...metadata })
      yield* TestClock.adjust(1_000)
      yield* Fiber.join(fiber)
      expect(rest()).toEqual(calm)
      return b.opened()
    })
    expect(yield* opened({})).toBe(1)
    expect(yield* opened({ maxTotalAttempts: 1 })).toBe(0)
    expect(yield* opened({ maxTotalAttempts: 2 })).toBe(1)
    expect(yield* opened({}, { tier: { maxRetries: 0 } })).toBe(0)
    expect(yield* opened({}, { tier: { maxInstances: 1 } })).toBe(0)
    expect(yield* opened({}, { hedge: { budget: 0.01 } })).toBe(0)
  })
)

it.effect("when both fail each failure counts, and the first cause is kept", () =>
  Effect.gen(function* () {
    const { ask, rest } = yield* world({
      late: [ScriptedLlm.wait(200), ScriptedLlm.fail({ _tag: "Overloaded" })],
      second: [ScriptedLlm.wait(10), ScriptedLlm.fail({ _tag: "ProviderError" })],
      tier: { maxRetries: 1 }
    })
    const fiber = yield* ask()
    yield* TestClock.adjust(500)
    const error = yield* Effect.flip(Effect.fromResult(yield* Fiber.join(fiber)))
    expect(error.route?.map(({ instance, kind, reason }) => [kind, instance, reason])).toEqual([
      ["call", "a", "Overloaded"],
      ["hedge", "b", "ProviderError"]
    ])
    expect([error.reason._tag, rest()]).toEqual(["ProviderError", calm])
  })
)

it.effect("interrupted at any moment, nothing is left of either", () =>
  Effect.gen(function* () {
    for (let at = 0; at < 200; at += 9) {
      const { ask, rest } = yield* world({ second: [ScriptedLlm.wait(60), ...ScriptedLlm.text("second")] })
      const fiber = yield* ask()
      yield* TestClock.adjust(at)
      yield* Fiber.interrupt(fiber)
      expect([at, rest()]).toEqual([at, calm])
    }
  })
)
