import { Attempt, Clocks, Llm, LlmError, LlmReply, LlmRequest, type Part } from "@echelon/core"
import * as Rescue from "@echelon/core/Rescue"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { dice } from "./support/dice.ts"

const overloaded: LlmError.Reason = { _tag: "Overloaded" }
const reset: LlmError.Reason = { _tag: "Network", kind: "reset" }
const delta = (text: string, id = "0") => ScriptedLlm.parts({ type: "text-delta", id, delta: text })

interface Asked {
  readonly request: LlmRequest.LlmRequest
  readonly error: LlmError.LlmError
  readonly mode: string
  /** Calls that still held something when this was asked. */
  readonly open: number
}

/** Instances "a", "b", ... asked one after another; the first answers, the others rescue. */
const setUp = Effect.fnUntraced(function* (
  scripts: ReadonlyArray<ScriptedLlm.Options["script"]>,
  policies: ReadonlyArray<LlmRequest.OnInterrupt>,
  input: Partial<LlmRequest.Input> = {}
) {
  const instances = yield* Effect.forEach(scripts, (script, i) =>
    ScriptedLlm.make({ id: String.fromCharCode(97 + i), script })
  )
  const made = yield* LlmRequest.make({ prompt: "hi", ...input }, { stream: true, commit: "first_output" })
  const request = { ...made, clocks: Clocks.withOptions(Clocks.defaults, input.metadata ?? {}) }
  const asked: Array<Asked> = []
  const open = () => instances.reduce((sum, one) => sum + one.open(), 0)
  const none = LlmError.make({ reason: { _tag: "NoCapacity" } })
  const again: Rescue.Options["again"] = (request, error, mode) =>
    Effect.suspend(() => {
      asked.push({ request, error, mode, open: open() })
      const next = instances[asked.length]
      if (next === undefined) return Effect.fail(none)
      return Effect.map(next.llm.call(request), (reply) => ({ ...reply, instance: next.llm.id }))
    })
  const first = instances[0]
  if (first === undefined) throw new Error("no instance")
  const scope = yield* Scope.make()
  const reply = yield* Scope.provide(
    Effect.flatMap(
      Attempt.open({}, (attempt) => first.llm.call({ ...request, attempt })),
      (reply) => Rescue.wrap(reply, { ...request, attempt: reply.attempt }, { policies, instance: "a", again })
    ),
    scope
  )
  const ends: Array<Attempt.Outcome> = []
  reply.attempt.onSettle((outcome) => ends.push(outcome))
  return { asked, ends, instances, open, reply, request, scope }
})

const collect = (reply: LlmReply.LlmReply) => {
  const seen: Array<Part.Part> = []
  return Effect.map(
    Effect.result(Stream.runForEach(reply.parts, (part) => Effect.sync(() => void seen.push(part)))),
    (result) => ({ seen, text: LlmReply.toAnswer(seen, []).text, result })
  )
}
const errorOf = (result: { readonly result: { readonly _tag: string; readonly failure?: LlmError.LlmError } }) => {
  const { failure } = result.result
  if (failure === undefined) throw new Error("did not fail")
  return failure
}
const seams = (parts: ReadonlyArray<Part.Part>) =>
  parts.flatMap((part) => (part.type === "response-metadata" ? [part.metadata?.["echelon"]] : []))

it.effect("a resume goes on from the delivered text, and the text reads as one", () =>
  Effect.gen(function* () {
    const { asked, ends, open, reply } = yield* setUp(
      [ScriptedLlm.truncated("one two ", reset), ScriptedLlm.text("three four")],
      ["resume"],
      { metadata: { timeout: "1 minute" }, raw: { protocol: "openai-chat", body: {} } }
    )
    expect(reply.attempt.isCommitted()).toBe(true)
    const { seen, text } = yield* collect(reply)
    expect(text).toBe("one two three four")
    expect(seams(seen)).toEqual([{ seam: { from: "a", to: "b", mode: "resume" } }])
    expect(asked).toMatchObject([
      {
        mode: "resume",
        open: 0,
        error: { reason: reset },
        request: {
          messages: [
            { role: "user", content: "hi" },
            { role: "assistant", content: "one two" }
          ],
          deadline: undefined,
          raw: undefined,
          attempt: undefined
        }
      }
    ])
    expect(yield* reply.route).toMatchObject([
      { instance: "a", outcome: "failed", reason: "Network" },
      { instance: "b", outcome: "completed" }
    ])
    expect(ends).toEqual([
      { _tag: "Completed", usage: expect.objectContaining({ outputTokens: 4, source: "estimated" }) }
    ])
    expect(open()).toBe(0)
  })
)

