/**
 * Turns a behaviour into what goes over a socket, step by step. Pure: the server only plays the steps.
 *
 * @since 0.1.0
 */
import { gzipSync } from "node:zlib"
import * as Duration from "effect/Duration"
import * as Answer from "./FaultServerAnswer.ts"
import * as Anthropic from "./FaultServerAnthropic.ts"
import type * as Behaviour from "./FaultServerBehaviour.ts"
import * as Http from "./FaultServerHttp.ts"
import * as OpenAi from "./FaultServerOpenAi.ts"

/**
 * One thing the server does.
 *
 * **Details** `End` leaves the connection to the next request, `Close` ends it, `Reset` breaks it, and `Hang` keeps
 * it open without a word. `Trickle` writes byte by byte, `Repeat` writes the same bytes again and again.
 *
 * @since 0.1.0
 * @category models
 */
export type Step =
  | { readonly _tag: "Write"; readonly bytes: Buffer }
  | { readonly _tag: "Trickle"; readonly bytes: Buffer; readonly every: Duration.Duration | undefined }
  | {
      readonly _tag: "Repeat"
      readonly bytes: Buffer
      readonly every: Duration.Duration
      readonly times: number | undefined
    }
  | { readonly _tag: "Sleep"; readonly duration: Duration.Duration }
  | { readonly _tag: "End" | "Close" | "Reset" | "Hang" }

/**
 * What is known when a request is answered.
 *
 * @since 0.1.0
 * @category models
 */
export interface Context {
  readonly request: Behaviour.Request
  /** Milliseconds since the epoch. */
  readonly now: number
  /** The text of an answer that names none. */
  readonly text: string
  /** The models to list. */
  readonly models: ReadonlyArray<string>
}

type Pace = Extract<Behaviour.Layer, { readonly _tag: "Delay" }>["at"]

interface Draft {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly framing: "length" | "chunked"
  readonly pieces: ReadonlyArray<Buffer>
  /** How many pieces come before the first token. */
  readonly lead: number
  /** Bytes that are announced and never sent. */
  readonly missing: number
  readonly ending: Extract<Step["_tag"], "End" | "Close" | "Reset" | "Hang">
  /** How much of the answer is sent at all. */
  readonly extent: "nothing" | "half a head" | "all"
  readonly delays: { readonly [at in Pace]?: Duration.Duration }
  /** A wait behind so many pieces. */
  readonly pause: { readonly behind: number; readonly duration: Duration.Duration } | undefined
  readonly repeat: Omit<Extract<Step, { readonly _tag: "Repeat" }>, "_tag"> | undefined
  readonly trickle: { readonly every: Duration.Duration | undefined } | undefined
}

/**
 * The steps of an answer.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (behaviour: Behaviour.Behaviour, context: Context): ReadonlyArray<Step> =>
  steps(draft(behaviour, context))

const encodings = { openai: OpenAi, anthropic: Anthropic } as const

const contentTypes = { json: "application/json", stream: "text/event-stream; charset=utf-8" } as const

const bytesOf = (text: string): Buffer => Buffer.from(text)

const blank: Draft = {
  status: 200,
  headers: {},
  framing: "length",
  pieces: [],
  lead: 0,
  missing: 0,
  ending: "End",
  extent: "all",
  delays: {},
  pause: undefined,
  repeat: undefined,
  trickle: undefined
}

const buffered = (text: string, type: string = contentTypes.json): Draft => ({
  ...blank,
  headers: { "content-type": type },
  pieces: text === "" ? [] : [bytesOf(text)]
})

const streamed = (events: ReadonlyArray<Answer.Event>): Draft => ({
  ...blank,
  headers: { "content-type": contentTypes.stream, "cache-control": "no-cache" },
  framing: "chunked",
  pieces: events.map((event) => bytesOf(Answer.sse(event))),
  lead: countBefore(events, 0)
})

/** How many events stand before the one that would be token number `after`. */
const countBefore = (events: ReadonlyArray<Answer.Event>, after: number): number => {
  let seen = 0
  const at = events.findIndex((event) => {
    if (event.kind === "finish" || event.kind === "end") return true
    return event.kind === "token" && seen++ === after
  })
  return at === -1 ? events.length : at
}

