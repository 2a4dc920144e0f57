/**
 * The configuration of a program: read from a folder, checked, and read again on demand.
 *
 * This service is both `ConfigManagementService` and `PollingPoolConfigLoader` of the first design:
 * `loadPoolConfig`, `loadTaskGroupConfig` and `loadWrapperConfig` give one part of the plan by its name.
 *
 * @since 0.1.0
 */
import * as Catalogue from "@echelon/core/Catalogue"
import * as Nearest from "@echelon/core/Nearest"
import type * as Plan from "@echelon/core/Plan"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import type * as FileSystem from "effect/FileSystem"
import * as Layer from "effect/Layer"
import type * as Path from "effect/Path"
import type * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as SubscriptionRef from "effect/SubscriptionRef"
import * as Check from "./Check.ts"
import * as CheckDraft from "./CheckDraft.ts"
import * as Compile from "./Compile.ts"
import * as ConfigError from "./ConfigError.ts"
import * as ConfigTree from "./ConfigTree.ts"
import * as Diff from "./Diff.ts"
import * as Names from "./Names.ts"
import * as Origin from "./Origin.ts"
import * as Problem from "./Problem.ts"
import * as Resolve from "./Resolve.ts"
import type * as Template from "./Template.ts"
import * as Tree from "./Tree.ts"
import * as Variables from "./Variables.ts"
import * as Watch from "./Watch.ts"

/**
 * Which configuration is used.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The folder. */
  readonly config: string
  /** The name of a file in `environments/`, without `.toml`. */
  readonly env?: string | undefined
  /** @default the `Variables` reference */
  readonly variables?: Template.Variables | undefined
}

/**
 * A plan, the tree it was made from, and the warnings on it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Loaded {
  readonly plan: Plan.Root
  readonly resolved: Resolve.Resolved
  readonly warnings: ReadonlyArray<Problem.Problem>
}

/**
 * One reload. What was rejected changed nothing; `changes` says what it would have changed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Reload {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly outcome: "applied" | "rejected"
  readonly changes: ReadonlyArray<Diff.Change>
  /** Why it was rejected, or what to look at all the same. */
  readonly problems: ReadonlyArray<Problem.Problem>
}

interface Read {
  readonly compiled: Compile.Compiled
  readonly resolved: Resolve.Resolved
  /** What was in the folder: the same again needs no reload. */
  readonly files: ConfigTree.ConfigTree
}

const readAll = Effect.fnUntraced(function* (options: Options) {
  const tree = yield* ConfigTree.read(options.config)
  const variables = options.variables ?? (yield* yield* Variables.Variables)
  const catalogue = yield* Catalogue.Catalogue
  const resolved = Resolve.resolve({ ...tree, env: options.env, variables })
  // Without a file there is nothing to say beside why there is none.
  if (Object.keys(tree.files).length === 0 && tree.problems.length > 0) {
    return { files: tree, resolved, compiled: { plan: undefined, problems: tree.problems } } satisfies Read
  }
  const { draft, plan, problems } = Compile.compile(resolved, catalogue)
  const compiled: Compile.Compiled = {
    draft: draft ?? plan,
    plan: tree.problems.some(Problem.isError) ? undefined : plan,
    problems: Problem.sort([...tree.problems, ...problems])
  }
  return { files: tree, resolved, compiled } satisfies Read
})

/** Reloads that `history` tells of. */
const remembered = 20

const isSame = (a: ConfigTree.ConfigTree, b: ConfigTree.ConfigTree): boolean =>
  Equal.equals(a.files, b.files) && Equal.equals([...a.unreadable], [...b.unreadable])

/** What is wrong with a reading, and what its graph gives to think about. */
const problemsOf = ({ compiled: { draft, plan, problems }, resolved }: Read): ReadonlyArray<Problem.Problem> => {
  if (plan !== undefined) return Problem.sort([...problems, ...Check.analyze(plan, resolved)])
  return draft === undefined ? problems : Problem.sort([...problems, ...CheckDraft.analyze(draft, resolved, problems)])
}

const toLoaded = ({ compiled, resolved }: Read): Effect.Effect<Loaded, ConfigError.ConfigError> =>
  compiled.plan === undefined
    ? Effect.fail(ConfigError.make(compiled.problems))
    : Effect.succeed({ plan: compiled.plan, resolved, warnings: compiled.problems })

/**
 * Reads a configuration once.
 *
 * **Errors** `ConfigError` with every problem when one of them is an error.
 *
 * @since 0.1.0
 * @category constructors
 */
export const load = (
  options: Options
): Effect.Effect<Loaded, ConfigError.ConfigError, FileSystem.FileSystem | Path.Path> =>
  Effect.flatMap(readAll(options), toLoaded)

