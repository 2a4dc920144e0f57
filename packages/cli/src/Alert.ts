/**
 * `echelon alert test`: whether the channels of a configuration can be told.
 *
 * @since 0.1.0
 */
import type * as AlertDelivery from "@echelon/core/AlertDelivery"
import * as Nearest from "@echelon/core/Nearest"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as Path from "effect/Path"
import * as EmbeddedVariables from "./EmbeddedVariables.ts"
import * as Failure from "./Failure.ts"
import { layerLogger, Output } from "./Output.ts"

/**
 * What the command line says.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** One channel; all when undefined. */
  readonly channel: string | undefined
  /** The folder. */
  readonly config: string
  readonly env: string | undefined
  readonly json: boolean
}

/** Loaded when it is used, so that `--help` need not wait for it. */
const modules = Effect.promise(async () => {
  const [AlertChannels, AlertDelivery, ConfigManagement, Problem, Variables, providers, core] = await Promise.all([
    import("@echelon/operations/AlertChannels"),
    import("@echelon/core/AlertDelivery"),
    import("@echelon/config/ConfigManagement"),
    import("@echelon/config/Problem"),
    import("@echelon/config/Variables"),
    import("@echelon/providers/CatalogueLive"),
    import("@echelon/core/Catalogue")
  ])
  const { catalogue } = providers
  const { Catalogue } = core
  return { AlertChannels, AlertDelivery, ConfigManagement, Problem, Variables, catalogue, Catalogue }
})

const load = Effect.fnUntraced(function* ({ config, env }: Options) {
  const { Catalogue, ConfigManagement, Problem, Variables, catalogue } = yield* modules
  const output = yield* Output
  const variables = EmbeddedVariables.withStandIns(env, yield* yield* Variables.Variables)
  return yield* ConfigManagement.load({ config, env, variables }).pipe(
    Effect.provideService(Catalogue, catalogue),
    Effect.map(({ plan, warnings }) => ({ alerts: plan.alerts, warnings })),
    Effect.tap(({ warnings }) =>
      // Those of other parts are for `echelon check`.
      Effect.forEach(
        warnings.filter(({ key }) => key.startsWith("alerts.")),
        (warning) => output.diagnose(Problem.format(warning))
      )
    ),
    Effect.catch(({ problems }) =>
      Effect.andThen(
        Effect.forEach(problems.filter(Problem.isError), (problem) => output.diagnose(Problem.format(problem))),
        new Failure.Failure({ exitCode: 1 })
      )
    )
  )
})

const red = "\u001b[31m"
const green = "\u001b[32m"
const plain = "\u001b[39m"

const line = ({ channel, elapsed, error, type }: AlertDelivery.Tested, isTerminal: boolean): string => {
  const word = error === undefined ? "sent" : "failed"
  const shown = isTerminal ? `${error === undefined ? green : red}${word}${plain}` : word
  return `${channel} (${type}): ${shown} after ${Math.round(elapsed)} ms${error === undefined ? "" : `: ${error.message}`}`
}

const json = ({ channel, elapsed, error, type }: AlertDelivery.Tested) => ({
  channel,
  type,
  outcome: error === undefined ? "sent" : "failed",
  error: error === undefined ? null : { failure: error.failure, detail: error.detail },
  elapsedMs: Math.round(elapsed)
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
    const { AlertChannels, AlertDelivery } = yield* modules
    const { alerts } = yield* load(options)
    const channels = alerts.channels.filter(({ name }) => options.channel === undefined || name === options.channel)
    if (channels.length === 0) {
      const known = alerts.channels.map(({ name }) => name)
      const message =
        options.channel === undefined || known.length === 0
          ? "no channel is enabled; docs/alerts.md says how to set one"
          : `no channel that is enabled is named "${options.channel}"; ${Nearest.hint(options.channel, known)}`
      yield* output.diagnose(`error: ${message}`)
      return yield* new Failure.Failure({ exitCode: 2 })
    }
    if (!alerts.enabled) yield* output.diagnose("warning: [alerts] enabled is false: nothing but this test is told")
    const tested = yield* Effect.forEach(channels, AlertDelivery.test, { concurrency: "unbounded" }).pipe(
      Effect.provide([AlertChannels.layer, layerLogger])
    )
    yield* output.write(
      options.json
        ? `${JSON.stringify({ channels: tested.map(json) })}\n`
        : tested.map((one) => `${line(one, output.isTerminal)}\n`).join("")
    )
    if (tested.some(({ error }) => error !== undefined)) return yield* new Failure.Failure({ exitCode: 1 })
  })

const test = Command.make(
  "test",
  {
    channel: Argument.String("channel").pipe(
      Argument.withDescription("The name of one channel; all that are enabled when absent"),
      Argument.optional,
      Argument.map(Option.getOrUndefined)
    ),
    config: Flag.String("config").pipe(Flag.withDescription("The folder of TOML files"), Flag.withDefault("configs")),
    env: Flag.String("env").pipe(
      Flag.withDescription("environments/<name>.toml of the folder"),
      Flag.optional,
      Flag.map(Option.getOrUndefined)
    ),
    json: Flag.Boolean("json").pipe(Flag.withDescription("Print one JSON object: channels"), Flag.withDefault(false))
  },
  run
).pipe(
  Command.withDescription("Send a test to the channels of [alerts], once, and say what came of it"),
  Command.withExamples([
    { command: "echelon alert test", description: "Test every channel; exit 1 when one does not take it" },
    { command: "echelon alert test ops --config deploy/configs --env production", description: "Test one channel" }
  ])
)

/**
 * The command.
 *
 * @since 0.1.0
 * @category commands
 */
export const command = Command.make("alert").pipe(
  Command.withDescription("Alerts: who is told, and whether they can be"),
  Command.withSubcommands([test]),
  Command.withExamples([{ command: "echelon alert test", description: "Test every channel" }])
)
