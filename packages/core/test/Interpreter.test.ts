import {
  Interpreter,
  Llm,
  type LlmRequest,
  Orchestrator,
  Plans,
  PoolManager,
  TaskGroupManager,
  WrapperManager
} from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, type Scope, Stream } from "effect"
import * as Persistence from "effect/persistence/Persistence"
import { TestClock } from "effect/testing"
import { quickDigests, settle } from "./support/background.ts"
import * as plans from "./support/plans.ts"

const openai = plans.provider("openai")
const names = ["a1", "b1", "a2", "b2", "a3", "b3"]
const fast = plans.group(
  "fast",
  [1, 2, 3].map((n) => plans.echelon("fast", n, [`a${n}`, `b${n}`], { settings: { temperature: n } }))
)
const root = plans.root({
  instances: names.map((name) => plans.instance(name, openai)),
  groups: [
    fast,
    plans.group("slow", [plans.echelon("slow", 1, ["a3"], { priority: 7 })], {
      echelons: ["slow.echelon1", "fast.echelon2"],
      maxAttempts: 2
    })
  ],
  pools: [
    plans.pool("pool", ["fast"]),
    plans.pool("one", ["fast"], { fallback: { strategy: "none", maxInstanceAttempts: 2, maxEjected: 1 } }),
    plans.pool("both", ["slow", "fast"])
  ],
  wrappers: [
    plans.wrapper("w", { kind: "pool", name: "pool" }, { requestTimeout: 3_000 }),
    plans.wrapper("g", { kind: "group", name: "fast" })
  ]
})
const overloaded = ScriptedLlm.fails({ _tag: "Overloaded" })

const run = <A, E>(
  effect: Effect.Effect<A, E, Orchestrator.Services | Interpreter.Interpreter | Scope.Scope>,
  byInstance: Readonly<Record<string, ScriptedLlm.Options["script"]>> = {},
  from = root
) => {
  const { layer } = plans.scripts(byInstance)
  return Effect.provide(
    effect,
    Layer.provideMerge(Orchestrator.layer, Layer.provide(Interpreter.Interpreter.layer(from), layer))
  )
}
const ask = (metadata: LlmRequest.Metadata) => Orchestrator.generate({ prompt: "hi", metadata })
const asked = (answer: { readonly route?: ReadonlyArray<{ readonly instance: string }> | undefined }) =>
  answer.route?.map((entry) => entry.instance).join(" ")

it.effect("a pool's tiers are its echelons by priority, and an instance keeps its echelon's settings", () =>
  run(
    Effect.gen(function* () {
      const error = yield* Effect.flip(ask({ poolName: "pool" }))
      expect(asked(error)).toBe("a1 a2 a3")
      expect(error.route?.map((entry) => entry.echelon)).toEqual(["fast.echelon1", "fast.echelon2", "fast.echelon3"])
      expect(error.route?.map((entry) => entry.model)).toEqual(["wire-a1", "wire-a2", "wire-a3"])
    }),
    Object.fromEntries(names.map((name) => [name, overloaded]))
  )
)

it.effect("rotates within the first tier while it can answer", () =>
  run(
    Effect.gen(function* () {
      const answers = yield* Effect.forEach([1, 2, 3], () => ask({ poolName: "pool" }))
      expect(answers.map(asked)).toEqual(["a1", "b1", "a1"])
    })
  )
)

it.effect("strategy none asks one instance of one tier", () =>
  run(
    Effect.gen(function* () {
      expect(asked(yield* Effect.flip(ask({ poolName: "one" })))).toBe("a1")
    }),
    { a1: overloaded }
  )
)

it.effect("a group starts at its first echelon or at the one that is named, then follows its fallbacks", () =>
  run(
    Effect.gen(function* () {
      const way = (groupName: string) => Effect.map(Effect.flip(ask({ groupName })), asked)
      expect(yield* way("fast")).toBe("a1 a2 a3")
      expect(yield* way("fast.echelon2")).toBe("a2 a3")
      expect(yield* way("slow")).toBe("a3 a2")
    }),
    Object.fromEntries(names.map((name) => [name, overloaded]))
  )
)

it.effect("a cooldown is seen by every pool and group that has the instance", () =>
  run(
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(ask({ groupName: "fast.echelon1" }))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      expect(asked(yield* ask({ poolName: "pool" }))).toBe("b1")
      expect(asked(yield* ask({ poolName: "both" }))).toBe("b1")
    }),
    { a1: ScriptedLlm.fails({ _tag: "RateLimited", retryAfter: Duration.minutes(5) }) }
  )
)

