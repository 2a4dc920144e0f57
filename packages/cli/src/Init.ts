/**
 * `echelon init`: a commented tree to start from.
 *
 * @since 0.1.0
 */
import type * as Starter from "@echelon/config/Starter"
import * as Nearest from "@echelon/core/Nearest"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
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
  /** The folder. */
  readonly dir: string
  /** Names of providers; OpenAI and Anthropic when there are none. */
  readonly providers: ReadonlyArray<string>
  /** Whether files that are there are overwritten. */
  readonly force: boolean
  readonly json: boolean
}

/** Loaded when it is used, so that `--help` need not wait for it. */
const modules = Effect.promise(async () => {
  const [Starter, ProviderTable] = await Promise.all([
    import("@echelon/config/Starter"),
    import("@echelon/providers/ProviderTable")
  ])
  return { Starter, kinds: ProviderTable.kinds }
})

const fail = Effect.fnUntraced(function* (message: string, exitCode: 1 | 2) {
  const output = yield* Output
  yield* output.diagnose(`error: ${message}`)
  return yield* new Failure.Failure({ exitCode })
})

/** A folder as a shell takes it for one word. */
const quoted = (dir: string): string => (/^[\w./-]+$/.test(dir) ? dir : `'${dir.replaceAll("'", "'\\''")}'`)

/**
 * The two commands that come next.
 *
 * @since 0.1.0
 * @category getters
 */
export const next = (dir: string): readonly [check: string, ask: string] => [
  `echelon check ${quoted(dir)}`,
  `echelon ask --config ${quoted(dir)} "Why is the sky blue?"`
]

const variablesOf = (providers: ReadonlyArray<Starter.Provider>): ReadonlyArray<string> =>
  providers.flatMap(({ variable }) => variable ?? [])

/** Whether there is a folder, or nothing yet where one can be made. What cannot be told is left to the writing. */
const fileInTheWay = Effect.fnUntraced(function* (dir: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  for (let at = dir; ; at = path.dirname(at)) {
    const info = yield* Effect.option(fs.stat(at))
    if (Option.isSome(info)) return info.value.type === "Directory" ? undefined : at
    if (path.dirname(at) === at) return undefined
  }
})

const write = Effect.fnUntraced(function* (
  files: Readonly<Record<string, string>>,
  { dir, force }: Pick<Options, "dir" | "force">
) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const inTheWay = yield* fileInTheWay(dir)
  if (inTheWay !== undefined) return yield* fail(`${inTheWay} is a file; choose a folder to write to`, 1)
  const all = Object.entries(files).map(([name, text]) => ({ file: path.join(dir, name), text }))
  const present = yield* Effect.filter(all, ({ file }) => fs.exists(file))
  if (present.length > 0 && !force) {
    const [first] = present
    const more = present.length === 1 ? "" : ` and ${present.length - 1} more`
    return yield* fail(
      `${first?.file}${more} ${present.length === 1 ? "exists" : "exist"} already; choose another folder, or overwrite with --force`,
      1
    )
  }
  yield* WriteFiles.write(all)
  return all.map(({ file }) => file)
})

/**
 * Runs the command. Nothing is written when one of the files is there already.
 *
 * @since 0.1.0
 * @category running
 */
export const run = (
  options: Options
): Effect.Effect<void, Failure.Failure, Output | FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const output = yield* Output
    const { Starter, kinds } = yield* modules
    if (options.dir === "") return yield* fail("the folder's name is empty; name one, or . for this one", 2)
    const names = [...new Set(options.providers)]
    const unknown = names.find((name) => Starter.find(name) === undefined)
    if (unknown !== undefined) {
      const known = Starter.providers.map(({ name }) => name)
      return yield* fail(`unknown provider "${unknown}"; ${Nearest.hint(unknown, known)}`, 2)
    }
    const providers = names.length === 0 ? Starter.defaults : names.flatMap((name) => Starter.find(name) ?? [])
    const written = yield* write(Starter.files(providers, { kinds }), options).pipe(
      Effect.catchTag("PlatformError", (error) => fail(`${WriteFiles.why(error)}; choose another folder`, 1))
    )
    const variables = variablesOf(providers)
    const commands = next(options.dir)
    if (options.json) return yield* output.write(`${JSON.stringify({ files: written, variables, next: commands })}\n`)
    for (const file of written) yield* output.write(`${file}\n`)
    const needsNone = variables.length < providers.length
    yield* output.diagnose(needsNone || variables.length === 0 ? "next:" : `next, with ${variables.join(" or ")} set:`)
    for (const command of commands) yield* output.diagnose(`  ${command}`)
  })

/**
 * The command.
 *
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make(
  "init",
  {
    dir: Argument.String("dir").pipe(
      Argument.withDescription('The folder to write to; "configs" when absent'),
      Argument.withDefault("configs")
    ),
    providers: Flag.String("provider").pipe(
      Flag.withDescription(
        "A provider to start with, more than once for several: openai, anthropic, gemini, bedrock, vertex, deepseek, groq, ollama, ...; openai and anthropic when absent"
      ),
      Flag.atLeast(0)
    ),
    force: Flag.Boolean("force").pipe(
      Flag.withDescription("Overwrite files that are there already"),
      Flag.withDefault(false)
    ),
    json: Flag.Boolean("json").pipe(Flag.withDescription("Print one JSON object"), Flag.withDefault(false))
  },
  run
).pipe(
  Command.withDescription("Write a commented tree to start from; any one of its providers' keys starts it"),
  Command.withExamples([
    { command: "echelon init", description: "Into configs/, for OpenAI and Anthropic" },
    { command: "echelon init my-configs --provider bedrock", description: "For one provider" },
    { command: "echelon init my-configs --provider ollama", description: "Without any key" }
  ])
)
