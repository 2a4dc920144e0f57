import { type Attempt, LlmError, type Reason, Usage } from "@echelon/core"
import * as RateLimitCharge from "@echelon/core/RateLimitCharge"
import { expect, it } from "@effect/vitest"
import { Duration } from "effect"

const network = (kind: Extract<Reason.Reason, { _tag: "Network" }>["kind"]): Reason.Reason => ({
  _tag: "Network",
  kind
})
const timeout: Reason.Reason = { _tag: "Timeout", clock: "ttft", limit: Duration.seconds(1), shortened: false }
const failed = (reason: Reason.Reason): Attempt.Outcome => ({ _tag: "Failed", error: LlmError.make({ reason }) })

// What a failure before output has cost: "refund" nothing, 0 the request without tokens, undefined the estimate.
const table: ReadonlyArray<readonly [Reason.Reason, RateLimitCharge.Charge]> = [
  [network("refused"), "refund"],
  [network("dns"), "refund"],
  [network("tls"), "refund"],
  [network("connect_timeout"), "refund"],
  [network("reset"), undefined],
  [network("other"), undefined],
  [{ _tag: "Authentication" }, "refund"],
  [{ _tag: "QueueFull" }, "refund"],
  [{ _tag: "NoCapacity" }, "refund"],
  [{ _tag: "BudgetExhausted", of: "attempts" }, "refund"],
  [{ _tag: "UnknownTarget", kind: "pool", name: "x", known: [] }, "refund"],
  [{ _tag: "QuotaExhausted" }, 0],
  [{ _tag: "ModelNotFound" }, 0],
  [{ _tag: "ContextLength" }, 0],
  [{ _tag: "InvalidRequest" }, 0],
  [{ _tag: "RateLimited" }, undefined],
  [{ _tag: "Overloaded" }, undefined],
  [{ _tag: "ProviderError" }, undefined],
  [timeout, undefined],
  [{ _tag: "ContentPolicy" }, undefined],
  [{ _tag: "MalformedOutput" }, undefined],
  [{ _tag: "Unknown" }, undefined],
  [{ _tag: "Cancelled" }, undefined],
  [{ _tag: "DeadlineExceeded" }, undefined]
]

it.each(table)("%o before output", (reason, charge) => {
  expect(RateLimitCharge.of(failed(reason), false)).toBe(charge)
})

it.each(table)("%o after output costs the estimate", (reason) => {
  expect(RateLimitCharge.of(failed(reason), true)).toBeUndefined()
})

it("a completed attempt costs its usage, and the estimate while a figure is unknown", () => {
  const completed = (inputTokens?: number, outputTokens?: number): Attempt.Outcome => ({
    _tag: "Completed",
    usage: { ...Usage.unknown, inputTokens, outputTokens }
  })
  const cost = (outcome: Attempt.Outcome) => RateLimitCharge.of(outcome, true)
  expect(cost(completed(10, 5))).toBe(15)
  expect(cost(completed(0, 0))).toBe(0)
  expect([cost(completed()), cost(completed(10)), cost(completed(undefined, 5))]).toEqual([
    undefined,
    undefined,
    undefined
  ])
})

it("who leaves pays the estimate, before output too: the request has probably arrived", () => {
  expect(RateLimitCharge.of({ _tag: "Cancelled" }, false)).toBeUndefined()
  expect(RateLimitCharge.of({ _tag: "Cancelled" }, true)).toBeUndefined()
})

it("another table may be given", () => {
  expect(RateLimitCharge.of(failed({ _tag: "Overloaded" }), false, () => "nothing")).toBe("refund")
})