it.effect("a wrapper's request_timeout is the deadline of all below it", () =>
  run(
    Effect.gen(function* () {
      const fiber = yield* Effect.forkChild(Effect.flip(ask({ wrapperName: "w" })))
      yield* TestClock.adjust("3 seconds")
      const error = yield* Fiber.join(fiber)
      expect(error.route?.map((entry) => entry.elapsedMs)).toEqual([1_000, 1_000, 1_000])
      expect(error.reason._tag).toBe("DeadlineExceeded")
    }),
    Object.fromEntries(names.map((name) => [name, [ScriptedLlm.never]]))
  )
)

it.effect("an unknown name fails with the nearest known names", () =>
  run(
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [LlmRequest.Metadata, string]> = [
        [{ poolName: "pol" }, 'unknown name: there is no pool "pol"; did you mean "pool"?'],
        [{ groupName: "fast.echelon9" }, 'there is no group "fast.echelon9"; did you mean "fast.echelon1"'],
        [{ wrapperName: "zzz" }, 'there is no wrapper "zzz"; known: "w", "g"'],
        [{ provider: "opnai" }, 'did you mean "openai"?']
      ]
      for (const [metadata, message] of cases) {
        const error = yield* Effect.flip(ask(metadata))
        expect(error.message).toContain(message)
        expect(error.reason._tag).toBe("UnknownTarget")
        expect(error.route).toEqual([])
      }
    })
  )
)

it.effect("provider and model go to a direct client; nothing at all to the default", () =>
  run(
    Effect.gen(function* () {
      expect((yield* ask({ provider: "openai", model: "gpt-4" })).instance).toBe("openai-gpt-4")
      expect((yield* ask({})).instance).toBe("openai-default")
    })
  )
)

it.effect("a disabled instance is left out; when none is left the error names the variable", () =>
  run(
    Effect.gen(function* () {
      expect(asked(yield* ask({ poolName: "p" }))).toBe("a1")
      const error = yield* Effect.flip(ask({ poolName: "q" }))
      expect(error.message).toBe(
        "no capacity: every instance of q is disabled for want of a credential; set OPENAI_API_KEY"
      )
    }),
    {},
    plans.root({
      instances: [plans.instance("a1", openai)],
      disabled: { x: "OPENAI_API_KEY" },
      groups: [
        plans.group("g", [plans.echelon("g", 1, ["x", "a1"])]),
        plans.group("h", [plans.echelon("h", 1, ["x"])])
      ],
      pools: [plans.pool("p", ["g"]), plans.pool("q", ["h"])]
    })
  )
)

it.effect("the managers give the same Llms by name", () =>
  run(
    Effect.gen(function* () {
      const pool = yield* PoolManager.PoolManager.use((manager) => manager.get("pool"))
      const again = yield* PoolManager.PoolManager.use((manager) => manager.get("pool"))
      expect([pool.id, again.id]).toEqual(["pool", "pool"])
      const group = yield* TaskGroupManager.TaskGroupManager.use((manager) => manager.get("fast.echelon3"))
      expect((yield* Llm.generate(group, { prompt: "hi" })).instance).toBe("a3")
      const wrapper = yield* WrapperManager.WrapperManager.use((manager) => manager.get("g"))
      expect(wrapper.id).toBe("g")
      expect((yield* PoolManager.PoolManager.use((manager) => manager.plans)).map((plan) => plan.name)).toEqual([
        "pool",
        "one",
        "both"
      ])
    })
  )
)

it.effect("streams through the router, and tells the route and the cost at the end", () =>
  run(
    Effect.gen(function* () {
      const parts = yield* Stream.runCollect(Orchestrator.stream({ prompt: "hi", metadata: { wrapperName: "w" } }))
      expect(parts[parts.length - 1]?.type).toBe("finish")
      const reply = yield* Orchestrator.open({ prompt: "hi", metadata: { poolName: "pool" } })
      yield* Stream.runDrain(reply.parts)
      expect(yield* reply.route).toMatchObject([{ instance: "b1", outcome: "completed", usage: { inputTokens: 1 } }])
    })
  )
)

