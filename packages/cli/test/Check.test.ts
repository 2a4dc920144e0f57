import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import * as Check from "@echelon/cli/Check"
import { Output } from "@echelon/cli/Output"
import * as Variables from "@echelon/config/Variables"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Layer } from "effect"
import * as Command from "effect/cli/Command"

const shipped = fileURLToPath(new URL("../../../configs", import.meta.url))

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs the command line as a process would, without a variable of the machine's. */
const run = Effect.fnUntraced(function* (
  args: ReadonlyArray<string>,
  options: { readonly variables?: Readonly<Record<string, string>>; readonly isTerminal?: boolean } = {}
) {
  const out: Array<string> = []
  const err: Array<string> = []
  const output = Output.of({
    write: (text) => Effect.sync(() => void out.push(text)),
    diagnose: (line) => Effect.sync(() => void err.push(`${line}\n`)),
    isTerminal: options.isTerminal ?? false,
    columns: () => 100
  })
  const exit = yield* Effect.exit(
    Command.runWith(Check.command, { version: "0.0.0" })(args).pipe(
      Effect.provide(
        Layer.mergeAll(
          NodeServices.layer,
          Layer.succeed(Output, output),
          Layer.succeed(Variables.Variables, Effect.succeed(options.variables ?? {}))
        )
      )
    )
  )
  const error = Exit.isFailure(exit) ? exit.cause.reasons.find((reason) => reason._tag === "Fail")?.error : undefined
  if (Exit.isFailure(exit) && error?._tag !== "Failure") throw new Error(String(exit.cause))
  const code = error?._tag === "Failure" ? error.exitCode : 0
  return { code, stdout: out.join(""), stderr: err.join("") } satisfies Ended
})

const folder = (files: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const root = await mkdtemp(join(tmpdir(), "echelon-check-"))
      for (const [path, content] of Object.entries(files)) {
        await mkdir(dirname(join(root, path)), { recursive: true })
        await writeFile(join(root, path), content)
      }
      return root
    }),
    (root) => Effect.promise(() => rm(root, { recursive: true, force: true }))
  )

const small = {
  "llms/provider/local.toml":
    'kind = "ollama"\n[models.a]\ninput_price = 1\noutput_price = 2\nmax_output_tokens = 500\n',
  "llms/groups/chat.toml": '[echelon1]\nmodels = ["local-a"]\ntimeout = 10\nmax_retries = 1\n',
  "llms/polling_pools/chat_pool.toml": 'task_groups = ["chat"]\n'
}
const odd = {
  "llms/groups/chat.toml": '[echelon1]\nmodels = ["local-a"]\ntimeout = 10\nttft_timeout = 20\nmax_retries = 1\n'
}
const broken = { "llms/groups/chat.toml": '[echelon1]\nmodels = ["local-b"]\n' }

it.live("prints the problems, their number and the worst cases", () =>
  Effect.gen(function* () {
    const root = yield* folder(small)
    const clean = yield* run([root])
    expect(clean).toEqual({
      code: 0,
      stderr: "",
      stdout: `no problems

worst case of one request  attempts  until commit     cost
pool chat_pool                    2          25 s  $0.0040
group chat                        2          25 s  $0.0040

Cost: 1000 tokens of input and the most output that its echelon allows, every attempt charged in full.
`
    })
    const other = yield* folder({ ...small, ...odd })
    const warned = yield* run([other])
    expect([warned.code, warned.stdout.split("\n").slice(0, 2)]).toEqual([
      0,
      [
        `${other}/llms/groups/chat.toml:4:1 warning llms.groups.chat.echelon1.ttft_timeout: 20 s never run out: timeout = 10 s ends an attempt before`,
        "1 warning"
      ]
    ])
    expect((yield* run([other, "--strict"])).code).toBe(1)
    expect((yield* run([root, "--strict"])).code).toBe(0)
    const failed = yield* folder({ ...small, ...broken })
    const { code, stdout } = yield* run([failed])
    expect([code, stdout]).toEqual([
      1,
      `${failed}/llms/groups/chat.toml:2:11 error llms.groups.chat.echelon1.models[0]: unknown instance "local-b"; did you mean "local-a"?\n1 error\n`
    ])
  })
)

it.live("colours only what a terminal shows", () =>
  Effect.gen(function* () {
    const root = yield* folder({ ...small, ...odd })
    expect((yield* run([root], { isTerminal: true })).stdout).toContain(":4:1 \u001b[33mwarning\u001b[39m llms.")
    expect((yield* run([root])).stdout).not.toContain("\u001b")
  })
)

it.live("--json prints one object", () =>
  Effect.gen(function* () {
    const root = yield* folder({ ...small, ...odd })
    const { code, stderr, stdout } = yield* run([root, "--json"])
    expect([code, stderr]).toEqual([0, ""])
    const { problems, summary, worstCase } = JSON.parse(stdout)
    expect(problems).toEqual([
      {
        severity: "warning",
        code: "clocks",
        file: `${root}/llms/groups/chat.toml`,
        line: 4,
        column: 1,
        variable: null,
        key: "llms.groups.chat.echelon1.ttft_timeout",
        message: "20 s never run out: timeout = 10 s ends an attempt before"
      }
    ])
    expect(summary).toEqual({ errors: 0, warnings: 1 })
    expect(worstCase[1]).toEqual({
      target: { kind: "group", name: "chat" },
      attempts: 2,
      timeMs: 25_000,
      costUsd: 0.004,
      requestTimeoutMs: null,
      maxTiers: null,
      maxTotalAttempts: null,
      tiers: [
        {
          name: "chat.echelon1",
          instances: ["local-a"],
          attempts: 2,
          timeoutMs: 10_000,
          waitsMs: 5_000,
          attemptCostUsd: 0.002
        }
      ],
      unpriced: [],
      assumed: { inputTokens: 1_000, outputTokens: null },
      formula: {
        attempts: "2 = 2",
        time: "2 x 10 s + 5 s of waits = 25 s",
        cost: "2 x $0.0020 = $0.0040"
      }
    })
    const failed = yield* folder({ ...small, ...broken })
    const error = yield* run([failed, "--json"])
    expect([error.code, JSON.parse(error.stdout)]).toMatchObject([
      1,
      { worstCase: null, summary: { errors: 1, warnings: 0 }, problems: [{ code: "reference", severity: "error" }] }
    ])
  })
)

