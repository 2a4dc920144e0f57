import { Attempt, Llm, LlmError, LlmRequest, type Part } from "@echelon/core"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"

const streamed = (input: Partial<LlmRequest.Input> = {}) =>
  LlmRequest.make({ prompt: "hi", ...input }, { stream: true, commit: "first_output" })

const text = (reply: ReadonlyArray<Part.Part>) =>
  reply.map((part) => (part.type === "text-delta" ? part.delta : "")).join("")

it.effect("call succeeds at the first output, not at start-up metadata, and not later", () =>
  Effect.gen(function* () {
    const { llm } = yield* ScriptedLlm.make({
      id: "a",
      script: [
        ScriptedLlm.parts({ type: "response-metadata", id: "x" }, { type: "text-start", id: "0" }),
        ScriptedLlm.wait("1 second"),
        ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "" }),
        ScriptedLlm.wait("1 second"),
        ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "hel" }),
        ScriptedLlm.wait("1 second"),
        ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "lo" }),
        ScriptedLlm.finish()
      ]
    })
    const fiber = yield* Effect.forkScoped(llm.call(yield* streamed()))
    yield* TestClock.adjust("1999 millis")
    expect(fiber.pollUnsafe()).toBeUndefined()
    yield* TestClock.adjust("1 millis")
    const reply = yield* Fiber.join(fiber)
    expect((yield* reply.route)[0]).toMatchObject({ instance: "a", outcome: "open", firstOutputMs: 2_000 })
    const rest = yield* Effect.forkChild(Stream.runCollect(reply.parts))
    yield* TestClock.adjust("1 second")
    expect(text(yield* Fiber.join(rest))).toBe("hello")
    expect((yield* reply.route)[0]).toMatchObject({ outcome: "completed", elapsedMs: 3_000 })
  })
)

it.effect("with commit = finish a call succeeds when the whole reply is in hand", () =>
  Effect.gen(function* () {
    const { llm } = yield* ScriptedLlm.make({
      id: "a",
      script: [
        ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "hel" }),
        ScriptedLlm.fail({ _tag: "Overloaded" })
      ]
    })
    const request = yield* LlmRequest.make({ prompt: "hi" }, { stream: true, commit: "finish" })
    const error = yield* Effect.flip(llm.call(request))
    expect(error.reason._tag).toBe("Overloaded")
    expect(error.delivered ?? "").toBe("")
  })
)

it.effect("an empty answer commits at its finish part", () =>
  Effect.gen(function* () {
    const { llm } = yield* ScriptedLlm.make({ id: "a", script: [ScriptedLlm.finish()] })
    const answer = yield* Llm.generate(llm, { prompt: "hi" })
    expect([answer.text, answer.finishReason]).toEqual(["", "stop"])
  })
)

it.effect("a refusal without output is content policy; after output it is complete", () =>
  Effect.gen(function* () {
    const refusal = ScriptedLlm.finish({}, "content-filter")
    const silent = yield* ScriptedLlm.make({ id: "a", script: [refusal] })
    const error = yield* Effect.flip(Llm.generate(silent.llm, { prompt: "hi" }))
    expect(error.reason._tag).toBe("ContentPolicy")
    const spoken = yield* ScriptedLlm.make({
      id: "b",
      script: [ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "I" }), refusal]
    })
    expect((yield* Llm.generate(spoken.llm, { prompt: "hi" })).finishReason).toBe("content-filter")
  })
)

it.effect("a stream without a finish part failed, with what was delivered and the route", () =>
  Effect.gen(function* () {
    const { llm, open } = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.truncated("half an") })
    const seen: Array<Part.Part> = []
    const error = yield* Effect.flip(
      Stream.runForEach(Llm.stream(llm, { prompt: "hi" }), (part) => Effect.sync(() => seen.push(part)))
    )
    expect(error.reason._tag).toBe("MalformedOutput")
    expect(error.delivered).toBe("half an")
    expect(error.route).toMatchObject([{ instance: "a", outcome: "failed", reason: "MalformedOutput" }])
    expect(text(seen)).toBe("half an")
    expect(open()).toBe(0)
    expect((yield* Effect.flip(Llm.generate(llm, { prompt: "hi" }))).reason._tag).toBe("MalformedOutput")
  })
)

