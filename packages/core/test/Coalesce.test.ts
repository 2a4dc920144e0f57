import { type Attempt, Llm, type LlmError, LlmReply, LlmRequest, type Part, Pool } from "@echelon/core"
import * as Coalesce from "@echelon/core/Coalesce"
import type * as RequestKey from "@echelon/core/RequestKey"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, References, Result, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { dice } from "./support/dice.ts"

const overloaded: LlmError.Reason = { _tag: "Overloaded" }

/** One word after 100 ms, then one every 100 ms. */
const slowly = (content: string): ScriptedLlm.Script =>
  ScriptedLlm.text(content).flatMap((step) => [ScriptedLlm.wait("100 millis"), step])

const setUp = Effect.fnUntraced(function* (
  script: ScriptedLlm.Options["script"],
  options: Coalesce.Options = {},
  own: Partial<ScriptedLlm.Options> = {}
) {
  const model = yield* ScriptedLlm.make({ id: "model", script, ...own })
  const llm = yield* Coalesce.make(model.llm, options)
  const atRest = () => expect([llm.inFlight(), model.open()]).toEqual([0, 0])
  return { atRest, calls: () => model.calls().length, llm, model }
})

/** Runs a streamed request to its end, in a fiber of its own; keeps all it sees. */
const reading = (llm: Llm.Llm, input: Partial<LlmRequest.Input> = {}, pace: number = 0) => {
  const seen: Array<Part.Part> = []
  let route: LlmReply.Answer["route"] = []
  let attempt: Attempt.Attempt | undefined
  const effect = Effect.scoped(
    Effect.gen(function* () {
      const reply = yield* Llm.open(llm, { prompt: "hi", ...input })
      attempt = reply.attempt
      const each = (part: Part.Part) =>
        Effect.andThen(
          Effect.sync(() => void seen.push(part)),
          pace > 0 ? Effect.sleep(pace) : Effect.void
        )
      const result = yield* Effect.result(Stream.runForEach(reply.parts, each))
      route = yield* reply.route
      yield* Effect.fromResult(result)
    })
  )
  return Effect.map(Effect.forkScoped(effect, { startImmediately: true }), (fiber) => ({
    fiber,
    result: Effect.result(Fiber.join(fiber)),
    text: () => LlmReply.toAnswer(seen, []).text,
    types: () => seen.map((part) => part.type),
    route: () => route,
    outcome: () => attempt?.outcome()
  }))
}
const failureOf = <A>(result: Result.Result<A, LlmError.LlmError>) => {
  if (Result.isSuccess(result)) throw new Error("did not fail")
  return result.failure
}

it.effect("identical requests in flight share one call, each from the first part", () =>
  Effect.gen(function* () {
    const { atRest, calls, llm, model } = yield* setUp(
      slowly("one two three"),
      {},
      { prices: { input: 1e6, output: 1e6 } }
    )
    const first = yield* reading(llm)
    yield* TestClock.adjust("50 millis")
    const early = yield* reading(llm)
    yield* TestClock.adjust("300 millis")
    const late = yield* reading(llm)
    yield* TestClock.adjust("0 millis")
    expect([first.text(), early.text(), late.text()]).toEqual(["one two ", "one two ", "one two "])
    expect([calls(), llm.inFlight()]).toEqual([1, 1])
    yield* TestClock.adjust("1 second")
    for (const one of [first, early, late]) {
      expect(one.types()).toEqual(["text-start", "text-delta", "text-delta", "text-delta", "text-end", "finish"])
      expect(one.text()).toBe("one two three")
      expect(one.outcome()).toMatchObject({ _tag: "Completed", usage: { outputTokens: 3 } })
    }
    // Costs are counted once; what was paid is in the route of the one who asked.
    expect(first.route()).toMatchObject([{ kind: "call", instance: "model", outcome: "completed", cost: 4 }])
    expect(early.route()).toMatchObject([
      {
        kind: "coalesced",
        instance: "model",
        outcome: "completed",
        cost: 0,
        startedAt: 50,
        firstOutputMs: 150,
        usage: { outputTokens: 3 }
      }
    ])
    expect(late.route()).toMatchObject([{ kind: "coalesced", cost: 0, startedAt: 350, firstOutputMs: 0 }])
    expect(model.calls()[0]?.request.budget.spent()).toBe(4)
    atRest()
    yield* reading(llm)
    expect(calls()).toBe(2)
  })
)

