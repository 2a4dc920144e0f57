import { readFileSync } from "node:fs"
import type { LlmError } from "@echelon/core"
import * as BedrockConverseError from "@echelon/providers/BedrockConverseError"
import * as ErrorReply from "@echelon/providers/ErrorReply"
import type * as Json from "@echelon/providers/Json"
import * as Redaction from "@echelon/providers/Redaction"
import { expect, it } from "@effect/vitest"
import { optionsOf } from "./Support.ts"

interface Fixture {
  readonly name: string
  readonly status: number
  /** Of the header, which an instance lays into the body. */
  readonly type?: string
  readonly reason: LlmError.ReasonTag
  readonly window?: number
  readonly body: Json.JsonObject
}

const fixtures = JSON.parse(
  readFileSync(new URL("./fixtures/bedrock-converse-errors.json", import.meta.url), "utf8")
) as ReadonlyArray<Fixture>

const options = optionsOf("bedrock")

const read = (status: number, body: Json.JsonObject) =>
  ErrorReply.fromReply(
    { status, headers: {}, body: JSON.stringify(body) },
    {
      decode: (json) => BedrockConverseError.decode(json, options),
      statuses: {},
      redaction: Redaction.make([]),
      now: 0,
      maxCooldown: 3_600_000
    }
  )

for (const { body, name, reason, status, type, window } of fixtures)
  it(`${status}: ${name}`, () => {
    const error = read(status, type === undefined ? body : { __type: type, ...body })
    expect(error.reason._tag).toBe(reason)
    if (error.reason._tag === "ContextLength") expect(error.reason.contextWindow).toBe(window)
    const said = body["message"] ?? body["Message"]
    if (said !== undefined) expect(error.detail).toBe(said)
  })

it("says what the model said, too", () => {
  const body = { __type: "modelStreamErrorException", message: "broke", originalMessage: "out of memory" }
  expect(BedrockConverseError.decode(body, options)).toMatchObject({
    tag: "ProviderError",
    message: "broke: out of memory"
  })
  expect(BedrockConverseError.decode({ originalMessage: "x" }, options)?.message).toBe("x")
})

it("takes nothing else for an error", () => {
  for (const body of [null, 1, "x", [], {}, { error: {} }, { __type: 1 }])
    expect(BedrockConverseError.decode(body as Json.Json, options)).toBe(undefined)
  expect(BedrockConverseError.inReply({ message: "hi" }, options)).toBe(undefined)
  expect(BedrockConverseError.decode({ __type: "toString", message: "x" }, options)?.tag).toBe(undefined)
})
