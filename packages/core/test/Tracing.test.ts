import {
  Clients,
  Control,
  InstanceFactory,
  Interpreter,
  Llm,
  LlmError,
  type LlmRequest,
  Orchestrator,
  type Part,
  type Plan,
  Plans
} from "@echelon/core"
import * as Tracing from "@echelon/core/Tracing"
import { ScriptedLlm } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Layer, Option, Random, References, Scope, Stream, Tracer } from "effect"
import { TestClock } from "effect/testing"
import * as plans from "./support/plans.ts"

const openai = plans.provider("openai")
const breaker = { ...Plans.defaults.breaker, failureRate: undefined, slowCall: undefined, failureThreshold: 2 }

const planOf = (
  options: {
    readonly tracing?: Partial<Plan.Tracing>
    readonly pool?: Partial<Plan.Pool>
    readonly group?: Parameters<typeof plans.group>[2]
    readonly echelon?: Parameters<typeof plans.echelon>[3]
  } = {}
): Plan.Root => ({
  ...plans.root({
    instances: ["a", "b"].map((name) => plans.instance(name, openai)),
    groups: [
      plans.group("chat", [plans.echelon("chat", 1, ["a"], options.echelon), plans.echelon("chat", 2, ["b"])], {
        breaker,
        ...options.group
      }),
      plans.group("pair", [plans.echelon("pair", 1, ["a", "b"], { maxRetries: 1, ...options.echelon })], {
        breaker,
        ...options.group
      })
    ],
    pools: [plans.pool("pool", ["chat"], { rotation: "priority", ...options.pool })],
    wrappers: [plans.wrapper("w", { kind: "pool", name: "pool" }, { maxConcurrentRequests: 1, queueSize: 1 })]
  }),
  tracing: Plans.tracing(options.tracing)
})

/** A span as the tests read it. */
interface Told {
  readonly name: string
  readonly kind: string
  readonly parent: string | undefined
  readonly end: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly events: ReadonlyArray<readonly [name: string, attributes: Readonly<Record<string, unknown>>]>
}

const recording = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  const nameOf = (id: string) => spans.find(({ spanId }) => spanId === id)?.name ?? id
  const told = (): ReadonlyArray<Told> =>
    spans.map((span) => ({
      name: span.name,
      kind: span.kind,
      parent: Option.getOrUndefined(Option.map(span.parent, ({ spanId }) => nameOf(spanId))),
      end:
        span.status._tag === "Started"
          ? "open"
          : Exit.isSuccess(span.status.exit)
            ? "ok"
            : span.status.exit.cause.reasons
                .map((reason) => (reason._tag === "Fail" ? String(reason.error) : reason._tag))
                .join(),
      attributes: Object.fromEntries(span.attributes),
      events: span.events.map(([name, , attributes]) => [name, attributes] as const)
    }))
  return { spans, told, tracer }
}

const run = <A, E>(
  plan: Plan.Root,
  effect: Effect.Effect<A, E, Orchestrator.Services | Interpreter.Interpreter | Scope.Scope>,
  byInstance: Readonly<Record<string, ScriptedLlm.Options["script"]>> = {},
  scripted = plans.scripts(byInstance)
) =>
  Effect.provide(
    effect,
    Layer.mergeAll(Orchestrator.layer, Tracing.layer).pipe(
      Layer.provideMerge(Interpreter.Interpreter.layer(plan)),
      Layer.provide(scripted.layer)
    )
  )

const input = (metadata: LlmRequest.Metadata, more: Partial<LlmRequest.Input> = {}): LlmRequest.Input => ({
  prompt: "hi",
  metadata,
  ...more
})
const ask = (metadata: LlmRequest.Metadata = { poolName: "pool" }, more?: Partial<LlmRequest.Input>) =>
  Orchestrator.generate(input(metadata, more))
const slow = () => [ScriptedLlm.wait("1 second"), ...ScriptedLlm.text("slow")]
const rateLimited = () => [ScriptedLlm.fail({ _tag: "RateLimited" })]
const outline = (told: ReadonlyArray<Told>) => told.map(({ end, name, parent }) => `${parent ?? "-"} > ${name}: ${end}`)

