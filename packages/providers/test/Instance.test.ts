import type * as Http from "node:http"
import type { AddressInfo } from "node:net"
import * as Net from "node:net"
import { inspect } from "node:util"
import { Attempt, Llm, type LlmError, LlmRequest, type Part, type Plan } from "@echelon/core"
import { Instance, Transport } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Layer, Redacted, Scope, Stream } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { instanceOf, json, named, type Seen, serve, sse } from "./Support.ts"

const secret = "sk-planted-secret-0123456789"

const build = (kind: string, url: string, provider: Partial<Plan.Provider> = {}, model = "a-model") =>
  Effect.flatMap(Layer.build(Transport.layer), (context) =>
    Effect.provideContext(
      Instance.make(instanceOf(kind, { baseUrl: url, ...provider }, { key: secret, model })),
      context
    )
  )

const llmAt = (kind: string, url: string, provider: Partial<Plan.Provider> = {}) =>
  Effect.map(build(kind, url, provider), ({ llm }) => llm)

const chatReply = {
  id: "r1",
  object: "chat.completion",
  created: 1_700_000_000,
  model: "a-model-1",
  choices: [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }
}

const chatChunk = (delta: unknown, finish: string | null = null) => ({
  id: "r1",
  object: "chat.completion.chunk",
  created: 1_700_000_000,
  model: "a-model-1",
  choices: [{ index: 0, delta, finish_reason: finish }]
})

const chatStream = sse(
  chatChunk({ role: "assistant", content: "" }),
  chatChunk({ content: "hel" }),
  chatChunk({ content: "lo" }),
  chatChunk({}, "stop"),
  { ...chatChunk({}), choices: [], usage: chatReply.usage },
  "[DONE]"
)

const claudeReply = {
  id: "m1",
  type: "message",
  role: "assistant",
  model: "claude",
  content: [{ type: "text", text: "hello" }],
  stop_reason: "end_turn",
  usage: { input_tokens: 3, output_tokens: 2 }
}

const claudeStream = named(
  { type: "message_start", message: { ...claudeReply, content: [], stop_reason: null } } as { type: string },
  { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } } as { type: string },
  { type: "ping" },
  { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "hello" } } as { type: string },
  { type: "content_block_stop", index: 0 } as { type: string },
  { type: "message_delta", delta: { stop_reason: "end_turn" }, usage: { output_tokens: 2 } } as { type: string },
  { type: "message_stop" }
)

const streamHead = { "content-type": "text/event-stream; charset=utf-8" }

const collect = (llm: Llm.Llm, input: LlmRequest.Input = { prompt: "hi" }) => Stream.runCollect(Llm.stream(llm, input))

const textOf = (parts: ReadonlyArray<Part.Part>) =>
  parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join("")

const ask = (llm: Llm.Llm, input: LlmRequest.Input = { prompt: "hi" }) => Llm.generate(llm, input)

const failure = (kind: string, handle: (seen: Seen, response: Http.ServerResponse) => void, stream = false) =>
  Effect.gen(function* () {
    const server = yield* serve(handle)
    const llm = yield* llmAt(kind, server.url)
    return yield* Effect.flip(stream ? Effect.asVoid(collect(llm)) : Effect.asVoid(ask(llm)))
  })

// --- success ----------------------------------------------------------------------------------------------------

it.effect("asks OpenAI Chat Completions for a buffered reply", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => json(response, 200, chatReply))
    const llm = yield* llmAt("openai", `${server.url}/v1`)
    const answer = yield* ask(llm, { prompt: "hi", settings: { maxOutputTokens: 9 } })
    expect(answer.text).toBe("hello")
    expect(answer.usage.inputTokens).toBe(3)
    expect(answer.instance).toBe("openai-model")
    const [seen] = server.seen
    expect(seen?.method).toBe("POST")
    expect(seen?.url).toBe("/v1/chat/completions")
    expect(seen?.headers.authorization).toBe(`Bearer ${secret}`)
    expect(seen?.headers["content-type"]).toBe("application/json")
    expect(seen?.headers["traceparent"]).toBeUndefined()
    expect(JSON.parse(seen?.body ?? "")).toEqual({
      model: "a-model",
      messages: [{ role: "user", content: "hi" }],
      max_completion_tokens: 9
    })
  })
)

