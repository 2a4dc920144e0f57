import type * as Http from "node:http"
import { createRequire } from "node:module"
import { inspect } from "node:util"
import { Llm, LlmReply, type LlmRequest, type Part, type Plan } from "@echelon/core"
import * as Endpoint from "@echelon/providers/Endpoint"
import * as Instance from "@echelon/providers/Instance"
import * as ProviderTable from "@echelon/providers/ProviderTable"
import * as Transport from "@echelon/providers/Transport"
import { expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Stream } from "effect"
import { exception, failure, joined, message } from "./BedrockConverseSupport.ts"
import { cut, instanceOf, json, type Seen, seeded, serve } from "./Support.ts"

const key = "planted-bedrock-key-0123456789"
const model = "us.anthropic.claude-3-haiku-20240307-v1:0"

const build = (url: string, provider: Partial<Plan.Provider> = {}, credential: Partial<Plan.Credential> = {}) => {
  const instance = instanceOf("bedrock", { baseUrl: url, region: "eu-central-1", ...provider }, { key, model })
  return Effect.flatMap(Layer.build(Transport.layer), (context) =>
    Effect.map(
      Effect.provideContext(
        Instance.make({ ...instance, credential: { ...instance.credential, ...credential } }),
        context
      ),
      ({ llm }) => llm
    )
  )
}

const secrets: Plan.Secrets = {
  accessKeyId: Redacted.make("AKIDEXAMPLE"),
  secretAccessKey: Redacted.make("planted-secret-access-key")
}

const usage = { inputTokens: 3, outputTokens: 2, totalTokens: 5 }

const reply = {
  output: { message: { role: "assistant", content: [{ text: "hello" }] } },
  stopReason: "end_turn",
  usage,
  metrics: { latencyMs: 12 }
}

const opening = [
  message("messageStart", { role: "assistant", p: "abcdef" }),
  message("contentBlockDelta", { contentBlockIndex: 0, delta: { text: "hel" }, p: "abc" }),
  message("contentBlockDelta", { contentBlockIndex: 0, delta: { text: "lo" }, p: "abcd" })
]

const closing = [
  message("contentBlockStop", { contentBlockIndex: 0, p: "a" }),
  message("messageStop", { stopReason: "end_turn", p: "ab" }),
  message("metadata", { usage, metrics: { latencyMs: 12 }, p: "abc" })
]

const whole = joined(...opening, ...closing)

const send = (response: Http.ServerResponse, ...chunks: ReadonlyArray<Uint8Array>): void => {
  response.writeHead(200, { "content-type": "application/vnd.amazon.eventstream" })
  for (const chunk of chunks) response.write(chunk)
}

const finish = (response: Http.ServerResponse, ...chunks: ReadonlyArray<Uint8Array>): void => {
  send(response, ...chunks)
  response.end()
}

const collect = (llm: Llm.Llm, input: LlmRequest.Input = { prompt: "hi" }) => Stream.runCollect(Llm.stream(llm, input))

const textOf = (parts: ReadonlyArray<Part.Part>) =>
  parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join("")

const failing = (
  handle: (seen: Seen, response: Http.ServerResponse) => void,
  options: { readonly stream?: boolean; readonly provider?: Partial<Plan.Provider> } = {}
) =>
  Effect.gen(function* () {
    const server = yield* serve(handle)
    const llm = yield* build(server.url, options.provider)
    const error = yield* Effect.flip(
      options.stream === false ? Effect.asVoid(Llm.generate(llm, { prompt: "hi" })) : Effect.asVoid(collect(llm))
    )
    expect(inspect(error, { depth: 9 })).not.toContain(key)
    return error
  })

/** The failure of a stream that breaks when its first words have been read. */
const breaking = (end: (response: Http.ServerResponse) => void) =>
  Effect.gen(function* () {
    let open: Http.ServerResponse | undefined
    const server = yield* serve((_, response) => {
      open = response
      send(response, ...opening)
    })
    const llm = yield* build(server.url)
    const read = Stream.runForEach(Llm.stream(llm, { prompt: "hi" }), (part) =>
      Effect.sync(() => {
        if (part.type !== "text-delta" || part.delta !== "lo" || open === undefined) return
        end(open)
        open = undefined
      })
    )
    const error = yield* Effect.flip(read)
    expect(inspect(error, { depth: 9 })).not.toContain(key)
    expect(error.delivered).toBe("hello")
    return error
  })

