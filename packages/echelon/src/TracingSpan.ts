/**
 * Spans as OpenTelemetry's protocol (OTLP) writes them.
 *
 * They show what they were given and nothing else: of a failure its name, no message and no stack.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Option from "effect/Option"
import * as OtlpResource from "effect/observability/OtlpResource"
import type * as OtlpTracer from "effect/observability/OtlpTracer"
import * as Tracer from "effect/Tracer"

/**
 * A span in the form of the protocol.
 *
 * @since 0.1.0
 * @category models
 */
export type Encoded = OtlpTracer.TraceData["resourceSpans"][number]["scopeSpans"][number]["spans"][number]

const isId = (span: Tracer.AnySpan): boolean =>
  /^[0-9a-f]{1,32}$/i.test(span.traceId) && /^[0-9a-f]{16}$/i.test(span.spanId)

/**
 * A span that tells when it has ended.
 *
 * **Details** A parent whose ids are none, as a caller may make them up, is left out: a collector would refuse the whole
 * batch for it.
 *
 * @since 0.1.0
 * @category models
 */
export class Span extends Tracer.NativeSpan {
  private readonly onEnd: (span: Span) => void

  constructor(options: Parameters<Tracer.Tracer["span"]>[0], onEnd: (span: Span) => void) {
    super({ ...options, parent: Option.filter(options.parent, isId) })
    this.onEnd = onEnd
  }

  override end(...args: Parameters<Tracer.Span["end"]>): void {
    if (this.status._tag === "Ended") return
    super.end(...args)
    this.onEnd(this)
  }
}

/** What every span holds, whatever it says: about what it takes in memory. */
const base = 1_000

/**
 * How much a span holds, in characters: those of its attributes that may be long.
 *
 * @since 0.1.0
 * @category getters
 */
export const weight = ({ _attributes }: Span): number => {
  let sum = base
  for (const value of _attributes?.values() ?? [])
    if (typeof value === "string" && value.length > base) sum += value.length
  return sum
}

const kinds: Readonly<Record<Tracer.SpanKind, number>> = { internal: 1, server: 2, client: 3, producer: 4, consumer: 5 }

const statusCodes = { unset: 0, error: 2 } as const

const statusOf = ({ status }: Span): Encoded["status"] => {
  if (status._tag === "Started" || status.exit._tag === "Success" || Cause.hasInterruptsOnly(status.exit.cause))
    return { code: statusCodes.unset }
  const failure = status.exit.cause.reasons.find(Cause.isFailReason)?.error
  return typeof failure === "string" ? { code: statusCodes.error, message: failure } : { code: statusCodes.error }
}

/**
 * Writes a span that has ended.
 *
 * @since 0.1.0
 * @category getters
 */
export const encode = (span: Span): Encoded => {
  const { _attributes, _events, kind, links, name, parent, spanId, status, traceId } = span
  const endTime = status._tag === "Ended" ? status.endTime : status.startTime
  return {
    traceId: traceId.padStart(32, "0"),
    spanId,
    parentSpanId: Option.isSome(parent) ? parent.value.spanId : undefined,
    name,
    kind: kinds[kind],
    startTimeUnixNano: String(status.startTime),
    endTimeUnixNano: String(endTime),
    attributes: _attributes === undefined ? [] : OtlpResource.entriesToAttributes(_attributes),
    droppedAttributesCount: 0,
    events: (_events ?? []).map(([event, time, attributes]) => ({
      name: event,
      timeUnixNano: String(time),
      attributes: OtlpResource.entriesToAttributes(Object.entries(attributes)),
      droppedAttributesCount: 0
    })),
    droppedEventsCount: 0,
    status: statusOf(span),
    links: links.map((link) => ({
      traceId: link.span.traceId.padStart(32, "0"),
      spanId: link.span.spanId,
      attributes: OtlpResource.entriesToAttributes(Object.entries(link.attributes)),
      droppedAttributesCount: 0
    })),
    droppedLinksCount: 0
  }
}
