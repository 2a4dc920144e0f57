import { FailureClass, type LlmError } from "@echelon/core"
import { expect, it } from "@effect/vitest"
import { Duration } from "effect"

const timeout = (clock: LlmError.ClockName, shortened = false): LlmError.Reason => ({
  _tag: "Timeout",
  clock,
  limit: Duration.seconds(1),
  shortened
})

// other instance, same instance, next echelon, breaker: design section 5, row by row
const table: ReadonlyArray<readonly [LlmError.Reason, string, string, string, string]> = [
  [{ _tag: "RateLimited" }, "yes", "retry_after", "yes", "ignored"],
  [{ _tag: "Overloaded" }, "yes", "backoff", "yes", "failure"],
  [{ _tag: "ProviderError" }, "yes", "backoff", "yes", "failure"],
  [{ _tag: "Network", kind: "reset" }, "yes", "backoff", "yes", "failure"],
  [timeout("ttft"), "yes", "no", "yes", "failure"],
  [timeout("attempt"), "yes", "no", "yes", "failure"],
  [timeout("ttft", true), "yes", "no", "yes", "ignored"],
  [timeout("consumer_idle"), "no", "no", "no", "ignored"],
  [{ _tag: "Authentication" }, "yes", "no", "yes", "opens"],
  [{ _tag: "QuotaExhausted" }, "yes", "no", "yes", "opens"],
  [{ _tag: "QuotaExhausted", retryAfter: Duration.hours(1) }, "yes", "no", "yes", "ignored"],
  [{ _tag: "ModelNotFound" }, "yes", "no", "yes", "opens"],
  [{ _tag: "ContextLength" }, "larger_window", "no", "larger_window", "ignored"],
  [{ _tag: "ContentPolicy" }, "no", "no", "content_policy_fallback", "ignored"],
  [{ _tag: "InvalidRequest" }, "no", "no", "no", "ignored"],
  [{ _tag: "MalformedOutput" }, "yes", "backoff", "yes", "failure"],
  [{ _tag: "Unknown" }, "yes", "backoff", "yes", "failure"],
  [{ _tag: "Cancelled" }, "no", "no", "no", "ignored"],
  [{ _tag: "QueueFull" }, "no", "no", "no", "ignored"],
  [{ _tag: "NoCapacity" }, "no", "no", "no", "ignored"],
  [{ _tag: "DeadlineExceeded" }, "no", "no", "no", "ignored"],
  [{ _tag: "BudgetExhausted", of: "attempts" }, "no", "no", "no", "ignored"],
  [{ _tag: "UnknownTarget", kind: "pool", name: "x", known: [] }, "no", "no", "no", "ignored"]
]

it.each(table)("%o", (reason, otherInstance, sameInstance, nextEchelon, breaker) => {
  expect(FailureClass.of(reason)).toEqual({ otherInstance, sameInstance, nextEchelon, breaker })
})
