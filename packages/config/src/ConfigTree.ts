/**
 * Reads a folder of TOML files through effect's `FileSystem`.
 *
 * @since 0.1.0
 */
import * as ByteSize from "effect/ByteSize"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"
import * as Origin from "./Origin.ts"
import * as Problem from "./Problem.ts"

/**
 * What a folder holds. Files are keyed by their path in the folder, with `/`.
 *
 * @since 0.1.0
 * @category models
 */
export interface ConfigTree {
  /** The folder's own name, with which problems show its files. */
  readonly root: string
  readonly files: Readonly<Record<string, string>>
  /** Files that are there and could not be read. */
  readonly unreadable: ReadonlyArray<string>
  readonly problems: ReadonlyArray<Problem.Problem>
}

/** A configuration is written by people; what is larger is something else. */
const maxBytes = 1_048_576
const maxFiles = 2_000
const maxDepth = 16
const maxLinks = 40

/** For so often and so long a folder that keeps changing is read again. */
const maxReadings = 10
const maxMillis = 2_000

/** The line of the first byte sequence that is no UTF-8. */
const badLine = (bytes: Uint8Array, decoder: TextDecoder): number => {
  let start = 0
  for (let line = 1; ; line++) {
    const end = bytes.indexOf(0x0a, start)
    const last = end < 0
    try {
      decoder.decode(bytes.subarray(start, last ? bytes.length : end))
    } catch {
      // The decoder says that a text is not UTF-8 only by throwing.
      return line
    }
    if (last) return 1
    start = end + 1
  }
}

const decodeText = (bytes: Uint8Array): { readonly text: string } | { readonly line: number } => {
  const decoder = new TextDecoder("utf-8", { fatal: true })
  try {
    return { text: decoder.decode(bytes) }
  } catch {
    // As above.
    return { line: badLine(bytes, decoder) }
  }
}

/** Node says by this code that links lead nowhere but to one another. */
const isLoop = ({ reason }: PlatformError.PlatformError): boolean =>
  typeof reason.cause === "object" && reason.cause !== null && "code" in reason.cause && reason.cause.code === "ELOOP"

const why = (error: PlatformError.PlatformError): string => {
  switch (error.reason._tag) {
    case "NotFound":
      return "it does not exist"
    case "PermissionDenied":
      return "permission denied"
    default:
      return `the file system says ${error.reason._tag}`
  }
}

/** What may bear a name that ends in `.toml` without being a file. */
const kinds: Readonly<Record<string, string>> = {
  BlockDevice: "a device",
  CharacterDevice: "a device",
  FIFO: "a pipe",
  Socket: "a socket"
}

const keyOf = (place: string): string => Origin.formatPath(place.split("/"))

/** One pass over the folder, and what the file system said of each file then: modified when, which inode. */
interface Reading {
  readonly tree: ConfigTree
  readonly stamps: ReadonlyArray<string>
}

