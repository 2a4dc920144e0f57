import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"
import { Llm, LlmReply, type LlmRequest, type Part } from "@echelon/core"
import { Auth, Dialect, Instance, ProviderTable, Transport } from "@echelon/providers"
import * as OpenAiResponses from "@echelon/providers/OpenAiResponses"
import { EmbeddedProviders } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Layer, Stream } from "effect"
import type { Prompt } from "effect/ai"
import { instanceOf, json, named, serve } from "./Support.ts"

const kind = "openai-responses"
const secret = "sk-planted-secret-0123456789"

const row: ProviderTable.Row = {
  protocol: OpenAiResponses.protocol,
  dialect: Dialect.defaults,
  baseUrl: "https://api.openai.com/v1",
  route: () => ({ path: "/responses", models: "/models", query: {} }),
  auth: Auth.bearer,
  framing: "sse",
  needsKey: true,
  keyVariable: "OPENAI_API_KEY",
  headers: {},
  organizationHeader: "openai-organization",
  projectHeader: "openai-project",
  healthCheck: "models"
}

// The table may know the kind already; where it does not, this file's copy of it learns it here.
if (ProviderTable.find(kind) === undefined) Object.assign(ProviderTable.rows, { [kind]: row })

const llmAt = (url: string, model = "gpt-5") =>
  Effect.flatMap(Layer.build(Transport.layer), (context) =>
    Effect.map(
      Effect.provideContext(
        Instance.make(instanceOf(kind, { baseUrl: url, organization: "org-1" }, { key: secret, model })),
        context
      ),
      ({ llm }) => llm
    )
  )

/** Asks buffered and streamed. */
const both = (llm: Llm.Llm, input: LlmRequest.Input) =>
  Effect.all([
    Llm.generate(llm, input),
    Effect.map(Stream.runCollect(Llm.stream(llm, input)), (parts) => LlmReply.toAnswer(parts, []))
  ])

const usage = {
  input_tokens: 9,
  input_tokens_details: { cached_tokens: 4 },
  output_tokens: 6,
  output_tokens_details: { reasoning_tokens: 2 }
}

const message = {
  id: "msg_1",
  type: "message",
  status: "completed",
  role: "assistant",
  content: [{ type: "output_text", text: "hello", annotations: [] }]
}

const head = { id: "resp_1", object: "response", created_at: 1_700_000_000, model: "gpt-5-1" }

const reply = { ...head, status: "completed", output: [message], usage, service_tier: "default" }

const events = [
  { type: "response.created", response: { ...head, status: "in_progress", output: [] } },
  { type: "response.output_item.added", output_index: 0, item: { ...message, content: [] } },
  { type: "response.output_text.delta", output_index: 0, content_index: 0, item_id: "msg_1", delta: "hel" },
  { type: "response.output_text.delta", output_index: 0, content_index: 0, item_id: "msg_1", delta: "lo" },
  { type: "response.output_item.done", output_index: 0, item: message },
  { type: "response.completed", response: reply }
]

it.effect("asks and reads, buffered and streamed, over a socket", () =>
  Effect.gen(function* () {
    const server = yield* serve(({ body }, response) => {
      if (JSON.parse(body).stream !== true) return json(response, 200, reply)
      response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" })
      response.end(named(...events))
    })
    const llm = yield* llmAt(`${server.url}/v1`)
    const answers = yield* both(llm, { prompt: "hi", settings: { reasoningEffort: "low", seed: 1 } })
    for (const answer of answers) {
      expect(answer).toMatchObject({ text: "hello", finishReason: "stop" })
      expect(answer.usage).toEqual({
        inputTokens: 9,
        outputTokens: 6,
        cacheReadTokens: 4,
        cacheWriteTokens: undefined,
        reasoningTokens: 2,
        source: "reported"
      })
      expect(answer.content.at(-1)?.metadata?.[kind]).toMatchObject({ service_tier: "default" })
    }
    expect(answers[0].route[0]?.dropped).toEqual(["settings.seed"])
    expect(server.seen.map(({ method, url }) => [method, url])).toEqual([
      ["POST", "/v1/responses"],
      ["POST", "/v1/responses"]
    ])
    const [buffered, streamed] = server.seen
    expect(buffered?.headers).toMatchObject({
      authorization: `Bearer ${secret}`,
      "openai-organization": "org-1",
      accept: "application/json"
    })
    expect(streamed?.headers.accept).toBe("text/event-stream")
    const body = {
      model: "gpt-5",
      input: [{ role: "user", content: "hi" }],
      store: false,
      include: ["reasoning.encrypted_content"],
      reasoning: { effort: "low" }
    }
    expect(server.seen.map((one) => JSON.parse(one.body))).toEqual([body, { ...body, stream: true }])
  })
)

it.effect("gives events back as they came when the request came by this protocol", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" })
      response.end(named(...events))
    })
    const llm = yield* llmAt(server.url)
    const raw = { protocol: OpenAiResponses.protocol.name, body: { model: "x", input: "hi", unheard_of: 1 } }
    const parts = yield* Stream.runCollect(Llm.stream(llm, { prompt: "hi", raw }))
    expect(JSON.parse(server.seen[0]?.body ?? "")).toEqual({ model: "gpt-5", input: "hi", unheard_of: 1, stream: true })
    const passed = parts.flatMap((part: Part.Part) => (part.raw === undefined ? [] : [part.raw]))
    expect(passed).toEqual(events.map((event) => ({ event: event.type, data: JSON.stringify(event) })))
  })
)