it.effect("a restart answers anew and drops the delivered text", () =>
  Effect.gen(function* () {
    const scripts = [ScriptedLlm.truncated("one two "), ScriptedLlm.text("one two three four")]
    const pulled = yield* setUp(scripts, ["restart"])
    const pull = yield* Stream.toPull(pulled.reply.parts)
    yield* pull
    yield* pull
    expect((yield* pull).length).toBeGreaterThan(0)
    const { asked, open, reply } = yield* setUp(scripts, ["restart"])
    const { seen, text } = yield* collect(reply)
    expect(text).toBe("one two three four")
    expect(seams(seen)).toEqual([{ seam: { from: "a", to: "b", mode: "restart" } }])
    expect(asked).toMatchObject([{ mode: "restart", open: 0, request: { messages: [{ role: "user" }] } }])
    expect(open()).toBe(0)
  })
)

it.effect("a whole answer is passed on as it is, and completes once", () =>
  Effect.gen(function* () {
    const { asked, ends, open, reply } = yield* setUp([ScriptedLlm.text("one two")], ["resume", "restart"])
    const { seen } = yield* collect(reply)
    expect(seen.map((part) => part.type)).toEqual(["text-start", "text-delta", "text-delta", "text-end", "finish"])
    expect([asked.length, open()]).toEqual([0, 0])
    expect(ends).toEqual([{ _tag: "Completed", usage: expect.objectContaining({ source: "reported" }) }])
  })
)

it.effect("policies are tried in order; when none succeeds, what broke the stream is raised with all behind it", () =>
  Effect.gen(function* () {
    for (const [policies, modes] of [
      [
        ["resume", "restart"],
        ["resume", "restart"]
      ],
      [
        ["restart", "resume"],
        ["restart", "resume"]
      ],
      [["resume", "fail", "restart"], ["resume"]],
      [["restart", "restart"], ["restart"]],
      [["fail", "restart"], []]
    ] as const) {
      const { asked, ends, open, reply } = yield* setUp(
        [
          ScriptedLlm.truncated("one ", reset),
          ScriptedLlm.fails(overloaded),
          ScriptedLlm.fails({ _tag: "Authentication" })
        ],
        policies
      )
      const result = yield* collect(reply)
      const error = errorOf(result)
      expect([asked.map(({ mode }) => mode), error.reason, error.instance, error.delivered, open()]).toEqual([
        modes,
        reset,
        "a",
        "one ",
        0
      ])
      expect(error.route?.length).toBe(1 + modes.length)
      expect(ends).toMatchObject([{ _tag: "Failed", error: { reason: reset } }])
    }
  })
)

it.effect("when a resume finds nobody, a restart may", () =>
  Effect.gen(function* () {
    const { asked, reply } = yield* setUp(
      [ScriptedLlm.truncated("one "), ScriptedLlm.fails(overloaded), ScriptedLlm.text("one two")],
      ["resume", "restart"]
    )
    const { seen, text } = yield* collect(reply)
    expect([text, asked.map(({ mode }) => mode)]).toEqual(["one two", ["resume", "restart"]])
    expect(seams(seen)).toEqual([{ seam: { from: "a", to: "c", mode: "restart" } }])
  })
)

it.effect("a restart that goes another way fails with the first cause, and nobody else is asked", () =>
  Effect.gen(function* () {
    const { asked, ends, instances, open, reply } = yield* setUp(
      [ScriptedLlm.truncated("one two ", reset), ScriptedLlm.text("one 2 three"), ScriptedLlm.text("one two")],
      ["restart", "resume"]
    )
    const result = yield* collect(reply)
    const error = errorOf(result)
    expect([error.reason, error.delivered, result.text, asked.length, open()]).toEqual([
      reset,
      "one two ",
      "one two ",
      1,
      0
    ])
    expect(instances[1]?.calls()[0]?.outcome()).toEqual({ _tag: "Cancelled" })
    expect(seams(result.seen)).toEqual([])
    expect(ends.length).toBe(1)
  })
)

