import {
  Clients,
  Control,
  InstanceFactory,
  Interpreter,
  LlmError,
  type LlmRequest,
  Orchestrator,
  type Plan,
  Plans,
  type Reason,
  type StateChange
} from "@echelon/core"
import * as HealthChecker from "@echelon/core/HealthChecker"
import * as Metrics from "@echelon/core/Metrics"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Clock, Duration, Effect, Exit, Fiber, Layer, Random, Redacted, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { dice } from "./support/dice.ts"
import * as plans from "./support/plans.ts"

const second = 1_000
const overloaded: Reason.Reason = { _tag: "Overloaded" }
const refused: Reason.Reason = { _tag: "Authentication" }
const network: Reason.Reason = { _tag: "Network", kind: "refused" }

type Asked = readonly [how: "list" | "ping" | "request", instance: string, at: number]

/** A world of instances that fail as the test says, and note who asked them and how. */
const world = () => {
  const asked: Array<Asked> = []
  /** What requests and questions fail with, by instance. */
  const failing = new Map<string, Reason.Reason>()
  /** What lists fail with, by provider. */
  const unlisted = new Map<string, Reason.Reason>()
  let gate: Effect.Effect<void> = Effect.void
  let probeKind: InstanceFactory.Built["probeKind"]
  let running = 0
  let most = 0
  const layer = Layer.merge(
    Layer.succeed(InstanceFactory.InstanceFactory, {
      make: (plan) =>
        Effect.map(
          ScriptedLlm.make({
            id: plan.name,
            model: plan.model.model,
            capabilities: plan.model.capabilities,
            script: (_, request) => {
              const isPing = JSON.stringify(request.messages).includes('"ping"')
              asked.push([isPing || request.embedding !== undefined ? "ping" : "request", plan.name, -1])
              const reason = failing.get(plan.name)
              if (reason !== undefined)
                return ScriptedLlm.fails(LlmError.make({ reason, detail: "sk-planted said the provider" }))
              return request.embedding === undefined ? ScriptedLlm.text("hello") : ScriptedLlm.embeddings([[1]])
            }
          }),
          ({ llm }) => ({
            llm,
            probeKind,
            probe: Effect.gen(function* () {
              asked.push(["list", plan.name, yield* Clock.currentTimeMillis])
              running += 1
              most = Math.max(most, running)
              yield* Effect.ensuring(
                gate,
                Effect.sync(() => {
                  running -= 1
                })
              )
              const reason = unlisted.get(plan.provider.name)
              if (reason !== undefined)
                return yield* Effect.fail(LlmError.make({ reason, detail: "sk-planted said the list" }))
              return Duration.millis(7)
            })
          })
        )
    }),
    Layer.succeed(Clients.Clients, { get: () => Effect.die("no direct clients here") })
  )
  const of = (how: Asked[0]) => asked.filter(([one]) => one === how)
  return {
    layer,
    asked,
    failing,
    unlisted,
    running: () => running,
    most: () => most,
    setKind: (kind: InstanceFactory.Built["probeKind"]) => {
      probeKind = kind
    },
    setGate: (effect: Effect.Effect<void>) => {
      gate = effect
    },
    lists: () => of("list").map(([, name, at]) => `${name} ${at / second}`),
    who: (how: Asked[0]) => of(how).map(([, name]) => name)
  }
}

const provider = (name: string, options: Partial<Plan.Provider> = {}) =>
  Plans.provider({ name, kind: "openai-compatible", healthCheck: "models", ...options })

const check = (options: Partial<Plan.Pool["healthCheck"]> = {}): Plan.Pool["healthCheck"] => ({
  ...Plans.defaults.pool.healthCheck,
  ...options
})

const breaker = (failureThreshold: number): Partial<Plan.GroupFallback> => ({
  breaker: { ...Plans.defaults.breaker, failureRate: undefined, slowCall: undefined, failureThreshold }
})

/** Instances a and b of one provider in a pool. */
const pair = (
  options: {
    readonly check?: Partial<Plan.Pool["healthCheck"]>
    readonly provider?: Partial<Plan.Provider>
    readonly breaker?: number
    readonly names?: ReadonlyArray<string>
    readonly wrappers?: ReadonlyArray<Plan.Wrapper>
  } = {}
): Plan.Root => {
  const { names = ["a", "b"] } = options
  return {
    ...plans.root({
      instances: names.map((name) => plans.instance(name, provider("p", options.provider))),
      groups: [
        plans.group(
          "chat",
          [plans.echelon("chat", 1, names, { maxRetries: names.length - 1 })],
          breaker(options.breaker ?? 100)
        )
      ],
      pools: [
        plans.pool("pool", ["chat"], {
          rotation: "priority",
          healthCheck: check(options.check),
          slowStart: { duration: 0, minShare: 1 },
          fallback: { strategy: "instance_rotation", maxInstanceAttempts: 9, maxEjected: 1 }
        })
      ],
      wrappers: options.wrappers
    }),
    shutdownGrace: 0
  }
}

type Needs = Orchestrator.Services | Interpreter.Interpreter | HealthChecker.HealthChecker | Scope.Scope

