import { spawn } from "node:child_process"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"

const repository = fileURLToPath(new URL("../../../", import.meta.url))
const bin = fileURLToPath(new URL("../src/bin.ts", import.meta.url))

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command as a process of its own, without any key of the machine's. */
const echelon = (
  args: ReadonlyArray<string>,
  options: {
    readonly stdin?: string
    readonly env?: Record<string, string>
    readonly onStart?: (kill: (signal: NodeJS.Signals) => void) => void
  } = {}
): Promise<Ended> =>
  new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [bin, ...args], {
      cwd: repository,
      env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "", ...options.env },
      stdio: "pipe"
    })
    const out: Array<Buffer> = []
    const err: Array<Buffer> = []
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk))
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk))
    child.on("error", reject)
    child.on("close", (code) =>
      resolve({ code, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() })
    )
    child.stdin.end(options.stdin ?? "")
    options.onStart?.((signal) => child.kill(signal))
  })

const run = (args: ReadonlyArray<string>, options: Parameters<typeof echelon>[1] = {}) =>
  Effect.promise(() => echelon(args, options))

/** A folder of configuration that goes away with the test. */
const folder = (files: Readonly<Record<string, string>>) =>
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

const embedded = ["--config", "configs", "--env", "embedded"]
const slow = 30_000

it.live(
  "ask --json prints the answer with model, usage, cost and route",
  () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* run(["ask", ...embedded, "--pool", "fast_pool", "--json", "hi"])
      expect([code, stderr]).toEqual([0, ""])
      expect(JSON.parse(stdout)).toEqual({
        text: expect.stringContaining("embedded in the process"),
        model: "gpt-4",
        instance: "openai-gpt4",
        usage: { inputTokens: expect.any(Number), outputTokens: expect.any(Number), source: "reported" },
        cost: expect.any(Number),
        route: [{ instance: "openai-gpt4", outcome: "completed", reason: null, elapsedMs: expect.any(Number) }]
      })
    }),
  slow
)

it.live(
  "ask streams data to standard output and the route to standard error; the prompt may come from standard input",
  () =>
    Effect.gen(function* () {
      for (const flags of [[], ["--no-stream"]]) {
        const { code, stderr, stdout } = yield* run(["ask", ...embedded, "--wrapper", "pool_wrapper", ...flags], {
          stdin: "hi"
        })
        expect(code).toBe(0)
        expect(stdout).toMatch(/^This is gpt-4, embedded in the process\..*\n$/)
        expect(stderr).toMatch(/^route:\n {2}1\. openai-gpt4 \(gpt-4\) completed after \d+ ms\n$/)
      }
    }),
  slow
)

it.live(
  "every kind of target is asked",
  () =>
    Effect.gen(function* () {
      const targets: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
        [["--group", "fast_group.echelon2"], "openai-gpt4-turbo"],
        [["--wrapper", "task_group_wrapper"], ""],
        [["--provider", "anthropic", "--model", "claude-3-haiku"], "anthropic-claude-3-haiku"]
      ]
      for (const [flags, instance] of targets) {
        const { code, stdout } = yield* run(["ask", ...embedded, ...flags, "--json", "hi"])
        expect(code).toBe(0)
        expect(JSON.parse(stdout).instance).toContain(instance)
      }
    }),
  slow
)

it.live(
  "an unknown name names the nearest known ones, exits 1 and shows no stack",
  () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
        [["--pool", "fast_pol"], 'there is no pool "fast_pol"; did you mean "fast_pool"?'],
        [["--group", "fast_grup"], 'did you mean "fast_group"'],
        [["--wrapper", "pool_wraper"], 'did you mean "pool_wrapper"?'],
        [["--provider", "openia"], '"openai"'],
        [["--provider", "anthropic", "--model", "claude-3-hiku"], '"claude-3-haiku"']
      ]
      for (const [flags, message] of cases) {
        const { code, stderr, stdout } = yield* run(["ask", ...embedded, ...flags, "hi"])
        expect([code, stdout]).toEqual([1, ""])
        expect(stderr).toContain(message)
        expect(stderr).not.toContain("    at ")
      }
      const json = yield* run(["ask", ...embedded, "--pool", "fast_pol", "--json", "hi"])
      expect([json.code, json.stderr]).toEqual([1, ""])
      expect(JSON.parse(json.stdout)).toEqual({
        error: { reason: "UnknownTarget", message: expect.stringContaining("fast_pool"), retryAt: null, route: [] }
      })
    }),
  slow
)

