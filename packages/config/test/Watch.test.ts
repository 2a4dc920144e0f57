import * as Watch from "@echelon/config/Watch"
import { expect, it } from "@effect/vitest"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Path from "effect/Path"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/testing/TestClock"

/** A watcher over a file system that only tells what the test says; `changed` is what the next looks find. */
const start = Effect.fnUntraced(function* (changed: ReadonlyArray<boolean>) {
  const watchers: Array<{ readonly what: string; readonly tell: Queue.Queue<FileSystem.WatchEvent> }> = []
  const looks: Array<number> = []
  const fs = FileSystem.layerNoop({
    watch: (what, options) =>
      Stream.unwrap(
        Effect.gen(function* () {
          const tell = yield* Queue.unbounded<FileSystem.WatchEvent>()
          const watcher = { what: `${what}${options?.recursive === true ? "/**" : ""}`, tell }
          watchers.push(watcher)
          yield* Effect.addFinalizer(() => Effect.sync(() => watchers.splice(watchers.indexOf(watcher), 1)))
          return Stream.fromQueue(tell)
        })
      )
  })
  const left = [...changed]
  const look = Effect.gen(function* () {
    looks.push(yield* Clock.currentTimeMillis)
    return left.shift() ?? false
  })
  yield* Effect.forkScoped(
    Watch.run({ folder: "/etc/app/configs", debounce: Effect.succeed(200), look }).pipe(
      Effect.provide(Layer.merge(fs, Path.layer))
    )
  )
  const tell = (what: string, path: string) =>
    Effect.forEach(
      watchers.filter((watcher) => watcher.what === what),
      (watcher) => Queue.offer(watcher.tell, { _tag: "Update", path }),
      { discard: true }
    )
  return { looks, tell, watched: () => watchers.map(({ what }) => what).sort() }
})

it.effect("looks once nothing has changed for the debounce, at the beginning too", () =>
  Effect.gen(function* () {
    const { looks, tell } = yield* start([])
    yield* TestClock.adjust(200)
    expect(looks).toEqual([200])
    yield* TestClock.adjust(800)
    yield* tell("/etc/app/configs/**", "a.toml")
    yield* TestClock.adjust(150)
    yield* tell("/etc/app/configs/**", "a.toml")
    yield* TestClock.adjust(199)
    expect(looks).toEqual([200])
    yield* TestClock.adjust(1)
    expect(looks).toEqual([200, 1_350])
  }).pipe(Effect.scoped)
)

it.effect("a change right after a reload has its debounce, too", () =>
  Effect.gen(function* () {
    const { looks, tell } = yield* start([false, true])
    yield* TestClock.adjust(1_000)
    yield* tell("/etc/app/configs/**", "a.toml")
    yield* TestClock.adjust(200)
    expect(looks).toEqual([200, 1_200])
    // Half of the next file is there, and the other half comes in a moment.
    yield* TestClock.adjust(100)
    yield* tell("/etc/app/configs/**", "b.toml")
    yield* TestClock.adjust(199)
    expect(looks).toEqual([200, 1_200])
    yield* TestClock.adjust(1)
    expect(looks).toEqual([200, 1_200, 1_500])
  }).pipe(Effect.scoped)
)

it.effect("hears of a link that is swapped in the folder, and of the folder that is swapped itself", () =>
  Effect.gen(function* () {
    const { looks, tell, watched } = yield* start([])
    yield* TestClock.adjust(1_000)
    expect(watched()).toEqual(["/etc/app", "/etc/app/configs", "/etc/app/configs/**"])
    yield* tell("/etc/app/configs", "..data")
    yield* TestClock.adjust(200)
    yield* tell("/etc/app", "other")
    yield* TestClock.adjust(200)
    yield* tell("/etc/app", "configs")
    yield* TestClock.adjust(200)
    expect(looks).toEqual([200, 1_200, 1_600])
  }).pipe(Effect.scoped)
)

it.effect("looks every five seconds without being told", () =>
  Effect.gen(function* () {
    const { looks } = yield* start([])
    yield* TestClock.adjust(10_200)
    expect(looks).toEqual([200, 5_200, 10_200])
  }).pipe(Effect.scoped)
)
