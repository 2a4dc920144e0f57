import { readFileSync } from "node:fs"
import type { LlmError } from "@echelon/core"
import { ErrorReply, type Json, Redaction } from "@echelon/providers"
import * as GeminiError from "@echelon/providers/GeminiError"
import * as GoogleErrorDetails from "@echelon/providers/GoogleErrorDetails"
import { expect, it } from "@effect/vitest"
import { Duration } from "effect"
import { optionsOf } from "./Support.ts"

interface Fixture {
  readonly name: string
  readonly status: number
  readonly reason: LlmError.ReasonTag
  readonly window?: number
  readonly message?: string
  readonly body: Json.Json
}

const fixtures = JSON.parse(
  readFileSync(new URL("./fixtures/gemini-errors.json", import.meta.url), "utf8")
) as ReadonlyArray<Fixture>

const read = (status: number, body: Json.Json, dialect = optionsOf("gemini").dialect) =>
  ErrorReply.fromReply(
    { status, headers: {}, body: JSON.stringify(body) },
    {
      decode: (json) => GeminiError.decode(json, optionsOf("gemini", { dialect })),
      statuses: {},
      redaction: Redaction.make([]),
      // Noon in California.
      now: Date.UTC(2026, 5, 1, 19),
      maxCooldown: 48 * 3_600_000
    }
  )

for (const { body, message, name, reason, status, window } of fixtures)
  it(`${status}: ${name}`, () => {
    const error = read(status, body)
    expect(error.reason._tag).toBe(reason)
    if (error.reason._tag === "ContextLength") expect(error.reason.contextWindow).toBe(window)
    if (message !== undefined) expect(error.detail).toBe(message)
    expect(error.detail).not.toBe(undefined)
  })

const exhausted = (...details: ReadonlyArray<Json.Json>) => ({
  error: { code: 429, message: "You exceeded your current quota.", status: "RESOURCE_EXHAUSTED", details }
})
const retry = (retryDelay: string) => ({ "@type": "type.googleapis.com/google.rpc.RetryInfo", retryDelay })
const quota = (quotaId: string) => ({
  "@type": "type.googleapis.com/google.rpc.QuotaFailure",
  violations: [{ quotaId: "GenerateRequestsPerMinute" }, { quotaId }]
})

it("waits as long as the details ask", () => {
  const cases: ReadonlyArray<readonly [Json.Json, LlmError.ReasonTag, Duration.Input | undefined]> = [
    [exhausted(quota("PerMinutePerModel"), retry("34.4s")), "RateLimited", "34400 millis"],
    [exhausted(retry("-1s")), "RateLimited", undefined],
    [exhausted(retry("0s")), "RateLimited", undefined],
    [exhausted(retry("soon"), 1, null, []), "RateLimited", undefined],
    // A day's quota begins anew at midnight, twelve hours on, unless the details name a wait.
    [exhausted(quota("GenerateRequestsPerDayPerProject")), "QuotaExhausted", "12 hours"],
    [exhausted(quota("GenerateRequestsPerDayPerProject"), retry("17s")), "QuotaExhausted", "17 seconds"],
    [
      exhausted({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        reason: "RATE_LIMIT_EXCEEDED",
        metadata: { quota_limit: "Gemini25ProRequestsPerDay" }
      }),
      "QuotaExhausted",
      "12 hours"
    ]
  ]
  for (const [body, tag, wait] of cases) {
    const error = read(429, body)
    expect(error.reason._tag).toBe(tag)
    expect(error.retryAfter).toEqual(wait === undefined ? undefined : Duration.fromInputUnsafe(wait))
  }
})

it("looks at no more details than an error has", () => {
  const many = Array.from({ length: 40 }, () => retry("1s"))
  expect(GoogleErrorDetails.read({ details: [...many, quota("PerDay")] }).isDaily).toBe(false)
  expect(GoogleErrorDetails.read({ details: "none" })).toEqual({
    retryAfter: undefined,
    isDaily: false,
    reason: undefined
  })
})

it("takes a phrase that the provider's row lists", () => {
  const { dialect } = optionsOf("gemini")
  const body = { error: { code: 400, message: "A policy of ours forbids it", status: "INVALID_ARGUMENT" } }
  expect(read(400, body).reason._tag).toBe("InvalidRequest")
  const phrases = [{ phrase: "a policy of ours", tag: "ContentPolicy" as const }]
  expect(read(400, body, { ...dialect, phrases }).reason._tag).toBe("ContentPolicy")
})

it("leaves bodies of other shapes to the status", () => {
  const options = optionsOf("gemini")
  for (const body of [null, 1, "x", [], [1], {}, { error: 5 }, { code: 1 }] as ReadonlyArray<Json.Json>)
    expect(GeminiError.decode(body, options)).toBe(undefined)
  expect(GeminiError.decode({ error: "no" }, options)).toEqual({ message: "no" })
  expect(GeminiError.decode({ message: "no" }, options)).toEqual({ message: "no" })
  expect(GeminiError.decode({ error: { code: 12 } }, options)).toMatchObject({ tag: undefined, status: undefined })
  expect(GeminiError.decode({ error: { code: 502 } }, options)).toMatchObject({ tag: undefined, status: 502 })
  expect(GeminiError.inStream({ error: null }, options)).toBe(undefined)
  expect(GeminiError.inStream({ error: true }, options)).toEqual({})
})
