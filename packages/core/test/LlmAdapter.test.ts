import { Llm, LlmError, Pool } from "@echelon/core"
import * as LlmAdapter from "@echelon/core/LlmAdapter"
import * as LlmLanguageModel from "@echelon/core/LlmLanguageModel"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Fiber, Layer, Schema, Stream } from "effect"
import { AiError, LanguageModel, type Response, Tool, Toolkit } from "effect/ai"
import { TestClock } from "effect/testing"

const drain = (llm: Llm.Llm) =>
  Effect.map(Stream.runCollect(Llm.stream(llm, { prompt: "hi" })), (parts) => parts.map(({ raw: _, ...part }) => part))

const failure = (llm: Llm.Llm) => Effect.flip(Llm.generate(llm, { prompt: "hi" }))

const promise = (generate: LlmAdapter.Generate, options: Partial<LlmAdapter.Options> = {}) =>
  LlmAdapter.fromPromise({ id: "mine", generate, ...options })

const iterable = (stream: LlmAdapter.StreamPieces, options: Partial<LlmAdapter.Options> = {}) =>
  LlmAdapter.fromAsyncIterable({ id: "mine", stream, ...options })

it.effect("a promise of text, of a few words or of parts is an answer", () =>
  Effect.gen(function* () {
    expect(
      yield* Llm.generate(
        promise(async () => "hello"),
        { prompt: "hi" }
      )
    ).toMatchObject({
      text: "hello",
      finishReason: "stop",
      instance: "mine",
      usage: { source: "unknown" }
    })
    const full = promise(
      async () => ({
        reasoning: "hm",
        text: "hello",
        toolCalls: [
          { id: "1", name: "f", params: { a: 1 } },
          { id: "2", name: "g", arguments: '{"b":2}' },
          { id: "3", name: "h", arguments: "" }
        ],
        usage: { inputTokens: 10, outputTokens: 5, cacheReadTokens: 4, reasoningTokens: null },
        responseId: "r1",
        modelId: "m-2024"
      }),
      { model: "m", prices: { input: 1, output: 2 } }
    )
    const answer = yield* Llm.generate(full, { prompt: "hi" })
    expect(answer).toMatchObject({
      text: "hello",
      reasoning: "hm",
      finishReason: "tool-calls",
      model: "m",
      cost: 20 / 1_000_000,
      usage: { inputTokens: 10, outputTokens: 5, cacheReadTokens: 4, reasoningTokens: undefined, source: "reported" }
    })
    expect(answer.toolCalls.map((call) => call.params)).toEqual([{ a: 1 }, { b: 2 }, {}])
    expect(answer.content[0]).toMatchObject({ type: "response-metadata", id: "r1", modelId: "m-2024" })
    const parts = promise(async () => [
      { type: "text-delta", id: "0", delta: "hello" },
      { type: "finish", reason: "length", usage: { inputTokens: {}, outputTokens: {} } }
    ])
    expect(yield* Llm.generate(parts, { prompt: "hi" })).toMatchObject({ text: "hello", finishReason: "length" })
    expect((yield* drain(promise(() => "not even a promise"))).at(-1)).toMatchObject({ type: "finish" })
  })
)

it.effect("finish reasons of the usual providers are read, unknown ones never break an answer", () =>
  Effect.gen(function* () {
    const read = (finishReason: string) =>
      Effect.map(
        Llm.generate(
          promise(async () => ({ text: "x", finishReason })),
          { prompt: "hi" }
        ),
        (answer) => answer.finishReason
      )
    expect(
      yield* Effect.forEach(
        ["stop", "tool_calls", "content_filter", "end_turn", "max_tokens", "tool_use", "STOP", "brand_new"],
        read
      )
    ).toEqual(["stop", "tool-calls", "content-filter", "stop", "length", "tool-calls", "stop", "other"])
  })
)

it.effect("what is no answer is malformed", () =>
  Effect.gen(function* () {
    const none = (reply: unknown) =>
      // A function written in JavaScript gives what it likes.
      Effect.map(failure(promise(async () => reply as string)), (error) => error.reason._tag)
    expect(
      yield* Effect.forEach([undefined, null, 7, [], [{ type: "text-delta", id: "0", delta: "x" }]], none)
    ).toEqual(Array.from({ length: 5 }, () => "MalformedOutput"))
    const calls = promise(async () => ({ toolCalls: [{ id: "1", name: "f", arguments: "{oh" }] }))
    expect((yield* failure(calls)).reason._tag).toBe("MalformedOutput")
  })
)