it.effect("breaks in a row are met one after another, within the budget; the first cause stands", () =>
  Effect.gen(function* () {
    const scripts = [
      ScriptedLlm.truncated("one ", reset),
      ScriptedLlm.truncated("two ", overloaded),
      ScriptedLlm.truncated("three ", { _tag: "ProviderError" }),
      ScriptedLlm.text("four")
    ]
    const whole = yield* setUp(scripts, ["resume"], { metadata: { maxTotalAttempts: 4 } })
    const { seen, text } = yield* collect(whole.reply)
    expect(text).toBe("one two three four")
    expect(seams(seen)).toMatchObject([
      { seam: { from: "a", to: "b" } },
      { seam: { from: "b", to: "c" } },
      { seam: { from: "c", to: "d" } }
    ])
    const ids = seen.flatMap((part) => (part.type === "text-start" ? [part.id] : []))
    expect(new Set(ids).size).toBe(4)
    expect(whole.asked.map(({ open, error }) => [open, error.reason._tag])).toEqual([
      [0, "Network"],
      [0, "Overloaded"],
      [0, "ProviderError"]
    ])
    const short = yield* setUp(scripts, ["resume"], { metadata: { maxTotalAttempts: 3 } })
    const error = errorOf(yield* collect(short.reply))
    expect([error.reason, error.delivered]).toEqual([reset, "one two three "])
    expect(error.route?.map(({ reason }) => reason)).toEqual(["Network", "Overloaded", "ProviderError"])
  })
)

it.effect("delivered tool arguments and failures that are nobody's to mend are not met", () =>
  Effect.gen(function* () {
    const tool = ScriptedLlm.parts({ type: "tool-params-start", id: "t", name: "f" })
    for (const script of [
      [delta("one"), tool, ScriptedLlm.fail(overloaded)],
      [tool, delta("one"), ScriptedLlm.fail(overloaded)],
      [delta("one"), ScriptedLlm.fail({ _tag: "ContentPolicy" })],
      [delta("one"), ScriptedLlm.fail({ _tag: "InvalidRequest" })]
    ]) {
      const { asked, ends, open, reply } = yield* setUp([script, ScriptedLlm.text("one two")], ["resume", "restart"])
      const error = errorOf(yield* collect(reply))
      expect([asked.length, error.delivered, open(), ends.length]).toEqual([0, "one", 0, 1])
    }
    const refused = yield* setUp([[delta("one"), ScriptedLlm.finish({}, "content-filter")]], ["resume"])
    expect((yield* collect(refused.reply)).result._tag).toBe("Success")
    const once = yield* setUp(
      [ScriptedLlm.truncated("one "), [delta("two"), tool, ScriptedLlm.fail(overloaded)], ScriptedLlm.text("x")],
      ["resume"]
    )
    expect(errorOf(yield* collect(once.reply)).reason._tag).toBe("MalformedOutput")
    expect([once.asked.length, once.open()]).toEqual([1, 0])
  })
)

it.effect("a defect is raised as it is", () =>
  Effect.gen(function* () {
    const inner = yield* setUp([[delta("one"), ScriptedLlm.die("broken")], ScriptedLlm.text("x")], ["resume"])
    const exit = yield* Effect.exit(Stream.runDrain(inner.reply.parts))
    expect(Exit.isFailure(exit) && exit.cause.reasons.map(({ _tag }) => _tag)).toEqual(["Die"])
    expect([inner.asked.length, inner.open(), inner.ends]).toMatchObject([0, 0, [{ _tag: "Failed" }]])
    const later = yield* setUp([ScriptedLlm.truncated("one"), [ScriptedLlm.die("broken")]], ["resume", "restart"])
    const died = yield* Effect.exit(Stream.runDrain(later.reply.parts))
    expect(Exit.isFailure(died) && died.cause.reasons.map(({ _tag }) => _tag)).toEqual(["Die"])
    expect([later.asked.length, later.open(), later.ends.length]).toEqual([1, 0, 1])
  })
)

it.effect("parts can be run once", () =>
  Effect.gen(function* () {
    const { reply } = yield* setUp([ScriptedLlm.truncated("one "), ScriptedLlm.text("two")], ["resume"])
    yield* collect(reply)
    const error = errorOf(yield* collect(reply))
    expect([error.reason._tag, error.detail]).toMatchObject(["Cancelled", expect.stringContaining("already read")])
    const under = yield* setUp([[delta("one"), ScriptedLlm.never]], ["resume"])
    const fiber = yield* Effect.forkChild(Stream.runDrain(under.reply.parts))
    yield* TestClock.adjust(1)
    expect(errorOf(yield* collect(under.reply)).reason._tag).toBe("Cancelled")
    expect(under.open()).toBe(1)
    yield* Fiber.interrupt(fiber)
    expect(under.open()).toBe(0)
  })
)

