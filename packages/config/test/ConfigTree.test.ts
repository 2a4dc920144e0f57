import * as ConfigTree from "@echelon/config/ConfigTree"
import * as Problem from "@echelon/config/Problem"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as PlatformError from "effect/PlatformError"
import * as Folder from "./support/Folder.ts"

const lines = (tree: ConfigTree.ConfigTree): ReadonlyArray<string> =>
  tree.problems.map((problem) => Folder.short(Problem.format(problem)))

it.effect("reads every TOML file below a folder, and nothing else", () =>
  Effect.gen(function* () {
    const { root } = yield* Folder.make({
      "global.toml": "a = 1",
      "llms/groups/g.toml": "\ufeffb = 2\r\n",
      "README.md": "x",
      ".hidden.toml": "x",
      ".git/config.toml": "x"
    })
    const tree = yield* ConfigTree.read(root)
    expect(tree).toEqual({
      root,
      files: { "global.toml": "a = 1", "llms/groups/g.toml": "b = 2\r\n" },
      unreadable: [],
      problems: []
    })
  }).pipe(Effect.provide(Folder.services))
)

it.effect("a folder that is missing, is a file, or is empty", () =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const { root } = yield* Folder.make({ "global.toml": "a = 1" })
    expect(lines(yield* ConfigTree.read(path.join(root, "gone")))).toEqual([
      "configs/gone:1:1 error config: there is no such folder"
    ])
    expect(lines(yield* ConfigTree.read(path.join(root, "global.toml")))).toEqual([
      "configs/global.toml:1:1 error config: this is a file; expected a folder of TOML files"
    ])
    yield* fs.remove(path.join(root, "global.toml"))
    expect(lines(yield* ConfigTree.read(root))).toEqual(["configs:1:1 error config: the folder holds no TOML file"])
  }).pipe(Effect.provide(Folder.services))
)

it.effect("files that are not UTF-8 or too large, and the rest all the same", () =>
  Effect.gen(function* () {
    const { root } = yield* Folder.make({
      "global.toml": "a = 1",
      "llms/groups/latin.toml": new Uint8Array([0x61, 0x0a, 0x62, 0x0a, 0x22, 0xe9, 0x22, 0x0a]),
      "llms/groups/utf16.toml": new Uint8Array([0xff, 0xfe, 0x61, 0x00]),
      "llms/groups/large.toml": "#".repeat(1_048_577),
      "llms/groups/limit.toml": "#".repeat(1_048_576)
    })
    const tree = yield* ConfigTree.read(root)
    expect(lines(tree)).toEqual([
      "configs/llms/groups/large.toml:1:1 error llms.groups.large: the file has 1048577 bytes; at most 1048576 (1 MiB) are read",
      "configs/llms/groups/latin.toml:3:1 error llms.groups.latin: the file is not UTF-8",
      "configs/llms/groups/utf16.toml:1:1 error llms.groups.utf16: the file is not UTF-8"
    ])
    expect(Object.keys(tree.files)).toEqual(["global.toml", "llms/groups/limit.toml"])
    expect(tree.unreadable).toHaveLength(3)
  }).pipe(Effect.provide(Folder.services))
)

it.effect("follows links, but not in a circle", () =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const { root } = yield* Folder.make({ "global.toml": "a = 1", "llms/groups/g.toml": "b = 2" })
    yield* fs.symlink(path.join(root, "llms"), path.join(root, "llms/groups/loop"))
    yield* fs.symlink(path.join(root, "global.toml"), path.join(root, "llms/link.toml"))
    yield* fs.symlink(path.join(root, "llms/groups"), path.join(root, "again"))
    const tree = yield* ConfigTree.read(root)
    expect(lines(tree)).toContain(
      "configs/llms/groups/loop:1:1 error llms.groups.loop: a symbolic link leads back to configs/llms"
    )
    expect(tree.files["llms/link.toml"]).toBe("a = 1")
    expect(tree.files["again/g.toml"]).toBe("b = 2")
  }).pipe(Effect.provide(Folder.services))
)

it.effect("says why a file cannot be read", () =>
  Effect.gen(function* () {
    const { root } = yield* Folder.make({ "global.toml": "a = 1", "b.toml": "b = 1" })
    const fs = yield* FileSystem.FileSystem
    const denied = (file: string) =>
      Effect.fail(
        PlatformError.systemError({
          _tag: "PermissionDenied",
          module: "FileSystem",
          method: "readFile",
          pathOrDescriptor: file
        })
      )
    const guarded: FileSystem.FileSystem = {
      ...fs,
      readFile: (file) => (file.endsWith("b.toml") ? denied(file) : fs.readFile(file))
    }
    const tree = yield* Effect.provideService(ConfigTree.read(root), FileSystem.FileSystem, guarded)
    expect(lines(tree)).toEqual(["configs/b.toml:1:1 error b: cannot be read: permission denied"])
    expect(Object.keys(tree.files)).toEqual(["global.toml"])
  }).pipe(Effect.provide(Folder.services))
)
