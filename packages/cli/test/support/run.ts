import { spawn } from "node:child_process"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"

const repository = fileURLToPath(new URL("../../../../", import.meta.url))
const entry = fileURLToPath(new URL("../../src/bin.ts", import.meta.url))

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command as a process of its own, without any key of the machine's. */
export const run = (
  args: ReadonlyArray<string>,
  options: {
    readonly env?: Record<string, string>
    /** Ends it after so much output. */
    readonly untilStdout?: RegExp
    readonly signal?: NodeJS.Signals
  } = {}
): Effect.Effect<Ended> =>
  Effect.promise(
    () =>
      new Promise((resolve, reject) => {
        const child = spawn(process.execPath, [entry, ...args], {
          cwd: repository,
          env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "", ...options.env },
          stdio: "pipe"
        })
        const out: Array<Buffer> = []
        const err: Array<Buffer> = []
        child.stdout.on("data", (chunk: Buffer) => {
          out.push(chunk)
          if (options.untilStdout?.test(Buffer.concat(out).toString()) === true) child.kill(options.signal ?? "SIGINT")
        })
        child.stderr.on("data", (chunk: Buffer) => err.push(chunk))
        child.on("error", reject)
        child.on("close", (code) =>
          resolve({ code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() })
        )
        child.stdin.end()
      })
  )

/** A folder that goes away with the test. */
export const folder = (files: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const root = await mkdtemp(join(tmpdir(), "echelon-"))
      for (const [path, content] of Object.entries(files)) {
        await mkdir(dirname(join(root, path)), { recursive: true })
        await writeFile(join(root, path), content)
      }
      return root
    }),
    (root) => Effect.promise(() => rm(root, { recursive: true, force: true }))
  )
