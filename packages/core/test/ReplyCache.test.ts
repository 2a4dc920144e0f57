import { Llm, LlmError, LlmReply, LlmRequest, type Part } from "@echelon/core"
import * as Coalesce from "@echelon/core/Coalesce"
import * as ReplyCache from "@echelon/core/ReplyCache"
import type * as RequestKey from "@echelon/core/RequestKey"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Exit, Fiber, Layer, Logger, Scope, Stream } from "effect"
import { Persistence } from "effect/persistence"
import { TestClock } from "effect/testing"
import { quickDigests, settle } from "./support/background.ts"
import { dice } from "./support/dice.ts"

const setUp = Effect.fnUntraced(function* (
  script: ScriptedLlm.Options["script"],
  options: ReplyCache.Options = {},
  own: Partial<ScriptedLlm.Options> = {}
) {
  const model = yield* ScriptedLlm.make({ id: "model", script, ...own })
  const llm = yield* ReplyCache.make(model.llm, options)
  return { calls: () => model.calls().length, llm, model }
})

const ask = (llm: Llm.Llm, prompt = "hi", metadata: LlmRequest.Metadata = {}) =>
  Effect.tap(Llm.generate(llm, { prompt, metadata }), () => settle)
const streamed = (llm: Llm.Llm, input: Partial<LlmRequest.Input> = {}) =>
  Effect.tap(Stream.runCollect(Llm.stream(llm, { prompt: "hi", ...input })), () => settle)
const textOf = (parts: ReadonlyArray<Part.Part>) => LlmReply.toAnswer(parts, []).text

/** Entries as a shared store holds them: text, by key. */
const shared = () => {
  const held = new Map<string, { readonly text: string; readonly ttl: number | undefined }>()
  const failing = new Set<"get" | "set">()
  const hanging = new Set<"get" | "set">()
  const broken = (what: "get" | "set") =>
    hanging.has(what)
      ? Effect.never
      : failing.has(what)
        ? Effect.fail(new Persistence.PersistenceError({ message: "confidential" }))
        : Effect.void
  const layer = Layer.provide(
    Persistence.layer,
    Layer.succeed(Persistence.BackingPersistence, {
      make: () =>
        Effect.succeed({
          get: (key) =>
            Effect.map(broken("get"), () => {
              const found = held.get(key)
              return found === undefined ? undefined : (JSON.parse(found.text) as object)
            }),
          getMany: () => Effect.die("not used"),
          set: (key, value, ttl) =>
            Effect.map(broken("set"), () => {
              held.set(key, {
                text: JSON.stringify(value),
                ttl: ttl === undefined ? undefined : Duration.toMillis(ttl)
              })
            }),
          setMany: () => Effect.die("not used"),
          remove: () => Effect.die("not used"),
          clear: Effect.void
        })
    })
  )
  return { failing, hanging, held, layer: Layer.merge(layer, quickDigests) }
}

const memory = <A, E>(effect: Effect.Effect<A, E, Persistence.Persistence | Scope.Scope>) =>
  Effect.provide(effect, Layer.merge(ReplyCache.layerMemory, quickDigests))

it.effect("the same request is answered from memory, free of charge", () =>
  memory(
    Effect.gen(function* () {
      const { calls, llm, model } = yield* setUp(
        ScriptedLlm.text("one two"),
        {},
        { model: "m-1", prices: { input: 1e6, output: 1e6 } }
      )
      expect((yield* ask(llm)).cost).toBe(3)
      yield* TestClock.adjust("1 minute")
      const request = yield* LlmRequest.make({ prompt: "hi" }, { stream: true, commit: "first_output" })
      request.budget.limit(0)
      const reply = yield* llm.call(request)
      expect(reply.attempt.isCommitted()).toBe(true)
      const parts = yield* Stream.runCollect(reply.parts)
      expect(parts.map((part) => part.type)).toEqual(["text-start", "text-delta", "text-end", "finish"])
      const answer = LlmReply.toAnswer(parts, yield* reply.route)
      expect(answer).toMatchObject({
        text: "one two",
        cost: 0,
        instance: "model",
        model: "m-1",
        usage: { outputTokens: 2 }
      })
      expect(answer.route).toMatchObject([{ kind: "cache", outcome: "completed", cost: 0, startedAt: 60_000 }])
      expect(answer.route.length).toBe(1)
      expect(reply.attempt.outcome()).toMatchObject({
        _tag: "Completed",
        usage: { outputTokens: 2, source: "reported" }
      })
      expect([calls(), request.budget.spent(), model.open()]).toEqual([1, 0, 0])
      expect(llm.snapshot()).toEqual({ hits: 1, misses: 1, stored: 1, failures: 0, size: 1 })
    })
  )
)

