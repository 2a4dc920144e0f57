import { Llm, type LlmError, type LlmRequest, Member, Pool, TaskGroup, Tiers, Wrapper } from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Random, Stream } from "effect"
import { TestClock } from "effect/testing"

const scripted = (id: string, script: ScriptedLlm.Options["script"], more: Partial<ScriptedLlm.Options> = {}) =>
  ScriptedLlm.make({ id, script, ...more })
const fails = (reason: LlmError.Reason) => ScriptedLlm.fails(reason)
const hello = ScriptedLlm.text("hello")
const overloaded: LlmError.Reason = { _tag: "Overloaded" }

const ask = (llm: Llm.Llm, metadata: LlmRequest.Metadata = {}) => Llm.generate(llm, { prompt: "hi", metadata })
const instances = (route: ReadonlyArray<{ readonly instance: string }> | undefined) =>
  route?.map((entry) => entry.instance)

it.effect("round robin spreads requests, and another instance answers at once when one fails", () =>
  Effect.gen(function* () {
    const a = yield* scripted("a", hello)
    const b = yield* scripted("b", (call) => (call === 0 ? fails(overloaded) : hello))
    const pool = yield* Pool.make([a.llm, b.llm], { id: "pool" })
    const routes = yield* Effect.forEach([1, 2, 3], () => Effect.map(ask(pool), (answer) => instances(answer.route)))
    expect(routes).toEqual([["a"], ["b", "a"], ["b"]])
  })
)

it.effect("only a repeat waits: full jitter below base * 2^n", () =>
  Effect.gen(function* () {
    const a = yield* scripted("a", fails(overloaded))
    const tiers = [{ members: [Member.make(a.llm)], maxRetries: 3, maxInstances: 1 }]
    const llm = yield* Tiers.make({ id: "pool", tiers, rotation: "round_robin" })
    const fiber = yield* Effect.forkChild(Effect.flip(ask(llm)))
    yield* TestClock.adjust("1 minute")
    const error = yield* Fiber.join(fiber)
    const starts = error.route?.map((entry) => entry.startedAt) ?? []
    expect(starts.length).toBe(4)
    for (const [n, start] of starts.slice(1).entries()) {
      expect(start - (starts[n] ?? 0)).toBeLessThanOrEqual(500 * 2 ** n)
    }
    expect(new Set(starts).size).toBe(4)
  }).pipe(Random.withSeed("backoff"))
)

it.effect("never repeats before Retry-After, and passes a cooling instance over for others", () =>
  Effect.gen(function* () {
    const limited: LlmError.Reason = { _tag: "RateLimited", retryAfter: Duration.seconds(4) }
    const a = yield* scripted("a", (call) => (call === 0 ? fails(limited) : hello))
    const pool = yield* Pool.make([a.llm], { id: "pool" })
    const first = yield* Effect.forkChild(ask(pool), { startImmediately: true })
    const other = yield* Effect.flip(ask(pool))
    expect(other.reason).toEqual({ _tag: "NoCapacity", retryAt: 4_000 })
    expect(other.retryAt).toBe(4_000)
    yield* TestClock.adjust("3999 millis")
    expect(a.calls().length).toBe(1)
    yield* TestClock.adjust("1 second")
    expect((yield* Fiber.join(first)).route.map((entry) => entry.startedAt)).toEqual([0, expect.any(Number)])
    expect(a.calls()[1]?.startedAt).toBeGreaterThanOrEqual(4_000)
  })
)

it.effect("a wait above max_retry_after_wait goes elsewhere instead", () =>
  Effect.gen(function* () {
    const limited: LlmError.Reason = { _tag: "RateLimited", retryAfter: Duration.seconds(6) }
    const a = yield* scripted("a", fails(limited))
    const pool = yield* Pool.make([a.llm], { id: "pool" })
    const error = yield* Effect.flip(ask(pool))
    expect([error.reason._tag, error.retryAt, a.calls().length]).toEqual(["RateLimited", 6_000, 1])
  })
)

it.effect("falls to the next echelon, and ends with the first cause of the last one tried", () =>
  Effect.gen(function* () {
    const a = yield* scripted("a", fails({ _tag: "Authentication" }))
    const b = yield* scripted("b", fails({ _tag: "QuotaExhausted" }))
    const c = yield* scripted("c", fails({ _tag: "ModelNotFound" }))
    const group = yield* TaskGroup.make([[a.llm], [b.llm, c.llm]], { id: "group" })
    const error = yield* Effect.flip(ask(group))
    expect([error.reason._tag, error.instance]).toEqual(["QuotaExhausted", "b"])
    expect(error.route?.map((entry) => [entry.instance, entry.reason])).toEqual([
      ["a", "Authentication"],
      ["b", "QuotaExhausted"],
      ["c", "ModelNotFound"]
    ])
  })
)

