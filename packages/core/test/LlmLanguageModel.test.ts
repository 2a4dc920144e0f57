import { Llm, type LlmError, type LlmRequest, Member, type Part, Pool, Tiers } from "@echelon/core"
import * as LanguageModelParts from "@echelon/core/LanguageModelParts"
import * as LlmAiError from "@echelon/core/LlmAiError"
import * as LlmLanguageModel from "@echelon/core/LlmLanguageModel"
import * as Orchestrator from "@echelon/core/Orchestrator"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Fiber, Layer, Ref, Schema, Stream, Tracer } from "effect"
import {
  AiError,
  Chat,
  LanguageModel,
  Model,
  OpenAiStructuredOutput,
  Prompt,
  type Response,
  Tool,
  Toolkit
} from "effect/ai"
import { TestClock } from "effect/testing"

const overloaded: LlmError.Reason = { _tag: "Overloaded" }
const reset: LlmError.Reason = { _tag: "Network", kind: "reset" }

/** A pool that asks its members in order. */
const pool = Effect.fnUntraced(function* (
  scripts: ReadonlyArray<readonly [string, ScriptedLlm.Options["script"]]>,
  onInterrupt: ReadonlyArray<LlmRequest.OnInterrupt> = []
) {
  const made = yield* Effect.forEach(scripts, ([id, script]) =>
    ScriptedLlm.make({ id, script, model: `wire-${id}`, prices: { input: 1, output: 2 } })
  )
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
  return { made, layer: LlmLanguageModel.layer(llm), llm }
})

const open = (made: ReadonlyArray<ScriptedLlm.ScriptedLlm>): number =>
  made.reduce((sum, scripted) => sum + scripted.open(), 0)

const toolCall = (id: string, name: string, params: unknown): ScriptedLlm.Step =>
  ScriptedLlm.parts({ type: "tool-call", id, name, params })

const asksTool = (id: string, city: string): ScriptedLlm.Script => [
  ScriptedLlm.parts({ type: "tool-params-start", id, name: "weather" }),
  ScriptedLlm.parts({ type: "tool-params-delta", id, delta: JSON.stringify({ city }) }),
  ScriptedLlm.parts({ type: "tool-params-end", id }),
  toolCall(id, "weather", { city }),
  ScriptedLlm.finish({}, "tool-calls")
]

const Weather = Tool.make("weather", {
  description: "the weather of a city",
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.Struct({ celsius: Schema.Number })
})
const toolkit = Toolkit.make(Weather)
const handlers = toolkit.toLayer({ weather: ({ city }) => Effect.succeed({ celsius: city.length }) })

const collect = <A, E, R>(stream: Stream.Stream<A, E, R>) =>
  Effect.gen(function* () {
    const seen: Array<A> = []
    const result = yield* Effect.result(Stream.runForEach(stream, (part) => Effect.sync(() => void seen.push(part))))
    return { seen, error: result._tag === "Failure" ? result.failure : undefined }
  })

const textOf = (parts: ReadonlyArray<{ readonly type: string; readonly delta?: string }>): string =>
  parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join("")

it.effect("generates text, and tells who answered", () =>
  Effect.gen(function* () {
    const { layer, made } = yield* pool([
      ["a", ScriptedLlm.fails(overloaded)],
      ["b", ScriptedLlm.text("hello there", { inputTokens: 3, outputTokens: 2 })]
    ])
    const response = yield* LanguageModel.generateText({ prompt: "hi" }).pipe(Effect.provide(layer))
    expect(response.text).toBe("hello there")
    expect(response.finishReason).toBe("stop")
    expect(response.usage.inputTokens.total).toBe(3)
    const route = LanguageModelParts.routeOf(response.content)
    expect(route).toMatchObject({ instance: "b", model: "wire-b", cost: 7 / 1_000_000 })
    expect(route?.route.map(({ instance, outcome, reason }) => [instance, outcome, reason])).toEqual([
      ["a", "failed", "Overloaded"],
      ["b", "completed", undefined]
    ])
    expect(open(made)).toBe(0)
    expect(made[1]?.calls()[0]?.request).toMatchObject({ stream: false, commit: "finish", tools: [] })
    expect(made[1]?.calls()[0]?.request.toolChoice).toBeUndefined()
  })
)

