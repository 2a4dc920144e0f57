import { inspect } from "node:util"
import { LlmError } from "@echelon/core"
import { expect, it } from "@effect/vitest"
import { Cause, Duration, Effect } from "effect"

const error = LlmError.make({
  reason: { _tag: "RateLimited", retryAfter: Duration.seconds(2) },
  detail: "slow down",
  instance: "openai-gpt4",
  delivered: "the secret answer"
})

it("is an Error that carries no stack frames", () => {
  expect(error).toBeInstanceOf(Error)
  expect(error.stack ?? "").not.toContain("    at ")
  expect(Error.stackTraceLimit).toBeGreaterThan(0)
})

it("says who failed, why, and what the provider said", () => {
  expect(error.message).toBe("openai-gpt4: rate limited: slow down")
  const silent: LlmError.Reason = { _tag: "Timeout", clock: "ttft", limit: Duration.seconds(3), shortened: false }
  expect(LlmError.make({ reason: silent, instance: "a" }).message).toBe("a: timed out (ttft clock, 3s)")
  expect(LlmError.make({ reason: { _tag: "Network", kind: "connect_timeout" } }).message).toBe(
    "network failure (connect timeout)"
  )
})

it("knows what to do: retryable, how long, and who can mend it", () => {
  expect([error.isRetryable, error.retryAfter, error.blame]).toEqual([true, Duration.seconds(2), "provider"])
  const refused = LlmError.make({ reason: { _tag: "Authentication" } })
  expect([refused.isRetryable, refused.retryAfter, refused.blame]).toEqual([false, undefined, "operator"])
})

it("shows the delivered text to the program, and to nothing that prints", () => {
  expect(error.delivered).toBe("the secret answer")
  expect(LlmError.update(error, { detail: "x" }).delivered).toBe("the secret answer")
  for (const printed of [
    inspect(error, { depth: 9, showHidden: false }),
    JSON.stringify(error),
    String(error),
    Cause.pretty(Cause.fail(error)),
    JSON.stringify({ ...error })
  ]) {
    expect(printed).not.toContain("secret answer")
  }
})

it.effect("is yielded and caught by tag", () =>
  Effect.gen(function* () {
    const caught = yield* Effect.catchTag(error, "LlmError", (e) => Effect.succeed(e.reason._tag))
    expect(caught).toBe("RateLimited")
  })
)
