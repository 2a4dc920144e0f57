/**
 * Counts what becomes of requests, and shows it: to programs as a typed snapshot, to exporters through Effect's own
 * metric registry.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Interpreter from "./Interpreter.ts"
import * as MetricNames from "./MetricNames.ts"
import * as MetricSeries from "./MetricSeries.ts"
import * as MetricsGauges from "./MetricsGauges.ts"
import * as MetricsObserver from "./MetricsObserver.ts"
import type * as MetricsSnapshot from "./MetricsSnapshot.ts"
import type * as Plan from "./Plan.ts"
import type * as StateChange from "./StateChange.ts"
import type * as StateRegistry from "./StateRegistry.ts"

/**
 * Measures what the plan's `metrics` say, and follows their change.
 *
 * **Details** `MetricNames.catalogue` has every metric with its unit and labels. Whatever reads Effect's metric
 * registry sees them: `Metric.snapshot`, and the Prometheus and OTLP exporters of `effect/observability`. With
 * `enabled = false` nothing listens to requests, and nothing is kept. What a wrapper wants unmeasured is left out.
 *
 * **Gotchas** Two of these under one metric registry (Effect's is one for the process) have one place for each series,
 * and the one that came last stands there. Give each a `Metric.MetricRegistry` of its own.
 *
 * @example
 * ```ts
 * import { Clients, InstanceFactory, Interpreter, Metrics, MetricsSnapshot, Orchestrator, Plans } from "@echelon/core"
 * import { ScriptedLlm } from "@echelon/testing"
 * import { Duration, Effect, Layer } from "effect"
 *
 * const provider = Plans.provider({ name: "mine", kind: "openai-compatible" })
 * const instance = Plans.instance({ provider, alias: "small", model: Plans.model({ model: "small-1" }) })
 * const plan = Plans.root({
 *   instances: [instance],
 *   groups: [Plans.group("chat", [Plans.echelon("chat", 1, [instance.name])])]
 * })
 * const instances = Layer.succeed(InstanceFactory.InstanceFactory, {
 *   make: ({ name }) =>
 *     Effect.map(ScriptedLlm.make({ id: name, script: ScriptedLlm.text("hi") }), ({ llm }) => ({
 *       llm,
 *       probe: Effect.succeed(Duration.zero)
 *     }))
 * })
 * const clients = Layer.succeed(Clients.Clients, { get: () => Effect.die("no direct calls here") })
 *
 * const program = Effect.gen(function* () {
 *   yield* Orchestrator.generate({ prompt: "hi", metadata: { groupName: "chat" } })
 *   const collector = yield* Metrics.MetricsCollector
 *   const { metrics } = yield* collector.snapshot
 *   return MetricsSnapshot.sum(metrics["echelon.requests"], { "echelon.outcome": "completed" })
 * }).pipe(
 *   Effect.provide(
 *     Layer.mergeAll(Orchestrator.layer, Metrics.MetricsCollector.layer).pipe(
 *       Layer.provide(Interpreter.Interpreter.layer(plan)),
 *       Layer.provide(Layer.merge(instances, clients))
 *     )
 *   )
 * )
 * console.assert((await Effect.runPromise(program)) === 1)
 * ```
 *
 * @since 0.1.0
 * @category services
 */
export class MetricsCollector extends Context.Service<
  MetricsCollector,
  {
    /** All metrics as they stand. */
    readonly snapshot: Effect.Effect<MetricsSnapshot.Snapshot>
    /** Takes into the registry what can be read only since a while: exporters do it before they read. */
    readonly refresh: Effect.Effect<void>
    /**
     * Counts for those who tell of themselves: deliveries of alerts, what was lost. It takes no time and does nothing
     * while metrics are off.
     */
    readonly add: (name: MetricNames.NameOf<"counter">, labels: MetricSeries.Labels, amount?: number) => void
    /** Where the series stand for exporters. */
    readonly registry: Metric.MetricRegistry
  }
>()("@echelon/core/MetricsCollector") {
  static readonly layer: Layer.Layer<MetricsCollector, never, Interpreter.Interpreter> = Layer.effect(
    MetricsCollector,
    Effect.gen(function* () {
      const { registry } = yield* Interpreter.Interpreter
      const context = yield* Effect.context<never>()
      return yield* Effect.acquireRelease(
        Effect.sync(() => new Collector(registry, context)),
        (collector) => Effect.sync(() => collector.close())
      )
    })
  )
}

type Registration = Metric.Registration

const attributesOf = (
  context: Context.Context<never>,
  name: MetricNames.Name,
  labels: MetricSeries.Labels
): Metric.Metric.AttributeSet => {
  const all: Record<string, string> = { ...Context.get(context, Metric.CurrentMetricAttributes), ...labels }
  // The exporter reads the unit here. One that is listed would become a label too.
  return Object.defineProperty(all, "unit", { value: MetricNames.catalogue[name].unit, enumerable: false })
}

const unused = () => undefined

