/**
 * `echelon migrate`: older and foreign configurations into a tree of ours, with what could not be carried over.
 *
 * @since 0.1.0
 */
import type * as Migrate from "@echelon/config/Migrate"
import type * as MigrateSource from "@echelon/config/MigrateSource"
import type * as Problem from "@echelon/config/Problem"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Result from "effect/Result"
import * as Failure from "./Failure.ts"
import { Output } from "./Output.ts"
import * as WriteFiles from "./WriteFiles.ts"

/**
 * What the command line says.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Files, or folders of TOML files. */
  readonly files: ReadonlyArray<string>
  /** Told from the files when absent. */
  readonly from: Migrate.Kind | undefined
  /** The folder to write to; without it the files are printed. */
  readonly out: string | undefined
  /** Whether the folder may hold files already. */
  readonly force: boolean
  readonly json: boolean
}

/** Loaded when it is used, so that `--help` need not wait for it. */
const modules = Effect.promise(async () => {
  const [Migrate, MigrateReport, ConfigTree, Origin, Problem, providers] = await Promise.all([
    import("@echelon/config/Migrate"),
    import("@echelon/config/MigrateReport"),
    import("@echelon/config/ConfigTree"),
    import("@echelon/config/Origin"),
    import("@echelon/config/Problem"),
    import("@echelon/providers/CatalogueLive")
  ])
  return { Migrate, MigrateReport, ConfigTree, Origin, Problem, catalogue: providers.catalogue }
})

const maxBytes = 1_048_576

const decode = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes)
  } catch {
    // The decoder says that a text is not UTF-8 only by throwing.
    return undefined
  }
}

interface Read {
  readonly inputs: ReadonlyArray<MigrateSource.Input>
  readonly problems: ReadonlyArray<Problem.Problem>
}

/** Reads a file, or all TOML files of a folder with their places in it. */
const read = Effect.fnUntraced(function* (file: string) {
  const { ConfigTree, Origin, Problem } = yield* modules
  const fs = yield* FileSystem.FileSystem
  const refuse = (code: Problem.Code, message: string): Read => ({
    inputs: [],
    problems: [Problem.error(code, Origin.file(file), "file", message)]
  })
  return yield* Effect.gen(function* () {
    const info = yield* fs.stat(file)
    if (info.type === "Directory") {
      const { files, problems, root } = yield* ConfigTree.read(file)
      const inputs = Object.entries(files).map(([place, text]) => ({ file: `${root}/${place}`, place, text }))
      return { inputs, problems } satisfies Read
    }
    if (info.size > BigInt(maxBytes)) {
      return refuse("size", `the file has ${info.size} bytes; at most ${maxBytes} (1 MiB) are read`)
    }
    const text = decode(yield* fs.readFile(file))
    return text === undefined
      ? refuse("encoding", "the file is not UTF-8")
      : ({ inputs: [{ file, text }], problems: [] } satisfies Read)
  }).pipe(
    Effect.catchTag("PlatformError", (error) => {
      const missing = error.reason._tag === "NotFound"
      const why = missing ? "there is no such file" : `the file cannot be read: ${error.reason._tag}`
      return Effect.succeed(refuse("unreadable", why))
    })
  )
})

const tellProblems = Effect.fnUntraced(function* (problems: ReadonlyArray<Problem.Problem>, json: boolean) {
  const { Problem } = yield* modules
  const output = yield* Output
  if (json) {
    yield* output.write(`${JSON.stringify({ error: { problems: problems.map(Problem.format) } })}\n`)
  } else for (const problem of problems) yield* output.diagnose(Problem.render(problem))
  return yield* new Failure.Failure({ exitCode: 1 })
})

/** Puts the files into a folder, unless that has files that would be mixed with them. */
const write = Effect.fnUntraced(function* (files: Readonly<Record<string, string>>, dir: string, force: boolean) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const output = yield* Output
  const present = (yield* fs.exists(dir)) ? yield* fs.readDirectory(dir) : []
  if (present.length > 0 && !force) {
    yield* output.diagnose(`error: ${dir} is not empty; choose another folder, or write into it with --force`)
    return yield* new Failure.Failure({ exitCode: 1 })
  }
  yield* WriteFiles.write(Object.entries(files).map(([name, text]) => ({ file: path.join(dir, name), text })))
})