it.effect("a hit whose usage nobody reported costs nothing all the same", () =>
  memory(
    Effect.gen(function* () {
      const { llm } = yield* setUp(ScriptedLlm.text("one", {}))
      expect((yield* ask(llm)).cost).toBeUndefined()
      expect(yield* ask(llm)).toMatchObject({ cost: 0, usage: { source: "unknown" } })
    })
  )
)

it.effect("streamed and buffered requests share; a miss passes its parts on as they come", () =>
  memory(
    Effect.gen(function* () {
      const given = [
        ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "one " }),
        ScriptedLlm.wait("1 hour"),
        ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "two" }),
        ScriptedLlm.finish()
      ]
      const { calls, llm } = yield* setUp(given)
      const seen: Array<Part.Part> = []
      const request = { prompt: "hi", metadata: { idleTimeout: "2 hours" } } as const
      const fiber = yield* Effect.forkScoped(
        Stream.runForEach(Llm.stream(llm, request), (part) => Effect.sync(() => seen.push(part)))
      )
      yield* settle
      yield* TestClock.adjust(0)
      const first = given[0]
      expect(seen[0]).toBe(first?._tag === "Parts" ? first.parts[0] : undefined)
      expect(seen.length).toBe(1)
      yield* TestClock.adjust("1 hour")
      yield* Fiber.join(fiber)
      yield* settle
      expect((yield* ask(llm)).text).toBe("one two")
      const again = yield* streamed(llm)
      expect(again.map((part) => ("delta" in part ? part.delta : part.type))).toEqual(["one two", "finish"])
      expect(calls()).toBe(1)
    })
  )
)

it.effect("an answer is given for its time and not a millisecond longer", () =>
  memory(
    Effect.gen(function* () {
      const { calls, llm } = yield* setUp(ScriptedLlm.text("one"))
      yield* ask(llm)
      yield* TestClock.adjust("299999 millis")
      yield* ask(llm)
      expect(calls()).toBe(1)
      yield* TestClock.adjust("1 millis")
      yield* ask(llm)
      expect(calls()).toBe(2)
      yield* TestClock.adjust("299999 millis")
      yield* ask(llm)
      expect(calls()).toBe(2)
    })
  )
)

it.effect("what was not read for longest makes room", () =>
  memory(
    Effect.gen(function* () {
      const { calls, llm } = yield* setUp((_, request) => ScriptedLlm.text(`re ${request.messages[0]?.content}`), {
        capacity: 3
      })
      for (const prompt of ["a", "b", "c", "a", "d"]) yield* ask(llm, prompt)
      expect([calls(), llm.snapshot().size]).toEqual([4, 3])
      for (const prompt of ["a", "c", "d"]) expect((yield* ask(llm, prompt)).text).toBe(`re ${prompt}`)
      expect(calls()).toBe(4)
      yield* ask(llm, "b")
      expect([calls(), llm.snapshot().size]).toEqual([5, 3])
    })
  )
)

it.effect("tenants and differing requests share nothing", () =>
  memory(
    Effect.gen(function* () {
      const { calls, llm } = yield* setUp((index) => ScriptedLlm.text(String(index)))
      for (const round of [1, 2]) {
        expect(round).toBeGreaterThan(0)
        expect((yield* ask(llm, "hi")).text).toBe("0")
        expect((yield* ask(llm, "hi", { tenant: "a" })).text).toBe("1")
        expect((yield* ask(llm, "hi", { tenant: "b" })).text).toBe("2")
        expect((yield* ask(llm, "ho", { tenant: "b" })).text).toBe("3")
      }
      expect((yield* ask(llm, "hi", { tenant: "b", priority: "batch", timeout: "1 minute" })).text).toBe("2")
      const odd = { providerOptions: { p: { f: () => 1 } } }
      yield* streamed(llm, odd)
      yield* streamed(llm, odd)
      expect(calls()).toBe(6)
      expect(llm.snapshot().size).toBe(4)
    })
  )
)