it.effect("a request is a span, each attempt one under it, and the route is told as events", () => {
  const { told, tracer } = recording()
  return run(
    planOf(),
    Effect.gen(function* () {
      const asked = ask(
        { wrapperName: "w", tenant: "t", requestId: "mine" },
        { settings: { temperature: 0.5, maxOutputTokens: 9, topP: 0.1, topK: 3, seed: 7, stop: ["planted"] } }
      )
      yield* asked.pipe(Effect.withSpan("mine"), Effect.withTracer(tracer))
      const spans = told()
      expect(outline(spans)).toEqual([
        "- > mine: ok",
        "mine > chat w: ok",
        "chat w > chat wire-a: RateLimited",
        "chat w > chat wire-b: ok"
      ])
      expect(spans.map(({ kind }) => kind)).toEqual(["internal", "internal", "client", "client"])
      expect(spans[1]?.attributes).toEqual({
        "gen_ai.operation.name": "chat",
        "echelon.request.id": "mine",
        "echelon.target": "wrapper",
        "echelon.wrapper": "w",
        "echelon.pool": "pool",
        "echelon.tenant": "t",
        "echelon.outcome": "completed",
        "echelon.attempts": 2,
        "echelon.instance": "b",
        "gen_ai.response.model": "wire-b",
        "echelon.usage.input_tokens": 1,
        "echelon.usage.output_tokens": 1,
        "echelon.usage.source": "reported"
      })
      expect(spans[1]?.events).toEqual([
        ["echelon.cooldown", { "echelon.instance": "a", "echelon.cooldown": 1 }],
        [
          "echelon.failover",
          {
            "echelon.from": "a",
            "echelon.to": "b",
            "echelon.echelon": "chat.echelon2",
            "error.type": "RateLimited",
            "echelon.failover.kind": "echelon_down"
          }
        ]
      ])
      expect(spans[2]?.attributes).toMatchObject({ "error.type": "RateLimited", "echelon.outcome": "failed" })
      expect(spans[3]?.attributes).toEqual({
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "unknown",
        "gen_ai.request.model": "wire-b",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.top_p": 0.1,
        "gen_ai.request.top_k": 3,
        "gen_ai.request.seed": 7,
        "gen_ai.response.finish_reasons": ["stop"],
        "gen_ai.usage.input_tokens": 1,
        "gen_ai.usage.output_tokens": 1,
        "echelon.usage.source": "reported",
        "echelon.instance": "b",
        "echelon.echelon": "chat.echelon2",
        "echelon.kind": "call",
        "echelon.outcome": "completed"
      })
    }),
    { a: rateLimited }
  )
})