it.effect("a whole answer survives an instance that breaks half-way", () =>
  Effect.gen(function* () {
    const { layer } = yield* pool([
      ["a", ScriptedLlm.truncated("half ", reset)],
      ["b", ScriptedLlm.text("whole")]
    ])
    const response = yield* LanguageModel.generateText({ prompt: "hi" }).pipe(Effect.provide(layer))
    expect(response.text).toBe("whole")
  })
)

it.effect("sends the conversation in its encoded form, with what parts carry for providers", () =>
  Effect.gen(function* () {
    const { layer, made } = yield* pool([["a", ScriptedLlm.text("yes")]])
    yield* LanguageModel.generateText({
      prompt: [
        { role: "system", content: "be brief" },
        {
          role: "user",
          content: [
            { type: "text", text: "what is this?", options: { anthropic: { cacheControl: { type: "ephemeral" } } } },
            { type: "file", mediaType: "image/png", data: new Uint8Array([1, 2, 3]) }
          ]
        }
      ]
    }).pipe(Effect.provide(layer))
    const [system, user] = made[0]?.calls()[0]?.request.messages ?? []
    expect(system).toMatchObject({ role: "system", content: "be brief" })
    expect(user?.content).toMatchObject([
      { type: "text", text: "what is this?", options: { anthropic: { cacheControl: { type: "ephemeral" } } } },
      { type: "file", mediaType: "image/png", data: { _tag: "Uint8Array", base64: "AQID" } }
    ])
  })
)

it.effect("settings, options and metadata come from the layer and from CurrentConfig", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("yes") })
    const layer = LlmLanguageModel.layer(scripted.llm, {
      config: { settings: { temperature: 0.5, seed: 7 }, metadata: { tenant: "t" } }
    })
    yield* LanguageModel.generateText({ prompt: "hi" }).pipe(
      LlmLanguageModel.withConfig({
        settings: { temperature: 0 },
        metadata: { sessionId: "s" },
        providerOptions: { openai: { logprobs: true } }
      }),
      LlmLanguageModel.withConfig({ settings: { temperature: 1, maxOutputTokens: 10 } }),
      Effect.provide(layer)
    )
    yield* LanguageModel.streamText({ prompt: "hi" }).pipe(
      Stream.updateService(LlmLanguageModel.CurrentConfig, (config) =>
        LlmLanguageModel.merge(config, { settings: { topP: 0.1 } })
      ),
      Stream.runDrain,
      Effect.provide(layer)
    )
    const [first, second] = scripted.calls().map((call) => call.request)
    expect(first?.settings).toEqual({ temperature: 0, seed: 7, maxOutputTokens: 10 })
    expect(first?.metadata).toEqual({ tenant: "t", sessionId: "s" })
    expect(first?.providerOptions).toEqual({ openai: { logprobs: true } })
    expect(second?.settings).toEqual({ temperature: 0.5, seed: 7, topP: 0.1 })
    expect(second?.metadata).toEqual({ tenant: "t" })
  })
)

it.effect("streams parts in order, the route on the finish part", () =>
  Effect.gen(function* () {
    const { layer, made } = yield* pool([
      ["a", ScriptedLlm.fails(overloaded)],
      ["b", ScriptedLlm.text("one two")]
    ])
    const { error, seen } = yield* collect(LanguageModel.streamText({ prompt: "hi" })).pipe(Effect.provide(layer))
    expect(error).toBeUndefined()
    expect(seen.map((part) => part.type)).toEqual(["text-start", "text-delta", "text-delta", "text-end", "finish"])
    expect(LanguageModelParts.routeOf(seen)).toMatchObject({ instance: "b" })
    expect(LanguageModelParts.routeOf(seen)?.route.map((entry) => entry.outcome)).toEqual(["failed", "completed"])
    expect(made[1]?.calls()[0]?.request.stream).toBe(true)
    expect(open(made)).toBe(0)
  })
)