it.effect("what joins spends no budget", () =>
  Effect.gen(function* () {
    const { calls, llm } = yield* setUp(slowly("one"))
    yield* reading(llm)
    const request = yield* LlmRequest.make({ prompt: "hi" }, { stream: true, commit: "first_output" })
    request.budget.limit(3)
    const reply = yield* Effect.forkScoped(llm.call(request))
    yield* TestClock.adjust("1 second")
    const parts = yield* Stream.runCollect((yield* Fiber.join(reply)).parts)
    expect(parts.length).toBe(4)
    expect([request.budget.attemptsLeft(), calls()]).toEqual([3, 1])
  })
)

it.effect("tenants, and requests that differ, never share", () =>
  Effect.gen(function* () {
    const { calls, llm } = yield* setUp(slowly("one"))
    const inputs: ReadonlyArray<Partial<LlmRequest.Input>> = [
      {},
      { metadata: { tenant: "a" } },
      { metadata: { tenant: "b" } },
      { metadata: { onInterrupt: "restart" } },
      { prompt: "other" },
      { providerOptions: { p: { f: () => 1 } } },
      { providerOptions: { p: { f: () => 1 } } }
    ]
    for (const input of inputs) yield* reading(llm, input)
    const buffered = yield* Effect.forkScoped(Llm.generate(llm, { prompt: "hi" }), { startImmediately: true })
    expect(calls()).toBe(inputs.length + 1)
    yield* TestClock.adjust("1 second")
    expect((yield* Fiber.join(buffered)).text).toBe("one")
  })
)

it.effect("whoever wants it makes a call of its own", () =>
  Effect.gen(function* () {
    const modes: Record<string, RequestKey.Mode> = { b: "bypass", r: "refresh" }
    const mode = (request: LlmRequest.LlmRequest) => modes[request.metadata.sessionId ?? ""] ?? "default"
    const { calls, llm } = yield* setUp(slowly("one"), { mode })
    for (const sessionId of ["x", "b", "r", "y", "b"]) yield* reading(llm, { metadata: { sessionId } })
    expect([calls(), llm.inFlight()]).toEqual([4, 1])
  })
)

it.effect("the call goes on when the first request is interrupted, and ends with the last that leaves", () =>
  Effect.gen(function* () {
    const { atRest, calls, llm, model } = yield* setUp(slowly("one two three"))
    for (const at of [50, 250]) {
      const before = calls()
      const first = yield* reading(llm)
      const second = yield* reading(llm)
      yield* TestClock.adjust(at)
      yield* Fiber.interrupt(first.fiber)
      expect(model.open()).toBe(1)
      yield* TestClock.adjust("1 second")
      expect(second.text()).toBe("one two three")
      expect(calls()).toBe(before + 1)
      atRest()
      const third = yield* reading(llm)
      const fourth = yield* reading(llm)
      yield* TestClock.adjust(at)
      yield* Fiber.interrupt(fourth.fiber)
      expect([model.open(), llm.inFlight()]).toEqual([1, 1])
      yield* Fiber.interrupt(third.fiber)
      atRest()
      expect(model.calls().at(-1)?.outcome()).toEqual({ _tag: "Cancelled" })
    }
  })
)

it.effect("a reader that stops early, or whose scope closes unread, leaves alone", () =>
  Effect.gen(function* () {
    const { atRest, llm, model } = yield* setUp(slowly("one two three"))
    const whole = yield* reading(llm)
    const scope = yield* Scope.make()
    const unread = yield* Effect.forkScoped(Scope.provide(Llm.open(llm, { prompt: "hi" }), scope))
    const early = yield* Effect.forkScoped(Stream.runCollect(Stream.take(Llm.stream(llm, { prompt: "hi" }), 2)))
    yield* TestClock.adjust("250 millis")
    expect((yield* Fiber.join(early)).length).toBe(2)
    const reply = yield* Fiber.join(unread)
    yield* Scope.close(scope, Exit.void)
    expect(reply.attempt.outcome()).toEqual({ _tag: "Cancelled" })
    expect((yield* Effect.flip(Stream.runCollect(reply.parts))).reason._tag).toBe("Cancelled")
    expect(model.open()).toBe(1)
    yield* TestClock.adjust("1 second")
    expect(whole.text()).toBe("one two three")
    atRest()
  })
)

