/**
 * `echelon demo`: requests through `fast_pool` while embedded providers fail on a schedule.
 *
 * @since 0.1.0
 */

import * as Alerting from "@echelon/core/Alerting"
import * as AlertSettings from "@echelon/core/AlertSettings"
import * as Control from "@echelon/core/Control"
import * as HealthChecker from "@echelon/core/HealthChecker"
import * as Interpreter from "@echelon/core/Interpreter"
import * as Plans from "@echelon/core/Plans"
import type { EmbeddedProviders } from "@echelon/testing"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Ask from "./Ask.ts"
import * as DemoSchedule from "./DemoSchedule.ts"
import * as DemoTable from "./DemoTable.ts"
import * as DemoTally from "./DemoTally.ts"
import * as DemoTraffic from "./DemoTraffic.ts"
import * as Environment from "./Environment.ts"
import * as Failure from "./Failure.ts"
import { Output } from "./Output.ts"
import * as TopTable from "./TopTable.ts"
import * as TopView from "./TopView.ts"

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

const { pool } = DemoTraffic

/** How long alerts may take to resolve after the last request. */
const patience = "3 seconds"

/** Rules that fire and resolve within seconds, and tell nobody but the table. */
const alerts = AlertSettings.make({
  channels: [],
  groupWait: 0,
  resolveAfter: 500,
  rules: {
    breaker_open: { for: 0 },
    error_rate: { for: 0, window: 3_000 },
    slow_first_output: { for: 0, window: 3_000, threshold: 800 }
  }
})

/** Probes that find within a second that a fault is over. */
const probing = { interval: 1_000, recoveryTime: 1_000, active: true, budgetPerHour: 10_000 }

/** Whoever knows of health and alerts, unless somebody already does. */
const layerWatching = Layer.unwrap(
  Effect.gen(function* () {
    const health = yield* Effect.serviceOption(HealthChecker.HealthChecker)
    const alerting = yield* Effect.serviceOption(Alerting.AlertingService)
    return Layer.mergeAll(
      Option.match(health, {
        onNone: () => HealthChecker.HealthChecker.layer,
        onSome: Layer.succeed(HealthChecker.HealthChecker)
      }),
      Option.match(alerting, {
        onNone: () => Alerting.AlertingService.layer,
        onSome: Layer.succeed(Alerting.AlertingService)
      })
    )
  })
)

