import { LlmError } from "@echelon/core"
import * as LlmAiError from "@echelon/core/LlmAiError"
import { expect, it } from "@effect/vitest"
import { DateTime, Duration, Schema } from "effect"
import { AiError } from "effect/ai"

const seconds = Duration.seconds

const reasons: ReadonlyArray<readonly [LlmError.Reason, AiError.AiErrorReason["_tag"]]> = [
  [{ _tag: "RateLimited", retryAfter: seconds(2) }, "RateLimitError"],
  [{ _tag: "Overloaded", retryAfter: seconds(2) }, "InternalProviderError"],
  [{ _tag: "Overloaded" }, "InternalProviderError"],
  [{ _tag: "ProviderError" }, "InternalProviderError"],
  [{ _tag: "Network", kind: "dns" }, "NetworkError"],
  [{ _tag: "Timeout", clock: "ttft", limit: seconds(1), shortened: false }, "InternalProviderError"],
  [{ _tag: "Authentication" }, "AuthenticationError"],
  [{ _tag: "QuotaExhausted" }, "QuotaExhaustedError"],
  [{ _tag: "ModelNotFound" }, "InvalidRequestError"],
  [{ _tag: "ContextLength", contextWindow: 8192 }, "InvalidRequestError"],
  [{ _tag: "ContentPolicy" }, "ContentPolicyError"],
  [{ _tag: "InvalidRequest" }, "InvalidRequestError"],
  [{ _tag: "MalformedOutput" }, "InvalidOutputError"],
  [{ _tag: "Unknown", status: 418 }, "InternalProviderError"],
  [{ _tag: "Cancelled" }, "UnknownError"],
  [{ _tag: "QueueFull" }, "RateLimitError"],
  [{ _tag: "NoCapacity", retryAt: 9_000 }, "RateLimitError"],
  [{ _tag: "DeadlineExceeded" }, "UnknownError"],
  [{ _tag: "BudgetExhausted", of: "cost" }, "UnknownError"],
  [{ _tag: "UnknownTarget", kind: "pool", name: "x", known: [] }, "InvalidRequestError"]
]

it.each(reasons)("%o as AiError", (reason, tag) => {
  const error = LlmError.make({ reason, instance: "a", detail: "said so", requestId: "r1", delivered: "an answer" })
  const converted = LlmAiError.toAiError(error, { method: "generateText", now: 1_000 })
  expect(converted.reason._tag).toBe(tag)
  expect(converted.isRetryable).toBe(error.isRetryable)
  expect(LlmAiError.original(converted)).toBe(error)
  expect(LlmAiError.fromAiError(converted, 1_000)).toBe(error)
  expect(converted.message).toContain("Echelon.generateText")
  expect(JSON.stringify(converted)).not.toContain("an answer")
  expect(Object.values(converted)).not.toContain(error)
  if ("metadata" in converted.reason)
    expect(converted.reason.metadata).toEqual({ echelon: { reason: reason._tag, instance: "a", requestId: "r1" } })
  // It can be written and read by its schema, as a workflow's journal does.
  const written = Schema.encodeSync(AiError.AiError)(converted)
  expect(Schema.decodeSync(AiError.AiError)(written).reason._tag).toBe(tag)
})

it("the wait is the reason's, or the time until a member comes back", () => {
  const wait = (options: LlmError.Options) => {
    const found = LlmAiError.toAiError(LlmError.make(options), { method: "streamText", now: 1_000 }).retryAfter
    return found === undefined ? undefined : Duration.toMillis(found)
  }
  expect(wait({ reason: { _tag: "RateLimited", retryAfter: seconds(2) } })).toBe(2_000)
  expect(wait({ reason: { _tag: "Overloaded", retryAfter: seconds(2) } })).toBe(2_000)
  expect(wait({ reason: { _tag: "Overloaded" } })).toBeUndefined()
  expect(wait({ reason: { _tag: "Overloaded" }, retryAt: 4_000 })).toBe(3_000)
  expect(wait({ reason: { _tag: "NoCapacity", retryAt: 2_500 } })).toBe(1_500)
  expect(wait({ reason: { _tag: "NoCapacity", retryAt: 500 } })).toBeUndefined()
  expect(wait({ reason: { _tag: "RateLimited", retryAfter: seconds(2) }, retryAt: 500 })).toBe(2_000)
})

