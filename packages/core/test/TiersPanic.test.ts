import { CircuitBreaker, Llm, Member, Plans, RateLimit, RateLimiter, Tiers } from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Scheduler } from "effect"

const breaker = { ...Plans.group("g", []).fallback.breaker, failureThreshold: 1 }

it.effect("an interruption at any step of a panic leaves the next request free to try", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({
      id: "a",
      script: (call) => (call === 0 ? ScriptedLlm.fails({ _tag: "Overloaded" }) : [ScriptedLlm.never])
    })
    const llm = yield* Tiers.make({
      id: "pool",
      rotation: "round_robin",
      panic: true,
      tiers: [
        {
          members: [Member.make(scripted.llm, { breaker: CircuitBreaker.make(breaker) })],
          maxRetries: 0,
          maxInstances: 1
        }
      ]
    })
    const ask = Llm.generate(llm, { prompt: "hi" })
    yield* Effect.flip(ask)
    for (let after = 0; after < 60; after++) {
      const fiber = yield* Effect.forkChild(Effect.provideService(ask, Scheduler.MaxOpsBeforeYield, 3 + (after % 3)), {
        startImmediately: true
      })
      for (let i = 0; i < after; i++) yield* Effect.yieldNow
      yield* Fiber.interrupt(fiber)
      for (let i = 0; i < 30; i++) yield* Effect.yieldNow
      const asked = scripted.calls().length
      const next = yield* Effect.forkChild(ask, { startImmediately: true })
      expect([after, scripted.calls().length]).toEqual([after, asked + 1])
      yield* Fiber.interrupt(next)
      expect(scripted.open()).toBe(0)
    }
  })
)

it.effect("a panic asks nobody who is at a limit, and ends", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.fails({ _tag: "Overloaded" }) })
    const limits = RateLimit.ofLimits({ ...Plans.noLimits, rpm: 1 })
    const llm = yield* Tiers.make({
      id: "pool",
      rotation: "round_robin",
      panic: true,
      tiers: [
        {
          members: [
            Member.make(scripted.llm, {
              breaker: CircuitBreaker.make(breaker),
              limiters: [RateLimiter.make(limits)]
            })
          ],
          maxRetries: 0,
          maxInstances: 1
        }
      ]
    })
    const ask = Effect.flip(Llm.generate(llm, { prompt: "hi" }))
    expect((yield* ask).reason._tag).toBe("Overloaded")
    expect((yield* ask).reason._tag).toBe("NoCapacity")
    expect(scripted.calls().length).toBe(1)
  })
)
