import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Explain from "@echelon/cli/Explain"
import * as ExplainJson from "@echelon/cli/ExplainJson"
import * as ExplainText from "@echelon/cli/ExplainText"
import { Output } from "@echelon/cli/Output"
import * as Variables from "@echelon/config/Variables"
import { type Control, InstanceStats, Plans } from "@echelon/core"
import * as CoreExplain from "@echelon/core/Explain"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { expect, it } from "@effect/vitest"
import { Effect, Exit, Layer, Result } from "effect"
import * as Command from "effect/cli/Command"

const shipped = fileURLToPath(new URL("../../../configs", import.meta.url))

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
    Command.runWith(Explain.command, { version: "0.0.0" })(args).pipe(
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
  return { code, stdout: out.join(""), stderr: err.join("") }
})

const folder = (files: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const root = await mkdtemp(join(tmpdir(), "echelon-explain-"))
      for (const [path, content] of Object.entries(files)) {
        await mkdir(dirname(join(root, path)), { recursive: true })
        await writeFile(join(root, path), content)
      }
      return root
    }),
    (root) => Effect.promise(() => rm(root, { recursive: true, force: true }))
  )

const small = {
  "global.toml": '[routing]\ndefault_wrapper = "front"\n',
  "llms/provider/local.toml": `kind = "openai-compatible"
base_url = "http://127.0.0.1:1/v1"
api_key = "sk-in-the-file"
[models.a]
input_price = 1
output_price = 2
max_output_tokens = 500
capabilities = ["tools"]
context_window = 1000
[models.b]
capabilities = []
`,
  "llms/provider/other.toml": `kind = "openai"\napi_key = "\${OTHER_KEY}"\n[models.c]\nweight = 2\n[models.d]\nweight = 3\n`,
  "llms/groups/chat.toml": `[echelon1]
models = ["local-a", "local-b", "other-c"]
timeout = 10
max_retries = 1
[echelon2]
models = ["local-a"]
max_retries = 0
`,
  "llms/polling_pools/pool.toml": 'task_groups = ["chat"]\n',
  "llms/wrappers/front.toml":
    'type = "pool"\n[default_config]\npool_name = "pool"\n[performance]\nrequest_timeout = 8\n',
  "environments/production.toml": `[llms.groups.chat.echelon1]\ntimeout = "\${TIMEOUT:-7}"\n`
}

it.live("prints the tiers, who would be asked, why the others would not, and the worst case", () =>
  Effect.gen(function* () {
    const root = yield* folder(small)
    const { code, stderr, stdout } = yield* run(["--config", root, "--needs", "tools"])
    expect([code, stderr]).toEqual([0, ""])
    expect(stdout).toBe(`wrapper front, the default_wrapper of [routing]
  leads to  pool pool
  deadline  8 s until commit, waiting included

tier 1: chat.echelon1
  up to 2 attempts; first output within 4 s, its share of the deadline
  asked   local-a  a; timeout 10 s, idle 60 s
  passed  local-b  lacks tools
  passed  other-c  no credential: set OTHER_KEY

tier 2: chat.echelon2
  one attempt
  asked   local-a  a; timeout 60 s, idle 60 s

worst case, for 1000 tokens of input and the most output
  attempts  2 + 1 = 3
  time      2 x 10 s + 1 x 60 s + 10 s of waits = 90 s, cut to 8 s by
            request_timeout
  cost      2 x $0.0020 + 1 x $0.0020 = $0.0060
`)
    // Whoever is passed over costs nothing, and leaves no price to be missed.
    const all = yield* run(["--config", root])
    expect(all.stdout).toContain("cost      unknown: no price of local-b")
    const large = yield* run(["--config", root, "--group", "chat.echelon2", "--tokens", "3000"])
    expect(large.stdout).toContain("passed  local-a  context window of 1000 tokens; at least 1500 are needed")
    expect(large.stdout).toContain("chat.echelon1  it stands before the echelon that is asked for")
    const direct = yield* run(["--config", root, "--provider", "local", "--model", "b"])
    expect(direct.stdout).toBe(
      "direct call to local-b\n\ntier 1\n  one attempt\n  asked   local-b  b; timeout 60 s, idle 60 s\n"
    )
    const colored = yield* run(["--config", root], { isTerminal: true })
    expect(colored.stdout).toContain("\u001b[32masked\u001b[39m   local-a")
  })
)

