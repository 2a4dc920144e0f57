/** What a failure means for other requests: cooldowns, breakers, panic, the queue. From the configuration to the socket. */
import { FaultServer } from "@echelon/testing"
import { expect } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { inPair, pair, times, well } from "./support/Pair.ts"
import * as World from "./support/World.ts"

const { cut, ok, silence, stall, status, withSlowHead } = FaultServer

// --- cooldowns --------------------------------------------------------------------------------------------------

World.everywhere("of two cooldowns the later time wins, in either order", (protocol, mode) =>
  Effect.gen(function* () {
    for (const waits of [
      ["60", "1"],
      ["1", "59"]
    ] as const) {
      const [first, second] = waits.map((retryAfter) => status(429, { retryAfter }))
      if (first === undefined || second === undefined) return
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: [withSlowHead(first, "1 second"), withSlowHead(second, "2 seconds")], b: [] },
        toml: pair()
      })
      const one = yield* world.begin(inPair)
      yield* world.server("a").fault.waitFor((server) => server.requests().length === 1)
      const two = yield* world.begin(inPair)
      yield* world.steps(two, [
        { to: 1_000, requests: 2 },
        { to: 2_000, requests: 3 }
      ])
      for (const { fiber } of [one, two]) expect((yield* Fiber.join(fiber)).text).toBe(well("b"))
      yield* world.rest
      yield* world.time.set(60_999)
      expect((yield* world.ask(inPair)).text).toBe(well("b"))
      yield* world.time.set(61_000)
      expect((yield* world.ask(inPair)).text).toBe(well("a"))
    }
  })
)

World.everywhere("an unnamed cooldown doubles up to a minute, until a success", (protocol, mode) =>
  Effect.gen(function* () {
    const limits = Array.from({ length: 8 }, () => status(429))
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [...limits, ok(), status(429)], b: [] },
      toml: pair()
    })
    let at = 0
    for (const wait of [1, 2, 4, 8, 16, 32, 60, 60, undefined, 1, undefined]) {
      yield* world.time.set(at)
      const { attempts } = yield* world.ask(inPair)
      expect(attempts[0]).toBe(`a-m ${wait === undefined ? "completed" : "RateLimited"} @${at}`)
      if (wait === undefined) continue
      at += wait * 1_000
      yield* world.time.set(at - 1)
      expect((yield* world.ask(inPair)).attempts).toEqual([`b-m completed @${at - 1}`])
    }
  })
)

World.everywhere("a named wait is held to the provider's ceiling, and to whom the limit is shared", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [status(429, { retryAfter: "1000000000" })], b: [status(429, { retryAfter: "5" })] },
      toml: `
[llms.provider.a.models]
m = { model = "m" }
n = { model = "n" }
[llms.provider.b.models]
m = { model = "m" }
n = { model = "n" }
[llms.groups.g]
echelon1 = { models = ["a-m", "a-n", "b-m", "b-n"], rotation_strategy = "priority", max_retries = 9 }
`,
      provider: { a: 'max_cooldown = 120\nlimit_scope = "credential"' }
    })
    const ask = (at: number) =>
      Effect.andThen(
        world.time.set(at),
        Effect.map(world.ask({ metadata: { groupName: "g" } }), (one) => one.attempts)
      )
    // The credential's other model is passed over with it; at the other provider a model is limited alone.
    expect(yield* ask(0)).toEqual(["a-m RateLimited @0", "b-m RateLimited @0", "b-n completed @0"])
    expect(yield* ask(4_999)).toEqual(["b-n completed @4999"])
    expect(yield* ask(5_000)).toEqual(["b-m completed @5000"])
    expect(yield* ask(119_999)).toEqual(["b-m completed @119999"])
    expect(yield* ask(120_000)).toEqual(["a-m completed @120000"])
  })
)

// --- the breaker ------------------------------------------------------------------------------------------------

World.everywhere(
  "up and down on a schedule: everybody is answered, and the one that is down is not hammered",
  (protocol, mode) =>
    Effect.gen(function* () {
      let isDown = true
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: () => (isDown ? status(503) : ok()), b: [] },
        toml: pair("failure_threshold = 3, recovery_time = 60, max_recovery_time = 300")
      })
      const second = 1_000
      for (let at = 0; at <= 1_200 * second; at += 10 * second) {
        yield* world.time.set(at)
        isDown = at < 600 * second || (at >= 900 * second && at < 910 * second)
        expect((yield* world.ask(inPair)).end).toBe("stop")
      }
      const asked = times(world.server("a")).map((at) => at / second)
      // Three failures, then probes after 60, 120 and 240 seconds; it is up when the one after 300 comes.
      expect(asked.filter((at) => at < 740)).toEqual([0, 10, 20, 80, 200, 440])
      // A single failure meanwhile opens nothing.
      expect(asked.filter((at) => at >= 740)).toEqual(Array.from({ length: 47 }, (_, i) => 740 + i * 10))
    })
)

World.everywhere(
  "half-open, one request tests and the others pass over; an interrupted test frees its place",
  (protocol, mode) =>
    Effect.gen(function* () {
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: [status(503), silence, silence], b: [] },
        toml: pair()
      })
      const a = world.server("a")
      const isAsked = (n: number) => a.fault.waitFor((server) => server.requests().length === n)
      yield* world.ask(inPair)
      yield* world.time.set(60_000)
      for (const asked of [2, 3]) {
        const probe = yield* world.begin(inPair)
        yield* isAsked(asked)
        const other = yield* Effect.flatMap(world.begin(inPair), ({ fiber }) => Fiber.join(fiber))
        expect(other.attempts).toEqual(["b-m completed @60000"])
        yield* Fiber.interrupt(probe.fiber)
        yield* world.rest
        expect(a.seen().at(-1)?.aborted).toBe(true)
      }
      expect((yield* world.ask(inPair)).attempts).toEqual(["a-m completed @60000"])
      expect(times(a)).toEqual([0, 60_000, 60_000, 60_000])
    })
)

