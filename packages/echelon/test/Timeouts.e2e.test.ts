/** Every clock, from the configuration to the socket: the error names it, and the server sees its connection closed. */
import { type LlmError, type LlmRequest, Orchestrator } from "@echelon/echelon"
import { FaultServer } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Cause, Duration, Effect, Exit, Fiber, Result, Stream } from "effect"
import * as FullListener from "./support/FullListener.ts"
import * as HandServer from "./support/HandServer.ts"
import * as World from "./support/World.ts"

const { keepAlive, ok, silence, stall, status, withSlowFirstToken, withSlowHead, withSlowHeaders } = FaultServer

const models = ["a", "b", "c"].map((name) => `[llms.provider.${name}.models.m]\nmodel = "${name}"\n`)

/** One instance with these clocks, whose breaker opens at the first failure, and another behind it. */
const config = (clocks: string, more = "") => `
${models[0]}
${models[1]}
[llms.groups.g]
echelon1 = { models = ["a-m"], max_retries = 0, ${clocks} }
echelon2 = { models = ["b-m"], max_retries = 0, ${clocks} }
fallback_config = { circuit_breaker = { failure_threshold = 1, recovery_time = 60 } }
[llms.groups.one]
echelon1 = { models = ["a-m"], max_retries = 0, ${clocks} }
fallback_config = { circuit_breaker = { failure_threshold = 1, recovery_time = 60 } }
${more}`

const clockOf = (error: LlmError.LlmError | undefined) => {
  if (error === undefined || error.reason._tag !== "Timeout") return error?.reason._tag
  const { clock, limit, shortened } = error.reason
  return `${clock} ${Duration.toMillis(limit)}${shortened ? " shortened" : ""}`
}

const well = (name: string) => `${name} says one two three`

// --- before commit ----------------------------------------------------------------------------------------------

interface Row {
  readonly name: string
  readonly clocks: string
  readonly fault: FaultServer.Behaviour
  readonly metadata?: LlmRequest.Metadata
  /** The clock and its length; a pair of buffered and streamed where they differ. */
  readonly expected: string | readonly [buffered: string, streamed: string]
}

const rows: ReadonlyArray<Row> = [
  { name: "attempt: silence", clocks: "timeout = 30", fault: silence, expected: "attempt 30000" },
  {
    name: "attempt: a slow head",
    clocks: "timeout = 30",
    fault: withSlowHead(ok(), "31 seconds"),
    expected: "attempt 30000"
  },
  {
    name: "attempt: a head that stops in its middle",
    clocks: "timeout = 30",
    fault: withSlowHeaders(ok(), "31 seconds"),
    expected: "attempt 30000"
  },
  {
    name: "attempt: comments and pings are no output",
    clocks: "timeout = 5",
    fault: keepAlive({ every: "1 second" }),
    expected: "attempt 5000"
  },
  {
    name: "attempt: a byte a second is no answer",
    clocks: "timeout = 5",
    fault: FaultServer.withTrickle(ok(), "1 second"),
    expected: "attempt 5000"
  },
  {
    name: "ttft: only a stream has a first output",
    clocks: "timeout = 30, ttft_timeout = 5",
    fault: withSlowFirstToken(ok(), "31 seconds"),
    expected: ["attempt 30000", "ttft 5000"]
  },
  {
    name: "ttft: comments and pings do not stop it",
    clocks: "timeout = 30, ttft_timeout = 5",
    fault: keepAlive({ every: "4 seconds" }),
    expected: ["attempt 30000", "ttft 5000"]
  },
  {
    name: "ttft: a buffered request that goes out as a stream",
    clocks: 'timeout = 30, ttft_timeout = 5, upstream = "stream"',
    fault: withSlowFirstToken(ok(), "31 seconds"),
    expected: "ttft 5000"
  },
  {
    name: "idle: a stream that is kept until it is whole",
    clocks: 'timeout = 30, idle_timeout = 10, upstream = "stream"',
    metadata: { commit: "finish" },
    fault: stall({ after: 2 }),
    expected: "idle 10000"
  },
  {
    name: "stream: before commit too",
    clocks: "timeout = 30, stream_timeout = 10",
    fault: silence,
    expected: ["attempt 30000", "stream 10000"]
  }
]

