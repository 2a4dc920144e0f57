/** Every rule for streams that break after commit, from the configuration to the socket. */
import type { LlmError, LlmRequest, Part } from "@echelon/echelon"
import { FaultServer } from "@echelon/testing"
import { expect } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import * as World from "./support/World.ts"

const { cut, errorEvent, malformed, ok, stall, status, toolCalls, withPrefillRefused } = FaultServer

const whole = "one two three four"
const head = "one two"
const tail = " three four"

interface Break {
  readonly name: string
  readonly fault: FaultServer.Behaviour
  /** When it shows. */
  readonly at: number
  readonly reason: LlmError.ReasonTag
  /** The same to a buffered body, which has no events, and when it shows. */
  readonly body?: readonly [fault: FaultServer.Behaviour, at: number]
}

const wait = "1 second"

/** Breaks behind the first two words. */
const breaks: ReadonlyArray<Break> = [
  { name: "cut off", fault: cut({ after: 2, wait }), at: 1_000, reason: "Network" },
  {
    name: "cut off with a closing chunk",
    fault: cut({ after: 2, wait, closingChunk: true }),
    at: 1_000,
    reason: "MalformedOutput"
  },
  {
    name: "a stall",
    fault: stall({ after: 2 }),
    at: 10_000,
    reason: "Timeout",
    // The attempt's clock.
    body: [stall(), 30_000]
  },
  {
    name: "a broken event",
    fault: malformed({ after: 2, wait }),
    at: 1_000,
    reason: "MalformedOutput",
    body: [malformed(), 0]
  },
  { name: "an overload inside", fault: errorEvent("overloaded", { after: 2, wait }), at: 1_000, reason: "Overloaded" },
  {
    name: "a server error inside",
    fault: errorEvent("server_error", { after: 2, wait }),
    at: 1_000,
    reason: "ProviderError"
  },
  { name: "a rate limit inside", fault: errorEvent("rate_limit", { after: 2, wait }), at: 1_000, reason: "RateLimited" }
]

/** A break as a request of that mode meets it, while it has seen nothing. */
const unseen = ({ at, body, fault }: Break, mode: World.Mode) => {
  const [struck, end] = mode === "buffered" ? (body ?? [fault, at]) : [fault, at]
  return { fault: struck, end, steps: [{ to: end, requests: 1, text: "" }] }
}

/** Three instances in three echelons; what they can do is said by the test. */
const config = (fallback: string, can: Readonly<Record<string, string>> = {}) => `
${["a", "b", "c"].map((name) => `[llms.provider.${name}.models.m]\nmodel = "${name}"\n${can[name] ?? ""}\n`).join("")}
[llms.groups.g]
echelon1 = { models = ["a-m"], max_retries = 0, idle_timeout = 10, timeout = 30 }
echelon2 = { models = ["b-m"], max_retries = 0, idle_timeout = 10, timeout = 30 }
echelon3 = { models = ["c-m"], max_retries = 0, idle_timeout = 10, timeout = 30 }
fallback_config = { ${fallback} }
[llms.polling_pools.p]
task_groups = ["g"]
[llms.wrappers.w]
type = "pool"
default_config = { pool_name = "p" }
performance = { request_timeout = 5 }
`

const prefill = 'capabilities = ["prefill"]'

interface Setup {
  readonly protocol: World.Protocol
  readonly mode?: World.Mode
  readonly fallback: string
  readonly can?: Readonly<Record<string, string>>
  readonly a: FaultServer.Script
  readonly b?: FaultServer.Script
  readonly c?: FaultServer.Script
  readonly texts?: Readonly<Record<string, string>>
}

const start = ({ a, b = [], c = [], can, fallback, mode = "streamed", protocol, texts }: Setup) =>
  World.make({
    protocol,
    mode,
    servers: { a, b, c },
    texts: { a: whole, b: whole, c: whole, ...texts },
    toml: config(fallback, can)
  })

const inGroup = { metadata: { groupName: "g" } }