it.live(
  "a configuration that is wrong says file, line and key, exits 1 and shows no stack",
  () =>
    Effect.gen(function* () {
      const missing = yield* run(["ask", "--config", "no-such-folder", "hi"])
      expect([missing.code, missing.stdout]).toEqual([1, ""])
      expect(missing.stderr).toContain("no-such-folder")

      const provider =
        'name = "p"\nkind = "openai-compatible"\nbase_url = "http://127.0.0.1:1/v1"\n[models.m]\nmodel = "m"\n'
      const group = 'name = "g"\n[echelon1]\nmodels = ["p-m"]\n'
      const broken = yield* folder({ "llms/provider/p.toml": `${provider}oops` })
      const syntax = yield* run(["ask", "--config", broken, "hi"])
      expect(syntax.code).toBe(1)
      expect(syntax.stderr).toMatch(/llms\/provider\/p\.toml:6:\d+/)

      const typo = yield* folder({ "llms/provider/p.toml": provider, "llms/groups/g.toml": `${group}timeot = 3\n` })
      const key = yield* run(["ask", "--config", typo, "hi"])
      expect(key.stderr).toMatch(/llms\/groups\/g\.toml:4:1 error .*timeot/)
      expect(key.stderr).toContain('"timeout"')

      const unset = yield* folder({
        "llms/provider/p.toml": provider.replace("http://127.0.0.1:1/v1", "$" + "{NOT_SET_ANYWHERE}")
      })
      const variable = yield* run(["ask", "--config", unset, "hi"])
      expect(variable.stderr).toMatch(/llms\/provider\/p\.toml:3:\d+ .*NOT_SET_ANYWHERE/)
      for (const { code, stderr } of [syntax, key, variable]) {
        expect(code).toBe(1)
        expect(stderr).not.toContain("    at ")
      }
    }),
  slow
)

it.live(
  "without a key the error names the variable to set",
  () =>
    Effect.gen(function* () {
      const { code, stderr } = yield* run(["ask", "--pool", "fast_pool", "hi"])
      expect(code).toBe(1)
      expect(stderr).toContain("OPENAI_API_KEY")
      expect(stderr).toContain("ANTHROPIC_API_KEY")
    }),
  slow
)

it.live(
  "with one key it starts, and says on standard error what is disabled",
  () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* run(["ask", "--pool", "no_pool", "--json", "hi"], {
        env: { OPENAI_API_KEY: "sk-planted-secret" }
      })
      expect([code, JSON.parse(stdout).error.reason]).toEqual([1, "UnknownTarget"])
      expect(stderr).toMatch(/configs\/llms\/provider\/anthropic\.toml:\d+:\d+ warning .*ANTHROPIC_API_KEY is not set/)
      expect(stderr).not.toContain("openai.toml")
      expect(stdout + stderr).not.toContain("planted-secret")
    }),
  slow
)

it.live(
  "wrong use exits 2 and says what is right",
  () =>
    Effect.gen(function* () {
      const cases: ReadonlyArray<readonly [ReadonlyArray<string>, string]> = [
        [["ask", "--pool", "a", "--group", "b", "hi"], "--pool and --group exclude each other"],
        [["ask", "--pool", "a", "--model", "b", "hi"], "--model goes with --provider, not with --pool"],
        [["ask", "--no-such-flag", "hi"], "--no-such-flag"],
        [["no-such-command"], "no-such-command"],
        [["migrate"], "echelon migrate"],
        [["ask"], "the prompt is empty"],
        [["demo", "--requests", "0"], "between 1 and 10000"]
      ]
      for (const [args, message] of cases) {
        const { code, stderr, stdout } = yield* run(args)
        expect([args, code, stdout]).toEqual([args, 2, ""])
        expect(stderr).toContain(message)
      }
      const help = yield* run(["ask", "--help"])
      expect([help.code, help.stderr]).toEqual([0, ""])
      expect(help.stdout).toContain("--no-stream")
    }),
  slow
)

it.live(
  "Ctrl-C ends ask at once and closes its socket",
  () =>
    Effect.gen(function* () {
      let interrupt: ((signal: NodeJS.Signals) => void) | undefined
      let closed: () => void = () => undefined
      const socketClosed = new Promise<void>((resolve) => {
        closed = resolve
      })
      const server = yield* Effect.acquireRelease(
        Effect.promise(
          () =>
            new Promise<Http.Server>((resolve) => {
              const listening = Http.createServer((request) => {
                request.socket.on("close", closed)
                interrupt?.("SIGINT")
              }).listen(0, "127.0.0.1", () => resolve(listening))
            })
        ),
        (listening) => Effect.sync(() => listening.close().closeAllConnections())
      )
      const { port } = server.address() as AddressInfo
      const config = yield* folder({
        "llms/provider/p.toml": `name = "p"\nkind = "openai-compatible"\nbase_url = "http://127.0.0.1:${port}/v1"\n[models.m]\nmodel = "m"\n`
      })
      const started = process.hrtime.bigint()
      const { code } = yield* run(["ask", "--config", config, "--provider", "p", "hi"], {
        onStart: (kill) => {
          interrupt = kill
        }
      })
      yield* Effect.promise(() => socketClosed)
      expect(code).toBe(130)
      expect(Number(process.hrtime.bigint() - started) / 1e6).toBeLessThan(10_000)
    }),
  slow
)

it.live(
  "demo answers everything while providers fail, and says so",
  () =>
    Effect.gen(function* () {
      const { code, stderr, stdout } = yield* run(["demo", "--requests", "120"])
      expect([code, stderr]).toEqual([0, ""])
      expect(stdout).toContain("120 requests through fast_pool, on this schedule:")
      expect(stdout).toMatch(/asked {6}120\nanswered {3}120\nattempts {3}\d+\nfailovers .*Network/)
      expect(stdout).toMatch(/failovers .*Timeout/)
      expect(stdout).toMatch(/p50 {8}\d+ ms\np99 {8}\d+ ms\n$/)
      expect(stdout).not.toContain("\u001b")
    }),
  60_000
)
