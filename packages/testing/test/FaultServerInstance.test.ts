import { Llm, type LlmError, type LlmRequest, type Part, Plans } from "@echelon/core"
import { Instance, Transport } from "@echelon/providers"
import { FaultServer } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Deferred, Duration, Effect, Exit, Fiber, Layer, Redacted, Result, Stream } from "effect"
import { TestClock } from "effect/testing"
import { type Protocol, protocols } from "./FaultServerSupport.ts"

const text = "one two three"

const start = Date.UTC(2026, 10, 23, 12)

/** A real instance that asks this server. */
const instanceAt = (server: FaultServer.FaultServer, kind: Protocol) =>
  Effect.gen(function* () {
    const provider = Plans.provider({
      name: kind,
      kind,
      key: Redacted.make("sk-test"),
      baseUrl: `${server.url}/v1`,
      maxEventBytes: 100_000
    })
    const instance = Plans.instance({ provider, alias: "m", model: Plans.model({ model: "m" }) })
    const context = yield* Layer.build(Transport.layer)
    return (yield* Effect.provideContext(Instance.make(instance), context)).llm
  })

interface Outcome {
  readonly text: string
  readonly finish: string
  readonly calls: ReadonlyArray<unknown>
  readonly usage: readonly [number | undefined, number | undefined]
}

const ofParts = (parts: ReadonlyArray<Part.Part>): Outcome => {
  const last = parts.at(-1)
  const finish = last?.type === "finish" ? last : undefined
  return {
    text: parts.map((part) => (part.type === "text-delta" ? part.delta : "")).join(""),
    finish: finish?.reason ?? "none",
    calls: parts.flatMap((part) => (part.type === "tool-call" ? [part.params] : [])),
    usage: [finish?.usage.inputTokens.total, finish?.usage.outputTokens.total]
  }
}

/** An outcome in a few words: the reason and what was delivered before, or how the answer ended and what it says. */
const words = (result: Result.Result<Outcome, LlmError.LlmError>): string => {
  if (Result.isSuccess(result)) {
    const { calls, finish, text } = result.success
    return `${finish}: ${calls.length === 0 ? (text.length > 50 ? text.length : text) : JSON.stringify(calls)}`
  }
  const { delivered, reason, retryAfter } = result.failure
  const more = [
    ...(reason._tag === "Network" ? [reason.kind] : []),
    ...(reason._tag === "Timeout" ? [reason.clock] : []),
    ...(retryAfter === undefined ? [] : [`wait ${Duration.toMillis(retryAfter)}`]),
    ...(delivered === undefined ? [] : [`after "${delivered}"`])
  ]
  return [reason._tag, ...more].join(" ")
}

interface Row {
  readonly name: string
  readonly behaviour: FaultServer.Behaviour
  /** Moves the clock once the request has arrived, or once output has when `afterOutput` and streamed. */
  readonly advance?: Duration.Input
  readonly afterOutput?: boolean
  readonly input?: LlmRequest.Input
  /** Outcomes: buffered, streamed. A pair for each protocol where they differ. */
  readonly expected: Pair | Readonly<Record<Protocol, Pair>>
}

type Pair = readonly [buffered: string, streamed: string]

const same = (outcome: string): Pair => [outcome, outcome]

const { cut, errorEvent, failure, keepAlive, malformed, ok, refusal, reset, stall, status, toolCalls } = FaultServer