it.effect("asks OpenAI Chat Completions for a stream", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => {
      response.writeHead(200, streamHead)
      response.end(chatStream)
    })
    const parts = yield* collect(yield* llmAt("openai", server.url))
    expect(textOf(parts)).toBe("hello")
    expect(parts.at(-1)).toMatchObject({ type: "finish", reason: "stop", usage: { inputTokens: { total: 3 } } })
    expect(JSON.parse(server.seen[0]?.body ?? "")).toMatchObject({
      stream: true,
      stream_options: { include_usage: true }
    })
  })
)

it.effect("reads a buffered reply of a stated length, and one in chunks", () =>
  Effect.gen(function* () {
    const body = JSON.stringify({ ...chatReply, id: "語" })
    const server = yield* serve((_, response, index) => {
      const length = index === 0 ? { "content-length": Buffer.byteLength(body) } : {}
      response.writeHead(200, { "content-type": "application/json", ...length })
      if (index === 1) response.write(body.slice(0, 8))
      response.end(index === 1 ? body.slice(8) : body)
    })
    const llm = yield* llmAt("openai", server.url)
    for (let i = 0; i < 2; i++) expect((yield* ask(llm)).content[0]).toMatchObject({ id: "語" })
  })
)

it.effect("fails when a buffered reply is cut", () =>
  Effect.gen(function* () {
    for (const length of [{ "content-length": 500 }, {}]) {
      const error = yield* failure("openai", (_, response) => {
        response.writeHead(200, { "content-type": "application/json", ...length })
        response.write('{"id":', () => response.destroy())
      })
      expect(error.reason).toEqual({ _tag: "Network", kind: "reset" })
    }
  })
)

it.effect("asks Anthropic Messages for a buffered reply", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => json(response, 200, claudeReply))
    const answer = yield* ask(yield* llmAt("anthropic", `${server.url}/v1`))
    expect(answer.text).toBe("hello")
    const [seen] = server.seen
    expect(seen?.url).toBe("/v1/messages")
    expect(seen?.headers["x-api-key"]).toBe(secret)
    expect(seen?.headers["anthropic-version"]).toBe("2023-06-01")
    expect(seen?.headers.authorization).toBeUndefined()
  })
)

it.effect("asks Anthropic Messages for a stream", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => {
      response.writeHead(200, streamHead)
      response.end(claudeStream)
    })
    const parts = yield* collect(yield* llmAt("anthropic", server.url))
    expect(textOf(parts)).toBe("hello")
    expect(parts.at(-1)).toMatchObject({ type: "finish", reason: "stop" })
  })
)

it.effect("reads what follows a whole answer, so that its connection can be used again", () =>
  Effect.gen(function* () {
    const closed = yield* Deferred.make<boolean>()
    const open: Array<Http.ServerResponse> = []
    const server = yield* serve((_, response, index) => {
      response.writeHead(200, streamHead)
      if (index > 0) return void response.end(chatStream)
      response.on("close", () => Deferred.doneUnsafe(closed, Exit.succeed(response.writableFinished)))
      response.write(chatStream)
      open.push(response)
    })
    const llm = yield* llmAt("openai", server.url)
    for (let i = 0; i < 3; i++) expect((yield* collect(llm)).at(-1)?.type).toBe("finish")
    // The end of the first body comes after the caller has gone on to others.
    open[0]?.end()
    expect(yield* Deferred.await(closed)).toBe(true)
  })
)

it.effect("understands a server that answers in the other form than asked", () =>
  Effect.gen(function* () {
    const server = yield* serve((seen, response) => {
      if (seen.body.includes('"stream":true')) return json(response, 200, chatReply)
      response.writeHead(200, streamHead)
      response.end(chatStream)
    })
    const llm = yield* llmAt("openai", server.url)
    expect(textOf(yield* collect(llm))).toBe("hello")
    expect((yield* ask(llm)).text).toBe("hello")
  })
)

