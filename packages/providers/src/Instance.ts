/**
 * Builds an `Llm` of an instance of a plan: its provider's row says the protocol, the endpoint and the auth, and
 * the transport carries the bytes.
 *
 * @since 0.1.0
 */
import type * as Attempt from "@echelon/core/Attempt"
import type * as Capability from "@echelon/core/Capability"
import type * as InstanceFactory from "@echelon/core/InstanceFactory"
import * as Llm from "@echelon/core/Llm"
import * as LlmError from "@echelon/core/LlmError"
import type * as LlmRequest from "@echelon/core/LlmRequest"
import * as Nearest from "@echelon/core/Nearest"
import type * as Part from "@echelon/core/Part"
import type * as Plan from "@echelon/core/Plan"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import * as Pull from "effect/Pull"
import type * as Scope from "effect/Scope"
import type * as Auth from "./Auth.ts"
import * as Endpoint from "./Endpoint.ts"
import * as ErrorReply from "./ErrorReply.ts"
import * as Framing from "./Framing.ts"
import * as Json from "./Json.ts"
import * as LimitHeaders from "./LimitHeaders.ts"
import * as Proof from "./Proof.ts"
import type * as Protocol from "./Protocol.ts"
import * as ProviderTable from "./ProviderTable.ts"
import * as Redaction from "./Redaction.ts"
import * as Transport from "./Transport.ts"
import type * as Wire from "./Wire.ts"

/** Everything that the calls of one instance share. */
interface Context {
  readonly instance: Plan.Instance
  readonly row: ProviderTable.Row
  /** The row's, or that of its embeddings. */
  readonly protocol: Protocol.Protocol
  readonly endpoint: Endpoint.Endpoint
  readonly options: Protocol.Options
  readonly client: HttpClient.HttpClient
  /** `undefined` when the endpoint holds all there is to show. */
  readonly prover: Auth.Prover | undefined
}

/**
 * Builds an instance.
 *
 * **Errors** `UnknownTarget` when no row has the provider's kind; `Authentication` when its key is not set, naming
 * the variable that usually holds it; `InvalidRequest` when the address, the key or a header cannot be used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  instance: Plan.Instance
): Effect.Effect<InstanceFactory.Built, LlmError.LlmError, Scope.Scope | Transport.Transport> =>
  Effect.gen(function* () {
    const { credential, model, name, provider } = instance
    const row = ProviderTable.find(provider.kind)
    if (row === undefined) return yield* Effect.fail(unknownKind(provider))
    const lacking = Proof.lacks(row, provider, credential)
    if (lacking === "api_key") return yield* Effect.fail(missingKey(name, row.keyVariable))
    if (lacking !== undefined) return yield* Effect.fail(missingSecret(name, lacking))
    const transport = yield* Transport.Transport
    const client = yield* transport.client(provider)
    const prover = yield* Proof.make(row, instance, client)
    const endpoint = yield* Effect.try({
      try: () => Endpoint.make(row, instance, prover),
      catch: (thrown) =>
        LlmError.make({
          reason: { _tag: "InvalidRequest" },
          // Only the refusals that are written for people are shown: any other message could hold a value.
          detail: thrown instanceof RangeError ? thrown.message : "the endpoint cannot be used",
          instance: name
        })
    })
    const context: Context = {
      instance,
      row,
      protocol: row.protocol,
      endpoint,
      client,
      prover,
      options: {
        kind: provider.kind,
        model: model.model,
        maxOutputTokens: model.capabilities.maxOutputTokens,
        dialect: row.dialect
      }
    }
    const llm = Llm.make({
      id: name,
      model: model.model,
      capabilities: row.embeddings === undefined ? withoutEmbeddings(model.capabilities) : model.capabilities,
      prices: model.prices,
      provider: { name: provider.name, kind: provider.kind, ...addressOf(endpoint.origin) },
      open: (request, attempt, dropped) => open(context, request, attempt, dropped)
    })
    return { llm, probe: probe(context, llm), probeKind: probeKindOf(context) }
  })

/** Who is asked, as traces name it. */
const addressOf = (origin: string): { readonly address: string; readonly port: number } => {
  const { hostname, port, protocol } = new URL(origin)
  return { address: hostname, port: port !== "" ? Number(port) : protocol === "https:" ? 443 : 80 }
}

