import type { ReportedLimit } from "@echelon/core"
import { Attempt, LlmRequest } from "@echelon/core"
import { Instance, LimitHeaders, type RetryAfter, Transport } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Effect, Layer, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { instanceOf, json, named, serve, sse } from "./Support.ts"

const now = Date.UTC(2026, 9, 1, 12, 0, 0)
const hour = 3_600_000
const day = 24 * hour

const read = (headers: RetryAfter.Headers, max = hour) => LimitHeaders.parse(headers, { now, max })

/** A report that ends `wait` milliseconds from now. */
const requests = (remaining: number, limit?: number, wait?: number): ReportedLimit.Report => ({
  kind: "requests",
  remaining,
  limit,
  resetAt: wait === undefined ? undefined : now + wait
})
const tokens = (remaining: number, limit?: number, wait?: number): ReportedLimit.Report => ({
  ...requests(remaining, limit, wait),
  kind: "tokens"
})

// --- dialects ---------------------------------------------------------------------------------------------------

const date = "Thu, 01 Oct 2026 12:00:00 GMT"

const openai = {
  "x-ratelimit-limit-requests": "60",
  "x-ratelimit-limit-tokens": "150000",
  "x-ratelimit-remaining-requests": "59",
  "x-ratelimit-remaining-tokens": "149984",
  "x-ratelimit-reset-requests": "1s",
  "x-ratelimit-reset-tokens": "20ms"
}

const anthropic = {
  date,
  "anthropic-ratelimit-requests-limit": "50",
  "anthropic-ratelimit-requests-remaining": "49",
  "anthropic-ratelimit-requests-reset": "2026-10-01T12:00:01Z",
  "anthropic-ratelimit-tokens-limit": "38000",
  "anthropic-ratelimit-tokens-remaining": "36000",
  "anthropic-ratelimit-tokens-reset": "2026-10-01T12:00:04Z",
  "anthropic-ratelimit-input-tokens-limit": "30000",
  "anthropic-ratelimit-input-tokens-remaining": "30000",
  "anthropic-ratelimit-input-tokens-reset": "2026-10-01T12:00:00Z",
  "anthropic-ratelimit-output-tokens-limit": "8000",
  "anthropic-ratelimit-output-tokens-remaining": "6000",
  "anthropic-ratelimit-output-tokens-reset": "2026-10-01T12:00:15Z"
}

const cerebras = {
  "x-ratelimit-limit-requests-day": "14400",
  "x-ratelimit-limit-tokens-minute": "60000",
  "x-ratelimit-remaining-requests-day": "14399",
  "x-ratelimit-remaining-tokens-minute": "59000",
  "x-ratelimit-reset-requests-day": "33011.382867",
  "x-ratelimit-reset-tokens-minute": "11.382867"
}