it.effect("sends a raw body as it came and gives the events as they came", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => {
      response.writeHead(200, streamHead)
      response.end(chatStream)
    })
    const llm = yield* llmAt("groq", server.url)
    const body = { model: "theirs", messages: [{ role: "user", content: "hi" }], never_heard_of: { a: [1] }, n: 1 }
    const parts = yield* collect(llm, {
      prompt: "hi",
      raw: { protocol: "openai-chat", body },
      settings: { temperature: 0.5 }
    })
    expect(JSON.parse(server.seen[0]?.body ?? "")).toEqual({
      ...body,
      model: "a-model",
      temperature: 0.5,
      stream: true,
      stream_options: { include_usage: true }
    })
    const events = chatStream
      .split("\n\n")
      .filter(Boolean)
      .map((line) => line.slice(6))
    expect(parts.flatMap((part) => (part.raw === undefined ? [] : [part.raw.data]))).toEqual(events)
    expect(textOf(parts)).toBe("hello")
  })
)

it.effect("gives Anthropic events with their names, pings too", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => {
      response.writeHead(200, streamHead)
      response.end(claudeStream)
    })
    const llm = yield* llmAt("anthropic", server.url)
    const raw = { protocol: "anthropic-messages", body: { model: "x", max_tokens: 5, messages: [] } }
    const parts = yield* collect(llm, { prompt: "hi", raw })
    expect(JSON.parse(server.seen[0]?.body ?? "")).toEqual({
      model: "a-model",
      max_tokens: 5,
      messages: [],
      stream: true
    })
    const sent = parts.flatMap((part) =>
      part.raw === undefined ? [] : [`event: ${part.raw.event}\ndata: ${part.raw.data}\n\n`]
    )
    expect(sent.join("")).toBe(claudeStream)
  })
)

it.effect("carries the whole body of a buffered reply in the lane", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => json(response, 200, chatReply))
    const llm = yield* llmAt("groq", server.url)
    const answer = yield* ask(llm, { prompt: "hi", raw: { protocol: "openai-chat", body: { messages: [] } } })
    const raw = answer.content.flatMap((part) => ("raw" in part && part.raw !== undefined ? [part.raw.data] : []))
    expect(raw).toEqual([JSON.stringify(chatReply)])
  })
)

it.effect("keeps the whole body of a buffered reply in an answer, whatever it begins with", () =>
  Effect.gen(function* () {
    const gemini = (part: object) => ({ candidates: [{ content: { parts: [part] }, finishReason: "STOP" }] })
    const chat = (message: object) => ({ choices: [{ message, finish_reason: "stop" }] })
    const call = { function: { name: "f", arguments: "{}" } }
    const bedrock = { output: { message: { content: [{ text: "a" }] } }, stopReason: "end_turn" }
    for (const [kind, protocol, reply] of [
      ["gemini", "gemini-generate-content", gemini({ text: "a" })],
      ["gemini", "gemini-generate-content", gemini({ text: "a", thought: true })],
      ["gemini", "gemini-generate-content", gemini({ functionCall: { name: "f" } })],
      ["groq", "openai-chat", chat({ content: "a" })],
      ["groq", "openai-chat", chat({ tool_calls: [call] })],
      ["bedrock", "bedrock-converse", bedrock]
    ] as const) {
      const server = yield* serve((_, response) => json(response, 200, reply))
      const llm = yield* llmAt(kind, server.url)
      const answer = yield* ask(llm, { prompt: "hi", raw: { protocol, body: { messages: [], contents: [] } } })
      const raw = answer.content.flatMap((part) => ("raw" in part && part.raw !== undefined ? [part.raw.data] : []))
      expect(raw).toEqual([JSON.stringify(reply)])
    }
  })
)

it.effect("reads Gemini's answer as an array of its events", () =>
  Effect.gen(function* () {
    const part = (text: string, more: object = {}) => ({ candidates: [{ content: { parts: [{ text }] }, ...more }] })
    const events = [part("a"), part("b", { finishReason: "STOP" })]
    const server = yield* serve((_, response) => json(response, 200, events))
    const llm = yield* llmAt("gemini", server.url)
    expect((yield* ask(llm, { prompt: "hi" })).text).toBe("ab")
    const raw = { protocol: "gemini-generate-content", body: { contents: [] } }
    const parts = yield* collect(llm, { prompt: "hi", raw })
    expect(parts.flatMap((one) => (one.raw === undefined ? [] : [one.raw.data]))).toEqual([JSON.stringify(events)])

    const broken = yield* serve((_, response) => json(response, 200, [part("a")]))
    const error = yield* Effect.flip(ask(yield* llmAt("gemini", broken.url), { prompt: "hi" }))
    expect(error.isRetryable).toBe(true)
    for (const none of [[], [1], [null]]) {
      const odd = yield* serve((_, response) => json(response, 200, none))
      const refused = yield* Effect.flip(ask(yield* llmAt("gemini", odd.url), { prompt: "hi" }))
      expect(refused.reason._tag).toBe("MalformedOutput")
    }
  })
)

