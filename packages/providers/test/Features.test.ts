import { Capability, LlmRequest } from "@echelon/core"
import * as CatalogueLive from "@echelon/providers/CatalogueLive"
import * as Features from "@echelon/providers/Features"
import * as ModelCatalogue from "@echelon/providers/ModelCatalogue"
import * as ProviderTable from "@echelon/providers/ProviderTable"
import { expect, it } from "@effect/vitest"
import { requestOf } from "./Support.ts"

it("documents every capability, in their order", () => {
  expect(Features.all.map(({ name }) => name)).toEqual(Capability.all)
})

it("says truly which of them a request can need", () => {
  const file = { type: "file" as const, data: "x" }
  const needed = LlmRequest.needs(
    requestOf({
      prompt: [
        {
          role: "user",
          content: [
            { ...file, mediaType: "image/png" },
            { ...file, mediaType: "application/pdf" }
          ]
        }
      ],
      tools: [{ name: "f", parameters: {} }],
      responseFormat: { type: "json", name: "a", schema: {} }
    })
  )
  // A resume needs a prefill and vectors embeddings; neither is in a conversation.
  const asked = new Set([...needed, "prefill", "embeddings"])
  expect(Features.all.filter(({ isNeeded }) => isNeeded).map(({ name }) => name)).toEqual(
    Capability.all.filter((one) => asked.has(one))
  )
})

it("leaves what the protocol and the dialect can say", () => {
  const through = (kind: string) => {
    const row = ProviderTable.find(kind)
    return row === undefined ? [] : Features.through(row, Capability.all)
  }
  expect(through("anthropic")).toEqual(Capability.all)
  expect(through("openai-responses")).toEqual(Capability.all.filter((one) => one !== "prefill"))
  const lost = new Set<string>(["prefill", "parallel_tools", "json_schema"])
  expect(through("deepseek")).toEqual(Capability.all.filter((one) => !lost.has(one)))
})

it("is what the catalogue says of a model", () => {
  const { model } = CatalogueLive.catalogue
  expect(model("deepseek", "deepseek-chat").capabilities?.features).toEqual(["streaming", "system", "tools", "caching"])
  expect(model("anthropic", "claude-3-opus")).toBe(ModelCatalogue.find("anthropic", "claude-3-opus"))
  expect(model("openai", "nobody")).toEqual({})
})