it.effect("the parts of a shared reply can be run once", () =>
  Effect.gen(function* () {
    const { llm } = yield* setUp(ScriptedLlm.text("one"))
    const reply = yield* Llm.open(llm, { prompt: "hi" })
    yield* Stream.runDrain(reply.parts)
    expect((yield* Effect.flip(Stream.runDrain(reply.parts))).reason._tag).toBe("Cancelled")
  })
)

it.effect("a failure is everybody's, before commit and after it, with what each was given", () =>
  Effect.gen(function* () {
    const { atRest, calls, llm } = yield* setUp((index) => [
      ScriptedLlm.wait("100 millis"),
      ...(index === 0
        ? ScriptedLlm.fails(overloaded)
        : [
            ...ScriptedLlm.text("one two").slice(0, 2),
            ScriptedLlm.wait("100 millis"),
            ScriptedLlm.fail({ _tag: "Network", kind: "reset" })
          ])
    ])
    const [a, b] = [yield* reading(llm), yield* reading(llm)]
    yield* TestClock.adjust("100 millis")
    const [first, second] = [failureOf(yield* a.result), failureOf(yield* b.result)]
    expect([first.reason, second.reason, calls()]).toEqual([overloaded, overloaded, 1])
    expect(first.route).toMatchObject([{ kind: "call", instance: "model", outcome: "failed", reason: "Overloaded" }])
    expect(second.route).toMatchObject([
      { kind: "coalesced", instance: "model", outcome: "failed", reason: "Overloaded", elapsedMs: 100 }
    ])
    atRest()
    const [c, d] = [yield* reading(llm), yield* reading(llm, {}, 1_000)]
    yield* TestClock.adjust("5 seconds")
    for (const one of [c, d]) {
      const error = failureOf(yield* one.result)
      expect(error).toMatchObject({ reason: { _tag: "Network" }, instance: "model", delivered: "one " })
      expect(one.outcome()?._tag).toBe("Failed")
    }
    expect(failureOf(yield* d.result).route).toMatchObject([
      { kind: "coalesced", outcome: "failed", reason: "Network" }
    ])
    expect(calls()).toBe(2)
    atRest()
  })
)

it.effect("a defect ends all who wait", () =>
  Effect.gen(function* () {
    const { atRest, llm } = yield* setUp([
      ScriptedLlm.wait("1 second"),
      ScriptedLlm.die("broken"),
      ScriptedLlm.accepted
    ])
    const [a, b] = [yield* reading(llm), yield* reading(llm)]
    yield* TestClock.adjust("1 second")
    for (const one of [a, b]) expect(Exit.isFailure(yield* Fiber.await(one.fiber))).toBe(true)
    atRest()
  })
)

it.effect("an answer cut off without a finish is nobody's success", () =>
  Effect.gen(function* () {
    const { atRest, llm } = yield* setUp([ScriptedLlm.wait("1 second"), ...ScriptedLlm.truncated("one two")])
    const [a, b] = [yield* reading(llm), yield* reading(llm)]
    yield* TestClock.adjust("1 second")
    for (const one of [a, b]) expect(failureOf(yield* one.result).reason._tag).toBe("MalformedOutput")
    atRest()
  })
)

