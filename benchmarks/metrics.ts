/**
 * What metrics cost a request: switched off, with somebody who only listens, on, and with all labels new. And what
 * 100,000 sets of labels leave on the heap.
 */
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import { Interpreter, Orchestrator, type Plan, Plans } from "@echelon/core"
import * as Metrics from "@echelon/core/Metrics"
import * as MetricsExport from "@echelon/echelon/MetricsExport"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Metric from "effect/Metric"
import { compare, micros, table, timed, times } from "./harness.ts"
import * as Watched from "./stacks/watched.ts"

const provider = Plans.provider({ name: "p", kind: "bench" })
const model = Plans.model({ model: "m", prices: { input: 1, output: 2 } })

const planOf = (settings: Partial<Plan.Metrics>): Plan.Root => ({
  ...Plans.root({
    instances: [Plans.instance({ provider, alias: "m", model })],
    groups: [Plans.group("group", [Plans.echelon("group", 1, ["p-m"])])],
    pools: [Plans.pool("pool", ["group"])],
    wrappers: [Plans.wrapper("wrapper", { kind: "pool", name: "pool" }, { maxConcurrentRequests: 1_000 })]
  }),
  metrics: Plans.metrics(settings)
})

/** A pool behind a wrapper, with metrics as the settings say. */
const stack = async (settings: Partial<Plan.Metrics>, listens = false) => {
  const runtime = ManagedRuntime.make(
    Layer.mergeAll(Orchestrator.layer, Watched.listening(listens), Metrics.MetricsCollector.layer).pipe(
      Layer.provideMerge(Layer.provide(Interpreter.Interpreter.layer(planOf(settings)), Watched.provided)),
      Layer.provideMerge(Layer.succeed(Metric.MetricRegistry, new Map()))
    )
  )
  const context = await runtime.context()
  const { generate } = Context.get(context, Orchestrator.Orchestrator)
  const run = Effect.runPromiseWith(context)
  let served = 0
  return {
    run,
    repeat: (iterations: number, tenantOf: (served: number) => string) =>
      run(
        Effect.gen(function* () {
          for (let i = 0; i < iterations; i++) {
            const tenant = tenantOf(served++)
            yield* generate({ prompt: "Why is the sky blue?", metadata: { wrapperName: "wrapper", tenant } })
          }
        })
      )
  }
}

const heap = (): number => {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void
  collect()
  collect()
  return process.memoryUsage().heapUsed
}

export const metrics = async (): Promise<void> => {
  const same = () => "acme"
  const fresh = (served: number) => `tenant ${served}`
  const off = await stack({ enabled: false })
  const listening = await stack({ enabled: false }, true)
  const on = await stack({})
  const crowded = await stack({ tenantLabel: true })
  const measured = await compare(
    [
      { name: "metrics off", run: (n) => timed(() => off.repeat(n, same)) },
      { name: "somebody else listens", run: (n) => timed(() => listening.repeat(n, same)) },
      { name: "metrics on", run: (n) => timed(() => on.repeat(n, same)) },
      { name: "a tenant label that is new each time", run: (n) => timed(() => crowded.repeat(n, fresh)) }
    ],
    { iterations: 1_000, rounds: 30, warmup: 6 }
  )
  table(
    "What metrics cost a request",
    ["", "us", "to off"],
    measured.map(({ micros: each, name, ratio }) => [name, micros(each), times(ratio)])
  )

  const before = heap()
  const many = await stack({ tenantLabel: true })
  const rows: Array<ReadonlyArray<string>> = []
  const note = async (sets: number) => {
    const { text } = await many.run(Effect.map(MetricsExport.prometheus, (text) => ({ text })))
    const grown = (heap() - before) / 1e6
    rows.push([sets.toLocaleString("en"), grown.toFixed(1), text.split("\n").length.toLocaleString("en")])
  }
  let done = 0
  for (const sets of [1, 1_000, 10_000, 100_000]) {
    await many.repeat(sets - done, fresh)
    done = sets
    await note(sets)
  }
  table("Sets of labels that were seen, of which a metric keeps 1,000", ["", "MB on the heap", "lines of text"], rows)
}
