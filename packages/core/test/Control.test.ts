import {
  Control,
  Interpreter,
  type LlmError,
  type LlmRequest,
  Orchestrator,
  type Plan,
  Plans,
  type StateChange
} from "@echelon/core"
import * as Explain from "@echelon/core/Explain"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Redacted, type Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as plans from "./support/plans.ts"

const openai = plans.provider("openai")
const breaker = { ...Plans.defaults.breaker, failureRate: undefined, slowCall: undefined, failureThreshold: 2 }
const chat = (options: Partial<Parameters<typeof plans.group>[2]> = {}) =>
  plans.group("chat", [plans.echelon("chat", 1, ["a", "b"], { maxRetries: 1 }), plans.echelon("chat", 2, ["c"])], {
    breaker,
    ...options
  })
const planned = (parts: Parameters<typeof plans.root>[0] = {}, shutdownGrace = 0): Plan.Root => ({
  ...plans.root({
    instances: ["a", "b", "c"].map((name) => plans.instance(name, openai)),
    groups: [chat()],
    pools: [plans.pool("pool", ["chat"], { rotation: "priority", slowStart: { duration: 0, minShare: 1 } })],
    wrappers: [
      plans.wrapper(
        "w",
        { kind: "pool", name: "pool" },
        { maxConcurrentRequests: 1, queueSize: 5, requestTimeout: 600_000 }
      )
    ],
    ...parts
  }),
  shutdownGrace
})

const run = <A, E>(
  effect: Effect.Effect<A, E, Orchestrator.Services | Interpreter.Interpreter | Scope.Scope>,
  byInstance: Readonly<Record<string, ScriptedLlm.Options["script"]>> = {},
  from = planned()
) =>
  Effect.provide(
    effect,
    Layer.provideMerge(
      Orchestrator.layer,
      Layer.provide(Interpreter.Interpreter.layer(from), plans.scripts(byInstance).layer)
    )
  )
const ask = (metadata: LlmRequest.Metadata = { poolName: "pool" }) => Orchestrator.generate({ prompt: "hi", metadata })
const who = Effect.map(ask(), (answer) => answer.instance)
const down = ScriptedLlm.fails({ _tag: "Overloaded" })
const slow = (duration: Duration.Input) => [
  ScriptedLlm.wait(duration),
  ScriptedLlm.accepted,
  ...ScriptedLlm.text("slow")
]
const one = (snapshot: Control.Snapshot, name: string) => {
  const found = snapshot.instances.find((instance) => instance.name === name)
  if (found === undefined) throw new Error(`no ${name}`)
  return found
}

it.effect("an instance is drained and taken in again, and pinned before all others while it can be asked", () =>
  run(
    Effect.gen(function* () {
      const control = yield* Control.Control
      expect(yield* who).toBe("a")
      yield* control.drain("a")
      expect(yield* who).toBe("b")
      yield* control.undrain("a")
      yield* control.pin("c")
      expect(yield* who).toBe("c")
      yield* control.drain("c")
      expect(yield* who).toBe("a")
      expect(one(yield* control.snapshot, "c")).toMatchObject({ isDrained: true, isPinned: true })
      yield* control.undrain("c")
      yield* control.unpin("c")
      expect(yield* who).toBe("a")
    })
  )
)

it.effect("a pinned instance that fails is followed by the tiers as ever, and its tier counts for nobody", () =>
  run(
    Effect.gen(function* () {
      const control = yield* Control.Control
      yield* control.pin("c")
      const answer = yield* ask()
      expect(answer.route.map((entry) => entry.instance)).toEqual(["c", "a"])
      const group = yield* ask({ groupName: "chat" })
      expect(group.route.map((entry) => entry.instance)).toEqual(["c", "a"])
    }),
    { c: down },
    planned({ groups: [chat({ maxAttempts: 1 })] })
  )
)

