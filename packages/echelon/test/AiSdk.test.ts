import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { EmbeddingModelV3, EmbeddingModelV4, LanguageModelV3, LanguageModelV4 } from "@ai-sdk/provider"
import { TaskGroup } from "@echelon/core"
import { Echelon, LlmError, type LlmRequest } from "@echelon/echelon"
import * as AiSdk from "@echelon/echelon/AiSdk"
import { FaultServer, ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import {
  embedMany,
  generateObject,
  generateText,
  isStepCount,
  jsonSchema,
  type LanguageModel,
  Output,
  streamText,
  tool
} from "ai"
import { Effect } from "effect"

// It prints what it warns of, unless told not to.
Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false })

const down = ScriptedLlm.make({ id: "down", script: ScriptedLlm.fails({ _tag: "Overloaded" }) })

const called = (name: string, params: unknown): ScriptedLlm.Script => [
  ScriptedLlm.parts(
    { type: "tool-params-start", id: "c1", name },
    { type: "tool-params-delta", id: "c1", delta: JSON.stringify(params) },
    { type: "tool-params-end", id: "c1" },
    { type: "tool-call", id: "c1", name, params }
  ),
  ScriptedLlm.finish({ inputTokens: 5, outputTokens: 7 }, "tool-calls")
]

/** A member that is down and, behind it, one that follows a script. */
const failover = (script: ScriptedLlm.Options["script"]) =>
  Effect.gen(function* () {
    const broken = yield* down
    const up = yield* ScriptedLlm.make({ id: "up", model: "up-model", script })
    const llm = yield* TaskGroup.make([[broken.llm], [up.llm]], { id: "group", maxRetries: 0 })
    return { llm, up, broken }
  })

const asked = (scripted: ScriptedLlm.ScriptedLlm, call = 0): LlmRequest.LlmRequest => {
  const found = scripted.calls()[call]
  if (found === undefined) throw new Error(`there was no call ${call}`)
  return found.request
}

const promise = <A>(run: () => Promise<A>) => Effect.promise(run)

/** What a promise rejects with. */
const rejection = (run: () => PromiseLike<unknown>) =>
  promise(() =>
    Promise.resolve(run()).then(
      () => "it was answered",
      (error: unknown) => error
    )
  )

const weather = tool({
  description: "How warm it is.",
  inputSchema: jsonSchema<{ city: string }>({
    type: "object",
    properties: { city: { type: "string" } },
    required: ["city"]
  }),
  execute: async ({ city }) => ({ city, celsius: 4 })
})

const versions = (llm: Parameters<typeof AiSdk.provider>[0]): ReadonlyArray<readonly [string, LanguageModel]> => [
  ["v4", AiSdk.provider(llm)("pool")],
  ["v3", AiSdk.providerV3(llm)("pool")]
]

it.effect("is what the specifications ask for, by type", () =>
  Effect.gen(function* () {
    const { llm } = yield* failover(ScriptedLlm.text("hello"))
    const v4: LanguageModelV4 = AiSdk.provider(llm)("a")
    const v3: LanguageModelV3 = AiSdk.providerV3(llm).languageModel("a")
    const e4: EmbeddingModelV4 = AiSdk.provider(llm).embeddingModel("a")
    const e3: EmbeddingModelV3 = AiSdk.providerV3(llm).embeddingModel("a")
    expect([v4, v3, e4, e3].map((model) => model.specificationVersion)).toEqual(["v4", "v3", "v4", "v3"])
    expect([v4.provider, v4.modelId]).toEqual(["echelon", "a"])
    expect(() => AiSdk.provider(llm).imageModel("a")).toThrow("there is no image model a")
    expect(() => AiSdk.provider(llm, { maxEmbeddingsPerCall: 0 })).toThrow(RangeError)
  })
)