it.effect("an iterable of text is whole when it ends; one of anything else says so, or was cut off", () =>
  Effect.gen(function* () {
    const words = iterable(async function* () {
      yield "one "
      yield "two"
    })
    expect((yield* drain(words)).map((part) => part.type)).toEqual([
      "text-start",
      "text-delta",
      "text-delta",
      "text-end",
      "finish"
    ])
    const whole = iterable(async function* () {
      yield { reasoning: "hm" }
      yield { text: "yes", responseId: "r1" }
      yield { text: null, finishReason: "stop" }
      yield { usage: { inputTokens: 3, outputTokens: 1 } }
    })
    const parts = yield* drain(whole)
    expect(parts.map((part) => part.type)).toEqual([
      "reasoning-start",
      "reasoning-delta",
      "response-metadata",
      "reasoning-end",
      "text-start",
      "text-delta",
      "text-end",
      "finish"
    ])
    expect(parts.at(-1)).toMatchObject({
      reason: "stop",
      usage: { inputTokens: { total: 3 }, outputTokens: { total: 1 } }
    })
    const cut = iterable(async function* () {
      yield { text: "half" }
    })
    const error = yield* Effect.flip(drain(cut))
    expect(error).toMatchObject({ reason: { _tag: "MalformedOutput" }, instance: "mine", delivered: "half" })
    const none = iterable(async function* () {})
    expect(yield* Llm.generate(none, { prompt: "hi" })).toMatchObject({ text: "", finishReason: "stop" })
  })
)

it.effect("parts may be given as they are, among them tool calls that come in pieces", () =>
  Effect.gen(function* () {
    const llm = iterable(async function* () {
      yield "let me see"
      yield { type: "tool-params-start", id: "1", name: "f" } as const
      yield { type: "tool-params-delta", id: "1", delta: "{}" } as const
      yield { type: "tool-params-end", id: "1" } as const
      yield { toolCalls: [{ id: "1", name: "f", params: {} }], finishReason: "tool_calls" }
    })
    expect((yield* drain(llm)).map((part) => part.type)).toEqual([
      "text-start",
      "text-delta",
      "text-end",
      "tool-params-start",
      "tool-params-delta",
      "tool-params-end",
      "tool-call",
      "finish"
    ])
  })
)

it.effect("one client answers whole and piece by piece", () =>
  Effect.gen(function* () {
    const llm = LlmAdapter.fromPromise({
      id: "mine",
      generate: async () => "whole",
      stream: async () =>
        (async function* () {
          yield "in "
          yield "pieces"
        })()
    })
    expect((yield* Llm.generate(llm, { prompt: "hi" })).text).toBe("whole")
    expect((yield* drain(llm)).filter((part) => part.type === "text-delta").length).toBe(2)
  })
)

it.effect("the function gets the request, and says what it left out", () =>
  Effect.gen(function* () {
    const llm = promise(async (request, { dropped }) => {
      dropped("settings.topK")
      return `${request.messages.length} ${request.settings.temperature}`
    })
    const answer = yield* Llm.generate(llm, { prompt: "hi", settings: { temperature: 0.5, topK: 3 } })
    expect(answer.text).toBe("1 0.5")
    expect(answer.route[0]?.dropped).toEqual(["settings.topK"])
  })
)

it("the text of a message is that of its parts", () => {
  expect(LlmAdapter.textOf({ role: "system", content: "be brief" })).toBe("be brief")
  const content = [
    { type: "text", text: "what is " },
    { type: "file", mediaType: "image/png", data: "AQID" },
    { type: "text", text: "this?" }
  ] as const
  expect(LlmAdapter.textOf({ role: "user", content })).toBe("what is this?")
  expect(LlmAdapter.textOf({ role: "tool", content: [] })).toBe("")
})

