import { Llm, LlmError } from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"

const ask = { prompt: "hi" }

it.effect("answers with its text and reports usage", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("one two  three") })
    const answer = yield* Llm.generate(scripted.llm, ask)
    expect(answer.text).toBe("one two  three")
    expect(answer.usage).toMatchObject({ inputTokens: 1, outputTokens: 3, source: "reported" })
    expect(answer.route[0]).toMatchObject({ instance: "a", outcome: "completed" })
    expect(scripted.calls().map((call) => call.outcome()?._tag)).toEqual(["Completed"])
    expect([scripted.opened(), scripted.closed(), scripted.open()]).toEqual([1, 1, 0])
  })
)

it.effect("chooses a script by the number and the request of a call", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({
      id: "a",
      script: (callIndex, request) =>
        callIndex === 0 ? ScriptedLlm.fails({ _tag: "Overloaded" }) : ScriptedLlm.text(`${request.messages.length}`)
    })
    const error = yield* Effect.flip(Llm.generate(scripted.llm, ask))
    expect(error).toMatchObject({ instance: "a", reason: { _tag: "Overloaded" } })
    expect((yield* Llm.generate(scripted.llm, ask)).text).toBe("1")
    expect(scripted.calls().map((call) => [call.index, call.request.messages[0]?.content])).toEqual([
      [0, "hi"],
      [1, "hi"]
    ])
    expect(scripted.open()).toBe(0)
  })
)

it.effect("fails with an error as it is given", () =>
  Effect.gen(function* () {
    const given = LlmError.make({ reason: { _tag: "Authentication" }, detail: "bad key" })
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.fails(given) })
    expect((yield* Effect.flip(Llm.generate(scripted.llm, ask))).detail).toBe("bad key")
  })
)

it.effect("truncates an answer, silently or with a reason", () =>
  Effect.gen(function* () {
    const silent = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.truncated("cut off") })
    const broken = yield* ScriptedLlm.make({
      id: "b",
      script: ScriptedLlm.truncated("cut off", { _tag: "Network", kind: "reset" })
    })
    const first = yield* Effect.flip(Stream.runCollect(Llm.stream(silent.llm, ask)))
    const second = yield* Effect.flip(Stream.runCollect(Llm.stream(broken.llm, ask)))
    expect([first.reason._tag, first.delivered]).toEqual(["MalformedOutput", "cut off"])
    expect([second.reason._tag, second.delivered]).toEqual(["Network", "cut off"])
    expect(silent.open() + broken.open()).toBe(0)
  })
)

it.effect("waits by the clock, before and after it accepted the call", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({
      id: "a",
      script: [
        ScriptedLlm.wait("2 seconds"),
        ScriptedLlm.accepted,
        ScriptedLlm.wait("3 seconds"),
        ...ScriptedLlm.text("late")
      ]
    })
    const fiber = yield* Effect.forkChild(Llm.generate(scripted.llm, ask))
    yield* TestClock.adjust("4999 millis")
    expect(fiber.pollUnsafe()).toBeUndefined()
    expect(scripted.open()).toBe(1)
    yield* TestClock.adjust("1 millis")
    expect((yield* Fiber.join(fiber)).route[0]?.elapsedMs).toBe(5000)
    expect(scripted.calls()[0]?.startedAt).toBe(0)
  })
)

it.effect("never goes on, and closes when it is interrupted", () =>
  Effect.gen(function* () {
    for (const script of [[ScriptedLlm.never], [ScriptedLlm.never, ScriptedLlm.accepted]]) {
      const scripted = yield* ScriptedLlm.make({ id: "a", script })
      const fiber = yield* Effect.forkChild(Llm.generate(scripted.llm, ask))
      yield* TestClock.adjust("1 second")
      expect([scripted.opened(), scripted.open()]).toEqual([1, 1])
      yield* Fiber.interrupt(fiber)
      expect(scripted.open()).toBe(0)
      expect(scripted.calls()[0]?.outcome()?._tag).toBe("Cancelled")
    }
  })
)

it.effect("dies with a defect, and with one when its script delivers before it accepts", () =>
  Effect.gen(function* () {
    const boom = yield* ScriptedLlm.make({ id: "a", script: [ScriptedLlm.die(new Error("boom"))] })
    const early = yield* ScriptedLlm.make({ id: "b", script: [...ScriptedLlm.text("x"), ScriptedLlm.accepted] })
    for (const scripted of [boom, early]) {
      const exit = yield* Effect.exit(Llm.generate(scripted.llm, ask))
      expect(Exit.hasDies(exit)).toBe(true)
      expect(scripted.open()).toBe(0)
    }
  })
)

it.effect("is released by a reader that stops early", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("one two three") })
    yield* Stream.runDrain(Stream.take(Llm.stream(scripted.llm, ask), 2))
    expect(scripted.open()).toBe(0)
    expect(scripted.calls()[0]?.outcome()?._tag).toBe("Cancelled")
  })
)

it.effect("reports unknown usage when told to", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("x", {}) })
    expect((yield* Llm.generate(scripted.llm, ask)).usage.source).toBe("unknown")
  })
)