it.effect("breakers are held open or closed in one group or all, let go, and reset", () =>
  run(
    Effect.gen(function* () {
      const control = yield* Control.Control
      const states = Effect.map(control.snapshot, (snapshot) => one(snapshot, "a").breakers.map(({ state }) => state))
      yield* control.force({ instance: "a", group: "chat" }, "open")
      expect([yield* who, yield* states]).toEqual(["b", ["forced_open"]])
      yield* control.release({ instance: "a" })
      expect(yield* who).toBe("b")
      yield* who
      expect(yield* states).toEqual(["open"])
      yield* control.force({ instance: "a" }, "closed")
      expect((yield* ask()).route.map((entry) => entry.instance)).toEqual(["a", "b"])
      yield* control.release({ instance: "a" })
      expect(yield* states).toEqual(["open"])
      yield* control.reset("b")
      expect(yield* states).toEqual(["open"])
      yield* control.reset("a")
      expect(yield* states).toEqual(["closed"])
    }),
    { a: down }
  )
)

it.effect("names that are not known fail with the nearest", () =>
  run(
    Effect.gen(function* () {
      const control = yield* Control.Control
      const failures: ReadonlyArray<Effect.Effect<void, LlmError.LlmError>> = [
        control.drain("aa"),
        control.pin("aa"),
        control.reset("aa"),
        control.force({ instance: "aa" }, "open"),
        control.force({ instance: "a", group: "chet" }, "open")
      ]
      for (const failure of failures) {
        const error = yield* Effect.flip(failure)
        expect(error.reason._tag).toBe("UnknownTarget")
        expect(error.message).toMatch(/there is no (instance "aa"|group "chet").*(a|chat)/)
      }
    })
  )
)

it.effect("the bare name of several credentials means all of them", () =>
  run(
    Effect.gen(function* () {
      const control = yield* Control.Control
      yield* control.drain("x")
      expect((yield* control.snapshot).instances.map(({ isDrained, name }) => [name, isDrained])).toEqual([
        ["x@one", true],
        ["x@two", true],
        ["xy", false]
      ])
    }),
    {},
    plans.root({ instances: ["x@one", "x@two", "xy"].map((name) => plans.instance(name, openai)) })
  )
)

it.effect("tells every change as it happens, until all is shut down", () =>
  Effect.gen(function* () {
    const seen: Array<StateChange.StateChange> = []
    const reading = yield* run(
      Effect.gen(function* () {
        const control = yield* Control.Control
        const fiber = yield* Effect.forkDetach(
          Stream.runForEach(control.changes, (change) => Effect.sync(() => seen.push(change))),
          {
            startImmediately: true
          }
        )
        yield* ask()
        yield* ask()
        yield* control.drain("a")
        yield* control.drain("a")
        yield* control.pin("c")
        yield* control.reset()
        const interpreter = yield* Interpreter.Interpreter
        yield* interpreter.swap(planned())
        return fiber
      }),
      { a: down, b: ScriptedLlm.fails({ _tag: "RateLimited", retryAfter: Duration.minutes(1) }) }
    )
    yield* Fiber.join(reading)
    expect(
      seen.map((change) => (change._tag === "Breaker" ? `${change._tag} ${change.instance} ${change.to}` : change._tag))
    ).toEqual([
      "Cooldown",
      "Breaker a open",
      "Drained",
      "Pinned",
      "Breaker a closed",
      "Reset",
      "Swapped",
      "Phase",
      "Phase"
    ])
    expect(seen[0]).toEqual({ _tag: "Cooldown", instance: "b", until: 60_000, at: 0 })
  })
)

