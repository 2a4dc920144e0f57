/**
 * Takes spans out of the process, as `[tracing.otlp]` says: to an OpenTelemetry collector.
 *
 * Effect's own exporter keeps any number of batches that a slow collector has not taken, and forgets all spans of a
 * minute after a failure without telling. This one is bounded, and counts what it loses.
 *
 * @since 0.1.0
 */
import * as Interpreter from "@echelon/core/Interpreter"
import type * as Plan from "@echelon/core/Plan"
import * as Tracing from "@echelon/core/Tracing"
import * as Clock from "effect/Clock"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Headers from "effect/http/Headers"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Latch from "effect/Latch"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as OtlpResource from "effect/observability/OtlpResource"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Tracer from "effect/Tracer"
import * as TracingSpan from "./TracingSpan.ts"

/**
 * How the export does.
 *
 * @since 0.1.0
 * @category models
 */
export interface Stats {
  /** Spans that wait to be sent. */
  readonly queued: number
  readonly exported: number
  /** Spans that were dropped: there was no room for them, or the collector did not take them. */
  readonly lost: number
}

/**
 * The export of spans.
 *
 * **Details** Spans wait in a queue until a batch is full or the interval over. Of those that come while the queue is
 * full, and of a batch that the collector has refused three times, the loss is counted and logged. Closing the Layer
 * sends what is left, for at most three seconds.
 *
 * **Ordering** Must be provided to the Layer of the `Interpreter`, so that it closes after that, and to
 * `Tracing.layer`: it says where spans go.
 *
 * @since 0.1.0
 * @category services
 */
export class TracingExport extends Context.Service<
  TracingExport,
  {
    /** Sends to another collector from now on; to none when `undefined`. */
    readonly configure: (otlp: Plan.Tracing["otlp"]) => void
    /** Sends what waits. */
    readonly flush: Effect.Effect<void>
    readonly stats: Effect.Effect<Stats>
    /** Hears how many spans were lost, each time some are. Gives the way to stop. */
    readonly onLost: (f: (spans: number) => void) => () => void
  }
>()("@echelon/echelon/TracingExport") {
  /** Exports nothing until it is configured. */
  static readonly layer: Layer.Layer<TracingExport> = Layer.effectContext(
    Effect.map(
      Effect.suspend(() => make),
      ({ service, tracer }) => Context.make(TracingExport, service).pipe(Context.add(Tracing.Target, tracer))
    )
  )

  /**
   * Exports as the plan says, and follows its change.
   *
   * **Gotchas** When this Layer closes nothing changes: what ends while the interpreter shuts down is exported.
   */
  static readonly layerFollowing: Layer.Layer<never, never, TracingExport | Interpreter.Interpreter> =
    Layer.effectDiscard(
      Effect.gen(function* () {
        const { configure } = yield* TracingExport
        const { plan, registry } = yield* Interpreter.Interpreter
        const take = ({ tracing }: Plan.Root) => configure(tracing.enabled ? tracing.otlp : undefined)
        take(yield* plan)
        registry.listen((change) => {
          const next = change._tag === "Swapped" ? registry.plan() : undefined
          if (next !== undefined) take(next)
        })
      })
    )
}

/** Spans in a batch, the characters that one may hold, and those that all who wait may hold together. */
const limits = { batch: 256, batchWeight: 1_000_000, weight: 16_000_000 } as const

/** How many of those that wait make a batch: one at least. */
const batchOf = (queue: ReadonlyArray<TracingSpan.Span>): number => {
  let weight = 0
  let count = 0
  for (const span of queue) {
    weight += TracingSpan.weight(span)
    if (count > 0 && (count === limits.batch || weight > limits.batchWeight)) break
    count += 1
  }
  return count
}

/** How long a collector may take, how long all may take at the end, and how often a loss is logged. */
const patience = { post: "10 seconds", close: "3 seconds", log: 60_000 } as const

/** What the protocol says is to be tried again. */
const transient: ReadonlySet<number> = new Set([429, 502, 503, 504])

const retries = { schedule: Schedule.exponential("500 millis"), times: 2 } as const