it.effect("an early end, an interruption and a closed scope cancel whatever is current", () =>
  Effect.gen(function* () {
    const slow: ScriptedLlm.Script = [ScriptedLlm.wait("1 second"), ...ScriptedLlm.text("two three"), ScriptedLlm.never]
    const make = setUp([ScriptedLlm.truncated("one "), slow], ["resume"])

    const early = yield* make
    const taken = yield* Effect.forkChild(Stream.runDrain(Stream.take(early.reply.parts, 3)))
    yield* TestClock.adjust("1 second")
    yield* Fiber.join(taken)
    expect([early.open(), early.ends]).toEqual([0, [{ _tag: "Cancelled" }]])

    for (const millis of [0, 500, 1_000]) {
      const cut = yield* make
      const reading = yield* Effect.forkChild(
        Stream.runForEach(cut.reply.parts, (part) =>
          part.type === "text-delta" && part.delta === "three" ? Effect.never : Effect.void
        )
      )
      yield* TestClock.adjust(millis)
      expect(cut.open()).toBe(1)
      yield* Fiber.interrupt(reading)
      expect([millis, cut.open(), cut.ends]).toEqual([millis, 0, [{ _tag: "Cancelled" }]])
    }

    for (const millis of [0, 500, 1_000]) {
      const closed = yield* make
      const reading = yield* Effect.forkChild(
        Effect.exit(
          Stream.runForEach(closed.reply.parts, (part) =>
            part.type === "text-delta" && part.delta === "three" ? Effect.sleep("1 second") : Effect.void
          )
        )
      )
      yield* TestClock.adjust(millis)
      yield* Scope.close(closed.scope, Exit.void)
      yield* TestClock.adjust("1 second")
      const exit = yield* Fiber.join(reading)
      expect([closed.open(), closed.ends]).toEqual([0, [{ _tag: "Cancelled" }]])
      const failure = exit._tag === "Failure" ? exit.cause.reasons[0] : undefined
      expect(failure?._tag === "Fail" && failure.error.reason._tag).toBe("Cancelled")
    }

    const unread = yield* make
    yield* Scope.close(unread.scope, Exit.void)
    expect([unread.open(), unread.ends]).toEqual([0, [{ _tag: "Cancelled" }]])
    expect(errorOf(yield* collect(unread.reply)).reason._tag).toBe("Cancelled")
  })
)

it.effect("ending the outer attempt ends the wait, be it for parts or for another instance", () =>
  Effect.gen(function* () {
    for (const scripts of [[[delta("one"), ScriptedLlm.never]], [ScriptedLlm.truncated("one "), [ScriptedLlm.never]]]) {
      const { ends, open, reply } = yield* setUp(scripts, ["resume"])
      const fiber = yield* Effect.forkChild(collect(reply))
      yield* TestClock.adjust(10)
      expect(open()).toBe(1)
      reply.attempt.settle({ _tag: "Failed", error: LlmError.make({ reason: { _tag: "ProviderError" } }) })
      const error = errorOf(yield* Fiber.join(fiber))
      expect([error.reason._tag, open(), ends.length]).toEqual(["ProviderError", 0, 1])
    }
  })
)

it.effect("ends without a pull are heard: the outer attempt's by the inner one, the inner one's by the outer", () =>
  Effect.gen(function* () {
    const outer = yield* setUp([[delta("one"), ScriptedLlm.never]], ["resume"])
    outer.reply.attempt.settle({ _tag: "Cancelled" })
    expect(outer.open()).toBe(0)

    const { llm } = yield* ScriptedLlm.make({ id: "a", script: [delta("one"), ScriptedLlm.never] })
    const request = yield* LlmRequest.make({ prompt: "hi" }, { stream: true, commit: "first_output" })
    const scope = yield* Scope.make()
    const first = yield* Scope.provide(llm.call(request), scope)
    const reply = yield* Rescue.wrap(first, request, {
      policies: ["resume"],
      instance: "a",
      again: () => Effect.die("asked")
    })
    yield* Scope.close(scope, Exit.void)
    expect(reply.attempt.outcome()).toEqual({ _tag: "Cancelled" })
  })
)