it.effect("what is thrown falls over to another instance, and shows no message", () =>
  Effect.gen(function* () {
    const broken = promise(async () => {
      throw new TypeError("the key sk-secret is wrong")
    })
    const error = yield* failure(broken)
    expect(error).toMatchObject({ reason: { _tag: "Unknown" }, detail: "the function threw: TypeError" })
    expect(`${error.message} ${JSON.stringify(error)}`).not.toContain("secret")
    const at = promise(() => {
      throw "at once"
    })
    expect((yield* failure(at)).detail).toBe("the function threw: string")
    const up = promise(async () => "hello", { id: "up" })
    const pool = yield* Pool.make([broken, up], { id: "pool" })
    const answer = yield* Llm.generate(pool, { prompt: "hi" })
    expect(answer).toMatchObject({ text: "hello", instance: "up" })
    expect(answer.route.map((entry) => entry.reason)).toEqual(["Unknown", undefined])
  })
)

it.effect("classify tells what a thrown value means; what says it by itself needs none", () =>
  Effect.gen(function* () {
    const thrown = { status: 429 }
    const seen: Array<unknown> = []
    const told = promise(
      async () => {
        throw thrown
      },
      {
        classify: (error, now) => {
          seen.push([error, now])
          return { _tag: "RateLimited", retryAfter: Duration.seconds(2) }
        }
      }
    )
    yield* TestClock.adjust("7 seconds")
    expect(yield* failure(told)).toMatchObject({ reason: { _tag: "RateLimited" }, instance: "mine" })
    expect(seen).toEqual([[thrown, 7_000]])
    const own = LlmError.make({ reason: { _tag: "ContextLength", contextWindow: 10 } })
    expect((yield* failure(promise(() => Promise.reject(own)))).reason).toEqual(own.reason)
    const ai = AiError.make({ module: "M", method: "m", reason: new AiError.RateLimitError({}) })
    expect((yield* failure(promise(() => Promise.reject(ai), { classify: () => undefined }))).reason._tag).toBe(
      "RateLimited"
    )
  })
)

it.effect("a defect falls over to another instance, and shows no message", () =>
  Effect.gen(function* () {
    const secret = new TypeError("the key sk-secret is wrong")
    const dies = yield* LanguageModel.make({
      generateText: () => Effect.die(secret),
      streamText: () => Stream.die(secret)
    })
    const throws: LanguageModel.LanguageModel = {
      ...dies,
      generateText: () => {
        throw secret
      },
      streamText: () => {
        throw secret
      }
    }
    const ai = AiError.make({ module: "M", method: "m", reason: new AiError.RateLimitError({}) })
    const typed = yield* LanguageModel.make({ generateText: () => Effect.die(ai), streamText: () => Stream.die(ai) })
    const { service } = yield* model([{ type: "text", text: "hello" }])
    const context = (): never => {
      throw secret
    }
    // Functions written in JavaScript give what they like.
    const odd = { toolCalls: 7, finishReason: "stop" } as unknown as string
    const members: ReadonlyArray<readonly [Llm.Llm, string, string]> = [
      [LlmAdapter.fromLanguageModel(dies, { id: "dies" }), "Unknown", "the model died: TypeError"],
      [LlmAdapter.fromLanguageModel(throws, { id: "throws" }), "Unknown", "the model died: TypeError"],
      [LlmAdapter.fromLanguageModel(typed, { id: "typed" }), "RateLimited", ""],
      [LlmAdapter.fromLanguageModel(service, { id: "context", context }), "Unknown", "the model died: TypeError"],
      [promise(async () => odd), "Unknown", "the function threw: TypeError"],
      [
        promise(() => Promise.reject(new RangeError("secret")), {
          classify: () => {
            throw secret
          }
        }),
        "Unknown",
        "the function threw: RangeError"
      ],
      [iterable(() => undefined as never), "Unknown", "the function threw: TypeError"]
    ]
    for (const [llm, reason, detail] of members) {
      for (const ask of [failure(llm), Effect.flip(drain(llm))]) {
        const error = yield* ask
        expect([llm.id, error.reason._tag]).toEqual([llm.id, reason])
        expect(error.detail ?? "").toContain(detail)
        expect(`${error.message} ${JSON.stringify(error)}`).not.toContain("secret")
      }
      const up = promise(async () => "hello", { id: "up" })
      const pool = yield* Pool.make([llm, up], { id: "pool" })
      const answer = yield* Llm.generate(pool, { prompt: "hi" })
      expect(answer).toMatchObject({ text: "hello", instance: "up" })
    }
  })
)

