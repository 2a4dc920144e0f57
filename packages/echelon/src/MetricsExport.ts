/**
 * Takes metrics out of the process, as the plan's `metrics` say: to an OpenTelemetry collector, or to Prometheus.
 *
 * @since 0.1.0
 */
import * as Interpreter from "@echelon/core/Interpreter"
import * as MetricNames from "@echelon/core/MetricNames"
import * as Metrics from "@echelon/core/Metrics"
import type * as Plan from "@echelon/core/Plan"
import * as PrometheusListener from "@echelon/operations/PrometheusListener"
import * as NodeHttpClient from "@effect/platform-node/NodeHttpClient"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as OtlpExporter from "effect/observability/OtlpExporter"
import * as OtlpMetrics from "effect/observability/OtlpMetrics"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Queue from "effect/Queue"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"

/**
 * All metrics in the text format of Prometheus, the program's own and Effect's among them.
 *
 * **Details** Names follow the rules of OpenTelemetry: `gen_ai.client.operation.duration` is
 * `gen_ai_client_operation_duration_seconds`, `echelon.requests` is `echelon_requests_total`.
 *
 * @since 0.1.0
 * @category running
 */
export const prometheus: Effect.Effect<string, never, Metrics.MetricsCollector> = Effect.gen(function* () {
  const { refresh, registry } = yield* Metrics.MetricsCollector
  yield* refresh
  const context = Context.make(Metric.MetricRegistry, registry)
  return PrometheusMetrics.formatUnsafe(context as Context.Context<never>, {
    metricNameMapper: MetricNames.prometheus
  })
})

/**
 * Answers `GET /metrics` of a program's own router with all metrics.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerHttp = (
  options: {
    /** @default "/metrics" */
    readonly path?: HttpRouter.PathInput | undefined
  } = {}
): Layer.Layer<never, never, HttpRouter.HttpRouter | Metrics.MetricsCollector> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const router = yield* HttpRouter.HttpRouter
      const context = yield* Effect.context<Metrics.MetricsCollector>()
      const page = Effect.map(Effect.provideContext(prometheus, context), (body) =>
        HttpServerResponse.text(body, { contentType: "text/plain; version=0.0.4; charset=utf-8" })
      )
      yield* router.add("GET", options.path ?? "/metrics", page)
    })
  )

type Otlp = NonNullable<Plan.Metrics["otlp"]>

/** The address of the signal: an endpoint is that of the collector, unless it names the signal itself. */
const urlOf = (endpoint: string): string =>
  endpoint.endsWith("/v1/metrics") ? endpoint : `${endpoint.replace(/\/+$/, "")}/v1/metrics`

/** Notes when the collector begins to refuse, and when it takes again: the exporter itself is silent. */
const watched = (
  client: HttpClient.HttpClient,
  origin: string,
  add: Metrics.MetricsCollector["Service"]["add"]
): HttpClient.HttpClient => {
  let isFailing = false
  const failed = (what: string) =>
    Effect.suspend(() => {
      add("echelon.telemetry.lost", { "echelon.kind": "metrics" })
      if (isFailing) return Effect.void
      isFailing = true
      return Effect.logWarning(`metrics cannot be sent to ${origin}: ${what}`)
    })
  const taken = Effect.suspend(() => {
    if (!isFailing) return Effect.void
    isFailing = false
    return Effect.logInfo(`metrics are sent to ${origin} again`)
  })
  return HttpClient.transformResponse(client, (response) =>
    Effect.tap(response, ({ status }) => (status >= 200 && status < 300 ? taken : failed(`status ${status}`))).pipe(
      // What it says in full may hold the headers.
      Effect.tapError(({ reason }) => failed(reason._tag))
    )
  )
}

const isStated = (name: string): Effect.Effect<string> =>
  Config.String(name).pipe(
    Config.option,
    Config.map(Option.getOrElse(() => "")),
    Effect.orElseSucceed(() => "")
  )

/** As `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` say, else `echelon`. */
const resource = Effect.gen(function* () {
  const name = yield* isStated("OTEL_SERVICE_NAME")
  const attributes = yield* isStated("OTEL_RESOURCE_ATTRIBUTES")
  return name === "" && !/(^|,)\s*service\.name\s*=/.test(attributes) ? { serviceName: "echelon" } : {}
})

const exportTo = ({ encoding, endpoint, headers, interval, temporality }: Otlp) =>
  Effect.gen(function* () {
    const { add, registry } = yield* Metrics.MetricsCollector
    // Into the scope of the export, for it goes on when this has ended.
    const context = yield* Layer.build(
      Layer.mergeAll(
        NodeHttpClient.layerUndici,
        OtlpExporter.layerFlusher,
        encoding === "json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf
      )
    )
    const client = watched(Context.get(context, HttpClient.HttpClient), new URL(endpoint).origin, add)
    const sent = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Redacted.value(value)]))
    yield* OtlpMetrics.make({
      url: urlOf(endpoint),
      headers: sent,
      exportInterval: Duration.millis(interval),
      temporality,
      shutdownTimeout: "2 seconds",
      resource: yield* resource
    }).pipe(
      Effect.provideService(HttpClient.HttpClient, client),
      Effect.provideService(Metric.MetricRegistry, registry),
      Effect.provideService(
        Headers.CurrentRedactedNames,
        Object.keys(sent).map((name) => name.toLowerCase())
      ),
      Effect.provideContext(context)
    )
    return true
  })

