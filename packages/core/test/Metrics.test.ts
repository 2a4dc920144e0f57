import {
  Control,
  Interpreter,
  type LlmRequest,
  Orchestrator,
  type Plan,
  Plans,
  RateLimiter,
  type Route
} from "@echelon/core"
import * as MetricNames from "@echelon/core/MetricNames"
import * as Metrics from "@echelon/core/Metrics"
import * as MetricsSnapshot from "@echelon/core/MetricsSnapshot"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Metric, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { dice } from "./support/dice.ts"
import * as metered from "./support/metered.ts"
import * as plans from "./support/plans.ts"

const { ask, exported, instance, metrics, read, run } = metered
const { sum } = MetricsSnapshot

const breaker = { ...Plans.defaults.breaker, failureRate: undefined, slowCall: undefined, failureThreshold: 1_000 }
const first = plans.echelon("chat", 1, ["a"], { maxRetries: 1 })
const second = plans.echelon("chat", 2, ["b"])
const fallback = { retryDelay: 0, retryMaxDelay: 0 }

const planned = (
  options: {
    readonly pool?: Partial<Plan.Pool>
    readonly wrapper?: Partial<Plan.Wrapper>
    readonly metrics?: Partial<Plan.Metrics>
    readonly breaker?: Partial<Plan.TaskGroup["fallback"]["breaker"]>
    readonly hedge?: Plan.Hedge
    readonly onInterrupt?: Plan.TaskGroup["fallback"]["onInterrupt"]
  } = {}
): Plan.Root => {
  const { hedge, onInterrupt = ["fail"] } = options
  const group = plans.group("chat", hedge === undefined ? [first, second] : [{ ...hedging, hedge }], {
    ...fallback,
    onInterrupt,
    breaker: { ...breaker, ...options.breaker }
  })
  return {
    ...plans.root({
      instances: ["a", "b"].map(instance),
      groups: [group],
      pools: [plans.pool("pool", ["chat"], { rotation: "priority", ...options.pool })],
      wrappers: [
        plans.wrapper(
          "w",
          { kind: "pool", name: "pool" },
          { maxConcurrentRequests: 1, queueSize: 1, ...options.wrapper }
        ),
        plans.wrapper("off", { kind: "pool", name: "pool" }, { metrics: false })
      ]
    }),
    metrics: Plans.metrics(options.metrics)
  }
}
const hedging = plans.echelon("chat", 1, ["a", "b"], { maxRetries: 1, rotation: "priority" })

const pool: LlmRequest.Metadata = { poolName: "pool" }
const wrapper: LlmRequest.Metadata = { wrapperName: "w" }
const overloaded = ScriptedLlm.fails({ _tag: "Overloaded" })
const slow = [ScriptedLlm.wait("1 second"), ...ScriptedLlm.text("slow", { inputTokens: 3, outputTokens: 5 })]

/** What was counted, by name: only what is not 0, with the labels that matter here. */
const counted = <N extends MetricNames.NameOf<"counter">>(
  found: MetricsSnapshot.Snapshot["metrics"],
  name: N,
  ...by: ReadonlyArray<MetricNames.Label>
): Readonly<Record<string, number>> => {
  const series = found[name] as ReadonlyArray<MetricsSnapshot.Value>
  return Object.fromEntries(
    series.map(({ labels, value }) => [by.map((label) => labels[label] ?? "").join(" "), value])
  )
}

