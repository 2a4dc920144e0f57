/**
 * Everything that can answer a request is an `Llm`: a provider endpoint, an echelon, a task group, a pool, a
 * wrapper, the router. There is this one contract, and all else is composition.
 *
 * - `call` succeeds at commit: the first output has arrived, or for a buffered reply all of it. Until then
 *   every policy acts on `call` as on any Effect; streams have no second code path.
 * - The scope of a call ends at completion. A stream ends completed, failed or cancelled, and never otherwise:
 *   a truncated answer is never a success.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Channel from "effect/Channel"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Pull from "effect/Pull"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Tracer from "effect/Tracer"
import * as Attempt from "./Attempt.ts"
import * as Capability from "./Capability.ts"
import * as LlmEmbedding from "./LlmEmbedding.ts"
import * as LlmError from "./LlmError.ts"
import * as LlmReply from "./LlmReply.ts"
import * as LlmRequest from "./LlmRequest.ts"
import * as Part from "./Part.ts"
import * as RescueState from "./RescueState.ts"
import type * as Route from "./Route.ts"
import * as TokenEstimate from "./TokenEstimate.ts"
import * as Usage from "./Usage.ts"

/**
 * Something that answers requests.
 *
 * @since 0.1.0
 * @category models
 */
export interface Llm {
  readonly id: string
  readonly capabilities: Capability.Capabilities
  readonly call: (request: LlmRequest.LlmRequest) => Effect.Effect<LlmReply.LlmReply, LlmError.LlmError, Scope.Scope>
}

/**
 * The parts of one answer as an instance delivers them: non-empty batches, then the end.
 *
 * @since 0.1.0
 * @category models
 */
export type Source = Pull.Pull<readonly [Part.Part, ...Array<Part.Part>], LlmError.LlmError>

/**
 * Options of `make`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly id: string
  /** The model's name as the route shows it. @default id */
  readonly model?: string | undefined
  readonly capabilities?: Capability.Capabilities | undefined
  readonly prices?: Usage.Prices | undefined
  /** Whose it is, for metrics and traces. */
  readonly provider?: Route.Provider | undefined
  /**
   * Sends the request and gives the parts. It runs, and the parts are pulled, inside the attempt's scope;
   * what it forks goes there (`Effect.forkIn(attempt.scope)`), since a child fiber would die at commit. What
   * it acquires must abort synchronously when the scope closes. It calls `attempt.touch` for provider events
   * that give no part.
   *
   * A source fails with an `LlmError`, or ends; one that ends without a `finish` part is truncated.
   */
  readonly open: (
    request: LlmRequest.LlmRequest,
    attempt: Attempt.Attempt,
    /** Says that a field of the request could not be said in this protocol and was left out. */
    dropped: (field: string) => void
  ) => Effect.Effect<Source, LlmError.LlmError, Scope.Scope>
}