it.effect("what is waited for and held while asking ends with the ask, and what a reply needs with the reply", () =>
  Effect.gen(function* () {
    const held: Array<string> = []
    const hold = (name: string) =>
      Effect.acquireRelease(
        Effect.sync(() => void held.push(name)),
        () => Effect.sync(() => void held.splice(held.indexOf(name), 1))
      )
    const { llm } = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.truncated("one ") })
    const next = yield* ScriptedLlm.make({ id: "b", script: ScriptedLlm.text("one two") })
    const request = yield* LlmRequest.make({ prompt: "hi" }, { stream: true, commit: "first_output" })
    const open = (again: Rescue.Options["again"]) =>
      Effect.flatMap(llm.call(request), (first) =>
        Rescue.wrap(first, request, { policies: ["resume", "restart"], instance: "a", again })
      )
    const answers = yield* open((request, error, mode) => {
      expect(held).toEqual([])
      return Effect.andThen(
        hold(mode),
        mode === "resume"
          ? Effect.fail(error)
          : Effect.map(next.llm.call(request), (reply) => ({ ...reply, instance: "b" }))
      )
    })
    const seen = yield* Effect.forkChild(
      Stream.runForEach(answers.parts, (part) =>
        Effect.sync(() => part.type === "text-end" && part.id !== "0" && expect(held).toEqual(["restart"]))
      )
    )
    yield* Fiber.join(seen)
    expect(held).toEqual([])

    let asked = 0
    const waits = yield* open((_, __, mode) => {
      asked += 1
      return Effect.andThen(hold(mode), Effect.never)
    })
    const fiber = yield* Effect.forkChild(collect(waits))
    yield* TestClock.adjust(1)
    expect(held).toEqual(["resume"])
    waits.attempt.settle({ _tag: "Cancelled" })
    expect(held).toEqual([])
    expect([asked, errorOf(yield* Fiber.join(fiber)).reason._tag]).toEqual([1, "Cancelled"])
  })
)

it.effect("a pull that is interrupted while another instance is asked can be made again", () =>
  Effect.gen(function* () {
    const slow = (n: number) => [ScriptedLlm.wait(n === 0 ? "10 seconds" : 0), ...ScriptedLlm.text("one two")]
    const { asked, open, reply } = yield* setUp([ScriptedLlm.truncated("one "), slow, slow], ["restart"])
    const pull = yield* Stream.toPull(reply.parts)
    yield* pull
    const first = yield* Effect.forkChild(pull)
    yield* TestClock.adjust("5 seconds")
    yield* Fiber.interrupt(first)
    expect([asked.length, open(), reply.attempt.outcome()]).toEqual([1, 0, undefined])
    const second = yield* Effect.forkChild(pull)
    yield* TestClock.adjust("10 seconds")
    expect(seams(yield* Fiber.join(second))).toMatchObject([{ seam: { from: "a", to: "c" } }])
  })
)

it.effect("a layer above an instance may break its reply", () =>
  Effect.gen(function* () {
    const layered = Effect.fnUntraced(function* (reason: LlmError.Reason) {
      const inner = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("one two three") })
      const next = yield* ScriptedLlm.make({
        id: "b",
        script: [delta("two "), ScriptedLlm.wait("6 minutes"), ...ScriptedLlm.text("three")]
      })
      const request = yield* LlmRequest.make(
        { prompt: "hi", metadata: { idleTimeout: "10 minutes" } },
        { stream: true, commit: "first_output" }
      )
      let closed = false
      const asked: Array<unknown> = []
      const first = yield* inner.llm.call(request)
      const parts = first.parts.pipe(
        Stream.mapEffect((part) =>
          part.type === "text-delta" && part.delta === "two "
            ? Effect.fail(LlmError.make({ reason, instance: "layer" }))
            : Effect.succeed(part)
        ),
        (parts) =>
          Effect.as(
            Effect.addFinalizer(() =>
              Effect.sync(() => {
                closed = true
              })
            ),
            parts
          ),
        Stream.unwrap
      )
      const reply = yield* Rescue.wrap({ ...first, parts }, request, {
        policies: ["resume"],
        instance: "a",
        again: (request) => {
          asked.push([inner.open(), closed])
          return Effect.map(next.llm.call(request), (reply) => ({ ...reply, instance: "b" }))
        }
      })
      const reading = yield* Effect.forkChild(collect(reply))
      yield* TestClock.adjust("6 minutes")
      return { asked, inner, reply, answer: yield* Fiber.join(reading) }
    })
    const rescued = yield* layered(overloaded)
    expect([rescued.answer.text, rescued.asked]).toEqual(["one two three", [[0, true]]])
    expect(rescued.inner.calls()[0]?.outcome()).toMatchObject({ _tag: "Failed", error: { reason: overloaded } })
    for (const [reason, end] of [
      [{ _tag: "InvalidRequest" }, { _tag: "Failed", error: { instance: "layer" } }],
      [{ _tag: "Cancelled" }, { _tag: "Cancelled" }]
    ] satisfies ReadonlyArray<[LlmError.Reason, unknown]>) {
      const left = yield* layered(reason)
      const error = errorOf(left.answer)
      expect([left.asked.length, error.reason, error.delivered, left.inner.open()]).toEqual([0, reason, "one ", 0])
      expect(left.reply.attempt.outcome()).toMatchObject(end)
    }
  })
)

