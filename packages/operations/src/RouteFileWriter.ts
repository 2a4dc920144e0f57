/**
 * Appends lines to a file that is set aside before it grows beyond its bound, beside other processes that do the same.
 *
 * **Details** A line is written whole by one append, as `O_APPEND` keeps it from mixing with another's. Before each
 * write the path is looked at: when another process has set the file aside, the new one is opened. Who sets it aside
 * holds `FILE.lock` meanwhile; who finds it held goes on appending.
 *
 * @since 0.1.0
 */
import { dirname } from "node:path"
import type * as Plan from "@echelon/core/Plan"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import type * as PlatformError from "effect/PlatformError"
import * as Scope from "effect/Scope"

/**
 * What became of lines: so many of them, from the first on, are in the file, and why no more.
 *
 * @since 0.1.0
 * @category models
 */
export interface Written {
  readonly count: number
  readonly failure: string | undefined
}

/**
 * A writer.
 *
 * @since 0.1.0
 * @category models
 */
export interface Writer {
  /** Without lines it still opens the file, to see whether it can be written. */
  readonly write: (settings: Plan.RouteRecording, lines: ReadonlyArray<string>) => Effect.Effect<Written>
  readonly close: Effect.Effect<void>
}

/** What is written at once, in bytes. */
const chunkBytes = 64 * 1024

/** How old a lock is that its holder has left behind, in milliseconds. */
const staleLock = 10_000

/** Only its owner may read who asked what, and when. */
const mode = 0o600

interface Handle {
  readonly path: string
  readonly file: FileSystem.File
  readonly scope: Scope.Closeable
  readonly dev: bigint
  readonly ino: bigint | undefined
  /** Whether its last line was cut: the next must not become a part of it. */
  isTorn: boolean
}

/** What failed, by the system's code where there is one. */
const codeOf = ({ reason }: PlatformError.PlatformError): string => {
  const { cause } = reason
  const code: unknown = typeof cause === "object" && cause !== null ? Reflect.get(cause, "code") : undefined
  return typeof code === "string" ? code : reason._tag
}

const isMissing = ({ reason }: PlatformError.PlatformError): boolean => reason._tag === "NotFound"

const encoder = new TextEncoder()
const newline = 0x0a

/** Lines in chunks, and how many each holds. */
const chunksOf = (
  lines: ReadonlyArray<string>
): ReadonlyArray<{ readonly bytes: Uint8Array; readonly lines: number }> => {
  const found: Array<{ bytes: Uint8Array; lines: number }> = []
  let text = ""
  let count = 0
  const end = () => {
    if (count > 0) found.push({ bytes: encoder.encode(text), lines: count })
    text = ""
    count = 0
  }
  for (const line of lines) {
    // A letter has at most three bytes for each unit of its length.
    if (count > 0 && (text.length + line.length) * 3 > chunkBytes) end()
    text += line
    count += 1
  }
  end()
  return found
}

const wholeLines = (bytes: Uint8Array, length: number): number => {
  let count = 0
  for (let i = 0; i < length; i++) if (bytes[i] === newline) count += 1
  return count
}