const run = <A, E>(
  root: Plan.Root,
  scene: ReturnType<typeof world>,
  effect: Effect.Effect<A, E, Needs>,
  chance: () => number = () => 0.5
) =>
  Effect.provide(
    effect,
    HealthChecker.HealthChecker.layer.pipe(
      Layer.provideMerge(Orchestrator.layer),
      Layer.provideMerge(Layer.provide(Interpreter.Interpreter.layer(root), scene.layer))
    )
  ).pipe(Effect.provideService(Random.Random, { nextDoubleUnsafe: chance, nextIntUnsafe: () => 0 }))

const ask = (metadata: LlmRequest.Metadata = { poolName: "pool" }) =>
  Orchestrator.generate({ prompt: "a planted prompt", metadata })
const tries = (n: number, metadata?: LlmRequest.Metadata) =>
  Effect.forEach(Array.from({ length: n }), () => Effect.exit(ask(metadata)), { discard: true })
const health = HealthChecker.HealthChecker
const statuses = Effect.flatMap(health, (one) => one.statuses)
const shown = Effect.map(statuses, (all) =>
  Object.entries(all)
    .map(([name, { status }]) => `${name} ${status}`)
    .join()
)
const later = (duration: Duration.Input) => TestClock.adjust(duration)

/** Every change of health, one line each. */
const listening = Effect.gen(function* () {
  const { registry } = yield* Interpreter.Interpreter
  const told: Array<string> = []
  registry.listen((change) => {
    if (change._tag === "Health") told.push(`${change.instance} ${change.from} > ${change.to}: ${change.message}`)
    if (change._tag === "ProviderHealth")
      told.push(`${change.provider} ${change.isDown ? "down" : "up"} [${change.instances}]: ${change.message}`)
  })
  return told
})

// When and how often somebody is probed.

it.effect("probes only where there is no traffic, and one tells of all under the credential", () => {
  const scene = world()
  return run(
    pair(),
    scene,
    Effect.gen(function* () {
      expect(yield* shown).toBe("a unknown,b unknown")
      for (let i = 0; i < 30; i++) {
        yield* ask()
        yield* later("10 seconds")
      }
      // Only a has requests. What is unknown is looked at, one of the two for both; a needs nobody.
      expect(scene.lists().every((one) => one.startsWith("b "))).toBe(true)
      expect(scene.lists()[0]).toBe("b 45")
      expect(yield* shown).toBe("a healthy,b healthy")
      yield* later("1 minute")
      const busy = scene.lists().length
      yield* later("2 minutes")
      // Both are quiet now: still one probe for the two, every 30 seconds.
      expect(scene.lists().length - busy).toBe(4)
      expect(yield* statuses).toMatchObject({
        b: { status: "healthy", message: "it can be reached", provider: "p", since: 45_000 }
      })
    })
  )
})

it.effect("an instance of several pools has one prober, at the smallest interval; wrappers switch and set it", () => {
  const of = (wrappers: ReadonlyArray<Plan.Wrapper>, others: ReadonlyArray<Plan.Pool> = []) => ({
    ...pair({ names: ["a"], wrappers, check: { budgetPerHour: 10_000 } }),
    pools: {
      ...pair({ names: ["a"], check: { budgetPerHour: 10_000 } }).pools,
      ...Object.fromEntries(others.map((one) => [one.name, one]))
    }
  })
  const other = (name: string, options: Partial<Plan.Pool["healthCheck"]>) =>
    plans.pool(name, ["chat"], { healthCheck: check({ budgetPerHour: 10_000, ...options }) })
  const front = (enabled: boolean, interval?: number) =>
    plans.wrapper(`${enabled} ${interval}`, { kind: "pool", name: "pool" }, { healthCheck: { enabled, interval } })
  const group = plans.wrapper(
    "g",
    { kind: "group", name: "chat" },
    { healthCheck: { enabled: true, interval: 60_000 } }
  )
  const probes = (root: Plan.Root) => {
    const scene = world()
    return run(
      root,
      scene,
      Effect.map(later("10 minutes"), () => scene.asked.length)
    )
  }
  return Effect.gen(function* () {
    expect(yield* probes(of([]))).toBe(19)
    expect(yield* probes(of([], [other("second", { interval: 10_000 }), other("third", { interval: 60_000 })]))).toBe(
      59
    )
    expect(yield* probes(of([], [other("second", { interval: 1_000, active: false })]))).toBe(19)
    expect(yield* probes(of([front(true, 60_000)]))).toBe(9)
    expect(yield* probes(of([front(true, 60_000), front(true, 15_000), front(false, 1_000)]))).toBe(39)
    expect(yield* probes(of([front(false)]))).toBe(0)
    expect(yield* probes(of([front(false), group]))).toBe(9)
    expect(yield* probes(pair({ provider: { healthCheck: "none" } }))).toBe(0)
  })
})

