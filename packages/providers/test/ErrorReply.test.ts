import { readFileSync } from "node:fs"
import type { LlmError } from "@echelon/core"
import { AnthropicMessages, ErrorReply, type Json, OpenAiChat, ProviderTable, Redaction } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
import { Duration } from "effect"
import { optionsOf } from "./Support.ts"

interface Fixture {
  readonly name: string
  readonly kind?: string
  readonly status: number
  readonly reason: LlmError.ReasonTag
  readonly window?: number
  readonly message?: string
  readonly body: Json.Json
}

const fixtures = (file: string) =>
  JSON.parse(readFileSync(new URL(`./fixtures/${file}`, import.meta.url), "utf8")) as ReadonlyArray<Fixture>

const read = (kind: string, reply: ErrorReply.Reply) => {
  const protocol = ProviderTable.find(kind)?.protocol ?? OpenAiChat.protocol
  const options = optionsOf(kind)
  return ErrorReply.fromReply(reply, {
    decode: (body) => protocol.decodeError(body, options),
    statuses: options.dialect.statuses,
    redaction: Redaction.make([]),
    now: 0,
    maxCooldown: 1000
  })
}

for (const [file, kind] of [
  ["openai-chat-errors.json", "openai"],
  ["anthropic-messages-errors.json", "anthropic"]
] as const)
  for (const fixture of fixtures(file))
    it(`${fixture.kind ?? kind} ${fixture.status}: ${fixture.name}`, () => {
      const error = read(fixture.kind ?? kind, {
        status: fixture.status,
        headers: {},
        body: JSON.stringify(fixture.body)
      })
      expect(error.reason._tag).toBe(fixture.reason)
      if (error.reason._tag === "ContextLength") expect(error.reason.contextWindow).toBe(fixture.window)
      if (fixture.message !== undefined) expect(error.detail).toBe(fixture.message)
      expect(error.detail).not.toBe(undefined)
    })

it("decides by the status where the body says nothing", () => {
  const cases: Record<number, LlmError.ReasonTag> = {
    400: "InvalidRequest",
    401: "Authentication",
    402: "QuotaExhausted",
    403: "Authentication",
    404: "ModelNotFound",
    408: "Network",
    409: "Overloaded",
    413: "InvalidRequest",
    418: "Unknown",
    422: "InvalidRequest",
    425: "Overloaded",
    429: "RateLimited",
    500: "ProviderError",
    502: "ProviderError",
    503: "Overloaded",
    504: "ProviderError",
    520: "ProviderError",
    529: "Overloaded"
  }
  for (const [status, tag] of Object.entries(cases))
    expect([status, read("openai", { status: Number(status), headers: {}, body: "" }).reason._tag]).toEqual([
      status,
      tag
    ])
})

it("keeps the message of the provider, cut", () => {
  const body = JSON.stringify({ error: { message: "m".repeat(600), code: "invalid_api_key" } })
  expect(read("openai", { status: 401, headers: {}, body }).detail?.length).toBe(ErrorReply.maxDetail + 1)
})

it("keeps no message of an unknown failure but the body's beginning", () => {
  const error = read("openai", { status: 499, headers: {}, body: "x".repeat(900) })
  expect(error.reason).toEqual({ _tag: "Unknown", status: 499 })
  expect(error.detail).toBe(`${"x".repeat(200)}…`)
})

it("finds the request's id under any of its names", () => {
  for (const name of ["x-request-id", "request-id", "apim-request-id"])
    expect(read("openai", { status: 500, headers: { [name]: "r" }, body: "" }).requestId).toBe("r")
})

it("makes errors of events that have no status", () => {
  expect(ErrorReply.fromDecoded({ message: "?" }).reason).toEqual({ _tag: "Unknown" })
  expect(ErrorReply.fromDecoded({ status: 529 }).reason._tag).toBe("Overloaded")
  const options = optionsOf("anthropic")
  const decoded = AnthropicMessages.protocol.decodeError(
    { type: "error", error: { type: "overloaded_error" } },
    options
  )
  expect(ErrorReply.fromDecoded(decoded ?? {}).reason._tag).toBe("Overloaded")
})

// --- the wait that Google's body names --------------------------------------------------------------------------

const hour = 3_600_000

/** 10:20 in the morning in California, by daylight saving time. */
const now = Date.UTC(2026, 9, 1, 17, 20, 0)

const perMinute = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier"
const perDay = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"

const retryInfo = (retryDelay: Json.Json) => ({ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay })

const quotaFailure = (...ids: ReadonlyArray<string>) => ({
  "@type": "type.googleapis.com/google.rpc.QuotaFailure",
  violations: ids.map((quotaId) => ({
    quotaMetric: "generativelanguage.googleapis.com/generate_content_free_tier_requests",
    quotaId,
    quotaDimensions: { location: "global", model: "gemini-2.5-flash" },
    quotaValue: "20"
  }))
})

const errorInfo = (quota: string) => ({
  "@type": "type.googleapis.com/google.rpc.ErrorInfo",
  reason: "RATE_LIMIT_EXCEEDED",
  domain: "googleapis.com",
  metadata: { quota_metric: "cloudcode-pa.googleapis.com/gemini_2_5_pro_requests", quota_limit: quota }
})

const help = {
  "@type": "type.googleapis.com/google.rpc.Help",
  links: [{ description: "Learn more", url: "https://x" }]
}

const google = (...details: ReadonlyArray<Json.Json>): Json.JsonObject => ({
  error: {
    code: 429,
    message: "You exceeded your current quota, please check your plan and billing details.",
    status: "RESOURCE_EXHAUSTED",
    details: [...details]
  }
})