it.effect("the snapshot tells calls in flight, cooldowns, limits, queues and what a provider reported", () =>
  run(
    Effect.gen(function* () {
      const control = yield* Control.Control
      const fibers = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(ask({ wrapperName: "w" }), { startImmediately: true })
      )
      const busy = yield* control.snapshot
      expect(busy).toMatchObject({
        at: 0,
        phase: "open",
        requests: 1,
        echelons: [
          { name: "chat.echelon1", limits: [{ name: "chat.echelon1.rpm", left: 9, limit: 10 }] },
          { name: "chat.echelon2" }
        ],
        pools: [{ name: "pool", limits: [{ name: "pool.rate_limit", left: 4, limit: 5 }] }],
        wrappers: [{ name: "w", queue: { running: 1, waiting: 2 } }]
      })
      expect(one(busy, "a")).toMatchObject({
        inFlight: 1,
        coolingUntil: undefined,
        model: "wire-a",
        provider: "openai"
      })
      yield* TestClock.adjust("3 seconds")
      yield* Effect.forEach(fibers, Fiber.join)
      const calm = yield* control.snapshot
      expect([calm.requests, one(calm, "a").inFlight, calm.wrappers[0]?.queue?.running]).toEqual([0, 0, 0])
    }),
    { a: slow("1 second") },
    planned({
      groups: [
        plans.group("chat", [
          plans.echelon("chat", 1, ["a", "b"], { maxRetries: 1, limits: { ...Plans.noLimits, rpm: 10 } }),
          plans.echelon("chat", 2, ["c"])
        ])
      ],
      pools: [
        plans.pool("pool", ["chat"], {
          rotation: "priority",
          slowStart: { duration: 0, minShare: 1 },
          rateLimit: { algorithm: "token_bucket", bucketSize: 5, refillRate: 1 }
        })
      ]
    })
  )
)

// A change of the plan.

it.effect("what stays the same keeps its breaker, its limits and its count; the limits are resized in place", () =>
  run(
    Effect.gen(function* () {
      const control = yield* Control.Control
      const interpreter = yield* Interpreter.Interpreter
      const limited = (rpm: number, threshold: number) =>
        planned({
          groups: [
            plans.group(
              "chat",
              [plans.echelon("chat", 1, ["a", "b"], { maxRetries: 1, limits: { ...Plans.noLimits, rpm } })],
              {
                breaker: { ...breaker, failureThreshold: threshold }
              }
            )
          ]
        })
      yield* interpreter.swap(limited(10, 3))
      yield* ask()
      yield* ask()
      yield* interpreter.swap(limited(6, 3))
      const kept = yield* control.snapshot
      expect(one(kept, "a").breakers).toMatchObject([{ state: "closed", consecutiveFailures: 2 }])
      expect(kept.echelons[0]?.limits).toMatchObject([{ left: 2, limit: 6 }])
      yield* ask()
      expect(one(yield* control.snapshot, "a").breakers).toMatchObject([{ state: "open" }])
      expect((yield* Effect.flip(ask())).reason._tag).toBe("NoCapacity")
      yield* interpreter.swap(limited(20, 3))
      expect(yield* who).toBe("b")
    }),
    { a: down }
  )
)

it.effect("another key, address or model under the same name is another instance, about which nothing is known", () => {
  const refused = ScriptedLlm.fails({ _tag: "Authentication" })
  const keyed = (key: string, more: Partial<Plan.Provider> = {}) =>
    planned({
      instances: ["a", "b", "c"].map((name) =>
        plans.instance(
          name,
          Plans.provider({ name: "openai", kind: "openai-compatible", key: Redacted.make(key), ...more })
        )
      )
    })
  return run(
    Effect.gen(function* () {
      const control = yield* Control.Control
      const interpreter = yield* Interpreter.Interpreter
      const state = Effect.map(control.snapshot, (snapshot) => one(snapshot, "b"))
      yield* ask()
      yield* control.drain("b")
      expect((yield* state).coolingUntil).toBe(60_000)
      yield* interpreter.swap(keyed("old"))
      expect(yield* state).toMatchObject({ coolingUntil: 60_000, isDrained: true })
      yield* interpreter.swap(keyed("new"))
      expect(yield* state).toMatchObject({ coolingUntil: undefined, isDrained: true })
    }),
    { a: refused, b: ScriptedLlm.fails({ _tag: "RateLimited", retryAfter: Duration.minutes(1) }) },
    keyed("old")
  )
})

