/**
 * Writes files, with the folders that they need.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type * as PlatformError from "effect/PlatformError"

/**
 * Makes a folder and those above it, one by one: where the system says of a folder that is there that it is not, as
 * below `/proc`, a recursive `mkdir` of Node never ends.
 */
const makeFolder = Effect.fnUntraced(function* (folder: string) {
  const fs = yield* FileSystem.FileSystem
  const path = yield* Path.Path
  const isFolder = (at: string) =>
    Effect.map(Effect.option(fs.stat(at)), (info) => Option.isSome(info) && info.value.type === "Directory")
  const absent: Array<string> = []
  for (let at = path.resolve(folder); !(yield* isFolder(at)); at = path.dirname(at)) {
    absent.unshift(at)
    if (path.dirname(at) === at) break
  }
  for (const at of absent) {
    yield* Effect.catchIf(
      fs.makeDirectory(at),
      // Somebody else may have made it meanwhile.
      (error) => error.reason._tag === "AlreadyExists",
      (error) => Effect.flatMap(isFolder(at), (made) => (made ? Effect.void : Effect.fail(error)))
    )
  }
})

/**
 * Writes texts by the paths of their files. What is there already is overwritten.
 *
 * @since 0.1.0
 * @category running
 */
export const write = (
  files: ReadonlyArray<{ readonly file: string; readonly text: string }>
): Effect.Effect<void, PlatformError.PlatformError, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    for (const folder of new Set(files.map(({ file }) => path.dirname(file)))) yield* makeFolder(folder)
    for (const { file, text } of files) yield* fs.writeFileString(file, text)
  })

const codes: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  EROFS: "the file system is read-only",
  ENOENT: "it cannot be made there",
  ENOTDIR: "there is a file where a folder is needed",
  EEXIST: "a file, or a link to nothing, is in its place",
  EISDIR: "it is a folder",
  ELOOP: "symbolic links lead in a circle",
  ENAMETOOLONG: "the name is too long",
  ENOSPC: "no space is left"
}

/**
 * Says why something could not be written, and where.
 *
 * @since 0.1.0
 * @category getters
 */
export const why = ({ reason }: PlatformError.PlatformError): string => {
  if (reason._tag === "BadArgument") return `the files cannot be written: ${reason.message}`
  const { cause, pathOrDescriptor } = reason
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : ""
  const known = Object.hasOwn(codes, code) ? codes[code] : undefined
  return `${pathOrDescriptor ?? "the folder"} cannot be written: ${known ?? `the file system says ${code || reason._tag}`}`
}
