import { existsSync, readdirSync, readFileSync } from "node:fs"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import * as Check from "@echelon/cli/Check"
import { Output } from "@echelon/cli/Output"
import * as Variables from "@echelon/config/Variables"
import { Echelon, Orchestrator } from "@echelon/echelon"
import { EmbeddedProviders } from "@echelon/testing"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import * as Command from "effect/cli/Command"

const root = new URL("../../../", import.meta.url)
const document = new URL("../shared/seed.md", root)

/** The files as the first design prints them, comments included. */
const printed = (): Readonly<Record<string, string>> => {
  if (existsSync(document)) {
    const text = readFileSync(document, "utf8")
    const found = [...text.matchAll(/```toml\n(# configs\/(\S+)\n[\s\S]*?)```/g)]
    return Object.fromEntries(found.map(([, file = "", name = ""]) => [name, file]))
  }
  process.stdout.write("../shared/seed.md is absent: its files were not extracted, and the kept copy was used\n")
  const kept = new URL("packages/config/test/fixtures/seed/", root)
  const names = readdirSync(kept, { recursive: true }).map(String)
  return Object.fromEntries(
    names.filter((name) => name.endsWith(".toml")).map((name) => [name, readFileSync(new URL(name, kept), "utf8")])
  )
}

/** What the printed files name and do not hold: the least that there can be of it. */
const beside = {
  "llms/global.toml": "",
  "llms/provider/openai.toml":
    'kind = "openai"\n[models.gpt4]\nmodel = "gpt-4"\n[models.gpt4-turbo]\nmodel = "gpt-4-turbo"\n[models."gpt3.5-turbo"]\nmodel = "gpt-3.5-turbo"\n',
  "llms/provider/anthropic.toml":
    'kind = "anthropic"\n[models.claude-3-opus]\n[models.claude-3-sonnet]\n[models.claude-3-haiku]\n'
}

const folder = (files: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const made = await mkdtemp(join(tmpdir(), "echelon-seed-"))
      for (const [path, content] of Object.entries(files)) {
        await mkdir(dirname(join(made, path)), { recursive: true })
        await writeFile(join(made, path), content)
      }
      return made
    }),
    (made) => Effect.promise(() => rm(made, { recursive: true, force: true }))
  )

const keys = { OPENAI_API_KEY: "sk-1", ANTHROPIC_API_KEY: "sk-2" }

it.live("the files of the first design, as they are printed, pass the check with the least beside them", () =>
  Effect.gen(function* () {
    const files = printed()
    expect(Object.keys(files).sort()).toEqual([
      "llms/groups/fast_group.toml",
      "llms/polling_pools/fast_pool.toml",
      "llms/wrappers/pool_wrapper.toml"
    ])
    expect(files["llms/polling_pools/fast_pool.toml"]).toContain('description = "快速响应任务专用轮询池"')
    const config = yield* folder({ ...files, ...beside })
    const out: Array<string> = []
    const output = Output.of({
      write: (text) => Effect.sync(() => void out.push(text)),
      diagnose: (line) => Effect.sync(() => void out.push(`${line}\n`)),
      isTerminal: false,
      columns: () => 100
    })
    const exit = yield* Effect.exit(
      Command.runWith(Check.command, { version: "0.0.0" })([config, "--json"]).pipe(
        Effect.provide(
          Layer.mergeAll(
            NodeServices.layer,
            Layer.succeed(Output, output),
            Layer.succeed(Variables.Variables, Effect.succeed(keys))
          )
        )
      )
    )
    expect(Exit.isSuccess(exit)).toBe(true)
    const { problems, summary, worstCase } = JSON.parse(out.join(""))
    expect(summary.errors).toBe(0)
    // What is said of it is about its numbers, not its keys.
    expect([...new Set(problems.map((one: { readonly code: string }) => one.code))].sort()).toEqual([
      "clocks",
      "limits"
    ])
    expect(worstCase.map((one: { readonly attempts: number }) => one.attempts)).toEqual([11, 11, 11])
  })
)

it.live("and answer, from every part that a request may name", () =>
  Effect.gen(function* () {
    const config = yield* folder({ ...printed(), ...beside })
    const { anthropicUrl, openaiUrl } = yield* EmbeddedProviders.make
    const variables = {
      ...keys,
      ECHELON__LLMS__PROVIDER__OPENAI__BASE_URL: openaiUrl,
      ECHELON__LLMS__PROVIDER__ANTHROPIC__BASE_URL: anthropicUrl
    }
    const asked = yield* Effect.forEach(
      [
        { wrapperName: "pool_wrapper" },
        { poolName: "fast_pool" },
        { groupName: "fast_group" },
        { groupName: "fast_group.echelon3" }
      ],
      (metadata) =>
        Effect.map(Orchestrator.generate({ prompt: "hi", metadata }), ({ instance, text }) => [instance, text])
    ).pipe(Effect.provide(Echelon.layer({ config, variables })))
    for (const [instance, text] of asked) {
      expect(instance).toMatch(/^(openai-gpt|anthropic-claude)/)
      expect(text).toContain("embedded in the process")
    }
    expect(asked).toHaveLength(4)
  })
)
