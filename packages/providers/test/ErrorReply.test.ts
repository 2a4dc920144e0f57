import { readFileSync } from "node:fs"
import type { LlmError } from "@echelon/core"
import { AnthropicMessages, ErrorReply, type Json, OpenAiChat, ProviderTable, Redaction } from "@echelon/providers"
import { expect, it } from "@effect/vitest"
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
