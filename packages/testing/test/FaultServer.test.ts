import { gunzipSync } from "node:zlib"
import { FaultServer } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import { TestClock } from "effect/testing"
import {
  begin,
  bytes,
  contentOf,
  events,
  type Heard,
  hear,
  json,
  outline,
  type Protocol,
  protocols,
  start,
  textOf
} from "./FaultServerSupport.ts"

const text = "one two three"
const words = ["one", " two", " three"]
const stop = { openai: "(stop)", anthropic: "(end_turn)" }

const serve = (...script: ReadonlyArray<FaultServer.Behaviour>) => FaultServer.make({ script, text })

/** Runs a test in both protocols. */
const both = (
  title: string,
  test: (protocol: Protocol) => Effect.Effect<void, FaultServer.FaultServerError, Scope.Scope>
) => {
  for (const protocol of protocols) it.effect(`${title} (${protocol})`, () => test(protocol))
}

/** Asks once for a buffered reply and once for a stream. */
const twice = (behaviour: FaultServer.Behaviour, protocol: Protocol) =>
  Effect.gen(function* () {
    const server = yield* serve(FaultServer.forever(behaviour))
    return {
      buffered: yield* hear(server, protocol),
      streamed: yield* hear(server, protocol, { stream: true })
    }
  })

// --- answers ----------------------------------------------------------------------------------------------------

both("answers as it should", (protocol) =>
  Effect.gen(function* () {
    const { buffered, streamed } = yield* twice(FaultServer.ok(), protocol)
    expect([buffered.status, buffered.headers["content-type"], buffered.ending]).toEqual([
      200,
      "application/json",
      "whole"
    ])
    expect(contentOf(textOf(buffered))).toBe(text)
    expect([streamed.status, streamed.headers["content-type"], streamed.ending]).toEqual([
      200,
      "text/event-stream; charset=utf-8",
      "whole"
    ])
    expect(outline(textOf(streamed))).toEqual([...words, stop[protocol], "end"])
    expect(json(textOf(buffered)).usage).toBeDefined()
    expect(textOf(streamed)).toContain(protocol === "openai" ? '"total_tokens":' : '"input_tokens":')
  })
)

it.effect("tells OpenAI's usage of a stream only when asked", () =>
  Effect.gen(function* () {
    const server = yield* serve()
    expect(textOf(yield* hear(server, "openai", { stream: true, usage: false }))).not.toContain("usage")
  })
)

it.effect("answers several requests on one connection, and a request in chunks", () =>
  Effect.gen(function* () {
    const server = yield* serve()
    const received = yield* Effect.promise(async () => {
      const answers: Array<string> = []
      for (let i = 0; i < 3; i++) {
        const body = new ReadableStream({
          start: (controller) => {
            controller.enqueue(new TextEncoder().encode('{"model":"in-'))
            controller.enqueue(new TextEncoder().encode('chunks"}'))
            controller.close()
          }
        })
        const init: RequestInit & { duplex: "half" } = { method: "POST", body, duplex: "half" }
        answers.push(await (await fetch(`${server.url}/v1/messages`, init)).text())
      }
      return answers
    })
    expect(received.map(contentOf)).toEqual([text, text, text])
    expect(server.requests().map((one) => [one.index, one.model])).toEqual([
      [0, "in-chunks"],
      [1, "in-chunks"],
      [2, "in-chunks"]
    ])
  })
)

it.effect("lists models in both dialects, and knows no other path", () =>
  Effect.gen(function* () {
    const server = yield* FaultServer.make({ script: [FaultServer.reset()], models: ["a", "b"] })
    const get = (path: string, headers = {}) =>
      Effect.flatMap(start(`${server.url}${path}`, { headers, agent: false }), (client) =>
        Effect.as(
          client.until((heard) => heard.ending !== undefined),
          client.heard
        )
      )
    const ids = (heard: Heard) => (JSON.parse(textOf(heard)).data as ReadonlyArray<{ id: string }>).map((one) => one.id)
    const openai = yield* get("/v1/models")
    expect([ids(openai), JSON.parse(textOf(openai)).object]).toEqual([["a", "b"], "list"])
    const anthropic = yield* get("/v1/models", { "anthropic-version": "2023-06-01" })
    expect([ids(anthropic), JSON.parse(textOf(anthropic)).last_id]).toEqual([["a", "b"], "b"])
    expect((yield* get("/nowhere")).status).toBe(404)
    // None of these used up the script.
    expect((yield* hear(server, "openai")).code).toBe("ECONNRESET")
  })
)