it.effect("a trace from outside is gone on with, and who is asked is told of the attempt", () => {
  const { spans, tracer } = recording()
  const scripted = plans.scripts({})
  const headers: Array<string | undefined> = []
  const outside = Tracer.externalSpan({ traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" })
  return run(
    planOf(),
    Effect.gen(function* () {
      const control = yield* Control.Control
      yield* control.observe({ onAttemptEnd: (_, { traceparent }) => headers.push(traceparent) })
      yield* ask().pipe(Effect.withParentSpan(outside), Effect.withTracer(tracer))
      expect(spans.map(({ traceId }) => traceId)).toEqual([outside.traceId, outside.traceId])
      expect(Option.getOrUndefined(spans[0]?.parent ?? Option.none())).toBe(outside)
      expect(headers).toEqual([`00-${outside.traceId}-${spans[1]?.spanId}-01`])
      // Without a tracer of its own the trace is carried on all the same.
      yield* ask().pipe(Effect.withParentSpan(outside))
      expect(headers[1]).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/)
      // Ids that a caller made up are no header.
      const forged = Tracer.externalSpan({ traceId: "x\r\nauthorization: y", spanId: "1" })
      yield* ask().pipe(Effect.withParentSpan(forged))
      expect(headers[2]).toBeUndefined()
    }),
    {},
    scripted
  )
})

it.effect("who is not sampled makes no span, and says so to who is asked", () => {
  const { spans, tracer } = recording()
  const headers: Array<string | undefined> = []
  const outside = { traceId: "0af7651916cd43dd8448eb211c80319c", spanId: "b7ad6b7169203331" }
  const chances = [0.24, 0.26, 0.9]
  return run(
    planOf({ tracing: { sampleRatio: 0.25 } }),
    Effect.gen(function* () {
      const control = yield* Control.Control
      yield* control.observe({ onAttemptEnd: (_, { traceparent }) => headers.push(traceparent) })
      for (const chance of chances) {
        yield* ask().pipe(
          Effect.withTracer(tracer),
          Effect.provideService(Random.Random, { nextDoubleUnsafe: () => chance, nextIntUnsafe: () => 0 })
        )
      }
      expect(spans.length).toBe(2)
      expect(headers.map((header) => header?.slice(-2))).toEqual(["01", "00", "00"])
      // A parent decides, whatever the ratio is.
      for (const sampled of [true, false]) {
        yield* ask().pipe(
          Effect.withParentSpan(Tracer.externalSpan({ ...outside, sampled })),
          Effect.withTracer(tracer),
          Effect.provideService(Random.Random, {
            nextDoubleUnsafe: () => (sampled ? 0.9 : 0.1),
            nextIntUnsafe: () => 0
          })
        )
      }
      expect(spans.length).toBe(4)
      expect(headers[4]).toBe(`00-${outside.traceId}-${outside.spanId}-00`)
      yield* ask().pipe(
        Effect.withTracer(tracer),
        Effect.provideService(References.TracerEnabled, false),
        Effect.provideService(Random.Random, { nextDoubleUnsafe: () => 0, nextIntUnsafe: () => 0 })
      )
      expect([spans.length, headers[5]]).toEqual([4, undefined])
    })
  )
})

it.effect("switched off nobody listens; a change of the plan switches it on, and off", () => {
  const { spans, tracer } = recording()
  return run(
    planOf({ tracing: { enabled: false } }),
    Effect.gen(function* () {
      const { registry, swap } = yield* Interpreter.Interpreter
      const counted = () => Effect.map(Effect.withTracer(ask(), tracer), () => spans.length)
      expect([registry.observers.isIdle(), yield* counted()]).toEqual([true, 0])
      yield* swap(planOf())
      expect(yield* counted()).toBe(2)
      yield* swap(planOf({ tracing: { enabled: false } }))
      expect([registry.observers.isIdle(), yield* counted()]).toEqual([true, 2])
    })
  )
})

it.effect("without a tracer nothing is made, and the observation has no trace", () =>
  run(
    planOf(),
    Effect.gen(function* () {
      const control = yield* Control.Control
      const seen: Array<unknown> = []
      yield* control.observe({
        onEnd: ({ attempts, traceId }) => seen.push(traceId, attempts[0]?.span, attempts[0]?.traceparent)
      })
      yield* ask()
      expect(seen).toEqual([undefined, undefined, undefined])
    })
  )
)

it.effect("a stream that is left early is interrupted, with its attempt, and not failed", () => {
  const { told, tracer } = recording()
  return run(
    planOf(),
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const reply = yield* Orchestrator.open(input({ groupName: "chat" })).pipe(
        Scope.provide(scope),
        Effect.withTracer(tracer)
      )
      expect(outline(told())).toEqual(["- > chat chat: open", "chat chat > chat wire-a: open"])
      yield* Stream.runDrain(Stream.take(reply.parts, 2))
      yield* Scope.close(scope, Exit.void)
      const spans = told()
      expect(outline(spans)).toEqual(["- > chat chat: Interrupt", "chat chat > chat wire-a: Interrupt"])
      expect(spans[1]?.attributes).toMatchObject({ "gen_ai.request.stream": true, "echelon.outcome": "cancelled" })
      expect(spans[0]?.attributes["error.type"]).toBeUndefined()
    })
  )
})