it.live("--sarif prints a log, and fails as the rest does", () =>
  Effect.gen(function* () {
    const failed = yield* folder({ ...small, ...broken })
    const { code, stdout } = yield* run([failed, "--sarif"])
    const log = JSON.parse(stdout)
    expect([code, log.version, log.runs[0].results[0].ruleId]).toEqual([1, "2.1.0", "reference"])
    expect(log.runs[0].tool.driver.version).toMatch(/^\d+\.\d+\.\d+$/)
    const uris = Effect.fnUntraced(function* (root: string) {
      const variables = { ECHELON__NONSENSE__X: "1" }
      const { results } = JSON.parse((yield* run([root, "--sarif"], { variables })).stdout).runs[0]
      type Result = {
        readonly locations: ReadonlyArray<{ readonly physicalLocation: { readonly artifactLocation: object } }>
      }
      return (results as ReadonlyArray<Result>).map((one) => one.locations[0]?.physicalLocation.artifactLocation)
    })
    // Of a variable: at a file of the folder, and below the working directory by a relative address.
    expect(yield* uris(failed)).toContainEqual({ uri: `file://${failed}/llms/groups/chat.toml` })
    expect(yield* uris(shipped)).toContainEqual({
      uri: `${relative(process.cwd(), shipped).replaceAll("\\", "/")}/global.toml`.replace(
        /^\.\.\/.*/,
        `file://${shipped}/global.toml`
      )
    })
    const both = yield* run([failed, "--sarif", "--json"])
    expect(both).toEqual({
      code: 2,
      stdout: "",
      stderr: "error: --json and --sarif exclude each other; give one of them\n"
    })
  })
)

it.live("a folder that is not there", () =>
  Effect.gen(function* () {
    const { code, stdout } = yield* run(["no-such-folder"])
    expect([code, stdout]).toEqual([1, "no-such-folder:1:1 error config: there is no such folder\n1 error\n"])
  })
)

it.live("no secret is printed, wherever it stands", () =>
  Effect.gen(function* () {
    const root = yield* folder({
      ...small,
      "llms/provider/local.toml": `${small["llms/provider/local.toml"]}`.replace(
        "[models.a]",
        'api_key = "sk-secret"\nheaders = { x = "sk-secret" }\n[models.a]'
      ),
      ...odd
    })
    for (const format of ["--json", "--sarif", "--strict"]) {
      const { stderr, stdout } = yield* run([root, format])
      expect(stdout.length).toBeGreaterThan(100)
      expect(stdout + stderr).not.toContain("sk-secret")
    }
  })
)

it.live("the shipped tree without any key says what to set, in words for a newcomer", () =>
  Effect.gen(function* () {
    const { code, stdout } = yield* run([shipped])
    expect(code).toBe(1)
    const errors = stdout.split("\n").filter((line) => line.includes(" error "))
    expect(errors).toHaveLength(1)
    expect(errors[0]).toContain("no credential is set, so no model can be asked; set ANTHROPIC_API_KEY or")
    expect(errors[0]).toContain("or use --env embedded")
  })
)

it.live("the shipped tree has no error with one key, in no environment, and embedded needs nothing at all", () =>
  Effect.gen(function* () {
    for (const variable of ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"]) {
      for (const env of [[], ["--env", "development"], ["--env", "production"]]) {
        const { code, stdout } = yield* run([shipped, ...env, "--json"], { variables: { [variable]: "sk-1" } })
        const { summary, worstCase } = JSON.parse(stdout)
        expect([code, summary.errors]).toEqual([0, 0])
        expect(worstCase.map(({ target }: { readonly target: { readonly name: string } }) => target.name)).toEqual([
          "pool_wrapper",
          "task_group_wrapper",
          "fast_pool",
          "high_concurrency_pool",
          "thinking_pool",
          "fast_group",
          "review_group",
          "thinking_group"
        ])
      }
    }
    const { code, stdout } = yield* run([shipped, "--env", "embedded", "--json"])
    const { problems, summary, worstCase } = JSON.parse(stdout)
    expect([code, summary.errors]).toEqual([0, 0])
    // A few true remarks, not a flood.
    expect(problems.length).toBeLessThanOrEqual(3)
    expect(worstCase[0]).toMatchObject({ attempts: 11, timeMs: 30_000 })
  })
)

it.live("with errors, what the graph shows all the same is told, too", () =>
  Effect.gen(function* () {
    const chat = `${small["llms/groups/chat.toml"]}`.replace(
      "[echelon1]",
      '[echelon1]\ntemperature = "hot"\nttft_timeout = 19'
    )
    const root = yield* folder({ ...small, "llms/groups/chat.toml": chat })
    const { code, stdout } = yield* run([root])
    expect(code).toBe(1)
    expect(stdout).toContain('temperature: expected a number from 0 to 2; found "hot"')
    expect(stdout).toContain("ttft_timeout: 19 s never run out: timeout = 10 s ends an attempt before")
    expect(stdout).toContain("1 error, 1 warning")
  })
)