it.effect("a change is for new requests; one in flight ends on the plan it started with, and cooldowns stay", () => {
  const limited = ScriptedLlm.fails({ _tag: "RateLimited", retryAfter: Duration.minutes(5) })
  const slow = [ScriptedLlm.wait("1 second"), ScriptedLlm.accepted, ...ScriptedLlm.text("old")]
  return run(
    Effect.gen(function* () {
      const fixed = yield* PoolManager.PoolManager.use((manager) => manager.get("pool"))
      const inFlight = yield* Effect.forkChild(ask({ groupName: "fast.echelon3" }), { startImmediately: true })
      expect(asked(yield* ask({ poolName: "pool" }))).toBe("a1 a2")
      yield* Interpreter.Interpreter.use((interpreter) =>
        interpreter.swap({ ...root, pools: { pool: plans.pool("pool", ["slow", "fast"]) }, wrappers: {} })
      )
      expect(asked(yield* ask({ poolName: "pool" }))).toBe("b1")
      expect((yield* Llm.generate(fixed, { prompt: "hi" })).instance).toBe("b1")
      expect((yield* Effect.flip(ask({ wrapperName: "w" }))).reason._tag).toBe("UnknownTarget")
      yield* TestClock.adjust("1 second")
      expect((yield* Fiber.join(inFlight)).text).toBe("old")
    }),
    { a1: limited, a3: slow }
  )
})

it.effect("a direct client heeds a cooldown and tells of one", () => {
  const limited = ScriptedLlm.fails({ _tag: "RateLimited", retryAfter: Duration.minutes(5) })
  return run(
    Effect.gen(function* () {
      const direct = { provider: "openai", model: "a1" }
      expect((yield* Effect.flip(ask(direct))).reason._tag).toBe("RateLimited")
      const again = yield* Effect.flip(ask(direct))
      expect([again.reason._tag, again.retryAt, again.route]).toEqual(["NoCapacity", 300_000, []])
      expect(asked(yield* ask({ poolName: "pool" }))).toBe("b1")
    }),
    { a1: limited }
  )
})

it.effect("max_total_attempts bounds a group; a pool takes the least of its groups", () => {
  const bounded = (name: string, most: number) =>
    plans.group(name, [plans.echelon(name, 1, ["a1"], { maxRetries: 9 })], {
      maxTotalAttempts: most,
      breaker: { ...Plans.defaults.breaker, failureRate: undefined, slowCall: undefined, failureThreshold: 99 },
      retryDelay: 1,
      retryMaxDelay: 1
    })
  return run(
    Effect.gen(function* () {
      const attempts = (metadata: LlmRequest.Metadata) =>
        Effect.gen(function* () {
          const fiber = yield* Effect.forkChild(Effect.flip(ask(metadata)))
          yield* TestClock.adjust("1 minute")
          return (yield* Fiber.join(fiber)).route?.length
        })
      expect(yield* attempts({ groupName: "three" })).toBe(3)
      expect(yield* attempts({ poolName: "both" })).toBe(2)
      expect(yield* attempts({ groupName: "three", maxTotalAttempts: 1 })).toBe(1)
    }),
    { a1: overloaded },
    plans.root({
      instances: [plans.instance("a1", openai)],
      groups: [bounded("three", 3), bounded("two", 2)],
      pools: [plans.pool("both", ["three", "two"])]
    })
  )
})

it.effect("a group with commit = finish makes even a cut stream good", () =>
  run(
    Effect.gen(function* () {
      const parts = yield* Stream.runCollect(Orchestrator.stream({ prompt: "hi", metadata: { groupName: "whole" } }))
      expect(parts.some((part) => part.type === "text-delta" && part.delta === "hello")).toBe(true)
      const early = { groupName: "whole", commit: "first_output" } as const
      const error = yield* Effect.flip(Stream.runDrain(Orchestrator.stream({ prompt: "hi", metadata: early })))
      expect(error.delivered).toBe("half")
    }),
    { a1: ScriptedLlm.truncated("half") },
    plans.root({
      instances: ["a1", "a2"].map((name) => plans.instance(name, openai)),
      groups: [
        plans.group("whole", [plans.echelon("whole", 1, ["a1"]), plans.echelon("whole", 2, ["a2"])], {
          commit: "finish"
        })
      ]
    })
  )
)

