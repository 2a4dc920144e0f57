/**
 * `echelon top`: how pools, instances and queues stand, live.
 *
 * @since 0.1.0
 */
import { HealthChecker } from "@echelon/core/HealthChecker"
import type { EmbeddedProviders } from "@echelon/testing"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Ask from "./Ask.ts"
import * as DemoTraffic from "./DemoTraffic.ts"
import * as Environment from "./Environment.ts"
import type * as Failure from "./Failure.ts"
import { Output } from "./Output.ts"
import * as TopTable from "./TopTable.ts"
import * as TopView from "./TopView.ts"
import * as Watched from "./Watched.ts"

/**
 * What the command line says.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly config: string
  readonly env: string | undefined
  /** Whether the demo's requests and faults are there to look at. */
  readonly demo: boolean
  /** Milliseconds between two tables. @default 1000 on a terminal, else 5000 */
  readonly interval: number | undefined
  /** Tables after which it ends; without it goes on until it is told to quit. */
  readonly count: number | undefined
  readonly json: boolean
}

/**
 * How wide a table may be: as wide as it is where no terminal cuts it.
 *
 * @since 0.1.0
 * @category getters
 */
export const width = (output: Output["Service"]): number =>
  process.stdout.isTTY === true ? output.columns() : Number.POSITIVE_INFINITY

/** Another screen, without a cursor, that leaves the first as it was. */
const screen = Effect.gen(function* () {
  const { write } = yield* Output
  yield* Effect.acquireRelease(write("\u001b[?1049h\u001b[?25l"), () => write("\u001b[?25h\u001b[?1049l"))
})

/** `q`, `Q`, and what Ctrl-C and Ctrl-D send. */
const quitKeys: ReadonlySet<number> = new Set([0x71, 0x51, 0x03, 0x04])

/** Waits for `q`, or for what Ctrl-C sends while keys come one by one. */
const quitKey = Effect.callback<void>((resume) => {
  const { stdin } = process
  if (!stdin.isTTY) return
  const onData = (keys: Buffer) => {
    if (keys.some((key) => quitKeys.has(key))) resume(Effect.void)
  }
  stdin.setRawMode(true).on("data", onData).resume()
  return Effect.sync(() => void stdin.off("data", onData).setRawMode(false).pause())
})

/**
 * Draws the table again and again: in place on a terminal, one below the other elsewhere. It ends after `count` tables,
 * or when somebody presses `q`.
 *
 * **Details** For programs too: it shows the plan that runs in this process.
 *
 * @since 0.1.0
 * @category running
 */
export const watch = Effect.fnUntraced(function* (
  options: Pick<Options, "interval" | "count" | "json">,
  title: () => string | undefined = () => undefined
) {
  const output = yield* Output
  const view = yield* TopView.make
  const live = output.isTerminal && !options.json && options.count === undefined
  const interval = Duration.millis(options.interval ?? (live ? 1_000 : 5_000))
  if (live) yield* screen
  let count = 0
  const draw = Effect.gen(function* () {
    const seen = { ...(yield* view), title: title() }
    count += 1
    if (options.json) return yield* output.write(`${JSON.stringify(TopTable.json(seen))}\n`)
    const lines = TopTable.lines(seen, { columns: width(output), color: output.isTerminal })
    if (!live) return yield* output.write(`${count > 1 ? "\n" : ""}${lines.join("\n")}\n`)
    const rows = Math.max(2, (process.stdout.rows || 40) - 1)
    const shown = [...lines.slice(0, rows - 1), "q quits"]
    yield* output.write(`\u001b[H${shown.map((line) => `${line}\u001b[K\n`).join("")}\u001b[J`)
  })
  const loop = Effect.gen(function* () {
    yield* draw
    while (options.count === undefined || count < options.count) {
      yield* Effect.sleep(interval)
      yield* draw
    }
  })
  yield* live ? Effect.raceFirst(quitKey, loop) : loop
}, Effect.scoped)

const show = Effect.fnUntraced(function* (options: Options, providers: EmbeddedProviders.Shape | undefined) {
  let episode: string | undefined
  if (providers !== undefined && options.demo)
    yield* Effect.forkScoped(
      DemoTraffic.forever(providers, (now) =>
        Effect.sync(() => {
          episode = now?.title ?? "all is well"
        })
      )
    )
  // What nobody asks is not known: so all are asked once, as their health checks allow.
  else yield* Effect.flatMap(HealthChecker, ({ checkAll }) => checkAll())
  yield* watch(options, () => episode)
}, Effect.scoped)

/**
 * Runs the command.
 *
 * @since 0.1.0
 * @category running
 */
export const run = (options: Options): Effect.Effect<void, Failure.Failure, Output> => {
  const isEmbedded = options.demo || options.env === Environment.embedded
  const shown = isEmbedded
    ? Effect.flatMap(Environment.startProviders, (providers) =>
        Effect.provide(
          show(options, providers),
          Watched.layer({
            config: options.config,
            env: Environment.embedded,
            variables: { ...process.env, ...providers.variables }
          })
        )
      )
    : Effect.provide(show(options, undefined), Watched.layer(options))
  return Effect.catch(Effect.scoped(shown), (error) => Ask.tellFailure(error, options.json))
}
