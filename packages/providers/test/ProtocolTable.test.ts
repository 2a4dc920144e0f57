import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { expect, it } from "@effect/vitest"
import * as ContractEmbeddings from "./support/ContractEmbeddings.ts"
import * as EmbeddingsContract from "./support/EmbeddingsContract.ts"
import * as ProtocolContract from "./support/ProtocolContract.ts"
import * as Protocols from "./support/Protocols.ts"
import * as Translation from "./support/Translation.ts"

const byTitle = <C extends { readonly title: string }, A>(contracts: ReadonlyArray<C>, f: (contract: C) => A) =>
  Object.fromEntries(contracts.map((contract) => [contract.title, f(contract)]))

it("the committed cells are what the contract proves; `vitest -u` writes them anew", async () => {
  const cells = {
    features: byTitle(Protocols.contracts, ProtocolContract.show),
    embeddings: byTitle(ContractEmbeddings.contracts, EmbeddingsContract.show),
    translation: byTitle(Protocols.liftable, Translation.show)
  }
  // A cell that fails is never written down.
  expect(JSON.stringify(cells)).not.toMatch(/FAILED|NOBODY SAYS WHY/)
  await expect(`${JSON.stringify(cells, undefined, 2)}\n`).toMatchFileSnapshot("./fixtures/protocol-cells.json")
})

it("the page in docs is made of the committed cells", () => {
  const script = fileURLToPath(new URL("../../../scripts/protocol-table.ts", import.meta.url))
  const { status, stderr } = spawnSync(process.execPath, [script, "--check"], { encoding: "utf8" })
  expect([status, stderr]).toEqual([0, ""])
})
