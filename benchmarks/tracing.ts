/** What traces cost a request: switched off, on without a tracer, not sampled, as spans alone, and exported. */
import { Worker } from "node:worker_threads"
import { Interpreter, Orchestrator, type Plan, Plans } from "@echelon/core"
import * as Tracing from "@echelon/core/Tracing"
import * as TracingExport from "@echelon/echelon/TracingExport"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Tracer from "effect/Tracer"
import { compare, micros, table, timed, times } from "./harness.ts"
import * as Watched from "./stacks/watched.ts"

/** Takes what comes, in a thread of its own. */
const collecting = `
const { parentPort } = require("node:worker_threads")
const server = require("node:http").createServer((request, response) => {
  request.on("data", () => {})
  request.on("end", () => response.end())
})
server.listen(0, "127.0.0.1", () => parentPort.postMessage(server.address().port))
`

const provider = Plans.provider({ name: "p", kind: "bench" })
const model = Plans.model({ model: "m", prices: { input: 1, output: 2 } })

const planOf = (tracing: Partial<Plan.Tracing>): Plan.Root => ({
  ...Plans.root({
    instances: [Plans.instance({ provider, alias: "m", model })],
    groups: [Plans.group("group", [Plans.echelon("group", 1, ["p-m"])])],
    pools: [Plans.pool("pool", ["group"])],
    wrappers: [Plans.wrapper("wrapper", { kind: "pool", name: "pool" }, { maxConcurrentRequests: 1_000 })]
  }),
  tracing: Plans.tracing(tracing)
})

interface Options {
  readonly tracing: Partial<Plan.Tracing>
  /** The program's own. */
  readonly tracer?: Tracer.Tracer
  readonly listens?: boolean
}

/** A pool behind a wrapper, with traces as the settings say. What is exported is sent before a round is over. */
const stack = async ({ listens, tracer = Tracer.nativeTracer, tracing }: Options) => {
  const runtime = ManagedRuntime.make(
    Layer.mergeAll(
      Orchestrator.layer,
      Tracing.layer,
      Watched.listening(listens === true),
      TracingExport.TracingExport.layerFollowing
    ).pipe(
      Layer.provideMerge(Layer.provide(Interpreter.Interpreter.layer(planOf(tracing)), Watched.provided)),
      Layer.provideMerge(TracingExport.TracingExport.layer)
    )
  )
  const context = await runtime.context()
  const { flush, stats } = Context.get(context, TracingExport.TracingExport)
  const ask = Context.get(context, Orchestrator.Orchestrator).generate({
    prompt: "Why is the sky blue?",
    metadata: { wrapperName: "wrapper", tenant: "acme" }
  })
  return {
    repeat: (iterations: number) =>
      Effect.runPromiseWith(context)(
        Effect.gen(function* () {
          for (let i = 0; i < iterations; i++) yield* ask
          yield* flush
        }).pipe(Effect.withTracer(tracer))
      ),
    lost: async () => (await Effect.runPromise(stats)).lost,
    dispose: () => runtime.dispose()
  }
}

export const tracing = async (): Promise<void> => {
  const worker = new Worker(collecting, { eval: true })
  const port = await new Promise<number>((resolve) => void worker.once("message", resolve))
  const otlp = (encoding: "json" | "protobuf") => ({
    endpoint: `http://127.0.0.1:${port}`,
    interval: 5_000,
    headers: {},
    encoding
  })
  const made = Tracer.make({ span: (options) => new Tracer.NativeSpan(options) })
  const stacks = [
    ["off", await stack({ tracing: { enabled: false } })],
    ["off, somebody else listens", await stack({ tracing: { enabled: false }, listens: true })],
    ["on, no tracer", await stack({ tracing: {} })],
    ["on, not sampled", await stack({ tracing: { sampleRatio: 0 }, tracer: made })],
    ["two spans", await stack({ tracing: {}, tracer: made })],
    ["two spans with content", await stack({ tracing: { content: true }, tracer: made })],
    ["two spans, exported as protobuf", await stack({ tracing: { otlp: otlp("protobuf") } })],
    ["two spans, exported as JSON", await stack({ tracing: { otlp: otlp("json") } })]
  ] as const
  const measured = await compare(
    stacks.map(([name, { repeat }]) => ({ name, run: (iterations) => timed(() => repeat(iterations)) })),
    { iterations: 1_000, rounds: 20, warmup: 4 }
  )
  let lost = 0
  for (const [, one] of stacks) {
    lost += await one.lost()
    await one.dispose()
  }
  await worker.terminate()
  table(
    "Traces, per request",
    ["", "us", "to off"],
    measured.map(({ micros: each, name, ratio }) => [name, micros(each), times(ratio)]),
    [
      "The first observer costs what telling of requests costs; traces are what comes above that.",
      `What is exported is encoded and sent within the time. ${lost} spans were lost.`
    ]
  )
}
