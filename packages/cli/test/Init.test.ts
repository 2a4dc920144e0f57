import * as Init from "@echelon/cli/Init"
import * as Output from "@echelon/cli/Output"
import * as ConfigManagement from "@echelon/config/ConfigManagement"
import * as Problem from "@echelon/config/Problem"
import * as Starter from "@echelon/config/Starter"
import * as Catalogue from "@echelon/core/Catalogue"
import { Echelon, Orchestrator } from "@echelon/echelon"
import * as CatalogueLive from "@echelon/providers/CatalogueLive"
import { EmbeddedProviders } from "@echelon/testing"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { expect, it } from "@effect/vitest"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"

const echelon = Command.make("echelon").pipe(Command.withSubcommands([Init.command]))

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
    const code = yield* Command.runWith(echelon, { version: "0" })(args).pipe(
      Effect.as(0),
      Effect.catchTag("Failure", (failure) => Effect.succeed(failure.exitCode)),
      Effect.provideService(Output.Output, output)
    )
    return { code, out: out.join(""), err }
  })

const temporary = Effect.flatMap(FileSystem.FileSystem, (fs) => fs.makeTempDirectoryScoped({ prefix: "echelon-init-" }))

const keysOf = (all: ReadonlyArray<Starter.Provider>): Record<string, string> =>
  Object.fromEntries(all.flatMap(({ variable }) => (variable === undefined ? [] : [[variable, "sk-1"]])))

