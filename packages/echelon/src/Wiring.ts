/**
 * Everything wired: a folder of TOML in, the services that answer out.
 *
 * @since 0.1.0
 */
import type * as ConfigError from "@echelon/config/ConfigError"
import * as ConfigManagement from "@echelon/config/ConfigManagement"
import * as Origin from "@echelon/config/Origin"
import * as Problem from "@echelon/config/Problem"
import * as Interpreter from "@echelon/core/Interpreter"
import * as Orchestrator from "@echelon/core/Orchestrator"
import type * as UsageLedger from "@echelon/core/UsageLedger"
import * as Providers from "@echelon/providers/Providers"
import * as TokenSource from "@echelon/providers/TokenSource"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Operations from "./Operations.ts"

/**
 * Options of `layer` and `runtime`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The folder of TOML files. */
  readonly config: string
  /** `environments/<env>.toml` in it. @default none */
  readonly env?: string | undefined
  /** Variables for `${NAME}` and for overrides. @default the process's environment */
  readonly variables?: Readonly<Record<string, string | undefined>> | undefined
  /** Tokens by provider name, for those whose file says `auth = "token"`. @default none */
  readonly tokens?: Readonly<Record<string, TokenSource.TokenSource>> | undefined
  /** Whether requests and changes are logged. @default what `[logging]` says */
  readonly logging?: boolean | undefined
  /** Whether files that change are read again while it runs. @default what `[reload] watch` says */
  readonly watch?: boolean | undefined
}

/**
 * What answers.
 *
 * @since 0.1.0
 * @category models
 */
export type AnsweringServices = Orchestrator.Services | Interpreter.Interpreter | ConfigManagement.ConfigManagement

/**
 * What `layer` gives.
 *
 * @since 0.1.0
 * @category models
 */
export type Services = AnsweringServices | Operations.Services

/**
 * The services that answer, over a folder of configuration and the real providers, and nothing that watches them: no
 * health checks, alerts, metrics, traces, usage, logs or route records, whatever the configuration says of these.
 *
 * **Errors** `ConfigError` with every problem found.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerAnswering = (
  options: Omit<Options, "logging">
): Layer.Layer<AnsweringServices, ConfigError.ConfigError> => {
  const config = ConfigManagement.ConfigManagement.layer(options).pipe(
    Layer.provide(Layer.mergeAll(NodeFileSystem.layer, NodePath.layer))
  )
  const interpreter = Layer.unwrap(
    Effect.gen(function* () {
      const { plan, warnings } = yield* ConfigManagement.ConfigManagement
      for (const warning of yield* warnings) yield* Effect.logWarning(Problem.format(warning))
      return Interpreter.Interpreter.layer(yield* plan)
    })
  )
  const following = Layer.effectDiscard(
    Effect.gen(function* () {
      const management = yield* ConfigManagement.ConfigManagement
      const { registry, swap } = yield* Interpreter.Interpreter
      yield* management.onReload(swap)
      yield* management.onOutcome(({ at, outcome, problems }) =>
        Effect.sync(() =>
          registry.emit({ _tag: "Reload", outcome, errors: problems.filter(Problem.isError).length, at })
        )
      )
      const { reload } = yield* management.plan
      if (options.watch ?? reload.watch) yield* Effect.forkScoped(management.watch(tell))
    })
  )
  return following.pipe(
    Layer.provideMerge(Orchestrator.layer),
    Layer.provideMerge(interpreter),
    Layer.provideMerge(config),
    Layer.provide(Providers.layer),
    Layer.provide(options.tokens === undefined ? Layer.empty : TokenSource.layer(options.tokens))
  )
}

/**
 * The services over a folder of configuration and the real providers.
 *
 * **Details** Warnings about the configuration are logged, for example which instances are disabled for want of a
 * credential. Unless told otherwise it watches the folder: a change that has no errors is taken on for new requests
 * while those in flight end on the old plan, and is logged; one that has errors changes nothing, and is logged with
 * every problem. Whatever the configuration switches on of health checks, alerts, metrics, traces, usage, logs and route
 * records runs beside it.
 *
 * **Errors** `ConfigError` with every problem found, each with file, line, key and what is allowed; `UsageLedgerError`
 * when the store that `[usage]` names cannot be opened.
 *
 * @example
 * ```ts no-run
 * import { Effect } from "effect"
 * import { Echelon, Orchestrator } from "@echelon/echelon"
 *
 * const program = Orchestrator.generate({ prompt: "Why is the sky blue?", metadata: { poolName: "fast_pool" } })
 * const answer = await Effect.runPromise(program.pipe(Effect.provide(Echelon.layer({ config: "configs" }))))
 * console.log(answer.text)
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<Services, ConfigError.ConfigError | UsageLedger.UsageLedgerError> =>
  Layer.provideMerge(Operations.layer(options), layerAnswering(options))

/** At most so many changes are named in one line. */
const named = 5

/** Logs what came of a reload. No value is in it, since a prompt may stand in one. */
const tell = (reload: ConfigManagement.Reload): Effect.Effect<void> => {
  if (reload.outcome === "rejected") {
    const errors = reload.problems.filter(Problem.isError)
    return Effect.andThen(
      Effect.logError("the configuration has errors; the one in use stays"),
      Effect.forEach(errors, (problem) => Effect.logError(Problem.format(problem)), { discard: true })
    )
  }
  const paths = reload.changes.slice(0, named).map(({ path }) => Origin.formatPath(path))
  const more = reload.changes.length - paths.length
  const what = `${paths.join(", ")}${more > 0 ? ` and ${more} more` : ""}`
  const count = reload.problems.length
  const warnings = count === 0 ? "" : `; ${count} warning${count === 1 ? "" : "s"}, which echelon check shows`
  const late = reload.changes.map(({ path }) => Origin.formatPath(path)).filter((path) => restarting.has(path))
  return Effect.andThen(
    Effect.logInfo(`the configuration was read again; changed: ${what || "nothing"}${warnings}`),
    late.length === 0 ? Effect.void : Effect.logWarning(`needs a restart to hold: ${late.join(", ")}`)
  )
}

/** Where the books are kept is opened once. */
const restarting = new Set(["store", "path", "url", "time_zone", "max_tenants"].map((key) => `usage.${key}`))

/**
 * Reads the folder again. New requests use the new plan, those in flight end on the old one. A tree with
 * problems changes nothing.
 *
 * **Errors** `ConfigError` with every problem found.
 *
 * @since 0.1.0
 * @category running
 */
export const reload: Effect.Effect<void, ConfigError.ConfigError, ConfigManagement.ConfigManagement> = Effect.gen(
  function* () {
    const config = yield* ConfigManagement.ConfigManagement
    yield* config.reload
    for (const warning of yield* config.warnings) yield* Effect.logWarning(Problem.format(warning))
  }
)