it.effect("records what could not be said", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => json(response, 200, claudeReply))
    const answer = yield* ask(yield* llmAt("anthropic", server.url), { prompt: "hi", settings: { seed: 1 } })
    expect(answer.route[0]?.dropped).toEqual(["settings.seed"])
  })
)

// --- refusals ---------------------------------------------------------------------------------------------------

const future = Date.UTC(2026, 10, 23, 12, 0, 0)

const retryCases: ReadonlyArray<readonly [string, Record<string, string>, number | undefined]> = [
  ["seconds", { "retry-after": "7" }, 7000],
  ["a fraction of seconds", { "retry-after": "0.25" }, 250],
  ["an HTTP date", { "retry-after": new Date(future + 30_000).toUTCString() }, 30_000],
  ["retry-after-ms", { "retry-after-ms": "1500", "retry-after": "9" }, 1500],
  ["x-ms-retry-after-ms", { "x-ms-retry-after-ms": "1200" }, 1200],
  ["more than the clamp", { "retry-after": "1000000000" }, 3_600_000],
  ["a negative number", { "retry-after": "-5" }, undefined],
  ["no number", { "retry-after": "NaN" }, undefined],
  ["a past date", { "retry-after": new Date(future - 30_000).toUTCString() }, undefined],
  ["nothing", {}, undefined]
]

for (const [title, headers, expected] of retryCases)
  it.effect(`429 with ${title}`, () =>
    Effect.gen(function* () {
      yield* TestClock.setTime(future)
      const error = yield* failure("openai", (_, response) =>
        json(response, 429, { error: { message: "slow down", type: "requests", code: "rate_limit_exceeded" } }, headers)
      )
      expect(error.reason._tag).toBe("RateLimited")
      expect(error.retryAfter === undefined ? undefined : Duration.toMillis(error.retryAfter)).toBe(expected)
      expect(error.detail).toBe("slow down")
    })
  )

it.effect("a quota that is used up, inside a 429", () =>
  Effect.gen(function* () {
    const error = yield* failure("openai", (_, response) =>
      json(response, 429, { error: { message: "pay", type: "insufficient_quota", code: "insufficient_quota" } })
    )
    expect(error.reason._tag).toBe("QuotaExhausted")
  })
)

it.effect("a quota of the day inside a stream, its wait clamped", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => {
      response.writeHead(200, streamHead)
      const violations = [{ quotaId: "GenerateRequestsPerDayPerProjectPerModel" }]
      const details = [{ "@type": "type.googleapis.com/google.rpc.QuotaFailure", violations }]
      response.end(sse({ error: { code: 429, message: "no more today", status: "RESOURCE_EXHAUSTED", details } }))
    })
    const llm = yield* llmAt("openai", server.url, { maxCooldown: 90_000 })
    const error = yield* Effect.flip(collect(llm))
    expect(error.reason).toEqual({ _tag: "QuotaExhausted", retryAfter: Duration.millis(90_000) })
  })
)

it.effect("529 with the provider's request id", () =>
  Effect.gen(function* () {
    const body = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } }
    const error = yield* failure("anthropic", (_, response) => json(response, 529, body, { "request-id": "req_9" }))
    expect(error.reason._tag).toBe("Overloaded")
    expect(error.requestId).toBe("req_9")
    expect(error.instance).toBe("anthropic-model")
  })
)

it.effect("an HTML page of a proxy", () =>
  Effect.gen(function* () {
    const error = yield* failure("openai", (_, response) => {
      response.writeHead(502, { "content-type": "text/html" })
      response.end("<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>")
    })
    expect(error.reason._tag).toBe("ProviderError")
    expect(error.detail).toBe("an HTML page instead of JSON: 502 Bad Gateway")
  })
)

it.effect("an HTML page with a 200", () =>
  Effect.gen(function* () {
    const page = (_: Seen, response: Http.ServerResponse) => {
      response.writeHead(200, { "content-type": "text/html" })
      response.end("<!doctype html><title>Log in</title>")
    }
    for (const stream of [false, true]) {
      const error = yield* failure("openai", page, stream)
      expect(error.reason._tag).toBe("MalformedOutput")
      expect(error.detail).toBe("an HTML page instead of JSON: Log in")
    }
  })
)