it.effect("writes the tree, tells the files on standard output and the next two commands beside", () =>
  Effect.gen(function* () {
    const path = yield* Path.Path
    const fs = yield* FileSystem.FileSystem
    const dir = path.join(yield* temporary, "my configs")
    const { code, err, out } = yield* run("init", dir)
    expect(code).toBe(0)
    expect(out.trim().split("\n")).toEqual(Object.keys(Starter.files()).map((name) => path.join(dir, name)))
    expect(err).toEqual([
      "next, with OPENAI_API_KEY or ANTHROPIC_API_KEY set:",
      `  echelon check '${dir}'`,
      `  echelon ask --config '${dir}' "Why is the sky blue?"`
    ])
    expect(yield* fs.readFileString(path.join(dir, "global.toml"))).toBe(Starter.files()["global.toml"])
    // The schemas know the kinds of providers.
    expect(yield* fs.readFileString(path.join(dir, "schemas", "provider.schema.json"))).toContain('"lm-studio"')
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect.each(Starter.providers)("--provider $name: check finds nothing with its key set", (provider) =>
  Effect.gen(function* () {
    const path = yield* Path.Path
    const dir = path.join(yield* temporary, "configs")
    expect((yield* run("init", dir, "--provider", provider.name)).code).toBe(0)
    const variables = keysOf([provider])
    for (const env of [undefined, "development"]) {
      const problems = yield* ConfigManagement.check({ config: dir, env, variables })
      expect(problems.map(Problem.format)).toEqual([])
    }
  }).pipe(Effect.provideService(Catalogue.Catalogue, CatalogueLive.catalogue), Effect.provide(NodeServices.layer))
)

it.live("the tree answers with one key set", () =>
  Effect.gen(function* () {
    const path = yield* Path.Path
    const dir = path.join(yield* temporary, "configs")
    yield* run("init", dir)
    const { anthropicUrl, openaiUrl } = yield* EmbeddedProviders.make
    const asked = (variables: Readonly<Record<string, string>>) =>
      Effect.provide(Orchestrator.generate({ prompt: "hi" }), Echelon.layer({ config: dir, variables }))
    const openai = yield* asked({ OPENAI_API_KEY: "k", ECHELON__LLMS__PROVIDER__OPENAI__BASE_URL: openaiUrl })
    expect([openai.instance, openai.model]).toEqual(["openai-large", "gpt-4.1"])
    const anthropic = yield* asked({
      ANTHROPIC_API_KEY: "k",
      ECHELON__LLMS__PROVIDER__ANTHROPIC__BASE_URL: anthropicUrl
    })
    expect(anthropic.instance).toBe("anthropic-large")
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("does not overwrite, and writes nothing at all, unless it is forced to", () =>
  Effect.gen(function* () {
    const path = yield* Path.Path
    const fs = yield* FileSystem.FileSystem
    const dir = yield* temporary
    const mine = path.join(dir, "global.toml")
    yield* fs.writeFileString(mine, "# mine")
    expect(yield* run("init", dir)).toEqual({
      code: 1,
      out: "",
      err: [`error: ${mine} exists already; choose another folder, or overwrite with --force`]
    })
    expect(yield* fs.readDirectory(dir)).toEqual(["global.toml"])
    expect(yield* fs.readFileString(mine)).toBe("# mine")
    expect((yield* run("init", dir, "--force")).code).toBe(0)
    expect(yield* fs.readFileString(mine)).toBe(Starter.files()["global.toml"])
    const count = Object.keys(Starter.files()).length
    expect((yield* run("init", dir)).err).toEqual([
      `error: ${mine} and ${count - 1} more exist already; choose another folder, or overwrite with --force`
    ])
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("several providers, each once; --json tells the same for programs", () =>
  Effect.gen(function* () {
    const path = yield* Path.Path
    const dir = path.join(yield* temporary, "configs")
    const names = ["groq", "ollama", "groq"].flatMap((name) => ["--provider", name])
    const { code, err, out } = yield* run("init", dir, ...names, "--json")
    expect([code, err]).toEqual([0, []])
    const told = JSON.parse(out)
    expect(told.files).toContain(path.join(dir, "llms/provider/groq.toml"))
    expect(told.files).toContain(path.join(dir, "llms/provider/ollama.toml"))
    expect(told.files).not.toContain(path.join(dir, "llms/provider/openai.toml"))
    expect(told.variables).toEqual(["GROQ_API_KEY"])
    expect(told.next).toEqual([`echelon check ${dir}`, `echelon ask --config ${dir} "Why is the sky blue?"`])
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("an unknown provider is a wrong use, told with the nearest", () =>
  Effect.gen(function* () {
    const path = yield* Path.Path
    const fs = yield* FileSystem.FileSystem
    const dir = path.join(yield* temporary, "configs")
    expect(yield* run("init", dir, "--provider", "opnai")).toEqual({
      code: 2,
      out: "",
      err: ['error: unknown provider "opnai"; did you mean "openai"?']
    })
    expect(yield* fs.exists(dir)).toBe(false)
  }).pipe(Effect.provide(NodeServices.layer))
)

it("a folder's name is one word to a shell", () => {
  expect(Init.next("it's")[0]).toBe("echelon check 'it'\\''s'")
  expect(Init.next("configs")[0]).toBe("echelon check configs")
})

it.effect("a file where the folder should be is said in a sentence", () =>
  Effect.gen(function* () {
    const path = yield* Path.Path
    const fs = yield* FileSystem.FileSystem
    const file = path.join(yield* temporary, "file")
    yield* fs.writeFileString(file, "mine")
    const err = [`error: ${file} is a file; choose a folder to write to`]
    expect(yield* run("init", file)).toEqual({ code: 1, out: "", err })
    expect(yield* run("init", path.join(file, "below"))).toEqual({ code: 1, out: "", err })
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("a place that cannot be written is told at once, with why", () =>
  Effect.gen(function* () {
    const path = yield* Path.Path
    const fs = yield* FileSystem.FileSystem
    const root = yield* temporary
    yield* fs.makeDirectory(path.join(root, "taken", "global.toml"), { recursive: true })
    yield* fs.symlink(path.join(root, "loop"), path.join(root, "loop"))
    yield* fs.symlink(path.join(root, "nowhere"), path.join(root, "dangling"))
    const long = "a".repeat(300)
    for (const [dir, args, why] of [
      ["taken", ["--force"], "taken/global.toml cannot be written: it is a folder"],
      ["loop", [], "loop/global.toml cannot be written: symbolic links lead in a circle"],
      ["dangling", [], "dangling cannot be written: a file, or a link to nothing, is in its place"],
      [long, [], `${long}/global.toml cannot be written: the name is too long`]
    ] as const) {
      expect(yield* run("init", path.join(root, dir), ...args)).toEqual({
        code: 1,
        out: "",
        err: [`error: ${path.join(root, why)}; choose another folder`]
      })
    }
    expect(yield* run("init", "")).toEqual({
      code: 2,
      out: "",
      err: ["error: the folder's name is empty; name one, or . for this one"]
    })
  }).pipe(Effect.provide(NodeServices.layer))
)

it.live("below /proc, where a recursive mkdir never ends, too", () =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    if (!(yield* fs.exists("/proc/self"))) return void process.stdout.write("there is no /proc here: not run\n")
    const why = "/proc/nope cannot be written: it cannot be made there; choose another folder"
    expect(yield* Effect.timeoutOption(run("init", "/proc/nope"), "5 seconds")).toEqual(
      Option.some({ code: 1, out: "", err: [`error: ${why}`] })
    )
  }).pipe(Effect.provide(NodeServices.layer))
)