it.effect("parts are pulled only when the consumer pulls, and the clocks of each attempt run on", () =>
  Effect.gen(function* () {
    const pulled: Array<string> = []
    const metadata = { idleTimeout: "10 seconds", consumerIdleTimeout: "1 minute" } as const
    const counted: Llm.Llm = Llm.make({
      id: "b",
      open: () =>
        Effect.sync(() => {
          let n = 0
          return Effect.sync(() => {
            pulled.push(String(++n))
            return [{ type: "text-delta", id: "0", delta: `${n} ` }] as const
          })
        })
    })
    const { llm } = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.truncated("0 ") })
    const made = yield* LlmRequest.make({ prompt: "hi", metadata }, { stream: true, commit: "first_output" })
    const reply = yield* Effect.flatMap(llm.call(made), (first) =>
      Rescue.wrap(first, made, {
        policies: ["resume"],
        instance: "a",
        again: (request) => Effect.map(counted.call(request), (reply) => ({ ...reply, instance: "b" }))
      })
    )
    const pull = yield* Stream.toPull(reply.parts)
    for (const count of [0, 1, 2, 3]) {
      yield* pull
      expect(pulled.length).toBe(count)
    }
    yield* TestClock.adjust("59 seconds")
    yield* pull
    expect(pulled.length).toBe(4)
    yield* TestClock.adjust("61 seconds")
    expect(reply.attempt.outcome()).toMatchObject({ _tag: "Failed", error: { reason: { clock: "consumer_idle" } } })
    const error = yield* Effect.flip(pull)
    expect(error).toMatchObject({ reason: { _tag: "Timeout", clock: "consumer_idle" }, delivered: "0 1 2 3 4 " })
  })
)

it.effect("an instance that falls silent is left for another by its idle clock", () =>
  Effect.gen(function* () {
    const { open, reply } = yield* setUp(
      [[delta("one "), ScriptedLlm.never], [delta("two "), ScriptedLlm.never], ScriptedLlm.text("three")],
      ["resume"],
      { metadata: { idleTimeout: "10 seconds" } }
    )
    const fiber = yield* Effect.forkChild(collect(reply))
    yield* TestClock.adjust("10 seconds")
    expect(open()).toBe(1)
    yield* TestClock.adjust("10 seconds")
    expect((yield* Fiber.join(fiber)).text).toBe("one two three")
  })
)

it.effect("a break that nobody reads holds nothing, is met at the next pull, and ends by the consumer's clock", () =>
  Effect.gen(function* () {
    const metadata = { streamTimeout: "10 seconds", consumerIdleTimeout: "1 minute" } as const
    const silent: ScriptedLlm.Script = [delta("one "), ScriptedLlm.never]
    const scripts = [silent, ScriptedLlm.text("two")]
    const late = yield* setUp(scripts, ["resume"], { metadata })
    yield* TestClock.adjust("69 seconds")
    expect([late.open(), late.ends, late.asked.length]).toEqual([0, [], 0])
    expect((yield* collect(late.reply)).text).toBe("two")
    expect(late.asked).toMatchObject([{ mode: "restart", error: { reason: { _tag: "Timeout", clock: "stream" } } }])
    yield* TestClock.adjust("2 minutes")
    expect(late.ends).toMatchObject([{ _tag: "Completed" }])

    const lasting = yield* setUp(
      [silent, [delta("two "), ScriptedLlm.wait("55 seconds"), ...ScriptedLlm.text("two")]],
      ["resume"],
      {
        metadata: { ...metadata, idleTimeout: "1 minute", streamTimeout: "57 seconds" }
      }
    )
    yield* TestClock.adjust("100 seconds")
    const reading = yield* Effect.forkChild(collect(lasting.reply))
    yield* TestClock.adjust("55 seconds")
    expect((yield* Fiber.join(reading)).text).toBe("two two")

    const never = yield* setUp(scripts, ["resume"], { metadata })
    yield* TestClock.adjust("70 seconds")
    expect(never.ends).toMatchObject([{ _tag: "Failed", error: { reason: { clock: "consumer_idle" } } }])
    expect(errorOf(yield* collect(never.reply)).reason).toMatchObject({ clock: "consumer_idle" })
    expect(never.asked.length).toBe(0)

    const later = yield* setUp([ScriptedLlm.truncated("one "), silent], ["resume"], { metadata })
    const pull = yield* Stream.toPull(later.reply.parts)
    yield* pull
    yield* pull
    yield* TestClock.adjust("70 seconds")
    expect(later.ends).toMatchObject([{ error: { reason: { clock: "consumer_idle" }, instance: "b" } }])
  })
)