it.effect("two caches over one store, each in front of another pool, share nothing", () => {
  const { held, layer } = shared()
  return Effect.gen(function* () {
    const a = yield* setUp(ScriptedLlm.text("a"), {}, { id: "pool-a" })
    const b = yield* setUp(ScriptedLlm.text("b"), {}, { id: "pool-b" })
    yield* ask(a.llm)
    expect((yield* ask(b.llm)).text).toBe("b")
    expect(held.size).toBe(2)
  }).pipe(Effect.provide(layer))
})

const word = ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "one" })
const unkept: Record<string, ScriptedLlm.Script> = {
  failed: ScriptedLlm.fails({ _tag: "Overloaded" }),
  "broken after output": ScriptedLlm.truncated("one two", { _tag: "Network", kind: "reset" }),
  truncated: ScriptedLlm.truncated("one two"),
  length: [word, ScriptedLlm.finish({}, "length")],
  filtered: [word, ScriptedLlm.finish({}, "content-filter")],
  empty: [ScriptedLlm.finish()],
  "tool call": [
    ScriptedLlm.parts({ type: "tool-call", id: "t", name: "n", params: {} }),
    ScriptedLlm.finish({}, "tool-calls")
  ],
  spliced: [
    word,
    ScriptedLlm.parts({
      type: "response-metadata",
      metadata: { echelon: { seam: { from: "a", to: "b", mode: "resume" } } }
    }),
    word,
    ScriptedLlm.finish()
  ],
  "too long": [ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "x".repeat(1_000) }), ScriptedLlm.finish()]
}
for (const [name, script] of Object.entries(unkept))
  it.effect(`not stored: ${name}`, () =>
    memory(
      Effect.gen(function* () {
        const { calls, llm } = yield* setUp(script, { maxSize: 900 })
        yield* Effect.exit(streamed(llm))
        yield* Effect.exit(ask(llm))
        yield* Effect.exit(ask(llm))
        expect([calls(), llm.snapshot().size, llm.snapshot().stored]).toEqual([3, 0, 0])
      })
    )
  )

it.effect("not stored: what nobody has read to its end", () =>
  memory(
    Effect.gen(function* () {
      const { llm, model } = yield* setUp(ScriptedLlm.text("one two three"))
      yield* Stream.runDrain(Stream.take(Llm.stream(llm, { prompt: "hi" }), 3))
      yield* Effect.scoped(Llm.open(llm, { prompt: "hi" }))
      const reply = yield* Effect.scoped(Llm.open(llm, { prompt: "hi" }))
      expect((yield* Effect.flip(Stream.runDrain(reply.parts))).reason._tag).toBe("Cancelled")
      const fiber = yield* Effect.forkScoped(
        Stream.runForEach(Llm.stream(llm, { prompt: "hi" }), () => Effect.sleep("1 second"))
      )
      yield* settle
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.interrupt(fiber)
      yield* settle
      expect([llm.snapshot().stored, model.open()]).toEqual([0, 0])
    })
  )
)

it.effect("a hit is a reply like any other: read once, cancelled with its scope", () =>
  memory(
    Effect.gen(function* () {
      const { calls, llm } = yield* setUp(ScriptedLlm.text("one two"))
      yield* ask(llm)
      const reply = yield* Llm.open(llm, { prompt: "hi" })
      expect(textOf(yield* Stream.runCollect(reply.parts))).toBe("one two")
      expect((yield* Effect.flip(Stream.runDrain(reply.parts))).reason._tag).toBe("Cancelled")
      const scope = yield* Scope.make()
      const unread = yield* Scope.provide(Llm.open(llm, { prompt: "hi" }), scope)
      expect(unread.attempt.outcome()).toBeUndefined()
      yield* Scope.close(scope, Exit.void)
      expect(unread.attempt.outcome()).toEqual({ _tag: "Cancelled" })
      expect((yield* Effect.flip(Stream.runDrain(unread.parts))).reason._tag).toBe("Cancelled")
      expect(yield* unread.route).toMatchObject([{ kind: "cache", outcome: "cancelled" }])
      expect(calls()).toBe(1)
    })
  )
)