it.effect("asks for a buffered reply", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => json(response, 200, reply))
    const llm = yield* build(server.url)
    const answer = yield* Llm.generate(llm, { prompt: "hi", settings: { maxOutputTokens: 9 } })
    expect(answer.text).toBe("hello")
    expect(answer.usage).toMatchObject({ inputTokens: 3, outputTokens: 2, source: "reported" })
    const [seen] = server.seen
    expect(seen?.method).toBe("POST")
    expect(seen?.url).toBe("/model/us.anthropic.claude-3-haiku-20240307-v1%3A0/converse")
    expect(seen?.headers.authorization).toBe(`Bearer ${key}`)
    expect(seen?.headers.accept).toBe("application/json")
    expect(JSON.parse(seen?.body ?? "")).toEqual({
      messages: [{ role: "user", content: [{ text: "hi" }] }],
      inferenceConfig: { maxTokens: 9 }
    })
  })
)

it.effect("asks for a stream, and reads it however it is cut", () =>
  Effect.gen(function* () {
    const random = seeded(3)
    const server = yield* serve((_, response, index) =>
      finish(response, ...(index === 0 ? [whole] : cut(whole, random)))
    )
    const llm = yield* build(server.url)
    const parts = yield* collect(llm)
    expect(textOf(parts)).toBe("hello")
    expect(parts.at(-1)).toMatchObject({
      type: "finish",
      reason: "stop",
      usage: { inputTokens: { total: 3 } },
      metadata: { bedrock: { metrics: { latencyMs: 12 } } }
    })
    expect(server.seen[0]?.url).toBe("/model/us.anthropic.claude-3-haiku-20240307-v1%3A0/converse-stream")
    expect(server.seen[0]?.headers.accept).toBe("application/vnd.amazon.eventstream")
    for (let run = 0; run < 5; run++) expect(yield* collect(llm)).toEqual(parts)
  })
)

it.effect("gives the events back to who speaks the protocol", () =>
  Effect.gen(function* () {
    const body = { messages: [{ role: "user", content: [{ text: "hi" }] }], brandNew: 1 }
    const server = yield* serve((_, response) => finish(response, whole))
    const parts = yield* collect(yield* build(server.url), {
      prompt: "hi",
      raw: { protocol: "bedrock-converse", body }
    })
    expect(JSON.parse(server.seen[0]?.body ?? "")).toEqual(body)
    expect(parts.flatMap(({ raw }) => (raw === undefined ? [] : [raw.event]))).toEqual([
      "messageStart",
      "contentBlockDelta",
      "contentBlockDelta",
      "contentBlockStop",
      "messageStop",
      "metadata"
    ])
    expect(parts[0]?.raw).toEqual({ event: "messageStart", data: '{"role":"assistant","p":"abcdef"}' })
  })
)

it.effect("fails by the type of an error, in a header or in the body", () =>
  Effect.gen(function* () {
    const refused = (status: number, body: object, type?: string, stream = true) =>
      failing((_, response) => json(response, status, body, type === undefined ? {} : { "x-amzn-ErrorType": type }), {
        stream
      })
    const throttled = yield* refused(429, { message: `slow down, ${key}` }, "ThrottlingException:http://a.test/", false)
    expect(throttled.reason._tag).toBe("RateLimited")
    expect(throttled.detail).toBe("slow down, [redacted]")
    const long = yield* refused(400, { message: "Input is too long for requested model." }, "ValidationException")
    expect(long.reason._tag).toBe("ContextLength")
    const denied = yield* refused(400, { __type: "com.amazon#AccessDeniedException", message: "no" })
    expect(denied.reason._tag).toBe("Authentication")
    // What the body says of itself stands before the header.
    const both = yield* refused(400, { __type: "ThrottlingException", message: "x" }, "ValidationException")
    expect(both.reason._tag).toBe("RateLimited")
    expect((yield* refused(500, {})).reason._tag).toBe("ProviderError")
    const quota = yield* refused(400, { message: "too much" }, "ServiceQuotaExceededException")
    expect(quota.reason._tag).toBe("RateLimited")
  })
)