/**
 * Reads a configuration and gives every problem, warnings too; none means that all is well.
 *
 * @since 0.1.0
 * @category constructors
 */
export const check = (
  options: Options
): Effect.Effect<ReadonlyArray<Problem.Problem>, never, FileSystem.FileSystem | Path.Path> =>
  Effect.map(readAll(options), problemsOf)

const missing = (
  loaded: Loaded,
  kind: "groups" | "polling_pools" | "wrappers",
  what: string,
  name: string,
  known: ReadonlyArray<string>
): ConfigError.ConfigError => {
  const path = ["llms", kind]
  const message = `no ${what} is named "${name}"; ${Nearest.hint(name, Names.shown(loaded.resolved.tree, known))}`
  const origin = Origin.file(loaded.resolved.root)
  return ConfigError.make([Problem.error("reference", origin, path, message)])
}

/**
 * The configuration in use.
 *
 * **Details** `reload` reads everything again and swaps only when there is no error; a refused reload changes
 * nothing. `changes` begins with the plan in use. Requests in flight keep the plan they started with: a plan is
 * a value.
 *
 * @example
 * ```ts
 * import { ConfigManagement, Variables } from "@echelon/config"
 * import * as Effect from "effect/Effect"
 * import * as FileSystem from "effect/FileSystem"
 * import * as Layer from "effect/Layer"
 * import * as Path from "effect/Path"
 *
 * const program = Effect.gen(function* () {
 *   const config = yield* ConfigManagement.ConfigManagement
 *   return (yield* config.loadPoolConfig("fast_pool")).rotation
 * })
 *
 * // Without a folder the Layer fails with every problem in one error.
 * const layer = ConfigManagement.layer({ config: "no-such-folder" }).pipe(
 *   Layer.provide(Layer.mergeAll(FileSystem.layerNoop({}), Path.layer)),
 *   Layer.provide(Layer.succeed(Variables.Variables)(Effect.succeed({})))
 * )
 * const error = await Effect.runPromise(Effect.flip(Effect.provide(program, layer)))
 * console.assert(error.message === "no-such-folder:1:1 error config: there is no such folder")
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class ConfigManagement extends Context.Service<
  ConfigManagement,
  {
    readonly plan: Effect.Effect<Plan.Root>
    /** The tree the plan was made from; secrets in it are redacted. */
    readonly resolved: Effect.Effect<Resolve.Resolved>
    readonly warnings: Effect.Effect<ReadonlyArray<Problem.Problem>>
    readonly loadPoolConfig: (name: string) => Effect.Effect<Plan.Pool, ConfigError.ConfigError>
    readonly loadTaskGroupConfig: (name: string) => Effect.Effect<Plan.TaskGroup, ConfigError.ConfigError>
    readonly loadWrapperConfig: (name: string) => Effect.Effect<Plan.Wrapper, ConfigError.ConfigError>
    /** Every problem of what is in the folder now. */
    readonly validate: Effect.Effect<ReadonlyArray<Problem.Problem>>
    /** Reads all again; done when everybody who listens by `onReload` has taken the plan on. */
    readonly reload: Effect.Effect<Plan.Root, ConfigError.ConfigError>
    /** Reads all again if anything in the folder is different; tells what came of it. */
    readonly refresh: Effect.Effect<Reload | undefined>
    /** The last 20 reloads, the latest first. */
    readonly history: Effect.Effect<ReadonlyArray<Reload>>
    /** Runs `f` with every new plan, one after another, for as long as the scope is open. */
    readonly onReload: (f: (plan: Plan.Root) => Effect.Effect<void>) => Effect.Effect<void, never, Scope.Scope>
    /** Runs `f` with what came of every reload, rejected ones too, for as long as the scope is open. */
    readonly onOutcome: (f: (reload: Reload) => Effect.Effect<void>) => Effect.Effect<void, never, Scope.Scope>
    /** Refreshes whenever something in the folder changes, until it is interrupted; `f` hears of each reload. */
    readonly watch: (f: (reload: Reload) => Effect.Effect<void>) => Effect.Effect<never>
    readonly changes: Stream.Stream<Plan.Root>
    /** Where a value comes from; `undefined` for a default. */
    readonly origin: (path: Origin.Path) => Effect.Effect<Origin.Origin | undefined>
  }
>()("@echelon/config/ConfigManagement") {
  /** Reads a folder when it is built, and fails when that has errors. */
  static readonly layer = (
    options: Options
  ): Layer.Layer<ConfigManagement, ConfigError.ConfigError, FileSystem.FileSystem | Path.Path> =>
    Layer.effect(ConfigManagement, make(options))
}