/** Cumulative, as effect's exporters want it. */
const bucketsOf = ({ boundaries, counts }: MetricSeries.Histogram): ReadonlyArray<[number, number]> => {
  let below = 0
  return boundaries.map((boundary, i) => {
    below += counts[i] as number
    return [boundary, below]
  })
}

class Collector {
  readonly registry: Metric.MetricRegistry
  private readonly state: StateRegistry.StateRegistry
  /** That of the Layer, whose attributes are added to all series by ourselves. */
  private readonly context: Context.Context<never>
  private readonly outer: Context.Context<never>
  private readonly unlisten: () => void
  private measuring: Measuring | undefined

  constructor(state: StateRegistry.StateRegistry, context: Context.Context<never>) {
    this.state = state
    this.outer = context
    this.context = Context.add(context, Metric.CurrentMetricAttributes, {})
    this.registry = Context.get(context, Metric.MetricRegistry)
    this.unlisten = state.listen((change) => this.changed(change))
    this.follow()
  }

  close(): void {
    this.unlisten()
    this.measuring?.close()
    this.measuring = undefined
  }

  readonly add = (name: MetricNames.NameOf<"counter">, labels: MetricSeries.Labels, amount = 1): void => {
    this.measuring?.series.count(name, labels).add(amount)
  }

  readonly refresh = Effect.sync(() => this.measuring?.refresh())

  readonly snapshot = Effect.sync((): MetricsSnapshot.Snapshot => {
    const metrics = Object.fromEntries(MetricNames.names.map((name) => [name, [] as Array<unknown>]))
    this.measuring?.refresh()
    for (const [name, point] of this.measuring?.points() ?? []) metrics[name]?.push(point)
    // The catalogue says which kind of point a name has, and `points` reads it there.
    return { at: this.state.now(), metrics: metrics as unknown as MetricsSnapshot.Snapshot["metrics"] }
  })

  private changed(change: StateChange.StateChange): void {
    if (change._tag === "Swapped") this.follow()
    this.measuring?.changed(change)
  }

  /** Begins, ends or goes on as the plan says. */
  private follow(): void {
    const settings = this.state.plan()?.metrics
    if (settings?.enabled !== true) {
      this.measuring?.close()
      this.measuring = undefined
    } else if (this.measuring === undefined)
      this.measuring = new Measuring(this.state, this.context, this.outer, settings)
    else this.measuring.resize(settings)
  }
}

/** What is there only while metrics are on. */
class Measuring {
  readonly series: MetricSeries.Series
  private readonly state: StateRegistry.StateRegistry
  private readonly context: Context.Context<never>
  private readonly outer: Context.Context<never>
  private readonly observer: MetricsObserver.MetricsObserver
  private readonly unobserve: () => void
  private readonly registrations: Array<Registration> = []
  private gauges = new Map<string, readonly [MetricsGauges.Gauge, Registration]>()
  /** What had no room, by metric. */
  private readonly others = new Map<MetricNames.Name, Array<MetricSeries.Kept>>()
  /** How the registry reads our counters, to tell them from those of others. */
  private readonly own = new WeakSet<object>()
  private readonly instances = new Map<string, StateChange.HealthStatus>()
  private readonly providers = new Map<string, boolean>()
  private tenantLabel: boolean

  constructor(
    state: StateRegistry.StateRegistry,
    context: Context.Context<never>,
    outer: Context.Context<never>,
    settings: Plan.Metrics
  ) {
    this.state = state
    this.context = context
    this.outer = outer
    this.tenantLabel = settings.tenantLabel
    this.series = new MetricSeries.Series(settings.maxSeries, (kept) => this.kept(kept))
    this.observer = MetricsObserver.make({
      series: this.series,
      plan: () => state.plan(),
      tenantLabel: () => this.tenantLabel
    })
    this.unobserve = state.observers.add(this.observer)
    // Whoever reads all series reads this one first: what it finds new is read the next time.
    this.registrations.push(
      this.gauge("echelon.metrics.series", {}, () => {
        this.refresh()
        return this.series.size() + this.gauges.size
      })
    )
    this.refresh()
  }

  close(): void {
    this.unobserve()
    for (const { remove } of this.registrations) remove()
    for (const [, { remove }] of this.gauges.values()) remove()
  }

  resize({ maxSeries, tenantLabel }: Plan.Metrics): void {
    this.series.maxSeries = maxSeries
    this.tenantLabel = tenantLabel
    const plan = this.state.plan()
    for (const name of this.instances.keys()) if (plan?.instances[name] === undefined) this.instances.delete(name)
    for (const name of this.providers.keys()) if (plan?.providers[name] === undefined) this.providers.delete(name)
    this.observer.forget()
    // A circuit or a limit of the same name may be another now.
    for (const [, { remove }] of this.gauges.values()) remove()
    this.gauges.clear()
    this.refresh()
  }

