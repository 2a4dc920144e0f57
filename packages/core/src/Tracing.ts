/**
 * Requests as spans: one for each request, one for each of its attempts under it.
 *
 * They are made with Effect's `Tracer`, of the program or of an exporter. A request that runs within a span, or was
 * given one from outside (`Effect.withParentSpan` of `Tracer.externalSpan`), belongs to its trace.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Hex from "effect/encoding/Hex"
import * as Layer from "effect/Layer"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as References from "effect/References"
import * as Tracer from "effect/Tracer"
import * as Interpreter from "./Interpreter.ts"
import type * as LlmRequest from "./LlmRequest.ts"
import type * as Observation from "./Observation.ts"
import type * as Plan from "./Plan.ts"
import type * as Route from "./Route.ts"
import type * as StateRegistry from "./StateRegistry.ts"
import * as TraceAttributes from "./TraceAttributes.ts"
import * as TraceContent from "./TraceContent.ts"
import * as TraceRoute from "./TraceRoute.ts"

/**
 * Where spans go instead of to the program's own `Tracer`, while it gives one.
 *
 * @since 0.1.0
 * @category references
 */
export const Target = Context.Reference<() => Tracer.Tracer | undefined>("@echelon/core/Tracing/Target", {
  defaultValue: () => () => undefined
})

/**
 * Makes spans of all requests of the interpreter, while `[tracing]` says so.
 *
 * **Details** The span of a request is `chat NAME`, of the wrapper, pool or group that it named; those of its attempts
 * are `chat MODEL`, of kind `client`. `docs/tracing.md` has every attribute and event. A failure has the status of an
 * error and its reason as `error.type`, never a message; what was given up is interrupted.
 *
 * Where there is neither a tracer nor a parent nothing is made and nothing spent. Prompts and answers are shown only
 * with `content = true`, and gathered only then.
 *
 * **Gotchas** It is not taken away when this Layer closes, but with the interpreter: what ends while that shuts down
 * is traced to its end.
 *
 * @example
 * ```ts
 * import { Clients, InstanceFactory, Interpreter, Orchestrator, Plans } from "@echelon/core"
 * import * as Tracing from "@echelon/core/Tracing"
 * import { ScriptedLlm } from "@echelon/testing"
 * import { Duration, Effect, Layer, Tracer } from "effect"
 *
 * const provider = Plans.provider({ name: "local", kind: "openai-compatible" })
 * const plan = Plans.root({
 *   instances: [Plans.instance({ provider, alias: "small", model: Plans.model({ model: "llama3.2" }) })],
 *   groups: [Plans.group("chat", [Plans.echelon("chat", 1, ["local-small"])])]
 * })
 * const instances = Layer.succeed(InstanceFactory.InstanceFactory, {
 *   make: ({ name, model }) =>
 *     Effect.map(ScriptedLlm.make({ id: name, model: model.model, script: ScriptedLlm.text("hello") }), ({ llm }) => ({
 *       llm,
 *       probe: Effect.succeed(Duration.zero)
 *     }))
 * })
 * const clients = Layer.succeed(Clients.Clients, { get: () => Effect.die("no direct calls here") })
 *
 * const spans: Array<Tracer.Span> = []
 * const tracer = Tracer.make({
 *   span: (options) => {
 *     const span = new Tracer.NativeSpan(options)
 *     spans.push(span)
 *     return span
 *   }
 * })
 * const program = Orchestrator.generate({ prompt: "hi", metadata: { groupName: "chat" } }).pipe(
 *   Effect.withTracer(tracer),
 *   Effect.provide(
 *     Layer.mergeAll(Orchestrator.layer, Tracing.layer).pipe(
 *       Layer.provide(Interpreter.Interpreter.layer(plan)),
 *       Layer.provide(Layer.merge(instances, clients))
 *     )
 *   )
 * )
 * await Effect.runPromise(program)
 * console.assert(spans.map(({ name }) => name).join() === "chat chat,chat llama3.2")
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<never, never, Interpreter.Interpreter> = Layer.effectDiscard(
  Effect.gen(function* () {
    const { plan, registry } = yield* Interpreter.Interpreter
    const target = yield* Target
    const tracing = new Tracing(registry, target)
    const take = (root: Plan.Root): void => {
      tracing.settings = root.tracing
      if (root.tracing.enabled) registry.observers.add(tracing.observer)
      else registry.observers.observers.delete(tracing.observer)
    }
    take(yield* plan)
    registry.listen((change) => {
      tracing.hear(change)
      if (change._tag !== "Swapped") return
      const next = registry.plan()
      if (next !== undefined) take(next)
    })
  })
)

/** Events of one span; what comes beyond is not told. */
const maxEvents = 64

