/**
 * `echelon demo`: requests through `fast_pool` while embedded providers fail on a schedule.
 *
 * @since 0.1.0
 */
import { Interpreter, LlmError, Orchestrator } from "@echelon/core"
import type { EmbeddedProviders } from "@echelon/testing"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as Ask from "./Ask.ts"
import * as DemoSchedule from "./DemoSchedule.ts"
import * as DemoTable from "./DemoTable.ts"
import * as DemoTally from "./DemoTally.ts"
import * as Environment from "./Environment.ts"
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
  readonly requests: number
  readonly json: boolean
}

const pool = "fast_pool"

/** Asks once. The reply is streamed by the provider and folded here, so that even a cut stream is made good. */
const ask = Effect.fnUntraced(function* (n: number) {
  const startedAt = yield* Clock.currentTimeMillis
  const reply = yield* Orchestrator.open({
    prompt: `Question ${n}: why is the sky blue?`,
    metadata: { poolName: pool, commit: "finish" }
  })
  yield* Stream.runDrain(reply.parts)
  return { route: yield* reply.route, elapsed: (yield* Clock.currentTimeMillis) - startedAt, error: undefined }
}, Effect.scoped)

/** Sets and lifts the faults at their times. */
const followSchedule = (
  providers: EmbeddedProviders.Shape,
  onEpisode: (episode: DemoSchedule.Episode | undefined) => Effect.Effect<void>
) =>
  Effect.forEach(
    DemoSchedule.episodes,
    (episode, i) =>
      Effect.gen(function* () {
        const before = DemoSchedule.episodes[i - 1]?.until ?? 0
        yield* Effect.sleep(Duration.millis(episode.from - before))
        yield* providers.setFault(episode.provider, episode.fault)
        yield* onEpisode(episode)
        yield* Effect.sleep(Duration.millis(episode.until - episode.from))
        yield* providers.setFault(episode.provider, undefined)
        yield* onEpisode(undefined)
      }),
    { discard: true }
  )

const show = Effect.fnUntraced(function* (options: Options, providers: EmbeddedProviders.Shape) {
  const output = yield* Output
  const interpreter = yield* Interpreter.Interpreter
  const live = output.isTerminal && !options.json
  const say = (line: string) => (options.json ? Effect.void : output.write(`${line}\n`))
  const begin = yield* Clock.currentTimeMillis
  const seconds = Effect.map(Clock.currentTimeMillis, (now) => `${((now - begin) / 1_000).toFixed(1).padStart(5)} s`)

  let tally = DemoTally.empty
  let episode: DemoSchedule.Episode | undefined
  let drawn = 0

  const { root, state } = yield* interpreter.current
  const members = [
    ...new Set(
      (root.pools[pool]?.taskGroups ?? []).flatMap((group) =>
        (root.groups[group]?.echelons ?? []).flatMap((echelon) => echelon.instances)
      )
    )
  ]
  const draw = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const standings = members.map((name): DemoTable.Standing => {
      const known = state(name)
      return {
        name,
        inFlight: known?.inFlight() ?? 0,
        cooling: Math.max(0, (known?.cooldown().until ?? 0) - now)
      }
    })
    const view = { elapsed: now - begin, episode: episode?.title, standings, tally, total: options.requests }
    const lines = DemoTable.lines(view, output.columns())
    const up = drawn === 0 ? "" : `\u001b[${drawn}A`
    drawn = lines.length
    yield* output.write(`${up}${lines.map((line) => `\u001b[2K${line}\n`).join("")}`)
  })
  const progress = Effect.gen(function* () {
    yield* say(`${yield* seconds}  ${DemoTable.progress({ tally, total: options.requests })}`)
  })

  yield* say(`${options.requests} requests through ${pool}, on this schedule:`)
  for (const planned of DemoSchedule.episodes) yield* say(`  ${DemoSchedule.describe(planned)}`)
  yield* say("")

  const watcher = yield* Effect.forkScoped(
    live
      ? Effect.forever(Effect.andThen(draw, Effect.sleep("200 millis")))
      : Effect.forever(Effect.andThen(Effect.sleep("2 seconds"), progress))
  )
  yield* Effect.forkScoped(
    followSchedule(providers, (now) =>
      Effect.gen(function* () {
        const ended = episode
        episode = now
        if (live) return
        yield* say(`${yield* seconds}  ${now?.title ?? `over: ${ended?.title}`}`)
      })
    )
  )
  const pace = DemoSchedule.length / options.requests
  yield* Effect.forEach(
    Array.from({ length: options.requests }, (_, n) => n),
    (n) =>
      Effect.sleep(Duration.millis(n * pace)).pipe(
        Effect.andThen(ask(n + 1)),
        Effect.catch((error) =>
          LlmError.isLlmError(error)
            ? Effect.succeed({ route: error.route ?? [], elapsed: 0, error: error.message })
            : Effect.fail(error)
        ),
        Effect.map((ended) => {
          tally = DemoTally.record(tally, ended)
        })
      ),
    { concurrency: "unbounded", discard: true }
  )
  yield* Fiber.interrupt(watcher)
  if (live) yield* draw
  yield* options.json
    ? output.write(`${JSON.stringify(DemoTally.summary(tally))}\n`)
    : output.write(`\n${DemoTally.summaryLines(tally).join("\n")}\n`)
  if (tally.answered < options.requests) return yield* new Failure.Failure({ exitCode: 1 })
}, Effect.scoped)

/**
 * Runs the command.
 *
 * @since 0.1.0
 * @category running
 */
export const run = (options: Options): Effect.Effect<void, Failure.Failure, Output> =>
  Effect.scoped(
    Effect.flatMap(Environment.startProviders, (providers) =>
      Effect.provide(show(options, providers), Environment.layerWith(options, providers))
    )
  ).pipe(
    Effect.catch((error) => (error._tag === "Failure" ? Effect.fail(error) : Ask.tellFailure(error, options.json)))
  )