it.effect("what is drained or cooling is left alone", () => {
  const scene = world()
  return run(
    pair({ names: ["a"] }),
    scene,
    Effect.gen(function* () {
      const control = yield* Control.Control
      yield* control.drain("a")
      yield* later("5 minutes")
      expect(scene.lists()).toEqual([])
      yield* control.undrain("a")
      yield* later("1 second")
      expect(scene.lists()).toEqual(["a 300"])
      scene.failing.set("a", { _tag: "RateLimited", retryAfter: Duration.minutes(10) })
      yield* tries(1)
      yield* later("599 seconds")
      expect(scene.lists()).toEqual(["a 300"])
      expect(yield* shown).toBe("a degraded")
      yield* later("1 minute")
      expect(scene.lists().length).toBeGreaterThan(1)
    })
  )
})

it.effect("idle probes keep to their part of the budget, requests and money", () => {
  const hourly = (options: Parameters<typeof pair>[0], hours: number) => {
    const scene = world()
    return run(
      pair({ names: ["a"], ...options }),
      scene,
      Effect.gen(function* () {
        const counts: Array<number> = []
        for (let i = 0; i < hours; i++) {
          const before = scene.asked.length
          yield* later("1 hour")
          counts.push(scene.asked.length - before)
        }
        return counts
      })
    )
  }
  return Effect.gen(function* () {
    const [first = 0, then = 0] = yield* hourly({ check: { budgetPerHour: 12 } }, 2)
    expect([first, then]).toEqual([8, 6])
    expect(yield* hourly({ check: { budgetPerHour: 0 } }, 1)).toEqual([0])
    // A question to a model of 1 and 2 USD per million tokens costs 0.000048.
    const cheap = {
      provider: { healthCheck: "ping" },
      check: { budgetPerHour: 1_000, maxCostPerHour: 0.000_1 }
    } as const
    expect(yield* hourly(cheap, 2)).toEqual([2, 2])
    expect(yield* hourly({ ...cheap, check: { ...cheap.check, maxCostPerHour: 0.000_01 } }, 1)).toEqual([0])
    // Lists cost nothing.
    expect((yield* hourly({ check: { maxCostPerHour: 0 } }, 1))[0]).toBeGreaterThan(20)
  })
})

it.effect("what probes ask and may cost is measured, where somebody measures", () => {
  const scene = world()
  const added: Array<unknown> = []
  const collector = Layer.succeed(Metrics.MetricsCollector, {
    snapshot: Effect.die("nobody reads"),
    refresh: Effect.void,
    add: (name, labels, amount = 1) => void added.push([name, labels, amount]),
    registry: new Map()
  })
  return Effect.provide(
    run(
      pair(),
      scene,
      Effect.gen(function* () {
        scene.unlisted.set("p", { _tag: "ModelNotFound" })
        yield* (yield* health).check("a")
        scene.failing.set("b", overloaded)
        yield* (yield* health).check("b")
        const by = (outcome: string) => ({ "echelon.provider": "p", "echelon.outcome": outcome })
        expect(added).toEqual([
          ["echelon.probes", by("failed"), 1],
          ["echelon.probes", by("completed"), 1],
          ["echelon.probes.cost.usd", { "echelon.provider": "p" }, 48e-6],
          ["echelon.probes", by("failed"), 1],
          ["echelon.probes.cost.usd", { "echelon.provider": "p" }, 48e-6]
        ])
      })
    ),
    collector
  )
})

it.effect("a model without a price counts as a dear one", () => {
  const scene = world()
  const root = pair({ names: ["a"], provider: { healthCheck: "ping" } })
  const [instance] = Object.values(root.instances)
  if (instance === undefined) throw new Error("no instance")
  const unpriced = { ...root, instances: { a: { ...instance, model: { ...instance.model, prices: undefined } } } }
  return run(
    unpriced,
    scene,
    Effect.gen(function* () {
      yield* later("46 seconds")
      const checker = yield* health
      const [spent] = yield* checker.spent
      expect(spent).toMatchObject({ payer: "pool pool", requests: 1 })
      expect(spent?.usd).toBeCloseTo((16 * 30 + 16 * 180) / 1e6, 9)
    })
  )
})

it.effect("probes are spread by chance, not made in step", () => {
  const scene = world()
  const names = Array.from({ length: 100 }, (_, i) => `i${i}`)
  const root = {
    ...plans.root({
      instances: names.map((name) => plans.instance(name, provider(`of ${name}`))),
      groups: [plans.group("chat", [plans.echelon("chat", 1, names)])],
      pools: [plans.pool("pool", ["chat"], { healthCheck: check({ budgetPerHour: 100_000 }) })]
    }),
    shutdownGrace: 0
  }
  return run(
    root,
    scene,
    Effect.gen(function* () {
      yield* later("60 seconds")
      const times = scene.asked.map(([, , at]) => at)
      expect(times.length).toBeGreaterThanOrEqual(100)
      const first = times.slice(0, 100)
      expect(Math.min(...first)).toBeGreaterThanOrEqual(30_000)
      // Six slices of five seconds, each with its part.
      const slices = [0, 1, 2, 3, 4, 5].map((n) => first.filter((at) => Math.floor((at - 30_000) / 5_000) === n).length)
      expect(Math.min(...slices)).toBeGreaterThan(4)
      expect(Math.max(...slices)).toBeLessThan(40)
    }),
    dice(7).random
  )
})