const show = Effect.fnUntraced(function* (options: Options, providers: EmbeddedProviders.Shape) {
  const output = yield* Output
  const control = yield* Control.Control
  const { plan, swap } = yield* Interpreter.Interpreter
  const alerting = yield* Alerting.AlertingService
  const root = yield* plan
  const asked = root.pools[pool]
  yield* swap({
    ...root,
    pools:
      asked === undefined
        ? root.pools
        : { ...root.pools, [pool]: { ...asked, healthCheck: { ...asked.healthCheck, ...probing } } },
    alerts,
    logging: Plans.logging({ requests: false, stateChanges: false })
  })
  const view = yield* TopView.make
  const live = output.isTerminal && !options.json
  const say = (line: string) => (options.json ? Effect.void : output.write(`${line}\n`))
  const begin = yield* Clock.currentTimeMillis
  const seconds = Effect.map(Clock.currentTimeMillis, (now) => `${((now - begin) / 1_000).toFixed(1).padStart(5)} s`)
  const note = (line: string) => (live ? Effect.void : Effect.flatMap(seconds, (at) => say(`${at}  ${line}`)))

  let tally = DemoTally.empty
  let episode: DemoSchedule.Episode | undefined
  let drawn = 0

  const groups = root.pools[pool]?.taskGroups ?? []
  const only = new Set([
    pool,
    ...groups.flatMap((group) => (root.groups[group]?.echelons ?? []).flatMap(({ instances }) => instances))
  ])
  const draw = Effect.gen(function* () {
    const now = yield* Clock.currentTimeMillis
    const shown = DemoTable.lines(
      { ...(yield* view), only, elapsed: now - begin, episode: episode?.title, tally, total: options.requests },
      { columns: output.columns(), color: output.isTerminal }
    )
    const up = drawn === 0 ? "" : `\u001b[${drawn}A`
    // Lines that are not there any more are left empty, so that what follows stands below the table.
    const lines = [...shown, ...Array.from({ length: Math.max(0, drawn - shown.length) }, () => "")]
    drawn = lines.length
    yield* output.write(`${up}${lines.map((line) => `\u001b[2K${line}\n`).join("")}`)
  })

  yield* say(`${options.requests} requests through ${pool}, on this schedule:`)
  for (const planned of DemoSchedule.episodes) yield* say(`  ${DemoSchedule.describe(planned)}`)
  yield* say("")

  const watcher = yield* Effect.forkScoped(
    live
      ? Effect.forever(Effect.andThen(draw, Effect.sleep("200 millis")))
      : Effect.forever(
          Effect.andThen(
            Effect.sleep("2 seconds"),
            Effect.suspend(() => note(DemoTable.progress({ tally, total: options.requests })))
          )
        )
  )
  yield* Effect.forkScoped(
    Stream.runForEach(alerting.changes, ({ _tag, alert }) =>
      Effect.suspend(() => {
        tally = DemoTally.alerted(tally, _tag)
        return note(
          `alert ${_tag === "Fired" ? "fires" : "resolves"}: ${alert.rule} ${alert.subject.name}: ${alert.text}`
        )
      })
    )
  )
  yield* Effect.forkScoped(
    Stream.runForEach(control.changes, (change) => {
      if (change._tag === "ProviderHealth")
        return note(`health: provider ${change.provider} is ${change.isDown ? "down" : "up"}: ${change.message}`)
      if (change._tag === "Health" && only.has(change.instance) && change.from !== "unknown")
        return note(`health: ${change.instance} is ${change.to}: ${change.message}`)
      return Effect.void
    })
  )
  yield* Effect.forkScoped(
    DemoTraffic.followSchedule(providers, (now) =>
      Effect.suspend(() => {
        const ended = episode
        episode = now
        return note(now?.title ?? `over: ${ended?.title}`)
      })
    )
  )
  const pace = DemoSchedule.length / options.requests
  yield* Effect.forEach(
    Array.from({ length: options.requests }, (_, n) => n),
    (n) =>
      Effect.sleep(Duration.millis(n * pace)).pipe(
        Effect.andThen(DemoTraffic.ask(n + 1)),
        Effect.map((ended) => {
          tally = DemoTally.record(tally, ended)
        })
      ),
    { concurrency: "unbounded", discard: true }
  )
  // What still fires is over, and resolves once it has been so for a while.
  yield* Effect.gen(function* () {
    while ((yield* alerting.firing).length > 0) yield* Effect.sleep("100 millis")
    // The last of them is still to be told of.
    yield* Effect.sleep("100 millis")
  }).pipe(Effect.timeoutOption(patience))
  yield* Fiber.interrupt(watcher)
  if (live) yield* draw
  const { rates } = yield* view
  if (options.json) yield* output.write(`${JSON.stringify(DemoTally.summary(tally, rates))}\n`)
  else {
    if (!live) {
      const lines = TopTable.lines({ ...(yield* view), only }, { columns: Number.POSITIVE_INFINITY })
      yield* output.write(`\n${lines.join("\n")}\n`)
    }
    yield* output.write(`\n${TopTable.costLines(rates).join("\n")}\n`)
    yield* output.write(`\n${DemoTally.summaryLines(tally, rates).join("\n")}\n`)
  }
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
      Effect.provide(
        show(options, providers),
        Layer.provideMerge(layerWatching, Environment.layerWith(options, providers))
      )
    )
  ).pipe(
    Effect.catch((error) => (error._tag === "Failure" ? Effect.fail(error) : Ask.tellFailure(error, options.json)))
  )
