/** The rules around the design's table of failure classes, from the configuration to the socket. */
import { FaultServer } from "@echelon/testing"
import { expect } from "@effect/vitest"
import { Effect } from "effect"
import { inPair, pair, times, well } from "./support/Pair.ts"
import * as RawServer from "./support/RawServer.ts"
import * as World from "./support/World.ts"

const { failure, forever, ok, refusal, silence, status } = FaultServer

// --- what the failed request tries ------------------------------------------------------------------------------

World.everywhere("a context too long goes only to a larger window, and never to the same model", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [forever(failure("context_length"))], b: [] },
      toml: `
[llms.provider.a.models.m]
model = "m"
context_window = 8000
[llms.provider.b.models]
small = { model = "small", context_window = 4000 }
equal = { model = "equal", context_window = 8000 }
same = { model = "m", context_window = 16000 }
large = { model = "large", context_window = 16000 }
[llms.groups.wide]
echelon1 = { models = ["a-m", "b-small", "b-equal", "b-same", "b-large"], rotation_strategy = "priority" }
[llms.groups.deep]
echelon1 = { models = ["a-m"] }
echelon2 = { models = ["b-small"] }
echelon3 = { models = ["b-same"] }
echelon4 = { models = ["b-large"] }
[llms.groups.none]
echelon1 = { models = ["a-m"] }
echelon2 = { models = ["b-small", "b-equal", "b-same"] }
`
    })
    for (const groupName of ["wide", "deep"]) {
      const outcome = yield* world.ask({ metadata: { groupName } })
      expect([outcome.text, ...outcome.attempts]).toEqual([well("b"), "a-m ContextLength @0", "b-large completed @0"])
    }
    const none = yield* world.ask({ metadata: { groupName: "none" } })
    expect([none.end, ...none.attempts]).toEqual(["ContextLength", "a-m ContextLength @0"])
    expect(
      world
        .server("b")
        .seen()
        .map((one) => one.model)
    ).toEqual(["large", "large"])
  })
)

World.everywhere(
  "a content policy falls to the next echelon where the group says so, not within one",
  (protocol, mode) =>
    Effect.gen(function* () {
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: [refusal()], b: [] },
        toml: `
[llms.provider.a.models.m]
model = "a"
[llms.provider.b.models]
equal = { model = "equal" }
next = { model = "next" }
[llms.groups.g]
echelon1 = { models = ["a-m", "b-equal"], rotation_strategy = "priority" }
echelon2 = { models = ["b-next"] }
fallback_config = { content_policy_fallback = true }
`
      })
      const outcome = yield* world.ask({ metadata: { groupName: "g" } })
      expect([outcome.text, ...outcome.attempts]).toEqual([well("b"), "a-m ContentPolicy @0", "b-next completed @0"])
    })
)

World.everywhere("the most attempts are the sum over the echelons, however the levels nest", (protocol, mode) =>
  Effect.gen(function* () {
    const down = [forever(status(503))]
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: down, b: down, c: down },
      toml: `
[llms.provider.a.models.m]
model = "a"
[llms.provider.b.models.m]
model = "b"
[llms.provider.c.models.m]
model = "c"
[llms.wrappers.w]
type = "pool"
default_config = { pool_name = "p" }
[llms.polling_pools.p]
task_groups = ["g"]
[llms.groups.g]
echelon1 = { models = ["a-m"], max_retries = 3 }
echelon2 = { models = ["b-m"], max_retries = 3 }
echelon3 = { models = ["c-m"], max_retries = 2 }
fallback_config = { circuit_breaker = { failure_threshold = 100 } }
`
    })
    for (const [round, wrapped] of [{ groupName: "g" }, { wrapperName: "w" }].entries()) {
      const base = round * 3_600_000
      yield* world.time.set(base)
      const at = (...millis: ReadonlyArray<number>) => millis.map((one) => base + one)
      const expected = { a: at(0, 250, 750, 1_750), b: at(1_750, 2_000, 2_500, 3_500), c: at(3_500, 3_750, 4_250) }
      const all = [...expected.a, ...expected.b.slice(1), ...expected.c.slice(1)]
      const outcome = yield* world.ask(
        { metadata: wrapped },
        all.slice(1).map((to) => ({ to }))
      )
      expect(outcome.attempts).toHaveLength(11)
      expect([outcome.end, outcome.error?.instance]).toEqual(["Overloaded", "c-m"])
      for (const name of ["a", "b", "c"] as const)
        expect(times(world.server(name)).slice(round * expected[name].length)).toEqual(expected[name])
    }
  })
)

