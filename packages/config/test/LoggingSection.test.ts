import * as LoggingSection from "@echelon/config/LoggingSection"
import * as Plans from "@echelon/core/Plans"
import { expect, it } from "@effect/vitest"
import { Effect, Schema } from "effect"

const decode = Schema.decodeUnknownEffect(LoggingSection.LoggingSection)

it.effect("a section that says nothing is the default of the core", () =>
  Effect.gen(function* () {
    expect(LoggingSection.toPlan(yield* decode({}))).toEqual(Plans.logging())
  })
)

it.effect("every key reaches the plan", () =>
  Effect.gen(function* () {
    const section = yield* decode({
      requests: false,
      state_changes: false,
      level: "warn",
      format: "json",
      sample_ratio: 0.1,
      max_per_minute: 3,
      routes: { file: "routes.jsonl", max_bytes: 100_000, keep: 4 }
    })
    expect(LoggingSection.toPlan(section)).toEqual({
      requests: false,
      stateChanges: false,
      level: "warn",
      format: "json",
      sampleRatio: 0.1,
      maxPerMinute: 3,
      routes: { file: "routes.jsonl", maxBytes: 100_000, keep: 4 }
    })
    const short = yield* decode({ routes: { file: "r" } })
    expect(LoggingSection.toPlan(short).routes).toEqual({ file: "r", ...Plans.defaults.logging.routes })
  })
)

it.effect("what makes no sense is refused", () =>
  Effect.gen(function* () {
    for (const wrong of [
      { level: "loud" },
      { format: "xml" },
      { sample_ratio: 2 },
      { max_per_minute: 0 },
      { routes: {} },
      { routes: { file: "" } },
      { routes: { file: "r", max_bytes: 1_000 } },
      { routes: { file: "r", keep: 0 } }
    ])
      expect((yield* Effect.exit(decode(wrong)))._tag).toBe("Failure")
  })
)
