/** Providers at their worst: what they send is bounded, and what they break is mended elsewhere. */
import { inspect } from "node:util"
import { FaultServer } from "@echelon/testing"
import { expect } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as RawServer from "./support/RawServer.ts"
import * as World from "./support/World.ts"

const { cut, errorEvent, forever, huge, malformed, ok, reset, silence, status, withTrickle } = FaultServer

/** Two instances of equal rank, the first preferred. */
const config = (breaker = "", pool = "") => `
[llms.provider.a.models.m]
model = "a"
[llms.provider.b.models.m]
model = "b"
[llms.polling_pools.p]
task_groups = ["g"]
rotation_strategy = "priority"
slow_start = { duration = 0 }
${pool}
[llms.groups.g]
echelon1 = { models = ["a-m", "b-m"] }
fallback_config = { circuit_breaker = { ${breaker} } }
`

const inPool = { metadata: { poolName: "p" } }

const well = (name: string) => `${name} says one two three`

const overToB = (reason: string) => [well("b"), `a-m ${reason} @0`, "b-m completed @0"]

// --- too much, too little ---------------------------------------------------------------------------------------

World.everywhere(
  "more than is allowed in an event or a body is not read, and the error names the key",
  (protocol, mode) =>
    Effect.gen(function* () {
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: [huge(300_000), huge(300_000)], b: [] },
        provider: { a: "max_event_bytes = 100000\nmax_response_bytes = 200000" },
        toml: config("", '[llms.groups.one]\nechelon1 = { models = ["a-m"], max_retries = 0 }\n')
      })
      const { error } = yield* world.ask({ metadata: { groupName: "one" } })
      expect(error?.detail).toMatch(mode === "buffered" ? /200000.*max_response_bytes/ : /100000.*max_event_bytes/)
      const outcome = yield* world.ask(inPool)
      expect([outcome.text, ...outcome.attempts]).toEqual(overToB("MalformedOutput"))
      expect((yield* world.ask(inPool)).text).toBe(well("a"))
    })
)

World.everywhere("a large event that is allowed comes whole", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({ protocol, mode, servers: { a: [huge(1_000_000)], b: [] }, toml: config() })
    const outcome = yield* world.ask(inPool)
    expect([outcome.text.length, outcome.end]).toEqual([1_000_000, "stop"])
  })
)

World.everywhere("a page of an error is not carried about", (protocol, mode) =>
  Effect.gen(function* () {
    const page = { text: `<html>${"x".repeat(500_000)}`, type: "text/html" }
    const down = [forever(status(500, { body: page }))]
    const world = yield* World.make({ protocol, mode, servers: { a: down, b: down }, toml: config() })
    const { error } = yield* world.askFreely(inPool, 60_000)
    expect(error?.reason._tag).toBe("ProviderError")
    expect(String(error).length + JSON.stringify(error).length).toBeLessThan(10_000)
  })
)

World.everywhere("an answer of single bytes is put together", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [withTrickle(ok("één – 二 – 🙂"))], b: [] },
      toml: config()
    })
    expect((yield* world.ask(inPool)).text).toBe("één – 二 – 🙂")
  })
)

World.everywhere("usage that cannot be is unknown, not nothing", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [ok(undefined, { usage: { input: -5, output: -1 } }), ok(undefined, { usage: "absent" })], b: [] },
      toml: config()
    })
    for (const _ of [1, 2]) {
      const { text, usage } = yield* world.ask(inPool)
      expect([text, usage?.[0], usage?.[1], usage?.[2]]).toEqual([well("a"), undefined, undefined, "unknown"])
    }
  })
)

World.everywhere("neither the prompt nor the answer stands in an error, or in its route", (protocol, mode) =>
  Effect.gen(function* () {
    const breaks = cut({ after: 3, wait: "1 second", answer: ok("the answer is private") })
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [forever(breaks)], b: [forever(breaks)] },
      toml: config()
    })
    const { error } = yield* world.askFreely({ ...inPool, prompt: "a private question" }, 60_000)
    expect(error?.reason._tag).toBe("Network")
    expect(error?.route?.length).toBeGreaterThan(0)
    const shown = [JSON.stringify(error), String(error), inspect(error, { depth: 9 })].join("\n")
    expect(shown).not.toMatch(/private|the answer|sk-secret/)
  })
)

// --- what looks like an answer ----------------------------------------------------------------------------------

World.everywhere("what is no HTTP at all is the network's", (protocol, mode) =>
  Effect.gen(function* () {
    const port = yield* RawServer.make((socket) => socket.on("data", () => socket.end("not\r\na\r\nresponse\r\n\r\n")))
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [], b: [] },
      addresses: { a: `http://127.0.0.1:${port}` },
      toml: config()
    })
    const outcome = yield* world.ask(inPool)
    expect([outcome.text, ...outcome.attempts]).toEqual(overToB("Network"))
  })
)

World.everywhere("a redirect is not followed: the key stays where it belongs", (protocol, mode) =>
  Effect.gen(function* () {
    const thief = yield* Effect.orDie(FaultServer.make({ script: [] }))
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [FaultServer.redirect(`${thief.url}/v1/chat/completions`)], b: [] },
      toml: config()
    })
    const outcome = yield* world.ask(inPool)
    expect([outcome.text, ...outcome.attempts]).toEqual(overToB("Unknown"))
    expect(thief.requests()).toEqual([])
  })
)