const half = (text: string): string => text.slice(0, Math.floor(text.length / 2))

// ---------------------------------------------------------------------------------------------------------------
// Behaviours
// ---------------------------------------------------------------------------------------------------------------

const draft = (behaviour: Behaviour.Behaviour, context: Context): Draft => {
  switch (behaviour._tag) {
    case "Answer":
      return whole(behaviour, context)
    case "Status":
      return refuse(behaviour, context)
    case "Reset":
      return {
        ...whole(well, context),
        extent: behaviour.within === "head" ? "half a head" : "nothing",
        ending: "Reset"
      }
    case "Silence":
      return { ...blank, extent: "nothing", ending: "Hang" }
    case "Cut":
    case "Stall":
    case "Malformed":
    case "ErrorEvent":
      return struck(behaviour, context)
    case "PrefillRefused":
      return endsWithAssistant(context.request.body)
        ? refuse({ _tag: "Status", status: 400, message: "This model does not support assistant prefill." }, context)
        : draft(behaviour.of, context)
    case "Forever":
      return draft(behaviour.of, context)
    default:
      return layered(behaviour, context)
  }
}

const whole = (behaviour: Behaviour.Whole, context: Context): Draft => {
  const { protocol, stream, endpoint } = context.request
  const encoding = encodings[protocol]
  if (endpoint === "models") return buffered(encoding.models(context.models))
  if (endpoint === "other") return refuse({ _tag: "Status", status: 404, error: "invalid_request" }, context)
  const answer = answerOf(behaviour, context)
  return stream ? streamed(encoding.events(answer)) : buffered(encoding.body(answer))
}

const answerOf = (behaviour: Behaviour.Whole, { request, text }: Context): Answer.Answer => {
  const calls = behaviour.toolCalls ?? []
  const tokens = Answer.tokens(behaviour.text ?? (calls.length === 0 ? text : ""))
  const { finish = calls.length === 0 ? "stop" : "tool_calls", usage } = behaviour
  const estimate = { input: Math.ceil(JSON.stringify(request.body ?? "").length / 4), output: tokens.length }
  // OpenAI tells the usage of a stream only when asked.
  const isTold =
    request.protocol === "anthropic" ||
    !request.stream ||
    field(field(request.body, "stream_options"), "include_usage") === true
  return {
    model: request.model,
    tokens,
    toolCalls: calls,
    finish: finish === "absent" ? undefined : finish,
    usage: usage === "absent" || !isTold ? undefined : (usage ?? estimate),
    sentinel: behaviour.sentinel ?? true
  }
}

const field = (u: unknown, name: string): unknown =>
  typeof u === "object" && u !== null && Object.hasOwn(u, name) ? (u as Record<string, unknown>)[name] : undefined

const endsWithAssistant = (body: unknown): boolean => {
  const messages = field(body, "messages")
  return Array.isArray(messages) && field(messages.at(-1), "role") === "assistant"
}

const page = (status: number): string =>
  `<!DOCTYPE html><html><head><title>${status} Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>`

type Status = Extract<Behaviour.Behaviour, { readonly _tag: "Status" }>

const refuse = (behaviour: Status, { now, request }: Context): Draft => {
  const encoding = encodings[request.protocol]
  const { body, error = Answer.kindOf(behaviour.status ?? 500), location, retryAfter, retryAfterMs } = behaviour
  const usual = encoding.failures[error]
  const status = behaviour.status ?? usual.status
  const text = encoding.errorBody({
    ...usual,
    ...(behaviour.code === undefined ? {} : { code: behaviour.code }),
    ...(behaviour.message === undefined ? {} : { message: behaviour.message })
  })
  const base =
    body === undefined
      ? buffered(text)
      : body === "html"
        ? buffered(page(status), "text/html; charset=utf-8")
        : body === "empty"
          ? buffered("")
          : body === "truncated"
            ? buffered(half(text))
            : buffered(body.text, body.type)
  const date = behaviour.retryDateIn
  return {
    ...base,
    status,
    headers: {
      ...base.headers,
      ...(location === undefined ? {} : { location }),
      ...(retryAfter === undefined ? {} : { "retry-after": retryAfter }),
      ...(retryAfterMs === undefined ? {} : { "retry-after-ms": retryAfterMs }),
      ...(date === undefined ? {} : { "retry-after": new Date(now + Duration.toMillis(date)).toUTCString() })
    }
  }
}