const readOnce = (config: string): Effect.Effect<Reading, never, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const root = config.replace(/\/+$/, "") || config
    const files: Record<string, string> = Object.create(null)
    const unreadable: Array<string> = []
    const problems: Array<Problem.Problem> = []
    const stamps: Array<string> = []
    const limits = { files: 0, full: false }
    const shown = (relative: string): string => (relative === "" ? root : `${root}/${relative}`)
    const report = (code: Problem.Code, relative: string, message: string, line = 1): void => {
      if (relative.endsWith(".toml")) unreadable.push(relative)
      const key = keyOf(relative.replace(/\.toml$/, ""))
      problems.push(Problem.error(code, Origin.file(shown(relative), line), relative === "" ? "config" : key, message))
    }

    const readFile = Effect.fnUntraced(function* (relative: string, size: ByteSize.ByteSize) {
      const bytes = ByteSize.toNumberUnsafe(size)
      if (bytes > maxBytes) {
        return report("size", relative, `the file has ${bytes} bytes; at most ${maxBytes} (1 MiB) are read`)
      }
      const result = decodeText(yield* fs.readFile(path.join(config, relative)))
      if ("text" in result) files[relative] = result.text
      else report("encoding", relative, "the file is not UTF-8", result.line)
    })

    /** The links from one to the next, until one comes again. */
    const chainOf = Effect.fnUntraced(function* (relative: string) {
      const folder = yield* fs.realPath(config)
      const chain: Array<string> = []
      let link = path.resolve(folder, relative)
      while (!chain.includes(link) && chain.length < maxLinks) {
        chain.push(link)
        link = path.resolve(path.dirname(link), yield* fs.readLink(link))
      }
      return [...chain, link].map((one) => {
        const below = path.relative(folder, one).replaceAll("\\", "/")
        return below.startsWith("..") ? one : shown(below)
      })
    })

    const reportFailure = (relative: string, error: PlatformError.PlatformError): Effect.Effect<void> =>
      isLoop(error)
        ? chainOf(relative).pipe(
            // What the links say besides cannot be told; that they form a loop can.
            Effect.orElseSucceed((): ReadonlyArray<string> => []),
            Effect.map((chain) =>
              report(
                "loop",
                relative,
                `symbolic links lead in a circle${chain.length > 0 ? `: ${chain.join(" -> ")}` : ""}`
              )
            )
          )
        : Effect.sync(() => report("unreadable", relative, `cannot be read: ${why(error)}`))

    const visit: (relative: string, above: ReadonlyArray<string>) => Effect.Effect<void, PlatformError.PlatformError> =
      Effect.fnUntraced(function* (relative, above) {
        const here = yield* fs.realPath(path.join(config, relative))
        if (above.includes(here)) {
          const target = path.relative(above[0] ?? here, here).replaceAll("\\", "/")
          return report("loop", relative, `a symbolic link leads back to ${shown(target)}`)
        }
        if (above.length >= maxDepth) return report("loop", relative, `more than ${maxDepth} folders deep`)
        const names = yield* fs.readDirectory(path.join(config, relative))
        for (const name of [...names].sort()) {
          if (name.startsWith(".") || limits.full) continue
          const below = relative === "" ? name : `${relative}/${name}`
          yield* Effect.gen(function* () {
            const info = yield* fs.stat(path.join(config, below))
            const ignore = (message: string): void =>
              void problems.push(
                Problem.warning("folder", Origin.file(shown(below)), keyOf(below.replace(/\.toml$/i, "")), message)
              )
            if (info.type === "Directory") {
              if (name.endsWith(".toml")) ignore("this is a folder, where its name says that it is a file")
              return yield* visit(below, [...above, here])
            }
            if (info.type !== "File") {
              if (name.endsWith(".toml"))
                ignore(`not read, since it is no file: ${kinds[info.type] ?? "something else"}`)
              return
            }
            if (!name.endsWith(".toml")) {
              if (!/\.toml$/i.test(name)) return
              return ignore("not read, since the files that are end in .toml, in lower case; rename this one")
            }
            if (++limits.files > maxFiles) {
              limits.full = true
              return report("folder", "", `more than ${maxFiles} files; is this the folder of a configuration?`)
            }
            const modified = Option.map(info.mtime, (time) => time.getTime())
            stamps.push(
              [below, info.size, Option.getOrElse(modified, () => 0), Option.getOrElse(info.ino, () => 0)].join()
            )
            return yield* readFile(below, info.size)
          }).pipe(Effect.catch((error) => reportFailure(below, error)))
        }
      })

    yield* Effect.gen(function* () {
      const info = yield* fs.stat(config)
      if (info.type !== "Directory") return report("folder", "", "this is a file; expected a folder of TOML files")
      yield* visit("", [])
      if (limits.files === 0 && !problems.some(Problem.isError)) {
        report("folder", "", "the folder holds no TOML file")
      }
    }).pipe(
      Effect.catch((error) => {
        const missing = error.reason._tag === "NotFound"
        report("folder", "", missing ? "there is no such folder" : `cannot be read: ${why(error)}`)
        return Effect.void
      })
    )
    return { tree: { root, files, unreadable, problems }, stamps }
  })

/**
 * Reads every `*.toml` below a folder. Names that begin with a dot are passed over; links are followed.
 *
 * **Details** A file is at most 1 MiB of UTF-8, with or without a byte order mark, with either line ending. There
 * are at most 2,000 files and 16 levels. What cannot be read is an error, and the rest is read all the same;
 * a name that ends in `.TOML` is not read, nor is a device or a pipe, which is a warning.
 *
 * The files belong together: the folder is read until it is twice the same, so that what is given was there at one
 * moment. After ten readings, or two seconds, the last one counts.
 *
 * @since 0.1.0
 * @category constructors
 */
export const read = (config: string): Effect.Effect<ConfigTree, never, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const start = yield* Clock.currentTimeMillis
    let last = yield* readOnce(config)
    for (let readings = 1; readings < maxReadings; readings++) {
      const next = yield* readOnce(config)
      if (Equal.equals(last, next)) break
      last = next
      if ((yield* Clock.currentTimeMillis) - start >= maxMillis) break
    }
    return last.tree
  })
