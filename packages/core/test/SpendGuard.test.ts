import * as AlertSettings from "@echelon/core/AlertSettings"
import * as Control from "@echelon/core/Control"
import * as InstanceFactory from "@echelon/core/InstanceFactory"
import * as Interpreter from "@echelon/core/Interpreter"
import type * as LlmRequest from "@echelon/core/LlmRequest"
import * as Orchestrator from "@echelon/core/Orchestrator"
import type * as Plan from "@echelon/core/Plan"
import * as Plans from "@echelon/core/Plans"
import * as SpendGuard from "@echelon/core/SpendGuard"
import type * as StateChange from "@echelon/core/StateChange"
import type * as Usage from "@echelon/core/Usage"
import * as UsageLedger from "@echelon/core/UsageLedger"
import * as UsageLedgerMemory from "@echelon/core/UsageLedgerMemory"
import * as UsageMeter from "@echelon/core/UsageMeter"
import * as UsageRecord from "@echelon/core/UsageRecord"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as plans from "./support/plans.ts"

const openai = plans.provider("openai")
/** A dollar a token, either way: what a text costs is what it is long. */
const prices: Usage.Prices = { input: 1_000_000, output: 1_000_000 }
const priced = (name: string, own: Usage.Prices | undefined) =>
  Plans.instance({ name, provider: openai, alias: name, model: Plans.model({ model: name, prices: own }) })
const root = (usage: Partial<Plan.Accounting>): Plan.Root => ({
  ...plans.root({
    instances: [priced("a", prices), priced("free", undefined)],
    groups: [
      plans.group("chat", [plans.echelon("chat", 1, ["a"])]),
      plans.group("mixed", [plans.echelon("mixed", 1, ["a", "free"])])
    ],
    pools: [plans.pool("pool", ["chat"]), plans.pool("mixed", ["mixed"], { rotation: "priority" })],
    wrappers: [
      plans.wrapper("w", { kind: "pool", name: "pool" }, { maxConcurrentRequests: 10, queueSize: 10 }),
      plans.wrapper("v", { kind: "pool", name: "pool" }),
      plans.wrapper("m", { kind: "pool", name: "mixed" })
    ]
  }),
  // Hours pass in these tests, and nothing is in a hurry to be written.
  usage: Plans.usage({ flushInterval: 3_600_000, ...usage })
})

const costs = (usd: number): ScriptedLlm.Script => ScriptedLlm.text("x", { inputTokens: usd, outputTokens: 0 })

type Needs = Orchestrator.Services | Interpreter.Interpreter | SpendGuard.SpendGuard | UsageMeter.UsageMeter

const run = <A, E>(
  effect: (told: ReadonlyArray<Extract<StateChange.StateChange, { _tag: "Spend" }>>) => Effect.Effect<A, E, Needs>,
  usage: Partial<Plan.Accounting>,
  options: {
    readonly script?: ScriptedLlm.Options["script"]
    readonly ledger?: Layer.Layer<UsageLedger.UsageLedger>
  } = {}
) => {
  const told: Array<Extract<StateChange.StateChange, { _tag: "Spend" }>> = []
  const planned = root(usage)
  const script = options.script ?? costs(4)
  const factory = Layer.succeed(InstanceFactory.InstanceFactory, {
    make: ({ model, name }) =>
      Effect.map(ScriptedLlm.make({ id: name, script, prices: model.prices }), ({ llm }) => ({
        llm,
        probe: Effect.succeed(Duration.zero)
      }))
  })
  const listening = Layer.effectDiscard(
    Effect.map(Interpreter.Interpreter, ({ registry }) =>
      registry.listen((change) => {
        if (change._tag === "Spend") told.push(change)
      })
    )
  )
  const all = Layer.mergeAll(
    Orchestrator.layer,
    UsageMeter.UsageMeter.layerObserving,
    SpendGuard.SpendGuard.layer
  ).pipe(
    Layer.provideMerge(listening),
    Layer.provideMerge(
      Layer.provide(Interpreter.Interpreter.layer(planned), Layer.provideMerge(factory, plans.scripts({}).layer))
    ),
    Layer.provideMerge(UsageMeter.UsageMeter.layer(planned.usage)),
    Layer.provide(options.ledger ?? UsageLedgerMemory.layer())
  )
  return Effect.andThen(
    TestClock.setTime(Date.parse("2026-03-30T12:00:00Z")),
    Effect.provide(
      Effect.suspend(() => effect(told)),
      all
    )
  )
}