it.effect("a stream that breaks after commit goes on elsewhere, with a seam", () =>
  Effect.gen(function* () {
    const { layer, made } = yield* pool(
      [
        ["a", ScriptedLlm.truncated("one two ", reset)],
        ["b", ScriptedLlm.text("one two three")]
      ],
      ["restart"]
    )
    const { error, seen } = yield* collect(LanguageModel.streamText({ prompt: "hi" })).pipe(Effect.provide(layer))
    expect(error).toBeUndefined()
    expect(textOf(seen)).toBe("one two three")
    const seam = seen.find((part) => part.type === "response-metadata")
    expect(seam?.metadata["echelon"]).toEqual({ seam: { from: "a", to: "b", mode: "restart" } })
    expect(LanguageModelParts.routeOf(seen)?.instance).toBe("b")
    expect(open(made)).toBe(0)
  })
)

it.effect("a stream that breaks without a rescue fails as AiError, the LlmError behind it", () =>
  Effect.gen(function* () {
    const { layer, made } = yield* pool([
      ["a", ScriptedLlm.truncated("one two ", reset)],
      ["b", ScriptedLlm.text("never asked")]
    ])
    const { error, seen } = yield* collect(LanguageModel.streamText({ prompt: "hi" })).pipe(Effect.provide(layer))
    expect(textOf(seen)).toBe("one two ")
    expect(AiError.isAiError(error) && error.reason._tag).toBe("NetworkError")
    expect(AiError.isAiError(error) && error.isRetryable).toBe(true)
    expect(LlmAiError.original(error)).toMatchObject({ reason: reset, instance: "a", delivered: "one two " })
    expect(JSON.stringify(error)).not.toContain("one two")
    expect(open(made)).toBe(0)
  })
)

it.effect("a stream left early closes its connection", () =>
  Effect.gen(function* () {
    const { layer, made } = yield* pool([["a", [...ScriptedLlm.text("one two three").slice(0, 3), ScriptedLlm.never]]])
    const taken = yield* Stream.runCollect(Stream.take(LanguageModel.streamText({ prompt: "hi" }), 2)).pipe(
      Effect.provide(layer)
    )
    expect(taken.length).toBe(2)
    expect(made[0]?.opened()).toBe(1)
    expect(open(made)).toBe(0)
    const fiber = yield* Effect.forkChild(
      Stream.runDrain(LanguageModel.streamText({ prompt: "hi", toolkit })).pipe(Effect.provide([layer, handlers]))
    )
    yield* TestClock.adjust("1 second")
    expect(open(made)).toBe(1)
    yield* Fiber.interrupt(fiber)
    expect(open(made)).toBe(0)
  })
)

it.effect("tools are resolved over two rounds, through a failover in each", () =>
  Effect.gen(function* () {
    const failsThen =
      (...scripts: ReadonlyArray<ScriptedLlm.Script>): ScriptedLlm.Options["script"] =>
      (call) =>
        scripts[call] ?? ScriptedLlm.fails(overloaded)
    const { layer, made } = yield* pool([
      ["a", failsThen()],
      ["b", failsThen(asksTool("1", "Oslo"), ScriptedLlm.text("4 degrees"))]
    ])
    const program = Effect.gen(function* () {
      const first = yield* LanguageModel.generateText({ prompt: "weather in Oslo?", toolkit })
      const prompt = Prompt.concat(Prompt.make("weather in Oslo?"), Prompt.fromResponseParts(first.content))
      return [first, yield* LanguageModel.generateText({ prompt, toolkit })] as const
    })
    const [first, second] = yield* program.pipe(Effect.provide([layer, handlers]))
    expect(first.toolResults.map((result) => result.result)).toEqual([{ celsius: 4 }])
    expect(LanguageModelParts.routeOf(first.content)?.instance).toBe("b")
    expect(second.text).toBe("4 degrees")
    const requests = made[1]?.calls().map((call) => call.request)
    expect(requests?.[0]?.tools).toEqual([
      {
        name: "weather",
        description: "the weather of a city",
        parameters: expect.objectContaining({ type: "object", required: ["city"] }),
        strict: undefined
      }
    ])
    expect(requests?.[0]?.toolChoice).toBe("auto")
    expect(requests?.[1]?.messages.map((message) => message.role)).toEqual(["user", "assistant", "tool"])
    expect(requests?.[1]?.messages[2]?.content).toMatchObject([
      { type: "tool-result", id: "1", name: "weather", result: { celsius: 4 }, isFailure: false }
    ])
    expect(made[0]?.calls().length).toBe(2)
  })
)

