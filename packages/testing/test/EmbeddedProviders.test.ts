import { request } from "node:http"
import { connect } from "node:net"
import { EmbeddedProviders, type FaultFront } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Clock, Effect, Exit, Fiber, Scope } from "effect"

const text = "This is m, embedded in the process. It gives every prompt these same words, part by part."

interface Ask {
  readonly stream?: boolean
  readonly model?: string
}

const protocols = ["openai", "anthropic"] as const

const post = (
  providers: EmbeddedProviders.Shape,
  protocol: EmbeddedProviders.Provider,
  { model = "m", stream = false }: Ask = {}
) =>
  Effect.tryPromise((signal) =>
    fetch(protocol === "openai" ? `${providers.openaiUrl}/chat/completions` : `${providers.anthropicUrl}/messages`, {
      method: "POST",
      signal,
      headers: { "content-type": "application/json", authorization: "Bearer none", "x-api-key": "none" },
      body: JSON.stringify({
        model,
        stream,
        max_tokens: 100,
        ...(protocol === "openai" && stream ? { stream_options: { include_usage: true } } : {}),
        messages: [{ role: "user", content: "hi" }]
      })
    })
  )

const body = (response: Response) => Effect.tryPromise(() => response.text())

const ask = (providers: EmbeddedProviders.Shape, protocol: EmbeddedProviders.Provider, options?: Ask) =>
  Effect.flatMap(post(providers, protocol, options), body)

/** Reads until the connection breaks; what came before, and whether it broke. */
const readBroken = (response: Response) =>
  Effect.promise(async () => {
    const decoder = new TextDecoder()
    let received = ""
    try {
      for await (const chunk of response.body ?? []) received += decoder.decode(chunk, { stream: true })
      return { received, isBroken: false }
    } catch {
      return { received, isBroken: true }
    }
  })

const events = (sse: string): ReadonlyArray<unknown> =>
  [...sse.matchAll(/^data: (\{.*)$/gm)].map((found): unknown => JSON.parse(found[1] ?? ""))

const joined = (sse: string): string =>
  events(sse)
    .map((event) => {
      const { choices, delta } = event as {
        choices?: ReadonlyArray<{ delta: { content?: string } }>
        delta?: { text?: string }
      }
      return choices?.[0]?.delta.content ?? delta?.text ?? ""
    })
    .join("")

it.live("answers OpenAI's format, buffered and streamed, with usage", () =>
  Effect.gen(function* () {
    const providers = yield* EmbeddedProviders.make
    const whole = JSON.parse(yield* ask(providers, "openai"))
    expect(whole.choices[0].message.content).toBe(text)
    expect(whole.usage).toMatchObject({ completion_tokens: Math.ceil(text.length / 4) })
    expect(whole.usage.prompt_tokens).toBeGreaterThan(0)
    const sse = yield* ask(providers, "openai", { stream: true })
    expect(joined(sse)).toBe(text)
    expect(events(sse).at(-1)).toMatchObject({ usage: whole.usage })
    expect(sse.trimEnd().endsWith("data: [DONE]")).toBe(true)
  })
)

it.live("answers Anthropic's format, buffered and streamed, with usage", () =>
  Effect.gen(function* () {
    const providers = yield* EmbeddedProviders.make
    const whole = JSON.parse(yield* ask(providers, "anthropic"))
    expect(whole.content).toEqual([{ type: "text", text }])
    expect(whole.usage.output_tokens).toBe(Math.ceil(text.length / 4))
    expect(whole.usage.input_tokens).toBeGreaterThan(0)
    const sse = yield* ask(providers, "anthropic", { stream: true })
    expect(joined(sse)).toBe(text)
    expect(events(sse).at(-1)).toEqual({ type: "message_stop" })
    expect(events(sse).at(-2)).toMatchObject({ usage: { output_tokens: whole.usage.output_tokens } })
  })
)

it.live("answers embeddings", () =>
  Effect.gen(function* () {
    const providers = yield* EmbeddedProviders.make
    const response = yield* Effect.tryPromise(() =>
      fetch(`${providers.openaiUrl}/embeddings`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ model: "e", input: ["a", "b"] })
      })
    )
    const { data } = JSON.parse(yield* body(response))
    expect(data.map((row: { index: number; embedding: unknown }) => row)).toHaveLength(2)
    expect(data[1].embedding).toEqual([0.25, 0.5, 0.75, 1])
  })
)

