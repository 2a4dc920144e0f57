import { CircuitBreaker, Llm, type LlmError, type LlmRequest, Member, Plans, RetryBudget, Tiers } from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Random } from "effect"
import { TestClock } from "effect/testing"

const breaker = { ...Plans.group("g", []).fallback.breaker, failureThreshold: 2 }
const down: LlmError.Reason = { _tag: "Overloaded" }

/** Members with breakers; each answers by its script. */
const members = (scripts: Readonly<Record<string, ScriptedLlm.Options["script"]>>) =>
  Effect.forEach(Object.entries(scripts), ([id, script]) =>
    Effect.map(ScriptedLlm.make({ id, script }), (scripted) => ({
      scripted,
      member: Member.make(scripted.llm, { breaker: CircuitBreaker.make(breaker) })
    }))
  )
const tiers = (
  made: ReadonlyArray<{ readonly member: Member.Member }>,
  options: Partial<Tiers.Options> = {},
  maxRetries = 0
) =>
  Tiers.make({
    id: "pool",
    rotation: "round_robin",
    tiers: [{ members: made.map(({ member }) => member), maxRetries, maxInstances: 9 }],
    ...options
  })
const ask = (llm: Llm.Llm, metadata: LlmRequest.Metadata = {}) =>
  Effect.exit(Llm.generate(llm, { prompt: "hi", metadata }))

it.effect("an open breaker is passed over, tested after recovery_time, and closed by a probe", () =>
  Effect.gen(function* () {
    let isDown = true
    const made = yield* members({
      a: () => (isDown ? ScriptedLlm.fails(down) : ScriptedLlm.text("a")),
      b: ScriptedLlm.text("b")
    })
    const [a] = made
    const pool = yield* tiers(made, {}, 1)
    for (let i = 0; i < 8; i++) yield* ask(pool)
    expect(a?.scripted.calls().length).toBe(2)
    isDown = false
    yield* TestClock.adjust("73 seconds")
    for (let i = 0; i < 4; i++) yield* ask(pool)
    expect(a?.scripted.calls().length).toBe(4)
    expect(a?.member.breaker?.snapshot(0).state).toBe("closed")
  }).pipe(Random.withSeed("probe"))
)

it.effect("when breakers alone have put all out, one request at a time tries the least bad", () =>
  Effect.gen(function* () {
    const script = (call: number) =>
      call < 2
        ? ScriptedLlm.fails(down)
        : [ScriptedLlm.wait("1 second"), ScriptedLlm.accepted, ...ScriptedLlm.text("up")]
    const made = yield* members({ a: script, b: script })
    const pool = yield* tiers(made, { panic: true })
    for (let i = 0; i < 4; i++) yield* ask(pool)
    const first = yield* Effect.forkChild(ask(pool), { startImmediately: true })
    const second = yield* Effect.flip(Llm.generate(pool, { prompt: "hi" }))
    expect(second.reason._tag).toBe("NoCapacity")
    expect(second.retryAt).toBeGreaterThan(0)
    yield* TestClock.adjust("1 second")
    expect((yield* Fiber.join(first))._tag).toBe("Success")
    expect(made.map(({ scripted }) => scripted.calls().length).sort()).toEqual([2, 3])
    // Outside probe accounting: the answer has closed nothing.
    expect(made.every(({ member }) => member.breaker?.snapshot(1_000).state === "open")).toBe(true)
  })
)

it.effect("panic never tries a credential that was refused, nor a cooling instance", () =>
  Effect.gen(function* () {
    const made = yield* members({
      refused: ScriptedLlm.fails({ _tag: "Authentication" }),
      cooling: ScriptedLlm.fails({ _tag: "RateLimited", retryAfter: Duration.minutes(5) })
    })
    const pool = yield* tiers(made, { panic: true })
    for (let i = 0; i < 5; i++) yield* ask(pool)
    expect(made.map(({ scripted }) => scripted.calls().length)).toEqual([1, 1])
    yield* TestClock.adjust("1 hour")
    yield* ask(pool)
    yield* ask(pool)
    expect(made.map(({ scripted }) => scripted.calls().length)).toEqual([1, 2])
  })
)