for (const row of rows)
  World.everywhere(row.name, (protocol, mode) =>
    Effect.gen(function* () {
      const { clocks, expected, fault, metadata } = row
      const clock = typeof expected === "string" ? expected : expected[mode === "buffered" ? 0 : 1]
      const at = Number(clock.split(" ")[1])
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: [fault, ok(), fault], b: [] },
        toml: config(clocks)
      })
      const outcome = yield* world.ask({ metadata: { ...metadata, groupName: "one" } }, [{ to: at, requests: 1 }])
      expect([clockOf(outcome.error), ...outcome.attempts]).toEqual([clock, "a-m Timeout @0"])
      expect(world.server("a").seen()).toMatchObject([{ aborted: true, closedAt: at }])
      // The breaker has heard of it: the next request is answered elsewhere, later ones here again.
      const refused = yield* world.ask({ metadata: { groupName: "one" } })
      expect([refused.end, refused.retryAt]).toEqual(["NoCapacity", at + 60_000])
      yield* world.time.set(at + 60_000)
      expect((yield* world.ask({ metadata: { groupName: "one" } })).text).toBe(well("a"))
      // In its group the next echelon goes on, when the clock has run out and not before.
      const base = at + 60_000
      const step = { to: base + at, requests: 3 }
      const answered = yield* world.ask({ metadata: { ...metadata, groupName: "g" } }, [step])
      expect([answered.text, ...answered.attempts]).toEqual([
        well("b"),
        `a-m Timeout @${base}`,
        `b-m completed @${base + at}`
      ])
    })
  )

// --- after commit -----------------------------------------------------------------------------------------------

World.everywhere(
  "idle: silence after output",
  (protocol, mode) =>
    Effect.gen(function* () {
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: [stall({ after: 2 })], b: [] },
        toml: config("timeout = 5, idle_timeout = 10")
      })
      const outcome = yield* world.ask({ metadata: { groupName: "g" } }, [{ to: 10_000, text: "a says" }])
      expect([clockOf(outcome.error), outcome.error?.delivered]).toEqual(["idle 10000", "a says"])
      expect(world.server("a").seen()).toMatchObject([{ aborted: true, closedAt: 10_000 }])
      expect((yield* world.ask({ metadata: { groupName: "g" } })).attempts).toEqual(["b-m completed @10000"])
    }),
  "streamed"
)

World.everywhere(
  "stream: a stream that is alive is cut when it has had its time",
  (protocol, mode) =>
    Effect.gen(function* () {
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: [stall({ after: 2 })], b: [] },
        toml: config("timeout = 5, idle_timeout = 10, stream_timeout = 7")
      })
      const outcome = yield* world.ask({ metadata: { groupName: "g" } }, [{ to: 7_000, text: "a says" }])
      expect([clockOf(outcome.error), outcome.error?.delivered]).toEqual(["stream 7000", "a says"])
      expect(world.server("a").seen()).toMatchObject([{ aborted: true, closedAt: 7_000 }])
    }),
  "streamed"
)

const events = {
  openai: {
    start: "",
    text: (text: string) => `data: ${JSON.stringify({ choices: [{ index: 0, delta: { content: text } }] })}\n\n`,
    ping: ": a comment\n\n"
  },
  anthropic: {
    start: `event: message_start\ndata: ${JSON.stringify({ type: "message_start", message: { id: "m", content: [] } })}\n\nevent: content_block_start\ndata: ${JSON.stringify({ type: "content_block_start", index: 0, content_block: { type: "text", text: "" } })}\n\n`,
    text: (text: string) =>
      `event: content_block_delta\ndata: ${JSON.stringify({ type: "content_block_delta", index: 0, delta: { type: "text_delta", text } })}\n\n`,
    ping: 'event: ping\ndata: {"type":"ping"}\n\n'
  }
} as const

World.everywhere(
  "idle: events and pings begin it anew, comments do not",
  (protocol, mode) =>
    Effect.gen(function* () {
      const hand = yield* HandServer.make
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: [] },
        addresses: { a: hand.url },
        toml: `${models[0]}[llms.groups.g]\nechelon1 = { models = ["a-m"], max_retries = 0, idle_timeout = 10 }\n`
      })
      const asking = yield* world.begin({ metadata: { groupName: "g" } })
      yield* hand.begin
      yield* hand.write(events[protocol].start + events[protocol].text("one"))
      yield* asking.untilText("one")
      yield* world.time.until((pending) => pending.includes(10_000))
      yield* world.time.set(9_000)
      // What comes together is taken together: once the text is here, so is what stood before it.
      yield* hand.write(events[protocol].text(" two"))
      yield* asking.untilText("one two")
      yield* world.time.set(18_000)
      yield* hand.write(events[protocol].ping)
      if (protocol === "anthropic") {
        // A ping shows nowhere but in the time that is waited for.
        yield* world.time.until((pending) => pending.includes(19_000))
        yield* world.time.set(19_000)
        yield* world.time.until((pending) => pending.includes(28_000))
        yield* world.time.set(28_000)
      } else {
        yield* world.time.until((pending) => pending.includes(19_000))
        yield* world.time.set(19_000)
      }
      const outcome = yield* Fiber.join(asking.fiber)
      expect([clockOf(outcome.error), outcome.text]).toEqual(["idle 10000", "one two"])
      expect(world.time.now()).toBe(protocol === "anthropic" ? 28_000 : 19_000)
      yield* hand.gone
    }),
  "streamed"
)

