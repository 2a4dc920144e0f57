import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { inspect } from "node:util"
import { Clients, InstanceFactory, Interpreter, type LlmRequest, Orchestrator, type Plan, Plans } from "@echelon/core"
import * as MetricNames from "@echelon/core/MetricNames"
import * as Metrics from "@echelon/core/Metrics"
import * as MetricsSnapshot from "@echelon/core/MetricsSnapshot"
import * as MetricsExport from "@echelon/echelon/MetricsExport"
import { ScriptedLlm } from "@echelon/testing"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { expect, it } from "@effect/vitest"
import {
  Deferred,
  Duration,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  Metric,
  Queue,
  Redacted,
  References,
  Scope,
  Stream
} from "effect"
import { HttpClient, HttpRouter } from "effect/http"
import { TestClock } from "effect/testing"
import * as Otlp from "./support/otlp.ts"
import * as PrometheusText from "./support/prometheusText.ts"

const secret = "sk-SECRET-0123456789"
const header = "header-SECRET-9876543210"
const planted = [secret, header, "PLANTED"]
const prompt = "the PLANTED prompt"
const answer = "the PLANTED answer of five"
const prices = { input: 1_000_000, output: 2_000_000 }

const provider = Plans.provider({
  name: 'acme "west"',
  kind: "openai-compatible",
  baseUrl: "http://acme.example:8080/v1",
  key: Redacted.make(secret)
})
/** A name with everything that a format may have to escape. */
const odd = 'a "quoted" \\ back\nslash n\\n é 😀 {x="y"}'

const planned = (metrics: Partial<Plan.Metrics>, shutdownGrace = 5_000): Plan.Root => ({
  ...Plans.root({
    instances: [odd, "broken", "slow"].map((name) =>
      Plans.instance({ name, provider, alias: name, model: Plans.model({ model: `wire ${name}`, prices }) })
    ),
    groups: [
      Plans.group("odd group", [Plans.echelon("odd group", 1, ["broken"]), Plans.echelon("odd group", 2, [odd])]),
      Plans.group("slow", [Plans.echelon("slow", 1, ["slow"])])
    ],
    pools: [Plans.pool("pool", ["odd group"], { rotation: "priority" })],
    wrappers: [Plans.wrapper("w", { kind: "pool", name: "pool" }, { maxConcurrentRequests: 2, queueSize: 1 })]
  }),
  shutdownGrace,
  metrics: Plans.metrics(metrics)
})

const otlp = (endpoint: string, more: Partial<NonNullable<Plan.Metrics["otlp"]>> = {}): Partial<Plan.Metrics> => ({
  otlp: {
    ...Plans.defaults.metrics.otlp,
    endpoint,
    interval: 20,
    headers: { "x-team": Redacted.make(header) },
    ...more
  }
})

const scripts: Readonly<Record<string, ScriptedLlm.Script>> = {
  broken: ScriptedLlm.fails({ _tag: "Authentication" }),
  slow: [ScriptedLlm.wait(100), ...ScriptedLlm.text(answer)]
}

const services = (root: Plan.Root) =>
  Layer.mergeAll(Orchestrator.layer, Metrics.MetricsCollector.layer).pipe(
    Layer.provideMerge(Interpreter.Interpreter.layer(root)),
    Layer.provide(
      Layer.merge(
        Layer.succeed(InstanceFactory.InstanceFactory, {
          make: ({ model, name }) =>
            Effect.map(
              ScriptedLlm.make({
                id: name,
                model: model.model,
                prices: model.prices,
                script: scripts[name] ?? ScriptedLlm.text(answer, { inputTokens: 3, outputTokens: 5 })
              }),
              ({ llm }) => ({ llm, probe: Effect.succeed(Duration.zero) })
            )
        }),
        Layer.succeed(Clients.Clients, { get: () => Effect.die("nobody asks") })
      )
    ),
    Layer.provideMerge(Layer.succeed(Metric.MetricRegistry, new Map()))
  )
const exporting = (root: Plan.Root) => Layer.provideMerge(MetricsExport.layer, services(root))