it.effect("thousands of instances: few probes at a time, and all of them end with the Layer", () => {
  const scene = world()
  scene.setGate(Effect.never)
  const names = Array.from({ length: 3_000 }, (_, i) => `i${i}`)
  const root = {
    ...plans.root({
      instances: names.map((name) => plans.instance(name, provider(`of ${name}`))),
      groups: [plans.group("chat", [plans.echelon("chat", 1, names)])],
      pools: [plans.pool("pool", ["chat"], { healthCheck: check({ budgetPerHour: 100_000 }) })]
    }),
    shutdownGrace: 0
  }
  return Effect.gen(function* () {
    yield* run(
      root,
      scene,
      Effect.gen(function* () {
        yield* later("46 seconds")
        expect(scene.running()).toBe(HealthChecker.concurrency)
        yield* later("60 seconds")
        // One that does not answer has failed after ten seconds, and makes room.
        expect(scene.asked.length).toBeGreaterThan(6 * HealthChecker.concurrency)
        expect(scene.most()).toBe(HealthChecker.concurrency)
        expect(yield* Effect.map(statuses, (all) => all["i0"]?.message)).toContain("timed out")
      })
    )
    expect(scene.running()).toBe(0)
  })
})

// What requests show, and what follows.

it.effect("an unhealthy instance is passed over while a healthy one can be asked, and comes back by a probe", () => {
  const scene = world()
  return run(
    pair({ provider: { healthCheck: "ping" } }),
    scene,
    Effect.gen(function* () {
      const told = yield* listening
      scene.failing.set("a", overloaded)
      yield* tries(3)
      expect(told).toEqual([
        "a unknown > degraded: 1 failure in a row: overloaded",
        "b unknown > healthy: it answers",
        "a degraded > unhealthy: 3 failures in a row: overloaded"
      ])
      expect((yield* ask()).route.map(({ instance }) => instance)).toEqual(["b"])
      // When b fails, too, this very request still goes to a.
      scene.failing.set("b", overloaded)
      expect((yield* Effect.flip(ask())).route?.slice(0, 2).map(({ instance }) => instance)).toEqual(["b", "a"])
      scene.failing.clear()
      yield* ask()
      yield* later("59 seconds")
      const before = scene.who("ping").filter((name) => name === "a").length
      expect(before).toBe(0)
      expect(yield* shown).toContain("a unhealthy")
      yield* later("2 seconds")
      expect(scene.who("ping")).toContain("a")
      expect(yield* shown).toContain("a healthy")
      expect((yield* ask()).instance).toBe("a")
    })
  )
})

it.effect("health alone never leaves nobody to ask", () => {
  const scene = world()
  return run(
    pair(),
    scene,
    Effect.gen(function* () {
      scene.failing.set("a", overloaded).set("b", overloaded)
      yield* tries(3)
      expect(yield* shown).toBe("a unhealthy,b unhealthy")
      scene.failing.delete("b")
      expect((yield* ask()).instance).toBe("b")
      expect(yield* shown).toBe("a unhealthy,b healthy")
      // Also when the healthy one only cools down, or is drained.
      scene.failing.clear()
      const control = yield* Control.Control
      yield* control.drain("b")
      expect((yield* ask()).instance).toBe("a")
    })
  )
})

it.effect("a healthy one that the request has left behind holds nobody back", () => {
  const scene = world()
  const root = pair({ names: ["a", "b", "c"] })
  const tiered = {
    ...root,
    groups: {
      chat: plans.group(
        "chat",
        [
          plans.echelon("chat", 1, ["a", "b"], { maxRetries: 0 }),
          plans.echelon("chat", 2, ["c"], { maxRetries: 0, priority: 2 })
        ],
        breaker(100)
      )
    }
  }
  return run(
    tiered,
    scene,
    Effect.gen(function* () {
      scene.failing.set("a", overloaded).set("b", overloaded).set("c", overloaded)
      yield* tries(6)
      expect((yield* statuses)["c"]?.status).toBe("unhealthy")
      scene.failing.delete("a")
      scene.failing.delete("b")
      yield* tries(2)
      scene.failing.clear()
      scene.failing.set("a", overloaded)
      expect((yield* statuses)["c"]?.status).toBe("unhealthy")
      // The tier of the healthy "b" may make no second attempt.
      const answer = yield* ask()
      expect(answer.route.map(({ instance }) => instance)).toEqual(["a", "c"])
    })
  )
})

it.effect("what is the caller's fault, and a limit, is no failure", () => {
  const scene = world()
  return run(
    pair({ names: ["a"] }),
    scene,
    Effect.gen(function* () {
      for (const reason of [
        { _tag: "InvalidRequest" },
        { _tag: "ContextLength" },
        { _tag: "Timeout", clock: "attempt", limit: Duration.seconds(1), shortened: true }
      ] as const) {
        scene.failing.set("a", reason)
        yield* tries(4)
      }
      expect(yield* shown).toBe("a unknown")
    })
  )
})

