import { describe, expect, it } from "@effect/vitest"
import * as ContractEmbeddings from "./support/ContractEmbeddings.ts"
import * as EmbeddingsContract from "./support/EmbeddingsContract.ts"
import * as ProtocolContract from "./support/ProtocolContract.ts"
import * as Protocols from "./support/Protocols.ts"

for (const contract of Protocols.contracts) {
  describe(contract.title, () => {
    for (const { because, feature, mode, prove } of ProtocolContract.cells(contract))
      it(`${feature}, ${mode}${because === undefined ? "" : ` (no, because ${because})`}`, prove)

    it("shows every feature", () => {
      expect(ProtocolContract.forgotten(contract)).toEqual([])
    })
  })
}

for (const contract of ContractEmbeddings.contracts) {
  describe(contract.title, () => {
    for (const { because, feature, prove } of EmbeddingsContract.cells(contract))
      it(`${feature}${because === undefined ? "" : ` (no, because ${because})`}`, prove)
  })
}