it.effect("fails by what the provider says, before and inside a stream", () =>
  Effect.gen(function* () {
    const limited = { code: "rate_limit_exceeded", message: `Please try again in 1.5s. Not ${secret}.` }
    const failure = { type: "error", ...limited }
    const filtered = {
      type: "response.incomplete",
      response: { ...head, status: "incomplete", incomplete_details: { reason: "content_filter" }, output: [] }
    }
    const server = yield* serve((_, response, index) => {
      if (index === 0) return json(response, 404, { error: { ...limited, code: "previous_response_not_found" } })
      if (index === 1) return json(response, 200, { ...head, status: "failed", error: limited, output: [] })
      response.writeHead(200, { "content-type": "text/event-stream" })
      if (index === 2) return response.end(named(...events.slice(0, 1), failure))
      if (index === 3) return response.end(named(...events.slice(0, -1)))
      return response.end(named(...events.slice(0, 1), filtered))
    })
    const llm = yield* llmAt(server.url)
    const ask = Effect.flip(Llm.generate(llm, { prompt: "hi" }))
    const refused = yield* ask
    expect(refused.reason._tag).toBe("InvalidRequest")
    for (const error of [yield* ask, yield* ask]) {
      expect(error.reason).toEqual({ _tag: "RateLimited", retryAfter: Duration.millis(1500) })
      expect(error.detail).not.toContain(secret)
    }
    const truncated = yield* ask
    expect(truncated.reason._tag).toBe("MalformedOutput")
    // Nothing was said that a filter could have cut.
    const withheld = yield* ask
    expect(withheld.reason._tag).toBe("ContentPolicy")
  })
)

it.effect("talks to the embedded providers, buffered and streamed", () =>
  Effect.gen(function* () {
    const providers = yield* EmbeddedProviders.makeWith({ text: (model) => `I am ${model}.`, chunkSize: 3 })
    const llm = yield* llmAt(providers.openaiUrl, "gpt-4.1")
    for (const answer of yield* both(llm, { prompt: "hi" })) {
      expect([answer.text, answer.finishReason]).toEqual(["I am gpt-4.1.", "stop"])
      expect(answer.usage.source).toBe("reported")
      expect(answer.usage.outputTokens).toBeGreaterThan(0)
    }
  })
)

/** What is used here of the mock server. */
interface Mock {
  readonly on: (
    match: { readonly endpoint: string },
    respond: (request: { readonly messages: unknown }) => unknown
  ) => unknown
  readonly start: () => Promise<string>
  readonly stop: () => Promise<void>
}

/** The mock server is a dependency of the package of test tools, and is found from there. */
const mock = Effect.promise(async (): Promise<Mock> => {
  const from = createRequire(createRequire(import.meta.url).resolve("@echelon/testing/package.json"))
  const loaded = await import(pathToFileURL(from.resolve("@copilotkit/aimock")).href)
  const LLMock = loaded.LLMock ?? loaded.default.LLMock
  return new LLMock({ port: 0, host: "127.0.0.1", logLevel: "silent", chunkSize: 4 })
})

it.effect("carries reasoning and calls through two turns with a server of another make", () =>
  Effect.gen(function* () {
    const server = yield* mock
    const asked: Array<unknown> = []
    server.on({ endpoint: "chat" }, ({ messages }) => {
      asked.push(messages)
      return asked.length % 2 === 1
        ? {
            reasoning: "I should look.",
            toolCalls: [
              { id: "call_1", name: "look", arguments: '{"at":"a"}' },
              { id: "call_2", name: "look", arguments: '{"at":"b"}' }
            ]
          }
        : { content: "It is there." }
    })
    const url = yield* Effect.acquireRelease(
      Effect.promise(() => server.start()),
      () => Effect.promise(() => server.stop())
    )
    const llm = yield* llmAt(`${url}/v1`)
    const tools = [{ name: "look", parameters: { type: "object", properties: { at: { type: "string" } } } }]
    const question: LlmRequest.Message = { role: "user", content: "where?" }
    for (const stream of [false, true]) {
      const ask = (prompt: ReadonlyArray<LlmRequest.Message>) =>
        stream
          ? Effect.map(Stream.runCollect(Llm.stream(llm, { prompt, tools })), (parts) => LlmReply.toAnswer(parts, []))
          : Llm.generate(llm, { prompt, tools })
      const first = yield* ask([question])
      expect([first.reasoning, first.finishReason]).toEqual(["I should look.", "tool-calls"])
      expect(first.toolCalls.map(({ id, name, params }) => [id, name, params])).toEqual([
        ["call_1", "look", { at: "a" }],
        ["call_2", "look", { at: "b" }]
      ])
      const reasoning = first.content.find((part) => part.type === "reasoning")
      expect(typeof Object(reasoning?.metadata?.[kind])["encrypted_content"]).toBe("string")
      const said = first.content.flatMap((part): ReadonlyArray<Prompt.AssistantMessagePartEncoded> => {
        const options = part.metadata === undefined ? {} : { options: part.metadata }
        if (part.type === "reasoning") return [{ type: "reasoning", text: part.text, ...options }]
        if (part.type !== "tool-call") return []
        return [{ ...part, providerExecuted: false, ...options }]
      })
      const second = yield* ask([
        question,
        { role: "assistant", content: said },
        {
          role: "tool",
          content: first.toolCalls.map(({ id, name }) => ({
            type: "tool-result",
            id,
            name,
            isFailure: false,
            result: `seen ${id}`
          }))
        }
      ])
      expect([second.text, second.finishReason]).toEqual(["It is there.", "stop"])
      expect(asked.at(-1)).toMatchObject([
        { role: "user", content: "where?" },
        { role: "assistant", tool_calls: [{ id: "call_1" }] },
        { role: "assistant", tool_calls: [{ id: "call_2" }] },
        { role: "tool", tool_call_id: "call_1", content: "seen call_1" },
        { role: "tool", tool_call_id: "call_2", content: "seen call_2" }
      ])
    }
    expect(asked.length).toBe(4)
  })
)
