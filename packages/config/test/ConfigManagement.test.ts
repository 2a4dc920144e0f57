import * as ConfigManagement from "@echelon/config/ConfigManagement"
import * as Diff from "@echelon/config/Diff"
import * as Origin from "@echelon/config/Origin"
import * as Problem from "@echelon/config/Problem"
import * as Variables from "@echelon/config/Variables"
import { Catalogue, type Plan } from "@echelon/core"
import { expect, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import * as Folder from "./support/Folder.ts"
import * as Sample from "./support/Sample.ts"

const open = (root: string, options: Partial<ConfigManagement.Options> = {}) =>
  ConfigManagement.make({ config: root, variables: Sample.variables, ...options })

it.effect("gives the plan, its parts by name, and where values come from", () =>
  Effect.gen(function* () {
    const { root } = yield* Folder.make(Sample.files)
    const config = yield* open(root)
    expect((yield* config.plan).pools["fast_pool"]).toEqual(yield* config.loadPoolConfig("fast_pool"))
    expect((yield* config.loadTaskGroupConfig("fast_group")).echelons).toHaveLength(2)
    expect((yield* config.loadWrapperConfig("pool_wrapper")).target.name).toBe("fast_pool")
    expect(yield* config.validate).toEqual([])
    const origin = yield* config.origin(["llms", "groups", "fast_group", "echelon1", "timeout"])
    expect(origin && Folder.short(Origin.format(origin))).toBe("configs/llms/groups/fast_group.toml:3:1")
    expect(yield* config.origin(["llms", "groups", "fast_group", "echelon2", "timeout"])).toBeUndefined()
    const error = yield* Effect.flip(config.loadPoolConfig("fast_pol"))
    expect(Folder.short(error.message)).toBe(
      'configs:1:1 error llms.polling_pools: no pool is named "fast_pol"; did you mean "fast_pool"?'
    )
    expect((yield* Effect.flip(config.loadWrapperConfig("constructor")))._tag).toBe("ConfigError")
  }).pipe(Effect.provide(Folder.services))
)

it.effect("a Layer fails with every problem of the folder, one a line", () =>
  Effect.gen(function* () {
    const { root } = yield* Folder.make({
      ...Sample.files,
      "llms/polling_pools/fast_pool.toml": 'task_groups = ["fast_grop"]\ncach = 1',
      "llms/wrappers/w.toml": new Uint8Array([0xff])
    })
    const layer = ConfigManagement.layer({ config: root, variables: Sample.variables })
    const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
    expect(Folder.short(error.message).split("\n")).toEqual([
      'configs/llms/polling_pools/fast_pool.toml:1:16 error llms.polling_pools.fast_pool.task_groups[0]: unknown task group "fast_grop"; did you mean "fast_group"?',
      'configs/llms/polling_pools/fast_pool.toml:2:1 error llms.polling_pools.fast_pool.cach: unknown key; did you mean "cache"?',
      "configs/llms/wrappers/w.toml:1:1 error llms.wrappers.w: the file is not UTF-8"
    ])
  }).pipe(Effect.provide(Folder.services))
)

it.effect("a file that cannot be read excuses what refers to it", () =>
  Effect.gen(function* () {
    const { root } = yield* Folder.make({ ...Sample.files, "llms/provider/openai.toml": new Uint8Array([0xff]) })
    const problems = yield* ConfigManagement.check({ config: root, variables: {} })
    expect(problems.map((problem) => Folder.short(Problem.format(problem)))).toEqual([
      "configs/llms/provider/openai.toml:1:1 error llms.provider.openai: the file is not UTF-8"
    ])
  }).pipe(Effect.provide(Folder.services))
)

it.effect("a reload swaps when all is well and changes nothing when not", () =>
  Effect.gen(function* () {
    const { root, write } = yield* Folder.make(Sample.files)
    const config = yield* open(root)
    const seen = yield* Effect.forkChild(
      config.changes.pipe(
        Stream.map((plan) => plan.groups["fast_group"]?.echelons[0]?.clocks.attempt),
        Stream.take(2),
        Stream.runCollect
      ),
      { startImmediately: true }
    )
    const before = yield* config.plan
    const group = (timeout: string) =>
      `[echelon1]\nmodels = ["openai-gpt4", "openai-gpt3.5-turbo"]\ntimeout = ${timeout}`
    yield* write("llms/groups/fast_group.toml", group("-1"))
    expect((yield* Effect.flip(config.reload)).problems).toHaveLength(1)
    expect(yield* config.validate).toHaveLength(1)
    expect(yield* config.plan).toBe(before)
    yield* write("llms/groups/fast_group.toml", group("7"))
    const after = yield* config.reload
    expect(after.groups["fast_group"]?.echelons[0]?.clocks.attempt).toBe(7_000)
    expect(yield* config.plan).toBe(after)
    expect(before.groups["fast_group"]?.echelons[0]?.clocks.attempt).toBe(30_000)
    expect(yield* Fiber.join(seen)).toEqual([30_000, 7_000])
  }).pipe(Effect.provide(Folder.services))
)

it.effect("variables come from the reference, anew at every reload, unless they are handed over", () =>
  Effect.gen(function* () {
    const { root } = yield* Folder.make(Sample.files)
    const environment: Record<string, string> = { OPENAI_API_KEY: "one", ECHELON__ROUTING__DEFAULT_POOL: "fast_pool" }
    const config = yield* ConfigManagement.make({ config: root }).pipe(
      Effect.provideService(
        Variables.Variables,
        Effect.sync(() => ({ ...environment }))
      )
    )
    expect((yield* config.plan).routing.defaultPool).toBe("fast_pool")
    delete environment["ECHELON__ROUTING__DEFAULT_POOL"]
    const reloaded = yield* config.reload
    expect(reloaded.routing.defaultPool).toBeUndefined()
    const handed = yield* open(root, { variables: { OPENAI_API_KEY: "two" } })
    expect((yield* handed.plan).routing.defaultPool).toBeUndefined()
  }).pipe(Effect.provide(Folder.services))
)

it.effect("uses the environment file and the catalogue it is given", () =>
  Effect.gen(function* () {
    const { root } = yield* Folder.make({ ...Sample.files, "environments/e.toml": "[shutdown]\nshutdown_grace = 1" })
    const config = yield* open(root, { env: "e" }).pipe(Effect.provideService(Catalogue.Catalogue, Sample.catalogue))
    const plan = yield* config.plan
    expect(plan.shutdownGrace).toBe(1_000)
    expect(plan.instances["openai-gpt4"]?.model.prices).toEqual({ input: 30, output: 60 })
    // A reload reads with the same catalogue.
    expect((yield* config.reload).instances["openai-gpt4"]?.model.prices).toEqual({ input: 30, output: 60 })
  }).pipe(Effect.provide(Folder.services))
)

it.effect("warnings do not stop it and can be read", () =>
  Effect.gen(function* () {
    const { root } = yield* Folder.make({
      ...Sample.files,
      "llms/provider/x.toml": 'kind = "k"\napi_key = "$' + '{X}"\n[models.m]'
    })
    const config = yield* open(root)
    expect((yield* config.warnings).map(({ code }) => code)).toEqual(["credential"])
  }).pipe(Effect.provide(Folder.services))
)

it.effect(
  "tells what the last reloads changed, the rejected ones as well, and refreshes only when something differs",
  () =>
    Effect.gen(function* () {
      const { root, write } = yield* Folder.make(Sample.files)
      const config = yield* open(root)
      const group = (timeout: string) =>
        `[echelon1]\nmodels = ["openai-gpt4"]\ntimeout = ${timeout}\n[echelon2]\nmodels = ["openai-gpt3.5-turbo"]`
      expect(yield* config.refresh).toBeUndefined()
      yield* write("llms/groups/fast_group.toml", group("-1"))
      expect(yield* config.refresh).toMatchObject({ outcome: "rejected", problems: [{ code: "type" }] })
      expect(yield* config.refresh).toBeUndefined()
      yield* write("llms/groups/fast_group.toml", group("31"))
      expect(yield* config.refresh).toMatchObject({ outcome: "applied", problems: [] })
      const [latest, before] = yield* config.history
      expect(latest?.changes.map(Diff.format).map(Folder.short)).toEqual([
        "configs/llms/groups/fast_group.toml:3:1 llms.groups.fast_group.echelon1.timeout: 31, was 30"
      ])
      expect(before).toMatchObject({ outcome: "rejected", changes: [{ kind: "changed", after: "-1" }] })
      for (let timeout = 40; timeout < 65; timeout++) {
        yield* write("llms/groups/fast_group.toml", group(String(timeout)))
        yield* config.reload
      }
      expect(yield* config.history).toHaveLength(20)
    }).pipe(Effect.provide(Folder.services))
)

it.effect("a reload is done when everybody who listens has taken the plan on, in order, until they leave", () =>
  Effect.gen(function* () {
    const { root, write } = yield* Folder.make(Sample.files)
    const config = yield* open(root)
    const seen: Array<number | undefined> = []
    const timeout = (plan: Plan.Root) => plan.groups["fast_group"]?.echelons[0]?.clocks.attempt
    const write1 = (value: number) =>
      write("llms/groups/fast_group.toml", `[echelon1]\nmodels = ["openai-gpt4"]\ntimeout = ${value}`)
    yield* Effect.scoped(
      Effect.gen(function* () {
        yield* config.onReload((plan) =>
          Effect.andThen(
            Effect.yieldNow,
            Effect.sync(() => seen.push(timeout(plan)))
          )
        )
        yield* write1(41)
        yield* config.reload
        expect(seen).toEqual([41_000])
        yield* Effect.all([config.reload, config.reload], { concurrency: 2 })
        expect(seen).toEqual([41_000, 41_000, 41_000])
        yield* write1(-1)
        yield* Effect.flip(config.reload)
      })
    )
    yield* write1(42)
    yield* config.reload
    expect(seen).toEqual([41_000, 41_000, 41_000])
  }).pipe(Effect.provide(Folder.services))
)

/** Waits for a reload of this outcome, as long as it takes. */
const reloadOf = (config: ConfigManagement.ConfigManagement["Service"]) =>
  Effect.gen(function* () {
    const heard = yield* Queue.unbounded<ConfigManagement.Reload>()
    yield* Effect.forkScoped(
      config.watch((reload) => Effect.asVoid(Queue.offer(heard, reload))),
      { startImmediately: true }
    )
    return Queue.take(heard)
  })

it.live(
  "watches: a file written in place, renamed into place or removed, a new folder, an editor's temporary files",
  () =>
    Effect.gen(function* () {
      const fs = yield* FileSystem.FileSystem
      const { root, write } = yield* Folder.make({ ...Sample.files, "global.toml": "[reload]\ndebounce = 0.05" })
      const config = yield* open(root)
      const next = yield* reloadOf(config)
      const wrapper = '[default_config]\npool_name = "fast_pool"\n'
      const names = Effect.map(config.plan, (plan) => Object.keys(plan.wrappers))

      yield* write("llms/wrappers/second.toml", `type = "pool"\n${wrapper}`)
      expect([(yield* next).outcome, yield* names]).toEqual(["applied", ["pool_wrapper", "second"]])

      yield* write("llms/wrappers/.second.toml.swp", "not toml at all")
      yield* write("llms/wrappers/second.toml~", "not toml at all")
      yield* fs.writeFileString(`${root}/llms/wrappers/tmp-4711`, `type = "pool"\nname = "renamed"\n${wrapper}`)
      yield* fs.rename(`${root}/llms/wrappers/tmp-4711`, `${root}/llms/wrappers/second.toml`)
      expect([(yield* next).outcome, yield* names]).toEqual(["applied", ["pool_wrapper", "renamed"]])

      yield* write("llms/wrappers/second.toml", "type = 1")
      expect([(yield* next).outcome, yield* names]).toEqual(["rejected", ["pool_wrapper", "renamed"]])

      yield* fs.remove(`${root}/llms/wrappers/second.toml`)
      expect([(yield* next).outcome, yield* names]).toEqual(["applied", ["pool_wrapper"]])

      yield* write("environments/new/deep.toml", "[routing]\n")
      expect((yield* next).outcome).toBe("applied")
    }).pipe(Effect.scoped, Effect.provide(Folder.services))
)

it.live("watches through the symbolic links that Kubernetes swaps", () =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const { root, write } = yield* Folder.make({ "..2026_1/keep": "" })
    const version = Effect.fnUntraced(function* (n: number, timeout: number) {
      for (const [name, content] of Object.entries(Sample.files))
        yield* write(`..2026_${n}/${name}`, content.replace("timeout = 30", `timeout = ${timeout}`))
      yield* fs.symlink(`..2026_${n}`, `${root}/..data_tmp`)
      yield* fs.rename(`${root}/..data_tmp`, `${root}/..data`)
    })
    yield* version(1, 11)
    yield* fs.symlink("..data/llms", `${root}/llms`)
    const config = yield* open(root)
    const next = yield* reloadOf(config)
    const timeout = Effect.map(config.plan, (plan) => plan.groups["fast_group"]?.echelons[0]?.clocks.attempt)
    for (const n of [2, 3]) {
      yield* version(n, n * 11)
      yield* next
      expect(yield* timeout).toBe(n * 11_000)
    }
  }).pipe(Effect.scoped, Effect.provide(Folder.services))
)

it.effect("a file that is not read is a warning, and the plan stands", () =>
  Effect.gen(function* () {
    const { root, write } = yield* Folder.make({ ...Sample.files, "llms/groups/OLD.TOML": "nonsense" })
    const options = { config: root, variables: Sample.variables }
    const { plan, warnings } = yield* ConfigManagement.load(options)
    expect(Object.keys(plan.groups)).toEqual(["fast_group"])
    expect(warnings.map((one) => Folder.short(Problem.format(one)))).toEqual([
      "configs/llms/groups/OLD.TOML:1:1 warning llms.groups.OLD: not read, since the files that are end in .toml, in lower case; rename this one"
    ])
    // What cannot be read is an error still.
    yield* write("llms/groups/large.toml", "#".repeat(1_048_577))
    expect((yield* Effect.flip(ConfigManagement.load(options)))._tag).toBe("ConfigError")
  }).pipe(Effect.provide(Folder.services))
)