it.effect("without probes an instance that was out is on trial after its recovery time", () => {
  const scene = world()
  return run(
    pair({ check: { active: false } }),
    scene,
    Effect.gen(function* () {
      scene.failing.set("a", overloaded)
      yield* tries(3)
      expect(yield* shown).toContain("a unhealthy")
      yield* later("59 seconds")
      expect((yield* ask()).instance).toBe("b")
      yield* later("2 seconds")
      expect((yield* statuses)["a"]).toMatchObject({
        status: "degraded",
        message: "it may be tried after 3 failures in a row: overloaded"
      })
      // One more failure puts it out again.
      yield* tries(1)
      expect(yield* shown).toContain("a unhealthy")
      scene.failing.clear()
      yield* later("61 seconds")
      expect((yield* ask()).instance).toBe("a")
      expect(yield* shown).toContain("a healthy")
      expect(scene.who("list")).toEqual([])
    })
  )
})

it.effect("a wrapper that wants no health check: nobody is probed or passed over, what requests show is told", () => {
  const scene = world()
  const off = plans.wrapper(
    "w",
    { kind: "pool", name: "pool" },
    { healthCheck: { enabled: false, interval: undefined } }
  )
  return run(
    pair({ wrappers: [off] }),
    scene,
    Effect.gen(function* () {
      scene.failing.set("a", overloaded)
      yield* tries(4)
      expect((yield* ask()).route.map(({ instance }) => instance)).toEqual(["a", "b"])
      expect(yield* shown).toContain("a unhealthy")
      yield* later("10 minutes")
      expect(scene.who("list")).toEqual([])
    })
  )
})

it.effect("probes of one that stays out become rarer, up to five times its recovery time", () => {
  const scene = world()
  return run(
    pair({ names: ["a"], provider: { healthCheck: "ping" }, check: { maxCostPerHour: 10 } }),
    scene,
    Effect.gen(function* () {
      scene.failing.set("a", overloaded)
      yield* tries(3)
      expect(yield* shown).toBe("a unhealthy")
      const minutes: Array<number> = []
      for (let i = 1; i <= 30; i++) {
        const before = scene.who("ping").length
        yield* later("1 minute")
        if (scene.who("ping").length > before) minutes.push(i)
      }
      expect(minutes).toEqual([1, 3, 7, 12, 17, 22, 27])
    })
  )
})

// Breakers.

it.effect("what a credential has opened only a question closes, never a request; a force is nobody's to undo", () => {
  const scene = world()
  return run(
    pair({ breaker: 5 }),
    scene,
    Effect.gen(function* () {
      const control = yield* Control.Control
      const states = Effect.map(control.snapshot, ({ instances }) =>
        instances.flatMap(({ breakers, name }) => breakers.map(({ state }) => `${name} ${state}`)).join()
      )
      scene.failing.set("a", refused)
      yield* tries(1)
      expect(yield* states).toBe("a open,b closed")
      expect(yield* shown).toContain("a unhealthy")
      const requests = () => scene.who("request").filter((name) => name === "a").length
      expect(requests()).toBe(1)
      // Lists go on being given to who may not use the models.
      for (let i = 0; i < 20; i++) {
        yield* later("1 minute")
        yield* ask()
      }
      expect([yield* states, requests()]).toEqual(["a open,b closed", 1])
      expect(scene.who("ping").length).toBeGreaterThan(3)
      yield* control.force({ instance: "a" }, "open")
      scene.failing.clear()
      yield* later("6 minutes")
      expect((yield* statuses)["a"]).toMatchObject({ status: "healthy", message: "it answers" })
      expect(yield* states).toBe("a forced_open,b closed")
      yield* control.release({ instance: "a" })
      yield* later("1 second")
      expect([yield* states, requests()]).toEqual(["a closed,b closed", 1])
      expect((yield* ask()).instance).toBe("a")
    })
  )
})

it.effect(
  "a breaker keeps its own recovery time; then a question closes it, or opens it again, before any request",
  () => {
    const scene = world()
    return run(
      pair({ breaker: 2, provider: { healthCheck: "ping" }, check: { interval: 1_000_000 } }),
      scene,
      Effect.gen(function* () {
        const told: Array<string> = []
        const { registry } = yield* Interpreter.Interpreter
        registry.listen((change) => {
          if (change._tag === "Breaker") told.push(`${change.instance} ${change.to} ${change.at / second}`)
        })
        scene.failing.set("a", overloaded)
        yield* tries(2)
        expect(yield* shown).toContain("a degraded")
        expect((yield* statuses)["a"]?.message).toBe("its breaker is open in chat")
        yield* later("59 seconds")
        expect(scene.who("ping")).toEqual([])
        yield* later("62 seconds")
        scene.failing.clear()
        yield* later("1 minute")
        expect(told).toEqual(["a open 0", "a half_open 60", "a open 60", "a half_open 180", "a closed 180"])
        expect(scene.who("request").filter((name) => name === "a").length).toBe(2)
      })
    )
  }
)