/** Why a batch was not taken, in words that hold nothing of it. */
class Refused {
  readonly _tag = "Refused"
  readonly what: string
  readonly isTransient: boolean

  constructor(what: string, isTransient: boolean) {
    this.what = what
    this.isTransient = isTransient
  }
}

type Otlp = NonNullable<Plan.Tracing["otlp"]>

/** The address of the signal: an endpoint is that of the collector, unless it names the signal itself. */
const urlOf = (endpoint: string): string =>
  endpoint.endsWith("/v1/traces") ? endpoint : `${endpoint.replace(/\/+$/, "")}/v1/traces`

const stated = (name: string): Effect.Effect<string> =>
  Config.String(name).pipe(
    Config.option,
    Config.map(Option.getOrElse(() => "")),
    Effect.orElseSucceed(() => "")
  )

/** As `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` say, else `echelon`. */
const resource = Effect.gen(function* () {
  const name = yield* stated("OTEL_SERVICE_NAME")
  const attributes = yield* stated("OTEL_RESOURCE_ATTRIBUTES")
  const isNamed = name !== "" || /(^|,)\s*service\.name\s*=/.test(attributes)
  return yield* OtlpResource.fromConfig(isNamed ? {} : { serviceName: "echelon" }).pipe(
    // Attributes that cannot be read are no reason not to start.
    Effect.catchCause(() => Effect.succeed(OtlpResource.make({ serviceName: name === "" ? "echelon" : name })))
  )
})

/** What is needed only where spans are sent. */
const sender = Effect.gen(function* () {
  const NodeHttpClient = yield* Effect.promise(() => import("@effect/platform-node/NodeHttpClient"))
  const context = yield* Layer.build(Layer.merge(NodeHttpClient.layerUndici, OtlpSerialization.layerProtobuf))
  const json = yield* Layer.build(OtlpSerialization.layerJson)
  return {
    client: Context.get(context, HttpClient.HttpClient),
    resource: yield* resource,
    write: {
      protobuf: Context.get(context, OtlpSerialization.OtlpSerialization),
      json: Context.get(json, OtlpSerialization.OtlpSerialization)
    }
  }
})

const scope = { name: "@echelon/core" } as const