it.effect("an empty body", () =>
  Effect.gen(function* () {
    const of = (status: number) =>
      failure("openai", (_, response) => {
        response.writeHead(status, { "content-type": "application/json" })
        response.end()
      })
    const refused = yield* of(500)
    expect([refused.reason._tag, refused.detail]).toEqual(["ProviderError", "the body is empty"])
    const accepted = yield* of(200)
    expect([accepted.reason._tag, accepted.detail]).toEqual(["MalformedOutput", "the body is empty"])
  })
)

it.effect("truncated JSON", () =>
  Effect.gen(function* () {
    const error = yield* failure("openai", (_, response) => {
      response.writeHead(200, { "content-type": "application/json" })
      response.end(JSON.stringify(chatReply).slice(0, 80))
    })
    expect([error.reason._tag, error.detail]).toEqual(["MalformedOutput", "the answer is not a JSON object"])
  })
)

it.effect("an unknown status keeps the status and the body's beginning", () =>
  Effect.gen(function* () {
    const error = yield* failure("openai", (_, response) => {
      response.writeHead(418, { "content-type": "text/plain" })
      response.end(`teapot ${secret} ${"x".repeat(400)}`)
    })
    expect(error.reason).toEqual({ _tag: "Unknown", status: 418 })
    expect(error.detail?.startsWith("teapot [redacted] xxx")).toBe(true)
    expect(error.detail?.length).toBe(201)
  })
)

it.effect("an error inside the JSON of a 200", () =>
  Effect.gen(function* () {
    const error = yield* failure("openrouter", (_, response) =>
      json(response, 200, { error: { code: 503, message: "no provider is up" } })
    )
    expect([error.reason._tag, error.detail]).toEqual(["Overloaded", "no provider is up"])
  })
)

it.effect("an error event inside a 200 stream, before and after output", () =>
  Effect.gen(function* () {
    const first = yield* failure(
      "openai",
      (_, response) => {
        response.writeHead(200, streamHead)
        response.end(sse({ error: { message: `slow ${secret}`, type: "server_error", code: "rate_limit_exceeded" } }))
      },
      true
    )
    expect([first.reason._tag, first.detail]).toEqual(["RateLimited", "slow [redacted]"])
    const open: Array<Http.ServerResponse> = []
    const server = yield* serve((_, response) => {
      response.writeHead(200, streamHead)
      response.write(claudeStream.split("event: content_block_stop")[0])
      open.push(response)
    })
    const llm = yield* llmAt("anthropic", server.url)
    const error = { type: "error", error: { type: "overloaded_error", message: "Overloaded" } }
    const fail = Effect.sync(() => void open[0]?.end(named(error)))
    const parts = Stream.tap(Llm.stream(llm, { prompt: "hi" }), (part) =>
      part.type === "text-delta" ? fail : Effect.void
    )
    const later = yield* Effect.flip(Stream.runDrain(parts))
    expect([later.reason._tag, later.delivered]).toEqual(["Overloaded", "hello"])
  })
)

it.effect("a stream that ends without a reason", () =>
  Effect.gen(function* () {
    const cases: ReadonlyArray<readonly [string, string]> = [
      ["openai", sse(chatChunk({ content: "hel" }))],
      ["openai", sse(chatChunk({ content: "hel" }), "[DONE]")],
      ["anthropic", claudeStream.split("event: message_delta")[0] ?? ""],
      ["openai", chatStream.slice(0, 300)]
    ]
    for (const [kind, body] of cases) {
      const error = yield* failure(
        kind,
        (_, response) => {
          response.writeHead(200, streamHead)
          response.end(body)
        },
        true
      )
      expect(error.reason._tag).toBe("MalformedOutput")
    }
  })
)

it.effect("a stream whose connection breaks", () =>
  Effect.gen(function* () {
    const error = yield* failure(
      "openai",
      (_, response) => {
        response.writeHead(200, streamHead)
        response.write(sse(chatChunk({ content: "hel" })), () => response.destroy())
      },
      true
    )
    expect(error.reason).toEqual({ _tag: "Network", kind: "reset" })
    expect(error.delivered).toBe("hel")
  })
)