it.effect("nothing follows the finish part", () =>
  Effect.gen(function* () {
    const finish: Part.Part = { type: "finish", reason: "stop", usage: { inputTokens: {}, outputTokens: {} } }
    const { llm } = yield* ScriptedLlm.make({
      id: "a",
      script: [
        ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "a" }, finish, {
          type: "text-delta",
          id: "0",
          delta: "b"
        })
      ]
    })
    expect(text(yield* Stream.runCollect(Llm.stream(llm, { prompt: "hi" })))).toBe("a")
  })
)

it.effect("an error behind parts of one batch: before commit nobody sees them, after it they are delivered first", () =>
  Effect.gen(function* () {
    const delta = (text: string): Part.Part => ({ type: "text-delta", id: "0", delta: text })
    const error: Part.Part = { type: "error", error: LlmError.make({ reason: { _tag: "Overloaded" } }) }
    const early = yield* ScriptedLlm.make({ id: "a", script: [ScriptedLlm.parts(delta("a"), error)] })
    expect((yield* Effect.flip(early.llm.call(yield* streamed()))).reason._tag).toBe("Overloaded")
    const late = yield* ScriptedLlm.make({
      id: "a",
      script: [ScriptedLlm.parts(delta("a")), ScriptedLlm.parts(delta("b"), error), ScriptedLlm.finish()]
    })
    const seen: Array<Part.Part> = []
    const failed = yield* Effect.flip(
      Stream.runForEach(Llm.stream(late.llm, { prompt: "hi" }), (part) => Effect.sync(() => seen.push(part)))
    )
    expect([text(seen), failed.delivered, failed.reason._tag, late.open()]).toEqual(["ab", "ab", "Overloaded", 0])
  })
)

it.effect("the end of parts closes the attempt, an early take included", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({
      id: "a",
      script: [...ScriptedLlm.text("one two three").slice(0, -1), ScriptedLlm.never]
    })
    const reply = yield* scripted.llm.call(yield* streamed())
    expect(scripted.open()).toBe(1)
    expect((yield* Stream.runCollect(Stream.take(reply.parts, 2))).length).toBe(2)
    expect(scripted.open()).toBe(0)
    expect(reply.attempt.outcome()).toEqual({ _tag: "Cancelled" })
  })
)

it.effect("a scope that closes on an unread stream cancels it, and Effect.scoped(call) does not stream on", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("one two") })
    const reply = yield* Effect.scoped(Effect.flatMap(streamed(), scripted.llm.call))
    expect(scripted.open()).toBe(0)
    expect(reply.attempt.outcome()).toEqual({ _tag: "Cancelled" })
    const error = yield* Effect.flip(Stream.runCollect(reply.parts))
    expect(error.reason._tag).toBe("Cancelled")
    expect(error.message).toContain("the reply's scope has closed")
  })
)

it.effect("the seal is single-use", () =>
  Effect.gen(function* () {
    const { llm } = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("one two") })
    const reply = yield* llm.call(yield* streamed())
    expect(text(yield* Stream.runCollect(reply.parts))).toBe("one two")
    const error = yield* Effect.flip(Stream.runCollect(reply.parts))
    expect(error.message).toContain("its parts can be run once")
    expect(reply.attempt.outcome()?._tag).toBe("Completed")
  })
)

it.effect("a reader that waits for ever is woken when the scope closes elsewhere", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({
      id: "a",
      script: [ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "a" }), ScriptedLlm.never]
    })
    const scope = yield* Scope.make()
    const reply = yield* Scope.provide(Effect.flatMap(streamed(), scripted.llm.call), scope)
    const reader = yield* Effect.forkChild(Effect.flip(Stream.runCollect(reply.parts)), { startImmediately: true })
    yield* Scope.close(scope, Exit.void)
    expect((yield* Fiber.join(reader)).reason._tag).toBe("Cancelled")
    expect(scripted.open()).toBe(0)
  })
)