/**
 * Makes an instance: the only kind of `Llm` that talks to something, and the only place where a reply is
 * sealed.
 *
 * **Details** One attempt, one scope, one seal. The route entry, commit, the clocks, the three endings and
 * the cost are kept here, so that `open` has nothing to do but ask.
 *
 * @example
 * ```ts
 * import { Cause, Effect } from "effect"
 * import { Llm } from "@echelon/core"
 *
 * const echo = Llm.make({
 *   id: "echo",
 *   open: () =>
 *     Effect.sync(() => {
 *       let sent = false
 *       return Effect.suspend(() => {
 *         if (sent) return Cause.done()
 *         sent = true
 *         return Effect.succeed([
 *           { type: "text-delta", id: "0", delta: "hello" },
 *           { type: "finish", reason: "stop", usage: { inputTokens: {}, outputTokens: {} } }
 *         ] as const)
 *       })
 *     })
 * })
 *
 * const answer = await Effect.runPromise(Llm.generate(echo, { prompt: "hi" }))
 * console.assert(answer.text === "hello")
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: Options): Llm => {
  const { capabilities = Capability.unknown, id, model = id, prices, provider } = options
  const run = (request: LlmRequest.LlmRequest, attempt: Attempt.Attempt) =>
    Effect.flatMap(Clock.Clock, (clock) => {
      // Only who is asked spends the budget, however many policies stand above it.
      const taken = request.budget.take()
      if (taken !== "taken")
        return Effect.fail(LlmError.make({ reason: { _tag: "BudgetExhausted", of: taken }, instance: id }))
      const entry = request.recorder.begin({
        kind: request.kind,
        instance: id,
        model,
        echelon: request.echelon,
        now: clock.currentTimeMillisUnsafe(),
        provider,
        request
      })
      attempt.traceparent = entry.traceparent
      attempt.onSettle((outcome) => {
        entry.endedAt = clock.currentTimeMillisUnsafe()
        entry.outcome = outcome._tag === "Completed" ? "completed" : outcome._tag === "Failed" ? "failed" : "cancelled"
        if (outcome._tag === "Failed") entry.reason = outcome.error.reason._tag
        if (outcome._tag === "Completed") entry.usage = outcome.usage
        // Nobody reports what a call used that was left, or broke: its model ran all the same.
        else if (outcome._tag === "Cancelled" || entry.firstOutputAt !== undefined)
          entry.usage = Usage.estimated(TokenEstimate.of(request).input, TokenEstimate.ofText(seal.text()))
        if (entry.usage !== undefined) entry.cost = Usage.cost(entry.usage, prices)
        if (entry.cost !== undefined) request.budget.spend(entry.cost)
        entry.watch?.ended(entry)
      })
      const seal = new Seal(id, request, attempt, clock, entry, () => {
        if (entry.firstOutputAt !== undefined) return
        entry.firstOutputAt = clock.currentTimeMillisUnsafe()
        entry.watch?.output(entry)
      })
      const opened = options.open(request, attempt, (field) => entry.dropped.push(field))
      return Effect.mapError(
        Effect.flatMap(
          entry.span === undefined ? opened : Effect.provideService(opened, Tracer.ParentSpan, entry.span),
          (source) => seal.commit(source)
        ),
        (error) => seal.name(error)
      )
    })
  return {
    id,
    capabilities,
    call: (request) => {
      if (request.embedding !== undefined && capabilities.lacks?.includes("embeddings") === true)
        return Effect.fail(
          LlmError.make({ reason: { _tag: "InvalidRequest" }, detail: "it has no embeddings", instance: id })
        )
      const joined = request.attempt
      return joined === undefined
        ? Attempt.open(Attempt.optionsOf(request, id), (attempt) => run(request, attempt))
        : Effect.suspend(() => {
            joined.start(Attempt.optionsOf(request, id))
            return run(request, joined)
          })
    }
  }
}

/** What a part says has gone wrong, if it does. */
const failureIn = (part: Part.Part): LlmError.LlmError | undefined => {
  if (part.type === "error") {
    return LlmError.isLlmError(part.error)
      ? part.error
      : LlmError.make({ reason: { _tag: "Unknown" }, detail: "the stream reported an error" })
  }
  return part.type === "finish" && part.reason === "error"
    ? LlmError.make({ reason: { _tag: "ProviderError" }, detail: "the model ended with an error" })
    : undefined
}

/** Commit and the three endings of one reply. */
class Seal {
  private readonly id: string
  private readonly request: LlmRequest.LlmRequest
  private readonly attempt: Attempt.Attempt
  private readonly clock: Clock.Clock
  private readonly entry: Route.Open
  private readonly onOutput: () => void
  private delivered: Array<string> = []
  private hasOutput = false
  private hasVectors = false
  private used = false
  /** A failure that stood in a batch behind parts that are delivered first. */
  private pending: LlmError.LlmError | undefined