const unknownKind = (provider: Plan.Provider): LlmError.LlmError =>
  LlmError.make({
    reason: { _tag: "UnknownTarget", kind: "provider", name: provider.kind, known: ProviderTable.kinds },
    detail: `no kind of provider is called "${provider.kind}"; ${Nearest.hint(provider.kind, ProviderTable.kinds)}`
  })

/**
 * The error of an instance whose key is not set.
 *
 * @since 0.1.0
 * @category constructors
 */
export const missingKey = (instance: string, variable: string | undefined): LlmError.LlmError =>
  LlmError.make({
    reason: { _tag: "Authentication" },
    detail: variable === undefined ? "no key is set" : `no key is set; set ${variable}`,
    instance
  })

/**
 * The error of an instance whose credential lacks what its proof is made of.
 *
 * @since 0.1.0
 * @category constructors
 */
export const missingSecret = (instance: string, key: string): LlmError.LlmError =>
  LlmError.make({ reason: { _tag: "Authentication" }, detail: `no credential is set; state ${key}`, instance })

/** Whoever knows no address to embed at is passed over by pools, whatever is known of the model. */
const withoutEmbeddings = (capabilities: Capability.Capabilities): Capability.Capabilities => ({
  ...capabilities,
  lacks: [...(capabilities.lacks ?? []), "embeddings"]
})

const open = (
  context: Context,
  request: LlmRequest.LlmRequest,
  attempt: Attempt.Attempt,
  dropped: (field: string) => void
): Effect.Effect<Llm.Source, LlmError.LlmError, Scope.Scope> => {
  const { embed, generate, stream } = context.endpoint
  const { embedding } = request
  if (embedding === undefined) return ask(context, request.stream ? stream : generate, request, attempt, dropped)
  const { embeddings } = context.row
  if (embeddings === undefined || embed === undefined) return Effect.fail(refusedTexts("it has no embeddings"))
  if (!embeddings.takesTokens && embedding.input.some((text) => typeof text !== "string"))
    return Effect.fail(refusedTexts("it takes texts, not the tokens of texts"))
  return ask({ ...context, protocol: embeddings.protocol }, embed, { ...request, stream: false }, attempt, dropped)
}

const refusedTexts = (detail: string): LlmError.LlmError =>
  LlmError.make({ reason: { _tag: "InvalidRequest" }, detail })

const ask = (
  context: Context,
  target: Endpoint.Target,
  request: LlmRequest.LlmRequest,
  attempt: Attempt.Attempt,
  dropped: (field: string) => void
): Effect.Effect<Llm.Source, LlmError.LlmError, Scope.Scope> =>
  Effect.gen(function* () {
    const { endpoint, instance, options, protocol, row } = context
    const { provider } = instance
    const body = yield* Effect.try({
      try: () => JSON.stringify(protocol.lower(request, options, dropped)),
      // The message of a failed serialization may quote the prompt.
      catch: () => LlmError.make({ reason: { _tag: "InvalidRequest" }, detail: "the request is not JSON" })
    })
    const exchange = yield* Proof.send(context.prover, {
      client: context.client,
      target,
      origin: endpoint.origin,
      body,
      accept: request.stream ? Framing.mediaTypes[row.framing] : "application/json",
      traceparent: provider.traceContext ? attempt.traceparent : undefined,
      maxRequestBytes: provider.maxRequestBytes,
      maxResponseBytes: provider.maxResponseBytes
    })
    if (LimitHeaders.isPresent(exchange.headers)) yield* report(context, exchange, attempt)
    if (!isSuccess(exchange.status)) return yield* refused(context, exchange)
    const raw = request.raw?.protocol === protocol.name
    // The server decides what it sends: one that cannot stream, or always does, is understood all the same.
    const framing =
      Framing.ofMediaType(exchange.contentType) ??
      (exchange.contentType === "" && request.stream ? row.framing : undefined)
    if (framing !== undefined) return streamed(context, exchange, attempt, framing, raw)
    return yield* buffered(context, exchange, raw)
  })

const isSuccess = (status: number): boolean => status >= 200 && status < 300

/** Tells what the head of an answer says of the provider's limits, whatever its status is. */
const report = (context: Context, exchange: Wire.Exchange, attempt: Attempt.Attempt): Effect.Effect<void> =>
  Effect.map(Clock.currentTimeMillis, (now) => {
    const max = context.instance.provider.maxCooldown
    for (const one of LimitHeaders.parse(exchange.headers, { now, max })) attempt.report(one)
  })