it.effect("a rescued reply can itself be rescued", () =>
  Effect.gen(function* () {
    const inner = yield* setUp(
      [ScriptedLlm.truncated("one ", reset), ScriptedLlm.truncated("two ", overloaded)],
      ["resume"]
    )
    const last = yield* ScriptedLlm.make({ id: "z", script: ScriptedLlm.text("three") })
    const outer = yield* Rescue.wrap(inner.reply, inner.request, {
      policies: ["resume"],
      instance: "inner",
      again: (request) => Effect.map(last.llm.call(request), (reply) => ({ ...reply, instance: "z" }))
    })
    const { seen, text } = yield* collect(outer)
    expect(text).toBe("one two three")
    expect(seams(seen)).toMatchObject([{ seam: { from: "a", to: "b" } }, { seam: { from: "inner", to: "z" } }])
    expect([inner.open(), last.open()]).toEqual([0, 0])
    expect(outer.attempt.outcome()).toMatchObject({ _tag: "Completed" })
    expect(inner.reply.attempt.outcome()).toMatchObject({ _tag: "Failed", error: { reason: reset } })
  })
)

const truth = "ab c\nde fgh  ij"

type Dice = ReturnType<typeof dice>
const times = <A>(n: number, f: () => A): ReadonlyArray<A> => Array.from({ length: n }, f)

const scriptedBy = ({ below, of, random }: Dice, isFirst: boolean) => ({
  /** How the answer is cut, in characters. */
  cuts: times(1 + below(5), () => 1 + below(5)),
  waits: times(5, () => (random() < 0.5 ? 0 : below(53))),
  /** What happens after the cuts; `whole` says the rest and finishes. */
  last:
    random() < (isFirst ? 0.1 : 0.4)
      ? ("whole" as const)
      : of(["end", "end", "Overloaded", "Network", "never", "tool", "lies", "ContentPolicy"] as const),
  connect: random() < 0.5 ? 0 : below(131),
  refuses: random() < 0.15,
  reasons: random() < 0.3
})

/** What an instance does: it says the truth, from where the conversation stands. */
const scriptOf =
  (one: ReturnType<typeof scriptedBy>) =>
  (_: number, request: LlmRequest.LlmRequest): ScriptedLlm.Script => {
    const last = request.messages.at(-1)
    const from = last?.role === "assistant" ? String(last.content).length : 0
    let rest = truth.slice(from)
    const steps: Array<ScriptedLlm.Step> = [ScriptedLlm.wait(one.connect)]
    if (one.refuses && request.budget.attemptsLeft() < 4) steps.push(ScriptedLlm.fail({ _tag: "Authentication" }))
    steps.push(ScriptedLlm.accepted)
    if (one.reasons) steps.push(ScriptedLlm.parts({ type: "reasoning-delta", id: "r", delta: "hm" }))
    steps.push(ScriptedLlm.parts({ type: "text-start", id: "0" }))
    for (const [i, cut] of one.cuts.entries()) {
      if (rest === "") break
      steps.push(ScriptedLlm.wait(one.waits[i] ?? 0), delta(rest.slice(0, cut)))
      rest = rest.slice(cut)
    }
    switch (one.last) {
      case "whole":
        return [
          ...steps,
          ...(rest === "" ? [] : [delta(rest)]),
          ScriptedLlm.parts({ type: "text-end", id: "0" }),
          ScriptedLlm.finish({ inputTokens: 1, outputTokens: 1 })
        ]
      case "end":
        return [...steps, ScriptedLlm.end]
      case "never":
        return [...steps, ScriptedLlm.never]
      case "tool":
        return [
          ...steps,
          ScriptedLlm.parts({ type: "tool-params-start", id: "t", name: "f" }),
          ScriptedLlm.fail(overloaded)
        ]
      case "lies":
        return [...steps, delta("#"), ScriptedLlm.fail(overloaded)]
      case "Network":
        return [...steps, ScriptedLlm.fail(reset)]
      default:
        return [...steps, ScriptedLlm.fail({ _tag: one.last })]
    }
  }