it.effect("a request that failed over is one request, and every attempt is told from the others", () =>
  Effect.gen(function* () {
    yield* ask(wrapper)
    const found = yield* metrics
    expect(found["echelon.requests"]).toEqual([
      {
        labels: {
          "gen_ai.operation.name": "chat",
          "echelon.target": "wrapper",
          "echelon.wrapper": "w",
          "echelon.pool": "pool",
          "echelon.outcome": "completed"
        },
        value: 1
      }
    ])
    const a = {
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "azure.ai.openai",
      "gen_ai.request.model": "wire-a",
      "echelon.provider": "acme",
      "echelon.instance": "a",
      "echelon.echelon": "chat.echelon1",
      "echelon.group": "chat",
      "echelon.pool": "pool",
      "echelon.wrapper": "w"
    }
    expect(found["echelon.attempts"]).toMatchObject([
      { labels: { ...a, "echelon.kind": "call" }, value: 1 },
      { labels: { "echelon.instance": "b", "echelon.echelon": "chat.echelon2" }, value: 1 }
    ])
    expect(found["echelon.failovers"]).toEqual([{ labels: { ...a, "error.type": "Authentication" }, value: 1 }])
    expect(counted(found, "echelon.attempts.ended", "echelon.instance", "echelon.outcome", "error.type")).toEqual({
      "a failed Authentication": 1,
      "b completed ": 1
    })
    expect(found["gen_ai.client.operation.duration"][0]?.labels).toEqual({
      ...a,
      "server.address": "acme.example",
      "server.port": "443",
      "error.type": "Authentication"
    })
    expect(counted(found, "echelon.tokens", "echelon.token.type", "echelon.usage.source")).toEqual({
      "input reported": 3,
      "output reported": 5
    })
    expect(sum(found["echelon.cost.usd"])).toBe(13)
    expect(found["gen_ai.client.token.usage"].map(({ labels, sum }) => [labels["gen_ai.token.type"], sum])).toEqual([
      ["input", 3],
      ["output", 5]
    ])
    expect(found["echelon.retries"]).toEqual([])
  }).pipe(run(planned(), { a: ScriptedLlm.fails({ _tag: "Authentication" }) }))
)

it.effect("trying the same instance again is a retry", () =>
  Effect.gen(function* () {
    yield* ask(pool)
    const found = yield* metrics
    expect(counted(found, "echelon.retries", "echelon.instance", "error.type")).toEqual({ "a Overloaded": 1 })
    expect(counted(found, "echelon.failovers", "echelon.instance", "error.type")).toEqual({ "a Overloaded": 1 })
    expect(counted(found, "echelon.attempts", "echelon.instance")).toEqual({ a: 2, b: 1 })
  }).pipe(
    run(planned({ pool: { fallback: { ...Plans.defaults.pool.fallback, maxInstanceAttempts: 1 } } }), { a: overloaded })
  )
)

it.effect("times are seconds: of the wait, of the first output, of each token, of all", () =>
  Effect.gen(function* () {
    const held = yield* Effect.forkChild(ask(wrapper), { startImmediately: true })
    const waiting = yield* Effect.forkChild(read(wrapper), { startImmediately: true })
    const refused = yield* Effect.exit(ask(wrapper))
    expect(Exit.isFailure(refused)).toBe(true)
    const during = yield* metrics
    expect(during["echelon.queue.depth"]).toEqual([{ labels: { "echelon.wrapper": "w" }, value: 1 }])
    expect(sum(during["echelon.queue.running"], { "echelon.wrapper": "w" })).toBe(1)
    expect(sum(during["echelon.requests.active"])).toBe(1)
    expect(sum(during["echelon.instance.in_flight"], { "echelon.instance": "a" })).toBe(1)
    yield* TestClock.adjust("2 seconds")
    yield* TestClock.adjust("4 seconds")
    yield* Fiber.join(held)
    yield* Fiber.join(waiting)
    const found = yield* metrics
    expect(found["echelon.queue.wait"]).toMatchObject([
      { labels: { "echelon.wrapper": "w", "echelon.priority": "normal" }, count: 2, sum: 2 }
    ])
    // The buffered answer has no first output of its own.
    expect(found["gen_ai.server.time_to_first_token"]).toMatchObject([{ count: 1, sum: 3 }])
    expect(found["gen_ai.client.operation.time_to_first_chunk"]).toMatchObject([{ count: 1, sum: 1 }])
    expect(found["gen_ai.server.request.duration"].map(({ labels, sum }) => [labels["error.type"], sum])).toEqual([
      ["QueueFull", 0],
      [undefined, 6]
    ])
    expect(found["gen_ai.server.request.duration"][0]?.labels["gen_ai.provider.name"]).toBe("unknown")
    expect(found["gen_ai.server.time_per_output_token"]).toMatchObject([{ count: 1, sum: 0.25 }])
    expect(found["echelon.output.tokens_per_second"]).toMatchObject([{ count: 1, sum: 4 }])
    expect(sum(found["echelon.queue.depth"])).toBe(0)
    expect(sum(found["echelon.requests.active"])).toBe(0)
    expect(sum(found["echelon.instance.in_flight"])).toBe(0)
  }).pipe(
    run(planned(), {
      a: [
        ScriptedLlm.wait("1 second"),
        ScriptedLlm.parts({ type: "text-start", id: "0" }, { type: "text-delta", id: "0", delta: "x" }),
        ScriptedLlm.wait("1 second"),
        ScriptedLlm.parts({ type: "text-end", id: "0" }),
        ScriptedLlm.finish({ inputTokens: 1, outputTokens: 5 })
      ]
    })
  )
)

