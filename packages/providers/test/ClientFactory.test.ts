import { Clients, InstanceFactory, Llm, type LlmError, type Plan, Plans } from "@echelon/core"
import { ClientFactory, ProviderInstances, Providers, Transport } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { ConfigProvider, Effect, Layer, Redacted, Stream } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { instanceOf, json, serve } from "./Support.ts"

const model = (name: string): Plan.Model => ({ ...instanceOf("openai").model, model: name })

const provider = (options: Partial<Plan.Provider>): Plan.Provider =>
  Plans.provider({ name: "openai", kind: "openai", key: Redacted.make("k"), ...options })

const rootOf = (providers: Record<string, Plan.Provider>, more: Partial<Plan.Root> = {}): Plan.Root => ({
  providers,
  instances: {},
  disabled: {},
  groups: {},
  pools: {},
  wrappers: {},
  routing: { defaultWrapper: undefined, defaultPool: undefined, defaultProvider: undefined },
  shutdownGrace: 30_000,
  reload: { watch: false, debounce: 0 },
  ...more
})

const reply = {
  id: "r",
  choices: [{ index: 0, message: { content: "hello" }, finish_reason: "stop" }]
}

/** A client that answers everything and notes where it was asked. */
const recording = () => {
  const asked: Array<{ url: string; model: string; authorization: string | undefined }> = []
  const client = HttpClient.make((request, url) =>
    Effect.sync(() => {
      const body = request.body._tag === "Uint8Array" ? JSON.parse(new TextDecoder().decode(request.body.body)) : {}
      asked.push({ url: url.href, model: body.model, authorization: request.headers["authorization"] })
      return HttpClientResponse.fromWeb(request, Response.json(reply))
    })
  )
  return { asked, layer: ClientFactory.layer.pipe(Layer.provide(Transport.layerFrom(client))) }
}

const environment = (values: Record<string, string>) => ConfigProvider.layer(ConfigProvider.fromUnknown(values))

const get = (root: Plan.Root, name: string, wanted?: string) =>
  Effect.flatMap(Clients.Clients, (clients) => clients.get(root, name, wanted))

const failing = (root: Plan.Root, name: string, wanted?: string) => {
  const { layer } = recording()
  return Effect.flip(get(root, name, wanted)).pipe(
    Effect.provide(layer),
    Effect.provide(environment({}))
  ) as Effect.Effect<LlmError.LlmError>
}

it.effect("finds a model by alias, by its own name, or by default", () => {
  const { asked, layer } = recording()
  const openai = provider({ models: { fast: model("gpt-4o-mini"), smart: model("gpt-4o") }, defaultModel: "smart" })
  const root = rootOf({ openai })
  return Effect.gen(function* () {
    for (const wanted of ["fast", "gpt-4o-mini", undefined])
      yield* Llm.generate(yield* get(root, "openai", wanted), { prompt: "x" })
    expect(asked.map((one) => one.model)).toEqual(["gpt-4o-mini", "gpt-4o-mini", "gpt-4o"])
    const first = rootOf({ openai: provider({ models: { fast: model("gpt-4o-mini"), smart: model("gpt-4o") } }) })
    expect((yield* get(first, "openai")).id).toBe("openai-fast")
  }).pipe(Effect.provide(layer))
})

it.effect(
  "a model that its file does not name fails with the nearest that it does; a file without models takes any",
  () =>
    Effect.gen(function* () {
      const openai = provider({ models: { fast: model("gpt-4o-mini") } })
      const error = yield* failing(rootOf({ openai }), "openai", "gpt-4o-mni")
      expect(error.reason).toMatchObject({ _tag: "UnknownTarget", kind: "model", known: ["fast", "gpt-4o-mini"] })
      expect(error.message).toContain('has no model "gpt-4o-mni"; did you mean "gpt-4o-mini"?')
      const { asked, layer } = recording()
      yield* Effect.gen(function* () {
        yield* Llm.generate(yield* get(rootOf({ openai: provider({}) }), "openai", "anything"), { prompt: "x" })
        expect(asked.map((one) => one.model)).toEqual(["anything"])
      }).pipe(Effect.provide(layer))
    })
)

it.effect("uses the instance that the plan has", () => {
  const { layer } = recording()
  const openai = provider({ models: { fast: model("m") } })
  const planned: Plan.Instance = {
    ...instanceOf("openai"),
    name: "openai-fast@second",
    provider: openai,
    alias: "fast",
    model: model("m"),
    credential: { name: "second", key: Redacted.make("k2"), weight: 1 }
  }
  return Effect.gen(function* () {
    expect((yield* get(rootOf({ openai }, { instances: { a: planned } }), "openai", "fast")).id).toBe(
      "openai-fast@second"
    )
  }).pipe(Effect.provide(layer))
})

it.effect("knows a provider without a file by its kind and the environment", () => {
  const { asked, layer } = recording()
  return Effect.gen(function* () {
    yield* Llm.generate(yield* get(rootOf({}), "groq", "llama"), { prompt: "x" })
    yield* Llm.generate(yield* get(rootOf({}), "ollama", "llama"), { prompt: "x" })
    expect(asked).toEqual([
      { url: "https://api.groq.com/openai/v1/chat/completions", model: "llama", authorization: "Bearer from-env" },
      { url: "http://localhost:11434/v1/chat/completions", model: "llama", authorization: undefined }
    ])
  }).pipe(Effect.provide(layer), Effect.provide(environment({ GROQ_API_KEY: "from-env" })))
})