it.effect("what a reader does to its parts does not reach the next", () =>
  memory(
    Effect.gen(function* () {
      const { llm } = yield* setUp(ScriptedLlm.text("one"))
      yield* ask(llm)
      for (const part of yield* streamed(llm)) Object.assign(part, { delta: "other", metadata: { p: { x: 1 } } })
      expect((yield* ask(llm)).content).toMatchObject([{ type: "text", text: "one" }, { type: "finish" }])
    })
  )
)

it.effect("a request may pass the cache by, or renew what it holds", () =>
  memory(
    Effect.gen(function* () {
      const mode = (request: LlmRequest.LlmRequest) => (request.metadata.tags?.[0] ?? "default") as RequestKey.Mode
      const { calls, llm } = yield* setUp((index) => ScriptedLlm.text(String(index)), { mode })
      expect((yield* ask(llm, "hi", { tags: ["bypass"] })).text).toBe("0")
      expect((yield* ask(llm)).text).toBe("1")
      expect((yield* ask(llm, "hi", { tags: ["bypass"] })).text).toBe("2")
      expect((yield* ask(llm)).text).toBe("1")
      yield* TestClock.adjust("1 minute")
      expect((yield* ask(llm, "hi", { tags: ["refresh"] })).text).toBe("3")
      expect((yield* ask(llm)).text).toBe("3")
      yield* TestClock.adjust("4 minutes")
      expect((yield* ask(llm)).text).toBe("3")
      expect(calls()).toBe(4)
    })
  )
)

it.effect("a raw answer keeps its events, and streamed and buffered ones stay apart", () =>
  memory(
    Effect.gen(function* () {
      const raw = { protocol: "openai-chat", body: { x: 1 } }
      const event = (data: string) => ({ raw: { data } })
      const given = [
        { type: "response-metadata", ...event("start") },
        { type: "text-delta", id: "0", delta: "a", ...event("1") },
        { type: "text-delta", id: "0", delta: "b", ...event("2") },
        { type: "finish", reason: "stop", usage: { inputTokens: {}, outputTokens: {} }, ...event("end") }
      ] as const
      const { calls, llm } = yield* setUp([ScriptedLlm.parts(...given)])
      yield* streamed(llm, { raw })
      expect(yield* streamed(llm, { raw })).toEqual(given)
      expect(calls()).toBe(1)
      yield* Llm.generate(llm, { prompt: "hi", raw })
      yield* streamed(llm)
      expect(calls()).toBe(3)
      yield* settle
      const plain = yield* streamed(llm)
      expect(plain.map((part) => [part.type, part.raw])).toEqual([
        ["text-delta", undefined],
        ["finish", undefined]
      ])
    })
  )
)

it.effect("a shared store holds answers beyond the process, shows no prompt, and no answer lives twice", () => {
  const { held, layer } = shared()
  return Effect.gen(function* () {
    const first = yield* setUp(ScriptedLlm.text("one"), {}, { model: "m-1" })
    yield* ask(first.llm, "confidential", { tenant: "acme" })
    expect([...held.entries()]).toMatchObject([[expect.stringMatching(/^[0-9a-f]{64}$/), { ttl: 300_000 }]])
    expect(JSON.stringify([...held])).not.toContain("confidential")
    yield* TestClock.adjust("299 seconds")
    const second = yield* setUp(ScriptedLlm.text("two"))
    expect(yield* ask(second.llm, "confidential", { tenant: "acme" })).toMatchObject({ text: "one", model: "m-1" })
    expect((yield* ask(second.llm, "confidential", { tenant: "other" })).text).toBe("two")
    yield* TestClock.adjust("999 millis")
    expect((yield* ask(second.llm, "confidential", { tenant: "acme" })).text).toBe("one")
    yield* TestClock.adjust("1 millis")
    // The store here forgets nothing by itself; the age tells.
    expect((yield* ask(second.llm, "confidential", { tenant: "acme" })).text).toBe("two")
    expect((yield* ask(second.llm, "confidential", { tenant: "acme" })).text).toBe("two")
    expect(second.calls()).toBe(2)
  }).pipe(Effect.provide(layer))
})

