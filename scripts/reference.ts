/**
 * Writes what is generated from the Schemas of the configuration: docs/configuration-reference.md and
 * configs/schemas. `--check` writes nothing and fails when one of them is stale.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import * as JsonSchema from "@echelon/config/JsonSchema"
import * as Reference from "@echelon/config/Reference"
import * as ProviderTable from "@echelon/providers/ProviderTable"
import * as Workspace from "./lib/Workspace.ts"

const unknown = process.argv.slice(2).filter((argument) => argument !== "--check")
if (unknown.length > 0) {
  console.error(`reference: unknown argument ${unknown.join(" ")}; known is --check`)
  process.exit(2)
}
const isCheck = process.argv.includes("--check")

const options = { kinds: ProviderTable.kinds }
const files: Readonly<Record<string, string>> = {
  "docs/configuration-reference.md": Reference.markdown(options),
  ...Object.fromEntries(
    Object.entries(JsonSchema.files(options)).map(([name, text]) => [`configs/schemas/${name}`, text])
  )
}

const stale = Object.entries(files).filter(([name, text]) => {
  const path = join(Workspace.root, name)
  return !existsSync(path) || readFileSync(path, "utf8") !== text
})
for (const [name, text] of stale) {
  const path = join(Workspace.root, name)
  if (isCheck) console.error(`reference: ${name} is stale; run node scripts/reference.ts`)
  else {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, text)
    console.log(`reference: ${name} written`)
  }
}
if (stale.length === 0) console.log(`reference: ${Object.keys(files).length} files, as generated`)
process.exitCode = isCheck && stale.length > 0 ? 1 : 0