it.live("nobody is asked, so there is no worst case", () =>
  Effect.gen(function* () {
    const root = yield* folder(small)
    const args = ["--config", root, "--pool", "pool", "--needs", "images"]
    const { code, stdout } = yield* run(args)
    expect([code, stdout.includes("asked ")]).toEqual([0, false])
    expect(stdout.split("\n").slice(-3)).toEqual(["", "worst case: none, for nobody would be asked", ""])
    expect(stdout).not.toContain("$")
    expect(JSON.parse((yield* run([...args, "--json"])).stdout).worstCase).toBeNull()
    const large = yield* run(["--config", root, "--group", "chat.echelon2", "--tokens", "3000"])
    expect(large.stdout).toContain("worst case: none")
  })
)

it.live("a list that a variable states is shown as a list", () =>
  Effect.gen(function* () {
    const root = yield* folder(small)
    const variables = { ECHELON__LLMS__GROUPS__CHAT__ECHELON1__MODELS: '["local-b", "local-a"]' }
    const { stdout } = yield* run(["llms.groups.chat.echelon1.models", "--config", root], { variables })
    expect(stdout.split("\n").slice(0, 2)).toEqual([
      'llms.groups.chat.echelon1.models = ["local-b", "local-a"]',
      "  set by     $ECHELON__LLMS__GROUPS__CHAT__ECHELON1__MODELS"
    ])
  })
)

it.live("--json has the same as data", () =>
  Effect.gen(function* () {
    const root = yield* folder(small)
    const args = ["--config", root, "--wrapper", "front", "--needs", "tools", "--json", "--mermaid"]
    const { stdout } = yield* run(args)
    const found = JSON.parse(stdout)
    expect(found).toMatchObject({
      target: { kind: "wrapper", name: "front" },
      by: "request",
      through: { kind: "pool", name: "pool" },
      wrapper: { name: "front", requestTimeoutMs: 8_000, maxConcurrentRequests: null, queueSize: 0 },
      deadlineMs: 8_000,
      maxTiers: null,
      maxTotalAttempts: null,
      outside: [],
      worstCase: { attempts: 3, timeMs: 8_000 }
    })
    expect(found.mermaid).toContain("flowchart LR")
    expect(found.values).toBeUndefined()
    expect(found.tiers[0]).toMatchObject({ echelons: ["chat.echelon1"], order: "turns", maxRetries: 1, shareMs: 4_000 })
    expect(found.tiers[0].members[0]).toMatchObject({ instance: "local-a", verdict: "asked", reasons: [], model: "a" })
    expect(found.tiers[0].members[0].clocks).toEqual({
      timeoutMs: 10_000,
      ttftTimeoutMs: null,
      idleTimeoutMs: 60_000,
      streamTimeoutMs: null,
      consumerIdleTimeoutMs: 300_000
    })
    expect(found.tiers[0].members[2]).toMatchObject({
      instance: "other-c",
      provider: "other",
      verdict: "passed_over",
      reasons: [{ reason: "NoCredential", variable: "OTHER_KEY", message: "no credential: set OTHER_KEY" }]
    })
  })
)

