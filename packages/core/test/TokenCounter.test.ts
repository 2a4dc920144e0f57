import {
  Interpreter,
  Llm,
  type LlmRequest,
  Member,
  Orchestrator,
  Plans,
  RateLimit,
  RateLimiter,
  Tiers,
  TokenCounter,
  TokenEstimate
} from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as plans from "./support/plans.ts"

const scripted = (id: string) => ScriptedLlm.make({ id, script: ScriptedLlm.text("hello") })

/** Counts what it is told to, and keeps what it heard. */
const counterOf = (count: (estimated: number) => TokenCounter.Count) => {
  const heard: Array<readonly [estimated: number, reported: number]> = []
  let asked = 0
  const counter: TokenCounter.Counter = {
    count: (_, estimated) => {
      asked += 1
      return count(estimated)
    },
    observe: (_, estimated, reported) => void heard.push([estimated, reported])
  }
  return { counter, heard, asked: () => asked }
}

const tiers = (members: ReadonlyArray<Member.Member>) =>
  Tiers.make({
    id: "pool",
    rotation: "priority",
    tiers: members.map((member) => ({ members: [member], maxRetries: 0, maxInstances: 1 }))
  })

const sized = (words: number): LlmRequest.Input => ({
  prompt: "word ".repeat(words),
  settings: { maxOutputTokens: 100 }
})

const estimateOf = (words: number) =>
  TokenEstimate.of({
    messages: [{ role: "user", content: "word ".repeat(words) }],
    tools: [],
    responseFormat: { type: "text" },
    settings: {}
  }).input

it.effect("limits of tokens are charged by the count of the member's model", () =>
  Effect.gen(function* () {
    const first = yield* scripted("first")
    const second = yield* scripted("second")
    const tpm = (limit: number) => [RateLimiter.make(RateLimit.ofLimits({ ...Plans.noLimits, tpm: limit }))]
    const double = counterOf((estimated) => ({ tokens: estimated * 2, exact: false }))
    const estimate = estimateOf(100)
    const room = estimate + 100
    const llm = yield* tiers([
      Member.make(first.llm, { limiters: tpm(room), counter: double.counter }),
      Member.make(second.llm, { limiters: tpm(room) })
    ])
    expect((yield* Llm.generate(llm, sized(100))).instance).toBe("second")
    const wide = yield* tiers([Member.make(first.llm, { limiters: tpm(estimate * 2 + 100), counter: double.counter })])
    expect((yield* Llm.generate(wide, sized(100))).instance).toBe("first")
  })
)

it.effect("a request is counted once for all members of a model", () =>
  Effect.gen(function* () {
    const one = yield* scripted("one")
    const two = yield* scripted("two")
    const same = counterOf((estimated) => ({ tokens: estimated, exact: false }))
    const limiters = [RateLimiter.make(RateLimit.ofLimits({ ...Plans.noLimits, tpm: 1 }))]
    const llm = yield* tiers([
      Member.make(one.llm, { limiters, counter: same.counter }),
      Member.make(two.llm, { counter: same.counter })
    ])
    expect((yield* Llm.generate(llm, sized(100))).instance).toBe("two")
    expect(same.asked()).toBe(1)
  })
)

it.effect("an exact count is held against the whole window, an estimate against twice as much", () =>
  Effect.gen(function* () {
    const small = yield* scripted("small")
    const large = yield* scripted("large")
    const ask = (exact: boolean, tokens: number) =>
      Effect.gen(function* () {
        const { counter } = counterOf(() => ({ tokens, exact }))
        const llm = yield* tiers([Member.make(small.llm, { contextWindow: 1_000, counter }), Member.make(large.llm)])
        return (yield* Llm.generate(llm, sized(1_500))).instance
      })
    expect(yield* ask(true, 900)).toBe("small")
    expect(yield* ask(true, 901)).toBe("large")
    expect(yield* ask(false, 1_800)).toBe("small")
    expect(yield* ask(false, 1_802)).toBe("large")
  })
)

it.effect("nothing is counted for a request that surely fits", () =>
  Effect.gen(function* () {
    const one = yield* scripted("one")
    const { asked, counter, heard } = counterOf((tokens) => ({ tokens, exact: true }))
    const llm = yield* tiers([Member.make(one.llm, { contextWindow: 8_000, counter })])
    yield* Llm.generate(llm, sized(10))
    expect([asked(), heard]).toEqual([0, []])
  })
)

it.effect("what the provider reported is told to the counter of who answered, and nothing else", () =>
  Effect.gen(function* () {
    const down = yield* ScriptedLlm.make({ id: "down", script: ScriptedLlm.fails({ _tag: "Overloaded" }) })
    const up = yield* ScriptedLlm.make({
      id: "up",
      script: ScriptedLlm.text("hello", { inputTokens: 321, outputTokens: 1 })
    })
    const silent = yield* ScriptedLlm.make({ id: "silent", script: ScriptedLlm.text("hello", {}) })
    const limiters = [RateLimiter.make(RateLimit.ofLimits({ ...Plans.noLimits, tpm: 100_000 }))]
    const [first, second, third] = [0, 1, 2].map(() => counterOf((tokens) => ({ tokens, exact: false })))
    if (first === undefined || second === undefined || third === undefined) return
    const llm = yield* tiers([
      Member.make(down.llm, { limiters, counter: first.counter }),
      Member.make(up.llm, { limiters, counter: second.counter })
    ])
    yield* Llm.generate(llm, sized(100))
    yield* Llm.generate(yield* tiers([Member.make(silent.llm, { limiters, counter: third.counter })]), sized(100))
    expect([first.heard, second.heard, third.heard]).toEqual([[], [[estimateOf(100), 321]], []])
  })
)

it.effect("instances of a plan are counted by whoever the program supplies", () =>
  Effect.gen(function* () {
    const model = Plans.model({ model: "wire-a", limits: { ...Plans.noLimits, tpm: 100_000 } })
    const root = plans.root({
      instances: [Plans.instance({ name: "a", provider: plans.provider("openai"), alias: "a", model })],
      groups: [plans.group("fast", [plans.echelon("fast", 1, ["a"])])],
      pools: [plans.pool("pool", ["fast"])]
    })
    const { counter, heard } = counterOf((tokens) => ({ tokens, exact: false }))
    const models: Array<string> = []
    const counters: TokenCounter.TokenCounter = {
      of: ({ model }) => Effect.sync(() => void models.push(model.model)).pipe(Effect.as(counter))
    }
    const layer = Interpreter.Interpreter.layer(root).pipe(
      Layer.provide(plans.scripts({}).layer),
      Layer.provide(Layer.succeed(TokenCounter.TokenCounter, counters))
    )
    yield* Orchestrator.generate({ ...sized(100), metadata: { poolName: "pool" } }).pipe(
      Effect.provide(Layer.provideMerge(Orchestrator.layer, layer))
    )
    expect(models).toEqual(["wire-a"])
    expect(heard).toEqual([[estimateOf(100), 1]])
  })
)
