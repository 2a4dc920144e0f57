/** Every row of the design's table of failure classes, from the configuration to the socket. */
import type { LlmError } from "@echelon/echelon"
import { FaultServer } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"
import * as World from "./support/World.ts"

const { errorEvent, failure, refusal, reset, silence, status, withContentType, withGzip, withSlowFirstToken } =
  FaultServer

/**
 * Four ways to meet a failure, each with models of its own, so that none hears of another: `pair` has a second
 * instance of equal rank, `alone` and `forever` have none, `tiers` has one in the next echelon. Chance is one half, so
 * that a backoff of up to half a second lasts a quarter.
 */
const toml = `
[llms.provider.a.models]
pair = { model = "pair-a" }
alone = { model = "alone-a" }
forever = { model = "forever-a" }
tiers = { model = "tiers-a" }

[llms.provider.b.models]
pair = { model = "pair-b" }
tiers = { model = "tiers-b" }

[llms.wrappers.pair]
type = "pool"
default_config = { pool_name = "pair" }
performance = { max_concurrent_requests = 1 }

[llms.polling_pools.pair]
task_groups = ["pair"]
rotation_strategy = "priority"
slow_start = { duration = 0 }

[llms.groups.pair]
echelon1 = { models = ["a-pair", "b-pair"] }
fallback_config = { circuit_breaker = { failure_threshold = 1, recovery_time = 60 } }

[llms.groups.alone]
echelon1 = { models = ["a-alone"], max_retries = 2 }

[llms.groups.forever]
echelon1 = { models = ["a-forever"], max_retries = 2 }

[llms.groups.tiers]
echelon1 = { models = ["a-tiers"], max_retries = 0 }
echelon2 = { models = ["b-tiers"], max_retries = 0 }
`

interface Row extends Class {
  readonly name: string
  readonly fault: FaultServer.Behaviour | ((mode: World.Mode) => FaultServer.Behaviour)
  readonly reason: LlmError.ReasonTag
  /** When the failure shows. @default at once */
  readonly after?: number
}

/** A class of the table: what a failure means for the same echelon, the next one, and other requests. */
interface Class {
  /** After what waits the same instance is asked a second and a third time; absent: never. */
  readonly again?: readonly [number, number]
  /** Whether another instance of the echelon is asked. */
  readonly other: boolean
  /** Whether the next echelon is asked. */
  readonly down: boolean
  /** After what time other requests come back to the instance, when its breaker opens at the first failure. */
  readonly back: number | "never"
  /** For how long it cools after the last failure of `forever`; absent: not at all. */
  readonly cools?: number
}

const [minute, hour] = [60_000, 3_600_000]

const fallsOver = { other: true, down: true } as const
const limitedFor = (wait: number): Class => ({ ...fallsOver, again: [wait, wait], back: wait, cools: wait })
const limitedForLong = (wait: number): Class => ({ ...fallsOver, back: wait, cools: wait })
const limited: Class = { ...fallsOver, again: [1_000, 2_000], back: 1_000, cools: 4_000 }
const transient: Class = { ...fallsOver, again: [250, 500], back: minute }
const silent: Class = { ...fallsOver, back: minute }
const unusable: Class = { ...fallsOver, back: "never" }
const tooLong: Class = { ...fallsOver, back: 0 }
const refused: Class = { other: false, down: false, back: 0 }