const rows: ReadonlyArray<Row> = [
  { name: "ok", behaviour: ok(), expected: same(`stop: ${text}`) },
  { name: "another text", behaviour: ok("fine"), expected: same("stop: fine") },
  { name: "length", behaviour: ok(undefined, { finish: "length" }), expected: same(`length: ${text}`) },
  { name: "an empty answer", behaviour: ok(""), expected: same("stop: ") },
  {
    name: "parallel tool calls",
    behaviour: toolCalls([
      { name: "a", arguments: '{"x":"0123456789"}' },
      { name: "b", arguments: "{}" }
    ]),
    expected: same('tool-calls: [{"x":"0123456789"},{}]')
  },
  {
    name: "tool arguments that are no JSON",
    behaviour: toolCalls([{ name: "a", arguments: '{"x' }]),
    expected: { openai: same("MalformedOutput"), anthropic: ['tool-calls: ["{\\"x"]', "MalformedOutput"] }
  },
  { name: "a refusal without output", behaviour: refusal(), expected: same("ContentPolicy") },
  { name: "a refusal after output", behaviour: refusal("I will not"), expected: same("content-filter: I will not") },
  {
    name: "no reason",
    behaviour: ok(undefined, { finish: "absent" }),
    expected: [`unknown: ${text}`, `MalformedOutput after "${text}"`]
  },
  { name: "no sentinel", behaviour: ok(undefined, { sentinel: false }), expected: same(`stop: ${text}`) },
  { name: "no usage", behaviour: ok(undefined, { usage: "absent" }), expected: same(`stop: ${text}`) },
  { name: "a huge event", behaviour: FaultServer.huge(200_000), expected: ["stop: 200000", "MalformedOutput"] },
  { name: "400", behaviour: status(400), expected: same("InvalidRequest") },
  { name: "401", behaviour: status(401), expected: same("Authentication") },
  { name: "402", behaviour: status(402), expected: same("QuotaExhausted") },
  { name: "403", behaviour: status(403), expected: same("Authentication") },
  { name: "404", behaviour: status(404), expected: same("ModelNotFound") },
  { name: "408", behaviour: status(408, { body: "empty" }), expected: same("Network other") },
  { name: "409", behaviour: status(409, { body: "empty" }), expected: same("Overloaded") },
  { name: "413", behaviour: status(413), expected: same("InvalidRequest") },
  { name: "418", behaviour: status(418, { body: "empty" }), expected: same("Unknown") },
  { name: "429", behaviour: status(429), expected: same("RateLimited") },
  { name: "500", behaviour: status(500), expected: same("ProviderError") },
  { name: "502", behaviour: status(502, { body: "html" }), expected: same("ProviderError") },
  { name: "503", behaviour: status(503), expected: same("Overloaded") },
  { name: "529", behaviour: status(529), expected: same("Overloaded") },
  { name: "429 wait", behaviour: status(429, { retryAfter: "2" }), expected: same("RateLimited wait 2000") },
  { name: "429 wait ms", behaviour: status(429, { retryAfterMs: "1500" }), expected: same("RateLimited wait 1500") },
  {
    name: "429 wait until",
    behaviour: status(429, { retryDateIn: "30 seconds" }),
    expected: same("RateLimited wait 30000")
  },
  ...FaultServer.hostileRetryAfter.map((retryAfter) => ({
    name: `429 ${retryAfter}`,
    behaviour: status(429, { retryAfter }),
    expected: same(retryAfter === "1000000000" ? "RateLimited wait 3600000" : "RateLimited")
  })),
  { name: "quota", behaviour: failure("quota"), expected: same("QuotaExhausted") },
  { name: "context length", behaviour: failure("context_length"), expected: same("ContextLength") },
  {
    name: "content policy",
    behaviour: failure("content_policy"),
    expected: { openai: same("ContentPolicy"), anthropic: same("InvalidRequest") }
  },
  { name: "overloaded", behaviour: failure("overloaded"), expected: same("Overloaded") },
  { name: "an empty 500", behaviour: status(500, { body: "empty" }), expected: same("ProviderError") },
  { name: "half a 429", behaviour: status(429, { body: "truncated" }), expected: same("RateLimited") },
  { name: "an HTML page with a 200", behaviour: status(200, { body: "html" }), expected: same("MalformedOutput") },
  { name: "an empty 200", behaviour: status(200, { body: "empty" }), expected: same("MalformedOutput") },
  { name: "half a 200", behaviour: status(200, { body: "truncated" }), expected: same("MalformedOutput") },
  { name: "a redirect", behaviour: FaultServer.redirect("http://127.0.0.1:1/"), expected: same("Unknown") },
  {
    name: "a prefill refused",
    behaviour: FaultServer.withPrefillRefused(ok()),
    input: {
      prompt: [
        { role: "user", content: [{ type: "text", text: "hi" }] },
        { role: "assistant", content: [{ type: "text", text: "one" }] }
      ]
    },
    expected: same("InvalidRequest")
  },
  { name: "no prefill to refuse", behaviour: FaultServer.withPrefillRefused(ok()), expected: same(`stop: ${text}`) },
  { name: "a reset", behaviour: reset(), expected: same("Network reset") },
  { name: "a reset within the head", behaviour: reset("head"), expected: same("Network reset") },
  { name: "silence", behaviour: FaultServer.silence, advance: "10 minutes", expected: same("Timeout attempt") },
  { name: "a cut before output", behaviour: cut(), expected: same("Network reset") },
  {
    name: "a cut",
    behaviour: cut({ after: 2, wait: "1 second" }),
    advance: "1 second",
    afterOutput: true,
    expected: ["Network reset", 'Network reset after "one two"']
  },
  {
    name: "a clean cut before output",
    behaviour: cut({ closingChunk: true }),
    expected: same("MalformedOutput")
  },
  {
    name: "a clean cut",
    behaviour: cut({ after: 2, closingChunk: true, wait: "1 second" }),
    advance: "1 second",
    afterOutput: true,
    expected: ["MalformedOutput", 'MalformedOutput after "one two"']
  },
  {
    name: "a stall",
    behaviour: stall({ after: 2 }),
    advance: "10 minutes",
    afterOutput: true,
    expected: ["Timeout attempt", 'Timeout idle after "one two"']
  },
  { name: "a stall before output", behaviour: stall(), advance: "10 minutes", expected: same("Timeout attempt") },
  {
    name: "a malformed event",
    behaviour: malformed({ after: 1, wait: "1 second" }),
    advance: "1 second",
    afterOutput: true,
    expected: ["MalformedOutput", 'MalformedOutput after "one"']
  },
  { name: "an error event first", behaviour: errorEvent("rate_limit"), expected: same("RateLimited") },
  {
    name: "an error event after output",
    behaviour: errorEvent("server_error", { after: 2, wait: "1 second" }),
    advance: "1 second",
    afterOutput: true,
    expected: ["ProviderError", 'ProviderError after "one two"']
  },
  {
    name: "an overload event",
    behaviour: errorEvent("overloaded"),
    expected: same("Overloaded")
  },
  {
    name: "a slow head",
    behaviour: FaultServer.withSlowHead(ok(), "20 seconds"),
    advance: "20 seconds",
    expected: same(`stop: ${text}`)
  },
  {
    name: "a head that is too slow",
    behaviour: FaultServer.withSlowHeaders(ok(), "2 minutes"),
    advance: "3 minutes",
    expected: same("Timeout attempt")
  },
  {
    name: "a slow first token",
    behaviour: FaultServer.withSlowFirstToken(ok(), "20 seconds"),
    advance: "20 seconds",
    expected: same(`stop: ${text}`)
  },
  {
    name: "a first token that is too slow",
    behaviour: FaultServer.withSlowFirstToken(ok(), "2 minutes"),
    advance: "3 minutes",
    expected: same("Timeout attempt")
  },
  {
    name: "pings and comments only",
    behaviour: keepAlive({ every: "10 seconds" }),
    advance: "3 minutes",
    expected: same("Timeout attempt")
  },
  {
    name: "pings and then nothing",
    behaviour: keepAlive({ every: "10 seconds", times: 1 }),
    advance: "10 seconds",
    expected: same("MalformedOutput")
  },
  {
    name: "pings and then an answer",
    behaviour: keepAlive({ every: "10 seconds", times: 2, answer: ok() }),
    advance: "20 seconds",
    expected: same(`stop: ${text}`)
  },
  { name: "a trickle", behaviour: FaultServer.withTrickle(ok()), expected: same(`stop: ${text}`) },
  {
    name: "a trickle that is too slow",
    behaviour: FaultServer.withTrickle(ok(), "1 second"),
    advance: "2 minutes",
    expected: same("Timeout attempt")
  },
  { name: "gzip", behaviour: FaultServer.withGzip(ok()), expected: same(`stop: ${text}`) },
  {
    name: "a stream that is called text",
    behaviour: FaultServer.withContentType(ok(), "text/plain"),
    expected: [`stop: ${text}`, "MalformedOutput"]
  },
  {
    name: "a body that is called a stream",
    behaviour: FaultServer.withContentType(ok(), "text/event-stream"),
    expected: ["MalformedOutput", `stop: ${text}`]
  },
  {
    name: "rate limits beside an answer",
    behaviour: FaultServer.withRateLimit(ok(), {
      dialect: "openai",
      requests: { limit: 10, remaining: -1, resetIn: "6 minutes" }
    }),
    expected: same(`stop: ${text}`)
  }
]