it.effect("what another process has renewed is seen as soon as the own copy is over", () => {
  const { layer } = shared()
  return Effect.gen(function* () {
    const [a, b] = [yield* setUp(ScriptedLlm.text("a")), yield* setUp(ScriptedLlm.text("b"))]
    yield* ask(a.llm)
    yield* TestClock.adjust("299 seconds")
    yield* ask(b.llm)
    yield* TestClock.adjust("1 second")
    yield* ask(a.llm)
    yield* TestClock.adjust("1 second")
    expect((yield* ask(b.llm)).text).toBe("a")
    expect([a.calls(), b.calls()]).toEqual([2, 0])
  }).pipe(Effect.provide(layer))
})

it.effect("not stored: parts of a reply that did not complete", () =>
  memory(
    Effect.gen(function* () {
      const { model } = yield* setUp(ScriptedLlm.text("one"))
      const llm = yield* ReplyCache.make({
        ...model.llm,
        call: (request) =>
          Effect.map(model.llm.call(request), (reply) => ({
            ...reply,
            attempt: { ...reply.attempt, outcome: () => ({ _tag: "Cancelled" }) as const }
          }))
      })
      yield* streamed(llm)
      expect(llm.snapshot().stored).toBe(0)
    })
  )
)

it.effect("what a store gives back broken is a miss, and is written anew", () => {
  const { held, layer } = shared()
  return Effect.gen(function* () {
    const first = yield* setUp(ScriptedLlm.text("one"))
    yield* ask(first.llm)
    const [[key, { text }] = ["", { text: "" }]] = [...held]
    for (const broken of ["{}", "[]", text.replaceAll("finish", "fini"), text.replaceAll("storedAt", "at")]) {
      held.set(key, { text: broken, ttl: undefined })
      const again = yield* setUp(ScriptedLlm.text("two"))
      expect((yield* ask(again.llm)).text).toBe("two")
      expect([again.calls(), held.get(key)?.text.includes("two")]).toEqual([1, true])
    }
  }).pipe(Effect.provide(layer))
})

it.effect("a store that fails is a miss, fails no request and is told of without a word of content", () => {
  const { failing, layer } = shared()
  const logged: Array<unknown> = []
  const logger = Logger.layer([Logger.make(({ cause, message }) => void logged.push(cause, message))])
  return Effect.gen(function* () {
    const { calls, llm } = yield* setUp(ScriptedLlm.text("secret answer"))
    failing.add("get").add("set")
    expect((yield* ask(llm, "confidential")).text).toBe("secret answer")
    expect(llm.snapshot()).toMatchObject({ hits: 0, misses: 1, failures: 2 })
    // Memory has it all the same.
    yield* ask(llm, "confidential")
    expect([calls(), llm.snapshot().hits]).toEqual([1, 1])
    expect(JSON.stringify(logged)).not.toMatch(/confidential|secret/)
  }).pipe(Effect.provide([layer, logger]))
})

it.effect("a store that does not answer holds up a request for its read timeout, and gathers no writes", () => {
  const { hanging, layer } = shared()
  return Effect.gen(function* () {
    const { calls, llm } = yield* setUp((_, request) => ScriptedLlm.text(`re ${request.messages[0]?.content}`), {
      capacity: 10
    })
    hanging.add("get").add("set")
    const ends: Array<number> = []
    const fibers = yield* Effect.forEach(
      Array.from({ length: 200 }, (_, i) => i),
      (i) =>
        Effect.forkScoped(Effect.tap(Llm.generate(llm, { prompt: `p${i}` }), () => Effect.sync(() => ends.push(i))))
    )
    yield* settle
    yield* settle
    yield* TestClock.adjust("249 millis")
    expect(ends.length).toBe(0)
    yield* TestClock.adjust("1 millis")
    for (const fiber of fibers) yield* Fiber.join(fiber)
    yield* settle
    expect([calls(), llm.snapshot().stored]).toEqual([200, 64])
    yield* TestClock.adjust("5 seconds")
    expect(llm.snapshot().failures).toBe(200 + 64)
    hanging.clear()
    yield* ask(llm, "later")
    yield* ask(llm, "later")
    expect([calls(), llm.snapshot().size]).toEqual([201, 10])
  }).pipe(Effect.provide(layer))
})