const rows: ReadonlyArray<Row> = [
  // Rate limited.
  { name: "429", fault: status(429), reason: "RateLimited", ...limited },
  {
    name: "429, Retry-After 2",
    fault: status(429, { retryAfter: "2" }),
    reason: "RateLimited",
    ...limitedFor(2_000)
  },
  {
    name: "429, Retry-After 5, the longest wait",
    fault: status(429, { retryAfter: "5" }),
    reason: "RateLimited",
    ...limitedFor(5_000)
  },
  {
    name: "429, retry-after-ms 1500",
    fault: status(429, { retryAfterMs: "1500" }),
    reason: "RateLimited",
    ...limitedFor(1_500)
  },
  {
    name: "429, a date in 3 s",
    fault: status(429, { retryDateIn: "3 seconds" }),
    reason: "RateLimited",
    ...limitedFor(3_000)
  },
  {
    name: "429, Retry-After 30, longer than a request waits",
    fault: status(429, { retryAfter: "30" }),
    reason: "RateLimited",
    ...limitedForLong(30_000)
  },
  // A named wait is held to an hour; what names none is as no header.
  ...FaultServer.hostileRetryAfter.map(
    (retryAfter): Row => ({
      name: `429, Retry-After ${retryAfter}`,
      fault: status(429, { retryAfter }),
      reason: "RateLimited",
      ...(retryAfter === "1000000000" ? limitedForLong(hour) : limited)
    })
  ),
  {
    name: "a rate limit inside a 200",
    fault: errorEvent("rate_limit"),
    reason: "RateLimited",
    ...limited
  },
  // Overloaded.
  { name: "503", fault: status(503), reason: "Overloaded", ...transient },
  { name: "529", fault: status(529), reason: "Overloaded", ...transient },
  { name: "409", fault: status(409, { body: "empty" }), reason: "Overloaded", ...transient },
  { name: "425", fault: status(425, { body: "empty" }), reason: "Overloaded", ...transient },
  { name: "overloaded inside a 200", fault: errorEvent("overloaded"), reason: "Overloaded", ...transient },
  // Provider error.
  { name: "500", fault: status(500), reason: "ProviderError", ...transient },
  { name: "502, an HTML page", fault: status(502, { body: "html" }), reason: "ProviderError", ...transient },
  { name: "504, no body", fault: status(504, { body: "empty" }), reason: "ProviderError", ...transient },
  { name: "a server error inside a 200", fault: errorEvent("server_error"), reason: "ProviderError", ...transient },
  // Network.
  { name: "a reset before the head", fault: reset(), reason: "Network", ...transient },
  { name: "a reset within the head", fault: reset("head"), reason: "Network", ...transient },
  { name: "a cut before any output", fault: FaultServer.cut(), reason: "Network", ...transient },
  { name: "408", fault: status(408, { body: "empty" }), reason: "Network", ...transient },
  // Timeout.
  { name: "silence", fault: silence, reason: "Timeout", after: 60_000, ...silent },
  {
    name: "a first token that is too slow",
    fault: withSlowFirstToken(FaultServer.ok(), "2 minutes"),
    reason: "Timeout",
    after: 60_000,
    ...silent
  },
  { name: "a stall before any output", fault: FaultServer.stall(), reason: "Timeout", after: 60_000, ...silent },
  // Authentication and quota.
  { name: "401", fault: status(401), reason: "Authentication", ...unusable },
  { name: "403", fault: status(403), reason: "Authentication", ...unusable },
  { name: "402", fault: status(402), reason: "QuotaExhausted", ...unusable },
  { name: "a quota behind its code", fault: failure("quota"), reason: "QuotaExhausted", ...unusable },
  {
    name: "a quota that is reset in an hour",
    fault: failure("quota", { retryAfter: "3600" }),
    reason: "QuotaExhausted",
    ...limitedForLong(hour)
  },
  // Model not found.
  { name: "404", fault: status(404), reason: "ModelNotFound", ...unusable },
  // Context length: the window of the other is not known, which counts as larger.
  { name: "context length", fault: failure("context_length"), reason: "ContextLength", ...tooLong },
  // Content policy.
  { name: "a refusal without output", fault: refusal(), reason: "ContentPolicy", ...refused },
  // Invalid request.
  { name: "400", fault: status(400), reason: "InvalidRequest", ...refused },
  { name: "422", fault: status(422), reason: "InvalidRequest", ...refused },
  { name: "413 without a code", fault: status(413), reason: "InvalidRequest", ...refused },
  // Malformed output.
  { name: "half a JSON", fault: status(200, { body: "truncated" }), reason: "MalformedOutput", ...transient },
  { name: "an empty 200", fault: status(200, { body: "empty" }), reason: "MalformedOutput", ...transient },
  { name: "an HTML page with a 200", fault: status(200, { body: "html" }), reason: "MalformedOutput", ...transient },
  { name: "a broken event first", fault: FaultServer.malformed(), reason: "MalformedOutput", ...transient },
  {
    name: "no output and no finish",
    fault: FaultServer.cut({ closingChunk: true }),
    reason: "MalformedOutput",
    ...transient
  },
  {
    name: "half a JSON, compressed unasked",
    fault: withGzip(status(200, { body: "truncated" })),
    reason: "MalformedOutput",
    ...transient
  },
  {
    name: "the wrong content type",
    fault: (mode) => withContentType(FaultServer.ok(), mode === "buffered" ? "text/event-stream" : "text/plain"),
    reason: "MalformedOutput",
    ...transient
  },
  // Unknown.
  { name: "418", fault: status(418, { body: "empty" }), reason: "Unknown", ...transient },
  { name: "a redirect", fault: FaultServer.redirect("http://127.0.0.1:1/"), reason: "Unknown", ...transient }
]

const well = (name: string) => `${name} says one two three`