const ask = (metadata: LlmRequest.Metadata = { wrapperName: "w" }) =>
  Effect.scoped(Effect.flatMap(Orchestrator.open({ prompt, metadata }), ({ parts }) => Stream.runDrain(parts)))
const snapshot = Effect.flatMap(Metrics.MetricsCollector, (collector) => collector.snapshot)

/** Everything that is logged, down to traces, as text. */
const logged = (lines: Array<string>) =>
  Layer.merge(
    Logger.layer([
      Logger.make((options) => void lines.push(Logger.formatLogFmt.log(options))),
      Logger.make((options) => void lines.push(Logger.formatJson.log(options))),
      Logger.make(({ cause, message }) => void lines.push(inspect({ cause, message }, { depth: 20 })))
    ]),
    Layer.succeed(References.MinimumLogLevel, "All")
  )

const byName = (post: Otlp.Post, name: string): Otlp.Exported | undefined =>
  post.metrics.find((metric) => metric.name === name)

/** The first post that is as wanted. */
const taken = (receiver: Otlp.Receiver, wanted: (post: Otlp.Post) => boolean): Effect.Effect<Otlp.Post> =>
  Effect.flatMap(Queue.take(receiver.posts), (post) =>
    wanted(post) ? Effect.succeed(post) : Effect.suspend(() => taken(receiver, wanted))
  ).pipe(Effect.orDie)
const requests = (post: Otlp.Post): number =>
  (byName(post, "echelon.requests")?.points ?? []).reduce((total, { value = 0 }) => total + value, 0)

it.live("Prometheus reads what the snapshot says, whatever the names hold", () =>
  Effect.gen(function* () {
    yield* ask()
    yield* ask()
    const text = yield* MetricsExport.prometheus
    const families = PrometheusText.parse(text)
    const { metrics } = yield* snapshot
    for (const name of MetricNames.names) {
      const { boundaries, description, kind }: MetricNames.Definition = MetricNames.catalogue[name]
      const series = metrics[name] as ReadonlyArray<MetricsSnapshot.Value & MetricsSnapshot.Distribution>
      const family = families.get(MetricNames.prometheus(name))
      if (series.length === 0) {
        expect(family, name).toBeUndefined()
        continue
      }
      expect(family?.type, name).toBe(kind)
      expect(family?.help, name).toBe(description)
      for (const { labels, ...point } of series) {
        const own = Object.fromEntries(
          Object.entries(labels).map(([label, value]) => [label.replaceAll(".", "_"), value])
        )
        const find = (suffix: string, more: Readonly<Record<string, string>> = {}) =>
          family?.samples.find(
            (sample) =>
              sample.name === `${family.name}${suffix}` &&
              JSON.stringify(Object.entries(sample.labels).sort()) ===
                JSON.stringify(Object.entries({ ...own, ...more }).sort())
          )?.value
        if (kind !== "histogram") expect(find(""), name).toBe(point.value)
        else {
          expect(find("_count"), name).toBe(point.count)
          expect(find("_sum"), name).toBeCloseTo(point.sum, 9)
          const upTo = (i: number) => point.counts.slice(0, i + 1).reduce((a, b) => a + b, 0)
          for (const [i, bound] of (boundaries ?? []).entries())
            expect(find("_bucket", { le: String(bound) }), `${name} ${bound}`).toBe(upTo(i))
        }
      }
    }
    const attempts = families.get("echelon_attempts_ended_total")?.samples
    expect(attempts?.find(({ labels }) => labels["echelon_outcome"] === "completed")?.labels["echelon_instance"]).toBe(
      odd
    )
    expect(families.get("gen_ai_client_operation_duration_seconds")?.samples[0]?.labels).toMatchObject({
      gen_ai_operation_name: "chat",
      gen_ai_provider_name: "openai-compatible",
      gen_ai_request_model: "wire broken",
      server_address: "acme.example",
      server_port: "8080",
      error_type: "Authentication"
    })
    for (const one of planted) expect(text).not.toContain(one)
  }).pipe(Effect.provide(services(planned({}))))
)