it.effect("the first request's deadline is its own: the others ask anew, as one", () =>
  Effect.gen(function* () {
    const { atRest, calls, llm } = yield* setUp((index) =>
      index === 0 ? [ScriptedLlm.never, ScriptedLlm.accepted] : slowly("one")
    )
    const first = yield* reading(llm, { metadata: { timeout: "1 second" } })
    const others = [yield* reading(llm), yield* reading(llm, { metadata: { timeout: "1 minute" } })]
    yield* TestClock.adjust("999 millis")
    expect(calls()).toBe(1)
    yield* TestClock.adjust("1 millis")
    expect(failureOf(yield* first.result).reason._tag).toBe("DeadlineExceeded")
    expect(calls()).toBe(2)
    yield* TestClock.adjust("1 second")
    expect(others.map((one) => one.text())).toEqual(["one", "one"])
    expect(others.map((one) => one.route().map(({ kind, outcome, reason }) => [kind, outcome, reason]))).toEqual([
      [
        ["coalesced", "failed", "DeadlineExceeded"],
        ["call", "completed", undefined]
      ],
      [
        ["coalesced", "failed", "DeadlineExceeded"],
        ["coalesced", "completed", undefined]
      ]
    ])
    atRest()
  })
)

it.effect("a first request without budget fails alone", () =>
  Effect.gen(function* () {
    const { llm: model, calls } = yield* setUp(slowly("one"))
    const llm = yield* Coalesce.make({ ...model, call: (request) => Effect.delay(model.call(request), "1 second") })
    const spent = yield* LlmRequest.make({ prompt: "hi" }, { stream: true, commit: "first_output" })
    spent.budget.limit(0)
    const first = yield* Effect.forkScoped(Effect.flip(llm.call(spent)), { startImmediately: true })
    const second = yield* reading(llm)
    yield* TestClock.adjust("5 seconds")
    expect((yield* Fiber.join(first)).reason._tag).toBe("BudgetExhausted")
    expect([second.text(), calls()]).toEqual(["one", 1])
  })
)

it.effect("the deadline of one that joined is its own: it leaves, the call goes on", () =>
  Effect.gen(function* () {
    const { atRest, calls, llm } = yield* setUp([ScriptedLlm.wait("2 seconds"), ...slowly("one")])
    const first = yield* reading(llm)
    const second = yield* reading(llm, { metadata: { timeout: "1 second" } })
    yield* TestClock.adjust("1 second")
    const error = failureOf(yield* second.result)
    expect(error.reason._tag).toBe("DeadlineExceeded")
    expect(error.route).toMatchObject([{ kind: "coalesced", outcome: "failed", reason: "DeadlineExceeded" }])
    yield* TestClock.adjust("2 seconds")
    expect([first.text(), calls()]).toEqual(["one", 1])
    atRest()
  })
)

it.effect("a deadline ends at commit, for who joined as well", () =>
  Effect.gen(function* () {
    const { llm } = yield* setUp(slowly("one two three four"))
    yield* reading(llm)
    const second = yield* reading(llm, { metadata: { timeout: "250 millis" } })
    yield* TestClock.adjust("5 seconds")
    expect(second.text()).toBe("one two three four")
  })
)

it.effect("it pulls as fast as the fastest reads, no faster; a slow one loses nothing", () =>
  Effect.gen(function* () {
    const words = "a b c d e f g h"
    const { atRest, llm, model } = yield* setUp(ScriptedLlm.text(words))
    const request = yield* LlmRequest.make({ prompt: "hi" }, { stream: true, commit: "first_output" })
    const reply = yield* llm.call(request)
    const pull = yield* Stream.toPull(reply.parts)
    const slow = yield* reading(llm, {}, 1_000)
    yield* TestClock.adjust("3500 millis")
    expect(slow.text()).toBe("a b c ")
    const held = yield* pull
    expect(held.length).toBe(2)
    expect(model.calls()[0]?.outcome()).toBeUndefined()
    for (let i = 0; i < 9; i++) yield* pull
    expect(model.calls()[0]?.outcome()?._tag).toBe("Completed")
    expect(slow.text()).toBe("a b c ")
    expect(llm.inFlight()).toBe(0)
    yield* TestClock.adjust("1 minute")
    expect(slow.text()).toBe(words)
    atRest()
  })
)

