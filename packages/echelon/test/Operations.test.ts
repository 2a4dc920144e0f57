import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as MetricsSnapshot from "@echelon/core/MetricsSnapshot"
import { Echelon, HealthChecker, Metrics, Orchestrator, TracingExport } from "@echelon/echelon"
import { FaultServer } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"

const tree = (url: string) => `
[reload]
watch = false
[usage]
store = "memory"
[tracing.otlp]
endpoint = "${url}/nobody"
interval = 3600
[llms.provider.p]
kind = "openai"
base_url = "${url}/v1"
api_key = "sk-planted-p"
[llms.provider.p.models]
a = { model = "a" }
[llms.groups.chat]
echelon1 = { models = ["p-a"] }
`

const folder = (text: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const path = await mkdtemp(join(tmpdir(), "echelon-operations-"))
      await writeFile(join(path, "global.toml"), text)
      return path
    }),
    (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
  )

it.live("a request that runs when all closes is still told to who listens, with nothing exported", () =>
  Effect.gen(function* () {
    const server = yield* FaultServer.make({
      script: () => FaultServer.withSlowFirstToken(FaultServer.ok("hi"), "150 millis")
    })
    const routes = join(yield* folder(""), "routes.jsonl")
    const quiet = tree(server.url).replace(/\[tracing\.otlp\][^[]*/, `[logging.routes]\nfile = "${routes}"\n`)
    const config = yield* folder(quiet)
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(Echelon.layer({ config, variables: {}, logging: false }), scope)
    const asking = yield* Effect.forkChild(
      Effect.provideContext(
        Orchestrator.generate({ prompt: "hi", metadata: { groupName: "chat", requestId: "last" } }),
        context
      )
    )
    yield* Effect.repeat(Effect.sync(server.requests), { until: (requests) => requests.length > 0 })
    yield* Scope.close(scope, Exit.void)
    expect((yield* Fiber.join(asking)).text).toBe("hi")
    const lines = (yield* Effect.promise(() => readFile(routes, "utf8"))).trim().split("\n")
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([{ id: "last", outcome: "completed" }])
  })
)

it.live("spans that a collector does not take are counted as lost, and probes are counted too", () =>
  Effect.gen(function* () {
    const server = yield* FaultServer.make({
      script: ({ endpoint }) => (endpoint === "generate" ? FaultServer.ok("hi") : FaultServer.status(400))
    })
    const config = yield* folder(tree(server.url))
    yield* Effect.gen(function* () {
      yield* Orchestrator.generate({ prompt: "hi", metadata: { groupName: "chat" } })
      const checker = yield* HealthChecker.HealthChecker
      yield* checker.check("p-a")
      const { flush, stats } = yield* TracingExport.TracingExport
      yield* flush
      const { lost } = yield* stats
      expect(lost).toBe(2)
      const { metrics } = yield* (yield* Metrics.MetricsCollector).snapshot
      expect(MetricsSnapshot.sum(metrics["echelon.telemetry.lost"], { "echelon.kind": "span" })).toBe(lost)
      expect(MetricsSnapshot.sum(metrics["echelon.probes"], { "echelon.provider": "p" })).toBeGreaterThan(0)
    }).pipe(Effect.provide(Echelon.layer({ config, variables: {} })))
  })
)