it("a daily quota tells when it begins anew", () => {
  const error = LlmError.make({ reason: { _tag: "QuotaExhausted", retryAfter: seconds(10) } })
  const { reason } = LlmAiError.toAiError(error, { method: "generateText", now: 1_000 })
  expect(reason._tag === "QuotaExhaustedError" && reason.resetAt && DateTime.toEpochMillis(reason.resetAt)).toBe(11_000)
})

const foreign: ReadonlyArray<readonly [AiError.AiErrorReason, LlmError.Reason, string | undefined]> = [
  [new AiError.RateLimitError({ retryAfter: seconds(3) }), { _tag: "RateLimited", retryAfter: seconds(3) }, undefined],
  [new AiError.RateLimitError({}), { _tag: "RateLimited" }, undefined],
  [
    new AiError.QuotaExhaustedError({ resetAt: DateTime.makeUnsafe(5_000) }),
    { _tag: "QuotaExhausted", retryAfter: seconds(4) },
    undefined
  ],
  [new AiError.QuotaExhaustedError({ resetAt: DateTime.makeUnsafe(10) }), { _tag: "QuotaExhausted" }, undefined],
  [
    new AiError.AuthenticationError({ kind: "InvalidKey", description: "bad key sk-secret" }),
    { _tag: "Authentication" },
    "InvalidKey"
  ],
  [new AiError.ContentPolicyError({ description: "no" }), { _tag: "ContentPolicy" }, "no"],
  [
    new AiError.InvalidRequestError({ parameter: "n", description: "too large" }),
    { _tag: "InvalidRequest" },
    "n too large"
  ],
  [
    new AiError.InternalProviderError({ description: "Server error (POST https://h.test/v1?key=sk-secret)" }),
    { _tag: "ProviderError" },
    "Server error (POST https://h.test/v1)"
  ],
  [
    new AiError.NetworkError({ reason: "TransportError", method: "POST", url: "https://h.test?key=sk-secret" }),
    { _tag: "Network", kind: "other" },
    undefined
  ],
  [
    new AiError.NetworkError({ reason: "InvalidUrlError", method: "POST", url: "x" }),
    { _tag: "InvalidRequest" },
    "InvalidUrlError"
  ],
  [
    new AiError.StructuredOutputError({ description: "got sk-secret", responseText: "sk-secret" }),
    { _tag: "MalformedOutput" },
    "StructuredOutputError"
  ],
  [new AiError.InvalidOutputError({ description: "got sk-secret" }), { _tag: "MalformedOutput" }, "InvalidOutputError"],
  [
    new AiError.ToolNotFoundError({ toolName: "x", availableTools: [] }),
    { _tag: "MalformedOutput" },
    "ToolNotFoundError"
  ],
  [new AiError.InvalidUserInputError({ description: "x" }), { _tag: "InvalidRequest" }, "InvalidUserInputError"],
  [new AiError.UnsupportedSchemaError({ description: "x" }), { _tag: "InvalidRequest" }, "UnsupportedSchemaError"],
  [new AiError.UnknownError({ description: "odd" }), { _tag: "Unknown" }, "odd"]
]

it.each(foreign)("%o as LlmError", (reason, expected, detail) => {
  const error = LlmAiError.fromAiError(AiError.make({ module: "OpenAi", method: "createResponse", reason }), 1_000)
  expect(error.reason).toEqual(expected)
  expect(error.detail).toBe(detail)
  expect(`${error.message} ${JSON.stringify(error)}`).not.toContain("sk-secret")
})
