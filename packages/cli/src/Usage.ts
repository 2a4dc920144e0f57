/**
 * `echelon usage`: what was used and what it cost, read from the store that the configuration names.
 *
 * @since 0.1.0
 */
import * as UsageRecord from "@echelon/core/UsageRecord"
import * as Clock from "effect/Clock"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import * as Result from "effect/Result"
import * as EmbeddedVariables from "./EmbeddedVariables.ts"
import * as Failure from "./Failure.ts"
import { Output } from "./Output.ts"

/**
 * What the command line says.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly config: string
  readonly env: string | undefined
  /** Between commas. */
  readonly by: string
  readonly from: string | undefined
  readonly to: string | undefined
  readonly csv: boolean
  readonly json: boolean
}

/** Loaded when it is used, so that `--help` need not wait for it. */
const modules = Effect.promise(async () => {
  const [ConfigError, ConfigTree, Decode, GlobalFile, Problem, Resolve, Tree, UsageSection, Variables] =
    await Promise.all([
      import("@echelon/config/ConfigError"),
      import("@echelon/config/ConfigTree"),
      import("@echelon/config/Decode"),
      import("@echelon/config/GlobalFile"),
      import("@echelon/config/Problem"),
      import("@echelon/config/Resolve"),
      import("@echelon/config/Tree"),
      import("@echelon/config/UsageSection"),
      import("@echelon/config/Variables")
    ])
  const [UsageCalendar, UsageLedger, UsageStore, Table] = await Promise.all([
    import("@echelon/core/UsageCalendar"),
    import("@echelon/core/UsageLedger"),
    import("@echelon/operations/UsageStore"),
    import("./UsageTable.ts")
  ])
  const config = { ConfigError, ConfigTree, Decode, GlobalFile, Problem, Resolve, Tree, UsageSection, Variables }
  return { ...config, UsageCalendar, UsageLedger, UsageStore, Table }
})

const wrongUse = Effect.fnUntraced(function* (message: string) {
  const output = yield* Output
  yield* output.diagnose(`error: ${message}`)
  return yield* new Failure.Failure({ exitCode: 2 })
})

/** The settings alone: the rest of the tree may have errors, and no credential is needed. */
const settingsOf = Effect.fnUntraced(function* ({ config, env }: Options) {
  const { ConfigError, ConfigTree, Decode, GlobalFile, Problem, Resolve, Tree, UsageSection, Variables } =
    yield* modules
  const folder = yield* ConfigTree.read(config)
  if (Object.keys(folder.files).length === 0) return yield* Effect.fail(ConfigError.make(folder.problems))
  const variables = EmbeddedVariables.withStandIns(env, yield* yield* Variables.Variables)
  const resolved = Resolve.resolve({
    root: folder.root,
    files: folder.files,
    unreadable: folder.unreadable,
    env,
    variables
  })
  const outer = Decode.decode(GlobalFile.GlobalFile, Tree.without(resolved.tree, ["llms"]), [])
  const own = resolved.problems.filter((one) => Problem.isError(one) && /^usage\b/.test(one.key))
  const problems = [...own, ...(Result.isFailure(outer) && own.length === 0 ? outer.failure : [])]
  if (Result.isFailure(outer) || problems.length > 0)
    return yield* Effect.fail(ConfigError.make(Problem.sort(problems)))
  return UsageSection.toPlan(outer.success.usage)
})

/** The groupings that were written, or the first text that is none. */
const groupingsOf = (text: string): Result.Result<ReadonlyArray<UsageRecord.Grouping>, string> => {
  const found: Array<UsageRecord.Grouping> = []
  for (const word of text.split(",").map((one) => one.trim())) {
    if (word === "") continue
    const grouping = UsageRecord.groupings.find((one) => one === word)
    if (grouping === undefined)
      return Result.fail(`--by: there is no "${word}"; known: ${UsageRecord.groupings.join(", ")}`)
    if (!found.includes(grouping)) found.push(grouping)
  }
  return Result.succeed(found)
}

const isDay = (text: string): boolean =>
  /^\d{4}-\d{2}-\d{2}$/.test(text) && new Date(`${text}T00:00:00Z`).toJSON()?.slice(0, 10) === text

/** What contradicts itself on the command line. */
const misuse = ({ csv, from, json, to }: Options): string | undefined => {
  if (csv && json) return "--csv and --json exclude each other; give one of them"
  for (const [flag, day] of Object.entries({ from, to }))
    if (day !== undefined && !isDay(day)) return `--${flag}: "${day}" is no day; write it as 2026-03-31`
  return from !== undefined && to !== undefined && from > to ? `--from ${from} is after --to ${to}` : undefined
}