  constructor(
    id: string,
    request: LlmRequest.LlmRequest,
    attempt: Attempt.Attempt,
    clock: Clock.Clock,
    entry: Route.Open,
    onOutput: () => void
  ) {
    this.id = id
    this.request = request
    this.attempt = attempt
    this.clock = clock
    this.entry = entry
    this.onOutput = onOutput
  }

  /** What was delivered so far. */
  text(): string {
    return this.delivered.join("")
  }

  /** Says which instance failed. */
  name(error: LlmError.LlmError): LlmError.LlmError {
    return error.instance === undefined ? LlmError.update(error, { instance: this.id }) : error
  }

  /** Pulls until the reply commits: at first output, or at the finish part. */
  commit(source: Source): Effect.Effect<LlmReply.LlmReply, LlmError.LlmError> {
    const held: Array<Part.Part> = []
    const onBatch = (batch: ReadonlyArray<Part.Part>): Effect.Effect<LlmReply.LlmReply, LlmError.LlmError> => {
      const taken = this.take(batch)
      // Nobody has seen anything yet: a failure behind output in one batch is as good as one before it.
      if (this.pending !== undefined) return Effect.fail(this.pending)
      for (const part of taken) held.push(part)
      const last = held[held.length - 1]
      const finished = last?.type === "finish"
      if (finished && !this.hasOutput && last.reason === "content-filter")
        return Effect.fail(LlmError.make({ reason: { _tag: "ContentPolicy" } }))
      if (!finished && (this.request.commit === "finish" || !this.hasOutput)) return pulled
      this.attempt.commit()
      return Effect.succeed({
        parts: this.parts(held, source),
        route: Effect.map(Clock.currentTimeMillis, (now) => this.request.recorder.snapshot(now)),
        attempt: this.attempt
      })
    }
    const pulled: Effect.Effect<LlmReply.LlmReply, LlmError.LlmError> = Effect.matchCauseEffect(source, {
      onSuccess: onBatch,
      onFailure: (cause) => Effect.failCause(this.truncated(cause))
    })
    return pulled
  }

  /**
   * Marks what a batch means. Gives the parts up to the finish part, since nothing may follow it, or up to a
   * failure, which is kept for the next pull.
   */
  private take(batch: ReadonlyArray<Part.Part>): ReadonlyArray<Part.Part> {
    this.attempt.touch()
    this.entry.onParts?.(batch)
    for (let i = 0; i < batch.length; i++) {
      const part = batch[i] as Part.Part
      const failure = failureIn(part) ?? this.misplaced(part)
      if (failure !== undefined) {
        this.pending = failure
        return batch.slice(0, i)
      }
      if (part.type === "finish") {
        this.entry.finishReason = part.reason
        return i === batch.length - 1 ? batch : batch.slice(0, i + 1)
      }
      if (part.type === "response-metadata") {
        this.entry.responseId ??= part.id
        this.entry.responseModel ??= part.modelId
      }
      if (!this.hasOutput && Part.isOutput(part)) {
        this.hasOutput = true
        this.onOutput()
        this.attempt.firstOutput()
      }
    }
    return batch
  }

  /** An answer of vectors is checked before it commits, so that another instance may give a better one. */
  private misplaced(part: Part.Part): LlmError.LlmError | undefined {
    const { embedding } = this.request
    if (embedding === undefined && part.type !== "embeddings") return undefined
    const detail = LlmEmbedding.problem(embedding, part, this.hasVectors)
    this.hasVectors ||= part.type === "embeddings"
    return detail === undefined ? undefined : LlmError.make({ reason: { _tag: "MalformedOutput" }, detail })
  }

  /** A source that ends before its finish part was cut off. */
  private truncated(cause: Cause.Cause<LlmError.LlmError | Cause.Done<void>>): Cause.Cause<LlmError.LlmError> {
    const failure = cause.reasons.find(Cause.isFailReason)
    return failure !== undefined && Cause.isDone(failure.error)
      ? Cause.fail(LlmError.make({ reason: { _tag: "MalformedOutput" }, detail: "the answer ended without a finish" }))
      : (cause as Cause.Cause<LlmError.LlmError>)
  }