it.effect("streamed tool calls are resolved before the finish part", () =>
  Effect.gen(function* () {
    const { layer } = yield* pool([
      ["a", ScriptedLlm.fails(overloaded)],
      ["b", asksTool("1", "Rome")]
    ])
    const { seen } = yield* collect(LanguageModel.streamText({ prompt: "weather?", toolkit })).pipe(
      Effect.provide([layer, handlers])
    )
    expect(seen.map((part) => part.type)).toEqual([
      "tool-params-start",
      "tool-params-delta",
      "tool-params-end",
      "tool-call",
      "tool-result",
      "finish"
    ])
  })
)

it.effect("tool calls of a broken stream are not made again elsewhere", () =>
  Effect.gen(function* () {
    const { layer, made } = yield* pool(
      [
        ["a", [toolCall("1", "weather", { city: "Rome" }), ScriptedLlm.fail(reset)]],
        ["b", asksTool("2", "Rome")]
      ],
      ["restart"]
    )
    const calls = yield* Ref.make(0)
    const counting = toolkit.toLayer({
      weather: () =>
        Effect.as(
          Ref.update(calls, (n) => n + 1),
          { celsius: 1 }
        )
    })
    const { error } = yield* collect(LanguageModel.streamText({ prompt: "weather?", toolkit })).pipe(
      Effect.provide([layer, counting])
    )
    expect(AiError.isAiError(error)).toBe(true)
    expect(yield* Ref.get(calls)).toBe(0)
    expect(made[1]?.calls().length).toBe(0)
  })
)

it.effect("disableToolCallResolution leaves calls to the caller; deferred validation passes any", () =>
  Effect.gen(function* () {
    const { layer } = yield* pool([["a", asksTool("1", "Rome")]])
    const left = yield* LanguageModel.generateText({ prompt: "hi", toolkit, disableToolCallResolution: true }).pipe(
      Effect.provide([layer, handlers])
    )
    expect(left.toolCalls.map((call) => call.params)).toEqual([{ city: "Rome" }])
    expect(left.toolResults).toEqual([])
    const deferred = yield* LanguageModel.generateText({
      prompt: "hi",
      disableToolCallResolution: true,
      toolCallValidation: "deferred"
    }).pipe(Effect.provide(layer))
    expect(deferred.toolCalls.map((call) => call.name)).toEqual(["weather"])
  })
)

it.effect("a tool that was never given is ToolNotFoundError; one a provider runs itself is left out", () =>
  Effect.gen(function* () {
    const { layer } = yield* pool([["a", asksTool("1", "Rome")]])
    const error = yield* Effect.flip(LanguageModel.generateText({ prompt: "hi" }).pipe(Effect.provide(layer)))
    expect(error.reason).toMatchObject({ _tag: "ToolNotFoundError", toolName: "weather", availableTools: [] })
    const streamed = yield* collect(LanguageModel.streamText({ prompt: "hi" })).pipe(Effect.provide(layer))
    expect(AiError.isAiError(streamed.error) && streamed.error.reason._tag).toBe("ToolNotFoundError")
    const searched = yield* pool([
      [
        "a",
        [
          ScriptedLlm.parts(
            { type: "tool-call", id: "1", name: "web_search", params: { q: "x" }, providerExecuted: true },
            { type: "tool-result", id: "1", name: "web_search", result: [], isFailure: false, providerExecuted: true }
          ),
          ...ScriptedLlm.text("found")
        ]
      ]
    ])
    const response = yield* LanguageModel.generateText({ prompt: "hi" }).pipe(Effect.provide(searched.layer))
    expect(response.text).toBe("found")
    expect(response.toolCalls).toEqual([])
    const parts = yield* collect(LanguageModel.streamText({ prompt: "hi" })).pipe(Effect.provide(searched.layer))
    expect(parts.error).toBeUndefined()
    expect(textOf(parts.seen)).toBe("found")
  })
)

