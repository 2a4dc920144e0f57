/** Health checks from the configuration to the socket: a provider goes down and comes back, in real time. */
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as HealthChecker from "@echelon/core/HealthChecker"
import { Control, Echelon, Health, Interpreter, Orchestrator, type StateChange } from "@echelon/echelon"
import { FaultServer } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"

const folder = (toml: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const path = await mkdtemp(join(tmpdir(), "echelon-health-"))
      await writeFile(join(path, "global.toml"), toml)
      return path
    }),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )

/** Two instances of one provider that is asked for a list, and one of another that is asked a question. */
const tree = (listed: string, asked: string, check: string) => `
[reload]
watch = false
[llms.provider.p]
kind = "openai"
base_url = "${listed}/v1"
api_key = "sk-planted-p"
health_check = "models"
[llms.provider.p.models]
a = { model = "a" }
b = { model = "b" }
[llms.provider.q]
kind = "anthropic"
base_url = "${asked}/v1"
api_key = "sk-planted-q"
health_check = "ping"
[llms.provider.q.models]
c = { model = "c", input_price = 1, output_price = 2 }
[llms.groups.chat]
echelon1 = { models = ["p-a", "p-b", "q-c"], max_retries = 2 }
fallback_config = { retry_delay = 0.001, circuit_breaker = { failure_threshold = 2, recovery_time = 0.1 } }
[llms.polling_pools.pool]
task_groups = ["chat"]
rotation_strategy = "priority"
slow_start = { duration = 0 }
fallback_config = { max_instance_attempts = 3 }
health_check = { ${check} }
`

const often =
  "interval = 0.05, failure_threshold = 2, recovery_time = 0.1, budget_per_hour = 100000, max_cost_per_hour = 10"

const started = (check: string) =>
  Effect.gen(function* () {
    const p = yield* FaultServer.make({ script: [] })
    const q = yield* FaultServer.make({ script: [] })
    const config = yield* folder(tree(p.url, q.url, check))
    return { p, q, config }
  })

/** What was told so far, and a way to wait for more. */
const listening = Effect.gen(function* () {
  const { registry } = yield* Interpreter.Interpreter
  const told: Array<StateChange.StateChange> = []
  const waiting = new Set<() => void>()
  registry.listen((change) => {
    told.push(change)
    for (const check of [...waiting]) check()
  })
  const until = (predicate: () => boolean) =>
    Effect.callback<void>((resume) => {
      const check = () => {
        if (!predicate()) return
        waiting.delete(check)
        resume(Effect.void)
      }
      waiting.add(check)
      check()
      return Effect.sync(() => waiting.delete(check))
    })
  const is = (instance: string, status: string) => () =>
    told.findLast((change) => change._tag === "Health" && change.instance === instance)?._tag === "Health" &&
    told.some(
      (change, i) =>
        change._tag === "Health" &&
        change.instance === instance &&
        change.to === status &&
        !told.slice(i + 1).some((later) => later._tag === "Health" && later.instance === instance)
    )
  return { told, until, is }
})

const ask = Orchestrator.generate({ prompt: "a planted prompt", metadata: { poolName: "pool" } })

it.live("a provider that goes down is found by probes alone, passed over, said once, and taken back", () =>
  Effect.gen(function* () {
    const { config, p, q } = yield* started(often)
    yield* Effect.gen(function* () {
      const { is, told, until } = yield* listening
      const all = (...states: ReadonlyArray<readonly [string, string]>) =>
        until(() => states.every(([name, status]) => is(name, status)()))
      yield* all(["p-a", "healthy"], ["p-b", "healthy"], ["q-c", "healthy"])
      expect(p.requests().every(({ endpoint }) => endpoint === "models")).toBe(true)
      expect(q.requests().every(({ body }) => JSON.stringify(body).includes("ping"))).toBe(true)
      expect((yield* ask).instance).toBe("p-a")

      p.set(() => FaultServer.reset())
      yield* all(["p-a", "unhealthy"], ["p-b", "unhealthy"])
      const before = p.requests().filter(({ endpoint }) => endpoint === "generate").length
      const answer = yield* ask
      expect(answer.route.map(({ instance }) => instance)).toEqual(["q-c"])
      expect(p.requests().filter(({ endpoint }) => endpoint === "generate").length).toBe(before)

      p.set([])
      yield* all(["p-a", "healthy"], ["p-b", "healthy"])
      expect((yield* ask).instance).toBe("p-a")
      expect(
        told.flatMap((change) => (change._tag === "ProviderHealth" ? [`${change.provider} ${change.isDown}`] : []))
      ).toEqual(["p true", "p false"])
      const checker = yield* HealthChecker.HealthChecker
      const everything = JSON.stringify([told, yield* checker.statuses, yield* checker.providers, yield* checker.spent])
      expect(everything).not.toContain("planted")
    }).pipe(Effect.provide(HealthChecker.HealthChecker.layer), Effect.provide(Echelon.layer({ config, variables: {} })))
    // Every probe has ended with the Layer.
    yield* p.waitFor((server) => server.open() === 0)
    yield* q.waitFor((server) => server.open() === 0)
  })
)

