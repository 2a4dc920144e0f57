import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { ConfigManagement, Control, Echelon, Interpreter, Orchestrator, type StateChange } from "@echelon/echelon"
import { FaultServer } from "@echelon/testing"
import { expect, it } from "@effect/vitest"
import { Effect, Fiber, Queue, Schedule, Stream } from "effect"

/** What a version of the tree says: its number is in the model's name, in a setting and in a limit. */
const tree = (version: number, url: string): Readonly<Record<string, string>> => ({
  "global.toml": "[reload]\ndebounce = 0.02\n",
  "llms/provider/local.toml": `kind = "openai-compatible"
base_url = "${url}/v1"
[models.moving]
model = "moving-${version}"
[models.still]
model = "still"
`,
  "llms/groups/chat.toml": `[echelon1]
models = ["local-moving", "local-still"]
max_tokens = ${1_000 + version}
concurrency_limit = ${400 + version}
[fallback_config.circuit_breaker]
failure_threshold = ${1_000 + version}
`,
  "llms/polling_pools/pool.toml": 'task_groups = ["chat"]\n',
  "llms/wrappers/front.toml": `type = "pool"
[default_config]
pool_name = "pool"
[performance]
max_concurrent_requests = ${300 + version}
queue_size = 500
`
})

const folder = Effect.acquireRelease(
  Effect.promise(() => mkdtemp(join(tmpdir(), "echelon-reload-"))),
  (path) => Effect.promise(() => rm(path, { recursive: true, force: true }))
)

/** Writes as careful programs do: beside, then renamed into place. */
const write = (root: string, files: Readonly<Record<string, string>>) =>
  Effect.promise(async () => {
    for (const [name, content] of Object.entries(files)) {
      const path = join(root, name)
      await mkdir(dirname(path), { recursive: true })
      await writeFile(`${path}.tmp`, content)
      await rename(`${path}.tmp`, path)
    }
  })

const reloads = 100
const readers = 200

/** How often a state is looked at that nothing tells of. */
const poll = Schedule.spaced("5 millis")

it.live(
  "hundreds of streams through a hundred reloads: none lost, none mixed, nothing left behind",
  () =>
    Effect.gen(function* () {
      // The answer says what was asked with, one word an event.
      const server = yield* FaultServer.make({
        script: ({ body, index, model }) => {
          const { max_tokens } = body as { readonly max_tokens?: number }
          const answer = FaultServer.ok(`asked ${model} for ${max_tokens} and said so in so many words`)
          // Long enough that many are under way at every reload.
          return FaultServer.withSlowFirstToken(answer, `${300 + ((index * 37) % 600)} millis`)
        }
      })
      const config = yield* folder
      yield* write(config, tree(0, server.url))
      const left = yield* Effect.scoped(
        Effect.gen(function* () {
          const management = yield* ConfigManagement.ConfigManagement
          const control = yield* Control.Control
          let isDone = false
          const answers: Array<{ readonly text: string; readonly finishes: number }> = []
          const read = Effect.gen(function* () {
            while (!isDone) {
              let text = ""
              let finishes = 0
              const parts = Orchestrator.stream({ prompt: "hi", metadata: { wrapperName: "front" } })
              yield* Stream.runForEach(parts, (part) =>
                Effect.sync(() => {
                  if (part.type === "text-delta") text += part.delta
                  if (part.type === "finish") finishes += 1
                })
              )
              answers.push({ text, finishes })
            }
          })
          const fibers = yield* Effect.forEach(Array.from({ length: readers }), () => Effect.forkChild(read))
          for (let version = 1; version <= reloads; version++) {
            // Every tenth tree is broken, and must change nothing.
            if (version % 10 === 0) {
              yield* write(config, { "llms/groups/chat.toml": "[echelon1]\nmodels = [1]\n" })
              yield* Effect.flip(management.reload)
            }
            yield* write(config, tree(version, server.url))
            yield* management.reload
          }
          isDone = true
          yield* Effect.forEach(fibers, Fiber.join)
          for (const { finishes, text } of answers) {
            expect(finishes).toBe(1)
            const found = /^asked (?:moving-(\d+)|still) for (\d+) and said so in so many words$/.exec(text)
            expect([text, found === null]).toEqual([text, false])
            const [, model, tokens] = found ?? []
            if (model !== undefined) expect(Number(model)).toBe(Number(tokens) - 1_000)
          }
          expect(answers.length).toBeGreaterThan(readers)
          const snapshot = yield* control.snapshot
          expect(snapshot.requests).toBe(0)
          expect(snapshot.instances.map(({ inFlight }) => inFlight)).toEqual([0, 0])
          expect(snapshot.echelons[0]?.limits).toMatchObject([{ left: 500, limit: 500 }])
          expect(snapshot.wrappers).toMatchObject([{ queue: { running: 0, waiting: 0, parked: 0, limit: 400 } }])
          expect((yield* management.history).length).toBe(20)
          return yield* Effect.sync(() => server.open())
        }).pipe(Effect.provide(Echelon.layer({ config, variables: {}, watch: false })))
      )
      expect(left).toBe(0)
      // Every generation's connections are closed with it.
      yield* server.waitFor((one) => one.open() === 0)
    }),
  120_000
)

it.live("a watched folder is taken on by itself; what is broken changes nothing and is told", () =>
  Effect.gen(function* () {
    const server = yield* FaultServer.make({ script: ({ model }) => FaultServer.ok(model) })
    const config = yield* folder
    yield* write(config, tree(0, server.url))
    yield* Effect.gen(function* () {
      const management = yield* ConfigManagement.ConfigManagement
      const applied = yield* Queue.unbounded<void>()
      yield* management.onReload(() => Effect.asVoid(Queue.offer(applied, undefined)))
      const told: Array<StateChange.StateChange> = []
      const { registry } = yield* Interpreter.Interpreter
      registry.listen((change) => void told.push(change))
      const ask = Effect.map(
        Orchestrator.generate({ prompt: "hi", metadata: { groupName: "chat" } }),
        (answer) => answer.text
      )
      const both = Effect.map(Effect.all([ask, ask]), (texts) => [...texts].sort())
      expect(yield* both).toEqual(["moving-0", "still"])
      yield* write(config, { "llms/provider/local.toml": "kind = 1" })
      yield* Effect.repeat(management.history, { until: (all) => all[0]?.outcome === "rejected", schedule: poll })
      expect(yield* both).toEqual(["moving-0", "still"])
      yield* write(config, tree(7, server.url))
      yield* Queue.take(applied)
      expect(yield* both).toEqual(["moving-7", "still"])
      const reloads = yield* Effect.repeat(
        Effect.sync(() =>
          told.flatMap((change) => (change._tag === "Reload" ? [[change.outcome, change.errors]] : []))
        ),
        { until: (all) => all.length >= 2, schedule: poll }
      )
      expect(reloads[0]?.[0]).toBe("rejected")
      expect(reloads[0]?.[1]).toBeGreaterThan(0)
      expect(reloads[reloads.length - 1]).toEqual(["applied", 0])
    }).pipe(Effect.provide(Echelon.layer({ config, variables: {} })))
  }).pipe(Effect.scoped)
)
