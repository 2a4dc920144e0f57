/** Everything that watches, from the configuration to the socket and the file: it agrees, and it tells nothing it must not. */
import { appendFile, readFile } from "node:fs/promises"
import { join } from "node:path"
import * as AlertRule from "@echelon/core/AlertRule"
import * as LogFields from "@echelon/core/LogFields"
import * as MetricNames from "@echelon/core/MetricNames"
import * as UsageNames from "@echelon/core/UsageNames"
import * as UsageRecord from "@echelon/core/UsageRecord"
import {
  Alerting,
  Control,
  type Echelon,
  HealthChecker,
  Interpreter,
  type LlmError,
  type LlmRequest,
  Metrics,
  Orchestrator,
  RequestLog,
  SpendGuard,
  TracingExport,
  UsageMeter
} from "@echelon/echelon"
import * as RouteFile from "@echelon/operations/RouteFile"
import { FaultServer } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import * as PrometheusText from "./support/prometheusText.ts"
import * as Watched from "./support/Watched.ts"

const { planted } = Watched
const said = `well then ${planted.answer} is all`
/** With everything that a format may have to escape, and what would begin a line of its own. */
const tenant = 'te"nant\' \\n {x="y",} é 😀 ; DROP TABLE; =1+1, #\n\u001b[31mrequest completed\r\t'
const clean = UsageNames.clean(tenant)

/** A provider that repeats whatever it was sent, and more. */
const quoting = `no: ${planted.prompt} ${planted.key} ${planted.header} ${planted.quoted}`
const quoted = (status: number) => FaultServer.status(status, { message: quoting, code: planted.quoted })

const flaky = [
  quoted(500),
  FaultServer.ok(said),
  FaultServer.cut({ after: 2 }),
  FaultServer.reset(),
  quoted(429),
  FaultServer.malformed(),
  FaultServer.errorEvent("overloaded", { message: quoting }),
  quoted(400),
  FaultServer.status(502, { body: { text: quoting, type: "text/plain" } })
]

const script: FaultServer.Script = ({ headers, index, model, stream }) => {
  if (model === "flaky") return flaky[index % flaky.length] ?? quoted(503)
  if (model === "denied") return FaultServer.status(401, { message: `${quoting} ${headers["authorization"]}` })
  if (model === "slow") return FaultServer.withSlowFirstToken(FaultServer.ok(said), "150 millis")
  if (model === "stalled") return FaultServer.stall({ after: 2 })
  if (model === "stuck") return FaultServer.silence
  return stream ? FaultServer.ok(said) : FaultServer.ok(said, { usage: { input: 11, output: 7 } })
}

const tree = (url: string, version = 1) => `
[reload]
debounce = 0.02
[shutdown]
shutdown_grace = 0.5
[llms.provider.p]
kind = "openai"
base_url = "${url}/v1"
api_key = "${planted.key}"
headers = { x-team = "${planted.header}" }
query = { token = "${planted.query}" }
health_check = "none"
trace_context = true
[llms.provider.p.models]
m = { model = "m", input_price = 1, output_price = 2 }
flaky = { model = "flaky", input_price = 1, output_price = 2 }
denied = { model = "denied", input_price = 1, output_price = 2 }
slow = { model = "slow", input_price = 1, output_price = 2 }
stalled = { model = "stalled", input_price = 1, output_price = 2 }
stuck = { model = "stuck", input_price = 1, output_price = 2 }
[llms.groups.chat]
echelon1 = { models = ["p-m"], max_tokens = ${100 + version} }
[llms.groups.flaky]
echelon1 = { models = ["p-flaky"], max_retries = 0 }
echelon2 = { models = ["p-m"] }
fallback_config = { retry_delay = 0.001, circuit_breaker = { failure_threshold = 1000 } }
[llms.groups.denied]
echelon1 = { models = ["p-denied"], max_retries = 0 }
[llms.groups.slow]
echelon1 = { models = ["p-slow"] }
[llms.groups.stalled]
echelon1 = { models = ["p-stalled"] }
[llms.groups.stuck]
echelon1 = { models = ["p-stuck"] }
[llms.polling_pools.pool]
task_groups = ["chat"]
[llms.polling_pools.cached]
task_groups = ["chat"]
cache = { enabled = true }
[llms.wrappers.front]
type = "pool"
default_config = { pool_name = "pool" }
performance = { max_concurrent_requests = 8, queue_size = 8 }
`

