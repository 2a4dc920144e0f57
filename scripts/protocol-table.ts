/**
 * Writes the tables of docs/protocols.md from the cells that the contract suite of packages/providers proves and
 * writes down. `--check` writes nothing and fails when the page is stale.
 */
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as ProtocolTable from "./lib/ProtocolTable.ts"
import * as Workspace from "./lib/Workspace.ts"

const unknown = process.argv.slice(2).filter((argument) => argument !== "--check")
if (unknown.length > 0) {
  console.error(`protocol-table: unknown argument ${unknown.join(" ")}; known is --check`)
  process.exit(2)
}

const path = join(Workspace.root, "docs", "protocols.md")
const cells = JSON.parse(
  readFileSync(join(Workspace.root, "packages", "providers", "test", "fixtures", "protocol-cells.json"), "utf8")
) as ProtocolTable.Cells
const page = readFileSync(path, "utf8")
const rendered = ProtocolTable.render(page, cells)

if (rendered === page) console.log("protocol-table: docs/protocols.md is as generated")
else if (process.argv.includes("--check")) {
  console.error("protocol-table: docs/protocols.md is stale; run node scripts/protocol-table.ts")
  process.exitCode = 1
} else {
  writeFileSync(path, rendered)
  console.log("protocol-table: docs/protocols.md written")
}
