import * as Interpreter from "@echelon/core/Interpreter"
import * as LlmError from "@echelon/core/LlmError"
import * as Orchestrator from "@echelon/core/Orchestrator"
import type * as Plan from "@echelon/core/Plan"
import * as Plans from "@echelon/core/Plans"
import * as UsageLedger from "@echelon/core/UsageLedger"
import * as UsageLedgerMemory from "@echelon/core/UsageLedgerMemory"
import * as UsageMeter from "@echelon/core/UsageMeter"
import type * as UsageRecord from "@echelon/core/UsageRecord"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import * as plans from "./support/plans.ts"

const openai = plans.provider("openai")
const other = plans.provider("other")
const planned: Plan.Root = plans.root({
  instances: [plans.instance("a", openai), plans.instance("b", other)],
  groups: [plans.group("chat", [plans.echelon("chat", 1, ["a"]), plans.echelon("chat", 2, ["b"])])],
  pools: [plans.pool("pool", ["chat"], { rotation: "priority" })],
  wrappers: [plans.wrapper("w", { kind: "pool", name: "pool" })]
})

/** A ledger whose writes can be made to fail or hang, and which remembers batches. */
const scripted = () => {
  const batches: Array<UsageLedger.Batch> = []
  const state = { fails: false, hangs: false, isEnded: false, renewed: 0, pruned: [] as Array<string> }
  const failure = new UsageLedger.UsageLedgerError({ store: "sqlite", operation: "write", detail: "no room" })
  const layer = Layer.effect(
    UsageLedger.UsageLedger,
    Effect.gen(function* () {
      const inner = yield* UsageLedger.UsageLedger
      return UsageLedger.UsageLedger.of({
        ...inner,
        store: "sqlite",
        prune: (day) => Effect.sync(() => void state.pruned.push(day)),
        writer: (lease) =>
          Effect.map(inner.writer(lease), (writer) => ({
            ...writer,
            renew: Effect.sync(() => {
              state.renewed += 1
            }),
            end: Effect.sync(() => {
              state.isEnded = true
            }),
            write: (batch) =>
              Effect.suspend(() => {
                if (state.hangs) return Effect.never
                batches.push(batch)
                return state.fails ? Effect.fail(failure) : writer.write(batch)
              })
          }))
      })
    })
  )
  return { batches, state, layer: Layer.provide(layer, UsageLedgerMemory.layer()) }
}

const run = <A, E>(
  effect: Effect.Effect<A, E, Orchestrator.Services | Interpreter.Interpreter | UsageMeter.UsageMeter>,
  options: {
    readonly scripts?: Readonly<Record<string, ScriptedLlm.Options["script"]>>
    readonly usage?: Partial<Plan.Accounting>
    readonly ledger?: Layer.Layer<UsageLedger.UsageLedger>
    readonly root?: Plan.Root
  } = {}
) => {
  const usage = Plans.usage(options.usage)
  const interpreter = Interpreter.Interpreter.layer({ ...(options.root ?? planned), usage })
  return Effect.provide(
    effect,
    Layer.mergeAll(Orchestrator.layer, UsageMeter.UsageMeter.layerObserving).pipe(
      Layer.provideMerge(Layer.provide(interpreter, plans.scripts(options.scripts ?? {}).layer)),
      Layer.provideMerge(UsageMeter.UsageMeter.layer(usage)),
      Layer.provide(options.ledger ?? UsageLedgerMemory.layer())
    )
  )
}
const ask = (tenant?: string) =>
  Orchestrator.generate({ prompt: "a very secret prompt", metadata: { wrapperName: "w", tenant } })
const counts = ({ counters }: UsageRecord.Sum) =>
  Object.fromEntries(Object.entries(counters).filter(([, n]) => n !== 0))
const read = (...by: ReadonlyArray<UsageRecord.Grouping>) =>
  Effect.flatMap(UsageMeter.UsageMeter, (meter) => meter.read({ by }))

