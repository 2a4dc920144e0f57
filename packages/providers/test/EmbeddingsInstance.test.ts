/** Embeddings over a real socket: the address of each kind, its headers, refusals, limits and the fidelity lane. */
import type * as Http from "node:http"
import { Attempt, Llm, LlmEmbedding, type Plan, Plans, TaskGroup } from "@echelon/core"
import { Instance, ProviderTable, Transport } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Effect, Layer, Redacted, Stream } from "effect"
import { json, type Seen, serve } from "./Support.ts"

const secret = "sk-planted-secret-0123456789"

const build = (
  kind: string,
  baseUrl: string,
  { model = {}, name = kind, provider = {} }: { model?: object; name?: string; provider?: object } = {}
) =>
  Effect.flatMap(Layer.build(Transport.layer), (context) =>
    Effect.provideContext(
      Instance.make(
        Plans.instance({
          name,
          provider: Plans.provider({ name, kind, key: Redacted.make(secret), baseUrl, ...provider }),
          alias: "model",
          model: Plans.model({ model: "text-embedding-3-small", ...model } as Partial<Plan.Model> & { model: string })
        })
      ),
      context
    )
  )

const reply = (...vectors: ReadonlyArray<unknown>) => ({
  object: "list",
  data: vectors.map((embedding, index) => ({ object: "embedding", index, embedding })),
  model: "text-embedding-3-small",
  usage: { prompt_tokens: 4, total_tokens: 4 }
})

const always = (body: unknown, status = 200) =>
  serve((_: Seen, response: Http.ServerResponse) => json(response, status, body))

const bodyOf = (seen: Seen | undefined) => JSON.parse(seen?.body ?? "null")

it.effect("asks OpenAI for base64 and gives the vectors", () =>
  Effect.gen(function* () {
    const bytes = Buffer.alloc(8)
    bytes.writeFloatLE(0.5, 0)
    bytes.writeFloatLE(-2, 4)
    const server = yield* always(reply(bytes.toString("base64")))
    const { llm } = yield* build("openai", `${server.url}/v1`, { model: { prices: { input: 0.02, output: 0 } } })
    const answer = yield* Llm.embed(llm, { input: "one", dimensions: 2 })
    expect(answer).toMatchObject({
      vectors: [[0.5, -2]],
      model: "text-embedding-3-small",
      usage: { inputTokens: 4, outputTokens: 0, source: "reported" }
    })
    expect(answer.cost).toBeCloseTo(8e-8)
    const [seen] = server.seen
    expect([seen?.method, seen?.url, seen?.headers.accept, seen?.headers.authorization]).toEqual([
      "POST",
      "/v1/embeddings",
      "application/json",
      `Bearer ${secret}`
    ])
    expect(bodyOf(seen)).toEqual({
      model: "text-embedding-3-small",
      input: ["one"],
      dimensions: 2,
      encoding_format: "base64"
    })
  })
)

const places: ReadonlyArray<readonly [kind: string, base: string, url: string, provider?: object]> = [
  ["azure-openai", "", "/openai/deployments/text-embedding-3-small/embeddings?api-version=2024-10-21"],
  [
    "azure-openai",
    "/openai",
    "/openai/deployments/mine/embeddings?api-version=2025-01-01",
    { deployment: "mine", apiVersion: "2025-01-01" }
  ],
  ["azure-openai", "/openai/v1", "/openai/v1/embeddings"],
  ["gemini-openai", "/v1beta/openai", "/v1beta/openai/embeddings"],
  ["mistral", "/v1", "/v1/embeddings"],
  ["together", "/v1", "/v1/embeddings"],
  ["fireworks", "/inference/v1", "/inference/v1/embeddings"],
  ["openrouter", "/api/v1", "/api/v1/embeddings"],
  ["ollama", "/v1", "/v1/embeddings"],
  ["vllm", "/v1", "/v1/embeddings"],
  ["lm-studio", "/v1", "/v1/embeddings"],
  ["openai-responses", "/v1", "/v1/embeddings"],
  ["openai-compatible", "/v1", "/v1/embeddings"]
]

it.effect.each(places)("knows the address of %s at %s", ([kind, base, url, provider]) =>
  Effect.gen(function* () {
    const server = yield* always(reply([1, 2]))
    const { llm } = yield* build(kind, `${server.url}${base}`, { provider: provider ?? {} })
    expect((yield* Llm.embed(llm, { input: ["one"], dimensions: 2 })).vectors).toEqual([[1, 2]])
    expect(server.seen[0]?.url).toBe(url)
    expect(bodyOf(server.seen[0])).toMatchObject(kind === "mistral" ? { output_dimension: 2 } : { dimensions: 2 })
  })
)