it.effect("a proof before the breaker's own time makes the instance healthy, and leaves the breaker alone", () => {
  const scene = world()
  return run(
    pair({
      breaker: 2,
      provider: { healthCheck: "ping" },
      check: { failureThreshold: 2, recoveryTime: 10_000, interval: 1_000_000 }
    }),
    scene,
    Effect.gen(function* () {
      const control = yield* Control.Control
      const state = Effect.map(control.snapshot, ({ instances }) => instances[0]?.breakers[0]?.state)
      scene.failing.set("a", overloaded)
      yield* tries(2)
      scene.failing.clear()
      yield* later("11 seconds")
      expect(scene.who("ping")).toEqual(["a"])
      expect([(yield* statuses)["a"]?.message, yield* state]).toEqual(["its breaker is open in chat", "open"])
      expect((yield* ask()).instance).toBe("b")
      yield* later("50 seconds")
      expect(yield* state).toBe("closed")
      yield* later("10 seconds")
      expect([yield* shown, yield* state]).toEqual(["a healthy,b healthy", "closed"])
    })
  )
})

it.effect("what is usual for a kind of provider is known once it was probed: a list is free, a question proves", () => {
  const unpriced = pair({ provider: { healthCheck: undefined } })
  const prices = { input: 1, output: 2 }
  const root = {
    ...unpriced,
    instances: Object.fromEntries(
      Object.entries(unpriced.instances).map(([name, one]) => [name, { ...one, model: { ...one.model, prices } }])
    )
  }
  const told = (kind: InstanceFactory.Built["probeKind"], reason: Reason.Reason) => {
    const scene = world()
    scene.setKind(kind)
    scene.unlisted.set("p", reason)
    return run(
      root,
      scene,
      Effect.gen(function* () {
        const checker = yield* health
        yield* checker.check("a")
        const first = yield* shown
        scene.unlisted.clear()
        yield* checker.check("b")
        // Nobody is ever asked again where that is usual.
        if (kind === "none") yield* later("10 minutes")
        const [spent] = yield* checker.spent
        return [first, Math.round(((spent?.usd ?? 0) * 1e6) / (16 + 32)), scene.who("list"), scene.who("ping")]
      })
    )
  }
  return Effect.gen(function* () {
    // The first is priced as a question. What a list fails with holds for all, what a question does for its model.
    expect(yield* told(undefined, overloaded)).toEqual(["a degraded,b unknown", 2, ["a", "b"], []])
    expect(yield* told("models", overloaded)).toEqual(["a degraded,b degraded", 1, ["a", "b"], []])
    expect(yield* told("ping", overloaded)).toEqual(["a degraded,b unknown", 2, ["a"], ["b"]])
    // A question that was refused is not asked twice.
    expect(yield* told("ping", refused)).toEqual(["a unhealthy,b unknown", 2, ["a"], ["b"]])
    expect(yield* told("none", overloaded)).toEqual(["a degraded,b unknown", 1, ["a"], []])
  })
})

// Providers.

it.effect("one probe at a time under a credential; who has requests is not judged by another's probe", () => {
  const scene = world()
  return run(
    pair({ names: ["a", "b", "c"], check: { budgetPerHour: 10_000 } }),
    scene,
    Effect.gen(function* () {
      scene.setGate(Effect.sleep("3 seconds"))
      scene.unlisted.set("p", network)
      for (let i = 0; i < 30; i++) {
        yield* ask()
        yield* later("10 seconds")
      }
      expect(scene.lists().length).toBeGreaterThan(3)
      expect(scene.most()).toBe(1)
      expect(yield* shown).toBe("a healthy,b unhealthy,c unhealthy")
    })
  )
})

it.effect("one that is out and was told to wait is not probed before", () => {
  const scene = world()
  return run(
    pair({ names: ["a"], provider: { healthCheck: "ping" } }),
    scene,
    Effect.gen(function* () {
      scene.failing.set("a", overloaded)
      yield* tries(3)
      scene.failing.set("a", { _tag: "RateLimited", retryAfter: Duration.minutes(10) })
      yield* tries(1)
      yield* later("599 seconds")
      expect([yield* shown, scene.who("ping")]).toEqual(["a unhealthy", []])
      yield* later("2 seconds")
      expect(scene.who("ping")).toEqual(["a"])
    })
  )
})

it.effect("a provider that is down is said once, and once that it works again; its probes are shared", () => {
  const scene = world()
  return run(
    pair({ names: ["a", "b", "c", "d"] }),
    scene,
    Effect.gen(function* () {
      const told = yield* listening
      const providers = Effect.flatMap(health, (one) => one.providers)
      for (const name of ["a", "b", "c"]) scene.failing.set(name, network)
      scene.failing.set("d", network)
      scene.unlisted.set("p", network)
      yield* tries(4)
      yield* later("1 milli")
      expect(told.filter((one) => one.startsWith("p "))).toEqual([
        "p down [a,b,c,d]: 4 of its 4 instances fail: network failure (refused)"
      ])
      expect((yield* providers)["p"]).toMatchObject({ isDown: true, instances: ["a", "b", "c", "d"], since: 0 })
      yield* later("10 minutes")
      // Four are out, one after another is asked for all: 1 + 2 + 4 minutes.
      expect(scene.lists().length).toBe(3)
      scene.failing.clear()
      scene.unlisted.clear()
      yield* later("10 minutes")
      expect(told.filter((one) => one.startsWith("p ")).length).toBe(2)
      expect(told.filter((one) => one.startsWith("p ")).at(-1)).toMatch(/^p up \[\]: [abcd] answers$/)
      expect(yield* shown).toBe("a healthy,b healthy,c healthy,d healthy")
    })
  )
})

