/** What accounting costs a request, and how many finished requests a second it keeps up with. */
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Interpreter, type Observation, Orchestrator, type Plan, Plans, type Route } from "@echelon/core"
import * as SpendGuard from "@echelon/core/SpendGuard"
import * as UsageMeter from "@echelon/core/UsageMeter"
import * as UsageStore from "@echelon/operations/UsageStore"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import { compare, micros, table, timed, times } from "./harness.ts"
import * as Watched from "./stacks/watched.ts"

const folder = () => mkdtempSync(join(tmpdir(), "echelon-bench-usage-"))

const provider = Plans.provider({ name: "p", kind: "bench" })
const model = Plans.model({ model: "m", prices: { input: 1, output: 2 } })

const planOf = (usage: Partial<Plan.Accounting>): Plan.Root => ({
  ...Plans.root({
    instances: [Plans.instance({ provider, alias: "m", model })],
    groups: [Plans.group("group", [Plans.echelon("group", 1, ["p-m"])])],
    pools: [Plans.pool("pool", ["group"])],
    wrappers: [Plans.wrapper("wrapper", { kind: "pool", name: "pool" }, { maxConcurrentRequests: 1_000 })]
  }),
  usage: Plans.usage(usage)
})

/** A pool behind a wrapper, with accounting as the settings say. */
const stack = async (usage: Partial<Plan.Accounting>, listens = false) => {
  const plan = planOf(usage)
  const services = Layer.mergeAll(
    Orchestrator.layer,
    Watched.listening(listens),
    UsageMeter.UsageMeter.layerObserving,
    SpendGuard.SpendGuard.layer
  ).pipe(
    Layer.provideMerge(Layer.provide(Interpreter.Interpreter.layer(plan), Watched.provided)),
    Layer.provideMerge(UsageStore.layer(plan.usage))
  )
  const runtime = ManagedRuntime.make(services)
  const context = await runtime.context()
  const ask = Context.get(context, Orchestrator.Orchestrator).generate({
    prompt: "Why is the sky blue?",
    metadata: { wrapperName: "wrapper", tenant: "acme" }
  })
  return {
    repeat: (iterations: number) =>
      Effect.runPromiseWith(context)(
        Effect.gen(function* () {
          for (let i = 0; i < iterations; i++) yield* ask
        })
      ),
    dispose: () => runtime.dispose()
  }
}

const perRequest = async (at: string): Promise<void> => {
  const budgets: ReadonlyArray<Plan.SpendBudget> = (["tenant", "wrapper", "pool"] as const).map((scope) => ({
    scope,
    name: "*",
    period: "month",
    limit: 1e9,
    unpriced: "allow"
  }))
  const file = (name: string) => ({ store: "sqlite", path: join(at, `${name}.sqlite`) }) as const
  const stacks = [
    ["off", await stack({ enabled: false })],
    ["off, somebody else listens", await stack({ enabled: false }, true)],
    ["in memory", await stack({})],
    ["in SQLite", await stack(file("accounting"))],
    ["in SQLite, with three budgets", await stack({ ...file("budgets"), budgets })]
  ] as const
  const measured = await compare(
    stacks.map(([name, { repeat }]) => ({ name, run: (iterations) => timed(() => repeat(iterations)) })),
    { iterations: 1_000, rounds: 30, warmup: 6 }
  )
  for (const [, { dispose }] of stacks) await dispose()
  table(
    "Accounting, per request",
    ["", "us", "to off"],
    measured.map(({ micros: each, name, ratio }) => [name, micros(each), times(ratio)]),
    ["The first observer costs what telling of requests costs; accounting is what comes above that."]
  )
}

/** Finished requests of so many tenants and instances, as the meter hears of them. */
const finished = (tenants: number, instances: number) =>
  Array.from({ length: tenants * instances }, (_, i) => {
    const now = Date.now()
    const attempt = {
      kind: "call",
      instance: `p-m${i % instances}`,
      model: "m",
      echelon: "group.echelon1",
      provider: { name: "p", kind: "bench" },
      outcome: "completed",
      startedAt: now,
      endedAt: now,
      cost: 0.000_123,
      usage: { inputTokens: 100, outputTokens: 50, source: "reported" }
    }
    const observation = {
      wrapper: "wrapper",
      pool: "pool",
      tenant: `tenant-${Math.floor(i / instances)}`,
      startedAt: now,
      endedAt: now,
      outcome: "completed",
      attempts: [attempt]
    }
    // Only what the meter reads.
    return { observation: observation as unknown as Observation.Observation, attempt: attempt as unknown as Route.Open }
  })

const seconds = 3

/** Hears so many requests a second, or as many as can be, for some seconds; gives what became of them. */
const keepUp = (at: string, name: string, tenants: number, perSecond: number) =>
  Effect.scoped(
    Effect.gen(function* () {
      const meter = yield* UsageMeter.UsageMeter
      const all = finished(tenants, 10)
      const slice = 10
      let told = 0
      let mostUnwritten = 0
      const from = performance.now()
      const cpu = process.threadCpuUsage()
      while (performance.now() - from < seconds * 1_000) {
        const due =
          perSecond === Number.POSITIVE_INFINITY
            ? told + 2_000
            : Math.floor(((performance.now() - from) * perSecond) / 1_000)
        for (; told < due; told++) {
          const { attempt, observation } = all[told % all.length] ?? all[0] ?? never()
          meter.observer.onAttemptEnd?.(observation, attempt)
          meter.observer.onEnd?.(observation)
        }
        mostUnwritten = Math.max(mostUnwritten, (yield* meter.stats).unwritten)
        yield* perSecond === Number.POSITIVE_INFINITY
          ? Effect.promise(() => new Promise(setImmediate))
          : Effect.sleep(slice)
      }
      const elapsed = performance.now() - from
      const used = process.threadCpuUsage(cpu)
      const { unwritten } = yield* meter.stats
      yield* meter.flush
      const drained = performance.now() - from - elapsed
      const [sum] = yield* meter.read({ by: [] })
      if (sum?.counters.requests !== told) throw new Error(`told ${told}, written ${sum?.counters.requests}`)
      return [
        name,
        Math.round((told / elapsed) * 1_000).toLocaleString("en-US"),
        ((used.user + used.system) / told).toFixed(2),
        mostUnwritten.toLocaleString("en-US"),
        `${drained.toFixed(0)} (${unwritten.toLocaleString("en-US")})`
      ]
    })
  ).pipe(
    Effect.provide(
      UsageStore.layer(Plans.usage({ store: "sqlite", path: join(at, `${name.replaceAll(/\W/g, "")}.sqlite`) }))
    )
  )

const never = (): never => {
  throw new Error("there is nothing to tell")
}

export const usage = async (): Promise<void> => {
  const at = folder()
  await perRequest(at)
  const rows = [
    await Effect.runPromise(keepUp(at, "20,000 a second, 10 tenants", 10, 20_000)),
    await Effect.runPromise(keepUp(at, "20,000 a second, 1,000 tenants", 1_000, 20_000)),
    await Effect.runPromise(keepUp(at, "as many as can be, 1,000 tenants", 1_000, Number.POSITIVE_INFINITY))
  ]
  rmSync(at, { recursive: true, force: true })
  table(
    `Finished requests, written to SQLite, for ${seconds} s`,
    ["10 instances", "a second", "us of this thread each", "most unwritten", "ms to write the rest"],
    rows,
    ["Every request that was told was found in the file. SQLite runs in a thread of its own."]
  )
}