it.effect("a refused connection", () =>
  Effect.gen(function* () {
    const server = yield* Effect.scoped(serve(() => {}))
    const error = yield* Effect.flip(ask(yield* llmAt("openai", server.url)))
    expect(error.reason).toEqual({ _tag: "Network", kind: "refused" })
    expect(error.detail).toBe(`ECONNREFUSED talking to ${server.url}`)
  })
)

it.effect("a connection that is never made", () =>
  Effect.gen(function* () {
    // It takes TCP and says nothing, so that TLS never comes about.
    const silent = yield* Effect.acquireRelease(
      Effect.callback<Net.Server>((resume) => {
        const server = Net.createServer((socket) => socket.on("error", () => {}))
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => server.close())
    )
    const { port } = silent.address() as AddressInfo
    const llm = yield* llmAt("openai", `https://127.0.0.1:${port}`, { connectTimeout: 30 })
    const error = yield* Effect.flip(ask(llm))
    expect(error.reason).toEqual({ _tag: "Network", kind: "connect_timeout" })
  })
)

it.effect("TLS against a server without TLS", () =>
  Effect.gen(function* () {
    const server = yield* serve(() => {})
    const error = yield* Effect.flip(ask(yield* llmAt("openai", server.url.replace("http:", "https:"))))
    expect(error.reason).toEqual({ _tag: "Network", kind: "tls" })
  })
)

it.effect("a redirect is not followed, and the key stays where it belongs", () =>
  Effect.gen(function* () {
    const thief = yield* serve((_, response) => json(response, 200, chatReply))
    for (const status of [301, 302, 307, 308]) {
      const error = yield* failure("openai", (_, response) => {
        response.writeHead(status, { location: `${thief.url}/chat/completions` })
        response.end()
      })
      expect(error.reason).toEqual({ _tag: "Unknown", status })
      expect(error.detail).toContain("redirect")
    }
    expect(thief.seen).toEqual([])
  })
)

// --- limits -----------------------------------------------------------------------------------------------------

it.effect("an answer that is too large names the key to raise", () =>
  Effect.gen(function* () {
    const server = yield* serve((seen, response) => {
      if (!seen.body.includes('"stream":true')) return json(response, 200, { ...chatReply, padding: "x".repeat(5000) })
      response.writeHead(200, streamHead)
      response.end(chatStream.repeat(20))
    })
    const stated = yield* serve((_, response) => {
      const body = JSON.stringify({ ...chatReply, padding: "x".repeat(5000) })
      response.writeHead(200, { "content-type": "application/json", "content-length": body.length })
      response.end(body)
    })
    const llm = yield* llmAt("openai", server.url, { maxResponseBytes: 1000 })
    const other = yield* llmAt("openai", stated.url, { maxResponseBytes: 1000 })
    for (const run of [ask(llm), collect(llm), ask(other)]) {
      const error = yield* Effect.flip(run as Effect.Effect<unknown, LlmError.LlmError>)
      expect(error.reason._tag).toBe("MalformedOutput")
      expect(error.detail).toContain("max_response_bytes")
    }
  })
)

it.effect("an event that is too large names the key to raise", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => {
      response.writeHead(200, streamHead)
      response.end(`data: ${"x".repeat(5000)}`)
    })
    const error = yield* Effect.flip(collect(yield* llmAt("openai", server.url, { maxEventBytes: 1000 })))
    expect(error.reason._tag).toBe("MalformedOutput")
    expect(error.detail).toContain("max_event_bytes")
  })
)

it.effect("a compressed answer that nobody asked for", () =>
  Effect.gen(function* () {
    const error = yield* failure("openai", (_, response) => {
      response.writeHead(200, { "content-type": "application/json", "content-encoding": "gzip" })
      response.end("xx")
    })
    expect([error.reason._tag, error.detail?.includes("gzip")]).toEqual(["MalformedOutput", true])
  })
)

// --- abort ------------------------------------------------------------------------------------------------------

/** A server that sends some output and then nothing, and tells when its client is gone. */
const hanging = (first: string) =>
  Effect.gen(function* () {
    const arrived = yield* Deferred.make<void>()
    const gone = yield* Deferred.make<void>()
    const server = yield* serve((_, response) => {
      response.on("close", () => Deferred.doneUnsafe(gone, Exit.void))
      if (first !== "") {
        response.writeHead(200, streamHead)
        response.write(first)
      }
      Deferred.doneUnsafe(arrived, Exit.void)
    })
    return { server, gone, arrived }
  })