/** Reads a refusal. A body that breaks off does not hide the status. */
const refused = (context: Context, exchange: Wire.Exchange): Effect.Effect<never, LlmError.LlmError> =>
  Effect.flatMap(
    Effect.zip(
      Effect.catch(exchange.text, () => Effect.succeed("")),
      Clock.currentTimeMillis
    ),
    ([body, now]) => {
      exchange.finished()
      return Effect.fail(
        ErrorReply.fromReply(
          { status: exchange.status, headers: exchange.headers, body },
          {
            decode: (json) => context.protocol.decodeError(typed(context, exchange, json), context.options),
            statuses: context.row.dialect.statuses,
            redaction: context.endpoint.redaction,
            now,
            maxCooldown: context.instance.provider.maxCooldown
          }
        )
      )
    }
  )

/** An error whose type stands in a header, as Amazon's do, is decoded as if the body stated it. */
const typed = ({ row }: Context, { headers }: Wire.Exchange, body: Json.Json): Json.Json => {
  const type = row.errorTypeHeader === undefined ? undefined : headers[row.errorTypeHeader]
  return type === undefined || !Json.isObject(body) ? body : { __type: type, ...body }
}

/** Finishes an error that a protocol made: what it quotes is redacted and cut, the wait it names is clamped. */
const cleaned = (context: Context, exchange: Wire.Exchange, error: LlmError.LlmError): LlmError.LlmError =>
  LlmError.update(ErrorReply.clamped(error, context.instance.provider.maxCooldown), {
    detail:
      error.detail === undefined
        ? undefined
        : Redaction.truncate(context.endpoint.redaction, error.detail, ErrorReply.maxDetail),
    requestId: error.requestId ?? ErrorReply.requestIdOf(exchange.headers)
  })

/** Ends a batch at the failure that it holds. */
const clean = (
  context: Context,
  exchange: Wire.Exchange,
  parts: ReadonlyArray<Part.Part>
): ReadonlyArray<Part.Part> => {
  const at = parts.findIndex((part) => part.type === "error")
  const failed = parts[at]
  return failed?.type === "error" && LlmError.isLlmError(failed.error)
    ? [...parts.slice(0, at), { ...failed, error: cleaned(context, exchange, failed.error) }]
    : parts
}

type Batch = readonly [Part.Part, ...Array<Part.Part>]

const isBatch = (parts: ReadonlyArray<Part.Part>): parts is Batch => parts.length > 0

/** Puts the event itself on the first part it gave, or on one made for it. */
const carrying = (parts: ReadonlyArray<Part.Part>, event: Part.RawEvent): ReadonlyArray<Part.Part> => {
  const [first, ...rest] = parts
  return first === undefined ? [{ type: "response-metadata", raw: event }] : [{ ...first, raw: event }, ...rest]
}

/** The parts that are joined when an answer is folded: what they carry beside their text is gone then. */
const isPiece = ({ type }: Part.Part): boolean => /^(?:text|reasoning|tool-params)-/.test(type)

/** Puts a whole reply on the first part that stands by itself. */
const carryingWhole = (parts: ReadonlyArray<Part.Part>, event: Part.RawEvent): ReadonlyArray<Part.Part> => {
  const at = parts.findIndex((part) => !isPiece(part))
  const part = parts[at]
  return part === undefined ? carrying(parts, event) : parts.with(at, { ...part, raw: event })
}

type Events = readonly [Json.JsonObject, ...Array<Json.JsonObject>]

const areEvents = (body: Json.Json | undefined): body is Events =>
  Array.isArray(body) && body.length > 0 && body.every(Json.isObject)

/** Gemini answers in an array of its events where something on the way took the word that asks for them one by one. */
const ofEvents = ({ options, protocol }: Context, events: Events): ReadonlyArray<Part.Part> => {
  const reader = protocol.reader(options)
  const parts = events.flatMap((event) => reader.push({ event: undefined, data: JSON.stringify(event) }))
  return [...parts, ...reader.end()]
}

