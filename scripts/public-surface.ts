/**
 * Compares what the packages export with the lists in docs/public-surface, and asks that every export is
 * documented. `--write` updates the lists. Reads declarations: run `tsc -b` before.
 */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import * as Surface from "./lib/Surface.ts"
import * as Workspace from "./lib/Workspace.ts"

const isWrite = process.argv.includes("--write")
const folder = join(Workspace.root, "docs", "public-surface")
mkdirSync(folder, { recursive: true })

let changes = 0
let count = 0
const problems: Array<string> = []
for (const name of Workspace.packages()) {
  const path = join(folder, `${name}.txt`)
  let lines: ReadonlyArray<string>
  try {
    lines = Surface.read(name)
      .exports.map((item) => `${item.name} ${item.kind}`)
      .sort()
    problems.push(...Surface.undocumented(name))
  } catch (error) {
    problems.push(error instanceof Error ? error.message : String(error))
    continue
  }
  count += lines.length
  const before = existsSync(path)
    ? readFileSync(path, "utf8")
        .split("\n")
        .filter((line) => line !== "")
    : []
  const gone = before.filter((line) => !lines.includes(line))
  const added = lines.filter((line) => !before.includes(line))
  if (gone.length + added.length === 0) continue
  changes += gone.length + added.length
  console.log(`@echelon/${name}`)
  for (const line of gone) console.log(`  - ${line}`)
  for (const line of added) console.log(`  + ${line}`)
  if (!isWrite) continue
  if (lines.length === 0) rmSync(path)
  else writeFileSync(path, `${lines.join("\n")}\n`)
}

for (const problem of problems) console.error(problem)
if (isWrite) console.log(`surface: ${count} exports, ${changes} changes written`)
else if (changes > 0) console.error("The public surface changed. When that is meant: pnpm check:surface --write")
else console.log(`surface: ${count} exports, as listed`)
if (problems.length > 0) console.error(`surface: ${problems.length} problems`)
process.exitCode = problems.length > 0 || (changes > 0 && !isWrite) ? 1 : 0
