import { Llm, LlmError } from "@echelon/core"
import * as LlmAdapter from "@echelon/core/LlmAdapter"
import * as SdkError from "@echelon/providers/SdkError"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Redacted } from "effect"
import { AiError } from "effect/ai"

const key = "sk-abcdef0123456789"

const told = (thrown: unknown, options?: SdkError.Options): LlmError.LlmError | undefined => {
  const found = (options === undefined ? SdkError.classify : SdkError.make(options))(thrown, 1_000_000)
  return found === undefined || LlmError.isLlmError(found) ? found : LlmError.make({ reason: found })
}

// The classes of `openai` and `@anthropic-ai/sdk` as far as their fields go: neither sets `name`.
class APIError extends Error {
  readonly status: number | undefined
  readonly headers: Headers | undefined
  readonly error: unknown
  readonly code: unknown
  readonly type: unknown

  constructor(status: number | undefined, error: unknown, headers?: Record<string, string>) {
    super(`${status} ${JSON.stringify(error)}`)
    this.status = status
    this.headers = headers === undefined ? undefined : new Headers(headers)
    this.error = error
    const fields = (error ?? {}) as { readonly code?: unknown; readonly type?: unknown }
    this.code = fields.code
    this.type = fields.type
  }
}
class APIConnectionError extends APIError {
  constructor(cause?: unknown) {
    super(undefined, undefined)
    this.cause = cause
  }
}
class APIConnectionTimeoutError extends APIConnectionError {}
class APIUserAbortError extends APIError {
  constructor() {
    super(undefined, undefined)
  }
}

/** The class of `ai`. */
class APICallError extends Error {
  override readonly name = "AI_APICallError"
  readonly requestBodyValues = { messages: ["a secret prompt"] }
  readonly url = `https://host.test/v1?key=${key}`
  readonly statusCode: number | undefined
  readonly responseHeaders: Record<string, string> | undefined
  readonly responseBody: string | undefined

  constructor(statusCode: number | undefined, responseBody?: string, responseHeaders?: Record<string, string>) {
    super("call failed")
    this.statusCode = statusCode
    this.responseBody = responseBody
    this.responseHeaders = responseHeaders
  }
}

const openai = (
  status: number,
  code: string | null,
  headers: Record<string, string> = {},
  type: string | null = null
) => new APIError(status, { message: `it said ${key}`, type, param: null, code }, headers)

const anthropic = (status: number | undefined, type: string, message = `it said ${key}`, headers = {}) =>
  new APIError(status, { type: "error", error: { type, message } }, headers)

