import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { Interpreter, type LlmRequest, Orchestrator, type Plan, Plans } from "@echelon/core"
import * as Tracing from "@echelon/core/Tracing"
import * as TracingExport from "@echelon/echelon/TracingExport"
import { Providers } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Logger, Redacted, Scope, Stream, Tracer } from "effect"
import { TestClock } from "effect/testing"
import * as Collector from "./support/Collector.ts"

const secret = "sk-planted-secret"
const prompt = "planted-prompt"

/** A provider of loopback, and the `traceparent` of each request. */
interface Provider {
  readonly url: string
  readonly seen: Array<string | undefined>
  /** Waits for the first request. */
  readonly asked: Effect.Effect<void>
  /** Answers in this order, then well; `hold` begins a stream and leaves it open. */
  readonly answers: Array<number | "hold">
}

const whole = JSON.stringify({
  id: "chatcmpl-1",
  model: "gpt-4-0613",
  choices: [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }],
  usage: {
    prompt_tokens: 10,
    completion_tokens: 2,
    prompt_tokens_details: { cached_tokens: 4 },
    completion_tokens_details: { reasoning_tokens: 1 }
  }
})
const piece = `data: ${JSON.stringify({ id: "chatcmpl-1", model: "gpt-4-0613", choices: [{ index: 0, delta: { content: "hel" } }] })}\n\n`

const provider: Effect.Effect<Provider, never, Scope.Scope> = Effect.gen(function* () {
  const seen: Provider["seen"] = []
  const answers: Provider["answers"] = []
  const asked = yield* Deferred.make<void>()
  const server = Http.createServer((request, response) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      seen.push(request.headers["traceparent"] as string | undefined)
      Deferred.doneUnsafe(asked, Effect.void)
      const answer = answers.shift() ?? 200
      if (answer === "hold") {
        response.writeHead(200, { "content-type": "text/event-stream" }).write(piece)
        return
      }
      // A provider that quotes whatever it was sent.
      const quoted = JSON.stringify({ error: { message: `${Buffer.concat(chunks)} ${request.headers.authorization}` } })
      response.writeHead(answer, { "content-type": "application/json" }).end(answer === 200 ? whole : quoted)
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    answers,
    asked: Deferred.await(asked)
  }
})

const otlp = (
  url: string,
  more: Partial<NonNullable<Plan.Tracing["otlp"]>> = {}
): NonNullable<Plan.Tracing["otlp"]> => ({
  endpoint: url,
  interval: 3_600_000,
  headers: { authorization: Redacted.make(secret) },
  encoding: "json",
  ...more
})

const planOf = (
  providers: Readonly<Record<"a" | "b", Provider>>,
  tracing: Partial<Plan.Tracing>,
  more: Partial<Plan.Provider> = {}
): Plan.Root => {
  const instances = Object.entries(providers).map(([name, { url }]) =>
    Plans.instance({
      provider: Plans.provider({
        name,
        kind: "openai-compatible",
        baseUrl: `${url}/v1`,
        key: Redacted.make(secret),
        headers: { "x-more": Redacted.make(secret) },
        query: { token: Redacted.make(secret) },
        traceContext: name === "b",
        ...more
      }),
      alias: "m",
      model: Plans.model({ model: "gpt-4", prices: { input: 1, output: 1 } })
    })
  )
  const echelons = ["a-m", "b-m"].map((name, i) => Plans.echelon("chat", i + 1, [name], { maxRetries: 0 }))
  return {
    ...Plans.root({
      instances,
      groups: [Plans.group("chat", echelons)],
      pools: [Plans.pool("pool", ["chat"], { rotation: "priority" })]
    }),
    shutdownGrace: 5_000,
    tracing: Plans.tracing(tracing)
  }
}

/** As the facade wires it. */
const layerOf = (plan: Plan.Root) =>
  Layer.mergeAll(Orchestrator.layer, Tracing.layer, TracingExport.TracingExport.layerFollowing).pipe(
    Layer.provideMerge(Interpreter.Interpreter.layer(plan)),
    Layer.provide(Providers.layer),
    Layer.provideMerge(TracingExport.TracingExport.layer)
  )

const input = (metadata: LlmRequest.Metadata = { poolName: "pool" }): LlmRequest.Input => ({
  prompt: [
    { role: "system", content: `${prompt} ${secret}` },
    { role: "user", content: `${prompt} ${secret}` }
  ],
  tools: [{ name: "f", description: `${prompt} ${secret}`, parameters: { type: "object", description: prompt } }],
  settings: { temperature: 0.5, stop: [prompt] },
  metadata: { sessionId: `${prompt} ${secret}`, tags: [prompt], ...metadata }
})
const ask = Orchestrator.generate(input())