World.everywhere(
  "a pool asks so many different instances of a tier, and no other one or none at all",
  (protocol, mode) =>
    Effect.gen(function* () {
      for (const [fallback, expected, tiers] of [
        ["max_instance_attempts = 2", [3, 3, 0], [6, 1]],
        ['strategy = "none"', [6, 0, 0], [6, 0]]
      ] as const) {
        const down = [forever(status(503))]
        const world = yield* World.make({
          protocol,
          mode,
          servers: { a: down, b: down, c: down, d: down },
          toml: `
${["a", "b", "c", "d"].map((name) => `[llms.provider.${name}.models.m]\nmodel = "${name}"\n`).join("")}
[llms.groups.g]
echelon1 = { models = ["a-m", "b-m", "c-m"], max_retries = 5 }
echelon2 = { models = ["d-m"], max_retries = 0 }
fallback_config = { circuit_breaker = { failure_threshold = 100 } }
[llms.polling_pools.p]
task_groups = ["g"]
rotation_strategy = "priority"
fallback_config = { ${fallback} }
`
        })
        const outcome = yield* world.askFreely({ metadata: { poolName: "p" } }, 60_000)
        expect(outcome.end).toBe("Overloaded")
        const counts = ["a", "b", "c", "d"].map((name) => times(world.server(name)).length)
        expect([fallback, ...counts]).toEqual([fallback, ...expected, tiers[1]])
        expect(outcome.attempts).toHaveLength(tiers[0] + tiers[1])
      }
    })
)

World.everywhere("the first cause of the last attempted tier is told, with the whole route", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({
      protocol,
      mode,
      servers: {
        a: [forever(status(503))],
        b: [forever(status(500))],
        c: [forever(status(401))],
        d: [status(429, { retryAfter: "60" })]
      },
      toml: `
[llms.provider.a.models.m]
model = "a"
[llms.provider.b.models.m]
model = "b"
[llms.provider.c.models.m]
model = "c"
[llms.provider.d.models.m]
model = "d"
[llms.groups.warm]
echelon1 = { models = ["d-m"], max_retries = 0 }
[llms.groups.g]
echelon1 = { models = ["a-m"], max_retries = 0 }
echelon2 = { models = ["b-m", "c-m"], rotation_strategy = "priority", max_retries = 1 }
echelon3 = { models = ["d-m"] }
`
    })
    const cooled = yield* world.ask({ metadata: { groupName: "warm" } })
    expect([cooled.end, cooled.retryAt]).toEqual(["RateLimited", 60_000])
    const outcome = yield* world.ask({ metadata: { groupName: "g" } })
    expect(outcome.attempts).toEqual(["a-m Overloaded @0", "b-m ProviderError @0", "c-m Authentication @0"])
    // The tier that was passed over does not mask the cause, and says when it is back.
    expect([outcome.end, outcome.error?.instance, outcome.retryAt]).toEqual(["ProviderError", "b-m", 60_000])
    expect(world.server("d").seen()).toHaveLength(1)
  })
)

World.everywhere(
  "what failed a request for good is asked no more by it, in whatever echelon it stands",
  (protocol, mode) =>
    Effect.gen(function* () {
      for (const [fault, reason] of [
        [silence, "Timeout"],
        [status(401), "Authentication"],
        [status(404), "ModelNotFound"]
      ] as const) {
        const world = yield* World.make({
          protocol,
          mode,
          servers: { a: [fault], b: [] },
          toml: `
[llms.provider.a.models.m]
model = "a"
[llms.provider.b.models.m]
model = "b"
[llms.groups.g]
echelon1 = { models = ["a-m"] }
echelon2 = { models = ["a-m"] }
echelon3 = { models = ["a-m", "b-m"] }
`
        })
        const after = reason === "Timeout" ? 60_000 : 0
        const steps = after === 0 ? [] : [{ to: after, requests: 1 }]
        const outcome = yield* world.ask({ metadata: { groupName: "g" } }, steps)
        expect([outcome.text, ...outcome.attempts]).toEqual([well("b"), `a-m ${reason} @0`, `b-m completed @${after}`])
      }
    })
)

World.everywhere("in the next echelon an instance that has failed comes after the others", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [status(503)], b: [] },
      toml: `
[llms.provider.a.models.m]
model = "a"
[llms.provider.b.models.m]
model = "b"
[llms.groups.g]
echelon1 = { models = ["a-m"], max_retries = 0 }
echelon2 = { models = ["a-m", "b-m"] }
[llms.polling_pools.p]
task_groups = ["g"]
rotation_strategy = "priority"
`
    })
    const outcome = yield* world.ask({ metadata: { poolName: "p" } })
    expect(outcome.attempts).toEqual(["a-m Overloaded @0", "b-m completed @0"])
  })
)

