/**
 * Everything that watches: health, metrics, traces, usage and its budgets, alerts, logs and route records, each as its
 * section of the configuration says.
 *
 * @since 0.1.0
 */
import * as ConfigManagement from "@echelon/config/ConfigManagement"
import * as Alerting from "@echelon/core/Alerting"
import type * as Control from "@echelon/core/Control"
import * as HealthChecker from "@echelon/core/HealthChecker"
import * as Interpreter from "@echelon/core/Interpreter"
import * as Metrics from "@echelon/core/Metrics"
import * as RequestLog from "@echelon/core/RequestLog"
import * as SpendGuard from "@echelon/core/SpendGuard"
import * as Tracing from "@echelon/core/Tracing"
import type * as UsageLedger from "@echelon/core/UsageLedger"
import * as UsageMeter from "@echelon/core/UsageMeter"
import * as AlertChannels from "@echelon/operations/AlertChannels"
import * as RouteFile from "@echelon/operations/RouteFile"
import * as UsageStore from "@echelon/operations/UsageStore"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as MetricsExport from "./MetricsExport.ts"
import * as TracingExport from "./TracingExport.ts"

/**
 * What `layer` gives.
 *
 * @since 0.1.0
 * @category models
 */
export type Services =
  | Alerting.AlertingService
  | HealthChecker.HealthChecker
  | Metrics.MetricsCollector
  | RequestLog.RequestLog
  | RouteFile.RouteFile
  | SpendGuard.SpendGuard
  | TracingExport.TracingExport
  | UsageLedger.UsageLedger
  | UsageMeter.UsageMeter

/**
 * Options of `layer`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** Whether requests and changes are logged. @default what `[logging]` says */
  readonly logging?: boolean | undefined
}

/** Ends the requests first, while everybody who tells of them still listens. */
const ending = Layer.effectDiscard(
  Effect.flatMap(Interpreter.Interpreter, ({ shutdown }) => Effect.addFinalizer(() => shutdown))
)

/** Spans that were lost are counted beside what else was. */
const counting = Layer.effectDiscard(
  Effect.gen(function* () {
    const { add } = yield* Metrics.MetricsCollector
    const { onLost } = yield* TracingExport.TracingExport
    yield* Effect.acquireRelease(
      Effect.sync(() => onLost((spans) => add("echelon.telemetry.lost", { "echelon.kind": "span" }, spans))),
      (forget) => Effect.sync(forget)
    )
  })
)

/** All that listens to requests and to changes. */
const watching = Layer.mergeAll(
  Alerting.AlertingService.layer.pipe(Layer.provide(AlertChannels.layer)),
  counting,
  MetricsExport.layer,
  RequestLog.RequestLog.layerObserving,
  RouteFile.RouteFile.layerObserving,
  SpendGuard.SpendGuard.layer,
  Tracing.layer,
  TracingExport.TracingExport.layerFollowing,
  UsageMeter.UsageMeter.layerObserving
)

/** What holds and sends what was heard. */
const keeping = ({ logging }: Options) =>
  Layer.mergeAll(
    Metrics.MetricsCollector.layer,
    RequestLog.RequestLog.layer({ requests: logging, stateChanges: logging }),
    RouteFile.RouteFile.layer.pipe(Layer.provide(NodeFileSystem.layer)),
    TracingExport.TracingExport.layer,
    Layer.unwrap(
      Effect.gen(function* () {
        const { plan } = yield* ConfigManagement.ConfigManagement
        return UsageStore.layer((yield* plan).usage)
      })
    )
  )

/**
 * Operates what answers.
 *
 * **Ordering** When it closes, requests end first, then whoever listens, then what keeps and sends what was heard: a
 * shutdown loses nothing.
 *
 * **Errors** `UsageLedgerError` when the store that `[usage]` names cannot be opened.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options = {}
): Layer.Layer<
  Services,
  UsageLedger.UsageLedgerError,
  Interpreter.Interpreter | Control.Control | ConfigManagement.ConfigManagement
> =>
  ending.pipe(
    // Above all that listens, so that its first word is heard.
    Layer.provideMerge(HealthChecker.HealthChecker.layer),
    Layer.provideMerge(watching),
    Layer.provideMerge(keeping(options))
  )