const listen = ({ host, port }: NonNullable<Plan.Metrics["prometheus"]>, isFirst: boolean) =>
  Effect.gen(function* () {
    const context = yield* Effect.context<Metrics.MetricsCollector>()
    const page = Effect.provideContext(prometheus, context)
    const bound = yield* PrometheusListener.serve({ host, port, path: "/metrics", page })
    yield* Effect.logInfo(`metrics for Prometheus at http://${host}:${bound}/metrics`)
    return true
  }).pipe(
    Effect.catch(({ cause }) =>
      Effect.as(
        isFirst
          ? Effect.logWarning(
              `metrics for Prometheus cannot be served at ${host}:${port}: ${codeOf(cause)}; it is tried again`
            )
          : Effect.void,
        false
      )
    )
  )

const codeOf = (cause: unknown): string =>
  typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : "unknown"

/** How long until what could not be started is tried again, in milliseconds: doubling. */
const pause = { least: 1_000, most: 60_000 } as const

/**
 * Runs what a setting asks for, again whenever it has changed, until the scope closes. What could not be started is
 * tried again after a while, and told once; where both may run beside each other, what ran before goes on until then.
 */
const following = <A, R>(
  settingOf: (metrics: Plan.Metrics) => A | undefined,
  start: (setting: A, isFirst: boolean) => Effect.Effect<boolean, never, R>,
  mayOverlap: (before: A, after: A) => boolean = () => false
): Effect.Effect<void, never, Interpreter.Interpreter | Scope.Scope | Exclude<R, Scope.Scope>> =>
  Effect.gen(function* () {
    const interpreter = yield* Interpreter.Interpreter
    const changes = yield* Queue.sliding<void>(1)
    let running: { readonly setting: A; readonly scope: Scope.Closeable } | undefined
    const stop = Effect.suspend(() => {
      const scope = running?.scope
      running = undefined
      return scope === undefined ? Effect.void : Scope.close(scope, Exit.void)
    })
    let wanted: A | undefined
    let wait: number | undefined
    const look = Effect.gen(function* () {
      const { metrics } = yield* interpreter.plan
      const setting = metrics.enabled ? settingOf(metrics) : undefined
      const isFirst = !Equal.equals(setting, wanted)
      wanted = setting
      if (isFirst) wait = undefined
      if (Equal.equals(setting, running?.setting)) return
      if (running === undefined || setting === undefined || !mayOverlap(running.setting, setting)) yield* stop
      if (setting === undefined) return
      const scope = yield* Scope.make()
      const isStarted = yield* Effect.onExit(Scope.provide(start(setting, isFirst), scope), (exit) =>
        exit._tag === "Success" && exit.value ? Effect.void : Scope.close(scope, Exit.void)
      )
      if (!isStarted) {
        wait = wait === undefined ? pause.least : Math.min(wait * 2, pause.most)
        return
      }
      yield* stop
      running = { setting, scope }
      wait = undefined
    })
    const changed = Effect.suspend(() =>
      wait === undefined ? Queue.take(changes) : Effect.raceFirst(Queue.take(changes), Effect.sleep(wait))
    )
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => (running === undefined ? Effect.void : Effect.andThen(interpreter.shutdown, stop)))
    )
    yield* Effect.acquireRelease(
      Effect.sync(() =>
        interpreter.registry.listen(({ _tag }) => {
          if (_tag === "Swapped") Queue.offerUnsafe(changes, undefined)
        })
      ),
      (unlisten) => Effect.sync(unlisten)
    )
    yield* look
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(changed, look)))
  })

/**
 * Exports as `[metrics]` says, and follows its change: `[metrics.otlp]` to a collector, `[metrics.prometheus]` on a
 * port.
 *
 * **Details** A collector that does not answer, and a port that is taken, are logged; the program goes on. A port is
 * tried again after a second, then less and less often up to every minute, and the one before it answers until then. When
 * the Layer closes, what runs may end within `shutdown_grace`, and all is exported once more.
 *
 * **Ordering** It stands on the interpreter and closes before it, so it begins the end of that itself: what ends then
 * is exported too.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never, never, Interpreter.Interpreter | Metrics.MetricsCollector> = Layer.effectDiscard(
  Effect.andThen(
    following(({ otlp }) => otlp, exportTo),
    following(
      ({ prometheus }) => prometheus,
      listen,
      (before, after) => before.port !== after.port
    )
  )
)