const dialects: ReadonlyArray<readonly [string, RetryAfter.Headers, ReadonlyArray<ReportedLimit.Report>]> = [
  ["OpenAI", openai, [requests(59, 60, 1_000), tokens(149_984, 150_000, 20)]],
  [
    "OpenAI, limits of a project beside those of the organization",
    {
      ...openai,
      "x-ratelimit-limit-project-tokens": "50000",
      "x-ratelimit-remaining-project-tokens": "1000",
      "x-ratelimit-reset-project-tokens": "58.8s"
    },
    [requests(59, 60, 1_000), tokens(1_000, 50_000, 58_800)]
  ],
  [
    "OpenAI, whole: the report ends at once, and with it whatever was believed before",
    { ...openai, "x-ratelimit-remaining-tokens": "150000", "x-ratelimit-reset-tokens": "0s" },
    [requests(59, 60, 1_000), tokens(150_000, 150_000, 1)]
  ],
  [
    "Azure without resets",
    {
      "x-ratelimit-remaining-requests": "19",
      "x-ratelimit-remaining-tokens": "19913",
      "x-ms-region": "East US",
      "apim-request-id": "a"
    },
    [requests(19), tokens(19_913)]
  ],
  [
    "Azure with resets in seconds",
    {
      "x-ratelimit-limit-requests": "120",
      "x-ratelimit-remaining-requests": "119",
      "x-ratelimit-reset-requests": "10",
      "x-ratelimit-limit-tokens": "20000",
      "x-ratelimit-remaining-tokens": "19875",
      "x-ratelimit-reset-tokens": "60"
    },
    [requests(119, 120, 10_000), tokens(19_875, 20_000, 60_000)]
  ],
  [
    "Azure's -1 for a limit it does not know",
    { "x-ratelimit-remaining-requests": "-1", "x-ratelimit-remaining-tokens": "19913" },
    [tokens(19_913)]
  ],
  [
    "Anthropic, the scarcer side of the tokens as a share of all",
    anthropic,
    [requests(49, 50, 1_000), tokens(28_500, 38_000, 15_000)]
  ],
  [
    "Anthropic, the total where that is scarcest, as for a workspace of its own limit",
    {
      ...anthropic,
      "anthropic-ratelimit-tokens-limit": "10000",
      "anthropic-ratelimit-tokens-remaining": "500",
      "anthropic-ratelimit-tokens-reset": "2026-10-01T12:00:57Z"
    },
    [requests(49, 50, 1_000), tokens(500, 10_000, 57_000)]
  ],
  [
    "Anthropic, no output left",
    { ...anthropic, "anthropic-ratelimit-output-tokens-remaining": "0" },
    [requests(49, 50, 1_000), tokens(0, 38_000, 15_000)]
  ],
  [
    "Anthropic without a total: the whole is the sum",
    {
      "anthropic-ratelimit-input-tokens-limit": "30000",
      "anthropic-ratelimit-input-tokens-remaining": "15000",
      "anthropic-ratelimit-input-tokens-reset": "2026-10-01T12:00:30Z",
      "anthropic-ratelimit-output-tokens-limit": "8000",
      "anthropic-ratelimit-output-tokens-remaining": "8000",
      "anthropic-ratelimit-output-tokens-reset": "2026-10-01T12:00:00Z"
    },
    [tokens(19_000, 38_000, 30_000)]
  ],
  [
    "input and output without limits: only what is empty says something",
    { "anthropic-ratelimit-input-tokens-remaining": "15000", "anthropic-ratelimit-output-tokens-remaining": "0" },
    [tokens(0)]
  ],
  [
    "input and output without limits, with some of both left",
    { "anthropic-ratelimit-input-tokens-remaining": "15000", "anthropic-ratelimit-output-tokens-remaining": "1" },
    []
  ],
  [
    "Groq: requests of a day that fill evenly, believed for a minute",
    {
      "x-ratelimit-limit-requests": "14400",
      "x-ratelimit-limit-tokens": "18000",
      "x-ratelimit-remaining-requests": "14370",
      "x-ratelimit-remaining-tokens": "17997",
      "x-ratelimit-reset-requests": "2m59.56s",
      "x-ratelimit-reset-tokens": "7.66s"
    },
    [requests(14_370, 14_400, 60_000), tokens(17_997, 18_000, 7_660)]
  ],
  [
    "requests of a day that are used up: until one is back",
    {
      "x-ratelimit-limit-requests": "200",
      "x-ratelimit-remaining-requests": "0",
      "x-ratelimit-reset-requests": "24h0m0s"
    },
    [requests(0, 200, 432_000)]
  ],
  [
    "the same in a refusal: until Retry-After",
    {
      "retry-after": "7",
      "x-ratelimit-limit-requests": "200",
      "x-ratelimit-remaining-requests": "0",
      "x-ratelimit-reset-requests": "24h0m0s"
    },
    [requests(0, 200, 7_000)]
  ],
  [
    "a refusal without a reset: until Retry-After",
    { "retry-after-ms": "1500", "x-ratelimit-remaining-requests": "0" },
    [requests(0, undefined, 1_500)]
  ],
  [
    "a reset of long ago without a limit: as it is",
    { "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "6m0s" },
    [requests(0, undefined, 360_000)]
  ],
  ["Cerebras: a fixed day, clamped", cerebras, [requests(14_399, 14_400, hour), tokens(59_000, 60_000, 11_383)]],
  [
    "SambaNova: a minute and a day, the least counts",
    {
      "x-ratelimit-limit-requests": "30",
      "x-ratelimit-remaining-requests": "29",
      "x-ratelimit-reset-requests": String(now / 1000 + 42),
      "x-ratelimit-limit-requests-day": "20",
      "x-ratelimit-remaining-requests-day": "3",
      "x-ratelimit-reset-requests-day": "17m"
    },
    [requests(3, 20, 17 * 60_000)]
  ],
  [
    "a minute and a day that are both used up: the later reset",
    {
      "x-ratelimit-limit-requests-minute": "5",
      "x-ratelimit-remaining-requests-minute": "0",
      "x-ratelimit-reset-requests-minute": "30",
      "x-ratelimit-limit-requests-day": "100",
      "x-ratelimit-remaining-requests-day": "0",
      "x-ratelimit-reset-requests-day": "1800"
    },
    [requests(0, 100, 1_800_000)]
  ],
  [
    "Mistral",
    {
      "x-ratelimit-limit-tokens-minute": "5000000",
      "x-ratelimit-remaining-tokens-minute": "4999911",
      "x-ratelimit-tokens-query-cost": "52",
      "x-ratelimit-limit-req-minute": "720",
      "x-ratelimit-remaining-req-minute": "717"
    },
    [requests(717, 720), tokens(4_999_911, 5_000_000)]
  ],
  [
    "Fireworks",
    {
      "x-ratelimit-limit-tokens-prompt": "60000",
      "x-ratelimit-remaining-tokens-prompt": "54000",
      "x-ratelimit-limit-tokens-cache-adjusted-prompt": "30000",
      "x-ratelimit-remaining-tokens-cache-adjusted-prompt": "24000",
      "x-ratelimit-limit-tokens-generated": "6000",
      "x-ratelimit-remaining-tokens-generated": "3000",
      "x-ratelimit-over-limit": "no"
    },
    [tokens(33_000, 66_000)]
  ],
  [
    "Together",
    {
      "x-ratelimit-limit": "10",
      "x-ratelimit-remaining": "9",
      "x-ratelimit-reset": "1",
      "x-tokenlimit-limit": "3000",
      "x-tokenlimit-remaining": "2900"
    },
    [requests(9, 10, 1_000), tokens(2_900, 3_000, 1_000)]
  ],
  [
    "a reset in milliseconds since the epoch",
    { date, "x-ratelimit-limit": "50", "x-ratelimit-remaining": "0", "x-ratelimit-reset": String(now + 90_000) },
    [requests(0, 50, 90_000)]
  ],
  [
    "the IETF's draft, with its list of quotas",
    { "ratelimit-limit": "100, 100;w=60, 1000;w=3600", "ratelimit-remaining": "50", "ratelimit-reset": "30" },
    [requests(50, 100, 30_000)]
  ],
  ["limits alone", { "x-ratelimit-limit-requests": "60", "x-ratelimit-limit-tokens-prompt": "21600000" }, []],
  ["nothing", { date, "content-type": "application/json", "retry-after": "7" }, []]
]

for (const [title, headers, expected] of dialects)
  it(`reads ${title}`, () => {
    expect(read(headers)).toEqual(expected)
    // A dialect need not be read for its presence to be seen.
    if (expected.length > 0) expect(LimitHeaders.isPresent(headers)).toBe(true)
  })

it("sees that there is nothing to read", () => {
  expect(LimitHeaders.isPresent({ date, "retry-after": "7", "x-ratelimit-limit-requests": "60" })).toBe(false)
})

// --- resets -----------------------------------------------------------------------------------------------------

const wait = (reset: string, headers: RetryAfter.Headers = {}, max = day) => {
  const [report] = read({ "x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": reset, ...headers }, max)
  return report === undefined ? "void" : report.resetAt === undefined ? undefined : report.resetAt - now
}

it("reads durations, seconds and instants", () => {
  const cases: ReadonlyArray<readonly [string, number | undefined]> = [
    ["1s", 1_000],
    ["6m0s", 360_000],
    ["20ms", 20],
    ["1h2m3.5s", 3_723_500],
    ["659.999999ms", 660],
    ["4h17m", 15_420_000],
    [" 2s ", 2_000],
    ["0s", 1],
    ["0", 1],
    ["0.5", 500],
    ["59", 59_000],
    ["86400", day],
    ["", undefined],
    [" ", undefined],
    ["2026-10-01T12:00:30Z", 30_000],
    ["2026-10-01T12:00:30.250Z", 30_250],
    ["2026-10-01T14:00:30+02:00", 30_000],
    ["2026-10-01T12:00:00Z", 1],
    [String(now / 1000 + 5), 5_000],
    [String(now + 5), 5]
  ]
  for (const [reset, expected] of cases) expect([reset, wait(reset)]).toEqual([reset, expected])
})

it("counts an instant from the server's clock", () => {
  // Theirs is two hours ahead, or behind.
  const ahead = { date: "Thu, 01 Oct 2026 14:00:00 GMT" }
  expect(wait("2026-10-01T14:00:30Z", ahead)).toBe(30_000)
  expect(wait("2026-10-01T13:59:59Z", ahead)).toBe("void")
  expect(wait("2026-10-01T10:00:30Z", { date: "Thu, 01 Oct 2026 10:00:00 GMT" })).toBe(30_000)
  expect(wait(String(now / 1000 + 2 * 3600 + 9), ahead)).toBe(9_000)
  // A duration is the same on every clock.
  expect(wait("30s", ahead)).toBe(30_000)
})

it("does not believe a date that cannot be", () => {
  for (const implausible of [
    "Wed, 01 Oct 2025 12:00:00 GMT",
    "Fri, 01 Oct 2100 12:00:00 GMT",
    "soon",
    "5",
    "Foo, 99",
    ""
  ])
    expect([implausible, wait("2026-10-01T12:00:30Z", { date: implausible })]).toEqual([implausible, 30_000])
})

it("never looks further ahead than max, or a day", () => {
  for (const reset of [
    "25h",
    "999999h",
    "999999999",
    "2100-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "99999999999999"
  ]) {
    expect([reset, wait(reset)]).toEqual([reset, day])
    expect([reset, wait(reset, {}, 5_000)]).toEqual([reset, 5_000])
    expect([reset, wait(reset, {}, Number.POSITIVE_INFINITY)]).toEqual([reset, day])
  }
  expect(wait("10s", { "retry-after": "1e9" })).toBe(10_000)
  for (const max of [0, -1, Number.NaN]) expect(wait("10s", {}, max)).toBe("void")
})

// --- nonsense ---------------------------------------------------------------------------------------------------

const long = "9".repeat(100_000)

const hostile = [
  "-1",
  "-1s",
  "NaN",
  "nan",
  "Infinity",
  "1e309",
  "1e3",
  "0x10",
  "+5",
  "1,5",
  "10, 10",
  "1..5",
  "soon",
  "1s1s",
  "1s2m",
  "ms",
  ".5s",
  "1d",
  "null",
  "[object Object]",
  "2026-13-45T99:99:99Z",
  "2026-10-01T11:59:59Z",
  "1970-01-01T00:00:00Z",
  "2026-10-01T12:00:00Z; 2026-10-01T12:00:00Z",
  String(now / 1000 - 1),
  String(now - 1),
  "\0",
  "١",
  long,
  `${long}s`,
  `1.${long}s`,
  `2026-10-01T12:00:00Z${" ".repeat(50_000)}x`
]

it("takes what is nonsense for no report", () => {
  const whole = { "x-ratelimit-remaining-tokens": "7" }
  for (const value of hostile) {
    expect([value, wait(value)]).toEqual([value, "void"])
    // Another kind is believed all the same.
    expect(read({ ...whole, "x-ratelimit-remaining-requests": "5", "x-ratelimit-reset-requests": value })).toEqual([
      tokens(7)
    ])
  }
  for (const value of [...hostile.filter((one) => !/^\d{10,13}$/.test(one)), "", "1s"]) {
    expect([value, read({ "x-ratelimit-remaining-requests": value })]).toEqual([value, []])
    if (value !== "10, 10" && value !== "1,5")
      expect([value, read({ "x-ratelimit-remaining-requests": "5", "x-ratelimit-limit-requests": value })]).toEqual([
        value,
        []
      ])
  }
  // A limit of nothing would not have let this request through.
  expect(read({ "x-ratelimit-remaining-requests": "0", "x-ratelimit-limit-requests": "0" })).toEqual([])
})

it("voids one of several and keeps the others", () => {
  const headers = { ...anthropic, "anthropic-ratelimit-output-tokens-reset": "2026-10-01T11:59:00Z" }
  expect(read(headers)).toEqual([requests(49, 50, 1_000), tokens(36_000, 38_000, 4_000)])
})

// Pieces of what is right, so that much of what is made is nearly right.
const Piece = Schema.Union([
  Schema.Literals([
    "",
    "0",
    "1",
    "9",
    "60",
    "1e309",
    "-",
    ".",
    ",",
    ";",
    "h",
    "m",
    "s",
    "ms",
    "T",
    "Z",
    ":",
    " ",
    "w="
  ]),
  Schema.Literals(["2026-10-01", "12:00:01", "Thu, 01 Oct 2026 12:00:00 GMT", "NaN", "999999999999999"]),
  Schema.String
])
const Value = Schema.Union([
  Schema.Array(Piece).check(Schema.isMaxLength(7)),
  Schema.Array(Schema.String).check(Schema.isMaxLength(1)),
  Schema.Tuple([Schema.Literals(["0", "1", "60", "6m0s", "1h2m3.5s", "20ms", "2026-10-01T12:00:01Z", "1790856001"])])
])

const names = [
  "date",
  "retry-after",
  ...new Set(dialects.flatMap(([, headers]) => Object.keys(headers).filter((name) => name.includes("limit"))))
]

it.prop(
  "any text in the place of what is right gives no report or a sound one",
  {
    base: Schema.Literals(dialects.map(([, headers]) => JSON.stringify(headers))),
    edits: Schema.Array(Schema.Tuple([Schema.Literals(names), Value])).check(Schema.isMaxLength(6)),
    max: Schema.Union([Schema.Literals([1, 1_000, hour, 2 * day]), Schema.Number])
  },
  ({ base, edits, max }) => {
    const changed = Object.fromEntries(edits.map(([name, value]) => [name, value.join("")]))
    const all: RetryAfter.Headers = { ...JSON.parse(base), ...changed }
    const reports = read(all, max)
    expect(new Set(reports.map((report) => report.kind)).size).toBe(reports.length)
    if (reports.length > 0) expect(LimitHeaders.isPresent(all)).toBe(true)
    for (const { limit, remaining, resetAt } of reports) {
      expect(Number.isSafeInteger(remaining) && remaining >= 0).toBe(true)
      if (limit !== undefined) expect(Number.isSafeInteger(limit) && limit > 0).toBe(true)
      if (resetAt !== undefined) {
        expect(resetAt).toBeGreaterThan(now)
        expect(resetAt - now).toBeLessThanOrEqual(Math.min(max, day))
      }
    }
  },
  { arbitrary: { runs: 2_000, seed: 7 } }
)

it.prop(
  "what is right is read as it is",
  {
    remaining: Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1_000_000 })),
    more: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1_000_000 })),
    seconds: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 3_599 }))
  },
  ({ more, remaining, seconds }) => {
    const limit = remaining + more
    const spellings = [
      String(seconds),
      `${seconds}s`,
      `${Math.floor(seconds / 60)}m${seconds % 60}s`,
      new Date(now + seconds * 1_000).toISOString(),
      String(now / 1_000 + seconds),
      String(now + seconds * 1_000)
    ]
    for (const reset of spellings) {
      const of = (name: string) => ({
        [`x-ratelimit-limit-${name}`]: String(limit),
        [`x-ratelimit-remaining-${name}`]: String(remaining),
        [`x-ratelimit-reset-${name}`]: reset
      })
      expect(read(of("requests-day"))).toEqual([requests(remaining, limit, seconds * 1_000)])
      const [report] = read(of("requests"))
      const held = (report?.resetAt ?? 0) - now
      // Never longer than it takes to be whole, nor less than a minute or what one more takes.
      expect(held).toBeLessThanOrEqual(seconds * 1_000)
      expect(held).toBeGreaterThanOrEqual(Math.min(seconds * 1_000, Math.max(60_000, (seconds * 1_000) / more)))
    }
  },
  { arbitrary: { runs: 300, seed: 7 } }
)