const cases: ReadonlyArray<readonly [string, unknown, LlmError.Reason]> = [
  ["openai 400", openai(400, null, {}, "invalid_request_error"), { _tag: "InvalidRequest" }],
  ["openai 400 context", openai(400, "context_length_exceeded"), { _tag: "ContextLength" }],
  ["openai 400 policy", openai(400, "content_policy_violation"), { _tag: "ContentPolicy" }],
  ["openai 401", openai(401, "invalid_api_key"), { _tag: "Authentication" }],
  ["openai 404", openai(404, "model_not_found"), { _tag: "ModelNotFound" }],
  [
    "openai 429",
    openai(429, "rate_limit_exceeded", { "Retry-After": "3" }),
    { _tag: "RateLimited", retryAfter: Duration.seconds(3) }
  ],
  [
    "openai 429 in milliseconds",
    openai(429, null, { "retry-after-ms": "250", "retry-after": "1" }),
    { _tag: "RateLimited", retryAfter: Duration.millis(250) }
  ],
  ["openai 429 quota", openai(429, "insufficient_quota"), { _tag: "QuotaExhausted" }],
  ["openai 500", openai(500, null, {}, "server_error"), { _tag: "ProviderError" }],
  ["openai 503", openai(503, null), { _tag: "Overloaded" }],
  ["openai without a body", new APIError(502, undefined, {}), { _tag: "ProviderError" }],
  [
    "openai in a stream",
    new APIError(undefined, { code: "rate_limit_exceeded", message: "x" }, {}),
    { _tag: "RateLimited" }
  ],
  [
    "openai in a stream by type",
    new APIError(undefined, { type: "server_error", message: "x" }, {}),
    { _tag: "ProviderError" }
  ],
  ["openai refused", new APIConnectionError({ code: "ECONNREFUSED" }), { _tag: "Network", kind: "refused" }],
  ["openai connection", new APIConnectionError(), { _tag: "Network", kind: "other" }],
  ["openai timeout", new APIConnectionTimeoutError(), { _tag: "Network", kind: "other" }],
  ["openai abort", new APIUserAbortError(), { _tag: "Network", kind: "other" }],
  ["anthropic 400", anthropic(400, "invalid_request_error"), { _tag: "InvalidRequest" }],
  [
    "anthropic 400 length",
    anthropic(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
    { _tag: "ContextLength", contextWindow: 200_000 }
  ],
  [
    "anthropic 400 balance",
    anthropic(400, "invalid_request_error", "Your credit balance is too low"),
    { _tag: "QuotaExhausted" }
  ],
  ["anthropic 403", anthropic(403, "permission_error"), { _tag: "Authentication" }],
  [
    "anthropic 429",
    anthropic(429, "rate_limit_error", "x", { "retry-after": "12" }),
    { _tag: "RateLimited", retryAfter: Duration.seconds(12) }
  ],
  ["anthropic 529", anthropic(529, "overloaded_error"), { _tag: "Overloaded" }],
  ["anthropic in a stream", anthropic(undefined, "overloaded_error"), { _tag: "Overloaded" }],
  ["anthropic in a stream, api_error", anthropic(undefined, "api_error"), { _tag: "ProviderError" }],
  [
    "ai 429",
    new APICallError(429, '{"error":{"code":"insufficient_quota","message":"x"}}', { "Retry-After": "5" }),
    { _tag: "QuotaExhausted", retryAfter: Duration.seconds(5) }
  ],
  ["ai html", new APICallError(503, "<html><title>down</title></html>", {}), { _tag: "Overloaded" }],
  [
    "ai after its retries",
    Object.assign(new Error("x"), { name: "AI_RetryError", lastError: new APICallError(404), errors: [] }),
    { _tag: "ModelNotFound" }
  ],
  [
    "ai, an answer cut off in its middle",
    Object.assign(new APICallError(200, '{"choices":'), { cause: { name: "AI_JSONParseError" } }),
    { _tag: "MalformedOutput" }
  ],
  [
    "ai, a socket that died in the middle of an answer",
    Object.assign(new APICallError(200), { cause: { code: "UND_ERR_SOCKET" } }),
    { _tag: "Network", kind: "reset" }
  ],
  [
    "ai, an error with status 200",
    new APICallError(200, '{"error":{"code":"server_is_overloaded","message":"x"}}'),
    { _tag: "Overloaded" }
  ],
  [
    "an answer that is no JSON",
    new SyntaxError("Unexpected token in sk-abcdef0123456789"),
    { _tag: "MalformedOutput" }
  ],
  ["ai without a key", Object.assign(new Error("x"), { name: "AI_LoadAPIKeyError" }), { _tag: "Authentication" }],
  ["ai not JSON", Object.assign(new Error("x"), { name: "AI_JSONParseError" }), { _tag: "MalformedOutput" }],
  [
    "axios",
    { response: { status: 429, headers: { "retry-after": "2" }, data: { error: { code: "rate_limit_exceeded" } } } },
    { _tag: "RateLimited", retryAfter: Duration.seconds(2) }
  ],
  ["aws", { name: "ThrottlingException", $metadata: { httpStatusCode: 429 } }, { _tag: "RateLimited" }],
  ["a status alone", { status: 418 }, { _tag: "Unknown", status: 418 }],
  ["fetch", new TypeError("fetch failed", { cause: { code: "ENOTFOUND" } }), { _tag: "Network", kind: "dns" }],
  ["a timeout of the caller's own", new DOMException("x", "TimeoutError"), { _tag: "Network", kind: "other" }],
  [
    "effect/ai's UnknownError",
    AiError.make({
      module: "m",
      method: "m",
      reason: new AiError.UnknownError({ http: { response: { status: 404, headers: {} } } })
    }),
    { _tag: "ModelNotFound" }
  ]
]

it.each(cases)("%s", (_, thrown, reason) => {
  for (const options of [undefined, { secrets: [Redacted.make(key)] }]) {
    const error = told(thrown, options)
    expect(error?.reason).toEqual(reason)
    expect(`${error?.message} ${JSON.stringify(error)}`).not.toContain(key)
    expect(`${error?.message} ${JSON.stringify(error)}`).not.toContain("secret prompt")
  }
})

it("what carries nothing to go by is left to the adapter", () => {
  for (const thrown of [undefined, null, "x", 7, new Error("x"), {}, { status: "429" }, { status: 7 }, { code: "ODD" }])
    expect(told(thrown)).toBeUndefined()
  const ai = AiError.make({ module: "m", method: "m", reason: new AiError.RateLimitError({}) })
  expect(told(ai)).toBeUndefined()
})

it("the message is kept when the secrets are known, and only then", () => {
  const error = openai(400, "invalid_value", { "x-request-id": "req_1" })
  expect(told(error)).toMatchObject({ detail: "status 400, invalid_value", requestId: "req_1" })
  expect(told(error, { secrets: [key] })?.detail).toBe("it said [redacted]")
  expect(told(new APIError(400, { code: "invalid_value", message: "no" }, {}), { secrets: [] })?.detail).toBe("no")
  expect(told(new APIError(503, undefined, {}), { secrets: [] })?.detail).toBe("status 503")
  expect(told(new APIError(400, { code: key, message: "no" }, {}))?.detail).toBe("status 400")
})

it("a wait is clamped, and one that is past is none", () => {
  const wait = (value: string, options?: SdkError.Options) =>
    told(openai(429, null, { "retry-after": value }), options)?.retryAfter
  expect(wait("86400")).toEqual(Duration.hours(1))
  expect(wait("86400", { maxCooldown: "10 seconds" })).toEqual(Duration.seconds(10))
  expect(wait("-5")).toBeUndefined()
  expect(wait(new Date(1_030_000).toUTCString())).toEqual(Duration.seconds(30))
})

it("circles end", () => {
  const circle: { lastError?: unknown; cause?: unknown } = {}
  circle.lastError = circle
  circle.cause = circle
  expect(told(circle)).toBeUndefined()
})

it.effect("classifies for an adapter", () =>
  Effect.gen(function* () {
    const llm = LlmAdapter.fromPromise({
      id: "mine",
      classify: SdkError.classify,
      generate: () => Promise.reject(openai(429, "rate_limit_exceeded", { "retry-after": "4" }))
    })
    const error = yield* Effect.flip(Llm.generate(llm, { prompt: "hi" }))
    expect(error).toMatchObject({ reason: { _tag: "RateLimited" }, instance: "mine" })
    expect(error.message).toBe("mine: rate limited: status 429, rate_limit_exceeded")
  })
)
