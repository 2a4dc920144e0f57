/**
 * The log: one line for each request that has ended, one for each change of state, structured, through Effect's
 * loggers. What the lines say is in `LogRecord`, their fields are in `LogFields`.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Semaphore from "effect/Semaphore"
import * as Interpreter from "./Interpreter.ts"
import * as LogFormat from "./LogFormat.ts"
import * as LogLimit from "./LogLimit.ts"
import * as LogRecord from "./LogRecord.ts"
import type * as Observation from "./Observation.ts"
import type * as Plan from "./Plan.ts"
import * as Plans from "./Plans.ts"
import type * as StateChange from "./StateChange.ts"
import * as Wake from "./Wake.ts"

/**
 * What a program says itself, whatever the plan says.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** @default what the plan says */
  readonly requests?: boolean | undefined
  /** @default what the plan says */
  readonly stateChanges?: boolean | undefined
}

/**
 * How the log does.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stats {
  /** Lines that were given to the loggers. */
  readonly written: number
  /** Lines that were lost, since they came faster than they could be written. */
  readonly lost: number
  /** Completed requests that were left out by chance. */
  readonly sampledOut: number
  /** Lines that wait to be written. */
  readonly waiting: number
}

/**
 * The log.
 *
 * **Details** Lines are written by a fiber of the Layer's scope: a request never waits for a logger. Up to 4,096
 * lines wait; what comes beyond is lost, counted, and told. A request's line goes to the loggers of the fiber that
 * made the request, with its annotations and its least level; a change goes to those of the Layer. Closing the Layer
 * writes what is left.
 *
 * **Ordering** Must be provided to the Layer of the `Interpreter`, so that it closes after that: requests that end
 * while shutting down are logged.
 *
 * @since 0.1.0
 * @category services
 */
export class RequestLog extends Context.Service<
  RequestLog,
  {
    /** Hears of requests. */
    readonly observer: Observation.Observer
    /** Hears of changes. */
    readonly listener: (change: StateChange.StateChange) => void
    /** Takes on settings. Tells whether requests are logged. */
    readonly configure: (settings: Plan.Logging) => boolean
    readonly stats: Effect.Effect<Stats>
  }
>()("@echelon/core/RequestLog") {
  static readonly layer = (options: Options = {}): Layer.Layer<RequestLog> => Layer.effect(RequestLog, make(options))

  /**
   * Lets the log hear of all requests and changes of the interpreter, as the plan of the moment says.
   *
   * **Gotchas** It is not taken away when this Layer closes, but with the interpreter: what ends while that shuts down
   * is heard.
   */
  static readonly layerObserving: Layer.Layer<never, never, RequestLog | Interpreter.Interpreter> = Layer.effectDiscard(
    Effect.gen(function* () {
      const { configure, listener, observer } = yield* RequestLog
      const { plan, registry } = yield* Interpreter.Interpreter
      const take = ({ logging }: Plan.Root): void => {
        if (configure(logging)) registry.observers.add(observer)
        else registry.observers.observers.delete(observer)
      }
      take(yield* plan)
      registry.listen((change) => {
        const next = change._tag === "Swapped" ? registry.plan() : undefined
        if (next !== undefined) take(next)
        listener(change)
      })
    })
  )
}

/** Lines that may wait. */
const capacity = 4_096

/** How often it is told that lines were lost, in milliseconds. */
const lossInterval = 10_000

const ranks: Readonly<Record<LogRecord.LogRecord["level"], number>> = { Debug: 0, Info: 1, Warn: 2, Error: 3 }

type Line =
  | {
      readonly of: Observation.Observation
      readonly context: Context.Context<never> | undefined
      readonly share: number
    }
  | LogLimit.Said<LogRecord.Logged>

const recordOf = (line: Line): LogRecord.LogRecord => {
  if ("of" in line) {
    const record = LogRecord.ofRequest(line.of)
    return line.share === 1 ? record : { ...record, fields: { ...record.fields, "echelon.sample_ratio": line.share } }
  }
  const record = LogRecord.ofChange(line.item)
  return line.suppressed === 0
    ? record
    : { ...record, fields: { ...record.fields, "echelon.suppressed": line.suppressed } }
}

const write = ({ fields, level, message }: LogRecord.LogRecord): Effect.Effect<void> =>
  Effect.annotateLogs(
    Effect.logWithLevel(level)(message),
    Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
  )