it.effect("a call goes on streaming after a timeout around it was met", () =>
  Effect.gen(function* () {
    const llm = Llm.make({
      id: "a",
      open: (_, attempt) =>
        Effect.gen(function* () {
          const parts: Array<Part.Part> = []
          const script = ["a", "b", "c"].map((delta): Part.Part => ({ type: "text-delta", id: "0", delta }))
          yield* Effect.forkIn(
            Effect.forEach(script, (part) =>
              Effect.andThen(
                Effect.sleep("1 second"),
                Effect.sync(() => parts.push(part))
              )
            ),
            attempt.scope
          )
          let sent = 0
          const source: Llm.Source = Effect.suspend(() => {
            const part = parts[sent]
            if (part === undefined)
              return sent === 3 ? Cause.done() : Effect.andThen(Effect.sleep("100 millis"), source)
            sent += 1
            return Effect.succeed([part] as const)
          })
          return source
        })
    })
    const calling = yield* Effect.forkScoped(Effect.timeout(Effect.flatMap(streamed(), llm.call), "5 seconds"))
    yield* TestClock.adjust("1100 millis")
    const reply = yield* Fiber.join(calling)
    const reading = yield* Effect.forkChild(Stream.runCollect(Stream.take(reply.parts, 3)))
    yield* TestClock.adjust("3 seconds")
    expect(text(yield* Fiber.join(reading))).toBe("abc")
  })
)

it.effect("an operator that throws a success away takes its attempt with it", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("one two") })
    const request = yield* streamed()
    const error = yield* Effect.flip(
      Attempt.open({}, () =>
        Effect.flatMap(scripted.llm.call(request), () => Effect.fail(LlmError.make({ reason: { _tag: "Overloaded" } })))
      )
    )
    expect(error.reason._tag).toBe("Overloaded")
    expect(scripted.open()).toBe(0)
  })
)

it.effect("nobody waits for an ending: a slow finalizer delays neither the failure nor the next attempt", () =>
  Effect.gen(function* () {
    let ended = false
    const slow = Llm.make({
      id: "slow",
      open: () =>
        Effect.andThen(
          Effect.addFinalizer(() =>
            Effect.andThen(
              Effect.sleep("1 hour"),
              Effect.sync(() => {
                ended = true
              })
            )
          ),
          Effect.fail(LlmError.make({ reason: { _tag: "Overloaded" } }))
        )
    })
    const error = yield* Effect.flip(Llm.generate(slow, { prompt: "hi" }))
    expect([error.reason._tag, error.instance, ended]).toEqual(["Overloaded", "slow", false])
    yield* TestClock.adjust("1 hour")
    expect(ended).toBe(true)
  })
)

it.effect("what a layer opens the instance joins: one scope, hooks once, commit before settle", () =>
  Effect.gen(function* () {
    const heard: Array<string> = []
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("one") })
    const request = yield* streamed()
    const reply = yield* Attempt.open(Attempt.optionsOf(request, "a"), (attempt) => {
      attempt.onCommit(() => heard.push("commit"))
      attempt.onSettle((outcome) => heard.push(outcome._tag))
      return scripted.llm.call({ ...request, attempt })
    })
    expect(heard).toEqual(["commit"])
    yield* Stream.runDrain(reply.parts)
    expect(heard).toEqual(["commit", "Completed"])
    reply.attempt.onSettle((outcome) => heard.push(`late ${outcome._tag}`))
    expect(heard).toEqual(["commit", "Completed", "late Completed"])
    expect(reply.attempt.settle({ _tag: "Cancelled" })).toBe(false)
  })
)

it.effect("raw events stay beside the parts", () =>
  Effect.gen(function* () {
    const raw = { event: "x", data: "{}" }
    const { llm } = yield* ScriptedLlm.make({
      id: "a",
      script: [ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "a", raw }), ScriptedLlm.finish()]
    })
    expect((yield* Stream.runCollect(Llm.stream(llm, { prompt: "hi" })))[0]?.raw).toBe(raw)
  })
)