it.effect("who leaves the parts unread frees its place, by its own clock", () =>
  Effect.gen(function* () {
    const { atRest, llm } = yield* setUp(slowly("one two"))
    const unread = yield* Effect.forkScoped(
      Llm.open(llm, { prompt: "hi", metadata: { consumerIdleTimeout: "10 seconds" } })
    )
    const whole = yield* reading(llm)
    yield* TestClock.adjust("5 seconds")
    expect(whole.text()).toBe("one two")
    const { attempt } = yield* Fiber.join(unread)
    expect(attempt.outcome()).toBeUndefined()
    yield* TestClock.adjust("10 seconds")
    expect(attempt.outcome()).toMatchObject({
      _tag: "Failed",
      error: { reason: { _tag: "Timeout", clock: "consumer_idle" } }
    })
    atRest()
  })
)

it.effect("a call that breaks while nobody pulls is not joined any more", () =>
  Effect.gen(function* () {
    const { llm } = yield* setUp(slowly("one two"))
    const opened = yield* Effect.forkScoped(
      Llm.open(llm, { prompt: "hi", metadata: { consumerIdleTimeout: "10 seconds" } })
    )
    const second = yield* Effect.forkScoped(
      Llm.open(llm, { prompt: "hi", metadata: { consumerIdleTimeout: "1 hour" } })
    )
    yield* TestClock.adjust("1 second")
    yield* Fiber.join(opened)
    yield* Fiber.join(second)
    expect(llm.inFlight()).toBe(1)
    yield* TestClock.adjust("20 seconds")
    expect(llm.inFlight()).toBe(0)
  })
)

it.effect("past its size an answer cannot be joined, and those who have joined get all of it", () =>
  Effect.gen(function* () {
    const words = "a b c d e f g h"
    const { atRest, calls, llm } = yield* setUp(slowly(words), { maxSize: 250 })
    const [first, slow] = [yield* reading(llm), yield* reading(llm, {}, 5_000)]
    yield* TestClock.adjust("350 millis")
    expect(llm.inFlight()).toBe(1)
    yield* TestClock.adjust("100 millis")
    expect(llm.inFlight()).toBe(0)
    const late = yield* reading(llm)
    expect([calls(), llm.inFlight()]).toEqual([2, 1])
    // The end of the first call does not end that of those who came later.
    yield* TestClock.adjust("200 millis")
    yield* Fiber.interrupt(first.fiber)
    yield* Fiber.interrupt(slow.fiber)
    expect(llm.inFlight()).toBe(1)
    const joined = yield* reading(llm)
    expect(calls()).toBe(2)
    yield* TestClock.adjust("2 minutes")
    for (const one of [late, joined]) expect(one.text()).toBe(words)
    atRest()
    const whole = [yield* reading(llm), yield* reading(llm, {}, 5_000)]
    yield* TestClock.adjust("2 minutes")
    for (const one of whole) expect(one.text()).toBe(words)
    expect(calls()).toBe(3)
    atRest()
    expect(() => Effect.runSync(Coalesce.make(llm, { maxSize: 0 }))).toThrow("maxSize must be above 0")
  })
)

it.effect("a buffered request shares as well", () =>
  Effect.gen(function* () {
    const { atRest, calls, llm } = yield* setUp(slowly("one two"))
    const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.forkScoped(Llm.generate(llm, { prompt: "hi" })))
    yield* TestClock.adjust("1 second")
    for (const fiber of fibers) expect((yield* Fiber.join(fiber)).text).toBe("one two")
    expect(calls()).toBe(1)
    atRest()
  })
)

it.effect("above a pool: the first's route tells the attempts, the others' who answered", () =>
  Effect.gen(function* () {
    const down = yield* ScriptedLlm.make({ id: "down", script: ScriptedLlm.fails(overloaded) })
    const up = yield* ScriptedLlm.make({ id: "up", script: slowly("hello") })
    const llm = yield* Effect.flatMap(Pool.make([down.llm, up.llm], { id: "pool" }), Coalesce.make())
    const fibers = yield* Effect.forEach([1, 2], () => Effect.forkScoped(Llm.generate(llm, { prompt: "hi" })))
    yield* TestClock.adjust("1 second")
    const [first, second] = yield* Effect.forEach(fibers, Fiber.join)
    expect(llm.id).toBe("pool")
    expect(first?.route.map(({ instance, kind }) => [kind, instance])).toEqual([
      ["call", "down"],
      ["call", "up"]
    ])
    expect(second?.route.map(({ instance, kind }) => [kind, instance])).toEqual([["coalesced", "up"]])
    expect([first?.instance, second?.instance, second?.text]).toEqual(["up", "up", "hello"])
  })
)