it.effect("speaks Gemini's own protocol at Gemini", () =>
  Effect.gen(function* () {
    const server = yield* always({ embeddings: [{ values: [1] }, { values: [2] }] })
    const { llm } = yield* build("gemini", `${server.url}/v1beta`, { model: { model: "gemini-embedding-001" } })
    expect((yield* Llm.embed(llm, { input: ["one", "two"] })).vectors).toEqual([[1], [2]])
    expect(server.seen[0]?.url).toBe("/v1beta/models/gemini-embedding-001:batchEmbedContents")
    expect(server.seen[0]?.headers["x-goog-api-key"]).toBe(secret)
    expect(yield* Effect.flip(Llm.embed(llm, { input: [[1, 2]] }))).toMatchObject({
      reason: { _tag: "InvalidRequest" },
      detail: "it takes texts, not the tokens of texts"
    })
  })
)

it.effect("a kind without embeddings says so, and asks nobody", () =>
  Effect.gen(function* () {
    const server = yield* always(reply([1]))
    const without = ["anthropic", "groq", "deepseek", "xai"]
    for (const kind of without) {
      const { llm } = yield* build(kind, server.url, { model: { capabilities: { features: ["embeddings"] } } })
      expect(llm.capabilities.lacks).toEqual(["embeddings"])
      const error = yield* Effect.flip(Llm.embed(llm, { input: "one" }))
      expect(error).toMatchObject({
        reason: { _tag: "InvalidRequest" },
        detail: "it has no embeddings",
        instance: kind
      })
    }
    expect(server.seen).toHaveLength(0)
    expect(without.filter((kind) => ProviderTable.find(kind)?.embeddings !== undefined)).toEqual([])
  })
)

it.effect("a refusal, a reply of something else and a wrong count are told apart, and the next is asked", () =>
  Effect.gen(function* () {
    const error = { message: `no ${secret}`, type: "server_error" }
    const broken = yield* always({ error }, 500)
    const page = yield* serve((_, response) => {
      response.writeHead(200, { "content-type": "text/html" })
      response.end("<html><title>Gateway</title></html>")
    })
    const short = yield* always(reply([1]))
    const well = yield* always(reply([1], [2]))
    const servers = { broken, page, short, well }
    const built = yield* Effect.forEach(Object.entries(servers), ([name, { url }]) =>
      build("openai-compatible", url, { name })
    )
    const group = yield* TaskGroup.make(
      built.map(({ llm }) => [llm]),
      { id: "group", maxRetries: 0 }
    )
    const answer = yield* Llm.embed(group, { input: ["one", "two"] })
    expect(answer.vectors).toEqual([[1], [2]])
    expect(answer.route.map(({ instance, reason }) => [instance, reason])).toEqual([
      ["broken", "ProviderError"],
      ["page", "MalformedOutput"],
      ["short", "MalformedOutput"],
      ["well", undefined]
    ])
    const first = built[0]
    if (first === undefined) return
    const failure = yield* Effect.flip(Llm.embed(first.llm, { input: "one" }))
    expect(failure.detail).not.toContain(secret)
  })
)

it.effect("limits that a head reports are told", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) =>
      json(response, 200, reply([1]), { "x-ratelimit-remaining-requests": "7", "x-ratelimit-limit-requests": "10" })
    )
    const { llm } = yield* build("openai", server.url)
    const reports: Array<unknown> = []
    yield* Effect.scoped(
      Effect.gen(function* () {
        const request = yield* LlmEmbedding.make({ input: "one" })
        const reply = yield* Attempt.open({}, (attempt) => {
          attempt.onReport((report) => reports.push(report))
          return llm.call({ ...request, attempt })
        })
        yield* Stream.runDrain(reply.parts)
      })
    )
    expect(reports.length).toBeGreaterThan(0)
  })
)

it.effect("the lane: a body goes out as it came, and the reply comes back as it is", () =>
  Effect.gen(function* () {
    const sent = { ...reply([0.5, 1]), unheard_of: true }
    const server = yield* always(sent)
    const { llm } = yield* build("openai", server.url)
    const body = { model: "front", input: "one", user: "u", encoding_format: "float", odd: [1] }
    const raw = { protocol: "openai-embeddings", body }
    const answer = yield* Llm.embed(llm, { input: ["one"], raw })
    expect(bodyOf(server.seen[0])).toEqual({ ...body, model: "text-embedding-3-small" })
    const events = answer.content.flatMap((part) => (part.raw === undefined ? [] : [part.raw]))
    expect(events.map(({ data }) => JSON.parse(data))).toEqual([sent])
    // Without it nothing is kept of the bytes.
    const plain = yield* Llm.embed(llm, { input: ["one"] })
    expect(plain.content.some((part) => part.raw !== undefined)).toBe(false)
  })
)

it.effect("what only embeds is probed by embedding", () =>
  Effect.gen(function* () {
    const server = yield* always(reply([1]))
    const provider = { healthCheck: "ping" }
    const embedder = yield* build("openai", server.url, {
      provider,
      model: { capabilities: { features: ["embeddings"] } }
    })
    yield* embedder.probe
    const unknown = yield* build("openai", server.url, { provider })
    yield* Effect.ignore(unknown.probe)
    expect(server.seen.map(({ url }) => url)).toEqual(["/embeddings", "/chat/completions"])
  })
)
