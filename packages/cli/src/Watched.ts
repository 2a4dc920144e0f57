/**
 * The services of a command that looks at a configuration's pools: health checks and alert rules, and nothing that
 * another process of the same configuration does already. No channel is told, nothing is exported, logged or booked.
 *
 * @since 0.1.0
 */
import type * as ConfigError from "@echelon/config/ConfigError"
import * as ConfigManagement from "@echelon/config/ConfigManagement"
import * as Problem from "@echelon/config/Problem"
import * as Alerting from "@echelon/core/Alerting"
import { Catalogue } from "@echelon/core/Catalogue"
import * as HealthChecker from "@echelon/core/HealthChecker"
import * as Interpreter from "@echelon/core/Interpreter"
import * as Orchestrator from "@echelon/core/Orchestrator"
import type * as Plan from "@echelon/core/Plan"
import * as Plans from "@echelon/core/Plans"
import * as CatalogueLive from "@echelon/providers/CatalogueLive"
import * as Providers from "@echelon/providers/Providers"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Output } from "./Output.ts"

/**
 * What is provided.
 *
 * @since 0.1.0
 * @category models
 */
export type Services =
  | Orchestrator.Services
  | Interpreter.Interpreter
  | HealthChecker.HealthChecker
  | Alerting.AlertingService

/**
 * A plan that tells nobody.
 *
 * @since 0.1.0
 * @category combinators
 */
export const quiet = (root: Plan.Root): Plan.Root => ({
  ...root,
  logging: Plans.logging({ requests: false, stateChanges: false }),
  alerts: { ...root.alerts, channels: [] }
})

/**
 * The services over a configuration. Warnings are told as diagnostics.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: {
  readonly config: string
  readonly env: string | undefined
  /** @default the process's environment */
  readonly variables?: Readonly<Record<string, string | undefined>> | undefined
}): Layer.Layer<Services, ConfigError.ConfigError, Output> => {
  const interpreter = Layer.unwrap(
    Effect.gen(function* () {
      const output = yield* Output
      const { plan, warnings } = yield* ConfigManagement.load(options).pipe(
        Effect.provideService(Catalogue, CatalogueLive.catalogue),
        Effect.provide(Layer.mergeAll(NodeFileSystem.layer, NodePath.layer))
      )
      for (const warning of warnings) yield* output.diagnose(Problem.format(warning))
      return Interpreter.Interpreter.layer(quiet(plan))
    })
  )
  return Layer.mergeAll(HealthChecker.HealthChecker.layer, Alerting.AlertingService.layer).pipe(
    Layer.provideMerge(Orchestrator.layer),
    Layer.provideMerge(interpreter),
    Layer.provide(Providers.layer)
  )
}