// --- end to end -------------------------------------------------------------------------------------------------

const reply = {
  id: "r1",
  model: "a-model-1",
  choices: [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }]
}

/** What an attempt hears of a call, and the call's failure. */
const heard = (kind: string, url: string, stream: boolean) =>
  Effect.gen(function* () {
    const reports: Array<ReportedLimit.Report> = []
    const context = yield* Layer.build(Transport.layer)
    const { llm } = yield* Effect.provideContext(
      Instance.make(instanceOf(kind, { baseUrl: url }, { key: "sk-planted" })),
      context
    )
    const request = yield* LlmRequest.make({ prompt: "hi" }, { stream, commit: "first_output" })
    const failure = yield* Attempt.open({}, (attempt) => {
      attempt.onReport((report) => void reports.push(report))
      return llm.call({ ...request, attempt })
    }).pipe(
      Effect.flatMap((opened) => Stream.runDrain(opened.parts)),
      Effect.match({ onFailure: (error) => error.reason, onSuccess: () => undefined })
    )
    return { reports, failure }
  })

it.effect("an attempt hears what the head of a success says, buffered and streamed", () =>
  Effect.gen(function* () {
    yield* TestClock.setTime(now)
    const server = yield* serve((seen, response) => {
      if (!seen.body.includes('"stream":true')) return json(response, 200, reply, openai)
      response.writeHead(200, { "content-type": "text/event-stream", ...openai })
      response.end(
        sse({ ...reply, choices: [{ index: 0, delta: { content: "hi" }, finish_reason: "stop" }] }, "[DONE]")
      )
    })
    for (const stream of [false, true]) {
      const { failure, reports } = yield* heard("openai", server.url, stream)
      expect(failure).toBe(undefined)
      expect(reports).toEqual([requests(59, 60, 1_000), tokens(149_984, 150_000, 20)])
    }
  })
)

it.effect("an attempt hears what the head of a refusal says", () =>
  Effect.gen(function* () {
    yield* TestClock.setTime(now)
    const body = { type: "error", error: { type: "rate_limit_error", message: "slow down" } }
    const server = yield* serve((_, response) =>
      json(response, 429, body, { ...anthropic, "anthropic-ratelimit-requests-remaining": "0", "retry-after": "3" })
    )
    const { failure, reports } = yield* heard("anthropic", server.url, true)
    expect(failure?._tag).toBe("RateLimited")
    expect(reports).toEqual([requests(0, 50, 1_000), tokens(28_500, 38_000, 3_000)])
  })
)

it.effect("an attempt hears nothing where nothing is said", () =>
  Effect.gen(function* () {
    const server = yield* serve((_, response) => {
      response.writeHead(200, { "content-type": "text/event-stream", "x-ratelimit-limit-requests": "60" })
      response.end(named({ type: "error" }))
    })
    const { failure, reports } = yield* heard("anthropic", server.url, true)
    expect([failure?._tag, reports]).toEqual(["Unknown", []])
  })
)