const buffered = (
  context: Context,
  exchange: Wire.Exchange,
  raw: boolean
): Effect.Effect<Llm.Source, LlmError.LlmError> =>
  Effect.flatMap(exchange.text, (text) => {
    exchange.finished()
    const { endpoint, options, protocol } = context
    const body = Json.parse(text)
    if (!Json.isObject(body) && !areEvents(body)) {
      const isJson = exchange.contentType === "" || exchange.contentType.endsWith("json")
      const shown =
        isJson && text.trim() !== "" ? "the answer is not a JSON object" : ErrorReply.excerpt(text, endpoint.redaction)
      return Effect.fail(cleaned(context, exchange, ErrorReply.malformed(shown)))
    }
    const found = areEvents(body) ? ofEvents(context, body) : protocol.parse(body, options)
    const parsed = clean(context, exchange, found)
    const parts = raw ? carryingWhole(parsed, { data: text }) : parsed
    return Effect.sync((): Llm.Source => {
      let batch: ReadonlyArray<Part.Part> = parts
      return Effect.suspend(() => {
        const now = batch
        batch = []
        return isBatch(now) ? Effect.succeed(now) : Cause.done()
      })
    })
  })

const streamed = (
  context: Context,
  exchange: Wire.Exchange,
  attempt: Attempt.Attempt,
  framing: Framing.Framing,
  raw: boolean
): Llm.Source => {
  const frames = Framing.reader(framing, context.instance.provider.maxEventBytes)
  const reader = context.protocol.reader(context.options)
  let ended = false
  /** Tells whether what follows can be read. */
  const take = ({ events, failure }: Framing.Frames, into: Array<Part.Part>): boolean => {
    for (const event of events) {
      const parts = reader.push(event)
      if (raw) into.push(...carrying(parts, event))
      else into.push(...parts)
      attempt.touch()
    }
    if (failure !== undefined) into.push({ type: "error", error: ErrorReply.malformed(failure) })
    return failure === undefined
  }
  const give = (parts: ReadonlyArray<Part.Part>): Llm.Source => {
    if (parts.some((part) => part.type === "finish")) exchange.finished()
    const batch = clean(context, exchange, parts)
    return isBatch(batch) ? Effect.succeed(batch) : next
  }
  const next: Llm.Source = Effect.suspend(() =>
    ended
      ? Cause.done()
      : Pull.matchEffect(exchange.body, {
          onSuccess: (chunks) => {
            const parts: Array<Part.Part> = []
            for (const chunk of chunks) if (!take(frames.push(chunk), parts)) break
            return give(parts)
          },
          onFailure: (cause) => Effect.failCause(cause),
          onDone: () => {
            ended = true
            const parts: Array<Part.Part> = []
            if (take(frames.end(), parts)) parts.push(...reader.end())
            return give(parts)
          }
        })
  )
  return next
}

/** Where there is no address to list models at, a question is asked instead. */
const probeKindOf = ({ endpoint, instance, row }: Context): ProviderTable.Row["healthCheck"] => {
  const how = instance.provider.healthCheck ?? row.healthCheck
  return how === "models" && endpoint.models === undefined ? "ping" : how
}

const probe = (context: Context, llm: Llm.Llm): Effect.Effect<Duration.Duration, LlmError.LlmError> => {
  const { endpoint, instance } = context
  const how = probeKindOf(context)
  if (how === "none") return Effect.succeed(Duration.zero)
  const target = endpoint.models
  const ask: Effect.Effect<unknown, LlmError.LlmError> =
    how === "ping" || target === undefined
      ? ping(llm)
      : Effect.scoped(
          Effect.flatMap(
            Proof.send(context.prover, {
              client: context.client,
              target,
              origin: endpoint.origin,
              body: undefined,
              accept: "application/json",
              maxResponseBytes: instance.provider.maxResponseBytes
            }),
            (exchange) => {
              if (!isSuccess(exchange.status)) return refused(context, exchange)
              return Effect.tap(exchange.text, () => Effect.sync(() => exchange.finished()))
            }
          )
        )
  return Effect.mapError(
    Effect.map(Effect.timed(ask), ([elapsed]) => elapsed),
    (error) => (error.instance === undefined ? LlmError.update(error, { instance: instance.name }) : error)
  )
}

const ping = (llm: Llm.Llm): Effect.Effect<unknown, LlmError.LlmError> =>
  llm.capabilities.features?.every((feature) => feature === "embeddings") === true &&
  llm.capabilities.features.length > 0
    ? Llm.embed(llm, { input: "ping" })
    : // One token is refused by models that think first.
      Llm.generate(llm, { prompt: "ping", settings: { maxOutputTokens: 16 } })