  /** The parts, once: what was held until commit, then the rest. */
  private parts(held: ReadonlyArray<Part.Part>, source: Source): Stream.Stream<Part.Part, LlmError.LlmError> {
    const attempt = this.attempt
    let first: ReadonlyArray<Part.Part> | undefined = held
    const next: Source = Effect.suspend(() => {
      if (first !== undefined) {
        const batch = first
        first = undefined
        const outcome = attempt.outcome()
        return outcome === undefined ? this.deliver(batch) : Effect.fail(this.refuse(outcome))
      }
      const outcome = attempt.outcome()
      if (outcome?._tag === "Completed") return Cause.done()
      if (this.pending !== undefined) return Effect.failCause(this.broken(Cause.fail(this.pending)))
      return Effect.matchCauseEffect(attempt.run(source), {
        onSuccess: (batch) => {
          const taken = this.take(batch)
          return taken.length === 0 ? next : this.deliver(taken)
        },
        onFailure: (cause) => Effect.failCause(this.broken(cause))
      })
    })
    return Stream.fromChannel(
      Channel.fromTransform((_: Pull.Pull<unknown, unknown, unknown>, scope) =>
        Effect.suspend((): Effect.Effect<Source> => {
          if (this.used) return Effect.succeed(Effect.fail(this.refuse(attempt.outcome() ?? { _tag: "Cancelled" })))
          this.used = true
          return Effect.as(
            Scope.addFinalizer(
              scope,
              Effect.sync(() => void attempt.settle({ _tag: "Cancelled" }))
            ),
            next
          )
        })
      )
    )
  }

  private deliver(batch: ReadonlyArray<Part.Part>): Source {
    for (const part of batch) if (part.type === "text-delta") this.delivered.push(part.delta)
    const last = batch[batch.length - 1]
    if (last?.type === "finish") this.attempt.settle({ _tag: "Completed", usage: RescueState.usageOf(last) })
    return Effect.succeed(batch as readonly [Part.Part, ...Array<Part.Part>])
  }

  private refuse(outcome: Attempt.Outcome): LlmError.LlmError {
    return LlmError.update(Attempt.errorOf(outcome), {
      instance: this.id,
      route: this.request.recorder.snapshot(this.clock.currentTimeMillisUnsafe()),
      delivered: this.text()
    })
  }

  /** Ends a committed reply that broke, with what was delivered and the route behind it. */
  private broken(cause: Cause.Cause<LlmError.LlmError | Cause.Done<void>>): Cause.Cause<LlmError.LlmError> {
    const settled = Attempt.settleCause(this.attempt, this.truncated(cause))
    const failure = settled.reasons.find(Cause.isFailReason)
    if (failure === undefined) return settled
    const outcome = this.attempt.outcome()
    return Cause.fail(this.refuse(outcome?._tag === "Cancelled" ? outcome : { _tag: "Failed", error: failure.error }))
  }
}

/**
 * Answers an input and waits for the whole answer.
 *
 * **Details** Runs with `commit = "finish"`: nobody has seen output yet, so every failure may start over. The
 * provider is asked for a buffered reply.
 *
 * **Errors** `LlmError` with the whole route.
 *
 * @since 0.1.0
 * @category running
 */
export const generate: {
  (input: LlmRequest.Input): (self: Llm) => Effect.Effect<LlmReply.Answer, LlmError.LlmError>
  (self: Llm, input: LlmRequest.Input): Effect.Effect<LlmReply.Answer, LlmError.LlmError>
} = dual(
  2,
  (self: Llm, input: LlmRequest.Input): Effect.Effect<LlmReply.Answer, LlmError.LlmError> =>
    Effect.flatMap(LlmRequest.make(input, { stream: false, commit: "finish" }), (request) =>
      folded(self, request, LlmReply.toAnswer)
    )
)

