import { Cause, Effect, Stream } from "effect"
import { expect, it } from "@effect/vitest"
import { Llm, type Part } from "@echelon/core"

const scripted = (parts: ReadonlyArray<Part.Part>) =>
  Llm.make({
    id: "s",
    open: () =>
      Effect.sync(() => {
        let i = 0
        return Effect.suspend(() => {
          const p = parts[i++]
          return p === undefined ? Cause.done() : Effect.succeed([p] as const)
        })
      })
  })
it.effect("generates", () =>
  Effect.gen(function* () {
    const llm = scripted([
      { type: "text-delta", id: "0", delta: "he" },
      { type: "text-delta", id: "0", delta: "llo" },
      { type: "finish", reason: "stop", usage: { inputTokens: { total: 1 }, outputTokens: { total: 2 } } }
    ])
    const a = yield* Llm.generate(llm, { prompt: "x" })
    expect(a.text).toBe("hello")
    expect(a.route[0]?.outcome).toBe("completed")
    const s = yield* Stream.runCollect(Llm.stream(llm, { prompt: "x" }))
    expect(s.length).toBe(3)
    const t = yield* Stream.runCollect(Stream.take(Llm.stream(llm, { prompt: "x" }), 1))
    expect(t.length).toBe(1)
    const e = yield* Effect.flip(Llm.generate(scripted([{ type: "text-delta", id: "0", delta: "he" }]), { prompt: "x" }))
    expect(e.reason._tag).toBe("MalformedOutput")
    expect(e.route?.[0]?.outcome).toBe("failed")
  })
)
