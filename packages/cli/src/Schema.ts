/**
 * `echelon schema`: JSON Schemas of the files, for editors.
 *
 * @since 0.1.0
 */
import * as Nearest from "@echelon/core/Nearest"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
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
  /** Which one; all when absent. */
  readonly kind: string | undefined
  /** The folder to write to; one schema is printed when absent. */
  readonly out: string | undefined
}

/** Loaded when it is used, so that `--help` need not wait for it. */
const modules = Effect.promise(async () => {
  const [JsonSchema, ProviderTable] = await Promise.all([
    import("@echelon/config/JsonSchema"),
    import("@echelon/providers/ProviderTable")
  ])
  return { JsonSchema, options: { kinds: ProviderTable.kinds } }
})

const fail = Effect.fnUntraced(function* (message: string, exitCode: 1 | 2) {
  const output = yield* Output
  yield* output.diagnose(`error: ${message}`)
  return yield* new Failure.Failure({ exitCode })
})

/** Environments hold what global.toml does. */
const aliases: Readonly<Record<string, string>> = { environment: "global", environments: "global" }

/**
 * Runs the command.
 *
 * @since 0.1.0
 * @category running
 */
export const run = ({
  kind,
  out
}: Options): Effect.Effect<void, Failure.Failure, Output | FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const output = yield* Output
    const { JsonSchema, options } = yield* modules
    const { names } = JsonSchema
    const wanted = kind === undefined ? undefined : Object.hasOwn(aliases, kind) ? aliases[kind] : kind
    const name = names.find((known) => known === wanted)
    if (kind !== undefined && name === undefined)
      return yield* fail(`unknown kind of file "${kind}"; ${Nearest.hint(kind, names)}`, 2)
    if (out === undefined) {
      if (name === undefined)
        return yield* fail(`name a kind of file (${names.join(", ")}), or give --out DIR to write all of them`, 2)
      return yield* output.write(JsonSchema.toText(JsonSchema.make(name, options)))
    }
    const path = yield* Path.Path
    const files = (name === undefined ? names : [name]).map((one) => ({
      file: path.join(out, JsonSchema.fileName(one)),
      text: JsonSchema.toText(JsonSchema.make(one, options))
    }))
    yield* Effect.catchTag(WriteFiles.write(files), "PlatformError", (error) =>
      fail(`${WriteFiles.why(error)}; choose another folder`, 1)
    )
    for (const { file } of files) yield* output.write(`${file}\n`)
  })

/**
 * The command.
 *
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make(
  "schema",
  {
    kind: Argument.String("kind").pipe(
      Argument.withDescription("provider, group, pool, wrapper, global (for environments, too) or fragment"),
      Argument.optional,
      Argument.map(Option.getOrUndefined)
    ),
    out: Flag.String("out").pipe(
      Flag.withDescription("The folder to write to, configs/schemas for example"),
      Flag.optional,
      Flag.map(Option.getOrUndefined)
    )
  },
  run
).pipe(
  Command.withDescription(
    "Print the JSON Schema of a kind of file, or write all of them. Editors find one by the first line of a file: #:schema ../../schemas/group.schema.json"
  ),
  Command.withExamples([
    { command: "echelon schema pool", description: "Print the schema of llms/polling_pools/*.toml" },
    { command: "echelon schema --out configs/schemas", description: "Write all, after an update of Echelon" }
  ])
)