it.effect("each clock ends the attempt, and is named", () =>
  Effect.gen(function* () {
    const out = ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "a" })
    const cases: ReadonlyArray<readonly [ScriptedLlm.Script, LlmRequest.Metadata, number, string]> = [
      [[ScriptedLlm.never], {}, 60_000, "attempt"],
      [[ScriptedLlm.never, ScriptedLlm.accepted], {}, 60_000, "attempt"],
      [[ScriptedLlm.never], { ttftTimeout: "2 seconds" }, 2_000, "ttft"],
      [[out, ScriptedLlm.never], {}, 60_000, "idle"],
      [[out, ScriptedLlm.wait("50 seconds"), out, ScriptedLlm.never], {}, 110_000, "idle"],
      [[out, ScriptedLlm.never], { streamTimeout: "5 seconds" }, 5_000, "stream"],
      [[ScriptedLlm.never], { timeout: "7 seconds" }, 7_000, "DeadlineExceeded"]
    ]
    for (const [script, metadata, at, clock] of cases) {
      const scripted = yield* ScriptedLlm.make({ id: "a", script })
      const fiber = yield* Effect.forkChild(
        Effect.flip(Stream.runCollect(Llm.stream(scripted.llm, { prompt: "hi", metadata })))
      )
      yield* TestClock.adjust(at - 1)
      expect(fiber.pollUnsafe()).toBeUndefined()
      yield* TestClock.adjust(1)
      const { instance, reason } = yield* Fiber.join(fiber)
      expect([instance, reason._tag === "Timeout" ? reason.clock : reason._tag]).toEqual(["a", clock])
      expect(scripted.open()).toBe(0)
    }
  })
)

it.effect("a consumer that stops pulling frees the slot, and idle stands still meanwhile", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("one two three") })
    const reply = yield* scripted.llm.call(yield* streamed())
    yield* TestClock.adjust("299 seconds")
    expect(reply.attempt.outcome()).toBeUndefined()
    yield* TestClock.adjust("1 second")
    expect(scripted.open()).toBe(0)
    const error = yield* Effect.flip(Stream.runCollect(reply.parts))
    expect(error.reason).toMatchObject({ _tag: "Timeout", clock: "consumer_idle" })
  })
)

it.effect("the deadline ends at commit", () =>
  Effect.gen(function* () {
    const { llm } = yield* ScriptedLlm.make({
      id: "a",
      script: [
        ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "a" }),
        ScriptedLlm.wait("30 seconds"),
        ScriptedLlm.finish()
      ]
    })
    const fiber = yield* Effect.forkChild(
      Stream.runCollect(Llm.stream(llm, { prompt: "hi", metadata: { timeout: "5 seconds" } }))
    )
    yield* TestClock.adjust("30 seconds")
    expect((yield* Fiber.join(fiber)).length).toBe(2)
  })
)

it.effect("an adapter that interrupts itself has cancelled, as a typed failure", () =>
  Effect.gen(function* () {
    const llm = Llm.make({ id: "a", open: () => Effect.interrupt })
    const request = yield* streamed()
    const error = yield* Effect.flip(llm.call(request))
    expect([error.reason._tag, request.recorder.snapshot(0)[0]?.outcome]).toEqual(["Cancelled", "cancelled"])
  })
)

it.effect("a defect in an adapter stays a defect, and holds nothing", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({
      id: "a",
      script: [ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "a" }), ScriptedLlm.die("broken")]
    })
    const exit = yield* Effect.exit(Stream.runCollect(Llm.stream(scripted.llm, { prompt: "hi" })))
    expect(Exit.isFailure(exit) && Cause.hasDies(exit.cause)).toBe(true)
    expect(scripted.open()).toBe(0)
  })
)

// Random interleavings: an instance that does anything, read by a consumer that does anything, interrupted at any time.

