/**
 * `echelon status`: how everything stands, once.
 *
 * @since 0.1.0
 */
import { HealthChecker } from "@echelon/core/HealthChecker"
import * as Effect from "effect/Effect"
import * as Ask from "./Ask.ts"
import * as Environment from "./Environment.ts"
import * as Failure from "./Failure.ts"
import { Output } from "./Output.ts"
import * as Top from "./Top.ts"
import * as TopTable from "./TopTable.ts"
import * as TopView from "./TopView.ts"
import * as Watched from "./Watched.ts"

/**
 * What the command line says.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly config: string
  readonly env: string | undefined
  /** Whether an unhealthy instance is a failure. */
  readonly strict: boolean
  readonly json: boolean
}

const show = Effect.fnUntraced(function* (options: Options) {
  const output = yield* Output
  const view = yield* TopView.make
  const { checkAll } = yield* HealthChecker
  // One answer says how an instance does now; what becomes of it in the long run takes several.
  const health = yield* checkAll()
  const seen = { ...(yield* view), health }
  const bad = seen.snapshot.instances.filter(({ name }) => health[name]?.status === "unhealthy")
  if (options.json) yield* output.write(`${JSON.stringify(TopTable.json(seen))}\n`)
  else {
    const lines = TopTable.lines(seen, { columns: Top.width(output), color: output.isTerminal })
    yield* output.write(`${lines.join("\n")}\n`)
    for (const { name } of bad) yield* output.diagnose(`${name} is unhealthy: ${health[name]?.message}`)
  }
  if (options.strict && bad.length > 0) return yield* new Failure.Failure({ exitCode: 1 })
}, Effect.scoped)

/**
 * Runs the command.
 *
 * @since 0.1.0
 * @category running
 */
export const run = (options: Options): Effect.Effect<void, Failure.Failure, Output> => {
  const shown =
    options.env === Environment.embedded
      ? Effect.flatMap(Environment.startProviders, (providers) =>
          Effect.provide(
            show(options),
            Watched.layer({
              config: options.config,
              env: Environment.embedded,
              variables: { ...process.env, ...providers.variables }
            })
          )
        )
      : Effect.provide(show(options), Watched.layer(options))
  return Effect.catch(Effect.scoped(shown), (error) =>
    error._tag === "Failure" ? Effect.fail(error) : Ask.tellFailure(error, options.json)
  )
}