it.effect("a limit's scope and its ceiling change in place, and siblings under one limit go on sharing it", () => {
  const under = (limitScope: Plan.Provider["limitScope"], maxCooldown: number, model = "wire") => {
    const provider = Plans.provider({ name: "openai", kind: "openai-compatible", limitScope, maxCooldown })
    const instances = ["a", "b", "c"].map((name) => plans.instance(name, provider))
    return planned({
      instances: instances.map((one) => (one.name === "c" ? { ...one, model: { ...one.model, model } } : one))
    })
  }
  const limited = ScriptedLlm.fails({ _tag: "RateLimited", retryAfter: Duration.minutes(10) })
  return run(
    Effect.gen(function* () {
      const control = yield* Control.Control
      const interpreter = yield* Interpreter.Interpreter
      const cooling = Effect.map(control.snapshot, ({ instances }) =>
        instances.map((instance) => instance.coolingUntil)
      )
      yield* ask({ groupName: "chat.echelon2" }).pipe(Effect.exit)
      expect(yield* cooling).toEqual([undefined, undefined, 1_000])
      yield* interpreter.swap(under("credential", 60_000))
      yield* TestClock.adjust("1 second")
      expect(yield* cooling).toEqual([undefined, undefined, undefined])
      yield* ask({ groupName: "chat.echelon2" }).pipe(Effect.exit)
      expect(yield* cooling).toEqual([61_000, 61_000, 61_000])
      yield* interpreter.swap(under("credential", 60_000, "another"))
      expect(yield* cooling).toEqual([61_000, 61_000, 61_000])
    }),
    { c: limited },
    under("model", 1_000)
  )
})

it.effect("who waits for capacity looks again when an instance is taken in, reset or planned anew", () => {
  const only = () =>
    planned({
      groups: [plans.group("chat", [plans.echelon("chat", 1, ["a"])], { breaker })],
      pools: [plans.pool("pool", ["chat"])]
    })
  const limited = ScriptedLlm.fails({ _tag: "RateLimited", retryAfter: Duration.minutes(5) })
  return run(
    Effect.gen(function* () {
      const control = yield* Control.Control
      const interpreter = yield* Interpreter.Interpreter
      for (const change of [
        control.reset("a"),
        Effect.andThen(control.drain("a"), Effect.andThen(control.reset("a"), control.undrain("a"))),
        Effect.andThen(control.reset("a"), interpreter.swap(only()))
      ]) {
        yield* ask().pipe(Effect.exit)
        const fiber = yield* Effect.forkChild(ask({ wrapperName: "w" }), { startImmediately: true })
        yield* TestClock.adjust("1 second")
        expect(fiber.pollUnsafe()).toBeUndefined()
        yield* change
        yield* TestClock.adjust("1 millis")
        expect(yield* Fiber.join(fiber)).toMatchObject({ text: "hello" })
      }
    }),
    { a: (call) => (call % 2 === 0 ? limited : ScriptedLlm.text("hello")) },
    only()
  )
})

it.effect("a refused credential is tried again after a reload", () =>
  run(
    Effect.gen(function* () {
      const control = yield* Control.Control
      const interpreter = yield* Interpreter.Interpreter
      yield* ask()
      expect(one(yield* control.snapshot, "a").breakers).toMatchObject([{ state: "open", outBecause: "credential" }])
      yield* TestClock.adjust("1 hour")
      expect(yield* who).toBe("b")
      yield* interpreter.swap(planned())
      expect((yield* ask()).route.map((entry) => entry.instance)).toEqual(["a", "b"])
    }),
    { a: ScriptedLlm.fails({ _tag: "Authentication" }) }
  )
)

