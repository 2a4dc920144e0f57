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

it.effect("a file that changes while the folder is read: the folder is read again", () =>
  Effect.gen(function* () {
    const { root, write } = yield* Folder.make({ "a.toml": "v = 1", "b.toml": "v = 1" })
    const fs = yield* FileSystem.FileSystem
    let changed = false
    // After a.toml is read and before b.toml is, both become the next version.
    const changing: FileSystem.FileSystem = {
      ...fs,
      readFile: (file) =>
        Effect.gen(function* () {
          if (file.endsWith("b.toml") && !changed) {
            changed = true
            yield* Effect.orDie(Effect.andThen(write("a.toml", "v = 2"), write("b.toml", "v = 2")))
          }
          return yield* fs.readFile(file)
        })
    }
    const tree = yield* Effect.provideService(ConfigTree.read(root), FileSystem.FileSystem, changing)
    expect(tree.files).toEqual({ "a.toml": "v = 2", "b.toml": "v = 2" })
  }).pipe(Effect.provide(Folder.services))
)

it.effect("a file that never stops changing: the last of ten readings counts", () =>
  Effect.gen(function* () {
    const { root } = yield* Folder.make({ "a.toml": "v = 0" })
    const fs = yield* FileSystem.FileSystem
    let reads = 0
    const changing: FileSystem.FileSystem = {
      ...fs,
      readFile: () => Effect.sync(() => new TextEncoder().encode(`v = ${++reads}`))
    }
    const tree = yield* Effect.provideService(ConfigTree.read(root), FileSystem.FileSystem, changing)
    expect(tree.files).toEqual({ "a.toml": "v = 10" })
  }).pipe(Effect.provide(Folder.services))
)

it.live("beside a writer, every reading is a state of the folder", () =>
  Effect.gen(function* () {
    const names = ["a.toml", "b.toml", "c.toml", "d.toml"]
    const version = (n: number) => Object.fromEntries(names.map((name) => [name, `v = ${n}`]))
    const { root, write } = yield* Folder.make(version(1))
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const writer = Effect.gen(function* () {
      for (let n = 2; ; n++) {
        for (const name of names) {
          yield* write(`${name}.new`, `v = ${n}`)
          yield* fs.rename(path.join(root, `${name}.new`), path.join(root, name))
        }
        yield* Effect.sleep("30 millis")
      }
    })
    yield* Effect.forkScoped(writer)
    const seen = new Set<number>()
    for (let i = 0; i < 60; i++) {
      const { files } = yield* ConfigTree.read(root)
      const versions = names.map((name) => Number(/\d+/.exec(files[name] ?? "")?.[0]))
      // Renamed in this order: each is as new as the next, or newer by one.
      expect([...versions].sort((a, b) => b - a)).toEqual(versions)
      expect((versions[0] ?? 0) - (versions[3] ?? 0)).toBeLessThanOrEqual(1)
      seen.add(versions[0] ?? 0)
    }
    expect(seen.size).toBeGreaterThan(1)
  }).pipe(Effect.scoped, Effect.provide(Folder.services))
)

it.effect("links of files in a circle are named", () =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const { root } = yield* Folder.make({ "global.toml": "a = 1" })
    yield* fs.symlink("self.toml", path.join(root, "self.toml"))
    yield* fs.symlink("b.toml", path.join(root, "a.toml"))
    yield* fs.symlink(path.join(root, "a.toml"), path.join(root, "b.toml"))
    const said = lines(yield* ConfigTree.read(root))
    expect(said[0]).toBe(
      "configs/a.toml:1:1 error a: symbolic links lead in a circle: configs/a.toml -> configs/b.toml -> configs/a.toml"
    )
    expect(said[2]).toBe(
      "configs/self.toml:1:1 error self: symbolic links lead in a circle: configs/self.toml -> configs/self.toml"
    )
    expect(said).toHaveLength(3)
  }).pipe(Effect.provide(Folder.services))
)

it.effect("an ending in upper case is not read, and a warning says so", () =>
  Effect.gen(function* () {
    const ignored = "not read, since the files that are end in .toml, in lower case; rename this one"
    const { root } = yield* Folder.make({
      "global.toml": "a = 1",
      "llms/groups/G.TOML": "b = 1",
      "llms/groups/h.Toml": "b = 1"
    })
    const tree = yield* ConfigTree.read(root)
    expect(lines(tree)).toEqual([
      `configs/llms/groups/G.TOML:1:1 warning llms.groups.G: ${ignored}`,
      `configs/llms/groups/h.Toml:1:1 warning llms.groups.h: ${ignored}`
    ])
    expect([Object.keys(tree.files), tree.unreadable]).toEqual([["global.toml"], []])
    const alone = yield* Folder.make({ "GLOBAL.TOML": "a = 1" })
    expect(lines(yield* ConfigTree.read(alone.root))).toEqual([
      `configs/GLOBAL.TOML:1:1 warning GLOBAL: ${ignored}`,
      "configs:1:1 error config: the folder holds no TOML file"
    ])
  }).pipe(Effect.provide(Folder.services))
)

it.effect("what bears the name of a file and is none is a warning", () =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const { root } = yield* Folder.make({ "global.toml": "a = 1", "llms/groups/d.toml/inner.toml": "b = 1" })
    yield* fs.symlink("/dev/zero", `${root}/zero.toml`)
    yield* fs.symlink("/dev/zero", `${root}/zero`)
    const tree = yield* ConfigTree.read(root)
    expect(Object.keys(tree.files)).toEqual(["global.toml", "llms/groups/d.toml/inner.toml"])
    expect(lines(tree)).toEqual([
      "configs/llms/groups/d.toml:1:1 warning llms.groups.d: this is a folder, where its name says that it is a file",
      "configs/zero.toml:1:1 warning zero: not read, since it is no file: a device"
    ])
  }).pipe(Effect.scoped, Effect.provide(Folder.services))
)