for (const protocol of protocols)
  for (const stream of [false, true])
    it.effect(`meets every behaviour (${protocol}, ${stream ? "streamed" : "buffered"})`, () =>
      Effect.gen(function* () {
        const outcomes: Array<readonly [string, string]> = []
        for (const row of rows) outcomes.push([row.name, words((yield* meet(row, protocol, stream)).result)])
        const expected = rows.map(({ expected, name }) => {
          const pair =
            protocol in expected ? (expected as Readonly<Record<Protocol, Pair>>)[protocol] : (expected as Pair)
          return [name, pair[stream ? 1 : 0]]
        })
        expect(outcomes).toEqual(expected)
      })
    )

const meet = (row: Omit<Row, "expected">, protocol: Protocol, stream: boolean) =>
  Effect.scoped(
    Effect.gen(function* () {
      // The clock begins anew: rows do not move each other's dates.
      yield* TestClock.setTime(start)
      const server = yield* FaultServer.make({ script: [row.behaviour], text })
      const llm = yield* instanceAt(server, protocol)
      const output = yield* Deferred.make<void>()
      const { input = { prompt: "hi" } } = row
      const seen = Stream.tap(Llm.stream(llm, input), (part) =>
        Effect.sync(() => {
          if (part.type === "text-delta") Deferred.doneUnsafe(output, Exit.void)
        })
      )
      const run: Effect.Effect<Outcome, LlmError.LlmError> = stream
        ? Effect.map(Stream.runCollect(seen), ofParts)
        : Effect.map(Llm.generate(llm, input), (answer) => ({
            text: answer.text,
            finish: answer.finishReason,
            calls: answer.toolCalls.map((call) => call.params),
            usage: [answer.usage.inputTokens, answer.usage.outputTokens]
          }))
      const fiber = yield* Effect.forkChild(Effect.result(run))
      if (row.advance !== undefined) {
        yield* row.afterOutput === true && stream
          ? Deferred.await(output)
          : server.waitFor((one) => one.requests().length === 1)
        yield* TestClock.adjust(row.advance)
      }
      const result = yield* Fiber.join(fiber)
      // However it ended: the connection is given back or closed.
      yield* server.waitFor((one) => one.open() === 0)
      return { result, server }
    })
  )