const budget = (options: Partial<Plan.SpendBudget> = {}): Plan.SpendBudget => ({
  scope: "tenant",
  name: "*",
  period: "day",
  limit: 10,
  unpriced: "allow",
  ...options
})
const ask = (metadata: LlmRequest.Metadata = { wrapperName: "w", tenant: "acme" }) =>
  Orchestrator.generate({ prompt: "hi", metadata, settings: { maxOutputTokens: 1 } })
const refusal = (metadata?: LlmRequest.Metadata) => Effect.flip(ask(metadata))
const status = Effect.flatMap(SpendGuard.SpendGuard, (guard) => guard.status)
const spent = Effect.map(status, (all) => all.map((one) => [one.scope, one.name, one.period, one.spent]))

it.effect("who has spent a budget is refused until it resets, others are not", () =>
  run(
    () =>
      Effect.gen(function* () {
        // 4, 8, 12: the last was let in with 2 left.
        yield* ask()
        yield* ask()
        yield* ask()
        const error = yield* refusal()
        const resetsAt = Date.parse("2026-03-31T00:00:00Z")
        expect(error.reason).toEqual({
          _tag: "BudgetExhausted",
          of: "spend",
          scope: "tenant",
          name: "acme",
          period: "day",
          resetsAt
        })
        expect(error.retryAt).toBe(resetsAt)
        expect(error.message).toBe(
          'budget exhausted (spend): the day\'s budget of tenant "acme", 10 USD, is used up; it resets at 2026-03-31T00:00:00.000Z'
        )
        yield* ask({ wrapperName: "w", tenant: "other" })
        yield* TestClock.adjust("12 hours")
        yield* ask()
        expect(yield* spent).toEqual([["tenant", "acme", "day", 4]])
      }),
    { budgets: [budget()] }
  )
)

it.effect("budgets of wrappers and pools, by day and month, each hold for themselves", () =>
  run(
    () =>
      Effect.gen(function* () {
        yield* ask()
        yield* ask()
        expect((yield* refusal()).reason).toMatchObject({ scope: "wrapper", name: "w", period: "month" })
        yield* ask({ wrapperName: "v" })
        expect((yield* refusal({ wrapperName: "v" })).reason).toMatchObject({
          scope: "pool",
          name: "pool",
          period: "day"
        })
        expect((yield* refusal({ poolName: "pool" })).reason).toMatchObject({ scope: "pool" })
        yield* ask({ groupName: "chat" })
        yield* TestClock.adjust("12 hours")
        expect((yield* refusal()).reason).toMatchObject({ scope: "wrapper" })
        yield* ask({ wrapperName: "v" })
        yield* TestClock.adjust("24 hours")
        yield* ask()
        expect(yield* spent).toEqual([
          ["wrapper", "w", "month", 4],
          ["pool", "pool", "day", 4]
        ])
      }),
    {
      budgets: [
        budget({ scope: "wrapper", name: "w", period: "month", limit: 8 }),
        budget({ scope: "pool", limit: 12 })
      ]
    }
  )
)

it.effect("what runs is reserved, so that many at once spend no more than one after another", () =>
  run(
    () =>
      Effect.gen(function* () {
        const all = yield* Effect.forEach(Array.from({ length: 10 }), () =>
          Effect.forkChild(Effect.exit(ask()), { startImmediately: true })
        )
        const [before] = yield* status
        expect(before?.reserved).toBeGreaterThan(10)
        expect(before?.spent).toBe(0)
        // Nothing is spent yet, so nothing is to be waited for until the day ends.
        const error = yield* refusal()
        expect(error.retryAt).toBeUndefined()
        expect(error.message).toMatch(
          /of the day's budget of tenant "acme", 10 USD, 0 USD are spent, and \d+ USD are reserved for requests that run/
        )
        yield* TestClock.adjust("1 second")
        const exits = yield* Fiber.joinAll(all)
        const answered = exits.filter((exit) => exit._tag === "Success").length
        // An estimate of each: 9 tokens of input, 1 of output.
        expect(answered).toBeLessThanOrEqual(2)
        expect(answered).toBeGreaterThan(0)
        const [after] = yield* status
        expect([after?.reserved, after?.spent]).toEqual([0, 4 * answered])
      }),
    { budgets: [budget()] },
    { script: [ScriptedLlm.wait("1 second"), ...costs(4)] }
  )
)