/** An attempt under way. */
interface Sent {
  readonly span: Tracer.Span
  readonly request: LlmRequest.LlmRequest | undefined
  readonly output: TraceContent.Output | undefined
}

/** A request under way: its span, and what its attempts need. */
interface Traced {
  readonly tracer: Tracer.Tracer
  readonly clock: Clock.Clock
  readonly span: Tracer.Span
  readonly messages: LlmRequest.LlmRequest["messages"]
  readonly attempts: Map<Route.Open, Sent>
  readonly isContent: boolean
  events: number
  /** How far it is told who was passed over. */
  rank: number
  isAdmitted: boolean
}

/** A request that is not traced, and what providers are told of that. */
type Untraced = string | undefined

class Tracing {
  settings: Plan.Tracing | undefined
  private readonly target: () => Tracer.Tracer | undefined
  private readonly route: TraceRoute.Watch
  private readonly requests = new WeakMap<Observation.Observation, Traced | { readonly traceparent: Untraced }>()
  readonly hear: TraceRoute.Watch["hear"]
  readonly observer: Observation.Observer

  constructor(registry: StateRegistry.StateRegistry, target: () => Tracer.Tracer | undefined) {
    this.target = target
    this.route = new TraceRoute.Watch(registry)
    this.hear = this.route.hear
    this.observer = {
      onStart: (observation, context, request) => this.started(observation, context, request),
      onAttemptStart: (observation, entry, request) => this.attemptStarted(observation, entry, request),
      onAttemptEnd: (observation, entry) => this.attemptEnded(observation, entry),
      onEnd: (observation) => this.ended(observation)
    }
  }

  private started(
    observation: Observation.Observation,
    context: Context.Context<never>,
    request: LlmRequest.LlmRequest
  ): void {
    const { settings } = this
    const parent = parentOf(context)
    const tracer = this.target() ?? Context.get(context, Tracer.Tracer)
    // Nobody would see the spans, and no trace would be carried on.
    if (settings === undefined || (tracer === Tracer.nativeTracer && parent === undefined)) return
    if (!Context.get(context, References.TracerEnabled)) return
    if (parent !== undefined) observation.traceId = parent.traceId
    if (!isSampled(context, parent, settings.sampleRatio)) {
      const root = parent ?? { traceId: Hex.random(32), spanId: Hex.random(16) }
      this.requests.set(observation, { traceparent: TraceAttributes.traceparent(root, false) })
      return
    }
    const clock = Context.get(context, Clock.Clock)
    const span = tracer.span({
      name: TraceAttributes.requestName(observation),
      parent: Option.fromUndefinedOr(parent),
      annotations: Context.empty(),
      links: [...Context.get(context, References.TracerSpanLinks)],
      startTime: clock.currentTimeNanosUnsafe(),
      kind: "internal",
      root: false,
      sampled: true
    })
    const own = Context.get(context, References.TracerSpanAnnotations)
    for (const key in own) span.attribute(key, own[key])
    observation.traceId = span.traceId
    this.requests.set(observation, {
      tracer,
      clock,
      span,
      messages: request.messages,
      attempts: new Map(),
      isContent: settings.content,
      events: 0,
      rank: Number.NEGATIVE_INFINITY,
      isAdmitted: false
    })
  }