it.effect("when a pool gives up, each has a route of its own", () =>
  Effect.gen(function* () {
    const down = yield* ScriptedLlm.make({
      id: "down",
      script: [ScriptedLlm.wait("1 second"), ScriptedLlm.fail({ _tag: "Authentication" }), ScriptedLlm.accepted]
    })
    const llm = yield* Effect.flatMap(Pool.make([down.llm], { id: "pool" }), Coalesce.make())
    const readers = [yield* reading(llm), yield* reading(llm)]
    yield* TestClock.adjust("1 second")
    const routes = yield* Effect.forEach(readers, (one) => Effect.map(one.result, (result) => failureOf(result).route))
    expect(routes.map((route) => route?.map(({ instance, kind, outcome }) => [kind, instance, outcome]))).toEqual([
      [["call", "down", "failed"]],
      [["coalesced", "down", "failed"]]
    ])
  })
)

it.effect("a call that is still waiting to be made is given up when all have left", () =>
  Effect.gen(function* () {
    const { llm: model } = yield* setUp(ScriptedLlm.text("one"))
    let givenUp = 0
    const giveUp = Effect.sync(() => {
      givenUp += 1
    })
    const waiting = Effect.onInterrupt(Effect.never, () => giveUp)
    const llm = yield* Coalesce.make({ ...model, call: () => waiting })
    const readers = [yield* reading(llm), yield* reading(llm)]
    for (const one of readers) {
      expect(givenUp).toBe(0)
      yield* Fiber.interrupt(one.fiber)
    }
    yield* TestClock.adjust(0)
    expect([givenUp, llm.inFlight()]).toEqual([1, 0])
  })
)

it.effect("who answers is who has given output and is not out", () =>
  Effect.gen(function* () {
    const { llm: model } = yield* setUp([ScriptedLlm.wait("1 second"), ...slowly("one")])
    const begin = (request: LlmRequest.LlmRequest, instance: string) =>
      request.recorder.begin({ instance, model: "x", echelon: undefined, now: 0 })
    const llm = yield* Coalesce.make({
      ...model,
      call: (request) =>
        Effect.tap(model.call(request), () =>
          Effect.sync(() => {
            Object.assign(begin(request, "loser"), { outcome: "cancelled", firstOutputAt: 1 })
            begin(request, "silent")
          })
        )
    })
    yield* reading(llm)
    const second = yield* reading(llm)
    yield* TestClock.adjust("1 minute")
    expect(second.route().map(({ instance }) => instance)).toEqual(["model"])
  })
)

it.effect("an attempt that a layer above has opened is joined, not doubled", () =>
  Effect.gen(function* () {
    const model = yield* ScriptedLlm.make({ id: "model", script: ScriptedLlm.text("hello") })
    const shared = yield* Coalesce.make(model.llm)
    const llm = yield* Pool.make([shared], { id: "pool" })
    const answer = yield* Llm.generate(llm, { prompt: "hi" })
    expect([answer.text, shared.inFlight(), model.open()]).toEqual(["hello", 0, 0])
  })
)