/** How many requests each server has had. */
const counts = (world: World.World) => ["a", "b", "c"].map((name) => world.server(name).seen().length)

/** Where one instance took over from another, and what text came between. */
const outline = (parts: ReadonlyArray<Part.Part>) => {
  const found: Array<string> = [""]
  for (const part of parts) {
    if (part.type === "text-delta") found.push(`${found.pop()}${part.delta}`)
    const { seam } = (part.metadata?.["echelon"] ?? {}) as { readonly seam?: Readonly<Record<string, string>> }
    if (part.type === "response-metadata" && seam !== undefined)
      found.push(`<${seam["from"]} ${seam["mode"]} ${seam["to"]}>`, "")
  }
  return found
}

/** The last message of a request, when it is the assistant's. */
const prefillOf = (server: World.Server): unknown => {
  const { messages } = (server.seen()[0]?.body ?? { messages: [] }) as {
    messages: ReadonlyArray<{ role: string; content: unknown }>
  }
  const last = messages.at(-1)
  if (last?.role !== "assistant") return undefined
  return typeof last.content === "string" ? last.content : (last.content as ReadonlyArray<{ text: string }>)[0]?.text
}

const isWhole = ({ parts }: World.Outcome) => {
  expect(parts.filter((part) => part.type === "finish")).toHaveLength(1)
  expect(parts.at(-1)?.type).toBe("finish")
}

const brokenAt = (at: number, text = head): ReadonlyArray<World.Step> => [{ to: at, text }]

// --- each break, each policy ------------------------------------------------------------------------------------

for (const one of breaks) {
  const { at, fault, name, reason } = one
  World.everywhere(
    `${name}: fail carries the delivered text and asks nobody else`,
    (protocol) =>
      Effect.gen(function* () {
        const world = yield* start({ protocol, fallback: "", a: [fault] })
        const outcome = yield* world.ask(inGroup, brokenAt(at))
        expect([outcome.end, outcome.text, outcome.error?.delivered]).toEqual([reason, head, head])
        expect([outcome.attempts, outcome.error?.instance]).toEqual([[`a-m ${reason} @0`], "a-m"])
        expect(counts(world)).toEqual([1, 0, 0])
        expect(outcome.parts.some((part) => part.type === "finish")).toBe(false)
      }),
    "streamed"
  )

  World.everywhere(
    `${name}: restart goes on behind the text that came before`,
    (protocol) =>
      Effect.gen(function* () {
        const world = yield* start({ protocol, fallback: 'on_interrupt = "restart"', a: [fault] })
        const outcome = yield* world.ask(inGroup, brokenAt(at))
        expect([outcome.text, outcome.end]).toEqual([whole, "stop"])
        expect(outline(outcome.parts)).toEqual([head, "<a-m restart b-m>", tail])
        expect(outcome.attempts).toEqual([`a-m ${reason} @0`, `b-m completed @${at}`])
        expect(prefillOf(world.server("b"))).toBe(undefined)
        expect(counts(world)).toEqual([1, 1, 0])
        // What broke is closed before the next is asked.
        expect(world.server("a").seen()[0]?.closedAt).toBe(at)
        isWhole(outcome)
      }),
    "streamed"
  )

  World.everywhere(
    `${name}: resume goes on from the delivered text, where the model takes a prefill`,
    (protocol) =>
      Effect.gen(function* () {
        const world = yield* start({
          protocol,
          fallback: 'on_interrupt = "resume"',
          can: { c: prefill },
          a: [fault],
          texts: { c: tail }
        })
        const outcome = yield* world.ask(inGroup, brokenAt(at))
        expect([outcome.text, outcome.end]).toEqual([whole, "stop"])
        expect(outline(outcome.parts)).toEqual([head, "<a-m resume c-m>", tail])
        expect(outcome.attempts).toEqual([`a-m ${reason} @0`, `c-m completed @${at}`])
        expect(prefillOf(world.server("c"))).toBe(head)
        expect(counts(world)).toEqual([1, 0, 1])
        isWhole(outcome)
      }),
    "streamed"
  )

  World.everywhere(`${name}: nobody sees it when the reply is whole before commit`, (protocol, mode) =>
    Effect.gen(function* () {
      const { end, fault, steps } = unseen(one, mode)
      const world = yield* start({ protocol, mode, fallback: 'commit = "finish"', a: [fault], texts: { b: "another" } })
      const outcome = yield* world.ask(inGroup, steps)
      expect([outcome.text, outcome.end]).toEqual(["another", "stop"])
      expect(outcome.attempts).toEqual([`a-m ${reason} @0`, `b-m completed @${end}`])
      expect(outline(outcome.parts)).toEqual([mode === "buffered" ? "" : "another"])
      expect(counts(world)).toEqual([1, 1, 0])
    })
  )

  World.everywhere(
    `${name}: a caller who waits for the whole answer is not told`,
    (protocol, mode) =>
      Effect.gen(function* () {
        const { end, fault, steps } = unseen(one, mode)
        const world = yield* start({ protocol, mode, fallback: "", a: [fault], texts: { b: "another" } })
        const outcome = yield* world.ask(inGroup, steps)
        expect([outcome.text, ...outcome.attempts]).toEqual(["another", `a-m ${reason} @0`, `b-m completed @${end}`])
      }),
    "buffered"
  )
}