  private attemptStarted(
    observation: Observation.Observation,
    entry: Route.Open,
    request: LlmRequest.LlmRequest | undefined
  ): void {
    this.route.forget()
    const traced = this.requests.get(observation)
    if (traced === undefined) return
    if (!("span" in traced)) {
      entry.traceparent = traced.traceparent
      return
    }
    const startTime = traced.clock.currentTimeNanosUnsafe()
    if (!traced.isAdmitted) {
      traced.isAdmitted = true
      const wait = observation.queuedMs / 1_000
      if (wait > 0) tell(traced, { name: "echelon.admitted", attributes: { "echelon.queue.wait": wait } }, startTime)
    }
    if (entry.echelon !== undefined) this.passedOver(traced, observation, entry.echelon, entry.startedAt, startTime)
    const isResumed = request !== undefined && request.messages !== traced.messages
    const why = TraceRoute.next(observation, entry, isResumed)
    if (why !== undefined) tell(traced, why, startTime)
    const span = traced.tracer.span({
      name: TraceAttributes.attemptName(observation, entry),
      parent: Option.some(traced.span),
      annotations: Context.empty(),
      links: [],
      startTime,
      kind: entry.kind === "cache" || entry.kind === "coalesced" ? "internal" : "client",
      root: false,
      sampled: traced.span.sampled
    })
    const output = traced.isContent ? new TraceContent.Output() : undefined
    if (output !== undefined) entry.onParts = output.add
    entry.span = span
    entry.traceparent = TraceAttributes.traceparent(span, span.sampled)
    traced.attempts.set(entry, { span, request, output })
  }

  private attemptEnded(observation: Observation.Observation, entry: Route.Open): void {
    const left = this.route.left(entry)
    const traced = this.requests.get(observation)
    if (traced === undefined || !("span" in traced)) return
    const endTime = traced.clock.currentTimeNanosUnsafe()
    for (const event of left) tell(traced, event, endTime)
    const sent = traced.attempts.get(entry)
    if (sent === undefined) return
    traced.attempts.delete(entry)
    const { output, request, span } = sent
    const set: TraceAttributes.Set = (key, value) => span.attribute(key, value)
    TraceAttributes.attempt(set, observation, entry, request)
    if (output !== undefined) {
      if (request !== undefined) TraceContent.input(set, request)
      output.show(set, entry.finishReason)
    }
    span.end(endTime, exitOf(entry))
  }

  private ended(observation: Observation.Observation): void {
    const traced = this.requests.get(observation)
    if (traced === undefined || !("span" in traced)) return
    const { clock, span } = traced
    const endTime = clock.currentTimeNanosUnsafe()
    if (observation.outcome === "failed" && observation.attempts.length === 0 && observation.endedAt !== undefined)
      this.passedOver(traced, observation, undefined, observation.endedAt, endTime)
    TraceAttributes.request((key, value) => span.attribute(key, value), observation)
    span.end(endTime, exitOf(observation))
  }

  private passedOver(
    traced: Traced,
    observation: Observation.Observation,
    echelon: string | undefined,
    now: number,
    time: bigint
  ): void {
    const { events, rank } = this.route.passedOver(observation, echelon, traced.rank, now)
    traced.rank = rank
    for (const event of events) tell(traced, event, time)
  }
}

const tell = (traced: Traced, { attributes, name }: TraceRoute.Event, time: bigint): void => {
  if (traced.events === maxEvents) return
  traced.events += 1
  traced.span.event(name, time, attributes)
}

/** The span that a fiber runs in, past those that are not to be known of. */
const parentOf = (context: Context.Context<never>): Tracer.AnySpan | undefined => {
  let span: Tracer.AnySpan | undefined = Context.getOrUndefined(context, Tracer.ParentSpan)
  while (span !== undefined && Context.get(span.annotations, Tracer.DisablePropagation))
    span = span._tag === "Span" ? Option.getOrUndefined(span.parent) : undefined
  return span
}

/** As its parent is; without one, by chance. */
const isSampled = (context: Context.Context<never>, parent: Tracer.AnySpan | undefined, ratio: number): boolean => {
  if (parent !== undefined) return parent.sampled
  const level = Context.get(context, Tracer.CurrentTraceLevel)
  if (LogLevel.isGreaterThan(Context.get(context, Tracer.MinimumTraceLevel), level)) return false
  return ratio >= 1 || (ratio > 0 && Context.get(context, Random.Random).nextDoubleUnsafe() < ratio)
}

const interrupted = Exit.interrupt()

/** What becomes of a span. A tracer shows what it is given: a reason's name, and no message. */
const exitOf = ({ outcome, reason }: Pick<Route.Open, "outcome" | "reason">): Exit.Exit<void, string> => {
  if (outcome === "cancelled") return interrupted
  return outcome === "failed" ? Exit.fail(reason ?? "Unknown") : Exit.void
}
