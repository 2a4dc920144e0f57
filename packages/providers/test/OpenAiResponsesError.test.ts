import { readFileSync } from "node:fs"
import { LlmError } from "@echelon/core"
import { ErrorReply, Redaction } from "@echelon/providers"
import * as OpenAiResponsesError from "@echelon/providers/OpenAiResponsesError"
import { expect, it } from "@effect/vitest"
import { Duration } from "effect"
import { optionsOf } from "./Support.ts"

interface Sample {
  readonly name: string
  readonly status: number
  readonly reason: LlmError.ReasonTag
  readonly wait?: number
  readonly body: { readonly error: Readonly<Record<string, string | null>> }
}

const samples = JSON.parse(
  readFileSync(new URL("./fixtures/openai-responses-errors.json", import.meta.url), "utf8")
) as ReadonlyArray<Sample>

const options = optionsOf("openai-responses")

for (const { body, name, reason, status, wait } of samples) {
  it(`decodes ${name}`, () => {
    const error = ErrorReply.fromReply(
      { status, headers: {}, body: JSON.stringify(body) },
      {
        decode: (json) => OpenAiResponsesError.decode(json, options),
        statuses: {},
        redaction: Redaction.make([]),
        now: 0,
        maxCooldown: 3_600_000
      }
    )
    expect(error.reason._tag).toBe(reason)
    expect(error.detail).toBe(body.error["message"])
    expect(error.retryAfter === undefined ? undefined : Duration.toMillis(error.retryAfter)).toBe(wait)
  })
}

it("lets a header that names the wait stand before the words", () => {
  const body = JSON.stringify({ error: { code: "rate_limit_exceeded", message: "Please try again in 20ms." } })
  const error = ErrorReply.fromReply(
    { status: 429, headers: { "retry-after": "7" }, body },
    {
      decode: (json) => OpenAiResponsesError.decode(json, options),
      statuses: {},
      redaction: Redaction.make([]),
      now: 0,
      maxCooldown: 3_600_000
    }
  )
  expect(error.retryAfter).toEqual(Duration.seconds(7))
})

it("decodes nothing that is no error", () => {
  for (const body of [null, 1, "x", {}, [{}]]) expect(OpenAiResponsesError.decode(body, options)).toBe(undefined)
})

const inStream = (data: Parameters<typeof OpenAiResponsesError.inStream>[0], type?: string) => {
  const decoded = OpenAiResponsesError.inStream(data, type, options)
  return decoded === undefined ? undefined : LlmError.isLlmError(ErrorReply.fromDecoded(decoded)) ? decoded : undefined
}

it("decodes every shape in which a reply fails", () => {
  const message = "m"
  expect(inStream({ type: "error", code: "rate_limit_exceeded", message, param: null }, "error")).toMatchObject({
    tag: "RateLimited",
    message
  })
  expect(inStream({ type: "error", error: { type: "server_error", code: null, message } }, "error")).toMatchObject({
    tag: "ProviderError",
    message
  })
  const failed = { response: { status: "failed", error: { code: "context_length_exceeded", message } } }
  expect(inStream(failed, "response.failed")).toMatchObject({ tag: "ContextLength", message })
  // The last event of some servers, whatever it is called, holds what went wrong.
  expect(inStream(failed, "response.completed")).toMatchObject({ tag: "ContextLength" })
  expect(inStream({ status: "failed", error: { code: "server_error", message } })).toMatchObject({
    tag: "ProviderError"
  })
  expect(inStream({ error: { type: "invalid_request_error", code: null, message } })).toMatchObject({
    tag: "InvalidRequest"
  })
  expect(inStream({ response: { status: "cancelled" } }, "response.cancelled")?.tag).toBe("ProviderError")
  expect(inStream({ status: "cancelled" })?.tag).toBe("ProviderError")
  expect(inStream({ response: { status: "failed", error: null } }, "response.failed")).toMatchObject({ tag: undefined })
})

it("takes the failure of an item for no failure of the reply", () => {
  const error = { code: "server_error", message: "m" }
  expect(inStream({ type: "response.mcp_call.failed", error, status: "failed" }, "response.mcp_call.failed")).toBe(
    undefined
  )
  expect(inStream({ response: { status: "completed", error: null } }, "response.completed")).toBe(undefined)
  expect(inStream({ status: "completed", error: null })).toBe(undefined)
})
