/**
 * Everything a change must pass, in order: lint, types, tests, examples, generated reference, public surface. Stops at the first
 * failure with its exit code. `--no-tests` leaves out the tests, for who has just run them.
 */
import { spawnSync } from "node:child_process"
import { delimiter, join } from "node:path"
import * as Workspace from "./lib/Workspace.ts"

interface Step {
  readonly name: string
  readonly command: readonly [string, ...Array<string>]
}

const steps: ReadonlyArray<Step> = [
  { name: "lint", command: ["biome", "check", "--error-on-warnings", "."] },
  { name: "types", command: ["tsc", "-b"] },
  { name: "tests", command: ["vitest", "run", "--config", "vitest.workspace.ts"] },
  { name: "examples", command: ["node", "scripts/docs-examples.ts"] },
  { name: "reference", command: ["node", "scripts/reference.ts", "--check"] },
  { name: "metrics reference", command: ["node", "scripts/metrics-reference.ts", "--check"] },
  { name: "alerts reference", command: ["node", "scripts/alerts-reference.ts", "--check"] },
  { name: "log fields", command: ["node", "scripts/log-fields.ts", "--check"] },
  { name: "protocols", command: ["node", "scripts/protocol-table.ts", "--check"] },
  { name: "surface", command: ["node", "scripts/public-surface.ts"] }
]

const unknown = process.argv.slice(2).filter((argument) => argument !== "--no-tests")
if (unknown.length > 0) {
  console.error(`check: unknown argument ${unknown.join(" ")}; known is --no-tests`)
  process.exit(2)
}
const skipsTests = process.argv.includes("--no-tests")
const path = [join(Workspace.root, "node_modules", ".bin"), process.env["PATH"] ?? ""].join(delimiter)

const seconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`
const startedAt = performance.now()
for (const { command, name } of steps) {
  if (name === "tests" && skipsTests) {
    console.log("-- tests: left out")
    continue
  }
  const [program, ...args] = command
  console.log(`-- ${name}: ${command.join(" ")}`)
  const stepAt = performance.now()
  const { error, status } = spawnSync(program === "node" ? process.execPath : program, args, {
    cwd: Workspace.root,
    env: { ...process.env, PATH: path },
    stdio: "inherit",
    shell: process.platform === "win32"
  })
  if (error !== undefined) console.error(`-- ${name}: ${error.message}`)
  if (error !== undefined || status !== 0) {
    console.error(`-- ${name}: failed after ${seconds(stepAt)}`)
    process.exit(status ?? 1)
  }
  console.log(`-- ${name}: passed in ${seconds(stepAt)}\n`)
}
console.log(`-- all passed in ${seconds(startedAt)}`)
