import {
  Control,
  Interpreter,
  LlmError,
  type LlmRequest,
  Orchestrator,
  type Plan,
  Plans,
  type StateChange
} from "@echelon/core"
import * as AlertChannel from "@echelon/core/AlertChannel"
import { AlertingService } from "@echelon/core/Alerting"
import * as AlertSettings from "@echelon/core/AlertSettings"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Latch, Layer, Logger, type Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as plans from "./support/plans.ts"

const openai = plans.provider("openai")
const breaker = { ...Plans.defaults.breaker, failureRate: undefined, slowCall: undefined, failureThreshold: 2 }

/** Settings under which everything is told to a channel that writes down what it is told. */
const settingsOf = (options: Parameters<typeof AlertSettings.make>[0] = {}): AlertSettings.Settings =>
  AlertSettings.make({
    groupWait: 0,
    channels: [{ type: "custom", kind: "book", name: "book", severity: "info", resolved: true }],
    ...options
  })

const planOf = (settings: AlertSettings.Settings, parts: Parameters<typeof plans.root>[0] = {}): Plan.Root => ({
  ...plans.root({
    instances: ["a", "b"].map((name) => plans.instance(name, openai)),
    groups: [plans.group("chat", [plans.echelon("chat", 1, ["a"]), plans.echelon("chat", 2, ["b"])], { breaker })],
    pools: [plans.pool("pool", ["chat"], { rotation: "priority" })],
    wrappers: [
      plans.wrapper("w", { kind: "pool", name: "pool" }, { maxConcurrentRequests: 1, queueSize: 5 }),
      plans.wrapper("quiet", { kind: "pool", name: "pool" }, { alerting: false })
    ],
    ...parts
  }),
  alerts: settings,
  shutdownGrace: 0
})

const lineOf = ({ firing, group, kind, resolved }: AlertChannel.Notification): string => {
  const names = (all: AlertChannel.Notification["firing"]) =>
    all.map(({ rule, subject }) => `${rule} ${subject.name}`).join(", ")
  return [
    kind === "alerts" ? group : kind,
    ...(firing.length > 0 ? [`FIRING ${names(firing)}`] : []),
    ...(resolved.length > 0 ? [`RESOLVED ${names(resolved)}`] : [])
  ].join(": ")
}

/** What a channel was told, and what its next tries come to. */
const bookOf = () => {
  const notifications: Array<AlertChannel.Notification> = []
  const tries: Array<string> = []
  const answers: Array<Effect.Effect<void, AlertChannel.AlertChannelError>> = []
  const maker: AlertChannel.Maker = () =>
    Effect.succeed((notification) =>
      Effect.suspend(() => {
        tries.push(notification.id)
        const answer = answers.shift() ?? Effect.void
        return Effect.tap(answer, () => Effect.sync(() => notifications.push(notification)))
      })
    )
  return { notifications, tries, answers, maker, lines: () => notifications.map(lineOf) }
}

type Services = AlertingService | Orchestrator.Services | Interpreter.Interpreter | Scope.Scope

const run = <A, E>(
  effect: Effect.Effect<A, E, Services>,
  options: {
    readonly book?: ReturnType<typeof bookOf>
    readonly plan?: Plan.Root
    readonly makers?: Readonly<Record<string, AlertChannel.Maker>>
    readonly scripts?: Readonly<Record<string, ScriptedLlm.Options["script"]>>
  } = {}
) => {
  const { book = bookOf(), makers = {}, plan = planOf(settingsOf()), scripts = {} } = options
  const running = Layer.provideMerge(
    Orchestrator.layer,
    Layer.provide(Interpreter.Interpreter.layer(plan), plans.scripts(scripts).layer)
  )
  const alerting = AlertingService.layer.pipe(Layer.provide(AlertChannel.layer({ book: book.maker, ...makers })))
  return Effect.provide(effect, Layer.provideMerge(alerting, running))
}