it.effect("toolChoice and oneOf reach the request", () =>
  Effect.gen(function* () {
    const Time = Tool.make("time", { success: Schema.Number })
    const both = Toolkit.make(Weather, Time)
    const { layer, made } = yield* pool([["a", ScriptedLlm.text("no")]])
    const layers = Layer.merge(
      layer,
      both.toLayer({ weather: () => Effect.succeed({ celsius: 1 }), time: () => Effect.succeed(1) })
    )
    for (const toolChoice of [
      "required",
      "none",
      { tool: "time" },
      { mode: "required", oneOf: ["time"] },
      { oneOf: ["weather"] }
    ] as const)
      yield* LanguageModel.generateText({ prompt: "hi", toolkit: both, toolChoice }).pipe(Effect.provide(layers))
    expect(made[0]?.calls().map(({ request }) => [request.toolChoice, request.tools.map((tool) => tool.name)])).toEqual(
      [
        ["required", ["weather", "time"]],
        ["none", ["weather", "time"]],
        [{ tool: "time" }, ["weather", "time"]],
        ["required", ["time"]],
        ["auto", ["weather"]]
      ]
    )
    expect(made[0]?.calls()[0]?.request.tools[1]?.parameters).toMatchObject({ type: "object" })
  })
)

it.effect("a tool that its provider defines is refused", () =>
  Effect.gen(function* () {
    const Search = Tool.providerDefined({
      id: "openai.web_search",
      customName: "search",
      providerName: "web_search",
      success: Schema.String
    })()
    const { layer, made } = yield* pool([["a", ScriptedLlm.text("no")]])
    const error = yield* Effect.flip(
      LanguageModel.generateText({ prompt: "hi", toolkit: Toolkit.make(Search) }).pipe(Effect.provide(layer))
    )
    expect(error).toMatchObject({ reason: { _tag: "ToolConfigurationError", toolName: "search" } })
    expect(made[0]?.calls().length).toBe(0)
  })
)

class Event extends Schema.Class<Event>("Event")({
  title: Schema.String,
  day: Schema.Int,
  place: Schema.optional(Schema.String)
}) {}

it.effect("generates objects, through a failover", () =>
  Effect.gen(function* () {
    const { layer, made } = yield* pool([
      ["a", ScriptedLlm.truncated('{"title":', reset)],
      ["b", ScriptedLlm.text('{"title":"Tea","day":3}')]
    ])
    const response = yield* LanguageModel.generateObject({
      prompt: "when?",
      schema: Event,
      objectName: "my event"
    }).pipe(LlmLanguageModel.withConfig({ strictJsonSchema: false }), Effect.provide(layer))
    expect(response.value).toEqual(new Event({ title: "Tea", day: 3 }))
    expect(made[1]?.calls()[0]?.request.responseFormat).toMatchObject({
      type: "json",
      name: "my_event",
      strict: false,
      schema: { type: "object", required: ["title", "day"] }
    })
  })
)

it.effect("an object that does not fit its schema is StructuredOutputError, as everywhere in effect/ai", () =>
  Effect.gen(function* () {
    const { layer } = yield* pool([["a", ScriptedLlm.text('{"title":1}')]])
    const error = yield* Effect.flip(
      LanguageModel.generateObject({ prompt: "when?", schema: Event }).pipe(Effect.provide(layer))
    )
    expect(error.reason._tag).toBe("StructuredOutputError")
    expect(error.isRetryable).toBe(true)
  })
)