// --- lists, and what does not apply -----------------------------------------------------------------------------

const cutAfterTwo = cut({ after: 2, wait: "1 second" })

interface Rule extends Omit<Setup, "protocol" | "a"> {
  readonly name: string
  readonly a?: FaultServer.Script
  readonly metadata?: LlmRequest.Metadata
  /** The text in pieces with the seams between them, or the error's reason. */
  readonly expected: ReadonlyArray<string> | LlmError.ReasonTag
  readonly route: ReadonlyArray<string>
  readonly counts: readonly [number, number, number]
}

const rules: ReadonlyArray<Rule> = [
  {
    name: "resume does not apply where nobody takes a prefill",
    fallback: 'on_interrupt = "resume"',
    expected: "Network",
    route: ["a-m Network @0"],
    counts: [1, 0, 0]
  },
  {
    name: "of a list the next applies where the first does not",
    fallback: 'on_interrupt = ["resume", "restart"]',
    expected: [head, "<a-m restart b-m>", tail],
    route: ["a-m Network @0", "b-m completed @1000"],
    counts: [1, 1, 0]
  },
  {
    name: "of a list the first that applies is taken",
    fallback: 'on_interrupt = ["resume", "restart"]',
    can: { b: prefill },
    texts: { b: tail },
    expected: [head, "<a-m resume b-m>", tail],
    route: ["a-m Network @0", "b-m completed @1000"],
    counts: [1, 1, 0]
  },
  {
    name: "what stands behind fail is not tried",
    fallback: 'on_interrupt = ["fail", "restart"]',
    expected: "Network",
    route: ["a-m Network @0"],
    counts: [1, 0, 0]
  },
  {
    name: "the request has the last word",
    fallback: "",
    metadata: { onInterrupt: "restart" },
    expected: [head, "<a-m restart b-m>", tail],
    route: ["a-m Network @0", "b-m completed @1000"],
    counts: [1, 1, 0]
  },
  {
    name: "the request may say that it fails",
    fallback: 'on_interrupt = "restart"',
    metadata: { onInterrupt: "fail" },
    expected: "Network",
    route: ["a-m Network @0"],
    counts: [1, 0, 0]
  },
  {
    name: "a prefill that is refused all the same does not mask the first cause",
    fallback: 'on_interrupt = "resume"',
    can: { b: prefill },
    b: [withPrefillRefused(ok())],
    expected: "Network",
    route: ["a-m Network @0", "b-m InvalidRequest @1000"],
    counts: [1, 1, 0]
  },
  {
    name: "after a prefill that is refused the list goes on",
    fallback: 'on_interrupt = ["resume", "restart"]',
    can: { b: prefill },
    b: [withPrefillRefused(ok()), withPrefillRefused(ok())],
    // The refusal was an attempt, and the echelon allows one.
    expected: [head, "<a-m restart c-m>", tail],
    route: ["a-m Network @0", "b-m InvalidRequest @1000", "c-m completed @1000"],
    counts: [1, 1, 1]
  },
  {
    name: "an answer that does not begin with the delivered text is not joined to it",
    fallback: 'on_interrupt = "restart"',
    b: [stall({ after: 3, answer: ok("one too many") })],
    expected: "Network",
    route: ["a-m Network @0", "b-m cancelled @1000"],
    counts: [1, 1, 0]
  },
  {
    name: "when the next cannot answer, the one after it does",
    fallback: 'on_interrupt = "restart"',
    b: [status(401)],
    expected: [head, "<a-m restart c-m>", tail],
    route: ["a-m Network @0", "b-m Authentication @1000", "c-m completed @1000"],
    counts: [1, 1, 1]
  },
  {
    name: "when nobody can, the first cause is kept, with the whole route",
    fallback: 'on_interrupt = "restart"',
    b: [status(401)],
    c: [status(404)],
    expected: "Network",
    route: ["a-m Network @0", "b-m Authentication @1000", "c-m ModelNotFound @1000"],
    counts: [1, 1, 1]
  },
  {
    name: "no attempt is made beyond the budget",
    fallback: 'on_interrupt = "restart"',
    metadata: { maxTotalAttempts: 1 },
    expected: "Network",
    route: ["a-m Network @0"],
    counts: [1, 0, 0]
  },
  {
    name: "a key that was refused in the middle of a stream is no reason to keep silent",
    fallback: 'on_interrupt = "restart"',
    a: [errorEvent("authentication", { after: 2, wait: "1 second" })],
    expected: [head, "<a-m restart b-m>", tail],
    route: ["a-m Authentication @0", "b-m completed @1000"],
    counts: [1, 1, 0]
  },
  {
    name: "an invalid request goes nowhere else",
    fallback: 'on_interrupt = "restart"',
    a: [errorEvent("invalid_request", { after: 2, wait: "1 second" })],
    expected: "InvalidRequest",
    route: ["a-m InvalidRequest @0"],
    counts: [1, 0, 0]
  },
  {
    name: "a deadline ends at commit: a rescue comes after it",
    fallback: 'on_interrupt = "restart"',
    a: [cut({ after: 2, wait: "6 seconds" })],
    metadata: { wrapperName: "w" },
    expected: [head, "<a-m restart b-m>", tail],
    route: ["a-m Network @0", "b-m completed @6000"],
    counts: [1, 1, 0]
  }
]

