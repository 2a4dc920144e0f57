/**
 * Watches a folder of configuration, and looks at it again when something in it has changed.
 *
 * The file system's events only tell when to look. What is looked at is the content: so a rename into place, an
 * editor's temporary file and the swap of a symbolic link by Kubernetes all are what they come to. The folder is also
 * looked at now and then without an event, since network file systems and links deep inside tell of nothing.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"

/**
 * Options of `run`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly folder: string
  /** For so long nothing must change before it is looked at; milliseconds. */
  readonly debounce: Effect.Effect<number>
  /** Looks, and tells whether anything was different. */
  readonly look: Effect.Effect<boolean>
}

/** How often it is looked at without an event. */
const unasked = Duration.seconds(5)

/** Who never stops writing is looked at all the same. */
const longest = 20

/**
 * Watches until it is interrupted.
 *
 * **Details** It looks once at the beginning. After something was different the watcher is set up anew, since what it
 * watched may have been replaced. Each time nothing must have changed for the debounce before it looks. The folder
 * itself and its name in the one above are watched too, for a link or a folder that is renamed into place tells nothing
 * below it. Where watching is not possible it looks every five seconds.
 *
 * @since 0.1.0
 * @category running
 */
export const run = (options: Options): Effect.Effect<never, never, FileSystem.FileSystem | Path.Path> =>
  Effect.forever(Effect.scoped(untilChanged(options)))

const untilChanged = Effect.fnUntraced(function* ({ debounce, folder, look }: Options) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const events = yield* Queue.sliding<void>(1)
  const watch = (what: string, isRecursive: boolean, isMeant: (name: string) => boolean) =>
    fs.watch(what, { recursive: isRecursive }).pipe(
      Stream.filter((event) => isMeant(event.path)),
      Stream.runForEach(() => Queue.offer(events, undefined)),
      Effect.catch((error) => Effect.logDebug(`${what} cannot be watched: ${error.reason._tag}`)),
      Effect.forkScoped({ startImmediately: true })
    )
  const whole = path.resolve(folder)
  const own = path.basename(whole)
  yield* watch(folder, true, () => true)
  yield* watch(folder, false, () => true)
  if (own !== "") yield* watch(path.dirname(whole), false, (name) => name === own)
  // What came while no watcher stood, right after a reload above all, may be half of something.
  yield* quiet(events, yield* debounce)
  if (yield* look) return
  while (true) {
    const event = yield* Effect.timeoutOption(Queue.take(events), unasked)
    if (Option.isSome(event)) yield* quiet(events, yield* debounce)
    if (yield* look) return
  }
})

/** Waits until there is no event for so long. */
const quiet = Effect.fnUntraced(function* (events: Queue.Dequeue<void>, millis: number) {
  for (let i = 0; i < longest; i++) {
    const more = yield* Effect.timeoutOption(Queue.take(events), Duration.millis(millis))
    if (Option.isNone(more)) return
  }
})
