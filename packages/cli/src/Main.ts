/**
 * The `echelon` command.
 *
 * Handlers are loaded when they run, so that `--help` and a wrong use answer at once.
 *
 * @since 0.1.0
 */

import * as Console from "effect/Console"
import * as Argument from "effect/cli/Argument"
import type * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Alert from "./Alert.ts"
import * as Check from "./Check.ts"
import * as Explain from "./Explain.ts"
import * as Failure from "./Failure.ts"
import * as Init from "./Init.ts"
import * as Migrate from "./Migrate.ts"
import { Output } from "./Output.ts"
import * as Routes from "./Routes.ts"
import * as Schema from "./Schema.ts"
import * as TopCommand from "./TopCommand.ts"
import * as Usage from "./Usage.ts"

const config = Flag.String("config").pipe(Flag.withDescription("The folder of TOML files"), Flag.withDefault("configs"))
const json = Flag.Boolean("json").pipe(Flag.withDescription("Print one JSON object"), Flag.withDefault(false))
const name = (flag: string, description: string) =>
  Flag.String(flag).pipe(Flag.withDescription(description), Flag.optional, Flag.map(Option.getOrUndefined))

/** Tells what was wrong with the call, and ends with 2. */
const wrongUse = (message: string) =>
  Effect.gen(function* () {
    const output = yield* Output
    yield* output.diagnose(`error: ${message}`)
    return yield* new Failure.Failure({ exitCode: 2 })
  })

const readStdin = Effect.callback<string>((resume) => {
  const chunks: Array<Buffer> = []
  const onData = (chunk: Buffer) => chunks.push(chunk)
  const onEnd = () => resume(Effect.succeed(Buffer.concat(chunks).toString("utf8")))
  process.stdin.on("data", onData).once("end", onEnd)
  return Effect.sync(() => {
    process.stdin.off("data", onData).off("end", onEnd).pause()
  })
})

const ask = Command.make(
  "ask",
  {
    prompt: Argument.String("prompt").pipe(
      Argument.withDescription("The prompt; read from standard input when absent"),
      Argument.optional
    ),
    config,
    env: name("env", 'environments/<name>.toml of the folder; "embedded" needs no key and no network'),
    wrapper: name("wrapper", "Ask this wrapper"),
    pool: name("pool", "Ask this pool"),
    group: name("group", "Ask this task group, or one of its echelons: fast_group.echelon2"),
    provider: name("provider", "Ask this provider directly"),
    model: name("model", "With --provider: the alias or the name of its model"),
    noStream: Flag.Boolean("no-stream").pipe(
      Flag.withDescription("Print the answer when it is whole"),
      Flag.withDefault(false)
    ),
    json
  },
  Effect.fnUntraced(function* (flags) {
    const targets = (["wrapper", "pool", "group", "provider"] as const).filter((target) => flags[target] !== undefined)
    if (targets.length > 1) return yield* wrongUse(`--${targets.join(" and --")} exclude each other; give one of them`)
    const target = targets[0]
    if (flags.model !== undefined && target !== undefined && target !== "provider")
      return yield* wrongUse(`--model goes with --provider, not with --${target}`)
    if (Option.isNone(flags.prompt) && process.stdin.isTTY)
      return yield* wrongUse('give a prompt: echelon ask "Why is the sky blue?", or pipe it in')
    const prompt = Option.isSome(flags.prompt) ? flags.prompt.value : yield* readStdin
    if (prompt.trim() === "") return yield* wrongUse("the prompt is empty")
    const { run } = yield* Effect.promise(() => import("./Ask.ts"))
    yield* run({
      prompt,
      config: flags.config,
      env: flags.env,
      metadata: {
        wrapperName: flags.wrapper,
        poolName: flags.pool,
        groupName: flags.group,
        provider: flags.provider,
        model: flags.model
      },
      stream: !flags.noStream,
      json: flags.json
    })
  })
).pipe(
  Command.withDescription("Answer one prompt, streaming to the terminal; the route follows on standard error"),
  Command.withExamples([
    { command: 'echelon ask --pool fast_pool "Why is the sky blue?"', description: "Ask a pool" },
    { command: 'echelon ask --env embedded --pool fast_pool --json "Hi"', description: "Try it without a key" }
  ])
)

const demo = Command.make(
  "demo",
  {
    config,
    requests: Flag.Int("requests").pipe(
      Flag.withDescription("How many requests to send"),
      Flag.filter(
        (n) => n >= 1 && n <= 10_000,
        (n) => `--requests must be between 1 and 10000, got ${n}`
      ),
      Flag.withDefault(300)
    ),
    json
  },
  Effect.fnUntraced(function* (flags) {
    const { run } = yield* Effect.promise(() => import("./Demo.ts"))
    yield* run(flags)
  })
).pipe(
  Command.withDescription("Send requests through fast_pool while embedded providers fail on a schedule"),
  Command.withExamples([{ command: "echelon demo", description: "Needs no key and no network; takes under 30 s" }])
)

const echelon = Command.make("echelon").pipe(
  Command.withDescription("Keep LLM calls answered: pools, task groups and echelons of model instances"),
  Command.withSubcommands([
    ask,
    demo,
    Check.command,
    Explain.command,
    Alert.command,
    Init.command,
    Migrate.command,
    Routes.command,
    Schema.command,
    TopCommand.status,
    TopCommand.top,
    Usage.command
  ])
)

/** Help that was asked for is data; help that comes with an error goes where the error goes. */
const layerPresenter = CliOutput.layerPresenter({
  present: (event) => {
    const present = CliOutput.defaultPresenter.present(event)
    if (event._tag !== "InvalidInvocation") return present
    return Effect.flatMap(Console.Console, (console) =>
      Effect.provideService(present, Console.Console, Object.assign(Object.create(console), { log: console.error }))
    )
  }
})

/**
 * Runs the command line.
 *
 * **Errors** Everything was told when this fails; the error carries the exit code.
 *
 * @since 0.1.0
 * @category running
 */
export const run = (args: ReadonlyArray<string>, version: string) =>
  Effect.catch(
    Effect.provide(Command.runWith(echelon, { version })(args), layerPresenter),
    (error: Failure.Failure | CliError.CliError) =>
      error._tag === "ShowHelp" && error.errors.length === 0
        ? Effect.void
        : Effect.fail(error._tag === "Failure" ? error : new Failure.Failure({ exitCode: 2 }))
  )