const input = (metadata: LlmRequest.Metadata): LlmRequest.Input => ({ prompt: "a planted prompt", metadata })
const ask = (metadata: LlmRequest.Metadata = { poolName: "pool" }) =>
  Effect.exit(Orchestrator.generate(input(metadata)))
const emit = (change: StateChange.StateChange) =>
  Effect.map(Interpreter.Interpreter, ({ registry }) => registry.emit(change))
const firing = Effect.flatMap(AlertingService, ({ firing }) =>
  Effect.map(firing, (all) => all.map(({ rule, subject }) => `${rule} ${subject.name}`))
)
const later = (duration: Duration.Input) => TestClock.adjust(duration)

it.effect("a breaker that stays open fires after its time, and resolves after it has closed", () => {
  const book = bookOf()
  const broken = { current: true }
  return run(
    Effect.gen(function* () {
      const control = yield* Control.Control
      for (let i = 0; i < 2; i++) yield* ask()
      yield* later("30 seconds")
      expect(yield* firing).toEqual([])
      yield* later("31 seconds")
      expect(yield* firing).toEqual(["breaker_open a"])
      expect(book.lines()).toEqual(["breaker_open (openai): FIRING breaker_open a"])
      expect(book.notifications[0]?.firing[0]?.text).toBe("a is out in chat (Overloaded)")
      broken.current = false
      yield* control.reset("a")
      yield* later("2 minutes")
      expect(book.lines().slice(1)).toEqual(["breaker_open (openai): RESOLVED breaker_open a"])
      // Somebody's own hand is no failure.
      yield* control.force({ instance: "a" }, "open")
      yield* later("5 minutes")
      expect(yield* firing).toEqual([])
    }),
    {
      book,
      scripts: { a: () => (broken.current ? [ScriptedLlm.fail({ _tag: "Overloaded" })] : ScriptedLlm.text("hi")) }
    }
  )
})

it.effect("a provider that is down is told once, and its breakers are not", () => {
  const book = bookOf()
  return run(
    Effect.gen(function* () {
      const down = { _tag: "ProviderHealth", provider: "openai", instances: ["a", "b"], message: "sk-planted" } as const
      yield* emit({ ...down, isDown: true, at: 0 })
      for (let i = 0; i < 2; i++) yield* ask()
      yield* later("3 minutes")
      expect(book.lines()[0]).toBe("provider_down: FIRING provider_down openai")
      expect(yield* firing).toContain("breaker_open a")
      expect(book.lines().filter((line) => line.includes("breaker_open"))).toEqual([])
      yield* emit({ ...down, isDown: false, at: 0 })
      yield* later("2 minutes")
      const said = book.lines()
      expect(said).toContain("provider_down: RESOLVED provider_down openai")
      expect(said.some((line) => line.includes("FIRING breaker_open a"))).toBe(true)
    }),
    { book, scripts: { a: () => [ScriptedLlm.fail({ _tag: "Overloaded" })] } }
  )
})

it.effect("a refused credential is critical at once, and over when the instance answers again", () => {
  const book = bookOf()
  return run(
    Effect.gen(function* () {
      yield* ask()
      yield* later("1 second")
      expect(book.lines()).toEqual(["credential_rejected (openai): FIRING credential_rejected a"])
      expect(book.notifications[0]).toMatchObject({ severity: "critical" })
      expect(book.notifications[0]?.firing[0]?.text).toBe("a is refused (Authentication)")
      yield* Effect.flatMap(Control.Control, (control) => control.reset("a"))
      yield* later("2 minutes")
      expect(book.lines().length).toBe(2)
    }),
    { book, scripts: { a: () => [ScriptedLlm.fail({ _tag: "Authentication" })] } }
  )
})