it.effect("whoever is refused, fails, is cancelled or finds the queue full gives back what was reserved", () =>
  run(
    () =>
      Effect.gen(function* () {
        const fiber = yield* Effect.forkChild(ask(), { startImmediately: true })
        yield* Fiber.interrupt(fiber)
        yield* Effect.exit(ask({ poolName: "none", tenant: "acme" }))
        for (const one of yield* status) expect(one.reserved).toBe(0)
        // What a cancelled call used is estimated, and charged.
        expect((yield* status)[0]?.spent).toBeGreaterThan(0)
      }),
    { budgets: [budget({ limit: 1_000 }), budget({ scope: "pool" })] },
    { script: [ScriptedLlm.wait("1 second"), ...costs(4)] }
  )
)

it.effect("a named budget stands for the one of each, and no tenant shares one", () =>
  run(
    () =>
      Effect.gen(function* () {
        yield* ask({ wrapperName: "w", tenant: "big" })
        yield* ask({ wrapperName: "w", tenant: "big" })
        yield* ask()
        expect((yield* refusal()).reason).toMatchObject({ name: "acme" })
        yield* ask({ wrapperName: "w" })
        expect((yield* refusal({ wrapperName: "v" })).reason).toMatchObject({ name: "(none)" })
      }),
    { budgets: [budget({ limit: 4 }), budget({ name: "big", limit: 100 })] }
  )
)

it.effect("each mark is told once a period, and its reset on time though nobody asks", () =>
  run(
    (told) =>
      Effect.gen(function* () {
        for (let i = 0; i < 3; i++) yield* ask()
        yield* Effect.exit(ask())
        expect(told.map(({ share, spent: usd }) => [share, usd])).toEqual([
          [0.5, 8],
          [0.8, 8],
          [1, 12]
        ])
        expect(told[0]).toMatchObject({
          scope: "tenant",
          name: "acme",
          period: "day",
          limit: 10,
          resetsAt: Date.parse("2026-03-31T00:00:00Z")
        })
        yield* TestClock.adjust("12 hours")
        expect(told.slice(3)).toMatchObject([{ share: 0, spent: 0, name: "acme" }])
        expect(yield* status).toEqual([])
        yield* TestClock.adjust("48 hours")
        expect(told).toHaveLength(4)
      }),
    { budgets: [budget()] }
  )
)

const filled = (rows: ReadonlyArray<readonly [day: string, tenant: string, usd: number]>) => {
  const memory = UsageLedgerMemory.layer()
  const write = Effect.gen(function* () {
    const ledger = yield* UsageLedger.UsageLedger
    const all = rows.map(
      ([day, tenant, usd]): UsageRecord.Row => ({
        key: { day, tenant, wrapper: "w", pool: "pool", group: "chat", provider: "openai", instance: "a", model: "a" },
        counters: { ...UsageRecord.zero(), costReported: UsageRecord.toNanos(usd) }
      })
    )
    const writer = yield* ledger.writer(1)
    yield* writer.write({ seq: 1, rows: all })
  }).pipe(Effect.orDie)
  return Layer.provideMerge(Layer.effectDiscard(write), memory)
}

it.effect("a start goes on where the ledger stands", () =>
  run(
    (told) =>
      Effect.gen(function* () {
        expect(told.map(({ name, share }) => [name, share])).toEqual([
          ["acme", 0.5],
          ["acme", 0.8]
        ])
        expect(yield* spent).toEqual([
          ["tenant", "acme", "month", 9],
          ["tenant", "other", "month", 1]
        ])
        yield* ask()
        expect((yield* refusal()).reason).toMatchObject({ name: "acme", period: "month" })
      }),
    { budgets: [budget({ period: "month" })] },
    {
      ledger: filled([
        ["2026-02-28", "acme", 100],
        ["2026-03-01", "acme", 4],
        ["2026-03-30", "acme", 5],
        ["2026-03-02", "other", 1]
      ])
    }
  )
)

