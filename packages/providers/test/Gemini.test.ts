import { createRequire } from "node:module"
import { Llm, LlmReply, type LlmRequest, type Part, type Plan } from "@echelon/core"
import { Endpoint, Instance, ProviderTable, Transport } from "@echelon/providers"
import * as GeminiRequest from "@echelon/providers/GeminiRequest"
import { expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Result, Stream } from "effect"
import { instanceOf, json, serve, sse } from "./Support.ts"

const key = "planted-key-0123456789"

const build = (url: string, provider: Partial<Plan.Provider> = {}, model = "gemini-2.5-flash") =>
  Effect.flatMap(Layer.build(Transport.layer), (context) =>
    Effect.provideContext(Instance.make(instanceOf("gemini", { baseUrl: url, ...provider }, { key, model })), context)
  )

const buffered = (llm: Llm.Llm, input: LlmRequest.Input) => Llm.generate(llm, input)

const streamed = (llm: Llm.Llm, input: LlmRequest.Input) =>
  Effect.map(Stream.runCollect(Llm.stream(llm, input)), (parts) => LlmReply.toAnswer(parts, []))

const ways = [buffered, streamed]

// ---------------------------------------------------------------------------------------------------------------
// By a server that is not ours
// ---------------------------------------------------------------------------------------------------------------

// What is used of it. It is a dependency of `@echelon/testing`.
interface Mock {
  readonly on: (match: object, response: object, options?: object) => Mock
  readonly start: () => Promise<string>
  readonly stop: () => Promise<void>
  readonly getRequests: () => ReadonlyArray<{ readonly path: string; readonly body: Record<string, unknown> }>
}

const { LLMock } = createRequire(new URL("../../testing/package.json", import.meta.url))("@copilotkit/aimock") as {
  readonly LLMock: new (options: object) => Mock
}

const mocked = (prepare: (mock: Mock) => unknown) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const mock = new LLMock({ port: 0, host: "127.0.0.1", logLevel: "silent", chunkSize: 5 })
      prepare(mock)
      return { mock, url: `${await mock.start()}/v1beta` }
    }),
    ({ mock }) => Effect.promise(() => mock.stop())
  )

const usage = { prompt_tokens: 11, completion_tokens: 7 }

it.live("answers buffered and streamed alike", () =>
  Effect.gen(function* () {
    const { mock, url } = yield* mocked((mock) =>
      mock.on({ userMessage: "hello" }, { content: "Hello from the other side.", reasoning: "A greeting.", usage })
    )
    const { llm } = yield* build(url)
    for (const ask of ways) {
      const answer = yield* ask(llm, {
        prompt: [
          { role: "system", content: "Be kind." },
          { role: "user", content: "hello" }
        ],
        settings: { maxOutputTokens: 50, topK: 3 }
      })
      expect(answer.text).toBe("Hello from the other side.")
      expect(answer.reasoning).toBe("A greeting.")
      expect(answer.finishReason).toBe("stop")
      expect(answer.usage).toMatchObject({ inputTokens: 11, outputTokens: 7, source: "reported" })
    }
    const seen = mock.getRequests()
    expect(seen.map(({ path }) => path)).toEqual([
      "/v1beta/models/gemini-2.5-flash:generateContent",
      "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"
    ])
    for (const { body } of seen)
      expect(body).toMatchObject({
        model: "gemini-2.5-flash",
        messages: [
          { role: "system", content: "Be kind." },
          { role: "user", content: "hello" }
        ],
        max_tokens: 50,
        top_k: 3
      })
  })
)

