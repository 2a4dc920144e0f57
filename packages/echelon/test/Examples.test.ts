import { spawn } from "node:child_process"
import { readdir, readFile } from "node:fs/promises"
import { fileURLToPath } from "node:url"
import { expect, it } from "@effect/vitest"
import { Effect } from "effect"

const repository = fileURLToPath(new URL("../../../", import.meta.url))

/** Runs an example as a process of its own, without any key of the machine's. */
const run = (
  name: string
): Effect.Effect<{ readonly code: number | null; readonly out: string; readonly err: string }> =>
  Effect.callback((resume) => {
    const child = spawn(process.execPath, [`examples/${name}.ts`], {
      cwd: repository,
      env: { PATH: process.env["PATH"] ?? "", HOME: process.env["HOME"] ?? "" },
      stdio: ["ignore", "pipe", "pipe"]
    })
    const out: Array<Buffer> = []
    const err: Array<Buffer> = []
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk))
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk))
    child.on("error", (error) => resume(Effect.die(error)))
    child.on("close", (code) =>
      resume(Effect.succeed({ code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() }))
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const says = (model: string) => `This is ${model}, embedded in the process.`

/** What each says, line by line. */
const examples: Readonly<Record<string, ReadonlyArray<string | RegExp>>> = {
  openai: [
    says("gpt-4.1"),
    /^openai-gpt4: stop, \d+ tokens reported$/,
    /^streamed in \d\d pieces$/,
    "when it is down: Overloaded, retryable true"
  ],
  anthropic: [says("claude-sonnet-4-6"), /^anthropic-sonnet: stop, \d+ tokens reported$/, /^streamed in \d\d pieces$/],
  "ai-upstream": [says("gpt-4.1"), /^ai-gpt4: stop, \d+ tokens reported$/, /^streamed in \d\d pieces$/],
  "ai-provider": [/^This is claude-/, "answered by anthropic", "streamed in several pieces"],
  "effect-language-model": ['the tool gave {"celsius":4}', "Four degrees.", "answered by b"],
  embeddings: ["[[3,1],[8,2]] by b", "as effect/ai's model: [8,2]", "as the ai package's: [8,2]"],
  "gradual-1-adapter": [/^openai, \d+ tokens$/, says("gpt-4.1")],
  // Where a pool begins is left to chance; who is down answers never.
  "gradual-2-pool": [
    /^anthropic, of (?:one attempt|openai Overloaded, then anthropic answered)$/,
    says("claude-sonnet-4-6"),
    /^anthropic, of (?:one attempt|openai Overloaded, then anthropic answered)$/,
    says("claude-sonnet-4-6")
  ],
  "gradual-3-groups": [
    /^(?:openai-gpt4|anthropic-claude-3-opus), through fast_group\.echelon1$/,
    /^This is (?:gpt-4|claude-3-opus-20240229), /,
    /^(?:openai-gpt4-turbo|anthropic-claude-3-sonnet), through fast_group\.echelon1, then fast_group\.echelon2$/,
    /^This is (?:gpt-4-turbo|claude-3-sonnet-20240229), /
  ]
}

for (const [name, expected] of Object.entries(examples))
  it.live(
    `examples/${name}.ts runs`,
    () =>
      Effect.gen(function* () {
        const { code, err, out } = yield* run(name)
        expect([code, err]).toEqual([0, ""])
        const lines = out.trim().split("\n")
        expect(lines.length).toBe(expected.length)
        for (const [i, wanted] of expected.entries())
          if (typeof wanted === "string") expect(lines[i]?.startsWith(wanted), `${lines[i]} for ${wanted}`).toBe(true)
          else expect(lines[i]).toMatch(wanted)
      }),
    30_000
  )

it.live("every example is run here", () =>
  Effect.gen(function* () {
    const files = yield* Effect.promise(() => readdir(`${repository}examples`))
    const programs = files.filter((file) => file.endsWith(".ts") && file !== "upstreams.ts")
    expect(programs.map((file) => file.replace(/\.ts$/, "")).sort()).toEqual(Object.keys(examples).sort())
  })
)

it.live("the code of the gradual guide is that of its steps", () =>
  Effect.gen(function* () {
    const guide = yield* Effect.promise(() => readFile(`${repository}docs/guide-gradual.md`, "utf8"))
    const steps = guide.split(/^## (?=\d\.)/m).slice(1)
    expect(steps.length).toBe(3)
    for (const step of steps) {
      const file = /^node (examples\/\S+)$/m.exec(step)?.[1]
      const source = yield* Effect.promise(() => readFile(`${repository}${file}`, "utf8"))
      const blocks = [...step.matchAll(/^```ts no-check\n([\s\S]*?)^```$/gm)].map(([, code = ""]) => code)
      expect(blocks.length).toBeGreaterThan(0)
      for (const block of blocks) expect(source).toContain(block)
    }
  })
)