it.effect("who gives up is counted as cancelled, with what it cost by estimate, and nothing stays in flight", () =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(ask(pool), { startImmediately: true })
    yield* Fiber.interrupt(fiber)
    const scope = yield* Scope.make()
    const { parts } = yield* Scope.provide(Orchestrator.open({ prompt: metered.prompt, metadata: pool }), scope).pipe(
      Effect.forkChild({ startImmediately: true }),
      Effect.tap(() => TestClock.adjust("1 second")),
      Effect.flatMap(Fiber.join)
    )
    yield* Stream.runDrain(Stream.take(parts, 2))
    yield* Scope.close(scope, Exit.void)
    const found = yield* metrics
    expect(counted(found, "echelon.requests", "echelon.outcome", "error.type")).toEqual({ "cancelled Cancelled": 2 })
    expect(counted(found, "echelon.attempts.ended", "echelon.outcome", "error.type")).toEqual({
      "cancelled Cancelled": 2
    })
    expect(
      counted(found, "echelon.tokens", "echelon.usage.source", "echelon.token.type")["estimated input"]
    ).toBeGreaterThan(0)
    // Only what a provider reported goes into the metric of the conventions.
    expect(found["gen_ai.client.token.usage"]).toEqual([])
    expect(found["gen_ai.server.time_to_first_token"]).toEqual([])
    expect(sum(found["echelon.requests.active"]) + sum(found["echelon.instance.in_flight"])).toBe(0)
  }).pipe(run(planned(), { a: slow }))
)

it.effect("a stream that breaks after commit failed, and one that is restarted is a failover", () =>
  Effect.gen(function* () {
    yield* Effect.exit(read(pool))
    const found = yield* metrics
    expect(counted(found, "echelon.requests", "echelon.outcome", "error.type")).toEqual({ "failed Overloaded": 1 })
    expect(counted(found, "echelon.attempts.ended", "echelon.outcome", "error.type")).toEqual({
      "failed Overloaded": 1
    })
    expect(found["gen_ai.server.time_to_first_token"]).toEqual([])
    const { swap } = yield* Interpreter.Interpreter
    yield* swap(planned({ onInterrupt: ["restart"] }))
    yield* read(pool)
    const after = yield* metrics
    expect(counted(after, "echelon.requests", "echelon.outcome")).toEqual({ failed: 1, completed: 1 })
    expect(counted(after, "echelon.failovers", "echelon.instance", "error.type")).toEqual({ "a Overloaded": 1 })
  }).pipe(run(planned(), { a: ScriptedLlm.truncated("the PLANTED answer ", { _tag: "Overloaded" }) }))
)