it.effect("a defect after commit breaks the stream with what was delivered", () =>
  Effect.gen(function* () {
    const service = yield* LanguageModel.make({
      generateText: () => Effect.succeed([]),
      streamText: () =>
        Stream.concat(
          Stream.make(
            { type: "text-start" as const, id: "0" },
            { type: "text-delta" as const, id: "0", delta: "half " }
          ),
          Stream.die(new Error("the key sk-secret"))
        )
    })
    const error = yield* Effect.flip(drain(LlmAdapter.fromLanguageModel(service, { id: "ai" })))
    expect(error).toMatchObject({ reason: { _tag: "Unknown" }, delivered: "half ", instance: "ai" })
    expect(`${error.message} ${JSON.stringify(error)}`).not.toContain("secret")
  })
)

it.effect("a stream that throws after commit breaks with what was delivered", () =>
  Effect.gen(function* () {
    const llm = iterable(
      async function* () {
        yield "half "
        throw new Error("socket")
      },
      { classify: () => ({ _tag: "Network", kind: "reset" }) }
    )
    expect(yield* Effect.flip(drain(llm))).toMatchObject({ reason: { _tag: "Network" }, delivered: "half " })
  })
)

it.effect("the signal is aborted on interruption, on a clock, and when a stream is left", () =>
  Effect.gen(function* () {
    const signals: Array<AbortSignal> = []
    const silent = promise((_, { signal }) => {
      signals.push(signal)
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))))
    })
    const interrupted = yield* Effect.forkChild(Llm.generate(silent, { prompt: "hi" }), { startImmediately: true })
    yield* TestClock.adjust("1 second")
    expect(signals.map((signal) => signal.aborted)).toEqual([false])
    yield* Fiber.interrupt(interrupted)
    expect(signals.map((signal) => signal.aborted)).toEqual([true])
    const late = yield* Effect.forkChild(failure(silent), { startImmediately: true })
    yield* TestClock.adjust("61 seconds")
    expect((yield* Fiber.join(late)).reason).toMatchObject({ _tag: "Timeout", clock: "attempt" })
    expect(signals.map((signal) => signal.aborted)).toEqual([true, true])
    const returned = Promise.withResolvers<string>()
    const endless = iterable(async function* (_, { signal }) {
      signals.push(signal)
      try {
        for (;;) yield "more "
      } finally {
        returned.resolve("returned")
      }
    })
    yield* Stream.runDrain(Stream.take(Llm.stream(endless, { prompt: "hi" }), 3))
    expect(signals[2]?.aborted).toBe(true)
    expect(yield* Effect.promise(() => returned.promise)).toBe("returned")
  })
)

it.effect("an iterator that cannot be told to return, or fails at it, is left", () =>
  Effect.gen(function* () {
    const odd =
      (back: () => Promise<IteratorResult<string>>): LlmAdapter.StreamPieces =>
      () => ({
        [Symbol.asyncIterator]: () => ({
          next: async () => ({ done: false, value: "more" }),
          return: back
        })
      })
    for (const back of [
      () => Promise.reject(new Error("no")),
      () => {
        throw new Error("no")
      }
    ]) {
      const parts = yield* Stream.runCollect(Stream.take(Llm.stream(iterable(odd(back)), { prompt: "hi" }), 2))
      expect(parts.length).toBe(2)
    }
  })
)

it.effect("a loser of a race does not answer late, and its rejection disturbs nobody", () =>
  Effect.gen(function* () {
    const asked = yield* Deferred.make<void>()
    const services = yield* Effect.context<never>()
    const slow = promise(
      (_, { signal }) =>
        new Promise((_, reject) => {
          Effect.runForkWith(services)(Deferred.succeed(asked, undefined))
          signal.addEventListener("abort", () => reject(new Error("aborted")))
        }),
      { id: "slow" }
    )
    const fast = promise(async () => "fast", { id: "fast" })
    const race = Effect.raceFirst(
      Llm.generate(slow, { prompt: "hi" }),
      Effect.andThen(Deferred.await(asked), Llm.generate(fast, { prompt: "hi" }))
    )
    expect((yield* race).text).toBe("fast")
  })
)