it.live("gives the variables of its addresses, which end in /v1", () =>
  Effect.gen(function* () {
    const { anthropicUrl, openaiUrl, variables } = yield* EmbeddedProviders.EmbeddedProviders
    expect(variables).toEqual({
      ECHELON_EMBEDDED_OPENAI_URL: openaiUrl,
      ECHELON_EMBEDDED_ANTHROPIC_URL: anthropicUrl
    })
    for (const url of [openaiUrl, anthropicUrl]) expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+\/v1$/)
  }).pipe(Effect.provide(EmbeddedProviders.layer))
)

it.live("answers with a text of the program's own", () =>
  Effect.gen(function* () {
    const providers = yield* EmbeddedProviders.makeWith({ text: (model) => `I am ${model}`, chunkSize: 1 })
    expect(joined(yield* ask(providers, "openai", { stream: true, model: "x" }))).toBe("I am x")
  })
)

for (const protocol of protocols) {
  it.live(`${protocol}: Status answers with the status, Retry-After and the protocol's error shape`, () =>
    Effect.gen(function* () {
      const providers = yield* EmbeddedProviders.make
      yield* providers.setFault(protocol, { _tag: "Status", status: 429, retryAfter: "1500 millis" })
      const response = yield* post(providers, protocol)
      expect([response.status, response.headers.get("retry-after")]).toEqual([429, "2"])
      const answer = JSON.parse(yield* body(response))
      expect(answer.error.message).toBe("told to answer with 429")
      expect(answer.type).toBe(protocol === "anthropic" ? "error" : undefined)
      yield* providers.setFault(protocol, { _tag: "Status", status: 500, body: "own" })
      const own = yield* post(providers, protocol)
      expect([own.status, own.headers.get("retry-after"), yield* body(own)]).toEqual([500, null, "own"])
    })
  )

  it.live(`${protocol}: Reset breaks the connection before any header`, () =>
    Effect.gen(function* () {
      const providers = yield* EmbeddedProviders.make
      yield* providers.setFault(protocol, { _tag: "Reset" })
      const error = yield* Effect.flip(post(providers, protocol))
      expect(error.cause).toMatchObject({ cause: { code: "ECONNRESET" } })
      yield* providers.setFault(protocol, undefined)
      expect((yield* post(providers, protocol)).status).toBe(200)
    })
  )

  it.live(`${protocol}: SlowFirstToken holds the answer back, then gives it whole`, () =>
    Effect.gen(function* () {
      const providers = yield* EmbeddedProviders.make
      yield* providers.setFault(protocol, { _tag: "SlowFirstToken", delay: "80 millis" })
      for (const stream of [true, false]) {
        const startedAt = yield* Clock.currentTimeMillis
        const answer = yield* ask(providers, protocol, { stream })
        expect((yield* Clock.currentTimeMillis) - startedAt).toBeGreaterThanOrEqual(79)
        if (stream) expect(joined(answer)).toBe(text)
        else expect(answer).toContain(text)
      }
    })
  )

  it.live(`${protocol}: SlowFirstToken passes the headers of a stream on at once`, () =>
    Effect.gen(function* () {
      const providers = yield* EmbeddedProviders.make
      yield* providers.setFault(protocol, { _tag: "SlowFirstToken", delay: "1 hour" })
      const response = yield* post(providers, protocol, { stream: true })
      expect(response.headers.get("content-type")).toContain("text/event-stream")
    })
  )

  it.live(`${protocol}: CutStream breaks the connection after so many events`, () =>
    Effect.gen(function* () {
      const providers = yield* EmbeddedProviders.make
      for (const afterEvents of [0, 3]) {
        yield* providers.setFault(protocol, { _tag: "CutStream", afterEvents })
        const response = yield* post(providers, protocol, { stream: true })
        expect(response.status).toBe(200)
        const { isBroken, received } = yield* readBroken(response)
        expect(isBroken).toBe(true)
        expect(events(received)).toHaveLength(afterEvents)
      }
    })
  )

  it.live(`${protocol}: CutStream never lets the end through`, () =>
    Effect.gen(function* () {
      const providers = yield* EmbeddedProviders.make
      yield* providers.setFault(protocol, { _tag: "CutStream", afterEvents: 1000 })
      const { isBroken, received } = yield* Effect.flatMap(post(providers, protocol, { stream: true }), readBroken)
      expect([isBroken, joined(received)]).toEqual([true, text])
      expect(received).not.toMatch(/\[DONE\]|message_stop|"(finish|stop)_reason":"/)
    })
  )

  it.live(`${protocol}: CutStream cuts a buffered answer in its middle`, () =>
    Effect.gen(function* () {
      const providers = yield* EmbeddedProviders.make
      yield* providers.setFault(protocol, { _tag: "CutStream", afterEvents: 1 })
      const { isBroken, received } = yield* Effect.flatMap(post(providers, protocol), readBroken)
      expect(isBroken).toBe(true)
      expect(received.length).toBeGreaterThan(0)
    })
  )

  it.live(`${protocol}: Stall accepts and never answers, until the client goes away`, () =>
    Effect.gen(function* () {
      const providers = yield* EmbeddedProviders.make
      yield* providers.setFault(protocol, { _tag: "Stall" })
      const fiber = yield* Effect.forkChild(Effect.exit(post(providers, protocol)))
      const stalled = yield* until(providers, protocol, (served) => served.open === 1 && served.faulted === 1)
      expect(stalled).toMatchObject({ requests: 1, answered: 0 })
      yield* Fiber.interrupt(fiber)
      expect(yield* until(providers, protocol, (served) => served.open === 0)).toMatchObject({ aborted: 1 })
    })
  )
}

/** The books once they say so; a test that never sees it runs into its time limit. */
const until = (
  providers: EmbeddedProviders.Shape,
  protocol: EmbeddedProviders.Provider,
  holds: (served: FaultFront.Served) => boolean
): Effect.Effect<FaultFront.Served> =>
  Effect.flatMap(providers.served, (served) =>
    holds(served[protocol])
      ? Effect.succeed(served[protocol])
      : Effect.andThen(
          Effect.promise(() => new Promise((resolve) => setImmediate(resolve))),
          until(providers, protocol, holds)
        )
  )

it.live("sets a fault for one provider, or for some of its models", () =>
  Effect.gen(function* () {
    const providers = yield* EmbeddedProviders.make
    const refuse: FaultFront.Fault = { _tag: "Status", status: 503 }
    const statuses = Effect.all([
      Effect.map(post(providers, "openai", { model: "a" }), (response) => response.status),
      Effect.map(post(providers, "openai", { model: "b" }), (response) => response.status),
      Effect.map(post(providers, "anthropic", { model: "a" }), (response) => response.status)
    ])
    yield* providers.setFault("openai", refuse, ["a"])
    expect(yield* statuses).toEqual([503, 200, 200])
    yield* providers.setFault("openai", undefined, ["a"])
    expect(yield* statuses).toEqual([200, 200, 200])
    yield* providers.setFault("openai", refuse)
    yield* providers.setFault("openai", undefined, ["b"])
    expect(yield* statuses).toEqual([503, 200, 200])
    yield* providers.setFault("openai", undefined)
    expect(yield* statuses).toEqual([200, 200, 200])
    const { anthropic, openai } = yield* providers.served
    expect(openai).toMatchObject({ requests: 8, faulted: 2, byModel: { a: 4, b: 4 } })
    expect(anthropic).toMatchObject({ requests: 4, faulted: 0, byModel: { a: 4 } })
  })
)

/** A connection that a client keeps open, idle or waiting for its answer. */
const keepOpen = (url: string, path: string) =>
  Effect.callback<{ readonly closed: Promise<unknown> }>((resume) => {
    const { hostname, port } = new URL(url)
    if (path === "") {
      const socket = connect(Number(port), hostname, () => resume(Effect.succeed({ closed })))
      const closed = new Promise((resolve) => socket.on("close", resolve).on("error", resolve))
      return
    }
    const outgoing = request({ hostname, port, path, method: "POST", headers: { "content-type": "application/json" } })
    const closed = new Promise((resolve) => outgoing.on("close", resolve).on("error", resolve))
    outgoing.end('{"model":"m"}', () => resume(Effect.succeed({ closed })))
  })

it.live("closes with its scope, whatever is still open", () =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const providers = yield* Scope.provide(EmbeddedProviders.make, scope)
    expect((yield* post(providers, "anthropic", { stream: true })).status).toBe(200)
    yield* providers.setFault("openai", { _tag: "Stall" })
    const idle = yield* keepOpen(providers.openaiUrl, "")
    const stalled = yield* keepOpen(providers.openaiUrl, "/v1/chat/completions")
    yield* until(providers, "openai", (served) => served.open === 1)
    const startedAt = yield* Clock.currentTimeMillis
    yield* Scope.close(scope, Exit.void)
    expect((yield* Clock.currentTimeMillis) - startedAt).toBeLessThan(1000)
    yield* Effect.promise(() => Promise.all([idle.closed, stalled.closed]))
    const error = yield* Effect.flip(post(providers, "openai"))
    expect(error.cause).toMatchObject({ cause: { code: "ECONNREFUSED" } })
  })
)