it.effect("time is that of the clock: waiting in the queue is told, and so is the first output", () => {
  const { spans, told, tracer } = recording()
  return run(
    planOf(),
    Effect.gen(function* () {
      const begin = Effect.forkChild(Effect.withTracer(ask({ wrapperName: "w" }), tracer), { startImmediately: true })
      const first = yield* begin
      const second = yield* begin
      const third = yield* Effect.exit(Effect.withTracer(ask({ wrapperName: "w" }), tracer))
      expect(Exit.isFailure(third)).toBe(true)
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(first)
      yield* Fiber.join(second)
      const requests = told().filter(({ name }) => name === "chat w")
      expect(requests.map(({ attributes, end }) => [end, attributes["echelon.queue.wait"]])).toEqual([
        ["ok", undefined],
        ["ok", 1],
        ["QueueFull", undefined]
      ])
      expect(requests[1]?.events).toEqual([["echelon.admitted", { "echelon.queue.wait": 1 }]])
      const status = spans.find(({ name }) => name === "chat wire-a")?.status
      expect(status?._tag === "Ended" ? status.endTime - status.startTime : 0n).toBe(1_000_000_000n)
    }),
    { a: slow }
  )
})

it.effect("of a hedge the loser is interrupted, under the same request", () => {
  const { told, tracer } = recording()
  const hedge = { percentile: 0.5, minDelay: 500, budget: 1 }
  let silent = 0
  const script = () => {
    silent -= 1
    return silent === 0 ? [ScriptedLlm.never] : ScriptedLlm.text("well")
  }
  return run(
    planOf({ echelon: { hedge } }),
    Effect.gen(function* () {
      yield* Effect.repeat(ask({ groupName: "pair" }), { times: 20 })
      silent = 1
      const fiber = yield* Effect.forkChild(Effect.withTracer(ask({ groupName: "pair" }), tracer), {
        startImmediately: true
      })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      const [request, first, second] = told()
      expect([request?.end, first?.end, second?.end]).toEqual(["ok", "Interrupt", "ok"])
      expect([first?.parent, second?.parent]).toEqual(["chat pair", "chat pair"])
      expect(second?.attributes["echelon.kind"]).toBe("hedge")
      const [a, b] = [first?.attributes["echelon.instance"], second?.attributes["echelon.instance"]]
      expect(request?.events).toEqual([
        ["echelon.hedge", { "echelon.from": a, "echelon.to": b, "echelon.echelon": "pair.echelon1" }]
      ])
    }),
    { a: script, b: script }
  )
})

it.effect("a stream that breaks and goes on elsewhere is one request, and the seam is told", () => {
  const { told, tracer } = recording()
  return run(
    planOf({ group: { onInterrupt: ["restart"] } }),
    Effect.gen(function* () {
      const text = yield* Orchestrator.stream(input({ groupName: "chat" })).pipe(
        Stream.runFold(
          () => "",
          (sum, part) => (part.type === "text-delta" ? sum + part.delta : sum)
        ),
        Effect.withTracer(tracer)
      )
      expect(text).toBe("one two three")
      const spans = told()
      expect(outline(spans)).toEqual([
        "- > chat chat: ok",
        "chat chat > chat wire-a: MalformedOutput",
        "chat chat > chat wire-b: ok"
      ])
      expect(spans[0]?.events.map(([name, attributes]) => [name, attributes["echelon.resume.mode"]])).toEqual([
        ["echelon.resume", "restart"]
      ])
      expect(spans[1]?.attributes["gen_ai.response.finish_reasons"]).toBeUndefined()
    }),
    { a: () => ScriptedLlm.truncated("one two "), b: () => ScriptedLlm.text("one two three") }
  )
})