it.effect("above coalescing one call answers all, and one of them stores it", () =>
  memory(
    Effect.gen(function* () {
      const model = yield* ScriptedLlm.make({
        id: "model",
        script: ScriptedLlm.text("one two").flatMap((step) => [ScriptedLlm.wait("1 second"), step])
      })
      const llm = yield* Effect.flatMap(Coalesce.make(model.llm), ReplyCache.make())
      const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.forkScoped(Llm.generate(llm, { prompt: "hi" })))
      yield* settle
      yield* settle
      yield* TestClock.adjust("1 minute")
      for (const fiber of fibers) expect((yield* Fiber.join(fiber)).text).toBe("one two")
      yield* settle
      expect((yield* ask(llm)).route).toMatchObject([{ kind: "cache", instance: "model" }])
      expect([model.calls().length, llm.snapshot().stored]).toEqual([1, 1])
    })
  )
)

it.effect("wrong options are refused when it is made", () =>
  memory(
    Effect.gen(function* () {
      const { model } = yield* setUp(ScriptedLlm.text("one"))
      for (const options of [{ ttl: 0 }, { capacity: 0 }, { maxSize: 0 }]) {
        const exit = yield* Effect.exit(ReplyCache.make(model.llm, options))
        expect(String(exit)).toContain("RangeError")
      }
    })
  )
)

it.effect("under any sequence: the right tenant's answer, never one too old, never too many", () =>
  memory(
    Effect.gen(function* () {
      for (let seed = 1; seed <= 12; seed++) {
        const { below, of } = dice(seed)
        const capacity = below(4) + 1
        const answered = new Map<string, number>()
        let now = 0
        const model = yield* ScriptedLlm.make({
          id: "model",
          script: (index, request) => {
            const key = `${request.metadata.tenant} ${request.messages[0]?.content}`
            return of([
              ScriptedLlm.text(`${key} ${index}`),
              ScriptedLlm.text(`${key} ${index}`),
              ScriptedLlm.truncated(`${key} ${index}`),
              ScriptedLlm.fails({ _tag: "Overloaded" })
            ])
          }
        })
        const llm = yield* ReplyCache.make(model.llm, { capacity, ttl: "10 seconds" })
        for (let step = 0; step < 60; step++) {
          if (of([true, true, true, false])) {
            const [tenant, prompt] = [of(["a", "b"]), of(["p", "q", "r"])]
            const before = model.calls().length
            const exit = yield* Effect.exit(ask(llm, prompt, { tenant }))
            if (Exit.isFailure(exit)) continue
            const { text } = exit.value
            expect(text.startsWith(`${tenant} ${prompt} `)).toBe(true)
            if (model.calls().length > before) answered.set(text, now)
            else expect(now - (answered.get(text) ?? Number.NaN)).toBeLessThan(10_000)
          } else {
            const by = below(5) * 1_000
            now += by
            yield* TestClock.adjust(by)
          }
          expect(llm.snapshot().size).toBeLessThanOrEqual(capacity)
        }
        expect(model.open()).toBe(0)
        expect(llm.snapshot().hits).toBeGreaterThan(0)
      }
    })
  )
)

it.effect("a failure is raised as it is", () =>
  memory(
    Effect.gen(function* () {
      const { llm } = yield* setUp(ScriptedLlm.fails({ _tag: "Overloaded" }))
      const error = yield* Effect.flip(ask(llm))
      expect(LlmError.isLlmError(error)).toBe(true)
      expect(error).toMatchObject({ reason: { _tag: "Overloaded" }, instance: "model", route: [{ kind: "call" }] })
    })
  )
)
