import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { appendFile, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { Clients, InstanceFactory, Interpreter, Orchestrator, type Plan, Plans } from "@echelon/core"
import * as RouteRecord from "@echelon/core/RouteRecord"
import * as RouteFile from "@echelon/operations/RouteFile"
import * as RouteFileWriter from "@echelon/operations/RouteFileWriter"
import { ScriptedLlm } from "@echelon/testing"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { expect, it } from "@effect/vitest"
import { Duration, Effect, Exit, FileSystem, Layer, Logger, References, Scope } from "effect"

const folder = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "echelon-"))),
  (root) => Effect.promise(() => rm(root, { recursive: true, force: true }))
)
const text = (path: string) => Effect.promise(() => readFile(path, "utf8"))
const linesOf = (content: string) => content.split("\n").filter((line) => line !== "")
const records = (path: string) => Effect.map(text(path), (content) => linesOf(content).map(RouteRecord.decode))

const provider = Plans.provider({ name: "openai", kind: "openai-compatible" })
const planned = (routes: Plan.RouteRecording | undefined): Plan.Root => ({
  ...Plans.root({
    instances: [Plans.instance({ name: "a", provider, alias: "a", model: Plans.model({ model: "wire-a" }) })],
    groups: [Plans.group("chat", [Plans.echelon("chat", 1, ["a"], { maxRetries: 0 })])]
  }),
  logging: Plans.logging({ routes })
})
const scripts = (script: ScriptedLlm.Options["script"]) =>
  Layer.merge(
    Layer.succeed(InstanceFactory.InstanceFactory, {
      make: ({ model, name: id }) =>
        Effect.map(ScriptedLlm.make({ id, model: model.model, script }), ({ llm }) => ({
          llm,
          probe: Effect.succeed(Duration.zero)
        }))
    }),
    Layer.mock(Clients.Clients, {})
  )
const layerOf = (
  routes: Plan.RouteRecording | undefined,
  script: ScriptedLlm.Options["script"] = ScriptedLlm.text("hello")
) =>
  Layer.mergeAll(Orchestrator.layer, RouteFile.RouteFile.layerObserving).pipe(
    Layer.provideMerge(Interpreter.Interpreter.layer(planned(routes))),
    Layer.provide(scripts(script)),
    Layer.provideMerge(RouteFile.RouteFile.layer),
    Layer.provide(NodeFileSystem.layer)
  )
const ask = (prompt = "hi") => Orchestrator.generate({ prompt, metadata: { groupName: "chat", requestId: "mine" } })
const settings = (file: string, maxBytes = 65_536, keep = 1): Plan.RouteRecording => ({ file, maxBytes, keep })

const logs = () => {
  const lines: Array<string> = []
  const layer = Logger.layer([
    Logger.make(({ logLevel, message }) => void lines.push(`${logLevel} ${String(message)}`))
  ])
  return { lines, layer: Layer.merge(layer, Layer.succeed(References.MinimumLogLevel, "Info")) }
}

it.live("requests are in the file once all has closed, with nothing of what was said", () =>
  Effect.gen(function* () {
    const file = join(yield* folder, "deep", "routes.jsonl")
    const scope = yield* Scope.make()
    const failing = [...ScriptedLlm.text("planted-answer").slice(0, -1), ScriptedLlm.fail({ _tag: "ContentPolicy" })]
    const context = yield* Scope.provide(Layer.build(layerOf(settings(file), failing)), scope)
    yield* Effect.forEach(Array.from({ length: 25 }), () => Effect.exit(ask("planted-prompt")), {
      discard: true
    }).pipe(Effect.provideContext(context))
    yield* Scope.close(scope, Exit.void)
    const found = yield* records(file)
    expect(found.length).toBe(25)
    expect(found[0]).toMatchObject({
      _tag: "Record",
      record: { id: "mine", outcome: "failed", reason: "ContentPolicy", attempts: [{ instance: "a" }] }
    })
    expect(yield* text(file)).not.toContain("planted")
    expect((yield* Effect.promise(() => stat(file))).mode & 0o777).toBe(0o600)
  })
)