it("the reader of Prometheus's text is strict", () => {
  const wrong = [
    "a 1",
    "# TYPE a counter\na 1",
    "# TYPE a counter\na -1\n",
    "# TYPE a counter\na 1\na 1\n",
    '# TYPE a gauge\na{x="1"} 1\na{x="1"} 2\n',
    '# TYPE a gauge\na{x="1",x="2"} 1\n',
    '# TYPE a gauge\na{x="\\t"} 1\n',
    '# TYPE a gauge\na{x="1\n"} 1\n',
    '# TYPE a gauge\na{x="1""} 1\n',
    '# TYPE a gauge\na{x.y="1"} 1\n',
    "# TYPE a gauge\na one\n",
    "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\na 1\n",
    "# TYPE a gauge\n# TYPE a gauge\na 1\n",
    "# HELP a x\n# TYPE b gauge\nb 1\n",
    "# TYPE a state\na 1\n",
    '# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
    '# TYPE a histogram\na_bucket{le="2"} 1\na_bucket{le="1"} 1\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
    '# TYPE a histogram\na_bucket{le="+Inf"} 1\na_count 1\n',
    '# TYPE a histogram\na_bucket{le="+Inf"} 2\na_sum 1\na_count 1\n'
  ]
  for (const text of wrong) expect(() => PrometheusText.parse(text), text).toThrow()
  const right = '# HELP a b \\\\ \\n\n# TYPE a gauge\na{x="\\"\\\\\\n"} 1e-3\n'
  expect(PrometheusText.parse(right).get("a")).toEqual({
    name: "a",
    type: "gauge",
    help: "b \\ \n",
    samples: [{ name: "a", labels: { x: '"\\\n' }, value: 0.001 }]
  })
})

it.live.each(["protobuf", "json"] as const)("a collector is told by OTLP as %s what the snapshot says", (encoding) =>
  Effect.gen(function* () {
    const receiver = yield* Otlp.receiver
    yield* Effect.gen(function* () {
      yield* ask()
      const post = yield* taken(receiver, (one) => requests(one) === 1)
      expect(post.path).toBe("/v1/metrics")
      expect(post.headers["content-type"]).toBe(encoding === "json" ? "application/json" : "application/x-protobuf")
      expect(post.headers["x-team"]).toBe(header)
      expect(post.resource["service.name"]).toBe("echelon")
      for (const one of planted) expect(post.raw.includes(one)).toBe(false)
      const { metrics } = yield* snapshot
      for (const name of MetricNames.names) {
        const { boundaries, description, kind, unit }: MetricNames.Definition = MetricNames.catalogue[name]
        const series = metrics[name] as ReadonlyArray<MetricsSnapshot.Value & MetricsSnapshot.Distribution>
        const sent = byName(post, name)
        expect(sent === undefined, name).toBe(series.length === 0)
        if (sent === undefined) continue
        expect(sent, name).toMatchObject({ unit, description, kind: kind === "counter" ? "sum" : kind })
        if (kind === "counter") expect(sent, name).toMatchObject({ isMonotonic: true, temporality: 2 })
        expect(sent.points.map(({ labels }) => labels)).toEqual(series.map(({ labels }) => labels))
        if (kind === "counter") expect(sent.points.map(({ value }) => value)).toEqual(series.map(({ value }) => value))
        if (kind === "histogram")
          expect(sent.points, name).toMatchObject(
            series.map(({ count, counts, sum }) => ({ count, sum, bucketCounts: counts, explicitBounds: boundaries }))
          )
      }
    }).pipe(Effect.provide(exporting(planned(otlp(receiver.endpoint, { encoding })))))
  })
)

it.live("with delta temporality each export has what came since the last", () =>
  Effect.gen(function* () {
    const receiver = yield* Otlp.receiver
    yield* Effect.gen(function* () {
      yield* ask()
      const post = yield* taken(receiver, (one) => requests(one) > 0)
      expect(byName(post, "echelon.requests")?.temporality).toBe(1)
      yield* taken(receiver, (one) => requests(one) === 0)
    }).pipe(Effect.provide(exporting(planned(otlp(receiver.endpoint, { temporality: "delta" })))))
  })
)