it.effect(
  "under any interleaving every reader gets the whole answer of its tenant or a failure, and nothing is left",
  () =>
    Effect.gen(function* () {
      for (let seed = 1; seed <= 60; seed++) {
        const { below, of, random } = dice(seed)
        let overlaps = 0
        const isBounded = seed % 3 === 0
        const keyOf = (request: LlmRequest.LlmRequest) => `${request.metadata.tenant} ${request.messages[0]?.content}`
        const model: ScriptedLlm.ScriptedLlm = yield* ScriptedLlm.make({
          id: "model",
          script: (index, request) => {
            const key = keyOf(request)
            overlaps += model
              .calls()
              .filter(
                (call) => call.index !== index && call.outcome() === undefined && keyOf(call.request) === key
              ).length
            const whole = ScriptedLlm.text(`${key} a b c d`).flatMap((step) => [ScriptedLlm.wait(below(3) * 50), step])
            const cut = below(whole.length)
            return of([
              whole,
              whole,
              whole,
              [...whole.slice(0, cut), ScriptedLlm.fail(overloaded)],
              [...whole.slice(0, cut), ScriptedLlm.never]
            ])
          }
        })
        const llm = yield* Coalesce.make(model.llm, { maxSize: isBounded ? 400 : 1_000_000 })
        const readers: Array<Effect.Success<ReturnType<typeof reading>> & { readonly whole: string; stops: boolean }> =
          []
        for (let step = 0; step < 25; step++) {
          switch (of(["ask", "ask", "ask", "wait", "wait", "stop"])) {
            case "ask": {
              const tenant = of(["t1", "t2"])
              const prompt = of(["p1", "p2"])
              const timeout = random() < 0.3 ? { timeout: (below(5) + 1) * 100 } : {}
              const one = yield* reading(llm, { prompt, metadata: { tenant, ...timeout } }, of([0, 0, 30, 400]))
              readers.push({ ...one, whole: `${tenant} ${prompt} a b c d`, stops: false })
              break
            }
            case "wait":
              yield* TestClock.adjust(below(4) * 50)
              break
            case "stop": {
              const one = readers[below(Math.max(readers.length, 1))]
              if (one !== undefined) {
                one.stops = true
                yield* Fiber.interrupt(one.fiber)
              }
            }
          }
        }
        yield* TestClock.adjust("10 minutes")
        for (const one of readers) {
          const exit = one.fiber.pollUnsafe()
          expect(exit).toBeDefined()
          expect(one.whole.startsWith(one.text())).toBe(true)
          if (exit !== undefined && Exit.isSuccess(exit)) {
            expect(one.text()).toBe(one.whole)
            expect(one.outcome()?._tag).toBe("Completed")
            expect(one.route().at(-1)?.outcome).toBe("completed")
          } else if (!one.stops) expect(one.outcome()?._tag).not.toBe("Completed")
        }
        expect([seed, llm.inFlight(), model.open()]).toEqual([seed, 0, 0])
        // What has grown past its size may be under way beside a new call.
        if (!isBounded) expect(overlaps).toBe(0)
        expect([...new Set(model.calls().map((call) => call.outcome() === undefined))]).not.toContain(true)
      }
    })
)

it.effect("who overlaps asks once: a call is made only when none like it can be joined", () =>
  Effect.gen(function* () {
    for (let seed = 1; seed <= 40; seed++) {
      const { below, of } = dice(seed)
      const { calls, llm, model } = yield* setUp(slowly("a b c"))
      let expected = 0
      for (let step = 0; step < 30; step++) {
        if (of([true, false])) {
          const isUnderWay = model.open() > 0
          yield* reading(llm)
          yield* TestClock.adjust(0)
          if (!isUnderWay) expected += 1
          expect(calls()).toBe(expected)
        } else yield* TestClock.adjust(below(6) * 60)
      }
      yield* TestClock.adjust("1 minute")
      expect([llm.inFlight(), model.open()]).toEqual([0, 0])
    }
    expect(yield* Clock.currentTimeMillis).toBeGreaterThan(0)
  })
)

it.effect("no change is missed, wherever a fiber yields", () =>
  Effect.gen(function* () {
    for (let ops = 4; ops <= 40; ops++) {
      const { atRest, llm } = yield* setUp(slowly("a b c d"))
      const readers = yield* Effect.provideService(
        Effect.forEach([0, 0, 0], () => reading(llm)),
        References.MaxOpsBeforeYield,
        ops
      )
      // What yields that often is not done when the clock has moved.
      for (let i = 0; i < 100 && readers.some(({ fiber }) => fiber.pollUnsafe() === undefined); i++) {
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        yield* TestClock.adjust("100 millis")
      }
      for (const one of readers) expect([ops, one.text()]).toEqual([ops, "a b c d"])
      atRest()
    }
  })
)