const input = (metadata: LlmRequest.Metadata): LlmRequest.Input => ({
  prompt: [
    { role: "system", content: `${planted.prompt} is the system's` },
    { role: "user", content: `${planted.prompt} ${planted.key}` }
  ],
  tools: [{ name: "f", description: planted.prompt, parameters: { type: "object", description: planted.prompt } }],
  settings: { temperature: 0.5, stop: [planted.prompt] },
  providerOptions: { openai: { user: planted.prompt } },
  metadata: { tenant, sessionId: planted.prompt, tags: [planted.prompt], ...metadata }
})
const ask = (metadata: LlmRequest.Metadata) => Orchestrator.generate(input(metadata))
const read = (metadata: LlmRequest.Metadata) => Stream.runDrain(Orchestrator.stream(input(metadata)))
const leave = (metadata: LlmRequest.Metadata) =>
  Stream.runDrain(Stream.takeUntil(Orchestrator.stream(input(metadata)), ({ type }) => type === "text-delta")).pipe(
    Effect.andThen(Effect.fail("Left" as const))
  )

type Asked = Effect.Effect<unknown, LlmError.LlmError | "Left", Echelon.Services>
/** A round of requests: eleven. */
const round: ReadonlyArray<Asked> = [
  ask({ wrapperName: "front" }),
  read({ wrapperName: "front" }),
  ask({ poolName: "pool" }),
  ask({ groupName: "flaky" }),
  read({ groupName: "flaky" }),
  ask({ groupName: "denied" }),
  read({ poolName: `no pool ${planted.prompt}` }),
  ask({ provider: "p", model: "m" }),
  leave({ groupName: "stalled" }),
  ask({ groupName: "stuck", timeout: "40 millis" }),
  ask({ poolName: "cached" })
]

const sum = (all: ReadonlyArray<{ readonly value?: number | undefined }>) =>
  all.reduce((total, { value = 0 }) => total + value, 0)
const tally = (all: ReadonlyArray<unknown>): Readonly<Record<string, number>> => {
  const counts: Record<string, number> = {}
  for (const one of all) counts[String(one)] = (counts[String(one)] ?? 0) + 1
  return counts
}

