import {
  Control,
  Interpreter,
  LlmError,
  type LlmRequest,
  Observation,
  Orchestrator,
  type Plan,
  Plans,
  Route,
  Usage
} from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import * as plans from "./support/plans.ts"

const openai = plans.provider("openai")
const breaker = { ...Plans.defaults.breaker, failureRate: undefined, slowCall: undefined, failureThreshold: 20 }
const planned: Plan.Root = plans.root({
  instances: ["a", "b"].map((name) => plans.instance(name, openai)),
  groups: [plans.group("chat", [plans.echelon("chat", 1, ["a"]), plans.echelon("chat", 2, ["b"])], { breaker })],
  pools: [plans.pool("pool", ["chat"], { rotation: "priority" })],
  wrappers: [
    plans.wrapper("w", { kind: "pool", name: "pool" }, { maxConcurrentRequests: 1, queueSize: 1, metrics: false })
  ]
})

const run = <A, E>(
  effect: Effect.Effect<A, E, Orchestrator.Services | Interpreter.Interpreter | Scope.Scope>,
  byInstance: Readonly<Record<string, ScriptedLlm.Options["script"]>> = {}
) =>
  Effect.provide(
    effect,
    Layer.provideMerge(
      Orchestrator.layer,
      Layer.provide(Interpreter.Interpreter.layer(planned), plans.scripts(byInstance).layer)
    )
  )
const input = (metadata: LlmRequest.Metadata): LlmRequest.Input => ({ prompt: "hi", metadata })
const ask = (metadata: LlmRequest.Metadata = { poolName: "pool" }) => Orchestrator.generate(input(metadata))
const slow = () => [ScriptedLlm.wait("1 second"), ...ScriptedLlm.text("slow")]

/** Everything that is told, one line each. */
const listening = Effect.gen(function* () {
  const control = yield* Control.Control
  const told: Array<string> = []
  const ended: Array<Observation.Observation> = []
  yield* control.observe({
    onStart: ({ target }) => told.push(`start ${target.kind} ${target.name}`),
    onAttemptStart: (_, { instance }) => told.push(`attempt ${instance}`),
    onFirstOutput: (_, { instance }) => told.push(`output ${instance}`),
    onAttemptEnd: (_, { instance, outcome }) => told.push(`${outcome} ${instance}`),
    onEnd: (observation) => {
      told.push(`end ${observation.outcome}${observation.reason === undefined ? "" : ` ${observation.reason}`}`)
      ended.push({ ...observation, attempts: [...observation.attempts] })
    }
  })
  return { told, ended }
})

it.effect("a request is told from its start to its end, attempt by attempt, once whatever levels it passes", () =>
  run(
    Effect.gen(function* () {
      const { ended, told } = yield* listening
      yield* ask({ wrapperName: "w", tenant: "t", tags: ["x"], requestId: "mine" })
      expect(told).toEqual([
        "start wrapper w",
        "attempt a",
        "failed a",
        "attempt b",
        "output b",
        "completed b",
        "end completed"
      ])
      expect(ended[0]).toMatchObject({
        id: "mine",
        target: { kind: "wrapper", name: "w" },
        wrapper: "w",
        pool: "pool",
        tenant: "t",
        tags: ["x"],
        isMeasured: false,
        isStream: false
      })
    }),
    { a: () => [ScriptedLlm.fail({ _tag: "Authentication" })] }
  )
)

it.effect("a stream ends with its parts, at commit nothing has ended, and leaving it early is a cancellation", () =>
  run(
    Effect.gen(function* () {
      const { told } = yield* listening
      const scope = yield* Scope.make()
      const reply = yield* Scope.provide(Orchestrator.open(input({ groupName: "chat" })), scope)
      expect(told).toEqual(["start group chat", "attempt a", "output a"])
      yield* Stream.runDrain(reply.parts)
      expect(told.slice(3)).toEqual(["completed a", "end completed"])
      yield* Scope.close(scope, Exit.void)
      told.length = 0
      const left = yield* Scope.make()
      yield* Scope.provide(Orchestrator.open(input({ groupName: "chat" })), left)
      yield* Scope.close(left, Exit.void)
      expect(told.slice(-2)).toEqual(["cancelled a", "end cancelled"])
    })
  )
)

it.effect("waiting in the queue counts, and a request that finds it full ends with the reason", () =>
  run(
    Effect.gen(function* () {
      const { ended } = yield* listening
      const first = yield* Effect.forkChild(ask({ wrapperName: "w" }), { startImmediately: true })
      const second = yield* Effect.forkChild(ask({ wrapperName: "w" }), { startImmediately: true })
      const third = yield* Effect.exit(ask({ wrapperName: "w" }))
      expect(Exit.isFailure(third)).toBe(true)
      expect(ended.map(({ outcome, reason }) => [outcome, reason])).toEqual([["failed", "QueueFull"]])
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      expect(ended.slice(1).map(({ queuedMs }) => queuedMs)).toEqual([0, 1_000])
    }),
    { a: slow, b: slow }
  )
)