World.everywhere(
  "a test is decided at commit",
  (protocol, mode) =>
    Effect.gen(function* () {
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: [status(503), stall({ after: 2 })], b: [] },
        toml: pair()
      })
      yield* world.ask(inPair)
      yield* world.time.set(60_000)
      const probe = yield* world.begin(inPair)
      yield* probe.untilText("a says")
      const other = yield* Effect.flatMap(world.begin(inPair), ({ fiber }) => Fiber.join(fiber))
      expect(other.attempts).toEqual(["a-m completed @60000"])
      yield* Fiber.interrupt(probe.fiber)
      yield* world.rest
    }),
  "streamed"
)

World.everywhere(
  "a stream that breaks after commit is heard at its end, and opens the circuit",
  (protocol, mode) =>
    Effect.gen(function* () {
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: [cut({ after: 2, wait: "1 second" }), cut({ after: 2, wait: "1 second" })], b: [] },
        toml: pair("failure_threshold = 2")
      })
      for (const to of [1_000, 2_000]) {
        const broken = yield* world.ask(inPair, [{ to, text: "a says" }])
        expect([broken.text, broken.end, broken.error?.delivered]).toEqual(["a says", "Network", "a says"])
      }
      expect((yield* world.ask(inPair)).attempts).toEqual(["b-m completed @2000"])
    }),
  "streamed"
)

World.everywhere("a caller who leaves before commit tells the breaker nothing", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({ protocol, mode, servers: { a: [silence], b: [] }, toml: pair() })
    const a = world.server("a")
    const asking = yield* world.begin(inPair)
    yield* a.fault.waitFor((server) => server.requests().length === 1)
    yield* Fiber.interrupt(asking.fiber)
    yield* world.rest
    expect(a.seen()).toMatchObject([{ aborted: true }])
    expect((yield* world.ask(inPair)).attempts).toEqual(["a-m completed @0"])
    expect(times(world.server("b"))).toEqual([])
  })
)

World.everywhere(
  "a caller who leaves after commit had an answer",
  (protocol, mode) =>
    Effect.gen(function* () {
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: [status(503), stall({ after: 2 }), status(503)], b: [] },
        toml: pair("failure_threshold = 2")
      })
      yield* world.ask(inPair)
      const leaving = yield* world.begin(inPair)
      yield* leaving.untilText("a says")
      yield* Fiber.interrupt(leaving.fiber)
      yield* world.rest
      expect(world.server("a").seen().at(-1)?.aborted).toBe(true)
      // Two failures, but not in a row.
      yield* world.ask(inPair)
      expect((yield* world.ask(inPair)).attempts).toEqual(["a-m completed @0"])
    }),
  "streamed"
)

World.everywhere("a key that was refused is used again after a reload", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({ protocol, mode, servers: { a: [status(401)], b: [] }, toml: pair() })
    yield* world.ask(inPair)
    expect((yield* world.ask(inPair)).attempts).toEqual(["b-m completed @0"])
    yield* world.reload
    // The old plan's pools of connections are kept for as long as they may be used again.
    yield* world.time.set(30_000)
    expect((yield* world.ask(inPair)).attempts).toEqual(["a-m completed @30000"])
  })
)

World.everywhere("when breakers have put all out, one request at a time tries the least bad", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [status(503), silence], b: [status(401)] },
      toml: pair("failure_threshold = 1")
    })
    const [a, b] = [world.server("a"), world.server("b")]
    const failed = yield* world.ask(inPair)
    expect([failed.end, ...failed.attempts]).toEqual(["Overloaded", "a-m Overloaded @0", "b-m Authentication @0"])
    const panicking = yield* world.begin(inPair)
    yield* a.fault.waitFor((server) => server.requests().length === 2)
    const refusedNow = yield* Effect.flatMap(world.begin(inPair), ({ fiber }) => Fiber.join(fiber))
    expect([refusedNow.end, refusedNow.attempts, refusedNow.retryAt]).toEqual(["NoCapacity", [], 60_000])
    yield* Fiber.interrupt(panicking.fiber)
    yield* world.rest
    // Never the one whose key was refused, and the next has the place again.
    expect((yield* world.ask(inPair)).attempts).toEqual(["a-m completed @0"])
    expect([times(a).length, times(b).length]).toEqual([3, 1])
  })
)

// --- the queue --------------------------------------------------------------------------------------------------

World.everywhere("a full wrapper refuses at once and asks nobody; a place is given on", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [silence, ok()], b: [] },
      toml: pair(
        "failure_threshold = 1",
        `[llms.wrappers.w]
type = "pool"
default_config = { pool_name = "pair" }
performance = { max_concurrent_requests = 1, queue_size = 1 }
`
      )
    })
    const input = { metadata: { wrapperName: "w" } }
    const a = world.server("a")
    const running = yield* world.begin(input)
    yield* a.fault.waitFor((server) => server.requests().length === 1)
    const waiting = yield* world.begin(input)
    yield* Effect.yieldNow
    const refusedNow = yield* Effect.flatMap(world.begin(input), ({ fiber }) => Fiber.join(fiber))
    expect([refusedNow.end, refusedNow.attempts]).toEqual(["QueueFull", []])
    expect(times(a)).toEqual([0])
    yield* Fiber.interrupt(running.fiber)
    expect((yield* Fiber.join(waiting.fiber)).attempts).toEqual(["a-m completed @0"])
    yield* world.rest
    expect((yield* world.ask(input)).attempts).toEqual(["a-m completed @0"])
  })
)