it.live("a reload moves the export, and ends it", () =>
  Effect.gen(function* () {
    const first = yield* Otlp.receiver
    const second = yield* Otlp.receiver
    yield* Effect.gen(function* () {
      const { registry, swap } = yield* Interpreter.Interpreter
      yield* taken(first, () => true)
      yield* swap(planned(otlp(`${second.endpoint}/v1/metrics`)))
      yield* ask()
      const post = yield* taken(second, (one) => requests(one) === 1)
      expect(post.path).toBe("/v1/metrics")
      // Whoever moves does not end what runs.
      expect(registry.lifecycle.phase).toBe("open")
      yield* swap(planned({}))
      yield* swap(planned(otlp(first.endpoint)))
      yield* taken(first, (one) => requests(one) === 1)
      yield* swap(planned({ ...otlp(first.endpoint), enabled: false }))
      yield* ask()
      yield* swap(planned(otlp(second.endpoint)))
      yield* taken(second, (one) => requests(one) === 0)
    }).pipe(Effect.provide(exporting(planned(otlp(first.endpoint)))))
  })
)

it.live("a request that ends while all is shut down is in the last export", () =>
  Effect.gen(function* () {
    const receiver = yield* Otlp.receiver
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(
      exporting(planned(otlp(receiver.endpoint, { interval: 3_600_000 }))),
      scope
    )
    const fiber = yield* Effect.forkChild(Effect.provideContext(ask({ groupName: "slow" }), context), {
      startImmediately: true
    })
    yield* Scope.close(scope, Exit.void)
    expect(Exit.isSuccess(yield* Fiber.await(fiber))).toBe(true)
    const posts = yield* Queue.takeAll(receiver.posts)
    expect(posts.map(requests)).toEqual([1])
    expect(byName(posts[0] as Otlp.Post, "echelon.attempts.ended")?.points).toMatchObject([
      { labels: { "echelon.outcome": "completed" }, value: 1 }
    ])
  })
)

const turn = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))
/** Lets sockets do their part: they are looked at in every turn. */
const moment = Effect.repeat(turn, { times: 100 })
/** A second for every moment, until the scope closes. */
const quickly = Effect.forkScoped(Effect.forever(Effect.andThen(moment, TestClock.adjust("1 second"))))
const until = (isSo: () => boolean): Effect.Effect<void> => Effect.repeat(moment, { while: () => !isSo() })

it.effect("a collector that refuses, and one that is not there, are logged once; no header is told", () => {
  const lines: Array<string> = []
  const has = (words: string) => () => lines.some((line) => line.includes(words))
  return Effect.gen(function* () {
    const receiver = yield* Otlp.receiver
    const plan = planned(otlp(receiver.endpoint, { interval: 1_000 }))
    receiver.answer(400)
    yield* quickly
    yield* Effect.gen(function* () {
      const { swap } = yield* Interpreter.Interpreter
      const lost = Effect.map(snapshot, ({ metrics }) =>
        MetricsSnapshot.sum(metrics["echelon.telemetry.lost"], { "echelon.kind": "metrics" })
      )
      yield* until(has(`metrics cannot be sent to ${receiver.endpoint}: status 400`))
      // Effect's exporter waits a minute before it tries again.
      yield* until(has("Disabling exporter"))
      expect(yield* lost).toBe(1)
      receiver.answer(200)
      yield* until(has(`metrics are sent to ${receiver.endpoint} again`))
      expect(lines.filter((line) => line.includes("metrics cannot be sent")).length).toBe(3)
      yield* swap(planned(otlp("http://127.0.0.1:1", { interval: 1_000 })))
      yield* until(has("metrics cannot be sent to http://127.0.0.1:1: TransportError"))
      expect(yield* lost).toBeGreaterThan(1)
    }).pipe(Effect.provide(exporting(plan)))
    for (const one of planted) expect(lines.join("\n")).not.toContain(one)
  }).pipe(Effect.provide(logged(lines)))
})