it.effect("needs none of the packages that it serves", () =>
  promise(async () => {
    for (const name of ["AiSdk", "AiSdkSpec", "AiSdkRequest", "AiSdkReply"]) {
      const source = await readFile(new URL(`../src/${name}.ts`, import.meta.url), "utf8")
      expect(source).not.toMatch(/from "(?:ai|@ai-sdk\/)/)
    }
  })
)

it("reads a model's name as the gateway does", () => {
  expect(
    ["", "fast", "pool:fast", "wrapper:w", "group:g.echelon2", "openai/gpt-4o", "openrouter/a/b"].map(AiSdk.metadataOf)
  ).toEqual([
    {},
    { poolName: "fast" },
    { poolName: "fast" },
    { wrapperName: "w" },
    { groupName: "g.echelon2" },
    { provider: "openai", model: "gpt-4o" },
    { provider: "openrouter", model: "a/b" }
  ])
})

it.effect("generateText: text, usage, reason and route, through a failover", () =>
  Effect.gen(function* () {
    const { llm, up } = yield* failover([
      ScriptedLlm.parts(
        { type: "response-metadata", id: "r1", modelId: "up-1", timestamp: "2026-01-02T03:04:05Z" },
        { type: "text-delta", id: "0", delta: "hello" },
        {
          type: "finish",
          reason: "length",
          usage: { inputTokens: { total: 10, cacheRead: 4, cacheWrite: 1 }, outputTokens: { total: 6, reasoning: 2 } }
        }
      )
    ])
    for (const [, model] of versions(llm)) {
      const result = yield* promise(() =>
        generateText({
          model,
          instructions: "Be brief.",
          prompt: "hi",
          temperature: 0.3,
          topK: 5,
          stopSequences: ["END"],
          seed: 7,
          maxOutputTokens: 50,
          providerOptions: { openai: { logprobs: true }, echelon: { tenant: "acme", priority: "batch" } }
        })
      )
      expect([result.text, result.finishReason, result.rawFinishReason]).toEqual(["hello", "length", "length"])
      expect(result.usage).toMatchObject({
        inputTokens: 10,
        outputTokens: 6,
        inputTokenDetails: { noCacheTokens: 5, cacheReadTokens: 4, cacheWriteTokens: 1 },
        outputTokenDetails: { textTokens: 4, reasoningTokens: 2 }
      })
      expect(result.response).toMatchObject({ id: "r1", modelId: "up-1", timestamp: new Date("2026-01-02T03:04:05Z") })
      const route = AiSdk.routeOf(result.providerMetadata)
      expect(route?.instance).toBe("up")
      expect(route?.route.map((entry) => entry.reason ?? entry.outcome)).toEqual(["Overloaded", "completed"])
      expect(result.warnings ?? []).toEqual([])
    }
    const { messages, metadata, providerOptions, settings } = asked(up)
    expect(messages).toEqual([
      { role: "system", content: "Be brief." },
      { role: "user", content: [{ type: "text", text: "hi" }] }
    ])
    expect(settings).toMatchObject({ temperature: 0.3, topK: 5, stop: ["END"], seed: 7, maxOutputTokens: 50 })
    expect(metadata).toEqual({ poolName: "pool", tenant: "acme", priority: "batch" })
    expect(providerOptions).toEqual({ openai: { logprobs: true } })
  })
)

it.effect("streamText: the same, piece by piece", () =>
  Effect.gen(function* () {
    const { llm, up } = yield* failover(ScriptedLlm.text("one two three"))
    for (const [, model] of versions(llm)) {
      const seen = yield* promise(async () => {
        const result = streamText({ model, prompt: "hi" })
        const pieces: Array<string> = []
        for await (const piece of result.textStream) pieces.push(piece)
        return {
          pieces,
          usage: await result.usage,
          metadata: await result.finalStep.then((step) => step.providerMetadata)
        }
      })
      expect(seen.pieces).toEqual(["one ", "two ", "three"])
      expect(seen.usage).toMatchObject({ inputTokens: 1, outputTokens: 3 })
      const route = AiSdk.routeOf(seen.metadata)
      expect(route?.route.map((entry) => entry.instance)).toEqual(["down", "up"])
      expect(route?.route.map((entry) => entry.outcome)).toEqual(["failed", "completed"])
    }
    expect(asked(up).stream).toBe(true)
    expect(up.open()).toBe(0)
  })
)

it.effect("a loop of tools goes on elsewhere when who began it fails", () =>
  Effect.gen(function* () {
    for (const isStreamed of [false, true]) {
      const first = yield* ScriptedLlm.make({
        id: "first",
        script: (call) =>
          call === 0
            ? [
                ScriptedLlm.parts(
                  { type: "reasoning-start", id: "r" },
                  { type: "reasoning-delta", id: "r", delta: "I must look." },
                  { type: "reasoning-end", id: "r", metadata: { anthropic: { signature: "sig" } } }
                ),
                ...called("weather", { city: "Oslo" })
              ]
            : ScriptedLlm.fails({ _tag: "ProviderError" })
      })
      const second = yield* ScriptedLlm.make({ id: "second", script: ScriptedLlm.text("Four degrees.") })
      const llm = yield* TaskGroup.make([[first.llm], [second.llm]], { id: "group", maxRetries: 0 })
      for (const [, model] of [versions(llm)[isStreamed ? 0 : 1]].flatMap((one) => (one === undefined ? [] : [one]))) {
        const options = { model, prompt: "How warm is it in Oslo?", tools: { weather }, stopWhen: isStepCount(3) }
        const { steps, text } = yield* promise(async () => {
          const result = isStreamed ? streamText(options) : await generateText(options)
          return { steps: await result.steps, text: await result.text }
        })
        expect(text).toBe("Four degrees.")
        expect(steps.map((step) => AiSdk.routeOf(step.providerMetadata)?.instance)).toEqual(["first", "second"])
        expect(steps[0]?.reasoningText).toBe("I must look.")
        expect(steps[0]?.toolResults[0]?.output).toEqual({ city: "Oslo", celsius: 4 })
        expect(steps[0]?.finishReason).toBe("tool-calls")
      }
      // What the second is asked holds what the first said, its signature for those who know it.
      const { messages, tools } = asked(second)
      expect(tools).toMatchObject([{ name: "weather", description: "How warm it is.", parameters: { type: "object" } }])
      expect(messages.slice(1)).toEqual([
        {
          role: "assistant",
          content: [
            { type: "reasoning", text: "I must look.", options: { anthropic: { signature: "sig" } } },
            { type: "tool-call", id: "c1", name: "weather", params: { city: "Oslo" }, providerExecuted: false }
          ]
        },
        {
          role: "tool",
          content: [
            { type: "tool-result", id: "c1", name: "weather", isFailure: false, result: { city: "Oslo", celsius: 4 } }
          ]
        }
      ])
    }
  })
)

it.effect("a block keeps what its provider said of it, at its start, within and at its end", () =>
  Effect.gen(function* () {
    const script: ScriptedLlm.Script = [
      ScriptedLlm.parts(
        { type: "reasoning-start", id: "r", metadata: { openai: { itemId: "rs_1", summary: [] }, other: { a: 1 } } },
        { type: "reasoning-delta", id: "r", delta: "I must ", metadata: { openai: { index: 0 } } },
        { type: "reasoning-delta", id: "r", delta: "look." },
        { type: "reasoning-end", id: "r", metadata: { openai: { encrypted: "e", summary: ["s"] } } },
        { type: "reasoning-start", id: "r", metadata: { openai: { itemId: "rs_2" } } },
        { type: "reasoning-end", id: "r" },
        { type: "text-start", id: "r", metadata: { openai: { itemId: "msg_1" } } },
        { type: "text-delta", id: "r", delta: "Wait." },
        { type: "text-end", id: "r", metadata: { openai: { phase: "commentary" } } }
      ),
      ...called("weather", { city: "Oslo" })
    ]
    for (const isStreamed of [false, true]) {
      const up = yield* ScriptedLlm.make({
        id: "up",
        script: (call) => (call === 0 ? script : ScriptedLlm.text("Four degrees."))
      })
      const options = {
        model: AiSdk.provider(up.llm)("pool"),
        prompt: "How warm?",
        tools: { weather },
        stopWhen: isStepCount(3)
      }
      yield* promise(async () => (isStreamed ? streamText(options) : await generateText(options)).steps)
      const [, said] = asked(up, 1).messages
      expect([isStreamed, Array.isArray(said?.content) ? said.content.slice(0, 3) : []]).toEqual([
        isStreamed,
        [
          {
            type: "reasoning",
            text: "I must look.",
            options: { openai: { itemId: "rs_1", summary: ["s"], index: 0, encrypted: "e" }, other: { a: 1 } }
          },
          { type: "reasoning", text: "", options: { openai: { itemId: "rs_2" } } },
          { type: "text", text: "Wait.", options: { openai: { itemId: "msg_1", phase: "commentary" } } }
        ]
      ])
    }
  })
)

it.effect("objects are asked for by their schema", () =>
  Effect.gen(function* () {
    const { llm, up } = yield* failover(ScriptedLlm.text('{"celsius":4}'))
    const schema = jsonSchema<{ celsius: number }>({
      type: "object",
      properties: { celsius: { type: "number" } },
      required: ["celsius"]
    })
    const model = AiSdk.provider(llm)("pool")
    const one = yield* promise(() =>
      generateText({ model, prompt: "hi", output: Output.object({ schema, name: "a b", description: "Warmth." }) })
    )
    const two = yield* promise(() => generateObject({ model, prompt: "hi", schema }))
    const partial = yield* promise(async () => {
      const seen: Array<unknown> = []
      for await (const value of streamText({ model, prompt: "hi", output: Output.object({ schema }) })
        .partialOutputStream)
        seen.push(value)
      return seen.at(-1)
    })
    expect([one.output, two.object, partial]).toEqual([{ celsius: 4 }, { celsius: 4 }, { celsius: 4 }])
    expect(asked(up).responseFormat).toMatchObject({
      type: "json",
      name: "a_b",
      schema: { type: "object", required: ["celsius"], description: "Warmth." }
    })
    expect(asked(up, 1).responseFormat).toMatchObject({ type: "json", name: "response" })
  })
)

it.effect("files go in as bytes, and come out", () =>
  Effect.gen(function* () {
    const { llm, up } = yield* failover([
      ScriptedLlm.parts(
        { type: "file", mediaType: "image/png", data: "iVBORw0KGgo=" },
        { type: "source", sourceType: "url", id: "s", url: "https://example.org/", title: "Example" }
      ),
      ScriptedLlm.finish()
    ])
    for (const [, model] of versions(llm)) {
      const { files, sources } = yield* promise(() =>
        generateText({
          model,
          messages: [
            {
              role: "user",
              content: [
                { type: "text", text: "what is it?" },
                { type: "file", data: new Uint8Array([0x89, 0x50, 0x4e, 0x47]), mediaType: "image/png" },
                { type: "file", data: "JVBERi0=", mediaType: "application/pdf", filename: "a.pdf" }
              ]
            }
          ]
        })
      )
      expect(files.map((file) => [file.mediaType, file.base64])).toEqual([["image/png", "iVBORw0KGgo="]])
      expect(sources).toMatchObject([{ sourceType: "url", url: "https://example.org/", title: "Example" }])
    }
    for (const call of [0, 1])
      expect(asked(up, call).messages).toMatchObject([
        {
          role: "user",
          content: [
            { type: "text" },
            { type: "file", mediaType: "image/png" },
            { type: "file", mediaType: "application/pdf", fileName: "a.pdf" }
          ]
        }
      ])
  })
)

it.effect("a tool that its provider runs is no tool of the program", () =>
  Effect.gen(function* () {
    const { llm } = yield* failover([
      ScriptedLlm.parts(
        { type: "tool-call", id: "w1", name: "web_search", params: { q: "x" }, providerExecuted: true },
        {
          type: "tool-result",
          id: "w1",
          name: "web_search",
          result: [{ url: "u" }],
          isFailure: false,
          providerExecuted: true
        },
        { type: "text-delta", id: "0", delta: "found" }
      ),
      ScriptedLlm.finish()
    ])
    const result = yield* promise(() => generateText({ model: AiSdk.provider(llm)("pool"), prompt: "hi" }))
    expect(result.text).toBe("found")
    expect(result.content.map((part) => part.type)).toEqual(["tool-call", "tool-result", "text"])
  })
)

it.effect("says what cannot be said", () =>
  Effect.gen(function* () {
    const { llm, up } = yield* failover(ScriptedLlm.text("x"))
    const { warnings } = yield* promise(async () =>
      AiSdk.provider(llm)("pool").doGenerate({
        prompt: [
          { role: "assistant", content: [{ type: "custom", kind: "openai.compaction" }] },
          {
            role: "tool",
            content: [
              { type: "tool-result", toolCallId: "1", toolName: "a", output: { type: "execution-denied" } },
              {
                type: "tool-result",
                toolCallId: "2",
                toolName: "b",
                output: {
                  type: "content",
                  value: [
                    { type: "text", text: "seen" },
                    { type: "image-data", data: "iVBORw==", mediaType: "image/png" },
                    {
                      type: "file",
                      data: { type: "url", url: new URL("https://example.org/a.png") },
                      mediaType: "image"
                    },
                    { type: "file-id" }
                  ]
                }
              }
            ]
          }
        ],
        tools: [{ type: "provider", id: "openai.web_search", name: "web_search" }],
        headers: { "x-mine": "secret", "user-agent": "ai/7" },
        reasoning: "max"
      })
    )
    expect(warnings).toEqual([
      expect.objectContaining({ type: "unsupported", feature: "provider-defined tool openai.web_search" }),
      expect.objectContaining({ type: "unsupported", feature: "header x-mine" }),
      { type: "unsupported", feature: "message part custom" },
      { type: "unsupported", feature: "tool result part file-id" },
      { type: "compatibility", feature: "reasoning max", details: 'asked for as "xhigh"' }
    ])
    const { messages, settings } = asked(up)
    expect(settings.reasoningEffort).toBe("xhigh")
    expect(messages).toMatchObject([
      {
        role: "tool",
        content: [
          { isFailure: true, result: "The tool was not allowed to run." },
          {
            isFailure: false,
            result: "seen",
            modelOutput: [
              { type: "text", text: "seen" },
              { type: "file", mediaType: "image/png", data: "iVBORw==" },
              { type: "file", mediaType: "image/*", data: new URL("https://example.org/a.png") }
            ]
          }
        ]
      }
    ])
    const data = { type: "reference", reference: { openai: "file-1" } } as const
    const error = yield* rejection(() =>
      AiSdk.provider(llm)("pool").doGenerate({
        prompt: [{ role: "user", content: [{ type: "file", data, mediaType: "image/png" }] }]
      })
    )
    expect(LlmError.isLlmError(error) && error.reason._tag).toBe("InvalidRequest")
  })
)

it.effect("a failure is typed, and not repeated", () =>
  Effect.gen(function* () {
    const { broken, llm } = yield* failover(ScriptedLlm.fails({ _tag: "Overloaded" }))
    const before = broken.calls().length
    const error = yield* rejection(() => generateText({ model: AiSdk.provider(llm)("pool"), prompt: "hi" }))
    if (!LlmError.isLlmError(error)) throw error
    expect([error.reason._tag, error.isRetryable, error.route?.length]).toEqual(["Overloaded", true, 2])
    expect(broken.calls().length - before).toBe(1)
    const streamed = yield* rejection(() =>
      AiSdk.provider(llm)("pool").doStream({ prompt: [{ role: "system", content: "x" }] })
    )
    expect(LlmError.isLlmError(streamed)).toBe(true)
  })
)

it.effect("a stream that breaks tells so, and what was delivered", () =>
  Effect.gen(function* () {
    const one = yield* ScriptedLlm.make({
      id: "one",
      script: ScriptedLlm.truncated("half of", { _tag: "Network", kind: "reset" })
    })
    const parts = yield* promise(async () => {
      const seen: Array<{ readonly type: string; readonly error?: unknown }> = []
      for await (const part of streamText({ model: AiSdk.provider(one.llm)("x"), prompt: "hi", onError: () => {} })
        .fullStream)
        seen.push(part)
      return seen
    })
    const failed = parts.find((part) => part.type === "error")?.error
    if (!LlmError.isLlmError(failed)) throw failed
    expect([failed.reason._tag, failed.delivered]).toEqual(["Network", "half of"])
    expect(one.open()).toBe(0)
  })
)

it.effect("an abort closes the call, before and after the first output", () =>
  Effect.gen(function* () {
    const silent = yield* ScriptedLlm.make({ id: "silent", script: [ScriptedLlm.accepted, ScriptedLlm.never] })
    const talking = yield* ScriptedLlm.make({
      id: "talking",
      script: [ScriptedLlm.parts({ type: "text-delta", id: "0", delta: "a" }), ScriptedLlm.never]
    })
    const prompt = [{ role: "user" as const, content: [{ type: "text" as const, text: "hi" }] }]
    const reason = new Error("the caller has gone")
    for (const call of ["doGenerate", "doStream"] as const) {
      const controller = new AbortController()
      const calling = AiSdk.provider(silent.llm)("x")[call]({ prompt, abortSignal: controller.signal })
      controller.abort(reason)
      expect(yield* rejection(() => calling)).toBe(reason)
    }
    const controller = new AbortController()
    const { stream } = yield* promise(() =>
      AiSdk.provider(talking.llm)("x").doStream({ prompt, abortSignal: controller.signal })
    )
    const reader = stream.getReader()
    yield* promise(() => reader.read())
    const { value } = yield* promise(() => reader.read())
    expect(value).toMatchObject({ type: "text-delta", delta: "a" })
    const next = reader.read()
    controller.abort(reason)
    expect(yield* rejection(() => next)).toBe(reason)
    // Leaving the stream closes the call, too.
    const left = yield* promise(() => AiSdk.provider(talking.llm)("x").doStream({ prompt }))
    yield* promise(() => left.stream.cancel())
    expect([silent.open(), talking.open()]).toEqual([0, 0])
  })
)

it.effect("embedMany: vectors in order, at most so many at once", () =>
  Effect.gen(function* () {
    const broken = yield* down
    const seen: Array<number> = []
    const up = yield* ScriptedLlm.make({
      id: "up",
      script: (_, request) => {
        const texts = request.embedding?.input ?? []
        seen.push(texts.length)
        return ScriptedLlm.embeddings(texts.map((text) => [text.length, 1]))
      }
    })
    const llm = yield* TaskGroup.make([[broken.llm], [up.llm]], { id: "group", maxRetries: 0 })
    const model = AiSdk.provider(llm, { maxEmbeddingsPerCall: 2 }).embeddingModel("pool")
    const result = yield* promise(() => embedMany({ model, values: ["a", "bb", "ccc"] }))
    expect(result.embeddings).toEqual([
      [1, 1],
      [2, 1],
      [3, 1]
    ])
    expect(result.usage.tokens).toBe(3)
    expect(seen.sort()).toEqual([1, 2])
    expect(AiSdk.routeOf(result.providerMetadata)?.instance).toBe("up")
  })
)

/** A running Echelon over two servers, of which the first fails as told. */
const running = (script: FaultServer.Script) =>
  Effect.gen(function* () {
    const a = yield* FaultServer.make({ script })
    const b = yield* FaultServer.make({ script: [], text: "b says so" })
    const config = yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const folder = await mkdtemp(join(tmpdir(), "echelon-"))
        const provider = (name: string, url: string) =>
          `[llms.provider.${name}]\nkind = "openai"\nbase_url = "${url}/v1"\napi_key = "k"\n[llms.provider.${name}.models.m]\nmodel = "m"\n`
        await writeFile(
          join(folder, "global.toml"),
          `${provider("a", a.url)}${provider("b", b.url)}
[llms.polling_pools.pair]
task_groups = ["pair"]
rotation_strategy = "priority"
slow_start = { duration = 0 }
[llms.groups.pair]
echelon1 = { models = ["a-m", "b-m"] }
[reload]
watch = false
`
        )
        return folder
      }),
      (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
    )
    const runtime = yield* Effect.acquireRelease(
      Effect.promise(() => Echelon.runtime({ config, variables: {} })),
      (one) => Effect.promise(() => one.dispose())
    )
    return { a, b, runtime }
  })