it.effect("closing the scope of a committed call closes the connection", () =>
  Effect.gen(function* () {
    const { gone, server } = yield* hanging(sse(chatChunk({ content: "hel" })))
    const llm = yield* llmAt("openai", server.url)
    const scope = yield* Scope.make()
    const reply = yield* Effect.provideService(Llm.open(llm, { prompt: "hi" }), Scope.Scope, scope)
    yield* Scope.close(scope, Exit.void)
    yield* Deferred.await(gone)
    const error = yield* Effect.flip(Stream.runDrain(reply.parts))
    expect(error.reason._tag).toBe("Cancelled")
  })
)

it.effect("taking the first part only closes the connection", () =>
  Effect.gen(function* () {
    const { gone, server } = yield* hanging(sse(chatChunk({ content: "hel" })))
    const llm = yield* llmAt("openai", server.url)
    yield* Stream.runDrain(Stream.take(Llm.stream(llm, { prompt: "hi" }), 1))
    yield* Deferred.await(gone)
  })
)

it.effect("interrupting a call that waits for its head closes the connection", () =>
  Effect.gen(function* () {
    const { arrived, gone, server } = yield* hanging("")
    const llm = yield* llmAt("openai", server.url)
    const fiber = yield* Effect.forkChild(ask(llm))
    yield* Deferred.await(arrived)
    yield* Fiber.interrupt(fiber)
    yield* Deferred.await(gone)
  })
)

it.effect("a clock that runs out closes the connection", () =>
  Effect.gen(function* () {
    const { arrived, gone, server } = yield* hanging("")
    const llm = yield* llmAt("openai", server.url)
    const fiber = yield* Effect.forkChild(Effect.flip(collect(llm)))
    yield* Deferred.await(arrived)
    yield* TestClock.adjust("10 minutes")
    expect((yield* Fiber.join(fiber)).reason._tag).toBe("Timeout")
    yield* Deferred.await(gone)
  })
)

it.effect("pings count as events of the provider, comments do not", () =>
  Effect.gen(function* () {
    let touched = 0
    const counts: Array<number> = []
    const [head = "", tail = ""] = claudeStream.split("event: content_block_stop")
    const chunks = [head, ": still here\n\n", 'event: ping\ndata: {"type":"ping"}\n\n', ": and here\n\n"]
    chunks.push(`event: content_block_stop${tail}`)
    const body = new ReadableStream<Uint8Array>(
      {
        pull: (controller) => {
          counts.push(touched)
          const chunk = chunks.shift()
          if (chunk === undefined) controller.close()
          else controller.enqueue(new TextEncoder().encode(chunk))
        }
      },
      { highWaterMark: 0 }
    )
    const client = HttpClient.make((request) =>
      Effect.succeed(HttpClientResponse.fromWeb(request, new Response(body, { headers: streamHead })))
    )
    const { llm } = yield* Effect.provide(
      Instance.make(instanceOf("anthropic", {}, { key: secret })),
      Transport.layerFrom(client)
    )
    const request = yield* LlmRequest.make({ prompt: "hi" }, { stream: true, commit: "first_output" })
    const reply = yield* Attempt.open({}, (attempt) =>
      llm.call({ ...request, attempt: { ...attempt, run: attempt.run, touch: () => void touched++ } })
    )
    yield* Stream.runDrain(reply.parts)
    const [, afterHead = 0, afterComment, afterPing, afterSecond] = counts
    expect(afterHead).toBeGreaterThan(0)
    expect([afterComment, afterPing, afterSecond]).toEqual([afterHead, afterHead + 1, afterHead + 1])
  })
)

// --- building ---------------------------------------------------------------------------------------------------