it.live("calls tools and goes on with their results", () =>
  Effect.gen(function* () {
    const { mock, url } = yield* mocked((mock) =>
      mock
        .on(
          { userMessage: "weather", hasToolResult: false },
          {
            toolCalls: [
              { name: "weather", arguments: '{"city":"Rome"}' },
              { name: "weather", arguments: '{"city":"Oslo"}' }
            ],
            usage
          }
        )
        .on({ userMessage: "weather", hasToolResult: true }, { content: "Warm, and cold.", usage })
    )
    const { llm } = yield* build(url)
    const tools = [{ name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } }]
    for (const ask of ways) {
      const { finishReason, toolCalls } = yield* ask(llm, { prompt: "the weather", tools })
      expect(finishReason).toBe("tool-calls")
      expect(toolCalls.map(({ params }) => params)).toEqual([{ city: "Rome" }, { city: "Oslo" }])
      expect(new Set(toolCalls.map(({ id }) => id)).size).toBe(2)
      const answer = yield* ask(llm, {
        tools,
        prompt: [
          { role: "user", content: "the weather" },
          {
            role: "assistant",
            content: toolCalls.map(({ id, name, params }) => ({ type: "tool-call", id, name, params }))
          },
          // The one that was asked last is done first.
          ...[...toolCalls].reverse().map(({ id, name, params }) => ({
            role: "tool" as const,
            content: [{ type: "tool-result" as const, id, name, isFailure: false, result: params }]
          }))
        ]
      })
      expect(answer.text).toBe("Warm, and cold.")
      const messages = mock.getRequests().at(-1)?.body["messages"] as ReadonlyArray<Record<string, unknown>>
      expect(messages.flatMap(({ content, role }) => (role === "tool" ? [content] : []))).toEqual([
        '{"output":{"city":"Rome"}}',
        '{"output":{"city":"Oslo"}}'
      ])
    }
  })
)

it.live("fails as the server says, and where a stream is cut off", () =>
  Effect.gen(function* () {
    const { url } = yield* mocked((mock) =>
      mock
        .on({ userMessage: "refused" }, { error: { message: "busy", type: "UNAVAILABLE" }, status: 503 })
        .on({ userMessage: "filtered" }, { content: "", finishReason: "content_filter" })
        .on({ userMessage: "cut" }, { content: "This will never be whole." }, { truncateAfterChunks: 2 })
    )
    const { llm } = yield* build(url)
    for (const ask of ways) {
      for (const [prompt, tag] of [
        ["refused", "Overloaded"],
        ["filtered", "ContentPolicy"],
        ["nothing like it", "ModelNotFound"]
      ] as const) {
        const error = yield* Effect.flip(ask(llm, { prompt }))
        expect([prompt, error.reason._tag]).toEqual([prompt, tag])
      }
    }
    const error = yield* Effect.flip(streamed(llm, { prompt: "cut" }))
    expect(["MalformedOutput", "Network"]).toContain(error.reason._tag)
  })
)

// ---------------------------------------------------------------------------------------------------------------
// Addresses, keys and health
// ---------------------------------------------------------------------------------------------------------------

const reply = (text: string, more: object = {}) => ({
  candidates: [{ content: { role: "model", parts: [{ text }] }, index: 0, ...more }]
})

it.live("shows the key in its header alone, and asks for models to see whether it is well", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => json(response, 200, reply("hi", { finishReason: "STOP" })))
    const { llm, probe } = yield* build(`${server.url}/proxy/v1beta/`, { query: { team: Redacted.make("t") } })
    yield* buffered(llm, { prompt: "hi" })
    yield* streamed(llm, { prompt: "hi" })
    yield* probe
    expect(server.seen.map(({ method, url }) => [method, url])).toEqual([
      ["POST", "/proxy/v1beta/models/gemini-2.5-flash:generateContent?team=t"],
      ["POST", "/proxy/v1beta/models/gemini-2.5-flash:streamGenerateContent?team=t&alt=sse"],
      ["GET", "/proxy/v1beta/models?team=t"]
    ])
    for (const { headers, url } of server.seen) {
      expect(headers["x-goog-api-key"]).toBe(key)
      expect(headers.authorization).toBe(undefined)
      expect(url).not.toContain(key)
    }
    expect(JSON.parse(server.seen[0]?.body ?? "")).toEqual({ contents: [{ role: "user", parts: [{ text: "hi" }] }] })
    expect(server.seen[1]?.body).toBe(server.seen[0]?.body)
  })
)