World.everywhere(
  "a stream without its sentinel but with a reason is whole; without a reason it is not",
  (protocol, mode) =>
    Effect.gen(function* () {
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: [ok(undefined, { sentinel: false }), ok(undefined, { finish: "absent" })], b: [] },
        toml: config()
      })
      const first = yield* world.ask(inPool)
      expect([first.text, first.end]).toEqual([well("a"), "stop"])
      const second = yield* world.ask(inPool)
      expect([second.end, second.error?.delivered]).toEqual(["MalformedOutput", well("a")])
    }),
  "streamed"
)

World.everywhere("an error that says 200 is an error", (protocol, mode) =>
  Effect.gen(function* () {
    for (const [fault, reason] of [
      [errorEvent("authentication"), "Authentication"],
      [errorEvent("quota"), "QuotaExhausted"],
      [errorEvent("not_found"), "ModelNotFound"],
      [errorEvent("context_length"), "ContextLength"]
    ] as const) {
      const world = yield* World.make({ protocol, mode, servers: { a: [fault], b: [] }, toml: config() })
      const outcome = yield* world.ask(inPool)
      expect([outcome.text, ...outcome.attempts]).toEqual(overToB(reason))
    }
  })
)

World.everywhere("tool arguments that are no JSON are never a call", (protocol, mode) =>
  Effect.gen(function* () {
    // A whole Anthropic reply holds arguments as a value: there is no text to be broken.
    if (protocol === "anthropic" && mode === "buffered") return
    const broken = FaultServer.toolCalls([{ name: "send", arguments: '{"to":' }])
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [broken], b: [] },
      toml: config()
    })
    const outcome = yield* world.ask({
      ...inPool,
      tools: [{ name: "send", parameters: { type: "object" } }],
      metadata: { ...inPool.metadata, commit: "finish" }
    })
    expect([outcome.text, ...outcome.attempts]).toEqual(overToB("MalformedOutput"))
    expect(outcome.parts.some((part) => part.type === "tool-call")).toBe(false)
  })
)

// --- connections ------------------------------------------------------------------------------------------------

World.everywhere("every way to break a connection leaves the next request well", (protocol, mode) =>
  Effect.gen(function* () {
    const ways = [reset(), reset("head"), cut(), cut({ closingChunk: true }), malformed(), status(500)]
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: ways.flatMap((way) => [way, ok()]), b: [] },
      toml: config("failure_threshold = 2")
    })
    for (const _ of ways) {
      expect((yield* world.ask(inPool)).text).toBe(well("b"))
      expect((yield* world.ask(inPool)).text).toBe(well("a"))
    }
    expect(world.server("a").seen()).toHaveLength(2 * ways.length)
    expect(world.server("b").seen()).toHaveLength(ways.length)
  })
)

// --- many at once -----------------------------------------------------------------------------------------------

World.everywhere("a crowd meets an instance that goes down: all are answered, and few ask it", (protocol, mode) =>
  Effect.gen(function* () {
    const crowd = 40
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: () => status(503), b: [] },
      toml: config("failure_threshold = 3, recovery_time = 60", "retry_budget = { ratio = 1, min_per_second = 10 }")
    })
    const ask = Effect.flatMap(world.begin(inPool), ({ fiber }) => Fiber.join(fiber))
    const first = yield* Effect.all(
      Array.from({ length: crowd }, () => ask),
      { concurrency: crowd }
    )
    expect(first.map((one) => one.text)).toEqual(Array(crowd).fill(well("b")))
    const asked = world.server("a").seen().length
    expect(asked).toBeGreaterThanOrEqual(3)
    expect(asked).toBeLessThanOrEqual(crowd)
    yield* world.rest
    yield* Effect.all(
      Array.from({ length: crowd }, () => ask),
      { concurrency: crowd }
    )
    expect(world.server("a").seen()).toHaveLength(asked)
    expect(world.server("b").seen()).toHaveLength(2 * crowd)
    yield* world.rest
    // One tests it, whatever the crowd.
    yield* world.time.set(world.time.now() + 60_000)
    yield* Effect.all(
      Array.from({ length: crowd }, () => ask),
      { concurrency: crowd }
    )
    expect(world.server("a").seen()).toHaveLength(asked + 1)
    yield* world.rest
  })
)

World.everywhere("an outage is not amplified: retries are a share of the requests", (protocol, mode) =>
  Effect.gen(function* () {
    const down = [forever(status(503))]
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: down, b: down },
      toml: config("failure_threshold = 1000", "retry_budget = { ratio = 0.2, min_per_second = 0 }")
    })
    for (let i = 0; i < 30; i++) expect((yield* world.askFreely(inPool, 60_000)).end).toBe("Overloaded")
    const total = world.server("a").seen().length + world.server("b").seen().length
    expect(total).toBe(36)
  })
)

World.everywhere("callers who leave in numbers leave nothing behind", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [...Array.from({ length: 20 }, () => silence), ok()], b: [] },
      toml: config()
    })
    const { fault, seen } = world.server("a")
    const asking = yield* Effect.forEach(Array.from({ length: 20 }), () => world.begin(inPool))
    yield* fault.waitFor((server) => server.requests().length === 20)
    yield* Fiber.interruptAll(asking.map((one) => one.fiber))
    yield* world.rest
    expect(seen().every((one) => one.aborted)).toBe(true)
    expect((yield* world.ask(inPool)).attempts).toEqual(["a-m completed @0"])
  })
)
