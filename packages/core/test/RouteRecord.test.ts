import { LlmError, Usage } from "@echelon/core"
import * as RouteRecord from "@echelon/core/RouteRecord"
import { expect, it } from "@effect/vitest"
import { attempt, observation } from "./support/observations.ts"

const usage = { ...Usage.estimated(10, 5), source: "reported" as const }

it("keeps the route with times, reasons, tokens and cost; what is not known is not there", () => {
  const record = RouteRecord.of(
    observation({
      tenant: "acme",
      queuedMs: 3,
      attempts: [
        attempt({ outcome: "failed", reason: "Timeout", firstOutputAt: undefined }),
        attempt({ instance: "b", startedAt: 1_050, firstOutputAt: 1_060, usage, cost: 0.5, dropped: ["seed"] })
      ]
    })
  )
  expect(record).toEqual({
    v: 1,
    id: "req_1",
    at: "1970-01-01T00:00:01.000Z",
    target: { kind: "pool", name: "fast" },
    pool: "fast",
    group: "chat",
    tenant: "acme",
    priority: "normal",
    operation: "chat",
    stream: false,
    outcome: "completed",
    queueMs: 3,
    ttftMs: 40,
    totalMs: 100,
    inputTokens: 10,
    outputTokens: 5,
    source: "reported",
    cost: 0.5,
    attempts: [
      {
        instance: "a",
        model: "wire-a",
        provider: "openai",
        echelon: "chat.echelon1",
        kind: "call",
        outcome: "failed",
        reason: "Timeout",
        startMs: 0,
        totalMs: 100
      },
      {
        instance: "b",
        model: "wire-a",
        provider: "openai",
        echelon: "chat.echelon1",
        kind: "call",
        outcome: "completed",
        startMs: 50,
        ttftMs: 10,
        totalMs: 50,
        inputTokens: 10,
        outputTokens: 5,
        source: "reported",
        cost: 0.5,
        dropped: ["seed"]
      }
    ]
  })
  expect(RouteRecord.decode(RouteRecord.encode(record))).toEqual({ _tag: "Record", record })
})

it("a line is the same whichever way it is made", () => {
  const seen = observation({
    attempts: [attempt({ outcome: "failed", reason: "Timeout", endedAt: undefined }), attempt({ usage, cost: 0.1 })]
  })
  expect(RouteRecord.lineOf(seen)).toBe(RouteRecord.encode(RouteRecord.of(seen)))
})

it("holds nothing of an error's text, and is one line of bounded length whatever comes in", () => {
  const record = RouteRecord.of(
    observation({
      id: "x\ny".repeat(1_000),
      tenant: "t".repeat(10_000),
      tags: ["planted"],
      outcome: "failed",
      reason: "ContentPolicy",
      error: LlmError.make({ reason: { _tag: "ContentPolicy" }, detail: "planted", delivered: "planted" }),
      attempts: Array.from({ length: 100 }, () =>
        attempt({ instance: "i".repeat(1_000), dropped: Array.from({ length: 20 }, () => "f\n".repeat(200)) })
      )
    })
  )
  const line = RouteRecord.encode(record)
  expect(line).not.toContain("planted")
  expect(line.indexOf("\n")).toBe(line.length - 1)
  expect(line.length).toBeLessThan(300_000)
  expect([record.attempts.length, record.omitted]).toEqual([64, 36])
  expect(RouteRecord.decode(line)._tag).toBe("Record")
})

it("tells a record from one of another version, and from what is none", () => {
  const record = RouteRecord.of(observation())
  const line = RouteRecord.encode(record)
  expect(RouteRecord.decode(line.replace('"v":1', '"v":2'))).toEqual({ _tag: "OtherVersion", version: 2 })
  expect(RouteRecord.decode(line.replace("{", '{"later":true,'))).toEqual({ _tag: "Record", record })
  for (const broken of [line.slice(0, 40), "", "null", "[]", '"v"', "{}", '{"v":1}', '{"v":"1"}', "\u0000"])
    expect([broken, RouteRecord.decode(broken)._tag]).toEqual([broken, "Broken"])
})