it.effect("a direct client that is refused fires too, without a breaker", () => {
  const book = bookOf()
  return run(
    Effect.gen(function* () {
      yield* ask({ provider: "openai", model: "a" })
      yield* later("1 second")
      expect(book.lines()).toEqual(["credential_rejected (openai): FIRING credential_rejected a"])
      yield* later("17 minutes")
      expect(yield* firing).toEqual([])
    }),
    {
      book,
      plan: planOf(settingsOf(), { groups: [], pools: [], wrappers: [] }),
      scripts: { a: () => [ScriptedLlm.fail({ _tag: "QuotaExhausted" })] }
    }
  )
})

const patient = { ...breaker, failureThreshold: 1_000 }
const patientGroup = [
  plans.group("chat", [plans.echelon("chat", 1, ["a"]), plans.echelon("chat", 2, ["b"])], { breaker: patient })
]

it.effect("the error rate of who was asked: from the least number of requests on, without what callers did", () => {
  const book = bookOf()
  let isDown = true
  const script = () => (isDown ? [ScriptedLlm.fail({ _tag: "ProviderError" })] : ScriptedLlm.text("hi"))
  return run(
    Effect.gen(function* () {
      for (let i = 0; i < 19; i++) yield* ask({ wrapperName: "w" })
      yield* later("90 seconds")
      expect(yield* firing).toEqual([])
      yield* ask({ wrapperName: "w" })
      // Whoever says no is not told of, and the pool behind is not blamed twice.
      for (let i = 0; i < 30; i++) yield* ask({ wrapperName: "quiet" })
      yield* later("70 seconds")
      expect(book.lines()).toEqual(["error_rate: FIRING error_rate w"])
      expect(book.notifications[0]?.firing[0]).toMatchObject({
        text: "100 % of the requests to wrapper w failed in 5 min (20 of 20)",
        value: 1,
        threshold: 0.1
      })
      isDown = false
      for (let i = 0; i < 300; i++) yield* ask({ wrapperName: "w" })
      yield* later("2 minutes")
      expect(book.lines().slice(1)).toEqual(["error_rate: RESOLVED error_rate w"])
    }),
    { book, plan: planOf(settingsOf(), { groups: patientGroup }), scripts: { a: script, b: script } }
  )
})

it.effect("what callers did wrong is no error rate", () => {
  const book = bookOf()
  const script = () => [ScriptedLlm.fail({ _tag: "InvalidRequest" })]
  return run(
    Effect.gen(function* () {
      for (let i = 0; i < 50; i++) yield* ask()
      yield* later("3 minutes")
      expect(book.lines()).toEqual([])
    }),
    { book, scripts: { a: script, b: script } }
  )
})

it.effect("slow first output, by its 95th percentile", () => {
  const book = bookOf()
  let wait: Duration.Input = "1 second"
  const script = () => [ScriptedLlm.wait(wait), ...ScriptedLlm.text("hi")]
  const stream = Effect.forkChild(
    Stream.runDrain(
      Stream.unwrap(Effect.map(Orchestrator.open(input({ poolName: "pool" })), ({ parts }) => parts))
    ).pipe(Effect.scoped),
    { startImmediately: true }
  )
  return run(
    Effect.gen(function* () {
      for (let i = 0; i < 18; i++) yield* stream
      yield* later("2 seconds")
      wait = "20 seconds"
      for (let i = 0; i < 2; i++) yield* stream
      yield* later("21 seconds")
      expect(yield* firing).toEqual([])
      yield* later("130 seconds")
      expect(book.lines()).toEqual(["slow_first_output: FIRING slow_first_output pool"])
      const value = book.notifications[0]?.firing[0]?.value ?? 0
      expect(value).toBeGreaterThan(18_000)
      expect(value).toBeLessThan(22_000)
      yield* later("10 minutes")
      expect(book.lines().slice(1)).toEqual(["slow_first_output: RESOLVED slow_first_output pool"])
    }),
    { book, scripts: { a: script } }
  )
})