const freePort = Effect.callback<number>((resume) => {
  const server = createServer()
  server.listen(0, "127.0.0.1", () => {
    const { port } = server.address() as AddressInfo
    server.close(() => resume(Effect.succeed(port)))
  })
})

it.live("Prometheus is answered at the port that the plan names, until it names another, or none", () => {
  const lines: Array<string> = []
  return Effect.gen(function* () {
    const first = yield* freePort
    const second = yield* freePort
    const at = (port: number) => ({ prometheus: { host: "127.0.0.1", port } })
    const get = (port: number, path = "/metrics", method = "GET") =>
      Effect.tryPromise(async () => {
        const response = await fetch(`http://127.0.0.1:${port}${path}`, { method, headers: { connection: "close" } })
        return { status: response.status, type: response.headers.get("content-type"), text: await response.text() }
      })
    yield* Effect.gen(function* () {
      const { swap } = yield* Interpreter.Interpreter
      yield* ask()
      const { status, text, type } = yield* get(first)
      expect([status, type]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"])
      expect(PrometheusText.parse(text).get("echelon_requests_total")?.samples[0]?.value).toBe(1)
      for (const one of planted) expect(text).not.toContain(one)
      const statuses = yield* Effect.all([get(first, "/metrics?x=1"), get(first, "/"), get(first, "/metrics", "POST")])
      expect(statuses.map(({ status }) => status)).toEqual([200, 404, 405])
      const taken = createServer()
      yield* Effect.callback<void>((resume) => void taken.listen(second, "127.0.0.1", () => resume(Effect.void)))
      yield* swap(planned(at(second)))
      yield* Effect.repeat(Effect.sleep(5), { while: () => !lines.some((line) => line.includes("EADDRINUSE")) })
      // The one before goes on until the port is free, without another word or reload.
      expect((yield* get(first)).status).toBe(200)
      yield* swap(planned(at(second), 6_000))
      yield* Effect.callback<void>((resume) => void taken.close(() => resume(Effect.void)))
      yield* Effect.repeat(Effect.sleep(5), {
        while: () => !lines.some((line) => line.includes(`http://127.0.0.1:${second}/metrics`))
      })
      expect((yield* get(second)).status).toBe(200)
      expect(Exit.isFailure(yield* Effect.exit(get(first)))).toBe(true)
      expect(lines.filter((line) => line.startsWith("timestamp") && line.includes("EADDRINUSE")).length).toBe(1)
    }).pipe(Effect.provide(exporting(planned(at(first)))))
    expect(Exit.isFailure(yield* Effect.exit(get(second)))).toBe(true)
  }).pipe(Effect.provide(logged(lines)))
})

it.live("a program's own router answers with all metrics, its own among them", () =>
  Effect.gen(function* () {
    yield* ask()
    yield* Metric.update(Metric.counter("my_own", { incremental: true }), 7)
    const { text } = yield* HttpClient.get("/internal/metrics")
    const families = PrometheusText.parse(yield* text)
    expect(families.get("my_own")?.samples[0]?.value).toBe(7)
    expect(families.get("echelon_requests_total")?.samples[0]?.value).toBe(1)
  }).pipe(
    Effect.provide(
      HttpRouter.serve(MetricsExport.layerHttp({ path: "/internal/metrics" }), {
        disableListenLog: true,
        disableLogger: true
      }).pipe(Layer.provideMerge(NodeHttpServer.layerTest), Layer.provideMerge(services(planned({}))))
    )
  )
)

it.live("without settings nothing listens and nothing is sent", () =>
  Effect.gen(function* () {
    const started = yield* Deferred.make<void>()
    const receiver = yield* Otlp.receiver
    yield* Effect.gen(function* () {
      yield* ask()
      yield* Deferred.succeed(started, undefined)
    }).pipe(Effect.provide(exporting(planned({ enabled: false, ...otlp(receiver.endpoint) }))))
    yield* Deferred.await(started)
    expect(yield* Queue.size(receiver.posts)).toBe(0)
  })
)