it.effect("a request is counted by day, tenant, wrapper, pool, group, provider, instance and model", () =>
  run(
    Effect.gen(function* () {
      const answer = yield* ask("acme")
      const [row, ...others] = yield* read("day", "tenant", "wrapper", "pool", "group", "provider", "instance", "model")
      expect(others).toEqual([])
      expect(row?.key).toEqual({
        day: "2026-03-01",
        tenant: "acme",
        wrapper: "w",
        pool: "pool",
        group: "chat",
        provider: "openai",
        instance: "a",
        model: "wire-a"
      })
      const { inputTokens = 0, outputTokens = 0 } = answer.usage
      expect(row && counts(row)).toMatchObject({ requests: 1, attempts: 1, reported: 1, inputTokens, outputTokens })
    })
  ).pipe((all) => Effect.andThen(TestClock.setTime(Date.parse("2026-03-01T12:00:00Z")), all))
)

it.effect("failed and cancelled attempts that used something are counted beside the one that answered", () =>
  run(
    Effect.gen(function* () {
      yield* ask("acme")
      const fiber = yield* Effect.forkChild(ask("slow"), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      const rows = yield* read("instance", "tenant")
      expect(rows.map((row) => [row.key.instance, row.key.tenant, counts(row)])).toMatchObject([
        ["a", "acme", { attempts: 1, failedAttempts: 1, estimated: 1 }],
        ["a", "slow", { requests: 1, cancelled: 1, attempts: 1, estimated: 1 }],
        ["b", "acme", { requests: 1, attempts: 1, reported: 1 }]
      ])
      expect(rows[0]?.counters.requests).toBe(0)
      expect(rows[1]?.counters.inputTokens).toBeGreaterThan(0)
    }),
    {
      scripts: {
        a: (calls) =>
          calls === 1
            ? [ScriptedLlm.wait("1 second"), ...ScriptedLlm.text("slow")]
            : [
                ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "begun" }),
                ScriptedLlm.fail({ _tag: "ProviderError" })
              ]
      }
    }
  )
)

it.effect("a request that asks nobody is counted as failed", () =>
  run(
    Effect.gen(function* () {
      yield* Effect.exit(Orchestrator.generate({ prompt: "hi", metadata: { poolName: "none" } }))
      const [row] = yield* read("pool", "instance")
      expect(row && [row.key, counts(row)]).toEqual([
        { pool: "", instance: "" },
        { requests: 1, failed: 1 }
      ])
    })
  )
)

it.effect("batches are written when their time or their size is reached, not before", () => {
  const { batches, layer } = scripted()
  return run(
    Effect.gen(function* () {
      yield* ask()
      expect(batches).toHaveLength(0)
      yield* TestClock.adjust("999 millis")
      expect(batches).toHaveLength(0)
      yield* TestClock.adjust("1 millis")
      expect(batches).toHaveLength(1)
      for (let i = 0; i < 5; i++) yield* ask()
      yield* Effect.yieldNow
      yield* TestClock.adjust(0)
      expect(batches).toHaveLength(2)
      expect(batches.map(({ seq }) => seq)).toEqual([1, 2])
      expect(batches[1]?.rows[0]?.counters.requests).toBe(5)
    }),
    { ledger: layer, usage: { batchSize: 5 } }
  )
})

it.effect("a store that fails loses nothing: the same batch is written again, and what came since after it", () => {
  const { batches, layer, state } = scripted()
  return run(
    Effect.gen(function* () {
      const meter = yield* UsageMeter.UsageMeter
      state.fails = true
      yield* ask("one")
      yield* TestClock.adjust("1 second")
      yield* ask("two")
      yield* TestClock.adjust("2 seconds")
      expect(batches.every((batch) => batch === batches[0])).toBe(true)
      expect(batches.length).toBeGreaterThan(1)
      expect(yield* meter.stats).toMatchObject({ unwritten: 2, batches: 0 })
      state.fails = false
      yield* TestClock.adjust("1 minute")
      expect(yield* meter.stats).toMatchObject({ unwritten: 0, batches: 2 })
      expect((yield* read("tenant")).map(({ counters, key }) => [key.tenant, counters.requests])).toEqual([
        ["one", 1],
        ["two", 1]
      ])
    }),
    { ledger: layer }
  )
})

it.effect("a clean end writes everything, what ends while shutting down included", () => {
  const { batches, layer, state } = scripted()
  return Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(
      run(
        Effect.gen(function* () {
          yield* ask("before")
          yield* Effect.forkDetach(ask("during"), { startImmediately: true })
        }),
        {
          ledger: layer,
          scripts: {
            a: (calls) =>
              calls === 0 ? ScriptedLlm.text("quick") : [ScriptedLlm.wait("5 seconds"), ...ScriptedLlm.text("slow")]
          }
        }
      ),
      { startImmediately: true }
    )
    yield* TestClock.adjust("10 seconds")
    yield* Fiber.join(fiber)
    const all = batches.flatMap(({ rows }) =>
      rows.map(({ counters, key }) => [key.tenant, counters.requests, counters.cancelled])
    )
    expect(all.toSorted()).toEqual([
      ["before", 1, 0],
      ["during", 1, 0]
    ])
    expect(state.isEnded).toBe(true)
  })
})