it("whom health has put out is told in both forms", () => {
  const provider = Plans.provider({ name: "local", kind: "ollama" })
  const plan = Plans.root({
    instances: ["a", "b"].map((name) =>
      Plans.instance({ name, provider, alias: name, model: Plans.model({ model: name }) })
    ),
    groups: [Plans.group("chat", [Plans.echelon("chat", 1, ["a", "b"])])]
  })
  const instances = ["a", "b"].map(
    (name): Control.InstanceSnapshot => ({
      name,
      provider: "local",
      model: name,
      isDrained: false,
      isPinned: false,
      inFlight: 0,
      coolingUntil: undefined,
      isUnhealthy: name === "a",
      stats: InstanceStats.empty,
      limits: [],
      breakers: []
    })
  )
  const snapshot = { at: 0, phase: "open", requests: 0, instances, echelons: [], pools: [], wrappers: [] } as const
  const found = Result.getOrThrow(CoreExplain.of(plan, { metadata: { groupName: "chat" }, snapshot }))
  expect(ExplainText.lines(found, plan, undefined, (line) => line)).toContain(
    "  passed  a  unhealthy, and a healthy one can be asked"
  )
  expect(ExplainJson.of(found).tiers[0]?.members[1]).toMatchObject({
    instance: "a",
    verdict: "passed_over",
    reasons: [{ reason: "Unhealthy", message: "unhealthy, and a healthy one can be asked" }]
  })
})

it.live("--values adds every value that is involved with where it comes from, and no secret", () =>
  Effect.gen(function* () {
    const root = yield* folder(small)
    const variables = { OTHER_KEY: "sk-of-the-variable", ECHELON__LLMS__GROUPS__CHAT__ECHELON2__MAX_RETRIES: "0" }
    const { stdout } = yield* run(["--config", root, "--values", "--env", "production"], { variables })
    const words = stdout.replace(/\s+/g, " ")
    for (const told of [
      `values of routing ${root}/global.toml:2:1 default_wrapper = "front"`,
      `[default_config] ${root}/llms/wrappers/front.toml:3:1 pool_name = "pool"`,
      `${root}/environments/production.toml:2:1 timeout = 7, written "\${TIMEOUT:-7}"`,
      "$ECHELON__LLMS__GROUPS__CHAT__ECHELON2__MAX_RETRIES max_retries = 0",
      `${root}/llms/provider/local.toml:3:1 api_key = (not shown)`,
      `[models.c] ${root}/llms/provider/other.toml:4:1 weight = 2`
    ])
      expect(words).toContain(told)
    expect(stdout).toMatch(/^ {2}default +idle_timeout = 60$/m)
    expect(stdout).not.toContain("models.d")
    const json = yield* run(["--config", root, "--values", "--json"], { variables })
    expect(JSON.parse(json.stdout).values).toContainEqual({
      key: "llms.groups.chat.echelon1.timeout",
      value: "10",
      source: "file",
      file: `${root}/llms/groups/chat.toml`,
      line: 3,
      column: 1,
      variable: null
    })
    expect(stdout + json.stdout).not.toMatch(/sk-/)
  })
)

it.live("tells which file set a value, and what that overrides", () =>
  Effect.gen(function* () {
    const root = yield* folder(small)
    const key = "llms.groups.chat.echelon1.timeout"
    const { stdout } = yield* run([key, "--config", root, "--env", "production"], { variables: { TIMEOUT: "6" } })
    expect(stdout).toBe(`${key} = 6, written "\${TIMEOUT:-7}"
  set by     ${root}/environments/production.toml:2:1
  overrides  10 of ${root}/llms/groups/chat.toml:3:1
  default    60
  how long an attempt may take until commit (seconds)
`)
    const json = yield* run([key, "--config", root, "--json"], {
      variables: { ECHELON__LLMS__GROUPS__CHAT__ECHELON1__TIMEOUT: "5" }
    })
    const found = JSON.parse(json.stdout)
    expect(found.value).toMatchObject({
      key,
      value: "5",
      source: "variable",
      variable: expect.stringContaining("ECHELON__")
    })
    expect(found.overrides.map(({ source, value }: { source: string; value: string }) => [source, value])).toEqual([
      ["file", "10"],
      ["default", "60"]
    ])
    expect(found.unit).toBe("seconds")
    const unset = yield* run(["llms.groups.chat.echelon1.temperature", "--config", root])
    expect(unset.stdout).toContain("llms.groups.chat.echelon1.temperature is not set and has no default\n")
    const absent = yield* run(["shutdown.shutdown_grace", "--config", root])
    expect(absent.stdout).toContain("shutdown.shutdown_grace = 30\n  default  nothing sets it\n")
    const table = yield* run(["llms.wrappers.front.performance", "--config", root])
    expect(table.stdout).toContain("request_timeout = 8\n")
    expect(table.stdout).toMatch(/default +queue_size = 0\n/)
  })
)

