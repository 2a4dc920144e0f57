import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import * as Alert from "@echelon/cli/Alert"
import { Output } from "@echelon/cli/Output"
import * as Variables from "@echelon/config/Variables"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import * as Command from "effect/cli/Command"

const run = Effect.fnUntraced(function* (
  args: ReadonlyArray<string>,
  variables: Readonly<Record<string, string>> = {},
  isTerminal = false
) {
  const out: Array<string> = []
  const err: Array<string> = []
  const output = Output.of({
    write: (text) => Effect.sync(() => void out.push(text)),
    diagnose: (line) => Effect.sync(() => void err.push(`${line}\n`)),
    isTerminal,
    columns: () => 100
  })
  const exit = yield* Effect.exit(
    Command.runWith(Alert.command, { version: "0.0.0" })(args).pipe(
      Effect.provide(
        Layer.mergeAll(
          NodeServices.layer,
          Layer.succeed(Output, output),
          Layer.succeed(Variables.Variables, Effect.succeed({ KEY: "sk-planted", ...variables }))
        )
      )
    )
  )
  const error = Exit.isFailure(exit) ? exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error : undefined
  if (Exit.isFailure(exit) && error?._tag !== "Failure") throw new Error(String(exit.cause))
  const code = error?._tag === "Failure" ? error.exitCode : 0
  return { code, stdout: out.join(""), stderr: err.join("") }
})

const configs = (alerts: string) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const root = await mkdtemp(join(tmpdir(), "echelon-alert-"))
      const files = {
        "global.toml": alerts,
        "llms/provider/openai.toml": `kind = "openai"\napi_key = "\${KEY}"\n[models.gpt4]\nmodel = "gpt-4"\n`
      }
      for (const [path, content] of Object.entries(files)) {
        await mkdir(dirname(join(root, path)), { recursive: true })
        await writeFile(join(root, path), content)
      }
      return root
    }),
    (root) => Effect.promise(() => rm(root, { recursive: true }))
  )

/** Answers 200 to /good, 403 to everything else; keeps what it heard. */
const receiver = Effect.acquireRelease(
  Effect.callback<{ port: number; heard: Array<string>; close: () => void }>((resume) => {
    const heard: Array<string> = []
    const server = createServer((request, response) => {
      request.resume().on("end", () => {
        heard.push(request.url ?? "")
        response.writeHead(request.url === "/good" ? 200 : 403).end("planted answer")
      })
    })
    server.listen(0, "127.0.0.1", () => {
      const close = () => void server.close()
      resume(Effect.succeed({ port: (server.address() as AddressInfo).port, heard, close }))
    })
  }),
  ({ close }) => Effect.sync(close)
)

const two = `[alerts.channels.ops]
type = "webhook"
url = "\${HOOK}/good"
secret = "planted-secret"

[alerts.channels.chat]
type = "slack"
url = "\${HOOK}/planted-path"
`

it.live("tests every channel, or one, and fails when one does not take it", () =>
  Effect.gen(function* () {
    const { heard, port } = yield* receiver
    const config = yield* configs(two)
    const variables = { HOOK: `http://127.0.0.1:${port}` }
    const all = yield* run(["test", "--config", config], variables)
    expect(all.code).toBe(1)
    expect(all.stdout.replaceAll(/\d+ ms/g, "N ms")).toBe(
      "log (log): sent after N ms\nops (webhook): sent after N ms\nchat (slack): failed after N ms: rejected: status 403\n"
    )
    expect(all.stderr).toContain("[echelon] test: this channel works")
    const one = yield* run(["test", "ops", "--config", config, "--json"], variables)
    expect(one.code).toBe(0)
    expect(JSON.parse(one.stdout)).toEqual({
      channels: [{ channel: "ops", type: "webhook", outcome: "sent", error: null, elapsedMs: expect.any(Number) }]
    })
    const chat = yield* run(["test", "chat", "--config", config, "--json"], variables)
    expect(JSON.parse(chat.stdout).channels[0]).toMatchObject({
      outcome: "failed",
      error: { failure: "rejected", detail: "status 403" }
    })
    const shown = yield* run(["test", "chat", "--config", config], variables, true)
    expect(shown.stdout).toContain("\u001b[31mfailed\u001b[39m")
    expect(heard.sort()).toEqual(["/good", "/good", "/planted-path", "/planted-path", "/planted-path"])
    expect(JSON.stringify([all, one, chat, shown])).not.toContain("planted")
  }).pipe(Effect.scoped)
)

it.live("a channel that is not there is a wrong use, a configuration with errors a failure", () =>
  Effect.gen(function* () {
    const config = yield* configs(two)
    const unknown = yield* run(["test", "op", "--config", config], { HOOK: "http://127.0.0.1:1" })
    expect(unknown).toMatchObject({
      code: 2,
      stdout: "",
      stderr: 'error: no channel that is enabled is named "op"; did you mean "ops" or "log"?\n'
    })
    const unset = yield* run(["test", "--config", config])
    expect(unset.code).toBe(1)
    expect(unset.stderr).toContain("the variable HOOK is not set")
    const silent = yield* configs('[alerts.channels.log]\ntype = "log"\nenabled = false\n')
    expect((yield* run(["test", "--config", silent])).code).toBe(2)
    const off = yield* configs("[alerts]\nenabled = false\n")
    const warned = yield* run(["test", "--config", off])
    expect([warned.code, warned.stderr.includes("nothing but this test is told")]).toEqual([0, true])
  }).pipe(Effect.scoped)
)