it.effect("what another process wrote is heard of within half a minute", () => {
  let others = 0
  const shared = Layer.effect(
    UsageLedger.UsageLedger,
    Effect.map(UsageLedger.UsageLedger, (inner) =>
      UsageLedger.UsageLedger.of({
        ...inner,
        isShared: true,
        read: () =>
          Effect.sync(() => [
            { key: { tenant: "acme" }, counters: { ...UsageRecord.zero(), costReported: others * 1e9 } }
          ])
      })
    )
  ).pipe(Layer.provide(UsageLedgerMemory.layer()))
  return run(
    (told) =>
      Effect.gen(function* () {
        yield* ask()
        others = 11
        yield* TestClock.adjust("30 seconds")
        expect(told.map(({ share }) => share)).toEqual([0.5, 0.8, 1])
        expect((yield* refusal()).reason._tag).toBe("BudgetExhausted")
        // What is its own is not counted twice.
        expect((yield* status)[0]?.spent).toBe(11)
      }),
    { budgets: [budget()] },
    { ledger: shared }
  )
})

it.effect("what has no price is counted as unknown, or refused", () =>
  run(
    () =>
      Effect.gen(function* () {
        yield* ask({ groupName: "mixed", tenant: "lenient" })
        yield* ask({ groupName: "mixed", tenant: "lenient" })
        const lenient = (yield* status).find(({ name }) => name === "lenient")
        expect([lenient?.spent, lenient?.unknown]).toEqual([4, 1])
        const error = yield* refusal({ groupName: "mixed", tenant: "strict" })
        expect(error.reason).toMatchObject({ of: "unpriced", scope: "tenant", name: "strict" })
        expect(error.message).toContain('group "mixed" may ask an instance that has none')
        expect((yield* refusal({ wrapperName: "m", tenant: "strict" })).reason).toMatchObject({ of: "unpriced" })
        yield* ask({ wrapperName: "w", tenant: "strict" })
      }),
    { budgets: [budget(), budget({ name: "strict", unpriced: "refuse" })] }
  )
)

it.effect("an answer with a price and without usage is charged at its estimate", () =>
  run(
    () =>
      Effect.gen(function* () {
        yield* ask()
        const [one] = yield* status
        expect(one?.spent).toBeGreaterThan(0)
        expect(one?.unknown).toBe(0)
        const [row] = yield* Effect.flatMap(UsageMeter.UsageMeter, (meter) => meter.read({ by: [] }))
        expect([row?.counters.unknown, row?.counters.costReported]).toEqual([1, 0])
      }),
    { budgets: [budget({ limit: 1_000 })] },
    { script: ScriptedLlm.text("x", {}) }
  )
)

it.effect("a reload changes limits in place, and takes budgets away and brings them", () =>
  run(
    (told) =>
      Effect.gen(function* () {
        const { registry, swap } = yield* Interpreter.Interpreter
        yield* ask()
        yield* swap(root({ budgets: [budget({ limit: 4 })] }))
        expect(told.map(({ share }) => share)).toEqual([0.5, 0.8, 1])
        expect((yield* refusal()).reason._tag).toBe("BudgetExhausted")
        yield* swap(root({ budgets: [] }))
        expect(registry.observers.guards.size).toBe(0)
        yield* ask()
        yield* Effect.flatMap(UsageMeter.UsageMeter, (meter) => meter.flush)
        yield* swap(root({ budgets: [budget({ limit: 5, period: "month" })] }))
        yield* TestClock.adjust("1 millis")
        expect((yield* refusal()).reason).toMatchObject({ period: "month" })
      }),
    { budgets: [budget({ limit: 100 })] }
  )
)