it.effect("a queue that fills up, and waits that are long", () => {
  const book = bookOf()
  const settings = settingsOf({ rules: { queue_wait: { minRequests: 3, threshold: 5_000, for: 0 } } })
  const script = () => [ScriptedLlm.wait("20 seconds"), ...ScriptedLlm.text("hi")]
  return run(
    Effect.gen(function* () {
      const fibers = yield* Effect.forEach([1, 2, 3, 4, 5, 6], () =>
        Effect.forkChild(ask({ wrapperName: "w" }), { startImmediately: true })
      )
      yield* later("36 seconds")
      expect(book.lines()).toEqual(["queue: FIRING queue_full w"])
      expect(book.notifications[0]?.firing[0]?.text).toBe("4 of 5 places in the queue of wrapper w are taken")
      yield* later("90 seconds")
      yield* Effect.forEach(fibers, Fiber.join)
      const said = book.lines().join("\n")
      expect(said).toContain("queue_wait w")
      expect(said).toContain("RESOLVED queue_full w")
    }),
    { book, scripts: { a: script }, plan: planOf(settings) }
  )
})

it.effect("a pool of which nobody may be asked, unless all its wrappers say no", () => {
  const book = bookOf()
  const silent = plans.wrapper("silent", { kind: "pool", name: "other" }, { alerting: false })
  const plan = planOf(settingsOf())
  const pools = [plan.pools["pool"] as Plan.Pool, plans.pool("other", ["chat"])]
  return run(
    Effect.gen(function* () {
      const control = yield* Control.Control
      yield* control.drain("a")
      yield* later("30 seconds")
      expect(yield* firing).toEqual([])
      yield* control.drain("b")
      yield* later("21 seconds")
      expect(book.lines()).toEqual(["pool_capacity: FIRING pool_capacity pool"])
      expect(book.notifications[0]?.firing[0]?.text).toBe("pool pool can ask 0 of its 2 instances")
      yield* control.undrain("b")
      yield* later("70 seconds")
      expect(book.lines().length).toBe(2)
    }),
    { book, plan: planOf(settingsOf(), { pools, wrappers: [silent] }) }
  )
})

it.effect("budgets by their marks, until they reset; a rejected reload, until one is taken on", () => {
  const book = bookOf()
  return run(
    Effect.gen(function* () {
      const spend = { _tag: "Spend", scope: "tenant", name: "acme", period: "day", limit: 10, at: 0 } as const
      yield* emit({ ...spend, share: 0.5, spent: 5, resetsAt: 7_200_000 })
      yield* later("1 second")
      yield* emit({ ...spend, share: 1, spent: 10.2, resetsAt: 7_200_000 })
      yield* later("1 second")
      expect(book.lines()).toEqual(["budget: FIRING budget_half acme", "budget: FIRING budget_spent acme"])
      expect(book.notifications.map(({ severity }) => severity)).toEqual(["info", "critical"])
      expect(book.notifications[1]?.firing[0]?.text).toBe(
        "tenant acme has spent 10.20 USD of 10.00 USD this day; it resets at 1970-01-01T02:00:00.000Z"
      )
      yield* emit({ _tag: "Reload", outcome: "rejected", errors: 2, at: 0 })
      yield* later("1 second")
      expect(book.lines()[2]).toBe("reload_rejected: FIRING reload_rejected configuration")
      yield* emit({ _tag: "Reload", outcome: "applied", errors: 0, at: 0 })
      yield* later("2 minutes")
      expect(book.lines()[3]).toBe("reload_rejected: RESOLVED reload_rejected configuration")
      yield* later("119 minutes")
      expect(book.lines()[4]).toBe("budget: RESOLVED budget_half acme, budget_spent acme")
    }),
    { book }
  )
})