it.effect("a probe asks the client's own health check, or for a short answer", () =>
  Effect.gen(function* () {
    let pings = 0
    const llm = promise(async (request) => {
      pings += request.settings.maxOutputTokens ?? 0
      return "pong"
    })
    yield* LlmAdapter.withProbe(llm).probe
    expect(pings).toBe(16)
    let checks = 0
    const checked = LlmAdapter.withProbe(llm, {
      healthCheck: async () => {
        checks += 1
      }
    })
    yield* checked.probe
    expect([checked.llm, checks, pings]).toEqual([llm, 1, 16])
    const sick = LlmAdapter.withProbe(llm, {
      healthCheck: () => Promise.reject(new Error("down")),
      classify: () => ({ _tag: "Overloaded" })
    })
    expect(yield* Effect.flip(sick.probe)).toMatchObject({ reason: { _tag: "Overloaded" }, instance: "mine" })
  })
)

// ---------------------------------------------------------------------------------------------------------------
// Language models of effect/ai
// ---------------------------------------------------------------------------------------------------------------

interface Asked {
  readonly options: LanguageModel.ProviderOptions
  readonly temperature: number | undefined
}

class Temperature extends Context.Service<Temperature, number>()("test/Temperature") {}

const finish: Response.FinishPartEncoded = {
  type: "finish",
  reason: "stop",
  usage: { inputTokens: { total: 3, cacheRead: 1 }, outputTokens: { total: 2 } }
}

const model = (
  generate: ReadonlyArray<Response.PartEncoded> | AiError.AiErrorReason,
  streamed: ReadonlyArray<Response.StreamPartEncoded> = []
) =>
  Effect.gen(function* () {
    const asked: Array<Asked> = []
    const note = (options: LanguageModel.ProviderOptions) =>
      Effect.map(Effect.serviceOption(Temperature), (found) => {
        asked.push({ options, temperature: found._tag === "Some" ? found.value : undefined })
      })
    const service = yield* LanguageModel.make({
      generateText: (options) =>
        Effect.andThen(
          note(options),
          AiError.isAiErrorReason(generate)
            ? Effect.fail(AiError.make({ module: "Fake", method: "generateText", reason: generate }))
            : Effect.succeed([...generate])
        ),
      streamText: (options) => Stream.unwrap(Effect.as(note(options), Stream.fromIterable(streamed)))
    })
    return { service, asked }
  })

it.effect("a language model answers whole, its parts encoded again", () =>
  Effect.gen(function* () {
    const { asked, service } = yield* model([
      { type: "response-metadata", id: "r1", modelId: "m", timestamp: "2026-01-02T03:04:05.000Z" },
      { type: "reasoning", text: "hm", metadata: { anthropic: { signature: "sig" } } },
      { type: "text", text: "hello" },
      { type: "file", mediaType: "image/png", data: "AQID" },
      { type: "source", sourceType: "url", id: "s", url: "https://a.test/x", title: "t" },
      { type: "source", sourceType: "document", id: "d", mediaType: "text/plain", title: "t", fileName: "f.txt" },
      finish
    ])
    const answer = yield* Llm.generate(LlmAdapter.fromLanguageModel(service, { id: "ai" }), {
      prompt: [
        { role: "system", content: "be brief" },
        { role: "user", content: "hi" }
      ]
    })
    expect(answer).toMatchObject({ text: "hello", reasoning: "hm", instance: "ai" })
    expect(answer.usage).toMatchObject({ inputTokens: 3, outputTokens: 2, cacheReadTokens: 1, source: "reported" })
    expect(answer.content).toMatchObject([
      { type: "response-metadata", id: "r1", modelId: "m", timestamp: "2026-01-02T03:04:05.000Z" },
      { type: "reasoning", metadata: { anthropic: { signature: "sig" } } },
      { type: "text" },
      { type: "file", data: "AQID" },
      { type: "source", url: "https://a.test/x" },
      { type: "source", fileName: "f.txt" },
      { type: "finish" }
    ])
    expect(asked[0]?.options.prompt.content.map((message) => message.role)).toEqual(["system", "user"])
  })
)