World.everywhere(
  "consumer idle: who does not read gives the place back",
  (protocol, mode) =>
    Effect.gen(function* () {
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: [stall({ after: 2 }), ok()], b: [] },
        toml: config("timeout = 5, idle_timeout = 10, consumer_idle_timeout = 25")
      })
      yield* Effect.orDie(
        world.run(
          Effect.scoped(
            Effect.gen(function* () {
              const reply = yield* Orchestrator.open({ prompt: "hi", metadata: { groupName: "g" } })
              const pull = yield* Stream.toPull(reply.parts)
              yield* pull
              // Nobody pulls: the idle clock stands still.
              yield* world.time.advance(25_000)
              yield* world.server("a").fault.waitFor((server) => server.open() === 0)
              expect(world.server("a").seen()).toMatchObject([{ aborted: true, closedAt: 25_000 }])
              const ended = yield* Effect.exit(pull)
              const failure = Exit.isFailure(ended) ? Result.getOrUndefined(Cause.findFail(ended.cause)) : undefined
              const error = failure?.error as LlmError.LlmError
              expect([clockOf(error), error.delivered?.startsWith("a")]).toEqual(["consumer_idle 25000", true])
            })
          )
        )
      )
      yield* world.rest
      // The instance is not to blame.
      expect((yield* world.ask({ metadata: { groupName: "g" } })).attempts).toEqual(["a-m completed @25000"])
    }),
  "streamed"
)

World.everywhere(
  "idle: it stands still while nobody reads, and begins anew with the next pull",
  (protocol, mode) =>
    Effect.gen(function* () {
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: [FaultServer.cut({ after: 2, wait: "21 seconds", closingChunk: true })], b: [] },
        toml: config("timeout = 5, idle_timeout = 10, consumer_idle_timeout = 60")
      })
      yield* Effect.orDie(
        world.run(
          Effect.scoped(
            Effect.gen(function* () {
              const reply = yield* Orchestrator.open({ prompt: "hi", metadata: { groupName: "g" } })
              const pull = yield* Stream.toPull(reply.parts)
              yield* pull
              yield* world.time.advance(5_000)
              yield* world.time.set(12_000)
              const reading = yield* Effect.forkChild(Effect.exit(Effect.forever(pull)), { startImmediately: true })
              // It would end at 22 seconds, and what the server does at 21 comes before.
              yield* world.time.advance(21_000)
              const ended = yield* Fiber.join(reading)
              const failure = Exit.isFailure(ended) ? Result.getOrUndefined(Cause.findFail(ended.cause)) : undefined
              expect(clockOf(failure?.error as LlmError.LlmError)).toBe("MalformedOutput")
              expect(world.time.now()).toBe(21_000)
            })
          )
        )
      )
    }),
  "streamed"
)

// --- connect ----------------------------------------------------------------------------------------------------

// The one clock that is the machine's: it is the connection pool's. Neither protocol nor mode matter to it.
it.effect("connect: a connection that is never made is the network's, and another instance answers", () =>
  Effect.gen(function* () {
    const port = yield* FullListener.make
    const world = yield* World.make({
      protocol: "openai",
      mode: "streamed",
      servers: { a: [], b: [] },
      addresses: { a: `http://127.0.0.1:${port}` },
      provider: { a: 'connect_timeout = "50ms"' },
      toml: config("timeout = 30")
    })
    const answered = yield* world.ask({ metadata: { groupName: "g" } })
    expect([answered.text, ...answered.attempts]).toEqual([well("b"), "a-m Network @0", "b-m completed @0"])
    expect((yield* world.ask({ metadata: { groupName: "g" } })).attempts).toEqual(["b-m completed @0"])
    yield* world.time.set(60_000)
    const alone = yield* world.ask({ metadata: { groupName: "one" } })
    expect(alone.error?.reason).toEqual({ _tag: "Network", kind: "connect_timeout" })
    expect(alone.attempts).toEqual(["a-m Network @60000"])
  })
)

// --- the deadline -----------------------------------------------------------------------------------------------