/** A row in a protocol and a mode, and the scenarios that it is put through. */
const meet = (row: Row, protocol: World.Protocol, mode: World.Mode) =>
  Effect.gen(function* () {
    const { after = 0, again, back, cools, down, other, reason } = row
    const fault = typeof row.fault === "function" ? row.fault(mode) : row.fault
    const world = yield* World.make({
      protocol,
      mode,
      toml,
      servers: {
        a: FaultServer.byModel({
          "pair-a": [fault],
          "alone-a": [fault],
          "forever-a": [FaultServer.forever(fault)],
          "tiers-a": [fault]
        }),
        b: []
      }
    })
    const { ask, time } = world
    const [a, b] = [world.server("a"), world.server("b")]
    const times = (model: string) => a.seen(model).map((one) => one.at)

    /** Begins a scenario on a whole minute: how many requests there have been, and the way to the first failure. */
    const begin = Effect.gen(function* () {
      const base = Math.ceil(time.now() / minute) * minute
      yield* time.set(base)
      const requests = a.seen().length + b.seen().length + 1
      const toFailure: ReadonlyArray<World.Step> = after === 0 ? [] : [{ to: base + after, requests }]
      return { base, requests, toFailure }
    })

    /** Another instance of the echelon is asked at once, or none; other requests pass the failed one over. */
    const pair = Effect.gen(function* () {
      const { base, toFailure } = yield* begin
      const metadata = { wrapperName: "pair" }
      const first = yield* ask({ metadata }, toFailure)
      const failed = base + after
      expect(first.attempts).toEqual([`a-pair ${reason} @${base}`, ...(other ? [`b-pair completed @${failed}`] : [])])
      expect([first.text, first.end]).toEqual(other ? [well("b"), "stop"] : ["", reason])
      if (after > 0) expect(a.seen("pair-a")).toMatchObject([{ aborted: true, closedAt: failed }])
      const asked = [base]
      const next = (at: number, expected: "a" | "b") =>
        Effect.gen(function* () {
          yield* time.set(at)
          if (expected === "a") asked.push(at)
          const { attempts, text } = yield* ask({ metadata })
          expect([text, ...attempts]).toEqual([well(expected), `${expected}-pair completed @${at}`])
          expect(times("pair-a")).toEqual(asked)
        })
      yield* next(failed, back === 0 ? "a" : "b")
      if (back === "never") yield* next(failed + 24 * hour, "b")
      else if (back > 0) {
        yield* next(failed + back - 1, "b")
        yield* next(failed + back, "a")
      }
    })

    /** The same instance is asked again after its wait, or not in this request. */
    const alone = Effect.gen(function* () {
      const { base, requests, toFailure } = yield* begin
      const repeat = again === undefined ? [] : [base + again[0]]
      const outcome = yield* ask({ metadata: { groupName: "alone" } }, [
        ...toFailure,
        ...repeat.map((to) => ({ to, requests }))
      ])
      expect(outcome.attempts).toEqual([
        `a-alone ${reason} @${base}`,
        ...repeat.map((at) => `a-alone completed @${at}`)
      ])
      expect([outcome.text, outcome.end]).toEqual(again === undefined ? ["", reason] : [well("a"), "stop"])
      expect(times("alone-a")).toEqual([base, ...repeat])
    })

    /** It fails for ever: the attempts allowed, the waits between them, the typed error, and no hammering. */
    const forever = Effect.gen(function* () {
      const { base, requests, toFailure } = yield* begin
      const metadata = { groupName: "forever" }
      const [first, second] = again ?? []
      const expected = [
        base,
        ...(first === undefined || second === undefined ? [] : [base + first, base + first + second])
      ]
      const outcome = yield* ask({ metadata }, [
        ...toFailure,
        ...expected.slice(1).map((to, i) => ({ to, requests: requests + i }))
      ])
      expect(outcome.attempts).toEqual(expected.map((at) => `a-forever ${reason} @${at}`))
      expect([outcome.text, outcome.end, outcome.error?.instance]).toEqual(["", reason, "a-forever"])
      expect(times("forever-a")).toEqual(expected)
      const retryAt = cools === undefined ? undefined : (expected.at(-1) ?? 0) + cools
      expect(outcome.retryAt).toBe(retryAt)
      a.fault.set([])
      if (retryAt !== undefined || back === "never") {
        // Nobody is asked before it may answer, and the error says when that is.
        const early = yield* ask({ metadata })
        expect([early.end, early.attempts, early.retryAt]).toEqual(["NoCapacity", [], retryAt])
        expect(times("forever-a")).toEqual(expected)
        if (retryAt === undefined) return
        yield* time.set(retryAt)
      }
      const healthy = yield* ask({ metadata })
      expect([healthy.text, ...healthy.attempts]).toEqual([well("a"), `a-forever completed @${time.now()}`])
    })

    /** The next echelon is asked, or none. */
    const tiers = Effect.gen(function* () {
      const { base, toFailure } = yield* begin
      const outcome = yield* ask({ metadata: { groupName: "tiers" } }, toFailure)
      expect(outcome.attempts).toEqual([
        `a-tiers ${reason} @${base}`,
        ...(down ? [`b-tiers completed @${base + after}`] : [])
      ])
      expect([outcome.text, outcome.end]).toEqual(down ? [well("b"), "stop"] : ["", reason])
      expect(times("tiers-a")).toEqual([base])
    })

    yield* pair
    yield* alone
    yield* tiers
    yield* forever
  })

for (const row of rows)
  for (const [protocol, mode] of World.cases)
    it.effect(`${row.name} (${protocol}, ${mode})`, () => meet(row, protocol, mode))