it.effect("a cached reply is a hit, used no tokens and cost nothing; a joined call likewise", () =>
  Effect.gen(function* () {
    const joined = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(ask(pool), { startImmediately: true }))
    yield* TestClock.adjust("1 second")
    yield* Effect.forEach(joined, Fiber.join)
    yield* ask(pool)
    const found = yield* metrics
    expect(counted(found, "echelon.attempts", "echelon.kind")).toEqual({ call: 1, coalesced: 2, cache: 1 })
    expect(counted(found, "echelon.attempts.ended", "echelon.kind", "echelon.outcome")).toEqual({
      "call completed": 1,
      "coalesced completed": 2,
      "cache completed": 1
    })
    expect(sum(found["echelon.cache.hits"], { "echelon.pool": "pool", "echelon.provider": "acme" })).toBe(1)
    expect(sum(found["echelon.coalesced"])).toBe(2)
    expect(sum(found["echelon.requests"], { "echelon.outcome": "completed" })).toBe(4)
    expect(sum(found["echelon.tokens"])).toBe(8)
    expect(sum(found["echelon.cost.usd"])).toBe(13)
    expect(found["gen_ai.client.operation.duration"]).toMatchObject([{ count: 1 }])
    expect(MetricsSnapshot.merge(found["gen_ai.server.request.duration"])).toMatchObject({ count: 4, sum: 3 })
  }).pipe(run(planned({ pool: { coalesce: true, cache: Plans.defaults.pool.cache } }), { a: slow }))
)

it.effect("a hedge is an attempt of its own kind, and counts by how it ended", () =>
  Effect.gen(function* () {
    for (let i = 0; i < 20; i++) {
      const fiber = yield* Effect.forkChild(read(pool), { startImmediately: true })
      yield* TestClock.adjust(50)
      yield* Fiber.join(fiber)
    }
    const fiber = yield* Effect.forkChild(read(pool), { startImmediately: true })
    yield* TestClock.adjust("1 second")
    yield* Fiber.join(fiber)
    const found = yield* metrics
    expect(counted(found, "echelon.hedges", "echelon.instance", "echelon.outcome")).toEqual({ "b completed": 1 })
    expect(counted(found, "echelon.attempts.ended", "echelon.instance", "echelon.kind", "echelon.outcome")).toEqual({
      "a call completed": 20,
      "a call cancelled": 1,
      "b hedge completed": 1
    })
    expect(found["echelon.failovers"]).toEqual([])
  }).pipe(
    run(planned({ hedge: { percentile: 0.9, minDelay: 100, budget: 1 } }), {
      a: (call) =>
        call < 20 ? [ScriptedLlm.wait(50), ScriptedLlm.accepted, ...ScriptedLlm.text("usual")] : [ScriptedLlm.never]
    })
  )
)

it.effect("what a wrapper wants unmeasured is not, and tenants are told apart only where that is asked for", () =>
  Effect.gen(function* () {
    yield* ask({ wrapperName: "off" })
    const none = yield* metrics
    expect(none["echelon.requests"]).toEqual([])
    expect(none["echelon.attempts"]).toEqual([])
    for (const name of ["echelon.queue.depth", "echelon.queue.running"] as const)
      expect(none[name].map(({ labels }) => labels["echelon.wrapper"])).toEqual(["w"])
    yield* ask({ ...pool, tenant: "t1" })
    const { swap } = yield* Interpreter.Interpreter
    yield* swap(planned({ metrics: { tenantLabel: true } }))
    yield* ask({ ...pool, tenant: "t1" })
    yield* ask({ ...pool, tenant: "t2" })
    expect(counted(yield* metrics, "echelon.requests", "echelon.tenant")).toEqual({ "": 1, t1: 1, t2: 1 })
  }).pipe(run(planned()))
)