it.effect("a wrapper keeps its slots and its waiting through a change, and one that is gone turns them away", () =>
  run(
    Effect.gen(function* () {
      const interpreter = yield* Interpreter.Interpreter
      const inLine = () => Effect.forkChild(Effect.exit(ask({ wrapperName: "w" })), { startImmediately: true })
      const running = yield* inLine()
      const second = yield* inLine()
      const third = yield* inLine()
      yield* interpreter.swap(
        planned({
          wrappers: [plans.wrapper("w", { kind: "pool", name: "pool" }, { maxConcurrentRequests: 2, queueSize: 5 })]
        })
      )
      const control = yield* Control.Control
      expect((yield* control.snapshot).wrappers).toMatchObject([{ queue: { running: 2, waiting: 1 } }])
      yield* interpreter.swap(planned({ wrappers: [] }))
      expect((yield* Fiber.join(third))._tag).toBe("Failure")
      yield* TestClock.adjust("1 second")
      expect([(yield* Fiber.join(running))._tag, (yield* Fiber.join(second))._tag]).toEqual(["Success", "Success"])
    }),
    { a: slow("1 second") }
  )
)

// The end.

/** Runs requests, then closes the Layer, and tells when that was done. */
const closing = (
  byInstance: Readonly<Record<string, ScriptedLlm.Options["script"]>>,
  requests: ReadonlyArray<LlmRequest.Metadata>
) =>
  Effect.gen(function* () {
    const close = yield* Effect.forkChild(
      run(
        Effect.gen(function* () {
          const fibers = yield* Effect.forEach(requests, (metadata) =>
            Effect.forkDetach(Effect.exit(ask(metadata)), { startImmediately: true })
          )
          const orchestrator = yield* Orchestrator.Orchestrator
          return { fibers, orchestrator }
        }),
        byInstance,
        planned({}, 30_000)
      ),
      { startImmediately: true }
    )
    return close
  })

it.effect("closing turns away who waits and who comes, and lets what runs end", () =>
  Effect.gen(function* () {
    let late: Effect.Effect<unknown, LlmError.LlmError> = Effect.void
    const close = yield* Effect.forkChild(
      run(
        Effect.gen(function* () {
          const inLine = (metadata: LlmRequest.Metadata) =>
            Effect.forkDetach(Effect.exit(ask(metadata)), { startImmediately: true })
          const fibers = yield* Effect.forEach(
            [{ wrapperName: "w" }, { wrapperName: "w" }, { poolName: "pool" }],
            inLine
          )
          const orchestrator = yield* Orchestrator.Orchestrator
          late = orchestrator.generate({ prompt: "hi", metadata: { poolName: "pool" } })
          return fibers
        }),
        { a: slow("10 seconds") },
        planned({}, 30_000)
      ),
      { startImmediately: true }
    )
    yield* TestClock.adjust("1 second")
    expect(close.pollUnsafe()).toBeUndefined()
    const refused = yield* Effect.flip(late)
    expect([refused.reason._tag, refused.message]).toEqual(["NoCapacity", expect.stringContaining("shutting down")])
    yield* TestClock.adjust("9 seconds")
    const ends = yield* Effect.forEach(yield* Fiber.join(close), Fiber.join)
    expect(ends.map(Exit.isSuccess)).toEqual([true, false, true])
  })
)

it.effect("what still runs after shutdown_grace is ended, whatever it waits for", () =>
  Effect.gen(function* () {
    const overloaded = [ScriptedLlm.wait("29 seconds"), ...down]
    const close = yield* closing({ a: [ScriptedLlm.never], b: overloaded, c: overloaded }, [
      { poolName: "pool" },
      { groupName: "chat.echelon2" }
    ])
    yield* TestClock.adjust("29 seconds")
    expect(close.pollUnsafe()).toBeUndefined()
    yield* TestClock.adjust("1 second")
    const { fibers } = yield* Fiber.join(close)
    const errors = yield* Effect.forEach(fibers, (fiber) =>
      Effect.flatMap(Fiber.join(fiber), (exit) => Effect.flip(exit))
    )
    expect(errors.map((error) => error.reason._tag)).toEqual(["NoCapacity", "Overloaded"])
    expect(errors[0]?.route).toMatchObject([{ instance: "a", outcome: "failed", reason: "NoCapacity" }])
  })
)