for (const rule of rules)
  World.everywhere(
    rule.name,
    (protocol) =>
      Effect.gen(function* () {
        const { a = [cutAfterTwo], expected, metadata, name: _, route, ...setup } = rule
        const world = yield* start({ ...setup, protocol, a })
        const at = metadata?.wrapperName === undefined ? 1_000 : 6_000
        const outcome = yield* world.ask(
          { metadata: metadata?.wrapperName === undefined ? { groupName: "g", ...metadata } : metadata },
          brokenAt(at)
        )
        if (typeof expected === "string") {
          expect([outcome.end, outcome.error?.delivered]).toEqual([expected, head])
          expect(outcome.text).toBe(head)
          // An attempt that could not be joined on is one more name in the route, not the cause.
          expect(outcome.error?.instance).toBe("a-m")
        } else {
          expect(outline(outcome.parts)).toEqual(expected)
          expect(outcome.text).toBe(whole)
          isWhole(outcome)
        }
        expect(outcome.attempts).toEqual(route)
        expect(counts(world)).toEqual(rule.counts)
      }),
    "streamed"
  )

World.everywhere(
  "a rescue that breaks is rescued in turn, and each seam is shown",
  (protocol) =>
    Effect.gen(function* () {
      const world = yield* start({
        protocol,
        fallback: 'on_interrupt = "restart"',
        a: [cutAfterTwo],
        b: [cut({ after: 3, wait: "1 second" })]
      })
      const outcome = yield* world.ask(inGroup, [...brokenAt(1_000), ...brokenAt(2_000, "one two three")])
      expect(outline(outcome.parts)).toEqual([head, "<a-m restart b-m>", " three", "<b-m restart c-m>", " four"])
      expect(outcome.attempts).toEqual(["a-m Network @0", "b-m Network @1000", "c-m completed @2000"])
      isWhole(outcome)
    }),
  "streamed"
)