it.live("hides the key that an error quotes", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) =>
      json(response, 400, [{ error: { code: 400, message: `API key not valid: ${key}`, status: "INVALID_ARGUMENT" } }])
    )
    const { llm } = yield* build(server.url)
    for (const ask of ways) {
      const error = yield* Effect.flip(ask(llm, { prompt: "hi" }))
      expect(error.reason._tag).toBe("Authentication")
      expect(error.message).toContain("API key not valid")
      expect(error.message).not.toContain(key)
    }
  })
)

it.live("hands on its own protocol's body and events as they are", () =>
  Effect.gen(function* () {
    const events = [reply("a"), reply("b", { finishReason: "STOP" })]
    const server = yield* serve((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" })
      response.end(sse(...events))
    })
    const { llm } = yield* build(server.url)
    const body = { contents: [{ parts: [{ text: "hi" }] }], unheard: { of: 1 } }
    const raw = { protocol: GeminiRequest.protocol, body }
    const parts = yield* Stream.runCollect(Llm.stream(llm, { prompt: "ignored", raw }))
    expect(JSON.parse(server.seen[0]?.body ?? "")).toEqual(body)
    expect(parts.flatMap((part: Part.Part) => (part.raw === undefined ? [] : [JSON.parse(part.raw.data)]))).toEqual(
      events
    )
  })
)

it.live("takes a stream that tells no reason for cut off, with what was delivered", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" })
      response.end(sse(reply("This "), reply("will")))
    })
    const { llm } = yield* build(server.url)
    const error = yield* Effect.flip(streamed(llm, { prompt: "hi" }))
    expect(error.reason._tag).toBe("MalformedOutput")
    expect(error.delivered).toBe("This will")
  })
)

const endpoint = (model: string, provider: Partial<Plan.Provider> = {}) => {
  const row = ProviderTable.find("gemini")
  if (row === undefined) throw new Error("no row")
  return Endpoint.make(row, instanceOf("gemini", provider, { key, model }))
}

it("puts the model into the path", () => {
  const at = (model: string, provider?: Partial<Plan.Provider>) => {
    const { generate, models, origin, stream } = endpoint(model, provider)
    const all = [generate, stream, models].map((target) => target && Redacted.value(target.url))
    return all.map((url) => url?.slice(origin.length))
  }
  expect(at("gemini-2.5-pro")).toEqual([
    "/v1beta/models/gemini-2.5-pro:generateContent",
    "/v1beta/models/gemini-2.5-pro:streamGenerateContent?alt=sse",
    "/v1beta/models"
  ])
  expect(at("tunedModels/a b")[0]).toBe("/v1beta/tunedModels/a%20b:generateContent")
  expect(at("x?y#z:w")[0]).toBe("/v1beta/models/x%3Fy%23z%3Aw:generateContent")
  expect(at("m", { baseUrl: "https://aiplatform.googleapis.com/v1/publishers/google" })[0]).toBe(
    "/v1/publishers/google/models/m:generateContent"
  )
  expect(endpoint("m").origin).toBe("https://generativelanguage.googleapis.com")
  for (const model of ["../x", "..", "", "a//b", "models/.."]) expect(() => endpoint(model)).toThrow(RangeError)
})

it.effect("refuses a model that is a path as a typed error", () =>
  Effect.gen(function* () {
    const built = yield* Effect.result(build("http://127.0.0.1:9", {}, "../../other"))
    expect(Result.isFailure(built) && built.failure.reason._tag).toBe("InvalidRequest")
  })
)

it("keeps one address for both where a protocol has one", () => {
  for (const kind of ["openai", "anthropic", "gemini-openai"]) {
    const row = ProviderTable.find(kind)
    if (row === undefined) throw new Error(kind)
    const { generate, stream } = Endpoint.make(row, instanceOf(kind, {}, { key }))
    expect(Redacted.value(stream.url)).toBe(Redacted.value(generate.url))
  }
  expect(ProviderTable.find("gemini-openai")?.protocol.name).toBe("openai-chat")
})