const waitOf = (body: Json.Json, headers = {}, status = 429, max = 24 * hour) => {
  const options = optionsOf("openai-compatible")
  const error = ErrorReply.fromReply(
    { status, headers, body: JSON.stringify(body) },
    {
      decode: (json) => OpenAiChat.protocol.decodeError(json, options),
      statuses: {},
      redaction: Redaction.make([]),
      now,
      maxCooldown: max
    }
  )
  return [error.reason._tag, error.retryAfter === undefined ? undefined : Duration.toMillis(error.retryAfter)]
}

const untilMidnight = 13 * hour + 40 * 60_000

it("takes the wait from Google's body", () => {
  const cases: ReadonlyArray<readonly [string, Json.Json, LlmError.ReasonTag, number | undefined]> = [
    ["a minute's quota", google(quotaFailure(perMinute), help, retryInfo("17s")), "RateLimited", 17_000],
    ["in a list of one", [google(quotaFailure(perMinute), retryInfo("36.429760048s"))], "RateLimited", 36_430],
    ["no delay named", google(quotaFailure(perMinute), help), "RateLimited", undefined],
    ["a day's quota with a delay", google(quotaFailure(perDay), retryInfo("36s")), "QuotaExhausted", 36_000],
    ["a day's quota without one", google(quotaFailure(perDay), help), "QuotaExhausted", untilMidnight],
    ["both quotas", google(quotaFailure(perMinute, perDay)), "QuotaExhausted", untilMidnight],
    ["a day's limit by its name", google(errorInfo("Gemini25ProRequestsPerDay")), "QuotaExhausted", untilMidnight],
    ["a minute's limit by its name", google(errorInfo("RequestsPerMinute")), "RateLimited", undefined],
    ["no details", google(), "RateLimited", undefined]
  ]
  for (const [title, body, tag, wait] of cases) expect([title, ...waitOf(body)]).toEqual([title, tag, wait])
})

it("prefers a header to the body", () => {
  expect(waitOf(google(retryInfo("17s")), { "retry-after": "9" })).toEqual(["RateLimited", 9_000])
  expect(waitOf(google(retryInfo("17s")), { "retry-after": "-9" })).toEqual(["RateLimited", 17_000])
  expect(waitOf(google(quotaFailure(perDay)), { "retry-after": "9" })).toEqual(["QuotaExhausted", 9_000])
})

it("clamps what a body names as what a header names", () => {
  expect(waitOf(google(retryInfo("999999s")), {}, 429, hour)).toEqual(["RateLimited", hour])
  expect(waitOf(google(quotaFailure(perDay)), {}, 429, hour)).toEqual(["QuotaExhausted", hour])
})

it("keeps the wait of what is overloaded and gives none to what is no matter of time", () => {
  const info = { code: 503, status: "UNAVAILABLE", message: "?", details: [retryInfo("3s")] }
  expect(waitOf({ error: info }, {}, 503)).toEqual(["Overloaded", 3_000])
  expect(waitOf({ error: { ...info, code: 400 } }, {}, 400)).toEqual(["InvalidRequest", undefined])
})

it("takes nonsense in the details for no detail", () => {
  const delays: ReadonlyArray<Json.Json> = [
    "-5s",
    "0s",
    "NaNs",
    "1e309s",
    "soon",
    "",
    "9".repeat(100_000),
    17,
    null,
    {}
  ]
  for (const delay of delays)
    expect([delay, ...waitOf(google(retryInfo(delay)))]).toEqual([delay, "RateLimited", undefined])
  const strange: ReadonlyArray<Json.Json> = [null, 1, "x", [], {}, { "@type": 1 }, { ...quotaFailure(), violations: 1 }]
  const violations: Json.JsonObject = { ...quotaFailure(), violations: [null, 1, {}, { quotaId: 1 }] }
  expect(waitOf(google(...strange, violations, retryInfo("17s")))).toEqual(["RateLimited", 17_000])
  expect(waitOf({ error: { code: 429, message: "?", details: { "0": retryInfo("17s") } } })).toEqual([
    "RateLimited",
    undefined
  ])
  // More details than any error has are not looked through.
  const padding = Array.from({ length: 100_000 }, () => help)
  expect(waitOf(google(...padding, retryInfo("17s")))).toEqual(["RateLimited", undefined])
})

it("carries the wait of an error inside a stream, at most a day", () => {
  const options = optionsOf("openai-compatible")
  const wait = (body: Json.Json) => {
    const error = ErrorReply.fromDecoded(OpenAiChat.protocol.decodeError(body, options) ?? {})
    return [error.reason._tag, error.retryAfter === undefined ? undefined : Duration.toMillis(error.retryAfter)]
  }
  expect(wait(google(retryInfo("17s")))).toEqual(["RateLimited", 17_000])
  expect(wait(google(quotaFailure(perDay)))).toEqual(["QuotaExhausted", 24 * hour])
  expect(wait(google())).toEqual(["RateLimited", undefined])
})

it("clamps the wait of an error that is made already", () => {
  const error = ErrorReply.fromDecoded({ tag: "Overloaded", retryAfter: 5_000, message: "m" })
  expect(ErrorReply.clamped(error, 5_000)).toBe(error)
  const clamped = ErrorReply.clamped(error, 4_000)
  expect([clamped.retryAfter, clamped.detail]).toEqual([Duration.seconds(4), "m"])
  const without = ErrorReply.fromDecoded({ tag: "Overloaded" })
  expect(ErrorReply.clamped(without, 0)).toBe(without)
})
