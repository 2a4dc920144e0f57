import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as MetricsSnapshot from "@echelon/core/MetricsSnapshot"
import { Echelon, HealthChecker, Metrics, Orchestrator, TracingExport } from "@echelon/echelon"
import { FaultServer } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"

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

it.live("spans that a collector does not take are counted as lost, and probes are counted too", () =>
  Effect.gen(function* () {
    const server = yield* FaultServer.make({
      script: ({ endpoint }) => (endpoint === "generate" ? FaultServer.ok("hi") : FaultServer.status(400))
    })
    const config = yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const path = await mkdtemp(join(tmpdir(), "echelon-operations-"))
        await writeFile(join(path, "global.toml"), tree(server.url))
        return path
      }),
      (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
    )
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