it.effect("says what is unknown and what is near", () =>
  Effect.gen(function* () {
    const error = yield* failing(rootOf({ mine: provider({ name: "mine" }) }), "opnai", "x")
    expect(error.reason).toMatchObject({ _tag: "UnknownTarget", kind: "provider", name: "opnai" })
    expect(error.reason._tag === "UnknownTarget" && error.reason.known.includes("mine")).toBe(true)
    expect(error.detail).toContain('did you mean "openai"')
    for (const name of ["toString", "__proto__", "azure-openai"])
      expect((yield* failing(rootOf({}), name, "x")).reason._tag).toBe("UnknownTarget")
    expect((yield* failing(rootOf({ openai: provider({ models: {} }) }), "openai")).reason._tag).toBe("UnknownTarget")
  })
)

it.effect("names the variable to set", () =>
  Effect.gen(function* () {
    const unset = yield* failing(rootOf({}), "openai", "x")
    expect([unset.reason._tag, unset.detail]).toEqual(["Authentication", "no key is set; set OPENAI_API_KEY"])
    const openai = provider({ models: { fast: model("m") }, credentials: [{ name: "", key: undefined, weight: 1 }] })
    const disabled = yield* failing(rootOf({ openai }, { disabled: { "openai-fast": "MY_KEY" } }), "openai", "fast")
    expect([disabled.reason._tag, disabled.detail]).toEqual(["Authentication", "no key is set; set MY_KEY"])
  })
)

it.effect("keeps clients, and makes them anew when the provider was read again", () => {
  const { layer } = recording()
  const root = (connectTimeout = 5_000) =>
    rootOf({ openai: provider({ connectTimeout, models: { fast: model("m") } }) })
  return Effect.gen(function* () {
    const one = root()
    const first = yield* get(one, "openai", "fast")
    expect(yield* get(one, "openai", "fast")).toBe(first)
    expect(yield* get(one, "openai", "m")).toBe(first)
    expect(yield* get(root(), "openai", "fast")).toBe(first)
    expect(yield* get(root(7_000), "openai", "fast")).not.toBe(first)
    const any = rootOf({ openai: provider({}) })
    const many = yield* get(any, "openai", "model-0")
    expect(yield* get(any, "openai", "model-0")).toBe(many)
    for (let i = 0; i < ClientFactory.capacity + 1; i++) yield* get(any, "openai", `other-${i}`)
    expect(yield* get(any, "openai", "model-0")).not.toBe(many)
  }).pipe(Effect.provide(layer))
})

it.effect("shares connections among the clients of a provider, over undici", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => json(response, 200, reply))
    const openai = provider({ baseUrl: server.url, models: { a: model("a"), b: model("b") } })
    const root = rootOf({ openai })
    yield* Effect.gen(function* () {
      for (const alias of ["a", "b", "a", "b", "a", "b"])
        yield* Llm.generate(yield* get(root, "openai", alias), { prompt: "x" })
    }).pipe(Effect.provide(Providers.layer))
    // A socket rests for one turn of the event loop before it is used again.
    expect(server.seen.length).toBe(6)
    expect(server.connections()).toBeLessThanOrEqual(2)
  })
)

it.effect("makes room without breaking a call off", () =>
  Effect.gen(function* () {
    const held: Array<() => void> = []
    const server = yield* serve((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" })
      response.write(`data: ${JSON.stringify({ id: "r", choices: [{ index: 0, delta: { content: "a" } }] })}\n\n`)
      held.push(() =>
        response.end(
          `data: ${JSON.stringify({ id: "r", choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}\n\n`
        )
      )
    })
    const openai = provider({ baseUrl: server.url, keepAlive: 1, models: { a: model("a") } })
    yield* Effect.gen(function* () {
      const llm = yield* get(rootOf({ openai }), "openai", "a")
      const evict = Effect.gen(function* () {
        const other = provider({ baseUrl: server.url, name: "other" })
        for (let i = 0; i < ClientFactory.capacity; i++) yield* get(rootOf({ openai: other }), "openai", `m-${i}`)
        // The pool that nobody holds is closed after its keep-alive.
        yield* TestClock.adjust("10 millis")
        for (const release of held) release()
      })
      const parts = yield* Stream.runCollect(
        Stream.tap(Llm.stream(llm, { prompt: "x" }), (part) => (part.type === "text-delta" ? evict : Effect.void))
      )
      expect(parts.at(-1)?.type).toBe("finish")
    }).pipe(Effect.provide(Providers.layer))
  })
)

it.effect("the factory of the core builds instances", () =>
  Effect.gen(function* () {
    const factory = yield* InstanceFactory.InstanceFactory
    const { llm } = yield* factory.make(instanceOf("openai", {}, { key: "k" }))
    expect(llm.id).toBe("openai-model")
    expect((yield* Effect.flip(factory.make(instanceOf("openai")))).reason._tag).toBe("Authentication")
  }).pipe(Effect.provide(ProviderInstances.layer), Effect.provide(Transport.layer))
)