const step = Schema.Literals(["text", "reasoning", "tool", "meta", "wait", "finish", "fail", "end", "never", "die"])
const toStep = (kind: typeof step.Type): ScriptedLlm.Step => {
  switch (kind) {
    case "text":
      return ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "t" })
    case "reasoning":
      return ScriptedLlm.parts({ type: "reasoning-delta", id: "1", delta: "r" })
    case "tool":
      return ScriptedLlm.parts({ type: "tool-params-start", id: "2", name: "f" }, { type: "tool-params-end", id: "2" })
    case "meta":
      return ScriptedLlm.parts({ type: "response-metadata", id: "m" })
    case "wait":
      return ScriptedLlm.wait("1 second")
    case "finish":
      return ScriptedLlm.finish({ inputTokens: 1, outputTokens: 1 })
    case "fail":
      return ScriptedLlm.fail({ _tag: "Overloaded" })
    case "end":
      return ScriptedLlm.end
    case "never":
      return ScriptedLlm.never
    case "die":
      return ScriptedLlm.die("broken")
  }
}
const upTo = (maximum: number) => Schema.Int.check(Schema.isBetween({ minimum: 0, maximum }))

it.effect.prop(
  "three endings, one release, whatever interleaving and interruption",
  {
    script: Schema.Array(step).check(Schema.isMaxLength(8)),
    accept: upTo(2),
    commit: Schema.Literals(["first_output", "finish"]),
    consumer: Schema.Literals(["reads", "takes one", "leaves unread", "reads twice"]),
    interruptAfter: upTo(6)
  },
  ({ accept, commit, consumer, interruptAfter, script }) =>
    Effect.gen(function* () {
      const waits = Array.from({ length: accept }, () => ScriptedLlm.wait("1 second"))
      const scripted = yield* ScriptedLlm.make({
        id: "a",
        script: [...waits, ScriptedLlm.accepted, ...script.map(toStep)]
      })
      const outcomes: Array<Attempt.Outcome> = []
      let commits = 0
      const delivered: Array<Part.Part> = []
      const program = Effect.gen(function* () {
        const request = yield* LlmRequest.make({ prompt: "hi" }, { stream: true, commit })
        const reply = yield* Attempt.open(Attempt.optionsOf(request, "a"), (attempt) => {
          attempt.onSettle((outcome) => outcomes.push(outcome))
          attempt.onCommit(() => {
            commits += 1
          })
          return scripted.llm.call({ ...request, attempt })
        })
        expect(commits).toBe(1)
        const read = Stream.runForEach(consumer === "takes one" ? Stream.take(reply.parts, 1) : reply.parts, (part) =>
          Effect.sync(() => delivered.push(part))
        )
        if (consumer === "leaves unread") return
        yield* read
        if (consumer === "reads twice") yield* read
      })
      const fiber = yield* Effect.forkChild(Effect.scoped(program))
      yield* TestClock.adjust(interruptAfter * 700)
      const interrupting = yield* Effect.forkChild(Fiber.interrupt(fiber))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(interrupting)
      const exit = yield* Fiber.await(fiber)

      if (scripted.opened() === 0 && outcomes.length === 0) return
      expect(scripted.open()).toBe(0)
      expect(outcomes.length).toBe(1)
      const finished = delivered[delivered.length - 1]?.type === "finish"
      // Who takes one part of a batch that held the finish part has left a reply that did complete.
      if (consumer !== "takes one") expect(outcomes[0]?._tag === "Completed").toBe(finished)
      if (finished) expect(delivered.filter((part) => part.type === "finish").length).toBe(1)
      // A consumer that read to the end and succeeded has seen the finish part.
      if (consumer === "reads" && Exit.isSuccess(exit)) expect(finished).toBe(true)
      if (consumer === "reads twice") expect(Exit.isSuccess(exit)).toBe(false)
      const route = scripted.calls()[0]?.request.recorder.snapshot(0) ?? []
      expect(route.map((entry) => entry.outcome)).not.toContain("open")
    }),
  { arbitrary: { runs: 400 } }
)
