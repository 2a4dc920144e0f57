/**
 * The route record on disk: each request's route appended as a line to a file that never grows beyond its bound.
 *
 * Several processes may write to one file: lines are appended whole, and who finds that another has set the file aside
 * goes on in the new one.
 *
 * @since 0.1.0
 */
import * as Interpreter from "@echelon/core/Interpreter"
import type * as Observation from "@echelon/core/Observation"
import type * as Plan from "@echelon/core/Plan"
import * as RouteRecord from "@echelon/core/RouteRecord"
import * as Wake from "@echelon/core/Wake"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Semaphore from "effect/Semaphore"
import * as RouteFileWriter from "./RouteFileWriter.ts"

/**
 * How the recording does.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stats {
  /** Records that are in the file. */
  readonly written: number
  /** Records that are in no file: there was no room left in memory, or no file to write to when all ended. */
  readonly lost: number
  /** Attempts to write that failed; what they held is kept and tried again. */
  readonly failures: number
  /** Records that wait to be written. */
  readonly waiting: number
}

/**
 * The recording.
 *
 * **Details** A request is only noted on its way; a fiber makes its record and writes, once a second or after 1,000
 * requests. When the file cannot be written, because the disk is full or the path is not allowed, a warning says so
 * once, the records are kept, up to 8,192, and tried again after a second, then two, up to half a minute; what comes
 * beyond is lost and counted. No request ever fails or waits for it. Closing the Layer writes what is left.
 *
 * A crash loses what was noted since the last write, and may leave a torn line, which readers pass over.
 *
 * **Ordering** Must be provided to the Layer of the `Interpreter`, so that it closes after that: requests that end
 * while shutting down are recorded.
 *
 * @since 0.1.0
 * @category services
 */
export class RouteFile extends Context.Service<
  RouteFile,
  {
    /** Hears of requests. */
    readonly observer: Observation.Observer
    /** Goes on in this file from now on, or in none. */
    readonly configure: (settings: Plan.RouteRecording | undefined) => void
    /** Writes what was noted so far. It never fails: what could not be written is kept. */
    readonly flush: Effect.Effect<void>
    readonly stats: Effect.Effect<Stats>
  }
>()("@echelon/operations/RouteFile") {
  static readonly layer: Layer.Layer<RouteFile, never, FileSystem.FileSystem> = Layer.effect(
    RouteFile,
    Effect.suspend(() => make)
  )

  /**
   * Lets it hear of all requests of the interpreter, while the plan names a file.
   *
   * **Gotchas** It is not taken away when this Layer closes, but with the interpreter: what ends while that shuts down
   * is heard.
   */
  static readonly layerObserving: Layer.Layer<never, never, RouteFile | Interpreter.Interpreter> = Layer.effectDiscard(
    Effect.gen(function* () {
      const { configure, observer } = yield* RouteFile
      const { plan, registry } = yield* Interpreter.Interpreter
      const take = ({ logging }: Plan.Root): void => {
        configure(logging.routes)
        if (logging.routes === undefined) registry.observers.observers.delete(observer)
        else registry.observers.add(observer)
      }
      take(yield* plan)
      registry.listen((change) => {
        const next = change._tag === "Swapped" ? registry.plan() : undefined
        if (next !== undefined) take(next)
      })
    })
  )
}

/** Requests that may wait. */
const capacity = 8_192

/** Requests after which they are written before the interval is over, and the interval, in milliseconds. */
const batch = 1_000
const interval = 1_000

/** The longest wait between two tries. */
const longestWait = 30_000

/** How long the last write may take. */
const lastTry = "5 seconds"

/** Records that are made before others may go on. */
const slice = 100

const make = Effect.gen(function* () {
  const fs = yield* FileSystem.FileSystem
  const arrived = yield* Wake.make
  const full = yield* Wake.make
  const writer = yield* RouteFileWriter.make(fs)
  /** Where lines go; after it was switched off, where the last of them go. */
  let settings: Plan.RouteRecording | undefined
  let isOn = false
  const noted: Array<Observation.Observation> = []
  /** Lines that could not be written yet. */
  let lines: Array<string> = []
  let written = 0
  let lost = 0
  let told = 0
  let failures = 0
  let isFailing = false
  let wait = 0
  const waiting = () => noted.length + lines.length

  const encode = Effect.gen(function* () {
    for (let left = noted.length; left > 0; left -= slice) {
      for (const one of noted.splice(0, slice)) lines.push(RouteRecord.lineOf(one))
      if (left > slice) yield* Effect.yieldNow
    }
  })

  const tell = (failure: string | undefined, file: string): Effect.Effect<void> => {
    const count = lost - told
    if (failure !== undefined) {
      if (isFailing) return Effect.void
      isFailing = true
      return Effect.logWarning(`routes: ${file} cannot be written (${failure}); records are kept and tried again`)
    }
    if (!isFailing) return Effect.void
    isFailing = false
    told = lost
    return Effect.logInfo(`routes: ${file} is written again${count === 0 ? "" : `; ${count} records were lost`}`)
  }

  const one = Semaphore.makeUnsafe(1).withPermit
  const flush = one(
    Effect.gen(function* () {
      const to = settings
      yield* encode
      if (to === undefined) {
        lost += lines.length
        lines = []
        return
      }
      const taken = lines
      // A file that is not recorded to any more is not made anew.
      if (!isOn && taken.length === 0) return yield* writer.close
      const { failure, count } = yield* writer.write(to, taken)
      written += count
      lines = taken.slice(count)
      if (failure !== undefined) failures += 1
      wait = failure === undefined ? 0 : Math.min(Math.max(wait * 2, interval), longestWait)
      yield* tell(failure, to.file)
      if (!isOn) yield* writer.close
    })
  )

  yield* Effect.forkScoped(
    Effect.forever(
      Effect.gen(function* () {
        yield* arrived.rung
        if (wait > 0 || noted.length < batch)
          yield* Effect.raceFirst(full.rung, Effect.sleep(Duration.millis(wait || interval)))
        arrived.clear()
        full.clear()
        yield* flush
        if (waiting() > 0) arrived.ring()
      })
    )
  )

  // Must be added after the fiber, so that it runs before that ends.
  yield* Effect.addFinalizer(() =>
    // All may end within the end of the last request, of which observers have not heard yet.
    Effect.andThen(Effect.yieldNow, flush).pipe(
      // A finalizer is not, and a disk that hangs must not keep a program from ending.
      Effect.interruptible,
      Effect.timeoutOption(lastTry),
      Effect.andThen(
        Effect.suspend(() => {
          lost += waiting()
          return lost === told
            ? Effect.void
            : Effect.logWarning(`routes: ${lost - told} records could not be written at the end and are lost`)
        })
      )
    )
  )

  return RouteFile.of({
    observer: {
      onEnd: (observation) => {
        if (waiting() >= capacity) {
          lost += 1
          return
        }
        const count = noted.push(observation)
        if (count === 1) arrived.ring()
        else if (count === batch) full.ring()
      }
    },
    configure: (next) => {
      isOn = next !== undefined
      arrived.ring()
      if (next === undefined) return
      const isNew = next.file !== settings?.file
      settings = next
      if (!isNew) return
      isFailing = false
      wait = 0
      // An operator is told at once of a path that will not do.
      full.ring()
    },
    flush: Effect.uninterruptible(flush),
    stats: Effect.sync(() => ({ written, lost, failures, waiting: waiting() }))
  })
})