it.effect("100,000 tenants and models leave the series bounded, and no request uncounted", () =>
  Effect.gen(function* () {
    const { registry } = yield* Interpreter.Interpreter
    const [observer] = registry.observers.observers
    const total = 100_000
    for (let i = 0; i < total; i++) {
      const observation = metered.observation({ model: `model ${i}`, tenant: `tenant ${i}` })
      const attempt = observation.attempts[0] as Route.Open
      observer?.onAttemptStart?.(observation, attempt, undefined)
      observer?.onAttemptEnd?.(observation, attempt)
      observer?.onEnd?.(observation)
    }
    const found = yield* metrics
    for (const name of ["echelon.requests", "echelon.attempts", "echelon.cost.usd"] as const) {
      // What callers have a part in has three quarters of 100.
      expect(found[name].length, name).toBe(76)
      expect(counted(found, "echelon.metrics.overflow", "echelon.metric")[name]).toBe(total - 75)
    }
    expect(sum(found["echelon.requests"])).toBe(total)
    expect(sum(found["echelon.cost.usd"])).toBe(total / 2)
    const other = { "echelon.tenant": "other", "echelon.outcome": "completed", "echelon.target": "client" }
    expect(sum(found["echelon.requests"], other)).toBe(total - 75)
    expect(sum(found["echelon.attempts"], { "gen_ai.request.model": "other", "echelon.kind": "call" })).toBe(total - 75)
    expect((yield* exported).length).toBeLessThan(2_000)
    // What the plan names still has room.
    yield* ask(pool)
    expect(sum((yield* metrics)["echelon.attempts"], { "echelon.instance": "a" })).toBe(1)
  }).pipe(run(planned({ metrics: { maxSeries: 100, tenantLabel: true } })))
)

it.effect("off: nobody listens to requests, nothing is kept, nothing is exported; a reload switches it", () =>
  Effect.gen(function* () {
    const { registry, swap } = yield* Interpreter.Interpreter
    expect(registry.observers.isIdle()).toBe(true)
    yield* ask(pool)
    expect(Object.values(yield* metrics).flat()).toEqual([])
    expect(yield* exported).toEqual([])
    yield* swap(planned())
    yield* ask(pool)
    expect(sum((yield* metrics)["echelon.requests"])).toBe(1)
    expect((yield* exported).length).toBeGreaterThan(10)
    yield* swap(planned({ metrics: { enabled: false } }))
    expect(registry.observers.isIdle()).toBe(true)
    expect(yield* exported).toEqual([])
  }).pipe(run(planned({ metrics: { enabled: false } })))
)

it.effect("when the Layer closes, nothing is left in the registry or of the observer", () =>
  Effect.gen(function* () {
    const { registry } = yield* Interpreter.Interpreter
    const kept = yield* Metric.MetricRegistry
    const before = kept.size
    const scope = yield* Scope.make()
    yield* Layer.buildWithScope(Layer.fresh(Metrics.MetricsCollector.layer), scope)
    expect([registry.observers.observers.size, kept.size > before]).toEqual([1, true])
    yield* Scope.close(scope, Exit.void)
    expect([registry.observers.isIdle(), kept.size]).toEqual([true, before])
  }).pipe(
    Effect.provide(Interpreter.Interpreter.layer(planned())),
    Effect.provide(plans.scripts({}).layer),
    Effect.provideService(Metric.MetricRegistry, new Map())
  )
)