it.effect("a lower mark is told beside a higher one to those who do not hear of the higher one", () => {
  const book = bookOf()
  const channels = [{ type: "custom", kind: "book", name: "book", severity: "info", resolved: true }] as const
  const settings = settingsOf({
    channels,
    rules: { budget_half: { threshold: 0.65 }, budget_low: { channels: ["nobody"] }, budget_spent: { enabled: false } }
  })
  return run(
    Effect.gen(function* () {
      const spend = { _tag: "Spend", scope: "tenant", name: "acme", period: "day", limit: 0.002, at: 0 } as const
      yield* emit({ ...spend, share: 0.5, spent: 0.001, resetsAt: 7_200_000 })
      yield* later("1 second")
      expect(book.lines()).toEqual([])
      yield* emit({ ...spend, share: 0.8, spent: 0.00163, resetsAt: 7_200_000 })
      yield* later("1 second")
      expect(book.lines()).toEqual(["budget: FIRING budget_half acme"])
      expect(book.notifications[0]?.firing[0]?.text).toContain("acme has spent 0.00163 USD of 0.002 USD this day")
    }),
    { book, plan: planOf(settings) }
  )
})

it.effect("instances whose credential is refused do not make a provider down, and one does not fail together", () => {
  const book = bookOf()
  return run(
    Effect.gen(function* () {
      const down = { _tag: "ProviderHealth", provider: "openai", message: "", isDown: true, at: 0 } as const
      yield* ask()
      yield* emit({ ...down, instances: ["a"] })
      yield* later("10 seconds")
      expect(yield* firing).toEqual(["credential_rejected a"])
      yield* emit({ ...down, instances: ["b"] })
      yield* later("10 seconds")
      expect(book.notifications.at(-1)?.firing[0]?.text).toBe("provider openai is down: b fails")
    }),
    { book, scripts: { a: () => [ScriptedLlm.fail({ _tag: "Authentication" })] } }
  )
})

it.effect("a rule that is off says nothing; with alerting off nothing is observed; a reload changes both", () => {
  const book = bookOf()
  return run(
    Effect.gen(function* () {
      const { registry, swap } = yield* Interpreter.Interpreter
      expect(registry.observers.isIdle()).toBe(true)
      yield* emit({ _tag: "Reload", outcome: "rejected", errors: 1, at: 0 })
      yield* later("10 seconds")
      yield* swap(planOf(settingsOf({ rules: { reload_rejected: { enabled: false } } })))
      yield* later("10 seconds")
      expect([registry.observers.isIdle(), book.lines()]).toEqual([false, []])
      yield* swap(planOf(settingsOf()))
      yield* later("10 seconds")
      expect(book.lines()).toEqual(["reload_rejected: FIRING reload_rejected configuration"])
      yield* swap(planOf(settingsOf({ enabled: false })))
      yield* later("2 minutes")
      expect(registry.observers.isIdle()).toBe(true)
    }),
    { book, plan: planOf(settingsOf({ enabled: false })) }
  )
})

it.effect("changes, history and silence", () =>
  run(
    Effect.gen(function* () {
      const alerting = yield* AlertingService
      const seen: Array<string> = []
      yield* Effect.forkScoped(
        Stream.runForEach(alerting.changes, ({ _tag, alert }) =>
          Effect.sync(() => void seen.push(`${_tag} ${alert.rule}`))
        ),
        { startImmediately: true }
      )
      yield* alerting.silence("reload_rejected", "1 hour")
      yield* emit({ _tag: "Reload", outcome: "rejected", errors: 1, at: 0 })
      yield* later("1 minute")
      expect(yield* firing).toEqual(["reload_rejected configuration"])
      expect((yield* alerting.deliveries)[0]).toMatchObject({ delivered: 0, waiting: 0 })
      yield* later("1 hour")
      expect((yield* alerting.deliveries)[0]).toMatchObject({ channel: "book", delivered: 1 })
      yield* emit({ _tag: "Reload", outcome: "applied", errors: 0, at: 0 })
      yield* later("2 minutes")
      expect(seen).toEqual(["Fired reload_rejected", "Resolved reload_rejected"])
      expect((yield* alerting.history).map(({ _tag }) => _tag)).toEqual(["Fired", "Resolved"])
    })
  )
)

const busy = (retryAfter?: Duration.Duration) =>
  Effect.fail(new AlertChannel.AlertChannelError({ failure: "busy", detail: "status 429", retryAfter }))