it.effect("fails at an exception in the stream, before output and after it", () =>
  Effect.gen(function* () {
    const before = yield* failing((_, response) =>
      finish(response, exception("serviceUnavailableException", { message: "busy" }))
    )
    expect(before).toMatchObject({ reason: { _tag: "Overloaded" }, detail: "busy" })
    expect(before.delivered).toBe(undefined)
    const broke = joined(exception("modelStreamErrorException", { message: `broke at ${key}` }), ...closing)
    const after = yield* breaking((response) => response.end(broke))
    expect(after).toMatchObject({ reason: { _tag: "ProviderError" }, detail: "broke at [redacted]" })
    const unmodeled = yield* failing((_, response) => finish(response, ...opening, failure("InternalFailure", "oops")))
    expect(unmodeled).toMatchObject({ reason: { _tag: "ProviderError" }, detail: "oops" })
  })
)

it.effect("fails when the stream is truncated", () =>
  Effect.gen(function* () {
    const cases: ReadonlyArray<readonly [ReadonlyArray<Uint8Array>, string]> = [
      [opening, "MalformedOutput"],
      [[], "MalformedOutput"],
      [[whole.slice(0, whole.length - 1)], "MalformedOutput"],
      [[...opening, joined(...closing).slice(0, 20)], "MalformedOutput"]
    ]
    for (const [chunks, tag] of cases) {
      const error = yield* failing((_, response) => finish(response, ...chunks))
      expect(error.reason._tag).toBe(tag)
    }
    const inside = yield* breaking((response) => response.end(joined(...closing).slice(0, 20)))
    expect(inside).toMatchObject({ reason: { _tag: "MalformedOutput" }, detail: "the stream ends inside a message" })
    const reset = yield* breaking((response) => response.destroy())
    expect(reset.reason._tag).toBe("Network")
  })
)

it.effect("needs no metadata to know that an answer is whole", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => finish(response, ...opening, ...closing.slice(0, 2)))
    const parts = yield* collect(yield* build(server.url))
    expect(parts.at(-1)).toMatchObject({ type: "finish", reason: "stop", usage: { inputTokens: {} } })
  })
)

it.effect("fails at a checksum that does not match, and at an event above the limit", () =>
  Effect.gen(function* () {
    const broken = joined(...closing)
    broken[30] = (broken[30] ?? 0) ^ 1
    const corrupt = yield* breaking((response) => response.end(broken))
    expect(corrupt).toMatchObject({
      reason: { _tag: "MalformedOutput" },
      detail: "the checksum of a message does not match"
    })
    const large = message("contentBlockDelta", { contentBlockIndex: 0, delta: { text: "x".repeat(2000) } })
    const error = yield* failing((_, response) => send(response, ...opening, large.slice(0, 500)), {
      provider: { maxEventBytes: 1000 }
    })
    expect(error.reason._tag).toBe("MalformedOutput")
    expect(error.detail).toBe("an event is larger than 1000 bytes; raise max_event_bytes")
  })
)

it.effect("shows a key as a bearer, and signs with access keys", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => json(response, 200, reply))
    const shown = (provider: Partial<Plan.Provider>, credential: Partial<Plan.Credential>) =>
      Effect.map(
        Effect.flatMap(build(server.url, provider, credential), (llm) => Llm.generate(llm, { prompt: "hi" })),
        () => server.seen.at(-1)?.headers.authorization ?? ""
      )
    const signed = /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/\d{8}\/eu-central-1\/bedrock\/aws4_request, /
    expect(yield* shown({}, {})).toBe(`Bearer ${key}`)
    expect(yield* shown({}, { secrets: {} })).toBe(`Bearer ${key}`)
    expect(yield* shown({}, { key: undefined, secrets })).toMatch(signed)
    expect(yield* shown({}, { secrets })).toMatch(signed)
    expect(yield* shown({ auth: "key" }, { secrets })).toBe(`Bearer ${key}`)
    expect(yield* shown({ auth: "sigv4" }, { key: undefined, secrets })).toMatch(signed)
    const none = yield* Effect.flip(build(server.url, {}, { key: undefined }))
    expect(none.reason._tag).toBe("Authentication")
  })
)