it.effect("reads the usage that is claimed, and takes none that is impossible", () =>
  Effect.gen(function* () {
    const cases: ReadonlyArray<readonly [FaultServer.Whole["usage"], Outcome["usage"]]> = [
      [{ input: 3, output: 2 }, [3, 2]],
      [{ input: 0, output: 0 }, [0, 0]],
      [{ input: -7, output: -1 }, [undefined, undefined]],
      [{ input: 1e15, output: 1e15 }, [1e15, 1e15]],
      ["absent", [undefined, undefined]]
    ]
    for (const protocol of protocols)
      for (const stream of [false, true])
        for (const [usage, expected] of cases) {
          const { result } = yield* meet({ name: "", behaviour: ok(undefined, { usage }) }, protocol, stream)
          expect([protocol, stream, Result.isSuccess(result) && result.success.usage]).toEqual([
            protocol,
            stream,
            expected
          ])
        }
  })
)

it.effect("leaves a server that stalls, and frees the connection", () =>
  Effect.gen(function* () {
    for (const protocol of protocols) {
      const row = { name: "", behaviour: stall({ after: 1 }), advance: "10 minutes", afterOutput: true } as const
      const { result, server } = yield* meet(row, protocol, true)
      expect(words(result)).toBe('Timeout idle after "one"')
      expect(server.requests()).toMatchObject([{ aborted: true }])
    }
  })
)