  changed(change: StateChange.StateChange): void {
    switch (change._tag) {
      case "Breaker": {
        const { group, instance, to } = change
        const labels = { "echelon.group": group, "echelon.instance": instance, "echelon.breaker.state": to }
        this.series.count("echelon.breaker.transitions", labels).add(1)
        break
      }
      case "Reload":
        this.series.count("echelon.reloads", { "echelon.outcome": change.outcome }).add(1)
        break
      case "Health":
        this.instances.set(change.instance, change.to)
        this.refresh()
        break
      case "ProviderHealth":
        this.providers.set(change.provider, change.isDown)
        this.refresh()
        break
    }
  }

  /** Registers what can be read now, and removes what cannot be read any more. */
  refresh(): void {
    const plan = this.state.plan()
    if (plan === undefined) return
    const next = new Map<string, readonly [MetricsGauges.Gauge, Registration]>()
    for (const gauge of MetricsGauges.make(plan, this.state, {
      instances: this.instances,
      providers: this.providers
    })) {
      const key = JSON.stringify([gauge.name, gauge.labels])
      next.set(key, this.gauges.get(key) ?? [gauge, this.gauge(gauge.name, gauge.labels, gauge.read)])
    }
    for (const [key, [, { remove }]] of this.gauges) if (!next.has(key)) remove()
    this.gauges = next
  }

  *points(): Generator<readonly [MetricNames.Name, MetricsSnapshot.Value | MetricsSnapshot.Distribution]> {
    for (const { labels, name, series } of this.series.all()) {
      if (series instanceof MetricSeries.Count) yield [name, { labels, value: series.value }]
      else {
        const { boundaries, counts, max, min, sum, updates } = series
        const seen = updates > 0
        yield [
          name,
          {
            labels,
            boundaries,
            counts: [...counts],
            count: updates,
            sum,
            min: seen ? min : undefined,
            max: seen ? max : undefined
          }
        ]
      }
    }
    for (const name of this.others.keys())
      yield ["echelon.metrics.overflow", { labels: { "echelon.metric": name }, value: this.overflowOf(name) }]
    for (const [{ labels, name, read }] of this.gauges.values()) yield [name, { labels, value: read() }]
    yield ["echelon.metrics.series", { labels: {}, value: this.series.size() + this.gauges.size }]
    yield* this.foreign()
  }

  /** What others count by a name of the catalogue with metrics of effect's. */
  private *foreign(): Generator<readonly [MetricNames.Name, MetricsSnapshot.Value]> {
    for (const { attributes, hooks, id, type } of Context.get(this.context, Metric.MetricRegistry).values()) {
      if (type !== "Counter" || this.own.has(hooks.get) || MetricNames.find(id)?.kind !== "counter") continue
      const { count } = hooks.get(this.context) as Metric.CounterState<number | bigint>
      yield [id as MetricNames.Name, { labels: { ...attributes }, value: Number(count) }]
    }
  }

  private kept(kept: MetricSeries.Kept): void {
    const { labels, name, series } = kept
    this.registrations.push(
      series instanceof MetricSeries.Count
        ? this.counter(name, labels, () => series.value)
        : this.histogram(name, labels, series)
    )
    if (!kept.isOther) return
    const others = this.others.get(name)
    if (others !== undefined) {
      others.push(kept)
      return
    }
    this.others.set(name, [kept])
    const overflow = { "echelon.metric": name }
    this.registrations.push(this.counter("echelon.metrics.overflow", overflow, () => this.overflowOf(name)))
  }

  private overflowOf(name: MetricNames.Name): number {
    return (this.others.get(name) ?? []).reduce((sum, { series }) => sum + series.updates, 0)
  }

  private options(name: MetricNames.Name, labels: MetricSeries.Labels) {
    const { description } = MetricNames.catalogue[name]
    return { description, attributes: attributesOf(this.outer, name, labels) }
  }

  private counter(name: MetricNames.Name, labels: MetricSeries.Labels, read: () => number): Registration {
    const metric = Metric.counter(name, { ...this.options(name, labels), incremental: true })
    const get = () => ({ count: read(), incremental: true })
    this.own.add(get)
    return Metric.registerUnsafe(metric, this.context, { get, update: unused, modify: unused })
  }

  private gauge(name: MetricNames.Name, labels: MetricSeries.Labels, read: () => number): Registration {
    const metric = Metric.gauge(name, this.options(name, labels))
    return Metric.registerUnsafe(metric, this.context, {
      get: () => ({ value: read() }),
      update: unused,
      modify: unused
    })
  }

  private histogram(name: MetricNames.Name, labels: MetricSeries.Labels, series: MetricSeries.Histogram): Registration {
    const { boundaries } = series
    const metric = Metric.histogram(name, { ...this.options(name, labels), boundaries })
    const get = () => {
      const { max, min, sum, updates } = series
      return { buckets: bucketsOf(series), count: updates, min, max, sum }
    }
    return Metric.registerUnsafe(metric, this.context, { get, update: unused, modify: unused })
  }
}
