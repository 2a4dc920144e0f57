/** Embeddings: any embedding model of effect/ai as an `Llm`, a group of them as an embedding model, and for `ai`. */
import { Llm, LlmEmbeddingModel, TaskGroup } from "@echelon/core"
import * as AiSdk from "@echelon/echelon/AiSdk"
import { embedMany } from "ai"
import { Effect } from "effect"
import { AiError, EmbeddingModel } from "effect/ai"

const program = Effect.gen(function* () {
  // Stand for the models of provider packages.
  const down = yield* EmbeddingModel.make({
    embedMany: () =>
      Effect.fail(AiError.make({ module: "A", method: "embedMany", reason: new AiError.RateLimitError({}) }))
  })
  const up = yield* EmbeddingModel.make({
    embedMany: ({ inputs }) =>
      Effect.succeed({
        results: inputs.map((text) => [text.length, text.split(" ").length]),
        usage: { inputTokens: inputs.length }
      })
  })
  // Vectors of two models cannot be compared: these stand for one model at two providers.
  const llm = yield* TaskGroup.make(
    [[LlmEmbeddingModel.toLlm(down, { id: "a" })], [LlmEmbeddingModel.toLlm(up, { id: "b" })]],
    { id: "vectors", maxRetries: 0 }
  )

  const { instance, vectors } = yield* Llm.embed(llm, { input: ["sky", "blue sky"] })
  console.log(`${JSON.stringify(vectors)} by ${instance}`)

  const { vector } = yield* Effect.provide(
    Effect.flatMap(EmbeddingModel.EmbeddingModel, (model) => model.embed("blue sky")),
    LlmEmbeddingModel.layer(llm)
  )
  console.log(`as effect/ai's model: ${JSON.stringify(vector)}`)

  const model = AiSdk.provider(llm).embeddingModel("vectors")
  const { embeddings } = yield* Effect.promise(() => embedMany({ model, values: ["blue sky"] }))
  console.log(`as the ai package's: ${JSON.stringify(embeddings[0])}`)
})

await Effect.runPromise(program)