it.effect("nothing is waited for when nothing runs, although a scope that was used is still open", () =>
  Effect.gen(function* () {
    const begin = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
    yield* run(
      Effect.gen(function* () {
        const reply = yield* Orchestrator.open({ prompt: "hi", metadata: { poolName: "pool" } })
        yield* Stream.runDrain(reply.parts)
      })
    )
    expect(yield* Effect.clockWith((clock) => clock.currentTimeMillis)).toBe(begin)
  })
)

it.effect("the snapshot and the explanation know whom health has put out, as requests do", () =>
  run(
    Effect.gen(function* () {
      const control = yield* Control.Control
      const { registry } = yield* Interpreter.Interpreter
      const put = (name: string, isOut: boolean) => {
        const plan = planned().instances[name]
        if (plan === undefined) throw new Error(`no ${name}`)
        registry.instance(plan).health.isOut = isOut
      }
      const asked = Effect.map(control.explain({ prompt: "hi", metadata: { poolName: "pool" } }), ({ tiers }) =>
        tiers.map(({ members }) =>
          members.map(({ instance, verdict }) => [
            instance,
            ...(verdict._tag === "Asked" ? [] : verdict.reasons.map(({ _tag }) => _tag))
          ])
        )
      )
      put("a", true)
      expect([one(yield* control.snapshot, "a").isUnhealthy, yield* who]).toEqual([true, "b"])
      expect(one(yield* control.snapshot, "b").isUnhealthy).toBe(false)
      expect(yield* asked).toEqual([[["b"], ["a", "Unhealthy"]], [["c"]]])
      put("b", true)
      put("c", true)
      expect(yield* asked).toEqual([[["a"], ["b"]], [["c"]]])
      expect(yield* who).toBe("a")
    })
  )
)

it.effect("explains a request as everything stands, until when limits and breakers last included", () =>
  run(
    Effect.gen(function* () {
      const control = yield* Control.Control
      const why = (metadata: LlmRequest.Metadata) =>
        Effect.map(control.explain({ prompt: "hi", metadata }), ({ tiers }) =>
          tiers.map(({ members }) =>
            members.map(({ instance, verdict }) =>
              verdict._tag === "Asked"
                ? instance
                : `${instance}: ${verdict.reasons.map((reason) => Explain.describe(reason)).join("; ")}`
            )
          )
        )
      expect(yield* why({ poolName: "pool" })).toEqual([["a", "b"], ["c"]])
      yield* control.drain("b")
      expect(yield* who).toBe("a")
      expect(yield* why({ groupName: "chat" })).toEqual([
        ["a: limit a.rpm full until 1970-01-01T00:01:00.600Z", "b: drained"],
        ["c"]
      ])
      expect(yield* why({ provider: "openai", model: "a" })).toEqual([
        ["a: limit a.rpm full until 1970-01-01T00:01:00.600Z"]
      ])
      expect(yield* who).toBe("c")
      const unknown = yield* Effect.flip(control.explain({ prompt: "hi", metadata: { provider: "opnai" } }))
      expect(unknown.message).toContain('did you mean "openai"?')
    }),
    {},
    planned({
      instances: ["a", "b", "c"].map((name) => ({
        ...plans.instance(name, openai),
        ...(name === "a" ? { model: Plans.model({ model: "wire-a", limits: { ...Plans.noLimits, rpm: 1 } }) } : {})
      }))
    })
  )
)
