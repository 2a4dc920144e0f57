import { Llm, type LlmError, type LlmRequest, Member, Tiers } from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"

const reset: LlmError.Reason = { _tag: "Network", kind: "reset" }
const prefill = { capabilities: { features: ["prefill"] as const } }

const pool = Effect.fnUntraced(function* (
  onInterrupt: ReadonlyArray<LlmRequest.OnInterrupt>,
  scripts: ReadonlyArray<readonly [string, ScriptedLlm.Options["script"], Partial<ScriptedLlm.Options>?]>
) {
  const made = yield* Effect.forEach(scripts, ([id, script, more]) => ScriptedLlm.make({ id, script, ...more }))
  const llm = yield* Tiers.make({
    id: "pool",
    rotation: "priority",
    tiers: [
      {
        members: made.map((scripted, priority) => Member.make(scripted.llm, { onInterrupt, priority })),
        maxRetries: 3,
        maxInstances: 9
      }
    ]
  })
  return { llm, made }
})

/** What a caller sees: the text, and the error if there was one. */
const read = (llm: Llm.Llm, metadata: LlmRequest.Metadata = {}) =>
  Effect.gen(function* () {
    let text = ""
    const result = yield* Effect.result(
      Stream.runForEach(Llm.stream(llm, { prompt: "hi", metadata }), (part) =>
        Effect.sync(() => {
          if (part.type === "text-delta") text += part.delta
        })
      )
    )
    return { text, error: result._tag === "Failure" ? result.failure : undefined }
  })

it.effect("resume goes on from the delivered text, at an instance that takes a prefill", () =>
  Effect.gen(function* () {
    const { llm, made } = yield* pool(
      ["resume"],
      [
        ["a", ScriptedLlm.truncated("The sky ", reset), prefill],
        ["b", ScriptedLlm.text("never asked")],
        ["c", ScriptedLlm.text("is blue"), prefill]
      ]
    )
    expect(yield* read(llm)).toEqual({ text: "The sky is blue", error: undefined })
    expect(made.map((scripted) => [scripted.calls().length, scripted.open()])).toEqual([
      [1, 0],
      [0, 0],
      [1, 0]
    ])
    expect(made[2]?.calls()[0]?.request.messages.at(-1)).toMatchObject({ role: "assistant" })
    expect(made[2]?.calls()[0]?.request.deadline).toBeUndefined()
  })
)

it.effect("restart drops what was delivered; a different answer fails with the first cause", () =>
  Effect.gen(function* () {
    const same = yield* pool(
      ["restart"],
      [
        ["a", ScriptedLlm.truncated("The sky ", reset)],
        ["b", ScriptedLlm.text("The sky is blue")]
      ]
    )
    expect((yield* read(same.llm)).text).toBe("The sky is blue")
    const other = yield* pool(
      ["restart"],
      [
        ["a", ScriptedLlm.truncated("The sky ", reset)],
        ["b", ScriptedLlm.text("Because of the air")]
      ]
    )
    const { error, text } = yield* read(other.llm)
    expect([text, error?.reason._tag, error?.instance, error?.delivered]).toEqual([
      "The sky ",
      "Network",
      "a",
      "The sky "
    ])
    expect(error?.route?.length).toBe(2)
  })
)

it.effect("a list is tried in order, fail is the default, and a request may say otherwise", () =>
  Effect.gen(function* () {
    const scripts = [
      ["a", ScriptedLlm.truncated("The sky ", reset)],
      ["b", ScriptedLlm.text("The sky is blue")]
    ] as const
    const list = yield* pool(["resume", "restart"], scripts)
    expect((yield* read(list.llm)).text).toBe("The sky is blue")
    const fails = yield* pool(["fail"], scripts)
    expect((yield* read(fails.llm)).error?.reason._tag).toBe("Network")
    const own = yield* pool(["fail"], scripts)
    expect((yield* read(own.llm, { onInterrupt: "restart" })).error).toBeUndefined()
  })
)