const make = Effect.gen(function* () {
  const clock = yield* Clock.Clock
  // Must be made before the finalizer below, so that the client is there for the last batch.
  const own = yield* Effect.acquireRelease(Scope.make(), (one) => Scope.close(one, Exit.void))
  const loaded = yield* Effect.cached(Scope.provide(sender, own))
  const latch = Latch.makeUnsafe(false)
  const listeners = new Set<(spans: number) => void>()
  /** Where spans go; where those go that wait is kept. */
  let target: Otlp | undefined
  let last: Otlp | undefined
  let queue: Array<TracingSpan.Span> = []
  let weight = 0
  let exported = 0
  let lost = 0
  let toldAt = Number.NEGATIVE_INFINITY
  let isFailing = false

  const lose = (spans: number): void => {
    lost += spans
    for (const listener of listeners) listener(spans)
  }

  const isFull = () => queue.length >= limits.batch || weight >= limits.batchWeight

  const push = (span: TracingSpan.Span): void => {
    if (!span.sampled) return
    const more = TracingSpan.weight(span)
    if (last === undefined || weight + more > limits.weight) {
      lose(1)
      return
    }
    weight += more
    queue.push(span)
    if (isFull()) latch.openUnsafe()
  }

  const tracer = Tracer.make({ span: (options) => new TracingSpan.Span(options, push) })

  const post = Effect.fnUntraced(function* (spans: ReadonlyArray<TracingSpan.Span>, to: Otlp) {
    const { client, resource, write } = yield* loaded
    const body = write[to.encoding].traces({
      resourceSpans: [{ resource, scopeSpans: [{ scope, spans: spans.map(TracingSpan.encode) }] }]
    })
    const headers = Object.fromEntries(Object.entries(to.headers).map(([name, value]) => [name, Redacted.value(value)]))
    const request = HttpClientRequest.setBody(HttpClientRequest.post(urlOf(to.endpoint), { headers }), body)
    const once = Effect.scoped(
      Effect.gen(function* () {
        const response = yield* client.execute(request)
        // A connection is free again when all was read.
        yield* response.arrayBuffer
        const { status } = response
        if (status < 200 || status >= 300)
          return yield* Effect.fail(new Refused(`status ${status}`, transient.has(status)))
      })
    ).pipe(
      Effect.timeout(patience.post),
      // What these say in full may hold the headers.
      Effect.mapError((error) =>
        error._tag === "Refused"
          ? error
          : new Refused(error._tag === "HttpClientError" ? error.reason._tag : "no answer in time", true)
      ),
      Effect.provideService(HttpClient.TracerDisabledWhen, () => true),
      Effect.provideService(HttpClient.TracerPropagationEnabled, false),
      Effect.provideService(Headers.CurrentRedactedNames, Object.keys(headers))
    )
    yield* Effect.retry(once, { ...retries, while: ({ isTransient }) => isTransient })
  })

  const failed = (spans: number, to: Otlp, { what }: Refused): Effect.Effect<void> =>
    Effect.suspend(() => {
      lose(spans)
      const now = clock.currentTimeMillisUnsafe()
      if (isFailing && now - toldAt < patience.log) return Effect.void
      isFailing = true
      toldAt = now
      return Effect.logWarning(
        `spans cannot be sent to ${new URL(to.endpoint).origin}: ${what}; ${lost} were lost so far`
      )
    })

  const taken = (spans: number, to: Otlp): Effect.Effect<void> =>
    Effect.suspend(() => {
      exported += spans
      if (!isFailing) return Effect.void
      isFailing = false
      return Effect.logInfo(`spans are sent to ${new URL(to.endpoint).origin} again`)
    })

  /** Sends one batch after another until nothing waits. */
  const drain: Effect.Effect<void> = Effect.suspend(() => {
    const to = last
    if (queue.length === 0 || to === undefined) return Effect.void
    const count = batchOf(queue)
    const batch = queue.slice(0, count)
    queue = queue.slice(count)
    const held = batch.reduce((sum, span) => sum + TracingSpan.weight(span), 0)
    return Effect.matchEffect(post(batch, to), {
      onSuccess: () => taken(batch.length, to),
      onFailure: (refused) => failed(batch.length, to, refused)
    }).pipe(
      // Cut off at the end: nobody knows whether it arrived.
      Effect.onInterrupt(() => Effect.sync(() => lose(batch.length))),
      Effect.ensuring(
        Effect.sync(() => {
          weight -= held
        })
      ),
      Effect.andThen(drain)
    )
  })
  const flush = Semaphore.makeUnsafe(1).withPermit(drain)

  const loop = Effect.gen(function* () {
    latch.closeUnsafe()
    if (!isFull()) yield* last === undefined ? latch.await : Effect.raceFirst(latch.await, Effect.sleep(last.interval))
    yield* flush
  })
  const sending = yield* Effect.forkScoped(Effect.forever(loop))

  // Must be added after the loop, so that it runs before that ends.
  yield* Effect.addFinalizer(() =>
    Effect.andThen(
      Effect.andThen(
        Effect.timeoutOption(Effect.interruptible(flush), patience.close),
        // What it holds of a batch is lost now, and known to be.
        Fiber.interrupt(sending)
      ),
      Effect.suspend(() => {
        const left = queue.length
        queue = []
        if (left > 0) lose(left)
        return lost === 0 ? Effect.void : Effect.logWarning(`${lost} spans were lost in all`)
      })
    )
  )

  return {
    tracer: () => (target === undefined ? undefined : tracer),
    service: TracingExport.of({
      configure: (otlp) => {
        target = otlp
        last = otlp ?? last
        // Its interval may be another.
        latch.openUnsafe()
      },
      flush,
      stats: Effect.sync(() => ({ queued: queue.length, exported, lost })),
      onLost: (f) => {
        listeners.add(f)
        return () => void listeners.delete(f)
      }
    })
  }
})
