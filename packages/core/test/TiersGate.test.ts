import {
  Admission,
  AdmissionQueue,
  Attempt,
  CircuitBreaker,
  Llm,
  LlmError,
  type LlmRequest,
  Member,
  Plans,
  RateLimit,
  RateLimiter,
  Tiers,
  TokenEstimate
} from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { type Clock, Duration, Effect, Fiber, Schema } from "effect"
import { TestClock } from "effect/testing"

const scripted = (id: string, script: ScriptedLlm.Options["script"] = ScriptedLlm.text("hello")) =>
  ScriptedLlm.make({ id, script })
const tiers = (members: ReadonlyArray<Member.Member>, more: Partial<Tiers.Options> = {}) =>
  Tiers.make({
    id: "pool",
    rotation: "priority",
    tiers: members.map((member) => ({ members: [member], maxRetries: 0, maxInstances: 1 })),
    ...more
  })

// The context window.

const sized = (words: number): LlmRequest.Input => ({ prompt: "word ".repeat(words) })

it.effect(
  "a request that surely does not fit a model's context window passes it over, and fails when it fits none",
  () =>
    Effect.gen(function* () {
      const small = yield* scripted("small")
      const large = yield* scripted("large")
      const llm = yield* tiers([
        Member.make(small.llm, { contextWindow: 1_000 }),
        Member.make(large.llm, { contextWindow: 10_000 })
      ])
      const asked = (input: LlmRequest.Input) => Effect.map(Llm.generate(llm, input), (answer) => answer.instance)
      expect(yield* asked(sized(100))).toBe("small")
      expect(yield* asked(sized(2_000))).toBe("large")
      expect(yield* asked({ ...sized(100), settings: { maxOutputTokens: 990 } })).toBe("large")
      const error = yield* Effect.flip(Llm.generate(llm, sized(20_000)))
      expect(error.reason).toEqual({ _tag: "ContextLength", contextWindow: 10_000 })
      expect(error.message).toContain("do not fit the largest context window of pool, 10000 tokens")
      expect([error.route, small.calls().length]).toEqual([[], 1])
    })
)

it.effect("a window that is not known excludes nothing", () =>
  Effect.gen(function* () {
    const one = yield* scripted("one")
    const llm = yield* tiers([Member.make(one.llm)])
    expect((yield* Llm.generate(llm, sized(50_000))).text).toBe("hello")
  })
)

const letters = Schema.Array(
  Schema.Literals(["word ", "0123456789", "你好世界", "привет ", '{"a":1}', "\n", "🙂", "ü"])
).check(Schema.isMaxLength(60))

it.effect.prop(
  "what the bound lets pass without counting, the estimate lets pass as well",
  { words: letters, more: letters, output: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 50 })) },
  ({ more, output, words }) =>
    Effect.sync(() => {
      const request = {
        messages: [
          { role: "user" as const, content: words.join("") },
          { role: "assistant" as const, content: [{ type: "text" as const, text: more.join("") }] }
        ],
        tools: [],
        responseFormat: { type: "text" as const },
        settings: { maxOutputTokens: output }
      }
      const bound = TokenEstimate.bound(request)
      expect(TokenEstimate.mayFit(TokenEstimate.of(request), Math.ceil(bound))).toBe(true)
    }),
  { arbitrary: { runs: 500 } }
)

// What a provider says is left.

it.effect("a member whose provider says that nothing is left is passed over until the limit is whole again", () =>
  Effect.gen(function* () {
    const reported = RateLimiter.make([], { name: "reported" })
    const said = Llm.make({
      id: "said",
      open: (_, attempt) =>
        Effect.suspend(() => {
          attempt.report({ kind: "requests", remaining: 0, limit: 100, resetAt: 30_000 })
          return Effect.succeed(
            Effect.succeed([
              { type: "text-delta", id: "0", delta: "said" },
              { type: "finish", reason: "stop", usage: { inputTokens: {}, outputTokens: {} } }
            ] as const)
          )
        })
    })
    const other = yield* scripted("other")
    const llm = yield* tiers([Member.make(said, { limiters: [reported], reported }), Member.make(other.llm)])
    const who = Effect.map(Llm.generate(llm, { prompt: "hi" }), (answer) => answer.instance)
    expect([yield* who, yield* who]).toEqual(["said", "other"])
    yield* TestClock.adjust("30 seconds")
    expect(yield* who).toBe("said")
  })
)