const reject = emit({ _tag: "Reload", outcome: "rejected", errors: 1, at: 0 })

it.effect(
  "a try that fails is repeated after 1, 2, 4 and 8 seconds with the same id, then given up and counted",
  () => {
    const book = bookOf()
    for (let i = 0; i < 5; i++) book.answers.push(busy())
    return run(
      Effect.gen(function* () {
        const alerting = yield* AlertingService
        yield* reject
        const tries: Array<number> = []
        for (const wait of ["500 millis", "1 second", "2 seconds", "4 seconds", "8 seconds"] as const) {
          yield* later(wait)
          tries.push(book.tries.length)
        }
        expect(tries).toEqual([1, 2, 3, 4, 5])
        expect(new Set(book.tries).size).toBe(1)
        expect((yield* alerting.deliveries)[0]).toMatchObject({
          delivered: 0,
          failed: 1,
          retries: 4,
          waiting: 0,
          lastError: "busy: status 429"
        })
      }),
      { book }
    )
  }
)

it.effect("a channel that names a time is given it, within a minute; one that refuses is not asked again", () => {
  const book = bookOf()
  book.answers.push(busy(Duration.seconds(30)), busy(Duration.hours(5)))
  return run(
    Effect.gen(function* () {
      const alerting = yield* AlertingService
      yield* reject
      yield* later("20 seconds")
      expect(book.tries.length).toBe(1)
      yield* later("12 seconds")
      expect(book.tries.length).toBe(2)
      yield* later("61 seconds")
      expect((yield* alerting.deliveries)[0]).toMatchObject({ delivered: 1, retries: 2, lastError: undefined })
      book.answers.push(
        Effect.fail(new AlertChannel.AlertChannelError({ failure: "rejected", detail: "status 404" })),
        Effect.die("a defect")
      )
      yield* emit({ _tag: "Reload", outcome: "applied", errors: 0, at: 0 })
      yield* later("90 seconds")
      expect((yield* alerting.deliveries)[0]).toMatchObject({
        failed: 1,
        retries: 2,
        lastError: "rejected: status 404"
      })
    }),
    { book }
  )
})

it.effect(
  "a channel that stalls holds up no other and no request; its queue is bounded and counts what it drops",
  () => {
    const book = bookOf()
    const gate = Latch.makeUnsafe()
    const settings = settingsOf({
      resolveAfter: 0,
      channels: [
        { type: "custom", kind: "stall", name: "stall", severity: "info", resolved: true, timeout: 3_600_000 },
        { type: "custom", kind: "book", name: "book", severity: "info", resolved: true }
      ]
    })
    return run(
      Effect.gen(function* () {
        const alerting = yield* AlertingService
        for (let i = 0; i < 75; i++) {
          yield* emit({ _tag: "Reload", outcome: "rejected", errors: 1, at: 0 })
          yield* later("1 second")
          yield* emit({ _tag: "Reload", outcome: "applied", errors: 0, at: 0 })
          yield* later("1 second")
          // Otherwise the doubling would hold the resolution back.
          yield* later("0 seconds")
        }
        const [stall, other] = yield* alerting.deliveries
        expect(other?.delivered).toBe(book.notifications.length)
        expect(book.notifications.length).toBe(150)
        expect(stall).toMatchObject({ delivered: 0, dropped: 49, waiting: 101 })
        gate.openUnsafe()
        for (let i = 0; i < 60; i++) yield* later("1 second")
        expect((yield* alerting.deliveries)[0]).toMatchObject({ delivered: 101, dropped: 49, waiting: 0 })
      }),
      { book, makers: { stall: () => Effect.succeed(() => gate.await) }, plan: planOf(settings) }
    )
  }
)

