// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax that is tested
import * as Migrate from "@echelon/cli/Migrate"
import * as Output from "@echelon/cli/Output"
import * as ConfigManagement from "@echelon/config/ConfigManagement"
import * as Problem from "@echelon/config/Problem"
import * as Catalogue from "@echelon/core/Catalogue"
import * as CatalogueLive from "@echelon/providers/CatalogueLive"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { expect, it } from "@effect/vitest"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"

const echelon = Command.make("echelon").pipe(Command.withSubcommands([Migrate.command]))

/** Runs the command line, and gives what it wrote and how it ended. */
const run = (...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const out: Array<string> = []
    const err: Array<string> = []
    const output = Output.Output.of({
      write: (text) => Effect.sync(() => void out.push(text)),
      diagnose: (line) => Effect.sync(() => void err.push(line)),
      isTerminal: false,
      columns: () => 100
    })
    const code = yield* Command.runWith(echelon, { version: "0" })(["migrate", ...args]).pipe(
      Effect.as(0),
      Effect.catchTag("Failure", (failure) => Effect.succeed(failure.exitCode)),
      // Main gives every wrong use of the command line this code.
      Effect.catchTag("ShowHelp", () => Effect.succeed(2)),
      Effect.provideService(Output.Output, output)
    )
    return { code, out: out.join(""), err }
  })

/** A folder with these files, which goes away with the test. */
const folder = Effect.fnUntraced(function* (files: Readonly<Record<string, string>>) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const root = yield* fs.makeTempDirectoryScoped({ prefix: "echelon-migrate-" })
  for (const [name, text] of Object.entries(files)) {
    yield* fs.makeDirectory(path.dirname(path.join(root, name)), { recursive: true })
    yield* fs.writeFileString(path.join(root, name), text)
  }
  return { root, at: (name: string) => path.join(root, name) }
})

const liteLlm = `model_list:
  - model_name: fast
    litellm_params: { model: openai/gpt-4o, api_key: sk-secret }
router_settings:
  redis_password: redis-secret
`

const check = (dir: string) =>
  Effect.map(
    ConfigManagement.check({ config: dir, variables: { OPENAI_API_KEY: "sk-1" } }).pipe(
      Effect.provideService(Catalogue.Catalogue, CatalogueLive.catalogue)
    ),
    (problems) => problems.map(Problem.format)
  )