World.everywhere("a repeat never comes before the Retry-After of an overload or a server error", (protocol, mode) =>
  Effect.gen(function* () {
    for (const code of [503, 529, 500, 502, 504]) {
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: [status(code, { retryAfter: "2" })] },
        toml: `
[llms.provider.a.models.m]
model = "a"
[llms.groups.g]
echelon1 = { models = ["a-m"] }
`
      })
      yield* world.askFreely({ metadata: { groupName: "g" } }, 10_000)
      expect([code, times(world.server("a"))]).toEqual([code, [0, 2_000]])
    }
  })
)

// --- what an error keeps ----------------------------------------------------------------------------------------

World.everywhere("an unknown failure keeps its status and what the body says, without secrets", (protocol, mode) =>
  Effect.gen(function* () {
    const text = `no coffee for sk-secret-of-a ${"x".repeat(500)}`
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [forever(status(418, { body: { text, type: "text/plain" } }))] },
      toml: `
[llms.provider.a.models.m]
model = "a"
[llms.groups.g]
echelon1 = { models = ["a-m"], max_retries = 0 }
`
    })
    const { error } = yield* world.ask({ metadata: { groupName: "g" } })
    expect(error?.reason).toEqual({ _tag: "Unknown", status: 418 })
    expect(error?.detail).toMatch(/^no coffee for /)
    expect(error?.detail?.length).toBeLessThanOrEqual(201)
    expect(JSON.stringify(error) + String(error)).not.toContain("sk-secret")
  })
)

World.everywhere("an invalid request keeps the provider's message, cut and without secrets", (protocol, mode) =>
  Effect.gen(function* () {
    const long = `top_p is above 1 for sk-secret-of-a: ${"x".repeat(5_000)}`
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [status(400, { message: "top_p is above 1" }), status(400, { message: long })], b: [] },
      toml: pair()
    })
    const { attempts, error } = yield* world.ask(inPair)
    expect([error?.message, ...attempts]).toEqual(["a-m: invalid request: top_p is above 1", "a-m InvalidRequest @0"])
    const { message = "" } = (yield* world.ask(inPair)).error ?? {}
    expect(message).toMatch(/^a-m: invalid request: top_p is above 1 for /)
    expect(message).not.toContain("sk-secret")
    expect(message.length).toBeLessThan(1_000)
  })
)

World.everywhere("a connection that is refused, or speaks no TLS, is the network's", (protocol, mode) =>
  Effect.gen(function* () {
    for (const kind of ["refused", "tls"] as const) {
      const plain = yield* RawServer.make((socket) => socket.on("data", () => socket.end("no TLS here\r\n")))
      const world = yield* World.make({
        protocol,
        mode,
        servers: { a: [], b: [] },
        addresses: { a: kind === "refused" ? "http://127.0.0.1:1" : `https://127.0.0.1:${plain}` },
        toml: pair("failure_threshold = 3", `[llms.groups.alone]\nechelon1 = { models = ["a-m"], max_retries = 1 }\n`)
      })
      const failed = yield* world.ask({ metadata: { groupName: "alone" } }, [{ to: 250 }])
      expect([failed.error?.reason, ...failed.attempts]).toEqual([
        { _tag: "Network", kind },
        "a-m Network @0",
        "a-m Network @250"
      ])
      const answered = yield* world.ask(inPair)
      expect([answered.text, ...answered.attempts]).toEqual([well("b"), "a-m Network @250", "b-m completed @250"])
    }
  })
)

World.everywhere("a finish by length is complete, and so is a refusal after output", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [ok("a says", { finish: "length" }), refusal("a will not")], b: [] },
      toml: pair()
    })
    const cutShort = yield* world.ask(inPair)
    const refusedLate = yield* world.ask(inPair)
    expect([cutShort.text, cutShort.end]).toEqual(["a says", "length"])
    expect([refusedLate.text, refusedLate.end]).toEqual(["a will not", "content-filter"])
    expect([times(world.server("a")).length, times(world.server("b")).length]).toEqual([2, 0])
  })
)

// --- against the design: this fails -------------------------------------------------------------------------------

World.everywhere("a request whose attempts are spent fails at once", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* World.make({
      protocol,
      mode,
      servers: { a: [forever(status(503))] },
      toml: `
[llms.provider.a.models.m]
model = "a"
[llms.groups.g]
echelon1 = { models = ["a-m"], max_retries = 9 }
`
    })
    const outcome = yield* world.askFreely({ metadata: { groupName: "g", maxTotalAttempts: 3 } }, 10_000)
    expect(outcome.end).toBe("Overloaded")
    expect(times(world.server("a"))).toEqual([0, 250, 750])
    expect(world.time.now()).toBe(750)
  })
)