it.effect("a store that hangs at the end does not keep the program, and what is lost is said", () => {
  const { layer, state } = scripted()
  const logged: Array<string> = []
  return Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(
      run(
        Effect.gen(function* () {
          yield* ask()
          state.hangs = true
        }),
        { ledger: layer }
      ),
      { startImmediately: true }
    )
    yield* TestClock.adjust("5 seconds")
    yield* Fiber.join(fiber)
    expect(logged.at(-1)).toContain("1 requests could not be written at the end and are lost")
    expect(state.isEnded).toBe(false)
  }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => void logged.push(String(message)))])))
})

it.effect("a reload switches it off and on; a plan that starts without stays without", () =>
  run(
    Effect.gen(function* () {
      const { registry, swap } = yield* Interpreter.Interpreter
      const root = { ...planned, usage: Plans.usage() }
      yield* ask()
      yield* swap({ ...root, usage: Plans.usage({ enabled: false }) })
      expect(registry.observers.isIdle()).toBe(true)
      yield* ask()
      yield* swap(root)
      yield* ask()
      expect((yield* read())[0]?.counters.requests).toBe(2)
    })
  )
)

it.effect("switched off, no request is observed", () =>
  run(
    Effect.gen(function* () {
      const { registry } = yield* Interpreter.Interpreter
      yield* ask()
      expect(registry.observers.isIdle()).toBe(true)
      expect(yield* read()).toEqual([])
    }),
    { usage: { enabled: false } }
  )
)

it.effect("it is heard of now and then while nothing is written, and forgets what is too old once a day", () => {
  const { layer, state } = scripted()
  return Effect.gen(function* () {
    yield* TestClock.setTime(Date.parse("2026-03-01T23:00:00Z"))
    yield* run(
      Effect.gen(function* () {
        yield* TestClock.adjust("50 seconds")
        expect(state.renewed).toBe(2)
        yield* TestClock.adjust("2 hours")
        expect(state.pruned).toEqual(["2026-01-30", "2026-01-31"])
      }),
      { ledger: layer, usage: { retentionDays: 30, flushInterval: 10_000 } }
    )
  })
})

it.effect("any number of tenants and of direct clients' models stays bounded, and is counted all the same", () =>
  run(
    Effect.gen(function* () {
      for (let i = 0; i < 40; i++) yield* ask(`t${i}`)
      for (let i = 0; i < 1_100; i++)
        yield* Orchestrator.generate({ prompt: "hi", metadata: { provider: "openai", model: `m${i}` } })
      const tenants = yield* read("tenant")
      expect(tenants).toHaveLength(12)
      expect(tenants.find(({ key }) => key.tenant === "(other)")?.counters.requests).toBe(30)
      const models = yield* read("model")
      expect(models).toHaveLength(1_002)
      const requests = models.map(({ counters, key }) => [key.model, counters.requests] as const)
      expect(Object.fromEntries(requests)).toMatchObject({ "(other)": 100, "wire-a": 40, m999: 1 })
    }),
    { usage: { maxTenants: 10 } }
  )
)

it.effect("nothing that was said, and no detail of an error, is in the books", () => {
  const { batches, layer } = scripted()
  const detail = "sk-a-planted-secret"
  return Effect.gen(function* () {
    yield* run(
      Effect.gen(function* () {
        const error = yield* Effect.flip(ask())
        expect(LlmError.isLlmError(error)).toBe(true)
      }),
      {
        ledger: layer,
        scripts: {
          a: () => [ScriptedLlm.fail(LlmError.make({ reason: { _tag: "Authentication" }, detail }))],
          b: () => [ScriptedLlm.fail(LlmError.make({ reason: { _tag: "InvalidRequest" }, detail }))]
        }
      }
    )
    expect(batches).toHaveLength(1)
    expect(JSON.stringify(batches)).not.toMatch(/secret/)
  })
})
