/** Embeddings from the configuration to the socket and back, through the whole stack. */
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Echelon, Llm, Orchestrator, PoolManager } from "@echelon/echelon"
import { EmbeddedProviders } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"

const toml = (url: string) => `
[llms.provider.a]
kind = "openai"
base_url = "${url}"
api_key = "sk-a"
[llms.provider.a.models]
embed = { model = "embed-a", capabilities = ["embeddings"], input_price = 100.0, output_price = 0.0 }
chat = { model = "chat-a", capabilities = ["tools"] }

[llms.provider.b]
kind = "openai-compatible"
base_url = "${url}"
[llms.provider.b.models]
embed = { model = "embed-b" }

[llms.provider.c]
kind = "anthropic"
base_url = "${url}"
api_key = "sk-c"
[llms.provider.c.models]
chat = { model = "chat-c" }

[llms.polling_pools.embedders]
task_groups = ["embedders"]
[llms.polling_pools.embedders.cache]
enabled = true

[llms.groups.embedders]
echelon1 = { models = ["a-chat", "c-chat", "a-embed"], max_retries = 0, temperature = 0.5 }
echelon2 = { models = ["b-embed"], max_retries = 0, upstream = "stream" }

[llms.groups.talkers]
echelon1 = { models = ["a-chat", "c-chat"] }

[llms.wrappers.front]
type = "pool"
default_config = { pool_name = "embedders" }
performance = { max_concurrent_requests = 1 }

[reload]
watch = false
`

/** What the embedded server gives for every text. */
const vector = [0.25, 0.5, 0.75, 1]

const started = Effect.gen(function* () {
  const providers = yield* EmbeddedProviders.make
  const config = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const folder = await mkdtemp(join(tmpdir(), "echelon-"))
      await writeFile(join(folder, "global.toml"), toml(providers.openaiUrl))
      return folder
    }),
    (folder) => Effect.promise(() => rm(folder, { recursive: true, force: true }))
  )
  const byModel = Effect.map(providers.served, ({ openai }) => openai.byModel)
  return { byModel, options: { config, variables: {} }, providers }
})

it.live("a pool gives vectors by who is able, through its wrapper too, and keeps them", () =>
  Effect.gen(function* () {
    const { byModel, options } = yield* started
    yield* Effect.gen(function* () {
      const input = { input: ["one", "two"], metadata: { poolName: "embedders" } }
      const answer = yield* Orchestrator.embed(input)
      expect(answer.vectors).toEqual([vector, vector])
      expect(answer.route.map(({ echelon, instance, kind }) => [instance, echelon, kind])).toEqual([
        ["a-embed", "embedders.echelon1", "call"]
      ])
      expect(answer.model).toBe("embed-a")
      // What was answered once is not asked for again, once it is stored.
      const again = yield* Effect.repeat(Orchestrator.embed({ ...input, metadata: { wrapperName: "front" } }), {
        until: ({ route }) => route[0]?.kind === "cache"
      })
      expect(again.vectors).toEqual(answer.vectors)
      const other = yield* Orchestrator.embed({ ...input, input: ["two", "one"] })
      expect(other.route.map(({ kind }) => kind)).toEqual(["call"])
      expect(Object.keys(yield* byModel)).toEqual(["embed-a"])
    }).pipe(Effect.provide(Echelon.layer(options)))
  })
)

it.live("with the first echelon down the second answers", () =>
  Effect.gen(function* () {
    const { options, providers } = yield* started
    yield* providers.setFault("openai", { _tag: "Status", status: 500 }, ["embed-a"])
    yield* Effect.gen(function* () {
      const pool = yield* PoolManager.PoolManager.use((manager) => manager.get("embedders"))
      const answer = yield* Llm.embed(pool, { input: "one" })
      expect(answer.vectors).toEqual([vector])
      expect(answer.route.map(({ instance, reason }) => [instance, reason])).toEqual([
        ["a-embed", "ProviderError"],
        ["b-embed", undefined]
      ])
      yield* providers.setFault("openai", { _tag: "Reset" })
      const error = yield* Effect.flip(Llm.embed(pool, { input: "two" }))
      expect(error.reason._tag).toBe("Network")
    }).pipe(Effect.provide(Echelon.layer(options)))
  })
)

it.live("a wrong length, a group of talkers and an empty list fail with what is the matter", () =>
  Effect.gen(function* () {
    const { byModel, options } = yield* started
    yield* Effect.gen(function* () {
      const failing = (input: Parameters<typeof Orchestrator.embed>[0]) => Effect.flip(Orchestrator.embed(input))
      const metadata = { groupName: "embedders" }
      expect(yield* failing({ input: "one", dimensions: 8, metadata })).toMatchObject({
        reason: { _tag: "MalformedOutput" },
        detail: "the answer holds a vector of 4 dimensions instead of 8"
      })
      const before = yield* byModel
      expect(yield* failing({ input: "one", metadata: { groupName: "talkers" } })).toMatchObject({
        reason: { _tag: "InvalidRequest" },
        detail: expect.stringContaining("embeddings")
      })
      expect(yield* failing({ input: [], metadata })).toMatchObject({ reason: { _tag: "InvalidRequest" } })
      expect(yield* byModel).toEqual(before)
    }).pipe(Effect.provide(Echelon.layer(options)))
  })
)

it.live("a direct client, and the promise of a runtime", () =>
  Effect.gen(function* () {
    const { options, providers } = yield* started
    const runtime = yield* Effect.acquireRelease(
      Effect.promise(() => Echelon.runtime(options)),
      (running) => Effect.promise(() => running.dispose())
    )
    const direct = { input: ["one"], metadata: { provider: "a", model: "embed" } }
    const answer = yield* Effect.promise(() => runtime.embed(direct))
    expect([answer.vectors, answer.instance]).toEqual([[vector], "a-embed"])
    // A server that reports no tokens for a text has not counted.
    expect([answer.usage.source, answer.cost]).toEqual(["unknown", undefined])
    yield* providers.setFault("openai", { _tag: "Stall" })
    const controller = new AbortController()
    const reason = new Error("the caller has gone")
    const asked = runtime.embed({ ...direct, input: ["two"] }, { signal: controller.signal }).catch((error) => error)
    yield* Effect.repeat(providers.served, { until: ({ openai }) => openai.open > 0 })
    controller.abort(reason)
    expect(yield* Effect.promise(() => asked)).toBe(reason)
    yield* Effect.repeat(providers.served, { until: ({ openai }) => openai.open === 0 })
  })
)