it.live("points at a pool of a running Echelon: a loop of tools over real sockets, with a failover in the middle", () =>
  Effect.gen(function* () {
    const { a, b, runtime } = yield* running([
      FaultServer.toolCalls([{ id: "call_1", name: "weather", arguments: '{"city":"Oslo"}' }]),
      FaultServer.status(503)
    ])
    const echelon = AiSdk.provider(runtime)
    const options = { prompt: "How warm is it?", tools: { weather }, stopWhen: isStepCount(3) }
    const { steps, text } = yield* promise(async () => {
      const result = streamText({ model: echelon("pair"), ...options })
      return { steps: await result.steps, text: await result.text }
    })
    expect(text).toBe("b says so")
    expect(steps.length).toBe(2)
    expect([a.requests().length, b.requests().length]).toEqual([2, 1])
    expect(b.requests()[0]?.body).toMatchObject({
      messages: [
        { role: "user" },
        {
          role: "assistant",
          tool_calls: [{ id: "call_1", function: { name: "weather", arguments: '{"city":"Oslo"}' } }]
        },
        { role: "tool", tool_call_id: "call_1", content: '{"city":"Oslo","celsius":4}' }
      ]
    })
    a.set([FaultServer.status(503)])
    const buffered = yield* promise(() => generateText({ model: echelon("pool:pair"), prompt: "hi" }))
    expect(buffered.text).toBe("b says so")
    expect(AiSdk.routeOf(buffered.providerMetadata)?.route.map((entry) => entry.instance)).toEqual(["a-m", "b-m"])
    a.set([FaultServer.status(503)])
    const streamed = yield* promise(async () => {
      const result = streamText({ model: echelon("pair"), prompt: "hi" })
      await result.consumeStream()
      return AiSdk.routeOf(await result.providerMetadata)
    })
    expect(streamed?.route.map((entry) => entry.instance)).toEqual(["a-m", "b-m"])
    const direct = yield* promise(() => generateText({ model: echelon("b/m"), prompt: "hi" }))
    expect(AiSdk.routeOf(direct.providerMetadata)?.instance).toBe("b-m")
    const nowhere = yield* rejection(() => generateText({ model: echelon("piar"), prompt: "hi" }))
    expect(String(nowhere)).toContain('did you mean "pair"')
  })
)