it.effect("a list that is refused to who may use the models is not asked for again", () => {
  const scene = world()
  return run(
    pair(),
    scene,
    Effect.gen(function* () {
      const told = yield* listening
      scene.unlisted.set("p", { _tag: "ModelNotFound" })
      yield* later("10 minutes")
      expect(scene.who("list").length).toBe(1)
      expect(scene.who("ping").length).toBeGreaterThan(5)
      expect(new Set(scene.who("ping"))).toEqual(new Set(["a", "b"]))
      expect(told.map((one) => one.replace(/:.*/, ""))).toEqual(["a unknown > healthy", "b unknown > healthy"])
    })
  )
})

it.effect("a refused credential is known of all that have it, when list and question are refused", () => {
  const scene = world()
  return run(
    pair(),
    scene,
    Effect.gen(function* () {
      scene.unlisted.set("p", refused)
      scene.failing.set("a", refused).set("b", refused)
      yield* later("46 seconds")
      expect(yield* shown).toBe("a unhealthy,b unhealthy")
      // The list and the question are both counted.
      expect(scene.asked.length).toBe(2)
      const checker = yield* health
      expect(yield* checker.spent).toEqual([{ payer: "pool pool", requests: 2, usd: (16 + 32) / 1e6 }])
    })
  )
})

it.effect("a model that is refused says nothing of the others", () => {
  const scene = world()
  return run(
    pair({ provider: { healthCheck: "ping" } }),
    scene,
    Effect.gen(function* () {
      scene.failing.set("a", refused)
      yield* later("46 seconds")
      expect(yield* shown).toBe("a unhealthy,b healthy")
    })
  )
})

it.effect("an instance for embeddings is asked for one", () => {
  const scene = world()
  const root = pair({ names: ["a"], provider: { healthCheck: "ping" } })
  const [instance] = Object.values(root.instances)
  if (instance === undefined) throw new Error("no instance")
  const model = { ...instance.model, capabilities: { features: ["embeddings"] as const } }
  const checked = Effect.flatMap(health, (one) => one.check("a"))
  return run(
    { ...root, instances: { a: { ...instance, model } } },
    scene,
    Effect.map(checked, ({ message, status }) => {
      expect([status, message]).toEqual(["healthy", "it answers"])
    })
  )
})

// On demand.

it.effect(
  "a check asks now, shares what is under way, keeps to the budget unless forced, and says what it found",
  () => {
    const scene = world()
    return run(
      pair({ check: { budgetPerHour: 2 } }),
      scene,
      Effect.gen(function* () {
        const checker = yield* health
        expect(yield* checker.check("a")).toEqual({
          status: "healthy",
          message: "it answers",
          since: 0,
          lastChecked: 0,
          latency: 7,
          provider: "p"
        })
        scene.setGate(Effect.sleep("1 second"))
        const fibers = yield* Effect.forEach([1, 2, 3], () =>
          Effect.forkChild(checker.check("b"), { startImmediately: true })
        )
        // Who leaves does not end it for the others.
        yield* Effect.forEach(fibers.slice(0, 1), Fiber.interrupt)
        scene.unlisted.set("p", overloaded)
        yield* later("1 second")
        for (const fiber of fibers.slice(1))
          expect(yield* Fiber.join(fiber)).toMatchObject({
            status: "unhealthy",
            message: "overloaded",
            latency: undefined
          })
        expect(scene.lists()).toEqual(["a 0", "b 0"])
        expect(yield* checker.check("a")).toMatchObject({
          message: expect.stringMatching(
            /^not checked, since the budget of health checks is spent for 36\d\d s; last known: /
          )
        })
        expect(scene.lists().length).toBe(2)
        scene.setGate(Effect.void)
        scene.unlisted.clear()
        expect(yield* checker.check("a", { force: true })).toMatchObject({ status: "healthy" })
        expect(scene.lists().length).toBe(3)
        expect(yield* checker.spent).toEqual([{ payer: "pool pool", requests: 2, usd: 0 }])
        const error = yield* Effect.flip(checker.check("aa"))
        expect(error.message).toContain('there is no instance "aa"; did you mean "a"')
        const none = yield* checker.checkAll({ force: true })
        expect(Object.values(none).map(({ status }) => status)).toEqual(["healthy", "healthy"])
      })
    )
  }
)

it.effect("a provider that must not be asked is not asked, whoever insists", () => {
  const scene = world()
  return run(
    pair({ provider: { healthCheck: "none" } }),
    scene,
    Effect.gen(function* () {
      const checker = yield* health
      expect(yield* checker.check("a", { force: true })).toMatchObject({
        status: "unknown",
        message: "not checked, since the provider's health_check is none; last known: nothing was seen of it yet"
      })
      expect(scene.asked).toEqual([])
    })
  )
})

// Changes, reloads, the end.

