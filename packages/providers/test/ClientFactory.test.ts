import { Clients, InstanceFactory, Llm, type LlmError, type Plan, Plans, Pool } from "@echelon/core"
import { ClientFactory, ProviderInstances, Providers, Transport } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { ConfigProvider, Effect, Fiber, Layer, Redacted, Result, Stream } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { TestClock } from "effect/testing"
import { instanceOf, json, serve } from "./Support.ts"

const model = (name: string): Plan.Model => ({ ...instanceOf("openai").model, model: name })

const provider = (options: Partial<Plan.Provider>): Plan.Provider =>
  Plans.provider({ name: "openai", kind: "openai", key: Redacted.make("k"), ...options })

const rootOf = (providers: Record<string, Plan.Provider>, more: Partial<Plan.Root> = {}): Plan.Root => ({
  ...Plans.root({}),
  providers,
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
    expect((yield* failing(rootOf({}), "bedrock", "x")).detail).toBe(
      'the kind "bedrock" needs a file: its address is made of a region'
    )
    expect((yield* failing(rootOf({}), "azure-openai", "x")).detail).toBe(
      'the kind "azure-openai" needs a file: it has no address of its own'
    )
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

const factoryOf = (options: ClientFactory.Options = {}) => {
  const asked: Array<{ readonly method: string; readonly path: string }> = []
  const client = HttpClient.make((request, url) =>
    Effect.sync(() => {
      asked.push({ method: request.method, path: url.pathname })
      const isDown = url.host === "down.test"
      return HttpClientResponse.fromWeb(request, Response.json(isDown ? {} : reply, { status: isDown ? 503 : 200 }))
    })
  )
  return { asked, layer: ClientFactory.layerWith(options).pipe(Layer.provide(Transport.layerFrom(client))) }
}

const keys = environment({ OPENAI_API_KEY: "k", ANTHROPIC_API_KEY: "k" })

it.effect("a model alone picks its provider", () => {
  const { layer } = factoryOf()
  return Effect.gen(function* () {
    const factory = yield* ClientFactory.ClientFactory
    const root = rootOf({ mine: provider({ name: "mine", models: { fast: model("gpt-4o-mini") } }) })
    const found = yield* Effect.forEach(["fast", "mine/fast", "gpt-4o-mini", "o3", "claude-haiku-4-5"], (name) =>
      factory.createForModel(root, name)
    )
    expect(found.map((client) => `${client.llm.id} ${client.model}`)).toEqual([
      "mine-fast gpt-4o-mini",
      "mine-fast gpt-4o-mini",
      "mine-fast gpt-4o-mini",
      "openai-o3 o3",
      "anthropic-claude-haiku-4-5 claude-haiku-4-5"
    ])
    const error = yield* Effect.flip(factory.createForModel(root, "gtp-4o"))
    expect(error.reason).toMatchObject({ _tag: "UnknownTarget", kind: "model", name: "gtp-4o" })
    expect(error.detail).toContain('did you mean "gpt-4o"')
    const ambiguous = yield* Effect.flip(factory.createForModel(root, "llama-3.3-70b"))
    expect(ambiguous.detail).toContain('ask for one of "groq/llama-3.3-70b"')
    const keyless = yield* Effect.flip(factory.createForModel(root, "grok-4"))
    expect([keyless.reason._tag, keyless.detail]).toEqual(["Authentication", "no key is set; set XAI_API_KEY"])
  }).pipe(Effect.provide(layer), Effect.provide(keys))
})

it.effect("many at once: each has its own result, and wrappers answer and check", () => {
  const { asked, layer } = factoryOf()
  return Effect.gen(function* () {
    const factory = yield* ClientFactory.ClientFactory
    const root = rootOf({})
    const made = yield* factory.createMany(root, [
      { model: "gpt-4o" },
      { provider: "opnai", model: "gpt-4o" },
      {},
      { provider: "openai", model: "gpt-4o", instanceId: "second" }
    ])
    expect(
      made.map(({ result }) => (Result.isSuccess(result) ? result.success.llm.id : result.failure.reason._tag))
    ).toEqual(["openai-gpt-4o", "UnknownTarget", "InvalidRequest", "second"])
    const [first, failed] = yield* factory.createWrappers(root, [{ model: "gpt-4o", instanceId: "w" }, { model: "?" }])
    expect(failed !== undefined && Result.isFailure(failed.result)).toBe(true)
    const wrapper = yield* factory.createWrapper(root, { model: "gpt-4o", instanceId: "w" })
    if (first !== undefined && Result.isSuccess(first.result))
      expect(first.result.success.client.llm).toBe(wrapper.client.llm)
    const answer = yield* wrapper.generate({ prompt: "x" })
    expect([answer.text, answer.instance, wrapper.id]).toEqual(["hello", "w", "w"])
    // It is an Llm: it joins a pool as it is.
    const pool = yield* Pool.make([wrapper], { id: "pool" })
    expect((yield* Llm.generate(pool, { prompt: "x" })).text).toBe("hello")
    yield* TestClock.setTime(5_000)
    expect(yield* wrapper.healthCheck).toEqual({
      status: "healthy",
      message: "answers",
      lastChecked: 5_000,
      latency: 0
    })
    expect(asked.at(-1)).toEqual({ method: "GET", path: "/v1/models" })
  }).pipe(Effect.provide(layer), Effect.provide(keys))
})

it.effect("checks as the provider allows: a list of models, a few tokens, or not at all", () => {
  const { asked, layer } = factoryOf()
  return Effect.gen(function* () {
    const factory = yield* ClientFactory.ClientFactory
    const root = rootOf({
      listing: provider({ name: "listing" }),
      pinged: provider({ name: "pinged", healthCheck: "ping" }),
      // Below a deployment there is no list of models.
      azure: provider({
        name: "azure",
        kind: "azure-openai",
        baseUrl: "https://azure.test/openai/deployments/gpt-4o"
      }),
      never: provider({ name: "never", healthCheck: "none" }),
      down: provider({ name: "down", baseUrl: "https://down.test/v1" })
    })
    const clients = yield* Effect.forEach(["listing", "pinged", "azure", "never", "down"], (name) =>
      factory.create(root, name, "gpt-4o")
    )
    const found = yield* factory.healthCheck(clients)
    expect(Object.entries(found).map(([id, { status }]) => `${id} ${status}`)).toEqual([
      "listing-gpt-4o healthy",
      "pinged-gpt-4o healthy",
      "azure-gpt-4o healthy",
      "never-gpt-4o skipped",
      "down-gpt-4o unhealthy"
    ])
    expect(found["down-gpt-4o"]?.message).toContain("overloaded")
    expect(found["never-gpt-4o"]?.message).toBe("not checked: the provider's health_check is none")
    expect(asked.map(({ method, path }) => `${method} ${path}`)).toEqual([
      "GET /v1/models",
      "POST /v1/chat/completions",
      "POST /openai/deployments/gpt-4o/chat/completions",
      "GET /v1/models"
    ])
  }).pipe(Effect.provide(layer))
})

it.effect("over its budget nobody is asked, and the status says so", () => {
  const { asked, layer } = factoryOf({ health: { usdPerHour: 0.002, requestsPerHour: 4 } })
  return Effect.gen(function* () {
    const factory = yield* ClientFactory.ClientFactory
    const prices = { input: 20, output: 40 } // 0.00096 USD a check
    const paid = provider({ name: "paid", healthCheck: "ping", models: { m: { ...model("m"), prices } } })
    const client = yield* factory.create(rootOf({ paid, free: provider({ name: "free" }) }), "paid")
    const free = yield* factory.create(rootOf({ free: provider({ name: "free" }) }), "free", "x")
    const statuses = [yield* client.healthCheck, yield* client.healthCheck, yield* client.healthCheck]
    expect(statuses.map(({ status }) => status)).toEqual(["healthy", "healthy", "skipped"])
    expect(statuses[2]).toEqual({
      status: "skipped",
      message:
        "not checked: the 0.002 USD an hour for health checks are used up for 3600 s; the last check found it healthy",
      lastChecked: 0,
      latency: undefined
    })
    // What costs nothing goes on until the requests are used up.
    const more = [yield* free.healthCheck, yield* free.healthCheck, yield* free.healthCheck]
    expect(more.map(({ status }) => status)).toEqual(["healthy", "healthy", "skipped"])
    expect(more[2]?.message).toContain("the 4 requests an hour for health checks are used up")
    expect(asked.length).toBe(4)
    yield* TestClock.adjust("1 hour")
    expect((yield* client.healthCheck).status).toBe("healthy")
  }).pipe(Effect.provide(layer))
})

it.effect("a check that hangs has failed", () => {
  const client = HttpClient.make(() => Effect.never)
  const layer = ClientFactory.layerWith({ patience: "3 seconds" }).pipe(Layer.provide(Transport.layerFrom(client)))
  return Effect.gen(function* () {
    const factory = yield* ClientFactory.ClientFactory
    const fiber = yield* Effect.forkChild(
      Effect.flatMap(factory.create(rootOf({ openai: provider({}) }), "openai", "x"), (one) => one.healthCheck)
    )
    yield* TestClock.adjust("3 seconds")
    expect(yield* Fiber.join(fiber)).toMatchObject({ status: "unhealthy", message: "no answer within 3s" })
  }).pipe(Effect.provide(layer))
})

it("refuses limits that are none", () => {
  expect(() => ClientFactory.layerWith({ health: { usdPerHour: Number.NaN } })).toThrow(
    "ClientFactory.layerWith: usdPerHour must be 0 or above, got NaN"
  )
})
