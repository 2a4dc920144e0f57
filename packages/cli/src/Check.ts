/**
 * `echelon check`: everything that is wrong with a configuration, and what one request may cost at most.
 *
 * @since 0.1.0
 */
import type * as Problem from "@echelon/config/Problem"
import type * as WorstCase from "@echelon/config/WorstCase"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
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
  /** The folder. */
  readonly config: string
  readonly env: string | undefined
  readonly format: "text" | "json" | "sarif"
  /** Whether warnings fail, too. */
  readonly strict: boolean
}

/** What was found. Without a plan, because of errors, there is no worst case. */
interface Found {
  readonly problems: ReadonlyArray<Problem.Problem>
  readonly worst: ReadonlyArray<WorstCase.WorstCase> | undefined
}

/** Loaded when it is used, so that `--help` need not wait for it. */
const modules = Effect.promise(async () => {
  const [Check, ConfigManagement, Problem, Sarif, Variables, Wording, WorstCase, providers, core] = await Promise.all([
    import("@echelon/config/Check"),
    import("@echelon/config/ConfigManagement"),
    import("@echelon/config/Problem"),
    import("@echelon/config/Sarif"),
    import("@echelon/config/Variables"),
    import("@echelon/config/Wording"),
    import("@echelon/config/WorstCase"),
    import("@echelon/providers/CatalogueLive"),
    import("@echelon/core/Catalogue")
  ])
  const { catalogue } = providers
  const { Catalogue } = core
  return { Check, ConfigManagement, Problem, Sarif, Variables, Wording, WorstCase, catalogue, Catalogue }
})

const find = Effect.fnUntraced(function* ({ config, env }: Options) {
  const { Catalogue, Check, ConfigManagement, Problem, Variables, WorstCase, catalogue } = yield* modules
  const own = yield* yield* Variables.Variables
  const variables = EmbeddedVariables.withStandIns(env, own)
  const loaded = yield* ConfigManagement.load({ config, env, variables }).pipe(
    Effect.provideService(Catalogue, catalogue),
    Effect.match({
      onFailure: (): Found | undefined => undefined,
      onSuccess: ({ plan, resolved, warnings }): Found | undefined => {
        const problems = Problem.sort([...warnings, ...Check.analyze(plan, resolved)])
        return { problems, worst: problems.some(Problem.isError) ? undefined : WorstCase.all(plan) }
      }
    })
  )
  if (loaded !== undefined) return loaded
  // With errors, what the graph shows all the same is told, too.
  const problems = yield* Effect.provideService(
    ConfigManagement.check({ config, env, variables }),
    Catalogue,
    catalogue
  )
  const found: Found = { problems, worst: undefined }
  return found
})

const count = (value: number, what: string): string => `${value} ${what}${value === 1 ? "" : "s"}`

const summaryOf = (problems: ReadonlyArray<Problem.Problem>) => {
  const errors = problems.filter(({ severity }) => severity === "error").length
  return { errors, warnings: problems.length - errors }
}

/**
 * The JSON form of a problem.
 *
 * @since 0.1.0
 * @category getters
 */
export const problemJson = ({ code, key, message, origin, severity }: Problem.Problem) => ({
  severity,
  code,
  file: origin._tag === "File" ? origin.file : null,
  line: origin._tag === "File" ? origin.line : null,
  column: origin._tag === "File" ? origin.column : null,
  variable: origin._tag === "Variable" ? origin.name : null,
  key,
  message
})

/**
 * The JSON form of a worst case, for `explain` too. Times are milliseconds.
 *
 * @since 0.1.0
 * @category getters
 */
export const worstJson = (worst: WorstCase.WorstCase, formula: WorstCase.Formula) => ({
  target: worst.target,
  attempts: worst.attempts,
  timeMs: worst.time,
  costUsd: worst.cost ?? null,
  requestTimeoutMs: worst.requestTimeout ?? null,
  maxTiers: worst.maxTiers ?? null,
  maxTotalAttempts: worst.maxTotalAttempts ?? null,
  tiers: worst.tiers.map(({ attemptCost, attempts, instances, name, timeout, waits }) => ({
    name,
    instances,
    attempts,
    timeoutMs: timeout,
    waitsMs: waits,
    attemptCostUsd: attemptCost ?? null
  })),
  unpriced: worst.unpriced,
  assumed: { inputTokens: worst.assumed.inputTokens, outputTokens: worst.assumed.outputTokens ?? null },
  formula
})

/** Lines up columns: the first to the left, the others to the right. */
const table = (rows: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const widths = (rows[0] ?? []).map((_, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)))
  return rows.map((row) =>
    row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join("  ")
  )
}