it.effect("streams and buffered answers take the same way", () =>
  Effect.gen(function* () {
    const a = yield* scripted("a", fails(overloaded))
    const b = yield* scripted("b", hello)
    const pool = yield* Pool.make([a.llm, b.llm], { id: "pool" })
    const parts = yield* Stream.runCollect(Llm.stream(pool, { prompt: "hi" }))
    expect(parts.map((part) => ("delta" in part ? part.delta : part.type))).toEqual([
      "text-start",
      "hello",
      "text-end",
      "finish"
    ])
    expect([a.calls()[0]?.request.stream, a.open(), b.open()]).toEqual([true, 0, 0])
  })
)

it.effect("a stream that breaks after commit fails with what was delivered; one budget, no second answer", () =>
  Effect.gen(function* () {
    const a = yield* scripted("a", ScriptedLlm.truncated("half", { _tag: "Network", kind: "reset" }))
    const b = yield* scripted("b", hello)
    const pool = yield* Pool.make([a.llm, b.llm], { id: "pool" })
    const error = yield* Effect.flip(Stream.runCollect(Llm.stream(pool, { prompt: "hi" })))
    expect([error.reason._tag, error.delivered, b.calls().length]).toEqual(["Network", "half", 0])
    // Who folds has shown nobody anything: the same break is made good.
    const answer = yield* Effect.gen(function* () {
      const again = yield* Pool.make([a.llm, b.llm], { id: "pool" })
      return yield* ask(again)
    })
    expect([answer.text, instances(answer.route)]).toEqual(["hello", ["a", "b"]])
  })
)

it.effect("retries in a pool in a pool do not multiply: who gave up is not asked again", () =>
  Effect.gen(function* () {
    const a = yield* scripted("a", fails({ _tag: "MalformedOutput" }))
    const inner = yield* Pool.make([a.llm], { id: "inner" })
    const middle = yield* Pool.make([inner], { id: "middle" })
    const outer = yield* Pool.make([middle], { id: "outer" })
    const fiber = yield* Effect.forkChild(Effect.flip(ask(outer)))
    yield* TestClock.adjust("1 hour")
    expect((yield* Fiber.join(fiber)).route?.length).toBe(3)
    expect(a.calls().length).toBe(3)
  })
)

it.effect("only who is asked spends the budget, however many policies stand above it", () =>
  Effect.gen(function* () {
    const a = yield* scripted("a", hello)
    const inner = yield* Pool.make([a.llm], { id: "inner" })
    const outer = yield* Pool.make([inner], { id: "outer" })
    expect((yield* ask(outer, { maxTotalAttempts: 1 })).text).toBe("hello")
    const b = yield* scripted("b", fails(overloaded))
    const bounded = yield* Pool.make([b.llm], { id: "bounded" })
    const fiber = yield* Effect.forkChild(Effect.flip(ask(bounded, { maxTotalAttempts: 2 })))
    yield* TestClock.adjust("1 hour")
    expect([(yield* Fiber.join(fiber)).reason._tag, b.calls().length]).toEqual(["Overloaded", 2])
  })
)

it.effect("a pool within that asks nobody is passed over, and never masks a cause", () =>
  Effect.gen(function* () {
    const limited: LlmError.Reason = { _tag: "RateLimited", retryAfter: Duration.minutes(1) }
    const a = yield* scripted("a", fails(limited))
    const b = yield* scripted("b", hello, { capabilities: { features: [] } })
    const cooling = yield* Pool.make([a.llm], { id: "cooling" })
    yield* Effect.flip(ask(cooling))
    const unable = yield* Pool.make([b.llm], { id: "unable" })
    const group = yield* TaskGroup.make([[cooling], [b.llm]], { id: "group" })
    expect(instances((yield* ask(group)).route)).toEqual(["b"])
    const c = yield* scripted("c", hello, { capabilities: { features: ["tools"] } })
    const able = yield* TaskGroup.make([[unable], [c.llm]], { id: "able" })
    const tools = [{ name: "f", parameters: {} }]
    expect((yield* Llm.generate(able, { prompt: "hi", tools })).instance).toBe("c")
    const none = yield* TaskGroup.make([[cooling], [unable]], { id: "none" })
    const error = yield* Effect.flip(Llm.generate(none, { prompt: "hi", tools }))
    expect([error.reason._tag, error.retryAt, error.route]).toEqual(["NoCapacity", 60_000, []])
    const d = yield* scripted("d", fails({ _tag: "Authentication" }))
    const masked = yield* TaskGroup.make([[d.llm], [cooling]], { id: "masked" })
    expect((yield* Effect.flip(ask(masked))).reason._tag).toBe("Authentication")
  })
)