it.live("explains a value of a tree that has errors, and tells the errors", () =>
  Effect.gen(function* () {
    const broken = {
      ...small,
      "llms/groups/odd.toml": "[echelon1",
      "llms/polling_pools/pool.toml": "task_groups = 3\n"
    }
    const root = yield* folder(broken)
    const found = yield* run(["llms.groups.chat.echelon1.timeout", "--config", root])
    expect([found.code, found.stdout.split("\n")[0]]).toEqual([0, "llms.groups.chat.echelon1.timeout = 10"])
    expect(found.stderr).toContain("odd.toml:1:2 error llms.groups.odd: broken TOML")
    const whole = yield* run(["--config", root])
    expect([whole.code, whole.stdout]).toEqual([1, ""])
    expect(whole.stderr).toContain("llms.polling_pools.pool.task_groups: expected")
  })
)

it.live("--mermaid prints a diagram: of the target, or of all", () =>
  Effect.gen(function* () {
    const root = yield* folder(small)
    const all = yield* run(["--config", root, "--mermaid"])
    expect(all.stdout).toMatch(/^flowchart LR\n {2}w1\["front/)
    const pool = yield* run(["--config", root, "--mermaid", "--pool", "pool"])
    expect(pool.stdout).toMatch(/^flowchart LR\n {2}p1\(\["pool/)
  })
)

it.live("what is wrong is told with the nearest name, and by the exit code", () =>
  Effect.gen(function* () {
    const root = yield* folder(small)
    const table: ReadonlyArray<readonly [ReadonlyArray<string>, 1 | 2, string]> = [
      [["--pool", "pol"], 1, 'there is no pool "pol"; did you mean "pool"'],
      [["--provider", "opnai", "--model", "x"], 1, 'no provider is called "opnai"; did you mean "openai"?'],
      [["--provider", "groq"], 1, 'no file describes the provider "groq", so there is no default model; ask for one'],
      [["--provider", "local", "--model", "x"], 1, 'there is no model "x"'],
      [["llms.groups.chat.echelon1.timout"], 1, 'did you mean "timeout"?'],
      [["--pool", "pool", "--wrapper", "front"], 2, "--wrapper and --pool exclude each other"],
      [["--pool", "pool", "--model", "x"], 2, "--model goes with --provider, not with --pool"],
      [["--needs", "tools,wings"], 2, 'there is no capability "wings"'],
      [["llms", "--pool", "pool", "--values"], 2, "a key is explained alone, without --pool and --values"],
      [["--mermaid", "--values"], 2, "--mermaid prints a diagram alone"]
    ]
    for (const [args, exitCode, message] of table) {
      const { code, stderr, stdout } = yield* run(["--config", root, ...args])
      expect([args, code, stdout]).toEqual([args, exitCode, ""])
      expect(stderr).toContain(message)
    }
    const json = yield* run(["--config", root, "--pool", "pol", "--json"])
    expect([json.code, JSON.parse(json.stdout).error.reason]).toEqual([1, "UnknownTarget"])
    const nowhere = yield* run(["llms", "--config", join(root, "nowhere")])
    expect([nowhere.code, nowhere.stderr]).toEqual([1, expect.stringContaining("there is no such folder")])
    const groq = yield* run(["--config", root, "--provider", "groq", "--model", "x"])
    expect(groq.code).toBe(0)
    expect(groq.stderr).toContain('no file describes the provider "groq"')
  })
)

it.live("every target of the shipped tree is explained within 80 columns", () =>
  Effect.gen(function* () {
    for (const target of [
      "--wrapper=pool_wrapper",
      "--wrapper=task_group_wrapper",
      "--pool=thinking_pool",
      "--group=review_group"
    ]) {
      const { code, stdout } = yield* run(["--config", shipped, "--env", "embedded", target])
      expect(code).toBe(0)
      expect(stdout.split("\n").filter((line) => line.length > 80)).toEqual([])
      expect(stdout).toContain("worst case")
    }
  })
)
