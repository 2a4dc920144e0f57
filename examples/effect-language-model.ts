/** Any language model of effect/ai as an `Llm`, and a pool of them as a language model again. */
import { LanguageModelParts, LlmAdapter, LlmLanguageModel, Pool } from "@echelon/core"
import { Effect, Layer, Schema, Stream } from "effect"
import { AiError, LanguageModel, Tool, Toolkit } from "effect/ai"

// Stand for the models of provider packages: one is limited, the other calls a tool and then answers.
const limited = Layer.effect(
  LanguageModel.LanguageModel,
  LanguageModel.make({
    generateText: () =>
      Effect.fail(AiError.make({ module: "A", method: "generateText", reason: new AiError.RateLimitError({}) })),
    streamText: () => Stream.empty
  })
)
const able = Layer.effect(
  LanguageModel.LanguageModel,
  LanguageModel.make({
    generateText: ({ prompt }) =>
      Effect.succeed(
        prompt.content.some((message) => message.role === "tool")
          ? [{ type: "text" as const, text: "Four degrees." }]
          : [
              { type: "tool-call" as const, id: "1", name: "weather", params: { city: "Oslo" } },
              { type: "finish" as const, reason: "tool-calls" as const, usage: { inputTokens: {}, outputTokens: {} } }
            ]
      ),
    streamText: () => Stream.empty
  })
)

const pool = Effect.gen(function* () {
  const a = yield* LlmAdapter.fromLayer(limited, { id: "a" })
  const b = yield* LlmAdapter.fromLayer(able, { id: "b" })
  return yield* Pool.make([a, b], { id: "pool" })
})

// The program, which knows effect/ai alone.
const toolkit = Toolkit.make(
  Tool.make("weather", {
    parameters: Schema.Struct({ city: Schema.String }),
    success: Schema.Struct({ celsius: Schema.Number })
  })
)
const program = Effect.gen(function* () {
  const called = yield* LanguageModel.generateText({ prompt: "How warm is it in Oslo?", toolkit })
  console.log(`the tool gave ${JSON.stringify(called.toolResults[0]?.result)}`)
  const answered = yield* LanguageModel.generateText({
    prompt: [
      { role: "user", content: "How warm is it in Oslo?" },
      { role: "assistant", content: [{ type: "tool-call", id: "1", name: "weather", params: { city: "Oslo" } }] },
      {
        role: "tool",
        content: [{ type: "tool-result", id: "1", name: "weather", isFailure: false, result: { celsius: 4 } }]
      }
    ],
    toolkit
  })
  console.log(answered.text)
  console.log(`answered by ${LanguageModelParts.routeOf(answered.content)?.instance}`)
})

await Effect.runPromise(
  program.pipe(
    Effect.provide(toolkit.toLayer({ weather: () => Effect.succeed({ celsius: 4 }) })),
    Effect.provide(LlmLanguageModel.layer(pool)),
    Effect.scoped
  )
)