it.effect("circuits, cooldowns, drains, limits, health and reloads are shown as they stand", () =>
  Effect.gen(function* () {
    const { registry } = yield* Interpreter.Interpreter
    const control = yield* Control.Control
    const at = registry.now()
    const start = yield* metrics
    expect(start["echelon.breaker.state"].map(({ value }) => value)).toEqual([0, 0])
    expect(start["echelon.instance.health"]).toEqual([])
    yield* Effect.exit(ask(pool))
    yield* control.drain("b")
    registry.emit({ _tag: "Reload", outcome: "rejected", errors: 2, at })
    const health = { _tag: "Health", instance: "a", provider: "acme", from: "unknown", message: "", at } as const
    registry.emit({ ...health, to: "degraded" })
    registry.emit({ _tag: "ProviderHealth", provider: "acme", isDown: true, instances: [], message: "", at })
    const found = yield* metrics
    expect(sum(found["echelon.breaker.state"], { "echelon.instance": "a", "echelon.group": "chat" })).toBe(1)
    expect(counted(found, "echelon.breaker.transitions", "echelon.instance", "echelon.breaker.state")).toEqual({
      "a open": 1
    })
    expect(found["echelon.instance.drained"].map(({ labels, value }) => [labels["echelon.instance"], value])).toEqual([
      ["a", 0],
      ["b", 1]
    ])
    expect(counted(found, "echelon.reloads", "echelon.outcome")).toEqual({ rejected: 1 })
    expect(found["echelon.instance.health"]).toMatchObject([{ labels: { "echelon.instance": "a" }, value: 0.5 }])
    expect(found["echelon.provider.down"]).toEqual([{ labels: { "echelon.provider": "acme" }, value: 1 }])
    registry.emit({ ...health, to: "unknown" })
    registry.emit({ _tag: "ProviderHealth", provider: "acme", isDown: false, instances: [], message: "", at })
    const later = yield* metrics
    expect(later["echelon.instance.health"]).toEqual([])
    expect(sum(later["echelon.provider.down"])).toBe(0)
    yield* TestClock.adjust("2 minutes")
    // That the time has passed is seen when it is looked at.
    expect(sum((yield* metrics)["echelon.breaker.state"])).toBe(0.5)
  }).pipe(Effect.provide(Control.Control.layer), run(planned({ breaker: { failureThreshold: 1 } }), { a: overloaded }))
)

it.effect("the headroom of limits, before their first use, in use, and as providers report it", () => {
  const root = planned({ pool: { rateLimit: { algorithm: "token_bucket", bucketSize: 10, refillRate: 0.001 } } })
  const limited: Plan.Root = {
    ...root,
    instances: {
      ...root.instances,
      a: { ...instance("a"), model: { ...instance("a").model, limits: { ...Plans.noLimits, concurrency: 4, rpm: 20 } } }
    }
  }
  return Effect.gen(function* () {
    const { registry } = yield* Interpreter.Interpreter
    const remaining = Effect.map(metrics, (found) =>
      found["echelon.limit.remaining"].map(({ labels, value }) => [
        labels["echelon.limit.owner"],
        labels["echelon.pool"] ?? labels["echelon.instance"],
        labels["echelon.limit"],
        labels["echelon.limit.source"],
        value
      ])
    )
    expect(yield* remaining).toEqual([
      ["pool", "pool", "rate_limit", "configured", 10],
      ["instance", "a", "concurrency", "configured", 4],
      ["instance", "a", "rpm", "configured", 20]
    ])
    const fiber = yield* Effect.forkChild(ask(pool), { startImmediately: true })
    expect((yield* remaining).map((row) => row[4])).toEqual([9, 3, 19])
    yield* TestClock.adjust("1 second")
    yield* Fiber.join(fiber)
    RateLimiter.learn(
      registry.reported(limited.instances["a"] as Plan.Instance),
      { kind: "tokens", limit: 1_000, remaining: 400, resetAt: registry.now() + 5_000 },
      registry.now()
    )
    expect((yield* remaining).at(-1)).toEqual(["instance", "a", "tokens", "reported", 400])
    expect(sum((yield* metrics)["echelon.limit.size"], { "echelon.limit.source": "reported" })).toBe(1_000)
    yield* TestClock.adjust("10 minutes")
    expect((yield* remaining).length).toBe(3)
  }).pipe(run(limited, { a: slow }))
})