it.effect("a pool within a pool streams on after commit: only the instance's clocks run", () =>
  Effect.gen(function* () {
    const slow = [
      ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "a" }),
      ...Array.from({ length: 9 }, () => [
        ScriptedLlm.wait("50 seconds"),
        ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "a" })
      ]).flat(),
      ScriptedLlm.finish()
    ]
    const a = yield* scripted("a", slow)
    const inner = yield* Pool.make([a.llm], { id: "inner" })
    const group = yield* TaskGroup.make([[inner], [a.llm]], { id: "group" })
    const fiber = yield* Effect.forkChild(
      Stream.runCollect(Llm.stream(group, { prompt: "hi", metadata: { timeout: "10 seconds" } }))
    )
    yield* TestClock.adjust("10 minutes")
    expect((yield* Fiber.join(fiber)).length).toBe(11)
    expect(a.open()).toBe(0)
  })
)

it.effect("who folds runs with commit = finish, whatever the metadata says", () =>
  Effect.gen(function* () {
    const a = yield* scripted("a", ScriptedLlm.truncated("half"))
    const b = yield* scripted("b", hello)
    const pool = yield* Pool.make([a.llm, b.llm], { id: "pool" })
    expect((yield* ask(pool, { commit: "first_output" })).text).toBe("hello")
  })
)

it.effect("a tier's share of the deadline is set once, so that silent instances leave time for the next tier", () =>
  Effect.gen(function* () {
    const silent = yield* Effect.forEach(["a", "b", "c"], (id) => scripted(id, [ScriptedLlm.never]))
    const next = yield* scripted("next", [ScriptedLlm.wait("4 seconds"), ScriptedLlm.accepted, ...hello])
    const group = yield* TaskGroup.make([silent.map(({ llm }) => llm), [next.llm]], { id: "group" })
    const fiber = yield* Effect.forkChild(ask(group, { timeout: "10 seconds" }))
    yield* TestClock.adjust("10 seconds")
    const answer = yield* Fiber.join(fiber)
    expect(answer.text).toBe("hello")
    expect(answer.route.map((entry) => entry.elapsedMs)).toEqual([5_000, 4_000])
  })
)

it.effect("maxTiers bounds the share as well", () =>
  Effect.gen(function* () {
    const a = yield* scripted("a", fails(overloaded))
    const b = yield* scripted("b", [ScriptedLlm.wait("8 seconds"), ScriptedLlm.accepted, ...hello])
    const c = yield* scripted("c", hello)
    const group = yield* TaskGroup.make([[a.llm], [b.llm], [c.llm]], { id: "group", maxRetries: 0, maxAttempts: 2 })
    const fiber = yield* Effect.forkChild(ask(group, { timeout: "10 seconds" }))
    yield* TestClock.adjust("10 seconds")
    expect((yield* Fiber.join(fiber)).instance).toBe("b")
  })
)

it.effect("money spent stops further attempts", () =>
  Effect.gen(function* () {
    const a = yield* scripted("a", fails(overloaded), { prices: { input: 1, output: 1 } })
    const pool = yield* Pool.make([a.llm], { id: "pool" })
    const answer = yield* Effect.flip(
      Llm.generate(
        {
          ...pool,
          call: (request) => {
            request.budget.spend(2)
            return pool.call(request)
          }
        },
        { prompt: "hi", metadata: { maxCost: 1 } }
      )
    )
    expect(answer.reason).toEqual({ _tag: "BudgetExhausted", of: "cost" })
    expect(a.calls().length).toBe(0)
  })
)

it.effect("a silent first tier leaves time for the next", () =>
  Effect.gen(function* () {
    const a = yield* scripted("a", [ScriptedLlm.never])
    const b = yield* scripted("b", hello)
    const group = yield* TaskGroup.make([[a.llm], [b.llm]], { id: "group" })
    const wrapped = Wrapper.make(group, { id: "wrapper", requestTimeout: "10 seconds" })
    const fiber = yield* Effect.forkChild(ask(wrapped))
    yield* TestClock.adjust("5 seconds")
    const answer = yield* Fiber.join(fiber)
    expect(answer.route).toMatchObject([
      { instance: "a", reason: "Timeout", elapsedMs: 5_000 },
      { instance: "b", outcome: "completed" }
    ])
  })
)