type Struck = Extract<Behaviour.Behaviour, { readonly _tag: "Cut" | "Stall" | "Malformed" | "ErrorEvent" }>

const well: Behaviour.Whole = { _tag: "Answer" }

/** A fault in the middle of an answer. */
const struck = (behaviour: Struck, context: Context): Draft => {
  const { protocol, stream, endpoint } = context.request
  const encoding = encodings[protocol]
  const { after = 0, answer = well, wait } = behaviour
  const base = whole(answer, context)
  const pause = (behind: number): Draft["pause"] =>
    wait === undefined ? undefined : { behind, duration: Duration.fromInputUnsafe(wait) }
  const failure = (error: Answer.ErrorKind, message: string | undefined): Answer.Failure =>
    message === undefined ? encoding.failures[error] : { ...encoding.failures[error], message }
  if (endpoint !== "generate" || !stream) {
    if (behaviour._tag === "ErrorEvent")
      return { ...buffered(encoding.errorBody(failure(behaviour.error, behaviour.message))), pause: pause(0) }
    const body = Buffer.concat(base.pieces)
    const sent = body.subarray(0, Math.floor(body.length / 2))
    const cut: Draft = { ...base, pieces: [sent], pause: pause(1) }
    const missing = body.length - sent.length
    switch (behaviour._tag) {
      case "Malformed":
        return cut
      case "Stall":
        return { ...cut, missing, ending: "Hang" }
      case "Cut":
        return behaviour.closingChunk ? { ...cut, framing: "chunked" } : { ...cut, missing, ending: "Close" }
    }
  }
  const at = countBefore(encoding.events(answerOf(answer, context)), after)
  const before: Draft = { ...base, pieces: base.pieces.slice(0, at), lead: Math.min(base.lead, at), pause: pause(at) }
  switch (behaviour._tag) {
    case "Malformed": {
      // Anthropic's clients tell events apart by name, so the broken one has the name of a whole one.
      const named = protocol === "anthropic" ? { event: "content_block_delta" } : {}
      const broken = Answer.sse({ kind: "token", ...named, data: '{"id":"broken","choices":[{' })
      return { ...before, pieces: [...before.pieces, bytesOf(broken), ...base.pieces.slice(at)] }
    }
    case "ErrorEvent": {
      const event = encoding.errorEvent(failure(behaviour.error, behaviour.message))
      return { ...before, pieces: [...before.pieces, bytesOf(Answer.sse(event))] }
    }
    case "Stall":
      return { ...before, ending: "Hang" }
    case "Cut":
      return behaviour.closingChunk ? before : { ...before, ending: "Close" }
  }
}

// ---------------------------------------------------------------------------------------------------------------
// Layers
// ---------------------------------------------------------------------------------------------------------------

const layered = (layer: Behaviour.Layer, context: Context): Draft => {
  switch (layer._tag) {
    case "Headers":
      return headed(draft(layer.of, context), layer.headers)
    case "RateLimit":
      return headed(draft(layer.of, context), rateLimitHeaders(layer.limit, context.now))
    case "Delay": {
      const base = draft(layer.of, context)
      // A buffered answer has no first token to hold back: it comes whole, later.
      const at = layer.at === "first_token" && base.framing === "length" ? "head" : layer.at
      return { ...base, delays: { ...base.delays, [at]: Duration.fromInputUnsafe(layer.duration) } }
    }
    case "Trickle":
      return {
        ...draft(layer.of, context),
        trickle: { every: layer.every === undefined ? undefined : Duration.fromInputUnsafe(layer.every) }
      }
    case "Gzip": {
      const base = draft(layer.of, context)
      const pieces = [gzipSync(Buffer.concat(base.pieces))]
      return headed({ ...base, pieces, lead: 0, pause: undefined }, { "content-encoding": "gzip" })
    }
    case "KeepAlive": {
      const { protocol, stream } = context.request
      const base = layer.of === undefined ? { ...whole(well, context), pieces: [], lead: 0 } : draft(layer.of, context)
      const bytes = bytesOf(stream ? encodings[protocol].keepAlive : "\n")
      const every = Duration.fromInputUnsafe(layer.every)
      return { ...base, framing: "chunked", repeat: { bytes, every, times: layer.times } }
    }
  }
}

