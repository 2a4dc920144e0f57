/**
 * `echelon top` and `echelon status` on the command line. What they run is loaded when it runs.
 *
 * @since 0.1.0
 */
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Failure from "./Failure.ts"
import { Output } from "./Output.ts"
import * as RoutesFilter from "./RoutesFilter.ts"

const config = Flag.String("config").pipe(Flag.withDescription("The folder of TOML files"), Flag.withDefault("configs"))
const env = Flag.String("env").pipe(
  Flag.withDescription('environments/<name>.toml of the folder; "embedded" needs no key and no network'),
  Flag.optional,
  Flag.map(Option.getOrUndefined)
)
const demo = Flag.Boolean("demo").pipe(
  Flag.withDescription("Send the demo's requests to embedded providers that fail on its schedule, over and over"),
  Flag.withDefault(false)
)
const json = Flag.Boolean("json").pipe(Flag.withDescription("Print one JSON object a table"), Flag.withDefault(false))

/** A refusal of what was asked, told. */
const wrongUse = Effect.fnUntraced(function* (message: string) {
  const output = yield* Output
  yield* output.diagnose(`error: ${message}`)
  return yield* new Failure.Failure({ exitCode: 2 })
})

/**
 * `echelon top`.
 *
 * @since 0.1.0
 * @category commands
 */
export const top = Command.make(
  "top",
  {
    config,
    env,
    demo,
    interval: Flag.String("interval").pipe(
      Flag.withDescription('Time between two tables: "2s", "500ms"; 1s on a terminal, 5s elsewhere when absent'),
      Flag.optional,
      Flag.map(Option.getOrUndefined)
    ),
    count: Flag.Int("count").pipe(
      Flag.withDescription("End after so many tables"),
      Flag.filter(
        (n) => n >= 1,
        (n) => `--count must be 1 or above, got ${n}`
      ),
      Flag.optional,
      Flag.map(Option.getOrUndefined)
    ),
    once: Flag.Boolean("once").pipe(Flag.withDescription("Print one table and end"), Flag.withDefault(false)),
    json
  },
  Effect.fnUntraced(function* ({ count, demo, env, interval, once, ...rest }) {
    const millis = interval === undefined ? undefined : RoutesFilter.span(interval)
    if (interval !== undefined && (millis === undefined || millis < 100 || millis > 86_400_000))
      return yield* wrongUse(`--interval must be a length of time from 100ms to 1d, such as "2s", got "${interval}"`)
    if (once && count !== undefined) return yield* wrongUse("--once and --count exclude each other; give one of them")
    if (demo && env !== undefined && env !== "embedded")
      return yield* wrongUse(`--demo runs with --env embedded, not with --env ${env}`)
    const { run } = yield* Effect.promise(() => import("./Top.ts"))
    yield* run({ ...rest, env, demo, interval: millis, count: once ? 1 : count })
  })
).pipe(
  Command.withDescription("Show instances, pools and queues live: health, breakers, limits, speed, failures, cost"),
  Command.withExamples([
    { command: "echelon top --demo", description: "With the demo's requests; q quits" },
    { command: "echelon top --env production", description: "Health checks of a configuration, no requests" },
    { command: "echelon top --demo --json --count 3", description: "Three tables as JSON" }
  ])
)

/**
 * `echelon status`.
 *
 * @since 0.1.0
 * @category commands
 */
export const status = Command.make(
  "status",
  {
    config,
    env,
    strict: Flag.Boolean("strict").pipe(
      Flag.withDescription("Exit 1 when an instance is unhealthy"),
      Flag.withDefault(false)
    ),
    json
  },
  Effect.fnUntraced(function* (flags) {
    const { run } = yield* Effect.promise(() => import("./Status.ts"))
    yield* run(flags)
  })
).pipe(
  Command.withDescription("Ask every instance once, as its health check allows, and show how all stands"),
  Command.withExamples([
    { command: "echelon status", description: "For configs/" },
    { command: "echelon status --env production --strict", description: "Exit 1 when an instance is unhealthy" },
    { command: "echelon status --env embedded --json", description: "As JSON, without a key" }
  ])
)
