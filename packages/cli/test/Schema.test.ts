import * as Output from "@echelon/cli/Output"
import * as Schema from "@echelon/cli/Schema"
import * as JsonSchema from "@echelon/config/JsonSchema"
import * as ProviderTable from "@echelon/providers/ProviderTable"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { expect, it } from "@effect/vitest"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"

const echelon = Command.make("echelon").pipe(Command.withSubcommands([Schema.command]))

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
    return { code, out: out.join(""), err: err.join("\n") }
  })

const kinds = { kinds: ProviderTable.kinds }

it.effect("prints the schema of a kind, with the kinds of providers there are", () =>
  Effect.gen(function* () {
    const { code, err, out } = yield* run("schema", "provider")
    expect([code, err]).toEqual([0, ""])
    expect(JSON.parse(out)).toEqual(JsonSchema.make("provider", kinds))
    expect(out).toContain('"azure-openai"')
    expect((yield* run("schema", "environment")).out).toBe((yield* run("schema", "global")).out)
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("writes all, or one, to a folder", () =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const root = yield* fs.makeTempDirectoryScoped({ prefix: "echelon-schema-" })
    const out = path.join(root, "a", "schemas")
    const all = yield* run("schema", "--out", out)
    expect(all.code).toBe(0)
    expect(all.out.trim().split("\n")).toEqual(
      JsonSchema.names.map((name) => path.join(out, JsonSchema.fileName(name)))
    )
    for (const [name, text] of Object.entries(JsonSchema.files(kinds))) {
      expect(yield* fs.readFileString(path.join(out, name))).toBe(text)
    }
    const one = yield* run("schema", "pool", "--out", path.join(root, "b"))
    expect(one.code).toBe(0)
    expect(yield* fs.readDirectory(path.join(root, "b"))).toEqual(["pool.schema.json"])
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("a wrong use says what there is, and ends with 2", () =>
  Effect.gen(function* () {
    expect(yield* run("schema", "pol")).toEqual({
      code: 2,
      out: "",
      err: 'error: unknown kind of file "pol"; did you mean "pool"?'
    })
    expect(yield* run("schema")).toEqual({
      code: 2,
      out: "",
      err: "error: name a kind of file (provider, group, pool, wrapper, global, fragment), or give --out DIR to write all of them"
    })
  }).pipe(Effect.provide(NodeServices.layer))
)

it.effect("a folder that cannot be written is told, and ends with 1", () =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const root = yield* fs.makeTempDirectoryScoped({ prefix: "echelon-schema-" })
    yield* fs.writeFileString(path.join(root, "file"), "")
    const { code, err, out } = yield* run("schema", "--out", path.join(root, "file", "below"))
    expect([code, out]).toEqual([1, ""])
    expect(err).toBe(
      `error: ${path.join(root, "file")} cannot be written: a file, or a link to nothing, is in its place; choose another folder`
    )
  }).pipe(Effect.provide(NodeServices.layer))
)
