import { Attempt, Clocks, Llm, LlmError, LlmRequest } from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

const request = LlmRequest.make({ prompt: "hi" }, { stream: true, commit: "first_output" })
const overloaded = LlmError.make({ reason: { _tag: "Overloaded" } })

it.effect("what runs for an attempt ends when the attempt does, even if it cannot be interrupted", () =>
  Effect.gen(function* () {
    let attempt: Attempt.Attempt | undefined
    const fiber = yield* Effect.forkChild(
      Effect.flip(
        Attempt.open({}, (opened) => {
          attempt = opened
          return Effect.andThen(Effect.uninterruptible(Effect.sleep("1 hour")), Effect.fail(overloaded))
        })
      ),
      { startImmediately: true }
    )
    attempt?.settle({ _tag: "Failed", error: overloaded })
    expect((yield* Fiber.join(fiber)).reason._tag).toBe("Overloaded")
    yield* TestClock.adjust("1 hour")
  })
)

it.effect("an operator around a reply ends with it", () =>
  Effect.gen(function* () {
    const heard: Array<string> = []
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("one") })
    const asked = yield* request
    const reply = yield* Attempt.open({}, (outer) => {
      outer.onCommit(() => heard.push("commit"))
      outer.onSettle((outcome) => heard.push(outcome._tag))
      return scripted.llm.call(asked)
    })
    expect(heard).toEqual(["commit"])
    yield* Stream.runDrain(reply.parts)
    expect(heard).toEqual(["commit", "Completed"])
  })
)

it.effect("once a reply has come, only the clocks of its own attempt run", () =>
  Effect.gen(function* () {
    const text = ScriptedLlm.text("one")
    const scripted = yield* ScriptedLlm.make({
      id: "a",
      script: [...text.slice(0, -1), ScriptedLlm.wait("30 seconds"), ...text.slice(-1)]
    })
    const asked = yield* request
    const reply = yield* Attempt.open(
      { clocks: Clocks.make({ timeout: "1 second", consumerIdleTimeout: "2 seconds" }) },
      () => scripted.llm.call(asked)
    )
    const fiber = yield* Effect.forkChild(Stream.runCollect(reply.parts))
    yield* TestClock.adjust("30 seconds")
    expect((yield* Fiber.join(fiber)).at(-1)?.type).toBe("finish")
  })
)

it.effect("a failure of its own making while the caller closes the scope is a cancellation", () =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    let outcome: Attempt.Outcome | undefined
    const llm = Llm.make({
      id: "a",
      open: (_, attempt) =>
        Effect.gen(function* () {
          attempt.onSettle((settled) => {
            outcome = settled
          })
          // A transport fails when it is aborted, and is aborted before anything else hears of it.
          yield* Effect.addFinalizer(() => Effect.sync(() => attempt.settle({ _tag: "Failed", error: overloaded })))
          const source: Llm.Source = Effect.succeed([{ type: "text-delta", id: "0", delta: "x" }] as const)
          return source
        })
    })
    yield* Scope.provide(Effect.flatMap(request, llm.call), scope)
    yield* Scope.close(scope, Exit.void)
    expect(outcome).toEqual({ _tag: "Cancelled" })
  })
)

it.effect("a scope that is closed already lets nothing start", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("one") })
    const scope = yield* Scope.make()
    yield* Scope.close(scope, Exit.void)
    const error = yield* Effect.flip(Scope.provide(Effect.flatMap(request, scripted.llm.call), scope))
    expect([error.reason._tag, scripted.opened()]).toEqual(["Cancelled", 0])
  })
)

it.effect("a scope that serves many calls keeps nothing of those that have ended", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("one") })
    const scope = yield* Scope.make()
    const held = () =>
      scope.state._tag === "Open"
        ? (scope.state.finalizers?.size ?? 0) + (scope.state.finalizer === undefined ? 0 : 1)
        : 0
    for (let i = 0; i < 50; i++) {
      const reply = yield* Scope.provide(Effect.flatMap(request, scripted.llm.call), scope)
      yield* Stream.runDrain(reply.parts)
    }
    expect(held()).toBe(0)
  })
)
