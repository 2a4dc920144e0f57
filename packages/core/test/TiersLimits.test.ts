import { Llm, type LlmRequest, Member, Plans, RateLimit, RateLimiter, Tiers } from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"

const limiter = (limits: Partial<typeof Plans.noLimits> | { readonly [key: string]: number }, name = "echelon") =>
  RateLimiter.make(RateLimit.ofLimits({ ...Plans.noLimits, ...limits }), { name })

const made = Effect.fnUntraced(function* (
  limiters: ReadonlyArray<RateLimiter.RateLimiter>,
  script: ScriptedLlm.Options["script"] = ScriptedLlm.text("hello"),
  options: Partial<Tiers.Options> = {}
) {
  const scripted = yield* ScriptedLlm.make({ id: "a", script })
  const llm = yield* Tiers.make({
    id: "pool",
    rotation: "round_robin",
    tiers: [{ members: [Member.make(scripted.llm, { limiters })], maxRetries: 2, maxInstances: 9 }],
    ...options
  })
  return { llm, scripted }
})
const ask = (llm: Llm.Llm, input: Partial<LlmRequest.Input> = {}) => Llm.generate(llm, { prompt: "hi", ...input })
const reason = (llm: Llm.Llm, input: Partial<LlmRequest.Input> = {}) =>
  Effect.map(Effect.flip(ask(llm, input)), (error) => error.reason)

it.effect("a tier at its requests a minute is passed over, and says when it is free again", () =>
  Effect.gen(function* () {
    const { llm, scripted } = yield* made([limiter({ rpm: 2 })])
    yield* ask(llm)
    yield* ask(llm)
    const full = yield* reason(llm)
    expect(full).toMatchObject({ _tag: "NoCapacity" })
    expect(full._tag === "NoCapacity" ? full.retryAt : 0).toBeGreaterThan(50_000)
    yield* TestClock.adjust("61 seconds")
    yield* ask(llm)
    expect(scripted.calls().length).toBe(3)
  })
)

it.effect("concurrency is given back when the stream has ended, not at commit", () =>
  Effect.gen(function* () {
    const { llm } = yield* made(
      [limiter({ concurrency: 1 })],
      [...ScriptedLlm.text("one two").slice(0, -1), ScriptedLlm.wait("5 seconds"), ScriptedLlm.finish()]
    )
    const fiber = yield* Effect.forkChild(Stream.runDrain(Llm.stream(llm, { prompt: "hi" })), {
      startImmediately: true
    })
    expect((yield* reason(llm))._tag).toBe("NoCapacity")
    yield* TestClock.adjust("5 seconds")
    yield* Fiber.join(fiber)
    const again = yield* Effect.forkChild(ask(llm), { startImmediately: true })
    yield* TestClock.adjust("5 seconds")
    expect((yield* Fiber.join(again)).text).toBe("one two")
  })
)

it.effect("an interrupted request gives its slot back", () =>
  Effect.gen(function* () {
    const { llm, scripted } = yield* made([limiter({ concurrency: 1 })], [ScriptedLlm.never])
    for (let i = 0; i < 3; i++) {
      const fiber = yield* Effect.forkChild(ask(llm), { startImmediately: true })
      expect(scripted.open()).toBe(1)
      yield* Fiber.interrupt(fiber)
      expect(scripted.open()).toBe(0)
    }
  })
)

it.effect("a pool's limit counts a request once, however many attempts it makes", () =>
  Effect.gen(function* () {
    const pool = RateLimiter.make(RateLimit.ofPool({ algorithm: "token_bucket", bucketSize: 3, refillRate: 0.001 }), {
      name: "pool"
    })
    const { llm, scripted } = yield* made(
      [],
      (call) => (call % 2 === 0 ? ScriptedLlm.fails({ _tag: "Overloaded" }) : ScriptedLlm.text("x")),
      {
        limiters: [pool]
      }
    )
    for (let i = 0; i < 3; i++) {
      const fiber = yield* Effect.forkChild(ask(llm), { startImmediately: true })
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(fiber)
    }
    expect(scripted.calls().length).toBe(6)
    expect((yield* reason(llm))._tag).toBe("NoCapacity")
  })
)

it.effect("tokens are settled with what was really used", () =>
  Effect.gen(function* () {
    const tokens = limiter({ tpm: 10_000 })
    const { llm } = yield* made([tokens], ScriptedLlm.text("hello", { inputTokens: 4_000, outputTokens: 5_500 }))
    const settings = { maxOutputTokens: 100 }
    yield* ask(llm, { settings })
    expect(RateLimiter.snapshot(tokens, 0)[0]?.left).toBeLessThanOrEqual(500)
    expect((yield* reason(llm, { settings: { maxOutputTokens: 1_000 } }))._tag).toBe("NoCapacity")
  })
)

it.effect("a request larger than a limit ever grants fails at once and says so", () =>
  Effect.gen(function* () {
    const { llm, scripted } = yield* made([limiter({ tpm: 1_000 }, "fast_group.echelon1")])
    const error = yield* Effect.flip(ask(llm, { settings: { maxOutputTokens: 50_000 } }))
    expect(error.reason._tag).toBe("InvalidRequest")
    expect(error.message).toMatch(/about 5\d{4} tokens are more than fast_group\.echelon1\.\S+ ever grants \(1000\)/)
    expect(scripted.calls().length).toBe(0)
  })
)
