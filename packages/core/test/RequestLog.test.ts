import { Control, Interpreter, type LlmRequest, Orchestrator, type Plan, Plans } from "@echelon/core"
import * as LogFormat from "@echelon/core/LogFormat"
import * as RequestLog from "@echelon/core/RequestLog"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Layer, Logger, References, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { observation } from "./support/observations.ts"
import * as plans from "./support/plans.ts"

interface Line {
  readonly level: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

const memory = () => {
  const lines: Array<Line> = []
  const logger = Logger.make(({ fiber, logLevel, message }) => {
    lines.push({
      level: logLevel,
      message: String(message),
      fields: fiber.getRef(References.CurrentLogAnnotations)
    })
  })
  return { lines, layer: Logger.layer([logger]) }
}

const openai = plans.provider("openai")
const planned = (logging: Partial<Plan.Logging> = {}): Plan.Root => ({
  ...plans.root({
    instances: ["a", "b"].map((name) => plans.instance(name, openai)),
    groups: [plans.group("chat", [plans.echelon("chat", 1, ["a"]), plans.echelon("chat", 2, ["b"])])],
    pools: [plans.pool("pool", ["chat"], { rotation: "priority" })]
  }),
  logging: Plans.logging(logging)
})

const layerOf = (
  root: Plan.Root,
  byInstance: Readonly<Record<string, ScriptedLlm.Options["script"]>> = {},
  options: RequestLog.Options = {}
) =>
  Layer.mergeAll(Orchestrator.layer, RequestLog.RequestLog.layerObserving).pipe(
    Layer.provideMerge(Interpreter.Interpreter.layer(root)),
    Layer.provide(plans.scripts(byInstance).layer),
    Layer.provideMerge(RequestLog.RequestLog.layer(options))
  )
const ask = (metadata: LlmRequest.Metadata = { poolName: "pool" }, prompt = "hi") =>
  Orchestrator.generate({ prompt, metadata })

/** Runs to the end of all Layers: then every line is written. */
const logged = <A, E>(
  effect: Effect.Effect<A, E, Orchestrator.Services | Interpreter.Interpreter | RequestLog.RequestLog | Scope.Scope>,
  layer: ReturnType<typeof layerOf>
) => {
  const { layer: loggers, lines } = memory()
  return Effect.as(Effect.provide(Effect.scoped(Effect.provide(effect, layer)), loggers), lines)
}
const requests = (lines: ReadonlyArray<Line>) => lines.filter(({ fields }) => fields["echelon.event"] === "request")

it.effect("one line a request, with the annotations of who asked", () =>
  Effect.gen(function* () {
    const lines = yield* logged(
      ask({ poolName: "pool", requestId: "mine" }).pipe(Effect.annotateLogs("user", "u1")),
      layerOf(planned(), { a: () => [ScriptedLlm.fail({ _tag: "Overloaded" })] })
    )
    expect(requests(lines)).toEqual([
      {
        level: "Info",
        message: "request completed",
        fields: expect.objectContaining({
          user: "u1",
          "echelon.request_id": "mine",
          "echelon.instance": "b",
          "echelon.failovers": 1,
          "echelon.route": "a!Overloaded > b"
        })
      }
    ])
    expect(lines.map(({ message }) => message).slice(-2)).toEqual(["shutting down", "shut down"])
    expect(Object.values(requests(lines)[0]?.fields ?? {})).not.toContain(undefined)
  })
)

it.effect("a request that ends while all shuts down is logged, after the Layer that observes has closed", () =>
  Effect.gen(function* () {
    const slow = () => [ScriptedLlm.wait("5 seconds"), ...ScriptedLlm.text("slow")]
    const { layer: loggers, lines } = memory()
    const fiber = yield* Effect.gen(function* () {
      yield* Effect.forkDetach(Effect.exit(ask()), { startImmediately: true })
      yield* Effect.sleep("1 second")
    }).pipe(
      Effect.provide(layerOf(planned(), { a: slow, b: slow })),
      Effect.scoped,
      Effect.provide(loggers),
      Effect.forkChild({ startImmediately: true })
    )
    yield* TestClock.adjust("6 seconds")
    yield* Fiber.join(fiber)
    expect(lines.map(({ message }) => message).sort()).toEqual(["request completed", "shut down", "shutting down"])
  })
)

it.effect("completed requests are sampled, failed ones never; the line says the share", () =>
  Effect.gen(function* () {
    let sampledOut = 0
    const lines = yield* logged(
      Effect.gen(function* () {
        for (let i = 0; i < 100; i++) yield* ask()
        for (let i = 0; i < 10; i++) yield* Effect.exit(ask({ poolName: "none" }))
        const log = yield* RequestLog.RequestLog
        sampledOut = (yield* log.stats).sampledOut
      }),
      layerOf(planned({ sampleRatio: 0.2 }))
    )
    const completed = requests(lines).filter(({ message }) => message === "request completed")
    expect(completed.length).toBe(100 - sampledOut)
    expect(completed.length).toBeGreaterThan(5)
    expect(completed.length).toBeLessThan(40)
    expect(new Set(completed.map(({ fields }) => fields["echelon.sample_ratio"]))).toEqual(new Set([0.2]))
    const failed = requests(lines).filter(({ message }) => message === "request failed")
    expect([failed.length, failed[0]?.fields["echelon.sample_ratio"]]).toEqual([10, undefined])
  })
)

it.effect("level, requests and state_changes hold from a reload on", () =>
  Effect.gen(function* () {
    const drained = (lines: ReadonlyArray<Line>) => lines.filter(({ message }) => message === "instance drained").length
    const counted: Array<number> = []
    yield* logged(
      Effect.gen(function* () {
        const control = yield* Control.Control
        const { registry, swap } = yield* Interpreter.Interpreter
        const log = yield* RequestLog.RequestLog
        for (const logging of [
          {},
          { level: "error" as const },
          { requests: false },
          { stateChanges: false },
          { level: "none" as const }
        ]) {
          yield* swap(planned(logging))
          const before = (yield* log.stats).written
          yield* ask()
          yield* control.drain("b")
          yield* control.undrain("b")
          yield* Effect.yieldNow
          yield* TestClock.adjust("1 minute")
          counted.push((yield* log.stats).written - before)
        }
        expect(registry.observers.isIdle()).toBe(false)
        yield* swap(planned({ requests: false }))
        expect(registry.observers.isIdle()).toBe(true)
      }),
      layerOf(planned())
    )
    expect(drained([])).toBe(0)
    expect(counted).toEqual([3, 0, 2, 1, 0])
  })
)

it.effect("a thing that flaps is told so often a minute, and its last word with a count", () =>
  Effect.gen(function* () {
    const lines = yield* logged(
      Effect.gen(function* () {
        const control = yield* Control.Control
        for (let i = 0; i < 50; i++) {
          yield* control.drain("a")
          yield* control.undrain("a")
        }
        yield* control.drain("b")
        yield* TestClock.adjust("1 minute")
      }),
      layerOf(planned({ maxPerMinute: 4 }))
    )
    const ofA = lines.filter(({ fields }) => fields["echelon.instance"] === "a")
    expect(ofA.map(({ message }) => message)).toEqual([
      "instance drained",
      "instance undrained",
      "instance drained",
      "instance undrained",
      "instance undrained"
    ])
    expect(ofA[4]?.fields["echelon.suppressed"]).toBe(95)
    expect(lines.filter(({ fields }) => fields["echelon.instance"] === "b").length).toBe(1)
  })
)

it.effect("what comes faster than it can be written is lost, counted and told; the program's own word wins", () =>
  Effect.gen(function* () {
    const lines = yield* logged(
      Effect.gen(function* () {
        const { observer, stats } = yield* RequestLog.RequestLog
        for (let i = 0; i < 5_000; i++) observer.onEnd?.(observation())
        expect(yield* stats).toMatchObject({ waiting: 4_096, lost: 904 })
        yield* ask()
        while ((yield* stats).waiting > 0) yield* Effect.yieldNow
      }),
      layerOf(planned(), {}, { requests: false })
    )
    expect(requests(lines).length).toBe(4_096)
    expect(lines.filter(({ message }) => message === "log lines were lost").map(({ fields }) => fields)).toEqual([
      { "echelon.event": "log", "echelon.lost": 904 }
    ])
  })
)

it.effect("neither prompt nor answer nor key gets into any line, in any format", () =>
  Effect.gen(function* () {
    const secret = "planted-secret"
    const prompt = "planted-prompt"
    const texts: Array<string> = []
    for (const format of ["pretty", "json", "logfmt"] as const) {
      const script = (text: string) => () => [...ScriptedLlm.text(text), ScriptedLlm.fail({ _tag: "InvalidRequest" })]
      const layer = layerOf(planned({ format, level: "debug" }), {
        a: () => [ScriptedLlm.fail({ _tag: "Unknown", status: 418 })],
        b: script("planted-answer")
      }).pipe(Layer.provide(LogFormat.LogFormat.layer((line) => texts.push(line))))
      yield* Effect.gen(function* () {
        yield* Effect.exit(ask({ poolName: "pool", sessionId: secret, tags: [secret] }, prompt))
        yield* Effect.exit(ask({ poolName: prompt }, prompt))
        const { registry } = yield* Interpreter.Interpreter
        registry.emit({ _tag: "Cooldown", instance: "a", until: 1, at: 0 })
      }).pipe(Effect.provide(layer), Effect.scoped)
    }
    expect(texts.length).toBeGreaterThan(8)
    expect(texts.some((line) => /^\d\d:\d\d:\d\d\.\d{3} INFO {2}request .*request_id=req_/.test(line))).toBe(true)
    expect(texts.some((line) => line.startsWith("{") && JSON.parse(line).annotations["echelon.event"])).toBe(true)
    expect(texts.some((line) => line.includes("level=INFO") && line.includes("echelon.event=request"))).toBe(true)
    expect(texts.join("\n")).not.toContain("planted")
  })
)