it.effect("tools go out as JSON Schema; their calls come back unresolved", () =>
  Effect.gen(function* () {
    const { asked, service } = yield* model([
      { type: "tool-call", id: "1", name: "weather", params: { city: "Oslo" } },
      { ...finish, reason: "tool-calls" }
    ])
    const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"] } as const
    const answer = yield* Llm.generate(LlmAdapter.fromLanguageModel(service, { id: "ai" }), {
      prompt: "hi",
      tools: [{ name: "weather", description: "d", parameters, strict: true }],
      toolChoice: { tool: "weather" }
    })
    expect(answer.toolCalls).toEqual([{ id: "1", name: "weather", params: { city: "Oslo" }, providerExecuted: false }])
    const [tool] = asked[0]?.options.tools ?? []
    expect(tool === undefined ? undefined : [tool.name, Tool.getJsonSchema(tool), Tool.getStrictMode(tool)]).toEqual([
      "weather",
      parameters,
      true
    ])
    expect(asked[0]?.options.toolChoice).toEqual({ tool: "weather" })
  })
)

it.effect("an object is asked for by its schema, and held to it", () =>
  Effect.gen(function* () {
    const schema = { type: "object", properties: { title: { type: "string" } }, required: ["title"] } as const
    const { asked, service } = yield* model([{ type: "text", text: '{"title":"Tea"}' }, finish])
    const llm = LlmAdapter.fromLanguageModel(service, { id: "ai" })
    const responseFormat = { type: "json", name: "event", schema } as const
    expect((yield* Llm.generate(llm, { prompt: "hi", responseFormat })).text).toBe('{"title":"Tea"}')
    yield* Stream.runDrain(Llm.stream(llm, { prompt: "hi", responseFormat }))
    const format = asked[0]?.options.responseFormat
    expect(format?.type === "json" && format.objectName).toBe("event")
    expect(format?.type === "json" && LanguageModel.defaultCodecTransformer(format.schema).jsonSchema).toMatchObject(
      schema
    )
    const wrong = yield* model([{ type: "text", text: '{"title":1}' }, finish])
    const error = yield* Effect.flip(
      Llm.generate(LlmAdapter.fromLanguageModel(wrong.service, { id: "ai" }), { prompt: "hi", responseFormat })
    )
    expect(error).toMatchObject({ reason: { _tag: "MalformedOutput" }, detail: "StructuredOutputError" })
  })
)

it.effect("a language model streams; a stream without a finish part was cut off", () =>
  Effect.gen(function* () {
    const text: ReadonlyArray<Response.StreamPartEncoded> = [
      { type: "text-start", id: "0" },
      { type: "text-delta", id: "0", delta: "hello" },
      { type: "text-end", id: "0" }
    ]
    const { service } = yield* model([], [...text, finish])
    const parts = yield* drain(LlmAdapter.fromLanguageModel(service, { id: "ai" }))
    expect(parts.map((part) => part.type)).toEqual(["text-start", "text-delta", "text-end", "finish"])
    const cut = yield* model([], text)
    const error = yield* Effect.flip(drain(LlmAdapter.fromLanguageModel(cut.service, { id: "ai" })))
    expect(error).toMatchObject({ reason: { _tag: "MalformedOutput" }, delivered: "hello" })
    const ai = AiError.make({ module: "M", method: "m", reason: new AiError.RateLimitError({}) })
    const broken = yield* model([], [...text, { type: "error", error: ai }])
    const limited = yield* Effect.flip(drain(LlmAdapter.fromLanguageModel(broken.service, { id: "ai" })))
    expect(limited.reason._tag).toBe("RateLimited")
  })
)