const make = Effect.fnUntraced(function* (options: Options) {
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const format = yield* Effect.serviceOption(LogFormat.LogFormat)
  const now = () => clock.currentTimeMillisUnsafe()
  const limit = new LogLimit.LogLimit<LogRecord.Logged>()
  const contexts = new Map<Observation.Observation, Context.Context<never>>()
  const arrived = yield* Wake.make
  const held = yield* Wake.make
  let settings = Plans.logging()
  let least = ranks.Info
  let lines: Array<Line> = []
  let written = 0
  let lost = 0
  let told = 0
  let toldAt = Number.NEGATIVE_INFINITY
  let sampledOut = 0

  const offer = (line: Line): void => {
    if (lines.length >= capacity) lost += 1
    else if (lines.push(line) === 1) arrived.ring()
  }

  const observer: Observation.Observer = {
    onStart: (observation, context) => void contexts.set(observation, context),
    onEnd: (observation) => {
      const context = contexts.get(observation)
      contexts.delete(observation)
      if (ranks[LogRecord.levelOf(observation)] < least) return
      const share = observation.outcome === "completed" ? settings.sampleRatio : 1
      if (share < 1 && random.nextDoubleUnsafe() >= share) sampledOut += 1
      else offer({ of: observation, context, share })
    }
  }

  const listener = (change: StateChange.StateChange): void => {
    if (change._tag === "Reload" || !(options.stateChanges ?? settings.stateChanges)) return
    const key = LogRecord.keyOf(change)
    const said: LogLimit.Said<LogRecord.Logged> | undefined =
      key === undefined ? { item: change, suppressed: 0 } : limit.admit(key, change, settings.maxPerMinute, now())
    if (said !== undefined) offer(said)
    else held.ring()
  }

  const losses = Effect.suspend(() => {
    const count = lost - told
    if (count === 0 || now() - toldAt < lossInterval) return Effect.void
    told = lost
    toldAt = now()
    return write({
      level: "Warn",
      message: "log lines were lost",
      fields: { "echelon.event": "log", "echelon.lost": count }
    })
  })

  // Nobody comes between taking lines and writing them, so that none is lost when all ends.
  const drain = Semaphore.makeUnsafe(1)
    .withPermit(
      Effect.suspend(() => {
        const taken = lines
        lines = []
        return Effect.andThen(
          Effect.forEach(
            taken,
            (line) => {
              const record = recordOf(line)
              if (ranks[record.level] < least) return Effect.void
              written += 1
              const context = "of" in line ? line.context : undefined
              return context === undefined ? write(record) : Effect.provideContext(write(record), context)
            },
            { discard: true }
          ),
          losses
        )
      })
    )
    .pipe(Effect.uninterruptible)

  yield* Effect.forkScoped(
    Effect.forever(
      Effect.andThen(
        arrived.rung,
        Effect.suspend(() => {
          arrived.clear()
          return drain
        })
      )
    )
  )
  yield* Effect.forkScoped(
    Effect.forever(
      Effect.gen(function* () {
        yield* held.rung
        const at = limit.dueAt()
        if (at !== undefined) yield* Effect.sleep(Duration.millis(Math.max(1, at - now())))
        for (const said of limit.due(now())) offer(said)
        if (limit.dueAt() === undefined) held.clear()
      })
    )
  )
  // Must be added after the fibers, so that it runs before they end.
  yield* Effect.addFinalizer(() =>
    // All may end within the end of the last request, of which observers have not heard yet.
    Effect.andThen(
      Effect.yieldNow,
      Effect.suspend(() => {
        for (const said of limit.due(now(), true)) offer(said)
        toldAt = Number.NEGATIVE_INFINITY
        return drain
      })
    )
  )

  return RequestLog.of({
    observer,
    listener,
    configure: (next) => {
      settings = next
      least = next.level === "none" ? Number.POSITIVE_INFINITY : ranks[levelNames[next.level]]
      if (Option.isSome(format)) format.value.use(next.format)
      const isOn = options.requests ?? next.requests
      if (!isOn) contexts.clear()
      return isOn
    },
    stats: Effect.sync(() => ({ written, lost, sampledOut, waiting: lines.length }))
  })
})

const levelNames = { debug: "Debug", info: "Info", warn: "Warn", error: "Error" } as const