it.effect("breakers put out no more than max_ejected of a tier", () =>
  Effect.gen(function* () {
    const made = yield* members({ a: ScriptedLlm.fails(down), b: ScriptedLlm.fails(down), c: ScriptedLlm.text("c") })
    const pool = yield* tiers(made, { maxEjected: 0.34 })
    for (let i = 0; i < 6; i++) yield* ask(pool)
    const before = made.map(({ scripted }) => scripted.calls().length)
    for (let i = 0; i < 12; i++) yield* ask(pool)
    const tried = made.map(({ scripted }, i) => scripted.calls().length - (before[i] ?? 0))
    // One of the two that are down stays in.
    expect(tried.filter((count) => count > 0).length).toBe(2)
    expect(tried[2]).toBeGreaterThan(0)
  })
)

it.effect("an outage is not amplified: retries end with the budget", () =>
  Effect.gen(function* () {
    const made = yield* Effect.forEach(["a", "b"], (id) =>
      Effect.map(ScriptedLlm.make({ id, script: ScriptedLlm.fails(down) }), (scripted) => ({
        scripted,
        member: Member.make(scripted.llm)
      }))
    )
    const pool = yield* tiers(made, { retryBudget: RetryBudget.make({ ratio: 0.2, minPerSecond: 0 }) }, 1)
    for (let i = 0; i < 100; i++) yield* ask(pool)
    const attempts = made.reduce((sum, { scripted }) => sum + scripted.calls().length, 0)
    expect(attempts).toBe(120)
    yield* ask(pool)
    const refused = yield* Effect.flip(Llm.generate(pool, { prompt: "hi" }))
    expect([refused.reason._tag, refused.route?.length]).toEqual(["Overloaded", 1])
  })
)

it.effect("a member that came back starts with a small share and grows", () =>
  Effect.gen(function* () {
    let isDown = true
    const made = yield* members({
      a: () => (isDown ? ScriptedLlm.fails(down) : ScriptedLlm.text("a")),
      b: ScriptedLlm.text("b")
    })
    const [a] = made
    const pool = yield* tiers(made, { slowStart: { duration: 100_000, minShare: 0.1 } }, 1)
    for (let i = 0; i < 4; i++) yield* ask(pool)
    isDown = false
    yield* TestClock.adjust("73 seconds")
    while (a?.member.breaker?.snapshot(73_000).state !== "closed") yield* ask(pool)
    const share = Effect.gen(function* () {
      const before = a?.scripted.calls().length ?? 0
      for (let i = 0; i < 400; i++) yield* ask(pool)
      return ((a?.scripted.calls().length ?? 0) - before) / 400
    })
    const small = yield* share
    yield* TestClock.adjust("50 seconds")
    const half = yield* share
    yield* TestClock.adjust("50 seconds")
    expect(small).toBeLessThan(0.2)
    expect(half).toBeGreaterThan(small)
    expect(half).toBeLessThan(0.45)
    expect(yield* share).toBe(0.5)
  }).pipe(Random.withSeed("slow start"))
)

it.effect("a session stays at its instance", () =>
  Effect.gen(function* () {
    const made = yield* members({ a: ScriptedLlm.text("a"), b: ScriptedLlm.text("b"), c: ScriptedLlm.text("c") })
    const pool = yield* tiers(made, { rotation: "sticky" })
    const served = (sessionId: string) =>
      Effect.map(Llm.generate(pool, { prompt: "hi", metadata: { sessionId } }), ({ instance }) => instance)
    const homes = yield* Effect.forEach(
      Array.from({ length: 20 }, (_, i) => `session ${i}`),
      (session) => Effect.map(Effect.all([served(session), served(session), served(session)]), (all) => new Set(all))
    )
    expect(homes.every((home) => home.size === 1)).toBe(true)
    expect(new Set(homes.flatMap((home) => [...home])).size).toBe(3)
  })
)