it.effect("changes are a stream, in the order in which they come", () => {
  const scene = world()
  return run(
    pair({ names: ["a"] }),
    scene,
    Effect.gen(function* () {
      const checker = yield* health
      const seen: Array<StateChange.StateChange> = []
      yield* Effect.forkChild(
        Stream.runForEach(checker.changes, (change) => Effect.sync(() => seen.push(change))),
        { startImmediately: true }
      )
      scene.failing.set("a", overloaded)
      yield* tries(3)
      yield* later("1 second")
      expect(seen).toEqual([
        {
          _tag: "Health",
          instance: "a",
          provider: "p",
          from: "unknown",
          to: "degraded",
          message: "1 failure in a row: overloaded",
          at: 0
        },
        {
          _tag: "Health",
          instance: "a",
          provider: "p",
          from: "degraded",
          to: "unhealthy",
          message: "3 failures in a row: overloaded",
          at: 0
        },
        {
          _tag: "ProviderHealth",
          provider: "p",
          isDown: true,
          instances: ["a"],
          message: "1 of its 1 instance fails: overloaded",
          at: 0
        }
      ])
    })
  )
})

it.effect("a reload keeps what is known, forgets what changed or was refused, and takes on new settings", () => {
  const scene = world()
  return run(
    pair({ names: ["a", "b", "c"] }),
    scene,
    Effect.gen(function* () {
      const { swap } = yield* Interpreter.Interpreter
      const told = yield* listening
      scene.failing.set("a", overloaded).set("b", refused)
      yield* tries(3)
      expect(yield* shown).toBe("a unhealthy,b unhealthy,c healthy")
      told.length = 0
      yield* swap(pair({ names: ["a", "b", "d"], check: { interval: 5_000 } }))
      expect(yield* shown).toBe("a unhealthy,b unknown,d unknown")
      expect(told).toContain("c healthy > unknown: it is not configured any more")
      yield* later("10 seconds")
      expect(scene.lists()).not.toEqual([])
      told.length = 0
      const keyed = { credentials: [{ name: "", key: Redacted.make("sk-planted"), weight: 1 }] }
      yield* swap(pair({ provider: keyed }))
      expect(yield* shown).toBe("a unknown,b unknown")
      expect(told).toContain("a unhealthy > unknown: it was configured anew")
      scene.failing.delete("b")
      expect((yield* ask()).instance).toBe("b")
    })
  )
})

it.effect("a provider that is down and not configured any more is said to be up, and a reset forgets", () => {
  const scene = world()
  return run(
    pair(),
    scene,
    Effect.gen(function* () {
      const { swap } = yield* Interpreter.Interpreter
      const control = yield* Control.Control
      const told = yield* listening
      scene.failing.set("a", overloaded).set("b", overloaded)
      yield* tries(3)
      yield* later("1 milli")
      yield* control.reset()
      yield* later("1 milli")
      yield* tries(3)
      yield* later("1 milli")
      const none = plans.root({ instances: [plans.instance("z", provider("q"))] })
      yield* swap({ ...none, shutdownGrace: 0 })
      expect(told.filter((one) => one.startsWith("p ")).map((one) => one.replace(/ \[.*/, ""))).toEqual([
        "p down",
        "p up",
        "p down",
        "p up"
      ])
    })
  )
})

it.effect("when the Layer closes nobody is passed over any more and nothing is heard", () => {
  const scene = world()
  const root = pair()
  return Effect.provide(
    Effect.gen(function* () {
      const { registry } = yield* Interpreter.Interpreter
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(HealthChecker.HealthChecker.layer, scope)
      scene.failing.set("a", overloaded)
      yield* tries(3)
      expect(registry.state("a")?.health.isOut).toBe(true)
      yield* Scope.close(scope, Exit.void)
      expect(registry.state("a")?.health).toEqual({ isOut: false, heard: undefined })
      const before = scene.asked.length
      yield* later("1 hour")
      expect(scene.asked.length).toBe(before)
      expect((yield* Effect.exit(ask()))._tag).toBe("Success")
    }),
    Orchestrator.layer.pipe(Layer.provideMerge(Layer.provide(Interpreter.Interpreter.layer(root), scene.layer)))
  )
})

it.effect("neither a key, nor a prompt, nor a word of a provider is told", () => {
  const scene = world()
  const keyed = { credentials: [{ name: "", key: Redacted.make("sk-planted"), weight: 1 }] }
  return run(
    pair({ provider: keyed }),
    scene,
    Effect.gen(function* () {
      const { registry } = yield* Interpreter.Interpreter
      const checker = yield* health
      const told: Array<unknown> = []
      registry.listen((change) => void told.push(change))
      scene.failing.set("a", overloaded).set("b", refused)
      scene.unlisted.set("p", { _tag: "Unknown", status: 500 })
      const trying = yield* Effect.forkChild(tries(3))
      yield* later("10 minutes")
      yield* Fiber.join(trying)
      const found = [told, yield* checker.statuses, yield* checker.providers, yield* checker.checkAll({ force: true })]
      expect(told.length).toBeGreaterThan(3)
      expect(JSON.stringify(found)).not.toContain("planted")
    })
  )
})