it.effect("tokens that a provider says are left are learned although no limit was configured", () =>
  Effect.gen(function* () {
    const reported = RateLimiter.make([], { name: "reported" })
    const one = yield* scripted("one")
    RateLimiter.learn(reported, { kind: "tokens", remaining: 50, resetAt: 10_000 }, 0)
    const llm = yield* tiers([Member.make(one.llm, { limiters: [reported], reported })])
    const error = yield* Effect.flip(Llm.generate(llm, { prompt: "hi" }))
    expect(error.reason).toEqual({ _tag: "NoCapacity", retryAt: 10_000 })
    expect((yield* Llm.generate(llm, { prompt: "hi", settings: { maxOutputTokens: 10 } })).text).toBe("hello")
  })
)

// Slots.

it.effect("a slot that is freed wakes who waits for it at once, one for one", () =>
  Effect.gen(function* () {
    const one = yield* scripted("one", [ScriptedLlm.wait("1 second"), ScriptedLlm.accepted, ...ScriptedLlm.text("x")])
    const limiter = RateLimiter.make(RateLimit.ofLimits({ ...Plans.noLimits, concurrency: 2 }))
    const queue = yield* AdmissionQueue.make({ queueSize: 10 })
    limiter.onFreed = () => queue.unpark()
    const llm = Admission.withQueue(yield* tiers([Member.make(one.llm, { limiters: [limiter] })]), queue)
    const fibers = yield* Effect.forEach([1, 2, 3, 4, 5], () =>
      Effect.forkChild(Llm.generate(llm, { prompt: "hi" }), { startImmediately: true })
    )
    const done = () => fibers.filter((fiber) => fiber.pollUnsafe() !== undefined).length
    const counts: Array<ReadonlyArray<number>> = []
    for (let second = 0; second < 3; second++) {
      yield* TestClock.adjust("1 second")
      counts.push([done(), one.open()])
    }
    // Without being woken they would come up to 250 ms late.
    expect(counts).toEqual([
      [2, 2],
      [4, 1],
      [5, 0]
    ])
    yield* Effect.forEach(fibers, Fiber.join)
    expect(limiter.inUse).toBe(0)
  })
)

it.effect("of two waits the longer counts: a cooldown beside an open breaker", () =>
  Effect.gen(function* () {
    const one = yield* scripted("one", (call) =>
      call === 0
        ? ScriptedLlm.fails({ _tag: "RateLimited", retryAfter: Duration.seconds(10) })
        : ScriptedLlm.text("hello")
    )
    const breaker = CircuitBreaker.make({
      ...Plans.group("g", []).fallback.breaker,
      failureThreshold: 1,
      recoveryTime: 60_000
    })
    const member = Member.make(one.llm, { breaker })
    const llm = yield* tiers([member])
    yield* Effect.flip(Llm.generate(llm, { prompt: "hi" }))
    breaker.force("open", 0)
    expect(Member.availability(member, 1_000)).toBe("out")
    breaker.force(undefined, 0)
    expect(Member.availability(member, 1_000)).toEqual({ until: 10_000 })
    const { until } = yield* Effect.gen(function* () {
      yield* Attempt.open({}, (attempt) => {
        breaker.enter(attempt, { currentTimeMillisUnsafe: () => 0 } as Clock.Clock, () => 0.5)
        return Effect.fail(LlmError.make({ reason: { _tag: "Overloaded" } }))
      }).pipe(Effect.flip)
      return Member.availability(member, 1_000) as { readonly until: number }
    }).pipe(Effect.scoped)
    expect(until).toBe(60_000)
  })
)

it.effect("a request whose first attempt cost nothing is counted by the pool with the next", () =>
  Effect.gen(function* () {
    const refused = yield* scripted("refused", ScriptedLlm.fails({ _tag: "Network", kind: "refused" }))
    const next = yield* scripted("next")
    const limiter = RateLimiter.make(RateLimit.ofPool({ algorithm: "token_bucket", bucketSize: 1, refillRate: 0.001 }))
    const llm = yield* tiers([Member.make(refused.llm), Member.make(next.llm)], { limiters: [limiter] })
    expect((yield* Llm.generate(llm, { prompt: "hi" })).instance).toBe("next")
    expect((yield* Effect.flip(Llm.generate(llm, { prompt: "hi" }))).reason._tag).toBe("NoCapacity")
  })
)