it.effect("who is out is told as passed over, with the reason, once", () => {
  const { told, tracer } = recording()
  return run(
    planOf(),
    Effect.gen(function* () {
      const control = yield* Control.Control
      const traced = Effect.withTracer(ask(), tracer)
      const events = () => told().findLast(({ parent }) => parent === undefined)?.events
      const over = (why: object) => [
        "echelon.passed_over",
        { "echelon.instance": "a", "echelon.echelon": "chat.echelon1", ...why }
      ]
      yield* traced
      expect(events()).toEqual([])
      yield* control.drain("a")
      yield* traced
      expect(events()).toEqual([over({ "echelon.reason": "drained" })])
      yield* control.undrain("a")
      yield* control.force({ instance: "a" }, "open")
      yield* traced
      expect(events()).toEqual([over({ "echelon.reason": "breaker" })])
      yield* control.drain("b")
      const error = yield* Effect.flip(traced)
      expect([error.reason._tag, events()?.length]).toEqual(["NoCapacity", 2])
      yield* control.undrain("b")
      yield* control.release({ instance: "a" })
      yield* traced
      expect(events()).toEqual([])
    })
  )
})

it.effect("a failure that puts an instance out is told with it, and the next request passes that over", () => {
  const { told, tracer } = recording()
  return run(
    planOf(),
    Effect.gen(function* () {
      const traced = Effect.withTracer(ask(), tracer)
      yield* traced
      yield* traced
      yield* traced
      const requests = told().filter(({ parent }) => parent === undefined)
      expect(requests.map(({ events }) => events.map(([name]) => name))).toEqual([
        ["echelon.failover"],
        ["echelon.breaker", "echelon.failover"],
        ["echelon.passed_over"]
      ])
      expect(requests[1]?.events[0]?.[1]).toEqual({
        "echelon.instance": "a",
        "echelon.group": "chat",
        "echelon.breaker.state": "open"
      })
    }),
    { a: () => [ScriptedLlm.fail({ _tag: "ProviderError" })] }
  )
})

it.effect("an answer from the cache used nothing and asked nobody", () => {
  const { told, tracer } = recording()
  return run(
    planOf({ pool: { cache: { ttl: 60_000, capacity: 10 } } }),
    Effect.gen(function* () {
      const traced = Effect.withTracer(ask(), tracer)
      yield* traced
      yield* Effect.yieldNow
      yield* traced
      const [request, hit] = told().slice(-2)
      expect(hit).toMatchObject({ name: "chat wire-a", kind: "internal", end: "ok" })
      expect(hit?.attributes["echelon.kind"]).toBe("cache")
      expect(Object.keys(hit?.attributes ?? {}).filter((key) => key.startsWith("gen_ai.usage"))).toEqual([])
      expect(request?.attributes["echelon.cost"]).toBe(0)
      expect(request?.events).toEqual([])
    })
  )
})

it.effect("spans of whoever is asked stand under the attempt", () => {
  const { told, tracer } = recording()
  const answer: ReadonlyArray<Part.Part> = [
    { type: "text-delta", id: "0", delta: "hello" },
    { type: "finish", reason: "stop", usage: { inputTokens: {}, outputTokens: {} } }
  ]
  const layer = Layer.merge(
    Layer.succeed(InstanceFactory.InstanceFactory, {
      make: ({ model, name }) =>
        Effect.succeed({
          llm: Llm.make({
            id: name,
            model: model.model,
            open: () =>
              Effect.sync(() => {
                let rest = answer
                return Effect.suspend((): Llm.Source => {
                  const [first, ...others] = rest
                  rest = []
                  return first === undefined ? Cause.done() : Effect.succeed([first, ...others] as const)
                })
              }).pipe(Effect.withSpan("inner"))
          }),
          probe: Effect.succeed(Duration.zero)
        })
    }),
    Layer.succeed(Clients.Clients, { get: () => Effect.die("no direct calls here") })
  )
  return run(
    planOf(),
    Effect.gen(function* () {
      yield* Effect.withTracer(ask(), tracer)
      expect(outline(told())).toEqual(["- > chat pool: ok", "chat pool > chat wire-a: ok", "chat wire-a > inner: ok"])
    }),
    {},
    { ...plans.scripts({}), layer }
  )
})