const report = Effect.fnUntraced(function* (options: Options, by: ReadonlyArray<UsageRecord.Grouping>) {
  const output = yield* Output
  const { Table, UsageCalendar, UsageLedger, UsageStore } = yield* modules
  const settings = yield* settingsOf(options)
  if (!settings.enabled || settings.store === "memory") {
    const why = settings.enabled
      ? 'is kept in memory, and gone with the process ([usage] store = "memory")'
      : "is not accounted for ([usage] enabled = false)"
    const message = `usage ${why}; set [usage] store = "sqlite" or "postgres"`
    if (options.json) yield* output.write(`${JSON.stringify({ error: { reason: "NoStore", message } })}\n`)
    else yield* output.diagnose(`error: ${message}`)
    return yield* new Failure.Failure({ exitCode: 1 })
  }
  const calendar = UsageCalendar.make(settings.timeZone)
  const now = yield* Clock.currentTimeMillis
  const to = options.to ?? calendar.of("day", now).day
  const month = calendar.of("month", now).day
  const from = options.from ?? (to < month ? `${to.slice(0, 7)}-01` : month)
  const { interrupted, sums } = yield* Effect.provide(
    Effect.flatMap(UsageLedger.UsageLedger, (ledger) =>
      Effect.all({ sums: ledger.read({ from, to, by }), interrupted: ledger.interrupted })
    ),
    UsageStore.layerLedger(settings, { isReadOnly: true })
  )
  const found = { from, to, by, sums, interrupted }
  if (options.json) return yield* output.write(`${JSON.stringify(Table.json(found))}\n`)
  if (options.csv) yield* output.write(Table.csv(found))
  else if (sums.length > 0) yield* output.write(`${Table.lines(found).join("\n")}\n`)
  if (sums.length === 0) yield* output.diagnose(`nothing was used from ${from} to ${to}`)
  for (const note of Table.notes(found)) yield* output.diagnose(note)
})

/**
 * Runs the command.
 *
 * @since 0.1.0
 * @category running
 */
export const run = (
  options: Options
): Effect.Effect<void, Failure.Failure, Output | FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const wrong = misuse(options)
    if (wrong !== undefined) return yield* wrongUse(wrong)
    const by = groupingsOf(options.by)
    if (Result.isFailure(by)) return yield* wrongUse(by.failure)
    return yield* report(options, by.success)
  }).pipe(
    Effect.catch(
      (error: Failure.Failure | { readonly _tag: "ConfigError" | "UsageLedgerError"; readonly message: string }) =>
        error._tag === "Failure"
          ? Effect.fail(error)
          : Effect.gen(function* () {
              const output = yield* Output
              const { _tag: reason, message } = error
              if (options.json) yield* output.write(`${JSON.stringify({ error: { reason, message } })}\n`)
              else yield* output.diagnose(`error: ${message}`)
              return yield* new Failure.Failure({ exitCode: 1 })
            })
    )
  )

const text = (name: string, description: string) =>
  Flag.String(name).pipe(Flag.withDescription(description), Flag.optional, Flag.map(Option.getOrUndefined))

/**
 * The command.
 *
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make(
  "usage",
  {
    config: Flag.String("config").pipe(Flag.withDescription("The folder of TOML files"), Flag.withDefault("configs")),
    env: text("env", "environments/<name>.toml of the folder"),
    by: Flag.String("by").pipe(
      Flag.withDescription(`What it is summed by, between commas: ${UsageRecord.groupings.join(", ")}`),
      Flag.withDefault("provider,instance")
    ),
    from: text("from", "First day, as 2026-03-01; the first of the month when absent"),
    to: text("to", "Last day; today when absent"),
    csv: Flag.Boolean("csv").pipe(Flag.withDescription("Print CSV, with every count"), Flag.withDefault(false)),
    json: Flag.Boolean("json").pipe(Flag.withDescription("Print one JSON object"), Flag.withDefault(false))
  },
  run
).pipe(
  Command.withDescription("Print what was used and what it cost, from the store that [usage] names"),
  Command.withExamples([
    { command: "echelon usage", description: "This month, by provider and instance" },
    {
      command: "echelon usage --by tenant,month --from 2026-01-01",
      description: "What each tenant spent, month by month"
    },
    { command: "echelon usage --by day,tenant,model --csv > usage.csv", description: "For a spreadsheet" }
  ])
)