/**
 * Makes a writer. It closes its file with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function* (fs: FileSystem.FileSystem) {
  // Made now, so that what its owner does at the end comes before this closes.
  const parent = yield* Scope.fork(yield* Scope.Scope)
  let current: Handle | undefined

  const close = Effect.suspend(() => {
    const open = current
    current = undefined
    return open === undefined ? Effect.void : Scope.close(open.scope, Exit.void)
  })

  const lookAt = (path: string) =>
    Effect.catch(Effect.asSome(fs.stat(path)), (error) => (isMissing(error) ? Effect.succeedNone : Effect.fail(error)))

  /** One by one: below `/proc` a recursive `mkdir` of Node never ends. */
  const makeFolder = (folder: string): Effect.Effect<void, PlatformError.PlatformError> =>
    Effect.catchIf(fs.makeDirectory(folder), isMissing, (error) =>
      dirname(folder) === folder
        ? Effect.fail(error)
        : Effect.andThen(makeFolder(dirname(folder)), fs.makeDirectory(folder))
    )

  const open = Effect.fnUntraced(function* (path: string) {
    yield* close
    const scope = yield* Scope.fork(parent)
    const opened = Scope.provide(fs.open(path, { flag: "a+", mode }), scope)
    return yield* Effect.gen(function* () {
      const file = yield* Effect.catch(opened, (error) =>
        isMissing(error) ? Effect.andThen(makeFolder(dirname(path)), opened) : Effect.fail(error)
      )
      const { dev, ino, size } = yield* file.stat
      const last = size > 0n ? yield* file.readAlloc(1, { position: size - 1n }) : Option.none()
      const isTorn = Option.isSome(last) && last.value[0] !== newline
      current = { path, file, scope, dev, ino: Option.getOrUndefined(ino), isTorn }
      return current
    }).pipe(Effect.onError(() => Scope.close(scope, Exit.void)))
  })

  /** The file at the path as it is now, and its size. */
  const ensure = Effect.fnUntraced(function* (path: string) {
    const found = yield* lookAt(path)
    const isSame =
      current !== undefined &&
      current.path === path &&
      Option.isSome(found) &&
      found.value.dev === current.dev &&
      Option.getOrUndefined(found.value.ino) === current.ino
    const handle = isSame && current !== undefined ? current : yield* open(path)
    const { size } = yield* handle.file.stat
    return { handle, size: Number(size) }
  })

  /** Sets the file aside. Tells whether it did: another process may be about to. */
  const rotate = Effect.fnUntraced(function* ({ file: path, keep, maxBytes }: Plan.RouteRecording, coming: number) {
    const lock = `${path}.lock`
    const locked = yield* fs.open(lock, { flag: "wx", mode }).pipe(
      Effect.as(true),
      Effect.catch((error) => (error.reason._tag === "AlreadyExists" ? Effect.succeed(false) : Effect.fail(error))),
      Effect.scoped
    )
    if (!locked) {
      const held = yield* lookAt(lock)
      const since = Option.flatMap(held, ({ mtime }) => mtime)
      const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
      if (Option.isSome(since) && now - since.value.getTime() > staleLock) yield* fs.remove(lock, { force: true })
      return false
    }
    return yield* Effect.gen(function* () {
      // Another may have done it before the lock was taken.
      const { size } = yield* ensure(path)
      if (size + coming <= maxBytes) return true
      yield* close
      for (let n = keep - 1; n >= 1; n--) {
        yield* Effect.catch(fs.rename(`${path}.${n}`, `${path}.${n + 1}`), (error) =>
          isMissing(error) ? Effect.void : Effect.fail(error)
        )
      }
      yield* fs.rename(path, `${path}.1`)
      return true
    }).pipe(Effect.ensuring(Effect.ignore(fs.remove(lock, { force: true }))))
  })

  const append = Effect.fnUntraced(function* (
    settings: Plan.RouteRecording,
    chunk: { readonly bytes: Uint8Array; readonly lines: number }
  ) {
    const { file: path, maxBytes } = settings
    const first = yield* ensure(path)
    const needed = chunk.bytes.length + 1
    let handle = first.handle
    if (first.size > 0 && first.size + needed > maxBytes) {
      const isDone = yield* rotate(settings, needed)
      // Whoever holds the lock may be gone: the bound stands all the same.
      if (!isDone && first.size + needed > 2 * maxBytes)
        return { count: 0, failure: "it is full and cannot be set aside" }
      handle = (yield* ensure(path)).handle
    }
    const bytes = handle.isTorn ? Buffer.concat([Uint8Array.of(newline), chunk.bytes]) : chunk.bytes
    const written = yield* handle.file.write(bytes)
    const ahead = bytes.length - chunk.bytes.length
    if (written === bytes.length) {
      handle.isTorn = false
      return { count: chunk.lines, failure: undefined }
    }
    handle.isTorn = written < ahead ? handle.isTorn : bytes[written - 1] !== newline
    return { count: wholeLines(bytes, written) - Math.min(ahead, written), failure: "it was written only in part" }
  })

  const write = (settings: Plan.RouteRecording, lines: ReadonlyArray<string>): Effect.Effect<Written> =>
    Effect.suspend(() => {
      let count = 0
      return Effect.gen(function* () {
        if (lines.length === 0) yield* ensure(settings.file)
        for (const chunk of chunksOf(lines)) {
          const done = yield* append(settings, chunk)
          count += done.count
          if (done.failure !== undefined) return { count, failure: done.failure }
        }
        return { count, failure: undefined }
      }).pipe(
        // The file may be gone for good: the next try opens it anew.
        Effect.catch((error) => Effect.as(close, { count, failure: codeOf(error) }))
      )
    })

  return { write, close } satisfies Writer
})