both("calls tools, in parallel and with whatever arguments", (protocol) =>
  Effect.gen(function* () {
    const calls = [
      { name: "weather", arguments: '{"city":"Utrecht"}' },
      { id: "mine", name: "time", arguments: '{"zone' }
    ]
    const { buffered, streamed } = yield* twice(FaultServer.toolCalls(calls), protocol)
    expect(textOf(buffered)).toContain(protocol === "openai" ? '"tool_calls"' : '"tool_use"')
    expect(textOf(buffered)).toContain('"mine"')
    const pieces: Record<string, string> = {}
    for (const { data, event } of events(textOf(streamed))) {
      if (data === "[DONE]" || (event !== undefined && event !== "content_block_delta")) continue
      const found = /"(?:arguments|partial_json)":("(?:[^"\\]|\\.)*")/.exec(data)?.[1]
      const index = (event === undefined ? /"tool_calls":\[\{"index":(\d)/ : /"index":(\d)/).exec(data)?.[1]
      if (found !== undefined && index !== undefined) pieces[index] = (pieces[index] ?? "") + JSON.parse(found)
    }
    expect(pieces).toEqual({ 0: calls[0]?.arguments, 1: calls[1]?.arguments })
    expect(outline(textOf(streamed))).toEqual([protocol === "openai" ? "(tool_calls)" : "(tool_use)", "end"])
  })
)

both("ends by a content filter, before and after output", (protocol) =>
  Effect.gen(function* () {
    const reason = protocol === "openai" ? "(content_filter)" : "(refusal)"
    const silent = yield* twice(FaultServer.refusal(), protocol)
    expect(outline(textOf(silent.streamed))).toEqual([reason, "end"])
    expect(contentOf(textOf(silent.buffered))).toBe("")
    const spoken = yield* twice(FaultServer.refusal("no"), protocol)
    expect(outline(textOf(spoken.streamed))).toEqual(["no", reason, "end"])
  })
)

both("leaves out the reason, the sentinel, the usage", (protocol) =>
  Effect.gen(function* () {
    const reasonless = yield* twice(FaultServer.ok(undefined, { finish: "absent" }), protocol)
    expect(outline(textOf(reasonless.streamed))).toEqual([...words, "end"])
    expect(reasonless.streamed.ending).toBe("whole")
    const body = json(textOf(reasonless.buffered))
    expect(protocol === "openai" ? body.choices?.[0]?.finish_reason : body.stop_reason).toBeNull()
    const endless = yield* twice(FaultServer.ok(undefined, { sentinel: false }), protocol)
    expect(outline(textOf(endless.streamed))).toEqual([...words, stop[protocol]])
    expect(endless.streamed.ending).toBe("whole")
    const free = yield* twice(FaultServer.ok(undefined, { usage: "absent" }), protocol)
    expect(textOf(free.buffered) + textOf(free.streamed)).not.toContain("usage")
  })
)

both("claims any usage", (protocol) =>
  Effect.gen(function* () {
    for (const usage of [
      { input: 0, output: 0 },
      { input: -7, output: -1 },
      { input: 1e15, output: 1e15 }
    ]) {
      const { buffered, streamed } = yield* twice(FaultServer.ok(undefined, { usage }), protocol)
      const names = protocol === "openai" ? ["prompt_tokens", "completion_tokens"] : ["input_tokens", "output_tokens"]
      for (const heard of [textOf(buffered), textOf(streamed)]) {
        expect(heard).toContain(`"${names[0]}":${usage.input}`)
        expect(heard).toContain(`"${names[1]}":${usage.output}`)
      }
    }
  })
)

both("sends a huge event", (protocol) =>
  Effect.gen(function* () {
    const { buffered, streamed } = yield* twice(FaultServer.huge(3_000_000), protocol)
    expect(contentOf(textOf(buffered)).length).toBe(3_000_000)
    expect(Math.max(...events(textOf(streamed)).map(({ data }) => data.length))).toBeGreaterThan(3_000_000)
    expect(streamed.ending).toBe("whole")
  })
)

// --- refusals ---------------------------------------------------------------------------------------------------

both("refuses with the error of a status", (protocol) =>
  Effect.gen(function* () {
    const expected: ReadonlyArray<readonly [number, string, string]> = [
      [400, "invalid_request_error", "invalid_request_error"],
      [401, "invalid_api_key", "authentication_error"],
      [403, "request_forbidden", "permission_error"],
      [404, "model_not_found", "not_found_error"],
      [413, "invalid_request_error", "request_too_large"],
      [429, "rate_limit_exceeded", "rate_limit_error"],
      [500, "server_error", "api_error"],
      [503, "server_is_overloaded", "overloaded_error"],
      [529, "server_is_overloaded", "overloaded_error"]
    ]
    for (const [status, openai, anthropic] of expected) {
      const { buffered, streamed } = yield* twice(FaultServer.status(status), protocol)
      expect([buffered.status, streamed.status]).toEqual([status, status])
      expect(buffered.headers["content-type"]).toBe("application/json")
      expect(textOf(streamed)).toBe(textOf(buffered))
      const { error, type } = JSON.parse(textOf(buffered))
      expect(protocol === "openai" ? (error.code ?? error.type) : error.type).toBe(
        protocol === "openai" ? openai : anthropic
      )
      expect(type).toBe(protocol === "openai" ? undefined : "error")
      expect(buffered.headers["retry-after"]).toBeUndefined()
    }
  })
)

both("refuses with an error under its own status", (protocol) =>
  Effect.gen(function* () {
    const seen: Array<unknown> = []
    for (const kind of ["quota", "context_length", "overloaded", "content_policy"] as const) {
      const { buffered } = yield* twice(FaultServer.failure(kind), protocol)
      const { error } = JSON.parse(textOf(buffered))
      seen.push([buffered.status, error.code ?? error.type])
    }
    expect(seen).toEqual(
      protocol === "openai"
        ? [
            [429, "insufficient_quota"],
            [400, "context_length_exceeded"],
            [503, "server_is_overloaded"],
            [400, "content_policy_violation"]
          ]
        : [
            [400, "invalid_request_error"],
            [400, "invalid_request_error"],
            [529, "overloaded_error"],
            [400, "invalid_request_error"]
          ]
    )
    const { buffered } = yield* twice(FaultServer.status(429, { code: "mine", message: "words" }), protocol)
    expect(textOf(buffered)).toContain('"mine"')
    expect(textOf(buffered)).toContain('"message":"words"')
  })
)

both("asks to wait in every form", (protocol) =>
  Effect.gen(function* () {
    yield* TestClock.setTime(Date.UTC(2026, 10, 23, 12))
    const headers = (options: FaultServer.Refusal) =>
      Effect.map(twice(FaultServer.status(429, options), protocol), ({ buffered }) => buffered.headers)
    expect((yield* headers({ retryAfter: "1" }))["retry-after"]).toBe("1")
    expect((yield* headers({ retryAfterMs: "1500" }))["retry-after-ms"]).toBe("1500")
    expect((yield* headers({ retryDateIn: "30 seconds" }))["retry-after"]).toBe("Mon, 23 Nov 2026 12:00:30 GMT")
    for (const retryAfter of FaultServer.hostileRetryAfter)
      expect((yield* headers({ retryAfter }))["retry-after"]).toBe(retryAfter)
  })
)

both("refuses with bodies that are no errors", (protocol) =>
  Effect.gen(function* () {
    const html = (yield* twice(FaultServer.status(502, { body: "html" }), protocol)).buffered
    expect(html.headers["content-type"]).toBe("text/html; charset=utf-8")
    expect(textOf(html)).toMatch(/^<!DOCTYPE html>.*502/)
    const empty = (yield* twice(FaultServer.status(500, { body: "empty" }), protocol)).streamed
    expect([empty.status, textOf(empty), empty.ending]).toEqual([500, "", "whole"])
    const half = (yield* twice(FaultServer.status(429, { body: "truncated" }), protocol)).buffered
    expect(() => JSON.parse(textOf(half))).toThrow()
    expect([textOf(half).startsWith("{"), half.ending]).toEqual([true, "whole"])
    const own = { text: "teapot", type: "text/plain" }
    expect(textOf((yield* twice(FaultServer.status(418, { body: own }), protocol)).buffered)).toBe("teapot")
  })
)

both("redirects", (protocol) =>
  Effect.gen(function* () {
    const { buffered } = yield* twice(FaultServer.redirect("http://127.0.0.1:1/elsewhere", 308), protocol)
    expect([buffered.status, buffered.headers.location]).toEqual([308, "http://127.0.0.1:1/elsewhere"])
  })
)

both("refuses a prefill and nothing else", (protocol) =>
  Effect.gen(function* () {
    const server = yield* serve(FaultServer.forever(FaultServer.withPrefillRefused(FaultServer.ok())))
    const messages = [
      { role: "user", content: "hi" },
      { role: "assistant", content: "he" }
    ]
    const refused = yield* hear(server, protocol, { messages })
    expect([refused.status, textOf(refused)]).toEqual([400, expect.stringContaining("prefill")])
    expect((yield* hear(server, protocol)).status).toBe(200)
  })
)

// --- broken connections -----------------------------------------------------------------------------------------

both("resets before the head, and within it", (protocol) =>
  Effect.gen(function* () {
    const server = yield* serve(FaultServer.reset(), FaultServer.reset("head"), FaultServer.reset("head"))
    expect(yield* bytes(server, protocol)).toEqual({ received: "", ending: "RST" })
    const half = yield* bytes(server, protocol)
    expect(half.ending).toBe("RST")
    expect(half.received).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(half.received).not.toContain("\r\n\r\n")
    expect(yield* hear(server, protocol)).toMatchObject({ status: undefined, ending: "broken", code: "ECONNRESET" })
    expect(server.requests().map((one) => one.aborted)).toEqual([false, false, false])
  })
)

both("never answers", (protocol) =>
  Effect.gen(function* () {
    const server = yield* serve(FaultServer.silence)
    const client = yield* begin(server, protocol)
    yield* server.waitFor((one) => one.open() === 1)
    yield* TestClock.adjust("1 hour")
    expect(client.heard.status).toBeUndefined()
    client.abort()
    yield* server.waitFor((one) => one.open() === 0)
    expect(server.requests()).toMatchObject([{ aborted: true, closedAt: 3_600_000 }])
  })
)

both("cuts a stream after some tokens, with the closing chunk and without", (protocol) =>
  Effect.gen(function* () {
    for (const after of [0, 1, 2, 3, 9]) {
      const server = yield* serve(
        FaultServer.cut({ after, closingChunk: true }),
        FaultServer.cut({ after, closingChunk: false }),
        FaultServer.cut({ after, closingChunk: false })
      )
      const clean = yield* hear(server, protocol, { stream: true })
      expect([outline(textOf(clean)), clean.ending]).toEqual([words.slice(0, after), "whole"])
      const broken = yield* hear(server, protocol, { stream: true })
      expect([outline(textOf(broken)), broken.ending]).toEqual([words.slice(0, after), "broken"])
      const raw = yield* bytes(server, protocol, { stream: true })
      expect([raw.ending, raw.received.endsWith("0\r\n\r\n")]).toEqual(["FIN", false])
      expect(server.requests().every((one) => !one.aborted && one.closedAt === 0)).toBe(true)
    }
  })
)

both("cuts a buffered body in its middle", (protocol) =>
  Effect.gen(function* () {
    const server = yield* serve(FaultServer.cut({ closingChunk: true }), FaultServer.cut())
    const clean = yield* hear(server, protocol)
    expect([clean.ending, clean.headers["transfer-encoding"]]).toEqual(["whole", "chunked"])
    const broken = yield* hear(server, protocol)
    expect([broken.ending, textOf(broken)]).toEqual(["broken", textOf(clean)])
    expect(Number(broken.headers["content-length"])).toBeGreaterThan(textOf(broken).length)
    expect(() => JSON.parse(textOf(clean))).toThrow()
  })
)

both("cuts a tool call in its arguments", (protocol) =>
  Effect.gen(function* () {
    const answer = FaultServer.toolCalls([{ name: "f", arguments: '{"a":"0123456789"}' }])
    const server = yield* serve(FaultServer.cut({ after: 1, answer }))
    const heard = textOf(yield* hear(server, protocol, { stream: true }))
    expect(heard).toContain(JSON.stringify('{"a":"01'))
    expect(heard).not.toContain("23456789")
  })
)

both("stalls after some tokens", (protocol) =>
  Effect.gen(function* () {
    const server = yield* serve(FaultServer.stall({ after: 2 }), FaultServer.stall())
    const client = yield* begin(server, protocol, { stream: true })
    yield* client.until((heard) => textOf(heard).includes(" two"))
    yield* TestClock.adjust("1 hour")
    expect([outline(textOf(client.heard)), client.heard.ending]).toEqual([words.slice(0, 2), undefined])
    const buffered = yield* begin(server, protocol)
    yield* buffered.until((heard) => heard.chunks.length > 0)
    expect([buffered.heard.status, buffered.heard.ending, server.open()]).toEqual([200, undefined, 2])
    client.abort()
    yield* server.waitFor((one) => one.open() === 1)
    expect(server.requests().map((one) => one.aborted)).toEqual([true, false])
  })
)

both("sends an event that is no JSON and goes on", (protocol) =>
  Effect.gen(function* () {
    const { buffered, streamed } = yield* twice(FaultServer.malformed({ after: 1 }), protocol)
    expect(outline(textOf(streamed))).toEqual(["one", "not JSON", " two", " three", stop[protocol], "end"])
    expect(buffered.ending).toBe("whole")
    expect(() => JSON.parse(textOf(buffered))).toThrow()
  })
)

both("reports an error inside a 200, before output and after", (protocol) =>
  Effect.gen(function* () {
    for (const after of [0, 2]) {
      const { buffered, streamed } = yield* twice(
        FaultServer.errorEvent("overloaded", { after, message: "busy" }),
        protocol
      )
      expect([streamed.status, streamed.ending]).toEqual([200, "whole"])
      expect(outline(textOf(streamed))).toEqual([...words.slice(0, after), "error"])
      expect(events(textOf(streamed)).at(-1)?.event).toBe(protocol === "openai" ? undefined : "error")
      expect([buffered.status, JSON.parse(textOf(buffered)).error.message]).toEqual([200, "busy"])
    }
  })
)

// --- layers -----------------------------------------------------------------------------------------------------

both("waits before the head, within it, and before the first token", (protocol) =>
  Effect.gen(function* () {
    const server = yield* serve(
      FaultServer.withSlowHead(FaultServer.ok(), "5 seconds"),
      FaultServer.withSlowHeaders(FaultServer.ok(), "5 seconds"),
      FaultServer.withSlowFirstToken(FaultServer.ok(), "5 seconds"),
      FaultServer.withSlowFirstToken(FaultServer.ok(), "5 seconds")
    )
    for (const [at, stream] of [true, true, true, false].entries()) {
      const client = yield* begin(server, protocol, { stream })
      yield* server.waitFor((one) => one.requests().length === at + 1)
      yield* TestClock.adjust(4_999)
      if (at === 2) yield* client.until((heard) => events(textOf(heard)).length > 0)
      expect([client.heard.status, client.heard.chunks.length > 0]).toEqual(at === 2 ? [200, true] : [undefined, false])
      expect(outline(textOf(client.heard))).toEqual([])
      yield* TestClock.adjust(1)
      yield* client.until((heard) => heard.ending !== undefined)
      expect(client.heard.ending).toBe("whole")
      expect(server.requests()[at]?.closedAt).toBe(5_000 * (at + 1))
    }
  })
)

both("sends half the header block first when headers are slow", (protocol) =>
  Effect.gen(function* () {
    const server = yield* serve(FaultServer.withSlowHeaders(FaultServer.cut(), "5 seconds"))
    const half = yield* Deferred.make<string>()
    const onData = (received: string) => Deferred.doneUnsafe(half, Exit.succeed(received))
    const fiber = yield* Effect.forkChild(bytes(server, protocol, {}, onData))
    const first = yield* Deferred.await(half)
    expect(first).toMatch(/^HTTP/)
    expect(first).not.toContain("\r\n\r\n")
    yield* TestClock.adjust("5 seconds")
    const { received } = yield* Fiber.join(fiber)
    expect([received.startsWith(first), received.includes("\r\n\r\n")]).toEqual([true, true])
  })
)

both("keeps a stream alive with comments and pings", (protocol) =>
  Effect.gen(function* () {
    const server = yield* serve(
      FaultServer.keepAlive({ every: "10 seconds" }),
      FaultServer.keepAlive({ every: "10 seconds", times: 2, answer: FaultServer.ok() }),
      FaultServer.keepAlive({ every: "10 seconds", times: 2 }),
      FaultServer.keepAlive({ every: "10 seconds", times: 2, answer: FaultServer.ok() })
    )
    const count = (heard: Heard) => textOf(heard).split(": keep-alive\n\n").length - 1
    const endless = yield* begin(server, protocol, { stream: true })
    yield* endless.until((heard) => count(heard) === 1)
    yield* TestClock.adjust("50 seconds")
    yield* endless.until((heard) => count(heard) === 6)
    expect([outline(textOf(endless.heard)), endless.heard.ending]).toEqual([[], undefined])
    const pings = events(textOf(endless.heard)).filter(({ event }) => event === "ping")
    expect(pings.length).toBe(protocol === "openai" ? 0 : 6)
    endless.abort()
    const ask = (stream: boolean, index: number) =>
      Effect.gen(function* () {
        const client = yield* begin(server, protocol, { stream })
        yield* server.waitFor((one) => one.requests().length === index + 1)
        yield* TestClock.adjust("20 seconds")
        yield* client.until((heard) => heard.ending !== undefined)
        return client.heard
      })
    const answered = yield* ask(true, 1)
    expect([count(answered), outline(textOf(answered))]).toEqual([2, [...words, stop[protocol], "end"]])
    const empty = yield* ask(true, 2)
    expect([count(empty), outline(textOf(empty)), empty.ending]).toEqual([2, [], "whole"])
    const buffered = yield* ask(false, 3)
    expect([textOf(buffered).startsWith("\n\n{"), contentOf(textOf(buffered))]).toEqual([true, text])
  })
)

both("trickles byte by byte", (protocol) =>
  Effect.gen(function* () {
    const server = yield* serve(
      FaultServer.withTrickle(FaultServer.ok("a b")),
      FaultServer.withTrickle(FaultServer.ok("a b"), "1 second")
    )
    const heard = yield* hear(server, protocol)
    expect(heard.chunks.length).toBeGreaterThan(20)
    expect(contentOf(textOf(heard))).toBe("a b")
    const slow = yield* begin(server, protocol)
    yield* server.waitFor((one) => one.requests().length === 2)
    yield* TestClock.adjust("1 hour")
    yield* slow.until((one) => one.ending !== undefined)
    const wire = Number(server.requests()[1]?.closedAt) / 1000
    expect(wire).toBeGreaterThan(textOf(slow.heard).length)
    expect(textOf(slow.heard)).toBe(textOf(heard))
  })
)

both("states a wrong type, compresses unasked, and reports rate limits", (protocol) =>
  Effect.gen(function* () {
    const wrong = yield* twice(FaultServer.withContentType(FaultServer.ok(), "text/plain"), protocol)
    expect([wrong.buffered.headers["content-type"], wrong.streamed.headers["content-type"]]).toEqual([
      "text/plain",
      "text/plain"
    ])
    const zipped = yield* twice(FaultServer.withGzip(FaultServer.ok()), protocol)
    expect(zipped.buffered.headers["content-encoding"]).toBe("gzip")
    expect(contentOf(gunzipSync(Buffer.concat(zipped.buffered.chunks)).toString())).toBe(text)
    expect(outline(gunzipSync(Buffer.concat(zipped.streamed.chunks)).toString())).toContain("end")
    const limit = { limit: 100, remaining: -1, resetIn: "61 seconds" } as const
    const headers = (dialect: FaultServer.RateLimit["dialect"]) =>
      Effect.map(
        twice(
          FaultServer.withRateLimit(FaultServer.status(429), { dialect, requests: limit, tokens: limit }),
          protocol
        ),
        ({ buffered }) => buffered.headers
      )
    expect((yield* headers("openai"))["x-ratelimit-reset-requests"]).toBe("1m1s")
    expect((yield* headers("azure"))["x-ratelimit-reset-tokens"]).toBe("61")
    const anthropic = yield* headers("anthropic")
    expect(anthropic["anthropic-ratelimit-tokens-reset"]).toBe("1970-01-01T00:01:01Z")
    expect(anthropic["anthropic-ratelimit-requests-remaining"]).toBe("-1")
    const own = FaultServer.withHeaders({ "X-Request-Id": "r1" })(FaultServer.withHeaders(FaultServer.ok(), { a: "b" }))
    const { streamed } = yield* twice(own, protocol)
    expect([streamed.headers["x-request-id"], streamed.headers["a"]]).toEqual(["r1", "b"])
  })
)

// --- the server -------------------------------------------------------------------------------------------------

it.effect("follows its script, by list, function and model, and takes a new one", () =>
  Effect.gen(function* () {
    const server = yield* serve(FaultServer.status(500), FaultServer.forever(FaultServer.status(503)))
    const statuses = (n: number, model = "m") =>
      Effect.forEach(Array.from({ length: n }), () =>
        Effect.map(hear(server, "openai", { model }), (heard) => heard.status)
      )
    expect(yield* statuses(3)).toEqual([500, 503, 503])
    server.set([FaultServer.status(429)])
    expect(yield* statuses(3)).toEqual([429, 200, 200])
    server.set((request) => (request.index % 2 === 0 ? FaultServer.status(404) : FaultServer.ok()))
    expect(yield* statuses(2)).toEqual([404, 200])
    server.set(FaultServer.byModel({ a: [FaultServer.status(401)] }, [FaultServer.ok(), FaultServer.status(403)]))
    expect([...(yield* statuses(2, "b")), ...(yield* statuses(2, "a"))]).toEqual([200, 403, 401, 200])
  })
)

it.effect("tells what it was asked", () =>
  Effect.gen(function* () {
    const server = yield* serve()
    yield* hear(server, "anthropic", { model: "claude", stream: true })
    const [request] = server.requests()
    expect(request).toMatchObject({
      index: 0,
      method: "POST",
      path: "/v1/messages",
      protocol: "anthropic",
      endpoint: "generate",
      model: "claude",
      stream: true,
      at: 0,
      aborted: false,
      closedAt: 0
    })
    expect(request?.body).toMatchObject({ messages: [{ role: "user", content: "hi" }] })
    expect(request?.headers["host"]).toBe(new URL(server.url).host)
    expect(server.open()).toBe(0)
  })
)

it.effect("closes with its scope at once, whatever is under way", () =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const server = yield* Effect.provideService(
      serve(FaultServer.silence, FaultServer.stall({ after: 1 }), FaultServer.keepAlive({ every: "1 second" })),
      Scope.Scope,
      scope
    )
    const clients = yield* Effect.forEach([0, 1, 2], () => begin(server, "openai", { stream: true }))
    yield* server.waitFor((one) => one.open() === 3)
    yield* Scope.close(scope, Exit.void)
    for (const client of clients) {
      yield* client.until((heard) => heard.ending !== undefined)
      expect(client.heard.ending).toBe("broken")
    }
    expect(server.requests().map((one) => one.aborted)).toEqual([false, false, false])
    expect((yield* hear(server, "openai")).code).toBe("ECONNREFUSED")
  })
)