it.effect("nothing extends a deadline, and no repeat is begun that it would cut", () =>
  Effect.gen(function* () {
    const a = yield* scripted("a", [ScriptedLlm.never])
    const inner = Wrapper.make(a.llm, { id: "inner", requestTimeout: "1 hour" })
    const outer = Wrapper.make(inner, { id: "outer", requestTimeout: "10 seconds" })
    const fiber = yield* Effect.forkChild(Effect.flip(ask(outer)))
    yield* TestClock.adjust("10 seconds")
    expect((yield* Fiber.join(fiber)).reason._tag).toBe("DeadlineExceeded")

    const limited: LlmError.Reason = { _tag: "RateLimited", retryAfter: Duration.seconds(4) }
    const b = yield* scripted("b", fails(limited))
    const pool = Wrapper.make(yield* Pool.make([b.llm], { id: "pool" }), { id: "w", requestTimeout: "3 seconds" })
    const error = yield* Effect.flip(ask(pool))
    expect([error.reason._tag, b.calls().length]).toEqual(["RateLimited", 1])
  })
)

it.effect("asks only instances that have what the request needs", () =>
  Effect.gen(function* () {
    const blind = yield* scripted("blind", hello, { capabilities: { features: ["tools"] } })
    const seeing = yield* scripted("seeing", hello, { capabilities: { features: ["images"] } })
    const unknown = yield* scripted("unknown", hello)
    const prompt: ReadonlyArray<LlmRequest.Message> = [
      { role: "user", content: [{ type: "file", mediaType: "image/png", data: new Uint8Array([1]) }] }
    ]
    const pool = yield* Pool.make([blind.llm, seeing.llm], { id: "pool" })
    expect((yield* Llm.generate(pool, { prompt })).instance).toBe("seeing")
    const open = yield* Pool.make([blind.llm, unknown.llm], { id: "open" })
    expect((yield* Llm.generate(open, { prompt })).instance).toBe("unknown")
    const closed = yield* Pool.make([blind.llm], { id: "closed" })
    const error = yield* Effect.flip(Llm.generate(closed, { prompt }))
    expect(error.message).toBe("invalid request: no instance of closed has what the request needs: images")
  })
)

it.effect("an echelon fills what the request left open, and overrides nothing", () =>
  Effect.gen(function* () {
    const a = yield* scripted("a", hello)
    const member = Member.make(a.llm, { settings: { temperature: 0.7, maxOutputTokens: 5 }, upstream: "stream" })
    const llm = yield* Tiers.make({
      id: "x",
      rotation: "round_robin",
      tiers: [{ members: [member], maxRetries: 0, maxInstances: 1 }]
    })
    yield* Llm.generate(llm, { prompt: "hi", settings: { temperature: 0 } })
    expect(a.calls()[0]?.request.settings).toEqual({ temperature: 0, maxOutputTokens: 5 })
    expect([a.calls()[0]?.request.stream, a.calls()[0]?.request.commit]).toEqual([true, "finish"])
  })
)

it.effect("in-flight counts what runs, and interruption at any time leaves none", () =>
  Effect.gen(function* () {
    const a = yield* scripted("a", [
      ScriptedLlm.wait("1 second"),
      ScriptedLlm.accepted,
      ...ScriptedLlm.text("a b c d"),
      ScriptedLlm.never
    ])
    const member = Member.make(a.llm)
    const llm = yield* Tiers.make({
      id: "x",
      rotation: "least_busy",
      tiers: [{ members: [member], maxRetries: 2, maxInstances: 1 }]
    })
    for (const at of [0, 500, 1_000, 1_500]) {
      const fibers = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(Stream.runDrain(Stream.take(Llm.stream(llm, { prompt: "hi" }), at === 1_500 ? 2 : 99)), {
          startImmediately: true
        })
      )
      expect(member.state.inFlight()).toBe(3)
      yield* TestClock.adjust(at)
      yield* Effect.forEach(fibers, Fiber.interrupt)
      expect([member.state.inFlight(), a.open()]).toEqual([0, 0])
    }
  })
)

it.effect("a pool without an instance says what to do", () =>
  Effect.gen(function* () {
    const llm = yield* Tiers.make({ id: "x", rotation: "round_robin", tiers: [], whenEmpty: "set OPENAI_API_KEY" })
    expect((yield* Effect.flip(ask(llm))).message).toBe("no capacity: set OPENAI_API_KEY")
  })
)