it.effect.prop(
  "whatever breaks whenever: one end, nothing leaks, the text is true, and the first cause stands",
  { seed: Schema.Int },
  ({ seed }) =>
    Effect.gen(function* () {
      const die = dice(seed)
      const { below, of, random } = die
      const instances = [true, false, false].map((isFirst) => scriptedBy(die, isFirst))
      const policies = of<ReadonlyArray<LlmRequest.OnInterrupt>>([
        ["resume"],
        ["restart"],
        ["resume", "restart"],
        ["restart", "resume"],
        ["resume", "fail", "restart"]
      ])
      const pauses = times(4, () => (random() < 0.7 ? 0 : below(106)))
      const take = random() < 0.8 ? 99 : 1 + below(10)
      const stop = of(["no", "no", "no", "interrupt", "scope"])
      const stopAt = below(400)
      const made = yield* Effect.forEach(instances, (one, i) =>
        ScriptedLlm.make({ id: `i${i}`, script: scriptOf(one) })
      )
      const open = () => made.reduce((sum, one) => sum + one.open(), 0)
      const request = yield* LlmRequest.make(
        {
          prompt: "hi",
          metadata: {
            maxTotalAttempts: 5,
            ttftTimeout: 120,
            idleTimeout: 50,
            consumerIdleTimeout: 100,
            ...(stopAt % 3 === 0 ? { streamTimeout: 200 } : {})
          }
        },
        { stream: true, commit: "first_output" }
      )
      let asked = 0
      let leaked = 0
      const ask = (at: number, request: LlmRequest.LlmRequest) =>
        Effect.suspend(() => {
          const one = made[at % made.length]
          return one === undefined
            ? Effect.die("no instance")
            : Effect.map(one.llm.call(request), (reply) => ({ ...reply, instance: one.llm.id }))
        })
      const scope = yield* Scope.make()
      const ends: Array<Attempt.Outcome> = []
      const seen: Array<Part.Part> = []
      let pulls = 0
      const read = Effect.gen(function* () {
        const first = yield* ask(0, request)
        const again: Rescue.Options["again"] = (request) => {
          asked += 1
          leaked += open()
          return ask(asked, request)
        }
        const reply = yield* Rescue.wrap(first, request, {
          policies,
          instance: first.instance,
          again
        })
        reply.attempt.onSettle((outcome) => ends.push(outcome))
        yield* Stream.runForEach(take < 99 ? Stream.take(reply.parts, take) : reply.parts, (part) => {
          seen.push(part)
          const pause = pauses[pulls++ % pauses.length] ?? 0
          return pause === 0 ? Effect.void : Effect.sleep(pause)
        })
      })
      const reading = yield* Effect.forkChild(Effect.exit(Scope.provide(read, scope)))
      yield* TestClock.adjust(stopAt)
      if (stop === "interrupt") {
        yield* Fiber.interrupt(reading)
        expect(open()).toBe(0)
      } else if (stop === "scope") {
        yield* Scope.close(scope, Exit.void)
        expect(open()).toBe(0)
      }
      yield* TestClock.adjust(20_000)
      const exit = yield* Fiber.await(reading)
      yield* Scope.close(scope, Exit.void)
      expect([open(), leaked]).toEqual([0, 0])
      if (ends.length === 0) return
      expect(ends.length).toBe(1)
      const [end] = ends
      const text = LlmReply.toAnswer(seen, []).text
      const lied = instances.some((one) => one.last === "lies")
      if (!lied) expect(truth.startsWith(text)).toBe(true)
      expect(asked).toBeLessThanOrEqual(4 * 2 + 2)
      expect(request.recorder.size()).toBeLessThanOrEqual(5)
      const shown = seams(seen)
      const finishes = seen.filter((part) => part.type === "finish").length
      const result = Exit.isSuccess(exit) ? exit.value : exit
      const failure =
        result?._tag === "Failure" ? result.cause.reasons.find((reason) => reason._tag === "Fail")?.error : undefined
      switch (end?._tag) {
        case "Completed":
          expect(end.usage.source).toBe(shown.length > 0 ? "estimated" : "reported")
          if (stop === "no" && take === 99) {
            expect([failure, finishes, seen.at(-1)?.type]).toEqual([undefined, 1, "finish"])
            if (!lied) expect(text).toBe(truth)
          }
          break
        case "Failed": {
          expect(finishes).toBe(0)
          const route = request.recorder.snapshot(0)
          const consumerIdle = end.error.reason._tag === "Timeout" && end.error.reason.clock === "consumer_idle"
          if (!consumerIdle) {
            const first = route.find((entry) => entry.outcome === "failed")
            expect([end.error.reason._tag, end.error.instance]).toEqual([first?.reason, first?.instance])
          }
          if (failure !== undefined) {
            expect([failure.reason, failure.delivered, failure.route?.length]).toEqual([
              end.error.reason,
              text,
              route.length
            ])
          }
          break
        }
        case "Cancelled":
          expect(stop !== "no" || take < 99).toBe(true)
          if (failure !== undefined) expect(failure.reason._tag).toBe("Cancelled")
      }
    }),
  { arbitrary: { runs: 300 } }
)