it.live("a reload switches it on and off, and to another file", () =>
  Effect.gen(function* () {
    const root = yield* folder
    const [one, two] = [join(root, "one.jsonl"), join(root, "two.jsonl")]
    yield* Effect.gen(function* () {
      const { registry, swap } = yield* Interpreter.Interpreter
      const { flush } = yield* RouteFile.RouteFile
      yield* ask()
      expect([registry.observers.isIdle(), existsSync(one)]).toEqual([true, false])
      yield* swap(planned(settings(one)))
      yield* ask()
      yield* flush
      yield* swap(planned(settings(two)))
      yield* ask()
      yield* ask()
      yield* swap(planned(undefined))
      yield* ask()
      yield* flush
      expect(registry.observers.isIdle()).toBe(true)
    }).pipe(Effect.provide(layerOf(undefined)))
    expect([(yield* records(one)).length, (yield* records(two)).length]).toEqual([1, 2])
  })
)

it.live("a file that cannot be written fails no request, is told once, counted, and made good when it can", () =>
  Effect.gen(function* () {
    const root = yield* folder
    const { layer: loggers, lines } = logs()
    yield* Effect.promise(() => writeFile(join(root, "blocked"), ""))
    const file = join(root, "blocked", "routes.jsonl")
    yield* Effect.gen(function* () {
      const { flush, observer, stats } = yield* RouteFile.RouteFile
      const answer = yield* ask()
      expect(answer.text).toBe("hello")
      for (let i = 0; i < 3; i++) yield* flush
      expect(yield* stats).toMatchObject({ written: 0, lost: 0, waiting: 1 })
      expect((yield* stats).failures).toBeGreaterThanOrEqual(3)
      expect(lines).toEqual([`Warn routes: ${file} cannot be written (ENOTDIR); records are kept and tried again`])
      for (let i = 0; i < 9_000; i++) observer.onEnd?.(observation)
      expect(yield* stats).toMatchObject({ lost: 809, waiting: 8_192 })
      yield* Effect.promise(() => rm(join(root, "blocked")))
      yield* flush
      expect(yield* stats).toMatchObject({ written: 8_192, lost: 809, waiting: 0 })
      expect(lines.slice(1)).toEqual([`Info routes: ${file} is written again; 809 records were lost`])
    }).pipe(Effect.provide(layerOf(settings(file, 64 * 1024 * 1024))), Effect.provide(loggers))
    expect((yield* records(file)).filter(({ _tag }) => _tag === "Record").length).toBe(8_192)
  })
)

const observation = {
  id: "x",
  target: { kind: "group", name: "chat" },
  wrapper: undefined,
  pool: undefined,
  group: "chat",
  tenant: undefined,
  priority: "normal",
  tags: [],
  operation: "chat",
  isStream: false,
  isMeasured: true,
  isAlerting: true,
  startedAt: 0,
  queuedMs: 0,
  committedAt: 1,
  endedAt: 2,
  outcome: "completed",
  reason: undefined,
  error: undefined,
  attempts: []
} as const

it.live("a full disk is told, and what could not be written at the end is counted", () =>
  Effect.gen(function* () {
    if (!existsSync("/dev/full")) return void process.stdout.write("there is no /dev/full here: not run\n")
    const { layer: loggers, lines } = logs()
    yield* ask().pipe(Effect.provide(layerOf(settings("/dev/full"))), Effect.provide(loggers))
    expect(lines).toEqual([
      "Warn routes: /dev/full cannot be written (ENOSPC); records are kept and tried again",
      "Warn routes: 1 records could not be written at the end and are lost"
    ])
  })
)

const writing = Effect.gen(function* () {
  return yield* RouteFileWriter.make(yield* FileSystem.FileSystem)
}).pipe(Effect.provide(NodeFileSystem.layer))
const numbered = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => `${from + i} ${"x".repeat(1_000)}\n`)