it.live("a refused key: its breaker stays open until a question is answered, and no request tests it", () =>
  Effect.gen(function* () {
    const { config, p } = yield* started(often)
    yield* Effect.gen(function* () {
      const control = yield* Control.Control
      const { until, told } = yield* listening
      // The list is given to who may not use the models.
      p.set(({ endpoint }) => (endpoint === "models" ? FaultServer.ok() : FaultServer.status(401)))
      const answer = yield* ask
      expect(answer.instance).toBe("q-c")
      const tests = () => p.requests().filter(({ body }) => JSON.stringify(body ?? "").includes("planted")).length
      const before = tests()
      yield* p.waitFor(
        (server) => server.requests().filter(({ body }) => JSON.stringify(body ?? "").includes("ping")).length >= 4
      )
      expect((yield* ask).instance).toBe("q-c")
      p.set([])
      yield* until(() =>
        ["p-a", "p-b"].every((name) =>
          told.some((change) => change._tag === "Breaker" && change.instance === name && change.to === "closed")
        )
      )
      expect(tests()).toBe(before)
      const { instances } = yield* control.snapshot
      expect(instances.flatMap(({ breakers }) => breakers.map(({ state }) => state))).toEqual([
        "closed",
        "closed",
        "closed"
      ])
      expect((yield* ask).instance).toBe("p-a")
    }).pipe(Effect.provide(HealthChecker.HealthChecker.layer), Effect.provide(Echelon.layer({ config, variables: {} })))
  })
)

it.live("without traffic and without a budget nobody is asked; a check on demand says what it finds", () =>
  Effect.gen(function* () {
    const { config, p, q } = yield* started("interval = 0.02, budget_per_hour = 0")
    yield* Effect.gen(function* () {
      const checker = yield* HealthChecker.HealthChecker
      const first = yield* Effect.forkChild(Stream.runHead(checker.changes), { startImmediately: true })
      p.set(() => FaultServer.status(503))
      const found = yield* Health.check
      expect(found["p-a"]).toMatchObject({ status: "unknown", message: expect.stringContaining("budget") })
      expect(p.requests().length + q.requests().length).toBe(0)
      const forced = yield* checker.checkAll({ force: true })
      expect(forced["p-a"]).toMatchObject({ status: "unhealthy", message: "overloaded", latency: undefined })
      expect(forced["q-c"]).toMatchObject({ status: "healthy", message: "it answers", latency: expect.any(Number) })
      expect(yield* Fiber.join(first)).toMatchObject({ value: { instance: "p-a", to: "degraded" } })
    }).pipe(Effect.provide(HealthChecker.HealthChecker.layer), Effect.provide(Echelon.layer({ config, variables: {} })))
  })
)

it.live("without a checker there is one for as long as the check takes", () =>
  Effect.gen(function* () {
    const { config } = yield* started("interval = 1000")
    const found = yield* Health.check.pipe(Effect.provide(Echelon.layer({ config, variables: {} })))
    expect(Object.entries(found).map(([name, { status }]) => `${name} ${status}`)).toEqual([
      "p-a healthy",
      "p-b healthy",
      "q-c healthy"
    ])
  })
)