it.live(
  "fifty requests, a reload and a shutdown: every output counts the same, and none holds what was planted",
  () =>
    Effect.gen(function* () {
      const server = yield* FaultServer.make({ script })
      const watched = yield* Watched.make
      yield* watched.write(tree(server.url))
      const scope = yield* Scope.fork(yield* Effect.scope)
      const context = yield* Layer.buildWithScope(watched.layer, scope)
      const { registry } = Context.get(context, Interpreter.Interpreter)
      const outcomes: Array<string> = []
      const run = (one: Asked) =>
        Effect.provideContext(Effect.exit(one), context).pipe(
          Effect.tap((exit) => Effect.sync(() => void outcomes.push(exit._tag)))
        )
      const reloaded = (outcome: string) =>
        Effect.callback<void>((resume) => {
          const unlisten = registry.listen((change) => {
            if (change._tag === "Reload" && change.outcome === outcome) resume(Effect.void)
          })
          return Effect.sync(unlisten)
        })

      for (const _ of [1, 2]) yield* Effect.forEach(round, run, { discard: true })
      const applied = yield* Effect.forkScoped(reloaded("applied"), { startImmediately: true })
      yield* watched.write(tree(server.url, 2))
      yield* Fiber.join(applied)
      const rejected = yield* Effect.forkScoped(reloaded("rejected"), { startImmediately: true })
      yield* Effect.promise(() =>
        appendFile(
          join(watched.folder, "global.toml"),
          `[llms.provider.q]
kind = "nobody" # ${planted.file}
api_key = ["${planted.key}", "${planted.file}"]
headers = { x-team = ["${planted.file}"] }
system_prompt = "${planted.prompt} ${planted.file}"
`
        )
      )
      yield* Fiber.join(rejected)
      for (const _ of [1, 2]) yield* Effect.forEach(round, run, { concurrency: 4, discard: true })
      expect(outcomes.length).toBe(44)
      // Its first notification comes from a fiber of its own.
      yield* watched.hook.until(() => String(watched.hook.posts.map(({ body }) => body)).includes("reload_rejected"))

      const port = /metrics for Prometheus at (http:[^\s"]+)/.exec(watched.log.join("\n"))?.[1] ?? ""
      const page = yield* Effect.promise(async () => (await fetch(port)).text())
      const families = PrometheusText.parse(page)
      const counted = families.get(MetricNames.prometheus("echelon.requests"))?.samples ?? []
      expect(sum(counted)).toBe(44)
      expect(new Set(counted.map(({ labels }) => labels["echelon_tenant"]))).toEqual(new Set([tenant]))

      // What runs while all ends: four that come to their end within the grace, two that do not.
      const late = [...Array.from({ length: 4 }, () => read({ groupName: "slow" })), ask({ groupName: "stuck" })]
      const last = [...late, read({ groupName: "stuck" })]
      const fibers = yield* Effect.forEach(last, (one) => Effect.forkScoped(run(one)))
      yield* server.waitFor((one) => one.open() === last.length)
      const state = Effect.gen(function* () {
        const services = {
          control: yield* (yield* Control.Control).snapshot,
          health: yield* (yield* HealthChecker.HealthChecker).statuses,
          providers: yield* (yield* HealthChecker.HealthChecker).providers,
          metrics: yield* (yield* Metrics.MetricsCollector).snapshot,
          budgets: yield* (yield* SpendGuard.SpendGuard).status,
          usage: yield* (yield* UsageMeter.UsageMeter).read({ by: UsageRecord.dimensions }),
          alerts: yield* (yield* Alerting.AlertingService).firing,
          history: yield* (yield* Alerting.AlertingService).history,
          deliveries: yield* (yield* Alerting.AlertingService).deliveries
        }
        return JSON.stringify(services)
      })
      const snapshots = yield* Effect.provideContext(state, context)
      expect(snapshots).toContain("credential_rejected")
      yield* Scope.close(scope, Exit.void)
      yield* Effect.forEach(fibers, Fiber.join)

      const { files, outputs, posts, records, requests, spans, usage } = yield* Watched.gather(watched)
      // The plants are real: they went where they belong.
      const sent = JSON.stringify(server.requests())
      for (const text of [planted.key, planted.header, planted.prompt]) expect(sent).toContain(text)
      expect(watched.traces.posts[0]?.headers["x-team"]).toBe(planted.collector)
      expect(posts[0]?.headers["x-team"]).toBe(planted.collector)
      expect(watched.hook.posts[0]?.headers["x-team"]).toBe(planted.hook)
      expect(watched.hook.posts[0]?.path).toContain(planted.hook)
      expect(Watched.found({ sent })).toContain("prompt in sent")
      expect(Watched.found({ ...outputs, page, snapshots })).toEqual([])
      for (const output of Object.values(outputs)) expect(output.length).toBeGreaterThan(0)
      expect(Object.keys(files).sort()).toContain("usage.sqlite")

      // All of them, by how they ended.
      expect(outcomes.length).toBe(50)
      const ends = tally(records.map(({ outcome }) => outcome))
      expect(records.length).toBe(50)
      expect(ends["cancelled"]).toBe(4)
      expect(ends["failed"]).toBeGreaterThan(12)
      expect(tally(requests.map((fields) => fields["echelon.outcome"]))).toEqual(ends)
      const roots = spans.filter(({ parentSpanId }) => parentSpanId === undefined)
      expect(tally(roots.map(({ attributes }) => attributes["echelon.outcome"]))).toEqual(ends)
      const points = (name: string) => posts.at(-1)?.metrics.find((metric) => metric.name === name)?.points ?? []
      const measured: Record<string, number> = {}
      for (const { labels, value = 0 } of points("echelon.requests"))
        measured[String(labels["echelon.outcome"])] = (measured[String(labels["echelon.outcome"])] ?? 0) + value
      expect(measured).toEqual(ends)
      const totals = UsageRecord.zero()
      for (const { counters } of usage) UsageRecord.add(totals, counters)
      const { cancelled, failed } = totals
      expect({ completed: totals.requests - failed - cancelled, failed, cancelled }).toEqual(ends)
      for (const tenants of [
        usage.map(({ key }) => key.tenant),
        records.map((record) => record.tenant),
        requests.map((fields) => fields["echelon.tenant"])
      ])
        expect(new Set(tenants)).toEqual(new Set([clean]))
      expect(watched.log.filter((line) => ["\u001b", "\r", "\nrequest"].some((text) => line.includes(text)))).toEqual(
        []
      )
      expect(tally(requests.map((fields) => fields["echelon.reason"]))).toEqual(tally(records.map((one) => one.reason)))

      // And all attempts, with what they used.
      const attempts = records.flatMap((record) => record.attempts)
      const calls = attempts.filter(({ kind }) => kind === "call")
      expect(spans.length - roots.length).toBe(attempts.length)
      expect(sum(points("echelon.attempts"))).toBe(attempts.length)
      expect(sum(points("echelon.attempts.ended"))).toBe(attempts.length)
      expect(totals.attempts).toBe(calls.length)
      expect(requests.reduce((all, fields) => all + Number(fields["echelon.attempts"]), 0)).toBe(calls.length)
      const tokens = (type: string) =>
        sum(points("echelon.tokens").filter(({ labels }) => labels["echelon.token.type"] === type))
      const used = (key: "inputTokens" | "outputTokens") => calls.reduce((all, one) => all + (one[key] ?? 0), 0)
      expect([tokens("input"), tokens("output")]).toEqual([used("inputTokens"), used("outputTokens")])
      expect([totals.inputTokens, totals.outputTokens]).toEqual([used("inputTokens"), used("outputTokens")])
      expect(used("outputTokens")).toBeGreaterThan(0)
      const cost = UsageRecord.toUsd(UsageRecord.cost(totals))
      expect(sum(points("echelon.cost.usd"))).toBeCloseTo(cost, 9)
      expect(records.reduce((all, record) => all + (record.cost ?? 0), 0)).toBeCloseTo(cost, 9)

      // Nothing was lost.
      expect(points("echelon.telemetry.lost")).toEqual([])
      expect(watched.log.filter((line) => /lost/.test(line))).toEqual([])
      expect(watched.traces.posts.every(({ path }) => path === "/v1/traces")).toBe(true)
    }),
  60_000
)

it.live.each([undefined, ...Watched.sections])(
  "with [%s] switched off nothing of it is there, and all else is",
  (off) =>
    Effect.gen(function* () {
      const server = yield* FaultServer.make({ script })
      const watched = yield* Watched.make
      yield* watched.write(tree(server.url), off)
      yield* Effect.gen(function* () {
        yield* ask({ poolName: "pool" })
        yield* Effect.exit(ask({ groupName: "denied" }))
        yield* read({ poolName: "pool" })
        if (off !== "alerts") yield* watched.hook.until(() => watched.hook.posts.length > 0)
        expect((yield* (yield* TracingExport.TracingExport).stats).queued > 0).toBe(off !== "tracing")
        expect((yield* (yield* RequestLog.RequestLog).stats).written > 0).toBe(off !== "logging")
        expect((yield* (yield* RouteFile.RouteFile).stats).waiting > 0).toBe(off !== "logging")
      }).pipe(Effect.provide(watched.layer))
      const { files, outputs, posts, records, requests, spans, usage } = yield* Watched.gather(watched)
      const counts = {
        metrics: sum(posts.at(-1)?.metrics.find(({ name }) => name === "echelon.requests")?.points ?? []),
        prometheus: /metrics for Prometheus/.test(outputs.log),
        tracing: spans.filter(({ parentSpanId }) => parentSpanId === undefined).length,
        usage: usage.reduce((all, { counters }) => all + counters.requests, 0),
        logging: [requests.length, records.length],
        alerts: watched.hook.posts.length > 0
      }
      const nothing = { metrics: 0, tracing: 0, usage: 0, logging: [0, 0], alerts: false }
      const all = { metrics: 3, prometheus: true, tracing: 3, usage: 3, logging: [3, 3], alerts: true }
      expect(counts).toEqual({
        ...all,
        ...(off === undefined ? {} : { [off]: nothing[off] }),
        ...(off === "metrics" ? { prometheus: false } : {})
      })
      const has = (name: string) => Object.keys(files).some((file) => file.startsWith(name))
      expect([has("usage.sqlite"), has("routes.jsonl")]).toEqual([off !== "usage", off !== "logging"])
      if (off === "metrics") expect(posts.length).toBe(0)
      if (off === "tracing") expect(watched.traces.posts.length).toBe(0)
      expect(Watched.found(outputs)).toEqual([])
    })
)

/** Names as Prometheus has them, with what a histogram adds. */
const exposed = new Set(
  MetricNames.names.flatMap((name) => {
    const base = MetricNames.prometheus(name)
    return MetricNames.catalogue[name].kind === "histogram"
      ? ["_bucket", "_sum", "_count"].map((end) => base + end)
      : [base]
  })
)
const labels = new Set(Object.keys(MetricNames.labels).map((name) => name.replaceAll(".", "_")))

it("the page for the person on call names only metrics, labels, fields and texts that are there, and every alert", async () => {
  const page = await readFile(new URL("../../../docs/what-to-watch.md", import.meta.url), "utf8")
  const names = [...page.matchAll(/\b(?:echelon|gen_ai)_[a-z0-9_]+/g)].map(([name]) => name)
  expect(names.filter((name) => !exposed.has(name) && !labels.has(name))).toEqual([])
  expect(new Set(names.filter((name) => exposed.has(name))).size).toBeGreaterThan(20)

  const dotted = [...page.matchAll(/`((?:echelon|gen_ai)\.[a-z0-9_.]+)/g)].map(([, name = ""]) => name)
  const known = {
    ...MetricNames.catalogue,
    ...MetricNames.labels,
    ...LogFields.fields,
    "echelon.request.id": "a span's"
  }
  expect(dotted.filter((name) => !(name in known))).toEqual([])
  const panels =
    /```promql\n([\s\S]*?)```/
      .exec(page)?.[1]
      ?.split("\n")
      .filter((line) => !/^(#|$)/.test(line)) ?? []
  const wrong = panels.flatMap((line) => {
    const words = [...line.matchAll(/[a-z][a-z0-9_]+(?==|!=|,|\)|\{| )?/g)].map(([word]) => word)
    const may = new Set(
      MetricNames.names
        .filter((name) => words.some((word) => word.startsWith(MetricNames.prometheus(name))))
        .flatMap((name) => MetricNames.catalogue[name].labels.map((label) => label.replaceAll(".", "_")))
    )
    return words.filter((word) => labels.has(word) && !exposed.has(word) && !may.has(word)).map((word) => [word, line])
  })
  expect(wrong).toEqual([])
  expect(panels.length).toBeGreaterThan(30)
  expect(AlertRule.names.filter((name) => !page.includes(`\`${name}\``))).toEqual([])
  const texts = Object.values(LogFields.events).flatMap(({ messages }): ReadonlyArray<string> => messages)
  for (const text of [
    "request failed",
    "provider down",
    "breaker open",
    "instance cools down",
    "budget reached a mark"
  ])
    expect([texts.includes(text), page.includes(`\`${text}\``)]).toEqual([true, true])
})