it.live("the file never grows beyond its bound, and so many are kept aside", () =>
  Effect.gen(function* () {
    const root = yield* folder
    const file = join(root, "routes.jsonl")
    const writer = yield* writing
    for (let from = 0; from < 500; from += 50) {
      expect(yield* writer.write(settings(file, 65_536, 2), numbered(from, 50))).toEqual({
        count: 50,
        failure: undefined
      })
    }
    const names = (yield* Effect.promise(() => readdir(root))).sort()
    expect(names).toEqual(["routes.jsonl", "routes.jsonl.1", "routes.jsonl.2"])
    const sizes = yield* Effect.forEach(names, (name) => Effect.promise(() => stat(join(root, name))))
    expect(Math.max(...sizes.map(({ size }) => size))).toBeLessThanOrEqual(65_536)
    const kept = yield* Effect.forEach([...names].reverse(), (name) => text(join(root, name)))
    const numbers = linesOf(kept.join("")).map((line) => Number(line.split(" ")[0]))
    expect(numbers).toEqual(Array.from({ length: numbers.length }, (_, i) => 500 - numbers.length + i))
    expect(numbers.length).toBeGreaterThan(100)
  })
)

it.live("a line that a killed process left torn does not spoil the next", () =>
  Effect.gen(function* () {
    const file = join(yield* folder, "routes.jsonl")
    yield* Effect.promise(() => appendFile(file, '{"v":1,"id":"to'))
    const writer = yield* writing
    yield* writer.write(settings(file), ["whole\n"])
    expect(yield* text(file)).toBe('{"v":1,"id":"to\nwhole\n')
  })
)

it.live("a file that somebody moves or removes is made anew", () =>
  Effect.gen(function* () {
    const file = join(yield* folder, "routes.jsonl")
    const writer = yield* writing
    yield* writer.write(settings(file), ["one\n"])
    yield* Effect.promise(() => rm(file))
    yield* writer.write(settings(file), ["two\n"])
    expect(yield* text(file)).toBe("two\n")
    // As another process does when it sets it aside.
    yield* Effect.promise(() => rename(file, `${file}.1`))
    yield* Effect.promise(() => writeFile(file, "theirs\n"))
    yield* writer.write(settings(file), ["three\n"])
    expect([yield* text(file), yield* text(`${file}.1`)]).toEqual(["theirs\nthree\n", "two\n"])
  })
)

it.live(
  "a lock that was left behind ends after a while; until then the file grows to twice its bound, no further",
  () =>
    Effect.gen(function* () {
      const file = join(yield* folder, "routes.jsonl")
      yield* Effect.promise(() => writeFile(`${file}.lock`, ""))
      const writer = yield* writing
      const done = yield* writer.write(settings(file), numbered(0, 200))
      expect(done).toEqual({ count: expect.any(Number), failure: "it is full and cannot be set aside" })
      expect((yield* Effect.promise(() => stat(file))).size).toBeLessThanOrEqual(2 * 65_536)
      const { utimes } = yield* Effect.promise(() => import("node:fs/promises"))
      yield* Effect.promise(() => utimes(`${file}.lock`, 0, 0))
      const rest = numbered(done.count, 200 - done.count)
      yield* writer.write(settings(file), rest)
      expect((yield* writer.write(settings(file), rest)).failure).toBeUndefined()
      expect(existsSync(`${file}.1`)).toBe(true)
    })
)

it.live(
  "two processes neither mix nor lose lines, while both set the file aside",
  () =>
    Effect.gen(function* () {
      const root = yield* folder
      const file = join(root, "routes.jsonl")
      const child = fileURLToPath(new URL("./support/routeWriterChild.ts", import.meta.url))
      const run = (name: string) =>
        Effect.promise(
          () =>
            new Promise<number | null>((resolve, reject) => {
              spawn(process.execPath, [child, file, name, "150"], { stdio: "inherit" })
                .on("error", reject)
                .on("close", resolve)
            })
        )
      expect(yield* Effect.all([run("left"), run("right")], { concurrency: 2 })).toEqual([0, 0])
      const names = yield* Effect.promise(() => readdir(root))
      const all = yield* Effect.forEach(names, (name) => text(join(root, name)))
      const lines = linesOf(all.join(""))
      expect(names.length).toBeGreaterThan(5)
      expect(lines.filter((line) => !/^(left|right) \d+ x{300}$/.test(line))).toEqual([])
      expect([lines.length, new Set(lines).size]).toEqual([3_000, 3_000])
    }),
  60_000
)