it.effect(
  "at the end what is still to be told is told, and a channel that stalls holds the end up for 5 s at most",
  () =>
    Effect.gen(function* () {
      const book = bookOf()
      const settings = settingsOf({
        groupWait: 3_600_000,
        channels: [
          { type: "custom", kind: "stall", name: "stall", severity: "info", resolved: true },
          { type: "custom", kind: "book", name: "book", severity: "info", resolved: true }
        ]
      })
      const fiber = yield* Effect.forkChild(
        run(
          Effect.gen(function* () {
            yield* reject
            yield* later("10 seconds")
            expect(book.lines()).toEqual([])
          }),
          { book, makers: { stall: () => Effect.succeed(() => Effect.never) }, plan: planOf(settings) }
        )
      )
      yield* later("1 second")
      for (let i = 0; i < 20; i++) yield* later("1 second")
      expect(fiber.pollUnsafe()).not.toBe(undefined)
      expect(book.lines()).toEqual(["reload_rejected: FIRING reload_rejected configuration"])
    })
)

it.effect("a test goes to one channel or to all, and says why it failed", () => {
  const book = bookOf()
  const settings = settingsOf({
    channels: [
      { type: "custom", kind: "book", name: "book", severity: "critical", resolved: true },
      { type: "custom", kind: "nobody", name: "lost", severity: "info", resolved: true }
    ]
  })
  return run(
    Effect.gen(function* () {
      const alerting = yield* AlertingService
      expect((yield* alerting.test("book")).map(({ channel, error }) => [channel, error])).toEqual([
        ["book", undefined]
      ])
      expect(book.lines()).toEqual(["test"])
      const all = yield* alerting.test()
      expect(all.map(({ error }) => error?.message)).toEqual([
        undefined,
        'settings: no channel of the kind "nobody" is provided'
      ])
      expect(yield* alerting.test("none")).toEqual([])
    }),
    { book, plan: planOf(settings) }
  )
})

it.effect("the log is told out of the box, without a prompt, an answer or a key", () => {
  const lines: Array<string> = []
  const logger = Logger.make(({ logLevel, message }) => void lines.push(`${logLevel} ${String(message)}`))
  const leaky = () =>
    ScriptedLlm.truncated(
      "a planted answer",
      LlmError.make({ reason: { _tag: "Unknown" }, detail: "sk-planted", delivered: "a planted answer" })
    )
  const plan = planOf(AlertSettings.make({ rules: { error_rate: { for: 0 } } }), { groups: patientGroup })
  return run(
    Effect.gen(function* () {
      for (let i = 0; i < 30; i++) yield* ask({ wrapperName: "w", tenant: "planted tenant" })
      yield* later("1 minute")
      expect(lines.filter((line) => line.includes("[echelon]"))).toEqual([
        "Error [echelon] critical error_rate: 1 firing: FIRING critical error_rate: 100 % of the requests to wrapper w failed in 5 min (30 of 30) (since 1970-01-01T00:00:05.200Z)"
      ])
      expect(lines.join("\n")).not.toContain("planted")
    }),
    { plan, scripts: { a: leaky, b: leaky } }
  ).pipe(Effect.provide(Logger.layer([logger])))
})

it.effect("names that callers choose neither grow memory nor break a line", () => {
  const book = bookOf()
  return run(
    Effect.gen(function* () {
      const evil = `x\n<!channel>\u202e${"y".repeat(500)}`
      yield* emit({
        _tag: "Spend",
        scope: "tenant",
        name: evil,
        period: "month",
        share: 1,
        spent: 1,
        limit: 1,
        resetsAt: 1e12,
        at: 0
      })
      yield* later("1 second")
      const text = book.notifications[0]?.firing[0]?.text ?? ""
      expect(text).not.toMatch(/[\n\u202e]/)
      expect(text.length).toBeLessThan(260)
      for (let i = 0; i < 5_000; i++) {
        yield* emit({
          _tag: "Spend",
          scope: "tenant",
          name: `t${i}`,
          period: "day",
          share: 1,
          spent: 1,
          limit: 1,
          resetsAt: 1e12,
          at: 0
        })
      }
      yield* later("1 minute")
      expect((yield* firing).length).toBeLessThanOrEqual(1_000)
    }),
    { book }
  )
})