it.effect("effect's registry has every series, with its unit beside the labels, and is read as it stands", () =>
  Effect.gen(function* () {
    yield* read(wrapper)
    const seen = yield* exported
    const names = new Set(seen.map(({ id }) => id))
    const own = Object.entries(yield* metrics).filter(([, series]) => series.length > 0)
    expect([...names].sort()).toEqual(own.map(([name]) => name).sort())
    expect(seen.length).toBe(own.reduce((total, [, series]) => total + series.length, 0))
    const duration = seen.find(({ id }) => id === "gen_ai.client.operation.duration")
    expect(duration).toMatchObject({ type: "Histogram", state: { count: 1 } })
    expect(duration?.attributes?.["unit"]).toBe("s")
    expect(Object.keys(duration?.attributes ?? {})).not.toContain("unit")
    yield* read(wrapper)
    expect((yield* exported).find(({ id }) => id === "echelon.requests")).toMatchObject({
      state: { count: 2, incremental: true }
    })
  }).pipe(run(planned()))
)

it.effect("others count what they tell of themselves, here or with metrics of effect's", () =>
  Effect.gen(function* () {
    const { add } = yield* Metrics.MetricsCollector
    add("echelon.reloads", { "echelon.outcome": "applied" })
    const deliveries = Metric.counter("echelon.alerts.deliveries", { incremental: true })
    yield* Metric.update(Metric.withAttributes(deliveries, { "echelon.channel": "log" }), 2)
    yield* Metric.update(Metric.counter("my_own"), 2)
    add("echelon.telemetry.lost", { "echelon.kind": "usage" }, 3)
    const found = yield* metrics
    expect(found["echelon.alerts.deliveries"]).toEqual([{ labels: { "echelon.channel": "log" }, value: 2 }])
    expect(sum(found["echelon.reloads"])).toBe(1)
    expect(Object.keys(found)).toEqual(MetricNames.names)
    expect(sum(found["echelon.telemetry.lost"], { "echelon.kind": "usage" })).toBe(3)
  }).pipe(run(planned()))
)

it.effect("a direct call is measured by its client, and a request for nobody by the router", () =>
  Effect.gen(function* () {
    yield* ask({ provider: "acme", model: "direct" })
    yield* Effect.exit(ask({ poolName: "none" }))
    const found = yield* metrics
    expect(counted(found, "echelon.requests", "echelon.target", "echelon.outcome", "error.type")).toEqual({
      "client completed ": 1,
      "router failed UnknownTarget": 1
    })
    expect(sum(found["echelon.attempts.unpriced"])).toBe(1)
  }).pipe(run(planned()))
)

it.effect("no secret, no prompt and no answer is in any metric", () =>
  Effect.gen(function* () {
    yield* read(wrapper)
    yield* Effect.exit(ask(pool))
    const text = JSON.stringify([yield* metrics, yield* exported])
    expect(text).toContain("wire-a")
    for (const planted of [metered.secret, "PLANTED"]) expect(text).not.toContain(planted)
  }).pipe(
    run(planned(), {
      a: (call) =>
        call === 0
          ? ScriptedLlm.text(metered.answer)
          : ScriptedLlm.truncated(`${metered.answer} ${metered.secret}`, { _tag: "Unknown" })
    })
  )
)

/** Anything that an instance may do. */
const scriptOf = ({ below, of }: ReturnType<typeof dice>): ScriptedLlm.Script =>
  of([
    ScriptedLlm.text(metered.answer),
    slow,
    overloaded,
    ScriptedLlm.fails({ _tag: "RateLimited" }),
    ScriptedLlm.truncated("the PLANTED "),
    ScriptedLlm.truncated("the PLANTED ", { _tag: "Network", kind: "reset" }),
    [ScriptedLlm.wait(below(3_000)), ScriptedLlm.accepted, ...ScriptedLlm.text(metered.answer)],
    [ScriptedLlm.never]
  ])

