import { fileURLToPath } from "node:url"
import { Echelon, Llm, Orchestrator, PoolManager } from "@echelon/echelon"
import { EmbeddedProviders } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect, Stream } from "effect"

const config = fileURLToPath(new URL("../../../configs", import.meta.url))

const embedded = Effect.map(EmbeddedProviders.make, (providers) => ({
  providers,
  options: { config, env: "embedded", variables: providers.variables }
}))

it.live("one screen of user code: a prompt answered through fast_pool", () =>
  Effect.gen(function* () {
    const { options } = yield* embedded
    const program = Orchestrator.generate({ prompt: "Why is the sky blue?", metadata: { poolName: "fast_pool" } })
    const answer = yield* Effect.promise(() => Effect.runPromise(program.pipe(Effect.provide(Echelon.layer(options)))))
    expect(answer.text).toContain("embedded in the process")
    expect(answer.usage.source).toBe("reported")
    expect(answer.cost).toBeGreaterThan(0)
  })
)

it.live("with one provider down the other answers, streamed and buffered", () =>
  Effect.gen(function* () {
    const { options, providers } = yield* embedded
    yield* providers.setFault("openai", { _tag: "Reset" })
    yield* Effect.gen(function* () {
      const pool = yield* PoolManager.PoolManager.use((manager) => manager.get("fast_pool"))
      const answers = yield* Effect.forEach([1, 2, 3, 4], () => Llm.generate(pool, { prompt: "hi" }))
      expect(answers.every((answer) => answer.instance.startsWith("anthropic-"))).toBe(true)
      expect(answers.flatMap((answer) => answer.route).some((entry) => entry.reason === "Network")).toBe(true)
      const parts = yield* Stream.runCollect(Llm.stream(pool, { prompt: "hi" }))
      expect(parts[parts.length - 1]?.type).toBe("finish")
    }).pipe(Effect.provide(Echelon.layer(options)))
  })
)

it.live("a stream cut after commit fails with what was delivered; folded, the next instance answers", () =>
  Effect.gen(function* () {
    const { options, providers } = yield* embedded
    yield* providers.setFault("openai", { _tag: "CutStream", afterEvents: 4 })
    yield* Effect.gen(function* () {
      const input = { prompt: "hi", metadata: { groupName: "fast_group" } }
      const error = yield* Effect.flip(Stream.runDrain(Orchestrator.stream(input)))
      expect(error.instance).toBe("openai-gpt4")
      expect(error.delivered).toMatch(/^This is/)
      yield* Effect.forEach([1, 2], () =>
        Effect.map(
          Effect.scoped(
            Effect.flatMap(
              Orchestrator.open({ ...input, metadata: { ...input.metadata, commit: "finish" } }),
              (reply) => Stream.runCollect(reply.parts)
            )
          ),
          (parts) => expect(parts[parts.length - 1]?.type).toBe("finish")
        )
      )
    }).pipe(Effect.provide(Echelon.layer(options)))
  })
)