/**
 * Runs the command.
 *
 * **Details** With `out`, the report goes to standard output. Without it the files do, and the report goes beside; files
 * that are current are where they were and are not printed. It fails when a file cannot be read, and, after all was
 * written, when the result would not pass `check`.
 *
 * @since 0.1.0
 * @category running
 */
export const run = (
  options: Options
): Effect.Effect<void, Failure.Failure, Output | FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const output = yield* Output
    const { Migrate, MigrateReport, Problem, catalogue } = yield* modules
    const all = yield* Effect.forEach([...new Set(options.files)], read)
    const found = all.flatMap((one) => one.problems)
    for (const warning of found.filter((one) => !Problem.isError(one))) yield* output.diagnose(Problem.render(warning))
    const problems = found.filter(Problem.isError)
    const migrated = Migrate.migrate(
      all.flatMap((one) => one.inputs),
      { from: options.from, catalogue }
    )
    const failures = [...problems, ...(Result.isFailure(migrated) ? migrated.failure : [])]
    if (failures.length > 0 || Result.isFailure(migrated)) return yield* tellProblems(failures, options.json)
    const migration = migrated.success
    const report = MigrateReport.lines(migration)
    if (options.out !== undefined) {
      yield* write(migration.files, options.out, options.force).pipe(
        Effect.catchTag("PlatformError", (error) =>
          Effect.andThen(
            output.diagnose(`error: ${WriteFiles.why(error)}; choose another folder`),
            new Failure.Failure({ exitCode: 1 })
          )
        )
      )
    }
    if (options.json) {
      yield* output.write(`${JSON.stringify({ ...MigrateReport.json(migration), out: options.out ?? null })}\n`)
    } else if (options.out === undefined && !migration.current) {
      yield* output.write(MigrateReport.listing(migration))
      for (const line of report) yield* output.diagnose(line)
    } else {
      for (const line of report) yield* output.write(`${line}\n`)
      const count = Object.keys(migration.files).length
      if (migration.current && options.out !== undefined) {
        yield* output.write(`copied as ${count === 1 ? "it is" : "they are"}: ${count} file${count === 1 ? "" : "s"}\n`)
      }
    }
    const empty = Object.keys(migration.files).length === 0
    if (empty && !options.json) yield* output.diagnose("error: nothing could be carried over")
    if (empty || migration.problems.length > 0) return yield* new Failure.Failure({ exitCode: 1 })
  })

/**
 * The command.
 *
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make(
  "migrate",
  {
    files: Argument.String("file").pipe(
      Argument.withDescription(
        "LiteLLM's config.yaml, Portkey's config JSON, or older files of this shape; a folder is read whole"
      ),
      Argument.variadic({ min: 1 })
    ),
    from: Flag.Literals("from", ["litellm", "portkey", "older"]).pipe(
      Flag.withDescription("What the files are; told from them when absent"),
      Flag.optional,
      Flag.map(Option.getOrUndefined)
    ),
    out: Flag.String("out").pipe(
      Flag.withDescription("The folder to write to; without it the files are printed"),
      Flag.optional,
      Flag.map(Option.getOrUndefined)
    ),
    force: Flag.Boolean("force").pipe(
      Flag.withDescription("Write into a folder that is not empty"),
      Flag.withDefault(false)
    ),
    json: Flag.Boolean("json").pipe(Flag.withDescription("Print one JSON object"), Flag.withDefault(false))
  },
  run
).pipe(
  Command.withDescription(
    "Turn a LiteLLM, Portkey or older configuration into a tree, and say what became of every key"
  ),
  Command.withExamples([
    { command: "echelon migrate config.yaml --out configs", description: "From LiteLLM" },
    {
      command: "echelon migrate fallback.json balance.json --from portkey",
      description: "Several Portkey configs, printed"
    },
    { command: "echelon migrate old-configs --out configs", description: "A folder of older files" }
  ])
)