it.effect("a codec transformer brings a schema into the form that a provider takes", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text('{"title":"Tea","place":null}') })
    const Place = Schema.Struct({ title: Schema.String, place: Schema.optionalKey(Schema.String) })
    const response = yield* LanguageModel.generateObject({ prompt: "when?", schema: Place }).pipe(
      Effect.provide(LlmLanguageModel.layer(scripted.llm, { codecTransformer: OpenAiStructuredOutput.toCodecOpenAI }))
    )
    expect(response.value).toEqual({ title: "Tea" })
    expect(scripted.calls()[0]?.request.responseFormat).toMatchObject({ schema: { required: ["title", "place"] } })
  })
)

it.effect("Chat keeps its history over two turns, the first streamed over a seam", () =>
  Effect.gen(function* () {
    const { layer, made } = yield* pool(
      [
        ["a", (call) => (call === 0 ? ScriptedLlm.truncated("I am ", reset) : ScriptedLlm.fails(overloaded))],
        ["b", (call) => ScriptedLlm.text(call === 0 ? "I am fine" : "You asked how I am")]
      ],
      ["restart"]
    )
    const program = Effect.gen(function* () {
      const chat = yield* Chat.fromPrompt([{ role: "system", content: "be kind" }])
      yield* Stream.runDrain(chat.streamText({ prompt: "how are you?" }))
      return yield* chat.generateText({ prompt: "what did I ask?" })
    })
    const response = yield* program.pipe(Effect.provide(layer))
    expect(response.text).toBe("You asked how I am")
    const messages = made[1]?.calls()[1]?.request.messages ?? []
    expect(messages.map((message) => message.role)).toEqual(["system", "user", "assistant", "user"])
    const said = messages[2]?.content
    expect(
      typeof said === "string" ? said : said?.map((part) => (part.type === "text" ? part.text : "")).join("")
    ).toBe("I am fine")
    expect(open(made)).toBe(0)
  })
)

it.effect("what effect/ai cannot decode does not break an answer", () =>
  Effect.gen(function* () {
    const odd: Part.Part = { type: "response-metadata", id: "r1", timestamp: "yesterday" }
    const { layer } = yield* pool([
      [
        "a",
        [
          ScriptedLlm.parts(odd, { type: "source", sourceType: "url", id: "s", url: "not a url", title: "t" }),
          ...ScriptedLlm.text("fine", { inputTokens: 1.4, outputTokens: Number.NaN })
        ]
      ]
    ])
    const response = yield* LanguageModel.generateText({ prompt: "hi" }).pipe(Effect.provide(layer))
    expect(response.text).toBe("fine")
    expect(response.usage.inputTokens.total).toBe(1)
    expect(response.usage.outputTokens.total).toBeUndefined()
    const { error, seen } = yield* collect(LanguageModel.streamText({ prompt: "hi" })).pipe(Effect.provide(layer))
    expect(error).toBeUndefined()
    expect(seen.map((part) => part.type)).toEqual([
      "response-metadata",
      "text-start",
      "text-delta",
      "text-end",
      "finish"
    ])
  })
)

it.effect("reasoning and its signature reach the next turn; an empty text does not", () =>
  Effect.gen(function* () {
    const script: ScriptedLlm.Script = [
      ScriptedLlm.parts(
        { type: "reasoning-start", id: "r" },
        { type: "reasoning-delta", id: "r", delta: "hm" },
        { type: "reasoning-end", id: "r", metadata: { anthropic: { signature: "sig" } } },
        { type: "text-start", id: "0" },
        { type: "text-end", id: "0" }
      ),
      ...ScriptedLlm.text("yes")
    ]
    const { layer } = yield* pool([["a", script]])
    const response = yield* LanguageModel.generateText({ prompt: "hi" }).pipe(Effect.provide(layer))
    expect(response.content.map((part) => part.type)).toEqual(["reasoning", "text", "finish"])
    expect(response.content[0]?.metadata).toEqual({ anthropic: { signature: "sig" } })
  })
)