it.effect("writes a tree that passes the check, and prints the report", () =>
  Effect.gen(function* () {
    const { at } = yield* folder({ "config.yaml": liteLlm })
    const fs = yield* FileSystem.FileSystem
    const { code, err, out } = yield* run(at("config.yaml"), "--out", at("configs"))
    expect([code, err]).toEqual([0, []])
    expect(out.replaceAll(at("config.yaml"), "config.yaml").split("\n")).toEqual([
      "LiteLLM: 4 keys into 4 files",
      "carried over (2):",
      "  config.yaml:2:5 model_list[0].model_name -> llms/groups/fast_group.toml name, llms/groups/fast_group.toml echelon1.models and 2 more",
      "  config.yaml:3:5 model_list[0].litellm_params.model -> llms/provider/openai.toml models.gpt-4o.model",
      "approximated (1):",
      "  config.yaml:3:5 model_list[0].litellm_params.api_key -> llms/provider/openai.toml api_key: the secret was not copied",
      "could not be carried over (1):",
      "  config.yaml:5:3 router_settings.redis_password: limits and state are the process's own here; to do: run one process, or leave room in the limits",
      "variables to set:",
      "  OPENAI_API_KEY -> llms/provider/openai.toml api_key: the value was in the input and was not copied",
      ""
    ])
    expect(yield* check(at("configs"))).toEqual([])
    const written = yield* fs.readDirectory(at("configs"), { recursive: true })
    for (const name of written.filter((name) => name.endsWith(".toml"))) {
      expect(yield* fs.readFileString(at(`configs/${name}`))).not.toContain("secret-")
      expect(yield* fs.readFileString(at(`configs/${name}`))).not.toContain("sk-secret")
    }
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("prints the files in the order of their paths, with the report beside, when there is no folder", () =>
  Effect.gen(function* () {
    const { at } = yield* folder({ "config.yaml": liteLlm })
    const { code, err, out } = yield* run(at("config.yaml"))
    expect(code).toBe(0)
    expect(out.split("\n").filter((line) => line.startsWith("# ----"))).toEqual([
      "# ---- global.toml",
      "# ---- llms/groups/fast_group.toml",
      "# ---- llms/polling_pools/fast.toml",
      "# ---- llms/provider/openai.toml"
    ])
    expect(out).toContain('[models.gpt-4o]\nmodel = "gpt-4o" # model_list[0].litellm_params.model\n')
    expect(err[0]).toBe("LiteLLM: 4 keys into 4 files")
    expect(out + err.join("\n")).not.toMatch(/sk-secret|redis-secret/)
    expect((yield* run(at("config.yaml"))).out).toBe(out)
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("--json prints one object, with every key in one list", () =>
  Effect.gen(function* () {
    const { at } = yield* folder({ "config.yaml": liteLlm })
    const { code, err, out } = yield* run(at("config.yaml"), "--json")
    expect([code, err]).toEqual([0, []])
    const told = JSON.parse(out)
    expect(told).toMatchObject({
      kind: "litellm",
      current: false,
      out: null,
      carried: [{ key: "model_list[0].model_name" }, { key: "model_list[0].litellm_params.model", line: 3, column: 5 }],
      approximated: [{ key: "model_list[0].litellm_params.api_key", note: "the secret was not copied", todo: null }],
      lost: [{ key: "router_settings.redis_password", to: [] }],
      variables: [{ name: "OPENAI_API_KEY", for: ["llms/provider/openai.toml api_key"], stated: true }],
      problems: []
    })
    expect(Object.keys(told.files)).toHaveLength(4)
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("a folder with files is left alone, unless --force says otherwise", () =>
  Effect.gen(function* () {
    const { at } = yield* folder({
      "config.yaml": liteLlm,
      "configs/mine.toml": "a = 1",
      "configs/global.toml": "b = 1"
    })
    const fs = yield* FileSystem.FileSystem
    const refused = yield* run(at("config.yaml"), "--out", at("configs"))
    expect([refused.code, refused.out, refused.err]).toEqual([
      1,
      "",
      [`error: ${at("configs")} is not empty; choose another folder, or write into it with --force`]
    ])
    expect(yield* fs.readFileString(at("configs/global.toml"))).toBe("b = 1")
    expect((yield* run(at("config.yaml"), "--out", at("configs"), "--force")).code).toBe(0)
    expect(yield* fs.readFileString(at("configs/global.toml"))).toContain('default_pool = "fast"')
    expect(yield* fs.readFileString(at("configs/mine.toml"))).toBe("a = 1")
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("a folder of older files is read whole; a current one is left as it is", () =>
  Effect.gen(function* () {
    const older = yield* folder({
      "llms/provider/openai.toml": 'type = "openai"\napiKey = "${OPENAI_API_KEY}"\n[models.gpt4]\nmodel = "gpt-4"',
      "llms/groups/fast.toml": '[tier1]\ninstances = ["openai-gpt4"]'
    })
    const first = yield* run(older.root, "--out", older.at("new"))
    expect([first.code, first.err]).toEqual([0, []])
    expect(first.out).toContain("llms/groups/fast.toml:2:1 tier1.instances -> llms/groups/fast.toml echelon1.models")
    expect(yield* check(older.at("new"))).toEqual([])
    const fs = yield* FileSystem.FileSystem
    const second = yield* run(older.at("new"), "--out", older.at("again"))
    const said = "the configuration is current; nothing was changed\n"
    expect([second.code, second.out]).toEqual([0, `${said}copied as they are: 2 files\n`])
    for (const name of ["llms/provider/openai.toml", "llms/groups/fast.toml"]) {
      expect(yield* fs.readFileString(older.at(`again/${name}`))).toBe(
        yield* fs.readFileString(older.at(`new/${name}`))
      )
    }
    const third = yield* run(older.at("new"))
    expect([third.code, third.out]).toEqual([0, said])
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("what cannot be read is told with its place, and ends with 1", () =>
  Effect.gen(function* () {
    const { at, root } = yield* folder({
      "a.yaml": "a: 1\nb: [1, 2\n",
      "b.json": '{"a": "sk-secret}',
      "c.toml": "a = 1\na = 2",
      "big.yaml": `a: "${"x".repeat(1_048_576)}"`,
      "empty/readme.md": "none",
      "d.json": '{"targets": []}'
    })
    const fs = yield* FileSystem.FileSystem
    yield* fs.writeFile(at("latin.yaml"), new Uint8Array([0x61, 0x3a, 0x20, 0xe9]))
    const told = yield* run(at("none.yaml"), at("big.yaml"), at("latin.yaml"), at("empty"))
    expect([told.code, told.out]).toEqual([1, ""])
    expect(told.err.map((line) => line.replaceAll(`${root}/`, ""))).toEqual([
      "none.yaml:1:1 error file: there is no such file",
      "big.yaml:1:1 error file: the file has 1048581 bytes; at most 1048576 (1 MiB) are read",
      "latin.yaml:1:1 error file: the file is not UTF-8",
      "empty:1:1 error config: the folder holds no TOML file"
    ])
    const broken = yield* run(at("a.yaml"), at("b.json"), at("c.toml"), "--json")
    expect([broken.code, broken.err]).toEqual([1, []])
    expect(JSON.parse(broken.out.replaceAll(`${root}/`, ""))).toEqual({
      error: {
        problems: [
          "a.yaml:2:1 error file: broken YAML: expected ','",
          "b.json:1:7 error file: broken JSON: a text is not closed",
          expect.stringMatching(/^c\.toml:2:\d error file: broken TOML: /)
        ]
      }
    })
    const nothing = yield* run(at("d.json"))
    expect([nothing.code, nothing.err.at(-1)]).toEqual([1, "error: nothing could be carried over"])
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("a result that would not pass the check is written, told, and ends with 1", () =>
  Effect.gen(function* () {
    const { at } = yield* folder({ "g.toml": '[tier1]\nmodels = ["openai-gpt4"]' })
    const { code, out } = yield* run(at("g.toml"), "--out", at("new"))
    expect(code).toBe(1)
    expect(out).toContain(
      'still to mend:\n  llms/groups/g.toml:4:11 error llms.groups.g.echelon1.models[0]: unknown instance "openai-gpt4"; none is configured\n'
    )
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("a current tree that would not pass the check is copied, told, and ends with 1", () =>
  Effect.gen(function* () {
    const { at } = yield* folder({ "old/llms/groups/g.toml": '[echelon1]\nmodels = ["openai-gpt4"]' })
    const { code, out } = yield* run(at("old"), "--out", at("new"))
    expect(code).toBe(1)
    expect(out.split("\n")).toEqual([
      "no key has to change",
      "still to mend:",
      '  llms/groups/g.toml:2:11 error llms.groups.g.echelon1.models[0]: unknown instance "openai-gpt4"; none is configured',
      "copied as it is: 1 file",
      ""
    ])
    const fs = yield* FileSystem.FileSystem
    expect(yield* fs.exists(at("new/llms/groups/g.toml"))).toBe(true)
    expect((yield* run(at("old"), "--json")).code).toBe(1)
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("a provider in a flat folder is written where it belongs", () =>
  Effect.gen(function* () {
    const { at } = yield* folder({ "old/openai.toml": 'type = "openai"\napi_key = "${OPENAI_API_KEY}"\n[models.gpt4]' })
    const { code, out } = yield* run(at("old"), "--out", at("new"))
    expect([code, out.split("\n")[0]]).toEqual([0, "an older configuration: 3 keys into 1 file"])
    expect(yield* check(at("new"))).toEqual([])
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("what holds nothing that is known ends with 1, and what was expected is said", () =>
  Effect.gen(function* () {
    const { at } = yield* folder({ "a.json": "{}", "b.toml": "x = 1" })
    for (const [name, why] of [
      ["a.json", "the file holds no keys"],
      ["b.toml", "no key of it is known here"]
    ] as const) {
      const { code, err, out } = yield* run(at(name), "--out", at("new"))
      expect([code, out, err.length]).toEqual([1, "", 1])
      expect(err[0]).toContain(`${name}:1:1 error file: ${why}; expected LiteLLM's model_list, `)
    }
    const fs = yield* FileSystem.FileSystem
    expect(yield* fs.exists(at("new"))).toBe(false)
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("a file of a folder that is not read is told, and the rest is migrated", () =>
  Effect.gen(function* () {
    const { root } = yield* folder({ "llms/groups/G.TOML": "", "llms/provider/a.toml": 'kind = "ollama"\n[models.b]' })
    const { code, err } = yield* run(root)
    expect([code, err[0]]).toEqual([0, expect.stringContaining("G.TOML:1:1 warning llms.groups.G: not read")])
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("wrong use ends with 2", () =>
  Effect.gen(function* () {
    for (const args of [[], ["a.yaml", "--from", "bifrost"], ["a.yaml", "--nonsense"]]) {
      expect([args, (yield* run(...args)).code]).toEqual([args, 2])
    }
  }).pipe(Effect.provide(NodeServices.layer))
)