/** Reads a reply to its end. */
const folded = <A>(
  self: Llm,
  request: LlmRequest.LlmRequest,
  toAnswer: (parts: ReadonlyArray<Part.Part>, route: Route.Route) => A
): Effect.Effect<A, LlmError.LlmError> =>
  withRoute(
    request,
    Effect.scoped(
      Effect.flatMap(self.call(request), (reply) =>
        Effect.flatMap(Stream.runCollect(reply.parts), (parts) =>
          Effect.map(reply.route, (route) => toAnswer(parts, route))
        )
      )
    )
  )

/**
 * Embeds texts: one vector each, in their order.
 *
 * **Details** One call is one request to a provider, which limits how many texts it takes. Nothing is given before all
 * vectors are there, so every failure may start over.
 *
 * **Errors** `LlmError` with the whole route. An empty list is `InvalidRequest`; vectors that are too few, of another
 * length or of no numbers are `MalformedOutput`, after which another instance may be asked.
 *
 * **Gotchas** Vectors of two models cannot be compared: keep instances of one model in a pool.
 *
 * @example
 * ```ts
 * import { Llm } from "@echelon/core"
 * import { ScriptedLlm } from "@echelon/testing"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const script = ScriptedLlm.embeddings([[0, 1], [1, 0]])
 *   const model = yield* ScriptedLlm.make({ id: "model", script })
 *   return yield* Llm.embed(model.llm, { input: ["one", "two"] })
 * })
 * const { vectors } = await Effect.runPromise(program)
 * console.assert(vectors.length === 2 && vectors[1]?.[0] === 1)
 * ```
 *
 * @since 0.1.0
 * @category running
 */
export const embed: {
  (input: LlmEmbedding.Input): (self: Llm) => Effect.Effect<LlmEmbedding.Answer, LlmError.LlmError>
  (self: Llm, input: LlmEmbedding.Input): Effect.Effect<LlmEmbedding.Answer, LlmError.LlmError>
} = dual(
  2,
  (self: Llm, input: LlmEmbedding.Input): Effect.Effect<LlmEmbedding.Answer, LlmError.LlmError> =>
    Effect.flatMap(LlmEmbedding.make(input), (request) => folded(self, request, LlmEmbedding.toAnswer))
)

/**
 * Answers an input part by part.
 *
 * **Details** The stream starts at commit. Ending it early, or interrupting whoever reads it, closes the
 * connection and gives back all that the call held.
 *
 * **Errors** `LlmError` with the route so far and, after commit, the text delivered.
 *
 * @since 0.1.0
 * @category running
 */
export const stream: {
  (input: LlmRequest.Input): (self: Llm) => Stream.Stream<Part.Part, LlmError.LlmError>
  (self: Llm, input: LlmRequest.Input): Stream.Stream<Part.Part, LlmError.LlmError>
} = dual(
  2,
  (self: Llm, input: LlmRequest.Input): Stream.Stream<Part.Part, LlmError.LlmError> =>
    Stream.unwrap(Effect.map(open(self, input), (reply) => reply.parts))
)

/**
 * Opens a streamed reply: the parts and, when they have ended, the route.
 *
 * @since 0.1.0
 * @category running
 */
export const open = (
  self: Llm,
  input: LlmRequest.Input
): Effect.Effect<LlmReply.LlmReply, LlmError.LlmError, Scope.Scope> =>
  Effect.flatMap(LlmRequest.make(input, { stream: true, commit: "first_output" }), (request) =>
    withRoute(request, self.call(request))
  )

/**
 * Gives errors the route of their request, unless they have one.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withRoute = <A, R>(
  request: LlmRequest.LlmRequest,
  effect: Effect.Effect<A, LlmError.LlmError, R>
): Effect.Effect<A, LlmError.LlmError, R> =>
  Effect.catch(effect, (error) =>
    error.route !== undefined
      ? Effect.fail(error)
      : Effect.flatMap(Clock.currentTimeMillis, (now) =>
          Effect.fail(LlmError.update(error, { route: request.recorder.snapshot(now) }))
        )
  )