it.effect("where there is an exporter, spans go there", () => {
  const { told, tracer } = recording()
  const other = recording()
  return run(
    planOf(),
    Effect.gen(function* () {
      yield* ask().pipe(Effect.withSpan("mine"), Effect.withTracer(other.tracer))
      expect(other.told().map(({ name }) => name)).toEqual(["mine"])
      expect(outline(told())).toEqual([`${other.spans[0]?.spanId} > chat pool: ok`, "chat pool > chat wire-a: ok"])
    })
  ).pipe(Effect.provideService(Tracing.Target, () => tracer))
})

it.effect("prompts and answers are shown only where that was asked for", () => {
  const planted = "planted-prompt"
  const shown = (content: boolean) => {
    const { told, tracer } = recording()
    return run(
      planOf({ tracing: { content } }),
      Effect.map(
        Effect.withTracer(
          ask(
            { poolName: "pool" },
            {
              prompt: [
                { role: "system", content: `${planted} system` },
                { role: "user", content: [{ type: "text", text: `${planted} user` }] },
                { role: "assistant", content: [{ type: "tool-call", id: "1", name: "f", params: { x: planted } }] },
                {
                  role: "tool",
                  content: [{ type: "tool-result", id: "1", name: "f", isFailure: false, result: planted }]
                }
              ],
              settings: { stop: [planted] }
            }
          ),
          tracer
        ),
        () => told()
      ),
      { a: rateLimited, b: () => ScriptedLlm.text(`${planted} answer`) }
    )
  }
  return Effect.gen(function* () {
    expect(JSON.stringify(yield* shown(false))).not.toContain(planted)
    const spans = yield* shown(true)
    expect(JSON.stringify(spans[0])).not.toContain(planted)
    const attributes = spans[2]?.attributes ?? {}
    expect(JSON.parse(String(attributes["gen_ai.system_instructions"]))).toEqual([
      { type: "text", content: `${planted} system` }
    ])
    expect(JSON.parse(String(attributes["gen_ai.input.messages"]))).toEqual([
      { role: "user", parts: [{ type: "text", content: `${planted} user` }] },
      { role: "assistant", parts: [{ type: "tool_call", id: "1", name: "f", arguments: { x: planted } }] },
      { role: "tool", parts: [{ type: "tool_call_response", id: "1", response: planted }] }
    ])
    expect(JSON.parse(String(attributes["gen_ai.output.messages"]))).toEqual([
      { role: "assistant", parts: [{ type: "text", content: `${planted} answer` }], finish_reason: "stop" }
    ])
    expect(attributes["gen_ai.request.stop_sequences"]).toEqual([planted])
    // What failed without output has none to show.
    expect(spans[1]?.attributes["gen_ai.output.messages"]).toBeUndefined()
  })
})

it.effect("an attempt that is there when its request has ended is traced to its end", () => {
  const { told, tracer } = recording()
  return run(
    planOf({ pool: { coalesce: true } }),
    Effect.gen(function* () {
      const begin = Effect.forkChild(Effect.withTracer(ask(), tracer), { startImmediately: true })
      const leader = yield* begin
      const follower = yield* begin
      yield* Fiber.interrupt(leader)
      expect(outline(told())).toEqual([
        "- > chat pool: Interrupt",
        "chat pool > chat wire-a: open",
        "- > chat pool: open"
      ])
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(follower)
      const spans = told()
      expect(outline(spans).slice(1, 3)).toEqual(["chat pool > chat wire-a: ok", "- > chat pool: ok"])
      expect(spans[3]?.attributes["echelon.kind"]).toBe("coalesced")
    }),
    { a: slow }
  )
})

it.effect("an error's words are in no span", () => {
  const { told, tracer } = recording()
  const detail = "planted-detail"
  return run(
    planOf(),
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.withTracer(ask({ groupName: "chat.echelon2" }), tracer))
      expect(error.message).toContain(detail)
      expect(JSON.stringify(told(), (_, value) => (typeof value === "bigint" ? String(value) : value))).not.toContain(
        detail
      )
      expect(told().map(({ end }) => end)).toEqual(["InvalidRequest", "InvalidRequest"])
    }),
    { b: () => [ScriptedLlm.fail(LlmError.make({ reason: { _tag: "InvalidRequest" }, detail }))] }
  )
})