const worstLines = Effect.fnUntraced(function* (worst: ReadonlyArray<WorstCase.WorstCase>) {
  const [first] = worst
  if (first === undefined) return []
  const { Wording } = yield* modules
  const rows = worst.map(({ attempts, cost, target, time }) => [
    `${target.kind} ${target.name}`,
    String(attempts),
    Wording.seconds(time),
    cost === undefined ? "unknown" : Wording.usd(cost)
  ])
  return [
    "",
    ...table([["worst case of one request", "attempts", "until commit", "cost"], ...rows]),
    "",
    `Cost: ${first.assumed.inputTokens} tokens of input and the most output that its echelon allows, every attempt charged in full.`
  ]
})

const red = "\u001b[31m"
const yellow = "\u001b[33m"
const plain = "\u001b[39m"

const text = Effect.fnUntraced(function* ({ problems, worst }: Found) {
  const output = yield* Output
  const { Problem } = yield* modules
  const { errors, warnings } = summaryOf(problems)
  const lines = problems.map((problem) => {
    const line = Problem.render(problem)
    const { severity } = problem
    if (!output.isTerminal) return line
    const color = severity === "error" ? red : yellow
    return line.replace(` ${severity} `, ` ${color}${severity}${plain} `)
  })
  const counted = [
    ...(errors > 0 ? [count(errors, "error")] : []),
    ...(warnings > 0 ? [count(warnings, "warning")] : [])
  ]
  const all = [
    ...lines,
    counted.length === 0 ? "no problems" : counted.join(", "),
    ...(worst === undefined ? [] : yield* worstLines(worst))
  ]
  return `${all.join("\n")}\n`
})

const json = Effect.fnUntraced(function* ({ problems, worst }: Found) {
  const { WorstCase } = yield* modules
  const shown = {
    problems: problems.map(problemJson),
    worstCase: worst === undefined ? null : worst.map((one) => worstJson(one, WorstCase.formula(one))),
    summary: summaryOf(problems)
  }
  return `${JSON.stringify(shown)}\n`
})

const sarif = Effect.fnUntraced(function* ({ problems }: Found, root: string) {
  const { Sarif } = yield* modules
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const file = yield* Effect.orDie(path.fromFileUrl(new URL("../package.json", import.meta.url)))
  const { version } = JSON.parse(yield* Effect.orDie(fs.readFileString(file))) as { readonly version: string }
  const above = `${root.replace(/\/+$/, "") || root}/`
  const names = yield* Effect.orElseSucceed(fs.readDirectory(root, { recursive: true }), (): Array<string> => [])
  const files = names.filter((name) => name.endsWith(".toml")).sort()
  const shown = files.includes("global.toml") ? "global.toml" : (files[0] ?? "global.toml")
  const options = { root, version, file: `${above}${shown}`, cwd: path.resolve(".") }
  return `${JSON.stringify(Sarif.make(problems, options), undefined, 2)}\n`
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
    const output = yield* Output
    const found = yield* find(options)
    const written =
      options.format === "json" ? json(found) : options.format === "sarif" ? sarif(found, options.config) : text(found)
    yield* output.write(yield* written)
    const { errors, warnings } = summaryOf(found.problems)
    if (errors > 0 || (options.strict && warnings > 0)) return yield* new Failure.Failure({ exitCode: 1 })
  })

const flag = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false))

/**
 * The command.
 *
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make(
  "check",
  {
    dir: Argument.String("dir").pipe(
      Argument.withDescription('The folder of TOML files; "configs" when absent'),
      Argument.optional
    ),
    config: Flag.String("config").pipe(Flag.withDescription("The same, as the other commands say it"), Flag.optional),
    env: Flag.String("env").pipe(
      Flag.withDescription("environments/<name>.toml of the folder"),
      Flag.optional,
      Flag.map(Option.getOrUndefined)
    ),
    json: flag("json", "Print one JSON object: problems, worstCase, summary"),
    sarif: flag("sarif", "Print SARIF 2.1.0, for code scanning"),
    strict: flag("strict", "Exit 1 on warnings, too")
  },
  Effect.fnUntraced(function* ({ config: named, dir, env, json: isJson, sarif: isSarif, strict }) {
    const output = yield* Output
    if (Option.isSome(named) && Option.isSome(dir)) {
      yield* output.diagnose("error: --config says what DIR says; give one of them")
      return yield* new Failure.Failure({ exitCode: 2 })
    }
    const config = Option.getOrElse(dir, () => Option.getOrElse(named, () => "configs"))
    if (isJson && isSarif) {
      yield* output.diagnose("error: --json and --sarif exclude each other; give one of them")
      return yield* new Failure.Failure({ exitCode: 2 })
    }
    yield* run({ config, env, strict, format: isJson ? "json" : isSarif ? "sarif" : "text" })
  })
).pipe(
  Command.withDescription("Find what is wrong with a configuration, and what one request may cost at most"),
  Command.withExamples([
    { command: "echelon check", description: "Check configs/; exit 1 on errors" },
    { command: "echelon check deploy/configs --env production --strict", description: "Exit 1 on warnings, too" },
    { command: "echelon check --sarif > check.sarif", description: "For code scanning" }
  ])
)