it.effect("settings go through the services of a call, or are listed as dropped", () =>
  Effect.gen(function* () {
    const { asked, service } = yield* model(
      [{ type: "text", text: "x" }, finish],
      [{ type: "text-delta", id: "0", delta: "x" }, finish]
    )
    const input = { prompt: "hi", settings: { temperature: 0.3 }, providerOptions: { openai: { user: "u" } } }
    const plain = yield* Llm.generate(LlmAdapter.fromLanguageModel(service, { id: "ai" }), input)
    expect(plain.route[0]?.dropped).toEqual(["settings.temperature", "providerOptions.openai"])
    const configured = LlmAdapter.fromLanguageModel(service, {
      id: "ai",
      context: ({ settings }) => Context.make(Temperature, settings.temperature ?? 1)
    })
    const answer = yield* Llm.generate(configured, input)
    yield* Stream.runDrain(Llm.stream(configured, input))
    expect(answer.route[0]?.dropped).toEqual([])
    expect(asked.map(({ temperature }) => temperature)).toEqual([undefined, 0.3, 0.3])
  })
)

it.effect("errors of a language model fail over; a Layer joins a pool in one call", () =>
  Effect.gen(function* () {
    const down = yield* model(new AiError.InternalProviderError({ description: "down" }))
    const up = yield* model([{ type: "text", text: "hello" }])
    const layer = (service: LanguageModel.LanguageModel) => Layer.succeed(LanguageModel.LanguageModel, service)
    const pool = yield* Pool.make(
      [
        yield* LlmAdapter.fromLayer(layer(down.service), { id: "down" }),
        yield* LlmAdapter.fromLayer(layer(up.service), { id: "up" })
      ],
      { id: "pool" }
    )
    const answer = yield* Llm.generate(pool, { prompt: "hi" })
    expect(answer).toMatchObject({ text: "hello", instance: "up", finishReason: "unknown" })
    expect(answer.route.map((entry) => entry.reason)).toEqual(["ProviderError", undefined])
  })
)

it.effect("messages that are none of effect/ai's are an invalid request, and are not quoted", () =>
  Effect.gen(function* () {
    const { service } = yield* model([])
    const odd = JSON.parse('[{"role":"user","content":[{"type":"video","data":"secret"}]}]')
    const error = yield* Effect.flip(Llm.generate(LlmAdapter.fromLanguageModel(service, { id: "ai" }), { prompt: odd }))
    expect(error.reason._tag).toBe("InvalidRequest")
    expect(`${error.message} ${JSON.stringify(error)}`).not.toContain("secret")
  })
)

it.effect("both bridges at once: tools, settings and errors of a pool behind a language model in a pool", () =>
  Effect.gen(function* () {
    const Weather = Tool.make("weather", {
      parameters: Schema.Struct({ city: Schema.String }),
      success: Schema.Struct({ celsius: Schema.Number })
    })
    const toolkit = Toolkit.make(Weather)
    const inner = yield* ScriptedLlm.make({
      id: "inner",
      script: (call) =>
        call === 0
          ? ScriptedLlm.fails({ _tag: "Timeout", clock: "ttft", limit: Duration.seconds(1), shortened: false })
          : [
              ScriptedLlm.parts({ type: "tool-call", id: "1", name: "weather", params: { city: "Rome" } }),
              ScriptedLlm.finish({}, "tool-calls")
            ]
    })
    const adapted = LlmAdapter.fromLanguageModel(yield* LlmLanguageModel.make(inner.llm), {
      id: "adapted",
      context: ({ settings }) => Context.make(LlmLanguageModel.CurrentConfig, { settings })
    })
    const error = yield* Effect.flip(Llm.generate(adapted, { prompt: "hi" }))
    expect(error.reason).toMatchObject({ _tag: "Timeout", clock: "ttft" })
    const response = yield* LanguageModel.generateText({ prompt: "weather?", toolkit }).pipe(
      LlmLanguageModel.withConfig({ settings: { temperature: 0.4 } }),
      Effect.provide([
        LlmLanguageModel.layer(adapted),
        toolkit.toLayer({ weather: ({ city }) => Effect.succeed({ celsius: city.length }) })
      ])
    )
    expect(response.toolResults.map((result) => result.result)).toEqual([{ celsius: 4 }])
    expect(inner.calls()[1]?.request.settings).toEqual({ temperature: 0.4 })
    expect(inner.calls()[1]?.request.tools[0]).toMatchObject({ name: "weather", parameters: { type: "object" } })
    expect(inner.open()).toBe(0)
  })
)