it.effect("effect's own retry by isRetryable and retryAfter works on a pool that is cooling", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({
      id: "a",
      script: (call) =>
        call === 0
          ? ScriptedLlm.fails({ _tag: "RateLimited", retryAfter: Duration.seconds(30) })
          : ScriptedLlm.text("at last")
    })
    const llm = yield* Pool.make([scripted.llm], { id: "pool" })
    const ask: Effect.Effect<string, AiError.AiError, LanguageModel.LanguageModel> = Effect.catch(
      Effect.map(LanguageModel.generateText({ prompt: "hi" }), (response) => response.text),
      (error) =>
        error.isRetryable && error.retryAfter !== undefined
          ? Effect.flatMap(Effect.sleep(error.retryAfter), () => ask)
          : Effect.fail(error)
    )
    const fiber = yield* Effect.forkChild(ask.pipe(Effect.provide(LlmLanguageModel.layer(llm))))
    yield* TestClock.adjust("29 seconds")
    expect(scripted.calls().length).toBe(1)
    yield* TestClock.adjust("2 seconds")
    expect(yield* Fiber.join(fiber)).toBe("at last")
  })
)

it.effect("spans carry the usual attributes, and who answered", () =>
  Effect.gen(function* () {
    const spans: Array<Tracer.NativeSpan> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = new Tracer.NativeSpan(options)
        spans.push(span)
        return span
      }
    })
    const { layer } = yield* pool([["a", ScriptedLlm.text("a secret answer", { inputTokens: 5, outputTokens: 3 })]])
    yield* LanguageModel.generateText({ prompt: "a secret prompt" }).pipe(
      LlmLanguageModel.withConfig({ settings: { temperature: 0.2 } }),
      Effect.provide(layer),
      Effect.withTracer(tracer)
    )
    const span = spans.find(({ name }) => name === "LanguageModel.generateText")
    expect(Object.fromEntries(span?.attributes ?? [])).toMatchObject({
      "gen_ai.provider.name": "echelon",
      "gen_ai.request.model": "pool",
      "gen_ai.request.temperature": 0.2,
      "gen_ai.usage.input_tokens": 5,
      "gen_ai.usage.output_tokens": 3,
      "echelon.instance": "a"
    })
    expect(JSON.stringify(spans.map((one) => [...one.attributes]))).not.toContain("secret")
  })
)

it.effect("is a Model of effect/ai, and a Layer over the orchestrator", () =>
  Effect.gen(function* () {
    const scripted = yield* ScriptedLlm.make({ id: "a", script: ScriptedLlm.text("hello") })
    const named = Effect.gen(function* () {
      const { text } = yield* LanguageModel.generateText({ prompt: "hi" })
      return [text, yield* Model.ProviderName, yield* Model.ModelName]
    })
    expect(yield* named.pipe(Effect.provide(LlmLanguageModel.model(scripted.llm)))).toEqual(["hello", "echelon", "a"])
    const orchestrator = Layer.succeed(Orchestrator.Orchestrator, {
      generate: (input) => Llm.generate(scripted.llm, input),
      stream: (input) => Llm.stream(scripted.llm, input),
      open: (input) => Llm.open(scripted.llm, input),
      embed: (input) => Llm.embed(scripted.llm, input),
      llm: scripted.llm
    })
    const text = yield* LanguageModel.generateText({ prompt: "hi" }).pipe(
      LlmLanguageModel.withConfig({ metadata: { poolName: "fast" } }),
      Effect.map((response) => response.text),
      Effect.provide(Layer.provide(LlmLanguageModel.layerOrchestrator(), orchestrator))
    )
    expect(text).toBe("hello")
    expect(scripted.calls().at(-1)?.request.metadata.poolName).toBe("fast")
  })
)

it("parts of another's making have no route", () => {
  const finish = { type: "finish", metadata: { echelon: { usage: "partial" } } } as const
  expect(
    LanguageModelParts.routeOf([{ type: "text" }, finish] satisfies ReadonlyArray<{
      readonly type: string
      readonly metadata?: Response.ProviderMetadata
    }>)
  ).toBeUndefined()
})