it.effect("refuses what cannot be built, without showing it", () =>
  Effect.gen(function* () {
    const cases: ReadonlyArray<readonly [Plan.Instance, LlmError.ReasonTag, string]> = [
      [instanceOf("opnai"), "UnknownTarget", "openai"],
      [instanceOf("openai"), "Authentication", "OPENAI_API_KEY"],
      [instanceOf("azure-openai", {}, { key: secret }), "InvalidRequest", "base_url"],
      [instanceOf("openai", {}, { key: `${secret}\r\nx-evil: 1` }), "InvalidRequest", "authorization"],
      [
        instanceOf("openai", { headers: { "x-a": Redacted.make(`${secret}\0`) } }, { key: secret }),
        "InvalidRequest",
        "x-a"
      ]
    ]
    for (const [instance, tag, part] of cases) {
      const error = yield* Effect.flip(Effect.provide(Instance.make(instance), Transport.layer))
      expect(error.reason._tag).toBe(tag)
      expect(error.message).toContain(part)
      expect(error.message).not.toContain(secret)
    }
  })
)

it.effect("never shows a secret in an error", () =>
  Effect.gen(function* () {
    const echo = JSON.stringify({
      error: { message: `bad key ${secret} ${encodeURIComponent(secret)}`, code: "invalid_api_key" }
    })
    const handlers: ReadonlyArray<(seen: Seen, response: Http.ServerResponse) => void> = [
      (_, response) => {
        response.writeHead(401, { "content-type": "application/json" })
        response.end(echo)
      },
      (seen, response) => {
        response.writeHead(418, { "content-type": "text/plain" })
        response.end(JSON.stringify(seen.headers))
      },
      (_, response) => {
        response.writeHead(200, streamHead)
        response.end(`data: ${echo}\n\n`)
      },
      (_, response) => json(response, 200, JSON.parse(echo)),
      (_, response) => {
        response.writeHead(200, { "content-type": "text/plain" })
        response.end(`what is ${secret}`)
      },
      (_, response) => {
        response.writeHead(302, { location: `http://127.0.0.1:1/?key=${secret}` })
        response.end()
      },
      (_, response) => void response.destroy()
    ]
    for (const handle of handlers) {
      const server = yield* serve(handle)
      const llm = yield* llmAt("openai", server.url, {
        query: { key: Redacted.make(`${secret}-query`) },
        headers: { "x-tenant": Redacted.make(`${secret}-header`) }
      })
      const exit = yield* Effect.exit(ask(llm))
      const error = yield* Effect.flip(ask(llm))
      for (const shown of [
        error.message,
        String(error.stack),
        inspect(error, { depth: 20, showHidden: true }),
        JSON.stringify(error),
        inspect(exit, { depth: 20 }),
        JSON.stringify(exit)
      ])
        expect(shown).not.toContain(secret)
    }
    expect(inspect(yield* build("openai", "http://127.0.0.1:1"), { depth: 20, showHidden: true })).not.toContain(secret)
  })
)

// --- probe ------------------------------------------------------------------------------------------------------

it.effect("probes by listing models, or by a short question, or not at all", () =>
  Effect.gen(function* () {
    const server = yield* serve((seen, response) =>
      json(response, 200, seen.method === "GET" ? { data: [] } : chatReply)
    )
    yield* (yield* build("openai", `${server.url}/v1`)).probe
    expect([server.seen[0]?.method, server.seen[0]?.url]).toEqual(["GET", "/v1/models"])
    expect(server.seen[0]?.headers.authorization).toBe(`Bearer ${secret}`)
    yield* (yield* build("openai", server.url, { healthCheck: "ping" })).probe
    expect(JSON.parse(server.seen[1]?.body ?? "")).toMatchObject({ max_completion_tokens: 16 })
    yield* (yield* build("openai", server.url, { healthCheck: "none" })).probe
    expect(server.seen.length).toBe(2)
    const kind = (healthCheck?: "models" | "ping" | "none") =>
      Effect.map(build("openai", server.url, { healthCheck }), ({ probeKind }) => probeKind)
    expect([yield* kind(), yield* kind("ping"), yield* kind("none")]).toEqual(["models", "ping", "none"])
    // Where there is no list a question is asked, whatever the plan wants.
    const unlisted = yield* build("bedrock", server.url, { region: "eu-central-1", healthCheck: "models" })
    expect(unlisted.probeKind).toBe("ping")
  })
)

it.effect("a probe fails as a call does", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) =>
      json(response, 401, { error: { message: "no", code: "invalid_api_key" } })
    )
    const error = yield* Effect.flip((yield* build("openai", server.url)).probe)
    expect([error.reason._tag, error.instance]).toEqual(["Authentication", "openai-model"])
  })
)