/**
 * Makes the service from a folder.
 *
 * **Errors** `ConfigError` with every problem when the folder's configuration has errors.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options: Options
): Effect.Effect<ConfigManagement["Service"], ConfigError.ConfigError, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const context = yield* Effect.context<FileSystem.FileSystem | Path.Path>()
    const first = yield* readAll(options)
    const ref = yield* SubscriptionRef.make(yield* toLoaded(first))
    const reloads: Array<Reload> = []
    const listeners = new Set<(plan: Plan.Root) => Effect.Effect<void>>()
    const audience = new Set<(reload: Reload) => Effect.Effect<void>>()
    let files = first.files
    // Two reloads at a time could swap in the older of two readings last.
    const one = yield* Semaphore.make(1)
    const current = SubscriptionRef.get(ref)
    const find = <A>(
      kind: "groups" | "polling_pools" | "wrappers",
      what: string,
      name: string,
      all: (plan: Plan.Root) => Readonly<Record<string, A>>
    ): Effect.Effect<A, ConfigError.ConfigError> =>
      Effect.flatMap(current, (loaded) => {
        const known = all(loaded.plan)
        const found = Object.hasOwn(known, name) ? known[name] : undefined
        return found === undefined
          ? Effect.fail(missing(loaded, kind, what, name, Object.keys(known)))
          : Effect.succeed(found)
      })
    const read = Effect.provideContext(readAll(options), context)
    /** Takes a reading on, unless it has errors. Nobody sees half of it. */
    const apply = Effect.fnUntraced(function* (next: Read) {
      const before = yield* current
      const { plan, problems } = next.compiled
      files = next.files
      const reload: Reload = {
        at: yield* Clock.currentTimeMillis,
        outcome: plan === undefined ? "rejected" : "applied",
        changes: Diff.between(before.resolved.tree, next.resolved.tree),
        problems: problemsOf(next)
      }
      reloads.push(reload)
      if (reloads.length > remembered) reloads.shift()
      if (plan !== undefined) {
        yield* SubscriptionRef.set(ref, { plan, resolved: next.resolved, warnings: problems })
        yield* Effect.forEach([...listeners], (listener) => listener(plan), { discard: true })
      }
      yield* Effect.forEach([...audience], (hear) => hear(reload), { discard: true })
      return reload
    }, Effect.uninterruptible)
    const refresh = one.withPermits(1)(
      Effect.gen(function* () {
        const next = yield* read
        return isSame(files, next.files) ? undefined : yield* apply(next)
      })
    )
    return ConfigManagement.of({
      plan: Effect.map(current, (loaded) => loaded.plan),
      resolved: Effect.map(current, (loaded) => loaded.resolved),
      warnings: Effect.map(current, (loaded) => loaded.warnings),
      loadPoolConfig: (name) => find("polling_pools", "pool", name, (plan) => plan.pools),
      loadTaskGroupConfig: (name) => find("groups", "task group", name, (plan) => plan.groups),
      loadWrapperConfig: (name) => find("wrappers", "wrapper", name, (plan) => plan.wrappers),
      validate: Effect.provideContext(check(options), context),
      reload: one.withPermits(1)(
        Effect.gen(function* () {
          const reload = yield* apply(yield* read)
          if (reload.outcome === "rejected") return yield* Effect.fail(ConfigError.make(reload.problems))
          return (yield* current).plan
        })
      ),
      refresh,
      history: Effect.sync(() => [...reloads].reverse()),
      onReload: (f) =>
        Effect.asVoid(
          Effect.acquireRelease(
            Effect.sync(() => listeners.add(f)),
            () => Effect.sync(() => listeners.delete(f))
          )
        ),
      onOutcome: (f) =>
        Effect.asVoid(
          Effect.acquireRelease(
            Effect.sync(() => audience.add(f)),
            () => Effect.sync(() => audience.delete(f))
          )
        ),
      watch: (f) =>
        Effect.provideContext(
          Watch.run({
            folder: options.config,
            debounce: Effect.map(current, ({ plan }) => plan.reload.debounce),
            look: Effect.flatMap(refresh, (reload) =>
              reload === undefined ? Effect.succeed(false) : Effect.as(f(reload), true)
            )
          }),
          context
        ),
      changes: Stream.map(SubscriptionRef.changes(ref), (loaded) => loaded.plan),
      origin: (path) => Effect.map(current, (loaded) => Tree.get(loaded.resolved.tree, path)?.origin)
    })
  })

/**
 * The service's Layer, as a plain function.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = ConfigManagement.layer