World.everywhere(
  "a rescue has the attempt's clock, and whoever leaves it closes it",
  (protocol) =>
    Effect.gen(function* () {
      const world = yield* start({
        protocol,
        fallback: 'on_interrupt = "restart"',
        a: [cutAfterTwo],
        b: [FaultServer.silence],
        c: [FaultServer.silence]
      })
      const asking = yield* world.begin(inGroup)
      yield* world.steps(asking, [...brokenAt(1_000), { to: 31_000, requests: 2 }])
      yield* world.server("c").fault.waitFor((server) => server.requests().length === 1)
      expect(world.server("b").seen()).toMatchObject([{ aborted: true, closedAt: 31_000 }])
      yield* Fiber.interrupt(asking.fiber)
      yield* world.rest
      expect(world.server("c").seen()).toMatchObject([{ aborted: true }])
    }),
  "streamed"
)

// --- tools ------------------------------------------------------------------------------------------------------

World.everywhere(
  "a tool call that has begun forbids a rescue, and appears only when it is whole",
  (protocol) =>
    Effect.gen(function* () {
      const calls = [{ name: "send", arguments: '{"to":"everybody","again":true}' }]
      for (const fallback of ['on_interrupt = ["resume", "restart"]', ""]) {
        const world = yield* start({
          protocol,
          fallback,
          can: { b: prefill },
          a: [cut({ after: 2, wait: "1 second", answer: toolCalls(calls) })]
        })
        const input = { ...inGroup, tools: [{ name: "send", parameters: { type: "object" } }] }
        const outcome = yield* world.ask(input, [{ to: 1_000, part: "tool-params-delta" }])
        expect([outcome.end, ...outcome.attempts]).toEqual(["Network", "a-m Network @0"])
        const types = outcome.parts.map((part) => part.type)
        expect(types).toContain("tool-params-delta")
        expect(types).not.toContain("tool-call")
        expect(counts(world)).toEqual([1, 0, 0])
      }
    }),
  "streamed"
)

// --- usage ------------------------------------------------------------------------------------------------------

World.everywhere(
  "usage adds up over a seam, and is not passed off as reported",
  (protocol) =>
    Effect.gen(function* () {
      const world = yield* start({
        protocol,
        fallback: 'on_interrupt = "restart"',
        a: [cutAfterTwo],
        b: [ok(undefined, { usage: { input: 11, output: 4 } })]
      })
      const { usage } = yield* world.ask(inGroup, brokenAt(1_000))
      expect(usage?.[2]).not.toBe("reported")
      expect(usage?.[0]).toBeGreaterThan(11)
      expect(usage?.[1]).toBeGreaterThan(4)
    }),
  "streamed"
)

World.everywhere("without a seam the usage is as reported", (protocol, mode) =>
  Effect.gen(function* () {
    const world = yield* start({
      protocol,
      mode,
      fallback: 'on_interrupt = "restart"',
      a: [status(503)],
      b: [ok(undefined, { usage: { input: 11, output: 4 } })]
    })
    const { usage } = yield* world.ask({ metadata: { groupName: "g.echelon2" } })
    expect(usage).toEqual([11, 4, "reported"])
  })
)