it.live("a collector is told of a request, its attempts and its route; only who may be told knows the trace", () =>
  Effect.gen(function* () {
    const collector = yield* Collector.make
    const providers = { a: yield* provider, b: yield* provider }
    providers.a.answers.push(429)
    const outside = Tracer.externalSpan({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" })
    yield* Effect.provide(
      Effect.withParentSpan(ask, outside),
      layerOf(planOf(providers, { otlp: otlp(collector.url) }))
    )
    expect(collector.posts.map(({ headers, path }) => [path, headers.authorization])).toEqual([["/v1/traces", secret]])
    expect(collector.resource()).toMatchObject({ "service.name": "echelon" })
    // A span is sent when it has ended: the request's is the last.
    const [first, second, request] = collector.spans()
    expect([first, second, request].map((span) => span?.traceId)).toEqual(Array(3).fill(outside.traceId))
    expect(request).toMatchObject({ name: "chat pool", kind: 1, parentSpanId: outside.spanId, status: { code: 0 } })
    expect(first).toMatchObject({
      name: "chat gpt-4",
      kind: 3,
      parentSpanId: request?.spanId,
      status: { code: 2, message: "RateLimited" }
    })
    expect(first?.attributes).toMatchObject({ "error.type": "RateLimited", "echelon.instance": "a-m" })
    expect(second?.parentSpanId).toBe(request?.spanId)
    expect(second?.attributes).toEqual({
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "openai-compatible",
      "gen_ai.request.model": "gpt-4",
      "gen_ai.request.temperature": 0.5,
      "gen_ai.response.finish_reasons": ["stop"],
      "gen_ai.response.id": "chatcmpl-1",
      "gen_ai.response.model": "gpt-4-0613",
      "gen_ai.usage.input_tokens": 10,
      "gen_ai.usage.output_tokens": 2,
      "gen_ai.usage.cache_read.input_tokens": 4,
      "gen_ai.usage.reasoning.output_tokens": 1,
      "server.address": "127.0.0.1",
      "server.port": Number(new URL(providers.b.url).port),
      "echelon.provider": "b",
      "echelon.instance": "b-m",
      "echelon.echelon": "chat.echelon2",
      "echelon.kind": "call",
      "echelon.outcome": "completed",
      "echelon.usage.source": "reported",
      "echelon.cost": 0.000_012
    })
    expect(request?.events.map(({ name }) => name)).toEqual(["echelon.cooldown", "echelon.failover"])
    expect(request?.attributes["echelon.cost"]).toBe(0.000_012)
    expect(Object.keys(request?.attributes ?? {}).filter((key) => key.startsWith("gen_ai.usage"))).toEqual([])
    expect(first !== undefined && first.end > first.start).toBe(true)
    expect(providers.a.seen).toEqual([undefined])
    expect(providers.b.seen).toEqual([`00-${outside.traceId}-${second?.spanId}-01`])
  }).pipe(Effect.scoped)
)

it.live("no secret and no prompt is exported, in either encoding, whatever fails", () =>
  Effect.gen(function* () {
    for (const encoding of ["json", "protobuf"] as const) {
      const collector = yield* Collector.make
      const providers = { a: yield* provider, b: yield* provider }
      providers.a.answers.push(400, 500, 401, "hold")
      providers.b.answers.push(500, 422)
      yield* Effect.provide(
        Effect.gen(function* () {
          for (let i = 0; i < 3; i++) yield* Effect.exit(ask)
          yield* Effect.exit(Orchestrator.generate(input({ poolName: `${prompt}${secret}` })))
          yield* Orchestrator.stream(input({ groupName: "chat" })).pipe(Stream.take(1), Stream.runDrain)
          yield* Effect.exit(Orchestrator.embed({ input: [`${prompt} ${secret}`], metadata: { poolName: "pool" } }))
        }),
        layerOf(planOf(providers, { otlp: otlp(collector.url, { encoding }) }))
      )
      expect(collector.posts.length).toBe(1)
      const [post] = collector.posts
      expect(post?.headers["content-type"]).toBe(encoding === "json" ? "application/json" : "application/x-protobuf")
      const text = String(post?.body)
      for (const expected of ["chat gpt-4", "embeddings gpt-4", "InvalidRequest", "UnknownTarget"])
        expect(text).toContain(expected)
      for (const planted of [secret, prompt]) {
        expect(text).not.toContain(planted)
        expect(text).not.toContain(Buffer.from(planted).toString("base64").slice(0, -4))
      }
    }
  }).pipe(Effect.scoped)
)

it.live("content is exported only where that was asked for", () =>
  Effect.gen(function* () {
    const collector = yield* Collector.make
    const providers = { a: yield* provider, b: yield* provider }
    yield* Effect.provide(ask, layerOf(planOf(providers, { content: true, otlp: otlp(collector.url) })))
    const [attempt, request] = collector.spans()
    expect(String(attempt?.attributes["gen_ai.input.messages"])).toContain(prompt)
    expect(String(attempt?.attributes["gen_ai.output.messages"])).toContain("hello")
    expect(JSON.stringify(request?.attributes)).not.toContain(prompt)
  }).pipe(Effect.scoped)
)

it.live("what runs when the program ends is sent before it has ended, and so is a stream that is left", () =>
  Effect.gen(function* () {
    const collector = yield* Collector.make
    const providers = { a: yield* provider, b: yield* provider }
    providers.a.answers.push("hold")
    const scope = yield* Scope.make()
    const context = yield* Layer.buildWithScope(
      layerOf({ ...planOf(providers, { otlp: otlp(collector.url) }), shutdownGrace: 50 }),
      scope
    )
    const stream = Stream.runDrain(Orchestrator.stream(input({ groupName: "chat" })))
    const fiber = yield* Effect.forkScoped(Effect.provideContext(Effect.exit(stream), context))
    yield* providers.a.asked
    yield* Scope.close(scope, Exit.void)
    yield* Fiber.join(fiber)
    const ends = collector.spans().map(({ attributes, name }) => [name, attributes["echelon.outcome"]])
    expect(ends).toEqual([
      ["chat gpt-4", "failed"],
      ["chat chat", "failed"]
    ])
  }).pipe(Effect.scoped)
)

it.live("a change of the plan takes the spans elsewhere, or nowhere", () =>
  Effect.gen(function* () {
    const [one, two] = [yield* Collector.make, yield* Collector.make]
    const providers = { a: yield* provider, b: yield* provider }
    yield* Effect.provide(
      Effect.gen(function* () {
        const { swap } = yield* Interpreter.Interpreter
        const { flush, stats } = yield* TracingExport.TracingExport
        yield* ask
        yield* flush
        yield* swap(planOf(providers, { otlp: otlp(`${two.url}/v1/traces`) }))
        yield* ask
        yield* flush
        yield* swap(planOf(providers, {}))
        yield* ask
        yield* flush
        expect(yield* stats).toEqual({ queued: 0, exported: 4, lost: 0 })
      }),
      layerOf(planOf(providers, { otlp: otlp(one.url) }))
    )
    expect([one.spans().length, two.spans().length]).toEqual([2, 2])
    expect(two.posts[0]?.path).toBe("/v1/traces")
  }).pipe(Effect.scoped)
)

it.live("ids that a caller made up are no parent, and spoil no batch", () =>
  Effect.gen(function* () {
    const collector = yield* Collector.make
    const providers = { a: yield* provider, b: yield* provider }
    const forged = Tracer.externalSpan({ traceId: "x\r\nauthorization: y", spanId: "planted" })
    yield* Effect.provide(Effect.withParentSpan(ask, forged), layerOf(planOf(providers, { otlp: otlp(collector.url) })))
    const [attempt, request] = collector.spans()
    expect([request?.parentSpanId, attempt?.parentSpanId]).toEqual([undefined, request?.spanId])
    expect(request?.traceId).toMatch(/^[0-9a-f]{32}$/)
  }).pipe(Effect.scoped)
)

it.effect("a batch is bounded by what it holds, too", () =>
  Effect.gen(function* () {
    const collector = yield* Collector.make
    yield* Effect.provide(
      Effect.gen(function* () {
        const { flush, tracer } = yield* exporter(collector.url)
        const long = { long: "x".repeat(400_000) }
        const one = Effect.withSpan(Effect.void, "one", { attributes: long })
        yield* Effect.withTracer(Effect.repeat(one, { times: 4 }), tracer)
        yield* flush
        expect(collector.posts.map(({ body }) => Math.round(body.length / 400_000))).toEqual([2, 2, 1])
      }),
      TracingExport.TracingExport.layer
    )
  }).pipe(Effect.scoped)
)

const logged = () => {
  const lines: Array<string> = []
  const layer = Logger.layer([
    Logger.make(({ logLevel, message }) => {
      lines.push(`${logLevel} ${String(message)}`)
    })
  ])
  return { layer, lines }
}

/** An exporter alone, over the test's clock. */
const exporter = (url: string, interval = 1_000) =>
  Effect.gen(function* () {
    const service = yield* TracingExport.TracingExport
    const target = yield* Tracing.Target
    service.configure(otlp(url, { interval }))
    const tracer = target() ?? Tracer.nativeTracer
    const end = (count: number) =>
      Effect.withTracer(Effect.repeat(Effect.withSpan(Effect.void, "one"), { times: count - 1 }), tracer)
    return { ...service, end, tracer }
  })

it.effect("a collector that refuses is asked again, then its batch is lost and counted, and told once", () => {
  const { layer, lines } = logged()
  return Effect.gen(function* () {
    const collector = yield* Collector.make
    yield* Effect.provide(
      Effect.gen(function* () {
        const { end, flush, onLost, stats } = yield* exporter(collector.url)
        let heard = 0
        onLost((spans) => {
          heard += spans
        })
        collector.answers.push(503)
        yield* end(3)
        const again = yield* Effect.forkChild(flush, { startImmediately: true })
        yield* collector.until(() => collector.posts.length === 1)
        while (collector.posts.length < 2) yield* Effect.andThen(TestClock.adjust("100 millis"), yieldMacro)
        yield* Fiber.join(again)
        expect(yield* stats).toEqual({ queued: 0, exported: 3, lost: 0 })
        collector.answers.push(400, 401)
        yield* end(2)
        yield* flush
        yield* end(2)
        yield* flush
        expect(yield* stats).toEqual({ queued: 0, exported: 3, lost: 4 })
        yield* end(1)
        yield* flush
        expect([yield* stats, heard]).toEqual([{ queued: 0, exported: 4, lost: 4 }, 4])
      }),
      TracingExport.TracingExport.layer
    )
    expect(lines).toEqual([
      `Warn spans cannot be sent to ${collector.url}: status 400; 2 were lost so far`,
      `Info spans are sent to ${collector.url} again`,
      "Warn 4 spans were lost in all"
    ])
    expect(lines.join()).not.toContain(secret)
  }).pipe(Effect.scoped, Effect.provide(layer))
})

/** Lets sockets have their turn. */
const yieldMacro = Effect.callback<void>((resume) => void setImmediate(() => resume(Effect.void)))

it.effect("spans go when the interval is over, or a batch is full", () =>
  Effect.gen(function* () {
    const collector = yield* Collector.make
    yield* Effect.provide(
      Effect.gen(function* () {
        const { end } = yield* exporter(collector.url)
        yield* yieldMacro
        yield* end(2)
        yield* TestClock.adjust("999 millis")
        yield* yieldMacro
        expect(collector.posts.length).toBe(0)
        yield* TestClock.adjust("1 millis")
        yield* collector.until(() => collector.spans().length === 2)
        yield* yieldMacro
        yield* end(256)
        yield* collector.until(() => collector.spans().length === 258)
      }),
      TracingExport.TracingExport.layer
    )
  }).pipe(Effect.scoped)
)

it.effect(
  "a collector that stalls fills a queue that is bounded, and holds the end up for three seconds at most",
  () => {
    const { layer, lines } = logged()
    return Effect.gen(function* () {
      const collector = yield* Collector.make
      collector.answers.push(
        ..."stall "
          .repeat(9)
          .trim()
          .split(" ")
          .map(() => "stall" as const)
      )
      const scope = yield* Scope.make()
      const { end, stats } = yield* Effect.provideContext(
        exporter(collector.url),
        yield* Layer.buildWithScope(TracingExport.TracingExport.layer, scope)
      )
      yield* end(256)
      yield* collector.until(() => collector.posts.length === 1)
      yield* end(20_000)
      const { lost, queued } = yield* stats
      expect([queued, lost]).toEqual([16_000 - 256, 20_256 - 16_000])
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* TestClock.adjust("3 seconds")
      yield* Fiber.join(closing)
      expect(yield* stats).toEqual({ queued: 0, exported: 0, lost: 20_256 })
      expect(lines.at(-1)).toBe("Warn 20256 spans were lost in all")
    }).pipe(Effect.scoped, Effect.provide(layer))
  }
)
