/**
 * Type-checks and runs every example of the doc comments, the README and docs. A block marked `ts no-run` is
 * only type-checked, one marked `ts no-check` is left alone.
 */
import { spawn, spawnSync } from "node:child_process"
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import * as Examples from "./lib/Examples.ts"
import * as Workspace from "./lib/Workspace.ts"

const timeLimit = 20_000
const atOnce = 2
const folder = join(Workspace.root, ".examples")
const preload = pathToFileURL(join(Workspace.root, "scripts", "lib", "fatal-assert.ts")).href

rmSync(folder, { recursive: true, force: true })
mkdirSync(folder)

const examples = Examples.all()
const files = new Map<string, Examples.Example>()
const seen = new Set<string>()
let repeated = 0
for (const example of examples) {
  if (example.mode === "skip") continue
  // A translated page repeats the code of the original.
  const key = `${example.mode} ${example.code}`
  if (seen.has(key)) {
    repeated += 1
    continue
  }
  seen.add(key)
  const name = `${example.place
    .replace(/^packages\//, "")
    .replace(/\/src\//, "-")
    .replace(/\.(ts|md):/, "-")
    .replaceAll(/[/.]/g, "-")}.ts`
  files.set(name, example)
  writeFileSync(join(folder, name), example.code)
}
writeFileSync(
  join(folder, "tsconfig.json"),
  JSON.stringify({
    extends: "../tsconfig.base.json",
    compilerOptions: {
      noEmit: true,
      composite: false,
      declaration: false,
      declarationMap: false,
      incremental: false,
      moduleDetection: "force",
      // An example may name what it does not go on to use.
      noUnusedLocals: false,
      noUnusedParameters: false
    },
    include: ["*.ts"]
  })
)

/** Names the place of an example beside its file. */
const located = (output: string): string =>
  output.replaceAll(/(?:\.examples\/)([\w-]+\.ts)/g, (file, name: string) => {
    const place = files.get(name)?.place
    return place === undefined ? file : `${file} [${place}]`
  })

const types = (): boolean => {
  if (files.size === 0) return true
  const tsc = spawnSync(join("node_modules", ".bin", "tsc"), ["--noEmit", "-p", ".examples"], {
    cwd: Workspace.root,
    encoding: "utf8",
    shell: process.platform === "win32"
  })
  if (tsc.error !== undefined) throw tsc.error
  if (tsc.status !== 0) console.error(located(`${tsc.stdout}${tsc.stderr}`))
  return tsc.status === 0
}

const run = (name: string): Promise<string | undefined> =>
  new Promise((resolve) => {
    const child = spawn(process.execPath, ["--import", preload, join(".examples", name)], {
      cwd: Workspace.root,
      stdio: ["ignore", "pipe", "pipe"]
    })
    let output = ""
    let isLate = false
    const keep = (chunk: Buffer) => {
      output += chunk.toString("utf8")
    }
    child.stdout.on("data", keep)
    child.stderr.on("data", keep)
    const timer = setTimeout(() => {
      isLate = true
      child.kill("SIGKILL")
    }, timeLimit)
    child.on("error", (error) => {
      output += error.message
    })
    child.on("close", (code) => {
      clearTimeout(timer)
      const why = isLate ? `did not end within ${timeLimit / 1000} s` : code === 0 ? undefined : `exit code ${code}`
      resolve(why === undefined ? undefined : `${why}\n${output.trimEnd().split("\n").slice(-30).join("\n")}`)
    })
  })

const isTyped = types()
const queue = [...files].filter(([, example]) => example.mode === "run")
const runs = queue.length
let failures = 0
const worker = async (): Promise<void> => {
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const [name, example] = next
    const failure = await run(name)
    if (failure === undefined) continue
    failures += 1
    console.error(`${example.place}: ${failure}\n`)
  }
}
await Promise.all(Array.from({ length: atOnce }, worker))

const skipped = examples.filter((example) => example.mode === "skip").length
console.log(
  `examples: ${examples.length} found, ${runs} run, ${files.size - runs} only type-checked, ${repeated} repeated, ` +
    `${skipped} skipped; ${failures} failed${isTyped ? "" : ", and types do not hold"}`
)
process.exitCode = failures > 0 || !isTyped ? 1 : 0
