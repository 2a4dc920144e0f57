import { FaultServer } from "@echelon/testing"
import * as FaultServerPlan from "@echelon/testing/FaultServerPlan"
import * as FaultServerScript from "@echelon/testing/FaultServerScript"
import { expect, it } from "@effect/vitest"
import { Duration } from "effect"

const request: FaultServer.Request = {
  index: 0,
  method: "POST",
  path: "/v1/chat/completions",
  headers: {},
  body: {},
  protocol: "openai",
  endpoint: "generate",
  model: "m",
  stream: true,
  at: 0,
  aborted: false,
  closedAt: undefined
}

const tags = (behaviour: FaultServer.Behaviour, stream = true) =>
  FaultServerPlan.make(behaviour, {
    request: { ...request, stream },
    now: 0,
    text: "one two",
    models: []
  }).map((step) => (step._tag === "Sleep" ? Duration.toMillis(step.duration) : step._tag))

it("turns behaviours into steps", () => {
  const { cut, ok, reset, stall, withSlowFirstToken, withSlowHead, withSlowHeaders, withTrickle } = FaultServer
  // Head, role, two tokens, reason, sentinel, last chunk.
  expect(tags(ok())).toEqual([...Array(7).fill("Write"), "End"])
  expect(tags(ok(), false)).toEqual(["Write", "Write", "End"])
  expect(tags(reset())).toEqual(["Reset"])
  expect(tags(reset("head"))).toEqual(["Write", "Reset"])
  expect(tags(FaultServer.silence)).toEqual(["Hang"])
  expect(tags(stall({ after: 1 }))).toEqual(["Write", "Write", "Write", "Hang"])
  expect(tags(cut({ after: 1, wait: 7 }))).toEqual(["Write", "Write", "Write", 7, "Close"])
  expect(tags(cut({ closingChunk: true }))).toEqual(["Write", "Write", "Write", "End"])
  expect(tags(cut({ wait: 7 }), false)).toEqual(["Write", "Write", 7, "Close"])
  expect(tags(withSlowHead(reset(), 5))).toEqual([5, "Reset"])
  expect(tags(withSlowHeaders(cut(), 5))).toEqual(["Write", 5, "Write", "Write", "Close"])
  expect(tags(withSlowFirstToken(cut({ after: 1 }), 5))).toEqual(["Write", "Write", 5, "Write", "Close"])
  expect(tags(withSlowFirstToken(ok(), 5), false)).toEqual([5, "Write", "Write", "End"])
  expect(tags(withTrickle(cut()))).toEqual(["Trickle", "Trickle", "Close"])
  expect(tags(FaultServer.keepAlive({ every: 5 }))).toEqual(["Write", "Repeat", "Write", "End"])
})

it("writes resets as each provider does", () => {
  const headers = (dialect: FaultServer.RateLimit["dialect"], resetIn: Duration.Input) =>
    Object.entries(FaultServerPlan.rateLimitHeaders({ dialect, tokens: { limit: 1, remaining: 0, resetIn } }, 0))
  const reset = (dialect: FaultServer.RateLimit["dialect"], resetIn: Duration.Input) => headers(dialect, resetIn)[2]
  expect(headers("openai", 12)).toEqual([
    ["x-ratelimit-limit-tokens", "1"],
    ["x-ratelimit-remaining-tokens", "0"],
    ["x-ratelimit-reset-tokens", "12ms"]
  ])
  for (const [input, text] of [
    ["6 minutes", "6m0s"],
    ["1500 millis", "1.5s"],
    ["1 hour", "1h0m0s"]
  ] as const)
    expect(reset("openai", input)?.[1]).toBe(text)
  expect(reset("azure", "1500 millis")?.[1]).toBe("2")
  expect(reset("anthropic", "6 minutes")).toEqual(["anthropic-ratelimit-tokens-reset", "1970-01-01T00:06:00Z"])
})

it("uses a script up in order", () => {
  const { forever, silence, status } = FaultServer
  const [a, b] = [status(500), status(503)]
  const at = (script: FaultServer.Script, seen: number, model = "m") =>
    FaultServerScript.behaviour(script, { ...request, model }, seen)
  expect([0, 1, 2].map((seen) => at([a, b], seen))).toEqual([a, b, { _tag: "Answer" }])
  expect([0, 1, 9].map((seen) => at([a, forever(b), silence], seen))).toEqual([a, forever(b), forever(b)])
  const script = FaultServer.byModel({ x: [a] }, [b])
  expect([at(script, 0, "x"), at(script, 1, "x"), at(script, 0), at(script, 0, "constructor")]).toEqual([
    a,
    { _tag: "Answer" },
    b,
    b
  ])
  expect(FaultServerScript.counter(script, { ...request, model: "x" })).not.toBe(
    FaultServerScript.counter(script, request)
  )
})