it.effect("a wrapper lets so many run and so many wait, and waits for a limit to pass", () => {
  const slow = [ScriptedLlm.wait("1 second"), ScriptedLlm.accepted, ...ScriptedLlm.text("hello")]
  return run(
    Effect.gen(function* () {
      const fibers = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(Effect.exit(ask({ wrapperName: "one" })), { startImmediately: true })
      )
      yield* TestClock.adjust("2 seconds")
      const ends = yield* Effect.forEach(fibers, Fiber.join)
      expect(ends.map((end) => end._tag)).toEqual(["Success", "Success", "Failure"])
      const limited = yield* Effect.forEach([1, 2], () =>
        Effect.forkChild(ask({ wrapperName: "limited" }), { startImmediately: true })
      )
      yield* TestClock.adjust("1 second")
      expect(limited.map((fiber) => fiber.pollUnsafe() !== undefined)).toEqual([true, false])
      yield* TestClock.adjust("70 seconds")
      expect((yield* Effect.forEach(limited, Fiber.join)).map((answer) => answer.text)).toEqual(["hello", "hello"])
    }),
    { a1: slow, b1: slow },
    plans.root({
      instances: ["a1", "b1"].map((name) => plans.instance(name, openai)),
      groups: [
        plans.group("g", [plans.echelon("g", 1, ["a1"])]),
        plans.group("h", [plans.echelon("h", 1, ["b1"], { limits: { ...Plans.noLimits, rpm: 1 } })])
      ],
      wrappers: [
        plans.wrapper("one", { kind: "group", name: "g" }, { maxConcurrentRequests: 1, queueSize: 1 }),
        plans.wrapper(
          "limited",
          { kind: "group", name: "h" },
          { maxConcurrentRequests: 9, queueSize: 9, requestTimeout: 120_000 }
        )
      ]
    })
  )
})

it.effect(
  "a pool's cache answers again, per tenant, unless the request bypasses it; a Persistence given below is used",
  () => {
    const cached = plans.root({
      instances: [plans.instance("a1", openai)],
      groups: [plans.group("g", [plans.echelon("g", 1, ["a1"])])],
      pools: [plans.pool("p", ["g"], { cache: { ttl: 60_000, capacity: 10 } }), plans.pool("q", ["g"])]
    })
    return Effect.gen(function* () {
      const kinds = (metadata: LlmRequest.Metadata) =>
        Effect.map(
          Effect.tap(ask(metadata), () => settle),
          (answer) => answer.route.map((entry) => entry.kind).join()
        )
      const sequence = Effect.gen(function* () {
        const first = yield* kinds({ poolName: "p", tenant: "x" })
        const others = yield* Effect.forEach(
          [
            { poolName: "p", tenant: "x" },
            { poolName: "p", tenant: "y" },
            { poolName: "p", tenant: "x", cache: "bypass" as const },
            { poolName: "q", tenant: "x" }
          ],
          kinds
        )
        yield* TestClock.adjust("61 seconds")
        return [first, ...others, yield* kinds({ poolName: "p", tenant: "x" })]
      })
      const expected = ["call", "cache", "call", "call", "call", "call"]
      expect(yield* run(sequence, {}, cached)).toEqual(expected)
      const shared = yield* Layer.build(Persistence.layerMemory)
      expect(yield* Effect.provide(run(sequence, {}, cached), shared)).toEqual(expected)
      const again = Effect.provide(
        run(
          Effect.flatMap(kinds({ poolName: "p", tenant: "y" }), (one) =>
            Effect.map(kinds({ poolName: "p", tenant: "x" }), (two) => [one, two])
          ),
          {},
          cached
        ),
        shared
      )
      expect(yield* again).toEqual(["call", "cache"])
    }).pipe(Effect.provide(quickDigests))
  }
)

it.effect("a pool's identical requests in flight share one call when it says so", () =>
  run(
    Effect.gen(function* () {
      const kinds = (metadata: LlmRequest.Metadata) =>
        Effect.forEach([1, 2], () => Effect.forkChild(ask(metadata), { startImmediately: true })).pipe(
          Effect.tap(() => TestClock.adjust("1 second")),
          Effect.flatMap(Effect.forEach(Fiber.join)),
          Effect.map((answers) => answers.map((answer) => answer.route[0]?.kind))
        )
      expect(yield* kinds({ poolName: "p" })).toEqual(["call", "coalesced"])
      expect(yield* kinds({ poolName: "q" })).toEqual(["call", "call"])
    }),
    { a1: [ScriptedLlm.wait("1 second"), ScriptedLlm.accepted, ...ScriptedLlm.text("hello")] },
    plans.root({
      instances: [plans.instance("a1", openai)],
      groups: [plans.group("g", [plans.echelon("g", 1, ["a1"])])],
      pools: [plans.pool("p", ["g"], { coalesce: true }), plans.pool("q", ["g"])]
    })
  )
)