it.effect.each([1, 2, 3, 4, 5, 6])(
  "when all has ended, attempts begun are attempts ended, whatever happened (%i)",
  (seed) => {
    const chance = dice(seed)
    const { below, of } = chance
    const script = () => scriptOf(chance)
    return Effect.gen(function* () {
      const fibers: Array<Fiber.Fiber<unknown, unknown>> = []
      for (let i = 0; i < 80; i++) {
        const metadata = of<LlmRequest.Metadata>([
          pool,
          wrapper,
          { wrapperName: "w", timeout: 1 },
          { groupName: "chat" }
        ])
        const request = { ...metadata, cache: of<"default" | "refresh">(["default", "refresh"]) }
        fibers.push(yield* Effect.forkChild(Effect.exit(of([read, ask])(request)), { startImmediately: true }))
        if (below(3) === 0) yield* Fiber.interrupt(fibers[below(fibers.length)] as Fiber.Fiber<unknown, unknown>)
        if (below(2) === 0) yield* TestClock.adjust(below(2_000))
      }
      // Identical requests wait for one another behind the cache, and each may wait for an instance that is silent.
      while (fibers.some((fiber) => fiber.pollUnsafe() === undefined)) yield* TestClock.adjust("1 minute")
      const found = yield* metrics
      const begun = sum(found["echelon.attempts"])
      expect(begun).toBeGreaterThan(20)
      expect(sum(found["echelon.attempts.ended"])).toBe(begun)
      for (const kind of ["call", "hedge", "cache", "coalesced"] as const) {
        const by = { "echelon.kind": kind }
        expect(sum(found["echelon.attempts.ended"], by), kind).toBe(sum(found["echelon.attempts"], by))
      }
      const calls = MetricsSnapshot.merge(found["gen_ai.client.operation.duration"])
      expect(calls?.count).toBe(begun - sum(found["echelon.cache.hits"]) - sum(found["echelon.coalesced"]))
      expect(sum(found["echelon.requests"])).toBe(80)
      expect(MetricsSnapshot.merge(found["gen_ai.server.request.duration"])?.count).toBe(80)
      expect(sum(found["echelon.requests.active"]) + sum(found["echelon.instance.in_flight"])).toBe(0)
      expect(sum(found["echelon.queue.depth"]) + sum(found["echelon.queue.running"])).toBe(0)
    }).pipe(
      run(
        planned({
          pool: { coalesce: true, cache: { ttl: 1_000, capacity: 10 } },
          onInterrupt: ["restart", "fail"],
          ...(seed % 2 === 0 ? { hedge: { percentile: 0.5, minDelay: 10, budget: 1 } } : {})
        }),
        { a: script, b: script }
      )
    )
  }
)

it("names are those of the conventions, and Prometheus has one for each", () => {
  const conventional = MetricNames.names.filter((name) => name.startsWith("gen_ai."))
  expect(conventional).toEqual([
    "gen_ai.client.operation.duration",
    "gen_ai.client.operation.time_to_first_chunk",
    "gen_ai.client.token.usage",
    "gen_ai.server.request.duration",
    "gen_ai.server.time_to_first_token",
    "gen_ai.server.time_per_output_token"
  ])
  expect(MetricNames.prometheus("gen_ai.client.operation.duration")).toBe("gen_ai_client_operation_duration_seconds")
  expect(MetricNames.prometheus("gen_ai.client.token.usage")).toBe("gen_ai_client_token_usage")
  expect(MetricNames.prometheus("echelon.requests")).toBe("echelon_requests_total")
  expect(MetricNames.prometheus("echelon.cost.usd")).toBe("echelon_cost_usd_total")
  expect(MetricNames.prometheus("echelon.output.tokens_per_second")).toBe("echelon_output_tokens_per_second")
  expect(MetricNames.prometheus("my.own")).toBe("my.own")
  expect(new Set(MetricNames.names.map(MetricNames.prometheus)).size).toBe(MetricNames.names.length)
  expect(["openai", "bedrock", "xai", "openai-compatible", undefined].map(MetricNames.providerName)).toEqual([
    "openai",
    "aws.bedrock",
    "x_ai",
    "openai-compatible",
    "unknown"
  ])
})