const headed = (base: Draft, headers: Readonly<Record<string, string>>): Draft => ({
  ...base,
  headers: {
    ...base.headers,
    ...Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]))
  }
})

/**
 * The headers in which a provider reports its rate limits.
 *
 * @since 0.1.0
 * @category encoding
 */
export const rateLimitHeaders = (
  { dialect, requests, tokens }: Behaviour.RateLimit,
  now: number
): Readonly<Record<string, string>> => {
  const headers: Record<string, string> = {}
  for (const [name, window] of Object.entries({ requests, tokens })) {
    if (window === undefined) continue
    const key = (field: string) =>
      dialect === "anthropic" ? `anthropic-ratelimit-${name}-${field}` : `x-ratelimit-${field}-${name}`
    headers[key("limit")] = String(window.limit)
    headers[key("remaining")] = String(window.remaining)
    headers[key("reset")] = resets[dialect](Duration.toMillis(window.resetIn), now)
  }
  return headers
}

const goDuration = (millis: number): string => {
  if (millis < 1000) return `${millis}ms`
  const hours = Math.floor(millis / 3_600_000)
  const minutes = Math.floor(millis / 60_000) % 60
  const seconds = (millis % 60_000) / 1000
  return `${hours > 0 ? `${hours}h` : ""}${hours > 0 || minutes > 0 ? `${minutes}m` : ""}${seconds}s`
}

const resets: Readonly<Record<Behaviour.RateLimit["dialect"], (millis: number, now: number) => string>> = {
  openai: goDuration,
  azure: (millis) => String(Math.ceil(millis / 1000)),
  anthropic: (millis, now) => new Date(now + millis).toISOString().replace(/\.\d+Z$/, "Z")
}

// ---------------------------------------------------------------------------------------------------------------
// Steps
// ---------------------------------------------------------------------------------------------------------------

const steps = (draft: Draft): ReadonlyArray<Step> => {
  const { delays, ending, extent, framing, lead, missing, pause, pieces, repeat, status, trickle } = draft
  const sleep = (duration: Duration.Duration | undefined): ReadonlyArray<Step> =>
    duration === undefined ? [] : [{ _tag: "Sleep", duration }]
  if (extent === "nothing") return [...sleep(delays.head), { _tag: ending }]
  const write = (bytes: Buffer): Step =>
    trickle === undefined ? { _tag: "Write", bytes } : { _tag: "Trickle", bytes, every: trickle.every }
  const frame = (bytes: Buffer): Buffer => (framing === "chunked" ? Http.chunk(bytes) : bytes)
  const length = pieces.reduce((sum, piece) => sum + piece.length, missing)
  const head = bytesOf(
    Http.head(status, {
      ...draft.headers,
      ...(framing === "chunked" ? { "transfer-encoding": "chunked" } : { "content-length": String(length) })
    })
  )
  const middle = Math.floor(head.length / 2)
  const heads: ReadonlyArray<Step> =
    extent === "half a head"
      ? [write(head.subarray(0, middle))]
      : delays.within_head === undefined
        ? [write(head)]
        : [write(head.subarray(0, middle)), ...sleep(delays.within_head), write(head.subarray(middle))]
  if (extent === "half a head") return [...sleep(delays.head), ...heads, { _tag: ending }]
  return [
    ...sleep(delays.head),
    ...heads,
    ...[...pieces, undefined].flatMap((piece, at) => [
      ...(at !== lead || repeat === undefined
        ? []
        : [{ _tag: "Repeat", ...repeat, bytes: frame(repeat.bytes) } as const]),
      ...sleep(at === lead ? delays.first_token : undefined),
      ...sleep(at === pause?.behind ? pause.duration : undefined),
      ...(piece === undefined ? [] : [write(frame(piece))])
    ]),
    ...(framing === "chunked" && ending === "End" ? [write(Http.lastChunk)] : []),
    { _tag: ending }
  ]
}