it.effect("a delivered tool call forbids both", () =>
  Effect.gen(function* () {
    const { llm, made } = yield* pool(
      ["resume", "restart"],
      [
        ["a", [ScriptedLlm.parts({ type: "tool-params-start", id: "1", name: "f" }), ScriptedLlm.fail(reset)], prefill],
        ["b", ScriptedLlm.text("x"), prefill]
      ]
    )
    expect((yield* read(llm)).error?.reason._tag).toBe("Network")
    expect(made[1]?.calls().length).toBe(0)
  })
)

it.effect("rescues take from the budget, and end with it", () =>
  Effect.gen(function* () {
    const { llm, made } = yield* pool(["restart"], [["a", ScriptedLlm.truncated("The sky ", reset)]])
    const fiber = yield* Effect.forkChild(read(llm, { maxTotalAttempts: 3 }))
    yield* TestClock.adjust("1 minute")
    const { error, text } = yield* Fiber.join(fiber)
    expect([text, error?.reason._tag, error?.route?.length]).toEqual(["The sky ", "Network", 3])
    expect([made[0]?.calls().length, made[0]?.open()]).toEqual([3, 0])
  })
)

it.effect("who stops reading a rescued stream leaves nothing open", () =>
  Effect.gen(function* () {
    const { llm, made } = yield* pool(
      ["restart"],
      [
        ["a", ScriptedLlm.truncated("The sky ", reset)],
        ["b", [...ScriptedLlm.text("The sky is blue").slice(0, -2), ScriptedLlm.never]]
      ]
    )
    const fiber = yield* Effect.forkChild(read(llm), { startImmediately: true })
    expect(made[1]?.open()).toBe(1)
    yield* Fiber.interrupt(fiber)
    expect(made.map((scripted) => scripted.open())).toEqual([0, 0])
  })
)

it.effect("who broke the reply goes on only when nobody else can, in whatever tier", () =>
  Effect.gen(function* () {
    const asked = Effect.fnUntraced(function* (scripts: ReadonlyArray<readonly [string, ScriptedLlm.Script]>) {
      const made = yield* Effect.forEach(scripts, ([id, script]) =>
        ScriptedLlm.make({ id, script: (call) => (call === 0 ? script : ScriptedLlm.text("one two")) })
      )
      const llm = yield* Tiers.make({
        id: "pool",
        rotation: "priority",
        tiers: made.map((scripted) => ({
          members: [Member.make(scripted.llm, { onInterrupt: ["restart"] })],
          maxRetries: 1,
          maxInstances: 9
        }))
      })
      const fiber = yield* Effect.forkChild(read(llm), { startImmediately: true })
      yield* TestClock.adjust("10 seconds")
      const { error, text } = yield* Fiber.join(fiber)
      return { calls: made.map((scripted) => scripted.calls().length), text, error: error?.reason._tag }
    })
    const breaks = ScriptedLlm.truncated("one ", reset)
    const down = ScriptedLlm.fails({ _tag: "InvalidRequest" })
    const busy = ScriptedLlm.fails({ _tag: "Overloaded" })
    const whole = { text: "one two", error: undefined }
    expect(
      yield* asked([
        ["a", breaks],
        ["b", ScriptedLlm.text("one two")]
      ])
    ).toEqual({ calls: [1, 1], ...whole })
    expect(yield* asked([["a", breaks]])).toEqual({ calls: [2], ...whole })
    expect(
      yield* asked([
        ["a", breaks],
        ["b", busy]
      ])
    ).toEqual({ calls: [1, 2], ...whole })
    expect(
      yield* asked([
        ["a", breaks],
        ["b", down]
      ])
    ).toEqual({ calls: [1, 1], text: "one ", error: "Network" })
  })
)

it.effect("a request whose attempts are spent waits for no other", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.fails({ _tag: "Overloaded" }) })
    const llm = yield* Tiers.make({
      id: "pool",
      rotation: "priority",
      tiers: [{ members: [Member.make(scripted.llm)], maxRetries: 9, maxInstances: 1 }]
    })
    const ask = Llm.generate(llm, { prompt: "hi", metadata: { maxTotalAttempts: 2 } })
    const fiber = yield* Effect.forkChild(Effect.flip(ask), { startImmediately: true })
    // The one backoff there is lasts half a second at most.
    yield* TestClock.adjust("500 millis")
    expect(fiber.pollUnsafe()).toBeDefined()
    expect((yield* Fiber.join(fiber)).route).toHaveLength(2)
  })
)
