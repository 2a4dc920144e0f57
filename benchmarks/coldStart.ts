/** From starting the process to the first attempt on the wire: `echelon ask`, as installed and from a checkout. */
import { spawn } from "node:child_process"
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { compare, type Measured } from "./harness.ts"

const repository = fileURLToPath(new URL("..", import.meta.url))

const answer = JSON.stringify({
  id: "1",
  object: "chat.completion",
  model: "m",
  choices: [{ index: 0, message: { role: "assistant", content: "hi" }, finish_reason: "stop" }],
  usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 }
})

/** Milliseconds until the process ends, or until it has asked the server. */
const start = (args: ReadonlyArray<string>, asked?: (listener: () => void) => void): Promise<number> =>
  new Promise((resolve, reject) => {
    const from = performance.now()
    let at: number | undefined
    asked?.(() => {
      at ??= performance.now() - from
    })
    const child = spawn(process.execPath, args, { cwd: repository, stdio: "ignore" })
    child.on("error", reject)
    child.on("close", (code) => {
      if (code !== 0) reject(new Error(`${args.join(" ")} ended with ${code}`))
      else resolve(at ?? performance.now() - from)
    })
  })

/** Lays the built packages out as a registry would install them; gives the command. */
const install = (into: string): string => {
  const modules = join(into, "node_modules")
  mkdirSync(join(modules, "@echelon"), { recursive: true })
  for (const name of readdirSync(join(repository, "packages"))) {
    const from = join(repository, "packages", name)
    const to = join(modules, "@echelon", name)
    cpSync(join(from, "dist"), join(to, "dist"), { recursive: true })
    const { publishConfig, ...manifest } = JSON.parse(readFileSync(join(from, "package.json"), "utf8"))
    writeFileSync(join(to, "package.json"), JSON.stringify({ ...manifest, ...publishConfig }))
  }
  const link = (name: string, from: string) =>
    symlinkSync(realpathSync(join(repository, from, "node_modules", name)), join(modules, name))
  link("effect", ".")
  link("smol-toml", "packages/config")
  mkdirSync(join(modules, "@effect"))
  link("@effect/platform-node", ".")
  return join(modules, "@echelon/cli/dist/bin.js")
}

export const coldStart = async (): Promise<ReadonlyArray<Measured>> => {
  let listener: (() => void) | undefined
  const server = Http.createServer((request, response) => {
    listener?.()
    request.resume().on("end", () => response.setHeader("content-type", "application/json").end(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  const { port } = server.address() as AddressInfo
  const folder = mkdtempSync(join(tmpdir(), "echelon-bench-"))
  const config = join(folder, "configs")
  try {
    mkdirSync(join(config, "llms/provider"), { recursive: true })
    writeFileSync(
      join(config, "llms/provider/p.toml"),
      `name = "p"\nkind = "openai-compatible"\nbase_url = "http://127.0.0.1:${port}/v1"\n[models.m]\nmodel = "m"\n`
    )
    const ask = (bin: string) => [bin, "ask", "--config", config, "--provider", "p", "--no-stream", "hi"]
    const onAsked = (next: () => void) => {
      listener = next
    }
    const installed = install(join(folder, "installed"))
    const sources = join(repository, "packages/cli/src/bin.ts")
    // One iteration is one process; `compare` gives microseconds.
    const measured = await compare(
      [
        { name: "node, empty program", run: () => start(["-e", ""]) },
        { name: "echelon ask to the first attempt, installed", run: () => start(ask(installed), onAsked) },
        { name: "echelon ask to the first attempt, from a checkout", run: () => start(ask(sources), onAsked) }
      ],
      { iterations: 1, rounds: 7, warmup: 2 }
    )
    return measured.map((row) => ({ ...row, micros: row.micros / 1_000 }))
  } finally {
    server.close().closeAllConnections()
    rmSync(folder, { recursive: true, force: true })
  }
}