const deadline = (clocks: string) => `
${models.join("")}
[llms.groups.g]
echelon1 = { models = ["a-m"], ${clocks} }
echelon2 = { models = ["b-m"], ${clocks} }
echelon3 = { models = ["c-m"], ${clocks} }
fallback_config = { circuit_breaker = { failure_threshold = 1 } }
[llms.polling_pools.p]
task_groups = ["g"]
[llms.wrappers.w]
type = "pool"
default_config = { pool_name = "p" }
performance = { request_timeout = 12, max_concurrent_requests = 1, queue_size = 1 }
`

const inWrapper = { metadata: { wrapperName: "w" } }

World.everywhere("deadline: silent tiers share what is left, the last has all of it", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [silence], b: [silence], c: [silence] },
      toml: deadline("timeout = 60")
    })
    const outcome = yield* world.ask(
      inWrapper,
      [4_000, 8_000, 12_000].map((to, i) => ({ to, requests: i + 1 }))
    )
    expect(outcome.attempts).toEqual(["a-m Timeout @0", "b-m Timeout @4000", "c-m DeadlineExceeded @8000"])
    expect(outcome.end).toBe("DeadlineExceeded")
    for (const [name, closedAt] of [
      ["a", 4_000],
      ["b", 8_000],
      ["c", 12_000]
    ] as const)
      expect(world.server(name).seen()).toMatchObject([{ aborted: true, closedAt }])
    // A clock that the deadline made shorter is no fault of the instance.
    expect((yield* world.ask(inWrapper)).attempts).toEqual(["a-m completed @12000"])
  })
)

World.everywhere("deadline: a silent tier leaves time for the next, whose answer comes", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [silence], b: [], c: [] },
      toml: deadline("timeout = 60")
    })
    const outcome = yield* world.ask(inWrapper, [{ to: 4_000, requests: 1 }])
    expect([outcome.text, ...outcome.attempts]).toEqual([well("b"), "a-m Timeout @0", "b-m completed @4000"])
  })
)

World.everywhere("deadline: a request's own comes on top, and the shorter counts", (protocol, mode) =>
  Effect.gen(function* () {
    for (const [timeout, at] of [
      ["3 seconds", 3_000],
      ["60 seconds", 12_000]
    ] as const) {
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: [silence], b: [silence], c: [silence] },
        toml: deadline("timeout = 60")
      })
      const outcome = yield* world.ask(
        { metadata: { wrapperName: "w", timeout } },
        [at / 3, (2 * at) / 3, at].map((to, i) => ({ to, requests: i + 1 }))
      )
      expect([outcome.end, world.time.now()]).toEqual(["DeadlineExceeded", at])
    }
  })
)

World.everywhere("deadline: nobody waits for a repeat that would come too late", (protocol, mode) =>
  Effect.gen(function* () {
    const limited = FaultServer.forever(status(429, { retryAfter: "5" }))
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [limited], b: [limited], c: [limited] },
      toml: deadline("timeout = 60")
    })
    const outcome = yield* world.ask({ metadata: { wrapperName: "w", timeout: "4 seconds" } })
    expect([outcome.end, outcome.retryAt, world.time.now()]).toEqual(["RateLimited", 5_000, 0])
    expect(outcome.attempts).toEqual(["a-m RateLimited @0", "b-m RateLimited @0", "c-m RateLimited @0"])
  })
)

World.everywhere("deadline: waiting in the queue counts, and nobody is asked after it", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [withSlowHead(ok(), "11 seconds"), silence], b: [], c: [] },
      toml: deadline("timeout = 60, ttft_timeout = 60")
    })
    const first = yield* world.begin(inWrapper)
    yield* world.server("a").fault.waitFor((server) => server.requests().length === 1)
    const second = yield* world.begin({ metadata: { wrapperName: "w", timeout: "5 seconds" } })
    yield* world.steps(second, [{ to: 5_000 }])
    const late = yield* Fiber.join(second.fiber)
    expect([late.end, late.attempts]).toEqual(["DeadlineExceeded", []])
    yield* world.steps(first, [{ to: 11_000 }])
    expect((yield* Fiber.join(first.fiber)).text).toBe(well("a"))
    yield* world.rest
    expect(world.server("a").seen()).toHaveLength(1)
  })
)

World.everywhere("a clock that the caller made shorter is no fault of the instance", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [silence], b: [] },
      toml: config('timeout = 30, upstream = "stream"')
    })
    const metadata = { groupName: "g", ttftTimeout: "2 seconds" } as const
    const outcome = yield* world.ask({ metadata }, [{ to: 2_000, requests: 1 }])
    expect([outcome.text, ...outcome.attempts]).toEqual([well("b"), "a-m Timeout @0", "b-m completed @2000"])
    expect((yield* world.ask({ metadata: { groupName: "g" } })).attempts).toEqual(["a-m completed @2000"])
  })
)