it.effect("an interrupted request is cancelled once, and its attempt with it", () =>
  run(
    Effect.gen(function* () {
      const { told } = yield* listening
      const fiber = yield* Effect.forkChild(ask(), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      expect(told).toEqual(["start pool pool", "attempt a", "cancelled a", "end cancelled"])
    }),
    { a: slow }
  )
)

it.effect("a request that names nobody who is known is told too", () =>
  run(
    Effect.gen(function* () {
      const { told } = yield* listening
      yield* Effect.exit(ask({ poolName: "none" }))
      expect(told).toEqual(["start router router", "end failed UnknownTarget"])
    })
  )
)

it.effect("what is no request at all is told too, without what was wrong in it", () =>
  run(
    Effect.gen(function* () {
      const { ended, told } = yield* listening
      const wrong = { requestId: "two\nlines", tenant: "t" }
      const errors = [
        yield* Effect.flip(ask(wrong)),
        yield* Effect.flip(Stream.runDrain(Orchestrator.stream(input(wrong)))),
        yield* Effect.flip(Effect.scoped(Orchestrator.open(input(wrong)))),
        yield* Effect.flip(Orchestrator.embed({ input: "hi", metadata: wrong })),
        yield* Effect.flip(Orchestrator.embed({ input: [] }))
      ]
      expect(new Set(errors.map(({ reason }) => reason._tag))).toEqual(new Set(["InvalidRequest"]))
      expect(told).toEqual(errors.flatMap(() => ["start router router", "end failed InvalidRequest"]))
      expect(ended.map(({ id }) => id.startsWith("req_"))).toEqual(errors.map(() => true))
    })
  )
)

it.effect("a guard refuses before anything is queued or asked, at every level that is passed", () =>
  run(
    Effect.gen(function* () {
      const control = yield* Control.Control
      const { told } = yield* listening
      const asked: Array<string> = []
      const scope = yield* Scope.make()
      const guarded = control.guard(({ kind, name }) => {
        asked.push(`${kind} ${name}`)
        return kind === "pool" ? LlmError.make({ reason: { _tag: "BudgetExhausted", of: "cost" } }) : undefined
      })
      yield* Scope.provide(guarded, scope)
      const error = yield* Effect.flip(ask({ wrapperName: "w" }))
      expect(error.reason._tag).toBe("BudgetExhausted")
      expect(asked).toEqual(["wrapper w", "pool pool"])
      expect(told).toEqual(["start wrapper w", "end failed BudgetExhausted"])
      yield* Scope.close(scope, Exit.void)
      expect((yield* ask({ wrapperName: "w" })).text).not.toBe("")
    })
  )
)

it.effect("who stops listening hears nothing more, and without listeners nothing is observed", () =>
  run(
    Effect.gen(function* () {
      const control = yield* Control.Control
      const { registry } = yield* Interpreter.Interpreter
      const scope = yield* Scope.make()
      const heard: Array<string> = []
      yield* Scope.provide(control.observe({ onEnd: ({ outcome }) => void heard.push(outcome) }), scope)
      yield* ask()
      yield* Scope.close(scope, Exit.void)
      yield* ask()
      expect([heard.length, registry.observers.isIdle()]).toEqual([1, true])
    })
  )
)

it("usage and cost are summed over what was paid, and unknown is not 0", () => {
  const attempt = (kind: "call" | "cache", cost: number | undefined): Route.Open => {
    const entry = Route.makeRecorder().begin({ kind, instance: "a", model: "m", echelon: undefined, now: 0 })
    return Object.assign(entry, { cost, usage: Usage.estimated(1, 2), outcome: "completed" })
  }
  const of = (...attempts: ReadonlyArray<Route.Open>) => ({ attempts })
  expect(Observation.cost(of(attempt("call", 1), attempt("call", undefined), attempt("call", 2)))).toBe(3)
  expect(Observation.cost(of(attempt("call", undefined)))).toBeUndefined()
  expect(Observation.cost(of(attempt("cache", undefined)))).toBe(0)
  expect(Observation.usage(of(attempt("cache", 1)))).toBeUndefined()
  expect(Observation.usage(of(attempt("call", 1), attempt("call", 1)))).toMatchObject({
    inputTokens: 2,
    outputTokens: 4,
    source: "estimated"
  })
})
