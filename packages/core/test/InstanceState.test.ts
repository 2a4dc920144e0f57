import { Attempt, Cooldown, InstanceState, Llm, LlmError, LlmRequest } from "@echelon/core"
import { expect, it } from "@effect/vitest"
import { Clock, Duration, Effect } from "effect"

const fails = (error: LlmError.LlmError, state: InstanceState.InstanceState) =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const llm = Llm.make({ id: "a", open: () => Effect.fail(error) })
    const request = yield* LlmRequest.make({ prompt: "hi" }, { stream: false, commit: "finish" })
    yield* Effect.flip(
      Effect.scoped(
        Attempt.open({}, (attempt) => {
          state.enter(attempt, clock)
          expect(state.inFlight()).toBe(1)
          return llm.call({ ...request, attempt })
        })
      )
    )
  })

it.effect("cools down when it is told to, with all that share the limit, and within the ceiling", () =>
  Effect.gen(function* () {
    const cooldown: InstanceState.Cell = { current: Cooldown.none }
    const one = InstanceState.make({ cooldown, maxCooldown: 10_000 })
    const other = InstanceState.make({ cooldown, maxCooldown: 10_000 })
    expect(other.availability(0)).toBe("ready")
    yield* fails(LlmError.make({ reason: { _tag: "RateLimited", retryAfter: Duration.days(99) } }), one)
    expect([one.inFlight(), other.availability(0), other.availability(10_000)]).toEqual([0, { until: 10_000 }, "ready"])
  })
)