it.effect("a budget that is raised or taken away by a reload takes back what was told", () =>
  run(
    (told) =>
      Effect.gen(function* () {
        const { swap } = yield* Interpreter.Interpreter
        yield* ask()
        yield* ask()
        const after = (limit: number, name = "*") =>
          Effect.map(swap(root({ budgets: [budget({ limit, name })] })), () => {
            const [last] = told.slice(-1)
            return [last?.share, last?.spent, last?.limit]
          })
        expect(yield* after(12)).toEqual([0.5, 8, 12])
        expect(yield* after(100)).toEqual([0, 8, 100])
        expect(yield* after(8)).toEqual([1, 8, 8])
        expect(yield* after(8, "other")).toEqual([0, 8, 8])
        yield* swap(root({ budgets: [budget({ limit: 8 })] }))
        yield* ask()
        yield* ask()
        expect(told.at(-1)?.share).toBe(1)
        yield* swap(root({ budgets: [] }))
        expect(told.at(-1)?.share).toBe(0)
      }),
    { budgets: [budget()] }
  )
)

it.effect("the thresholds of alerts are marks of budgets", () =>
  run(
    (told) =>
      Effect.gen(function* () {
        const { swap } = yield* Interpreter.Interpreter
        const alerts = AlertSettings.make({ rules: { budget_half: { threshold: 0.65 } } })
        yield* swap({ ...root({ budgets: [budget({ limit: 6 })] }), alerts })
        yield* ask()
        expect(told.map(({ share }) => share)).toEqual([0.5, 0.65])
      }),
    { budgets: [budget()] }
  )
)

it.effect("a request that does not limit its output reserves a moderate answer", () =>
  run(
    () =>
      Effect.gen(function* () {
        const metadata = { wrapperName: "w", tenant: "acme" }
        const asked = Orchestrator.generate({ prompt: "hi", metadata })
        const fiber = yield* Effect.forkChild(asked, { startImmediately: true })
        const [one] = yield* status
        yield* Fiber.interrupt(fiber)
        expect(one?.reserved).toBeGreaterThan(256)
        expect(one?.reserved).toBeLessThan(300)
      }),
    { budgets: [budget({ limit: 1_000 })] },
    { script: [ScriptedLlm.wait("1 second"), ...costs(4)] }
  )
)

it.effect("the ledger is asked once after a reload, not again and again", () => {
  let reads = 0
  const counting = Layer.effect(
    UsageLedger.UsageLedger,
    Effect.map(UsageLedger.UsageLedger, (inner) =>
      UsageLedger.UsageLedger.of({
        ...inner,
        read: (query) =>
          Effect.suspend(() => {
            reads += 1
            return inner.read(query)
          })
      })
    )
  ).pipe(Layer.provide(UsageLedgerMemory.layer()))
  return run(
    () =>
      Effect.gen(function* () {
        const { swap } = yield* Interpreter.Interpreter
        expect(reads).toBe(1)
        yield* swap(root({ budgets: [budget({ limit: 20 })] }))
        for (let i = 0; i < 100; i++) yield* TestClock.adjust("100 millis")
        expect(reads).toBe(2)
      }),
    { budgets: [budget()] },
    { ledger: counting }
  )
})

it.effect("tenants without end share a budget beyond the bound, and memory stays bounded", () =>
  run(
    () =>
      Effect.gen(function* () {
        for (let i = 0; i < 2; i++) yield* ask({ wrapperName: "w", tenant: `t${i}` })
        let refused = 0
        for (let i = 0; i < 50; i++) {
          const exit = yield* Effect.exit(ask({ wrapperName: "w", tenant: `x${i}` }))
          if (exit._tag === "Failure") refused += 1
        }
        expect(refused).toBe(47)
        expect((yield* status).map(({ name }) => name)).toEqual(["t0", "t1", "(other)"])
      }),
    { budgets: [budget()], maxTenants: 2 }
  )
)

it.effect("without a budget nobody is guarded", () =>
  run(
    () =>
      Effect.gen(function* () {
        const { registry } = yield* Interpreter.Interpreter
        expect(registry.observers.guards.size).toBe(0)
        yield* Control.Control
        expect(yield* status).toEqual([])
      }),
    {}
  )
)