it("goes to the region, and a model's name stays in its place", () => {
  const row = ProviderTable.rows["bedrock"]
  if (row === undefined) throw new Error("no row")
  const endpoint = (region: string | undefined, name = model) =>
    Endpoint.make(row, instanceOf("bedrock", { region, auth: "key" }, { key, model: name }))
  const arn = "arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.amazon.nova-2-lite-v1:0"
  expect(endpoint("eu-central-1").origin).toBe("https://bedrock-runtime.eu-central-1.amazonaws.com")
  expect(Redacted.value(endpoint("eu-central-1", arn).stream.url)).toBe(
    `https://bedrock-runtime.eu-central-1.amazonaws.com/model/${encodeURIComponent(arn)}/converse-stream`
  )
  expect(endpoint("eu-central-1").models).toBe(undefined)
  expect(() => endpoint(undefined)).toThrow("region must be stated")
  expect(() => endpoint("evil.test/")).toThrow("region must hold")
  for (const name of ["", ".", ".."]) expect(() => endpoint("eu-central-1", name)).toThrow(RangeError)
})

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
      return { mock, url: await mock.start() }
    }),
    ({ mock }) => Effect.promise(() => mock.stop())
  )

const ways = [
  (llm: Llm.Llm, input: LlmRequest.Input) => Llm.generate(llm, input),
  (llm: Llm.Llm, input: LlmRequest.Input) => Effect.map(collect(llm, input), (parts) => LlmReply.toAnswer(parts, []))
]

it.live("answers buffered and streamed alike", () =>
  Effect.gen(function* () {
    const { mock, url } = yield* mocked((mock) =>
      mock.on(
        { userMessage: "hello" },
        {
          content: "Hello from the other side.",
          reasoning: "A greeting.",
          usage: { input_tokens: 11, output_tokens: 7 }
        }
      )
    )
    const llm = yield* build(url)
    for (const ask of ways) {
      const answer = yield* ask(llm, {
        prompt: [
          { role: "system", content: "Be kind." },
          { role: "user", content: "hello" }
        ]
      })
      expect(answer.text).toBe("Hello from the other side.")
      expect(answer.reasoning).toBe("A greeting.")
      expect(answer.finishReason).toBe("stop")
      expect(answer.usage).toMatchObject({ inputTokens: 11, outputTokens: 7, source: "reported" })
    }
    for (const { body } of mock.getRequests())
      expect(body).toMatchObject({
        messages: [
          { role: "system", content: "Be kind." },
          { role: "user", content: "hello" }
        ]
      })
  })
)

it.live("calls tools and goes on with their results", () =>
  Effect.gen(function* () {
    const { url } = yield* mocked((mock) =>
      mock
        .on(
          { userMessage: "weather", hasToolResult: false },
          {
            toolCalls: [
              { name: "weather", arguments: '{"city":"Rome"}' },
              { name: "weather", arguments: '{"city":"Oslo"}' }
            ]
          }
        )
        .on({ userMessage: "weather", hasToolResult: true }, { content: "Warm, and cold." })
    )
    const llm = yield* build(url)
    const tools = [{ name: "weather", parameters: { type: "object", properties: { city: { type: "string" } } } }]
    for (const ask of ways) {
      const { finishReason, toolCalls } = yield* ask(llm, { prompt: "the weather", tools })
      expect(finishReason).toBe("tool-calls")
      expect(toolCalls.map(({ params }) => params)).toEqual([{ city: "Rome" }, { city: "Oslo" }])
      const answer = yield* ask(llm, {
        tools,
        prompt: [
          { role: "user", content: "the weather" },
          {
            role: "assistant",
            content: toolCalls.map(({ id, name, params }) => ({ type: "tool-call", id, name, params }))
          },
          ...toolCalls.map(({ id, name, params }) => ({
            role: "tool" as const,
            content: [{ type: "tool-result" as const, id, name, isFailure: false, result: params }]
          }))
        ]
      })
      expect(answer.text).toBe("Warm, and cold.")
    }
  })
)

it.live("fails as the server says, and where a stream is cut off", () =>
  Effect.gen(function* () {
    const { url } = yield* mocked((mock) =>
      mock
        .on(
          { userMessage: "refused" },
          { error: { message: "busy", type: "ServiceUnavailableException" }, status: 503 }
        )
        .on({ userMessage: "cut" }, { content: "This will never be whole." }, { truncateAfterChunks: 2 })
    )
    const llm = yield* build(url)
    for (const ask of ways) expect((yield* Effect.flip(ask(llm, { prompt: "refused" }))).reason._tag).toBe("Overloaded")
    const error = yield* Effect.flip(collect(llm, { prompt: "cut" }))
    expect(["MalformedOutput", "Network"]).toContain(error.reason._tag)
  })
)
